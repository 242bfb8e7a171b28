//! The set-ups of `deploy/compose`, from their very files: that they are sound, and that people can work behind them.
//!
//! There is no container engine here. Compose's own reader says what the containers would be given, and the programs
//! are run with just that.

mod central_nginx;
mod files;
mod jupyterlab;
mod one_app;
mod wire;

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use anyhow::{Context, Result, bail};

use crate::bench::{Browser, SetUp, browser::HostRule, set_up};

/// The hosts in the example manifests.
const APP: &str = "app.example.com";
const CENTRAL: [&str; 2] = ["pgweb.example.com", "concourse.example.com"];

/// The folders in `deploy/compose`.
const BEHIND_NGINX: &str = "behind-nginx";
const WITHOUT_NGINX: &str = "without-nginx";
const CENTRAL_NGINX: &str = "central-nginx";

/// One of the set-ups for one app, with this service in the app's place.
async fn before(name: &str, app: SocketAddr) -> Result<SetUp> {
    SetUp::start(one_app(name, &[("app:5050", app)])).await
}

fn one_app<'a>(name: &'a str, services: &'a [(&'a str, SocketAddr)]) -> set_up::Run<'a> {
    set_up::Run {
        name,
        program: program(),
        hosts: &[APP],
        services,
        nginx: None,
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vestibule"))
}

/// A browser that finds every host of the examples at a set-up.
async fn browser(set_up: &SetUp) -> Result<Browser> {
    let rule = |port: u16, to| HostRule {
        from: format!("*.example.com:{port}"),
        to,
    };
    Browser::start(&[rule(443, set_up.https), rule(80, set_up.http)]).await
}

/// Signs in as a browser would, and gives the cookies that the host then has.
async fn sign_in(set_up: &SetUp, host: &str, account: &str) -> Result<String> {
    let mut jar = BTreeMap::new();
    let (origin, mut target) = (format!("https://{host}"), "/".to_owned());
    for _ in 0..8 {
        let answer = set_up
            .visit(host, &target)?
            .navigating()
            .header("cookie", &cookies(&jar))
            .send()
            .await?;
        for pair in answer.cookies().split("; ") {
            match pair.split_once('=') {
                Some((name, "")) => drop(jar.remove(name)),
                Some((name, value)) => drop(jar.insert(name.to_owned(), value.to_owned())),
                None => {}
            }
        }
        if !answer.status.is_redirection() {
            return Ok(cookies(&jar));
        }
        let next = answer.location().context("a redirect to nowhere")?;
        let next = if next.starts_with(&set_up.provider.issuer()) {
            set_up.provider.sign_in(next, account).await?
        } else {
            next.to_owned()
        };
        target = next.strip_prefix(&origin).unwrap_or(&next).to_owned();
    }
    bail!("redirects without end, last to {target}\n{}", set_up.log())
}

fn cookies(jar: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = jar
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("; ")
}
