//! Running other programs: argument vectors, never shell strings; every failure names the command.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A command with a fixed `argv`, its input closed.
pub fn command<S: AsRef<OsStr>>(argv: impl IntoIterator<Item = S>) -> Command {
    let mut argv = argv.into_iter();
    let mut command = match argv.next() {
        Some(program) => Command::new(program),
        None => Command::new("true"),
    };
    command.args(argv).stdin(Stdio::null());
    command
}

/// Runs a command with our own output.
///
/// # Errors
/// When it cannot be started or does not end with 0.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", shown(command));
    }
    Ok(())
}

/// Runs a command and gives back what it wrote to standard output.
///
/// # Errors
/// When it cannot be started or does not end with 0; the error carries the end of its standard error.
pub fn read(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = talk.trim_end().lines().collect();
        let tail = lines[lines.len().saturating_sub(5)..].join("\n  ");
        bail!("{} failed: {}\n  {tail}", shown(command), output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program of this name is on PATH.
#[must_use]
pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// The command as a person would type it: its program by name, without the path to it.
#[must_use]
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    std::iter::once(program.file_name().unwrap_or(program.as_os_str()))
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
