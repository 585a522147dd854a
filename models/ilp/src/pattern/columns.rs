//! Column generation: patterns of use for the LP of `master.rs`, until a bound is proven.
//!
//! Duals are smoothed towards those that promise most so far (Wentges 1997), at first a guess; where
//! that finds no column, less so, until the LP's own duals are priced. While quick contents with each
//! of the items are many, the best one is not asked for: then the best of the quick ones tells what duals
//! promise, else a guess that says little would hold the first exact rounds back.

use super::master::{Duals, Known, Master, of_count, round_up};
use super::price::{Content, Reach};
use super::proof::{Proof, SCALE, integer};
use super::{Pattern, Stand};
use crate::highs::lp::{Failure, Solution};
use crate::model::float;

/// How the columns of a round were.
struct Round {
    added: usize,
    /// Whether every pricing was finished.
    closed: bool,
    /// What the duals prove if no content is worth more than the best that was found.
    estimate: f64,
    proof: Proof,
}

/// How the quick columns of a round were.
struct Quick {
    added: usize,
    /// As in [`Round`].
    estimate: f64,
}

/// Duals that others are drawn to.
#[derive(Debug, Clone)]
pub(super) struct Center {
    duals: Duals,
    /// What they prove, as far as is known: an estimate of a [`Round`].
    value: f64,
    /// Whether the best content was searched for, and not only contents with each of the items.
    searched: bool,
}

/// How far duals are drawn to the best ones.
const SMOOTHING: f64 = 0.6;
/// Nodes of one pricing, at first.
const FIRST: u64 = 1 << 18;
/// And as long as duals are smoothed.
const STEADY: u64 = 1 << 22;
/// Or, where that does not finish, few.
const FEW: u64 = 1 << 14;
/// Nodes of the look for contents with an item.
const SEEDS: u64 = 300;
/// Contents that are worth less than their price by up to this share may be of use at other duals.
const NEAR: f64 = 0.125;
/// The share of the LP's value by which the bound that its duals promise is below it where it is near.
const CLOSE: f64 = 0.01;
/// Reduced costs below this are none.
const EPSILON: f64 = 1e-6;

