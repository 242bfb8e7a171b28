//! Vestibule as a client of identity providers: of a certified one, and of one that lies.

mod asking;
mod certified;
pub(crate) mod lying;
mod metadata;
mod outages;
mod trust;

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
        AuthorizationRequest, Callback, Distrust, Metrics, ProviderError, Providers, SignedIn,
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
        selects_account: false,
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

fn with_userinfo(lying: &Lying) {
    let mut metadata = lying.metadata();
    metadata["userinfo_endpoint"] = json!(format!("{}{USERINFO}", lying.issuer()));
    lying.answers(DISCOVERY, Answer::Json(metadata));
}
