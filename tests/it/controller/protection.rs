//! From an annotation to a protected Ingress, and back.

use crate::bench::installation::NAMESPACE;
use anyhow::{Result, ensure};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::json;
use vestibule::resource::{IdentityProvider, ProtectedService};

use super::{Stage, ingress, provider, shared, wait};

#[tokio::test]
async fn an_annotation_protects_an_ingress_and_false_undoes_all_of_it() -> Result<()> {
    let stage = shared().await?;
    let site = stage.site("annotated").await?;
    let before = site.ingresses().get("wiki").await?;
    site.opt_in().await?;
    site.until_ready().await?;

    let ns: &str = &site.namespace;
    let check = stage.installation.check();
    assert_eq!(
        site.ours("wiki").await?,
        [
            format!("http://{check}/verify/nginx/{ns}/wiki?m=$request_method&u=$escaped_request_uri&h=$host"),
            format!("https://$host/oauth2/start/{ns}/wiki?m=$request_method"),
            "X-Auth-Request-User,X-Auth-Request-Email,X-Auth-Request-Preferred-Username,X-Auth-Request-Groups,X-Auth-Request-Access-Token".into(),
        ]
    );
    let endpoint = site.endpoints().get(&site.endpoint_name()).await?;
    let endpoint = serde_json::to_value(&endpoint.spec)?;
    ensure!(endpoint.pointer("/rules/0/http/paths/0/path") == Some(&json!("/oauth2")));
    ensure!(endpoint.pointer("/rules/0/host") == Some(&json!(site.host)));
    ensure!(endpoint.get("tls").is_none());

    let derived = site.services().get("wiki").await?;
    ensure!(derived.labels()["vestibule.dev/derived-from"] == "ingress");
    ensure!(derived.owner_references()[0].uid == before.uid().unwrap_or_default());
    let status = derived.status.unwrap_or_default();
    ensure!(
        status.conditions.iter().all(|c| c.status == "True"),
        "{:?}",
        status.conditions
    );
    ensure!(status.hosts[0].state == "Programmed", "{:?}", status.hosts);
    let note = site.until_event("Ingress", "wiki", "Protected").await?;
    ensure!(note.contains("every request needs a session"), "{note}");

    // Who may enter changes with the annotation; the three stay as they are.
    site.annotate(
        "wiki",
        json!({"vestibule.dev/allowed-emails": "ann@corp.example"}),
    )
    .await?;
    wait()
        .until("the derived spec follows", async || {
            let spec = site.services().get("wiki").await?.spec;
            ensure!(
                spec.allow
                    .iter()
                    .any(|entry| entry.emails == ["ann@corp.example"]),
                "{:?}",
                spec.allow
            );
            Ok(())
        })
        .await?;

    site.annotate("wiki", json!({"vestibule.dev/protect": "false"}))
        .await?;
    site.until_nothing_is_left().await?;
    let after = site.ingresses().get("wiki").await?;
    let held = after.managed_fields().iter().filter(|entry| {
        entry.manager.as_deref() == Some("vestibule-vestibule")
            && serde_json::to_string(&entry.fields_v1).is_ok_and(|fields| fields.contains("auth-"))
    });
    ensure!(held.count() == 0, "{:?}", after.managed_fields());
    ensure!(after.spec == before.spec);
    site.namespace.delete().await
}

