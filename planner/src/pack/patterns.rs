//! The pattern LP on an instance: first on single resources, then on the whole; a bound in either
//! case, and of the whole also packings from its columns.

use std::collections::BTreeMap;
use std::ops::Range;

use vmpack_domain::Policy;
use vmpack_ilp::bound::{Bound, Certified};
use vmpack_ilp::pattern::{self, Content, Item, Packing, Pattern, PatternBound};
use vmpack_ilp::{Limits, agree};

use super::exchange::exchange;
use super::{Best, descend};
use crate::effort::Effort;
use crate::instance::{NOWHERE, State};
use crate::rng::Rng;
use crate::search::Step;

/// A single resource is tried where the needs of it are few: there the bound is quick; at first only
/// where it takes no time at all.
pub(super) const FEW: Range<usize> = 0..65;
/// And later.
pub(super) const MORE: Range<usize> = 65..401;
/// Classes of items up to which the whole pattern LP takes little time, and members of each.
const COARSE: (usize, usize) = (200, 8);

/// Whether the items are of so few sizes that the whole pattern LP is quick.
pub(super) fn is_coarse(packing: &Packing) -> bool {
    let (classes, each) = COARSE;
    let items: usize = packing.items.iter().map(Item::count).sum();
    packing.items.len() <= classes && packing.items.len() * each <= items
}

/// Raises the bound by single resources with so many distinct needs; `true` when there is no
/// placement.
pub(super) fn single(
    best: &mut Best,
    packing: &Packing,
    sizes: Range<usize>,
    bound: &mut Bound,
    effort: &Effort,
    policy: &Policy,
) -> bool {
    for resource in 0..packing.resources() {
        if best.reaches(bound) || effort.cut_off() {
            return false;
        }
        let one = packing.project(resource);
        if !sizes.contains(&one.items.len()) {
            continue;
        }
        let upper = upper(best);
        let found = limited(effort, policy, 50, |limits| {
            pattern::bound(&one, &[], bound.cost, upper, limits)
        });
        let name = &best.inst.problem.resources[resource];
        let origin = found.origin.replacen("LP", &format!("LP of {name}"), 1);
        if raise(best, bound, found, origin) {
            return true;
        }
    }
    false
}

/// Raises the bound by whole patterns and packs by them; `true` when there is no placement.
pub(super) fn whole(
    best: &mut Best,
    packing: &Packing,
    bound: &mut Bound,
    effort: &mut Effort,
    policy: &Policy,
) -> bool {
    let inst = best.inst;
    let incumbent = best
        .packed
        .as_ref()
        .map(|p| patterns(packing, &inst.placement(&p.at)))
        .unwrap_or_default();
    let upper = upper(best);
    // A dive waits where the LP is about to prove its value.
    let [far, near, again] = [450, 650, 800].map(|permille| effort.alarm(permille));
    // Without any placement yet the other ways need their time.
    let share = if packing.is_large() || best.packed.is_some() {
        950
    } else {
        850
    };
    let answer = limited(effort, policy, share, |limits| {
        pattern::solve(
            packing,
            &incumbent,
            bound.cost,
            upper,
            limits,
            [&far, &near, &again],
        )
    });
    let origin = answer.bound.origin.clone();
    if raise(best, bound, answer.bound, origin) {
        return true;
    }
    if let Some(packed) = answer.packed {
        let placed = packed.place(packing, inst.problem.guests.len());
        let at = inst.bundled(&placed);
        let mut rng = Rng::new(policy.limits.seed, 900);
        if at.contains(&NOWHERE) {
            descend::refine(best, bound, effort, &at, &mut rng);
            return false;
        }
        let mut state = State::new(inst, &at);
        if !state.rules_kept() {
            exchange(&mut state, effort, &mut rng);
        }
        if state.feasible() {
            best.offer(&state.at);
        } else {
            descend::refine(best, bound, effort, &state.at, &mut rng);
        }
    }
    false
}

/// The cost of the best placement, or of all hosts.
pub(super) fn upper(best: &Best) -> i64 {
    let all = || {
        let hosts = best.inst.problem.hosts.iter().filter(|h| h.open);
        hosts.map(|h| h.cost).sum::<i64>().saturating_add(1)
    };
    best.packed.as_ref().map_or_else(all, |p| p.cost)
}

/// Runs the solver with a part of the time left; it has no clock but `stop`.
pub(super) fn limited<T>(
    effort: &Effort,
    policy: &Policy,
    permille: u64,
    run: impl FnOnce(&Limits) -> T,
) -> T {
    let ended = effort.alarm(permille);
    let limits = Limits {
        stop: &ended,
        ..effort.limits(policy, permille)
    };
    run(&limits)
}

/// Takes a better bound over; `true` when there is no placement.
fn raise(best: &mut Best, bound: &mut Bound, found: PatternBound, origin: String) -> bool {
    if !is_sound(best, found.cost, &origin) {
        return false;
    }
    bound.certify(&Certified {
        cost: found.cost,
        hosts: found.hosts,
        origin: origin.clone(),
        parts: vec![found.weights],
    });
    raise_to(best, bound, (found.cost, found.hosts), &origin)
}

/// Whether a bound on the cost does not exceed what is packed.
pub(super) fn is_sound(best: &Best, cost: i64, origin: &str) -> bool {
    let packed = best.packed.as_ref();
    packed.is_none_or(|packed| agree(cost, packed.cost, origin).is_some())
}

/// Raises the bound and tells of it; `true` where it exceeds all hosts together, so that there is no
/// placement.
pub(super) fn raise_to(
    best: &mut Best,
    bound: &mut Bound,
    (cost, number): (i64, usize),
    origin: &str,
) -> bool {
    bound.hosts = bound.hosts.max(number);
    if cost > bound.cost {
        bound.cost = cost;
        origin.clone_into(&mut bound.origin);
        (best.report)(Step::Bound {
            cost,
            origin: bound.origin.clone(),
        });
    }
    let hosts = best.inst.problem.hosts.iter();
    let all: i64 = hosts.filter(|h| h.open || h.always).map(|h| h.cost).sum();
    best.packed.is_none() && bound.cost > all
}

/// What each host in use carries in a placement of guests.
fn patterns(packing: &Packing, placement: &[usize]) -> Vec<Pattern> {
    let mut class = BTreeMap::new();
    for (k, hosts) in packing.hosts.iter().enumerate() {
        class.extend(hosts.members.iter().map(|h| (*h, k)));
    }
    let mut on: BTreeMap<usize, BTreeMap<usize, usize>> = BTreeMap::new();
    for (i, item) in packing.items.iter().enumerate() {
        for guest in item.members.iter().filter_map(|m| m.first()) {
            *on.entry(placement[*guest])
                .or_default()
                .entry(i)
                .or_default() += 1;
        }
    }
    let patterns = on.into_iter().filter_map(|(host, content)| {
        Some(Pattern {
            host: *class.get(&host)?,
            content: content.into_iter().collect::<Content>(),
        })
    });
    patterns.collect()
}
