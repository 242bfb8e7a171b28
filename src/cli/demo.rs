//! `vestibule demo`: the product on an example folder, with an example identity provider and two services. It opens
//! in a browser with nothing set up.

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;

use super::serve::{Entrance, Standalone};
use crate::{
    clock::Clock,
    demo::{AUTH_HOST, Demo, Folder, GRAFANA_HOST, WIKI_HOST},
    folder::Paths,
    front_door,
    policy::{Host, Origin, Scheme},
    provider,
    published::Installation,
    server::{AdminNames, Limits, Listener, stop_on_signal},
    settings::{LogFormat, LogOptions},
    telemetry,
};

/// Try Vestibule on this machine: an example provider, two example services, no set-up
#[derive(Args, Debug)]
pub(super) struct Options {
    /// The port to open in a browser [default: 8080, or a free one]
    #[arg(long, env = "VESTIBULE_PORT", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// A folder to keep manifests and session keys in [default: a temporary one]
    #[arg(long, env = "VESTIBULE_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,

    /// What to log, such as warn or vestibule=debug
    #[arg(
        long,
        env = "VESTIBULE_LOG_LEVEL",
        value_name = "FILTER",
        default_value = "warn"
    )]
    log_level: String,
}

const PORT: u16 = 8080;

/// Runs until the signal to stop.
pub(super) async fn run(options: Options) -> anyhow::Result<()> {
    let log = LogOptions {
        log_format: LogFormat::Text,
        log_level: options.log_level,
    };
    telemetry::start(&log).map_err(anyhow::Error::msg)?;
    let listener = bind(options.port)
        .await
        .context("choose another port with --port, or leave it away for any")?;
    let origin = Origin {
        scheme: Scheme::Http,
        port: listener.address()?.port(),
    };
    let installation = Installation {
        instance: "demo".into(),
        origin,
        auth_host: Host::parse(AUTH_HOST),
        ..Installation::default()
    };
    let folder = match &options.dir {
        Some(path) => Folder::at(path)?,
        None => Folder::temporary()?,
    };
    let demo = Demo::start(&folder, &installation, Clock::System).await?;
    let standalone = Standalone {
        installation: Arc::new(installation),
        paths: Paths {
            manifests: demo.manifests.clone(),
            secrets: None,
        },
        state: demo.state.clone(),
        original_uri: None,
        endpoint: None,
        front_door: Some(Entrance {
            listener,
            certificates: None,
            redirect: None,
            settings: front_door::Settings::default(),
        }),
        admin: None,
        admin_names: AdminNames::default(),
        providers: provider::Limits::default(),
    };
    let stop = stop_on_signal();
    introduce(&demo, origin)?;
    standalone.serve(stop).await?;
    demo.stop().await;
    Ok(())
}

/// The port that was asked for; else the usual one, or any if that is taken.
async fn bind(port: Option<u16>) -> io::Result<Listener> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let limits = Limits::default();
    match port {
        Some(port) => Listener::bind(at(port), limits).await,
        None => match Listener::bind(at(PORT), limits).await {
            Ok(listener) => Ok(listener),
            Err(_) => Listener::bind(at(0), limits).await,
        },
    }
}

fn introduce(demo: &Demo, origin: Origin) -> io::Result<()> {
    let (wiki, grafana) = (origin.of(WIKI_HOST), origin.of(GRAFANA_HOST));
    let (auth, manifests) = (origin.of(AUTH_HOST), demo.manifests.display());
    let width = wiki.len().max(grafana.len());
    writeln!(
        io::stdout(),
        "\nVestibule's demo is running. Open in a browser:\n\
         \n  {wiki:width$}   everybody of corp.example may enter: ann and bob\
         \n  {grafana:width$}   only members of grafana-admins may: ann\n\
         \nSign in as ann or bob; the example provider asks for no password. One sign-in serves both hosts, since it\
         \nhappens on the auth host, {auth}.\n\
         \nThe manifests lie in {manifests}\
         \nEdit one and reload the page: it counts at once. Each says at its top what to try.\n\
         \nStop with Ctrl-C.\n"
    )
}
