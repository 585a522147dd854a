//! The writing thread: the disk may stall, the measuring may not.

use std::collections::VecDeque;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::Shared;
use crate::history::{Bounds, History, HistoryError, set_aside};
use crate::interval::Row;
use crate::tick::unix_us;

/// What is to be kept of ten seconds.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) rows: Vec<Row>,
    pub(super) overloads: Vec<Began>,
}

/// An overload that began: when, in microseconds of Unix time, and what was wanted of how much, in
/// thousandths of a core.
#[derive(Debug, Clone, Copy)]
pub(super) struct Began {
    pub(super) at_us: u64,
    pub(super) wanted: u64,
    pub(super) cores: u64,
}

/// How often it is looked whether a reader met damage, where nothing is written.
const LOOK: Duration = Duration::from_secs(1);
/// The intervals that wait for a disk that refuses them; beyond that the oldest is lost.
const WAITING: usize = 30;

/// Writes until nobody has anything to write any more. What cannot be written is tried again with the
/// next; what waits for too long is lost and counted. A history that was deleted or replaced is made
/// or opened anew, one that is damaged is set aside first.
pub(super) fn keep(shared: &Arc<Shared>, history: History, entries: &Receiver<Entry>) {
    let mut file = Kept::new(history);
    let mut waiting = VecDeque::new();
    loop {
        match entries.recv_timeout(LOOK) {
            Ok(entry) => waiting.push_back(entry),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let damaged = shared.damaged.swap(false, Ordering::Relaxed);
        if damaged && let Err(error) = file.begin_anew(&"a reader met damage") {
            tracing::warn!("{error}");
        }
        if waiting.is_empty() && !damaged {
            continue;
        }
        let done = write_all(&mut waiting, |entry| file.write(entry));
        if let Some(fault) = &done.fault {
            tracing::warn!("{fault}");
        }
        let extent = file.open.as_ref().map(History::extent).unwrap_or_default();
        shared.live(|live| {
            let state = &mut live.history;
            state.rows += done.written;
            state.rows_lost += done.lost;
            state.fault = done.fault;
            state.extent = extent;
        });
    }
}

/// What became of entries.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    /// Rows.
    written: u64,
    /// Rows.
    lost: u64,
    /// Why the others wait.
    fault: Option<String>,
}

/// Writes what waits, in order, until something is refused.
fn write_all<E: Display>(
    waiting: &mut VecDeque<Entry>,
    mut write: impl FnMut(&Entry) -> Result<(), E>,
) -> Done {
    let (mut written, mut fault) = (0, None);
    while let Some(entry) = waiting.front() {
        if let Err(error) = write(entry) {
            fault = Some(error.to_string());
            break;
        }
        written += entry.rows();
        waiting.pop_front();
    }
    let beyond = waiting.len().saturating_sub(WAITING);
    let lost = waiting.drain(..beyond).map(|entry| entry.rows()).sum();
    Done {
        written,
        lost,
        fault,
    }
}

impl Entry {
    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }
}

/// The history, whatever becomes of its file.
struct Kept {
    place: (PathBuf, Bounds),
    open: Option<History>,
    /// When it was opened.
    since: Instant,
}

impl Kept {
    fn new(history: History) -> Self {
        Self {
            place: history.place(),
            open: Some(history),
            since: Instant::now(),
        }
    }

    /// Sets the open file aside, as it is damaged.
    fn put_aside(&mut self, why: &dyn Display) -> Result<(), HistoryError> {
        match self.open.take() {
            Some(history) => {
                drop(history);
                put_aside(&self.place.0, why)
            }
            None => Ok(()),
        }
    }

    /// Sets the open file aside and begins another at once: there may be nothing to write for long.
    fn begin_anew(&mut self, why: &dyn Display) -> Result<(), HistoryError> {
        self.put_aside(why)?;
        self.reopen().map(drop)
    }

