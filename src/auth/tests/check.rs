//! The check: 200, 401 or 403, and who gets which.

use super::*;

const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");

fn ask(host: &str, target: &str) -> String {
    let escaped: String = url::form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let name = host.split('.').next().unwrap();
    format!("/verify/nginx/team/{name}?m=GET&u={escaped}&h={host}")
}

#[test]
fn a_session_passes_with_every_identity_header_of_the_closed_list() {
    let bench = Bench::new(None);
    let mut ann = ann();
    ann.groups = vec!["a".into(), "b,c".into(), "d".into()];
    let cookie = bench.session("a.example", &ann);
    let reply = bench.check(
        &ask("a.example", "/x"),
        &[("cookie", &cookie), ("x-auth-request-user", "root")],
    );
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.header("x-auth-request-user"), "ann-1");
    assert_eq!(reply.header("x-auth-request-email"), "ann@corp.example");
    assert_eq!(
        reply.header("x-auth-request-groups"),
        "a,d",
        "a group with a comma would be read as two"
    );
    assert_eq!(reply.header("cache-control"), "no-store");
    assert!(reply.headers.get("set-cookie").is_none());
    for name in IDENTITY_HEADERS {
        assert_eq!(reply.headers.get_all(name).iter().count(), 1, "{name}");
    }
    assert_eq!(reply.header("x-auth-request-access-token"), "");
}

#[test]
fn without_a_session_everyone_gets_401_and_a_public_path_passes_without_a_name() {
    let bench = Bench::new(None);
    assert_eq!(
        bench.check(&ask("a.example", "/"), &[]).status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        bench.check(&ask("a.example", "/"), &[NAVIGATION]).status,
        StatusCode::UNAUTHORIZED
    );
    let cookie = bench.session("a.example", &ann());
    let public = bench.check(&ask("a.example", "/healthz"), &[("cookie", &cookie)]);
    assert_eq!(public.status, StatusCode::OK);
    assert_eq!(public.header("x-auth-request-user"), "");
    assert_eq!(
        bench.check(&ask("a.example", "/Healthz"), &[]).status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        bench.check(&ask("a.example", "/x/../healthz"), &[]).status,
        StatusCode::UNAUTHORIZED
    );
}

#[test]
fn who_may_not_enter_gets_401_as_a_person_and_403_as_a_program() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &bob());
    let ask_a = ask("a.example", "/");
    assert_eq!(
        bench
            .check(&ask_a, &[("cookie", &cookie), NAVIGATION])
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        bench.check(&ask_a, &[("cookie", &cookie)]).status,
        StatusCode::FORBIDDEN
    );
    let ann = bench.session("a.example", &ann());
    let denied = ask("a.example", "/internal/x");
    assert_eq!(
        bench.check(&denied, &[("cookie", &ann)]).status,
        StatusCode::FORBIDDEN
    );
}

#[test]
fn a_cookie_is_useless_on_any_other_host_and_for_any_other_ingress() {
    let bench = Bench::new(None);
    let mut admin = ann();
    admin.groups = vec!["admins".into()];
    let of_a = bench.session("a.example", &admin);
    let of_b = bench.session("b.example", &admin);
    assert_eq!(
        bench
            .check(&ask("b.example", "/"), &[("cookie", &of_b)])
            .status,
        StatusCode::OK
    );
    assert_eq!(
        bench
            .check(&ask("b.example", "/"), &[("cookie", &of_a)])
            .status,
        StatusCode::UNAUTHORIZED
    );
    // The name in the path decides the hosts: a's check for b's host, and the other way round.
    for (name, host, cookie) in [
        ("a", "b.example", &of_b),
        ("b", "a.example", &of_a),
        ("a", "c.a.example", &of_a),
    ] {
        let path = format!("/verify/nginx/team/{name}?m=GET&u=%2F&h={host}");
        assert_eq!(
            bench.check(&path, &[("cookie", cookie)]).status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
}

#[test]
fn nothing_but_the_contract_is_answered() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    for path in [
        "/",
        "/verify/nginx/team/a",
        "/verify/nginx/team/a?",
        "/verify/nginx/team/a?m=GET&u=%2F",
        "/verify/nginx/team/unknown?m=GET&u=%2F&h=a.example",
        "/verify/nginx/team/a?m=GET&u=%2Fhealthz&h=a.example&h=a.example",
        "/verify/nginx/team/a?m=GET&u=%2Foauth2%2Fstart&h=a.example",
        "/verify/nginx/team/a?m=GET&u=%2Foauth2&h=a.example",
        "/metrics",
        "/oauth2/auth",
    ] {
        assert_eq!(
            bench.check(path, &[("cookie", &cookie)]).status,
            StatusCode::FORBIDDEN,
            "{path}"
        );
    }
}

/// As `auth-method` on an Ingress makes ingress-nginx and Traefik ask.
#[test]
fn the_method_of_the_check_itself_decides_nothing() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    for method in ["GET", "HEAD", "POST", "CONNECT", "TRACE"] {
        let status = |headers: &[(&str, &str)]| {
            let asked = request(method, &ask("a.example", "/"), headers).map(|_| ());
            bench.verify.answer(&asked).status()
        };
        assert_eq!(status(&[("cookie", &cookie)]), StatusCode::OK, "{method}");
        assert_eq!(status(&[]), StatusCode::UNAUTHORIZED, "{method}");
    }
}

