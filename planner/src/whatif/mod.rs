//! What if: edits of a cluster, its load and the policy in memory. The same `plan()` then answers.

mod answer;
mod edit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::cluster::Reserve;
use vmpack_domain::rule::{Names, RuleKind};
use vmpack_domain::units::{MiB, MiBPerSec, MilliCores, PagesPerSec, Permille, Ratio};
use vmpack_domain::{
    Cluster, CpuLoad, Guest, GuestName, Host, HostName, HostState, Load, Policy, Rule,
};

pub use answer::{Answer, Broken, Free, answer};
pub use edit::{
    Copies, DemandEdit, Edit, HeadroomEdit, HostEdit, NewGuests, NewHosts, Scale, Scenario, Shift,
};

/// The link of a host that is added where there is none to copy: 10 Gbit/s.
const LINK: MiBPerSec = MiBPerSec(1250);
/// The most hosts or guests that one edit adds.
const MOST: u32 = 100_000;

/// What a plan is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Hosts and guests.
    pub cluster: Cluster,
    /// The guests' load.
    pub load: Load,
    /// What the operator wants.
    pub policy: Policy,
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WhatIfError {
    /// It names a host that is not there.
    #[error("there is no host {0}; hosts are {1}")]
    UnknownHost(String, String),
    /// It names a guest that is not there.
    #[error("there is no guest {0}")]
    UnknownGuest(String),
    /// A guest to be added has the name of one that is there.
    #[error("guest `{0}` is already in the cluster")]
    GuestExists(GuestName),
    /// A load comes with guests to be added, of a guest that is there.
    #[error(
        "read a load of guest `{0}` with the guests to add, expected none of a guest that is in the cluster"
    )]
    LoadOfAnother(GuestName),
    /// A guest to be added runs on a host that is not there.
    #[error("guest `{guest}` is said to run on host `{host}`, which is not in the cluster")]
    GuestOnUnknownHost {
        /// Which guest.
        guest: GuestName,
        /// Which host.
        host: HostName,
    },
    /// Something of it is in the way of something else.
    #[error("{0}")]
    Wrong(String),
}

/// The scene after the edits, in their order.
///
/// # Errors
/// The first edit that cannot be made, by its index.
pub fn apply(scene: &Scene, edits: &[Edit]) -> Result<Scene, (usize, WhatIfError)> {
    let mut scene = scene.clone();
    for (i, edit) in edits.iter().enumerate() {
        scene.make(edit).map_err(|error| (i, error))?;
    }
    Ok(scene)
}

fn wrong<T>(text: String) -> Result<T, WhatIfError> {
    Err(WhatIfError::Wrong(text))
}

impl Scene {
    fn make(&mut self, edit: &Edit) -> Result<(), WhatIfError> {
        match edit {
            Edit::Drain(hosts) => self.drain(hosts),
            Edit::Fail(hosts) => self.set_state(hosts, HostState::Out),
            Edit::AddHosts(new) => self.add_hosts(new),
            Edit::ChangeHosts(change) => self.change_hosts(change),
            Edit::ScaleLoad(scale) => self.scale_load(scale),
            Edit::ShiftLoad(shift) => self.shift_load(shift),
            Edit::CopyGuest(copies) => self.copy_guest(copies),
            Edit::AddGuests(new) => self.add_guests(new),
            Edit::RemoveGuests(guests) => self.remove_guests(guests),
            Edit::Headroom(edit) => self.set_headroom(*edit),
            Edit::Demand(edit) => self.set_demand(*edit),
            Edit::OverCommit(by) => {
                self.policy.over_commit.cpu = *by;
                Ok(())
            }
            Edit::AddRule(rule) => self.add_rule(rule),
            Edit::DropRule(name) => self.drop_rule(name),
        }
    }

    /// The hosts that the selectors name.
    fn hosts(&self, selectors: &[String]) -> Result<BTreeSet<HostName>, WhatIfError> {
        let found = Names::of(&self.cluster);
        let found = found
            .hosts(selectors)
            .map_err(|name| WhatIfError::UnknownHost(name, listed(&self.cluster)))?;
        Ok(found.into_iter().cloned().collect())
    }

