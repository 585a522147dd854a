//! Reading hosts and guests into a cluster.

use std::collections::BTreeMap;

use virt::domain::Domain;
use virt::error::ErrorNumber;
use virt_sys as sys;
use vmpack_domain::units::{MiB, MilliCores, Ratio};
use vmpack_domain::{Cluster, Guest, Host, HostState, PostCopy};

use super::description::{cpu_model, describe};
use super::state::state_of;
use super::{DEFAULT_NETWORK, Door, refused};
use crate::{Error, GuestState};

/// The label that holds a host's CPU model.
const CPU_LABEL: &str = "cpu";

/// One host and the guests that it holds in whole or in part.
pub(super) struct Read {
    host: Host,
    guests: Vec<(Guest, GuestState)>,
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

type Found = Result<(Guest, GuestState), Error>;

/// One guest; the inner error is about what the domain says, the outer one about asking it.
fn guest(domain: &Domain, host: &Host) -> Result<Found, virt::error::Error> {
    let (name, info) = (domain.get_name()?, domain.get_info()?);
    let (uuid, xml) = (domain.get_uuid()?, domain.get_xml_desc(0)?);
    let state = state_of(domain)?;
    let wrong = |cause: String| Error::Refused {
        host: host.name.to_string(),
        cause: format!("guest {name}: {cause}"),
    };
    let said = match describe(&xml) {
        Ok(said) => said,
        Err(e) => return Ok(Err(wrong(e))),
    };
    let cpu = host.labels.get(CPU_LABEL).filter(|_| said.host_cpu);
    let guest = name.parse().map(|name| Guest {
        name,
        uuid: Some(uuid),
        vcpus: info.nr_virt_cpu,
        memory: MiB(info.max_mem.div_ceil(1024)),
        host: Some(host.name.clone()),
        reserved: MilliCores::ZERO,
        movable: said.movable,
        post_copy: said.post_copy,
        requires: cpu
            .map(|m| (CPU_LABEL.to_owned(), vec![m.clone()]))
            .into_iter()
            .collect(),
    });
    Ok(guest.map(|g| (g, state)).map_err(|e| wrong(e.to_string())))
}

/// Makes one cluster of what the hosts say, of hosts that are not asked, and of what was given of
/// guests and libvirt does not know.
pub(super) fn merge(read: Vec<Read>, unasked: &[Host], given: &[Guest]) -> Result<Cluster, Error> {
    let mut hosts: Vec<Host> = unasked.to_vec();
    let mut guests: BTreeMap<_, (Guest, GuestState)> = BTreeMap::new();
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
            .or_insert_with(|| (guest.clone(), GuestState::Off));
    }
    hosts.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Cluster {
        hosts,
        guests: guests.into_values().map(|(g, _)| g).collect(),
    })
}

/// Which of two sights of one guest tells where it is; the lower one.
fn rank(state: GuestState) -> u8 {
    match state {
        GuestState::Running => 0,
        GuestState::Paused => 1,
        GuestState::Migrating => 2,
        GuestState::PostCopyFailed => 3,
        GuestState::Off => 4,
    }
}
