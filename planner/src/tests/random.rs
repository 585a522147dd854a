//! Random small clusters with every rule and state, against brute force.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vmpack_domain::plan::Outcome;
use vmpack_domain::rule::RuleKind;
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Load, Policy, check};
use vmpack_ilp::in_use;
use vmpack_ilp::problem::Problem;

use super::{read, relaxed, solve};
use crate::Change;

/// Whether it sleeps, and its text.
fn host(i: usize) -> impl Strategy<Value = (bool, String)> {
    let state = prop_oneof![
        6 => Just("on"),
        1 => Just("asleep"),
        1 => Just("out"),
        1 => Just("drain"),
    ];
    (2..7u32, 4..13u32, state, 0..6u32, 0..3u32, 0..8u32).prop_map(
        move |(cpu, memory, state, speed, rack, never)| {
            let speed = if speed == 0 { ", speed: 1.5" } else { "" };
            // The first host has the label: a rule over a label of no host is bad input.
            let rack = if i == 0 { rack.max(1) } else { rack };
            let rack = if rack == 0 { String::new() } else { format!(", labels: {{ rack: r{rack} }}") };
            let never = if never == 0 { ", never-sleep: true" } else { "" };
            let text = format!(
"  - {{ name: h{i}, cpu: {cpu}cores, memory: {memory}GiB, network: 100MiB/s, state: {state}{speed}{rack}{never} }}\n");
            (state == "asleep", text)
        },
    )
}

/// Its text with `@N` for host N, and its load.
fn guest(i: usize, hosts: usize) -> impl Strategy<Value = (String, String)> {
    (1..4u32, 1..6u32, 0..=hosts, 0..12u32, 1..20u32).prop_map(
        move |(vcpus, memory, at, odd, load)| {
            let at = if at == hosts {
                "null".to_owned()
            } else {
                format!("@{at}")
            };
            let more = match odd {
                0 => ", movable: false",
                1 => ", post-copy: never",
                2 => ", reserved: 1cores",
                3 => ", requires: { rack: [r1, r2] }",
                _ => "",
            };
            let guest = format!(
                "  - {{ name: g{i}, vcpus: {vcpus}, memory: {memory}GiB, host: {at}{more} }}\n"
            );
            let load = match load {
                1 => String::new(),
                // Busy in turn: each guest wants most in another window.
                2..=9 => {
                    let values: Vec<String> = (0..3)
                        .map(|w| ((i + w) % 3 * (load * vcpus) as usize / 9).to_string())
                        .collect();
                    format!(
                        "  g{i}: {{ cpu: {{ windows: {{ start: 2026-01-05T00:00:00Z, step: 300s, values: [{}] }} }} }}\n",
                        values.join(", ")
                    )
                }
                _ => format!("  g{i}: {{ cpu: {{ p95: 0.{load:02}cores }} }}\n"),
            };
            (guest, load)
        },
    )
}

