//! A front door before a service that tells what it got, and a client that sends octets.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
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
    front_door::{self, FrontDoor, Settings},
    policy::{
        Ceiling, Entry, Grant, Host, HostPattern, Identity, Moment, Origin, Policy, Scheme,
        SessionLimits, Terms,
    },
    published::{
        Access, DeniedTexts, HeaderSource, HostEntry, Installation, KeyRing, Published, Route,
        RoutePath, Service, ServiceId, Table, UpstreamHeader,
    },
    server::{Limits, Listener},
    session::{self, Keys, NamedFacts},
};

pub(super) const HOST: &str = "wiki.example";
const NOW: Moment = Moment(1_000_000);

pub(super) struct Bench {
    pub(super) address: SocketAddr,
    pub(super) stop: CancellationToken,
    pub(super) clock: Clock,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) door: FrontDoor,
    /// A Cookie line with ann's session, who may enter.
    pub(super) ann: String,
    /// The same of bob, who may not.
    pub(super) bob: String,
    parts: Vec<AbortOnDropHandle<()>>,
}

impl Bench {
    /// A front door before an upstream that tells what it got.
    pub(super) async fn start() -> Self {
        Self::echoing(Settings::default()).await
    }

    /// The same with other settings.
    pub(super) async fn echoing(settings: Settings) -> Self {
        let echo = Router::new().fallback(echo);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move { axum::serve(listener, echo).await.unwrap() });
        let mut bench = Self::with(&upstream.to_string(), settings).await;
        bench.parts.push(AbortOnDropHandle::new(serving));
        bench
    }

    /// A front door before whatever is at this address.
    pub(super) async fn before(upstream: &str) -> Self {
        Self::with(upstream, Settings::default()).await
    }

    pub(super) async fn with(upstream: &str, settings: Settings) -> Self {
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
            disclosed: vec![],
            upstream_headers: [UpstreamHeader {
                name: "X-Auth-Request-User".into(),
                source: HeaderSource::Subject,
            }]
            .into(),
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
            origin: Origin {
                scheme: Scheme::Http,
                port: 8080,
            },
            auth_host: Host::parse("auth.example"),
            ..Installation::default()
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
        let (clock, table) = (Clock::manual(NOW), Arc::new(ArcSwap::from_pointee(table)));
        let gate = Gate::new(
            Arc::new(installation),
            Arc::clone(&table),
            Arc::new(ArcSwap::from_pointee(Some(keys))),
            clock.clone(),
            Metrics::register(&mut Registry::default()),
        );
        let door = FrontDoor::new(
            Arc::new(gate.unwrap()),
            endpoint,
            settings,
            front_door::Metrics::default(),
        );
        let stop = CancellationToken::new();
        let serving = tokio::spawn(listener.serve(door.clone(), stop.clone()));
        Self {
            address,
            stop,
            clock,
            table,
            door,
            ann,
            bob,
            parts: vec![AbortOnDropHandle::new(serving)],
        }
    }

    /// Sends the octets of a request and reads until the connection closes.
    pub(super) async fn raw(&self, request: &str) -> Seen {
        Seen::parse(&self.octets(request.as_bytes()).await)
    }

    /// All that comes back for some octets until the connection closes, reset or not.
    pub(super) async fn octets(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.ok();
        let mut answer = Vec::new();
        let reading = stream.read_to_end(&mut answer);
        tokio::time::timeout(Duration::from_secs(10), reading)
            .await
            .expect("the connection closes")
            .ok();
        answer
    }

    /// Waits until the listener has let everything go.
    pub(super) async fn ended(&mut self) {
        let serving = self.parts.remove(0);
        let ended = tokio::time::timeout(Duration::from_secs(10), serving).await;
        ended.expect("nothing holds the listener up").unwrap();
    }

    /// A connection on which a request has been sent.
    pub(super) async fn opened(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// A GET with further header lines.
    pub(super) async fn get(&self, target: &str, lines: &[&str]) -> Seen {
        let lines = lines.join("\r\n");
        self.raw(&format!(
            "GET {target} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n\r\n"
        ))
        .await
    }
}

pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn parse(answer: &[u8]) -> Self {
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
    pub(super) fn upstream(&self) -> Value {
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
            reading: [0; 4],
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
        reading: None,
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

pub(super) fn values<'a>(upstream: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = upstream["headers"].as_array().unwrap().iter();
    let named = headers.filter(|pair| pair[0] == name);
    named.map(|pair| pair[1].as_str().unwrap()).collect()
}

/// Reads until a text has come; panics with what came instead if the connection ends before, or nothing more comes.
pub(super) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut buffer = [0; 4096];
        let reading = stream.read(&mut buffer);
        let read = tokio::time::timeout(Duration::from_secs(10), reading).await;
        let read = read
            .unwrap_or_else(|_| panic!("no {text:?} in {seen:?}"))
            .unwrap();
        assert!(read > 0, "the connection ended before {text:?}: {seen:?}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    seen
}

/// Whether the other side closes, within the patience of a test.
pub(super) async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .is_ok()
}
