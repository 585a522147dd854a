//! Some hosts filled with exactly what is left for them: column generation with what stays, and a dive.
//!
//! Variables: `λ[h,a]` ≥ 0 for the patterns a of each host h of the block, `missing_i` ≥ 0.
//! Objective: min Σ_i `M_i`·`missing_i` − Σ_h Σ_a stay_h(a)·`λ[h,a]`
//! Constraints:
//! - (packed) Σ_h Σ_a a_i·`λ[h,a]` + `missing_i` ≥ left_i for every item i; multiplier π_i ≥ 0
//! - (one) Σ_a `λ[h,a]` ≤ 1 for every h
//!
//! The pattern of h that is worth most by π is known exactly (`cells.rs`). What the program is surest of
//! is fixed, and it is solved anew for the rest; a pattern after which more would be missing is taken back.

use std::collections::{BTreeMap, BTreeSet};

use super::content::Tables;
use super::dive::noise;
use super::filling::Kept;
use super::master::of_count;
use super::price::Content;
use super::proof::whole;
use super::stay::Stay;
use crate::highs::lp::{Column, Lp, Solution};
use crate::model::float;

/// Rounds of pricing at first, and after each fixing.
const ROUNDS: (usize, usize) = (40, 8);
/// Fixings taken back, at most.
const STEPS_BACK: usize = 5;
/// Sets of weights that patterns are made of before the first run.
const FIRST: u64 = 6;
/// By how much these differ from the given ones, at most.
const NOISE: f64 = 0.2;
/// What a copy of the largest item costs that is missing, in that of the dearest move.
const MISSING: f64 = 20.0;
/// A value that counts as 1, and one that counts as 0.
const SURE: f64 = 0.999;
const LITTLE: f64 = 1e-6;

/// Hosts, by site, and what they are to carry.
pub(super) struct Block<'b, 'a> {
    pub(super) stay: &'b Stay<'a>,
    pub(super) sites: &'b [usize],
    pub(super) left: &'b [usize],
    pub(super) weights: &'b [i64],
    pub(super) stop: &'b dyn Fn() -> bool,
}

impl Block<'_, '_> {
    /// The content of each site, in their order, and what is missing, by item; `None` where it was stopped,
    /// or where the program says that it comes to no less than `better`. `known` is a content of each site,
    /// or empty.
    pub(super) fn fill(
        &self,
        known: &[(usize, Content)],
        better: Option<f64>,
    ) -> Option<(Kept, Vec<usize>)> {
        let mut program = Program::new(self)?;
        for (s, (_, content)) in known.iter().enumerate() {
            program.offer(s, content.clone());
        }
        for turn in 0..FIRST {
            let other = |i: usize| 1.0 + NOISE * (noise(turn, i) - 0.5);
            let weights = (0..self.left.len()).map(|i| whole(float(self.weights[i]) * other(i)));
            program.price(&weights.collect::<Vec<i64>>(), None)?;
        }
        program.dive(better)
    }

    /// What it costs that copies are missing: the less, the easier it will be to give them a place.
    pub(super) fn lack(&self, items: &mut dyn Iterator<Item = usize>) -> f64 {
        let most = self.weights.iter().max().copied().unwrap_or(1).max(1);
        let each = MISSING * self.stay.dearest() / float(most);
        items.map(|i| each * float(self.weights[i])).sum()
    }
}

/// The program as it grows.
struct Program<'p, 'b, 'a> {
    block: &'p Block<'b, 'a>,
    lp: Lp,
    /// The row of each item that is left.
    rows: BTreeMap<usize, usize>,
    left: Vec<usize>,
    /// The content of sites that have theirs.
    fixed: Vec<Option<Content>>,
    /// Site and content of each column behind those that are missing.
    columns: Vec<(usize, Content)>,
    known: BTreeSet<(usize, Content)>,
    /// Columns that are held at 0.
    avoided: BTreeSet<usize>,
}

impl<'p, 'b, 'a> Program<'p, 'b, 'a> {
    fn new(block: &'p Block<'b, 'a>) -> Option<Self> {
        let items = (0..block.left.len()).filter(|i| block.left[*i] > 0);
        let rows: BTreeMap<usize, usize> = items.zip(0..).collect();
        let packed = rows.keys();
        let packed = packed.map(|i| (of_count(block.left[*i]), f64::INFINITY));
        let one = block.sites.iter().map(|_| (f64::NEG_INFINITY, 1.0));
        let mut lp = Lp::new(&packed.chain(one).collect::<Vec<_>>()).ok()?;
        let columns = rows.iter().map(|(i, row)| Column {
            cost: block.lack(&mut std::iter::once(*i)),
            upper: f64::INFINITY,
            entries: vec![(*row, 1.0)],
        });
        lp.add(&columns.collect::<Vec<_>>()).ok()?;
        Some(Self {
            block,
            lp,
            rows,
            left: block.left.to_vec(),
            fixed: vec![None; block.sites.len()],
            columns: Vec::new(),
            known: BTreeSet::new(),
            avoided: BTreeSet::new(),
        })
    }

    fn stays(&self, s: usize, content: &Content) -> i64 {
        let stay = self.block.stay;
        stay.stays(&stay.sites[self.block.sites[s]], content)
    }

