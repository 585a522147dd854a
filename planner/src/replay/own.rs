//! An operator's own cluster as a fleet: its hosts and guests, where they are, under the load over time
//! that was recorded of them.
//!
//! A guest without windows wants its mean all the time, and all its vCPUs where nothing was measured of
//! it. Migrations take what [`vmpack_domain::migration`] predicts by the policy. Hosts that are not there
//! or are drained are left out, and guests that stand on none of the others start anew at no cost.

use vmpack_domain::load::Windows;
use vmpack_domain::units::{Micros, MilliCores, Permille};
use vmpack_domain::{Cluster, Guest, GuestName, Host, HostName, HostState};
use vmpack_sim::fleet::{
    Between, Demand, Fleet, GuestSpec, HostSpec, MigrationModel, Physics, PowerCurve,
};

use crate::whatif::Scene;

/// The part of its CPU that a guest loses while its memory is copied or fetched: as CloudSim has it, and
/// near what the field measured of post-copy (Hirofuchi et al., 12 % at most).
const LOSS: f64 = 0.1;
/// How long a guest stands still when execution switches: about the middle of what the testbed shows.
const DOWNTIME: Micros = Micros::millis(450);
/// How long a host is overloaded until relief is asked.
const NOTICE: Micros = Micros::secs(1);

/// The most steps: nearly ten years of five minutes.
const LONGEST: u64 = 1_000_000;
/// The most of them over all guests together: half a GiB.
const VALUES: u64 = 64 << 20;
/// The longest replay.
const CENTURY: Micros = Micros::secs(100 * 366 * 86_400);

/// What the files do not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Setup {
    /// What a host draws idle and at full load, in watts; in a straight line between.
    pub watts: (f64, f64),
    /// How long hosts take to wake.
    pub wake: Micros,
    /// The share of migrations that fail.
    pub failing: Permille,
    /// Of which of them fail.
    pub seed: u64,
    /// Hosts that die, and when.
    pub deaths: Vec<(Micros, HostName)>,
}

/// The fleet, with what it was made from.
#[derive(Debug, Clone)]
pub struct Own {
    /// Guests run where the cluster has them.
    pub fleet: Fleet,
    /// The end of the longest series.
    pub until: Micros,
    /// The cluster with the hosts that are replayed, in the fleet's order.
    pub scene: Scene,
    /// Hosts that are left out.
    pub left_out: Vec<HostName>,
    /// Guests whose demand does not change, as nothing else was recorded.
    pub constant: usize,
}

/// Why there is no fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnError {
    /// Nothing changes over time.
    #[error(
        "no guest's load has windows over time; expected some, as `vmpack import` and the probe's history write them"
    )]
    NoWindows,
    /// Two series are of different steps.
    #[error("windows of {0} are {1} long and those of {2} {3}, expected equal ones")]
    Steps(GuestName, Micros, GuestName, Micros),
    /// They reach from the first to the last over too many steps.
    #[error(
        "the windows reach over {0} steps from the first to the last, expected {LONGEST} at most, {VALUES} over all guests together, and a century"
    )]
    TooLong(u64),
    /// All hosts are left out.
    #[error("no host takes guests")]
    NoHosts,
    /// A host that is to die is not replayed.
    #[error("read the host `{0}`, expected one of the cluster that takes guests")]
    NoSuchHost(HostName),
}

/// Makes the fleet.
///
/// # Errors
/// When there is nothing to replay.
pub fn own(scene: &Scene, setup: &Setup) -> Result<Own, OwnError> {
    let series = series(scene)?;
    let (taken, left): (Vec<Host>, Vec<Host>) = scene
        .cluster
        .hosts
        .iter()
        .cloned()
        .partition(|h| h.state.takes_guests());
    if taken.is_empty() {
        return Err(OwnError::NoHosts);
    }
    let place = |name: &HostName| taken.iter().position(|h| h.name == *name);
    let mut deaths = Vec::new();
    for (at, name) in &setup.deaths {
        let host = place(name).ok_or_else(|| OwnError::NoSuchHost(name.clone()))?;
        deaths.push((*at, host));
    }
    let physics = Physics {
        interval: series.step,
        first: Micros::ZERO,
        between: Between::Held,
        migration: MigrationModel::Live {
            migrations: scene.policy.migrations.clone(),
            loss: LOSS,
            downtime: DOWNTIME,
        },
        whole: false,
        memory_counts: true,
        resting_leave: false,
        free_sleep: false,
        notice: Some(NOTICE),
        failing: setup.failing,
        seed: setup.seed,
        deaths,
    };
    let overhead = scene.policy.overhead.memory;
    let guests = scene.cluster.guests.iter();
    let specs = guests.map(|g| GuestSpec {
        name: g.name.clone(),
        vcpus: g.vcpus,
        promised: promised(g),
        memory: g.memory + overhead,
        dirty: scene.load.guests.get(&g.name).and_then(|l| l.dirty),
    });
    let hosts = taken.iter().map(|h| spec(h, setup)).collect();
    let mut fleet = Fleet::new(hosts, specs.collect(), series.demand, physics);
    for (g, guest) in scene.cluster.guests.iter().enumerate() {
        if let Some(host) = guest.host.as_ref().and_then(place) {
            // Where there is no room it waits, as those without a host do.
            let _ = fleet.place(g, host);
        }
    }
    for (h, host) in taken.iter().enumerate() {
        if host.state == HostState::Asleep {
            // One that carries guests is awake, whatever is said.
            let _ = fleet.sleep(h);
        }
    }
    let scene = Scene {
        cluster: Cluster {
            hosts: taken,
            guests: scene.cluster.guests.clone(),
        },
        ..scene.clone()
    };
    Ok(Own {
        fleet,
        until: series.until,
        scene,
        left_out: left.into_iter().map(|h| h.name).collect(),
        constant: series.constant,
    })
}

