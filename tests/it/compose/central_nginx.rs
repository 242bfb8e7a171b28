//! Several services behind one nginx, which asks Vestibule about every request.

use anyhow::{Result, ensure};
use http::StatusCode;

use super::{CENTRAL, CENTRAL_NGINX, browser, program, sign_in, wire};
use crate::bench::{SetUp, WebApp, set_up::Run};

const PGWEB: &str = CENTRAL[0];
const CONCOURSE: &str = CENTRAL[1];

async fn start(pgweb: &WebApp, concourse: &WebApp) -> Result<SetUp> {
    let services = [
        ("pgweb:8081", pgweb.address()),
        ("concourse:8080", concourse.address()),
    ];
    SetUp::start(Run {
        name: CENTRAL_NGINX,
        program: program(),
        hosts: &CENTRAL,
        services: &services,
        nginx: None,
    })
    .await
}

#[tokio::test]
async fn a_person_signs_in_beside_a_central_nginx_and_the_page_works() -> Result<()> {
    let (pgweb, concourse) = (WebApp::start().await?, WebApp::start().await?);
    let set_up = start(&pgweb, &concourse).await?;
    let browser = browser(&set_up).await?;
    let there = format!("https://{CONCOURSE}/?team=a&pipeline=b");
    browser.goto(&there).await?;
    browser.sign_in_at_provider("ann").await?;
    browser.shows("The app").await?;
    let address = browser.address().await?;
    ensure!(address == there, "back at {address}, not at {there}");
    browser
        .shows("The socket says: hello from the page")
        .await?;
    browser.screenshot("compose-central-nginx").await?;
    // The provider knows ann by now: the other service needs no click.
    browser.goto(&format!("https://{PGWEB}/")).await?;
    browser.shows("The app").await
}

#[tokio::test]
async fn each_service_has_people_of_its_own_and_paths_that_need_nobody() -> Result<()> {
    let (pgweb, concourse) = (WebApp::start().await?, WebApp::start().await?);
    let set_up = start(&pgweb, &concourse).await?;
    let badge = set_up
        .visit(CONCOURSE, "/api/v1/badges/main")?
        .send()
        .await?;
    assert_eq!(badge.status, StatusCode::OK, "{}", set_up.log());
    for closed in ["/", "/api/v1/badges", "/api/v1/badges/../teams", "/any"] {
        let answer = set_up.visit(CONCOURSE, closed)?.send().await?;
        ensure!(
            answer.status.is_client_error(),
            "{closed}: {}",
            answer.status
        );
    }
    let asked = concourse.requests().len();
    assert_eq!(asked, 1, "{:?}", concourse.requests());

    let eve = sign_in(&set_up, PGWEB, "eve").await?;
    let refused = wire::web_socket(&set_up, PGWEB, "/socket", &eve).await?;
    ensure!(refused.is_err());
    ensure!(pgweb.requests().is_empty());

    let ann = sign_in(&set_up, PGWEB, "ann").await?;
    let visit = || Ok::<_, anyhow::Error>(set_up.visit(PGWEB, "/any")?.header("cookie", &ann));
    let said = visit()?.send().await?.body;
    ensure!(said.contains("x-auth-request-user: ann\n"), "{said}");
    // Whoever says who they are is not believed.
    let said = visit()?.header("x-auth-request-user", "root").send();
    ensure!(!said.await?.body.contains("root"));
    // A session of one host is none on another.
    let elsewhere = set_up.visit(CONCOURSE, "/any")?.header("cookie", &ann);
    ensure!(elsewhere.send().await?.status.is_client_error());
    Ok(())
}

#[tokio::test]
async fn a_host_without_a_server_block_is_not_answered_by_that_of_another() -> Result<()> {
    let (pgweb, concourse) = (WebApp::start().await?, WebApp::start().await?);
    let set_up = start(&pgweb, &concourse).await?;
    // The name counts in TLS and in the request: the second time TLS is asked for another.
    let path = "/api/v1/badges/main";
    let elsewhere = format!("https://other.example.com{path}");
    for (host, target) in [("other.example.com", path), (CONCOURSE, &elsewhere)] {
        let answer = set_up.visit(host, target)?.send().await;
        ensure!(answer.is_err(), "{host} {target}: {answer:?}");
    }
    ensure!(set_up.visit(CONCOURSE, path)?.send().await?.status == StatusCode::OK);
    Ok(())
}
