//! The rows of `cargo xtask bench solver` that plan whole clusters: an example of mixed hosts with rules
//! and windows, and BtrPlace's instances, imported (`VMPACK_DATA` names the folder with `btrplace/`).

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use xtask::command::{command, read};
use xtask::target_directory;

use crate::bench::Shown;

/// A target.
struct Row {
    what: &'static str,
    from: From,
    /// Seconds that planning may take.
    limit: u32,
    /// Hosts above the bound: so many, or such a share of the bound in percent.
    target: f64,
    percent: bool,
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

const ROWS: &[Row] = &[
    row(
        "three makes, 10 % under rules, 24 windows, 1,000 guests",
        From::Example(MIXED),
        30,
        1.0,
        false,
    ),
    row(
        "BtrPlace li-r3, 15,000 VMs, resources",
        From::Btrplace("li-r3-p5000-c33", false),
        10,
        0.0,
        false,
    ),
    row(
        "BtrPlace li-r6, 30,000 VMs, resources",
        From::Btrplace("li-r6-p5000-c33", false),
        60,
        1.0,
        true,
    ),
    row(
        "BtrPlace nr-r6, 30,000 VMs, resources",
        From::Btrplace("nr-r6-p5000-c100", false),
        60,
        1.0,
        true,
    ),
    row(
        "BtrPlace li-r6, 30,000 VMs, rules",
        From::Btrplace("li-r6-p5000-c33", true),
        60,
        1.0,
        true,
    ),
    row(
        "BtrPlace nr-r6, 30,000 VMs, rules",
        From::Btrplace("nr-r6-p5000-c100", true),
        60,
        1.0,
        true,
    ),
];

const fn row(what: &'static str, from: From, limit: u32, target: f64, percent: bool) -> Row {
    Row {
        what,
        from,
        limit,
        target,
        percent,
    }
}

/// Of `vmpack plan --json`.
#[derive(Deserialize)]
struct Planned {
    hosts_after: Option<f64>,
    hosts_bound: Option<f64>,
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
        let mut gaps = Vec::new();
        for _ in 0..runs.max(1) {
            gaps.push(gap(vmpack, &folder, row)?);
        }
        gaps.sort_by(f64::total_cmp);
        let value = (gaps[gaps.len() / 2] * 1000.0).round() / 1000.0;
        let shown = Shown {
            what: format!("{}: hosts above the bound in {} s", row.what, row.limit),
            value,
            unit: if row.percent { "%" } else { "hosts" },
            target: format!("<= {}", row.target),
            ok: value <= row.target,
        };
        shown.print(json)?;
    }
    Ok(())
}

/// What is between plan and bound; infinite where no plan was found.
fn gap(vmpack: &Path, folder: &Path, row: &Row) -> Result<f64> {
    let file = |name: &str| folder.join(name);
    let mut plan = command([vmpack]);
    plan.args(["plan", "--json", "--time-limit", &format!("{}s", row.limit)]);
    for name in ["cluster", "load", "policy"] {
        plan.arg(format!("--{name}"))
            .arg(file(&format!("{name}.yaml")));
    }
    // Within the limit there may be no answer, which is told by the exit code.
    let told = plan.output().context("cannot start vmpack plan")?;
    let told: Planned =
        serde_json::from_slice(&told.stdout).context("the result of vmpack plan")?;
    let (Some(hosts), Some(bound)) = (told.hosts_after, told.hosts_bound) else {
        return Ok(f64::INFINITY);
    };
    let above = hosts - bound;
    Ok(if row.percent {
        above / bound.max(1.0) * 100.0
    } else {
        above
    })
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
