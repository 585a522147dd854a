//! A placement from the linear program of who stays (`lead.rs`): patterns that it uses most are settled, the rest
//! solved anew with patterns of what is left, and so on until few hosts are left, which are then
//! chosen for at once. A dive without steps back, as `dive.rs` is for stage 1: there a pattern
//! belongs to a class of hosts, here to a host of which some stay. What is found, with what is missing, is made better
//! part by part (`part.rs`).

use super::lead::{Lead, MISSED, Met};
use super::master::of_count;
use super::part::Plan;
use super::proof::whole;
use super::stay::Stay;
use crate::Limits;
use crate::highs::lp::{Failure, Lp, Solution};

/// Hosts that are left to be chosen for at once.
const REST: usize = 16;
/// Patterns are settled that are used by more than this, and otherwise the part of the rest used most.
const SURE: f64 = 0.9;
const PART: usize = 15;
/// Rounds of pricing after each settling, and how near its search comes.
const ROUNDS: usize = 2;
const SLACK: f64 = 1e-2;
/// What an item costs that is missed, in mean prices above its weight.
const DEAR: f64 = 3.0;

/// What is not settled yet.
pub(super) struct Rest {
    pub(super) counts: Vec<usize>,
    /// By site.
    open: Vec<bool>,
    /// By class.
    pub(super) hosts: Vec<usize>,
    /// Without what forced hosts cost.
    pub(super) cost: i64,
}

impl Lead<'_, '_> {
    /// Settles patterns until few hosts are left, chooses for these, and makes the plan better. Returns the plan, if
    /// nothing is missing.
    pub(super) fn settle(&mut self, lp: &mut Lp, limits: &Limits) -> Result<Option<Plan>, Failure> {
        let stop = limits.stop;
        let packing = self.stay.packing;
        let mut rest = Rest::new(self);
        let mut settled = Vec::new();
        self.charge_missed(lp, DEAR)?;
        let mut solution = lp.run(stop)?;
        while self.learn(&solution).1 > MISSED && self.price(lp, &rest, stop)? > 0 {
            solution = lp.run(stop)?;
        }
        let dearest = packing.hosts.iter().map(|k| k.cost).max().unwrap_or(0);
        while rest.cost > dearest * i64::try_from(REST).unwrap_or(i64::MAX) {
            let before = settled.len();
            self.fix(&mut rest, &mut settled, &solution);
            if settled.len() == before {
                break;
            }
            self.close(lp, &rest)?;
            lp.prefer_dual(true)?;
            solution = lp.run(stop)?;
            for _ in 0..ROUNDS {
                let (_, missed) = self.learn(&solution);
                let added = self.price(lp, &rest, stop)?;
                tracing::trace!(
                    settled = settled.len(),
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
        let plan = self.mend(Plan::new(self, settled), limits);
        Ok(plan.is_whole().then_some(plan))
    }

    /// Charges what is missed so much more than its weight, and nothing for what is exceeded.
    pub(super) fn charge_missed(&self, lp: &mut Lp, dear: f64) -> Result<(), Failure> {
        let less = self.center.iter().map(|v| v + dear);
        let charges: Vec<f64> = less.chain(self.center.iter().map(|_| 0.0)).collect();
        lp.charge(&charges)
    }

    /// Settles what the solution uses most.
    fn fix(&self, rest: &mut Rest, settled: &mut Vec<Met>, solution: &Solution) {
        let columns = solution.values[2 * self.center.len()..].iter().enumerate();
        let mut used: Vec<(f64, usize)> = columns
            .filter(|(_, value)| **value > 1e-6)
            .map(|(m, value)| (*value, m))
            .collect();
        used.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let hosts = used.iter().map(|(value, _)| value).sum::<f64>();
        let least = usize::try_from(whole(hosts)).unwrap_or(0) / PART;
        let before = settled.len();
        for (value, m) in used {
            if value < SURE && settled.len() - before > least {
                break;
            }
            let met = &self.met[m];
            if self.is_open(met, rest) {
                rest.take(self.stay, met);
                settled.push(met.clone());
            }
        }
    }

    /// Whether the pattern may still be taken.
    pub(super) fn is_open(&self, met: &Met, rest: &Rest) -> bool {
        met.site.is_none_or(|s| rest.open[s])
            && rest.hosts[met.class] > 0
            && self.stay.packing.price(met.class, 1) <= rest.cost
            && met
                .content
                .iter()
                .all(|(i, copies)| *copies <= rest.counts[*i])
    }

    /// Tells the linear program what is left.
    pub(super) fn close(&self, lp: &mut Lp, rest: &Rest) -> Result<(), Failure> {
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
        let closed = (0..self.met.len()).filter(|m| !self.is_open(&self.met[*m], rest));
        let closed: Vec<usize> = closed.map(|m| 2 * items + m).collect();
        lp.cap(&closed, 0.0)
    }

    /// Adds patterns of what is left that gain. Returns how many.
    pub(super) fn price(
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
        let closed = (before..self.met.len()).filter(|m| !self.is_open(&self.met[*m], rest));
        let closed: Vec<usize> = closed.map(|m| 2 * self.center.len() + m).collect();
        lp.cap(&closed, 0.0)?;
        Ok(self.met.len() - before - closed.len())
    }
}

impl Rest {
    pub(super) fn new(lead: &Lead) -> Self {
        let packing = lead.stay.packing;
        Self {
            counts: lead.stay.counts.clone(),
            open: vec![true; lead.stay.sites.len()],
            hosts: packing.hosts.iter().map(super::HostClass::count).collect(),
            cost: lead.cost - packing.forced_cost(),
        }
    }

    pub(super) fn take(&mut self, stay: &Stay, met: &Met) {
        for (i, copies) in &met.content {
            self.counts[*i] -= copies;
        }
        if let Some(s) = met.site {
            self.open[s] = false;
        }
        self.hosts[met.class] -= 1;
        self.cost -= stay.packing.price(met.class, 1);
    }
}
