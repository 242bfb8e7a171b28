//! `vestibule serve`: the auth endpoint without Kubernetes, and the front door if asked for. `demo` is the same on
//! an example folder.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::{
    Router,
    http::header,
    routing::{MethodRouter, get},
};
use clap::Args;
use http::HeaderName;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::endpoint;
use crate::{
    auth::{Gate, Proxies},
    clock::Clock,
    folder::{self, Folder, Paths},
    front_door::{self, FrontDoor},
    policy::Host,
    provider,
    published::Installation,
    resolve,
    server::{
        self, AdminNames, Certificates, Limits, Listener, Readiness, Redirect, admin_router,
        connections_that_fit, stop_on_signal,
    },
    session::Keys,
    settings::{
        self, AdminOptions, FrontDoorOptions, FrontDoorSettings, LimitOptions, LogOptions,
        OriginalUriHeader, PublicOptions,
    },
    telemetry,
};

/// Serve the endpoint from a folder of manifests, without Kubernetes
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The folder with manifests: Ingress, ProtectedService, IdentityProvider, Secret. Edits count at once
    #[arg(long, env = "VESTIBULE_MANIFESTS", value_name = "DIR")]
    manifests: PathBuf,

    /// A folder with client secrets as files: NAME/KEY, or NAME for the key client-secret
    #[arg(long, env = "VESTIBULE_SECRETS_DIR", value_name = "DIR")]
    secrets_dir: Option<PathBuf>,

    /// Where the session keys are kept; they are made at the first start
    #[arg(
        long,
        env = "VESTIBULE_STATE",
        value_name = "DIR",
        default_value = "/var/lib/vestibule"
    )]
    state: PathBuf,

    /// Where nginx, or another proxy in front, reaches the auth endpoint [default: 127.0.0.1:4180; with --front-door,
    /// which serves it too, nowhere]
    #[arg(long, env = "VESTIBULE_LISTEN", value_name = "ADDRESS", value_parser = settings::address)]
    listen: Option<SocketAddr>,

    /// A header in which nginx tells the auth endpoint what is asked for, such as X-Original-URI. Declare it once every
    /// server block sets it: where one does not, a client could
    #[arg(
        long,
        env = "VESTIBULE_ORIGINAL_URI_HEADER",
        value_name = "NAME",
        value_parser = settings::original_uri_header
    )]
    original_uri_header: Option<OriginalUriHeader>,

    /// Where health and metrics are
    #[arg(
        long,
        env = "VESTIBULE_ADMIN_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9090",
        value_parser = settings::address
    )]
    admin_listen: SocketAddr,

    #[command(flatten)]
    admin: AdminOptions,

    #[command(flatten)]
    public: PublicOptions,

    #[command(flatten)]
    front_door: FrontDoorOptions,

    #[command(flatten)]
    limits: LimitOptions,

    #[command(flatten)]
    log: LogOptions,
}

/// Where oauth2-proxy listens too, so that nginx's configuration stays as it is.
const AUTH_ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4180);

/// Files that a connection to the auth endpoint takes; and those of one to the front door, with that to the service
/// and one that is redirected.
const FILES_OF_A_CHECK: usize = 1;
const FILES_OF_A_VISIT: usize = 3;

/// The product on a folder, with its listeners bound.
pub(super) struct Standalone {
    pub(super) installation: Arc<Installation>,
    pub(super) paths: Paths,
    pub(super) state: PathBuf,
    /// In which header nginx says what is asked for.
    pub(super) original_uri: Option<HeaderName>,
    pub(super) endpoint: Option<Listener>,
    pub(super) front_door: Option<Entrance>,
    pub(super) admin: Option<Listener>,
    /// By which names that is asked for.
    pub(super) admin_names: AdminNames,
    /// What each provider may take.
    pub(super) providers: provider::Limits,
}

/// The front door's listeners.
pub(super) struct Entrance {
    pub(super) listener: Listener,
    pub(super) certificates: Option<Certificates>,
    pub(super) redirect: Option<Listener>,
    pub(super) settings: front_door::Settings,
}

/// Runs until the signal to stop.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    telemetry::start(&options.log).map_err(anyhow::Error::msg)?;
    // A folder is an installation of its own; in a manifest its namespace need not be written.
    let installation = options.public.installation();
    let installation = installation.map_err(anyhow::Error::msg)?;
    let front_door = options.front_door.settings(installation.origin);
    let front_door = front_door.map_err(anyhow::Error::msg)?;
    let limits = options.limits.of_listeners();
    let files = FILES_OF_A_CHECK + front_door.as_ref().map_or(0, |_| FILES_OF_A_VISIT);
    let limits = Limits {
        connections: connections_that_fit(limits.connections, files),
        ..limits
    };
    let listen = options
        .listen
        .or_else(|| front_door.is_none().then_some(AUTH_ENDPOINT));
    let OriginalUriHeader(original_uri) = options.original_uri_header.unwrap_or_default();
    let mut told_to_services = installation.identity_headers.iter();
    if let Some(name) = &original_uri
        && told_to_services.any(|header| name.as_str().eq_ignore_ascii_case(header))
    {
        anyhow::bail!(
            "--original-uri-header {name} is one of the headers that tell services who is there (--identity-header): choose another"
        );
    }
    let standalone = Standalone {
        installation: Arc::new(installation),
        paths: Paths {
            manifests: options.manifests,
            secrets: options.secrets_dir,
        },
        state: options.state,
        original_uri,
        endpoint: match listen {
            Some(address) => Some(Listener::bind(address, limits).await.context("--listen")?),
            None => None,
        },
        front_door: match front_door {
            Some(settings) => Some(Entrance::bind(settings, limits).await?),
            None => None,
        },
        admin: Some(
            Listener::bind(options.admin_listen, Limits::of_admin())
                .await
                .context("--admin-listen")?,
        ),
        admin_names: options.admin.names(),
        providers: options.limits.of_providers(),
    };
    standalone.serve(stop_on_signal()).await
}

