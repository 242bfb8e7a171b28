//! Cookies that a page of a sibling subdomain sets for its neighbours, in a real browser.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use vestibule::{
    policy::{Host, Moment},
    session::{self, NamedFacts},
};

use super::{
    serve::{CLIENT_SECRET, Serve, now},
    told,
};
use crate::{
    bench::{
        Browser, Certificate, OidcProvider,
        browser::HostRule,
        oidc_provider::{RegisteredClient, Settings},
    },
    people,
};

const VICTIM: &str = "corp.corp.test";
const SIBLING: &str = "other.corp.test";

/// What the sibling's page can write into `document.cookie`; `VALUE` is a session or an attempt of the attacker's own at
/// the victim's host, and `NAME` its cookie.
const TOSSES: [&str; 12] = [
    "NAME=VALUE; Domain=corp.test; Path=/; Secure",
    "NAME=VALUE; Domain=corp.test; Path=/",
    "NAME=VALUE; Domain=corp.test; Path=/x; Secure",
    "NAME=VALUE; Domain=corp.corp.test; Path=/; Secure",
    "NAME=VALUE; Path=/; Secure",
    "NAME =VALUE; Domain=corp.test; Path=/; Secure",
    " NAME=VALUE; Domain=.corp.test; Path=/; Secure",
    "=NAME=VALUE; Domain=corp.test; Path=/; Secure",
    "NAME=VALUE; Domain=test; Path=/; Secure",
    "__HOST-vestibule=VALUE; Domain=corp.test; Path=/; Secure",
    "vestibule-http=VALUE; Domain=corp.test; Path=/",
    "x=y; NAME=VALUE; Domain=corp.test; Path=/; Secure",
];

async fn toss(browser: &Browser, line: &str) -> Result<()> {
    browser
        .goto(&format!("https://{SIBLING}/oauth2/nothing"))
        .await?;
    browser.shows("There is no such page").await?;
    browser
        .execute("document.cookie = arguments[0]", vec![json!(line)])
        .await?;
    Ok(())
}

#[tokio::test]
async fn no_cookie_of_a_sibling_subdomain_makes_a_visitor_somebody_else() -> Result<()> {
    let redirect = format!("https://{VICTIM}/oauth2/callback/corp");
    let client = RegisteredClient::new("vestibule", CLIENT_SECRET, &[&redirect]);
    let provider = OidcProvider::start(Settings::new(client)).await?;
    let certificate = Certificate::new(&[VICTIM, SIBLING])?;
    let providers = [
        ("corp", provider.issuer()),
        ("other", "http://127.0.0.1:9".to_owned()),
    ];
    let serve = Serve::open(&providers, Some(&certificate)).await?;
    let rule = HostRule {
        from: "*.corp.test:443".to_owned(),
        to: serve.door,
    };
    let browser = Browser::start(&[rule]).await?;

    // Bob may enter, and gives his own session to everybody.
    let host = Host::parse(VICTIM).context("a host")?;
    let bob = session::issue(
        &people::bob(provider.issuer(), Moment(now())),
        &NamedFacts::default(),
        &serve.keys()?,
        &host,
        Moment(now()),
        session::random,
    );
    let bob = bob.context("a session")?;
    let tosses = || {
        TOSSES.map(|line| {
            line.replace("NAME", "__Host-vestibule")
                .replace("VALUE", &bob)
        })
    };
    let page = format!("https://{VICTIM}/x");
    let mut tried = 0;
    for line in tosses() {
        toss(&browser, &line).await?;
        browser.goto(&page).await?;
        browser
            .shows("Test provider")
            .await
            .with_context(|| line.replace(&bob, "VALUE"))?;
        tried += 1;
    }
    ensure!(serve.service.seen().is_empty(), "a tossed session counted");

    // An attempt of the attacker's, and the callback that belongs to it: nobody is signed in as the attacker.
    let tab = serve_attempt(&serve, &provider).await?;
    let (name, value) = tab.0.split_once('=').context("an attempt")?;
    for line in TOSSES.iter().take(9) {
        toss(
            &browser,
            &line.replace("NAME", name).replace("VALUE", value),
        )
        .await?;
        browser.goto(&tab.1).await?;
        browser.shows("This sign-in cannot be finished").await?;
        tried += 1;
    }
    // It was good in the attacker's own browser.
    let query = tab
        .1
        .strip_prefix(&format!("https://{VICTIM}"))
        .context("the callback")?;
    let own = serve.ask(VICTIM, query, &tab.0).await?;
    ensure!(own.cookies().contains("__Host-vestibule="), "{}", own.body);

    // Somebody who is signed in stays who they are.
    browser.goto(&page).await?;
    browser.sign_in_at_provider("ann").await?;
    browser.shows("ann@corp.example").await?;
    for line in tosses() {
        toss(&browser, &line).await?;
        browser.goto(&page).await?;
        browser.shows("ann@corp.example").await?;
        tried += 1;
    }
    // A cookie without our prefix does arrive: it is the prefix that keeps the others away.
    toss(&browser, "tossed=yes; Domain=corp.test; Path=/; Secure").await?;
    browser.goto(&page).await?;
    browser.shows("tossed=yes").await?;
    let seen = serve.service.seen();
    let seen = seen.iter().filter(|seen| seen.target == "/x");
    let mut emails = seen.filter_map(|seen| seen.header("x-auth-request-email"));
    ensure!(
        emails.all(|email| email == "ann@corp.example"),
        "somebody else arrived"
    );
    told::cases(
        "no_cookie_of_a_sibling_subdomain_makes_a_visitor_somebody_else",
        tried,
    );
    Ok(())
}

/// The attacker's own sign-in, stopped before its end: the attempt's cookie, and where the provider sends them.
async fn serve_attempt(serve: &Serve, provider: &OidcProvider) -> Result<(String, String)> {
    let start =
        crate::bench::Visitor::get(serve.endpoint, VICTIM, "/oauth2/start?rd=%2Fx").navigating();
    let answer = start.send().await?;
    let authorization = answer.location().context("no way to the provider")?;
    Ok((
        answer.cookies(),
        provider.sign_in(authorization, "bob").await?,
    ))
}
