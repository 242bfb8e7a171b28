//! What a tenant may write that other people read, what a tenant may ask to be told, and what is left of a policy that
//! goes away.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{
    ground::{ground, rule},
    stage::now,
    told,
};

const HOST: &str = "texts.story.test";

/// Texts that would be more than text where somebody forgot that they are none.
const TEXTS: [&str; 18] = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "<a href=https://evil.test>Sign in again</a>",
    "<meta http-equiv=refresh content=0;url=https://evil.test>",
    "<style>@import url(https://evil.test)</style>",
    "<base href=https://evil.test>",
    "<form action=https://evil.test><input name=password>",
    "{{ page.title }} {% raw %}",
    "&lt;script&gt; &#60;script&#62;",
    "javascript:alert(1)",
    "\u{202e}txet desrever\u{202c}",
    "\u{0}null",
    "line\r\nSet-Cookie: a=b",
    "-->]]><!--",
    "\u{feff}\u{200b}\u{2028}\u{2029}",
    "%3Cscript%3E",
];

const LINKS: [&str; 14] = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "//evil.test/",
    "http://evil.test/",
    "/relative",
    "https:evil.test\"onclick=\"alert(1)",
    "https://evil.test/\" onmouseover=\"alert(1)",
    "https://evil.test/'><script>",
    "blob:https://evil.test/1",
    "mailto:a@b.example\nBcc: x@y",
];

/// Every `href` and `action` of a page.
fn links(page: &str) -> Vec<&str> {
    let after = |key: &'static str| page.split(key).skip(1);
    let of = after(" href=\"").chain(after(" action=\""));
    of.filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn a_tenants_texts_are_text_on_the_tenants_own_pages_and_nowhere_else() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("texts").await?;
    let _service = tenant.service("app").await?;
    let ingress = json!({"rules": [rule(HOST, "/", "app")]});
    tenant
        .apply(&tenant.ingress("app", &ingress, &json!({})))
        .await?;
    let spec = |field: Value| {
        let mut spec = json!({
            "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "app"}],
            "allow": [{"groups": ["nobody"]}],
        });
        for (key, value) in field.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        spec
    };
    tenant
        .apply(&tenant.policy("app", &spec(json!({}))))
        .await?;
    tenant.until_ready("app", "True", "Ready").await?;
    ground.until_asked(HOST).await?;
    let cookie = ground.session(HOST, now())?;
    let start = format!("/oauth2/start/{}/app?m=GET&rd=%2F", &*tenant.namespace);
    let names = TEXTS.iter().map(|text| json!({"displayName": text}));
    let messages = TEXTS
        .iter()
        .map(|text| json!({"denied": {"message": text}}));
    let urls = LINKS
        .iter()
        .map(|link| json!({"denied": {"message": "mark", "requestAccessURL": link}}));
    let (mut shown, mut refused, mut closed) = (0, 0, 0);
    for (number, field) in names.chain(messages).chain(urls).enumerate() {
        // Something that shows that the page is of this policy.
        let mark = format!("mark-{number}");
        let mut wanted = spec(field.clone());
        wanted["allow"] = json!([{"groups": [mark]}]);
        if tenant.apply(&tenant.policy("app", &wanted)).await.is_err() {
            refused += 1;
            continue;
        }
        let generation = tenant
            .kubectl(&[
                "get",
                "psvc",
                "app",
                "-o",
                "jsonpath={.metadata.generation}",
            ])
            .await?;
        ground
            .wait()
            .until("the controller has seen it", async || {
                let path = "jsonpath={.status.observedGeneration}";
                let seen = tenant.kubectl(&["get", "psvc", "app", "-o", path]).await?;
                ensure!(seen == generation, "it has seen {seen} of {generation}");
                Ok(())
            })
            .await?;
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let page = ground.visit(HOST, &start, &cookie).await?;
        ensure!(
            page.status == 403 || page.status == 503,
            "{field}: {}",
            page.status
        );
        match tenant.ready("app").await?.as_str() {
            "True Ready" => shown += 1,
            _ => closed += 1,
        }
        let body = page.body.to_ascii_lowercase();
        for element in [
            "<script",
            "<img",
            "<meta http-equiv",
            "<base",
            "<iframe",
            "<input",
            "onerror=alert(1)>",
            "<style>@import",
        ] {
            ensure!(!body.contains(element), "{field}: {element}: {}", page.body);
        }
        for link in links(&page.body) {
            let is_ours = link.starts_with("/oauth2/") || link == "/";
            let is_theirs = field.pointer("/denied/requestAccessURL").is_some()
                && (link.starts_with("https://") || link.starts_with("mailto:"));
            ensure!(is_ours || is_theirs, "{field}: a link to {link}");
        }
        ensure!(
            page.cookies()
                .split("; ")
                .all(|pair| pair.is_empty() || pair.starts_with("__Host-")),
            "{field}: {}",
            page.cookies()
        );
        let policy = page.header("content-security-policy").unwrap_or_default();
        ensure!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
    }
    println!(
        "{shown} shown as text, {refused} refused by the API server, {closed} closed the service"
    );

    // On the auth host nothing of a tenant is shown, whatever it is asked about the tenant's service.
    let loud =
        spec(json!({"displayName": "Foreign words", "denied": {"message": "Foreign words"}}));
    tenant.apply(&tenant.policy("app", &loud)).await?;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let own = ground.visit(HOST, "/oauth2/start?rd=%2F", "").await?;
    let request = own
        .location()
        .unwrap_or_default()
        .replace("https://auth.story.test", "");
    let broken = format!("{request}x");
    let mut cases = 0;
    for target in [
        &*request,
        &*broken,
        &*start,
        "/oauth2/start",
        "/oauth2/sign_in",
        "/oauth2/sign_out",
        "/oauth2/callback/corp",
        "/oauth2/finish",
        "/",
        "/oauth2/x",
    ] {
        let answer = ground.visit("auth.story.test", target, "").await?;
        ensure!(
            !answer.body.contains("Foreign words"),
            "{target}: {}",
            answer.body
        );
        cases += 1;
    }
    told::cases(
        "a_tenants_texts_are_text_on_the_tenants_own_pages_and_nowhere_else",
        shown + refused + closed + cases,
    );
    tenant.namespace.delete().await
}

