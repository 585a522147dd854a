//! How a run is shown: its moves as a table, and what is left to be done.

use comfy_table::{Table, presets};
use serde::Serialize;
use vmpack_domain::journal::{MoveState, Progress};
use vmpack_domain::plan::{Mode, MoveId, Plan};
use vmpack_domain::units::{MiB, Micros};
use vmpack_domain::{Cluster, GuestName, HostName};

/// One move of a run.
#[derive(Debug, Serialize)]
pub(crate) struct MoveLine {
    pub(crate) id: MoveId,
    pub(crate) guest: GuestName,
    pub(crate) from: HostName,
    pub(crate) to: HostName,
    pub(crate) mode: Mode,
    pub(crate) mib: u64,
    #[serde(flatten)]
    pub(crate) state: MoveState,
    /// From the decision to execution at the target.
    pub(crate) switch_seconds: Option<f64>,
    /// From the decision to a free source.
    pub(crate) total_seconds: Option<f64>,
}

impl MoveLine {
    /// What went wrong with it, if anything did.
    pub(crate) fn why(&self) -> Option<&str> {
        match &self.state {
            MoveState::Failed { error, .. } => Some(error),
            MoveState::Skipped { reason } => Some(reason),
            MoveState::Stuck { detail } | MoveState::Broken { detail, .. } => Some(detail),
            MoveState::Lost { cause } => Some(cause),
            _ => None,
        }
    }
}

/// The moves in the plan's order, each with its state.
pub(crate) fn lines(plan: &Plan, progress: &Progress) -> Vec<MoveLine> {
    plan.moves
        .iter()
        .map(|m| {
            let state = progress
                .moves
                .get(&m.id)
                .cloned()
                .unwrap_or(MoveState::Waiting);
            let (switch, total) = match &state {
                MoveState::Running { switch, .. } | MoveState::Broken { switch, .. } => {
                    (*switch, None)
                }
                MoveState::Moved { switch, total, .. } => (*switch, *total),
                _ => (None, None),
            };
            MoveLine {
                id: m.id.clone(),
                guest: m.guest.clone(),
                from: m.from.clone(),
                to: m.to.clone(),
                mode: m.mode,
                mib: m.memory.0,
                state,
                switch_seconds: switch.map(seconds),
                total_seconds: total.map(seconds),
            }
        })
        .collect()
}

/// The moves as a table for people; nothing where there are none.
pub(crate) fn table(lines: &[MoveLine]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "move", "guest", "from", "to", "mode", "memory", "switch", "total", "state",
    ]);
    let time = |s: Option<f64>| s.map_or_else(|| "-".to_owned(), |s| format!("{s:.2}s"));
    for line in lines {
        table.add_row([
            line.id.to_string(),
            line.guest.to_string(),
            line.from.to_string(),
            line.to.to_string(),
            line.mode.to_string(),
            MiB(line.mib).to_string(),
            time(line.switch_seconds),
            time(line.total_seconds),
            word(&line.state),
        ]);
    }
    let details = lines
        .iter()
        .filter_map(|l| Some(format!("{} {}: {}", l.id, word(&l.state), l.why()?)));
    table
        .lines()
        .chain(details)
        .map(|l| format!("{}\n", l.trim_end()))
        .collect()
}

/// A move's state in a word or two.
pub(super) fn word(state: &MoveState) -> String {
    match state {
        MoveState::Waiting => "waiting".to_owned(),
        MoveState::Running { recoveries, .. } if *recoveries > 0 => {
            format!("resumed, try {recoveries}")
        }
        MoveState::Running {
            switch: Some(_), ..
        } => "switched".to_owned(),
        MoveState::Broken { .. } => "SPLIT".to_owned(),
        MoveState::Lost { .. } => "LOST".to_owned(),
        MoveState::Running { attempt: 1, .. } => "running".to_owned(),
        MoveState::Running { attempt, .. } => format!("running, try {attempt}"),
        s @ MoveState::Moved { .. } if s.failed() => "moved, DOES NOT ANSWER".to_owned(),
        MoveState::Moved { .. } => "moved".to_owned(),
        MoveState::Failed { attempt: 1, .. } => "failed".to_owned(),
        MoveState::Failed { attempt, .. } => format!("failed {attempt} times"),
        MoveState::Skipped { .. } => "skipped".to_owned(),
        MoveState::Stuck { .. } => "STUCK".to_owned(),
    }
}

/// What is still to be done until the plan's target is reached.
pub(crate) fn remaining(plan: &Plan, progress: &Progress, now: &Cluster) -> Vec<String> {
    let placement = now.placement();
    let mut left = Vec::new();
    for (guest, host) in &plan.target {
        let is = placement.get(guest);
        if is == Some(host) {
            continue;
        }
        let starts = plan.starts.iter().any(|s| s.guest == *guest);
        let is = is.map_or("no host", HostName::as_str);
        left.push(if starts {
            format!("start guest {guest} on {host}: vmpack does not start guests")
        } else {
            format!("guest {guest} is on {is}, the plan puts it on {host}")
        });
    }
    for (id, state) in &progress.moves {
        match state {
            MoveState::Stuck { detail } => left.push(format!("move {id} is stuck: {detail}")),
            MoveState::Broken { detail, .. } => {
                left.push(format!("move {id} is in split state: {detail}"));
            }
            MoveState::Lost { cause } => left.push(format!("move {id}: {cause}")),
            _ => {}
        }
    }
    left
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a report's seconds, of at most some days"
)]
pub(crate) fn seconds(time: Micros) -> f64 {
    time.0 as f64 / 1e6
}
