//! A relief in the words of a plan, as the holder takes it.

use std::collections::BTreeSet;

use vmpack_domain::plan::{Base, Claim, HostChange, MoveClaim, Plan, PlanStatus, TimeClaim};
use vmpack_domain::relief::{Flight, Relief};
use vmpack_domain::units::{MiB, Micros, Sum};
use vmpack_domain::{Cluster, HostName, Load, Policy, digest::digest};

/// The plan that makes those moves at once: as many at a host as relief may, and as full as relief fills
/// hosts, which its policy says. Guests that are under way it expects where they go. It claims nothing but
/// what it does.
#[must_use]
pub fn plan(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    flights: &[Flight],
    relief: &Relief,
) -> Plan {
    let mut target = cluster.placement();
    for flight in flights {
        target.insert(flight.guest.clone(), flight.to.clone());
    }
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
    let cost = Sum(after.iter().map(|h| policy.costs.of(h).0).sum());
    let mut policy = policy.clone();
    policy.migrations.per_host = policy.relief.per_host;
    policy.headroom = policy.overload();
    policy.relief.cpu = Some(policy.headroom.cpu);
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
            bound: Sum(0),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use vmpack_domain::units::MilliCores;

    #[test]
    fn who_is_under_way_is_expected_where_it_goes_and_hosts_are_filled_as_relief_fills_them() {
        let hosts = cluster(&["h1", "h2"], &[("a", "h1"), ("b", "h1")]);
        let flight = Flight {
            guest: "a".parse().unwrap(),
            from: "h1".parse().unwrap(),
            to: "h2".parse().unwrap(),
            demand: MilliCores(500),
            margin: MilliCores::ZERO,
            memory: MiB(2048),
        };
        let (policy, relief) = (Policy::default(), Relief::default());
        let made = plan(&hosts, &Load::default(), &policy, &[flight], &relief);
        let at = |guest: &str| {
            made.target[&guest.parse::<vmpack_domain::GuestName>().unwrap()].to_string()
        };
        assert_eq!((at("a"), at("b")), ("h2".to_owned(), "h1".to_owned()));
        assert_eq!(made.policy.headroom, policy.overload());
        assert_eq!(made.policy.overload(), policy.overload());
    }
}
