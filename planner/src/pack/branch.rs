//! Branch and price on an instance: where the pattern LP leaves a gap, its bound in cases, each proven by
//! weights, and packings from each. Only where guests are so few that the LP of a case is quick and a pair
//! of them says much.

use vmpack_domain::Policy;
use vmpack_ilp::Limits;
use vmpack_ilp::bound::Bound;
use vmpack_ilp::pattern::Packing;
use vmpack_ilp::pattern::tree::Tree;

use super::Best;
use super::patterns::{is_sound, limited, raise_to, upper};
use crate::effort::Effort;
use crate::instance::NOWHERE;

/// Guests, gathered ones as one, up to which it is tried.
const FEW: usize = 300;

/// All placements as one case, where the instance is small.
pub(super) fn begin<'p>(
    best: &Best<'_, 'p, '_>,
    packing: &Packing,
    bound: &Bound,
) -> Option<Tree<'p>> {
    let known = best.packed.as_ref().map(|p| best.inst.placement(&p.at));
    let units: usize = packing.items.iter().map(|i| i.count()).sum();
    (1..=FEW).contains(&units).then(|| {
        Tree::new(
            best.inst.problem,
            bound.certified.as_ref(),
            known.as_deref(),
        )
    })
}

/// Branches for a part of the effort; `true` when there is no placement. Of the nodes, all runs together
/// have that part.
pub(super) fn grow(
    best: &mut Best,
    tree: &mut Tree,
    permille: u64,
    bound: &mut Bound,
    effort: &Effort,
    policy: &Policy,
) -> bool {
    let cheapest = upper(best);
    limited(effort, policy, permille, |limits| {
        let limits = Limits {
            nodes: limits.nodes.map(|n| n.saturating_mul(permille) / 1000),
            ..*limits
        };
        tree.grow(cheapest, &limits, &mut |placed| {
            let at = best.inst.bundled(placed);
            if !at.contains(&NOWHERE) {
                best.offer(&at);
            }
            upper(best)
        });
    });
    let Some(found) = tree.proven() else {
        return false;
    };
    if !is_sound(best, found.cost, &found.origin) {
        return false;
    }
    let none = raise_to(best, bound, (found.cost, found.hosts), &found.origin);
    let known = bound.branched.as_ref().map(|b| (b.cost, b.hosts));
    if known < Some((found.cost, found.hosts)) {
        bound.branched = Some(found);
    }
    none
}
