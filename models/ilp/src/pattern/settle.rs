//! A placement from the linear program of who stays (`lead.rs`): patterns that it uses most are settled, the rest
//! solved anew with patterns of what is left, and so on until few hosts are left, which are then
//! chosen for at once (`choose.rs`). A dive without steps back, as `dive.rs` is for stage 1: there a pattern
//! belongs to a class of hosts, here to a host of which some stay.

use super::choose::{Choice, Settled};
use super::lead::{Lead, MISSED};
use super::master::of_count;
use super::proof::whole;
use crate::highs::lp::{Failure, Lp, Solution};

/// Hosts that are left to be chosen for at once.
const REST: usize = 30;
/// Patterns are settled that are used by more than this, and otherwise the part of the rest used most.
const SURE: f64 = 0.9;
const PART: usize = 15;
/// Rounds of pricing after each settling, and how near its search comes.
const ROUNDS: usize = 2;
const SLACK: f64 = 1e-2;
/// What an item costs that is missed, in mean prices above its weight.
const DEAR: f64 = 3.0;

/// What is not settled yet.
struct Rest {
    counts: Vec<usize>,
    /// By site.
    open: Vec<bool>,
    /// By class.
    hosts: Vec<usize>,
    cost: i64,
    /// By pattern met.
    settled: Vec<usize>,
}

impl Lead<'_, '_> {
    /// Settles patterns until few hosts are left. Returns patterns to choose from, some settled.
    pub(super) fn settle(
        &mut self,
        lp: &mut Lp,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<Choice>, Failure> {
        let packing = self.stay.packing;
        let mut rest = Rest {
            counts: self.stay.counts.clone(),
            open: vec![true; self.stay.sites.len()],
            hosts: packing.hosts.iter().map(super::HostClass::count).collect(),
            cost: self.cost - packing.forced_cost(),
            settled: Vec::new(),
        };
        let less = self.center.iter().map(|v| v + DEAR);
        let charges: Vec<f64> = less.chain(self.center.iter().map(|_| 0.0)).collect();
        lp.charge(&charges)?;
        let mut solution = lp.run(stop)?;
        while self.learn(&solution).1 > MISSED && self.price(lp, &rest, stop)? > 0 {
            solution = lp.run(stop)?;
        }
        let dearest = packing.hosts.iter().map(|k| k.cost).max().unwrap_or(0);
        while rest.cost > dearest * i64::try_from(REST).unwrap_or(i64::MAX) {
            if !self.fix(&mut rest, &solution) {
                break;
            }
            self.close(lp, &rest)?;
            lp.prefer_dual(true)?;
            solution = lp.run(stop)?;
            for _ in 0..ROUNDS {
                let (_, missed) = self.learn(&solution);
                let added = self.price(lp, &rest, stop)?;
                tracing::trace!(
                    settled = rest.settled.len(),
                    missed,
                    added,
                    objective = solution.objective,
                    "settling"
                );
                if added == 0 {
                    break;
                }
                lp.prefer_dual(false)?;
                solution = lp.run(stop)?;
            }
        }
        let mut choices = Vec::new();
        for m in 0..self.met.len() {
            let settled = rest.settled.contains(&m);
            if settled || self.is_open(m, &rest) {
                choices.push(Choice {
                    settled: if settled { Settled::Yes } else { Settled::No },
                    ..self.choice(m)
                });
            }
        }
        Ok(choices)
    }

    /// Settles what the solution uses most. Whether there was anything.
    fn fix(&self, rest: &mut Rest, solution: &Solution) -> bool {
        let columns = solution.values[2 * self.center.len()..].iter().enumerate();
        let mut used: Vec<(f64, usize)> = columns
            .filter(|(_, value)| **value > 1e-6)
            .map(|(m, value)| (*value, m))
            .collect();
        used.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let hosts = used.iter().map(|(value, _)| value).sum::<f64>();
        let least = usize::try_from(whole(hosts)).unwrap_or(0) / PART;
        let before = rest.settled.len();
        for (value, m) in used {
            let fixed = rest.settled.len() - before;
            if value < SURE && fixed > least {
                break;
            }
            if self.is_open(m, rest) {
                rest.take(self, m);
            }
        }
        rest.settled.len() > before
    }

    /// Whether the pattern may still be taken.
    fn is_open(&self, m: usize, rest: &Rest) -> bool {
        let met = &self.met[m];
        met.site.is_none_or(|s| rest.open[s])
            && rest.hosts[met.class] > 0
            && self.stay.packing.price(met.class, 1) <= rest.cost
            && met
                .content
                .iter()
                .all(|(i, copies)| *copies <= rest.counts[*i])
    }

    /// Tells the linear program what is left.
    fn close(&self, lp: &mut Lp, rest: &Rest) -> Result<(), Failure> {
        let (items, sites) = (rest.counts.len(), rest.open.len());
        for (i, n) in rest.counts.iter().enumerate() {
            lp.range(i, of_count(*n), of_count(*n))?;
        }
        for (s, open) in rest.open.iter().enumerate() {
            lp.range(items + s, f64::NEG_INFINITY, f64::from(u8::from(*open)))?;
        }
        for (k, n) in rest.hosts.iter().enumerate() {
            lp.range(items + sites + k, f64::NEG_INFINITY, of_count(*n))?;
        }
        let cost = crate::model::float(rest.cost) / 1000.0;
        lp.range(items + sites + rest.hosts.len(), f64::NEG_INFINITY, cost)?;
        let closed = (0..self.met.len()).filter(|m| !self.is_open(*m, rest));
        let closed: Vec<usize> = closed.map(|m| 2 * items + m).collect();
        lp.cap(&closed, 0.0)
    }

    /// Adds patterns of what is left that gain. Returns how many.
    fn price(
        &mut self,
        lp: &mut Lp,
        rest: &Rest,
        stop: &dyn Fn() -> bool,
    ) -> Result<usize, Failure> {
        let weights = self.whole(&self.duals[..self.center.len()]);
        let slack = whole(SLACK * self.scale);
        let contents =
            self.stay
                .contents_of(&weights, &rest.counts, &rest.open, (self.cost, slack), stop);
        let before = self.met.len();
        self.take(lp, &contents)?;
        let closed = (before..self.met.len()).filter(|m| !self.is_open(*m, rest));
        let closed: Vec<usize> = closed.map(|m| 2 * self.center.len() + m).collect();
        lp.cap(&closed, 0.0)?;
        Ok(self.met.len() - before - closed.len())
    }
}

impl Rest {
    fn take(&mut self, lead: &Lead, m: usize) {
        let met = &lead.met[m];
        for (i, copies) in &met.content {
            self.counts[*i] -= copies;
        }
        if let Some(s) = met.site {
            self.open[s] = false;
        }
        self.hosts[met.class] -= 1;
        self.cost -= lead.stay.packing.price(met.class, 1);
        self.settled.push(m);
    }
}
