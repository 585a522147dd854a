//! Hands a plan to the holder at work, and follows it there.

use std::time::{Duration, Instant};

use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Priority, Progress, RunId};

use super::apply::Asked;
use super::conduct::Reported;
use super::display::Display;
use super::failure::Failure;
use super::files::Place;
use super::say::{note, out};
use super::summary::{lines, table};
use crate::carry::Heard;
use crate::holder::Refusal;
use crate::journal::Journal;
use crate::lock::LockError;
use crate::socket::{Answer, Request, ask, connect};

/// How long a holder may take to open its socket.
const PATIENCE: Duration = Duration::from_secs(5);

/// Has the holder carry the plan out, and shows what comes of it. `by` is what it wrote of itself.
pub(super) fn hand_over(
    asked: Asked,
    by: &str,
    place: &Place,
    reported: &Reported,
    json: bool,
) -> Result<Exit, Failure> {
    let held = || LockError::Held { by: by.to_owned() };
    let began = Instant::now();
    let mut stream = loop {
        match connect(&place.socket) {
            Ok(stream) => break stream,
            Err(_) if began.elapsed() < PATIENCE => std::thread::sleep(PATIENCE / 50),
            Err(_) => return Err(held().into()),
        }
    };
    note(format_args!(
        "the plan is handed to the executor at work: {by}; Ctrl-C here ends only the following"
    ));
    let request = Request::Order {
        plan: Box::new(asked.plan.clone()),
        file: asked.file,
        priority: Priority::Consolidation,
        world: Some(Box::new(asked.world)),
        reverses: asked.reverses,
    };
    let mut display = Display::new(json);
    let (mut accepted, mut refused): (Option<RunId>, Option<Refusal>) = (None, None);
    let told = ask(&mut stream, &request, |answer| {
        match answer {
            Answer::Accepted { run } => {
                accepted = Some(run);
                display.add(run, &asked.plan);
            }
            Answer::Refused(refusal) => refused = Some(refusal),
            Answer::Entry(entry) => display.hear(&Heard::Entry(&entry)),
            _ => {}
        }
        true
    });
    display.close();
    if let Err(e) = told {
        tracing::debug!("the executor at work is not heard any more: {e}");
    }
    if let Some(refusal) = refused {
        if refusal.exit == Exit::Done as u8 {
            out(&refusal.error);
            reported.nothing_to_tell();
            return Ok(Exit::Done);
        }
        return Err(refusal.into());
    }
    let Some(run) = accepted else {
        return Err(held().into());
    };
    let exit = sum_up(run, place, json)?;
    match Journal::existing(&place.journal)? {
        Some(journal) => reported.write(&journal, &[run], exit),
        None => Ok(exit),
    }
}

/// What the journal says of the run.
fn sum_up(run: RunId, place: &Place, json: bool) -> Result<Exit, Failure> {
    let journal = Journal::existing(&place.journal)?;
    let runs = journal.map(|j| j.all()).transpose()?.unwrap_or_default();
    let progress = runs
        .iter()
        .find(|r| r.id == run)
        .map(crate::journal::Run::progress);
    let Some(Progress {
        plan: Some(plan),
        finished,
        ..
    }) = &progress
    else {
        return Err(Failure::new(Exit::Bug, "the run is not in the journal"));
    };
    let exit = match finished {
        Some(true) => Exit::Done,
        _ => Exit::PartlyDone,
    };
    let moves = lines(plan, progress.as_ref().unwrap_or(&Progress::default()));
    if json {
        out(serde_json::json!({
            "event": "summary", "run": run, "exit": exit as u8, "finished": finished, "moves": moves,
        }));
    } else {
        out(table(&moves).trim_end());
    }
    Ok(exit)
}
