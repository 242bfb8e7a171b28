//! `make demo-cluster`: Vestibule on a real Kubernetes API, installed by its own chart.
//!
//! etcd, kube-apiserver and kube-controller-manager, Traefik reading the annotations of ingress-nginx,
//! and the controller and the auth endpoint under the chart's service accounts, all on loopback. The
//! identity provider and the two services are those of `vestibule demo`.

#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../bench/bench.rs"]
mod bench;

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::bench::{
    Cluster, Installation, Traefik, Visitor, installation::NAMESPACE, tools, traefik,
};
use anyhow::{Context, Result, ensure};
use clap::Parser;
use tokio::{net::TcpStream, task::JoinSet};
use vestibule::{
    clock::Clock,
    demo::{self, Demo, Folder},
    policy::{Origin, Scheme},
    published,
};

const CLASS: &str = "nginx";
const SERVICES: &str = include_str!("services.yaml");
const SERVICE_PORT: u16 = 8080;
const ENDPOINT_PREFIX: &str = "/oauth2";

/// Vestibule on a real Kubernetes API, with Traefik, an identity provider and two services, on loopback.
#[derive(Parser, Debug)]
struct Options {
    /// The port to browse at [default: 8080, or any if that is taken]
    #[arg(long)]
    port: Option<u16>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-cluster: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<()> {
    let options = Options::parse();
    let front = front_address(options.port)?;
    step("a Kubernetes API server")?;
    let cluster = Cluster::start().await?;
    step("Traefik")?;
    let traefik = Traefik::start(
        &cluster,
        traefik::Options {
            ingress_class: CLASS.into(),
            http: Some(front),
            ..traefik::Options::default()
        },
    )
    .await?;
    step("an identity provider and two services")?;
    let folder = Folder::temporary()?;
    let demo = Demo::start(&folder, &as_people_reach_it(front.port()), Clock::System).await?;
    cluster.ensure_namespace("demo").await?;
    let mut services = JoinSet::new();
    for (name, address) in [("wiki", demo.wiki), ("grafana", demo.grafana)] {
        let service = cluster
            .service("demo", name, &[("http", SERVICE_PORT)])
            .await?;
        services.spawn(forward(service.with_port(SERVICE_PORT), address));
    }
    step("Vestibule, with helm")?;
    let installation = install(&cluster, front.port()).await?;
    let manifest = demo.manifests.join("provider.yaml");
    let manifest = manifest.to_string_lossy();
    cluster
        .kubectl(&["-n", NAMESPACE, "apply", "--server-side", "-f", &manifest])
        .await?;
    let _controller = installation.controller().await?;
    let _auth = installation.auth().await?;
    cluster.apply(SERVICES).await?;
    ready(&traefik, front).await?;
    println!("{}", guide(&cluster, front.port())?);
    tokio::signal::ctrl_c().await?;
    println!("\nStopping.");
    Ok(())
}

fn step(what: &str) -> Result<()> {
    println!("starting {what} ...");
    Ok(std::io::stdout().flush()?)
}

/// Where Traefik listens: browsers look for `*.localhost` on 127.0.0.1.
fn front_address(port: Option<u16>) -> Result<SocketAddr> {
    let free =
        |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|held| held.local_addr());
    match port {
        Some(port) => free(port)
            .with_context(|| format!("port {port} is taken: choose another with ARGS='--port N'")),
        None => free(8080)
            .or_else(|_| free(0))
            .context("no port of 127.0.0.1 is free"),
    }
}

/// What the demo has to know of the installation.
fn as_people_reach_it(port: u16) -> published::Installation {
    published::Installation {
        origin: Origin {
            scheme: Scheme::Http,
            port,
        },
        endpoint_prefix: ENDPOINT_PREFIX.into(),
        ..published::Installation::default()
    }
}

/// The `vestibule` that was built together with this program.
fn program() -> Result<PathBuf> {
    let ours = std::env::current_exe()?;
    let folder = ours
        .parent()
        .and_then(Path::parent)
        .context("this program is in no folder")?;
    let program = folder.join("vestibule");
    ensure!(
        program.is_file(),
        "{} is missing: start this with make demo-cluster",
        program.display()
    );
    Ok(program)
}

async fn install(cluster: &Cluster, port: u16) -> Result<Installation<'_>> {
    let public_port = format!("publicPort={port}");
    let settings = [
        "publicScheme=http",
        "insecureHttp=true",
        &public_port,
        "authHost.host=auth.localhost",
        "authHost.ingress.className=nginx",
        "authHost.ingress.tls.enabled=false",
        "admission.mode=policy",
        "log.format=text",
    ];
    Installation::new(cluster, &program()?, &settings).await
}

/// Stands for kube-proxy: what arrives at the Service goes to the process behind it.
async fn forward(service: SocketAddr, backend: SocketAddr) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(service).await?;
    loop {
        let (mut client, _) = listener.accept().await?;
        tokio::spawn(async move {
            if let Ok(mut backend) = TcpStream::connect(backend).await {
                // Either side may hang up; that is theirs to notice.
                drop(tokio::io::copy_bidirectional(&mut client, &mut backend).await);
            }
        });
    }
}

/// Waits until the wiki is open and Grafana is not.
async fn ready(traefik: &Traefik, front: SocketAddr) -> Result<()> {
    for (host, status) in [(demo::WIKI_HOST, 200), (demo::GRAFANA_HOST, 302)] {
        traefik
            .wait(30)
            .until(&format!("http://{host} answers {status}"), async || {
                let answer = Visitor::get(front, host, "/").navigating().send().await?;
                ensure!(
                    answer.status.as_u16() == status,
                    "it answers {}",
                    answer.status
                );
                Ok(())
            })
            .await?;
    }
    Ok(())
}

fn guide(cluster: &Cluster, port: u16) -> Result<String> {
    let kubeconfig = cluster.kubeconfig().display();
    let kubectl = tools::program("kubectl")?;
    let path = kubectl
        .parent()
        .context("kubectl is in no folder")?
        .display();
    Ok(format!(
        r#"
Open in a browser; sign in as ann or bob, nobody asks for a password:

  http://wiki.localhost:{port}/       open to everybody, until you annotate it
  http://grafana.localhost:{port}/    for the group grafana-admins: ann gets in, bob is told why not

In another terminal:

  export KUBECONFIG={kubeconfig} PATH={path}:$PATH

  1. Protect the wiki:
  kubectl -n demo annotate ingress wiki vestibule.dev/protect=true vestibule.dev/allowed-email-domains=corp.example

  2. Look at what came of it:
  kubectl get protectedservices,ingresses -A

  3. Let nobody but ann in; it counts on bob's next request:
  kubectl -n demo annotate ingress wiki vestibule.dev/allowed-emails=ann@corp.example vestibule.dev/allowed-email-domains-

Ctrl-C stops everything."#
    ))
}
