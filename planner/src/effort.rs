//! What a search may spend: annealing rounds where the policy counts nodes, so that it repeats
//! exactly; time otherwise.

use vmpack_domain::Policy;
use vmpack_domain::units::Micros;
use vmpack_ilp::Limits;

use crate::search::Search;

/// Annealing steps in a round.
pub(crate) const ROUND: u64 = 10_000;

/// A budget of one phase.
pub(crate) struct Effort<'a> {
    elapsed: &'a dyn Fn() -> Micros,
    stop: &'a dyn Fn() -> bool,
    /// When the phase must end, on the caller's clock.
    end: Micros,
    /// Rounds left; `None` where only time counts.
    rounds: Option<u64>,
}

/// The budget of one annealing run.
pub(crate) enum Slice {
    /// So many steps.
    Steps(u64),
    /// From when to when, on the caller's clock.
    Time(Micros, Micros),
}

impl<'a> Effort<'a> {
    /// A phase that ends when `permille` of the time left has passed, or after as many rounds as
    /// the policy has nodes. In the latter case the time limit only ends a search that would run
    /// away.
    pub(crate) fn share(search: &Search<'a>, policy: &Policy, permille: u64) -> Self {
        let now = (search.elapsed)();
        let left = policy.limits.time.saturating_sub(now);
        let end = match policy.limits.nodes {
            Some(_) => policy.limits.time,
            None => now + part(left, permille),
        };
        Self {
            elapsed: search.elapsed,
            stop: search.stop,
            end,
            rounds: policy.limits.nodes,
        }
    }
    /// A phase that ends when `permille` of what is left of this one has passed, with as many rounds.
    pub(crate) fn part(&self, permille: u64) -> Self {
        let end = match self.rounds {
            Some(_) => self.end,
            None => (self.elapsed)() + part(self.left(), permille),
        };
        Self { end, ..*self }
    }
    /// Whether nothing is left.
    pub(crate) fn spent(&self) -> bool {
        self.rounds == Some(0) || self.cut_off()
    }
    /// Whether the user or the clock says that it is over.
    pub(crate) fn cut_off(&self) -> bool {
        (self.stop)() || (self.elapsed)() >= self.end
    }
    fn left(&self) -> Micros {
        self.end.saturating_sub((self.elapsed)())
    }
    /// Whether `permille` of the time left now has passed, or the user stops; asked later.
    pub(crate) fn alarm(&self, permille: u64) -> impl Fn() -> bool + 'a {
        let (elapsed, stop) = (self.elapsed, self.stop);
        let end = elapsed() + part(self.left(), permille);
        move || stop() || elapsed() >= end
    }
    /// The limits of a solver that may have `permille` of the time left.
    pub(crate) fn limits(&self, policy: &Policy, permille: u64) -> Limits<'a> {
        Limits {
            time: part(self.left(), permille),
            nodes: policy.limits.nodes,
            seed: policy.limits.seed,
            threads: 1,
            stop: self.stop,
        }
    }
    /// A part of what is left for one run over so many guests: 400 µs (2,000 steps) a guest times
    /// `weight`, at most half of what is left.
    pub(crate) fn slice(&mut self, guests: usize, weight: u64) -> Slice {
        let guests = guests as u64;
        match &mut self.rounds {
            Some(left) => {
                let want = (guests / 5).max(5).saturating_mul(weight);
                let take = want.min((*left).div_ceil(2));
                *left -= take;
                Slice::Steps(take * ROUND)
            }
            None => {
                let now = (self.elapsed)();
                let want = (guests * 400).max(30_000).saturating_mul(weight);
                let take = want.min(self.left().0.div_ceil(2));
                Slice::Time(now, now + Micros(take))
            }
        }
    }
    /// Gives back what a run did not need. A run that was over at once costs a round, too, so that a
    /// search which repeats it comes to an end.
    pub(crate) fn refund(&mut self, slice: &Slice, steps: u64) {
        if let (Some(left), Slice::Steps(given)) = (&mut self.rounds, slice) {
            *left += given.saturating_sub(steps.max(1)) / ROUND;
        }
    }
    /// How far a run is through its slice after so many steps; 1 and more when it must end.
    pub(crate) fn progress(&self, slice: &Slice, steps: u64) -> f64 {
        if self.cut_off() {
            return 1.0;
        }
        match slice {
            Slice::Steps(given) => steps as f64 / (*given).max(1) as f64,
            Slice::Time(from, to) => {
                let now = (self.elapsed)().saturating_sub(*from).0;
                now as f64 / to.saturating_sub(*from).0.max(1) as f64
            }
        }
    }
}

fn part(time: Micros, permille: u64) -> Micros {
    Micros(time.0.saturating_mul(permille) / 1000)
}
