//! What people and programs meet behind set-up A.

use http::Method;

use super::*;

#[tokio::test]
async fn people_sign_in_by_host_and_return_to_the_very_page() -> Result<()> {
    let set_up = SetUp::start("").await?;
    let ann = set_up.browser().await?;
    let page = format!("https://{PGWEB}/db/7?filter[name]=x%2Fy&q=a%20b");
    ann.goto(&page).await?;
    ann.sign_in_at_provider("ann").await?;
    ann.shows("\"target\"").await?;
    let returned = page.replace("[", "%5B").replace("]", "%5D");
    assert_eq!(ann.address().await?, returned);
    ann.screenshot("nginx-pgweb-ann").await?;
    // The other host has its own session, provider and allow-list.
    ann.goto(&format!("https://{CONCOURSE}/teams/main")).await?;
    ann.sign_in_at_provider("ann").await?;
    ann.shows("You don't have access").await?;
    let page = ann.text().await?;
    for words in ["ann@corp.example", "concourse"] {
        ensure!(page.contains(words), "{words} is missing: {page}");
    }
    assert_eq!(set_up.concourse.seen(), []);
    ann.screenshot("nginx-concourse-denied").await?;

    let eve = set_up.browser().await?;
    eve.goto(&format!("https://{CONCOURSE}/teams/main")).await?;
    eve.sign_in_at_provider("eve").await?;
    eve.shows("\"target\":\"/teams/main\"").await?;
    Ok(())
}

#[tokio::test]
async fn programs_get_401_as_json_frames_a_link_and_the_denied_a_page() -> Result<()> {
    let set_up = SetUp::start("").await?;
    let program = set_up
        .visit(PGWEB, "/api")?
        .header("accept", "application/json")
        .send()
        .await?;
    assert_eq!(program.status, 401);
    assert_eq!(program.header("content-type"), Some("application/json"));
    assert!(program.body.contains("login_required"), "{}", program.body);

    let frame = set_up
        .visit(PGWEB, "/panel?x=1")?
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "iframe")
        .send()
        .await?;
    assert_eq!(frame.status, 401);
    assert!(
        frame.body.contains("target=\"_top\"") || frame.body.contains("target=\"_blank\""),
        "{}",
        frame.body
    );
    assert!(frame.body.contains("%2Fpanel%3Fx%3D1"), "{}", frame.body);

    let eve = set_up.session(PGWEB, &set_up.corp, "eve").await?;
    let denied = set_up.page(PGWEB, "/", &eve).await?;
    assert_eq!(denied.status, 403);
    assert!(
        denied.body.contains("have access to") && denied.body.contains("eve@elsewhere.example")
    );
    let refused = set_up
        .visit(PGWEB, "/api")?
        .header("cookie", &eve)
        .send()
        .await?;
    assert_eq!(refused.status, 403);
    assert_eq!(set_up.pgweb.seen(), []);
    Ok(())
}

#[tokio::test]
async fn a_session_counts_on_its_host_alone_and_a_policy_counts_at_once() -> Result<()> {
    let set_up = SetUp::start("").await?;
    let ann = set_up.session(PGWEB, &set_up.corp, "ann").await?;
    let seen = set_up.page(PGWEB, "/a//b?c", &ann).await?.echoed()?;
    assert_eq!(seen.target, "/a//b?c");
    assert_eq!(set_up.page(CONCOURSE, "/", &ann).await?.status, 302);

    let becomes = async |wanted: u16, what: &str| {
        let wait = Wait::seconds(60);
        wait.until(what, async || {
            let status = set_up.page(PGWEB, "/", &ann).await?.status;
            ensure!(status == wanted, "{status}");
            Ok(())
        })
        .await
    };
    let edit = |from: &str, to: &str| set_up.vestibule.edit("pgweb.yaml", from, to);
    edit("corp.example]", "other.example]")?;
    becomes(403, "ann may not enter any more").await?;
    edit("other.example]", "corp.example]")?;
    becomes(200, "ann may enter again").await?;
    edit("allow:", "alow:")?;
    becomes(503, "what cannot be read is closed").await?;
    set_up
        .vestibule
        .process
        .prints("pgweb.yaml:8:3: spec.alow: unknown field")
        .await
}

#[tokio::test]
async fn a_form_that_meets_no_session_is_said_not_to_have_been_sent() -> Result<()> {
    let set_up = SetUp::start("").await?;
    // As large as nginx lets through: all of it arrives with the question what to do instead.
    let body = "x".repeat(50 * 1024 * 1024);
    let post = |body: String| {
        Ok::<_, anyhow::Error>(
            set_up
                .visit(PGWEB, "/save?id=1")?
                .navigating()
                .method(Method::POST)
                .header("origin", &format!("https://{PGWEB}"))
                .header("content-type", "application/x-www-form-urlencoded")
                .header("content-length", &body.len().to_string())
                .body(body)
                .send(),
        )
    };
    for body in [String::new(), "a=b".to_owned(), body] {
        let answer = post(body)?.await?;
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains("this was not sent"), "{}", answer.body);
    }
    assert_eq!(set_up.pgweb.seen(), []);
    Ok(())
}

#[tokio::test]
async fn fifty_megabytes_pass_unchanged_and_a_byte_more_does_not() -> Result<()> {
    let set_up = SetUp::start("").await?;
    let ann = set_up.session(PGWEB, &set_up.corp, "ann").await?;
    let largest = 50 * 1024 * 1024;
    let body: String = (0..largest)
        .map(|n| char::from(b'a' + u8::try_from(n % 23).unwrap_or_default()))
        .collect();
    let upload = async |body: String| {
        set_up
            .visit(PGWEB, "/upload")?
            .method(Method::PUT)
            .header("cookie", &ann)
            .header("content-length", &body.len().to_string())
            .body(body)
            .send()
            .await
    };
    let answer = upload(body.clone()).await?;
    assert_eq!(
        answer.status,
        200,
        "{}",
        answer.body.get(..200).unwrap_or_default()
    );
    let seen = set_up.pgweb.seen();
    ensure!(
        seen.last().context("nothing arrived")?.body == body,
        "it arrived changed"
    );
    assert_eq!(upload(body + "!").await?.status, 413);
    Ok(())
}

#[tokio::test]
async fn a_large_session_and_a_long_page_fit_into_what_nginx_reads_by_default() -> Result<()> {
    let set_up = SetUp::start("").await?;
    // 76 groups, of which no rule names one, and a page of 1,500 octets: one or the other fits.
    let long = format!("/?q={}", "x".repeat(1496));
    for (page, octets) in [("/", 3000..4000), (&*long, 0..1000)] {
        let max = set_up.session_at(PGWEB, &set_up.corp, "max", page).await?;
        ensure!(octets.contains(&max.len()), "{} octets", max.len());
        assert_eq!(set_up.page(PGWEB, page, &max).await?.status, 200);
    }
    Ok(())
}
