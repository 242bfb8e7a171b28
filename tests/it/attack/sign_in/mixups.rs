//! Codes, states and attempts that do not belong together: of another tab, another browser, another host, another
//! time.

use anyhow::{Result, ensure};
use vestibule::{
    policy::{Host, Moment},
    session::{self, Attempt, AttemptPurpose, Landed, Names, Purpose, Secrets, State},
};

use crate::{
    attack::{
        serve::{CLIENT_SECRET, Honest, Outcome, Serve, Tab, now},
        told,
    },
    bench::{
        OidcProvider,
        oidc_provider::{RegisteredClient, Settings},
    },
    provider::lying::TOKEN,
};

/// Counts what was tried, and holds each to its outcome.
#[derive(Default)]
pub(super) struct Tried(pub(super) usize);

impl Tried {
    pub(super) fn refused(&mut self, what: &str, outcome: &Outcome) -> Result<()> {
        self.0 += 1;
        ensure!(outcome.is_refusal(), "{what}: {outcome:?}");
        Ok(())
    }
}

#[tokio::test]
async fn a_code_or_state_of_another_tab_browser_host_or_time_signs_nobody_in() -> Result<()> {
    let corp = Honest::start("k1").await;
    let (one, other) = ("corp.corp.test", "both.corp.test");
    let partner = Honest::start("k1").await;
    let serve = Serve::start(&[("corp", corp.issuer()), ("partner", partner.issuer())]).await?;
    let mut tried = Tried::default();

    // Two tabs of one browser, which sends the cookies of both. The provider forgets whose code is whose, and answers
    // with what the other tab's sign-in was about: the nonce does not fit.
    let (a, b) = (
        serve.leave(one, "corp", "/a").await?,
        serve.leave(one, "corp", "/b").await?,
    );
    let both = format!("{}; {}", a.cookies, b.cookies);
    let in_both = |tab: &Tab| Tab {
        cookies: both.clone(),
        ..tab.clone()
    };
    for (tab, answered) in [(&a, &b), (&b, &a)] {
        corp.is_honest_to(answered);
        tried.refused("the code of another tab", &serve.back(&in_both(tab)).await?)?;
    }
    // Each with its own code, they do not disturb each other, in whichever order.
    for (tab, page) in [(&b, "/b"), (&a, "/a")] {
        corp.is_honest_to(tab);
        let outcome = serve.back(&in_both(tab)).await?;
        ensure!(
            matches!(&outcome, Outcome::SignedIn(_, to) if to == page),
            "{outcome:?}"
        );
    }

    let tab = serve.leave(one, "corp", "/a").await?;
    let fresh = serve.leave(one, "corp", "/a").await?;
    corp.is_honest_to(&tab);
    let (name, value) = tab.cookies.split_once('=').unwrap_or_default();
    let (other_name, other_value) = fresh.cookies.split_once('=').unwrap_or_default();
    let codes_before = corp.lying.count(TOKEN);
    let flipped: String = value.chars().rev().collect();
    for (what, cookies) in [
        ("no attempt: another browser", String::new()),
        ("the attempt of another tab alone", fresh.cookies.clone()),
        (
            "another attempt under this one's name",
            format!("{name}={other_value}"),
        ),
        (
            "this attempt under another one's name",
            format!("{other_name}={value}"),
        ),
        (
            "two others under this one's name",
            format!("{name}={other_value}; {name}=x; {name}={value}"),
        ),
        ("cut", format!("{name}={}", &value[..value.len() - 4])),
        ("turned round", format!("{name}={flipped}")),
        ("empty", format!("{name}=")),
        (
            "in another case",
            format!("{}={value}", name.to_uppercase()),
        ),
        (
            "under the name for plain http",
            format!(
                "{}={value}",
                name.replace("__Host-vestibule", "vestibule-http")
            ),
        ),
        (
            "without the prefix",
            format!("{}={value}", name.replace("__Host-", "")),
        ),
        ("as a session", format!("__Host-vestibule={value}")),
        ("escaped", format!("{name}=%41{value}")),
        ("100 KB", format!("{name}={}", "A".repeat(100_000))),
    ] {
        let tab = Tab {
            cookies,
            ..tab.clone()
        };
        let target = format!("/oauth2/callback/corp?code=c&state={}", tab.state);
        let answer = serve.ask(one, &target, &tab.cookies).await;
        let outcome = match &answer {
            Ok(answer) if answer.status == 431 => Outcome::Page(431, "too large".into()),
            Ok(answer) => Outcome::of(answer)?,
            Err(_) => Outcome::Page(431, "the connection was closed".into()),
        };
        tried.refused(what, &outcome)?;
    }
    for (what, state) in [
        ("of another tab", fresh.state.clone()),
        (
            "its beginning, which names the cookie",
            tab.state[..15].to_owned(),
        ),
        ("cut", tab.state[..tab.state.len() - 1].to_owned()),
        ("longer", format!("{}A", tab.state)),
        ("in another case", tab.state.to_uppercase()),
        ("empty", String::new()),
        ("too long", "a".repeat(5000)),
        ("with a NUL", format!("{}%00", tab.state)),
        ("with a line break", format!("{}%0d%0a", tab.state)),
        ("not UTF-8", "%ff%fe".to_owned()),
        ("a name", "__Host-vestibule".to_owned()),
        ("a path", "../../etc".to_owned()),
        ("with a semicolon", format!("{};", tab.state)),
        ("beside a space", format!("%20{}", tab.state)),
    ] {
        let outcome = serve
            .back_with(&tab, &format!("code=c&state={state}"))
            .await?;
        tried.refused(&format!("the state {what}"), &outcome)?;
    }
    // The attempt's cookie, copied to another host of the same installation.
    let elsewhere = Tab {
        host: other.to_owned(),
        ..tab.clone()
    };
    tried.refused("on another host", &serve.back(&elsewhere).await?)?;
    ensure!(
        corp.lying.count(TOKEN) == codes_before,
        "a code left before its attempt was found"
    );

    // Lured: the victim's browser follows the attacker's callback, with attempts of its own.
    let victim = serve.leave(one, "corp", "/a").await?;
    let lured = Tab {
        cookies: victim.cookies.clone(),
        ..tab.clone()
    };
    tried.refused(
        "the attacker's callback in the victim's browser",
        &serve.back(&lured).await?,
    )?;

    // Old ones, and values that were sealed for something else: with the real keys, which no attacker has.
    let keys = serve.keys()?;
    let host = Host::parse(one).unwrap();
    let names = Names::at(vestibule::policy::Scheme::Https);
    let sealed = |begun_at: u64, purpose: AttemptPurpose, provider: &str| {
        let attempt = Attempt {
            state: State::new(Moment(begun_at), session::random),
            begun_at: Moment(begun_at),
            provider: provider.to_owned(),
            purpose,
            secrets: Secrets {
                nonce: "n".into(),
                pkce_verifier: "v".repeat(43),
            },
            max_age: None,
        };
        let (name, value) = attempt
            .seal(names, &keys, &host, Moment(now()), session::random)
            .unwrap();
        Tab {
            cookies: format!("{name}={value}"),
            state: attempt.state.as_str().to_owned(),
            nonce: "n".into(),
            ..tab.clone()
        }
    };
    let here = || AttemptPurpose::Here {
        return_to: "/a".into(),
    };
    let old = sealed(now() - 901, here(), "corp");
    corp.is_honest_to(&old);
    tried.refused("sixteen minutes old", &serve.back(&old).await?)?;
    let gone = sealed(now(), here(), "removed");
    tried.refused("of a provider that is gone", &serve.back(&gone).await?)?;
    let made = sealed(now() - 890, here(), "corp");
    corp.is_honest_to(&made);
    serve.back(&made).await?.session()?;
    corp.is_honest_to(&tab);
    for purpose in [
        Purpose::Session,
        Purpose::HandOffRequest,
        Purpose::HandOffTicket,
        Purpose::SignOut,
        Purpose::Landed,
    ] {
        let attempt = keys
            .open(Purpose::Attempt, one, value.as_bytes(), Moment(now()))
            .unwrap();
        let value = keys
            .seal(purpose, one, &attempt, Moment(now()), session::random)
            .unwrap();
        let tab = Tab {
            cookies: format!("{name}={value}"),
            ..tab.clone()
        };
        tried.refused(&format!("sealed as {purpose:?}"), &serve.back(&tab).await?)?;
    }
    let landed = Landed {
        at: Moment(now()),
        returns: 0,
    }
    .seal(&keys, &host, Moment(now()), session::random)
    .unwrap();
    let marked = Tab {
        cookies: format!("{name}={landed}"),
        ..tab.clone()
    };
    tried.refused("the mark of a sign-in", &serve.back(&marked).await?)?;

    // It counts once, and the browser is told to forget it, whatever came of it.
    corp.is_honest_to(&tab);
    let answer = serve
        .ask(
            one,
            &format!("/oauth2/callback/corp?code=c&state={}", tab.state),
            &tab.cookies,
        )
        .await?;
    let lines: Vec<_> = answer
        .headers
        .get_all("set-cookie")
        .iter()
        .filter_map(|line| line.to_str().ok())
        .collect();
    ensure!(
        lines
            .iter()
            .any(|line| line.starts_with(&format!("{name}=; ")) && line.contains("Max-Age=0")),
        "{lines:?}"
    );
    Outcome::of(&answer)?.session()?;
    told::cases(
        "a_code_or_state_of_another_tab_browser_host_or_time_signs_nobody_in",
        tried.0,
    );
    Ok(())
}

