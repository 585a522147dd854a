//! What was measured of this host's guests at one moment: what the history, the metrics and the
//! stream are all made from.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use vmpack_domain::units::{MiB, MilliCores, PagesPerSec};
use vmpack_domain::{GuestName, Tier};

/// This machine's clock, in microseconds of Unix time.
#[must_use]
pub fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |t| u64::try_from(t.as_micros()).unwrap_or(u64::MAX))
}

/// The windows that ended since the last tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tick {
    /// When the last of them ended, in microseconds of Unix time.
    pub end_us: u64,
    /// The host's cores that guests may use.
    pub host_mcores: MilliCoresBare,
    /// Every guest that was measured.
    pub guests: Vec<GuestTick>,
}

/// One guest's part of a tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestTick {
    /// Its name.
    pub guest: GuestName,
    /// Its identity.
    pub uuid: Uuid,
    /// Its vCPUs online.
    pub vcpus: u32,
    /// How the CPU was measured.
    pub tier: Tier,
    /// The time that the windows cover.
    pub length_us: u64,
    /// CPU time that the vCPUs ran in it, in nanoseconds.
    pub run_ns: u64,
    /// Time that they were ready and waited, in nanoseconds.
    pub run_delay_ns: u64,
    /// Time that they waited because of the guest's own quota, which `run_delay_ns` has not.
    #[serde(default)]
    pub throttled_ns: u64,
    /// What each window wanted, oldest first.
    pub demand_mcores: Vec<MilliCoresBare>,
    /// Memory resident on the host.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub resident_mib: Option<u64>,
    /// The newest dirty rate.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub dirty: Option<Dirty>,
}

/// A dirty rate that was measured once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dirty {
    /// Distinct pages of 4 KiB a second.
    pub pages_per_second: u64,
    /// How.
    pub tier: Tier,
    /// When, in seconds of Unix time.
    pub at: u64,
}

/// Thousandths of a core of speed 1, as a bare number: the name of its field says the unit.
pub type MilliCoresBare = u64;

impl GuestTick {
    /// What the guest wanted on the mean of the tick's windows, rounded up.
    #[must_use]
    pub fn demand(&self) -> MilliCores {
        let sum: u64 = self.demand_mcores.iter().sum();
        MilliCores(sum.div_ceil((self.demand_mcores.len() as u64).max(1)))
    }
    /// Memory resident on the host.
    #[must_use]
    pub fn resident(&self) -> Option<MiB> {
        self.resident_mib.map(MiB)
    }
}

impl Dirty {
    /// As the load file has it.
    #[must_use]
    pub fn rate(self) -> PagesPerSec {
        PagesPerSec(self.pages_per_second)
    }
}

/// A tier's name, as files have it.
#[must_use]
pub fn tier_name(tier: Tier) -> &'static str {
    match tier {
        Tier::Ebpf => "ebpf",
        Tier::Schedstat => "schedstat",
        Tier::Libvirt => "libvirt",
        Tier::DirtyLog => "dirty-log",
        Tier::PageSampling => "page-sampling",
    }
}

/// Ticks made up for tests.
#[cfg(any(test, feature = "samples"))]
pub mod samples {
    use super::*;

    /// A guest that ran 50 ms and waited 5 ms, and wanted so many milli-cores in each window of
    /// 100 ms.
    ///
    /// # Panics
    /// When that is no name.
    #[must_use]
    pub fn guest_tick(name: &str, demands: &[u64]) -> GuestTick {
        // An identity of its own for each name.
        let uuid = name
            .bytes()
            .fold(0, |id: u128, byte| id << 8 | u128::from(byte));
        GuestTick {
            guest: name.parse().expect("a plain name"),
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
