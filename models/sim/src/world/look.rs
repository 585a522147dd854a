//! What a world is asked: nothing of this changes it, but for a guest's metadata.

use vmpack_domain::units::MiB;
use vmpack_domain::{GuestName, HostName};

use super::{CopyState, World};
use crate::fault::Trouble;
use crate::migration::{MigrationId, Request};

/// A migration in progress, as somebody sees it who sees all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traffic {
    /// Which.
    pub id: MigrationId,
    /// What was asked.
    pub request: Request,
    /// Whether execution is at the target: the guest is in split state.
    pub switched: bool,
    /// Whether its caller was told that it failed.
    pub reported: bool,
}

impl World {
    /// What each host holds of a guest, in order of their names; empty when nobody holds any of it.
    #[must_use]
    pub fn copies(&self, guest: &GuestName) -> Vec<(HostName, CopyState)> {
        let copies = self.guests.get(guest).map(|g| g.copies.iter());
        copies
            .into_iter()
            .flatten()
            .map(|(h, s)| (h.clone(), *s))
            .collect()
    }

    /// Where the guest runs, or last ran.
    #[must_use]
    pub fn home(&self, guest: &GuestName) -> Option<&HostName> {
        self.guests.get(guest)?.home.as_ref()
    }

    /// Whether memory of the guest is gone for good.
    #[must_use]
    pub fn lost(&self, guest: &GuestName) -> bool {
        self.guests.get(guest).is_some_and(|g| g.lost)
    }

    /// What a lost guest was lost by; nothing where no fault did it.
    #[must_use]
    pub fn cause(&self, guest: &GuestName) -> Option<&Trouble> {
        self.guests.get(guest)?.cause.as_ref()
    }

    /// Whether its owner shut the guest down.
    #[must_use]
    pub fn off(&self, guest: &GuestName) -> bool {
        self.guests.get(guest).is_some_and(|g| g.off)
    }

    /// Whether the host is there.
    #[must_use]
    pub fn alive(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|h| h.alive)
    }

    /// Whether the host is there and its libvirtd answers.
    #[must_use]
    pub fn reachable(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|h| h.alive && h.daemon)
    }

    /// Memory of the guests that the host holds whole or in part.
    #[must_use]
    pub fn memory_taken(&self, host: &HostName) -> MiB {
        let held = self.guests.values().filter(|g| g.copies.contains_key(host));
        held.map(|g| g.memory).sum()
    }

    /// The migrations in progress, in the order of their starts.
    #[must_use]
    pub fn traffic(&self) -> Vec<Traffic> {
        let each = self.migrations.iter().map(|(id, m)| Traffic {
            id: *id,
            request: m.request.clone(),
            switched: m.switched.is_some(),
            reported: m.reported,
        });
        each.collect()
    }

    /// The hosts' version of libvirt, as libvirt counts.
    #[must_use]
    pub fn libvirt(&self) -> u64 {
        self.libvirt
    }

    /// What stands in the guest's metadata under that key.
    #[must_use]
    pub fn metadata(&self, guest: &GuestName, key: &str) -> Option<&str> {
        self.guests
            .get(guest)?
            .metadata
            .get(key)
            .map(String::as_str)
    }

    /// Writes the guest's metadata under that key, or strikes it out.
    pub fn set_metadata(&mut self, guest: &GuestName, key: &str, value: Option<String>) {
        if let Some(g) = self.guests.get_mut(guest) {
            match value {
                Some(value) => g.metadata.insert(key.to_owned(), value),
                None => g.metadata.remove(key),
            };
        }
    }
}
