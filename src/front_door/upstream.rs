//! The services behind the front door: a pool of connections, streamed both ways.

use std::{error::Error, fmt, time::Duration};

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, header, uri::Authority};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};

use super::page::Problem;
use crate::{policy::Host, session};

/// Every service, by address.
pub(super) struct Upstreams {
    client: Client<HttpConnector, Body>,
    /// This process in `Via` (RFC 9110 §7.6.3), by which it knows a request it has sent itself.
    via: String,
}

/// A service that did not answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request has come round: the upstream is this front door.
    Loop,
    /// The route's upstream is not an address.
    Address,
    /// No connection, or it broke before the response.
    Broken(legacy::Error),
}

/// Below the keep-alive of common servers, so that a pooled connection is seldom closed under a request.
const IDLE: Duration = Duration::from_secs(4);

// === impl Upstreams ===

impl Upstreams {
    pub(super) fn new(connect_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            // The public name is the Host that services expect.
            .set_host(false)
            .build(connector);
        let mut id = [0; 4];
        session::random(&mut id);
        Self {
            client,
            via: format!("vestibule-{:08x}", u32::from_be_bytes(id)),
        }
    }

    /// Sends a request, whose headers are ready, to `http://NAME:PORT`.
    pub(super) async fn send(
        &self,
        upstream: &str,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, Failure> {
        if self.has_sent(request.headers()) {
            return Err(Failure::Loop);
        }
        let own =
            HeaderValue::try_from(format!("1.1 {}", self.via)).map_err(|_| Failure::Address)?;
        request.headers_mut().append(header::VIA, own);
        *request.uri_mut() = target(upstream, request.uri()).ok_or(Failure::Address)?;
        *request.version_mut() = http::Version::HTTP_11;
        self.client.request(request).await.map_err(Failure::Broken)
    }

    fn has_sent(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::VIA).iter();
        lines
            .filter_map(|line| line.to_str().ok())
            .any(|line| line.contains(&self.via))
    }
}

fn target(upstream: &str, asked: &Uri) -> Option<Uri> {
    let authority: Authority = upstream.strip_prefix("http://")?.parse().ok()?;
    let path = asked.path_and_query()?.clone();
    Uri::builder()
        .scheme("http")
        .authority(authority)
        .path_and_query(path)
        .build()
        .ok()
}

// === impl Failure ===

impl Failure {
    /// What people are told. The service's address is not theirs to know.
    pub(super) fn problem(&self, host: Host) -> Problem {
        match self {
            Self::Loop => Problem::Loop(host),
            Self::Address | Self::Broken(_) => Problem::Down(host),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Loop => f.write_str(
                "the backend of the Ingress is this front door itself; name the service's own port",
            ),
            Self::Address => f.write_str("the backend of the Ingress is not an address"),
            Self::Broken(error) => {
                write!(f, "{error}")?;
                let mut cause = error.source();
                while let Some(inner) = cause {
                    write!(f, ": {inner}")?;
                    cause = inner.source();
                }
                Ok(())
            }
        }
    }
}
