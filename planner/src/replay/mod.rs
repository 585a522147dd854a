//! Replays a trace under a policy: guests' load over time, packing at regular times, relief when a host
//! is overloaded, and what that costs. Pure: the same fleet, policy and seed give the same outcome.
//!
//! What is true of the world stands in [`vmpack_sim::fleet`]; here stand the policies and what is made
//! of the world's sums. [`own`] makes a fleet of an operator's cluster, on which [`Planned`] does what
//! this product does there: plans at regular times, and relief between. A policy is asked at regular times and when something happens, and sees the
//! present and the past of the [`Fleet`], never its demand to come.

mod heuristic;
mod name;
mod outcome;
pub mod own;
mod planned;
mod still;
pub mod surge;
mod vmpack;

pub use heuristic::{Detect, Heuristic, Place, Select};
pub use name::{NAMES, NoPolicy, policy};
pub use outcome::Outcome;
pub use planned::Planned;
pub use still::{FirstFit, Still};
pub use vmpack::{Settings, Vmpack};

use vmpack_domain::units::Micros;
use vmpack_sim::fleet::{Fleet, Notice, Power, Told};

/// What a policy wants done. What the world refuses is counted and left undone.
///
/// Power follows by itself, for all policies alike: a migration to a sleeping host wakes it and waits
/// for it, and a host that is empty after a look goes to sleep.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Orders {
    /// Guests to be migrated, and where to.
    pub migrations: Vec<(usize, usize)>,
    /// Hosts to be woken that no migration of these goes to.
    pub wakes: Vec<usize>,
}

/// Decides where guests run.
pub trait Policy {
    /// Where each guest starts, when nothing is known but what it is promised; in the order in which
    /// guests are placed. A guest without a host waits. Not asked where guests run from the start.
    fn begin(&mut self, fleet: &Fleet) -> Vec<(usize, usize)>;

    /// At each regular look.
    fn look(&mut self, fleet: &Fleet) -> Orders;

    /// When something happens between two looks. Guests whose host died start anew by themselves, on the
    /// first host that has room for what they are promised.
    fn notice(&mut self, _fleet: &Fleet, _notice: Notice) -> Orders {
        Orders::default()
    }

    /// Whether hosts draw their full power all the time.
    fn full_power(&self) -> bool {
        false
    }
}

/// What a replay tells while it runs.
pub trait Watch {
    /// After each look: how the fleet is, and how many of how many are done.
    fn looked(&mut self, fleet: &Fleet, done: u64, of: u64);
    /// What happened since the last time.
    fn happened(&mut self, fleet: &Fleet, told: &[Told]);
    /// Whether events are wanted at all.
    fn wants_events(&self) -> bool {
        false
    }
    /// Whether to stop early.
    fn stop(&mut self) -> bool {
        false
    }
}

/// Nobody watches.
pub struct Unwatched;

impl Watch for Unwatched {
    fn looked(&mut self, _: &Fleet, _: u64, _: u64) {}
    fn happened(&mut self, _: &Fleet, _: &[Told]) {}
}

/// Replays a fleet until a time under a policy, which places the guests where none runs yet.
pub fn replay(
    mut fleet: Fleet,
    policy: &mut dyn Policy,
    until: Micros,
    watch: &mut dyn Watch,
) -> Outcome {
    let (first, interval) = (fleet.physics().first, fleet.physics().interval);
    if watch.wants_events() {
        fleet.record();
    }
    let mut run = Run {
        fleet,
        waiting: Vec::new(),
        starting: Vec::new(),
        refused: 0,
    };
    let runs = (0..run.fleet.guests().len()).any(|g| run.fleet.at(g).is_some());
    if runs {
        run.start();
    } else {
        for (guest, host) in policy.begin(&run.fleet) {
            run.refused += u64::from(run.fleet.place(guest, host).is_err());
        }
    }
    run.fleet.begin_at(first);
    let looks = until.0.saturating_sub(first.0).div_ceil(interval.0.max(1));
    for k in 0..looks {
        run.go_on(policy, Micros(first.0 + k * interval.0));
        run.fleet.observe();
        run.start();
        let orders = policy.look(&run.fleet);
        run.carry_out(&orders);
        if !policy.full_power() {
            run.rest();
        }
        watch.looked(&run.fleet, k + 1, looks);
        if watch.wants_events() {
            let told = run.fleet.take_told();
            watch.happened(&run.fleet, &told);
        }
        if watch.stop() {
            break;
        }
    }
    run.go_on(policy, until);
    run.fleet.finish();
    if watch.wants_events() {
        let told = run.fleet.take_told();
        watch.happened(&run.fleet, &told);
    }
    Outcome::of(&run.fleet, policy.full_power(), run.refused)
}

struct Run {
    fleet: Fleet,
    /// Migrations whose target is not awake yet.
    waiting: Vec<(usize, usize)>,
    /// Guests that start on a host which is not awake yet.
    starting: Vec<(usize, usize)>,
    refused: u64,
}

impl Run {
    fn go_on(&mut self, policy: &mut dyn Policy, until: Micros) {
        while let Some(notice) = self.fleet.go_on(until) {
            if matches!(notice, Notice::Awake(_) | Notice::Died(_)) {
                self.start();
            }
            // Several may have woken at once; all are told before anybody is asked.
            let is_on = |m: &(usize, usize)| self.fleet.power(m.1) == Power::On;
            let (ready, waiting) = self.waiting.iter().partition(|m| is_on(m));
            self.waiting = waiting;
            self.carry_out(&Orders {
                migrations: ready,
                ..Orders::default()
            });
            let orders = policy.notice(&self.fleet, notice);
            self.carry_out(&orders);
        }
    }

    /// Guests that run nowhere start, at once or on a host that is woken for them.
    fn start(&mut self) {
        let fleet = &self.fleet;
        let runs = |g: usize| fleet.at(g).is_some() || fleet.has_left(g);
        if (0..fleet.guests().len()).all(runs) {
            self.starting.clear();
            return;
        }
        let waits = |s: &(usize, usize)| {
            !runs(s.0) && matches!(fleet.power(s.1), Power::Asleep | Power::Waking(_))
        };
        self.starting.retain(waits);
        for (guest, host) in still::restarts(&self.fleet) {
            if self.starting.iter().any(|s| s.0 == guest) {
                continue;
            }
            if self.fleet.power(host) == Power::On {
                self.refused += u64::from(self.fleet.place(guest, host).is_err());
            } else {
                // It may be on its way already.
                let _ = self.fleet.wake(host);
                self.starting.push((guest, host));
            }
        }
    }

    fn carry_out(&mut self, orders: &Orders) {
        for host in &orders.wakes {
            // It may be on its way already.
            let _ = self.fleet.wake(*host);
        }
        for (guest, to) in &orders.migrations {
            let sleeps = matches!(self.fleet.power(*to), Power::Asleep | Power::Waking(_));
            if sleeps {
                // It may be on its way already.
                let _ = self.fleet.wake(*to);
                self.waiting.push((*guest, *to));
            } else {
                self.refused += u64::from(self.fleet.migrate(*guest, *to).is_err());
            }
        }
    }

    /// Empty hosts go to sleep, where that does not happen of itself.
    fn rest(&mut self) {
        if self.fleet.physics().free_sleep {
            return;
        }
        for host in 0..self.fleet.hosts().len() {
            let is_awaited = self.starting.iter().any(|s| s.1 == host);
            if !is_awaited {
                // One in use refuses.
                let _ = self.fleet.sleep(host);
            }
        }
    }
}

#[cfg(test)]
mod tests;
