//! The journal: every event of every run in one SQLite file, durable before the executor acts on
//! it. Rows are only ever added, so the newest run is what follows the last `accepted`.
//!
//! Another process may add a row too: that is how `abort` speaks to a running executor, which
//! looks for rows that it did not write ([`Journal::news`]).

use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior,
};
use serde::Serialize;
use vmpack_domain::journal::{Event, Progress};
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::Plan;

use crate::world::World;

/// The schema's version, kept in the file's `user_version`.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,      -- RFC 3339, UTC, by the executor's wall clock
    event TEXT NOT NULL      -- JSON of vmpack_domain::journal::Event
) STRICT;
CREATE TABLE run (
    seq INTEGER PRIMARY KEY REFERENCES event (seq),  -- of its `accepted`
    world TEXT NOT NULL      -- JSON: the hosts it acts on, so that it can be resumed
) STRICT;
PRAGMA user_version = 1;
";

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// SQLite failed: no space, no permission, not a database.
    #[error("journal {path}: {cause}")]
    Store {
        /// Which file.
        path: PathBuf,
        /// What SQLite said.
        cause: rusqlite::Error,
    },
    /// The file or its directory cannot be made.
    #[error("journal {path}: {cause}")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is a database of something else, or no database.
    #[error("journal {path}: {found}, expected a journal of vmpack or no file")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: String,
    },
    /// The file was written by another version.
    #[error("journal {path}: read schema version {found}, expected {VERSION}")]
    Version {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: i64,
    },
    /// A row cannot be understood.
    #[error("journal {path}: row {seq} cannot be read: {cause}")]
    Row {
        /// Which file.
        path: PathBuf,
        /// Which row.
        seq: i64,
        /// What is wrong with it.
        cause: String,
    },
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number in the file, from 1, rising.
    pub seq: i64,
    /// Wall time at which it was written.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A run: what it acts on, and what happened.
#[derive(Debug, Clone)]
pub struct Run {
    /// The hosts it acts on.
    pub world: World,
    /// From its `accepted` on.
    pub entries: Vec<Entry>,
}

impl Run {
    /// Where it stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::fold(self.entries.iter().map(|e| &e.event))
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Connection,
    /// The last row that this process wrote or was told of.
    known: i64,
}

impl Journal {
    /// Opens the journal, making it and its directory when there is none. Only the owner may read
    /// it (mode 0600, a new directory 0700): a plan names guests and hosts.
    ///
    /// # Errors
    /// When it cannot be made, or is not a journal of this version; then it is left as it was.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let file = |cause| JournalError::File {
            path: path.to_owned(),
            cause,
        };
        if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            make_folder(dir).map_err(file)?;
        }
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(file)?;
        let mut connection = connect(path)?;
        let failed = |cause| store(path, cause);
        if look(&connection, path)? == Found::Nothing {
            connection
                .pragma_update(None, "journal_mode", "WAL")
                .and_then(|()| make_tables(&mut connection))
                .map_err(failed)?;
            // Another process may have made other ones meanwhile.
            look(&connection, path)?;
        }
        Self::of(path, connection).map_err(failed)
    }

    /// Opens the journal if there is one; a file with nothing in it is none. Nothing is written.
    ///
    /// # Errors
    /// When it is there and is not a journal of this version.
    pub fn existing(path: &Path) -> Result<Option<Self>, JournalError> {
        if !path.exists() {
            return Ok(None);
        }
        let connection = connect(path)?;
        match look(&connection, path)? {
            Found::Nothing => Ok(None),
            Found::Journal => Self::of(path, connection)
                .map(Some)
                .map_err(|cause| store(path, cause)),
        }
    }

    fn of(path: &Path, connection: Connection) -> rusqlite::Result<Self> {
        // An event counts as written only when it survives a power cut.
        connection.pragma_update(None, "synchronous", "FULL")?;
        let known =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM event", [], |r| r.get(0))?;
        Ok(Self {
            path: path.to_owned(),
            connection,
            known,
        })
    }

    /// Begins a run of the plan that was read from that file.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing was written.
    pub fn accept(
        &mut self,
        plan: &Plan,
        file: Option<&str>,
        world: &World,
    ) -> Result<Entry, JournalError> {
        let event = Event::Accepted {
            plan: Box::new(plan.clone()),
            file: file.map(str::to_owned),
        };
        let accepted = self.write(event, Some(world))?;
        // What others wrote before was of an earlier run.
        self.known = accepted.seq;
        Ok(accepted)
    }

    /// Writes an event; it is durable on return.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing was written.
    pub fn append(&mut self, event: Event) -> Result<Entry, JournalError> {
        self.write(event, None)
    }

    fn write(&mut self, event: Event, world: Option<&World>) -> Result<Entry, JournalError> {
        let time = Timestamp(jiff::Timestamp::now());
        let seq = insert(&mut self.connection, time, &event, world)
            .map_err(|cause| store(&self.path, cause))?;
        // Rows of others in between are left for `news`, which tells them by their event.
        if seq == self.known + 1 {
            self.known = seq;
        }
        Ok(Entry { seq, time, event })
    }

    /// The newest run, if there was any.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn newest(&self) -> Result<Option<Run>, JournalError> {
        let row: Option<(i64, String)> = self
            .connection
            .query_row(
                "SELECT seq, world FROM run ORDER BY seq DESC LIMIT 1",
                [],
                |r| Ok((r.get(0)?, r.get(1)?)),
            )
            .optional()
            .map_err(|cause| store(&self.path, cause))?;
        let Some((seq, world)) = row else {
            return Ok(None);
        };
        let world = serde_json::from_str(&world).map_err(|e| self.row(seq, &e))?;
        let entries = self.after(seq - 1)?;
        match entries.first() {
            Some(first) if first.seq == seq && matches!(first.event, Event::Accepted { .. }) => {
                Ok(Some(Run { world, entries }))
            }
            _ => Err(self.row(
                seq,
                &"it is gone or holds no plan, which the run began with",
            )),
        }
    }

    /// Requests to abort that another process wrote since the last call.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn news(&mut self) -> Result<Vec<Entry>, JournalError> {
        let fresh = self.after(self.known)?;
        if let Some(last) = fresh.last() {
            self.known = last.seq;
        }
        Ok(fresh
            .into_iter()
            .filter(|e| matches!(e.event, Event::Aborted { .. }))
            .collect())
    }

    fn after(&self, seq: i64) -> Result<Vec<Entry>, JournalError> {
        let rows: Vec<(i64, String, String)> = self
            .connection
            .prepare_cached("SELECT seq, time, event FROM event WHERE seq > ?1 ORDER BY seq")
            .and_then(|mut statement| {
                statement
                    .query_map([seq], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                    .collect()
            })
            .map_err(|cause| store(&self.path, cause))?;
        rows.into_iter()
            .map(|(seq, time, event)| {
                let time: jiff::Timestamp = time.parse().map_err(|e| self.row(seq, &e))?;
                let event = serde_json::from_str(&event).map_err(|e| self.row(seq, &e))?;
                Ok(Entry {
                    seq,
                    time: Timestamp(time),
                    event,
                })
            })
            .collect()
    }

    fn row(&self, seq: i64, cause: &dyn std::fmt::Display) -> JournalError {
        JournalError::Row {
            path: self.path.clone(),
            seq,
            cause: cause.to_string(),
        }
    }
}

