//! The recording: samples every vCPU at each step, closes windows, and makes the load of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use uuid::Uuid;
use vmpack_domain::units::{MiB, Micros, MilliCores, Ratio};
use vmpack_domain::{GuestLoad, GuestName, Load, Tier};
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use crate::demand::{Sample, share};
use crate::guests::{Lister, Listing};
use crate::sample::{LIBVIRT_GRAIN, Schedstat, now, own_cpu_time, schedstat_grain, tickless_cpus};
use crate::threads;
use crate::windows::GuestWindows;

/// Steps in a window: more tell better what was worked off, and cost a reading of each vCPU.
pub const STEPS: u64 = 5;

/// What is recorded.
#[derive(Debug, Clone)]
pub struct Settings {
    /// For how long.
    pub length: Micros,
    /// The length of a window.
    pub window: Micros,
    /// The speed of this host's cores.
    pub speed: Ratio,
    /// Where procfs is mounted.
    pub proc: PathBuf,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
    mut list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
    wait: &mut dyn FnMut(u64) -> bool,
    told: &mut dyn FnMut(Progress),
) -> Result<Recording, Error> {
    let mut host = Host::new(settings);
    let first = Listing::make(&mut list);
    let lister = Lister::start(list, settings.window.to_std());
    host.listed(first.at, first.guests?);

    let step = (settings.window.0 * 1000 / STEPS).max(1);
    // One window more than asked for: it tells what was in progress at the end of the last.
    let windows = settings.length.0.div_ceil(settings.window.0.max(1)) + 1;
    let (start, cost) = (now(), own_cpu_time());
    let (mut steps, mut window, mut missed) = (0, 0, 0);
    host.sample();
    host.close();
    while window < windows {
        steps += 1;
        if !wait(start + steps * step) {
            break;
        }
        host.sample();
        steps = steps.max((now() - start) / step);
        let reached = steps / STEPS;
        if reached > window {
            host.close();
            missed += reached - window - 1;
            window = reached;
            told(host.progress(start, missed));
        }
        for listing in lister.news() {
            match listing.guests {
                Ok(guests) => host.listed(listing.at, guests),
                Err(error) => host.note(error.to_string()),
            }
        }
        if host.needs_listings {
            lister.hurry();
            host.needs_listings = false;
        }
    }
    let elapsed = now() - start;
    let seen = window.saturating_sub(missed + 1);
    Ok(host.finish(seen, missed, share(own_cpu_time() - cost, elapsed)))
}

/// The guests of this host.
struct Host<'a> {
    settings: &'a Settings,
    grain: u64,
    guests: BTreeMap<GuestName, Guest>,
    notes: BTreeSet<String>,
    /// Since when it is known which processes there are, by `CLOCK_MONOTONIC`.
    searched: Option<u64>,
    /// A guest is measured by the listings' own counters from now on.
    needs_listings: bool,
}

struct Guest {
    uuid: Uuid,
    vcpus: u32,
    /// Whether it was in the last list.
    here: bool,
    source: Source,
    windows: GuestWindows,
    /// Whether a window came from the listings: the load is then no better than they are.
    coarse: bool,
    resident: Option<MiB>,
    /// Why it is not measured by its threads.
    unseen: String,
}

/// Where a guest's samples come from.
enum Source {
    /// Its vCPU threads' files.
    Schedstat {
        process: i32,
        threads: Vec<Schedstat>,
    },
    /// The listings.
    Libvirt { vcpus: usize },
    /// Nowhere, for now.
    Nothing,
}

impl<'a> Host<'a> {
    fn new(settings: &'a Settings) -> Self {
        let mut host = Self {
            settings,
            grain: schedstat_grain(),
            guests: BTreeMap::new(),
            notes: BTreeSet::new(),
            searched: None,
            needs_listings: false,
        };
        if let Some(cpus) = tickless_cpus() {
            host.note(format!(
                "CPUs {cpus} run without a scheduler tick: windows shorter than a second blur there"
            ));
        }
        host
    }

