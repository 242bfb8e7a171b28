//! `vestibule demo` as a person meets it: one command, then a browser.

use std::{fs, net::Ipv4Addr, path::Path, time::Duration};

use crate::bench::{Browser, Process, Wait, loopback::free_address, process::Start};
use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use thirtyfour::{By, prelude::ElementQueryable};

struct Demo {
    process: Process,
    folder: TempDir,
    port: u16,
}

impl Demo {
    async fn start() -> Result<Self> {
        let folder = TempDir::new()?;
        let port = free_address(Ipv4Addr::LOCALHOST.into())?.port();
        let process = Start::program("vestibule", Path::new(env!("CARGO_BIN_EXE_vestibule")))?
            .arguments(["demo", "--port", &port.to_string(), "--dir"])
            .argument(folder.path().to_string_lossy())
            .start()?;
        process.prints("The manifests lie in").await?;
        Ok(Self {
            process,
            folder,
            port,
        })
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}.localhost:{}/", self.port)
    }

    fn edit(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let path = self.folder.path().join("manifests").join(file);
        let text = fs::read_to_string(&path)?;
        ensure!(text.contains(from), "{file} does not contain {from}");
        Ok(fs::write(path, text.replace(from, to))?)
    }
}

/// Picks an account at the demo's provider.
pub(crate) async fn choose(browser: &Browser, account: &str) -> Result<()> {
    browser.shows("Choose an account").await?;
    let button = browser.query(By::Css(format!("button[value={account}]")));
    Ok(button.first().await?.click().await?)
}

/// Reloads until the page shows this.
pub(crate) async fn soon_shows(browser: &Browser, url: &str, text: &str) -> Result<()> {
    Wait::seconds(60)
        .every(Duration::from_millis(100))
        .until(&format!("{url} shows '{text}'"), async || {
            browser.goto(url).await?;
            let shown = browser.text().await?;
            ensure!(shown.contains(text), "it shows: {shown}");
            Ok(())
        })
        .await
}

#[tokio::test]
async fn a_person_signs_in_once_is_told_why_not_switches_account_and_signs_out() -> Result<()> {
    let demo = Demo::start().await?;
    let browser = Browser::start(&[]).await?;
    let (wiki, grafana) = (demo.url("wiki"), demo.url("grafana"));

    browser.goto(&wiki).await?;
    browser.shows("Choose an account").await?;
    browser.screenshot("demo-1-choose").await?;
    choose(&browser, "bob").await?;
    browser.shows("bob@corp.example").await?;
    ensure!(browser.address().await? == wiki, "not back at the wiki");
    browser.screenshot("demo-2-wiki").await?;

    // The second host asks nobody again, and says why bob may not enter.
    browser.goto(&grafana).await?;
    browser.shows("You don't have access").await?;
    for text in [
        "bob@corp.example",
        "Ask ann",
        "spec.allow of ProtectedService demo/grafana",
    ] {
        browser.shows(text).await?;
    }
    browser.screenshot("demo-3-denied").await?;
    browser.click("Use another account").await?;
    choose(&browser, "ann").await?;
    browser.shows("ann@corp.example").await?;
    browser.shows("grafana-admins").await?;
    ensure!(browser.address().await? == grafana, "not back at grafana");
    browser.screenshot("demo-4-grafana").await?;

    browser.click("Sign out").await?;
    browser.shows("signed out").await?;
    browser.screenshot("demo-5-signed-out").await?;
    browser.goto(&grafana).await?;
    browser.shows("Choose an account").await
}

#[tokio::test]
async fn an_edit_counts_on_the_next_request_and_a_broken_one_closes() -> Result<()> {
    let demo = Demo::start().await?;
    let browser = Browser::start(&[]).await?;
    let (wiki, grafana) = (demo.url("wiki"), demo.url("grafana"));
    browser.goto(&wiki).await?;
    choose(&browser, "bob").await?;
    browser.shows("bob@corp.example").await?;
    browser.goto(&grafana).await?;
    browser.shows("You don't have access").await?;

    demo.edit(
        "grafana.yaml",
        "groups: [grafana-admins]",
        "groups: [editors]",
    )?;
    soon_shows(&browser, &grafana, "bob@corp.example").await?;

    demo.edit("grafana.yaml", "groups: [editors]", "groupz: [editors]")?;
    soon_shows(&browser, &grafana, "closed").await?;
    browser.screenshot("demo-6-closed").await?;
    let text = fs::read_to_string(demo.folder.path().join("manifests/grafana.yaml"))?;
    let line = text
        .lines()
        .position(|line| line.contains("groupz"))
        .context("no such line")?
        + 1;
    demo.process
        .prints(&format!(
            "grafana.yaml:{line}:5: spec.allow[0].groupz: unknown field"
        ))
        .await?;
    // Nothing else is touched.
    browser.goto(&wiki).await?;
    browser.shows("bob@corp.example").await?;

    demo.edit("grafana.yaml", "groupz: [editors]", "groups: [editors]")?;
    soon_shows(&browser, &grafana, "bob@corp.example").await
}
