//! The session keys: a Secret that the controller makes once, and that nobody but an administrator changes.
//!
//! Making it is a create, never an update, so two replicas that start together end with one ring. A Secret
//! that is there but cannot be read is reported and left alone: overwriting it could sign everybody out.

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::rand;
use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, api::PostParams};
use zeroize::Zeroizing;

use crate::published::{KeyRing, UnreadableRing};

/// The key of the Secret that holds the ring.
pub const RING_KEY: &str = "keyring.json";

/// The Secret could not be made or is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The API server refused or did not answer; worth another try.
    #[error("Secret {name}: {error}")]
    Api {
        /// The Secret.
        name: Arc<str>,
        /// What it said.
        error: kube::Error,
    },
    /// The Secret is there and holds no ring that this version reads.
    #[error(
        "Secret {name} holds no usable session keys: {problem}. It is left as it is. Put the right ring back under the key \
         {RING_KEY}, or delete the Secret to have a new one made (which signs everybody out)"
    )]
    Unreadable {
        /// The Secret.
        name: Arc<str>,
        /// What is wrong with it.
        problem: UnreadableRing,
    },
    /// The machine has no random bytes for us.
    #[error("the system's random number generator failed")]
    NoRandomness,
}

/// Sees to it that the Secret `name` is there.
///
/// # Errors
/// If it is neither there in a readable form nor could be made.
pub async fn ensure(
    secrets: &Api<Secret>,
    name: &Arc<str>,
    labels: &BTreeMap<String, String>,
) -> Result<(), KeysError> {
    let failed = |error| KeysError::Api {
        name: Arc::clone(name),
        error,
    };
    if let Some(found) = secrets.get_opt(name).await.map_err(failed)? {
        return readable(name, &found);
    }
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            labels: Some(labels.clone()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some([(RING_KEY.into(), ByteString(new_ring()?.to_stored()))].into()),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => {
            tracing::info!(secret = &**name, "made the session keys");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let found = secrets.get(name).await.map_err(failed)?;
            readable(name, &found)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The ring in a Secret.
///
/// # Errors
/// If there is none that can be used.
pub fn ring_of(secret: &Secret) -> Result<KeyRing, UnreadableRing> {
    let data = secret.data.as_ref().and_then(|data| data.get(RING_KEY));
    let bytes =
        data.ok_or_else(|| UnreadableRing::Malformed(format!("it has no key {RING_KEY}").into()))?;
    KeyRing::parse(&bytes.0)
}

fn readable(name: &Arc<str>, secret: &Secret) -> Result<(), KeysError> {
    ring_of(secret)
        .map(drop)
        .map_err(|problem| KeysError::Unreadable {
            name: Arc::clone(name),
            problem,
        })
}

fn new_ring() -> Result<KeyRing, KeysError> {
    let mut bytes = Zeroizing::new([0; 36]);
    rand::fill(&mut *bytes).map_err(|_| KeysError::NoRandomness)?;
    let (id, secret) = bytes.split_first_chunk::<4>().expect("36 is more than 4");
    let secret = <[u8; 32]>::try_from(secret).expect("36 less 4 is 32");
    Ok(KeyRing::first(u32::from_be_bytes(*id), secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_new_rings_differ_and_a_secret_gives_its_ring_back() {
        let (one, other) = (new_ring().unwrap(), new_ring().unwrap());
        assert_ne!(one, other);
        let secret = Secret {
            data: Some([(RING_KEY.to_owned(), ByteString(one.to_stored()))].into()),
            ..Secret::default()
        };
        assert_eq!(ring_of(&secret), Ok(one));
    }

    #[test]
    fn a_secret_without_the_key_says_which_key_it_lacks() {
        let error = ring_of(&Secret::default()).unwrap_err().to_string();
        assert!(error.contains(RING_KEY), "{error}");
    }
}
