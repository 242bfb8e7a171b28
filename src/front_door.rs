//! The in-process data plane of `serve` and `demo`: a small streaming reverse proxy that asks the gate about every
//! request, whatever its method, and sends what may pass to the service behind its host.
//!
//! Proxying itself is hyper's: its server reads and frames, hyper-util's pooled client writes and frames again, so
//! no octet of a request's framing is copied through. What lies between is here: who is asked (`asked`) and which
//! headers may cross (`headers`). HTTP/2, TLS and upgrades are not spoken yet; an Upgrade header is removed, so that
//! the service answers in HTTP/1.1.

mod asked;
mod headers;
mod page;
mod settings;
mod upstream;

use std::{convert::Infallible, pin::Pin, sync::Arc};

use axum::{Router, body::Body};
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, CACHE_CONTROL, LOCATION, STRICT_TRANSPORT_SECURITY},
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use hyper_util::service::TowerToHyperService;

pub use self::settings::Settings;
use self::{asked::Asked, page::Problem, upstream::Upstreams};
use crate::{
    auth::{Answer, Gate, IdentityHeaders, Question, Refusal, audience},
    policy::Audience,
    published::{Found, Route, Service, Table},
    server::Peer,
};

/// The data plane: a service for `server::Listener`.
#[derive(Clone)]
pub struct FrontDoor(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    endpoint: TowerToHyperService<Router>,
    upstreams: Upstreams,
    hsts: Option<HeaderValue>,
}

/// What happens to a request whose host is known.
enum Way {
    /// To the auth endpoint.
    Endpoint,
    /// To the service at this address, with these headers.
    Service(Arc<str>, Option<IdentityHeaders>),
    /// Nowhere.
    Stop(Response<Body>),
}

// === impl FrontDoor ===

impl FrontDoor {
    /// Serves the hosts of the gate's Table; what lies under the endpoint prefix goes to `endpoint`, the public
    /// router.
    #[must_use]
    pub fn new(gate: Arc<Gate>, endpoint: Router, settings: Settings) -> Self {
        let upstreams = Upstreams::new(settings.connect_timeout);
        Self(Arc::new(Inner {
            gate,
            endpoint: TowerToHyperService::new(endpoint),
            upstreams,
            hsts: settings.hsts,
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
            if let Some(hsts) = &inner.hsts {
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
    async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        let asked = match Asked::read(&request) {
            Ok(asked) => asked,
            Err(problem) => return page::show(&problem, request.headers().get(ACCEPT)),
        };
        asked.settle(&mut request);
        match self.way(&request, &asked) {
            Way::Endpoint => {
                use hyper::service::Service as _;
                let Ok(response) = self.endpoint.call(request).await;
                response
            }
            Way::Service(upstream, identity) => {
                self.forward(request, &asked, &upstream, identity).await
            }
            Way::Stop(response) => response,
        }
    }

    fn way(&self, request: &Request<Body>, asked: &Asked) -> Way {
        let stop = |problem| Way::Stop(page::show(&problem, request.headers().get(ACCEPT)));
        let table = self.gate.table().load();
        let entry = table.host(&asked.host);
        let is_auth_host = self.gate.installation().auth_host.as_ref() == Some(&asked.host);
        let Some(entry) = entry else {
            return if is_auth_host {
                Way::Endpoint
            } else {
                stop(Problem::UnknownHost)
            };
        };
        if self.gate.is_endpoint(request.uri().path()) {
            return Way::Endpoint;
        }
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        match entry.route(target) {
            Found::Nothing => stop(Problem::NoRoute(asked.host.clone())),
            Found::Unclear => stop(Problem::PathUnclear),
            Found::Route(route) => self.judged(request, asked, route, target, &table),
        }
    }

    /// Every request for a protected service, whatever its method, passes here.
    fn judged(
        &self,
        request: &Request<Body>,
        asked: &Asked,
        route: &Route,
        target: &str,
        table: &Table,
    ) -> Way {
        let stop = |problem| Way::Stop(page::show(&problem, request.headers().get(ACCEPT)));
        let upstream = Arc::clone(&route.upstream);
        let Some(id) = &route.service else {
            return Way::Service(upstream, None);
        };
        let Some(service) = table.service(id.as_str()) else {
            return stop(Problem::NoPolicy(asked.host.clone()));
        };
        let question = Question {
            service,
            host: asked.host.as_str(),
            target: Some(target),
            headers: request.headers(),
        };
        match self.gate.judge(&question) {
            Answer::Pass(identity) => Way::Service(upstream, Some(identity)),
            Answer::SignIn if audience(request.headers()) == Audience::Program => {
                stop(Problem::SignInNeeded(asked.host.clone()))
            }
            Answer::SignIn | Answer::Refuse(Refusal { page_follows: true }) => {
                Way::Stop(self.to_start(service, request.method(), target))
            }
            Answer::Refuse(_) => stop(Problem::Refused(asked.host.clone())),
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

    async fn forward(
        &self,
        mut request: Request<Body>,
        asked: &Asked,
        upstream: &str,
        identity: Option<IdentityHeaders>,
    ) -> Response<Body> {
        let peer = request.extensions().get::<Peer>().copied();
        let accepted = request.headers().get(ACCEPT).cloned();
        let headers = request.headers_mut();
        headers::strip_hop_by_hop(headers);
        headers::strip_claims(headers, self.gate.identity_header_names());
        headers::strip_our_cookies(headers);
        let origin = self.gate.installation().origin;
        headers::set_forwarded(headers, peer, &asked.authority, origin);
        for (name, value) in identity.into_iter().flatten() {
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
                page::show(&failure.problem(asked.host.clone()), accepted.as_ref())
            }
        }
    }
}
