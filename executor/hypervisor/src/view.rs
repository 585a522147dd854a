//! A simulated world as a hypervisor would show it: what its copies, refusals and happenings are in
//! this crate's words. Used by [`crate::simulated`], and by whoever drives a world step by step.

use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::{Cluster, GuestName, HostName};
use vmpack_sim::{CopyState, Fate, Happening, Refusal, Request, World};

use crate::{
    Claims, Error, GuestState, Lease, Located, MigrationEvent, MigrationFailure, MigrationReport,
    MigrationRequest, Sighting, Software, Version,
};

/// The version of QEMU on simulated hosts.
const QEMU: Version = Version::of(7, 2, 22);
/// The keys of a guest's metadata in a simulated world.
const LEASE: &str = "lease";
/// Under it stands the manager that a guest belongs to.
pub const MANAGER: &str = "manager";

fn unreachable(host: &HostName) -> Error {
    Error::Unreachable {
        host: host.to_string(),
        uri: format!("simulated:///{host}"),
        cause: "the host is dead, or its daemon is".to_owned(),
    }
}

/// Whether all those hosts answer.
///
/// # Errors
/// Names the first that does not.
pub fn reachable(world: &World, hosts: &[&HostName]) -> Result<(), Error> {
    match hosts.iter().find(|h| !world.reachable(h)) {
        None => Ok(()),
        Some(host) => Err(unreachable(host)),
    }
}

/// Whether the guest is on that host, in whole or in part.
///
/// # Errors
/// When it is not, or the host does not answer.
pub fn there(world: &World, guest: &GuestName, host: &HostName) -> Result<(), Error> {
    reachable(world, &[host])?;
    if world.copies(guest).iter().any(|(h, _)| h == host) {
        return Ok(());
    }
    Err(Error::NotThere {
        guest: guest.clone(),
        host: host.clone(),
    })
}

/// The cluster as it was, with its guests where they are.
#[must_use]
pub fn cluster(world: &World, began: &Cluster) -> Cluster {
    let mut cluster = began.clone();
    for g in &mut cluster.guests {
        g.host = world.home(&g.name).cloned();
    }
    cluster
}

/// One host, with every guest of which it holds any part.
///
/// # Errors
/// When it does not answer.
pub fn survey(world: &World, began: &Cluster, host: &HostName) -> Result<Cluster, Error> {
    reachable(world, &[host])?;
    let mut cluster = began.clone();
    cluster.hosts.retain(|h| h.name == *host);
    cluster.guests.retain(|g| {
        let copies = world.copies(&g.name);
        copies.iter().any(|(h, _)| h == host)
    });
    for g in &mut cluster.guests {
        g.host = Some(host.clone());
    }
    Ok(cluster)
}

/// Where the guest is seen; the hosts where it is expected are asked first. One that is switched off, or
/// whose QEMU died while nobody else held any of it, is still defined where it last ran.
#[must_use]
pub fn locate(
    world: &World,
    began: &Cluster,
    guest: &GuestName,
    expected: &[&HostName],
) -> Located {
    let is_expected = |host: &HostName| expected.contains(&host);
    let mut located = Located::default();
    for first in [true, false] {
        if located.is_all() {
            break;
        }
        let asked = |host: &HostName| is_expected(host) == first;
        let part = ask(world, began, guest, &asked);
        located.seen.extend(part.seen);
        located.silent.extend(part.silent);
    }
    located.seen.sort_by(|a, b| a.host.cmp(&b.host));
    located.silent.sort();
    located
}

/// What those hosts say of the guest.
fn ask(
    world: &World,
    began: &Cluster,
    guest: &GuestName,
    asked: &dyn Fn(&HostName) -> bool,
) -> Located {
    let known = began.guest(guest);
    let sighting = |host: HostName, state| Sighting {
        host,
        state,
        uuid: known.and_then(|g| g.uuid),
        memory: known.map(|g| g.memory).unwrap_or_default(),
        vcpus: known.map_or(0, |g| g.vcpus),
    };
    let copies = world.copies(guest);
    let nowhere = copies.is_empty();
    let halved = copies.iter().any(|c| c.1 == CopyState::Outgoing);
    let answers = |host: &HostName| asked(host) && world.reachable(host);
    let mut seen: Vec<Sighting> = copies
        .into_iter()
        .filter(|(host, _)| answers(host))
        .map(|(host, state)| {
            let state = match state {
                CopyState::Running if !halved => GuestState::Running,
                CopyState::Running | CopyState::Incoming | CopyState::Outgoing => {
                    GuestState::Migrating
                }
                CopyState::Failed => GuestState::PostCopyFailed,
                CopyState::Stale => GuestState::Paused,
            };
            sighting(host, state)
        })
        .collect();
    if let Some(home) = world.home(guest).filter(|h| nowhere && answers(h)) {
        if world.off(guest) {
            seen.push(sighting(home.clone(), GuestState::Off));
        } else if world.lost(guest) {
            seen.push(sighting(home.clone(), GuestState::Crashed));
        }
    }
    let silent = |h: &&vmpack_domain::Host| {
        h.state.is_awake() && asked(&h.name) && !world.reachable(&h.name)
    };
    let silent = began.hosts.iter().filter(silent);
    Located {
        seen,
        silent: silent.map(|h| h.name.clone()).collect(),
    }
}

