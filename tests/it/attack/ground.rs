//! A cluster of its own for what tenants try, since some of it reaches every host of a cluster: the chart under its own
//! service accounts, real Traefik, a provider, and two people who may write in a namespace each.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use vestibule::{
    policy::{Host, Moment},
    published::KeyRing,
    session::{self, Keys, NamedFacts},
};

use super::stage::now;
use crate::{
    bench::{
        Answer, Cluster, Echo, Visitor, Wait, cluster::TestNamespace, installation::NAMESPACE,
    },
    people::bob,
    product::{CLASS, Product},
};

/// Where tenants meet.
pub(super) struct Ground {
    pub(super) product: Product,
    keys: Keys,
}

/// A namespace in which one person may write Ingresses, ProtectedServices, Services and Secrets, and nothing else.
pub(super) struct Tenant {
    pub(super) namespace: TestNamespace<'static>,
    pub(super) user: String,
    cluster: &'static Cluster,
}

static ALONE: Mutex<()> = Mutex::const_new(());

/// The one ground of this run, for one test at a time.
pub(super) async fn ground() -> Result<(&'static Ground, MutexGuard<'static, ()>)> {
    static GROUND: OnceCell<Ground> = OnceCell::const_new();
    let alone = ALONE.lock().await;
    Ok((GROUND.get_or_try_init(Ground::new).await?, alone))
}

// === impl Ground ===

impl Ground {
    async fn new() -> Result<Self> {
        let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start().await?));
        let settings = [
            // What admission would refuse is to be noticed all the same.
            "authHost.reserveWildcards=false",
            "auth.limits.maxConnections=10000",
            "auth.limits.headerTimeout=10m",
        ];
        let product = Product::start(cluster, &settings).await?;
        let secrets: Api<Secret> = Api::namespaced(cluster.client().await?, NAMESPACE);
        let stored = secrets.get("vestibule-session-keys").await?;
        let stored = stored.data.unwrap_or_default();
        let ring = stored.get("keyring.json").context("no key ring")?;
        let keys = Keys::new(Arc::new(KeyRing::parse(&ring.0)?));
        Ok(Self { product, keys })
    }

    pub(super) fn cluster(&self) -> &'static Cluster {
        self.product.cluster
    }

    pub(super) async fn tenant(&self, name: &str) -> Result<Tenant> {
        let cluster = self.cluster();
        let namespace = cluster.namespace(name).await?;
        let user = format!("{}@tenants", &*namespace);
        let rights = json!({"apiVersion": "v1", "kind": "List", "items": [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
                "metadata": {"name": "tenant", "namespace": &*namespace},
                "rules": [
                    {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses"], "verbs": ["*"]},
                    {"apiGroups": ["vestibule.dev"], "resources": ["protectedservices"], "verbs": ["*"]},
                    {"apiGroups": [""], "resources": ["services", "secrets"], "verbs": ["*"]},
                ],
            },
            {
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "tenant", "namespace": &*namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "tenant"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": &user}],
            },
        ]});
        cluster.apply(&rights.to_string()).await?;
        Ok(Tenant {
            namespace,
            user,
            cluster,
        })
    }

    /// A session of bob on a host that began then.
    pub(super) fn session(&self, host: &str, began: Moment) -> Result<String> {
        let bob = bob(self.product.provider.issuer(), began);
        let host = Host::parse(host).context("a host")?;
        let named = NamedFacts::default();
        let sealed = session::issue(&bob, &named, &self.keys, &host, now(), session::random);
        Ok(format!("__Host-vestibule={}", sealed.context("a session")?))
    }

    /// What a browser with these cookies is answered by Traefik.
    pub(super) async fn visit(&self, host: &str, target: &str, cookies: &str) -> Result<Answer> {
        Visitor::get(self.product.traefik.http(), host, target)
            .navigating()
            .header("cookie", cookies)
            .send()
            .await
    }

    pub(super) fn wait(&self) -> Wait<'_> {
        self.product.traefik.wait(30)
    }
}

// === impl Tenant ===