#[tokio::test]
async fn a_certified_provider_takes_no_code_with_the_verifier_of_another_tab() -> Result<()> {
    let host = "corp.corp.test";
    let redirect = format!("https://{host}/oauth2/callback/corp");
    let client = RegisteredClient::new("vestibule", CLIENT_SECRET, &[&redirect]);
    let provider = OidcProvider::start(Settings::new(client)).await?;
    let serve = Serve::start(&[("corp", provider.issuer())]).await?;
    let mut tried = Tried::default();
    let leave = async |target: &str| -> Result<(Tab, String)> {
        let start = format!("/oauth2/start?rd={target}");
        let answer = crate::bench::Visitor::get(serve.endpoint, host, &start)
            .navigating()
            .send()
            .await?;
        let authorization = answer.location().unwrap_or_default().to_owned();
        let back = provider.sign_in(&authorization, "ann").await?;
        let url = url::Url::parse(&back)?;
        let state = url.query_pairs().find(|(name, _)| name == "state");
        let tab = Tab {
            host: host.to_owned(),
            provider: "corp".to_owned(),
            cookies: answer.cookies(),
            state: state
                .map(|(_, value)| value.into_owned())
                .unwrap_or_default(),
            nonce: String::new(),
        };
        Ok((tab, url.query().unwrap_or_default().to_owned()))
    };
    let ((a, to_a), (b, to_b)) = (leave("/a").await?, leave("/b").await?);
    let both = format!("{}; {}", a.cookies, b.cookies);
    let swapped = |query: &str, from: &Tab, to: &Tab| query.replace(&from.state, &to.state);
    for (tab, query) in [(&a, swapped(&to_b, &b, &a)), (&b, swapped(&to_a, &a, &b))] {
        let tab = Tab {
            cookies: both.clone(),
            ..tab.clone()
        };
        tried.refused(
            "the code of another tab",
            &serve.back_with(&tab, &query).await?,
        )?;
    }
    let (tab, query) = leave("/a").await?;
    let session = serve.back_with(&tab, &query).await?;
    ensure!(
        serve.enters(host, session.session()?).await?,
        "ann signs in"
    );
    tried.refused("the code again", &serve.back_with(&tab, &query).await?)?;
    told::cases(
        "a_certified_provider_takes_no_code_with_the_verifier_of_another_tab",
        tried.0,
    );
    Ok(())
}
