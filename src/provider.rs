//! Identity providers, met as an OAuth 2.0 client and OpenID Connect relying party: where to send a
//! person, and whether to believe what comes back.
//!
//! `Providers` is the whole of it to the rest of the product. Discovery documents and keys are fetched when a
//! sign-in needs them and kept; nothing a provider sends is believed before it is verified, and no
//! token, code or secret leaves this module.

mod cached;
mod claims;
mod discovery;
mod error;
mod http;
mod id_token;
mod issuer;
mod json;
mod keys;
mod limits;
mod metrics;
mod oidc;
mod resolver;
#[cfg(test)]
mod signer;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use serde_json::{Map, Value};
use tokio::sync::mpsc;

use self::{
    discovery::Metadata,
    http::Outgoing,
    id_token::{Expected, UnverifiedToken, VerifiedToken},
    issuer::Issuer,
};
use crate::{
    clock::Clock,
    policy::Moment,
    published::{Observation, ProviderKind, ProviderSettings},
};

pub use error::{Distrust, ProviderError};
#[cfg(fuzzing)]
pub use id_token::property as id_token_property;
pub use limits::Limits;
pub use metrics::Metrics;

/// All identity providers, as this process knows them. Cheap to clone; clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Providers(Arc<Known>);

#[derive(Debug)]
struct Known {
    clock: Clock,
    observations: mpsc::Sender<Observation>,
    metrics: Metrics,
    limits: Limits,
    client: reqwest::Client,
    /// By the name of the IdentityProvider, so that there are never more than its administrators made.
    issuers: Mutex<HashMap<Arc<str>, Arc<Issuer>>>,
}

/// What is put to the provider through the browser (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Where the provider sends the browser back to; registered there byte for byte.
    pub redirect_uri: &'a str,
    /// Ties the callback to the browser that left.
    pub state: &'a str,
    /// Ties the ID token to this sign-in.
    pub nonce: &'a str,
    /// The verifier of RFC 7636, 43 to 128 characters; only its SHA-256 leaves.
    pub pkce_verifier: &'a str,
    /// Whether the person may choose another account than the one that is signed in at the provider.
    pub selects_account: bool,
    /// How old the sign-in at the provider may be.
    pub max_age: Option<Duration>,
    /// Whom the provider may expect.
    pub login_hint: Option<&'a str>,
}

/// What came back with the browser, and what was remembered when it left.
#[derive(Clone, Copy)]
pub struct Callback<'a> {
    /// The authorization code.
    pub code: &'a str,
    /// The `iss` parameter (RFC 9207): checked if there is one, required where the provider promises it.
    pub iss: Option<&'a str>,
    /// As in the authorization request.
    pub redirect_uri: &'a str,
    /// As in the authorization request.
    pub nonce: &'a str,
    /// As in the authorization request.
    pub pkce_verifier: &'a str,
    /// As in the authorization request; `auth_time` is held to it.
    pub max_age: Option<Duration>,
}

/// A person the provider vouches for, now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// `iss` of the ID token.
    pub issuer: String,
    /// `sub` of the ID token: 1 to 255 printable ASCII characters.
    pub subject: String,
    /// The e-mail claim, byte for byte.
    pub email: Option<String>,
    /// Whether the provider vouches for `email`.
    pub email_verified: bool,
    /// A name to show.
    pub name: Option<String>,
    /// A user name to show.
    pub username: Option<String>,
    /// Groups, in the provider's order, each once.
    pub groups: Vec<String>,
    /// The other claims, as text. The e-mail claims are not among them, so that no rule compares an
    /// address that nobody verified.
    pub claims: Vec<(String, Vec<String>)>,
    /// `auth_time`: when the person last proved who they are.
    pub authenticated_at: Option<Moment>,
}

// === impl Providers ===

impl Providers {
    /// Knows no provider yet: each is discovered when the first person needs it.
    #[must_use]
    pub fn new(clock: Clock, observations: mpsc::Sender<Observation>, metrics: Metrics) -> Self {
        Self::within(Limits::default(), clock, observations, metrics)
    }