impl Master<'_> {
    /// Where column generation stands, for who follows it.
    pub(super) fn tell(&self, what: &str, proof: &Proof) {
        tracing::debug!(
            rounds = self.rounds,
            steps = self.steps,
            value = self.worth() / self.top,
            bound = proof.value / self.top,
            columns = self.pool.len(),
            "{what}"
        );
    }

    /// The duals that promise most so far.
    pub(super) fn promising(&self) -> Option<&Duals> {
        self.center.as_ref().map(|c| &c.duals)
    }

    /// Both phases: with the exchange columns, then without.
    pub(super) fn converge(&mut self, known: &Known, best: &mut Proof) -> Result<(), Failure> {
        self.generate(known, best)?;
        if best.cost.max(known.lower) < known.upper {
            self.end_exchanges()?;
            self.generate(known, best)?;
        }
        Ok(())
    }

    /// Both phases with quick columns alone, while there are many; `guide` is known of the duals.
    pub(super) fn approach(&mut self, guide: Option<Duals>) -> Result<(), Failure> {
        let center = guide.unwrap_or_else(|| self.guess());
        self.offer(&center, &center, 1.0 - NEAR, -NEAR)?;
        for phase in 0..2 {
            if phase == 1 {
                self.end_exchanges()?;
            }
            while !self.effort.ended(self.rounds, self.steps) {
                let solution = self.lp.run(self.effort.stop)?;
                self.rounds += 1;
                let own = self.duals(&solution);
                let priced = own.towards(&center, SMOOTHING);
                if self.quick(&priced, &own)?.added <= self.left.len() / 20 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Column generation until the bound is the LP's value rounded up, or closes the search, or the
    /// effort ends. The best proof found replaces `best` where it is better.
    fn generate(&mut self, known: &Known, best: &mut Proof) -> Result<(), Failure> {
        let forced = self.packing.forced_cost();
        let mut center = self.center.take().unwrap_or_else(|| Center {
            duals: self.guess(),
            value: 0.0,
            searched: false,
        });
        if center.value <= 0.0 && !self.effort.sufficed(self.rounds, self.steps) {
            let round = self.round(&center.duals, &center.duals, 0.0, FIRST, -NEAR)?;
            center.value = round.estimate;
            // What is known of the guess is given up for what is known to be better only.
            center.searched = round.closed;
            if round.proof.cost > best.cost {
                *best = round.proof;
            }
        }
        let mut missed = 0.0;
        let mut quickly = true;
        let mut hopeless = false;
        let mut steps = self.effort.steps.min(FIRST);
        while !self.effort.sufficed(self.rounds, self.steps) {
            let mut solution = self.lp.run(self.effort.stop)?;
            if self.prune(&solution)? {
                solution = self.lp.run(self.effort.stop)?;
            }
            self.rounds += 1;
            self.value = solution.objective;
            let reachable = round_up(self.value * self.top, known.unit).saturating_add(forced);
            if best.cost.max(known.lower) >= reachable.min(known.upper) {
                break;
            }
            let own = self.duals(&solution);
            let alpha = (1.0 - (missed + 1.0) * (1.0 - SMOOTHING)).max(0.0);
            let priced = own.towards(&center.duals, alpha);
            if quickly {
                let quick = self.quick(&priced, &own)?;
                if !center.searched && quick.estimate > center.value {
                    (center.duals, center.value) = (priced.clone(), quick.estimate);
                }
                if quick.added > self.left.len() / 20 {
                    continue;
                }
            }
            let round = self.round(
                &priced,
                &own,
                float(reachable - forced - known.unit),
                steps,
                EPSILON,
            )?;
            tracing::trace!(
                rounds = self.rounds,
                value = self.value,
                bound = round.proof.value / self.top,
                estimate = round.estimate / self.top,
                added = round.added,
                steps = self.steps,
                closed = round.closed,
                "pattern LP"
            );
            if !center.searched || round.estimate > center.value {
                center = Center {
                    duals: priced,
                    value: round.estimate,
                    searched: true,
                };
            }
            if self.effort.stand.get() != Stand::Again {
                let near = center.searched && center.value >= (1.0 - CLOSE) * self.worth();
                self.effort
                    .stand
                    .set(if near { Stand::Near } else { Stand::Far });
            }
            if round.proof.cost > best.cost {
                *best = round.proof;
            }
            // Where the best pattern cannot be proven, columns at least are to be had.
            quickly = !round.closed;
            if !round.closed && !hopeless {
                hopeless = steps >= STEADY;
                steps = if hopeless { FEW } else { 4 * steps }.min(self.effort.steps);
            }
            if round.added > 0 {
                missed = 0.0;
            } else if alpha > 0.0 {
                missed += 1.0;
            } else if !round.closed && steps < self.effort.steps {
                steps = steps.saturating_mul(4).min(self.effort.steps);
            } else {
                break;
            }
        }
        self.center = Some(center);
        Ok(())
    }

    /// Quick pricing at the LP's own duals, for what is left. Returns the columns added.
    pub(super) fn complete(&mut self, solution: &Solution) -> Result<usize, Failure> {
        let own = self.duals(solution);
        Ok(self.offer(&own, &own, 1.0, EPSILON)?.added)
    }

    /// Quick contents at `priced` that are of use at `own`, and where they are few, at `own`. Returns
    /// the columns added.
    fn quick(&mut self, priced: &Duals, own: &Duals) -> Result<Quick, Failure> {
        let mut quick = self.offer(priced, own, 0.97, EPSILON)?;
        if quick.added < self.left.len() / 10 {
            quick.added += self.offer(own, own, 1.0, EPSILON)?.added;
        }
        Ok(quick)
    }

    /// Contents worth that share of their price at `priced`, with each item in turn, those that gain
    /// more than `least` at `own`. Returns the columns added.
    fn offer(
        &mut self,
        priced: &Duals,
        own: &Duals,
        share: f64,
        least: f64,
    ) -> Result<Quick, Failure> {
        let values: Vec<i64> = priced.items.iter().map(|d| integer(*d)).collect();
        let mut offers: Vec<(f64, Pattern)> = Vec::new();
        let mut most = Vec::new();
        for k in 0..self.pricers.len() {
            let price = self.cost(k) - priced.hosts[k];
            let reach = Reach {
                floor: integer(price * (1.0 + EPSILON)),
                low: integer(price * (share + EPSILON)),
                steps: 0,
                seeds: SEEDS,
                stop: &|| (self.effort.stop)() || self.effort.enough(),
            };
            let found = self.pricers[k].price(&values, &self.left, &reach);
            self.steps += found.steps;
            most.push(found.found.first().map_or(0, |f| f.0).max(reach.floor));
            self.offers(k, found.found, own, least, &mut offers);
        }
        Ok(Quick {
            added: self.take(offers)?,
            estimate: super::proof::value(self.packing, &values, &most),
        })
    }

    /// The contents of class `k` that gain more than `least` at `own`.
    fn offers(
        &self,
        k: usize,
        found: Vec<(i64, Content)>,
        own: &Duals,
        least: f64,
        offers: &mut Vec<(f64, Pattern)>,
    ) {
        for (_, content) in found {
            let gain = worth_of(&content, &own.items) - (self.cost(k) - own.hosts[k]);
            if gain > least {
                offers.push((gain, Pattern { host: k, content }));
            }
        }
    }

    /// Adds the offers of most gain, an item in a few only. Returns how many.
    fn take(&mut self, mut offers: Vec<(f64, Pattern)>) -> Result<usize, Failure> {
        offers.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let mut used = vec![0usize; self.left.len()];
        let mut chosen = Vec::new();
        for (_, pattern) in offers {
            if chosen.len() > self.left.len() / 3 * 2 + 20 {
                break;
            }
            if pattern
                .content
                .iter()
                .any(|(i, _)| used[*i] >= 2 + pattern.content.len())
            {
                continue;
            }
            pattern.content.iter().for_each(|(i, _)| used[*i] += 1);
            chosen.push(pattern);
        }
        self.learn(&chosen)
    }

    /// Prices every host class at `priced` and adds what is of use at `own`. `beaten` is the cost
    /// that a bound is to exceed, without that of the forced hosts.
    fn round(
        &mut self,
        priced: &Duals,
        own: &Duals,
        beaten: f64,
        steps: u64,
        least: f64,
    ) -> Result<Round, Failure> {
        let values: Vec<i64> = priced.items.iter().map(|d| integer(*d)).collect();
        // By how much every pattern may exceed its price when the bound is still to be above.
        let worth: f64 = values
            .iter()
            .zip(&self.packing.items)
            .map(|(v, i)| float(*v) / SCALE * of_count(i.count()))
            .sum();
        let limits: f64 = priced
            .hosts
            .iter()
            .zip(&self.packing.hosts)
            .map(|(s, k)| s * of_count(k.count()))
            .sum();
        let slack = if beaten > 0.0 {
            (worth + limits) * self.top / beaten - 1.0 - 1e-9
        } else {
            0.0
        };
        let slack = slack.clamp(EPSILON, 1.0);
        let (mut most, mut likely) = (Vec::new(), Vec::new());
        let mut closed = true;
        let mut offers: Vec<(f64, Pattern)> = Vec::new();
        for k in 0..self.pricers.len() {
            let price = self.cost(k) - priced.hosts[k];
            let reach = Reach {
                floor: integer(price * (1.0 + slack)),
                low: integer(price * (1.0 - NEAR)),
                steps,
                seeds: SEEDS,
                stop: &|| (self.effort.stop)() || self.effort.enough(),
            };
            let found = self.pricers[k].price(&values, &self.left, &reach);
            self.steps += found.steps;
            closed &= found.finished;
            let best = found.found.first().map_or(0, |f| f.0);
            likely.push(if best > reach.floor { best } else { found.most });
            most.push(found.most);
            self.offers(k, found.found, own, least, &mut offers);
        }
        let added = self.take(offers)?;
        let estimate = super::proof::value(self.packing, &values, &likely);
        let proof = Proof::new(self.packing, values, most);
        Ok(Round {
            added,
            closed,
            estimate,
            proof,
        })
    }
}

fn worth_of(content: &Content, duals: &[f64]) -> f64 {
    content.iter().map(|(i, c)| duals[*i] * of_count(*c)).sum()
}
