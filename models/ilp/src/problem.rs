//! A placement problem as the formulations and heuristics see it: integer needs and rooms per
//! resource, hosts and guests by index, every unary rule (fence, ban, pin, drain, requires, out)
//! folded into which hosts a guest may take.
//!
//! Resources, in this order: CPU in milli-cores of speed 1, memory in MiB, vCPUs in thousandths
//! (so that an over-commit of 1.5 on 3 cores is exact).

use std::collections::BTreeMap;

use vmpack_domain::cluster::{Cluster, HostState};
use vmpack_domain::demand::{Basis, demands};
use vmpack_domain::load::Load;
use vmpack_domain::policy::Policy;
use vmpack_domain::rule::{Over, RuleKind, guests_named, hosts_named};
use vmpack_domain::{GuestName, HostName};

/// How many resources a problem has.
pub const RESOURCES: usize = 3;
/// Their names, for reports.
pub const RESOURCE_NAMES: [&str; RESOURCES] = ["cpu", "memory", "vcpus"];
/// An amount of each resource.
pub type Amounts = [i64; RESOURCES];
/// Index of memory among the resources.
pub const MEMORY: usize = 1;

/// The whole problem. Hosts that are out are not in it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Hosts that are there, in the cluster's order.
    pub hosts: Vec<HostSlot>,
    /// Guests, in the cluster's order.
    pub guests: Vec<GuestItem>,
    /// Rules that bind several guests or hosts.
    pub rules: Vec<GroupRule>,
    /// Assumptions worth telling, such as unmeasured guests.
    pub warnings: Vec<String>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct HostSlot {
    /// Its name.
    pub name: HostName,
    /// Its cost when in use, in thousandths.
    pub cost: i64,
    /// What guests may use of it, after speed, reserve, headroom and over-commit.
    pub room: Amounts,
    /// Whether it is in use whatever it carries (it never sleeps).
    pub always: bool,
    /// Whether it must be woken to be used.
    pub asleep: bool,
    /// Whether a target may put guests there (not a draining host).
    pub open: bool,
}

/// A guest.
#[derive(Debug, Clone)]
pub struct GuestItem {
    /// Its name.
    pub name: GuestName,
    /// What it takes: max(demand, reserved), memory with overhead, vCPUs.
    pub need: Amounts,
    /// Memory moved when it leaves its host, in MiB (configured, without overhead).
    pub memory: i64,
    /// Where it runs, by host index; `None` when it waits or its host is out.
    pub current: Option<usize>,
    /// Hosts it may be on in the target, by index, ascending. Never empty in a built problem.
    pub allowed: Vec<usize>,
}

/// A rule over several guests or hosts, by index.
#[derive(Debug, Clone)]
pub struct GroupRule {
    /// The policy's name for it.
    pub name: String,
    /// What it demands.
    pub kind: GroupKind,
}

/// What a group rule demands.
#[derive(Debug, Clone)]
pub enum GroupKind {
    /// The guests are in pairwise different places.
    Spread {
        /// Guest indices, ascending.
        guests: Vec<usize>,
        /// The place of each host; hosts of one place share a number from 0.
        place: Vec<usize>,
    },
    /// The guests are in one place.
    Gather {
        /// Guest indices, ascending.
        guests: Vec<usize>,
        /// The place of each host.
        place: Vec<usize>,
    },
    /// Σ room of hosts in use − Σ need ≥ `amount`, per resource.
    Spare {
        /// Room to keep.
        amount: Amounts,
    },
    /// At most so many of the guests change their host.
    MaxMoves {
        /// Guest indices, ascending.
        guests: Vec<usize>,
        /// The most.
        moves: usize,
    },
}

/// The room of a host: ⌊(1 − headroom) × (cores × speed − reserve)⌋, ⌊(1 − headroom) × (memory −
/// reserve)⌋, ⌊over-commit × cores⌋ in thousandths of a vCPU.
#[must_use]
pub fn room(host: &vmpack_domain::Host, policy: &Policy) -> Amounts {
    let free = |headroom: u64| u128::from(1000 - headroom.min(1000));
    let cpu = (u128::from(host.cpu.0) * u128::from(host.speed.0) / 1000)
        .saturating_sub(u128::from(host.reserve.cpu.0));
    let memory = u128::from(host.memory.0).saturating_sub(u128::from(host.reserve.memory.0));
    let vcpus = u128::from(host.cpu.0) * u128::from(policy.over_commit.cpu.0) / 1000;
    let clamp = |v: u128| i64::try_from(v).unwrap_or(i64::MAX >> 20);
    [
        clamp(cpu * free(policy.headroom.cpu.0) / 1000),
        clamp(memory * free(policy.headroom.memory.0) / 1000),
        clamp(vcpus),
    ]
}

fn amount(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX >> 20)
}

