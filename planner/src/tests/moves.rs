//! Stage 2 on random small clusters, against brute force.

use proptest::prelude::*;
use vmpack_domain::objective::Objective;
use vmpack_domain::plan::Outcome;
use vmpack_domain::units::{Micros, Price, Sum};
use vmpack_domain::{GuestName, HostName};

use super::random::{inputs, placements};
use super::{read, solve};
use crate::curve::curve;
use crate::search::Search;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Each point of the curve is between its bound and what it claims, and none pays for nothing.
    #[test]
    fn the_curve_agrees_with_brute_force((cluster, load, mut policy) in inputs(5)) {
        let all = placements(&cluster, &load, &policy);
        policy.limits.nodes = Some(20);
        let found = curve(&cluster, &load, &policy, 3, &mut Search {
            elapsed: &|| Micros::ZERO,
            stop: &|| false,
            report: &mut |_| {},
        });
        if let Outcome::Optimal(curve) | Outcome::Feasible(curve) = found {
            prop_assert!(!curve.points.is_empty());
            for point in &curve.points {
                let affordable = all.iter().filter(|(cost, _)| *cost <= point.cost.0);
                let least = affordable.map(|(_, memory)| *memory).min();
                prop_assert!(least >= Some(point.memory_bound.0) && least <= Some(point.memory.0));
            }
            for pair in curve.points.windows(2) {
                prop_assert!(pair[0].cost < pair[1].cost && pair[0].memory > pair[1].memory);
            }
        } else {
            prop_assert!(all.is_empty());
        }
    }

    /// `solve` asserts that the checker accepts the plan.
    #[test]
    fn a_trade_agrees_with_brute_force(
        (cluster, load, mut policy) in inputs(5),
        gib in 1..20u64,
        gain in 0..6u64,
    ) {
        let objective = Objective {
            move_gib: Price(gib * 100),
            horizon: Micros::secs(4 * 3600),
            min_gain: Price(gain.saturating_sub(3) * 1000),
            ..Objective::default()
        };
        let all = placements(&cluster, &load, &policy);
        policy.objective = Some(objective);
        policy.limits.nodes = Some(20);
        // Every guest's memory is whole GiB.
        let total = |cost, mib: u64| objective.hosts(Sum(cost)) / 1000 + gib * 100 * mib / 1024;
        let least = all.iter().map(|(cost, memory)| Sum(total(*cost, *memory))).min();
        if let Outcome::Optimal(plan) | Outcome::Feasible(plan) = solve(&cluster, &load, &policy) {
            let claim = plan.trade_claim.unwrap();
            // Where nothing gains enough, staying is all that is left.
            let least = match (least, claim.stay) {
                (Some(least), Some(stay)) if least + objective.min_gain.into() > stay => Some(stay),
                _ => least,
            };
            prop_assert!(least >= Some(claim.bound) && least <= Some(claim.objective));
        }
    }
}

#[test]
fn a_policy_may_ask_for_level_hosts_and_for_how_many_moves() {
    let cluster = "hosts:
  - { name: h1, cpu: 10cores, memory: 20GiB, network: 1GiB/s, state: on }
  - { name: h2, cpu: 10cores, memory: 20GiB, network: 1GiB/s, state: on, never-sleep: true }
guests:
  - { name: a, vcpus: 1, memory: 9GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 6GiB, host: h1 }
  - { name: c, vcpus: 1, memory: 4GiB, host: h1 }
  - { name: d, vcpus: 1, memory: 1GiB, host: h1, movable: false }
";
    let bare = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";
    let moved = |limits: &str| {
        let policy = format!("{bare}limits: {{ nodes: 50{limits} }}\n");
        let (cluster, load, policy) = read(cluster, "", &policy);
        let Outcome::Optimal(plan) = solve(&cluster, &load, &policy) else {
            panic!("there is a plan");
        };
        let reasons = plan.moves.iter().map(|m| m.reason.clone());
        let moves = plan.moves.iter().map(|m| m.guest.to_string());
        (moves.collect::<Vec<_>>(), reasons.collect::<Vec<_>>())
    };
    // Both hosts are in use whatever is done.
    assert!(moved("").0.is_empty() && moved(", level: 0").0.is_empty());
    let (guests, reasons) = moved(", level: 1");
    assert_eq!(
        (guests.as_slice(), reasons[0].as_str()),
        (&["a".to_owned()][..], "levels h1 and h2")
    );
    // 10 and 10 GiB, two guests each: by b and c.
    let (mut guests, _) = moved(", level: 2");
    guests.sort();
    assert_eq!(guests, ["b", "c"]);
    assert_eq!(moved(", level: 2, moves: 1").0, ["a"]);
}

