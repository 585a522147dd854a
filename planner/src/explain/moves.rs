//! The reason of each move.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use vmpack_domain::rule::{Names, RuleKind};
use vmpack_domain::{Cluster, GuestName, Host, HostName, HostState, Policy, Rule};
use vmpack_ilp::problem::{Amounts, GroupKind, GroupRule, HostSlot, Problem};

use crate::schedule::Hop;
use crate::schedule::reach::Route;

/// What the reasons of moves are read from, by index.
pub(crate) struct Motives<'a> {
    cluster: &'a Cluster,
    problem: &'a Problem,
    /// As the cluster has them.
    hosts: Vec<Option<&'a Host>>,
    /// The way of each guest that is parked to where it is.
    parked: BTreeMap<usize, &'a Hop>,
    /// Guests that move for level hosts only, ascending.
    levelled: &'a [usize],
    /// Hosts in use afterwards.
    awake: Vec<bool>,
    /// Hosts with more on them in the snapshot than they have room for.
    overloaded: Vec<bool>,
    /// The rules about where a single guest may be, of each guest.
    unary: Vec<Vec<Unary<'a>>>,
    /// The rules over several guests, of each guest.
    groups: Vec<Vec<&'a GroupRule>>,
}

/// A fence or a ban.
#[derive(Clone)]
struct Unary<'a> {
    name: &'a str,
    hosts: Rc<BTreeSet<&'a HostName>>,
    /// Whether the hosts are the ones to be on.
    inside: bool,
}

impl<'a> Motives<'a> {
    /// The motives of a route's migrations.
    pub(crate) fn new(
        cluster: &'a Cluster,
        policy: &'a Policy,
        problem: &'a Problem,
        route: &'a Route,
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
        let mut awake = vec![false; problem.hosts.len()];
        route.awake.iter().for_each(|h| awake[*h] = true);
        let known: BTreeMap<_, _> = cluster.hosts.iter().map(|h| (&h.name, h)).collect();
        let parked = route.hops.iter().filter(|hop| hop.parks);
        Self {
            cluster,
            problem,
            hosts: problem
                .hosts
                .iter()
                .map(|h| known.get(&h.name).copied())
                .collect(),
            parked: parked.map(|hop| (hop.guest, hop)).collect(),
            levelled: &route.levelled,
            awake,
            overloaded: problem.hosts.iter().zip(&load).map(above).collect(),
            unary: unary(cluster, policy),
            groups: groups(problem),
        }
    }
    /// Why a guest makes this migration.
    pub(crate) fn of(&self, hop: &Hop) -> String {
        let name = |h: usize| self.problem.hosts[h].name.as_str();
        if hop.parks {
            return format!("parked on {} to make room", name(hop.to));
        }
        let from = match self.parked.get(&hop.guest) {
            Some(first) => return format!("goes on from {}, where it was parked", name(first.to)),
            None => hop.from,
        };
        if self.levelled.binary_search(&hop.guest).is_ok() {
            return format!("levels {} and {}", name(from), name(hop.to));
        }
        if self.hosts[from].is_some_and(|h| h.state == HostState::Drain) {
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
        let at = self.hosts[host]?;
        if !who.runs_on(at) {
            return Some(format!("{} lacks what it requires", at.name));
        }
        let breaks = |rule: &&Unary| rule.hosts.contains(&at.name) != rule.inside;
        let rule = self.unary[guest].iter().find(breaks)?;
        Some(format!("rule {}", rule.name))
    }
    /// A rule over several guests that the snapshot breaks, this guest among them.
    fn broken(&self, guest: usize) -> Option<&str> {
        let at = |g: &usize| self.problem.guests[*g].current;
        let own = at(&guest)?;
        let breaks = |rule: &&&GroupRule| match &rule.kind {
            GroupKind::Spread { guests, place } => guests
                .iter()
                .any(|o| *o != guest && at(o).is_some_and(|h| place[h] == place[own])),
            GroupKind::Gather { guests, place } => guests
                .iter()
                .any(|o| at(o).is_some_and(|h| place[h] != place[own])),
            GroupKind::Spare { .. } | GroupKind::MaxMoves { .. } => false,
        };
        let broken = self.groups[guest].iter().find(breaks)?;
        Some(broken.name.as_str())
    }
}

/// The fences and bans of each guest, in the policy's order.
fn unary<'a>(cluster: &'a Cluster, policy: &'a Policy) -> Vec<Vec<Unary<'a>>> {
    let names = Names::of(cluster);
    let numbers = cluster.guests.iter().map(|g| &g.name).zip(0usize..);
    let number: BTreeMap<_, _> = numbers.collect();
    let mut of = vec![Vec::new(); cluster.guests.len()];
    for rule in &policy.rules {
        let Some((rule, guests)) = single(rule, &names) else {
            continue;
        };
        for guest in guests {
            if let Some(g) = number.get(guest) {
                of[*g].push(rule.clone());
            }
        }
    }
    of
}

/// A rule as a fence or a ban, if it is one, and its guests.
fn single<'a>(rule: &'a Rule, names: &Names<'a>) -> Option<(Unary<'a>, Vec<&'a GuestName>)> {
    let inside = match rule.kind {
        RuleKind::Fence { .. } => true,
        RuleKind::Ban { .. } => false,
        _ => return None,
    };
    let guests = names.guests(rule.kind.guests()).ok()?;
    let hosts = names.hosts(rule.kind.hosts()).ok()?;
    let unary = Unary {
        name: &rule.name,
        hosts: Rc::new(hosts.into_iter().collect()),
        inside,
    };
    Some((unary, guests.into_iter().collect()))
}

/// The rules that keep guests apart or together, of each guest, in the problem's order.
fn groups(problem: &Problem) -> Vec<Vec<&GroupRule>> {
    let mut of = vec![Vec::new(); problem.guests.len()];
    for rule in &problem.rules {
        if let GroupKind::Spread { guests, .. } | GroupKind::Gather { guests, .. } = &rule.kind {
            guests.iter().for_each(|g| of[*g].push(rule));
        }
    }
    of
}
