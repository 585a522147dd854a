//! Levelling by guests that would not move (`limits.level`): of the placements with the same hosts in use
//! that move at most so many guests more, one in which those hosts differ little.
//!
//! The measure is the balancers' own, the sum over CPU, memory and vCPUs of the standard deviation of the
//! hosts' shares in use (of CPU over time, its mean over the windows); the fuller a host is above the others,
//! the more it counts. The best single move or swap is made, again and again, while it gains [`LEAST`] for
//! each guest, so that what load does by itself moves nobody; of two that gain about as much the one that
//! moves less memory is better. Then each guest that moved for it is put back and the best that could go
//! in its place is tried, until no such exchange gains.

use vmpack_ilp::problem::is_cpu;

use crate::instance::{Instance, State};

/// Most passes over what has been moved.
const PASSES: usize = 4;
/// A gain below this is none.
const GAIN: f64 = 1e-9;
/// A guest moves for so much over the number of hosts, or more: about what one host whose share in use
/// comes nearer to the others' by half a percent gains.
const LEAST: f64 = 0.005;
/// What the guest of the largest memory must gain more than one without any.
const MEMORY: f64 = 0.1;
/// The most pairs of bundles of which swaps are tried.
const SWAPS: usize = 400_000;

/// The shares in use of each host, and their sums.
struct Shares<'a> {
    /// 1 ÷ room, of each resource of each host; 0 where there is none.
    per: Vec<Vec<f64>>,
    sum: Vec<f64>,
    squares: Vec<f64>,
    /// What each resource counts: CPU in many windows together as much as memory.
    weight: Vec<f64>,
    awake: &'a [usize],
}

impl<'a> Shares<'a> {
    fn new(state: &State, awake: &'a [usize]) -> Self {
        let hosts = &state.inst.problem.hosts;
        let per = |room: &i64| if *room > 0 { 1.0 / *room as f64 } else { 0.0 };
        let resources = state.inst.problem.resources.len();
        let windows = resources.saturating_sub(2).max(1);
        let weight = |r: usize| if is_cpu(r) { 1.0 / windows as f64 } else { 1.0 };
        let mut shares = Self {
            weight: (0..resources).map(weight).collect(),
            per: hosts
                .iter()
                .map(|h| h.room.iter().map(per).collect())
                .collect(),
            sum: Vec::new(),
            squares: Vec::new(),
            awake,
        };
        shares.count(state);
        shares
    }
    fn count(&mut self, state: &State) {
        let resources = state.inst.problem.resources.len();
        self.sum = vec![0.0; resources];
        self.squares = vec![0.0; resources];
        for h in self.awake {
            for r in 0..resources {
                let share = state.load[*h][r] as f64 * self.per[*h][r];
                self.sum[r] += share;
                self.squares[r] += share * share;
            }
        }
    }
    /// The measure when a host takes so much more and another as much less.
    fn after(&self, state: &State, from: usize, to: usize, net: impl Fn(usize) -> i64) -> f64 {
        let n = self.awake.len() as f64;
        let mut total = 0.0;
        for r in 0..self.sum.len() {
            let (out, into) = (self.per[from][r], self.per[to][r]);
            let (a, b) = (state.load[from][r] as f64, state.load[to][r] as f64);
            let net = net(r) as f64;
            let (a0, b0) = (a * out, b * into);
            let (a1, b1) = ((a - net) * out, (b + net) * into);
            let sum = self.sum[r] - a0 - b0 + a1 + b1;
            let squares = self.squares[r] - a0 * a0 - b0 * b0 + a1 * a1 + b1 * b1;
            let deviation = (squares / n - (sum / n) * (sum / n)).max(0.0).sqrt();
            total += self.weight[r] * deviation;
        }
        total
    }
    fn now(&self, state: &State) -> f64 {
        self.after(state, self.awake[0], self.awake[0], |_| 0)
    }
}

/// A move, or a swap with another bundle.
#[derive(Clone, Copy)]
struct Change {
    bundle: usize,
    to: usize,
    other: Option<usize>,
}

/// `at`, which is feasible, levelled by at most `most` guests more than it moves. The result is feasible
/// with the same hosts in use, however early `stop` ends it.
pub(crate) fn balance(
    inst: &Instance,
    at: &[usize],
    awake: &[usize],
    most: u32,
    stop: &dyn Fn() -> bool,
) -> Vec<usize> {
    if awake.len() < 2 {
        return at.to_vec();
    }
    let mut state = State::new(inst, at);
    let mut shares = Shares::new(&state, awake);
    let mut left = i64::from(most);
    let mut value = shares.now(&state);
    descend(&mut state, &mut shares, &mut left, &mut value, stop);
    for _ in 0..PASSES {
        let before = value;
        let away: Vec<usize> = (0..at.len()).filter(|b| state.at[*b] != at[*b]).collect();
        for bundle in away {
            if stop() {
                return state.at;
            }
            // It may have been put back meanwhile.
            if state.at[bundle] == at[bundle] {
                continue;
            }
            let kept = (state.at.clone(), left, value);
            if state.change(bundle, at[bundle], None) > 0.0 {
                continue;
            }
            left -= cost(inst, bundle, at[bundle]) - cost(inst, bundle, state.at[bundle]);
            state.shift(bundle, at[bundle], None);
            shares.count(&state);
            value = shares.now(&state);
            descend(&mut state, &mut shares, &mut left, &mut value, stop);
            // One put back away from its home may have spent what others need.
            if left < 0 || value > kept.2 - GAIN {
                state = State::new(inst, &kept.0);
                shares.count(&state);
                (left, value) = (kept.1, kept.2);
            }
        }
        if value > before - GAIN {
            break;
        }
    }
    state.at
}

