//! Stage 2: the cheapest moves at a given cost of hosts. The price of a move is the guest's memory in
//! MiB, or what the policy's objective says.
//!
//! Sets, the variables x, y and e, and the rows (once), (room), (window), (exempt), (lowest), (linked), (order)
//! and (first) are those of `grid.rs`; the rules' rows stand in [`crate::rule`]. Hosts where guests run now are each
//! a class of their own.
//!
//! Objective: min Σ_{g runs on c} Σ_{h≠c} `price[g]·x[g,h]`, which by (once) is
//! Σ_g `price[g]·(1 − x[g,c])`; a guest that waits for a host costs nothing. In units of the
//! greatest common divisor of the prices.
//!
//! Constraints:
//! - (once), (room), (order), (first), the rules' rows
//! - (stay) `x[g,c]` ≤ `y[c]` where g runs on c
//! - (cost) Σ_h `cost[h]·y[h]` ≤ C
//!
//! On a block of hosts B (large neighbourhood search; Pisinger and Ropke, Handbook of
//! Metaheuristics, 2010) only guests on B are decided about, among the hosts of B, and C is what the
//! hosts of B in use cost so far. Source: the compact model measured best of those tried for this
//! stage; only the (stay) links pay for themselves.

use good_lp::SolverModel;
use good_lp::solvers::highs::{HighsProblem, highs};

use crate::answer::{Known, conclude};
use crate::grid::{Frame, Grid, Settled};
use crate::model::{Columns, Sum, Term, gcd};
use crate::problem::Problem;
use crate::rule::{holds, spare};
use crate::{Limits, Placement, Solved, rule};

/// The formulation: the model, its columns' values in the warm start, and how to read it.
struct Formulation {
    model: HighsProblem,
    start: Vec<f64>,
    grid: Grid,
}

fn formulation(p: &Problem, frame: &Frame, cost: i64, unit: i64) -> Formulation {
    let mut columns = Columns::new();
    let grid = Grid::new(p, frame, &mut columns);

    // Objective
    let mut moved = Sum::new();
    for (g, spots) in grid.open() {
        if let Some(here) = p.guests[g].current {
            for (_, column) in spots.iter().filter(|(h, _)| *h != here) {
                moved.add(p.guests[g].price, Term::Open(*column));
            }
        }
    }

    // (once), (room), (order), (stay)
    let mut rows = grid.rows(p, &mut columns, |g, h| p.guests[g].current == Some(h));
    // The rules
    rows.extend(rule::rows(p, &grid, &mut columns));
    // (cost)
    rows.push(grid.awake(|h| p.hosts[h].cost).at_most(cost));

    let (variables, start) = columns.finish();
    let mut model = variables.minimise(moved.objective(unit)).using(highs);
    for row in rows {
        model.add_constraint(row);
    }
    Formulation { model, start, grid }
}

/// The placement with the cheapest moves, with hosts in use that cost at most `cost`, in
/// thousandths of a host. Bounds are sums of prices.
///
/// `warm` is a placement to start from, ignored unless it keeps every rule and the cost.
#[must_use]
pub fn solve(p: &Problem, cost: i64, warm: Option<&[usize]>, limits: &Limits) -> Solved<Placement> {
    if !spare::is_possible(p) {
        return Solved::Infeasible;
    }
    let hosts: Vec<usize> = (0..p.hosts.len()).collect();
    run(p, &hosts, None, cost, warm, limits)
}

