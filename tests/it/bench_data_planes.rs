//! Both data planes of the bench read the same annotations and come to the same answers, as was
//! measured on ingress-nginx 1.15.1 and Traefik 3.7.

use crate::bench::{
    Cluster, Echo, Nginx, Traefik, Visitor,
    cluster::TestNamespace,
    traefik::{Options, ingress},
};
use anyhow::{Context, Result, ensure};
use http::StatusCode;
use std::net::SocketAddr;

const CLASS: &str = "bench-data-planes";

/// A wiki and its check, both echoes, and the Ingress that joins them.
struct Site {
    namespace: TestNamespace<'static>,
    wiki: Echo,
    check: Echo,
}

// === impl Site ===

impl Site {
    async fn new(cluster: &'static Cluster, class: &str, host: &str) -> Result<Self> {
        let namespace = cluster.namespace("site").await?;
        let wiki = cluster.echo_service(&namespace, "wiki").await?;
        let check = Echo::start().await?;
        cluster
            .apply(&ingress(&namespace, "wiki", class, host, "wiki")?)
            .await?;
        let site = Self {
            namespace,
            wiki,
            check,
        };
        let url = format!(
            "auth-url=http://{}/verify?m=$request_method&u=$escaped_request_uri&h=$host",
            site.check.address()
        );
        let signin = "auth-signin=http://$host:8080/oauth2/start?m=$request_method";
        let headers = "auth-response-headers=X-Auth-Request-User,X-Auth-Request-Email";
        // At once, so that nobody sees one without the others.
        site.annotate(cluster, &[&url, signin, headers]).await?;
        Ok(site)
    }

    async fn annotate(&self, cluster: &Cluster, annotations: &[&str]) -> Result<String> {
        let keys = annotations
            .iter()
            .map(|annotation| format!("nginx.ingress.kubernetes.io/{annotation}"));
        let wiki = [
            "-n",
            &self.namespace,
            "annotate",
            "--overwrite",
            "ingress",
            "wiki",
        ];
        let arguments: Vec<String> = wiki.map(str::to_owned).into_iter().chain(keys).collect();
        cluster.kubectl(&arguments).await
    }

    async fn obeyed_at(&self, data_plane: SocketAddr, host: &str) -> Result<()> {
        self.check.answer(StatusCode::UNAUTHORIZED);
        let answer = Visitor::get(data_plane, host, "/a/b?x=1&y=2")
            .send()
            .await?;
        assert_eq!(answer.status, 302, "{}", answer.body);
        let signin = format!(
            "http://{host}:8080/oauth2/start?m=GET&rd=http://{host}%2Fa%2Fb%3Fx%3D1%26y%3D2"
        );
        assert_eq!(answer.location(), Some(signin.as_str()));

        self.check.answer(StatusCode::FORBIDDEN);
        let answer = Visitor::get(data_plane, host, "/a").send().await?;
        assert_eq!(answer.status, 403);
        assert_eq!(self.wiki.seen(), [], "a refused request must not arrive");

        self.check.answer(StatusCode::OK);
        self.check.forget();
        let forged =
            Visitor::get(data_plane, host, "/a/b?x=1&y=2").header("X-Auth-Request-User", "root");
        let seen = forged.send().await?.echoed()?;
        assert_eq!(seen.target, "/a/b?x=1&y=2");
        assert_ne!(seen.header("X-Auth-Request-User"), Some("root"));
        let asked = self.check.seen();
        let asked = asked.first().context("the check was not asked")?;
        let (path, query) = asked.target.split_once('?').unwrap_or_default();
        let mut query: Vec<&str> = query.split('&').collect();
        query.sort_unstable();
        assert_eq!(path, "/verify");
        assert_eq!(
            query,
            [&format!("h={host}"), "m=GET", "u=%2Fa%2Fb%3Fx%3D1%26y%3D2"]
        );
        self.wiki.forget();
        Ok(())
    }
}

