//! PlanetLab's CPU traces, as published with CloudSim: a file for each virtual machine, a whole percent
//! a line, one for every five minutes; and the set-up that CloudSim's power examples put them in.
//!
//! CloudSim 3.0.3: 400 HP ProLiant ML110 G4 (2 × 1860 MIPS) and 400 G5 (2 × 2660 MIPS) with 4 GB each,
//! in turn; virtual machines of one core and four types in consecutive quarters of the list: 2500, 2000,
//! 1000 and 500 MIPS with 870, 1740, 1740 and 613 MB; links of 1 Gbit/s. A MIPS is taken for a
//! thousandth of a core of speed 1.

use std::collections::BTreeMap;

use vmpack_domain::cluster::{Guest, Host, HostState, PostCopy, Reserve};
use vmpack_domain::load::{GuestLoad, jiff_serde};
use vmpack_domain::policy::{Headroom, Overhead};
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Permille, Ratio};
use vmpack_domain::{Cluster, GuestName, HostName, Load, Policy};
use vmpack_sim::fleet::{
    Between, Demand, Fleet, GuestSpec, HostSpec, MigrationModel, Physics, PowerCurve,
};

use super::{ImportError, Imported, measured};

/// The distance of two values.
pub const INTERVAL: Micros = Micros::secs(300);
/// CloudSim's first look after the start: its clock begins at 0.1 s.
const FIRST: Micros = Micros::millis(300_100);
/// MIPS and memory of the four types.
const TYPES: [(f64, MiB); 4] = [
    (2500.0, MiB(870)),
    (2000.0, MiB(1740)),
    (1000.0, MiB(1740)),
    (500.0, MiB(613)),
];

/// One machine's trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// The name of its file.
    pub name: String,
    /// Shares of what it is promised, from 0 to 1.
    pub values: Vec<f64>,
}

/// Reads one file.
///
/// # Errors
/// With the line, when it holds anything but whole percents, or nothing.
pub fn trace(name: &str, text: &str) -> Result<Trace, ImportError> {
    let mut values = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let percent: u8 = line
            .trim()
            .parse()
            .ok()
            .filter(|p| *p <= 100)
            .ok_or_else(|| ImportError {
                place: Some((i + 1, 1)),
                what: format!(
                    "read `{line}`, expected a whole percent from 0 to 100, such as `17`"
                ),
            })?;
        values.push(f64::from(percent) / 100.0);
    }
    if values.is_empty() {
        return Err(ImportError::new(
            "the file is empty, expected a whole percent on each line",
        ));
    }
    Ok(Trace {
        name: name.to_owned(),
        values,
    })
}

/// Puts traces into the order of a list of names, one a line; those that are not named follow, by name.
///
/// # Errors
/// When a name is listed that no trace has, or twice.
pub fn ordered(mut traces: Vec<Trace>, order: Option<&str>) -> Result<Vec<Trace>, ImportError> {
    traces.sort_by(|a, b| a.name.cmp(&b.name));
    let mut sorted = Vec::with_capacity(traces.len());
    for (i, line) in order.unwrap_or_default().lines().enumerate() {
        let name = line.trim();
        if name.is_empty() {
            continue;
        }
        let Ok(found) = traces.binary_search_by(|t| t.name.as_str().cmp(name)) else {
            return Err(ImportError {
                place: Some((i + 1, 1)),
                what: format!("read `{name}`, expected the name of a trace that is not listed yet"),
            });
        };
        sorted.push(traces.remove(found));
    }
    sorted.append(&mut traces);
    Ok(sorted)
}

/// How long the longest trace is.
#[must_use]
pub fn span(traces: &[Trace]) -> Micros {
    let longest = traces.iter().map(|t| t.values.len() as u64).max();
    Micros(longest.unwrap_or(0) * INTERVAL.0)
}

