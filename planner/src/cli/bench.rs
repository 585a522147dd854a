//! `vmpack bench`: the planner's own stages on published instances.

mod check;
mod clock;
pub(crate) mod relief;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use vmpack_domain::Policy;
use vmpack_domain::digest;
use vmpack_domain::exit::Exit;
use vmpack_planner::packing::{self, Format, Packed, Packing};
use vmpack_planner::search::Search;

use clock::Clock;

use super::arguments::{BenchKind, BenchMovesArguments, BenchPackArguments};
use super::failure::Failure;
use super::inputs::micros;
use super::screen::count;
use super::session::Session;
use super::sources;
use super::table::table;
use super::talk::Progress;

/// The line about one instance.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    file: String,
    /// Of the file's text.
    digest: String,
    items: usize,
    resources: usize,
    hosts: usize,
    bound: usize,
    optimal: bool,
    /// Which method found the bound.
    origin: String,
    seconds: f64,
}

pub(crate) fn run(kind: &BenchKind, session: &mut Session) -> Result<Exit, Failure> {
    match kind {
        BenchKind::Pack(arguments) => pack(arguments, session),
        BenchKind::Check(arguments) => check::run(arguments, session),
        BenchKind::Moves(arguments) => moves(arguments, session),
        BenchKind::Relief(arguments) => relief::run(arguments, session),
    }
}

fn pack(arguments: &BenchPackArguments, session: &mut Session) -> Result<Exit, Failure> {
    let mut policy = Policy::default();
    arguments.limits.apply(&mut policy);
    let (done, mut record) = match &arguments.record {
        Some(path) => {
            let (done, file) = resumed(path)?;
            (done, Some((path, file)))
        }
        None => (BTreeSet::new(), None),
    };
    if let Some(folder) = &arguments.certificates {
        std::fs::create_dir_all(folder).map_err(|e| Failure::environment("make", folder, &e))?;
    }
    session.heed_interrupts();
    let mut lines = Vec::new();
    let mut end = Exit::Done;
    let mut skipped = 0;
    for path in &arguments.files {
        let (packing, digest) = instance(path, arguments.format, session)?;
        let folder = arguments.certificates.as_deref();
        let certified = folder.is_none_or(|folder| {
            let beside = check::certificate_path(folder, path, &digest);
            beside.exists()
        });
        if done.contains(&digest) && certified {
            skipped += 1;
            continue;
        }
        let clock = Clock::start(arguments.cpu_time);
        let (line, packed) = pack_one(path, &packing, digest, &policy, &clock, session);
        // What was cut short is no measurement.
        if session.stopped() {
            writeln!(
                session.err,
                "stopped after {}",
                count(lines.len(), "instance")
            )?;
            end = Exit::NoAnswer;
            break;
        }
        if let Some(folder) = folder {
            let to = check::certificate_path(folder, path, &line.digest);
            let text = json(&packed.certificate(&line.digest))?;
            std::fs::write(&to, text).map_err(|e| Failure::environment("write", &to, &e))?;
        }
        let text = json(&line)?;
        if let Some((path, file)) = &mut record {
            writeln!(file, "{text}").map_err(|e| Failure::environment("write", path, &e))?;
        }
        if arguments.json {
            writeln!(session.out, "{text}")?;
        }
        lines.push(line);
    }
    if skipped > 0 {
        writeln!(session.err, "{} done before", count(skipped, "instance"))?;
    }
    if !arguments.json {
        let rows = lines.iter().map(|l| {
            [
                l.file.clone(),
                l.items.to_string(),
                l.hosts.to_string(),
                l.bound.to_string(),
                if l.optimal { "yes" } else { "no" }.into(),
                format!("{:.2}", l.seconds),
                l.origin.clone(),
            ]
        });
        let header = [
            "file", "items", "hosts", "bound", "optimal", "seconds", "bound by",
        ];
        session
            .out
            .write_all(table(header, rows, 1..6).as_bytes())?;
        let closed = lines.iter().filter(|l| l.optimal).count();
        writeln!(
            session.out,
            "{closed} of {} proven optimal",
            count(lines.len(), "instance")
        )?;
    }
    Ok(end)
}

fn instance(
    path: &Path,
    format: Option<Format>,
    session: &mut Session,
) -> Result<(Packing, String), Failure> {
    let format = format.or_else(|| Format::of(path)).ok_or_else(|| {
        Failure::usage(format!(
            "{} has a name that tells no format, expected `--format vbp` or `--format bpplib`",
            path.display()
        ))
    })?;
    let source = sources::read_one(path, &mut session.stdin)?;
    let packing = packing::read(&source.text, format)
        .map_err(|e| Failure::input(format!("{}:{}: {}", path.display(), e.line, e.what)))?;
    Ok((packing, digest::of_bytes(source.text.as_bytes())))
}

fn pack_one(
    path: &Path,
    packing: &Packing,
    digest: String,
    policy: &Policy,
    clock: &Clock,
    session: &Session,
) -> (Line, Packed) {
    let mut progress = Progress::new(session.progress);
    let packed = packing.pack(
        policy,
        &mut Search {
            elapsed: &|| clock.elapsed(),
            stop: &|| session.stopped(),
            report: &mut |step| progress.hear(step),
        },
    );
    progress.end();
    let line = Line {
        file: path.display().to_string(),
        digest,
        items: packing.items.len(),
        resources: packing.room.len(),
        optimal: packed.is_optimal(),
        hosts: packed.hosts,
        bound: packed.bound,
        origin: packed.origin.clone(),
        seconds: rounded(clock.elapsed().to_std().as_secs_f64()),
    };
    (line, packed)
}

