//! Vestibule as a client of identity providers: of a certified one, and of one that lies.

mod lying;

use std::{sync::Arc, time::Duration};

use crate::bench::{
    OidcProvider,
    oidc_provider::{RegisteredClient, Settings},
};
use futures::future::join_all;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};
use url::Url;
use vestibule::{
    clock::Clock,
    policy::Moment,
    provider::{
        AuthorizationRequest, Callback, Distrust, Metrics, Prompt, ProviderError, Providers,
        SignedIn,
    },
    published::{ClaimNames, Observation, ProviderKind, ProviderSettings, Secret},
};

use lying::{Answer, DISCOVERY, JWKS, Key, Lying, TOKEN, USERINFO, keys, tokens};

const NOW: u64 = 1_800_000_000;
const REDIRECT: &str = "https://wiki.corp.example/oauth2/callback/corp";
const STATE: &str = "state-1";
const NONCE: &str = "nonce-1";
const CODE: &str = "the-authorization-code";
const SECRET: &str = "s3cret/with:signs+and spaces";
const ACCESS_TOKEN: &str = "the-access-token";
// Verifier and challenge of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

struct Bench {
    providers: Providers,
    clock: Clock,
    registry: Registry,
    observations: mpsc::Receiver<Observation>,
}

impl Bench {
    fn new() -> Self {
        Self::at(Clock::manual(Moment(NOW)))
    }

    fn at(clock: Clock) -> Self {
        let mut registry = Registry::default();
        let (sender, observations) = mpsc::channel(100);
        let metrics = Metrics::register(&mut registry);
        Self {
            providers: Providers::new(clock.clone(), sender, metrics),
            clock,
            registry,
            observations,
        }
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn now(&self) -> u64 {
        self.clock.now().0
    }

    async fn url(&self, settings: &Arc<ProviderSettings>) -> Result<String, ProviderError> {
        self.providers.authorization_url(settings, &request()).await
    }

    async fn redeem(&self, settings: &Arc<ProviderSettings>) -> Result<SignedIn, ProviderError> {
        self.providers.redeem(settings, &callback()).await
    }

    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }
}

fn request() -> AuthorizationRequest<'static> {
    AuthorizationRequest {
        redirect_uri: REDIRECT,
        state: STATE,
        nonce: NONCE,
        pkce_verifier: VERIFIER,
        prompt: None,
        max_age: None,
        login_hint: None,
    }
}

fn callback() -> Callback<'static> {
    Callback {
        code: CODE,
        iss: None,
        redirect_uri: REDIRECT,
        nonce: NONCE,
        pkce_verifier: VERIFIER,
        max_age: None,
    }
}

fn settings(issuer: &str) -> ProviderSettings {
    ProviderSettings {
        name: "corp".into(),
        display_name: "Corp".into(),
        order: 0,
        kind: ProviderKind::Oidc {
            issuer: issuer.into(),
            insecure_http: true,
        },
        client_id: "vestibule".into(),
        client_secret: Some(Secret::new(SECRET.as_bytes())),
        scopes: vec!["email".into(), "openid".into(), "groups".into()],
        claims: ClaimNames::default(),
        trusts_unverified_email: false,
        max_session: None,
    }
}