    /// The guests that the patterns name; all where there are none.
    fn guests(&self, patterns: &[String]) -> Result<BTreeSet<GuestName>, WhatIfError> {
        if patterns.is_empty() {
            return Ok(self.cluster.guests.iter().map(|g| g.name.clone()).collect());
        }
        let found = Names::of(&self.cluster);
        let found = found.guests(patterns).map_err(WhatIfError::UnknownGuest)?;
        Ok(found.into_iter().cloned().collect())
    }

    /// A host that is out is lost already: there is nobody on it who could leave.
    fn drain(&mut self, hosts: &[String]) -> Result<(), WhatIfError> {
        let named = self.hosts(hosts)?;
        let there = |h: &&Host| named.contains(&h.name) && h.state != HostState::Out;
        let there: Vec<String> = self
            .cluster
            .hosts
            .iter()
            .filter(there)
            .map(|h| h.name.to_string())
            .collect();
        if there.is_empty() {
            return wrong(format!(
                "host {} is out, expected one to drain that is there",
                hosts.join(", ")
            ));
        }
        self.set_state(&there, HostState::Drain)
    }

    fn set_state(&mut self, hosts: &[String], state: HostState) -> Result<(), WhatIfError> {
        self.change_hosts(&HostEdit {
            hosts: hosts.to_vec(),
            state: Some(state),
            ..HostEdit::default()
        })
    }

    fn change_hosts(&mut self, change: &HostEdit) -> Result<(), WhatIfError> {
        let named = self.hosts(&change.hosts)?;
        let zero = [
            ("cpu", change.cpu.map(|v| v.0)),
            ("memory", change.memory.map(|v| v.0)),
            ("network", change.network.map(|v| v.0)),
            ("speed", change.speed.map(|v| v.0)),
        ];
        if let Some((key, _)) = zero.into_iter().find(|(_, v)| *v == Some(0)) {
            return wrong(format!("read a `{key}` of zero, expected more"));
        }
        if change.state == Some(HostState::Asleep)
            && let Some(guest) = self
                .cluster
                .guests
                .iter()
                .find(|g| g.host.as_ref().is_some_and(|h| named.contains(h)))
        {
            return wrong(format!(
                "read a state of `asleep` for a host that carries guest {}, expected on, drain or out",
                guest.name
            ));
        }
        if change.state == Some(HostState::Drain)
            && let Some(host) = self
                .cluster
                .hosts
                .iter()
                .find(|h| h.state == HostState::Out && named.contains(&h.name))
        {
            return wrong(format!(
                "read a state of `drain` for host {}, which is out, expected on",
                host.name
            ));
        }
        let hosts = self.cluster.hosts.iter_mut();
        for host in hosts.filter(|h| named.contains(&h.name)) {
            host.cpu = change.cpu.unwrap_or(host.cpu);
            host.memory = change.memory.unwrap_or(host.memory);
            host.network = change.network.unwrap_or(host.network);
            host.speed = change.speed.unwrap_or(host.speed);
            host.state = change.state.unwrap_or(host.state);
            host.never_sleep = change.never_sleep.unwrap_or(host.never_sleep);
        }
        Ok(())
    }

