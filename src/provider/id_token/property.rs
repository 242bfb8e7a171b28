//! What must hold of every ID token and set of claims; unit tests and the fuzz target `id_token` share it.
//!
//! A fuzzer finds no signature. So the property signs what it is given, with the key that `OURS` stands for in a key
//! set, and once more with another, which no key set has.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::json;

use super::*;
use crate::{
    policy::Email,
    provider::claims,
    published::{ClaimNames, ProviderKind, ProviderSettings},
};

const NOW: Moment = Moment(1_800_000_000);

/// What the provider of the property signs with, and what somebody else does.
static OURS: LazyLock<Ed25519KeyPair> = LazyLock::new(|| signer([0xa7; 32]));
static THEIRS: LazyLock<Ed25519KeyPair> = LazyLock::new(|| signer([0x5e; 32]));

/// Lines: a header, claims, the answer of UserInfo, a JWK Set; a line that is no JSON of its kind counts as absent.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    drop(UnverifiedToken::parse(text));
    let mut lines = text.split('\n');
    let mut line = || lines.next().unwrap_or_default();
    let (header, payload, userinfo, keys) = (line(), line(), line(), line());

    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    );
    let token = |signer: &Ed25519KeyPair| {
        let signature = URL_SAFE_NO_PAD.encode(signer.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    };
    let expected = Expected {
        issuer: "https://id.corp.example",
        client_id: "vestibule",
        nonce: "n-0S6_WzA2Mj",
        max_age: Some(Duration::from_secs(3600)),
        now: NOW,
    };
    let (ours, theirs) = (token(&OURS), token(&THEIRS));
    if let (Ok(ours), Ok(theirs)) = (
        UnverifiedToken::parse(&ours),
        UnverifiedToken::parse(&theirs),
    ) {
        let header: Value = serde_json::from_str(header).expect("JSON, since it was read");
        let name = header["alg"].as_str().expect("an algorithm");
        assert!(!name.starts_with("HS") && !name.eq_ignore_ascii_case("none"));
        assert!(header.get("crit").is_none());
        let believable =
            json::object(payload.as_bytes()).is_some_and(|claims| expected.check(claims).is_ok());
        let named = keys.contains("OURS");
        if let Some(keys) = KeySet::read(keys.replace("OURS", &public(&OURS)).as_bytes()) {
            let believed = ours.verify(&keys, &expected).is_ok();
            assert!(!believed || believable && named && ["EdDSA", "Ed25519"].contains(&name));
            assert!(
                theirs.verify(&keys, &expected).is_err(),
                "signed by nobody's key"
            );
        }
        let plain = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": public(&OURS)}]});
        let plain = KeySet::read(plain.to_string().as_bytes()).expect("a key set");
        let fits = ["EdDSA", "Ed25519"].contains(&name) && header.get("kid").is_none();
        assert_eq!(ours.verify(&plain, &expected).is_ok(), believable && fits);
    }

    let Some(claims) = json::object(payload.as_bytes()) else {
        return;
    };
    let again = Value::Object(claims.clone()).to_string();
    let again = json::object(again.as_bytes()).map(Value::Object);
    assert_eq!(
        again.as_ref().map(without_fractions),
        Some(without_fractions(&Value::Object(claims.clone())))
    );
    let Ok(token) = expected.check(claims.clone()) else {
        return;
    };
    assert_eq!(claims["iss"], expected.issuer);
    assert_eq!(claims["nonce"], expected.nonce);
    let audience = &claims["aud"];
    let several = audience.as_array().is_some_and(|all| all.len() > 1);
    assert!(*audience == "vestibule" || audience.as_array().unwrap().contains(&json!("vestibule")));
    assert!(
        claims
            .get("azp")
            .map_or(!several, |party| *party == "vestibule")
    );
    let time = |name: &str| claims[name].as_f64().expect("a time");
    assert!(time("exp") > 1_800_000_000.0 - 61.0 && time("iat") < 1_800_000_000.0 + 62.0);
    assert!((1_800_000_000.0 - 3662.0..1_800_000_062.0).contains(&time("auth_time")));
    assert_eq!(claims["sub"], token.subject.as_str());

    let userinfo = json::object(userinfo.as_bytes()).unwrap_or_default();
    let said = [&claims, &userinfo].map(|document| {
        let vouched = document.get("email_verified") == Some(&Value::Bool(true));
        (
            document
                .get("email")
                .and_then(Value::as_str)
                .map(str::to_owned),
            vouched,
        )
    });
    let Ok(person) = claims::signed_in(&settings(), token, userinfo) else {
        return;
    };
    if person.email_verified {
        assert!(
            said.contains(&(person.email.clone(), true)),
            "vouched for in one document"
        );
        let address = person.email.as_deref().and_then(Email::parse);
        assert!(address.is_some(), "two readers could differ about it");
    }
    let shown = [&person.email, &person.name, &person.username];
    let texts = shown.into_iter().flatten();
    let texts = texts.chain(&person.groups);
    let mut texts = texts.chain(person.claims.iter().flat_map(|(_, values)| values));
    let plain = |text: &str| text.trim() == text && !text.chars().any(char::is_control);
    assert!(texts.all(|text| !text.is_empty() && plain(text)));
    let names = person.claims.iter().map(|(name, _)| name.as_str());
    assert!(
        !names
            .into_iter()
            .any(|name| ["email", "email_verified", "iss", "nonce"].contains(&name))
    );
}

/// A number that is none of 64 bits may lose its last digit when it is read.
fn without_fractions(value: &Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::Null,
        Value::Array(all) => all.iter().map(without_fractions).collect(),
        Value::Object(all) => {
            let members = all.iter();
            members
                .map(|(name, value)| (name.clone(), without_fractions(value)))
                .collect()
        }
        other => other.clone(),
    }
}

fn signer(seed: [u8; 32]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&seed).expect("32 octets are a seed")
}

fn public(signer: &Ed25519KeyPair) -> String {
    URL_SAFE_NO_PAD.encode(signer.public_key())
}

fn settings() -> ProviderSettings {
    ProviderSettings {
        name: "corp".into(),
        display_name: "Corp".into(),
        order: 0,
        kind: ProviderKind::Oidc {
            issuer: Arc::from("https://id.corp.example"),
            insecure_http: false,
        },
        client_id: "vestibule".into(),
        client_secret: None,
        scopes: Vec::new(),
        claims: ClaimNames::default(),
        trusts_unverified_email: false,
        max_session: None,
    }
}

#[test]
fn every_committed_token_holds_the_property() {
    let inputs = std::fs::read_dir("tests/fuzz/corpus/id_token").unwrap();
    let held = inputs.map(|input| holds(&std::fs::read(input.unwrap().path()).unwrap()));
    assert!(held.count() > 10);
}
