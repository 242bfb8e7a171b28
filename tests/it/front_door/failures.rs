//! Services that are down, slow, or break off; clients that go away.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use vestibule::front_door::Settings;

use super::{
    bench::{Bench, HOST, Seen, read_until},
    recorder::{OK, Recorder, Then},
};
use crate::bench::loopback::free_component_address;

#[tokio::test]
async fn a_service_that_is_down_is_named_by_its_host_and_not_by_its_address() {
    let free = free_component_address().unwrap();
    let bench = Bench::before(&free.to_string()).await;
    let seen = bench
        .get("/", &["host: open.example", "accept: text/html"])
        .await;
    assert_eq!(seen.status, 502);
    assert!(seen.body.contains("open.example does not answer"));
    assert!(!seen.body.contains(&free.port().to_string()));
    let line = bench.get("/", &["host: open.example"]).await;
    assert!(
        line.body.starts_with("open.example does not answer. "),
        "{}",
        line.body
    );
}

#[tokio::test]
async fn a_service_that_is_the_front_door_itself_ends_in_a_page_and_not_in_a_circle() {
    let bench = Bench::before("127.0.0.1:SELF").await;
    let seen = bench.get("/", &["host: open.example"]).await;
    assert_eq!(seen.status, 508);
}

#[tokio::test]
async fn a_request_under_way_ends_well_when_the_front_door_stops() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\ncontent-length: 6\r\n\r\nabc");
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    bench.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(TcpStream::connect(bench.address).await.is_err());
    stream.write_all(b"def").await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(Seen::parse(&answer).upstream()["length"], 6);
}

/// A service that says this and closes, before an open host.
async fn saying(text: &'static str) -> (Recorder, Bench) {
    let script: &'static [Then] = Vec::leak(vec![Then::AnswerAndClose(text)]);
    let service = Recorder::start(script).await;
    let bench = Bench::before(&service.address.to_string()).await;
    (service, bench)
}

fn impatient() -> Settings {
    Settings {
        connect_timeout: Duration::from_millis(200),
        response_timeout: Duration::from_millis(300),
        ..Settings::default()
    }
}

#[tokio::test]
async fn what_is_no_response_becomes_a_502() {
    for text in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-le",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 No\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-folded: 1\r\n 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-space : 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-nul: a\0b\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\n",
    ] {
        let (service, bench) = saying(text).await;
        let seen = bench.get("/", &["host: open.example"]).await;
        assert_eq!(seen.status, 502, "{text:?}");
        assert!(
            seen.body
                .starts_with("open.example does not answer properly. ")
        );
        assert!(!seen.body.contains("127.0.0.1"));
        // On a connection that is new, nothing is tried twice.
        assert_eq!(service.requests().len(), 1, "{text:?}");
    }
}

#[tokio::test]
async fn headers_of_a_response_have_an_end() {
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(200_000));
    for lines in [many, long] {
        let text = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 2\r\n\r\nok");
        let (_service, bench) = saying(String::leak(text)).await;
        let seen = bench.get("/", &["host: open.example"]).await;
        assert_eq!(seen.status, 502);
    }
}

#[tokio::test]
async fn a_response_that_breaks_off_never_looks_whole() {
    for text in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n-1\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n11111111111111111\r\n",
    ] {
        let (_service, bench) = saying(text).await;
        let answer = bench
            .octets(b"GET / HTTP/1.1\r\nhost: open.example\r\n\r\n")
            .await;
        let answer = String::from_utf8(answer).unwrap().to_lowercase();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("http/1.1 200"), "{text:?}");
        let whole = body.ends_with("0\r\n\r\n") || head.contains("content-length: 4");
        assert!(
            !whole && !head.contains("connection: close"),
            "{text:?} {answer}"
        );
    }
}

