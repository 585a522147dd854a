//! Simulated annealing over placements on a fixed number of open hosts: shifts of one bundle and
//! swaps of two, many of the picks from overloaded hosts or broken rules (Kirkpatrick, Gelatt,
//! Vecchi, 1983). One walk serves both stages: towards no penalty at all, or towards the least
//! cost of moves with the penalty's weight rising.

use crate::effort::{Effort, Slice};
use crate::instance::State;
use crate::pack::fit::need_weights;
use crate::rng::Rng;

/// What a walk is after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Any feasible placement; the walk ends there.
    Feasible,
    /// The feasible placement with the cheapest moves; the walk ends when they cost no more than
    /// this.
    LeastMoved(i64),
}

/// Steps between looks at the clock.
const LOOK: u64 = 1024;
/// Steps between attempts to exchange a whole host for a closed one.
const EXCHANGE: u64 = 512;

/// Walks from `state`, all of whose bundles are on hosts marked `open`, and leaves it where the
/// walk ended. Returns the best feasible placement met, and the steps made.
pub(crate) fn anneal(
    state: &mut State,
    open: &mut [bool],
    goal: Goal,
    effort: &Effort,
    slice: &Slice,
    rng: &mut Rng,
) -> (Option<Vec<usize>>, u64) {
    let mut walk = Walk::new(state, open, goal);
    let mut steps = 0;
    loop {
        if goal == Goal::Feasible && walk.state.feasible() {
            return (Some(walk.state.at.clone()), steps);
        }
        if steps % LOOK == 0 {
            let through = effort.progress(slice, steps);
            if through >= 1.0 || walk.state.at.is_empty() || walk.is_least() {
                return (walk.best.map(|b| b.1), steps);
            }
            walk.cool(through);
        }
        steps += 1;
        if walk.counts_moves() && steps % EXCHANGE == 0 {
            walk.exchange(rng);
        } else {
            walk.step(rng);
        }
    }
}

struct Walk<'w, 'i, 'p> {
    state: &'w mut State<'i, 'p>,
    goal: Goal,
    open: &'w mut [bool],
    /// Open hosts that each set allows.
    choices: Vec<Vec<usize>>,
    /// Mean share of a host that a bundle takes.
    mean_size: f64,
    /// Mean price of moving a bundle.
    mean_price: f64,
    temperature: f64,
    /// What the penalty weighs.
    weight: f64,
    moved: i64,
    best: Option<(i64, Vec<usize>)>,
}

