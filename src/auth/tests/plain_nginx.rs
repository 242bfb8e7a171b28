//! Plain nginx: what `auth_request` is answered, and `/sign_in` as its `error_page` reaches it.

use super::*;
use crate::published::{Route, RoutePath};

const DECLARED: &str = "x-original-uri";

/// What nginx gets for a request with these headers.
async fn asks(bench: &Bench, path: &str, headers: &[(&str, &str)]) -> u16 {
    bench.ask("GET", path, headers).await.status.as_u16()
}

/// Leaves the first so many rules: Public, then Denied.
fn keep_rules(bench: &Bench, service: &str, count: usize) {
    let mut service = bench.service(service);
    let Access::Open(policy) = &mut service.access else {
        panic!("it is open");
    };
    Arc::make_mut(policy).rules.truncate(count);
    bench.change(&Published::Service(Arc::new(service)));
}

/// `a.example` belongs to service a, but for `/b/`, which is b's, and `/open/`, which is nobody's.
fn share_a_host(bench: &Bench) {
    let mut b = bench.service("b");
    b.hosts.push(HostPattern::parse("a.example").unwrap());
    b.access = bench.service("a").access;
    bench.change(&Published::Service(Arc::new(b)));
    let route = |path: &str, service: Option<&str>| Route {
        path: RoutePath::Prefix(path.into()),
        service: service.map(|name| ServiceId::new("team", name)),
        upstream: "http://127.0.0.1:1".into(),
    };
    bench.change(&Published::Host(Arc::new(HostEntry {
        pattern: HostPattern::parse("a.example").unwrap(),
        services: vec![ServiceId::new("team", "a"), ServiceId::new("team", "b")],
        no_sessions: None,
        routes: vec![
            route("/", Some("a")),
            route("/b/", Some("b")),
            route("/open/", None),
        ],
        named_groups: vec![],
        named_claims: vec![],
    })));
}

#[tokio::test]
async fn without_a_declared_header_the_host_decides_and_no_path_rule_applies() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let signed_in = [("host", "a.example"), ("cookie", &*cookie)];
    // There is a Denied rule, and nobody says which path is asked for.
    assert_eq!(asks(&bench, "/oauth2/auth", &signed_in).await, 403);
    assert_eq!(asks(&bench, "/oauth2/auth", &signed_in[..1]).await, 403);
    keep_rules(&bench, "a", 1);
    assert_eq!(asks(&bench, "/oauth2/auth", &signed_in).await, 200);
    let spoofed = [
        ("host", "a.example"),
        ("x-original-uri", "/healthz"),
        ("x-original-url", "https://a.example/healthz"),
        ("x-auth-request-redirect", "/healthz"),
    ];
    assert_eq!(asks(&bench, "/oauth2/auth", &spoofed).await, 401);
    for host in ["unknown.example", "a_b", "[::1]"] {
        let asked = [("host", host), ("cookie", &*cookie)];
        assert_eq!(asks(&bench, "/oauth2/auth", &asked).await, 403, "{host}");
    }
    assert_eq!(asks(&bench, "/oauth2/auth", &[]).await, 403);
}

#[tokio::test]
async fn with_a_declared_header_path_rules_apply_as_in_a_check() {
    let bench = Bench::behind_nginx(None, Some(DECLARED));
    let cookie = bench.session("a.example", &ann());
    for (target, anonymous, signed_in) in [
        ("/", 401, 200),
        ("/a?b=c", 401, 200),
        ("/healthz", 200, 200),
        ("/healthz?x", 200, 200),
        ("https://a.example/healthz", 200, 200),
        ("http://A.example:8443/healthz", 200, 200),
        ("/internal/x", 401, 403),
        ("/INTERNAL", 401, 403),
        ("/x/../internal/", 401, 403),
        ("//healthz", 401, 403),
        ("/healthz;x", 401, 403),
        ("/h%65althz", 200, 200),
        ("/oauth2/sign_in", 403, 403),
        // Not a target of this host: refused, since there are rules.
        ("https://b.example/healthz", 403, 403),
        ("https://a.example?/healthz", 403, 403),
        ("healthz", 403, 403),
        ("", 403, 403),
    ] {
        let asked = [
            ("host", "a.example"),
            (DECLARED, target),
            ("cookie", &*cookie),
        ];
        let got = (
            asks(&bench, "/oauth2/auth", &asked[..2]).await,
            asks(&bench, "/oauth2/auth", &asked).await,
        );
        assert_eq!(got, (anonymous, signed_in), "{target:?}");
    }
}

