//! The cheapest ways out of an input that has no placement: single changes of the cluster or of the
//! policy under which there is one. Each is tried: a placement is sought for the changed input and
//! judged by the checker; one that is not found within the limits is not offered.
//!
//! They are ordered by the share of the cluster that they change: of its hosts (one more, one kept in
//! use), of every host's room (headroom, over-commit), of its guests (a rule dropped counts the guests
//! that it names).

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vmpack_domain::demand::{demands, joint};
use vmpack_domain::rule::{RuleKind, guests_named};
use vmpack_domain::units::{MiB, MilliCores, Permille, Ratio, count};
use vmpack_domain::{Cluster, GuestName, Host, HostName, HostState, Load, Policy, check};
use vmpack_ilp::problem::room;

use crate::effort::Effort;
use crate::instance::Instance;
use crate::pack::{Answer, any};
use crate::search::Search;

/// A change under which there is a placement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WayOut {
    /// The change.
    #[serde(flatten)]
    pub change: Change,
    /// The same in words.
    pub text: String,
    /// The share of the cluster that it changes.
    pub share: f64,
}

/// A change of the cluster or of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// More hosts.
    Hosts {
        /// Of which they have speed, reserve and labels.
        like: HostName,
        /// How many.
        count: u32,
        /// Cores of each.
        cpu: MilliCores,
        /// Memory of each.
        memory: MiB,
    },
    /// These rules are dropped.
    Drop {
        /// By name.
        rules: Vec<String>,
    },
    /// Less of every host's CPU stays free.
    CpuHeadroom {
        /// As it is.
        from: Permille,
        /// As it would be.
        to: Permille,
    },
    /// Less of every host's memory stays free.
    MemoryHeadroom {
        /// As it is.
        from: Permille,
        /// As it would be.
        to: Permille,
    },
    /// More vCPUs are promised per core.
    OverCommit {
        /// As it is.
        from: Ratio,
        /// As it would be.
        to: Ratio,
    },
    /// A rule's number changes: the moves it allows, the room it keeps.
    Rule {
        /// By name; the policy's `limits.moves` when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// As it is.
        from: u32,
        /// As it would be.
        to: u32,
    },
    /// A draining host stays in use.
    Keep {
        /// Which.
        host: HostName,
    },
    /// A guest that is said not to be movable may move.
    Move {
        /// Which.
        guest: GuestName,
    },
}

/// Inputs are tried so often.
const TRIES: usize = 300;
/// Of rules, draining hosts and guests that may not move, so many are tried one by one.
const SINGLE: usize = 60;
/// Search effort of each try, in nodes.
const NODES: u64 = 200;
/// The most hosts that are added.
const HOSTS: u32 = 256;
/// The most kinds of hosts of which more are tried.
const KINDS: usize = 4;

/// The ways out that were found within the limits, the least change first. For an input without a
/// placement; with one, nothing here is needed.
#[must_use]
pub fn ways_out(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    search: &mut Search,
) -> Vec<WayOut> {
    let mut tries = Tries {
        input: (cluster, load, policy),
        search,
        left: TRIES,
    };
    let mut found = numbers(&mut tries);
    found.extend(one_by_one(&mut tries, &found));
    found.extend(hosts(&mut tries));
    if found.is_empty() {
        found.extend(together(&mut tries));
    }
    let mut ways: Vec<(u64, WayOut)> = found
        .into_iter()
        .map(|change| {
            let parts = tries.parts(&change);
            let way = WayOut {
                text: change.to_string(),
                share: parts as f64 / 1e6,
                change,
            };
            (parts, way)
        })
        .collect();
    ways.sort_by_key(|(parts, _)| *parts);
    ways.into_iter().map(|(_, way)| way).collect()
}

/// Changed inputs are tried by it.
struct Tries<'a, 's> {
    input: (&'a Cluster, &'a Load, &'a Policy),
    search: &'a mut Search<'s>,
    left: usize,
}

impl Tries<'_, '_> {
    /// Whether there is a placement after those changes; `false` also where none was found.
    fn holds(&mut self, changes: &[Change]) -> bool {
        let (cluster, load, policy) = self.input;
        let over = (self.search.stop)() || (self.search.elapsed)() >= policy.limits.time;
        if self.left == 0 || over {
            return false;
        }
        self.left -= 1;
        let (mut cluster, mut policy) = (cluster.clone(), policy.clone());
        for change in changes {
            change.make(&mut cluster, &mut policy);
        }
        policy.limits.nodes = Some(policy.limits.nodes.map_or(NODES, |n| n.min(NODES)));
        let Ok(problem) = super::contradiction(&cluster, load, &policy) else {
            return false;
        };
        let Ok(inst) = Instance::build(&problem) else {
            return false;
        };
        let effort = Effort::share(self.search, &policy, 1000);
        let Answer::Found(packed) = any(&inst, &policy, &effort) else {
            return false;
        };
        let name = |h: usize| problem.hosts[h].name.clone();
        let placed = problem.guests.iter().zip(inst.placement(&packed.at));
        let target = placed.map(|(g, h)| (g.name.clone(), name(h))).collect();
        // Spare room is judged over the hosts that are on.
        let awake: BTreeSet<HostName> = packed.awake.iter().map(|h| name(*h)).collect();
        for host in &mut cluster.hosts {
            if awake.contains(&host.name) && host.state == HostState::Asleep {
                host.state = HostState::On;
            }
        }
        check::placement(&cluster, load, &policy, &target).is_empty()
    }