impl<'w, 'i, 'p> Walk<'w, 'i, 'p> {
    fn new(state: &'w mut State<'i, 'p>, open: &'w mut [bool], goal: Goal) -> Self {
        let inst = state.inst;
        let count = inst.bundles.len().max(1) as f64;
        let weights = need_weights(inst);
        let scarce: Vec<usize> = (0..weights.len()).filter(|r| weights[*r] >= 0.5).collect();
        let size: f64 = inst
            .bundles
            .iter()
            .flat_map(|b| scarce.iter().map(|r| b.need[*r] as f64 * inst.scale[*r]))
            .sum();
        let price: f64 = inst.bundles.iter().map(|b| b.price as f64).sum();
        let choices = inst
            .sets
            .iter()
            .map(|s| s.list.iter().copied().filter(|h| open[*h]).collect())
            .collect();
        let moved = inst.moved(&state.at);
        let mut walk = Self {
            state,
            goal,
            open,
            choices,
            mean_size: (size / count / scarce.len().max(1) as f64).max(1e-9),
            mean_price: (price / count).max(1.0),
            temperature: 0.0,
            weight: 1.0,
            moved,
            best: None,
        };
        walk.remember();
        walk
    }
    fn counts_moves(&self) -> bool {
        matches!(self.goal, Goal::LeastMoved(_))
    }
    /// Whether the best is as good as it can be.
    fn is_least(&self) -> bool {
        let best = self.best.as_ref().map(|b| b.0);
        matches!((self.goal, best), (Goal::LeastMoved(floor), Some(best)) if best <= floor)
    }
    /// Sets temperature and weight for that share of the walk.
    fn cool(&mut self, through: f64) {
        let between = |from: f64, to: f64| from * (to / from).powf(through);
        match self.goal {
            Goal::Feasible => {
                self.temperature = self.mean_size * between(0.12, 0.0004);
            }
            Goal::LeastMoved(_) => {
                self.temperature = between(0.6, 0.004);
                self.weight = between(1.4, 280.0) / self.mean_size;
            }
        }
    }
    fn step(&mut self, rng: &mut Rng) {
        let Some((bundle, to, other)) = self.propose(rng) else {
            return;
        };
        let inst = self.state.inst;
        let from = self.state.at[bundle];
        let mut moved = 0;
        let mut change = 0.0;
        if self.counts_moves() {
            let of = |b: usize, from, to| inst.bundles[b].moved(to) - inst.bundles[b].moved(from);
            moved = of(bundle, from, to) + other.map_or(0, |o| of(o, to, from));
            change = moved as f64 / self.mean_price;
            // Where nothing is broken the penalty cannot fall: no need to work it out.
            if change > 16.0 * self.temperature && self.state.feasible() {
                return;
            }
        }
        change += self.weight * self.state.change(bundle, to, other);
        if change <= 0.0 || rng.unit() < (-change / self.temperature).exp() {
            self.state.shift(bundle, to, other);
            self.moved += moved;
            self.remember();
        }
    }
    /// A shift of a bundle to an open host, or a swap with another bundle that is there.
    fn propose(&self, rng: &mut Rng) -> Option<(usize, usize, Option<usize>)> {
        let state = &*self.state;
        let inst = state.inst;
        let mut bundle = self.pick(rng);
        let kind = rng.below(8);
        let homeward = match self.goal {
            Goal::LeastMoved(_) => kind < 4,
            Goal::Feasible => kind == 0 && !inst.caps.is_empty(),
        };
        if homeward {
            // Look a little for one that is away from home.
            for _ in 0..3 {
                if inst.bundles[bundle].moved(state.at[bundle]) > 0 {
                    break;
                }
                bundle = rng.below(state.at.len());
            }
        }
        let (from, set) = (state.at[bundle], inst.bundles[bundle].set);
        let (to, other) = if homeward {
            let homes = &inst.bundles[bundle].homes;
            let home = homes.get(rng.below(homes.len()))?.0;
            if !self.open[home] || !inst.sets[set].contains(home) {
                return None;
            }
            let there = &state.on[home];
            let other = if kind < 2 {
                None
            } else {
                there.get(rng.below(there.len())).copied()
            };
            (home, other)
        } else if kind < 5 && (kind < 2 || self.counts_moves()) {
            let choices = &self.choices[set];
            (*choices.get(rng.below(choices.len()))?, None)
        } else {
            let other = rng.below(inst.bundles.len());
            (state.at[other], Some(other))
        };
        let may = to != from
            && other.is_none_or(|o| {
                inst.sets[set].contains(to) && inst.sets[inst.bundles[o].set].contains(from)
            });
        may.then_some((bundle, to, other))
    }
    /// A bundle: half of the time from an overloaded host or a broken rule if there is one.
    fn pick(&self, rng: &mut Rng) -> usize {
        let state = &*self.state;
        let chance = if self.goal == Goal::Feasible { 2 } else { 4 };
        if rng.below(chance) == 0 {
            let broken = state.inst.groups.len();
            if broken > 0 && (state.over.is_empty() || rng.below(2) == 0) {
                let g = rng.below(broken);
                if state.broken[g] > 0 {
                    let members = &state.inst.groups[g].members;
                    return members[rng.below(members.len())];
                }
            }
            if let Some(h) = state.over.get(rng.below(state.over.len())) {
                return state.on[*h][rng.below(state.on[*h].len())];
            }
        }
        rng.below(state.at.len())
    }
    fn remember(&mut self) {
        if self.counts_moves()
            && self.best.as_ref().is_none_or(|b| self.moved < b.0)
            && self.state.feasible()
        {
            self.best = Some((self.moved, self.state.at.clone()));
        }
    }
    /// Tries to empty an open host into a closed one that is like it.
    fn exchange(&mut self, rng: &mut Rng) {
        let hosts = &self.state.inst.problem.hosts;
        let (from, to) = (rng.below(hosts.len()), rng.below(hosts.len()));
        let alike = hosts[from].room == hosts[to].room && hosts[from].cost == hosts[to].cost;
        if !self.open[from] || self.open[to] || !hosts[to].open || hosts[from].always || !alike {
            return;
        }
        let inst = self.state.inst;
        let there = self.state.on[from].clone();
        if !there
            .iter()
            .all(|b| inst.sets[inst.bundles[*b].set].contains(to))
        {
            return;
        }
        let of = |b: &usize| inst.bundles[*b].moved(to) - inst.bundles[*b].moved(from);
        let moved: i64 = there.iter().map(of).sum();
        let mut change = moved as f64 / self.mean_price;
        let before = self.state.penalty();
        if inst.groups.is_empty() && inst.caps.is_empty() && change > 8.0 * self.temperature {
            return;
        }
        there.iter().for_each(|b| self.state.shift(*b, to, None));
        change += self.weight * (self.state.penalty() - before);
        if change <= 0.0 || rng.unit() < (-change / self.temperature).exp() {
            self.moved += moved;
            (self.open[from], self.open[to]) = (false, true);
            let open = &*self.open;
            for (set, choices) in inst.sets.iter().zip(&mut self.choices) {
                choices.clear();
                choices.extend(set.list.iter().copied().filter(|h| open[*h]));
            }
            self.remember();
        } else {
            there.iter().for_each(|b| self.state.shift(*b, from, None));
        }
    }
}
