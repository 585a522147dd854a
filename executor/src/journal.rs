//! The journal: every event of every run in one SQLite file, durable before the executor acts on
//! it. Rows are only ever added. Only the holder writes ([`crate::lock`]); others ask it through its
//! socket ([`crate::socket`]).

use std::fs::OpenOptions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use serde::{Deserialize, Serialize};
use vmpack_domain::journal::{Event, Priority, Progress, RunId};
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::Plan;

use crate::world::World;

/// The schema's version, kept in the file's `user_version`.
const VERSION: i64 = 2;

/// Where SQLite keeps the journal's own number.
const IDENTITY: &str = "application_id";

const SCHEMA: &str = "
CREATE TABLE event (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    time TEXT NOT NULL,      -- RFC 3339, UTC, by the executor's wall clock
    run INTEGER REFERENCES event (seq),  -- the `accepted` of its run; nothing for that itself
    event TEXT NOT NULL      -- JSON of vmpack_domain::journal::Event
) STRICT;
CREATE INDEX event_of_run ON event (run);
CREATE TABLE run (
    seq INTEGER PRIMARY KEY REFERENCES event (seq),  -- of its `accepted`
    world TEXT NOT NULL      -- JSON: the hosts it acts on, so that it can be resumed
) STRICT;
PRAGMA user_version = 2;
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number in the file, from 1, rising.
    pub seq: i64,
    /// Of which run.
    pub run: RunId,
    /// Wall time at which it was written.
    pub time: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// A run: what it acts on, and what happened.
#[derive(Debug, Clone)]
pub struct Run {
    /// Which.
    pub id: RunId,
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

    /// Before which others it goes.
    #[must_use]
    pub fn priority(&self) -> Priority {
        match self.entries.first().map(|e| &e.event) {
            Some(Event::Accepted { priority, .. }) => *priority,
            _ => Priority::default(),
        }
    }

    /// Whether it takes back what another one did.
    #[must_use]
    pub fn reverses(&self) -> bool {
        let first = self.entries.first().map(|e| &e.event);
        matches!(first, Some(Event::Accepted { reverses: true, .. }))
    }

    /// The run whose rest it was planned for, if it was.
    #[must_use]
    pub fn follows(&self) -> Option<RunId> {
        match self.entries.first().map(|e| &e.event) {
            Some(Event::Accepted { follows, .. }) => *follows,
            _ => None,
        }
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Connection,
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
        let made = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(path);
        // One that is there is not opened but by SQLite: to close it would let go of SQLite's locks.
        match made {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => drop(made.map_err(file)?),
        }
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
        let journal = Self::of(path, connection).map_err(failed)?;
        if journal.identity()? == 0 {
            let any = RandomState::new().build_hasher().finish() >> 32;
            let any = u32::try_from(any).unwrap_or_default() | 1;
            let own = journal
                .connection
                .pragma_update(None, IDENTITY, any.cast_signed());
            own.map_err(failed)?;
        }
        Ok(journal)
    }

    /// A number of its own, by which it is told from others of the same name elsewhere; 0 where it was made before
    /// journals had one, and has not been written to since.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn identity(&self) -> Result<u32, JournalError> {
        let found = self
            .connection
            .pragma_query_value(None, IDENTITY, |r| r.get(0));
        found
            .map(i32::cast_unsigned)
            .map_err(|cause| store(&self.path, cause))
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
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// Begins a run of the plan that was read from that file; the entry's number is the run's.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing was written.
    pub fn accept(
        &mut self,
        plan: &Plan,
        file: Option<&str>,
        priority: Priority,
        world: &World,
    ) -> Result<Entry, JournalError> {
        let event = Event::Accepted {
            plan: Box::new(plan.clone()),
            file: file.map(str::to_owned),
            priority,
            follows: None,
            reverses: false,
        };
        self.write(event, &Place::New(world))
    }

    /// Begins a run that takes back what another one did.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing was written.
    pub fn accept_reverse(&mut self, plan: &Plan, world: &World) -> Result<Entry, JournalError> {
        let event = Event::Accepted {
            plan: Box::new(plan.clone()),
            file: None,
            priority: Priority::Consolidation,
            follows: None,
            reverses: true,
        };
        self.write(event, &Place::New(world))
    }

    /// Begins a run of the plan that was made for what another one left undone.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing was written.
    pub fn accept_after(
        &mut self,
        before: RunId,
        plan: &Plan,
        world: &World,
    ) -> Result<Entry, JournalError> {
        let event = Event::Accepted {
            plan: Box::new(plan.clone()),
            file: None,
            priority: Priority::Consolidation,
            follows: Some(before),
            reverses: false,
        };
        self.write(event, &Place::New(world))
    }

    /// Writes an event of a run; it is durable on return.
    ///
    /// # Errors
    /// When it could not be made durable; then nothing was written.
    pub fn append(&mut self, run: RunId, event: Event) -> Result<Entry, JournalError> {
        self.write(event, &Place::In(run))
    }

