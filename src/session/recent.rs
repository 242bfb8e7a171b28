//! Sessions that were opened a moment ago. A page is dozens of requests with one cookie, and to open it, to read it
//! and to write the headers that say who it is takes more than all the rest that a check does.
//!
//! It never widens anything. [`Keys`](super::Keys) keep their own, so a ring that changes begins with nothing. A session
//! is found by its host and by the very octets that opened, while its key may open; whether it counts (its end,
//! revocation, policy) is judged each time. What did not open is not kept.
//!
//! Nothing locks and nothing grows: a session has one place, and gets it when it comes twice before another one of that
//! place does, so those who come once cost a look. The place is a keyed hash of the tag that a sealed value ends with:
//! nothing is compared with a cookie but what ends in its tag, so how long that takes tells nobody anything.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::{ArcSwapOption, Guard};
use http::HeaderMap;

use super::{layout, seal::Opened};
use crate::{
    policy::{Identity, Moment},
    published::UpstreamHeader,
};

/// The sessions of one key ring that were opened a moment ago, as far as there is room.
pub(super) struct Recent {
    hasher: RandomState,
    places: Box<[Place]>,
}

/// A session that is kept.
pub(super) struct Kept {
    mark: Mark,
    host: Box<str>,
    sealed: Box<[u8]>,
    retired_at: Option<Moment>,
    who: Identity<'static>,
    /// For the first service that asked, and all that want the same.
    identity_headers: OnceLock<(Arc<[UpstreamHeader]>, HeaderMap)>,
}

/// What a sealed value ends with, hashed: where it belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u64);

#[derive(Default)]
struct Place {
    came_last: AtomicU64,
    kept: ArcSwapOption<Kept>,
}

/// For the whole process. A session takes 2 to 3 kilobytes, all of them together 3 MB.
const PLACES: usize = 1024;
/// What is larger than most, in characters of the cookie, is opened each time.
const LONGEST: usize = 1024;
/// So is who has more groups and values of claims, each of which is an allocation.
const MOST_TEXTS: usize = 64;
/// As many characters as hold the tag, 16 octets in base64.
const TAG: usize = 22;

// === impl Recent ===

impl Recent {
    pub(super) fn new() -> Self {
        Self::with_places(PLACES)
    }

    fn with_places(places: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            places: (0..places).map(|_| Place::default()).collect(),
        }
    }

    /// `None` for what is not kept.
    pub(super) fn mark(&self, sealed: &[u8]) -> Option<Mark> {
        let tag = sealed.last_chunk::<TAG>()?;
        (sealed.len() <= LONGEST).then(|| Mark(self.hasher.hash_one(tag)))
    }

    /// The session that these octets were opened as on this host.
    pub(super) fn find(
        &self,
        mark: Mark,
        host: &str,
        sealed: &[u8],
        now: Moment,
    ) -> Option<Guard<Option<Arc<Kept>>>> {
        let found = self.place(mark)?.kept.load();
        let kept = found.as_ref()?;
        let is_it = kept.mark == mark && *kept.host == *host && *kept.sealed == *sealed;
        let may_open = kept.retired_at.is_none_or(|end| now < end);
        (is_it && may_open).then_some(found)
    }

    /// Keeps what these octets were opened as, if they were the last that came here, too.
    pub(super) fn keep(&self, mark: Mark, host: &str, sealed: &[u8], opened: &Opened) {
        let Some(place) = self.place(mark) else {
            return;
        };
        if place.came_last.swap(mark.0, Ordering::Relaxed) != mark.0 {
            return;
        }
        let who = layout::identity(&opened.plain).filter(|who| texts(who) <= MOST_TEXTS);
        let kept = who.map(|who| Kept {
            mark,
            host: host.into(),
            sealed: sealed.into(),
            retired_at: opened.retired_at,
            who: who.into_static(),
            identity_headers: OnceLock::new(),
        });
        if let Some(kept) = kept {
            place.kept.store(Some(Arc::new(kept)));
        }
    }

    fn place(&self, Mark(mark): Mark) -> Option<&Place> {
        let place = mark.checked_rem(u64::try_from(self.places.len()).ok()?)?;
        self.places.get(usize::try_from(place).ok()?)
    }
}

