//! The rows of `cargo xtask bench solver` that plan whole clusters: an example of mixed hosts with rules
//! and windows, and BtrPlace's instances, imported (`VMPACK_DATA` names the folder with `btrplace/`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::command::{command, read};
use xtask::target_directory;

use crate::row::Shown;

/// A target.
struct Row {
    what: &'static str,
    from: From,
    /// Seconds that planning may take.
    limit: u32,
    /// Hosts above the bound: so many, or such a share of the bound in percent.
    target: f64,
    percent: bool,
    /// Seconds after which the hosts are settled, at most, where that is a target of its own.
    hosts: Option<f64>,
}

/// Percent of MiB moved above the bound, at most, where a plan is one of BtrPlace's.
const MOVED: f64 = 1.0;

/// GiB that a plan of 5,000 hosts takes, at most.
const MEMORY: f64 = 4.0;

/// What a plan took.
struct Run {
    /// Hosts above the bound, as in the row's target; infinite where no plan was found.
    gap: f64,
    /// MiB moved above the bound on them, in percent of it; infinite likewise.
    moved: f64,
    /// Until the hosts were settled; infinite where they are not proven the fewest.
    hosts: f64,
    /// Of the whole command.
    seconds: f64,
    /// Resident at most.
    gib: f64,
}

/// Where the files come from.
#[derive(Clone, Copy)]
enum From {
    /// `vmpack example cluster …`
    Example(&'static [&'static str]),
    /// `vmpack import btrplace`, with the constraints or without.
    Btrplace(&'static str, bool),
}

const MIXED: &[&str] = &[
    "--hosts",
    "130",
    "--guests",
    "1000",
    "--makes",
    "3",
    "--ruled",
    "10%",
    "--windows",
    "24",
];

/// Seconds in which the fewest hosts are proven where there are no rules.
const SETTLED: Option<f64> = Some(5.0);

const ROWS: &[Row] = &[
    Row {
        what: "three makes, 10 % under rules, 24 windows, 1,000 guests",
        from: From::Example(MIXED),
        limit: 30,
        target: 1.0,
        percent: false,
        hosts: None,
    },
    btrplace(
        "BtrPlace li-r3, 15,000 VMs, resources",
        ("li-r3-p5000-c33", false),
        0.0,
    ),
    btrplace(
        "BtrPlace li-r6, 30,000 VMs, resources",
        ("li-r6-p5000-c33", false),
        0.0,
    ),
    btrplace(
        "BtrPlace nr-r6, 30,000 VMs, resources",
        ("nr-r6-p5000-c100", false),
        0.0,
    ),
    btrplace(
        "BtrPlace li-r6, 30,000 VMs, rules",
        ("li-r6-p5000-c33", true),
        1.0,
    ),
    btrplace(
        "BtrPlace nr-r6, 30,000 VMs, rules",
        ("nr-r6-p5000-c100", true),
        1.0,
    ),
];

const fn btrplace(what: &'static str, (name, rules): (&'static str, bool), target: f64) -> Row {
    Row {
        what,
        from: From::Btrplace(name, rules),
        limit: 60,
        target,
        percent: true,
        hosts: if rules { None } else { SETTLED },
    }
}

/// Of `vmpack plan --json`.
#[derive(Deserialize)]
struct Planned {
    hosts_after: Option<f64>,
    hosts_bound: Option<f64>,
    move_mib: Option<f64>,
    move_mib_bound: Option<f64>,
    hosts_seconds: Option<f64>,
}