    /// The least number up to `most` with which `change` holds; it is taken to hold from there on.
    fn least(&mut self, most: u32, change: impl Fn(u32) -> Change) -> Option<Change> {
        let mut high = 1;
        while high <= most && !self.holds(&[change(high)]) {
            if high == most {
                return None;
            }
            high = high.saturating_mul(2).min(most);
        }
        let mut low = high / 2;
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.holds(&[change(middle)]) {
                high = middle;
            } else {
                low = middle;
            }
        }
        (most > 0).then(|| change(high))
    }

    /// The share of the cluster that a change concerns, in millionths.
    fn parts(&self, change: &Change) -> u64 {
        let (cluster, _, policy) = self.input;
        let of = |part: u64, whole: usize| part * 1_000_000 / (whole as u64).max(1);
        let hosts = |n: u64| of(n, cluster.hosts.len());
        let guests = |n: u64| of(n, cluster.guests.len());
        match change {
            Change::Hosts { count, .. } => hosts(u64::from(*count)),
            Change::Drop { rules } => {
                let dropped = policy.rules.iter().filter(|r| rules.contains(&r.name));
                dropped.map(|r| self.weight(&r.kind)).sum()
            }
            Change::CpuHeadroom { from, to } | Change::MemoryHeadroom { from, to } => {
                from.saturating_sub(*to).0 * 1000
            }
            Change::OverCommit { from, to } => {
                to.0.saturating_sub(from.0) * 1_000_000 / from.0.max(1)
            }
            // More moves, or less room kept.
            Change::Rule { from, to, .. } if to > from => guests(u64::from(to - from)),
            Change::Rule { from, to, .. } => hosts(u64::from(from.saturating_sub(*to))),
            Change::Keep { .. } => hosts(1),
            Change::Move { .. } => guests(1),
        }
    }

    fn weight(&self, rule: &RuleKind) -> u64 {
        let (cluster, _, _) = self.input;
        let share = |n: usize, of: usize| n as u64 * 1_000_000 / (of as u64).max(1);
        match rule {
            RuleKind::Spare { hosts } => {
                u64::from(*hosts) * 1_000_000 / (cluster.hosts.len() as u64).max(1)
            }
            rule if rule.guests().is_empty() => 1_000_000,
            rule => {
                let named = guests_named(rule.guests(), cluster).map_or(0, |g| g.len());
                share(named, cluster.guests.len())
            }
        }
    }
}

/// Less headroom, more over-commit, more moves, less spare room.
fn numbers(tries: &mut Tries) -> Vec<Change> {
    let (cluster, _, policy) = tries.input;
    let mut found = Vec::new();
    let (cpu, memory) = (policy.headroom.cpu, policy.headroom.memory);
    // Whole percents, down to 0.
    let steps = |from: Permille| u32::try_from(from.0.div_ceil(10)).unwrap_or(0);
    let less = |from: Permille, n: u32| {
        Permille((from.0.div_ceil(10) * 10).saturating_sub(u64::from(n) * 10))
    };
    found.extend(tries.least(steps(cpu), |n| Change::CpuHeadroom {
        from: cpu,
        to: less(cpu, n),
    }));
    found.extend(tries.least(steps(memory), |n| Change::MemoryHeadroom {
        from: memory,
        to: less(memory, n),
    }));
    let promised = policy.over_commit.cpu;
    // In halves, up to as much again and 4.
    found.extend(tries.least(8, |n| Change::OverCommit {
        from: promised,
        to: Ratio(promised.0.saturating_add(u64::from(n) * 500)),
    }));
    let guests = u32::try_from(cluster.guests.len()).unwrap_or(u32::MAX);
    let limits = policy.limits.moves.map(|most| (None, most));
    let rules = policy.rules.iter().filter_map(|rule| match &rule.kind {
        RuleKind::MaxMoves { moves, .. } => Some((Some(rule.name.clone()), *moves)),
        _ => None,
    });
    for (rule, from) in limits.into_iter().chain(rules) {
        found.extend(tries.least(guests.saturating_sub(from), |n| Change::Rule {
            rule: rule.clone(),
            from,
            to: from + n,
        }));
    }
    for rule in &policy.rules {
        if let RuleKind::Spare { hosts } = rule.kind {
            found.extend(tries.least(hosts, |n| Change::Rule {
                rule: Some(rule.name.clone()),
                from: hosts,
                to: hosts - n,
            }));
        }
    }
    found
}

