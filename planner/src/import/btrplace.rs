//! BtrPlace's JSON: a model (nodes, VMs, their mapping and resources), alone or as an instance with
//! constraints.
//!
//! | there | here |
//! |---|---|
//! | online, offline node | a host that is on, or asleep |
//! | running VM | a guest on its host |
//! | ready VM with a constraint `running` | a guest that waits |
//! | resource `uCpu`, `cpu` | CPU, a unit being a hundredth of a core; demand, by the statistic `max` |
//! | resource `memory`, `mem` | memory in MiB |
//! | `spread`, `gather`, `fence`, `ban`, `root` | rules, the last as `pin` |
//! | `among` its parts | `gather` over a label that says in which part a host is, and a fence where not all hosts are in one |
//! | `preserve` of the CPU | reserved |
//! | `offline` | the host is out where it is offline, else it drains |
//! | `running` | nothing to be said: a plan gives every guest a host |
//!
//! A guest's vCPUs are the whole cores that it wants, and how many are promised is no limit.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use vmpack_domain::cluster::{Guest, Host, HostState, PostCopy, Reserve};
use vmpack_domain::load::{CpuLoad, GuestLoad, Statistic};
use vmpack_domain::rule::{Over, Rule, RuleKind};
use vmpack_domain::units::{MiB, MilliCores, Permille, Ratio};
use vmpack_domain::{Cluster, HostName, Load, Policy};

use super::{ImportError, Imported, LINK, LeftOut};

/// Names of the resource that is CPU, and of the one that is memory.
const CPU: [&str; 3] = ["uCpu", "ucpu", "cpu"];
const MEMORY: [&str; 3] = ["memory", "mem", "ram"];
/// A unit of CPU, in milli-cores.
const UNIT: u64 = 10;
/// The largest amount.
const MOST: u64 = 1 << 32;

#[derive(Deserialize)]
struct Instance {
    model: Model,
    #[serde(default)]
    constraints: Vec<Constraint>,
}

#[derive(Deserialize)]
struct Model {
    mapping: Mapping,
    #[serde(default)]
    views: Vec<View>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mapping {
    #[serde(default, rename = "readyVMs")]
    ready: Vec<u64>,
    #[serde(default)]
    online_nodes: BTreeMap<u64, Node>,
    #[serde(default)]
    offline_nodes: Vec<u64>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default, rename = "runningVMs")]
    running: Vec<u64>,
    #[serde(default, rename = "sleepingVMs")]
    sleeping: Vec<u64>,
}

/// A resource, names, or something else.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct View {
    id: String,
    #[serde(default)]
    rc_id: String,
    #[serde(default, rename = "defCapacity")]
    capacity: u64,
    #[serde(default, rename = "defConsumption")]
    consumption: u64,
    #[serde(default)]
    nodes: Option<BTreeMap<u64, u64>>,
    #[serde(default)]
    vms: Option<BTreeMap<u64, u64>>,
    #[serde(default)]
    r#type: String,
    #[serde(default)]
    map: BTreeMap<String, u64>,
}

#[derive(Deserialize)]
struct Constraint {
    id: String,
    #[serde(default)]
    vm: Option<u64>,
    #[serde(default)]
    vms: Vec<u64>,
    #[serde(default)]
    node: Option<u64>,
    #[serde(default)]
    nodes: Vec<u64>,
    #[serde(default)]
    parts: Vec<Vec<u64>>,
    #[serde(default)]
    rc: String,
    #[serde(default)]
    amount: i64,
}

