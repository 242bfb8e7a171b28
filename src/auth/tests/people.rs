//! What people meet on one host: sign-in, denial, and every wrong turn on the way.

use super::*;
use crate::published::{Disclosed, NoSessions};

#[tokio::test]
async fn every_page_is_guarded_against_caching_framing_tricks_and_foreign_script() {
    let bench = Bench::new(None);
    for path in [
        "/oauth2/start?rd=%2F",
        "/oauth2/nothing",
        "/oauth2/sign_out",
        "/oauth2/callback/corp?state=x&code=y",
    ] {
        let reply = bench.navigate("a.example", path, "").await;
        assert_eq!(reply.header("cache-control"), "no-store", "{path}");
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{path}");
        assert!(
            reply
                .header("content-security-policy")
                .starts_with("default-src 'none'; style-src 'sha256-"),
            "{path}"
        );
        assert!(!reply.body.contains("<script"), "{path}");
        // A button does its work in a frame as well, on whichever site somebody is brought to press it.
        let framed = !reply
            .header("content-security-policy")
            .contains("frame-ancestors 'none'");
        assert_eq!(framed, !reply.body.contains("<button"), "{path}");
    }
    let asks = [
        ("host", "a.example"),
        ("sec-fetch-site", "cross-site"),
        ("accept", "text/html"),
    ];
    let asks = bench.ask("GET", "/oauth2/sign_out", &asks).await;
    assert!(asks.body.contains("<button"));
    assert!(
        asks.header("content-security-policy")
            .ends_with("; frame-ancestors 'none'")
    );
}

#[tokio::test]
async fn a_dead_provider_stops_sign_in_and_nothing_else() {
    let bench = Bench::new(None);
    let reply = bench
        .navigate(
            "a.example",
            "/oauth2/start/team/a?m=GET&rd=https://a.example%2Fx",
            "",
        )
        .await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        reply.body.contains("Corp does not answer"),
        "{}",
        reply.body
    );
    assert!(!reply.header("retry-after").is_empty());
    let cookie = bench.session("a.example", &ann());
    let reply = bench
        .navigate(
            "a.example",
            "/oauth2/start/team/a?m=GET&rd=https://a.example%2Fx",
            &cookie,
        )
        .await;
    assert_eq!((reply.status, location(&reply)), (StatusCode::FOUND, "/x"));
}

#[tokio::test]
async fn a_person_who_may_not_enter_is_told_why_by_which_rule_and_can_change_account() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &bob());
    let mut service = bench.service("a");
    service.denied.message = Some("Ask <b>ann</b>".into());
    service.denied.request_access_url = Some("mailto:ann@corp.example".into());
    bench.change(&Published::Service(Arc::new(service)));
    let reply = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2Fx", &cookie)
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    for words in [
        "bob@other.example",
        "not among those",
        "spec.allow of ProtectedService team/a",
        "switch=1",
        "mailto:ann@corp.example",
        "/oauth2/sign_out",
        "Ask &#60;b&#62;ann",
    ] {
        assert!(reply.body.contains(words), "{words}: {}", reply.body);
    }
    // Never the words of another service: b's name on a's host shows a.
    let reply = bench
        .navigate("a.example", "/oauth2/start/team/b?m=GET&rd=%2F", &cookie)
        .await;
    assert!(reply.body.contains("team/a") && !reply.body.contains("team/b"));
    // A program gets JSON.
    let reply = bench
        .ask(
            "GET",
            "/oauth2/start/team/a?m=GET&rd=%2F",
            &[("host", "a.example"), ("cookie", &cookie)],
        )
        .await;
    assert_eq!(
        (reply.status, reply.header("content-type")),
        (StatusCode::FORBIDDEN, "application/json")
    );
    assert!(reply.body.contains("access_denied"));
}

