//! The front door over real sockets: what a service behind it gets to see, whatever a client sends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::{IntoResponse, Response},
};
use futures::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use vestibule::{
    auth::{Gate, Metrics},
    clock::Clock,
    front_door::{self, FrontDoor},
    policy::{
        Ceiling, Entry, Grant, Host, HostPattern, Identity, Moment, Origin, Policy, Scheme,
        SessionLimits, Terms,
    },
    published::{
        Access, DeniedTexts, HeaderSource, HostEntry, IDENTITY_HEADERS, Installation, KeyRing,
        Published, Route, RoutePath, Service, ServiceId, Table, UpstreamHeader,
    },
    server::{Limits, Listener},
    session::{self, Keys, NamedFacts},
};

const HOST: &str = "wiki.example";
const NOW: Moment = Moment(1_000_000);

struct Bench {
    address: SocketAddr,
    stop: CancellationToken,
    /// A Cookie line with ann's session, who may enter.
    ann: String,
    /// The same of bob, who may not.
    bob: String,
    _parts: Vec<AbortOnDropHandle<()>>,
}

impl Bench {
    /// A front door before an upstream that tells what it got.
    async fn start() -> Self {
        let echo = Router::new().fallback(echo);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, echo).await.unwrap() });
        let mut bench = Self::before(&upstream.to_string()).await;
        bench._parts.push(AbortOnDropHandle::new(serving));
        bench
    }

    async fn before(upstream: &str) -> Self {
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Limits::default()).await;
        let listener = listener.unwrap();
        let address = listener.address().unwrap();
        let upstream = upstream.replace("SELF", &address.port().to_string());
        let service = Service {
            id: ServiceId::new("demo", "wiki"),
            hosts: vec![HostPattern::parse(HOST).unwrap()],
            protected_service: "demo/wiki".into(),
            display_name: None,
            access: Access::Open(Arc::new(policy())),
            upstream_headers: vec![UpstreamHeader {
                name: "X-Auth-Request-User".into(),
                source: HeaderSource::Subject,
            }],
            denied: DeniedTexts::default(),
        };
        let route = |path: &str, service: Option<&str>| Route {
            path: RoutePath::Prefix(path.into()),
            service: service.map(|name| ServiceId::new("demo", name)),
            upstream: format!("http://{upstream}").into(),
        };
        let entry = |host: &str, routes| {
            let entry = HostEntry {
                pattern: HostPattern::parse(host).unwrap(),
                services: Vec::new(),
                no_sessions: None,
                routes,
                named_groups: Vec::new(),
                named_claims: Vec::new(),
            };
            Published::Host(Arc::new(entry))
        };
        let table = Table::default()
            .with(&Published::Service(Arc::new(service)))
            .with(&entry(HOST, vec![route("/", Some("wiki"))]))
            .with(&entry("gone.example", vec![route("/", Some("removed"))]))
            .with(&entry("open.example", vec![route("/", None)]));
        let installation = Installation {
            instance: "vestibule".into(),
            namespace: "vestibule".into(),
            origin: Origin {
                scheme: Scheme::Http,
                port: 8080,
            },
            endpoint_prefix: "/oauth2".into(),
            auth_host: Host::parse("auth.example"),
            identity_headers: IDENTITY_HEADERS.map(Into::into).into(),
            max_session: Duration::from_secs(3600),
        };
        let endpoint = Router::new().fallback(async |request: Request| {
            let host = request.headers()["host"].to_str().unwrap().to_owned();
            format!("endpoint {host} {}", request.uri())
        });
        let keys = Keys::new(Arc::new(KeyRing::first(1, [7; 32])));
        let cookie = |subject: &str| {
            let (who, named) = (identity(subject), NamedFacts::default());
            let host = Host::parse(HOST).unwrap();
            let sealed = session::issue(&who, &named, &keys, &host, NOW, session::random);
            format!("cookie: vestibule-http={}", sealed.unwrap())
        };
        let (ann, bob) = (cookie("ann"), cookie("bob"));
        let gate = Gate::new(
            Arc::new(installation),
            Arc::new(ArcSwap::from_pointee(table)),
            Arc::new(ArcSwap::from_pointee(Some(keys))),
            Clock::manual(NOW),
            Metrics::register(&mut Registry::default()),
        );
        let door = FrontDoor::new(
            Arc::new(gate.unwrap()),
            endpoint,
            front_door::Settings::default(),
        );
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(door, stop.clone()));
        Self {
            address,
            stop,
            ann,
            bob,
            _parts: vec![AbortOnDropHandle::new(serving)],
        }
    }

    /// Sends the octets of a request and reads until the connection closes.
    async fn raw(&self, request: &str) -> Seen {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .unwrap()
            .unwrap();
        Seen::parse(&answer)
    }

    /// A GET with further header lines.
    async fn get(&self, target: &str, lines: &[&str]) -> Seen {
        let lines = lines.join("\r\n");
        self.raw(&format!(
            "GET {target} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n\r\n"
        ))
        .await
    }
}

