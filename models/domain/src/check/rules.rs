//! Judges the rules of a policy on a placement.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, World, running_on, violation};
use crate::cluster::Host;
use crate::name::{GuestName, HostName};
use crate::rule::{Names, Over, Rule, RuleKind};

/// Every rule that the placement breaks. `awake` are the hosts in use.
pub(super) fn judge(
    world: &World,
    target: &BTreeMap<GuestName, HostName>,
    awake: &BTreeSet<&HostName>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for guest in &world.cluster.guests {
        if !guest.movable {
            found.extend(stays(world, &guest.name, target, "movable: false"));
        }
    }
    let names = Names::of(world.cluster);
    for rule in &world.policy.rules {
        found.extend(one(world, &names, rule, target, awake));
    }
    found
}

/// A guest that must stay and would leave.
fn stays(
    world: &World,
    guest: &GuestName,
    target: &BTreeMap<GuestName, HostName>,
    law: &str,
) -> Option<Violation> {
    let (who, _) = world.guests.get(guest)?;
    let here = running_on(world, who)?;
    let to = target.get(guest)?;
    (here != to).then(|| {
        violation(
            law,
            format!("guest {guest} must stay on {here} and is put on {to}"),
        )
    })
}

/// What breaks this rule.
pub(super) fn one(
    world: &World,
    names: &Names,
    rule: &Rule,
    target: &BTreeMap<GuestName, HostName>,
    awake: &BTreeSet<&HostName>,
) -> Vec<Violation> {
    let law = format!("rule {}", rule.name);
    let (guests, hosts) = match (
        names.guests(rule.kind.guests()),
        names.hosts(rule.kind.hosts()),
    ) {
        (Ok(guests), Ok(hosts)) => (guests, hosts),
        (Err(name), _) | (_, Err(name)) => {
            return vec![violation(law, format!("`{name}` is not in the cluster"))];
        }
    };
    let placed = guests.iter().filter_map(|g| Some((*g, target.get(*g)?)));
    match &rule.kind {
        RuleKind::Spread { over, .. } => {
            let mut taken: BTreeMap<(&str, bool), &GuestName> = BTreeMap::new();
            let mut found = Vec::new();
            for (guest, host) in placed {
                let Some(place) = place(world, over, host) else {
                    continue;
                };
                if let Some(other) = taken.insert(place, guest) {
                    found.push(violation(
                        &*law,
                        format!("guests {other} and {guest} are both in {}", place.0),
                    ));
                }
            }
            found
        }
        RuleKind::Gather { over, .. } => {
            let places: BTreeSet<_> = placed
                .filter_map(|(_, host)| place(world, over, host))
                .collect();
            if places.len() > 1 {
                let names: Vec<&str> = places.iter().map(|p| p.0).collect();
                vec![violation(
                    law,
                    format!(
                        "its guests are in {} places: {}",
                        names.len(),
                        names.join(", ")
                    ),
                )]
            } else {
                Vec::new()
            }
        }
        RuleKind::Fence { .. } => placed
            .filter(|(_, host)| !hosts.contains(host))
            .map(|(guest, host)| {
                violation(
                    &*law,
                    format!("guest {guest} is put on {host}, outside its fence"),
                )
            })
            .collect(),
        RuleKind::Ban { .. } => placed
            .filter(|(_, host)| hosts.contains(host))
            .map(|(guest, host)| {
                violation(
                    &*law,
                    format!("guest {guest} is put on {host}, from which it is banned"),
                )
            })
            .collect(),
        RuleKind::Pin { .. } => guests
            .iter()
            .filter_map(|g| stays(world, g, target, &law))
            .collect(),
        RuleKind::Spare { hosts } => spare(world, &law, *hosts, awake),
        RuleKind::MaxMoves { moves, .. } => {
            let all = rule.kind.guests().is_empty();
            let moved = world
                .cluster
                .guests
                .iter()
                .filter(|g| all || guests.contains(&&g.name))
                .filter(|g| {
                    running_on(world, g)
                        .is_some_and(|from| target.get(&g.name).is_some_and(|to| to != from))
                })
                .count();
            if moved > *moves as usize {
                vec![violation(
                    law,
                    format!("{moved} guests move, at most {moves} may"),
                )]
            } else {
                Vec::new()
            }
        }
    }
}

