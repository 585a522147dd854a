//! Why: the reason of each move, and why there is no plan, in words.

use vmpack_domain::rule::{RuleKind, guests_named, hosts_named};
use vmpack_domain::units::Ratio;
use vmpack_domain::{Cluster, HostState, Policy};
use vmpack_ilp::bound::Bound;
use vmpack_ilp::problem::{GroupKind, GroupRule, Problem, RESOURCE_NAMES, RESOURCES};

use crate::instance::Instance;
use crate::pack::Packed;
use crate::schedule::Hop;

/// Names, at most three of them.
fn few<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let count = names.clone().count();
    let list: Vec<&str> = names.take(3).collect();
    if count > list.len() {
        format!("{} and {} more", list.join(", "), count - list.len())
    } else {
        list.join(", ")
    }
}

fn names<'a>(problem: &'a Problem, guests: &'a [usize]) -> impl Iterator<Item = &'a str> + Clone {
    guests.iter().map(|g| problem.guests[*g].name.as_str())
}

/// The gather rules that bind some of these guests, by name.
fn gathers<'a>(problem: &'a Problem, guests: &[usize]) -> Vec<&'a str> {
    let binds = |rule: &&GroupRule| matches!(&rule.kind, GroupKind::Gather { guests: g, .. } if g.iter().any(|x| guests.contains(x)));
    problem
        .rules
        .iter()
        .filter(binds)
        .map(|r| r.name.as_str())
        .collect()
}

/// No host may or can take guests that must be together.
pub(crate) fn bundle_without_host(problem: &Problem, guests: &[usize]) -> String {
    let rules = gathers(problem, guests).join(" and ");
    let common = |h: &usize| {
        guests
            .iter()
            .all(|g| problem.guests[*g].allowed.contains(h))
    };
    let hosts: Vec<usize> = (0..problem.hosts.len()).filter(common).collect();
    let who = few(names(problem, guests));
    if hosts.is_empty() {
        return format!("rule {rules} puts {who} on one host, and no host may take them all");
    }
    let lacks = (0..RESOURCES).filter_map(|r| {
        let need: i64 = guests.iter().map(|g| problem.guests[*g].need[r]).sum();
        let most = hosts.iter().map(|h| problem.hosts[*h].room[r]).max()?;
        (need > most).then(|| {
            format!(
                "their {} is {}, at most {} is offered",
                RESOURCE_NAMES[r],
                amount(r, need),
                amount(r, most)
            )
        })
    });
    let lacks: Vec<String> = lacks.collect();
    let lacks = if lacks.is_empty() {
        "none offers all that they need at once".to_owned()
    } else {
        lacks.join("; ")
    };
    format!("rule {rules} puts {who} on one host, and none has room for them: {lacks}")
}

/// An amount of a resource with its unit.
fn amount(resource: usize, value: i64) -> String {
    use vmpack_domain::units::{MiB, MilliCores};
    let value = u64::try_from(value).unwrap_or(0);
    match resource {
        0 => MilliCores(value).to_string(),
        1 => MiB(value).to_string(),
        _ => (value / 1000).to_string(),
    }
}

/// A spread rule over guests of whom others say that they share a host.
pub(crate) fn spread_in_a_bundle(problem: &Problem, rule: &GroupRule, root: &[usize]) -> String {
    let GroupKind::Spread { guests, .. } = &rule.kind else {
        return String::new();
    };
    let same = |g: &&usize| guests.iter().any(|o| o != *g && root[*o] == root[**g]);
    let bound: Vec<usize> = guests.iter().filter(same).copied().collect();
    format!(
        "rule {} keeps {} apart, and rule {} puts them on one host",
        rule.name,
        few(names(problem, &bound)),
        gathers(problem, &bound).join(" and ")
    )
}

/// Why no placement can exist, as far as counting tells: volume, and more guests apart than places.
pub(crate) fn by_counting(problem: &Problem) -> Vec<String> {
    let mut reasons = Vec::new();
    for r in 0..RESOURCES {
        let need: i64 = problem.guests.iter().map(|g| g.need[r]).sum();
        let room: i64 = problem
            .hosts
            .iter()
            .filter(|h| h.open)
            .map(|h| h.room[r])
            .sum();
        let spare = problem.rules.iter().filter_map(|rule| match &rule.kind {
            GroupKind::Spare { amount } => Some((amount[r], rule.name.as_str())),
            _ => None,
        });
        let (kept, by) = spare.max().unwrap_or((0, ""));
        if need > room {
            reasons.push(format!(
                "all guests together take {} of {}, all hosts that may be used offer {}",
                amount(r, need),
                RESOURCE_NAMES[r],
                amount(r, room)
            ));
        } else if need + kept > room {
            reasons.push(format!(
                "rule {by} keeps {} of {} free; the guests take {} of the {} that all hosts offer",
                amount(r, kept),
                RESOURCE_NAMES[r],
                amount(r, need),
                amount(r, room)
            ));
        }
    }
    for rule in &problem.rules {
        if let GroupKind::Spread { guests, place } = &rule.kind {
            let mut places: Vec<usize> = guests
                .iter()
                .flat_map(|g| problem.guests[*g].allowed.iter().map(|h| place[*h]))
                .collect();
            places.sort_unstable();
            places.dedup();
            if places.len() < guests.len() {
                reasons.push(format!(
                    "rule {} keeps {} guests in different places, and they may be in {} places only",
                    rule.name,
                    guests.len(),
                    places.len()
                ));
            }
        }
    }
    reasons
}

