//! The chart's admission policies on a real API server: what they stamp, and what they hold our account to.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::{
    Api, Client,
    api::{
        ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
    },
};
use serde_json::{Value, json};
use vestibule_bench::{Cluster, Wait, cluster::TestNamespace};

use super::installed;

const URL: &str = "nginx.ingress.kubernetes.io/auth-url";
const SIGN_IN: &str = "nginx.ingress.kubernetes.io/auth-signin";
const HEADERS: &str = "nginx.ingress.kubernetes.io/auth-response-headers";

#[tokio::test]
async fn an_ingress_that_opts_in_is_stamped_in_the_request_that_creates_it() -> Result<()> {
    let place = Place::new("stamp").await?;
    let made = place
        .create("wiki", "nginx", json!({"vestibule.dev/protect": "true"}))
        .await?;
    place.assert_stamped(&made);
    // By server-side apply, as GitOps tools do.
    let applied = place.ingress("applied", "nginx", json!({"vestibule.dev/protect": "true"}));
    let by = PatchParams::apply("gitops");
    place.assert_stamped(
        &place
            .ingresses
            .patch("applied", &by, &Patch::Apply(applied))
            .await?,
    );
    // With the class in the annotation that came before the field.
    let legacy = json!({"vestibule.dev/protect": "true", "kubernetes.io/ingress.class": "nginx"});
    place.assert_stamped(&place.create("legacy", "", legacy).await?);
    Ok(())
}

#[tokio::test]
async fn an_ingress_that_is_not_ours_to_protect_is_left_as_it_is() -> Result<()> {
    let place = Place::new("leave").await?;
    for (name, class, annotations) in [
        ("plain", "nginx", json!({})),
        ("out", "nginx", json!({"vestibule.dev/protect": "false"})),
        (
            "other-class",
            "other",
            json!({"vestibule.dev/protect": "true"}),
        ),
        ("no-class", "", json!({"vestibule.dev/protect": "true"})),
    ] {
        let made = place.create(name, class, annotations).await?;
        assert!(
            [URL, SIGN_IN, HEADERS]
                .iter()
                .all(|key| annotation(&made, key).is_none()),
            "{name}"
        );
    }
    let theirs = json!({"vestibule.dev/protect": "true", URL: "https://auth.corp.example/check"});
    let made = place.create("foreign", "nginx", theirs).await?;
    assert_eq!(
        annotation(&made, URL),
        Some("https://auth.corp.example/check")
    );
    assert_eq!(annotation(&made, SIGN_IN), None);
    Ok(())
}

#[tokio::test]
async fn the_stamp_comes_with_the_opt_in_and_cannot_be_taken_off_while_that_stands() -> Result<()> {
    let place = Place::new("late").await?;
    place.create("wiki", "nginx", json!({})).await?;
    place.assert_stamped(
        &place
            .annotate("wiki", json!({"vestibule.dev/protect": "true"}))
            .await?,
    );
    place.assert_stamped(
        &place
            .annotate(
                "wiki",
                json!({URL: null, SIGN_IN: "https://elsewhere.example"}),
            )
            .await?,
    );
    // A manifest copied from another Ingress brings that one's name along.
    let of_another = "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/other/app?m=$request_method&u=$escaped_request_uri&h=$host";
    place.assert_stamped(&place.annotate("wiki", json!({URL: of_another})).await?);
    // Removing the opt-in opens nothing by itself: an explicit ProtectedService may name this Ingress.
    place.assert_stamped(
        &place
            .annotate("wiki", json!({"vestibule.dev/protect": null}))
            .await?,
    );
    let opened = place
        .annotate("wiki", json!({URL: null, SIGN_IN: null, HEADERS: null}))
        .await?;
    assert_eq!(annotation(&opened, URL), None);
    Ok(())
}

