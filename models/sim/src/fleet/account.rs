//! What is added up over time: physical facts, from which the metrics of a replay are made.

use vmpack_domain::units::Micros;

/// Sums over all hosts and guests since the start.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Account {
    /// Energy, in joules.
    pub joules: f64,
    /// Seconds in which a host carried load.
    pub active: f64,
    /// Seconds in which a host was awake or waking.
    pub awake: f64,
    /// Of the active ones, seconds in which a host gave less than it was asked for.
    pub short: f64,
    /// Seconds in which a guest got less than it wanted because its host was too full.
    pub guest_short: f64,
    /// CPU that guests wanted, those that wait for a host included, in units × seconds.
    pub wanted: f64,
    /// Of it, what they did not get.
    pub unserved: f64,
    /// Of that, what they did not get while they were migrated.
    pub unserved_moving: f64,
    /// Migrations begun.
    pub migrations: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Guests lost with their host; they start anew when they are placed.
    pub lost: u64,
    /// Hosts woken.
    pub woken: u64,
}

/// A time in which a host's guests wanted more than it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relief {
    /// Which host.
    pub host: usize,
    /// Since when.
    pub from: Micros,
    /// How long; until the end of the replay where it lasted that long.
    pub lasted: Micros,
}
