use proptest::prelude::*;
use vmpack_domain::check;
use vmpack_domain::units::Micros;

use super::*;
use crate::tests::strangers;

#[test]
fn instances_are_read_with_their_counts() {
    let vbp = read("2\n10 20\n2\n5 6 2\n1 20 1\n", Format::Vbp).unwrap();
    assert_eq!(vbp.room, [10, 20]);
    assert_eq!(vbp.items, [[5, 6], [5, 6], [1, 20]]);
    let classic = read("3\n10\n5\n 6\n1", Format::Bpplib).unwrap();
    assert_eq!(classic.room, [10]);
    assert_eq!(classic.items, [[5], [6], [1]]);
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (text, line, says) in [
        ("", 1, "read the end, expected the number of resources"),
        ("2\n10 x\n", 2, "read `x`, expected a room"),
        (
            "1\n10\n1\n11 1\n",
            4,
            "a need of 11, expected at most the room 10",
        ),
        ("1\n10\n2\n4 1\n", 4, "read the end, expected a need"),
        ("1\n10\n1\n-4 1\n", 4, "read `-4`"),
        ("1\n10\n1\n4 1\n4 1\n", 5, "read `4`, expected the end"),
        (
            "1\n10\n1\n4 99999999999999999999\n",
            4,
            "expected how many such items",
        ),
    ] {
        let error = read(text, Format::Vbp).unwrap_err();
        assert_eq!(error.line, line, "{text:?}: {error}");
        assert!(error.what.contains(says), "{text:?}: {error}");
    }
}

fn pack(packing: &Packing) -> Packed {
    pack_within(packing, 50)
}

fn pack_within(packing: &Packing, nodes: u64) -> Packed {
    let mut policy = Policy::default();
    policy.limits.nodes = Some(nodes);
    policy.limits.prefer_nodes();
    packing.pack(
        &policy,
        &mut Search {
            elapsed: &|| Micros(0),
            stop: &|| false,
            report: &mut |_| {},
        },
    )
}

/// The fewest hosts by trying everything: items in order, each to a used host or the next new one.
fn fewest(packing: &Packing) -> usize {
    fn go(p: &Packing, i: usize, left: &mut Vec<Vec<i64>>, best: &mut usize) {
        if left.len() >= *best {
            return;
        }
        let Some(item) = p.items.get(i) else {
            *best = left.len();
            return;
        };
        for h in 0..=left.len() {
            if h == left.len() {
                left.push(p.room.clone());
            }
            if left[h].iter().zip(item).all(|(l, n)| n <= l) {
                left[h].iter_mut().zip(item).for_each(|(l, n)| *l -= n);
                go(p, i + 1, left, best);
                left[h].iter_mut().zip(item).for_each(|(l, n)| *l += n);
            }
        }
        left.pop();
    }
    let mut best = packing.items.len() + 1;
    go(packing, 0, &mut Vec::new(), &mut best);
    best
}

#[test]
fn nothing_needs_no_host() {
    let packed = pack(&Packing {
        room: vec![5],
        items: Vec::new(),
    });
    assert_eq!((packed.hosts, packed.bound), (0, 0));
}

/// Hosts cut into pieces: they must be full again, to the last unit of the first resource.
#[test]
fn hosts_that_must_be_full_are_filled() {
    for seed in 0..3 {
        let mut rng = crate::rng::Rng::new(seed, 0);
        let (hosts, pieces, room) = (8, 7, 2880);
        let mut items = Vec::new();
        for _ in 0..hosts {
            let mut cuts: Vec<usize> = (1..pieces).map(|_| rng.below(room + 1)).collect();
            cuts.extend([0, room]);
            cuts.sort_unstable();
            items.extend(cuts.windows(2).map(|w| {
                let of = |n: usize| i64::try_from(n).unwrap();
                vec![of(w[1] - w[0]), of(100 + rng.below(80))]
            }));
        }
        let packed = pack(&Packing {
            room: vec![2880, 1100],
            items,
        });
        assert_eq!((packed.hosts, packed.bound), (hosts, hosts), "seed {seed}");
    }
}

