//! A share of a protected host: Ingresses of another namespace that are sent its requests, each as Traefik and nginx take it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{OWN, WIKI};
use crate::{
    attack::{
        ground::{Tenant, ground, rule},
        stage::now,
        told,
    },
    bench::Nginx,
    product::CLASS,
};

/// An Ingress that somebody else writes, and what comes of it.
struct Share {
    what: &'static str,
    spec: Value,
    annotations: Value,
    /// Where a person is lured to on the host.
    lure: String,
    /// Whether Traefik then sends the request, and the cookie, to the tenant.
    at_traefik: bool,
    /// Whether nginx does.
    at_nginx: bool,
    /// Whether the host is said to be shared.
    is_told: bool,
}

fn shares() -> Vec<Share> {
    let own = || rule(OWN, "/", "trap");
    let and = |other: Value| json!({"rules": [own(), other]});
    let long = format!("/{}", "x".repeat(64));
    let none = json!({});
    let share = |what, spec, lure: &str, at_traefik, at_nginx| Share {
        what,
        spec,
        annotations: json!({}),
        lure: lure.to_owned(),
        at_traefik,
        at_nginx,
        is_told: at_traefik,
    };
    let aliased = |names: &str| json!({"nginx.ingress.kubernetes.io/server-alias": names});
    let backend = json!({"service": {"name": "trap", "port": {"number": 80}}});
    vec![
        share(
            "a path of the host",
            and(rule(WIKI, "/x", "trap")),
            "/x",
            true,
            true,
        ),
        share(
            "a path under the prefix",
            and(rule(WIKI, "/oauth2/finish", "trap")),
            "/oauth2/finish",
            true,
            true,
        ),
        Share {
            // This Traefik writes it shorter than so long a name; others write a pattern, which is longer.
            is_told: true,
            ..share(
                "a wildcard",
                and(rule("*.story.test", "/", "trap")),
                "/",
                false,
                false,
            )
        },
        share(
            "a path of a wildcard",
            and(rule("*.story.test", "/x", "trap")),
            "/x",
            true,
            false,
        ),
        share(
            "no host and a long path",
            and(rule("", &long, "trap")),
            &long,
            true,
            false,
        ),
        share("no host", and(rule("", "/", "trap")), "/", false, false),
        share(
            "a wildcard above the host's own domain",
            and(rule("*.test", "/", "trap")),
            "/",
            false,
            false,
        ),
        Share {
            what: "no host and a pattern",
            spec: and(rule("", &format!("/(.*|{long})"), "trap")
                .to_string()
                .replace("Prefix", "ImplementationSpecific")
                .parse()
                .unwrap()),
            annotations: json!({"nginx.ingress.kubernetes.io/use-regex": "true"}),
            lure: "/".to_owned(),
            at_traefik: true,
            at_nginx: false,
            is_told: true,
        },
        share(
            "a default backend",
            json!({"defaultBackend": backend}),
            "/",
            false,
            false,
        ),
        Share {
            annotations: aliased("*.story.test"),
            ..share(
                "an alias with a wildcard",
                and(rule("x.mallory.story.test", "/x", "trap")),
                "/x",
                true,
                false,
            )
        },
        Share {
            annotations: aliased("LURED.story.test"),
            is_told: true,
            ..share(
                "an alias in other letters",
                json!({"rules": [own()]}),
                "/",
                false,
                false,
            )
        },
        Share {
            is_told: true,
            ..share(
                "a wildcard without a class",
                json!({"ingressClassName": "", "rules": [own(), rule("*.story.test", "/", "trap")]}),
                "/",
                false,
                false,
            )
        },
        Share {
            annotations: none,
            ..share(
                "a wildcard of another class",
                json!({"ingressClassName": "nobodys", "rules": [rule("*.story.test", "/", "trap")]}),
                "/",
                false,
                false,
            )
        },
    ]
}

