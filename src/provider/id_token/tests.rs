use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::provider::signer::{Signer, assemble, base64url, hmac_of};

const NOW: u64 = 1_800_000_000;
const NONCE: &str = "n-0S6_WzA2Mj";

fn expected() -> Expected<'static> {
    Expected {
        issuer: "https://id.corp.example",
        client_id: "vestibule",
        nonce: NONCE,
        max_age: None,
        now: Moment(NOW),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://id.corp.example",
        "sub": "24400320",
        "aud": "vestibule",
        "exp": NOW + 300,
        "iat": NOW,
        "nonce": NONCE,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<VerifiedToken, Distrust> {
    UnverifiedToken::parse(token)?.verify(keys, expected)
}

/// What becomes of a token with these claims, signed by the provider.
fn judged(claims: &Value, expected: &Expected<'_>) -> Result<VerifiedToken, Distrust> {
    let signer = Signer::ed25519();
    let keys = key_set(&[signer.jwk("k1")]);
    verify(&signer.token("EdDSA", "k1", claims), &keys, expected)
}

#[test]
fn every_accepted_algorithm_verifies_with_a_key_of_its_kind() {
    for (signer, algorithms) in [
        (
            Signer::rsa(),
            &["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"][..],
        ),
        (Signer::p256(), &["ES256"]),
        (Signer::p384(), &["ES384"]),
        (Signer::ed25519(), &["EdDSA", "Ed25519"]),
    ] {
        let keys = key_set(&[signer.jwk("k1")]);
        for algorithm in algorithms {
            let verified = verify(
                &signer.token(algorithm, "k1", &claims()),
                &keys,
                &expected(),
            );
            assert_eq!(verified.unwrap().subject, "24400320", "{algorithm}");
        }
    }
}

#[test]
fn a_token_that_says_something_else_is_refused_although_the_provider_signed_it() {
    for (claims, why) in [
        (with("iss", json!("https://evil.example")), Distrust::Issuer),
        (
            with("iss", json!("https://id.corp.example/")),
            Distrust::Issuer,
        ),
        (
            with("iss", json!("HTTPS://id.corp.example")),
            Distrust::Issuer,
        ),
        (
            with("iss", json!(["https://id.corp.example"])),
            Distrust::Issuer,
        ),
        (without("iss"), Distrust::Issuer),
        (with("aud", json!("another")), Distrust::Audience),
        (with("aud", json!("vestibule2")), Distrust::Audience),
        (with("aud", json!([])), Distrust::Audience),
        (with("aud", json!(["another"])), Distrust::Audience),
        (with("aud", json!(["vestibule", 5])), Distrust::Audience),
        (
            with("aud", json!({ "vestibule": true })),
            Distrust::Audience,
        ),
        (without("aud"), Distrust::Audience),
        (
            with("aud", json!(["vestibule", "another"])),
            Distrust::AuthorizedParty,
        ),
        (with("azp", json!("another")), Distrust::AuthorizedParty),
        (with("azp", json!(null)), Distrust::AuthorizedParty),
        (with("azp", json!(["vestibule"])), Distrust::AuthorizedParty),
        (with("exp", json!(NOW - 60)), Distrust::Expired),
        (with("exp", json!(0)), Distrust::Expired),
        (with("iat", json!(NOW + 61)), Distrust::NotYetValid),
        (with("nbf", json!(NOW + 61)), Distrust::NotYetValid),
        (with("auth_time", json!(NOW + 61)), Distrust::NotYetValid),
        (with("nonce", json!("another")), Distrust::Nonce),
        (with("nonce", json!("")), Distrust::Nonce),
        (with("nonce", json!([NONCE])), Distrust::Nonce),
        (without("nonce"), Distrust::Nonce),
        (with("sub", json!("")), Distrust::Subject),
        (with("sub", json!("a".repeat(256))), Distrust::Subject),
        (with("sub", json!("änn")), Distrust::Subject),
        (with("sub", json!(" ")), Distrust::Subject),
        (with("sub", json!("ann ")), Distrust::Subject),
        (
            with("sub", json!("ann\r\nX-Auth-Request-User: root")),
            Distrust::Subject,
        ),
        (with("sub", json!(24_400_320)), Distrust::Subject),
        (without("sub"), Distrust::Subject),
    ] {
        assert_eq!(judged(&claims, &expected()).unwrap_err(), why, "{claims}");
    }
    for name in ["exp", "iat", "nbf"] {
        for value in [json!("1800000300"), json!(-1), json!(null), json!([NOW])] {
            let outcome = judged(&with(name, value), &expected());
            assert!(matches!(outcome, Err(Distrust::Malformed(_))), "{name}");
        }
    }
    for name in ["exp", "iat"] {
        let outcome = judged(&without(name), &expected());
        assert!(matches!(outcome, Err(Distrust::Malformed(_))), "{name}");
    }
}

#[test]
fn what_the_specification_leaves_open_is_let_pass() {
    for claims in [
        with("aud", json!(["vestibule"])),
        with("azp", json!("vestibule")),
        with("exp", json!(NOW - 59)),
        with("exp", json!(1_800_000_300.75)),
        with("iat", json!(NOW + 60)),
        with("nbf", json!(NOW + 60)),
        with("sub", json!("a".repeat(255))),
        with("sub", json!("CN=Ann Example,O=Corp")),
        with("auth_time", json!("yesterday")),
    ] {
        assert!(judged(&claims, &expected()).is_ok(), "{claims}");
    }
    let mut several = with("aud", json!(["another", "vestibule"]));
    several["azp"] = json!("vestibule");
    assert!(judged(&several, &expected()).is_ok());
}

#[test]
fn an_empty_nonce_is_never_equal() {
    let nothing_asked = Expected {
        nonce: "",
        ..expected()
    };
    for claims in [with("nonce", json!("")), without("nonce")] {
        assert_eq!(
            judged(&claims, &nothing_asked).unwrap_err(),
            Distrust::Nonce
        );
    }
}

#[test]
fn a_fresh_sign_in_is_shown_by_auth_time_when_it_was_asked_for() {
    let asked = |seconds| Expected {
        max_age: Some(Duration::from_secs(seconds)),
        ..expected()
    };
    let at = |seconds_ago| with("auth_time", json!(NOW - seconds_ago));
    assert!(judged(&at(0), &asked(0)).is_ok());
    assert!(judged(&at(160), &asked(100)).is_ok());
    let verified = judged(&at(500), &expected()).unwrap();
    assert_eq!(verified.authenticated_at, Some(Moment(NOW - 500)));
    for claims in [
        at(161),
        without("auth_time"),
        with("auth_time", json!("now")),
    ] {
        let why = judged(&claims, &asked(100)).unwrap_err();
        assert_eq!(why, Distrust::AuthenticationAge, "{claims}");
    }
}

#[test]
fn nothing_but_a_signature_of_a_fitting_key_of_the_provider_counts() {
    let (rsa, ec, ed, stranger) = (
        Signer::rsa(),
        Signer::p256(),
        Signer::ed25519(),
        Signer::ed25519(),
    );
    let keys = key_set(&[rsa.jwk("rsa"), ec.jwk("ec"), ed.jwk("ed")]);
    let claims = claims().to_string();
    let headed = |header: Value, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let token = assemble(&header.to_string(), &claims, sign);
        verify(&token, &keys, &expected()).unwrap_err()
    };
    let by_stranger = |message: &[u8]| stranger.sign("EdDSA", message);
    let by_provider = |message: &[u8]| ed.sign("EdDSA", message);

    for none in ["none", "None", "NONE", "nOnE", ""] {
        let why = headed(json!({ "alg": none }), &|_| Vec::new());
        assert!(matches!(why, Distrust::Algorithm(_)), "{none}");
    }
    // The public key as an HMAC secret, in the forms that a library could have kept it.
    let jwk = ec.jwk("ec");
    let point = [&jwk["x"], &jwk["y"]].map(|part| part.as_str().unwrap().to_owned());
    for secret in [
        point.concat(),
        jwk.to_string(),
        rsa.jwk("rsa")["n"].to_string(),
    ] {
        for hmac in ["HS256", "HS384", "HS512"] {
            let why = headed(json!({ "alg": hmac, "kid": "ec" }), &|message| {
                hmac_of(secret.as_bytes(), message)
            });
            assert!(matches!(why, Distrust::Algorithm(_)));
        }
    }
    for unknown in ["ES256K", "ES512", "RS1", "rs256", "dir", "RSA-OAEP"] {
        let why = headed(json!({ "alg": unknown, "kid": "ec" }), &by_provider);
        assert!(matches!(why, Distrust::Algorithm(_)), "{unknown}");
    }
    for header in [
        json!({ "alg": "EdDSA", "kid": "unknown" }),
        json!({ "alg": "EdDSA", "kid": "" }),
        // The key of that id is for another algorithm.
        json!({ "alg": "EdDSA", "kid": "rsa" }),
        json!({ "alg": "ES256", "kid": "ed" }),
        json!({ "alg": "ES384", "kid": "ec" }),
        json!({ "alg": "RS256", "kid": "ec" }),
    ] {
        assert_eq!(
            headed(header.clone(), &by_provider),
            Distrust::UnknownKey,
            "{header}"
        );
    }
    // Keys that the token brings along or points to.
    for (member, value) in [
        ("jwk", stranger.jwk("ed")),
        ("jku", json!("https://evil.example/jwks")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
    ] {
        let mut header = json!({ "alg": "EdDSA", "kid": "ed" });
        header[member] = value;
        assert_eq!(
            headed(header, &by_stranger),
            Distrust::Signature,
            "{member}"
        );
    }
    assert_eq!(
        headed(json!({ "alg": "EdDSA" }), &by_stranger),
        Distrust::Signature
    );
    for header in [
        json!({ "alg": "EdDSA", "kid": "ed", "crit": ["b64"], "b64": false }),
        json!({ "alg": "EdDSA", "kid": "ed", "crit": [] }),
        json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" }),
        json!({ "alg": "EdDSA", "kid": "ed", "typ": "logout+jwt" }),
        json!({ "alg": "EdDSA", "kid": 5 }),
        json!({ "alg": ["EdDSA"], "kid": "ed" }),
        json!({ "kid": "ed" }),
    ] {
        let why = headed(header.clone(), &by_provider);
        assert!(matches!(why, Distrust::Malformed(_)), "{header}");
    }
}

#[test]
fn without_a_key_id_the_keys_that_fit_are_tried() {
    let (old, new) = (Signer::p256(), Signer::p256());
    let keys = key_set(&[old.jwk("old"), new.jwk("new"), Signer::rsa().jwk("rsa")]);
    let token = assemble(r#"{"alg":"ES256"}"#, &claims().to_string(), |message| {
        new.sign("ES256", message)
    });
    assert!(verify(&token, &keys, &expected()).is_ok());
}

