//! Where a browser is sent after sign-in: from the parameter, the header and the attempt that the browser keeps, with
//! and without a session. Whatever could lead elsewhere leads to the front page, and every page of the host is reached.

use anyhow::{Context, Result, ensure};
use url::Url;
use vestibule::{
    policy::{Host, Moment, Scheme},
    session::{self, Attempt, AttemptPurpose, Names, Secrets, State},
};

use crate::{
    attack::{
        serve::{Honest, Outcome, Serve, Tab, now},
        told,
    },
    bench::Visitor,
};

const HOST: &str = "corp.corp.test";

/// Targets that some browser or proxy reads as another host, another scheme or another page; `HOST` stands for ours.
fn hostile() -> Vec<String> {
    let long = format!("/{}", "a".repeat(8 * 1024));
    let texts = [
        // Schemes.
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "java\tscript:alert(1)",
        " javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "ftp://HOST/",
        "file:///etc/passwd",
        "view-source:https://HOST/",
        "blob:https://HOST/x",
        "about:blank",
        "https:",
        "https:/",
        "https://",
        "https:HOST/x",
        "https:evil.example",
        "https:/evil.example",
        "https:///evil.example",
        "https:////evil.example",
        "https:\\\\evil.example",
        "wss://HOST/",
        "://HOST/",
        "HOST",
        "HOST/x",
        "x",
        "?x",
        "#x",
        ".",
        "..",
        "*",
        // Slashes and backslashes.
        "//",
        "///",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "\\evil.example",
        "/\\/evil.example",
        "//\\evil.example",
        "//HOST",
        "//HOST/x",
        "/x\\..\\y",
        "https://HOST\\evil.example",
        "https://HOST\\@evil.example",
        "https://evil.example\\@HOST/",
        "https://HOST//evil.example",
        "https://HOST/\\evil.example",
        // Tabs, newlines, spaces, NUL: browsers drop some of them.
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "/\r\nLocation: https://evil.example/",
        "\t//evil.example",
        "\n/evil.example",
        " /x",
        " //evil.example",
        "/ /evil.example",
        "/x ",
        "/\0/evil.example",
        "/\u{b}/evil.example",
        "/\u{7f}x",
        "ht\ntps://evil.example",
        "https://HOST\n.evil.example/",
        "/x\r\n\r\n<script>",
        // User information and ports.
        "https://evil.example@HOST/",
        "https://HOST@evil.example/",
        "https://HOST:443@evil.example/",
        "https://a:b@HOST/",
        "https://@HOST/",
        "https://HOST%40evil.example/",
        "https://HOST:/",
        "https://HOST:80:443/",
        "https://HOST:8443/",
        "https://HOST:22/",
        "https://HOST:0444/x",
        "https://HOST:99999/",
        "https://HOST:-1/",
        "https://HOST:443x/",
        "https://HOST: 443/",
        "http://HOST:8080/",
        // Other hosts.
        "https://evil.example",
        "http://evil.example/",
        "HTTPS://EVIL.EXAMPLE/",
        "https://HOST.evil.example/",
        "https://evil-HOST/",
        "https://evil.HOST/",
        "https://both.corp.test/",
        "https://corp.test/",
        "https://HOST./",
        "https://HOST../",
        "https://.HOST/",
        "https://HOST%2eevil.example/",
        "https://HOST%00.evil.example/",
        "https://HOST%2f.evil.example/",
        "https://HOST;evil.example/",
        "https://HOST,evil.example/",
        "https://HOST&evil.example/",
        // IDNA and look-alikes.
        "https://c\u{43e}rp.corp.test/",
        "https://corp\u{3002}corp\u{3002}test/",
        "https://\u{ff43}orp.corp.test/",
        "https://corp.corp.te\u{ad}st/",
        "https://corp.corp.te\u{200d}st/",
        "https://HOST\u{2044}.evil.example/",
        "https://HOST\u{ff0f}.evil.example/",
        "https://HOST\u{2100}.evil.example/",
        "https://xn--corp-.corp.test/",
        "/\u{2044}/evil.example",
        "/\u{ff0f}evil.example",
        "\u{ff0f}\u{ff0f}evil.example",
        "/\u{e4}",
        "\u{feff}/x",
        // Addresses.
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[HOST]/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://0/",
        // Dot segments, plain and encoded.
        "/..",
        "/../x",
        "/x/..",
        "/x/../y",
        "/.",
        "/./x",
        "/x/.",
        "/%2e%2e/x",
        "/%2E./x",
        "/.%2e/x",
        "/%2e/x",
        "/x/%2e%2e%2fy",
        "/..%2fx",
        "/..%5cx",
        "/x%2f..%2fy",
        "https://HOST/../x",
        "https://HOST/%2e%2e//evil.example",
        "/..;/x%2f..",
        // Escapes that are none.
        "/%",
        "/%2",
        "/%g0",
        "/%%32%66",
        "/x?%",
        "/x?%zz",
        "https://HOST?%2",
        // The endpoint itself: a page that signs out, or sends round in circles.
        "/oauth2",
        "/oauth2/sign_out",
        "/oauth2/start?rd=/x",
        "https://HOST/oauth2/sign_out",
        "/oauth2?x",
        "",
        &long,
    ];
    texts
        .iter()
        .map(|text| text.replace("HOST", HOST))
        .collect()
}

