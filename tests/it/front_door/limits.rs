//! What the settings bound or add, and what HTTP leaves to its two ends.

use http::HeaderValue;
use tokio::io::AsyncWriteExt;
use vestibule::front_door::Settings;

use super::{
    bench::{Bench, HOST, read_until},
    recorder::{OK, Recorder, Then},
};

fn at_most(octets: u64) -> Settings {
    Settings {
        max_body: Some(octets),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::with(&service.address.to_string(), at_most(4)).await;
    let chunked = |chunks: &str| format!("transfer-encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    for (rest, status) in [
        ("content-length: 4\r\n\r\nabcd".to_owned(), 200),
        (chunked("3\r\nabc\r\n1\r\nd\r\n"), 200),
        ("content-length: 5\r\n\r\nabcde".to_owned(), 413),
        ("content-length: 5000000000\r\n\r\n".to_owned(), 413),
        (chunked("5\r\nabcde\r\n"), 413),
        (chunked("3\r\nabc\r\n2\r\nde\r\n"), 413),
    ] {
        let before = service.requests().len();
        let head = "POST / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n";
        let seen = bench.raw(&format!("{head}{rest}")).await;
        assert_eq!(seen.status, status, "{rest}");
        let whole = service.requests().len() - before;
        assert_eq!(whole, usize::from(status == 200), "{rest}");
    }
    // Nobody learns of the limit who may not enter anyway.
    let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n");
    let seen = bench
        .raw(&format!("{head}content-length: 5\r\n\r\nabcde"))
        .await;
    assert_eq!(seen.status, 401);
}

#[tokio::test]
async fn a_body_that_waits_to_be_asked_for_is_asked_for_when_it_may_pass() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::with(&service.address.to_string(), at_most(4)).await;
    let head = |host: &str, length| {
        format!(
            "POST / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };
    let mut client = bench.opened(&head("open.example", 4)).await;
    let seen = read_until(&mut client, "\r\n\r\n").await;
    assert_eq!(seen, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.unwrap();
    read_until(&mut client, "HTTP/1.1 200 OK").await;
    assert!(!service.requests().concat().contains("expect"));
    for (host, length, status) in [(HOST, 4, 401), ("open.example", 5, 413)] {
        let seen = bench.raw(&head(host, length)).await;
        assert_eq!(seen.status, status);
        assert!(!seen.head.contains("100 continue"), "{}", seen.head);
    }
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn answers_without_a_body_keep_their_headers() {
    for (text, method, status) in [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 7\r\netag: \"x\"\r\n\r\n",
            "HEAD",
            200,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\netag: \"x\"\r\n\r\n",
            "HEAD",
            200,
        ),
        (
            "HTTP/1.1 304 Not Modified\r\netag: \"x\"\r\n\r\n",
            "GET",
            304,
        ),
        (
            "HTTP/1.1 204 No Content\r\netag: \"x\"\r\n\r\n",
            "DELETE",
            204,
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
             HTTP/1.1 204 No Content\r\netag: \"x\"\r\n\r\n",
            "GET",
            204,
        ),
    ] {
        let service = Recorder::start(Vec::leak(vec![Then::Answer(text)])).await;
        let bench = Bench::before(&service.address.to_string()).await;
        for _ in 0..2 {
            let seen = bench
                .raw(&format!(
                    "{method} / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n\r\n"
                ))
                .await;
            assert_eq!((seen.status, &*seen.body), (status, ""), "{text:?}");
            assert!(seen.head.contains("etag: \"x\""), "{}", seen.head);
            let length = text.contains("content-length: 7");
            assert_eq!(seen.head.contains("content-length: 7"), length);
        }
    }
}

#[tokio::test]
async fn parts_and_conditions_are_between_the_client_and_the_service() {
    let service = Recorder::start(&[Then::Answer(
        "HTTP/1.1 206 Partial Content\r\ncontent-range: bytes 1-2/9\r\ncontent-length: 2\r\nx-twice: 1\r\nX-Twice: 2\r\n\r\nbc",
    )])
    .await;
    let bench = Bench::before(&service.address.to_string()).await;
    let lines = [
        "host: open.example",
        "range: bytes=1-2",
        "if-range: \"x\"",
        "accept-encoding: br",
    ];
    let seen = bench.get("/", &lines).await;
    assert_eq!((seen.status, &*seen.body), (206, "bc"));
    assert!(seen.head.contains("content-range: bytes 1-2/9"));
    assert!(seen.head.contains("x-twice: 1\r\nx-twice: 2"));
    let request = service.requests().concat();
    for line in &lines[1..] {
        assert!(request.contains(line), "{request}");
    }
}

#[tokio::test]
async fn every_answer_says_that_browsers_shall_come_by_tls() {
    let service = Recorder::start(&[Then::AnswerAndClose(
        "HTTP/1.1 200 OK\r\nstrict-transport-security: max-age=0\r\ncontent-length: 2\r\n\r\nok",
    )])
    .await;
    let settings = Settings {
        hsts: Some(HeaderValue::from_static("max-age=600")),
        ..Settings::default()
    };
    let address = service.address.to_string();
    let bench = Bench::with(&address, settings).await;
    for (target, host, status) in [
        ("/", "open.example", 200),
        ("/oauth2/start", HOST, 200),
        ("/", HOST, 401),
        ("/", "other.example", 404),
        ("*", HOST, 400),
    ] {
        let seen = bench.get(target, &[&format!("host: {host}")]).await;
        assert_eq!(seen.status, status);
        let lines: Vec<&str> = seen
            .head
            .lines()
            .filter(|l| l.starts_with("strict-"))
            .collect();
        assert_eq!(lines, ["strict-transport-security: max-age=600"]);
    }
    // Where it is not set, it is the service's own matter.
    let bench = Bench::before(&address).await;
    let seen = bench.get("/", &["host: open.example"]).await;
    assert!(seen.head.contains("strict-transport-security: max-age=0"));
}
