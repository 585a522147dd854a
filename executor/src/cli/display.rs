//! What is shown while runs go on: bars on a terminal, else a line for each event; with `--json`
//! each journal entry on standard output.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use vmpack_domain::journal::{Event, Priority, RunId};
use vmpack_domain::plan::{Move, Plan};
use vmpack_domain::units::count;

use super::bars::Picture;
use super::say::{note, out};
use super::summary::seconds;
use crate::carry::Heard;
use crate::decide::Step;
use crate::journal::Entry;

/// How often bars are drawn.
const DRAWN_EACH_SECOND: u8 = 10;

/// A display of runs.
pub(crate) struct Display {
    moves: BTreeMap<Step, Move>,
    json: bool,
    /// Nothing is drawn when standard error is no terminal.
    all: MultiProgress,
    total: ProgressBar,
    bars: BTreeMap<Step, ProgressBar>,
}

impl Display {
    pub(crate) fn new(json: bool) -> Self {
        let drawn = !json && std::io::stderr().is_terminal();
        let all = MultiProgress::with_draw_target(if drawn {
            let terminal = Box::new(Picture::default());
            ProgressDrawTarget::term_like_with_hz(terminal, DRAWN_EACH_SECOND)
        } else {
            ProgressDrawTarget::hidden()
        });
        let total = all.add(ProgressBar::new(0));
        total.set_style(style(
            "all moves  {wide_bar} {pos}/{len}  {elapsed_precise}",
        ));
        Self {
            moves: BTreeMap::new(),
            json,
            all,
            total,
            bars: BTreeMap::new(),
        }
    }

    /// A run that is shown from now on.
    pub(crate) fn add(&mut self, run: RunId, plan: &Plan) {
        let known = self.moves.len();
        self.moves.extend(plan.moves.iter().map(|m| {
            let id = m.id.clone();
            (Step { run, id }, m.clone())
        }));
        self.total.inc_length((self.moves.len() - known) as u64);
    }

