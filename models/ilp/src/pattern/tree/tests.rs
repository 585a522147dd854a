//! Trees against enumerations, and where the LP alone proves too little.

use proptest::prelude::*;
use smallvec::smallvec;
use vmpack_domain::units::Micros;

use super::*;
use crate::problem::{Amounts, GuestItem, HostSlot};
use crate::{in_use, rule};

fn limits(nodes: Option<u64>) -> Limits<'static> {
    Limits {
        time: Micros::secs(60),
        nodes,
        seed: 1,
        threads: 1,
        stop: &|| false,
    }
}

/// Guests by need, hosts by room, cost and whether they never sleep, pairs apart.
fn problem(
    guests: &[Amounts],
    hosts: &[(Amounts, i64, bool)],
    apart: impl Iterator<Item = (usize, usize)>,
) -> Problem {
    let each: Arc<[usize]> = (0..hosts.len()).collect();
    Problem {
        resources: vec!["cpu".into(), "memory".into()],
        hosts: hosts
            .iter()
            .enumerate()
            .map(|(h, (room, cost, always))| HostSlot {
                name: format!("h{h}").parse().unwrap(),
                cost: *cost,
                room: room.clone(),
                unraised: None,
                always: *always,
                asleep: false,
                open: true,
            })
            .collect(),
        guests: guests
            .iter()
            .enumerate()
            .map(|(g, need)| GuestItem {
                name: format!("g{g}").parse().unwrap(),
                need: need.clone(),
                memory: 1,
                price: 1,
                current: None,
                allowed: Arc::clone(&each),
            })
            .collect(),
        rules: apart
            .map(|(a, b)| GroupRule {
                name: "apart".into(),
                kind: GroupKind::Spread {
                    guests: vec![a.min(b), a.max(b)],
                    place: Arc::clone(&each),
                },
            })
            .collect(),
        exempt: 0,
        warnings: Vec::new(),
    }
}

/// What a placement costs, where it keeps the problem.
fn cost(p: &Problem, at: &[usize]) -> Option<i64> {
    let awake = in_use(p, at).filter(|_| rule::holds(p, at))?;
    Some(awake.iter().map(|h| p.hosts[*h].cost).sum())
}

/// Keeps what the tree packs, where it is a placement.
fn grown<'p>(p: &'p Problem, nodes: Option<u64>) -> (Tree<'p>, i64) {
    let mut tree = Tree::new(p, None, None);
    let mut best = i64::MAX;
    tree.grow(i64::MAX, &limits(nodes), &mut |at| {
        let whole: Option<Vec<usize>> = at.iter().copied().collect();
        best = whole
            .and_then(|at| cost(p, &at))
            .map_or(best, |c| c.min(best));
        best
    });
    (tree, best)
}

/// The hosts of `guests` guests on so many hosts, every way.
fn placements(guests: usize, hosts: usize) -> impl Iterator<Item = Vec<usize>> {
    let all = hosts.pow(u32::try_from(guests).unwrap());
    (0..all).map(move |code| {
        let digit = |g: usize| code / hosts.pow(u32::try_from(g).unwrap()) % hosts;
        (0..guests).map(digit).collect()
    })
}

fn in_case(p: &Problem, at: &[usize], side: &Side) -> bool {
    let used = |hosts: &[usize]| {
        let used = hosts
            .iter()
            .filter(|h| at.contains(h) || p.hosts[**h].always);
        used.count()
    };
    match side {
        Side::Apart(a, b) => at[*a] != at[*b],
        Side::Together(a, b) => at[*a] == at[*b],
        Side::AtMost(number, hosts) => used(hosts) <= *number,
        Side::AtLeast(number, hosts) => used(hosts) >= *number,
    }
}

