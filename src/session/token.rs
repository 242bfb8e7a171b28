//! The session token: an identity, sealed for one host, small enough for a cookie.

use std::{borrow::Cow, fmt, sync::Arc};

use arc_swap::Guard;
use http::HeaderMap;

use super::{Jar, Keys, Names, Purpose, RandomBytes, layout, recent::Kept};
use crate::{
    policy::{Claim, HOSTED_DOMAIN, Host, Identity, Moment},
    published::UpstreamHeader,
};

/// An opened session; the identity borrows from it.
pub struct OpenSession(Source);

/// Where the identity is.
enum Source {
    /// In what was opened.
    Opened(Vec<u8>),
    /// Opened before.
    Kept(Guard<Option<Arc<Kept>>>),
}

/// What a host's rules and headers name: all that a session must keep if not everything fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedFacts {
    /// Groups.
    pub groups: Vec<Arc<str>>,
    /// Claims.
    pub claims: Vec<Arc<str>>,
}

/// Browsers keep 4096 octets of name, value and attributes (RFC 6265bis §5.6); nginx passes 8 KiB per line.
const LARGEST_TOKEN: usize = 3500;
/// With a hundred cookies of one name, only the first few are worth opening.
const MOST_TRIED: usize = 4;

// === impl OpenSession ===

impl OpenSession {
    /// The session of this host among a request's cookies: the first that opens.
    #[must_use]
    pub fn find(jar: Jar<'_>, names: Names, keys: &Keys, host: &str, now: Moment) -> Option<Self> {
        jar.named(names.session)
            .take(MOST_TRIED)
            .find_map(|value| Self::open(keys, host, value, now))
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Option<Cow<'_, Identity<'_>>> {
        match &self.0 {
            Source::Opened(plain) => layout::identity(plain).map(Cow::Owned),
            Source::Kept(kept) => kept.as_ref().map(|kept| Cow::Borrowed(kept.who())),
        }
    }

    /// What a service that wants these identity headers gets: as it was made before for this session, or as it is made
    /// now.
    pub fn identity_headers(
        &self,
        wanted: &Arc<[UpstreamHeader]>,
        make: impl Fn(&[UpstreamHeader]) -> HeaderMap,
    ) -> HeaderMap {
        match &self.0 {
            Source::Kept(kept) if let Some(kept) = kept.as_ref() => {
                kept.identity_headers(wanted, make)
            }
            _ => make(wanted),
        }
    }

    fn open(keys: &Keys, host: &str, sealed: &[u8], now: Moment) -> Option<Self> {
        let recent = keys.recent();
        let mark = recent.mark(sealed);
        if let Some(kept) = mark.and_then(|mark| recent.find(mark, host, sealed, now)) {
            return Some(Self(Source::Kept(kept)));
        }
        let opened = keys.unseal(Purpose::Session, host, sealed, now)?;
        if let Some(mark) = mark {
            recent.keep(mark, host, sealed, &opened);
        }
        Some(Self(Source::Opened(opened.plain)))
    }
}

// Who somebody is belongs in no log line that prints whatever it holds.
impl fmt::Debug for OpenSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpenSession")
    }
}

/// Seals a session for a host. Groups that do not fit are reduced to those that are named, and if even these
/// do not fit, left out; either way the session is marked. `None` if nothing small enough can be made.
#[must_use]
pub fn issue(
    who: &Identity<'_>,
    named: &NamedFacts,
    keys: &Keys,
    host: &Host,
    now: Moment,
    random: RandomBytes,
) -> Option<String> {
    let mut who = restrict(who.clone(), named);
    let seal = |who: &Identity<'_>| {
        let sealed = keys.seal_value(Purpose::Session, host.as_str(), who, now, random)?;
        (sealed.len() <= LARGEST_TOKEN).then_some(sealed)
    };
    if let Some(sealed) = seal(&who) {
        return Some(sealed);
    }
    who.groups_complete = false;
    who.groups
        .retain(|group| named.groups.iter().any(|name| **name == **group));
    if let Some(sealed) = seal(&who) {
        return Some(sealed);
    }
    who.groups.clear();
    who.claims.retain(|claim| claim.name == HOSTED_DOMAIN);
    seal(&who)
}

