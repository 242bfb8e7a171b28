//! A sign-in under way, kept by the browser.
//!
//! Each attempt has a cookie of its own, named by the attempt, so parallel tabs do not disturb each other; the
//! name begins with the time, so the oldest can be dropped without opening it and they never pile up.

use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{HandOffRequest, Jar, Keys, Names, Purpose as SealFor, RandomBytes};
use crate::policy::{Host, Moment};

/// `state` (RFC 6749 §10.12): the time in base 36 and 192 random bits. Its beginning names the cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State(String);

/// What must be remembered until the browser comes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The attempt itself.
    pub state: State,
    /// When it began.
    pub begun_at: Moment,
    /// The IdentityProvider that is asked.
    pub provider: String,
    /// Whom it serves.
    pub purpose: Purpose,
    /// `nonce` (OIDC Core §3.1.2.1) and `code_verifier` (RFC 7636 §4.1).
    pub secrets: Secrets,
    /// The age of authentication that was asked for, in seconds (`max_age`).
    pub max_age: Option<u64>,
}

/// What the provider's answer is checked against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets {
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves that whoever redeems the code began the attempt.
    pub pkce_verifier: String,
}

/// Whom a sign-in serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// A session on this very host, then this path.
    Here {
        /// A `ReturnTo`, checked once more before it is used.
        return_to: String,
    },
    /// A session on another host, which asked for it.
    Elsewhere(HandOffRequest),
}

/// The mark of a sign-in that has just ended well, to notice a browser that goes round in circles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    /// When it ended.
    pub at: Moment,
    /// How often the browser has come back since with a session that should have let it in.
    pub returns: u8,
}

/// People look for their second factor; ten minutes is long, an hour is an open door.
pub(super) const ATTEMPT_LIFE: Duration = Duration::from_secs(15 * 60);
/// So many attempts at once is more than one person does on purpose.
const MOST_ATTEMPTS: usize = 6;
/// So many are forgotten with one answer: nginx reads its whole head into 4 KiB. The rest go with the next ones.
const MOST_FORGOTTEN: usize = 8;

// === impl State ===

