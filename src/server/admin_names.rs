//! By which names the admin listener is asked for.
//!
//! A page on the Internet can have its own host name resolve to this machine's loopback address or to a pod's (DNS
//! rebinding), and its browser then reads metrics and statuses for it as if they were the page's own. Such a request
//! says the page's host. Probes and scrapers say addresses, `localhost`, or names that no page has: names without a
//! dot (a Compose service, a Kubernetes Service in its namespace) and names under top-level domains that are nobody's.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, StatusCode, Uri, header::HOST};

use crate::policy::Host;

/// The names by which the admin listener is asked for, besides those that are nobody's.
#[derive(Clone, Debug, Default)]
pub struct AdminNames(Arc<[Host]>);

/// Ends of names that no page on the Internet has: reserved, or of clusters.
const NOBODYS: [&str; 5] = [
    ".localhost",
    ".svc",
    ".svc.cluster.local",
    ".internal",
    ".home.arpa",
];

const NOT_BY_THIS_NAME: &str = "The admin listener is asked for by an address, a name without a dot or a Kubernetes \
    Service's name (.svc), so that no page on the Internet can read it through a browser. If it is to be asked for by \
    this name, say so with --admin-host.\n";

// === impl AdminNames ===

impl AdminNames {
    /// These too.
    #[must_use]
    pub fn new(names: &[Host]) -> Self {
        Self(names.into())
    }

    /// The router, for whoever asks for it by one of the names.
    pub fn guard(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, judge))
    }

    fn are_asked(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let named = uri.authority().map(|authority| authority.as_str());
        let mut lines = headers.get_all(HOST).iter();
        named.is_none_or(|name| self.has(name))
            && lines.all(|line| line.to_str().is_ok_and(|name| self.has(name)))
    }

    fn has(&self, authority: &str) -> bool {
        if is_address(authority) {
            return true;
        }
        Host::from_authority(authority).is_some_and(|host| {
            let name = host.as_str();
            !name.contains('.')
                || NOBODYS.iter().any(|end| name.ends_with(end))
                || self.0.contains(&host)
        })
    }
}

async fn judge(State(names): State<AdminNames>, request: Request, next: Next) -> Response {
    if names.are_asked(request.uri(), request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::MISDIRECTED_REQUEST, NOT_BY_THIS_NAME).into_response()
    }
}

/// An address, with or without port and brackets.
fn is_address(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn probes_and_scrapers_are_answered_and_pages_on_the_internet_are_not() {
        let names = AdminNames::new(&[Host::parse("metrics.corp.example").unwrap()]);
        let asked = |uri: &str, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, HeaderValue::from_str(host).unwrap());
            names.are_asked(&uri.parse().unwrap(), &headers)
        };
        for host in [
            "127.0.0.1:9090",
            "10.1.2.3",
            "[::1]:9090",
            "[fd00::7]",
            "localhost:9090",
            "vestibule:9090",
            "vestibule-auth.vestibule.svc:9090",
            "vestibule-auth.vestibule.svc.cluster.local",
            "host.docker.internal:9090",
            "METRICS.corp.example.:80",
        ] {
            assert!(asked("/metrics", host), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "svc.evil.example",
            "x.svc.evil.example",
            "corp.example",
            "evil.example:localhost",
            "",
        ] {
            assert!(!asked("/metrics", host), "{host}");
        }
        assert!(!asked("http://evil.example/metrics", "localhost"));
        assert!(names.are_asked(&Uri::from_static("/"), &HeaderMap::new()));
    }
}
