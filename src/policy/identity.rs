//! Who an identity provider says somebody is, as sealed into a session. It borrows from the opened cookie:
//! the hot path copies nothing.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};

use super::Moment;

/// A signed-in person. Holds identity, never tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity<'a> {
    /// Names this session in audit lines and revocations; random.
    pub session_id: [u8; 16],
    /// The IdentityProvider (by name) that vouched.
    #[serde(borrow)]
    pub provider: Cow<'a, str>,
    /// `iss` of the ID token.
    #[serde(borrow)]
    pub issuer: Cow<'a, str>,
    /// `sub` of the ID token: unique and never reassigned within the issuer (OIDC Core §2).
    #[serde(borrow)]
    pub subject: Cow<'a, str>,
    /// The e-mail claim, byte for byte.
    #[serde(borrow)]
    pub email: Option<Cow<'a, str>>,
    /// Whether the provider vouches for `email`. An unverified address is shown, never compared.
    pub email_verified: bool,
    /// A name to show.
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    /// `preferred_username`: to show and to pass on, never to compare.
    #[serde(borrow)]
    pub username: Option<Cow<'a, str>>,
    /// Groups, whole or only those that a rule of the host named.
    #[serde(borrow, deserialize_with = "borrowed")]
    pub groups: Vec<Cow<'a, str>>,
    /// Whether `groups` holds all that the provider sent.
    pub groups_complete: bool,
    /// The claims that a rule or a header of the host names.
    #[serde(borrow)]
    pub claims: Vec<Claim<'a>>,
    /// When the person last proved who they are (`auth_time`, or the sign-in itself).
    pub authenticated_at: Moment,
    /// When this session began.
    pub issued_at: Moment,
    /// The absolute end. A policy can end it earlier, nothing can end it later.
    pub ends_at: Moment,
    /// How the provider's statements were read (`Terms::reading`); `None` in what versions sealed that did not say.
    pub reading: Option<[u8; 4]>,
}

/// A claim as text: a string stands alone, a list keeps its strings, numbers and booleans are written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim<'a> {
    /// The claim's name.
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    /// Its values.
    #[serde(borrow, deserialize_with = "borrowed")]
    pub values: Vec<Cow<'a, str>>,
}

// === impl Identity ===

impl Identity<'_> {
    /// The address that may be compared and passed on.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }

    /// What people call this account: address, else user name, else subject.
    #[must_use]
    pub fn label(&self) -> &str {
        self.email
            .as_deref()
            .or(self.username.as_deref())
            .unwrap_or(&self.subject)
    }

    /// The values of a claim; none if the session does not hold it.
    #[must_use]
    pub fn claim(&self, name: &str) -> &[Cow<'_, str>] {
        self.claims
            .iter()
            .find(|claim| claim.name == name)
            .map_or(&[], |claim| &claim.values)
    }

    /// The same, borrowing nothing.
    #[must_use]
    pub fn into_static(self) -> Identity<'static> {
        Identity {
            session_id: self.session_id,
            provider: owned(self.provider),
            issuer: owned(self.issuer),
            subject: owned(self.subject),
            email: self.email.map(owned),
            email_verified: self.email_verified,
            name: self.name.map(owned),
            username: self.username.map(owned),
            groups: self.groups.into_iter().map(owned).collect(),
            groups_complete: self.groups_complete,
            claims: self.claims.into_iter().map(Claim::into_static).collect(),
            authenticated_at: self.authenticated_at,
            issued_at: self.issued_at,
            ends_at: self.ends_at,
            reading: self.reading,
        }
    }
}

// === impl Claim ===

impl Claim<'_> {
    fn into_static(self) -> Claim<'static> {
        Claim {
            name: owned(self.name),
            values: self.values.into_iter().map(owned).collect(),
        }
    }
}

fn owned(text: Cow<'_, str>) -> Cow<'static, str> {
    Cow::Owned(text.into_owned())
}

/// A list that borrows each of its texts: serde borrows a `Cow` only where a field asks for it, and copies the
/// elements of a list.
fn borrowed<'de: 'a, 'a, D: Deserializer<'de>>(input: D) -> Result<Vec<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

    let texts = Vec::<Text<'a>>::deserialize(input)?;
    Ok(texts.into_iter().map(|Text(text)| text).collect())
}