/// Places anew the guests that `from` has on the hosts of `block`, on these hosts and at no more
/// cost than theirs; everything else stays. The answer is the whole placement; the bound
/// holds for this block only.
#[must_use]
pub fn improve(p: &Problem, from: &[usize], block: &[usize], limits: &Limits) -> Solved<Placement> {
    let used = if holds(p, from) {
        spare::in_use(p, from)
    } else {
        None
    };
    let Some(used) = used else {
        return Solved::NoAnswer {
            limit: "the placement to improve breaks a rule".into(),
            bound: 0,
        };
    };
    let mut hosts: Vec<usize> = block
        .iter()
        .copied()
        .filter(|h| *h < p.hosts.len())
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    let mut awake = vec![false; p.hosts.len()];
    let mut cost = 0;
    for h in used {
        awake[h] = true;
        cost += p.hosts[h].cost;
    }
    let settled = Settled {
        placement: from,
        awake: &awake,
    };
    run(p, &hosts, Some(&settled), cost, Some(from), limits)
}

fn run(
    p: &Problem,
    hosts: &[usize],
    settled: Option<&Settled>,
    cost: i64,
    warm: Option<&[usize]>,
    limits: &Limits,
) -> Solved<Placement> {
    let objective = |f: &[usize]| affordable(p, f, cost).then(|| moved(p, f));
    let warm = warm.filter(|w| holds(p, w) && affordable(p, w, cost));
    if p.guests.is_empty() {
        return if affordable(p, &[], cost) {
            Solved::Optimal {
                answer: Vec::new(),
                bound: 0,
            }
        } else {
            Solved::Infeasible
        };
    }
    let (apart, unit) = homes(p);
    let frame = Frame {
        hosts,
        settled,
        warm,
        apart: &apart,
    };
    let Formulation { model, start, grid } = formulation(p, &frame, cost, unit);
    let answer = crate::highs::solve(model, grid.is_warm().then_some(&start), limits);
    let found = answer.values.as_ref().and_then(|v| grid.placement(v));
    // What the settled guests move is the same in every answer.
    let decided: Vec<usize> = grid.open().map(|(g, _)| g).collect();
    let constant = settled.map_or(0, |s| {
        let all = moved(p, s.placement);
        all - moved_of(p, s.placement, &decided)
    });
    let known = Known {
        warm,
        unit,
        constant,
        lower: constant,
    };
    conclude(p, &answer, found, &known, objective)
}

/// Which hosts run guests now, and the greatest common divisor of those guests' prices, at least 1.
fn homes(p: &Problem) -> (Vec<bool>, i64) {
    let mut apart = vec![false; p.hosts.len()];
    let mut unit = 0;
    for guest in &p.guests {
        if let Some(here) = guest.current {
            apart[here] = true;
            unit = gcd(unit, guest.price);
        }
    }
    (apart, unit.max(1))
}

/// The formulation at that cost in MPS format; `relaxed` leaves out that columns are integers. Its
/// objective is what moves cost, a sum of prices.
///
/// # Errors
/// That the solver refused the model, in words.
pub fn mps(p: &Problem, cost: i64, relaxed: bool) -> Result<String, String> {
    let hosts: Vec<usize> = (0..p.hosts.len()).collect();
    let (apart, unit) = homes(p);
    let frame = Frame {
        hosts: &hosts,
        settled: None,
        warm: None,
        apart: &apart,
    };
    let made = formulation(p, &frame, cost, unit);
    let wording = made.grid.wording(p, relaxed, (unit, 0));
    crate::highs::mps::mps("moves", made.model, &wording)
}

/// Whether the hosts in use for a placement cost at most `cost`.
fn affordable(p: &Problem, placement: &[usize], cost: i64) -> bool {
    spare::in_use(p, placement)
        .is_some_and(|used| used.iter().map(|h| p.hosts[*h].cost).sum::<i64>() <= cost)
}

/// What the moves to a placement cost.
fn moved(p: &Problem, placement: &[usize]) -> i64 {
    let all: Vec<usize> = (0..p.guests.len()).collect();
    moved_of(p, placement, &all)
}

fn moved_of(p: &Problem, placement: &[usize], guests: &[usize]) -> i64 {
    guests
        .iter()
        .filter(|g| p.guests[**g].current.is_some_and(|c| c != placement[**g]))
        .map(|g| p.guests[*g].price)
        .sum()
}
