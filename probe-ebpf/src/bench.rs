//! `vmpack-probe bench`: measures the history on this machine's disk, and what the daemon costs.

mod daemon;
mod guests;

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use serde_json::json;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{Statistic, Tier};

use crate::cli::Ended;
use crate::history::{Asked, Bounds, History, Reader};
use crate::interval::{Row, STEP};
use crate::process::Process;
use crate::serve;
use crate::sketch::Sketch;
use vmpack_domain::exit::Exit;

/// Guests in each interval that is written and killed.
const GUESTS: u64 = 50;
/// Where made time begins: a multiple of ten.
const START: u64 = 1_700_000_000;

/// The flags of `bench`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Kill -9 a writer of the history again and again; does each committed row stand?
    Kills {
        /// How often
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        kills: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Write a day of rows and read it back: size and time
    Day {
        /// How many guests
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        guests: u64,
        /// Windows in ten seconds
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
        windows: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the whole daemon beside made guests, with a reader of its stream: what does it cost?
    Daemon {
        /// How many guests, of two vCPUs each
        #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1000))]
        guests: u64,
        /// For how long
        #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
        seconds: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Start guests, plug vCPUs and end guests: when are they followed, and when no more?
    Guests {
        /// How often
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        times: u64,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// The daemon, beside the guests of `daemon`
    #[command(hide = true)]
    Host {
        #[arg(long)]
        guests: u64,
        #[command(flatten)]
        serve: Box<serve::command::Arguments>,
    },
    /// A guest of `daemon`, with the arguments by which a QEMU is known
    #[command(hide = true)]
    Guest {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        line: Vec<String>,
    },
    /// Write until killed, telling each commit
    #[command(hide = true)]
    Writer {
        #[arg(long)]
        history: PathBuf,
    },
}

/// Measures.
pub(crate) fn run(arguments: &Arguments) -> Ended {
    let failed = |error| (Exit::Environment, error);
    match &arguments.what {
        What::Kills { kills, json } => kill(*kills, *json).map(|()| Exit::Done).map_err(failed),
        What::Day {
            guests,
            windows,
            json,
        } => day(*guests, *windows, *json)
            .map(|()| Exit::Done)
            .map_err(failed),
        What::Daemon {
            guests,
            seconds,
            json,
        } => daemon::daemon(*guests, *seconds, *json)
            .map(|()| Exit::Done)
            .map_err(failed),
        What::Guests { times, json } => guests::guests(*times, *json)
            .map(|()| Exit::Done)
            .map_err(failed),
        What::Host { guests, serve } => daemon::host(*guests, serve)
            .map(|()| Exit::Done)
            .map_err(failed),
        What::Guest { line } => daemon::guest(line).map(|()| Exit::Done).map_err(failed),
        What::Writer { history } => writer(history).map(|()| Exit::Done).map_err(failed),
    }
}

fn bounds() -> Bounds {
    Bounds {
        bytes: 8 << 30,
        age: Micros::secs(365 * 86400),
    }
}

/// Writes intervals one after the other, from the first that is not there.
fn writer(file: &Path) -> anyhow::Result<()> {
    let mut history = History::open(file, bounds())?;
    let mut at = newest(file)?.map_or(START, |newest| newest + STEP);
    let mut chance = Chance(at);
    loop {
        let rows = (0..GUESTS).map(|n| row(n, at, 100, &mut chance));
        let rows: Vec<Row> = rows.collect::<anyhow::Result<_>>()?;
        history.append(&rows, Duration::MAX)?;
        // Whoever reads this kills us; what was told must stand.
        writeln!(io::stdout(), "{at}")?;
        io::stdout().flush()?;
        at += STEP;
    }
}

fn newest(file: &Path) -> anyhow::Result<Option<u64>> {
    let part = Reader::open(file)?.read(all(), || true)?;
    Ok(part.guests.iter().map(|guest| guest.newest).max())
}

fn all() -> Asked {
    Asked {
        since: START,
        until: START + (1 << 40),
        step: 1 << 40,
        statistic: Statistic::Max,
    }
}

/// Kills a writer so often, each time after another while; tells after how many of the kills the
/// history opened, was whole, and had every row of every commit that was told.
fn kill(kills: u64, json: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("history.db");
    drop(History::open(&file, bounds())?);
    let program = std::env::current_exe().context("cannot find this program")?;
    let (mut stood, mut commits) = (0, 0);
    let mut told = None;
    for n in 0..kills {
        let mut child = Command::new(&program)
            .args(["bench", "writer", "--history"])
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run this program")?;
        let out = child.stdout.take().context("it has no output")?;
        let killer = std::thread::spawn(move || {
            // From the middle of the opening on, spread over a second.
            std::thread::sleep(Duration::from_millis(5 + n * 379 % 997));
            let killed = child.kill();
            killed.and_then(|()| child.wait())
        });
        for line in BufReader::new(out).lines() {
            // The last may have been cut off in the middle.
            if let Ok(at) = line?.parse::<u64>() {
                told = told.max(Some(at));
                commits += 1;
            }
        }
        killer
            .join()
            .map_err(|_| anyhow::anyhow!("the killer died"))??;
        stood += u64::from(stands(&file, told).unwrap_or(false));
    }
    let target = format!(">= {kills}");
    let what = "history: opens after kill -9, no committed row lost";
    tell(json, what, whole(stood), "kills", &target, stood == kills)?;
    tell(
        json,
        "history: rows committed meanwhile",
        whole(commits * GUESTS),
        "rows",
        "-",
        true,
    )
}

/// A row of the bench; without a target it is only told.
fn tell(
    json: bool,
    what: &str,
    value: f64,
    unit: &str,
    target: &str,
    ok: bool,
) -> anyhow::Result<()> {
    let value = (value * 1000.0).round() / 1000.0;
    let mut out = io::stdout();
    if json {
        let row = json!({ "what": what, "value": value, "unit": unit, "target": target, "ok": ok });
        return Ok(writeln!(out, "{row}")?);
    }
    let mark = match (target, ok) {
        ("-", _) => "    ",
        (_, true) => "ok  ",
        (_, false) => "miss",
    };
    Ok(writeln!(
        out,
        "{mark} {what:<50} {value:>9} {unit:<11} {target}"
    )?)
}

fn whole(n: u64) -> f64 {
    n as f64
}

/// Whether the file is whole and holds every guest's row of every interval up to the one told last.
fn stands(file: &Path, told: Option<u64>) -> anyhow::Result<bool> {
    History::open(file, bounds())?;
    let reader = Reader::open(file)?;
    if !reader.is_whole()? {
        return Ok(false);
    }
    let Some(told) = told else {
        return Ok(true);
    };
    let until = told + STEP;
    // What was committed and not told any more is no part of it.
    let part = reader.read(Asked { until, ..all() }, || true)?;
    let span = (until - START) * 1_000_000;
    Ok(part.guests.len() as u64 == GUESTS && part.guests.iter().all(|g| g.span_us == span))
}

/// Writes a day as the daemon does, and reads it as `export --last 24h` does.
fn day(guests: u64, windows: u64, json: bool) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("history.db");
    let mut history = History::open(&file, bounds())?;
    let mut chance = Chance(7);
    let (mut longest, mut written) = (Duration::ZERO, Duration::ZERO);
    let mut writing = 0.0;
    let intervals = 86400 / STEP;
    for n in 0..intervals {
        let at = START + n * STEP;
        let rows: Vec<Row> = (0..guests)
            .map(|guest| row(guest, at, windows, &mut chance))
            .collect::<anyhow::Result<_>>()?;
        let (start, cpu) = (Instant::now(), Process::now().cpu);
        history.append(&rows, Duration::MAX)?;
        writing += Process::now().cpu - cpu;
        longest = longest.max(start.elapsed());
        written += start.elapsed();
    }
    let bytes = history.extent().bytes;
    let (start, cpu) = (Instant::now(), Process::now().cpu);
    let asked = Asked {
        since: START,
        until: START + 86400,
        step: 290,
        statistic: Statistic::P95,
    };
    let part = Reader::open(&file)?.read(asked, || true)?;
    ensure!(part.guests.len() as u64 == guests, "a guest is missing");
    let (read, reading) = (start.elapsed(), Process::now().cpu - cpu);
    let mib = |bytes: u64| whole(bytes) / f64::from(1 << 20);
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let resident = mib(Process::now().resident);
    for (what, value, unit) in [
        ("size", mib(bytes), "MiB"),
        ("a row", whole(bytes) / whole(intervals * guests), "bytes"),
        ("a commit, mean", ms(written) / whole(intervals), "ms"),
        ("a commit, longest", ms(longest), "ms"),
        ("a commit, CPU", writing * 1e3 / whole(intervals), "ms"),
        ("reading it all", read.as_secs_f64(), "s"),
        ("reading it all, CPU", reading, "s"),
        ("memory at the end", resident, "MiB"),
    ] {
        let what = format!("history of a day, {guests} guests: {what}");
        tell(json, &what, value, unit, "-", true)?;
    }
    Ok(())
}

/// A guest's made row: a third of the guests are idle, a third busy in bursts, a third busy.
fn row(guest: u64, at: u64, windows: u64, chance: &mut Chance) -> anyhow::Result<Row> {
    let name = format!("guest-{guest}").parse()?;
    let mut demands: Vec<u64> = (0..windows)
        .map(|_| match guest % 3 {
            0 => chance.below(30),
            1 if chance.below(10) > 0 => 50 + chance.below(50),
            1 => 500 + chance.below(1500),
            _ => 600 + chance.below(900),
        })
        .collect();
    demands.sort_unstable();
    let mut sketch = Sketch::default();
    demands.iter().for_each(|d| sketch.add(MilliCores(*d), 1));
    let percentile = |p| sketch.percentile(p).unwrap_or(MilliCores::ZERO);
    let run_us = demands.iter().sum::<u64>() * STEP * 1000 / windows.max(1);
    Ok(Row {
        at,
        guest: name,
        uuid: uuid::Uuid::from_u128(u128::from(guest) + 1),
        vcpus: 2,
        tier: Tier::Ebpf,
        span_us: STEP * 1_000_000,
        windows,
        mean: MilliCores(demands.iter().sum::<u64>().div_ceil(windows.max(1))),
        p50: percentile(50),
        p95: percentile(95),
        p99: percentile(99),
        max: percentile(100),
        run_us,
        run_delay_us: chance.below(run_us / 20 + 1),
        throttled_us: 0,
        resident_mib: Some(2048 + guest),
        dirty: (at + guest).is_multiple_of(4).then(|| crate::tick::Dirty {
            pages_per_second: chance.below(50_000),
            tier: Tier::Ebpf,
            at,
        }),
        sketch,
    })
}

/// Numbers that look like chance and are the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}
