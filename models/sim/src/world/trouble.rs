//! What faults do to a world.

use vmpack_domain::units::Micros;
use vmpack_domain::{GuestName, HostName, Mode};

use super::CopyState;
use super::World;
use crate::fault::{Phase, Trouble};
use crate::migration::{Event, Fate, Happening, Migration, MigrationId, Refusal, Request, number};

/// The version of libvirt whose daemon at the target crashes when a post-copy is resumed.
const RESUME_CRASHES: u64 = 11_003_000;

/// Longer than any history.
const NEVER: Micros = Micros::secs(1_000_000_000);

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
                Trouble::Dies(_)
                | Trouble::DaemonDies(_)
                | Trouble::DaemonBack(_)
                | Trouble::QemuDies(..)
                | Trouble::ShutDown(_)
                | Trouble::Elsewhere(..) => {
                    self.striking = Some(what.clone());
                    self.hit(&what);
                    self.striking = None;
                }
            }
        }
    }

    fn hit(&mut self, what: &Trouble) {
        match what {
            Trouble::Dies(h) => self.die(h),
            Trouble::DaemonDies(h) => self.daemon_dies(h),
            Trouble::DaemonBack(h) => {
                if let Some(h) = self.hosts.get_mut(h) {
                    h.daemon = true;
                }
            }
            Trouble::QemuDies(g, h) => self.qemu_dies(g, h, "QEMU"),
            Trouble::ShutDown(g) => self.shut_down(g),
            Trouble::Elsewhere(g, to) => {
                let from = self.home(g).cloned();
                // What cannot begin is no trouble.
                let _ = from.map(|from| {
                    self.start_migration(Request {
                        guest: g.clone(),
                        from,
                        to: to.clone(),
                        mode: Mode::PreCopy,
                        bandwidth: None,
                        give_up: Micros::secs(600),
                    })
                });
            }
            _ => {}
        }
    }

    /// The migration of a guest, if it has one.
    fn underway(&self, guest: &GuestName) -> Option<(MigrationId, Migration)> {
        let mut all = self.migrations.iter();
        let found = all.find(|(_, m)| m.request.guest == *guest);
        found.map(|(id, m)| (*id, m.clone()))
    }

    fn die(&mut self, host: &HostName) {
        let Some(dying) = self.hosts.get_mut(host).filter(|h| h.alive) else {
            return;
        };
        dying.alive = false;
        for guest in self.guests.keys().cloned().collect::<Vec<_>>() {
            self.qemu_dies(&guest, host, "host");
        }
    }

    /// What that host holds of the guest is gone; `what` died.
    fn qemu_dies(&mut self, guest: &GuestName, host: &HostName, what: &str) {
        let held = self.guests.get(guest).and_then(|g| g.copies.get(host));
        let Some(held) = held.copied() else {
            return;
        };
        let underway = self.underway(guest);
        let mut whole_elsewhere = held == CopyState::Stale;
        if let Some((id, m)) = underway {
            let role = if m.request.from == *host {
                "source"
            } else {
                "target"
            };
            let why = format!("{role} {what} on {host} died");
            if m.switched.is_some() {
                if !m.reported {
                    self.break_in_fetch(id, &format!("{why} in post-copy"), true);
                }
                if let Some(g) = self.guests.get_mut(guest) {
                    g.copies.values_mut().for_each(|s| *s = CopyState::Failed);
                }
                self.migrations.remove(&id);
            } else if role == "target" {
                self.fail_before_switch(id, &why);
                whole_elsewhere = true;
            } else {
                self.fail(id, Fate::Gone, &why);
                if let Some(g) = self.guests.get_mut(guest) {
                    g.copies.clear();
                }
                self.migrations.remove(&id);
            }
        }
        if let Some(g) = self.guests.get_mut(guest) {
            g.copies.remove(host);
        }
        if !whole_elsewhere {
            self.lose(guest);
        }
    }

    /// Streams go on without the daemon; who asked for them hears nothing more.
    fn daemon_dies(&mut self, host: &HostName) {
        let Some(h) = self.hosts.get_mut(host).filter(|h| h.alive && h.daemon) else {
            return;
        };
        h.daemon = false;
        for id in self.migrations.keys().copied().collect::<Vec<_>>() {
            let Some(m) = self.migrations.get(&id).cloned() else {
                continue;
            };
            let (at_source, at_target) = (m.request.from == *host, m.request.to == *host);
            if m.switched.is_none() && at_source {
                let why = format!("the connection to libvirtd of {host} broke");
                self.end_before_switch(id, Fate::Unseen, &why);
            } else if m.switched.is_none() && at_target {
                self.fail_before_switch(id, &format!("libvirtd of the target {host} died"));
            } else if at_source || at_target {
                if !m.reported {
                    let fate = if at_source { Fate::Unseen } else { Fate::Split };
                    self.fail(id, fate, &format!("libvirtd of {host} died in post-copy"));
                }
                if let Some(m) = self.migrations.get_mut(&id) {
                    m.reported = true;
                    m.orphan |= at_source;
                }
            }
        }
    }

    /// Its owner ends the guest, wherever it is.
    fn shut_down(&mut self, guest: &GuestName) {
        let runs = |g: &super::SimGuest| g.copies.values().any(|c| *c == CopyState::Running);
        if !self.guests.get(guest).is_some_and(runs) {
            return;
        }
        if let Some((id, m)) = self.underway(guest) {
            if !m.reported {
                self.fail(id, Fate::Unseen, "the guest was shut down");
            }
            self.migrations.remove(&id);
        }
        if let Some(g) = self.guests.get_mut(guest) {
            g.copies.clear();
            g.off = true;
        }
    }

    /// Resumes a broken post-copy migration of the guest, as libvirt does; what happens next is told
    /// under the number that it had.
    ///
    /// # Errors
    /// When there is none, a link is down or a daemon does not answer; and where this version of
    /// libvirt does not survive it.
    pub fn recover(&mut self, guest: &GuestName) -> Result<MigrationId, Refusal> {
        let nothing = || Refusal::NothingToResume(guest.clone());
        let (id, m) = self.underway(guest).ok_or_else(nothing)?;
        let (from, to) = (&m.request.from, &m.request.to);
        for host in [from, to] {
            if !self.reachable(host) {
                return Err(Refusal::Unreachable(host.clone()));
            }
        }
        if m.switched.is_none() || !m.reported {
            return Err(nothing());
        }
        if self.libvirt == RESUME_CRASHES {
            self.daemon_dies(to);
            return Err(Refusal::Crashed(to.clone()));
        }
        if self.link(from) <= 0.0 || self.link(to) <= 0.0 {
            return Err(nothing());
        }
        if let Some(m) = self.migrations.get_mut(&id) {
            (m.broken, m.reported, m.stalled) = (false, false, None);
            m.next_progress = self.now + Micros::secs(1);
        }
        if let Some(g) = self.guests.get_mut(guest) {
            g.copies.insert(from.clone(), CopyState::Outgoing);
            g.copies.insert(to.clone(), CopyState::Running);
        }
        self.share_links();
        Ok(id)
    }

    /// Whoever asked for a migration is gone. The hosts carry it on by themselves, but nobody will ask
    /// for its switch to post-copy any more, nor give it up: where it has not switched, it goes on as
    /// pre-copy.
    pub fn forsake(&mut self, id: MigrationId) {
        if let Some(m) = self
            .migrations
            .get_mut(&id)
            .filter(|m| m.switched.is_none())
        {
            m.request.mode = Mode::PreCopy;
            m.request.give_up = NEVER;
        }
    }

    /// Removes what a dead libvirtd left of the guest at a source; `false` where the guest does not run
    /// whole at the target.
    pub fn tidy(&mut self, guest: &GuestName, from: &HostName, to: &HostName) -> bool {
        let busy = self.underway(guest).is_some();
        let Some(g) = self.guests.get_mut(guest) else {
            return false;
        };
        if busy || g.copies.get(to) != Some(&CopyState::Running) {
            return false;
        }
        if g.copies.get(from) == Some(&CopyState::Stale) {
            g.copies.remove(from);
        }
        true
    }

    /// Tears a post-copy migration after its switch, which libvirt does only when it is asked to by
    /// a flag of its own. Nothing of ours does so; it is here to be missed by nobody.
    pub fn tear(&mut self, guest: &GuestName) -> bool {
        let Some((id, _)) = self.underway(guest).filter(|(_, m)| m.switched.is_some()) else {
            return false;
        };
        self.break_in_fetch(id, "the job was aborted in post-copy", true);
        self.share_links();
        true
    }

    fn lose(&mut self, guest: &GuestName) {
        if let Some(g) = self.guests.get_mut(guest).filter(|g| !g.lost) {
            g.lost = true;
            g.cause = self.striking.clone();
            let (at, guest) = (self.now, guest.clone());
            self.events.push(Event {
                at,
                guest,
                migration: None,
                what: Happening::Lost,
            });
        }
    }
}