/// Reads a model or an instance; its constraints count unless `without_rules`.
///
/// # Errors
/// What is no BtrPlace JSON, with its place; an amount out of range; a VM in two places.
pub fn read(text: &str, without_rules: bool) -> Result<Imported, ImportError> {
    let Instance {
        model,
        mut constraints,
    } = serde_json::from_str(text)?;
    if without_rules {
        constraints.clear();
    }
    let mut import = Import::default();
    import.hosts(&model)?;
    // Without constraints all VMs that are ready wait; with them, those that are to run.
    let wanted: BTreeSet<u64> = constraints
        .iter()
        .filter(|c| c.id == "running")
        .flat_map(Constraint::guests)
        .collect();
    let waits = |vm: &u64| without_rules || constraints.is_empty() || wanted.contains(vm);
    import.guests(&model, waits)?;
    for view in &model.views {
        let is_resource = view.id == "shareableResource";
        let known = [CPU, MEMORY].iter().flatten().any(|n| *n == view.rc_id);
        if is_resource && !known {
            import.leave_out(
                &format!("resource {}", view.rc_id),
                "neither CPU nor memory",
            );
        } else if !is_resource && view.id != "ns" {
            import.leave_out(&format!("view {}", view.id), "no place for it");
        }
    }
    for constraint in &constraints {
        import.constraint(constraint)?;
    }
    Ok(import.done())
}

impl Constraint {
    fn guests(&self) -> impl Iterator<Item = u64> {
        self.vm.into_iter().chain(self.vms.iter().copied())
    }
    fn hosts(&self) -> impl Iterator<Item = u64> {
        self.node.into_iter().chain(self.nodes.iter().copied())
    }
}

/// What was made so far, by the ids of the source.
#[derive(Default)]
struct Import {
    hosts: BTreeMap<u64, Host>,
    guests: BTreeMap<u64, Guest>,
    demand: BTreeMap<u64, MilliCores>,
    rules: Vec<Rule>,
    /// How many rules of each constraint, for their names.
    named: BTreeMap<String, usize>,
    /// The label of each list of parts.
    labels: BTreeMap<Vec<Vec<u64>>, String>,
    left_out: BTreeMap<(String, String), usize>,
}

impl Import {
    fn leave_out(&mut self, what: &str, why: &str) {
        *self.left_out.entry((what.into(), why.into())).or_default() += 1;
    }

    fn hosts(&mut self, model: &Model) -> Result<(), ImportError> {
        let (cpu, memory) = (resource(model, &CPU), resource(model, &MEMORY));
        let names = names(model, "node");
        let online = model.mapping.online_nodes.keys();
        let states = online.map(|n| (n, HostState::On));
        let offline = model.mapping.offline_nodes.iter();
        for (node, state) in states.chain(offline.map(|n| (n, HostState::Asleep))) {
            let amount = |view: Option<&View>, otherwise: u64| {
                view.map_or(Ok(otherwise), |v| {
                    let own = v.nodes.as_ref().and_then(|n| n.get(node));
                    checked(own.copied().unwrap_or(v.capacity), "node", *node)
                })
            };
            let host = Host {
                name: name(&names, "node", *node)?,
                // Without such a resource nothing is wanted of it either.
                cpu: MilliCores(amount(cpu, 100)? * UNIT),
                memory: MiB(amount(memory, 1024)?),
                network: LINK,
                state,
                speed: Ratio::ONE,
                reserve: Reserve::default(),
                labels: BTreeMap::new(),
                never_sleep: false,
                uri: None,
                migrate_address: None,
                probe: None,
            };
            if self.hosts.insert(*node, host).is_some() {
                let what =
                    format!("read node {node} both online and offline, expected one of them");
                return Err(ImportError::new(what));
            }
        }
        Ok(())
    }