/// Removes what a migration that is over left of the guest at its source.
///
/// # Errors
/// When a host does not answer, or the guest does not run whole at the target.
pub fn tidy(
    world: &mut World,
    guest: &GuestName,
    (from, to): (&HostName, &HostName),
) -> Result<(), Error> {
    reachable(world, &[from, to])?;
    if world.tidy(guest, from, to) {
        return Ok(());
    }
    Err(Error::Refused {
        host: from.to_string(),
        cause: format!("guest {guest} does not run whole on {to}"),
    })
}

/// The request in the world's words.
#[must_use]
pub fn request(request: &MigrationRequest) -> Request {
    Request {
        guest: request.guest.clone(),
        from: request.from.clone(),
        to: request.to.clone(),
        mode: request.mode,
        bandwidth: request.stream.bandwidth,
        give_up: request.give_up,
    }
}

/// Why a migration did not begin.
#[must_use]
pub fn refused(refusal: &Refusal, from: &HostName) -> MigrationFailure {
    let why = refusal.to_string();
    match refusal {
        Refusal::NotThere(..) | Refusal::Busy(_) => MigrationFailure::Unknown(why),
        Refusal::Unreachable(h) if h == from => MigrationFailure::Unknown(why),
        _ => MigrationFailure::StaysAtSource(why),
    }
}

/// Why a migration was not resumed: the guest is as it was.
#[must_use]
pub fn not_resumed(refusal: &Refusal) -> MigrationFailure {
    MigrationFailure::Split(refusal.to_string())
}

/// What a happening is to the caller of a migration.
#[derive(Debug)]
pub enum Told {
    /// It goes on.
    Event(MigrationEvent),
    /// It ended.
    Ended(Result<MigrationReport, MigrationFailure>),
    /// Nothing that a caller hears of.
    Nothing,
}

/// A happening in this crate's words.
#[must_use]
pub fn told(happening: Happening) -> Told {
    match happening {
        Happening::Progress {
            transferred,
            remaining,
        } => Told::Event(MigrationEvent::Progress {
            transferred,
            remaining,
        }),
        Happening::Switched { after } => Told::Event(MigrationEvent::Switched { after }),
        Happening::Ended(r) => Told::Ended(Ok(MigrationReport {
            switch: r.switch,
            total: r.total,
            downtime: r.downtime,
            transferred: r.transferred,
        })),
        Happening::Failed(failure) => Told::Ended(Err(match failure.fate {
            Fate::AtSource => MigrationFailure::StaysAtSource(failure.why),
            Fate::Split => MigrationFailure::Split(failure.why),
            Fate::Gone | Fate::Unseen => MigrationFailure::Unknown(failure.why),
        })),
        Happening::Healed | Happening::Lost => Told::Nothing,
    }
}

/// What runs on the host.
///
/// # Errors
/// When it does not answer.
pub fn software(world: &World, host: &HostName) -> Result<Software, Error> {
    reachable(world, &[host])?;
    Ok(Software {
        libvirt: Version(world.libvirt()),
        qemu: QEMU,
    })
}

/// Who lays claim to the guest. A lease stands there as `SINCE UNTIL HOLDER`.
///
/// # Errors
/// When the host does not answer or the guest is not there.
pub fn claims(world: &World, guest: &GuestName, host: &HostName) -> Result<Claims, Error> {
    there(world, guest, host)?;
    let lease = world.metadata(guest, LEASE).and_then(|text| {
        let mut parts = text.splitn(3, ' ');
        let mut time = || parts.next()?.parse().map(Timestamp).ok();
        let (since, until) = (time()?, time()?);
        Some(Lease {
            holder: parts.next()?.to_owned(),
            since,
            until,
        })
    });
    Ok(Claims {
        lease,
        manager: world.metadata(guest, MANAGER).map(str::to_owned),
    })
}

/// Writes the lease, or strikes it out.
///
/// # Errors
/// When the host does not answer or the guest is not there.
pub fn set_lease(
    world: &mut World,
    guest: &GuestName,
    host: &HostName,
    lease: Option<&Lease>,
) -> Result<(), Error> {
    there(world, guest, host)?;
    let text = lease.map(|l| format!("{} {} {}", l.since.0, l.until.0, l.holder));
    world.set_metadata(guest, LEASE, text);
    Ok(())
}
