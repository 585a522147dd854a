//! What came out of a replay, in the metrics of the field.

use serde::Serialize;
use vmpack_domain::units::Micros;
use vmpack_sim::fleet::Fleet;

/// The metrics (Beloglazov and Buyya, Concurrency and Computation 24(13), 2012). Shares are fractions,
/// not percent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// Energy.
    pub kwh: f64,
    /// SLATAH × PDM.
    pub slav: f64,
    /// The share of the hosts' active time in which they gave less than they were asked for, guests
    /// that arrive included.
    pub slatah: f64,
    /// What guests did not get while they were migrated, as a share of all they wanted.
    pub pdm: f64,
    /// Energy × SLAV.
    pub esv: f64,
    /// What guests did not get at all, as a share of all they wanted.
    pub unserved: f64,
    /// Migrations begun.
    pub migrations: u64,
    /// Of them, those that failed.
    pub failed: u64,
    /// Time that hosts were awake.
    pub host_hours: f64,
    /// Seconds in which a guest got less than it wanted because its host was too full, over all guests.
    pub violation_seconds: f64,
    /// How often a host's guests wanted more than it had.
    pub overloads: u64,
    /// How long that lasted, in seconds: the median.
    pub relief_p50: f64,
    /// The 95th percentile.
    pub relief_p95: f64,
    /// Guests lost with their host.
    pub lost: u64,
    /// Guests that had left at the end, as they wanted nothing any more.
    pub left: usize,
    /// Guests that ran nowhere at the end, as no host had room.
    pub waiting: usize,
    /// Orders that the world refused.
    pub refused: u64,
}

impl Outcome {
    pub(super) fn of(fleet: &Fleet, full_power: bool, refused: u64) -> Self {
        let sums = fleet.account();
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let slatah = share(sums.short, sums.active);
        let pdm = share(sums.unserved_moving, sums.wanted);
        let (joules, awake) = if full_power {
            full(fleet)
        } else {
            (sums.joules, sums.awake)
        };
        let kwh = joules / 3.6e6;
        let slav = slatah * pdm;
        let mut lasted: Vec<Micros> = fleet.reliefs().iter().map(|r| r.lasted).collect();
        lasted.sort_unstable();
        let at = |permille: usize| {
            let i = (lasted.len() * permille).div_ceil(1000).max(1) - 1;
            lasted.get(i).map_or(0.0, |t| seconds(*t))
        };
        let gone = (0..fleet.guests().len()).filter(|g| fleet.at(*g).is_none());
        let (left, waiting): (Vec<_>, Vec<_>) = gone.partition(|g| fleet.has_left(*g));
        Self {
            kwh,
            slav,
            slatah,
            pdm,
            esv: kwh * slav,
            unserved: share(sums.unserved, sums.wanted),
            migrations: sums.migrations,
            failed: sums.failed,
            host_hours: awake / 3600.0,
            violation_seconds: sums.guest_short,
            overloads: lasted.len() as u64,
            relief_p50: at(500),
            relief_p95: at(950),
            lost: sums.lost,
            left: left.len(),
            waiting: waiting.len(),
            refused,
        }
    }
}

/// Joules, and seconds awake, of hosts that draw their full power for as long as they live.
fn full(fleet: &Fleet) -> (f64, f64) {
    let until = fleet.last_look();
    let lives = |host: usize| {
        let deaths = fleet.physics().deaths.iter().filter(|d| d.1 == host);
        seconds(deaths.map(|d| d.0).min().map_or(until, |at| at.min(until)))
    };
    let hosts = fleet.hosts().iter().enumerate();
    hosts.fold((0.0, 0.0), |(joules, awake), (h, spec)| {
        let lived = lives(h);
        (joules + spec.power.full() * lived, awake + lived)
    })
}

fn seconds(t: Micros) -> f64 {
    t.0 as f64 / 1e6
}
