//! The source without eBPF: reads every vCPU thread's statistics in `/proc` at each step.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use uuid::Uuid;
use vmpack_domain::units::{Micros, Ratio};
use vmpack_domain::{GuestName, Tier};

use crate::sample::{Schedstat as File, now, schedstat_grain};
use crate::source::{GuestWindow, Quality, Reading, Source, Waits};
use crate::windows::Folding;

/// Steps in a window: more tell better what was worked off, and cost a reading of each vCPU.
pub const STEPS: u64 = 5;

/// Reads the scheduler's statistics of threads.
#[derive(Debug)]
pub struct Schedstat {
    proc: PathBuf,
    speed: Ratio,
    grain: u64,
    /// The length of a step.
    step: u64,
    /// When it was read first.
    start: Option<u64>,
    steps: u64,
    window: u64,
    guests: BTreeMap<GuestName, Guest>,
}

#[derive(Debug)]
struct Guest {
    uuid: Uuid,
    process: i32,
    threads: Vec<File>,
    folding: Folding,
}

impl Schedstat {
    /// With windows of that length, below that mount of procfs, on a host of that speed.
    #[must_use]
    pub fn new(proc: PathBuf, window: Micros, speed: Ratio) -> Self {
        Self {
            proc,
            speed,
            grain: schedstat_grain(),
            step: (window.0 * 1000 / STEPS).max(1),
            start: None,
            steps: 0,
            window: 0,
            guests: BTreeMap::new(),
        }
    }

    fn sample(&mut self) -> Vec<GuestName> {
        let mut samples = Vec::new();
        let mut lost = Vec::new();
        for (name, guest) in &mut self.guests {
            samples.clear();
            for thread in &guest.threads {
                match thread.read() {
                    Ok(sample) => samples.push(sample),
                    Err(error) => {
                        tracing::debug!("{name}: a vCPU thread is gone: {error}");
                        lost.push(name.clone());
                        break;
                    }
                }
            }
            if samples.len() == guest.threads.len() {
                guest.folding.sample(&samples);
            }
        }
        for name in &lost {
            self.guests.remove(name);
        }
        lost
    }

    fn close(&mut self) -> Vec<GuestWindow> {
        let (grain, speed) = (self.grain, self.speed);
        let closed = self.guests.iter_mut().filter_map(|(name, guest)| {
            let window = guest.folding.close(grain, speed)?;
            Some(GuestWindow {
                guest: name.clone(),
                uuid: guest.uuid,
                tier: Tier::Schedstat,
                vcpus: u32::try_from(guest.threads.len()).unwrap_or(u32::MAX),
                window,
            })
        });
        closed.collect()
    }
}

impl Source for Schedstat {
    fn tier(&self) -> Tier {
        Tier::Schedstat
    }

    fn window(&self) -> Micros {
        Micros(self.step * STEPS / 1000)
    }

    fn processes(&mut self) -> Option<Vec<i32>> {
        None
    }

    fn follow(
        &mut self,
        guest: &GuestName,
        uuid: Uuid,
        process: i32,
        threads: &[i32],
    ) -> io::Result<()> {
        let same = self.guests.get(guest).is_some_and(|known| {
            (known.uuid, known.process, known.threads.len()) == (uuid, process, threads.len())
        });
        if same {
            return Ok(());
        }
        self.guests.remove(guest);
        let open = |thread: &i32| File::open(&self.proc, process, *thread);
        let threads: Vec<File> = threads.iter().map(open).collect::<io::Result<_>>()?;
        let mut folding = Folding::default();
        folding.restart(threads.len());
        let followed = Guest {
            uuid,
            process,
            threads,
            folding,
        };
        self.guests.insert(guest.clone(), followed);
        Ok(())
    }

    fn forget(&mut self, guest: &GuestName) {
        self.guests.remove(guest);
    }

    fn due(&self) -> u64 {
        self.start
            .map_or(0, |start| start + (self.steps + 1) * self.step)
    }

    fn wakes(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn read(&mut self) -> Reading {
        let first = self.start.is_none();
        let start = *self.start.get_or_insert_with(now);
        if !first && now() < self.due() {
            return Reading::default();
        }
        let mut reading = Reading {
            lost: self.sample(),
            ..Reading::default()
        };
        if first {
            self.close();
            return reading;
        }
        self.steps = (self.steps + 1).max((now() - start) / self.step);
        let reached = self.steps / STEPS;
        if reached > self.window {
            reading.windows = self.close();
            // The first window is given out when the second is over.
            reading.missed = reached - self.window - 1;
            reading.seen = u64::from(self.window > 0);
            self.window = reached;
        }
        reading
    }

    fn quality(&self) -> Quality {
        Quality {
            threads: self.guests.values().map(|g| g.threads.len() as u64).sum(),
            threads_max: u64::MAX,
            ..Quality::default()
        }
    }

    fn prepare_dirty(&mut self) {}

    fn begin_dirty(&mut self, _: &GuestName) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn end_dirty(&mut self, _: &GuestName) -> Option<u64> {
        None
    }

    fn waits(&self, _: &GuestName) -> Option<Waits> {
        None
    }
}
