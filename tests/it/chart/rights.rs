//! What the two service accounts may do, asked of the API server in their own name.

use anyhow::{Context, Result};
use k8s_openapi::api::authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec};
use kube::{Api, api::PostParams};

use super::installed;

#[tokio::test]
async fn the_controllers_account_may_do_this_and_nothing_else() -> Result<()> {
    insta::assert_snapshot!(rights("vestibule-controller", "vestibule").await?, @r"
    events.events.k8s.io: create patch
    identityproviders.vestibule.dev: get list watch
    identityproviders/status.vestibule.dev: patch
    ingressclasses.networking.k8s.io: get list watch
    ingresses.networking.k8s.io: create patch delete
    ingresses.networking.k8s.io: get list watch patch
    leases.coordination.k8s.io named vestibule-controller: get update
    leases.coordination.k8s.io: create
    namespaces: get list watch
    protectedservices.vestibule.dev: get list watch create patch delete
    protectedservices/status.vestibule.dev: patch
    secrets: get create
    ");
    insta::assert_snapshot!(rights("vestibule-controller", "default").await?, @r"
    events.events.k8s.io: create patch
    identityproviders.vestibule.dev: get list watch
    identityproviders/status.vestibule.dev: patch
    ingressclasses.networking.k8s.io: get list watch
    ingresses.networking.k8s.io: get list watch patch
    namespaces: get list watch
    protectedservices.vestibule.dev: get list watch create patch delete
    protectedservices/status.vestibule.dev: patch
    ");
    Ok(())
}

#[tokio::test]
async fn the_auth_endpoints_account_may_read_and_nothing_else() -> Result<()> {
    insta::assert_snapshot!(rights("vestibule-auth", "vestibule").await?, @r"
    identityproviders.vestibule.dev: get list watch
    ingresses.networking.k8s.io: get list watch
    namespaces: get list watch
    protectedservices.vestibule.dev: get list watch
    secrets: get list watch
    ");
    insta::assert_snapshot!(rights("vestibule-auth", "default").await?, @r"
    identityproviders.vestibule.dev: get list watch
    ingresses.networking.k8s.io: get list watch
    namespaces: get list watch
    protectedservices.vestibule.dev: get list watch
    ");
    Ok(())
}

/// The rights of an account in a namespace, a line for each resource, without what every account has.
async fn rights(account: &str, namespace: &str) -> Result<String> {
    let client = installed()
        .await?
        .service_account_client("vestibule", account)
        .await?;
    let review = SelfSubjectRulesReview {
        spec: SelfSubjectRulesReviewSpec {
            namespace: Some(namespace.to_owned()),
        },
        ..SelfSubjectRulesReview::default()
    };
    let review = Api::<SelfSubjectRulesReview>::all(client)
        .create(&PostParams::default(), &review)
        .await?;
    let mut lines = Vec::new();
    for rule in review
        .status
        .context("the review has no status")?
        .resource_rules
    {
        let groups = rule.api_groups.unwrap_or_default();
        if groups.iter().any(|group| {
            ["authentication.k8s.io", "authorization.k8s.io"].contains(&group.as_str())
        }) {
            continue;
        }
        let names = rule.resource_names.unwrap_or_default();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(" named {}", names.join(", "))
        };
        for group in &groups {
            for resource in rule.resources.iter().flatten() {
                let of = if group.is_empty() {
                    String::new()
                } else {
                    format!(".{group}")
                };
                lines.push(format!("{resource}{of}{names}: {}", rule.verbs.join(" ")));
            }
        }
    }
    lines.sort();
    Ok(lines.join("\n"))
}
