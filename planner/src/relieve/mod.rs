//! Relief: the moves that end sudden overloads, decided in milliseconds. Pure, like [`crate::plan`].
//!
//! 1. A [`scene`] is made of the situation: what each host surely carries, and what it may carry.
//! 2. Where all guests together want more than all hosts awake have, nothing moves: hosts are woken. In an
//!    overload's first moments that is not believed: one guest of each host goes, whatever it takes off.
//! 3. In its first moments an overload is measured too high: one guest goes alone where it takes half of it
//!    off. Else, for each overloaded host, the least harmful guests that take enough off it, by how many they are
//!    ([`cure`]); of those, what ends most with the moves that may be made in all; each guest goes to where
//!    it harms least ([`greedy`]): the answer at once. Where the targets have room for all of it nothing is
//!    better, and that is the proof: of answers in which as many leave each host as may leave it now, one where
//!    one goes alone.
//! 4. Else the integer program of `vmpack_ilp::relief` settles it, within the limits ([`exact`]).
//! 5. A host whose overload no moves end at once is lessened as far as it goes; sleeping hosts that
//!    would end it are woken; what nothing can end is said, with what would ([`explain`]).
//!
//! What always holds of an answer, and `check::relief` judges: each move strictly lowers the sum of
//! overload and leaves its target below its threshold by the guest's own margin; memory, vCPUs, rules
//! and `post-copy: never` hold; so do cooldowns, the limits of moves, and the time in split state.

mod contingency;
mod cure;
mod exact;
mod explain;
mod greedy;
mod rules;
mod scene;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use vmpack_domain::migration::predict;
use vmpack_domain::plan::{Move, MoveId};
use vmpack_domain::relief::{Relief, Situation, Worth};
use vmpack_domain::units::{MiBPerSec, Micros, MilliCores};
use vmpack_domain::{Host, HostState, Policy};

use scene::{Scene, Way};

pub use contingency::{Contingency, STALE, Surge, still};
pub use vmpack_domain::relief::FIRST;
pub use vmpack_ilp::Limits;

/// What the guests of a host may want before it is overloaded.
#[must_use]
pub fn host_room(host: &Host, policy: &Policy) -> MilliCores {
    let room = scene::room(host, policy.overload(), policy.over_commit.cpu.0);
    MilliCores(room[0].unsigned_abs())
}

/// What relieves the overloads of the situation. `first` hears the greedy answer where a better one is
/// still sought. With `limits.time` zero the greedy answer is the answer.
pub fn relieve(s: &Situation, limits: &Limits, first: &mut dyn FnMut(&Relief)) -> Relief {
    let open = Scene::new(s);
    let overloaded = open.overloaded();
    let mut decided = Decided::default();
    if overloaded.is_empty() {
        decided.proven = true;
        return answer(&open, &open, &overloaded, decided);
    }
    let young = overloaded.iter().all(|h| open.is_young(*h));
    if open.deficit() > 0 && !young {
        decided.proven = true;
        decided.wake = wake_for_all(&open);
        return answer(&open, &open, &overloaded, decided);
    }
    let open = at_first(open, &overloaded);
    let mut scene = open.clone();
    let (found, bound) = greedy::cures(&mut scene, &overloaded);
    decided.moves = found;
    decided.proven = bound.meets(&open, &decided.moves);
    if !decided.proven && limits.time > Micros::ZERO && !(limits.stop)() {
        let mut at_once = decided.clone();
        let mut then = scene.clone();
        finish(&open, &mut then, &overloaded, &mut at_once);
        first(&answer(&open, &then, &overloaded, at_once));
        let most = bound.most(&open, &overloaded);
        let better = exact::improve(&open, &overloaded, &decided.moves, most, limits);
        decided.proven = better.proven;
        if let Some(moves) = better.moves {
            scene = open.clone();
            replay(&mut scene, &moves);
            decided.moves = moves;
        }
    }
    finish(&open, &mut scene, &overloaded, &mut decided);
    answer(&open, &scene, &overloaded, decided)
}

/// In its first moments an overload is relieved by one guest, where one that may go takes half of it off: it
/// may be all that is needed, and comes over sooner by itself. What it leaves is seen when that is clear. So it
/// is where all together seem to want more than there is: whether they do is clear then, too.
fn at_first<'a>(mut scene: Scene<'a>, overloaded: &[usize]) -> Scene<'a> {
    let short = scene.deficit() > 0;
    for h in overloaded {
        let several = scene.hosts[*h].out.min(scene.starts) > 1;
        if !several || !scene.is_young(*h) {
            continue;
        }
        let takes_half = |g: &usize| scene.guests[*g].least * 2 >= scene.overload(*h);
        let known = greedy::candidates(&scene, *h, 1);
        if short || known.keys().any(takes_half) {
            scene.hosts[*h].out = 1;
            scene.hosts[*h].alone = true;
        }
    }
    scene
}

/// What has been decided so far.
#[derive(Debug, Clone, Default)]
struct Decided {
    /// Guests and their ways, that end overloads.
    moves: Vec<(usize, Way)>,
    /// Those that only lessen one.
    lessen: Vec<(usize, Way)>,
    wake: Vec<usize>,
    proven: bool,
}

fn replay(scene: &mut Scene, moves: &[(usize, Way)]) {
    for (g, way) in moves {
        scene.go(*g, way);
    }
}

