//! The Helm chart: what it renders, what it refuses, and what an API server makes of it.

mod account;
mod kinds;
mod place;
mod render;
mod rights;
mod stamp;
mod values;
mod wildcards;

use crate::bench::{
    Cluster,
    helm::{chart, helm, install},
};
use anyhow::{Context, Result};
use clap::Parser;
use serde_json::Value;
use tokio::sync::OnceCell;
use vestibule::{published::Installation, settings::InstallationOptions};

/// The chart as text, rendered for the release `vestibule` in the namespace `vestibule`.
async fn rendered(settings: &[&str]) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("the chart's path is not text")?;
    let mut arguments = vec!["template", "vestibule", chart, "--namespace", "vestibule"];
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    helm(None, &arguments).await
}

/// The same as objects.
async fn objects(settings: &[&str]) -> Result<Vec<Value>> {
    Ok(serde_saphyr::from_multiple(&rendered(settings).await?)?)
}

/// The object of this kind and name.
fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    objects
        .iter()
        .find(|object| text(object, "/kind") == kind && text(object, "/metadata/name") == name)
        .with_context(|| format!("the chart renders no {kind} {name}"))
}

/// The text at a JSON pointer; empty if there is none.
fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// What the rendered controller is told about the installation, read as the program reads it.
#[derive(Parser)]
struct ControllerOptions {
    #[command(flatten)]
    installation: InstallationOptions,
    #[arg(long)]
    check_url: String,
}

fn controller_options(deployment: &Value) -> Result<ControllerOptions> {
    let arguments = deployment
        .pointer("/spec/template/spec/containers/0/args")
        .and_then(Value::as_array);
    let others = ["--log-", "--service-", "--lease-name", "--admin-listen"];
    let arguments = arguments
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|argument| !others.iter().any(|option| argument.starts_with(option)));
    Ok(ControllerOptions::try_parse_from(arguments)?)
}

impl ControllerOptions {
    fn installation(&self) -> Result<Installation> {
        self.installation.installation().map_err(anyhow::Error::msg)
    }
}

/// A cluster that belongs to these tests, because admission policies reach all of a cluster. The chart is
/// installed with its policy that stamps Ingresses, as the release `vestibule` in the namespace `vestibule`.
async fn installed() -> Result<&'static Cluster> {
    static INSTALLED: OnceCell<Cluster> = OnceCell::const_new();
    INSTALLED
        .get_or_try_init(async || {
            let cluster = Cluster::start().await?;
            install(
                cluster.kubeconfig(),
                &[
                    "admission.mode=policy",
                    "authHost.host=auth.test",
                    "authHost.reserveWildcards=true",
                ],
            )
            .await?;
            Ok(cluster)
        })
        .await
}
