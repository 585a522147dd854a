//! Joint demand over many windows of time: the searches see only the windows that matter. Those in
//! which the guests want most in turn come first; when an answer is above its room in another, that
//! one is added and the search repeated, as rows of a model that are generated lazily. A problem
//! with fewer windows allows more, so bounds on it hold for the whole.

use std::borrow::Cow;
use std::collections::BTreeSet;

use vmpack_ilp::bound::MovesBound;
use vmpack_ilp::problem::{CLUSTER_RESOURCES, Problem};

use crate::instance::{Instance, State};
use crate::pack::{Answer, Packed};

/// So many resources are seen at once from the start.
const FIRST: usize = 12;
/// So often are cheaper moves sought by less than all windows.
const TRIES: usize = 8;

/// The resources that the searches see, by index, ascending.
pub(crate) struct Windows(BTreeSet<usize>);

impl Windows {
    /// The resources of a cluster, and of the other windows those that the seen ones stand for least:
    /// Σ over guests of what a guest wants there beyond its most in any window seen.
    pub(crate) fn first(problem: &Problem) -> Self {
        let cluster = CLUSTER_RESOURCES.len();
        let all = problem.resources.len();
        let mut seen: BTreeSet<usize> = (0..all.min(cluster)).collect();
        if all <= FIRST {
            return Self((0..all).collect());
        }
        let mut most: Vec<i64> = problem.guests.iter().map(|g| g.need[0]).collect();
        while seen.len() < FIRST {
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
        Self(seen)
    }

    fn sees_all(&self, problem: &Problem) -> bool {
        self.0.len() == problem.resources.len()
    }

    /// The problem with only what is seen.
    pub(crate) fn seen<'p>(&self, problem: &'p Problem) -> Cow<'p, Problem> {
        if self.sees_all(problem) {
            return Cow::Borrowed(problem);
        }
        let seen: Vec<usize> = self.0.iter().copied().collect();
        Cow::Owned(problem.with_resources(&seen))
    }

    /// Packs by what is seen until the answer holds in every window.
    pub(crate) fn packed(
        &mut self,
        whole: &Instance,
        mut pack: impl FnMut(&Instance) -> Answer,
    ) -> Answer {
        while !self.sees_all(whole.problem) {
            let seen = self.seen(whole.problem);
            let Ok(inst) = Instance::build(&seen) else {
                break;
            };
            match pack(&inst) {
                Answer::Found(found) => match Packed::of(whole, &found.at) {
                    Some(packed) => return Answer::Found(packed),
                    None => self.learn(whole, &found.at),
                },
                other => return other,
            }
        }
        pack(whole)
    }

    /// Seeks cheaper moves by what is seen, until they hold in every window or it was tried often.
    pub(crate) fn cheapest(
        &mut self,
        whole: &Instance,
        packed: Packed,
        budget: i64,
        mut cheapest: impl FnMut(&Instance, Packed) -> (Packed, MovesBound),
    ) -> (Packed, MovesBound) {
        for _ in 0..TRIES {
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
                None => self.learn(whole, &found.at),
            }
        }
        cheapest(whole, packed)
    }

    /// Sees more: for each host that a placement of bundles overloads, the worst window of it.
    pub(crate) fn learn(&mut self, whole: &Instance, at: &[usize]) {
        let state = State::new(whole, at);
        let before = self.0.len();
        for host in &state.over {
            let room = &whole.problem.hosts[*host].room;
            let over = |r: &usize| state.load[*host][*r] - room[*r];
            let unseen = (0..room.len()).filter(|r| !self.0.contains(r) && over(r) > 0);
            if let Some(worst) = unseen.max_by_key(over) {
                self.0.insert(worst);
            }
        }
        if self.0.len() == before {
            self.0.extend(0..whole.problem.resources.len());
        }
    }
}