struct Seen {
    status: u16,
    head: String,
    body: String,
}

impl Seen {
    fn parse(answer: &[u8]) -> Self {
        let text = String::from_utf8_lossy(answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        Self {
            status: status.unwrap_or_default(),
            head: head.to_lowercase(),
            body: body.to_owned(),
        }
    }

    /// What the upstream got.
    fn upstream(&self) -> Value {
        assert_eq!(self.status, 200, "{}{}", self.head, self.body);
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Whoever is in the group `editors`.
fn policy() -> Policy {
    let editors = Entry {
        groups: vec!["editors".into()],
        ..Entry::default()
    };
    Policy {
        providers: vec![Terms {
            provider: "example".into(),
            issuer: "http://idp.example".into(),
            ceiling: Ceiling::default(),
        }],
        grant: Grant::AnyOf(vec![editors]),
        rules: Vec::new(),
        session: SessionLimits::default(),
        paths_are_rewritten: false,
    }
}

fn identity(subject: &str) -> Identity<'_> {
    Identity {
        session_id: [1; 16],
        provider: "example".into(),
        issuer: "http://idp.example".into(),
        subject: subject.into(),
        email: None,
        email_verified: false,
        name: None,
        username: None,
        groups: if subject == "ann" {
            vec!["editors".into()]
        } else {
            Vec::new()
        },
        groups_complete: true,
        claims: Vec::new(),
        authenticated_at: NOW,
        issued_at: NOW,
        ends_at: NOW.after(Duration::from_secs(600)),
    }
}

/// Answers with the request as it arrived, and with its body's length and sum; `/slow` streams.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() == "/slow" {
        let chunks = stream::unfold(body.into_data_stream(), async |mut rest| {
            let chunk = futures::StreamExt::next(&mut rest).await?;
            Some((chunk, rest))
        });
        return Response::new(Body::from_stream(chunks));
    }
    let headers: Vec<Value> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let Ok(body) = body.collect().await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let body = body.to_bytes();
    let sum: u64 = body.iter().map(|octet| u64::from(*octet)).sum();
    let seen = json!({
        "method": parts.method.as_str(),
        "target": parts.uri.to_string(),
        "headers": headers,
        "length": body.len(),
        "sum": sum,
    });
    let cookies = [
        ("set-cookie", "app=1"),
        ("set-cookie", "vestibule-http=planted"),
    ];
    (axum::response::AppendHeaders(cookies), seen.to_string()).into_response()
}

fn values<'a>(upstream: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = upstream["headers"].as_array().unwrap().iter();
    let named = headers.filter(|pair| pair[0] == name);
    named.map(|pair| pair[1].as_str().unwrap()).collect()
}

#[tokio::test]
async fn no_request_reaches_a_protected_service_unjudged() {
    let bench = Bench::start().await;
    for method in [
        "GET", "HEAD", "POST", "OPTIONS", "DELETE", "PROPFIND", "TRACE", "BREW",
    ] {
        let seen = bench
            .raw(&format!(
                "{method} / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n"
            ))
            .await;
        assert_eq!(seen.status, 401, "{method}");
    }
    let bob = bench.get("/", &["host: wiki.example", &bench.bob]).await;
    assert_eq!(bob.status, 403);
    let websocket = [
        "host: wiki.example",
        "upgrade: websocket",
        "sec-websocket-version: 13",
    ];
    assert_eq!(bench.get("/", &websocket).await.status, 401);
}

#[tokio::test]
async fn people_are_sent_to_sign_in_or_to_the_page_that_says_why_not() {
    let bench = Bench::start().await;
    let start = "location: /oauth2/start/demo/wiki?m=get&rd=%2fa%3fb%3d%26c";
    for cookie in ["cookie: a=1", &bench.bob] {
        let lines = ["host: wiki.example", "accept: text/html", cookie];
        let seen = bench.get("/a?b=&c", &lines).await;
        assert_eq!(seen.status, 303);
        assert!(seen.head.contains(start), "{}", seen.head);
    }
    let let_in = bench
        .get(
            "/",
            &["host: wiki.example", "accept: text/html", &bench.ann],
        )
        .await;
    assert_eq!(let_in.status, 200);
}