/// Makes the best change, again and again, while it gains and guests are left to be moved.
fn descend(
    state: &mut State,
    shares: &mut Shares,
    left: &mut i64,
    value: &mut f64,
    stop: &dyn Fn() -> bool,
) {
    while !stop() {
        let Some((change, after)) = best(state, shares, *left, *value, stop) else {
            return;
        };
        let inst = state.inst;
        let from = state.at[change.bundle];
        *left -= cost(inst, change.bundle, change.to) - cost(inst, change.bundle, from);
        if let Some(other) = change.other {
            *left -= cost(inst, other, from) - cost(inst, other, change.to);
        }
        state.shift(change.bundle, change.to, change.other);
        shares.count(state);
        *value = after;
    }
}

/// How many guests of a bundle are not at home on a host.
fn cost(inst: &Instance, bundle: usize, host: usize) -> i64 {
    let guests = inst.bundles[bundle].guests.iter();
    let away = guests.filter(|g| {
        let home = inst.problem.guests[**g].current;
        home.is_some_and(|home| home != host)
    });
    i64::try_from(away.count()).unwrap_or(i64::MAX)
}

/// The change that gains most, of those that move no more guests than are left, and enough for those that
/// it moves; the first by index of several.
fn best(
    state: &State,
    shares: &Shares,
    left: i64,
    value: f64,
    stop: &dyn Fn() -> bool,
) -> Option<(Change, f64)> {
    let inst = state.inst;
    let mut found: Option<(Change, f64)> = None;
    let mut most = 0.0;
    let least = LEAST / shares.awake.len() as f64;
    let memory = |b: usize| inst.bundles[b].need.get(1).map_or(0.0, |m| *m as f64);
    let largest = (0..inst.bundles.len()).map(memory).fold(1.0, f64::max);
    let placed: Vec<usize> = (0..inst.bundles.len())
        .filter(|b| shares.awake.contains(&state.at[*b]))
        .collect();
    // Guests that go home cost nothing.
    let mut offer = |change: Change, after: f64, guests: i64| {
        let gain = value - after;
        let moved = memory(change.bundle) + change.other.map_or(0.0, memory);
        let worth = gain * (1.0 - MEMORY * (moved / largest).min(1.0));
        let enough = gain > GAIN && gain >= least * guests.max(0) as f64;
        if enough
            && worth > most + GAIN
            && state.change(change.bundle, change.to, change.other) <= 0.0
        {
            most = worth;
            found = Some((change, after));
        }
    };
    for bundle in &placed {
        if stop() {
            return None;
        }
        let from = state.at[*bundle];
        let need = &inst.bundles[*bundle].need;
        let set = &inst.sets[inst.bundles[*bundle].set];
        let here = cost(inst, *bundle, from);
        for to in shares.awake.iter().copied() {
            let more = cost(inst, *bundle, to) - here;
            if to == from || more > left || !set.contains(to) {
                continue;
            }
            let after = shares.after(state, from, to, |r| need[r]);
            let other = None;
            offer(
                Change {
                    bundle: *bundle,
                    to,
                    other,
                },
                after,
                more,
            );
        }
    }
    // Where hosts are nearly full only swaps help.
    if placed.len() * placed.len() > SWAPS {
        return found;
    }
    for (i, bundle) in placed.iter().enumerate() {
        if stop() {
            return found;
        }
        let from = state.at[*bundle];
        let set = &inst.sets[inst.bundles[*bundle].set];
        for other in &placed[i + 1..] {
            let to = state.at[*other];
            let there = &inst.sets[inst.bundles[*other].set];
            if to == from || !set.contains(to) || !there.contains(from) {
                continue;
            }
            let more = cost(inst, *bundle, to) - cost(inst, *bundle, from)
                + cost(inst, *other, from)
                - cost(inst, *other, to);
            if more > left {
                continue;
            }
            let net = |r: usize| inst.bundles[*bundle].need[r] - inst.bundles[*other].need[r];
            let after = shares.after(state, from, to, net);
            let other = Some(*other);
            offer(
                Change {
                    bundle: *bundle,
                    to,
                    other,
                },
                after,
                more,
            );
        }
    }
    found
}
