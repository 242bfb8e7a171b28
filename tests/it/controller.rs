//! The controller on a real API server, as a process with its own service account's rights: what it writes, what it
//! says, and what it leaves alone.

mod foreign;
mod leadership;
mod many;
mod protection;
mod refusals;
mod unprotect;

use std::path::{Path, PathBuf};

use crate::bench::{
    Cluster, Installation, Wait,
    cluster::TestNamespace,
    installation::{Component, NAMESPACE},
};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{events::v1::Event, networking::v1::Ingress};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use vestibule::resource::{
    AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL, NGINX_PREFIX, ProtectedService,
};

/// A cluster with the chart installed.
struct Stage {
    cluster: &'static Cluster,
    installation: Installation<'static>,
}

/// A namespace of one test, with an Ingress `wiki`.
struct Site {
    namespace: TestNamespace<'static>,
    client: Client,
    host: String,
}

/// A condition, as far as tests look at it.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    status: String,
    reason: String,
    message: String,
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_vestibule")).to_owned()
}

static SHARED: OnceCell<(Stage, Component)> = OnceCell::const_new();

/// One stage with one controller, for all tests that do not disturb others.
async fn shared() -> Result<&'static Stage> {
    let start = async || {
        let stage = Stage::new(&[]).await?;
        let controller = stage.installation.controller().await?;
        anyhow::Ok((stage, controller))
    };
    Ok(&SHARED.get_or_try_init(start).await?.0)
}

// === impl Stage ===

impl Stage {
    /// A cluster of its own, with the chart, an ingress class and two providers, and no controller yet.
    async fn new(settings: &[&str]) -> Result<Self> {
        let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start().await?));
        let installation = Installation::new(cluster, &program(), settings).await?;
        for (name, controller) in [
            ("nginx", "k8s.io/ingress-nginx"),
            ("other", "example.com/other"),
        ] {
            let class = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                "metadata": {"name": name}, "spec": {"controller": controller},
            });
            cluster.apply(&class.to_string()).await?;
        }
        cluster
            .secret(NAMESPACE, "corp-client", &[("client-secret", "s3cret")])
            .await?;
        cluster.apply(&provider("corp", true)).await?;
        Ok(Self {
            cluster,
            installation,
        })
    }

    /// A namespace with an Ingress `wiki` for a host of its own, not protected.
    async fn site(&self, name: &str) -> Result<Site> {
        let namespace = self.cluster.namespace(name).await?;
        let site = Site {
            host: format!("{}.example", &*namespace),
            client: self.cluster.client().await?,
            namespace,
        };
        site.put(&ingress(&site.namespace, "wiki", &site.host))
            .await?;
        Ok(site)
    }
}

/// An IdentityProvider whose client secret is in `NAME-client`.
fn provider(name: &str, default: bool) -> String {
    json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "IdentityProvider",
        "metadata": {"name": name},
        "spec": {
            "type": "OIDC", "clientID": "vestibule", "default": default,
            "oidc": {"issuerURL": format!("https://{name}.example")},
            "clientSecretRef": {"name": format!("{name}-client")},
        },
    })
    .to_string()
}

fn ingress(namespace: &str, name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "ingressClassName": "nginx",
            "rules": [{"host": host, "http": {"paths": [{
                "path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"number": 80}}},
            }]}}],
        },
    })
}

/// Shows the controller's log when it fails.
fn wait() -> Wait<'static> {
    let wait = Wait::seconds(60);
    match SHARED.get() {
        Some((_, controller)) => wait.watching(controller.process()),
        None => wait,
    }
}

// === impl Site ===

impl Site {
    fn ingresses(&self) -> Api<Ingress> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn endpoints(&self) -> Api<Ingress> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    fn services(&self) -> Api<ProtectedService> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn endpoint_name(&self) -> String {
        format!("vestibule-{}", self.host)
    }

    /// Applies an Ingress as its owner would.
    async fn put(&self, object: &Value) -> Result<()> {
        let name = object["metadata"]["name"].as_str().context("a name")?;
        let by = PatchParams::apply("owner").force();
        self.ingresses()
            .patch(name, &by, &Patch::Apply(object))
            .await?;
        Ok(())
    }

