//! Cooldown: guests that were moved a short while ago and stay where they are, unless something is
//! wrong there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, moves_of};
use super::{World, room, rules, stands, violation};
use crate::cluster::Cluster;
use crate::load::Load;
use crate::name::{GuestName, HostName};
use crate::plan::Plan;
use crate::policy::Policy;
use crate::rule::Names;

/// The guests that rest: moved less than the policy's cooldown ago, on a host that they may be on and
/// that is not overloaded, and named by no rule that is broken now.
#[must_use]
pub fn resting(cluster: &Cluster, load: &Load, policy: &Policy) -> BTreeSet<GuestName> {
    if policy.limits.cooldown.is_none() {
        return BTreeSet::new();
    }
    of(&World::new(cluster, load, policy))
}

pub(super) fn of(world: &World) -> BTreeSet<GuestName> {
    let Some(cooldown) = world.policy.limits.cooldown else {
        return BTreeSet::new();
    };
    let now = world.placement_now();
    let mut on: BTreeMap<&HostName, Vec<&GuestName>> = BTreeMap::new();
    for (guest, host) in &now {
        on.entry(host).or_default().push(guest);
    }
    let overloaded = |host: &&HostName| {
        let guests = on.get(*host).into_iter().flatten().copied();
        let host = world.hosts.get(*host);
        host.is_some_and(|h| !room(world, h, guests).is_empty())
    };
    let overloaded: BTreeSet<&HostName> = on.keys().copied().filter(overloaded).collect();
    let awake = world.hosts_on();
    let mut free: BTreeSet<&GuestName> = BTreeSet::new();
    let names = Names::of(world.cluster);
    for rule in &world.policy.rules {
        if !rules::one(world, &names, rule, &now, &awake).is_empty() {
            free.extend(names.guests(rule.kind.guests()).unwrap_or_default());
        }
    }
    let lately = world
        .cluster
        .guests
        .iter()
        .filter(|g| g.moved_ago.is_some_and(|ago| ago < cooldown));
    lately
        .filter(|g| {
            now.get(&g.name).is_some_and(|host| {
                !overloaded.contains(host)
                    && !free.contains(&g.name)
                    && stands(world, &g.name, host).is_none()
            })
        })
        .map(|g| g.name.clone())
        .collect()
}

/// Guests that rest and would move.
pub(super) fn judge(world: &World, plan: &Plan) -> Vec<Violation> {
    let resting = of(world);
    let guests = world.cluster.guests.iter();
    guests
        .filter(|g| resting.contains(&g.name) && moves_of(world, g, plan))
        .map(|g| {
            violation(
                "limits.cooldown",
                format!(
                    "guest {} was moved a short while ago and is to move again",
                    g.name
                ),
            )
        })
        .collect()
}
