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

use std::{collections::BTreeSet, ffi::OsStr, process::ExitCode};

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, builder::Resettable};

use crate::resource::edits;

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
    // In a cluster the chart sets all of them, by their names.
    if let Some("serve" | "check" | "render") = matches.subcommand_name() {
        let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        for (name, meant) in misspelt(&Cli::command(), set) {
            eprintln!(
                "vestibule: {name} is no variable of Vestibule's and has no effect; {meant} was probably meant"
            );
        }
    }
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

/// Of these environment variables those that nothing reads, each with the one that was probably meant. There may be
/// others of our prefix: what a Compose file reads itself is passed on with the rest.
fn misspelt(command: &clap::Command, set: impl Iterator<Item = String>) -> Vec<(String, &str)> {
    let known = variables(command);
    let meant = |name: &str| {
        let own = name.strip_prefix(PREFIX)?;
        let closest = known.iter().min_by_key(|known| edits(name, known))?;
        let distance = edits(name, closest);
        (distance > 0 && distance <= 2.min(own.len() / 4)).then_some(*closest)
    };
    let mut found: Vec<_> = set
        .filter_map(|name| meant(&name).map(|meant| (name, meant)))
        .collect();
    found.sort();
    found
}

const PREFIX: &str = "VESTIBULE_";

/// All that a command and those below it read.
fn variables(command: &clap::Command) -> BTreeSet<&str> {
    let own = command.get_arguments().filter_map(clap::Arg::get_env);
    let below = command.get_subcommands().flat_map(variables);
    own.filter_map(OsStr::to_str)
        .filter(|name| name.starts_with(PREFIX))
        .chain(below)
        .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_variable_is_named_and_those_of_others_are_not() {
        let set = [
            "VESTIBULE_MAX_SESION",
            "VESTIBULE_AUTHHOST",
            "VESTIBULE_AUTH_HOST",
            "VESTIBULE_IMAGE",
            "VESTIBULE_HOST",
            "VESTIBULE_",
            "MAX_SESSION",
        ];
        let command = Cli::command();
        let found = misspelt(&command, set.map(str::to_owned).into_iter());
        let expected = [
            ("VESTIBULE_AUTHHOST", "VESTIBULE_AUTH_HOST"),
            ("VESTIBULE_MAX_SESION", "VESTIBULE_MAX_SESSION"),
        ];
        let expected = expected.map(|(name, meant)| (name.to_owned(), meant));
        assert_eq!(found, expected);
    }
}