/// How a set-up differs from CloudSim's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// How many hosts, G4 and G5 in turn.
    pub hosts: usize,
    /// Whether memory limits migrations too; in CloudSim's examples it limits the first placement only.
    pub memory: bool,
    /// Whether a machine that wants nothing at all stays; CloudSim takes it for finished, and it leaves
    /// for good.
    pub resting_stay: bool,
    /// How long hosts take to wake, drawing their idle power until they sleep again; in CloudSim's
    /// examples they wake at once, and draw nothing while they carry no load.
    pub wake: Option<Micros>,
    /// The share of migrations that fail; none in CloudSim.
    pub failing: Permille,
    /// Of which of them fail.
    pub seed: u64,
    /// Hosts that die, and when; none in CloudSim.
    pub deaths: Vec<(Micros, usize)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            hosts: 800,
            memory: false,
            resting_stay: false,
            wake: None,
            failing: Permille(0),
            seed: 1,
            deaths: Vec::new(),
        }
    }
}

/// The fleet of CloudSim's power examples under these traces.
///
/// # Panics
/// When there are more traces than names can be made for: never.
#[must_use]
pub fn fleet(traces: &[Trace], setup: &Setup) -> Fleet {
    let wake = setup.wake.unwrap_or_default();
    let hosts = (0..setup.hosts).map(|i| host(i, wake)).collect();
    let quarter = traces.len().div_ceil(TYPES.len()).max(1);
    let guests = (0..traces.len())
        .map(|i| {
            let (promised, memory) = TYPES[i / quarter];
            GuestSpec {
                name: guest_name(i),
                vcpus: 1,
                promised,
                memory,
                dirty: None,
            }
        })
        .collect();
    let demand = traces.iter().map(|t| Demand::Grid(t.values.clone()));
    Fleet::new(hosts, guests, demand.collect(), physics(setup))
}

/// CloudSim's world.
fn physics(setup: &Setup) -> Physics {
    Physics {
        interval: INTERVAL,
        first: FIRST,
        between: Between::Straight,
        migration: MigrationModel::Flat,
        whole: true,
        memory_counts: setup.memory,
        resting_leave: !setup.resting_stay,
        free_sleep: setup.wake.is_none(),
        notice: None,
        failing: setup.failing,
        seed: setup.seed,
        deaths: setup.deaths.clone(),
    }
}

fn host(i: usize, wake: Micros) -> HostSpec {
    let (core, power) = if i.is_multiple_of(2) {
        (1860.0, PowerCurve::ML110_G4)
    } else {
        (2660.0, PowerCurve::ML110_G5)
    };
    HostSpec {
        name: host_name(i),
        cores: 2,
        core,
        kept: 0.0,
        memory: MiB(4096),
        // 1 Gbit/s, as CloudSim counts: 8,000 bits a kilobyte.
        link: 125.0,
        power,
        asleep: 0.0,
        wake,
        stays_on: false,
    }
}

fn host_name(i: usize) -> HostName {
    format!("h{i:03}").parse().expect("a plain name")
}

fn guest_name(i: usize) -> GuestName {
    format!("v{i:04}").parse().expect("a plain name")
}

/// What one core of a guest's largest type does, and what demand of one core is in our files.
const CORE: f64 = 2500.0;

