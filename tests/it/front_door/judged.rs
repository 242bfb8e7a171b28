//! Who may pass, and what of a session a service gets to see.

use std::sync::Arc;

use vestibule::{
    policy::{Host, HostPattern},
    published::{HostEntry, Published},
};

use super::{
    bench::{Bench, HOST, values},
    recorder::{OK, Recorder, Then},
};

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
    // A service whose wildcard covers the auth host is not there.
    let everywhere = HostEntry {
        pattern: HostPattern::parse("*.example").unwrap(),
        ..HostEntry::clone(
            bench
                .table
                .load()
                .host(&Host::parse(HOST).unwrap())
                .unwrap(),
        )
    };
    let table = bench
        .table
        .load()
        .with(&Published::Host(Arc::new(everywhere)));
    bench.table.store(Arc::new(table));
    let other = bench.get("/", &["host: other.example"]).await;
    assert_eq!(other.status, 401);
    let seen = bench.get("/x", &["host: auth.example"]).await;
    assert_eq!(
        (seen.status, &*seen.body),
        (200, "endpoint auth.example /x")
    );
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
async fn caches_and_browsers_are_told_what_keeps_sessions_apart() {
    let service = Recorder::start(&[Then::Answer(
        "HTTP/1.1 200 OK\r\ncache-control: public, max-age=60\r\nclear-site-data: \"*\"\r\n\
         content-length: 2\r\n\r\nok",
    )])
    .await;
    let bench = Bench::before(&service.address.to_string()).await;
    let host = format!("host: {HOST}");
    let seen = bench.get("/", &[&host, &bench.ann]).await.head;
    assert!(
        seen.contains("cache-control: private, max-age=60\r\n"),
        "{seen}"
    );
    assert!(
        seen.contains("clear-site-data: \"cache\", \"storage\"\r\n"),
        "{seen}"
    );
    // What is everybody's may be kept as its service says.
    let seen = bench.get("/", &["host: open.example"]).await.head;
    assert!(
        seen.contains("cache-control: public, max-age=60\r\n"),
        "{seen}"
    );
    assert!(!seen.contains("\"*\""), "{seen}");
}

/// To a service that signs connections in, whoever comes next on one is the person before.
#[tokio::test]
async fn nobody_comes_to_a_service_on_a_connection_that_somebody_signed_in() {
    let service = Recorder::start(&[Then::Answer(OK)]).await;
    let bench = Bench::before(&service.address.to_string()).await;
    let credentials = ["Negotiate YIIx", "NTLM TlRMTVNTUAAB", "nTLM TlRMTVNTUAAD"];
    for credentials in credentials {
        let lines = [
            "host: open.example",
            &format!("authorization: {credentials}"),
        ];
        assert_eq!(bench.get("/", &lines).await.status, 200);
        for _ in 0..2 {
            let seen = bench.get("/", &["host: open.example"]).await;
            assert_eq!(seen.status, 200);
        }
    }
    let connections = service.by_connection();
    let signed_in = |request: &String| request.contains("authorization: n");
    let those: Vec<_> = connections
        .iter()
        .filter(|requests| requests.iter().any(|it| signed_in(&it.to_lowercase())))
        .collect();
    assert_eq!(those.len(), credentials.len());
    assert!(those.iter().all(|it| it.len() == 1), "{connections:#?}");
}
