//! The source by eBPF: the kernel keeps each vCPU's windows (`bpf/vcpu.bpf.c`), and the probe reads
//! them out of shared memory, without a system call a vCPU.
//!
//! A slot of the kernel is a step of [`crate::demand`]. It is read [`LAG`] slots after its end. What is
//! still in progress is added: a thread that runs since before the slot's end ran, and waited before
//! that; one that was preempted waits. A wait after a wake-up is known when the thread runs again; if
//! that is later, its windows lack the wait, and [`Quality::lost_ns`] has what they lack.

mod cost;
mod dirty;
mod load;
mod slots;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::BorrowedFd;

use uuid::Uuid;
use vmpack_domain::units::{Micros, MilliCores, Ratio};
use vmpack_domain::{GuestName, Tier};

pub use dirty::Hook;
pub use load::{NoEbpf, VCPUS};

use crate::demand::share;
use crate::sample::now;
use crate::source::{GuestWindow, Overload, Quality, Reading, Source, Waits};
use cost::Cost;
use dirty::DirtyPages;
use load::Programs;
use slots::{Reader, Thread, steps};
use wire::{CALM, Control, Found, GONE, LAG, NAMED, OVERLOAD, SLOT_NS, SLOTS, Vcpu};

/// Slots that are read at once at most; the rest of the ring is room for being late.
const CHUNK: u64 = 24;

/// Slots that an overload lasts before it is told: 34 ms.
pub const OVERLOAD_SLOTS: u32 = 2;

/// Reads the windows that the kernel keeps.
pub struct Ebpf {
    programs: Programs,
    speed: Ratio,
    cores: MilliCores,
    /// Slots in a window.
    slots: u64,
    /// The first slot that is not read.
    next: u64,
    guests: BTreeMap<GuestName, Guest>,
    /// Guests that there was no room for.
    beyond: BTreeSet<GuestName>,
    free: Vec<u32>,
    /// Entries whose thread's doing is not known until its first switch.
    fresh: Vec<u32>,
    found: Vec<Found>,
    lost_ns: u64,
    /// Loaded when it is made ready for or first asked for.
    dirty: Option<DirtyPages>,
    cost: Cost,
}

struct Guest {
    uuid: Uuid,
    process: i32,
    /// Its number in the first PID namespace.
    process_global: u32,
    threads: Vec<Thread>,
    /// Waits of threads that it no longer has.
    waits: Waits,
}

impl std::fmt::Debug for Ebpf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ebpf").finish_non_exhaustive()
    }
}

impl Ebpf {
    /// Loads the programs, with room for `vcpus` vCPUs. Windows are of whole slots, as near to
    /// `window` as may be. The host has `cores` cores, of that speed.
    ///
    /// # Errors
    /// Why the kernel does not take them.
    pub fn start(
        window: Micros,
        speed: Ratio,
        cores: MilliCores,
        vcpus: u32,
    ) -> Result<Self, NoEbpf> {
        let mut programs = Programs::load(vcpus)?;
        if let Some(why) = &programs.no_judge {
            tracing::info!("overload is not noticed: {why}");
        }
        let limit = u128::from(cores.0) * u128::from(SLOT_NS) / 1000;
        programs.control.write(
            0,
            Control {
                limit: u64::try_from(limit).unwrap_or(u64::MAX),
                slots: OVERLOAD_SLOTS,
                used: 0,
            },
        );
        let slots = (window.0.saturating_mul(1000) + SLOT_NS / 2) / SLOT_NS;
        let slots = slots.max(1);
        Ok(Self {
            free: (0..programs.entries.min(u32::from(u16::MAX)))
                .rev()
                .collect(),
            programs,
            speed,
            cores,
            slots,
            next: (now() / SLOT_NS).next_multiple_of(slots),
            guests: BTreeMap::new(),
            beyond: BTreeSet::new(),
            fresh: Vec::new(),
            found: Vec::new(),
            lost_ns: 0,
            dirty: None,
            cost: Cost::new(now()),
        })
    }

    /// Why overload is not noticed, if it is not.
    #[must_use]
    pub fn no_overload(&self) -> Option<String> {
        self.programs.no_judge.as_ref().map(ToString::to_string)
    }

