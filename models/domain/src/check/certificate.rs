//! The second checker of a bound: proves a [`Certificate`] again from the inputs, in integers, with
//! the judge's arithmetic and a search of its own, no solver and no floating point.
//!
//! A part names guests with weights, and all hosts on which these guests can be. What it says is
//! that on each of its hosts the guests that may be there and fit together weigh at most `most`
//! (every resource; of guests that a spread rule keeps apart at most one; gathered guests whole).
//! Then in every placement the hosts in use reach Σ most ≥ Σ weights, and the least cost of such
//! hosts bounds the part (`certificate/proof.rs`). Parts share no host and no guest, so that their
//! bounds add up, with the hosts outside them that are in use whatever happens.
//!
//! Limits on moves, spare room and places of guests apart bound the hosts in use by themselves
//! (`certificate/ruled.rs`); the largest of what is proven holds. A tree of cases proves the least of
//! what is proven in each, by the same means (`certificate/tree.rs`). Other rules are left out, which can
//! only lower what is proven.

mod axis;
mod choice;
mod cover;
mod fill;
mod price;
mod proof;
mod ruled;
mod tree;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Violation, World, violation};
use crate::certificate::{Certificate, CertificatePart, CertifiedBound, base};
use crate::name::{GuestName, HostName};
use crate::units::Sum;
use crate::{Cluster, Load, Policy};

use choice::Choices;
pub(super) use choice::root;
pub use proof::{Least, Piece, Refusal, Room, prove};
pub(super) use tree::whole;

/// What is left of a certificate when it is proven again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What it proves, whatever it claims; nothing when it is refused, or when there is no
    /// placement at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proven: Option<CertifiedBound>,
    /// It proves that there is no placement, so that any bound holds.
    pub no_placement: bool,
    /// Why it is refused.
    pub violations: Vec<Violation>,
}

impl Verdict {
    /// Whether all that it claims is proven.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.violations.is_empty()
    }
}

/// Proves a certificate again with at most so many steps (see [`prove`]); what is not proven within
/// them is refused.
#[must_use]
pub fn certificate(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    certificate: &Certificate,
    mut steps: u64,
) -> Verdict {
    let world = World::new(cluster, load, policy);
    let mut verdict = Verdict {
        proven: None,
        no_placement: false,
        violations: Vec::new(),
    };
    let here = base(cluster, load, policy);
    if certificate.base != here {
        verdict.violations.push(violation(
            "base",
            format!(
                "the certificate speaks of other inputs ({}, here {here})",
                certificate.base
            ),
        ));
        return verdict;
    }
    let windows = world.joint.as_ref().map_or(0, |(j, _)| j.starts.len());
    if policy.demand.exempt(windows) > 0 {
        let detail = "a bound for hosts that may be overloaded in some windows is not proven again";
        verdict.violations.push(violation("bound", detail.into()));
        return verdict;
    }
    let choices = match Choices::of(&world, &[]) {
        Ok(choices) => choices,
        Err(unknown) => {
            verdict.violations.push(unknown);
            return verdict;
        }
    };
    let mut proven = ruled::least(&world, &choices);
    let number = certificate.number.iter().map(|n| &n.parts);
    for parts in std::iter::once(&certificate.parts).chain(number) {
        match weighed_parts(&choices, parts, &mut steps) {
            Ok(least) => proven = larger(proven, least),
            Err(found) => verdict.violations.extend(found),
        }
    }
    if let Some(tree) = &certificate.tree {
        match tree::least(&world, &tree.leaves, &mut steps) {
            Ok(least) => proven = larger(proven, least),
            Err(found) => verdict.violations.extend(found),
        }
    }
    if !verdict.ok() {
        return verdict;
    }
    let Some(proven) = proven.map(bound_of) else {
        verdict.no_placement = true;
        return verdict;
    };
    let claim = certificate.bound;
    for (what, claimed, proven) in [
        ("a cost of", claim.cost, proven.cost),
        (
            "a number of",
            Sum(u64::from(claim.hosts) * 1000),
            Sum(u64::from(proven.hosts) * 1000),
        ),
    ] {
        if claimed > proven {
            verdict.violations.push(violation(
                "bound",
                format!("{what} at least {claimed} is claimed, {proven} is proven"),
            ));
        }
    }
    verdict.proven = Some(proven);
    verdict
}

