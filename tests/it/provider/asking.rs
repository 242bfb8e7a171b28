//! What is sent to a provider: through the browser and directly.

use super::*;

#[tokio::test]
async fn the_browser_is_sent_with_everything_that_ties_the_answer_to_it() {
    let (bench, _key, lying, settings) = honest().await;
    let mut metadata = lying.metadata();
    metadata["authorization_endpoint"] = json!(format!("{}/auth?tenant=corp", lying.issuer()));
    lying.answers(DISCOVERY, Answer::Json(metadata));
    let request = AuthorizationRequest {
        selects_account: true,
        max_age: Some(Duration::from_secs(90)),
        login_hint: Some("ann@corp.example"),
        ..request()
    };
    let url = bench
        .providers
        .authorization_url(&settings, &request)
        .await
        .unwrap();
    assert!(url.starts_with(&format!("{}/auth?", lying.issuer())));
    for (name, value) in [
        ("tenant", "corp"),
        ("response_type", "code"),
        ("client_id", "vestibule"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid email groups"),
        ("state", STATE),
        ("nonce", NONCE),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("prompt", "select_account"),
        ("max_age", "90"),
        ("login_hint", "ann@corp.example"),
    ] {
        assert_eq!(parameter(&url, name).as_deref(), Some(value), "{url}");
    }
    assert!(!url.contains(VERIFIER));
    let plain = bench.url(&settings).await.unwrap();
    for name in ["prompt", "max_age", "login_hint", "hd"] {
        assert_eq!(parameter(&plain, name), None);
    }
}

#[tokio::test]
async fn the_code_goes_to_the_token_endpoint_with_the_secret_and_the_verifier() {
    let (bench, _key, lying, settings) = honest().await;
    let ann = bench.redeem(&settings).await.unwrap();
    assert_eq!(ann.email.as_deref(), Some("ann@corp.example"));
    let sent = &lying.seen(TOKEN)[0];
    let form = format!("http://form.test/?{}", sent.body);
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", CODE),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ] {
        assert_eq!(parameter(&form, name).as_deref(), Some(value));
    }
    assert_eq!(parameter(&form, "client_secret"), None);
    // RFC 6749 §2.3.1: form-encoded, then base64.
    let expected = "Basic dmVzdGlidWxlOnMzY3JldCUyRndpdGglM0FzaWducyUyQmFuZCtzcGFjZXM=";
    assert_eq!(sent.headers["authorization"], expected);
    assert!(
        sent.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("vestibule/")
    );

    let mut metadata = lying.metadata();
    metadata["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
    lying.answers(DISCOVERY, Answer::Json(metadata));
    bench.pass(3600);
    lying.answers(
        TOKEN,
        Answer::Status(400, json!({"error": "invalid_grant"}).to_string()),
    );
    bench.redeem(&settings).await.unwrap_err();
    let sent = &lying.seen(TOKEN)[1];
    let form = format!("http://form.test/?{}", sent.body);
    assert_eq!(parameter(&form, "client_secret").as_deref(), Some(SECRET));
    assert!(!sent.headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_public_client_needs_a_provider_that_knows_s256() {
    let (bench, _key, lying, settings) = honest().await;
    let public = Arc::new(ProviderSettings {
        client_secret: None,
        ..(*settings).clone()
    });
    bench.redeem(&public).await.unwrap();
    let sent = &lying.seen(TOKEN)[0];
    assert!(
        sent.body.contains("client_id=vestibule") && !sent.headers.contains_key("authorization")
    );

    let mut metadata = lying.metadata();
    metadata["code_challenge_methods_supported"] = json!(["plain"]);
    lying.answers(DISCOVERY, Answer::Json(metadata));
    bench.pass(3600);
    let error = bench.url(&public).await.unwrap_err();
    assert!(error.to_string().contains("S256"), "{error}");
    bench.url(&settings).await.unwrap();
}

#[tokio::test]
async fn a_change_of_settings_counts_at_once() {
    let (bench, key, lying, settings) = honest().await;
    bench.redeem(&settings).await.unwrap();
    let changed = Arc::new(ProviderSettings {
        client_id: "another".into(),
        client_secret: Some(Secret::new(b"new")),
        ..(*settings).clone()
    });
    let url = bench.url(&changed).await.unwrap();
    assert_eq!(parameter(&url, "client_id").as_deref(), Some("another"));
    bench.redeem(&changed).await.unwrap_err();
    assert_eq!(
        lying.seen(TOKEN)[1].headers["authorization"],
        "Basic YW5vdGhlcjpuZXc="
    );
    assert_eq!(lying.count(DISCOVERY), 1);

    // Another issuer under the same name: the old one's keys vouch for nothing there.
    let moved = Lying::start(&Key::new("k1")).await;
    let claims = moved.claims(NOW);
    moved.answers(TOKEN, tokens(&key.signs(&claims)));
    let settings = Arc::new(ProviderSettings {
        kind: ProviderKind::Oidc {
            issuer: moved.issuer().into(),
            insecure_http: true,
        },
        ..(*settings).clone()
    });
    let error = bench.redeem(&settings).await.unwrap_err();
    assert!(matches!(
        error,
        ProviderError::Untrusted {
            reason: Distrust::Signature,
            ..
        }
    ));
}

#[tokio::test]
async fn requests_to_providers_are_counted_and_timed() {
    let (bench, _key, lying, settings) = honest().await;
    bench.redeem(&settings).await.unwrap();
    lying.answers(
        TOKEN,
        Answer::Status(400, json!({ "error": "invalid_grant" }).to_string()),
    );
    bench.redeem(&settings).await.unwrap_err();
    lying.answers(TOKEN, Answer::Status(503, String::new()));
    bench.redeem(&settings).await.unwrap_err();
    let text = bench.metrics();
    for line in [
        r#"provider_requests_total{provider="corp",operation="discovery",result="success"} 1"#,
        r#"provider_requests_total{provider="corp",operation="keys",result="success"} 1"#,
        r#"provider_requests_total{provider="corp",operation="token",result="success"} 1"#,
        r#"provider_requests_total{provider="corp",operation="token",result="refused"} 1"#,
        r#"provider_requests_total{provider="corp",operation="token",result="failed"} 1"#,
        r#"provider_request_duration_seconds_count{provider="corp",operation="token"} 3"#,
    ] {
        assert!(
            text.lines().any(|one| one == line),
            "{line}\nis not in\n{text}"
        );
    }
}
