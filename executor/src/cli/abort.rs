//! `abort`: end a run, whether an executor is at work on it or not.

use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Event, MoveState, Progress};

use super::conduct::{Resume, carry_on, take_lock, unfinished};
use super::failure::Failure;
use super::files::Place;
use super::say::{note, out};
use crate::decide::{Action, Limits, Observed, decide};
use crate::journal::Journal;
use crate::lock::{Lock, LockError};

/// Ends the newest run: a running executor is asked through the journal; without one, this process
/// does it.
pub(crate) fn run(place: &Place, json: bool) -> Result<Exit, Failure> {
    let Some(mut journal) = Journal::existing(&place.journal)? else {
        return Ok(nothing_to_stop(json));
    };
    let held = match take_lock(place, "abort") {
        Ok(lock) => Some(lock),
        Err(LockError::Held { .. }) => None,
        Err(e) => return Err(e.into()),
    };
    if unfinished(&journal)?.is_none() {
        return Ok(nothing_to_stop(json));
    }
    journal.append(Event::Aborted {
        by: format!("process {}", std::process::id()),
    })?;
    if held.is_none() {
        return wait_for_end(place, &mut journal, json);
    }
    let Some(run) = unfinished(&journal)? else {
        return Ok(nothing_to_stop(json));
    };
    let progress = run.progress();
    let runs = |s: &MoveState| matches!(s, MoveState::Running { .. });
    if progress.moves.values().any(runs) {
        carry_on(
            &run,
            &Resume { parallel: Some(1) },
            place,
            &mut journal,
            json,
        )?;
    } else {
        end_on_paper(progress, &mut journal)?;
        super::status::show(place, None, json)?;
    }
    // What was asked for was to stop.
    Ok(match unfinished(&journal)? {
        Some(_) => Exit::PartlyDone,
        None => Exit::Done,
    })
}

fn nothing_to_stop(json: bool) -> Exit {
    if json {
        out(serde_json::json!({ "run": null }));
    }
    note("there is nothing to stop");
    Exit::Done
}

/// Gives up what waits of a run of which no migration is underway: no host need be asked.
fn end_on_paper(mut progress: Progress, journal: &mut Journal) -> Result<(), Failure> {
    let Some(plan) = progress.plan.clone() else {
        return Ok(());
    };
    loop {
        let actions = decide(&plan, &progress, &Limits::default(), &Observed::default());
        for action in &actions {
            let event = match action.clone() {
                Action::Skip { id, reason } => Event::Skipped { id, reason },
                Action::Finish { complete } => Event::Finished { complete },
                Action::Start { .. } | Action::Wait { .. } | Action::Leave => return Ok(()),
            };
            progress.apply(&journal.append(event)?.event);
        }
        if actions.is_empty() {
            return Ok(());
        }
    }
}

/// Waits until the executor that was asked has ended its run.
fn wait_for_end(place: &Place, journal: &mut Journal, json: bool) -> Result<Exit, Failure> {
    note("the executor was asked to stop; migrations that have switched are let run to their end");
    while unfinished(journal)?.is_some() && Lock::holder(&place.lock).is_some() {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    if unfinished(journal)?.is_some() {
        // It died before it heard: now the lock is free.
        return run(place, json);
    }
    super::status::show(place, None, json)
}
