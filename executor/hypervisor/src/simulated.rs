//! The simulated world as a hypervisor.

use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, Load};

use crate::{
    Error, Hypervisor, MigrationEvent, MigrationFailure, MigrationReport, MigrationRequest,
    Sighting,
};

/// A hypervisor of simulated hosts. Virtual time jumps from event to event, or runs at a multiple
/// of real time after [`Simulated::paced`].
#[derive(Debug)]
pub struct Simulated {
    cluster: Cluster,
}

impl Simulated {
    /// A world of that cluster under that load.
    #[must_use]
    pub fn new(cluster: Cluster, _load: Load, _options: vmpack_sim::Options) -> Self {
        Self { cluster }
    }

    /// Virtual time then runs `speed_up` times as fast as real time.
    #[must_use]
    pub fn paced(self, _speed_up: u32) -> Self {
        self
    }
}

fn unfinished() -> Error {
    Error::Refused {
        host: "simulated".to_owned(),
        cause: "the simulated world is being built".to_owned(),
    }
}

impl Hypervisor for Simulated {
    fn snapshot(&self) -> Result<Cluster, Error> {
        Ok(self.cluster.clone())
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
