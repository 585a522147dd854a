//! Real hosts, through libvirt.
//!
//! One open connection for each host serves questions, events and short orders. Each migration
//! blocks on a connection of its own: over a shared one, short calls stall for seconds behind it.

mod connection;
mod description;
mod dirty;
mod door;
mod health;
mod migrate;
mod monitor;
mod observe;
mod obstacles;
mod order;
pub mod power;
mod rest;
mod shares;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod vcpus;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use virt::domain::Domain;
use virt::error::ErrorNumber;
use virt_sys as sys;
use vmpack_domain::units::{MiB, MiBPerSec, Micros};
use vmpack_domain::{Cluster, Guest, GuestName, Host, HostName, HostState, Mode};

use crate::{
    Claims, Error, GuestState, Health, Hypervisor, Lease, Located, Method, MigrationEvent,
    MigrationFailure, MigrationReport, MigrationRequest, Sighting, Software, Version, Weights,
    claims,
};
use connection::Connection;

pub use description::{Accelerator, METADATA};
pub use dirty::{DirtyMode, DirtyRates};
pub use observe::{Observed, Observer, VcpuTime, observe};
pub use vcpus::ask_vcpus;

/// What a host's link is taken to carry when nobody said: libvirt does not know it (10 Gbit/s).
pub const DEFAULT_NETWORK: MiBPerSec = MiBPerSec(1250);

/// A host's daemon: its URI, and the address or libvirt URI by which other hosts reach it.
pub type Endpoint = (String, Option<String>);

/// A hypervisor of real hosts.
#[derive(Debug)]
pub struct Libvirt {
    doors: Vec<Door>,
    /// Hosts of the given cluster that are not asked: asleep or out.
    unasked: Vec<Host>,
    /// Guests as they were given, with what libvirt does not know of them.
    given: Vec<Guest>,
    started: Instant,
}

/// The way to one host.
#[derive(Debug)]
struct Door {
    name: HostName,
    uri: String,
    migrate_address: Option<String>,
    /// The host as a cluster file describes it.
    given: Option<Host>,
    control: Mutex<Option<Arc<Connection>>>,
}

impl Libvirt {
    /// The hosts behind those URIs; each host's name is what its daemon says.
    ///
    /// # Errors
    /// When one cannot be reached, or two daemons say the same name.
    pub fn from_uris(uris: &[Endpoint]) -> Result<Self, Error> {
        let open = |(uri, migrate_address): &Endpoint| {
            let connection = Connection::open(uri, uri)?;
            let name = connection.get_hostname().map_err(|e| refused(uri, &e))?;
            let name = name.parse().map_err(|e| Error::Refused {
                host: uri.clone(),
                cause: format!("its daemon's host name: {e}"),
            })?;
            Ok(Door {
                name,
                uri: uri.clone(),
                migrate_address: migrate_address.clone(),
                given: None,
                control: Mutex::new(Some(Arc::new(connection))),
            })
        };
        let doors: Vec<Door> = at_once(uris, open).into_iter().collect::<Result<_, _>>()?;
        for (i, door) in doors.iter().enumerate() {
            if let Some(other) = doors[..i].iter().find(|d| d.name == door.name) {
                return Err(Error::Refused {
                    host: door.uri.clone(),
                    cause: format!("its name is {}, as that of {}", door.name, other.uri),
                });
            }
        }
        Ok(Self::of(doors, Vec::new(), Vec::new()))
    }

    /// The hosts of a snapshot, by their `uri` and `migrate-address`. Nothing is opened yet; hosts
    /// that are asleep or out are asked only by name: they may have been woken since. What libvirt does
    /// not know of hosts and guests (labels, links, reservations) stays as it is given here.
    ///
    /// # Errors
    /// When a host that is on has no `uri`.
    pub fn from_cluster(cluster: &Cluster) -> Result<Self, Error> {
        let asleep = |h: &&Host| !h.state.is_awake();
        let unasked: Vec<Host> = cluster.hosts.iter().filter(asleep).cloned().collect();
        let reached = |h: &&Host| h.state.is_awake() || h.uri.is_some();
        let door = |host: &Host| {
            let uri = host.uri.clone().ok_or_else(|| Error::Refused {
                host: host.name.to_string(),
                cause: "it has no `uri` in the cluster file".to_owned(),
            })?;
            Ok(Door {
                name: host.name.clone(),
                uri,
                migrate_address: host.migrate_address.clone(),
                given: Some(host.clone()),
                control: Mutex::new(None),
            })
        };
        let doors = cluster.hosts.iter().filter(reached).map(door);
        let doors = doors.collect::<Result<_, _>>()?;
        Ok(Self::of(doors, unasked, cluster.guests.clone()))
    }

    fn of(doors: Vec<Door>, unasked: Vec<Host>, given: Vec<Guest>) -> Self {
        Self {
            doors,
            unasked,
            given,
            started: Instant::now(),
        }
    }

