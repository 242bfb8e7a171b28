//! The check itself, asked directly as nobody but a data plane can: whatever is not the very question of our
//! annotations is refused, although bob's session, which passes otherwise, comes with it.

use anyhow::{Result, ensure};

use super::{stage::Stage, told};
use crate::{
    bench::{installation::NAMESPACE, raw},
    product::Product,
};

/// Queries that differ from `m=GET&u=%2Fx&h=HOST`.
fn queries() -> Vec<String> {
    let whole = [
        // Missing and empty.
        "",
        "?",
        "m=GET",
        "u=%2Fx",
        "h=HOST",
        "m=GET&u=%2Fx",
        "m=GET&h=HOST",
        "u=%2Fx&h=HOST",
        "m=&u=%2Fx&h=HOST",
        "m=GET&u=&h=HOST",
        "m=GET&u=%2Fx&h=",
        "m&u=%2Fx&h=HOST",
        "m=GET&u&h=HOST",
        "m=GET&u=%2Fx&h",
        // Twice.
        "m=GET&m=GET&u=%2Fx&h=HOST",
        "m=GET&u=%2Fx&u=%2Fx&h=HOST",
        "m=GET&u=%2Fx&u=%2Fpub%2Fx&h=HOST",
        "m=GET&u=%2Fx&h=HOST&h=HOST",
        "m=GET&u=%2Fx&h=HOST&h=other.story.test",
        "m=GET&u=%2Fx&h=other.story.test&h=HOST",
        "m=GET&u=%2Fx&h=HOST&u=%2Fpub%2Fx",
        "m=GET&u=%2Fx&h=HOST&m=OPTIONS",
        // In another order.
        "u=%2Fx&m=GET&h=HOST",
        "h=HOST&m=GET&u=%2Fx",
        "m=GET&h=HOST&u=%2Fx",
        "h=HOST&u=%2Fx&m=GET",
        "u=%2Fx&h=HOST&m=GET",
        // With more, or other separators.
        "m=GET&u=%2Fx&h=HOST&x=1",
        "x=1&m=GET&u=%2Fx&h=HOST",
        "m=GET&x=1&u=%2Fx&h=HOST",
        "&m=GET&u=%2Fx&h=HOST",
        "m=GET&&u=%2Fx&h=HOST",
        "m=GET&u=%2Fx&h=HOST&",
        "m=GET;u=%2Fx;h=HOST",
        "m=GET%26u=%2Fx%26h=HOST",
        "M=GET&U=%2Fx&H=HOST",
        "m[]=GET&u[]=%2Fx&h[]=HOST",
        "%6d=GET&u=%2Fx&h=HOST",
        "m =GET&u=%2Fx&h=HOST",
        "m=GET&u=%2Fx&h=HOST?m=GET",
        "??m=GET&u=%2Fx&h=HOST",
        "m==GET&u=%2Fx&h=HOST",
        // The method.
        "m=get&u=%2Fx&h=HOST",
        "m=G%45T&u=%2Fx&h=HOST",
        "m=GET%00&u=%2Fx&h=HOST",
        "m=GET%20&u=%2Fx&h=HOST",
        "m=1&u=%2Fx&h=HOST",
        "m=GET=&u=%2Fx&h=HOST",
        "m=GET+&u=%2Fx&h=HOST",
        // The target: mis-encoded, or with what nginx would have escaped.
        "m=GET&u=%&h=HOST",
        "m=GET&u=%2&h=HOST",
        "m=GET&u=%2Fx%&h=HOST",
        "m=GET&u=%zz&h=HOST",
        "m=GET&u=%2Fx%0&h=HOST",
        "m=GET&u=/x?y&h=HOST",
        "m=GET&u=/x=y&h=HOST",
        "m=GET&u=%u002Fx&h=HOST",
        "m=GET&u=%+2F&h=HOST",
        // The host: of nobody, of another Ingress, mis-encoded, with more.
        "m=GET&u=%2Fx&h=HOST.",
        "m=GET&u=%2Fx&h=.HOST",
        "m=GET&u=%2Fx&h=HOST:80",
        "m=GET&u=%2Fx&h=HOST:",
        "m=GET&u=%2Fx&h=HOST%00",
        "m=GET&u=%2Fx&h=HOST%20",
        "m=GET&u=%2Fx&h=%20HOST",
        "m=GET&u=%2Fx&h=HOST,other.story.test",
        "m=GET&u=%2Fx&h=HOST%26u=%2Fpub%2Fx",
        "m=GET&u=%2Fx&h=HOST%23",
        "m=GET&u=%2Fx&h=HOST/",
        "m=GET&u=%2Fx&h=HOST\\",
        "m=GET&u=%2Fx&h=user@HOST",
        "m=GET&u=%2Fx&h=%63hecked.story.test",
        "m=GET&u=%2Fx&h=CHECKED.story.test",
        "m=GET&u=%2Fx&h=x.HOST",
        "m=GET&u=%2Fx&h=story.test",
        "m=GET&u=%2Fx&h=other.story.test",
        "m=GET&u=%2Fx&h=auth.story.test",
        "m=GET&u=%2Fx&h=*.story.test",
        "m=GET&u=%2Fx&h=*",
        "m=GET&u=%2Fx&h=_",
        "m=GET&u=%2Fx&h=127.0.0.1",
        "m=GET&u=%2Fx&h=[::1]",
        "m=GET&u=%2Fx&h=localhost",
        "m=GET&u=%2Fx&h=checked",
        "m=GET&u=%2Fx&h=xn--checked.story.test",
        "m=GET&u=%2Fx&h=HOST;x",
        "m=GET&u=%2Fx&h=HOST%0d%0aX:y",
        "m=GET&u=%2Fx&h=\"HOST\"",
        // The endpoint itself.
        "m=GET&u=%2Foauth2%2Fstart&h=HOST",
        "m=GET&u=%2Foauth2&h=HOST",
        "m=GET&u=%2Foauth2%3Fx&h=HOST",
    ];
    whole.map(str::to_owned).into()
}