/// Makes a folder, mode 0700, and those above it, where they are missing.
///
/// # Errors
/// The system's.
pub fn make_folder(folder: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

fn store(path: &Path, cause: rusqlite::Error) -> JournalError {
    JournalError::Store {
        path: path.to_owned(),
        cause,
    }
}

fn connect(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|c| c.busy_timeout(Duration::from_secs(5)).map(|()| c))
        .map_err(|cause| store(path, cause))
}

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// An empty database.
    Nothing,
    /// A journal of this version.
    Journal,
}

/// What the file is, by reading alone: nobody else's database may be written to.
fn look(connection: &Connection, path: &Path) -> Result<Found, JournalError> {
    let foreign = |found: &str| JournalError::Foreign {
        path: path.to_owned(),
        found: found.to_owned(),
    };
    let failed = |cause: rusqlite::Error| match cause.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => foreign("file is not a database"),
        _ => store(path, cause),
    };
    let (version, tables): (i64, i64) = connection
        .query_row(
            "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_schema)",
            [],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )
        .map_err(failed)?;
    let own: i64 = connection
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('event', 'run')",
            [],
            |r| r.get(0),
        )
        .map_err(failed)?;
    match (version, tables, own) {
        (0, 0, _) => Ok(Found::Nothing),
        (VERSION, _, 2) => Ok(Found::Journal),
        (found, _, 2) if found != 0 => Err(JournalError::Version {
            path: path.to_owned(),
            found,
        }),
        _ => Err(foreign("is a database of something else")),
    }
}

/// Makes the tables in an empty file, unless another process has made them.
fn make_tables(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.pragma_query_value(None, "user_version", |r| r.get(0))?;
    if found == 0 {
        transaction.execute_batch(SCHEMA)?;
    }
    transaction.commit()
}

