//! Rules by path behind set-up A: refused until nginx says which path is asked for.

use super::*;

const RULES: &str = "  rules:
  - {access: Public, paths: [{type: Prefix, value: /static/}]}
  - {access: Restricted, paths: [{type: Prefix, value: /admin/}], allow: [{emails: [bob@corp.example]}]}
";

#[tokio::test]
async fn rules_that_close_paths_are_refused_with_the_line_that_nginx_lacks() -> Result<()> {
    let set_up = SetUp::start(RULES).await?;
    let answer = set_up.visit(PGWEB, "/")?.navigating().send().await?;
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("PathsNotTold"), "{}", answer.body);
    let program = set_up.visit(PGWEB, "/static/x")?.send().await?;
    assert_eq!(program.status, 403);
    assert_eq!(set_up.pgweb.seen(), []);
    for _ in 0..20 {
        set_up.visit(PGWEB, "/")?.send().await?;
    }
    let log = set_up.vestibule.process.printed();
    for words in [
        "PathsNotTold",
        "pgweb.yaml:11:5",
        "ProtectedService default/pgweb",
        TOLD,
        "location = /oauth2/auth",
        "--original-uri-header X-Original-URI",
    ] {
        ensure!(log.contains(words), "{words} is missing: {log}");
    }
    let lines = log.lines().filter(|line| line.contains(TOLD)).count();
    ensure!(lines <= 2, "once when read, once when asked for: {log}");
    // What nginx asks without `proxy_set_header Host`.
    let bare = Visitor::get(set_up.vestibule.listen, "127.0.0.1:4180", "/oauth2/auth");
    assert_eq!(bare.send().await?.status, 403);
    set_up
        .vestibule
        .process
        .prints("proxy_set_header Host $host;")
        .await?;
    // The other service is as it was.
    assert_eq!(set_up.page(CONCOURSE, "/", "").await?.status, 302);
    Ok(())
}

#[tokio::test]
async fn with_the_line_and_the_option_rules_apply_to_what_nginx_says() -> Result<()> {
    let told = format!("proxy_pass_request_body off;\n        {TOLD}");
    let blocks = BLOCKS.replace("proxy_pass_request_body off;", &told);
    let options = ["--original-uri-header", "X-Original-URI"];
    let set_up = SetUp::with(RULES, &options, &blocks).await?;
    let ann = set_up.session(PGWEB, &set_up.corp, "ann").await?;
    let bob = set_up.session(PGWEB, &set_up.corp, "bob").await?;
    let get = async |target: &str, cookies: &str| {
        let visit = set_up.visit(PGWEB, target)?.header("cookie", cookies);
        // A client's own copy does not count.
        let visit = visit.header("x-original-uri", "/static/x");
        Ok::<_, anyhow::Error>(visit.send().await?.status.as_u16())
    };
    for (target, anonymous, of_ann, of_bob) in [
        ("/", 401, 200, 200),
        ("/static/app.js", 200, 200, 200),
        ("/admin/users", 401, 403, 200),
        ("/Admin/users", 401, 403, 200),
        ("/admin", 401, 403, 200),
        ("/static/../admin/", 401, 403, 200),
        ("/static/%2e%2e/admin/", 401, 403, 200),
        ("/static/..%2fadmin/", 401, 403, 200),
        ("/admin%2f", 401, 403, 200),
        ("//admin/", 401, 403, 200),
        ("/./admin/", 401, 403, 200),
        ("/admin;/x", 401, 403, 200),
        ("/a?/static/", 401, 200, 200),
        ("http://pgweb.example/admin/", 401, 403, 200),
        ("http://pgweb.example/static/x", 200, 200, 200),
    ] {
        let got = (
            get(target, "").await?,
            get(target, &ann).await?,
            get(target, &bob).await?,
        );
        assert_eq!(got, (anonymous, of_ann, of_bob), "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn blocks_that_say_the_page_in_the_check_already_need_the_option_alone() -> Result<()> {
    let options = ["--original-uri-header", "X-Auth-Request-Redirect"];
    let set_up = SetUp::with(RULES, &options, BLOCKS).await?;
    let ann = set_up.session(PGWEB, &set_up.corp, "ann").await?;
    for (target, cookies, expected) in [
        ("/static/app.js", "", 200),
        ("/", "", 401),
        ("/", &ann, 200),
        ("/admin/users", &ann, 403),
        ("/static/../admin/users", &ann, 403),
    ] {
        let visit = set_up.visit(PGWEB, target)?.header("cookie", cookies);
        let visit = visit.header("x-auth-request-redirect", "/static/");
        assert_eq!(visit.send().await?.status, expected, "{target}");
    }
    Ok(())
}

#[tokio::test]
async fn an_identity_header_of_a_client_never_reaches_the_service() -> Result<()> {
    let set_up = SetUp::start("").await?;
    let ann = set_up.session(PGWEB, &set_up.corp, "ann").await?;
    for name in [
        "X-Auth-Request-Email",
        "x-auth-request-user",
        "X-Auth-Request-Groups",
    ] {
        let visit = set_up.visit(PGWEB, "/")?.header("cookie", &ann);
        let answer = visit.header(name, "root").send().await?;
        assert_eq!(answer.status, 403, "{name}");
    }
    // nginx drops what has an underscore, so it harms nobody.
    let visit = set_up.visit(PGWEB, "/")?.header("cookie", &ann);
    let seen = visit
        .header("x_auth_request_user", "root")
        .send()
        .await?
        .echoed()?;
    assert_eq!(seen.header("x_auth_request_user"), None);
    let log = set_up.vestibule.process.printed();
    let told = log
        .lines()
        .filter(|line| line.contains("a client sent x-auth-request-"));
    assert_eq!(told.count(), 1, "{log}");
    let metrics = Visitor::get(set_up.vestibule.admin, "admin", "/metrics");
    let metrics = metrics.send().await?.body;
    let counted = "vestibule_checks_total{outcome=\"identity_header\"} 3";
    ensure!(metrics.contains(counted), "{metrics}");
    Ok(())
}
