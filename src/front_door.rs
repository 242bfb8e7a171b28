//! The in-process data plane of `serve` and `demo`: a small streaming reverse proxy that asks the gate about every
//! request, whatever its method, and sends what may pass to the service behind its host.
//!
//! Proxying itself is hyper's: its server reads and frames, hyper-util's pooled client writes and frames again, so
//! no octet of a request's framing is copied through. What lies between is here: who is asked (`asked`), which
//! headers may cross (`headers`) and what services are told of the way here (`forwarded`), what is passed on and how
//! long is waited for it (`forward`, `body`, `upstream`), connections that stop being HTTP (`upgrade`), and how long what
//! was let through goes on (`admission`).
//!
//! Services are spoken to in HTTP/1.1. Left out: HTTP/2 to services, extended CONNECT, trailers of requests, 1xx
//! responses of services but 101 (`Expect: 100-continue` is answered here, once a service is there to take the body).

mod admission;
mod asked;
mod body;
mod forward;
mod forwarded;
mod headers;
mod kept;
mod metrics;
mod page;
#[cfg(any(test, fuzzing))]
pub mod property;
mod settings;
mod upgrade;
mod upstream;

use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::{Router, body::Body};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, LOCATION, STRICT_TRANSPORT_SECURITY, TRANSFER_ENCODING},
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;

use self::{asked::Asked, body::Upload, page::Problem, upstream::Upstreams};
pub use self::{metrics::Metrics, settings::Settings};
use crate::{
    auth::{Answer, Gate, IdentityHeaders, Question, Refusal, audience, is_foreign},
    policy::Audience,
    published::{Found, Route, Service, Table},
};

/// The data plane: a service for `server::Listener`.
#[derive(Clone)]
pub struct FrontDoor(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    endpoint: TowerToHyperService<Router>,
    upstreams: Upstreams,
    settings: Settings,
    metrics: Metrics,
}

/// What happens to a request whose host is known.
enum Way {
    /// To the auth endpoint.
    Endpoint,
    /// To the service at this address, with these headers.
    Service(Arc<str>, Option<IdentityHeaders>),
    /// To the page that signs people in or says why they may not enter.
    Start(Response<Body>),
    /// Nowhere.
    Stop(Problem),
}

// === impl FrontDoor ===

impl FrontDoor {
    /// Serves the hosts of the gate's Table; what lies under the endpoint prefix goes to `endpoint`, the public
    /// router.
    #[must_use]
    pub fn new(gate: Arc<Gate>, endpoint: Router, settings: Settings, metrics: Metrics) -> Self {
        Self(Arc::new(Inner {
            gate,
            endpoint: TowerToHyperService::new(endpoint),
            upstreams: Upstreams::new(&settings),
            settings,
            metrics,
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for FrontDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let inner = Arc::clone(&self.0);
        Box::pin(async move {
            let mut response = inner.answer(request.map(Body::new)).await;
            if let Some(hsts) = &inner.settings.hsts {
                // Whoever runs the front door answers for TLS on its hosts; a service's `max-age=0` must not undo it.
                let headers = response.headers_mut();
                headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
            }
            Ok(response)
        })
    }
}

// === impl Inner ===

impl Inner {
    async fn answer(self: &Arc<Self>, mut request: Request<Body>) -> Response<Body> {
        let asked = match Asked::read(&request) {
            Ok(asked) => asked,
            Err(problem) => return self.stop(&problem, request.headers().get(ACCEPT)),
        };
        asked.settle(&mut request);
        let headers = request.headers_mut();
        if headers.contains_key(TRANSFER_ENCODING) && !upstream::is_chunked(headers) {
            return self.stop(&Problem::Coding, headers.get(ACCEPT));
        }
        let origin = self.gate.installation().origin;
        if upgrade::asks(headers) && is_foreign(headers, asked.host.as_str(), origin) {
            // Judged as if nobody were signed in: browsers send cookies with a WebSocket from any page of the same site.
            headers::strip_our_cookies(headers);
        }
        let stopped = match self.way(&request, &asked) {
            Way::Endpoint => {
                use hyper::service::Service as _;
                let Ok(response) = self.endpoint.call(request).await;
                return response;
            }
            Way::Service(upstream, identity) => {
                return self.forward(request, asked, upstream, identity).await;
            }
            Way::Start(response) => response,
            Way::Stop(problem) => self.stop(&problem, request.headers().get(ACCEPT)),
        };
        // Whoever is still sending reads the answer afterwards.
        drop(Upload::of(request, None));
        stopped
    }

    /// What a client is told whose request gets no further.
    fn stop(&self, problem: &Problem, accepted: Option<&HeaderValue>) -> Response<Body> {
        self.metrics.stopped(problem.name());
        page::show(problem, accepted)
    }

    fn way<B>(&self, request: &Request<B>, asked: &Asked) -> Way {
        if self.gate.is_auth_host(asked.host.as_str()) {
            return Way::Endpoint;
        }
        let table = self.gate.table().load();
        let Some(entry) = table.host(&asked.host) else {
            return Way::Stop(Problem::UnknownHost);
        };
        if self.gate.is_endpoint(request.uri().path()) {
            return Way::Endpoint;
        }
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        match entry.route(target) {
            Found::Nothing => Way::Stop(Problem::NoRoute(asked.host.clone())),
            Found::Unclear => Way::Stop(Problem::PathUnclear),
            Found::Route(route) => self.judged(request, asked, route, target, &table),
        }
    }

    /// Every request for a protected service, whatever its method, passes here.
    fn judged<B>(
        &self,
        request: &Request<B>,
        asked: &Asked,
        route: &Route,
        target: &str,
        table: &Table,
    ) -> Way {
        let upstream = Arc::clone(&route.upstream);
        let Some(id) = &route.service else {
            return Way::Service(upstream, None);
        };
        let Some(service) = table.service(id.as_str()) else {
            return Way::Stop(Problem::NoPolicy(asked.host.clone()));
        };
        let question = Question {
            service,
            host: asked.host.as_str(),
            target: Some(target),
            headers: request.headers(),
        };
        let address = || {
            let origin = self.gate.installation().origin;
            origin.of(asked.host.as_str())
        };
        match self.gate.judge(&question) {
            Answer::Pass(identity) => Way::Service(upstream, Some(identity)),
            Answer::SignIn if audience(request.headers()) == Audience::Program => {
                Way::Stop(Problem::SignInNeeded(address()))
            }
            Answer::SignIn | Answer::Refuse(Refusal { page_follows: true }) => {
                Way::Start(self.to_start(service, request.method(), target))
            }
            Answer::Refuse(_) => Way::Stop(Problem::Refused(address())),
        }
    }

    /// To the page that signs people in or says why they may not enter, as ingress-nginx sends them there.
    fn to_start(&self, service: &Service, method: &Method, target: &str) -> Response<Body> {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("m", method.as_str())
            .append_pair("rd", target);
        let prefix = &self.gate.installation().endpoint_prefix;
        let location = format!("{prefix}/start/{}?{}", service.id, query.finish());
        let mut response = Response::new(Body::empty());
        // 303: the page is fetched with GET, whatever was asked for.
        *response.status_mut() = StatusCode::SEE_OTHER;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Ok(location) = HeaderValue::try_from(location) {
            headers.insert(LOCATION, location);
        }
        response
    }
}
