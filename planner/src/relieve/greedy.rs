//! The answer at once: which hosts are cured with the moves that there are, and by which guests, each to
//! the least harmful target that is left; and what nothing better could be, targets that hosts take from
//! one another left out.

use std::collections::BTreeMap;

use super::cure::{Cure, Item, cheapest};
use super::explain::stays;
use super::scene::{Scene, Way};

/// What no answer exceeds: each host taken by itself but for the number of all moves.
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

fn items(scene: &Scene, from: &BTreeMap<usize, Vec<Way>>) -> Vec<Item> {
    let items = from.iter().filter_map(|(g, ways)| {
        Some(Item {
            guest: *g,
            demand: scene.guests[*g].least,
            harm: ways.first()?.harm,
            sends: ways.iter().map(|w| w.sends).min()?,
        })
    });
    items.collect()
}

fn cure(scene: &Scene, h: usize, from: &BTreeMap<usize, Vec<Way>>) -> Cure {
    let host = &scene.hosts[h];
    let slots = host.out.min(scene.starts);
    cheapest(&items(scene, from), goal(scene, h), slots, host.pipe_out)
}

/// What is to be taken off a host, and what is better taken: the share of its guests' demand more that
/// is kept free at a target. A surge that is still rising is not ended by what just suffices now.
fn goal(scene: &Scene, h: usize) -> (i64, i64) {
    let over = scene.overload(h);
    let share = i64::try_from(scene.s.policy.relief.margin.0).unwrap_or(1000);
    (over, over + scene.hosts[h].wanted * share / 1000)
}

/// The cures of a host, each less harmful than those of fewer moves; and whether there are no others.
fn cures_by_moves(scene: &Scene, h: usize, from: &BTreeMap<usize, Vec<Way>>) -> (Vec<Cure>, bool) {
    let (mut found, mut whole): (Vec<Cure>, bool) = (Vec::new(), true);
    let items = items(scene, from);
    let host = &scene.hosts[h];
    for slots in 1..=host.out.min(scene.starts).min(items.len() as i64) {
        let cure = cheapest(&items, goal(scene, h), slots, host.pipe_out);
        whole &= cure.proven;
        let better = found.last().is_none_or(|last| cure.harm < last.harm);
        if cure.guests.is_some() && better {
            found.push(cure);
        }
    }
    (found, whole)
}

/// Which hosts are cured, and how, where all of them together may make so many moves: the most overload,
/// then the least harm. A knapsack of as many places as there are moves, host by host (Bellman's recursion
/// over groups of which one item each is taken; Kellerer, Pferschy, Pisinger, Knapsack Problems, 2004,
/// 11.5). What hosts take of one another at the targets is left out, so nothing is better than it.
fn shared(
    choices: &[Vec<Cure>],
    overloads: &[i64],
    starts: i64,
) -> ((i64, i64), Vec<Option<usize>>) {
    let needed = choices.iter().flatten().filter_map(|c| c.guests.as_ref());
    let needed: usize = needed.map(Vec::len).sum();
    let places = usize::try_from(starts.max(0)).map_or(needed, |s| s.min(needed));
    // By moves that may be made: what is ended, and the harm with its sign turned.
    let mut best = vec![(0i64, 0i64); places + 1];
    let mut taken: Vec<Vec<Option<usize>>> = Vec::with_capacity(choices.len());
    for (cures, overload) in choices.iter().zip(overloads) {
        let before = best.clone();
        let mut how = vec![None; places + 1];
        for (n, cure) in cures.iter().enumerate() {
            let moves = cure.guests.as_ref().map_or(0, Vec::len);
            for place in moves..=places {
                let (ended, harm) = before[place - moves];
                let worth = (ended + overload, harm - cure.harm);
                if worth > best[place] {
                    (best[place], how[place]) = (worth, Some(n));
                }
            }
        }
        taken.push(how);
    }
    let mut place = places;
    let mut chosen = vec![None; choices.len()];
    for (h, how) in taken.iter().enumerate().rev() {
        chosen[h] = how[place];
        let moves = how[place].and_then(|n| choices[h][n].guests.as_ref());
        place -= moves.map_or(0, Vec::len);
    }
    let (ended, harm) = best[places];
    ((ended, -harm), chosen)
}

