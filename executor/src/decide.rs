//! What to do next, from the runs and their progress alone. A move's way:
//!
//! ```text
//!            all `after` moved, a slot free            switch      source free
//! Waiting ──────────────────────────────> Running ───────────────────────────> Moved
//!    │  ^                                 │ │ │ │ ^ │
//!    │  └─── interrupted, called off ─────┘ │ │ │ │ └─ post-copy broke ─> Broken ── tries used up ─> Stuck
//!    │                                      │ │ │ └── resumed, after a back-off ──┘
//!    │                                      │ │ └──── a half of it died ─> Lost
//!    │                                      │ └────── it changed meanwhile ─> Skipped
//!    │             after the back-off       v
//!    │             Running <─────────── Failed (guest at the source) ── tries used up: the end
//!    └─ a move it waits for did not happen, a guest is stuck or lost, or the run was aborted ─> Skipped
//! ```
//!
//! Several runs may be underway, in their order: relief before consolidation, and the older first.
//!
//! - While a run of relief is not at its end, no move of consolidation starts.
//! - A move of consolidation that has not switched, by a kind of migration that copies first, is called
//!   off when it shares a host or the guest with a move of relief that is ready to start: it would take
//!   of the link. The relief waits for its end only where it is the same guest, or takes the room at
//!   the same target. What has switched, or is about to by post-copy at once, is never called off.
//! - Moves of relief count only one another for the limits on migrations at once.
//! - So many guests at once are in split state at a host, a link or a label as the policy lets be.
//! - Once guests of a run were in split state at a place for as long as the policy's budget lets be, no more of it
//!   begin that would be there; while others are there, only those for which there is some left by what was predicted.
//! - While a guest is in split state and stands still, no move of consolidation starts.
//! - A plan begins with a canary: few moves at once until one has gone well, its guest looked at
//!   afterwards; then up to twice as many as have. Where too many fail, a person is asked. Its policy's
//!   hours and freezes hold its starts. Relief is not bound by any of this.
//!
//! A run ends when no move of it runs and none can start any more. While draining nothing starts, and
//! the runs are left as they stand, to be resumed. While held nothing starts either, and the holder
//! stays.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::GuestName;
use vmpack_domain::journal::{MoveState, Priority, Progress, RunId};
use vmpack_domain::plan::{Move, MoveId, Plan};
use vmpack_domain::units::Micros;

use crate::spells::Spells;
use busy::{Busy, Spent};

/// How the executor may go about a run.
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
    /// How often a broken post-copy is asked to be resumed before a person must look.
    pub recoveries: u32,
    /// How long a guest is looked for whose migration nobody watches, before it counts as stuck.
    pub patience: Micros,
    /// So many at once until one has gone well, then up to twice as many as have; 0 for no such limit.
    pub canary: usize,
    /// After so many failures a person is asked; 0 for never.
    pub stop_after: u32,
    /// Whether guests and their hosts are looked at after each move.
    pub verify: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            parallel: 1,
            per_host: 1,
            tries: 2,
            back_off: Micros::secs(2),
            recoveries: 12,
            patience: Micros::secs(120),
            canary: 0,
            stop_after: 0,
            verify: false,
        }
    }
}

/// A run as decisions see it.
#[derive(Debug, Clone, Copy)]
pub struct Course<'a> {
    /// Which.
    pub id: RunId,
    /// Before which others it goes.
    pub priority: Priority,
    /// What is carried out.
    pub plan: &'a Plan,
    /// Where it stands.
    pub progress: &'a Progress,
    /// Where its guests are in split state, and for how long they were.
    pub spells: &'a Spells,
    /// How it may be gone about.
    pub limits: &'a Limits,
    /// Until when nothing of it may be begun, by its policy's hours and freezes, if so.
    pub closed: Option<Micros>,
}

/// A move of a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    /// Which run.
    pub run: RunId,
    /// Which of its moves.
    pub id: MoveId,
}

