//! Asks libvirt which guests run, on a thread of its own: a daemon that stalls must not delay the
//! sampling.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use crate::sample::now;

/// How often the guests are listed where their threads can be read.
const SELDOM: Duration = Duration::from_secs(1);

/// What libvirt said at one moment.
#[derive(Debug)]
pub struct Listing {
    /// When it was asked, in nanoseconds of `CLOCK_MONOTONIC`.
    pub at: u64,
    /// The running guests.
    pub guests: Result<Vec<Observed>, Error>,
}

impl Listing {
    /// Asks now.
    pub fn make(list: &mut impl FnMut() -> Result<Vec<Observed>, Error>) -> Self {
        let before = now();
        let guests = list();
        // libvirt reads the counters somewhere in between.
        let at = before + (now() - before) / 2;
        Self { at, guests }
    }
}

/// A thread that lists the guests; it ends when this is dropped.
#[derive(Debug)]
pub struct Lister {
    listings: Receiver<Listing>,
    wishes: Sender<Wish>,
}

/// What may be asked of the lister.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// To list once, now.
    Now,
    /// To list often from now on.
    Often,
}

impl Lister {
    /// Lists every second, or every `often` once there is a [hurry](Self::hurry).
    pub fn start(
        mut list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
        often: Duration,
    ) -> Self {
        let (send, listings) = channel();
        let (wishes, wished) = channel();
        std::thread::spawn(move || {
            let mut period = SELDOM.max(often);
            let mut next = Instant::now() + period;
            loop {
                match wished.recv_timeout(next.saturating_duration_since(Instant::now())) {
                    Ok(Wish::Now) => next = Instant::now(),
                    Ok(Wish::Often) => {
                        period = often;
                        next = next.min(Instant::now() + period);
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                if send.send(Listing::make(&mut list)).is_err() {
                    return;
                }
                next = (next + period).max(Instant::now());
            }
        });
        Self { listings, wishes }
    }

    /// What has been listed since the last call.
    pub fn news(&self) -> impl Iterator<Item = Listing> {
        self.listings.try_iter()
    }

    /// Lists at the windows' pace from now on, because the listings' counters are needed.
    pub fn hurry(&self) {
        // A thread that has ended has said why in its last listing.
        let _ = self.wishes.send(Wish::Often);
    }

    /// Lists once, now.
    pub fn ask(&self) {
        let _ = self.wishes.send(Wish::Now);
    }
}
