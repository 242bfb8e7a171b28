//! ID tokens that say something else, although the provider signed them.

use std::sync::Arc;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::attack::{
    serve::{Honest, Outcome, Serve, Tab, now},
    told,
};

/// Makes a token for the tab that asks.
pub(super) type Made = Box<dyn Fn(&Tab) -> String>;

/// What is wrong with a token, and the token.
pub(super) type Token = (String, Made);

/// Signs in with each of these tokens, which are made for the tab that asks: none may count. An honest one must,
/// before and after.
pub(super) async fn none_counts(
    test: &str,
    serve: &Serve,
    corp: &Honest,
    tokens: &[Token],
) -> Result<()> {
    let host = "corp.corp.test";
    for (lie, token) in tokens {
        let tab = serve.leave(host, "corp", "/a").await?;
        corp.says(&token(&tab));
        let outcome = serve.back(&tab).await?;
        let refused = matches!(&outcome, Outcome::Page(403, word) if word == "answer_untrusted");
        ensure!(refused, "{lie}: {outcome:?}");
    }
    let tab = serve.leave(host, "corp", "/a").await?;
    corp.is_honest_to(&tab);
    let honest = serve.back(&tab).await?;
    ensure!(
        serve.enters(host, honest.session()?).await?,
        "an honest one"
    );
    told::cases(test, tokens.len());
    Ok(())
}

#[tokio::test]
async fn an_id_token_that_says_something_else_signs_nobody_in() -> Result<()> {
    let corp = Arc::new(Honest::start("k1").await);
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let issuer = corp.issuer();
    let gone = json!("-");
    let mut lies: Vec<(&str, Value)> = vec![];
    let mut all = |name: &'static str, values: &[Value]| {
        lies.extend(values.iter().map(|value| (name, value.clone())));
    };
    all(
        "iss",
        &[
            gone.clone(),
            json!(null),
            json!(""),
            json!("https://evil.example"),
            json!(format!("{issuer}/")),
            json!(issuer.to_uppercase()),
            json!([issuer]),
            json!(issuer.replace("http://", "https://")),
            json!(format!("{issuer}.evil.example")),
            json!(format!(" {issuer}")),
        ],
    );
    all(
        "aud",
        &[
            gone.clone(),
            json!(null),
            json!(""),
            json!("another"),
            json!("vestibule2"),
            json!("Vestibule"),
            json!(["another"]),
            json!([]),
            json!({ "vestibule": true }),
            json!(["vestibule", 5]),
            json!("vestibule,another"),
            json!(["vestibule", "another"]),
            json!([["vestibule"]]),
            json!("*"),
        ],
    );
    all(
        "azp",
        &[
            json!("another"),
            json!(null),
            json!(["vestibule"]),
            json!(""),
            json!(true),
        ],
    );
    all(
        "exp",
        &[
            gone.clone(),
            json!(null),
            json!(0),
            json!(-1),
            json!(now() - 3600),
            json!(now() - 62),
            json!((now() + 300).to_string()),
            json!([now() + 300]),
            json!(-1e300),
        ],
    );
    all(
        "iat",
        &[
            gone.clone(),
            json!(null),
            json!(now() + 3600),
            json!(now().to_string()),
            json!(1e300),
        ],
    );
    all(
        "nbf",
        &[
            json!(null),
            json!(now() + 3600),
            json!(now() + 120),
            json!("now"),
            json!(1e300),
        ],
    );
    all("auth_time", &[json!(now() + 3600)]);
    all(
        "nonce",
        &[
            gone.clone(),
            json!(null),
            json!(""),
            json!("another"),
            json!([]),
            json!(0),
            json!("*"),
        ],
    );
    all(
        "sub",
        &[
            gone,
            json!(null),
            json!(""),
            json!(" "),
            json!("ann "),
            json!(" ann"),
            json!("a".repeat(256)),
            json!("änn"),
            json!("ann\r\nX-Auth-Request-User: root"),
            json!("ann\0"),
            json!("ann\t"),
            json!(24_400_320),
            json!(["ann"]),
            json!(true),
            json!({ "sub": "ann" }),
        ],
    );
    let mut tokens: Vec<Token> = vec![];
    for (name, value) in lies {
        let corp = corp.clone();
        tokens.push((
            format!("{name}: {value}").chars().take(80).collect(),
            Box::new(move |tab| {
                let mut claims = corp.claims(tab);
                if value == "-" {
                    claims.as_object_mut().unwrap().remove(name);
                } else {
                    claims[name] = value.clone();
                }
                corp.key.signs(&claims)
            }),
        ));
    }
    // The right nonce, but for one octet; the right one in a list; and other audiences with another party.
    let claims_of = |change: Box<dyn Fn(&mut Value)>| -> Made {
        let corp = corp.clone();
        Box::new(move |tab| {
            let mut claims = corp.claims(tab);
            change(&mut claims);
            corp.key.signs(&claims)
        })
    };
    tokens.push((
        "nonce in another case".into(),
        claims_of(Box::new(|claims| {
            let nonce = claims["nonce"].as_str().unwrap();
            let (upper, lower) = (nonce.to_uppercase(), nonce.to_lowercase());
            claims["nonce"] = json!(if upper == nonce { lower } else { upper });
        })),
    ));
    tokens.push((
        "nonce in a list".into(),
        claims_of(Box::new(|claims| {
            claims["nonce"] = json!([claims["nonce"].clone()]);
        })),
    ));
    tokens.push((
        "nonce cut".into(),
        claims_of(Box::new(|claims| {
            claims["nonce"] = json!(claims["nonce"].as_str().unwrap()[1..]);
        })),
    ));
    tokens.push((
        "another party among audiences".into(),
        claims_of(Box::new(|claims| {
            claims["aud"] = json!(["vestibule", "another"]);
            claims["azp"] = json!("another");
        })),
    ));
    none_counts(
        "an_id_token_that_says_something_else_signs_nobody_in",
        &serve,
        &corp,
        &tokens,
    )
    .await?;

    // Neither a secret nor a token in the log, whatever was told.
    let log = serve.process.printed();
    ensure!(
        log.contains("is not to be trusted"),
        "the log says why: {log}"
    );
    for secret in [
        "eyJ",
        crate::attack::serve::CLIENT_SECRET,
        "the-access-token",
    ] {
        ensure!(!log.contains(secret), "the log has {secret}");
    }
    Ok(())
}
