//! The history of this host: a row for each guest and ten seconds, in a SQLite file.
//!
//! One connection writes, others read while it does (WAL). A commit is on the disk when it returns,
//! so neither `kill -9` nor a power cut loses a row that was committed. The file says by its
//! `application_id` that it is a history and by its `user_version` which; any other is refused and
//! left as it is.
//!
//! The size is bounded twice: rows that are too old or too many are deleted, oldest first, and
//! SQLite itself refuses to let the file grow beyond the bound.

mod aside;
mod read;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Transaction, params};
use uuid::Uuid;
use vmpack_domain::GuestName;
use vmpack_domain::units::Micros;

use crate::interval::{Row, code};

pub(crate) use aside::set_aside;
#[cfg(test)]
pub(crate) use read::Series;
pub(crate) use read::{Asked, GuestHistory, HistoryPart, Reader};

/// `VMPH` in ASCII.
const APPLICATION: i32 = 0x564d_5048;
/// The version of the tables below.
const VERSION: i32 = 1;
const TABLES: &str = "
CREATE TABLE guest (
  id INTEGER PRIMARY KEY,
  uuid BLOB NOT NULL UNIQUE,
  name TEXT NOT NULL,          -- the newest
  vcpus INTEGER NOT NULL,      -- the newest
  seen INTEGER NOT NULL        -- Unix seconds of a row, at most an hour before its newest
);
CREATE TABLE load (
  at INTEGER NOT NULL,         -- Unix seconds, start of ten seconds
  guest INTEGER NOT NULL,
  span INTEGER NOT NULL,       -- microseconds that the windows cover
  windows INTEGER NOT NULL,
  mean INTEGER NOT NULL,       -- demand over the windows, in thousandths of a core of speed 1
  p50 INTEGER NOT NULL,
  p95 INTEGER NOT NULL,
  p99 INTEGER NOT NULL,
  max INTEGER NOT NULL,
  demands BLOB NOT NULL,       -- all windows: how often which demand (sketch.rs)
  run INTEGER NOT NULL,        -- microseconds that the vCPUs ran
  delay INTEGER NOT NULL,      -- microseconds that they waited
  throttled INTEGER NOT NULL,  -- microseconds that they waited by the guest's own quota
  tier INTEGER NOT NULL,       -- 0 ebpf, 1 schedstat, 2 libvirt, 3 dirty-log, 4 page-sampling
  resident INTEGER,            -- MiB
  dirty INTEGER,               -- pages a second, where it was measured in these ten seconds
  dirty_tier INTEGER,
  dirty_at INTEGER,            -- Unix seconds
  PRIMARY KEY (at, guest)
) WITHOUT ROWID;
CREATE TABLE overload (
  at INTEGER PRIMARY KEY,      -- microseconds of Unix time
  wanted INTEGER NOT NULL,     -- thousandths of a core
  cores INTEGER NOT NULL
);
";
/// What the clock may be ahead of the time that passed, in seconds, and still be believed.
const AHEAD: u64 = 3600;
/// What the write-ahead log may hold beside the file.
const LOG: u64 = 4 << 20;
const PAGE: u64 = 4096;
/// How long a lock of the database is waited for.
const BUSY: Duration = Duration::from_secs(5);
/// The most that one append deletes for the sake of age, so that it stays short.
const DELETED_AT_ONCE: u64 = 3600;

/// Why the history cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    #[error("read {0}, which is another program's database, expected a history or no file")]
    Foreign(PathBuf),
    #[error("read {0}, which is no file, expected a history or no file")]
    NoFile(PathBuf),
    #[error(
        "read {file}, a history of version {found}, expected at most {VERSION}: it was written by \
         a newer vmpack-probe"
    )]
    Newer { file: PathBuf, found: i32 },
    #[error(
        "there is no history {0}: `vmpack-probe serve` keeps one, and `--history` says where it is"
    )]
    Missing(PathBuf),
    #[error("cannot read {0}: {1}")]
    Unread(PathBuf, io::Error),
    #[error("another vmpack-probe writes {0} (it holds {lock})", lock = lock(.0).display())]
    Locked(PathBuf),
    #[error("cannot lock {0}: {1}")]
    Lock(PathBuf, io::Error),
    // Told whole here, and so not once more as a source.
    #[error("{0}: {1}")]
    Sqlite(PathBuf, rusqlite::Error),
    #[error(
        "{0}, its log or its lock is no longer the file that was opened: it was deleted, moved away or replaced"
    )]
    Replaced(PathBuf),
    #[error("{0} is damaged and cannot be set aside: {1}")]
    Aside(PathBuf, io::Error),
    #[error("read a bound of {0} bytes on the history, expected at least {least}", least = Bounds::LEAST)]
    Bound(u64),
}