/// What can be dropped as a whole, the least first.
fn soft(tries: &Tries) -> Vec<Change> {
    let (cluster, _, policy) = tries.input;
    let rules = policy.rules.iter().map(|rule| Change::Drop {
        rules: vec![rule.name.clone()],
    });
    let drains = cluster.hosts.iter().filter(|h| h.state == HostState::Drain);
    let kept = drains.map(|h| Change::Keep {
        host: h.name.clone(),
    });
    let fixed = cluster.guests.iter().filter(|g| !g.movable);
    let moved = fixed.map(|g| Change::Move {
        guest: g.name.clone(),
    });
    let mut all: Vec<Change> = rules.chain(kept).chain(moved).collect();
    all.sort_by_key(|change| tries.parts(change));
    all
}

/// Each rule, draining host or guest that may not move alone, but those of which a number will do.
fn one_by_one(tries: &mut Tries, numbers: &[Change]) -> Vec<Change> {
    let by_number = |name: &String| {
        let of = |c: &Change| matches!(c, Change::Rule { rule: Some(rule), .. } if rule == name);
        numbers.iter().any(of)
    };
    let mut all = soft(tries);
    all.retain(|c| !matches!(c, Change::Drop { rules } if rules.iter().any(by_number)));
    all.truncate(SINGLE);
    all.retain(|change| tries.holds(std::slice::from_ref(change)));
    all
}

/// Rules that must go together: all are dropped, and taken back, the weightiest first, where that is
/// possible. No rule of those left can be taken back.
fn together(tries: &mut Tries) -> Option<Change> {
    let (_, _, policy) = tries.input;
    let mut dropped: Vec<String> = soft(tries)
        .into_iter()
        .filter_map(|change| match change {
            Change::Drop { rules } => Some(rules),
            _ => None,
        })
        .flatten()
        .collect();
    let drop = |rules: &[String]| {
        [Change::Drop {
            rules: rules.to_vec(),
        }]
    };
    if policy.rules.len() > SINGLE || !tries.holds(&drop(&dropped)) {
        return None;
    }
    for at in (0..dropped.len()).rev() {
        let rule = dropped.remove(at);
        if !tries.holds(&drop(&dropped)) {
            dropped.insert(at, rule);
        }
    }
    Some(Change::Drop { rules: dropped })
}

/// More hosts of the kinds that are there, and large enough for guests that fit none of them.
fn hosts(tries: &mut Tries) -> Vec<Change> {
    let (cluster, load, policy) = tries.input;
    let mut kinds: Vec<&Host> = Vec::new();
    let alike = |a: &Host, b: &Host| {
        (a.cpu, a.memory, a.speed, a.reserve, &a.labels)
            == (b.cpu, b.memory, b.speed, b.reserve, &b.labels)
    };
    for host in cluster.hosts.iter().filter(|h| h.state.takes_guests()) {
        if !kinds.iter().any(|k| alike(k, host)) {
            kinds.push(host);
        }
    }
    kinds.sort_by_key(|h| std::cmp::Reverse((h.memory, h.cpu)));
    kinds.truncate(KINDS);
    let large = too_large(cluster, load, policy);
    let mut found = Vec::new();
    for host in kinds {
        let (mut cpu, mut memory) = (host.cpu, host.memory);
        for need in &large {
            let Some(size) = size(host, policy, need) else {
                continue;
            };
            (cpu, memory) = (cpu.max(size.0), memory.max(size.1));
        }
        let more = |count: u32| Change::Hosts {
            like: host.name.clone(),
            count,
            cpu,
            memory,
        };
        found.extend(tries.least(HOSTS, more));
    }
    found
}

/// What guests need that fit no host alone, whatever the rules: CPU, memory with overhead, vCPUs.
fn too_large(cluster: &Cluster, load: &Load, policy: &Policy) -> Vec<(u64, u64, u64)> {
    let joint = joint(cluster, load, policy);
    let rooms: BTreeSet<_> = cluster.hosts.iter().map(|h| room(h, policy)).collect();
    let single = demands(cluster, load, policy);
    let guests = cluster.guests.iter().zip(single).enumerate();
    let needs = guests.map(|(g, (guest, demand))| {
        let most = joint.as_ref().and_then(|j| j.of[g].iter().max());
        let memory = guest.memory + policy.overhead.memory;
        let cpu = most.copied().unwrap_or(demand.cpu);
        (cpu.0, memory.0, u64::from(guest.vcpus) * 1000)
    });
    let fits = |need: &(u64, u64, u64)| {
        let need = [need.0, need.1, need.2].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        let has = |room: &vmpack_ilp::problem::Amounts| need.iter().zip(room).all(|(n, r)| n <= r);
        rooms.iter().any(has)
    };
    needs.filter(|need| !fits(need)).collect()
}

