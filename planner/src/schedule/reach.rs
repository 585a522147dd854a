//! What to do when no order of migrations leads to the target: some guests that are stuck are
//! pinned where they are and the target is sought anew, a bounded number of times. What could be
//! reached meanwhile is kept, so that there is an answer at the end: the migrations that did work,
//! hosts emptied one by one, none at all, or a walk. While nothing is within reach at all, this goes
//! on with other guests pinned and other seeds until the limit is used.

use std::borrow::Cow;

use vmpack_domain::Policy;
use vmpack_domain::objective::Objective;
use vmpack_domain::units::{Micros, Sum, count};
use vmpack_ilp::bound::{self, MovesBound};
use vmpack_ilp::problem::Problem;

use super::walk::walk;
use super::{Hop, Order, order};
use crate::assemble::unsigned;
use crate::effort::Effort;
use crate::instance::{Instance, NOWHERE, State};
use crate::moves::{balance, level};
use crate::pack::Packed;
use crate::pack::fit::{Empty, shrink};
use crate::rng::Rng;
use crate::trade;

/// Targets that are sought before the best reachable placement is taken.
const TARGETS: usize = 5;
/// Targets that are sought while nothing is within reach, where the policy counts nodes.
const MOST_TARGETS: usize = 20;
/// Walks between two targets.
const WALKS: u64 = 8;
/// Steps of a walk for each guest, and at least.
const STEPS: (usize, usize) = (100, 3000);

/// A placement and the migrations that lead to it.
pub(crate) struct Route {
    /// The host of each guest.
    pub(crate) placement: Vec<usize>,
    /// The hosts in use, and what they cost.
    pub(crate) awake: Vec<usize>,
    pub(crate) cost: i64,
    pub(crate) hops: Vec<Hop>,
    /// Guests that move for level hosts only, ascending.
    pub(crate) levelled: Vec<usize>,
    /// Of the memory moved by any placement at that cost.
    pub(crate) bound: MovesBound,
    /// What could not be reached.
    pub(crate) beyond: Option<String>,
}

/// The search for a target within reach.
pub(crate) struct Reach<'p> {
    problem: &'p Problem,
    /// The problem with stuck guests pinned, for the next target.
    next: Option<Problem>,
    targets: usize,
    seed: u64,
    objective: Option<Objective>,
    /// Guests that may move for level hosts only.
    level: Option<u32>,
    best: Option<Route>,
    beyond: Option<String>,
    /// Placements found.
    found: usize,
    /// How often each guest waited for room that others have.
    waited: Vec<usize>,
}

