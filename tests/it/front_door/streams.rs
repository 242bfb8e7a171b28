//! Bodies on their way through: large, slow, endless.

use std::{sync::Arc, time::Duration};

use axum::body::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use vestibule::{front_door::Settings, published::Table};

use super::{
    bench::{Bench, HOST, Seen, is_closed, read_until, values},
    recorder::{OK, Recorder, Then},
};
use crate::bench::loopback::free_component_address;

#[tokio::test]
async fn fifty_megabytes_arrive_octet_by_octet_framed_anew() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let chunk =
        Bytes::from_iter((0..64 * 1024_u32).map(|n| n.to_be_bytes()[2] ^ n.to_be_bytes()[3]));
    let sum: u64 = chunk.iter().map(|octet| u64::from(*octet)).sum();
    for chunked in [false, true] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        let framing = if chunked {
            "transfer-encoding: chunked".to_owned()
        } else {
            format!("content-length: {}", 800 * chunk.len())
        };
        let head = format!(
            "POST /upload HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\nconnection: close\r\n{framing}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        for _ in 0..800 {
            if chunked {
                stream
                    .write_all(format!("{:x}\r\n", chunk.len()).as_bytes())
                    .await
                    .unwrap();
            }
            stream.write_all(&chunk).await.unwrap();
            if chunked {
                stream.write_all(b"\r\n").await.unwrap();
            }
        }
        if chunked {
            // A trailer is not a way in for headers.
            stream
                .write_all(b"0\r\nX-Auth-Request-User: root\r\n\r\n")
                .await
                .unwrap();
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let seen = Seen::parse(&answer).upstream();
        assert_eq!(seen["length"], 800 * chunk.len());
        assert_eq!(seen["sum"], 800 * sum);
        assert_eq!(values(&seen, "x-auth-request-user"), ["ann"]);
        let lengths = values(&seen, "content-length").len();
        assert_eq!(lengths + values(&seen, "transfer-encoding").len(), 1);
    }
}

#[tokio::test]
async fn a_body_arrives_whatever_the_method() {
    let bench = Bench::start().await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "SEARCH"] {
        for framing in [
            "content-length: 3\r\n\r\nabc",
            "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            let request = format!(
                "{method} / HTTP/1.1\r\nhost: open.example\r\nconnection: close\r\n{framing}"
            );
            let seen = bench.raw(&request).await;
            assert_eq!(seen.status, 200, "{method} {framing:?}");
            if method != "HEAD" {
                assert_eq!(seen.upstream()["length"], 3, "{method} {framing:?}");
            }
        }
    }
}

