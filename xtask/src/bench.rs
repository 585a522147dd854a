//! `cargo xtask bench`: the targets against what is measured here. A bench is no
//! test: a row that misses its target is shown, and nothing fails for it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde::Deserialize;
use xtask::binaries::{Binaries, cargo};
use xtask::command::{command, read, run};
use xtask::setup::{Purpose, setup};
use xtask::target_directory;

use crate::executor_rows;
use crate::ganeti;
use crate::peers::{self, Peer};
use crate::plans;
use crate::public;
use crate::relief;
use crate::replays;
use crate::row::Shown;
use crate::whatifs;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// PlanetLab's days under CloudSim's policies and vmpack's (VMPACK_DATA names the folder with
    /// `planetlab/`)
    Replay {
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
    },
    /// What-if on an example of 100 hosts and 1,000 guests: how long an answer takes
    Whatif {
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
    },
    /// Clusters in Ganeti's text format, beside hsqueeze and hspace (Debian's ganeti-htools)
    Peers {
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
        /// Seconds that each of them may take for a cluster
        #[arg(long, default_value_t = 120)]
        seconds: u32,
    },
    /// The probe on the running kernel: accuracy, cost, overload (root, or CAP_BPF and CAP_PERFMON)
    Probe {
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
        /// Only these parts: accuracy, dirty, switch, process, overload, history, daemon, guests
        parts: Vec<String>,
    },
    /// The relief of sudden overloads: how soon it is decided, and on the testbed (as root) how soon a
    /// guest runs elsewhere
    Relief {
        /// Only these parts: decide, surge, lost
        #[arg(value_name = "PART")]
        parts: Vec<String>,
        /// How many surges are relieved on the testbed
        #[arg(long, value_name = "N", default_value_t = 50)]
        rounds: u32,
        /// Draw one of them, that in the middle, into this SVG file
        #[arg(long, value_name = "FILE")]
        figure: Option<PathBuf>,
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
    },
    /// The executor on the testbed (as root), in the simulated world, and killed after every event
    Executor {
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
        /// Only these parts: testbed, link, makespan, kills
        parts: Vec<String>,
    },
    /// Packing and moving the generated families (VMPACK_DATA names the folder with `generated/`)
    Solver {
        /// Print one JSON line for each row
        #[arg(long)]
        json: bool,
        /// Run each row so often and take the median
        #[arg(long, default_value_t = 1)]
        runs: usize,
        /// Only rows whose name contains this
        #[arg(long)]
        filter: Option<String>,
        /// Measure a release build (HiGHS is compiled once more for it)
        #[arg(long)]
        release: bool,
        /// Instead pack files of up to 1,000 items by these too, in turn; they are installed into a
        /// Python environment under target/
        #[arg(long, value_delimiter = ',', value_name = "SOLVER")]
        against: Vec<Peer>,
        /// Seconds that each solver may take for a file
        #[arg(long, default_value_t = 10, requires = "against")]
        seconds: u32,
        /// Instead pack the published instances (`vector-packing/` under VMPACK_DATA) and prove them
        /// again; it may be ended, and goes on from there
        #[arg(long, conflicts_with = "against")]
        public: bool,
        /// Of each class take every N-th file only
        #[arg(long, default_value_t = 1, value_name = "N", requires = "public")]
        sample: usize,
        /// Pack nothing more: tell of what earlier runs recorded
        #[arg(long, requires = "public")]
        recorded: bool,
        /// Write the page about the instances newly closed
        #[arg(long, value_name = "FILE", requires = "public")]
        page: Option<PathBuf>,
    },
}

/// A target.
struct Row {
    what: &'static str,
    /// `vmpack bench …`
    bench: &'static [&'static str],
    /// Instances, without their extension.
    files: &'static [&'static str],
    measure: Measure,
    target: f64,
}

/// What is taken of a row's instances; all but the first want little.
#[derive(Clone, Copy)]
enum Measure {
    /// How many are proven optimal.
    Proven,
    /// The longest time, in seconds.
    Seconds,
    /// The largest number of hosts above the bound.
    HostGap,
    /// The same as a share of the bound, in percent.
    HostGapPercent,
    /// The largest share of memory moved above the bound, in percent.
    MoveGapPercent,
}

