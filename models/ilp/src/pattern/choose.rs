//! Stage 2 over the patterns that its bound was made of (`stay.rs`), in integers.
//!
//! Variables: `λ[h,a]` ∈ {0, 1}, for the patterns a of host h at hand.
//! Objective: max Σ_h Σ_a stay_h(a)·`λ[h,a]`, in units of the prices' divisor
//! Constraints:
//! - (packed) Σ_h Σ_a a_i·`λ[h,a]` ≥ n_i for every item i
//! - (one) Σ_a `λ[h,a]` ≤ 1 for every h
//! - (class) Σ_{h∈k} Σ_a `λ[h,a]` + Σ_a `λ[k,a]` ≤ |k| for every class k of hosts, where the patterns `λ[k,a]`
//!   are those of any host of k, of which nothing stays
//! - (cost) Σ_h Σ_a c_h·`λ[h,a]` ≤ C, forced hosts at no cost, C less what they cost
//!
//! An item may be covered too often: the copies too many are left out of the answer, those that stay
//! last.

use std::collections::BTreeMap;

use good_lp::solvers::highs::{HighsProblem, highs};
use good_lp::{Expression, ProblemVariables, SolverModel, variable};

use super::packing::Packing;
use super::price::Content;
use crate::Limits;
use crate::model::float;

/// A host with one of its patterns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Choice {
    /// The class of the host, and the host; none where nothing stays, so that any of the class will do.
    pub(super) class: usize,
    pub(super) host: Option<usize>,
    pub(super) content: Content,
    /// What stays, in units of the prices' divisor.
    pub(super) stays: i64,
    /// Whether it is part of the placement to start from.
    pub(super) known: bool,
    pub(super) settled: Settled,
}

/// Whether a choice is made already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Settled {
    Yes,
    No,
}

fn model(packing: &Packing, choices: &[Choice], cost: i64) -> (HighsProblem, Vec<f64>) {
    let mut variables = ProblemVariables::new();
    let hosts = choices
        .iter()
        .filter_map(|c| c.host)
        .max()
        .map_or(0, |h| h + 1);
    let mut lost = Expression::with_capacity(choices.len());
    let mut cover = vec![Expression::default(); packing.items.len()];
    let mut one = vec![Expression::default(); hosts];
    let mut class = vec![Expression::default(); packing.hosts.len()];
    let mut paid = Expression::with_capacity(choices.len());
    for choice in choices {
        let least = f64::from(u8::from(choice.settled == Settled::Yes));
        let column = variables.add(variable().integer().min(least).max(1.0));
        lost.add_mul(-float(choice.stays), column);
        for (i, copies) in &choice.content {
            cover[*i].add_mul(super::master::of_count(*copies), column);
        }
        if let Some(host) = choice.host {
            one[host].add_mul(1.0, column);
        }
        class[choice.class].add_mul(1.0, column);
        paid.add_mul(float(packing.price(choice.class, 1)), column);
    }
    let mut model = variables.minimise(lost).using(highs);
    for (item, cover) in packing.items.iter().zip(cover) {
        model.add_constraint(cover.geq(super::master::of_count(item.count())));
    }
    for one in one {
        model.add_constraint(one.leq(1.0));
    }
    for (class, of) in class.into_iter().zip(&packing.hosts) {
        model.add_constraint(class.leq(super::master::of_count(of.count())));
    }
    model.add_constraint(paid.leq(float(cost - packing.forced_cost())));
    let start = choices.iter().map(|c| f64::from(u8::from(c.known)));
    (model, start.collect())
}

/// The choice of patterns that keeps most where it is, as the content of each host in use; `None`
/// where none was found.
pub(super) fn solve(
    packing: &Packing,
    choices: &[Choice],
    cost: i64,
    limits: &Limits,
) -> Option<Vec<(usize, Content)>> {
    let (model, start) = model(packing, choices, cost);
    let start = choices.iter().any(|c| c.known).then_some(start.as_slice());
    let values = crate::highs::solve(model, start, limits).values?;
    let chosen = choices.iter().zip(values).filter(|(_, v)| *v > 0.5);
    Some(named(packing, chosen.map(|(choice, _)| choice)))
}

/// Gives hosts to patterns that any of their class will do for.
fn named<'c>(packing: &Packing, chosen: impl Iterator<Item = &'c Choice>) -> Vec<(usize, Content)> {
    let (named, others): (Vec<&Choice>, Vec<&Choice>) = chosen.partition(|c| c.host.is_some());
    let mut contents: BTreeMap<usize, Content> = BTreeMap::new();
    for choice in named {
        contents.extend(choice.host.map(|h| (h, choice.content.clone())));
    }
    for choice in others {
        let mut hosts = packing.hosts[choice.class].members.iter();
        let free = hosts.find(|h| !contents.contains_key(h));
        contents.extend(free.map(|h| (*h, choice.content.clone())));
    }
    contents.into_iter().collect()
}