/// What decisions hang on besides the runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The time by the world's clock.
    pub now: Micros,
    /// When a failed move may be tried again, or a broken one resumed; at once if it is not named.
    pub retry_at: BTreeMap<Step, Micros>,
    /// Moves that are being called off.
    pub called_off: BTreeSet<Step>,
    /// Moves of which the guest and its host are being looked at.
    pub checking: BTreeSet<Step>,
    /// Whether the user asked to finish what runs and start no more.
    pub draining: bool,
    /// Whether what stands still is not to be waited for any more: the second such request.
    pub leaving: bool,
    /// Whether all new starts are held.
    pub held: bool,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Begin this try of a move.
    Start {
        /// Which.
        step: Step,
        /// 1 for the first try.
        attempt: u32,
    },
    /// Resume its broken post-copy.
    Recover {
        /// Which.
        step: Step,
        /// 1 for the first try.
        attempt: u32,
    },
    /// Abort its migration, which has not switched: a move of relief needs its room or its link.
    CallOff {
        /// Which.
        step: Step,
    },
    /// Look at its guest and its host: it has moved.
    Check {
        /// Which.
        step: Step,
    },
    /// Begin nothing more of a run until a person says so.
    Stop {
        /// Which.
        run: RunId,
        /// Why.
        reason: String,
    },
    /// Give a move up that was not begun.
    Skip {
        /// Which.
        step: Step,
        /// Why.
        reason: String,
    },
    /// A guest in split state was not resumed: a person must look.
    GiveUp {
        /// Which.
        step: Step,
        /// What is known.
        state: String,
    },
    /// The end of a run.
    Finish {
        /// Which.
        run: RunId,
        /// Whether every move happened.
        complete: bool,
    },
    /// Nothing can be done until a migration tells something, somebody asks for something, or until
    /// that time. Comes alone.
    Wait {
        /// When a failed or broken move may be tried again.
        until: Option<Micros>,
    },
    /// Every run is at its end, or waits for a person. Comes alone.
    Rest,
    /// Stop here; the runs can be resumed. Comes alone.
    Leave,
}

/// The longest back-off.
const LONGEST: Micros = Micros::secs(60);

/// The back-off before the next try, after that many failed ones.
#[must_use]
pub fn back_off(limits: &Limits, failed: u32) -> Micros {
    let doubled = 1u64 << failed.saturating_sub(1).min(10);
    let longest = LONGEST.max(limits.back_off);
    Micros(limits.back_off.0.saturating_mul(doubled)).min(longest)
}

/// What to do next; never empty.
#[must_use]
pub fn decide(courses: &[Course<'_>], observed: &Observed) -> Vec<Action> {
    let mut order: Vec<&Course<'_>> = courses
        .iter()
        .filter(|c| c.progress.finished.is_none())
        .collect();
    order.sort_by_key(|c| (c.priority, c.id));
    let mut desk = Desk {
        observed,
        busy: Busy::of(&order),
        relief: order.iter().any(|c| c.priority == Priority::Relief),
        broken: order.iter().any(|c| is_broken(c)),
        actions: Vec::new(),
        until: None,
        live: false,
    };
    desk.call_off(&order);
    for course in &order {
        desk.take(course);
    }
    if !desk.actions.is_empty() {
        return desk.actions;
    }
    let end = if desk.busy.running > 0 || !observed.checking.is_empty() {
        Action::Wait { until: desk.until }
    } else if !desk.live {
        Action::Rest
    } else if observed.draining && (observed.leaving || !desk.broken) {
        Action::Leave
    } else if desk.until.is_some() || observed.held {
        Action::Wait { until: desk.until }
    } else {
        // Nothing of it can ever start: left to a person rather than waited for without end.
        Action::Leave
    };
    vec![end]
}

fn is_broken(course: &Course<'_>) -> bool {
    let mut states = course.progress.moves.values();
    states.any(|s| matches!(s, MoveState::Broken { .. }))
}

/// The deciding.
struct Desk<'a> {
    observed: &'a Observed,
    busy: Busy<'a>,
    /// Whether a run of relief is not at its end.
    relief: bool,
    /// Whether a guest is in split state and stands still.
    broken: bool,
    actions: Vec<Action>,
    until: Option<Micros>,
    /// Whether any run can go on without a person.
    live: bool,
}