fn spec(host: &Host, setup: &Setup) -> HostSpec {
    let core = host.speed.0 as f64;
    let usable = (host.cpu.0 as f64 / 1000.0 * core - host.reserve.cpu.0 as f64).max(0.0);
    let cores = host.cpu.0.div_ceil(1000).max(1);
    let (idle, full) = setup.watts;
    HostSpec {
        name: host.name.clone(),
        cores: u32::try_from(cores).unwrap_or(u32::MAX),
        core,
        kept: cores as f64 * core - usable,
        memory: host.memory.saturating_sub(host.reserve.memory),
        link: host.network.0 as f64,
        power: PowerCurve::straight(idle, full),
        asleep: 0.0,
        wake: setup.wake,
        stays_on: host.never_sleep,
    }
}

/// All its vCPUs, in thousandths of a core.
fn promised(guest: &Guest) -> f64 {
    MilliCores::cores(u64::from(guest.vcpus)).0 as f64
}

struct Series {
    demand: Vec<Demand>,
    step: Micros,
    until: Micros,
    constant: usize,
}

/// Every guest's share of its vCPUs over time, from the earliest window on.
fn series(scene: &Scene) -> Result<Series, OwnError> {
    let windows = |g: &Guest| -> Option<&Windows> {
        let cpu = scene.load.guests.get(&g.name)?.cpu.as_ref()?;
        cpu.windows.as_ref().filter(|w| !w.values.is_empty())
    };
    let guests = &scene.cluster.guests;
    let recorded = || guests.iter().filter_map(|g| Some((g, windows(g)?)));
    let (first, of_first) = recorded().next().ok_or(OwnError::NoWindows)?;
    let step = of_first.step;
    if let Some((other, w)) = recorded().find(|(_, w)| w.step != step) {
        return Err(OwnError::Steps(
            first.name.clone(),
            step,
            other.name.clone(),
            w.step,
        ));
    }
    let begin = recorded().map(|(_, w)| w.start).min();
    let begin = begin.unwrap_or(of_first.start);
    let late = |w: &Windows| {
        let late = w.start.0.duration_since(begin.0).as_micros();
        let steps = u128::try_from(late).unwrap_or(0) / u128::from(step.0.max(1));
        usize::try_from(steps).unwrap_or(usize::MAX)
    };
    let steps = recorded().map(|(_, w)| late(w).saturating_add(w.values.len()));
    let steps = steps.max().unwrap_or(0) as u64;
    let values = steps.saturating_mul(guests.len() as u64);
    let until = steps.checked_mul(step.0).filter(|t| *t <= CENTURY.0);
    let Some(until) = until.filter(|_| steps <= LONGEST && values <= VALUES) else {
        return Err(OwnError::TooLong(steps));
    };
    let mut constant = 0;
    let demand = guests.iter().map(|g| {
        let all = promised(g);
        let share = |cpu: u64| cpu as f64 / all;
        match windows(g) {
            Some(w) => {
                // What it wanted before is not known: what it wanted at first.
                let before = std::iter::repeat_n(w.values.first(), late(w)).flatten();
                let values = before.chain(&w.values).map(|v| share(v.0).min(1.0));
                Demand::Grid(values.collect())
            }
            None => {
                constant += 1;
                let load = scene.load.guests.get(&g.name);
                let mean = load.and_then(|l| l.cpu.as_ref()?.mean);
                Demand::Grid(vec![mean.map_or(1.0, |m| share(m.0).min(1.0))])
            }
        }
    });
    let demand = demand.collect();
    Ok(Series {
        demand,
        step,
        until: Micros(until),
        constant,
    })
}

#[cfg(test)]
mod tests;
