//! What providers say of people: who is let in by it, and what the service is told.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    attack::{
        serve::{Honest, Outcome, Serve},
        told,
    },
    bench::echo::Seen,
};

const HOST: &str = "corp.corp.test";

/// Signs in somebody of whom the provider says this as well, and asks for a page: what the service got, if anything.
async fn visits(serve: &Serve, corp: &Honest, said: &Value) -> Result<Option<Seen>> {
    let tab = serve.leave(HOST, "corp", "/a").await?;
    let mut claims = corp.claims(&tab);
    for (name, value) in said.as_object().into_iter().flatten() {
        if value == "-" {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    corp.says(&corp.key.signs(&claims));
    match serve.back(&tab).await? {
        Outcome::SignedIn(session, _) => {
            serve.enters(HOST, &session).await?;
            Ok(serve.service.seen().pop())
        }
        page @ Outcome::Page(..) => anyhow::bail!("{said}: {page:?}"),
    }
}

/// Addresses that two readers could read differently, or that are not of corp.example.
fn addresses() -> Vec<String> {
    let long = format!("{}@corp.example", "a".repeat(65));
    let longer = format!("ann@{}.corp.example", vec!["a".repeat(60); 5].join("."));
    let texts = [
        "",
        " ",
        "@",
        "ann",
        "ann@",
        "@corp.example",
        "ann@@corp.example",
        "ann@evil.example@corp.example",
        "ann@corp.example@evil.example",
        "ann@evil.example,ann@corp.example",
        "ann@corp.example,ann@evil.example",
        "ann@evil.example ann@corp.example",
        "ann@evil.example;ann@corp.example",
        "ann@evil.example\nann@corp.example",
        "\"ann@evil.example\"@corp.example",
        "\"ann\"@corp.example",
        "\"ann\"@evil.example",
        "\"ann@corp.example\"@evil.example",
        "\"@corp.example\"@evil.example",
        "ann(@evil.example)@corp.example",
        "ann@(comment)corp.example",
        "ann@corp.example(comment)",
        "(x)ann@corp.example",
        "Ann <ann@corp.example>",
        "<ann@corp.example>",
        "mailto:ann@corp.example",
        " ann@corp.example",
        "ann@corp.example ",
        "\tann@corp.example",
        "ann@corp.example\t",
        "ann@corp.example\r\n",
        "ann@corp.example\0",
        "ann@corp.example\0.evil.example",
        "ann @corp.example",
        "ann@ corp.example",
        "ann@corp.example.",
        "ann@corp.example..",
        "ann@.corp.example",
        "ann@corp..example",
        ".ann@corp.example",
        "ann.@corp.example",
        "a..n@corp.example",
        "ann@corp",
        "ann@example",
        "ann@corp.example.evil.example",
        "ann@evilcorp.example",
        "ann@evil-corp.example",
        "ann@sub.corp.example",
        "ann@corp.examples",
        "ann@corpxexample",
        "ann@[corp.example]",
        "ann@[127.0.0.1]",
        "ann@127.0.0.1",
        "ann@[IPv6:::1]",
        "ann@corp_x.example",
        "ann@-corp.example",
        // Look-alikes: Cyrillic, full width, a long s, a Kelvin sign, a soft hyphen, a zero-width space, other dots.
        "ann@c\u{43e}rp.example",
        "\u{430}nn@corp.example",
        "ann@\u{ff43}orp.example",
        "\u{ff41}nn@corp.example",
        "ann@corp.example\u{200b}",
        "ann@co\u{ad}rp.example",
        "ann@corp\u{3002}example",
        "ann@corp\u{ff0e}example",
        "ann\u{ff20}corp.example",
        "ann\u{fe6b}corp.example",
        "ann@corp.e\u{17f}ample",
        "ann@corp.example\u{202e}",
        "\u{202e}ann@corp.example",
        "ann@xn--corp-epa.example",
        "ann@c\u{f6}rp.example",
        "ann@corp.exampl\u{e9}",
        "a\u{308}nn@corp.example",
        "ann@corp%2eexample",
        "ann%40corp.example",
        "ann@corp.example%00",
        "ann@corp.example/",
        "ann@corp.example:25",
        "ann@corp.example?x",
        "ann@corp.example#x",
        "ann\\@corp.example",
        "ann@corp\\.example",
        "*@corp.example.evil.example",
    ];
    texts
        .iter()
        .map(|text| (*text).to_owned())
        .chain([long, longer])
        .collect()
}

#[tokio::test]
async fn no_address_but_a_plain_and_verified_one_of_the_domain_lets_anybody_in_or_reaches_a_service()
-> Result<()> {
    let corp = Honest::start("k1").await;
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let mut tried = 0;
    for address in [
        "ann@corp.example",
        "Ann@Corp.Example",
        "ANN@CORP.EXAMPLE",
        "ann.archer@corp.example",
        "ann+wiki@corp.example",
        "o'neil@corp.example",
        "a@corp.example",
        "1@corp.example",
        "ann-a_b@corp.example",
    ] {
        let seen = visits(&serve, &corp, &json!({ "email": address })).await?;
        let told = seen
            .as_ref()
            .and_then(|seen| seen.header("x-auth-request-email"));
        ensure!(
            told == Some(address),
            "{address}: the service is told {told:?}"
        );
    }
    for address in addresses() {
        let seen = visits(&serve, &corp, &json!({ "email": address })).await?;
        ensure!(seen.is_none(), "{address:?} let somebody in");
        // A group lets them in; the service must not take the address for one.
        let seen = visits(
            &serve,
            &corp,
            &json!({ "email": address, "groups": ["staff"] }),
        )
        .await?;
        let told = seen
            .as_ref()
            .and_then(|seen| seen.header("x-auth-request-email"));
        let plain = vestibule::policy::Email::parse(&address).is_some();
        ensure!(
            told == Some(if plain { &address } else { "" }),
            "{address:?}: the service is told {told:?}"
        );
        tried += 2;
    }
    // Only `true` vouches, and only beside the address.
    for said in [
        json!("true"),
        json!("TRUE"),
        json!("True"),
        json!("1"),
        json!("yes"),
        json!(1),
        json!(1.0),
        json!(-1),
        json!(0),
        json!(false),
        json!("false"),
        json!(null),
        json!([true]),
        json!({ "value": true }),
        json!([]),
        json!(""),
        json!("-"),
    ] {
        for groups in [json!([]), json!(["staff"])] {
            let seen = visits(
                &serve,
                &corp,
                &json!({ "email_verified": said, "groups": groups }),
            )
            .await?;
            match (&seen, groups == json!([])) {
                (None, true) => {}
                (Some(seen), false) => ensure!(
                    seen.header("x-auth-request-email") == Some(""),
                    "{said} vouched"
                ),
                _ => anyhow::bail!("email_verified: {said} let somebody in, or kept staff out"),
            }
            tried += 1;
        }
    }
    for said in [
        json!(["ann@corp.example"]),
        json!({ "value": "ann@corp.example" }),
        json!(5),
        json!(true),
        json!(null),
        json!("-"),
    ] {
        let seen = visits(&serve, &corp, &json!({ "email": said })).await?;
        ensure!(seen.is_none(), "email: {said} let somebody in");
        tried += 1;
    }
    told::cases(
        "no_address_but_a_plain_and_verified_one_of_the_domain_lets_anybody_in_or_reaches_a_service",
        tried,
    );
    Ok(())
}

#[tokio::test]
async fn no_claim_makes_another_person_or_another_header_of_somebody() -> Result<()> {
    let corp = Honest::start("k1").await;
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let plain = visits(
        &serve,
        &corp,
        &json!({ "preferred_username": "ann", "name": "Ann" }),
    )
    .await?;
    let plain = plain.unwrap_or_else(|| panic!("ann may enter"));
    assert_eq!(plain.header("x-auth-request-user"), Some("ann"));
    assert_eq!(
        plain.header("x-auth-request-preferred-username"),
        Some("ann")
    );
    let mut tried = 0;
    let hostile = [
        json!("root\r\nX-Auth-Request-User: root"),
        json!("root\nX-Admin: 1"),
        json!("root\r"),
        json!("root\0"),
        json!("\0root"),
        json!("ro\u{7f}ot"),
        json!("ro\u{85}ot"),
        json!("root\t"),
        json!("\troot"),
        json!(" root"),
        json!("root "),
        json!("root\u{a0}"),
        json!("\u{3000}root"),
        json!("\u{2003}root"),
        json!("root\u{2028}"),
        json!(" "),
        json!(""),
        json!(0),
        json!(5),
        json!(1e300),
        json!(true),
        json!(null),
        json!({ "name": "root" }),
        json!([["root"]]),
        json!([{ "name": "root" }]),
        json!("r".repeat(300)),
        json!("root\u{b}"),
        json!("root\u{1b}[31m"),
    ];
    for claim in ["preferred_username", "name", "groups", "nickname"] {
        for value in &hostile {
            let seen = visits(
                &serve,
                &corp,
                &json!({ "preferred_username": "-", claim: value }),
            )
            .await?;
            let Some(seen) = seen else {
                anyhow::bail!("{claim}: {value} kept ann out");
            };
            let names: Vec<_> = seen.headers.keys().collect();
            let expected: Vec<_> = plain.headers.keys().collect();
            ensure!(
                names == expected,
                "{claim}: {value} makes headers {names:?}"
            );
            for (header, values) in &seen.headers {
                for told in values {
                    ensure!(
                        !told.contains("root") && !told.chars().any(char::is_control),
                        "{claim}: {value} becomes {header}: {told:?}"
                    );
                }
            }
            ensure!(
                seen.header("x-auth-request-user") == Some("ann"),
                "{claim}: {value}"
            );
            tried += 1;
        }
    }
    // Names are names: a list or a number is none.
    for claim in ["preferred_username", "name"] {
        let seen = visits(&serve, &corp, &json!({ claim: ["root"] })).await?;
        ensure!(
            seen.is_some_and(|seen| !format!("{:?}", seen.headers).contains("root")),
            "{claim} as a list"
        );
        tried += 1;
    }
    // Groups: several, and none that a service would read as two or as another.
    for (groups, told) in [
        (json!(["a", "b"]), "a,b"),
        (json!("a"), "a"),
        (json!(["a", "a"]), "a"),
        (json!(["a,root", "b"]), "b"),
        (json!([" root", "b"]), "b"),
        (json!(["root ", "b"]), "b"),
        (json!([5, "b"]), "b"),
        (json!([null, ["root"], { "root": 1 }, "b"]), "b"),
        (json!(["", "b"]), "b"),
        (json!(["root\n", "b"]), "b"),
        (json!({ "root": true }), ""),
        (json!([]), ""),
    ] {
        let seen = visits(&serve, &corp, &json!({ "groups": groups })).await?;
        let said = seen
            .as_ref()
            .and_then(|seen| seen.header("x-auth-request-groups"));
        ensure!(said == Some(told), "{groups} becomes {said:?}");
        tried += 1;
    }
    // 500 groups, of which one lets her in: she is, and the session still fits.
    for place in [0, 250, 499] {
        let mut groups: Vec<String> = (0..500)
            .map(|number| format!("a-group-with-a-long-name-{number}"))
            .collect();
        groups[place] = "staff".to_owned();
        let seen = visits(&serve, &corp, &json!({ "email": "-", "groups": groups })).await?;
        let said = seen
            .as_ref()
            .and_then(|seen| seen.header("x-auth-request-groups"));
        ensure!(
            said == Some("staff"),
            "500 groups, staff at {place}: {said:?}"
        );
        groups[place] = "Staff".to_owned();
        let seen = visits(&serve, &corp, &json!({ "email": "-", "groups": groups })).await?;
        ensure!(seen.is_none(), "500 groups without staff let somebody in");
        tried += 2;
    }
    told::cases(
        "no_claim_makes_another_person_or_another_header_of_somebody",
        tried,
    );
    Ok(())
}
