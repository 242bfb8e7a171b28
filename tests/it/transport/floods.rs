//! What an HTTP/2 client that means harm may do: frames written by hand.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;
use vestibule::server::Limits;

use super::{Bench, LIMIT, get, text};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// GET, https, `/`, and `:authority` as a literal.
const REQUEST: &[u8] = b"\x82\x87\x84\x41\x0cwiki.example";

struct Raw(TlsStream<TcpStream>);

struct Frame {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Raw {
    async fn start(bench: &Bench) -> Self {
        Self::with(bench, &[]).await
    }

    async fn with(bench: &Bench, settings: &[u8]) -> Self {
        let mut stream = bench.connect("wiki.example", &["h2"]).await;
        stream
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        let mut raw = Self(stream);
        raw.send(&frame(SETTINGS, 0, 0, settings)).await;
        raw
    }

    /// Sends; a connection that was closed under it is what some tests wait for.
    async fn send(&mut self, octets: &[u8]) -> bool {
        let sent = timeout(LIMIT, self.0.write_all(octets)).await;
        sent.is_ok_and(|sent| sent.is_ok()) && self.0.flush().await.is_ok()
    }

    /// The next frame; `None` once the connection is closed.
    async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; length.try_into().unwrap()];
            self.0.read_exact(&mut payload).await.ok()?;
            Some(Frame {
                kind: head[3],
                stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                payload,
            })
        };
        timeout(LIMIT, reading).await.expect("a frame or the end")
    }

    /// Reads until there is a frame of that kind.
    async fn until(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// The error that the server ends the connection with; `None` if it does so without a word.
    async fn ends_with(&mut self) -> Option<u32> {
        let frame = self.until(GOAWAY).await?;
        let code = frame.payload.get(4..8)?.try_into().ok()?;
        Some(u32::from_be_bytes(code))
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![a, b, c, kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn the_settings_bound_streams_and_headers_and_offer_no_tunnels() {
    let bench = Bench::start(Limits::default()).await;
    let settings = Raw::start(&bench).await.until(SETTINGS).await.unwrap();
    let value = |wanted: u16| {
        let mut pairs = settings.payload.chunks(6);
        let pair = pairs.find(|pair| pair[..2] == wanted.to_be_bytes())?;
        Some(u32::from_be_bytes(pair[2..].try_into().unwrap()))
    };
    // MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, ENABLE_CONNECT_PROTOCOL (RFC 8441).
    assert_eq!(value(3), Some(100));
    assert_eq!(value(6), Some(96 * 1024));
    assert!(matches!(value(8), None | Some(0)));
}

#[tokio::test]
async fn streams_that_are_opened_and_reset_in_a_row_end_the_connection() {
    let bench = Bench::start(Limits::default()).await;
    let mut raw = Raw::start(&bench).await;
    let mut flood = Vec::new();
    for stream in (1..2000).step_by(2) {
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST));
        flood.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
    }
    raw.send(&flood).await;
    assert_eq!(raw.ends_with().await, Some(ENHANCE_YOUR_CALM));
    // Others are served as before.
    let response = bench.http2().await.send_request(get("/")).await.unwrap();
    assert!(text(response).await.starts_with("HTTP/2.0"));
}

#[tokio::test]
async fn headers_that_go_on_for_ever_end_the_connection() {
    let bench = Bench::start(Limits::default()).await;
    let mut raw = Raw::start(&bench).await;
    raw.send(&frame(HEADERS, END_STREAM, 1, REQUEST)).await;
    let mut sent = 0;
    while sent < 10_000 && raw.send(&frame(CONTINUATION, 0, 1, b"")).await {
        sent += 1;
    }
    let ending = raw.ends_with().await;
    assert!(
        matches!(ending, None | Some(ENHANCE_YOUR_CALM)),
        "{ending:?}"
    );
    assert!(sent < 10_000, "all were taken");
}

#[tokio::test]
async fn headers_that_are_too_large_are_refused_and_the_connection_goes_on() {
    let bench = Bench::start(Limits::default()).await;
    let mut sender = bench.http2().await;
    let mut large = get("/");
    for number in 0..14 {
        let name: http::HeaderName = format!("x-{number}").parse().unwrap();
        let value = http::HeaderValue::try_from("a".repeat(8 * 1024)).unwrap();
        large.headers_mut().insert(name, value);
    }
    let response = sender.send_request(large).await.unwrap();
    assert_eq!(response.status(), 431);
    let response = sender.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn streams_beyond_the_bound_are_refused_and_those_within_it_are_answered() {
    let bench = Bench::start(Limits::default()).await;
    let mut raw = Raw::start(&bench).await;
    // `/held` as a literal path.
    let held = b"\x82\x87\x04\x05/held\x41\x0cwiki.example";
    for number in 0..101 {
        let stream = 2 * number + 1;
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, held))
            .await;
    }
    let refused = raw.until(RST_STREAM).await.unwrap();
    // REFUSED_STREAM: the client may try again.
    assert_eq!(
        (refused.stream, &refused.payload[..]),
        (201, &[0, 0, 0, 7][..])
    );
    tokio::time::sleep(Duration::from_millis(100)).await;
    bench.release.notify_waiters();
    let mut answered = 0;
    while answered < 100 {
        let frame = raw.until(DATA).await.unwrap();
        assert!(frame.stream <= 199);
        if !frame.payload.is_empty() {
            answered += 1;
        }
    }
}

#[tokio::test]
async fn a_client_that_opens_no_window_loses_its_streams_and_then_its_connection() {
    let bench = Bench::start(Limits {
        write_timeout: Duration::from_millis(500),
        header_timeout: Duration::from_millis(500),
        ..Limits::default()
    })
    .await;
    // INITIAL_WINDOW_SIZE 0
    let mut raw = Raw::with(&bench, &[0, 4, 0, 0, 0, 0]).await;
    // `/large` as a literal path.
    let large = b"\x82\x87\x04\x06/large\x41\x0cwiki.example";
    for number in 0..100 {
        let stream = 2 * number + 1;
        raw.send(&frame(HEADERS, END_STREAM | END_HEADERS, stream, large))
            .await;
    }
    let mut reset = std::collections::BTreeSet::new();
    let mut pings = 0;
    while let Some(answer) = raw.next().await {
        match answer.kind {
            // CANCEL
            RST_STREAM => {
                assert_eq!(answer.payload, [0, 0, 0, 8]);
                reset.insert(answer.stream);
            }
            DATA => panic!("there was no window"),
            // The connection is as lively as can be.
            _ if pings < 1000 => {
                pings += 1;
                raw.send(&frame(PING, 0, 0, &[0; 8])).await;
            }
            _ => {}
        }
    }
    assert_eq!(reset.len(), 100);
}
