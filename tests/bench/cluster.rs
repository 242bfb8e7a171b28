//! A Kubernetes API: etcd, kube-apiserver with RBAC enforced, and the controllers that collect
//! garbage and finish namespaces. No nodes, no pods: what the chart would run as pods, tests run as
//! processes under the same service accounts.

mod control_plane;
mod services;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Namespace, Secret, Service, ServiceAccount},
};
use kube::{
    Api, Client, Config,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::bench::{
    Echo, Wait,
    process::{data_folder, run},
    tools,
};
use control_plane::ControlPlane;

/// A running API server and what it needs.
#[derive(Debug)]
pub struct Cluster {
    control_plane: ControlPlane,
    folder: PathBuf,
    admin: PathBuf,
    services_policy: OnceCell<()>,
}

/// A namespace of one test. It stays until it is deleted or the cluster ends.
#[derive(Debug)]
pub struct TestNamespace<'a> {
    name: String,
    cluster: &'a Cluster,
}

// === impl Cluster ===

impl Cluster {
    /// Starts a cluster of its own, which ends when the value is dropped.
    pub async fn start() -> Result<Self> {
        let folder = data_folder("cluster")?;
        let control_plane = ControlPlane::start(&folder).await?;
        let admin = folder.join("admin.kubeconfig");
        fs::write(&admin, control_plane.kubeconfig(control_plane::ADMIN_TOKEN))?;
        Ok(Self {
            control_plane,
            folder,
            admin,
            services_policy: OnceCell::new(),
        })
    }

    /// The cluster that the tests of one binary share. It is started once, ends with the binary, and
    /// is kept apart by namespaces.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Cluster> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// `https://IP:PORT` of the API server.
    pub fn url(&self) -> String {
        self.control_plane.url()
    }

    /// The file with the authority that signed the API server's certificate.
    pub fn authority_file(&self) -> &Path {
        self.control_plane.authority_file()
    }

    /// The kubeconfig of the cluster's administrator.
    pub fn kubeconfig(&self) -> &Path {
        &self.admin
    }

    /// A client with an administrator's rights. It belongs to the async runtime that asks for it, so
    /// each test takes its own.
    pub async fn client(&self) -> Result<Client> {
        client(&self.admin).await
    }

    /// A client of a service account, with the rights that RBAC gives it and no others.
    pub async fn service_account_client(&self, namespace: &str, name: &str) -> Result<Client> {
        client(&self.service_account_kubeconfig(namespace, name).await?).await
    }

    /// Runs kubectl as administrator and gives what it printed.
    pub async fn kubectl<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Result<String> {
        let mut command = Command::new(tools::program("kubectl")?);
        // kubectl caches what it discovers; a cache of this run must not outlive it.
        command
            .env("KUBECONFIG", &self.admin)
            .env("KUBECACHEDIR", self.folder.join("kubectl"));
        command.args(arguments);
        run(command).await
    }

