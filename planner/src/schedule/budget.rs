//! Keeps the guest-seconds in split state that a plan is predicted to take within the policy's budgets.
//!
//! Each migration has its kind already, by what was measured of its guest. Budgets are given out in the order of
//! need: first to guests of which pre-copy would not end, by the kind that needs least (hybrid, if that needs less
//! than their own) and those that need least first, so that as many as can have one; then by their own kind, where
//! there is more; then to the others. A guest for which there is nothing left at any of its places takes
//! pre-copy, which needs nothing: so the budgets are kept whatever they are.

use std::collections::BTreeMap;

use vmpack_domain::migration::{Prediction, predict_for};
use vmpack_domain::plan::Mode;
use vmpack_domain::split::{Place, places};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, HostName, Load, Policy};
use vmpack_ilp::problem::Problem;

use super::Hop;
use super::migrations::Way;

/// Turns migrations to kinds that need less split state where the policy's budgets have no more of it.
pub(super) fn keep(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    problem: &Problem,
    hops: &[Hop],
    ways: &mut [Way],
) {
    let budgets = &policy.migrations.split_budget;
    if budgets.is_empty() {
        return;
    }
    let predicted = |i: usize, mode: Mode, way: &Way| {
        let guest = &cluster.guests[hops[i].guest];
        let load = load.guests.get(&guest.name);
        predict_for(&policy.migrations, mode, guest.memory, load, way.bandwidth)
    };
    let labels = |host: &HostName| cluster.host(host).map(|h| &h.labels);
    let name = |host: usize| &problem.hosts[host].name;
    let at = |i: usize| {
        let ends = (name(hops[i].from), name(hops[i].to));
        places(Mode::PostCopy, ends, labels)
    };
    let mut spent: BTreeMap<Place, Micros> = BTreeMap::new();
    let mut take = |i: usize, split: Micros| {
        let at = at(i);
        let within = at.iter().all(|place| {
            let so_far = spent.get(place).copied().unwrap_or_default();
            place
                .budget(budgets)
                .is_none_or(|most| so_far + split <= most)
        });
        if within {
            for place in at {
                *spent.entry(place).or_default() += split;
            }
        }
        within
    };
    let (endless, others): (Vec<usize>, Vec<usize>) = (0..ways.len())
        .filter(|i| ways[*i].mode != Mode::PreCopy)
        .partition(|i| !predicted(*i, Mode::PreCopy, &ways[*i]).converges);
    let by = |mut order: Vec<(Micros, usize)>| {
        order.sort_unstable();
        order
    };
    let chosen: Vec<(Mode, Prediction)> = ways.iter().map(|w| (w.mode, w.predicted)).collect();
    // The kind that needs least, for as many as there is enough for.
    let least = |i: usize, way: &Way| {
        let hybrid = predicted(i, Mode::Hybrid, way);
        if hybrid.split < way.predicted.split {
            (Mode::Hybrid, hybrid)
        } else {
            (way.mode, way.predicted)
        }
    };
    let needs = endless.iter().map(|i| (least(*i, &ways[*i]).1.split, *i));
    let mut to_raise = Vec::new();
    for (split, i) in by(needs.collect()) {
        let (mode, by_least) = least(i, &ways[i]);
        if !take(i, split) {
            ways[i].turn(Mode::PreCopy, predicted(i, Mode::PreCopy, &ways[i]));
        } else if mode != ways[i].mode {
            ways[i].turn(mode, by_least);
            to_raise.push((chosen[i].1.split.saturating_sub(split), i));
        }
    }
    // Then their own kind, where there is more.
    for (more, i) in by(to_raise) {
        if take(i, more) {
            let (mode, by_own) = chosen[i];
            ways[i].turn(mode, by_own);
            ways[i].instead_of = None;
        }
    }
    let needs = others.iter().map(|i| (ways[*i].predicted.split, *i));
    for (split, i) in by(needs.collect()) {
        if take(i, split) {
            continue;
        }
        let (mode, by_least) = least(i, &ways[i]);
        if mode != ways[i].mode && take(i, by_least.split) {
            ways[i].turn(mode, by_least);
        } else {
            ways[i].turn(Mode::PreCopy, predicted(i, Mode::PreCopy, &ways[i]));
        }
    }
}
