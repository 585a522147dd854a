//! The pattern LP over the patterns at hand, in integers.
//!
//! Variables: λ_p ∈ {0, 1, …, u_k}, hosts of class k with pattern p, for the patterns p made so far.
//! Objective: min Σ_p c_p·λ_p, in units of the costs' divisor, as in `master.rs`
//! Constraints: (packed) Σ_p a_ip·λ_p ≥ n_i for every i, (hosts) Σ_{p∈P_k} λ_p ≤ u_k for every k.
//! An item may be covered too often: the copies too many are left out of the answer.

use std::collections::BTreeSet;

use good_lp::solvers::highs::{HighsProblem, highs};
use good_lp::{Expression, ProblemVariables, SolverModel, variable};

use super::packing::Packing;
use super::{Packed, Pattern};
use crate::Limits;
use crate::model::float;

/// The model.
pub(super) fn model(packing: &Packing, pool: &[Pattern]) -> HighsProblem {
    let mut variables = ProblemVariables::new();
    let unit = packing.unit();
    let mut cost = Expression::with_capacity(pool.len());
    let mut cover: Vec<Expression> = packing
        .items
        .iter()
        .map(|_| Expression::default())
        .collect();
    let mut hosts: Vec<Expression> = packing
        .hosts
        .iter()
        .map(|_| Expression::default())
        .collect();
    for pattern in pool {
        let most = packing.hosts[pattern.host].count();
        let column = variables.add(variable().integer().min(0).max(count(most)));
        cost.add_mul(float(packing.price(pattern.host, 1) / unit), column);
        for (i, copies) in &pattern.content {
            cover[*i].add_mul(count(*copies), column);
        }
        hosts[pattern.host].add_mul(1.0, column);
    }
    let mut model = variables.minimise(cost).using(highs);
    for (item, cover) in packing.items.iter().zip(cover) {
        model.add_constraint(cover.geq(count(item.count())));
    }
    for (host, used) in packing.hosts.iter().zip(hosts) {
        model.add_constraint(used.leq(count(host.count())));
    }
    model
}

fn count(n: usize) -> f64 {
    float(i64::try_from(n).unwrap_or(i64::MAX))
}

/// The patterns of both, each once: a pattern that left the LP and was priced again is in the pool
/// twice, and those of a dive, cut to what was left, may not be in it.
pub(super) fn distinct(pool: &[Pattern], start: &[Pattern]) -> Vec<Pattern> {
    let all: BTreeSet<&Pattern> = pool.iter().chain(start).collect();
    all.into_iter().cloned().collect()
}

/// The cheapest packing by patterns of the pool and of `start`, one to start from, a pattern per host.
pub(super) fn solve(
    packing: &Packing,
    pool: &[Pattern],
    start: &[Pattern],
    limits: &Limits,
) -> Option<Packed> {
    let pool = distinct(pool, start);
    let times = |p: &Pattern| count(start.iter().filter(|s| *s == p).count());
    let values: Vec<f64> = pool.iter().map(times).collect();
    let start = (!start.is_empty()).then_some(values.as_slice());
    let values = crate::highs::solve(model(packing, &pool), start, limits).values?;
    let mut left: Vec<usize> = packing.items.iter().map(super::Item::count).collect();
    let mut packed = Packed::default();
    for (pattern, value) in pool.iter().zip(values) {
        // An integer, wrong by at most the solver's tolerance.
        let mut hosts = 0.5;
        while hosts < value {
            hosts += 1.0;
            let content: Vec<(usize, usize)> = pattern
                .content
                .iter()
                .map(|(i, c)| (*i, (*c).min(left[*i])))
                .filter(|(_, c)| *c > 0)
                .collect();
            if content.is_empty() {
                break;
            }
            content.iter().for_each(|(i, c)| left[*i] -= c);
            packed.patterns.push((
                Pattern {
                    host: pattern.host,
                    content,
                },
                1,
            ));
        }
    }
    packed.left = left
        .into_iter()
        .enumerate()
        .filter(|(_, c)| *c > 0)
        .collect();
    packed.settle(packing);
    Some(packed)
}
