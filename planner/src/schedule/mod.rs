//! The order of the migrations: at every moment each target has room for what is there and what
//! comes, a guest counting at both ends while it moves. A cycle of guests that wait for each
//! other's room is broken by parking one of them on a host with room. [`migrations`] then says when
//! each starts, many at once.
//!
//! A move that would put two guests of a spread rule together on the way waits until no other move
//! is left; it is preferred to parking, which costs one more migration.

mod budget;
pub(crate) mod migrations;
mod queue;
pub(crate) mod reach;
mod timetable;
mod walk;

#[cfg(test)]
mod tests;

use vmpack_ilp::problem::{Amounts, GroupKind, Problem};

use crate::rng::Rng;
use queue::{AWAITED, NOT_AWAITED, Queue};

/// One migration in the order, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) guest: usize,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Whether the guest only makes room there and goes on later.
    pub(crate) parks: bool,
}

/// Whether the target can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order {
    /// These migrations lead there.
    Whole(Vec<Hop>),
    /// These migrations can be made; the guests that then wait for each other's room.
    Stuck { hops: Vec<Hop>, waiting: Vec<usize> },
}

/// How many orders are tried before a target counts as out of reach.
const TRIES: u64 = 12;

/// An order of the migrations that lead from where guests run to `target`.
pub(crate) fn order(problem: &Problem, target: &[usize], seed: u64) -> Order {
    let mut best: Option<(Vec<Hop>, Vec<usize>)> = None;
    for attempt in 0..TRIES {
        let mut rng = Rng::new(seed, 1000 + attempt);
        // The first attempt empties host after host; the others shuffle.
        let rank: Vec<usize> = (0..problem.guests.len())
            .map(|g| match attempt {
                0 => problem.guests[g].current.unwrap_or(0),
                _ => rng.below(1 << 20),
            })
            .collect();
        let (hops, waiting) = Replay::new(problem, target, rank).run();
        if waiting.is_empty() {
            return Order::Whole(hops);
        }
        if best.as_ref().is_none_or(|b| waiting.len() < b.1.len()) {
            best = Some((hops, waiting));
        }
    }
    let (hops, waiting) = best.unwrap_or_default();
    Order::Stuck { hops, waiting }
}

/// Adds a need to what a host carries, so many times.
fn add(load: &mut Amounts, need: &Amounts, times: i64) {
    for (l, n) in load.iter_mut().zip(need) {
        *l += times * n;
    }
}

/// What a max-moves rule leaves for parking.
struct Budget {
    /// Whether each guest counts.
    counted: Vec<bool>,
    /// Migrations left.
    left: usize,
}

/// The hosts while migrations run.
struct Replay<'a> {
    problem: &'a Problem,
    target: &'a [usize],
    rank: Vec<usize>,
    at: Vec<Option<usize>>,
    load: Vec<Amounts>,
    /// Per spread rule, its members on each place.
    spread: Vec<(&'a [usize], &'a [usize], Vec<u32>)>,
    /// Per guest, the spread rules that it is in.
    spreads_of: Vec<Vec<usize>>,
    budgets: Vec<Budget>,
    parked: Vec<bool>,
    hops: Vec<Hop>,
}