const PACK: &[&str] = &["pack"];
const ALL_1000: &[&str] = &[
    "typ_1000_1",
    "typ_1000_2",
    "tight_1000_1",
    "tight_1000_2",
    "big_1000_1",
    "big_1000_2",
];
const FEW_200: &[&str] = &["few_200_1", "few_200_2"];
const FEW_1000: &[&str] = &["few_1000_1", "few_1000_2"];
const CLOSED_10000: &[&str] = &[
    "tight_10000_1",
    "tight_10000_2",
    "big_10000_1",
    "big_10000_2",
];

const MOVES_200: &[&str] = &[
    "typ_200_1",
    "typ_200_2",
    "tight_200_1",
    "tight_200_2",
    "big_200_1",
    "big_200_2",
    "few_200_1",
    "few_200_2",
];
const MOVES_1000: &[&str] = &["typ_1000_1", "tight_1000_1", "big_1000_1", "few_1000_1"];
const MOVES_10000: &[&str] = &["typ_10000_1", "tight_10000_1", "big_10000_1", "few_10000_1"];

const ROWS: &[Row] = &[
    row(
        "typ, tight, big of 1,000: proven, of 6",
        &["pack", "--time-limit", "1s"],
        ALL_1000,
        Measure::Proven,
        5.0,
    ),
    row(
        "typ, tight, big of 1,000: hosts above the bound",
        &["pack", "--time-limit", "10s"],
        ALL_1000,
        Measure::HostGap,
        1.0,
    ),
    row(
        "few of 200: proven, of 2",
        PACK,
        FEW_200,
        Measure::Proven,
        2.0,
    ),
    row("few of 200: time", PACK, FEW_200, Measure::Seconds, 3.0),
    row(
        "few of 1,000: hosts above the bound",
        &["pack", "--time-limit", "30s"],
        FEW_1000,
        Measure::HostGap,
        1.0,
    ),
    row(
        "few of 1,000: proven, of 2",
        &["pack", "--time-limit", "60s"],
        FEW_1000,
        Measure::Proven,
        2.0,
    ),
    row(
        "tight, big of 10,000: proven, of 4",
        &["pack", "--time-limit", "5s"],
        CLOSED_10000,
        Measure::Proven,
        4.0,
    ),
    row(
        "typ of 10,000: hosts above the bound",
        &["pack", "--time-limit", "60s"],
        &["typ_10000_1", "typ_10000_2"],
        Measure::HostGap,
        1.0,
    ),
    row(
        "few of 10,000: hosts above the bound",
        &["pack", "--time-limit", "60s"],
        &["few_10000_1", "few_10000_2"],
        Measure::HostGapPercent,
        0.2,
    ),
    row(
        "moves of 200 guests, a host to spare: time",
        &["moves", "--more-hosts", "1", "--time-limit", "20s"],
        MOVES_200,
        Measure::Seconds,
        5.0,
    ),
    row(
        "moves of 200 guests, a host to spare: gap",
        &["moves", "--more-hosts", "1", "--time-limit", "20s"],
        MOVES_200,
        Measure::MoveGapPercent,
        0.0,
    ),
    row(
        "moves of 200 guests, fewest hosts: time",
        &["moves", "--time-limit", "20s"],
        MOVES_200,
        Measure::Seconds,
        5.0,
    ),
    row(
        "moves of 200 guests, fewest hosts: gap",
        &["moves", "--time-limit", "20s"],
        MOVES_200,
        Measure::MoveGapPercent,
        0.0,
    ),
    row(
        "moves of 1,000 guests, a host to spare: gap",
        &["moves", "--more-hosts", "1", "--time-limit", "30s"],
        MOVES_1000,
        Measure::MoveGapPercent,
        1.0,
    ),
    row(
        "moves of 1,000 guests, fewest hosts: gap",
        &["moves", "--time-limit", "30s"],
        MOVES_1000,
        Measure::MoveGapPercent,
        2.0,
    ),
    row(
        "moves of 10,000 guests: time",
        &["moves", "--time-limit", "115s"],
        MOVES_10000,
        Measure::Seconds,
        120.0,
    ),
    row(
        "moves of 10,000 guests: gap",
        &["moves", "--time-limit", "115s"],
        MOVES_10000,
        Measure::MoveGapPercent,
        f64::INFINITY,
    ),
];

const fn row(
    what: &'static str,
    bench: &'static [&'static str],
    files: &'static [&'static str],
    measure: Measure,
    target: f64,
) -> Row {
    Row {
        what,
        bench,
        files,
        measure,
        target,
    }
}