impl Problem {
    /// The problem of a cluster that was read (names unique, references resolved).
    ///
    /// # Errors
    /// The reasons why no placement can exist, where that shows at once: a guest that no host may
    /// or can take, no hosts at all, a rule that names nothing.
    pub fn build(cluster: &Cluster, load: &Load, policy: &Policy) -> Result<Self, Vec<String>> {
        let present: Vec<_> = cluster
            .hosts
            .iter()
            .filter(|h| h.state != HostState::Out)
            .collect();
        let index: BTreeMap<&HostName, usize> = present
            .iter()
            .enumerate()
            .map(|(i, h)| (&h.name, i))
            .collect();
        let guest_index: BTreeMap<&GuestName, usize> = cluster
            .guests
            .iter()
            .enumerate()
            .map(|(i, g)| (&g.name, i))
            .collect();
        let hosts: Vec<HostSlot> = present
            .iter()
            .map(|h| HostSlot {
                name: h.name.clone(),
                cost: amount(policy.costs.of(&h.name).0),
                room: room(h, policy),
                always: h.never_sleep && h.state == HostState::On,
                asleep: h.state == HostState::Asleep,
                open: h.state.takes_guests(),
            })
            .collect();
        if hosts.is_empty() && !cluster.guests.is_empty() {
            return Err(vec![format!(
                "there is no host for {} guests",
                cluster.guests.len()
            )]);
        }
        let mut warnings = Vec::new();
        let demands = demands(cluster, load, policy);
        let promised: Vec<&str> = cluster
            .guests
            .iter()
            .zip(&demands)
            .filter(|(_, d)| d.basis == Basis::Promise)
            .map(|(g, _)| g.name.as_str())
            .collect();
        if let Some(first) = promised.first() {
            warnings.push(format!(
                "{} of {} guests were not measured and count at all their vCPUs, {first} among them",
                promised.len(),
                cluster.guests.len()
            ));
        }
        // may[g][h]: what unary rules leave, with the rule that took a host away.
        let mut may: Vec<Vec<bool>> = Vec::with_capacity(cluster.guests.len());
        let mut taken_by: Vec<Vec<String>> = vec![Vec::new(); cluster.guests.len()];
        for (g, guest) in cluster.guests.iter().enumerate() {
            let row: Vec<bool> = present
                .iter()
                .map(|h| h.state.takes_guests() && guest.runs_on(h))
                .collect();
            if !guest.requires.is_empty() {
                if let Some(by) = taken_by.get_mut(g) {
                    by.push("its `requires`".into());
                }
            }
            may.push(row);
        }
        let mut rules = Vec::new();
        let mut reasons = Vec::new();
        let keep_only = |may: &mut Vec<Vec<bool>>,
                         taken: &mut Vec<Vec<String>>,
                         g: usize,
                         rule: &str,
                         keep: &dyn Fn(usize) -> bool| {
            if let Some(row) = may.get_mut(g) {
                for (h, ok) in row.iter_mut().enumerate() {
                    *ok = *ok && keep(h);
                }
            }
            if let Some(by) = taken.get_mut(g) {
                by.push(format!("rule {rule}"));
            }
        };
        for (g, guest) in cluster.guests.iter().enumerate() {
            if !guest.movable {
                let current = guest.host.as_ref().and_then(|h| index.get(h)).copied();
                if let Some(at) = current {
                    keep_only(&mut may, &mut taken_by, g, "`movable: false`", &|h| h == at);
                }
            }
        }
        for rule in &policy.rules {
            let named = guests_named(rule.kind.guests(), cluster).map_err(|p| {
                vec![format!(
                    "rule {} names guest `{p}`, which is not in the cluster",
                    rule.name
                )]
            })?;
            let members: Vec<usize> = named
                .iter()
                .filter_map(|n| guest_index.get(*n))
                .copied()
                .collect();
            let at: Vec<usize> = hosts_named(rule.kind.hosts(), cluster)
                .map_err(|p| {
                    vec![format!(
                        "rule {} names host `{p}`, which is not in the cluster",
                        rule.name
                    )]
                })?
                .iter()
                .filter_map(|n| index.get(*n))
                .copied()
                .collect();
            let group = match &rule.kind {
                RuleKind::Fence { .. } => {
                    for g in members {
                        keep_only(&mut may, &mut taken_by, g, &rule.name, &|h| at.contains(&h));
                    }
                    continue;
                }
                RuleKind::Ban { .. } => {
                    for g in members {
                        keep_only(&mut may, &mut taken_by, g, &rule.name, &|h| {
                            !at.contains(&h)
                        });
                    }
                    continue;
                }
                RuleKind::Pin { .. } => {
                    for g in members {
                        let current = cluster
                            .guests
                            .get(g)
                            .and_then(|x| x.host.as_ref())
                            .and_then(|h| index.get(h))
                            .copied();
                        if let Some(current) = current {
                            keep_only(&mut may, &mut taken_by, g, &rule.name, &|h| h == current);
                        }
                    }
                    continue;
                }
                RuleKind::Spread { over, .. } => GroupKind::Spread {
                    guests: members,
                    place: places(&present, over),
                },
                RuleKind::Gather { over, .. } => GroupKind::Gather {
                    guests: members,
                    place: places(&present, over),
                },
                RuleKind::Spare { hosts: worth } => {
                    let mut largest = [0i64; RESOURCES];
                    for slot in hosts.iter().filter(|h| h.open) {
                        for (l, r) in largest.iter_mut().zip(slot.room) {
                            *l = (*l).max(r);
                        }
                    }
                    GroupKind::Spare {
                        amount: largest.map(|l| l.saturating_mul(i64::from(*worth))),
                    }
                }
                RuleKind::MaxMoves { guests, moves } => GroupKind::MaxMoves {
                    guests: if guests.is_empty() {
                        (0..cluster.guests.len()).collect()
                    } else {
                        members
                    },
                    moves: usize::try_from(*moves).unwrap_or(usize::MAX),
                },
            };
            rules.push(GroupRule {
                name: rule.name.clone(),
                kind: group,
            });
        }
        if let Some(most) = policy.limits.moves {
            rules.push(GroupRule {
                name: "limits.moves".into(),
                kind: GroupKind::MaxMoves {
                    guests: (0..cluster.guests.len()).collect(),
                    moves: usize::try_from(most).unwrap_or(usize::MAX),
                },
            });
        }
        let mut guests = Vec::with_capacity(cluster.guests.len());
        for (((guest, demand), row), taken) in
            cluster.guests.iter().zip(&demands).zip(&may).zip(&taken_by)
        {
            let need = [
                amount(demand.cpu.0),
                amount((guest.memory + policy.overhead.memory).0),
                i64::from(guest.vcpus) * 1000,
            ];
            let permitted: Vec<usize> = row
                .iter()
                .enumerate()
                .filter(|(_, ok)| **ok)
                .map(|(h, _)| h)
                .collect();
            let allowed: Vec<usize> = permitted
                .iter()
                .copied()
                .filter(|h| {
                    hosts
                        .get(*h)
                        .is_some_and(|s| s.room.iter().zip(&need).all(|(r, n)| n <= r))
                })
                .collect();
            if permitted.is_empty() {
                let by = if taken.is_empty() {
                    "no host is on".to_owned()
                } else {
                    taken.join(" and ")
                };
                reasons.push(format!("guest {} may run on no host: {by}", guest.name));
            } else if allowed.is_empty() {
                reasons.push(too_large(guest, demand, need, &permitted, &hosts));
            }
            guests.push(GuestItem {
                name: guest.name.clone(),
                need,
                memory: amount(guest.memory.0),
                current: guest.host.as_ref().and_then(|h| index.get(h)).copied(),
                allowed,
            });
        }
        if reasons.is_empty() {
            Ok(Self {
                hosts,
                guests,
                rules,
                warnings,
            })
        } else {
            Err(reasons)
        }
    }
}

