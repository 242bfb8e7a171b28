//! A plain listener that sends people to the public origin, and serves nothing.
//!
//! 308, not 301: a request that is not a GET is repeated as it was, where 301 lets browsers turn it into a GET and lose
//! what it carried. Only to hosts that are served here: the Host header is the client's to choose, and a redirect to
//! any would lend this server's name to other people's pages.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri,
    header::{CONTENT_TYPE, HOST, LOCATION},
    uri::PathAndQuery,
};
use http_body_util::Full;
use hyper::{body::Incoming, service::Service};

use crate::policy::{Host, Origin};

/// The service of such a listener. `K` says whether a host is served here.
#[derive(Clone, Debug)]
pub struct Redirect<K> {
    origin: Origin,
    knows: K,
}

/// Where authorities look whether a host is ours (RFC 8555 §8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";

// === impl Redirect ===

impl<K: Fn(&Host) -> bool> Redirect<K> {
    /// Redirects to `origin`.
    pub fn new(origin: Origin, knows: K) -> Self {
        Self { origin, knows }
    }

    fn answer(&self, uri: &Uri, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let host = match host(uri, headers) {
            Ok(host) => host.filter(|host| (self.knows)(host)),
            Err(problem) => return text(StatusCode::BAD_REQUEST, problem.to_owned()),
        };
        let Some(host) = host else {
            let unknown = "This host is not served here. Check the address.\n";
            return text(StatusCode::NOT_FOUND, unknown.to_owned());
        };
        let target = uri.path_and_query().map_or("", PathAndQuery::as_str);
        if !target.starts_with('/') {
            let problem = "The request's target is not a path.\n";
            return text(StatusCode::BAD_REQUEST, problem.to_owned());
        }
        if target.starts_with(CHALLENGES) {
            let nothing = "No ACME challenge is answered on this port. Prove the name with DNS (dns-01), or let the \
                           client that asks for the certificate listen on port 80 itself.\n";
            return text(StatusCode::NOT_FOUND, nothing.to_owned());
        }
        let location = format!("{}{target}", self.origin.of(host.as_str()));
        let Ok(value) = HeaderValue::try_from(&location) else {
            let problem = "The request's target is not a path.\n";
            return text(StatusCode::BAD_REQUEST, problem.to_owned());
        };
        let mut response = text(
            StatusCode::PERMANENT_REDIRECT,
            format!("This is at {location}\n"),
        );
        response.headers_mut().insert(LOCATION, value);
        response
    }
}

impl<K: Fn(&Host) -> bool> Service<Request<Incoming>> for Redirect<K> {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        ready(Ok(self.answer(request.uri(), request.headers())))
    }
}

/// The host that is asked: that of an absolute-form target, which counts more (RFC 9112 §3.2.2), or the one that the
/// one Host header names; `None` if it is no host name.
fn host(uri: &Uri, headers: &HeaderMap) -> Result<Option<Host>, &'static str> {
    let mut named = headers.get_all(HOST).iter();
    let (Some(header), None) = (named.next(), named.next()) else {
        return Err("A request must have exactly one Host header.\n");
    };
    let authority = match uri.authority() {
        Some(authority) => Some(authority.as_str()),
        None => header.to_str().ok(),
    };
    Ok(authority.and_then(Host::from_authority))
}

fn text(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Scheme;

    fn answer(port: u16, target: &str, hosts: &[&str]) -> (u16, String) {
        let origin = Origin {
            scheme: Scheme::Https,
            port,
        };
        let redirect = Redirect::new(origin, |host: &Host| host.as_str() == "wiki.example");
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(HOST, HeaderValue::from_str(host).unwrap());
        }
        let response = redirect.answer(&target.parse().unwrap(), &headers);
        let location = response.headers().get(LOCATION);
        (
            response.status().as_u16(),
            location.map_or_else(String::new, |value| value.to_str().unwrap().to_owned()),
        )
    }

    #[test]
    fn a_served_host_is_redirected_with_path_and_query() {
        for (target, hosts, location) in [
            (
                "/a/b?c=d&e=%20",
                "wiki.example",
                "https://wiki.example/a/b?c=d&e=%20",
            ),
            ("/", "WIKI.example:80", "https://wiki.example/"),
            ("/", "wiki.example.", "https://wiki.example/"),
            (
                "//evil.example/x",
                "wiki.example",
                "https://wiki.example//evil.example/x",
            ),
            (
                "http://wiki.example/x",
                "evil.example",
                "https://wiki.example/x",
            ),
        ] {
            let expected = (308, location.to_owned());
            assert_eq!(answer(443, target, &[hosts]), expected, "{target} {hosts}");
        }
        let expected = (308, "https://wiki.example:8443/x".to_owned());
        assert_eq!(answer(8443, "/x", &["wiki.example"]), expected);
    }

    #[test]
    fn nobody_is_sent_to_a_host_that_is_not_served_here() {
        for (target, hosts, status) in [
            ("/", &["evil.example"][..], 404),
            ("/", &["wiki.example.evil.example"], 404),
            ("/", &["wiki.example@evil.example"], 404),
            ("/", &["192.0.2.1"], 404),
            ("/", &["[::1]:80"], 404),
            ("/", &[""], 404),
            ("http://evil.example/", &["wiki.example"], 404),
            ("/", &["wiki.example", "evil.example"], 400),
            ("/", &[], 400),
            ("*", &["wiki.example"], 400),
            ("wiki.example:443", &["wiki.example"], 400),
        ] {
            let expected = (status, String::new());
            assert_eq!(answer(443, target, hosts), expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn challenges_of_certificate_authorities_are_neither_answered_nor_sent_on() {
        let target = "/.well-known/acme-challenge/token";
        assert_eq!(answer(443, target, &["wiki.example"]), (404, String::new()));
    }
}
