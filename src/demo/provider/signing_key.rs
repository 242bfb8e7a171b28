//! The key that signs ID tokens: ES256, made at each start.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use serde_json::{Value, json};

pub(super) struct SigningKey {
    id: String,
    private: EncodingKey,
    x: String,
    y: String,
}

// === impl SigningKey ===

impl SigningKey {
    /// A new key; `None` if the cryptography library cannot make one.
    pub(super) fn generate() -> Option<Self> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?;
        let document = pair.to_pkcs8v1().ok()?;
        // An uncompressed point: 0x04, then both coordinates (SEC 1 §2.3.3).
        let (_, point) = pair.public_key().as_ref().split_first()?;
        let (x, y) = point.split_at_checked(32)?;
        Some(Self {
            id: super::random_text(),
            private: EncodingKey::from_ec_der(document.as_ref()),
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        })
    }

    /// A signed JWT (RFC 7519).
    pub(super) fn sign(&self, claims: &impl Serialize) -> Option<String> {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        jsonwebtoken::encode(&header, claims, &self.private).ok()
    }

    /// The public half as a JWK set (RFC 7517).
    pub(super) fn public_set(&self) -> Value {
        json!({"keys": [{
            "kty": "EC",
            "crv": "P-256",
            "use": "sig",
            "alg": "ES256",
            "kid": self.id,
            "x": self.x,
            "y": self.y,
        }]})
    }
}
