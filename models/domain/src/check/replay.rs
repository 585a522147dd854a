//! Replays the moves of a plan. Only `after` edges bind, never predicted times: at the start of a
//! move, a guest counts at the target where it may be there in some run that honours the edges: it is
//! there or comes by a move that need not wait for this one, and its leaving is not over. One that
//! comes only after still others have left is left out here and counted at its own start, where all
//! those are gone.
//!
//! That misses no state. Say a run is in one; of the moves into the host that have begun, take one
//! whose D, the moves off the host that it waits for, no other's contains more of, and of those with
//! that D the last. At its start everybody is counted who is there in the state: whoever came by a
//! move that waits for it would have the same D and come later, or a larger one.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, World, room, running_on, stands, violation};
use crate::cluster::PostCopy;
use crate::name::{GuestName, HostName};
use crate::plan::{Mode, Move, Plan};
use crate::rule::{RuleKind, guests_named};

/// A stay of a guest on a host: the moves that begin and end it.
struct Stay<'a> {
    guest: &'a GuestName,
    arrives: Option<usize>,
    leaves: Option<usize>,
}

/// A set of move indices.
#[derive(Clone)]
struct Moves(Vec<u64>);

impl Moves {
    fn none(n: usize) -> Self {
        Self(vec![0; n.div_ceil(64)])
    }
    fn add(&mut self, i: usize) {
        if let Some(word) = self.0.get_mut(i / 64) {
            *word |= 1 << (i % 64);
        }
    }
    fn add_all(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().zip(&other.0) {
            *a |= b;
        }
    }
    fn has(&self, i: usize) -> bool {
        self.0
            .get(i / 64)
            .is_some_and(|word| word >> (i % 64) & 1 == 1)
    }
}

/// What is wrong on the way, and whether it leads to the target.
pub(super) fn judge(world: &World, plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let before = match ancestors(plan) {
        Ok(before) => before,
        Err(detail) => return vec![violation("moves", detail)],
    };
    let mut at: BTreeMap<&GuestName, &HostName> = BTreeMap::new();
    let mut stays: BTreeMap<&HostName, Vec<Stay>> = BTreeMap::new();
    let mut last: BTreeMap<&GuestName, usize> = BTreeMap::new();
    for guest in &world.cluster.guests {
        if let Some(host) = running_on(world, guest) {
            at.insert(&guest.name, host);
            stays.entry(host).or_default().push(Stay {
                guest: &guest.name,
                arrives: None,
                leaves: None,
            });
        }
    }
    for (i, mv) in plan.moves.iter().enumerate() {
        let fault = |detail: String| Violation {
            law: "moves".into(),
            at: Some(mv.id.clone()),
            detail,
        };
        let Some((guest, _)) = world.guests.get(&mv.guest) else {
            found.push(fault(format!("guest {} is not in the cluster", mv.guest)));
            continue;
        };
        if at.get(&mv.guest) != Some(&&mv.from) {
            let is = at.get(&mv.guest).map_or("nowhere", |h| h.as_str());
            found.push(fault(format!(
                "guest {} is to leave {}, it is on {is}",
                mv.guest, mv.from
            )));
            continue;
        }
        if mv.from == mv.to {
            found.push(fault(format!(
                "guest {} is to move from {} to itself",
                mv.guest, mv.from
            )));
        }
        if (mv.memory, mv.vcpus, mv.uuid) != (guest.memory, guest.vcpus, guest.uuid) {
            found.push(fault(format!(
                "the size or identity of guest {} is not the cluster's",
                mv.guest
            )));
        }
        if guest.post_copy == PostCopy::Never && mv.mode != Mode::PreCopy {
            found.push(fault(format!(
                "guest {} must not be in split state and moves by {}",
                mv.guest, mv.mode
            )));
        }
        if let Some(previous) = last.insert(&mv.guest, i)
            && !before.get(i).is_some_and(|b| b.has(previous))
        {
            found.push(fault(format!(
                "guest {} may still be moving by an earlier move",
                mv.guest
            )));
        }
        found.extend(stands(world, &mv.guest, &mv.to).map(|v| Violation {
            at: Some(mv.id.clone()),
            ..v
        }));
        at.insert(&mv.guest, &mv.to);
        if let Some(stay) = stays
            .entry(&mv.from)
            .or_default()
            .iter_mut()
            .rev()
            .find(|s| *s.guest == mv.guest)
        {
            stay.leaves = Some(i);
        }
        stays.entry(&mv.to).or_default().push(Stay {
            guest: &mv.guest,
            arrives: Some(i),
            leaves: None,
        });
    }
    for (i, mv) in plan.moves.iter().enumerate() {
        let stays = stays.get(&mv.to).map_or(&[][..], Vec::as_slice);
        found.extend(crowded(world, i, mv, &before, stays));
    }
    found.extend(budgets(world, plan));
    found.extend(arrived(world, plan, &at));
    found
}

