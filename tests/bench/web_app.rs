//! A web application that does what proxies get wrong: it talks WebSocket, takes large uploads, and answers bit by bit.
//!
//! Nothing here waits for a clock. What it sends in steps goes on when the test says so, and the test says so when the
//! step before has arrived: a proxy that holds anything back is seen by that nothing arrives.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{Html, IntoResponse, Response},
    routing::{any, get, post},
};
use bytes::Bytes;
use futures::{SinkExt, StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};

use crate::bench::loopback;

/// The listener; dropping it closes the port.
///
/// | path | answer |
/// |---|---|
/// | `/` | a page that opens the WebSocket and the feed, and shows what they say |
/// | `/socket` | a WebSocket that says everything back |
/// | `/upload` | how many octets came; [`WebApp::uploaded`] has them |
/// | `/slow` | `first`, `second` and `third`, a line at each [`WebApp::next_line`] but the first |
/// | `/feed` | server-sent events, one at each [`WebApp::next_event`] but the first |
/// | anything | the headers of the request, a line each |
#[derive(Debug)]
pub struct WebApp {
    address: SocketAddr,
    memory: Arc<Memory>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Memory {
    upload: Mutex<Vec<u8>>,
    received: watch::Sender<usize>,
    lines: Arc<Semaphore>,
    events: Arc<Semaphore>,
    requests: Mutex<Vec<(String, HeaderMap)>>,
}

const PAGE: &str = r"<!doctype html><html lang='en'><meta charset='utf-8'><title>The app</title>
<h1>The app</h1><p id='socket'>The socket is silent</p><ul id='feed'></ul>
<script>
const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/socket`);
socket.onopen = () => socket.send('hello from the page');
socket.onmessage = (message) => document.getElementById('socket').textContent = `The socket says: ${message.data}`;
new EventSource('/feed').onmessage = (event) => {
  document.getElementById('feed').insertAdjacentHTML('beforeend', `<li>The feed says: ${event.data}</li>`);
};
</script></html>";

// === impl WebApp ===

impl WebApp {
    /// Listens on a free address of this run.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind(loopback::free_component_address()?).await?;
        let address = listener.local_addr()?;
        let memory = Arc::new(Memory {
            upload: Mutex::default(),
            received: watch::Sender::new(0),
            lines: Arc::new(Semaphore::new(0)),
            events: Arc::new(Semaphore::new(0)),
            requests: Mutex::default(),
        });
        let router = Router::new()
            .route("/", get(async || Html(PAGE)))
            .route("/socket", any(socket))
            .route("/upload", post(upload))
            .route("/slow", get(slow))
            .route("/feed", get(feed))
            .fallback(headers)
            .layer(axum::middleware::from_fn_with_state(
                Arc::clone(&memory),
                remember,
            ))
            .with_state(Arc::clone(&memory));
        let task = tokio::spawn(async move {
            // It ends with the task only; what could fail is a single connection.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self {
            address,
            memory,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far: its target and headers.
    pub fn requests(&self) -> Vec<(String, HeaderMap)> {
        locked(&self.memory.requests).clone()
    }

    /// The body of the last upload, as far as it has come.
    pub fn uploaded(&self) -> Vec<u8> {
        locked(&self.memory.upload).clone()
    }

    /// Waits until this many octets of an upload have come.
    pub async fn received(&self, octets: usize) -> Result<()> {
        let mut received = self.memory.received.subscribe();
        let enough = received.wait_for(|received| *received >= octets);
        let waited = tokio::time::timeout(Duration::from_secs(20), enough).await;
        waited
            .with_context(|| format!("{octets} octets of an upload did not come in 20 s"))?
            .context("the app is gone")?;
        Ok(())
    }

    /// Sends the next line of `/slow`.
    pub fn next_line(&self) {
        self.memory.lines.add_permits(1);
    }

    /// Sends the next event of `/feed`.
    pub fn next_event(&self) {
        self.memory.events.add_permits(1);
    }
}

impl Drop for WebApp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn remember(
    State(memory): State<Arc<Memory>>,
    request: Request,
    next: axum::middleware::Next,
) -> Response {
    let seen = (request.uri().to_string(), request.headers().clone());
    locked(&memory.requests).push(seen);
    next.run(request).await
}

async fn socket(mut request: Request) -> Response {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else { return };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            let is_content = message.is_text() || message.is_binary();
            if is_content && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let switch = [
        (header::CONNECTION, "upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, switch).into_response()
}

async fn upload(State(memory): State<Arc<Memory>>, body: Body) -> Response {
    locked(&memory.upload).clear();
    memory.received.send_replace(0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let Ok(chunk) = chunk else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        locked(&memory.upload).extend_from_slice(&chunk);
        memory
            .received
            .send_modify(|received| *received += chunk.len());
    }
    let received = memory.received.borrow().to_string();
    received.into_response()
}

async fn slow(State(memory): State<Arc<Memory>>) -> Response {
    let lines = ["first\n", "second\n", "third\n"].map(str::to_owned);
    in_steps(lines, &memory.lines).into_response()
}

async fn feed(State(memory): State<Arc<Memory>>) -> Response {
    let events = ["one", "two", "three"].map(|event| format!("data: {event}\n\n"));
    let head = [(header::CONTENT_TYPE, "text/event-stream")];
    (head, in_steps(events, &memory.events)).into_response()
}

/// The first at once, each other when there is a permit for it.
fn in_steps(parts: [String; 3], permits: &Arc<Semaphore>) -> Body {
    let permits = Arc::clone(permits);
    let parts = stream::iter(parts).enumerate().then(move |(place, part)| {
        let permits = Arc::clone(&permits);
        async move {
            if place > 0
                && let Ok(permit) = permits.acquire().await
            {
                permit.forget();
            }
            Ok::<_, std::convert::Infallible>(Bytes::from(part))
        }
    });
    Body::from_stream(parts)
}

async fn headers(request: Request) -> String {
    let lines = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}\n")
    });
    lines.collect()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