    fn add_hosts(&mut self, new: &NewHosts) -> Result<(), WhatIfError> {
        let cluster = &mut self.cluster;
        if new.count == 0 || new.count > MOST {
            return wrong(format!(
                "read a count of {}, expected 1 to {MOST}",
                new.count
            ));
        }
        let mut host = match &new.like {
            Some(name) => match cluster.host(name) {
                Some(host) => Host {
                    state: HostState::On,
                    never_sleep: false,
                    uri: None,
                    migrate_address: None,
                    probe: None,
                    ..host.clone()
                },
                None => return Err(WhatIfError::UnknownHost(name.to_string(), listed(cluster))),
            },
            None => blank(cluster),
        };
        host.cpu = new.cpu.unwrap_or(host.cpu);
        host.memory = new.memory.unwrap_or(host.memory);
        host.labels.extend(new.labels.clone());
        if host.cpu.0 == 0 || host.memory.0 == 0 {
            return wrong(
                "expected `cpu` and `memory` above zero, or the host that they are `like`".into(),
            );
        }
        let taken: BTreeSet<HostName> = cluster.hosts.iter().map(|h| h.name.clone()).collect();
        let names = (1u64..)
            .filter_map(|i| format!("new-{i}").parse::<HostName>().ok())
            .filter(|name| !taken.contains(name));
        for (name, _) in names.zip(0..new.count) {
            cluster.hosts.push(Host {
                name,
                ..host.clone()
            });
        }
        Ok(())
    }

    fn scale_load(&mut self, Scale { by, guests }: &Scale) -> Result<(), WhatIfError> {
        let all = guests.is_empty();
        let named = self.guests(guests)?;
        let loads = self.load.guests.iter_mut();
        for (_, guest) in loads.filter(|(name, _)| all || named.contains(*name)) {
            guest.dirty = guest.dirty.map(|d| PagesPerSec(scale(d.0, *by)));
            if let Some(cpu) = &mut guest.cpu {
                scale_cpu(cpu, *by);
            }
        }
        Ok(())
    }

    fn shift_load(&mut self, Shift { by, guests }: &Shift) -> Result<(), WhatIfError> {
        let named = self.guests(guests)?;
        let mut turned = 0usize;
        for (_, guest) in self
            .load
            .guests
            .iter_mut()
            .filter(|(n, _)| named.contains(*n))
        {
            let windows = guest.cpu.as_mut().and_then(|cpu| cpu.windows.as_mut());
            if let Some(windows) = windows.filter(|w| !w.values.is_empty()) {
                let steps = by.0 / windows.step.0.max(1);
                let len = windows.values.len();
                windows
                    .values
                    .rotate_right(usize::try_from(steps % len as u64).unwrap_or(0));
                turned += 1;
            }
        }
        if turned == 0 {
            return wrong(
                "no guest that is named has a load in windows, expected some to shift".into(),
            );
        }
        if !self.policy.demand.joint {
            return wrong(
                "a shift changes a plan only where demand is counted window by window, expected `demand: { joint: true }` in the policy or in an edit before"
                    .into(),
            );
        }
        Ok(())
    }

    fn copy_guest(&mut self, Copies { of, count }: &Copies) -> Result<(), WhatIfError> {
        let Some(guest) = self.cluster.guest(of).cloned() else {
            return Err(WhatIfError::UnknownGuest(of.to_string()));
        };
        if *count == 0 || *count > MOST {
            return wrong(format!("read a count of {count}, expected 1 to {MOST}"));
        }
        let names: BTreeSet<GuestName> =
            self.cluster.guests.iter().map(|g| g.name.clone()).collect();
        let load = self.load.guests.get(of).cloned();
        let free = (1u64..)
            .filter_map(|i| format!("{of}-copy-{i}").parse::<GuestName>().ok())
            .filter(|name| !names.contains(name));
        for (name, _) in free.zip(0..*count) {
            self.load
                .guests
                .extend(load.clone().map(|l| (name.clone(), l)));
            self.cluster.guests.push(Guest {
                name,
                uuid: None,
                host: None,
                moved_ago: None,
                ..guest.clone()
            });
        }
        Ok(())
    }

    fn add_guests(&mut self, NewGuests { guests, load }: &NewGuests) -> Result<(), WhatIfError> {
        let cluster = &mut self.cluster;
        let mut taken: BTreeSet<_> = cluster.guests.iter().map(|g| g.name.clone()).collect();
        if let Some(other) = load.guests.keys().find(|g| taken.contains(*g)) {
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
            if guest.vcpus == 0 || guest.memory.0 == 0 {
                return wrong(format!(
                    "read guest `{}` with no vCPU or no memory, expected some of each",
                    guest.name
                ));
            }
            cluster.guests.push(guest.clone());
        }
        self.load.guests.extend(load.guests.clone());
        Ok(())
    }

