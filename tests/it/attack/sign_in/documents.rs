//! Metadata and keys that lead elsewhere, and answers without end: an issuer of its own for each lie, since what an
//! honest one said is kept.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use aws_lc_rs::rsa::KeySize;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::join_all;
use serde_json::{Value, json};

use crate::{
    attack::{
        serve::{Honest, Serve},
        told,
    },
    bench::{Answer as Page, Visitor},
    provider::lying::{Answer, DISCOVERY, JWKS, TOKEN, USERINFO, keys, tokens},
};

/// A lie, told by an issuer below `/NAME` of one server.
struct Lie {
    name: String,
    what: String,
    metadata: Answer,
    keys: Option<Answer>,
}

async fn told_by(corp: &Honest, lies: &[Lie]) -> Result<Serve> {
    let mut providers = vec![];
    for lie in lies {
        let path = format!("/{}", lie.name);
        corp.answers(&format!("{path}{DISCOVERY}"), lie.metadata.clone());
        corp.answers(
            &format!("{path}{JWKS}"),
            lie.keys.clone().unwrap_or_else(|| keys(&[&corp.key])),
        );
        providers.push((lie.name.as_str(), format!("{}{path}", corp.issuer())));
    }
    Serve::start(&providers).await
}

async fn begin(serve: &Serve, name: &str) -> Result<Page> {
    let visit = Visitor::get(
        serve.endpoint,
        &format!("{name}.corp.test"),
        "/oauth2/start?rd=%2Fa",
    );
    visit.navigating().send().await
}