/// Prints each row; one without its data says so.
pub(crate) fn rows(vmpack: &Path, filter: Option<&str>, runs: usize, json: bool) -> Result<()> {
    for row in ROWS {
        if filter.is_some_and(|f| !row.what.contains(f)) {
            continue;
        }
        let Some(folder) = files(vmpack, row.from)? else {
            eprintln!("skipped: {}: no data", row.what);
            continue;
        };
        let runs: Vec<Run> = (0..runs.max(1))
            .map(|_| run(vmpack, &folder, row))
            .collect::<Result<_>>()?;
        let unit = if row.percent { "%" } else { "hosts" };
        let btrplace = matches!(row.from, From::Btrplace(..));
        let moved = btrplace.then(|| {
            let value = median(&runs, |r| r.moved);
            ("MiB moved above the bound", value, "%", MOVED)
        });
        let others = [
            (
                "hosts above the bound",
                median(&runs, |r| r.gap),
                unit,
                row.target,
            ),
            ("time", median(&runs, |r| r.seconds), "s", row.limit.into()),
            ("memory", median(&runs, |r| r.gib), "GiB", MEMORY),
        ];
        let settled = row.hosts.map(|target| {
            let value = median(&runs, |r| r.hosts);
            ("time until the hosts are proven", value, "s", target)
        });
        for (what, value, unit, target) in others.into_iter().chain(settled).chain(moved) {
            let shown = Shown {
                what: format!("{}: {what}", row.what),
                value,
                unit,
                target: format!("<= {target}"),
                ok: value <= target,
            };
            shown.print(json)?;
        }
    }
    Ok(())
}

/// To the thousandth.
fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2] * 1000.0).round() / 1000.0
}

fn run(vmpack: &Path, folder: &Path, row: &Row) -> Result<Run> {
    let mut plan = command([vmpack]);
    plan.args(["plan", "--json", "--time-limit", &format!("{}s", row.limit)]);
    for name in ["cluster", "load", "policy"] {
        plan.arg(format!("--{name}"))
            .arg(folder.join(format!("{name}.yaml")));
    }
    let result = folder.join("result.json");
    let began = Instant::now();
    let mut child = plan
        .stdout(fs::File::create(&result)?)
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start vmpack plan")?;
    let mut gib = 0.0f64;
    // Within the limit there may be no answer, which is told by the exit code.
    while child.try_wait()?.is_none() {
        gib = gib.max(resident(child.id()).unwrap_or(0.0));
        std::thread::sleep(Duration::from_millis(20));
    }
    let seconds = began.elapsed().as_secs_f64();
    let told: Planned = serde_json::from_slice(&fs::read(&result)?)
        .with_context(|| format!("the result of vmpack plan for {}", row.what))?;
    let gap = match (told.hosts_after, told.hosts_bound) {
        (Some(hosts), Some(bound)) if row.percent => (hosts - bound) / bound.max(1.0) * 100.0,
        (Some(hosts), Some(bound)) => hosts - bound,
        _ => f64::INFINITY,
    };
    let moved = match (told.move_mib, told.move_mib_bound) {
        (Some(moved), Some(bound)) => (moved - bound) / bound.max(1.0) * 100.0,
        _ => f64::INFINITY,
    };
    let proven = (gap <= 0.0).then_some(told.hosts_seconds).flatten();
    Ok(Run {
        gap,
        moved,
        hosts: proven.unwrap_or(f64::INFINITY),
        seconds,
        gib,
    })
}

/// What a process has had in memory at most, in GiB, as the kernel counts it.
fn resident(process: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1_048_576.0)
}

/// A folder with cluster, load and policy; `None` without the data.
fn files(vmpack: &Path, from: From) -> Result<Option<PathBuf>> {
    let data = target_directory().join("bench-data");
    let (folder, mut make) = match from {
        From::Example(arguments) => {
            let mut make = command([vmpack]);
            make.args(["example", "cluster"]).args(arguments);
            (data.join("mixed"), make)
        }
        From::Btrplace(name, rules) => {
            let Some(source) = std::env::var_os("VMPACK_DATA").map(PathBuf::from) else {
                return Ok(None);
            };
            let source = source.join("btrplace").join(format!("{name}.json.gz"));
            if !source.is_file() {
                return Ok(None);
            }
            fs::create_dir_all(&data)?;
            let plain = data.join(format!("{name}.json"));
            fs::write(
                &plain,
                read(command(["gzip", "--decompress", "--stdout"]).arg(&source))?,
            )?;
            let mut make = command([vmpack]);
            make.args(["import", "btrplace"]).arg(&plain);
            if !rules {
                make.arg("--without-rules");
            }
            let suffix = if rules { "-rules" } else { "" };
            (data.join(format!("{name}{suffix}")), make)
        }
    };
    read(make.arg("--output").arg(&folder))?;
    Ok(Some(folder))
}
