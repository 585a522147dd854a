//! From placements by index to a plan as its file holds it.

use vmpack_domain::digest::digest;
use vmpack_domain::plan::{Base, Claim, HostChange, MoveClaim, Plan, PlanStatus, Start};
use vmpack_domain::units::{MiB, Sum};
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_ilp::agree;
use vmpack_ilp::bound::{self, Bound, MovesBound};
use vmpack_ilp::problem::Problem;

use crate::explain::{self, Motives};
use crate::schedule::migrations::migrations;
use crate::schedule::reach::Route;
use crate::trade;

/// An amount that is never below 0.
pub(crate) fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The bound, unless a placement undercuts it: then nothing is known.
pub(crate) fn agreed(bound: Bound, cost: i64, hosts: usize) -> Bound {
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let origin = format!("{}, on the number", bound.origin);
    let sound = agree(bound.cost, cost, &bound.origin).is_some()
        && agree(count(bound.hosts), count(hosts), &origin).is_some();
    if sound {
        return bound;
    }
    Bound {
        cost: 0,
        hosts: 0,
        origin: "none: one was found that is wrong".into(),
        certified: None,
        counted: None,
        branched: None,
    }
}

/// The bound on the memory moved at that cost of hosts: that of stage 2, unless it counts prices.
pub(crate) fn memory_bound(
    policy: &Policy,
    problem: &Problem,
    cost: i64,
    moves: MovesBound,
) -> MovesBound {
    match policy.objective {
        Some(_) => bound::memory_moved(problem, cost),
        None => moves,
    }
}

/// The plan that takes the route.
pub(crate) fn assemble(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    problem: &Problem,
    route: &Route,
    bound: &Bound,
) -> Plan {
    let named = |keep: &dyn Fn(usize) -> bool| {
        let kept = route.awake.iter().filter(|h| keep(**h));
        let mut names: Vec<_> = kept.map(|h| problem.hosts[*h].name.clone()).collect();
        names.sort();
        names
    };
    let motives = Motives::new(cluster, policy, problem, route);
    let placed = || problem.guests.iter().zip(&route.placement);
    let inputs = (cluster, load, policy);
    let (moves, time_claim, notes) =
        migrations(inputs, problem, &route.hops, |hop| motives.of(hop));
    let moved = placed().filter(|(g, h)| g.current.is_some_and(|c| c != **h));
    let least = memory_bound(policy, problem, route.cost, route.bound.clone());
    let trade_claim = policy
        .objective
        .map(|objective| trade::claim(&objective, problem, route, bound.cost));
    let mut reasons = explain::plan(policy, problem, route, bound, trade_claim.as_ref());
    reasons.extend(notes);
    let proven = match &trade_claim {
        Some(trade) => trade.objective == trade.bound,
        None => route.cost == bound.cost,
    };
    Plan {
        base: Base {
            cluster: digest(cluster),
            load: digest(load),
        },
        policy: policy.clone(),
        status: if proven {
            PlanStatus::Optimal
        } else {
            PlanStatus::Feasible
        },
        claim: Claim {
            objective: Sum(unsigned(route.cost)),
            bound: Sum(unsigned(bound.cost)),
            origin: bound.origin.clone(),
            hosts_bound: u32::try_from(bound.hosts).unwrap_or(u32::MAX),
        },
        move_claim: MoveClaim {
            objective: MiB(moved.map(|(g, _)| unsigned(g.memory)).sum()),
            bound: MiB(unsigned(least.least)),
            origin: least.origin,
        },
        time_claim,
        trade_claim,
        hosts: HostChange {
            before: cluster.hosts_in_use(),
            after: named(&|_| true),
            wake: named(&|h| problem.hosts[h].asleep),
        },
        target: placed()
            .map(|(g, h)| (g.name.clone(), problem.hosts[*h].name.clone()))
            .collect(),
        moves,
        starts: placed()
            .filter(|(g, _)| g.current.is_none())
            .map(|(g, h)| Start {
                guest: g.name.clone(),
                on: problem.hosts[*h].name.clone(),
            })
            .collect(),
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(cost: i64, hosts: usize) -> Bound {
        Bound {
            cost,
            hosts,
            origin: "by hand".into(),
            certified: None,
            counted: None,
            branched: None,
        }
    }

    #[test]
    fn a_bound_that_the_placement_meets_is_kept() {
        assert_eq!(agreed(bound(2000, 2), 2000, 2), bound(2000, 2));
        assert_eq!(agreed(bound(1000, 1), 2500, 4), bound(1000, 1));
    }

    #[test]
    #[should_panic(expected = "an answer of 2000 undercuts the bound 3000 (by hand)")]
    fn a_wrong_bound_on_the_cost_is_loud() {
        let _ = agreed(bound(3000, 2), 2000, 2);
    }

    #[test]
    #[should_panic(expected = "an answer of 2 undercuts the bound 3 (by hand, on the number)")]
    fn a_wrong_bound_on_the_number_is_loud() {
        let _ = agreed(bound(2000, 3), 2000, 2);
    }
}