fn rule(i: usize, hosts: usize, guests: usize) -> impl Strategy<Value = String> {
    let some = |n: usize| proptest::collection::vec(0..n, 1..=n.min(3));
    (0..9u32, some(guests), some(hosts), 0..4u32).prop_map(move |(kind, guests, hosts, count)| {
        let list = |letter: &str, of: &[usize]| {
            of.iter()
                .map(|i| format!("{letter}{i}"))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let (guests, hosts) = (list("g", &guests), list("h", &hosts));
        match kind {
            0 | 1 => format!("  - {{ kind: spread, name: r{i}, guests: [{guests}] }}\n"),
            2 => format!("  - {{ kind: spread, name: r{i}, guests: [{guests}], over: rack }}\n"),
            3 => format!("  - {{ kind: gather, name: r{i}, guests: [{guests}] }}\n"),
            4 => format!("  - {{ kind: gather, name: r{i}, guests: [{guests}], over: rack }}\n"),
            5 => {
                format!("  - {{ kind: fence, name: r{i}, guests: [{guests}], hosts: [{hosts}] }}\n")
            }
            6 => format!("  - {{ kind: ban, name: r{i}, guests: [{guests}], hosts: [{hosts}] }}\n"),
            7 => format!(
                "  - {{ kind: spare, name: r{i}, room: {} }}\n",
                count.min(1)
            ),
            _ => format!("  - {{ kind: max-moves, name: r{i}, moves: {count} }}\n"),
        }
    })
}

/// A small cluster, its load and a policy.
pub(super) fn inputs(most_guests: usize) -> impl Strategy<Value = (Cluster, Load, Policy)> {
    (1..=4usize, 1..=most_guests)
        .prop_flat_map(|(hosts, guests)| {
            let all_hosts: Vec<_> = (0..hosts).map(host).collect();
            let all_guests: Vec<_> = (0..guests).map(|i| guest(i, hosts)).collect();
            let rules = (0..3usize)
                .prop_flat_map(move |n| (0..n).map(|i| rule(i, hosts, guests)).collect::<Vec<_>>());
            (
                all_hosts,
                all_guests,
                rules,
                0..4u32,
                0..9u64,
                (0..4u32, 0..4u32),
            )
        })
        .prop_map(|(hosts, guests, rules, cost, moves, (joint, keeps))| {
            let (guests, loads): (Vec<String>, Vec<String>) = guests.into_iter().unzip();
            // A host that sleeps carries no guest.
            let mut placed = guests.concat();
            for (i, (asleep, _)) in hosts.iter().enumerate() {
                let name = if *asleep {
                    "null".to_owned()
                } else {
                    format!("h{i}")
                };
                placed = placed.replace(&format!("@{i}"), &name);
            }
            let hosts: String = hosts.into_iter().map(|h| h.1).collect();
            let cluster = format!("hosts:\n{hosts}guests:\n{placed}");
            let loads = loads.concat();
            let load = if loads.is_empty() {
                loads
            } else {
                format!("guests:\n{loads}")
            };
            let mut policy = "overhead: { memory: 0MiB }\n".to_owned();
            // A host may keep more than it is packed with.
            policy += match keeps {
                0 => "headroom: { cpu: 40%, memory: 20% }\nrelief: { cpu: 0%, memory: 0% }\n",
                _ => "headroom: { cpu: 0%, memory: 0% }\n",
            };
            // Of three windows, none or one of each host is exempt.
            match joint {
                0 => {}
                1 => policy += "demand: { joint: true, overload: 40% }\n",
                _ => policy += "demand: { joint: true }\n",
            }
            if cost == 0 {
                policy += "costs: { hosts: { h0: 2.5 } }\n";
            }
            if moves < 4 {
                policy += &format!("limits: {{ moves: {moves} }}\n");
            }
            if !rules.is_empty() {
                policy += &format!("rules:\n{}", rules.concat());
            }
            read(&cluster, &load, &policy)
        })
}

/// The least cost of any placement that the checker accepts, `None` when there is none.
fn brute_force(cluster: &Cluster, load: &Load, policy: &Policy) -> Option<u64> {
    let all = placements(cluster, load, policy);
    all.into_iter().map(|(cost, _)| cost).min()
}

/// Every placement that the checker accepts: what its hosts cost, and the MiB moved.
pub(super) fn placements(cluster: &Cluster, load: &Load, policy: &Policy) -> Vec<(u64, u64)> {
    let Ok(problem) = Problem::build(cluster, load, policy) else {
        return Vec::new();
    };
    let guests = problem.guests.len();
    let names: Vec<GuestName> = problem.guests.iter().map(|g| g.name.clone()).collect();
    let spare = |law: &str| {
        policy
            .rules
            .iter()
            .any(|r| matches!(r.kind, RuleKind::Spare { .. }) && law == format!("rule {}", r.name))
    };
    let mut all = Vec::new();
    let mut at = vec![0usize; guests];
    loop {
        let target: BTreeMap<GuestName, HostName> = names
            .iter()
            .cloned()
            .zip(at.iter().map(|h| problem.hosts[*h].name.clone()))
            .collect();
        let moved = || {
            let guests = problem.guests.iter().zip(&at);
            guests.filter(|(g, h)| g.current.is_some_and(|c| c != **h))
        };
        let few = policy
            .limits
            .moves
            .is_none_or(|m| moved().count() <= m as usize);
        // Which hosts are awake is the placement's choice, so spare rules are left to `in_use`.
        let kept = few
            && check::placement(cluster, load, policy, &target)
                .iter()
                .all(|v| spare(&v.law));
        if kept && let Some(awake) = in_use(&problem, &at) {
            let cost: u64 = awake
                .iter()
                .map(|h| policy.costs.of(&problem.hosts[*h].name).0)
                .sum();
            let memory: i64 = moved().map(|(g, _)| g.memory).sum();
            all.push((cost, memory.unsigned_abs()));
        }
        let Some(digit) = at.iter().position(|h| h + 1 < problem.hosts.len()) else {
            return all;
        };
        at[digit] += 1;
        at[..digit].fill(0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// `solve` asserts that the checker accepts the plan.
    #[test]
    fn plans_agree_with_brute_force((cluster, load, policy) in inputs(6)) {
        let best = brute_force(&cluster, &load, &policy);
        match solve(&cluster, &load, &policy) {
            Outcome::Optimal(plan) => prop_assert_eq!(Some(plan.claim.objective.0), best),
            Outcome::Feasible(plan) => {
                prop_assert!(best.is_some_and(|b| plan.claim.bound.0 <= b && b <= plan.claim.objective.0));
            }
            Outcome::Infeasible(reasons) => {
                prop_assert_eq!(best, None, "{:?}", reasons);
                prop_assert!(!reasons.is_empty());
            }
            // Only migrations can be in the way of a cluster so small, and where all is well now
            // nothing needs to move.
            Outcome::NoAnswer { limit } => {
                prop_assert!(limit.contains("no order"), "{}", limit);
                let placed = cluster.placement();
                let well = placed.len() == cluster.guests.len()
                    && check::placement(&cluster, &load, &policy, &placed).is_empty();
                prop_assert!(!well, "there is a plan: no moves");
            }
        }
    }

    /// Where nothing fits, each single change that helps is offered, and none that does not.
    #[test]
    fn ways_out_agree_with_brute_force((cluster, load, policy) in inputs(4)) {
        let holds = |change: &Change| {
            let (mut cluster, mut policy) = (cluster.clone(), policy.clone());
            change.make(&mut cluster, &mut policy);
            brute_force(&cluster, &load, &policy).is_some()
        };
        if brute_force(&cluster, &load, &policy).is_none() {
            let ways = relaxed(&cluster, &load, &policy);
            let offered = |change: &Change| ways.iter().any(|w| w.change == *change);
            for way in &ways {
                prop_assert!(holds(&way.change), "{:?}", way);
                let less = match &way.change {
                    Change::Hosts { like, count, cpu, memory } if *count > 1 => {
                        let (like, count) = (like.clone(), count - 1);
                        Some(Change::Hosts { like, count, cpu: *cpu, memory: *memory })
                    }
                    Change::Rule { rule, from, to } if from.abs_diff(*to) > 1 => {
                        let to = if to > from { to - 1 } else { to + 1 };
                        Some(Change::Rule { rule: rule.clone(), from: *from, to })
                    }
                    _ => None,
                };
                if let Some(less) = less {
                    prop_assert!(!holds(&less), "{:?} would do", less);
                }
            }
            for rule in &policy.rules {
                let drop = Change::Drop { rules: vec![rule.name.clone()] };
                let number = matches!(rule.kind, RuleKind::Spare { .. } | RuleKind::MaxMoves { .. });
                prop_assert!(number || holds(&drop) == offered(&drop), "{:?}", drop);
            }
            let drains = cluster.hosts.iter().filter(|h| h.state == HostState::Drain);
            for host in drains {
                let keep = Change::Keep { host: host.name.clone() };
                prop_assert!(holds(&keep) == offered(&keep), "{:?}", keep);
            }
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_plan((cluster, load, policy) in inputs(12)) {
        prop_assert_eq!(solve(&cluster, &load, &policy), solve(&cluster, &load, &policy));
    }
}
