//! Requests of HTTP/2, which go on as HTTP/1.1: what only one of the two can say must not become something else.

use std::net::SocketAddr;

use axum::body::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http2::{SendRequest, handshake},
    server::conn::http2::Builder,
    service::{Service, service_fn},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;
use vestibule::{front_door::FrontDoor, server::Peer};

use super::{
    bench::{Bench, HOST, values},
    recorder::{OK, Recorder, Then},
};

/// The door on a listener of HTTP/2.
async fn listen(door: &FrontDoor) -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let door = door.clone();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, peer) = listener.accept().await.unwrap();
            let door = door.clone();
            let service = service_fn(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(Peer(peer));
                door.call(request)
            });
            let connection =
                Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::spawn(connection);
        }
    });
    (address, AbortOnDropHandle::new(serving))
}

struct Client {
    sender: SendRequest<Full<Bytes>>,
    _parts: [AbortOnDropHandle<()>; 2],
}

impl Client {
    async fn connect(door: &FrontDoor) -> Self {
        let (address, serving) = listen(door).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
        let connection = tokio::spawn(async move { connection.await.unwrap_or(()) });
        Self {
            sender,
            _parts: [serving, AbortOnDropHandle::new(connection)],
        }
    }

    async fn send(
        &mut self,
        url: &str,
        lines: &[(&str, &str)],
        body: &'static str,
    ) -> Response<Incoming> {
        let mut request = Request::builder().version(Version::HTTP_2).uri(url);
        if !body.is_empty() {
            request = request.method(Method::POST);
        }
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).unwrap();
        self.sender.send_request(request).await.unwrap()
    }
}

async fn upstream(response: Response<Incoming>) -> serde_json::Value {
    assert_eq!(response.status(), 200);
    let body = response.collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn a_request_goes_on_with_one_host_and_one_cookie_line() {
    let bench = Bench::start().await;
    let mut client = Client::connect(&bench.door).await;
    let ann = bench.ann.strip_prefix("cookie: ").unwrap();
    let lines = [
        ("cookie", "a=1"),
        ("cookie", ann),
        ("cookie", "b=2"),
        ("te", "trailers"),
        ("x-auth-request-user", "root"),
    ];
    let response = client
        .send("https://WIKI.example:8443/a?b", &lines, "body")
        .await;
    assert_eq!(response.headers()["set-cookie"], "app=1");
    let seen = upstream(response).await;
    assert_eq!(seen["target"], "/a?b");
    assert_eq!(seen["length"], 4);
    assert_eq!(values(&seen, "host"), ["wiki.example:8443"]);
    assert_eq!(values(&seen, "cookie"), ["a=1; b=2"]);
    assert_eq!(values(&seen, "te"), ["trailers"]);
    assert_eq!(values(&seen, "x-auth-request-user"), ["ann"]);
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(values(&seen, "content-length"), ["4"]);
}

#[tokio::test]
async fn a_host_header_may_only_repeat_the_authority() {
    let bench = Bench::start().await;
    let mut client = Client::connect(&bench.door).await;
    let mut status = async |url, lines: &[_]| client.send(url, lines, "").await.status();
    let open = "https://open.example/";
    assert_eq!(status(open, &[("host", "open.example")]).await, 200);
    assert_eq!(status(open, &[("host", HOST)]).await, 400);
    assert_eq!(status(open, &[("host", "open.example:1")]).await, 400);
    let two = [("host", "open.example"), ("host", HOST)];
    assert_eq!(status(open, &two).await, 400);
    assert_eq!(status("https://wiki.example/", &[]).await, 401);
    assert_eq!(status("https://other.example/", &[]).await, 404);
    assert_eq!(status("https://127.0.0.1/", &[]).await, 404);
}

#[tokio::test]
async fn an_answer_brings_nothing_of_the_services_connection() {
    let service = Recorder::start(&[Then::Answer(
        "HTTP/1.1 200 OK\r\nconnection: keep-alive, x-hop\r\nkeep-alive: timeout=5\r\n\
         proxy-connection: keep-alive\r\nupgrade: h2c\r\nx-hop: 1\r\nx-app: 1\r\n\
         transfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\n\
         x-sum: 7\r\nset-cookie: vestibule-http=planted\r\nconnection: close\r\n\r\n",
    )])
    .await;
    let bench = Bench::before(&service.address.to_string()).await;
    let mut client = Client::connect(&bench.door).await;
    let response = client.send("https://open.example/", &[], "").await;
    let mut names: Vec<&str> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["date", "trailer", "x-accel-buffering", "x-app"]);
    let body = response.collect().await.unwrap();
    let trailers = body.trailers().unwrap();
    assert_eq!(trailers.len(), 1);
    assert_eq!(trailers["x-sum"], "7");
    assert_eq!(body.to_bytes(), "ok");
}

#[tokio::test]
async fn a_service_that_breaks_off_breaks_the_stream() {
    let service = Recorder::start(&[Then::AnswerAndClose(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n",
    )])
    .await;
    let bench = Bench::before(&service.address.to_string()).await;
    let mut client = Client::connect(&bench.door).await;
    let response = client.send("https://open.example/", &[], "").await;
    assert_eq!(response.status(), 200);
    assert!(response.collect().await.is_err());
}

