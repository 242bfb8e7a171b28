//! Between hosts: signing in and out once for all of them.

use super::*;
use crate::{
    published::NoSessions,
    session::{HandOffRequest, State, Ticket},
};

#[tokio::test]
async fn with_an_auth_host_people_are_handed_off_and_come_back_with_a_session_once() {
    let bench = Bench::new(Some("auth.example"));
    let away = bench
        .navigate(
            "a.example",
            "/oauth2/start/team/a?m=GET&rd=https://a.example%2Fx%3Fy%3D1",
            "",
        )
        .await;
    assert_eq!(away.status, StatusCode::FOUND);
    assert!(location(&away).starts_with("https://auth.example/oauth2/start?request="));
    let on_auth_host = path_at("auth.example", &away);

    // The auth host knows the person already.
    let back = bench
        .navigate(
            "auth.example",
            on_auth_host,
            &bench.session("auth.example", &ann()),
        )
        .await;
    assert_eq!(back.status, StatusCode::FOUND);
    let finish = path_at("a.example", &back).to_owned();
    assert!(finish.starts_with("/oauth2/finish?ticket="));

    // Another browser, another host, too late: no session.
    for (host, cookie) in [
        ("a.example", String::new()),
        ("b.example", away.cookie_header()),
    ] {
        let reply = bench.navigate(host, &finish, &cookie).await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{host}");
        assert!(
            !reply
                .cookies()
                .iter()
                .any(|(name, _)| name == "__Host-vestibule")
        );
    }
    let landed = bench
        .navigate("a.example", &finish, &away.cookie_header())
        .await;
    assert_eq!(
        (landed.status, location(&landed)),
        (StatusCode::FOUND, "/x?y=1")
    );
    let session = landed.cookie_header();
    let check = "/verify/nginx/team/a?m=GET&u=%2Fx&h=a.example";
    assert_eq!(
        bench.check(check, &[("cookie", &session)]).status,
        StatusCode::OK
    );
    let deleted: Vec<_> = landed
        .cookies()
        .into_iter()
        .filter(|(_, value)| value.is_empty())
        .collect();
    assert_eq!(deleted.len(), 1, "the attempt is used up: {deleted:?}");

    bench.clock.advance(Duration::from_secs(31));
    let late = bench
        .navigate("a.example", &finish, &away.cookie_header())
        .await;
    assert_eq!(late.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_auth_hosts_own_session_is_not_enough_when_more_is_asked() {
    let bench = Bench::new(Some("auth.example"));
    let cookie = bench.session("auth.example", &ann());
    let away = async |path: &str| {
        let away = bench.navigate("a.example", path, "").await;
        path_at("auth.example", &away).to_owned()
    };
    // The provider spoke for another issuer when it vouched.
    let elsewhere = Identity {
        issuer: "https://old.example".into(),
        ..ann()
    };
    let foreign = bench
        .navigate(
            "auth.example",
            &away("/oauth2/start?rd=%2F").await,
            &bench.session("auth.example", &elsewhere),
        )
        .await;
    assert_eq!(foreign.status, StatusCode::SERVICE_UNAVAILABLE);
    // Another account is wanted: the provider is asked, and it is dead.
    let switch = bench
        .navigate(
            "auth.example",
            &away("/oauth2/start?rd=%2F&switch=1").await,
            &cookie,
        )
        .await;
    assert_eq!(switch.status, StatusCode::SERVICE_UNAVAILABLE);
    // The service wants a younger sign-in than the auth host's session.
    let mut service = bench.service("a");
    if let Access::Open(policy) = &mut service.access {
        Arc::make_mut(policy).session.max_duration = Some(Duration::from_secs(500));
    }
    bench.change(&Published::Service(Arc::new(service)));
    let old = bench
        .navigate("auth.example", &away("/oauth2/start?rd=%2F").await, &cookie)
        .await;
    assert_eq!(old.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn hostile_hand_offs_lead_nowhere() {
    let bench = Bench::new(Some("auth.example"));
    let keys = bench.keys.load();
    let keys = keys.as_ref().as_ref().unwrap();
    let auth_host = Host::parse("auth.example").unwrap();
    let session = bench.session("auth.example", &ann());
    let ask = |host: &str| HandOffRequest {
        host: host.into(),
        state: State::new(NOW, random),
        asked_at: NOW,
        provider: "corp".into(),
        service: None,
        switch_account: false,
        signed_in_since: None,
        max_age: None,
    };
    // Sealed for another host, not sealed, for a host that is not served.
    let elsewhere = ask("a.example")
        .seal(keys, &Host::parse("b.example").unwrap(), NOW, random)
        .unwrap();
    let unserved = ask("evil.example")
        .seal(keys, &auth_host, NOW, random)
        .unwrap();
    for request in ["", "x", &elsewhere, &unserved] {
        let reply = bench
            .navigate(
                "auth.example",
                &format!("/oauth2/start?request={request}"),
                &session,
            )
            .await;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{request}");
        assert_eq!(location(&reply), "");
    }
    // A victim is lured to a hand-off that the attacker began: the ticket finds no attempt in the victim's browser.
    let request = ask("a.example");
    let ticket = Ticket::answer(&request, ann(), NOW);
    let ticket = ticket
        .seal(keys, &Host::parse("a.example").unwrap(), NOW, random)
        .unwrap();
    let victim = bench
        .navigate("a.example", &format!("/oauth2/finish?ticket={ticket}"), "")
        .await;
    assert_eq!(victim.status, StatusCode::BAD_REQUEST);
    assert!(victim.cookies().is_empty());
}

#[tokio::test]
async fn whoever_tries_again_after_changing_account_elsewhere_is_let_in() {
    let bench = Bench::new(Some("auth.example"));
    let bob = bench.session("a.example", &bob());
    let denied = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2Fx", &bob)
        .await;
    assert_eq!(denied.status, StatusCode::FORBIDDEN);
    assert!(
        denied
            .body
            .contains("/oauth2/start/team/a?rd=%2Fx&#38;again=1")
    );
    let away = bench
        .navigate("a.example", "/oauth2/start/team/a?rd=%2Fx&again=1", &bob)
        .await;
    let there = path_at("auth.example", &away);
    // By now the auth host knows ann.
    let ann = bench.session("auth.example", &ann());
    let back = bench.navigate("auth.example", there, &ann).await;
    let finish = path_at("a.example", &back);
    let landed = bench
        .navigate("a.example", finish, &away.cookie_header())
        .await;
    let check = "/verify/nginx/team/a?m=GET&u=%2Fx&h=a.example";
    let session = landed.cookie_header();
    assert_eq!(
        bench.check(check, &[("cookie", &session)]).status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn an_auth_host_that_others_see_the_cookies_of_hands_nobody_off() {
    let bench = Bench::new(Some("auth.example"));
    let session = bench.session("auth.example", &ann());
    let away = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2F", "")
        .await;
    let on_auth_host = path_at("auth.example", &away).to_owned();
    let entry = |pattern: &str| HostEntry {
        pattern: HostPattern::parse(pattern).unwrap(),
        services: vec![],
        no_sessions: Some(NoSessions {
            reason: "HostShared".into(),
            message: "".into(),
        }),
        routes: vec![],
        named_groups: vec![],
        named_claims: vec![],
    };
    bench.change(&Published::Host(Arc::new(entry("*.example"))));
    let handed = bench
        .navigate("auth.example", &on_auth_host, &session)
        .await;
    assert!(location(&handed).starts_with("https://a.example/oauth2/finish?ticket="));
    bench.change(&Published::Host(Arc::new(entry("a.example"))));
    let taken = bench
        .navigate("auth.example", &on_auth_host, &session)
        .await;
    assert_eq!(taken.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(location(&taken).is_empty(), "others hold the prefix there");
    bench.change(&Published::Host(Arc::new(entry("auth.example"))));
    for cookie in [&*session, ""] {
        let refused = bench.navigate("auth.example", &on_auth_host, cookie).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(refused.body.contains("HostShared"), "{}", refused.body);
        assert!(location(&refused).is_empty() && refused.cookies().is_empty());
    }
}

#[tokio::test]
async fn no_service_has_a_page_on_the_auth_host_though_its_wildcard_covers_it() {
    let bench = Bench::new(Some("auth.example"));
    let mut tenant = service("w", corp());
    tenant.hosts = vec![HostPattern::parse("*.example").unwrap()];
    tenant.denied.message = Some("Send me your password".into());
    let entry = HostEntry {
        pattern: tenant.hosts[0].clone(),
        services: vec![tenant.id.clone()],
        no_sessions: None,
        routes: vec![],
        named_groups: vec![],
        named_claims: vec![],
    };
    bench.change(&Published::Host(Arc::new(entry)));
    bench.change(&Published::Service(Arc::new(tenant)));
    for who in [None, Some(bob()), Some(ann())] {
        let cookie = who.map(|who| bench.session("auth.example", &who));
        let cookie = cookie.unwrap_or_default();
        for name in ["team/w", "team/a"] {
            let path = format!("/oauth2/start/{name}?m=GET&rd=%2F");
            let reply = bench.navigate("auth.example", &path, &cookie).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{}", reply.body);
            assert!(!reply.body.contains("password"), "{}", reply.body);
            assert!(location(&reply).is_empty() && reply.cookies().is_empty());
        }
    }
}

#[tokio::test]
async fn another_site_cannot_sign_people_out_with_a_link_or_a_form() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &ann());
    let ask = async |method: &str, site: &str| {
        let headers = [
            ("host", "a.example"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-site", site),
            ("cookie", &cookie),
        ];
        let reply = bench.ask(method, "/oauth2/sign_out", &headers).await;
        reply
            .cookies()
            .contains(&("__Host-vestibule".to_owned(), String::new()))
    };
    assert!(!ask("GET", "cross-site").await && !ask("GET", "same-site").await);
    assert!(!ask("POST", "cross-site").await && !ask("POST", "none").await);
    assert!(
        ask("GET", "same-origin").await
            && ask("GET", "none").await
            && ask("POST", "same-origin").await
    );
}

#[tokio::test]
async fn a_picture_that_somebody_put_on_a_page_signs_nobody_out() {
    let bench = Bench::new(Some("auth.example"));
    for host in ["a.example", "auth.example"] {
        let cookie = bench.session(host, &ann());
        for destination in ["image", "iframe", "empty", "object", "script", "style"] {
            let headers = [
                ("host", host),
                ("sec-fetch-mode", "no-cors"),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-dest", destination),
                ("cookie", &cookie),
            ];
            let reply = bench.ask("GET", "/oauth2/sign_out", &headers).await;
            assert!(reply.cookies().is_empty(), "{host} {destination}");
            assert!(location(&reply).is_empty(), "{host} {destination}");
        }
    }
}

#[tokio::test]
async fn signing_out_ends_the_auth_hosts_session_as_well() {
    let bench = Bench::new(Some("auth.example"));
    let reply = bench
        .navigate(
            "a.example",
            "/oauth2/sign_out",
            &bench.session("a.example", &ann()),
        )
        .await;
    let there = path_at("auth.example", &reply);
    let cookie = bench.session("auth.example", &ann());
    let cross = [
        ("host", "auth.example"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "cross-site"),
        ("cookie", &cookie),
    ];
    let reply = bench.ask("GET", there, &cross).await;
    assert!(
        reply
            .cookies()
            .contains(&("__Host-vestibule".to_owned(), String::new()))
    );
    assert!(reply.body.contains("You are signed out") && reply.body.contains("https://a.example/"));
    // Somebody else signed out, and lures the victim to where that led.
    let victim = Identity {
        subject: "victim".into(),
        ..ann()
    };
    let victim = bench.session("auth.example", &victim);
    let lured = [cross[0], cross[1], cross[2], ("cookie", &victim)];
    let lured = bench.ask("GET", there, &lured).await;
    assert!(lured.cookies().is_empty() && lured.body.contains("please confirm"));
    let forged = bench.ask("GET", "/oauth2/sign_out?request=x", &cross).await;
    assert!(forged.cookies().is_empty() && forged.body.contains("Sign out"));
}
