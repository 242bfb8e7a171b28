//! What `vestibule demo` needs besides the product: an example identity provider, two example services, and a folder
//! of manifests for them.
//!
//! The demo itself is the ordinary standalone product on that folder. Nothing else in Vestibule depends on this
//! module.

mod folder;
mod provider;
mod service;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use axum::Router;
use tokio::{net::TcpListener, task::JoinSet};

pub use self::{folder::Folder, provider::NoKey};
use self::{folder::Remembered, provider::Client};
use crate::{clock::Clock, published::Installation};

/// The hosts of the demo. Browsers resolve every name under `localhost` to loopback (RFC 6761 §6.3).
pub const AUTH_HOST: &str = "auth.localhost";
/// The host that everybody of corp.example may enter.
pub const WIKI_HOST: &str = "wiki.localhost";
/// The host that only ann may enter.
pub const GRAFANA_HOST: &str = "grafana.localhost";

const PROVIDER: &str = "example";

/// The demo's own parts, serving on loopback until this value is dropped.
#[derive(Debug)]
pub struct Demo {
    /// The issuer of the example provider.
    pub issuer: String,
    /// Where the wiki listens.
    pub wiki: SocketAddr,
    /// Where Grafana listens.
    pub grafana: SocketAddr,
    /// The manifests, to be served and to be edited.
    pub manifests: PathBuf,
    /// Where the product keeps its session keys.
    pub state: PathBuf,
    parts: JoinSet<()>,
}

/// The demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A part has no port.
    #[error("{part} cannot listen on 127.0.0.1:{port}: {cause}")]
    Listen {
        /// Which part.
        part: &'static str,
        /// The port; 0 for any.
        port: u16,
        /// Why.
        cause: io::Error,
    },
    /// The folder cannot be used.
    #[error("the demo's folder cannot be used: {path}: {cause}", path = path.display())]
    Folder {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The provider has no key.
    #[error(transparent)]
    NoKey(#[from] NoKey),
}

// === impl Demo ===

impl Demo {
    /// Starts the provider and the services of an installation, and writes the manifests that are not in the folder
    /// yet. A folder that was used before keeps its ports, its client secret and every edit.
    ///
    /// # Errors
    /// If a port is taken, or the folder cannot be written.
    pub async fn start(
        folder: &Folder,
        installation: &Installation,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let before = folder.remembered()?;
        let ports = before.as_ref().map_or_else(Default::default, |r| r.ports);
        let provider = listen("the example provider", ports.provider).await?;
        let wiki = listen("the example service wiki", ports.wiki).await?;
        let grafana = listen("the example service grafana", ports.grafana).await?;
        let now = Remembered {
            ports: folder::Ports {
                provider: provider.1,
                wiki: wiki.1,
                grafana: grafana.1,
            },
            client_secret: before.map_or_else(provider::random_text, |r| r.client_secret),
        };
        folder.write(&now)?;

        let issuer = format!("http://localhost:{}", now.ports.provider);
        let client = Client {
            id: folder::CLIENT_ID.to_owned(),
            secret: now.client_secret,
            redirect_uris: redirect_uris(installation),
        };
        let service = |which| {
            let headers = installation.identity_headers.clone();
            service::router(which, &installation.endpoint_prefix, headers)
        };
        let mut parts = JoinSet::new();
        let provider_router = provider::router(issuer.clone(), client, clock)?;
        parts.spawn(serve(provider.0, provider_router));
        parts.spawn(serve(wiki.0, service(service::WIKI)));
        parts.spawn(serve(grafana.0, service(service::GRAFANA)));
        Ok(Self {
            issuer,
            wiki: (Ipv4Addr::LOCALHOST, now.ports.wiki).into(),
            grafana: (Ipv4Addr::LOCALHOST, now.ports.grafana).into(),
            manifests: folder.manifests(),
            state: folder.state(),
            parts,
        })
    }

    /// Stops the parts; when this returns, their ports are free again.
    pub async fn stop(mut self) {
        self.parts.shutdown().await;
    }
}

/// With and without an auth host, so that the demo can be tried both ways.
fn redirect_uris(installation: &Installation) -> Vec<String> {
    let uri = |host| {
        let origin = installation.origin.of(host);
        let prefix = &installation.endpoint_prefix;
        format!("{origin}{prefix}/callback/{PROVIDER}")
    };
    [AUTH_HOST, WIKI_HOST, GRAFANA_HOST].map(uri).into()
}

async fn listen(part: &'static str, port: u16) -> Result<(TcpListener, u16), StartError> {
    let failed = |cause| StartError::Listen { part, port, cause };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .map_err(failed)?;
    let port = listener.local_addr().map_err(failed)?.port();
    Ok((listener, port))
}

async fn serve(listener: TcpListener, router: Router) {
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "a part of the demo stopped; start the demo again");
    }
}