impl HistoryError {
    /// Whether the file itself is damaged: no trying again helps.
    pub(crate) fn is_damage(&self) -> bool {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let Self::Sqlite(_, error) = self else {
            return false;
        };
        matches!(
            error.sqlite_error_code(),
            Some(DatabaseCorrupt | NotADatabase)
        )
    }
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Of the file and its log together, in bytes.
    pub(crate) bytes: u64,
    /// Of the oldest row.
    pub(crate) age: Micros,
}

impl Bounds {
    pub(crate) const LEAST: u64 = 16 << 20;
    /// What the file without its log may have, in bytes.
    fn file(self) -> u64 {
        self.bytes.saturating_sub(2 * LOG)
    }
}

/// The writing half. Only one process may have it at a time.
#[derive(Debug)]
pub(crate) struct History {
    file: PathBuf,
    connection: Connection,
    bounds: Bounds,
    known: BTreeMap<Uuid, Known>,
    /// The file that was opened, by its device and number.
    opened: Option<(u64, u64)>,
    /// Its log, once there is one.
    log: Option<(u64, u64)>,
    /// The newest second of the first rows since then.
    first: Option<u64>,
    /// Held until the history is dropped or the process ends, however it does.
    lock: fs::File,
}

#[derive(Debug, Clone)]
struct Known {
    id: i64,
    name: GuestName,
    vcpus: u32,
    seen: u64,
}

/// How much a history holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extent {
    /// On the disk, in bytes, the log included.
    pub(crate) bytes: u64,
    /// The start of its oldest row, in Unix seconds.
    pub(crate) oldest: Option<u64>,
}

impl History {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it is not a history of this version or an older one, cannot be written, or another process
    /// writes it.
    pub(crate) fn open(file: &Path, bounds: Bounds) -> Result<Self, HistoryError> {
        if bounds.bytes < Bounds::LEAST {
            return Err(HistoryError::Bound(bounds.bytes));
        }
        if fs::metadata(file).is_ok_and(|there| !there.is_file()) {
            return Err(HistoryError::NoFile(file.to_path_buf()));
        }
        let failed = |error| HistoryError::Sqlite(file.to_path_buf(), error);
        let connection = Connection::open(file).map_err(failed)?;
        identify(&connection, file)?;
        let lock = take_lock(file)?;
        prepare(&connection, bounds).map_err(failed)?;
        Ok(Self {
            file: file.to_path_buf(),
            connection,
            bounds,
            known: BTreeMap::new(),
            opened: identity(file),
            log: None,
            first: None,
            lock,
        })
    }

    /// Where it is, and how much it keeps: to open it anew.
    pub(crate) fn place(&self) -> (PathBuf, Bounds) {
        (self.file.clone(), self.bounds)
    }

    /// The newest second that is believed, when rows say that one. A clock that is set ahead must not
    /// make the whole history too old.
    fn believed(&mut self, newest: u64, passed: Duration) -> u64 {
        let first = *self.first.get_or_insert(newest);
        let latest = passed.as_secs().saturating_add(AHEAD);
        newest.min(first.saturating_add(latest))
    }

    /// SQLite goes on writing to a file that has no name any more.
    fn is_in_place(&self) -> bool {
        let held = self.lock.metadata().ok().map(|m| (m.dev(), m.ino()));
        let log = identity(&beside(&self.file, "-wal"));
        identity(&self.file) == self.opened
            && identity(&lock(&self.file)) == held
            && (self.log.is_none() || self.log == log)
    }

    /// Commits the rows, all or none, and deletes what is beyond the bounds. Of two rows of one
    /// guest and interval, as after a restart within it, the one that covers more time stays. `passed` is
    /// the time since the history was opened, by a clock that nobody sets.
    ///
    /// # Errors
    /// When the file cannot be written; then nothing has changed.
    pub(crate) fn append(&mut self, rows: &[Row], passed: Duration) -> Result<(), HistoryError> {
        if !self.is_in_place() {
            return Err(HistoryError::Replaced(self.file.clone()));
        }
        let appended = self.try_append(rows, passed);
        match appended {
            Ok(()) => self.log = identity(&beside(&self.file, "-wal")),
            // What was rolled back is not known.
            Err(_) => self.known.clear(),
        }
        appended.map_err(|error| HistoryError::Sqlite(self.file.clone(), error))
    }

