//! Judges what a plan says of time: predicted starts honour the edges and the policy's limits on
//! migrations at once and on guests in split state, at once and in all, and the time claimed is the time they take.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, World, violation};
use crate::plan::{Move, MoveId, Plan};
use crate::split::{Place, places};
use crate::units::Micros;
use crate::{Cluster, HostName, Policy};

/// What is wrong with the predicted times.
pub(super) fn judge(world: &World, plan: &Plan) -> Vec<Violation> {
    let mut found = Vec::new();
    let ends: BTreeMap<&MoveId, Micros> = plan
        .moves
        .iter()
        .map(|m| (&m.id, m.start + m.duration))
        .collect();
    let last = ends.values().copied().max().unwrap_or_default();
    let claim = &plan.time_claim;
    if claim.objective != last {
        found.push(violation(
            "claim",
            format!(
                "the migrations are said to take {}, they take {last}",
                claim.objective
            ),
        ));
    }
    if claim.bound > claim.objective {
        found.push(violation(
            "claim",
            format!(
                "the bound {} is above the time {}",
                claim.bound, claim.objective
            ),
        ));
    }
    for mv in &plan.moves {
        for id in &mv.after {
            if ends.get(id).is_some_and(|end| *end > mv.start) {
                found.push(Violation {
                    law: "times".into(),
                    at: Some(mv.id.clone()),
                    detail: format!("it starts before {id} has ended, for which it waits"),
                });
            }
        }
    }
    let policy = &world.policy.migrations;
    let labels = |host: &HostName| world.cluster.host(host).map(|h| &h.labels);
    let split: Vec<BTreeSet<Place>> = plan
        .moves
        .iter()
        .map(|m| places(m.mode, (&m.from, &m.to), labels))
        .collect();
    found.extend(budgets(world.cluster, world.policy, &plan.moves));
    for (i, mv) in plan.moves.iter().enumerate() {
        // Most run together when one of them starts.
        let others = plan.moves.iter().enumerate().filter(|(j, m)| {
            let started = (m.start, *j) <= (mv.start, i);
            started && m.start + m.duration > mv.start
        });
        let (mut all, mut leaving, mut coming) = (0u32, 0u32, 0u32);
        let mut at: BTreeMap<&Place, u32> = BTreeMap::new();
        for (j, m) in others {
            for place in split[j].intersection(&split[i]) {
                *at.entry(place).or_default() += 1;
            }
            all += 1;
            leaving += u32::from(m.from == mv.from);
            coming += u32::from(m.to == mv.to);
        }
        for (what, is, most) in [
            ("in the cluster".to_owned(), all, policy.at_once),
            (format!("from {}", mv.from), leaving, policy.per_host),
            (format!("to {}", mv.to), coming, policy.per_host),
        ] {
            if is > most.get() {
                found.push(Violation {
                    law: "times".into(),
                    at: Some(mv.id.clone()),
                    detail: format!("{is} migrations run at once {what}, at most {most} may"),
                });
            }
        }
        for (place, is) in at {
            let most = place.limit(&policy.split_at_once);
            if let Some(most) = most.filter(|most| is > most.get()) {
                found.push(Violation {
                    law: "times".into(),
                    at: Some(mv.id.clone()),
                    detail: format!(
                        "{is} guests are in split state at once at {place}, at most {most} may"
                    ),
                });
            }
        }
    }
    found
}

/// Places at which guests would be in split state for longer, together, than the policy lets be.
#[must_use]
pub fn budgets(cluster: &Cluster, policy: &Policy, moves: &[Move]) -> Vec<Violation> {
    let labels = |host: &HostName| cluster.host(host).map(|h| &h.labels);
    let mut spent: BTreeMap<Place, Micros> = BTreeMap::new();
    for mv in moves {
        let own = mv.expected.map_or(mv.duration, |e| e.split);
        for place in places(mv.mode, (&mv.from, &mv.to), labels) {
            *spent.entry(place).or_default() += own;
        }
    }
    let over = spent.into_iter().filter_map(|(place, spent)| {
        let most = place.budget(&policy.migrations.split_budget)?;
        (spent > most).then(|| {
            let detail = format!(
                "guests are in split state for {spent} together at {place}, at most {most} may be"
            );
            violation("split-budget", detail)
        })
    });
    over.collect()
}
