//! Bad input: what is not understood closes what it concerns, is named where its owner looks, and harms nothing else.

use anyhow::{Result, ensure};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{Stage, ingress, shared};

#[tokio::test]
async fn an_unknown_annotation_closes_and_names_the_one_that_was_meant() -> Result<()> {
    let site = shared().await?.site("typo").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    site.annotate(
        "wiki",
        json!({"vestibule.dev/allowed-mails": "ann@corp.example"}),
    )
    .await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "UnknownAnnotation")
        .await?;
    ensure!(
        said.contains("vestibule.dev/allowed-emails was probably meant"),
        "{said}"
    );
    let note = site
        .until_event("Ingress", "wiki", "UnknownAnnotation")
        .await?;
    ensure!(note.contains("allowed-mails"), "{note}");
    // Told once, however often it is worked out again.
    site.annotate("wiki", json!({"example.com/else": "1"}))
        .await?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let events = site.events("Ingress", "wiki").await?;
    let told = events
        .iter()
        .filter(|event| event.reason.as_deref() == Some("UnknownAnnotation"));
    ensure!(
        told.count() == 1 && events.iter().all(|e| e.series.is_none()),
        "{events:?}"
    );
    ensure!(site.ours("wiki").await?.len() == 3);
    site.namespace.delete().await
}

#[tokio::test]
async fn a_value_that_is_no_value_closes_too() -> Result<()> {
    let site = shared().await?.site("value").await?;
    site.annotate("wiki", json!({"vestibule.dev/protect": "yes"}))
        .await?;
    site.until_event("Ingress", "wiki", "InvalidAnnotationValue")
        .await?;
    site.until_annotated("wiki").await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn an_ingress_without_hosts_is_not_called_protected() -> Result<()> {
    let site = shared().await?.site("nohost").await?;
    let mut bare = ingress(&site.namespace, "wiki", "x");
    if let Some(rule) = bare["spec"]["rules"][0].as_object_mut() {
        rule.remove("host");
    }
    site.put(&bare).await?;
    site.opt_in().await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "NoHosts")
        .await?;
    ensure!(said.contains("host"), "{said}");
    site.until_event("Ingress", "wiki", "NoHosts").await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn the_api_server_refuses_what_the_schema_can_refuse_and_says_why() -> Result<()> {
    let stage = shared().await?;
    let site = stage.site("schema").await?;
    let refused = |spec: serde_json::Value| {
        let object = json!({
            "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
            "metadata": {"name": "x", "namespace": &*site.namespace}, "spec": spec,
        });
        async move {
            stage
                .cluster
                .apply(&object.to_string())
                .await
                .unwrap_err()
                .to_string()
        }
    };
    let hosts = json!({"targetRefs": [{"name": "wiki"}], "hosts": [{"host": "a.example", "upstream": "http://a"}]});
    let said = refused(hosts).await;
    ensure!(
        said.contains("In a cluster hosts come from the Ingresses"),
        "{said}"
    );
    let said = refused(json!({"targetRefs": [{"name": "wiki"}], "allowed": []})).await;
    ensure!(said.contains("allowed"), "{said}");
    let said = refused(json!({})).await;
    ensure!(said.contains("name at least one Ingress"), "{said}");
    site.namespace.delete().await
}

/// An older or newer CRD may let pass what this version cannot read.
#[tokio::test]
async fn an_object_that_cannot_be_read_is_closed_by_name_and_hides_no_other() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let controller = stage.installation.controller().await?;
    let crds: kube::Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = kube::Api::all(stage.cluster.client().await?);
    let anything = json!([{
        "op": "replace", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(anything)?);
    crds.patch(
        "protectedservices.vestibule.dev",
        &PatchParams::default(),
        &patch,
    )
    .await?;

    let site = stage.site("unread").await?;
    let other = stage.site("readable").await?;
    let odd = json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
        "metadata": {"name": "odd", "namespace": &*site.namespace},
        "spec": {"targetRefs": [{"name": "wiki"}], "allow": "everyone", "someday": {"more": 1}},
    });
    let object = odd.to_string();
    super::wait()
        .until("the looser schema is in force", async || {
            stage.cluster.apply(&object).await
        })
        .await?;
    other.opt_in().await?;
    other.until_ready().await?;
    site.until_event("ProtectedService", "odd", "Unreadable")
        .await?;
    site.until_annotated("wiki").await?;
    ensure!(controller.process().ended().is_none());
    Ok(())
}
