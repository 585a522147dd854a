//! Stage 2 where guests are of few sizes, so that who stays on a host and what comes beside is found at
//! once for every host: first the bound, then hosts filled up anew.
//!
//! Classes of guests know no rule over several of them: under rules there is only the bound.

use vmpack_domain::Policy;
use vmpack_ilp::Limits;
use vmpack_ilp::bound::MovesBound;
use vmpack_ilp::pattern::Packing;
use vmpack_ilp::pattern::stay;
use vmpack_ilp::problem::Problem;

use super::{Best, prove};
use crate::effort::Effort;

/// Thousandths of the time left for the bound, which chooses nothing, and then for the filling.
pub(super) const PROOF: (u64, u64) = (100, 100);
const FILLING: u64 = 700;
/// The fewest guests of a class in the mean, and the fewest guests.
const EACH: usize = 8;
const MANY: usize = 2000;

/// The guests in classes, where these are few.
pub(super) fn classes(problem: &Problem) -> Option<Packing> {
    let packing = Packing::of(problem).together();
    let guests = problem.guests.len();
    let few = guests >= MANY && packing.items.len() * EACH <= guests;
    (few && stay::is_exact(&packing)).then_some(packing)
}

/// Raises the bound and takes the placement that is found; whether there was one.
pub(super) fn refill(
    best: &mut Best,
    packing: &Packing,
    bound: &mut MovesBound,
    effort: &Effort,
    policy: &Policy,
) -> bool {
    let weights = prove(best, packing, bound, effort, policy, PROOF).weights;
    let inst = best.inst;
    let alarm = effort.alarm(FILLING);
    let limits = Limits {
        stop: &alarm,
        ..effort.limits(policy, FILLING)
    };
    let of = (inst.problem, packing);
    let placement = stay::refilled(of, best.budget, &weights, &limits);
    placement.is_some_and(|placement| best.offer(&inst.bundles_at(&placement), bound.least))
}