/// Whoever takes a share of a host sees cookies of it. They are of no use: not while the share lasts, and not later.
#[tokio::test]
async fn whoever_takes_a_share_of_a_host_gains_no_session_of_it() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let (victim, mallory) = (
        ground.tenant("victim").await?,
        ground.tenant("mallory").await?,
    );
    let wiki = victim.service("wiki").await?;
    let trap = mallory.service("trap").await?;
    victim.protect(ground, "wiki", WIKI).await?;
    let mut nginx = Nginx::start(ground.cluster(), CLASS).await?;
    let mut cases = 0;
    let all = shares();
    let count = all.len();
    for share in all {
        let what = share.what;
        let began = now();
        let cookie = ground.session(WIKI, began)?;
        let fresh = || async { ground.visit(WIKI, "/", &cookie).await };
        ground
            .wait()
            .until(&format!("{what}: the session counts before"), async || {
                let status = fresh().await?.status;
                // A share that has just ended makes sessions of that very second void.
                ensure!(status == 200, "it answers {status}");
                Ok(())
            })
            .await?;

        let object = mallory.ingress("trap", &share.spec, &share.annotations);
        mallory
            .apply(&object)
            .await
            .with_context(|| what.to_owned())?;
        if share.is_told {
            victim
                .until_ready("wiki", "False", "HostShared")
                .await
                .with_context(|| what.to_owned())?;
            told(&mallory, "trap")
                .await
                .with_context(|| what.to_owned())?;
        }
        if share.at_traefik
            || share.spec["rules"][0]["host"] == OWN && share.spec.get("ingressClassName").is_none()
        {
            ground
                .product
                .traefik
                .routes(if share.at_traefik { WIKI } else { OWN }, "/")
                .await?;
        }
        // What the tenant sees of a person who is lured there, at each data plane.
        for (plane, expected) in [("Traefik", share.at_traefik), ("nginx", share.at_nginx)] {
            let front = if plane == "nginx" {
                // What the bench does not model, ingress-nginx's own documentation answers.
                if nginx.sync().await.is_err() {
                    continue;
                }
                nginx.http()
            } else {
                ground.product.traefik.http()
            };
            let lure = async || {
                trap.forget();
                let visitor = crate::bench::Visitor::get(front, WIKI, &share.lure).navigating();
                visitor.header("cookie", &cookie).send().await?;
                ensure!(
                    trap.seen().is_empty() != expected,
                    "{what} at {plane}: seen {}",
                    !expected
                );
                Ok(())
            };
            ground
                .wait()
                .until(&format!("{what} at {plane}"), lure)
                .await?;
            cases += 1;
        }

        // The cookie again, from the tenant's machine: at the service, and for a new session.
        wiki.forget();
        if share.is_told {
            for target in ["/", "/a", "/?x=1"] {
                ground.visit(WIKI, target, &cookie).await?;
                cases += 1;
            }
            ensure!(
                wiki.seen().is_empty(),
                "{what}: a cookie that others have seen counts"
            );
            let start = ground.visit(WIKI, "/oauth2/start?rd=%2F", &cookie).await?;
            ensure!(
                start.location().is_none(),
                "{what}: a sign-in begins at {:?}",
                start.location()
            );
            cases += 1;
        } else {
            ensure!(fresh().await?.status == 200, "{what}: harm is done");
            cases += 1;
        }

        // The tenant takes it back, and comes again with what was collected.
        mallory.kubectl(&["delete", "ingress", "trap"]).await?;
        victim.until_ready("wiki", "True", "Ready").await?;
        ground.until_asked(WIKI).await?;
        wiki.forget();
        let again = fresh().await?;
        if share.is_told {
            ensure!(
                again.status == 302 && wiki.seen().is_empty(),
                "{what}: {} later",
                again.status
            );
            // A sign-in after that is one; the second in which the share ended is over by then.
            tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
            let anew = ground.session(WIKI, now())?;
            ensure!(
                ground.visit(WIKI, "/", &anew).await?.status == 200,
                "{what}: nobody may return"
            );
            cases += 1;
        }
        cases += 1;
    }
    println!("{cases} cases, {count} shares");
    told::cases(
        "whoever_takes_a_share_of_a_host_gains_no_session_of_it",
        cases,
    );
    victim.namespace.delete().await?;
    mallory.namespace.delete().await
}

async fn told(tenant: &Tenant, ingress: &str) -> Result<()> {
    crate::bench::Wait::seconds(60)
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