#[tokio::test]
async fn an_old_service_is_answered_for_in_http_1_1() {
    let (_service, bench) = saying("HTTP/1.0 200 OK\r\n\r\nold").await;
    let answer = bench
        .raw("GET / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n\r\n")
        .await;
    assert!(answer.head.starts_with("http/1.1 200 "), "{}", answer.head);
    assert_eq!(answer.body, "3\r\nold\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_service_that_does_not_answer_in_time_is_not_waited_for() {
    let service = Recorder::start(&[Then::Wait]).await;
    let bench = Bench::with(&service.address.to_string(), impatient()).await;
    for method in ["GET", "POST"] {
        let head =
            format!("{method} / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n\r\n");
        let seen = bench.raw(&head).await;
        assert_eq!(seen.status, 504);
        assert!(seen.body.starts_with("open.example takes too long. "));
    }
    assert_eq!(service.requests().len(), 2);
    service
        .wait_for("both closed", |all, closed| (all, closed) == (2, 2))
        .await;
}

#[tokio::test]
async fn a_service_that_takes_no_connections_in_time_is_not_waited_for() {
    // A queue of one that is full: the kernel drops what else knocks.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(address)).await
    {
        queue.push(stream.unwrap());
        assert!(queue.len() < 50);
    }
    let settings = Settings {
        response_timeout: Duration::from_secs(30),
        ..impatient()
    };
    let bench = Bench::with(&address.to_string(), settings).await;
    let seen = bench.get("/", &["host: open.example"]).await;
    assert_eq!(seen.status, 504);
}

#[tokio::test]
async fn time_runs_while_nothing_moves_and_not_while_an_upload_does() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::with(&service.address.to_string(), impatient()).await;
    let head =
        "POST / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\ncontent-length: 8\r\n\r\n";
    let mut slow = bench.opened(head).await;
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        slow.write_all(b"x").await.unwrap();
    }
    read_until(&mut slow, "200 OK").await;
    // A client that stops is told so, and the service is not blamed.
    let mut stalled = bench.opened(head).await;
    stalled.write_all(b"xxx").await.unwrap();
    read_until(&mut stalled, "408 Request Timeout").await;
    assert_eq!(service.requests().len(), 1);
    service
        .wait_for("let go", |all, closed| all == closed)
        .await;
}

#[tokio::test]
async fn a_connection_closed_under_a_request_is_replaced_where_that_is_safe() {
    // Closes at the very moment of the second request, as a service does whose keep-alive has just run out.
    const SCRIPT: &[Then] = &[Then::Answer(OK), Then::AnswerAndClose("")];
    let service = Recorder::start(SCRIPT).await;
    let bench = Bench::before(&service.address.to_string()).await;
    for _ in 0..2 {
        let seen = bench.get("/", &["host: open.example"]).await;
        assert_eq!((seen.status, &*seen.body), (200, "ok"));
    }
    assert_eq!(service.requests().len(), 3);

    let service = Recorder::start(SCRIPT).await;
    let bench = Bench::before(&service.address.to_string()).await;
    assert_eq!(bench.get("/", &["host: open.example"]).await.status, 200);
    let post =
        "POST / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(bench.raw(post).await.status, 502);
    assert_eq!(service.requests().len(), 2);

    // A part of an answer is an answer: nothing is sent again.
    let service = Recorder::start(&[
        Then::Answer(OK),
        Then::AnswerAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
    ])
    .await;
    let bench = Bench::before(&service.address.to_string()).await;
    assert_eq!(bench.get("/", &["host: open.example"]).await.status, 200);
    assert_eq!(bench.get("/", &["host: open.example"]).await.body, "half");
    assert_eq!(service.requests().len(), 2);
}

#[tokio::test]
async fn connections_that_died_in_the_pool_are_not_used() {
    let service = Recorder::start(&[Then::AnswerAndClose(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    for _ in 0..3 {
        let post = "POST / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(bench.raw(post).await.status, 200);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(service.requests().len(), 3);
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_along() {
    let service = Recorder::start(&[Then::Wait]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    for rest in ["content-length: 0\r\n\r\n", "content-length: 9\r\n\r\nhalf"] {
        let head = "POST / HTTP/1.1\r\nhost: open.example\r\n";
        let client = bench.opened(&format!("{head}{rest}")).await;
        let before = service.requests().len();
        let many = if rest.ends_with("half") { 2 } else { 1 };
        service.wait_for("asked", |all, _| all == many).await;
        drop(client);
        service.wait_for("let go", |_, closed| closed == many).await;
        assert!(service.requests().len() <= before + 1);
    }
}
