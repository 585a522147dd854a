//! What the operator's cluster file says and a hypervisor cannot know, laid over a fresh snapshot:
//! labels, reserves, speeds, hosts that are to be left alone, guests that may not be moved.

use std::collections::BTreeMap;

use vmpack_domain::cluster::{Cluster, HostState, PostCopy};

/// The fresh snapshot with what only the file can say. Where both speak, the stricter holds: a
/// host that the file drains is drained though its daemon answers.
#[must_use]
pub fn overlay(mut fresh: Cluster, given: &Cluster) -> Cluster {
    let hosts: BTreeMap<_, _> = given.hosts.iter().map(|h| (&h.name, h)).collect();
    for host in &mut fresh.hosts {
        let Some(said) = hosts.get(&host.name) else {
            continue;
        };
        host.speed = said.speed;
        host.reserve.cpu = host.reserve.cpu.max(said.reserve.cpu);
        host.reserve.memory = host.reserve.memory.max(said.reserve.memory);
        host.never_sleep |= said.never_sleep;
        if host.state == HostState::On && said.state != HostState::Asleep {
            host.state = said.state;
        }
        for (label, value) in &said.labels {
            host.labels.insert(label.clone(), value.clone());
        }
        host.uri = host.uri.take().or_else(|| said.uri.clone());
        host.migrate_address = host
            .migrate_address
            .take()
            .or_else(|| said.migrate_address.clone());
    }
    let guests: BTreeMap<_, _> = given.guests.iter().map(|g| (&g.name, g)).collect();
    for guest in &mut fresh.guests {
        let Some(said) = guests.get(&guest.name) else {
            continue;
        };
        guest.reserved = guest.reserved.max(said.reserved);
        guest.movable &= said.movable;
        if said.post_copy == PostCopy::Never {
            guest.post_copy = PostCopy::Never;
        }
        for (label, values) in &said.requires {
            guest
                .requires
                .entry(label.clone())
                .or_insert_with(|| values.clone());
        }
    }
    fresh
}

#[cfg(test)]
mod tests {
    use vmpack_domain::units::{MiB, MilliCores};

    use super::*;
    use crate::fixture::cluster;

    #[test]
    fn the_stricter_of_file_and_hypervisor_holds() {
        let fresh = cluster(&["h1", "h2"], &[("web", "h1"), ("new", "h2")]);
        let mut given = cluster(&["h1", "h2", "gone"], &[("web", "h2")]);
        given.hosts[0].state = HostState::Drain;
        given.hosts[1].state = HostState::Asleep;
        given.hosts[0].reserve.memory = MiB(100);
        given.hosts[0].labels.insert("rack".into(), "r1".into());
        given.guests[0].movable = false;
        given.guests[0].post_copy = PostCopy::Never;
        given.guests[0].reserved = MilliCores(300);
        let now = overlay(fresh.clone(), &given);
        assert_eq!(now.hosts[0].state, HostState::Drain);
        // Its daemon answers: it was woken since.
        assert_eq!(now.hosts[1].state, HostState::On);
        assert_eq!(now.hosts[0].reserve.memory, MiB(100));
        assert_eq!(now.hosts[0].labels["rack"], "r1");
        assert!(!now.guests[0].movable);
        assert_eq!(now.guests[0].post_copy, PostCopy::Never);
        assert_eq!(now.guests[0].reserved, MilliCores(300));
        // Where a guest is, how large, and which hosts there are is the hypervisor's to say.
        assert_eq!(now.placement(), fresh.placement());
        assert_eq!(now.hosts.len(), 2);
        assert_eq!(now.guests[1], fresh.guests[1]);
    }
}
