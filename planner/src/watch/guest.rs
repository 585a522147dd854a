//! What a guest wanted lately.

use std::collections::VecDeque;

use vmpack_domain::relief::Demand;
use vmpack_domain::units::{Micros, MilliCores};

/// How many of the newest windows of 16.8 ms say what a guest wants now: 50 ms.
const NEWEST: usize = 3;
/// How far back its margin looks.
const BACK: Micros = Micros::secs(10);
/// A guest of which its probe, which goes on, has not told for so long is unknown.
const FORGOTTEN: Micros = Micros::secs(1);

/// The last ten seconds: when, and what it wanted then.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<(Micros, MilliCores)>);

impl Recent {
    /// Takes windows in, and says what the guest wants: the mean of the newest, and what it wanted more
    /// than that at most in the last ten seconds.
    pub(super) fn push(&mut self, now: Micros, windows: &[MilliCores]) -> Demand {
        let newest = windows.iter().rev().take(NEWEST);
        let n = newest.len() as u64;
        let mean = MilliCores(newest.map(|w| w.0).sum::<u64>().div_ceil(n.max(1)));
        while self.0.front().is_some_and(|(t, _)| *t + BACK <= now) {
            self.0.pop_front();
        }
        self.0.push_back((now, mean));
        let most = self.0.iter().map(|(_, d)| *d).max().unwrap_or(mean);
        Demand::Seen {
            now: mean,
            margin: most.saturating_sub(mean),
        }
    }

    /// Whether nothing was told of it lately.
    pub(super) fn stale(&self, now: Micros) -> bool {
        self.0.back().is_none_or(|(t, _)| *t + FORGOTTEN <= now)
    }

    /// By how much it wants more now than the least of the last ten seconds, in milli-cores.
    pub(super) fn rise(&self) -> u64 {
        let least = self.0.iter().map(|(_, d)| d.0).min().unwrap_or(0);
        self.0.back().map_or(0, |(_, d)| d.0.saturating_sub(least))
    }
}