/// The digests of the instances in a record, and the record opened for more. A last line without an
/// end was cut off by the end of an earlier run: it is left out, and its instance measured again.
fn resumed(path: &PathBuf) -> Result<(BTreeSet<String>, std::fs::File), Failure> {
    let failed = |e: std::io::Error| Failure::environment("read", path, &e);
    let other = |number: usize, e: &dyn std::fmt::Display| {
        Failure::input(format!(
            "{}:{number}: expected a line of an earlier `vmpack bench pack`: {e}",
            path.display()
        ))
    };
    // One that never ends would be read for ever.
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        return Err(Failure::usage(format!(
            "{} is no regular file, expected one for a record",
            path.display()
        )));
    }
    let text = match path.try_exists() {
        Ok(true) => sources::open(path)?.text,
        Ok(false) => String::new(),
        Err(e) => return Err(failed(e)),
    };
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    let mut done = BTreeSet::new();
    for (line, number) in text[..whole].lines().zip(1..) {
        let line: Line = serde_json::from_str(line).map_err(|e| other(number, &e))?;
        done.insert(line.digest);
    }
    // Only what an earlier run began to write is left out.
    let (cut, start) = (&text[whole..], "{\"file\":");
    if !cut.starts_with(start) && !start.starts_with(cut) {
        let number = text[..whole].lines().count() + 1;
        return Err(other(number, &"the last one is no part of one"));
    }
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| Failure::environment("write", path, &e))?;
    if whole < text.len() {
        file.set_len(whole as u64)
            .map_err(|e| Failure::environment("write", path, &e))?;
    }
    Ok((done, file))
}

/// The line about the moves of one instance.
#[derive(Debug, Serialize)]
struct MovesLine {
    file: String,
    items: usize,
    /// The fewest found, and nothing uses fewer than the bound.
    fewest_hosts: usize,
    fewest_bound: usize,
    /// Used by these moves.
    hosts: usize,
    moves: usize,
    moved: i64,
    moved_bound: i64,
    /// (moved − bound) ÷ bound; absent where the bound is 0.
    gap: Option<f64>,
    origin: String,
    seconds: f64,
}

fn moves(arguments: &BenchMovesArguments, session: &mut Session) -> Result<Exit, Failure> {
    let mut policy = Policy::default();
    arguments.limits.apply(&mut policy);
    session.heed_interrupts();
    let mut lines = Vec::new();
    let mut end = Exit::Done;
    for path in &arguments.files {
        let (packing, _) = instance(path, Some(Format::Vbp), session)?;
        let beside = path.with_extension("cur");
        let source = sources::read_one(&beside, &mut session.stdin)?;
        let current = packing::read_current(&source.text, packing.items.len())
            .map_err(|e| Failure::input(format!("{}:{}: {}", beside.display(), e.line, e.what)))?;
        let began = Instant::now();
        let mut progress = Progress::new(session.progress);
        let found = packing.consolidate(
            &current,
            usize::from(arguments.more_hosts),
            &policy,
            &mut Search {
                elapsed: &|| micros(began),
                stop: &|| session.stopped(),
                report: &mut |step| progress.hear(step),
            },
        );
        progress.end();
        if session.stopped() {
            writeln!(
                session.err,
                "stopped after {}",
                count(lines.len(), "instance")
            )?;
            end = Exit::NoAnswer;
            break;
        }
        let Some((fewest, moved)) = found else {
            writeln!(
                session.err,
                "{}: no packing was found on its hosts",
                path.display()
            )?;
            continue;
        };
        let gap = (moved.memory - moved.bound) as f64 / moved.bound as f64;
        let line = MovesLine {
            file: path.display().to_string(),
            items: packing.items.len(),
            fewest_hosts: fewest.hosts,
            fewest_bound: fewest.bound,
            hosts: moved.hosts,
            moves: moved.moves,
            moved: moved.memory,
            moved_bound: moved.bound,
            gap: (moved.bound > 0).then_some((gap * 1e6).round() / 1e6),
            origin: moved.origin,
            seconds: seconds(began),
        };
        if arguments.json {
            writeln!(session.out, "{}", json(&line)?)?;
        }
        lines.push(line);
    }
    if !arguments.json {
        let rows = lines.iter().map(|l| {
            [
                l.file.clone(),
                l.items.to_string(),
                format!("{} ({})", l.fewest_hosts, l.fewest_bound),
                l.hosts.to_string(),
                l.moves.to_string(),
                l.moved.to_string(),
                l.moved_bound.to_string(),
                l.gap.map_or("-".into(), |g| format!("{:.2}%", g * 100.0)),
                format!("{:.2}", l.seconds),
            ]
        });
        let header = [
            "file", "items", "fewest", "hosts", "moves", "moved", "bound", "gap", "seconds",
        ];
        session
            .out
            .write_all(table(header, rows, 1..9).as_bytes())?;
    }
    Ok(end)
}

fn seconds(began: Instant) -> f64 {
    rounded(began.elapsed().as_secs_f64())
}

/// To the millisecond.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// A result on one line.
fn json<T: Serialize>(line: &T) -> Result<String, Failure> {
    serde_json::to_string(line)
        .map_err(|e| Failure::new(Exit::Bug, format!("a result has no JSON: {e}")))
}
