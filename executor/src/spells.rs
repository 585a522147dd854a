//! Where the guests of a run are in split state, and for how long they were, by its journal. Of a move that nobody
//! watched from its switch to its end no times were measured: then it is the wall time between those two entries, and
//! at least what was predicted. Those are the longest ones: a post-copy that broke, or whose executor died.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::HostName;
use vmpack_domain::journal::Event;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::{Move, MoveId, Plan};
use vmpack_domain::split::{Place, places};
use vmpack_domain::units::Micros;

use crate::journal::Entry;

/// A fold over a run's entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spells {
    /// By move of the plan, in its order, where its guest is in split state, and for how long by the plan.
    moves: Vec<(BTreeSet<Place>, Micros)>,
    at: BTreeMap<MoveId, usize>,
    switched: BTreeMap<MoveId, Timestamp>,
    over: BTreeSet<MoveId>,
    spent: BTreeMap<Place, Micros>,
}

static NOWHERE: BTreeSet<Place> = BTreeSet::new();

impl Spells {
    /// Of that plan on hosts with those labels, after those entries, oldest first.
    #[must_use]
    pub fn of<'a>(
        plan: &Plan,
        labels: &BTreeMap<HostName, BTreeMap<String, String>>,
        entries: impl IntoIterator<Item = &'a Entry>,
    ) -> Self {
        let one = |mv: &Move| {
            let places = places(mv.mode, (&mv.from, &mv.to), |h| labels.get(h));
            (places, predicted(mv))
        };
        let ids = plan.moves.iter().map(|mv| mv.id.clone());
        let mut spells = Self {
            moves: plan.moves.iter().map(one).collect(),
            at: ids.zip(0..).collect(),
            ..Self::default()
        };
        for entry in entries {
            spells.apply(entry);
        }
        spells
    }

    /// Takes one more in.
    pub fn apply(&mut self, entry: &Entry) {
        match &entry.event {
            Event::Intended { id, .. } => {
                self.switched.remove(id);
            }
            Event::Switched { id, .. } => {
                self.switched.entry(id.clone()).or_insert(entry.time);
            }
            Event::Moved {
                id, total, switch, ..
            } => {
                let known = self.at.get(id).and_then(|at| self.moves.get(*at));
                let Some((places, predicted)) = known else {
                    return;
                };
                if !self.over.insert(id.clone()) {
                    return;
                }
                let spell = if let (Some(total), Some(switch)) = (total, switch) {
                    total.saturating_sub(*switch)
                } else {
                    let since = |then: &Timestamp| {
                        let span = entry.time.0.as_microsecond() - then.0.as_microsecond();
                        Micros(u64::try_from(span).unwrap_or(0))
                    };
                    let passed = self.switched.get(id).map(since);
                    passed.unwrap_or_default().max(*predicted)
                };
                for place in places {
                    *self.spent.entry(place.clone()).or_default() += spell;
                }
            }
            _ => {}
        }
    }

    /// Where the guest of the plan's move at that index is in split state while it moves.
    #[must_use]
    pub fn places(&self, at: usize) -> &BTreeSet<Place> {
        self.moves.get(at).map_or(&NOWHERE, |(places, _)| places)
    }

    /// For how long guests of moves that are over were so, summed at each place.
    #[must_use]
    pub fn spent(&self) -> &BTreeMap<Place, Micros> {
        &self.spent
    }
}

/// For how long its guest is predicted to be in split state.
#[must_use]
pub fn predicted(mv: &Move) -> Micros {
    mv.expected.map_or(mv.duration, |e| e.split)
}

#[cfg(test)]
mod tests {
    use vmpack_domain::journal::RunId;

    use super::*;
    use crate::fixture::{a_move, cluster, plan};

    /// At all hosts, after those events, at so many seconds of the wall clock.
    fn spent(events: &[(i64, Event)]) -> u64 {
        let plan = plan(
            &cluster(&["h1", "h2"], &[]),
            vec![a_move("m1", "a", "h1", "h2")],
        );
        let entries: Vec<Entry> = events
            .iter()
            .map(|(second, event)| Entry {
                seq: 1,
                run: RunId(1),
                time: Timestamp(jiff::Timestamp::from_second(*second).unwrap()),
                event: event.clone(),
            })
            .collect();
        let spells = Spells::of(&plan, &BTreeMap::new(), &entries);
        let spent = spells.spent().get(&Place::All);
        spent.map_or(0, |time| time.0 / 1_000_000)
    }

    fn moved(total: Option<u64>) -> Event {
        Event::Moved {
            id: MoveId("m1".to_owned()),
            total: total.map(Micros::secs),
            switch: Some(Micros::secs(1)),
            downtime: None,
            transferred: None,
        }
    }

    #[test]
    fn what_nobody_watched_counts_by_the_wall_clock_and_at_least_as_predicted() {
        let switched = Event::Switched {
            id: MoveId("m1".to_owned()),
            switch: Micros::secs(1),
        };
        assert_eq!(spent(&[(10, switched.clone())]), 0);
        assert_eq!(spent(&[(10, switched.clone()), (99, moved(Some(5)))]), 4);
        assert_eq!(spent(&[(10, switched.clone()), (99, moved(None))]), 89);
        // Predicted are 3 s; the clock may have jumped, or the switch was not seen.
        assert_eq!(spent(&[(10, switched.clone()), (11, moved(None))]), 3);
        assert_eq!(spent(&[(10, switched), (5, moved(None))]), 3);
        assert_eq!(spent(&[(99, moved(None))]), 3);
    }
}
