//! Traefik with its ingress-nginx provider: a real ingress controller that reads the annotations
//! which ingress-nginx reads.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};

use crate::bench::{Cluster, Process, Visitor, Wait, loopback, process::Start};

/// How a Traefik is to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The ingress class that it serves; made if it is missing, with controller
    /// `k8s.io/ingress-nginx`.
    pub ingress_class: String,
    /// Where it listens for plain HTTP; `None`: on a free port of this run.
    pub http: Option<SocketAddr>,
    /// Only Ingresses of this namespace.
    pub namespace: Option<String>,
    /// What else it is told.
    pub arguments: Vec<String>,
}

/// A running Traefik.
#[derive(Debug)]
pub struct Traefik {
    process: Process,
    http: SocketAddr,
    https: SocketAddr,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ingress_class: "nginx".to_owned(),
            http: None,
            namespace: None,
            arguments: Vec::new(),
        }
    }
}

// === impl Traefik ===

impl Traefik {
    /// Starts it under a service account of its own, and waits until it answers.
    pub async fn start(cluster: &Cluster, options: Options) -> Result<Self> {
        let class = &options.ingress_class;
        cluster.ingresses_lead_to_cluster_ips().await?;
        cluster.apply(&objects(class)).await?;
        let token = cluster.service_account_token("traefik", "traefik").await?;
        let http = match options.http {
            Some(address) => address,
            None => loopback::free_component_address()?,
        };
        let https = loopback::free_component_address()?;
        let ping = loopback::free_component_address()?;
        let mut start = Start::tool("traefik")?
            .argument("--global.checknewversion=false")
            .argument("--global.sendanonymoususage=false")
            .argument("--log.level=INFO")
            .argument(format!("--entrypoints.web.address={http}"))
            .argument(format!("--entrypoints.websecure.address={https}"))
            .argument(format!("--entrypoints.ping.address={ping}"))
            .argument("--ping=true")
            .argument("--ping.entrypoint=ping")
            .argument("--accesslog=true")
            // The default holds every change back for two seconds.
            .argument("--providers.providersthrottleduration=10ms")
            .arguments(
                [
                    ("endpoint", cluster.url()),
                    ("token", token),
                    (
                        "certauthfilepath",
                        cluster.authority_file().display().to_string(),
                    ),
                    ("ingressclass", class.clone()),
                    ("ingressclassbyname", "true".to_owned()),
                    // Classes of one controller are one installation to it; each class of ours is one.
                    ("controllerclass", format!("bench.invalid/{class}")),
                    ("httpentrypoint", "web".to_owned()),
                    ("httpsentrypoint", "websecure".to_owned()),
                    ("publishstatusaddress", Ipv4Addr::LOCALHOST.to_string()),
                ]
                .map(|(name, value)| format!("--providers.kubernetesingressnginx.{name}={value}")),
            );
        if let Some(namespace) = &options.namespace {
            start = start.argument(format!(
                "--providers.kubernetesingressnginx.watchnamespace={namespace}"
            ));
        }
        let process = start.arguments(options.arguments).start()?;
        let traefik = Self {
            process,
            http,
            https,
        };
        traefik
            .wait(30)
            .until("Traefik is ready", async || {
                let answer = Visitor::get(ping, "ping", "/ping").send().await?;
                ensure!(answer.status == 200, "/ping answers {}", answer.status);
                Ok(())
            })
            .await?;
        Ok(traefik)
    }

    /// Where it listens for plain HTTP.
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where it listens for HTTPS, with a certificate that nobody signed.
    pub fn https(&self) -> SocketAddr {
        self.https
    }

    /// A wait that shows Traefik's log when it fails.
    pub fn wait(&self, seconds: u64) -> Wait<'_> {
        Wait::seconds(seconds).watching(&self.process)
    }

    /// Waits until a host answers with anything but Traefik's own "no such route".
    pub async fn routes(&self, host: &str, target: &str) -> Result<()> {
        self.wait(10)
            .until(&format!("Traefik routes {host}{target}"), async || {
                let answer = Visitor::get(self.http, host, target).send().await?;
                ensure!(
                    answer.status != 404,
                    "it answers {} {}",
                    answer.status,
                    answer.body
                );
                Ok(())
            })
            .await
    }
}

/// The rights that Traefik's chart gives it for this provider, and the ingress class.
fn objects(class: &str) -> String {
    format!(
        "
apiVersion: v1
kind: Namespace
metadata: {{name: traefik}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: traefik, namespace: traefik}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: traefik}}
rules:
- apiGroups: ['']
  resources: [services, secrets, configmaps, namespaces]
  verbs: [get, list, watch]
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses, ingressclasses]
  verbs: [get, list, watch]
- apiGroups: [networking.k8s.io]
  resources: [ingresses/status]
  verbs: [update, patch]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: traefik}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: traefik}}
subjects:
- {{kind: ServiceAccount, name: traefik, namespace: traefik}}
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {{name: '{class}'}}
spec: {{controller: k8s.io/ingress-nginx}}
"
    )
}

/// An Ingress of one host whose paths all go to one Service.
pub fn ingress(
    namespace: &str,
    name: &str,
    class: &str,
    host: &str,
    service: &str,
) -> Result<String> {
    let ingress = serde_json::json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "ingressClassName": class,
            "rules": [{"host": host, "http": {"paths": [{
                "path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": service, "port": {"number": 80}}},
            }]}}],
        },
    });
    serde_json::to_string(&ingress).context("an Ingress has no JSON form")
}
