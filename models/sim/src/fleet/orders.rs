//! What a policy may do to a fleet.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use vmpack_domain::load::GuestLoad;
use vmpack_domain::migration;
use vmpack_domain::plan::Mode;
use vmpack_domain::units::{MiBPerSec, Micros, MilliCores};
use vmpack_domain::{Guest, PostCopy};

use super::state::{Due, Fleet, Flight, Power};
use super::told::{Refusal, What};
use super::{GuestSpec, MigrationModel};
use crate::migration::{mib, micros, number};

impl Fleet {
    /// Starts a guest on a host, at no cost: at the start, or anew after its host died.
    ///
    /// # Errors
    /// When the host does not take guests, or has too little memory. Memory counts here even where it
    /// does not count for migrations.
    pub fn place(&mut self, guest: usize, host: usize) -> Result<(), Refusal> {
        if self.at[guest].is_some() {
            return Err(Refusal::There);
        }
        if self.left[guest] {
            return Err(Refusal::NotRunning);
        }
        if self.state[host].power != Power::On {
            return Err(Refusal::Closed);
        }
        if self.free_memory(host) < self.guests[guest].memory {
            return Err(Refusal::NoRoom);
        }
        self.mark(host);
        self.at[guest] = Some(host);
        self.state[host].on.push(guest);
        self.tell(What::Started { guest, host });
        Ok(())
    }

    /// Begins to migrate a guest.
    ///
    /// # Errors
    /// When that cannot begin; nothing has changed then.
    pub fn migrate(&mut self, guest: usize, to: usize) -> Result<(), Refusal> {
        let Some(from) = self.at[guest] else {
            return Err(Refusal::NotRunning);
        };
        if from == to || self.state[to].arriving.contains(&guest) {
            return Err(Refusal::There);
        }
        // CloudSim moves a guest twice at once; nothing else does.
        if self.moving[guest] > 0 && self.physics.migration != MigrationModel::Flat {
            return Err(Refusal::There);
        }
        if self.state[to].power != Power::On {
            return Err(Refusal::Closed);
        }
        if self.physics.memory_counts && self.free_memory(to) < self.guests[guest].memory {
            return Err(Refusal::NoRoom);
        }
        self.mark(from);
        self.mark(to);
        let (switch, takes) = self.times(guest, to);
        let flight = self.flights.len();
        self.flights.push(Flight {
            guest,
            to,
            switched: false,
            over: false,
        });
        if switch < takes {
            self.due
                .push(Reverse((self.now + switch, Due::Switch(flight))));
        }
        self.due
            .push(Reverse((self.now + takes, Due::Arrive(flight))));
        self.moving[guest] += 1;
        self.state[to].arriving.push(guest);
        self.account.migrations += 1;
        self.tell(What::Began {
            guest,
            from,
            to,
            takes,
        });
        Ok(())
    }

    /// Tells a host to wake.
    ///
    /// # Errors
    /// When it does not sleep.
    pub fn wake(&mut self, host: usize) -> Result<(), Refusal> {
        if self.state[host].power != Power::Asleep {
            return Err(Refusal::InUse);
        }
        self.mark(host);
        let ready = self.now + self.hosts[host].wake;
        self.state[host].power = Power::Waking(ready);
        self.due.push(Reverse((ready, Due::Wake(host))));
        self.account.woken += 1;
        self.tell(What::Woken { host });
        Ok(())
    }

    /// Puts a host to sleep.
    ///
    /// # Errors
    /// When guests run there, come there or are fetched from there, or when it is not on or never sleeps.
    pub fn sleep(&mut self, host: usize) -> Result<(), Refusal> {
        let state = &self.state[host];
        let empty = state.on.is_empty() && state.arriving.is_empty() && state.leaving.0 == 0;
        if state.power != Power::On || !empty || self.hosts[host].stays_on {
            return Err(Refusal::InUse);
        }
        self.mark(host);
        self.state[host].power = Power::Asleep;
        self.tell(What::Slept { host });
        Ok(())
    }

    /// Until execution switches, and until the end.
    pub(super) fn times(&self, guest: usize, to: usize) -> (Micros, Micros) {
        let spec = &self.guests[guest];
        match &self.physics.migration {
            MigrationModel::Flat => {
                let rate = self.hosts[to].link / 2.0;
                let takes = micros((number(spec.memory.0) / rate * 1e6).round());
                (takes, takes)
            }
            MigrationModel::Live { migrations, .. } => {
                let from = self.at[guest].unwrap_or(to);
                let link = self.hosts[from].link.min(self.hosts[to].link);
                let link = MiBPerSec(mib(link).0);
                let urgent = self.state[from].hot.is_some();
                let (mode, prediction) = migration::choose(
                    migrations,
                    &domain_guest(spec),
                    Some(&GuestLoad {
                        dirty: spec.dirty,
                        ..GuestLoad::default()
                    }),
                    migrations.part_of(link),
                    urgent,
                );
                let switch = match mode {
                    Mode::PreCopy => prediction.total,
                    _ => prediction.switch,
                };
                (switch.min(prediction.total), prediction.total)
            }
        }
    }
}

/// As much of a guest as the choice of a migration's kind asks for.
fn domain_guest(spec: &GuestSpec) -> Guest {
    Guest {
        name: spec.name.clone(),
        uuid: None,
        vcpus: spec.vcpus,
        memory: spec.memory,
        host: None,
        reserved: MilliCores::ZERO,
        movable: true,
        moved_ago: None,
        post_copy: PostCopy::Allowed,
        requires: BTreeMap::new(),
    }
}