    /// A token of a service account, as the API server issues it for a pod.
    pub async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![control_plane::TOKEN_ISSUER.to_owned()],
                expiration_seconds: Some(24 * 60 * 60),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let issued = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for service account {namespace}/{name}"))?;
        Ok(issued
            .status
            .context("the token request has no status")?
            .token)
    }

    /// A kubeconfig file of a service account.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        // A new one each time: tests that ask for the same account would read it while it is written.
        let file = data_folder("account")?.join("kubeconfig");
        fs::write(&file, self.control_plane.kubeconfig(&token))?;
        Ok(file)
    }

    /// Makes a namespace for one test; its name begins with `prefix`.
    pub async fn namespace(&self, prefix: &str) -> Result<TestNamespace<'_>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{prefix}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.ensure_namespace(&name).await?;
        Ok(TestNamespace {
            name,
            cluster: self,
        })
    }

    /// Makes a namespace of exactly this name, if it does not exist.
    pub async fn ensure_namespace(&self, name: &str) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let by = PatchParams::apply("test-bench").force();
        namespaces
            .patch(name, &by, &Patch::Apply(namespace))
            .await?;
        Ok(())
    }

    /// Applies objects given as YAML or JSON, several documents allowed, as an administrator would.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        let file = tempfile::Builder::new()
            .suffix(".yaml")
            .tempfile_in(&self.folder)?;
        fs::write(file.path(), manifests)?;
        let path = file.path().to_string_lossy().into_owned();
        self.kubectl(&[
            "apply",
            "--server-side",
            "--field-manager=administrator",
            "-f",
            &path,
        ])
        .await
    }

    /// Makes a Service and starts a backend on its ClusterIP and port.
    pub async fn echo_service(&self, namespace: &str, name: &str) -> Result<Echo> {
        Echo::start_at(
            self.service(namespace, name, &[("http", 80)])
                .await?
                .with_port(80),
        )
        .await
    }

    /// Makes a Service of these named ports without any pods. Whoever listens on its ClusterIP and
    /// a port of it *is* the Service.
    pub async fn service(
        &self,
        namespace: &str,
        name: &str,
        ports: &[(&str, u16)],
    ) -> Result<ServiceAddress> {
        let services: Api<Service> = Api::namespaced(self.client().await?, namespace);
        let ports: Vec<Value> = ports
            .iter()
            .map(|(name, port)| json!({"name": name, "port": port}))
            .collect();
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"ports": ports},
        });
        let by = PatchParams::apply("test-bench").force();
        let made = services.patch(name, &by, &Patch::Apply(service)).await?;
        ServiceAddress::of(&made)
    }

    /// The ClusterIP of a Service that exists.
    pub async fn service_address(&self, namespace: &str, name: &str) -> Result<ServiceAddress> {
        let services: Api<Service> = Api::namespaced(self.client().await?, namespace);
        ServiceAddress::of(&services.get(name).await?)
    }

    /// Makes or replaces a Secret of text values.
    pub async fn secret(&self, namespace: &str, name: &str, data: &[(&str, &str)]) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(self.client().await?, namespace);
        let data: serde_json::Map<String, Value> = data
            .iter()
            .map(|(key, value)| ((*key).to_owned(), json!(value)))
            .collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "stringData": data,
        });
        let by = PatchParams::apply("test-bench").force();
        secrets.patch(name, &by, &Patch::Apply(secret)).await?;
        Ok(())
    }

    /// Halts the API server: it keeps its connections and answers nothing, as in an outage.
    pub fn halt_api_server(&self) -> Result<()> {
        self.control_plane.api_server().signal("STOP")
    }

    /// Lets a halted API server go on.
    pub fn resume_api_server(&self) -> Result<()> {
        self.control_plane.api_server().signal("CONT")
    }
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// The ClusterIP of a Service.
#[derive(Clone, Copy, Debug)]
pub struct ServiceAddress(pub IpAddr);

impl ServiceAddress {
    fn of(service: &Service) -> Result<Self> {
        let ip = service
            .spec
            .as_ref()
            .and_then(|spec| spec.cluster_ip.as_deref());
        let ip = ip.context("the Service has no ClusterIP")?;
        Ok(Self(
            ip.parse().with_context(|| format!("ClusterIP '{ip}'"))?,
        ))
    }

    /// The address of one of its ports.
    pub fn with_port(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.0, port)
    }
}

// === impl TestNamespace ===

impl TestNamespace<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Deletes it and waits until it is gone with all that it held.
    pub async fn delete(self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.cluster.client().await?);
        namespaces
            .delete(&self.name, &DeleteParams::default())
            .await?;
        Wait::up_to(Duration::from_secs(30))
            .until("the namespace is gone", async || {
                match namespaces.get_opt(&self.name).await? {
                    None => Ok(()),
                    Some(_) => anyhow::bail!("it is still there"),
                }
            })
            .await
    }
}

impl std::ops::Deref for TestNamespace<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.name
    }
}
