//! What the executor writes before and after it acts. Progress is a fold over the events of one run,
//! so a process that died can be carried on by the next.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::{Mode, MoveId, Plan};
use crate::units::{MiB, Micros, Permille};
use crate::{GuestName, HostName};

/// Names a run within its journal: the number of its `accepted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Which run goes before which; the first goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// A host is overloaded now.
    Relief,
    /// A plan for all, which can wait.
    #[default]
    Consolidation,
}

impl Priority {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// The plan, whole, before its first move.
    Accepted {
        /// What is to be carried out.
        plan: Box<Plan>,
        /// The file that it was read from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        /// Before which others it goes.
        #[serde(default, skip_serializing_if = "Priority::is_default")]
        priority: Priority,
        /// The run whose rest it was planned for, where moves of that one failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        follows: Option<RunId>,
        /// Whether it takes back what another one did: then no plan is made for what it leaves.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        reverses: bool,
    },
    /// Written before a migration is asked for.
    #[serde(rename_all = "kebab-case")]
    Intended {
        /// Which move.
        id: MoveId,
        /// Who moves.
        guest: GuestName,
        /// From where.
        from: HostName,
        /// Where to.
        to: HostName,
        /// How.
        mode: Mode,
        /// 1 for the first try.
        attempt: u32,
    },
    /// Execution is at the target; with post-copy, the memory still follows.
    Switched {
        /// Which move.
        id: MoveId,
        /// From the decision to execution at the target.
        switch: Micros,
    },
    /// The source is free. The times are not known of a move that ended while no executor ran.
    Moved {
        /// Which move.
        id: MoveId,
        /// From the decision on.
        total: Option<Micros>,
        /// From the decision to execution at the target.
        switch: Option<Micros>,
        /// How long the guest stood still, as the hypervisor states it, where it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        downtime: Option<Micros>,
        /// What went over the link, where it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        transferred: Option<MiB>,
    },
    /// How the guest and its host were after the move.
    Checked {
        /// Which move.
        id: MoveId,
        /// How.
        health: Health,
    },
    /// The executor died during this try; the guest was found at the source, as before.
    Interrupted {
        /// Which move.
        id: MoveId,
    },
    /// The migration failed and the guest is where it was.
    Failed {
        /// Which move.
        id: MoveId,
        /// What the hypervisor said.
        error: String,
    },
    /// The move was not tried.
    Skipped {
        /// Which move.
        id: MoveId,
        /// Why.
        reason: String,
    },
    /// Post-copy broke: the guest is in split state, and is to be resumed.
    Broken {
        /// Which move.
        id: MoveId,
        /// What is known, and what a person may do.
        state: String,
        /// Whether the last try to resume it may not have been made: its executor died. It does not
        /// count.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unanswered: bool,
    },
    /// Written before a broken post-copy is asked to be resumed.
    Recovering {
        /// Which move.
        id: MoveId,
        /// 1 for the first try since it began to be in split state.
        attempt: u32,
    },
    /// A person must look: the guest is in split state and was not resumed, or it is not clear where
    /// it is.
    Stuck {
        /// Which move.
        id: MoveId,
        /// What is known.
        state: String,
    },
    /// The guest is gone: a half of it died while it was in split state, or its source before.
    Lost {
        /// Which move.
        id: MoveId,
        /// What died, and what is to be done.
        cause: String,
    },
    /// Too much went wrong: nothing more is begun until a person says so.
    Stopped {
        /// What.
        reason: String,
    },
    /// A person says so.
    Continued {
        /// By what.
        by: String,
        /// How many moves had failed until then.
        failures: u32,
    },
    /// No further move will be started.
    Finished {
        /// Whether the plan's target was reached.
        complete: bool,
    },
    /// The user asked to stop; after the end of the run, that what it left is planned anew.
    Aborted {
        /// By what.
        by: String,
    },
    /// After the end of the run, why what it left is not planned anew, or not any more.
    NotReplanned {
        /// Why.
        reason: String,
    },
}

/// How a guest and its host were after the move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Health {
    /// Whether its guest agent answered; nothing where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<bool>,
    /// The share of the host's CPU that was busy, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<Permille>,
    /// Whether that is more than the policy's threshold leaves: the host is one for relief.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub overloaded: bool,
    /// Whether the guests there have the CPU that they have reserved, by their CPU shares as they were read
    /// back; nothing where none has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<bool>,
}

/// Where one move stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum MoveState {
    /// Not begun.
    Waiting,
    /// Asked for; with a switch time, execution is at the target.
    Running {
        /// From the decision to execution at the target, once it is there.
        switch: Option<Micros>,
        /// Which try.
        attempt: u32,
        /// How often it was asked to be resumed since its switch.
        recoveries: u32,
    },
    /// In split state, and standing still.
    Broken {
        /// What is known.
        detail: String,
        /// From the decision to execution at the target, where it was seen.
        switch: Option<Micros>,
        /// Which try.
        attempt: u32,
        /// How often it was asked to be resumed.
        recoveries: u32,
    },
    /// Done.
    Moved {
        /// From the decision to execution at the target, where it was seen.
        switch: Option<Micros>,
        /// From the decision on, where it was seen.
        total: Option<Micros>,
        /// How it was afterwards, once that was looked at.
        health: Option<Health>,
    },
    /// Failed; the guest is at the source.
    Failed {
        /// What the hypervisor said.
        error: String,
        /// How often it was tried.
        attempt: u32,
    },
    /// Not tried.
    Skipped {
        /// Why.
        reason: String,
    },
    /// A person must look.
    Stuck {
        /// What is known.
        detail: String,
    },
    /// The guest is gone.
    Lost {
        /// By what.
        cause: String,
    },
}

