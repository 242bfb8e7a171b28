//! The check: `/verify/nginx/NAMESPACE/INGRESS`, asked by the data plane before it touches the service. The
//! hot path, in one view: parse, look up, judge, answer. It allocates little, takes no lock, does no I/O.

use std::{convert::Infallible, future::Ready, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CACHE_CONTROL};
use http_body_util::Full;

use super::{
    Answer, Gate, Question,
    gate::{NO_STORE, asks_for_http2},
};
use crate::dataplane::check;

/// The check listener's service. It answers 200, 401 or 403 and nothing else, ever.
#[derive(Clone)]
pub struct Verify {
    gate: Arc<Gate>,
}

// === impl Verify ===

impl Verify {
    /// Answers by this gate.
    #[must_use]
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    /// Answers one check.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        let checks = &self.gate.metrics().checks;
        let uri = request.uri();
        // Data planes ask with GET, or as an Ingress's auth-method says; `m` is the client's method.
        let Ok(check) = check::parse(uri.path(), uri.query().unwrap_or_default()) else {
            checks.malformed.inc();
            return bare(StatusCode::FORBIDDEN);
        };
        if self.gate.sees_disguised(request.headers()) {
            checks.disguised_header.inc();
            return bare(StatusCode::FORBIDDEN);
        }
        if asks_for_http2(request.headers()) {
            checks.http2_upgrade.inc();
            return bare(StatusCode::FORBIDDEN);
        }
        let table = self.gate.table().load();
        let service = table.service(check.service).filter(|service| {
            service
                .hosts
                .iter()
                .any(|pattern| pattern.covers(check.host))
        });
        let Some(service) = service else {
            checks.unknown_service.inc();
            return bare(StatusCode::FORBIDDEN);
        };
        let question = Question {
            service,
            host: check.host,
            target: Some(&check.target),
            headers: request.headers(),
        };
        respond(self.gate.judge(&question))
    }
}

impl<B> hyper::service::Service<Request<B>> for Verify {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        std::future::ready(Ok(self.answer(&request)))
    }
}

/// An answer as every asker of `auth_request` kind understands it.
pub(super) fn respond(answer: Answer) -> Response<Full<Bytes>> {
    match answer {
        Answer::Pass(headers) => carrying(StatusCode::OK, headers.answer()),
        Answer::SignIn => bare(StatusCode::UNAUTHORIZED),
        Answer::Refuse(refusal) if refusal.page_follows => bare(StatusCode::UNAUTHORIZED),
        Answer::Refuse(_) => bare(StatusCode::FORBIDDEN),
    }
}

pub(super) fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    carrying(status, HeaderMap::from_iter([(CACHE_CONTROL, NO_STORE)]))
}

fn carrying(status: StatusCode, headers: HeaderMap) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