impl State {
    /// A new one.
    #[must_use]
    pub fn new(now: Moment, random: RandomBytes) -> Self {
        let mut bytes = [0; 24];
        random(&mut bytes);
        Self(format!("{}{}", stamp(now), URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// The parameter's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn cookie_name(names: Names, text: &str) -> Option<String> {
        let id = text.get(..STAMP + 8)?;
        let plain = id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        plain.then(|| format!("{}{id}", names.attempt))
    }
}

// === impl Attempt ===

impl Attempt {
    /// The cookie's name and its value, sealed for `host`.
    #[must_use]
    pub fn seal(
        &self,
        names: Names,
        keys: &Keys,
        host: &Host,
        now: Moment,
        random: RandomBytes,
    ) -> Option<(String, String)> {
        let name = State::cookie_name(names, self.state.as_str())?;
        Some((
            name,
            keys.seal_value(SealFor::Attempt, host.as_str(), self, now, random)?,
        ))
    }

    /// The attempt that `state` names, if this browser began it on this host and it is not too old; and the name
    /// of its cookie, which is to be deleted.
    #[must_use]
    pub fn find(
        jar: Jar<'_>,
        names: Names,
        keys: &Keys,
        host: &Host,
        state: &str,
        now: Moment,
    ) -> Option<(Self, String)> {
        let name = State::cookie_name(names, state)?;
        let attempt = jar.named(&name).take(2).find_map(|value| {
            keys.open_value::<Self>(SealFor::Attempt, host.as_str(), value, now)
        })?;
        let same = verify_slices_are_equal(attempt.state.0.as_bytes(), state.as_bytes()).is_ok();
        let in_time = attempt.begun_at.was_within(ATTEMPT_LIFE, now);
        (same && in_time).then_some((attempt, name))
    }

    /// How long its cookie lives.
    #[must_use]
    pub fn life() -> Duration {
        ATTEMPT_LIFE
    }

    /// The names of attempt cookies to delete so that one more does not make too many: the oldest.
    #[must_use]
    pub fn surplus(jar: Jar<'_>, names: Names) -> Vec<String> {
        let mut found: Vec<String> = jar
            .all()
            .filter(|(name, _)| name.starts_with(names.attempt.as_bytes()))
            .filter_map(|(name, _)| std::str::from_utf8(name).ok().map(str::to_owned))
            .take(100)
            .collect();
        found.sort();
        found.dedup();
        let keep = MOST_ATTEMPTS.saturating_sub(1);
        found.truncate(found.len().saturating_sub(keep).min(MOST_FORGOTTEN));
        found
    }
}

// === impl Landed ===

impl Landed {
    /// So long after a sign-in, coming back to sign in once more is suspicious.
    pub const WINDOW: Duration = Duration::from_secs(30);

    /// Seals it for `host`.
    #[must_use]
    pub fn seal(
        self,
        keys: &Keys,
        host: &Host,
        now: Moment,
        random: RandomBytes,
    ) -> Option<String> {
        keys.seal_value(SealFor::Landed, host.as_str(), &self, now, random)
    }

    /// The mark of this host, while it is fresh.
    #[must_use]
    pub fn find(jar: Jar<'_>, names: Names, keys: &Keys, host: &Host, now: Moment) -> Option<Self> {
        let value = jar.named(names.landed).next()?;
        let landed: Self = keys.open_value(SealFor::Landed, host.as_str(), value, now)?;
        landed.at.was_within(Self::WINDOW, now).then_some(landed)
    }
}

/// Octets of the time stamp: base 36 of seconds, good until the year 4453.
const STAMP: usize = 7;

fn stamp(now: Moment) -> String {
    let mut digits = Vec::with_capacity(STAMP);
    let mut rest = now.0;
    while digits.len() < STAMP {
        let digit = u8::try_from(rest % 36).unwrap_or_default();
        digits.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
        rest /= 36;
    }
    digits.iter().rev().map(|b| char::from(*b)).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::*;
    use crate::{policy::Scheme, published::KeyRing, session::random};

    const NOW: Moment = Moment(1_800_000_000);

    fn begun(now: Moment) -> Attempt {
        Attempt {
            state: State::new(now, random),
            begun_at: now,
            provider: "corp".into(),
            purpose: Purpose::Here {
                return_to: "/a".into(),
            },
            secrets: Secrets {
                nonce: "n".into(),
                pkce_verifier: "v".into(),
            },
            max_age: None,
        }
    }

    fn headers(cookies: &[(String, String)]) -> HeaderMap {
        let line: Vec<_> = cookies.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(&line.join("; ")).unwrap());
        headers
    }

    #[test]
    fn parallel_attempts_are_found_each_by_its_state_until_they_are_too_old() {
        let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
        let (names, host) = (Names::at(Scheme::Https), Host::parse("a.example").unwrap());
        let (one, two) = (begun(NOW), begun(NOW));
        let cookies: Vec<_> = [&one, &two]
            .map(|a| a.seal(names, &keys, &host, NOW, random).unwrap())
            .into();
        let headers = headers(&cookies);
        let find = |host: &Host, state: &str, now| {
            Attempt::find(Jar::of(&headers), names, &keys, host, state, now)
        };
        assert_eq!(find(&host, one.state.as_str(), NOW).unwrap().0, one);
        assert_eq!(find(&host, two.state.as_str(), NOW).unwrap().0, two);
        assert!(find(&Host::parse("b.example").unwrap(), one.state.as_str(), NOW).is_none());
        let mut forged = one.state.as_str().to_owned();
        forged.pop();
        forged.push('!');
        assert!(find(&host, &forged, NOW).is_none());
        assert!(find(&host, "", NOW).is_none());
        assert!(find(&host, one.state.as_str(), NOW.after(ATTEMPT_LIFE)).is_some());
        assert!(find(&host, one.state.as_str(), Moment(NOW.0 + 901)).is_none());
    }

    #[test]
    fn attempts_do_not_pile_up() {
        let names = Names::at(Scheme::Https);
        let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
        let host = Host::parse("a.example").unwrap();
        let cookies: Vec<_> = (0..10)
            .map(|n| {
                begun(Moment(NOW.0 + n))
                    .seal(names, &keys, &host, NOW, random)
                    .unwrap()
            })
            .collect();
        let surplus = Attempt::surplus(Jar::of(&headers(&cookies)), names);
        let oldest: Vec<_> = cookies
            .iter()
            .take(5)
            .map(|(name, _)| name.clone())
            .collect();
        assert_eq!(surplus, oldest);
        assert!(Attempt::surplus(Jar::of(&headers(&cookies[..5])), names).is_empty());
        let many: Vec<_> = (0..100)
            .map(|n| (format!("{}{n:03}", names.attempt), "x".to_owned()))
            .collect();
        assert_eq!(
            Attempt::surplus(Jar::of(&headers(&many)), names).len(),
            MOST_FORGOTTEN
        );
    }
}
