//! The answer at once: host by host, the most overloaded first, the least harmful guests to the least
//! harmful targets that are left; and what nothing better could be, each host taken by itself.

use std::collections::{BTreeMap, BTreeSet};

use super::cure::{Cure, Item, cheapest};
use super::explain::stays;
use super::scene::{Scene, Way};

/// What no answer exceeds, each host taken by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    /// The most overload that can be ended.
    pub(super) ended: i64,
    /// The least harm at which that much is ended.
    harm: i64,
    /// Whether the searches behind it were whole.
    whole: bool,
}

impl Bound {
    /// The most overload that any answer can end.
    pub(super) fn most(&self, open: &Scene, overloaded: &[usize]) -> i64 {
        if self.whole {
            return self.ended;
        }
        overloaded.iter().map(|h| open.overload(*h)).sum()
    }

    /// Whether nothing is better than these moves; `open` is the scene before them.
    pub(super) fn meets(&self, open: &Scene, moves: &[(usize, Way)]) -> bool {
        let mut left: BTreeMap<usize, i64> = BTreeMap::new();
        for (g, _) in moves {
            if let Some(h) = open.guests[*g].at {
                *left.entry(h).or_insert_with(|| open.overload(h)) -= open.guests[*g].least;
            }
        }
        let ended: i64 = left
            .iter()
            .filter(|(_, l)| **l <= 0)
            .map(|(h, _)| open.overload(*h))
            .sum();
        let harm: i64 = moves.iter().map(|(_, way)| way.harm).sum();
        self.whole && ended == self.ended && harm == self.harm
    }
}

/// The most moves that an answer can have: of no guest are more targets needed, see the formulation.
pub(super) fn most_moves(scene: &Scene, overloaded: &[usize]) -> usize {
    let each = overloaded.iter().map(|h| {
        scene.hosts[*h]
            .out
            .max(0)
            .min(scene.hosts[*h].on.len() as i64)
    });
    let all = each.sum::<i64>().min(scene.starts).max(1);
    usize::try_from(all).unwrap_or(usize::MAX)
}

/// The guests of a host that may leave it now, each with its ways, the least harmful first.
pub(super) fn candidates(scene: &Scene, h: usize, most: usize) -> BTreeMap<usize, Vec<Way>> {
    let may = scene
        .guests_on(h)
        .into_iter()
        .filter(|g| stays(scene, *g).is_none());
    may.map(|g| {
        let most = if scene.rules.grouped(g) {
            usize::MAX
        } else {
            most
        };
        (g, scene.ways(g, most))
    })
    .filter(|(_, ways)| !ways.is_empty())
    .collect()
}

fn cure(scene: &Scene, h: usize, from: &BTreeMap<usize, Vec<Way>>) -> Cure {
    let items = from.iter().filter_map(|(g, ways)| {
        Some(Item {
            guest: *g,
            demand: scene.guests[*g].least,
            harm: ways.first()?.harm,
            sends: ways.iter().map(|w| w.sends).min()?,
        })
    });
    let host = &scene.hosts[h];
    let slots = host.out.min(scene.starts);
    cheapest(items.collect(), scene.overload(h), slots, host.pipe_out)
}

/// Moves that end overloads, made in the scene; and what no answer exceeds.
pub(super) fn cures(scene: &mut Scene, overloaded: &[usize]) -> (Vec<(usize, Way)>, Bound) {
    let most = most_moves(scene, overloaded);
    let mut bound = Bound {
        whole: true,
        ..Bound::default()
    };
    let mut known: Vec<BTreeMap<usize, Vec<Way>>> = Vec::new();
    for h in overloaded {
        let candidates = candidates(scene, *h, most);
        let alone = cure(scene, *h, &candidates);
        bound.whole &= alone.proven;
        if alone.guests.is_some() {
            bound.ended += scene.overload(*h);
            bound.harm += alone.harm;
        }
        known.push(candidates);
    }
    let mut moves = Vec::new();
    for (h, mut candidates) in overloaded.iter().zip(known) {
        let mut stale = !moves.is_empty();
        while !candidates.is_empty() {
            if stale {
                // What was decided for other hosts took room, or a budget.
                candidates.retain(|g, ways| {
                    ways.retain(|way| scene.way(*g, way.to).is_some());
                    !ways.is_empty() && stays(scene, *g).is_none()
                });
            }
            let Some(guests) = cure(scene, *h, &candidates).guests else {
                break;
            };
            match go_all(scene, &guests, &candidates) {
                Ok(made) => {
                    moves.extend(made);
                    break;
                }
                Err(stuck) => {
                    candidates.remove(&stuck);
                    stale = true;
                }
            }
        }
    }
    (moves, bound)
}

/// Lets them all go, the largest first, each the least harmful way that is left; or none, and who found
/// no way.
fn go_all(
    scene: &mut Scene,
    guests: &[usize],
    ways: &BTreeMap<usize, Vec<Way>>,
) -> Result<Vec<(usize, Way)>, usize> {
    let mut order = guests.to_vec();
    order.sort_by_key(|g| (-scene.guests[*g].need[0], *g));
    let mut made: Vec<(usize, Way)> = Vec::new();
    for g in order {
        let free = stays(scene, g).is_none() && scene.starts > 0;
        let way = ways[&g]
            .iter()
            .find(|way| free && scene.way(g, way.to).is_some());
        match way.copied() {
            Some(way) => {
                scene.go(g, &way);
                made.push((g, way));
            }
            None => {
                for (g, way) in made.iter().rev() {
                    scene.back(*g, way);
                }
                return Err(g);
            }
        }
    }
    Ok(made)
}

/// Moves from hosts whose overload no answer ends at once, for as long as each takes something off it:
/// of the guests that fit somewhere the one that takes most off for its harm.
pub(super) fn lessen(scene: &mut Scene, overloaded: &[usize]) -> Vec<(usize, Way)> {
    let mut moves = Vec::new();
    for h in overloaded {
        let mut tried: BTreeSet<usize> = BTreeSet::new();
        while scene.overload(*h) > 0 && scene.hosts[*h].out > 0 && scene.starts > 0 {
            let over = scene.overload(*h);
            let candidates = candidates(scene, *h, 1);
            let best = candidates
                .iter()
                .filter(|(g, _)| !tried.contains(g))
                .filter_map(|(g, ways)| Some((*g, *ways.first()?)))
                .max_by(|(a, wa), (b, wb)| {
                    let gain = |g: usize| i128::from(scene.guests[g].least.min(over));
                    let left = gain(*a) * i128::from(wb.harm.max(1));
                    let right = gain(*b) * i128::from(wa.harm.max(1));
                    left.cmp(&right).then(b.cmp(a))
                });
            let Some((g, way)) = best else { break };
            tried.insert(g);
            scene.go(g, &way);
            moves.push((g, way));
        }
    }
    moves
}
