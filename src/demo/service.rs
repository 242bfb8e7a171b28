//! An example service: it knows nothing of sign-in and believes the identity headers it is sent.

use std::sync::Arc;

use askama::Template;
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header, uri::PathAndQuery},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use serde_json::{Map, Value, json};

/// A service as its page names it.
pub(super) struct Service {
    /// Its name.
    pub(super) name: &'static str,
    /// What it would be for.
    pub(super) purpose: &'static str,
}

/// The two services of the demo.
pub(super) const WIKI: Service = Service {
    name: "wiki",
    purpose: "An example service: pages that a team writes together.",
};
pub(super) const GRAFANA: Service = Service {
    name: "grafana",
    purpose: "An example service: dashboards for those who run things.",
};

struct Shown {
    service: Service,
    sign_out: String,
    identity_headers: Vec<Arc<str>>,
}

#[derive(Template)]
#[template(path = "demo/service.html")]
struct Page<'a> {
    service: &'a Service,
    target: &'a str,
    sign_out: &'a str,
    headers: Vec<(&'a str, String)>,
}

/// The service's pages: `/api/whoami` for programs, every other path for people, so that links into a service can be
/// tried as well.
pub(super) fn router(
    service: Service,
    endpoint_prefix: &str,
    identity_headers: Vec<Arc<str>>,
) -> Router {
    let shown = Shown {
        service,
        sign_out: format!("{endpoint_prefix}/sign_out"),
        identity_headers,
    };
    Router::new()
        .route("/api/whoami", get(whoami))
        .fallback(get(page))
        .with_state(Arc::new(shown))
}

async fn page(State(shown): State<Arc<Shown>>, uri: Uri, headers: HeaderMap) -> Response {
    let target = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let page = Page {
        service: &shown.service,
        target,
        sign_out: &shown.sign_out,
        headers: identity(&shown, &headers),
    };
    match page.render() {
        Ok(html) => ([(header::CACHE_CONTROL, "no-store")], Html(html)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn whoami(State(shown): State<Arc<Shown>>, headers: HeaderMap) -> Response {
    let seen: Map<String, Value> = identity(&shown, &headers)
        .into_iter()
        .map(|(name, value)| (name.to_lowercase(), value.into()))
        .collect();
    let body = json!({"service": shown.service.name, "headers": seen});
    let kind = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (kind, body.to_string()).into_response()
}

/// The identity headers as they came, empty ones left out.
fn identity<'a>(shown: &'a Shown, headers: &HeaderMap) -> Vec<(&'a str, String)> {
    let value = |name: &str| {
        let values = headers.get_all(name).iter();
        let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        texts.collect::<Vec<_>>().join(", ")
    };
    let named = shown
        .identity_headers
        .iter()
        .map(|name| (&**name, value(name)));
    named.filter(|(_, value)| !value.is_empty()).collect()
}