/// Targets of everyday, and where they lead.
fn legitimate() -> Vec<(String, String)> {
    let same = [
        "/",
        "/x",
        "/x/",
        "/x/y/z",
        "/x?y=1",
        "/?x",
        "/x?y=1&z=2",
        "/x?",
        "/x?y=https://evil.example/",
        "/x?y=//evil.example",
        "/x?y=/../z",
        "/x?next=%2F%2Fevil.example",
        "/x%20y",
        "/x+y",
        "/%C3%A4",
        "/x%2Fy",
        "/x;y=1",
        "/x:y",
        "/x@y",
        "/x!$&'()*+,;=y",
        "/~ann",
        "/-_.x",
        "/x..y",
        "/...",
        "/x/..y/z",
        "/x/y..",
        "/.well-known/x",
        "/x//y",
        "/x/y//",
        "/%252e%252e/x",
        "/%5Cevil.example",
        "/%2F/evil.example",
        "/%09/x",
        "/https://evil.example",
        "/oauth2x",
        "/oauth/x",
        "/OAUTH2/x",
        "/x?y=a@b",
        "/x?y=a?b",
        "/x?t=12:30",
        "/x?y=%23z",
        "/x?y=%00",
        "/evil.example",
    ];
    let long = format!("/x?y={}", "a".repeat(1400));
    let as_it_is = same
        .iter()
        .map(|text| ((*text).to_owned(), (*text).to_owned()))
        .chain([(long.clone(), long)]);
    let others = [
        ("https://HOST", "/"),
        ("https://HOST/", "/"),
        ("https://HOST?x", "/?x"),
        ("https://HOST/x?y=1", "/x?y=1"),
        ("http://HOST/x", "/x"),
        ("https://HOST:443/x", "/x"),
        ("http://HOST:80/x", "/x"),
        ("HTTPS://CORP.corp.TEST/x", "/x"),
        ("https://HOST/x#part", "/x"),
        ("/x#part", "/x"),
        ("/x#//evil.example", "/x"),
        ("https://HOST#x", "/"),
        // What browsers leave bare although RFC 3986 has it encoded.
        ("/x?label[]=bug&y={1}", "/x?label%5B%5D=bug&y=%7B1%7D"),
        ("/x?y=a|b^c`d", "/x?y=a%7Cb%5Ec%60d"),
        ("/x[1]|y", "/x%5B1%5D%7Cy"),
        ("http://HOST/x?label[]=bug", "/x?label%5B%5D=bug"),
    ];
    let others = others.map(|(text, leads)| (text.replace("HOST", HOST), leads.to_owned()));
    as_it_is.chain(others).collect()
}

fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Fails unless a browser that follows this stays on the host, whichever page of ours it is on.
fn stays(target: &str, leads: &str) -> Result<()> {
    ensure!(
        leads.starts_with('/') && !leads.starts_with("//"),
        "{target:?} leads to {leads:?}"
    );
    for page in ["/oauth2/start", "/oauth2/callback/corp", "/"] {
        let page = Url::parse(&format!("https://{HOST}"))?.join(page)?;
        let url = page.join(leads)?;
        ensure!(
            url.origin() == page.origin() && url.username().is_empty(),
            "{target:?} leads to {url}"
        );
    }
    Ok(())
}

async fn ends_at(serve: &Serve, corp: &Honest, tab: &Tab) -> Result<String> {
    corp.is_honest_to(tab);
    match serve.back(tab).await? {
        Outcome::SignedIn(_, leads) => Ok(leads),
        page @ Outcome::Page(..) => anyhow::bail!("{page:?}"),
    }
}

