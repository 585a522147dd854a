//! Reading hosts and guests into a cluster.

use std::collections::BTreeMap;

use virt::domain::Domain;
use virt::error::ErrorNumber;
use virt_sys as sys;
use vmpack_domain::units::{MiB, MilliCores, Ratio};
use vmpack_domain::{Cluster, Guest, Host, HostState, PostCopy};

use super::description::{cpu_model, describe};
use super::state::named;
use super::{DEFAULT_NETWORK, Door, refused};
use crate::{Error, GuestState};

/// The label that holds a host's CPU model.
const CPU_LABEL: &str = "cpu";

/// One host and the guests that it holds in whole or in part.
pub(super) struct Read {
    host: Host,
    guests: Vec<(Guest, Sight)>,
}

/// What a host says of a guest's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    pub(super) state: GuestState,
    /// Whether its vCPUs run there, or did until its memory stayed away.
    pub(super) runs: bool,
}

/// Reads one host.
pub(super) fn read(door: &Door) -> Result<Read, Error> {
    let connection = door.control()?;
    let refused = |e: virt::error::Error| refused(door.name.as_str(), &e);
    let host = match &door.given {
        Some(given) => given.clone(),
        None => {
            let node = connection.get_node_info().map_err(refused)?;
            let model = connection
                .get_capabilities()
                .ok()
                .and_then(|xml| cpu_model(&xml));
            Host {
                name: door.name.clone(),
                cpu: MilliCores::cores(node.cpus.into()),
                memory: MiB(node.memory / 1024),
                network: DEFAULT_NETWORK,
                state: HostState::On,
                speed: Ratio::ONE,
                reserve: Default::default(),
                labels: model
                    .map(|m| (CPU_LABEL.to_owned(), m))
                    .into_iter()
                    .collect(),
                never_sleep: false,
                uri: Some(door.uri.clone()),
                migrate_address: door.migrate_address.clone(),
                probe: None,
            }
        }
    };
    let domains = connection
        .list_all_domains(sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE)
        .map_err(refused)?;
    let mut guests = Vec::new();
    for domain in &domains {
        match guest(domain, &host) {
            Ok(guest) => guests.push(guest?),
            // It ended or moved while we read.
            Err(e) if e.code() == ErrorNumber::NoDomain => {}
            Err(e) => return Err(refused(e)),
        }
    }
    Ok(Read { host, guests })
}

type Found = Result<(Guest, Sight), Error>;

/// One guest; the inner error is about what the domain says, the outer one about asking it.
fn guest(domain: &Domain, host: &Host) -> Result<Found, virt::error::Error> {
    let name = domain.get_name()?;
    let (uuid, xml) = (domain.get_uuid()?, domain.get_xml_desc(0)?);
    let (state, reason) = domain.get_state()?;
    let sight = Sight {
        state: named(state, reason),
        runs: state == sys::VIR_DOMAIN_RUNNING,
    };
    let wrong = |cause: String| Error::Refused {
        host: host.name.to_string(),
        cause: format!("guest {name}: {cause}"),
    };
    let said = match describe(&xml) {
        Ok(said) => said,
        Err(e) => return Ok(Err(wrong(e))),
    };
    let (memory, vcpus) = match said.size {
        Some(size) => size,
        // Of a guest that only just comes in, libvirt may answer this once its migration is over.
        None => {
            let info = domain.get_info()?;
            (MiB(info.max_mem.div_ceil(1024)), info.nr_virt_cpu)
        }
    };
    let cpu = host.labels.get(CPU_LABEL).filter(|_| said.host_cpu);
    let guest = name.parse().map(|name| Guest {
        name,
        uuid: Some(uuid),
        vcpus,
        memory,
        host: Some(host.name.clone()),
        reserved: MilliCores::ZERO,
        movable: said.movable,
        moved_ago: None,
        post_copy: said.post_copy,
        requires: cpu
            .map(|m| (CPU_LABEL.to_owned(), vec![m.clone()]))
            .into_iter()
            .collect(),
    });
    Ok(guest.map(|g| (g, sight)).map_err(|e| wrong(e.to_string())))
}

