//! How soon protection is there: `cargo run --example closing -- ROUNDS`, on an otherwise idle machine.
//!
//! From the request that annotates an Ingress to the first anonymous request that Traefik refuses; and how long an
//! Ingress that is created opted-in is open when no admission policy stamps it.

#[expect(dead_code, unused_imports, reason = "the tests use the rest")]
#[path = "../bench/bench.rs"]
mod bench;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::bench::{
    Cluster, Installation, Traefik, Visitor, Wait,
    installation::NAMESPACE,
    traefik::{Options, ingress},
};
use anyhow::{Context, Result, ensure};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

const CLASS: &str = "closing";
const HOST: &str = "app.closing.test";

#[tokio::main]
async fn main() -> Result<()> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(100), |n| n.parse())?;
    let cluster = Cluster::start().await?;
    let options = Options {
        ingress_class: CLASS.to_owned(),
        ..Options::default()
    };
    let traefik = Traefik::start(&cluster, options).await?;
    let installation = Installation::new(&cluster, &program()?, &["admission.mode=off"]).await?;
    cluster
        .secret(NAMESPACE, "corp", &[("client-secret", "secret")])
        .await?;
    cluster
        .apply(
            "
apiVersion: vestibule.dev/v1alpha1
kind: IdentityProvider
metadata: {name: corp}
spec: {type: OIDC, default: true, oidc: {issuerURL: 'https://id.corp.example'}, clientID: x, clientSecretRef: {name: corp}}
",
        )
        .await?;
    let _controller = installation.controller().await?;
    let _auth = installation.auth().await?;
    let namespace = cluster.namespace("closing").await?;
    let _service = cluster.echo_service(&namespace, "app").await?;
    let api: Api<Ingress> = Api::namespaced(cluster.client().await?, &namespace);

    let mut open = Vec::new();
    for _ in 0..rounds.min(50) {
        let mut new: Ingress =
            serde_json::from_str(&ingress(&namespace, "app", CLASS, HOST, "app")?)?;
        new.metadata
            .annotations
            .get_or_insert_default()
            .extend(opt_in("true"));
        api.create(&PostParams::default(), &new).await?;
        let begun = until(&traefik, |status| status != 404).await?;
        until(&traefik, |status| status == 302).await?;
        open.push(begun.elapsed());
        api.delete("app", &DeleteParams::default()).await?;
        until(&traefik, |status| status == 404).await?;
    }
    show("created opted-in without a policy: open for", open)?;

    cluster
        .apply(&ingress(&namespace, "app", CLASS, HOST, "app")?)
        .await?;
    until(&traefik, |status| status == 200).await?;
    let mut closed = Vec::new();
    for _ in 0..rounds {
        let begun = Instant::now();
        annotate(&api, "true").await?;
        until(&traefik, |status| status == 302).await?;
        closed.push(begun.elapsed());
        annotate(&api, "false").await?;
        until(&traefik, |status| status == 200).await?;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    show("from the annotation to the first refused request", closed)
}

fn opt_in(protect: &str) -> [(String, String); 2] {
    [
        ("vestibule.dev/protect".to_owned(), protect.to_owned()),
        (
            "vestibule.dev/allowed-email-domains".to_owned(),
            "corp.example".to_owned(),
        ),
    ]
}

async fn annotate(api: &Api<Ingress>, protect: &str) -> Result<()> {
    let annotations: serde_json::Map<_, _> = opt_in(protect)
        .map(|(key, value)| (key, json!(value)))
        .into_iter()
        .collect();
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    api.patch("app", &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Waits until Traefik answers so, asking every two milliseconds; when the first such answer came.
async fn until(traefik: &Traefik, wanted: impl Fn(u16) -> bool) -> Result<Instant> {
    Wait::seconds(60)
        .every(Duration::from_millis(2))
        .until("Traefik follows", async || {
            let answer = Visitor::get(traefik.http(), HOST, "/")
                .navigating()
                .send()
                .await?;
            ensure!(
                wanted(answer.status.as_u16()),
                "it answers {}",
                answer.status
            );
            Ok(Instant::now())
        })
        .await
}

fn show(what: &str, mut spans: Vec<Duration>) -> Result<()> {
    spans.sort_unstable();
    let at = |percent: usize| {
        spans
            .get((spans.len() * percent / 100).min(spans.len().saturating_sub(1)))
            .copied()
    };
    let (p50, p99) = (at(50).context("no rounds")?, at(99).context("no rounds")?);
    println!(
        "{what}: {} rounds, p50 {p50:.1?}, p99 {p99:.1?}, longest {:.1?}",
        spans.len(),
        at(100).unwrap_or_default()
    );
    Ok(())
}

/// The `vestibule` that was built beside this program.
fn program() -> Result<PathBuf> {
    let ours = std::env::current_exe()?;
    let program = ours
        .parent()
        .and_then(|folder| folder.parent())
        .context("this program is in no folder")?
        .join("vestibule");
    ensure!(
        program.is_file(),
        "{} is missing: cargo build first",
        program.display()
    );
    Ok(program)
}
