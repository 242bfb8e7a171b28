//! `make demo-cluster` as a person meets it: what it prints is typed into a shell and a browser.

use std::{net::Ipv4Addr, path::Path, process::Command};

use crate::bench::{
    Browser, Process,
    loopback::free_address,
    process::{Start, run},
};
use anyhow::{Context, Result, ensure};

use crate::demo_story::{choose, soon_shows};

struct DemoCluster {
    process: Process,
    port: u16,
}

impl DemoCluster {
    async fn start() -> Result<Self> {
        let vestibule = Path::new(env!("CARGO_BIN_EXE_vestibule"));
        let program = vestibule.with_file_name("examples").join("demo_cluster");
        ensure!(
            program.is_file(),
            "{} is missing: cargo build --example demo_cluster",
            program.display()
        );
        let port = free_address(Ipv4Addr::LOCALHOST.into())?.port();
        let process = Start::program("demo-cluster", &program)?
            .arguments(["--port", &port.to_string()])
            .start()?;
        process.prints("Ctrl-C stops").await?;
        Ok(Self { process, port })
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}.localhost:{}/", self.port)
    }

    /// Types the printed command that begins like this, after the printed `export`.
    async fn types(&self, command: &str) -> Result<String> {
        let printed = self.process.printed();
        let line = |start: &str| {
            let found = printed
                .lines()
                .map(str::trim)
                .find(|l| l.starts_with(start));
            found
                .map(str::to_owned)
                .with_context(|| format!("no '{start}' in: {printed}"))
        };
        let script = format!("{}\n{}", line("export KUBECONFIG=")?, line(command)?);
        let mut bash = Command::new("bash");
        bash.args(["-euc", &script]);
        run(bash).await
    }
}

#[tokio::test]
async fn the_three_printed_commands_do_what_is_said_beside_them() -> Result<()> {
    let demo = DemoCluster::start().await?;
    let browser = Browser::start(&[]).await?;
    let (wiki, grafana) = (demo.url("wiki"), demo.url("grafana"));
    browser.goto(&wiki).await?;
    browser.shows("none: nobody is signed in").await?;

    demo.types("kubectl -n demo annotate ingress wiki vestibule.dev/protect=true")
        .await?;
    soon_shows(&browser, &wiki, "Choose an account").await?;
    browser.screenshot("demo-cluster-1-choose").await?;
    choose(&browser, "bob").await?;
    browser.shows("bob@corp.example").await?;
    ensure!(browser.address().await? == wiki, "not back at the wiki");
    browser.screenshot("demo-cluster-2-wiki").await?;

    browser.goto(&grafana).await?;
    browser.shows("You don't have access").await?;
    browser.shows("Ask ann").await?;
    browser.screenshot("demo-cluster-3-denied").await?;

    let shown = demo
        .types("kubectl get protectedservices,ingresses -A")
        .await?;
    for line in ["/wiki", "/grafana"] {
        let ready = shown
            .lines()
            .find(|shown| shown.contains("protectedservice") && shown.contains(line));
        ensure!(
            ready.is_some_and(|ready| ready.contains("True")),
            "{line} is not ready: {shown}"
        );
    }
    ensure!(
        shown.contains("vestibule-wiki.localhost"),
        "no endpoint Ingress: {shown}"
    );

    demo.types("kubectl -n demo annotate ingress wiki vestibule.dev/allowed-emails")
        .await?;
    soon_shows(&browser, &wiki, "You don't have access").await?;
    browser.screenshot("demo-cluster-4-no-longer").await?;
    browser.click("Use another account").await?;
    choose(&browser, "ann").await?;
    browser.shows("ann@corp.example").await
}
