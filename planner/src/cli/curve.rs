//! `vmpack plan --curve`.

use schemars::JsonSchema;
use serde::Serialize;
use vmpack_domain::exit::Exit;
use vmpack_domain::plan::Outcome;
use vmpack_domain::units::MiB;
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_planner::Status;
use vmpack_planner::curve::{Curve, Point, curve};
use vmpack_planner::search::Search;

use super::failure::Failure;
use super::inputs::micros;
use super::screen::{count, time};
use super::session::Session;
use super::table::table;
use super::talk::Progress;

/// The curve in plain numbers.
#[derive(Debug, Serialize, JsonSchema)]
struct Lines {
    /// How the search for the fewest hosts ended.
    status: Status,
    hosts_before: usize,
    hosts_bound: Option<usize>,
    cost_bound: Option<f64>,
    bound_origin: Option<String>,
    points: Vec<Line>,
    seconds: f64,
    /// Why there is no curve.
    reasons: Vec<String>,
}

/// A point of it.
#[derive(Debug, Serialize, JsonSchema)]
struct Line {
    hosts: usize,
    cost: f64,
    moves: usize,
    move_mib: u64,
    move_mib_bound: u64,
    /// (moved − bound) ÷ bound; absent where the bound is 0.
    gap: Option<f64>,
    bound_origin: String,
    /// The predicted lengths of the migrations, added up.
    move_work_seconds: f64,
    /// Predicted time from the first migration's start to the last one's end.
    move_seconds: f64,
    reachable: bool,
}

/// Prints hosts against migrations, from the fewest hosts to so many more.
pub(crate) fn run(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    more: u16,
    json: bool,
    session: &mut Session,
) -> Result<Exit, Failure> {
    session.heed_interrupts();
    let began = std::time::Instant::now();
    let mut progress = Progress::new(session.progress);
    let outcome = curve(
        cluster,
        load,
        policy,
        usize::from(more),
        &mut Search {
            elapsed: &|| micros(began),
            stop: &|| session.stopped(),
            report: &mut |step| progress.hear(step),
        },
    );
    progress.end();
    let seconds = began.elapsed().as_secs_f64();
    let (status, found, reasons, exit) = match outcome {
        Outcome::Optimal(curve) => (Status::Optimal, Some(curve), vec![], Exit::Done),
        Outcome::Feasible(curve) => (Status::Feasible, Some(curve), vec![], Exit::Done),
        Outcome::Infeasible(reasons) => (Status::Infeasible, None, reasons, Exit::Infeasible),
        Outcome::NoAnswer { limit } => (Status::NoAnswer, None, vec![limit], Exit::NoAnswer),
    };
    let before = cluster.hosts_in_use().len();
    if json {
        session.print_json(&Lines {
            status,
            hosts_before: before,
            hosts_bound: found.as_ref().map(|c| c.hosts_bound),
            cost_bound: found.as_ref().map(|c| plain(c.cost_bound.0)),
            bound_origin: found.as_ref().map(|c| c.origin.clone()),
            points: found.iter().flat_map(|c| &c.points).map(line).collect(),
            seconds,
            reasons,
        })?;
        return Ok(exit);
    }
    let text = match &found {
        Some(curve) => text(curve, before, status),
        None => {
            let line = match status {
                Status::Infeasible => "infeasible: no placement keeps all that is asked",
                _ => "no answer within the limits",
            };
            let reasons = reasons.iter().map(|r| format!("  {r}\n"));
            format!("{line}\n{}", reasons.collect::<String>())
        }
    };
    session.out.write_all(text.as_bytes())?;
    if session.stopped() && found.is_some() {
        writeln!(session.err, "stopped; this is the best so far")?;
    }
    Ok(exit)
}

/// Thousandths as a number.
fn plain(thousandths: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a sum of hosts' costs")]
    let plain = thousandths as f64 / 1000.0;
    plain
}

fn line(point: &Point) -> Line {
    Line {
        hosts: point.hosts,
        cost: plain(point.cost.0),
        moves: point.moves,
        move_mib: point.memory.0,
        move_mib_bound: point.memory_bound.0,
        gap: gap(point.memory, point.memory_bound),
        bound_origin: point.origin.clone(),
        move_work_seconds: point.work.to_std().as_secs_f64(),
        move_seconds: point.takes.to_std().as_secs_f64(),
        reachable: point.reachable,
    }
}

/// How far from the bound at most, as a share of it, rounded up to a hundredth of a percent.
fn gap(moved: MiB, bound: MiB) -> Option<f64> {
    let beyond = moved.saturating_sub(bound).0.saturating_mul(10_000);
    let gap = match bound.0 {
        0 if moved.0 > 0 => return None,
        bound => beyond.div_ceil(bound.max(1)),
    };
    #[expect(clippy::cast_precision_loss, reason = "a ratio")]
    let gap = gap as f64 / 10_000.0;
    Some(gap)
}

/// In one unit, so that the points compare at a glance; rounded to a tenth of a GiB.
fn gib(amount: MiB) -> String {
    let tenths = (amount.0 * 10 + 512) / 1024;
    format!("{}.{} GiB", tenths / 10, tenths % 10)
}

fn text(curve: &Curve, before: usize, status: Status) -> String {
    let fewest = match status {
        Status::Optimal => "the fewest is proven",
        _ => "fewer may do",
    };
    let costs = curve
        .points
        .iter()
        .any(|p| p.cost.0 != p.hosts as u64 * 1000);
    let rows = curve.points.iter().map(|p| {
        [
            p.hosts.to_string(),
            if costs {
                p.cost.to_string()
            } else {
                String::new()
            },
            p.moves.to_string(),
            gib(p.memory),
            gib(p.memory_bound),
            gap(p.memory, p.memory_bound).map_or("-".into(), |g| format!("{:.2}%", g * 100.0)),
            time(p.work),
            time(p.takes),
            if p.reachable {
                String::new()
            } else {
                "no order of migrations leads there".into()
            },
        ]
    });
    let cost = if costs { "cost" } else { "" };
    let header = [
        "hosts", cost, "moves", "moved", "at least", "gap", "work", "takes", "",
    ];
    format!(
        "{} now, at least {} needed ({}); {fewest}\n\n{}",
        count(before, "host"),
        curve.hosts_bound,
        curve.origin,
        table(header, rows, 0..8)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_rounded_up_and_open_where_there_is_no_bound() {
        let of = |moved, bound| gap(MiB(moved), MiB(bound));
        assert_eq!(of(8, 8), Some(0.0));
        assert_eq!(of(0, 0), Some(0.0));
        assert_eq!(of(1, 0), None);
        assert_eq!(of(1_000_001, 1_000_000), Some(0.0001));
    }
}
