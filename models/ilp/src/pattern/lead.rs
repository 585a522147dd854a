//! How the weights of stage 2's bound are led where hosts carry few items (`stay.rs`): by the linear program over
//! the patterns met.
//!
//! Sets as in `stay.rs`; a pattern of which nothing stays belongs to a class k of hosts, not to a host.
//! Variables: `λ[h,a]`, `λ[k,a]` ≥ 0; `less[i]`, `more[i]` ≥ 0, by how much item i is missed, and exceeded.
//! Objective: min Σ price − Σ stay_h(a)·`λ[h,a]` + Σ_i (v_i + d_i)·`less[i]` − (v_i − d_i)·`more[i]`
//! Constraints:
//! - (packed) Σ a_i·λ + `less[i]` − `more[i]` = n_i for every i; multiplier w_i
//! - (one) Σ_a `λ[h,a]` ≤ 1 for every h
//! - (class) Σ_{h∈k} Σ_a `λ[h,a]` + Σ_a `λ[k,a]` ≤ |k| for every k
//! - (cost) Σ c·λ ≤ C
//!
//! `more[i]` is how many of item i are too many. So w is kept within d_i of v_i, a box about v, the weights
//! that prove most so far (Marsten, Hogan and Blankenship 1975). Where w proves more it is the new v, and where
//! it proves much of what was hoped for the box is widened; else it is narrowed. The first v is the best of the
//! weights that are linear in what items need, plus a constant, by Kelley's cutting planes (1960).

use std::collections::BTreeSet;

use super::choose::Choice;
use super::master::of_count;
use super::part::Plan;
use super::price::Content;
use super::proof::whole;
use super::stay::{Stay, Value};
use crate::Limits;
use crate::highs::lp::{Column, Failure, Lp, Solution};
use crate::model::float;

/// Evaluations that look for the first weights, and the part of an item's mean price by which each host may
/// then be misjudged.
const OUTLINE: u64 = 9;
const COARSE: f64 = 0.1;
/// Contents of so many of these are patterns at first.
const FIRST: usize = 3;
/// The width of the box at first, in parts of the mean weight; how much is left of it where it is narrowed, and how much
/// wider it is where weights prove more than this part of what the linear program hopes for.
const WIDTH: f64 = 0.07;
const NARROW: f64 = 0.7;
const WIDE: f64 = 2.0;
const TRUST: f64 = 0.5;
/// Items missed, as good as none.
pub(super) const MISSED: f64 = 1e-6;
/// The largest first weight, in mean prices.
const FAR: f64 = 40.0;
/// Patterns are of use that gain more than this at the weights, in mean prices.
const EPSILON: f64 = 1e-7;
/// How near the bound comes to the linear program.
const NEAR: f64 = 2e-4;

/// Where the weights were led.
pub(super) struct Led {
    /// The best bound, in parts.
    pub(super) bound: Option<i64>,
    /// What proves it.
    pub(super) weights: Vec<i64>,
    /// A bound in prices that rests on HiGHS's branch and bound.
    pub(super) searched: Option<i64>,
    /// Patterns that make a placement, if one was found.
    pub(super) chosen: Option<Vec<Choice>>,
}

/// Leads the weights by what `value` says of them with the slack of each host, until that says no more.
/// `is_enough` judges a bound. Within the limits patterns are then settled (`settle.rs`).
pub(super) fn lead(
    stay: &Stay,
    cost: i64,
    value: &mut dyn FnMut(&[i64], i64) -> Option<Value>,
    is_enough: &dyn Fn(i64) -> bool,
    stop: &dyn Fn() -> bool,
    limits: &Limits,
) -> Led {
    let mut lead = Lead::new(stay, cost);
    let mut led = || -> Result<Option<Plan>, Failure> {
        let mut lp = lead.program(value, stop)?;
        if let Err(failure) = lead.run(&mut lp, value, is_enough, stop) {
            tracing::debug!(why = failure.0, "the linear program of who stays ended");
        }
        if lead.bound.is_some_and(is_enough) {
            return Ok(None);
        }
        lead.settle(&mut lp, limits)
    };
    let mut plan = led().unwrap_or_else(|failure| {
        tracing::debug!(why = failure.0, "settling patterns ended");
        None
    });
    let searched = plan.as_mut().and_then(|plan| lead.close_in(plan, limits));
    let chosen = plan.map(|plan| plan.used.iter().map(|m| lead.choice(m, true)).collect());
    Led {
        bound: lead.bound,
        weights: lead.whole(&lead.center),
        searched,
        chosen,
    }
}

