//! `cargo xtask test`: every check there is, one after the other, and what came of them in a line.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use xtask::binaries::{Binaries, cargo};
use xtask::command::{self, on_path, shown};
use xtask::setup::{Purpose, setup};
use xtask::workspace;

use crate::ebpf;

/// Runs all checks, also after one has failed, and ends with a line of counts.
pub(crate) fn run() -> Result<()> {
    let start = Instant::now();
    // Tests of the libvirt side run where they can: as root. They say so where they are skipped.
    let root = nix::unistd::geteuid().is_root();
    setup(if root {
        Purpose::Testbed
    } else {
        Purpose::Build
    })?;
    let binaries = Binaries::build()?;

    let mut checks = vec![
        check("format", cargo().args(["fmt", "--all", "--check"]))?,
        check("clippy", cargo().args(CLIPPY))?,
        check(
            "tests",
            cargo().args(["test", "--workspace", "--no-fail-fast"]),
        )?,
    ];
    checks.push(check("cases", &mut regress(&binaries))?);
    let no_clang = ebpf::lacks();
    match &no_clang {
        Some(why) => println!("skipped: the kernel programs are not compared: {why}"),
        None => checks.push(kernel_programs()),
    }
    let deny = on_path("cargo-deny");
    if deny {
        checks.push(check(
            "cargo-deny",
            cargo().args(["deny", "check", "bans", "licenses", "sources"]),
        )?);
    }

    if !deny {
        println!("skipped: cargo-deny is not installed");
    }
    let total = checks
        .iter()
        .fold(Counts::default(), |sum, check| sum.plus(check.counts));
    let line = format!(
        "{} tests passed, {} failed, {} ignored; {} parts skipped; {:.0} s",
        total.passed,
        total.failed,
        total.ignored,
        total.skipped + u32::from(!deny) + u32::from(no_clang.is_some()),
        start.elapsed().as_secs_f64()
    );
    let names = |passed| {
        checks
            .iter()
            .filter(|check| check.passed == passed)
            .map(|check| check.name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if checks.iter().all(|check| check.passed) {
        println!("all checks passed ({}): {line}", names(true));
        return Ok(());
    }
    bail!("failed: {} ({line})", names(false))
}

/// Whether the committed objects of the probe match their source.
fn kernel_programs() -> Check {
    let compared = ebpf::check();
    match &compared {
        Ok(()) => println!("--- kernel programs: the objects match their source"),
        Err(error) => println!("--- kernel programs: {error:#}"),
    }
    Check {
        name: "kernel programs",
        passed: compared.is_ok(),
        counts: Counts::default(),
    }
}

/// `cargo xtask cases`.
pub(crate) fn cases(arguments: &[OsString]) -> Result<()> {
    command::run(regress(&Binaries::build()?).args(arguments))
}

fn regress(binaries: &Binaries) -> Command {
    let mut regress = binaries.command("vmpack");
    regress
        .args(["regress", "models/cases"])
        .current_dir(workspace());
    regress
}

const CLIPPY: [&str; 6] = [
    "clippy",
    "--workspace",
    "--all-targets",
    "--",
    "--deny",
    "warnings",
];

struct Check {
    name: &'static str,
    passed: bool,
    counts: Counts,
}

/// What the lines of a check say that cargo's test harness and our tests wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u32,
    failed: u32,
    ignored: u32,
    /// Tests that lacked something and said so: a line with `skipped: `.
    skipped: u32,
}

impl Counts {
    fn plus(self, other: Counts) -> Counts {
        Counts {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
            skipped: self.skipped + other.skipped,
        }
    }

    fn of_line(line: &str) -> Counts {
        let mut counts = Counts {
            skipped: u32::from(line.contains("skipped: ")),
            ..Counts::default()
        };
        let Some((_, result)) = line.split_once("test result: ") else {
            return counts;
        };
        // "ok. 9 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s"
        for part in result.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => counts.passed = number.parse().unwrap_or_default(),
                Some((number, "failed")) => counts.failed = number.parse().unwrap_or_default(),
                Some((number, "ignored")) => counts.ignored = number.parse().unwrap_or_default(),
                _ => {}
            }
        }
        counts
    }
}

/// Runs one check; all it says is passed on, and counted.
fn check(name: &'static str, command: &mut Command) -> Result<Check> {
    println!("--- {name}: {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    let counts = Mutex::new(Counts::default());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|from| pass_on(from, &mut std::io::stdout(), &counts)));
        scope.spawn(|| stderr.map(|from| pass_on(from, &mut std::io::stderr(), &counts)));
    });
    let passed = child.wait()?.success();
    let counts = counts
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Check {
        name,
        passed,
        counts,
    })
}

fn pass_on(from: impl Read, to: &mut impl Write, counts: &Mutex<Counts>) {
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        let seen = Counts::of_line(&String::from_utf8_lossy(&line));
        let mut sum = counts
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *sum = sum.plus(seen);
        drop(sum);
        // A check goes on when nobody reads what it says.
        let _ = to.write_all(&line);
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Counts;

    #[test]
    fn the_closing_line_of_a_test_binary_is_counted() {
        let line =
            "test result: FAILED. 12 passed; 3 failed; 4 ignored; 0 measured; 7 filtered out";
        let counts = Counts {
            passed: 12,
            failed: 3,
            ignored: 4,
            skipped: 0,
        };
        assert_eq!(Counts::of_line(line), counts);
        assert_eq!(Counts::of_line("test a ... ok"), Counts::default());
    }

    #[test]
    fn a_test_that_lacked_something_is_counted_as_skipped() {
        assert_eq!(Counts::of_line("skipped: no data (planetlab)\n").skipped, 1);
    }
}
