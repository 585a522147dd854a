//! `status`: how far the newest run is, from its journal.

use vmpack_domain::exit::Exit;
use vmpack_domain::journal::Event;

use super::failure::Failure;
use super::files::Place;
use super::say::{answer, note};
use super::summary::{lines, table};
use crate::journal::Journal;
use crate::lock::Lock;

pub(crate) fn run(place: &Place, json: bool) -> Result<Exit, Failure> {
    show(place, Lock::holder(&place.lock), json)
}

/// Shows the newest run; `holder` is the executor at work, if there is one.
pub(crate) fn show(place: &Place, holder: Option<String>, json: bool) -> Result<Exit, Failure> {
    let newest = match Journal::existing(&place.journal)? {
        Some(journal) => journal.newest()?,
        None => None,
    };
    let Some(run) = newest else {
        if json {
            let none =
                serde_json::json!({ "run": null, "journal": place.journal, "executor": holder });
            answer(format_args!("{none}\n"))?;
        } else {
            answer(format_args!("no run in {}\n", place.journal.display()))?;
        }
        return Ok(Exit::Done);
    };
    let progress = run.progress();
    let Some(plan) = &progress.plan else {
        return Ok(Exit::Done);
    };
    let moves = lines(plan, &progress);
    let file = run.entries.iter().find_map(|e| match &e.event {
        Event::Accepted { file, .. } => file.clone(),
        _ => None,
    });
    let began = run.entries.first().map(|e| e.time);
    let last = run.entries.last().map(|e| e.time);
    let word = match (progress.finished, progress.aborted, &holder) {
        (Some(true), ..) => "complete",
        (Some(false), true, _) => "aborted",
        (Some(false), false, _) => "partly done",
        (None, true, Some(_)) => "being aborted",
        (None, false, Some(_)) => "running",
        (None, _, None) => "interrupted",
    };
    if json {
        let status = serde_json::json!({
            "run": word, "began": began, "last": last, "journal": place.journal, "executor": holder,
            "plan": file, "hosts_before": plan.hosts.before.len(), "hosts_planned": plan.hosts.after.len(), "moves": moves,
        });
        answer(format_args!("{status}\n"))?;
        return Ok(Exit::Done);
    }
    let time = |t: Option<vmpack_domain::load::jiff_serde::Timestamp>| {
        t.map_or_else(String::new, |t| format!("{:.0}", t.0))
    };
    let holder = holder.map_or_else(String::new, |h| format!("executor: {h}\n"));
    let file = file.map_or_else(String::new, |f| format!("plan: {f}\n"));
    answer(format_args!(
        "run of {}: {word}, last event {}\n{file}{holder}{}",
        time(began),
        time(last),
        table(&moves)
    ))?;
    if word == "interrupted" {
        note("hint: `vmpack-executor resume` carries it on, `vmpack-executor abort` ends it");
    }
    Ok(Exit::Done)
}
