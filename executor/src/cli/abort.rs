//! `abort`: end a run or all, whether an executor is at work on them or not.

use vmpack_domain::Load;
use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Event, MoveState, RunId};

use super::conduct::{Manner, Pace, Reported, carry_on, take_lock};
use super::failure::Failure;
use super::files::Place;
use super::planning::Replan;
use super::say::{note, out};
use crate::decide::{Action, Course, Limits, Observed, decide};
use crate::journal::{Journal, Run};
use crate::lock::{Lock, LockError};
use crate::socket::{Answer, Request, ask, connect};
use crate::spells::Spells;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only that run, by its number in `status`
    #[arg(long, value_name = "RUN")]
    run: Option<i64>,
}

/// Ends that run, or all that are not at their end: a holder at work is asked to; without one, this
/// process does it.
pub(crate) fn run(arguments: &Arguments, place: &Place, json: bool) -> Result<Exit, Failure> {
    let Some(mut journal) = Journal::existing(&place.journal)? else {
        return Ok(nothing_to_stop(json));
    };
    let named = arguments.run.map(RunId);
    let concerns = |r: &Run| named.is_none_or(|run| run == r.id);
    let mut open = journal.unfinished()?;
    open.retain(concerns);
    let by = format!("process {}", std::process::id());
    if open.is_empty() {
        // One that plans anew for what a run left has none that is not at its end.
        let asked = Lock::holder(&place.lock).map(|_| request(arguments, &by, place));
        return match asked {
            Some(runs) if !runs.is_empty() => await_end(&runs, arguments, place, json),
            _ => Ok(nothing_to_stop(json)),
        };
    }
    let _lock = match take_lock(place, "abort") {
        Ok(lock) => lock,
        Err(LockError::Held { .. }) => return ask_holder(arguments, &by, place, json),
        Err(e) => return Err(e.into()),
    };
    for run in &open {
        journal.append(run.id, Event::Aborted { by: by.clone() })?;
    }
    let mut open = journal.unfinished()?;
    open.retain(concerns);
    let underway = |r: &Run| r.progress().moves.values().any(MoveState::underway);
    let (underway, on_paper): (Vec<Run>, Vec<Run>) = open.into_iter().partition(underway);
    for run in &on_paper {
        end_on_paper(run, &mut journal)?;
    }
    if underway.is_empty() {
        super::status::show(place, None, &Reported::default(), json)?;
    } else {
        let (pace, reported) = (Pace::default(), Reported::default());
        let manner = Manner {
            pace: &pace,
            reported: &reported,
            replan: Replan::default(),
            load: &Load::default(),
        };
        carry_on(underway, None, manner, place, &mut journal, json)?;
    }
    // What was asked for was to stop.
    let left = journal.unfinished()?.iter().any(concerns);
    Ok(if left { Exit::PartlyDone } else { Exit::Done })
}

fn nothing_to_stop(json: bool) -> Exit {
    if json {
        out(serde_json::json!({ "run": null }));
    }
    note("there is nothing to stop");
    Exit::Done
}

/// Gives up what waits of a run of which no migration is underway: no host need be asked.
fn end_on_paper(run: &Run, journal: &mut Journal) -> Result<(), Failure> {
    let mut progress = run.progress();
    let Some(plan) = progress.plan.clone() else {
        return Ok(());
    };
    while progress.finished.is_none() {
        let course = Course {
            id: run.id,
            priority: run.priority(),
            plan: &plan,
            progress: &progress,
            spells: &Spells::default(),
            limits: &Limits::default(),
            closed: None,
        };
        for action in decide(&[course], &Observed::default()) {
            let event = match action {
                Action::Skip { step, reason } => Event::Skipped {
                    id: step.id,
                    reason,
                },
                Action::Finish { complete, .. } => Event::Finished { complete },
                _ => return Ok(()),
            };
            progress.apply(&journal.append(run.id, event)?.event);
        }
    }
    Ok(())
}

/// Asks the holder at work, and waits until those runs are at their end.
fn ask_holder(arguments: &Arguments, by: &str, place: &Place, json: bool) -> Result<Exit, Failure> {
    let asked = request(arguments, by, place);
    if asked.is_empty() {
        // It was only just beginning, or ending; or it died.
        std::thread::sleep(PAUSE);
        return run(arguments, place, json);
    }
    await_end(&asked, arguments, place, json)
}

/// Asks the holder at work; the runs that it says it ends.
fn request(arguments: &Arguments, by: &str, place: &Place) -> Vec<RunId> {
    let request = Request::Abort {
        run: arguments.run.map(RunId),
        by: by.to_owned(),
    };
    let mut asked = Vec::new();
    let told = connect(&place.socket).and_then(|mut stream| {
        ask(&mut stream, &request, |answer| {
            if let Answer::Aborting { runs } = answer {
                asked = runs;
            }
            false
        })
    });
    match told {
        Ok(()) if asked.is_empty() => {}
        Ok(()) => note(
            "the executor was asked to stop; migrations that have switched are let run to their end",
        ),
        Err(e) => tracing::debug!("the executor at work does not listen: {e}"),
    }
    asked
}

/// Waits until those runs are at their end.
fn await_end(
    asked: &[RunId],
    arguments: &Arguments,
    place: &Place,
    json: bool,
) -> Result<Exit, Failure> {
    let open = |journal: &Journal| -> Result<bool, Failure> {
        let open = journal.unfinished()?;
        Ok(open.iter().any(|r| asked.contains(&r.id)))
    };
    let Some(journal) = Journal::existing(&place.journal)? else {
        return Ok(nothing_to_stop(json));
    };
    while Lock::holder(&place.lock).is_some() && open(&journal)? {
        std::thread::sleep(PAUSE);
    }
    if open(&journal)? {
        // It died before it was through: now the lock is free.
        return run(arguments, place, json);
    }
    super::status::show(place, None, &Reported::default(), json)
}

/// Between looks at the holder.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use vmpack_domain::journal::Priority;

    use super::*;
    use crate::fixture::{a_move, cluster, plan};
    use crate::holder::{Ask, channel};
    use crate::socket::Server;
    use crate::world::World;

    #[test]
    fn one_that_plans_anew_and_has_no_open_run_is_asked_to_stop() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(Some(&folder.path().join("journal.db"))).unwrap();
        let mut journal = Journal::open(&place.journal).unwrap();
        let cluster = cluster(&["h1", "h2"], &[("a", "h1")]);
        let plan = plan(&cluster, vec![a_move("m1", "a", "h1", "h2")]);
        let world = World::Libvirt { cluster };
        let accepted = journal.accept(&plan, None, Priority::Consolidation, &world);
        let own = accepted.unwrap().run;
        let finished = Event::Finished { complete: false };
        journal.append(own, finished).unwrap();
        let arguments = Arguments { run: None };
        assert_eq!(run(&arguments, &place, true).unwrap(), Exit::Done);

        let lock = Lock::take((&place.lock, &place.journal), "a test").unwrap();
        let (handle, mut asks) = channel();
        let server = Server::open(&place.socket, &place.inhibit, handle).unwrap();
        let holder = std::thread::spawn(move || {
            let mut asked = BTreeMap::new();
            while let Some(ask) = asks.blocking_recv() {
                if let Ask::Abort { by, told, .. } = ask {
                    told.send(vec![own]).unwrap();
                    asked.insert(own, by);
                    break;
                }
            }
            drop(lock);
            asked
        });
        assert_eq!(run(&arguments, &place, true).unwrap(), Exit::Done);
        drop(server);
        assert!(holder.join().unwrap()[&own].starts_with("process"));
    }
}