    fn write(&mut self, event: Event, place: &Place<'_>) -> Result<Entry, JournalError> {
        let time = Timestamp(jiff::Timestamp::now());
        let seq = insert(&mut self.connection, time, &event, place)
            .map_err(|cause| store(&self.path, cause))?;
        let run = match place {
            Place::In(run) => *run,
            Place::New(_) => RunId(seq),
        };
        Ok(Entry {
            seq,
            run,
            time,
            event,
        })
    }

    /// The newest run, if there was any.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn newest(&self) -> Result<Option<Run>, JournalError> {
        let sql = "SELECT seq, world FROM run ORDER BY seq DESC LIMIT 1";
        Ok(self.runs(sql)?.pop())
    }

    /// That run and those before it of whose rest each was planned, oldest first.
    ///
    /// # Errors
    /// When they cannot be read, or one of them is not there.
    pub fn chain(&self, last: RunId) -> Result<Vec<Run>, JournalError> {
        let (mut chain, mut next) = (Vec::new(), Some(last));
        while let Some(RunId(id)) = next {
            let run = self.run(RunId(id))?;
            let run = run.ok_or_else(|| self.row(id, &"the run that it began is gone"))?;
            // It only ever points back.
            next = run.follows().filter(|before| before.0 < id);
            chain.push(run);
        }
        chain.reverse();
        Ok(chain)
    }

    /// That run, if it is there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn run(&self, RunId(id): RunId) -> Result<Option<Run>, JournalError> {
        let sql = format!("SELECT seq, world FROM run WHERE seq = {id}");
        Ok(self.runs(&sql)?.pop())
    }

    /// The runs whose end was not written, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn unfinished(&self) -> Result<Vec<Run>, JournalError> {
        self.runs(
            "SELECT seq, world FROM run WHERE NOT EXISTS (
                 SELECT 1 FROM event WHERE event.run = run.seq AND event ->> 'event' = 'finished'
             ) ORDER BY seq",
        )
    }

    /// The runs that were begun at that time or later, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn since(&self, time: Timestamp) -> Result<Vec<Run>, JournalError> {
        self.runs(&format!(
            "SELECT run.seq, world FROM run JOIN event ON event.seq = run.seq
             WHERE event.time >= '{}' ORDER BY run.seq",
            time.0
        ))
    }

    /// Every run, oldest first.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn all(&self) -> Result<Vec<Run>, JournalError> {
        self.runs("SELECT seq, world FROM run ORDER BY seq")
    }

    fn runs(&self, sql: &str) -> Result<Vec<Run>, JournalError> {
        let rows: Vec<(i64, String)> = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| {
                statement
                    .query_map([], |r| Ok((r.get(0)?, r.get(1)?)))?
                    .collect()
            })
            .map_err(|cause| store(&self.path, cause))?;
        rows.into_iter()
            .map(|(seq, world)| {
                let world = serde_json::from_str(&world).map_err(|e| self.row(seq, &e))?;
                let entries = self.entries(RunId(seq))?;
                match entries.first() {
                    Some(first)
                        if first.seq == seq && matches!(first.event, Event::Accepted { .. }) =>
                    {
                        Ok(Run {
                            id: RunId(seq),
                            world,
                            entries,
                        })
                    }
                    _ => Err(self.row(
                        seq,
                        &"it is gone or holds no plan, which the run began with",
                    )),
                }
            })
            .collect()
    }

    fn entries(&self, run: RunId) -> Result<Vec<Entry>, JournalError> {
        let rows: Vec<(i64, String, String)> = self
            .connection
            .prepare_cached(
                "SELECT seq, time, event FROM event WHERE seq = ?1 OR run = ?1 ORDER BY seq",
            )
            .and_then(|mut statement| {
                statement
                    .query_map([run.0], |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)))?
                    .collect()
            })
            .map_err(|cause| store(&self.path, cause))?;
        rows.into_iter()
            .map(|(seq, time, event)| {
                let time: jiff::Timestamp = time.parse().map_err(|e| self.row(seq, &e))?;
                let event = serde_json::from_str(&event).map_err(|e| self.row(seq, &e))?;
                Ok(Entry {
                    seq,
                    run,
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

/// Where an event belongs.
enum Place<'a> {
    /// It begins a run in that world.
    New(&'a World),
    /// To a run that was begun.
    In(RunId),
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
    place: &Place<'_>,
) -> rusqlite::Result<i64> {
    let json = |e: serde_json::Error| rusqlite::Error::ToSqlConversionFailure(Box::new(e));
    let transaction: Transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let text = serde_json::to_string(event).map_err(json)?;
    let run = match place {
        Place::In(run) => Some(run.0),
        Place::New(_) => None,
    };
    transaction.execute(
        "INSERT INTO event (time, run, event) VALUES (?1, ?2, ?3)",
        (time.0.to_string(), run, text),
    )?;
    let seq = transaction.last_insert_rowid();
    if let Place::New(world) = place {
        let text = serde_json::to_string(world).map_err(json)?;
        transaction.execute("INSERT INTO run (seq, world) VALUES (?1, ?2)", (seq, text))?;
    }
    transaction.commit()?;
    Ok(seq)
}

#[cfg(test)]
mod tests;
