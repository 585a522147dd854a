//! `vmpack replay`.

pub(crate) mod curve;
mod over_time;
mod own;
mod page;
mod surge;
pub(crate) mod trace;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::units::Micros;
use vmpack_planner::import::planetlab::{self, Setup};
use vmpack_planner::replay::{self, Outcome};
use vmpack_planner::whatif::Scene;
use vmpack_sim::fleet::Fleet;

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

/// The longest time that a host may take to wake.
const LONGEST_WAKE: Micros = Micros::secs(86_400);

/// What is replayed.
pub(crate) struct Played {
    /// At the start.
    fleet: Fleet,
    until: Micros,
    /// Of an operator's own cluster.
    scene: Option<Scene>,
    /// What it is, for people.
    made: String,
}

impl Played {
    fn policy(&self, name: &str) -> Result<Box<dyn replay::Policy>, Failure> {
        replay::policy(name, self.scene.as_ref()).map_err(|e| Failure::usage(e.to_string()))
    }
}

/// Replays the trace or cluster under each policy.
pub(crate) fn run(arguments: &ReplayArguments, session: &mut Session) -> Result<Exit, Failure> {
    if arguments.scenario.is_some() {
        return surge::run(arguments, session);
    }
    if let Some(wake) = arguments.wake_time.filter(|w| *w > LONGEST_WAKE) {
        return Err(Failure::usage(format!(
            "read `--wake-time {wake}`, expected {LONGEST_WAKE} at most"
        )));
    }
    let own = arguments.own.inputs();
    let usual: &[&str] = match own {
        Some(_) => &["none", "lr-mmt", "plan"],
        None => &["lr-mmt", "vmpack"],
    };
    let mut policies = arguments.policies.clone();
    if policies.is_empty() {
        policies = usual.iter().map(|p| (*p).to_owned()).collect();
    }
    let played = match own {
        Some(inputs) => own::read(&inputs, arguments, session)?,
        None => traced(arguments, &policies, session)?,
    };
    for name in &policies {
        played.policy(name)?;
    }
    session.heed_interrupts();
    for file in arguments.curve.iter().chain(&arguments.report) {
        output::ready(file)?;
    }
    if let Some(file) = &arguments.curve {
        return curve::run(file, arguments, (&played, &policies), session);
    }
    let mut watch = Watching::new(
        session,
        arguments.events.as_deref(),
        arguments.report.is_some(),
    )?;
    let mut done = Vec::new();
    for name in &policies {
        let Some((outcome, seconds)) = one(name, &played, &mut watch)? else {
            break;
        };
        if arguments.json {
            print_line(name, (&outcome, seconds), played.until, session)?;
        }
        done.push((name.clone(), outcome, seconds));
    }
    watch.end()?;
    if let Some(report) = &arguments.report {
        let each = done.iter().map(|d| (d.0.clone(), vec![d.clone()]));
        let families: Vec<_> = each.collect();
        output::write_whole(report, &page::page(&families, watch.looks(), &played))?;
    }
    if !arguments.json {
        session.out.write_all(shown(&done).as_bytes())?;
    }
    for (name, o, _) in done.iter().filter(|d| d.1.left + d.1.waiting > 0) {
        writeln!(
            session.err,
            "{name}: at the end {} had left, as they wanted nothing (`--keep-resting` keeps them), and {} had no place",
            count(o.left, "guest"),
            o.waiting
        )?;
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

/// A trace in CloudSim's world.
fn traced(
    arguments: &ReplayArguments,
    policies: &[String],
    session: &mut Session,
) -> Result<Played, Failure> {
    for name in policies {
        replay::policy(name, None).map_err(|e| Failure::usage(e.to_string()))?;
    }
    let named = |name: &str| {
        let number = name.strip_prefix('h').and_then(|n| n.parse().ok());
        number.filter(|n| *n < hosts(arguments))
    };
    let setup = Setup {
        hosts: hosts(arguments),
        memory: arguments.count_memory,
        resting_stay: arguments.keep_resting,
        wake: arguments.wake_time,
        failing: arguments.failing,
        seed: arguments.seed,
        deaths: deaths(arguments, named)?,
    };
    spare(arguments)?;
    let traces = trace::read(&arguments.trace, arguments.order.as_deref(), session)?;
    let memory = match setup.memory {
        true => "memory limits every migration",
        false => "memory limits where guests start",
    };
    Ok(Played {
        fleet: planetlab::fleet(&traces, &setup),
        until: planetlab::span(&traces),
        scene: None,
        made: memory.to_owned(),
    })
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

/// Which hosts die and when: `HOST@TIME`, with what a host's name stands for.
fn deaths<T>(
    arguments: &ReplayArguments,
    named: impl Fn(&str) -> Option<T>,
) -> Result<Vec<(Micros, T)>, Failure> {
    let one = |text: &String| {
        let (host, at) = text.split_once('@')?;
        Some((at.parse().ok()?, named(host)?))
    };
    let wrong = |text: &String| {
        Failure::usage(format!(
            "read `--kill {text}`, expected a host and a time such as `h001@3600s`"
        ))
    };
    let all = arguments.kill.iter();
    all.map(|text| one(text).ok_or_else(|| wrong(text)))
        .collect()
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
    played: &Played,
    watch: &mut Watching,
) -> Result<Option<(Outcome, f64)>, Failure> {
    let mut policy = played.policy(name)?;
    let fleet = played.fleet.clone();
    watch.begin(name, policy.full_power());
    let began = Instant::now();
    let outcome = replay::replay(fleet, &mut *policy, played.until, watch);
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
