//! `GET /healthz`: which part of the daemon is stale, for how long, and why. Each recovers by itself.

use super::Shared;
use super::wire::Health;
use crate::live::Live;
use crate::sample::now;

/// A part that did nothing for longer is stale, in milliseconds.
const STALE: u64 = 5_000;

impl Shared {
    pub(super) fn health(&self) -> Health {
        let greeting = self.greeting();
        self.live(|live| {
            let ages = Ages::of(live, greeting.now_us, now());
            let faults = faults(live, &ages);
            Health {
                ok: faults.is_empty(),
                greeting,
                faults,
                newest_us: live.newest_us,
                windows_age_ms: ages.windows,
                guests_age_ms: ages.guests,
                measured: live.measured(),
                not_measured: live
                    .not_measured
                    .iter()
                    .map(|(guest, why)| (guest.to_string(), why.clone()))
                    .collect(),
            }
        })
    }
}

/// How old the newest of each is, in milliseconds; `None` where there is none yet.
struct Ages {
    windows: Option<u64>,
    guests: Option<u64>,
    /// Of the whole measuring.
    measuring: u64,
}

impl Ages {
    /// At a moment of Unix time in microseconds, which is that one of `CLOCK_MONOTONIC` in
    /// nanoseconds.
    fn of(live: &Live, unix_us: u64, monotonic: u64) -> Self {
        let since = |at: u64| monotonic.saturating_sub(at) / 1_000_000;
        let libvirt = live.libvirt.as_ref();
        Self {
            windows: live.newest_us.map(|us| unix_us.saturating_sub(us) / 1000),
            guests: libvirt.and_then(|listed| listed.newest).map(since),
            measuring: libvirt.map_or(0, |listed| since(listed.began)),
        }
    }
}

fn faults(live: &Live, ages: &Ages) -> Vec<String> {
    let seconds = |ms: u64| ms / 1000;
    let windows = match ages.windows {
        None => Some("nothing was measured yet".to_owned()),
        Some(age) if age > STALE => Some(format!("nothing was measured for {} s", seconds(age))),
        Some(_) => None,
    };
    let why = live.libvirt.as_ref().and_then(|l| l.fault.as_deref());
    let why = why.unwrap_or("it does not answer");
    let guests = match (&live.libvirt, ages.guests) {
        (None, _) => None,
        (Some(_), None) => Some(format!(
            "libvirt has listed no guests in {} s since the start: {why}",
            seconds(ages.measuring)
        )),
        (Some(_), Some(age)) if age > STALE => Some(format!(
            "libvirt has not listed the guests for {} s, those known by then are measured: {why}",
            seconds(age)
        )),
        (Some(_), Some(_)) => None,
    };
    let history = live.history.fault.as_ref();
    let history = history.map(|why| format!("the history is not written: {why}"));
    [windows, guests, history].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Listed;

    fn said(live: &Live, unix_us: u64, monotonic: u64) -> Vec<String> {
        faults(live, &Ages::of(live, unix_us, monotonic))
    }

    #[test]
    fn the_part_that_is_stale_is_named_with_its_age_and_the_reason() {
        const S: u64 = 1_000_000_000;
        let listed = |newest, fault: Option<&str>| Listed {
            began: 100 * S,
            newest,
            fault: fault.map(str::to_owned),
        };
        let mut live = Live::default();
        assert_eq!(said(&live, 0, 0), ["nothing was measured yet"]);
        live.newest_us = Some(5_000_000);
        assert!(said(&live, 9_000_000, 0).is_empty());
        assert_eq!(
            said(&live, 17_500_000, 0),
            ["nothing was measured for 12 s"]
        );
        live.libvirt = Some(listed(None, Some("cannot connect")));
        assert_eq!(
            said(&live, 9_000_000, 103 * S),
            ["libvirt has listed no guests in 3 s since the start: cannot connect"]
        );
        live.libvirt = Some(listed(Some(200 * S), None));
        assert!(said(&live, 9_000_000, 205 * S).is_empty());
        assert_eq!(
            said(&live, 9_000_000, 207 * S),
            [
                "libvirt has not listed the guests for 7 s, those known by then are measured: it \
                 does not answer"
            ]
        );
        live.libvirt = Some(listed(Some(200 * S), Some("gone")));
        assert!(said(&live, 9_000_000, 207 * S)[0].ends_with("measured: gone"));
        // One list that failed is no fault yet.
        assert!(said(&live, 9_000_000, 202 * S).is_empty());
        live.history.fault = Some("full".to_owned());
        assert_eq!(
            said(&live, 9_000_000, 202 * S),
            ["the history is not written: full"]
        );
    }
}