#[tokio::test]
async fn a_service_sees_only_the_identity_of_the_session() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let seen = bench
        .raw(&format!(
            "GET / HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\n\
             connection: close, x-auth-request-user, x-auth-request-email\r\n\
             X-Auth-Request-User: root\r\nx_auth_request_user: root\r\n\
             X-Auth-Request-Groups: admins\r\nX-Auth-Request-Access-Token: t\r\n\
             X-Forwarded-User: root\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\
             X-Forwarded-Host: evil.example\r\nForwarded: for=1.2.3.4\r\nAuthorization: Basic eA==\r\n\r\n"
        ))
        .await
        .upstream();
    assert!(values(&seen, "cookie").is_empty());
    assert_eq!(values(&seen, "x-auth-request-user"), ["ann"]);
    assert_eq!(values(&seen, "x-auth-request-email"), [""]);
    assert_eq!(values(&seen, "x-auth-request-groups"), [""]);
    assert_eq!(values(&seen, "x-auth-request-access-token"), [""]);
    assert_eq!(values(&seen, "x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(values(&seen, "x-forwarded-proto"), ["http"]);
    assert_eq!(values(&seen, "x-forwarded-host"), [HOST]);
    assert_eq!(values(&seen, "authorization"), ["Basic eA=="]);
    for gone in [
        "x_auth_request_user",
        "x-forwarded-user",
        "forwarded",
        "connection",
    ] {
        assert!(values(&seen, gone).is_empty(), "{gone}");
    }
}

#[tokio::test]
async fn an_open_service_gets_no_identity_and_no_session_cookie() {
    let bench = Bench::start().await;
    let lines = [
        "host: open.example",
        "x-auth-request-user: root",
        "cookie: a=1; vestibule-http=s; __Host-vestibule=s; b=2",
        "cookie: vestibule-http-try-1=s",
    ];
    let seen = bench.get("/", &lines).await;
    assert!(seen.head.contains("set-cookie: app=1") && !seen.head.contains("planted"));
    let seen = seen.upstream();
    assert!(values(&seen, "x-auth-request-user").is_empty());
    assert_eq!(values(&seen, "cookie"), ["a=1; b=2"]);
}

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

#[tokio::test]
async fn the_endpoint_answers_on_served_hosts_and_on_the_auth_host() {
    let bench = Bench::start().await;
    for (target, host, expected) in [
        (
            "/oauth2/start?rd=/",
            HOST,
            "endpoint wiki.example /oauth2/start?rd=/",
        ),
        ("/oauth2", "OPEN.example", "endpoint open.example /oauth2"),
        ("/", "auth.example:8080", "endpoint auth.example:8080 /"),
    ] {
        let seen = bench.get(target, &[&format!("host: {host}")]).await;
        assert_eq!((seen.status, &*seen.body), (200, expected));
    }
    // Only whole segments, as written: everything else is the service's and is judged.
    for target in [
        "/oauth2x",
        "/OAuth2/start",
        "/%6fauth2/start",
        "/a/../oauth2/start",
    ] {
        assert_eq!(
            bench.get(target, &["host: wiki.example"]).await.status,
            401,
            "{target}"
        );
    }
}

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
            let read = tokio::time::timeout(Duration::from_secs(5), reading)
                .await
                .unwrap()
                .unwrap();
            assert!(read > 0, "the answer ended before {word}: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    }
}

#[tokio::test]
async fn a_request_with_two_framings_becomes_a_request_with_one() {
    let bench = Bench::start().await;
    let ann = &bench.ann;
    let seen = bench
        .raw(&format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\ncontent-length: 4\r\n\
             transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: {HOST}\r\n\r\n"
        ))
        .await;
    if seen.status == 200 {
        assert_eq!(seen.body.matches("\"target\"").count(), 1, "{}", seen.body);
        assert!(!seen.body.contains("content-length"), "{}", seen.body);
    } else {
        assert_eq!(seen.status, 400);
    }
    for framing in [
        "content-length: 3\r\ncontent-length: 4",
        "content-length: +3",
        "transfer-encoding: chunked, identity",
        "transfer-encoding: xchunked",
    ] {
        let seen = bench
            .raw(&format!(
                "POST / HTTP/1.1\r\nhost: {HOST}\r\n{ann}\r\n{framing}\r\n\r\nabc"
            ))
            .await;
        assert_eq!(seen.status, 400, "{framing}");
    }
}

#[tokio::test]
async fn a_service_that_is_down_is_named_by_its_host_and_not_by_its_address() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
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
