//! `status`: how far the runs are, from their journal.

use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Event, Priority, RunId};
use vmpack_domain::load::jiff_serde::Timestamp;

use super::conduct::Reported;
use super::failure::Failure;
use super::files::Place;
use super::say::{answer, note};
use super::summary::{lines, table};
use crate::journal::{Journal, Run};
use crate::lock::Lock;
use crate::socket::inhibited;

pub(crate) fn run(reported: &Reported, place: &Place, json: bool) -> Result<Exit, Failure> {
    show(place, Lock::holder(&place.lock), reported, json)
}

/// Shows the runs that are not at their end, or else the newest; `holder` is the executor at work, if
/// there is one.
pub(crate) fn show(
    place: &Place,
    holder: Option<String>,
    reported: &Reported,
    json: bool,
) -> Result<Exit, Failure> {
    let journal = Journal::existing(&place.journal)?;
    let runs = match &journal {
        Some(journal) => match journal.unfinished()? {
            open if open.is_empty() => journal.newest()?.into_iter().collect(),
            open => open,
        },
        None => Vec::new(),
    };
    let paused = inhibited(&place.inhibit);
    if runs.is_empty() {
        if json {
            let none = serde_json::json!({
                "run": null, "journal": place.journal, "executor": holder, "paused": paused,
            });
            answer(format_args!("{none}\n"))?;
        } else {
            answer(format_args!("no run in {}\n", place.journal.display()))?;
        }
    }
    for run in &runs {
        one(run, holder.as_deref(), paused.as_deref(), place, json)?;
    }
    if let (Some(paused), false) = (&paused, json) {
        note(format_args!(
            "paused: {paused}; `vmpack-executor resume` goes on"
        ));
    }
    if let Some(journal) = &journal {
        let shown: Vec<RunId> = runs.iter().map(|run| run.id).collect();
        return reported.write(journal, &shown, Exit::Done);
    }
    Ok(Exit::Done)
}

fn one(
    run: &Run,
    holder: Option<&str>,
    paused: Option<&str>,
    place: &Place,
    json: bool,
) -> Result<(), Failure> {
    let progress = run.progress();
    let Some(plan) = &progress.plan else {
        return Ok(());
    };
    let moves = lines(plan, &progress);
    let file = run.entries.iter().find_map(|e| match &e.event {
        Event::Accepted { file, .. } => file.clone(),
        _ => None,
    });
    let began = run.entries.first().map(|e| e.time);
    let last = run.entries.last().map(|e| e.time);
    let word = match (progress.finished, progress.aborted, holder) {
        (Some(true), ..) => "complete",
        (Some(false), true, _) => "aborted",
        (Some(false), false, _) => "partly done",
        (None, false, _) if progress.stopped.is_some() => "stopped",
        (None, true, Some(_)) => "being aborted",
        (None, false, Some(_)) => "running",
        (None, _, None) => "interrupted",
    };
    if json {
        let status = serde_json::json!({
            "run": word, "id": run.id, "priority": run.priority(), "began": began, "last": last,
            "journal": place.journal, "executor": holder, "paused": paused, "plan": file, "follows": run.follows(),
            "hosts_before": plan.hosts.before.len(), "hosts_planned": plan.hosts.after.len(), "moves": moves,
        });
        return answer(format_args!("{status}\n"));
    }
    let time = |t: Option<Timestamp>| t.map_or_else(String::new, |t| format!("{:.0}", t.0));
    let holder = holder.map_or_else(String::new, |h| format!("executor: {h}\n"));
    let follows = run.follows();
    let follows = follows.map(|before| format!("plan: for what run {before} left\n"));
    let file = file.map(|f| format!("plan: {f}\n")).or(follows);
    let file = file.unwrap_or_default();
    let kind = match run.priority() {
        Priority::Relief => "relief",
        Priority::Consolidation => "run",
    };
    answer(format_args!(
        "{kind} {} of {}: {word}, last event {}\n{file}{holder}{}",
        run.id,
        time(began),
        time(last),
        table(&moves)
    ))?;
    if let Some(why) = &progress.stopped {
        note(format_args!(
            "stopped: {why}; `vmpack-executor resume` goes on, `vmpack-executor abort` ends it"
        ));
    }
    if word == "interrupted" {
        note("hint: `vmpack-executor resume` carries it on, `vmpack-executor abort` ends it");
    }
    Ok(())
}
