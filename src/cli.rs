//! The command line: one file per command; the only place that wires the parts together.

mod crd;
mod endpoint;

use std::process::ExitCode;

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
    Crd(crd::Options),
}

/// Runs the program with its arguments.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Crd(options) => crd::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vestibule: {error:#}");
            ExitCode::FAILURE
        }
    }
}
