//! The check behind the real proxies: what a client writes into Host, headers and the request itself.

use anyhow::{Result, ensure};

use super::{
    stage::{Stage, get},
    told,
};
use crate::bench::raw;

/// A request must not arrive, whoever sends it; how it is refused is the proxy's affair.
async fn refused(stage: &Stage, request: &str, what: &str) -> Result<()> {
    for (door, address) in &stage.doors {
        let answer = raw::send(*address, request.as_bytes()).await?;
        let seen = stage.service.take_heads();
        ensure!(
            seen.is_empty(),
            "{what} arrived through {door} ({}): {}",
            answer.status,
            seen.concat().escape_ascii()
        );
    }
    Ok(())
}

#[tokio::test]
async fn nothing_in_host_becomes_a_parameter_of_the_check_on_a_wildcard_host() -> Result<()> {
    let stage = Stage::new("wild", "*.wild.story.test").await?;
    let good = "one.wild.story.test";
    let cookie = stage.session(good, &stage.person(&[]))?;
    let cookie = format!("Cookie: __Host-vestibule={cookie}");
    for (door, address) in &stage.doors {
        let answer = get(*address, good, b"/x", &[&cookie]).await?;
        ensure!(
            !stage.service.take().is_empty(),
            "{door}: {} {}",
            answer.status,
            answer.head
        );
    }
    let mut tried = 0;
    let hosts = [
        "one.wild.story.test&u=%2Fpub%2Fx",
        "x&u=%2Fpub%2Fx.wild.story.test",
        "x&u=/pub/x&h=one.wild.story.test",
        "x&m=GET&u=%2Fpub%2Fx&h=one.wild.story.test",
        "x%26u=%2Fpub%2Fx.wild.story.test",
        "x#.wild.story.test",
        "x#&h=one.wild.story.test",
        "x=y.wild.story.test",
        "x;u=/pub/x.wild.story.test",
        "x%00.wild.story.test",
        "x?.wild.story.test",
        "x/.wild.story.test",
        "x\\.wild.story.test",
        "x@one.wild.story.test",
        "one.wild.story.test:80&u=%2Fpub%2Fx",
        "one.wild.story.test:80:80",
        "one.wild.story.test#",
        "a.b.wild.story.test",
        ".wild.story.test",
        "wild.story.test",
        "-x.wild.story.test",
        "x_y.wild.story.test",
        "xn--.wild.story.test",
        "one.wild.story.test..",
        "\"one\".wild.story.test",
        "o ne.wild.story.test",
        "[::1]",
        "127.0.0.1",
        "",
        "%6fne.wild.story.test",
        "two.wild.story.test",
        "one.wild.story.test, two.wild.story.test",
    ];
    for host in hosts {
        // Bob may not see the first two on any host; on the third he would be a stranger.
        for (target, cookie) in [
            ("/secret", &*cookie),
            ("/internal/x", &cookie),
            ("/other", "X: y"),
        ] {
            for (line, asked) in [
                (format!("GET {target}"), host),
                (format!("GET http://{host}{target}"), "two.wild.story.test"),
            ] {
                let request = format!(
                    "{line} HTTP/1.1\r\nHost: {asked}\r\n{cookie}\r\nConnection: close\r\n\r\n"
                );
                refused(&stage, &request, &format!("{line}, Host: {asked}")).await?;
            }
            tried += 2 * stage.doors.len();
        }
    }
    for request in [
        format!(
            "GET /other HTTP/1.1\r\nHost: two.wild.story.test\r\n{cookie}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET /other HTTP/1.1\r\nHost: one.wild.story.test\r\nHost: two.wild.story.test\r\n{cookie}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET /other HTTP/1.1\r\nHost: two.wild.story.test\r\nHost: one.wild.story.test\r\n{cookie}\r\nConnection: close\r\n\r\n"
        ),
        format!(
            "GET /other HTTP/1.1\r\nHost : one.wild.story.test\r\n{cookie}\r\nConnection: close\r\n\r\n"
        ),
        format!("GET /other HTTP/1.1\r\n{cookie}\r\nConnection: close\r\n\r\n"),
        format!("GET /other HTTP/1.0\r\n{cookie}\r\n\r\n"),
        format!("GET /other HTTP/0.9\r\n{cookie}\r\n\r\n"),
        "GET /other\r\n".to_owned(),
    ] {
        refused(&stage, &request, &request).await?;
        tried += stage.doors.len();
    }
    told::cases(
        "nothing_in_host_becomes_a_parameter_of_the_check_on_a_wildcard_host",
        tried,
    );
    Ok(())
}

