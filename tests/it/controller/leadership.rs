//! Two controllers: one writes, the other takes over.

use std::time::Duration;

use crate::bench::{
    Wait,
    installation::{Component, NAMESPACE},
    process::Start,
};
use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt, api::ListParams};
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
    Wait::seconds(60)
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
    Wait::seconds(60)
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
    Wait::seconds(10)
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
    let made = Wait::seconds(60)
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
    Wait::seconds(60)
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

#[tokio::test]
async fn two_installations_for_different_classes_do_not_correct_each_other() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let _one = stage.installation.controller().await?;
    let admin = crate::bench::loopback::free_component_address()?;
    let _other = Start::program("other-controller", &super::program())?
        .argument("controller")
        .arguments([
            "--instance=other",
            "--namespace=vestibule",
            "--ingress-class=other",
        ])
        .arguments([
            "--check-url=http://127.0.0.1:4181".to_owned(),
            format!("--admin-listen={admin}"),
        ])
        .environment("KUBECONFIG", stage.cluster.kubeconfig().to_string_lossy())
        .start()?;
    let site = stage.site("both").await?;
    let explicit = json!({
        "apiVersion": "vestibule.dev/v1alpha1", "kind": "ProtectedService",
        "metadata": {"name": "who", "namespace": &*site.namespace},
        "spec": {"targetRefs": [{"name": "second"}], "allow": [{"emails": ["ann@corp.example"]}]},
    });
    let host = format!("second.{}", site.host);
    site.put(&super::ingress(&site.namespace, "second", &host))
        .await?;
    stage.cluster.apply(&explicit.to_string()).await?;
    site.opt_in().await?;
    site.until_ready().await?;
    site.until_condition("who", "Ready", "True", "Ready")
        .await?;
    let versions = async || {
        let services = site.services().list(&ListParams::default()).await?;
        anyhow::Ok(
            services
                .iter()
                .map(ResourceExt::resource_version)
                .collect::<Vec<_>>(),
        )
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = versions().await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    ensure!(
        versions().await? == before,
        "statuses are being written all the time"
    );
    site.until_ready().await?;
    site.until_condition("who", "Ready", "True", "Ready")
        .await?;

    // Whoever serves the class looks after the Ingress; the other one has nothing to say about it.
    for (name, class) in [("theirs", "other"), ("nobodys", "third")] {
        let host = format!("{name}.{}", site.host);
        let mut ingress = super::ingress(&site.namespace, name, &host);
        ingress["spec"]["ingressClassName"] = json!(class);
        ingress["metadata"]["annotations"] =
            json!({"vestibule.dev/protect": "true", "vestibule.dev/allowed-groups": "a"});
        site.put(&ingress).await?;
        let (status, reason) = match class {
            "other" => ("True", "Ready"),
            _ => ("False", "UnsupportedIngressClass"),
        };
        site.until_condition(name, "Ready", status, reason).await?;
    }
    // Those who tell its owner have waited as long as they would have for the others.
    site.until_event("Ingress", "nobodys", "UnsupportedIngressClass")
        .await?;
    for name in ["wiki", "second", "theirs"] {
        let events = site.events("Ingress", name).await?;
        let told: Vec<_> = events.into_iter().filter_map(|it| it.reason).collect();
        ensure!(
            !told.iter().any(|it| it == "UnsupportedIngressClass"),
            "{name}: {told:?}"
        );
    }
    let theirs = site.services().get("theirs").await?;
    let instance = theirs.labels().get("vestibule.dev/instance");
    ensure!(instance.is_some_and(|it| it == "other"), "{instance:?}");
    Ok(())
}

#[tokio::test]
async fn a_controller_outlives_an_api_server_that_does_not_answer() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let controller = stage.installation.controller().await?;
    let site = stage.site("outage").await?;
    site.opt_in().await?;
    site.until_ready().await?;
    stage.cluster.halt_api_server()?;
    Wait::seconds(60)
        .until("it does not claim to lead", async || {
            ensure!(!leads(&controller).await?, "it does");
            Ok(())
        })
        .await?;
    stage.cluster.resume_api_server()?;
    ensure!(site.ours("wiki").await?.len() == 3);
    site.annotate("wiki", json!({"vestibule.dev/protect": "false"}))
        .await?;
    site.until_nothing_is_left().await?;
    ensure!(controller.process().ended().is_none());
    Ok(())
}
