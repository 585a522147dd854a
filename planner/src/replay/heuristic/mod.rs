//! The well-known heuristics, as CloudSim 3.0.3's power package carries them out (Beloglazov and
//! Buyya, Concurrency and Computation 24(13), 2012): is a host overloaded ([`Detect`])? which guests
//! leave it ([`Select`])? where to ([`Place`])? Then the least loaded hosts are emptied, each if all
//! its guests fit elsewhere.
//!
//! What the package does differently from the paper is done as it does it, because its figures are
//! compared with: a host's draw with one guest more is compared with its draw before *any* was placed,
//! and a sleeping host's with its idle one, so that guests spread over hosts just woken; hosts that
//! were just given guests may still be emptied; the local regression's weights are never applied.

mod detect;
mod select;
mod table;

pub use detect::Detect;
pub use select::Select;

use vmpack_sim::fleet::{Fleet, Power};

use super::{FirstFit, Orders, Policy};
use table::Table;

/// Which of the hosts that would not be overloaded takes a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The one whose draw would rise the least; guests in the order of falling demand (power-aware
    /// best fit decreasing).
    LeastPower,
    /// The first.
    First,
}

/// A heuristic of three parts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heuristic {
    /// When a host is overloaded.
    pub detect: Detect,
    /// Which guest leaves it.
    pub select: Select,
    /// Where guests go.
    pub place: Place,
}

impl Policy for Heuristic {
    /// By what guests are promised. Every host's draw is compared with its idle one, so guests spread.
    fn begin(&mut self, fleet: &Fleet) -> Vec<(usize, usize)> {
        if self.place == Place::First {
            return FirstFit::start(fleet);
        }
        let mut cpu: Vec<f64> = fleet.hosts().iter().map(|h| h.capacity()).collect();
        let mut memory: Vec<u64> = fleet.hosts().iter().map(|h| h.memory.0).collect();
        let mut placed = Vec::new();
        for (g, guest) in fleet.guests().iter().enumerate() {
            let mut best: Option<(f64, usize)> = None;
            for (h, host) in fleet.hosts().iter().enumerate() {
                let fits = f64::from(guest.vcpus) * host.core >= guest.promised
                    && cpu[h] >= guest.promised
                    && memory[h] >= guest.memory.0
                    && fleet.power(h) == Power::On;
                if !fits {
                    continue;
                }
                let load = 1.0 - (cpu[h] - guest.promised) / host.capacity();
                let more = host.power.watts(load) - host.power.idle();
                if best.is_none_or(|b| more < b.0) {
                    best = Some((more, h));
                }
            }
            if let Some((_, h)) = best {
                cpu[h] -= guest.promised;
                memory[h] -= guest.memory.0;
                placed.push((g, h));
            }
        }
        placed
    }

    fn look(&mut self, fleet: &Fleet) -> Orders {
        let mut table = Table::new(fleet, self.detect);
        let hosts = fleet.hosts().len();
        let over: Vec<usize> = (0..hosts).filter(|h| table.is_overloaded(*h)).collect();
        let mut closed = vec![false; hosts];
        let mut leaving = Vec::new();
        for h in &over {
            closed[*h] = true;
            while let Some(g) = self.select.guest(fleet, table.guests(*h)) {
                table.remove(*h, g);
                leaving.push(g);
                if !table.is_overloaded(*h) {
                    break;
                }
            }
        }
        let mut migrations = Vec::new();
        falling(fleet, &mut leaving);
        for g in leaving {
            // Where no host takes it, it stays.
            if let Some(to) = self.find(&mut table, g, &closed) {
                table.add(to, g);
                migrations.push((g, to));
            }
        }
        self.empty_hosts(fleet, &mut table, closed, &mut migrations);
        Orders {
            migrations,
            ..Orders::default()
        }
    }
}

impl Heuristic {
    /// Empties hosts from the least loaded on, each if all its guests fit elsewhere.
    fn empty_hosts(
        &self,
        fleet: &Fleet,
        table: &mut Table<'_>,
        overloaded: Vec<bool>,
        migrations: &mut Vec<(usize, usize)>,
    ) {
        let hosts = fleet.hosts().len();
        let mut closed = overloaded;
        for (h, closed) in closed.iter_mut().enumerate() {
            *closed |= fleet.reading(h).used <= 0.0;
        }
        let mut stays = closed.clone();
        loop {
            let load = |h: &usize| fleet.reading(*h).used / fleet.hosts()[*h].capacity();
            let least = (0..hosts)
                .filter(|h| !stays[*h] && load(h) < 1.0 && !table.guests(*h).is_empty())
                .min_by(|a, b| load(a).total_cmp(&load(b)));
            let Some(least) = least else {
                return;
            };
            stays[least] = true;
            closed[least] = true;
            let mut guests = table.guests(least).to_vec();
            falling(fleet, &mut guests);
            let mut placed = Vec::new();
            for g in guests {
                let Some(to) = self.find(table, g, &closed) else {
                    for (g, to) in placed.drain(..) {
                        table.remove(to, g);
                    }
                    break;
                };
                table.add(to, g);
                placed.push((g, to));
            }
            for (_, to) in &placed {
                stays[*to] = true;
            }
            migrations.append(&mut placed);
        }
    }

    fn find(&self, table: &mut Table<'_>, guest: usize, closed: &[bool]) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for h in (0..closed.len()).filter(|h| !closed[*h]) {
            if !table.fits(h, guest) {
                continue;
            }
            if self.place == Place::First {
                if table.takes(h, guest) {
                    return Some(h);
                }
                continue;
            }
            let more = table.more_power(h, guest);
            if best.is_none_or(|b| more < b.0) && table.takes(h, guest) {
                best = Some((more, h));
            }
        }
        best.map(|b| b.1)
    }
}

/// By what they want now, the greediest first; those who want the same as they stood.
fn falling(fleet: &Fleet, guests: &mut [usize]) {
    guests.sort_by(|a, b| fleet.want(*b).total_cmp(&fleet.want(*a)));
}
