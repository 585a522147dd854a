//! The measuring thread: turns what the [measurement](crate::measure) hands out into ticks, and
//! passes them on to the live state, the stream and the history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use hyper::body::Bytes;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use uuid::Uuid;
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use super::Shared;
use super::store::{Began, Entry};
use super::wire::{Event, line};
use crate::interval::{Intervals, Row};
use crate::measure::Measurement;
use crate::sample::now;
use crate::source::{Batch, DirtyRate, Overload, Waits};
use crate::tick::{Dirty, GuestTick, Tick, unix_us};

/// How often the guests' single waits are told to the metrics, in nanoseconds.
const WAITS: u64 = 1_000_000_000;
/// How often it is told who is here and how well they are measured, in nanoseconds. It takes a
/// system call for each program and a look at each vCPU.
const STATE: u64 = 250_000_000;

/// Where ticks go.
pub(crate) struct Sink {
    shared: Arc<Shared>,
    intervals: Intervals,
    /// That began since the last rows.
    overloads: Vec<Began>,
    store: SyncSender<Entry>,
}

/// The most overloads of ten seconds that are kept.
const OVERLOADS: usize = 100;

/// Measures until the daemon stops. It never waits for libvirt, which may not be up yet or hang:
/// guests that are known go on being measured.
pub(super) fn measure(
    shared: &Arc<Shared>,
    list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
    mut sink: Sink,
) {
    let mut measurement = Measurement::begin(shared.settings.measuring.clone(), list);
    let mut dirty = BTreeMap::new();
    let (mut told, mut stated) = (now(), 0);
    while !shared.stops() {
        let batch = measurement.step();
        shared.beat();
        for rate in &batch.dirty {
            dirty.insert(rate.uuid, dirty_at(rate));
        }
        for overload in &batch.overloads {
            sink.overload(*overload);
        }
        if batch.seen > 0 || !batch.windows.is_empty() {
            let cores = shared.settings.host_mcores;
            sink.tick(tick(&batch, &measurement, &dirty, cores));
        }
        let listed = measurement.listing().clone();
        shared.live(|live| {
            live.libvirt = Some(listed);
            live.windows_seen += batch.seen;
            live.windows_missed += batch.missed;
        });
        if now().saturating_sub(stated) > STATE {
            stated = now();
            let known: BTreeSet<Uuid> = measurement.guests().values().map(|g| g.uuid).collect();
            dirty.retain(|uuid, _| known.contains(uuid));
            state(shared, &measurement);
        }
        if now().saturating_sub(told) > WAITS {
            told = now();
            let waits = waits(&measurement);
            shared.live(|live| live.waited(&waits));
        }
        wait(&measurement);
    }
    sink.end();
}

/// The single waits of every guest that is here.
fn waits(measurement: &Measurement) -> Vec<(Uuid, Waits)> {
    let guests = measurement.guests().iter().filter(|(_, guest)| guest.here);
    let waits = guests.filter_map(|(name, guest)| Some((guest.uuid, measurement.waits(name)?)));
    waits.collect()
}

/// What the live state says besides the ticks.
fn state(shared: &Shared, measurement: &Measurement) {
    let not_measured = measurement
        .guests()
        .iter()
        .filter(|(_, guest)| guest.here && guest.tier.is_none());
    let not_measured = not_measured
        .map(|(name, guest)| (name.clone(), guest.unseen.clone()))
        .collect();
    let here = measurement.guests().values();
    let here = here.filter(|guest| guest.here && guest.tier.is_some());
    let here: BTreeSet<Uuid> = here.map(|guest| guest.uuid).collect();
    let quality = measurement.quality();
    shared.live(|live| {
        live.measured_are(&here);
        live.quality = Some(quality);
        live.not_measured = not_measured;
    });
}