    fn try_append(&mut self, rows: &[Row], passed: Duration) -> rusqlite::Result<()> {
        let Some(newest) = rows.iter().map(|row| row.at).max() else {
            return Ok(());
        };
        let believed = self.believed(newest, passed);
        // It reads before it writes: begun later, the write lock would be refused at once and not waited for.
        let behavior = rusqlite::TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        delete_old(&transaction, believed, self.bounds)?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO load VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18)
                 ON CONFLICT (at, guest) DO UPDATE SET span=excluded.span, windows=excluded.windows,
                   mean=excluded.mean, p50=excluded.p50, p95=excluded.p95, p99=excluded.p99,
                   max=excluded.max, demands=excluded.demands, run=excluded.run,
                   delay=excluded.delay, throttled=excluded.throttled, tier=excluded.tier, resident=excluded.resident,
                   dirty=excluded.dirty, dirty_tier=excluded.dirty_tier,
                   dirty_at=excluded.dirty_at
                 WHERE excluded.span > load.span",
            )?;
            for row in rows {
                let guest = know(&transaction, &mut self.known, row)?;
                let dirty = row.dirty.filter(|d| d.at >= row.at);
                insert.execute(params![
                    signed(row.at),
                    guest,
                    signed(row.span_us),
                    signed(row.windows),
                    signed(row.mean.0),
                    signed(row.p50.0),
                    signed(row.p95.0),
                    signed(row.p99.0),
                    signed(row.max.0),
                    row.sketch.to_bytes(),
                    signed(row.run_us),
                    signed(row.run_delay_us),
                    signed(row.throttled_us),
                    code(row.tier),
                    row.resident_mib.map(signed),
                    dirty.map(|d| signed(d.pages_per_second)),
                    dirty.map(|d| code(d.tier)),
                    dirty.map(|d| signed(d.at)),
                ])?;
            }
        }
        transaction.commit()?;
        {
            // Each row that it gives is a page that it has freed.
            let mut vacuum = self.connection.prepare("PRAGMA incremental_vacuum(256)")?;
            let mut freed = vacuum.query([])?;
            while freed.next()?.is_some() {}
        }
        self.shorten_log()
    }

    /// Empties a log that is longer than it is to be, as after a reader that held it, if nobody does
    /// now.
    fn shorten_log(&self) -> rusqlite::Result<()> {
        if self.log_bytes() <= LOG {
            return Ok(());
        }
        self.connection.busy_timeout(Duration::ZERO)?;
        let emptied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        self.connection.busy_timeout(BUSY)?;
        match emptied {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::DatabaseBusy =>
            {
                Ok(())
            }
            other => other,
        }
    }

    fn log_bytes(&self) -> u64 {
        fs::metadata(beside(&self.file, "-wal")).map_or(0, |m| m.len())
    }

    /// Commits an overload: when, in microseconds of Unix time, and how much was wanted of what, in
    /// thousandths of a core.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn overloaded(
        &mut self,
        at_us: u64,
        wanted: u64,
        cores: u64,
    ) -> Result<(), HistoryError> {
        self.connection
            .execute(
                "INSERT OR REPLACE INTO overload VALUES (?1, ?2, ?3)",
                params![signed(at_us), signed(wanted), signed(cores)],
            )
            .map(|_| ())
            .map_err(|error| HistoryError::Sqlite(self.file.clone(), error))
    }

    /// How much it holds now.
    pub(crate) fn extent(&self) -> Extent {
        let oldest: Option<i64> = self
            .connection
            .query_row("SELECT min(at) FROM load", [], |row| row.get(0))
            .unwrap_or_default();
        Extent {
            bytes: fs::metadata(&self.file).map_or(0, |m| m.len()) + self.log_bytes(),
            oldest: oldest.and_then(|at| u64::try_from(at).ok()),
        }
    }
}

/// A file's device and number; `None` where there is none.
fn identity(file: &Path) -> Option<(u64, u64)> {
    fs::metadata(file).ok().map(|m| (m.dev(), m.ino()))
}

/// A file beside the history.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.to_path_buf().into_os_string();
    name.push(suffix);
    name.into()
}

/// The file that who writes the history has locked. Not the history itself: SQLite's own locks on it
/// are lost when anybody in the process closes it.
fn lock(file: &Path) -> PathBuf {
    beside(file, ".lock")
}

