//! Thousands of connections to the check listener on which nothing happens: checks are answered meanwhile, each costs
//! little, and what they cost comes back.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{
    ground::{Ground, ground},
    stage::now,
};
use crate::bench::{Wait, installation::NAMESPACE, raw};

const HOST: &str = "idle.story.test";
/// As many as are tried where the system lets a process open so many files.
const MOST: u64 = 2000;
/// Far beyond what one takes, and a tenth of what its headers may take.
const OCTETS_EACH: u64 = 40 * 1024;
/// Where everything else runs beside it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A quarter of the files that this process may open: the tests beside this one need some, and so does the other end.
fn how_many() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, most).ok();
    let files = getrlimit(Resource::Nofile).current;
    files.map_or(MOST, |files| MOST.min(files / 4))
}

/// Opens connections, every other one after an answer, and asks checks meanwhile, with new connections and on one that
/// is kept.
async fn opened(check: SocketAddr, question: &str, count: u64) -> Result<Vec<TcpStream>> {
    let mut kept = TcpStream::connect(check).await?;
    let mut open = Vec::new();
    for number in 0..count {
        let mut idle = TcpStream::connect(check).await?;
        if number % 2 == 0 {
            is_answered(&mut idle, question).await?;
        }
        open.push(idle);
        if number % 100 == 0 {
            let what = || format!("with {number} connections");
            is_answered(&mut kept, question).await.with_context(what)?;
            let mut new = TcpStream::connect(check).await?;
            is_answered(&mut new, question).await.with_context(what)?;
        }
    }
    Ok(open)
}

/// That bob passes, within a time that a visitor would wait.
async fn is_answered(connection: &mut TcpStream, question: &str) -> Result<()> {
    let started = Instant::now();
    let answered = async {
        connection.write_all(question.as_bytes()).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let read = connection.read_buf(&mut head).await?;
            ensure!(read > 0, "the connection ended");
        }
        anyhow::Ok(String::from_utf8(head)?)
    };
    let head = timeout(PATIENCE, answered).await;
    let head = head.with_context(|| format!("no answer in {:?}", started.elapsed()))??;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(())
}

async fn connections(ground: &Ground) -> Result<u64> {
    let metrics = ground.product.auth.metrics().await?;
    let name = "vestibule_connections{listener=\"check\"} ";
    let value = metrics.lines().find_map(|line| line.strip_prefix(name));
    Ok(value.context("it is not counted")?.parse()?)
}

#[tokio::test]
async fn thousands_of_idle_connections_to_the_check_cost_little_and_harm_no_check() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("idle").await?;
    let _service = tenant.service("app").await?;
    tenant.protect(ground, "app", HOST).await?;
    let check = ground.cluster();
    let check = check.service_address(NAMESPACE, "vestibule-auth").await?;
    let check = check.with_port(4181);
    let cookie = ground.session(HOST, now())?;
    let question = format!(
        "GET /verify/nginx/{}/app?m=GET&u=%2F&h={HOST} HTTP/1.1\r\nHost: check\r\nCookie: {cookie}\r\n\r\n",
        &*tenant.namespace
    );
    let process = ground.product.auth.process();
    let count = how_many();
    let before = process.resident()?;
    let mut needed = Vec::new();
    for _ in 0..2 {
        let held = opened(check, &question, count).await?;
        let open = connections(ground).await?;
        ensure!(open >= count, "{open} of {count} are open");
        needed.push(process.resident()?.saturating_sub(before));
        drop(held);
        Wait::seconds(120)
            .until("they are gone", async || {
                let open = connections(ground).await?;
                ensure!(open < 50, "{open} are open");
                Ok(())
            })
            .await?;
    }
    let (first, second) = (needed[0], needed[1]);
    println!("{count} connections: {first} octets, and then {second}");
    ensure!(first < count * OCTETS_EACH, "{first} for {count}");
    // What the first took is what the next ones take.
    let slack = count * OCTETS_EACH / 4;
    ensure!(second < first + slack, "{first}, and then {second}");
    let answer = raw::send(
        check,
        question
            .replacen("\r\n", "\r\nConnection: close\r\n", 1)
            .as_bytes(),
    )
    .await?;
    ensure!(answer.status == 200, "{}", answer.head);
    tenant.namespace.delete().await
}