    fn door(&self, host: &HostName) -> Option<&Door> {
        self.doors.iter().find(|d| d.name == *host)
    }

    fn ends(&self, request: &MigrationRequest) -> Result<(&Door, &Door), MigrationFailure> {
        self.door(&request.from)
            .zip(self.door(&request.to))
            .ok_or_else(|| {
                MigrationFailure::Unknown(format!(
                    "host {} or {} is not known here, or not on",
                    request.from, request.to
                ))
            })
    }

    fn asked(&self, host: &HostName) -> Result<&Door, Error> {
        self.door(host).ok_or_else(|| Error::Refused {
            host: host.to_string(),
            cause: "it is not known here, or not on".to_owned(),
        })
    }

    /// Asks something of the guest's domain on that host.
    fn with<T>(
        &self,
        guest: &GuestName,
        host: &HostName,
        ask: impl FnOnce(&Domain) -> Result<T, virt::error::Error>,
    ) -> Result<T, Error> {
        let door = self.asked(host)?;
        let connection = door.control()?;
        let domain = door
            .find(&connection, guest)?
            .ok_or_else(|| Error::NotThere {
                guest: guest.clone(),
                host: host.clone(),
            })?;
        ask(&domain).map_err(|e| refused(host.as_str(), &e))
    }
}

impl Door {
    /// Whether its host was awake when it was described.
    fn was_awake(&self) -> bool {
        self.given.as_ref().is_none_or(|h| h.state.is_awake())
    }

    /// The connection for everything but the blocking call of a migration.
    fn control(&self) -> Result<Arc<Connection>, Error> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = control.as_ref().filter(|c| c.is_alive().unwrap_or(false)) {
            return Ok(Arc::clone(open));
        }
        let fresh = Arc::new(Connection::open(self.name.as_str(), &self.uri)?);
        *control = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// The guest on this host, if it is defined or runs there.
    fn find(&self, connection: &Connection, guest: &GuestName) -> Result<Option<Domain>, Error> {
        match Domain::lookup_by_name(connection, guest.as_str()) {
            Ok(domain) => Ok(Some(domain)),
            Err(e) if e.code() == ErrorNumber::NoDomain => Ok(None),
            Err(e) => Err(refused(self.name.as_str(), &e)),
        }
    }

    fn sight(&self, guest: &GuestName) -> Result<Option<Sighting>, Error> {
        let connection = self.control()?;
        let Some(domain) = self.find(&connection, guest)? else {
            return Ok(None);
        };
        let read = || -> Result<Sighting, virt::error::Error> {
            let info = domain.get_info()?;
            Ok(Sighting {
                host: self.name.clone(),
                state: state::state_of(&domain)?,
                uuid: Some(domain.get_uuid()?),
                memory: MiB(info.max_mem.div_ceil(1024)),
                vcpus: info.nr_virt_cpu,
            })
        };
        match read() {
            Ok(sighting) => Ok(Some(sighting)),
            // It went between the two questions.
            Err(e) if e.code() == ErrorNumber::NoDomain => Ok(None),
            Err(e) => Err(refused(self.name.as_str(), &e)),
        }
    }
}

impl Hypervisor for Libvirt {
    fn snapshot(&self) -> Result<Cluster, Error> {
        let awake: Vec<&Door> = self.doors.iter().filter(|d| d.was_awake()).collect();
        let read = at_once(&awake, |door| snapshot::read(door))
            .into_iter()
            .collect::<Result<_, _>>()?;
        snapshot::merge(read, &self.unasked, &self.given)
    }

    fn survey(&self, host: &HostName) -> Result<Cluster, Error> {
        let read = snapshot::read(self.asked(host)?)?;
        let mut cluster = snapshot::merge(vec![read], &[], &self.given)?;
        // What was given of guests on other hosts says nothing of now.
        cluster.guests.retain(|g| g.host.as_ref() == Some(host));
        // Who answers does not sleep.
        for host in &mut cluster.hosts {
            if host.state == HostState::Asleep {
                host.state = HostState::On;
            }
        }
        Ok(cluster)
    }

    fn locate(&self, guest: &GuestName, expected: &[&HostName]) -> Located {
        let mut located = Located::default();
        let (first, others): (Vec<&Door>, Vec<&Door>) =
            self.doors.iter().partition(|d| expected.contains(&&d.name));
        // No guest runs on a host that sleeps, and to call one in vain takes minutes.
        let others = others.into_iter().filter(|d| d.was_awake()).collect();
        for doors in [first, others] {
            if located.is_all() {
                break;
            }
            let sights = at_once(&doors, |door| door.sight(guest));
            for (door, sight) in doors.iter().zip(sights) {
                match sight {
                    Ok(sight) => located.seen.extend(sight),
                    Err(e) => {
                        tracing::debug!(%guest, host = %door.name, "not seen: {e}");
                        located.silent.push(door.name.clone());
                    }
                }
            }
        }
        located.seen.sort_by(|a: &Sighting, b| a.host.cmp(&b.host));
        located.silent.sort();
        located
    }

