//! Between the watch and the holder: hands relief over, and tells what becomes of every move, whoever
//! asked for it.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;
use vmpack_domain::GuestName;
use vmpack_domain::journal::{Event, Priority, RunId};
use vmpack_domain::plan::{Move, MoveId, Plan};

use super::{Done, Trouble};
use crate::holder::Handle;
use crate::journal::{Entry, Run};

/// Serves until the holder is gone, or nobody listens. `runs` are those that were unfinished before. It
/// follows from this call on, whenever what is returned is first polled: a holder that takes up those runs
/// may be at their end by then.
pub fn serve(
    handle: Handle,
    orders: mpsc::UnboundedReceiver<Plan>,
    runs: &[Run],
    finish: mpsc::UnboundedSender<Done>,
) -> impl Future<Output = ()> {
    let entries = handle.follow();
    serving(handle, entries, orders, runs, finish)
}

async fn serving(
    handle: Handle,
    mut entries: mpsc::UnboundedReceiver<Entry>,
    mut orders: mpsc::UnboundedReceiver<Plan>,
    runs: &[Run],
    finish: mpsc::UnboundedSender<Done>,
) {
    let mut known = Known::default();
    for run in runs {
        for entry in &run.entries {
            known.hear(entry);
        }
    }
    for ((run, _), mv) in &known.under_way {
        if finish.send(known.begun(*run, mv)).is_err() {
            return;
        }
    }
    loop {
        let news = tokio::select! {
            order = orders.recv() => {
                let Some(plan) = order else { return };
                let guests = plan.moves.iter().map(|m| m.guest.clone()).collect();
                let answer = handle.relieve(plan.clone()).await;
                match answer {
                    Ok(Ok(run)) => {
                        known.learn(run, &plan, Priority::Relief);
                        Vec::new()
                    }
                    Ok(Err(refusal)) => {
                        let (why, relief) = (refusal.to_string(), true);
                        vec![Done::Refused { guests, why, relief }]
                    }
                    Err(_) => vec![Done::Gone("the holder has ended".into())],
                }
            }
            entry = entries.recv() => match entry {
                Some(entry) => known.hear(&entry),
                None => vec![Done::Gone("the holder has ended".into())],
            },
        };
        for done in news {
            if finish.send(done).is_err() {
                return;
            }
        }
    }
}

/// The moves of the runs that are heard of.
#[derive(Debug, Default)]
struct Known {
    moves: BTreeMap<(RunId, MoveId), Move>,
    under_way: BTreeMap<(RunId, MoveId), Move>,
    /// Runs that are relief, not a plan's: so are their moves, also when one is tried again.
    relief: BTreeSet<RunId>,
    /// Those whose guest stays in split state, also when their run is over.
    stuck: BTreeSet<(RunId, MoveId)>,
}

impl Known {
    fn learn(&mut self, run: RunId, plan: &Plan, priority: Priority) {
        if priority == Priority::Relief {
            self.relief.insert(run);
        }
        for mv in &plan.moves {
            self.moves.insert((run, mv.id.clone()), mv.clone());
        }
    }

    fn begun(&self, run: RunId, mv: &Move) -> Done {
        Done::Begun {
            mv: Box::new(mv.clone()),
            relief: self.relief.contains(&run),
        }
    }

    /// Forgets a move, which is over.
    fn end(&mut self, key: &(RunId, MoveId)) -> Option<Move> {
        self.under_way.remove(key);
        self.stuck.remove(key);
        self.moves.remove(key)
    }

    /// What an entry means for the watch.
    fn hear(&mut self, entry: &Entry) -> Vec<Done> {
        let run = entry.run;
        let find = |id: &MoveId| self.moves.get(&(run, id.clone())).cloned();
        let (id, moved) = match &entry.event {
            Event::Accepted { plan, priority, .. } => {
                self.learn(run, plan, *priority);
                return Vec::new();
            }
            Event::Intended { id, .. } => {
                let Some(mv) = find(id) else {
                    return Vec::new();
                };
                let begun = self.begun(run, &mv);
                self.under_way.insert((run, id.clone()), mv);
                return vec![begun];
            }
            Event::Switched { id, .. } => {
                return find(id)
                    .map(|mv| Done::Switched(mv.guest))
                    .into_iter()
                    .collect();
            }
            // It may be begun anew; until then its guest is where it was.
            Event::Interrupted { id } | Event::Failed { id, .. } => {
                self.under_way.remove(&(run, id.clone()));
                let stays = |guest| Done::Ended {
                    guest,
                    moved: false,
                };
                return find(id).map(|mv| stays(mv.guest)).into_iter().collect();
            }
            Event::Moved { id, .. } => (id, true),
            Event::Skipped { id, .. } => (id, false),
            Event::Lost { id, cause } => {
                let lost = self.end(&(run, id.clone()));
                let told = lost.map(|mv| trouble(mv.guest, Trouble::Lost, cause));
                return told.into_iter().collect();
            }
            Event::Broken { id, state, .. } => {
                let told = find(id).map(|mv| trouble(mv.guest, Trouble::Broken, state));
                return told.into_iter().collect();
            }
            Event::Stuck { id, state } => {
                let told = find(id).map(|mv| trouble(mv.guest, Trouble::Stuck, state));
                self.stuck.insert((run, id.clone()));
                return told.into_iter().collect();
            }
            Event::Finished { .. } => {
                self.relief.remove(&run);
                // Whatever did not begin will not.
                let rest: Vec<_> = self
                    .moves
                    .keys()
                    .filter(|key| key.0 == run && !self.stuck.contains(key))
                    .cloned()
                    .collect();
                let ended = rest.into_iter().filter_map(|key| {
                    let guest = self.end(&key)?.guest;
                    Some(Done::Ended {
                        guest,
                        moved: false,
                    })
                });
                return ended.collect();
            }
            _ => return Vec::new(),
        };
        self.end(&(run, id.clone()))
            .map(|mv| Done::Ended {
                guest: mv.guest,
                moved,
            })
            .into_iter()
            .collect()
    }
}

