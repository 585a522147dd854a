//! Everything that a developer or newcomer runs: `cargo xtask --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program: standard output is its result, standard error its talk"
)]

mod testbed_commands;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::setup::{Purpose, setup};

/// What a developer or newcomer runs; each command does its own set-up
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install the Debian packages that building needs, if they are missing
    Setup {
        /// Also those of the testbed: QEMU and libvirt
        #[arg(long)]
        testbed: bool,
    },
    /// Several libvirt hosts on this machine, with tiny guests, for real migrations (needs root)
    Testbed(testbed_commands::Arguments),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup { testbed } => {
            let purpose = if testbed {
                Purpose::Testbed
            } else {
                Purpose::Build
            };
            setup(purpose)?;
            eprintln!("all packages are here");
            Ok(())
        }
        Task::Testbed(arguments) => testbed_commands::run(arguments),
    }
}
