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
                .filter(|s| *s > asked)
                .find_map(|s| cpu.stated(s).map(|v| (v, Basis::Stricter(s))))
        })
    });
    let (measured, basis) = found.unwrap_or((promise, Basis::Promise));
    Demand {
        cpu: measured.min(promise).max(guest.reserved),
        basis,
    }
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
