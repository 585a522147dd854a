//! The measuring of a host: which guests run here, which threads are their vCPUs, and what the
//! [`Source`] reads of them. Whoever wants the windows calls [`Measurement::step`] whenever
//! [`Measurement::due`] has come or [`Measurement::wakes`] is readable.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;

use uuid::Uuid;
use vmpack_domain::units::{MiB, Micros, MilliCores, Ratio};
use vmpack_domain::{GuestName, Tier};
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::Observed;

use crate::demand::{Sample, guest_demand};
use crate::dirty::{Candidate, Sampler};
use crate::ebpf::{self, Ebpf};
use crate::guests::{Lister, Listing};
use crate::quota::Quota;
use crate::sample::{LIBVIRT_GRAIN, now, online_cores, tickless_cpus};
use crate::schedstat::Schedstat;
use crate::source::{Batch, GuestWindow, Quality, Source, Waits};
use crate::threads;
use crate::windows::Folding;

/// How a host is measured.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The length of a window.
    pub window: Micros,
    /// The speed of this host's cores.
    pub speed: Ratio,
    /// Where procfs is mounted.
    pub proc: PathBuf,
    /// Not to be measured by anything better: [`Tier::Schedstat`] does without eBPF.
    pub best: Tier,
    /// The cores of this host, above which its guests overload it; `None`: those that are online.
    pub cores: Option<MilliCores>,
    /// The vCPUs that can be followed by eBPF at once.
    pub vcpus: u32,
    /// The libvirt that may be asked for guests' dirty rates; `None`: they are not measured.
    pub dirty: Option<String>,
}

impl Default for Settings {
    /// By the best that works, in windows of 100 ms, on cores of speed 1, without dirty rates.
    fn default() -> Self {
        Self {
            window: Micros::millis(100),
            speed: Ratio::ONE,
            proc: PathBuf::from("/proc"),
            best: Tier::Ebpf,
            cores: None,
            vcpus: ebpf::VCPUS,
            dirty: None,
        }
    }
}

/// A guest of this host, as it is known now.
#[derive(Debug)]
pub struct Guest {
    /// Its identity.
    pub uuid: Uuid,
    /// Whether it was in the last list.
    pub here: bool,
    /// How it is measured now; `None`: not at all.
    pub tier: Option<Tier>,
    /// The most memory that it held resident.
    pub resident: Option<MiB>,
    /// Why it is not measured by its threads; empty where it always was.
    pub unseen: String,
    /// When it was last in a list.
    seen: u64,
    vcpus: u32,
    by: By,
    quota: Quota,
    /// Whether its vCPU threads are KVM's.
    kvm: bool,
}

/// Where a guest's samples come from.
#[derive(Debug)]
enum By {
    /// Its vCPU threads, by the source.
    Threads { process: i32, count: usize },
    /// libvirt's counters, as the listings bring them.
    Listings { count: usize, folding: Folding },
    /// Nowhere, for now.
    Nothing,
}

/// How often a guest's resident memory and quota are read, in nanoseconds: a row of the history covers
/// as much.
const RESIDENT: u64 = 10_000_000_000;

/// Different notes are kept, the first so many.
const NOTES: usize = 100;

/// Guests that left are remembered, the newest so many of them.
const DEPARTED: usize = 1000;

/// What is known of the lists of guests. Moments are nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// When the measuring began.
    pub began: u64,
    /// When libvirt was asked that answered last; `None`: it never did.
    pub newest: Option<u64>,
    /// Why the last list failed, if it did.
    pub fault: Option<String>,
}

/// The measuring of a host.
pub struct Measurement {
    settings: Settings,
    source: Box<dyn Source>,
    lister: Lister,
    guests: BTreeMap<GuestName, Guest>,
    notes: BTreeSet<String>,
    /// Since when it is known which processes there are, by `CLOCK_MONOTONIC`.
    searched: Option<u64>,
    /// When the guests' resident memory was read.
    weighed: Option<u64>,
    sampler: Option<Sampler>,
    listed: Listed,
}

impl std::fmt::Debug for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Measurement")
            .field("tier", &self.source.tier())
            .field("guests", &self.guests)
            .finish_non_exhaustive()
    }
}

impl Measurement {
    /// As [`begin`](Self::begin), and waits for the first list of guests.
    ///
    /// # Errors
    /// When the guests cannot be listed.
    pub fn start(
        settings: Settings,
        list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let mut measurement = Self::begin(settings, list);
        let first = measurement.lister.wait()?;
        measurement.listed(first.at, first.guests?, &mut Vec::new());
        Ok(measurement)
    }

