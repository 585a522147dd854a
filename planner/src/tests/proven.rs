//! What a plan claims of its hosts is what its certificate proves: [`super::solve`] asserts that of every
//! plan, and these are made so that one proof alone, or weights alone, would fall short.

use proptest::prelude::*;

use super::{planned, read, solve, strangers};

fn hosts(each: &[(u64, u64)]) -> String {
    let mut text = "hosts:\n".to_owned();
    for (i, (cores, memory)) in each.iter().enumerate() {
        text += &format!(
            "  - {{ name: h{i}, cpu: {cores}cores, memory: {memory}GiB, network: 1GiB/s, labels: {{ rack: r{} }}, state: on }}\n",
            i.saturating_sub(2)
        );
    }
    text
}

/// Guests by what they take, on the host of their number or on none.
fn guests(each: &[(u64, u64)], hosts: usize) -> String {
    let mut text = "guests:\n".to_owned();
    for (i, (vcpus, memory)) in each.iter().enumerate() {
        let host = if i < hosts {
            format!("h{i}")
        } else {
            "null".into()
        };
        text +=
            &format!("  - {{ name: g{i}, vcpus: {vcpus}, memory: {memory}GiB, host: {host} }}\n");
    }
    text
}

const PLAIN: &str = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";

/// Cost and number of the hosts that are proven to be needed, of a plan that is proven.
fn check(hosts_: &[(u64, u64)], guests_: &[(u64, u64)], policy: &str, cost: u64, number: u32) {
    let cluster = hosts(hosts_) + &guests(guests_, hosts_.len());
    let (cluster, load, policy) = read(&cluster, "", &format!("{PLAIN}{policy}"));
    let outcome = solve(&cluster, &load, &policy);
    let claim = &planned(&outcome).claim;
    assert_eq!(
        (claim.bound.0, claim.hosts_bound),
        (cost, number),
        "{claim:?}"
    );
    assert_eq!(claim.objective.0, cost);
}

#[test]
fn limits_on_moves_are_proven() {
    check(
        &[(8, 10); 8],
        &[(1, 2); 8],
        "limits: { moves: 1 }\n",
        7000,
        7,
    );
    let rule = "rules: [{ kind: max-moves, name: few, guests: [g0, g1, g2], moves: 1 }]\n";
    check(&[(8, 16); 5], &[(1, 2); 5], rule, 2000, 2);
    let costs = "limits: { moves: 2 }\ncosts: { hosts: { h0: 5, h1: 4, h2: 0.5 } }\n";
    check(&[(8, 10); 5], &[(1, 2); 5], costs, 2500, 3);
}

#[test]
fn spare_room_and_places_are_proven() {
    let spare = "rules: [{ kind: spare, name: s, room: 2 }]\n";
    check(&[(8, 10); 5], &[(1, 2); 5], spare, 3000, 3);
    let apart = "rules: [{ kind: spread, name: s, guests: [g0, g1, g2], over: rack }]\n";
    // Three large hosts have the room of all, and stand in one rack.
    let rooms = [(8, 20), (8, 20), (8, 20), (8, 9), (8, 5)];
    check(&rooms, &[(1, 4); 10], apart, 4000, 4);
}

#[test]
fn hosts_of_different_cost_are_proven() {
    let costs = "costs: { hosts: { h0: 3, h1: 3, h2: 3, h3: 0.5, h4: 0.5, h5: 0.5, h6: 0.5, h7: 0.5, h8: 0.5 } }\n";
    let rooms = [
        (8, 10),
        (8, 10),
        (8, 10),
        (8, 4),
        (8, 4),
        (8, 4),
        (8, 4),
        (8, 4),
        (8, 4),
    ];
    let needs = [(1, 5), (1, 4), (1, 4), (1, 4), (1, 4), (1, 4), (1, 4)];
    check(&rooms, &needs, costs, 5500, 4);
    // Memory is cheap and cores are not, so that the cost is of the one and the number of the other.
    let costs = "costs: { hosts: { h0: 3, h1: 3, h2: 3, h3: 3 } }\nover-commit: { cpu: 1 }\n";
    let rooms = [
        (10, 4),
        (10, 4),
        (10, 4),
        (10, 4),
        (2, 10),
        (2, 10),
        (2, 10),
        (2, 10),
    ];
    let needs = [
        (2, 4),
        (2, 4),
        (2, 4),
        (2, 4),
        (1, 3),
        (1, 3),
        (1, 3),
        (1, 1),
    ];
    let cluster = hosts(&rooms) + &guests(&needs, rooms.len());
    let (cluster, load, policy) = read(&cluster, "", &format!("{PLAIN}{costs}"));
    let _ = planned(&solve(&cluster, &load, &policy));
}