/// Why a guest fits none of the hosts that it may run on.
fn too_large(
    guest: &vmpack_domain::Guest,
    demand: &vmpack_domain::demand::Demand,
    need: Amounts,
    permitted: &[usize],
    hosts: &[HostSlot],
) -> String {
    use vmpack_domain::units::{MiB, MilliCores};
    let unsigned = |v: i64| u64::try_from(v).unwrap_or(0);
    let most = |r: usize| {
        permitted
            .iter()
            .filter_map(|h| hosts.get(*h)?.room.get(r))
            .copied()
            .max()
            .unwrap_or(0)
    };
    let mut lacks = Vec::new();
    if need[0] > most(0) {
        lacks.push(format!(
            "its demand of {} ({}) is above the {} that any of them offers",
            demand.cpu,
            demand.basis,
            MilliCores(unsigned(most(0)))
        ));
    }
    if need[1] > most(1) {
        lacks.push(format!(
            "its {} with overhead are above the {} that any of them offers",
            MiB(unsigned(need[1])),
            MiB(unsigned(most(1)))
        ));
    }
    if need[2] > most(2) {
        lacks.push(format!(
            "its {} vCPUs are above the {} that any of them may promise",
            guest.vcpus,
            most(2) / 1000
        ));
    }
    if lacks.is_empty() {
        lacks.push("none of them offers all that it needs at once".into());
    }
    format!(
        "guest {} fits none of the {} hosts it may run on: {}",
        guest.name,
        permitted.len(),
        lacks.join("; ")
    )
}

/// The place of each host: hosts with the same label value share a number.
fn places(hosts: &[&vmpack_domain::Host], over: &Over) -> Vec<usize> {
    let mut known: BTreeMap<(bool, String), usize> = BTreeMap::new();
    hosts
        .iter()
        .map(|h| {
            let (place, labelled) = over.place(h);
            let next = known.len();
            *known.entry((labelled, place.to_owned())).or_insert(next)
        })
        .collect()
}
