//! The reason of each move.

use vmpack_domain::rule::{RuleKind, guests_named, hosts_named};
use vmpack_domain::{Cluster, HostState, Policy};
use vmpack_ilp::problem::{GroupKind, GroupRule, Problem, RESOURCES};

use crate::schedule::Hop;

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
