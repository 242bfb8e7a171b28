//! Floods: whoever starts sign-ins and never ends them costs nobody anything.

use std::{env, fs, process::Command};

use super::*;

/// Octets of memory that this process holds.
fn resident() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

/// Set in the process that runs the flood and nothing else: what it holds tells something only then.
const ALONE: &str = "VESTIBULE_TEST_ALONE";

#[tokio::test]
async fn a_hundred_thousand_sign_ins_that_nobody_ends_leave_nothing_behind_and_delay_no_check() {
    if env::var_os(ALONE).is_some() {
        return flood().await;
    }
    let name = "auth::tests::floods::a_hundred_thousand_sign_ins_that_nobody_ends_leave_nothing_behind_and_delay_no_check";
    let program = env::current_exe().unwrap();
    let alone = Command::new(program)
        .args(["--exact", name])
        .env(ALONE, "1")
        .output();
    let alone = alone.unwrap();
    let said = String::from_utf8_lossy(&alone.stdout);
    assert!(
        alone.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

async fn flood() {
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
    // A hundred octets kept of each would be ten megabytes.
    assert!(grown < 8_000_000, "{grown} octets more than before");
}
