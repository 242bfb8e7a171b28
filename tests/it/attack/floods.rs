//! Floods, against a running `vestibule serve`: connections to the limit, clients that are slow, sign-ins that nobody
//! ends or that come back with made-up tokens. Checks go on meanwhile, and memory and outgoing requests stay bounded.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use super::told;
use crate::{
    bench::{Wait, raw},
    running::{HOST, Running, pipelined},
};

/// Connections on which something was said, and that stay open.
async fn opened(address: SocketAddr, count: usize, said: &[u8]) -> Result<Vec<TcpStream>> {
    let mut open = Vec::new();
    for _ in 0..count {
        // Beyond the limit they wait in the kernel's queue, whose end is reached late.
        let connecting = TcpStream::connect(address);
        let Ok(stream) = tokio::time::timeout(Duration::from_secs(2), connecting).await else {
            break;
        };
        let mut stream = stream?;
        stream.write_all(said).await.ok();
        open.push(stream);
    }
    Ok(open)
}

#[tokio::test]
async fn connections_to_the_limit_give_way_to_visitors_and_leave_checks_alone() -> Result<()> {
    let running = Running::start(1024, &["--max-connections=200", "--header-timeout=60s"]).await?;
    let before = running.resident()?;
    let mut tried = 0;
    for (what, said) in [
        ("silent", &b""[..]),
        ("half a line", b"GET /x HT"),
        (
            "headers that do not end",
            b"GET /x HTTP/1.1\r\nHost: wiki.example\r\nX: ",
        ),
        (
            "idle after an answer",
            b"GET /pub/x HTTP/1.1\r\nHost: wiki.example\r\n\r\n",
        ),
    ] {
        let held = opened(running.door, 400, said).await?;
        tried += held.len();
        let slowest = running.checks(20).await?;
        ensure!(
            slowest < Duration::from_secs(5),
            "{what}: a check took {slowest:?}"
        );
        let started = Instant::now();
        let visit = running.visit().await?;
        ensure!(
            visit.status == 200,
            "{what}: a visitor was answered {}",
            visit.head
        );
        let waited = started.elapsed();
        ensure!(
            waited < Duration::from_secs(20),
            "{what}: a visitor waited {waited:?}"
        );
        let open = running
            .metric("connections{listener=\"front_door\"}")
            .await?;
        ensure!(open <= 201.0, "{what}: {open} connections are open");
        println!(
            "{what}: {} opened, slowest check {slowest:?}, visitor {waited:?}",
            held.len()
        );
    }
    let full = "connections_full_total{listener=\"front_door\"}";
    let gave_way = "connections_ended_early_total{listener=\"front_door\",reason=\"gave_way\"}";
    for (metric, least) in [(full, 400.0), (gave_way, 400.0)] {
        let value = running.metric(metric).await?;
        ensure!(value >= least, "{metric} is {value}");
    }
    ensure!(
        running
            .metric("connections_full_total{listener=\"auth\"}")
            .await?
            < 1.0
    );
    ensure!(
        running
            .metric("connections_limit{listener=\"auth\"}")
            .await?
            > 199.0
    );
    ensure!(
        running.says("--max-connections") == 1,
        "the log says it once"
    );
    let grown = running.resident()?.saturating_sub(before);
    println!("{grown} octets more");
    ensure!(grown < 40_000_000, "{grown} octets more than before");
    told::cases(
        "connections_to_the_limit_give_way_to_visitors_and_leave_checks_alone",
        tried,
    );
    Ok(())
}

