//! Guests of which no two can share a host: each needs a host of its own.
//!
//! Two guests cannot share a host when a `spread` rule names both (different places are different
//! hosts), or when no host that both may take has room for both.

use std::collections::BTreeMap;

use super::Best;
use super::part::Part;
use crate::problem::{Amounts, GroupKind, Problem};

/// Pairs looked at before the search for a larger set ends.
const PAIRS: usize = 20_000_000;
/// Beyond so many distinct sets of allowed hosts, all are taken for the whole part.
const SETS: usize = 64;

/// The bound by a greedy clique: the largest guests first, and starting from each spread rule.
pub(super) fn bound(p: &Problem, part: &Part, best: &mut Best) {
    let pairs = Pairs::new(p, part);
    let mut order = part.guests.clone();
    p.largest_first(part.kinds.iter().map(|k| &k.room), &mut order);
    let mut seeds: Vec<Vec<usize>> = vec![Vec::new()];
    for rule in &p.rules {
        if let GroupKind::Spread { guests, .. } = &rule.kind {
            let inside = |g: &&usize| part.guests.binary_search(g).is_ok();
            seeds.push(guests.iter().filter(inside).copied().collect());
        }
    }
    let mut budget = PAIRS;
    let mut largest = Vec::new();
    for mut clique in seeds {
        for g in &order {
            budget = budget.saturating_sub(clique.len() + 1);
            if budget == 0 {
                break;
            }
            if !clique.contains(g) && clique.iter().all(|o| pairs.exclude(p, *g, *o)) {
                clique.push(*g);
            }
        }
        if clique.len() > largest.len() {
            largest = clique;
        }
    }
    let count = largest.len();
    let demand = i128::try_from(count).unwrap_or(0);
    best.offer_weighed(
        part.cover(demand, |_| 1),
        || format!("{count} guests of which no two can share a host"),
        || {
            let of = |g: &usize| i128::from(largest.contains(g));
            part.weights(part.guests.iter().map(of), |_| 1)
        },
    );
}

/// What tells whether two guests exclude each other.
struct Pairs {
    /// The spread rules of each guest.
    spreads: Vec<Vec<usize>>,
    /// Which set of allowed hosts each guest has.
    set: Vec<usize>,
    /// The rooms that guests of two sets share, without those that others exceed in everything.
    rooms: BTreeMap<(usize, usize), Vec<Amounts>>,
}

impl Pairs {
    fn new(p: &Problem, part: &Part) -> Self {
        let mut spreads = vec![Vec::new(); p.guests.len()];
        for (i, rule) in p.rules.iter().enumerate() {
            if let GroupKind::Spread { guests, .. } = &rule.kind {
                guests.iter().for_each(|g| spreads[*g].push(i));
            }
        }
        // Most guests share one list; long lists are compared only where they are others.
        let mut sets: BTreeMap<&[usize], usize> = BTreeMap::new();
        let mut known: BTreeMap<(*const usize, usize), usize> = BTreeMap::new();
        let mut set = vec![0; p.guests.len()];
        for g in &part.guests {
            let allowed = &p.guests[*g].allowed[..];
            set[*g] = *known
                .entry((allowed.as_ptr(), allowed.len()))
                .or_insert_with(|| {
                    let next = sets.len();
                    *sets.entry(allowed).or_insert(next)
                });
        }
        let mut rooms = BTreeMap::new();
        if sets.len() > SETS {
            set.fill(0);
            let all = part.kinds.iter().map(|k| k.room.clone()).collect();
            rooms.insert((0, 0), undominated(all));
        } else {
            for (a, i) in &sets {
                for (b, j) in &sets {
                    if i <= j {
                        let shared = a.iter().filter(|h| b.binary_search(h).is_ok());
                        let shared = shared.map(|h| p.hosts[*h].room.clone()).collect();
                        rooms.insert((*i, *j), undominated(shared));
                    }
                }
            }
        }
        Self {
            spreads,
            set,
            rooms,
        }
    }

    fn exclude(&self, p: &Problem, a: usize, b: usize) -> bool {
        if self.spreads[a].iter().any(|s| self.spreads[b].contains(s)) {
            return true;
        }
        let (i, j) = (self.set[a], self.set[b]);
        let (x, y) = (&p.guests[a].need, &p.guests[b].need);
        let fits = |room: &Amounts| (0..room.len()).all(|r| x[r] + y[r] <= room[r]);
        !self
            .rooms
            .get(&(i.min(j), i.max(j)))
            .is_some_and(|rooms| rooms.iter().any(fits))
    }
}

/// The rooms that no other exceeds or equals in every resource.
fn undominated(mut rooms: Vec<Amounts>) -> Vec<Amounts> {
    rooms.sort_unstable_by(|a, b| b.cmp(a));
    rooms.dedup();
    let mut kept: Vec<Amounts> = Vec::new();
    for room in rooms {
        if !kept
            .iter()
            .any(|k| (0..room.len()).all(|r| k[r] >= room[r]))
        {
            kept.push(room);
        }
    }
    kept
}
