//! Certificates of small clusters against all placements, judged one by one; and each number of a
//! certificate changed for the worse.

mod tree;

use proptest::prelude::*;

use super::*;
use crate::certificate::{GroupWeight, GuestWeight, HostMost, NumberProof};
use crate::file::{Source, read_inputs};

const STEPS: u64 = 1_000_000;

type World3 = (Cluster, Load, Policy);

fn inputs(cluster: &str, policy: &str) -> World3 {
    let source = |name: &str, kind: &str, text: &str| Source {
        name: name.into(),
        text: format!("apiVersion: vmpack/v1\nkind: {kind}\n{text}"),
    };
    let read = read_inputs(
        &[source("c", "Cluster", cluster)],
        &[],
        &[source("p", "Policy", policy)],
    )
    .unwrap();
    (read.cluster, read.load, read.policy)
}

fn named<T: std::str::FromStr<Err: std::fmt::Debug>>(names: &[&str]) -> Vec<T> {
    names.iter().map(|n| n.parse().unwrap()).collect()
}

fn part(weights: &[(u64, &[&str])], most: &[(u64, &[&str])]) -> CertificatePart {
    CertificatePart {
        weights: weights
            .iter()
            .map(|(weight, guests)| GuestWeight {
                weight: *weight,
                guests: named(guests),
            })
            .collect(),
        groups: Vec::new(),
        most: most
            .iter()
            .map(|(most, hosts)| HostMost {
                most: *most,
                hosts: named(hosts),
            })
            .collect(),
    }
}

fn of(world: &World3, cost: u64, hosts: u32, parts: Vec<CertificatePart>) -> Certificate {
    Certificate {
        base: base(&world.0, &world.1, &world.2),
        bound: CertifiedBound {
            cost: Sum(cost),
            hosts,
        },
        origin: "by hand".into(),
        parts,
        number: None,
        tree: None,
        uncertified: None,
    }
}

fn check(world: &World3, stated: &Certificate) -> Verdict {
    certificate(&world.0, &world.1, &world.2, stated, STEPS)
}

/// The laws that refuse it, and what they say.
fn refused(world: &World3, stated: &Certificate, law: &str, says: &str) {
    let verdict = check(world, stated);
    let found = verdict
        .violations
        .iter()
        .any(|v| v.law == law && v.detail.contains(says));
    assert!(found, "{law}: {says}: {verdict:?}");
}

const FIVE: &str = "
hosts:
  - { name: h1, cpu: 8cores, memory: 10GiB, network: 100MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 10GiB, network: 100MiB/s, state: on }
  - { name: h3, cpu: 8cores, memory: 10GiB, network: 100MiB/s, state: on }
  - { name: h4, cpu: 8cores, memory: 4GiB, network: 100MiB/s, state: on, never-sleep: true }
  - { name: h5, cpu: 8cores, memory: 10GiB, network: 100MiB/s, state: drain }
guests:
  - { name: a, vcpus: 1, memory: 6GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 6GiB, host: h2 }
  - { name: c, vcpus: 1, memory: 6GiB, host: h3 }
  - { name: d, vcpus: 1, memory: 3GiB, host: h4 }
";
const PLAIN: &str = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";

