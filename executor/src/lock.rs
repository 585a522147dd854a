//! One executor at a time: a lock beside the journal that the kernel lets go when the process
//! dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
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
}

impl Lock {
    /// Takes the lock and writes into it who has it.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be made.
    pub fn take(path: &Path, who: &str) -> Result<Self, LockError> {
        let failed = |cause| LockError::File {
            path: path.display().to_string(),
            cause,
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        let began = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // Somebody who only looks holds it for a moment.
                Err(TryLockError::WouldBlock) if began.elapsed() < GLANCE => {
                    std::thread::sleep(GLANCE / 10);
                }
                Err(TryLockError::WouldBlock) => return Err(LockError::Held { by: note(file) }),
                Err(TryLockError::Error(cause)) => return Err(failed(cause)),
            }
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{who}").map_err(failed)?;
        Ok(Self { _file: file })
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
        let path = dir.path().join("journal.lock");
        let first = Lock::take(&path, "process 1, a longer text").unwrap();
        let error = Lock::take(&path, "process 2").unwrap_err();
        assert!(
            error.to_string().contains("process 1, a longer text"),
            "{error}"
        );
        drop(first);
        let _second = Lock::take(&path, "process 3").unwrap();
        let error = Lock::take(&path, "process 4").unwrap_err();
        assert!(error.to_string().ends_with("process 3"), "{error}");
    }
}