pub(super) struct Lead<'s, 'a> {
    pub(super) stay: &'s Stay<'a>,
    pub(super) cost: i64,
    /// A mean price, in parts.
    pub(super) scale: f64,
    /// The weights that prove most, in mean prices.
    pub(super) center: Vec<f64>,
    pub(super) bound: Option<i64>,
    /// A column each, after those of what is missed.
    pub(super) met: Vec<Met>,
    seen: BTreeSet<(usize, Option<usize>, Content)>,
    /// Of the last linear program.
    pub(super) duals: Vec<f64>,
}

/// A pattern met.
#[derive(Clone)]
pub(super) struct Met {
    pub(super) class: usize,
    pub(super) site: Option<usize>,
    pub(super) content: Content,
    /// What stays, in units of the prices' divisor.
    pub(super) stays: i64,
}

impl<'s, 'a> Lead<'s, 'a> {
    pub(super) fn new(stay: &'s Stay<'a>, cost: i64) -> Self {
        let items: usize = stay.counts.iter().sum();
        Self {
            stay,
            cost,
            scale: (float(stay.all) / of_count(items.max(1))).max(1.0),
            center: vec![0.0; stay.counts.len()],
            bound: None,
            met: Vec::new(),
            seen: BTreeSet::new(),
            duals: Vec::new(),
        }
    }