impl<'a> Replay<'a> {
    fn new(problem: &'a Problem, target: &'a [usize], rank: Vec<usize>) -> Self {
        let guests = problem.guests.len();
        let mut replay = Self {
            problem,
            target,
            rank,
            at: problem.guests.iter().map(|g| g.current).collect(),
            load: problem.loads(),
            spread: Vec::new(),
            spreads_of: vec![Vec::new(); guests],
            budgets: Vec::new(),
            parked: vec![false; guests],
            hops: Vec::new(),
        };
        for rule in &problem.rules {
            match &rule.kind {
                GroupKind::Spread { guests, place } => {
                    let mut count = vec![0; place.iter().max().map_or(0, |m| m + 1)];
                    for g in guests {
                        replay.spreads_of[*g].push(replay.spread.len());
                        if let Some(h) = problem.guests[*g].current {
                            count[place[h]] += 1;
                        }
                    }
                    replay.spread.push((guests, place, count));
                }
                GroupKind::MaxMoves {
                    guests: members,
                    moves,
                } => {
                    let mut counted = vec![false; guests];
                    members.iter().for_each(|g| counted[*g] = true);
                    let needed = (0..guests)
                        .filter(|g| counted[*g] && replay.pending(*g))
                        .count();
                    let left = moves.saturating_sub(needed);
                    replay.budgets.push(Budget { counted, left });
                }
                GroupKind::Gather { .. } | GroupKind::Spare { .. } => {}
            }
        }
        replay
    }
    fn pending(&self, guest: usize) -> bool {
        self.at[guest].is_some_and(|h| h != self.target[guest])
    }
    fn room_for(&self, guest: usize, host: usize) -> bool {
        let (room, need) = (
            &self.problem.hosts[host].room,
            &self.problem.guests[guest].need,
        );
        let load = self.load[host].iter().zip(need).map(|(l, n)| l + n);
        self.problem.fits(&load.collect(), room)
    }
    /// Whether another guest of one of its spread rules is in the host's place now.
    fn joins(&self, guest: usize, host: usize) -> bool {
        self.spreads_of[guest].iter().any(|s| {
            let (_, place, count) = &self.spread[*s];
            let own = self.at[guest].is_some_and(|h| place[h] == place[host]);
            count[place[host]] > u32::from(own)
        })
    }
    fn hop(&mut self, guest: usize, to: usize, parks: bool) {
        let Some(from) = self.at[guest] else { return };
        let need = &self.problem.guests[guest].need;
        add(&mut self.load[from], need, -1);
        add(&mut self.load[to], need, 1);
        for s in &self.spreads_of[guest] {
            let (_, place, count) = &mut self.spread[*s];
            count[place[from]] -= 1;
            count[place[to]] += 1;
        }
        self.at[guest] = Some(to);
        self.hops.push(Hop {
            guest,
            from,
            to,
            parks,
        });
    }
    /// The migrations in order, and the guests for which none is left.
    fn run(mut self) -> (Vec<Hop>, Vec<usize>) {
        let mut queue = Queue::new(&self);
        while queue.left > 0 {
            if let Some(guest) = self.next(&mut queue) {
                let from = self.at[guest];
                queue.remove(guest, &self);
                self.hop(guest, self.target[guest], false);
                queue.left_host(from, guest, &self);
            } else if !self.park(&mut queue) {
                break;
            }
        }
        let waiting = queue.order.iter().copied().filter(|g| queue.waits[*g]);
        (self.hops, waiting.collect())
    }
    /// The next of the pending guests that can go to its target: first where that breaks no spread
    /// rule on the way, and among those first from a host that others wait for.
    fn next(&self, queue: &mut Queue) -> Option<usize> {
        for class in [AWAITED, NOT_AWAITED] {
            while let Some(place) = queue.open[class].pop_first() {
                let guest = queue.order[place];
                // Nobody may wait for its host any longer.
                if queue.class(guest, self) != class {
                    queue.open[NOT_AWAITED].insert(place);
                    continue;
                }
                if !self.room_for(guest, self.target[guest]) {
                    continue;
                }
                if !self.joins(guest, self.target[guest]) {
                    return Some(guest);
                }
                queue.joining.insert(place);
            }
        }
        let joining = queue.joining.iter().map(|place| queue.order[*place]);
        joining
            .filter(|g| self.room_for(*g, self.target[*g]))
            .min_by_key(|g| (queue.class(*g, self), queue.place[*g]))
    }
    /// Parks one guest whose leaving makes room for another, the smallest such; `false` when no
    /// host has room for any.
    fn park(&mut self, queue: &mut Queue) -> bool {
        let waits = queue.order.iter().copied().filter(|g| queue.waits[*g]);
        let mut leaving: Vec<_> = waits
            .filter_map(|g| {
                let from = self.at[g].filter(|h| queue.awaited(*h) && !self.parked[g])?;
                if self.budgets.iter().any(|b| b.counted[g] && b.left == 0) {
                    return None;
                }
                let mut to_come = queue.to_come[from].iter();
                let frees = to_come.any(|w| self.frees(g, *w, from));
                Some((!frees, self.problem.guests[g].memory, g, from))
            })
            .collect();
        leaving.sort_unstable();
        let mut best: Option<(bool, i64, bool, bool, i64, usize, usize)> = None;
        for (no_use, memory, g, from) in leaving {
            // What comes first in a choice; hosts are only looked at where it can be the best.
            if best.is_some_and(|(n, m, ..)| (n, m) < (no_use, memory)) {
                break;
            }
            for h in self.problem.guests[g].allowed.iter().copied() {
                let host = &self.problem.hosts[h];
                if h == from || host.asleep || !self.room_for(g, h) {
                    continue;
                }
                let free = host.room[1] - self.load[h][1];
                let joins = self.joins(g, h);
                let choice = (no_use, memory, joins, queue.awaited(h), -free, g, h);
                if best.is_none_or(|b| choice < b) {
                    best = Some(choice);
                }
            }
        }
        let Some((.., guest, host)) = best else {
            return false;
        };
        self.parked[guest] = true;
        for budget in self.budgets.iter_mut().filter(|b| b.counted[guest]) {
            budget.left -= 1;
        }
        let from = self.at[guest];
        self.hop(guest, host, true);
        queue.left_host(from, guest, self);
        queue.reopen(guest, self);
        true
    }
    /// Whether `waiting` would fit its target once `guest` has left it.
    fn frees(&self, guest: usize, waiting: usize, host: usize) -> bool {
        let (room, guests) = (&self.problem.hosts[host].room, &self.problem.guests);
        let load = (0..room.len())
            .map(|r| self.load[host][r] - guests[guest].need[r] + guests[waiting].need[r]);
        self.problem.fits(&load.collect(), room)
    }
}
