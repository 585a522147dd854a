//! What is packed, in classes: items that cannot be told apart, and hosts that cannot.
//!
//! Sets: items i, each `count` times; host classes k, each `count` hosts. A pattern of k is a vector
//! `0 ≤ a_i ≤ count_i` with
//! - (room) Σ_i `need[i][r]`·a_i ≤ `room[k][r]` for every resource r
//! - (takes) a_i = 0 where k does not take i
//! - (apart) Σ_{i∈S} a_i ≤ 1 for every set S of `apart`
//!
//! Every placement of the problem gives each host a pattern of its class. Of the rules that a pattern
//! cannot say (spare, max-moves) nothing is kept, and of a spread over places that are more than a host
//! that no host has two of its guests: a packing may be cheaper than every placement, never dearer.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::gcd;
use crate::problem::{GroupKind, Problem};

/// Items that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What each takes of every resource.
    pub need: Vec<i64>,
    /// The guests of each of them: one, or several that are together wherever they are.
    pub members: Vec<Vec<usize>>,
}

impl Item {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }
}

/// Hosts that cannot be told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostClass {
    /// What items may take of every resource, on each.
    pub room: Vec<i64>,
    /// The cost of each when it is in use, in thousandths.
    pub cost: i64,
    /// Whether they are in use, and paid, whatever they carry.
    pub forced: bool,
    /// The hosts.
    pub members: Vec<usize>,
    /// Whether they take the items of each class.
    pub takes: Vec<bool>,
}

impl HostClass {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.members.len()
    }
}

/// Items to be packed into hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packing {
    /// The classes of items.
    pub items: Vec<Item>,
    /// The classes of hosts.
    pub hosts: Vec<HostClass>,
    /// Sets of item classes of which a host carries one item at most, ascending.
    pub apart: Vec<Vec<usize>>,
}

impl Packing {
    /// The packing of a problem.
    #[must_use]
    pub fn of(p: &Problem) -> Self {
        let units = units(p);
        // Hosts that take a unit, by number; few sets are distinct.
        let mut sets: BTreeMap<&[usize], usize> = BTreeMap::new();
        for unit in &units {
            let next = sets.len();
            sets.entry(&unit.allowed).or_insert(next);
        }
        let mut classes: BTreeMap<_, Vec<Vec<usize>>> = BTreeMap::new();
        let mut only = vec![false; p.hosts.len()];
        for unit in &units {
            let set = sets.get(&unit.allowed[..]).copied().unwrap_or(0);
            classes
                .entry((&unit.need, set, &unit.spreads))
                .or_default()
                .push(unit.guests.clone());
            if let [one] = unit.allowed[..] {
                only[one] = true;
            }
        }
        let mut columns: Vec<Vec<usize>> = vec![Vec::new(); p.hosts.len()];
        for (set, number) in &sets {
            set.iter().for_each(|h| columns[*h].push(*number));
        }
        let mut apart = vec![Vec::new(); p.rules.len()];
        let mut items = Vec::new();
        let mut of_set = Vec::new();
        for ((need, set, spreads), members) in classes {
            spreads.iter().for_each(|s| apart[*s].push(items.len()));
            of_set.push(set);
            items.push(Item {
                need: need.clone(),
                members,
            });
        }
        columns.iter_mut().for_each(|c| c.sort_unstable());
        let mut hosts: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (h, host) in p.hosts.iter().enumerate().filter(|(_, h)| h.open) {
            let room: Vec<i64> = host.room.to_vec();
            let forced = host.always || only[h];
            hosts
                .entry((room, host.cost, forced, &columns[h]))
                .or_default()
                .push(h);
        }
        let hosts = hosts
            .into_iter()
            .map(|((room, cost, forced, column), members)| HostClass {
                takes: of_set
                    .iter()
                    .map(|s| column.binary_search(s).is_ok())
                    .collect(),
                room,
                cost,
                forced,
                members,
            })
            .collect();
        apart.retain(|set| !set.is_empty());
        apart.sort();
        apart.dedup();
        Self {
            items,
            hosts,
            apart,
        }
    }

    /// The packing without sets apart, items that no longer differ in one class. Its patterns are
    /// more, so a bound on it is a bound on the whole.
    #[must_use]
    pub fn together(&self) -> Self {
        let mut classes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (i, item) in self.items.iter().enumerate() {
            let taken: Vec<bool> = self.hosts.iter().map(|k| k.takes[i]).collect();
            classes.entry((&item.need, taken)).or_default().push(i);
        }
        self.merged(
            classes
                .into_iter()
                .map(|((need, _), of)| (need.clone(), of)),
            |host| host.room.clone(),
        )
    }

    /// Whether its items are of so many classes that the LP of all of them is out of reach.
    #[must_use]
    pub fn is_large(&self) -> bool {
        self.items.len() > super::MANY
    }

    /// How many resources it has.
    #[must_use]
    pub fn resources(&self) -> usize {
        self.items.first().map_or(0, |i| i.need.len())
    }

    /// How many hosts it has.
    #[must_use]
    pub fn host_count(&self) -> usize {
        self.hosts.iter().map(HostClass::count).sum()
    }

