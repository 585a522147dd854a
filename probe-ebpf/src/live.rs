//! What the daemon knows now: the newest tick of each guest, sums since its start, and how well it
//! does. The metrics, the health and the greeting of a stream are read from here.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;
use vmpack_domain::GuestName;

use crate::history::Extent;
use crate::interval::Row;
use crate::measure::Listed;
use crate::source::{Overload, Quality, Waits};
use crate::tick::{GuestTick, Tick};

/// A guest of which no tick came for that long, in microseconds, is forgotten: were it to come back
/// sooner, its sums go on.
const FORGOTTEN: u64 = 30_000_000;

/// The state of the daemon.
#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    guests: BTreeMap<Uuid, GuestLive>,
    arrivals: u64,
    /// The guests that run here and are not measured, and why.
    pub(crate) not_measured: BTreeMap<GuestName, String>,
    /// When the newest tick ended, in microseconds of Unix time.
    pub(crate) newest_us: Option<u64>,
    /// The host's cores in thousandths.
    pub(crate) host_mcores: u64,
    /// Windows of the whole host, seen and missed.
    pub(crate) windows_seen: u64,
    pub(crate) windows_missed: u64,
    /// Overloads that began.
    pub(crate) overloads: u64,
    /// The one that has not ended.
    pub(crate) overload: Option<Overload>,
    /// `None` before the measuring has begun.
    pub(crate) quality: Option<Quality>,
    pub(crate) history: HistoryLive,
    pub(crate) server: ServerLive,
    /// How the lists of guests do; `None` before the measuring has begun.
    pub(crate) libvirt: Option<Listed>,
}

/// How the history does.
#[derive(Debug, Clone, Default)]
pub(crate) struct HistoryLive {
    pub(crate) extent: Extent,
    pub(crate) rows: u64,
    /// Rows that were not written, for whatever reason.
    pub(crate) rows_lost: u64,
    /// Why the last write failed, if it did.
    pub(crate) fault: Option<String>,
}

/// How the server does.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerLive {
    pub(crate) requests: u64,
    pub(crate) connections: u64,
    pub(crate) connections_refused: u64,
    pub(crate) streams: u64,
    pub(crate) streams_dropped: u64,
    /// Lines that they did not get.
    pub(crate) stream_lines_lost: u64,
    /// When the server's certificate expires, in Unix seconds.
    pub(crate) certificate_expires: Option<i64>,
}

/// One guest.
#[derive(Debug, Clone)]
pub(crate) struct GuestLive {
    arrival: u64,
    seen_us: u64,
    /// Whether it runs here and is measured; else it is not told of.
    here: bool,
    /// Its newest tick.
    pub(crate) tick: GuestTick,
    /// Sums since the daemon saw it first, in nanoseconds.
    pub(crate) run_ns: u64,
    pub(crate) run_delay_ns: u64,
    pub(crate) throttled_ns: u64,
    /// Demand × time, in thousandths of a core × microseconds.
    pub(crate) wanted: u128,
    /// Its newest ten seconds.
    pub(crate) row: Option<Row>,
    /// Its single waits, where those are seen.
    pub(crate) waits: Option<Waits>,
}

impl Live {
    /// Takes a tick in.
    pub(crate) fn tick(&mut self, tick: Tick) {
        let end_us = tick.end_us;
        self.newest_us = Some(tick.end_us);
        self.host_mcores = tick.host_mcores;
        for new in tick.guests {
            let guest = self.guests.entry(new.uuid).or_insert_with(|| {
                self.arrivals += 1;
                GuestLive {
                    arrival: self.arrivals,
                    seen_us: 0,
                    here: true,
                    tick: new.clone(),
                    run_ns: 0,
                    run_delay_ns: 0,
                    throttled_ns: 0,
                    wanted: 0,
                    row: None,
                    waits: None,
                }
            });
            guest.seen_us = end_us;
            guest.here = true;
            guest.run_ns = guest.run_ns.saturating_add(new.run_ns);
            guest.run_delay_ns = guest.run_delay_ns.saturating_add(new.run_delay_ns);
            guest.throttled_ns = guest.throttled_ns.saturating_add(new.throttled_ns);
            guest.wanted += u128::from(new.demand().0) * u128::from(new.length_us);
            guest.tick = new;
        }
        self.guests
            .retain(|_, guest| end_us.abs_diff(guest.seen_us) <= FORGOTTEN);
    }

    /// Takes an interval's rows in.
    pub(crate) fn interval(&mut self, rows: &[Row]) {
        for row in rows {
            if let Some(guest) = self.guests.get_mut(&row.uuid) {
                guest.row = Some(row.clone());
            }
        }
    }

    /// How the guests waited until now.
    pub(crate) fn waited(&mut self, waits: &[(Uuid, Waits)]) {
        for (uuid, waits) in waits {
            if let Some(guest) = self.guests.get_mut(uuid) {
                guest.waits = Some(*waits);
            }
        }
    }

    /// An overload began or ended.
    pub(crate) fn overloaded(&mut self, overload: Overload) {
        self.overloads += u64::from(overload.began);
        self.overload = overload.began.then_some(overload);
    }

    /// No guests but these are measured now.
    pub(crate) fn measured_are(&mut self, here: &BTreeSet<Uuid>) {
        for (uuid, guest) in &mut self.guests {
            guest.here = here.contains(uuid);
        }
    }

    fn here(&self) -> impl Iterator<Item = &GuestLive> {
        self.guests.values().filter(|guest| guest.here)
    }

    /// How many guests are measured.
    pub(crate) fn measured(&self) -> usize {
        self.here().count()
    }

    /// The guests that came first, at most so many, by name: whoever is told of stays told of.
    pub(crate) fn first(&self, bound: usize) -> Vec<&GuestLive> {
        let mut guests: Vec<&GuestLive> = self.here().collect();
        guests.sort_unstable_by_key(|guest| guest.arrival);
        guests.truncate(bound);
        guests.sort_by(|a, b| a.tick.guest.cmp(&b.tick.guest));
        guests
    }

    /// What all guests wanted in the newest tick, in thousandths of a core.
    pub(crate) fn wanted(&self) -> u64 {
        self.here().map(|g| g.tick.demand().0).sum()
    }
}
