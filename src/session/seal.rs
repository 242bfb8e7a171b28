//! Sealing: authenticated encryption of what browsers carry.
//!
//! AES-256-GCM-SIV (RFC 8452), which forgives a repeated nonce, with a key derived by HKDF-SHA-256 for each
//! purpose; purpose and host are associated data. So a value opens only for what it was made for and on
//! the host it was made for. Form, before base64url: version (1 octet), key id (4), nonce (12),
//! ciphertext and tag (16).

use std::sync::Arc;

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf::{HKDF_SHA256, KeyType, Salt},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::{RandomBytes, recent::Recent};
use crate::{policy::Moment, published::KeyRing};

/// What a sealed value is for. A value of one purpose is noise for every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A session on one host.
    Session,
    /// A sign-in under way.
    Attempt,
    /// A protected host asks the auth host to sign somebody in.
    HandOffRequest,
    /// The auth host tells a protected host who signed in.
    HandOffTicket,
    /// A protected host tells the auth host that somebody signs out.
    SignOut,
    /// A sign-in has just ended well.
    Landed,
}

/// The key ring, ready for use.
pub struct Keys {
    keys: Vec<Derived>,
    ring: Arc<KeyRing>,
    recent: Recent,
}

/// What was opened, and until when it may be.
pub(super) struct Opened {
    pub(super) plain: Vec<u8>,
    /// When its key opens nothing any more.
    pub(super) retired_at: Option<Moment>,
}

struct Derived {
    id: u32,
    retired_at: Option<Moment>,
    by_purpose: [LessSafeKey; Purpose::ALL.len()],
}

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + NONCE_LEN;
const SALT: &[u8] = b"vestibule.dev/seal/v1";
/// Longer than any value we seal; what is longer is not decoded at all.
const LONGEST: usize = 16 * 1024;

// === impl Purpose ===

impl Purpose {
    const ALL: [Self; 6] = [
        Self::Session,
        Self::Attempt,
        Self::HandOffRequest,
        Self::HandOffTicket,
        Self::SignOut,
        Self::Landed,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Attempt => "attempt",
            Self::HandOffRequest => "hand-off-request",
            Self::HandOffTicket => "hand-off-ticket",
            Self::SignOut => "sign-out",
            Self::Landed => "landed",
        }
    }
}

// === impl Keys ===

impl Keys {
    /// Derives a key per purpose from each key of the ring.
    #[must_use]
    pub fn new(ring: Arc<KeyRing>) -> Self {
        let keys = ring.keys().map(|key| Derived {
            id: key.id,
            retired_at: key.retired_at,
            by_purpose: Purpose::ALL.map(|purpose| derive(key.secret(), purpose)),
        });
        Self {
            keys: keys.collect(),
            ring,
            recent: Recent::new(),
        }
    }

    /// Seals `plain` for `host`; `None` if the ring has no key that may seal now.
    #[must_use]
    pub fn seal(
        &self,
        purpose: Purpose,
        host: &str,
        plain: &[u8],
        now: Moment,
        random: RandomBytes,
    ) -> Option<String> {
        let id = self.ring.sealing(now)?.id;
        let (key, _) = self.key(id, purpose, now)?;
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let mut sealed = Vec::with_capacity(HEADER + plain.len() + 16);
        sealed.push(VERSION);
        sealed.extend_from_slice(&id.to_be_bytes());
        sealed.extend_from_slice(&nonce);
        let mut body = plain.to_vec();
        let aad = Aad::from(associated(purpose, host));
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body)
            .ok()?;
        sealed.extend_from_slice(&body);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Seals a value; `None` as above.
    #[must_use]
    pub fn seal_value(
        &self,
        purpose: Purpose,
        host: &str,
        value: &impl Serialize,
        now: Moment,
        random: RandomBytes,
    ) -> Option<String> {
        self.seal(
            purpose,
            host,
            &postcard::to_allocvec(value).ok()?,
            now,
            random,
        )
    }

    /// Opens a value that borrows nothing.
    #[must_use]
    pub fn open_value<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        host: &str,
        sealed: &[u8],
        now: Moment,
    ) -> Option<T> {
        postcard::from_bytes(&self.open(purpose, host, sealed, now)?).ok()
    }

    /// Opens what was sealed for this purpose and host; `None` for everything else.
    #[must_use]
    pub fn open(
        &self,
        purpose: Purpose,
        host: &str,
        sealed: &[u8],
        now: Moment,
    ) -> Option<Vec<u8>> {
        self.unseal(purpose, host, sealed, now)
            .map(|opened| opened.plain)
    }

    /// The same, with the end of its key.
    pub(super) fn unseal(
        &self,
        purpose: Purpose,
        host: &str,
        sealed: &[u8],
        now: Moment,
    ) -> Option<Opened> {
        if sealed.len() > LONGEST {
            return None;
        }
        let mut bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(sealed).ok()?;
        let (header, body) = bytes.split_at_mut_checked(HEADER)?;
        let (version, rest) = header.split_first()?;
        let (id, nonce) = rest.split_first_chunk::<4>()?;
        if *version != VERSION {
            return None;
        }
        let (key, retired_at) = self.key(u32::from_be_bytes(*id), purpose, now)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = key
            .open_in_place(nonce, Aad::from(associated(purpose, host)), body)
            .ok()?
            .len();
        bytes.drain(..HEADER);
        bytes.truncate(opened);
        Some(Opened {
            plain: bytes,
            retired_at,
        })
    }

    /// The sessions that these keys have just opened.
    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }

    fn key(
        &self,
        id: u32,
        purpose: Purpose,
        now: Moment,
    ) -> Option<(&LessSafeKey, Option<Moment>)> {
        let key = self.keys.iter().find(|key| key.id == id)?;
        let live = key.retired_at.is_none_or(|end| now < end);
        let place = Purpose::ALL.iter().position(|p| *p == purpose)?;
        let sealing = key.by_purpose.get(place).filter(|_| live)?;
        Some((sealing, key.retired_at))
    }
}