/// Keeps only the claims that are named, and the one that administrators limit providers by. Claims carry whatever a
/// provider sends; a session has no use for more.
#[must_use]
pub fn restrict<'a>(mut who: Identity<'a>, named: &NamedFacts) -> Identity<'a> {
    who.claims.retain(|claim: &Claim<'a>| {
        claim.name == HOSTED_DOMAIN || named.claims.iter().any(|name| **name == *claim.name)
    });
    who
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use http::{HeaderMap, HeaderValue, header::COOKIE};

    use super::*;
    use crate::{
        policy::{Scheme, example_identity},
        published::KeyRing,
        session::random,
    };

    const NOW: Moment = Moment(1_000_000);

    fn find(cookie: &str, keys: &Keys, host: &str) -> Option<OpenSession> {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_str(cookie).unwrap());
        OpenSession::find(Jar::of(&headers), Names::at(Scheme::Https), keys, host, NOW)
    }

    #[test]
    fn a_cookie_of_another_host_is_no_session() {
        let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
        let host = Host::parse("a.example").unwrap();
        let sealed = issue(
            &example_identity(),
            &NamedFacts::default(),
            &keys,
            &host,
            NOW,
            random,
        )
        .unwrap();
        let cookie = format!("__Host-vestibule={sealed}");
        assert_eq!(
            find(&cookie, &keys, "a.example").unwrap().identity(),
            Some(Cow::Owned(example_identity()))
        );
        assert!(find(&cookie, &keys, "b.example").is_none());
        assert!(find(&format!("vestibule-http={sealed}"), &keys, "a.example").is_none());
        let behind_junk = format!("__Host-vestibule=junk; {cookie}");
        assert!(find(&behind_junk, &keys, "a.example").is_some());
    }

    #[test]
    fn an_identity_is_read_without_copying_a_single_group() {
        let plain = postcard::to_allocvec(&Identity {
            groups: vec!["staff".into(), "admins".into()],
            claims: vec![Claim {
                name: "team".into(),
                values: vec!["x".into()],
            }],
            ..example_identity()
        });
        let session = OpenSession(Source::Opened(plain.unwrap()));
        let who = session.identity().unwrap();
        let texts = who.groups.iter().chain(&who.claims[0].values);
        assert_eq!(texts.clone().count(), 3);
        assert!(
            texts
                .into_iter()
                .all(|text| matches!(text, Cow::Borrowed(_)))
        );
    }

    #[test]
    fn groups_that_do_not_fit_are_reduced_to_those_that_rules_name_and_the_session_is_marked() {
        let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
        let host = Host::parse("a.example").unwrap();
        let mut who = example_identity();
        who.groups = (0..500)
            .map(|n| format!("group-number-{n}").into())
            .collect();
        who.claims = vec![
            Claim {
                name: "team".into(),
                values: vec!["x".into()],
            },
            Claim {
                name: "junk".into(),
                values: vec!["y".repeat(9000).into()],
            },
            Claim {
                name: HOSTED_DOMAIN.into(),
                values: vec!["corp.example".into()],
            },
        ];
        let named = NamedFacts {
            groups: vec!["group-number-7".into()],
            claims: vec!["team".into()],
        };
        let sealed = issue(&who, &named, &keys, &host, NOW, random).unwrap();
        assert!(sealed.len() <= LARGEST_TOKEN);
        let session = find(&format!("__Host-vestibule={sealed}"), &keys, "a.example").unwrap();
        let kept = session.identity().unwrap();
        assert_eq!(kept.groups, ["group-number-7"]);
        assert!(!kept.groups_complete);
        assert_eq!(kept.claim("team"), ["x"]);
        assert!(kept.claim("junk").is_empty());
        // What administrators limit providers by is kept without being named.
        assert_eq!(kept.claim(HOSTED_DOMAIN), ["corp.example"]);
    }

    #[test]
    fn an_identity_that_cannot_fit_is_no_session() {
        let keys = Keys::new(Arc::new(KeyRing::first(1, [1; 32])));
        let host = Host::parse("a.example").unwrap();
        let who = Identity {
            name: Some("n".repeat(5000).into()),
            ..example_identity()
        };
        assert_eq!(
            issue(&who, &NamedFacts::default(), &keys, &host, NOW, random),
            None
        );
    }
}
