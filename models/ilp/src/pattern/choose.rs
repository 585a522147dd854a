//! Stage 2 over the patterns that its bound was made of (`stay.rs`), in integers.
//!
//! Variables: `λ[h,a]` ∈ {0, 1}, for the patterns a of host h at hand.
//! `less[i]` ≥ 0, the copies of item i that are missing, where each may be at a price d_i.
//! Objective: max Σ_h Σ_a stay_h(a)·`λ[h,a]` − Σ_i d_i·`less[i]`, in units of the prices' divisor
//! Constraints:
//! - (packed) Σ_h Σ_a a_i·`λ[h,a]` + `less[i]` ≥ n_i for every item i
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

use super::master::of_count;
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
}

/// What is chosen for.
pub(super) struct Wanted<'w> {
    /// Copies of each item.
    pub(super) counts: &'w [usize],
    /// Of each class.
    pub(super) hosts: &'w [usize],
    /// Without what forced hosts cost.
    pub(super) cost: i64,
    /// What a copy costs that is missing, in units of the prices' divisor; empty where none may be.
    pub(super) missed: &'w [i64],
}

fn model(packing: &Packing, choices: &[Choice], wanted: &Wanted) -> (HighsProblem, Vec<f64>) {
    let mut variables = ProblemVariables::new();
    let hosts = choices
        .iter()
        .filter_map(|c| c.host)
        .max()
        .map_or(0, |h| h + 1);
    let mut lost = Expression::with_capacity(choices.len());
    let mut cover = vec![Expression::default(); wanted.counts.len()];
    let mut one = vec![Expression::default(); hosts];
    let mut class = vec![Expression::default(); packing.hosts.len()];
    let mut paid = Expression::with_capacity(choices.len());
    let mut short: Vec<f64> = wanted.counts.iter().map(|n| of_count(*n)).collect();
    for choice in choices {
        let column = variables.add(variable().binary());
        lost.add_mul(-float(choice.stays), column);
        for (i, copies) in &choice.content {
            cover[*i].add_mul(of_count(*copies), column);
            short[*i] -= of_count(*copies) * f64::from(u8::from(choice.known));
        }
        if let Some(host) = choice.host {
            one[host].add_mul(1.0, column);
        }
        class[choice.class].add_mul(1.0, column);
        paid.add_mul(float(packing.price(choice.class, 1)), column);
    }
    let mut start: Vec<f64> = choices
        .iter()
        .map(|c| f64::from(u8::from(c.known)))
        .collect();
    let counts = wanted.counts.iter().enumerate().filter(|(_, n)| **n > 0);
    for (i, n) in counts.clone() {
        let Some(price) = wanted.missed.get(i) else {
            break;
        };
        let column = variables.add(variable().integer().min(0.0).max(of_count(*n)));
        lost.add_mul(float(*price), column);
        cover[i].add_mul(1.0, column);
        start.push(short[i].max(0.0));
    }
    let mut model = variables.minimise(lost).using(highs);
    for (i, n) in counts {
        model.add_constraint(std::mem::take(&mut cover[i]).geq(of_count(*n)));
    }
    for one in one {
        model.add_constraint(one.leq(1.0));
    }
    for (class, of) in class.into_iter().zip(wanted.hosts) {
        model.add_constraint(class.leq(of_count(*of)));
    }
    model.add_constraint(paid.leq(float(wanted.cost)));
    (model, start)
}

/// What was chosen.
pub(super) struct Chosen {
    /// The choice of patterns that keeps most where it is, by their places; `None` where none was found.
    pub(super) places: Option<Vec<usize>>,
    /// No choice has a higher objective, where something is proven; only where nothing may be missing.
    pub(super) most: Option<i64>,
}

/// Chooses patterns.
pub(super) fn solve(
    packing: &Packing,
    choices: &[Choice],
    wanted: &Wanted,
    limits: &Limits,
) -> Chosen {
    let (model, start) = model(packing, choices, wanted);
    let start = choices.iter().any(|c| c.known).then_some(start.as_slice());
    let is_proof = wanted.missed.is_empty();
    let answer = match is_proof {
        true => crate::highs::prove(model, start, limits),
        false => crate::highs::solve(model, start, limits),
    };
    let most = answer.proves().filter(|_| is_proof);
    let places = answer.values.map(|values| {
        let chosen = (0..choices.len()).filter(|c| values[*c] > 0.5);
        chosen.collect()
    });
    Chosen {
        places,
        most: most.map(|least| -least),
    }
}

/// Gives hosts to patterns that any of their class will do for.
pub(super) fn named<'c>(
    packing: &Packing,
    chosen: impl Iterator<Item = &'c Choice>,
) -> Vec<(usize, Content)> {
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
