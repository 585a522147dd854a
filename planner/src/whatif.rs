//! What if: edits of a cluster in memory. The same `plan()` then answers.

use std::collections::BTreeSet;

use vmpack_domain::cluster::Reserve;
use vmpack_domain::units::{MiB, MiBPerSec, MilliCores, PagesPerSec, Ratio};
use vmpack_domain::{Cluster, CpuLoad, Guest, Host, HostName, HostState, Load};

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
    #[error("read host `{0}`, expected one of the cluster's {1} hosts")]
    UnknownHost(HostName, usize),
    /// A guest to be added has the name of one that is there.
    #[error("guest `{0}` is already in the cluster")]
    GuestExists(vmpack_domain::GuestName),
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

fn set_state(cluster: &mut Cluster, name: &HostName, state: HostState) -> Result<(), WhatIfError> {
    let hosts = cluster.hosts.len();
    let host = cluster
        .hosts
        .iter_mut()
        .find(|h| h.name == *name)
        .ok_or_else(|| WhatIfError::UnknownHost(name.clone(), hosts))?;
    host.state = state;
    Ok(())
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
