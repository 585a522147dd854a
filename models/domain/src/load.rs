//! What was measured of each guest. "Not measured" is an absent field, never a zero.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::name::GuestName;
use crate::units::{MiB, Micros, MilliCores, PagesPerSec, cores_series};

/// The load of guests, by name.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Load {
    /// A guest that is absent here was not measured.
    #[serde(default)]
    pub guests: BTreeMap<GuestName, GuestLoad>,
}

/// One guest's load.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuestLoad {
    /// CPU demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuLoad>,
    /// Distinct pages dirtied per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty: Option<PagesPerSec>,
    /// How the dirty rate was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_tier: Option<Tier>,
    /// Memory that the guest touched or holds resident on its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MiB>,
    /// The writable working set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_set: Option<MiB>,
    /// How the CPU demand was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// How old the newest measurement was when the file was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age: Option<Micros>,
}

/// How a figure was measured, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// By eBPF in the kernel.
    Ebpf,
    /// From the scheduler's statistics in `/proc`.
    Schedstat,
    /// From libvirt's counters.
    Libvirt,
    /// QEMU's dirty ring or dirty bitmap.
    DirtyLog,
    /// QEMU's page sampling: a lower bound.
    PageSampling,
}

/// CPU demand in cores of speed 1: run time, plus run delay only where the wait was not worked off
/// by the window's end. Each statistic is over windows of length `window` in the last `span`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CpuLoad {
    /// Mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<MilliCores>,
    /// Median.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50: Option<MilliCores>,
    /// 90th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p90: Option<MilliCores>,
    /// 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95: Option<MilliCores>,
    /// 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99: Option<MilliCores>,
    /// Largest window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<MilliCores>,
    /// The length of a window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Micros>,
    /// The time that the statistics cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Micros>,
    /// Mean run time per wall time, raw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<MilliCores>,
    /// Mean run delay per wall time, raw: demand that had to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_delay: Option<MilliCores>,
    /// The demand over time, joint with other guests' by the same start and step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Windows>,
}

/// A series of demands, one a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Windows {
    /// Start of the first window, RFC 3339 in UTC, such as `2026-01-05T00:00:00Z`.
    #[schemars(with = "String")]
    pub start: jiff_serde::Timestamp,
    /// Length of a window.
    pub step: Micros,
    /// One demand a window, in cores.
    #[serde(with = "cores_series")]
    #[schemars(with = "Vec<f64>")]
    pub values: Vec<MilliCores>,
}

/// Timestamps as the files hold them.
pub mod jiff_serde {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    /// A point in time, RFC 3339.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub struct Timestamp(pub jiff::Timestamp);

    impl Serialize for Timestamp {
        fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.collect_str(&self.0)
        }
    }
    impl<'de> Deserialize<'de> for Timestamp {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            let text = String::deserialize(d)?;
            text.parse().map(Self).map_err(|_| {
                de::Error::custom(format!(
                    "read `{}`, expected a time such as `2026-01-05T00:00:00Z`",
                    crate::units::shorten(&text)
                ))
            })
        }
    }
}

/// A statistic of the windows, by which a policy packs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Statistic {
    /// Mean: below any percentile in what it promises.
    Mean,
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 95th percentile.
    P95,
    /// 99th percentile.
    P99,
    /// Largest window.
    Max,
}

impl Statistic {
    /// From the least demanding to the most.
    pub const ALL: [Self; 6] = [
        Self::Mean,
        Self::P50,
        Self::P90,
        Self::P95,
        Self::P99,
        Self::Max,
    ];

    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
            Self::Max => "max",
        }
    }
}

impl CpuLoad {
    /// The statistic as the file states it.
    #[must_use]
    pub fn stated(&self, statistic: Statistic) -> Option<MilliCores> {
        match statistic {
            Statistic::Mean => self.mean,
            Statistic::P50 => self.p50,
            Statistic::P90 => self.p90,
            Statistic::P95 => self.p95,
            Statistic::P99 => self.p99,
            Statistic::Max => self.max,
        }
    }
}

impl Windows {
    /// Whether both series have the same windows.
    #[must_use]
    pub fn is_joint_with(&self, other: &Self) -> bool {
        (self.start, self.step, self.values.len()) == (other.start, other.step, other.values.len())
    }

    /// A statistic of the series; `None` when it is empty. A percentile is the smallest value that
    /// at least that share of the windows does not exceed (nearest rank); the mean rounds up.
    #[must_use]
    pub fn statistic(&self, statistic: Statistic) -> Option<MilliCores> {
        let mut sorted = self.values.clone();
        sorted.sort_unstable();
        let n = sorted.len() as u64;
        let rank = |percent: u64| {
            let rank = (percent * n).div_ceil(100).max(1) - 1;
            usize::try_from(rank)
                .ok()
                .and_then(|r| sorted.get(r))
                .copied()
        };
        match statistic {
            Statistic::Mean if n == 0 => None,
            Statistic::Mean => Some(MilliCores(
                sorted.iter().map(|v| v.0).sum::<u64>().div_ceil(n),
            )),
            Statistic::P50 => rank(50),
            Statistic::P90 => rank(90),
            Statistic::P95 => rank(95),
            Statistic::P99 => rank(99),
            Statistic::Max => sorted.last().copied(),
        }
    }
}