    /// The same with other limits.
    #[must_use]
    pub fn within(
        limits: Limits,
        clock: Clock,
        observations: mpsc::Sender<Observation>,
        metrics: Metrics,
    ) -> Self {
        // Both crates guess a provider from their features and panic if there are two; an error means that
        // one was installed before, by main or by another of us.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Self(Arc::new(Known {
            clock,
            observations,
            metrics,
            limits,
            client: http::client(limits),
            issuers: Mutex::default(),
        }))
    }

    /// Where to send the browser.
    ///
    /// # Errors
    /// If the provider's metadata can neither be fetched nor is known from before, or cannot be used.
    pub async fn authorization_url(
        &self,
        settings: &Arc<ProviderSettings>,
        request: &AuthorizationRequest<'_>,
    ) -> Result<String, ProviderError> {
        let metadata = self.issuer(settings).metadata().await?;
        oidc::authorization_url(&metadata, settings, request)
    }

    /// Redeems the code for an ID token and reads who signed in.
    ///
    /// # Errors
    /// If the provider does not answer, refuses the code, or sends what cannot be believed.
    pub async fn redeem(
        &self,
        settings: &Arc<ProviderSettings>,
        callback: &Callback<'_>,
    ) -> Result<SignedIn, ProviderError> {
        let issuer = self.issuer(settings);
        let metadata = issuer.metadata().await?;
        // Before the code leaves: it may be another provider's (RFC 9700 §4.4).
        match callback.iss {
            Some(iss) if iss == settings.issuer() => {}
            None if !metadata.sends_issuer => {}
            Some(_) => return Err(untrusted(settings, Distrust::CallbackIssuer)),
            None => return Err(untrusted(settings, Distrust::CallbackIssuerMissing)),
        }
        let redeemed = oidc::redeem(issuer.outgoing(), &metadata, settings, callback).await;
        self.observe_client(settings, redeemed.as_ref().err());
        let tokens = redeemed?;
        let token = self
            .verify(&issuer, &metadata, settings, callback, &tokens.id_token)
            .await?;
        let outgoing = issuer.outgoing();
        let userinfo = match (&settings.kind, &metadata.userinfo_endpoint) {
            // Google's ID token says all that Google says.
            (ProviderKind::Google { .. }, _) | (_, None) => Map::new(),
            (ProviderKind::Oidc { .. }, Some(url)) => {
                userinfo(outgoing, settings, url, &tokens.access_token, &token).await?
            }
        };
        claims::signed_in(settings, token, userinfo)
    }

    /// Fetches the discovery document, unless it is known from a moment ago.
    ///
    /// # Errors
    /// As `authorization_url`.
    pub async fn discover(&self, settings: &Arc<ProviderSettings>) -> Result<(), ProviderError> {
        self.issuer(settings).metadata().await.map(drop)
    }

    /// Whether the provider knows this client shows in what it makes of a code, made-up ones included.
    fn observe_client(&self, settings: &ProviderSettings, failure: Option<&ProviderError>) {
        let failure = match failure {
            None | Some(ProviderError::Refused { .. }) => None,
            Some(error @ ProviderError::Misconfigured { .. }) => Some(error.to_string().into()),
            Some(_) => return,
        };
        let provider = settings.name.clone();
        // Full: somebody else's news is still being read, and the next sign-in tells again.
        let observation = Observation::Client { provider, failure };
        let _ = self.0.observations.try_send(observation);
    }

    async fn verify(
        &self,
        issuer: &Issuer,
        metadata: &Metadata,
        settings: &ProviderSettings,
        callback: &Callback<'_>,
        id_token: &str,
    ) -> Result<VerifiedToken, ProviderError> {
        let token = UnverifiedToken::parse(id_token).map_err(|why| untrusted(settings, why))?;
        let expected = Expected {
            issuer: settings.issuer(),
            client_id: &settings.client_id,
            nonce: callback.nonce,
            max_age: callback.max_age,
            now: self.0.clock.now(),
        };
        let keys = issuer.keys(metadata).await?;
        let mut verified = token.verify(&keys, &expected);
        // A provider that restarts may have made new keys, under a new id or the old one.
        if matches!(verified, Err(Distrust::UnknownKey | Distrust::Signature)) {
            let keys = issuer.newer_keys(metadata).await?;
            verified = token.verify(&keys, &expected);
        }
        verified.map_err(|why| untrusted(settings, why))
    }

    fn issuer(&self, settings: &ProviderSettings) -> Arc<Issuer> {
        let plain_http = match &settings.kind {
            ProviderKind::Oidc { insecure_http, .. } => *insecure_http,
            ProviderKind::Google { .. } => false,
        };
        let mut issuers = self
            .0
            .issuers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = issuers.get(&settings.name)
            && known.is(settings.issuer(), plain_http)
        {
            return Arc::clone(known);
        }
        let outgoing = Outgoing::new(
            self.0.client.clone(),
            self.0.metrics.clone(),
            settings.name.clone(),
            plain_http,
            self.0.limits,
        );
        let observations = self.0.observations.clone();
        let issuer = Issuer::new(
            settings.issuer().into(),
            outgoing,
            observations,
            &self.0.clock,
        );
        let issuer = Arc::new(issuer);
        issuers.insert(settings.name.clone(), Arc::clone(&issuer));
        issuer
    }
}

/// The claims of UserInfo. A provider that answers but will not tell leaves us with the ID token, which
/// can only take rights away; one that does not answer must not, for the session would last.
async fn userinfo(
    outgoing: &Outgoing,
    settings: &ProviderSettings,
    url: &url::Url,
    access_token: &str,
    token: &VerifiedToken,
) -> Result<Map<String, Value>, ProviderError> {
    match outgoing.userinfo(url, access_token).await {
        Ok(claims) if claims.get("sub").and_then(Value::as_str) == Some(&token.subject) => {
            Ok(claims)
        }
        Ok(_) => Err(untrusted(settings, Distrust::UserInfoSubject)),
        Err(refusal) if refusal.is_refusal() => {
            let provider = &*settings.name;
            tracing::warn!(provider, error = %refusal, "going on with the claims of the ID token alone");
            Ok(Map::new())
        }
        Err(failure) => Err(failure.of(&settings.name)),
    }
}

fn untrusted(settings: &ProviderSettings, reason: Distrust) -> ProviderError {
    ProviderError::Untrusted {
        provider: settings.name.clone(),
        reason,
    }
}