#[tokio::test]
async fn no_header_method_or_framing_lets_a_stranger_in_or_makes_bob_somebody_else() -> Result<()> {
    let stage = Stage::new("lies", "lies.story.test").await?;
    let bob = stage.session(&stage.host, &stage.person(&[]))?;
    let headers = [
        "X-Original-URL: https://lies.story.test/pub/x",
        "X-Original-URI: /pub/x",
        "X-Original-Method: OPTIONS",
        "X-Forwarded-Uri: /pub/x",
        "X-Forwarded-Host: other.story.test",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Prefix: /pub/",
        "X-Rewrite-URL: /pub/x",
        "X-Auth-Request-Redirect: /pub/x",
        "X-Auth-Request-User: ann",
        "X-Auth-Request-Email: ann@corp.example",
        "X-Auth-Request-Groups: wiki-admins",
        "X-Forwarded-User: ann",
        "Authorization: Bearer x",
        "Authorization: Basic YW5uOng=",
        "Range: bytes=0-0",
        "Range: bytes=0-,0-,0-",
        "Range: bytes=0-0\r\nIf-Range: *",
        "If-Match: *",
        "If-Unmodified-Since: Sat, 01 Jan 2050 00:00:00 GMT",
        "If-None-Match: *",
        "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT",
        "Expect: 100-continue",
        "TE: trailers",
        "X-HTTP-Method-Override: OPTIONS",
        "Access-Control-Request-Method: GET",
        "Origin: https://lies.story.test",
        "Purpose: prefetch",
        "Sec-Fetch-Mode: no-cors",
        "Sec-Fetch-Dest: image",
        "Upgrade: websocket\r\nConnection: upgrade",
        "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        "Forwarded: host=other.story.test",
        "Connection: cookie",
        "Connection: X-Auth-Request-User",
        "Via: 1.1 lies.story.test",
        "X-Sent-From: nginx-ingress-controller",
    ];
    let doors = stage.doors.len();
    let mut tried = headers.len() * doors;
    for header in headers {
        let request = format!(
            "GET /other/x HTTP/1.1\r\nHost: {}\r\n{header}\r\nConnection: close\r\n\r\n",
            stage.host
        );
        refused(&stage, &request, header).await?;
    }
    let host = &stage.host;
    for request in [
        format!("OPTIONS /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("HEAD /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("VERSION-CONTROL /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("get /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("PURGE /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("TRACE /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("G%45T /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!("GET&u=%2Fpub%2Fx /other/x HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        format!(
            "POST /other/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
        ),
        format!(
            "POST /other/x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
        format!(
            "POST /pub/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /other/x HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ),
        format!(
            "POST /other/x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello!"
        ),
        format!(
            "POST /other/x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding : chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
        ),
        format!(
            "POST /other/x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n0\r\n\r\n"
        ),
        format!("GET /other/x HTTP/1.0\r\nHost: {host}\r\n\r\n"),
        format!(
            "GET /other/x HTTP/1.1\r\nHost: {host}\r\nX: {}\r\nConnection: close\r\n\r\n",
            "y".repeat(100_000)
        ),
        format!(
            "GET /other/{} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n",
            "y".repeat(60_000)
        ),
        format!(
            "GET /other/x HTTP/1.1\r\nHost: {host}\r\n folded: yes\r\nConnection: close\r\n\r\n"
        ),
        format!("GET /other/x HTTP/1.1\nHost: {host}\nConnection: close\n\n"),
        format!("GET /other/x HTTP/1.1\r\nHost: {host}\r\n"),
    ] {
        let line = request
            .lines()
            .next()
            .unwrap_or_default()
            .chars()
            .take(60)
            .collect::<String>();
        tried += doors;
        for (door, address) in &stage.doors {
            raw::send(*address, request.as_bytes()).await?;
            let targets = stage.service.take();
            ensure!(
                targets.iter().all(|target| target.starts_with(b"/pub/")),
                "{line} arrived through {door}"
            );
        }
    }
    // Pipelined: each is judged by itself.
    for (door, address) in &stage.doors {
        let pipelined = format!(
            "GET /pub/x HTTP/1.1\r\nHost: {host}\r\n\r\nGET /other/x HTTP/1.1\r\nHost: {host}\r\n\r\nGET /pub/y HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        );
        raw::send(*address, pipelined.as_bytes()).await?;
        tried += 3;
        let seen = stage.service.take();
        ensure!(
            seen.iter().all(|target| target.starts_with(b"/pub/")) && !seen.is_empty(),
            "{door}: pipelined"
        );
    }
    // Bob stays bob, and no more.
    for (door, address) in &stage.doors {
        for name in [
            "X-Auth-Request-User",
            "X-Auth-Request-Email",
            "X-Auth-Request-Groups",
            "X-Auth-Request-Access-Token",
            "X-Auth-Request-Preferred-Username",
            "x-auth-request-user",
            "X_Auth_Request_User",
            "X-Auth-Request_User",
            "X-AUTH-REQUEST-GROUPS",
            "X.Auth.Request.User",
            "X!Auth~Request'Groups",
        ] {
            for value in ["ann", "wiki-admins", ""] {
                let lines = [
                    format!("Cookie: __Host-vestibule={bob}"),
                    format!("{name}: {value}"),
                    format!("{name}: {value}"),
                ];
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                get(*address, host, b"/x", &lines).await?;
                tried += 1;
                for head in stage.service.take_heads() {
                    let head = String::from_utf8_lossy(&head).to_lowercase();
                    let lines = head
                        .lines()
                        .filter(|line| line.starts_with("x") && line.contains("auth"));
                    for line in lines {
                        ensure!(
                            !line.contains("ann") && !line.contains("wiki-admins"),
                            "{door}, {name}: {line}"
                        );
                    }
                    ensure!(head.contains("bob@corp.example"), "{door}: {head}");
                }
            }
        }
        // Nor does he become nobody: a service may take a missing header for its own good reasons.
        for nominated in [
            "X-Auth-Request-User, X-Auth-Request-Email",
            "keep-alive, x-auth-request-email",
        ] {
            let lines = [
                format!("Cookie: __Host-vestibule={bob}"),
                format!("Connection: {nominated}"),
            ];
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            get(*address, host, b"/x", &lines).await?;
            tried += 1;
            for head in stage.service.take_heads() {
                let head = String::from_utf8_lossy(&head).to_lowercase();
                ensure!(
                    head.contains("bob@corp.example"),
                    "{door}, Connection: {nominated}: {head}"
                );
            }
        }
    }
    told::cases(
        "no_header_method_or_framing_lets_a_stranger_in_or_makes_bob_somebody_else",
        tried,
    );
    Ok(())
}