    /// Begins to measure by the best source that works here, and waits for nobody. `list` asks which
    /// guests run, on a thread of its own: guests are known once it has answered.
    pub fn begin(
        settings: Settings,
        list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
    ) -> Self {
        let lister = Lister::start(list, settings.window.to_std());
        let (source, why) = best_source(&settings);
        let mut measurement = Self {
            settings,
            source,
            lister,
            guests: BTreeMap::new(),
            notes: BTreeSet::new(),
            searched: None,
            weighed: None,
            sampler: None,
            listed: Listed {
                began: now(),
                newest: None,
                fault: None,
            },
        };
        if let Some(uri) = &measurement.settings.dirty {
            measurement.source.prepare_dirty();
            measurement.sampler = Some(Sampler::start(uri));
        }
        if let Some(why) = why {
            measurement.note(format!("measured without eBPF: {why}"));
        }
        if let (Tier::Schedstat, Some(cpus)) = (measurement.source.tier(), tickless_cpus()) {
            measurement.note(format!(
                "CPUs {cpus} run without a scheduler tick: windows shorter than a second blur there"
            ));
        }
        measurement
    }

    /// When the next step is due, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn due(&self) -> u64 {
        self.source.due()
    }

    /// Readable when there is something to step for before it is due.
    #[must_use]
    pub fn wakes(&self) -> Option<BorrowedFd<'_>> {
        self.source.wakes()
    }

    /// Reads what there is, and takes in which guests run.
    pub fn step(&mut self) -> Batch {
        let reading = self.source.read();
        for name in &reading.lost {
            if let Some(guest) = self.guests.get_mut(name) {
                guest.lose("its vCPU threads ended");
                self.searched = None;
            }
        }
        if reading.appeared {
            self.searched = None;
            self.lister.ask();
        }
        let mut batch = Batch {
            windows: reading.windows,
            overloads: reading.overloads,
            seen: reading.seen,
            missed: reading.missed,
            dirty: Vec::new(),
        };
        for window in &mut batch.windows {
            if let Some(guest) = self.guests.get_mut(&window.guest) {
                guest.subtract_quota(window, self.settings.speed);
            }
        }
        let news: Vec<Listing> = self.lister.news().collect();
        for listing in news {
            match listing.guests {
                Ok(guests) => self.listed(listing.at, guests, &mut batch.windows),
                Err(error) => {
                    self.listed.fault = Some(error.to_string());
                    self.note(error.to_string());
                }
            }
        }
        self.sample_dirty(&mut batch);
        batch
    }

    fn sample_dirty(&mut self, batch: &mut Batch) {
        let Some(sampler) = &mut self.sampler else {
            return;
        };
        let candidates = self.guests.iter().filter_map(|(name, guest)| {
            let uuid = guest.uuid;
            let kvm = guest.kvm;
            matches!(guest.by, By::Threads { .. }).then_some(Candidate { name, uuid, kvm })
        });
        let (rate, refused) = sampler.step(self.source.as_mut(), candidates);
        batch.dirty.extend(rate);
        if let Some(why) = refused {
            self.note(why);
        }
    }

    /// The guests that run here or did.
    #[must_use]
    pub fn guests(&self) -> &BTreeMap<GuestName, Guest> {
        &self.guests
    }

    /// When the guests were listed last, and what is in the way of the next list.
    #[must_use]
    pub fn listing(&self) -> &Listed {
        &self.listed
    }

    /// How many guests are measured, and their vCPUs.
    #[must_use]
    pub fn measured(&self) -> (usize, usize) {
        let counts = self.guests.values().map(|guest| match &guest.by {
            By::Threads { count, .. } | By::Listings { count, .. } => (1, *count),
            By::Nothing => (0, 0),
        });
        counts.fold((0, 0), |(g, v), (guest, vcpus)| (g + guest, v + vcpus))
    }

    /// What a reader of the measurements should know.
    #[must_use]
    pub fn notes(&self) -> &BTreeSet<String> {
        &self.notes
    }

    /// How the threads are measured.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.source.tier()
    }

    /// The length of a window as it is, near to what was asked for.
    #[must_use]
    pub fn window(&self) -> Micros {
        self.source.window()
    }

    /// The guest's waits, where single waits are seen.
    #[must_use]
    pub fn waits(&self, guest: &GuestName) -> Option<Waits> {
        self.source.waits(guest)
    }

    /// How well they are measured, and at what cost.
    #[must_use]
    pub fn quality(&self) -> Quality {
        self.source.quality()
    }

    fn note(&mut self, text: String) {
        if self.notes.len() < NOTES && self.notes.insert(text.clone()) {
            tracing::warn!("{text}");
        }
    }

    /// Takes in which guests run, and the counters that came with the list.
    fn listed(&mut self, at: u64, observed: Vec<Observed>, windows: &mut Vec<GuestWindow>) {
        self.listed.newest = Some(at);
        if let Some(fault) = self.listed.fault.take() {
            tracing::info!("libvirt answers again; before: {fault}");
        }
        // A search may read the command line of every process, so it is made once a second at most.
        let search = self
            .searched
            .is_none_or(|then| at.saturating_sub(then) > 900_000_000);
        let weigh = self
            .weighed
            .is_none_or(|then| at.saturating_sub(then) >= RESIDENT);
        if weigh {
            self.weighed = Some(at);
        }
        let mut processes = None;
        let present: BTreeSet<&GuestName> = observed.iter().map(|o| &o.name).collect();
        for (name, guest) in &mut self.guests {
            guest.here = present.contains(name);
            if !guest.here {
                self.source.forget(name);
                guest.lose("it no longer runs here");
            }
        }
        let departed = self.guests.iter().filter(|(_, guest)| !guest.here);
        let mut departed: Vec<(u64, GuestName)> = departed
            .map(|(name, guest)| (guest.seen, name.clone()))
            .collect();
        if departed.len() > DEPARTED {
            departed.sort_unstable();
            for (_, name) in departed.iter().take(departed.len() - DEPARTED) {
                self.guests.remove(name);
            }
        }
        for seen in &observed {
            let guest = self
                .guests
                .entry(seen.name.clone())
                .or_insert_with(|| Guest::new(seen));
            if guest.uuid != seen.uuid {
                self.source.forget(&seen.name);
                *guest = Guest::new(seen);
            }
            guest.vcpus = seen.vcpus;
            guest.seen = at;
            if search && !guest.threads_are_known() {
                let source = self.source.as_mut();
                let processes = processes
                    .get_or_insert_with(|| threads::processes(&self.settings.proc, source));
                guest.search(source, &self.settings, processes, seen);
                self.searched = Some(at);
            }
            if weigh || guest.resident.is_none() {
                guest.remember_resident(&self.settings, seen);
                guest.quota.refresh();
                self.source.cap(&seen.name, guest.quota.is_some());
            }
            let (first, window) = guest.count(at, seen, self.settings.speed);
            windows.extend(window);
            if first {
                self.lister.hurry();
            }
        }
    }
}