    /// The linear program with patterns of the first weights.
    fn program(
        &mut self,
        value: &mut dyn FnMut(&[i64], i64) -> Option<Value>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Lp, Failure> {
        let first = self.outline(value, stop)?;
        let mut lp = self.rows()?;
        for value in &first {
            self.take(&mut lp, &value.contents)?;
        }
        Ok(lp)
    }

    /// Column generation until the bound is as good as the linear program.
    fn run(
        &mut self,
        lp: &mut Lp,
        value: &mut dyn FnMut(&[i64], i64) -> Option<Value>,
        is_enough: &dyn Fn(i64) -> bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        let mean = self.center.iter().sum::<f64>() / of_count(self.center.len().max(1));
        let mut width = WIDTH * mean;
        let hosts = float(self.stay.used_at_most(self.cost).max(1));
        while !self.bound.is_some_and(is_enough) && !stop() {
            lp.charge(&self.charges(width))?;
            let solution = lp.run(stop)?;
            let (reachable, missed) = self.learn(&solution);
            let weights: Vec<f64> = self.duals[..self.center.len()].to_vec();
            let best = self.bound.map_or(0.0, |b| float(b) / self.scale);
            let slack = ((reachable - best) / hosts / 20.0).clamp(1e-4, 1e-2);
            let Some(found) = value(&self.whole(&weights), whole(slack * self.scale)) else {
                break;
            };
            let added = self.take(lp, &found.contents)?;
            let better = self.note(&found, &weights);
            let gained = float(found.bound) / self.scale - best;
            tracing::trace!(reachable, best, gained, missed, width, added, "who stays");
            if !better {
                width *= NARROW;
            } else if missed > MISSED && gained > TRUST * (reachable - best) {
                width *= WIDE;
            }
            let near = reachable - best <= NEAR * best || added == 0 && !better;
            if near && missed <= MISSED {
                break;
            }
        }
        Ok(())
    }

    /// The best weights that are linear in what items need, and the last evaluations.
    fn outline(
        &mut self,
        value: &mut dyn FnMut(&[i64], i64) -> Option<Value>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Value>, Failure> {
        let packing = self.stay.packing;
        let room = |r: usize| packing.hosts.iter().map(|k| k.room[r]).max().unwrap_or(1);
        let rooms: Vec<i64> = (0..packing.resources()).map(room).collect();
        let sizes: Vec<Vec<f64>> = packing
            .items
            .iter()
            .map(|item| {
                let shares = item.need.iter().zip(&rooms);
                let shares = shares.map(|(n, r)| float(*n) / float((*r).max(1)));
                shares.chain([1.0]).collect()
            })
            .collect();
        let of = rooms.len() + 1;
        let inf = f64::INFINITY;
        // A cut is a column: what it falls short of each size, and one of them all.
        let mut rows = vec![(-inf, 0.0); of - 1];
        rows.extend([(0.0, 0.0), (1.0, 1.0)]);
        let mut lp = Lp::new(&rows)?;
        let far = FAR * of_count(self.stay.counts.iter().sum());
        let ends = (0..of).map(|r| (r, -1.0)).chain([(of - 1, 1.0)]);
        let ends = ends.map(|end| Column {
            cost: far,
            upper: inf,
            entries: vec![end],
        });
        lp.add(&ends.collect::<Vec<_>>())?;
        let mut at = vec![1.0; of];
        at[of - 1] = 0.0;
        let (mut best, mut last) = (at.clone(), Vec::new());
        for _ in 0..OUTLINE {
            let weigh = |size: &Vec<f64>| size.iter().zip(&at).map(|(s, y)| s * y).sum::<f64>();
            let weights: Vec<f64> = sizes.iter().map(|s| weigh(s).max(0.0)).collect();
            let Some(found) = value(&self.whole(&weights), whole(COARSE * self.scale)) else {
                break;
            };
            if self.note(&found, &weights) {
                best.clone_from(&at);
            }
            let mut entries: Vec<(usize, f64)> = (0..of)
                .map(|r| {
                    (
                        r,
                        sizes
                            .iter()
                            .zip(&found.short)
                            .map(|(s, short)| s[r] * short)
                            .sum(),
                    )
                })
                .collect();
            let weighed: f64 = weights.iter().zip(&found.short).map(|(w, s)| w * s).sum();
            entries.push((of, 1.0));
            lp.add(&[Column {
                cost: float(found.bound) / self.scale - weighed,
                upper: inf,
                entries,
            }])?;
            last.push(found);
            let solution = lp.run(stop)?;
            let pairs = at.iter_mut().zip(&best).zip(&solution.duals);
            pairs.for_each(|((y, best), dual)| *y = (best - dual) / 2.0);
        }
        Ok(last.split_off(last.len().saturating_sub(FIRST)))
    }

    /// The rows and the columns of what is missed.
    pub(super) fn rows(&self) -> Result<Lp, Failure> {
        let (stay, inf) = (self.stay, f64::INFINITY);
        let mut rows: Vec<(f64, f64)> = stay
            .counts
            .iter()
            .map(|n| (of_count(*n), of_count(*n)))
            .collect();
        rows.extend(stay.sites.iter().map(|_| (-inf, 1.0)));
        let classes = stay.packing.hosts.iter();
        rows.extend(classes.map(|k| (-inf, of_count(k.count()))));
        rows.push((-inf, float(self.cost - stay.packing.forced_cost()) / 1000.0));
        let mut lp = Lp::new(&rows)?;
        let missed = |factor: f64| {
            (0..stay.counts.len()).map(move |i| Column {
                cost: 0.0,
                upper: inf,
                entries: vec![(i, factor)],
            })
        };
        lp.add(&missed(1.0).chain(missed(-1.0)).collect::<Vec<_>>())?;
        Ok(lp)
    }

    fn charges(&self, width: f64) -> Vec<f64> {
        let less = self.center.iter().map(|v| v + width);
        less.chain(self.center.iter().map(|v| -(v - width).max(0.0)))
            .collect()
    }

    /// Keeps the duals; what the linear program proves at most, and how many items it misses.
    pub(super) fn learn(&mut self, solution: &Solution) -> (f64, f64) {
        self.duals.clone_from(&solution.duals);
        let items = self.center.len();
        let weights = self.duals[..items].iter_mut();
        weights.for_each(|w| *w = w.max(0.0));
        let missed = solution.values[..2 * items].iter().sum();
        (
            float(self.stay.all) / self.scale + solution.objective,
            missed,
        )
    }

    /// Keeps the weights if they prove most.
    fn note(&mut self, found: &Value, weights: &[f64]) -> bool {
        let better = self.bound.is_none_or(|bound| found.bound > bound);
        if better {
            self.bound = Some(found.bound);
            self.center = weights.to_vec();
        }
        better
    }

    /// Adds the patterns that gain. Returns how many.
    pub(super) fn take(
        &mut self,
        lp: &mut Lp,
        contents: &[(usize, Content)],
    ) -> Result<usize, Failure> {
        let mut gaining = Vec::new();
        for (s, content) in contents {
            let met = self.met_of(self.stay.sites[*s].class, Some(*s), content.clone());
            let gains = self.duals.is_empty() || self.gain(&met) > EPSILON;
            if !content.is_empty() && gains {
                gaining.push(met);
            }
        }
        self.add(lp, gaining)
    }

    /// A pattern of a site, or of any host of its class.
    pub(super) fn met_of(&self, class: usize, site: Option<usize>, content: Content) -> Met {
        let stays = site.map_or(0, |s| self.stay.stays(&self.stay.sites[s], &content));
        Met {
            class,
            site: site.filter(|_| stays > 0),
            content,
            stays,
        }
    }

    /// Copies of an item that run on a site now.
    pub(super) fn own(&self, site: usize, item: usize) -> usize {
        let homes = self.stay.sites[site].homes.iter();
        homes.filter(|(i, _)| *i == item).count()
    }

    /// Adds those patterns that are new. Returns how many.
    pub(super) fn add(&mut self, lp: &mut Lp, patterns: Vec<Met>) -> Result<usize, Failure> {
        let mut columns = Vec::new();
        for met in patterns {
            if self.seen.insert((met.class, met.site, met.content.clone())) {
                let entries = self.entries(&met);
                columns.push(Column {
                    cost: -self.worth(&met),
                    upper: f64::INFINITY,
                    entries,
                });
                self.met.push(met);
            }
        }
        lp.add(&columns)?;
        Ok(columns.len())
    }

    /// What stays, in mean prices.
    fn worth(&self, met: &Met) -> f64 {
        float(met.stays) * float(self.stay.unit) * float(self.stay.parts) / self.scale
    }

    fn entries(&self, met: &Met) -> Vec<(usize, f64)> {
        let (items, sites) = (self.stay.counts.len(), self.stay.sites.len());
        let copies = met
            .content
            .iter()
            .map(|(i, copies)| (*i, of_count(*copies)));
        let price = float(self.stay.packing.price(met.class, 1)) / 1000.0;
        let last = [
            (items + sites + met.class, 1.0),
            (items + sites + self.stay.packing.hosts.len(), price),
        ];
        copies
            .chain(met.site.map(|s| (items + s, 1.0)))
            .chain(last)
            .collect()
    }

    /// By how much a pattern is worth more than it costs at the duals.
    pub(super) fn gain(&self, met: &Met) -> f64 {
        let entries = self.entries(met);
        let paid = entries
            .iter()
            .map(|(row, factor)| self.duals[*row] * factor);
        self.worth(met) + paid.sum::<f64>()
    }

    pub(super) fn whole(&self, weights: &[f64]) -> Vec<i64> {
        let weights = weights.iter();
        weights.map(|w| whole(w * self.scale).max(1)).collect()
    }

    /// Keeps patterns that were met elsewhere; there is no column for them.
    pub(super) fn keep(&mut self, patterns: Vec<Met>) {
        for met in patterns {
            if self.seen.insert((met.class, met.site, met.content.clone())) {
                self.met.push(met);
            }
        }
    }

    pub(super) fn choice(&self, met: &Met, known: bool) -> Choice {
        Choice {
            class: met.class,
            host: met.site.map(|s| self.stay.sites[s].host),
            content: met.content.clone(),
            stays: met.stays,
            known,
        }
    }
}
