//! Loads the kernel programs of `bpf/vcpu.bpf.c` and attaches them.

use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use aya::maps::{Map, MapData, RingBuf};
use aya::programs::perf_event::{
    PerfEvent, PerfEventConfig, PerfEventScope, SamplePolicy, SoftwareEvent,
};
use aya::programs::{BtfTracePoint, Iter};
use aya::util::online_cpus;
use aya::{Btf, Ebpf, EbpfLoader};

use crate::source::Runs;

use super::wire::{Area, Control, Event, Found, SLOT_NS, State, Vcpu, values};

/// vCPU threads that are followed at most, unless asked for more or fewer.
pub const VCPUS: u32 = 4096;

const OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/vcpu.bpf.o");

/// The number that the kernel gives its first PID namespace (`PROC_PID_INIT_INO`).
const ROOT_PID_NAMESPACE: u64 = 0xEFFF_FFFC;

/// The largest thread number that the kernel has (`PID_MAX_LIMIT`).
const THREADS_LIMIT: u32 = 4 << 20;

/// Why the programs do not run.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {cause}")]
pub struct NoEbpf {
    what: &'static str,
    cause: String,
}

impl NoEbpf {
    pub(super) fn new(what: &'static str, error: &dyn std::error::Error) -> Self {
        // The innermost cause says what the kernel answered.
        let mut deepest = error;
        while let Some(source) = deepest.source() {
            deepest = source;
        }
        tracing::debug!("{what}: {error:?}");
        let mut cause = deepest.to_string();
        if cause.contains("os error 1)") {
            cause.push_str("; it takes CAP_BPF and CAP_PERFMON, and no lockdown");
        }
        Self { what, cause }
    }

    /// What follows from the lack of something else.
    pub(super) fn named(what: &'static str, cause: &Self) -> Self {
        Self {
            what,
            cause: cause.to_string(),
        }
    }

    /// Of two ways to the same end, neither of which can be gone.
    pub(super) fn both(
        first: &'static str,
        error: &dyn std::error::Error,
        second: &str,
        other: &dyn std::error::Error,
    ) -> Self {
        let (one, two) = (Self::new(first, error), Self::new(first, other));
        let cause = format!("{}; {second}: {}", one.cause, two.cause);
        Self { what: first, cause }
    }
}

/// The programs, attached, and their maps.
pub(super) struct Programs {
    ebpf: Ebpf,
    pub(super) table: Area<[u16; 4]>,
    pub(super) vcpus: Area<Vcpu>,
    pub(super) entries: u32,
    pub(super) control: Area<Control>,
    pub(super) state: Area<State>,
    events: RingBuf<MapData>,
    /// Why overload is not judged in the kernel.
    pub(super) no_judge: Option<NoEbpf>,
}

impl Programs {
    /// Loads and attaches them, with room for so many vCPUs.
    pub(super) fn load(vcpus: u32) -> Result<Self, NoEbpf> {
        let failed = |what| move |e: aya::EbpfError| NoEbpf::new(what, &e);
        let btf = Btf::from_sys_fs().map_err(|e| NoEbpf::new("the kernel's BTF", &e))?;
        let mut ebpf = EbpfLoader::new()
            .btf(Some(&btf))
            .map_max_entries("table", threads_limit().div_ceil(4))
            .map_max_entries("vcpus", vcpus)
            .load(OBJECT)
            .map_err(failed("loading the maps"))?;
        let table = area(&mut ebpf, "table")?;
        let entries = area(&mut ebpf, "vcpus")?;
        let control = area(&mut ebpf, "control")?;
        let state = area(&mut ebpf, "state")?;
        let events = ebpf.take_map("events").ok_or_else(absent)?;
        let events =
            RingBuf::try_from(events).map_err(|e| NoEbpf::new("the ring of events", &e))?;

        for (name, tracepoint) in [("on_rename", "task_rename"), ("on_switch", "sched_switch")] {
            let program: &mut BtfTracePoint = program(&mut ebpf, name)?;
            let attached = program
                .load(tracepoint, &btf)
                .and_then(|()| program.attach());
            attached.map_err(|e| NoEbpf::new("a program at the scheduler's switches", &e))?;
        }
        let find: &mut Iter = program(&mut ebpf, "find")?;
        find.load("task", &btf)
            .map_err(|e| NoEbpf::new("the iterator over tasks", &e))?;
        let no_judge = attach_judge(&mut ebpf).err();
        Ok(Self {
            ebpf,
            table,
            vcpus: entries,
            entries: vcpus,
            control,
            state,
            events,
            no_judge,
        })
    }

