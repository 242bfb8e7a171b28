//! `vestibule unprotect`, when the controller is there and when it is gone.

use std::{process::Command, time::Duration};

use crate::bench::process::run;
use anyhow::{Result, ensure};

use super::{Stage, program};

async fn unprotect(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program());
    command
        .arg("unprotect")
        .args(arguments)
        .arg("--kubeconfig")
        .arg(stage.cluster.kubeconfig());
    run(command).await
}

#[tokio::test]
async fn an_ingress_is_opened_by_hand_whether_or_not_the_controller_runs() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let controller = stage.installation.controller().await?;
    let (one, other) = (stage.site("one").await?, stage.site("other").await?);
    for site in [&one, &other] {
        site.opt_in().await?;
        site.until_ready().await?;
    }
    let ns: &str = &one.namespace;
    let said = unprotect(&stage, &["-n", ns, "wiki", "--dry-run"]).await?;
    ensure!(
        said.contains("would do: ") && said.contains(&one.host),
        "{said}"
    );
    ensure!(one.ours("wiki").await?.len() == 3);
    let missing = unprotect(&stage, &["-n", ns, "nothing"])
        .await
        .unwrap_err()
        .to_string();
    ensure!(
        missing.contains(&format!("there is no Ingress {ns}/nothing")),
        "{missing}"
    );

    unprotect(&stage, &["-n", ns, "wiki"]).await?;
    one.until_nothing_is_left().await?;
    ensure!(other.ours("wiki").await?.len() == 3);

    controller.process().stop(Duration::from_secs(10))?;
    let said = unprotect(&stage, &["--all"]).await?;
    ensure!(said.contains(&other.host), "{said}");
    other.until_nothing_is_left().await?;
    let said = unprotect(&stage, &["--all"]).await?;
    ensure!(said.contains("Nothing to do"), "{said}");
    Ok(())
}
