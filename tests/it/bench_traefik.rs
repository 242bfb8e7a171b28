//! Traefik of the bench is a real ingress controller: it routes what the API server holds, and obeys
//! the annotations of ingress-nginx.

use crate::bench::{
    Browser, Cluster, Traefik, Visitor,
    browser::HostRule,
    traefik::{Options, ingress},
};
use anyhow::{Context, Result, ensure};

#[tokio::test]
async fn traefik_routes_an_ingress_and_asks_its_auth_url() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("traefik").await?;
    let traefik = Traefik::start(
        cluster,
        Options {
            ingress_class: "bench-traefik".into(),
            ..Options::default()
        },
    )
    .await?;
    let wiki = cluster.echo_service(&namespace, "wiki").await?;
    cluster
        .apply(&ingress(
            &namespace,
            "wiki",
            "bench-traefik",
            "wiki.test",
            "wiki",
        )?)
        .await?;
    traefik.routes("wiki.test", "/").await?;
    let answer = Visitor::get(traefik.http(), "wiki.test", "/a?b=c")
        .send()
        .await?;
    assert_eq!(answer.echoed()?.service, wiki.address());
    assert_eq!(answer.echoed()?.target, "/a?b=c");

    // Nobody listens at this address, so nobody is let in.
    let closed = crate::bench::loopback::free_component_address()?;
    let annotation = format!("nginx.ingress.kubernetes.io/auth-url=http://{closed}/verify?h=$host");
    cluster
        .kubectl(&["-n", &namespace, "annotate", "ingress", "wiki", &annotation])
        .await?;
    traefik
        .wait(10)
        .until("requests are refused", async || {
            let answer = Visitor::get(traefik.http(), "wiki.test", "/")
                .send()
                .await?;
            ensure!(answer.status == 500, "it answers {}", answer.status);
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_browser_reaches_an_ingress_over_https_on_its_own_name() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let namespace = cluster.namespace("https").await?;
    let class = "bench-https";
    let options = Options {
        ingress_class: class.into(),
        ..Options::default()
    };
    let traefik = Traefik::start(cluster, options).await?;
    let wiki = cluster.echo_service(&namespace, "wiki").await?;
    cluster
        .apply(&ingress(&namespace, "wiki", class, "secure.test", "wiki")?)
        .await?;
    traefik.routes("secure.test", "/").await?;
    let rule = HostRule {
        from: "secure.test:443".into(),
        to: traefik.https(),
    };
    let browser = Browser::start(&[rule]).await?;
    browser.goto("https://secure.test/page").await?;
    browser.shows("/page").await?;
    let seen = wiki.seen();
    let page = seen.iter().find(|seen| seen.target == "/page");
    let page = page.context("the service did not see the page's request")?;
    // Only a page that is secure in the browser's eyes says this.
    assert_eq!(page.header("Sec-Fetch-Mode"), Some("navigate"));
    assert_eq!(page.header("X-Forwarded-Proto"), Some("https"));
    Ok(())
}