fn place<'a>(world: &World<'a>, over: &Over, host: &HostName) -> Option<(&'a str, bool)> {
    world.hosts.get(host).map(|h| over.place(h))
}

/// What all guests together want of CPU, in milli-cores; where demand is counted jointly, in the
/// window in which that is most.
fn cpu_demand(world: &World) -> i128 {
    match &world.joint {
        None => {
            let guests = world.guests.values();
            guests.map(|(_, demand)| i128::from(demand.cpu.0)).sum()
        }
        Some((joint, _)) => {
            let all = |w: usize| joint.of.iter().map(|g| i128::from(g[w].0)).sum();
            (0..joint.starts.len()).map(all).max().unwrap_or(0)
        }
    }
}

/// What `spare` counts: CPU, memory and vCPUs, in milli-cores, MiB and thousandths of a vCPU; rooms are
/// rounded down to them.
pub(super) struct Spared {
    /// The room of each host, in the cluster's order.
    pub(super) rooms: Vec<[i128; 3]>,
    /// The largest of the hosts that take guests.
    pub(super) largest: [i128; 3],
    /// What all guests take.
    pub(super) taken: [i128; 3],
}

pub(super) fn spared(world: &World) -> Spared {
    let room = |host: &Host| -> [i128; 3] {
        let cpu = (i128::from(host.cpu.0) * i128::from(host.speed.0)
            - i128::from(host.reserve.cpu.0) * 1000)
            .max(0);
        let memory = i128::from(host.memory.0.saturating_sub(host.reserve.memory.0));
        let headroom = world.policy.headroom;
        [
            cpu * (1000 - i128::from(headroom.cpu.0)) / 1_000_000,
            memory * (1000 - i128::from(headroom.memory.0)) / 1000,
            i128::from(host.cpu.0) * i128::from(world.policy.over_commit.cpu.0) / 1000,
        ]
    };
    let rooms: Vec<[i128; 3]> = world.cluster.hosts.iter().map(room).collect();
    let mut largest = [0; 3];
    for (host, room) in world.cluster.hosts.iter().zip(&rooms) {
        if host.state.takes_guests() {
            for (most, room) in largest.iter_mut().zip(room) {
                *most = (*most).max(*room);
            }
        }
    }
    let mut taken = [cpu_demand(world), 0, 0];
    for (guest, _) in world.guests.values() {
        taken[1] += i128::from(guest.memory.0) + i128::from(world.policy.overhead.memory.0);
        taken[2] += i128::from(guest.vcpus) * 1000;
    }
    Spared {
        rooms,
        largest,
        taken,
    }
}

/// Σ room of the hosts in use − Σ what all guests take ≥ so many times the largest room, of each.
fn spare(world: &World, law: &str, worth: u32, awake: &BTreeSet<&HostName>) -> Vec<Violation> {
    let Spared {
        rooms,
        largest,
        taken,
    } = spared(world);
    let mut free = taken.map(|t| -t);
    for (host, room) in world.cluster.hosts.iter().zip(rooms) {
        if awake.contains(&host.name) {
            for (free, room) in free.iter_mut().zip(room) {
                *free += room;
            }
        }
    }
    ["cpu", "memory", "vcpus"]
        .iter()
        .zip(free)
        .zip(largest)
        .filter(|((_, free), largest)| *free < largest * i128::from(worth))
        .map(|((name, free), largest)| {
            violation(
                law,
                format!(
                    "the hosts in use have {free} of {name} free, less than {worth} times {largest}"
                ),
            )
        })
        .collect()
}
