//! What a guest wanted lately.

use std::collections::VecDeque;

use vmpack_domain::relief::Demand;
use vmpack_domain::units::{Micros, MilliCores};

/// How many of the newest windows say what a guest wants now: 100 ms of the 34 ms that a watch is best
/// served with. Fewer in the first moments of a surge that the kernel told of.
pub(super) const NEWEST: usize = 3;
/// A vCPU of which no more than this was idle, in thousandths of the window, is taken to have had no rest.
const REST: u64 = 20;
/// How far back its margin looks.
const BACK: Micros = Micros::secs(10);
/// A guest of which its probe, which goes on, has not told for so long is unknown.
const FORGOTTEN: Micros = Micros::secs(1);

/// What was measured of a guest in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// What it wanted: what it ran, and what it waited for since its vCPUs' last rest.
    pub demand: MilliCores,
    /// What it ran.
    pub run: MilliCores,
    /// How long the window was.
    pub length: Micros,
}

/// How long so many of the newest windows were, of those that are told together.
pub(super) fn covered(windows: &[Window], newest: usize) -> Micros {
    windows.iter().rev().take(newest).map(|w| w.length).sum()
}

/// What it wanted for less than this is no reason for a margin: a program that starts takes all it gets
/// for a tenth of a second.
const STEADY: Micros = Micros::millis(500);

/// The newest windows; and the last ten seconds.
#[derive(Debug, Default)]
pub(super) struct Recent {
    newest: VecDeque<Window>,
    past: VecDeque<Then>,
}

/// What a guest wanted at a moment, and in the mean of [`STEADY`] before it.
#[derive(Debug, Clone, Copy)]
struct Then {
    at: Micros,
    wanted: MilliCores,
    steady: MilliCores,
}

impl Recent {
    /// Takes windows in, and says what the guest wants now, and what it wanted more than that at most in
    /// the last ten seconds in any mean of half a second.
    pub(super) fn push(&mut self, now: Micros, windows: &[Window]) -> Demand {
        self.newest.extend(windows);
        let more = self.newest.len().saturating_sub(NEWEST);
        self.newest.drain(..more);
        let wanted = self.over(NEWEST);
        while self.past.front().is_some_and(|then| then.at + BACK <= now) {
            self.past.pop_front();
        }
        let lately = self.past.iter().rev();
        let lately = lately.take_while(|then| then.at + STEADY > now);
        let (sum, count) =
            lately.fold((wanted.0, 1), |(sum, n), then| (sum + then.wanted.0, n + 1));
        let steady = MilliCores(sum.div_ceil(count));
        self.past.push_back(Then {
            at: now,
            wanted,
            steady,
        });
        self.seen(NEWEST)
    }

    /// The same, by what it wanted in so many of the newest windows.
    pub(super) fn seen(&self, windows: usize) -> Demand {
        let wanted = self.over(windows);
        let most = self.past.iter().map(|then| then.steady).max();
        Demand::Seen {
            now: wanted,
            margin: most.unwrap_or(wanted).saturating_sub(wanted),
        }
    }

    /// The demand over so many of the newest windows together, as the probe has it over each: what ran in them, and
    /// what was waited for since the last rest. A mean of their demands would count a wait that is
    /// carried over a window's end twice, in the next as run time; where guests contend all the time that is
    /// most of it. A vCPU that rested in a window has worked off all that it waited for before; so
    /// at most those whose whole window was wanted, ⌊demand⌋ of them, carry any of it over.
    fn over(&self, windows: usize) -> MilliCores {
        let (mut sum, mut carried) = (0, u64::MAX);
        for window in self.newest.iter().rev().take(windows) {
            let unmet = window.demand.saturating_sub(window.run).0;
            sum += window.run.0 + unmet.min(carried);
            carried = carried.min((window.demand.0 + REST) / 1000 * 1000);
        }
        let windows = self.newest.len().min(windows);
        MilliCores(sum.div_ceil((windows as u64).max(1)))
    }

    /// Whether nothing was told of it lately.
    pub(super) fn stale(&self, now: Micros) -> bool {
        let last = self.past.back();
        last.is_none_or(|then| then.at + FORGOTTEN <= now)
    }

    /// By how much it wants more now than the least of the last ten seconds, in milli-cores.
    pub(super) fn rise(&self) -> u64 {
        let least = self.past.iter().map(|then| then.wanted.0).min();
        let last = self.past.back().map_or(0, |then| then.wanted.0);
        last.saturating_sub(least.unwrap_or(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(windows: &[(u64, u64)]) -> u64 {
        let window = |(demand, run): &(u64, u64)| Window {
            demand: MilliCores(*demand),
            run: MilliCores(*run),
            length: Micros::millis(34),
        };
        let windows: Vec<Window> = windows.iter().map(window).collect();
        let demand = Recent::default().push(Micros::ZERO, &windows);
        let Demand::Seen { now, .. } = demand else {
            panic!("{demand:?}");
        };
        now.0
    }

    #[test]
    fn a_wait_that_is_worked_off_later_counts_once() {
        // Nothing waits: what ran.
        assert_eq!(wanted(&[(300, 300), (300, 300), (300, 300)]), 300);
        // It never rests: all of it.
        assert_eq!(wanted(&[(1000, 300), (1000, 200), (1000, 250)]), 1000);
        // It waited, and rested in the newest window: it has caught up, all that it wanted it ran.
        assert_eq!(wanted(&[(900, 100), (900, 200), (600, 600)]), 300);
        // What the newest window leaves is unmet.
        assert_eq!(wanted(&[(900, 100), (900, 200), (900, 600)]), 400);
        // One of two vCPUs never rested: at most its waiting is carried over.
        assert_eq!(wanted(&[(2000, 200), (1500, 300), (1500, 400)]), 1334);
        // Only the newest three count.
        assert_eq!(wanted(&[(1000, 0), (90, 90), (90, 90), (90, 90)]), 90);
    }

    #[test]
    fn what_it_takes_for_a_moment_as_it_starts_is_no_margin_and_what_lasts_is() {
        let margin = |high: u64| {
            let mut recent = Recent::default();
            let mut last = None;
            // Windows of 34 ms: idle for a second, all of a vCPU for `high` of them, then a third of it.
            for n in 0..90 {
                let wants = match n {
                    0..30 => 20,
                    n if n < 30 + high => 1000,
                    _ => 300,
                };
                let wants = MilliCores(wants);
                let window = Window {
                    demand: wants,
                    run: wants,
                    length: Micros::millis(34),
                };
                last = Some(recent.push(Micros::millis(34 * n), &[window]));
            }
            let Some(Demand::Seen { now, margin }) = last else {
                panic!("{last:?}");
            };
            assert_eq!(now.0, 300);
            margin.0
        };
        assert!(margin(3) < 150, "{}", margin(3));
        assert!(margin(20) > 600, "{}", margin(20));
    }
}