fn insert(
    connection: &mut Connection,
    time: Timestamp,
    event: &Event,
    world: Option<&World>,
) -> rusqlite::Result<i64> {
    let json = |e: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
    let transaction: Transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let text = serde_json::to_string(event).map_err(json)?;
    transaction.execute(
        "INSERT INTO event (time, event) VALUES (?1, ?2)",
        (time.0.to_string(), text),
    )?;
    let seq = transaction.last_insert_rowid();
    if let Some(world) = world {
        let text = serde_json::to_string(world).map_err(json)?;
        transaction.execute("INSERT INTO run (seq, world) VALUES (?1, ?2)", (seq, text))?;
    }
    transaction.commit()?;
    Ok(seq)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use vmpack_domain::Cluster;
    use vmpack_domain::plan::MoveId;

    use super::*;
    use crate::fixture::{a_move, cluster, plan};

    fn hosts() -> Cluster {
        cluster(&["h1", "h2"], &[("web", "h1")])
    }

    fn world() -> World {
        World::Libvirt { cluster: hosts() }
    }

    fn skipped(id: &str) -> Event {
        Event::Skipped {
            id: MoveId(id.to_owned()),
            reason: "test".to_owned(),
        }
    }

    #[test]
    fn what_was_written_is_read_back_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/journal.db");
        assert!(Journal::existing(&path).unwrap().is_none());
        let plan = plan(&hosts(), vec![a_move("m1", "web", "h1", "h2")]);
        let mut journal = Journal::open(&path).unwrap();
        assert!(journal.newest().unwrap().is_none());
        journal.accept(&plan, None, &world()).unwrap();
        journal.append(skipped("m1")).unwrap();
        let second = journal.accept(&plan, None, &world()).unwrap();
        let last = journal.append(skipped("m1")).unwrap();
        drop(journal);

        let journal = Journal::existing(&path).unwrap().unwrap();
        let run = journal.newest().unwrap().unwrap();
        assert_eq!(run.world, world());
        assert_eq!(run.entries, [second, last]);
        assert_eq!(run.progress().plan.as_deref(), Some(&plan));
        for file in [path.clone(), path.with_extension("db-wal")] {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let version: i64 = journal
            .connection
            .pragma_query_value(None, "user_version", |r| r.get(0))
            .unwrap();
        assert_eq!(version, VERSION);
    }

    #[test]
    fn a_request_of_another_process_is_news_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (mut own, mut other) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        let plan = plan(&hosts(), vec![]);
        own.accept(&plan, None, &world()).unwrap();
        assert!(own.news().unwrap().is_empty());
        let asked = other
            .append(Event::Aborted {
                by: "other".to_owned(),
            })
            .unwrap();
        own.append(skipped("m1")).unwrap();
        assert_eq!(own.news().unwrap(), [asked]);
        assert!(own.news().unwrap().is_empty());
    }

    #[test]
    fn a_request_that_came_before_a_run_is_no_news_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (mut own, mut other) = (Journal::open(&path).unwrap(), Journal::open(&path).unwrap());
        let plan = plan(&hosts(), vec![]);
        let asked = || Event::Aborted {
            by: "other".to_owned(),
        };
        other.append(asked()).unwrap();
        own.accept(&plan, None, &world()).unwrap();
        assert!(own.news().unwrap().is_empty());
        let second = other.append(asked()).unwrap();
        assert_eq!(own.news().unwrap(), [second]);
    }

    #[test]
    fn an_empty_file_is_no_journal_until_one_is_begun() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        std::fs::write(&path, "").unwrap();
        assert!(Journal::existing(&path).unwrap().is_none());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        let journal = Journal::open(&path).unwrap();
        assert!(journal.newest().unwrap().is_none());
        assert!(Journal::existing(&path).unwrap().is_some());
    }

    #[test]
    fn a_run_without_its_plan_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&folder.path().join("journal.db")).unwrap();
        let plan = plan(&hosts(), vec![a_move("m1", "web", "h1", "h2")]);
        journal.accept(&plan, None, &world()).unwrap();
        journal.append(skipped("m1")).unwrap();
        journal
            .connection
            .execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM event WHERE seq = 1")
            .unwrap();
        let error = journal.newest().unwrap_err().to_string();
        assert!(
            error.contains("row 1 cannot be read: it is gone"),
            "{error}"
        );
    }

    #[test]
    fn a_file_that_is_no_journal_of_this_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let garbage = folder.path().join("garbage");
        std::fs::write(
            &garbage,
            "not a database, but long enough to be read as one",
        )
        .unwrap();
        let error = Journal::open(&garbage).unwrap_err().to_string();
        assert!(error.contains("garbage: file is not a database"), "{error}");

        let theirs = folder.path().join("theirs.db");
        for version in [0, 1, 7] {
            let other = Connection::open(&theirs).unwrap();
            other
                .execute_batch(&format!(
                    "CREATE TABLE IF NOT EXISTS note (text); PRAGMA user_version = {version};"
                ))
                .unwrap();
            drop(other);
            let before = std::fs::read(&theirs).unwrap();
            let error = Journal::open(&theirs).unwrap_err().to_string();
            assert!(error.contains("of something else"), "{error}");
            assert!(Journal::existing(&theirs).is_err());
            assert_eq!(std::fs::read(&theirs).unwrap(), before);
        }

        let newer = folder.path().join("newer.db");
        let journal = Journal::open(&newer).unwrap();
        journal
            .connection
            .pragma_update(None, "user_version", 7)
            .unwrap();
        drop(journal);
        let error = Journal::open(&newer).unwrap_err().to_string();
        assert!(
            error.ends_with("read schema version 7, expected 1"),
            "{error}"
        );
    }
}