#[tokio::test]
async fn both_directions_stream_while_the_request_is_still_being_sent() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    let head = format!(
        "POST /slow HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut seen = String::new();
    for word in ["first", "second", "third"] {
        stream
            .write_all(format!("{:x}\r\n{word}\r\n", word.len()).as_bytes())
            .await
            .unwrap();
        while !seen.contains(word) {
            let mut buffer = [0; 1024];
            let reading = stream.read(&mut buffer);
            let read = tokio::time::timeout(Duration::from_secs(60), reading)
                .await
                .unwrap()
                .unwrap();
            assert!(read > 0, "the answer ended before {word}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

#[tokio::test]
async fn an_upload_waits_for_the_service_and_is_not_kept_here() {
    // A service that takes the connection and reads nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::before(&listener.local_addr().unwrap().to_string()).await;
    let head = "POST / HTTP/1.1\r\nhost: open.example\r\ncontent-length: 1000000000\r\n\r\n";
    let mut client = bench.opened(head).await;
    let (_deaf, _) = listener.accept().await.unwrap();
    let chunk = vec![7; 1 << 20];
    let mut sent = 0;
    let stalled = async {
        loop {
            client.write_all(&chunk).await.unwrap();
            sent += chunk.len();
        }
    };
    let stalled = tokio::time::timeout(Duration::from_secs(3), stalled).await;
    let Err(_) = stalled;
    // What the kernel keeps for four sockets, and no more.
    assert!(sent < 100 << 20, "{sent}");
}

#[tokio::test]
async fn an_event_arrives_before_the_next_one_is_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bench = Bench::before(&listener.local_addr().unwrap().to_string()).await;
    let request = "GET /events HTTP/1.1\r\nhost: open.example\r\naccept: text/event-stream\r\n\r\n";
    let mut client = bench.opened(request).await;
    let (mut service, _) = listener.accept().await.unwrap();
    read_until(&mut service, "\r\n\r\n").await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
    service.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut client, "\r\n\r\n").await;
    for event in ["data: one\n\n", "data: two\n\n"] {
        service.write_all(event.as_bytes()).await.unwrap();
        read_until(&mut client, event).await;
    }
    // A reader that goes away ends the feed.
    drop(client);
    assert!(is_closed(&mut service).await);
}

#[tokio::test]
async fn trailers_of_a_response_reach_a_client_that_reads_them() {
    let service = Recorder::start(&[Then::Answer(
        "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\nx-sum: 7\r\nset-cookie: vestibule-http=planted\r\n\r\n",
    )])
    .await;
    let bench = Bench::before(&service.address.to_string()).await;
    let head = "GET / HTTP/1.1\r\nhost: open.example\r\n";
    let reads = format!("{head}connection: te, close\r\nte: trailers\r\n\r\n");
    assert!(
        bench
            .raw(&reads)
            .await
            .body
            .ends_with("0\r\nx-sum: 7\r\n\r\n")
    );
    let does_not = format!("{head}connection: close\r\n\r\n");
    assert!(bench.raw(&does_not).await.body.ends_with("\r\n0\r\n\r\n"));
    let requests = service.requests();
    assert!(requests[0].contains("te: trailers\r\n") && requests[0].contains("connection: te\r\n"));
    assert!(!requests[1].contains("\r\nte:"));
}

#[tokio::test]
async fn whoever_is_still_sending_learns_why_nobody_reads() {
    const LENGTH: usize = 20 << 20;
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let settings = Settings {
        max_body: Some(1000),
        ..Settings::default()
    };
    let limited = Bench::with(&service.address.to_string(), settings).await;
    let nobody = free_component_address().unwrap().to_string();
    let down = Bench::before(&nobody).await;
    let chunked = format!("transfer-encoding: chunked\r\n\r\n{LENGTH:x}\r\n");
    let announced = format!("content-length: {LENGTH}\r\n\r\n");
    for (bench, host, framing, status) in [
        (&limited, "open.example", &chunked, "413 "),
        (&limited, "open.example", &announced, "413 "),
        (&limited, HOST, &chunked, "401 "),
        (&down, "open.example", &announced, "502 "),
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: {host}\r\n{framing}");
        let mut client = bench.opened(&head).await;
        client.write_all(&vec![7; LENGTH]).await.unwrap();
        read_until(&mut client, status).await;
    }
    assert!(service.requests().is_empty());
}

const FEED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n\
     7\r\ndata: 1\r\n";

/// A front door that judges again so often that a test can wait for it.
async fn watchful(service: &Recorder) -> Bench {
    let settings = Settings {
        recheck: Duration::from_millis(20),
        ..Settings::default()
    };
    Bench::with(&service.address.to_string(), settings).await
}

/// Ends ann's session, or every policy.
fn end(bench: &Bench, by_session: bool) {
    if by_session {
        bench.clock.advance(Duration::from_secs(601));
    } else {
        bench.table.store(Arc::new(Table::default()));
    }
}

#[tokio::test]
async fn an_answer_under_way_ends_with_its_session_and_with_the_policy() {
    let service = Recorder::start(&[Then::Answer(FEED)]).await;
    for by_session in [true, false] {
        let bench = watchful(&service).await;
        let ann = &bench.ann;
        let request = format!("GET /feed HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\n\r\n");
        let mut client = bench.opened(&request).await;
        read_until(&mut client, "data: 1").await;
        // Judged again several times, and still welcome.
        let mut rest = Vec::new();
        let early = client.read_to_end(&mut rest);
        let early = tokio::time::timeout(Duration::from_millis(100), early).await;
        assert!(early.is_err(), "{early:?}");
        end(&bench, by_session);
        assert!(is_closed(&mut client).await);
        // And the service is told so too.
        let feeds = if by_session { 1 } else { 2 };
        service
            .wait_for("closed", |all, closed| (all, closed) == (feeds, feeds))
            .await;
    }
}

#[tokio::test]
async fn an_endless_download_ends_with_its_session_though_something_always_comes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(&[7; 65536]).await.is_ok() {}
    });
    let settings = Settings {
        recheck: Duration::from_millis(20),
        ..Settings::default()
    };
    let bench = Bench::with(&address, settings).await;
    let ann = &bench.ann;
    let mut client = bench
        .opened(&format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\n\r\n"))
        .await;
    let mut buffer = vec![0; 1 << 20];
    client.read_exact(&mut buffer).await.unwrap();
    end(&bench, true);
    let draining = async { while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {} };
    tokio::time::timeout(Duration::from_secs(10), draining)
        .await
        .expect("the download breaks off");
    tokio::time::timeout(Duration::from_secs(10), serving)
        .await
        .expect("the service is told")
        .unwrap();
}

#[tokio::test]
async fn whoever_may_no_longer_enter_gets_no_answer_that_was_waited_for() {
    let service = Recorder::start(&[Then::Wait]).await;
    for (request, by_session) in [
        ("GET /poll HTTP/1.1\r\n", true),
        ("GET /poll HTTP/1.1\r\n", false),
        // An upload that never ends.
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n", true),
    ] {
        let bench = watchful(&service).await;
        let (ann, before) = (&bench.ann, service.requests().len());
        let mut client = bench
            .opened(&format!("{request}host: {HOST}\r\n{ann}\r\n\r\n"))
            .await;
        let mut octet = [0];
        let early = tokio::time::timeout(Duration::from_millis(100), client.read(&mut octet)).await;
        assert!(early.is_err(), "{early:?}");
        assert_eq!(
            service.requests().len() - before,
            usize::from(request.starts_with("GET"))
        );
        end(&bench, by_session);
        let answer = read_until(&mut client, "Load the page again").await;
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
}