// === impl Standalone ===

impl Standalone {
    /// Serves until `stop`, then lets requests in flight finish.
    pub(super) async fn serve(self, stop: CancellationToken) -> anyhow::Result<()> {
        let ring = folder::key_ring(&self.state).context("--state")?;
        let paths_are_told = self.front_door.is_some() || self.original_uri.is_some();
        let mut registry = Registry::with_prefix("vestibule");
        let folder = Folder::open(
            self.paths,
            Arc::clone(&self.installation),
            resolve::Standalone {
                front_door: self.front_door.is_some(),
                paths_are_told,
                asked_by_host: self.endpoint.is_some(),
            },
            folder::Metrics::register(&mut registry),
            Clock::System,
        )
        .context("the folders to serve from (--manifests, --secrets-dir)")?;
        let status = folder.status();
        let parts = endpoint::assemble(
            self.installation,
            Arc::clone(folder.table()),
            Arc::new(ArcSwap::from_pointee(Some(Keys::new(Arc::new(ring))))),
            Proxies::AskHere {
                original_uri: self.original_uri,
            },
            Clock::System,
            self.providers,
            &mut registry,
        )?;
        let listeners = server::Metrics::register(&mut registry);
        let seen = status.clone();
        tokio::spawn(endpoint::follow_observations(
            parts.observations,
            move |observation| seen.observe(observation, Clock::System.now()),
        ));

        let mut running = JoinSet::new();
        running.spawn(folder.follow(stop.clone()));
        if let Some(listener) = self.endpoint {
            let address = listener.address()?;
            let router = TowerToHyperService::new(parts.router.clone());
            let listener = listener.counted(listeners.listener("auth"));
            running.spawn(listener.serve(router, stop.clone()));
            tracing::info!(%address, "the auth endpoint serves");
        }
        if let Some(entrance) = self.front_door {
            if let Some(certificates) = &entrance.certificates {
                certificates.register(&mut registry);
            }
            let metrics = front_door::Metrics::register(&mut registry);
            let door = (parts.gate, parts.router, metrics);
            entrance
                .counted(&listeners)
                .open(door, &mut running, &stop)?;
        }
        if let Some(listener) = self.admin {
            // Everything has been read before any listener serves.
            let ready = Readiness::waiting_for(&[]);
            let router = admin_router(ready, registry).route("/status", status_route(status));
            let router = self.admin_names.guard(router);
            let router = TowerToHyperService::new(router);
            let listener = listener.counted(listeners.listener("admin"));
            running.spawn(listener.serve(router, stop.clone()));
        }
        running.join_all().await;
        Ok(())
    }
}

// === impl Entrance ===

impl Entrance {
    async fn bind(settings: FrontDoorSettings, limits: Limits) -> anyhow::Result<Self> {
        let FrontDoorSettings { certificates, .. } = settings;
        let limits = Limits {
            handshake_timeout: settings.handshake_timeout,
            ..limits
        };
        Ok(Self {
            certificates: if certificates.is_empty() {
                None
            } else {
                Some(Certificates::open(certificates, Clock::System)?)
            },
            listener: Listener::bind(settings.address, limits)
                .await
                .context("--front-door")?,
            redirect: match settings.redirect {
                Some(address) => Some(
                    Listener::bind(address, limits)
                        .await
                        .context("--redirect-listen")?,
                ),
                None => None,
            },
            settings: settings.requests,
        })
    }

    fn counted(self, listeners: &server::Metrics) -> Self {
        let redirect = self.redirect;
        Self {
            listener: self.listener.counted(listeners.listener("front_door")),
            redirect: redirect.map(|listener| listener.counted(listeners.listener("redirect"))),
            ..self
        }
    }

    fn open(
        self,
        (gate, endpoint, metrics): (Arc<Gate>, Router, front_door::Metrics),
        running: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> anyhow::Result<()> {
        let address = self.listener.address()?;
        if let Some(listener) = self.redirect {
            let (address, gate) = (listener.address()?, Arc::clone(&gate));
            let origin = gate.installation().origin;
            let redirect = Redirect::new(origin, move |host: &Host| {
                let is_auth_host = gate.installation().auth_host.as_ref() == Some(host);
                is_auth_host || gate.table().load().host(host).is_some()
            });
            running.spawn(listener.serve(redirect, stop.clone()));
            tracing::info!(%address, "plain HTTP is sent to https");
        }
        let door = FrontDoor::new(gate, endpoint, self.settings, metrics);
        match self.certificates {
            Some(certificates) => {
                let tls = certificates.tls();
                running.spawn(certificates.follow(stop.clone()));
                running.spawn(self.listener.serve_tls(tls, door, stop.clone()));
            }
            None => {
                running.spawn(self.listener.serve(door, stop.clone()));
            }
        }
        tracing::info!(%address, "the front door is open");
        Ok(())
    }
}

/// What is in force of the folder, for operators.
fn status_route(status: folder::Status) -> MethodRouter {
    let json = [(header::CONTENT_TYPE, "application/json")];
    get(async move || (json, status.to_json()))
}