// === impl Kept ===

impl Kept {
    pub(super) fn who(&self) -> &Identity<'static> {
        &self.who
    }

    pub(super) fn identity_headers(
        &self,
        wanted: &Arc<[UpstreamHeader]>,
        make: impl Fn(&[UpstreamHeader]) -> HeaderMap,
    ) -> HeaderMap {
        let made = || (Arc::clone(wanted), make(wanted));
        match self.identity_headers.get_or_init(made) {
            (these, headers) if these == wanted => headers.clone(),
            _ => make(wanted),
        }
    }
}

fn texts(who: &Identity<'_>) -> usize {
    let claims = who.claims.iter().map(|claim| claim.values.len() + 1);
    who.groups.len() + claims.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        policy::example_identity,
        published::{HeaderSource, KeyRing},
        session::{Keys, Purpose, random},
    };

    const NOW: Moment = Moment(1000);
    const RETIRED_AT: Moment = Moment(2000);
    const HOSTS: [&str; 2] = ["a.example", "b.example"];

    /// Keys that are retired.
    fn keys() -> Keys {
        let ring = String::from_utf8(KeyRing::first(1, [1; 32]).to_stored()).unwrap();
        let retired = ring.replace("\"sealFrom\":0", "\"sealFrom\":0,\"retiredAt\":2000");
        Keys::new(Arc::new(KeyRing::parse(retired.as_bytes()).unwrap()))
    }

    fn sealed(who: &Identity<'_>, host: &str) -> Vec<u8> {
        let sealed = keys().seal_value(Purpose::Session, host, who, NOW, random);
        sealed.unwrap().into_bytes()
    }

    /// Opens it, and keeps it as a request would.
    fn come(recent: &Recent, host: &str, sealed: &[u8], now: Moment) -> Option<Identity<'static>> {
        let mark = recent.mark(sealed);
        if let Some(kept) = mark.and_then(|mark| recent.find(mark, host, sealed, now)) {
            return kept.as_ref().map(|kept| kept.who().clone());
        }
        let opened = keys().unseal(Purpose::Session, host, sealed, now)?;
        if let Some(mark) = mark {
            recent.keep(mark, host, sealed, &opened);
        }
        layout::identity(&opened.plain).map(Identity::into_static)
    }

    fn is_kept(recent: &Recent, host: &str, sealed: &[u8], now: Moment) -> bool {
        let mark = recent.mark(sealed);
        mark.is_some_and(|mark| recent.find(mark, host, sealed, now).is_some())
    }

    #[test]
    fn a_session_gets_its_place_when_it_comes_twice_before_another_one() {
        let recent = Recent::with_places(1);
        let [one, other] = [1, 2].map(|_| sealed(&example_identity(), "a.example"));
        let come = |sealed| come(&recent, "a.example", sealed, NOW);
        let kept = || [&one, &other].map(|sealed| is_kept(&recent, "a.example", sealed, NOW));
        for sealed in [&one, &other, &one, &other] {
            assert_eq!(come(sealed), Some(example_identity()));
            assert_eq!(kept(), [false, false]);
        }
        come(&other);
        assert_eq!(kept(), [false, true]);
        come(&one);
        assert_eq!(kept(), [false, true]);
        come(&one);
        assert_eq!(kept(), [true, false]);
    }

    #[test]
    fn what_is_kept_is_found_by_its_host_and_every_octet_and_while_its_key_may_open() {
        let recent = Recent::new();
        let one = sealed(&example_identity(), "a.example");
        come(&recent, "a.example", &one, NOW);
        come(&recent, "a.example", &one, NOW);
        assert!(is_kept(&recent, "a.example", &one, NOW));
        assert!(is_kept(
            &recent,
            "a.example",
            &one,
            Moment(RETIRED_AT.0 - 1)
        ));
        assert!(!is_kept(&recent, "a.example", &one, RETIRED_AT));
        assert!(!is_kept(&recent, "b.example", &one, NOW));
        assert!(!is_kept(&recent, "A.example", &one, NOW));
        for place in 0..one.len() {
            let mut other = one.clone();
            other[place] ^= 1;
            assert!(!is_kept(&recent, "a.example", &other, NOW), "octet {place}");
            assert!(!is_kept(&recent, "a.example", &one[place + 1..], NOW));
        }
    }

    #[test]
    fn whoever_takes_much_memory_is_not_kept() {
        let groups = |many: usize, length: usize| Identity {
            groups: (0..many).map(|_| "g".repeat(length).into()).collect(),
            ..example_identity()
        };
        for (who, expected) in [
            (groups(MOST_TEXTS, 1), true),
            (groups(MOST_TEXTS + 1, 1), false),
            (groups(1, 500), true),
            (groups(1, 1000), false),
        ] {
            let recent = Recent::new();
            let sealed = sealed(&who, "a.example");
            for _ in 0..3 {
                assert_eq!(come(&recent, "a.example", &sealed, NOW), Some(who.clone()));
            }
            assert_eq!(is_kept(&recent, "a.example", &sealed, NOW), expected);
        }
    }

    #[test]
    fn a_service_gets_the_headers_that_it_wants_whatever_another_one_got() {
        let wants = |name: &str| -> Arc<[UpstreamHeader]> {
            Arc::new([UpstreamHeader {
                name: name.into(),
                source: HeaderSource::Subject,
            }])
        };
        let make = |wanted: &[UpstreamHeader]| -> HeaderMap {
            let name = http::HeaderName::try_from(&*wanted[0].name).unwrap();
            HeaderMap::from_iter([(name, http::HeaderValue::from_static("ann"))])
        };
        let recent = Recent::new();
        let one = sealed(&example_identity(), "a.example");
        for _ in 0..2 {
            come(&recent, "a.example", &one, NOW);
        }
        let found = recent.find(recent.mark(&one).unwrap(), "a.example", &one, NOW);
        let guard = found.unwrap();
        let kept = guard.as_ref().unwrap();
        for name in ["x-user", "x-name", "x-user"] {
            let headers = kept.identity_headers(&wants(name), make);
            assert_eq!(headers.keys().collect::<Vec<_>>(), [name]);
        }
        let again = kept.identity_headers(&wants("x-user"), |_| unreachable!("they are made"));
        assert_eq!(again.len(), 1);
    }

    proptest! {
        /// Whatever came before: as it would be opened now.
        #[test]
        fn nothing_is_answered_but_what_opens(
            visits in proptest::collection::vec(
                (0..4_usize, 0..2_usize, 900..2100_u64, proptest::option::weighted(0.1, any::<(proptest::sample::Index, u8)>())),
                0..60,
            ),
        ) {
            let recent = Recent::with_places(2);
            let sealed = [0, 1, 2, 3].map(|n| {
                let who = Identity { subject: format!("person {n}").into(), ..example_identity() };
                sealed(&who, HOSTS[n % 2])
            });
            for (which, host, now, change) in visits {
                let mut value = sealed[which].clone();
                if let Some((place, by)) = change {
                    value[place.index(sealed[which].len())] ^= by;
                }
                let (host, now) = (HOSTS[host], Moment(now));
                let opened = keys().unseal(Purpose::Session, host, &value, now);
                let expected = opened.as_ref().and_then(|opened| layout::identity(&opened.plain));
                prop_assert_eq!(come(&recent, host, &value, now), expected);
            }
        }
    }
}