/// What the reasons of moves are read from.
pub(crate) struct Motives<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) policy: &'a Policy,
    pub(crate) problem: &'a Problem,
    /// Hosts in use afterwards, by index.
    pub(crate) awake: Vec<bool>,
}

impl Motives<'_> {
    /// Why a guest makes this migration.
    pub(crate) fn of(&self, hop: &Hop, hops: &[Hop]) -> String {
        let name = |h: usize| self.problem.hosts[h].name.as_str();
        if hop.parks {
            return format!("parked on {} to make room", name(hop.to));
        }
        let parked = |h: &&Hop| h.guest == hop.guest && h.parks;
        let from = match hops.iter().find(parked) {
            Some(first) => return format!("goes on from {}, where it was parked", name(first.to)),
            None => hop.from,
        };
        let source = self.cluster.host(&self.problem.hosts[from].name);
        if source.is_some_and(|h| h.state == HostState::Drain) {
            return format!("{} is drained", name(from));
        }
        if let Some(why) = self.forbidden(hop.guest, from) {
            return why;
        }
        if self.overloaded(from) {
            return format!("{} was overloaded", name(from));
        }
        if let Some(rule) = self.broken(hop.guest) {
            return format!("rule {rule}");
        }
        if !self.awake[from] {
            return format!("{} is emptied", name(from));
        }
        format!("makes room on {}", name(from))
    }
    /// Which unary rule says that the guest may not be where it is.
    fn forbidden(&self, guest: usize, host: usize) -> Option<String> {
        let who = self.cluster.guests.get(guest)?;
        let at = self.cluster.host(&self.problem.hosts[host].name)?;
        if !who.runs_on(at) {
            return Some(format!("{} lacks what it requires", at.name));
        }
        let breaks = |rule: &&vmpack_domain::Rule| {
            let here = |hosts: &[String]| {
                hosts_named(hosts, self.cluster).is_ok_and(|h| h.contains(&&at.name))
            };
            match &rule.kind {
                RuleKind::Fence { guests, hosts } => self.names(guests, guest) && !here(hosts),
                RuleKind::Ban { guests, hosts } => self.names(guests, guest) && here(hosts),
                _ => false,
            }
        };
        let rule = self.policy.rules.iter().find(breaks)?;
        Some(format!("rule {}", rule.name))
    }
    fn names(&self, patterns: &[String], guest: usize) -> bool {
        let name = &self.problem.guests[guest].name;
        guests_named(patterns, self.cluster).is_ok_and(|g| g.contains(&name))
    }
    fn overloaded(&self, host: usize) -> bool {
        let here = self
            .problem
            .guests
            .iter()
            .filter(|g| g.current == Some(host));
        let mut load = [0; RESOURCES];
        for guest in here {
            for (l, n) in load.iter_mut().zip(guest.need) {
                *l += n;
            }
        }
        load.iter()
            .zip(self.problem.hosts[host].room)
            .any(|(l, r)| *l > r)
    }
    /// A rule over several guests that the snapshot breaks, this guest among them.
    fn broken(&self, guest: usize) -> Option<&str> {
        let at = |g: &usize| self.problem.guests[*g].current;
        let own = at(&guest)?;
        let breaks = |rule: &&GroupRule| match &rule.kind {
            GroupKind::Spread { guests, place } => {
                guests.contains(&guest)
                    && guests
                        .iter()
                        .any(|o| *o != guest && at(o).is_some_and(|h| place[h] == place[own]))
            }
            GroupKind::Gather { guests, place } => {
                guests.contains(&guest)
                    && guests
                        .iter()
                        .any(|o| at(o).is_some_and(|h| place[h] != place[own]))
            }
            GroupKind::Spare { .. } | GroupKind::MaxMoves { .. } => false,
        };
        self.problem
            .rules
            .iter()
            .find(breaks)
            .map(|r| r.name.as_str())
    }
}

/// What the reader of a plan should know.
pub(crate) fn plan(inst: &Instance, packed: &Packed, bound: &Bound) -> Vec<String> {
    let mut reasons = inst.problem.warnings.clone();
    let plain = |cost: i64| Ratio(u64::try_from(cost).unwrap_or(0));
    if packed.cost <= bound.cost {
        reasons.push(format!("fewer hosts are impossible: {}", bound.origin));
    } else {
        reasons.push(format!(
            "a cost of hosts between {} and {} is not ruled out; the bound is by {}",
            plain(bound.cost),
            plain(packed.cost),
            bound.origin
        ));
    }
    reasons
}
