//! What is somebody else's, named in every field that names something.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::attack::{
    ground::{Ground, Tenant, ground, rule},
    stage::now,
    told,
};

/// References to what is somebody else's, in every field that names something.
#[tokio::test]
async fn a_tenant_who_names_what_is_not_his_gets_none_of_it() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let (victim, mallory) = (
        ground.tenant("victim").await?,
        ground.tenant("mallory").await?,
    );
    let (_wiki, _app) = (victim.service("wiki").await?, mallory.service("app").await?);
    let (wiki, own) = ("named.story.test", "namer.story.test");
    victim.protect(ground, "wiki", wiki).await?;
    let ns = (*victim.namespace).to_owned();
    let closed = json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "IdentityProvider", "metadata": {"name": "restricted"},
        "spec": {
            "type": "OIDC", "oidc": {"issuerURL": ground.product.provider.issuer()}, "clientID": "vestibule",
            "clientSecretRef": {"name": "corp"}, "closed": true, "allowedNamespaces": {"names": [&*victim.namespace]},
        },
    });
    ground.cluster().apply(&closed.to_string()).await?;
    mallory
        .apply(&mallory.ingress(
            "app",
            &json!({"rules": [rule(own, "/", "app")]}),
            &json!({}),
        ))
        .await?;
    let hash = "jsonpath={.status.policyHash}";
    let before = victim.kubectl(&["get", "psvc", "wiki", "-o", hash]).await?;
    let target = |target: Value| json!({"targetRefs": [target], "anyAuthenticated": false, "allow": [{"emails": ["mallory@corp.example"]}]});
    let named =
        |name: &str| target(json!({"group": "networking.k8s.io", "kind": "Ingress", "name": name}));
    let with = |field: Value| {
        let mut spec = named("app");
        for (key, value) in field.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    };
    let specs = [
        named("wiki"),
        named(&format!("{ns}/wiki")),
        named(&format!("../{ns}/wiki")),
        named("vestibule-named.story.test"),
        target(
            json!({"group": "networking.k8s.io", "kind": "Ingress", "name": "wiki", "namespace": ns}),
        ),
        target(json!({"group": "networking.k8s.io", "kind": "IngressClass", "name": "story"})),
        target(json!({"group": "", "kind": "Secret", "name": "vestibule-session-keys"})),
        target(json!({"group": "", "kind": "Service", "name": "app"})),
        target(json!({"group": "vestibule.dev", "kind": "ProtectedService", "name": "wiki"})),
        json!({"hosts": [{"host": wiki}], "allow": [{"emails": ["mallory@corp.example"]}]}),
        with(json!({"hosts": [{"host": wiki, "upstream": "http://127.0.0.1:1"}]})),
        with(json!({"identityProviders": ["restricted"]})),
        with(json!({"identityProviders": ["restricted"], "allow": [], "anyAuthenticated": true})),
        with(json!({"identityProviders": ["../corp"]})),
        with(json!({"identityProviders": [""]})),
        with(json!({"clientSecretRef": {"name": "corp"}})),
        with(json!({"oidc": {"issuerURL": "https://evil.test"}})),
        with(json!({"allow": [], "anyAuthenticated": true})),
        with(json!({"allow": [{"provider": "restricted", "groups": ["a"]}]})),
        with(json!({"mode": "Audit"})),
        with(
            json!({"session": {"maxDuration": "1000000h"}, "rules": [{"access": "Public", "paths": [{"type": "Prefix", "value": "/"}]}]}),
        ),
        with(
            json!({"rules": [{"access": "Public", "paths": [{"type": "Prefix", "value": "/../"}]}]}),
        ),
    ];
    let (mut refused, mut powerless) = (0, 0);
    for spec in &specs {
        if mallory.apply(&mallory.policy("grab", spec)).await.is_err() {
            refused += 1;
        } else {
            tokio::time::sleep(Duration::from_millis(400)).await;
            let said = mallory.ready("grab").await?;
            ensure!(said.starts_with("False"), "{spec}: {said}");
            // Nothing of it is open to the tenant's own people, nor to strangers.
            let inside = ground.visit(own, "/", &ground.session(own, now())?).await?;
            let is_targeted = spec.pointer("/targetRefs/0/name") == Some(&json!("app"));
            ensure!(
                !is_targeted || inside.status != 200,
                "{spec}: lets somebody in"
            );
            powerless += 1;
            mallory.kubectl(&["delete", "psvc", "grab"]).await?;
        }
        unharmed(ground, &victim, wiki)
            .await
            .with_context(|| spec.to_string())?;
        ensure!(
            victim.kubectl(&["get", "psvc", "wiki", "-o", hash]).await? == before,
            "{spec}: another policy"
        );
    }
    println!("{refused} refused by the API server, {powerless} say what is wrong and do nothing");
    let secrets = forbidden(&mallory, &ns).await?;
    told::cases(
        "a_tenant_who_names_what_is_not_his_gets_none_of_it",
        refused + powerless + secrets,
    );
    ground
        .cluster()
        .kubectl(&["delete", "identityprovider", "restricted"])
        .await?;
    victim.namespace.delete().await?;
    mallory.namespace.delete().await
}

/// What the rights of a tenant do not include, whatever Vestibule's roles add to them.
async fn forbidden(mallory: &Tenant, victim: &str) -> Result<usize> {
    let all: [&[&str]; 10] = [
        &["get", "secrets", "-n", "vestibule"],
        &["get", "secret", "vestibule-session-keys", "-n", "vestibule"],
        &["get", "ingress", "-n", "vestibule"],
        &[
            "annotate",
            "ingress",
            "wiki",
            "-n",
            victim,
            "vestibule.dev/protect=false",
        ],
        &["delete", "psvc", "wiki", "-n", victim],
        &[
            "patch",
            "psvc",
            "wiki",
            "-n",
            victim,
            "--type=merge",
            "-p",
            "{\"spec\":{\"allow\":[]}}",
        ],
        &[
            "patch",
            "psvc",
            "wiki",
            "-n",
            victim,
            "--subresource=status",
            "--type=merge",
            "-p",
            "{\"status\":{\"summary\":null}}",
        ],
        &[
            "create",
            "ingress",
            "x",
            "-n",
            "vestibule",
            "--rule=x.test/*=x:80",
        ],
        &["delete", "identityprovider", "corp"],
        &["delete", "lease", "vestibule-controller", "-n", "vestibule"],
    ];
    for arguments in all {
        let user = format!("--as={}", mallory.user);
        let done = mallory
            .cluster()
            .kubectl(&[&[&*user], arguments].concat())
            .await;
        ensure!(done.is_err(), "a tenant may {arguments:?}");
    }
    Ok(all.len())
}

async fn unharmed(ground: &Ground, victim: &Tenant, host: &str) -> Result<()> {
    let said = victim.ready("wiki").await?;
    ensure!(said == "True Ready", "the other's is {said}");
    let stranger = ground.visit(host, "/", "").await?;
    let bob = ground
        .visit(host, "/", &ground.session(host, now())?)
        .await?;
    ensure!(
        stranger.status == 302 && bob.status == 200,
        "{} {}",
        stranger.status,
        bob.status
    );
    Ok(())
}