struct Aes256;

impl KeyType for Aes256 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &[u8; 32], purpose: Purpose) -> LessSafeKey {
    let info = [purpose.label().as_bytes()];
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&info, Aes256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("32 octets are within HKDF-SHA-256's limit");
    let unbound = UnboundKey::new(&AES_256_GCM_SIV, &key).expect("an AES-256 key has 32 octets");
    zeroize::Zeroize::zeroize(&mut key);
    LessSafeKey::new(unbound)
}

fn associated(purpose: Purpose, host: &str) -> Vec<u8> {
    let label = purpose.label().as_bytes();
    let mut data = Vec::with_capacity(label.len() + 2 + host.len());
    data.push(VERSION);
    data.extend_from_slice(label);
    data.push(0);
    data.extend_from_slice(host.as_bytes());
    data
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::random;

    const NOW: Moment = Moment(1000);

    fn keys(secret: u8) -> Keys {
        Keys::new(Arc::new(KeyRing::first(secret.into(), [secret; 32])))
    }

    #[test]
    fn what_was_sealed_opens_on_its_host_and_for_its_purpose_alone() {
        let keys = keys(1);
        let sealed = keys
            .seal(Purpose::Session, "a.example", b"hello", NOW, random)
            .unwrap();
        let open = |purpose, host: &str| keys.open(purpose, host, sealed.as_bytes(), NOW);
        assert_eq!(
            open(Purpose::Session, "a.example").as_deref(),
            Some(&b"hello"[..])
        );
        assert_eq!(open(Purpose::Session, "b.example"), None);
        for purpose in Purpose::ALL.into_iter().filter(|p| *p != Purpose::Session) {
            assert_eq!(open(purpose, "a.example"), None);
        }
        assert_eq!(
            super::tests::keys(2).open(Purpose::Session, "a.example", sealed.as_bytes(), NOW),
            None
        );
    }

    #[test]
    fn a_retired_key_opens_nothing() {
        let mut ring = String::from_utf8(KeyRing::first(1, [1; 32]).to_stored()).unwrap();
        let sealed = keys(1)
            .seal(Purpose::Session, "a.example", b"x", NOW, random)
            .unwrap();
        ring = ring.replace("\"sealFrom\":0", "\"sealFrom\":0,\"retiredAt\":2000");
        let keys = Keys::new(Arc::new(KeyRing::parse(ring.as_bytes()).unwrap()));
        assert!(
            keys.open(
                Purpose::Session,
                "a.example",
                sealed.as_bytes(),
                Moment(1999)
            )
            .is_some()
        );
        assert!(
            keys.open(
                Purpose::Session,
                "a.example",
                sealed.as_bytes(),
                Moment(2000)
            )
            .is_none()
        );
    }

    #[test]
    fn every_bit_counts() {
        let keys = keys(1);
        let sealed = keys
            .seal(Purpose::Session, "a.example", b"who", NOW, random)
            .unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let text = URL_SAFE_NO_PAD.encode(flipped);
            assert_eq!(
                keys.open(Purpose::Session, "a.example", text.as_bytes(), NOW),
                None,
                "bit {bit}"
            );
        }
        for end in 0..sealed.len() {
            assert_eq!(
                keys.open(
                    Purpose::Session,
                    "a.example",
                    &sealed.as_bytes()[..end],
                    NOW
                ),
                None
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_that_we_did_not_seal_opens(text in "[A-Za-z0-9_=-]{0,120}|\\PC{0,60}") {
            prop_assert_eq!(keys(1).open(Purpose::Session, "a.example", text.as_bytes(), NOW), None);
        }

        #[test]
        fn whatever_is_sealed_opens_again(plain in proptest::collection::vec(any::<u8>(), 0..300)) {
            let sealed = keys(1).seal(Purpose::Attempt, "a.example", &plain, NOW, random).unwrap();
            prop_assert!(sealed.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
            prop_assert_eq!(keys(1).open(Purpose::Attempt, "a.example", sealed.as_bytes(), NOW), Some(plain));
        }
    }
}
