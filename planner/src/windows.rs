//! Joint demand over many windows of time: the searches see only the windows that matter. Those in
//! which the guests want most in turn come first; when an answer is above its room in another, that
//! one is added and the search repeated, as rows of a model that are generated lazily. A problem
//! with fewer windows allows more, so bounds on it hold for the whole.

use std::borrow::Cow;
use std::collections::BTreeSet;

use vmpack_domain::Policy;
use vmpack_ilp::bound::{Bound, MovesBound};
use vmpack_ilp::problem::{CLUSTER_RESOURCES, Problem};

use crate::effort::Effort;
use crate::instance::{Instance, State};
use crate::pack::{self, Answer, Packed};
use crate::search::Search;

/// So many resources are seen at once from the start.
const FIRST: usize = 12;
/// So often are cheaper moves sought by less than all windows.
const TRIES: usize = 8;
/// Thousandths of the time left for parts of the windows that one part may take.
const PART: u64 = 500;
/// The most sets of windows that are seen.
const SETS: usize = 24;

/// What the searches see.
pub(crate) struct Windows {
    /// The resources, by index.
    seen: BTreeSet<usize>,
    /// Where some windows of each host are exempt, instead: the sets of windows of which they know a
    /// bound for every host ([`Problem::relaxed`]).
    sets: Vec<Vec<usize>>,
}

impl Windows {
    /// The resources of a cluster, and of the other windows those that the seen ones stand for least:
    /// Σ over guests of what a guest wants there beyond its most in any window seen.
    pub(crate) fn first(problem: &Problem) -> Self {
        let cluster = CLUSTER_RESOURCES.len();
        let all = problem.resources.len();
        let mut seen: BTreeSet<usize> = (0..all.min(cluster)).collect();
        if problem.exempt > 0 {
            return Self {
                seen,
                sets: problem.nested_windows(),
            };
        }
        if all <= FIRST {
            seen = (0..all).collect();
        }
        let mut most: Vec<i64> = problem.guests.iter().map(|g| g.need[0]).collect();
        while seen.len() < FIRST.min(all) {
            let beyond = |r: &usize| -> i64 {
                let guests = problem.guests.iter().zip(&most);
                guests.map(|(g, most)| (g.need[*r] - most).max(0)).sum()
            };
            let unseen = (0..all).filter(|r| !seen.contains(r));
            let Some(next) = unseen.max_by_key(|r| (beyond(r), std::cmp::Reverse(*r))) else {
                break;
            };
            for (most, guest) in most.iter_mut().zip(&problem.guests) {
                *most = (*most).max(guest.need[next]);
            }
            seen.insert(next);
        }
        Self {
            seen,
            sets: Vec::new(),
        }
    }

    fn sees_all(&self, problem: &Problem) -> bool {
        self.sets.is_empty() && self.seen.len() == problem.resources.len()
    }

    /// The problem with only what is seen.
    pub(crate) fn seen<'p>(&self, problem: &'p Problem) -> Cow<'p, Problem> {
        if self.sees_all(problem) {
            return Cow::Borrowed(problem);
        }
        if !self.sets.is_empty() {
            return Cow::Owned(problem.relaxed(&self.sets));
        }
        let seen: Vec<usize> = self.seen.iter().copied().collect();
        Cow::Owned(problem.with_resources(&seen))
    }

    /// Packs by what is seen until the answer holds in every window and costs no more there, for at most
    /// `share` thousandths of the time left, and for as much of what is left then by all windows, where that
    /// has found nothing.
    pub(crate) fn packed(
        &mut self,
        whole: &Instance,
        bound: &mut Bound,
        share: u64,
        policy: &Policy,
        search: &mut Search,
    ) -> Answer {
        let parts = Effort::share(search, policy, share);
        let mut dearer = None;
        while !self.sees_all(whole.problem) && !parts.cut_off() {
            let seen = self.seen(whole.problem);
            let Ok(inst) = Instance::build(&seen) else {
                break;
            };
            let mut effort = parts.part(PART);
            let answer = pack::pack(&inst, bound, policy, &mut effort, search.report);
            match answer {
                Answer::Found(found) => match Packed::of(whole, &found.at) {
                    Some(packed) if packed.cost <= found.cost => return Answer::Found(packed),
                    // What counts beside the windows, such as spare room, was not seen.
                    Some(packed) => {
                        dearer = Some(packed);
                        break;
                    }
                    None if self.learn(whole, &found.at) => {}
                    None => break,
                },
                Answer::Impossible => return Answer::Impossible,
                // What is not found with fewer windows may be found with all, in time of its own.
                Answer::Nothing(_) => break,
            }
        }
        let mut effort = Effort::share(search, policy, share);
        let answer = pack::pack(whole, bound, policy, &mut effort, search.report);
        match (answer, dearer) {
            (Answer::Found(found), Some(dearer)) if dearer.cost < found.cost => {
                Answer::Found(dearer)
            }
            (Answer::Nothing(_), Some(dearer)) => Answer::Found(dearer),
            (answer, _) => answer,
        }
    }

    /// Seeks cheaper moves by what is seen, until they hold in every window or it was tried often.
    pub(crate) fn cheapest(
        &mut self,
        whole: &Instance,
        packed: Packed,
        budget: i64,
        mut cheapest: impl FnMut(&Instance, Packed) -> (Packed, MovesBound),
    ) -> (Packed, MovesBound) {
        // What is exempt is known to the whole alone.
        let tries = if whole.is_plain() { TRIES } else { 0 };
        for _ in 0..tries {
            if self.sees_all(whole.problem) {
                break;
            }
            let seen = self.seen(whole.problem);
            let Ok(inst) = Instance::build(&seen) else {
                break;
            };
            let (found, bound) = cheapest(&inst, packed.clone());
            match Packed::of(whole, &found.at).filter(|p| p.cost <= budget) {
                Some(cheaper) => return (cheaper, bound),
                None => {
                    self.learn(whole, &found.at);
                }
            }
        }
        cheapest(whole, packed)
    }

    /// Sees more: for each host that a placement of bundles overloads, the worst window of it, or the
    /// set of windows by which a bound for every host rules its guests out. `false` when nothing is
    /// learned, as there may be no such set.
    pub(crate) fn learn(&mut self, whole: &Instance, at: &[usize]) -> bool {
        let state = State::new(whole, at);
        if !self.sets.is_empty() {
            let before = self.sets.len();
            for host in &state.over {
                let bundles = state.on[*host]
                    .iter()
                    .flat_map(|b| &whole.bundles[*b].guests);
                let mut guests: Vec<usize> = bundles.copied().collect();
                guests.sort_unstable();
                let set = whole.problem.violated_windows(&guests, *host);
                self.sets.extend(set.filter(|s| !self.sets.contains(s)));
                if self.sets.len() >= SETS {
                    return false;
                }
            }
            return self.sets.len() > before;
        }
        let before = self.seen.len();
        for host in &state.over {
            let room = &whole.problem.hosts[*host].room;
            let over = |r: &usize| state.load[*host][*r] - room[*r];
            let unseen = (0..room.len()).filter(|r| !self.seen.contains(r) && over(r) > 0);
            if let Some(worst) = unseen.max_by_key(over) {
                self.seen.insert(worst);
            }
        }
        if self.seen.len() == before {
            self.seen.extend(0..whole.problem.resources.len());
        }
        true
    }
}