#[tokio::test]
async fn http_2_has_no_tunnels() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let mut client = Client::connect(&bench.door).await;
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri("open.example:80")
        .body(Full::from(""))
        .unwrap();
    let response = client.sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 400);
    assert!(service.requests().is_empty());
}

/// A HEADERS frame with fields as they are, and perhaps a DATA frame that ends the stream.
fn frames(fields: &[(&str, &str)], data: Option<&str>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal without indexing, with a new name, no Huffman code (RFC 7541 §6.2.2).
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127);
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
        let head = [0, length[0], length[1], kind, flags, 0, 0, 0, stream];
        [&head[..], payload].concat()
    };
    let mut octets = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    octets.extend(frame(4, 0, 0, &[]));
    let end_headers = 4;
    let end_stream = u8::from(data.is_none());
    octets.extend(frame(1, end_headers | end_stream, 1, &block));
    if let Some(data) = data {
        octets.extend(frame(0, 1, 1, data.as_bytes()));
    }
    octets
}

/// The kind of the first frame that concerns the stream or ends the connection, and its payload.
async fn outcome(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        stream.read_exact(&mut payload).await.unwrap();
        if head[8] == 1 || head[3] == 7 {
            return (head[3], payload);
        }
    }
}

#[tokio::test]
async fn what_only_http_1_can_say_is_malformed_and_reaches_no_service() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let (address, _serving) = listen(&bench.door).await;
    let good = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "open.example"),
        (":path", "/"),
    ];
    let with = |line: (&'static str, &'static str)| [&good[..], &[line]].concat();
    let instead = |line: (&'static str, &'static str)| {
        let mut fields = good.to_vec();
        fields
            .iter_mut()
            .filter(|f| f.0 == line.0)
            .for_each(|f| *f = line);
        fields
    };
    let mut cases = vec![
        (with(("content-length", "1")), Some("12345")),
        (with(("content-length", "5")), Some("1")),
        (with(("content-length", "5")), None),
        (with(("content-length", "+1")), Some("1")),
    ];
    for line in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("te", "gzip"),
        ("X-Upper", "1"),
        ("x split", "1"),
        ("x-split", "1\r\nx-auth-request-user: root"),
        ("x-split\r\nx-auth-request-user", "root"),
        ("x-nul", "a\0b"),
        (":path", "/again"),
        (":authority", HOST),
        (":protocol", "websocket"),
        ("host", HOST),
    ] {
        cases.push((with(line), None));
    }
    for line in [
        (":path", "/ HTTP/1.1\r\nhost: wiki.example\r\n\r\n"),
        (":path", "/a b"),
        (":path", ""),
        (":path", "*"),
        (":path", "open.example/"),
        (":method", "GET / HTTP/1.1\r\nx: y\r\n"),
        (":authority", "open.example\r\nx: y"),
        (":authority", "user@open.example"),
        (":authority", "open.example/"),
        (":scheme", "ftp"),
    ] {
        cases.push((instead(line), None));
    }
    for (fields, data) in cases {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&frames(&fields, data)).await.unwrap();
        let (kind, payload) = outcome(&mut stream).await;
        // RST_STREAM, GOAWAY, or a response: 400 is number 12 of HPACK's static table, 404 number 13, others are literals.
        let refused = matches!(kind, 3 | 7) || (kind == 1 && payload[0] != 0x88);
        assert!(refused, "{fields:?} {kind} {payload:x?}");
        assert!(
            service.requests().is_empty(),
            "{fields:?} {:?}",
            service.requests()
        );
    }
    // The bench's own frames are in order: without a fault the same request passes.
    let mut stream = TcpStream::connect(address).await.unwrap();
    let fields = with(("content-length", "1"));
    stream.write_all(&frames(&fields, Some("1"))).await.unwrap();
    let (kind, payload) = outcome(&mut stream).await;
    assert_eq!((kind, payload[0]), (1, 0x88));
    assert_eq!(service.requests().len(), 1);
}

#[tokio::test]
async fn an_upload_of_unknown_length_is_chunked_for_the_service() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let (address, _serving) = listen(&bench.door).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", "open.example"),
        (":path", "/"),
    ];
    stream
        .write_all(&frames(&fields, Some("body")))
        .await
        .unwrap();
    assert_eq!(outcome(&mut stream).await.0, 1);
    let requests = service.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].contains("transfer-encoding: chunked\r\n"));
    assert!(
        requests[0].ends_with("4\r\nbody\r\n0\r\n\r\n"),
        "{}",
        requests[0]
    );
    assert!(!requests[0].contains("content-length"));
    assert!(requests[0].starts_with("POST / HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_client_that_resets_its_stream_takes_its_request_along() {
    let service = Recorder::start(&[Then::Wait]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let mut client = Client::connect(&bench.door).await;
    let asking = client.send("https://open.example/", &[], "");
    let waiting = service.wait_for("asked", |all, _| all == 1);
    tokio::select! {
        _ = asking => panic!("nobody answers"),
        () = waiting => {}
    }
    service.wait_for("let go", |_, closed| closed == 1).await;
}
