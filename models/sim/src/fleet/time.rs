//! How time goes on: events, in their order.

use std::cmp::Reverse;

use rand_chacha::rand_core::Rng;
use vmpack_domain::units::{MiB, Micros};

use super::state::{Due, Fleet, Flight, Power};
use super::told::{Notice, What};
use super::{Between, MigrationModel, Physics, Relief};
use crate::migration::seconds;

impl Fleet {
    /// Counting begins at that time, with everybody where it was placed.
    pub fn begin_at(&mut self, at: Micros) {
        self.now = at;
        self.counted = at;
        if self.physics.between == Between::Held {
            // Steps before it have happened.
            while let Some(Reverse((when, due))) = self.due.peek().copied() {
                if when > at {
                    break;
                }
                self.due.pop();
                self.happen(due);
            }
        }
        self.refresh();
        for h in 0..self.hosts.len() {
            self.state[h].looked = at;
            self.state[h].dirty = false;
            self.read(h);
        }
    }

    /// The last time that hosts were looked at.
    #[must_use]
    pub fn last_look(&self) -> Micros {
        let looked = self.state.iter().map(|s| s.looked);
        looked.max().unwrap_or_default()
    }

    /// Lets time go on until something happens that a policy may want to act upon, at most to
    /// `until`; `None` when that is reached. Events at `until` itself have then happened.
    pub fn go_on(&mut self, until: Micros) -> Option<Notice> {
        self.settle();
        loop {
            if let Some(notice) = self.notices.pop() {
                return Some(notice);
            }
            let next = self.due.peek().map(|e| e.0.0).filter(|at| *at <= until);
            let Some(at) = next else {
                self.pass(until);
                return None;
            };
            self.pass(at);
            self.look_all();
            while let Some(Reverse((_, due))) = self.due.peek().filter(|e| e.0.0 == at).copied() {
                self.due.pop();
                self.happen(due);
            }
            self.settle();
            self.notices.reverse();
        }
    }

    /// Time goes on to then: guests that wait for a host want what they want and get nothing.
    fn pass(&mut self, to: Micros) {
        let span = seconds(to.saturating_sub(self.counted));
        self.now = to;
        self.counted = to;
        let waits = |g: &usize| self.at[*g].is_none() && !self.left[*g];
        let missed: f64 = (0..self.guests.len())
            .filter(waits)
            .map(|g| self.want[g])
            .sum();
        self.account.wanted += missed * span;
        self.account.unserved += missed * span;
    }

    /// Looks at every host now and keeps what guests want in their past: done before a policy is
    /// asked at its regular time.
    pub fn observe(&mut self) {
        self.look_all();
        for g in 0..self.guests.len() {
            let share = self.want[g] / self.guests[g].promised.max(f64::MIN_POSITIVE);
            self.past[g].push(share);
        }
    }

    /// Counts up to now, with overloads that still last.
    pub fn finish(&mut self) {
        for h in 0..self.hosts.len() {
            if self.physics.between == Between::Held {
                self.count_held(h);
            }
            if let Some(from) = self.state[h].hot.take() {
                let lasted = self.now.saturating_sub(from);
                self.reliefs.push(Relief {
                    host: h,
                    from,
                    lasted,
                });
            }
        }
    }

    /// Where demand is straight between points, everything is seen anew; else only what changed is.
    pub(super) fn look_all(&mut self) {
        if self.physics.between == Between::Held {
            return;
        }
        self.refresh();
        for h in 0..self.hosts.len() {
            self.count(h);
        }
        if self.physics.resting_leave {
            self.let_go();
        }
    }

    pub(super) fn refresh(&mut self) {
        let Physics {
            interval, between, ..
        } = self.physics;
        for g in 0..self.guests.len() {
            self.want[g] = self.demand[g].at(self.now, interval, between) * self.guests[g].promised;
        }
    }

    /// Guests that want nothing leave.
    pub(super) fn let_go(&mut self) {
        for g in 0..self.guests.len() {
            if self.want[g] == 0.0 && self.moving[g] == 0 && self.at[g].is_some() {
                self.leave(g);
                self.left[g] = true;
                self.tell(What::Left { guest: g });
            }
        }
    }

    /// Takes a guest off the host that it runs on.
    pub(super) fn leave(&mut self, guest: usize) {
        if let Some(host) = self.at[guest].take() {
            self.mark(host);
            self.state[host].on.retain(|g| *g != guest);
        }
    }

