//! Sign-in on the real parts, with every wrong turn that a person or an attacker can take on the way.

use crate::bench::{Answer, Visitor, installation::NAMESPACE};
use anyhow::{Context, Result, ensure};

use crate::attack::told;
use crate::product::{AUTH_HOST, Product, Site, identity_provider};

/// Path and query of a URL of this host.
fn on<'a>(host: &str, url: Option<&'a str>) -> Result<&'a str> {
    let url = url.context("no location")?;
    url.strip_prefix(&format!("https://{host}"))
        .with_context(|| format!("{url} does not lead to {host}"))
}

async fn navigate(product: &Product, host: &str, target: &str, cookies: &str) -> Result<Answer> {
    Visitor::get(product.traefik.http(), host, target)
        .navigating()
        .header("cookie", cookies)
        .send()
        .await
}

fn has_session(answer: &Answer) -> bool {
    let set = answer.headers.get_all("set-cookie");
    set.iter()
        .any(|line| line.as_bytes().starts_with(b"__Host-vestibule="))
}

async fn protected(product: &Product, name: &str) -> Result<Site> {
    let site = product.site(name).await?;
    site.annotate(&[
        "vestibule.dev/protect=true",
        "vestibule.dev/allowed-email-domains=corp.example",
    ])
    .await?;
    site.ready().await?;
    site.refuses_strangers(product).await?;
    Ok(site)
}

#[tokio::test]
async fn a_sign_in_is_of_use_once_in_one_browser_on_one_host() -> Result<()> {
    let product = Product::shared().await?;
    let (site, other) = (
        protected(product, "turns").await?,
        protected(product, "elsewhere").await?,
    );
    let away = navigate(product, &site.host, "/oauth2/start?rd=%2Fa", "").await?;
    let at_auth_host = on(AUTH_HOST, away.location())?;
    let asking = navigate(product, AUTH_HOST, at_auth_host, "").await?;
    let authorization = asking.location().context("no way to the provider")?;
    let back = product.provider.sign_in(authorization, "ann").await?;
    let callback = on(AUTH_HOST, Some(&back))?.to_owned();

    let mut tried = 0;
    for (cookies, target, wrong) in [
        (String::new(), callback.clone(), "another browser"),
        (
            asking.cookies(),
            callback.replace("state=", "state=x"),
            "another state",
        ),
        (
            asking.cookies(),
            callback.replace("/callback/corp", "/callback/other"),
            "another provider's path",
        ),
    ] {
        let answer = navigate(product, AUTH_HOST, &target, &cookies).await?;
        tried += 1;
        ensure!(
            answer.status.is_client_error() && !has_session(&answer),
            "{wrong}: {}",
            answer.status
        );
    }
    let elsewhere = navigate(product, &other.host, &callback, &asking.cookies()).await?;
    ensure!(!has_session(&elsewhere), "another host");

    let signed_in = navigate(product, AUTH_HOST, &callback, &asking.cookies()).await?;
    let finish = on(&site.host, signed_in.location())?.to_owned();
    let again = navigate(product, AUTH_HOST, &callback, &asking.cookies()).await?;
    ensure!(
        again.status == 403 && !has_session(&again),
        "the code was used twice: {}",
        again.status
    );

    for (host, cookies, wrong) in [
        (&site.host, String::new(), "another browser"),
        (&other.host, away.cookies(), "another host"),
        (&site.host, signed_in.cookies(), "the auth host's cookies"),
    ] {
        let answer = navigate(product, host, &finish, &cookies).await?;
        tried += 1;
        ensure!(
            answer.status == 400 && !has_session(&answer),
            "{wrong}: {}",
            answer.status
        );
    }
    let landed = navigate(product, &site.host, &finish, &away.cookies()).await?;
    assert_eq!(
        (landed.status.as_u16(), landed.location()),
        (302, Some("/a"))
    );
    let session = landed.cookies();

    assert_eq!(
        navigate(product, &site.host, "/a", &session).await?.status,
        200
    );
    let seen = site.service.seen();
    let seen = seen.last().context("nothing arrived")?;
    assert_eq!(
        seen.header("x-auth-request-email"),
        Some("ann@corp.example")
    );
    assert_eq!(
        navigate(product, &other.host, "/a", &session).await?.status,
        302,
        "a cookie of another host"
    );
    let of_auth_host = signed_in.cookies();
    assert_eq!(
        navigate(product, &site.host, "/a", &of_auth_host)
            .await?
            .status,
        302,
        "the auth host's cookie"
    );

    // Four more stand by themselves: another host, the code again, and two cookies of other hosts.
    told::cases(
        "a_sign_in_is_of_use_once_in_one_browser_on_one_host",
        tried + 4,
    );

    // What opens something is in no log; who signed in is.
    let log = product.auth.process().printed();
    let values = [&session, &of_auth_host]
        .map(|cookies| cookies.split("; ").filter_map(|c| c.split('=').nth(1)));
    let urls = [&callback, &finish].map(|url| url.split(['=', '&']).filter(|part| part.len() > 20));
    let secrets: Vec<&str> = values
        .into_iter()
        .flatten()
        .chain(urls.into_iter().flatten())
        .collect();
    ensure!(secrets.len() >= 4, "{secrets:?}");
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        ensure!(!log.contains(*secret), "the log has a secret");
    }
    ensure!(
        !log.contains("story-secret"),
        "the log has the client secret"
    );
    ensure!(
        log.contains(r#""event":"sign_in""#) && log.contains("ann@corp.example"),
        "no audit line"
    );
    let metrics = product.auth.metrics().await?;
    ensure!(
        metrics.contains(r#"vestibule_checks_total{outcome="allowed"}"#),
        "{metrics}"
    );
    ensure!(
        metrics.contains(r#"vestibule_sign_ins_total{provider="corp",result="Success"}"#),
        "{metrics}"
    );
    site.namespace.delete().await?;
    other.namespace.delete().await
}

#[tokio::test]
async fn a_dead_provider_stops_its_own_sign_ins_and_nothing_else() -> Result<()> {
    let product = Product::shared().await?;
    let site = product.site("dead").await?;
    product
        .cluster
        .secret(NAMESPACE, "gone", &[("client-secret", "x")])
        .await?;
    // Port 9 is discard; nobody listens.
    product
        .cluster
        .apply(&identity_provider("gone", "http://127.0.0.1:9", false))
        .await?;
    site.annotate(&[
        "vestibule.dev/protect=true",
        "vestibule.dev/identity-provider=gone",
        "vestibule.dev/allowed-email-domains=corp.example",
    ])
    .await?;
    site.ready().await?;
    site.refuses_strangers(product).await?;
    let away = navigate(product, &site.host, "/oauth2/start?rd=%2F", "").await?;
    let answer = navigate(product, AUTH_HOST, on(AUTH_HOST, away.location())?, "").await?;
    assert_eq!(answer.status, 503);
    ensure!(
        answer.body.contains("does not answer") && answer.header("retry-after").is_some(),
        "{}",
        answer.body
    );
    product.auth.ready().await?;
    site.namespace.delete().await
}
