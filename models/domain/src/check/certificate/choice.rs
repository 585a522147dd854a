//! Where each guest can be, as the judge sees it: hosts that take guests, `requires`, fence, ban,
//! pin, what may not be moved, room for the guest with all that are gathered with it, and the branches of
//! a case.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Violation, World, in_use_always, resting, running_on, violation};
use crate::certificate::Given;
use crate::cluster::{Guest, Host, HostState};
use crate::name::{GuestName, HostName};
use crate::rule::{Names, Over, RuleKind};

/// Guests and hosts by index, in the cluster's order.
pub(super) struct Choices<'a> {
    pub(super) hosts: &'a [Host],
    pub(super) host_index: BTreeMap<&'a HostName, usize>,
    pub(super) guest_index: BTreeMap<&'a GuestName, usize>,
    /// What each host has.
    pub(super) rooms: Vec<Vec<u64>>,
    /// In thousandths.
    pub(super) cost: Vec<u64>,
    /// In use whatever happens: it never sleeps, is the only one for some guest, or is given to be.
    pub(super) forced: Vec<bool>,
    /// Not in use, by what is given.
    idle: Vec<bool>,
    /// How many of some hosts are in use, by what is given.
    caps: Vec<Cap>,
    /// Distinct sets of hosts that guests may be on, ascending.
    pub(super) sets: Vec<Vec<usize>>,
    /// What each guest takes.
    pub(super) needs: Vec<Vec<u64>>,
    /// Each guest's set.
    pub(super) set: Vec<usize>,
    /// The spread rules over each guest, and the branches that keep it apart.
    apart: Vec<Vec<usize>>,
    /// Guests with the same one are gathered on one host, by a rule or a branch.
    together: Vec<usize>,
}

/// One guest, or several that are always on one host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Unit {
    pub(super) need: Vec<u64>,
    /// The spread rules and branches over any of them, ascending.
    pub(super) apart: Vec<usize>,
    /// Where they can be.
    pub(super) set: usize,
}

/// Of these hosts, at least and at most so many are in use.
struct Cap {
    least: usize,
    most: usize,
    hosts: BTreeSet<usize>,
}

/// All that decides where a guest can be, but for its size.
type Ties<'a> = (&'a BTreeMap<String, Vec<String>>, Vec<usize>, Option<usize>);

/// Whether no two hosts that are there share a place, so that guests in one place share a host.
fn is_each_its_own(hosts: &[Host], over: &Over) -> bool {
    let there = hosts.iter().filter(|h| h.state != HostState::Out);
    let mut places = BTreeSet::new();
    there
        .map(|h| over.place(h))
        .all(|place| places.insert(place))
}