/// Whole cores and GiB of a host like that one on which such a guest fits.
fn size(host: &Host, policy: &Policy, need: &(u64, u64, u64)) -> Option<(MilliCores, MiB)> {
    let gross = |net: u64, headroom: Permille, reserve: u64| {
        let free = 1000u64.checked_sub(headroom.0).filter(|f| *f > 0)?;
        net.checked_mul(1000)?
            .div_ceil(free)
            .checked_add(reserve)
            .filter(|g| *g < 1 << 40)
    };
    let fast = gross(need.0, policy.headroom.cpu, host.reserve.cpu.0)?;
    let per = |amount: u64, rate: Ratio| (rate.0 > 0).then(|| amount.div_ceil(rate.0));
    let for_demand = per(fast * 1000, host.speed)?;
    let for_promise = per(need.2.checked_mul(1000)?, policy.over_commit.cpu)?;
    let cores = for_demand.max(for_promise).div_ceil(1000);
    let memory = gross(need.1, policy.headroom.memory, host.reserve.memory.0)?;
    Some((MilliCores::cores(cores), MiB(memory.div_ceil(1024) * 1024)))
}

impl Change {
    /// Makes the change.
    pub(crate) fn make(&self, cluster: &mut Cluster, policy: &mut Policy) {
        match self {
            Self::Hosts {
                like,
                count,
                cpu,
                memory,
            } => {
                let Some(like) = cluster.host(like).cloned() else {
                    return;
                };
                let taken: BTreeSet<HostName> =
                    cluster.hosts.iter().map(|h| h.name.clone()).collect();
                let names = (1u64..)
                    .filter_map(|i| format!("more-{i}").parse::<HostName>().ok())
                    .filter(|name| !taken.contains(name));
                let names: Vec<_> = names.take(*count as usize).collect();
                cluster.hosts.extend(names.into_iter().map(|name| Host {
                    name,
                    cpu: *cpu,
                    memory: *memory,
                    state: HostState::On,
                    never_sleep: false,
                    ..like.clone()
                }));
            }
            Self::Drop { rules } => policy.rules.retain(|r| !rules.contains(&r.name)),
            Self::CpuHeadroom { to, .. } => policy.headroom.cpu = *to,
            Self::MemoryHeadroom { to, .. } => policy.headroom.memory = *to,
            Self::OverCommit { to, .. } => policy.over_commit.cpu = *to,
            Self::Rule { rule: None, to, .. } => policy.limits.moves = Some(*to),
            Self::Rule {
                rule: Some(name),
                to,
                ..
            } => {
                for rule in policy.rules.iter_mut().filter(|r| r.name == *name) {
                    match &mut rule.kind {
                        RuleKind::MaxMoves { moves: n, .. } | RuleKind::Spare { hosts: n } => {
                            *n = *to;
                        }
                        _ => {}
                    }
                }
            }
            Self::Keep { host } => {
                let named = cluster.hosts.iter_mut().filter(|h| h.name == *host);
                named.for_each(|h| h.state = HostState::On);
            }
            Self::Move { guest } => {
                let named = cluster.guests.iter_mut().filter(|g| g.name == *guest);
                named.for_each(|g| g.movable = true);
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts {
                like,
                count,
                cpu,
                memory,
            } => match count {
                1 => write!(f, "one more host like {like} ({cpu}, {memory})"),
                n => write!(f, "{n} more hosts like {like} ({cpu}, {memory})"),
            },
            Self::Drop { rules } => match rules.as_slice() {
                [one] => write!(f, "drop rule {one}"),
                many => write!(
                    f,
                    "drop {} together: {}",
                    count(many.len(), "rule"),
                    many.join(", ")
                ),
            },
            Self::CpuHeadroom { from, to } => write!(f, "headroom of cpu {from} → {to}"),
            Self::MemoryHeadroom { from, to } => write!(f, "headroom of memory {from} → {to}"),
            Self::OverCommit { from, to } => write!(f, "over-commit {from} → {to}"),
            Self::Rule {
                rule: None,
                from,
                to,
            } => write!(f, "`limits.moves` {from} → {to}"),
            Self::Rule {
                rule: Some(rule),
                from,
                to,
            } => {
                let what = if to > from { "moves" } else { "room" };
                write!(f, "rule {rule}: {what} {from} → {to}")
            }
            Self::Keep { host } => write!(f, "keep {host} in use instead of draining it"),
            Self::Move { guest } => write!(f, "let {guest} move"),
        }
    }
}
