//! What an event costs: the kernel counts the programs' runs and the time that they take
//! (`BPF_ENABLE_STATS`). The counting itself costs some tens of nanoseconds a run, of every program on
//! the host, so it is on for a second of each minute. It takes CAP_SYS_ADMIN; without it there are
//! figures only where `kernel.bpf_stats_enabled` is set.

use std::os::fd::OwnedFd;

use aya::sys::{Stats, enable_stats};

/// From the start to the first sample, when guests are followed.
const FIRST: u64 = 2_000_000_000;
/// How long a sample is.
const LENGTH: u64 = 1_000_000_000;
/// From one sample's start to the next's.
const EVERY: u64 = 60_000_000_000;

/// The sampling.
#[derive(Debug)]
pub(super) struct Cost {
    /// The kernel counts until this is closed.
    counting: Option<OwnedFd>,
    /// When a sample begins or ends.
    next: u64,
}

impl Cost {
    pub(super) fn new(now: u64) -> Self {
        Self {
            counting: None,
            next: now + FIRST,
        }
    }

    /// Begins or ends a sample if that is due.
    pub(super) fn step(&mut self, now: u64) {
        if now < self.next {
            return;
        }
        if self.counting.take().is_some() {
            self.next = now + EVERY - LENGTH;
            return;
        }
        match enable_stats(Stats::RunTime) {
            Ok(counting) => {
                self.counting = Some(counting);
                self.next = now + LENGTH;
            }
            Err(error) => {
                tracing::debug!("what an event costs is not counted: {error}");
                self.next = now + EVERY;
            }
        }
    }

    #[cfg(test)]
    pub(super) fn is_counting(&self) -> bool {
        self.counting.is_some()
    }
}