    pub(super) fn happen(&mut self, due: Due) {
        match due {
            Due::Point => {
                let before = self.want.clone();
                self.refresh();
                for (g, before) in before.into_iter().enumerate() {
                    self.changed(g, before);
                }
                let next = self.now + self.physics.interval;
                self.due.push(Reverse((next, Due::Point)));
            }
            Due::Step(g) => {
                let before = self.want[g];
                let (interval, between) = (self.physics.interval, self.physics.between);
                let wants = self.demand[g].at(self.now, interval, between);
                self.want[g] = wants * self.guests[g].promised;
                self.changed(g, before);
                if let Some(next) = self.demand[g].next_step(self.now) {
                    self.due.push(Reverse((next, Due::Step(g))));
                }
            }
            Due::Switch(flight) => self.switch(flight),
            Due::Arrive(flight) => self.arrive(flight),
            Due::Wake(host) => {
                if matches!(self.state[host].power, Power::Waking(_)) {
                    self.mark(host);
                    self.state[host].power = Power::On;
                    self.notices.push(Notice::Awake(host));
                }
            }
            Due::Notice(host, since) => {
                if self.state[host].hot == Some(since) {
                    self.notices.push(Notice::Overloaded(host));
                }
            }
            Due::Death(host) => self.die(host),
        }
    }

    /// Marks the hosts of a guest whose demand was another; the demand between is still counted as it
    /// was.
    pub(super) fn changed(&mut self, guest: usize, before: f64) {
        let now = self.want[guest];
        if (now - before).abs() > 0.0 {
            // What was given until now was shared out by the reading that stands.
            if let Some(host) = self.at[guest] {
                self.mark(host);
            }
        }
    }

    pub(super) fn switch(&mut self, flight: usize) {
        let Flight {
            guest, to, over, ..
        } = self.flights[flight];
        let Some(from) = self.at[guest].filter(|_| !over) else {
            return;
        };
        self.mark(to);
        let stood = match self.physics.migration {
            MigrationModel::Live { downtime, .. } => seconds(downtime),
            MigrationModel::Flat => 0.0,
        };
        let missed = stood * self.want[guest];
        self.account.unserved += missed;
        self.account.unserved_moving += missed;
        self.leave(guest);
        self.state[from].leaving.0 += self.guests[guest].memory.0;
        self.state[to].arriving.retain(|g| *g != guest);
        self.state[to].on.push(guest);
        self.at[guest] = Some(to);
        self.fetched[guest] = true;
        self.flights[flight].switched = true;
        // The source's memory is freed at the end: its index is kept in the flight's guest.
        self.flights[flight].to = from;
    }

    pub(super) fn arrive(&mut self, flight: usize) {
        let Flight {
            guest,
            to,
            switched,
            over,
        } = self.flights[flight];
        if over {
            return;
        }
        self.flights[flight].over = true;
        self.moving[guest] -= 1;
        if self.physics.notice.is_some() {
            self.notices.push(Notice::Ended(guest));
        }
        if switched {
            // `to` is the source by now.
            let freed = self.guests[guest].memory.0;
            let leaving = &mut self.state[to].leaving.0;
            *leaving = leaving.saturating_sub(freed);
            self.fetched[guest] = false;
            if let Some(host) = self.at[guest] {
                self.mark(host);
                self.tell(What::Ended { guest, to: host });
            }
            return;
        }
        self.mark(to);
        self.state[to].arriving.retain(|g| *g != guest);
        if self.fails() {
            if let Some(host) = self.at[guest] {
                self.mark(host);
            }
            self.account.failed += 1;
            self.tell(What::Failed { guest });
            return;
        }
        if let MigrationModel::Live { downtime, .. } = self.physics.migration {
            let missed = seconds(downtime) * self.want[guest];
            self.account.unserved += missed;
            self.account.unserved_moving += missed;
        }
        self.leave(guest);
        self.at[guest] = Some(to);
        self.state[to].on.push(guest);
        self.tell(What::Ended { guest, to });
    }

    pub(super) fn fails(&mut self) -> bool {
        let share = self.physics.failing.0;
        share > 0 && u64::from(self.rng.next_u32()) * 1000 < (share << 32)
    }

    pub(super) fn die(&mut self, host: usize) {
        self.mark(host);
        for flight in 0..self.flights.len() {
            let Flight {
                guest, to, over, ..
            } = self.flights[flight];
            let here = self.at[guest] == Some(host) || to == host;
            if over || !here {
                continue;
            }
            self.flights[flight].over = true;
            self.moving[guest] = 0;
            if self.fetched[guest] {
                // In split state either end's death takes it.
                self.fetched[guest] = false;
                self.leave(guest);
                self.account.lost += 1;
                let other = if to == host { None } else { Some(to) };
                if let Some(source) = other {
                    self.mark(source);
                    let leaving = &mut self.state[source].leaving.0;
                    *leaving = leaving.saturating_sub(self.guests[guest].memory.0);
                }
            } else {
                self.mark(to);
                self.state[to].arriving.retain(|g| *g != guest);
                if let Some(from) = self.at[guest] {
                    self.mark(from);
                }
            }
        }
        for guest in std::mem::take(&mut self.state[host].on) {
            self.at[guest] = None;
            self.account.lost += 1;
        }
        self.state[host].leaving = MiB::ZERO;
        self.state[host].power = Power::Dead;
        self.notices.push(Notice::Died(host));
        self.tell(What::Died { host });
    }
}
