//! What a benchmark's limit and seconds are counted in.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use vmpack_domain::units::Micros;

use crate::cli::inputs::micros;

/// A clock from its start.
pub(super) enum Clock {
    Wall(Instant),
    /// Processor time of this process, all threads.
    Processor(Duration),
}

impl Clock {
    /// Starts; by processor time if asked for and if the system tells it.
    pub(super) fn start(processor: bool) -> Self {
        match used().filter(|_| processor) {
            Some(used) => Self::Processor(used),
            None => Self::Wall(Instant::now()),
        }
    }

    pub(super) fn elapsed(&self) -> Micros {
        match self {
            Self::Wall(began) => micros(*began),
            Self::Processor(began) => {
                let spent = used().unwrap_or_default().saturating_sub(*began);
                Micros(u64::try_from(spent.as_micros()).unwrap_or(u64::MAX))
            }
        }
    }
}

/// The processor time of this process.
fn used() -> Option<Duration> {
    let time = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
    Some(time.into())
}
