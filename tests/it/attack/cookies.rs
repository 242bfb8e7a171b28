//! Cookies behind the real proxies: only a session of this person on this host lets anybody in.

use anyhow::{Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use vestibule::{policy::Identity, session::Purpose};

use super::{
    stage::{Stage, get, now},
    told,
};

/// Values that are no session of bob on this host, with the name of the trick.
fn false_cookies(stage: &Stage, good: &str) -> Result<Vec<(String, String)>> {
    let name = "__Host-vestibule";
    let host = &*stage.host;
    let bob = stage.person(&[]);
    let (start, end) = good.split_at(good.len() / 2);
    let flipped = |at: usize| {
        let mut text = good.to_owned();
        let other = if good.get(at..=at) == Some("A") {
            "B"
        } else {
            "A"
        };
        text.replace_range(at..=at, other);
        text
    };
    let plain = |who: &Identity<'_>| stage.session(host, who);
    let mut cookies = vec![
        ("nothing".to_owned(), String::new()),
        ("empty".to_owned(), format!("{name}=")),
        ("truncated".to_owned(), format!("{name}={start}")),
        ("the second half".to_owned(), format!("{name}={end}")),
        ("padded".to_owned(), format!("{name}={good}==")),
        ("quoted".to_owned(), format!("{name}=\"{good}\"")),
        (
            "split in two".to_owned(),
            format!("{name}={start}; {name}={end}"),
        ),
        (
            "chunked as oauth2-proxy does".to_owned(),
            format!("{name}_0={start}; {name}_1={end}"),
        ),
        (
            "of another host".to_owned(),
            format!("{name}={}", stage.session("other.story.test", &bob)?),
        ),
        (
            "of the auth host".to_owned(),
            format!("{name}={}", stage.session(crate::product::AUTH_HOST, &bob)?),
        ),
        (
            "under the name for plain http".to_owned(),
            format!("vestibule-http={good}"),
        ),
        (
            "under a name without prefix".to_owned(),
            format!("vestibule={good}"),
        ),
        (
            "in another case".to_owned(),
            format!("__HOST-vestibule={good}"),
        ),
        ("without a name".to_owned(), format!("={name}={good}")),
        (
            "of an oauth2-proxy".to_owned(),
            format!("_oauth2_proxy={good}"),
        ),
        (
            "lower case".to_owned(),
            format!("{name}={}", good.to_lowercase()),
        ),
        ("standard base64".to_owned(), format!("{name}=+/{good}")),
        (
            "behind four of junk".to_owned(),
            format!(
                "{0}; {name}={good}",
                [
                    format!("{name}=x"),
                    format!("{name}=y"),
                    format!("{name}=z"),
                    format!("{name}=w")
                ]
                .join("; ")
            ),
        ),
        (
            "a hundred of junk".to_owned(),
            vec![format!("{name}=AQAAAAfiZKdYzbgd"); 100].join("; "),
        ),
        ("60 KB".to_owned(), format!("{name}={}", "A".repeat(60_000))),
        ("not ASCII".to_owned(), format!("{name}=\u{e4}{good}")),
        ("a template".to_owned(), format!("{name}={{{{{good}}}}}")),
        ("escaped".to_owned(), format!("{name}=%41{good}")),
        (
            "ended".to_owned(),
            format!(
                "{name}={}",
                plain(&Identity {
                    ends_at: now(),
                    ..bob.clone()
                })?
            ),
        ),
        (
            "from the future".to_owned(),
            format!(
                "{name}={}",
                plain(&Identity {
                    issued_at: vestibule::policy::Moment(now().0 + 3600),
                    ..bob.clone()
                })?
            ),
        ),
        (
            "of another provider".to_owned(),
            format!(
                "{name}={}",
                plain(&Identity {
                    provider: "other".into(),
                    ..bob.clone()
                })?
            ),
        ),
        (
            "of another issuer".to_owned(),
            format!(
                "{name}={}",
                plain(&Identity {
                    issuer: "https://other.example".into(),
                    ..bob.clone()
                })?
            ),
        ),
        (
            "of an address nobody verified".to_owned(),
            format!(
                "{name}={}",
                plain(&Identity {
                    email_verified: false,
                    ..bob.clone()
                })?
            ),
        ),
        (
            "of somebody else's domain".to_owned(),
            format!(
                "{name}={}",
                plain(&Identity {
                    email: Some("bob@corp.example.evil.example".into()),
                    ..bob.clone()
                })?
            ),
        ),
    ];
    // Somebody who may not enter is in front: one cookie counts, and everywhere the same.
    let eve = Identity {
        subject: "eve".into(),
        email: Some("eve@elsewhere.example".into()),
        ..bob.clone()
    };
    cookies.push((
        "of somebody else in front of it".to_owned(),
        format!("{name}={}; {name}={good}", plain(&eve)?),
    ));
    for version in [0, 2, 255] {
        let mut sealed = URL_SAFE_NO_PAD.decode(good)?;
        sealed[0] = version;
        let sealed = URL_SAFE_NO_PAD.encode(sealed);
        cookies.push((format!("of version {version}"), format!("{name}={sealed}")));
    }
    for at in [
        0,
        1,
        4,
        6,
        10,
        20,
        good.len() / 2,
        good.len() - 23,
        good.len() - 2,
    ] {
        cookies.push((
            format!("changed at {at}"),
            format!("{name}={}", flipped(at)),
        ));
    }
    for purpose in [
        Purpose::Attempt,
        Purpose::HandOffRequest,
        Purpose::HandOffTicket,
        Purpose::SignOut,
        Purpose::Landed,
    ] {
        let sealed =
            stage
                .keys()
                .seal_value(purpose, host, &bob, now(), vestibule::session::random);
        cookies.push((
            format!("sealed as {purpose:?}"),
            format!("{name}={}", sealed.unwrap_or_default()),
        ));
    }
    let foreign = vestibule::session::Keys::new(std::sync::Arc::new(
        vestibule::published::KeyRing::first(1, [1; 32]),
    ));
    let sealed = foreign.seal_value(
        Purpose::Session,
        host,
        &bob,
        now(),
        vestibule::session::random,
    );
    cookies.push((
        "of another key".to_owned(),
        format!("{name}={}", sealed.unwrap_or_default()),
    ));
    Ok(cookies)
}

#[tokio::test]
async fn only_a_session_of_this_person_on_this_host_lets_anybody_in() -> Result<()> {
    let stage = Stage::new("cookies", "cookies.story.test").await?;
    let good = stage.session(&stage.host, &stage.person(&[]))?;
    let cookies = false_cookies(&stage, &good)?;
    for (door, address) in &stage.doors {
        for (trick, cookie) in &cookies {
            let answer = get(
                *address,
                &stage.host,
                b"/x",
                &[&format!("Cookie: {cookie}"), "Accept: text/html"],
            )
            .await?;
            let seen = stage.service.take();
            ensure!(seen.is_empty(), "a cookie {trick} let in through {door}");
            ensure!(
                matches!(answer.status, 302 | 400 | 401 | 403 | 431),
                "a cookie {trick}: {door} answers {}",
                answer.status
            );
        }
        // Whatever else is sent beside it, the good one counts; in two lines as well.
        for lines in [
            vec![format!("Cookie: __Host-vestibule={good}")],
            vec![format!(
                "Cookie: a=b; __Host-vestibule=junk; __Host-vestibule={good}"
            )],
            vec![
                "Cookie: __Host-vestibule=junk".to_owned(),
                format!("Cookie: __Host-vestibule={good}"),
            ],
        ] {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            get(*address, &stage.host, b"/x", &lines).await?;
            ensure!(
                stage.service.take() == [b"/x"],
                "{door}: {} lines with the good cookie",
                lines.len()
            );
        }
    }
    told::cases(
        "only_a_session_of_this_person_on_this_host_lets_anybody_in",
        cookies.len() * stage.doors.len(),
    );
    Ok(())
}
