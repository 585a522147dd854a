//! What faults do to a world.

use vmpack_domain::units::Micros;
use vmpack_domain::{GuestName, HostName};

use super::CopyState;
use super::World;
use crate::fault::{Phase, Trouble};
use crate::migration::{Event, Fate, Happening, MigrationId, number};

impl World {
    /// Something goes wrong at that time, or now when it has passed.
    pub fn add_fault(&mut self, at: Micros, what: Trouble) {
        let at = at.max(self.now);
        let place = self.due.partition_point(|(t, _)| *t <= at);
        self.due.insert(place, (at, what));
    }

    /// Sets the time of the faults that waited for this guest to enter this phase.
    pub(super) fn awaken(&mut self, guest: &GuestName, phase: Phase) {
        let (woken, rest) = std::mem::take(&mut self.lurking)
            .into_iter()
            .partition(|(g, p, _, _)| g == guest && *p == phase);
        self.lurking = rest;
        for (_, _, after, what) in woken {
            self.add_fault(self.now + after, what);
        }
    }

    /// Faults that are due.
    pub(super) fn strike(&mut self) {
        while self.due.first().is_some_and(|(t, _)| *t <= self.now) {
            let (_, what) = self.due.remove(0);
            let mut link = |name: &HostName, share: f64| {
                if let Some(h) = self.hosts.get_mut(name) {
                    h.link = share;
                }
            };
            match &what {
                Trouble::LinkDown(h) => link(h, 0.0),
                Trouble::LinkUp(h) => link(h, 1.0),
                Trouble::LinkSlow(h, share) => link(h, number(share.0.min(1000)) / 1000.0),
                Trouble::Refuses(h) => {
                    if let Some(h) = self.hosts.get_mut(h) {
                        h.refusals += 1;
                    }
                }
                Trouble::Dies(h) => self.die(h),
            }
        }
    }

    fn die(&mut self, host: &HostName) {
        let Some(dying) = self.hosts.get_mut(host).filter(|h| h.alive) else {
            return;
        };
        dying.alive = false;
        let hit = self
            .migrations
            .iter()
            .filter(|(_, m)| m.request.from == *host || m.request.to == *host);
        for id in hit.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some(m) = self.migrations.get(&id).cloned() else {
                continue;
            };
            let role = if m.request.from == *host {
                "source"
            } else {
                "target"
            };
            if m.switched.is_some() {
                if !m.reported {
                    self.break_in_fetch(id, &format!("{role} host {host} died in post-copy"));
                }
                if let Some(g) = self.guests.get_mut(&m.request.guest) {
                    g.copies.values_mut().for_each(|s| *s = CopyState::Failed);
                    g.copies.remove(host);
                }
                self.lose(&m.request.guest, Some(id));
                self.migrations.remove(&id);
            } else if role == "target" {
                self.fail_before_switch(id, &format!("target host {host} died"));
            } else {
                self.fail(id, Fate::Gone, &format!("source host {host} died"));
                if let Some(g) = self.guests.get_mut(&m.request.guest) {
                    g.copies.clear();
                }
                self.lose(&m.request.guest, Some(id));
                self.migrations.remove(&id);
            }
        }
        for name in self.guests.keys().cloned().collect::<Vec<_>>() {
            if let Some(g) = self.guests.get_mut(&name)
                && g.copies.remove(host).is_some()
            {
                self.lose(&name, None);
            }
        }
    }

    fn lose(&mut self, guest: &GuestName, migration: Option<MigrationId>) {
        if let Some(g) = self.guests.get_mut(guest).filter(|g| !g.lost) {
            g.lost = true;
            let (at, guest) = (self.now, guest.clone());
            self.events.push(Event {
                at,
                guest,
                migration,
                what: Happening::Lost,
            });
        }
    }
}