    fn remove_guests(&mut self, patterns: &[String]) -> Result<(), WhatIfError> {
        let named = self.guests(patterns)?;
        self.cluster.guests.retain(|g| !named.contains(&g.name));
        self.load.guests.retain(|g, _| !named.contains(g));
        // A rule that would name nobody any more has nothing left to demand.
        let names = Names::of(&self.cluster);
        self.policy
            .rules
            .retain(|rule| names.guests(rule.kind.guests()).is_ok());
        Ok(())
    }

    fn set_headroom(&mut self, edit: HeadroomEdit) -> Result<(), WhatIfError> {
        let policy = &mut self.policy;
        let headroom = &mut policy.headroom;
        headroom.cpu = edit.cpu.unwrap_or(headroom.cpu);
        headroom.memory = edit.memory.unwrap_or(headroom.memory);
        // Never more is kept free of a host before its guests leave than what packing keeps free.
        let least = |relief: Option<Permille>, headroom| relief.map(|r| r.min(headroom));
        policy.relief.cpu = least(policy.relief.cpu, headroom.cpu);
        policy.relief.memory = least(policy.relief.memory, headroom.memory);
        Ok(())
    }

    fn set_demand(&mut self, edit: DemandEdit) -> Result<(), WhatIfError> {
        let demand = &mut self.policy.demand;
        demand.cpu = edit.cpu.unwrap_or(demand.cpu);
        demand.joint = edit.joint.unwrap_or(demand.joint);
        demand.overload = edit.overload.unwrap_or(demand.overload);
        if !demand.joint {
            if edit.overload.is_some() {
                return wrong("read an `overload`, expected it with `joint: true` only".into());
            }
            demand.overload = Permille(0);
        }
        Ok(())
    }

    fn add_rule(&mut self, rule: &Rule) -> Result<(), WhatIfError> {
        if self.policy.rules.iter().any(|r| r.name == rule.name) {
            return wrong(format!(
                "read rule `{}` a second time, expected unique rule names",
                rule.name
            ));
        }
        self.guests(rule.kind.guests())?;
        self.hosts(rule.kind.hosts())?;
        self.policy.rules.push(rule.clone());
        Ok(())
    }

    fn drop_rule(&mut self, name: &str) -> Result<(), WhatIfError> {
        let rules = &mut self.policy.rules;
        match rules.iter().position(|r| r.name == name) {
            Some(i) => {
                rules.remove(i);
                Ok(())
            }
            None => {
                let names: Vec<&str> = rules.iter().map(|r| r.name.as_str()).take(8).collect();
                let names = match names.as_slice() {
                    [] => "none".to_owned(),
                    names => names.join(", "),
                };
                wrong(format!("there is no rule {name}; rules are {names}"))
            }
        }
    }
}

/// A host without size: cores of speed 1, and the slowest link that is there.
fn blank(cluster: &Cluster) -> Host {
    let network = cluster.hosts.iter().map(|h| h.network).min();
    Host {
        name: "new".parse().expect("a name"),
        cpu: MilliCores(0),
        memory: MiB(0),
        network: network.unwrap_or(LINK),
        state: HostState::On,
        speed: Ratio::ONE,
        reserve: Reserve::default(),
        labels: BTreeMap::new(),
        never_sleep: false,
        uri: None,
        migrate_address: None,
        probe: None,
    }
}

/// The policy by which every guest leaves the host, for its maintenance: a rule that bans all of them
/// from it. Unlike an edit of the cluster it leaves the plan one for the cluster as it is, that can be
/// checked and carried out there.
///
/// # Errors
/// When there is no such host.
pub fn drain(cluster: &Cluster, policy: &Policy, host: &HostName) -> Result<Policy, WhatIfError> {
    if cluster.host(host).is_none() {
        return Err(WhatIfError::UnknownHost(host.to_string(), listed(cluster)));
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
