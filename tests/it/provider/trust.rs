//! What a provider says, and how much of it is believed.

use super::*;

#[tokio::test]
async fn a_token_that_is_not_for_this_sign_in_is_not_believed() {
    let (bench, key, lying, settings) = honest().await;
    let with = |name: &str, value: Value| {
        let mut claims = lying.claims(NOW);
        claims[name] = value;
        key.signs(&claims)
    };
    for (token, why) in [
        (with("iss", json!("https://evil.example")), Distrust::Issuer),
        (with("aud", json!("another")), Distrust::Audience),
        (with("nonce", json!("of another sign-in")), Distrust::Nonce),
        (with("exp", json!(NOW - 61)), Distrust::Expired),
        (
            Key::new("k1").signs(&lying.claims(NOW)),
            Distrust::Signature,
        ),
        (
            Key::new("k9").signs(&lying.claims(NOW)),
            Distrust::UnknownKey,
        ),
    ] {
        lying.answers(TOKEN, tokens(&token));
        let error = bench.redeem(&settings).await.unwrap_err();
        tells_nothing(&error);
        let expected = ProviderError::Untrusted {
            provider: "corp".into(),
            reason: why,
        };
        assert_eq!(error, expected);
    }
    let asked = Callback {
        max_age: Some(Duration::from_secs(60)),
        ..callback()
    };
    lying.answers(TOKEN, tokens(&with("auth_time", json!(NOW - 500))));
    assert!(bench.redeem(&settings).await.is_ok());
    let stale = bench.providers.redeem(&settings, &asked).await.unwrap_err();
    assert!(stale.to_string().contains("auth_time"), "{stale}");
}

#[tokio::test]
async fn a_callback_of_another_issuer_costs_no_code() {
    let (bench, _key, lying, settings) = honest().await;
    let issuer = lying.issuer();
    let with = |iss| Callback { iss, ..callback() };
    let evil = bench
        .providers
        .redeem(&settings, &with(Some("https://evil.example")))
        .await;
    assert!(matches!(
        evil,
        Err(ProviderError::Untrusted {
            reason: Distrust::CallbackIssuer,
            ..
        })
    ));
    assert_eq!(lying.count(TOKEN), 0);
    assert!(
        bench
            .providers
            .redeem(&settings, &with(Some(&issuer)))
            .await
            .is_ok()
    );
    assert!(bench.providers.redeem(&settings, &with(None)).await.is_ok());

    let mut metadata = lying.metadata();
    metadata["authorization_response_iss_parameter_supported"] = json!(true);
    lying.answers(DISCOVERY, Answer::Json(metadata));
    bench.pass(3600);
    let missing = bench.providers.redeem(&settings, &with(None)).await;
    assert!(matches!(
        missing,
        Err(ProviderError::Untrusted {
            reason: Distrust::CallbackIssuerMissing,
            ..
        })
    ));
    assert_eq!(lying.count(TOKEN), 2);
}

#[tokio::test]
async fn a_refusal_names_its_code_and_repeats_no_secret() {
    let (bench, _key, lying, settings) = honest().await;
    let refusal = |error: &str, description: &str| {
        json!({ "error": error, "error_description": description }).to_string()
    };
    for (status, body, expected) in [
        (
            400,
            refusal("invalid_grant", "AADSTS70008: expired"),
            "refused the sign-in (invalid_grant): AADSTS70008",
        ),
        (
            400,
            refusal("invalid_grant", &format!("code {CODE} not found")),
            "no description that may be shown",
        ),
        (
            400,
            refusal("invalid_grant", &format!("verifier {VERIFIER}\r\nx")),
            "no description that may be shown",
        ),
        (400, refusal("bad\u{1b}[31m\r\ncode", ""), "(bad[31mcode)"),
        (
            401,
            refusal("invalid_client", &format!("{SECRET}?")),
            "refused this client (invalid_client)",
        ),
        (
            400,
            refusal("unauthorized_client", "no"),
            "refused this client (unauthorized_client): no",
        ),
        (
            400,
            refusal("temporarily_unavailable", "later"),
            "cannot be reached: later",
        ),
        (503, "<html>".into(), "answered 503"),
        (429, "{}".into(), "answered 429"),
        (404, "<html>".into(), "answered 404"),
        (
            200,
            "<html>".into(),
            "not a JSON object with each member once",
        ),
        (
            200,
            json!({ "access_token": "eyJhbGci" }).to_string(),
            "is not a token response",
        ),
        (
            200,
            json!({ "access_token": "eyJhbGci", "token_type": "Bearer" }).to_string(),
            "sent no id_token",
        ),
        (
            200,
            json!({ "access_token": "a", "token_type": "Bearer", "id_token": ["eyJhbGci"] })
                .to_string(),
            "is not a token response",
        ),
        (
            200,
            json!({ "access_token": "a", "token_type": "Bearer", "id_token": "eyJhbGci" })
                .to_string(),
            "malformed",
        ),
    ] {
        lying.answers(TOKEN, Answer::Status(status, body));
        let error = bench.redeem(&settings).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        tells_nothing(&error);
    }
    let newline = Arc::new(ProviderSettings {
        client_secret: Some(Secret::new(b"secret\n")),
        ..(*settings).clone()
    });
    lying.answers(TOKEN, Answer::Status(401, refusal("invalid_client", "no")));
    let error = bench.redeem(&newline).await.unwrap_err();
    assert!(
        error.to_string().contains("ends in a line break"),
        "{error}"
    );
}

#[tokio::test]
async fn userinfo_is_believed_about_the_same_person_only() {
    let (bench, _key, lying, settings) = honest().await;
    with_userinfo(&lying);
    lying.answers(
        USERINFO,
        Answer::Json(json!({ "sub": "ann", "groups": ["staff"], "email": "x@y.example" })),
    );
    let ann = bench.redeem(&settings).await.unwrap();
    assert_eq!(ann.groups, ["staff"]);
    assert_eq!(ann.email.as_deref(), Some("ann@corp.example"));
    let bearer = format!("Bearer {ACCESS_TOKEN}");
    assert_eq!(lying.seen(USERINFO)[0].headers["authorization"], bearer);

    for other in [
        json!({ "sub": "bob", "groups": ["admin"] }),
        json!({ "groups": ["admin"] }),
    ] {
        lying.answers(USERINFO, Answer::Json(other));
        let error = bench.redeem(&settings).await.unwrap_err();
        assert!(matches!(
            error,
            ProviderError::Untrusted {
                reason: Distrust::UserInfoSubject,
                ..
            }
        ));
    }
    // It will not tell: the ID token alone. It cannot tell: no session that would lack groups for hours.
    for refusal in [
        Answer::Status(403, String::new()),
        Answer::Status(200, "eyJhbGci".into()),
    ] {
        lying.answers(USERINFO, refusal);
        let ann = bench.redeem(&settings).await.unwrap();
        assert!(ann.groups.is_empty() && ann.email_verified);
    }
    lying.answers(USERINFO, Answer::Status(500, String::new()));
    assert!(bench.redeem(&settings).await.unwrap_err().is_transient());
}