#[tokio::test]
async fn no_return_target_leads_off_the_host_and_every_page_of_it_is_reached() -> Result<()> {
    let corp = Honest::start("k1").await;
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let tab = serve.leave(HOST, "corp", "/a").await?;
    corp.is_honest_to(&tab);
    let session = serve.back(&tab).await?.session()?.to_owned();
    let keys = serve.keys()?;
    let stored = |return_to: &str| -> Result<Tab> {
        let attempt = Attempt {
            state: State::new(Moment(now()), session::random),
            begun_at: Moment(now()),
            provider: "corp".into(),
            purpose: AttemptPurpose::Here {
                return_to: return_to.to_owned(),
            },
            secrets: Secrets {
                nonce: "n".into(),
                pkce_verifier: "v".repeat(43),
            },
            max_age: None,
        };
        let host = Host::parse(HOST).context("a host")?;
        let sealed = attempt.seal(
            Names::at(Scheme::Https),
            &keys,
            &host,
            Moment(now()),
            session::random,
        );
        let (name, value) = sealed.context("sealed")?;
        let state = attempt.state.as_str().to_owned();
        Ok(Tab {
            cookies: format!("{name}={value}"),
            state,
            nonce: "n".into(),
            ..tab.clone()
        })
    };
    let with_session = async |query: &str| -> Result<String> {
        let visit =
            Visitor::get(serve.endpoint, HOST, &format!("/oauth2/start?{query}")).navigating();
        let answer = visit.header("cookie", &session).send().await?;
        ensure!(answer.status == 302, "{query}: {}", answer.status);
        Ok(answer.location().unwrap_or_default().to_owned())
    };
    let mut tried = 0;
    let hostile = hostile().into_iter().map(|target| (target, "/".to_owned()));
    for (target, expected) in hostile.chain(legitimate()) {
        let rd = format!("rd={}", escaped(&target));
        let mut led = vec![
            (
                "the parameter",
                ends_at(
                    &serve,
                    &corp,
                    &serve.leave_with(HOST, "corp", &rd, "").await?,
                )
                .await?,
            ),
            ("the parameter, with a session", with_session(&rd).await?),
        ];
        // A header holds no control; nginx writes what browsers leave bare, which becomes a link's spelling.
        let fits = target
            .bytes()
            .all(|octet| octet.is_ascii_graphic() || octet == b' ')
            && target.trim() == target;
        if fits && !target.is_empty() {
            led.push((
                "the header",
                ends_at(
                    &serve,
                    &corp,
                    &serve.leave_with(HOST, "corp", "", &target).await?,
                )
                .await?,
            ));
        }
        // The settings may have changed since the attempt began; what it holds is read once more, to the letter.
        let letter = target.starts_with('/')
            && expected.starts_with(target.split('#').next().unwrap_or_default());
        if !target.contains("oauth2") && (expected == "/" || letter) {
            led.push((
                "the attempt",
                ends_at(&serve, &corp, &stored(&target)?).await?,
            ));
        }
        for (place, leads) in &led {
            stays(&target, leads)?;
            ensure!(
                *leads == expected,
                "{target:?} in {place} leads to {leads:?}, not {expected:?}"
            );
        }
        tried += led.len();
    }
    // Several, and under other names: the first counts, since data planes write theirs in front.
    for (query, leads) in [
        ("rd=%2Fx&rd=https%3A%2F%2Fevil.example", "/x"),
        ("rd=https%3A%2F%2Fevil.example&rd=%2Fx", "/"),
        ("rd=&rd=%2Fx", "/"),
        ("RD=%2Fx", "/"),
        ("rd[]=%2Fx", "/"),
        ("rd%00=%2Fx", "/"),
        ("redirect=%2Fx&next=%2Fx&return_to=%2Fx", "/"),
        ("rd=%252Fx", "/"),
        ("rd=%252F%252Fevil.example", "/"),
        ("rd=%ff%fe", "/"),
        ("rd=/x;rd=//evil.example", "/x;rd=//evil.example"),
        ("rd", "/"),
    ] {
        ensure!(with_session(query).await? == leads, "{query}");
        tried += 1;
    }
    told::cases(
        "no_return_target_leads_off_the_host_and_every_page_of_it_is_reached",
        tried,
    );
    Ok(())
}
