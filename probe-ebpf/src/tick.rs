//! What was measured of this host's guests at one moment: what the history, the metrics and the
//! stream are all made from.

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmpack_domain::units::{MiB, MilliCores, PagesPerSec};
use vmpack_domain::{GuestName, Tier};

/// The windows that ended since the last tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tick {
    /// When the last of them ended, in microseconds of Unix time.
    pub(crate) end_us: u64,
    /// The host's cores that guests may use.
    pub(crate) host_mcores: MilliCoresBare,
    /// Every guest that was measured.
    pub(crate) guests: Vec<GuestTick>,
}

/// One guest's part of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GuestTick {
    pub(crate) guest: GuestName,
    pub(crate) uuid: Uuid,
    pub(crate) vcpus: u32,
    /// How the CPU was measured.
    pub(crate) tier: Tier,
    /// The time that the windows cover.
    pub(crate) length_us: u64,
    /// CPU time that the vCPUs ran in it, in nanoseconds.
    pub(crate) run_ns: u64,
    /// Time that they were ready and waited, in nanoseconds.
    pub(crate) run_delay_ns: u64,
    /// Time that they waited because of the guest's own quota, which `run_delay_ns` has not.
    #[serde(default)]
    pub(crate) throttled_ns: u64,
    /// What each window wanted, oldest first.
    pub(crate) demand_mcores: Vec<MilliCoresBare>,
    /// Memory resident on the host.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) resident_mib: Option<u64>,
    /// The newest dirty rate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) dirty: Option<Dirty>,
}

/// A dirty rate that was measured once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dirty {
    /// Distinct pages of 4 KiB a second.
    pub(crate) pages_per_second: u64,
    /// How.
    pub(crate) tier: Tier,
    /// When, in seconds of Unix time.
    pub(crate) at: u64,
}

/// Thousandths of a core of speed 1, as a bare number: the name of its field says the unit.
pub(crate) type MilliCoresBare = u64;

impl GuestTick {
    /// What the guest wanted on the mean of the tick's windows, rounded up.
    pub(crate) fn demand(&self) -> MilliCores {
        let sum: u64 = self.demand_mcores.iter().sum();
        MilliCores(sum.div_ceil((self.demand_mcores.len() as u64).max(1)))
    }
    /// Memory resident on the host.
    pub(crate) fn resident(&self) -> Option<MiB> {
        self.resident_mib.map(MiB)
    }
}

impl Dirty {
    /// As the load file has it.
    pub(crate) fn rate(self) -> PagesPerSec {
        PagesPerSec(self.pages_per_second)
    }
}

/// A tier's name, as files have it.
pub(crate) fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Ebpf => "ebpf",
        Tier::Schedstat => "schedstat",
        Tier::Libvirt => "libvirt",
        Tier::DirtyLog => "dirty-log",
        Tier::PageSampling => "page-sampling",
    }
}

#[cfg(test)]
pub(crate) mod samples {
    use super::*;

    /// A guest that ran 50 ms and waited 5 ms, and wanted so many milli-cores in each window of
    /// 100 ms.
    pub(crate) fn guest_tick(name: &str, demands: &[u64]) -> GuestTick {
        // An identity of its own for each name.
        let uuid = name
            .bytes()
            .fold(0, |id: u128, byte| id << 8 | u128::from(byte));
        GuestTick {
            guest: name.parse().unwrap(),
            uuid: Uuid::from_u128(uuid),
            vcpus: 2,
            tier: Tier::Schedstat,
            length_us: 100_000 * demands.len() as u64,
            run_ns: 50_000_000,
            run_delay_ns: 5_000_000,
            throttled_ns: 0,
            demand_mcores: demands.to_vec(),
            resident_mib: Some(64),
            dirty: None,
        }
    }
}