#[test]
fn a_certificate_is_proven_and_each_worse_number_is_refused() {
    let world = inputs(FIVE, PLAIN);
    let all: &[&str] = &["h1", "h2", "h3"];
    let parts = || vec![part(&[(1, &["a", "b", "c"])], &[(1, all), (0, &["h4"])])];
    let good = of(&world, 4000, 4, parts());
    let verdict = check(&world, &good);
    assert!(verdict.ok(), "{verdict:?}");
    assert_eq!(verdict.proven, Some(good.bound));
    // Less may be claimed than is proven.
    assert!(check(&world, &of(&world, 2000, 1, parts())).ok());
    // h4 takes none of the three, so it may be left out; h5 is drained.
    let three = vec![part(&[(1, &["a", "b", "c"])], &[(1, all)])];
    assert_eq!(check(&world, &of(&world, 4000, 4, three)).violations, []);

    refused(&world, &of(&world, 4001, 4, parts()), "bound", "a cost of");
    refused(
        &world,
        &of(&world, 4000, 5, parts()),
        "bound",
        "a number of",
    );
    type Change = fn(&mut Certificate);
    let changes: &[(&str, &str, Change)] = &[
        ("base", "other inputs", |c| c.base = "sha256:0".into()),
        ("most", "host h4 can hold d, of weight 1, where 0", |c| {
            c.parts[0].weights.push(GuestWeight {
                weight: 1,
                guests: named(&["d"]),
            });
        }),
        ("most", "of weight 2, where 1 is stated", |c| {
            c.parts[0].weights[0].weight = 2
        }),
        ("most", "host h1 and 2 like it can hold", |c| {
            c.parts[0].most[0].most = 0
        }),
        ("certificate", "guest a is named twice", |c| {
            c.parts[0].weights.push(GuestWeight {
                weight: 1,
                guests: named(&["a"]),
            });
        }),
        ("certificate", "host h1 is named twice", |c| {
            c.parts[0].most.push(HostMost {
                most: 9,
                hosts: named(&["h1"]),
            });
        }),
        (
            "certificate",
            "guest a may be on h2, which is not among",
            |c| {
                c.parts[0].most[0].hosts.retain(|h| h.as_str() != "h2");
            },
        ),
        ("certificate", "guest z is not in", |c| {
            c.parts[0].weights[0]
                .guests
                .extend(named::<GuestName>(&["z"]));
        }),
        ("certificate", "host z is not in", |c| {
            c.parts[0].most[0].hosts.extend(named::<HostName>(&["z"]));
        }),
        ("certificate", "neither a gather rule", |c| {
            c.parts[0].groups.push(GroupWeight {
                weight: 1,
                gathered: named(&["b", "d"]),
            });
        }),
        ("certificate", "no guests", |c| {
            c.parts[0].groups.push(GroupWeight {
                weight: 1,
                gathered: vec![],
            });
        }),
    ];
    for (law, says, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        refused(&world, &bad, law, says);
    }
}

#[test]
fn rules_that_one_host_sees_count_and_parts_add_up() {
    let rules = "rules:
  - { kind: spread, name: apart, guests: [b, d] }
  - { kind: gather, name: beside, guests: [a, d] }
  - { kind: ban, name: off, guests: [c], hosts: [h1, h2] }
";
    let world = inputs(FIVE, &format!("{PLAIN}{rules}"));
    // a and d fill one of h1 to h3 together, c has only h3 (h4 is too small), b is apart from d.
    let mut whole = part(
        &[(1, &["b", "c"])],
        &[(1, &["h1", "h2", "h3"]), (0, &["h4"])],
    );
    whole.groups.push(GroupWeight {
        weight: 1,
        gathered: named(&["a", "d"]),
    });
    let verdict = check(&world, &of(&world, 4000, 4, vec![whole]));
    assert!(verdict.ok(), "{verdict:?}");
    // c keeps h3 in use and h4 never sleeps; 21 GiB need three hosts, whatever is said.
    let none = check(&world, &of(&world, 3000, 3, vec![]));
    assert!(none.ok(), "{none:?}");
    assert!(!check(&world, &of(&world, 3001, 3, vec![])).ok());

    let fences = "rules:
  - { kind: fence, name: f, guests: [a, b], hosts: [h1, h2] }
  - { kind: fence, name: g, guests: [c, d], hosts: [h3, h4] }
costs: { hosts: { h1: 3, h3: 0.5 } }
";
    let world = inputs(FIVE, &format!("{PLAIN}{fences}"));
    let parts = vec![
        part(&[(1, &["a", "b"])], &[(1, &["h1", "h2"])]),
        part(&[(2, &["c"]), (1, &["d"])], &[(3, &["h3"]), (1, &["h4"])]),
    ];
    // 3 + 1 for the first, h3 as the only one for c and h4 that never sleeps.
    let verdict = check(&world, &of(&world, 5500, 4, parts));
    assert!(verdict.ok(), "{verdict:?}");
    assert_eq!(verdict.proven.unwrap().cost, Sum(5500));
}

#[test]
fn an_impossible_world_makes_any_bound_true() {
    let world = inputs(
        FIVE,
        &format!(
            "{PLAIN}rules:\n  - {{ kind: fence, name: f, guests: [a, b, c], hosts: [h1, h2] }}\n"
        ),
    );
    let parts = vec![part(&[(1, &["a", "b", "c"])], &[(1, &["h1", "h2"])])];
    let verdict = check(&world, &of(&world, 99_000, 99, parts));
    assert!(verdict.ok() && verdict.no_placement, "{verdict:?}");
}

const SPARSE: &str = "
hosts:
  - { name: h1, cpu: 8cores, memory: 10GiB, network: 100MiB/s, labels: { rack: a }, state: on }
  - { name: h2, cpu: 8cores, memory: 10GiB, network: 100MiB/s, labels: { rack: a }, state: on }
  - { name: h3, cpu: 8cores, memory: 4GiB, network: 100MiB/s, labels: { rack: b }, state: on }
  - { name: h4, cpu: 8cores, memory: 5GiB, network: 100MiB/s, labels: { rack: c }, state: on }
