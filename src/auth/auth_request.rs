//! `/auth`: what plain nginx's `auth_request` asks, policy by host, as oauth2-proxy set-ups do. Nobody says here
//! which path is asked for, so no Public rule applies and a service with rules that close is refused.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};

use super::{Answer, Endpoint, Question, asked::Asked};

/// Answers 200, 401 or 403.
pub(super) async fn auth(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    if endpoint.gate.sees_disguised(asked.headers()) {
        endpoint.metrics.checks.disguised_header.inc();
        return bare(StatusCode::FORBIDDEN);
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
        return bare(StatusCode::FORBIDDEN);
    };
    let question = Question {
        service,
        host: asked.host.as_str(),
        target: None,
        headers: asked.headers(),
    };
    match endpoint.gate.judge(&question) {
        Answer::Pass(headers) => {
            let mut response = bare(StatusCode::OK);
            response
                .headers_mut()
                .extend(headers.into_iter().map(|(name, value)| (Some(name), value)));
            response
        }
        Answer::SignIn => bare(StatusCode::UNAUTHORIZED),
        Answer::Refuse(refusal) if refusal.page_follows => bare(StatusCode::UNAUTHORIZED),
        Answer::Refuse(_) => bare(StatusCode::FORBIDDEN),
    }
}

fn bare(status: StatusCode) -> Response {
    let mut response = (status, Body::empty()).into_response();
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
