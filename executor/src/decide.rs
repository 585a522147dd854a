//! What to do next, from the plan and its progress alone. A move's way:
//!
//! ```text
//!            all `after` moved, a slot free            switch      source free
//! Waiting ──────────────────────────────> Running ───────────────────────────> Moved
//!    │  ^                                  │ │ │ │
//!    │  └──────────── interrupted ─────────┘ │ │ └── split state, lost ─> Stuck
//!    │                                       │ └──── it changed meanwhile ─> Skipped
//!    │             after the back-off        v
//!    │             Running <──────────── Failed (guest at the source) ── tries used up: the end
//!    └─ a move it waits for did not happen, a guest is stuck, or the run was aborted ─> Skipped
//! ```
//!
//! The run ends when no move runs and none can start any more. While draining nothing starts, and
//! the run is left as it stands, to be resumed.

use std::collections::BTreeMap;

use vmpack_domain::HostName;
use vmpack_domain::journal::{MoveState, Progress};
use vmpack_domain::plan::{Move, MoveId, Plan};
use vmpack_domain::units::Micros;

/// How the executor may go about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most migrations at once.
    pub parallel: usize,
    /// Most that leave a host at once, and most that come to it.
    pub per_host: usize,
    /// How often a move is tried that left its guest at the source.
    pub tries: u32,
    /// Before the second try; twice as long before the third, and so on.
    pub back_off: Micros,
    /// How long a guest is looked for whose migration nobody watches, before it counts as stuck.
    pub patience: Micros,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 1,
            per_host: 1,
            tries: 2,
            back_off: Micros::secs(2),
            patience: Micros::secs(120),
        }
    }
}

/// What decisions hang on besides plan and progress.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// Time since this executor began.
    pub now: Micros,
    /// When a failed move may be tried again; at once if it is not named.
    pub retry_at: BTreeMap<MoveId, Micros>,
    /// Whether the user asked to finish what runs and start no more.
    pub draining: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin this try of a move.
    Start {
        /// Which.
        id: MoveId,
        /// 1 for the first try.
        attempt: u32,
    },
    /// Give a move up that was not begun.
    Skip {
        /// Which.
        id: MoveId,
        /// Why.
        reason: String,
    },
    /// Nothing can be done until a migration tells something, or until that time.
    Wait {
        /// When a failed move may be tried again.
        until: Option<Micros>,
    },
    /// The end. Comes alone.
    Finish {
        /// Whether every move happened.
        complete: bool,
    },
    /// Stop here; the run can be resumed. Comes alone.
    Leave,
}

/// The back-off before the next try, after that many failed ones.
#[must_use]
pub fn back_off(limits: &Limits, failed: u32) -> Micros {
    let doubled = 1u64 << failed.saturating_sub(1).min(10);
    Micros(limits.back_off.0.saturating_mul(doubled))
}

/// What to do next; never empty unless the run is over.
#[must_use]
pub fn decide(
    plan: &Plan,
    progress: &Progress,
    limits: &Limits,
    observed: &Observed,
) -> Vec<Action> {
    if progress.finished.is_some() {
        return Vec::new();
    }
    let mut busy = Busy::default();
    for mv in &plan.moves {
        if matches!(state(progress, &mv.id), MoveState::Running { .. }) {
            busy.add(mv);
        }
    }
    let running = busy.all;
    let stuck = plan
        .moves
        .iter()
        .find(|m| matches!(state(progress, &m.id), MoveState::Stuck { .. }));
    let mut actions = Vec::new();
    let mut pending = false;
    let mut until: Option<Micros> = None;
    for (at, mv) in plan.moves.iter().enumerate() {
        let attempt = match state(progress, &mv.id) {
            MoveState::Waiting => 1,
            MoveState::Failed { attempt, .. } if attempt < limits.tries => attempt + 1,
            _ => continue,
        };
        let reason = if progress.aborted {
            Some("the run was aborted".to_owned())
        } else if let Some(stuck) = stuck {
            Some(format!(
                "guest {} of move {} is stuck",
                stuck.guest, stuck.id
            ))
        } else {
            lost(plan, at, progress, limits).map(|id| format!("move {id} did not happen"))
        };
        if let Some(reason) = reason {
            // A move that failed stays failed: that says more.
            if attempt == 1 {
                actions.push(Action::Skip {
                    id: mv.id.clone(),
                    reason,
                });
            }
            continue;
        }
        pending = true;
        let ready = needs(plan, at).all(|id| moved(progress, id));
        if observed.draining || !ready || !busy.leaves_room(mv, limits) {
            continue;
        }
        match observed.retry_at.get(&mv.id) {
            Some(time) if *time > observed.now => {
                until = Some(until.map_or(*time, |u| u.min(*time)));
            }
            _ => {
                busy.add(mv);
                actions.push(Action::Start {
                    id: mv.id.clone(),
                    attempt,
                });
            }
        }
    }
    if !actions.is_empty() {
        return actions;
    }
    let end = if running > 0 || until.is_some() {
        Action::Wait { until }
    } else if pending {
        Action::Leave
    } else {
        Action::Finish {
            complete: plan.moves.iter().all(|m| moved(progress, &m.id)),
        }
    };
    vec![end]
}

/// Which slots are taken.
#[derive(Default)]
struct Busy<'a> {
    all: usize,
    from: BTreeMap<&'a HostName, usize>,
    to: BTreeMap<&'a HostName, usize>,
}

impl<'a> Busy<'a> {
    fn add(&mut self, mv: &'a Move) {
        self.all += 1;
        *self.from.entry(&mv.from).or_default() += 1;
        *self.to.entry(&mv.to).or_default() += 1;
    }
    fn leaves_room(&self, mv: &Move, limits: &Limits) -> bool {
        let taken = |of: &BTreeMap<&HostName, usize>, host| of.get(host).copied().unwrap_or(0);
        self.all < limits.parallel.max(1)
            && taken(&self.from, &mv.from).max(taken(&self.to, &mv.to)) < limits.per_host.max(1)
    }
}

fn state(progress: &Progress, id: &MoveId) -> MoveState {
    progress
        .moves
        .get(id)
        .cloned()
        .unwrap_or(MoveState::Waiting)
}

fn moved(progress: &Progress, id: &MoveId) -> bool {
    matches!(progress.moves.get(id), Some(MoveState::Moved { .. }))
}

/// The moves that must have ended before the one at that index: its `after`, and earlier moves of
/// the same guest.
fn needs(plan: &Plan, at: usize) -> impl Iterator<Item = &MoveId> {
    let mv = plan.moves.get(at);
    let same_guest = plan
        .moves
        .iter()
        .take(at)
        .filter(move |m| mv.is_some_and(|mv| m.guest == mv.guest))
        .map(|m| &m.id);
    mv.into_iter().flat_map(|mv| &mv.after).chain(same_guest)
}

/// A move that this one needs and that will not happen any more.
fn lost<'a>(plan: &'a Plan, at: usize, progress: &Progress, limits: &Limits) -> Option<&'a MoveId> {
    let earlier = |id: &MoveId| plan.moves.iter().take(at).any(|m: &Move| m.id == *id);
    needs(plan, at).find(|id| match state(progress, id) {
        MoveState::Skipped { .. } | MoveState::Stuck { .. } => true,
        MoveState::Failed { attempt, .. } => attempt >= limits.tries,
        MoveState::Moved { .. } => false,
        // An edge that does not point backwards would wait for ever.
        MoveState::Waiting | MoveState::Running { .. } => !earlier(id),
    })
}

#[cfg(test)]
mod tests;
