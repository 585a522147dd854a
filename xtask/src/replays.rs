//! The rows of `cargo xtask bench replay`: PlanetLab's days in CloudSim's set-up.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::command::{command, read};

use crate::row::Shown;

/// What CloudSim 3.0.3 itself gave on the first day, in this order of guests: kWh, migrations, SLATAH,
/// PDM and SLAV (as fractions).
const CLOUDSIM: &[(&str, f64, f64, f64, f64, f64)] = &[
    ("none", 2410.80, 0.0, 0.0, 0.0, 0.0),
    ("dvfs", 764.96, 0.0, 0.0, 0.0, 0.0),
    ("thr-mmt-0.8", 198.08, 27_728.0, 0.0500, 0.0007, 3.57e-5),
    ("iqr-mmt-1.5", 193.63, 27_592.0, 0.0502, 0.0007, 3.42e-5),
    ("mad-mmt-2.5", 189.79, 27_781.0, 0.0509, 0.0007, 3.57e-5),
    ("lr-mmt-1.2", 167.83, 27_649.0, 0.0572, 0.0008, 4.32e-5),
    ("lr-mc-1.2", 153.87, 23_351.0, 0.0702, 0.0010, 7.03e-5),
];
const DAYS: [&str; 3] = ["20110303", "20110306", "20110309"];
/// The baseline, and the settings of ours that are compared with it.
const BASELINE: &str = "lr-mmt-1.2";
const OURS: [&str; 2] = ["vmpack", "vmpack-0.15"];

/// A line of `vmpack replay --json`.
#[derive(Debug, Deserialize)]
struct Line {
    policy: String,
    kwh: f64,
    slav: f64,
    slatah: f64,
    pdm: f64,
    unserved: f64,
    migrations: f64,
    times_real: f64,
}

/// Prints the rows; `data` names the folder with `planetlab/`.
pub(crate) fn rows(vmpack: &Path, data: &Path, json: bool) -> Result<()> {
    let archive = |day: &str| data.join("planetlab").join(format!("{day}.tar.gz"));
    let named: Vec<&str> = CLOUDSIM.iter().map(|c| c.0).collect();
    let first = lines(vmpack, &archive(DAYS[0]), &named, &[])?;
    for (name, kwh, migrations, slatah, pdm, slav) in CLOUDSIM {
        let found = first.get(*name).context("a line of each policy")?;
        // PDM is printed by CloudSim to a hundredth of a percent: what rounds to it is off by nothing.
        let rounded = (found.pdm * 1e4).round() / 1e4;
        let pairs = [
            (found.kwh, *kwh),
            (found.migrations, *migrations),
            (found.slatah, *slatah),
            (rounded, *pdm),
        ];
        let off = pairs.map(|(ours, theirs)| self::off(ours, theirs));
        let what = format!("{name} against CloudSim: largest deviation");
        shown(what, off.into_iter().fold(0.0, f64::max), "%", "<=", 5.0).print(json)?;
        // Of more digits than the PDM that it is made from.
        let what = format!("{name} against CloudSim: deviation of SLAV");
        shown(what, self::off(found.slav, *slav), "%", "<=", 5.0).print(json)?;
    }
    let mut slowest = f64::INFINITY;
    for day in DAYS {
        for extra in [&[][..], &["--keep-resting"][..], &["--count-memory"][..]] {
            let mut found = lines(
                vmpack,
                &archive(day),
                &[&[BASELINE][..], &OURS].concat(),
                extra,
            )?;
            let base = found.remove(BASELINE).context("the baseline's line")?;
            let set_up = extra.first().map_or("", |e| e);
            for ours in OURS {
                let line = found.remove(ours).context("our line")?;
                slowest = slowest.min(line.times_real);
                // Where memory counts, it decides nearly everything: told, without a target.
                let targets = !extra.contains(&"--count-memory");
                let what = format!("{day} {set_up} {ours}").replace("  ", " ");
                compared(&what, (&line, &base), targets, json)?;
            }
        }
    }
    shown(
        "replay speed, 800 hosts and all guests: times real time".into(),
        slowest,
        "x",
        ">=",
        1000.0,
    )
    .print(json)
}

fn compared(what: &str, (ours, base): (&Line, &Line), targets: bool, json: bool) -> Result<()> {
    let share = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::from(a > 0.0) };
    let mut rows = vec![
        told(format!("{what}: energy"), ours.kwh, "kWh"),
        shown(
            format!("{what}: energy below lr-mmt's"),
            (1.0 - share(ours.kwh, base.kwh)) * 100.0,
            "%",
            ">=",
            20.0,
        ),
        shown(
            format!("{what}: migrations of lr-mmt's"),
            share(ours.migrations, base.migrations) * 100.0,
            "%",
            "<=",
            10.0,
        ),
    ];
    for (name, a, b) in [
        ("SLATAH", ours.slatah, base.slatah),
        ("SLAV", ours.slav, base.slav),
        ("unserved demand", ours.unserved, base.unserved),
    ] {
        let what = format!("{what}: {name} of lr-mmt's");
        rows.push(shown(what, share(a, b) * 100.0, "%", "<=", 100.0));
    }
    for mut row in rows {
        if !targets {
            (row.target, row.ok) = ("-".into(), true);
        }
        row.print(json)?;
    }
    Ok(())
}

/// A figure without a target.
fn told(what: String, value: f64, unit: &'static str) -> Shown {
    Shown {
        target: "-".into(),
        ..shown(what, value, unit, ">=", 0.0)
    }
}

/// By how much in percent; of nothing, any is all.
fn off(ours: f64, theirs: f64) -> f64 {
    if theirs == 0.0 {
        f64::from(ours > 0.0) * 100.0
    } else {
        (ours / theirs - 1.0).abs() * 100.0
    }
}

fn shown(what: String, value: f64, unit: &'static str, sign: &str, target: f64) -> Shown {
    let ok = if sign == "<=" {
        value <= target
    } else {
        value >= target
    };
    Shown {
        what,
        value: (value * 100.0).round() / 100.0,
        unit,
        target: format!("{sign} {target}"),
        ok,
    }
}

fn lines(
    vmpack: &Path,
    trace: &PathBuf,
    policies: &[&str],
    extra: &[&str],
) -> Result<BTreeMap<String, Line>> {
    if !trace.is_file() {
        bail!("there is no {}", trace.display());
    }
    let told = read(
        command([vmpack])
            .args(["replay", "--json", "--trace", "planetlab"])
            .arg(trace)
            .args(["--policies", &policies.join(",")])
            .args(extra),
    )?;
    let parsed = told.lines().map(serde_json::from_str);
    let parsed: Vec<Line> = parsed
        .collect::<Result<_, _>>()
        .context("a line of vmpack replay")?;
    Ok(parsed.into_iter().map(|l| (l.policy.clone(), l)).collect())
}
