//! Whether the machine itself stood still: then nothing that was measured is the watch's doing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the clock is looked at.
const OFTEN: Duration = Duration::from_millis(10);
/// A thread that asks for nothing is never woken so late by what runs here, whose CPU is limited.
const STOOD: Duration = Duration::from_millis(200);

/// A thread that asks for nothing but to be woken in time, for as long as this lives.
pub(super) struct Stalls {
    latest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Stalls {
    pub(super) fn watch() -> Self {
        let latest = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (most, stopped) = (Arc::clone(&latest), Arc::clone(&stop));
        std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let asked = Instant::now();
                std::thread::sleep(OFTEN);
                let late = asked.elapsed().saturating_sub(OFTEN);
                let late = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
                most.fetch_max(late, Ordering::Relaxed);
            }
        });
        Self { latest, stop }
    }

    /// How long the machine stood still since this was asked last, if it did.
    pub(super) fn stood(&self) -> Option<Duration> {
        let late = Duration::from_micros(self.latest.swap(0, Ordering::Relaxed));
        (late >= STOOD).then_some(late)
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