#[tokio::test]
async fn removing_the_annotation_opens_too_and_deleting_the_ingress_leaves_nothing() -> Result<()> {
    let site = shared().await?.site("removed").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    let none = json!({"vestibule.dev/protect": null, "vestibule.dev/allowed-email-domains": null});
    site.annotate("wiki", none).await?;
    site.until_nothing_is_left().await?;
    // The bench's own admission policy wrote it, so no field manager holds it.
    let left = site.ingresses().get("wiki").await?;
    ensure!(
        left.annotations()
            .contains_key(&super::nginx("service-upstream")),
        "{:?}",
        left.annotations()
    );

    site.opt_in().await?;
    site.until_ready().await?;
    site.ingresses()
        .delete("wiki", &DeleteParams::default())
        .await?;
    wait()
        .until(
            "the endpoint Ingress and the derived object are gone",
            async || {
                ensure!(
                    site.endpoints()
                        .get_opt(&site.endpoint_name())
                        .await?
                        .is_none()
                );
                ensure!(site.services().get_opt("wiki").await?.is_none());
                Ok(())
            },
        )
        .await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn what_others_take_away_comes_back() -> Result<()> {
    let site = shared().await?.site("drift").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    let gone = json!({super::AUTH_URL: null, super::AUTH_SIGNIN: null});
    site.annotate("wiki", gone).await?;
    site.until_annotated("wiki").await?;

    site.endpoints()
        .delete(&site.endpoint_name(), &DeleteParams::default())
        .await?;
    site.services()
        .delete("wiki", &DeleteParams::default())
        .await?;
    wait()
        .until(
            "the endpoint Ingress and the derived object are back",
            async || {
                ensure!(
                    site.endpoints()
                        .get_opt(&site.endpoint_name())
                        .await?
                        .is_some(),
                    "no endpoint Ingress"
                );
                ensure!(
                    site.services().get_opt("wiki").await?.is_some(),
                    "no ProtectedService"
                );
                Ok(())
            },
        )
        .await?;
    site.until_ready().await?;

    let status = json!({"status": {"conditions": []}});
    let by = PatchParams::default();
    site.services()
        .patch_status("wiki", &by, &Patch::Merge(status))
        .await?;
    site.until_ready().await?;

    // The endpoint Ingress is moved elsewhere by hand.
    let moved =
        json!([{"op": "replace", "path": "/spec/rules/0/host", "value": "elsewhere.example"}]);
    let moved: kube::api::Patch<()> = Patch::Json(serde_json::from_value(moved)?);
    site.endpoints()
        .patch(&site.endpoint_name(), &by, &moved)
        .await?;
    wait()
        .until("the endpoint Ingress is as it was", async || {
            let endpoint =
                serde_json::to_value(site.endpoints().get(&site.endpoint_name()).await?)?;
            ensure!(endpoint.pointer("/spec/rules/0/host") == Some(&json!(site.host)));
            Ok(())
        })
        .await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn an_explicit_service_protects_its_targets_and_its_deletion_opens_nothing() -> Result<()> {
    let stage = shared().await?;
    let site = stage.site("explicit").await?;
    let service = json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
        "metadata": {"name": "who", "namespace": &*site.namespace},
        "spec": {"targetRefs": [{"name": "wiki"}], "allow": [{"emailDomains": ["corp.example"]}]},
    });
    stage.cluster.apply(&service.to_string()).await?;
    site.until_condition("who", "Ready", "True", "Ready")
        .await?;
    let closed = site.ours("wiki").await?;
    ensure!(closed.len() == 3);

    site.services()
        .delete("who", &DeleteParams::default())
        .await?;
    let note = site.until_event("Ingress", "wiki", "PolicyMissing").await?;
    ensure!(note.contains("wiki"), "{note}");
    ensure!(site.ours("wiki").await? == closed);

    // Opening is an act on the Ingress.
    site.annotate("wiki", json!({"vestibule.dev/protect": "false"}))
        .await?;
    site.until_nothing_is_left().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn a_provider_or_a_secret_that_goes_away_opens_nothing_and_is_named() -> Result<()> {
    let stage: &Stage = shared().await?;
    let site = stage.site("refs").await?;
    stage.cluster.apply(&provider("fleeting", false)).await?;
    stage
        .cluster
        .secret(NAMESPACE, "fleeting-client", &[("client-secret", "x")])
        .await?;
    let annotations = json!({
        "vestibule.dev/protect": "true",
        "vestibule.dev/identity-provider": "fleeting",
        "vestibule.dev/allowed-groups": "staff",
    });
    site.annotate("wiki", annotations).await?;
    site.until_ready().await?;
    let closed = site.ours("wiki").await?;
    let shown = stage.cluster.kubectl(&["get", "idp", "fleeting"]).await?;
    ensure!(
        shown.contains("https://fleeting.example") && shown.contains("True"),
        "{shown}"
    );

    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(site.client.clone(), NAMESPACE);
    secrets
        .delete("fleeting-client", &DeleteParams::default())
        .await?;
    // Secrets are looked at by name now and then, not watched.
    let patience = crate::bench::Wait::seconds(60);
    patience
        .until("the missing Secret is named", async || {
            let said = site.said("wiki", "ResolvedRefs").await?;
            ensure!(
                said.reason == "SecretNotFound" && said.message.contains("fleeting-client"),
                "{said:?}"
            );
            Ok(())
        })
        .await?;
    let providers: Api<IdentityProvider> = Api::all(site.client.clone());
    let described = stage
        .cluster
        .kubectl(&["describe", "idp", "fleeting"])
        .await?;
    ensure!(described.contains("SecretNotFound"), "{described}");
    providers
        .delete("fleeting", &DeleteParams::default())
        .await?;
    let said = site
        .until_condition("wiki", "ResolvedRefs", "False", "IdentityProviderNotFound")
        .await?;
    ensure!(said.contains("fleeting"), "{said}");
    ensure!(site.ours("wiki").await? == closed);

    stage
        .cluster
        .secret(NAMESPACE, "fleeting-client", &[("client-secret", "x")])
        .await?;
    stage.cluster.apply(&provider("fleeting", false)).await?;
    site.until_ready().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn a_wildcard_host_has_an_endpoint_ingress_of_its_own() -> Result<()> {
    let site = shared().await?.site("wild").await?;
    let host = format!("*.{}", site.host);
    site.put(&ingress(&site.namespace, "wiki", &host)).await?;
    site.opt_in().await?;
    site.until_ready().await?;
    let name = format!("vestibule-wildcard.{}", site.host);
    let endpoint = serde_json::to_value(site.endpoints().get(&name).await?)?;
    ensure!(endpoint.pointer("/spec/rules/0/host") == Some(&json!(host)));

    // Another host: the endpoint moves with it.
    site.put(&ingress(&site.namespace, "wiki", &site.host))
        .await?;
    wait()
        .until("the endpoint follows the host", async || {
            ensure!(
                site.endpoints().get_opt(&name).await?.is_none(),
                "the old one is there"
            );
            ensure!(
                site.endpoints()
                    .get_opt(&site.endpoint_name())
                    .await?
                    .is_some(),
                "no new one"
            );
            Ok(())
        })
        .await?;
    site.until_ready().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn kubectl_shows_what_matters() -> Result<()> {
    let stage = shared().await?;
    let site = stage.site("columns").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    let ns: &str = &site.namespace;
    let shown = stage.cluster.kubectl(&["-n", ns, "get", "psvc"]).await?;
    let mut lines = shown.lines();
    let heads: Vec<_> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    ensure!(
        heads == ["NAME", "HOSTS", "PROVIDERS", "READY", "REASON", "AGE"],
        "{heads:?}"
    );
    let row: Vec<_> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    ensure!(
        row[..5] == ["wiki", &site.host, "corp", "True", "Ready"],
        "{row:?}"
    );
    let described = stage
        .cluster
        .kubectl(&["-n", ns, "describe", "ingress", "wiki"])
        .await?;
    ensure!(
        described.contains("every request needs a session"),
        "{described}"
    );
    let _: Api<ProtectedService> = site.services();
    site.namespace.delete().await
}

#[tokio::test]
async fn definitions_that_are_deleted_open_nothing() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let controller = stage.installation.controller().await?;
    let site = stage.site("crds").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    let explicit = json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
        "metadata": {"name": "who", "namespace": &*site.namespace},
        "spec": {"targetRefs": [{"name": "second"}], "allow": [{"emails": ["ann@corp.example"]}]},
    });
    let host = format!("second.{}", site.host);
    site.put(&ingress(&site.namespace, "second", &host)).await?;
    stage.cluster.apply(&explicit.to_string()).await?;
    site.until_condition("who", "Ready", "True", "Ready")
        .await?;

    let crds = [
        "protectedservices.vestibule.dev",
        "identityproviders.vestibule.dev",
    ];
    let arguments = ["delete", "crd", crds[0], crds[1]];
    stage.cluster.kubectl(&arguments).await?;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    // Nor does a controller that never saw them.
    controller
        .process()
        .stop(std::time::Duration::from_secs(10))?;
    let _again = stage.installation.start("controller").await?;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    ensure!(site.ours("wiki").await?.len() == 3);
    ensure!(site.ours("second").await?.len() == 3);
    Ok(())
}
