//! Where a provider's documents lead, and where nobody follows.

use super::*;

#[tokio::test]
async fn every_name_below_localhost_is_this_machine() {
    let (bench, _key, lying, settings) = honest().await;
    let issuer = lying.issuer().replace("127.0.0.1", "id.corp.localhost");
    let mut metadata = lying.metadata();
    metadata["issuer"] = json!(issuer);
    lying.answers(DISCOVERY, Answer::Json(metadata));
    let named = ProviderKind::Oidc {
        issuer: issuer.into(),
        insecure_http: true,
    };
    let settings = ProviderSettings {
        kind: named,
        ..(*settings).clone()
    };
    bench.url(&Arc::new(settings)).await.unwrap();
}

#[tokio::test]
async fn no_redirect_is_followed() {
    for path in [DISCOVERY, JWKS, TOKEN, USERINFO] {
        let (bench, key, lying, settings) = honest().await;
        let elsewhere = Lying::start(&key).await;
        with_userinfo(&lying);
        lying.answers(
            path,
            Answer::Redirect(format!("{}{path}", elsewhere.issuer())),
        );
        let error = bench.redeem(&settings).await.unwrap_err();
        assert!(
            matches!(error, ProviderError::Misconfigured { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("redirect"), "{error}");
        tells_nothing(&error);
        assert_eq!(elsewhere.count(path), 0);
    }
}

#[tokio::test]
async fn metadata_of_another_issuer_is_refused_with_both_names() {
    let (mut bench, _key, lying, settings) = honest().await;
    let mut metadata = lying.metadata();
    metadata["issuer"] = json!("https://evil.example");
    lying.answers(DISCOVERY, Answer::Json(metadata));
    let error = bench.url(&settings).await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Misconfigured { .. }),
        "{error}"
    );
    let text = error.to_string();
    assert!(
        text.contains("https://evil.example") && text.contains(&lying.issuer()),
        "{text}"
    );
    let observed = bench.observations.try_recv().unwrap();
    let told = Observation::Discovery {
        provider: "corp".into(),
        failure: Some(text.into()),
    };
    assert_eq!(observed, told);
}

#[tokio::test]
async fn plain_http_is_neither_fetched_nor_sent_to_without_the_switch() {
    let (bench, _key, lying, settings) = honest().await;
    let strict = Arc::new(ProviderSettings {
        kind: ProviderKind::Oidc {
            issuer: lying.issuer().into(),
            insecure_http: false,
        },
        ..(*settings).clone()
    });
    let error = bench.url(&strict).await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Misconfigured { .. }),
        "{error}"
    );
    assert_eq!(lying.count(DISCOVERY), 0);
    // What was learned with the switch on counts for nothing once it is off.
    bench.url(&settings).await.unwrap();
    bench.url(&strict).await.unwrap_err();
}