#[test]
fn headers_that_a_client_can_send_change_nothing() {
    let bench = Bench::new(None);
    let lies = [
        ("x-original-url", "https://a.example/healthz"),
        ("x-original-uri", "/healthz"),
        ("x-original-method", "OPTIONS"),
        ("x-forwarded-uri", "/healthz"),
        ("x-forwarded-host", "b.example"),
        ("x-forwarded-method", "OPTIONS"),
        ("x-auth-request-redirect", "/healthz"),
        ("x-auth-request-user", "ann-1"),
        ("range", "bytes=0-0"),
        ("if-none-match", "*"),
        ("authorization", "Bearer x"),
        ("x-forwarded-proto", "http"),
        ("host", "b.example"),
    ];
    let bare = bench.check(&ask("a.example", "/"), &[]);
    let lying = bench.check(&ask("a.example", "/"), &lies);
    assert_eq!((bare.status, &bare.headers), (lying.status, &lying.headers));
}

#[tokio::test]
async fn an_identity_header_in_another_spelling_is_refused_since_no_data_plane_replaces_it() {
    let bench = Bench::new(None);
    let cookie = bench.session("b.example", &admin());
    let sent = |name: &'static str| {
        [
            ("host", "b.example"),
            ("cookie", &*cookie),
            (name, "root@corp.example"),
        ]
        .map(|(name, value)| (name, value.to_owned()))
    };
    for (name, expected) in [
        ("x-auth-request-email", StatusCode::OK),
        ("x_other", StatusCode::OK),
        ("x_auth_request_email", StatusCode::FORBIDDEN),
        ("x-auth_request-email", StatusCode::FORBIDDEN),
        ("X_Auth-Request-User", StatusCode::FORBIDDEN),
        ("X.Auth.Request.Email", StatusCode::FORBIDDEN),
        ("x!auth~request'email", StatusCode::FORBIDDEN),
        ("x-auth-request-emailx", StatusCode::OK),
    ] {
        let sent = sent(name);
        let headers: Vec<_> = sent.iter().map(|(name, value)| (*name, &**value)).collect();
        let checked = bench.check(&ask("b.example", "/"), &headers);
        assert_eq!(checked.status, expected, "{name}");
    }
    let public = bench.check(
        &ask("a.example", "/healthz"),
        &[("x_auth_request_email", "root@corp.example")],
    );
    assert_eq!(public.status, StatusCode::FORBIDDEN);
}

fn admin() -> Identity<'static> {
    Identity {
        groups: vec!["admins".into()],
        ..ann()
    }
}

#[test]
fn a_closed_service_an_empty_ring_and_an_ended_session_let_nobody_in() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let ask_a = ask("a.example", "/");
    let status = |bench: &Bench| bench.check(&ask_a, &[("cookie", &cookie)]).status;
    assert_eq!(status(&bench), StatusCode::OK);
    bench.clock.advance(Duration::from_secs(40_000));
    assert_eq!(status(&bench), StatusCode::UNAUTHORIZED);

    let bench = Bench::new(None);
    let closed = crate::published::Closed {
        reason: "SecretNotFound".into(),
        message: "".into(),
    };
    bench.change(&Published::Service(Arc::new(Service {
        access: Access::Closed(closed),
        ..bench.service("a")
    })));
    assert_eq!(status(&bench), StatusCode::FORBIDDEN);
    bench.change(&Published::NoService(ServiceId::new("team", "a")));
    assert_eq!(status(&bench), StatusCode::FORBIDDEN);

    let bench = Bench::new(None);
    bench.keys.store(Arc::new(None));
    assert_eq!(status(&bench), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_changed_policy_counts_on_the_next_request() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let ask_a = ask("a.example", "/");
    assert_eq!(
        bench.check(&ask_a, &[("cookie", &cookie)]).status,
        StatusCode::OK
    );
    let changed = service("a", Grant::AnyOf(vec![entry_group("admins")]));
    bench.change(&Published::Service(Arc::new(changed)));
    assert_eq!(
        bench.check(&ask_a, &[("cookie", &cookie)]).status,
        StatusCode::FORBIDDEN
    );
}

