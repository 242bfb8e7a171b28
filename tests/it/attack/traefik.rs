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
use crate::{
    bench::{Traefik, Visitor, Wait, traefik::Options},
    product::CLASS,
};

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
        // Made anew more often than this it would count as fought for.
        let ages: &[bool] = match what {
            "its backend" | "the backend of a canary" => &[true, false],
            _ => &[true],
        };
        for is_older in ages.iter().copied() {
            if !is_older {
                victim.kubectl(&["delete", "ingress", "wiki"]).await?;
            }
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
    Wait::seconds(60)
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

/// Annotations that Traefik reads, besides those that ingress-nginx reads, or reads otherwise; and its own, which its
/// provider for ingress-nginx does not read.
fn annotations() -> Vec<(String, &'static str)> {
    let of_nginx: &[(&str, &[&'static str])] = &[
        ("affinity", &["cookie"]),
        ("affinity-canary-behavior", &["legacy"]),
        ("allowlist-source-range", &["127.0.0.0/8", "0.0.0.0/0", "x"]),
        (
            "app-root",
            &["/app", "/oauth2/start", "//evil.test", "https://evil.test/"],
        ),
        ("auth-method", &["POST", "HEAD", "OPTIONS", "x y"]),
        ("auth-realm", &["x"]),
        ("auth-secret", &["none", "other/none"]),
        ("auth-secret-type", &["auth-map"]),
        ("auth-tls-pass-certificate-to-upstream", &["true"]),
        ("auth-tls-secret", &["none", "other/none"]),
        ("auth-tls-verify-client", &["off", "optional_no_ca"]),
        ("auth-type", &["basic", "digest", "x"]),
        (
            "backend-protocol",
            &["HTTPS", "GRPC", "FCGI", "AUTO_HTTP", "x"],
        ),
        ("canary", &["true", "false", "x"]),
        ("canary-by-cookie", &["x"]),
        ("canary-by-header", &["X-Any"]),
        ("canary-weight", &["100", "-1"]),
        ("client-body-buffer-size", &["1", "x"]),
        (
            "configuration-snippet",
            &["return 200;", "auth_request off;"],
        ),
        (
            "auth-snippet",
            &["return 200;", "proxy_set_header Cookie x;"],
        ),
        ("server-snippet", &["return 200;", "location / { }"]),
        ("custom-headers", &["none", "other/none"]),
        (
            "custom-http-errors",
            &["200", "302", "401", "401,403", "404,500-599", "x"],
        ),
        ("default-backend", &["app", "none"]),
        ("enable-access-log", &["false"]),
        ("enable-cors", &["true"]),
        ("cors-allow-origin", &["*", "https://evil.test"]),
        ("enable-global-auth", &["false"]),
        ("enable-modsecurity", &["true"]),
        ("modsecurity-snippet", &["SecRuleEngine Off"]),
        ("force-ssl-redirect", &["true", "x"]),
        ("from-to-www-redirect", &["true"]),
        ("limit-connections", &["1", "0", "-1"]),
        ("limit-rps", &["1", "-1"]),
        ("permanent-redirect", &["https://evil.test/", "/"]),
        ("temporal-redirect", &["https://evil.test/", "/"]),
        ("proxy-body-size", &["1", "x"]),
        (
            "proxy-next-upstream",
            &["http_403 http_404 non_idempotent", "off"],
        ),
        ("proxy-next-upstream-tries", &["5"]),
        ("proxy-ssl-secret", &["none", "other/none"]),
        ("proxy-ssl-verify", &["on"]),
        ("proxy-http-version", &["1.0", "x"]),
        (
            "rewrite-target",
            &["/", "/oauth2/start", "https://evil.test/$1"],
        ),
        ("satisfy", &["any"]),
        ("server-alias", &["alias.story.test", "~^.*$"]),
        ("service-upstream", &["true", "false"]),
        ("session-cookie-name", &["__Host-vestibule"]),
        ("ssl-passthrough", &["true", "x"]),
        ("ssl-redirect", &["true", "false"]),
        ("upstream-hash-by", &["$host", "$http_x"]),
        ("upstream-vhost", &["evil.test", "$http_x", "a b"]),
        ("use-regex", &["true"]),
        ("x-forwarded-prefix", &["/x", "/oauth2"]),
    ];
    let of_traefik: &[(&str, &[&'static str])] = &[
        ("router.middlewares", &["default-none@kubernetescrd", ""]),
        ("router.entrypoints", &["web", "ping", "none"]),
        ("router.priority", &["1000000", "-1"]),
        ("router.pathmatcher", &["Path", "PathRegexp"]),
        ("router.rulesyntax", &["v2"]),
        ("router.tls", &["true", "false"]),
        ("router.tls.options", &["default-none@kubernetescrd"]),
        ("router.tls.passthrough", &["true"]),
        ("service.nativelb", &["true"]),
        ("service.serversscheme", &["https"]),
    ];
    let mut all = Vec::new();
    for (prefix, keys) in [("nginx", of_nginx), ("traefik", of_traefik)] {
        for (key, values) in keys {
            let key = format!("{prefix}.ingress.kubernetes.io/{key}");
            all.extend(values.iter().map(|value| (key.clone(), *value)));
        }
    }
    all
}

/// Whatever else is said on a protected Ingress: a stranger gets nothing at either entry point, also where clients'
/// forwarded headers are believed, or the owner is told that the Ingress is not protected.
#[tokio::test]
async fn no_annotation_that_traefik_reads_opens_a_service_that_is_called_ready() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let trusting = ["web", "websecure"]
        .map(|point| format!("--entrypoints.{point}.forwardedheaders.insecure=true"));
    let options = Options {
        ingress_class: CLASS.to_owned(),
        arguments: trusting.into(),
        ..Options::default()
    };
    let trusting = Traefik::start(ground.cluster(), options).await?;
    let tenant = ground.tenant("sweep").await?;
    let service = tenant.service("app").await?;
    let all = annotations();
    let host = |n: usize| format!("sweep-{n}.story.test");
    for (n, (key, value)) in all.iter().enumerate() {
        let annotations = json!({
            "vestibule.dev/protect": "true", "vestibule.dev/allowed-email-domains": "corp.example", key: value,
        });
        let mut spec = json!({"rules": [rule(&host(n), "/", "app")]});
        if n % 2 == 1 {
            spec["tls"] = json!([{"hosts": [host(n)]}]);
        }
        let ingress = tenant.ingress(&format!("sweep-{n}"), &spec, &annotations);
        tenant.apply(&ingress).await.with_context(|| key.clone())?;
    }
    let last = json!({"rules": [rule("swept.story.test", "/", "app")]});
    tenant
        .apply(&tenant.ingress("swept", &last, &json!({"vestibule.dev/protect": "true"})))
        .await?;
    for traefik in [&ground.product.traefik, &trusting] {
        // More than a hundred Ingresses take a while where every test runs beside this one.
        traefik
            .wait(120)
            .every(Duration::from_millis(200))
            .until("all of it has reached Traefik", async || {
                let answer = Visitor::get(traefik.http(), "swept.story.test", "/")
                    .send()
                    .await?;
                ensure!(answer.status == 302, "it answers {}", answer.status);
                Ok(())
            })
            .await?;
    }
    let (mut cases, mut open, mut ready) = (0, Vec::new(), 0);
    for (n, (key, value)) in all.iter().enumerate() {
        let said = tenant.ready(&format!("sweep-{n}")).await?;
        ready += usize::from(said == "True Ready");
        service.forget();
        for (plain, tls) in [
            (
                ground.product.traefik.http(),
                ground.product.traefik.https(),
            ),
            (trusting.http(), trusting.https()),
        ] {
            let visits = [
                Visitor::get(plain, &host(n), "/"),
                Visitor::get(plain, &host(n), "/").header("x-forwarded-proto", "https"),
                Visitor::get(plain, &host(n), &format!("https://{}/", host(n))),
                Visitor::get(plain, &host(n), "/")
                    .header("x-any", "always")
                    .header("cookie", "x=always"),
                Visitor::get(plain, &host(n), "/")
                    .method(http::Method::OPTIONS)
                    .header("origin", "https://evil.test")
                    .header("access-control-request-method", "GET"),
                Visitor::get(tls, &host(n), "/").trusting_anybody()?,
                Visitor::get(tls, &host(n), "/")
                    .trusting_anybody()?
                    .header("x-forwarded-proto", "http")
                    .header("x-forwarded-host", "evil.test")
                    .header("x-forwarded-uri", "/oauth2/start"),
            ];
            for visit in visits {
                // A connection that is passed through ends without an answer.
                drop(visit.send().await);
                cases += 1;
            }
        }
        if !service.seen().is_empty() {
            open.push(format!("{key}={value}: {said}"));
            ensure!(
                said == "False NotProtected",
                "{key}={value} is open and says {said}"
            );
        }
    }
    println!(
        "{cases} cases, {ready} of {} are ready, open: {open:#?}",
        all.len()
    );
    ensure!(ready > all.len() / 2, "only {ready} are ready");
    told::cases(
        "no_annotation_that_traefik_reads_opens_a_service_that_is_called_ready",
        cases,
    );
    tenant.namespace.delete().await
}
