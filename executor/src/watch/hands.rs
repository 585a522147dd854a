//! Between the watch and the holder: hands relief over, and tells what becomes of every move, whoever
//! asked for it.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use vmpack_domain::journal::{Event, RunId};
use vmpack_domain::plan::{Move, MoveId, Plan};

use super::Done;
use crate::holder::Handle;
use crate::journal::{Entry, Run};

/// Serves until the holder is gone, or nobody listens. `runs` are those that were unfinished before.
pub async fn serve(
    handle: Handle,
    mut orders: mpsc::UnboundedReceiver<Plan>,
    runs: &[Run],
    finish: mpsc::UnboundedSender<Done>,
) {
    let mut entries = handle.follow();
    let mut known = Known::default();
    for run in runs {
        for entry in &run.entries {
            known.hear(entry);
        }
    }
    if finish
        .send(Done::Begun(known.under_way.values().cloned().collect()))
        .is_err()
    {
        return;
    }
    loop {
        let news = tokio::select! {
            order = orders.recv() => {
                let Some(plan) = order else { return };
                let guests = plan.moves.iter().map(|m| m.guest.clone()).collect();
                let answer = handle.relieve(plan.clone()).await;
                match answer {
                    Ok(Ok(run)) => {
                        known.learn(run, &plan);
                        Vec::new()
                    }
                    Ok(Err(refusal)) => vec![Done::Refused { guests, why: refusal.to_string() }],
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
}

impl Known {
    fn learn(&mut self, run: RunId, plan: &Plan) {
        for mv in &plan.moves {
            self.moves.insert((run, mv.id.clone()), mv.clone());
        }
    }

    /// What an entry means for the watch.
    fn hear(&mut self, entry: &Entry) -> Vec<Done> {
        let run = entry.run;
        let find = |id: &MoveId| self.moves.get(&(run, id.clone())).cloned();
        let (id, moved) = match &entry.event {
            Event::Accepted { plan, .. } => {
                self.learn(run, plan);
                return Vec::new();
            }
            Event::Intended { id, .. } => {
                let Some(mv) = find(id) else {
                    return Vec::new();
                };
                self.under_way.insert((run, id.clone()), mv.clone());
                return vec![Done::Begun(vec![mv])];
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
            Event::Lost { id, .. } => (id, true),
            Event::Finished { .. } => {
                // Whatever did not begin will not.
                let rest: Vec<_> = self
                    .moves
                    .keys()
                    .filter(|(r, _)| *r == run)
                    .cloned()
                    .collect();
                let ended = rest.into_iter().filter_map(|key| {
                    self.under_way.remove(&key);
                    let guest = self.moves.remove(&key)?.guest;
                    Some(Done::Ended {
                        guest,
                        moved: false,
                    })
                });
                return ended.collect();
            }
            _ => return Vec::new(),
        };
        let key = (run, id.clone());
        self.under_way.remove(&key);
        let ended = self.moves.remove(&key);
        ended
            .map(|mv| Done::Ended {
                guest: mv.guest,
                moved,
            })
            .into_iter()
            .collect()
    }
}
