//! Why a sign-in did not come about, sorted by who can do something about it. The texts are for logs and
//! hold no token, code or secret.

use std::sync::Arc;

/// A sign-in at a provider failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider does not answer, or answers that it cannot: try again in a while.
    #[error(
        "identity provider {provider} cannot be reached: {reason}. New sign-ins wait for it; sessions go on"
    )]
    Unreachable {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// What happened.
        reason: Arc<str>,
    },
    /// The provider and the IdentityProvider resource do not fit together: an administrator must act.
    #[error("identity provider {provider} is misconfigured: {reason}")]
    Misconfigured {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// What does not fit, and what to do.
        reason: Arc<str>,
    },
    /// The token endpoint did not accept the code: signing in again helps.
    #[error("identity provider {provider} refused the sign-in ({code}): {reason}")]
    Refused {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// `error` of RFC 6749 §5.2, such as `invalid_grant`.
        code: Arc<str>,
        /// The provider's own words, if it had any that may be shown.
        reason: Arc<str>,
    },
    /// What came back cannot be believed.
    #[error("the answer of identity provider {provider} is not to be trusted: {reason}")]
    Untrusted {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// Which check failed.
        reason: Distrust,
    },
    /// The person is who they say, but the provider's settings do not admit them.
    #[error("identity provider {provider} does not admit this account: {reason}")]
    NotAdmitted {
        /// The IdentityProvider.
        provider: Arc<str>,
        /// Which setting, and what the account has.
        reason: Arc<str>,
    },
}

/// The check that an answer failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// The callback's `iss` parameter names another issuer (RFC 9207): a mix-up.
    #[error("the callback came from another issuer")]
    CallbackIssuer,
    /// The provider promises an `iss` parameter and the callback has none.
    #[error("the callback lacks the iss parameter that the provider's metadata promises")]
    CallbackIssuerMissing,
    /// Not a signed token of the compact form.
    #[error("the ID token is malformed: {0}")]
    Malformed(&'static str),
    /// An algorithm that proves nothing here.
    #[error("the ID token is signed with {0}, which is not accepted")]
    Algorithm(Arc<str>),
    /// No key of the provider has the token's key id and fits its algorithm.
    #[error("no key of the provider fits the ID token's key id and algorithm")]
    UnknownKey,
    /// The signature is not the provider's.
    #[error("the ID token's signature does not verify")]
    Signature,
    /// `iss` is another one.
    #[error("the ID token's iss is not the provider's issuer")]
    Issuer,
    /// `aud` does not name this client.
    #[error("the ID token's aud does not hold the client id")]
    Audience,
    /// `azp` names another client, or is missing among several audiences.
    #[error("the ID token's azp is not the client id")]
    AuthorizedParty,
    /// `exp` has passed.
    #[error("the ID token has expired; compare this machine's clock with the provider's")]
    Expired,
    /// `nbf` or `iat` lies in the future.
    #[error("the ID token is from the future; compare this machine's clock with the provider's")]
    NotYetValid,
    /// `nonce` is not the one that was sent.
    #[error("the ID token's nonce is not that of this sign-in")]
    Nonce,
    /// `sub` is missing, too long, not printable ASCII, or has a space at an end.
    #[error(
        "the ID token's sub is not 1 to 255 printable ASCII characters without a space at either end"
    )]
    Subject,
    /// A fresh sign-in was asked for, and `auth_time` is missing or too old.
    #[error("a fresh sign-in was asked for, and the ID token's auth_time does not show one")]
    AuthenticationAge,
    /// UserInfo speaks of somebody else (OpenID Connect Core §5.3.2).
    #[error("the UserInfo answer has another sub than the ID token")]
    UserInfoSubject,
}

// === impl ProviderError ===

impl ProviderError {
    /// Whether waiting helps.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}