/// The best source that works here, and why no better one does.
fn best_source(settings: &Settings) -> (Box<dyn Source>, Option<String>) {
    let mut why = None;
    if settings.best == Tier::Ebpf {
        let cores = settings.cores.unwrap_or_else(online_cores);
        match Ebpf::start(settings.window, settings.speed, cores, settings.vcpus) {
            Ok(source) => return (Box::new(source), None),
            Err(error) => why = Some(error.to_string()),
        }
    }
    let proc = settings.proc.clone();
    let source = Schedstat::new(proc, settings.window, settings.speed);
    (Box::new(source), why)
}

impl Guest {
    fn new(seen: &Observed) -> Self {
        Self {
            uuid: seen.uuid,
            here: true,
            tier: None,
            resident: None,
            unseen: String::new(),
            seen: 0,
            vcpus: seen.vcpus,
            by: By::Nothing,
            quota: Quota::default(),
            kvm: false,
        }
    }

    fn lose(&mut self, why: &str) {
        self.by = By::Nothing;
        self.quota = Quota::default();
        self.tier = None;
        why.clone_into(&mut self.unseen);
    }

    /// Whether every vCPU's thread is being read. A guest gets more threads when a vCPU is plugged.
    fn threads_are_known(&self) -> bool {
        matches!(&self.by, By::Threads { count, .. } if u32::try_from(*count) == Ok(self.vcpus))
    }

    /// Finds the vCPU threads and has them followed.
    fn search(
        &mut self,
        source: &mut dyn Source,
        settings: &Settings,
        processes: &BTreeMap<Uuid, Vec<threads::Candidate>>,
        seen: &Observed,
    ) {
        let name = seen.name.as_str();
        let found = threads::find(&settings.proc, processes, name, seen.uuid);
        let followed = match found {
            Ok((process, threads)) => source
                .follow(&seen.name, seen.uuid, process, &threads)
                .map(|()| (process, threads))
                .map_err(|e| format!("cannot read its threads: {e}")),
            Err(unseen) => {
                source.forget(&seen.name);
                Err(unseen.to_string())
            }
        };
        match followed {
            Ok((process, threads)) => {
                let mounts = settings.proc.join("mounts");
                let mounts = std::fs::read_to_string(mounts).unwrap_or_default();
                self.quota = Quota::of(&settings.proc, &mounts, process, &threads);
                source.cap(&seen.name, self.quota.is_some());
                let is_kvms = |thread: &i32| threads::is_kvms(&settings.proc, process, *thread);
                self.kvm = threads.iter().all(is_kvms);
                let count = threads.len();
                self.by = By::Threads { process, count };
                self.tier = Some(source.tier());
            }
            Err(why) => {
                tracing::debug!("{name}: {why}");
                if !matches!(self.by, By::Listings { .. }) {
                    self.lose(&why);
                }
            }
        }
    }

