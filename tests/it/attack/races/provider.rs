//! An OpenID provider that answers each code when it is told to, and not before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result};
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};
use tokio_util::task::AbortOnDropHandle;
use vestibule::clock::Clock;

use crate::provider::lying::Key;

/// Two issuers at one address, `one` and `two`, with one key.
pub(super) struct Provider {
    base: String,
    shared: Arc<Shared>,
    _server: AbortOnDropHandle<()>,
}

struct Shared {
    key: Key,
    base: String,
    codes: Mutex<HashMap<String, Code>>,
    clock: Clock,
}

/// What a code stands for.
#[derive(Clone)]
struct Code {
    claims: Value,
    /// Whether somebody redeems it, and may have the answer.
    arrived: watch::Sender<bool>,
    released: watch::Sender<bool>,
}

// === impl Provider ===

impl Provider {
    pub(super) async fn start(clock: Clock) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            key: Key::new("k1"),
            base: base.clone(),
            codes: Mutex::default(),
            clock,
        });
        let router = Router::new()
            .route("/{issuer}/.well-known/openid-configuration", get(metadata))
            .route("/{issuer}/jwks", get(keys))
            .route("/{issuer}/token", post(token))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        Ok(Self {
            base,
            shared,
            _server: AbortOnDropHandle::new(server),
        })
    }

    pub(super) fn issuer(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }

    /// Whoever comes with this code is told these claims, once `release` was called.
    pub(super) fn expects(&self, code: &str, claims: Value) {
        let code_of = Code {
            claims,
            arrived: watch::Sender::new(false),
            released: watch::Sender::new(false),
        };
        let mut codes = self.shared.codes.lock().unwrap();
        codes.insert(code.to_owned(), code_of);
    }

    /// Ends when somebody has come with this code.
    pub(super) async fn arrival(&self, code: &str) -> Result<()> {
        let mut arrived = self.shared.code(code)?.arrived.subscribe();
        arrived.wait_for(|it| *it).await?;
        Ok(())
    }

    pub(super) fn release(&self, code: &str) -> Result<()> {
        self.shared.code(code)?.released.send_replace(true);
        Ok(())
    }
}

// === impl Shared ===

impl Shared {
    fn code(&self, code: &str) -> Result<Code> {
        let codes = self.codes.lock().unwrap();
        codes.get(code).cloned().context("an unknown code")
    }
}

async fn metadata(State(shared): State<Arc<Shared>>, Path(issuer): Path<String>) -> Json<Value> {
    let issuer = format!("{}/{issuer}", shared.base);
    Json(json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/auth"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
    }))
}

async fn keys(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(json!({ "keys": [shared.key.jwk()] }))
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Path(issuer): Path<String>,
    body: String,
) -> Json<Value> {
    let asked = url::form_urlencoded::parse(body.as_bytes());
    let code = asked
        .into_owned()
        .find(|(name, _)| name == "code")
        .unwrap()
        .1;
    let code = shared.code(&code).unwrap();
    code.arrived.send_replace(true);
    let _ = code.released.subscribe().wait_for(|it| *it).await;
    let mut claims = code.claims;
    let now = shared.clock.now().0;
    claims["iss"] = json!(format!("{}/{issuer}", shared.base));
    claims["aud"] = json!("vestibule");
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 300);
    Json(json!({
        "access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": shared.key.signs(&claims),
    }))
}
