//! A request to a public endpoint, read once: which host, by whom, with which parameters.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{
    HeaderMap, Method,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING},
    request::Parts,
};

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
    method: Method,
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

    /// Whether a parameter stands there more than once, which OAuth forbids (RFC 6749 §3.1): two readers could take
    /// different ones.
    pub(super) fn repeats(&self, name: &str) -> bool {
        self.query.iter().filter(|(n, _)| n == name).count() > 1
    }

    /// Where to return to after sign-in: what the parameter says, else what plain nginx says was asked for; the
    /// front page if neither is safe.
    pub(super) fn return_to(&self, endpoint: &Endpoint) -> ReturnTo {
        let rd = match (self.parameter("rd"), self.header("x-auth-request-redirect")) {
            (Some(rd), _) if rd.is_ascii() => as_a_link_says_it(rd.as_bytes()),
            (Some(_), _) => String::new(),
            (None, Some(target)) => as_a_link_says_it(target),
            (None, None) => return ReturnTo::root(),
        };
        // nginx says it of every page of ours as well.
        if self.parameter("rd").is_none() && endpoint.gate.is_endpoint(&rd) {
            return ReturnTo::root();
        }
        ReturnTo::parse(&rd, &self.host, endpoint.installation.origin)
            .ok()
            .filter(|target| !endpoint.gate.is_endpoint(target.as_str()))
            .unwrap_or_else(|| {
                tracing::info!(host = %self.host, request_id = self.request_id, "the return target is not of this host or not safe; using /");
                ReturnTo::root()
            })
    }

    /// Whether the browser was sending something: returning to it would ask for a page instead, and what was sent
    /// would be lost in silence. Data planes say the method, or turn it into GET and keep what describes a body.
    pub(super) fn was_sending(&self) -> bool {
        let asks = |method: &str| method == "GET" || method == "HEAD";
        let describes_a_body = [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING, ORIGIN];
        !asks(self.method.as_str())
            || self.parameter("m").is_some_and(|method| !asks(method))
            || describes_a_body
                .iter()
                .any(|name| self.headers.contains_key(name))
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
            method: parts.method.clone(),
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

/// A data plane's `$request_uri` as the client wrote it, in the form that a link has: browsers leave some octets bare
/// that RFC 3986 wants encoded (`?label[]=bug`). Those that some reader takes for others stay, for `ReturnTo` to refuse.
fn as_a_link_says_it(target: &[u8]) -> String {
    let mut link = String::with_capacity(target.len());
    for octet in target {
        match octet {
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' | 0x80.. => {
                link.push_str(&format!("%{octet:02X}"));
            }
            _ => link.push(char::from(*octet)),
        }
    }
    link
}

fn request_id() -> String {
    let mut bytes = [0; 6];
    random(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}