impl MoveState {
    /// Whether a migration is underway that may end by itself.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(self, Self::Running { .. })
    }
    /// Whether a migration is underway of which no switch was seen.
    #[must_use]
    pub fn unswitched(&self) -> bool {
        matches!(
            self,
            Self::Running {
                switch: None,
                recoveries: 0,
                ..
            }
        )
    }
    /// Whether it did not go well: the guest was left at its source, is stuck, lost, or does not answer.
    #[must_use]
    pub fn failed(&self) -> bool {
        match self {
            Self::Failed { .. } | Self::Stuck { .. } | Self::Lost { .. } => true,
            Self::Moved { health, .. } => health.is_some_and(|h| h.answers == Some(false)),
            _ => false,
        }
    }
    /// Whether the guest's state may be on two hosts.
    #[must_use]
    pub fn underway(&self) -> bool {
        matches!(self, Self::Running { .. } | Self::Broken { .. })
    }
}

/// Where the carrying-out stands: a fold over the events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The plan that was accepted.
    pub plan: Option<Box<Plan>>,
    /// Each move's state, in the plan's order.
    pub moves: BTreeMap<MoveId, MoveState>,
    /// Whether the end was written, and whether the target was reached.
    pub finished: Option<bool>,
    /// Whether the user asked to stop.
    pub aborted: bool,
    /// Why nothing more is begun until a person says so.
    pub stopped: Option<String>,
    /// How many moves had failed when a person last said so.
    pub forgiven: u32,
}

impl Progress {
    /// Folds events, oldest first.
    #[must_use]
    pub fn fold<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut progress = Self::default();
        for event in events {
            progress.apply(event);
        }
        progress
    }

    /// Takes one more event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Accepted { plan, .. } => {
                self.moves = plan
                    .moves
                    .iter()
                    .map(|m| (m.id.clone(), MoveState::Waiting))
                    .collect();
                self.plan = Some(plan.clone());
                (self.finished, self.aborted) = (None, false);
                (self.stopped, self.forgiven) = (None, 0);
            }
            Event::Intended { id, attempt, .. } => {
                self.set(
                    id,
                    MoveState::Running {
                        switch: None,
                        attempt: *attempt,
                        recoveries: 0,
                    },
                );
            }
            Event::Switched { id, switch } => {
                let (attempt, _, recoveries) = self.so_far(id);
                self.set(
                    id,
                    MoveState::Running {
                        switch: Some(*switch),
                        attempt,
                        recoveries,
                    },
                );
            }
            Event::Broken {
                id,
                state,
                unanswered,
            } => {
                let (attempt, switch, recoveries) = self.so_far(id);
                let recoveries = recoveries.saturating_sub(u32::from(*unanswered));
                self.set(
                    id,
                    MoveState::Broken {
                        detail: state.clone(),
                        switch,
                        attempt,
                        recoveries,
                    },
                );
            }
            Event::Recovering { id, attempt: nth } => {
                let (attempt, switch, _) = self.so_far(id);
                self.set(
                    id,
                    MoveState::Running {
                        switch,
                        attempt,
                        recoveries: *nth,
                    },
                );
            }
            Event::Moved {
                id, total, switch, ..
            } => {
                self.set(
                    id,
                    MoveState::Moved {
                        switch: *switch,
                        total: *total,
                        health: None,
                    },
                );
            }
            Event::Checked { id, health } => {
                if let Some(MoveState::Moved { health: known, .. }) = self.moves.get_mut(id) {
                    *known = Some(*health);
                }
            }
            Event::Stopped { reason } => self.stopped = Some(reason.clone()),
            Event::Continued { failures, .. } => {
                (self.stopped, self.forgiven) = (None, *failures);
            }
            Event::Interrupted { id } => self.set(id, MoveState::Waiting),
            Event::Failed { id, error } => {
                let (attempt, ..) = self.so_far(id);
                self.set(
                    id,
                    MoveState::Failed {
                        error: error.clone(),
                        attempt,
                    },
                );
            }
            Event::Skipped { id, reason } => self.set(
                id,
                MoveState::Skipped {
                    reason: reason.clone(),
                },
            ),
            Event::Stuck { id, state } => self.set(
                id,
                MoveState::Stuck {
                    detail: state.clone(),
                },
            ),
            Event::Lost { id, cause } => self.set(
                id,
                MoveState::Lost {
                    cause: cause.clone(),
                },
            ),
            Event::Finished { complete } => self.finished = Some(*complete),
            Event::Aborted { .. } => self.aborted = true,
            Event::NotReplanned { .. } => {}
        }
    }

    /// How many moves have failed, were lost, or left their guest without an answer. One that failed and
    /// can be tried again counts, too.
    #[must_use]
    pub fn failures(&self) -> u32 {
        let failed = self.moves.values().filter(|s| s.failed());
        u32::try_from(failed.count()).unwrap_or(u32::MAX)
    }

    fn set(&mut self, id: &MoveId, state: MoveState) {
        self.moves.insert(id.clone(), state);
    }

    /// Of a move: which try, when it switched, how often it was asked to be resumed.
    fn so_far(&self, id: &MoveId) -> (u32, Option<Micros>, u32) {
        match self.moves.get(id) {
            Some(
                MoveState::Running {
                    attempt,
                    switch,
                    recoveries,
                }
                | MoveState::Broken {
                    attempt,
                    switch,
                    recoveries,
                    ..
                },
            ) => (*attempt, *switch, *recoveries),
            Some(MoveState::Failed { attempt, .. }) => (*attempt, None, 0),
            _ => (1, None, 0),
        }
    }
}