    /// A followed thread's run time and run delay until now, by the kernel's own sums, with what is
    /// in progress. For comparisons with `/proc`.
    #[must_use]
    pub fn totals(&self, guest: &str) -> Vec<(i32, u64, u64)> {
        let threads = self.guests.get(guest).map_or(&[] as &[_], |g| &g.threads);
        let of = |thread: &Thread| {
            // Before the entry is read, so that nothing is counted twice.
            let at = now();
            let entry = self.programs.vcpus.read_whole(thread.entry)?;
            let (run, wait) = slots::until(&entry, at);
            Some((thread.here, run, wait))
        };
        threads.iter().filter_map(of).collect()
    }

    /// Sets what the threads that are new do now: known until their first switch by this only.
    fn settle(&mut self) {
        if self.fresh.is_empty() {
            return;
        }
        let at = now();
        let found = self.programs.find().unwrap_or_default();
        for entry in std::mem::take(&mut self.fresh) {
            let Some(mut vcpu) = self.programs.vcpus.read(entry) else {
                continue;
            };
            let now = found.iter().find(|f| f.thread == vcpu.thread);
            if let (Some(now), 0) = (now, vcpu.sequence) {
                vcpu.doing = now.doing;
                vcpu.since = at;
                self.programs.vcpus.write(entry, vcpu);
            }
        }
    }

    /// Gives a thread an entry.
    fn add(&mut self, here: i32) -> io::Result<Thread> {
        let found = self
            .found
            .iter()
            .find(|f| i32::try_from(f.thread_here) == Ok(here));
        let found = *found.ok_or_else(|| io::Error::other(format!("thread {here} is gone")))?;
        if self.programs.table.of(found.thread).is_none() {
            // kernel.pid_max was raised since.
            let number = found.thread;
            let why = format!("thread {number} is beyond the table of threads; restart the probe");
            return Err(io::Error::other(why));
        }
        let entry = self.free.pop().ok_or(io::ErrorKind::QuotaExceeded)?;
        let vcpu = Vcpu {
            thread: found.thread,
            run: found.run,
            wait: found.wait,
            since: now(),
            ..Vcpu::FREE
        };
        self.programs.vcpus.write(entry, vcpu);
        let number = u16::try_from(entry + 1).map_err(io::Error::other)?;
        self.programs.table.set(found.thread, number);
        self.fresh.push(entry);
        let used = self.programs.control.read(0).map_or(0, |c| c.used);
        self.use_entries(used.max(entry + 1));
        Ok(Thread::new(entry, here, &found, vcpu.since))
    }

    fn use_entries(&mut self, used: u32) {
        if let Some(mut control) = self.programs.control.read(0) {
            control.used = used;
            self.programs.control.write(0, control);
        }
    }

    /// Takes a thread's entry back; gives the waits that it counted.
    fn remove(&mut self, thread: &Thread) -> Waits {
        let vcpus = &mut self.programs.vcpus;
        let last = vcpus.read_whole(thread.entry).unwrap_or(Vcpu::FREE);
        self.programs.table.set(thread.global, 0);
        vcpus.write(thread.entry, Vcpu::FREE);
        self.free.push(thread.entry);
        self.fresh.retain(|entry| *entry != thread.entry);
        self.lost_ns += last.lost;
        thread.waits(&last)
    }

    fn is_gone(&self, thread: &Thread) -> bool {
        let entry = self.programs.vcpus.read(thread.entry);
        entry.is_none_or(|entry| entry.doing == GONE)
    }

    /// Follows threads that have ended no more; of a guest that has none left, nothing.
    fn part_with(&mut self, ended: Vec<(GuestName, i32)>, reading: &mut Reading) {
        for (name, here) in ended {
            let Some(guest) = self.guests.get_mut(&name) else {
                continue;
            };
            if guest.threads.len() == 1 {
                self.forget(&name);
                reading.lost.push(name);
                continue;
            }
            // A vCPU was unplugged, or the guest is ending: the listing says which.
            reading.appeared = true;
            let parted = guest.threads.extract_if(.., |thread| thread.here == here);
            for thread in parted.collect::<Vec<_>>() {
                let waits = self.remove(&thread);
                if let Some(guest) = self.guests.get_mut(&name) {
                    guest.waits.add(&waits);
                }
            }
        }
    }

