//! `cargo xtask testbed faults`: one real migration for each phase and fault, on real libvirt hosts.
//! What came of the guest is told by its own heartbeat, which no program of ours can make up.

mod cell;
mod table;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use xtask::binaries::Binaries;
use xtask::command::run;
use xtask::testbed::{self, Config, Testbed};

use crate::testbed_commands::{beside, end_on_signal, unless_ended_by_signal};
use cell::Cell;

/// The guest that is moved, from h1 to h2.
const GUEST: &str = "g1";
const SOURCE: &str = "h1";
const TARGET: &str = "h2";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these cells, such as `split-state` or `split-state/source-qemu`
    #[arg(long, value_name = "PHASE[/FAULT]")]
    only: Vec<String>,
    /// A line of JSON for each cell, on standard output
    #[arg(long)]
    json: bool,
    /// Leave the testbed up
    #[arg(long)]
    keep: bool,
}

/// When a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Before the executor is started.
    BeforeStart,
    /// In the first pass of pre-copy: execution is at the source.
    PreCopy,
    /// As soon as the executor tells that the guest runs at the target.
    Switch,
    /// A second later: the memory follows.
    SplitState,
    /// As soon as the executor tells that the source is free.
    Done,
}

impl Phase {
    const ALL: [Phase; 5] = [
        Phase::BeforeStart,
        Phase::PreCopy,
        Phase::Switch,
        Phase::SplitState,
        Phase::Done,
    ];

    fn name(self) -> &'static str {
        match self {
            Phase::BeforeStart => "before-start",
            Phase::PreCopy => "pre-copy",
            Phase::Switch => "switch",
            Phase::SplitState => "split-state",
            Phase::Done => "done",
        }
    }

    /// Whether execution is at the target.
    fn switched(self) -> bool {
        matches!(self, Phase::Switch | Phase::SplitState | Phase::Done)
    }
}

/// What is done to the hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The target's cable is pulled for five seconds.
    LinkBlip,
    /// For 45 seconds: longer than libvirt's keepalive.
    LinkDown,
    TargetLibvirtd,
    SourceLibvirtd,
    TargetQemu,
    SourceQemu,
    /// The executor is killed with SIGKILL, and another one resumes.
    Executor,
}

impl Fault {
    const ALL: [Fault; 7] = [
        Fault::LinkBlip,
        Fault::LinkDown,
        Fault::TargetLibvirtd,
        Fault::SourceLibvirtd,
        Fault::TargetQemu,
        Fault::SourceQemu,
        Fault::Executor,
    ];

    fn name(self) -> &'static str {
        match self {
            Fault::LinkBlip => "link-5s",
            Fault::LinkDown => "link-45s",
            Fault::TargetLibvirtd => "target-libvirtd",
            Fault::SourceLibvirtd => "source-libvirtd",
            Fault::TargetQemu => "target-qemu",
            Fault::SourceQemu => "source-qemu",
            Fault::Executor => "executor",
        }
    }

    /// How long it lasts.
    fn lasts(self) -> Duration {
        match self {
            Fault::LinkBlip => Duration::from_secs(5),
            Fault::LinkDown => Duration::from_secs(45),
            Fault::TargetLibvirtd | Fault::SourceLibvirtd => Duration::from_secs(2),
            Fault::TargetQemu | Fault::SourceQemu | Fault::Executor => Duration::from_secs(1),
        }
    }

    /// Whether there is such a thing to strike in that phase.
    fn possible(self, phase: Phase) -> bool {
        match self {
            Fault::TargetQemu => phase != Phase::BeforeStart,
            Fault::SourceQemu => phase != Phase::Done,
            Fault::Executor => phase != Phase::BeforeStart,
            _ => true,
        }
    }

    /// Whether it kills the guest: its only complete copy, or in split state a half of it.
    fn kills(self, phase: Phase) -> bool {
        match self {
            Fault::SourceQemu => phase != Phase::Done,
            Fault::TargetQemu => phase.switched(),
            _ => false,
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs the cells in a testbed of its own, and leaves nothing running unless asked to.
pub(crate) fn faults(directory: Option<PathBuf>, arguments: &Arguments) -> Result<()> {
    let chosen = chosen(&arguments.only)?;
    let binaries = Binaries::build()?;
    let defaults = Config::default();
    let config = Config {
        directory: directory.unwrap_or_else(|| beside(&defaults.directory, "-faults")),
        hosts: 2,
        guests: 1,
        beat_ms: 20,
        ..defaults
    };
    end_on_signal(&config.directory)?;
    // What a killed run may have left.
    testbed::down(&config.directory)?;
    let files = std::path::absolute(beside(&config.directory, "-files"))?;
    let cells = unless_ended_by_signal(try_all(&binaries, &config, &files, &chosen, arguments));
    if !arguments.keep {
        testbed::down(&config.directory)?;
    }
    let cells = cells?;
    if !arguments.json {
        println!("{}", table::matrix(&cells));
    }
    let broken: Vec<String> = cells.iter().flat_map(Cell::complaints).collect();
    if broken.is_empty() {
        eprintln!("{} of {0} cells ended as they may", cells.len());
        return Ok(());
    }
    bail!("{}", broken.join("\n"));
}

fn chosen(only: &[String]) -> Result<Vec<(Phase, Fault)>> {
    let all = Phase::ALL
        .into_iter()
        .flat_map(|phase| Fault::ALL.map(|fault| (phase, fault)))
        .filter(|(phase, fault)| fault.possible(*phase));
    let named = |phase: Phase, fault: Fault, name: &str| {
        name == phase.name() || name == fault.name() || name == format!("{phase}/{fault}")
    };
    let mut cells: Vec<(Phase, Fault)> = all.collect();
    for name in only {
        if !cells.iter().any(|(p, f)| named(*p, *f, name)) {
            let phases = Phase::ALL.map(Phase::name).join(", ");
            let faults = Fault::ALL.map(Fault::name).join(", ");
            bail!("read `{name}`, expected a phase ({phases}), a fault ({faults}) or PHASE/FAULT");
        }
    }
    cells.retain(|(p, f)| only.is_empty() || only.iter().any(|name| named(*p, *f, name)));
    Ok(cells)
}

fn try_all(
    binaries: &Binaries,
    config: &Config,
    files: &Path,
    chosen: &[(Phase, Fault)],
    arguments: &Arguments,
) -> Result<Vec<Cell>> {
    if files.exists() {
        fs::remove_dir_all(files).with_context(|| format!("cannot remove {}", files.display()))?;
    }
    fs::create_dir_all(files).with_context(|| format!("cannot make {}", files.display()))?;
    let testbed = Testbed::up(config)?;
    let cluster = files.join("cluster.yaml");
    let mut snapshot = binaries.command("vmpack-executor");
    snapshot.arg("snapshot").arg("--output").arg(&cluster);
    for host in &testbed.hosts {
        snapshot.args(["--uri", &format!("{}={}", host.uri, host.migrate_uri)]);
    }
    run(&mut snapshot)?;
    let bench = cell::Bench {
        binaries,
        testbed: &testbed,
        cluster: &cluster,
        files,
    };
    let mut cells = Vec::new();
    for (phase, fault) in chosen {
        let began = Instant::now();
        let cell = bench
            .try_one(*phase, *fault)
            .with_context(|| format!("{phase}/{fault}"))?;
        eprintln!("{} ({:.0} s)", cell.line(), began.elapsed().as_secs_f64());
        if arguments.json {
            println!("{}", serde_json::to_string(&cell)?);
        }
        cells.push(cell);
    }
    Ok(cells)
}