    /// What the guest's own quota kept it from running is no contention, nor demand.
    fn subtract_quota(&mut self, window: &mut GuestWindow, speed: Ratio) {
        if !self.quota.is_some() {
            return;
        }
        let window = &mut window.window;
        let throttled = self.quota.take(window.delay);
        window.throttled = throttled;
        window.delay -= throttled;
        let cores = |time| guest_demand(&[(time, window.length)], speed);
        let less = window.demand.0.saturating_sub(cores(throttled).0);
        window.demand.0 = less.max(cores(window.run).0).min(window.demand.0);
    }

    fn remember_resident(&mut self, settings: &Settings, seen: &Observed) {
        let own = match &self.by {
            By::Threads { process, .. } => threads::resident(&settings.proc, *process),
            By::Listings { .. } | By::Nothing => None,
        };
        self.resident = self.resident.max(own.or(seen.resident));
    }

    /// Counts by the listing's own counters where the threads are not seen; each listing ends a
    /// window. Returns whether it is the first, after which they are needed at the windows' pace,
    /// and the window before, if it counts.
    fn count(&mut self, at: u64, seen: &Observed, speed: Ratio) -> (bool, Option<GuestWindow>) {
        if matches!(self.by, By::Threads { .. }) {
            return (false, None);
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
            return (false, None);
        };
        match &mut self.by {
            By::Listings { count, folding } if *count == samples.len() => {
                folding.sample(&samples);
                let window = folding.close(LIBVIRT_GRAIN, speed);
                let window = window.map(|window| GuestWindow {
                    guest: seen.name.clone(),
                    uuid: seen.uuid,
                    tier: Tier::Libvirt,
                    vcpus: u32::try_from(samples.len()).unwrap_or(u32::MAX),
                    window,
                });
                (false, window)
            }
            _ => {
                let count = samples.len();
                let mut folding = Folding::default();
                folding.restart(count);
                self.by = By::Listings { count, folding };
                self.tier = Some(Tier::Libvirt);
                (true, None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::tests::{Pretender, observed};

    #[test]
    fn guests_beyond_the_room_are_counted_and_named() {
        let (one, two) = (observed("one", 1), observed("two", 1));
        let _qemus =
            [&one, &two].map(|guest| Pretender::start(guest, "while :; do sleep 0.01; done"));
        let settings = Settings {
            vcpus: 1,
            ..Settings::default()
        };
        let listing = vec![one, two];
        let mut measurement = Measurement::start(settings, move || Ok(listing.clone())).unwrap();
        if measurement.tier() != Tier::Ebpf {
            let _ = writeln!(std::io::stderr(), "skipped: {:?}", measurement.notes());
            return;
        }
        // Found again with each list.
        let end = now() + 2_500_000_000;
        while now() < end {
            measurement.step();
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(measurement.quality().guests_beyond, 1);
        let unseen = &measurement.guests()["two"].unseen;
        assert!(
            unseen.contains("1 vCPUs, and there is room for 0 more of 1"),
            "{unseen}"
        );
    }

    #[test]
    fn of_guests_that_left_the_newest_are_remembered() {
        let settings = Settings {
            best: Tier::Schedstat,
            ..Settings::default()
        };
        let mut measurement = Measurement::start(settings, || Ok(Vec::new())).unwrap();
        for n in 0..DEPARTED as u64 + 50 {
            let guest = observed(&format!("g{n}"), 1);
            measurement.listed(n + 1, vec![guest], &mut Vec::new());
        }
        // And the one that is here.
        assert_eq!(measurement.guests().len(), DEPARTED + 1);
        assert!(!measurement.guests().contains_key("g0"));
        assert!(measurement.guests()["g1049"].here && !measurement.guests()["g1048"].here);
        for n in 0..NOTES + 50 {
            measurement.note(format!("note {n}"));
        }
        assert_eq!(measurement.notes().len(), NOTES);
    }
}