    /// Reads the slots up to that one into the guests' windows. Gives the threads that have ended.
    fn read_slots(&mut self, until: u64, reading: &mut Reading) -> Vec<(GuestName, i32)> {
        let mut ended = Vec::new();
        let range = self.next..until;
        let at = now();
        reading.windows.reserve(self.guests.len());
        let mut vcpu = Vcpu::FREE;
        for (name, guest) in &mut self.guests {
            for thread in &mut guest.threads {
                // Of what was before it was followed nothing is known.
                let range = range.start.max(thread.from)..range.end;
                let vcpus = &self.programs.vcpus;
                let read = vcpus.read_slots(thread.entry, range.clone(), &mut vcpu);
                if read.is_none() {
                    continue;
                }
                if vcpu.doing == GONE {
                    ended.push((name.clone(), thread.here));
                }
                if !range.is_empty() {
                    let first = range.start;
                    thread.reader.take(steps(&vcpu, range, at), first);
                }
            }
            for end in range.clone().map(|slot| slot + 1) {
                if end.is_multiple_of(self.slots) {
                    let readers = guest.threads.iter_mut().map(|thread| &mut thread.reader);
                    let window = Reader::close(readers, end, self.slots, self.speed);
                    reading.windows.extend(window.map(|window| GuestWindow {
                        guest: name.clone(),
                        uuid: guest.uuid,
                        tier: Tier::Ebpf,
                        vcpus: u32::try_from(guest.threads.len()).unwrap_or(u32::MAX),
                        window,
                    }));
                }
            }
        }
        reading.seen += until / self.slots - self.next / self.slots;
        self.next = until;
        ended
    }
}

impl Source for Ebpf {
    fn tier(&self) -> Tier {
        Tier::Ebpf
    }

    fn window(&self) -> Micros {
        Micros((self.slots * SLOT_NS).div_ceil(1000))
    }

    fn processes(&mut self) -> Option<Vec<i32>> {
        match self.programs.find() {
            Ok(found) => self.found = found,
            Err(error) => {
                tracing::warn!("cannot list the vCPU threads: {error}");
                return None;
            }
        }
        let processes = self
            .found
            .iter()
            .filter_map(|f| i32::try_from(f.process_here).ok());
        let processes: BTreeSet<i32> = processes.collect();
        Some(processes.into_iter().collect())
    }

    fn follow(
        &mut self,
        guest: &GuestName,
        uuid: Uuid,
        process: i32,
        threads: &[i32],
    ) -> io::Result<()> {
        let known = self.guests.get(guest).is_some_and(|known| {
            (known.uuid, known.process) == (uuid, process)
                && known
                    .threads
                    .iter()
                    .map(|t| t.here)
                    .eq(threads.iter().copied())
        });
        if known {
            return Ok(());
        }
        let mut waits = Waits::default();
        if self.guests.get(guest).is_some_and(|g| g.process != process) {
            self.forget(guest);
        }
        // Threads that it had and has are followed on, without a gap.
        let mut kept = BTreeMap::new();
        if let Some(before) = self.guests.remove(guest) {
            waits = before.waits;
            for thread in before.threads {
                if before.uuid == uuid && threads.contains(&thread.here) && !self.is_gone(&thread) {
                    kept.insert(thread.here, thread);
                } else {
                    waits.add(&self.remove(&thread));
                }
            }
            // It may not be followed any more: then nobody ends its sampling window.
            if let Some(dirty) = &mut self.dirty {
                dirty.end(before.process_global);
            }
        }
        if threads.len() > self.free.len() + kept.len() {
            self.beyond.insert(guest.clone());
            for thread in kept.values() {
                self.remove(thread);
            }
            return Err(io::Error::other(format!(
                "{} vCPUs, and there is room for {} more of {}",
                threads.len(),
                self.free.len(),
                self.programs.entries
            )));
        }
        let mut added = Vec::with_capacity(threads.len());
        for here in threads {
            match kept.remove(here).map_or_else(|| self.add(*here), Ok) {
                Ok(thread) => added.push(thread),
                Err(error) => {
                    for thread in added.iter().chain(kept.values()) {
                        self.remove(thread);
                    }
                    return Err(error);
                }
            }
        }
        self.beyond.remove(guest);
        let own = |f: &&Found| i32::try_from(f.process_here) == Ok(process);
        let process_global = self.found.iter().find(own).map_or(0, |f| f.process);
        self.guests.insert(
            guest.clone(),
            Guest {
                uuid,
                process,
                process_global,
                threads: added,
                waits,
            },
        );
        Ok(())
    }