    fn note(&mut self, text: String) {
        if self.notes.insert(text.clone()) {
            tracing::warn!("{text}");
        }
    }

    /// Reads every vCPU thread once.
    fn sample(&mut self) {
        let mut samples = Vec::new();
        for (name, guest) in &mut self.guests {
            let Source::Schedstat { threads, .. } = &guest.source else {
                continue;
            };
            samples.clear();
            for thread in threads {
                match thread.read() {
                    Ok(sample) => samples.push(sample),
                    Err(error) => {
                        tracing::debug!("{name}: a vCPU thread is gone: {error}");
                        break;
                    }
                }
            }
            if samples.len() == threads.len() {
                guest.windows.sample(&samples);
            } else {
                guest.lose("its vCPU threads ended");
                self.searched = None;
            }
        }
    }

    /// Ends the open window of every guest that is measured by its threads.
    fn close(&mut self) {
        for guest in self.guests.values_mut() {
            if matches!(guest.source, Source::Schedstat { .. }) {
                guest.windows.close(self.grain, self.settings.speed);
            }
        }
    }

    /// Takes in which guests run, and the counters that came with the list.
    fn listed(&mut self, at: u64, observed: Vec<Observed>) {
        let proc = &self.settings.proc;
        // A search reads the command line of every process, so it is made once a second at most.
        let search = self
            .searched
            .is_none_or(|then| at.saturating_sub(then) > 900_000_000);
        let mut processes = None;
        let present: BTreeSet<&GuestName> = observed.iter().map(|o| &o.name).collect();
        for (name, guest) in &mut self.guests {
            guest.here = present.contains(name);
            if !guest.here {
                guest.lose("it no longer runs here");
            }
        }
        for seen in &observed {
            let guest = self
                .guests
                .entry(seen.name.clone())
                .or_insert_with(|| Guest::new(seen));
            if guest.uuid != seen.uuid {
                *guest = Guest::new(seen);
            }
            guest.vcpus = seen.vcpus;
            if search && !guest.threads_are_known() {
                let processes = processes.get_or_insert_with(|| threads::processes(proc));
                guest.search(proc, processes, seen);
                self.searched = Some(at);
            }
            if search {
                guest.remember_resident(proc, seen);
            }
            if guest.count(at, seen, self.settings.speed) {
                self.needs_listings = true;
            }
        }
    }

    fn progress(&self, start: u64, missed: u64) -> Progress {
        let counts = self.guests.values().map(|guest| match &guest.source {
            Source::Schedstat { threads, .. } => (1, threads.len()),
            Source::Libvirt { vcpus } => (1, *vcpus),
            Source::Nothing => (0, 0),
        });
        let (guests, vcpus) = counts.fold((0, 0), |(g, v), (guest, vcpus)| (g + guest, v + vcpus));
        Progress {
            elapsed: Micros((now() - start) / 1000),
            guests,
            vcpus,
            missed,
        }
    }

    fn finish(self, windows: u64, missed: u64, cost: MilliCores) -> Recording {
        let written = now();
        let mut load = Load::default();
        let mut not_measured = BTreeMap::new();
        let mut left = BTreeSet::new();
        for (name, guest) in self.guests {
            if !guest.here {
                left.insert(name);
                continue;
            }
            match guest.windows.load(self.settings.window) {
                Some(cpu) => {
                    let age = guest
                        .windows
                        .newest()
                        .map(|at| Micros(written.saturating_sub(at) / 1000));
                    let measured = GuestLoad {
                        cpu: Some(cpu),
                        memory: guest.resident,
                        tier: Some(if guest.coarse {
                            Tier::Libvirt
                        } else {
                            Tier::Schedstat
                        }),
                        age,
                        ..GuestLoad::default()
                    };
                    load.guests.insert(name, measured);
                }
                None if guest.unseen.is_empty() => {
                    not_measured.insert(name, "it was seen for less than two windows".to_owned());
                }
                None => {
                    not_measured.insert(name, guest.unseen);
                }
            }
        }
        Recording {
            load,
            not_measured,
            left,
            windows,
            missed,
            notes: self.notes.into_iter().collect(),
            cost,
        }
    }
}

