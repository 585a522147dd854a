//! The command line.

mod abort;
mod aloud;
mod apply;
mod bars;
mod conduct;
mod display;
mod doctor;
mod failure;
mod files;
mod hand_over;
mod ledger;
mod pause;
mod planning;
mod report;
mod run;
mod say;
mod snapshot;
mod status;
mod summary;
mod watch;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{CommandFactory, Parser, Subcommand};
use vmpack_domain::exit::Exit;
use vmpack_domain::units::MiBPerSec;

use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  vmpack-executor snapshot --uri qemu+tls://h1/system --uri qemu+tls://h2/system -o cluster.yaml
  vmpack-executor apply plan.yaml --cluster cluster.yaml --dry-run
  vmpack-executor apply plan.yaml --cluster cluster.yaml
  vmpack-executor status

The journal is $VMPACK_STATE/journal.db, else /var/lib/vmpack/journal.db for root, else
~/.local/state/vmpack/journal.db. Exit codes: 0 done, 1 a bug in vmpack, 2 usage,
3 bad input, 6 the plan is stale, 7 partly executed, 8 doctor found trouble,
or a way back does not keep the policy, 9 environment (libvirt, permission, another
executor at work).";

/// Carries plans out by live migrations, and keeps a journal of it
#[derive(Debug, Parser)]
#[command(name = "vmpack-executor", version, after_help = EXAMPLES)]
struct Arguments {
    /// Say more: -v what is done, -vv why (or set RUST_LOG)
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    /// The journal, instead of the one in the state folder
    #[arg(long, value_name = "FILE", global = true)]
    journal: Option<PathBuf>,
    /// Write the result to standard output as JSON, one document a line
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Read hosts and guests from libvirt into a cluster file
    #[command(after_help = snapshot::EXAMPLES)]
    Snapshot(snapshot::Arguments),
    /// Carry a plan out
    #[command(after_help = apply::EXAMPLES)]
    Apply(apply::Apply),
    /// Start nothing more for now
    #[command(after_help = pause::EXAMPLES)]
    Pause(pause::Arguments),
    /// End a pause, and carry on what was interrupted or whose executor died
    #[command(
        after_help = "Examples:\n  vmpack-executor resume\n  vmpack-executor resume --journal run.db"
    )]
    Resume(conduct::Resume),
    /// Show how far a plan has been carried out
    #[command(
        after_help = "Examples:\n  vmpack-executor status\n  vmpack-executor status --json | jq .moves\n  vmpack-executor status --report run.html"
    )]
    Status(conduct::Reported),
    /// Stop what can be stopped safely: migrations that have not switched, and all that wait
    #[command(after_help = "Examples:\n  vmpack-executor abort\n\n\
        A running executor is asked through its socket. When none runs, the unfinished runs are ended.\n\
        It is safe when there is nothing to stop.")]
    Abort(abort::Arguments),
    /// Show what migrations were predicted to take, and what they took
    #[command(after_help = ledger::EXAMPLES)]
    Ledger(ledger::Arguments),
    /// Relieve sudden overloads: hear the probes, decide, switch guests at once
    #[command(after_help = watch::EXAMPLES)]
    Watch(watch::Watch),
    /// The whole loop as a service: relief, periodic plans, hosts that sleep
    #[command(after_help = run::EXAMPLES)]
    Run(Box<run::Run>),
    /// Check whether a host is set up for safe migrations, and say what to set
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Arguments),
    /// Print the completions of a shell
    #[command(
        after_help = "Examples:\n  vmpack-executor completions bash > /etc/bash_completion.d/vmpack-executor"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Write the man pages into a folder
    #[command(hide = true)]
    Docs {
        /// Where to
        folder: PathBuf,
    },
}

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> Exit {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(e) => {
            // Help and version are answers too, and go to standard output.
            let exit = if e.use_stderr() {
                Exit::Usage
            } else {
                Exit::Done
            };
            // Nobody is left to tell when the terminal is gone.
            let _ = e.print();
            return exit;
        }
    };
    talk(arguments.verbose);
    let exit = match run(&arguments) {
        Ok(exit) => exit,
        Err(failure) => {
            if arguments.json {
                say::out(
                    serde_json::json!({ "event": "error", "exit": failure.exit as u8, "error": failure.message, "hint": failure.hint }),
                );
            }
            say::note(&failure);
            failure.exit
        }
    };
    say::finish();
    exit
}

fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let journal = arguments.journal.as_deref();
    let json = arguments.json;
    match &arguments.command {
        Task::Snapshot(snapshot) => snapshot::run(snapshot, json),
        Task::Apply(arguments) => apply::apply(arguments, &files::Place::at(journal)?, json),
        Task::Resume(resume) => conduct::resume(resume, &files::Place::at(journal)?, json),
        Task::Pause(pause) => pause::run(pause, &files::Place::at(journal)?),
        Task::Status(reported) => status::run(reported, &files::Place::at(journal)?, json),
        Task::Abort(abort) => abort::run(abort, &files::Place::at(journal)?, json),
        Task::Ledger(ledger) => ledger::run(ledger, &files::Place::at(journal)?, json),
        Task::Watch(arguments) => watch::run(arguments, &files::Place::at(journal)?, json),
        Task::Run(arguments) => run::run(arguments, &files::Place::at(journal)?, json),
        Task::Doctor(doctor) => doctor::run(doctor, json),
        Task::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(
                *shell,
                &mut Arguments::command(),
                "vmpack-executor",
                &mut script,
            );
            say::answer(String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
        Task::Docs { folder } => docs(folder),
    }
}

fn docs(folder: &Path) -> Result<Exit, Failure> {
    let failed = |e: std::io::Error| {
        Failure::new(
            Exit::Environment,
            format!("cannot write to {}: {e}", folder.display()),
        )
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Arguments::command(), folder).map_err(failed)?;
    Ok(Exit::Done)
}

fn talk(verbose: u8) {
    let default = match verbose {
        // HiGHS warns of every limit that it meets; its answers are checked anyway.
        0 => "warn,highs=error",
        1 => "info",
        _ => "debug",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| say::Talk)
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        // It would tell of a closed standard error on standard error, and panic.
        .log_internal_errors(false)
        .init();
}

/// `URI` or `URI=MIGRATE-ADDRESS`. In a URI with a query each `key=value` has one `=` of its own,
/// so the last `=` of the query splits only when its last pair has a second one.
fn endpoint(text: &str) -> (String, Option<String>) {
    let last_pair = text
        .split_once('?')
        .map(|(_, query)| query.rsplit_once('&').map_or(query, |(_, pair)| pair));
    let split = match last_pair {
        None => text.split_once('='),
        Some(pair) if pair.matches('=').count() > 1 => text.rsplit_once('='),
        Some(_) => None,
    };
    match split {
        Some((uri, address)) if !address.is_empty() => (uri.to_owned(), Some(address.to_owned())),
        _ => (text.to_owned(), None),
    }
}

/// A bandwidth above zero.
fn bandwidth(text: &str) -> Result<MiBPerSec, String> {
    let rate: MiBPerSec = text
        .parse()
        .map_err(|e: vmpack_domain::units::UnitError| e.to_string())?;
    if rate.0 == 0 {
        return Err("read a bandwidth of zero, expected more".to_owned());
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_migrate_address_is_told_from_a_query() {
        for (text, uri, address) in [
            ("qemu+tls://h1/system", "qemu+tls://h1/system", None),
            (
                "qemu+tls://h1/system=10.0.0.1",
                "qemu+tls://h1/system",
                Some("10.0.0.1"),
            ),
            (
                "qemu+unix:///system?socket=/run/a",
                "qemu+unix:///system?socket=/run/a",
                None,
            ),
            (
                "qemu+unix:///system?socket=/run/a=10.0.0.1",
                "qemu+unix:///system?socket=/run/a",
                Some("10.0.0.1"),
            ),
            (
                "qemu+ssh://h/system?no_tty=1&socket=/run/a=qemu+tcp://10.0.0.1/system",
                "qemu+ssh://h/system?no_tty=1&socket=/run/a",
                Some("qemu+tcp://10.0.0.1/system"),
            ),
        ] {
            assert_eq!(
                endpoint(text),
                (uri.to_owned(), address.map(str::to_owned)),
                "{text}"
            );
        }
    }
}
