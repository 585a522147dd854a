//! What moves under way take: slots, guests, and places where guests are in split state.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::journal::{MoveState, Priority, RunId};
use vmpack_domain::plan::{Mode, Move};
use vmpack_domain::split::{Place, places};
use vmpack_domain::units::Micros;
use vmpack_domain::{GuestName, HostName};

use super::{Course, Limits};

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

    /// For how long guests of the run were in split state at each place that has a budget, as was measured.
    pub(super) fn spent(&self, course: &Course<'_>) -> BTreeMap<Place, Micros> {
        let budgets = &course.plan.policy.migrations.split_budget;
        let mut spent = BTreeMap::new();
        if budgets.is_empty() || course.priority == Priority::Relief {
            return spent;
        }
        for mv in &course.plan.moves {
            let MoveState::Moved {
                switch: Some(switch),
                total: Some(total),
                ..
            } = course.state(&mv.id)
            else {
                continue;
            };
            for place in self.places(mv) {
                if place.budget(budgets).is_some() {
                    *spent.entry(place).or_default() += total.saturating_sub(*switch);
                }
            }
        }
        spent
    }

    /// Why no more guests are to be in split state where this move would put one, if so.
    pub(super) fn spent_all(
        &self,
        course: &Course<'_>,
        mv: &Move,
        spent: &BTreeMap<Place, Micros>,
    ) -> Option<String> {
        if spent.is_empty() {
            return None;
        }
        let budgets = &course.plan.policy.migrations.split_budget;
        self.places(mv).iter().find_map(|place| {
            let (most, spent) = (place.budget(budgets)?, *spent.get(place)?);
            (spent >= most).then(|| {
                format!("guests were in split state for {spent} together at {place}, `split-budget` in the policy lets {most} be")
            })
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