#[tokio::test]
async fn a_tenant_is_told_no_more_than_the_closed_list_and_gets_no_token() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("asked").await?;
    let service = tenant.service("app").await?;
    let host = "asked.story.test";
    let ingress = json!({"rules": [rule(host, "/", "app")]});
    tenant
        .apply(&tenant.ingress("app", &ingress, &json!({})))
        .await?;
    let spec = |upstream: &Value| {
        json!({
            "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "app"}],
            "allow": [{"emailDomains": ["corp.example"]}],
            "upstream": upstream,
        })
    };
    let header = |name: &str| json!({"headers": [{"name": name, "from": "Subject"}]});
    let mut asked: Vec<Value> = [
        "Authorization",
        "authorization",
        "Cookie",
        "Set-Cookie",
        "Host",
        "X-Forwarded-For",
        "X-Forwarded-User",
        "Forwarded",
        "Remote-User",
        "X-Remote-Group",
        "Impersonate-User",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "",
        "X-Auth-Request-User\r\nX-Evil: 1",
        "X-Auth-Request-User,Authorization",
        "X_Auth_Request_User",
        "X-Auth-Request-User ",
        "*",
    ]
    .map(header)
    .to_vec();
    asked.extend([
        json!({"accessToken": true}),
        json!({"idToken": true}),
        json!({"assertion": {"audience": "https://evil.test"}}),
        json!({"headers": [{"name": "X-Auth-Request-Access-Token", "from": "AccessToken"}]}),
        json!({"headers": [{"name": "X-Auth-Request-Access-Token", "from": "Claim"}]}),
        json!({"headers": [{"name": "X-Auth-Request-User", "from": "Subject", "claim": "x"}]}),
        json!({"headers": [{"name": "X-Auth-Request-User", "from": "Secret"}]}),
    ]);
    let (mut refused, mut closed) = (0, 0);
    for upstream in &asked {
        if tenant
            .apply(&tenant.policy("app", &spec(upstream)))
            .await
            .is_err()
        {
            refused += 1;
            continue;
        }
        tenant.until_ready("app", "False", "Invalid").await?;
        closed += 1;
        service.forget();
        let answer = ground
            .visit(host, "/", &ground.session(host, now())?)
            .await?;
        // The very first may come before Traefik asks at all, so only what a session brings counts.
        let told = service.seen();
        ensure!(
            told.iter()
                .all(|seen| seen.header("x-auth-request-email").is_none()),
            "{upstream}: {} {told:?}",
            answer.status
        );
    }
    println!("{refused} refused by the API server, {closed} closed the service");

    // Claims that a token may carry and that are no facts about the person: what the endpoint keeps of them is empty.
    let tokens = [
        "access_token",
        "id_token",
        "refresh_token",
        "at_hash",
        "nonce",
    ];
    for claim in tokens {
        let upstream = json!({"headers": [{"name": "X-Auth-Request-Access-Token", "from": "Claim", "claim": claim}]});
        tenant
            .apply(&tenant.policy("app", &spec(&upstream)))
            .await?;
        tenant.until_ready("app", "True", "Ready").await?;
        ground.until_asked(host).await?;
        service.forget();
        let answer = ground
            .visit(host, "/", &ground.session(host, now())?)
            .await?;
        ensure!(answer.status == 200, "{claim}: {}", answer.status);
        let seen = service.seen();
        let said = seen
            .last()
            .and_then(|seen| seen.header("x-auth-request-access-token"));
        ensure!(said == Some(""), "{claim}: {said:?}");
        ensure!(
            seen.last()
                .is_some_and(|seen| seen.header("authorization").is_none())
        );
    }
    told::cases(
        "a_tenant_is_told_no_more_than_the_closed_list_and_gets_no_token",
        refused + closed + tokens.len(),
    );
    tenant.namespace.delete().await
}