fn take_lock(file: &Path) -> Result<fs::File, HistoryError> {
    let failed = |error| HistoryError::Lock(lock(file), error);
    let mut options = fs::OpenOptions::new();
    let options = options.create(true).write(true).truncate(false);
    let held = options.open(lock(file)).map_err(failed)?;
    match held.try_lock() {
        Ok(()) => Ok(held),
        Err(fs::TryLockError::WouldBlock) => Err(HistoryError::Locked(file.to_path_buf())),
        Err(fs::TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Whether the file is one of ours, or empty. One beside which a lock of ours stands was.
fn identify(connection: &Connection, file: &Path) -> Result<(), HistoryError> {
    let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i32>(0));
    let read = || -> rusqlite::Result<(i32, i32, i32)> {
        Ok((
            number("PRAGMA application_id")?,
            number("PRAGMA user_version")?,
            number("SELECT count(*) FROM sqlite_schema")?,
        ))
    };
    match read() {
        Ok((APPLICATION, found, _)) if found > VERSION => Err(HistoryError::Newer {
            file: file.to_path_buf(),
            found,
        }),
        Ok((APPLICATION, _, _) | (0, 0, 0)) => Ok(()),
        Ok(_) => Err(HistoryError::Foreign(file.to_path_buf())),
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.code == rusqlite::ErrorCode::NotADatabase && !lock(file).exists() =>
        {
            Err(HistoryError::Foreign(file.to_path_buf()))
        }
        Err(error) => Err(HistoryError::Sqlite(file.to_path_buf(), error)),
    }
}

fn prepare(connection: &Connection, bounds: Bounds) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    // Has an effect in an empty file only.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", signed(LOG))?;
    connection.pragma_update(None, "cache_size", -2048)?;
    let exists: bool = connection.query_row(
        "SELECT count(*) > 0 FROM sqlite_schema WHERE name = 'load'",
        [],
        |row| row.get(0),
    )?;
    if !exists {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES}
             PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
        ))?;
    }
    // Never below what is there: it must be possible to delete.
    let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    let most = signed(bounds.file() / PAGE).max(pages);
    connection.pragma_update(None, "max_page_count", most)
}

/// Deletes rows that are too old, and the oldest while the file is fuller than nine tenths.
fn delete_old(transaction: &Transaction<'_>, newest: u64, bounds: Bounds) -> rusqlite::Result<()> {
    let oldest = || -> rusqlite::Result<Option<u64>> {
        let at: Option<i64> =
            transaction.query_row("SELECT min(at) FROM load", [], |row| row.get(0))?;
        Ok(at.and_then(|at| u64::try_from(at).ok()))
    };
    let Some(first) = oldest()? else {
        return Ok(());
    };
    let too_old = newest.saturating_sub(bounds.age.0 / 1_000_000);
    delete_before(transaction, too_old.min(first + DELETED_AT_ONCE))?;
    let used = || -> rusqlite::Result<u64> {
        let pages = |pragma: &str| transaction.query_row(pragma, [], |row| row.get::<_, i64>(0));
        let used = pages("PRAGMA page_count")? - pages("PRAGMA freelist_count")?;
        Ok(u64::try_from(used).unwrap_or_default() * PAGE)
    };
    while used()? > bounds.file() / 10 * 9 {
        let Some(first) = oldest()?.filter(|at| *at < newest) else {
            break;
        };
        // A twentieth of the time at once, so that a full file is not pruned at each append.
        let part = (newest - first) / 20;
        delete_before(transaction, first + part.max(crate::interval::STEP))?;
    }
    Ok(())
}

fn delete_before(transaction: &Transaction<'_>, second: u64) -> rusqlite::Result<()> {
    let deleted = transaction
        .prepare_cached("DELETE FROM load WHERE at < ?1")?
        .execute([signed(second)])?;
    if deleted > 0 {
        transaction.execute(
            "DELETE FROM guest WHERE seen < ?1",
            [signed(second) - signed(DELETED_AT_ONCE)],
        )?;
        transaction.execute(
            "DELETE FROM overload WHERE at < ?1",
            [signed(second.saturating_mul(1_000_000))],
        )?;
    }
    Ok(())
}

/// The guest's number; its name and vCPUs are brought up to date.
fn know(
    transaction: &Transaction<'_>,
    known: &mut BTreeMap<Uuid, Known>,
    row: &Row,
) -> rusqlite::Result<i64> {
    if let Some(known) = known.get(&row.uuid)
        && (&known.name, known.vcpus) == (&row.guest, row.vcpus)
        && known.seen + DELETED_AT_ONCE > row.at
        && known.seen <= row.at
    {
        return Ok(known.id);
    }
    let id = transaction
        .prepare_cached(
            "INSERT INTO guest (uuid, name, vcpus, seen) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (uuid) DO UPDATE SET name=excluded.name, vcpus=excluded.vcpus,
               seen=max(seen, excluded.seen)
             RETURNING id",
        )?
        .query_row(
            params![
                row.uuid.as_bytes(),
                row.guest.as_str(),
                row.vcpus,
                signed(row.at)
            ],
            |row| row.get(0),
        )?;
    let new = Known {
        id,
        name: row.guest.clone(),
        vcpus: row.vcpus,
        seen: row.at,
    };
    known.insert(row.uuid, new);
    Ok(id)
}

/// As SQLite stores integers.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
