//! The main job, end to end: annotate an Ingress and it is protected.

use crate::bench::{Nginx, Visitor, Wait, installation::NAMESPACE};
use anyhow::{Context, Result, ensure};

use crate::product::{AUTH_HOST, CLASS, Product, Site};

const NGINX_KEYS: [&str; 3] = ["auth-url", "auth-signin", "auth-response-headers"];

async fn annotations(site: &Site) -> Result<serde_json::Value> {
    let shown = site
        .kubectl(&[
            "get",
            "ingress",
            site.name(),
            "-o",
            "jsonpath={.metadata.annotations}",
        ])
        .await?;
    Ok(serde_json::from_str(&shown)?)
}

#[tokio::test]
async fn an_annotation_protects_an_ingress_and_false_undoes_all_of_it() -> Result<()> {
    let product = Product::shared().await?;
    let site = product.site("plain").await?;
    let anonymous = || {
        Visitor::get(product.traefik.http(), &site.host, "/a?x=1")
            .navigating()
            .send()
    };
    assert_eq!(
        anonymous().await?.status,
        200,
        "it is open before anybody asks for protection"
    );

    site.annotate(&[
        "vestibule.dev/protect=true",
        "vestibule.dev/allowed-email-domains=corp.example",
    ])
    .await?;
    site.refuses_strangers(product).await?;
    site.ready().await?;
    site.service.forget();
    let answer = anonymous().await?;
    let namespace: &str = &site.namespace;
    assert_eq!(
        answer.location(),
        Some(&*format!(
            "https://{0}/oauth2/start/{namespace}/plain?m=GET&rd=http://{0}%2Fa%3Fx%3D1",
            site.host
        ))
    );
    assert_eq!(
        site.service.seen(),
        [],
        "the service must not see a request without a session"
    );

    let written = annotations(&site).await?;
    for key in NGINX_KEYS {
        assert!(
            written
                .get(format!("nginx.ingress.kubernetes.io/{key}"))
                .is_some(),
            "{written}"
        );
    }
    let shown = site.kubectl(&["get", "psvc"]).await?;
    ensure!(
        shown.contains("HOSTS") && shown.contains("corp") && shown.contains("True"),
        "{shown}"
    );
    let start = Visitor::get(product.traefik.http(), &site.host, "/oauth2/start?rd=%2Fa")
        .navigating()
        .send()
        .await?;
    assert_eq!(start.status, 302, "{}", start.body);
    let to = start.location().context("no location")?;
    ensure!(
        to.starts_with(&format!("https://{AUTH_HOST}/oauth2/start?request=")),
        "{to}"
    );

    // nginx, with the directives that ingress-nginx emits, lets in and keeps out the same.
    let mut nginx = Nginx::start(product.cluster, CLASS).await?;
    nginx.sync().await?;
    let by_nginx = Visitor::get(nginx.http(), &site.host, "/a?x=1")
        .navigating()
        .send()
        .await?;
    assert_eq!(
        (by_nginx.status, by_nginx.location()),
        (answer.status, answer.location())
    );
    let start = Visitor::get(nginx.http(), &site.host, "/oauth2/start?rd=%2Fa")
        .navigating()
        .send()
        .await?;
    assert_eq!(start.status, 302, "{}", start.body);

    site.annotate(&["vestibule.dev/protect=false"]).await?;
    Wait::seconds(60)
        .until("everything is undone", async || {
            let left = annotations(&site).await?;
            for key in NGINX_KEYS {
                ensure!(
                    left.get(format!("nginx.ingress.kubernetes.io/{key}"))
                        .is_none(),
                    "{left}"
                );
            }
            let psvc = site.kubectl(&["get", "psvc", "-o", "name"]).await?;
            ensure!(psvc.trim().is_empty(), "{psvc}");
            let endpoints = product
                .cluster
                .kubectl(&["-n", NAMESPACE, "get", "ingress", "-o", "wide"])
                .await?;
            ensure!(!endpoints.contains(&site.host), "{endpoints}");
            let answer = anonymous().await?;
            ensure!(answer.status == 200, "it answers {}", answer.status);
            Ok(())
        })
        .await?;
    site.namespace.delete().await
}