impl Tenant {
    pub(super) fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// `kubectl` with the rights of the tenant, in the tenant's namespace.
    pub(super) async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let (user, namespace) = (format!("--as={}", self.user), &*self.namespace);
        let all = [&[&*user, "-n", namespace], arguments].concat();
        self.cluster.kubectl(&all).await
    }

    /// `kubectl apply`, as the tenant.
    pub(super) async fn apply(&self, object: &Value) -> Result<String> {
        let file = tempfile::Builder::new().suffix(".json").tempfile()?;
        std::fs::write(file.path(), object.to_string())?;
        let path = file.path().to_string_lossy().into_owned();
        let arguments = ["apply", "--server-side", "--force-conflicts", "-f", &path];
        self.kubectl(&arguments).await
    }

    /// A service behind a name of the tenant's.
    pub(super) async fn service(&self, name: &str) -> Result<Echo> {
        self.cluster.echo_service(&self.namespace, name).await
    }

    /// An Ingress of the tenant's with these rules and annotations.
    pub(super) fn ingress(&self, name: &str, spec: &Value, annotations: &Value) -> Value {
        let mut spec = spec.clone();
        if spec.get("ingressClassName").is_none() {
            spec["ingressClassName"] = json!(CLASS);
        }
        if spec["ingressClassName"] == json!("") {
            spec["ingressClassName"] = Value::Null;
        }
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "namespace": &*self.namespace, "annotations": annotations},
            "spec": spec,
        })
    }

    /// A ProtectedService of the tenant's.
    pub(super) fn policy(&self, name: &str, spec: &Value) -> Value {
        json!({
            "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
            "metadata": {"name": name, "namespace": &*self.namespace},
            "spec": spec,
        })
    }

    /// Serves a host of the tenant's, protected for corp.example, and waits until that is so.
    pub(super) async fn protect(&self, ground: &Ground, name: &str, host: &str) -> Result<()> {
        let annotations = json!({
            "vestibule.dev/protect": "true",
            "vestibule.dev/allowed-email-domains": "corp.example",
        });
        let spec = json!({"rules": [rule(host, "/", name)]});
        self.apply(&self.ingress(name, &spec, &annotations)).await?;
        self.until_ready(name, "True", "Ready").await?;
        ground.until_asked(host).await
    }

    /// What a ProtectedService says: `STATUS REASON`.
    pub(super) async fn ready(&self, name: &str) -> Result<String> {
        let path =
            "jsonpath={range .status.conditions[?(@.type==\"Ready\")]}{.status} {.reason}{end}";
        self.kubectl(&["get", "psvc", name, "-o", path]).await
    }

    pub(super) async fn until_ready(&self, name: &str, status: &str, reason: &str) -> Result<()> {
        let wanted = format!("{status} {reason}");
        Wait::seconds(60)
            .until(&format!("{name} says {wanted}"), async || {
                let said = self.ready(name).await?;
                ensure!(said == wanted, "it says {said}");
                Ok(())
            })
            .await
    }

    /// The reasons of the Events on an object of the tenant's.
    pub(super) async fn events(&self, kind: &str, name: &str) -> Result<Vec<String>> {
        let namespace: &str = &self.namespace;
        let select =
            format!("--field-selector=involvedObject.kind={kind},involvedObject.name={name}");
        let arguments = [
            "-n",
            namespace,
            "get",
            "events",
            &select,
            "-o",
            "jsonpath={.items[*].reason}",
        ];
        let reasons = self.cluster.kubectl(&arguments).await?;
        Ok(reasons.split(' ').map(str::to_owned).collect())
    }
}

impl Ground {
    /// Waits until Traefik asks for each request of a host.
    pub(super) async fn until_asked(&self, host: &str) -> Result<()> {
        self.wait()
            .until(&format!("{host} asks for a session"), async || {
                let answer = self.visit(host, "/", "").await?;
                ensure!(answer.status == 302, "it answers {}", answer.status);
                Ok(())
            })
            .await
    }
}

/// A rule of an Ingress; without a host if that is empty.
pub(super) fn rule(host: &str, path: &str, service: &str) -> Value {
    let mut rule = json!({"http": {"paths": [{
        "path": path, "pathType": "Prefix",
        "backend": {"service": {"name": service, "port": {"number": 80}}},
    }]}});
    if !host.is_empty() {
        rule["host"] = json!(host);
    }
    rule
}