/// A policy is looked at on each request, by the name of its Ingress; there is nothing of an old one to inherit.
#[tokio::test]
async fn a_policy_that_is_made_again_inherits_nothing_from_the_old_one() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("again").await?;
    let service = tenant.service("app").await?;
    let host = "again.story.test";
    let ingress = json!({"rules": [rule(host, "/", "app")]});
    tenant
        .apply(&tenant.ingress("app", &ingress, &json!({})))
        .await?;
    let policy =
        |allow: Value| {
            tenant.policy("app-policy", &json!({
        "targetRefs": [{"group": "networking.k8s.io", "kind": "Ingress", "name": "app"}],
        "allow": allow,
    }))
        };
    let bob = json!([{"emails": ["bob@corp.example"]}]);
    let ann = json!([{"emails": ["ann@corp.example"]}]);
    let mut cases = 0;
    for round in 0..5 {
        tenant.apply(&policy(bob.clone())).await?;
        tenant.until_ready("app-policy", "True", "Ready").await?;
        ground.until_asked(host).await?;
        let cookie = ground.session(host, now())?;
        let lets_in = async |wanted: bool| {
            ground
                .wait()
                .until("the policy is in force", async || {
                    service.forget();
                    let answer = ground.visit(host, "/", &cookie).await?;
                    ensure!(
                        (answer.status == 200) == wanted && service.seen().is_empty() != wanted,
                        "round {round}: {}",
                        answer.status
                    );
                    Ok(())
                })
                .await
        };
        lets_in(true).await?;
        tenant.kubectl(&["delete", "psvc", "app-policy"]).await?;
        lets_in(false).await?;
        // Gone is closed, for strangers as well, and stays so.
        for _ in 0..3 {
            service.forget();
            ground.visit(host, "/", "").await?;
            ensure!(
                service.seen().is_empty(),
                "round {round}: open without a policy"
            );
            cases += 1;
        }
        tenant.apply(&policy(ann.clone())).await?;
        tenant.until_ready("app-policy", "True", "Ready").await?;
        lets_in(false).await?;
        tenant.apply(&policy(bob.clone())).await?;
        lets_in(true).await?;
        tenant.kubectl(&["delete", "psvc", "app-policy"]).await?;
        lets_in(false).await?;
        cases += 5;
    }
    told::cases(
        "a_policy_that_is_made_again_inherits_nothing_from_the_old_one",
        cases,
    );
    tenant.namespace.delete().await
}
