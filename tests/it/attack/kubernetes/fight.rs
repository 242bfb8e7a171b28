//! Annotations changed under the controller's hands.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::{events::v1::Event, networking::v1::Ingress};
use kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;
use vestibule::resource::{AUTH_RESPONSE_HEADERS, AUTH_SIGNIN, AUTH_URL};

use crate::attack::{ground::ground, told};

/// Somebody changes the three annotations a hundred times.
#[tokio::test]
async fn a_hundred_changes_under_the_controllers_hands_end_protected_and_cost_no_more_than_themselves()
-> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("fight").await?;
    let _service = tenant.service("app").await?;
    let host = "fight.story.test";
    tenant.protect(ground, "app", host).await?;
    let client = ground.cluster().client().await?;
    let api: Api<Ingress> = Api::namespaced(client.clone(), &tenant.namespace);
    let by = PatchParams {
        field_manager: Some("gitops".into()),
        ..PatchParams::default()
    };
    let written = async || ground.product.writes("Ingress").await;
    let before = written().await?;
    let changes = [
        json!({AUTH_URL: null}),
        json!({AUTH_URL: null, AUTH_SIGNIN: null, AUTH_RESPONSE_HEADERS: null}),
        json!({AUTH_RESPONSE_HEADERS: "X-Evil"}),
        json!({AUTH_SIGNIN: "https://evil.test"}),
        json!({AUTH_URL: "http://evil.test/"}),
    ];
    for round in 0..100_usize {
        let change = &changes[round % changes.len()];
        let patch = json!({"metadata": {"annotations": change}});
        api.patch("app", &by, &Patch::Merge(patch)).await?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        let back = json!({AUTH_URL: null, AUTH_SIGNIN: null, AUTH_RESPONSE_HEADERS: null});
        api.patch(
            "app",
            &by,
            &Patch::Merge(json!({"metadata": {"annotations": back}})),
        )
        .await?;
    }
    // It says that somebody does this, and is protected.
    tenant
        .until_ready("app", "False", "AnnotationConflict")
        .await?;
    ground.until_asked(host).await?;
    // What the last changes ask for may still be on its way.
    let mut ended = written().await?;
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = written().await?;
        if std::mem::replace(&mut ended, now) == now {
            break;
        }
    }
    ensure!(
        ended - before <= 250,
        "{} writes for 200 changes",
        ended - before
    );
    tokio::time::sleep(Duration::from_secs(4)).await;
    let later = written().await?;
    ensure!(later == ended, "{} writes for nothing", later - ended);
    // It says so still, though all is as it should be: a fighter who rests for a moment is not gone.
    let said = tenant.ready("app").await?;
    ensure!(said == "False AnnotationConflict", "{said}");
    let events: Api<Event> = Api::namespaced(client, &tenant.namespace);
    let events = events.list(&ListParams::default()).await?.items;
    let about: Vec<String> = events
        .iter()
        .map(|event| format!("{:?} {}", event.reason, event.name_any()))
        .collect();
    println!(
        "{} writes for 200 changes, {} Events",
        ended - before,
        events.len()
    );
    ensure!(events.len() <= 20, "{about:#?}");
    told::cases(
        "a_hundred_changes_under_the_controllers_hands_end_protected_and_cost_no_more_than_themselves",
        200,
    );
    tenant.namespace.delete().await
}

/// Tools delete and make again; nobody takes anything off then.
#[tokio::test]
async fn an_ingress_that_is_made_again_and_again_is_not_fought_for() -> Result<()> {
    let (ground, _alone) = ground().await?;
    let tenant = ground.tenant("again").await?;
    let _service = tenant.service("app").await?;
    for _ in 0..5 {
        tenant.protect(ground, "app", "again.story.test").await?;
        tenant.kubectl(&["delete", "ingress", "app"]).await?;
    }
    tenant.protect(ground, "app", "again.story.test").await?;
    tenant.until_ready("app", "True", "Ready").await?;
    tenant.namespace.delete().await
}
