//! An identity provider as its administrator configured it, with its client secret.

use std::{fmt, sync::Arc, time::Duration};

/// Everything needed to send a person to a provider and to believe the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// The IdentityProvider's name; part of the callback path.
    pub name: Arc<str>,
    /// What people call it.
    pub display_name: Arc<str>,
    /// Its place in a chooser; smaller comes first, then by name.
    pub order: i32,
    /// The protocol and where it is spoken.
    pub kind: ProviderKind,
    /// `client_id` (RFC 6749 §2.2).
    pub client_id: Arc<str>,
    /// `client_secret` (RFC 6749 §2.3.1); `None` for a public client, which PKCE alone protects.
    pub client_secret: Option<Secret>,
    /// Scopes to ask for; `openid` is always among them.
    pub scopes: Vec<Arc<str>>,
    /// Which claims hold what.
    pub claims: ClaimNames,
    /// Whether addresses count although the provider does not say `email_verified: true`.
    pub trusts_unverified_email: bool,
    /// No session made from this provider lives longer.
    pub max_session: Option<Duration>,
}

/// The protocol, and what is special about the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenID Connect with discovery (OpenID Connect Discovery 1.0).
    Oidc {
        /// `iss`, and where `/.well-known/openid-configuration` is appended.
        issuer: Arc<str>,
        /// Plain http is let pass: for demonstrations and tests on loopback.
        insecure_http: bool,
    },
    /// Google: OpenID Connect at its own issuer; sends no groups.
    Google {
        /// The Workspace domains whose accounts may sign in (the `hd` claim); every account if empty.
        hosted_domains: Vec<Arc<str>>,
    },
}

/// Names of the claims to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimNames {
    /// The address; default `email`.
    pub email: Arc<str>,
    /// Whether the provider vouches for it; default `email_verified`.
    pub email_verified: Arc<str>,
    /// A name to show; default `name`.
    pub name: Arc<str>,
    /// A user name; default `preferred_username`.
    pub username: Arc<str>,
    /// Groups, a list of strings or one string; default `groups`.
    pub groups: Arc<str>,
}

/// Bytes that never appear in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

// === impl ProviderSettings ===

impl ProviderSettings {
    /// Where the provider is found; what `iss` must equal.
    #[must_use]
    pub fn issuer(&self) -> &str {
        match &self.kind {
            ProviderKind::Oidc { issuer, .. } => issuer,
            ProviderKind::Google { .. } => "https://accounts.google.com",
        }
    }

    /// A fingerprint (FNV-1a) of how its statements are read. Replicas of any version must come to the same: sessions
    /// carry it. Whom a provider is limited to is judged on every request and is no part of it.
    #[must_use]
    pub fn reading(&self) -> [u8; 4] {
        let kind = match &self.kind {
            ProviderKind::Oidc { .. } => "oidc",
            ProviderKind::Google { .. } => "google",
        };
        let trust = if self.trusts_unverified_email {
            "trusted"
        } else {
            "verified"
        };
        let ClaimNames {
            email,
            email_verified,
            name,
            username,
            groups,
        } = &self.claims;
        let claims = [email, email_verified, name, username, groups].map(|claim| &**claim);
        let texts = claims.into_iter().chain([kind, trust]);
        // A zero octet ends each.
        let octets = texts.flat_map(|text| text.bytes().chain([0]));
        let hash = octets.fold(0x811c_9dc5_u32, |hash, octet| {
            (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193)
        });
        hash.to_be_bytes()
    }
}

// === impl ClaimNames ===

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            email: "email".into(),
            email_verified: "email_verified".into(),
            name: "name".into(),
            username: "preferred_username".into(),
            groups: "groups".into(),
        }
    }
}

// === impl Secret ===

impl Secret {
    /// Wraps the bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes, for the one place that sends them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
