//! Following a guest's heartbeat over all hosts, on the clock of this machine. The guest's own clock
//! stands still while it does, so only an outside clock sees a gap.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::guest::Guest;

/// How often the consoles are read; the resolution of a gap is this and the time between beats.
const READ_EVERY: Duration = Duration::from_millis(4);

/// One heartbeat, as it was seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beat {
    /// When it was read.
    pub at: Instant,
    /// The host whose console it came from.
    pub host: String,
    /// Counts up from 0 at the guest's boot.
    pub sequence: u64,
    /// Pages that the guest has written so far.
    pub pages: u64,
    /// Pages that did not hold what the guest last wrote to them.
    pub bad_pages: u64,
}

/// Reads a guest's heartbeats on whichever host it runs, until stopped or dropped.
#[derive(Debug)]
pub struct Heartbeats {
    beats: Arc<Mutex<Vec<Beat>>>,
    stop: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Heartbeats {
    /// Starts with what the guest says from now on.
    pub(super) fn follow(guest: &Guest) -> Heartbeats {
        let beats = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let mut consoles: Vec<Console> = guest
            .log
            .iter()
            .map(|(host, path)| Console::at_end(host.clone(), path.clone()))
            .collect();
        let (shared, stopped) = (Arc::clone(&beats), Arc::clone(&stop));
        let reader = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut batch: Vec<Beat> = consoles.iter_mut().flat_map(Console::read).collect();
                // Two hosts' consoles may speak between two looks: the order is the guest's.
                batch.sort_by_key(|beat| beat.sequence);
                shared
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .extend(batch);
                std::thread::sleep(READ_EVERY);
            }
        });
        Heartbeats {
            beats,
            stop,
            reader: Some(reader),
        }
    }

    /// The beats read so far, in the order they came.
    #[must_use]
    pub fn beats(&self) -> Vec<Beat> {
        self.beats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for Heartbeats {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// What a sequence of beats says about a guest's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Beats read.
    pub beats: usize,
    /// The longest time between one beat and the next.
    pub longest_gap: Duration,
    /// The time between the last beat on one host and the first on another, for each such switch.
    pub switch_gaps: Vec<Duration>,
    /// Whether a sequence number came twice or went back: the guest was restarted, or ran twice.
    pub restarted: bool,
    /// Numbers that were never read; a line cut in two by a switch is one.
    pub missing: u64,
    /// Pages that did not hold what the guest last wrote to them.
    pub bad_pages: u64,
}

/// Judges beats in the order they came.
#[must_use]
pub fn judge(beats: &[Beat]) -> Life {
    let pairs = || beats.windows(2).map(|pair| (&pair[0], &pair[1]));
    let gap = |(before, after): (&Beat, &Beat)| after.at.saturating_duration_since(before.at);
    Life {
        beats: beats.len(),
        longest_gap: pairs().map(gap).max().unwrap_or_default(),
        switch_gaps: pairs().filter(|(b, a)| b.host != a.host).map(gap).collect(),
        restarted: pairs().any(|(before, after)| after.sequence <= before.sequence),
        missing: pairs()
            .map(|(before, after)| after.sequence.saturating_sub(before.sequence + 1))
            .sum(),
        bad_pages: beats
            .iter()
            .map(|beat| beat.bad_pages)
            .max()
            .unwrap_or_default(),
    }
}

/// The console log of a guest on one host; it exists once the guest has been there.
struct Console {
    host: String,
    path: PathBuf,
    file: Option<File>,
    line: Vec<u8>,
}

impl Console {
    fn at_end(host: String, path: PathBuf) -> Console {
        let mut console = Console {
            host,
            path,
            file: None,
            line: Vec::new(),
        };
        console.read();
        // Whatever line is being written now, its start was seen.
        console
    }

    fn read(&mut self) -> Vec<Beat> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let mut news = Vec::new();
        if let Some(file) = &mut self.file {
            // At the end of the file this reads nothing; an error is looked at again next time.
            let _ = file.read_to_end(&mut news);
        }
        let at = Instant::now();
        let mut beats = Vec::new();
        for byte in news {
            if byte != b'\n' {
                self.line.push(byte);
                continue;
            }
            if let Some((sequence, pages, bad_pages)) = parse(&String::from_utf8_lossy(&self.line))
            {
                let host = self.host.clone();
                beats.push(Beat {
                    at,
                    host,
                    sequence,
                    pages,
                    bad_pages,
                });
            }
            self.line.clear();
        }
        beats
    }
}

/// Reads `BEAT SEQUENCE UPTIME PAGES BAD`; anything else on the console is no beat.
fn parse(line: &str) -> Option<(u64, u64, u64)> {
    let mut words = line.trim().strip_prefix("BEAT ")?.split(' ');
    let mut number = || words.next()?.parse().ok();
    let (sequence, _uptime, pages, bad): (u64, u64, u64, u64) =
        (number()?, number()?, number()?, number()?);
    words.next().is_none().then_some((sequence, pages, bad))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beats(list: &[(u64, &str, u64)]) -> Vec<Beat> {
        let start = Instant::now();
        list.iter()
            .map(|&(ms, host, sequence)| Beat {
                at: start + Duration::from_millis(ms),
                host: host.to_owned(),
                sequence,
                pages: 0,
                bad_pages: 0,
            })
            .collect()
    }

    #[test]
    fn a_migration_is_a_gap_and_no_restart() {
        let life = judge(&beats(&[
            (0, "h1", 7),
            (20, "h1", 8),
            (270, "h2", 10),
            (290, "h2", 11),
        ]));
        assert_eq!(life.longest_gap, Duration::from_millis(250));
        assert_eq!(life.switch_gaps, [Duration::from_millis(250)]);
        assert_eq!((life.restarted, life.missing), (false, 1));
    }

    #[test]
    fn a_number_that_returns_is_a_restart() {
        assert!(judge(&beats(&[(0, "h1", 7), (20, "h2", 0)])).restarted);
        assert!(judge(&beats(&[(0, "h1", 7), (20, "h2", 7)])).restarted);
    }

    #[test]
    fn cut_lines_are_no_beats() {
        assert_eq!(parse("BEAT 12 3400 56 0"), Some((12, 56, 0)));
        assert_eq!(parse("BEAT 12 3400 56"), None);
        assert_eq!(parse("T 12 3400 56 0"), None);
        assert_eq!(parse("BEAT 12 3400 56 0 1"), None);
    }
}
