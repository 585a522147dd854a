//! The pattern LP of one case of a tree (`tree.rs`): its bound, what its solution is in two minds about,
//! and the contents that its children start from.
//!
//! With λ a solution: Σ_p λ_p hosts of a class are used; two units are together
//! Σ_p a_ip·a_jp·λ_p times (Ryan and Foster 1981), where units of a class are many, so often in all their
//! pairs together. What is nearest to a half is branched on, hosts before pairs.

use std::collections::{BTreeMap, BTreeSet};

use super::master::{Known, Master, of_count};
use super::packing::{Item, Packing};
use super::proof::Proof;
use super::{Effort, Packed, Pattern, PatternBound, STEPS};
use crate::Limits;

/// What is branched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Split {
    /// Whether at most so many of the hosts like this one are in use, or more.
    Hosts(usize, usize),
    /// Whether the guests share a host.
    Pair(usize, usize),
}

/// What one host carries, guest by guest, ascending: contents outlive the classes of a case.
pub(super) type Carried = (usize, Vec<usize>);

/// What the LP of a case tells.
pub(super) struct Node {
    pub(super) bound: PatternBound,
    /// Whether there is no placement in the case.
    pub(super) empty: bool,
    /// Nothing where it was not solved, or its solution is whole.
    pub(super) split: Option<Split>,
    pub(super) packed: Option<Packed>,
    pub(super) carried: Vec<Carried>,
    /// Runs of the LP, and what is priced in the place of one.
    pub(super) rounds: u64,
}

/// Reduced costs, in the dearest host, up to which contents are handed on.
const NEAR: f64 = 0.05;
/// Values as near as that to an integer are whole.
const WHOLE: f64 = 1e-4;

/// Solves the LP of a case from what is known to be carried in its parent. Hosts of one `kind` are alike,
/// but for what is given of their number. `turn` counts dives, where one is made.
pub(super) fn solve(
    (packing, kind): (&Packing, &[usize]),
    carried: &[Carried],
    (lower, upper): (i64, i64),
    limits: &Limits,
    turn: Option<u64>,
) -> Node {
    let mut proof = nowhere(packing).unwrap_or_else(|| Proof::trivial(packing));
    let mut node = Node {
        bound: Proof::trivial(packing).conclude(packing, 0, 0.0),
        empty: false,
        split: None,
        packed: None,
        carried: Vec::new(),
        rounds: 1,
    };
    let mut value = 0.0;
    if proof.cost < upper {
        let effort = Effort::of(limits);
        let known = Known::new(packing, lower, upper);
        let start = patterns(packing, kind, carried);
        let ended = Master::new(packing, &start, &effort).and_then(|mut master| {
            let ended = master.converge(&known, &mut proof).and_then(|()| {
                value = master.worth();
                if proof.cost >= upper || effort.ended(master.rounds, master.steps) {
                    return Ok(());
                }
                master.end_exchanges()?;
                let solution = master.lp.run(effort.stop)?;
                let used: Vec<(&Pattern, f64)> = (master.patterns())
                    .map(|(column, pattern)| (pattern, solution.values[column]))
                    .filter(|(_, value)| *value > 1e-9)
                    .collect();
                node.split = split(packing, kind, &used);
                let near =
                    (master.patterns()).filter(|(column, _)| solution.reduced[*column] < NEAR);
                node.carried = guests(packing, near.map(|(_, pattern)| pattern));
                if let Some(turn) = turn {
                    node.packed = Some(master.dive(&known, upper, turn)?);
                }
                Ok(())
            });
            node.rounds += master.rounds + master.steps / STEPS;
            ended
        });
        if let Err(failure) = ended {
            tracing::debug!(?failure, "the pattern LP of a case ended early");
        }
    }
    node.empty = proof.cost == i64::MAX;
    node.bound = proof.conclude(packing, 0, value);
    node
}

/// That there is no placement, where no host takes some item.
fn nowhere(packing: &Packing) -> Option<Proof> {
    let none = |i: &usize| packing.hosts.iter().all(|k| !k.takes[*i]);
    let item = (0..packing.items.len()).find(none)?;
    let weights = (0..packing.items.len()).map(|i| i64::from(i == item));
    let most = vec![0; packing.hosts.len()];
    Some(Proof::new(packing, weights.collect(), most))
}

