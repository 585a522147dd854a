//! Judges what a plan says of time: predicted starts honour the edges and the policy's limits on
//! migrations at once, and the time claimed is the time they take.

use std::collections::BTreeMap;

use super::{Violation, World, violation};
use crate::plan::{MoveId, Plan};
use crate::units::Micros;

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
    for (i, mv) in plan.moves.iter().enumerate() {
        // Most run together when one of them starts.
        let others = plan.moves.iter().enumerate().filter(|(j, m)| {
            let started = (m.start, *j) <= (mv.start, i);
            started && m.start + m.duration > mv.start
        });
        let (mut all, mut leaving, mut coming) = (0u32, 0u32, 0u32);
        for (_, m) in others {
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
    }
    found
}
