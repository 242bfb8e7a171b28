//! The command line: one file per command; the only place that wires the parts together.

<<<<<<< HEAD
mod crd;
=======
mod demo;
>>>>>>> 1f2920f (Add serve and demo)
mod endpoint;
mod serve;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

/// Single sign-on in front of the services you already expose.
#[derive(Parser, Debug)]
#[command(name = "vestibule", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
<<<<<<< HEAD
    Crd(crd::Options),
=======
    Serve(serve::Options),
    Demo(demo::Options),
>>>>>>> 1f2920f (Add serve and demo)
}

/// Runs the program with its arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
<<<<<<< HEAD
        Command::Crd(options) => crd::run(&options),
=======
        Command::Serve(options) => wait(serve::run(options)),
        Command::Demo(options) => wait(demo::run(options)),
>>>>>>> 1f2920f (Add serve and demo)
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vestibule: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command that waits for things.
fn wait(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    runtime
        .context("the runtime cannot start")?
        .block_on(command)
}
