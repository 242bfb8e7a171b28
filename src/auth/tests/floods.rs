//! Floods: whoever starts sign-ins and never ends them costs nobody anything.

use std::fs;

use super::*;

/// Octets of memory that this process holds.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[tokio::test]
async fn a_hundred_thousand_sign_ins_that_nobody_ends_leave_nothing_behind_and_delay_no_check() {
    let bench = Bench::new(Some("auth.example"));
    let session = bench.session("a.example", &ann());
    let check = "/verify/nginx/team/a?m=GET&u=%2Fx&h=a.example";
    let flood = async |count: u32| {
        for number in 0..count {
            let rd = format!("/oauth2/start/team/a?m=GET&rd=%2F{number}");
            let away = bench.navigate("a.example", &rd, "").await;
            assert_eq!(away.status, StatusCode::FOUND);
            assert_eq!(away.cookies().len(), 1, "one attempt, kept by the browser");
            if number % 100 == 0 {
                let checked = bench.check(check, &[("cookie", &session)]);
                assert_eq!(checked.status, StatusCode::OK);
            }
        }
    };
    flood(1000).await;
    let before = resident();
    flood(99_000).await;
    let grown = resident().saturating_sub(before);
    // Other tests run beside this one; a kilobyte kept of each would be a hundred megabytes.
    assert!(grown < 40_000_000, "{grown} octets more than before");
}
