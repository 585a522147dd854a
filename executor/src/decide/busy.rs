//! What moves under way take: slots, guests, and places where guests are in split state.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::journal::{Priority, RunId};
use vmpack_domain::plan::{Mode, Move};
use vmpack_domain::split::Place;
use vmpack_domain::units::Micros;
use vmpack_domain::{GuestName, HostName};

use super::{Course, Limits};
use crate::spells::predicted;

/// Which slots are taken.
#[derive(Default)]
pub(super) struct Busy<'a> {
    /// Migrations that run.
    pub(super) running: usize,
    guests: BTreeSet<&'a GuestName>,
    /// By relief alone, and by all.
    taken: [Slots<'a>; 2],
    /// Moves of consolidation that can still be called off.
    pub(super) yielding: Vec<(RunId, &'a Move)>,
    /// Where guests are in split state, or will be: by relief alone, and by all.
    split: [BTreeMap<&'a Place, usize>; 2],
}

/// What a run has used up of its budgets of split state, and is about to, as was predicted, by place.
#[derive(Default)]
pub(super) struct Spent<'a> {
    underway: BTreeMap<&'a Place, Micros>,
    /// Where nothing is left.
    exhausted: BTreeSet<&'a Place>,
}

#[derive(Default)]
struct Slots<'a> {
    all: usize,
    from: BTreeMap<&'a HostName, usize>,
    to: BTreeMap<&'a HostName, usize>,
}

impl<'a> Busy<'a> {
    pub(super) fn of(order: &[&Course<'a>]) -> Self {
        let mut busy = Self::default();
        for course in order {
            for (at, mv) in course.plan.moves.iter().enumerate() {
                let state = course.state(&mv.id);
                if !state.underway() {
                    continue;
                }
                busy.add(course, at, mv);
                busy.running += usize::from(state.runs());
                let copies_first = mv.mode != Mode::PostCopy;
                if course.priority == Priority::Consolidation && copies_first && state.unswitched()
                {
                    busy.yielding.push((course.id, mv));
                }
            }
        }
        busy
    }

    /// Takes in the move at that index.
    pub(super) fn add(&mut self, course: &Course<'a>, at: usize, mv: &'a Move) {
        self.guests.insert(&mv.guest);
        let first = usize::from(course.priority == Priority::Consolidation);
        for slots in self.taken.iter_mut().skip(first) {
            slots.all += 1;
            *slots.from.entry(&mv.from).or_default() += 1;
            *slots.to.entry(&mv.to).or_default() += 1;
        }
        for place in course.spells.places(at) {
            for split in self.split.iter_mut().skip(first) {
                *split.entry(place).or_default() += 1;
            }
        }
    }

    /// Whether the policy lets one more guest be in split state wherever that move would put it so.
    pub(super) fn may_split(&self, course: &Course<'_>, at: usize) -> bool {
        let limits = &course.plan.policy.migrations.split_at_once;
        if limits.is_empty() {
            return true;
        }
        let taken = &self.split[usize::from(course.priority == Priority::Consolidation)];
        course.spells.places(at).iter().all(|place| {
            let most = place.limit(limits).map(|n| usize::try_from(n.get()));
            let taken = taken.get(place).copied().unwrap_or(0);
            most.is_none_or(|most| taken < most.unwrap_or(usize::MAX))
        })
    }

    pub(super) fn leaves_room(&self, priority: Priority, mv: &Move, limits: &Limits) -> bool {
        let taken = |of: &BTreeMap<&HostName, usize>, host| of.get(host).copied().unwrap_or(0);
        let slots = &self.taken[usize::from(priority == Priority::Consolidation)];
        let yields = |other: &&(RunId, &Move)| other.1.to == mv.to;
        let awaited = priority == Priority::Relief && self.yielding.iter().any(|o| yields(&o));
        !awaited
            && !self.guests.contains(&mv.guest)
            && slots.all < limits.parallel.max(1)
            && taken(&slots.from, &mv.from).max(taken(&slots.to, &mv.to)) < limits.per_host.max(1)
    }
}

impl<'a> Spent<'a> {
    pub(super) fn of(course: &Course<'a>) -> Self {
        let mut spent = Self::default();
        let Some(budgets) = budgets(course) else {
            return spent;
        };
        let over = course.spells.spent().iter();
        let over = over.filter(|(place, over)| place.budget(budgets).is_some_and(|m| **over >= m));
        spent.exhausted = over.map(|(place, _)| place).collect();
        for (at, mv) in course.plan.moves.iter().enumerate() {
            if course.state(&mv.id).underway() {
                spent.will_be(course, at, mv);
            }
        }
        spent
    }

    /// Counts the move at that index in, which is begun.
    pub(super) fn will_be(&mut self, course: &Course<'a>, at: usize, mv: &Move) {
        if budgets(course).is_some() {
            for place in course.spells.places(at) {
                *self.underway.entry(place).or_default() += predicted(mv);
            }
        }
    }

    /// Why no more guests are to be in split state where that move would put one, if so.
    pub(super) fn all(&self, course: &Course<'_>, at: usize) -> Option<String> {
        let budgets = budgets(course)?;
        let spent = course.spells.spent();
        let none_left = |place: &&Place| {
            // A budget of nothing is spent before anything is.
            self.exhausted.contains(place) || place.budget(budgets) == Some(Micros::ZERO)
        };
        let place = course.spells.places(at).iter().find(none_left)?;
        let (over, most) = (spent.get(place).copied(), place.budget(budgets)?);
        Some(format!(
            "guests were in split state for {} together at {place}, `split-budget` in the policy lets {most} be",
            over.unwrap_or_default()
        ))
    }

    /// Whether there is some left for that move beside those underway. One that is alone may begin.
    pub(super) fn leaves_some(&self, course: &Course<'_>, at: usize, mv: &Move) -> bool {
        let Some(budgets) = budgets(course) else {
            return true;
        };
        course.spells.places(at).iter().all(|place| {
            let (Some(most), Some(underway)) = (place.budget(budgets), self.underway.get(place))
            else {
                return true;
            };
            let over = course.spells.spent().get(place).copied();
            *underway == Micros::ZERO
                || over.unwrap_or_default() + *underway + predicted(mv) <= most
        })
    }
}

/// The budgets that bind the run, if any do.
fn budgets<'a>(course: &Course<'a>) -> Option<&'a BTreeMap<String, Micros>> {
    let budgets = &course.plan.policy.migrations.split_budget;
    (course.priority == Priority::Consolidation && !budgets.is_empty()).then_some(budgets)
}
