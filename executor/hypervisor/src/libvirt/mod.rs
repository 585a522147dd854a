//! Real hosts, through libvirt.

use vmpack_domain::units::{MiB, Micros};
use vmpack_domain::{Cluster, GuestName, HostName};

use crate::{
    Error, Hypervisor, MigrationEvent, MigrationFailure, MigrationReport, MigrationRequest,
    Sighting,
};

/// A host's daemon: its URI, and the address or URI by which other hosts reach it.
pub type Endpoint = (String, Option<String>);

/// A hypervisor of real hosts.
#[derive(Debug)]
pub struct Libvirt {}

fn unfinished() -> Error {
    Error::Refused {
        host: "libvirt".to_owned(),
        cause: "the libvirt door is being built".to_owned(),
    }
}

impl Libvirt {
    /// The hosts behind those URIs; each host's name is what its daemon says.
    ///
    /// # Errors
    /// When one cannot be reached.
    pub fn from_uris(_uris: &[Endpoint]) -> Result<Self, Error> {
        Err(unfinished())
    }

    /// The hosts of a snapshot, by their `uri` and `migrate-address`.
    ///
    /// # Errors
    /// When a host has no `uri`.
    pub fn from_cluster(_cluster: &Cluster) -> Result<Self, Error> {
        Err(unfinished())
    }
}

impl Hypervisor for Libvirt {
    fn snapshot(&self) -> Result<Cluster, Error> {
        Err(unfinished())
    }
    fn locate(&self, _guest: &GuestName) -> Result<Vec<Sighting>, Error> {
        Err(unfinished())
    }
    fn migrate(
        &self,
        _request: &MigrationRequest,
        _told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        Err(MigrationFailure::StaysAtSource(unfinished().to_string()))
    }
    fn abort(&self, _guest: &GuestName, _from: &HostName) -> Result<(), Error> {
        Err(unfinished())
    }
    fn now(&self) -> Micros {
        Micros::ZERO
    }
}

/// What a host's daemon tells of a running guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Its name.
    pub name: GuestName,
    /// Its identity.
    pub uuid: uuid::Uuid,
    /// Its vCPUs.
    pub vcpus: u32,
    /// Its configured memory.
    pub memory: MiB,
    /// Memory resident on the host.
    pub resident: Option<MiB>,
    /// CPU time of the whole guest since its start, in nanoseconds.
    pub cpu_time_ns: Option<u64>,
    /// Each vCPU that is online.
    pub vcpu_times: Vec<VcpuTime>,
    /// How it is run.
    pub accelerator: Accelerator,
}

/// One vCPU's times since its start, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VcpuTime {
    /// Its number.
    pub number: u32,
    /// Run time.
    pub time_ns: Option<u64>,
    /// Run delay: time it was ready and waited.
    pub delay_ns: Option<u64>,
}

/// How QEMU runs a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// In hardware.
    Kvm,
    /// By translation (TCG).
    Tcg,
    /// Something else.
    Other,
}

/// Reads a host's running guests over a read-only connection, in order of their names.
///
/// # Errors
/// When the daemon cannot be reached.
pub fn observe(_uri: &str) -> Result<Vec<Observed>, Error> {
    Err(unfinished())
}