    /// The greatest divisor of all costs, at least 1.
    #[must_use]
    pub fn unit(&self) -> i64 {
        self.hosts.iter().fold(0, |d, k| gcd(d, k.cost)).max(1)
    }

    /// The cost of the hosts that are in use whatever they carry.
    #[must_use]
    pub fn forced_cost(&self) -> i64 {
        let forced = self.hosts.iter().filter(|k| k.forced);
        forced.map(|k| times(k.cost, k.count())).sum()
    }

    /// What `hosts` of a class cost beside the forced ones.
    pub(super) fn price(&self, class: usize, hosts: usize) -> i64 {
        let host = &self.hosts[class];
        if host.forced {
            0
        } else {
            times(host.cost, hosts)
        }
    }

    /// The packing in one resource alone: items by their need of it and by the hosts that take them,
    /// no sets apart. Its patterns are more, so a bound on it is a bound on the whole.
    #[must_use]
    pub fn project(&self, resource: usize) -> Self {
        let mut classes: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (i, item) in self.items.iter().enumerate() {
            let taken: Vec<bool> = self.hosts.iter().map(|k| k.takes[i]).collect();
            let need: Vec<i64> = item.need.get(resource).copied().into_iter().collect();
            classes.entry((need, taken)).or_default().push(i);
        }
        self.merged(
            classes.into_iter().map(|((need, _), of)| (need, of)),
            |host| host.room.get(resource).copied().into_iter().collect(),
        )
    }

    /// The packing with classes of items, alike in the hosts that take them, as one each, and no sets
    /// apart.
    fn merged(
        &self,
        classes: impl Iterator<Item = (Vec<i64>, Vec<usize>)>,
        room: impl Fn(&HostClass) -> Vec<i64>,
    ) -> Self {
        let (mut items, mut first) = (Vec::new(), Vec::new());
        for (need, of) in classes {
            first.extend(of.first().copied());
            let members = of
                .iter()
                .flat_map(|i| self.items[*i].members.iter().cloned());
            items.push(Item {
                need,
                members: members.collect(),
            });
        }
        let hosts = self.hosts.iter().map(|host| HostClass {
            room: room(host),
            takes: first.iter().map(|i| host.takes[*i]).collect(),
            ..host.clone()
        });
        Self {
            hosts: hosts.collect(),
            items,
            apart: Vec::new(),
        }
    }
}

fn times(cost: i64, hosts: usize) -> i64 {
    cost.saturating_mul(i64::try_from(hosts).unwrap_or(i64::MAX))
}

/// Guests that are on one host, wherever that is.
struct Unit {
    guests: Vec<usize>,
    need: Vec<i64>,
    /// The hosts that have room for them and that each may take, ascending.
    allowed: Arc<[usize]>,
    /// The spread rules that name one of them, ascending.
    spreads: Vec<usize>,
}

fn units(p: &Problem) -> Vec<Unit> {
    let mut leader: Vec<usize> = (0..p.guests.len()).collect();
    for rule in &p.rules {
        if let GroupKind::Gather { guests, place } = &rule.kind
            && is_per_host(place)
        {
            for pair in guests.windows(2) {
                let (a, b) = (find(&mut leader, pair[0]), find(&mut leader, pair[1]));
                leader[a.max(b)] = a.min(b);
            }
        }
    }
    let mut spreads = vec![Vec::new(); p.guests.len()];
    for (s, rule) in p.rules.iter().enumerate() {
        if let GroupKind::Spread { guests, .. } = &rule.kind {
            guests.iter().for_each(|g| spreads[*g].push(s));
        }
    }
    let mut together: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for g in 0..p.guests.len() {
        together.entry(find(&mut leader, g)).or_default().push(g);
    }
    together
        .into_values()
        .map(|guests| {
            let first = &p.guests[guests[0]];
            let mut need: Vec<i64> = first.need.to_vec();
            let mut allowed = Arc::clone(&first.allowed);
            if guests.len() > 1 {
                for g in &guests[1..] {
                    for (sum, n) in need.iter_mut().zip(p.guests[*g].need.iter()) {
                        *sum = sum.saturating_add(*n);
                    }
                }
                let fits = |h: &usize| {
                    let room = &p.hosts[*h].room;
                    need.iter().zip(room.iter()).all(|(n, r)| n <= r)
                };
                let may = |h: &usize| {
                    let other = |g: &usize| &p.guests[*g].allowed;
                    guests.iter().all(|g| other(g).binary_search(h).is_ok())
                };
                allowed = allowed
                    .iter()
                    .copied()
                    .filter(|h| fits(h) && may(h))
                    .collect();
            }
            let mut of: Vec<usize> = guests.iter().flat_map(|g| spreads[*g].clone()).collect();
            of.sort_unstable();
            of.dedup();
            Unit {
                guests,
                need,
                allowed,
                spreads: of,
            }
        })
        .collect()
}

/// Whether every host is a place of its own.
pub(super) fn is_per_host(place: &[usize]) -> bool {
    let mut seen = place.to_vec();
    seen.sort_unstable();
    seen.windows(2).all(|w| w[0] != w[1])
}

fn find(leader: &mut [usize], mut g: usize) -> usize {
    while leader[g] != g {
        leader[g] = leader[leader[g]];
        g = leader[g];
    }
    g
}
