//! nginx with the very directives that ingress-nginx 1.15.1 writes for external authentication.
//!
//! ingress-nginx itself cannot be had without its image. What it *does* with an Ingress is a
//! configuration, and that is written here from the Ingresses in the API server, and run by a real
//! nginx. Whatever ingress-nginx would refuse, drop or deny is an `Err` here: a test shall never see
//! a configuration that the real controller would not have written.

mod directives;
mod location;

use std::{fs, net::SocketAddr, path::PathBuf, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{core::v1::Service, networking::v1::Ingress};
use kube::{Api, api::ListParams};

use crate::bench::{Cluster, Process, Visitor, Wait, loopback, process, tools};
use location::Server;

/// A running nginx that serves the Ingresses of one class.
#[derive(Debug)]
pub struct Nginx<'a> {
    cluster: &'a Cluster,
    ingress_class: String,
    process: Process,
    folder: PathBuf,
    listeners: Listeners,
    generation: u32,
}

/// Where one nginx listens.
#[derive(Clone, Copy, Debug)]
struct Listeners {
    http: SocketAddr,
    /// Answers with the generation of the configuration.
    status: SocketAddr,
    /// ingress-nginx's default backend, which answers 404.
    default_backend: SocketAddr,
}

// === impl Nginx ===

impl<'a> Nginx<'a> {
    /// Starts it without any host; [`Nginx::sync`] loads the Ingresses.
    pub async fn start(cluster: &'a Cluster, ingress_class: &str) -> Result<Self> {
        cluster.ingresses_lead_to_cluster_ips().await?;
        let listeners = Listeners {
            http: loopback::free_component_address()?,
            status: loopback::free_component_address()?,
            default_backend: loopback::free_component_address()?,
        };
        let start = process::Start::tool("nginx")?;
        let folder = start.folder().to_owned();
        fs::write(
            folder.join("nginx.conf"),
            directives::configuration(&[], listeners, 0),
        )?;
        let process = start
            .argument("-p")
            .argument(folder.to_string_lossy())
            .arguments(["-c", "nginx.conf", "-e", "stderr"])
            .start()?;
        let ingress_class = ingress_class.to_owned();
        let nginx = Self {
            cluster,
            ingress_class,
            process,
            folder,
            listeners,
            generation: 0,
        };
        nginx.is_loaded().await?;
        Ok(nginx)
    }

    /// Where it listens for plain HTTP.
    pub fn http(&self) -> SocketAddr {
        self.listeners.http
    }

    /// Reads the Ingresses and loads what ingress-nginx would have made of them.
    pub async fn sync(&mut self) -> Result<()> {
        let client = self.cluster.client().await?;
        let all = ListParams::default();
        let mut ingresses = Api::<Ingress>::all(client.clone()).list(&all).await?.items;
        ingresses.retain(|ingress| {
            let class = ingress
                .spec
                .as_ref()
                .and_then(|spec| spec.ingress_class_name.as_deref());
            class == Some(self.ingress_class.as_str())
        });
        let services = Api::<Service>::all(client).list(&all).await?.items;
        let servers = location::servers(ingresses, &services)?;
        self.load(&servers).await
    }

    async fn load(&mut self, servers: &[Server]) -> Result<()> {
        let next = self.generation + 1;
        let text = directives::configuration(servers, self.listeners, next);
        fs::write(self.folder.join("next.conf"), text)?;
        let mut check = Command::new(tools::program("nginx")?);
        check
            .arg("-p")
            .arg(&self.folder)
            .args(["-t", "-q", "-c", "next.conf", "-e", "stderr"]);
        process::run(check).await.context(
            "nginx refuses the configuration; ingress-nginx would not load anything any more",
        )?;
        fs::rename(
            self.folder.join("next.conf"),
            self.folder.join("nginx.conf"),
        )?;
        self.generation = next;
        self.process.signal("HUP")?;
        self.is_loaded().await
    }

    async fn is_loaded(&self) -> Result<()> {
        loaded(&self.process, self.listeners.status, self.generation).await
    }
}

/// Waits until no worker of an older configuration takes connections.
pub(super) async fn loaded(process: &Process, status: SocketAddr, generation: u32) -> Result<()> {
    let wanted = generation.to_string();
    Wait::seconds(60)
        .watching(process)
        .until("nginx has loaded its configuration", async || {
            // The master lets old workers go 100 ms after it has started new ones; until then both take connections.
            for _ in 0..25 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let answer = Visitor::get(status, "status", "/").send().await?;
                ensure!(
                    answer.body == wanted,
                    "generation {} of {wanted}",
                    answer.body
                );
            }
            Ok(())
        })
        .await
}