#[tokio::test]
async fn both_ask_the_check_and_obey_its_answer() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let options = Options {
        ingress_class: CLASS.into(),
        ..Options::default()
    };
    let traefik = Traefik::start(cluster, options).await?;
    let mut nginx = Nginx::start(cluster, CLASS).await?;
    let site = Site::new(cluster, CLASS, "both.test").await?;
    nginx.sync().await?;
    site.obeyed_at(nginx.http(), "both.test").await?;
    site.check.answer(StatusCode::FORBIDDEN);
    traefik
        .wait(10)
        .until("Traefik asks the check", async || {
            let answer = Visitor::get(traefik.http(), "both.test", "/")
                .send()
                .await?;
            ensure!(answer.status == 403, "it answers {}", answer.status);
            Ok(())
        })
        .await?;
    site.wiki.forget();
    site.obeyed_at(traefik.http(), "both.test").await
}

#[tokio::test]
async fn an_ingress_of_another_namespace_joins_the_host_without_a_check() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let class = "bench-joined";
    let mut nginx = Nginx::start(cluster, class).await?;
    let site = Site::new(cluster, class, "joined.test").await?;
    let other = cluster.namespace("endpoint").await?;
    let endpoint = cluster.echo_service(&other, "endpoint").await?;
    let joined = ingress(&other, "endpoint", class, "joined.test", "endpoint")?;
    cluster
        .apply(&joined.replace("\"path\":\"/\"", "\"path\":\"/oauth2\""))
        .await?;
    nginx.sync().await?;
    site.check.answer(StatusCode::UNAUTHORIZED);
    for (target, reached) in [
        ("/oauth2", true),
        ("/oauth2/start?x=1", true),
        ("//oauth2/start", true),
        ("/x/../oauth2/start", true),
        ("/oauth2x", false),
        ("/OAUTH2", false),
        ("/oauth2/../secret", false),
    ] {
        endpoint.forget();
        let answer = Visitor::get(nginx.http(), "joined.test", target)
            .send()
            .await?;
        assert_eq!(answer.status, if reached { 200 } else { 302 }, "{target}");
        assert_eq!(endpoint.seen().len(), usize::from(reached), "{target}");
    }
    assert_eq!(site.wiki.seen(), []);
    Ok(())
}

#[tokio::test]
async fn nginx_refuses_what_ingress_nginx_would_not_serve_as_written() -> Result<()> {
    let cluster = Cluster::shared().await?;
    let class = "bench-refused";
    let mut nginx = Nginx::start(cluster, class).await?;
    let site = Site::new(cluster, class, "refused.test").await?;
    nginx.sync().await?;
    for (annotation, reason) in [
        (
            "auth-url=http://127.0.0.1:1/%20",
            "characters outside its class",
        ),
        ("auth-url=", "switches authentication off"),
        (
            "auth-url=http://127.0.0.1:1/?x=$no_such_variable",
            "nginx refuses the configuration",
        ),
        (
            "auth-signin=http://$host/start#top",
            "characters outside its class",
        ),
        ("auth-signin=http://$host/a start", "stops every reload"),
        ("auth-response-headers=X-User,X Email", "'X Email'"),
        ("auth-request-redirect=https://x/y", "not modelled"),
    ] {
        let key = annotation.split('=').next().unwrap_or_default();
        let query =
            format!("jsonpath={{.metadata.annotations.nginx\\.ingress\\.kubernetes\\.io/{key}}}");
        let arguments = [
            "-n",
            &site.namespace,
            "get",
            "ingress",
            "wiki",
            "-o",
            &query,
        ];
        let before = cluster.kubectl(&arguments).await?;
        site.annotate(cluster, &[annotation]).await?;
        let error = nginx.sync().await.expect_err(annotation);
        assert!(
            format!("{error:#}").contains(reason),
            "{annotation}: {error:#}"
        );
        let undo = if before.is_empty() {
            format!("{key}-")
        } else {
            format!("{key}={before}")
        };
        site.annotate(cluster, &[&undo]).await?;
    }
    nginx.sync().await
}