impl<'a> Desk<'a> {
    /// Calls off what stands in the way of relief.
    fn call_off(&mut self, order: &[&Course<'a>]) {
        if self.observed.held || self.observed.draining {
            return;
        }
        let relief = order.iter().filter(|c| c.priority == Priority::Relief);
        let ready: Vec<&Move> = relief
            .filter(|c| !c.progress.aborted)
            .flat_map(|c| {
                let needs = c.needs();
                (0..c.plan.moves.len()).filter_map(move |at| c.is_ready(at, &needs))
            })
            .collect();
        for (course, mv) in &self.busy.yielding {
            let hosts = [&mv.from, &mv.to];
            let in_the_way = |r: &&Move| {
                r.guest == mv.guest || hosts.contains(&&r.from) || hosts.contains(&&r.to)
            };
            let step = Step {
                run: *course,
                id: mv.id.clone(),
            };
            if ready.iter().any(in_the_way) && !self.observed.called_off.contains(&step) {
                self.actions.push(Action::CallOff { step });
            }
        }
    }

    /// What to do of one run.
    fn take(&mut self, course: &Course<'a>) {
        let (stuck, needs) = (course.stuck(), course.needs());
        let (mut open, before) = (false, self.actions.len());
        let mut slots = course.slots();
        let mut spent = Spent::of(course);
        let mut waits = false;
        for (at, mv) in course.plan.moves.iter().enumerate() {
            let state = course.state(&mv.id);
            if state.underway() {
                (open, self.live) = (true, true);
            }
            if course.limits.verify && matches!(state, MoveState::Moved { health: None, .. }) {
                (open, self.live) = (true, true);
                let step = course.step(&mv.id);
                if !self.observed.checking.contains(&step) {
                    self.actions.push(Action::Check { step });
                }
            }
            let attempt = match state {
                MoveState::Broken {
                    detail, recoveries, ..
                } => {
                    self.mend(course, mv, detail, *recoveries);
                    continue;
                }
                MoveState::Waiting => 1,
                MoveState::Failed { attempt, .. } if *attempt < course.limits.tries => attempt + 1,
                _ => continue,
            };
            let step = course.step(&mv.id);
            let reason = if course.progress.aborted {
                Some("the run was aborted".to_owned())
            } else if let Some(what) = &stuck {
                Some(what.clone())
            } else if let Some(id) = course.lost(at, &needs) {
                Some(format!("move {id} did not happen"))
            } else {
                spent.all(course, at)
            };
            if let Some(reason) = reason {
                // A move that failed stays failed: that says more.
                if attempt == 1 {
                    self.actions.push(Action::Skip { step, reason });
                }
                continue;
            }
            (open, waits) = (true, true);
            if course.progress.stopped.is_some() {
                continue;
            }
            self.live = true;
            if slots > 0 && self.may_start(course, mv, (at, &needs), &spent) {
                match self.observed.retry_at.get(&step) {
                    Some(time) if *time > self.observed.now => self.wait_until(*time),
                    _ => {
                        self.busy.add(course, at, mv);
                        spent.will_be(course, at, mv);
                        slots -= 1;
                        self.actions.push(Action::Start { step, attempt });
                    }
                }
            }
        }
        if waits && let Some(reason) = course.too_much() {
            // What was decided of it just now is not begun either.
            let own = |a: &Action| matches!(a, Action::Start { step, .. } if step.run == course.id);
            self.actions.retain(|a| !own(a));
            self.actions.push(Action::Stop {
                run: course.id,
                reason,
            });
            return;
        }
        if waits && course.progress.stopped.is_none() && !self.observed.draining {
            course
                .closed
                .into_iter()
                .for_each(|until| self.wait_until(until));
        }
        if !open && self.actions.len() == before {
            let moved = |m: &Move| matches!(course.state(&m.id), MoveState::Moved { .. });
            self.actions.push(Action::Finish {
                run: course.id,
                complete: course.plan.moves.iter().all(moved),
            });
        }
    }

    /// What to do about a guest in split state.
    fn mend(&mut self, course: &Course<'a>, mv: &Move, detail: &str, recoveries: u32) {
        let step = course.step(&mv.id);
        match self.observed.retry_at.get(&step) {
            Some(time) if *time > self.observed.now => self.wait_until(*time),
            _ if self.observed.leaving => {}
            _ if recoveries >= course.limits.recoveries => self.actions.push(Action::GiveUp {
                step,
                state: format!("{detail}; it was asked to be resumed {recoveries} times"),
            }),
            _ => self.actions.push(Action::Recover {
                step,
                attempt: recoveries + 1,
            }),
        }
    }

    fn may_start(
        &self,
        course: &Course<'a>,
        mv: &Move,
        (at, needs): (usize, &[Vec<&'a MoveId>]),
        spent: &Spent<'_>,
    ) -> bool {
        let consolidates = course.priority == Priority::Consolidation;
        !self.observed.draining
            && !self.observed.held
            && !(consolidates && (self.relief || self.broken))
            && course.closed.is_none()
            && course.is_ready(at, needs).is_some()
            && self.busy.leaves_room(course.priority, mv, course.limits)
            && self.busy.may_split(course, at)
            && spent.leaves_some(course, at, mv)
    }

    fn wait_until(&mut self, time: Micros) {
        self.until = Some(self.until.map_or(time, |u| u.min(time)));
    }
}

impl<'a> Course<'a> {
    fn step(&self, id: &MoveId) -> Step {
        Step {
            run: self.id,
            id: id.clone(),
        }
    }

    fn state(&self, id: &MoveId) -> &'a MoveState {
        self.progress.moves.get(id).unwrap_or(&MoveState::Waiting)
    }

    /// How many more may be begun beside those underway: few until one has gone well.
    fn slots(&self) -> usize {
        let canary = self.limits.canary;
        if canary == 0 || self.priority == Priority::Relief {
            return usize::MAX;
        }
        let count = |which: fn(&MoveState, bool) -> bool| {
            let states = self.progress.moves.values();
            states.filter(|s| which(s, self.limits.verify)).count()
        };
        let well = count(|s, verify| match s {
            MoveState::Moved { health, .. } => (health.is_some() || !verify) && !s.failed(),
            _ => false,
        });
        let underway = count(|s, _| s.underway());
        canary.max(well.saturating_mul(2)).saturating_sub(underway)
    }

    /// Why a person is to be asked: more has gone wrong since one last was than is let pass.
    fn too_much(&self) -> Option<String> {
        if self.progress.stopped.is_some() || self.progress.aborted {
            return None;
        }
        let again = |s: &MoveState| matches!(s, MoveState::Failed { attempt, .. } if *attempt < self.limits.tries);
        let failed = self.progress.moves.values();
        let failed = failed.filter(|s| s.failed() && !again(s)).count();
        let since = u32::try_from(failed).unwrap_or(u32::MAX);
        let since = since.saturating_sub(self.progress.forgiven);
        (self.limits.stop_after > 0 && since >= self.limits.stop_after).then(|| {
            format!("{since} moves did not go well, `stop-after` in the policy lets fewer pass")
        })
    }

    /// The move at that index, if nothing is left that it must wait for and it has not begun.
    fn is_ready(&self, at: usize, needs: &[Vec<&'a MoveId>]) -> Option<&'a Move> {
        let mv = self.plan.moves.get(at)?;
        let startable = match self.state(&mv.id) {
            MoveState::Waiting => true,
            MoveState::Failed { attempt, .. } => *attempt < self.limits.tries,
            _ => false,
        };
        let moved = |id: &&MoveId| matches!(self.state(id), MoveState::Moved { .. });
        (startable && needs.get(at)?.iter().all(moved)).then_some(mv)
    }

    /// Why nothing more of this run is begun: one of its guests needs a person.
    fn stuck(&self) -> Option<String> {
        self.plan
            .moves
            .iter()
            .find_map(|m| match self.state(&m.id) {
                MoveState::Stuck { .. } => {
                    Some(format!("guest {} of move {} is stuck", m.guest, m.id))
                }
                MoveState::Lost { .. } => {
                    Some(format!("guest {} of move {} is lost", m.guest, m.id))
                }
                _ => None,
            })
    }

    /// By move, those that must have ended before: its `after`, and earlier moves of the same guest.
    fn needs(&self) -> Vec<Vec<&'a MoveId>> {
        let mut of_guest: BTreeMap<&GuestName, Vec<&'a MoveId>> = BTreeMap::new();
        let each = self.plan.moves.iter().map(|mv| {
            let earlier = of_guest.entry(&mv.guest).or_default();
            let needs = mv.after.iter().chain(earlier.iter().copied()).collect();
            earlier.push(&mv.id);
            needs
        });
        each.collect()
    }

    /// A move that the one at that index needs and that will not happen any more.
    fn lost(&self, at: usize, needs: &[Vec<&'a MoveId>]) -> Option<&'a MoveId> {
        let moves = &self.plan.moves;
        let earlier = |id: &MoveId| moves.iter().take(at).any(|m: &Move| m.id == *id);
        let mut needs = needs.get(at)?.iter().copied();
        needs.find(|id| match self.state(id) {
            MoveState::Skipped { .. } | MoveState::Stuck { .. } | MoveState::Lost { .. } => true,
            MoveState::Failed { attempt, .. } => *attempt >= self.limits.tries,
            MoveState::Moved { .. } => false,
            // An edge that does not point backwards would wait for ever.
            MoveState::Waiting | MoveState::Running { .. } | MoveState::Broken { .. } => {
                !earlier(id)
            }
        })
    }
}

mod busy;
#[cfg(test)]
mod tests;
