//! Trees of cases: what they prove holds, and each change for the worse is refused.

use super::*;
use crate::certificate::{Given, TreeLeaf, TreeProof};
use crate::rule::{Over, Rule, RuleKind};

fn apart(a: &str, b: &str) -> Given {
    Given::Apart {
        guests: [a.parse().unwrap(), b.parse().unwrap()],
    }
}

fn at_most(number: u32, hosts: &[&str]) -> Given {
    Given::AtMost {
        number,
        hosts: named(hosts),
    }
}

fn idle(host: &str) -> Given {
    at_most(0, &[host])
}

fn leaf(given: &[Given], parts: Vec<CertificatePart>) -> TreeLeaf {
    TreeLeaf {
        given: given.to_vec(),
        parts,
    }
}

fn by_cases(world: &World3, cost: u64, hosts: u32, leaves: Vec<TreeLeaf>) -> Certificate {
    Certificate {
        tree: Some(TreeProof {
            origin: "by hand".into(),
            leaves,
        }),
        ..of(world, cost, hosts, Vec::new())
    }
}

/// Two guests fill a host, all three do not fit; h1 is dear.
const THREE: &str = "
hosts:
  - { name: h1, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }
  - { name: h3, cpu: 8cores, memory: 7GiB, network: 100MiB/s, state: on }
guests:
  - { name: a, vcpus: 1, memory: 4GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 4GiB, host: h2 }
  - { name: c, vcpus: 1, memory: 3GiB, host: h3 }
";