/// What the solution is least decided about.
fn split(packing: &Packing, kind: &[usize], used: &[(&Pattern, f64)]) -> Option<Split> {
    let mut hosts: BTreeMap<usize, f64> = BTreeMap::new();
    let mut pairs: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for (pattern, value) in used {
        *hosts.entry(pattern.host).or_default() += value;
        for (at, (i, copies)) in pattern.content.iter().enumerate() {
            let (one, others) = (of_count(*copies), &pattern.content[at + 1..]);
            if *copies > 1 {
                *pairs.entry((*i, *i)).or_default() += value * one * (one - 1.0) / 2.0;
            }
            for (j, more) in others {
                *pairs.entry((*i, *j)).or_default() += value * one * of_count(*more);
            }
        }
    }
    // The number of hosts that are all alike is that which the bound is rounded up to.
    let members = || packing.hosts.iter().flat_map(|k| &k.members);
    let kinds: BTreeSet<usize> = members().map(|h| kind[*h]).collect();
    // What is given may make hosts of several kinds alike: the number of them all is not one of a kind.
    let pure = |k: usize| {
        let class = &packing.hosts[k];
        let first = class.members.first().map(|h| kind[*h]);
        !class.forced && class.members.iter().all(|h| Some(kind[*h]) == first)
    };
    let host = hosts
        .iter()
        .filter(|(k, value)| kinds.len() > 1 && !is_whole(**value) && pure(**k))
        .min_by(|a, b| undecided(*a.1).total_cmp(&undecided(*b.1)));
    if let Some((k, value)) = host {
        let first = *packing.hosts[*k].members.first()?;
        let forced = packing.hosts.iter().filter(|class| class.forced);
        let forced = forced.flat_map(|class| &class.members);
        let forced = forced.filter(|h| kind[**h] == kind[first]).count();
        let below = (1..packing.hosts[*k].count())
            .filter(|n| of_count(*n) < *value)
            .count();
        return Some(Split::Hosts(first, forced + below));
    }
    if used.iter().all(|(_, value)| is_whole(*value)) {
        return None;
    }
    let count = |i: usize| packing.items[i].count();
    let ways = |(i, j): (usize, usize)| match i == j {
        true => count(i) * (count(i) - 1) / 2,
        false => count(i) * count(j),
    };
    let open = pairs
        .iter()
        .filter(|(pair, value)| **value > WHOLE && **value < of_count(ways(**pair)) - WHOLE);
    // Where units of a class are many, a pair of them says little.
    let ((i, j), _) = open.min_by(|(a, x), (b, y)| {
        let few = ways(**a).cmp(&ways(**b));
        few.then(undecided(**x).total_cmp(&undecided(**y)))
    })?;
    let guest = |item: &Item, unit: usize| item.members.get(unit)?.first().copied();
    let one = guest(&packing.items[*i], 0)?;
    let other = guest(&packing.items[*j], usize::from(i == j))?;
    Some(Split::Pair(one.min(other), one.max(other)))
}

/// How far from a half, apart from whole ones.
fn undecided(value: f64) -> f64 {
    (value - value.floor() - 0.5).abs()
}

fn is_whole(value: f64) -> bool {
    (value - value.round()).abs() < WHOLE
}

/// The patterns guest by guest: of units that are alike, those least used yet.
fn guests<'a>(packing: &Packing, patterns: impl Iterator<Item = &'a Pattern>) -> Vec<Carried> {
    let mut next = vec![0; packing.items.len()];
    let carried = patterns.map(|pattern| {
        let mut on = Vec::new();
        for (i, copies) in &pattern.content {
            let members = &packing.items[*i].members;
            for _ in 0..*copies {
                on.extend_from_slice(&members[next[*i] % members.len()]);
                next[*i] += 1;
            }
        }
        on.sort_unstable();
        let host = packing.hosts[pattern.host].members.first();
        (host.copied().unwrap_or(0), on)
    });
    carried.collect()
}

/// What of it a host of the case can carry, in its classes.
fn patterns(packing: &Packing, kind: &[usize], carried: &[Carried]) -> Vec<Pattern> {
    let mut classes: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (k, host) in packing.hosts.iter().enumerate() {
        for h in &host.members {
            classes.entry(kind[*h]).or_default().insert(k);
        }
    }
    let mut unit = BTreeMap::new();
    for (i, item) in packing.items.iter().enumerate() {
        unit.extend((item.members.iter()).filter_map(|m| Some((*m.first()?, (i, m)))));
    }
    let of = |host: usize, guests: &[usize]| {
        let mut content: BTreeMap<usize, usize> = BTreeMap::new();
        let mut taken = vec![false; packing.apart.len()];
        for (i, members) in guests.iter().filter_map(|g| unit.get(g)) {
            let all = members.iter().all(|g| guests.binary_search(g).is_ok());
            let sets = || (0..taken.len()).filter(|s| packing.apart[*s].binary_search(i).is_ok());
            if all && packing.hosts[host].takes[*i] && sets().all(|s| !taken[s]) {
                let of: Vec<usize> = sets().collect();
                of.into_iter().for_each(|s| taken[s] = true);
                *content.entry(*i).or_default() += 1;
            }
        }
        Pattern {
            host,
            content: content.into_iter().collect(),
        }
    };
    let each = carried.iter().flat_map(|(host, guests)| {
        let alike = classes.get(&kind[*host]).into_iter().flatten();
        alike.map(move |k| (*k, guests))
    });
    each.map(|(k, guests)| of(k, guests)).collect()
}