    fn migrate(
        &self,
        request: &MigrationRequest,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let (from, to) = self.ends(request)?;
        migrate::migrate(from, to, request, told)
    }

    fn abort(&self, guest: &GuestName, from: &HostName) -> Result<(), Error> {
        let not_there = || Error::NotThere {
            guest: guest.clone(),
            host: from.clone(),
        };
        let door = self.door(from).ok_or_else(not_there)?;
        let connection = door.control()?;
        let domain = door.find(&connection, guest)?.ok_or_else(not_there)?;
        // libvirt refuses after the switch; the state is asked first for a message that says why.
        let state = state::state_of(&domain).map_err(|e| refused(from.as_str(), &e))?;
        if matches!(state, GuestState::PostCopyFailed) {
            return Err(Error::Refused {
                host: from.to_string(),
                cause: format!("guest {guest} is in split state: an abort would lose it"),
            });
        }
        door::abort_job(&domain).map_err(|e| refused(from.as_str(), &e))
    }

    fn recover(
        &self,
        request: &MigrationRequest,
        method: Method,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let (from, to) = self.ends(request)?;
        match method {
            Method::Libvirt => migrate::resume(from, to, request, told),
            Method::Monitor => monitor::resume(from, to, request),
        }
    }

    fn tidy(&self, guest: &GuestName, (from, to): (&HostName, &HostName)) -> Result<(), Error> {
        let (source, target) = (self.asked(from)?, self.asked(to)?);
        rest::tidy(source, target, guest)
    }

    fn obstacles(
        &self,
        guest: &GuestName,
        (from, to): (&HostName, &HostName),
        mode: Mode,
    ) -> Result<Vec<String>, Error> {
        let target = self.asked(to)?.control()?;
        self.with(guest, from, |domain| {
            obstacles::obstacles(domain, &target, to.as_str(), mode)
        })
    }

    fn software(&self, host: &HostName) -> Result<Software, Error> {
        let failed = |e: virt::error::Error| refused(host.as_str(), &e);
        let connection = self.asked(host)?.control()?;
        Ok(Software {
            libvirt: Version(connection.get_lib_version().map_err(failed)?.into()),
            qemu: Version(connection.get_hyp_version().map_err(failed)?.into()),
        })
    }

    fn claims(&self, guest: &GuestName, host: &HostName) -> Result<Claims, Error> {
        let xml = self.with(guest, host, |domain| domain.get_xml_desc(0))?;
        claims::claims(&xml).map_err(|cause| Error::Refused {
            host: host.to_string(),
            cause: format!("guest {guest}: {cause}"),
        })
    }

    fn set_lease(
        &self,
        guest: &GuestName,
        host: &HostName,
        lease: Option<&Lease>,
    ) -> Result<(), Error> {
        let element = lease.map(Lease::element);
        let kind = i32::try_from(sys::VIR_DOMAIN_METADATA_ELEMENT).unwrap_or_default();
        self.with(guest, host, |domain| {
            let (key, space) = (Some("vmpack-lease"), Some(claims::LEASE));
            let live = sys::VIR_DOMAIN_AFFECT_LIVE;
            domain
                .set_metadata(kind, element.as_deref(), key, space, live)
                .map(|_| ())
        })
    }

    fn health(&self, guest: &GuestName, host: &HostName) -> Result<Health, Error> {
        let answers = self.with(guest, host, health::answers)?;
        let connection = self.asked(host)?.control()?;
        Ok(Health {
            answers,
            busy: health::busy(&connection),
        })
    }

    fn weights(&self, host: &HostName) -> Result<Option<Weights>, Error> {
        shares::weights(self.asked(host)?, &self.given)
    }

    fn set_shares(&self, guest: &GuestName, host: &HostName, shares: u64) -> Result<(), Error> {
        self.with(guest, host, |domain| shares::set(domain, shares))
    }

    fn now(&self) -> Micros {
        since(self.started)
    }

    fn wait(&self, span: Micros) {
        std::thread::sleep(span.to_std());
    }
}

fn since(start: Instant) -> Micros {
    Micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
}

fn refused(host: &str, error: &virt::error::Error) -> Error {
    Error::Refused {
        host: host.to_owned(),
        cause: error.message().to_owned(),
    }
}

/// Does the same for all at once, a thread for each; the answers are in order.
fn at_once<T: Sync, U: Send>(
    all: &[T],
    each: impl Fn(&T) -> Result<U, Error> + Sync,
) -> Vec<Result<U, Error>> {
    std::thread::scope(|scope| {
        let each = &each;
        let threads: Vec<_> = all
            .iter()
            .map(|one| scope.spawn(move || each(one)))
            .collect();
        let joined = threads.into_iter().map(|t| {
            t.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    })
}
