//! Third objective: at the same hosts in use and the same cost of moves, the smallest highest
//! utilisation. Only guests that move anyway are put elsewhere, among the hosts in use.
//!
//! A host's utilisation is its largest share of a resource's room. From the fullest host on, a guest
//! is shifted to another host, or swapped with one that moves too, whenever both hosts are then below
//! the fuller of the two before: the list of utilisations, sorted from above, falls with each step.

use vmpack_ilp::problem::Amounts;

use crate::instance::{Instance, State};

/// Most steps, for each host in use.
const STEPS: usize = 4;

/// A share of a room, as an exact fraction.
#[derive(Debug, Clone, Copy)]
struct Share {
    load: i64,
    room: i64,
}

impl Share {
    /// The largest share of a room.
    fn of(load: &Amounts, room: &Amounts) -> Self {
        let shares = load.iter().zip(room).map(|(l, r)| Self {
            load: *l,
            room: (*r).max(1),
        });
        let none = Self { load: 0, room: 1 };
        shares.fold(none, |a, b| if a.is_below(b) { b } else { a })
    }
    fn is_below(self, other: Self) -> bool {
        i128::from(self.load) * i128::from(other.room)
            < i128::from(other.load) * i128::from(self.room)
    }
}

/// A change of a placement.
#[derive(Clone, Copy)]
struct Change {
    bundle: usize,
    to: usize,
    other: Option<usize>,
}

/// The placement with its fullest hosts relieved as far as that costs nothing. `at` is feasible, and
/// so is the result, with the same hosts in use and the same moves, however early `stop` ends it.
pub(crate) fn level(
    inst: &Instance,
    at: &[usize],
    awake: &[usize],
    stop: &dyn Fn() -> bool,
) -> Vec<usize> {
    let mut state = State::new(inst, at);
    // Whether a bundle that is put there has none of its guests at home.
    let moves = |b: usize, h: usize| inst.bundles[b].homes.iter().all(|(home, _)| *home != h);
    let share = |state: &State, h: usize| Share::of(&state.load[h], &inst.problem.hosts[h].room);
    for _ in 0..STEPS * awake.len() {
        if stop() {
            break;
        }
        let fullest = awake.iter().copied().reduce(|a, b| {
            if share(&state, a).is_below(share(&state, b)) {
                b
            } else {
                a
            }
        });
        // Once the fullest cannot be relieved, nothing lowers the highest utilisation.
        let Some(change) = fullest.and_then(|h| relief(&state, h, awake, &moves)) else {
            break;
        };
        state.shift(change.bundle, change.to, change.other);
    }
    state.at
}

/// The change that relieves a host most, measured by the fuller of the two hosts afterwards; the
/// first of several by index.
fn relief(
    state: &State,
    from: usize,
    awake: &[usize],
    moves: &dyn Fn(usize, usize) -> bool,
) -> Option<Change> {
    let inst = state.inst;
    let room = |h: usize| &inst.problem.hosts[h].room;
    let mut least = Share::of(&state.load[from], room(from));
    let mut best = None;
    let mut leaving: Vec<usize> = state.on[from]
        .iter()
        .copied()
        .filter(|b| moves(*b, from))
        .collect();
    leaving.sort_unstable();
    for bundle in leaving {
        let set = &inst.sets[inst.bundles[bundle].set];
        for to in awake
            .iter()
            .copied()
            .filter(|h| *h != from && set.contains(*h))
        {
            if !moves(bundle, to) {
                continue;
            }
            let mut there: Vec<usize> = state.on[to]
                .iter()
                .copied()
                .filter(|b| moves(*b, to))
                .collect();
            there.sort_unstable();
            let others = there
                .into_iter()
                .filter(|o| inst.sets[inst.bundles[*o].set].contains(from) && moves(*o, from));
            for other in std::iter::once(None).chain(others.map(Some)) {
                let net = |r: usize| {
                    inst.bundles[bundle].need[r] - other.map_or(0, |o| inst.bundles[o].need[r])
                };
                let resources = 0..room(from).len();
                let less: Amounts = resources
                    .clone()
                    .map(|r| state.load[from][r] - net(r))
                    .collect();
                let more: Amounts = resources.map(|r| state.load[to][r] + net(r)).collect();
                let (a, b) = (Share::of(&less, room(from)), Share::of(&more, room(to)));
                let fuller = if a.is_below(b) { b } else { a };
                if fuller.is_below(least) && state.change(bundle, to, other) <= 0.0 {
                    least = fuller;
                    best = Some(Change { bundle, to, other });
                }
            }
        }
    }
    best
}
