//! A relief in the words of a plan, as the holder takes it.

use std::collections::BTreeSet;

use vmpack_domain::plan::{Base, Claim, HostChange, MoveClaim, Plan, PlanStatus, TimeClaim};
use vmpack_domain::relief::Relief;
use vmpack_domain::units::{MiB, Micros, Ratio};
use vmpack_domain::{Cluster, HostName, Load, Policy, digest::digest};

/// The plan that makes those moves at once: as many at a host as relief may, which its policy says.
/// It claims nothing but what it does.
#[must_use]
pub fn plan(cluster: &Cluster, load: &Load, policy: &Policy, relief: &Relief) -> Plan {
    let mut target = cluster.placement();
    for mv in &relief.moves {
        target.insert(mv.guest.clone(), mv.to.clone());
    }
    let before = cluster.hosts_in_use();
    let mut after: BTreeSet<HostName> = target.values().cloned().collect();
    let always = cluster.hosts.iter().filter(|h| h.never_sleep);
    after.extend(always.map(|h| h.name.clone()));
    let memory: MiB = relief.moves.iter().map(|m| m.memory).sum();
    let longest = relief
        .moves
        .iter()
        .map(|m| m.duration)
        .max()
        .unwrap_or(Micros::ZERO);
    let cost = Ratio(after.iter().map(|h| policy.costs.of(h).0).sum());
    let mut policy = policy.clone();
    policy.migrations.per_host = policy.relief.per_host;
    let origin = "relief: not sought to be least";
    Plan {
        base: Base {
            cluster: digest(cluster),
            load: digest(load),
        },
        policy,
        status: PlanStatus::Feasible,
        claim: Claim {
            objective: cost,
            bound: Ratio(0),
            origin: origin.into(),
            hosts_bound: 0,
        },
        move_claim: MoveClaim {
            objective: memory,
            bound: MiB::ZERO,
            origin: origin.into(),
        },
        time_claim: TimeClaim {
            objective: longest,
            bound: Micros::ZERO,
            origin: origin.into(),
        },
        trade_claim: None,
        hosts: HostChange {
            before,
            after: after.into_iter().collect(),
            wake: Vec::new(),
        },
        target,
        moves: relief.moves.clone(),
        starts: Vec::new(),
        reasons: relief.reasons.clone(),
    }
}
