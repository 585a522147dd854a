//! `ledger`: what migrations were predicted to take, and what they took.

use comfy_table::{Table, presets};
use vmpack_domain::Policy;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::write_policy;
use vmpack_domain::plan::Mode;
use vmpack_domain::units::Micros;

use super::failure::Failure;
use super::files::Place;
use super::say::{answer, note};
use super::summary::seconds;
use crate::journal::Journal;
use crate::ledger::{Figures, Line, Medians, calibrate, ledger, medians};

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor ledger
  vmpack-executor ledger --json | jq .actual
  vmpack-executor ledger --policy

Of every migration in the journal that ended well while it was watched: predicted / actual, and the
medians of actual over predicted. --policy writes what was measured as a policy's `migrations: {
calibration: … }`, by which `vmpack plan` then predicts.";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Write the calibration as a policy file
    #[arg(long)]
    policy: bool,
}

pub(crate) fn run(arguments: &Arguments, place: &Place, json: bool) -> Result<Exit, Failure> {
    let journal = Journal::existing(&place.journal)?;
    let runs = journal.map(|j| j.all()).transpose()?.unwrap_or_default();
    let lines = ledger(&runs);
    if arguments.policy {
        let mut policy = Policy::default();
        policy.migrations.calibration = calibrate(&lines);
        answer(write_policy(&policy))?;
        if lines.is_empty() {
            note("no migration has been measured: these are the defaults");
        }
        return Ok(Exit::Done);
    }
    if json {
        let bug = |e: serde_json::Error| Failure::new(Exit::Bug, e.to_string());
        for line in &lines {
            let line = serde_json::to_string(line).map_err(bug)?;
            answer(format_args!("{line}\n"))?;
        }
        for (kind, medians) in of_kinds(&lines) {
            let medians = serde_json::json!({ "medians_of": kind, "actual_over_predicted_permille": medians });
            answer(format_args!("{medians}\n"))?;
        }
        return Ok(Exit::Done);
    }
    if lines.is_empty() {
        answer(format_args!(
            "no migration in {} ended well while it was watched\n",
            place.journal.display()
        ))?;
        return Ok(Exit::Done);
    }
    answer(table(&lines))?;
    Ok(Exit::Done)
}

fn of_kinds(lines: &[Line]) -> Vec<(String, Medians)> {
    let kinds = [
        Some(Mode::PreCopy),
        Some(Mode::Hybrid),
        Some(Mode::PostCopy),
        None,
    ];
    let each = kinds.into_iter().map(|kind| {
        let name = kind.map_or("all".to_owned(), |k| k.to_string());
        (name, medians(lines, kind))
    });
    each.filter(|(_, m)| m.of > 0).collect()
}

fn table(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "run", "move", "guest", "from", "to", "mode", "switch", "downtime", "total", "transfer",
    ]);
    let time = |t: Option<Micros>| t.map_or("-".to_owned(), |t| format!("{:.2}", seconds(t)));
    let both = |line: &Line, figure: &dyn Fn(&Figures) -> String| {
        let predicted = line.predicted.as_ref().map_or("-".to_owned(), figure);
        format!("{predicted}/{}", figure(&line.actual))
    };
    for line in lines {
        table.add_row([
            line.run.to_string(),
            line.id.to_string(),
            line.guest.to_string(),
            line.from.to_string(),
            line.to.to_string(),
            line.mode.to_string(),
            both(line, &|f| time(Some(f.switch))) + "s",
            both(line, &|f| time(f.downtime)) + "s",
            both(line, &|f| time(Some(f.total))) + "s",
            both(line, &|f| {
                f.transfer.map_or("-".to_owned(), |t| t.to_string())
            }),
        ]);
    }
    let ratio =
        |of: Option<u64>| of.map_or("-".to_owned(), |r| format!("{}.{:03}", r / 1000, r % 1000));
    let medians = of_kinds(lines).into_iter().map(|(kind, m)| {
        format!(
            "medians of actual over predicted, {kind} ({}): switch {}, downtime {}, total {}, transfer {}",
            m.of,
            ratio(m.switch),
            ratio(m.downtime),
            ratio(m.total),
            ratio(m.transfer)
        )
    });
    table
        .lines()
        .chain(medians)
        .map(|l| format!("{}\n", l.trim_end()))
        .collect()
}