#[test]
fn a_session_that_was_opened_a_moment_ago_ends_with_its_key_ring() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let status = || {
        bench
            .check(&ask("a.example", "/"), &[("cookie", &cookie)])
            .status
    };
    assert_eq!(status(), StatusCode::OK);
    let ring = |secret| Some(Keys::new(Arc::new(KeyRing::first(1, [secret; 32]))));
    bench.keys.store(Arc::new(ring(2)));
    assert_eq!(status(), StatusCode::UNAUTHORIZED);
    bench.keys.store(Arc::new(ring(1)));
    assert_eq!(status(), StatusCode::OK);
}

#[test]
fn other_identity_headers_are_sent_from_the_next_request_on() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let user = || {
        let reply = bench.check(&ask("a.example", "/"), &[("cookie", &cookie)]);
        reply.header("x-auth-request-user").to_owned()
    };
    assert_eq!(user(), "ann-1");
    for (source, expected) in [
        (HeaderSource::Email, "ann@corp.example"),
        (HeaderSource::Subject, "ann-1"),
    ] {
        let name = "X-Auth-Request-User".into();
        bench.change(&Published::Service(Arc::new(Service {
            upstream_headers: [UpstreamHeader { name, source }].into(),
            ..bench.service("a")
        })));
        assert_eq!(user(), expected);
    }
}

#[test]
fn an_answer_stays_under_nginxs_buffer() {
    let bench = Bench::new(None);
    let mut ann = ann();
    ann.groups = (0..180).map(|n| format!("group-{n:09}").into()).collect();
    ann.subject = "s".repeat(255).into();
    ann.name = Some("n".repeat(250).into());
    let cookie = bench.session("a.example", &ann);
    let reply = bench.check(&ask("a.example", "/"), &[("cookie", &cookie)]);
    assert_eq!(reply.status, StatusCode::OK);
    let size: usize = reply
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    assert!(size < 3000, "{size}");
}

#[test]
fn a_page_of_another_origin_opens_a_web_socket_as_nobody() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let check = |target, origin, handshake| {
        let headers = [("cookie", &*cookie), ("origin", origin), handshake];
        bench.check(&ask("a.example", target), &headers).status
    };
    let key = ("sec-websocket-key", "x");
    let (own, other) = ("https://a.example", "https://b.example");
    assert_eq!(check("/x", own, key), StatusCode::OK);
    assert_eq!(check("/x", other, key), StatusCode::UNAUTHORIZED);
    assert_eq!(check("/healthz", other, key), StatusCode::OK);
    // What is no WebSocket is between the service and the page (CORS).
    assert_eq!(check("/x", other, ("accept", "*/*")), StatusCode::OK);
}

#[test]
fn whether_a_request_passes_depends_on_the_headers_that_are_named_for_it() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let all = [
        ("cookie", &*cookie),
        ("origin", "https://b.example"),
        ("sec-websocket-key", "x"),
        ("sec-websocket-version", "13"),
        ("upgrade", "websocket"),
        ("sec-fetch-mode", "navigate"),
        ("accept", "text/html"),
        ("authorization", "Bearer x"),
    ];
    let passes = |target, headers: &[(&str, &str)]| {
        bench.check(&ask("a.example", target), headers).status == StatusCode::OK
    };
    let mut passed = 0;
    for chosen in 0..1_u32 << all.len() {
        let of = |number: usize| chosen & (1 << number) != 0;
        let headers: Vec<_> = (0..all.len()).filter(|n| of(*n)).map(|n| all[n]).collect();
        let decides = |(name, _): &&(&str, &str)| DECIDING.iter().any(|header| header == name);
        let deciding: Vec<_> = headers.iter().filter(decides).copied().collect();
        for target in ["/x", "/healthz"] {
            let whole = passes(target, &headers);
            assert_eq!(passes(target, &deciding), whole, "{target} {headers:?}");
            passed += usize::from(whole);
        }
    }
    assert!(passed > 256 && passed < 512, "{passed}");
}