#[tokio::test]
async fn whoever_lacks_a_group_hears_whether_the_provider_named_any() {
    let bench = Bench::new(None);
    for (groups, is_told) in [(&[][..], true), (&["editors"][..], false)] {
        let who = Identity {
            groups: groups.iter().map(|group| (*group).into()).collect(),
            ..bob()
        };
        let cookie = bench.session("b.example", &who);
        let path = "/oauth2/start/team/b?m=GET&rd=%2F";
        let reply = bench.navigate("b.example", path, &cookie).await;
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert!(reply.body.contains("none of the groups"), "{}", reply.body);
        assert_eq!(reply.body.contains("named no group"), is_told);
    }
}

#[tokio::test]
async fn the_auth_host_has_no_front_page_to_lead_people_to() {
    let bench = Bench::new(Some("auth.example"));
    let reply = bench.navigate("auth.example", "/", "").await;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert!(reply.body.contains("only signs people in") && !reply.body.contains("href=\"/\""));
    let reply = bench.navigate("a.example", "/oauth2/nothing", "").await;
    assert!(reply.body.contains("There is no such page") && reply.body.contains("href=\"/\""));
}

#[tokio::test]
async fn a_long_return_target_is_cut_to_what_a_cookie_can_carry() {
    let bench = Bench::new(Some("auth.example"));
    for length in [100, 1900, 3000, 8000] {
        let rd = format!("%2Fa%3Fx%3D{}", "x".repeat(length));
        let path = format!("/oauth2/start/team/a?m=GET&rd={rd}");
        let away = bench.navigate("a.example", &path, "").await;
        assert_eq!(away.status, StatusCode::FOUND, "{length}");
        let size = away.cookie_header().len();
        assert!(size < 3900, "{length}: {size}");
    }
}

#[tokio::test]
async fn programs_frames_and_forms_are_not_sent_to_a_provider() {
    let bench = Bench::new(Some("auth.example"));
    let path = "/oauth2/start/team/a?m=GET&rd=%2F";
    let program = bench.ask("GET", path, &[("host", "a.example")]).await;
    assert_eq!(program.status, StatusCode::UNAUTHORIZED);
    assert!(program.body.contains("login_required") && program.cookies().is_empty());
    let frame = [
        ("host", "a.example"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    let frame = bench.ask("GET", path, &frame).await;
    assert_eq!(frame.status, StatusCode::UNAUTHORIZED);
    assert!(frame.body.contains("target=\"_blank\""));
    let form = bench
        .navigate("a.example", "/oauth2/start/team/a?m=POST&rd=%2F", "")
        .await;
    assert_eq!(form.status, StatusCode::UNAUTHORIZED);
    assert!(form.body.contains("was not sent"));
}

#[tokio::test]
async fn hostile_return_targets_become_the_front_page() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    for rd in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "https://a.example@evil.example/",
        "javascript:x",
        "/oauth2/sign_out",
        "/%2e%2e/x",
        "https://b.example/",
    ] {
        let rd: String = url::form_urlencoded::byte_serialize(rd.as_bytes()).collect();
        let reply = bench
            .navigate("a.example", &format!("/oauth2/start?rd={rd}"), &cookie)
            .await;
        assert_eq!(
            (reply.status, location(&reply)),
            (StatusCode::FOUND, "/"),
            "{rd}"
        );
    }
}

/// What sent ann away from a host that she has no session for, and where the auth host, which knows her, sends her.
async fn handed_off(bench: &Bench) -> (Reply, String) {
    let away = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2F", "")
        .await;
    let ann = bench.session("auth.example", &ann());
    let back = bench
        .navigate("auth.example", path_at("auth.example", &away), &ann)
        .await;
    let finish = path_at("a.example", &back).to_owned();
    (away, finish)
}

