//! Other programs' files as cluster, load and policy: one module a format. Pure: text in, types out,
//! with a list of what has no place here.

pub mod azure;
pub mod bitbrains;
pub mod btrplace;
pub mod ganeti;
pub mod planetlab;
pub mod table;
pub mod vbp;

use std::collections::BTreeMap;

use serde::Serialize;
use vmpack_domain::cluster::{HostState, PostCopy, Reserve};
use vmpack_domain::load::{CpuLoad, GuestLoad, Windows, jiff_serde::Timestamp};
use vmpack_domain::policy::{Headroom, OverCommit, Overhead};
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Permille, Ratio};
use vmpack_domain::{Cluster, Guest, GuestName, Host, HostName, Load, Policy};

/// Of hosts whose links are not told: 10 Gbit/s.
const LINK: MiBPerSec = MiBPerSec(1250);

/// What was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Hosts, guests and where they run.
    pub cluster: Cluster,
    /// What each guest wants.
    pub load: Load,
    /// Rules, and limits as the other program counts them.
    pub policy: Policy,
    /// What was not imported, by name.
    pub left_out: Vec<LeftOut>,
}

/// Something that was not imported.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct LeftOut {
    /// Its name in the source's format.
    pub what: String,
    /// How many there are.
    pub count: usize,
    /// Why.
    pub why: String,
}

/// What is wrong with the source.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", .place.map_or(String::new(), |(line, column)| format!("{line}:{column}: ")))]
pub struct ImportError {
    /// Line and column, counted from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// What was read, and what is accepted.
    pub what: String,
}

impl ImportError {
    fn at(line: usize, what: impl Into<String>) -> Self {
        Self {
            place: Some((line, 1)),
            what: what.into(),
        }
    }
    fn new(what: impl Into<String>) -> Self {
        Self {
            place: None,
            what: what.into(),
        }
    }
}

impl From<serde_json::Error> for ImportError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        Self {
            place: (error.line() > 0).then(|| (error.line(), error.column())),
            what: what.to_owned(),
        }
    }
}

/// Hosts of one size where a source names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sized {
    /// How many.
    pub count: u32,
    /// Cores of speed 1 of each.
    pub cpu: MilliCores,
    /// Memory of each.
    pub memory: MiB,
}

impl Sized {
    /// Named `h` and a number from 1, all awake and empty.
    fn hosts(self) -> Vec<Host> {
        let width = self.count.to_string().len();
        let name = |i: u32| format!("h{i:0width$}").parse().ok();
        let names = (1..=self.count).filter_map(name);
        names.map(|n| host(n, self.cpu, self.memory)).collect()
    }
}

/// A host that is on, with nothing more told of it.
pub(crate) fn host(name: HostName, cpu: MilliCores, memory: MiB) -> Host {
    Host {
        name,
        cpu,
        memory,
        network: LINK,
        state: HostState::On,
        speed: Ratio::ONE,
        reserve: Reserve::default(),
        labels: BTreeMap::new(),
        never_sleep: false,
        uri: None,
        migrate_address: None,
        probe: None,
    }
}

/// A guest with nothing more told of it.
pub(crate) fn guest(name: GuestName, vcpus: u32, memory: MiB, host: Option<HostName>) -> Guest {
    Guest {
        name,
        uuid: None,
        vcpus,
        memory,
        host,
        reserved: MilliCores::ZERO,
        movable: true,
        moved_ago: None,
        post_copy: PostCopy::Allowed,
        requires: BTreeMap::new(),
    }
}

/// A demand that is always the same.
pub(crate) fn constant(cpu: MilliCores) -> GuestLoad {
    GuestLoad {
        cpu: Some(CpuLoad {
            mean: Some(cpu),
            max: Some(cpu),
            ..CpuLoad::default()
        }),
        ..GuestLoad::default()
    }
}

/// A demand over time, one value a step, with its statistics.
pub(crate) fn measured(values: Vec<MilliCores>, start: Timestamp, step: Micros) -> CpuLoad {
    let mut sorted = values.clone();
    sorted.sort_unstable();
    let count = sorted.len() as u64;
    let at = |percent: u64| {
        let rank = (count * percent).div_ceil(100).max(1) - 1;
        usize::try_from(rank)
            .ok()
            .and_then(|r| sorted.get(r))
            .copied()
    };
    let sum: u64 = values.iter().map(|v| v.0).sum();
    CpuLoad {
        mean: Some(MilliCores(sum.div_ceil(count.max(1)))),
        p50: at(50),
        p90: at(90),
        p95: at(95),
        p99: at(99),
        max: at(100),
        window: Some(step),
        span: Some(Micros(step.0 * count)),
        windows: Some(Windows {
            start,
            step,
            values,
        }),
        ..CpuLoad::default()
    }
}

/// A policy by which sizes are packed as they are: no headroom, no overhead, so many vCPUs a core.
fn as_it_is(over_commit: Ratio) -> Policy {
    Policy {
        headroom: Headroom {
            cpu: Permille(0),
            memory: Permille(0),
        },
        overhead: Overhead { memory: MiB::ZERO },
        over_commit: OverCommit { cpu: over_commit },
        ..Policy::default()
    }
}

/// Rounded up to a thousandth, but for what floating point adds to a whole one.
fn thousandths_up(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 and 10^12"
    )]
    let n = (value * 1000.0 - 1e-6).ceil().clamp(0.0, 1e12) as u64;
    n
}

/// Whole vCPUs for a demand, at least one.
fn whole_cores(demand: MilliCores) -> u32 {
    let cores = u32::try_from(demand.0.div_ceil(1000));
    cores.unwrap_or(u32::MAX).max(1)
}