/// What the cures leave: less of it, and who is woken for it.
fn finish(open: &Scene, scene: &mut Scene, overloaded: &[usize], decided: &mut Decided) {
    decided.lessen = greedy::lessen(scene, overloaded);
    let left: Vec<usize> = overloaded
        .iter()
        .copied()
        .filter(|h| scene.overload(*h) > 0)
        .collect();
    if open.deficit() > 0 {
        decided.wake = wake_for_all(open);
    } else if !left.is_empty() {
        decided.wake = wake_for(open, decided, &left);
    }
}

/// The sleeping hosts, the cheapest room first; those that just did not wake left out.
fn asleep(scene: &Scene) -> Vec<usize> {
    let costs = &scene.s.policy.costs;
    let usable = |h: &usize| {
        let host = &scene.hosts[*h];
        host.host.state == HostState::Asleep && !host.shunned && host.room[0] > 0
    };
    let mut hosts: Vec<usize> = (0..scene.hosts.len()).filter(usable).collect();
    hosts.sort_by_key(|h| {
        let cost = u128::from(costs.of(scene.name(*h)).0) * 1_000_000;
        (
            cost / u128::from(scene.hosts[*h].room[0].unsigned_abs()).max(1),
            *h,
        )
    });
    hosts
}

/// Sleeping hosts until all guests have room.
fn wake_for_all(scene: &Scene) -> Vec<usize> {
    let mut missing = scene.deficit();
    let mut woken = Vec::new();
    for h in asleep(scene) {
        if missing <= 0 {
            break;
        }
        missing -= scene.hosts[h].room[0];
        woken.push(h);
    }
    woken
}

/// Sleeping hosts of which each would end more of the overload that is left.
fn wake_for(open: &Scene, decided: &Decided, left: &[usize]) -> Vec<usize> {
    let ended = |woken: &[usize]| {
        let mut scene = open.clone();
        // They are not awake now: what limits the moves of this minute does not bind then.
        scene.starts = i64::MAX / 2;
        replay(&mut scene, &decided.moves);
        for h in woken {
            scene.wake(*h);
        }
        let before: i64 = left.iter().map(|h| scene.overload(*h)).sum();
        greedy::cures(&mut scene, left);
        greedy::lessen(&mut scene, left);
        before - left.iter().map(|h| scene.overload(*h)).sum::<i64>()
    };
    let mut woken = Vec::new();
    let mut best = ended(&woken);
    let all: i64 = left.iter().map(|h| open.overload(*h)).sum();
    for h in asleep(open).into_iter().take(64) {
        if best >= all {
            break;
        }
        woken.push(h);
        let now = ended(&woken);
        if now > best {
            best = now;
        } else {
            woken.pop();
        }
    }
    woken
}

/// In the words of the domain.
fn answer(before: &Scene, scene: &Scene, overloaded: &[usize], decided: Decided) -> Relief {
    let mut all = decided.moves.clone();
    // Each of them helps when it is made: the one that helps most comes last.
    all.sort_by_key(|(g, _)| (scene.guests[*g].least, *g));
    all.extend_from_slice(&decided.lessen);
    let moves = all.iter().zip(1..);
    let moves = moves
        .map(|((g, way), n)| made(scene, before, *g, way, n))
        .collect();
    let cured = |h: &&usize| scene.overload(**h) == 0;
    let ended: i64 = overloaded
        .iter()
        .filter(cured)
        .map(|h| before.overload(*h))
        .sum();
    let harm: i64 = decided.moves.iter().map(|(_, way)| way.harm).sum();
    let left: BTreeSet<usize> = overloaded
        .iter()
        .copied()
        .filter(|h| scene.overload(*h) > 0)
        .collect();
    let hold = left.iter().flat_map(|h| explain::held(scene, *h)).collect();
    Relief {
        moves,
        wake: decided
            .wake
            .iter()
            .map(|h| scene.name(*h).clone())
            .collect(),
        hold,
        left: explain::left(before, scene, &left, &decided.wake),
        worth: Worth {
            ended: MilliCores(ended.unsigned_abs()),
            harm: harm.unsigned_abs(),
            proven: decided.proven,
        },
        reasons: explain::reasons(before, overloaded, &all, &decided.wake),
    }
}

/// One move. Those that share a link at once have equal parts of it.
fn made(scene: &Scene, before: &Scene, g: usize, way: &Way, n: u32) -> Move {
    let s = scene.s;
    let guest = scene.guests[g].guest;
    let from = scene.guests[g].at.unwrap_or(way.to);
    let slots = i64::from(s.policy.relief.per_host.get());
    let at_once = scene.hosts[from]
        .leaving
        .max(slots - scene.hosts[way.to].into)
        .max(1);
    let alone = scene.link(from, way.to);
    let bandwidth = MiBPerSec((alone.0 / at_once.unsigned_abs()).max(alone.0.min(1)));
    let load = s.load.guests.get(&guest.name);
    let predicted = predict(way.mode, guest.memory, load, bandwidth);
    Move {
        id: MoveId(format!("r{n}")),
        guest: guest.name.clone(),
        uuid: guest.uuid,
        from: scene.name(from).clone(),
        to: scene.name(way.to).clone(),
        mode: way.mode,
        memory: guest.memory,
        vcpus: guest.vcpus,
        demand: scene.guests[g].demand.most(guest),
        bandwidth,
        start: Micros::ZERO,
        duration: predicted.total,
        expected: Some(predicted.into()),
        after: Vec::new(),
        reason: explain::why(before, scene, g, way),
    }
}
