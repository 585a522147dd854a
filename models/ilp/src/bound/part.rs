//! A part of the cluster: some hosts, and the guests that can be nowhere else.

use std::collections::{BTreeMap, BTreeSet};

use super::cover::{Kind, cover};
use super::{Best, Least, clique, size};
use crate::pattern::Weights;
use crate::problem::{Amounts, Problem};

/// Some hosts, and guests all of whose allowed hosts are among them. Guests that may also be
/// elsewhere are left out, which can only lower a bound.
pub(super) struct Part {
    pub(super) guests: Vec<usize>,
    /// Open hosts only.
    pub(super) hosts: Vec<usize>,
    /// The hosts in groups that are alike in room, cost and being forced.
    pub(super) kinds: Vec<HostKind>,
}

/// Hosts alike in room, cost and being forced.
pub(super) struct HostKind {
    pub(super) room: Amounts,
    cost: i64,
    forced: bool,
    pub(super) hosts: Vec<usize>,
}

impl Part {
    pub(super) fn whole(p: &Problem) -> Self {
        let hosts = (0..p.hosts.len()).filter(|h| p.hosts[*h].open).collect();
        Self::new(p, (0..p.guests.len()).collect(), hosts)
    }

    fn new(p: &Problem, guests: Vec<usize>, hosts: Vec<usize>) -> Self {
        let forced = forced(p, &guests);
        let mut kinds: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for h in &hosts {
            let host = &p.hosts[*h];
            kinds
                .entry((host.room.clone(), host.cost, forced[*h]))
                .or_default()
                .push(*h);
        }
        let kinds = kinds
            .into_iter()
            .map(|((room, cost, forced), hosts)| HostKind {
                room,
                cost,
                forced,
                hosts,
            })
            .collect();
        Self {
            guests,
            hosts,
            kinds,
        }
    }

    /// [`cover`] with a weight for each kind of host, given by its place among the kinds.
    pub(super) fn cover(&self, demand: i128, weight: impl Fn(usize) -> i128) -> Option<Least> {
        let kinds: Vec<Kind> = self
            .kinds
            .iter()
            .enumerate()
            .map(|(i, k)| Kind {
                count: k.hosts.len(),
                cost: k.cost,
                weight: weight(i),
                forced: k.forced,
            })
            .collect();
        cover(&kinds, demand)
    }

    /// [`cover`] with a weight for each host.
    pub(super) fn cover_each(&self, demand: i128, weight: impl Fn(usize) -> i128) -> Option<Least> {
        let kinds: Vec<Kind> = self
            .kinds
            .iter()
            .flat_map(|k| k.hosts.iter().map(move |h| (k, *h)))
            .map(|(k, h)| Kind {
                count: 1,
                cost: k.cost,
                weight: weight(h),
                forced: k.forced,
            })
            .collect();
        cover(&kinds, demand)
    }

    /// What a bound by weights rests on: what each guest weighs, in the order of the part's guests,
    /// and the most that fits on each kind of host. `None` where a number is out of range.
    pub(super) fn weights(
        &self,
        guests: impl Iterator<Item = i128>,
        most: impl Fn(usize) -> i128,
    ) -> Option<Vec<Weights>> {
        let narrow = |v: i128| i64::try_from(v).ok().filter(|v| *v >= 0);
        let guests = self.guests.iter().zip(guests);
        let kinds = self.kinds.iter().enumerate();
        Some(vec![Weights {
            guests: guests
                .map(|(g, w)| Some((vec![*g], narrow(w)?)))
                .collect::<Option<_>>()?,
            hosts: kinds
                .map(|(k, kind)| Some((kind.hosts.clone(), narrow(most(k))?)))
                .collect::<Option<_>>()?,
        }])
    }

    /// The hosts in use whatever happens.
    pub(super) fn forced(&self) -> Option<Least> {
        self.cover(0, |_| 0)
    }

    /// Whether a host is in use whatever happens, for each host of the problem.
    pub(super) fn is_forced(&self, hosts: usize) -> Vec<bool> {
        let mut forced = vec![false; hosts];
        for kind in self.kinds.iter().filter(|k| k.forced) {
            for h in &kind.hosts {
                forced[*h] = true;
            }
        }
        forced
    }

    /// All hosts together.
    pub(super) fn all(&self) -> Least {
        Least {
            cost: self
                .kinds
                .iter()
                .flat_map(|k| k.hosts.iter().map(|_| k.cost))
                .sum(),
            hosts: self.hosts.len(),
        }
    }
}

/// Hosts that never sleep, and hosts that are the only one for some guest.
fn forced(p: &Problem, guests: &[usize]) -> Vec<bool> {
    let mut forced: Vec<bool> = p.hosts.iter().map(|h| h.always).collect();
    for g in guests {
        if let [only] = p.guests[*g].allowed[..] {
            forced[only] = true;
        }
    }
    forced
}