/// Makes one cluster of what the hosts say, of hosts that are not asked, and of what was given of
/// guests and libvirt does not know.
pub(super) fn merge(read: Vec<Read>, unasked: &[Host], given: &[Guest]) -> Result<Cluster, Error> {
    let mut hosts: Vec<Host> = unasked.to_vec();
    let mut guests: BTreeMap<_, (Guest, Sight)> = BTreeMap::new();
    for Read {
        host,
        guests: found,
    } in read
    {
        hosts.push(host);
        for (guest, state) in found {
            let Some((before, state_before)) = guests.get(&guest.name) else {
                guests.insert(guest.name.clone(), (guest, state));
                continue;
            };
            if before.uuid != guest.uuid {
                let place =
                    |g: &Guest| g.host.as_ref().map(ToString::to_string).unwrap_or_default();
                return Err(Error::Refused {
                    host: place(&guest),
                    cause: format!(
                        "its guest {} has the name of another guest, on host {}: names must be unique in a cluster",
                        guest.name,
                        place(before)
                    ),
                });
            }
            // Both ends of a migration: it is where its vCPUs run.
            if rank(state) < rank(*state_before) {
                guests.insert(guest.name.clone(), (guest, state));
            }
        }
    }
    for (name, (guest, state)) in &mut guests {
        let state = state.state;
        if !matches!(state, GuestState::Running | GuestState::Paused) {
            tracing::warn!(guest = %name, ?state, "is in the middle of a migration: read as not movable");
            guest.movable = false;
        }
        if let Some(known) = given.iter().find(|g| g.name == *name) {
            guest.reserved = known.reserved;
            guest.movable &= known.movable;
            if known.post_copy == PostCopy::Never {
                guest.post_copy = PostCopy::Never;
            }
            guest.requires.extend(known.requires.clone());
        }
    }
    let elsewhere = |g: &&Guest| {
        let place = g.host.as_ref();
        place.is_none_or(|h| unasked.iter().any(|u| u.name == *h))
    };
    for guest in given.iter().filter(elsewhere) {
        guests
            .entry(guest.name.clone())
            .or_insert_with(|| (guest.clone(), OFF));
    }
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Cluster {
        hosts,
        guests: guests.into_values().map(|(g, _)| g).collect(),
    })
}

/// Of a guest that is only known by what was given.
const OFF: Sight = Sight {
    state: GuestState::Off,
    runs: false,
};

/// Which of two sights of one guest tells where it is; the lower one. After the switch of a
/// post-copy both ends are in a migration, also when it broke: then the one whose vCPUs run counts,
/// for it holds all that the guest did since.
fn rank(sight: Sight) -> (bool, u8) {
    let by_state = match sight.state {
        GuestState::Running => 0,
        GuestState::Paused => 1,
        GuestState::Migrating => 2,
        GuestState::PostCopyFailed => 3,
        GuestState::Off | GuestState::Crashed => 4,
    };
    (!sight.runs, by_state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(host: &str, state: GuestState, runs: bool) -> Read {
        let yaml =
            format!("{{ name: {host}, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }}");
        let guest = format!("{{ name: web, vcpus: 1, memory: 1GiB, host: {host} }}");
        Read {
            host: serde_yaml::from_str(&yaml).unwrap(),
            guests: vec![(serde_yaml::from_str(&guest).unwrap(), Sight { state, runs })],
        }
    }

    #[test]
    fn a_guest_of_two_hosts_is_where_its_vcpus_run() {
        use GuestState::{Migrating, Paused, PostCopyFailed, Running};
        // Each as (source, whether it runs there, target, whether it runs there, where it is).
        for (source, runs, target, runs_there, is) in [
            (Running, true, Migrating, false, "h1"),
            (Paused, false, Migrating, false, "h1"),
            (Migrating, false, Migrating, true, "h2"),
            (Migrating, false, PostCopyFailed, true, "h2"),
            (PostCopyFailed, false, Migrating, true, "h2"),
            (PostCopyFailed, false, PostCopyFailed, true, "h2"),
            (Paused, false, Running, true, "h2"),
        ] {
            let ends = || vec![read("h1", source, runs), read("h2", target, runs_there)];
            let mut turned = ends();
            turned.reverse();
            for ends in [ends(), turned] {
                let merged = merge(ends, &[], &[]).unwrap();
                let at: Vec<_> = merged.guests.iter().map(|g| g.host.clone()).collect();
                assert_eq!(at, [Some(is.parse().unwrap())], "{source:?} {target:?}");
            }
        }
    }
}