#[test]
fn members_that_are_named_twice_are_refused_in_header_and_claims() {
    let signer = Signer::ed25519();
    let keys = key_set(&[signer.jwk("k1")]);
    let signed = |header: &str, claims: &str| {
        let token = assemble(header, claims, |message| signer.sign("EdDSA", message));
        verify(&token, &keys, &expected())
    };
    let (header, claims) = (r#"{"alg":"EdDSA","kid":"k1"}"#, claims().to_string());
    assert!(signed(header, &claims).is_ok());
    let twice = claims.replacen('{', r#"{"sub":"root","#, 1);
    assert!(matches!(
        signed(header, &twice),
        Err(Distrust::Malformed(_))
    ));
    let nested = claims.replacen('{', r#"{"realm":{"roles":[],"roles":["admin"]},"#, 1);
    assert!(matches!(
        signed(header, &nested),
        Err(Distrust::Malformed(_))
    ));
    let header = r#"{"alg":"none","alg":"EdDSA","kid":"k1"}"#;
    assert!(matches!(
        signed(header, &claims),
        Err(Distrust::Malformed(_))
    ));
}

#[test]
fn what_is_not_a_compact_jws_is_refused() {
    let signer = Signer::ed25519();
    let keys = key_set(&[signer.jwk("k1")]);
    let good = signer.token("EdDSA", "k1", &claims());
    let parts: Vec<_> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    for token in [
        String::new(),
        ".".into(),
        "..".into(),
        header.into(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{good}.{signature}"),
        format!("{good}="),
        format!("{good}\n"),
        format!(" {good}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{}", base64url("short")),
        format!("{{\"payload\":\"{payload}\"}}"),
    ] {
        assert!(verify(&token, &keys, &expected()).is_err(), "{token}");
    }
}

#[test]
fn a_key_that_cannot_or_must_not_verify_is_left_out() {
    let (rsa, ec) = (Signer::rsa(), Signer::p256());
    let changed = |jwk: &Value, name: &str, value: Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let (rsa, ec) = (rsa.jwk("rsa"), ec.jwk("ec"));
    let weak = base64url([0xff; 128]);
    let padded = base64url([[0; 128], [0xff; 128]].concat());
    let unusable = [
        changed(&rsa, "use", json!("enc")),
        changed(&rsa, "n", json!(weak)),
        changed(&rsa, "n", json!(padded)),
        changed(&rsa, "n", json!("")),
        changed(&rsa, "n", json!("%%%")),
        changed(&rsa, "alg", json!("RSA-OAEP")),
        changed(&rsa, "alg", json!("HS256")),
        changed(&rsa, "alg", json!("ES256")),
        changed(&rsa, "kty", json!("oct")),
        changed(&ec, "crv", json!("P-384")),
        changed(&ec, "crv", json!("P-521")),
        changed(&ec, "x", json!("AAAA")),
        changed(&ec, "key_ops", json!(["sign"])),
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "ec" }),
        json!({ "kty": "OKP", "crv": "X25519", "x": base64url([1; 32]) }),
        json!({ "kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA" }),
        json!({}),
        json!("key"),
    ];
    for key in &unusable {
        assert_eq!(key_set(std::slice::from_ref(key)).len(), 0, "{key}");
    }
    let mut all = unusable.to_vec();
    all.extend([rsa, ec]);
    assert_eq!(key_set(&all).len(), 2);
    for document in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(KeySet::read(document.as_bytes()).is_none(), "{document}");
    }
}

#[test]
fn a_key_for_one_algorithm_verifies_no_other() {
    let signer = Signer::rsa();
    let mut jwk = signer.jwk("k1");
    jwk["alg"] = json!("RS256");
    let keys = key_set(&[jwk]);
    assert!(verify(&signer.token("RS256", "k1", &claims()), &keys, &expected()).is_ok());
    let other = verify(&signer.token("PS256", "k1", &claims()), &keys, &expected());
    assert_eq!(other.unwrap_err(), Distrust::UnknownKey);
}

proptest! {
    #[test]
    fn a_token_changed_in_one_octet_is_refused(place: prop::sample::Index, octet in "[-A-Za-z0-9_.=+/ ]") {
        let signer = Signer::ed25519();
        let keys = key_set(&[signer.jwk("k1")]);
        let good = signer.token("EdDSA", "k1", &claims());
        let place = place.index(good.len());
        let mut changed = good.clone();
        changed.replace_range(place..=place, &octet);
        prop_assume!(changed != good);
        prop_assert!(verify(&changed, &keys, &expected()).is_err());
    }

    #[test]
    fn no_text_makes_the_reader_fall_over(token in "\\PC{0,80}", header in "\\PC{0,40}") {
        let keys = key_set(&[]);
        prop_assert!(verify(&token, &keys, &expected()).is_err());
        let headed = format!("{}.e30.", base64url(header));
        prop_assert!(verify(&headed, &keys, &expected()).is_err());
    }

    #[test]
    fn audience_and_party_are_judged_as_the_specification_says(
        audience in prop::collection::vec(prop::sample::select(vec!["vestibule", "another", "third"]), 0..4),
        party in prop::option::of(prop::sample::select(vec!["vestibule", "another"])),
    ) {
        let mut claims = with("aud", json!(audience));
        if let Some(party) = party {
            claims["azp"] = json!(party);
        }
        let right = audience.contains(&"vestibule")
            && party.map_or(audience.len() == 1, |party| party == "vestibule");
        prop_assert_eq!(judged(&claims, &expected()).is_ok(), right);
    }

    #[test]
    fn times_are_judged_within_a_minute(exp in -200i64..200, iat in -200i64..200, nbf in prop::option::of(-200i64..200)) {
        let at = |offset: i64| json!(NOW.checked_add_signed(offset).unwrap());
        let mut claims = with("exp", at(exp));
        claims["iat"] = at(iat);
        if let Some(nbf) = nbf {
            claims["nbf"] = at(nbf);
        }
        let right = exp > -60 && iat <= 60 && nbf.is_none_or(|nbf| nbf <= 60);
        prop_assert_eq!(judged(&claims, &expected()).is_ok(), right);
    }
}