#[tokio::test]
async fn people_sign_in_once_for_all_hosts_and_are_told_why_they_may_not_enter() -> Result<()> {
    let product = Product::shared().await?;
    let wiki = product.site("wiki").await?;
    let grafana = product.site("grafana").await?;
    wiki.annotate(&[
        "vestibule.dev/protect=true",
        "vestibule.dev/allowed-email-domains=corp.example",
    ])
    .await?;
    let namespace: &str = &grafana.namespace;
    product
        .cluster
        .apply(&format!(
            "
apiVersion: vestibule.dev/v1alpha1
kind: ProtectedService
metadata: {{name: grafana, namespace: {namespace}}}
spec:
  targetRefs: [{{group: networking.k8s.io, kind: Ingress, name: grafana}}]
  displayName: Grafana
  allow: [{{groups: [wiki-admins]}}]
  rules:
  - {{access: Public, paths: [{{type: Exact, value: /healthz}}]}}
  denied: {{message: Ask ann.}}
"
        ))
        .await?;
    wiki.ready().await?;
    grafana.ready().await?;
    wiki.refuses_strangers(product).await?;
    grafana.refuses_strangers(product).await?;
    let public = Visitor::get(product.traefik.http(), &grafana.host, "/healthz")
        .send()
        .await?;
    assert_eq!(public.status, 200);

    let ann = product.browser().await?;
    ann.goto(&format!("https://{}/a/b?x=1&y=%2F", wiki.host))
        .await?;
    ann.sign_in_at_provider("ann").await?;
    ann.shows("ann@corp.example").await?;
    assert_eq!(
        ann.address().await?,
        format!("https://{}/a/b?x=1&y=%2F", wiki.host)
    );
    ann.screenshot("cluster-wiki-ann").await?;
    let seen = wiki.service.seen();
    let seen = seen.last().context("nothing arrived at the wiki")?;
    assert_eq!(seen.header("x-auth-request-user"), Some("ann"));
    assert_eq!(
        seen.header("x-auth-request-email"),
        Some("ann@corp.example")
    );
    // Nobody asks ann again.
    ann.goto(&format!("https://{}/", grafana.host)).await?;
    ann.shows("ann@corp.example").await?;

    let bob = product.browser().await?;
    bob.goto(&format!("https://{}/", wiki.host)).await?;
    bob.sign_in_at_provider("bob").await?;
    bob.shows("bob@corp.example").await?;
    bob.goto(&format!("https://{}/d/1", grafana.host)).await?;
    bob.shows("You don't have access to Grafana").await?;
    let page = bob.text().await?;
    for words in [
        "bob@corp.example",
        "none of the groups",
        "Ask ann.",
        "spec.allow",
        &format!("{namespace}/grafana"),
    ] {
        ensure!(page.contains(words), "{words} is missing: {page}");
    }
    bob.screenshot("cluster-grafana-denied").await?;

    // A change of the policy counts on the next request.
    wiki.annotate(&["vestibule.dev/allowed-email-domains=other.example"])
        .await?;
    Wait::seconds(60)
        .until("bob may not enter the wiki any more", async || {
            bob.goto(&format!("https://{}/", wiki.host)).await?;
            let page = bob.text().await?;
            ensure!(page.contains("You don't have access"), "{page}");
            Ok(())
        })
        .await?;
    bob.goto(&format!("https://{}/oauth2/sign_out", wiki.host))
        .await?;
    bob.shows("You are signed out").await?;
    bob.screenshot("cluster-signed-out").await?;
    wiki.namespace.delete().await?;
    grafana.namespace.delete().await
}

#[tokio::test]
async fn an_identity_header_that_traefik_would_pass_on_in_another_spelling_is_refused() -> Result<()>
{
    let product = Product::shared().await?;
    let site = product.site("spelling").await?;
    site.annotate(&[
        "vestibule.dev/protect=true",
        "vestibule.dev/allowed-email-domains=corp.example",
        "vestibule.dev/public-paths=/public",
    ])
    .await?;
    site.refuses_strangers(product).await?;
    let asking = |name| {
        Visitor::get(product.traefik.http(), &site.host, "/public")
            .header(name, "root@corp.example")
            .send()
    };
    site.service.forget();
    assert_eq!(asking("x_auth_request_email").await?.status, 403);
    assert_eq!(site.service.seen(), []);
    let seen = asking("x-auth-request-email").await?.echoed()?;
    assert_eq!(seen.header("x-auth-request-email"), Some(""));
    Ok(())
}
