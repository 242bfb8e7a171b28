//! A provider whose every token is signed by a key that nobody knows, and that counts what it is asked.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use crate::bench::loopback::free_component_address;

pub(crate) struct Provider {
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Shared {
    issuer: String,
    /// Milliseconds until a token.
    takes: AtomicU64,
    mood: Mutex<Mood>,
    discoveries: AtomicUsize,
    keys: AtomicUsize,
    tokens: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
}

/// What it makes of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers, with tokens that are of no use.
    #[default]
    Useless,
    /// Has no discovery document at the moment.
    Down,
    /// Knows no client.
    ForgetsClients,
}

/// What it was asked.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) discoveries: usize,
    pub(crate) keys: usize,
    pub(crate) tokens: usize,
    pub(crate) most_at_once: usize,
}

// === impl Provider ===

impl Provider {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind(free_component_address()?).await?;
        let shared = Arc::new(Shared {
            issuer: format!("http://{}", listener.local_addr()?),
            ..Shared::default()
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/jwks", get(keys))
            .route("/token", axum::routing::post(token))
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            shared,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    pub(crate) fn issuer(&self) -> String {
        self.shared.issuer.clone()
    }

    /// From now on a token takes so long.
    pub(crate) fn takes(&self, span: Duration) {
        let span = u64::try_from(span.as_millis()).unwrap_or_default();
        self.shared.takes.store(span, Ordering::Relaxed);
    }

    pub(crate) fn is(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    pub(crate) fn seen(&self) -> Seen {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        Seen {
            discoveries: count(&self.shared.discoveries),
            keys: count(&self.shared.keys),
            tokens: count(&self.shared.tokens),
            most_at_once: count(&self.shared.most_at_once),
        }
    }
}

async fn discovery(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    shared.discoveries.fetch_add(1, Ordering::Relaxed);
    let mood = *shared.mood.lock().unwrap();
    let status = match mood {
        Mood::Down => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let issuer = &shared.issuer;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
    });
    (status, Json(document))
}

/// The public key of RFC 7517, appendix A.1.
async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    shared.keys.fetch_add(1, Ordering::Relaxed);
    Json(json!({"keys": [{
        "kty": "EC", "crv": "P-256", "use": "sig", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    }]}))
}

async fn token(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<Value>) {
    let mood = *shared.mood.lock().unwrap();
    if mood == Mood::ForgetsClients {
        let refusal = json!({"error": "invalid_client", "error_description": "no such client"});
        return (StatusCode::UNAUTHORIZED, Json(refusal));
    }
    let number = shared.tokens.fetch_add(1, Ordering::Relaxed);
    let at_once = shared.at_once.fetch_add(1, Ordering::Relaxed) + 1;
    shared.most_at_once.fetch_max(at_once, Ordering::Relaxed);
    let takes = Duration::from_millis(shared.takes.load(Ordering::Relaxed));
    tokio::time::sleep(takes).await;
    shared.at_once.fetch_sub(1, Ordering::Relaxed);
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let header = part(json!({"alg": "ES256", "kid": format!("unknown-{number}")}));
    let claims = part(json!({"iss": shared.issuer, "aud": "vestibule", "sub": "eve"}));
    let signature = URL_SAFE_NO_PAD.encode([1; 64]);
    let tokens = json!({
        "access_token": "of-no-use",
        "token_type": "Bearer",
        "id_token": format!("{header}.{claims}.{signature}"),
    });
    (StatusCode::OK, Json(tokens))
}

/// Sends a request so often on one connection, some at a time, and counts the answers that send a browser away.
pub(crate) async fn pipelined(address: SocketAddr, request: String, count: u32) -> Result<u32> {
    const AT_A_TIME: u32 = 10;
    let mut stream = TcpStream::connect(address).await?;
    let mut answered = 0;
    while answered < count {
        stream
            .write_all(request.repeat(usize::try_from(AT_A_TIME)?).as_bytes())
            .await?;
        let (mut seen, mut text) = (0, String::new());
        let mut chunk = vec![0; 64 * 1024];
        while seen < AT_A_TIME {
            let reading = stream.read(&mut chunk);
            let read = tokio::time::timeout(Duration::from_secs(20), reading).await??;
            anyhow::ensure!(read > 0, "the connection ended");
            text.push_str(&String::from_utf8_lossy(
                chunk.get(..read).unwrap_or_default(),
            ));
            seen = u32::try_from(text.matches("HTTP/1.1 302 ").count())?;
        }
        answered += seen;
    }
    Ok(answered)
}
