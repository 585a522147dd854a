//! What rules prove of the hosts in use, without weights: S, the hosts in use of any placement.
//!
//! - *Limits on moves.* Of the guests that count, `gone[h]` run on host h and may stay there, and `shed[h]`
//!   of them at least have to leave even if h ∈ S, as its room is too small for all that run there;
//!   `must` may not stay where they are. So at least `must` + Σ_{h∉S} gone + Σ_{h∈S} shed move, and where
//!   n may: Σ_{h∈S} (gone[h] − shed[h]) ≥ must + Σ_h gone[h] − n.
//! - *Spare room.* Σ_{h∈S} room[h] ≥ what all guests take and what is kept free, of each resource.
//! - *Places.* m guests apart are in m places, all of which have a host in S. Of all sets of n hosts
//!   with that, none has more room than the one with the largest host of each of the m places with the
//!   largest such hosts, and the n − m largest of all others. What has too little room for all guests
//!   is too small.
//!
//! Each is a sum that the hosts of S have to reach ([`cover::least`]), or a number of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rules::{Spared, spared};
use super::super::{World, running_on};
use super::choice::Choices;
use super::cover::{self, Offer};
use super::{Least, larger};
use crate::name::GuestName;
use crate::rule::{Names, Over, RuleKind};

/// The largest of what they prove; `None` where that is that there is no placement.
pub(super) fn least(world: &World, choices: &Choices) -> Option<Least> {
    let names = Names::of(world.cluster);
    let all = vec![true; choices.guest_index.len()];
    let mut proven = match world.policy.limits.moves {
        Some(moves) => leaving(world, choices, &all, moves),
        None => Some(Least::default()),
    };
    let mut wanted = volumes(choices);
    let spare = world.policy.rules.iter().filter_map(|r| match r.kind {
        RuleKind::Spare { hosts } => Some(hosts),
        _ => None,
    });
    if let Some(worth) = spare.max() {
        let spare = with_spare(spared(world), worth);
        for (room, demand) in &spare {
            proven = larger(proven, covered(choices, |h| room[h], *demand));
        }
        wanted.extend(spare);
    }
    for rule in &world.policy.rules {
        // A rule that names what is not there is refused elsewhere.
        let Ok(named) = names.guests(rule.kind.guests()) else {
            continue;
        };
        let named: BTreeSet<&GuestName> = named.into_iter().collect();
        match &rule.kind {
            RuleKind::MaxMoves { moves, .. } => {
                let counts = |name: &&GuestName| named.is_empty() || named.contains(*name);
                let mut counted = vec![false; all.len()];
                for (name, g) in &choices.guest_index {
                    counted[*g] = counts(name);
                }
                proven = larger(proven, leaving(world, choices, &counted, *moves));
            }
            RuleKind::Spread { over, .. } => {
                for (room, demand) in &wanted {
                    let number = fewest(choices, over, named.len(), room, *demand);
                    proven = larger(proven, number.map(|n| cheapest(choices, n)));
                }
            }
            _ => {}
        }
    }
    proven
}

/// The hosts that a placement may use.
fn usable(choices: &Choices) -> impl Iterator<Item = usize> {
    (0..choices.hosts.len()).filter(|h| choices.takes_guests(*h))
}

/// The least hosts of which something sums to the demand.
fn covered(choices: &Choices, most: impl Fn(usize) -> u64, demand: u128) -> Option<Least> {
    let mut like: BTreeMap<(u64, u64, bool), u64> = BTreeMap::new();
    for h in usable(choices) {
        let key = (most(h), choices.cost[h], choices.forced[h]);
        *like.entry(key).or_default() += 1;
    }
    let offers: Vec<Offer> = like
        .into_iter()
        .map(|((most, cost, always), count)| Offer {
            most,
            cost,
            count,
            always,
        })
        .collect();
    cover::least(&offers, demand)
}