    fn guests(&mut self, model: &Model, waits: impl Fn(&u64) -> bool) -> Result<(), ImportError> {
        let (cpu, memory) = (resource(model, &CPU), resource(model, &MEMORY));
        let names = names(model, "vm");
        let mut placed: Vec<(u64, Option<HostName>)> = Vec::new();
        for (node, on) in &model.mapping.online_nodes {
            let host = self.hosts.get(node).map(|h| h.name.clone());
            placed.extend(on.running.iter().map(|vm| (*vm, host.clone())));
            for _ in &on.sleeping {
                self.leave_out("sleeping VM", "its memory is on a disk, it does not run");
            }
        }
        for vm in &model.mapping.ready {
            if waits(vm) {
                placed.push((*vm, None));
            } else {
                self.leave_out("ready VM", "no constraint says that it is to run");
            }
        }
        for (vm, host) in placed {
            let amount = |view: Option<&View>| {
                view.map_or(Ok(0), |v| {
                    let own = v.vms.as_ref().and_then(|m| m.get(&vm));
                    checked(own.copied().unwrap_or(v.consumption), "VM", vm)
                })
            };
            let demand = amount(cpu)? * UNIT;
            let guest = Guest {
                name: name(&names, "vm", vm)?,
                uuid: None,
                vcpus: whole_cores(demand),
                memory: MiB(amount(memory)?),
                host,
                reserved: MilliCores::ZERO,
                movable: true,
                moved_ago: None,
                post_copy: PostCopy::Allowed,
                requires: BTreeMap::new(),
            };
            self.demand.insert(vm, MilliCores(demand));
            if self.guests.insert(vm, guest).is_some() {
                let what = format!("read VM {vm} in two places, expected it in one");
                return Err(ImportError::new(what));
            }
        }
        Ok(())
    }

    fn constraint(&mut self, constraint: &Constraint) -> Result<(), ImportError> {
        let kind = constraint.id.as_str();
        let guests: Vec<String> = constraint
            .guests()
            .filter_map(|vm| self.guests.get(&vm))
            .map(|g| g.name.to_string())
            .collect();
        let hosts: Vec<String> = constraint
            .hosts()
            .filter_map(|node| self.hosts.get(&node))
            .map(|h| h.name.to_string())
            .collect();
        let over = Over::Host;
        match kind {
            "running" => {}
            "spread" | "gather" | "fence" | "ban" | "root" | "among" if guests.is_empty() => {
                self.leave_out(kind, "it names no VM that is here");
            }
            "fence" if hosts.is_empty() => self.leave_out(kind, "it names no node that is here"),
            "ban" if hosts.is_empty() => {}
            "spread" => self.rule(kind, RuleKind::Spread { guests, over }),
            "gather" => self.rule(kind, RuleKind::Gather { guests, over }),
            "fence" => self.rule(kind, RuleKind::Fence { guests, hosts }),
            "ban" => self.rule(kind, RuleKind::Ban { guests, hosts }),
            "root" => self.rule("pin", RuleKind::Pin { guests }),
            "among" => self.among(&constraint.parts, guests),
            "preserve" if CPU.contains(&constraint.rc.as_str()) => {
                let amount = u64::try_from(constraint.amount).unwrap_or(0);
                for vm in constraint.guests() {
                    let least = checked(amount, "VM", vm)? * UNIT;
                    if let Some(guest) = self.guests.get_mut(&vm) {
                        guest.reserved = guest.reserved.max(MilliCores(least));
                        guest.vcpus = guest.vcpus.max(whole_cores(least));
                    }
                }
            }
            "offline" => {
                for node in constraint.hosts() {
                    if let Some(host) = self.hosts.get_mut(&node) {
                        host.state = match host.state {
                            HostState::On => HostState::Drain,
                            _ => HostState::Out,
                        };
                    }
                }
            }
            "online" => self.leave_out(kind, "hosts left empty may sleep"),
            other => self.leave_out(other, "no rule says that"),
        }
        Ok(())
    }

    fn rule(&mut self, name: &str, kind: RuleKind) {
        let number = self.named.entry(name.into()).or_default();
        *number += 1;
        let name = format!("{name}-{number}");
        self.rules.push(Rule { name, kind });
    }

