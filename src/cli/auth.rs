//! `vestibule auth`: the shared auth endpoint of a cluster, any number of equal replicas.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use arc_swap::ArcSwap;
use clap::Args;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::endpoint::{assemble, follow_key_ring, follow_observations, serve_admin, serve_router};
use crate::{
    auth::{Proxies, Verify},
    clock::Clock,
    cluster::{
        metrics::Metrics,
        source::{self, Role},
    },
    resolve::{Place, Settings},
    server::{self, CheckListener, Limits, Readiness, connections_that_fit, stop_on_signal},
    settings::{AdminOptions, InstallationOptions, LimitOptions, LogOptions},
    telemetry,
};

/// Options of `vestibule auth`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Where data planes ask; reachable for them alone
    #[arg(
        long,
        env = "VESTIBULE_CHECK_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:4181"
    )]
    check_listen: SocketAddr,

    /// Where people sign in
    #[arg(
        long,
        env = "VESTIBULE_PUBLIC_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:4180"
    )]
    public_listen: SocketAddr,

    /// Where health and metrics are served
    #[arg(
        long,
        env = "VESTIBULE_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "0.0.0.0:9090"
    )]
    admin_listen: SocketAddr,

    #[command(flatten)]
    admin: AdminOptions,

    /// After the signal to stop: how long requests are still taken, until every proxy has noticed
    #[arg(
        long,
        env = "VESTIBULE_LINGER",
        value_name = "SECONDS",
        default_value_t = 5
    )]
    linger: u64,

    #[command(flatten)]
    limits: LimitOptions,

    #[command(flatten)]
    installation: InstallationOptions,

    #[command(flatten)]
    logs: LogOptions,
}

/// A connection to each listener takes a file.
const FILES_OF_CONNECTIONS: usize = 2;

const OBJECTS: &str = "the first list of every kind";
const SESSION_KEYS: &str = "the session keys";

/// Runs until SIGTERM or SIGINT.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    telemetry::start(&options.logs).map_err(|error| anyhow!(error))?;
    let installation = Arc::new(
        options
            .installation
            .installation()
            .map_err(|error| anyhow!(error))?,
    );
    let settings = Arc::new(Settings {
        installation: Arc::clone(&installation),
        place: Place::Replica,
        data_planes: options.installation.data_planes(),
    });
    let signal = stop_on_signal();
    let client = super::cluster().await?;

    let clock = Clock::System;
    let mut registry = Registry::with_prefix("vestibule");
    let listeners = server::Metrics::register(&mut registry);
    let limits = options.limits.of_listeners();
    let limits = Limits {
        connections: connections_that_fit(limits.connections, FILES_OF_CONNECTIONS),
        ..limits
    };
    let watching = Metrics::default();
    watching.register_watches(&mut registry);
    let readiness = Readiness::waiting_for(&[OBJECTS, SESSION_KEYS]);
    let stop = CancellationToken::new();
    // Also where this function ends early.
    let _stop = stop.clone().drop_guard();
    let role = Role::Auth {
        session_keys: options.installation.session_keys_secret(),
    };
    let source = source::start(client, settings, role, watching, clock.clone(), &stop);
    let keys = Arc::new(ArcSwap::from_pointee(None));
    let endpoint = assemble(
        Arc::clone(&installation),
        source.table,
        Arc::clone(&keys),
        Proxies::AskElsewhere,
        clock,
        options.limits.of_providers(),
        &mut registry,
    )?;
    tokio::spawn(follow_key_ring(
        source.key_ring,
        keys,
        readiness.clone(),
        SESSION_KEYS,
    ));
    tokio::spawn(report_when(source.ready, readiness.clone(), OBJECTS));
    tokio::spawn(follow_observations(endpoint.observations, |_| ()));
    let (admin_address, admin) = serve_admin(
        options.admin_listen,
        readiness.clone(),
        registry,
        options.admin.names(),
        &listeners,
        stop.clone(),
    )
    .await
    .context("--admin-listen")?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        instance = &*installation.instance,
        namespace = &*installation.namespace,
        admin = %admin_address,
        "the auth endpoint starts"
    );

    // Until everything is in, connections are refused: a proxy then asks another replica, or fails closed.
    if signal
        .run_until_cancelled(readiness.ready())
        .await
        .is_none()
    {
        stop.cancel();
        return Ok(());
    }
    let check = CheckListener::bind(options.check_listen, limits)
        .await
        .context("--check-listen")?
        .counted(listeners.listener("check"));
    let check_address = check.address()?;
    let check = tokio::spawn(check.serve(Verify::new(endpoint.gate), stop.clone()));
    let (public_address, public) = serve_router(
        options.public_listen,
        limits,
        listeners.listener("public"),
        endpoint.router,
        stop.clone(),
    )
    .await
    .context("--public-listen")?;
    tracing::info!(check = %check_address, public = %public_address, "the auth endpoint serves");

    // Without the watches policy would stand still for good: better a new process.
    let mut watches = source.task;
    let watches_failed = tokio::select! {
        () = signal.cancelled() => false,
        _ = &mut watches => true,
    };
    // Proxies and Services learn of the end some moments later; what they still send is answered.
    readiness.withdraw("the end: this replica is stopping");
    tokio::time::sleep(Duration::from_secs(options.linger)).await;
    stop.cancel();
    let (check, public, admin) = tokio::join!(check, public, admin);
    let served = check.map(|served| served.context("--check-listen"));
    public
        .and(admin)
        .and(served)
        .context("a listener failed")??;
    if !watches_failed {
        watches.await.context("the watches failed")?;
    }
    ensure!(
        !watches_failed,
        "a watch failed for good; the log says which"
    );
    Ok(())
}

async fn report_when(mut ready: watch::Receiver<bool>, readiness: Readiness, part: &'static str) {
    if ready.wait_for(|ready| *ready).await.is_ok() {
        readiness.report(part);
    }
}
