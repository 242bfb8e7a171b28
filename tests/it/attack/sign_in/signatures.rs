//! ID tokens that the provider never signed, or not so that it could be told.

use std::sync::Arc;

use anyhow::{Result, ensure};
use aws_lc_rs::{
    encoding::AsDer as _,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RsaKeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use super::tokens::{Token, none_counts};
use crate::{
    attack::serve::{Honest, Serve, Tab},
    provider::lying::{Answer, DISCOVERY, JWKS, assembled},
};

/// Signs a message, rightly or not.
type Signs = Arc<dyn Fn(&[u8]) -> Vec<u8>>;

/// A whole token, made by a provider for a tab.
type Shaped = Box<dyn Fn(&Honest, &Tab) -> String>;

#[tokio::test]
async fn only_the_providers_own_signature_by_a_key_of_its_set_signs_anybody_in() -> Result<()> {
    let (corp, stranger) = (
        Arc::new(Honest::start("k1").await),
        Arc::new(Honest::start("k1").await),
    );
    let rsa = Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
    let rsa_jwk = rsa_jwk(&rsa, "rsa");
    // A key whose exponent is 1: everybody can sign with it.
    let mut weak = rsa_jwk.clone();
    weak["e"] = json!("AQ");
    weak["kid"] = json!("weak");
    let mut encryption = rsa_jwk.clone();
    encryption["use"] = json!("enc");
    encryption["kid"] = json!("enc");
    let mut bound = rsa_jwk.clone();
    bound["alg"] = json!("RS256");
    bound["kid"] = json!("bound");
    let shared = json!({ "kty": "oct", "kid": "oct", "k": URL_SAFE_NO_PAD.encode("shared") });
    let set = json!({ "keys": [corp.key.jwk(), rsa_jwk, weak, encryption, bound, shared] });
    corp.answers(JWKS, Answer::Json(set.clone()));
    let serve = Serve::start(&[("corp", corp.issuer()), ("other", stranger.issuer())]).await?;

    let mut tokens: Vec<Token> = vec![];
    let mut headed = |lie: &str, header: Value, sign: Signs| {
        let corp = corp.clone();
        let text = header.to_string();
        tokens.push((
            format!("{lie}: {text}").chars().take(120).collect(),
            Box::new(move |tab| {
                assembled(&text, &corp.claims(tab).to_string(), |message| {
                    sign(message)
                })
            }),
        ));
    };
    let by = |who: &Arc<Honest>| -> Signs {
        let who = who.clone();
        Arc::new(move |message| who.key.signature(message))
    };
    let nothing: Signs = Arc::new(|_| vec![]);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        headed("no signature", json!({ "alg": alg }), nothing.clone());
        headed(
            "no algorithm",
            json!({ "alg": alg, "kid": "k1" }),
            by(&corp),
        );
    }
    headed(
        "no signature",
        json!({ "alg": "ES256", "kid": "k1" }),
        nothing,
    );
    let point = corp.key.point();
    let (rsa_n, rsa_der) = (
        URL_SAFE_NO_PAD.decode(rsa_jwk["n"].as_str().unwrap())?,
        rsa.public_key().as_der().unwrap(),
    );
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(rsa_der.as_ref())
    );
    for secret in [
        point.clone(),
        point[1..].to_vec(),
        corp.key.jwk().to_string().into_bytes(),
        set.to_string().into_bytes(),
        rsa_n,
        rsa_der.as_ref().to_vec(),
        pem.into_bytes(),
        b"shared".to_vec(),
        vec![],
    ] {
        for (name, algorithm) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            for kid in ["k1", "rsa", "oct"] {
                let key = hmac::Key::new(algorithm, &secret);
                let sign =
                    Arc::new(move |message: &[u8]| hmac::sign(&key, message).as_ref().to_vec());
                headed(
                    "keyed by what is public",
                    json!({ "alg": name, "kid": kid }),
                    sign,
                );
            }
        }
    }
    for alg in [
        "ES256K",
        "ES512",
        "es256",
        "ES256 ",
        "RS1",
        "dir",
        "RSA-OAEP",
        "A256GCM",
        "PBES2-HS256+A128KW",
        "ES384",
        "RS256",
        "EdDSA",
    ] {
        headed(
            "another algorithm",
            json!({ "alg": alg, "kid": "k1" }),
            by(&corp),
        );
    }
    for kid in [
        "",
        "unknown",
        "K1",
        "k1 ",
        " k1",
        "rsa",
        "enc",
        "oct",
        "weak",
        "../k1",
        "../../../../dev/null",
        "k1' OR '1'='1",
        "https://evil.example/k1",
        "k1\0",
        "*",
    ] {
        headed(
            "a key id that leads elsewhere",
            json!({ "alg": "ES256", "kid": kid }),
            by(&corp),
        );
    }
    for kid in [json!(5), json!(null), json!(["k1"]), json!({ "kid": "k1" })] {
        headed(
            "a key id that is none",
            json!({ "alg": "ES256", "kid": kid }),
            by(&corp),
        );
    }
    // A stranger's key of the same id: of nobody, of another provider that this installation trusts as well.
    headed(
        "a stranger",
        json!({ "alg": "ES256", "kid": "k1" }),
        by(&stranger),
    );
    headed(
        "a stranger without a key id",
        json!({ "alg": "ES256" }),
        by(&stranger),
    );
    let elsewhere = stranger.issuer();
    for (member, value) in [
        ("jku", json!(format!("{elsewhere}{JWKS}"))),
        ("x5u", json!(format!("{elsewhere}/cert.pem"))),
        ("jwk", stranger.key.jwk()),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
    ] {
        for kid in [json!("k1"), json!("stranger")] {
            let mut header = json!({ "alg": "ES256", "kid": kid });
            header[member] = value.clone();
            headed("a key that the token brings along", header, by(&stranger));
        }
    }
    for (member, value) in [
        ("crit", json!(["b64"])),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("typ", json!("at+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!("JWE")),
        ("typ", json!(5)),
        ("typ", json!("")),
    ] {
        let mut header = json!({ "alg": "ES256", "kid": "k1" });
        header[member] = value;
        headed("a token of another kind", header, by(&corp));
    }
    // RSA: a key for encryption, one that is bound to another algorithm, the wrong padding, and the exponent 1.
    let signed_by = |padding: &'static dyn aws_lc_rs::signature::RsaEncoding| -> Signs {
        let rsa = rsa.clone();
        Arc::new(move |message| {
            let mut signature = vec![0; rsa.public_modulus_len()];
            rsa.sign(padding, &SystemRandom::new(), message, &mut signature)
                .unwrap();
            signature
        })
    };
    headed(
        "a key for encryption",
        json!({ "alg": "RS256", "kid": "enc" }),
        signed_by(&RSA_PKCS1_SHA256),
    );
    headed(
        "a key for one algorithm",
        json!({ "alg": "RS512", "kid": "bound" }),
        signed_by(&RSA_PKCS1_SHA512),
    );
    headed(
        "a key for one algorithm",
        json!({ "alg": "PS256", "kid": "bound" }),
        signed_by(&RSA_PSS_SHA256),
    );
    headed(
        "another padding",
        json!({ "alg": "RS256", "kid": "rsa" }),
        signed_by(&RSA_PSS_SHA256),
    );
    headed(
        "another padding",
        json!({ "alg": "PS256", "kid": "rsa" }),
        signed_by(&RSA_PKCS1_SHA256),
    );
    headed(
        "another hash",
        json!({ "alg": "RS384", "kid": "rsa" }),
        signed_by(&RSA_PKCS1_SHA256),
    );
    let length = rsa.public_modulus_len();
    headed(
        "an exponent of 1",
        json!({ "alg": "RS256", "kid": "weak" }),
        Arc::new(move |message| padded(message, length)),
    );

    // What a JSON reader could read in two ways, and what is no compact JWS.
    let mut shaped = |lie: &str, change: Shaped| {
        let corp = corp.clone();
        tokens.push((lie.to_owned(), Box::new(move |tab| change(&corp, tab))));
    };
    for (lie, member) in [
        ("sub twice", r#""sub":"root","#),
        ("sub twice, escaped", r#""s\u0075b":"root","#),
        ("nonce twice", r#""nonce":"x","#),
        ("iss twice", r#""iss":"https://evil.example","#),
        (
            "twice, deeper",
            r#""realm":{"roles":[],"roles":["admin"]},"#,
        ),
        (
            "deep",
            &format!(r#""deep":{}{},"#, "[".repeat(5000), "]".repeat(5000)),
        ),
    ] {
        let member = member.to_owned();
        shaped(
            lie,
            Box::new(move |corp, tab| {
                let claims = corp
                    .claims(tab)
                    .to_string()
                    .replacen('{', &format!("{{{member}"), 1);
                corp.key
                    .signs_text(r#"{"alg":"ES256","kid":"k1"}"#, &claims)
            }),
        );
    }
    for header in [
        r#"{"alg":"none","alg":"ES256","kid":"k1"}"#,
        r#"{"alg":"ES256","kid":"k1","kid":"k2"}"#,
        r#"["ES256"]"#,
        "",
        "ES256",
        r#"{"kid":"k1"}"#,
        r#"{"alg":["ES256"],"kid":"k1"}"#,
        "\u{feff}{\"alg\":\"ES256\",\"kid\":\"k1\"}",
    ] {
        shaped(
            header,
            Box::new(move |corp, tab| corp.key.signs_text(header, &corp.claims(tab).to_string())),
        );
    }
    for (lie, shape) in [
        ("of two parts", "H.P"),
        ("without a signature", "H.P."),
        ("of four parts", "H.P.S.S"),
        ("of five", "H.P.S.P.S"),
        ("padded", "H.P.S="),
        ("with a line break", "H.P.S\n"),
        ("with a space", " H.P.S"),
        ("swapped", "P.H.S"),
        ("nothing", ""),
        ("dots", ".."),
        ("in standard base64", "H.P.+/S"),
        ("without claims", "H..S"),
        (
            "as JSON",
            "{\"payload\":\"P\",\"protected\":\"H\",\"signature\":\"S\"}",
        ),
        ("signed twice", "H.P.SS"),
    ] {
        shaped(
            lie,
            Box::new(move |corp, tab| {
                let token = corp.key.signs(&corp.claims(tab));
                let parts: Vec<&str> = token.split('.').collect();
                let put = |octet: char| match octet {
                    'H' => parts[0].to_owned(),
                    'P' => parts[1].to_owned(),
                    'S' => parts[2].to_owned(),
                    other => other.to_string(),
                };
                shape.chars().map(put).collect()
            }),
        );
    }
    shaped(
        "with other claims under the old signature",
        Box::new(|corp, tab| {
            let token = corp.key.signs(&corp.claims(tab));
            let mut claims = corp.claims(tab);
            claims["sub"] = json!("root");
            let parts: Vec<&str> = token.split('.').collect();
            format!(
                "{}.{}.{}",
                parts[0],
                URL_SAFE_NO_PAD.encode(claims.to_string()),
                parts[2]
            )
        }),
    );
    none_counts(
        "only_the_providers_own_signature_by_a_key_of_its_set_signs_anybody_in",
        &serve,
        &corp,
        &tokens,
    )
    .await?;
    let asked = stranger.lying.count(JWKS)
        + stranger.lying.count("/cert.pem")
        + stranger.lying.count(DISCOVERY);
    ensure!(asked == 0, "a token led us to a stranger");
    // And an honest RSA signature counts: what is refused above is refused for its fault.
    let tab = serve.leave("corp.corp.test", "corp", "/a").await?;
    let honest = signed_by(&RSA_PKCS1_SHA256);
    corp.says(&assembled(
        r#"{"alg":"RS256","kid":"rsa"}"#,
        &corp.claims(&tab).to_string(),
        |message| honest(message),
    ));
    serve.back(&tab).await?.session()?;
    Ok(())
}

fn rsa_jwk(pair: &RsaKeyPair, key_id: &str) -> Value {
    let public = pair.public_key();
    let encoded = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    json!({
        "kty": "RSA", "use": "sig", "kid": key_id,
        "n": encoded(public.modulus().big_endian_without_leading_zero()),
        "e": encoded(public.exponent().big_endian_without_leading_zero()),
    })
}

/// EMSA-PKCS1-v1_5 of a message (RFC 8017 §9.2): with the exponent 1, its own signature.
fn padded(message: &[u8], length: usize) -> Vec<u8> {
    const SHA_256: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message);
    let tail = [&[0][..], &SHA_256, digest.as_ref()].concat();
    let mut padded = vec![0, 1];
    padded.resize(length - tail.len(), 0xff);
    padded.extend(tail);
    padded
}
