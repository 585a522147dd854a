//! The recording: measures for a while, and makes the load of what was measured.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::units::{Micros, MilliCores, PagesPerSec};
use vmpack_domain::{GuestLoad, GuestName, Load, Tier};
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use crate::demand::share;
use crate::measure::{self, Measurement};
use crate::sample::{now, own_cpu_time};
use crate::source::{DirtyRate, GuestWindow};
use crate::windows::Series;

/// What is recorded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long.
    pub length: Micros,
    /// How it is measured.
    pub measuring: measure::Settings,
}

/// How far a recording has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Since its start.
    pub elapsed: Micros,
    /// Guests that are being measured.
    pub guests: usize,
    /// vCPU threads that are being read.
    pub vcpus: usize,
    /// Windows that were missed so far.
    pub missed: u64,
}

/// What was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recording {
    /// The load of every guest that was measured.
    pub load: Load,
    /// The guests that run here and were not, and why.
    pub not_measured: BTreeMap<GuestName, String>,
    /// The guests that left this host meanwhile. Where one runs now it is measured by the probe
    /// there; were it in both loads, they would contradict each other.
    pub left: BTreeSet<GuestName>,
    /// Windows since the start, missed ones not counted.
    pub windows: u64,
    /// Windows that ended unseen because the probe was woken late. Their time counts in the window
    /// that was open, over its real length.
    pub missed: u64,
    /// What the reader should know.
    pub notes: Vec<String>,
    /// CPU that the probe itself used.
    pub cost: MilliCores,
}

/// Records until the length is over or `wait` says to end. `list` asks which guests run; `wait`
/// waits until a moment of `CLOCK_MONOTONIC` in nanoseconds and returns whether to go on; `told`
/// hears of the progress at each window's end.
///
/// # Errors
/// When the guests cannot be listed at the start.
pub fn record(
    settings: &Settings,
    list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
    wait: &mut dyn FnMut(u64) -> bool,
    told: &mut dyn FnMut(Progress),
) -> Result<Recording, Error> {
    let (start, cost) = (now(), own_cpu_time());
    let mut measurement = Measurement::start(settings.measuring.clone(), list)?;
    let windows = settings
        .length
        .0
        .div_ceil(settings.measuring.window.0.max(1));
    let mut recorded: BTreeMap<GuestName, Recorded> = BTreeMap::new();
    let (mut seen, mut missed) = (0, 0);
    loop {
        let batch = measurement.step();
        for window in &batch.windows {
            recorded
                .entry(window.guest.clone())
                .or_default()
                .push(window);
        }
        for rate in batch.dirty {
            recorded
                .entry(rate.guest.clone())
                .or_default()
                .dirtied(rate);
        }
        seen += batch.seen;
        missed += batch.missed;
        if batch.seen + batch.missed > 0 {
            let (guests, vcpus) = measurement.measured();
            told(Progress {
                elapsed: Micros((now() - start) / 1000),
                guests,
                vcpus,
                missed,
            });
        }
        if seen + missed >= windows || !wait(measurement.due()) {
            break;
        }
    }
    let mut recording = finish(&measurement, &recorded);
    recording.windows = seen;
    recording.missed = missed;
    recording.cost = share(own_cpu_time() - cost, now() - start);
    Ok(recording)
}

/// What was recorded of a guest.
#[derive(Debug, Default)]
struct Recorded {
    series: Series,
    /// The worst tier of its windows: the load is no better than they are.
    tier: Option<Tier>,
    /// The window in which it dirtied most.
    dirty: Option<DirtyRate>,
}

impl Recorded {
    fn push(&mut self, window: &GuestWindow) {
        self.series.push(&window.window);
        // The tiers are declared best first.
        let worse = self
            .tier
            .is_none_or(|tier| (tier as u8) < window.tier as u8);
        if worse {
            self.tier = Some(window.tier);
        }
    }

    fn dirtied(&mut self, rate: DirtyRate) {
        if self
            .dirty
            .as_ref()
            .is_none_or(|d| per_second(d) < per_second(&rate))
        {
            self.dirty = Some(rate);
        }
    }
}

/// Rounded up.
fn per_second(rate: &DirtyRate) -> PagesPerSec {
    let pages = u128::from(rate.pages) * 1_000_000_000;
    let pages = pages.div_ceil(u128::from(rate.length.max(1)));
    PagesPerSec(u64::try_from(pages).unwrap_or(u64::MAX))
}

fn finish(measurement: &Measurement, recorded: &BTreeMap<GuestName, Recorded>) -> Recording {
    let written = now();
    let mut recording = Recording {
        notes: measurement.notes().iter().cloned().collect(),
        ..Recording::default()
    };
    for (name, guest) in measurement.guests() {
        if !guest.here {
            recording.left.insert(name.clone());
            continue;
        }
        let measured = recorded.get(name).and_then(|recorded| {
            let cpu = recorded.series.load(measurement.window())?;
            let newest = recorded.series.newest();
            Some(GuestLoad {
                cpu: Some(cpu),
                dirty: recorded.dirty.as_ref().map(per_second),
                dirty_tier: recorded.dirty.as_ref().map(|rate| rate.tier),
                memory: guest.resident,
                tier: recorded.tier,
                age: newest.map(|at| Micros(written.saturating_sub(at) / 1000)),
                ..GuestLoad::default()
            })
        });
        match measured {
            Some(load) => {
                recording.load.guests.insert(name.clone(), load);
            }
            None => {
                let why = match guest.unseen.as_str() {
                    "" => "it was seen for less than two windows",
                    why => why,
                };
                recording.not_measured.insert(name.clone(), why.to_owned());
            }
        }
    }
    recording
}
