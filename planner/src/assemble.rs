//! From placements by index to a plan as its file holds it.

use vmpack_domain::digest::digest;
use vmpack_domain::plan::{Base, Claim, HostChange, MoveClaim, Plan, PlanStatus, Start};
use vmpack_domain::units::{MiB, Ratio};
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_ilp::bound::{Bound, MovesBound};

use crate::explain::{self, Motives};
use crate::instance::Instance;
use crate::pack::Packed;
use crate::schedule::Hop;
use crate::schedule::migrations::migrations;

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// The plan that leads to `packed` by these migrations.
pub(crate) fn assemble(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    inst: &Instance,
    packed: &Packed,
    hops: &[Hop],
    bound: &Bound,
    moves_bound: &MovesBound,
) -> Plan {
    let problem = inst.problem;
    let placement = inst.placement(&packed.at);
    let mut awake = vec![false; problem.hosts.len()];
    packed.awake.iter().for_each(|h| awake[*h] = true);
    let named = |keep: &dyn Fn(usize) -> bool| {
        let kept = packed.awake.iter().filter(|h| keep(**h));
        let mut names: Vec<_> = kept.map(|h| problem.hosts[*h].name.clone()).collect();
        names.sort();
        names
    };
    let motives = Motives {
        cluster,
        policy,
        problem,
        awake,
    };
    let waits = problem
        .guests
        .iter()
        .zip(&placement)
        .filter(|(g, _)| g.current.is_none());
    Plan {
        base: Base {
            cluster: digest(cluster),
            load: digest(load),
        },
        policy: policy.clone(),
        status: if packed.cost <= bound.cost {
            PlanStatus::Optimal
        } else {
            PlanStatus::Feasible
        },
        claim: Claim {
            objective: Ratio(unsigned(packed.cost)),
            bound: Ratio(unsigned(bound.cost.min(packed.cost))),
            origin: bound.origin.clone(),
            hosts_bound: u32::try_from(bound.hosts).unwrap_or(u32::MAX),
        },
        move_claim: MoveClaim {
            objective: MiB(unsigned(inst.moved(&packed.at))),
            bound: MiB(unsigned(moves_bound.memory)),
            origin: moves_bound.origin.clone(),
        },
        hosts: HostChange {
            before: cluster.hosts_in_use(),
            after: named(&|_| true),
            wake: named(&|h| problem.hosts[h].asleep),
        },
        target: problem
            .guests
            .iter()
            .zip(&placement)
            .map(|(g, h)| (g.name.clone(), problem.hosts[*h].name.clone()))
            .collect(),
        moves: migrations(cluster, load, problem, hops, |hop| motives.of(hop, hops)),
        starts: waits
            .map(|(g, h)| Start {
                guest: g.name.clone(),
                on: problem.hosts[*h].name.clone(),
            })
            .collect(),
        reasons: explain::plan(inst, packed, bound),
    }
}
