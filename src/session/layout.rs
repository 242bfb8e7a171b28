//! The octets of an identity in a session, read by hand.
//!
//! They are written by `postcard` (lengths and numbers as varints, one octet in front of what may be missing), which
//! reads them too, at three times the cost: it asks of each text by itself whether it is UTF-8. Here that is asked once
//! of all that lies together. A property test holds the two readers to the same answers.

use std::borrow::Cow;

use crate::policy::{Claim, Identity, Moment};

/// The identity in these octets; it borrows every text. Octets behind it count for nothing.
pub(super) fn identity(plain: &[u8]) -> Option<Identity<'_>> {
    let (session_id, rest) = plain.split_first_chunk()?;
    let mut input = Input::new(rest);
    Some(Identity {
        session_id: *session_id,
        provider: input.text()?,
        issuer: input.text()?,
        subject: input.text()?,
        email: input.perhaps(Input::text)?,
        email_verified: input.truth()?,
        name: input.perhaps(Input::text)?,
        username: input.perhaps(Input::text)?,
        groups: input.list(Input::text)?,
        groups_complete: input.truth()?,
        claims: input.list(|input| {
            Some(Claim {
                name: input.text()?,
                values: input.list(Input::text)?,
            })
        })?,
        authenticated_at: Moment(input.number()?),
        issued_at: Moment(input.number()?),
        ends_at: Moment(input.number()?),
        reading: input.reading()?,
    })
}

/// Three moments of our age and a fingerprint end a session; they are no text.
const NUMBERS: usize = 3 * 5 + 1 + 4;

/// What is still to be read. `None` from any of its methods: there is nothing like that here.
struct Input<'a> {
    octets: &'a [u8],
    /// The same, as far as it is UTF-8.
    readable: &'a str,
    at: usize,
}

// === impl Input ===

impl<'a> Input<'a> {
    fn new(octets: &'a [u8]) -> Self {
        let (texts, _) = octets.split_at(octets.len().saturating_sub(NUMBERS));
        let readable = std::str::from_utf8(texts).or_else(|e| {
            let readable = texts.get(..e.valid_up_to()).unwrap_or_default();
            std::str::from_utf8(readable)
        });
        Self {
            octets,
            readable: readable.unwrap_or_default(),
            at: 0,
        }
    }

    fn octet(&mut self) -> Option<u8> {
        let octet = self.octets.get(self.at)?;
        self.at = self.at.checked_add(1)?;
        Some(*octet)
    }

    /// Seven bits an octet, the lowest first; the tenth has room for one.
    fn number(&mut self) -> Option<u64> {
        let first = self.octet()?;
        let mut number = u64::from(first & 0x7f);
        if first < 0x80 {
            return Some(number);
        }
        for place in 1..10 {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f) << (7 * place);
            if octet < 0x80 {
                return (place < 9 || octet <= 1).then_some(number);
            }
        }
        None
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn truth(&mut self) -> Option<bool> {
        match self.octet()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        let length = self.length()?;
        let place = self.at..self.at.checked_add(length)?;
        self.at = place.end;
        // What is no readable text by itself either ends the session.
        let text = self.readable.get(place.clone());
        text.or_else(|| std::str::from_utf8(self.octets.get(place)?).ok())
            .map(Cow::Borrowed)
    }

    fn perhaps<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        Some(if self.truth()? {
            Some(read(self)?)
        } else {
            None
        })
    }

    /// Versions that did not say it ended in front of it.
    fn reading(&mut self) -> Option<Option<[u8; 4]>> {
        if self.at == self.octets.len() {
            return Some(None);
        }
        self.perhaps(|input| {
            let (_, rest) = input.octets.split_at_checked(input.at)?;
            let reading = rest.first_chunk()?;
            input.at = input.at.checked_add(reading.len())?;
            Some(*reading)
        })
    }

    fn list<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.length()?;
        // Each takes an octet or more, so a list that promises more than there is gets no room.
        let left = self.octets.len().saturating_sub(self.at);
        let mut list = Vec::with_capacity(Some(length).filter(|length| *length <= left)?);
        for _ in 0..length {
            list.push(read(self)?);
        }
        Some(list)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a version before sealed ends in front of the fingerprint.
    fn by_postcard(plain: &[u8]) -> Option<Identity<'static>> {
        let read = |octets: &[u8]| {
            let who: Identity<'_> = postcard::from_bytes(octets).ok()?;
            Some(who.into_static())
        };
        let of_before = || read(&[plain, &[0]].concat()).filter(|who| who.reading.is_none());
        read(plain).or_else(of_before)
    }

    fn text() -> impl Strategy<Value = Cow<'static, str>> {
        "\\PC{0,20}|[a-z]{120,140}".prop_map(Cow::Owned)
    }

    fn texts() -> impl Strategy<Value = Vec<Cow<'static, str>>> {
        proptest::collection::vec(text(), 0..6)
    }

    fn claim() -> impl Strategy<Value = Claim<'static>> {
        (text(), texts()).prop_map(|(name, values)| Claim { name, values })
    }

    fn anybody() -> impl Strategy<Value = Identity<'static>> {
        let maybe = || proptest::option::of(text());
        let texts = (text(), text(), text(), maybe(), maybe(), maybe(), texts());
        let claims = proptest::collection::vec(claim(), 0..3);
        let rest = (
            any::<[u8; 16]>(),
            any::<[bool; 2]>(),
            any::<[u64; 3]>(),
            any::<Option<[u8; 4]>>(),
        );
        (texts, claims, rest).prop_map(
            |(texts, claims, (session_id, [verified, complete], at, reading))| {
                let (provider, issuer, subject, email, name, username, groups) = texts;
                Identity {
                    session_id,
                    provider,
                    issuer,
                    subject,
                    email,
                    email_verified: verified,
                    name,
                    username,
                    groups,
                    groups_complete: complete,
                    claims,
                    authenticated_at: Moment(at[0]),
                    issued_at: Moment(at[1]),
                    ends_at: Moment(at[2]),
                    reading,
                }
            },
        )
    }

    #[test]
    fn a_list_that_promises_more_than_there_is_is_no_list() {
        let mut plain = postcard::to_allocvec(&crate::policy::example_identity()).unwrap();
        let end = plain.len();
        // Groups, complete or not, claims, three moments of three octets, no fingerprint.
        plain.splice(
            end - 13..end - 12,
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        );
        assert_eq!((identity(&plain), by_postcard(&plain)), (None, None));
    }

    proptest! {
        #[test]
        fn whoever_was_sealed_is_read_again(who in anybody()) {
            let plain = postcard::to_allocvec(&who).unwrap();
            prop_assert_eq!(identity(&plain), Some(who));
        }

        #[test]
        fn both_readers_answer_alike_whatever_was_changed(
            who in anybody(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..4),
            end in any::<proptest::sample::Index>(),
            cut in any::<bool>(),
        ) {
            let mut plain = postcard::to_allocvec(&who).unwrap();
            for (place, octet) in changes {
                let place = place.index(plain.len());
                plain[place] = octet;
            }
            if cut {
                plain.truncate(end.index(plain.len()));
            }
            prop_assert_eq!(identity(&plain), by_postcard(&plain));
        }

        #[test]
        fn both_readers_answer_alike_to_any_octets(plain in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(identity(&plain), by_postcard(&plain));
        }
    }
}
