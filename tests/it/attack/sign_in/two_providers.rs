//! Two providers of one service: what one of them answers is of no use at the other.

use anyhow::{Result, ensure};
use serde_json::json;
use vestibule::{
    policy::{Host, Identity, Moment},
    session,
};

use super::mixups::Tried;
use crate::{
    attack::{
        serve::{Honest, Outcome, Serve, Tab, now},
        told,
    },
    people::bob,
    provider::lying::{Answer, DISCOVERY, TOKEN},
};

#[tokio::test]
async fn what_one_provider_answers_is_of_no_use_at_another() -> Result<()> {
    let (corp, evil) = (Honest::start("k1").await, Honest::start("k1").await);
    let serve = Serve::start(&[("corp", corp.issuer()), ("evil", evil.issuer())]).await?;
    let host = "both.corp.test";
    let mut tried = Tried::default();
    // RFC 9700 §4.4: the attacker's provider sends the browser on to the honest one, or back to its path; what comes
    // back names one attempt and another provider.
    for (begun_at, lands_at) in [("corp", "evil"), ("evil", "corp")] {
        let tab = serve.leave(host, begun_at, "/a").await?;
        corp.is_honest_to(&tab);
        evil.is_honest_to(&tab);
        let moved = Tab {
            provider: lands_at.to_owned(),
            ..tab.clone()
        };
        let issuer: String =
            url::form_urlencoded::byte_serialize(corp.issuer().as_bytes()).collect();
        let (seen_by_corp, seen_by_evil) = (corp.lying.count(TOKEN), evil.lying.count(TOKEN));
        for query in [
            format!("code=c&state={}", tab.state),
            format!("code=c&state={}&iss={issuer}", tab.state),
            format!("code=c&state={}&provider={begun_at}", tab.state),
        ] {
            let outcome = serve.back_with(&moved, &query).await?;
            tried.refused(
                &format!("begun at {begun_at}, landed at {lands_at}"),
                &outcome,
            )?;
        }
        for path in [
            "/oauth2/callback",
            "/oauth2/callback/",
            "/oauth2/callback/corp/evil",
            "/oauth2/callback/%63orp/",
            "/oauth2/callback/CORP",
            "/oauth2/callback/unknown",
        ] {
            let answer = serve
                .ask(
                    host,
                    &format!("{path}?code=c&state={}", tab.state),
                    &tab.cookies,
                )
                .await?;
            tried.refused(path, &Outcome::of(&answer)?)?;
        }
        ensure!(
            (corp.lying.count(TOKEN), evil.lying.count(TOKEN)) == (seen_by_corp, seen_by_evil),
            "a code went to somebody else's token endpoint"
        );
    }
    // `iss` (RFC 9207): one that is there is compared, octet by octet; none is missed where the metadata promises it.
    let issuer = corp.issuer();
    let mut with_iss = async |what: &str, query: &str| -> Result<()> {
        let tab = serve.leave(host, "corp", "/a").await?;
        corp.is_honest_to(&tab);
        let codes = corp.lying.count(TOKEN);
        let outcome = serve
            .back_with(&tab, &format!("code=c&state={}{query}", tab.state))
            .await?;
        tried.refused(what, &outcome)?;
        ensure!(
            corp.lying.count(TOKEN) == codes,
            "{what}: the code was sent off"
        );
        Ok(())
    };
    for iss in [
        evil.issuer(),
        format!("{issuer}/"),
        issuer.to_uppercase(),
        String::new(),
        issuer.replace("http:", "https:"),
        format!("{issuer}%20"),
        format!("{issuer}%00"),
        "null".to_owned(),
        "%ff".to_owned(),
    ] {
        with_iss(&format!("iss {iss}"), &format!("&iss={iss}")).await?;
    }
    with_iss("iss twice", &format!("&iss={issuer}&iss={}", evil.issuer())).await?;
    with_iss("iss twice", &format!("&iss={}&iss={issuer}", evil.issuer())).await?;

    // The attacker's provider signs what the honest one would have said, for this very sign-in.
    let tab = serve.leave(host, "evil", "/a").await?;
    for issuer in [corp.issuer(), evil.issuer()] {
        let mut claims = corp.claims(&tab);
        claims["iss"] = json!(issuer);
        corp.lying
            .answers(TOKEN, Answer::Status(500, String::new()));
        // Whatever evil says of `iss`, it says it with its own key; and what it says of itself makes a session of its
        // own, which a service of corp alone takes for none.
        evil.says(&evil.key.signs(&claims));
        match serve.back(&tab).await? {
            Outcome::SignedIn(session, _) => {
                ensure!(issuer == evil.issuer());
                tried.0 += 1;
                ensure!(serve.enters(host, &session).await?, "evil is allowed here");
                ensure!(
                    !serve.enters("corp.corp.test", &session).await?,
                    "and not there"
                );
            }
            page @ Outcome::Page(..) => tried.refused("evil speaks for corp", &page)?,
        }
    }
    // A session of this host by evil, at a service of the same person's other provider.
    let keys = serve.keys()?;
    let session = |provider: &str, issuer: String, host: &str| {
        let who = Identity {
            provider: provider.to_owned().into(),
            ..bob(issuer, Moment(now()))
        };
        let host = Host::parse(host).unwrap();
        let sealed = session::issue(
            &who,
            &session::NamedFacts::default(),
            &keys,
            &host,
            Moment(now()),
            session::random,
        );
        format!("__Host-vestibule={}", sealed.unwrap())
    };
    let at_corp = "corp.corp.test";
    ensure!(
        serve
            .enters(at_corp, &session("corp", corp.issuer(), at_corp))
            .await?,
        "an honest session"
    );
    for (provider, issuer) in [
        ("evil", evil.issuer()),
        ("evil", corp.issuer()),
        ("corp", evil.issuer()),
        ("Corp", corp.issuer()),
        ("", corp.issuer()),
    ] {
        tried.0 += 1;
        let let_in = serve
            .enters(at_corp, &session(provider, issuer, at_corp))
            .await?;
        ensure!(!let_in, "a session of {provider} let in");
    }
    // Promised, and missing: only now, since what was learned is kept for an hour.
    let promising = Honest::start("k1").await;
    let mut metadata = promising.lying.metadata();
    metadata["authorization_response_iss_parameter_supported"] = json!(true);
    promising.answers(DISCOVERY, Answer::Json(metadata));
    let serve = Serve::start(&[("corp", promising.issuer())]).await?;
    let tab = serve.leave(at_corp, "corp", "/a").await?;
    promising.is_honest_to(&tab);
    tried.refused("iss was promised", &serve.back(&tab).await?)?;
    ensure!(promising.lying.count(TOKEN) == 0, "the code was sent off");
    let there = serve
        .back_with(
            &tab,
            &format!("code=c&state={}&iss={}", tab.state, promising.issuer()),
        )
        .await?;
    there.session()?;
    told::cases("what_one_provider_answers_is_of_no_use_at_another", tried.0);
    Ok(())
}
