//! Objects that look as if the controller had made them, and owner references.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use vestibule::resource::AUTH_URL;

use crate::attack::{
    ground::{Ground, Tenant, ground, rule},
    stage::now,
    told,
};

/// An object that looks as if the controller had made it: refused by the chart's policy, and of no use without it.
#[tokio::test]
async fn an_object_that_looks_like_the_controllers_own_opens_nothing() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("forger").await?;
    let service = tenant.service("plain").await?;
    let host = "plain.story.test";
    tenant
        .apply(&tenant.ingress(
            "plain",
            &json!({"rules": [rule(host, "/", "plain")]}),
            &json!({}),
        ))
        .await?;
    let targets = json!([{"group": "networking.k8s.io", "kind": "Ingress", "name": "plain"}]);
    let policy = tenant.policy(
        "plain-policy",
        &json!({"targetRefs": targets, "allow": [{"emailDomains": ["corp.example"]}]}),
    );
    tenant.apply(&policy).await?;
    tenant.until_ready("plain-policy", "True", "Ready").await?;
    ground.until_asked(host).await?;
    let uid = tenant
        .kubectl(&["get", "ingress", "plain", "-o", "jsonpath={.metadata.uid}"])
        .await?;
    let forged = |owners: Value| {
        let mut forged = tenant.policy(
            "plain",
            &json!({"targetRefs": targets, "allow": [{"emails": ["mallory@corp.example"]}]}),
        );
        forged["metadata"]["labels"] = json!({
            "vestibule.dev/derived-from": "ingress", "vestibule.dev/instance": "vestibule", "app.kubernetes.io/managed-by": "vestibule",
        });
        forged["metadata"]["ownerReferences"] = owners;
        forged
    };
    let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "networking.k8s.io/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    let forgeries = [
        forged(owner("Ingress", "plain", &uid)),
        forged(owner("Ingress", "other", &uid)),
        forged(json!([])),
    ];
    let mut cases = 0;
    for forgery in &forgeries {
        let refused = tenant.apply(forgery).await;
        ensure!(
            refused.is_err_and(|error| error.to_string().contains("leave it out")),
            "{forgery}"
        );
        cases += 1;
    }
    let label = tenant
        .kubectl(&[
            "label",
            "psvc",
            "plain-policy",
            "vestibule.dev/derived-from=ingress",
        ])
        .await;
    ensure!(label.is_err(), "a policy is passed off as derived");
    cases += 1;

    // Where the chart's policies are not installed.
    let binding = "vestibule-controller-mark";
    let kind = "validatingadmissionpolicybinding";
    let saved = ground
        .cluster()
        .kubectl(&["get", kind, binding, "-o", "json"])
        .await?;
    ground.cluster().kubectl(&["delete", kind, binding]).await?;
    for forgery in &forgeries {
        ground
            .wait()
            .until("nothing keeps anybody from forging", async || {
                tenant.apply(forgery).await.map(drop)
            })
            .await?;
        tenant.kubectl(&["delete", "psvc", "plain-policy"]).await?;
        service.forget();
        for _ in 0..20 {
            ground.visit(host, "/", "").await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ensure!(service.seen().is_empty(), "open: {forgery}");
        let left = tenant
            .kubectl(&[
                "get",
                "ingress",
                "plain",
                "-o",
                "jsonpath={.metadata.annotations}",
            ])
            .await?;
        ensure!(left.contains(AUTH_URL), "{left}");
        ensure!(
            tenant
                .events("Ingress", "plain")
                .await?
                .iter()
                .any(|reason| reason == "PolicyMissing")
        );
        drop(
            tenant
                .kubectl(&["delete", "psvc", "plain", "--ignore-not-found"])
                .await?,
        );
        tenant.apply(&policy).await?;
        tenant.until_ready("plain-policy", "True", "Ready").await?;
        cases += 1;
    }
    cases += owners(ground, &tenant).await?;
    let mut saved: Value = serde_json::from_str(&saved)?;
    for field in [
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "managedFields",
        "generation",
    ] {
        saved["metadata"]
            .as_object_mut()
            .context("metadata")?
            .remove(field);
    }
    ground.cluster().apply(&saved.to_string()).await?;
    told::cases(
        "an_object_that_looks_like_the_controllers_own_opens_nothing",
        cases,
    );
    tenant.namespace.delete().await
}

/// A name that is taken before the controller chooses it, and owner references that would have others' objects collected.
async fn owners(ground: &Ground, tenant: &Tenant) -> Result<usize> {
    let host = "taken.story.test";
    let _service = tenant.service("taken").await?;
    let mine = tenant.policy("taken", &json!({"targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "elsewhere"}], "allow": [{"emails": ["mallory@corp.example"]}]}));
    tenant.apply(&mine).await?;
    let annotations = json!({"vestibule.dev/protect": "true", "vestibule.dev/allowed-email-domains": "corp.example"});
    tenant
        .apply(&tenant.ingress(
            "taken",
            &json!({"rules": [rule(host, "/", "taken")]}),
            &annotations,
        ))
        .await?;
    ground.until_asked(host).await?;
    let bob = ground
        .visit(host, "/", &ground.session(host, now())?)
        .await?;
    ensure!(bob.status == 200, "the annotations decide: {}", bob.status);
    let spec = tenant
        .kubectl(&["get", "psvc", "taken", "-o", "jsonpath={.spec}"])
        .await?;
    ensure!(
        spec.contains("mallory") && spec.contains("elsewhere"),
        "somebody's own object was changed: {spec}"
    );

    // The derived object is given a second controller; the policy is that of the Ingress all the same.
    tenant.kubectl(&["delete", "psvc", "taken"]).await?;
    tenant.until_ready("taken", "True", "Ready").await?;
    let foreign = json!([{"apiVersion": "v1", "kind": "Secret", "name": "x", "uid": "00000000-0000-0000-0000-000000000001", "controller": true}]);
    let patch = json!({"metadata": {"ownerReferences": foreign}, "spec": {"allow": [{"emails": ["mallory@corp.example"]}]}}).to_string();
    tenant
        .kubectl(&["patch", "psvc", "taken", "--type=merge", "-p", &patch])
        .await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let bob = ground
        .visit(host, "/", &ground.session(host, now())?)
        .await?;
    ensure!(
        bob.status == 200,
        "a derived object decides: {}",
        bob.status
    );
    tenant.until_ready("taken", "True", "Ready").await?;

    // An object of the tenant's that claims to be owned by what is Vestibule's, or by nothing, is the tenant's loss.
    let endpoint = async |output: &str| {
        let name = "vestibule-taken.story.test";
        let of_ours = ["-n", "vestibule", "get", "ingress", name, "-o", output];
        ground.cluster().kubectl(&of_ours).await
    };
    let uid = endpoint("jsonpath={.metadata.uid}").await?;
    let mut orphan = tenant.policy(
        "orphan",
        &json!({"targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "none"}]}),
    );
    orphan["metadata"]["ownerReferences"] = json!([{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "vestibule-taken.story.test", "uid": uid, "blockOwnerDeletion": false}]);
    tenant.apply(&orphan).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let there = endpoint("name").await?;
    ensure!(
        there.contains("vestibule-taken"),
        "an endpoint Ingress was collected"
    );
    tenant.until_ready("taken", "True", "Ready").await?;
    Ok(3)
}
