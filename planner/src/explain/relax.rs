//! The cheapest ways out of an input that has no placement: single changes of the cluster or of the
//! policy under which there is one, or several where no single one will do. Each is tried: a placement is sought for the changed input and
//! judged by the checker; one that is not found within the limits is not offered.
//!
//! They are ordered by the share of the cluster that they change: of its hosts (one more, one kept in
//! use), of every host's room (headroom, over-commit), of its guests (a rule dropped counts the guests
//! that it names).

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vmpack_domain::demand::{demands, joint};
use vmpack_domain::rule::{RuleKind, guests_named};
use vmpack_domain::units::{MiB, MilliCores, Permille, Ratio};
use vmpack_domain::{Cluster, Host, HostName, HostState, Load, Policy, check};
use vmpack_ilp::problem::room;

pub use super::change::Change;
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

/// Inputs are tried so often.
const TRIES: usize = 300;
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
        Change::make_all(changes, &mut cluster, &mut policy);
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
            Change::Several { changes } => changes.iter().map(|c| self.parts(c)).sum(),
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

/// Each rule, draining host or guest that may not move alone, but those of which a number will do. Where all
/// of some changes together make no room none of them does, so halves are tried before single ones
/// (group testing; Dorfman, Annals of Mathematical Statistics 14, 1943).
fn one_by_one(tries: &mut Tries, numbers: &[Change]) -> Vec<Change> {
    let by_number = |name: &String| {
        let of = |c: &Change| matches!(c, Change::Rule { rule: Some(rule), .. } if rule == name);
        numbers.iter().any(of)
    };
    let (cluster, _, policy) = tries.input;
    let mut all = Change::soft(cluster, policy);
    all.retain(|c| !matches!(c, Change::Drop { rules } if rules.iter().any(by_number)));
    all.sort_by_key(|change| tries.parts(change));
    let mut found = Vec::new();
    let mut open = vec![&all[..]];
    while let Some(some) = open.pop() {
        if some.is_empty() || !tries.holds(some) {
            continue;
        }
        match some {
            [one] => found.push(one.clone()),
            many => {
                let (lighter, heavier) = many.split_at(many.len() / 2);
                open.extend([heavier, lighter]);
            }
        }
    }
    found
}

/// Changes that must go together: all are made, and those taken back that need not be, the weightiest
/// first; nothing of what is left can be taken back.
fn together(tries: &mut Tries) -> Option<Change> {
    let (cluster, _, policy) = tries.input;
    let mut all = Change::soft(cluster, policy);
    all.extend(Change::all_moves(cluster, policy));
    all.sort_by_key(|change| tries.parts(change));
    if !tries.holds(&all) {
        return None;
    }
    let mut needed = least_set(all, |some| tries.holds(some));
    // No more moves than are needed beside the others.
    let limit = |c: &Change| matches!(c, Change::Rule { rule: None, .. });
    if let Some(at) = needed.iter().position(limit)
        && let Change::Rule { rule, from, to } = needed.remove(at)
    {
        let with = |n: u32| {
            let more = Change::Rule {
                rule: rule.clone(),
                from,
                to: from + n,
            };
            several(needed.iter().cloned().chain([more]).collect())
        };
        return tries.least(to - from, with);
    }
    Some(several(needed))
}

/// Changes as one.
fn several(mut changes: Vec<Change>) -> Change {
    let named = |c: &Change| match c {
        Change::Drop { rules } => Some(rules.clone()),
        _ => None,
    };
    let rules: Option<Vec<Vec<String>>> = changes.iter().map(named).collect();
    match rules {
        Some(rules) => Change::Drop {
            rules: rules.concat(),
        },
        None if changes.len() == 1 => changes.remove(0),
        None => Change::Several { changes },
    }
}

/// A least subset of a list that still `holds` as the whole does, for what holds of a set and so of
/// each that contains it: the last are left out first, in halves, quarters and so on to single ones (delta
/// debugging; Zeller and Hildebrandt, IEEE Transactions on Software Engineering 28, 2002).
pub(super) fn least_set<T: Clone>(mut all: Vec<T>, mut holds: impl FnMut(&[T]) -> bool) -> Vec<T> {
    let mut size = all.len().div_ceil(2);
    while size > 0 {
        let mut end = all.len();
        while end > 0 {
            let begin = end.saturating_sub(size);
            let fewer = [&all[..begin], &all[end..]].concat();
            if holds(&fewer) {
                all = fewer;
            }
            end = begin;
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
    all
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
        let most = joint.as_ref().and_then(|j| {
            let mut wants = j.of[g].clone();
            wants.sort_unstable();
            wants
                .len()
                .checked_sub(policy.demand.exempt(wants.len()) + 1)
                .map(|last| wants[last])
        });
        let memory = guest.memory + policy.overhead.memory;
        let cpu = most.unwrap_or(demand.cpu);
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
