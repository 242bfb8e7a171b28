//! `vestibule controller`: watches the cluster, and writes while it holds the Lease.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use aws_lc_rs::rand;
use clap::Args;
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::Api;
use prometheus_client::registry::Registry;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use super::endpoint::serve_admin;
use crate::{
    clock::Clock,
    cluster::{
        keys::{self, KeysError},
        labels,
        lease::{Candidate, Terms},
        metrics::Metrics,
        source::{self, Role},
    },
    resolve::{Classes, Controller, Place, ServicePort, Settings},
    server::{self, Readiness, stop_on_signal},
    settings::{AdminOptions, InstallationOptions, LogOptions},
    telemetry,
};

/// Options of `vestibule controller`.
#[derive(Args, Debug)]
pub(super) struct Options {
    /// Where data planes reach the check, such as http://SERVICE.NAMESPACE.svc.cluster.local:4181
    #[arg(long, env = "VESTIBULE_CHECK_URL", value_name = "URL", value_parser = check_url)]
    check_url: String,

    /// The Service of the auth endpoint, in Vestibule's namespace
    #[arg(
        long,
        env = "VESTIBULE_SERVICE_NAME",
        value_name = "NAME",
        default_value = "vestibule-auth"
    )]
    service_name: String,

    /// The port of that Service for people: its name or number
    #[arg(
        long,
        env = "VESTIBULE_SERVICE_PORT",
        value_name = "PORT",
        default_value = "public"
    )]
    service_port: String,

    /// The Lease that its replicas share [default: INSTANCE-controller]
    #[arg(long, env = "VESTIBULE_LEASE_NAME", value_name = "NAME")]
    lease_name: Option<String>,

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

    /// The name of this replica in the Lease and in Events; in a pod its name
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    identity: Option<String>,

    #[command(flatten)]
    installation: InstallationOptions,

    #[command(flatten)]
    logs: LogOptions,
}

const OBJECTS: &str = "the first list of every kind";

/// Between two looks at the session keys.
const KEYS_REFRESH: Duration = Duration::from_secs(30);
/// Between two attempts to make them.
const KEYS_RETRY: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or SIGINT.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    telemetry::start(&options.logs).map_err(|error| anyhow!(error))?;
    let installation = options.installation.installation();
    let installation = Arc::new(installation.map_err(|error| anyhow!(error))?);
    let settings = Arc::new(Settings {
        installation: Arc::clone(&installation),
        place: Place::Controller(Controller {
            check_url: options.check_url.as_str().into(),
            service_name: options.service_name.as_str().into(),
            service_port: service_port(&options.service_port),
            classes: classes(&options.installation.ingress_classes),
        }),
        data_planes: options.installation.data_planes(),
    });
    let signal = stop_on_signal();
    let client = super::cluster().await?;

    let clock = Clock::System;
    let mut registry = Registry::with_prefix("vestibule");
    let metrics = Metrics::default();
    metrics.register(&mut registry);
    let listeners = server::Metrics::register(&mut registry);
    let readiness = Readiness::waiting_for(&[OBJECTS]);
    let stop = CancellationToken::new();
    // Health is answered until the very end.
    let last = CancellationToken::new();
    let admin = serve_admin(
        options.admin_listen,
        readiness.clone(),
        registry,
        options.admin.names(),
        &listeners,
        last.clone(),
    );
    let (address, admin) = admin.await.context("--admin-listen")?;
    let identity = identity(options.identity.as_deref())?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        instance = &*installation.instance,
        namespace = &*installation.namespace,
        identity = &*identity,
        admin = %address,
        "the controller starts"
    );

    let (leads_sender, leads) = watch::channel(false);
    let lease_name = options.lease_name.unwrap_or_default();
    let candidate = Candidate {
        leases: Api::<Lease>::namespaced(client.clone(), &installation.namespace),
        name: if lease_name.is_empty() {
            format!("{}-controller", installation.instance).into()
        } else {
            lease_name.into()
        },
        identity: Arc::clone(&identity),
        terms: Terms::default(),
        clock: clock.clone(),
    };
    // The Lease is given back after the last write, not before.
    let retire = CancellationToken::new();
    let lease = tokio::spawn(candidate.run(leads_sender, retire.clone()));
    let role = Role::Controller { leads, identity };
    let source = source::start(
        client.clone(),
        settings,
        role,
        metrics.clone(),
        clock,
        &stop,
    );
    let secrets = Api::<Secret>::namespaced(client, &installation.namespace);
    let keep_keys = keep_session_keys(
        secrets,
        options.installation.session_keys_secret(),
        labels(&installation.instance),
        metrics,
    );
    tokio::spawn(stop.clone().run_until_cancelled_owned(keep_keys));
    let mut ready = source.ready.clone();
    tokio::spawn(async move {
        if ready.wait_for(|ready| *ready).await.is_ok() {
            readiness.report(OBJECTS);
            tracing::info!("every kind has been listed");
        }
    });

    let (mut task, mut lease) = (source.task, lease);
    let by_itself = tokio::select! {
        () = signal.cancelled() => false,
        _ = &mut task => true,
        _ = &mut lease => true,
    };
    tracing::info!("the controller stops");
    stop.cancel();
    if !task.is_finished() {
        task.await.context("the last writes failed")?;
    }
    retire.cancel();
    if !lease.is_finished() {
        lease.await.context("the Lease could not be given back")?;
    }
    last.cancel();
    admin.await.context("the admin listener failed")?;
    ensure!(!by_itself, "a part failed for good; the log says which");
    Ok(())
}

/// Makes the session keys if they are missing, and goes on looking after them.
async fn keep_session_keys(
    secrets: Api<Secret>,
    name: Arc<str>,
    labels: std::collections::BTreeMap<String, String>,
    metrics: Metrics,
) {
    let mut last_problem = String::new();
    loop {
        let outcome = keys::ensure(&secrets, &name, &labels).await;
        metrics.session_keys.set(i64::from(outcome.is_ok()));
        let pause = match outcome {
            Ok(()) => {
                last_problem.clear();
                KEYS_REFRESH
            }
            Err(problem) => {
                let said = problem.to_string();
                if said != last_problem {
                    tracing::error!(problem = %said, "the session keys are not in order");
                    last_problem = said;
                }
                match problem {
                    KeysError::Unreadable { .. } => KEYS_REFRESH,
                    KeysError::Api { .. } | KeysError::NoRandomness => KEYS_RETRY,
                }
            }
        };
        sleep(pause).await;
    }
}

/// Two processes of one pod name, such as before and after a restart, are two replicas.
fn identity(name: Option<&str>) -> anyhow::Result<Arc<str>> {
    let mut random = [0; 4];
    rand::fill(&mut random).map_err(|_| anyhow!("the system has no random numbers"))?;
    let name = name
        .filter(|name| !name.is_empty())
        .unwrap_or("vestibule-controller");
    Ok(format!("{name}_{:08x}", u32::from_be_bytes(random)).into())
}

fn classes(named: &[String]) -> Classes {
    if named.is_empty() {
        return Classes::default();
    }
    Classes::Named(named.iter().map(|name| name.as_str().into()).collect())
}

fn service_port(text: &str) -> ServicePort {
    match text.parse() {
        Ok(number) => ServicePort::Number(number),
        Err(_) => ServicePort::Name(text.into()),
    }
}

fn check_url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    match rest {
        Some(authority) if !authority.is_empty() && !authority.contains('/') => Ok(text.to_owned()),
        _ => Err("http://HOST:PORT, without a path".into()),
    }
}
