//! Stage 1: the cheapest set of hosts.
//!
//! Sets, the variables x, y and e, and the rows (once), (room), (window), (exempt), (lowest), (linked), (order)
//! and (first) are those of `grid.rs`; the rules' rows stand in [`crate::rule`].
//!
//! Objective: min Σ_h `cost[h]·y[h]`, in units of the greatest common divisor of the costs.
//!
//! Constraints:
//! - (once), (room), (order), (first), the rules' rows
//! - (linked) `x[g,h]` ≤ `y[h]` for every g, h
//! - (bound) Σ_h `cost[h]·y[h]` ≥ lower, a bound proven elsewhere
//!
//! Source: the compact model of bin packing with variable costs; Martello and Toth, Knapsack
//! Problems (1990), section 8.1, with one (room) row per resource.

use good_lp::SolverModel;
use good_lp::solvers::highs::{HighsProblem, highs};

use crate::answer::{Known, conclude};
use crate::grid::{Frame, Grid};
use crate::model::{Columns, gcd};
use crate::problem::{GroupKind, Problem};
use crate::rule::{holds, spare};
use crate::{Limits, Placement, Solved, rule};

/// The formulation: the model, its columns' values in the warm start, and how to read it.
struct Formulation {
    model: HighsProblem,
    start: Vec<f64>,
    grid: Grid,
    unit: i64,
    constant: i64,
}

fn formulation(p: &Problem, warm: Option<&[usize]>, lower: i64) -> Formulation {
    let mut columns = Columns::new();
    let hosts: Vec<usize> = (0..p.hosts.len()).collect();
    let frame = Frame {
        hosts: &hosts,
        settled: None,
        warm,
        apart: &told_apart(p),
    };
    let grid = Grid::new(p, &frame, &mut columns);

    // Objective
    let unit = cost_unit(p);
    let cost = grid.awake(|h| p.hosts[h].cost);
    let constant: i64 = p.hosts.iter().filter(|h| h.always).map(|h| h.cost).sum();

    // (once), (room), (linked), (order)
    let mut rows = grid.rows(p, &mut columns, |_, _| true);
    // The rules
    rows.extend(rule::rows(p, &grid, &mut columns));
    // (bound)
    if lower > constant {
        rows.push(cost.at_least(lower));
    }

    let (variables, start) = columns.finish();
    let mut model = variables.minimise(cost.objective(unit)).using(highs);
    for row in rows {
        model.add_constraint(row);
    }
    Formulation {
        model,
        start,
        grid,
        unit,
        constant,
    }
}

/// The placement with the cheapest hosts in use. Bounds are costs in thousandths of a host.
///
/// `warm` is a placement to start from, ignored unless it keeps every rule; `lower` a bound on the
/// cost proven elsewhere, at least 0.
#[must_use]
pub fn solve(
    p: &Problem,
    warm: Option<&[usize]>,
    lower: i64,
    limits: &Limits,
) -> Solved<Placement> {
    if !spare::is_possible(p) {
        return Solved::Infeasible;
    }
    if p.guests.is_empty() {
        return match cost(p, &[]) {
            Some(cost) => Solved::Optimal {
                answer: Vec::new(),
                bound: cost,
            },
            None => Solved::Infeasible,
        };
    }
    let warm = warm.filter(|w| holds(p, w));
    let known = Known {
        warm,
        unit: 1,
        constant: 0,
        lower,
    };
    let Formulation {
        model,
        start,
        grid,
        unit,
        constant,
    } = formulation(p, warm, lower);
    let known = Known {
        unit,
        constant,
        ..known
    };
    let answer = crate::highs::solve(model, grid.is_warm().then_some(&start), limits);
    let found = answer.values.as_ref().and_then(|v| grid.placement(v));
    conclude(p, &answer, found, &known, |f| cost(p, f))
}

/// The formulation in MPS format; `relaxed` leaves out that columns are integers. Its objective is the
/// cost of the hosts in use in thousandths of a host.
///
/// # Errors
/// That the solver refused the model, in words.
pub fn mps(p: &Problem, lower: i64, relaxed: bool) -> Result<String, String> {
    let made = formulation(p, None, lower);
    let wording = made.grid.wording(p, relaxed, (made.unit, made.constant));
    crate::highs::mps::mps("assignment", made.model, &wording)
}

/// What the hosts in use for a placement cost together, in thousandths of a host; `None` when no
/// set of hosts gives the room that `spare` rules want.
fn cost(p: &Problem, placement: &[usize]) -> Option<i64> {
    Some(
        spare::in_use(p, placement)?
            .iter()
            .map(|h| p.hosts[*h].cost)
            .sum(),
    )
}

/// The greatest common divisor of the costs, at least 1.
#[must_use]
pub fn cost_unit(p: &Problem) -> i64 {
    p.hosts.iter().fold(0, |d, h| gcd(d, h.cost)).max(1)
}

/// Hosts that differ from all others because a guest under a `max-moves` rule runs there.
fn told_apart(p: &Problem) -> Vec<bool> {
    let mut apart = vec![false; p.hosts.len()];
    for rule in &p.rules {
        if let GroupKind::MaxMoves { guests, moves } = &rule.kind {
            let running = guests.iter().filter_map(|g| p.guests[*g].current);
            if running.clone().count() > *moves {
                running.for_each(|h| apart[h] = true);
            }
        }
    }
    apart
}