/// Disjoint pairs of six are apart: sets that meet share at most three hosts' worth fractionally, and
/// four are needed (Kneser graphs, Lovász 1978).
#[test]
fn what_the_lp_leaves_open_is_proven_by_cases() {
    let pairs: Vec<(usize, usize)> = (0..6)
        .flat_map(|a| (a + 1..6).map(move |b| (a, b)))
        .collect();
    let disjoint = |x: &(usize, usize), y: &(usize, usize)| {
        x.0 != y.0 && x.0 != y.1 && x.1 != y.0 && x.1 != y.1
    };
    let apart = (0..15).flat_map(|i| (0..i).map(move |j| (j, i)));
    let apart = apart.filter(|(i, j)| disjoint(&pairs[*i], &pairs[*j]));
    let need: Amounts = smallvec![1, 1];
    let room: Amounts = smallvec![15, 15];
    let p = problem(&vec![need; 15], &vec![(room, 1000, false); 6], apart);
    let packing = Packing::of(&p);
    let lp = crate::pattern::bound(&packing, &[], 0, i64::MAX, &limits(None));
    assert_eq!(lp.cost, 3000);
    let (tree, best) = grown(&p, None);
    let proven = tree.proven().unwrap();
    assert_eq!((proven.cost, proven.hosts, best), (4000, 4, 4000));
    assert!(proven.leaves.len() > 1 && proven.origin.contains("leaves"));
    // As often as it is asked, and the same where so many runs of the LP are allowed.
    assert_eq!(grown(&p, None).0.proven(), Some(proven));
    let few = grown(&p, Some(40));
    assert!(few.0.rounds <= 80);
    assert_eq!(few.0.proven(), grown(&p, Some(40)).0.proven());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_tree_ends_at_the_optimum_and_each_leaf_holds(
        guests in prop::collection::vec((1i64..=6, 1i64..=6), 1..=6),
        hosts in prop::collection::vec(
            (5i64..=10, 5i64..=10, prop_oneof![Just(1000i64), Just(700), Just(1300)], prop::bool::weighted(0.1)),
            1..=4,
        ),
        pairs in prop::collection::vec((0usize..6, 0usize..6), 0..3),
    ) {
        let needs: Vec<Amounts> = guests.iter().map(|(a, b)| smallvec![*a, *b]).collect();
        let rooms: Vec<(Amounts, i64, bool)> = hosts
            .iter()
            .map(|(a, b, cost, always)| (smallvec![*a, *b], *cost, *always))
            .collect();
        let apart = pairs.iter().map(|(a, b)| (a % guests.len(), b % guests.len()));
        let mut p = problem(&needs, &rooms, apart.filter(|(a, b)| a != b));
        for guest in &mut p.guests {
            let fits = |h: &usize| guest.need.iter().zip(&p.hosts[*h].room).all(|(n, r)| n <= r);
            guest.allowed = (0..hosts.len()).filter(fits).collect();
        }
        let kept: Vec<(Vec<usize>, i64)> = placements(guests.len(), hosts.len())
            .filter_map(|at| cost(&p, &at).map(|c| (at, c)))
            .collect();
        let least = kept.iter().map(|(_, c)| *c).min();
        let (tree, best) = grown(&p, None);
        let ends = tree.cases.iter().filter(|c| !matches!(c.then, Then::Branched(_)));
        let bound = ends.clone().map(|c| c.cost).min().unwrap();
        prop_assert!(bound <= least.unwrap_or(i64::MAX));
        prop_assert!(least.is_none() || bound <= best && least.unwrap_or(0) <= best);
        if let Some(least) = least {
            prop_assert_eq!((bound, best), (least, least));
        }
        for case in ends {
            let inside = |at: &[usize]| case.given.iter().all(|s| in_case(&p, at, s));
            let least = kept.iter().filter(|(at, _)| inside(at)).map(|(_, c)| *c).min();
            prop_assert!(case.cost <= least.unwrap_or(i64::MAX), "{:?}: {}", case.given, case.cost);
        }
        if let Some(proven) = tree.proven() {
            prop_assert_eq!(proven.cost, bound);
        }
    }
}
