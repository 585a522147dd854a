//! vmpack's own policy for a replay: hosts are packed by what their guests are forecast to want, and
//! left alone then. Few migrations, each for a reason:
//!
//! 1. at the first look every host is emptied whose guests fit elsewhere, those that draw the most for
//!    what they do first;
//! 2. later, a host whose guests want more than it has gives up the guest that is moved the quickest of
//!    those that suffice;
//! 3. and a host is emptied whose guests all fit elsewhere, the one with the fewest first.
//!
//! A host's guests fit when their forecast and some standard deviations of it do; how many follows from
//! how often hosts turn out to be overloaded, so that nothing needs to be known of the load beforehand.
//! Relief and emptying share an allowance that grows with time, so that many small troubles cannot
//! spend it all at once: most of them are over before a migration would be.

mod forecast;
mod room;
mod tend;

use vmpack_sim::fleet::{Fleet, Power};

use super::{Orders, Policy};
use room::Rooms;

/// What the policy is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The share of the hosts in use that may be found overloaded at a look. How many standard
    /// deviations above their forecast a host's guests must fit follows from how many are.
    pub overload: f64,
    /// Migrations that each guest is allowed in a day, after the first packing.
    pub moves: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            overload: 0.1,
            moves: 2.5,
        }
    }
}

impl Settings {
    /// Reads `-OVERLOAD` or `-OVERLOAD-MOVES`, as in `vmpack-0.05-1.5`; nothing for what is usual.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut settings = Self::default();
        let mut parts = text.split('-');
        if !parts.next().unwrap_or_default().is_empty() {
            return None;
        }
        if let Some(overload) = parts.next() {
            settings.overload = overload.parse().ok().filter(|o| (0.0..=1.0).contains(o))?;
        }
        if let Some(moves) = parts.next() {
            settings.moves = moves.parse().ok().filter(|m| (0.0..=1000.0).contains(m))?;
        }
        parts.next().is_none().then_some(settings)
    }
}

/// Standard deviations at the start.
const DEVIATIONS: f64 = 1.0;
/// Most of them.
const MOST_DEVIATIONS: f64 = 3.0;
/// By how many they rise at a look at which all hosts are overloaded.
const GAIN: f64 = 1.0;
/// The allowance lasts for so much of a day's migrations at most: two hours' worth.
const SAVED: f64 = 1.0 / 12.0;
/// Hosts that are tried in vain at a look before emptying is left for the next one.
const ATTEMPTS: usize = 3;

/// The policy.
pub struct Vmpack {
    settings: Settings,
    packed: bool,
    allowance: f64,
    deviations: f64,
}

impl Vmpack {
    /// With these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            packed: false,
            allowance: 0.0,
            deviations: DEVIATIONS,
        }
    }
}

impl Policy for Vmpack {
    /// By what guests are promised, on the hosts that draw the least for what they do.
    fn begin(&mut self, fleet: &Fleet) -> Vec<(usize, usize)> {
        let mut order: Vec<usize> = (0..fleet.hosts().len()).collect();
        order.sort_by(|a, b| room::price(fleet, *a).total_cmp(&room::price(fleet, *b)));
        let mut cpu: Vec<f64> = fleet.hosts().iter().map(|h| h.capacity()).collect();
        let mut memory: Vec<u64> = fleet.hosts().iter().map(|h| h.memory.0).collect();
        let mut placed = Vec::new();
        for (g, guest) in fleet.guests().iter().enumerate() {
            let fits = |h: &&usize| {
                let host = &fleet.hosts()[**h];
                fleet.power(**h) == Power::On
                    && f64::from(guest.vcpus) * host.core >= guest.promised
                    && cpu[**h] >= guest.promised
                    && memory[**h] >= guest.memory.0
            };
            if let Some(h) = order.iter().find(fits).copied() {
                cpu[h] -= guest.promised;
                memory[h] -= guest.memory.0;
                placed.push((g, h));
            }
        }
        placed
    }

    fn look(&mut self, fleet: &Fleet) -> Orders {
        let mut rooms = Rooms::new(fleet, self.deviations);
        let guests = rooms.guests() as f64;
        let saved = guests * self.settings.moves * SAVED;
        if !self.packed {
            self.packed = true;
            self.allowance = saved;
            return Orders {
                migrations: tend::empty(&mut rooms, f64::INFINITY, usize::MAX),
                ..Orders::default()
            };
        }
        let part_of_day = fleet.physics().interval.0 as f64 / 86_400e6;
        let more = guests * self.settings.moves * part_of_day;
        self.allowance = (self.allowance + more).min(saved);
        let excess = rooms.overloaded() - self.settings.overload;
        self.deviations = (self.deviations + GAIN * excess).clamp(0.0, MOST_DEVIATIONS);
        let mut migrations = tend::relieve(&mut rooms, self.allowance);
        self.allowance -= migrations.len() as f64;
        let emptied = tend::empty(&mut rooms, self.allowance, ATTEMPTS);
        self.allowance -= emptied.len() as f64;
        migrations.extend(emptied);
        Orders {
            migrations,
            ..Orders::default()
        }
    }
}
