//! The policies that hold accounts to what is theirs: the controller's to three annotations, everybody's to other hosts
//! than the auth host.

use anyhow::Result;
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;
use vestibule::resource::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL};

use super::place::{Place, annotation, assert_refused, protected_service};

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
    let allowed = json!({"metadata": {"annotations": {AUTH_URL: "http://127.0.0.1/", AUTH_SIGNIN: "http://127.0.0.1/", AUTH_RESPONSE_HEADERS: "X-User"}}});
    controller
        .patch("wiki", &by, &Patch::Merge(allowed))
        .await?;
    controller
        .patch(
            "wiki",
            &by,
            &Patch::Merge(json!({"metadata": {"annotations": {AUTH_URL: null}}})),
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
            json!({"spec": {"tls": [{"hosts": ["wiki.test"]}]}}),
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
    assert_eq!(annotation(&made, AUTH_URL), None);
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

/// Each installation's policies hold everybody but its own controller, and so the controller of another.
#[tokio::test]
async fn two_installations_mark_what_each_of_them_derived() -> Result<()> {
    let place = Place::new("second").await?;
    place
        .cluster
        .apply(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {name: second-controller, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: second-controller}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: vestibule-controller}
subjects: [{kind: ServiceAccount, name: second-controller, namespace: default}]
",
        )
        .await?;
    let client = place.cluster;
    let client = client
        .service_account_client("default", "second-controller")
        .await?;
    let second = place.protected_services(client);
    let first = place.protected_services(place.controller().await?);
    let posted = PostParams::default();
    let of = |instance: &str| json!({"vestibule.dev/derived-from": "ingress", "vestibule.dev/instance": instance});
    second
        .create(&posted, &protected_service("theirs", of("second"))?)
        .await?;
    first
        .create(&posted, &protected_service("ours", of("vestibule"))?)
        .await?;
    for (name, labels) in [
        ("a", of("vestibule")),
        ("b", json!({"vestibule.dev/derived-from": "ingress"})),
    ] {
        let made = second
            .create(&posted, &protected_service(name, labels)?)
            .await;
        assert_refused(made, "leave it out", name)?;
    }
    Ok(())
}

#[tokio::test]
async fn nobody_but_vestibule_may_serve_the_auth_host() -> Result<()> {
    let place = Place::new("reserve").await?;
    let sentence = "auth.test is where people sign in";
    let trap = serde_json::from_value(place.ingress("auth", "nginx", json!({})))?;
    let made = place.ingresses.create(&PostParams::default(), &trap).await;
    assert_refused(made, sentence, "a new Ingress")?;
    // On Traefik a wildcard, or no host at all, takes paths of the auth host too.
    let rules = |host: serde_json::Value| json!({"rules": [{"host": host}]});
    let backend = json!({"service": {"name": "app", "port": {"number": 80}}});
    for spec in [
        rules(json!("*.test")),
        rules(json!(null)),
        json!({"defaultBackend": backend}),
    ] {
        let mut trap = place.ingress("auth", "nginx", json!({}));
        trap["spec"] = spec.clone();
        let trap = serde_json::from_value(trap)?;
        let made = place.ingresses.create(&PostParams::default(), &trap).await;
        assert_refused(made, sentence, spec.to_string())?;
    }
    let wiki = place.create("wiki", "nginx", json!({})).await?;
    let taking = json!({"spec": {"rules": [
        {"host": "wiki.test"},
        {"host": "auth.test", "http": {"paths": [{
            "path": "/trap", "pathType": "Prefix",
            "backend": {"service": {"name": "app", "port": {"number": 80}}},
        }]}},
    ]}});
    let by = PatchParams::default();
    let taken = place
        .ingresses
        .patch("wiki", &by, &Patch::Merge(taking))
        .await;
    assert_refused(taken, sentence, "an Ingress that has another host already")?;
    assert_eq!(place.ingresses.get("wiki").await?.spec, wiki.spec);
    Ok(())
}