#[tokio::test]
async fn the_controller_adopts_the_stamp_and_takes_it_off_once_the_opt_in_is_gone() -> Result<()> {
    let place = Place::new("adopt").await?;
    let made = place
        .create("wiki", "nginx", json!({"vestibule.dev/protect": "true"}))
        .await?;
    let stamped: Value = [URL, SIGN_IN, HEADERS]
        .iter()
        .map(|key| ((*key).to_owned(), json!(annotation(&made, key))))
        .collect();
    let controller: Api<Ingress> =
        Api::namespaced(place.controller().await?, place.namespace.name());
    // Without force: nobody owns what was stamped.
    let by = PatchParams::apply("vestibule-vestibule");
    let with = |annotations: Value| {
        Patch::Apply(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "wiki", "annotations": annotations}}),
        )
    };
    place.assert_stamped(&controller.patch("wiki", &by, &with(stamped)).await?);
    // While the opt-in stands, the API server puts back what the controller drops.
    place.assert_stamped(&controller.patch("wiki", &by, &with(json!({}))).await?);
    place
        .annotate("wiki", json!({"vestibule.dev/protect": "false"}))
        .await?;
    let stamped = place.ingresses.get("wiki").await?;
    let values: Value = [URL, SIGN_IN, HEADERS]
        .iter()
        .map(|key| ((*key).to_owned(), json!(annotation(&stamped, key))))
        .collect();
    controller.patch("wiki", &by, &with(values)).await?;
    let opened = controller.patch("wiki", &by, &with(json!({}))).await?;
    assert_eq!(annotation(&opened, URL), None);
    Ok(())
}

#[tokio::test]
async fn the_controllers_account_may_change_three_annotations_of_an_ingress_and_nothing_else()
-> Result<()> {
    let place = Place::new("hold").await?;
    place
        .create("wiki", "nginx", json!({"team": "docs"}))
        .await?;
    let controller: Api<Ingress> =
        Api::namespaced(place.controller().await?, place.namespace.name());
    let by = PatchParams::default();
    let allowed = json!({"metadata": {"annotations": {URL: "http://127.0.0.1/", SIGN_IN: "http://127.0.0.1/", HEADERS: "X-User"}}});
    controller
        .patch("wiki", &by, &Patch::Merge(allowed))
        .await?;
    controller
        .patch(
            "wiki",
            &by,
            &Patch::Merge(json!({"metadata": {"annotations": {URL: null}}})),
        )
        .await?;
    for (change, sentence) in [
        (
            json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "x"}}}),
            "may change no annotation",
        ),
        (
            json!({"metadata": {"annotations": {"team": "other"}}}),
            "may change no annotation",
        ),
        (
            json!({"metadata": {"annotations": {"team": null}}}),
            "may change no annotation",
        ),
        (
            json!({"metadata": {"annotations": null}}),
            "may change no annotation",
        ),
        (
            json!({"metadata": {"labels": {"team": "other"}}}),
            "may not change labels",
        ),
        (
            json!({"metadata": {"finalizers": ["vestibule.dev/stay"]}}),
            "may not change labels, finalizers",
        ),
        (
            json!({"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": "b"}]}}),
            "owner references",
        ),
        (
            json!({"spec": {"ingressClassName": "other"}}),
            "may not change the spec",
        ),
        (
            json!({"spec": {"rules": null, "defaultBackend": {"service": {"name": "evil", "port": {"number": 80}}}}}),
            "may not change the spec",
        ),
    ] {
        assert_refused(
            controller.patch("wiki", &by, &Patch::Merge(&change)).await,
            sentence,
            &change,
        )?;
    }
    // Its owner is not held to anything.
    place.annotate("wiki", json!({"team": "other"})).await?;
    Ok(())
}

#[tokio::test]
async fn the_controllers_account_makes_whole_ingresses_in_its_own_namespace_only() -> Result<()> {
    let place = Place::new("own").await?;
    let client = place.controller().await?;
    let endpoint = place.ingress(
        "vestibule-wiki.test",
        "nginx",
        json!({"vestibule.dev/protect": "true"}),
    );
    let by = PatchParams::apply("vestibule-vestibule");
    let own: Api<Ingress> = Api::namespaced(client.clone(), "vestibule");
    let made = own
        .patch("vestibule-wiki.test", &by, &Patch::Apply(&endpoint))
        .await?;
    // Nor is anything stamped there: an endpoint that needed a session could not give one.
    assert_eq!(annotation(&made, URL), None);
    own.delete("vestibule-wiki.test", &DeleteParams::default())
        .await?;
    let elsewhere: Api<Ingress> = Api::namespaced(client, place.namespace.name());
    let refused = elsewhere
        .patch("vestibule-wiki.test", &by, &Patch::Apply(&endpoint))
        .await;
    assert_refused(refused, "cannot create resource", &endpoint)
}