impl Guest {
    fn new(seen: &Observed) -> Self {
        Self {
            uuid: seen.uuid,
            vcpus: seen.vcpus,
            here: true,
            source: Source::Nothing,
            windows: GuestWindows::default(),
            coarse: false,
            resident: None,
            unseen: String::new(),
        }
    }

    fn lose(&mut self, why: &str) {
        self.source = Source::Nothing;
        self.windows.restart(0);
        why.clone_into(&mut self.unseen);
    }

    /// Whether every vCPU's thread is being read. A guest gets more threads when a vCPU is plugged.
    fn threads_are_known(&self) -> bool {
        matches!(&self.source, Source::Schedstat { threads, .. }
            if u32::try_from(threads.len()) == Ok(self.vcpus))
    }

    /// Finds and opens the vCPU threads.
    fn search(
        &mut self,
        proc: &Path,
        processes: &BTreeMap<Uuid, Vec<threads::Candidate>>,
        seen: &Observed,
    ) {
        let found = threads::find(proc, processes, seen.name.as_str(), seen.uuid);
        let opened = found
            .map_err(|unseen| unseen.to_string())
            .and_then(|(process, threads)| {
                let files: Result<Vec<_>, _> = threads
                    .iter()
                    .map(|thread| Schedstat::open(proc, process, *thread))
                    .collect();
                files
                    .map(|files| (process, files))
                    .map_err(|e| format!("cannot read its threads: {e}"))
            });
        match opened {
            Ok((process, threads)) => {
                let same = matches!(&self.source, Source::Schedstat { process: known, threads: t }
                    if *known == process && t.len() == threads.len());
                if !same {
                    self.windows.restart(threads.len());
                    self.source = Source::Schedstat { process, threads };
                }
            }
            Err(why) => {
                tracing::debug!("{}: {why}", seen.name);
                if !matches!(self.source, Source::Libvirt { .. }) {
                    self.lose(&why);
                }
            }
        }
    }

    fn remember_resident(&mut self, proc: &Path, seen: &Observed) {
        let own = match &self.source {
            Source::Schedstat { process, .. } => threads::resident(proc, *process),
            Source::Libvirt { .. } | Source::Nothing => None,
        };
        self.resident = self.resident.max(own.or(seen.resident));
    }

    /// Counts by the listing's own counters where the threads are not seen; each listing ends a
    /// window. Returns whether it is the first, after which they are needed at the windows' pace.
    fn count(&mut self, at: u64, seen: &Observed, speed: Ratio) -> bool {
        if matches!(self.source, Source::Schedstat { .. }) {
            return false;
        }
        let samples: Option<Vec<Sample>> = seen
            .vcpu_times
            .iter()
            .map(|vcpu| {
                let delay = vcpu.delay_ns.unwrap_or_default();
                vcpu.time_ns.map(|run| Sample { at, run, delay })
            })
            .collect();
        let Some(samples) = samples.filter(|samples| !samples.is_empty()) else {
            let why = "libvirt tells no times of its vCPUs";
            if !self.unseen.ends_with(why) {
                let why = format!("{}; {why}", self.unseen);
                self.lose(&why);
            }
            return false;
        };
        match self.source {
            Source::Libvirt { vcpus } if vcpus == samples.len() => {
                self.windows.sample(&samples);
                let before = self.windows.count();
                self.windows.close(LIBVIRT_GRAIN, speed);
                self.coarse |= self.windows.count() > before;
                false
            }
            _ => {
                self.source = Source::Libvirt {
                    vcpus: samples.len(),
                };
                self.windows.restart(samples.len());
                true
            }
        }
    }
}