#[tokio::test]
async fn slow_clients_cannot_pin_the_check_itself() -> Result<()> {
    let running = Running::start(1024, &["--max-connections=100", "--header-timeout=2s"]).await?;
    let mut tried = 0;
    for said in [&b""[..], b"GET /oauth2/auth HTTP/1.1\r\nHost: wiki"] {
        let held = opened(running.check, 300, said).await?;
        tried += held.len();
        let slowest = running.checks(20).await?;
        println!("{} slow clients, slowest check {slowest:?}", held.len());
        ensure!(slowest < Duration::from_secs(5), "a check took {slowest:?}");
    }
    // Those that nobody asks to give way end by themselves; as long as the ones before count, some still give way.
    Wait::seconds(60)
        .until("the clients before have gone", async || {
            let open = running.metric("connections{listener=\"auth\"}").await?;
            ensure!(open <= 10.0, "{open} connections are open");
            Ok(())
        })
        .await?;
    let held = opened(running.check, 50, b"GET /oauth2/auth HT").await?;
    let late = "connections_ended_early_total{listener=\"auth\",reason=\"headers_late\"}";
    Wait::seconds(60)
        .until("their headers are late", async || {
            let value = running.metric(late).await?;
            ensure!(value >= 50.0, "{value} were late");
            Ok(())
        })
        .await?;
    tried += held.len();
    drop(held);
    // Headers that are too large are refused, and said to be.
    let large = format!("X: {}", "a".repeat(100 * 1024));
    let answer = raw::get(running.check, HOST, b"/oauth2/auth", &[&large]).await?;
    ensure!(answer.status == 431, "{}", answer.head);
    let large = "connections_ended_early_total{listener=\"auth\",reason=\"headers_too_large\"}";
    ensure!(
        (running.metric(large).await? - 1.0).abs() < 0.1,
        "it is counted"
    );
    ensure!(running.says("--max-header-size") == 1, "the log says it");
    told::cases("slow_clients_cannot_pin_the_check_itself", tried);
    Ok(())
}

#[tokio::test]
async fn a_process_that_may_open_few_files_keeps_some_for_the_check() -> Result<()> {
    let options = ["--header-timeout=60s", "--max-connections=300"];
    let running = Running::start(400, &options).await?;
    ensure!(
        running.says("may not open enough files") == 1,
        "{}",
        running.process.printed()
    );
    let limit = running
        .metric("connections_limit{listener=\"front_door\"}")
        .await?;
    ensure!((limit - 68.0).abs() < 0.1, "{limit} connections");
    let held = opened(running.door, 600, b"GET /x HT").await?;
    let slowest = running.checks(20).await?;
    println!("{} connections, slowest check {slowest:?}", held.len());
    ensure!(slowest < Duration::from_secs(5), "a check took {slowest:?}");
    ensure!(running.visit().await?.status == 200);
    told::cases(
        "a_process_that_may_open_few_files_keeps_some_for_the_check",
        held.len(),
    );
    // It says how many would do, and they do.
    let printed = running.process.printed();
    let needed = printed.split("LimitNOFILE=").nth(1);
    let needed = needed.and_then(|rest| rest.split(';').next());
    let needed = needed.context("it says no number")?.parse()?;
    for (files, is_said) in [(needed - 1, 1), (needed, 0)] {
        let other = Running::start(files, &options).await?;
        let said = other.says("may not open enough files");
        ensure!(said == is_said, "with {files} files: {said}");
    }
    Ok(())
}