    /// Adds a column unless it is there.
    fn offer(&mut self, s: usize, content: Content) -> bool {
        let new = !content.is_empty() && self.known.insert((s, content.clone()));
        if new {
            let packed = content.iter();
            let packed = packed.map(|(i, copies)| (self.rows[i], of_count(*copies)));
            let column = Column {
                cost: -float(self.stays(s, &content)),
                upper: f64::INFINITY,
                entries: packed.chain([(self.rows.len() + s, 1.0)]).collect(),
            };
            if self.lp.add(&[column]).is_err() {
                return false;
            }
            self.columns.push((s, content));
        }
        new
    }

    /// Adds for each site without a content the one that is worth most, where it is worth more than in
    /// that solution; says whether there was one.
    fn price(&mut self, weights: &[i64], solution: Option<&Solution>) -> Option<bool> {
        let stay = self.block.stay;
        let mut tables = Tables::new(stay);
        let mut any = false;
        for s in 0..self.fixed.len() {
            if self.fixed[s].is_some() {
                continue;
            }
            if (self.block.stop)() {
                return None;
            }
            let site = self.block.sites[s];
            let content = stay.available(site, weights, (&self.left, &self.left), &mut tables)?;
            let worth = stay.in_units(stay.worth(site, &content, weights));
            let gains = solution.is_none_or(|of| worth > -of.duals[self.rows.len() + s] + 1e-3);
            any |= gains && self.offer(s, content);
        }
        Some(any)
    }

    /// Solves it, priced so often at most.
    fn solve(&mut self, rounds: usize) -> Option<Solution> {
        let mut solution = self.lp.run(self.block.stop).ok()?;
        for _ in 0..rounds {
            let mut weights = vec![0; self.left.len()];
            for (i, row) in &self.rows {
                weights[*i] = whole(self.block.stay.to_parts(solution.duals[*row]));
            }
            if !self.price(&weights, Some(&solution))? {
                break;
            }
            solution = self.lp.run(self.block.stop).ok()?;
        }
        Some(solution)
    }

    fn dive(mut self, better: Option<f64>) -> Option<(Kept, Vec<usize>)> {
        let mut solution = self.solve(ROUNDS.0)?;
        if better.is_some_and(|better| solution.objective > better - LITTLE) {
            return None;
        }
        let mut missing = self.missing(&solution);
        let mut steps_back = 0;
        loop {
            let chosen = self.choose(&solution);
            if chosen.is_empty() {
                break;
            }
            chosen.iter().for_each(|c| self.fix(*c, true));
            self.state()?;
            solution = self.solve(ROUNDS.1)?;
            if self.missing(&solution) > missing + LITTLE && steps_back < STEPS_BACK {
                steps_back += 1;
                chosen.iter().for_each(|c| self.fix(*c, false));
                // One of them at least is wrong; the last is the least sure.
                self.avoided.extend(chosen.last());
                self.state()?;
                solution = self.solve(ROUNDS.1)?;
            }
            missing = self.missing(&solution).max(missing);
        }
        let contents = self.fixed.into_iter().map(Option::unwrap_or_default);
        let kept = self.block.sites.iter().copied().zip(contents).collect();
        Some((kept, self.left))
    }

    fn missing(&self, solution: &Solution) -> f64 {
        let items = self.rows.keys().zip(&solution.values);
        items
            .map(|(i, copies)| copies * self.block.lack(&mut std::iter::once(*i)))
            .sum()
    }

    /// Columns of which the solution is sure, else the one it is surest of, the surest first.
    fn choose(&self, solution: &Solution) -> Vec<usize> {
        let values = &solution.values[self.rows.len()..];
        let mut order: Vec<usize> = (0..values.len()).filter(|c| values[*c] > LITTLE).collect();
        order.sort_by(|a, b| values[*b].total_cmp(&values[*a]).then(a.cmp(b)));
        let mut left = self.left.clone();
        let mut chosen = Vec::new();
        for c in order {
            let (s, content) = &self.columns[c];
            let open = self.fixed[*s].is_none() && (values[c] > SURE || chosen.is_empty());
            if open && content.iter().all(|(i, copies)| left[*i] >= *copies) {
                content.iter().for_each(|(i, copies)| left[*i] -= copies);
                chosen.push(c);
            }
        }
        chosen
    }

    /// Gives a site its content, or takes it back.
    fn fix(&mut self, column: usize, yes: bool) {
        let (s, content) = self.columns[column].clone();
        for (i, copies) in &content {
            if yes {
                self.left[*i] -= copies;
            } else {
                self.left[*i] += copies;
            }
        }
        self.fixed[s] = yes.then_some(content);
    }

    /// Tells the program what is fixed.
    fn state(&mut self) -> Option<()> {
        for (i, row) in &self.rows {
            let left = of_count(self.left[*i]);
            self.lp.range(*row, left, f64::INFINITY).ok()?;
        }
        for (s, fixed) in self.fixed.iter().enumerate() {
            let most = if fixed.is_some() { 0.0 } else { 1.0 };
            let row = self.rows.len() + s;
            self.lp.range(row, f64::NEG_INFINITY, most).ok()?;
        }
        let (mut held, mut free) = (Vec::new(), Vec::new());
        for (c, (_, content)) in self.columns.iter().enumerate() {
            let fits = content.iter().all(|(i, copies)| self.left[*i] >= *copies);
            let list = if fits && !self.avoided.contains(&c) {
                &mut free
            } else {
                &mut held
            };
            list.push(self.rows.len() + c);
        }
        self.lp.cap(&held, 0.0).ok()?;
        self.lp.cap(&free, f64::INFINITY).ok()
    }
}
