//! One executor at a time: a lock beside the journal that the kernel lets go when the process
//! dies, however it dies. The journal itself is locked too: the file beside it may be taken away.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::mem::ManuallyDrop;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a lock is tried for.
const GLANCE: Duration = Duration::from_millis(200);

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another executor has it.
    #[error("another executor is at work: {by}")]
    Held {
        /// What that one wrote of itself.
        by: String,
    },
    /// The lock's file cannot be used.
    #[error("lock {path}: {cause}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// The lock, held until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
    /// Never closed: with any descriptor of it SQLite's own locks would go.
    journal: ManuallyDrop<File>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // It goes with the process otherwise.
        let _ = self.journal.unlock();
    }
}

impl Lock {
    /// Takes the lock at `path` and writes into it who has it, and that of the journal, which is made as an empty
    /// file where there is none.
    ///
    /// # Errors
    /// When another process holds either, or a file cannot be made.
    pub fn take((path, journal): (&Path, &Path), who: &str) -> Result<Self, LockError> {
        let failed = |cause| lock_error(path, cause);
        let mut file = open(path)?;
        if !locked(&file, path)? {
            return Err(LockError::Held { by: note(file) });
        }
        let kept = ManuallyDrop::new(open(journal)?);
        if !locked(&kept, journal)? {
            let by = format!("its lock file is gone, {} is locked", journal.display());
            return Err(LockError::Held { by });
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{who}").map_err(failed)?;
        Ok(Self {
            _file: file,
            journal: kept,
        })
    }

    /// What the holder wrote of itself, if somebody holds the lock.
    #[must_use]
    pub fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(note(file)),
            _ => None,
        }
    }
}

fn lock_error(path: &Path, cause: std::io::Error) -> LockError {
    LockError::File {
        path: path.display().to_string(),
        cause,
    }
}

fn open(path: &Path) -> Result<File, LockError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|cause| lock_error(path, cause))
}

/// Whether it was to be had.
fn locked(file: &File, path: &Path) -> Result<bool, LockError> {
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            // Somebody who only looks holds it for a moment.
            Err(TryLockError::WouldBlock) if began.elapsed() < GLANCE => {
                std::thread::sleep(GLANCE / 10);
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(cause)) => return Err(lock_error(path, cause)),
        }
    }
}

/// Who holds it is a courtesy: a half-written or unreadable note changes nothing.
fn note(mut file: File) -> String {
    let mut by = String::new();
    match file.read_to_string(&mut by) {
        Ok(_) => by.trim().to_owned(),
        Err(_) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it_and_gets_it_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let (path, journal) = (dir.path().join("journal.lock"), dir.path().join("journal"));
        let both = (path.as_path(), journal.as_path());
        let first = Lock::take(both, "process 1, a longer text").unwrap();
        let error = Lock::take(both, "process 2").unwrap_err();
        assert!(
            error.to_string().contains("process 1, a longer text"),
            "{error}"
        );
        drop(first);
        let _second = Lock::take(both, "process 3").unwrap();
        let error = Lock::take(both, "process 4").unwrap_err();
        assert!(error.to_string().ends_with("process 3"), "{error}");
        std::fs::remove_file(&path).unwrap();
        let error = Lock::take(both, "process 5").unwrap_err();
        assert!(
            error.to_string().contains("its lock file is gone"),
            "{error}"
        );
    }
}
