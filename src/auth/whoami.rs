//! `/userinfo` and `/session`: what a page of the service may ask about the person in front of it.

use std::sync::Arc;

use axum::{Json, extract::State, response::Response};
use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde_json::json;

use super::{Endpoint, asked::Asked, audit, page::Page, start::session_of};
use crate::{policy::Identity, session::OpenSession};

/// Who is signed in, in oauth2-proxy's words.
pub(super) async fn userinfo(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    answer(&endpoint, &asked, |who| {
        json!({
            "user": who.subject,
            "email": who.verified_email(),
            "groups": who.groups,
            "preferredUsername": who.username,
        })
    })
}

/// The session: whose, since when, until when.
pub(super) async fn session(State(endpoint): State<Arc<Endpoint>>, asked: Asked) -> Response {
    answer(&endpoint, &asked, |who| {
        json!({
            "account": who.label(),
            "name": who.name,
            "provider": who.provider,
            "session": audit::session_name(who),
            "signedInAt": who.issued_at.0,
            "endsAt": who.ends_at.0,
            "groupsComplete": who.groups_complete,
        })
    })
}

fn answer(
    endpoint: &Endpoint,
    asked: &Asked,
    body: impl Fn(&Identity<'_>) -> serde_json::Value,
) -> Response {
    let session = session_of(endpoint, asked.jar(), asked.host.as_str());
    let now = endpoint.clock.now();
    let table = endpoint.table.load();
    let services = table.host(&asked.host).map(|entry| &entry.services);
    let mut services = services
        .into_iter()
        .flatten()
        .filter_map(|id| table.service(id.as_str()));
    // Whoever else has seen the cookie learns nothing by it either.
    let who = session
        .as_ref()
        .and_then(OpenSession::identity)
        .filter(|who| now < who.ends_at)
        .filter(|who| services.all(|service| service.counts(asked.host.as_str(), who.issued_at)));
    let Some(who) = who else {
        return Page::sign_in_needed(endpoint, &asked.host).answer(
            endpoint,
            crate::policy::Audience::Program,
            &asked.request_id,
        );
    };
    let mut response =
        axum::response::IntoResponse::into_response((StatusCode::OK, Json(body(&who))));
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
