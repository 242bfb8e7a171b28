//! The in-process data plane of `serve` and `demo`: a small streaming reverse proxy that asks the gate about every
//! request, whatever its method, and sends what may pass to the service behind its host.
//!
//! Proxying itself is hyper's: its server reads and frames, hyper-util's pooled client writes and frames again, so
//! no octet of a request's framing is copied through. What lies between is here: who is asked (`asked`), which
//! route serves it (`route`), which headers may cross (`headers`). HTTP/2, TLS and upgrades are not spoken yet; an
//! Upgrade header is removed, so that the service answers in HTTP/1.1.

mod asked;
mod gate;
mod headers;
mod page;
mod route;
mod upstream;

use std::{convert::Infallible, pin::Pin, sync::Arc};

use arc_swap::ArcSwap;
use axum::{Router, body::Body};
use http::{HeaderName, Request, Response, Uri, header, uri::PathAndQuery};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;

pub use self::gate::{Answer, Gate, Visitor};
use self::{asked::Asked, page::Problem, route::Found, upstream::Upstreams};
use crate::{
    published::{Installation, Table},
    server::Peer,
};

/// The data plane: a service for `server::Listener`.
#[derive(Clone)]
pub struct FrontDoor(Arc<Inner>);

struct Inner {
    installation: Arc<Installation>,
    identity_headers: Vec<HeaderName>,
    table: Arc<ArcSwap<Table>>,
    gate: Gate,
    endpoint: TowerToHyperService<Router>,
    upstreams: Upstreams,
}

// === impl FrontDoor ===

impl FrontDoor {
    /// Serves the hosts of `table`; what lies under the endpoint prefix goes to `endpoint`, the public router.
    #[must_use]
    pub fn new(
        installation: Arc<Installation>,
        table: Arc<ArcSwap<Table>>,
        gate: Gate,
        endpoint: Router,
    ) -> Self {
        let names = installation.identity_headers.iter();
        Self(Arc::new(Inner {
            identity_headers: names.filter_map(|name| name.parse().ok()).collect(),
            installation,
            table,
            gate,
            endpoint: TowerToHyperService::new(endpoint),
            upstreams: Upstreams::new(),
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for FrontDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move { Ok(inner.answer(request.map(Body::new)).await) })
    }
}

// === impl Inner ===

impl Inner {
    async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        let asked = match Asked::read(&request) {
            Ok(asked) => asked,
            Err(problem) => return page::show(&problem, request.headers()),
        };
        asked.settle(&mut request);
        let table = self.table.load();
        let entry = table.host(&asked.host);
        let is_auth_host = self.installation.auth_host.as_ref() == Some(&asked.host);
        if (is_auth_host && entry.is_none()) || self.is_for_endpoint(request.uri()) {
            if entry.is_none() && !is_auth_host {
                return page::show(&Problem::UnknownHost, request.headers());
            }
            drop(table);
            return self.endpoint(request).await;
        }
        let Some(entry) = entry else {
            return page::show(&Problem::UnknownHost, request.headers());
        };
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        let route = match route::find(entry, target) {
            Found::Route(route) => route,
            Found::Nothing => return page::show(&Problem::NoRoute(asked.host), request.headers()),
            Found::Unclear => return page::show(&Problem::PathUnclear, request.headers()),
        };
        let mut identity = Vec::new();
        if let Some(id) = &route.service {
            let Some(service) = table.service(id.as_str()) else {
                return page::show(&Problem::NoPolicy(asked.host), request.headers());
            };
            let visitor = Visitor {
                host: &asked.host,
                method: request.method(),
                target,
                headers: request.headers(),
            };
            match (self.gate)(service, &visitor) {
                Answer::Pass(headers) => identity = headers,
                Answer::Stop(response) => return *response,
            }
        }
        let upstream = Arc::clone(&route.upstream);
        drop(table);
        self.forward(request, &asked, &upstream, identity).await
    }

    fn is_for_endpoint(&self, uri: &Uri) -> bool {
        let rest = uri.path().strip_prefix(&*self.installation.endpoint_prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    async fn endpoint(&self, request: Request<Body>) -> Response<Body> {
        use hyper::service::Service as _;
        let Ok(response) = self.endpoint.call(request).await;
        response
    }

    async fn forward(
        &self,
        mut request: Request<Body>,
        asked: &Asked,
        upstream: &str,
        identity: Vec<(HeaderName, http::HeaderValue)>,
    ) -> Response<Body> {
        let peer = request.extensions().get::<Peer>().copied();
        let accepted = request.headers().get(header::ACCEPT).cloned();
        let headers = request.headers_mut();
        headers::strip_hop_by_hop(headers);
        headers::strip_claims(headers, &self.identity_headers);
        headers::strip_our_cookies(headers);
        headers::set_forwarded(headers, peer, &asked.authority, self.installation.origin);
        for (name, value) in identity {
            headers.insert(name, value);
        }
        match self.upstreams.send(upstream, request).await {
            Ok(mut response) => {
                headers::strip_hop_by_hop(response.headers_mut());
                headers::strip_our_set_cookies(response.headers_mut());
                response.map(Body::new)
            }
            Err(failure) => {
                tracing::warn!(
                    host = %asked.host,
                    upstream,
                    error = %failure,
                    "the service behind a host does not answer"
                );
                page::show_as(&failure.problem(asked.host.clone()), accepted.as_ref())
            }
        }
    }
}
