//! What moves under way take: slots, guests, and places where guests are in split state.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::journal::{Priority, RunId};
use vmpack_domain::plan::{Mode, Move};
use vmpack_domain::split::{Place, places};
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
    split: [BTreeMap<Place, usize>; 2],
    labels: Option<&'a BTreeMap<HostName, BTreeMap<String, String>>>,
}

/// What a run has used up of its budgets of split state, by place.
#[derive(Default)]
pub(super) struct Spent {
    over: BTreeMap<Place, Micros>,
    underway: BTreeMap<Place, Micros>,
}

#[derive(Default)]
struct Slots<'a> {
    all: usize,
    from: BTreeMap<&'a HostName, usize>,
    to: BTreeMap<&'a HostName, usize>,
}

impl<'a> Busy<'a> {
    pub(super) fn of(
        order: &[&Course<'a>],
        labels: &'a BTreeMap<HostName, BTreeMap<String, String>>,
    ) -> Self {
        let mut busy = Self {
            labels: Some(labels),
            ..Self::default()
        };
        for course in order {
            for mv in &course.plan.moves {
                let state = course.state(&mv.id);
                if !state.underway() {
                    continue;
                }
                busy.add(course.priority, mv);
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

    pub(super) fn add(&mut self, priority: Priority, mv: &'a Move) {
        self.guests.insert(&mv.guest);
        let first = usize::from(priority == Priority::Consolidation);
        for slots in self.taken.iter_mut().skip(first) {
            slots.all += 1;
            *slots.from.entry(&mv.from).or_default() += 1;
            *slots.to.entry(&mv.to).or_default() += 1;
        }
        for place in self.places(mv) {
            for split in self.split.iter_mut().skip(first) {
                *split.entry(place.clone()).or_default() += 1;
            }
        }
    }

    fn places(&self, mv: &Move) -> BTreeSet<Place> {
        places(mv.mode, (&mv.from, &mv.to), |h| self.labels?.get(h))
    }

    /// Whether the policy lets one more guest be in split state wherever this move would put it so.
    pub(super) fn may_split(&self, course: &Course<'_>, mv: &Move) -> bool {
        let limits = &course.plan.policy.migrations.split_at_once;
        let taken = &self.split[usize::from(course.priority == Priority::Consolidation)];
        self.places(mv).iter().all(|place| {
            let most = place.limit(limits).map(|n| usize::try_from(n.get()));
            let taken = taken.get(place).copied().unwrap_or(0);
            most.is_none_or(|most| taken < most.unwrap_or(usize::MAX))
        })
    }

    /// What the run has used up of its budgets of split state, as was measured, and is about to, as was predicted.
    pub(super) fn spent(&self, course: &Course<'_>) -> Spent {
        let mut spent = Spent::default();
        let budgets = &course.plan.policy.migrations.split_budget;
        if budgets.is_empty() || course.priority == Priority::Relief {
            return spent;
        }
        if let Some(labels) = self.labels {
            spent.over = course.spells.at(course.plan, labels);
        }
        for mv in &course.plan.moves {
            if course.state(&mv.id).underway() {
                self.will_spend(mv, &mut spent);
            }
        }
        spent
    }

    /// Counts a move in that is begun.
    pub(super) fn will_spend(&self, mv: &Move, spent: &mut Spent) {
        for place in self.places(mv) {
            *spent.underway.entry(place).or_default() += predicted(mv);
        }
    }

    /// Why no more guests are to be in split state where this move would put one, if so.
    pub(super) fn spent_all(
        &self,
        course: &Course<'_>,
        mv: &Move,
        spent: &Spent,
    ) -> Option<String> {
        let mut at = self.budgeted(course, mv, spent);
        at.find_map(|(place, most, over, _)| {
            (over >= most).then(|| {
                format!("guests were in split state for {over} together at {place}, `split-budget` in the policy lets {most} be")
            })
        })
    }

    /// Whether there is some left for this move beside those underway. One that is alone may begin.
    pub(super) fn may_spend(&self, course: &Course<'_>, mv: &Move, spent: &Spent) -> bool {
        let mut at = self.budgeted(course, mv, spent);
        at.all(|(_, most, over, underway)| {
            underway == Micros::ZERO || over + underway + predicted(mv) <= most
        })
    }

    /// The places with a budget at which this move puts its guest in split state: the budget, and what is
    /// used up and about to be.
    fn budgeted<'b>(
        &self,
        course: &'b Course<'_>,
        mv: &Move,
        spent: &'b Spent,
    ) -> impl Iterator<Item = (Place, Micros, Micros, Micros)> + use<'b> {
        let consolidates = course.priority == Priority::Consolidation;
        let budgets = &course.plan.policy.migrations.split_budget;
        let bound = consolidates && !budgets.is_empty();
        let places = if bound {
            self.places(mv)
        } else {
            BTreeSet::new()
        };
        places.into_iter().filter_map(move |place| {
            let most = place.budget(budgets)?;
            let of = |spent: &BTreeMap<Place, Micros>| spent.get(&place).copied();
            let over = of(&spent.over).unwrap_or_default();
            let underway = of(&spent.underway).unwrap_or_default();
            Some((place, most, over, underway))
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
