//! Many Ingresses at once, without more writes than there is to write.

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;

use super::{Stage, ingress};

const MANY: usize = 200;

#[tokio::test]
async fn two_hundred_ingresses_are_protected_and_then_it_is_quiet() -> Result<()> {
    let stage = Stage::new(&[]).await?;
    let controller = stage.installation.controller().await?;
    let site = stage.site("many").await?;
    let names: Vec<String> = (0..MANY).map(|n| format!("app-{n}")).collect();
    stream::iter(&names)
        .map(|name| {
            let mut object = ingress(&site.namespace, name, &format!("{name}.{}", site.host));
            object["metadata"]["annotations"] = json!({
                "vestibule.dev/protect": "true",
                "vestibule.dev/allowed-email-domains": "corp.example",
            });
            let site = &site;
            async move { site.put(&object).await }
        })
        .buffer_unordered(8)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    super::Wait::seconds(120)
        .watching(controller.process())
        .until("all are ready", async || {
            let services = site.services().list(&ListParams::default()).await?;
            let ready = services.iter().filter(|service| {
                let conditions = service.status.iter().flat_map(|status| &status.conditions);
                conditions
                    .clone()
                    .any(|c| c.type_ == "Ready" && c.status == "True")
            });
            let ready = ready.count();
            ensure!(ready == MANY, "{ready} of {MANY}");
            Ok(())
        })
        .await?;
    let ingresses = site.ingresses().list(&ListParams::default()).await?;
    let protected = ingresses
        .iter()
        .filter(|i| i.annotations().contains_key(super::AUTH_URL));
    ensure!(protected.count() == MANY);

    // What stands is not written again.
    let writes = |metrics: &str| {
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("vestibule_reconcile_total{"));
        lines
            .map(|line| line.rsplit(' ').next().unwrap_or("0").parse().unwrap_or(0))
            .sum::<u32>()
    };
    let before = writes(&controller.metrics().await?);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let after = writes(&controller.metrics().await?);
    ensure!(before == after, "{before} writes, then {after}");
    // Endpoint, annotations, derived object, and a status that may flip for a few on the way.
    ensure!(before <= 5 * u32::try_from(MANY)?, "{before} writes");
    let metrics = controller.metrics().await?;
    ensure!(
        metrics.contains("vestibule_protected_hosts{state=\"programmed\"} 200"),
        "{metrics}"
    );
    Ok(())
}
