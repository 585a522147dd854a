//! The writing thread: the disk may stall, the measuring may not.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::Shared;
use crate::history::History;
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
/// counted; the next are tried again.
pub(super) fn keep(shared: &Arc<Shared>, mut history: History, entries: &Receiver<Entry>) {
    for entry in entries {
        let (written, rows) = match &entry {
            Entry::Rows(rows) => (history.append(rows), rows.len() as u64),
            Entry::Overload {
                at_us,
                wanted,
                cores,
            } => (history.overloaded(*at_us, *wanted, *cores), 0),
        };
        if let Err(error) = &written {
            tracing::warn!("{error}");
        }
        let extent = history.extent();
        shared.live(|live| {
            let state = &mut live.history;
            match written {
                Ok(()) => {
                    state.rows += rows;
                    state.fault = None;
                }
                Err(error) => {
                    state.rows_lost += rows;
                    state.fault = Some(error.to_string());
                }
            }
            state.extent = extent;
        });
    }
}