    fn cap(&mut self, guest: &GuestName, capped: bool) {
        let threads = self.guests.get(guest).map_or(&[] as &[_], |g| &g.threads);
        for thread in threads {
            self.programs.vcpus.set_capped(thread.entry, capped);
        }
    }

    fn forget(&mut self, guest: &GuestName) {
        self.beyond.remove(guest);
        if let Some(known) = self.guests.remove(guest) {
            for thread in &known.threads {
                self.remove(thread);
            }
            // A sampling window that is open has nobody any more who would end it.
            if let Some(dirty) = &mut self.dirty {
                dirty.end(known.process_global);
            }
        }
    }

    fn due(&self) -> u64 {
        let window = (self.next + 1).next_multiple_of(self.slots);
        (window.min(self.next + CHUNK) + LAG) * SLOT_NS
    }

    fn wakes(&self) -> Option<BorrowedFd<'_>> {
        Some(self.programs.events())
    }

    fn read(&mut self) -> Reading {
        let mut reading = Reading::default();
        self.cost.step(now());
        self.settle();
        while let Some(event) = self.programs.event() {
            match event.kind {
                NAMED => reading.appeared = true,
                OVERLOAD | CALM => reading.overloads.push(Overload {
                    began: event.kind == OVERLOAD,
                    at: event.at,
                    since: event.since,
                    demand: share(event.demand, SLOT_NS),
                    cores: self.cores,
                }),
                _ => {}
            }
        }
        let until = (now() / SLOT_NS).saturating_sub(LAG);
        // What is older was overwritten; the margin is the time that this reading takes.
        let oldest = until + LAG + 2 - SLOTS as u64;
        if self.next < oldest {
            let first = oldest.next_multiple_of(self.slots);
            reading.missed = first / self.slots - self.next / self.slots;
            self.next = first;
        }
        if until > self.next {
            let ended = self.read_slots(until, &mut reading);
            self.part_with(ended, &mut reading);
        }
        reading
    }

    fn quality(&self) -> Quality {
        let threads = self.guests.values().flat_map(|guest| &guest.threads);
        let lost = threads.clone().map(|thread| {
            let entry = self.programs.vcpus.read(thread.entry);
            entry.map_or(0, |entry| entry.lost)
        });
        Quality {
            threads: threads.clone().count() as u64,
            threads_max: u64::from(self.programs.entries),
            guests_beyond: self.beyond.len() as u64,
            lost_events: self.programs.state.read(0).map_or(0, |s| s.lost_events),
            lost_ns: self.lost_ns + lost.sum::<u64>(),
            switches: self.programs.runs("on_switch"),
            judge: self.programs.runs("judge"),
        }
    }

    fn prepare_dirty(&mut self) {
        match DirtyPages::load() {
            Ok(dirty) => self.dirty = Some(dirty),
            Err(why) => tracing::info!("dirty pages are not counted yet: {why}"),
        }
    }

    fn begin_dirty(&mut self, guest: &GuestName) -> io::Result<()> {
        let known = self.guests.get(guest).ok_or(io::ErrorKind::NotFound)?;
        let dirty = match &mut self.dirty {
            Some(dirty) => dirty,
            // KVM may have come later, as a module.
            none => none.insert(DirtyPages::load().map_err(io::Error::other)?),
        };
        let begun = dirty.begin(known.process_global);
        begun.map_err(io::Error::other)
    }

    fn end_dirty(&mut self, guest: &GuestName) -> Option<u64> {
        let known = self.guests.get(guest)?;
        self.dirty.as_mut()?.end(known.process_global)
    }

    fn waits(&self, guest: &GuestName) -> Option<Waits> {
        let guest = self.guests.get(guest)?;
        let mut waits = guest.waits;
        for thread in &guest.threads {
            let entry = self.programs.vcpus.read_whole(thread.entry)?;
            waits.add(&thread.waits(&entry));
        }
        Some(waits)
    }
}

/// The dirty hooks, with what is missing of them.
///
/// # Errors
/// When there are none.
pub fn dirty_hooks() -> Result<Vec<Hook>, NoEbpf> {
    DirtyPages::load().map(|dirty| dirty.hooks)
}
