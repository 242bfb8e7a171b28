//! Two installations in front of each other's hosts: what one of them gave is nothing to the other. With one key ring
//! between them, copied by mistake, a session still counts on its own host alone.

use super::*;

/// Everything that a browser and its address bar hold in the middle of a sign-in at one installation.
struct Held {
    session: String,
    at_auth_host: String,
    /// To the auth host, with what asks for a hand-off.
    request: String,
    /// Back at the host, with a ticket.
    finish: String,
    attempt: String,
    sign_out: String,
}

const CHECK: &str = "/verify/nginx/team/a?m=GET&u=%2Fx&h=a.example";

fn installation(auth_host: &str, key: u8) -> Bench {
    let bench = Bench::new(Some(auth_host));
    let ring = KeyRing::first(1, [key; 32]);
    bench.keys.store(Arc::new(Some(Keys::new(Arc::new(ring)))));
    bench
}

async fn held_of(bench: &Bench, auth_host: &str) -> Held {
    let start = "/oauth2/start/team/a?m=GET&rd=%2Fx";
    let origin = format!("https://{auth_host}");
    let (session, at_auth_host) = (
        bench.session("a.example", &ann()),
        bench.session(auth_host, &ann()),
    );
    let away = bench.navigate("a.example", start, "").await;
    let request = location(&away).strip_prefix(&origin).unwrap().to_owned();
    let back = bench.navigate(auth_host, &request, &at_auth_host).await;
    let finish = location(&back).strip_prefix("https://a.example").unwrap();
    let out = bench
        .navigate("a.example", "/oauth2/sign_out", &session)
        .await;
    let sign_out = location(&out).strip_prefix(&origin).unwrap().to_owned();
    Held {
        finish: finish.to_owned(),
        attempt: away.cookie_header(),
        session,
        at_auth_host,
        request,
        sign_out,
    }
}

/// What of it is of use: names of uses.
async fn uses(bench: &Bench, auth_host: &str, held: &Held) -> Vec<&'static str> {
    let mut uses = Vec::new();
    let mut note = |what, is_of_use: bool| uses.extend(is_of_use.then_some(what));
    let has_session = |reply: &Reply| {
        let cookies = reply.cookies();
        let mut cookies = cookies.iter();
        cookies.any(|(name, value)| name == "__Host-vestibule" && !value.is_empty())
    };
    for (what, cookie) in [
        ("session", &held.session),
        (
            "session of the auth host as one of a host",
            &held.at_auth_host,
        ),
    ] {
        let passes = bench.check(CHECK, &[("cookie", cookie)]).status == StatusCode::OK;
        note(what, passes);
    }
    let asked = bench
        .navigate("a.example", "/oauth2/start/team/a?m=GET&rd=%2Fx", "")
        .await;
    let own_request = location(&asked).split_once(auth_host).unwrap().1.to_owned();
    for (what, request, cookie) in [
        ("session of the auth host", &own_request, &held.at_auth_host),
        (
            "session as one of the auth host",
            &own_request,
            &held.session,
        ),
        ("request", &held.request, &bench.session(auth_host, &ann())),
    ] {
        let reply = bench.navigate(auth_host, request, cookie).await;
        note(what, location(&reply).contains("ticket="));
    }
    for (what, host, cookie) in [
        ("ticket", "a.example", held.attempt.clone()),
        (
            "ticket with an own attempt",
            "a.example",
            asked.cookie_header(),
        ),
        ("ticket at the auth host", auth_host, held.attempt.clone()),
        ("ticket at another host", "b.example", held.attempt.clone()),
    ] {
        let reply = bench.navigate(host, &held.finish, &cookie).await;
        note(what, has_session(&reply));
    }
    let victim = bench.session(auth_host, &ann());
    let headers = [
        ("host", auth_host),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-site", "cross-site"),
        ("cookie", &victim),
    ];
    let reply = bench.ask("GET", &held.sign_out, &headers).await;
    note("sign-out", !reply.cookies().is_empty());
    uses
}

#[tokio::test]
async fn what_one_installation_gave_is_nothing_to_another_in_front_of_the_same_hosts() {
    let (one, other) = ("auth.one.example", "auth.other.example");
    let held = held_of(&installation(one, 1), one).await;
    let own = uses(&installation(one, 1), one, &held).await;
    let everything = [
        "session",
        "session of the auth host",
        "request",
        "ticket",
        "sign-out",
    ];
    assert_eq!(own, everything, "at home");
    let abroad = uses(&installation(other, 2), other, &held).await;
    assert!(abroad.is_empty(), "{abroad:?}");
    // Each seals for a host, so one ring makes them one for the hosts that both serve, and nothing more: no session of
    // another host, no hand-off and nothing of either auth host.
    let with_one_ring = uses(&installation(other, 1), other, &held).await;
    assert_eq!(with_one_ring, ["session", "ticket"]);
    let elsewhere = installation(other, 1);
    elsewhere.change(&Published::Provider(Arc::new(ProviderSettings {
        trusts_unverified_email: true,
        ..provider("corp")
    })));
    let mut service = elsewhere.service("a");
    if let Access::Open(policy) = &mut service.access {
        let policy = Arc::make_mut(policy);
        policy.providers[0].issuer = "https://id.other.example".into();
    }
    elsewhere.change(&Published::Service(Arc::new(service)));
    let by_another_issuer = uses(&elsewhere, other, &held).await;
    assert_eq!(
        by_another_issuer,
        ["ticket"],
        "which makes a session that does not count"
    );
}