/// A line of `vmpack bench`, of either kind.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    hosts: f64,
    #[serde(default)]
    bound: f64,
    #[serde(default)]
    optimal: bool,
    #[serde(default)]
    gap: Option<f64>,
    seconds: f64,
}

pub(crate) fn bench(arguments: &Arguments) -> Result<()> {
    if let What::Relief {
        parts,
        rounds,
        figure,
        json,
    } = &arguments.what
    {
        return relief::rows(parts, *rounds, figure.as_deref(), *json);
    }
    if let What::Executor { json, parts } = &arguments.what {
        return executor_rows::rows(parts, *json);
    }
    let What::Solver {
        json,
        runs,
        filter,
        release,
        against,
        seconds,
        public,
        sample,
        recorded,
        page,
    } = &arguments.what
    else {
        return match &arguments.what {
            What::Replay { json } => replay(*json),
            What::Whatif { json } => whatifs::rows(&built(false)?, *json),
            What::Peers { json, seconds } => ganeti::rows(&built(false)?, *seconds, *json),
            what => probe(what),
        };
    };
    if *public {
        let data = std::env::var_os("VMPACK_DATA").map(PathBuf::from);
        let there = data.filter(|d| d.join("vector-packing").is_dir());
        let Some(data) = there else {
            eprintln!("skipped: no data; VMPACK_DATA names no folder with vector-packing/");
            return Ok(());
        };
        let wanted = public::Wanted {
            filter: filter.as_deref(),
            sample: *sample,
            json: *json,
            recorded: *recorded,
            page: page.as_deref(),
        };
        return public::bench(&built(*release)?, &data, &wanted);
    }
    let Some(instances) = instances()? else {
        eprintln!("skipped: no data; VMPACK_DATA names no folder with generated/generated.tar.xz");
        return Ok(());
    };
    let vmpack = built(*release)?;
    if !against.is_empty() {
        let shown = (filter.as_deref(), *json);
        return peers::compare(&vmpack, &instances, against, (*seconds, *runs), shown);
    }
    // Rows over the same runs share them.
    let mut known: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for row in ROWS {
        if filter
            .as_ref()
            .is_some_and(|f| !row.what.contains(f.as_str()))
        {
            continue;
        }
        let mut values = Vec::new();
        for time in 0..(*runs).max(1) {
            let key = format!("{:?} {:?} {time}", row.bench, row.files);
            if !known.contains_key(&key) {
                let lines = measured(&vmpack, row, &instances)?;
                known.insert(key.clone(), lines);
            }
            values.push(row.value(&known[&key]));
        }
        values.sort_by(f64::total_cmp);
        let value = (values[values.len() / 2] * 1000.0).round() / 1000.0;
        row.result(value).print(*json)?;
    }
    plans::rows(&vmpack, filter.as_deref(), *runs, *json)
}

fn replay(json: bool) -> Result<()> {
    let data = std::env::var_os("VMPACK_DATA").map(PathBuf::from);
    let Some(data) = data.filter(|d| d.join("planetlab").is_dir()) else {
        eprintln!("skipped: no data; VMPACK_DATA names no folder with planetlab/");
        return Ok(());
    };
    replays::rows(&built(false)?, &data, json)
}

/// The probe's rows are measured by a program of its own, which has what it takes.
fn probe(what: &What) -> Result<()> {
    let What::Probe { json, parts } = what else {
        return Ok(());
    };
    setup(Purpose::Build)?;
    let build = ["build", "--package", "vmpack-probe", "--bins"];
    run(cargo().args(build).args(["--example", "bench"]))?;
    let debug = target_directory().join("debug");
    // Parts that the program itself measures, and by which of its commands.
    let own = [
        ("history", "kills"),
        ("history", "day"),
        ("daemon", "daemon"),
        ("guests", "guests"),
    ];
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|part| part == name);
    let others = |part: &String| own.iter().all(|(name, _)| part != name);
    let mut told = String::new();
    if parts.is_empty() || parts.iter().any(others) {
        told += &read(command([debug.join("examples/bench")]).args(parts))?;
    }
    let own: Vec<_> = own.into_iter().filter(|(name, _)| chosen(name)).collect();
    if !own.is_empty() {
        // What it costs is that of the program that hosts run.
        run(cargo().args(build).arg("--release"))?;
    }
    let probe = target_directory().join("release/vmpack-probe");
    for (name, part) in own {
        eprintln!("measuring: {name}, {part}, in a release build");
        told += &read(command([&probe]).args(["bench", part, "--json"]))?;
    }
    for line in told.lines() {
        if *json {
            println!("{line}");
            continue;
        }
        let told: Told = serde_json::from_str(line).context("a line of the probe's bench")?;
        let mark = match (told.target.as_str(), told.ok) {
            ("-", _) => "    ",
            (_, true) => "ok  ",
            (_, false) => "miss",
        };
        let Told {
            what,
            value,
            unit,
            target,
            ..
        } = told;
        println!("{mark} {what:<50} {value:>9} {unit:<11} {target}");
    }
    Ok(())
}

