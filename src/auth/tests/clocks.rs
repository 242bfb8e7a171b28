//! Clocks that jump: nothing that was made in the future, or has ended, opens anything, and nothing falls over.

use super::*;
use crate::session::State;

/// Years before and after, and what lies around every limit there is.
fn jumps() -> Vec<Moment> {
    let spans = [
        0,
        1,
        29,
        30,
        31,
        59,
        60,
        61,
        62,
        899,
        900,
        901,
        3_599,
        3_600,
        3_601,
        86_399,
        86_400,
        86_401,
        31_536_000,
        u64::from(u32::MAX),
    ];
    let forth = spans.map(|span| NOW.0.saturating_add(span));
    let back = spans.map(|span| NOW.0.saturating_sub(span));
    let ends = [i64::MAX.unsigned_abs(), u64::MAX - 1, u64::MAX];
    let all = forth.into_iter().chain(back).chain(ends);
    all.map(Moment).collect()
}

fn session(began: Moment) -> Identity<'static> {
    Identity {
        authenticated_at: began,
        issued_at: began,
        ends_at: began.after(Duration::from_secs(3_600)),
        ..ann()
    }
}

#[test]
fn a_session_counts_from_a_minute_before_it_began_until_it_ends_wherever_the_clock_jumps() {
    let bench = Bench::new(None);
    let check = "/verify/nginx/team/a?m=GET&u=%2Fx&h=a.example";
    let mut cases = 0;
    for began in jumps() {
        let cookie = bench.session("a.example", &session(began));
        for now in jumps().into_iter().chain(jumps().into_iter().rev()) {
            bench.clock.set(now);
            let counts = began.0 <= now.0.saturating_add(60)
                && now < began.after(Duration::from_secs(3_600));
            let status = bench.check(check, &[("cookie", &cookie)]).status;
            assert_eq!(
                status == StatusCode::OK,
                counts,
                "began {began:?}, now {now:?}: {status}"
            );
            cases += 1;
        }
    }
    assert_eq!(cases, 3_698);
}

/// One whose `sealFrom` is to come seals nothing, and a retired one opens nothing, whether or not it just did.
#[test]
fn keys_come_and_go_by_the_clock_of_the_moment() {
    let bench = Bench::new(None);
    let check = "/verify/nginx/team/a?m=GET&u=%2Fx&h=a.example";
    let secret = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    let ring = format!(
        r#"{{"version":1,"keys":[{{"id":1,"sealFrom":0,"retiredAt":{},"key":"{secret}"}},{{"id":2,"sealFrom":{},"key":"{secret}"}}]}}"#,
        NOW.0 + 600,
        NOW.0 + 300
    );
    let ring = KeyRing::parse(ring.as_bytes()).unwrap();
    bench.keys.store(Arc::new(Some(Keys::new(Arc::new(ring)))));
    let who = Identity {
        ends_at: NOW.after(Duration::from_secs(36_000)),
        ..session(NOW)
    };
    let cookie = bench.session("a.example", &who);
    let status = |at: u64| {
        bench.clock.set(Moment(at));
        bench.check(check, &[("cookie", &cookie)]).status
    };
    for _ in 0..3 {
        assert_eq!(status(NOW.0), StatusCode::OK);
        assert_eq!(status(NOW.0 + 599), StatusCode::OK);
        assert_eq!(status(NOW.0 + 600), StatusCode::UNAUTHORIZED);
        assert_eq!(status(u64::MAX), StatusCode::UNAUTHORIZED);
        assert_eq!(status(0), StatusCode::UNAUTHORIZED, "from the future");
    }
}

/// A replica whose clock is ahead makes tickets and attempts that would outlive themselves everywhere else.
#[tokio::test]
async fn tickets_and_attempts_from_the_future_are_of_no_use() {
    for (ahead, is_of_use) in [
        (0, true),
        (60, true),
        (61, false),
        (3_600, false),
        (31_536_000, false),
    ] {
        let bench = Bench::new(Some("auth.example"));
        bench.clock.set(Moment(NOW.0 + ahead));
        let away = bench
            .navigate(
                "a.example",
                "/oauth2/start/team/a?m=GET&rd=https://a.example%2Fx",
                "",
            )
            .await;
        let asked = path_at("auth.example", &away);
        let at_auth_host = bench.session("auth.example", &session(Moment(NOW.0 + ahead)));
        let back = bench.navigate("auth.example", asked, &at_auth_host).await;
        let finish = path_at("a.example", &back);

        bench.clock.set(NOW);
        let landed = bench
            .navigate("a.example", finish, &away.cookie_header())
            .await;
        assert_eq!(
            landed.status == StatusCode::FOUND,
            is_of_use,
            "ahead by {ahead} s"
        );
        let session =
            |(name, value): &(String, String)| name == "__Host-vestibule" && !value.is_empty();
        assert_eq!(
            landed.cookies().iter().any(session),
            is_of_use,
            "ahead by {ahead} s"
        );
        let again = bench.navigate("auth.example", asked, &at_auth_host).await;
        assert_eq!(
            location(&again).contains("ticket="),
            is_of_use,
            "ahead by {ahead} s"
        );
    }
}

/// Whatever people ask for, at any time, with cookies of another time.
#[tokio::test]
async fn every_page_is_answered_wherever_the_clock_jumps() {
    let bench = Bench::new(None);
    let cookie = bench.session("a.example", &session(NOW));
    let state = State::new(NOW, random);
    let callback = format!("/oauth2/callback/corp?state={}&code=x", state.as_str());
    let mut cases = 0;
    for now in jumps() {
        bench.clock.set(now);
        for target in [
            "/oauth2/start/team/a?m=GET&rd=%2F",
            "/oauth2/sign_out",
            "/oauth2/finish?ticket=x",
            &callback,
        ] {
            let reply = bench.navigate("a.example", target, &cookie).await;
            let is_answered = !reply.status.is_server_error() || !reply.body.is_empty();
            assert!(is_answered, "{target} at {now:?}: {}", reply.status);
            let made = reply
                .cookies()
                .iter()
                .any(|(name, value)| name == "__Host-vestibule" && !value.is_empty());
            assert!(!made, "{target} at {now:?} makes a session");
            cases += 1;
        }
    }
    assert_eq!(cases, 172);
}
