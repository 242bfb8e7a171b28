//! The auth endpoint, put together from its parts: the same for `auth`, `serve` and `demo`.

use std::{net::SocketAddr, sync::Arc};

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
    server::{Limits, Listener, Readiness, admin_router},
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
    registry: &mut Registry,
) -> anyhow::Result<Parts> {
    let (observe, observations) = mpsc::channel(100);
    let metrics = auth::Metrics::register(registry);
    let providers = Providers::new(
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
/// one (DESIGN §5.8).
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

/// Logs what the endpoint learns, where no controller writes statuses.
pub(super) async fn log_observations(mut observations: mpsc::Receiver<Observation>) {
    while let Some(observation) = observations.recv().await {
        match observation {
            Observation::Discovery {
                provider,
                failure: Some(failure),
            } => {
                tracing::warn!(
                    provider = &*provider,
                    failure = &*failure,
                    "the identity provider's discovery failed"
                );
            }
            Observation::Discovery {
                provider,
                failure: None,
            } => {
                tracing::info!(
                    provider = &*provider,
                    "the identity provider's discovery works"
                );
            }
        }
    }
}

/// Serves a router on an address until `stop`.
pub(super) async fn serve_router(
    address: SocketAddr,
    router: Router,
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    let listener = Listener::bind(address, Limits::default()).await?;
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
    stop: CancellationToken,
) -> anyhow::Result<(SocketAddr, tokio::task::JoinHandle<()>)> {
    serve_router(address, admin_router(readiness, registry), stop).await
}
