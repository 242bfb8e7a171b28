//! Every parameter of a callback, wrong in every way, and every error that OAuth knows.

use anyhow::{Result, ensure};

use crate::{
    attack::{
        serve::{Honest, Outcome, Serve},
        told,
    },
    bench::Visitor,
    provider::lying::TOKEN,
};

/// What a page must not repeat.
const MARKS: [&str; 5] = ["<script", "injected", "javascript:", "\u{202e}", "the-code"];

#[tokio::test]
async fn no_parameter_of_a_callback_signs_anybody_in_or_is_repeated_on_a_page() -> Result<()> {
    let corp = Honest::start("k1").await;
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let host = "corp.corp.test";
    let mut queries: Vec<String> = vec![];
    // The errors of RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6 and RFC 8628, and words that are none.
    for error in [
        "invalid_request",
        "unauthorized_client",
        "access_denied",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
        "invalid_request_uri",
        "invalid_request_object",
        "request_not_supported",
        "request_uri_not_supported",
        "registration_not_supported",
        "invalid_target",
        "slow_down",
        "",
        "injected%20words",
        "%3Cscript%3Ealert(1)%3C/script%3E",
        "%0d%0aSet-Cookie:%20injected",
        "%00",
        "%ff%fe",
        "%E2%80%AEinjected",
        "javascript:alert(1)",
    ] {
        queries.push(format!("error={error}&state=STATE"));
        queries.push(format!("error={error}&state=STATE&code=the-code&error_description=injected&error_uri=javascript:alert(1)"));
    }
    queries.push(format!("error={}&state=STATE", "injected".repeat(500)));
    // Missing, empty, named twice, or not where it belongs.
    for query in [
        "",
        "state=STATE",
        "code=the-code",
        "code=&state=STATE",
        "code=the-code&state=",
        "state=STATE&code",
        "code=the-code&code=the-code&state=STATE",
        "code=the-code&code=other&state=STATE",
        "code=&code=the-code&state=STATE",
        "code=the-code&state=STATE&state=STATE",
        "code=the-code&state=x&state=STATE",
        "code=the-code&state=STATE&state=x",
        "code=the-code&state=STATE&iss=&iss=",
        "error=&error=access_denied&state=STATE",
        "Code=the-code&State=STATE",
        "code[]=the-code&state=STATE",
        "code=the-code;state=STATE",
        "code=the-code%26state=STATE",
        "#code=the-code&state=STATE",
        "response=eyJ&state=STATE",
        "access_token=a&token_type=Bearer&state=STATE",
        "id_token=eyJ&state=STATE",
        "code%00=the-code&state=STATE",
        "request_uri=https://evil.example/&state=STATE",
        "%63ode=&state=STATE",
    ] {
        queries.push(query.to_owned());
    }
    // What no authorization server issues as a code (RFC 6749, appendix A.11).
    for code in [
        "%00",
        "the-code%0d%0aX:injected",
        "%ff",
        "%C3%A4",
        "a%7F",
        "the-code%09",
    ] {
        queries.push(format!("code={code}&state=STATE"));
    }
    queries.push(format!("code={}&state=STATE", "a".repeat(20_000)));
    for query in &queries {
        let tab = serve.leave(host, "corp", "/a").await?;
        corp.is_honest_to(&tab);
        let codes = corp.lying.count(TOKEN);
        let query = query.replace("STATE", &tab.state);
        let shown: String = query.chars().take(100).collect();
        let target = format!("/oauth2/callback/corp?{query}");
        let answer = serve.ask(host, &target, &tab.cookies).await?;
        ensure!(
            Outcome::of(&answer)?.is_refusal(),
            "{shown}: {} {}",
            answer.status,
            answer.body
        );
        ensure!(
            corp.lying.count(TOKEN) == codes,
            "{shown}: a code was sent off"
        );
        // The same for a person, who reads a page.
        let visit = Visitor::get(serve.endpoint, host, &target)
            .navigating()
            .header("cookie", &tab.cookies);
        let page = visit.send().await?;
        ensure!(
            page.status.is_client_error() && page.location().is_none(),
            "{shown}: {}",
            page.status
        );
        for mark in MARKS {
            ensure!(
                !page.body.contains(mark) && !answer.body.contains(mark),
                "{shown}: {mark} is repeated: {}",
                page.body
            );
        }
        for (name, value) in &page.headers {
            ensure!(
                !value.as_bytes().windows(8).any(|part| part == b"injected"),
                "{shown}: in {name}"
            );
        }
    }
    // Methods and responses of other kinds: the answer comes in the query of a GET (`response_mode` is not asked for).
    let mut methods = 0;
    for method in [
        "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE",
    ] {
        let tab = serve.leave(host, "corp", "/a").await?;
        corp.is_honest_to(&tab);
        let in_query = format!("/oauth2/callback/corp?code=c&state={}", tab.state);
        for (target, body) in [
            (in_query, String::new()),
            (
                "/oauth2/callback/corp".into(),
                format!("code=c&state={}", tab.state),
            ),
        ] {
            let visit = Visitor::get(serve.endpoint, host, &target)
                .method(method.parse()?)
                .header("content-type", "application/x-www-form-urlencoded")
                .header("content-length", &body.len().to_string())
                .header("cookie", &tab.cookies);
            let answer = visit.body(body).send().await?;
            ensure!(
                answer.status == 405 && answer.cookies().is_empty(),
                "{method}: {}",
                answer.status
            );
            ensure!(
                answer.header("cache-control") == Some("no-store"),
                "{method}: it may be kept"
            );
            methods += 1;
        }
    }
    let tab = serve.leave(host, "corp", "/a").await?;
    corp.is_honest_to(&tab);
    serve.back(&tab).await?.session()?;
    ensure!(
        !serve.process.printed().contains("the-code"),
        "the log has a code"
    );
    told::cases(
        "no_parameter_of_a_callback_signs_anybody_in_or_is_repeated_on_a_page",
        queries.len() + methods,
    );
    Ok(())
}
