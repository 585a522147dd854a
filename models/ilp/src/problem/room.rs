//! What fits a host.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Amounts, CLUSTER_RESOURCES, HostSlot};

/// Whether a resource of a cluster is CPU, once or in a window.
pub fn is_cpu(resource: usize) -> bool {
    resource == 0 || resource >= CLUSTER_RESOURCES.len()
}

pub(super) fn fits(load: &Amounts, room: &Amounts, exempt: usize) -> bool {
    let above = |r: &usize| load[*r] > room[*r];
    let mut above = (0..load.len()).filter(above);
    if exempt == 0 {
        return above.next().is_none();
    }
    let mut windows = 0;
    above.all(|r| {
        windows += 1;
        is_cpu(r) && windows <= exempt
    })
}

/// Which hosts have the same room.
pub(super) struct Sizes<'a> {
    exempt: usize,
    rooms: Vec<&'a Amounts>,
    /// The index of each host's room.
    of: Vec<usize>,
}

impl<'a> Sizes<'a> {
    pub(super) fn of(hosts: &'a [HostSlot], exempt: usize) -> Self {
        let mut known = BTreeMap::new();
        let mut sizes = Self {
            exempt,
            rooms: Vec::new(),
            of: Vec::with_capacity(hosts.len()),
        };
        for host in hosts {
            let next = sizes.rooms.len();
            let size = *known.entry(&host.room).or_insert(next);
            if size == next {
                sizes.rooms.push(&host.room);
            }
            sizes.of.push(size);
        }
        sizes
    }

    /// Those hosts of a list on which that fits.
    pub(super) fn with_room(&self, hosts: &Arc<[usize]>, need: &Amounts) -> Arc<[usize]> {
        let fits = |room: &&Amounts| fits(need, room, self.exempt);
        let fits: Vec<bool> = self.rooms.iter().map(fits).collect();
        if fits.iter().all(|f| *f) {
            return Arc::clone(hosts);
        }
        hosts
            .iter()
            .copied()
            .filter(|h| fits[self.of[*h]])
            .collect()
    }
}
