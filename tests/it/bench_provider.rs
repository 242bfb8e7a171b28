//! The OpenID provider of the bench signs people in, over plain HTTP and in a browser.

use crate::bench::{
    Browser, Echo, OidcProvider, Visitor,
    browser::HostRule,
    oidc_provider::{RegisteredClient, Settings},
};
use anyhow::{Context, Result};
use serde_json::Value;

const CALLBACK: &str = "http://wiki.test/oauth2/callback/corp";

/// An authorization request as a client makes it; the challenge is that of RFC 7636, appendix B.
fn authorization_request(provider: &OidcProvider) -> String {
    format!(
        "{}/auth?client_id=vestibule&response_type=code&scope=openid%20email%20profile%20groups\
         &redirect_uri=http%3A%2F%2Fwiki.test%2Foauth2%2Fcallback%2Fcorp&state=abc&nonce=def\
         &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
        provider.issuer()
    )
}

fn settings() -> Settings {
    Settings::new(RegisteredClient::new("vestibule", "secret", &[CALLBACK]))
}

async fn discovered(provider: &OidcProvider) -> Result<Value> {
    let host = provider.issuer().replace("http://", "");
    let target = "/.well-known/openid-configuration";
    let answer = Visitor::get(host.parse()?, &host, target).send().await?;
    Ok(serde_json::from_str(&answer.body)?)
}

#[tokio::test]
async fn a_person_is_sent_back_with_a_code_that_gives_an_id_token() -> Result<()> {
    let provider = OidcProvider::start(settings()).await?;
    let found = discovered(&provider).await?;
    assert_eq!(found["issuer"], provider.issuer());
    let back = provider
        .sign_in(&authorization_request(&provider), "ann")
        .await?;
    let code = back
        .strip_prefix(CALLBACK)
        .and_then(|rest| rest.strip_prefix("?code="));
    let code = code
        .and_then(|rest| rest.split('&').next())
        .with_context(|| back.clone())?;
    let body = format!(
        "grant_type=authorization_code&code={code}&redirect_uri=http%3A%2F%2Fwiki.test%2Foauth2%2Fcallback%2Fcorp\
         &code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let host = provider.issuer().replace("http://", "");
    let answer = Visitor::get(host.parse()?, &host, "/token")
        .method(http::Method::POST)
        .header("authorization", "Basic dmVzdGlidWxlOnNlY3JldA==")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-length", &body.len().to_string())
        .body(body)
        .send()
        .await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let tokens: Value = serde_json::from_str(&answer.body)?;
    let key = jsonwebtoken::DecodingKey::from_jwk(&first_key(&provider).await?)?;
    let mut checked = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
    checked.set_audience(&["vestibule"]);
    checked.set_issuer(&[provider.issuer()]);
    let token = tokens["id_token"].as_str().context("no ID token")?;
    let claims = jsonwebtoken::decode::<Value>(token, &key, &checked)?.claims;
    assert_eq!(claims["sub"], "ann");
    assert_eq!(claims["email"], "ann@corp.example");
    assert_eq!(claims["email_verified"], true);
    assert_eq!(
        claims["groups"],
        serde_json::json!(["staff", "wiki-admins"])
    );
    Ok(())
}

async fn first_key(provider: &OidcProvider) -> Result<jsonwebtoken::jwk::Jwk> {
    let host = provider.issuer().replace("http://", "");
    let answer = Visitor::get(host.parse()?, &host, "/jwks").send().await?;
    let set: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&answer.body)?;
    set.keys
        .into_iter()
        .next()
        .context("the provider has no keys")
}

#[tokio::test]
async fn it_can_be_down_and_come_back_with_its_keys_or_with_new_ones() -> Result<()> {
    let mut provider = OidcProvider::start(settings()).await?;
    let before = first_key(&provider).await?.common.key_id;
    provider.stop();
    assert!(discovered(&provider).await.is_err());
    provider.resume().await?;
    assert_eq!(first_key(&provider).await?.common.key_id, before);
    provider.forget_keys()?;
    provider.resume().await?;
    assert_ne!(first_key(&provider).await?.common.key_id, before);
    Ok(())
}

#[tokio::test]
async fn a_browser_signs_in_on_host_names_of_our_choice() -> Result<()> {
    let provider = OidcProvider::start(settings()).await?;
    let wiki = Echo::start().await?;
    let rule = HostRule {
        from: "wiki.test".into(),
        to: wiki.address(),
    };
    let browser = Browser::start(&[rule]).await?;
    browser.goto(authorization_request(&provider)).await?;
    browser.sign_in_at_provider("bob").await?;
    browser.shows("/oauth2/callback/corp").await?;
    assert!(
        browser
            .address()
            .await?
            .starts_with("http://wiki.test/oauth2/callback/corp?code=")
    );
    let seen = wiki.seen();
    assert_eq!(seen[0].header("host"), Some("wiki.test"));
    let file = browser.screenshot("bench-sign-in").await?;
    assert!(std::fs::metadata(file)?.len() > 1000);
    Ok(())
}

#[tokio::test]
async fn a_browser_reaches_nothing_that_was_not_mapped() -> Result<()> {
    let browser = Browser::start(&[]).await?;
    let error = browser
        .goto("http://example.com/")
        .await
        .expect_err("it must not resolve");
    assert!(
        error.to_string().contains("ERR_NAME_NOT_RESOLVED"),
        "{error}"
    );
    Ok(())
}