#[tokio::test]
async fn bodies_that_trickle_hold_nobody_up() -> Result<()> {
    let options = ["--upstream-timeout=2s", "--max-body-size=1K"];
    let running = Running::start(1024, &options).await?;
    let head = |target: &str| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: {HOST}\r\n{}\r\nContent-Length: 500\r\n\r\na=",
            running.session
        )
    };
    let mut held = Vec::new();
    for (address, target) in [
        (running.door, "/x"),
        (running.door, "/oauth2/sign_out"),
        (running.door, "/oauth2/sign_in"),
        (running.check, "/oauth2/auth"),
    ] {
        held.extend(opened(address, 30, head(target).as_bytes()).await?);
    }
    let slowest = running.checks(20).await?;
    ensure!(slowest < Duration::from_secs(5), "a check took {slowest:?}");
    ensure!(running.visit().await?.status == 200);
    Wait::seconds(60)
        .until("bodies stall", async || {
            let stalled = "front_door_stopped_total{reason=\"body_stalled\"}";
            let value = running.metric(stalled).await?;
            ensure!(value > 29.0, "{value} have");
            Ok(())
        })
        .await?;
    let large = "Content-Length: 2000";
    let request = format!(
        "POST /x HTTP/1.1\r\nHost: {HOST}\r\n{}\r\n{large}\r\n\r\n",
        running.session
    );
    let answer = raw::send(running.door, request.as_bytes()).await?;
    ensure!(answer.status == 413, "{}", answer.head);
    let large = "front_door_stopped_total{reason=\"body_too_large\"}";
    ensure!(running.metric(large).await? > 0.9);
    told::cases("bodies_that_trickle_hold_nobody_up", held.len());
    Ok(())
}

#[tokio::test]
async fn made_up_tokens_cost_the_provider_one_look_at_its_keys_in_ten_seconds() -> Result<()> {
    let running = Arc::new(Running::start(4096, &["--provider-max-requests=8"]).await?);
    running.provider.takes(Duration::from_millis(20));
    let started = Instant::now();
    let (tries, before) = (200, running.resident()?);
    let mut people = JoinSet::new();
    for _ in 0..10 {
        let running = Arc::clone(&running);
        people.spawn(async move {
            for _ in 0..tries / 10 {
                let (state, cookie) = running.begin().await?;
                let answer = running.come_back(&state, &cookie).await?;
                ensure!(answer.status >= 400, "{}", answer.head);
                ensure!(!answer.head.contains("vestibule-http="), "{}", answer.head);
            }
            anyhow::Ok(())
        });
    }
    let slowest = running.checks(50).await?;
    while let Some(person) = people.join_next().await {
        person??;
    }
    let seen = running.provider.seen();
    let windows = usize::try_from(started.elapsed().as_secs() / 10)?;
    println!("{tries} unknown key ids: {seen:?}, slowest check {slowest:?}");
    ensure!(seen.tokens == tries, "{seen:?}");
    ensure!(seen.discoveries == 1, "{seen:?}");
    ensure!((1..=windows + 2).contains(&seen.keys), "{seen:?}");
    ensure!(seen.most_at_once <= 8, "{seen:?}");
    ensure!(slowest < Duration::from_secs(5), "a check took {slowest:?}");
    let grown = running.resident()?.saturating_sub(before);
    ensure!(grown < 20_000_000, "{grown} octets more than before");
    let metric =
        "provider_requests_total{provider=\"corp\",operation=\"token\",result=\"success\"}";
    ensure!((running.metric(metric).await? - 200.0).abs() < 0.1);
    told::cases(
        "made_up_tokens_cost_the_provider_one_look_at_its_keys_in_ten_seconds",
        tries,
    );
    Ok(())
}

#[tokio::test]
async fn a_slow_provider_is_asked_by_so_many_at_once_and_the_others_are_told_to_try_again()
-> Result<()> {
    let options = ["--provider-max-requests=4", "--provider-timeout=2s"];
    let running = Arc::new(Running::start(4096, &options).await?);
    let mut attempts = Vec::new();
    for _ in 0..60 {
        attempts.push(running.begin().await?);
    }
    running.provider.takes(Duration::from_millis(700));
    let mut people = JoinSet::new();
    for (state, cookie) in attempts {
        let running = Arc::clone(&running);
        people.spawn(async move { running.come_back(&state, &cookie).await });
    }
    let slowest = running.checks(20).await?;
    let mut refused = 0;
    while let Some(answer) = people.join_next().await {
        let answer = answer??;
        refused += usize::from(answer.status == 503);
    }
    let seen = running.provider.seen();
    println!("{refused} of 60 were told to try again: {seen:?}, slowest check {slowest:?}");
    ensure!(seen.most_at_once == 4, "{seen:?}");
    ensure!(
        refused + seen.tokens == 60 && refused >= 40,
        "{refused} {seen:?}"
    );
    ensure!(slowest < Duration::from_secs(5), "a check took {slowest:?}");
    let not_sent =
        "provider_requests_total{provider=\"corp\",operation=\"token\",result=\"not_sent\"}";
    let value = running.metric(not_sent).await?;
    ensure!(
        (value - f64::from(u32::try_from(refused)?)).abs() < 0.1,
        "{value}"
    );
    ensure!(
        running
            .metric("provider_requests_under_way{provider=\"corp\"}")
            .await?
            < 0.1
    );
    ensure!(
        running.says("more wait than get a turn in time") == 1,
        "the log says it once"
    );
    told::cases(
        "a_slow_provider_is_asked_by_so_many_at_once_and_the_others_are_told_to_try_again",
        refused + seen.tokens,
    );
    Ok(())
}

