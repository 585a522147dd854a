//! `vmpack whatif`.

use serde::Serialize;
use vmpack_domain::Cluster;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{Kind, Source, kind_of, parse, read_cluster, read_load};
use vmpack_domain::units::MiB;
use vmpack_planner::whatif::{Edit, apply};
use vmpack_planner::{Status, Summary, summary};

use super::arguments::{EditArguments, WhatifArguments};
use super::failure::Failure;
use super::inputs::Texts;
use super::report::ways_out;
use super::screen::{Look, Screen, memory};
use super::session::Session;
use super::table::table;
use super::{inputs, plan, sources};

/// Both answers and what lies between them.
#[derive(Serialize)]
struct Answer<'a> {
    today: &'a Summary,
    what_if: &'a Summary,
    difference: Difference,
}

/// What if, less today; absent where one of the two has no plan.
#[derive(Serialize)]
struct Difference {
    hosts_after: Option<i64>,
    hosts_bound: Option<i64>,
    moves: Option<i64>,
    move_mib: Option<i64>,
}

/// Plans today and the changed cluster, and tells the difference.
pub(crate) fn run(arguments: &WhatifArguments, session: &mut Session) -> Result<Exit, Failure> {
    let (inputs, texts) = inputs::read_with_sources(&arguments.inputs, &arguments.limits, session)?;
    let edits = edits(&arguments.edits, texts, session)?;
    let (cluster, load, policy) = (&inputs.cluster, &inputs.load, &inputs.policy);
    let (changed, changed_load) =
        apply(cluster, load, &edits).map_err(|e| Failure::input(e.to_string()))?;
    let planned = inputs::plan(cluster, load, policy, session);
    let today = Summary {
        ways_out: planned.ways_out,
        ..summary(cluster, load, policy, &planned.outcome, planned.seconds)
    };
    let planned = inputs::plan(&changed, &changed_load, policy, session);
    let (outcome, seconds) = (&planned.outcome, planned.seconds);
    let then = Summary {
        ways_out: planned.ways_out,
        ..summary(&changed, &changed_load, policy, outcome, seconds)
    };
    if session.stopped() {
        writeln!(session.err, "stopped; these are the best so far")?;
    }
    if arguments.json {
        session.print_json(&Answer {
            today: &today,
            what_if: &then,
            difference: difference(&today, &then),
        })?;
    } else {
        let text = report(&today, &then, session.screen);
        session.out.write_all(text.as_bytes())?;
    }
    Ok(plan::exit(&planned.outcome, false))
}

fn edits(
    arguments: &EditArguments,
    texts: Texts,
    session: &mut Session,
) -> Result<Vec<Edit>, Failure> {
    let mut edits: Vec<Edit> = Vec::new();
    edits.extend(arguments.drain.iter().cloned().map(Edit::Drain));
    edits.extend(arguments.fail.iter().cloned().map(Edit::Fail));
    edits.extend(arguments.add_hosts.iter().map(|new| Edit::AddHosts {
        count: new.count,
        cpu: new.cpu,
        memory: new.memory,
    }));
    let added = sources::read(&arguments.add_guests, &mut session.stdin)?;
    if !added.is_empty() {
        edits.push(new_guests(added, texts)?);
    }
    // Last, so that guests that are added grow too.
    edits.extend(arguments.scale_load.map(Edit::ScaleLoad));
    Ok(edits)
}

/// The guests to add and their load, which may say nothing that the inputs say already.
fn new_guests(added: Vec<Source>, mut texts: Texts) -> Result<Edit, Failure> {
    let (mut guests, mut loads) = (Vec::new(), Vec::new());
    for source in added {
        match kind_of(&source)? {
            Kind::Cluster => {
                let part: Cluster = parse(&source, Kind::Cluster)?;
                if let Some(host) = part.hosts.first() {
                    return Err(Failure::input(format!(
                        "{}: read host `{}` among the guests to add, expected guests only",
                        source.name, host.name
                    ))
                    .hint("hosts are added by `--add-hosts N,CPU,MEMORY`"));
                }
                guests.extend(part.guests);
                texts.cluster.push(source);
            }
            Kind::Load => loads.push(source),
            other => {
                return Err(Failure::input(format!(
                    "{}: read kind `{}`, expected a Cluster with the guests to add, or their Load",
                    source.name,
                    other.name()
                )));
            }
        }
    }
    // With what is there already, so that a name given twice is told with its place.
    read_cluster(&texts.cluster)?;
    let load = read_load(&loads)?;
    texts.load.extend(loads);
    read_load(&texts.load)?;
    Ok(Edit::AddGuests(guests, load))
}

fn difference(today: &Summary, then: &Summary) -> Difference {
    let both = |a: Option<i64>, b: Option<i64>| Some(b? - a?);
    let has_plan = |s: &Summary| s.hosts_after.is_some();
    let moves = |s: &Summary| has_plan(s).then(|| signed(s.moves.len() as u64));
    Difference {
        hosts_after: both(
            today.hosts_after.map(|n| signed(n as u64)),
            then.hosts_after.map(|n| signed(n as u64)),
        ),
        hosts_bound: both(
            today.hosts_bound.map(i64::from),
            then.hosts_bound.map(i64::from),
        ),
        moves: both(moves(today), moves(then)),
        move_mib: both(today.move_mib.map(signed), then.move_mib.map(signed)),
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn report(today: &Summary, then: &Summary, screen: Screen) -> String {
    let difference = difference(today, then);
    let number = |n: Option<String>| n.unwrap_or_else(|| "-".into());
    let change = |n: Option<i64>| match n {
        Some(0) => "same".to_owned(),
        Some(n) => format!("{n:+}"),
        None => String::new(),
    };
    let memory_change = difference.move_mib.map(|n| match n {
        0 => "same".to_owned(),
        n => {
            let sign = if n < 0 { '-' } else { '+' };
            format!("{sign}{}", memory(MiB(n.unsigned_abs())))
        }
    });
    let count = |s: &Summary| s.hosts_after.map(|_| s.moves.len().to_string());
    let moved = |s: &Summary| s.move_mib.map(|m| memory(MiB(m)));
    let row = |name: &str, of: &dyn Fn(&Summary) -> Option<String>, change: String| {
        [name.to_owned(), number(of(today)), number(of(then)), change]
    };
    let planned = |s: &Summary| s.hosts_after.map(|n| n.to_string());
    let bound = |s: &Summary| s.hosts_bound.map(|n| n.to_string());
    let rows = [
        row("answer", &|s| Some(s.status.name().into()), String::new()),
        row(
            "hosts in use now",
            &|s| Some(s.hosts_before.to_string()),
            String::new(),
        ),
        row("hosts planned", &planned, change(difference.hosts_after)),
        row("hosts at least", &bound, change(difference.hosts_bound)),
        row("moves", &count, change(difference.moves)),
        row("memory moved", &moved, memory_change.unwrap_or_default()),
    ];
    let mut text = table(["", "today", "what if", "difference"], rows, 1..4);
    for (when, answer) in [("today", today), ("what if", then)] {
        if matches!(answer.status, Status::Infeasible | Status::NoAnswer) {
            let line = format!("{when}: {}", answer.status.name());
            text += &format!("{}\n", screen.paint(Look::Bad, &line));
            for reason in &answer.reasons {
                text += &format!("  {reason}\n");
            }
            text += &ways_out(answer, screen);
        }
    }
    text
}
