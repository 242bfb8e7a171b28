//! A provider's public keys (JWK Set, RFC 7517): which of them may verify an ID token.

use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use super::{error::Distrust, json};

/// The keys of one `jwks_uri` that can sign ID tokens. Keys for encryption, symmetric, weak and
/// unknown ones are left out when the set is read.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The one algorithm that the provider uses this key with, if it says so.
    algorithm: Option<Algorithm>,
    shape: Shape,
    material: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Rsa,
    P256,
    P384,
    Ed25519,
}

/// The algorithm of a name (RFC 7518 §3.1, RFC 8037, RFC 9864), if it proves who signed: not `none`, and
/// not an HMAC, whose key whoever verifies could sign with.
pub(super) fn accepted(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" | "Ed25519" => Algorithm::EdDSA,
        _ => return None,
    })
}

// === impl KeySet ===

impl KeySet {
    /// Reads a JWK Set document; `None` if it is not one. A key that cannot be used takes no other with it.
    pub(super) fn read(document: &[u8]) -> Option<Self> {
        let members = json::object(document)?;
        let keys = members.get("keys")?.as_array()?;
        let keys = keys
            .iter()
            .filter_map(|key| Key::read(key.as_object()?))
            .collect();
        Some(Self { keys })
    }

    /// Whether one of the keys that fit made this signature (in base64url). Without a key id, every key
    /// that fits the algorithm is tried (RFC 7515 §6 leaves the choice to us).
    pub(super) fn verify(
        &self,
        key_id: Option<&str>,
        algorithm: Algorithm,
        signed: &str,
        signature: &str,
    ) -> Result<(), Distrust> {
        let mut fitting = self
            .keys
            .iter()
            .filter(|key| key_id.is_none_or(|id| key.id.as_deref() == Some(id)))
            .filter(|key| key.fits(algorithm))
            .peekable();
        if fitting.peek().is_none() {
            return Err(Distrust::UnknownKey);
        }
        let verifies = |key: &Key| {
            jsonwebtoken::crypto::verify(signature, signed.as_bytes(), &key.material, algorithm)
                .unwrap_or(false)
        };
        if fitting.any(verifies) {
            Ok(())
        } else {
            Err(Distrust::Signature)
        }
    }

    /// How many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

// === impl Key ===

impl Key {
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let may_verify = match (members.get("use"), members.get("key_ops")) {
            (Some(usage), _) if usage != "sig" => false,
            (_, Some(operations)) => operations
                .as_array()
                .is_some_and(|operations| operations.iter().any(|one| one == "verify")),
            _ => true,
        };
        if !may_verify {
            return None;
        }
        let (shape, material) = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (n, e) = (text("n")?, text("e")?);
                let bits = significant_bits(&octets(n)?);
                if !(2048..=8192).contains(&bits) {
                    return None;
                }
                (Shape::Rsa, DecodingKey::from_rsa_components(n, e))
            }
            ("EC", Some("P-256")) => (Shape::P256, point(text("x")?, text("y")?, 32)?),
            ("EC", Some("P-384")) => (Shape::P384, point(text("x")?, text("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = text("x").filter(|x| octets(x).is_some_and(|x| x.len() == 32))?;
                (Shape::Ed25519, DecodingKey::from_ed_components(x))
            }
            _ => return None,
        };
        let key = Self {
            id: text("kid").map(str::to_owned),
            algorithm: match members.get("alg") {
                None => None,
                Some(name) => Some(accepted(name.as_str()?)?),
            },
            shape,
            material: material.ok()?,
        };
        key.algorithm
            .is_none_or(|algorithm| shape.signs(algorithm))
            .then_some(key)
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        match self.algorithm {
            Some(only) => only == algorithm,
            None => self.shape.signs(algorithm),
        }
    }
}

// === impl Shape ===

impl Shape {
    fn signs(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => self == Self::Rsa,
            Algorithm::ES256 => self == Self::P256,
            Algorithm::ES384 => self == Self::P384,
            Algorithm::EdDSA => self == Self::Ed25519,
            // The HMAC family, and what a later version of the crate adds.
            _ => false,
        }
    }
}

fn point(x: &str, y: &str, size: usize) -> Option<jsonwebtoken::errors::Result<DecodingKey>> {
    let whole = |coordinate| octets(coordinate).is_some_and(|bytes| bytes.len() == size);
    (whole(x) && whole(y)).then(|| DecodingKey::from_ec_components(x, y))
}

fn octets(base64url: &str) -> Option<Vec<u8>> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.decode(base64url).ok()
}

fn significant_bits(number: &[u8]) -> usize {
    let mut rest = number.iter().skip_while(|octet| **octet == 0);
    match rest.next() {
        None => 0,
        Some(first) => {
            let leading = usize::try_from(first.leading_zeros()).unwrap_or(8);
            (rest.count() + 1) * 8 - leading
        }
    }
}
