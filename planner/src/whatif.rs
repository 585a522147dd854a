//! What if: edits of a cluster in memory. The same `plan()` then answers.

use std::collections::BTreeSet;

use vmpack_domain::cluster::Reserve;
use vmpack_domain::rule::RuleKind;
use vmpack_domain::units::{MiB, MiBPerSec, MilliCores, PagesPerSec, Ratio};
use vmpack_domain::{Cluster, CpuLoad, Guest, Host, HostName, HostState, Load, Policy, Rule};

/// The link of a host that is added where there is none to copy: 10 Gbit/s.
const LINK: MiBPerSec = MiBPerSec(1250);

/// One edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Every guest must leave the host.
    Drain(HostName),
    /// The host is lost; its guests must be started elsewhere.
    Fail(HostName),
    /// Every measured CPU demand and dirty rate times this.
    ScaleLoad(Ratio),
    /// More hosts, all alike; each has the slowest link of those that are there.
    AddHosts {
        /// How many.
        count: u32,
        /// Cores of speed 1 of each.
        cpu: MilliCores,
        /// Memory of each.
        memory: MiB,
    },
    /// More guests, and what is known of their load.
    AddGuests(Vec<Guest>, Load),
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// It names a host that is not there.
    #[error("there is no host {0}; hosts are {1}")]
    UnknownHost(HostName, String),
    /// A guest to be added has the name of one that is there.
    #[error("guest `{0}` is already in the cluster")]
    GuestExists(vmpack_domain::GuestName),
    /// A load comes with guests to be added, of a guest that is there.
    #[error(
        "read a load of guest `{0}` with the guests to add, expected none of a guest that is in the cluster"
    )]
    LoadOfAnother(vmpack_domain::GuestName),
    /// A guest to be added runs on a host that is not there.
    #[error("guest `{guest}` is said to run on host `{host}`, which is not in the cluster")]
    GuestOnUnknownHost {
        /// Which guest.
        guest: vmpack_domain::GuestName,
        /// Which host.
        host: HostName,
    },
}

/// The cluster and the load after the edits, in their order.
///
/// # Errors
/// The first edit that cannot be made.
pub fn apply(
    cluster: &Cluster,
    load: &Load,
    edits: &[Edit],
) -> Result<(Cluster, Load), WhatIfError> {
    let (mut cluster, mut load) = (cluster.clone(), load.clone());
    for edit in edits {
        match edit {
            Edit::Drain(name) => set_state(&mut cluster, name, HostState::Drain)?,
            Edit::Fail(name) => set_state(&mut cluster, name, HostState::Out)?,
            Edit::ScaleLoad(by) => load.guests.values_mut().for_each(|guest| {
                guest.dirty = guest.dirty.map(|d| PagesPerSec(scale(d.0, *by)));
                if let Some(cpu) = &mut guest.cpu {
                    scale_cpu(cpu, *by);
                }
            }),
            Edit::AddHosts { count, cpu, memory } => {
                add_hosts(&mut cluster, *count, *cpu, *memory);
            }
            Edit::AddGuests(guests, theirs) => add_guests(&mut cluster, &mut load, guests, theirs)?,
        }
    }
    Ok((cluster, load))
}

/// The policy by which every guest leaves the host, for its maintenance: a rule that bans all of them
/// from it. Unlike an edit of the cluster it leaves the plan one for the cluster as it is, that can be
/// checked and carried out there.
///
/// # Errors
/// When there is no such host.
pub fn drain(cluster: &Cluster, policy: &Policy, host: &HostName) -> Result<Policy, WhatIfError> {
    if cluster.host(host).is_none() {
        return Err(WhatIfError::UnknownHost(host.clone(), listed(cluster)));
    }
    let mut policy = policy.clone();
    let mut name = format!("drain {host}");
    while policy.rules.iter().any(|r| r.name == name) {
        name.push('+');
    }
    if !cluster.guests.is_empty() {
        policy.rules.push(Rule {
            name,
            kind: RuleKind::Ban {
                guests: vec!["*".to_owned()],
                hosts: vec![host.to_string()],
            },
        });
    }
    Ok(policy)
}