impl<'a> Choices<'a> {
    /// In the placements in which so much is given.
    ///
    /// # Errors
    /// The rule, or what is given, that names what is not in the cluster.
    pub(super) fn of(world: &World<'a>, given: &[Given]) -> Result<Self, Violation> {
        let cluster = world.cluster;
        let hosts = cluster.hosts.as_slice();
        let host_index: BTreeMap<_, _> = hosts.iter().map(|h| &h.name).zip(0..).collect();
        let guest_index: BTreeMap<_, _> = cluster.guests.iter().map(|g| &g.name).zip(0..).collect();
        let names = Names::of(cluster);
        let n = cluster.guests.len();
        let mut together: Vec<usize> = (0..n).collect();
        let mut apart: Vec<Vec<usize>> = vec![Vec::new(); n];
        let mut fences: Vec<Vec<usize>> = vec![Vec::new(); n];
        let resting = resting::of(world);
        let stay = |g: &Guest| !g.movable || resting.contains(&g.name);
        let mut stays: Vec<bool> = cluster.guests.iter().map(stay).collect();
        // For each rule, the hosts that it leaves to its guests.
        let mut leaves: Vec<BTreeSet<&HostName>> = Vec::new();
        for (r, rule) in world.policy.rules.iter().enumerate() {
            let unknown = |name: String| {
                violation(
                    format!("rule {}", rule.name),
                    format!("`{name}` is not in the cluster"),
                )
            };
            let guests: Vec<usize> = names
                .guests(rule.kind.guests())
                .map_err(unknown)?
                .into_iter()
                .filter_map(|g| guest_index.get(g).copied())
                .collect();
            let named: BTreeSet<&HostName> = names
                .hosts(rule.kind.hosts())
                .map_err(unknown)?
                .into_iter()
                .collect();
            let mut left = BTreeSet::new();
            match &rule.kind {
                RuleKind::Spread { .. } => guests.iter().for_each(|g| apart[*g].push(r)),
                RuleKind::Gather { over, .. } if is_each_its_own(hosts, over) => {
                    for pair in guests.windows(2) {
                        let (a, b) = (root(&together, pair[0]), root(&together, pair[1]));
                        together[a.max(b)] = a.min(b);
                    }
                }
                RuleKind::Fence { .. } => {
                    guests.iter().for_each(|g| fences[*g].push(r));
                    left = named;
                }
                RuleKind::Ban { .. } => {
                    guests.iter().for_each(|g| fences[*g].push(r));
                    let all = hosts.iter().map(|h| &h.name);
                    left = all.filter(|h| !named.contains(h)).collect();
                }
                RuleKind::Pin { .. } => guests.iter().for_each(|g| stays[*g] = true),
                RuleKind::Gather { .. } | RuleKind::Spare { .. } | RuleKind::MaxMoves { .. } => {}
            }
            leaves.push(left);
        }
        let mut forced: Vec<bool> = hosts.iter().map(in_use_always).collect();
        let mut idle = vec![false; hosts.len()];
        let mut caps = Vec::new();
        for (number, side) in given.iter().enumerate() {
            let unknown = |name: &str| {
                let detail = format!("`{name}` of a branch is not in the cluster");
                violation("tree", detail)
            };
            let guest = |g: &GuestName| guest_index.get(g).copied();
            let guest = |g: &GuestName| guest(g).ok_or_else(|| unknown(g.as_str()));
            let host = |h: &HostName| host_index.get(h).copied();
            let host = |h: &HostName| host(h).ok_or_else(|| unknown(h.as_str()));
            let all =
                |hosts: &[HostName]| hosts.iter().map(host).collect::<Result<BTreeSet<_>, _>>();
            match side {
                Given::Apart { guests: [a, b] } => {
                    let set = world.policy.rules.len() + number;
                    apart[guest(a)?].push(set);
                    apart[guest(b)?].push(set);
                }
                Given::Together { guests: [a, b] } => {
                    let (a, b) = (root(&together, guest(a)?), root(&together, guest(b)?));
                    together[a.max(b)] = a.min(b);
                }
                Given::AtMost { number, hosts } => {
                    let hosts = all(hosts)?;
                    let most = usize::try_from(*number).unwrap_or(usize::MAX);
                    hosts.iter().for_each(|h| idle[*h] |= most == 0);
                    caps.push(Cap {
                        least: 0,
                        most,
                        hosts,
                    });
                }
                Given::AtLeast { number, hosts } => {
                    let hosts = all(hosts)?;
                    let least = usize::try_from(*number).unwrap_or(usize::MAX);
                    let every = least >= hosts.len();
                    hosts.iter().for_each(|h| forced[*h] |= every);
                    caps.push(Cap {
                        least,
                        most: hosts.len(),
                        hosts,
                    });
                }
            }
        }
        let together: Vec<usize> = (0..n).map(|g| root(&together, g)).collect();
        let mut choices = Self {
            hosts,
            rooms: hosts.iter().map(|h| world.rooms(h)).collect(),
            cost: hosts
                .iter()
                .map(|h| world.policy.costs.of(&h.name).0)
                .collect(),
            forced,
            idle,
            caps,
            sets: Vec::new(),
            needs: cluster
                .guests
                .iter()
                .map(|g| world.needs(&g.name).unwrap_or_default())
                .collect(),
            set: vec![0; n],
            apart,
            together,
            host_index,
            guest_index,
        };
        let ties: Vec<Ties> = cluster
            .guests
            .iter()
            .enumerate()
            .map(|(g, guest)| {
                let here = running_on(world, guest).filter(|_| stays[g]);
                let here = here.and_then(|h| choices.host_index.get(h)).copied();
                (&guest.requires, std::mem::take(&mut fences[g]), here)
            })
            .collect();
        choices.place(world, &ties, &leaves);
        Ok(choices)
    }

