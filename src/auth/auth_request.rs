//! `/auth`: what plain nginx's `auth_request` asks, policy by host, as oauth2-proxy set-ups do. Nobody says here
//! which path is asked for, so no Public rule applies and a service with rules that close is refused.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use http::StatusCode;

use super::{
    Endpoint, Question,
    asked::Asked,
    verify::{bare, respond},
};

/// Answers 200, 401 or 403.
pub(super) async fn auth(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    if endpoint.gate.sees_disguised(asked.headers()) {
        endpoint.metrics.checks.disguised_header.inc();
        return bare(StatusCode::FORBIDDEN).map(Body::new);
    }
    let table = endpoint.table.load();
    let entry = table.host(&asked.host);
    // With several services on a host only the path could tell them apart, and nobody says it.
    let service = entry.and_then(|entry| match entry.services.as_slice() {
        [only] => table.service(only.as_str()),
        _ => None,
    });
    let Some(service) = service else {
        tracing::warn!(host = %asked.host, "auth_request for a host that has no service or more than one; refused");
        return bare(StatusCode::FORBIDDEN).map(Body::new);
    };
    let question = Question {
        service,
        host: asked.host.as_str(),
        target: None,
        headers: asked.headers(),
    };
    respond(endpoint.gate.judge(&question)).map(Body::new)
}
