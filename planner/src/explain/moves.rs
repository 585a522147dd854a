//! The reason of each move.

use std::collections::BTreeSet;

use vmpack_domain::rule::{Names, RuleKind};
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Policy, Rule};
use vmpack_ilp::problem::{Amounts, GroupKind, GroupRule, HostSlot, Problem};

use crate::schedule::Hop;

/// What the reasons of moves are read from, by index.
pub(crate) struct Motives<'a> {
    cluster: &'a Cluster,
    problem: &'a Problem,
    /// Hosts in use afterwards.
    awake: Vec<bool>,
    /// Hosts with more on them in the snapshot than they have room for.
    overloaded: Vec<bool>,
    /// Rules about where single guests may be.
    unary: Vec<Unary<'a>>,
}

/// A fence or a ban.
struct Unary<'a> {
    name: &'a str,
    guests: BTreeSet<&'a GuestName>,
    hosts: BTreeSet<&'a HostName>,
    /// Whether the hosts are the ones to be on.
    inside: bool,
}

impl<'a> Motives<'a> {
    /// The motives of moves that leave those hosts awake.
    pub(crate) fn new(
        cluster: &'a Cluster,
        policy: &'a Policy,
        problem: &'a Problem,
        awake: &[usize],
    ) -> Self {
        let mut load = vec![problem.nothing(); problem.hosts.len()];
        for guest in &problem.guests {
            if let Some(h) = guest.current {
                for (l, n) in load[h].iter_mut().zip(&guest.need) {
                    *l += n;
                }
            }
        }
        let above = |(host, load): (&HostSlot, &Amounts)| !problem.fits(load, &host.room);
        let names = Names::of(cluster);
        Self {
            cluster,
            problem,
            awake: (0..problem.hosts.len())
                .map(|h| awake.contains(&h))
                .collect(),
            overloaded: problem.hosts.iter().zip(&load).map(above).collect(),
            unary: policy
                .rules
                .iter()
                .filter_map(|r| unary(r, &names))
                .collect(),
        }
    }
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
        if self.overloaded[from] {
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
        let breaks = |rule: &&Unary| {
            rule.guests.contains(&who.name) && rule.hosts.contains(&at.name) != rule.inside
        };
        let rule = self.unary.iter().find(breaks)?;
        Some(format!("rule {}", rule.name))
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

/// A rule as a fence or a ban, if it is one.
fn unary<'a>(rule: &'a Rule, names: &Names<'a>) -> Option<Unary<'a>> {
    let inside = match rule.kind {
        RuleKind::Fence { .. } => true,
        RuleKind::Ban { .. } => false,
        _ => return None,
    };
    Some(Unary {
        name: &rule.name,
        guests: names.guests(rule.kind.guests()).ok()?.into_iter().collect(),
        hosts: names.hosts(rule.kind.hosts()).ok()?.into_iter().collect(),
        inside,
    })
}