/// A row as the probe's bench tells it.
#[derive(Deserialize)]
struct Told {
    what: String,
    value: f64,
    unit: String,
    target: String,
    ok: bool,
}

/// The lines of one run.
fn measured(vmpack: &Path, row: &Row, instances: &Path) -> Result<Vec<Line>> {
    eprintln!(
        "vmpack bench {}: {}",
        row.bench.join(" "),
        row.files.join(" ")
    );
    let files = row.files.iter().map(|f| instances.join(format!("{f}.vbp")));
    let told = read(
        command([vmpack])
            .arg("bench")
            .args(row.bench)
            .arg("--json")
            .args(files),
    )?;
    let lines = told.lines().map(serde_json::from_str);
    let lines: Vec<Line> = lines
        .collect::<Result<_, _>>()
        .context("a line of vmpack bench")?;
    if lines.len() != row.files.len() {
        bail!(
            "{} of {} instances were answered",
            lines.len(),
            row.files.len()
        );
    }
    Ok(lines)
}

impl Row {
    fn value(&self, lines: &[Line]) -> f64 {
        let most = |of: &dyn Fn(&Line) -> f64| lines.iter().map(of).fold(0.0, f64::max);
        match self.measure {
            Measure::Proven => lines.iter().map(|l| f64::from(u8::from(l.optimal))).sum(),
            Measure::Seconds => most(&|l| l.seconds),
            Measure::HostGap => most(&|l| l.hosts - l.bound),
            Measure::HostGapPercent => most(&|l| (l.hosts - l.bound) / l.bound.max(1.0) * 100.0),
            Measure::MoveGapPercent => most(&|l| l.gap.unwrap_or(0.0) * 100.0),
        }
    }

    fn result(&self, value: f64) -> Shown {
        let (unit, sign, ok) = match self.measure {
            Measure::Proven => ("", ">=", value >= self.target),
            Measure::Seconds => ("s", "<=", value <= self.target),
            Measure::HostGap => ("hosts", "<=", value <= self.target),
            Measure::HostGapPercent | Measure::MoveGapPercent => ("%", "<=", value <= self.target),
        };
        Shown {
            what: self.what.to_owned(),
            value,
            unit,
            // A row without a target is shown for its figure.
            target: match self.target.is_finite() {
                true => format!("{sign} {}", self.target),
                false => "-".into(),
            },
            ok,
        }
    }
}

/// The generated instances, unpacked; `None` where there are none.
fn instances() -> Result<Option<PathBuf>> {
    let Some(data) = std::env::var_os("VMPACK_DATA").map(PathBuf::from) else {
        return Ok(None);
    };
    let archive = data.join("generated").join("generated.tar.xz");
    if !archive.is_file() {
        return Ok(None);
    }
    let folder = target_directory().join("bench-data");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut tar = command(["tar", "--extract", "--xz", "--file"]);
    run(tar.arg(&archive).arg("--directory").arg(&folder))?;
    // The archive may hold a folder of its own.
    let first = format!("{}.vbp", ROWS[0].files[0]);
    let mut open = vec![folder.clone()];
    while let Some(next) = open.pop() {
        if next.join(&first).is_file() {
            return Ok(Some(next));
        }
        for entry in
            fs::read_dir(&next).with_context(|| format!("cannot read {}", next.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            }
        }
    }
    bail!("{} holds no {first}", archive.display());
}

fn built(release: bool) -> Result<PathBuf> {
    if !release {
        return Ok(Binaries::build()?.path("vmpack"));
    }
    run(cargo().args(["build", "--release", "--bin", "vmpack"]))?;
    Ok(std::path::absolute(
        target_directory().join("release").join("vmpack"),
    )?)
}
