//! The admin listener: health and metrics, for operators and the kubelet. Never on the public port.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

/// What still keeps a process from being ready, by name; none: it is ready.
#[derive(Clone, Debug)]
pub struct Readiness(watch::Sender<Vec<&'static str>>);

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    registry: Arc<Mutex<Registry>>,
}

// === impl Readiness ===

impl Readiness {
    /// Not ready until each of these has been reported.
    #[must_use]
    pub fn waiting_for(parts: &[&'static str]) -> Self {
        Self(watch::Sender::new(parts.to_vec()))
    }

    /// Reports a part.
    pub fn report(&self, part: &'static str) {
        self.0.send_modify(|waiting| waiting.retain(|p| *p != part));
    }

    /// Takes a part's report back; the process is not ready again.
    pub fn withdraw(&self, part: &'static str) {
        self.0.send_modify(|waiting| waiting.push(part));
    }

    /// Waits until every part has been reported.
    pub async fn ready(&self) {
        // The sender lives in `self`, so the wait cannot fail.
        self.0.subscribe().wait_for(Vec::is_empty).await.ok();
    }
}

/// `/livez`, `/healthz`, `/readyz`, `/metrics`.
pub fn admin_router(readiness: Readiness, registry: Registry) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(Admin {
            readiness,
            registry: Arc::new(Mutex::new(registry)),
        })
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let waiting = admin.readiness.0.borrow().join(", ");
    if waiting.is_empty() {
        return "ok\n".into_response();
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        format!("not ready, waiting for: {waiting}\n"),
    )
        .into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    let encoded = match admin.registry.lock() {
        Ok(registry) => prometheus_client::encoding::text::encode(&mut text, &registry).is_ok(),
        Err(_) => false,
    };
    if !encoded {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}
