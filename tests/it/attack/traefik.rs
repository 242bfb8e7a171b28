//! What Traefik makes of Ingresses besides what ingress-nginx makes of them: names that meet, annotations of its own,
//! two entry points.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    ground::{Ground, Tenant, ground, rule},
    stage::now,
    told,
};
use crate::bench::Wait;

const WIKI: &str = "namesake.story.test";
const OWN: &str = "open.story.test";

/// Ingresses of a tenant whose namespace is the beginning of another's, which Traefik takes for those of the other.
fn namesakes(mallory: &Tenant, tail: &str) -> Vec<(&'static str, Vec<Value>)> {
    let own = |service: &str| json!({"rules": [rule(OWN, "/", service)]});
    let plain = |name: &str, service: &str| mallory.ingress(name, &own(service), &json!({}));
    let marked = |name: &str, service: &str, key: &str| {
        let annotations = json!({format!("nginx.ingress.kubernetes.io/{key}"): "true"});
        mallory.ingress(name, &own(service), &annotations)
    };
    let whole = format!("{tail}-wiki-web");
    vec![
        ("its backend", vec![plain(tail, "wiki-web")]),
        ("its router", vec![plain(&format!("{tail}-wiki"), "trap")]),
        (
            "the backend of a canary",
            vec![plain("main", "trap"), marked("next", &whole, "canary")],
        ),
        (
            "the backend of what is passed through",
            vec![marked("main", &whole, "ssl-passthrough")],
        ),
    ]
}

/// Traefik joins namespace, name, Service and port with hyphens. Whoever makes both come to the same is sent the
/// visitors of the other, or shows the other's service to strangers; neither is called protected.
#[tokio::test]
async fn whoever_traefik_takes_for_another_gains_no_session_and_is_told() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let mallory = ground.tenant("team").await?;
    let victim = ground
        .tenant(&format!("{}-pay", &*mallory.namespace))
        .await?;
    let tail = victim
        .namespace
        .strip_prefix(&format!("{}-", &*mallory.namespace));
    let tail = tail.context("the namespaces are not related")?.to_owned();
    let web = victim.service("web").await?;
    let traps = [
        mallory.service("trap").await?,
        mallory.service("wiki-web").await?,
        mallory.service(&format!("{tail}-wiki-web")).await?,
    ];
    let mine = json!({"vestibule.dev/protect": "true", "vestibule.dev/allowed-email-domains": "corp.example"});
    let mine = victim.ingress("wiki", &json!({"rules": [rule(WIKI, "/", "web")]}), &mine);
    let mut cases = 0;
    for (what, ingresses) in namesakes(&mallory, &tail) {
        for is_older in [true, false] {
            let what = format!("{what}, the victim older: {is_older}");
            let protect = async || {
                victim.apply(&mine).await?;
                // Kubernetes counts ages in seconds.
                tokio::time::sleep(Duration::from_millis(1100)).await;
                anyhow::Ok(())
            };
            if is_older {
                protect().await?;
                victim.until_ready("wiki", "True", "Ready").await?;
            }
            for ingress in &ingresses {
                mallory.apply(ingress).await.with_context(|| what.clone())?;
            }
            if !is_older {
                tokio::time::sleep(Duration::from_millis(1100)).await;
                protect().await?;
            }
            let (shared, reason) = ("False", "HostShared");
            victim
                .until_ready("wiki", shared, reason)
                .await
                .with_context(|| what.clone())?;
            let name = ingresses
                .last()
                .and_then(|ingress| ingress["metadata"]["name"].as_str());
            is_told(&mallory, name.unwrap_or_default())
                .await
                .with_context(|| what.clone())?;
            let cookie = ground.session(WIKI, now())?;
            // Replicas read on the endpoint Ingress what the controller has found.
            ground
                .wait()
                .until(&format!("{what}: no session counts"), async || {
                    let status = ground.visit(WIKI, "/", &cookie).await?.status;
                    ensure!(status != 200, "it answers {status}");
                    Ok(())
                })
                .await?;
            web.forget();
            for trap in &traps {
                trap.forget();
            }
            for target in ["/", "/a", "/oauth2/start?rd=%2F"] {
                let answer = ground.visit(WIKI, target, &cookie).await?;
                ensure!(
                    answer.status != 200,
                    "{what}: {target} answers {}",
                    answer.status
                );
                cases += 1;
            }
            let seen = traps.iter().flat_map(|trap| trap.seen());
            ensure!(seen.count() == 0, "{what}: a person was sent to the tenant");
            ensure!(web.seen().is_empty(), "{what}: a session counts");

            for ingress in &ingresses {
                let name = ingress["metadata"]["name"].as_str().unwrap_or_default();
                mallory.kubectl(&["delete", "ingress", name]).await?;
            }
            victim.until_ready("wiki", "True", "Ready").await?;
            ground.until_asked(WIKI).await?;
            let again = ground.visit(WIKI, "/", &cookie).await?;
            ensure!(again.status == 302, "{what}: {} later", again.status);
            tokio::time::sleep(Duration::from_millis(1100)).await;
            returns(ground).await.with_context(|| what.clone())?;
            cases += 2;
            victim.kubectl(&["delete", "ingress", "wiki"]).await?;
        }
    }
    println!("{cases} cases");
    told::cases(
        "whoever_traefik_takes_for_another_gains_no_session_and_is_told",
        cases,
    );
    victim.namespace.delete().await?;
    mallory.namespace.delete().await
}

async fn returns(ground: &Ground) -> Result<()> {
    let anew = ground.session(WIKI, now())?;
    ground
        .wait()
        .until("people may return", async || {
            let status = ground.visit(WIKI, "/", &anew).await?.status;
            ensure!(status == 200, "it answers {status}");
            Ok(())
        })
        .await
}

async fn is_told(tenant: &Tenant, ingress: &str) -> Result<()> {
    Wait::seconds(20)
        .until("the tenant is told", async || {
            let events = tenant.events("Ingress", ingress).await?;
            ensure!(
                events.iter().any(|reason| reason == "HostShared"),
                "{events:?}"
            );
            Ok(())
        })
        .await
}