fn trouble(guest: GuestName, kind: Trouble, why: &str) -> Done {
    let why = why.to_owned();
    Done::Trouble { guest, kind, why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::load::jiff_serde::Timestamp;

    use crate::fixture::{a_move, cluster, plan};

    fn entry(event: Event) -> Entry {
        Entry {
            seq: 1,
            run: RunId(1),
            time: Timestamp(jiff::Timestamp::UNIX_EPOCH),
            event,
        }
    }

    #[test]
    fn who_is_lost_or_stuck_is_told_so_and_not_that_it_is_whole_or_stayed() {
        let hosts = cluster(&["h1", "h2"], &[("a", "h1"), ("b", "h1"), ("c", "h1")]);
        let moves = [("m1", "a"), ("m2", "b"), ("m3", "c")];
        let moves = moves.map(|(id, guest)| a_move(id, guest, "h1", "h2"));
        let plan = Box::new(plan(&hosts, moves.to_vec()));
        let mut known = Known::default();
        let mut hear = |event| known.hear(&entry(event));
        let id = |id: &str| MoveId(id.to_owned());
        let died = || "it died".to_owned();
        let in_trouble = |guest: &str, kind| trouble(guest.parse().unwrap(), kind, "it died");
        hear(Event::Accepted {
            plan,
            file: None,
            priority: Default::default(),
            follows: None,
            reverses: false,
        });
        let broken = Event::Broken {
            id: id("m1"),
            state: died(),
            unanswered: false,
        };
        assert_eq!(hear(broken), [in_trouble("a", Trouble::Broken)]);
        let lost = Event::Lost {
            id: id("m1"),
            cause: died(),
        };
        assert_eq!(hear(lost), [in_trouble("a", Trouble::Lost)]);
        let stuck = Event::Stuck {
            id: id("m2"),
            state: died(),
        };
        assert_eq!(hear(stuck), [in_trouble("b", Trouble::Stuck)]);
        // The run is over: what did not begin stays, and nothing is said of the other two.
        let stays = Done::Ended {
            guest: "c".parse().unwrap(),
            moved: false,
        };
        assert_eq!(hear(Event::Finished { complete: false }), [stays]);
        let moved = Event::Moved {
            id: id("m2"),
            total: None,
            switch: None,
            downtime: None,
            transferred: None,
        };
        let whole = Done::Ended {
            guest: "b".parse().unwrap(),
            moved: true,
        };
        assert_eq!(hear(moved), [whole]);
    }

    #[test]
    fn a_move_of_relief_is_one_also_when_it_is_tried_again() {
        let hosts = cluster(&["h1", "h2"], &[("a", "h1")]);
        let mv = a_move("m1", "a", "h1", "h2");
        let plan = Box::new(plan(&hosts, vec![mv.clone()]));
        for (priority, relief) in [(Priority::Relief, true), (Priority::Consolidation, false)] {
            let mut known = Known::default();
            let mut hear = |event| known.hear(&entry(event));
            let plan = plan.clone();
            hear(Event::Accepted {
                plan,
                file: None,
                priority,
                follows: None,
                reverses: false,
            });
            for attempt in [1, 2] {
                let begun = hear(Event::Intended {
                    id: mv.id.clone(),
                    guest: mv.guest.clone(),
                    from: mv.from.clone(),
                    to: mv.to.clone(),
                    mode: mv.mode,
                    attempt,
                });
                let mv = Box::new(mv.clone());
                let id = mv.id.clone();
                assert_eq!(begun, [Done::Begun { mv, relief }]);
                let failed = Event::Interrupted { id };
                assert_eq!(hear(failed).len(), 1);
            }
        }
    }
}