#[tokio::test]
async fn nothing_but_the_very_question_of_our_annotations_is_answered_with_yes() -> Result<()> {
    let stage = Stage::new("checked", "checked.story.test").await?;
    let product = Product::shared().await?;
    let check = product
        .cluster
        .service_address(NAMESPACE, "vestibule-auth")
        .await?
        .with_port(4181);
    let (host, ingress) = (stage.host.clone(), stage.ingress());
    let namespace = ingress.split('/').next().unwrap_or_default();
    let cookie = format!(
        "Cookie: __Host-vestibule={}",
        stage.session(&host, &stage.person(&[]))?
    );
    let ask = async |line: &str, lines: &str| {
        raw::send(
            check,
            format!("{line}\r\nHost: check\r\nConnection: close\r\n{lines}\r\n\r\n").as_bytes(),
        )
        .await
    };
    let good = format!("/verify/nginx/{ingress}?m=GET&u=%2Fx&h={host}");
    let mut tried = 0;
    let passes = async || -> Result<()> {
        let answer = ask(&format!("GET {good} HTTP/1.1"), &cookie).await?;
        ensure!(
            answer.status == 200 && answer.head.contains("bob@corp.example"),
            "bob passes: {}",
            answer.head
        );
        Ok(())
    };
    passes().await?;
    for query in queries() {
        let query = query.replace("HOST", &host);
        let separator = if query.starts_with('?') || query.is_empty() {
            ""
        } else {
            "?"
        };
        let answer = ask(
            &format!("GET /verify/nginx/{ingress}{separator}{query} HTTP/1.1"),
            &cookie,
        )
        .await?;
        // hyper itself refuses what is no request target.
        ensure!(
            matches!(answer.status, 400 | 403),
            "{query}: {} {}",
            answer.status,
            answer.head
        );
        tried += 1;
    }
    // Another Ingress, one that is not there, one of another namespace, and paths that are not ours.
    let query = format!("?m=GET&u=%2Fx&h={host}");
    for path in [
        "/",
        "",
        "/verify",
        "/verify/nginx",
        "/verify/nginx/",
        "/verify/nginx/NS",
        "/verify/nginx/NS/",
        "/verify/nginx//checked",
        "/verify/nginx/NS/other",
        "/verify/nginx/default/checked",
        "/verify/nginx/kube-system/checked",
        "/verify/nginx/vestibule/checked",
        "/verify/nginx/NS/checked/",
        "/verify/nginx/NS/checked/x",
        "/verify/nginx/NS/checked;x",
        "/verify/nginx/NS/%63hecked",
        "/verify/nginx/NS%2Fchecked",
        "/verify/nginx/NS/Checked",
        "/verify/nginx/NS/checked%00",
        "/verify/nginx/x/../NS/checked",
        "/verify/nginx/./NS/checked",
        "//verify/nginx/NS/checked",
        "/verify//nginx/NS/checked",
        "/Verify/nginx/NS/checked",
        "/verify/traefik/NS/checked",
        "/verify/nginx/*/checked",
        "/verify/nginx/NS/*",
        "/oauth2/auth",
        "/oauth2/start",
        "/metrics",
        "/healthz",
        "/status",
    ] {
        let path = path.replace("NS", namespace);
        let answer = ask(&format!("GET {path}{query} HTTP/1.1"), &cookie).await?;
        ensure!(
            matches!(answer.status, 400 | 403),
            "{path}: {}",
            answer.status
        );
        tried += 1;
    }
    // What surrounds the question decides nothing: with bob's cookie it is yes, without it no, and never a part of an
    // answer (206, 304, 412, 416), which a data plane could take for another.
    for lines in [
        "Range: bytes=0-0",
        "Range: bytes=0-",
        "Range: bytes=999999-",
        "If-None-Match: *",
        "If-Match: \"x\"",
        "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT",
        "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
        "If-Range: \"x\"\r\nRange: bytes=0-0",
        "X-Original-URL: https://checked.story.test/pub/x",
        "X-Original-URI: /pub/x",
        "X-Original-Method: OPTIONS",
        "X-Forwarded-Uri: /pub/x",
        "X-Forwarded-Host: other.story.test",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-Proto: http",
        "X-Forwarded-For: 127.0.0.1",
        "X-Auth-Request-Redirect: /pub/x",
        "X-Auth-Request-User: root",
        "X-Auth-Request-Email: root@corp.example",
        "X-Auth-Request-Groups: wiki-admins",
        "Forwarded: host=other.story.test",
        "Authorization: Bearer x",
        "Authorization: Basic cm9vdDpyb290",
        "Expect: 100-continue",
        "X-HTTP-Method-Override: POST",
        "Accept: application/json",
        "Accept-Encoding: gzip",
        "Cache-Control: only-if-cached",
        "Upgrade: websocket\r\nConnection: upgrade",
        "Origin: null",
        "Content-Length: 0",
        "Purpose: prefetch",
    ] {
        let target = format!("GET {good} HTTP/1.1");
        let stranger = ask(&target, lines).await?;
        let bob = ask(&target, &format!("{lines}\r\n{cookie}")).await?;
        ensure!(
            (stranger.status, bob.status) == (401, 200),
            "{lines}: {} and {}",
            stranger.status,
            bob.status
        );
        ensure!(
            !bob.head.contains("root") && bob.head.contains("no-store"),
            "{lines}: {}",
            bob.head
        );
        tried += 2;
    }
    // So does the method that an Ingress lets its data plane ask with.
    for method in [
        "HEAD",
        "POST",
        "PUT",
        "DELETE",
        "OPTIONS",
        "PATCH",
        "TRACE",
        "get",
        "PURGE",
        "VERSION-CONTROL",
    ] {
        let target = format!("{method} {good} HTTP/1.1");
        let (stranger, bob) = (ask(&target, "X: y").await?, ask(&target, &cookie).await?);
        ensure!(
            (stranger.status, bob.status) == (401, 200),
            "{method}: {} and {}",
            stranger.status,
            bob.status
        );
        tried += 1;
    }
    // What is no question, versions and bodies.
    for line in [
        "OPTIONS * HTTP/1.1".to_owned(),
        format!("CONNECT {host}:443 HTTP/1.1"),
        format!("GET {good} HTTP/0.9"),
        format!("GET {good} HTTP/2.0"),
        format!("GET {good} HTTP/3"),
        format!("GET {good} http/1.1"),
        format!("GET {good}"),
        format!("GET  {good} HTTP/1.1"),
        format!("GET {good} x HTTP/1.1"),
        format!("POST {good} HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
        format!("POST {good} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ] {
        let answer = ask(&line, &cookie).await?;
        ensure!(
            answer.status != 200 && answer.status < 500,
            "{line}: {}",
            answer.status
        );
        tried += 1;
    }
    // Half a question, and a second one behind it: each is judged by itself.
    let half = raw::send(
        check,
        format!("GET {good} HTTP/1.1\r\nHost: check\r\n{cookie}\r\n").as_bytes(),
    )
    .await?;
    ensure!(half.status != 200, "half a question: {}", half.status);
    let two = format!(
        "GET {good} HTTP/1.1\r\nHost: check\r\n{cookie}\r\n\r\nGET {good} HTTP/1.1\r\nHost: check\r\nConnection: close\r\n\r\n"
    );
    let two = raw::send(check, two.as_bytes()).await?;
    ensure!(
        two.status == 200 && two.rest.contains("401"),
        "two: {} {}",
        two.head,
        two.rest
    );
    tried += 2;
    passes().await?;
    told::cases(
        "nothing_but_the_very_question_of_our_annotations_is_answered_with_yes",
        tried,
    );
    Ok(())
}
