//! `cargo xtask bench relief`: how soon relief is decided here; how soon it is made in [`crate::surges`].

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::binaries::Binaries;
use xtask::command::read;

use crate::row::row;
use crate::surges;

/// A line of `vmpack bench relief`.
#[derive(Deserialize)]
struct Line {
    overload: u64,
    ended: u64,
    proven: bool,
    first_seconds: f64,
    seconds: f64,
    #[serde(default)]
    ahead_seconds: Option<f64>,
    #[serde(default)]
    recall_seconds: Option<f64>,
}

/// 1,000 hosts, 10,000 guests and 5 overloaded hosts; and a harder one, where targets are short.
const CASES: [(&str, &[&str]); 2] = [
    ("1,000 hosts, 5 overloaded", &["--ahead"]),
    (
        "1,000 hosts, 20 overloaded, others at 90 %",
        &["--overloaded", "20", "--load", "90"],
    ),
];

/// The parts that can be measured by themselves.
const PARTS: [&str; 3] = ["decide", "surge", "lost"];

/// Prints the rows of those parts, or of all.
pub(crate) fn rows(parts: &[String], rounds: u32, figure: Option<&Path>, json: bool) -> Result<()> {
    if let Some(unknown) = parts.iter().find(|p| !PARTS.contains(&p.as_str())) {
        bail!("no part {unknown}, there are {}", PARTS.join(", "));
    }
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|p| p == name);
    let binaries = Binaries::build()?;
    if chosen("decide") {
        decisions(&binaries, json)?;
    }
    if chosen("surge") {
        surges::surges(&binaries, rounds, figure, json)?;
    }
    if chosen("lost") {
        surges::lost(&binaries, json)?;
    }
    Ok(())
}

fn decisions(binaries: &Binaries, json: bool) -> Result<()> {
    for (name, flags) in CASES {
        eprintln!("vmpack bench relief {}", flags.join(" "));
        let mut vmpack = binaries.command("vmpack");
        let told = read(
            vmpack
                .args(["bench", "relief", "--runs", "5", "--json"])
                .args(flags),
        )?;
        let lines = told.lines().map(serde_json::from_str);
        let lines: Vec<Line> = lines
            .collect::<Result<_, _>>()
            .context("a line of vmpack bench relief")?;
        let most = |of: &dyn Fn(&Line) -> f64| lines.iter().map(of).fold(0.0, f64::max);
        let proven = lines.iter().all(|l| l.proven);
        let first = most(&|l| l.first_seconds) * 1000.0;
        row(
            name,
            "first answer, worst of 5",
            first,
            "ms",
            Some(50.0),
            true,
            json,
        )?;
        let last = most(&|l| l.seconds) * 1000.0;
        row(
            name,
            "proven answer, worst of 5",
            last,
            "ms",
            Some(1000.0),
            proven,
            json,
        )?;
        let sum = |of: &dyn Fn(&Line) -> u64| lines.iter().map(of).sum::<u64>();
        let share = 100.0 * sum(&|l| l.ended) as f64 / sum(&|l| l.overload).max(1) as f64;
        row(name, "overload ended at once", share, "%", None, true, json)?;
        let ahead = most(&|l| l.ahead_seconds.unwrap_or(0.0));
        if ahead > 0.0 {
            row(
                name,
                "deciding ahead for every surge",
                ahead * 1000.0,
                "ms",
                None,
                true,
                json,
            )?;
            let recall = most(&|l| l.recall_seconds.unwrap_or(0.0)) * 1000.0;
            row(name, "recalling one", recall, "ms", None, true, json)?;
        }
    }
    Ok(())
}
