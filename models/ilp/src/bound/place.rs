//! Bounds from guests that are in different places: as many places have hosts in use.
//!
//! A `spread` rule of m guests over places puts m of the hosts in use into m different places. Of all
//! sets of n ≥ m hosts with hosts in m places, that with the most room of a resource has the largest
//! host of each of the m places with the largest such hosts (any other set gains by exchanging for
//! them), and the n − m largest of what is left. Where that is less than what guests need of the
//! resource, and spare rules want, n hosts do not do; nor do fewer than m.

use std::collections::BTreeMap;

use super::part::Part;
use super::{Best, Least};
use crate::problem::{GroupKind, Problem};
use crate::rule::spare::wanted;

/// The bound by each spread rule and each resource, on the number of hosts and on the cost of as many
/// of the cheapest.
pub(super) fn bound(p: &Problem, whole: &Part, best: &mut Best) {
    let spare = wanted(p);
    let needs = |r: usize| p.guests.iter().map(|g| i128::from(g.need[r])).sum::<i128>();
    let demands: Vec<i128> = (0..spare.len()).map(|r| needs(r).max(spare[r])).collect();
    let mut costs: Vec<i64> = whole.hosts.iter().map(|h| p.hosts[*h].cost).collect();
    costs.sort_unstable();
    // Rules over the same places differ in how many they need.
    let mut widest: BTreeMap<&[usize], usize> = BTreeMap::new();
    for rule in &p.rules {
        if let GroupKind::Spread { guests, place } = &rule.kind {
            let places = widest.entry(&place[..]).or_default();
            *places = guests.len().max(*places);
        }
    }
    for (place, places) in widest {
        for (r, demand) in demands.iter().enumerate() {
            let room = |h: &usize| p.hosts[*h].room[r];
            let number = fewest(&whole.hosts, place, places, &room, *demand);
            let least = number.map(|hosts| Least {
                cost: costs.iter().take(hosts).sum(),
                hosts,
            });
            let name = &p.resources[r];
            best.offer(least, || format!("volume of {name} in {places} places"));
        }
    }
}

/// The fewest of the hosts that are in so many places and offer `demand`; `None` where there is no such
/// set.
fn fewest(
    hosts: &[usize],
    place: &[usize],
    places: usize,
    room: &dyn Fn(&usize) -> i64,
    demand: i128,
) -> Option<usize> {
    let mut order: Vec<usize> = hosts.to_vec();
    order.sort_by_key(|h| (std::cmp::Reverse(room(h)), *h));
    let mut seen: Vec<usize> = Vec::new();
    let (mut first, mut rest) = (Vec::new(), Vec::new());
    for h in &order {
        if seen.len() < places && !seen.contains(&place[*h]) {
            seen.push(place[*h]);
            first.push(room(h));
        } else {
            rest.push(room(h));
        }
    }
    if seen.len() < places {
        return None;
    }
    let mut offered: i128 = first.iter().map(|r| i128::from(*r)).sum();
    let mut number = places;
    for room in rest {
        if offered >= demand {
            break;
        }
        offered += i128::from(room);
        number += 1;
    }
    (offered >= demand).then_some(number)
}
