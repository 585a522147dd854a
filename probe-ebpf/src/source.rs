//! The interface between measuring and what uses it: a [`Source`] reads vCPU threads and yields
//! windows; [`crate::measure`] drives it and hands out a [`Batch`] at each step.
//!
//! All moments are nanoseconds of this machine's `CLOCK_MONOTONIC`, all CPU times nanoseconds.

use std::io;
use std::os::fd::BorrowedFd;

use uuid::Uuid;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{GuestName, Tier};

/// What one guest did and wanted in one window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestWindow {
    /// Whose it is.
    pub guest: GuestName,
    /// Its identity, which a migration keeps.
    pub uuid: Uuid,
    /// How it was measured.
    pub tier: Tier,
    /// How many vCPU threads were read.
    pub vcpus: u32,
    /// What they did.
    pub window: Window,
}

/// What all vCPUs of a guest did in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// When it began.
    pub start: u64,
    /// How long it was.
    pub length: u64,
    /// Run time.
    pub run: u64,
    /// Run delay that other load or the host's own limit caused.
    pub delay: u64,
    /// Run delay that the guest's own quota caused: no contention, and not within `delay`.
    pub throttled: u64,
    /// Demand in cores of speed 1; see [`crate::demand`].
    pub demand: MilliCores,
}

/// A guest's dirty rate over one sampling window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyRate {
    /// Whose it is.
    pub guest: GuestName,
    /// Its identity.
    pub uuid: Uuid,
    /// How it was measured: [`Tier::Ebpf`] and [`Tier::DirtyLog`] count pages,
    /// [`Tier::PageSampling`] is a lower bound.
    pub tier: Tier,
    /// When the sampling window ended.
    pub end: u64,
    /// How long it was.
    pub length: u64,
    /// Distinct pages of 4 KiB that were dirtied within it.
    pub pages: u64,
}

/// The host's runnable vCPUs exceeded its cores for some windows, or no longer do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overload {
    /// Whether it began; else it ended.
    pub began: bool,
    /// When it was noticed.
    pub at: u64,
    /// When its first overloaded slot began; of an end, when the first calm one did.
    pub since: u64,
    /// CPU that the vCPUs ran or waited for in the last slot, as a number of cores of this host.
    pub demand: MilliCores,
    /// The cores that the host has.
    pub cores: MilliCores,
}

/// What a source says when it is read.
#[derive(Debug, Default)]
pub struct Reading {
    /// Windows that are complete.
    pub windows: Vec<GuestWindow>,
    /// Overloads of the host.
    pub overloads: Vec<Overload>,
    /// Windows of the whole host that are over since the last reading and were seen.
    pub seen: u64,
    /// Windows of the whole host that ended unseen because the probe was woken late.
    pub missed: u64,
    /// Guests whose threads ended; they are no longer followed.
    pub lost: Vec<GuestName>,
    /// Threads of guests appeared, or some of one's ended: whoever lists guests should do so now.
    pub appeared: bool,
}

/// How well a source measures, and at what cost. Counters since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// vCPU threads that are followed.
    pub threads: u64,
    /// vCPU threads that can be followed at once.
    pub threads_max: u64,
    /// Guests that run here and are not followed because that number is reached.
    pub guests_beyond: u64,
    /// Events that the kernel's ring buffer had no room for.
    pub lost_events: u64,
    /// Run time that the scheduler's events did not place exactly, which counts, up to that long off;
    /// and waits after a wake-up that were known only when their windows had been read.
    pub lost_ns: u64,
    /// The kernel program at the scheduler's switches.
    pub switches: Runs,
    /// The one that judges whether the host is overloaded.
    pub judge: Runs,
}

/// What a kernel program did while the kernel counted: for a second of each minute, or always where
/// `kernel.bpf_stats_enabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Runs {
    /// How often it ran.
    pub runs: u64,
    /// The time that it took, in nanoseconds.
    pub ns: u64,
}

/// A guest's single waits for a CPU, since it is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// How many took 2^i ns or more, and less than 2^(i+1) ns; the last, all that took longer.
    pub counts: [u64; 32],
    /// The time that all of them took, in nanoseconds.
    pub sum: u64,
}

impl Waits {
    /// Adds others to these.
    pub fn add(&mut self, more: &Self) {
        let counts = self.counts.iter_mut().zip(more.counts);
        counts.for_each(|(to, more)| *to += more);
        self.sum += more.sum;
    }
}

/// Reads vCPU threads. It has two implementations: the scheduler's statistics in `/proc`
/// ([`crate::schedstat`]), and eBPF ([`crate::ebpf`]).
pub trait Source {
    /// What it is.
    fn tier(&self) -> Tier;

    /// The length of its windows, as near to what was asked for as it can.
    fn window(&self) -> Micros;

    /// The processes that have a vCPU thread, where the source knows them without a search through
    /// all of `/proc`.
    fn processes(&mut self) -> Option<Vec<i32>>;

    /// From now on these threads are the guest's vCPUs, in order; its windows begin anew if they
    /// are others than before.
    ///
    /// # Errors
    /// When a thread cannot be read, or there is no room for more.
    fn follow(
        &mut self,
        guest: &GuestName,
        uuid: Uuid,
        process: i32,
        threads: &[i32],
    ) -> io::Result<()>;

    /// Whether the guest has a quota of its own, by which it may be throttled: then its waits are no
    /// overload of the host.
    fn cap(&mut self, _guest: &GuestName, _capped: bool) {}

    /// The guest is not read any more.
    fn forget(&mut self, guest: &GuestName);

    /// When it is to be read next.
    fn due(&self) -> u64;

    /// Becomes readable when there is something to read before it is due.
    fn wakes(&self) -> Option<BorrowedFd<'_>>;

    /// Reads what there is.
    fn read(&mut self) -> Reading;

    /// How well it measures, and its cost.
    fn quality(&self) -> Quality;

    /// Makes ready for sampling windows, as that takes the kernel a while; else the first one does.
    fn prepare_dirty(&mut self);

    /// Opens a sampling window: from now on the distinct pages count that the guest dirties. Its
    /// dirty log must be on until the window ends.
    ///
    /// # Errors
    /// When the source sees no pages.
    fn begin_dirty(&mut self, guest: &GuestName) -> io::Result<()>;

    /// Ends the sampling window; gives its pages.
    fn end_dirty(&mut self, guest: &GuestName) -> Option<u64>;

    /// The guest's waits, each by itself; `None` where the source does not see single waits.
    fn waits(&self, guest: &GuestName) -> Option<Waits>;
}

/// What came of one step of the measuring.
#[derive(Debug, Default)]
pub struct Batch {
    /// Windows that are complete, in the order of their guests.
    pub windows: Vec<GuestWindow>,
    /// Dirty rates that were sampled.
    pub dirty: Vec<DirtyRate>,
    /// Overloads of the host.
    pub overloads: Vec<Overload>,
    /// Windows of the whole host that are over and were seen.
    pub seen: u64,
    /// Windows of the whole host that ended unseen.
    pub missed: u64,
}