    fn reopen(&mut self) -> Result<&mut History, HistoryError> {
        self.since = Instant::now();
        let (file, bounds) = &self.place;
        Ok(self.open.insert(open(file, *bounds)?))
    }

    fn write(&mut self, entry: &Entry) -> Result<(), HistoryError> {
        if let Some(history) = &mut self.open {
            match write(history, entry, self.since.elapsed()) {
                Err(error) if error.is_damage() => self.put_aside(&error)?,
                // Its lock is let go before another is opened.
                Err(HistoryError::Replaced(_)) => drop(self.open.take()),
                other => return other,
            }
        }
        write(self.reopen()?, entry, Duration::ZERO)
    }
}

/// Opens a history, or begins another where it is damaged.
pub(super) fn open(file: &Path, bounds: Bounds) -> Result<History, HistoryError> {
    match History::open(file, bounds) {
        Err(error) if error.is_damage() => {
            put_aside(file, &error)?;
            History::open(file, bounds)
        }
        other => other,
    }
}

fn put_aside(file: &Path, why: &dyn Display) -> Result<(), HistoryError> {
    let aside = set_aside(file, unix_us() / 1_000_000);
    let aside = aside.map_err(|e| HistoryError::Aside(file.to_path_buf(), e))?;
    tracing::error!("{why}: the history was set aside as {}", aside.display());
    Ok(())
}

/// Both may be written again: a second time changes nothing.
fn write(history: &mut History, entry: &Entry, passed: Duration) -> Result<(), HistoryError> {
    history.append(&entry.rows, passed)?;
    for began in &entry.overloads {
        history.overloaded(began.at_us, began.wanted, began.cores)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vmpack_domain::units::Micros;

    use super::*;
    use crate::history::tests::rows;

    const START: u64 = 1_790_000_000;

    fn entry(step: u64) -> Entry {
        Entry {
            rows: rows(START + step * 10, &[("g1", [1, 2]), ("g2", [3, 4])]),
            overloads: Vec::new(),
        }
    }

    #[test]
    fn what_is_refused_waits_and_the_oldest_of_too_much_is_lost() {
        let mut waiting = VecDeque::new();
        let refuse = |_: &Entry| Err("busy");
        for step in 0..WAITING as u64 {
            waiting.push_back(entry(step));
            let done = write_all(&mut waiting, refuse);
            assert_eq!((done.written, done.lost), (0, 0));
            assert_eq!(done.fault.as_deref(), Some("busy"));
        }
        waiting.push_back(entry(99));
        assert_eq!(write_all(&mut waiting, refuse).lost, 2);
        let mut seen = Vec::new();
        let done = write_all(&mut waiting, |entry| {
            seen.push((entry.rows[0].at - START) / 10);
            Ok::<_, &str>(())
        });
        assert_eq!((done.written, done.lost, done.fault), (60, 0, None));
        let in_order: Vec<u64> = (1..WAITING as u64).chain([99]).collect();
        assert_eq!(seen, in_order);
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_history_that_is_damaged_is_set_aside_and_another_begun() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("h.db");
        let bounds = Bounds {
            bytes: 64 << 20,
            age: Micros::secs(86_400),
        };
        let mut history = History::open(&file, bounds).unwrap();
        for step in 0..200 {
            write(&mut history, &entry(step), Duration::ZERO).unwrap();
        }
        drop(history);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[4096..].fill(0xff);
        std::fs::write(&file, bytes).unwrap();
        let mut kept = Kept::new(History::open(&file, bounds).unwrap());
        kept.write(&entry(200)).unwrap();
        kept.write(&entry(201)).unwrap();
        let aside = std::fs::read_dir(folder.path()).unwrap();
        let aside = aside.filter_map(|e| e.ok()?.file_name().into_string().ok());
        assert_eq!(
            aside
                .filter(|name| name.starts_with("h.db.damaged-"))
                .count(),
            1
        );
    }
}
