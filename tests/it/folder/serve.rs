//! `vestibule serve` on the folder of docs/standalone.md: what a new user copies works, and is as short as promised.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::bench::{Visitor, Wait, loopback::free_component_address, process::Start};

const PAGE: &str = include_str!("../../../docs/standalone.md");

/// The YAML blocks of the page that hold this.
fn example(with: &str) -> &'static str {
    let blocks = PAGE.split("```yaml\n").skip(1);
    let mut blocks = blocks.filter_map(|block| block.split("```").next());
    blocks.find(|block| block.contains(with)).unwrap()
}

/// The first file of the page with a client of one's own, as `check` asks for.
fn first_file() -> String {
    example("kind: IdentityProvider").replace("1234567890-abc", "1234567890-ours")
}

#[test]
fn one_app_is_one_file_of_twenty_lines_and_each_further_one_six_more() {
    let (first, further) = (example("kind: IdentityProvider"), example("name: pgweb"));
    assert!(first.lines().count() <= 20, "{first}");
    let lines = further.lines().filter(|line| *line != "---").count();
    assert!(lines <= 6, "{further}");
}

#[test]
fn what_the_page_shows_of_check_is_what_check_says() -> Result<()> {
    let folder = TempDir::new()?;
    let manifests = folder.path().join("manifests");
    fs::create_dir(&manifests)?;
    let public = first_file().replace("corp.example]", "gmail.com]");
    fs::write(manifests.join("apps.yaml"), public)?;
    let typo = example("name: pgweb").replace("emailDomains", "emailDomain");
    fs::write(manifests.join("pgweb.yaml"), typo)?;
    let output = Command::new(env!("CARGO_BIN_EXE_vestibule"))
        .args(["check", "--manifests", "manifests"])
        .current_dir(folder.path())
        .output()?;
    let shown = PAGE
        .split("```text\n")
        .find(|block| block.starts_with("manifests/"));
    let shown = shown.and_then(|block| block.split("```").next());
    assert_eq!(Some(std::str::from_utf8(&output.stdout)?), shown);
    Ok(())
}

#[tokio::test]
async fn what_is_in_force_is_shown_and_what_is_broken_stays_closed() -> Result<()> {
    let folder = TempDir::new()?;
    let path = |name: &str| folder.path().join(name);
    for name in ["manifests", "secrets"] {
        fs::create_dir(path(name))?;
    }
    let manifests = |name: &str, text: &str| fs::write(path("manifests").join(name), text);
    manifests("apps.yaml", &first_file())?;
    manifests("pgweb.yaml", example("name: pgweb"))?;
    fs::write(path("secrets/google-client-secret"), "s3cret")?;
    let [door, admin] = [free_component_address()?, free_component_address()?];
    let program = Path::new(env!("CARGO_BIN_EXE_vestibule"));
    let serve = Start::program("serve", program)?
        .argument("serve")
        .arguments([
            "--manifests".to_owned(),
            path("manifests").display().to_string(),
        ])
        .arguments([
            "--secrets-dir".to_owned(),
            path("secrets").display().to_string(),
        ])
        .arguments(["--state".to_owned(), path("state").display().to_string()])
        .arguments(["--front-door".to_owned(), door.to_string()])
        .arguments(["--admin-listen".to_owned(), admin.to_string()])
        .start()?;
    let status = async || -> Result<Value> {
        let answer = Visitor::get(admin, "localhost", "/status").send().await?;
        Ok(serde_json::from_str(&answer.body)?)
    };
    let wait = || Wait::seconds(60).watching(&serve);
    let shown = wait().until("it shows its status", status).await?;
    for (at, name) in ["clearml", "pgweb"].into_iter().enumerate() {
        let service = &shown["protectedServices"][at];
        assert_eq!(service["name"], *name);
        assert_eq!(service["hosts"][0]["state"], "Programmed", "{shown:#}");
        let callback = format!("https://{name}.corp.example/oauth2/callback/google");
        assert_eq!(service["hosts"][0]["callbackURLs"][0], *callback);
    }
    assert_eq!(
        shown["identityProviders"][0]["conditions"][2]["status"],
        "True"
    );
    assert_eq!(shown["findings"], Value::Array(vec![]));
    let ask = async |host: &str, target: &str| -> Result<u16> {
        let answer = Visitor::get(door, host, target).navigating().send().await?;
        Ok(answer.status.as_u16())
    };
    assert_eq!(ask("pgweb.corp.example", "/").await?, 303);
    assert_eq!(
        ask("nobody.corp.example", "/").await?,
        404,
        "a host that no manifest names"
    );
    assert_eq!(ask("nobody.corp.example", "/oauth2/auth").await?, 404);

    manifests(
        "pgweb.yaml",
        &example("name: pgweb").replace("emailDomains", "emailDomain"),
    )?;
    let shown = wait()
        .until("it shows what is broken", async || {
            let shown = status().await?;
            ensure!(
                shown["protectedServices"][1]["hosts"][0]["state"] == "Closed",
                "{shown:#}"
            );
            Ok(shown)
        })
        .await?;
    let finding = &shown["findings"][0];
    assert_eq!(
        (&finding["file"], &finding["severity"]),
        (&"pgweb.yaml".into(), &"error".into())
    );
    assert_eq!(finding["line"], 7, "{finding:#}");
    assert!(
        finding["message"]
            .as_str()
            .unwrap()
            .starts_with("spec.allow[0].emailDomain: unknown field")
    );
    let closed = ask("pgweb.corp.example", "/").await?;
    assert!(closed == 403 || closed == 303, "{closed}");
    let metrics = Visitor::get(admin, "localhost", "/metrics").send().await?;
    let metrics = metrics.body;
    for line in [
        "vestibule_protected_hosts{state=\"programmed\"} 1",
        "vestibule_protected_hosts{state=\"closed\"} 1",
        "vestibule_manifest_findings{severity=\"error\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    fs::remove_file(path("manifests/pgweb.yaml"))?;
    wait()
        .until("it forgets what is gone", async || {
            ensure!(ask("pgweb.corp.example", "/").await? == 404, "it is served");
            Ok(())
        })
        .await?;
    let log = serve.printed();
    for said in [
        "ProtectedService default/pgweb is gone from pgweb.yaml",
        "https://clearml.corp.example/oauth2/callback/google",
        "\"services\":2",
    ] {
        assert!(log.contains(said), "{said} is not in\n{log}");
    }
    assert!(!log.contains("s3cret"));
    serve.stop(Duration::from_secs(10))?;
    Ok(())
}