#[test]
fn guests_that_move_anyway_level_the_hosts() {
    let cluster = "hosts:
  - { name: h1, cpu: 10cores, memory: 20GiB, network: 1GiB/s, state: on }
  - { name: h2, cpu: 10cores, memory: 20GiB, network: 1GiB/s, state: on }
  - { name: h3, cpu: 10cores, memory: 20GiB, network: 1GiB/s, state: drain }
guests:
  - { name: a, vcpus: 1, memory: 12GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 6GiB, host: h2 }
  - { name: c, vcpus: 1, memory: 4GiB, host: h3 }
  - { name: d, vcpus: 1, memory: 3GiB, host: h3 }
";
    let policy = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";
    let (cluster, load, policy) = read(cluster, "", policy);
    let Outcome::Optimal(plan) = solve(&cluster, &load, &policy) else {
        panic!("there is a plan");
    };
    // 12 + 0 and 6 + 7 GiB: nothing is flatter, and c and d could both go to either host.
    let carried = |host: &str| -> u64 {
        let there = cluster
            .guests
            .iter()
            .filter(|g| plan.target[&g.name].as_str() == host);
        there.map(|g| g.memory.0 / 1024).sum()
    };
    assert_eq!((carried("h1"), carried("h2")), (12, 13));
}

/// Ten hosts that never sleep with six guests each, whose CPU is drawn by `cpu`.
fn wandering(cpu: &mut dyn FnMut() -> u64) -> (String, String) {
    let mut cluster = "hosts:\n".to_owned();
    let mut load = "guests:\n".to_owned();
    for h in 0..10 {
        cluster += &format!(
            "  - {{ name: h{h}, cpu: 16cores, memory: 64GiB, network: 1GiB/s, state: on, never-sleep: true }}\n"
        );
    }
    cluster += "guests:\n";
    for g in 0..60 {
        let memory = 4 + g * 5 % 7;
        cluster += &format!(
            "  - {{ name: g{g}, vcpus: 2, memory: {memory}GiB, host: h{} }}\n",
            g * g % 10
        );
        load += &format!("  g{g}: {{ cpu: {{ p95: {}mcores }} }}\n", cpu());
    }
    (cluster, load)
}

#[test]
fn hosts_that_are_level_stay_as_they_are_though_load_moves_a_little() {
    let mut rng = crate::rng::Rng::new(5, 1);
    let base: Vec<f64> = (0..60).map(|_| 300.0 + 900.0 * rng.unit()).collect();
    let policy = "headroom: { cpu: 0%, memory: 0% }\nlimits: { nodes: 50, level: 10 }\n";
    let mut drawn = |n: usize| {
        let wander = 1.0 + (rng.unit() - 0.5) * 0.06;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "about a thousand"
        )]
        let cpu = (base[n] * wander) as u64;
        cpu
    };
    let mut at: Option<std::collections::BTreeMap<GuestName, HostName>> = None;
    let mut moved = Vec::new();
    for _ in 0..12 {
        let mut n = 0;
        let (cluster, load) = wandering(&mut || {
            n += 1;
            drawn(n - 1)
        });
        let (mut cluster, load, policy) = read(&cluster, &load, policy);
        if let Some(at) = &at {
            for guest in &mut cluster.guests {
                guest.host = Some(at[&guest.name].clone());
            }
        }
        let (Outcome::Optimal(plan) | Outcome::Feasible(plan)) = solve(&cluster, &load, &policy)
        else {
            panic!("there is a plan");
        };
        moved.push(plan.moves.len());
        at = Some(plan.target);
    }
    // At first there is much to do; then it is level, and hardly anybody moves: of 60 guests in ten plans
    // fewer than one plan may move.
    assert!(moved[0] > 10, "{moved:?}");
    assert!(moved[2..].iter().sum::<usize>() < 10, "{moved:?}");
}

#[test]
fn cpu_over_many_windows_counts_no_more_than_memory_does() {
    let joint = |windows: usize| {
        let mut cluster = "hosts:\n".to_owned();
        for h in ["h1", "h2"] {
            cluster += &format!(
                "  - {{ name: {h}, cpu: 8cores, memory: 32GiB, network: 1GiB/s, state: on, never-sleep: true }}\n"
            );
        }
        // Memory is level. One swap would level the CPU a little, and unlevel memory much.
        cluster += "guests:
  - { name: a, vcpus: 2, memory: 12GiB, host: h1 }
  - { name: b, vcpus: 2, memory: 4GiB, host: h1 }
  - { name: c, vcpus: 2, memory: 8GiB, host: h2 }
  - { name: d, vcpus: 2, memory: 8GiB, host: h2 }
";
        let series = |cpu: &str| {
            let values = vec![cpu; windows].join(", ");
            format!(
                "cpu: {{ windows: {{ start: 2026-01-05T00:00:00Z, step: 300s, values: [{values}] }} }}"
            )
        };
        let load = format!(
            "guests:\n  a: {{ {} }}\n  b: {{ {} }}\n  c: {{ {} }}\n  d: {{ {} }}\n",
            series("0.3"),
            series("0.3"),
            series("0.1"),
            series("0.1")
        );
        let policy = "demand: { joint: true }\nheadroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\nlimits: { nodes: 50, level: 2 }\n";
        let (cluster, load, policy) = read(&cluster, &load, policy);
        let (Outcome::Optimal(plan) | Outcome::Feasible(plan)) = solve(&cluster, &load, &policy)
        else {
            panic!("there is a plan");
        };
        plan.moves.len()
    };
    assert_eq!((joint(1), joint(96)), (0, 0));
}
