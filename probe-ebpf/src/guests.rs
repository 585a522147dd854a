//! Asks libvirt which guests run, on a thread of its own: a daemon that stalls must not delay the
//! sampling.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use crate::sample::now;

/// How often the guests are listed where their threads can be read.
const SELDOM: Duration = Duration::from_secs(1);
/// The longest pause before a libvirt that did not answer is asked again.
const LONGEST: Duration = Duration::from_secs(16);
/// How long a listing is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// However often it is wished, there is that long between two lists: whoever may name a thread may
/// cause a wish.
const APART: Duration = Duration::from_millis(100);
/// A vCPU's thread is there before libvirt tells of its vCPU or guest: after a wish to list now, the
/// guests are listed again so long after it.
const AGAIN: [Duration; 2] = [Duration::from_millis(150), Duration::from_millis(450)];

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
    /// Lists now and then every second, or every `often` once there is a [hurry](Self::hurry); after
    /// failures in turn less and less often.
    pub fn start(
        mut list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
        often: Duration,
    ) -> Self {
        let (send, listings) = channel();
        let (wishes, wished) = channel();
        std::thread::spawn(move || {
            let mut period = SELDOM.max(often);
            let mut next = Instant::now();
            let mut failures = 0;
            let mut again: Vec<Instant> = Vec::new();
            let mut listed: Option<Instant> = None;
            loop {
                let mut due = again.first().copied().unwrap_or(next).min(next);
                match wished.recv_timeout(due.saturating_duration_since(Instant::now())) {
                    Ok(Wish::Now) if failures > 0 => continue,
                    Ok(Wish::Now) => {
                        due = Instant::now();
                        again = AGAIN.map(|pause| due + pause).to_vec();
                        if listed.is_some_and(|at| due < at + APART) {
                            continue;
                        }
                    }
                    Ok(Wish::Often) => {
                        period = often;
                        if failures == 0 {
                            next = next.min(Instant::now() + period);
                        }
                        continue;
                    }
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => {}
                }
                let listing = Listing::make(&mut list);
                listed = Some(Instant::now());
                failures = listing.guests.as_ref().map_or(failures + 1, |_| 0);
                if send.send(listing).is_err() {
                    return;
                }
                let now = Instant::now();
                again.retain(|at| *at > now && failures == 0);
                next = (due + pause(period, failures)).max(now);
            }
        });
        Self { listings, wishes }
    }

    /// Waits for the next listing, for who cannot do without; a libvirt that hangs is not waited for
    /// any longer than it should take.
    ///
    /// # Errors
    /// When none came.
    pub fn wait(&self) -> Result<Listing, Error> {
        let listing = self.listings.recv_timeout(PATIENCE);
        listing.map_err(|_| Error::Refused {
            host: "this host".to_owned(),
            cause: format!("libvirt has not answered for {} s", PATIENCE.as_secs()),
        })
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

/// The guests, by one list.
///
/// # Errors
/// When libvirt gives none, or does not answer.
pub fn listed_once(
    list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
) -> Result<Vec<Observed>, Error> {
    Lister::start(list, SELDOM).wait()?.guests
}

/// Until the next listing, after so many failures in turn: twice as long after each.
fn pause(period: Duration, failures: u32) -> Duration {
    match failures {
        0 => period,
        n => SELDOM.saturating_mul(1 << (n - 1).min(8)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_followed_by_more_lists_and_then_by_the_usual_pace() {
        let lister = Lister::start(|| Ok(Vec::new()), Duration::from_millis(100));
        let first = lister.wait().unwrap();
        lister.ask();
        // At the wish, twice more, and each second again.
        let times: Vec<u64> = (0..4).map(|_| lister.wait().unwrap().at).collect();
        let after = |at: u64| (at - times[0]) / 1_000_000;
        assert!(times[0] >= first.at);
        assert!(
            after(times[1]) >= 149 && after(times[2]) >= 449,
            "{times:?}"
        );
        assert!(after(times[3]) >= 1400, "{times:?}");
    }

    #[test]
    fn many_wishes_are_few_lists() {
        let lister = Lister::start(|| Ok(Vec::new()), Duration::from_millis(100));
        lister.wait().unwrap();
        let begin = Instant::now();
        let mut lists = 0;
        while begin.elapsed() < Duration::from_millis(550) {
            lister.ask();
            lists += lister.news().count();
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!((1..=6).contains(&lists), "{lists}");
    }

    #[test]
    fn who_does_not_answer_is_asked_less_and_less_often() {
        let often = Duration::from_millis(100);
        assert_eq!(pause(often, 0), often);
        let pauses: Vec<u64> = (1..=7).map(|n| pause(often, n).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 16, 16]);
        assert_eq!(pause(often, u32::MAX), LONGEST);
    }
}
