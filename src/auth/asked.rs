//! A request to a public endpoint, read once: which host, by whom, with which parameters.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header::HOST, request::Parts};

use super::{Endpoint, audience, page::Page};
use crate::{
    policy::{Audience, Host, ReturnTo},
    session::{Jar, random},
};

/// What every public endpoint reads of a request.
pub(super) struct Asked {
    pub(super) host: Host,
    pub(super) audience: Audience,
    /// Names this request in its page and in the log.
    pub(super) request_id: String,
    headers: HeaderMap,
    query: Vec<(String, String)>,
}

// === impl Asked ===

impl Asked {
    /// The first value of a parameter. The first, because data planes append what a client sent behind what we wrote.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Where to return to after sign-in; the front page if the parameter is missing or not safe.
    pub(super) fn return_to(&self, endpoint: &Endpoint) -> ReturnTo {
        let Some(rd) = self.parameter("rd") else {
            return ReturnTo::root();
        };
        ReturnTo::parse(rd, &self.host, endpoint.installation.origin)
            .ok()
            .filter(|target| !endpoint.gate.is_endpoint(target.as_str()))
            .unwrap_or_else(|| {
                tracing::info!(host = %self.host, request_id = self.request_id, "the return target is not of this host or not safe; using /");
                ReturnTo::root()
            })
    }

    pub(super) fn jar(&self) -> Jar<'_> {
        Jar::of(&self.headers)
    }

    pub(super) fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.get(name).map(http::HeaderValue::as_bytes)
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

impl FromRequestParts<Arc<Endpoint>> for Asked {
    type Rejection = axum::response::Response;

    async fn from_request_parts(
        parts: &mut Parts,
        endpoint: &Arc<Endpoint>,
    ) -> Result<Self, Self::Rejection> {
        let request_id = request_id();
        let audience = audience(&parts.headers);
        let Some(host) = host(parts) else {
            return Err(Page::host_unreadable().answer(endpoint, audience, &request_id));
        };
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self {
            host,
            audience,
            request_id,
            query: query.into_owned().collect(),
            headers: std::mem::take(&mut parts.headers),
        })
    }
}

/// The host that was asked: of the Host header, which must stand alone and agree with an absolute-form target
/// (RFC 9112 §3.2).
fn host(parts: &Parts) -> Option<Host> {
    let mut lines = parts.headers.get_all(HOST).iter();
    let line = lines.next()?.to_str().ok()?;
    if lines.next().is_some() {
        return None;
    }
    let host = Host::from_authority(line)?;
    match parts.uri.authority() {
        Some(authority) if Host::from_authority(authority.as_str())? != host => None,
        _ => Some(host),
    }
}

fn request_id() -> String {
    let mut bytes = [0; 6];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
