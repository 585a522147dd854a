//! When failed moves are tried again, and broken ones resumed.

use vmpack_domain::journal::{Event, MoveState};
use vmpack_domain::units::Micros;

use super::Shell;
use crate::decide::{Step, back_off};
use crate::journal::Run;

impl Shell<'_> {
    /// A move is not tried again before its back-off is over, after that many tries.
    pub(super) fn later(&mut self, step: &Step, tried: u32) {
        if let Some(run) = self.runs.get(&step.run) {
            let again = self.scene.hypervisor.now() + back_off(&run.limits, tried);
            self.observed.retry_at.insert(step.clone(), again);
        }
    }

    /// What is left of the back-offs that ran when the last executor ended, by the wall clock; where that
    /// jumped, at most the whole of each.
    pub(super) fn back_off_again(&mut self, run: &Run) {
        let Some(live) = self.runs.get(&run.id) else {
            return;
        };
        let (now, wall) = (self.scene.hypervisor.now(), (self.scene.wall)());
        let limits = live.limits;
        for entry in &run.entries {
            let (Event::Failed { id, .. } | Event::Broken { id, .. }) = &entry.event else {
                continue;
            };
            let tried = match live.progress.moves.get(id) {
                Some(MoveState::Failed { attempt, .. }) => *attempt,
                Some(MoveState::Broken { recoveries, .. }) => recoveries + 1,
                _ => continue,
            };
            let whole = back_off(&limits, tried);
            let since = wall.0.as_microsecond() - entry.time.0.as_microsecond();
            let left = whole.saturating_sub(Micros(u64::try_from(since).unwrap_or(0)));
            let step = Step {
                run: run.id,
                id: id.clone(),
            };
            // The last such event of a move is the one that counts.
            self.observed.retry_at.insert(step, now + left);
        }
    }
}
