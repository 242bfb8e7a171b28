//! JupyterLab: a web application that a company runs, and that cannot do anything without WebSockets.

use std::{fs, net::SocketAddr, path::PathBuf};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::bench::{Process, Visitor, Wait, loopback, process::Start, tools};

/// A running JupyterLab that asks nobody who they are: whoever reaches it can run programs.
#[derive(Debug)]
pub struct JupyterLab {
    process: Process,
    address: SocketAddr,
    notebooks: PathBuf,
}

// === impl JupyterLab ===

impl JupyterLab {
    /// Starts it and waits until it answers.
    pub async fn start() -> Result<Self> {
        let program = tools::folder()?.join("jupyterlab/bin/jupyter-lab");
        ensure!(
            program.is_file(),
            "JupyterLab is not installed: run tests/tools/install"
        );
        let address = loopback::free_component_address()?;
        let start = Start::program("jupyter-lab", &program)?;
        let home = start.folder().to_owned();
        let notebooks = home.join("notebooks");
        fs::create_dir_all(&notebooks)?;
        let process = start
            .arguments(["--no-browser", "--allow-root", "--log-level=WARN"])
            .argument(format!("--ServerApp.ip={}", address.ip()))
            .argument(format!("--ServerApp.port={}", address.port()))
            .argument("--ServerApp.port_retries=0")
            .argument(format!("--ServerApp.root_dir={}", notebooks.display()))
            // It lets in whoever comes, for any host name: that is Vestibule's to decide here.
            .argument("--IdentityProvider.token=")
            .argument("--ServerApp.allow_remote_access=True")
            // There is no network to look for news in.
            .argument("--LabApp.news_url=None")
            .argument("--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate")
            .argument("--LabApp.extension_manager=readonly")
            .environment("HOME", home.to_string_lossy())
            .environment("JUPYTER_CONFIG_DIR", home.join("config").to_string_lossy())
            .environment("JUPYTER_DATA_DIR", home.join("data").to_string_lossy())
            .environment(
                "JUPYTER_RUNTIME_DIR",
                home.join("runtime").to_string_lossy(),
            )
            .environment("IPYTHONDIR", home.join("ipython").to_string_lossy())
            .start()?;
        Wait::seconds(60)
            .watching(&process)
            .until("JupyterLab answers", async || {
                let answer = Visitor::get(address, &address.to_string(), "/api/status");
                let answer = answer.send().await?;
                ensure!(answer.status == 200, "it answers {}", answer.status);
                Ok(())
            })
            .await?;
        Ok(Self {
            process,
            address,
            notebooks,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a notebook with one cell into its folder.
    pub fn notebook(&self, name: &str, code: &str) -> Result<()> {
        let notebook = json!({
            "nbformat": 4, "nbformat_minor": 5,
            "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
            "cells": [{
                "id": "only", "cell_type": "code", "source": code,
                "metadata": {}, "outputs": [], "execution_count": null,
            }],
        });
        Ok(fs::write(self.notebooks.join(name), notebook.to_string())?)
    }

    /// What it complained about; every request that it answers with an error is there.
    pub fn log(&self) -> String {
        self.process.printed()
    }
}