/// The same hosts and guests as our files have them: each trace as the guest's windows, from the start
/// of a day on. Guests wait to be placed, as they do at the start of CloudSim's examples. CPU is counted
/// in cores of 2500 MIPS, so that no guest wants more than its one vCPU.
///
/// # Errors
/// When the day is none, or the traces differ in length.
pub fn import(traces: &[Trace], setup: &Setup, day: &str) -> Result<Imported, ImportError> {
    let fleet = fleet(traces, setup);
    let start = day.parse().map(jiff_serde::Timestamp).map_err(|_| {
        ImportError::new(format!(
            "read the day `{day}`, expected a time such as `2011-03-03T00:00:00Z`"
        ))
    })?;
    let hosts = fleet.hosts().iter().map(|h| Host {
        name: h.name.clone(),
        cpu: MilliCores::cores(u64::from(h.cores)),
        memory: h.memory,
        network: MiBPerSec(125),
        state: HostState::On,
        speed: Ratio(thousandths(h.core / CORE)),
        reserve: Reserve::default(),
        labels: BTreeMap::new(),
        never_sleep: false,
        uri: None,
        migrate_address: None,
        probe: None,
    });
    let mut guests = Vec::new();
    let mut load = Load::default();
    for (trace, spec) in traces.iter().zip(fleet.guests()) {
        if trace.values.len() != traces[0].values.len() {
            return Err(ImportError::new(format!(
                "{} has {} values and {} has {}, expected as many",
                traces[0].name,
                traces[0].values.len(),
                trace.name,
                trace.values.len()
            )));
        }
        guests.push(Guest {
            name: spec.name.clone(),
            uuid: None,
            vcpus: spec.vcpus,
            memory: spec.memory,
            host: None,
            reserved: MilliCores::ZERO,
            movable: true,
            moved_ago: None,
            post_copy: PostCopy::Allowed,
            requires: BTreeMap::new(),
        });
        let cores = |v: &f64| MilliCores(thousandths(v * spec.promised / CORE));
        let cpu = measured(trace.values.iter().map(cores).collect(), start, INTERVAL);
        let load_of = GuestLoad {
            cpu: Some(cpu),
            ..GuestLoad::default()
        };
        load.guests.insert(spec.name.clone(), load_of);
    }
    Ok(Imported {
        cluster: Cluster {
            hosts: hosts.collect(),
            guests,
        },
        load,
        policy: Policy {
            // What QEMU takes besides is not in these machines' sizes.
            overhead: Overhead { memory: MiB::ZERO },
            headroom: Headroom {
                memory: Permille(0),
                ..Headroom::default()
            },
            ..Policy::default()
        },
        left_out: Vec::new(),
    })
}

/// Rounded to the nearest thousandth; sizes here are small and positive.
fn thousandths(value: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 and a million"
    )]
    let n = (value * 1000.0).round().clamp(0.0, 1e9) as u64;
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_no_percent_is_named() {
        let error = trace("t", "3\n17\n101\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "3:1: read `101`, expected a whole percent from 0 to 100, such as `17`"
        );
        assert!(trace("t", "").is_err());
        assert_eq!(
            trace("t", "3\n17").expect("two values").values,
            [0.03, 0.17]
        );
    }

    #[test]
    fn an_order_is_kept_and_the_rest_follows_by_name() {
        let make = |name: &str| Trace {
            name: name.into(),
            values: vec![0.1],
        };
        let traces = ["c", "a", "b"].map(make).to_vec();
        let names = |order| {
            let sorted = ordered(traces.clone(), order).expect("an order");
            sorted.into_iter().map(|t| t.name).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["a", "b", "c"]);
        assert_eq!(names(Some("b\n\n")), ["b", "a", "c"]);
        let error = ordered(traces.clone(), Some("b\nb\n")).unwrap_err();
        assert_eq!(error.place, Some((2, 1)));
    }

    #[test]
    fn the_set_up_is_cloudsims() {
        let traces = vec![
            Trace {
                name: "t".into(),
                values: vec![0.5],
            };
            5
        ];
        let fleet = fleet(&traces, &Setup::default());
        assert_eq!(fleet.hosts().len(), 800);
        assert!((fleet.hosts()[1].capacity() - 5320.0).abs() < 1e-9);
        // Quarters of two, rounded up.
        let promised: Vec<f64> = fleet.guests().iter().map(|g| g.promised).collect();
        assert_eq!(promised, [2500.0, 2500.0, 2000.0, 2000.0, 1000.0]);
    }

    #[test]
    fn windows_and_statistics_are_imported() {
        let traces = vec![Trace {
            name: "t".into(),
            values: vec![0.1, 0.3, 0.2],
        }];
        let imported = import(&traces, &Setup::default(), "2011-03-03T00:00:00Z").expect("a day");
        let load = imported.load.guests.values().next().expect("a guest");
        let cpu = load.cpu.as_ref().expect("measured");
        assert_eq!(cpu.max, Some(MilliCores(300)));
        assert_eq!(cpu.p50, Some(MilliCores(200)));
        assert_eq!(cpu.windows.as_ref().expect("windows").values.len(), 3);
        assert_eq!(imported.cluster.hosts[0].speed, Ratio(744));
        assert!(import(&traces, &Setup::default(), "a day").is_err());
    }
}
