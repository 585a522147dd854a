//! `vmpack replay`.

pub(crate) mod curve;
mod over_time;
mod page;
mod surge;
pub(crate) mod trace;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::units::Micros;
use vmpack_planner::import::planetlab::{self, Setup, Trace};
use vmpack_planner::replay::{self, Outcome};

use super::arguments::ReplayArguments;
use super::failure::Failure;
use super::output;
use super::screen::count;
use super::session::Session;
use super::table::table;
use watch::Watching;

/// The line about one policy.
#[derive(Debug, Serialize)]
struct Line<'a> {
    policy: &'a str,
    #[serde(flatten)]
    outcome: &'a Outcome,
    /// Wall time of the replay, packing included.
    seconds: f64,
    /// How much faster than the trace itself.
    times_real: f64,
}

/// Replays the trace under each policy.
pub(crate) fn run(arguments: &ReplayArguments, session: &mut Session) -> Result<Exit, Failure> {
    if arguments.scenario.is_some() {
        return surge::run(arguments, session);
    }
    for name in &arguments.policies {
        replay::policy(name).map_err(|e| Failure::usage(e.to_string()))?;
    }
    let setup = Setup {
        hosts: hosts(arguments),
        memory: arguments.count_memory,
        resting_stay: arguments.keep_resting,
        wake: arguments.wake_time,
        failing: arguments.failing,
        seed: arguments.seed,
        deaths: deaths(arguments)?,
    };
    spare(arguments)?;
    let traces = trace::read(&arguments.trace, arguments.order.as_deref(), session)?;
    session.heed_interrupts();
    for file in arguments.curve.iter().chain(&arguments.report) {
        output::ready(file)?;
    }
    if let Some(file) = &arguments.curve {
        return curve::run(file, arguments, (&traces, &setup), session);
    }
    let mut watch = Watching::new(
        session,
        arguments.events.as_deref(),
        arguments.report.is_some(),
    )?;
    let mut done = Vec::new();
    for name in &arguments.policies {
        let Some((outcome, seconds)) = one(name, &traces, &setup, &mut watch)? else {
            break;
        };
        if arguments.json {
            print_line(name, (&outcome, seconds), planetlab::span(&traces), session)?;
        }
        done.push((name.clone(), outcome, seconds));
    }
    watch.end()?;
    if let Some(report) = &arguments.report {
        let each = done.iter().map(|d| (d.0.clone(), vec![d.clone()]));
        let families: Vec<_> = each.collect();
        output::write_whole(
            report,
            &page::page(&families, watch.looks(), &traces, &setup),
        )?;
    }
    if !arguments.json {
        session.out.write_all(shown(&done).as_bytes())?;
    }
    if session.stopped() {
        writeln!(
            session.err,
            "stopped after {}",
            count(done.len(), "policy").replace("policys", "policies")
        )?;
        return Ok(Exit::NoAnswer);
    }
    Ok(Exit::Done)
}

/// Refuses to write over a trace, their order, or one result over another.
fn spare(arguments: &ReplayArguments) -> Result<(), Failure> {
    let same = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut taken: Vec<PathBuf> = arguments.order.iter().map(|o| same(o)).collect();
    let trace = arguments.trace.get(1);
    taken.extend(trace.and_then(|t| trace::beside(t)).map(|o| same(&o)));
    taken.extend(trace.filter(|t| t.is_file()).map(|t| same(t)));
    let folder = trace.filter(|t| t.is_dir()).map(|t| same(t));
    let written = arguments.events.iter().chain(&arguments.curve);
    for file in written.chain(&arguments.report) {
        if std::fs::metadata(file).is_ok_and(|m| !m.is_file()) {
            continue;
        }
        let file = same(file);
        // A file that is put beside the traces would be taken for one of them.
        let above = file.parent().map(|p| {
            if p.as_os_str().is_empty() {
                Path::new(".")
            } else {
                p
            }
        });
        let among = folder.is_some() && above.map(same) == folder;
        if among || taken.contains(&file) {
            return Err(Failure::usage(format!(
                "{} is read or written already, or stands among the traces, expected another file for a result",
                file.display()
            )));
        }
        taken.push(file);
    }
    Ok(())
}

fn hosts(arguments: &ReplayArguments) -> usize {
    arguments.hosts.unwrap_or(800) as usize
}

/// Hosts are numbered as their names are: `h003` is the fourth.
fn deaths(arguments: &ReplayArguments) -> Result<Vec<(Micros, usize)>, Failure> {
    let wrong = |text: &str| {
        Failure::usage(format!(
            "read `--kill {text}`, expected a host and a time such as `h001@3600s`"
        ))
    };
    let one = |text: &String| {
        let (host, at) = text.split_once('@').ok_or_else(|| wrong(text))?;
        let number = host.strip_prefix('h').and_then(|n| n.parse().ok());
        let number = number.filter(|n| *n < hosts(arguments));
        let at = at.parse().ok();
        number
            .zip(at)
            .map(|(n, at)| (at, n))
            .ok_or_else(|| wrong(text))
    };
    arguments.kill.iter().map(one).collect()
}

fn print_line(
    name: &str,
    (outcome, seconds): (&Outcome, f64),
    span: Micros,
    session: &mut Session,
) -> Result<(), Failure> {
    let line = Line {
        policy: name,
        outcome,
        seconds,
        times_real: span.0 as f64 / 1e6 / seconds.max(1e-9),
    };
    let text = serde_json::to_string(&line)
        .map_err(|e| Failure::new(Exit::Bug, format!("a result has no JSON: {e}")))?;
    writeln!(session.out, "{text}")?;
    Ok(())
}

/// `None` when it was stopped.
fn one(
    name: &str,
    traces: &[Trace],
    setup: &Setup,
    watch: &mut Watching,
) -> Result<Option<(Outcome, f64)>, Failure> {
    let mut policy = replay::policy(name).map_err(|e| Failure::usage(e.to_string()))?;
    let fleet = planetlab::fleet(traces, setup);
    watch.begin(name);
    let began = Instant::now();
    let outcome = replay::replay(fleet, &mut *policy, planetlab::span(traces), watch);
    let seconds = began.elapsed().as_secs_f64();
    watch.failed()?;
    Ok((!watch.stopped()).then_some((outcome, seconds)))
}

fn shown(done: &[(String, Outcome, f64)]) -> String {
    let rows = done.iter().map(|(name, o, seconds)| {
        [
            name.clone(),
            format!("{:.2}", o.kwh),
            o.migrations.to_string(),
            format!("{:.5}", o.slav * 100.0),
            format!("{:.2}", o.slatah * 100.0),
            format!("{:.3}", o.pdm * 100.0),
            format!("{:.3}", o.unserved * 100.0),
            format!("{:.0}", o.host_hours),
            format!("{:.0}", o.relief_p95),
            format!("{seconds:.1}"),
        ]
    });
    let header = [
        "policy",
        "kWh",
        "migrations",
        "SLAV %",
        "SLATAH %",
        "PDM %",
        "unserved %",
        "host hours",
        "relief p95 s",
        "seconds",
    ];
    table(header, rows, 1..10)
}
