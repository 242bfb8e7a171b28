//! Identity providers, met as an OAuth 2.0 client and OpenID Connect relying party: where to send a
//! person, and whether to believe what comes back.
//!
//! `Providers` is the whole of it to the rest of the product. Discovery documents and keys are fetched when a
//! sign-in needs them and kept; nothing a provider sends is believed before it is verified, and no
//! token, code or secret leaves this module.

mod error;
mod metrics;

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use crate::{
    clock::Clock,
    policy::Moment,
    published::{Observation, ProviderSettings},
};

pub use error::{Distrust, ProviderError};
pub use metrics::Metrics;

/// All identity providers, as this process knows them. Cheap to clone; clones share what was fetched.
#[derive(Clone, Debug)]
pub struct Providers {
    #[expect(dead_code, reason = "the flow comes with the next commit")]
    clock: Clock,
    #[expect(dead_code, reason = "the flow comes with the next commit")]
    observations: mpsc::Sender<Observation>,
    #[expect(dead_code, reason = "the flow comes with the next commit")]
    metrics: Metrics,
}

/// What is put to the provider through the browser (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'a> {
    /// Where the provider sends the browser back to; registered there byte for byte.
    pub redirect_uri: &'a str,
    /// Ties the callback to the browser that left.
    pub state: &'a str,
    /// Ties the ID token to this sign-in.
    pub nonce: &'a str,
    /// The verifier of RFC 7636, 43 to 128 characters; only its SHA-256 leaves.
    pub pkce_verifier: &'a str,
    /// What the provider shall ask although somebody is signed in there.
    pub prompt: Option<Prompt>,
    /// How old the sign-in at the provider may be.
    pub max_age: Option<Duration>,
    /// Whom the provider may expect.
    pub login_hint: Option<&'a str>,
}

/// `prompt` of an authorization request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Let the person choose another account.
    SelectAccount,
    /// Ask for the password again.
    Login,
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
        Self {
            clock,
            observations,
            metrics,
        }
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
        let _ = request;
        Err(ProviderError::Unreachable {
            provider: settings.name.clone(),
            reason: "not built yet".into(),
        })
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
        let _ = callback;
        Err(ProviderError::Unreachable {
            provider: settings.name.clone(),
            reason: "not built yet".into(),
        })
    }
}