/// What limits on moves, spare room and places of guests apart prove without any weights; `None` where
/// they prove that there is no placement. Nothing where windows are exempt.
#[must_use]
pub fn by_rules(cluster: &Cluster, load: &Load, policy: &Policy) -> Option<CertifiedBound> {
    let world = World::new(cluster, load, policy);
    let windows = world.joint.as_ref().map_or(0, |(j, _)| j.starts.len());
    let choices = Choices::of(&world, &[]).ok();
    let choices = choices.filter(|_| policy.demand.exempt(windows) == 0);
    let least = choices.map_or(Some(Least::default()), |c| ruled::least(&world, &c));
    least.map(bound_of)
}

fn bound_of(least: Least) -> CertifiedBound {
    CertifiedBound {
        cost: Sum(u64::try_from(least.cost).unwrap_or(u64::MAX)),
        hosts: u32::try_from(least.hosts).unwrap_or(u32::MAX),
    }
}

/// Both hold; `None` is that there is no placement.
fn larger(a: Option<Least>, b: Option<Least>) -> Option<Least> {
    let (a, b) = (a?, b?);
    Some(Least {
        cost: a.cost.max(b.cost),
        hosts: a.hosts.max(b.hosts),
    })
}

/// What parts prove with the hosts outside them; `None` where one proves that there is no placement.
///
/// # Errors
/// All that is wrong with them.
fn weighed_parts(
    choices: &Choices,
    parts: &[CertificatePart],
    steps: &mut u64,
) -> Result<Option<Least>, Vec<Violation>> {
    let sorted = Sorted::of(choices, parts)?;
    let mut total = Some(sorted.outside(choices));
    let mut found = Vec::new();
    for (number, part) in sorted.parts.iter().enumerate() {
        match prove(&part.pieces, &part.rooms, steps) {
            Ok(least) => {
                total = total.zip(least).map(|(total, least)| Least {
                    cost: total.cost.saturating_add(least.cost),
                    hosts: total.hosts.saturating_add(least.hosts),
                });
            }
            Err(refusal) => {
                let detail = part.explain(&refusal, number, sorted.parts.len());
                found.push(violation("most", detail));
            }
        }
    }
    if found.is_empty() {
        Ok(total)
    } else {
        Err(found)
    }
}

/// A part as the proof takes it.
struct Proving<'a> {
    pieces: Vec<Piece>,
    rooms: Vec<Room>,
    /// The guests of each piece: one list for each of the like pieces.
    guests: Vec<Vec<Vec<&'a GuestName>>>,
    /// The hosts of each room.
    hosts: Vec<Vec<&'a HostName>>,
}

/// The parts of a certificate, found to be sound in names.
struct Sorted<'a> {
    parts: Vec<Proving<'a>>,
    /// Whether each host is in a part.
    parted: Vec<bool>,
}

impl<'a> Sorted<'a> {
    fn of(choices: &Choices<'a>, stated: &'a [CertificatePart]) -> Result<Self, Vec<Violation>> {
        let mut found = Vec::new();
        let mut parted = vec![false; choices.hosts.len()];
        let mut named: BTreeSet<&GuestName> = BTreeSet::new();
        let mut parts = Vec::new();
        for part in stated {
            let mut hosts: BTreeMap<usize, u64> = BTreeMap::new();
            for (most, host) in part
                .most
                .iter()
                .flat_map(|m| m.hosts.iter().map(|h| (m.most, h)))
            {
                match choices.host_index.get(host) {
                    None => found.push(format!("host {host} is not in the cluster")),
                    Some(h) if parted[*h] => found.push(format!("host {host} is named twice")),
                    Some(h) => {
                        parted[*h] = true;
                        hosts.insert(*h, most);
                    }
                }
            }
            let mut units = Vec::new();
            for (weight, guests) in weighed(part) {
                for guest in &guests {
                    if !choices.guest_index.contains_key(guest) {
                        found.push(format!("guest {guest} is not in the cluster"));
                    } else if !named.insert(guest) {
                        found.push(format!("guest {guest} is named twice"));
                    }
                }
                match choices.unit(&guests) {
                    Ok(unit) => {
                        let beyond = choices.sets[unit.set]
                            .iter()
                            .find(|h| weight > 0 && !hosts.contains_key(h));
                        found.extend(beyond.map(|h| {
                            format!(
                                "guest {} may be on {}, which is not among the hosts of its part",
                                guests[0], choices.hosts[*h].name
                            )
                        }));
                        units.push((weight, unit, guests));
                    }
                    Err(why) => found.extend(why),
                }
            }
            parts.push((hosts, units));
        }
        if !found.is_empty() {
            let fault = |detail| violation("certificate", detail);
            return Err(found.into_iter().map(fault).collect());
        }
        Ok(Self {
            parts: parts
                .into_iter()
                .map(|(hosts, units)| Proving::of(choices, &hosts, units))
                .collect(),
            parted,
        })
    }

