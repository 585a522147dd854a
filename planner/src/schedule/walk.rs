//! A placement that is within reach by construction, for clusters that are so full that no order
//! leads to the targets found: guests walk, each step a migration with room at its target, until no
//! host is overloaded and every rule is kept. Steps are drawn by simulated annealing on the penalty
//! of [`crate::instance`]; afterwards every step that can be spared is taken out.

use vmpack_ilp::problem::{Amounts, GroupKind, Problem};

use super::{Hop, add};
use crate::instance::{Instance, NOWHERE, State};
use crate::rng::Rng;

/// The most steps of which each is tried to be spared; the trial is quadratic.
const SPARED: usize = 400;

/// The host of each bundle at the end of a walk, and the migrations that lead there.
pub(crate) struct Walk {
    pub(crate) at: Vec<usize>,
    pub(crate) hops: Vec<Hop>,
}

/// One walk of at most so many steps; `None` when it leads nowhere, or `go_on` ends it.
pub(crate) fn walk(
    inst: &Instance,
    seed: u64,
    steps: usize,
    go_on: &dyn Fn() -> bool,
) -> Option<Walk> {
    let mut rng = Rng::new(seed, 2000);
    let mut way = Way::new(inst);
    for step in 0..steps {
        if way.state.feasible() && way.unplaced == 0 {
            return way.end();
        }
        if step % 256 == 0 && !go_on() {
            return None;
        }
        let heat = 0.3 * (1.0 - step as f64 / steps as f64) + 0.005;
        way.step(heat, &mut rng);
    }
    None
}

/// A walk under way.
struct Way<'i, 'p> {
    inst: &'i Instance<'p>,
    state: State<'i, 'p>,
    /// Bundles that are nowhere: not running yet, on several hosts, or where they may not be.
    unplaced: usize,
    /// Where each guest is; unlike in the state also those of a bundle that is nowhere.
    at: Vec<Option<usize>>,
    load: Vec<Amounts>,
    hops: Vec<Hop>,
}

impl<'i, 'p> Way<'i, 'p> {
    fn new(inst: &'i Instance<'p>) -> Self {
        let state = State::new(inst, &inst.current());
        Self {
            inst,
            unplaced: state.at.iter().filter(|h| **h == NOWHERE).count(),
            state,
            at: inst.problem.guests.iter().map(|g| g.current).collect(),
            load: inst.problem.loads(),
            hops: Vec::new(),
        }
    }

    fn step(&mut self, heat: f64, rng: &mut Rng) {
        let bundle = self.draw(rng);
        let hosts = &self.inst.sets[self.inst.bundles[bundle].set].list;
        let to = hosts[rng.below(hosts.len())];
        let from = self.state.at[bundle];
        let asleep = self.inst.problem.hosts[to].asleep;
        if from == to || (asleep && rng.below(4) > 0) || !self.has_room(bundle, to) {
            return;
        }
        let before = self.state.penalty();
        if from != NOWHERE {
            self.state.take(bundle);
        }
        self.state.put(bundle, to);
        let placed = if from == NOWHERE { 1.0 } else { 0.0 };
        let change = self.state.penalty() - before - placed;
        if change > 0.0 && rng.unit() >= (-change / heat).exp() {
            self.state.take(bundle);
            if from != NOWHERE {
                self.state.put(bundle, from);
            }
            return;
        }
        self.unplaced -= usize::from(from == NOWHERE);
        self.go(bundle, to);
    }

    /// A bundle to be moved: mostly one that is nowhere or on an overloaded host.
    fn draw(&self, rng: &mut Rng) -> usize {
        if self.unplaced > 0 && rng.below(3) == 0 {
            let nowhere = self.state.at.iter().enumerate();
            let mut nowhere = nowhere.filter(|(_, h)| **h == NOWHERE).map(|(b, _)| b);
            if let Some(bundle) = nowhere.nth(rng.below(self.unplaced)) {
                return bundle;
            }
        }
        let over = &self.state.over;
        if !over.is_empty() && rng.below(2) == 0 {
            let on = &self.state.on[over[rng.below(over.len())]];
            if !on.is_empty() {
                return on[rng.below(on.len())];
            }
        }
        rng.below(self.inst.bundles.len())
    }

    /// Whether the host has room for those of the bundle's guests that are not there.
    fn has_room(&self, bundle: usize, to: usize) -> bool {
        let mut load = self.load[to].clone();
        for g in &self.inst.bundles[bundle].guests {
            if self.at[*g] != Some(to) {
                add(&mut load, &self.inst.problem.guests[*g].need, 1);
            }
        }
        let problem = self.inst.problem;
        problem.fits(&load, &problem.hosts[to].room)
    }

    fn go(&mut self, bundle: usize, to: usize) {
        for guest in self.inst.bundles[bundle].guests.iter().copied() {
            let item = &self.inst.problem.guests[guest];
            let from = self.at[guest];
            if from == Some(to) {
                continue;
            }
            if let Some(from) = from {
                add(&mut self.load[from], &item.need, -1);
            }
            add(&mut self.load[to], &item.need, 1);
            self.at[guest] = Some(to);
            // Guests that do not run are started there once the others have moved.
            if let (Some(from), Some(_)) = (from, item.current) {
                self.hops.push(Hop {
                    guest,
                    from,
                    to,
                    parks: false,
                });
            }
        }
    }

    /// The walk with what can be spared taken out, if it keeps within the limits on moves and wakes
    /// no host in vain.
    fn end(self) -> Option<Walk> {
        let problem = self.inst.problem;
        let mut hops = spare(problem, self.hops);
        for i in 0..hops.len() {
            hops[i].parks = hops[i + 1..].iter().any(|h| h.guest == hops[i].guest);
        }
        let within = problem.rules.iter().all(|rule| match &rule.kind {
            GroupKind::MaxMoves { guests, moves } => {
                hops.iter().filter(|h| guests.contains(&h.guest)).count() <= *moves
            }
            _ => true,
        });
        let vain = |h: &Hop| problem.hosts[h.to].asleep && !self.at.contains(&Some(h.to));
        let walk = Walk {
            at: self.state.at,
            hops,
        };
        (within && !walk.hops.iter().any(vain)).then_some(walk)
    }
}

/// Takes out one stay on the way after the other, as long as every target still has room.
fn spare(problem: &Problem, mut hops: Vec<Hop>) -> Vec<Hop> {
    if hops.len() > SPARED {
        return hops;
    }
    let mut i = 0;
    while i < hops.len() {
        let next = (i + 1..hops.len()).find(|j| hops[*j].guest == hops[i].guest);
        let fewer = next.map(|j| {
            let mut fewer = hops.clone();
            fewer[j].from = hops[i].from;
            if fewer[j].from == fewer[j].to {
                fewer.remove(j);
            }
            fewer.remove(i);
            fewer
        });
        match fewer.filter(|fewer| has_room_throughout(problem, fewer)) {
            Some(fewer) => hops = fewer,
            None => i += 1,
        }
    }
    hops
}

fn has_room_throughout(problem: &Problem, hops: &[Hop]) -> bool {
    let mut load = problem.loads();
    hops.iter().all(|hop| {
        let need = &problem.guests[hop.guest].need;
        add(&mut load[hop.to], need, 1);
        let fit = problem.fits(&load[hop.to], &problem.hosts[hop.to].room);
        add(&mut load[hop.from], need, -1);
        fit
    })
}