fn set_state(cluster: &mut Cluster, name: &HostName, state: HostState) -> Result<(), WhatIfError> {
    let unknown = WhatIfError::UnknownHost(name.clone(), listed(cluster));
    let host = cluster
        .hosts
        .iter_mut()
        .find(|h| h.name == *name)
        .ok_or(unknown)?;
    host.state = state;
    Ok(())
}

/// The hosts' names, the first eight of them.
fn listed(cluster: &Cluster) -> String {
    let names = cluster.hosts.iter().map(|h| h.name.as_str());
    let list = names.take(8).collect::<Vec<_>>().join(", ");
    match cluster.hosts.len() {
        0 => "none".to_owned(),
        1..=8 => list,
        n => format!("{list} and {} more", n - 8),
    }
}

/// ⌈value × by⌉.
fn scale(value: u64, by: Ratio) -> u64 {
    u64::try_from((u128::from(value) * u128::from(by.0)).div_ceil(1000)).unwrap_or(u64::MAX)
}

fn scale_cpu(cpu: &mut CpuLoad, by: Ratio) {
    let CpuLoad {
        mean,
        p50,
        p90,
        p95,
        p99,
        max,
        window: _,
        span: _,
        run,
        run_delay,
        windows,
    } = cpu;
    for figure in [mean, p50, p90, p95, p99, max, run, run_delay] {
        *figure = figure.map(|m| MilliCores(scale(m.0, by)));
    }
    for value in windows.iter_mut().flat_map(|w| &mut w.values) {
        *value = MilliCores(scale(value.0, by));
    }
}

fn add_hosts(cluster: &mut Cluster, count: u32, cpu: MilliCores, memory: MiB) {
    let network = cluster.hosts.iter().map(|h| h.network).min();
    let taken: BTreeSet<HostName> = cluster.hosts.iter().map(|h| h.name.clone()).collect();
    let names = (1u64..)
        .filter_map(|i| format!("new-{i}").parse::<HostName>().ok())
        .filter(|name| !taken.contains(name));
    for (name, _) in names.zip(0..count) {
        cluster.hosts.push(Host {
            name,
            cpu,
            memory,
            network: network.unwrap_or(LINK),
            state: HostState::On,
            speed: Ratio::ONE,
            reserve: Reserve::default(),
            labels: std::collections::BTreeMap::new(),
            never_sleep: false,
            uri: None,
            migrate_address: None,
            probe: None,
        });
    }
}