    /// The hosts in use whatever happens that are in no part.
    fn outside(&self, choices: &Choices) -> Least {
        let mut least = Least::default();
        for (h, parted) in self.parted.iter().enumerate() {
            if choices.forced[h] && !parted {
                least.cost += u128::from(choices.cost[h]);
                least.hosts += 1;
            }
        }
        least
    }
}

/// Every guest or gathered group of a part that is named, with its weight.
fn weighed(part: &CertificatePart) -> impl Iterator<Item = (u64, Vec<&GuestName>)> {
    let singles = part
        .weights
        .iter()
        .flat_map(|w| w.guests.iter().map(|g| (w.weight, vec![g])));
    let groups = part
        .groups
        .iter()
        .map(|g| (g.weight, g.gathered.iter().collect()));
    singles.chain(groups)
}

impl<'a> Proving<'a> {
    fn of(
        choices: &Choices<'a>,
        hosts: &BTreeMap<usize, u64>,
        units: Vec<(u64, choice::Unit, Vec<&'a GuestName>)>,
    ) -> Self {
        let mut classes: BTreeMap<(u64, choice::Unit), Vec<Vec<&GuestName>>> = BTreeMap::new();
        for (weight, unit, guests) in units {
            if weight > 0 {
                classes.entry((weight, unit)).or_default().push(guests);
            }
        }
        let mut on: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let (mut pieces, mut guests) = (Vec::new(), Vec::new());
        for ((weight, unit), members) in classes {
            for h in &choices.sets[unit.set] {
                on.entry(*h).or_default().push(pieces.len());
            }
            pieces.push(Piece {
                need: unit.need,
                count: members.len() as u64,
                weight,
                apart: unit.apart,
            });
            guests.push(members);
        }
        let mut like: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (h, most) in hosts {
            // Hosts that take no guests are in use in no placement.
            if choices.takes_guests(*h) {
                let takes = on.remove(h).unwrap_or_default();
                let key = (
                    &choices.rooms[*h],
                    takes,
                    *most,
                    choices.cost[*h],
                    choices.forced[*h],
                    choices.counting(*h),
                );
                like.entry(key).or_default().push(*h);
            }
        }
        let (mut rooms, mut names) = (Vec::new(), Vec::new());
        for ((room, takes, most, cost, forced, _), hosts) in like {
            let (least, all) = if forced {
                (hosts.len() as u64, hosts.len() as u64)
            } else {
                choices.in_use(&hosts)
            };
            let named: Vec<&HostName> = hosts.iter().map(|h| &choices.hosts[*h].name).collect();
            for (count, always) in [(least, true), (all - least, false)] {
                if count > 0 {
                    rooms.push(Room {
                        room: room.clone(),
                        cost,
                        count,
                        most,
                        always,
                        takes: Some(takes.clone()),
                    });
                    names.push(named.clone());
                }
            }
        }
        Self {
            pieces,
            rooms,
            guests,
            hosts: names,
        }
    }

    /// A refusal with the names of hosts and guests.
    fn explain(&self, refusal: &Refusal, part: usize, parts: usize) -> String {
        let host = |room: usize| -> String {
            let names = self.hosts.get(room).map(Vec::as_slice).unwrap_or_default();
            match names {
                [] => "a host".into(),
                [one] => format!("host {one}"),
                [first, rest @ ..] => format!("host {first} and {} like it", rest.len()),
            }
        };
        let claim = |room: usize| self.rooms.get(room).map_or(0, |r| r.most);
        let text = match refusal {
            Refusal::Heavier {
                room,
                pieces,
                weight,
            } => {
                let mut names: Vec<&str> = pieces
                    .iter()
                    .filter_map(|(piece, n)| Some((self.guests.get(*piece)?, *n)))
                    .flat_map(|(units, n)| units.iter().take(usize::try_from(n).unwrap_or(0)))
                    .flatten()
                    .map(|g| g.as_str())
                    .collect();
                names.sort_unstable();
                format!(
                    "{} can hold {}, of weight {weight}, where {} is stated",
                    host(*room),
                    names.join(", "),
                    claim(*room)
                )
            }
            Refusal::Unfinished { room } => format!(
                "{}: that its guests weigh at most {} is not proven within the steps",
                host(*room),
                claim(*room)
            ),
            Refusal::Malformed(what) => (*what).to_owned(),
        };
        if parts > 1 {
            format!("part {}: {text}", part + 1)
        } else {
            text
        }
    }
}

#[cfg(test)]
mod tests;
