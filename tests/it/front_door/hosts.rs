//! Which host is asked: one reading of many spellings.

use super::bench::{Bench, HOST, values};

#[tokio::test]
async fn a_host_is_read_in_one_way_only() {
    let bench = Bench::start().await;
    for host in [
        "wiki.example",
        "WIKI.Example",
        "wiki.example.",
        "wiki.example:8080",
    ] {
        let seen = bench
            .get("/a?b", &[&format!("host: {host}"), &bench.ann])
            .await
            .upstream();
        let port = host
            .split_once(':')
            .map_or(String::new(), |(_, port)| format!(":{port}"));
        assert_eq!(values(&seen, "host"), [format!("{HOST}{port}")]);
        assert_eq!(seen["target"], "/a?b");
    }
    let absolute = bench
        .get(
            "http://WIKI.example:8080/a?b",
            &["host: open.example", &bench.ann],
        )
        .await
        .upstream();
    assert_eq!(values(&absolute, "host"), ["wiki.example:8080"]);
    assert_eq!(absolute["target"], "/a?b");
    let hidden = bench
        .get("http://wiki.example/", &["host: open.example"])
        .await;
    assert_eq!(hidden.status, 401);
}

#[tokio::test]
async fn what_names_no_host_or_two_is_refused() {
    let bench = Bench::start().await;
    for (target, lines, status) in [
        ("/", &["x: y"][..], 400),
        ("/", &["host: wiki.example", "host: wiki.example"], 400),
        ("/", &["host: open.example", "Host: wiki.example"], 400),
        ("ftp://wiki.example/", &["host: wiki.example"], 400),
        ("*", &["host: wiki.example"], 400),
        ("/", &["host: wiki.example, open.example"], 404),
        ("/", &["host: open.example@wiki.example"], 404),
        ("http://user@open.example/", &["host: open.example"], 404),
        ("/", &["host: "], 404),
        ("/", &["host: other.example"], 404),
        ("/", &["host: 127.0.0.1"], 404),
        ("/oauth2/start", &["host: other.example"], 404),
        ("/", &["host: gone.example", &bench.ann], 503),
    ] {
        assert_eq!(
            bench.get(target, lines).await.status,
            status,
            "{target} {lines:?}"
        );
    }
    let tunnel = bench
        .raw("CONNECT wiki.example:80 HTTP/1.1\r\nhost: wiki.example:80\r\nconnection: close\r\n\r\n")
        .await;
    assert_eq!(tunnel.status, 400);
    let page = bench
        .get("/", &["host: other.example", "accept: text/html"])
        .await;
    assert!(page.body.contains("This host is not served here"));
    assert!(!page.body.contains("wiki.example") && !page.body.contains("open.example"));
}
