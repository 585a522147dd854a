//! `vmpack-probe export`: the load from this host's history.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use vmpack_domain::Load;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::write_load;
use vmpack_domain::units::count;

use crate::cli::{Ended, environment, write_whole};
use crate::fetch::command::SpanArguments;
use crate::history::{Asked, GuestHistory, Reader};
use crate::serve::command::default_history;
use crate::tick::unix_us;

/// The flags of `export`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The history; by default the one that `serve` keeps
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    #[command(flatten)]
    span: SpanArguments,
    /// The file to write; standard output if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Exports.
pub(crate) fn run(arguments: &Arguments) -> Ended {
    let span = arguments
        .span
        .span()
        .map_err(|error| (Exit::Usage, error))?;
    let asked = Asked {
        since: span.since,
        until: span.until,
        step: span.step,
        statistic: span.statistic,
    };
    environment(export(arguments, asked))
}

fn export(arguments: &Arguments, asked: Asked) -> anyhow::Result<()> {
    let file = arguments.history.clone().unwrap_or_else(default_history);
    let part = Reader::open(&file)?.read(asked, || true)?;
    if let Some(note) = left_out(part.rows_left_out) {
        let _ = writeln!(io::stderr(), "warning: {}: {note}", file.display());
    }
    let mut load = Load::default();
    let mut guests = part.guests;
    // Of guests that had the same name one after the other, the newest.
    guests.sort_by_key(|guest| guest.newest);
    let now = unix_us() / 1_000_000;
    for guest in &guests {
        load.guests
            .insert(guest.guest.clone(), told(guest, asked.since, now));
    }
    anyhow::ensure!(
        !load.guests.is_empty(),
        "{} holds no row of that time",
        file.display()
    );
    let text = write_load(&load);
    match &arguments.output {
        None => write!(io::stdout(), "{text}")?,
        Some(output) => {
            write_whole(output, &text)
                .with_context(|| format!("cannot write {}", output.display()))?;
            let guests = count(load.guests.len(), "guest");
            writeln!(io::stdout(), "wrote {}: {guests}", output.display())?;
        }
    }
    Ok(())
}

/// What is to be said where rows of a history were left out.
pub(crate) fn left_out(rows: u64) -> Option<String> {
    let rows = usize::try_from(rows).unwrap_or(usize::MAX);
    (rows > 0).then(|| {
        let rows = count(rows, "row");
        format!("{rows} left out, of a guest that is missing or not as a row is to be")
    })
}

fn told(guest: &GuestHistory, since: u64, now: u64) -> vmpack_domain::GuestLoad {
    let (load, note) = crate::load::load(guest, since, now);
    if let Some(note) = note {
        let _ = writeln!(io::stderr(), "note: {}: {note}", guest.guest);
    }
    load
}
