//! What others hold is theirs: conflicts are named, not fought.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{AUTH_URL, ingress, nginx, shared, wait};

#[tokio::test]
async fn an_auth_url_of_somebody_else_is_named_and_left_alone() -> Result<()> {
    let site = shared().await?.site("foreign").await?;
    let foreign = json!({AUTH_URL: "http://old-proxy.example/oauth2/auth"});
    site.annotate("wiki", foreign).await?;
    site.opt_in().await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "ForeignAuthURL")
        .await?;
    ensure!(
        said.contains("old-proxy.example") && said.contains("kubectl annotate"),
        "{said}"
    );
    let note = site
        .until_event("Ingress", "wiki", "ForeignAuthURL")
        .await?;
    ensure!(note.contains("kubectl-annotate"), "{note}");
    let there = site.ours("wiki").await?;
    ensure!(
        there == ["http://old-proxy.example/oauth2/auth"],
        "{there:?}"
    );

    // Its owner lets go; nothing else is needed.
    site.annotate("wiki", json!({AUTH_URL: null})).await?;
    site.until_ready().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn somebody_who_overwrites_our_value_is_named() -> Result<()> {
    let site = shared().await?.site("taken").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    site.annotate("wiki", json!({AUTH_URL: "http://open.example/"}))
        .await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "ForeignAuthURL")
        .await?;
    ensure!(said.contains("http://open.example/"), "{said}");
    site.annotate("wiki", json!({AUTH_URL: null})).await?;
    site.until_ready().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn an_app_that_owns_the_endpoint_prefix_is_named() -> Result<()> {
    let site = shared().await?.site("prefix").await?;
    let mut app = ingress(&site.namespace, "app", &site.host);
    app["spec"]["rules"][0]["http"]["paths"][0]["path"] = json!("/oauth2");
    site.put(&app).await?;
    site.opt_in().await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "EndpointPathTaken")
        .await?;
    ensure!(said.contains("app"), "{said}");
    site.until_annotated("wiki").await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn a_host_that_two_namespaces_claim_is_said_to_be_shared_to_both() -> Result<()> {
    let stage = shared().await?;
    let (one, other) = (stage.site("shared").await?, stage.site("shared").await?);
    one.opt_in().await?;
    one.until_ready().await?;
    other
        .put(&ingress(&other.namespace, "intruder", &one.host))
        .await?;
    let said = one
        .until_condition("wiki", "Ready", "False", "HostShared")
        .await?;
    ensure!(said.contains(&*other.namespace), "{said}");
    one.until_event("Ingress", "wiki", "HostShared").await?;
    ensure!(one.ours("wiki").await?.len() == 3);

    other
        .ingresses()
        .delete("intruder", &kube::api::DeleteParams::default())
        .await?;
    one.until_ready().await?;
    other.namespace.delete().await?;
    one.namespace.delete().await
}

#[tokio::test]
async fn an_ingress_of_a_foreign_class_is_not_touched_and_its_owner_is_told() -> Result<()> {
    let site = shared().await?.site("class").await?;
    let mut foreign = ingress(&site.namespace, "wiki", &site.host);
    foreign["spec"]["ingressClassName"] = json!("other");
    site.put(&foreign).await?;
    site.opt_in().await?;
    site.until_event("Ingress", "wiki", "UnsupportedIngressClass")
        .await?;
    ensure!(site.ours("wiki").await?.is_empty());
    ensure!(
        site.endpoints()
            .get_opt(&site.endpoint_name())
            .await?
            .is_none()
    );

    site.put(&ingress(&site.namespace, "wiki", &site.host))
        .await?;
    site.until_ready().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn a_key_that_drops_the_protection_makes_it_not_protected() -> Result<()> {
    let site = shared().await?.site("weak").await?;
    let open = json!({nginx("satisfy"): "any", nginx("whitelist-source-range"): "0.0.0.0/0"});
    site.annotate("wiki", open).await?;
    site.opt_in().await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "NotProtected")
        .await?;
    ensure!(said.contains("satisfy"), "{said}");
    site.until_event("Ingress", "wiki", "NotProtected").await?;
    site.annotate("wiki", json!({nginx("satisfy"): null}))
        .await?;
    site.until_ready().await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn an_endpoint_ingress_that_somebody_else_made_is_left_alone() -> Result<()> {
    let stage = shared().await?;
    let site = stage.site("name").await?;
    let mut theirs = ingress(super::NAMESPACE, &site.endpoint_name(), "somewhere.example");
    theirs["metadata"]["labels"] = json!({"theirs": "yes"});
    let backend = &mut theirs["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"];
    *backend = json!("theirs");
    stage.cluster.apply(&theirs.to_string()).await?;
    site.opt_in().await?;
    wait()
        .until("it is said", async || {
            let said = site.said("wiki", "Ready").await?;
            ensure!(
                said.status == "False" && said.reason.starts_with("Endpoint"),
                "{said:?}"
            );
            Ok(())
        })
        .await?;
    let there = serde_json::to_value(site.endpoints().get(&site.endpoint_name()).await?)?;
    ensure!(there.pointer("/spec/rules/0/host") == Some(&json!("somewhere.example")));
    site.namespace.delete().await
}

/// As ingress-nginx's own webhook does with what it does not allow.
#[tokio::test]
async fn a_write_that_admission_refuses_is_said_in_its_words_and_tried_again() -> Result<()> {
    let stage = shared().await?;
    let site = stage.site("refused").await?;
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "no-auth-url"},
        "spec": {
            "matchConstraints": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": &*site.namespace}},
                "resourceRules": [{
                    "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"],
                    "operations": ["UPDATE"], "resources": ["ingresses"],
                }],
            },
            "validations": [{
                "expression": format!("!(\"{AUTH_URL}\" in object.metadata.?annotations.orValue({{}}))"),
                "message": "risky annotations are not allowed here",
            }],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-auth-url"},
        "spec": {"policyName": "no-auth-url", "validationActions": ["Deny"]},
    });
    stage.cluster.apply(&policy.to_string()).await?;
    stage.cluster.apply(&binding.to_string()).await?;
    wait()
        .until("the policy is in force", async || {
            let let_pass = site.annotate("wiki", json!({AUTH_URL: "x"})).await.is_ok();
            if let_pass {
                site.annotate("wiki", json!({AUTH_URL: null})).await?;
            }
            ensure!(!let_pass, "it is not");
            Ok(())
        })
        .await?;
    site.opt_in().await?;
    let said = site
        .until_condition("wiki", "Ready", "False", "WriteRejected")
        .await?;
    ensure!(
        said.contains("risky annotations are not allowed here"),
        "{said}"
    );
    site.until_event("Ingress", "wiki", "WriteRejected").await?;

    let arguments = ["delete", "validatingadmissionpolicybinding", "no-auth-url"];
    stage.cluster.kubectl(&arguments).await?;
    site.until_ready().await?;
    site.namespace.delete().await
}