    /// `kubectl annotate ingress NAME KEY=VALUE`; `null` removes.
    async fn annotate(&self, name: &str, annotations: Value) -> Result<()> {
        let patch = json!({"metadata": {"annotations": annotations}});
        let by = PatchParams {
            field_manager: Some("kubectl-annotate".into()),
            ..PatchParams::default()
        };
        self.ingresses()
            .patch(name, &by, &Patch::Merge(patch))
            .await?;
        Ok(())
    }

    async fn opt_in(&self) -> Result<()> {
        let annotations = json!({
            "vestibule.dev/protect": "true",
            "vestibule.dev/allowed-email-domains": "corp.example",
        });
        self.annotate("wiki", annotations).await
    }

    /// The three annotations of an Ingress, those that are there.
    async fn ours(&self, name: &str) -> Result<Vec<String>> {
        let ingress = self.ingresses().get(name).await?;
        let annotations = ingress.annotations();
        let there = [AUTH_URL, AUTH_SIGNIN, AUTH_RESPONSE_HEADERS].into_iter();
        Ok(there
            .filter_map(|key| annotations.get(key).cloned())
            .collect())
    }

    async fn until_ready(&self) -> Result<()> {
        self.until_condition("wiki", "Ready", "True", "Ready")
            .await
            .map(drop)
    }

    /// Waits until a ProtectedService says so, and gives the message.
    async fn until_condition(
        &self,
        name: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let what = format!("{name} says {kind} {status} {reason}");
        wait()
            .until(&what, async || {
                let said = self.said(name, kind).await?;
                ensure!(
                    said.status == status && said.reason == reason,
                    "it says {said:?}"
                );
                Ok(said.message)
            })
            .await
    }

    async fn said(&self, name: &str, kind: &str) -> Result<Said> {
        let service = self.services().get(name).await?;
        let status = service.status.context("no status")?;
        let condition = status.conditions.into_iter().find(|c| c.type_ == kind);
        let condition = condition.with_context(|| format!("no condition {kind}"))?;
        Ok(Said {
            status: condition.status,
            reason: condition.reason,
            message: condition.message,
        })
    }

    /// Waits for an Event of this reason on an object of the namespace, and gives its note.
    async fn until_event(&self, kind: &str, name: &str, reason: &str) -> Result<String> {
        wait()
            .until(&format!("an Event {reason} on {kind} {name}"), async || {
                let events = self.events(kind, name).await?;
                let said: Vec<_> = events.iter().filter_map(|e| e.reason.clone()).collect();
                let event = events
                    .into_iter()
                    .find(|e| e.reason.as_deref() == Some(reason));
                event
                    .and_then(|e| e.note)
                    .with_context(|| format!("there are {said:?}"))
            })
            .await
    }

    async fn events(&self, kind: &str, name: &str) -> Result<Vec<Event>> {
        let events: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let all = events.list(&ListParams::default()).await?.items;
        let about = |event: &Event| {
            event.regarding.as_ref().is_some_and(|object| {
                object.kind.as_deref() == Some(kind)
                    && object.name.as_deref() == Some(name)
                    && object.uid.is_some()
            })
        };
        Ok(all.into_iter().filter(about).collect())
    }

    /// Waits until nothing that Vestibule made is left of the site.
    async fn until_nothing_is_left(&self) -> Result<()> {
        wait()
            .until("nothing is left", async || {
                let ours = self.ours("wiki").await?;
                ensure!(ours.is_empty(), "annotations: {ours:?}");
                let endpoint = self.endpoints().get_opt(&self.endpoint_name()).await?;
                ensure!(endpoint.is_none(), "the endpoint Ingress is there");
                let services = self.services().list(&ListParams::default()).await?;
                ensure!(services.items.is_empty(), "a ProtectedService is there");
                Ok(())
            })
            .await
    }

    async fn until_annotated(&self, name: &str) -> Result<()> {
        wait()
            .until(&format!("{name} is annotated"), async || {
                ensure!(self.ours(name).await?.len() == 3, "it is not");
                Ok(())
            })
            .await
    }
}

fn nginx(key: &str) -> String {
    format!("{NGINX_PREFIX}{key}")
}