/// Bounds of disjoint parts, added up, with the forced hosts outside them. First the parts that
/// share no guest; then hosts to which some guests are fenced, as far as these sets are disjoint.
pub(super) fn sums(p: &Problem, whole: &Part, best: &mut Best) {
    let components = components(p, whole);
    if components.len() > 1 {
        let parts: Vec<Vec<usize>> = components;
        let origin = format!("{} parts of the cluster that share no guest", parts.len());
        sum(p, whole, &parts, &origin, best);
    }
    let fences: BTreeSet<&[usize]> = whole
        .guests
        .iter()
        .map(|g| &p.guests[*g].allowed[..])
        .filter(|a| a.len() > 1 && a.len() < whole.hosts.len())
        .collect();
    // Beyond so many distinct sets the sum over a few of them is not worth its time.
    if fences.is_empty() || fences.len() > 64 {
        return;
    }
    let mut valued: Vec<(Least, &[usize])> = Vec::new();
    for fence in fences {
        let found = of_part(p, whole, fence);
        match found.found {
            Some(least) => valued.push((least, fence)),
            None => return best.offer(None, || found.origin),
        }
    }
    valued
        .sort_by_key(|(least, fence)| (std::cmp::Reverse((least.cost, least.hosts)), fence.len()));
    let mut taken = vec![false; p.hosts.len()];
    let mut disjoint: Vec<Vec<usize>> = Vec::new();
    for (_, fence) in valued {
        if fence.iter().all(|h| !taken[*h]) {
            fence.iter().for_each(|h| taken[*h] = true);
            disjoint.push(fence.to_vec());
        }
    }
    let origin = format!("{} sets of hosts that guests cannot leave", disjoint.len());
    sum(p, whole, &disjoint, &origin, best);
}

/// Offers the sum of the bounds of disjoint sets of hosts and the forced hosts outside them.
fn sum(p: &Problem, whole: &Part, parts: &[Vec<usize>], origin: &str, best: &mut Best) {
    let mut outside = whole.is_forced(p.hosts.len());
    let mut total = Least::default();
    // What weights prove of the parts may be less, and other weights prove more of the number.
    let mut weighed = [Least::default(); 2];
    let mut weights = [Vec::new(), Vec::new()];
    for hosts in parts {
        let found = of_part(p, whole, hosts);
        let Some(least) = found.found else {
            return best.offer(None, || found.origin);
        };
        total.cost += least.cost;
        total.hosts += least.hosts;
        let proofs = [found.certified, found.counted].into_iter();
        for (proof, (sum, parts)) in proofs.zip(weighed.iter_mut().zip(&mut weights)) {
            if let Some(proof) = proof {
                sum.cost += proof.cost;
                sum.hosts += proof.hosts;
                parts.extend(proof.parts);
            }
        }
        for h in hosts {
            outside[*h] = false;
        }
    }
    for (h, forced) in outside.iter().enumerate() {
        if *forced {
            for sum in weighed.iter_mut().chain([&mut total]) {
                sum.cost += p.hosts[h].cost;
                sum.hosts += 1;
            }
        }
    }
    for (sum, parts) in weighed.into_iter().zip(weights) {
        best.offer_weighed(Some(sum), || origin.to_owned(), || Some(parts));
    }
    best.offer(Some(total), || origin.to_owned());
}

/// The bound by size and by pairs on some hosts (ascending).
fn of_part(p: &Problem, whole: &Part, hosts: &[usize]) -> Best {
    let inside = |a: &[usize]| a.iter().all(|h| hosts.binary_search(h).is_ok());
    let guests = whole
        .guests
        .iter()
        .copied()
        .filter(|g| inside(&p.guests[*g].allowed))
        .collect();
    let part = Part::new(p, guests, hosts.to_vec());
    let mut best = Best::default();
    best.offer_weighed(part.forced(), String::new, || Some(Vec::new()));
    size::bound(p, &part, &mut best);
    clique::bound(p, &part, &mut best);
    best
}

/// The hosts in groups such that every guest's hosts are in one group; hosts that no guest may take
/// are left out.
fn components(p: &Problem, whole: &Part) -> Vec<Vec<usize>> {
    let mut leader: Vec<usize> = (0..p.hosts.len()).collect();
    fn find(leader: &mut [usize], mut h: usize) -> usize {
        while leader[h] != h {
            leader[h] = leader[leader[h]];
            h = leader[h];
        }
        h
    }
    let mut touched = vec![false; p.hosts.len()];
    let sets: BTreeSet<&[usize]> = whole
        .guests
        .iter()
        .map(|g| &p.guests[*g].allowed[..])
        .collect();
    for allowed in sets {
        for h in allowed {
            touched[*h] = true;
            let (a, b) = (find(&mut leader, allowed[0]), find(&mut leader, *h));
            leader[a.max(b)] = a.min(b);
        }
    }
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for h in (0..p.hosts.len()).filter(|h| touched[*h]) {
        groups.entry(find(&mut leader, h)).or_default().push(h);
    }
    groups.into_values().collect()
}
