//! Which host a request asks, settled once: two readings of it are the way around every rule that is written by host.

use axum::body::Body;
use http::{HeaderValue, Method, Request, Uri, header};

use super::page::Problem;
use crate::policy::Host;

/// The host that is asked.
pub(super) struct Asked {
    /// Without port and trailing dot, in lower case.
    pub(super) host: Host,
    /// The host with the port that the client named.
    pub(super) authority: HeaderValue,
}

// === impl Asked ===

impl Asked {
    /// Reads the host from an absolute-form target, which counts more than the Host header (RFC 9112 §3.2.2), or
    /// from the one Host header there has to be.
    pub(super) fn read(request: &Request<Body>) -> Result<Self, Problem> {
        if request.method() == Method::CONNECT {
            return Err(Problem::Unreadable(
                "CONNECT asks for a tunnel, and none is given here.",
            ));
        }
        let mut named = request.headers().get_all(header::HOST).iter();
        let (Some(header), None) = (named.next(), named.next()) else {
            return Err(Problem::Unreadable(
                "A request must have exactly one Host header.",
            ));
        };
        let uri = request.uri();
        let text = match (uri.authority(), uri.scheme_str()) {
            (Some(authority), Some("http" | "https")) => authority.as_str(),
            (None, None) => header.to_str().map_err(|_| Problem::UnknownHost)?,
            _ => {
                return Err(Problem::Unreadable(
                    "The request's target has an unknown scheme.",
                ));
            }
        };
        if !uri.path().starts_with('/') {
            return Err(Problem::Unreadable("The request's target is not a path."));
        }
        let host = Host::from_authority(text).ok_or(Problem::UnknownHost)?;
        let authority = match text.split_once(':') {
            Some((_, port)) => HeaderValue::try_from(format!("{host}:{port}")),
            None => HeaderValue::from_str(host.as_str()),
        };
        Ok(Self {
            authority: authority.map_err(|_| Problem::UnknownHost)?,
            host,
        })
    }

    /// Writes the reading back, so that whoever is asked next cannot read anything else.
    pub(super) fn settle(&self, request: &mut Request<Body>) {
        request
            .headers_mut()
            .insert(header::HOST, self.authority.clone());
        if request.uri().authority().is_some() {
            let path = request.uri().path_and_query().cloned();
            *request.uri_mut() = path.map_or_else(Uri::default, Uri::from);
        }
    }
}
