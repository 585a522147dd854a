//! Hosts against migrations: what each of a few more hosts than the fewest saves. The last host is
//! usually the dearest.
//!
//! The fewest hosts are sought once; from there the budget of hosts rises by the cheapest host that
//! is not in use, and each budget's search starts from the answer of the one before.

use vmpack_domain::plan::Outcome;
use vmpack_domain::units::{MiB, Micros, Ratio};
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_ilp::bound;

use crate::assemble::{agreed, memory_bound, unsigned};
use crate::effort::Effort;
use crate::explain;
use crate::instance::Instance;
use crate::moves;
use crate::pack::{Answer, Packed};
use crate::schedule::migrations::migrations;
use crate::schedule::{Order, order};
use crate::search::{Search, Step};
use crate::trade::budgets;
use crate::windows::Windows;

/// Hosts against migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Curve {
    /// No placement costs less.
    pub cost_bound: Ratio,
    /// No placement uses fewer hosts.
    pub hosts_bound: usize,
    /// How these bounds were found.
    pub origin: String,
    /// The fewest hosts first; each point has more hosts and less memory moved than the one before.
    pub points: Vec<Point>,
}

/// The cheapest migrations found to hosts of some cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point {
    /// Hosts in use.
    pub hosts: usize,
    /// What they cost.
    pub cost: Ratio,
    /// Migrations, with those that only make room; where no order of migrations leads there, the
    /// guests that would change their host.
    pub moves: usize,
    /// Memory of the guests that change their host.
    pub memory: MiB,
    /// No placement at that cost moves less.
    pub memory_bound: MiB,
    /// How that bound was found.
    pub origin: String,
    /// The predicted lengths of the migrations, added up.
    pub work: Micros,
    /// Predicted time from the first migration's start to the last one's end.
    pub takes: Micros,
    /// Whether an order of migrations leads there.
    pub reachable: bool,
}

/// The curve from the fewest hosts to so many more, as far as more hosts save any migration.
pub fn curve(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    more: usize,
    search: &mut Search,
) -> Outcome<Curve> {
    let problem = match explain::problem(cluster, load, policy, search) {
        Ok(problem) => problem,
        Err(reasons) => return Outcome::Infeasible(reasons),
    };
    let mut windows = Windows::first(&problem);
    let mut bound = bound::hosts(&windows.seen(&problem));
    let whole = match Instance::build(&problem) {
        Ok(whole) => whole,
        Err(reasons) => return Outcome::Infeasible(reasons),
    };
    (search.report)(Step::Phase("pack"));
    let packed = windows.packed(&whole, &mut bound, 300, policy, search);
    let mut packed = match packed {
        Answer::Found(packed) => packed,
        Answer::Impossible => {
            return Outcome::Infeasible(explain::conflict(cluster, load, policy, search));
        }
        Answer::Nothing(limit) => return Outcome::NoAnswer { limit },
    };
    (search.report)(Step::Phase("moves"));
    let bound = agreed(bound, packed.cost, packed.awake.len());
    let proven = packed.cost == bound.cost;
    let floor = bound::moves(&problem, i64::MAX).least;
    let mut points: Vec<Point> = Vec::new();
    for (left, budget) in (1..=more as u64 + 1).rev().zip(budgets(&problem, &packed)) {
        let mut effort = Effort::share(search, policy, 1000 / left);
        let (found, least) = windows.cheapest(&whole, packed, budget, |inst, packed| {
            moves::cheapest(inst, packed, budget, policy, &mut effort, search.report)
        });
        packed = found;
        let least = memory_bound(policy, &problem, packed.cost, least);
        let mut point = point((cluster, load, policy), &whole, &packed, least);
        // A search with more hosts may come upon what one with fewer missed.
        while let Some(last) = points.last()
            && last.cost >= point.cost
        {
            (point.memory_bound, point.origin) = (last.memory_bound, last.origin.clone());
            points.pop();
        }
        if points.last().is_none_or(|last| point.memory < last.memory) {
            points.push(point);
        }
        if whole.moved(&packed.at) <= floor || (search.stop)() {
            break;
        }
    }
    let curve = Curve {
        cost_bound: Ratio(unsigned(bound.cost)),
        hosts_bound: bound.hosts,
        origin: bound.origin,
        points,
    };
    if proven {
        Outcome::Optimal(curve)
    } else {
        Outcome::Feasible(curve)
    }
}

fn point(
    inputs: (&Cluster, &Load, &Policy),
    whole: &Instance,
    packed: &Packed,
    least: bound::MovesBound,
) -> Point {
    let problem = whole.problem;
    let placement = whole.placement(&packed.at);
    let moved = || {
        let guests = problem.guests.iter().zip(&placement);
        guests.filter(|(g, h)| g.current.is_some_and(|c| c != **h))
    };
    let (hops, reachable) = match order(problem, &placement, inputs.2.limits.seed) {
        Order::Whole(hops) => (hops, true),
        Order::Stuck { hops, .. } => (hops, false),
    };
    let (made, takes, _) = migrations(inputs, problem, &hops, |_| String::new());
    Point {
        hosts: packed.awake.len(),
        cost: Ratio(unsigned(packed.cost)),
        moves: if reachable {
            hops.len()
        } else {
            moved().count()
        },
        memory: MiB(moved().map(|(g, _)| unsigned(g.memory)).sum()),
        memory_bound: MiB(unsigned(least.least)),
        origin: least.origin,
        work: made.iter().map(|m| m.duration).sum(),
        takes: takes.objective,
        reachable,
    }
}