#[tokio::test]
async fn the_controllers_account_writes_only_protected_services_that_it_derived() -> Result<()> {
    let place = Place::new("derive").await?;
    let theirs = place.protected_services(place.cluster.client().await?);
    let ours = place.protected_services(place.controller().await?);
    let derived = json!({"vestibule.dev/derived-from": "ingress"});
    let posted = PostParams::default();
    let by = PatchParams::default();
    ours.create(&posted, &protected_service("wiki", derived.clone())?)
        .await?;
    ours.patch("wiki", &by, &Patch::Merge(json!({"spec": {"allow": []}})))
        .await?;
    theirs
        .create(&posted, &protected_service("grafana", json!({}))?)
        .await?;
    let sentence = "may only write ProtectedServices that it derived";
    assert_refused(
        ours.create(&posted, &protected_service("mail", json!({}))?)
            .await,
        sentence,
        "create",
    )?;
    let edit = Patch::Merge(json!({"spec": {"allow": []}}));
    assert_refused(ours.patch("grafana", &by, &edit).await, sentence, "edit")?;
    let take = Patch::Merge(json!({"metadata": {"labels": derived}}));
    assert_refused(
        ours.patch("grafana", &by, &take).await,
        sentence,
        "take over",
    )?;
    let hide = Patch::Merge(json!({"metadata": {"labels": null}}));
    assert_refused(ours.patch("wiki", &by, &hide).await, sentence, "pass off")?;
    assert_refused(
        ours.delete("grafana", &DeleteParams::default()).await,
        sentence,
        "delete",
    )?;
    // Statuses are the controller's on every ProtectedService.
    let status = Patch::Merge(json!({"status": {"observedGeneration": 1}}));
    ours.patch_status("grafana", &by, &status).await?;
    ours.delete("wiki", &DeleteParams::default()).await?;
    Ok(())
}

/// A namespace in the cluster with the chart, and an administrator in it.
struct Place {
    cluster: &'static Cluster,
    namespace: TestNamespace<'static>,
    ingresses: Api<Ingress>,
}

// === impl Place ===

impl Place {
    async fn new(prefix: &str) -> Result<Self> {
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
        Wait::seconds(30)
            .until("the admission policies are in force", async || {
                let stamped = self.ingresses.create(&posted, &opted_in).await?;
                annotation(&stamped, URL).context("no Ingress is stamped")?;
                let held = is_refused(ingresses.patch("probe", &patched, &change).await)
                    && is_refused(services.create(&posted, &service).await);
                ensure!(held, "the controller's account is not held to anything");
                Ok(())
            })
            .await
    }

    fn protected_services(&self, client: Client) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("vestibule.dev", "v1alpha1", "ProtectedService");
        Api::namespaced_with(client, self.namespace.name(), &ApiResource::from_gvk(&kind))
    }

    /// A client with the controller's rights.
    async fn controller(&self) -> Result<Client> {
        self.cluster
            .service_account_client("vestibule", "vestibule-controller")
            .await
    }

    fn ingress(&self, name: &str, class: &str, annotations: Value) -> Value {
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

    async fn create(&self, name: &str, class: &str, annotations: Value) -> Result<Ingress> {
        let ingress = serde_json::from_value(self.ingress(name, class, annotations))?;
        Ok(self
            .ingresses
            .create(&PostParams::default(), &ingress)
            .await?)
    }

    async fn annotate(&self, name: &str, annotations: Value) -> Result<Ingress> {
        let change = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        Ok(self
            .ingresses
            .patch(name, &PatchParams::default(), &change)
            .await?)
    }

    fn assert_stamped(&self, ingress: &Ingress) {
        let of = format!(
            "{}/{}",
            self.namespace.name(),
            ingress.metadata.name.as_deref().unwrap_or_default()
        );
        let url = format!(
            "http://vestibule-auth.vestibule.svc.cluster.local:4181/verify/nginx/{of}?m=$request_method&u=$escaped_request_uri&h=$host"
        );
        let sign_in = format!("https://$host/oauth2/start/{of}?m=$request_method");
        assert_eq!(annotation(ingress, URL), Some(url.as_str()));
        assert_eq!(annotation(ingress, SIGN_IN), Some(sign_in.as_str()));
        assert_eq!(
            annotation(ingress, HEADERS),
            Some(
                "X-Auth-Request-User,X-Auth-Request-Email,X-Auth-Request-Preferred-Username,X-Auth-Request-Groups,X-Auth-Request-Access-Token"
            )
        );
    }
}

fn protected_service(name: &str, labels: Value) -> Result<DynamicObject> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": name}],
            "allow": [{"emailDomains": ["corp.example"]}],
        },
    }))?)
}

fn annotation<'a>(ingress: &'a Ingress, key: &str) -> Option<&'a str> {
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

fn assert_refused<T>(
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
