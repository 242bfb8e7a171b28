//! Answers of the token and UserInfo endpoints that are no answers, or answers about somebody else.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::{
    attack::{
        serve::{CLIENT_SECRET, Honest, Outcome, Serve},
        told,
    },
    provider::lying::{Answer, DISCOVERY, TOKEN, USERINFO},
};

#[tokio::test]
async fn an_answer_of_the_token_endpoint_that_is_not_plainly_one_signs_nobody_in() -> Result<()> {
    let corp = Honest::start("k1").await;
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let host = "corp.corp.test";
    // GOOD stands for an honest ID token, OTHER for one that is not for this sign-in.
    let whole = r#""access_token":"a","token_type":"Bearer","expires_in":60"#;
    let texts = [
        (200, String::new()),
        (200, "<html>".to_owned()),
        (200, "null".to_owned()),
        (200, "\"GOOD\"".to_owned()),
        (200, "GOOD".to_owned()),
        (200, format!("[{{{whole},\"id_token\":\"GOOD\"}}]")),
        (200, format!("{{{whole}}}")),
        (200, format!("{{{whole},\"id_token\":null}}")),
        (200, format!("{{{whole},\"id_token\":\"\"}}")),
        (200, format!("{{{whole},\"id_token\":[\"GOOD\"]}}")),
        (
            200,
            format!("{{{whole},\"id_token\":{{\"jwt\":\"GOOD\"}}}}"),
        ),
        (
            200,
            format!("{{{whole},\"id_token\":\"GOOD\",\"id_token\":\"OTHER\"}}"),
        ),
        (
            200,
            format!("{{{whole},\"id_token\":\"OTHER\",\"id_token\":\"GOOD\"}}"),
        ),
        (
            200,
            format!("{{{whole},\"id_token\":\"OTHER\",\"id\\u005ftoken\":\"GOOD\"}}"),
        ),
        (
            200,
            format!("{{{whole},\"access_token\":\"b\",\"id_token\":\"GOOD\"}}"),
        ),
        (
            200,
            format!("{{{whole},\"extra\":1,\"extra\":2,\"id_token\":\"GOOD\"}}"),
        ),
        (200, format!("{{{whole},\"id_token\":\"GOOD\"}}{{}}")),
        (200, format!("{{{whole},\"id_token\":\"GOOD\"")),
        (200, format!("\u{feff}{{{whole},\"id_token\":\"GOOD\"}}")),
        (
            200,
            "{\"token_type\":\"Bearer\",\"id_token\":\"GOOD\"}".to_owned(),
        ),
        (
            200,
            "{\"access_token\":\"a\",\"id_token\":\"GOOD\"}".to_owned(),
        ),
        (
            200,
            "{\"access_token\":5,\"token_type\":\"Bearer\",\"id_token\":\"GOOD\"}".to_owned(),
        ),
        (200, "{\"error\":\"invalid_grant\"}".to_owned()),
        (
            200,
            "access_token=a&token_type=Bearer&id_token=GOOD".to_owned(),
        ),
        (201, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (204, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (206, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (304, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (400, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (401, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (
            403,
            format!("{{{whole},\"id_token\":\"GOOD\",\"error\":\"access_denied\"}}"),
        ),
        (500, format!("{{{whole},\"id_token\":\"GOOD\"}}")),
        (503, String::new()),
        (429, "{}".to_owned()),
        (404, "<html>".to_owned()),
    ];
    let codes = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "invalid_target",
        "server_error",
        "temporarily_unavailable",
        "slow_down",
        "invented",
        "",
        "<script>alert(1)</script>",
        "a\u{1b}[31m",
        "5xx\\r\\nSet-Cookie: __Host-vestibule=x",
    ];
    let mut cases: Vec<(u16, String)> = texts.into();
    for code in codes {
        let refusal = json!({
            "error": code, "error_description": format!("<script>{CLIENT_SECRET}"), "error_uri": "javascript:alert(1)",
        });
        cases.push((400, refusal.to_string()));
    }
    for wrong in [json!(5), json!(null), json!(["invalid_grant"]), json!({})] {
        cases.push((400, json!({ "error": wrong }).to_string()));
    }
    for (status, text) in &cases {
        let tab = serve.leave(host, "corp", "/a").await?;
        let good = corp.key.signs(&corp.claims(&tab));
        let mut other = corp.claims(&tab);
        other["nonce"] = json!("of another sign-in");
        let text = text
            .replace("GOOD", &good)
            .replace("OTHER", &corp.key.signs(&other));
        corp.answers(TOKEN, Answer::Status(*status, text.clone()));
        let answer = serve
            .ask(
                host,
                &format!("/oauth2/callback/corp?code=c&state={}", tab.state),
                &tab.cookies,
            )
            .await?;
        let shown = text.chars().take(80).collect::<String>();
        ensure!(
            Outcome::of(&answer)?.is_refusal(),
            "{status} {shown}: {} {}",
            answer.status,
            answer.body
        );
        for told in ["<script", CLIENT_SECRET, "eyJ", "javascript:"] {
            ensure!(
                !answer.body.contains(told),
                "{status} {shown} is repeated: {}",
                answer.body
            );
        }
    }
    ensure!(
        !serve.process.printed().contains(CLIENT_SECRET),
        "the log has the client secret"
    );
    let tab = serve.leave(host, "corp", "/a").await?;
    corp.is_honest_to(&tab);
    serve.back(&tab).await?.session()?;
    told::cases(
        "an_answer_of_the_token_endpoint_that_is_not_plainly_one_signs_nobody_in",
        cases.len(),
    );
    Ok(())
}

#[tokio::test]
async fn userinfo_about_somebody_else_or_in_two_readings_signs_nobody_in_nor_lends_them_a_group()
-> Result<()> {
    let corp = Honest::start("k1").await;
    let mut metadata = corp.lying.metadata();
    metadata["userinfo_endpoint"] = json!(format!("{}{USERINFO}", corp.issuer()));
    corp.answers(DISCOVERY, Answer::Json(metadata));
    let serve = Serve::start(&[("corp", corp.issuer())]).await?;
    let host = "corp.corp.test";
    let outcome = async |answer: Answer| -> Result<Outcome> {
        corp.answers(USERINFO, answer);
        let tab = serve.leave(host, "corp", "/a").await?;
        let mut claims = corp.claims(&tab);
        claims["email"] = json!("ann@elsewhere.example");
        corp.says(&corp.key.signs(&claims));
        serve.back(&tab).await
    };
    let honest = outcome(Answer::Json(json!({ "sub": "ann", "groups": ["staff"] }))).await?;
    ensure!(
        serve.enters(host, honest.session()?).await?,
        "an honest answer"
    );
    let staff = |sub: Value| Answer::Json(json!({ "sub": sub, "groups": ["staff"] }));
    let text = |status, text: &str| Answer::Status(status, text.to_owned());
    let cases = [
        staff(json!("bob")),
        staff(json!("Ann")),
        staff(json!("ann ")),
        staff(json!(["ann"])),
        staff(json!(null)),
        staff(json!("")),
        Answer::Json(json!({ "groups": ["staff"] })),
        text(200, r#"{"sub":"bob","sub":"ann","groups":["staff"]}"#),
        text(200, r#"{"sub":"ann","groups":[],"groups":["staff"]}"#),
        text(200, r#"[{"sub":"ann","groups":["staff"]}]"#),
        text(200, ""),
        text(200, "eyJhbGciOiJub25lIn0.e30."),
        text(401, r#"{"sub":"ann","groups":["staff"]}"#),
        text(403, r#"{"sub":"ann","groups":["staff"]}"#),
        text(201, r#"{"sub":"ann","groups":["staff"]}"#),
        text(500, r#"{"sub":"ann","groups":["staff"]}"#),
        Answer::Redirect(format!("{}/elsewhere", corp.issuer())),
    ];
    corp.answers("/elsewhere", staff(json!("ann")));
    let tried = cases.len();
    for (number, answer) in cases.into_iter().enumerate() {
        match outcome(answer).await? {
            Outcome::SignedIn(session, _) => ensure!(
                !serve.enters(host, &session).await?,
                "answer {number} lent a group"
            ),
            page @ Outcome::Page(..) => ensure!(page.is_refusal(), "answer {number}: {page:?}"),
        }
    }
    told::cases(
        "userinfo_about_somebody_else_or_in_two_readings_signs_nobody_in_nor_lends_them_a_group",
        tried,
    );
    Ok(())
}