#[tokio::test]
async fn sign_ins_that_nobody_ends_leave_nothing_behind_in_a_running_process() -> Result<()> {
    let running = Running::start(4096, &[]).await?;
    let requests: u32 = 20_000;
    let request = format!(
        "GET /oauth2/start?rd=/x HTTP/1.1\r\nHost: {HOST}\r\nSec-Fetch-Mode: navigate\r\n\r\n"
    );
    // The first make what every process makes once.
    let flood = async |count: u32| -> Result<()> {
        let mut connections = JoinSet::new();
        for _ in 0..8 {
            let (request, door) = (request.clone(), running.door);
            connections.spawn(pipelined(door, request, count / 8));
        }
        while let Some(answered) = connections.join_next().await {
            ensure!(answered?? == count / 8, "some were not sent away");
        }
        Ok(())
    };
    flood(2000).await?;
    let before = running.resident()?;
    let (flooded, slowest) = tokio::join!(flood(requests), running.checks(50));
    flooded?;
    let slowest = slowest?;
    let grown = running.resident()?.saturating_sub(before);
    println!("{requests} begun: {grown} octets more, slowest check {slowest:?}");
    ensure!(slowest < Duration::from_secs(5), "a check took {slowest:?}");
    // A hundred octets kept of each would be two megabytes; allocators keep some room.
    ensure!(grown < 8_000_000, "{grown} octets more than before");
    ensure!(running.provider.seen().discoveries == 1);
    told::cases(
        "sign_ins_that_nobody_ends_leave_nothing_behind_in_a_running_process",
        usize::try_from(requests)?,
    );
    Ok(())
}

#[test]
fn the_page_of_limits_names_every_option_with_its_default() -> Result<()> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md"))?;
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    for command in ["auth", "serve"] {
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args([command, "--help"])
            .output()?;
        let help = String::from_utf8(help.stdout)?;
        let limits = help.split("\nLimits (docs/limits.md):\n").nth(1);
        let limits = limits.context("no limits")?;
        let limits = limits.split("\n\n\n").next().unwrap_or_default();
        let limits = limits.split("\nLogs:").next().unwrap_or_default();
        let limits = limits.split("\nInstallation").next().unwrap_or_default();
        let mut named = 0;
        for option in limits.split("      --").skip(1) {
            let name = option.split(' ').next().unwrap_or_default();
            let default = option.split("[default: ").nth(1).context(name.to_owned())?;
            let default = default.split(']').next().unwrap_or_default();
            let row = rows.iter().find(|row| row.contains(&format!("`--{name}`")));
            let row = row.with_context(|| format!("docs/limits.md does not name --{name}"))?;
            ensure!(
                row.contains(&format!("| {default} |")),
                "{row} lacks {default}"
            );
            let variable = format!("VESTIBULE_{}", name.to_uppercase().replace('-', "_"));
            ensure!(option.contains(&variable), "{name}");
            named += 1;
        }
        ensure!(named == 7, "{command} has {named} limits");
    }
    Ok(())
}
