//! A packing made better part by part: the items of some hosts are packed anew by the pattern LP of
//! them alone and a dive. Hosts with room to spare come first, and a part that needs as many hosts
//! as before is taken too: what is free gathers in few hosts, until one is saved. Serves where the LP
//! of all items is out of reach (large neighbourhood search; the subproblem as in `dive.rs`).

use std::collections::BTreeMap;

use super::dive::noise;
use super::master::{Known, Master, of_count};
use super::packing::{HostClass, Item, Packing};
use super::{Effort, Packed, Pattern};
use crate::model::float;

/// Classes of items in a part, by turns.
const SIZES: [usize; 3] = [400, 200, 100];
/// Parts in turn that save nothing, before it ends.
const IDLE: u64 = 90;

/// Packs parts of `hosts`, the pattern of each host in use, until their cost is `lower`, or the effort
/// ends, or nothing was saved for long. `rounds` counts runs of the LP.
pub(super) fn mend(
    packing: &Packing,
    mut hosts: Vec<Pattern>,
    lower: i64,
    effort: &Effort,
    rounds: &mut u64,
) -> Packed {
    let mut idle = 0;
    for turn in 1.. {
        let cost = cost(packing, &hosts);
        if cost <= lower || idle >= IDLE || effort.ended(*rounds, 0) {
            break;
        }
        let size = usize::try_from(turn).unwrap_or(0) % SIZES.len();
        let chosen = choose(packing, &hosts, SIZES[size], turn);
        let part: Vec<&Pattern> = chosen.iter().map(|h| &hosts[*h]).collect();
        if let Some(better) = anew(packing, &part, effort, turn, rounds) {
            let mut at = 0..;
            hosts.retain(|_| at.next().is_some_and(|h| chosen.binary_search(&h).is_err()));
            hosts.extend(better);
        }
        idle = if self::cost(packing, &hosts) < cost {
            0
        } else {
            idle + 1
        };
    }
    let mut packed = Packed {
        patterns: hosts.into_iter().map(|p| (p, 1)).collect(),
        ..Packed::default()
    };
    packed.settle(packing);
    packed
}

fn cost(packing: &Packing, hosts: &[Pattern]) -> i64 {
    let prices = hosts.iter().map(|p| packing.price(p.host, 1));
    packing.forced_cost().saturating_add(prices.sum())
}

/// Hosts with room to spare, more or less, by index, ascending: as many as have so many classes of
/// items.
fn choose(packing: &Packing, hosts: &[Pattern], most: usize, turn: u64) -> Vec<usize> {
    let scarcity = scarcity(packing);
    let mut order: Vec<(f64, usize)> = hosts
        .iter()
        .enumerate()
        .map(|(h, pattern)| {
            let free = free(packing, &scarcity, pattern);
            (free.max(1e-4) * (0.25 + noise(turn, h)), h)
        })
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut classes = std::collections::BTreeSet::new();
    let mut chosen = Vec::new();
    for (_, h) in order {
        classes.extend(hosts[h].content.iter().map(|(i, _)| *i));
        if classes.len() > most && !chosen.is_empty() {
            break;
        }
        chosen.push(h);
    }
    chosen.sort_unstable();
    chosen
}

/// Of each resource, how much all items need of all hosts' room, squared: scarce ones count.
fn scarcity(packing: &Packing) -> Vec<f64> {
    (0..packing.resources())
        .map(|r| {
            let items = packing.items.iter();
            let load: f64 = items.map(|i| float(i.need[r]) * of_count(i.count())).sum();
            let hosts = packing.hosts.iter();
            let room: f64 = hosts.map(|k| float(k.room[r]) * of_count(k.count())).sum();
            (load / room.max(1.0)).powi(2)
        })
        .collect()
}

/// The weighed share of a host that is free.
fn free(packing: &Packing, scarcity: &[f64], pattern: &Pattern) -> f64 {
    let room = &packing.hosts[pattern.host].room;
    let of = |(r, weight): (usize, &f64)| {
        let used = |(i, c): &(usize, usize)| float(packing.items[*i].need[r]) * of_count(*c);
        let used: f64 = pattern.content.iter().map(used).sum();
        weight * (1.0 - used / float(room[r].max(1)))
    };
    let sum: f64 = scarcity.iter().sum();
    scarcity.iter().enumerate().map(of).sum::<f64>() / sum.max(f64::MIN_POSITIVE)
}

/// The items of these hosts on hosts that cost no more, if that is found.
fn anew(
    packing: &Packing,
    chosen: &[&Pattern],
    effort: &Effort,
    turn: u64,
    rounds: &mut u64,
) -> Option<Vec<Pattern>> {
    let (part, items) = part(packing, chosen);
    let index = |i: &usize| items.binary_search(i).unwrap_or(0);
    let renamed = |pattern: &Pattern, name: &dyn Fn(&usize) -> usize| Pattern {
        host: pattern.host,
        content: pattern.content.iter().map(|(i, c)| (name(i), *c)).collect(),
    };
    let now: Vec<Pattern> = chosen.iter().map(|p| renamed(p, &index)).collect();
    let known = Known::new(&part, 0, i64::MAX);
    let most = cost(&part, &now).saturating_add(known.unit);
    let mut master = Master::new(&part, &now, effort).ok()?;
    master.rounds = *rounds;
    // Many parts in little time gain more than a few done well.
    master.patient = false;
    let found = master
        .approach()
        .and_then(|()| master.dive(&known, most, turn));
    *rounds = master.rounds;
    let found = found.ok().filter(|f| f.left.is_empty() && f.cost < most)?;
    let name = |i: &usize| items[*i];
    Some(found.each().iter().map(|p| renamed(p, &name)).collect())
}

/// The packing of what these hosts carry on as many hosts of each class, and its items' indices.
fn part(packing: &Packing, chosen: &[&Pattern]) -> (Packing, Vec<usize>) {
    let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
    let mut hosts = vec![0; packing.hosts.len()];
    for pattern in chosen {
        hosts[pattern.host] += 1;
        for (i, c) in &pattern.content {
            *counts.entry(*i).or_default() += c;
        }
    }
    let items: Vec<usize> = counts.keys().copied().collect();
    let part = Packing {
        items: counts
            .iter()
            .map(|(i, count)| Item {
                need: packing.items[*i].need.clone(),
                members: packing.items[*i].members[..*count].to_vec(),
            })
            .collect(),
        hosts: packing
            .hosts
            .iter()
            .zip(hosts)
            .map(|(host, count)| HostClass {
                members: host.members[..count].to_vec(),
                takes: items.iter().map(|i| host.takes[*i]).collect(),
                room: host.room.clone(),
                ..*host
            })
            .collect(),
        apart: packing
            .apart
            .iter()
            .map(|set| {
                let there = set.iter().filter_map(|i| items.binary_search(i).ok());
                there.collect::<Vec<usize>>()
            })
            .collect(),
    };
    (part, items)
}
