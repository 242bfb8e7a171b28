//! Vestibule as the chart installs it: its objects in the cluster, and a process for each of its
//! deployments, with the deployment's own arguments and the service account's own rights.
//!
//! Only what a pod's network would have provided is different: addresses. The auth endpoint listens on
//! the ClusterIP of its Service, and the check URL names that IP, since there is no cluster DNS.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;

use crate::bench::{
    Cluster, Process, Visitor, Wait, helm, loopback::free_component_address, process::Start,
};

/// The namespace that it is installed in.
pub const NAMESPACE: &str = "vestibule";

/// The Service's port for people. The chart's is 80, which takes root's rights to listen on.
const PUBLIC_PORT: u16 = 4180;
const CHECK_PORT: u16 = 4181;

/// An installed chart, from which the parts can be started.
#[derive(Debug)]
pub struct Installation<'a> {
    cluster: &'a Cluster,
    program: PathBuf,
    check: SocketAddr,
    public: SocketAddr,
}

/// A running `vestibule controller` or `vestibule auth`.
#[derive(Debug)]
pub struct Component {
    process: Process,
    admin: SocketAddr,
}

// === impl Installation ===

impl<'a> Installation<'a> {
    /// Installs the chart with these settings (`key=value`, as after `--set`). `program` is the
    /// `vestibule` to run.
    pub async fn new(cluster: &'a Cluster, program: &Path, settings: &[&str]) -> Result<Self> {
        cluster.ingresses_lead_to_cluster_ips().await?;
        let public_port = format!("service.publicPort={PUBLIC_PORT}");
        let mut settings = [settings, &[public_port.as_str()]].concat();
        helm::install(cluster.kubeconfig(), &settings).await?;
        let service = cluster.service_address(NAMESPACE, "vestibule-auth").await?;
        let check = service.with_port(CHECK_PORT);
        // The ClusterIP is known only now.
        let check_url = format!("checkUrl=http://{check}");
        settings.push(&check_url);
        helm::install(cluster.kubeconfig(), &settings).await?;
        let program = program.to_owned();
        Ok(Self {
            cluster,
            program,
            check,
            public: service.with_port(PUBLIC_PORT),
        })
    }

    /// Where the auth endpoint listens for data planes.
    pub fn check(&self) -> SocketAddr {
        self.check
    }

    /// Starts the controller and waits until it is ready.
    pub async fn controller(&self) -> Result<Component> {
        self.component("controller").await
    }

    /// Starts an auth endpoint on the Service's address and waits until it is ready.
    pub async fn auth(&self) -> Result<Component> {
        self.component("auth").await
    }

    async fn component(&self, name: &str) -> Result<Component> {
        let component = self.start(name).await?;
        component.ready().await?;
        Ok(component)
    }

    /// Starts one of the two without waiting for it.
    pub async fn start(&self, name: &str) -> Result<Component> {
        let deployments: Api<Deployment> = Api::namespaced(self.cluster.client().await?, NAMESPACE);
        let deployment = deployments.get(&format!("vestibule-{name}")).await?;
        let pod = deployment.spec.and_then(|spec| spec.template.spec);
        let pod = pod.context("the deployment has no pod template")?;
        let account = pod
            .service_account_name
            .context("the pod has no service account")?;
        let container = pod
            .containers
            .into_iter()
            .next()
            .context("the pod has no container")?;
        let kubeconfig = self
            .cluster
            .service_account_kubeconfig(NAMESPACE, &account)
            .await?;
        let admin = free_component_address()?;
        let listen = [
            ("--check-listen=", self.check),
            ("--public-listen=", self.public),
            ("--admin-listen=", admin),
        ];
        let arguments = container
            .args
            .unwrap_or_default()
            .into_iter()
            .map(|argument| {
                let replaced = listen
                    .iter()
                    .find(|(option, _)| argument.starts_with(option));
                replaced.map_or(argument, |(option, address)| format!("{option}{address}"))
            });
        let mut start = Start::program(&format!("vestibule-{name}"), &self.program)?
            .arguments(arguments)
            .environment("KUBECONFIG", kubeconfig.to_string_lossy());
        for variable in container.env.unwrap_or_default() {
            start = start.environment(&variable.name, variable.value.unwrap_or_default());
        }
        Ok(Component {
            process: start.start()?,
            admin,
        })
    }
}

// === impl Component ===

impl Component {
    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Waits until `/readyz` says so.
    pub async fn ready(&self) -> Result<()> {
        Wait::seconds(60)
            .watching(&self.process)
            .until(&format!("{} is ready", self.process.name()), async || {
                let answer = Visitor::get(self.admin, "admin", "/readyz").send().await?;
                ensure!(
                    answer.status == 200,
                    "/readyz answers {} {}",
                    answer.status,
                    answer.body
                );
                Ok(())
            })
            .await
    }

    /// Its metrics, as Prometheus reads them.
    pub async fn metrics(&self) -> Result<String> {
        Ok(Visitor::get(self.admin, "admin", "/metrics")
            .send()
            .await?
            .body)
    }
}