impl<'p> Reach<'p> {
    pub(crate) fn new(problem: &'p Problem, policy: &Policy) -> Self {
        Self {
            problem,
            next: Some(problem.clone()),
            targets: 0,
            seed: policy.limits.seed,
            objective: policy.objective,
            level: policy.limits.level.filter(|_| policy.objective.is_none()),
            best: None,
            beyond: None,
            found: 0,
            waited: vec![0; problem.guests.len()],
        }
    }
    /// The problem of the next target; `None` when the search is over. The effort is spent on walks
    /// when nothing has come within reach so far.
    pub(crate) fn next(&mut self, effort: &Effort, policy: &Policy) -> Option<Problem> {
        self.targets += 1;
        if self.next.is_some() || self.best.is_some() {
            return self.next.take();
        }
        self.fall_back();
        self.walks(effort);
        let counted = policy.limits.nodes.is_some() && self.targets > MOST_TARGETS;
        if self.best.is_some() || effort.cut_off() || counted {
            return None;
        }
        Some(self.pinned_at_random())
    }
    /// The policy with a seed of its own for each target beyond the first ones.
    pub(crate) fn policy<'a>(&self, policy: &'a Policy) -> Cow<'a, Policy> {
        if self.targets <= TARGETS {
            return Cow::Borrowed(policy);
        }
        let mut other = policy.clone();
        other.limits.seed = policy.limits.seed.wrapping_add(self.targets as u64);
        Cow::Owned(other)
    }
    /// Whether the target now sought is that of the whole problem, with nothing pinned.
    pub(crate) fn is_whole(&self) -> bool {
        self.targets == 1
    }
    /// Tries to order the migrations to a target; if that fails, pins guests for the next one.
    /// `moves` holds for the problem that the target answers; the effort is spent on levelling it.
    pub(crate) fn settle(
        &mut self,
        inst: &Instance,
        packed: Packed,
        moves: MovesBound,
        effort: &Effort,
    ) {
        self.found += 1;
        let stop = || effort.cut_off();
        let level = level(inst, &packed.at, &packed.awake, &stop);
        let placement = inst.placement(&packed.at);
        // From the most that can be had to what costs nothing: not every target is within reach.
        let further = self
            .level
            .map(|most| balance(inst, &level, &packed.awake, most, &stop));
        for target in further
            .iter()
            .chain([&level])
            .filter(|at| **at != packed.at)
        {
            let levelled = inst.placement(target);
            if let Order::Whole(hops) = order(self.problem, &levelled, self.seed) {
                let moves = self.is_whole().then_some(moves);
                let stays = |g: &usize| self.problem.guests[*g].current == Some(placement[*g]);
                let moved = (0..placement.len()).filter(|g| levelled[*g] != placement[*g]);
                let moved = moved.filter(stays).collect();
                return self.offer(levelled, &packed, (hops, moved), moves);
            }
        }
        match order(self.problem, &placement, self.seed) {
            Order::Whole(hops) => {
                let moves = self.is_whole().then_some(moves);
                self.offer(placement, &packed, (hops, Vec::new()), moves);
            }
            Order::Stuck { hops, waiting } => {
                if self.is_whole() {
                    self.beyond = Some(format!(
                        "hosts that cost {} would do, but {} on the way there {} for room that others have, {} among them",
                        Sum(unsigned(packed.cost)),
                        count(waiting.len(), "guest"),
                        if waiting.len() == 1 { "waits" } else { "wait" },
                        waiting
                            .first()
                            .map_or("", |g| self.problem.guests[*g].name.as_str()),
                    ));
                }
                waiting.iter().for_each(|g| self.waited[*g] += 1);
                self.partly(inst, &placement, hops);
                self.pin(inst.problem, &waiting);
            }
        }
    }
    /// Pins some of the waiting guests where they are, twice as many each time.
    fn pin(&mut self, problem: &Problem, waiting: &[usize]) {
        if self.targets >= TARGETS {
            return;
        }
        let mut pinned = problem.clone();
        let stay = waiting.iter().filter_map(|g| {
            let guest = &problem.guests[*g];
            Some((*g, guest.current.filter(|h| guest.allowed.contains(h))?))
        });
        let mut any = false;
        for (guest, here) in stay.take(1 << (self.targets - 1)) {
            pinned.guests[guest].allowed = [here].into();
            any = true;
        }
        self.next = any.then_some(pinned);
    }
    /// The problem with some of the guests pinned that had to wait before.
    fn pinned_at_random(&self) -> Problem {
        let mut pinned = self.problem.clone();
        let mut rng = Rng::new(self.seed, 3000 + self.targets as u64);
        for (guest, waited) in pinned.guests.iter_mut().zip(&self.waited) {
            let here = guest.current.filter(|h| guest.allowed.contains(h));
            if let (Some(here), true) = (here, *waited > 0 && rng.below(4) == 0) {
                guest.allowed = [here].into();
            }
        }
        pinned
    }
    fn offer(
        &mut self,
        placement: Vec<usize>,
        packed: &Packed,
        (hops, levelled): (Vec<Hop>, Vec<usize>),
        moves: Option<MovesBound>,
    ) {
        // What counts first is the cost of hosts, or of hosts and migrations together.
        let first = |cost: i64, placement: &[usize]| match &self.objective {
            Some(objective) => trade::total(objective, self.problem, cost, placement),
            None => cost,
        };
        let key = (first(packed.cost, &placement), hops.len());
        let worse = |b: &Route| (first(b.cost, &b.placement), b.hops.len()) > key;
        if self.best.as_ref().is_none_or(worse) {
            self.best = Some(Route {
                placement,
                awake: packed.awake.clone(),
                cost: packed.cost,
                hops,
                levelled,
                bound: moves.unwrap_or_else(|| bound::moves(self.problem, packed.cost)),
                beyond: self.beyond.clone(),
            });
        }
    }
    /// Offers where the migrations that could be made lead to, with waiting guests started as in
    /// the target.
    fn partly(&mut self, inst: &Instance, target: &[usize], mut hops: Vec<Hop>) {
        let guests = self.problem.guests.iter().zip(target);
        let mut end: Vec<usize> = guests.map(|(g, t)| g.current.unwrap_or(*t)).collect();
        hops.iter().for_each(|hop| end[hop.guest] = hop.to);
        // A guest that was parked and got no further has only moved.
        for hop in &mut hops {
            hop.parks &= end[hop.guest] == target[hop.guest];
        }
        let at = inst.bundles_at(&end);
        if let Some(packed) = Packed::of(inst, &at) {
            self.offer(end, &packed, (hops, Vec::new()), None);
        }
    }
    /// The cheapest placement within reach.
    pub(crate) fn best(mut self) -> Result<Route, GaveUp> {
        if self.best.is_none() {
            self.fall_back();
        }
        let mut blocked: Vec<usize> = (0..self.waited.len())
            .filter(|g| self.waited[*g] > 0)
            .collect();
        blocked.sort_by_key(|g| (std::cmp::Reverse(self.waited[*g]), *g));
        let names = blocked
            .iter()
            .map(|g| self.problem.guests[*g].name.to_string());
        let blocked = names.collect();
        let found = self.found;
        self.best.ok_or(GaveUp { found, blocked })
    }
    /// Offers hosts emptied one by one from where guests are, or nothing moved.
    fn fall_back(&mut self) {
        let Ok(inst) = Instance::build(self.problem) else {
            return;
        };
        let now = State::new(&inst, &inst.current());
        if now.at.contains(&NOWHERE) {
            return;
        }
        let emptied = [Empty::LeastMemory, Empty::FewestGuests, Empty::LeastLoad].map(|by| {
            let mut state = now.clone();
            shrink(&mut state, by);
            state.at
        });
        for at in emptied.into_iter().chain([now.at]) {
            let Some(packed) = Packed::of(&inst, &at) else {
                continue;
            };
            let placement = inst.placement(&at);
            if let Order::Whole(hops) = order(self.problem, &placement, self.seed) {
                self.offer(placement, &packed, (hops, Vec::new()), None);
            }
        }
    }
    /// Offers the first of some walks that leads somewhere.
    fn walks(&mut self, effort: &Effort) {
        let Ok(inst) = Instance::build(self.problem) else {
            return;
        };
        let steps = (STEPS.0 * inst.bundles.len()).max(STEPS.1);
        for i in 0..WALKS {
            let seed = self.seed.wrapping_add(self.targets as u64 * WALKS + i);
            let Some(walk) = walk(&inst, seed, steps, &|| !effort.cut_off()) else {
                continue;
            };
            let Some(packed) = Packed::of(&inst, &walk.at) else {
                continue;
            };
            let placement = inst.placement(&walk.at);
            let hops = match order(self.problem, &placement, self.seed) {
                Order::Whole(hops) if hops.len() <= walk.hops.len() => hops,
                _ => walk.hops,
            };
            self.offer(placement, &packed, (hops, Vec::new()), None);
            return;
        }
    }
}

/// What a search came to that found placements, and none within reach.
pub(crate) struct GaveUp {
    found: usize,
    /// The guests that had to wait for room, those that did most often first.
    blocked: Vec<String>,
}

impl GaveUp {
    /// Why there is no plan, after so long; the time is left out where nodes are counted.
    pub(crate) fn why(&self, after: Option<Micros>) -> String {
        let after = after.map_or_else(String::new, |t| {
            format!(" in {}.{} s", t.0 / 1_000_000, t.0 / 100_000 % 10)
        });
        let waiting = match self.blocked.as_slice() {
            [] => String::new(),
            [one] => format!("; {one} waits for room that others have"),
            [first, second] => format!("; {first} and {second} wait for room that others have"),
            [first, second, rest @ ..] => format!(
                "; {first}, {second} and {} wait for room that others have",
                count(rest.len(), "more guest")
            ),
        };
        format!(
            "{}{after}, and no order of migrations with room at every moment leads to {}{waiting}: a host more, a guest that may be stopped or a lower headroom would make room",
            if self.found == 1 {
                "a placement was found".into()
            } else {
                format!("{} were found", count(self.found, "placement"))
            },
            if self.found == 1 { "it" } else { "any" },
        )
    }
}
