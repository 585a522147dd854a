//! What to do when no order of migrations leads to the target: some guests that are stuck are
//! pinned where they are and the target is sought anew, a bounded number of times. What could be
//! reached meanwhile is kept, so that there is an answer at the end: the migrations that did work,
//! hosts emptied one by one, or none at all.

use vmpack_domain::units::{Ratio, count};
use vmpack_ilp::bound::{self, MovesBound};
use vmpack_ilp::problem::Problem;

use super::{Hop, Order, order};
use crate::instance::{Instance, NOWHERE, State};
use crate::pack::Packed;
use crate::pack::fit::{Empty, shrink};

/// Targets that are sought before the best reachable placement is taken.
const TARGETS: usize = 5;
/// Why there is no plan when placements were found and none is within reach.
pub(crate) const UNREACHABLE: &str =
    "placements were found, but no order of migrations with room at every moment was found to one";

/// A placement and the migrations that lead to it.
pub(crate) struct Route {
    /// The host of each guest.
    pub(crate) placement: Vec<usize>,
    /// The hosts in use, and what they cost.
    pub(crate) awake: Vec<usize>,
    pub(crate) cost: i64,
    pub(crate) hops: Vec<Hop>,
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
    best: Option<Route>,
    beyond: Option<String>,
}

impl<'p> Reach<'p> {
    pub(crate) fn new(problem: &'p Problem, seed: u64) -> Self {
        Self {
            problem,
            next: Some(problem.clone()),
            targets: 0,
            seed,
            best: None,
            beyond: None,
        }
    }
    /// The problem of the next target; `None` when the search is over.
    pub(crate) fn next(&mut self) -> Option<Problem> {
        self.targets += 1;
        self.next.take()
    }
    /// Whether the target now sought is that of the whole problem, with nothing pinned.
    pub(crate) fn is_whole(&self) -> bool {
        self.targets == 1
    }
    /// Tries to order the migrations to a target; if that fails, pins guests for the next one.
    /// `moves` holds for the problem that the target answers.
    pub(crate) fn settle(&mut self, inst: &Instance, packed: Packed, moves: MovesBound) {
        let placement = inst.placement(&packed.at);
        match order(self.problem, &placement, self.seed) {
            Order::Whole(hops) => {
                let moves = self.is_whole().then_some(moves);
                self.offer(placement, &packed, hops, moves);
            }
            Order::Stuck { hops, waiting } => {
                if self.is_whole() {
                    self.beyond = Some(format!(
                        "hosts that cost {} would do, but {} on the way there {} for room that others have, {} among them",
                        Ratio(u64::try_from(packed.cost).unwrap_or(0)),
                        count(waiting.len(), "guest"),
                        if waiting.len() == 1 { "waits" } else { "wait" },
                        waiting
                            .first()
                            .map_or("", |g| self.problem.guests[*g].name.as_str()),
                    ));
                }
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
    fn offer(
        &mut self,
        placement: Vec<usize>,
        packed: &Packed,
        hops: Vec<Hop>,
        moves: Option<MovesBound>,
    ) {
        let worse = |b: &Route| (b.cost, b.hops.len()) > (packed.cost, hops.len());
        if self.best.as_ref().is_none_or(worse) {
            self.best = Some(Route {
                placement,
                awake: packed.awake.clone(),
                cost: packed.cost,
                hops,
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
            self.offer(end, &packed, hops, None);
        }
    }
    /// The cheapest placement within reach; at the last resort hosts emptied one by one from where
    /// guests are, or nothing moved.
    pub(crate) fn best(mut self) -> Option<Route> {
        if self.best.is_some() {
            return self.best;
        }
        let inst = Instance::build(self.problem).ok()?;
        let now = State::new(&inst, &inst.current());
        if now.at.contains(&NOWHERE) {
            return None;
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
                self.offer(placement, &packed, hops, None);
            }
        }
        self.best
    }
}