/// What follows where so many of the guests that count may move.
fn leaving(world: &World, choices: &Choices, counted: &[bool], moves: u32) -> Option<Least> {
    let mut staying: Vec<Vec<usize>> = vec![Vec::new(); choices.hosts.len()];
    let mut must = 0u64;
    for (g, guest) in world.cluster.guests.iter().enumerate() {
        let here = running_on(world, guest).and_then(|h| choices.host_index.get(h));
        if let Some(here) = here {
            if choices.sets[choices.set[g]].binary_search(here).is_ok() {
                staying[*here].push(g);
            } else {
                must += u64::from(counted[g]);
            }
        }
    }
    let gone = |h: usize| staying[h].iter().filter(|g| counted[**g]).count() as u64;
    let demand = must + (0..staying.len()).map(gone).sum::<u64>();
    let demand = demand.saturating_sub(u64::from(moves));
    let saved = |h: usize| gone(h) - shed(choices, h, &staying[h], counted);
    covered(choices, saved, demand.into())
}

/// How many of the guests that count leave the host at least, so that the others have room there.
fn shed(choices: &Choices, host: usize, guests: &[usize], counted: &[bool]) -> u64 {
    let fewest = |(r, room): (usize, &u64)| {
        let need = |g: &usize| choices.needs[*g][r];
        let load = guests.iter().fold(0u64, |s, g| s.saturating_add(need(g)));
        // Those that do not count go for nothing.
        let (count, free): (Vec<usize>, Vec<usize>) = guests.iter().partition(|g| counted[**g]);
        let mut over = load.saturating_sub(*room);
        over = free
            .iter()
            .fold(over, |over, g| over.saturating_sub(need(g)));
        let mut needs: Vec<u64> = count.iter().map(need).collect();
        needs.sort_unstable();
        let mut gone = 0;
        while over > 0
            && let Some(largest) = needs.pop()
        {
            over = over.saturating_sub(largest);
            gone += 1;
        }
        gone
    };
    let rooms = choices.rooms[host].iter().enumerate();
    rooms.map(fewest).max().unwrap_or(0)
}

/// The room of each host and what all guests take, of each resource.
fn volumes(choices: &Choices) -> Vec<(Vec<u64>, u128)> {
    let resources = choices.rooms.first().map_or(0, Vec::len);
    (0..resources)
        .map(|r| {
            let room = choices.rooms.iter().map(|room| room[r]).collect();
            let need = choices.needs.iter().map(|need| u128::from(need[r])).sum();
            (room, need)
        })
        .collect()
}

/// The same with the room that is kept free.
fn with_spare(spared: Spared, worth: u32) -> Vec<(Vec<u64>, u128)> {
    let positive = |v: i128| u128::try_from(v).unwrap_or(0);
    (0..spared.taken.len())
        .map(|r| {
            let small = |v: i128| u64::try_from(positive(v)).unwrap_or(u64::MAX);
            let room = spared.rooms.iter().map(|room| small(room[r])).collect();
            let kept = spared.largest[r].saturating_mul(i128::from(worth));
            (room, positive(spared.taken[r].saturating_add(kept)))
        })
        .collect()
}

/// The fewest hosts that are in so many places and have the room; `None` where all together do not.
fn fewest(
    choices: &Choices,
    over: &Over,
    places: usize,
    room: &[u64],
    demand: u128,
) -> Option<usize> {
    let mut order: Vec<usize> = usable(choices).collect();
    order.sort_by_key(|h| std::cmp::Reverse(room[*h]));
    let mut seen = BTreeSet::new();
    let mut others: Vec<u64> = Vec::new();
    let mut held = 0u128;
    for h in order {
        if seen.len() < places && seen.insert(over.place(&choices.hosts[h])) {
            held += u128::from(room[h]);
        } else {
            others.push(room[h]);
        }
    }
    if seen.len() < places {
        return None;
    }
    let mut number = places;
    let mut others = others.into_iter();
    while held < demand {
        held += u128::from(others.next()?);
        number += 1;
    }
    Some(number)
}

/// So many hosts, and what the cheapest cost.
fn cheapest(choices: &Choices, number: usize) -> Least {
    let mut costs: Vec<u64> = usable(choices).map(|h| choices.cost[h]).collect();
    costs.sort_unstable();
    Least {
        cost: costs.iter().take(number).map(|c| u128::from(*c)).sum(),
        hosts: number as u128,
    }
}