    /// The guests are in one of the parts.
    fn among(&mut self, parts: &[Vec<u64>], guests: Vec<String>) {
        let mut nodes: Vec<u64> = parts.iter().flatten().copied().collect();
        let all = nodes.len();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.len() < all {
            return self.leave_out("among", "a node is in two of its parts");
        }
        let known = nodes.iter().filter(|n| self.hosts.contains_key(n)).count();
        if known == 0 {
            return self.leave_out("among", "it names no node that is here");
        }
        let label = match self.labels.get(parts) {
            Some(label) => label.clone(),
            None => {
                let label = format!("part-{}", self.labels.len() + 1);
                for (value, part) in (1..).zip(parts) {
                    for node in part {
                        if let Some(host) = self.hosts.get_mut(node) {
                            host.labels.insert(label.clone(), value.to_string());
                        }
                    }
                }
                self.labels.insert(parts.to_vec(), label.clone());
                label
            }
        };
        if known < self.hosts.len() {
            // A host in no part is a place of its own.
            let in_use =
                |part: &&(usize, &Vec<u64>)| part.1.iter().any(|n| self.hosts.contains_key(n));
            let numbered: Vec<(usize, &Vec<u64>)> = (1..).zip(parts).collect();
            let hosts = numbered.iter().filter(in_use);
            let hosts = hosts.map(|(value, _)| format!("{label}={value}")).collect();
            let guests = guests.clone();
            self.rule("among-fence", RuleKind::Fence { guests, hosts });
        }
        let over = Over::Label(label);
        self.rule("among", RuleKind::Gather { guests, over });
    }

    fn done(self) -> Imported {
        let load = |(vm, guest): (&u64, &Guest)| {
            let cpu = CpuLoad {
                max: self.demand.get(vm).copied(),
                ..CpuLoad::default()
            };
            let load = GuestLoad {
                cpu: Some(cpu),
                ..GuestLoad::default()
            };
            (guest.name.clone(), load)
        };
        let load = Load {
            guests: self.guests.iter().map(load).collect(),
        };
        let mut policy = Policy {
            rules: self.rules,
            ..Policy::default()
        };
        policy.demand.cpu = Statistic::Max;
        policy.headroom.cpu = Permille(0);
        policy.headroom.memory = Permille(0);
        policy.overhead.memory = MiB(0);
        policy.over_commit.cpu = Ratio(1_000_000);
        let left_out = self.left_out.into_iter();
        Imported {
            cluster: Cluster {
                hosts: self.hosts.into_values().collect(),
                guests: self.guests.into_values().collect(),
            },
            load,
            policy,
            left_out: left_out
                .map(|((what, why), count)| LeftOut { what, count, why })
                .collect(),
        }
    }
}

fn resource<'a>(model: &'a Model, names: &[&str]) -> Option<&'a View> {
    let mut views = model.views.iter().filter(|v| v.id == "shareableResource");
    views.find(|v| names.contains(&v.rc_id.as_str()))
}

fn checked(amount: u64, what: &str, id: u64) -> Result<u64, ImportError> {
    if amount <= MOST {
        return Ok(amount);
    }
    let what = format!("read an amount of {amount} for {what} {id}, expected at most {MOST}");
    Err(ImportError::new(what))
}

/// At least one.
fn whole_cores(demand: u64) -> u32 {
    u32::try_from(demand.div_ceil(1000))
        .unwrap_or(u32::MAX)
        .max(1)
}

/// The names that the source gives, by id.
fn names(model: &Model, of: &str) -> BTreeMap<u64, String> {
    let views = model
        .views
        .iter()
        .filter(|v| v.id == "ns" && v.r#type == of);
    let mut names = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (name, id) in views.flat_map(|v| &v.map) {
        let name = name.trim_start_matches('@');
        // A rule would read these as a pattern or a label.
        if !name.contains(['*', '=']) && taken.insert(name) {
            names.insert(*id, name.to_owned());
        }
    }
    names
}

fn name<T: std::str::FromStr>(
    names: &BTreeMap<u64, String>,
    what: &str,
    id: u64,
) -> Result<T, ImportError> {
    let given = names.get(&id).and_then(|n| n.parse().ok());
    given.map_or_else(
        || {
            let made = format!("{what}-{id}");
            made.parse()
                .map_err(|_| ImportError::new(format!("{made} is no name")))
        },
        Ok,
    )
}

#[cfg(test)]
mod tests;
