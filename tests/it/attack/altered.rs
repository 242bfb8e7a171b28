//! Annotations of an Ingress that alter its check: whoever has a session gets in all the same, or the owner is told that
//! nobody does. Strangers never do.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    ground::{ground, rule},
    stage::now,
    told,
};
use crate::{
    bench::{Nginx, Visitor},
    product::CLASS,
};

/// An annotation of ingress-nginx, its value, and what a person with a session is answered at nginx and at Traefik.
/// `None`: ingress-nginx itself refuses such a value.
const ALTERED: [(&str, &str, Option<u16>, u16, &str); 13] = [
    ("auth-method", "GET", Some(200), 200, "True Ready"),
    ("auth-method", "HEAD", Some(200), 200, "True Ready"),
    ("auth-method", "POST", Some(200), 200, "True Ready"),
    ("auth-method", "PUT", Some(200), 200, "True Ready"),
    ("auth-method", "PATCH", Some(200), 200, "True Ready"),
    ("auth-method", "DELETE", Some(200), 200, "True Ready"),
    ("auth-method", "OPTIONS", Some(200), 200, "True Ready"),
    ("auth-method", "TRACE", Some(200), 200, "True Ready"),
    ("auth-method", "CONNECT", Some(200), 200, "True Ready"),
    ("auth-method", "x y", None, 500, "False CheckAltered"),
    (
        "upstream-vhost",
        "internal.test",
        Some(200),
        403,
        "False CheckAltered",
    ),
    (
        "upstream-vhost",
        "$http_x",
        Some(200),
        403,
        "False CheckAltered",
    ),
    (
        "upstream-vhost",
        "altered-12.story.test",
        Some(200),
        200,
        "True Ready",
    ),
];

#[tokio::test]
async fn whatever_alters_the_check_lets_people_in_or_is_told() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("altered").await?;
    let service = tenant.service("app").await?;
    let host = |n: usize| format!("altered-{n}.story.test");
    for (n, (key, value, ..)) in ALTERED.iter().enumerate() {
        let key = format!("nginx.ingress.kubernetes.io/{key}");
        let annotations = json!({
            "vestibule.dev/protect": "true", "vestibule.dev/allowed-email-domains": "corp.example", key: value,
        });
        let spec = json!({"rules": [rule(&host(n), "/", "app")]});
        let name = format!("altered-{n}");
        tenant
            .apply(&tenant.ingress(&name, &spec, &annotations))
            .await?;
    }
    for (n, (key, value, _, at_traefik, said)) in ALTERED.iter().enumerate() {
        let what = format!("{key}={value}");
        let (status, reason) = said.split_once(' ').context("two words")?;
        let name = format!("altered-{n}");
        tenant
            .until_ready(&name, status, reason)
            .await
            .context(what.clone())?;
        let cookie = ground.session(&host(n), now())?;
        ground
            .wait()
            .until(&format!("{what} at Traefik"), async || {
                let answer = ground.visit(&host(n), "/", &cookie).await?;
                ensure!(answer.status == *at_traefik, "it answers {}", answer.status);
                Ok(())
            })
            .await?;
    }
    // What ingress-nginx answers with 503, and the bench with an error.
    for (n, _) in ALTERED
        .iter()
        .enumerate()
        .filter(|(_, row)| row.2.is_none())
    {
        let name = format!("altered-{n}");
        tenant.kubectl(&["delete", "ingress", &name]).await?;
    }
    let mut nginx = Nginx::start(ground.cluster(), CLASS).await?;
    nginx.sync().await?;
    service.forget();
    let mut cases = 0;
    for (n, (key, value, at_nginx, ..)) in ALTERED.iter().enumerate() {
        let what = format!("{key}={value}");
        let stranger = ground.visit(&host(n), "/", "").await?;
        ensure!(
            stranger.status != 200,
            "{what}: {} at Traefik",
            stranger.status
        );
        cases += 2;
        let Some(at_nginx) = at_nginx else { continue };
        let visit = || Visitor::get(nginx.http(), &host(n), "/").navigating();
        let stranger = visit().send().await?;
        ensure!(
            stranger.status != 200,
            "{what}: {} at nginx",
            stranger.status
        );
        ensure!(service.seen().is_empty(), "{what}: a stranger arrived");
        let cookie = ground.session(&host(n), now())?;
        let answer = visit().header("cookie", &cookie).send().await?;
        ensure!(
            answer.status == *at_nginx,
            "{what}: {} at nginx",
            answer.status
        );
        service.forget();
        cases += 2;
    }
    told::cases("whatever_alters_the_check_lets_people_in_or_is_told", cases);
    tenant.namespace.delete().await
}
