//! The session keys: a ring, so that a new key is accepted everywhere before it seals and a retired
//! one outlives the longest session (docs/security.md, 8).
//!
//! The stored form is JSON with a version, in a Secret or a file of mode 0600.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::policy::Moment;

/// All keys that may open a session, and by `seal_from` which one seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing {
    keys: Vec<Arc<RingKey>>,
}

/// One key.
#[derive(Clone, PartialEq, Eq)]
pub struct RingKey {
    /// Stands in front of everything this key sealed.
    pub id: u32,
    /// From when on it seals. Until then every replica learns to open what it will seal.
    pub seal_from: Moment,
    /// From when on it opens nothing any more.
    pub retired_at: Option<Moment>,
    secret: [u8; 32],
}

/// The key that seals at a moment.
pub type SealingKey = Arc<RingKey>;

/// A stored ring cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRing {
    /// Not JSON of the known form.
    #[error("the key ring is not readable: {0}")]
    Malformed(Arc<str>),
    /// Written by a newer version.
    #[error("the key ring has version {0}; this version of Vestibule reads version 1")]
    Version(u32),
    /// No key in it.
    #[error("the key ring holds no key")]
    Empty,
    /// Two keys with one id.
    #[error("the key ring has two keys with the id {0}")]
    Twice(u32),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    keys: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredKey {
    id: u32,
    seal_from: Moment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retired_at: Option<Moment>,
    key: String,
}

// === impl KeyRing ===

impl KeyRing {
    /// A new ring with one key that seals at once. `secret` and `id` come from a cryptographic random
    /// number generator.
    #[must_use]
    pub fn first(id: u32, secret: [u8; 32]) -> Self {
        let key = RingKey {
            id,
            seal_from: Moment(0),
            retired_at: None,
            secret,
        };
        Self {
            keys: vec![Arc::new(key)],
        }
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// If it is not a ring that can be used.
    pub fn parse(text: &[u8]) -> Result<Self, UnreadableRing> {
        // The error's own text could quote key material.
        let malformed = |what: &str| UnreadableRing::Malformed(what.into());
        if text.is_empty() {
            return Err(malformed("it is empty"));
        }
        let stored: Stored = serde_json::from_slice(text).map_err(|e| {
            malformed(&format!(
                "JSON error at line {}, column {}",
                e.line(),
                e.column()
            ))
        })?;
        if stored.version != 1 {
            return Err(UnreadableRing::Version(stored.version));
        }
        let mut keys: Vec<Arc<RingKey>> = Vec::with_capacity(stored.keys.len());
        for StoredKey {
            id,
            seal_from,
            retired_at,
            key,
        } in stored.keys
        {
            let secret = STANDARD
                .decode(key)
                .ok()
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
                .ok_or_else(|| malformed(&format!("key {id} is not 32 bytes in base64")))?;
            if keys.iter().any(|key| key.id == id) {
                return Err(UnreadableRing::Twice(id));
            }
            keys.push(Arc::new(RingKey {
                id,
                seal_from,
                retired_at,
                secret,
            }));
        }
        if keys.is_empty() {
            Err(UnreadableRing::Empty)
        } else {
            Ok(Self { keys })
        }
    }

    /// The stored form. It holds the keys: for a Secret or a file of mode 0600 only.
    #[must_use]
    pub fn to_stored(&self) -> Vec<u8> {
        let keys = self.keys.iter().map(|key| StoredKey {
            id: key.id,
            seal_from: key.seal_from,
            retired_at: key.retired_at,
            key: STANDARD.encode(key.secret),
        });
        let stored = Stored {
            version: 1,
            keys: keys.collect(),
        };
        serde_json::to_vec(&stored).expect("integers and strings always serialize")
    }

    /// The key that seals now: the newest that may. If none may yet, the first one does, since a ring
    /// whose clock is ahead must not sign everybody out.
    #[must_use]
    pub fn sealing(&self, now: Moment) -> Option<&SealingKey> {
        let live = || self.keys.iter().filter(|key| key.opens_at(now));
        live()
            .filter(|key| key.seal_from <= now)
            .max_by_key(|key| key.seal_from)
            .or_else(|| live().next())
    }

    /// All keys.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<RingKey>> {
        self.keys.iter()
    }
}

// === impl RingKey ===

impl RingKey {
    /// The bytes, for key derivation.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Whether it is not retired yet.
    #[must_use]
    pub fn opens_at(&self, now: Moment) -> bool {
        self.retired_at.is_none_or(|end| now < end)
    }
}

impl Drop for RingKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl fmt::Debug for RingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RingKey({:08x}, from {}, until {:?})",
            self.id, self.seal_from.0, self.retired_at
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_survives_storage_and_its_debug_form_shows_no_key() {
        let ring = KeyRing::first(7, [0xab; 32]);
        assert_eq!(KeyRing::parse(&ring.to_stored()), Ok(ring.clone()));
        assert!(!format!("{ring:?}").contains("171"));
        assert!(!format!("{ring:?}").to_lowercase().contains("abab"));
    }

    #[test]
    fn a_new_key_opens_before_it_seals_and_a_retired_one_opens_nothing() {
        let key = |id: u32, from: u64, until: Option<u64>| {
            let secret = STANDARD.encode([1; 32]);
            let until = until.map_or(String::new(), |u| format!(r#""retiredAt":{u},"#));
            format!(r#"{{"id":{id},"sealFrom":{from},{until}"key":"{secret}"}}"#)
        };
        let text = format!(
            r#"{{"version":1,"keys":[{},{}]}}"#,
            key(1, 0, Some(300)),
            key(2, 200, None)
        );
        let ring = KeyRing::parse(text.as_bytes()).unwrap();
        let at = |now| ring.sealing(Moment(now)).unwrap().id;
        assert_eq!((at(100), at(200), at(400)), (1, 2, 2));
        let opening = |now| ring.keys().filter(|key| key.opens_at(now)).count();
        assert_eq!((opening(Moment(100)), opening(Moment(300))), (2, 1));
    }

    #[test]
    fn a_ring_that_cannot_be_used_says_why_and_quotes_nothing() {
        let secret = STANDARD.encode([9; 32]);
        for (text, said) in [
            (r#"{"version":2,"keys":[]}"#.to_owned(), "version 2"),
            (r#"{"version":1,"keys":[]}"#.to_owned(), "no key"),
            (
                r#"{"version":1,"keys":[{"id":1,"sealFrom":0,"key":"c2VjcmV0"}]}"#.to_owned(),
                "32 bytes",
            ),
            (
                format!(r#"{{"version":1,"keys":[{{"id":1,"key":"{secret}"}}]}}"#),
                "line 1",
            ),
        ] {
            let error = KeyRing::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(
                !error.contains(&secret) && !error.contains("c2VjcmV0"),
                "{error}"
            );
        }
    }
}
