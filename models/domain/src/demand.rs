//! The demand that a guest is packed with, from its load and the policy.

use std::fmt;

use crate::cluster::{Cluster, Guest};
use crate::load::{GuestLoad, Load, Statistic};
use crate::policy::Policy;
use crate::units::MilliCores;

/// A guest's CPU demand and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// What it counts with: max(demand, reserved), in cores of speed 1.
    pub cpu: MilliCores,
    /// Where the figure comes from.
    pub basis: Basis,
}

/// What a demand rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The statistic that the policy asks for.
    Measured(Statistic),
    /// A more demanding statistic, because the one asked for is absent.
    Stricter(Statistic),
    /// Not measured: all its vCPUs.
    Promise,
}

impl fmt::Display for Basis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Measured(s) => f.write_str(s.name()),
            Self::Stricter(s) => write!(f, "{} (the statistic asked for is absent)", s.name()),
            Self::Promise => f.write_str("not measured: all its vCPUs"),
        }
    }
}

/// The demand of one guest. The statistic is taken as stated, else from the windows, else the next
/// more demanding one that is stated; a guest with none of them counts at its whole promise. It is
/// at most its vCPUs (each a core of speed 1) and at least what is reserved for it.
#[must_use]
pub fn demand(guest: &Guest, load: Option<&GuestLoad>, asked: Statistic) -> Demand {
    let promise = MilliCores::cores(u64::from(guest.vcpus));
    let cpu = load.and_then(|l| l.cpu.as_ref());
    let found = cpu.and_then(|cpu| {
        let exact = cpu
            .stated(asked)
            .or_else(|| cpu.windows.as_ref().and_then(|w| w.statistic(asked)))
            .map(|v| (v, Basis::Measured(asked)));
        exact.or_else(|| {
            Statistic::ALL
                .into_iter()
                .filter(|s| *s > asked && covers(*s, asked))
                .find_map(|s| cpu.stated(s).map(|v| (v, Basis::Stricter(s))))
        })
    });
    let (measured, basis) = found.unwrap_or((promise, Basis::Promise));
    Demand {
        cpu: measured.min(promise).max(guest.reserved),
        basis,
    }
}

/// Whether one statistic is never below the other. A mean may lie above any percentile.
fn covers(statistic: Statistic, asked: Statistic) -> bool {
    asked != Statistic::Mean || statistic == Statistic::Max
}

/// The demand of every guest, in the cluster's order.
#[must_use]
pub fn demands(cluster: &Cluster, load: &Load, policy: &Policy) -> Vec<Demand> {
    cluster
        .guests
        .iter()
        .map(|g| demand(g, load.guests.get(&g.name), policy.demand.cpu))
        .collect()
}

/// The CPU demand of every guest in every window of time, in cores of speed 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joint {
    /// When each window begins.
    pub starts: Vec<jiff::Timestamp>,
    /// For each guest, in the cluster's order: one demand a window, each at most its vCPUs and at
    /// least what is reserved for it. A guest without windows has its statistic in all of them.
    pub of: Vec<Vec<MilliCores>>,
}

/// The joint demand, where the policy asks for it and some guest has windows. Windows other than the
/// first such guest's in start, step or number count as absent; reading inputs refuses them.
#[must_use]
pub fn joint(cluster: &Cluster, load: &Load, policy: &Policy) -> Option<Joint> {
    let windows = |g: &Guest| load.guests.get(&g.name)?.cpu.as_ref()?.windows.as_ref();
    let first = policy
        .demand
        .joint
        .then(|| cluster.guests.iter().find_map(windows))??;
    let step = first.step.to_std();
    // Beyond the end of the calendar windows have no name of their own, and count none the less.
    let starts: Vec<_> = std::iter::successors(Some(first.start.0), |t| {
        Some(t.checked_add(step).unwrap_or(jiff::Timestamp::MAX))
    })
    .take(first.values.len())
    .collect();
    let single = demands(cluster, load, policy);
    let of = cluster.guests.iter().zip(single).map(|(guest, single)| {
        let promise = MilliCores::cores(u64::from(guest.vcpus));
        let own = windows(guest).filter(|w| w.is_joint_with(first));
        match own {
            Some(own) => {
                let capped = |v: &MilliCores| (*v).min(promise).max(guest.reserved);
                own.values.iter().map(capped).collect()
            }
            None => vec![single.cpu; first.values.len()],
        }
    });
    Some(Joint {
        of: of.collect(),
        starts,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::CpuLoad;

    #[test]
    fn an_absent_statistic_is_replaced_only_by_one_that_is_never_below_it() {
        let guest: Guest =
            serde_yaml::from_str("{ name: g, vcpus: 4, memory: 1GiB, host: null }").unwrap();
        let load = |cpu: CpuLoad| GuestLoad {
            cpu: Some(cpu),
            ..GuestLoad::default()
        };
        let of = |cpu: CpuLoad, asked| demand(&guest, Some(&load(cpu)), asked);
        let p99 = CpuLoad {
            p50: Some(MilliCores(0)),
            p99: Some(MilliCores(900)),
            ..CpuLoad::default()
        };
        assert_eq!(
            of(p99.clone(), Statistic::P95).basis,
            Basis::Stricter(Statistic::P99)
        );
        assert_eq!(of(p99, Statistic::Mean).cpu, MilliCores::cores(4));
        let max = CpuLoad {
            p50: Some(MilliCores(0)),
            max: Some(MilliCores(950)),
            ..CpuLoad::default()
        };
        assert_eq!(
            of(max.clone(), Statistic::Mean).basis,
            Basis::Stricter(Statistic::Max)
        );
        assert_eq!(
            of(CpuLoad { max: None, ..max }, Statistic::P95).basis,
            Basis::Promise
        );
    }
}
