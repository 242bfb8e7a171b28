//! An OpenID provider that does as a test tells it: for what no real one can be brought to do.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::bench::loopback::free_component_address;

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const JWKS: &str = "/jwks";
pub(crate) const TOKEN: &str = "/token";
pub(crate) const USERINFO: &str = "/userinfo";

/// What a path answers.
#[derive(Clone)]
pub(crate) enum Answer {
    Json(Value),
    Status(u16, String),
    /// 307, so that a client that follows sends its POST along.
    Redirect(String),
    /// Five megabytes of JSON.
    Huge,
    /// JSON that never ends, as fast as it is read.
    Endless,
    /// JSON that never ends, an octet a second.
    Drip,
    /// Status and headers, and then nothing.
    Silent,
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

pub(crate) struct Lying {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    seen: Mutex<Vec<Seen>>,
}

/// A key of the provider.
pub(crate) struct Key {
    id: String,
    pair: EcdsaKeyPair,
}

// === impl Lying ===

impl Lying {
    /// An honest provider with this key, to begin with.
    pub(crate) async fn start(key: &Key) -> Self {
        let lying = Self::stopped(key).await;
        lying.listen().await;
        lying
    }

    /// The same, at an address that refuses connections.
    pub(crate) async fn stopped(key: &Key) -> Self {
        let lying = Self {
            address: free_component_address().unwrap(),
            shared: Arc::default(),
            server: Mutex::new(None),
        };
        lying.answers(DISCOVERY, Answer::Json(lying.metadata()));
        lying.answers(JWKS, keys(&[key]));
        lying
    }

    pub(crate) async fn listen(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let router = Router::new()
            .fallback(answer)
            .with_state(self.shared.clone());
        let server = tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
        *self.server.lock().unwrap() = Some(server);
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn metadata(&self) -> Value {
        self.metadata_below("")
    }

    /// The metadata of an issuer of its own below this path.
    pub(crate) fn metadata_below(&self, path: &str) -> Value {
        let issuer = format!("{}{path}", self.issuer());
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/auth"),
            "token_endpoint": format!("{issuer}{TOKEN}"),
            "jwks_uri": format!("{issuer}{JWKS}"),
        })
    }

    pub(crate) fn answers(&self, path: &str, answer: Answer) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.insert(path.to_owned(), answer);
    }

    /// What was asked at a path.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter()
            .filter(|one| one.path == path)
            .cloned()
            .collect()
    }

    pub(crate) fn count(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// Claims of an ID token that is right in every way.
    pub(crate) fn claims(&self, now: u64) -> Value {
        json!({
            "iss": self.issuer(), "sub": "ann", "aud": "vestibule", "nonce": super::NONCE,
            "exp": now + 300, "iat": now,
            "email": "ann@corp.example", "email_verified": true,
        })
    }
}

impl Drop for Lying {
    fn drop(&mut self) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.abort();
        }
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    shared.seen.lock().unwrap().push(Seen {
        path: path.clone(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let answer = shared.answers.lock().unwrap().get(&path).cloned();
    let json = [(header::CONTENT_TYPE, "application/json")];
    let chunk = || Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 65536]));
    match answer {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Answer::Json(value)) => (json, value.to_string()).into_response(),
        Some(Answer::Status(status, text)) => {
            let status = StatusCode::from_u16(status).unwrap();
            (status, json, text).into_response()
        }
        Some(Answer::Redirect(to)) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
        Some(Answer::Huge) => {
            let text = format!("{{\"a\":\"{}\"}}", "a".repeat(5 * 1024 * 1024));
            (json, text).into_response()
        }
        Some(Answer::Endless) => {
            let body = stream::repeat_with(chunk);
            (json, Body::from_stream(body)).into_response()
        }
        Some(Answer::Drip) => {
            let drop = || Ok::<_, std::io::Error>(Bytes::from_static(b" "));
            let drops = stream::unfold((), move |()| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Some((drop(), ()))
            });
            (json, Body::from_stream(drops)).into_response()
        }
        Some(Answer::Silent) => {
            let after = tokio::time::sleep(Duration::from_secs(60));
            let body = stream::once(after).map(move |()| chunk());
            (json, Body::from_stream(body)).into_response()
        }
    }
}

/// The JWK Set of these keys.
pub(crate) fn keys(keys: &[&Key]) -> Answer {
    let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
    Answer::Json(json!({ "keys": keys }))
}

/// A token response with this ID token.
pub(crate) fn tokens(id_token: &str) -> Answer {
    Answer::Json(json!({
        "access_token": super::ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 60, "id_token": id_token,
    }))
}

/// A compact JWS of these parts, whoever signs it.
pub(crate) fn assembled(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let signed = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part))
        .join(".");
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

// === impl Key ===

impl Key {
    pub(crate) fn new(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self {
            id: id.to_owned(),
            pair,
        }
    }

    /// The public key as a JWK.
    pub(crate) fn jwk(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let encoded = |octets| URL_SAFE_NO_PAD.encode(octets);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": encoded(x), "y": encoded(y) })
    }

    /// An ID token.
    pub(crate) fn signs(&self, claims: &Value) -> String {
        let header = json!({ "alg": "ES256", "kid": self.id });
        self.signs_text(&header.to_string(), &claims.to_string())
    }

    /// A token of this very header and these very claims.
    pub(crate) fn signs_text(&self, header: &str, claims: &str) -> String {
        assembled(header, claims, |message| self.signature(message))
    }

    /// A signature as ES256 has it.
    pub(crate) fn signature(&self, message: &[u8]) -> Vec<u8> {
        let signature = self.pair.sign(&SystemRandom::new(), message);
        signature.unwrap().as_ref().to_vec()
    }

    /// The public key, uncompressed.
    pub(crate) fn point(&self) -> Vec<u8> {
        self.pair.public_key().as_ref().to_vec()
    }
}
