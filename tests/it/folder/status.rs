//! What operators are told, by `/status` and by `check --ask-providers`, and who may ask.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    attack::told,
    bench::{Wait, raw},
    running::{HOST, Mood, Provider, Running},
};

/// The provider, as `/status` shows it.
async fn shown(running: &Running) -> Result<Value> {
    let answer = raw::get(running.admin, "localhost", b"/status", &[]).await?;
    let json = answer.rest.trim();
    let status: Value = serde_json::from_str(json).with_context(|| json.to_owned())?;
    Ok(status["identityProviders"][0].clone())
}

fn ready(provider: &Value) -> &Value {
    let conditions = provider["conditions"].as_array().unwrap();
    let ready = conditions.iter().find(|one| one["type"] == "Ready");
    ready.unwrap()
}

#[tokio::test]
async fn the_status_of_a_provider_is_what_asking_it_has_shown() -> Result<()> {
    let running = Running::start(4096, &[]).await?;
    let provider = shown(&running).await?;
    assert_eq!(provider["discovery"]["status"], "Unknown");
    assert_eq!(provider["client"]["status"], "Unknown");
    assert_eq!(ready(&provider)["status"], "True");

    running.provider.is(Mood::Down);
    let lines = ["Sec-Fetch-Mode: navigate"];
    let page = raw::get(running.door, HOST, b"/oauth2/start?rd=/x", &lines).await?;
    assert_eq!(page.status, 503);
    let wait = Wait::seconds(60);
    let provider = wait
        .until("the failure is shown", async || {
            let provider = shown(&running).await?;
            ensure!(provider["discovery"]["status"] == "False", "{provider:#}");
            Ok(provider)
        })
        .await?;
    let said = ready(&provider);
    assert_eq!(
        (&said["status"], &said["reason"]),
        (&"False".into(), &"DiscoveryFailed".into())
    );
    let message = said["message"].as_str().unwrap();
    assert!(
        message.contains("answered 503") && message.contains("sessions go on"),
        "{message}"
    );
    assert!(provider["discovery"]["since"].is_string(), "{provider:#}");
    // Sessions go on, and so the process is as ready as before.
    assert_eq!(running.check().await?.status, 200);
    let readyz = raw::get(running.admin, "localhost", b"/readyz", &[]).await?;
    assert_eq!(readyz.status, 200);

    running.provider.is(Mood::ForgetsClients);
    let (state, cookie) = wait
        .until("sign-ins begin again", async || running.begin().await)
        .await?;
    running.come_back(&state, &cookie).await?;
    let provider = wait
        .until("the refusal is shown", async || {
            let provider = shown(&running).await?;
            ensure!(provider["client"]["status"] == "False", "{provider:#}");
            Ok(provider)
        })
        .await?;
    assert_eq!(provider["discovery"]["status"], "True");
    let said = ready(&provider);
    assert_eq!(
        (&said["status"], &said["reason"]),
        (&"False".into(), &"ClientRefused".into())
    );
    let message = said["message"].as_str().unwrap();
    assert!(
        message.contains("Compare clientID and the client secret"),
        "{message}"
    );
    assert!(!message.contains("of-the-client"), "{message}");

    running.provider.is(Mood::Useless);
    let (state, cookie) = running.begin().await?;
    running.come_back(&state, &cookie).await?;
    wait.until("it is ready again", async || {
        let provider = shown(&running).await?;
        ensure!(ready(&provider)["status"] == "True", "{provider:#}");
        Ok(())
    })
    .await?;
    for (line, times) in [
        ("the identity provider's discovery failed", 1),
        ("nobody can sign in with the identity provider", 1),
        ("the identity provider knows this client", 1),
    ] {
        assert_eq!(running.says(line), times, "{}", running.process.printed());
    }
    Ok(())
}

#[tokio::test]
async fn no_page_on_the_internet_reads_the_admin_listener_through_a_browser() -> Result<()> {
    let running = Running::start(4096, &["--admin-host=metrics.corp.example"]).await?;
    let address = running.admin.to_string();
    let mut refused = 0;
    for (host, status) in [
        (&*address, 200),
        ("localhost", 200),
        ("vestibule:9090", 200),
        ("vestibule-auth.vestibule.svc:9090", 200),
        ("metrics.corp.example", 200),
        ("rebound.evil.example", 421),
        ("rebound.evil.example:9090", 421),
    ] {
        for target in ["/status", "/metrics", "/readyz", "/nothing"] {
            let status = if target == "/nothing" && status == 200 {
                404
            } else {
                status
            };
            let answer = raw::get(running.admin, host, target.as_bytes(), &[]).await?;
            ensure!(answer.status == status, "{host} {target}: {}", answer.head);
            refused += usize::from(status == 421);
            ensure!(
                status != 421 || answer.rest.contains("--admin-host"),
                "{}",
                answer.rest
            );
        }
    }
    told::cases(
        "no_page_on_the_internet_reads_the_admin_listener_through_a_browser",
        refused,
    );
    Ok(())
}

#[tokio::test]
async fn a_program_without_a_session_is_told_the_address_with_its_port() -> Result<()> {
    let running = Running::start(4096, &["--public-port=8443"]).await?;
    for target in ["/oauth2/userinfo", "/oauth2/start?rd=/", "/x"] {
        let lines = ["Accept: application/json"];
        let answer = raw::get(running.door, HOST, target.as_bytes(), &lines).await?;
        ensure!(answer.status == 401, "{target}: {}", answer.head);
        let address = format!("Open http://{HOST}:8443 in a browser");
        ensure!(answer.rest.contains(&address), "{target}: {}", answer.rest);
    }
    Ok(())
}

#[tokio::test]
async fn check_asks_providers_only_if_it_is_told_to() -> Result<()> {
    let provider = Provider::start().await?;
    let folder = TempDir::new()?;
    let manifest = format!(
        "apiVersion: vestibule.dev/v1alpha1\nkind: IdentityProvider\nmetadata: {{name: corp}}\nspec:\n  \
         type: OIDC\n  oidc: {{issuerURL: '{}'}}\n  clientID: vestibule\n  clientSecretRef: {{name: corp}}\n",
        provider.issuer()
    );
    fs::write(folder.path().join("corp.yaml"), manifest)?;
    let check = async |options: &[&str]| -> Result<(bool, String)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.arg("check").arg("--manifests=.").args(options);
        command.current_dir(folder.path());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        Ok((output.status.success(), String::from_utf8(output.stdout)?))
    };
    let (passes, said) = check(&[]).await?;
    ensure!(passes && provider.seen().discoveries == 0, "{said}");
    let (passes, said) = check(&["--ask-providers"]).await?;
    ensure!(passes && provider.seen().discoveries == 1, "{said}");
    provider.is(Mood::Down);
    let (passes, said) = check(&["--ask-providers"]).await?;
    ensure!(!passes, "{said}");
    let line = "./corp.yaml:1:1: error: identity provider corp cannot be reached: http://";
    ensure!(said.starts_with(line), "{said}");
    ensure!(said.contains(": 1 error, "), "{said}");
    Ok(())
}
