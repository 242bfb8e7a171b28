//! The HTTP surface: the check that proxies ask, and the pages that people meet.
//!
//! `gate` judges one request and is all that `verify` (a cluster's data planes), `auth_request` (plain nginx)
//! and the front door have in common. The rest is sign-in: `start` sends a person to a provider or to the auth
//! host, `callback` takes them back, `finish` receives a hand-off, `sign_out` ends it. One file per endpoint.

mod asked;
mod audience;
mod audit;
mod auth_request;
mod begin;
mod callback;
mod finish;
mod gate;
mod metrics;
mod other_origin;
mod page;
mod sign_out;
mod start;
mod verify;
mod whoami;

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::{
    Router,
    extract::{Path, Request},
    routing::{any, get},
};
use http::HeaderName;

use crate::{
    clock::Clock,
    policy::Host,
    provider::Providers,
    published::{Installation, ServiceId, Table},
    session::{Keys, Names},
};

use auth_request::AuthRequest;

pub use audience::audience;
#[cfg(fuzzing)]
pub use auth_request::property as original_uri_property;
pub use gate::{Answer, DECIDING, Gate, IdentityHeaders, Question, Refusal};
pub(crate) use gate::{as_read, reads_as};
pub use metrics::Metrics;
pub use other_origin::is_foreign;
pub use verify::Verify;

/// What every public endpoint needs.
pub struct Endpoint {
    installation: Arc<Installation>,
    table: Arc<ArcSwap<Table>>,
    keys: Arc<ArcSwap<Option<Keys>>>,
    providers: Providers,
    gate: Arc<Gate>,
    clock: Clock,
    names: Names,
    metrics: Metrics,
}

/// Which endpoints there are besides those that people meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// Proxies ask on the check listener; the public listener answers people alone.
    AskElsewhere,
    /// Plain nginx asks `/oauth2/auth` here, as it did of oauth2-proxy.
    AskHere {
        /// The header in which every nginx says which target it asks about; `None`: no header is believed.
        original_uri: Option<HeaderName>,
    },
}

// === impl Endpoint ===

impl Endpoint {
    /// Brings the parts together. `gate` must have been made from the same table and keys.
    #[must_use]
    pub fn new(gate: Arc<Gate>, providers: Providers) -> Self {
        Self {
            installation: Arc::clone(gate.installation()),
            table: Arc::clone(gate.table()),
            keys: Arc::clone(gate.keys()),
            clock: gate.clock().clone(),
            names: gate.names(),
            metrics: gate.metrics().clone(),
            providers,
            gate,
        }
    }

    /// The public listener's routes.
    pub fn router(self: Arc<Self>, proxies: Proxies) -> Router {
        let routes = Router::new()
            .route("/start", get(start::by_host))
            .route("/start/{namespace}/{ingress}", get(start::by_name))
            .route("/sign_in", any(start::by_host))
            .route("/callback/{provider}", get(callback::callback))
            .route("/finish", get(finish::finish))
            .route("/sign_out", get(sign_out::ask).post(sign_out::act))
            .route("/userinfo", get(whoami::userinfo))
            .route("/session", get(whoami::session));
        let routes = match proxies {
            Proxies::AskElsewhere => routes,
            Proxies::AskHere { original_uri } => {
                let checks = Arc::new(AuthRequest::new(Arc::clone(&self), original_uri));
                let by_host = Arc::clone(&checks);
                let ask_by_host = async move |request: Request| {
                    let (parts, _) = request.into_parts();
                    by_host.answer(parts, None).await
                };
                let ask_by_name = async move |Path((namespace, name)): Path<(String, String)>,
                                              request: Request| {
                    let (parts, _) = request.into_parts();
                    let service = ServiceId::new(&namespace, &name);
                    checks.answer(parts, Some(service)).await
                };
                routes
                    .route("/auth", any(ask_by_host))
                    .route("/auth/{namespace}/{name}", any(ask_by_name))
            }
        };
        Router::new()
            .nest(&self.installation.endpoint_prefix.clone(), routes)
            .fallback(page::not_found)
            .method_not_allowed_fallback(page::no_such_method)
            .with_state(self)
    }

    /// `scheme://host[:port]` + prefix + path.
    fn url(&self, host: &Host, path: &str) -> String {
        let origin = self.installation.origin.of(host.as_str());
        format!("{origin}{}{path}", self.installation.endpoint_prefix)
    }
}

#[cfg(test)]
mod tests;