/// Fails if an error tells what must not be in a log.
fn tells_nothing(error: &ProviderError) {
    for text in [error.to_string(), format!("{error:?}")] {
        for secret in [CODE, SECRET, VERIFIER, NONCE, ACCESS_TOKEN, "eyJ"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

fn parameter(url: &str, name: &str) -> Option<String> {
    let url = Url::parse(url).unwrap();
    let mut found = url.query_pairs().filter(|(one, _)| one == name);
    let value = found.next().map(|(_, value)| value.into_owned());
    assert!(found.next().is_none(), "{name} twice in {url}");
    value
}

async fn honest() -> (Bench, Key, Lying, Arc<ProviderSettings>) {
    let (bench, key) = (Bench::new(), Key::new("k1"));
    let lying = Lying::start(&key).await;
    lying.answers(TOKEN, tokens(&key.signs(&lying.claims(NOW))));
    let settings = Arc::new(settings(&lying.issuer()));
    (bench, key, lying, settings)
}

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

#[tokio::test]
async fn the_browser_is_sent_with_everything_that_ties_the_answer_to_it() {
    let (bench, _key, lying, settings) = honest().await;
    let mut metadata = lying.metadata();
    metadata["authorization_endpoint"] = json!(format!("{}/auth?tenant=corp", lying.issuer()));
    lying.answers(DISCOVERY, Answer::Json(metadata));
    let request = AuthorizationRequest {
        prompt: Some(Prompt::SelectAccount),
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
async fn a_hundred_people_at_once_are_one_discovery() {
    let (bench, _key, lying, settings) = honest().await;
    let all = join_all((0..100).map(|_| bench.redeem(&settings))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!((lying.count(DISCOVERY), lying.count(JWKS)), (1, 1));
    bench.pass(3599);
    bench.url(&settings).await.unwrap();
    assert_eq!(lying.count(DISCOVERY), 1);
    bench.pass(1);
    bench.url(&settings).await.unwrap();
    assert_eq!(lying.count(DISCOVERY), 2);
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
async fn an_answer_without_measure_is_given_up() {
    for path in [DISCOVERY, JWKS, TOKEN, USERINFO] {
        for answer in [Answer::Huge, Answer::Endless] {
            let (bench, _key, lying, settings) = honest().await;
            with_userinfo(&lying);
            lying.answers(path, answer);
            let started = Instant::now();
            let error = bench.redeem(&settings).await.unwrap_err();
            assert!(error.to_string().contains("larger than 1 MiB"), "{error}");
            assert!(started.elapsed() < Duration::from_secs(8));
            tells_nothing(&error);
        }
    }
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_waited_for_ten_seconds() {
    let waits = [DISCOVERY, JWKS, TOKEN, USERINFO].map(|path| async move {
        let (bench, _key, lying, settings) = honest().await;
        with_userinfo(&lying);
        lying.answers(path, Answer::Silent);
        let started = Instant::now();
        let error = bench.redeem(&settings).await.unwrap_err();
        let took = started.elapsed();
        assert!(
            took > Duration::from_secs(9) && took < Duration::from_secs(20),
            "{took:?}"
        );
        assert!(error.is_transient(), "{error}");
        tells_nothing(&error);
    });
    join_all(waits).await;
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

#[tokio::test]
async fn a_provider_that_is_down_is_found_when_it_comes_up_and_not_hammered_before() {
    let (mut bench, key) = (Bench::new(), Key::new("k1"));
    let lying = Lying::stopped(&key).await;
    let settings = Arc::new(settings(&lying.issuer()));
    let down = bench.url(&settings).await.unwrap_err();
    assert!(down.is_transient(), "{down}");
    assert!(down.to_string().contains("onnection refused"), "{down}");

    lying.listen().await;
    assert!(bench.url(&settings).await.is_err());
    assert_eq!(
        lying.count(DISCOVERY),
        0,
        "the pause after a failure was not kept"
    );
    bench.pass(1);
    bench.url(&settings).await.unwrap();
    let failures = |observation| match observation {
        Observation::Discovery { failure, .. } => failure.is_some(),
    };
    assert!(failures(bench.observations.try_recv().unwrap()));
    assert!(!failures(bench.observations.try_recv().unwrap()));

    // Ten minutes of an outage, with somebody who wants to sign in every second.
    let other = Arc::new(ProviderSettings {
        name: "other".into(),
        ..(*settings).clone()
    });
    lying.answers(DISCOVERY, Answer::Status(503, String::new()));
    let before = lying.count(DISCOVERY);
    for _ in 0..600 {
        assert!(bench.url(&other).await.unwrap_err().is_transient());
        // The one that was known stays known.
        bench.url(&settings).await.unwrap();
        bench.pass(1);
    }
    let attempts = lying.count(DISCOVERY) - before;
    assert!(
        (12..=30).contains(&attempts),
        "{attempts} attempts in ten minutes"
    );
}

#[tokio::test]
async fn a_new_key_is_found_by_its_id_and_unknown_ids_cool_down() {
    let (bench, old, lying, settings) = honest().await;
    bench.redeem(&settings).await.unwrap();
    let new = Key::new("k2");
    let signed_by =
        |key: &Key| lying.answers(TOKEN, tokens(&key.signs(&lying.claims(bench.now()))));
    bench.pass(10);
    lying.answers(JWKS, keys(&[&old, &new]));
    signed_by(&new);
    bench.redeem(&settings).await.unwrap();
    assert_eq!(lying.count(JWKS), 2);

    // Ids that nobody has, every second for a minute.
    let stranger = Key::new("k3");
    for _ in 0..60 {
        signed_by(&stranger);
        let error = bench.redeem(&settings).await.unwrap_err();
        let unknown = matches!(
            error,
            ProviderError::Untrusted {
                reason: Distrust::UnknownKey,
                ..
            }
        );
        assert!(unknown, "{error}");
        bench.pass(1);
    }
    let refreshes = lying.count(JWKS) - 2;
    assert!(
        (5..=6).contains(&refreshes),
        "{refreshes} refreshes in a minute"
    );

    // A provider that restarts with a new key under the old id.
    let restarted = Key::new("k1");
    bench.pass(10);
    lying.answers(JWKS, keys(&[&restarted]));
    signed_by(&restarted);
    bench.redeem(&settings).await.unwrap();
}

#[tokio::test]
async fn known_keys_count_while_newer_ones_cannot_be_had() {
    let (bench, key, lying, settings) = honest().await;
    bench.redeem(&settings).await.unwrap();
    for broken in [
        Answer::Status(503, String::new()),
        Answer::Status(404, String::new()),
        Answer::Json(json!({ "keys": [] })),
        Answer::Json(json!({ "keys": [{ "kty": "oct", "kid": "k1", "k": "c2VjcmV0" }] })),
        Answer::Json(json!([])),
    ] {
        lying.answers(JWKS, broken);
        bench.pass(3600);
        lying.answers(TOKEN, tokens(&key.signs(&lying.claims(bench.now()))));
        bench.redeem(&settings).await.unwrap();
    }
    assert_eq!(lying.count(JWKS), 6);
}

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
        (200, "<html>".into(), "is not a token response"),
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

fn with_userinfo(lying: &Lying) {
    let mut metadata = lying.metadata();
    metadata["userinfo_endpoint"] = json!(format!("{}{USERINFO}", lying.issuer()));
    lying.answers(DISCOVERY, Answer::Json(metadata));
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
