//! Where the admission tests happen: a namespace in a cluster with the chart, and who acts in it.

use crate::bench::{Cluster, Wait, cluster::TestNamespace};
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use vestibule::resource::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL};

use super::installed;

/// A namespace in the cluster with the chart, and an administrator in it.
pub(super) struct Place {
    pub(super) cluster: &'static Cluster,
    pub(super) namespace: TestNamespace<'static>,
    pub(super) ingresses: Api<Ingress>,
}

// === impl Place ===

impl Place {
    pub(super) async fn new(prefix: &str) -> Result<Self> {
        let cluster = installed().await?;
        let client = cluster.client().await?;
        for (name, controller) in [
            ("nginx", "k8s.io/ingress-nginx"),
            ("other", "example.com/other"),
        ] {
            let class = json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
                "metadata": {"name": name}, "spec": {"controller": controller},
            });
            let by = PatchParams::apply("administrator");
            Api::<IngressClass>::all(client.clone())
                .patch(name, &by, &Patch::Apply(class))
                .await?;
        }
        let namespace = cluster.namespace(prefix).await?;
        let ingresses = Api::namespaced(client, namespace.name());
        let place = Self {
            cluster,
            namespace,
            ingresses,
        };
        place.policies_in_force().await?;
        Ok(place)
    }

    /// Policies, and the classes they read, reach the admission chain a moment after they are made.
    async fn policies_in_force(&self) -> Result<()> {
        self.create("probe", "other", json!({})).await?;
        let opted_in = self.ingress(
            "opted-in",
            "nginx",
            json!({"vestibule.dev/protect": "true"}),
        );
        let opted_in = serde_json::from_value(opted_in)?;
        let service = protected_service("probe", json!({}))?;
        let on_auth_host = serde_json::from_value(self.ingress("auth", "other", json!({})))?;
        let change = Patch::Merge(json!({"metadata": {"labels": {"team": "other"}}}));
        let posted = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let patched = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let controller = self.controller().await?;
        let ingresses: Api<Ingress> = Api::namespaced(controller.clone(), self.namespace.name());
        let services = self.protected_services(controller);
        Wait::seconds(60)
            .until("the admission policies are in force", async || {
                let stamped = self.ingresses.create(&posted, &opted_in).await?;
                annotation(&stamped, AUTH_URL).context("no Ingress is stamped")?;
                let held = is_refused(ingresses.patch("probe", &patched, &change).await)
                    && is_refused(services.create(&posted, &service).await);
                ensure!(held, "the controller's account is not held to anything");
                let reserved = is_refused(self.ingresses.create(&posted, &on_auth_host).await);
                ensure!(reserved, "anybody may serve the auth host");
                Ok(())
            })
            .await
    }

    pub(super) fn protected_services(&self, client: Client) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("vestibule.dev", "v1alpha1", "ProtectedService");
        Api::namespaced_with(client, self.namespace.name(), &ApiResource::from_gvk(&kind))
    }

    /// A client with the controller's rights.
    pub(super) async fn controller(&self) -> Result<Client> {
        self.cluster
            .service_account_client("vestibule", "vestibule-controller")
            .await
    }

    pub(super) fn ingress(&self, name: &str, class: &str, annotations: Value) -> Value {
        let class = if class.is_empty() {
            Value::Null
        } else {
            json!(class)
        };
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {"name": name, "annotations": annotations},
            "spec": {
                "ingressClassName": class,
                "rules": [{"host": format!("{name}.test"), "http": {"paths": [{
                    "path": "/", "pathType": "Prefix",
                    "backend": {"service": {"name": "app", "port": {"number": 80}}},
                }]}}],
            },
        })
    }

    pub(super) async fn create(
        &self,
        name: &str,
        class: &str,
        annotations: Value,
    ) -> Result<Ingress> {
        let ingress = serde_json::from_value(self.ingress(name, class, annotations))?;
        Ok(self
            .ingresses
            .create(&PostParams::default(), &ingress)
            .await?)
    }

    pub(super) async fn annotate(&self, name: &str, annotations: Value) -> Result<Ingress> {
        let change = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        Ok(self
            .ingresses
            .patch(name, &PatchParams::default(), &change)
            .await?)
    }

    pub(super) fn assert_stamped(&self, ingress: &Ingress) {
        let of = format!(
            "{}/{}",
            self.namespace.name(),
            ingress.metadata.name.as_deref().unwrap_or_default()
        );
        let url = format!(
            "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/{of}?m=$request_method&u=$escaped_request_uri&h=$host"
        );
        let sign_in = format!("https://$host/oauth2/start/{of}?m=$request_method");
        assert_eq!(annotation(ingress, AUTH_URL), Some(url.as_str()));
        assert_eq!(annotation(ingress, AUTH_SIGNIN), Some(sign_in.as_str()));
        assert_eq!(
            annotation(ingress, AUTH_RESPONSE_HEADERS),
            Some(
                "X-Auth-Request-User,X-Auth-Request-Email,X-Auth-Request-Preferred-Username,X-Auth-Request-Groups,X-Auth-Request-Access-Token"
            )
        );
    }
}

pub(super) fn protected_service(name: &str, labels: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": name}],
            "allow": [{"emailDomains": ["corp.example"]}],
        },
    }))?)
}

pub(super) fn annotation<'a>(ingress: &'a Ingress, key: &str) -> Option<&'a str> {
    ingress
        .metadata
        .annotations
        .as_ref()?
        .get(key)
        .map(String::as_str)
}

fn is_refused<T>(answer: kube::Result<T>) -> bool {
    matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}

pub(super) fn assert_refused<T>(
    answer: kube::Result<T>,
    sentence: &str,
    what: impl std::fmt::Debug,
) -> Result<()> {
    match answer {
        Err(kube::Error::Api(status)) => {
            assert_eq!(status.code, 403, "{what:?}: {status:?}");
            assert!(
                status.message.contains(sentence),
                "{what:?}: {}",
                status.message
            );
            Ok(())
        }
        Err(other) => bail!("{what:?}: expected a refusal by the API server, got {other}"),
        Ok(_) => bail!("{what:?} was allowed"),
    }
}
