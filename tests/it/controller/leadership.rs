//! Two controllers: one writes, the other takes over.

use std::time::Duration;

use crate::bench::{
    Wait,
    installation::{Component, NAMESPACE},
};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::json;

use super::Stage;

async fn leads(component: &Component) -> Result<bool> {
    let metrics = component.metrics().await?;
    Ok(metrics.lines().any(|line| line == "vestibule_leader 1"))
}

#[tokio::test]
async fn the_second_controller_takes_over_when_the_first_dies_or_leaves() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let one = stage.installation.controller().await?;
    Wait::seconds(30)
        .until("the first leads", async || {
            ensure!(leads(&one).await?, "it does not");
            Ok(())
        })
        .await?;
    let two = stage.installation.controller().await?;
    let site = stage.site("lead").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    ensure!(leads(&one).await? && !leads(&two).await?);
    let written = two.metrics().await?;
    ensure!(!written.contains("vestibule_reconcile_total{"), "{written}");

    one.process().signal("KILL")?;
    Wait::seconds(40)
        .until("the second leads", async || {
            ensure!(leads(&two).await?, "it does not");
            Ok(())
        })
        .await?;
    site.annotate("wiki", json!({"vestibule.dev/protect": "false"}))
        .await?;
    site.until_nothing_is_left().await?;

    // Whoever is asked to stop gives the Lease back, so the third need not wait for its end.
    let status = two.process().stop(Duration::from_secs(10))?;
    ensure!(status.success(), "{status}");
    let three = stage.installation.controller().await?;
    Wait::seconds(5)
        .until("the third leads", async || {
            ensure!(leads(&three).await?, "it does not");
            Ok(())
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn the_session_keys_are_made_once_and_never_overwritten() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let secrets: Api<Secret> = Api::namespaced(stage.cluster.client().await?, NAMESPACE);
    let name = "vestibule-session-keys";
    let (one, two) = tokio::try_join!(
        stage.installation.controller(),
        stage.installation.controller()
    )?;
    let made = Wait::seconds(20)
        .until("the keys are there", async || Ok(secrets.get(name).await?))
        .await?;
    let data = made.data.clone().unwrap_or_default();
    ensure!(vestibule::published::KeyRing::parse(&data["keyring.json"].0).is_ok());
    for component in [one, two] {
        component.process().stop(Duration::from_secs(10))?;
    }

    stage
        .cluster
        .secret(NAMESPACE, name, &[("keyring.json", "{}")])
        .await?;
    let three = stage.installation.controller().await?;
    Wait::seconds(20)
        .until("the controller says what is wrong", async || {
            let log = three.process().printed();
            ensure!(log.contains("holds no usable session keys"), "{log}");
            Ok(())
        })
        .await?;
    let left = secrets.get(name).await?.data.unwrap_or_default();
    ensure!(left["keyring.json"].0 == b"{}");
    ensure!(three.metrics().await?.contains("vestibule_session_keys 0"));
    Ok(())
}