#[tokio::test]
async fn where_nginx_does_not_send_the_declared_header_rules_are_a_reason_to_refuse() {
    let bench = Bench::behind_nginx(None, Some(DECLARED));
    let cookie = bench.session("a.example", &ann());
    let twice = [
        ("host", "a.example"),
        ("cookie", &*cookie),
        (DECLARED, "/healthz"),
        (DECLARED, "/healthz"),
    ];
    assert_eq!(asks(&bench, "/oauth2/auth", &twice).await, 403);
    assert_eq!(asks(&bench, "/oauth2/auth", &twice[..2]).await, 403);
    // Even if they only open: where nginx does not send it, a client could.
    keep_rules(&bench, "a", 1);
    assert_eq!(asks(&bench, "/oauth2/auth", &twice[..2]).await, 403);
    keep_rules(&bench, "a", 0);
    assert_eq!(asks(&bench, "/oauth2/auth", &twice[..2]).await, 200);
}

#[tokio::test]
async fn on_a_host_of_several_services_the_path_decides_which_is_meant() {
    let undeclared = Bench::new(None);
    share_a_host(&undeclared);
    let bench = Bench::behind_nginx(None, Some(DECLARED));
    share_a_host(&bench);
    // ann may see b and, say, not a.
    let mut a = bench.service("a");
    a.access = bench.service("b").access;
    let Access::Open(policy) = &mut a.access else {
        panic!("it is open");
    };
    Arc::make_mut(policy).grant = entry_of("nobody");
    bench.change(&Published::Service(Arc::new(a)));
    let cookie = bench.session("a.example", &ann());
    for (target, expected) in [
        ("/b/x", 200),
        ("/x", 403),
        ("/bx", 403),
        ("/x/../b/", 403),
        ("/b/%2e%2e/x", 403),
        ("//b/", 403),
        ("/b%2fx", 403),
        ("/B/x", 403),
        ("/b;/x", 403),
        // nginx would not ask if it left the path open, as the manifests do.
        ("/open/x", 403),
    ] {
        let asked = [
            ("host", "a.example"),
            (DECLARED, target),
            ("cookie", &*cookie),
        ];
        assert_eq!(
            asks(&bench, "/oauth2/auth", &asked).await,
            expected,
            "{target}"
        );
        assert_eq!(
            asks(&undeclared, "/oauth2/auth", &asked).await,
            403,
            "{target}"
        );
    }
    let unsaid = [("host", "a.example"), ("cookie", &*cookie)];
    assert_eq!(asks(&bench, "/oauth2/auth", &unsaid).await, 403);
}

fn entry_of(group: &str) -> Grant {
    Grant::AnyOf(vec![entry_group(group)])
}

#[tokio::test]
async fn nginx_may_say_itself_which_service_it_asks_about() {
    let bench = Bench::behind_nginx(None, Some(DECLARED));
    share_a_host(&bench);
    let cookie = bench.session("a.example", &ann());
    let asked = |target: &'static str| {
        [
            ("host", "a.example".to_owned()),
            (DECLARED, target.to_owned()),
            ("cookie", cookie.clone()),
        ]
    };
    for (path, target, expected) in [
        ("/oauth2/auth/team/a", "/x", 200),
        ("/oauth2/auth/team/b", "/x", 200),
        // The policy is that of the service, whatever the path would have led to.
        ("/oauth2/auth/team/a", "/open/x", 200),
        ("/oauth2/auth/team/a", "/internal/", 403),
        ("/oauth2/auth/team/a", "/open/../internal/", 403),
        ("/oauth2/auth/team/none", "/x", 403),
        ("/oauth2/auth/team", "/x", 404),
    ] {
        let sent = asked(target);
        let sent: Vec<_> = sent.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(asks(&bench, path, &sent).await, expected, "{path} {target}");
    }
    let elsewhere = bench.session("b.example", &ann());
    let sent = [
        ("host", "b.example"),
        (DECLARED, "/x"),
        ("cookie", &*elsewhere),
    ];
    assert_eq!(
        asks(&bench, "/oauth2/auth/team/a", &sent).await,
        403,
        "b.example is no host of a"
    );
}