/// Three hosts suffice fractionally.
#[test]
fn what_only_cases_prove_is_proven() {
    let mut rules = String::from("rules:\n");
    for (i, j) in strangers() {
        rules += &format!("  - {{ kind: spread, name: s{j}-{i}, guests: [g{j}, g{i}] }}\n");
    }
    let (hosts_, guests_) = ([(64, 64); 6], [(1, 1); 15]);
    check(&hosts_, &guests_, &rules, 4000, 4);

    let cluster = hosts(&hosts_) + &guests(&guests_, hosts_.len());
    let limits = "limits: { nodes: 1000 }\n";
    let (cluster, load, policy) = read(&cluster, "", &format!("{PLAIN}{limits}{rules}"));
    let origin = &planned(&solve(&cluster, &load, &policy))
        .claim
        .origin
        .clone();
    assert!(origin.starts_with("branch and price"), "{origin}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Hosts that differ only in who may be there, or in that they never sleep.
    #[test]
    fn what_is_branched_on_is_proven_of_hosts_of_several_kinds(
        hosts in prop::collection::vec((prop::bool::ANY, prop::bool::weighted(0.3), 1u64..=3), 3..=7),
        guests in prop::collection::vec((2u64..=6, 2u64..=6), 5..=12),
        fenced in prop::collection::vec((0usize..12, 0usize..7, 0usize..7), 0..3),
        apart in prop::collection::vec((0usize..12, 0usize..12), 0..8),
    ) {
        let mut cluster = "hosts:\n".to_owned();
        let mut costs = Vec::new();
        for (i, (large, awake, cost)) in hosts.iter().enumerate() {
            let cores = if *large { 12 } else { 9 };
            cluster += &format!("  - {{ name: h{i}, cpu: {cores}cores, memory: 10GiB, network: 1GiB/s, ");
            cluster += &format!("state: on, never-sleep: {awake} }}\n");
            costs.push(format!("h{i}: {}", if *large { *cost } else { 1 }));
        }
        cluster += &self::guests(&guests, 0);
        let mut rules = "rules:\n".to_owned();
        let (g, h) = (guests.len(), hosts.len());
        for (i, (guest, one, other)) in fenced.iter().enumerate() {
            let (guest, one, other) = (guest % g, one % h, other % h);
            let kind = if i == 0 { "fence" } else { "ban" };
            let on = if one == other { format!("h{one}") } else { format!("h{one}, h{other}") };
            let of = format!("guests: [g{guest}], hosts: [{on}]");
            rules += &format!("  - {{ kind: {kind}, name: f{i}, {of} }}\n");
        }
        let apart = apart.iter().map(|(a, b)| (a % g, b % g)).filter(|(a, b)| a != b);
        for (i, (a, b)) in apart.enumerate() {
            rules += &format!("  - {{ kind: spread, name: s{i}, guests: [g{a}, g{b}] }}\n");
        }
        let rules = if rules == "rules:\n" { String::new() } else { rules };
        let costs = format!("costs: {{ hosts: {{ {} }} }}\n", costs.join(", "));
        let policy = format!("{PLAIN}limits: {{ nodes: 400 }}\n{costs}{rules}");
        let (cluster, load, policy) = read(&cluster, "", &policy);
        let _ = solve(&cluster, &load, &policy);
    }
}
