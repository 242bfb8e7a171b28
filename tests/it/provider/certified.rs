//! A certified provider: panva's oidc-provider.

use super::*;

#[tokio::test]
async fn a_person_of_a_certified_provider_signs_in_although_userinfo_alone_tells_who_it_is() {
    let registered = RegisteredClient::new("vestibule", SECRET, &[REDIRECT]);
    let mut provider_settings = Settings::new(registered);
    provider_settings.configuration = json!({ "conformIdTokenClaims": true });
    let mut provider = OidcProvider::start(provider_settings).await.unwrap();
    let bench = Bench::at(Clock::manual(Clock::System.now()));
    let mut settings = settings(&provider.issuer());
    settings.scopes = ["email", "profile", "groups"].map(Arc::from).to_vec();
    let settings = Arc::new(settings);

    for round in 0..2 {
        let url = bench.url(&settings).await.unwrap();
        let back = provider.sign_in(&url, "ann").await.unwrap();
        assert_eq!(parameter(&back, "state").as_deref(), Some(STATE));
        let (code, iss) = (parameter(&back, "code").unwrap(), parameter(&back, "iss"));
        let callback = Callback {
            code: &code,
            iss: iss.as_deref(),
            ..callback()
        };
        let ann = bench.providers.redeem(&settings, &callback).await.unwrap();
        assert_eq!((&*ann.subject, ann.issuer), ("ann", provider.issuer()));
        assert_eq!(ann.email.as_deref(), Some("ann@corp.example"));
        assert!(ann.email_verified);
        assert_eq!(ann.name.as_deref(), Some("Ann Archer"));
        assert_eq!(ann.username.as_deref(), Some("ann"));
        assert_eq!(ann.groups, ["staff", "wiki-admins"]);
        // A code counts once.
        let again = bench.providers.redeem(&settings, &callback).await;
        let refused = matches!(&again, Err(ProviderError::Refused { code, .. }) if **code == *"invalid_grant");
        assert!(refused, "{again:?}");
        if round == 0 {
            // Between the rounds it goes away and comes back with other keys.
            provider.stop();
            let down = bench
                .providers
                .redeem(&settings, &callback)
                .await
                .unwrap_err();
            assert!(down.is_transient(), "{down}");
            provider.forget_keys().unwrap();
            provider.resume().await.unwrap();
            bench.pass(10);
        }
    }
}

#[tokio::test]
async fn a_wrong_secret_is_an_administrators_matter() {
    let registered = RegisteredClient::new("vestibule", "another secret", &[REDIRECT]);
    let provider = OidcProvider::start(Settings::new(registered))
        .await
        .unwrap();
    let bench = Bench::at(Clock::System);
    let settings = Arc::new(settings(&provider.issuer()));
    let url = bench.url(&settings).await.unwrap();
    let back = provider.sign_in(&url, "ann").await.unwrap();
    let (code, iss) = (parameter(&back, "code").unwrap(), parameter(&back, "iss"));
    let callback = Callback {
        code: &code,
        iss: iss.as_deref(),
        ..callback()
    };
    let error = bench
        .providers
        .redeem(&settings, &callback)
        .await
        .unwrap_err();
    assert!(matches!(error, ProviderError::Misconfigured { .. }));
    assert!(error.to_string().contains("invalid_client"), "{error}");
    assert!(!error.to_string().contains(&code));
    tells_nothing(&error);
}
