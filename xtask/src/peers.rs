//! `cargo xtask bench solver --against cpsat,vpsolver`: the same files, in the same run, by other
//! solvers, from an optional Python environment under `target/`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::command::{command, read};
use xtask::{target_directory, workspace};

use crate::row::Shown;

/// Another solver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Peer {
    /// OR-Tools' CP-SAT on the assignment model
    Cpsat,
    /// VPSolver's arc-flow graph, its integer program solved by HiGHS
    Vpsolver,
}

impl Peer {
    fn name(self) -> &'static str {
        match self {
            Self::Cpsat => "cpsat",
            Self::Vpsolver => "vpsolver",
        }
    }
    /// What it is installed from; older setuptools is what VPSolver's own set-up asks for.
    fn packages(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Cpsat => &[&["ortools"]],
            Self::Vpsolver => &[
                &["highspy", "setuptools<81", "wheel"],
                &["--no-build-isolation", "pyvpsolver"],
            ],
        }
    }
    fn module(self) -> &'static str {
        match self {
            Self::Cpsat => "import ortools.sat.python.cp_model",
            Self::Vpsolver => "import pyvpsolver, highspy",
        }
    }
}

/// Of each family what the others can do, and what they cannot.
const FILES: &[&str] = &[
    "typ_50_1",
    "typ_100_1",
    "typ_200_1",
    "typ_1000_1",
    "tight_100_1",
    "tight_200_1",
    "tight_1000_1",
    "big_100_1",
    "big_200_1",
    "big_1000_1",
    "few_50_1",
    "few_100_1",
    "few_200_1",
    "few_1000_1",
];

/// What a solver made of a file.
#[derive(Clone, Copy, Deserialize)]
struct Line {
    hosts: Option<u32>,
    bound: u32,
    seconds: f64,
}

/// Packs every file by `vmpack` and by the peers in turn, each for at most so many seconds, and prints
/// the median of the runs.
pub(crate) fn compare(
    vmpack: &Path,
    instances: &Path,
    peers: &[Peer],
    (seconds, runs): (u32, usize),
    (filter, json): (Option<&str>, bool),
) -> Result<()> {
    let mut ready = Vec::new();
    for peer in peers {
        match install(*peer) {
            Ok(python) => ready.push((*peer, python)),
            Err(why) => eprintln!("skipped: {}: {why:#}", peer.name()),
        }
    }
    for file in FILES {
        if filter.is_some_and(|f| !file.contains(f)) {
            continue;
        }
        let path = instances.join(format!("{file}.vbp"));
        let mut ours = Vec::new();
        let mut theirs: Vec<Vec<Line>> = vec![Vec::new(); ready.len()];
        for _ in 0..runs.max(1) {
            ours.push(own(vmpack, &path, seconds)?);
            for ((peer, python), lines) in ready.iter().zip(&mut theirs) {
                lines.push(their(*peer, python, &path, seconds)?);
            }
        }
        let own = median(&ours);
        if !json {
            println!("{}", told(file, "vmpack", own));
        }
        for ((peer, _), lines) in ready.iter().zip(&theirs) {
            let other = median(lines);
            if json {
                for row in rows(file, *peer, own, other) {
                    row.print(json)?;
                }
            } else {
                println!("{}", told("", peer.name(), other));
            }
        }
    }
    Ok(())
}

/// The environment's Python, with what the peer needs in it.
fn install(peer: Peer) -> Result<PathBuf> {
    let folder = target_directory().join("peers");
    let python = folder.join("bin").join("python");
    let has = || read(command([python.as_path()]).args(["-c", peer.module()])).is_ok();
    if has() {
        return Ok(python);
    }
    eprintln!("installing {} into {}", peer.name(), folder.display());
    read(command(["python3", "-m", "venv"]).arg(&folder))?;
    for packages in peer.packages() {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        read(command([python.as_path()]).args(pip).args(*packages))?;
    }
    if !has() {
        bail!("it was installed and cannot be imported");
    }
    Ok(python)
}

fn own(vmpack: &Path, file: &Path, seconds: u32) -> Result<Line> {
    let limit = format!("{seconds}s");
    let bench = ["bench", "pack", "--json", "--time-limit", &limit];
    line(&read(command([vmpack]).args(bench).arg(file))?)
}

fn their(peer: Peer, python: &Path, file: &Path, seconds: u32) -> Result<Line> {
    let model = workspace().join("xtask").join("peers").join("pack.py");
    let mut run = command([python]);
    run.arg(model)
        .arg(peer.name())
        .arg(file)
        .arg(seconds.to_string());
    line(&read(&mut run)?)
}

/// What stands in the last line: libraries print theirs before it.
fn line(told: &str) -> Result<Line> {
    let last = told.trim().lines().next_back().unwrap_or_default();
    serde_json::from_str(last).with_context(|| format!("read `{last}`, expected a solver's line"))
}

/// By time, a run without an answer being the longest.
fn median(lines: &[Line]) -> Line {
    let mut sorted = lines.to_vec();
    sorted.sort_by(|a, b| {
        let key = |l: &Line| (l.hosts.unwrap_or(u32::MAX), l.seconds);
        key(a)
            .partial_cmp(&key(b))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    sorted[sorted.len() / 2]
}

fn told(file: &str, who: &str, line: Line) -> String {
    let hosts = line.hosts.map_or("-".to_owned(), |h| h.to_string());
    let proven = if line.hosts == Some(line.bound) {
        "proven"
    } else {
        ""
    };
    format!(
        "{file:<14} {who:<9} {hosts:>5} hosts, at least {:>5} {proven:<7} {:>7.2} s",
        line.bound, line.seconds
    )
}

/// Hosts, bound and time against the peer's.
fn rows(file: &str, peer: Peer, own: Line, other: Line) -> [Shown; 3] {
    let name = peer.name();
    let hosts = |l: Line| f64::from(l.hosts.unwrap_or(u32::MAX));
    let row = |what, value, unit, sign: &str, theirs: f64, ok| Shown {
        what: format!("{file}: {what} against {name}"),
        value,
        unit,
        target: format!("{sign} {theirs}"),
        ok,
    };
    let (ours, theirs) = (hosts(own), hosts(other));
    let (bound, their_bound) = (f64::from(own.bound), f64::from(other.bound));
    [
        row("hosts", ours, "hosts", "<=", theirs, ours <= theirs),
        row(
            "bound",
            bound,
            "hosts",
            ">=",
            their_bound,
            bound >= their_bound,
        ),
        row(
            "time",
            own.seconds,
            "s",
            "<=",
            other.seconds,
            own.seconds <= other.seconds,
        ),
    ]
}
