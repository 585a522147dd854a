//! What hosts give, and what is added up of it.

use std::cmp::Reverse;

use super::shares::{Part, Role, share};
use super::state::{Due, Fleet, Power};
use super::told::{Told, What};
use super::{Between, MigrationModel, Reading, Relief};
use crate::migration::seconds;

impl Fleet {
    /// Counts what a host did until now, and marks it as one whose reading is no longer true.
    pub(super) fn mark(&mut self, host: usize) {
        if !self.state[host].dirty {
            self.count_held(host);
            self.state[host].dirty = true;
        }
    }

    /// Reads anew every host that was marked.
    pub(super) fn settle(&mut self) {
        for host in 0..self.hosts.len() {
            if self.state[host].dirty {
                self.state[host].dirty = false;
                self.read(host);
            }
        }
    }

    pub(super) fn read(&mut self, host: usize) {
        let reading = self.weigh(host);
        self.state[host].reading = reading;
        match (reading.too_full, self.state[host].hot) {
            (true, None) => {
                self.state[host].hot = Some(self.now);
                if let Some(after) = self.physics.notice {
                    let due = Due::Notice(host, self.now);
                    self.due.push(Reverse((self.now + after, due)));
                }
                self.tell(What::Overloaded { host });
            }
            (false, Some(from)) => {
                self.state[host].hot = None;
                let lasted = self.now.saturating_sub(from);
                self.reliefs.push(Relief { host, from, lasted });
                self.tell(What::Relieved { host });
            }
            _ => {}
        }
    }

    pub(super) fn weigh(&self, host: usize) -> Reading {
        let spec = &self.hosts[host];
        let state = &self.state[host];
        if matches!(state.power, Power::Dead | Power::Asleep) {
            return Reading::default();
        }
        let flat = self.physics.migration == MigrationModel::Flat;
        let loss = match self.physics.migration {
            MigrationModel::Flat => 0.1,
            MigrationModel::Live { loss, .. } => loss,
        };
        let part = |g: usize, role| Part {
            want: self.want[g],
            cap: f64::from(self.guests[g].vcpus) * spec.core,
            role,
        };
        let home = state.on.iter().map(|g| {
            let role = if self.moving[*g] == 0 {
                Role::Home
            } else {
                Role::Moving {
                    keeps: 1.0 - loss,
                    copying: true,
                }
            };
            part(*g, role)
        });
        let arriving = state
            .arriving
            .iter()
            .filter(|_| flat)
            .map(|g| part(*g, Role::Arriving { takes: 0.1 }));
        share(home.chain(arriving), spec.capacity(), self.physics.whole)
    }

    /// Counts since the last look, with demand that went straight from then to now.
    pub(super) fn count(&mut self, host: usize) {
        if self.physics.between == Between::Held {
            self.count_held(host);
            return;
        }
        let old = self.state[host].reading;
        self.read(host);
        let new = self.state[host].reading;
        self.add(host, &old, &new);
    }

    /// Counts since the last look, with demand that stayed as it was.
    pub(super) fn count_held(&mut self, host: usize) {
        let reading = self.state[host].reading;
        self.add(host, &reading, &reading);
    }

    pub(super) fn add(&mut self, host: usize, old: &Reading, new: &Reading) {
        let state = &mut self.state[host];
        let span = seconds(self.now.saturating_sub(state.looked));
        state.looked = self.now;
        if span <= 0.0 {
            return;
        }
        let spec = &self.hosts[host];
        let awake = match state.power {
            Power::On if self.physics.free_sleep => old.used > 0.0,
            Power::On | Power::Waking(_) => true,
            Power::Asleep | Power::Dead => false,
        };
        let sum = &mut self.account;
        if awake {
            let watts = |r: &Reading| spec.power.watts(r.used / spec.capacity());
            sum.joules += (watts(old) + watts(new)) / 2.0 * span;
            sum.awake += span;
        } else if state.power == Power::Asleep {
            sum.joules += spec.asleep * span;
        }
        if old.used > 0.0 {
            sum.active += span;
            if old.used < old.wanted {
                sum.short += span;
            }
        }
        sum.guest_short += f64::from(old.short_guests) * span;
        sum.wanted += old.home * span;
        sum.unserved += old.unserved * span;
        sum.unserved_moving += old.unserved_moving * span;
    }

    pub(super) fn tell(&mut self, what: What) {
        let at = self.now;
        if let Some(told) = &mut self.told {
            told.push(Told { at, what });
        }
    }
}
