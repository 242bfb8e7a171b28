//! JupyterLab behind each of the set-ups for one app: a person runs code in it, and nobody else reaches it at all.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::StatusCode;
use thirtyfour::{By, Key};

use super::{APP, BEHIND_NGINX, WITHOUT_NGINX, before, browser, sign_in, wire};
use crate::bench::{Browser, JupyterLab, SetUp, Wait};

/// Runs the only cell of the open notebook, and waits until its output shows this.
async fn run_cell(browser: &Browser, output: &str) -> Result<()> {
    Wait::seconds(90)
        .every(Duration::from_millis(500))
        .until(&format!("the cell's output is {output}"), async || {
            let mut shown = String::new();
            for area in browser.find_all(By::Css(".jp-OutputArea-output")).await? {
                shown.push_str(&area.text().await?);
            }
            if shown.is_empty() {
                // Again and again: what is pressed before page and kernel are there is lost.
                let cell = By::Css(".jp-Notebook .jp-CodeCell .cm-content");
                let cell = browser.find(cell).await?;
                cell.click().await?;
                cell.send_keys(Key::Control + Key::Enter).await?;
            }
            ensure!(shown.contains(output), "it shows '{shown}'");
            Ok(())
        })
        .await
}

async fn a_person_runs_code(set_up: &SetUp, name: &str, notebook: &str) -> Result<()> {
    let browser = browser(set_up).await?;
    let there = format!("https://{APP}/lab/tree/{notebook}");
    browser.goto(&there).await?;
    browser.sign_in_at_provider("ann").await?;
    // The answer comes from a kernel, and what a kernel says comes by WebSocket alone.
    let ran = run_cell(&browser, "42000126").await;
    browser.screenshot(&format!("jupyterlab-{name}")).await?;
    ran?;
    let address = browser.address().await?;
    ensure!(address.starts_with(&there), "back at {address}");
    Ok(())
}

/// Neither by HTTP nor by WebSocket does anything arrive that could be answered.
async fn nobody_else_reaches_it(set_up: &SetUp, jupyterlab: &JupyterLab) -> Result<()> {
    let eve = sign_in(set_up, APP, "eve").await?;
    let channels = "/api/kernels/eve-was-here/channels";
    for (cookie, status) in [
        ("", StatusCode::UNAUTHORIZED),
        (&*eve, StatusCode::FORBIDDEN),
    ] {
        for target in ["/api/eve-was-here", channels] {
            let answer = set_up.visit(APP, target)?.header("cookie", cookie);
            assert_eq!(answer.send().await?.status, status, "{target}");
        }
        let socket = wire::web_socket(set_up, APP, channels, cookie).await?;
        assert_eq!(socket.err(), Some(status));
    }
    // JupyterLab logs what it cannot answer: once it has ann's request, it would have had those before.
    let ann = sign_in(set_up, APP, "ann").await?;
    let answer = set_up.visit(APP, "/api/ann-was-here")?;
    let answer = answer.header("cookie", &ann).send().await?;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    Wait::seconds(60)
        .until("JupyterLab has logged ann's request", async || {
            ensure!(jupyterlab.log().contains("ann-was-here"));
            Ok(())
        })
        .await?;
    let log = jupyterlab.log();
    ensure!(!log.contains("eve-was-here"), "JupyterLab was asked: {log}");
    Ok(())
}

#[tokio::test]
async fn jupyterlab_runs_code_for_whom_it_shall_and_for_nobody_else() -> Result<()> {
    for name in [BEHIND_NGINX, WITHOUT_NGINX] {
        let jupyterlab = JupyterLab::start().await?;
        jupyterlab.notebook("answer.ipynb", "6 * 7 * 1000003")?;
        let set_up = before(name, jupyterlab.address()).await?;
        nobody_else_reaches_it(&set_up, &jupyterlab)
            .await
            .context(name)?;
        a_person_runs_code(&set_up, name, "answer.ipynb")
            .await
            .with_context(|| format!("{name}\n{}\n{}", set_up.log(), jupyterlab.log()))?;
    }
    Ok(())
}