guests:
  - { name: a, vcpus: 1, memory: 4GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 4GiB, host: h2 }
  - { name: c, vcpus: 1, memory: 4GiB, host: h3 }
  - { name: d, vcpus: 1, memory: 4GiB, host: h4 }
";

/// Nothing is weighed, and nothing more than that is proven.
#[test]
fn rules_bound_the_hosts_without_weights() {
    let drained = SPARSE.replace("rack: a }, state: on", "rack: a }, state: drain");
    let larger = SPARSE.replace("d, vcpus: 1, memory: 4GiB", "d, vcpus: 1, memory: 8GiB");
    let all_stay = "rules: [{ kind: pin, name: p, guests: ['*'] }]
";
    for (cluster, policy, cost, hosts) in [
        (SPARSE, "", 0, 0),
        (
            SPARSE,
            "limits: { moves: 1 }
",
            3000,
            3,
        ),
        (
            SPARSE,
            "limits: { moves: 1 }
costs: { hosts: { h1: 3, h4: 5 } }
",
            5000,
            3,
        ),
        (
            SPARSE,
            "rules: [{ kind: max-moves, name: m, moves: 2 }]
",
            2000,
            2,
        ),
        (
            SPARSE,
            "rules: [{ kind: max-moves, name: m, guests: [a, b], moves: 0 }]
",
            2000,
            2,
        ),
        // Who drains takes two of the three moves.
        (
            &drained,
            "limits: { moves: 3 }
",
            1000,
            1,
        ),
        (SPARSE, all_stay, 4000, 4),
        // 16 GiB and one host's 10: all but 3 of what there is.
        (
            SPARSE,
            "rules: [{ kind: spare, name: s, room: 1 }]
",
            4000,
            4,
        ),
        // One host of each rack has 19 GiB.
        (
            SPARSE,
            "rules: [{ kind: spread, name: s, guests: [a, b, c], over: rack }]
",
            3000,
            3,
        ),
        (
            &larger,
            "rules: [{ kind: spread, name: s, guests: [a, b, c], over: rack }]
",
            4000,
            4,
        ),
    ] {
        let world = inputs(cluster, &format!("{PLAIN}{policy}"));
        let bound = by_rules(&world.0, &world.1, &world.2).unwrap();
        let verdict = check(&world, &of(&world, cost, hosts, vec![]));
        assert!(verdict.ok(), "{policy}: {verdict:?}");
        let proven = verdict.proven.unwrap();
        assert_eq!((proven.cost.0, proven.hosts), (cost, hosts), "{policy}");
        assert!(bound.cost <= proven.cost && bound.hosts <= proven.hosts);
        assert!(!check(&world, &of(&world, cost + 1, hosts, vec![])).ok());
        assert!(!check(&world, &of(&world, cost, hosts + 1, vec![])).ok());
    }
    let none = inputs(
        SPARSE,
        &format!(
            "{PLAIN}rules: [{{ kind: spare, name: s, room: 2 }}]
"
        ),
    );
    assert_eq!(by_rules(&none.0, &none.1, &none.2), None);
}

/// A guest too many leaves a host that stays, of those that count.
#[test]
fn an_overloaded_host_takes_moves() {
    let crowded = SPARSE.replace("host: h4 }", "host: h3 }");
    for (policy, hosts) in [
        // One of c and d leaves h3, so that nobody else does.
        (
            "limits: { moves: 1 }
",
            3,
        ),
        (
            "rules: [{ kind: max-moves, name: m, guests: [a, b, c], moves: 1 }]
",
            2,
        ),
    ] {
        let world = inputs(&crowded, &format!("{PLAIN}{policy}"));
        let bound = by_rules(&world.0, &world.1, &world.2).unwrap();
        assert_eq!(bound.hosts, hosts, "{policy}");
    }
}