/// Moves that end overloads, made in the scene; and what no answer exceeds.
pub(super) fn cures(scene: &mut Scene, overloaded: &[usize]) -> (Vec<(usize, Way)>, Bound) {
    let most = most_moves(scene, overloaded);
    let known: Vec<BTreeMap<usize, Vec<Way>>> = overloaded
        .iter()
        .map(|h| candidates(scene, *h, most))
        .collect();
    let mut choices = Vec::new();
    let mut whole = true;
    for (h, candidates) in overloaded.iter().zip(&known) {
        let (cures, all) = cures_by_moves(scene, *h, candidates);
        whole &= all;
        choices.push(cures);
    }
    let overloads: Vec<i64> = overloaded.iter().map(|h| scene.overload(*h)).collect();
    let ((ended, harm), chosen) = shared(&choices, &overloads, scene.starts);
    let bound = Bound { ended, harm, whole };
    // As that says, as far as the targets have room for all of them; then whoever is left.
    let mut moves = Vec::new();
    let mut left = Vec::new();
    for (at, chosen) in chosen.iter().enumerate() {
        let cure = chosen.and_then(|n| choices[at][n].guests.as_ref());
        match cure.map(|guests| go_all(scene, guests, &known[at])) {
            Some(Ok(made)) => moves.extend(made),
            Some(Err(_)) | None => left.push(at),
        }
    }
    let reached = worth(scene, overloaded, &overloads, &moves);
    if reached == (bound.ended, -bound.harm) {
        return (moves, bound);
    }
    moves.extend(one_by_one(scene, overloaded, &known, left));
    let joint = worth(scene, overloaded, &overloads, &moves);
    // Or each host in turn, the most overloaded first: what moves are scarce for, targets may not be.
    for (g, way) in moves.iter().rev() {
        scene.back(*g, way);
    }
    let turns = one_by_one(scene, overloaded, &known, (0..overloaded.len()).collect());
    if worth(scene, overloaded, &overloads, &turns) > joint {
        return (turns, bound);
    }
    for (g, way) in turns.iter().rev() {
        scene.back(*g, way);
    }
    for (g, way) in &moves {
        scene.go(*g, way);
    }
    (moves, bound)
}

/// What moves that are made in the scene are worth: overload ended, and the harm with its sign turned.
fn worth(
    scene: &Scene,
    overloaded: &[usize],
    overloads: &[i64],
    moves: &[(usize, Way)],
) -> (i64, i64) {
    let cured = overloaded.iter().zip(overloads);
    let cured = cured.filter(|(h, _)| scene.overload(**h) == 0);
    let harm: i64 = moves.iter().map(|(_, way)| way.harm).sum();
    (cured.map(|(_, overload)| overload).sum(), -harm)
}

/// Hosts in turn, each by the least harmful cure that the targets still have room for.
fn one_by_one(
    scene: &mut Scene,
    overloaded: &[usize],
    known: &[BTreeMap<usize, Vec<Way>>],
    turns: Vec<usize>,
) -> Vec<(usize, Way)> {
    let mut moves = Vec::new();
    for at in turns {
        let (h, mut candidates) = (overloaded[at], known[at].clone());
        while !candidates.is_empty() {
            // What was decided for other hosts took room, or a budget.
            candidates.retain(|g, ways| {
                ways.retain(|way| scene.way(*g, way.to).is_some());
                !ways.is_empty() && stays(scene, *g).is_none()
            });
            let Some(guests) = cure(scene, h, &candidates).guests else {
                break;
            };
            match go_all(scene, &guests, &candidates) {
                Ok(made) => {
                    moves.extend(made);
                    break;
                }
                Err(stuck) => {
                    candidates.remove(&stuck);
                }
            }
        }
    }
    moves
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
/// of the guests that fit somewhere the one that takes most off for its harm. In the first moments it is
/// that one alone: it may be all that was needed.
pub(super) fn lessen(scene: &mut Scene, overloaded: &[usize]) -> Vec<(usize, Way)> {
    let mut moves = Vec::new();
    for h in overloaded {
        let mut first = true;
        while scene.overload(*h) > 0 && scene.hosts[*h].out > 0 && scene.starts > 0 {
            let over = scene.overload(*h);
            let candidates = candidates(scene, *h, 1);
            let best = candidates
                .iter()
                .filter_map(|(g, ways)| Some((*g, *ways.first()?)))
                .max_by(|(a, wa), (b, wb)| {
                    let gain = |g: usize| i128::from(scene.guests[g].least.min(over));
                    let left = gain(*a) * i128::from(wb.harm.max(1));
                    let right = gain(*b) * i128::from(wa.harm.max(1));
                    left.cmp(&right).then(b.cmp(a))
                });
            let Some((g, way)) = best else { break };
            if !first && scene.is_young(*h) {
                scene.hosts[*h].alone = true;
                break;
            }
            first = false;
            scene.go(g, &way);
            moves.push((g, way));
        }
    }
    moves
}
