//! The audit log: a line of JSON for each decision and for what came of it, appended and on the disk
//! before anything is done. Nothing is ever taken out of it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::Serialize;

use super::Trouble;

/// One line of it, beside the time.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Entry<'a> {
    /// The watch began.
    Began {
        /// With what it may do: `observe`, `recommend` or `auto`.
        mode: &'a str,
        /// How many hosts.
        hosts: usize,
        /// How many guests.
        guests: usize,
    },
    /// The cluster's files were changed, and it is watched as they describe it now.
    Cluster {
        /// How many guests there are.
        guests: usize,
        /// Guests that are new.
        came: Vec<String>,
        /// Guests that are no more.
        gone: Vec<String>,
    },
    /// The cluster's files were changed, and it is watched as before.
    Unchanged {
        /// Why.
        why: &'a str,
    },
    /// Something was decided.
    Decided {
        /// Milliseconds since the oldest overload that it is for began.
        onset_ms: u64,
        /// Microseconds that deciding took.
        took_us: u64,
        /// Whether it had been decided ahead.
        ahead: bool,
        /// Whether it is carried out, or only told.
        carried_out: bool,
        /// All of it, with its reasons.
        relief: &'a vmpack_domain::relief::Relief,
    },
    /// What was found by seeking longer, after a decision was carried out.
    Thought {
        /// How long it was sought.
        took_ms: u64,
        /// What the decision is worth.
        answered: vmpack_domain::relief::Worth,
        /// What the best is worth that is known now.
        best: vmpack_domain::relief::Worth,
    },
    /// The holder said no, or could not be reached.
    Refused {
        /// Which guests were to move.
        guests: Vec<&'a str>,
        /// Why not.
        why: &'a str,
    },
    /// A migration switched.
    Switched {
        /// Whose.
        guest: &'a str,
        /// Milliseconds since the overload began.
        onset_ms: u64,
    },
    /// A migration is over.
    Ended {
        /// Whose.
        guest: &'a str,
        /// Whether the guest is at the target.
        moved: bool,
        /// Milliseconds since the overload began, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        onset_ms: Option<u64>,
    },
    /// A migration is in trouble.
    Trouble {
        /// Whose.
        guest: &'a str,
        /// How bad it is.
        kind: Trouble,
        /// What died or is in the way, and what is to be done.
        why: &'a str,
    },
    /// A host is overloaded no more.
    Relieved {
        /// Which.
        host: &'a str,
        /// How long it was, in milliseconds.
        after_ms: u64,
    },
    /// Nothing is heard of a host: its load is unknown.
    Silent {
        /// Which.
        host: &'a str,
        /// Why.
        why: &'a str,
        /// How often that changed without being told, where it did.
        #[serde(skip_serializing_if = "none")]
        changes: u32,
    },
    /// A host is heard again.
    Heard {
        /// Which.
        host: &'a str,
        /// How often that changed without being told, where it did.
        #[serde(skip_serializing_if = "none")]
        changes: u32,
    },
    /// No moves end an overload now: each guest there is to have at least what it has reserved.
    Held {
        /// Where.
        hosts: Vec<&'a str>,
        /// Whether it is done, or only told.
        carried_out: bool,
    },
    /// It is over, and CPU shares are to be as they were.
    LetGo {
        /// Where.
        hosts: Vec<&'a str>,
        /// Whether it is done, or only told.
        carried_out: bool,
    },
    /// CPU shares could not be set so, or set back.
    NotHeld {
        /// Where.
        host: &'a str,
        /// Why.
        why: &'a str,
    },
    /// A guest was sent back where it came from for no reason of its own.
    Oscillates {
        /// Who.
        guest: &'a str,
        /// Where it is again.
        host: &'a str,
    },
    /// A plan was made.
    Planned {
        /// Hosts in use now, and by the plan.
        hosts: (usize, usize),
        /// How many moves.
        moves: usize,
        /// Which: guest, from, to.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        moved: Vec<String>,
        /// Whether it is carried out, or only told.
        carried_out: bool,
        /// Its notes, or why there is none.
        reasons: Vec<String>,
    },
    /// A host was to be woken or sent to sleep.
    Power {
        /// Which.
        host: &'a str,
        /// `wake` or `sleep`.
        to: &'a str,
        /// Why.
        why: &'a str,
        /// Whether it is done, or only told.
        carried_out: bool,
        /// What went wrong, if anything did.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// The watch ended.
    EndedWatch {
        /// Why.
        why: &'a str,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn none(changes: &u32) -> bool {
    *changes == 0
}

/// The log.
#[derive(Debug)]
pub struct Audit(File);

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    entry: &'a Entry<'a>,
}

impl Audit {
    /// Opens it, or makes it for its owner and group alone.
    ///
    /// # Errors
    /// The system's.
    pub fn open(file: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o640);
        let mut open = options.open(file)?;
        // A line that one before us did not get to its end spoils none of ours.
        let mut last = [b'\n'];
        if open.metadata()?.len() > 0 {
            open.seek(SeekFrom::End(-1))?;
            open.read_exact(&mut last)?;
        }
        if last != [b'\n'] {
            open.write_all(b"\n")?;
        }
        Ok(Self(open))
    }

    /// Writes an entry, and returns its line; on the disk when this returns.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&mut self, entry: &Entry) -> std::io::Result<String> {
        let line = Line {
            at: jiff::Timestamp::now().to_string(),
            entry,
        };
        let text = serde_json::to_string(&line)?;
        // One write, so that a process that dies leaves no half of a line before another's.
        self.0.write_all(format!("{text}\n").as_bytes())?;
        self.0.sync_data()?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_torn_spoils_none_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.jsonl");
        std::fs::write(&file, "{\"event\":\"heard\"}\n{\"event\":\"deci").unwrap();
        for host in ["h1", "h2"] {
            let mut audit = Audit::open(&file).unwrap();
            audit.write(&Entry::Heard { host, changes: 0 }).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert_eq!(text.lines().count(), 4);
        assert_eq!(text.lines().filter(whole).count(), 3);
    }

    #[test]
    fn lines_are_appended_to_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("audit.jsonl");
        for host in ["h1", "h2"] {
            let mut audit = Audit::open(&file).unwrap();
            audit.write(&Entry::Heard { host, changes: 0 }).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["event"], "heard");
        assert_eq!(lines[1]["host"], "h2");
        assert!(lines[0]["at"].as_str().unwrap().ends_with('Z'));
    }
}