/// Many items of few sizes: patterns say nearly all.
#[test]
fn many_items_of_few_sizes_are_packed() {
    for seed in 0..3 {
        let mut rng = crate::rng::Rng::new(seed, 1);
        let items: Vec<Vec<i64>> = (0..10)
            .flat_map(|_| {
                let mut need = || i64::try_from(60 + rng.below(300)).unwrap();
                let item = vec![need(), need(), need()];
                std::iter::repeat_n(item, 40)
            })
            .collect();
        let packed = pack(&Packing {
            room: vec![1000; 3],
            items,
        });
        assert!(
            packed.is_optimal(),
            "{} above {}",
            packed.hosts,
            packed.bound
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_packing_is_valid_and_its_bound_holds(
        (room, items) in (1usize..=5).prop_flat_map(|d| (
            prop::collection::vec(5i64..=20, d),
            prop::collection::vec(prop::collection::vec(0i64..=20, d), 1..8),
        ))
    ) {
        let items: Vec<Vec<i64>> = items
            .into_iter()
            .map(|i| i.iter().zip(&room).map(|(n, r)| *n.min(r)).collect())
            .collect();
        let packing = Packing { room, items };
        let packed = pack(&packing);
        let optimum = fewest(&packing);
        let mut load = vec![vec![0; packing.room.len()]; packing.items.len() + 1];
        for (item, host) in packing.items.iter().zip(&packed.at) {
            load[*host].iter_mut().zip(item).for_each(|(l, n)| *l += n);
        }
        prop_assert!(load.iter().flat_map(|l| l.iter().zip(&packing.room)).all(|(l, r)| l <= r));
        prop_assert!(packed.bound <= optimum && optimum <= packed.hosts);
        prop_assert_eq!(packed.hosts, optimum);
        check_certificate(&packing, &packed)?;
    }
}

/// Items of which some are too large for one host together, in a resource of their own.
#[test]
fn what_only_cases_prove_is_proven_again() {
    let strangers = strangers();
    let needs = |i: usize| {
        strangers
            .iter()
            .map(move |(a, b)| i64::from(*a == i || *b == i))
    };
    let packing = Packing {
        room: vec![1; strangers.len()],
        items: (0..15).map(|i| needs(i).collect()).collect(),
    };
    let packed = pack_within(&packing, 1000);
    assert_eq!((packed.hosts, packed.bound), (4, 4), "{}", packed.origin);
    let stated = packed.certificate("here");
    assert!(stated.bound == 4 && stated.cases.len() > 1, "{stated:?}");
    check_certificate(&packing, &packed).unwrap();

    let refused = |change: &dyn Fn(&mut PackingCertificate), law: &str, says: &str| {
        let mut other = stated.clone();
        change(&mut other);
        let found = judged(&packing, &other);
        let [only] = &found[..] else {
            panic!("{law} {says}: {found:?} of {other:?}");
        };
        assert!(only.law == law && only.detail.contains(says), "{only:?}");
    };
    let claimed = "4 rooms at least are claimed, 0 are proven";
    refused(&|c| c.cases.clear(), "bound", claimed);
    refused(
        &|c| drop(c.cases.pop()),
        "cases",
        "no leaf on its other side",
    );
    refused(
        &|c| c.cases[0].most /= 2,
        "cases",
        "leaf 1: room 0 can hold pieces that weigh",
    );
    refused(
        &|c| c.cases[0].weights.truncate(14),
        "cases",
        "14 weights for 15 items",
    );
    refused(&|c| c.cases[0].weights.fill(0), "bound", "are proven");
    let far = |c: &mut PackingCertificate| {
        for case in &mut c.cases {
            let (Pair::Apart(of) | Pair::Together(of)) = &mut case.given[0];
            *of = [0, 15];
        }
    };
    refused(&far, "cases", "leaf 1: item 15 of 15");
}

/// What the judge finds wrong with a certificate.
fn judged(packing: &Packing, certificate: &PackingCertificate) -> Vec<check::Violation> {
    let whole = |amounts: &Vec<i64>| amounts.iter().map(|a| unsigned(*a)).collect::<Vec<u64>>();
    let items: Vec<Vec<u64>> = packing.items.iter().map(whole).collect();
    check::packing(
        ("here", &whole(&packing.room), &items),
        certificate,
        1_000_000,
    )
}

/// The judge accepts the certificate, and refuses it with anything changed for the better.
fn check_certificate(packing: &Packing, packed: &Packed) -> Result<(), TestCaseError> {
    let refused = |c: &PackingCertificate| {
        let found = judged(packing, c).into_iter();
        found.map(|v| v.law).collect::<Vec<_>>()
    };
    let stated = packed.certificate("here");
    let none: Vec<String> = Vec::new();
    prop_assert_eq!(refused(&stated), none, "{:?}", stated);
    let changed = |change: &dyn Fn(&mut PackingCertificate)| {
        let mut other = stated.clone();
        change(&mut other);
        refused(&other)
    };
    prop_assert_eq!(changed(&|c| c.instance = "there".into()), ["instance"]);
    prop_assert_eq!(changed(&|c| c.hosts -= 1), ["hosts"]);
    prop_assert_eq!(changed(&|c| c.bound = c.hosts + 1), ["bound"]);
    prop_assert_eq!(changed(&|c| c.at.truncate(0)), ["certificate"]);
    // All in one room: fewer than the packing has, so more than it holds.
    if packed.hosts > 1 {
        let all = changed(&|c| c.at.iter_mut().for_each(|at| *at = 0));
        prop_assert!(all.contains(&"capacity".to_owned()), "{:?}", all);
    }
    Ok(())
}
