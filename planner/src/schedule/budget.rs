//! Keeps the guest-seconds in split state that a plan is predicted to take within the policy's budgets.
//!
//! Each migration has its kind already, by what was measured of its guest. Budgets are given out in the order of
//! need: first to guests of which pre-copy would not end, then to those that need least, so that most have theirs.
//! A guest for which its kind is too much at any of its places takes hybrid, if that needs less, and else
//! pre-copy, which needs nothing: so the budgets are kept whatever they are.

use std::collections::BTreeMap;

use vmpack_domain::migration::predict_for;
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
    let mut order: Vec<(bool, Micros, usize)> = ways
        .iter()
        .enumerate()
        .filter(|(_, way)| way.mode != Mode::PreCopy)
        .map(|(i, way)| {
            (
                predicted(i, Mode::PreCopy, way).converges,
                way.predicted.split,
                i,
            )
        })
        .collect();
    order.sort_unstable();
    let labels = |host: &HostName| cluster.host(host).map(|h| &h.labels);
    let mut spent: BTreeMap<Place, Micros> = BTreeMap::new();
    for (_, _, i) in order {
        let name = |host: usize| &problem.hosts[host].name;
        let at = places(
            Mode::PostCopy,
            (name(hops[i].from), name(hops[i].to)),
            labels,
        );
        let within = |split: Micros| {
            at.iter().all(|place| {
                let so_far = spent.get(place).copied().unwrap_or_default();
                place
                    .budget(budgets)
                    .is_none_or(|most| so_far + split <= most)
            })
        };
        let way = &mut ways[i];
        let hybrid = predicted(i, Mode::Hybrid, way);
        if !within(way.predicted.split) {
            let less = hybrid.split < way.predicted.split && within(hybrid.split);
            let mode = if less { Mode::Hybrid } else { Mode::PreCopy };
            (way.mode, way.predicted) = (mode, predicted(i, mode, way));
        }
        if way.mode != Mode::PreCopy {
            for place in at {
                *spent.entry(place).or_default() += way.predicted.split;
            }
        }
    }
}