fn add_guests(
    cluster: &mut Cluster,
    load: &mut Load,
    guests: &[Guest],
    theirs: &Load,
) -> Result<(), WhatIfError> {
    let mut taken: BTreeSet<_> = cluster.guests.iter().map(|g| g.name.clone()).collect();
    if let Some(other) = theirs.guests.keys().find(|g| taken.contains(*g)) {
        return Err(WhatIfError::LoadOfAnother(other.clone()));
    }
    for guest in guests {
        if !taken.insert(guest.name.clone()) {
            return Err(WhatIfError::GuestExists(guest.name.clone()));
        }
        if let Some(host) = guest.host.as_ref().filter(|h| cluster.host(h).is_none()) {
            return Err(WhatIfError::GuestOnUnknownHost {
                guest: guest.name.clone(),
                host: host.clone(),
            });
        }
        cluster.guests.push(guest.clone());
    }
    load.guests.extend(theirs.guests.clone());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::read;

    const CLUSTER: &str = "hosts:
  - { name: h1, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }
  - { name: new-1, cpu: 8cores, memory: 8GiB, network: 50MiB/s, state: on }
guests:
  - { name: a, vcpus: 2, memory: 1GiB, host: h1 }
";
    const LOAD: &str = "guests:\n  a: { cpu: { p95: 0.333cores, windows: { start: 2026-01-05T00:00:00Z, step: 300s, values: [0.5, 0.001] } }, dirty: 10pages/s }\n";

    #[test]
    fn edits_are_made_in_their_order() {
        let (cluster, load, _) = read(CLUSTER, LOAD, "");
        let guest = Guest {
            name: "b".parse().unwrap(),
            host: None,
            ..cluster.guests[0].clone()
        };
        let figures = load.guests["a"].clone();
        let load_of_b = Load {
            guests: [("b".parse().unwrap(), figures)].into(),
        };
        let edits = [
            Edit::Drain("h1".parse().unwrap()),
            Edit::ScaleLoad(Ratio(1500)),
            Edit::AddHosts {
                count: 2,
                cpu: MilliCores(4000),
                memory: MiB(4096),
            },
            Edit::AddGuests(vec![guest], load_of_b.clone()),
            Edit::Fail("new-2".parse().unwrap()),
        ];
        let (after, scaled) = apply(&cluster, &load, &edits[..3]).unwrap();
        let cpu = scaled.guests["a"].cpu.as_ref().unwrap();
        assert_eq!(cpu.p95, Some(MilliCores(500)));
        let values = &cpu.windows.as_ref().unwrap().values;
        assert_eq!(*values, [MilliCores(750), MilliCores(2)]);
        assert_eq!(scaled.guests["a"].dirty, Some(PagesPerSec(15)));
        let names: Vec<&str> = after.hosts.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(names, ["h1", "new-1", "new-2", "new-3"]);
        assert_eq!(after.hosts[2].network, MiBPerSec(50));
        let (after, load) = apply(&cluster, &load, &edits).unwrap();
        let states: Vec<HostState> = after.hosts.iter().map(|h| h.state).collect();
        assert_eq!(
            states,
            [
                HostState::Drain,
                HostState::On,
                HostState::Out,
                HostState::On
            ]
        );
        assert_eq!(after.guests.len(), 2);
        // The added guests' load came after the scaling.
        assert_eq!(
            load.guests["b"].cpu.as_ref().unwrap().p95,
            Some(MilliCores(333))
        );
    }

    #[test]
    fn a_drained_host_is_left_by_all_and_the_plan_is_one_for_the_cluster_as_it_is() {
        use vmpack_domain::check;
        use vmpack_domain::plan::Outcome;
        let (cluster, load, policy) = read(CLUSTER, LOAD, "limits: { nodes: 20 }\n");
        let host: HostName = "h1".parse().unwrap();
        let policy = drain(&cluster, &policy, &host).unwrap();
        let policy = drain(&cluster, &policy, &host).unwrap();
        let names: Vec<&str> = policy.rules.iter().map(|r| r.name.as_str()).collect();
        assert_eq!(names, ["drain h1", "drain h1+"]);
        let Outcome::Optimal(plan) = crate::tests::solve(&cluster, &load, &policy) else {
            panic!("a plan");
        };
        assert_eq!(plan.target["a"].as_str(), "new-1");
        assert!(
            plan.moves[0].reason.contains("drain h1"),
            "{}",
            plan.moves[0].reason
        );
        assert_eq!(check::plan(&cluster, &load, &plan.policy, &plan), []);
    }

    #[test]
    fn edits_that_cannot_be_made_say_why() {
        let (cluster, load, _) = read(CLUSTER, LOAD, "");
        let a = cluster.guests[0].clone();
        let lost = Guest {
            name: "b".parse().unwrap(),
            host: Some("h9".parse().unwrap()),
            ..a.clone()
        };
        for (edit, expected) in [
            (
                Edit::Drain("h9".parse().unwrap()),
                "there is no host h9; hosts are h1, new-1",
            ),
            (
                Edit::AddGuests(vec![a], Load::default()),
                "guest `a` is already in the cluster",
            ),
            (
                Edit::AddGuests(vec![], load.clone()),
                "read a load of guest `a` with the guests to add, expected none of a guest that is in the cluster",
            ),
            (
                Edit::AddGuests(vec![lost], Load::default()),
                "guest `b` is said to run on host `h9`, which is not in the cluster",
            ),
        ] {
            assert_eq!(
                apply(&cluster, &load, &[edit]).unwrap_err().to_string(),
                expected
            );
        }
    }
}
