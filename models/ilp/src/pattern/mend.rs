//! A packing made better part by part: the items of some hosts are packed anew by the pattern LP of
//! them alone and a dive. Hosts with room to spare come first, and a part that needs as many hosts
//! as before is taken too: what is free gathers in few hosts, until one is saved (large neighbourhood
//! search; the subproblem as in `dive.rs`). Where the LP of all items was solved its duals tell what each
//! host wastes, and its patterns are at hand for the parts: else these would have to be priced anew each time.

use std::collections::BTreeMap;

use super::dive::noise;
use super::master::{Duals, Known, Master, of_count};
use super::packing::{HostClass, Item, Packing};
use super::{Effort, Packed, Pattern};
use crate::model::float;

/// Classes of items in a part, by turns; where all are few, at most a half, a third, a quarter of them.
const SIZES: [usize; 3] = [400, 200, 100];
/// Parts in turn that save nothing, before it ends.
const IDLE: u64 = 90;

/// What is known from the LP of all items.
pub(super) struct Guide<'a> {
    pub(super) duals: Duals,
    pub(super) pool: &'a [Pattern],
}

/// Packs parts of `hosts`, the pattern of each host in use, until their cost is `lower`, or the effort
/// ends, or nothing was saved for long. `rounds` counts runs of the LP.
pub(super) fn mend(
    packing: &Packing,
    mut hosts: Vec<Pattern>,
    guide: Option<&Guide>,
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
        let most = match guide {
            Some(_) => SIZES[size].min(packing.items.len() / (2 + size)),
            None => SIZES[size],
        };
        let chosen = choose(packing, &hosts, guide, most, turn);
        let part: Vec<&Pattern> = chosen.iter().map(|h| &hosts[*h]).collect();
        let better = anew(packing, &part, guide, effort, turn, rounds);
        let found = better.is_some();
        if let Some(better) = better {
            let mut at = 0..;
            hosts.retain(|_| at.next().is_some_and(|h| chosen.binary_search(&h).is_err()));
            hosts.extend(better);
        }
        let saved = cost - self::cost(packing, &hosts);
        idle = if saved > 0 { 0 } else { idle + 1 };
        tracing::debug!(
            turn,
            parts = chosen.len(),
            found,
            saved,
            "a part was packed anew"
        );
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
fn choose(
    packing: &Packing,
    hosts: &[Pattern],
    guide: Option<&Guide>,
    most: usize,
    turn: u64,
) -> Vec<usize> {
    let spare = match guide {
        Some(guide) => wasted(packing, &guide.duals, hosts),
        None => {
            let scarcity = scarcity(packing);
            let free = |p: &Pattern| free(packing, &scarcity, p).max(1e-4);
            hosts.iter().map(free).collect()
        }
    };
    let mut order: Vec<(f64, usize)> = spare
        .into_iter()
        .enumerate()
        .map(|(h, spare)| (spare * (0.25 + noise(turn, h)), h))
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

/// By how much each host costs more than its content is worth, and the mean of that, so that all have a
/// chance.
fn wasted(packing: &Packing, duals: &Duals, hosts: &[Pattern]) -> Vec<f64> {
    let top = packing.hosts.iter().map(|k| k.cost).max().unwrap_or(1);
    let wasted = |p: &Pattern| {
        let worth = p
            .content
            .iter()
            .map(|(i, c)| duals.items[*i] * of_count(*c));
        let price = float(packing.price(p.host, 1)) / float(top.max(1));
        (price - duals.hosts[p.host] - worth.sum::<f64>()).max(0.0)
    };
    let wasted: Vec<f64> = hosts.iter().map(wasted).collect();
    let mean = wasted.iter().sum::<f64>() / of_count(wasted.len().max(1));
    wasted.iter().map(|w| w + mean.max(1e-6)).collect()
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
    guide: Option<&Guide>,
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
    let mut now: Vec<Pattern> = chosen.iter().map(|p| renamed(p, &index)).collect();
    let most = cost(&part, &now).saturating_add(packing.unit());
    if let Some(guide) = guide {
        let there = |(i, c): &(usize, usize)| {
            let at = items.binary_search(i);
            at.is_ok_and(|at| *c <= part.items[at].count())
        };
        let whole = |p: &&Pattern| p.content.iter().all(there);
        let known = guide.pool.iter().filter(whole);
        now.extend(known.map(|p| renamed(p, &index)));
    }
    let duals = guide.map(|guide| Duals {
        items: items.iter().map(|i| guide.duals.items[*i]).collect(),
        hosts: guide.duals.hosts.clone(),
    });
    let known = Known::new(&part, 0, i64::MAX);
    let mut master = Master::new(&part, &now, effort).ok()?;
    master.rounds = *rounds;
    // Many parts in little time gain more than a few done well.
    master.patient = false;
    let found = master
        .approach(duals)
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
