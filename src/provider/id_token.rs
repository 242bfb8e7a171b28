//! ID tokens: unverified ones give nothing away, verified ones have passed every check of OpenID Connect
//! Core §3.1.3.7 and RFC 8725. Pure: keys and time are arguments.

#[cfg(any(test, fuzzing))]
#[cfg_attr(
    test,
    expect(
        unreachable_pub,
        clippy::indexing_slicing,
        clippy::unwrap_used,
        reason = "a test of its own kind: the fuzz target calls it from outside"
    )
)]
pub mod property;

use std::time::Duration;

use aws_lc_rs::constant_time;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::{
    error::Distrust,
    json,
    keys::{KeySet, accepted},
};
use crate::policy::Moment;

/// How far two clocks may disagree.
const LEEWAY: Duration = Duration::from_secs(60);

/// A token that anybody could have written.
pub(super) struct UnverifiedToken<'a> {
    algorithm: Algorithm,
    key_id: Option<String>,
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

/// What a token must say to be the one that was asked for.
#[derive(Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// `max_age` of the authorization request.
    pub(super) max_age: Option<Duration>,
    pub(super) now: Moment,
}

/// What the provider says, for this client, in this sign-in, now.
#[derive(Debug)]
pub(super) struct VerifiedToken {
    pub(super) subject: String,
    pub(super) authenticated_at: Option<Moment>,
    /// All claims of the token, the protocol's own included.
    pub(super) claims: Map<String, Value>,
}

// === impl UnverifiedToken ===

impl<'a> UnverifiedToken<'a> {
    /// Takes a compact JWS apart. `jku`, `jwk`, `x5u` and `x5c` are never looked at: keys come from the
    /// provider's `jwks_uri` and from nowhere else.
    pub(super) fn parse(token: &'a str) -> Result<Self, Distrust> {
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or(Distrust::Malformed("it is not a compact JWS"))?;
        let (header, payload) = signed
            .split_once('.')
            .ok_or(Distrust::Malformed("it is not a compact JWS"))?;
        if payload.contains('.') {
            return Err(Distrust::Malformed(
                "it has more than three parts; encrypted ID tokens are not supported",
            ));
        }
        let header = decoded(header).ok_or(Distrust::Malformed("its header is not JSON"))?;
        let text = |name: &'static str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(Distrust::Malformed("a header member is not a string")),
        };
        let name = text("alg")?.ok_or(Distrust::Malformed("its header has no alg"))?;
        let algorithm = accepted(name)
            .ok_or_else(|| Distrust::Algorithm(name.chars().take(16).collect::<String>().into()))?;
        if header.contains_key("crit") {
            return Err(Distrust::Malformed("it has critical header extensions"));
        }
        // An access token or a logout token of the same provider is no ID token (RFC 8725 §3.11).
        if !text("typ")?.is_none_or(|typ| typ.eq_ignore_ascii_case("JWT")) {
            return Err(Distrust::Malformed("its typ is not JWT"));
        }
        Ok(Self {
            algorithm,
            key_id: text("kid")?.map(str::to_owned),
            signed,
            payload,
            signature,
        })
    }

    /// Believes the token if one of the keys signed it and it says what is expected.
    pub(super) fn verify(
        &self,
        keys: &KeySet,
        expected: &Expected<'_>,
    ) -> Result<VerifiedToken, Distrust> {
        let Self {
            algorithm,
            signed,
            signature,
            ..
        } = *self;
        keys.verify(self.key_id.as_deref(), algorithm, signed, signature)?;
        let claims = decoded(self.payload).ok_or(Distrust::Malformed(
            "its claims are not a JSON object with each member once",
        ))?;
        expected.check(claims)
    }
}

// === impl Expected ===

impl Expected<'_> {
    fn check(&self, claims: Map<String, Value>) -> Result<VerifiedToken, Distrust> {
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer) {
            return Err(Distrust::Issuer);
        }
        self.check_audience(&claims)?;
        self.check_times(&claims)?;
        let nonce = claims
            .get("nonce")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let same =
            constant_time::verify_slices_are_equal(nonce.as_bytes(), self.nonce.as_bytes()).is_ok();
        if nonce.is_empty() || !same {
            return Err(Distrust::Nonce);
        }
        let subject = claims
            .get("sub")
            .and_then(Value::as_str)
            .filter(|sub| (1..=255).contains(&sub.len()))
            .filter(|sub| sub.bytes().all(|octet| (0x20..0x7f).contains(&octet)))
            // Whoever reads it from a header takes the space away, and has somebody else's.
            .filter(|sub| sub.trim_ascii() == *sub)
            .ok_or(Distrust::Subject)?
            .to_owned();
        let authenticated_at = self.authentication(&claims)?;
        Ok(VerifiedToken {
            subject,
            authenticated_at,
            claims,
        })
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Distrust> {
        let several = match claims.get("aud") {
            Some(Value::String(only)) if only == self.client_id => false,
            Some(Value::Array(all))
                if all.iter().all(Value::is_string)
                    && all.iter().any(|one| one == self.client_id) =>
            {
                all.len() > 1
            }
            _ => return Err(Distrust::Audience),
        };
        match claims.get("azp") {
            None if several => Err(Distrust::AuthorizedParty),
            Some(party) if party != self.client_id => Err(Distrust::AuthorizedParty),
            _ => Ok(()),
        }
    }

    fn check_times(&self, claims: &Map<String, Value>) -> Result<(), Distrust> {
        let required = |name, otherwise| {
            let value = claims.get(name).and_then(moment);
            value.ok_or(Distrust::Malformed(otherwise))
        };
        let expires = required("exp", "exp is missing or not a time")?;
        if expires.after(LEEWAY) <= self.now {
            return Err(Distrust::Expired);
        }
        let latest = self.now.after(LEEWAY);
        if required("iat", "iat is missing or not a time")? > latest {
            return Err(Distrust::NotYetValid);
        }
        if claims.contains_key("nbf") && required("nbf", "nbf is not a time")? > latest {
            return Err(Distrust::NotYetValid);
        }
        Ok(())
    }

    fn authentication(&self, claims: &Map<String, Value>) -> Result<Option<Moment>, Distrust> {
        let at = claims.get("auth_time").and_then(moment);
        if at.is_some_and(|at| at > self.now.after(LEEWAY)) {
            return Err(Distrust::NotYetValid);
        }
        match (self.max_age, at) {
            (Some(_), None) => Err(Distrust::AuthenticationAge),
            (Some(max_age), Some(at)) if at.after(max_age).after(LEEWAY) < self.now => {
                Err(Distrust::AuthenticationAge)
            }
            _ => Ok(at),
        }
    }
}

fn decoded(part: &str) -> Option<Map<String, Value>> {
    json::object(&URL_SAFE_NO_PAD.decode(part).ok()?)
}

/// A NumericDate (RFC 7519 §2), which may have a fraction.
fn moment(value: &Value) -> Option<Moment> {
    let seconds = value.as_u64().or_else(|| {
        Duration::try_from_secs_f64(value.as_f64()?)
            .ok()
            .map(|span| span.as_secs())
    });
    seconds.map(Moment)
}

#[cfg(test)]
mod tests;