#[tokio::test]
async fn a_browser_that_loses_its_session_is_told_instead_of_sent_round() {
    let bench = Bench::new(Some("auth.example"));
    let (away, finish) = handed_off(&bench).await;
    let landed = bench
        .navigate("a.example", &finish, &away.cookie_header())
        .await;
    let mark = landed
        .cookies()
        .into_iter()
        .find(|(name, _)| name == "__Host-vestibule-landed")
        .unwrap();
    let only_mark = format!("{}={}", mark.0, mark.1);
    let reply = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2F", &only_mark)
        .await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert!(
        reply.body.contains("did not send back the session cookie"),
        "{}",
        reply.body
    );
    bench.clock.advance(Duration::from_secs(60));
    let later = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2F", &only_mark)
        .await;
    assert_eq!(later.status, StatusCode::FOUND);
}

#[tokio::test]
async fn a_browser_with_a_good_session_that_keeps_coming_back_is_stopped() {
    let bench = Bench::new(None);
    let mut cookie = bench.session("a.example", &ann());
    let session = cookie.clone();
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let reply = bench
            .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2Fx", &cookie)
            .await;
        statuses.push(reply.status.as_u16());
        if reply.status == StatusCode::FOUND {
            cookie = format!("{session}; {}", reply.cookie_header());
        }
    }
    assert_eq!(statuses, [302, 302, 302, 403, 403]);
}

#[tokio::test]
async fn a_host_whose_prefix_is_taken_gets_no_session() {
    let bench = Bench::new(Some("auth.example"));
    let (away, finish) = handed_off(&bench).await;
    let table = bench.table.load();
    let entry = (**table.host(&Host::parse("a.example").unwrap()).unwrap()).clone();
    let taken = NoSessions {
        reason: "EndpointPathTaken".into(),
        message: "".into(),
    };
    bench.change(&Published::Host(Arc::new(HostEntry {
        no_sessions: Some(taken),
        ..entry
    })));
    for path in [&*finish, "/oauth2/start/team/a?m=GET&rd=%2F"] {
        let reply = bench
            .navigate("a.example", path, &away.cookie_header())
            .await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(reply.body.contains("EndpointPathTaken"));
        assert!(
            !reply
                .cookies()
                .iter()
                .any(|(name, _)| name == "__Host-vestibule")
        );
    }
}

#[tokio::test]
async fn userinfo_speaks_of_the_session_of_this_host_alone() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let reply = bench
        .navigate("a.example", "/oauth2/userinfo", &cookie)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.body.contains("ann@corp.example"));
    let other = bench
        .navigate("b.example", "/oauth2/userinfo", &cookie)
        .await;
    assert_eq!(other.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn requests_that_name_no_host_or_two_are_refused() {
    let bench = Bench::new(None);
    assert_eq!(
        bench.ask("GET", "/oauth2/start", &[]).await.status,
        StatusCode::BAD_REQUEST
    );
    let two = [("host", "a.example"), ("host", "b.example")];
    assert_eq!(
        bench.ask("GET", "/oauth2/start", &two).await.status,
        StatusCode::BAD_REQUEST
    );
    let absolute = bench
        .ask(
            "GET",
            "http://b.example/oauth2/start",
            &[("host", "a.example")],
        )
        .await;
    assert_eq!(absolute.status, StatusCode::BAD_REQUEST);
    let unknown = bench.navigate("unknown.example", "/oauth2/start", "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nobody_learns_who_somebody_is_by_a_session_that_others_may_have_seen() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let began = ann().issued_at;
    for (until, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some(began), StatusCode::UNAUTHORIZED),
        (Some(Moment(began.0 - 1)), StatusCode::OK),
    ] {
        let mut service = bench.service("a");
        service.disclosed = vec![Disclosed {
            host: HostPattern::parse("a.example").unwrap(),
            until,
        }];
        bench.change(&Published::Service(Arc::new(service)));
        for path in ["/oauth2/userinfo", "/oauth2/session"] {
            let reply = bench.navigate("a.example", path, &cookie).await;
            assert_eq!(reply.status, expected, "{path} {until:?}");
            let tells = reply.body.contains("ann@corp.example");
            assert_eq!(tells, expected == StatusCode::OK, "{}", reply.body);
        }
    }
}
