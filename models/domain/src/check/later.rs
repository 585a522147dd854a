//! How a placement fares under a load that was measured later: in how many windows each host's guests
//! want more than its room.

use std::collections::BTreeMap;

use serde::Serialize;

use super::World;
use crate::cluster::Cluster;
use crate::load::Load;
use crate::name::{GuestName, HostName};
use crate::policy::Policy;
use crate::units::MilliCores;

/// One host under a later load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Busy {
    /// Which.
    pub host: HostName,
    /// In so many windows its guests want more than its room.
    pub above: usize,
    /// Of so many.
    pub windows: usize,
    /// The policy allows so many.
    pub exempt: usize,
    /// The most that they want in a window.
    pub most: MilliCores,
    /// What they may use.
    pub room: MilliCores,
}

impl Busy {
    /// Whether it is overloaded in more windows than the policy allows.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.above > self.exempt
    }
}

/// Every host of a target with what its guests want in the windows of that load, whether or not the
/// policy counts demand jointly; a load without windows counts as one. In the order of the names.
#[must_use]
pub fn later(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    target: &BTreeMap<GuestName, HostName>,
) -> Vec<Busy> {
    let mut policy = policy.clone();
    policy.demand.joint = true;
    let world = World::new(cluster, load, &policy);
    let windows = world.joint.as_ref().map_or(1, |(j, _)| j.starts.len());
    let mut wanted: BTreeMap<&HostName, Vec<u64>> = BTreeMap::new();
    for (guest, host) in target {
        let Some(needs) = world.needs(guest) else {
            continue;
        };
        let sums = wanted.entry(host).or_insert_with(|| vec![0; windows]);
        for (sum, need) in sums.iter_mut().zip(needs.iter().skip(2)) {
            *sum = sum.saturating_add(*need);
        }
    }
    let busy = wanted.into_iter().filter_map(|(name, sums)| {
        let rooms = world.rooms(world.hosts.get(name)?);
        let room = rooms.get(2).copied()?;
        Some(Busy {
            host: name.clone(),
            above: sums.iter().filter(|sum| **sum > room).count(),
            windows,
            exempt: policy.demand.exempt(windows),
            most: MilliCores(sums.iter().copied().max().unwrap_or(0)),
            room: MilliCores(room),
        })
    });
    busy.collect()
}