    pub(crate) fn hear(&mut self, heard: &Heard<'_>) {
        match heard {
            Heard::Entry(entry) => self.entry(entry),
            Heard::Progress {
                step,
                transferred,
                remaining,
            } => {
                if let Some(bar) = self.bars.get(*step) {
                    bar.set_length(transferred.0 + remaining.0);
                    bar.set_position(transferred.0);
                }
            }
            Heard::Interrupt { times: 1 } => self.say(
                "stopping: the migrations that run are finished, no more are started; once more aborts those that have not switched",
            ),
            Heard::Interrupt { times: 2 } => {
                self.say("aborting the migrations that have not switched yet");
            }
            Heard::Held(by) => self.say(&format!(
                "paused, nothing more is started: {by}; `vmpack-executor resume` goes on"
            )),
            Heard::Released => self.say("not paused any more"),
            Heard::PlansAnew { run } => self.say(&format!(
                "run {run} left something undone: planning anew from the hosts as they are"
            )),
            Heard::Interrupt { .. } => {
                self.say("waiting for migrations that can no longer be aborted safely");
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        if self.json {
            match serde_json::to_string(entry) {
                Ok(line) => out(line),
                Err(e) => tracing::error!("entry {} cannot be shown: {e}", entry.seq),
            }
        }
        let id = match &entry.event {
            Event::Accepted {
                plan,
                follows: Some(before),
                ..
            } => {
                self.say(&format!(
                    "what run {before} left was planned anew, as run {}, {}: {}",
                    entry.run,
                    count(plan.moves.len(), "move"),
                    plan.reasons.join("; ")
                ));
                self.add(entry.run, plan);
                return;
            }
            Event::Accepted { plan, priority, .. } => {
                let known = self.moves.keys().any(|step| step.run == entry.run);
                if !known {
                    let what = match priority {
                        Priority::Relief => "relief",
                        Priority::Consolidation => "a plan",
                    };
                    self.say(&format!("{what} was handed in, as run {}", entry.run));
                    self.add(entry.run, plan);
                }
                return;
            }
            Event::Finished { .. } => return,
            Event::Stopped { reason } => {
                self.say(&format!(
                    "run {} is STOPPED: {reason}; what runs is finished, no more is started",
                    entry.run
                ));
                return;
            }
            Event::Continued { by, .. } => {
                self.say(&format!("run {} goes on, asked by {by}", entry.run));
                return;
            }
            Event::NotReplanned { reason } => {
                let run = entry.run;
                self.say(&format!(
                    "what run {run} left is not planned anew: {reason}"
                ));
                return;
            }
            Event::Aborted { by } => {
                self.say(&format!("asked to abort by {by}"));
                return;
            }
            Event::Intended { id, .. }
            | Event::Switched { id, .. }
            | Event::Moved { id, .. }
            | Event::Checked { id, .. }
            | Event::Interrupted { id }
            | Event::Failed { id, .. }
            | Event::Skipped { id, .. }
            | Event::Broken { id, .. }
            | Event::Recovering { id, .. }
            | Event::Stuck { id, .. }
            | Event::Lost { id, .. } => id.clone(),
        };
        let step = Step { run: entry.run, id };
        let (Some(mv), id) = (self.moves.get(&step), &step.id) else {
            return;
        };
        let title = format!("{id} {} {} -> {}", mv.guest, mv.from, mv.to);
        let told = match &entry.event {
            Event::Intended { attempt, .. } => {
                let bar = self
                    .all
                    .insert_before(&self.total, ProgressBar::new(mv.memory.0));
                bar.set_style(style("{msg}  {wide_bar} {pos}/{len} MiB"));
                bar.set_message(title.clone());
                bar.enable_steady_tick(Duration::from_millis(200));
                self.bars.insert(step.clone(), bar);
                let again = if *attempt > 1 {
                    format!(", try {attempt}")
                } else {
                    String::new()
                };
                self.line(&format!("{title}: {}{again}", mv.mode));
                return;
            }
            Event::Switched { switch, .. } => {
                if let Some(bar) = self.bars.get(&step) {
                    bar.set_message(format!("{title} switched"));
                }
                self.line(&format!("{title}: switched after {:.2}s", seconds(*switch)));
                return;
            }
            Event::Moved { total, switch, .. } => {
                self.total.inc(1);
                match (total, switch) {
                    (Some(total), Some(switch)) => format!(
                        "moved in {:.2}s, switched after {:.2}s",
                        seconds(*total),
                        seconds(*switch)
                    ),
                    _ => "found moved".to_owned(),
                }
            }
            Event::Interrupted { .. } => "called off, the guest is at the source".to_owned(),
            Event::Failed { error, .. } => format!("failed, the guest is at the source: {error}"),
            Event::Skipped { reason, .. } => format!("skipped: {reason}"),
            Event::Broken { state, .. } => {
                self.say(&format!("{title}: IN SPLIT STATE, to be resumed: {state}"));
                return;
            }
            Event::Recovering { attempt, .. } => {
                self.say(&format!("{title}: asked to be resumed, try {attempt}"));
                return;
            }
            Event::Checked { health, .. } => {
                if health.answers == Some(false) {
                    self.say(&format!("{title}: the guest's agent DOES NOT ANSWER"));
                }
                if let (true, Some(busy)) = (health.overloaded, health.busy) {
                    let host = &mv.to;
                    self.say(&format!(
                        "{title}: host {host} is overloaded now, {busy} of its CPU are busy; it is one for relief"
                    ));
                }
                if health.reserved == Some(false) {
                    let host = &mv.to;
                    self.say(&format!(
                        "{title}: CPU that guests on {host} have reserved is NOT HELD by CPU shares; why is said above"
                    ));
                }
                return;
            }
            Event::Lost { cause, .. } => format!("LOST: {cause}"),
            Event::Stuck { state, .. } => format!("STUCK, a person must look: {state}"),
            Event::Accepted { .. }
            | Event::Finished { .. }
            | Event::Stopped { .. }
            | Event::Continued { .. }
            | Event::NotReplanned { .. }
            | Event::Aborted { .. } => return,
        };
        if let Some(bar) = self.bars.remove(&step) {
            bar.finish_and_clear();
            self.all.remove(&bar);
        }
        self.say(&format!("{title}: {told}"));
    }

    /// A line that a terminal shows as a bar instead.
    fn line(&self, text: &str) {
        if self.all.is_hidden() {
            self.say(text);
        }
    }

    fn say(&self, text: &str) {
        if self.all.is_hidden() {
            note(text);
        } else {
            // The terminal may have hung up.
            let _ = self.all.println(text);
        }
    }

    pub(crate) fn close(&self) {
        self.total.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
