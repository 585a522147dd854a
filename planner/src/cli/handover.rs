//! Commands that another binary carries out, because it holds rights that planning does not need:
//! `vmpack apply` becomes `vmpack-executor apply`, `vmpack probe record` becomes
//! `vmpack-probe record`, and `vmpack load fetch` `vmpack-probe fetch`. The
//! binary is found beside this one, else on PATH, as git and cargo do.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command, value_parser};
use vmpack_domain::exit::Exit;

use super::failure::{Failure, reason};

/// A command of another binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handover {
    name: &'static str,
    program: &'static str,
    about: &'static str,
    /// Whether the program gets the command's name as its first argument.
    keeps_name: bool,
}

const fn executor(name: &'static str, about: &'static str) -> Handover {
    Handover {
        name,
        program: "vmpack-executor",
        about,
        keeps_name: true,
    }
}

/// All that is handed over.
pub(crate) const COMMANDS: &[Handover] = &[
    executor(
        "snapshot",
        "Read hosts and guests from libvirt into cluster.yaml",
    ),
    executor("apply", "Carry a plan out by live migrations"),
    executor("pause", "Start no more migrations for now"),
    executor("resume", "End a pause, and carry on what was interrupted"),
    executor("status", "Show how far a plan has been carried out"),
    executor(
        "ledger",
        "Show what migrations were predicted to take, and what they took",
    ),
    executor("abort", "Stop what can be stopped of a plan under way"),
    executor(
        "watch",
        "Relieve sudden overloads: hear the probes, decide, switch guests at once",
    ),
    executor(
        "run",
        "The whole loop as a service: relief, periodic plans, hosts that sleep",
    ),
    Handover {
        name: "probe",
        program: "vmpack-probe",
        about: "Measure the guests of this host",
        keeps_name: false,
    },
    Handover {
        name: "load",
        program: "vmpack-probe",
        about: "Gather load.yaml from the hosts' probes: `load fetch`",
        keeps_name: false,
    },
];

/// Becomes the other binary when the first word that is no flag is one of its commands. Returns
/// `None` when it is not, and why when that is impossible. What was typed is passed on as it is.
pub(crate) fn hand_over(typed: &[OsString]) -> Option<Failure> {
    let words = typed.get(1..)?;
    let at = words
        .iter()
        .position(|word| !word.as_encoded_bytes().starts_with(b"-"))?;
    let command = find(words.get(at)?.to_str()?)?;
    let rest = words.iter().enumerate().filter(|(i, _)| *i != at);
    let rest: Vec<&OsString> = rest.map(|(_, word)| word).collect();
    Some(command.become_it(&rest))
}

/// The handover of that name.
pub(crate) fn find(name: &str) -> Option<&'static Handover> {
    COMMANDS.iter().find(|c| c.name == name)
}

impl Handover {
    /// As `vmpack --help` lists it; it takes whatever the other binary takes.
    pub(crate) fn command(self) -> Command {
        Command::new(self.name)
            .about(format!("{} [{}]", self.about, self.program))
            .disable_help_flag(true)
            .arg(
                Arg::new("arguments")
                    .num_args(0..)
                    .action(ArgAction::Append)
                    .trailing_var_arg(true)
                    .allow_hyphen_values(true)
                    .value_parser(value_parser!(OsString))
                    .help(format!("See `{} --help`", self.program)),
            )
    }

    /// Becomes the other binary; returns only if that is impossible.
    fn become_it(self, arguments: &[&OsString]) -> Failure {
        let Some(program) = locate(self.program) else {
            return Failure::new(
                Exit::Environment,
                format!(
                    "`vmpack {}` needs {}, which is neither beside vmpack nor on PATH",
                    self.name, self.program
                ),
            )
            .hint(format!("install {} beside vmpack", self.program));
        };
        let mut command = std::process::Command::new(&program);
        if self.keeps_name {
            command.arg(self.name);
        }
        command.args(arguments);
        let error = std::os::unix::process::CommandExt::exec(&mut command);
        Failure::new(
            Exit::Environment,
            format!("cannot run {}: {}", program.display(), reason(&error)),
        )
    }
}

fn locate(program: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    let beside = own.as_deref().and_then(Path::parent).map(Path::to_path_buf);
    let path = std::env::var_os("PATH").unwrap_or_default();
    beside
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
