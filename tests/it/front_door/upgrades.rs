//! Connections that stop being HTTP: WebSocket and others.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};
use tokio_util::task::AbortOnDropHandle;
use vestibule::{front_door::Settings, published::Table};

use super::{
    bench::{Bench, HOST, Seen, is_closed, read_until},
    recorder::{OK, Recorder, Then},
};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\n\
    upgrade: echo\r\n\r\nhello ";

/// A handshake of a protocol without a name of its own.
fn handshake(host: &str, lines: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nhost: {host}\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n{lines}\r\n"
    )
}

#[tokio::test]
async fn a_websocket_talks_both_ways_as_whoever_is_signed_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::before(&listener.local_addr().unwrap().to_string()).await;
    let _serving = AbortOnDropHandle::new(tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_binary() {
                socket.send(message).await.unwrap();
            }
        }
    }));
    let mut request = format!("ws://{HOST}/socket").into_client_request().unwrap();
    let cookie = bench.ann.strip_prefix("cookie: ").unwrap().parse().unwrap();
    request.headers_mut().insert("cookie", cookie);
    let origin = format!("http://{HOST}:8080").parse().unwrap();
    request.headers_mut().insert("origin", origin);
    let stream = tokio::net::TcpStream::connect(bench.address).await.unwrap();
    let (mut socket, answer) = tokio_tungstenite::client_async(request, stream)
        .await
        .unwrap();
    assert_eq!(answer.headers()["upgrade"], "websocket");
    for length in [1, 1000, 1_000_000] {
        let message = Message::binary(vec![7; length]);
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn a_service_sees_an_upgrade_made_anew_and_nothing_of_the_session() {
    let service = Recorder::start(&[Then::Answer(SWITCH)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let lines = format!(
        "{}; app=1\r\nte: trailers\r\nconnection: X-Auth-Request-User\r\nx-auth-request-user: root\r\n",
        bench.ann
    );
    // What the client sends at once behind its request is part of the new protocol.
    let request = handshake(HOST, &lines) + "early ";
    let mut client = bench.opened(&request).await;
    let answer = read_until(&mut client, "hello ").await.to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("connection: upgrade\r\n") && answer.contains("upgrade: echo\r\n"));
    client.write_all(b"and late").await.unwrap();
    client.shutdown().await.unwrap();
    assert!(is_closed(&mut client).await);
    let seen = service.requests().concat();
    assert!(seen.contains("\r\nconnection: upgrade\r\n") && seen.contains("upgrade: echo\r\n"));
    assert!(seen.contains("x-auth-request-user: ann\r\n") && !seen.contains("root"));
    assert!(seen.contains("cookie: app=1\r\n") && !seen.contains("te: trailers"));
    assert_eq!(service.fragments(), ["early and late"]);
}

#[tokio::test]
async fn nobody_upgrades_unjudged() {
    let service = Recorder::start(&[Then::Answer(SWITCH)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    for (cookie, status) in [("", 401), (&*format!("{}\r\n", bench.bob), 403)] {
        let request = handshake(HOST, &format!("{cookie}connection: close\r\n"));
        assert_eq!(bench.raw(&request).await.status, status);
    }
    assert!(service.requests().is_empty() && service.fragments().is_empty());
}

#[tokio::test]
async fn a_page_of_another_origin_opens_nothing_with_a_persons_session() {
    let service = Recorder::start(&[Then::Answer(SWITCH)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    for origin in [
        "http://evil.example",
        "http://x.wiki.example",
        "https://wiki.example",
        "null",
    ] {
        let lines = format!("{}\r\norigin: {origin}\r\nconnection: close\r\n", bench.ann);
        let seen = bench.raw(&handshake(HOST, &lines)).await;
        assert_eq!(seen.status, 401, "{origin}");
    }
    assert!(service.requests().is_empty());
    let lines = format!("{}\r\norigin: http://{HOST}:8080\r\n", bench.ann);
    let mut own = bench.opened(&handshake(HOST, &lines)).await;
    read_until(&mut own, "hello ").await;
    // Without a session there is nothing to steal.
    let lines = "origin: http://evil.example\r\n";
    let mut open = bench.opened(&handshake("open.example", lines)).await;
    read_until(&mut open, "hello ").await;
}

#[tokio::test]
async fn http_is_never_switched_to_http_where_requests_would_not_be_judged() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    for lines in [
        "connection: Upgrade, HTTP2-Settings, close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        "connection: close\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
        "connection: upgrade, close\r\nupgrade: HTTP/2.0, TLS/1.2\r\n",
        "connection: close\r\nupgrade: websocket\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: open.example\r\n{lines}\r\n");
        assert_eq!(bench.raw(&request).await.status, 200, "{lines}");
    }
    let old =
        "GET / HTTP/1.0\r\nhost: open.example\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    assert_eq!(bench.raw(old).await.status, 200);
    let requests = service.requests();
    assert_eq!(requests.len(), 5);
    for request in requests {
        assert!(
            !request.contains("upgrade") && !request.contains("http2"),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_service_switches_to_nothing_that_was_not_asked_for() {
    for text in [
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: other\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ] {
        let script: &'static [Then] = Vec::leak(vec![Then::Answer(text)]);
        let service = Recorder::start(script).await;
        let bench = Bench::before(&service.address.to_string()).await;
        let asked = handshake("open.example", "connection: close\r\n");
        assert_eq!(bench.raw(&asked).await.status, 502, "{text}");
        let plain = bench.get("/", &["host: open.example"]).await;
        assert_eq!(plain.status, 502, "{text}");
        service
            .wait_for("both closed", |all, closed| (all, closed) == (2, 2))
            .await;
    }
}

#[tokio::test]
async fn nothing_hides_behind_an_upgrade_that_is_refused() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let hidden = format!("GET /hidden HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    let answers = bench.raw(&(handshake("open.example", "") + &*hidden)).await;
    assert_eq!(answers.status, 200);
    let second = answers.body.find("HTTP/1.1 ").unwrap();
    assert_eq!(Seen::parse(&answers.body.as_bytes()[second..]).status, 401);
    assert_eq!(service.requests().len(), 1);
    assert!(service.fragments().is_empty());
    // The same where it is the front door that refuses.
    let answers = bench.raw(&(handshake(HOST, "") + &*hidden)).await;
    assert_eq!(answers.status, 401);
    assert_eq!(answers.body.matches("HTTP/1.1 401").count(), 1);
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn a_switched_connection_ends_with_either_side() {
    let service = Recorder::start(&[Then::Answer(SWITCH)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let mut client = bench.opened(&handshake("open.example", "")).await;
    read_until(&mut client, "hello ").await;
    drop(client);
    service
        .wait_for("closed", |all, closed| (all, closed) == (1, 1))
        .await;

    let service = Recorder::start(&[Then::AnswerAndClose(SWITCH)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let mut client = bench.opened(&handshake("open.example", "")).await;
    read_until(&mut client, "hello ").await;
    assert!(is_closed(&mut client).await);
}

#[tokio::test]
async fn a_switched_connection_ends_with_its_session_and_with_the_policy() {
    let service = Recorder::start(&[Then::Answer(SWITCH)]).await;
    for end_of_session in [true, false] {
        let settings = Settings {
            recheck: Duration::from_millis(20),
            ..Settings::default()
        };
        let bench = Bench::with(&service.address.to_string(), settings).await;
        let lines = format!("{}\r\n", bench.ann);
        let mut client = bench.opened(&handshake(HOST, &lines)).await;
        read_until(&mut client, "hello ").await;
        // Judged again several times, and still welcome.
        let mut octet = [0];
        let early = client.read(&mut octet);
        let early = tokio::time::timeout(Duration::from_millis(100), early).await;
        assert!(early.is_err(), "{early:?}");
        if end_of_session {
            bench.clock.advance(Duration::from_secs(601));
        } else {
            bench.table.store(std::sync::Arc::new(Table::default()));
        }
        assert!(is_closed(&mut client).await);
    }
}

#[tokio::test]
async fn a_switched_connection_does_not_hold_up_the_end() {
    let service = Recorder::start(&[Then::Answer(SWITCH)]).await;
    let mut bench = Bench::before(&service.address.to_string()).await;
    let mut client = bench.opened(&handshake("open.example", "")).await;
    read_until(&mut client, "hello ").await;
    bench.stop.cancel();
    assert!(is_closed(&mut client).await);
    bench.ended().await;
    service
        .wait_for("closed", |all, closed| (all, closed) == (1, 1))
        .await;
}
