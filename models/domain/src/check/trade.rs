//! Judges what a plan claims of hosts and migrations together, by the policy's objective.

use std::collections::BTreeSet;

use super::{Violation, World, judge_placement, moves_of, violation};
use crate::load::Load;
use crate::name::HostName;
use crate::plan::Plan;
use crate::rule::RuleKind;
use crate::units::Sum;

/// The claim recomputed, and whether moving guests pays.
pub(super) fn judge(
    world: &World,
    load: &Load,
    plan: &Plan,
    awake: &BTreeSet<&HostName>,
) -> Vec<Violation> {
    let Some(objective) = &world.policy.objective else {
        return Vec::new();
    };
    let Some(trade) = &plan.trade_claim else {
        let what = "the policy has an objective, and the plan claims nothing of it";
        return vec![violation("claim", what.into())];
    };
    let mut found = Vec::new();
    let mut claim = |ok: bool, law: &str, detail: String| {
        if !ok {
            found.push(violation(law, detail));
        }
    };
    let hosts = |names: &BTreeSet<&HostName>| {
        let cost = names.iter().map(|h| world.policy.costs.of(h).0).sum();
        u128::from(objective.hosts(Sum(cost)))
    };
    let moved = world.cluster.guests.iter();
    let moved = moved
        .filter(|g| moves_of(world, g, plan))
        .map(|g| u128::from(objective.migration(g, world.cluster, world.policy, load)));
    let price = |millionths: u128| Sum(u64::try_from(millionths / 1000).unwrap_or(u64::MAX));
    let is = price(hosts(awake) + moved.sum::<u128>());
    claim(
        trade.objective == is,
        "claim",
        format!(
            "hosts and migrations are said to cost {}, they cost {is}",
            trade.objective
        ),
    );
    claim(
        trade.bound <= trade.objective,
        "claim",
        format!(
            "the bound {} is above the {} that hosts and migrations cost",
            trade.bound, trade.objective
        ),
    );
    let now = world.placement_now();
    let sound = now.len() == world.cluster.guests.len()
        && judge_placement(world, &now, &world.hosts_on()).is_empty();
    claim(
        !sound || trade.stay.is_some(),
        "claim",
        "nothing is wrong with where guests run, and the plan does not say what staying costs"
            .into(),
    );
    let Some(stay) = trade.stay else {
        return found;
    };
    let spare = |r: &crate::rule::Rule| matches!(r.kind, RuleKind::Spare { .. });
    // Which hosts are kept awake for spare room is the plan's choice: all of them at most.
    let most: BTreeSet<&HostName> = if world.policy.rules.iter().any(spare) {
        world.cluster.hosts.iter().map(|h| &h.name).collect()
    } else {
        plan.hosts.before.iter().collect()
    };
    let most = price(hosts(&most));
    claim(
        stay <= most,
        "claim",
        format!("staying is said to cost {stay}, it costs {most} at most"),
    );
    claim(
        plan.moves.is_empty() || trade.objective + objective.min_gain.into() <= stay,
        "min-gain",
        format!(
            "guests are moved for a plan that costs {}, staying costs {stay}, and at least {} is to be gained",
            trade.objective, objective.min_gain
        ),
    );
    found
}
