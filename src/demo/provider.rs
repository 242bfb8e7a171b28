//! The example identity provider: a small, real OpenID provider for loopback.
//!
//! Authorization code flow with PKCE, discovery, a signing key made at each start. It asks for no password:
//! whoever reaches it picks one of two accounts, which is why it listens on loopback only. It keeps no session
//! of its own, so whatever is remembered in the demo is remembered by Vestibule.

mod account;
mod authorize;
mod code;
mod metadata;
mod signing_key;
mod token;

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Serialize;

use self::{code::Codes, signing_key::SigningKey};
use crate::{clock::Clock, session};

/// The one client that the provider knows.
#[derive(Clone)]
pub(super) struct Client {
    /// `client_id` (RFC 6749 §2.2).
    pub(super) id: String,
    /// `client_secret` (RFC 6749 §2.3.1).
    pub(super) secret: String,
    /// Where it may send people back to; compared octet by octet (RFC 9700 §4.1.3).
    pub(super) redirect_uris: Vec<String>,
}

/// The provider cannot start.
#[derive(Debug, thiserror::Error)]
#[error("the example provider cannot make its signing key; start the demo again")]
pub struct NoKey;

struct Provider {
    issuer: String,
    client: Client,
    key: SigningKey,
    codes: Mutex<Codes>,
    clock: Clock,
}

/// The provider's endpoints, for a listener that answers at `issuer`.
///
/// # Errors
/// If no signing key can be made.
pub(super) fn router(issuer: String, client: Client, clock: Clock) -> Result<Router, NoKey> {
    let provider = Provider {
        issuer,
        client,
        key: SigningKey::generate().ok_or(NoKey)?,
        codes: Mutex::default(),
        clock,
    };
    Ok(Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(metadata::discovery),
        )
        .route("/jwks", get(metadata::keys))
        .route("/authorize", get(authorize::choose).post(authorize::chosen))
        .route("/token", post(token::exchange))
        .with_state(Arc::new(provider)))
}

/// A random value of 32 octets that fits in a URL.
pub(super) fn random_text() -> String {
    let mut bytes = [0; 32];
    session::random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let Ok(body) = serde_json::to_vec(value) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, body).into_response()
}