#[test]
fn cost_and_number_may_be_proven_by_different_weights() {
    let hosts = "costs: { hosts: { h1: 3, h2: 3, h3: 3 } }
";
    let world = inputs(FIVE, &format!("{PLAIN}{hosts}"));
    let all: &[&str] = &["h1", "h2", "h3"];
    // That h4 never sleeps is of the inputs.
    let little = vec![part(&[(1, &["a", "b"])], &[(1, all)])];
    let mut both = of(&world, 7000, 4, little);
    assert!(!check(&world, &both).ok());
    let proof = |most| NumberProof {
        origin: "by hand".into(),
        parts: vec![part(&[(1, &["a", "b", "c"])], &[(most, all)])],
    };
    both.number = Some(proof(1));
    let verdict = check(&world, &both);
    assert!(verdict.ok(), "{verdict:?}");
    assert_eq!(verdict.proven.unwrap().hosts, 4);
    both.number = Some(proof(0));
    refused(&world, &both, "most", "where 0 is stated");
    both.number = None;
    refused(&world, &both, "bound", "a number of at least 4");
}

/// A small cluster in text: hosts (memory, cores, state), guests (memory, vCPUs), rules by number.
fn cluster() -> impl Strategy<Value = (String, String, Vec<u64>)> {
    let host = (2u64..9, 1u64..5, 0u64..10, 0u64..3);
    let guest = (1u64..5, 1u64..3, prop::bool::weighted(0.15), 0usize..4);
    let rule = (0usize..6, 0usize..6, 0usize..6, 0usize..4);
    (
        prop::collection::vec(host, 2..5),
        prop::collection::vec(guest, 2..7),
        prop::collection::vec(rule, 0..4),
        prop::collection::vec(0u64..6, 7),
    )
        .prop_map(|(hosts, guests, rules, weights)| {
            let mut text = "hosts:\n".to_owned();
            let mut policy = format!("{PLAIN}over-commit: {{ cpu: 1 }}\n");
            let mut costs = String::new();
            for (i, (memory, cores, state, cost)) in hosts.iter().enumerate() {
                let state = match state {
                    0 => "asleep",
                    1 => "drain",
                    2 => "on, never-sleep: true",
                    _ => "on",
                };
                text += &format!("  - {{ name: h{i}, cpu: {cores}cores, memory: {memory}GiB, network: 1MiB/s, labels: {{ rack: r{} }}, state: {state} }}\n", i % 2);
                costs += &format!("h{i}: {}, ", 1 + cost);
            }
            policy += &format!("costs: {{ hosts: {{ {} }} }}\n", costs.trim_end_matches(", "));
            text += "guests:\n";
            for (i, (memory, vcpus, stays, on)) in guests.iter().enumerate() {
                let host = hosts.get(*on).filter(|h| h.2 > 0).map_or("null".into(), |_| format!("h{on}"));
                text += &format!("  - {{ name: g{i}, vcpus: {vcpus}, memory: {memory}GiB, host: {host}, movable: {} }}\n", !stays);
            }
            if !rules.is_empty() {
                policy += "rules:\n";
            }
            for (i, (kind, a, b, h)) in rules.iter().enumerate() {
                let (a, b, h) = (a % guests.len(), b % guests.len(), h % hosts.len());
                policy += &match kind {
                    0 => format!("  - {{ kind: spread, name: r{i}, guests: [g{a}, g{b}] }}\n"),
                    1 => format!("  - {{ kind: spread, name: r{i}, guests: [g{a}, g{b}], over: rack }}\n"),
                    2 => format!("  - {{ kind: gather, name: r{i}, guests: [g{a}, g{b}] }}\n"),
                    5 => format!("  - {{ kind: max-moves, name: r{i}, moves: {h} }}\n"),
                    3 => format!("  - {{ kind: ban, name: r{i}, guests: [g{a}, g{b}], hosts: [h{h}] }}\n"),
                    _ => format!("  - {{ kind: fence, name: r{i}, guests: [g{a}], hosts: [rack=r{}] }}\n", h % 2),
                };
            }
            (text, policy, weights)
        })
}

/// Whether the judge finds nothing against the guests of the set on that host, gathered ones whole.
fn stands(world: &World3, host: &HostName, set: &[usize]) -> bool {
    let torn = world.2.rules.iter().any(|rule| {
        let named = crate::rule::guests_named(rule.kind.guests(), &world.0).unwrap();
        let inside = |g: &&&GuestName| set.iter().any(|i| world.0.guests[*i].name == ***g);
        let there = named.iter().filter(inside).count();
        rule.kind.name() == "gather" && there > 0 && there < named.len()
    });
    if torn {
        return false;
    }
    let on = set
        .iter()
        .map(|g| (world.0.guests[*g].name.clone(), host.clone()));
    // A limit on moves is of all hosts together.
    let mut policy = world.2.clone();
    policy.rules.retain(|r| r.kind.name() != "max-moves");
    super::super::placement(&world.0, &world.1, &policy, &on.collect()).is_empty()
}

