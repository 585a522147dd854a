//! For how long the guests of a run were in split state, by its journal. Of a move that nobody watched from its
//! switch to its end no times were measured: then it is the wall time between those two entries, and at least
//! what was predicted. Those are the longest ones: a post-copy that broke, or whose executor died.

use std::collections::BTreeMap;

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
    switched: BTreeMap<MoveId, Timestamp>,
    over: BTreeMap<MoveId, Spell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spell {
    Measured(Micros),
    AtLeast(Micros),
}

impl Spells {
    /// Of those entries, oldest first.
    #[must_use]
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let mut spells = Self::default();
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
                let spell = if let (Some(total), Some(switch)) = (total, switch) {
                    Spell::Measured(total.saturating_sub(*switch))
                } else {
                    let since = |then: &Timestamp| {
                        let span = entry.time.0.as_microsecond() - then.0.as_microsecond();
                        Micros(u64::try_from(span).unwrap_or(0))
                    };
                    let passed = self.switched.get(id).map(since);
                    Spell::AtLeast(passed.unwrap_or_default())
                };
                self.over.insert(id.clone(), spell);
            }
            _ => {}
        }
    }

    /// Those of the plan's moves that are over, summed at each place, by the hosts' labels.
    #[must_use]
    pub fn at(
        &self,
        plan: &Plan,
        labels: &BTreeMap<HostName, BTreeMap<String, String>>,
    ) -> BTreeMap<Place, Micros> {
        let mut at = BTreeMap::new();
        for mv in &plan.moves {
            let spell = match self.over.get(&mv.id) {
                None => continue,
                Some(Spell::Measured(spell)) => *spell,
                Some(Spell::AtLeast(spell)) => predicted(mv).max(*spell),
            };
            for place in places(mv.mode, (&mv.from, &mv.to), |h| labels.get(h)) {
                *at.entry(place).or_default() += spell;
            }
        }
        at
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
        let at = Spells::fold(&entries).at(&plan, &BTreeMap::new());
        at.get(&Place::All).map_or(0, |time| time.0 / 1_000_000)
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
