//! What follows from a migration that is over, was not made after all, or sends a guest back.

use vmpack_domain::GuestName;
use vmpack_domain::plan::Move;
use vmpack_domain::relief::{Demand, Flight, Past};
use vmpack_domain::units::{Micros, MilliCores};

use super::{Oscillation, Watch};

/// For how long a guest rests of which a move failed, and its target is none: what was in the way may be gone
/// then, and others are tried meanwhile.
pub(super) const FAILED: Micros = Micros::secs(5);

impl Watch {
    /// A migration is over.
    pub(super) fn ended(&mut self, guest: &GuestName, moved: bool, now: Micros) {
        let Some(at) = self.flights.iter().position(|f| f.guest == *guest) else {
            return;
        };
        let relief = self.is_for_relief(&self.flights[at]);
        let flight = self.flights.remove(at);
        if let Some(known) = self.guests.get_mut(guest) {
            known.believed = now;
            known.demand = Demand::Starved {
                before: flight.demand,
                margin: flight.margin,
            };
            if moved {
                self.cluster.guests[known.index].host = Some(flight.to.clone());
                if let Some(from) = self.hosts.get_mut(&flight.from) {
                    from.on.remove(guest);
                }
                if let Some(to) = self.hosts.get_mut(&flight.to) {
                    to.on.insert(guest.clone());
                }
            }
        }
        self.last = None;
        if !moved {
            self.not_made(&flight, relief, now);
        }
        for host in [&flight.from, &flight.to] {
            if let Some(watched) = self.hosts.get_mut(host).filter(|_| relief && moved) {
                watched.settle(now);
            }
            self.look(host, now);
        }
    }

    /// A move was not made: that is none for which its guest rests its cooldown. A plan's may have been called
    /// off for relief, which may need that guest now.
    fn not_made(&mut self, flight: &Flight, relief: bool, now: Micros) {
        let of = |p: &Past| p.guest == flight.guest && p.to == flight.to;
        let Some(past) = self.recent.iter().rposition(of) else {
            return;
        };
        if !relief {
            self.recent.remove(past);
            return;
        }
        self.shunned.insert(flight.to.clone(), now + FAILED);
        let rested = (now + FAILED).saturating_sub(self.policy.relief.cooldown);
        let past = &mut self.recent[past].at;
        *past = rested.min(*past);
    }

    /// Notes a guest that is sent back.
    pub(super) fn returns(
        &mut self,
        mv: &Move,
        demand: MilliCores,
        margin: MilliCores,
        now: Micros,
    ) {
        let cooldown = self.policy.relief.cooldown;
        let mut past = self.recent.iter().rev();
        let back = past.any(|p| p.guest == mv.guest && p.from == mv.to && p.at + cooldown > now);
        let then = self.wanted_then.get(&mv.guest).copied();
        let unchanged = then.is_some_and(|t| t.0.abs_diff(demand.0) <= margin.0);
        if back && unchanged {
            self.oscillations.push(Oscillation {
                guest: mv.guest.clone(),
                host: mv.to.clone(),
                at: now,
            });
        }
    }
}
