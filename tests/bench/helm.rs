//! Helm, run as a user would, without the user's own plugins and settings.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::bench::{process, tools};

/// The chart of this repository.
pub fn chart() -> PathBuf {
    tools::repository().join("charts/vestibule")
}

/// Runs Helm against a cluster, or against none; an `Err` holds what it said.
pub async fn helm(kubeconfig: Option<&Path>, arguments: &[&str]) -> Result<String> {
    let nowhere = Path::new("/nonexistent");
    let mut command = Command::new(tools::program("helm")?);
    command
        .env("HELM_PLUGINS", nowhere)
        .env("KUBECONFIG", kubeconfig.unwrap_or(nowhere))
        .args(arguments);
    process::run(command).await
}

/// Installs the chart, or upgrades it, as release `vestibule` in the namespace `vestibule`.
pub async fn install(kubeconfig: &Path, settings: &[&str]) -> Result<String> {
    let chart = chart();
    let chart = chart.to_str().context("the chart's path is not text")?;
    let mut arguments = vec!["upgrade", "--install", "vestibule", chart];
    arguments.extend(["--namespace", "vestibule", "--create-namespace"]);
    for setting in settings {
        arguments.extend(["--set", setting]);
    }
    helm(Some(kubeconfig), &arguments).await
}
