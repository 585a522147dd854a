//! The writing thread: the disk may stall, the measuring may not.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::Shared;
use crate::history::{History, HistoryError};
use crate::interval::Row;

/// What is to be kept.
#[derive(Debug)]
pub(super) enum Entry {
    Rows(Vec<Row>),
    /// In microseconds of Unix time and thousandths of a core.
    Overload {
        at_us: u64,
        wanted: u64,
        cores: u64,
    },
}

/// Writes until nobody has anything to write any more. Rows that cannot be written are lost and
/// counted; the next are tried again. A history that was deleted or replaced is made or opened anew.
pub(super) fn keep(shared: &Arc<Shared>, history: History, entries: &Receiver<Entry>) {
    let (file, bounds) = history.place();
    let (mut open, mut since) = (Some(history), Instant::now());
    for entry in entries {
        let mut written = write(open.as_mut(), &entry, since.elapsed());
        if matches!(written, Err(None | Some(HistoryError::Replaced(_)))) {
            // Its lock is let go first.
            drop(open.take());
            since = Instant::now();
            written = History::open(&file, bounds)
                .map_err(Some)
                .and_then(|history| write(Some(open.insert(history)), &entry, Duration::ZERO));
        }
        let rows = match &entry {
            Entry::Rows(rows) => rows.len() as u64,
            Entry::Overload { .. } => 0,
        };
        if let Err(Some(error)) = &written {
            tracing::warn!("{error}");
        }
        let extent = open.as_ref().map(History::extent).unwrap_or_default();
        shared.live(|live| {
            let state = &mut live.history;
            match written {
                Ok(()) => {
                    state.rows += rows;
                    state.fault = None;
                }
                Err(error) => {
                    state.rows_lost += rows;
                    state.fault = error.map(|error| error.to_string());
                }
            }
            state.extent = extent;
        });
    }
}

/// Writes an entry; `Err(None)` where no history is open.
fn write(
    history: Option<&mut History>,
    entry: &Entry,
    passed: Duration,
) -> Result<(), Option<HistoryError>> {
    let history = history.ok_or(None)?;
    let written = match entry {
        Entry::Rows(rows) => history.append(rows, passed),
        Entry::Overload {
            at_us,
            wanted,
            cores,
        } => history.overloaded(*at_us, *wanted, *cores),
    };
    written.map_err(Some)
}
