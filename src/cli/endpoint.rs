//! The auth endpoint, put together from its parts: the same for `auth`, `serve` and `demo`.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{self, Endpoint, Gate, Proxies},
    clock::Clock,
    provider::{self, Providers},
    published::{Installation, KeyRing, Observation, Table},
    server::{self, AdminNames, Limits, Listener, ListenerMetrics, Readiness, admin_router},
    session::Keys,
};

/// The gate and the people's router over one Table and one key ring.
pub(super) struct Parts {
    pub(super) gate: Arc<Gate>,
    pub(super) router: Router,
    /// What the endpoint learns; whoever writes statuses or logs reads it.
    pub(super) observations: mpsc::Receiver<Observation>,
}

/// Puts the endpoint together and registers its metrics.
pub(super) fn assemble(
    installation: Arc<Installation>,
    table: Arc<ArcSwap<Table>>,
    keys: Arc<ArcSwap<Option<Keys>>>,
    proxies: Proxies,
    clock: Clock,
    limits: provider::Limits,
    registry: &mut Registry,
) -> anyhow::Result<Parts> {
    let (observe, observations) = mpsc::channel(100);
    let metrics = auth::Metrics::register(registry);
    let providers = Providers::within(
        limits,
        clock.clone(),
        observe,
        provider::Metrics::register(registry),
    );
    let gate = Gate::new(installation, table, keys, clock, metrics).context("--identity-header")?;
    let gate = Arc::new(gate);
    let router = Arc::new(Endpoint::new(Arc::clone(&gate), providers)).router(proxies);
    Ok(Parts {
        gate,
        router,
        observations,
    })
}

/// Keeps the derived keys in step with the ring. A ring that vanishes changes nothing: sessions go on with the last
/// one (docs/security.md, 8).
pub(super) async fn follow_key_ring(
    mut ring: watch::Receiver<Option<Arc<KeyRing>>>,
    keys: Arc<ArcSwap<Option<Keys>>>,
    readiness: Readiness,
    part: &'static str,
) {
    loop {
        let current = ring.borrow_and_update().clone();
        if let Some(current) = current {
            keys.store(Arc::new(Some(Keys::new(current))));
            readiness.report(part);
        }
        if ring.changed().await.is_err() {
            return;
        }
    }
}

/// Logs what the endpoint learns, each thing once until it changes, and shows it to whoever keeps a status.
pub(super) async fn follow_observations(
    mut observations: mpsc::Receiver<Observation>,
    show: impl Fn(&Observation),
) {
    let mut known: HashMap<(Arc<str>, bool), Option<Arc<str>>> = HashMap::new();
    while let Some(observation) = observations.recv().await {
        show(&observation);
        let (provider, is_discovery, failure) = match observation {
            Observation::Discovery { provider, failure } => (provider, true, failure),
            Observation::Client { provider, failure } => (provider, false, failure),
        };
        let before = known.insert((Arc::clone(&provider), is_discovery), failure.clone());
        if before.as_ref() == Some(&failure) {
            continue;
        }
        let provider = &*provider;
        match (failure, is_discovery) {
            (Some(failure), true) => tracing::warn!(
                provider,
                failure = &*failure,
                "the identity provider's discovery failed"
            ),
            (None, true) => tracing::info!(provider, "the identity provider's discovery works"),
            (Some(failure), false) => tracing::error!(
                provider,
                failure = &*failure,
                "nobody can sign in with the identity provider"
            ),
            (None, false) => tracing::info!(provider, "the identity provider knows this client"),
        }
    }
}

/// Serves a router on an address until `stop`.
pub(super) async fn serve_router(
    address: SocketAddr,
    limits: Limits,
    metrics: ListenerMetrics,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = Listener::bind(address, limits).await?.counted(metrics);
    let bound = listener.address()?;
    Ok((
        bound,
        tokio::spawn(listener.serve(TowerToHyperService::new(router), stop)),
    ))
}

/// Serves health and metrics.
pub(super) async fn serve_admin(
    address: SocketAddr,
    readiness: Readiness,
    registry: Registry,
    names: AdminNames,
    listeners: &server::Metrics,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let metrics = listeners.listener("admin");
    let router = names.guard(admin_router(readiness, registry));
    serve_router(address, Limits::of_admin(), metrics, router, stop).await
}
