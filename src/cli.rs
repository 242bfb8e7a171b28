//! The command line: one file per command; the only place that wires the parts together.

mod auth;
mod check;
mod controller;
mod crd;
mod demo;
mod endpoint;
mod health;
mod import;
mod render;
mod serve;
mod unprotect;

use std::{ffi::OsStr, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

/// Single sign-on in front of the services you already expose.
#[derive(Parser, Debug)]
#[command(name = "vestibule", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Answer data planes and people in a cluster
    Auth(Box<auth::Options>),
    /// Watch a cluster and protect its Ingresses
    Controller(Box<controller::Options>),
    /// Open Ingresses again, with your own rights, whether or not Vestibule still runs
    Unprotect(unprotect::Options),
    Crd(crd::Options),
    Import(import::Options),
    Serve(Box<serve::Options>),
    Check(Box<check::Options>),
    Render(render::Options),
    Demo(demo::Options),
    Health(health::Options),
}

/// Runs the program with its arguments.
#[must_use]
pub fn run() -> ExitCode {
    let matches = without_empty_variables(Cli::command()).get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match cli.command {
        Command::Check(options) => match check::run(*options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Auth(options) => wait(auth::run(*options)),
        Command::Controller(options) => wait(controller::run(*options)),
        Command::Unprotect(options) => wait(unprotect::run(options)),
        Command::Crd(options) => crd::run(&options),
        Command::Import(options) => import::run(&options),
        Command::Serve(options) => wait(serve::run(*options)),
        Command::Render(options) => render::run(options),
        Command::Demo(options) => wait(demo::run(options)),
        Command::Health(options) => wait(health::run(options)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vestibule: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// An empty environment variable counts as none: Compose files and charts pass one for whatever is left open.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env() {
            Some(name) if is_empty(name) => arg.env(Resettable::Reset),
            _ => arg,
        })
        .mut_subcommands(without_empty_variables)
}

/// A client for the cluster that the environment names: a pod's service account, or a kubeconfig.
async fn cluster() -> anyhow::Result<kube::Client> {
    // The error's sources say the same again, twice.
    kube::Client::try_default().await.map_err(|error| {
        anyhow::anyhow!(
            "no way to a Kubernetes API server; run this in a pod, or set KUBECONFIG: {error}"
        )
    })
}

/// Runs a command that waits for things.
fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    // Every TLS connection of the process is made with this one; a second call would change nothing.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .context("the runtime cannot start")?
        .block_on(command)
}