/// For each move, the moves that have ended before it may start.
fn ancestors(plan: &Plan) -> Result<Vec<Moves>, String> {
    let n = plan.moves.len();
    let mut index = BTreeMap::new();
    let mut before: Vec<Moves> = Vec::with_capacity(n);
    for (i, mv) in plan.moves.iter().enumerate() {
        let mut mine = Moves::none(n);
        for id in &mv.after {
            let Some(&j) = index.get(id) else {
                return Err(format!(
                    "move {} waits for {id}, which is not an earlier move",
                    mv.id
                ));
            };
            mine.add(j);
            if let Some(theirs) = before.get(j) {
                mine.add_all(theirs);
            }
        }
        before.push(mine);
        if index.insert(&mv.id, i).is_some() {
            return Err(format!("two moves are named {}", mv.id));
        }
    }
    Ok(before)
}

/// What the target lacks when the move starts.
fn crowded(world: &World, i: usize, mv: &Move, before: &[Moves], stays: &[Stay]) -> Vec<Violation> {
    let Some(host) = world.hosts.get(&mv.to) else {
        return Vec::new();
    };
    let waits = |j: usize, k: usize| before.get(j).is_some_and(|b| b.has(k));
    let leaves = || stays.iter().filter_map(|s| s.leaves);
    // Whether the move waits for all those off the host that this one waits for, and for others.
    let later = |j: usize| {
        let (mut all, mut more) = (true, false);
        for k in leaves() {
            all &= waits(j, k) || !waits(i, k);
            more |= waits(j, k) && !waits(i, k);
        }
        all && more
    };
    let absent = |j: usize| j != i && (waits(j, i) || later(j));
    let there: BTreeSet<&GuestName> = stays
        .iter()
        .filter(|s| !s.arrives.is_some_and(absent) && !s.leaves.is_some_and(|k| waits(i, k)))
        .map(|s| s.guest)
        .collect();
    room(world, host, there.into_iter())
        .into_iter()
        .map(|v| Violation {
            at: Some(mv.id.clone()),
            ..v
        })
        .collect()
}

/// Limits on the number of moves, counted as moves and not as guests: one that is parked moves twice.
fn budgets(world: &World, plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut judge = |law: String, moves: usize, most: u32| {
        if moves > most as usize {
            found.push(violation(
                law,
                format!("the plan has {moves} moves, at most {most} may be"),
            ));
        }
    };
    if let Some(most) = world.policy.limits.moves {
        judge("limits.moves".into(), plan.moves.len(), most);
    }
    for rule in &world.policy.rules {
        if let RuleKind::MaxMoves { guests, moves } = &rule.kind {
            let named: BTreeSet<&GuestName> = guests_named(guests, world.cluster)
                .unwrap_or_default()
                .into_iter()
                .collect();
            let count = plan
                .moves
                .iter()
                .filter(|m| guests.is_empty() || named.contains(&m.guest))
                .count();
            judge(format!("rule {}", rule.name), count, *moves);
        }
    }
    found
}

/// Whether moves and starts lead to the target.
fn arrived(world: &World, plan: &Plan, at: &BTreeMap<&GuestName, &HostName>) -> Vec<Violation> {
    let mut end = at.clone();
    let mut found = Vec::new();
    for start in &plan.starts {
        let waits = world
            .guests
            .get(&start.guest)
            .is_some_and(|(g, _)| running_on(world, g).is_none());
        if !waits || end.insert(&start.guest, &start.on).is_some() {
            found.push(violation(
                "moves",
                format!("guest {} is to be started and does not wait", start.guest),
            ));
        }
    }
    for guest in &world.cluster.guests {
        let (is, meant) = (end.get(&guest.name).copied(), plan.target.get(&guest.name));
        if is != meant {
            let name = |h: Option<&HostName>| h.map_or("nowhere", HostName::as_str).to_owned();
            found.push(violation(
                "moves",
                format!(
                    "guest {} ends on {}, the target says {}",
                    guest.name,
                    name(is),
                    name(meant)
                ),
            ));
        }
    }
    found
}