/// The heaviest set of guests on each host, by trying all.
fn heaviest(world: &World3, weights: &[u64]) -> Vec<u64> {
    let n = world.0.guests.len();
    world
        .0
        .hosts
        .iter()
        .map(|host| {
            (0u32..1 << n)
                .map(|set| (0..n).filter(|g| set >> g & 1 == 1).collect::<Vec<_>>())
                .filter(|set| stands(world, &host.name, set))
                .map(|set| set.iter().map(|g| weights[*g]).sum())
                .max()
                .unwrap_or(0)
        })
        .collect()
}

/// The least cost and number of hosts in use over all placements; nothing when there is none.
fn optimum(world: &World3) -> Option<(u64, usize)> {
    let (cluster, _, policy) = world;
    let (n, h) = (cluster.guests.len(), cluster.hosts.len());
    let mut best: Option<(u64, usize)> = None;
    for code in 0..h.pow(u32::try_from(n).unwrap()) {
        let target: BTreeMap<GuestName, HostName> = (0..n)
            .map(|g| {
                let on = code / h.pow(u32::try_from(g).unwrap()) % h;
                (
                    cluster.guests[g].name.clone(),
                    cluster.hosts[on].name.clone(),
                )
            })
            .collect();
        if !super::super::placement(cluster, &world.1, policy, &target).is_empty() {
            continue;
        }
        let always = cluster
            .hosts
            .iter()
            .filter(|h| super::super::in_use_always(h));
        let used: BTreeSet<&HostName> = target.values().chain(always.map(|h| &h.name)).collect();
        let cost = used.iter().map(|h| policy.costs.of(h).0).sum();
        let (c, k) = best.unwrap_or((cost, used.len()));
        best = Some((c.min(cost), k.min(used.len())));
    }
    best
}

/// Each guest and each host by itself.
fn weighed(world: &World3, weights: &[u64], most: &[u64]) -> CertificatePart {
    CertificatePart {
        weights: (world.0.guests.iter().zip(weights))
            .map(|(g, w)| GuestWeight {
                weight: *w,
                guests: vec![g.name.clone()],
            })
            .collect(),
        groups: Vec::new(),
        most: (world.0.hosts.iter().zip(most))
            .map(|(h, m)| HostMost {
                most: *m,
                hosts: vec![h.name.clone()],
            })
            .collect(),
    }
}

/// What the certificate proves is at most what the best placement has, and no more can be claimed. Where
/// `gathered` guests are weighed one by one, the checker may see more fit than do, and refuse it.
fn holds(
    world: &World3,
    mut good: Certificate,
    gathered: bool,
    best: Option<(u64, usize)>,
) -> Result<(), TestCaseError> {
    let verdict = check(world, &good);
    prop_assert!(verdict.ok() || gathered, "{:?}", verdict);
    match (verdict.proven, best) {
        (Some(proven), Some((cost, number))) => {
            prop_assert!(proven.cost.0 <= cost && proven.hosts as usize <= number);
            good.bound = proven;
            prop_assert!(check(world, &good).ok());
            good.bound.hosts += 1;
            prop_assert!(!check(world, &good).ok());
            good.bound = CertifiedBound {
                cost: Sum(proven.cost.0 + 1),
                ..proven
            };
            prop_assert!(!check(world, &good).ok());
        }
        (None, Some(_)) => prop_assert!(!verdict.no_placement),
        (_, None) => {}
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_is_proven_holds_in_every_placement_and_true_maxima_are_accepted(
        (cluster, policy, weights) in cluster(),
    ) {
        let world = inputs(&cluster, &policy);
        let most = heaviest(&world, &weights);
        let stated = |weights: &[u64], most: &[u64]| of(&world, 0, 0, vec![weighed(&world, weights, most)]);
        let best = optimum(&world);
        holds(&world, stated(&weights, &most), policy.contains("gather"), best)?;
        for h in (0..most.len()).filter(|h| most[*h] > 0) {
            let mut less = most.clone();
            less[h] -= 1;
            prop_assert!(!check(&world, &stated(&weights, &less)).ok(), "{} lowered", h);
        }
        for g in 0..world.0.guests.len() {
            let mut more = weights.clone();
            more[g] += 1;
            let verdict = check(&world, &stated(&more, &most));
            if heaviest(&world, &more).iter().zip(&most).any(|(is, said)| is > said) {
                prop_assert!(!verdict.ok(), "{} raised", g);
            } else if let (Some(proven), Some((cost, number))) = (verdict.proven, best) {
                prop_assert!(proven.cost.0 <= cost && proven.hosts as usize <= number);
            }
        }
    }
}
