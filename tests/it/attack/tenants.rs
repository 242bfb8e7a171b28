//! What a tenant tries against the host of another: a share of it, its sessions, its sign-in pages.

mod shares;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::{
    ground::{Ground, ground, rule},
    stage::now,
    told,
};
const WIKI: &str = "lured.story.test";
const OWN: &str = "mallory.story.test";

/// Spellings of a host that the API server refuses, or that are another host.
#[tokio::test]
async fn no_spelling_of_a_protected_host_is_another_way_to_it() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let (victim, mallory) = (
        ground.tenant("victim").await?,
        ground.tenant("mallory").await?,
    );
    let (_wiki, trap) = (
        victim.service("wiki").await?,
        mallory.service("trap").await?,
    );
    victim.protect(ground, "wiki", WIKI).await?;
    let spellings = [
        "LURED.story.test",
        "Lured.story.test",
        "lured.story.test.",
        "lured.story.test:80",
        "lured.story.test:443",
        "lured.story.test/",
        "//lured.story.test",
        "https://lured.story.test",
        " lured.story.test",
        "lured.story.test ",
        "lured.story.test\n",
        "lured.story.test\t",
        "lured.story.test\0",
        "lured.story.test,other.test",
        "lured.story.test other.test",
        "*lured.story.test",
        "*.lured.story.test.",
        "*",
        "*.",
        "**.story.test",
        "lured.*.test",
        "*.*.test",
        "l*red.story.test",
        "~^lured",
        "\"lured.story.test\"",
        "lured.story.test`) || Host(`x",
        "l\u{200b}ured.story.test",
        "lured\u{3002}story.test",
        "\u{217c}ured.story.test",
        "lured.story.tes\u{1d42d}",
        "xn--lured.story.test",
        "lured_.story.test",
        "lured..story.test",
        ".lured.story.test",
        "lured%2estory.test",
    ];
    let (mut refused, mut harmless) = (0, 0);
    for spelling in spellings {
        let object = mallory.ingress(
            "trap",
            &json!({"rules": [rule(spelling, "/", "trap")]}),
            &json!({}),
        );
        if mallory.apply(&object).await.is_err() {
            refused += 1;
            continue;
        }
        harmless += 1;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        trap.forget();
        let answer = ground
            .visit(WIKI, "/", &ground.session(WIKI, now())?)
            .await?;
        ensure!(trap.seen().is_empty(), "{spelling:?}: {}", answer.status);
        mallory.kubectl(&["delete", "ingress", "trap"]).await?;
    }
    println!("{refused} refused by the API server, {harmless} are other hosts");
    assert_eq!((refused, harmless), (34, 1));
    told::cases(
        "no_spelling_of_a_protected_host_is_another_way_to_it",
        refused + harmless,
    );
    ensure!(victim.ready("wiki").await? == "True Ready");
    victim.namespace.delete().await?;
    mallory.namespace.delete().await
}

/// A host of one's own, to which people of another host are lured by way of Vestibule's own pages.
#[tokio::test]
async fn a_host_of_ones_own_lures_nobody_and_receives_nothing_for_another() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let (victim, mallory) = (
        ground.tenant("victim").await?,
        ground.tenant("mallory").await?,
    );
    let (_wiki, _trap) = (
        victim.service("wiki").await?,
        mallory.service("trap").await?,
    );
    victim.protect(ground, "wiki", WIKI).await?;
    mallory.protect(ground, "trap", OWN).await?;
    let mut cases = 0;
    let cookie = ground.session(WIKI, now())?;
    let names = [
        "victim",
        &*victim.namespace,
        &*mallory.namespace,
        "..",
        "%2e%2e",
    ];
    for target in [
        format!("https://{OWN}/"),
        format!("//{OWN}/"),
        format!("http://{OWN}"),
        format!("https:{OWN}"),
        format!("/\\{OWN}"),
        format!("https://{WIKI}@{OWN}/"),
        format!("https://{WIKI}.{OWN}/"),
        format!("https://{OWN}/?{WIKI}"),
        format!("/%2f%2f{OWN}"),
        format!("/.//{OWN}"),
        format!("javascript:{OWN}"),
    ] {
        let rd: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
        for path in [
            format!("/oauth2/start?rd={rd}"),
            format!("/oauth2/start/{}/trap?m=GET&rd={rd}", &*mallory.namespace),
            format!("/oauth2/sign_in?rd={rd}"),
            format!("/oauth2/sign_out?rd={rd}"),
        ] {
            for cookies in [&*cookie, ""] {
                let answer = ground.visit(WIKI, &path, cookies).await?;
                let to = answer.location().unwrap_or_default();
                let stays = to.is_empty()
                    || to.starts_with("https://auth.story.test/oauth2/")
                    || (to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\"));
                let page = &answer.body;
                ensure!(
                    stays && !page.contains(&format!("href=\"https://{OWN}")),
                    "{path}: {to}"
                );
                cases += 1;
            }
        }
    }
    // The name in the path chooses what is shown, never what is allowed, nor for whom a session is.
    for name in names {
        let path = format!("/oauth2/start/{name}/trap?m=GET&rd=%2Fa");
        let answer = ground.visit(WIKI, &path, "").await?;
        let to = answer.location().unwrap_or_default();
        ensure!(
            to.is_empty() || to.starts_with("https://auth.story.test/oauth2/start?request="),
            "{path}: {to}"
        );
        cases += 1;
    }
    cases += tickets(ground).await?;
    told::cases(
        "a_host_of_ones_own_lures_nobody_and_receives_nothing_for_another",
        cases,
    );
    victim.namespace.delete().await?;
    mallory.namespace.delete().await
}

/// The tenant's own request for a hand-off, given to somebody who is signed in at the auth host: the ticket is for the
/// tenant's host, and the wiki takes neither it nor anything that was made of it.
async fn tickets(ground: &Ground) -> Result<usize> {
    let auth = "auth.story.test";
    let own = ground.visit(OWN, "/oauth2/start?rd=%2F", "").await?;
    let request = own.location().context("no hand-off")?;
    let request = request
        .strip_prefix(&format!("https://{auth}"))
        .context("elsewhere")?;
    let of_victim = ground.session(auth, now())?;
    let handed = ground.visit(auth, request, &of_victim).await?;
    let to = handed.location().context("no ticket")?;
    let finish = to
        .strip_prefix(&format!("https://{OWN}"))
        .context("a ticket for another host")?;
    let mut cases = 1;
    for (host, cookies) in [
        (WIKI, ""),
        (WIKI, &*own.cookies()),
        (auth, ""),
        (auth, &*of_victim),
        (OWN, ""),
    ] {
        let answer = ground.visit(host, finish, cookies).await?;
        ensure!(
            !answer.cookies().contains("__Host-vestibule="),
            "{host} takes the ticket: {}",
            answer.status
        );
        cases += 1;
    }
    // With the browser that asked it is a session of the tenant's own host, which the tenant sees anyway.
    let landed = ground.visit(OWN, finish, &own.cookies()).await?;
    for (host, target) in [
        (WIKI, "/"),
        (WIKI, "/oauth2/userinfo"),
        (auth, "/oauth2/userinfo"),
    ] {
        let answer = ground.visit(host, target, &landed.cookies()).await?;
        ensure!(
            answer.status != 200,
            "{host}{target} takes a session of {OWN}"
        );
        cases += 1;
    }
    Ok(cases)
}