#[tokio::test]
async fn metadata_that_leads_elsewhere_or_has_two_readings_is_followed_nowhere() -> Result<()> {
    let (corp, elsewhere) = (Honest::start("k1").await, Honest::start("k1").await);
    let mut lies = vec![];
    let mut lie = |what: String, metadata: Answer| {
        let name = format!("lie{}", lies.len());
        lies.push(Lie {
            name,
            what,
            metadata,
            keys: None,
        });
    };
    let honest = |number: usize| corp.lying.metadata_below(&format!("/lie{number}"));
    let mut number = 0;
    let mut with = |member: &str, value: Value| {
        let mut metadata = honest(number);
        let what = format!("{member}: {value}");
        if value == "-" {
            metadata.as_object_mut().unwrap().remove(member);
        } else {
            metadata[member] = value;
        }
        number += 1;
        lie(what, Answer::Json(metadata));
    };
    for issuer in [
        json!("-"),
        json!(null),
        json!(""),
        json!("https://evil.example"),
        json!(corp.issuer()),
        json!(elsewhere.issuer()),
        json!(["x"]),
        json!(format!("{}/lie6/", corp.issuer())),
    ] {
        with("issuer", issuer);
    }
    // Plain http is let pass on this machine alone: what a secret or a token is sent to lies nowhere else, and no
    // issuer has a request made within the network.
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "userinfo_endpoint",
    ] {
        for url in [
            json!("http://id.corp.example/x"),
            json!("http://169.254.169.254/latest/meta-data/"),
            json!("http://10.0.0.1/x"),
            json!("http://192.0.2.1:8080/x"),
            json!("http://[fd00::1]/x"),
            json!("http://0.0.0.0/x"),
            json!("http://localhost.evil.example/x"),
            json!("http://127.0.0.1.evil.example/x"),
            json!("http://2130706433.example/x"),
            json!("https://ann:pw@id.corp.example/x"),
            json!("https://id.corp.example/x#y"),
            json!("/token"),
            json!("token"),
            json!("//id.corp.example/x"),
            json!("javascript:alert(1)"),
            json!("file:///etc/passwd"),
            json!("ftp://127.0.0.1/x"),
            json!("data:application/json,{}"),
            json!("gopher://127.0.0.1:6379/x"),
            json!("https://"),
            json!("http://"),
            json!(5),
            json!(["https://id.corp.example/x"]),
            json!(""),
        ] {
            with(endpoint, url);
        }
        if endpoint != "userinfo_endpoint" {
            with(endpoint, json!("-"));
        }
    }
    let mut text = |change: &dyn Fn(String) -> String| {
        let metadata = honest(number).to_string();
        number += 1;
        let text = change(metadata);
        lie(text.chars().take(60).collect(), Answer::Status(200, text));
    };
    let other = elsewhere.issuer();
    text(&|text| text.replacen('{', &format!("{{\"issuer\":\"{other}\","), 1));
    text(&|text| text.replacen('{', &format!("{{\"token_endpoint\":\"{other}{TOKEN}\","), 1));
    text(&|text| text.replacen('{', &format!("{{\"jwks\\u005furi\":\"{other}{JWKS}\","), 1));
    text(&|text| text.replacen('{', r#"{"mtls_endpoint_aliases":{"a":1,"a":2},"#, 1));
    text(&|text| format!("[{text}]"));
    text(&|text| format!("{text}{text}"));
    text(&|text| format!("\u{feff}{text}"));
    text(&|_| String::new());
    text(&|_| "<html>".to_owned());
    text(&|text| {
        format!(
            "{{\"deep\":{}{},{}",
            "[".repeat(9000),
            "]".repeat(9000),
            &text[1..]
        )
    });
    for status in [201, 204, 400, 401, 403, 404, 410, 500] {
        let text = honest(number).to_string();
        number += 1;
        lie(format!("status {status}"), Answer::Status(status, text));
    }
    for target in [
        format!("{other}{DISCOVERY}"),
        "https://evil.example/".to_owned(),
        DISCOVERY.to_owned(),
    ] {
        number += 1;
        lie(format!("redirect to {target}"), Answer::Redirect(target));
    }
    let control = format!("lie{number}");
    lie("none".to_owned(), Answer::Json(honest(number)));

    let serve = told_by(&corp, &lies).await?;
    for lie in &lies {
        let page = begin(&serve, &lie.name).await?;
        if lie.name == control {
            ensure!(page.status == 302, "an honest one: {}", page.status);
            continue;
        }
        ensure!(
            page.status == 503 && page.location().is_none() && page.cookies().is_empty(),
            "{}: {} {:?}",
            lie.what,
            page.status,
            page.location()
        );
        let asked =
            [TOKEN, JWKS, USERINFO].map(|path| corp.lying.count(&format!("/{}{path}", lie.name)));
        ensure!(asked == [0; 3], "{}: its endpoints were asked", lie.what);
    }
    for path in [DISCOVERY, TOKEN, JWKS, USERINFO] {
        ensure!(
            elsewhere.lying.count(path) == 0,
            "{path} elsewhere was asked"
        );
    }
    told::cases(
        "metadata_that_leads_elsewhere_or_has_two_readings_is_followed_nowhere",
        lies.len() - 1,
    );
    Ok(())
}

#[tokio::test]
async fn a_set_without_a_key_that_may_and_can_verify_verifies_nothing() -> Result<()> {
    let corp = Honest::start("k1").await;
    let good = corp.key.jwk();
    let rsa = aws_lc_rs::signature::RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let modulus = {
        use aws_lc_rs::signature::KeyPair as _;
        rsa.public_key()
            .modulus()
            .big_endian_without_leading_zero()
            .to_vec()
    };
    let changed = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        jwk
    };
    let of_rsa = |n: &[u8], e: &str| json!({ "kty": "RSA", "kid": "k1", "n": URL_SAFE_NO_PAD.encode(n), "e": e });
    let long = vec![0xff; 2048];
    let padded = [vec![0; 128], vec![0xff; 128]].concat();
    let set = |keys: Vec<Value>| Answer::Json(json!({ "keys": keys }));
    let one = |key: Value| set(vec![key]);
    let mut sets: Vec<(String, Answer)> = [
        changed("use", json!("enc")), changed("use", json!(5)), changed("key_ops", json!(["sign"])),
        changed("key_ops", json!("verify")), changed("alg", json!("HS256")), changed("alg", json!("none")),
        changed("alg", json!("RS256")), changed("alg", json!("ECDH-ES")), changed("alg", json!(["ES256"])),
        changed("crv", json!("P-384")), changed("crv", json!("secp256k1")), changed("crv", json!(null)),
        changed("x", json!("AAAA")), changed("x", json!(URL_SAFE_NO_PAD.encode([0; 32]))), changed("y", good["x"].clone()),
        changed("y", json!("")), changed("kty", json!("oct")), changed("kty", json!("RSA")), changed("kty", json!("ec")),
        changed("kid", json!("k2")), changed("kid", json!(1)), changed("kid", json!("K1")),
        of_rsa(&[0xff; 64], "AQAB"), of_rsa(&[0xff; 128], "AQAB"), of_rsa(&padded, "AQAB"), of_rsa(&long, "AQAB"),
        of_rsa(&[], "AQAB"), of_rsa(&modulus, "AQ"), of_rsa(&modulus, "Ag"), of_rsa(&modulus, ""),
        of_rsa(&modulus, "AAAA"), of_rsa(&[0; 256], "AQAB"),
        json!({ "kty": "oct", "kid": "k1", "k": "c2VjcmV0" }), json!({ "kty": "OKP", "crv": "X25519", "kid": "k1", "x": URL_SAFE_NO_PAD.encode([9; 32]) }),
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": URL_SAFE_NO_PAD.encode([0; 32]) }), json!({}), json!("k1"), json!(null),
    ]
    .into_iter()
    .map(|key| (key.to_string(), one(key)))
    .collect();
    let text = |text: &str| (text.to_owned(), Answer::Status(200, text.to_owned()));
    sets.extend([
        text(""),
        text("[]"),
        text("{}"),
        text("null"),
        text("<html>"),
        text(r#"{"keys":{}}"#),
        text(r#"{"keys":[]}"#),
        text(&format!(r#"{{"keys":[],"keys":[{good}]}}"#)),
        text(&format!(r#"{{"keys":[{good}],"keys":[]}}"#)),
        text(&format!("[{good}]")),
        text(&good.to_string()),
        text(
            &good
                .to_string()
                .replacen('{', r#"{"keys":[{"kty":"EC","kty":"EC","#, 1),
        ),
    ]);
    for status in [201, 204, 403, 404, 500, 503] {
        sets.push((
            format!("status {status}"),
            Answer::Status(status, json!({ "keys": [good] }).to_string()),
        ));
    }
    sets.push((
        "redirect".into(),
        Answer::Redirect(format!("{}{JWKS}", corp.issuer())),
    ));
    sets.push(("none".into(), one(good)));
    let lies: Vec<Lie> = sets
        .into_iter()
        .enumerate()
        .map(|(number, (what, keys))| {
            let name = format!("set{number}");
            let metadata = Answer::Json(corp.lying.metadata_below(&format!("/{name}")));
            Lie {
                name,
                what,
                metadata,
                keys: Some(keys),
            }
        })
        .collect();
    let serve = told_by(&corp, &lies).await?;
    for lie in &lies {
        let tab = serve
            .leave(&format!("{}.corp.test", lie.name), &lie.name, "/a")
            .await?;
        let mut claims = corp.claims(&tab);
        claims["iss"] = json!(format!("{}/{}", corp.issuer(), lie.name));
        corp.answers(
            &format!("/{}{TOKEN}", lie.name),
            tokens(&corp.key.signs(&claims)),
        );
        let outcome = serve.back(&tab).await?;
        if lie.what == "none" {
            outcome.session()?;
        } else {
            ensure!(outcome.is_refusal(), "{}: {outcome:?}", lie.what);
        }
    }
    told::cases(
        "a_set_without_a_key_that_may_and_can_verify_verifies_nothing",
        lies.len() - 1,
    );
    Ok(())
}

#[tokio::test]
async fn an_answer_that_is_huge_slow_or_without_end_costs_seconds_and_signs_nobody_in() -> Result<()>
{
    let corp = Honest::start("k1").await;
    let mut lies = vec![];
    let mut cases = vec![];
    for endpoint in [DISCOVERY, JWKS, TOKEN, USERINFO] {
        for (what, answer) in [
            ("5 MB", None),
            ("without end", Some(Answer::Endless)),
            ("an octet a second", Some(Answer::Drip)),
            ("headers and nothing else", Some(Answer::Silent)),
        ] {
            let name = format!("slow{}", lies.len());
            let mut metadata = corp.lying.metadata_below(&format!("/{name}"));
            metadata["userinfo_endpoint"] = json!(format!("{}/{name}{USERINFO}", corp.issuer()));
            lies.push(Lie {
                name: name.clone(),
                what: format!("{endpoint}: {what}"),
                metadata: Answer::Json(metadata.clone()),
                keys: None,
            });
            cases.push((name, endpoint, answer, metadata));
        }
    }
    let serve = told_by(&corp, &lies).await?;
    let tried = cases
        .iter()
        .map(async |(name, endpoint, answer, metadata)| -> Result<()> {
            let host = format!("{name}.corp.test");
            // Nothing is wrong with a huge one but that it is huge.
            let lie = |honest: Answer| match (answer, honest) {
                (Some(answer), _) => answer.clone(),
                (None, Answer::Json(value)) => {
                    Answer::Status(200, format!("{value}{}", " ".repeat(5 << 20)))
                }
                (None, honest) => honest,
            };
            if *endpoint == DISCOVERY {
                let answer = lie(Answer::Json(metadata.clone()));
                corp.answers(&format!("/{name}{endpoint}"), answer);
                let started = Instant::now();
                let page = begin(&serve, name).await?;
                ensure!(
                    page.status == 503 && started.elapsed() < Duration::from_secs(20),
                    "{host}: {}",
                    page.status
                );
                return Ok(());
            }
            let tab = serve.leave(&host, name, "/a").await?;
            let mut claims = corp.claims(&tab);
            claims["iss"] = json!(format!("{}/{name}", corp.issuer()));
            let (honest, who) = (tokens(&corp.key.signs(&claims)), json!({ "sub": "ann" }));
            for (path, honest) in [
                (JWKS, keys(&[&corp.key])),
                (TOKEN, honest),
                (USERINFO, Answer::Json(who)),
            ] {
                let answer = if path == *endpoint {
                    lie(honest)
                } else {
                    honest
                };
                corp.answers(&format!("/{name}{path}"), answer);
            }
            let started = Instant::now();
            let outcome = serve.back(&tab).await?;
            ensure!(outcome.is_refusal(), "{host}: {outcome:?}");
            ensure!(
                started.elapsed() < Duration::from_secs(20),
                "{host} took {:?}",
                started.elapsed()
            );
            Ok(())
        });
    for outcome in join_all(tried).await {
        outcome?;
    }
    told::cases(
        "an_answer_that_is_huge_slow_or_without_end_costs_seconds_and_signs_nobody_in",
        lies.len(),
    );
    Ok(())
}
