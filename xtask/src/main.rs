//! Everything that a developer or newcomer runs: `cargo xtask --help`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program: standard output is its result, standard error its talk"
)]

mod balance;
mod bench;
mod checks;
mod demo;
mod ebpf;
mod executor_rows;
mod ganeti;
mod generate;
mod histories;
mod peers;
mod plans;
mod public;
mod relief;
mod replays;
mod row;
mod surges;
mod testbed_commands;
mod testbed_demo;
mod testbed_faults;
mod testbed_top;
mod whatifs;

use std::ffi::OsString;
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
    /// Plan an example cluster of 40 hosts and 400 guests and carry it out in a simulation
    Demo,
    /// Run every check: format, lints, all tests, the planner's cases
    Test,
    /// Install the Debian packages that building needs, if they are missing
    Setup {
        /// Also those of the testbed: QEMU and libvirt
        #[arg(long)]
        testbed: bool,
    },
    /// Several libvirt hosts on this machine, with tiny guests, for real migrations (needs root)
    Testbed(testbed_commands::Arguments),
    /// Plan every case in models/cases and compare with what it expects
    Cases {
        /// More arguments for `vmpack regress`, such as `--filter spread`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Write models/schema/ anew from the types that read the files
    Schema,
    /// Write docs/ anew from the programs' own help: reference, man pages, completions
    Docs,
    /// Compile the probe's kernel programs (probe-ebpf/bpf) into the objects that are committed
    Bpf,
    /// Measure against the targets; shows what misses, and fails for none
    Bench(bench::Arguments),
    /// Drive the executor through random histories of faults; the simulated world is the judge
    Histories(histories::Arguments),
    /// Build for release and pack it into target/
    Dist,
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
            if let Some(why) = ebpf::lacks() {
                eprintln!("note: the probe's kernel programs cannot be compiled here: {why}");
            }
            eprintln!("set up");
            Ok(())
        }
        Task::Demo => demo::demo(),
        Task::Test => checks::run(),
        Task::Testbed(arguments) => testbed_commands::run(arguments),
        Task::Cases { arguments } => checks::cases(&arguments),
        Task::Schema => generate::schema(),
        Task::Docs => generate::docs(),
        Task::Bpf => ebpf::build(),
        Task::Bench(arguments) => bench::bench(&arguments),
        Task::Histories(arguments) => histories::histories(&arguments),
        Task::Dist => generate::dist(),
    }
}
