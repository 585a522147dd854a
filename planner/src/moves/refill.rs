//! Stage 2 where guests are of few sizes, so that who stays on a host and what comes beside is found at
//! once for every host: first the bound, then hosts filled up anew, which keeps rules that keep guests apart or
//! in one place.

use vmpack_domain::Policy;
use vmpack_ilp::Limits;
use vmpack_ilp::bound::MovesBound;
use vmpack_ilp::pattern::Packing;
use vmpack_ilp::pattern::stay::{self, Stay};
use vmpack_ilp::problem::{GroupKind, Problem};

use super::{Best, prove};
use crate::effort::Effort;

/// Thousandths of the time left for the bound, which chooses nothing, and then for the filling; of this for a
/// first placement, so that there is time for another way.
pub(super) const PROOF: (u64, u64) = (100, 100);
const FILLING: u64 = 800;
const FIRST: u64 = 500;
/// The fewest guests of a class in the mean, and the fewest guests.
const EACH: usize = 8;
const MANY: usize = 2000;

/// The guests in classes, where these are few.
pub(super) fn classes(problem: &Problem) -> Option<Packing> {
    let packing = Packing::of(problem).together();
    let guests = problem.guests.len();
    (guests >= MANY && packing.items.len() * EACH <= guests).then_some(packing)
}

/// Raises the bound and takes the placement that is found; whether there was one.
pub(super) fn refill(
    best: &mut Best,
    stay: &Stay,
    bound: &mut MovesBound,
    effort: &Effort,
    policy: &Policy,
) -> bool {
    let known = |kind: &GroupKind| match kind {
        GroupKind::Spread { .. } | GroupKind::Gather { .. } => true,
        GroupKind::Spare { .. } | GroupKind::MaxMoves { .. } => false,
    };
    let inst = best.inst;
    if !inst.problem.rules.iter().all(|r| known(&r.kind)) {
        return false;
    }
    let weights = prove(best, stay, bound, effort, policy, PROOF).weights;
    let alarm = effort.alarm(FILLING);
    let patience = effort.alarm(FIRST);
    let limits = Limits {
        stop: &alarm,
        ..effort.limits(policy, FILLING)
    };
    let placement = stay::refilled(stay, best.budget, &weights, &limits, &patience);
    placement.is_some_and(|placement| best.offer(&inst.bundles_at(&placement), bound.least))
}
