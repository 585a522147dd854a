//! The runs that are being carried out, and their moves.

use std::sync::Arc;

use vmpack_domain::calendar::closed;
use vmpack_domain::journal::{MoveState, Priority, Progress, RunId};
use vmpack_domain::plan::{Move, Plan};
use vmpack_domain::units::Micros;

use super::Shell;
use crate::decide::{Course, Limits, Step};
use crate::spells::Spells;

/// A run that is being carried out.
pub(super) struct Live {
    pub(super) priority: Priority,
    pub(super) plan: Arc<Plan>,
    pub(super) progress: Progress,
    pub(super) spells: Spells,
    pub(super) limits: Limits,
}

impl Live {
    pub(super) fn find(&self, step: &Step) -> Option<&Move> {
        self.plan.moves.iter().find(|m| m.id == step.id)
    }

    /// The moves of which the state is so.
    pub(super) fn those(&self, which: impl Fn(&MoveState) -> bool) -> impl Iterator<Item = &Move> {
        let moves = self.plan.moves.iter();
        moves.filter(move |m| self.progress.moves.get(&m.id).is_some_and(&which))
    }
}

pub(super) fn is_open(run: &Live) -> bool {
    run.progress.finished.is_none()
}

/// Whether a move of that state may be begun yet, or anew.
pub(super) fn waits(state: &MoveState) -> bool {
    matches!(state, MoveState::Waiting | MoveState::Failed { .. })
}

impl Shell<'_> {
    /// The moves of runs that are not at their end, of which the state is so.
    pub(super) fn those(&self, which: impl Fn(&MoveState) -> bool + Copy) -> Vec<Move> {
        let open = self.runs.values().filter(|r| is_open(r));
        open.flat_map(|r| r.those(which)).cloned().collect()
    }

    /// A run as decisions see it.
    pub(super) fn course<'b>(&self, (id, run): (&RunId, &'b Live)) -> Course<'b> {
        let policy = &run.plan.policy.migrations;
        let wall = (self.scene.wall)();
        let consolidates = run.priority == Priority::Consolidation && self.scene.keeps_hours;
        let closed = consolidates
            .then(|| closed(&policy.hours, &policy.freezes, wall))
            .flatten();
        Course {
            id: *id,
            priority: run.priority,
            plan: &run.plan,
            progress: &run.progress,
            spells: &run.spells,
            limits: &run.limits,
            closed: closed.map(|closed| {
                let left = closed.until.map_or(i64::MAX, |until| {
                    until
                        .0
                        .as_microsecond()
                        .saturating_sub(wall.0.as_microsecond())
                });
                self.observed.now + Micros(u64::try_from(left).unwrap_or(0))
            }),
        }
    }

    /// The moves of which the state is so, and whether execution was seen at the target.
    pub(super) fn steps_of(&self, which: impl Fn(&MoveState) -> bool) -> Vec<(Step, bool)> {
        let of = |(id, run): (&RunId, &Live)| {
            let states = run.progress.moves.iter().filter(|(_, s)| which(s));
            let steps = states.map(|(mv, state)| {
                let switched = matches!(
                    state,
                    MoveState::Running {
                        switch: Some(_),
                        ..
                    }
                );
                let step = Step {
                    run: *id,
                    id: mv.clone(),
                };
                (step, switched)
            });
            steps.collect::<Vec<_>>()
        };
        self.runs.iter().flat_map(of).collect()
    }

    pub(super) fn state(&self, step: &Step) -> Option<&MoveState> {
        self.runs.get(&step.run)?.progress.moves.get(&step.id)
    }
}
