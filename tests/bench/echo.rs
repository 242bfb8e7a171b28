//! A protected service: answers every request with the request itself, and remembers it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context, Result};
use axum::{Router, extract::Request, extract::State, response::IntoResponse};
use http::{HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, task::JoinHandle};

/// The listener; dropping it closes the port. It answers 200 unless told otherwise.
#[derive(Debug)]
pub struct Echo {
    memory: Arc<Memory>,
    task: JoinHandle<()>,
}

/// A request as the service got it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Seen {
    /// The address that it came to, which tells services apart.
    pub service: SocketAddr,
    /// The method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// The headers by lower-case name, each with all its values.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The body, if it is text.
    pub body: String,
}

// === impl Seen ===

impl Seen {
    /// The only value of a header; `None` if there is none, or several.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self
            .headers
            .get(&name.to_ascii_lowercase())
            .map(Vec::as_slice)
        {
            Some([only]) => Some(only),
            _ => None,
        }
    }
}

// === impl Echo ===

impl Echo {
    /// Listens on a free address of this run.
    pub async fn start() -> Result<Self> {
        Self::start_at(crate::bench::loopback::free_component_address()?).await
    }

    /// Listens on this address, which may be that of a Service.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Memory {
            address,
            status: AtomicU16::new(200),
            seen: Mutex::default(),
        });
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&memory));
        let task = tokio::spawn(async move {
            // It ends with the task only; what could fail is a single connection.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { memory, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.memory.address
    }

    /// Answers with this status from now on.
    pub fn answer(&self, status: StatusCode) {
        self.memory.status.store(status.as_u16(), Ordering::Relaxed);
    }

    /// Every request so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.memory.seen().clone()
    }

    /// Forgets what it has seen.
    pub fn forget(&self) {
        self.memory.seen().clear();
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Memory {
    address: SocketAddr,
    status: AtomicU16,
    seen: Mutex<Vec<Seen>>,
}

// === impl Memory ===

impl Memory {
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(memory): State<Arc<Memory>>, request: Request) -> impl IntoResponse {
    let (head, body) = request.into_parts();
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in &head.headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers
            .entry(name.as_str().to_owned())
            .or_default()
            .push(value);
    }
    let body = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let seen = Seen {
        service: memory.address,
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    memory.seen().push(seen.clone());
    let headers = [
        (
            HeaderName::from_static("x-echo"),
            HeaderValue::from_static("answered"),
        ),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
    ];
    let status = StatusCode::from_u16(memory.status.load(Ordering::Relaxed)).unwrap_or_default();
    (
        status,
        headers,
        serde_json::to_string(&seen).unwrap_or_default(),
    )
}