#[tokio::test]
async fn a_client_that_sends_an_identity_header_is_refused_since_nginx_would_pass_it_on() {
    let bench = Bench::new(None);
    keep_rules(&bench, "a", 0);
    let cookie = bench.session("a.example", &ann());
    for (name, expected) in [
        ("x-auth-request-email", 403),
        ("X-Auth-Request-Access-Token", 403),
        ("x_auth_request_email", 403),
        ("x-auth_request-user", 403),
        // Set by nginx itself, and not about who is there.
        ("x-auth-request-redirect", 200),
        ("x-forwarded-user", 200),
    ] {
        let sent = [("host", "a.example"), ("cookie", &*cookie), (name, "")];
        assert_eq!(
            asks(&bench, "/oauth2/auth", &sent).await,
            expected,
            "{name}"
        );
        let status = asks(&bench, "/oauth2/auth/team/a", &sent).await;
        assert_eq!(status, expected, "{name}");
    }
}

#[tokio::test]
async fn a_switch_to_http_2_is_refused_since_nobody_would_be_asked_behind_it() {
    let bench = Bench::new(None);
    keep_rules(&bench, "a", 0);
    let cookie = bench.session("a.example", &ann());
    let sent = [
        ("host", "a.example"),
        ("cookie", &*cookie),
        ("http2-settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    ];
    for path in ["/oauth2/auth", "/oauth2/auth/team/a"] {
        assert_eq!(asks(&bench, path, &sent[..2]).await, 200);
        assert_eq!(asks(&bench, path, &sent).await, 403);
    }
    for target in ["/", "/healthz"] {
        let check = format!("/verify/nginx/team/a?m=GET&u={target}&h=a.example");
        assert_eq!(bench.check(&check, &sent[1..2]).status, StatusCode::OK);
        assert_eq!(
            bench.check(&check, &sent[1..]).status,
            StatusCode::FORBIDDEN
        );
        assert_eq!(
            bench.check(&check, &sent[2..]).status,
            StatusCode::FORBIDDEN
        );
    }
}

/// What a browser gets that nginx's `error_page` takes to `/sign_in`.
async fn refused(bench: &Bench, headers: &[(&str, &str)]) -> Reply {
    let navigating = [("host", "a.example"), ("accept", "text/html")];
    let headers = [&navigating, headers].concat();
    bench.ask("GET", "/oauth2/sign_in", &headers).await
}

#[tokio::test]
async fn sign_in_returns_to_the_very_page_that_nginx_says_was_asked_for() {
    let bench = Bench::new(None);
    keep_rules(&bench, "a", 0);
    let cookie = bench.session("a.example", &ann());
    for (asked, returned) in [
        ("/a/b?x=1&y=%2F", "/a/b?x=1&y=%2F"),
        ("/?filter[name]={a|b}", "/?filter%5Bname%5D=%7Ba%7Cb%7D"),
        ("/oauth2/sign_in", "/"),
        ("/oauth2/start?rd=//evil.example", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("/a/../../b", "/"),
        ("", "/"),
    ] {
        let sent = [("x-auth-request-redirect", asked), ("cookie", &*cookie)];
        let reply = refused(&bench, &sent).await;
        let got = (reply.status.as_u16(), location(&reply));
        assert_eq!(got, (302, returned), "{asked}");
    }
    let both = [
        ("x-auth-request-redirect", "/header"),
        ("host", "a.example"),
        ("cookie", &*cookie),
    ];
    let reply = bench
        .ask("GET", "/oauth2/sign_in?rd=%2Fparameter", &both)
        .await;
    assert_eq!(location(&reply), "/parameter", "the parameter wins");
}

#[tokio::test]
async fn what_was_being_sent_is_said_not_to_have_been() {
    let bench = Bench::new(None);
    for evidence in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("content-length", "0"),
        ("origin", "https://a.example"),
    ] {
        let reply = refused(&bench, &[evidence]).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        assert!(
            reply.body.contains("this was not sent"),
            "{evidence:?} {}",
            reply.body
        );
    }
    let headers = [("host", "a.example"), ("accept", "text/html")];
    for method in ["POST", "PUT", "DELETE"] {
        let reply = bench.ask(method, "/oauth2/sign_in", &headers).await;
        assert!(reply.body.contains("this was not sent"), "{method}");
    }
    let program = [("host", "a.example"), ("content-type", "application/json")];
    let reply = bench.ask("GET", "/oauth2/sign_in", &program).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(
        reply.body.starts_with("{\"error\":\"login_required\""),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn on_a_host_of_several_services_sign_in_shows_that_of_the_page() {
    let bench = Bench::new(None);
    share_a_host(&bench);
    let mut b = bench.service("b");
    b.display_name = Some("The second".into());
    let Access::Open(policy) = &mut b.access else {
        panic!("it is open");
    };
    Arc::make_mut(policy).grant = entry_of("nobody");
    bench.change(&Published::Service(Arc::new(b)));
    let cookie = bench.session("a.example", &ann());
    let reply = refused(
        &bench,
        &[("x-auth-request-redirect", "/b/x"), ("cookie", &*cookie)],
    )
    .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(
        reply.body.contains("access to The second"),
        "{}",
        reply.body
    );
}

#[tokio::test]
async fn no_service_is_asked_about_on_the_auth_host_not_even_one_whose_wildcard_covers_it() {
    let bench = Bench::behind_nginx(Some("auth.example"), Some(DECLARED));
    let mut everywhere = bench.service("a");
    everywhere.hosts = vec![HostPattern::parse("*.example").unwrap()];
    let entry = HostEntry {
        pattern: everywhere.hosts[0].clone(),
        services: vec![everywhere.id.clone()],
        no_sessions: None,
        routes: vec![],
        named_groups: vec![],
        named_claims: vec![],
    };
    bench.change(&Published::Service(Arc::new(everywhere)));
    bench.change(&Published::Host(Arc::new(entry)));
    for (host, expected) in [("other.example", 200), ("auth.example", 403)] {
        let cookie = bench.session(host, &ann());
        let asked = [("host", host), ("cookie", &*cookie), (DECLARED, "/x")];
        for check in ["/oauth2/auth", "/oauth2/auth/team/a"] {
            assert_eq!(
                asks(&bench, check, &asked).await,
                expected,
                "{host} {check}"
            );
        }
        let public = [("host", host), (DECLARED, "/healthz")];
        assert_eq!(
            asks(&bench, "/oauth2/auth", &public).await,
            expected,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_web_socket_of_another_origins_page_is_judged_as_if_nobody_were_signed_in() {
    let bench = Bench::behind_nginx(None, Some(DECLARED));
    let cookie = bench.session("a.example", &ann());
    for (origin, target, expected) in [
        ("https://a.example", "/socket", 200),
        ("https://b.example", "/socket", 401),
        ("null", "/socket", 401),
        ("https://b.example", "/healthz", 200),
    ] {
        let asked = [
            ("host", "a.example"),
            ("cookie", &*cookie),
            (DECLARED, target),
            ("origin", origin),
            ("sec-websocket-version", "13"),
        ];
        let got = asks(&bench, "/oauth2/auth", &asked).await;
        assert_eq!(got, expected, "{origin} {target}");
        // What is no WebSocket is between the service and the page (CORS).
        let got = asks(&bench, "/oauth2/auth", &asked[..4]).await;
        assert_eq!(got, 200, "{origin} {target}");
    }
}