    /// Finds the set of hosts of each bundle of gathered guests, and the hosts that are the only one
    /// for a bundle.
    fn place(&mut self, world: &World<'a>, ties: &[Ties<'a>], leaves: &[BTreeSet<&HostName>]) {
        let mut bundles: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (g, first) in self.together.iter().enumerate() {
            bundles.entry(*first).or_default().push(g);
        }
        let kinds: BTreeMap<&Vec<u64>, usize> = self.rooms.iter().zip(0..).collect();
        let kind: Vec<usize> = self.rooms.iter().map(|r| kinds[r]).collect();
        let open: Vec<bool> = (0..self.hosts.len())
            .map(|h| self.takes_guests(h))
            .collect();
        let mut known = BTreeMap::new();
        for guests in bundles.values() {
            let need = self.sum(guests);
            let roomy: BTreeSet<usize> = kinds
                .iter()
                .filter(|(room, _)| need.iter().zip(**room).all(|(n, r)| n <= r))
                .map(|(_, kind)| *kind)
                .collect();
            let bound: BTreeSet<&Ties> = guests.iter().map(|g| &ties[*g]).collect();
            let may = |h: &usize| {
                let host = &world.cluster.hosts[*h];
                open[*h]
                    && roomy.contains(&kind[*h])
                    && bound.iter().all(|(_, rules, here)| {
                        here.is_none_or(|here| here == *h)
                            && rules.iter().all(|r| leaves[*r].contains(&host.name))
                    })
                    && guests
                        .iter()
                        .all(|g| world.cluster.guests[*g].runs_on(host))
            };
            let set = *known
                .entry((bound.clone(), roomy.clone()))
                .or_insert_with(|| {
                    self.sets.push((0..self.hosts.len()).filter(may).collect());
                    self.sets.len() - 1
                });
            if let [only] = self.sets[set].as_slice() {
                self.forced[*only] = true;
            }
            for g in guests {
                self.set[*g] = set;
            }
        }
    }

    /// Which branches count this host. Of hosts that the same ones count, [`Self::in_use`] leaves nothing out.
    pub(super) fn counting(&self, host: usize) -> Vec<usize> {
        let caps = self.caps.iter().enumerate();
        let of = caps.filter(|(_, cap)| cap.hosts.contains(&host));
        of.map(|(number, _)| number).collect()
    }

    /// How many of these hosts are in use, at least and at most, whatever the others are.
    pub(super) fn in_use(&self, hosts: &[usize]) -> (u64, u64) {
        let (mut least, mut most) = (0, hosts.len());
        for cap in &self.caps {
            let inside = hosts.iter().filter(|h| cap.hosts.contains(h)).count();
            least = least.max(cap.least.saturating_sub(cap.hosts.len() - inside));
            most = most.min(cap.most.saturating_add(hosts.len() - inside));
        }
        (least.min(most) as u64, most as u64)
    }

    /// Whether the host may carry any guest.
    pub(super) fn takes_guests(&self, host: usize) -> bool {
        self.hosts[host].state.takes_guests() && !self.idle[host]
    }

    fn sum(&self, guests: &[usize]) -> Vec<u64> {
        let resources = guests.first().map_or(0, |g| self.needs[*g].len());
        let all = |r: usize| {
            guests
                .iter()
                .fold(0u64, |s, g| s.saturating_add(self.needs[*g][r]))
        };
        (0..resources).map(all).collect()
    }

    /// Guests that are weighed as one.
    ///
    /// # Errors
    /// Why they cannot be; nothing where a name is unknown, which is told elsewhere.
    pub(super) fn unit(&self, names: &[&GuestName]) -> Result<Unit, Option<String>> {
        let mut guests: Vec<usize> = names
            .iter()
            .map(|g| self.guest_index.get(*g).copied().ok_or(None))
            .collect::<Result<_, _>>()?;
        guests.sort_unstable();
        guests.dedup();
        let Some(first) = guests.first().copied() else {
            return Err(Some("a group has no guests".into()));
        };
        if guests
            .iter()
            .any(|g| self.together[*g] != self.together[first])
        {
            return Err(Some(format!(
                "guests {} are weighed as one, and neither a gather rule over hosts nor a branch keeps them together",
                names
                    .iter()
                    .map(|g| g.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )));
        }
        let apart: BTreeSet<usize> = guests
            .iter()
            .flat_map(|g| &self.apart[*g])
            .copied()
            .collect();
        Ok(Unit {
            need: self.sum(&guests),
            apart: apart.into_iter().collect(),
            set: self.set[first],
        })
    }
}

/// The first of those that are gathered with it.
pub(in crate::check) fn root(of: &[usize], mut g: usize) -> usize {
    while of[g] != g {
        g = of[g];
    }
    g
}
