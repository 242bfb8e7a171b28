//! Which protocol is spoken, to whom, and for how long.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use hyper::service::service_fn;
use rustls::{ProtocolVersion, version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use vestibule::server::{Limits, Listener};

use super::{Bench, LIMIT, echo, get, text};

/// Reads until the other side closes; how it does so is not the point.
async fn rest(stream: &mut (impl AsyncReadExt + Unpin)) -> Vec<u8> {
    let mut all = Vec::new();
    let reading = timeout(LIMIT, stream.read_to_end(&mut all)).await;
    let _ = reading.expect("the connection is closed in time");
    all
}

#[tokio::test]
async fn a_client_gets_http2_if_it_offers_it_and_http1_otherwise() {
    let bench = Bench::start(Limits::default()).await;
    let mut sender = bench.http2().await;
    let response = sender.send_request(get("/a?b")).await.unwrap();
    assert_eq!(text(response).await, "HTTP/2.0 /a 127.0.0.1");
    for offered in [&["http/1.1"][..], &[]] {
        let mut stream = bench.connect("wiki.example", offered).await;
        let request = b"GET /a HTTP/1.1\r\nhost: wiki.example\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let answer = String::from_utf8(rest(&mut stream).await).unwrap();
        assert!(answer.ends_with("HTTP/1.1 /a 127.0.0.1"), "{answer}");
    }
    let stream = bench.connect("wiki.example", &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_1_1_is_refused() {
    let bench = Bench::start(Limits::default()).await;
    for (version, spoken) in [
        (&version::TLS12, ProtocolVersion::TLSv1_2),
        (&version::TLS13, ProtocolVersion::TLSv1_3),
    ] {
        let mut roots = rustls::RootCertStore::empty();
        let authority = bench.authority.certificate.der().clone();
        roots.add(authority).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(bench.address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
        let name = "wiki.example".try_into().unwrap();
        let stream = connector.connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(spoken));
    }

    let mut stream = TcpStream::connect(bench.address).await.unwrap();
    stream.write_all(&client_hello(0x0302)).await.unwrap();
    let answer = rest(&mut stream).await;
    // An alert, fatal: no common version (70), or none of what it offers is known (40).
    assert_eq!(answer.first(), Some(&21), "{answer:?}");
    assert_eq!(answer.get(5), Some(&2), "{answer:?}");
    assert!(matches!(answer.get(6), Some(40 | 70)), "{answer:?}");
}

/// The first message of a client that knows nothing newer than a version.
fn client_hello(version: u16) -> Vec<u8> {
    let mut hello = version.to_be_bytes().to_vec();
    hello.extend([7; 32]);
    // No session; the suites of the time: ECDHE-ECDSA, ECDHE-RSA, RSA, with AES-128-CBC-SHA; no compression.
    hello.extend([0, 0, 6, 0xc0, 0x09, 0xc0, 0x13, 0x00, 0x2f, 1, 0]);
    let length = u16::try_from(hello.len()).unwrap();
    let mut record = vec![22, 3, 1];
    record.extend((length + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend(length.to_be_bytes());
    record.extend(hello);
    record
}

#[tokio::test]
async fn whoever_speaks_plain_http_to_the_tls_port_is_told_so() {
    let bench = Bench::start(Limits::default()).await;
    for request in [
        "GET / HTTP/1.1\r\nhost: wiki.example\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let mut length = 0;
        while let Ok(more @ 1..) = stream.read(&mut answer[length..]).await {
            length += more;
        }
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
        let announced = format!("content-length: {}\r\n", body.len());
        assert!(head.contains(&announced), "{head}");
        assert!(body.contains("https://"), "{body}");
    }
}

#[tokio::test]
async fn other_noise_is_closed() {
    let bench = Bench::start(Limits::default()).await;
    for noise in [
        &b"\x00\x00\x00\x00\x00\x00"[..],
        b"\x16\x03\x01\xff\xff\xff",
        b"\xff",
    ] {
        let mut stream = TcpStream::connect(bench.address).await.unwrap();
        stream.write_all(noise).await.unwrap();
        stream.shutdown().await.unwrap();
        rest(&mut stream).await;
    }
    bench.connect("wiki.example", &[]).await;
}

/// Short, and yet longer than a busy machine keeps a client of ours from its turn.
const PATIENCE: Duration = Duration::from_secs(2);

fn impatient() -> Limits {
    Limits {
        write_timeout: PATIENCE,
        handshake_timeout: PATIENCE,
        header_timeout: PATIENCE,
        connections: 2,
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_handshake_that_never_ends_is_cut_off_and_gives_its_place_back() {
    let bench = Bench::start(impatient()).await;
    let mut silent = TcpStream::connect(bench.address).await.unwrap();
    let mut halfway = TcpStream::connect(bench.address).await.unwrap();
    halfway
        .write_all(&client_hello(0x0303)[..20])
        .await
        .unwrap();
    // Both places are taken: one gives way, and the other is cut off.
    let third = bench.connect("wiki.example", &[]);
    let third = timeout(LIMIT, third).await.unwrap();
    assert!(rest(&mut silent).await.is_empty());
    rest(&mut halfway).await;
    drop(third);
}

#[tokio::test]
async fn idle_connections_are_closed_and_busy_ones_are_not() {
    let bench = Bench::start(impatient()).await;
    let mut idle = bench.connect("wiki.example", &["h2"]).await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    idle.write_all(preface).await.unwrap();
    rest(&mut idle).await;
    let mut mute = bench.connect("wiki.example", &["h2"]).await;
    rest(&mut mute).await;

    let mut sender = bench.http2().await;
    let held = tokio::spawn(sender.send_request(get("/held")));
    tokio::time::sleep(PATIENCE * 3 / 2).await;
    bench.release.notify_one();
    let response = timeout(LIMIT, held).await.unwrap().unwrap().unwrap();
    assert_eq!(text(response).await, "HTTP/2.0 /held 127.0.0.1");
    // Afterwards it is as idle as any.
    let start = Instant::now();
    while !sender.is_closed() {
        assert!(start.elapsed() < LIMIT, "still open");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_gives_its_place_back() {
    let bench = Bench::start(impatient()).await;
    let mut greedy = Vec::new();
    for _ in 0..2 {
        let mut stream = bench.connect("wiki.example", &["http/1.1"]).await;
        let request = b"GET /large HTTP/1.1\r\nhost: wiki.example\r\n\r\n";
        stream.write_all(request).await.unwrap();
        greedy.push(stream);
    }
    let mut third = bench.connect("wiki.example", &["http/1.1"]).await;
    // A slow reader is none: it takes a little every now and then.
    let request = b"GET /large HTTP/1.1\r\nhost: wiki.example\r\nconnection: close\r\n\r\n";
    third.write_all(request).await.unwrap();
    let mut some = vec![0; 4 * 1024 * 1024];
    for _ in 0..4 {
        tokio::time::sleep(PATIENCE / 3).await;
        third.read_exact(&mut some).await.unwrap();
    }
    assert!(rest(&mut third).await.len() > 40 * 1024 * 1024);
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_place_on_a_plain_listener_too() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), impatient()).await;
    let listener = listener.unwrap();
    let address = listener.address().unwrap();
    let service = service_fn(|request| echo(request, Arc::default()));
    let serving = tokio::spawn(listener.serve(service, CancellationToken::new()));
    let _serving = AbortOnDropHandle::new(serving);
    let mut greedy = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET /large HTTP/1.1\r\nhost: wiki.example\r\n\r\n";
        stream.write_all(request).await.unwrap();
        greedy.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut third = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: wiki.example\r\nconnection: close\r\n\r\n";
    third.write_all(request).await.unwrap();
    let mut answer = String::new();
    let reading = timeout(LIMIT, third.read_to_string(&mut answer)).await;
    reading.expect("a place is free again").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[tokio::test]
async fn a_listener_that_stops_finishes_what_is_under_way() {
    let bench = Bench::start(Limits::default()).await;
    let mut sender = bench.http2().await;
    let held = tokio::spawn(sender.send_request(get("/held")));
    let mut idle = bench.http2().await;
    text(idle.send_request(get("/")).await.unwrap()).await;
    let handshaking = TcpStream::connect(bench.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;

    bench.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(bench.address).await.is_err());
    assert!(!bench.serving.is_finished());
    bench.release.notify_one();
    let response = timeout(LIMIT, held).await.unwrap().unwrap().unwrap();
    assert_eq!(text(response).await, "HTTP/2.0 /held 127.0.0.1");
    timeout(Duration::from_secs(5), bench.serving)
        .await
        .expect("nothing else holds it up")
        .unwrap();
    drop((idle, handshaking));
}