/// What a step of the measurement says, on a host of so many thousandths of a core.
pub(crate) fn tick(
    batch: &Batch,
    measurement: &Measurement,
    dirty: &BTreeMap<Uuid, Dirty>,
    host_mcores: u64,
) -> Tick {
    let mut guests: Vec<GuestTick> = Vec::with_capacity(batch.windows.len());
    let mut end = None;
    for window in &batch.windows {
        let part = &window.window;
        end = end.max(Some(part.start.saturating_add(part.length)));
        // Windows come in the order of their guests.
        let same = guests.last_mut().filter(|g| g.uuid == window.uuid);
        let guest = match same {
            Some(guest) => guest,
            None => {
                guests.push(GuestTick {
                    guest: window.guest.clone(),
                    uuid: window.uuid,
                    vcpus: window.vcpus,
                    tier: window.tier,
                    length_us: 0,
                    run_ns: 0,
                    run_delay_ns: 0,
                    throttled_ns: 0,
                    demand_mcores: Vec::new(),
                    resident_mib: measurement
                        .guests()
                        .get(&window.guest)
                        .and_then(|g| g.resident)
                        .map(|m| m.0),
                    dirty: dirty.get(&window.uuid).copied(),
                });
                match guests.last_mut() {
                    Some(guest) => guest,
                    None => continue,
                }
            }
        };
        guest.vcpus = window.vcpus;
        guest.tier = crate::interval::worse(guest.tier, window.tier);
        guest.length_us += part.length / 1000;
        guest.run_ns = guest.run_ns.saturating_add(part.run);
        guest.run_delay_ns = guest.run_delay_ns.saturating_add(part.delay);
        guest.throttled_ns = guest.throttled_ns.saturating_add(part.throttled);
        guest.demand_mcores.push(part.demand.0);
    }
    Tick {
        end_us: wall(end.unwrap_or_else(now)),
        host_mcores,
        guests,
    }
}

/// An overload as the stream tells it, of that moment in microseconds of Unix time.
pub(crate) fn overload_event(overload: &Overload, at_us: u64) -> Event {
    Event::Overload {
        began: overload.began,
        at_us,
        demand_mcores: overload.demand.0,
        cores_mcores: overload.cores.0,
    }
}

fn dirty_at(rate: &DirtyRate) -> Dirty {
    let pages = u128::from(rate.pages) * 1_000_000_000;
    let rate_per_second = pages.div_ceil(u128::from(rate.length.max(1)));
    Dirty {
        pages_per_second: u64::try_from(rate_per_second).unwrap_or(u64::MAX),
        tier: rate.tier,
        at: wall(rate.end) / 1_000_000,
    }
}

/// Waits until the next step is due or there is something to read, and no longer than it may take
/// to notice that the daemon stops.
pub(crate) fn wait(measurement: &Measurement) {
    let left = measurement.due().saturating_sub(now());
    let left = Duration::from_nanos(left).min(Duration::from_millis(250));
    let mut wakes: Vec<PollFd<'_>> = measurement
        .wakes()
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .into_iter()
        .collect();
    // A wait that is cut short is a step that is early.
    let _ = ppoll(&mut wakes, Some(TimeSpec::from(left)), None);
}

impl Sink {
    pub(super) fn new(shared: Arc<Shared>, store: SyncSender<Entry>) -> Self {
        Self {
            shared,
            intervals: Intervals::default(),
            overloads: Vec::new(),
            store,
        }
    }

    pub(crate) fn tick(&mut self, tick: Tick) {
        let rows = self.intervals.add(&tick);
        let event = Event::Windows(tick);
        if self.shared.events.receiver_count() > 0 {
            self.tell(&event);
        }
        if let Event::Windows(tick) = event {
            self.shared.live(|live| live.tick(tick));
        }
        self.keep(rows);
    }

    pub(crate) fn overload(&mut self, overload: Overload) {
        self.shared.live(|live| live.overloaded(overload));
        let at_us = wall(overload.at);
        self.tell(&overload_event(&overload, at_us));
        if overload.began {
            // The stream and the metrics have said it; the history says no more of ten seconds.
            if self.overloads.len() < OVERLOADS {
                self.overloads.push(Began {
                    at_us,
                    wanted: overload.demand.0,
                    cores: overload.cores.0,
                });
            }
        }
    }

    fn tell(&self, event: &Event) {
        // There may be no reader.
        let _ = self.shared.events.send(Bytes::from(line(event)));
    }

    fn keep(&mut self, rows: Vec<Row>) {
        if rows.is_empty() {
            return;
        }
        self.shared.live(|live| live.interval(&rows));
        let overloads = std::mem::take(&mut self.overloads);
        let sent = self.store.try_send(Entry { rows, overloads });
        if let Err(TrySendError::Full(entry) | TrySendError::Disconnected(entry)) = sent {
            self.shared.live(|live| {
                live.history.rows_lost += entry.rows.len() as u64;
                live.history.fault = Some("the disk does not keep up; rows are lost".to_owned());
            });
        }
    }

    /// Keeps what there is of the open interval.
    pub(super) fn end(mut self) {
        let rows = self.intervals.close();
        self.keep(rows);
    }
}

/// A moment of `CLOCK_MONOTONIC` in nanoseconds as microseconds of Unix time.
pub(crate) fn wall(at: u64) -> u64 {
    let (here, unix) = (now(), unix_us());
    if at <= here {
        unix.saturating_sub((here - at) / 1000)
    } else {
        unix.saturating_add((at - here) / 1000)
    }
}
