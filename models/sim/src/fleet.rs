//! A fleet under load over time: hosts that draw power, guests whose demand changes, migrations that
//! take their time and cost the guest some of its CPU, hosts that sleep, wake and die. On a virtual
//! clock, seeded; a day of a thousand guests takes a moment, because nothing is done between two
//! events.
//!
//! [`World`](crate::World) knows one migration in every detail; a [`Fleet`] knows many guests over
//! weeks. Both are pure.
//!
//! ```text
//! hosts    On ─ sleep ─> Asleep ─ wake ─> Waking ─ (wake time) ─> On        any ─ fault ─> Dead
//! guests   at a host ─ migrate ─> at a host, arriving at another ─ (duration) ─> at the other
//! ```
//!
//! A host's CPU goes to its guests in equal proportion where they want more than it has. What each
//! host was asked and what it gave is added up between two looks at it ([`Account`]); what a policy
//! may see is the present and the past.

mod account;
mod count;
mod demand;
mod orders;
mod power;
mod shares;
mod state;
mod time;
mod told;

pub use account::{Account, Relief};
pub use demand::{Between, Demand};
pub use power::PowerCurve;
pub use shares::Reading;
pub use state::{Fleet, Power};
pub use told::{Notice, Refusal, Told, What};

use vmpack_domain::policy::Migrations;
use vmpack_domain::units::{MiB, Micros, PagesPerSec, Permille};
use vmpack_domain::{GuestName, HostName};

/// A host of a fleet. CPU is counted in thousandths of a core of speed 1, as
/// [`MilliCores`](vmpack_domain::units::MilliCores) are; in a trace of MIPS, in MIPS.
#[derive(Debug, Clone, PartialEq)]
pub struct HostSpec {
    /// Its name.
    pub name: HostName,
    /// How many cores it has.
    pub cores: u32,
    /// What one of them does.
    pub core: f64,
    /// What of all of them is kept from guests.
    pub kept: f64,
    /// Its memory.
    pub memory: MiB,
    /// Its link, in MiB/s.
    pub link: f64,
    /// What it draws.
    pub power: PowerCurve,
    /// What it draws asleep, in watts.
    pub asleep: f64,
    /// From the order to wake until it takes guests.
    pub wake: Micros,
    /// Whether it never sleeps.
    pub stays_on: bool,
}

impl HostSpec {
    /// What all its cores do for guests.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        f64::from(self.cores) * self.core - self.kept
    }
}

/// A guest of a fleet, without its demand, which is the future.
#[derive(Debug, Clone, PartialEq)]
pub struct GuestSpec {
    /// Its name.
    pub name: GuestName,
    /// How many vCPUs it has; each runs on one core at a time.
    pub vcpus: u32,
    /// Most CPU that it may want, in the hosts' unit.
    pub promised: f64,
    /// Its memory.
    pub memory: MiB,
    /// Pages that it dirties in a second, where that is known.
    pub dirty: Option<PagesPerSec>,
}

/// What is true of this world besides its hosts and guests.
#[derive(Debug, Clone, PartialEq)]
pub struct Physics {
    /// The distance of a grid's points, and of two looks of the policy.
    pub interval: Micros,
    /// When the policy looks for the first time.
    pub first: Micros,
    /// How demand goes between a grid's points.
    pub between: Between,
    /// How long a migration takes and what it costs.
    pub migration: MigrationModel,
    /// Whether a host that is too full gives whole units only, as CloudSim does.
    pub whole: bool,
    /// Whether memory limits where a guest may go, or only where it starts.
    pub memory_counts: bool,
    /// Whether a guest that wants nothing at all leaves for good, as CloudSim takes it for finished.
    pub resting_leave: bool,
    /// Whether a host without load draws nothing and takes guests at once, as CloudSim has it;
    /// otherwise it must be told to sleep, and to wake.
    pub free_sleep: bool,
    /// How long a host is overloaded until that is told; never, by default. Where it is told, the ends
    /// of migrations are, too.
    pub notice: Option<Micros>,
    /// The share of migrations that fail, at their end.
    pub failing: Permille,
    /// Of which of them fail.
    pub seed: u64,
    /// Hosts that die, and when.
    pub deaths: Vec<(Micros, usize)>,
}

/// How long a migration takes and what it costs.
#[derive(Debug, Clone, PartialEq)]
pub enum MigrationModel {
    /// As CloudSim has it: memory over half the target's link; meanwhile the guest runs at the source
    /// with a tenth less, and takes a tenth of its demand of the target besides.
    Flat,
    /// As [`vmpack_domain::migration`] predicts it, by pre-copy, hybrid or post-copy: at the source
    /// until execution switches, at the target afterwards.
    Live {
        /// Which kind, and the share of the link.
        migrations: Migrations,
        /// The part of its CPU that a guest loses while its memory is copied or fetched.
        loss: f64,
        /// How long it stands still when execution switches.
        downtime: Micros,
    },
}

#[cfg(test)]
mod tests;