#[test]
fn a_tree_is_proven_and_each_worse_one_is_refused() {
    let world = inputs(THREE, &format!("{PLAIN}costs: {{ hosts: {{ h1: 3 }} }}\n"));
    let all: &[&str] = &["h1", "h2", "h3"];
    let pair = || CertificatePart {
        weights: Vec::new(),
        groups: vec![GroupWeight {
            weight: 1,
            gathered: named(&["a", "b"]),
        }],
        most: vec![HostMost {
            most: 1,
            hosts: named(&["h1", "h2"]),
        }],
    };
    let cases = || {
        let ab = apart("a", "b");
        let ac = apart("a", "c");
        vec![
            leaf(
                &[ab.clone(), idle("h1")],
                vec![part(&[(1, &["a", "b"])], &[(1, &["h2", "h3"])])],
            ),
            leaf(
                &[ab.clone(), idle("h1").opposite()],
                vec![part(&[(1, &["a", "b"])], &[(1, all)])],
            ),
            // c has no room beside the two.
            leaf(
                &[ab.opposite(), ac.clone()],
                vec![CertificatePart {
                    weights: vec![GuestWeight {
                        weight: 1,
                        guests: named(&["c"]),
                    }],
                    most: vec![HostMost {
                        most: 1,
                        hosts: named(all),
                    }],
                    ..pair()
                }],
            ),
            leaf(
                &[ab.opposite(), ac.opposite()],
                vec![CertificatePart {
                    weights: Vec::new(),
                    groups: vec![GroupWeight {
                        weight: 1,
                        gathered: named(&["a", "b", "c"]),
                    }],
                    most: Vec::new(),
                }],
            ),
        ]
    };
    let good = by_cases(&world, 2000, 2, cases());
    let verdict = check(&world, &good);
    assert!(verdict.ok(), "{verdict:?}");
    assert_eq!(verdict.proven, Some(good.bound));
    assert!(!check(&world, &by_cases(&world, 2001, 2, cases())).ok());
    assert!(!check(&world, &by_cases(&world, 2000, 3, cases())).ok());

    type Change = fn(&mut Vec<TreeLeaf>);
    let changes: &[(&str, &str, Change)] = &[
        ("tree", "it has no leaves", Vec::clear),
        (
            "tree",
            "branch 2 of leaf 1 has no leaf on its other side",
            |l| {
                l.remove(1);
            },
        ),
        (
            "tree",
            "branch 1 of leaf 1 has no leaf on its other side",
            |l| {
                l.truncate(2);
            },
        ),
        (
            "tree",
            "leaves 1 and 3 are not on the sides of one branch, which is number 1",
            |l| {
                l[2].given[0] = apart("a", "c").opposite();
            },
        ),
        (
            "tree",
            "leaves 1 and 2 are not on the sides of one branch, which is number 2",
            |l| {
                l[1].given.pop();
            },
        ),
        (
            "tree",
            "leaves 1 and 2 are not on the sides of one branch, which is number 2",
            |l| {
                l[1].given[1] = idle("h2").opposite();
            },
        ),
        (
            "tree",
            "leaf 1: `z` of a branch is not in the cluster",
            |l| {
                l[0].given[1] = idle("z");
                l[1].given[1] = idle("z").opposite();
            },
        ),
        (
            "certificate",
            "leaf 4: guests a, b, c are weighed as one",
            |l| {
                l[3].given[1] = apart("a", "b");
                l[2].given[1] = apart("a", "b").opposite();
            },
        ),
        ("most", "leaf 1: host h3 can hold a, of weight 2", |l| {
            l[0].parts[0].weights[0].weight = 2;
        }),
        ("most", "leaf 2: host h3 can hold", |l| {
            l[1].parts[0].most[0].most = 0;
        }),
        (
            "certificate",
            "leaf 3: guests a, b are weighed as one",
            |l| {
                l.truncate(2);
                l.push(leaf(&[apart("a", "b").opposite()], Vec::new()));
                l.iter_mut().for_each(|l| l.given[0] = apart("a", "c"));
                l[2].given[0] = apart("a", "c").opposite();
                l[2].parts = vec![CertificatePart {
                    weights: Vec::new(),
                    groups: vec![GroupWeight {
                        weight: 1,
                        gathered: named(&["a", "b"]),
                    }],
                    most: vec![HostMost {
                        most: 1,
                        hosts: named(&["h1", "h2", "h3"]),
                    }],
                }];
                l[0].parts.clear();
                l[1].parts.clear();
            },
        ),
    ];
    for (law, says, change) in changes {
        let mut bad = cases();
        change(&mut bad);
        refused(&world, &by_cases(&world, 2000, 2, bad), law, says);
    }
    // The branches exchanged for others everywhere are a tree, in which the weights prove too little.
    let mut other = cases();
    for (side, leaves) in [(apart("b", "c"), 0..2), (apart("b", "c").opposite(), 2..4)] {
        other[leaves]
            .iter_mut()
            .for_each(|l| l.given[0] = side.clone());
    }
    assert!(!check(&world, &by_cases(&world, 2000, 2, other)).ok());
    // Each leaf takes of the same steps.
    let few = certificate(&world.0, &world.1, &world.2, &good, 20);
    assert!(
        few.violations
            .iter()
            .any(|v| v.detail.contains("within the steps")),
        "{few:?}"
    );
}

#[test]
fn a_host_that_is_given_to_be_in_use_is_paid() {
    let world = inputs(THREE, &format!("{PLAIN}costs: {{ hosts: {{ h1: 3 }} }}\n"));
    let least = |given: Given| {
        let leaves = vec![
            leaf(std::slice::from_ref(&given), vec![]),
            leaf(&[given.opposite()], vec![]),
        ];
        check(&world, &by_cases(&world, 0, 0, leaves))
            .proven
            .unwrap()
    };
    assert_eq!(least(idle("h1")).cost, Sum(0));
    // Without h3 both others have to carry what they do not fit on one; with it, it is paid.
    let parts = vec![part(
        &[(4, &["a", "b"]), (3, &["c"])],
        &[(8, &["h1", "h2"])],
    )];
    let leaves = vec![
        leaf(&[idle("h3")], parts),
        leaf(&[idle("h3").opposite()], vec![]),
    ];
    let verdict = check(&world, &by_cases(&world, 1000, 1, leaves));
    assert!(verdict.ok(), "{verdict:?}");
    assert_eq!(verdict.proven.unwrap().hosts, 1);
}