    /// The threads in our PID namespace, and those below, that are named as a vCPU.
    pub(super) fn find(&mut self) -> io::Result<Vec<Found>> {
        let find: &mut Iter = program(&mut self.ebpf, "find").map_err(io::Error::other)?;
        let id = find.attach().map_err(io::Error::other)?;
        let link = find.take_link(id).map_err(io::Error::other)?;
        let mut file = link.into_file().map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(values(&bytes).collect())
    }

    /// The next event that came.
    pub(super) fn event(&mut self) -> Option<Event> {
        let item = self.events.next()?;
        values(&item).next()
    }

    /// Readable when there are events.
    pub(super) fn events(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// How often that program ran, and how long.
    pub(super) fn runs(&self, program: &str) -> Runs {
        let told = || {
            let info = self.ebpf.program(program)?.info().ok()?;
            Some(Runs {
                runs: info.run_count(),
                ns: u64::try_from(info.run_time().as_nanos()).ok()?,
            })
        };
        told().unwrap_or_default()
    }
}

pub(super) fn absent() -> NoEbpf {
    NoEbpf {
        what: "the object",
        cause: "it lacks a part".to_owned(),
    }
}

pub(super) fn program<'a, T>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut T, NoEbpf>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program>,
{
    let found = ebpf.program_mut(name).ok_or_else(absent)?;
    found.try_into().map_err(|_| absent())
}

fn area<T: super::wire::Plain>(ebpf: &mut Ebpf, name: &str) -> Result<Area<T>, NoEbpf> {
    let Some(Map::Array(map)) = ebpf.map(name) else {
        return Err(absent());
    };
    let entries = map.info().map_err(|e| NoEbpf::new("a map", &e))?;
    Area::map(map.fd(), entries.max_entries()).map_err(|e| NoEbpf::new("mapping a map", &e))
}

/// Has the overload judged twice a slot, on the first CPU.
fn attach_judge(ebpf: &mut Ebpf) -> Result<(), NoEbpf> {
    let what = "the judge of overload";
    let cpus = online_cpus().map_err(|(_, e)| NoEbpf::new(what, &e))?;
    let cpu = cpus.first().copied().unwrap_or_default();
    let judge: &mut PerfEvent = program(ebpf, "judge")?;
    judge.load().map_err(|e| NoEbpf::new(what, &e))?;
    let attached = judge.attach(
        PerfEventConfig::Software(SoftwareEvent::CpuClock),
        PerfEventScope::AllProcessesOneCpu { cpu },
        SamplePolicy::Period(SLOT_NS / 2),
        false,
    );
    attached.map_err(|e| NoEbpf::new(what, &e))?;
    Ok(())
}

/// Above every number that a thread may have. A PID namespace below the first sees a limit of its
/// own, which says nothing about the first.
fn threads_limit() -> u32 {
    let first = fs::metadata("/proc/self/ns/pid").is_ok_and(|m| m.ino() == ROOT_PID_NAMESPACE);
    let limit = fs::read_to_string("/proc/sys/kernel/pid_max")
        .ok()
        .and_then(|text| text.trim().parse().ok());
    limit
        .filter(|_| first)
        .map_or(THREADS_LIMIT, |limit: u32| limit.clamp(1, THREADS_LIMIT))
}