/// The world with what is given as rules of its policy; what says nothing of guests is left out.
fn narrowed(world: &World3, given: &[Given]) -> World3 {
    let (cluster, load, mut policy) = world.clone();
    for (number, side) in given.iter().enumerate() {
        let names = |guests: &[GuestName; 2]| guests.iter().map(ToString::to_string).collect();
        let kind = match side {
            Given::Apart { guests } => RuleKind::Spread {
                guests: names(guests),
                over: Over::Host,
            },
            Given::Together { guests } => RuleKind::Gather {
                guests: names(guests),
                over: Over::Host,
            },
            Given::AtMost { number: 0, hosts } => RuleKind::Ban {
                guests: vec!["*".into()],
                hosts: hosts.iter().map(ToString::to_string).collect(),
            },
            // Of what fits on one host they say nothing.
            Given::AtMost { .. } | Given::AtLeast { .. } => continue,
        };
        policy.rules.push(Rule {
            name: format!("given{number}"),
            kind,
        });
    }
    (cluster, load, policy)
}

/// A branch by numbers: of two of the guests, or of some of the hosts.
fn branch((kind, a, b): (bool, usize, usize), world: &World3) -> Given {
    let (guests, hosts) = (&world.0.guests, &world.0.hosts);
    let first = a % guests.len();
    let second = (first + 1 + b % (guests.len() - 1)) % guests.len();
    if kind {
        Given::Apart {
            guests: [guests[first].name.clone(), guests[second].name.clone()],
        }
    } else {
        let some = hosts.iter().cycle().skip(a).take(1 + b % hosts.len());
        let number = (a + b) % (1 + b % hosts.len());
        Given::AtMost {
            number: u32::try_from(number).unwrap(),
            hosts: some.map(|h| h.name.clone()).collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_a_tree_proves_holds_and_what_is_worse_is_refused(
        (cluster, policy, weights) in cluster(),
        branches in prop::collection::vec((prop::bool::weighted(0.7), 0usize..6, 0usize..6), 1..4),
        shift in 0usize..6,
    ) {
        let world = inputs(&cluster, &policy);
        // A comb: each branch has a leaf on one side, the next branch on its other.
        let mut given: Vec<Given> = Vec::new();
        let mut cases: Vec<Vec<Given>> = Vec::new();
        for (number, text) in branches.iter().enumerate() {
            let mut side = branch(*text, &world);
            if (shift + number).is_multiple_of(2) {
                side = side.opposite();
            }
            cases.push([given.clone(), vec![side.clone()]].concat());
            given.push(side.opposite());
        }
        cases.push(given);
        let mut leaves = Vec::new();
        for (number, given) in cases.into_iter().enumerate() {
            let mut weights = weights.clone();
            weights.rotate_left((shift + number) % 7);
            let most = heaviest(&narrowed(&world, &given), &weights);
            let parts = vec![weighed(&world, &weights, &most)];
            leaves.push(TreeLeaf { given, parts });
        }
        let together = |l: &TreeLeaf| l.given.iter().any(|g| matches!(g, Given::Together { .. }));
        let gathers = policy.contains("gather") || leaves.iter().any(together);
        let good = by_cases(&world, 0, 0, leaves.clone());
        holds(&world, good, gathers, optimum(&world))?;
        let refused = |change: &dyn Fn(&mut Vec<TreeLeaf>)| {
            let mut worse = leaves.clone();
            change(&mut worse);
            !check(&world, &by_cases(&world, 0, 0, worse)).ok()
        };
        for l in 0..leaves.len() {
            prop_assert!(refused(&|worse| { worse.remove(l); }), "leaf {} left out", l);
            prop_assert!(refused(&|worse| { worse[l].given.pop(); }), "leaf {} widened", l);
            prop_assert!(refused(&|worse| { let again = worse[l].clone(); worse.push(again); }), "leaf {} twice", l);
            for (b, side) in leaves[l].given.iter().enumerate() {
                let other = match side.clone() {
                    Given::Apart { guests: [one, two] } => Given::Apart { guests: [two, one] },
                    Given::Together { guests: [one, two] } => Given::Together { guests: [two, one] },
                    Given::AtMost { .. } => branch((true, b, l), &world),
                    Given::AtLeast { number, hosts } => Given::AtLeast { number: number + 1, hosts },
                };
                prop_assert!(refused(&|worse| worse[l].given[b] = other.clone()), "branch {} of {}", b, l);
            }
            for (h, most) in leaves[l].parts[0].most.iter().enumerate() {
                let lower = |worse: &mut Vec<TreeLeaf>| worse[l].parts[0].most[h].most -= 1;
                prop_assert!(most.most == 0 || refused(&lower), "{} lowered in {}", h, l);
            }
        }
    }
}

/// Of hosts that are alike, so many are paid, and no more carry anything.
#[test]
fn the_number_of_hosts_of_a_kind_is_branched_on() {
    let alike = THREE.replace("7GiB", "8GiB").replace("4GiB", "5GiB");
    let world = inputs(&alike, PLAIN);
    let all: &[&str] = &["h1", "h2", "h3"];
    // Each of the two weighs a half more than a host's share.
    let weighed = || vec![part(&[(2, &["a", "b"]), (1, &["c"])], &[(3, all)])];
    let leaves = |number| {
        let most = at_most(number, all);
        vec![
            leaf(std::slice::from_ref(&most), weighed()),
            leaf(&[most.opposite()], weighed()),
        ]
    };
    // With one host there is no placement, and two are paid where two are used.
    let verdict = check(&world, &by_cases(&world, 2000, 2, leaves(1)));
    assert!(verdict.ok(), "{verdict:?}");
    assert!(!check(&world, &by_cases(&world, 3000, 3, leaves(1))).ok());
    let paid = |number, hosts: &[&str]| {
        let nothing = || vec![part(&[], &[(0, all)])];
        let most = at_most(number, hosts);
        let both = vec![
            leaf(std::slice::from_ref(&most), weighed()),
            leaf(&[most.opposite()], nothing()),
        ];
        check(&world, &by_cases(&world, 0, 0, both))
            .proven
            .unwrap()
            .hosts
    };
    assert_eq!(paid(1, all), 2);
    // At least one of these two.
    assert_eq!(paid(0, &["h1", "h2"]), 1);
}

#[test]
fn numbers_of_different_hosts_add_up_where_nothing_else_tells_them_apart() {
    let mut cluster = String::from("hosts:\n");
    for h in 1..=4 {
        cluster += &format!(
            "  - {{ name: h{h}, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }}\n"
        );
    }
    cluster += "guests:\n";
    for g in ["a", "b", "c"] {
        cluster += &format!("  - {{ name: {g}, vcpus: 1, memory: 5GiB, host: null }}\n");
    }
    let world = inputs(&cluster, PLAIN);
    let (left, right) = (at_most(0, &["h1", "h2"]), at_most(0, &["h3", "h4"]));
    // Each host carries one of the three: two hosts are too few.
    let weighed = || {
        vec![part(
            &[(1, &["a", "b", "c"])],
            &[(1, &["h1", "h2", "h3", "h4"])],
        )]
    };
    let nothing = vec![part(&[], &[(0, &["h1", "h2", "h3", "h4"])])];
    let leaves = vec![
        leaf(std::slice::from_ref(&left), weighed()),
        leaf(&[left.opposite(), right.clone()], weighed()),
        leaf(&[left.opposite(), right.opposite()], nothing),
    ];
    let proven = check(&world, &by_cases(&world, 2000, 2, leaves));
    assert!(proven.ok(), "{proven:?}");
    assert_eq!(proven.proven.unwrap().hosts, 2);
}
