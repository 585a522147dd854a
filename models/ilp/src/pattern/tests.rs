//! Pricing and bounds against enumerations.

mod composing;

use proptest::prelude::*;
use vmpack_domain::check::certificate::{Piece, Room, prove};
use vmpack_domain::units::Micros;

use super::price::{Pricer, Reach};
use super::*;

/// A small packing: items as (need per resource, count, bits of the host classes that take it, bits
/// of the sets apart that it is in), host classes as (room, cost, count, forced).
type Seed = (
    Vec<(Vec<i64>, usize, u8, u8)>,
    Vec<(Vec<i64>, i64, usize, bool)>,
);

fn packings() -> impl Strategy<Value = Packing> {
    (1usize..=3)
        .prop_flat_map(|resources| {
            let item = (
                prop::collection::vec(0i64..=9, resources),
                1usize..=3,
                prop_oneof![3 => Just(7u8), 1 => 0u8..8],
                prop_oneof![2 => Just(0u8), 1 => 0u8..4],
            );
            let host = (
                prop::collection::vec(6i64..=20, resources),
                prop_oneof![3 => Just(1000i64), 1 => Just(0), 1 => Just(700), 1 => Just(1500)],
                1usize..=3,
                prop::bool::weighted(0.2),
            );
            (
                prop::collection::vec(item, 0..=4),
                prop::collection::vec(host, 1..=3),
            )
        })
        .prop_map(packing)
}

fn packing((items, hosts): Seed) -> Packing {
    let mut guests = 0..;
    let mut slots = 0..;
    let apart = (0..2)
        .map(|set| {
            let inside = |i: &usize| items[*i].3 >> set & 1 == 1;
            (0..items.len()).filter(inside).collect()
        })
        .collect();
    Packing {
        hosts: hosts
            .into_iter()
            .enumerate()
            .map(|(k, (room, cost, count, forced))| HostClass {
                room,
                cost,
                forced,
                members: slots.by_ref().take(count).collect(),
                takes: items.iter().map(|i| i.2 >> k & 1 == 1).collect(),
            })
            .collect(),
        items: items
            .into_iter()
            .map(|(need, count, ..)| Item {
                need,
                members: guests.by_ref().take(count).map(|g| vec![g]).collect(),
            })
            .collect(),
        apart,
    }
}

/// Whether one host of a class can carry so many of each item.
fn fits(p: &Packing, class: usize, copies: &[usize]) -> bool {
    let host = &p.hosts[class];
    let load = |r: usize| -> i64 {
        let needs = p.items.iter().zip(copies);
        needs
            .map(|(i, c)| i.need[r] * i64::try_from(*c).unwrap())
            .sum()
    };
    (0..host.room.len()).all(|r| load(r) <= host.room[r])
        && copies
            .iter()
            .zip(&host.takes)
            .all(|(c, takes)| *c == 0 || *takes)
        && p.apart
            .iter()
            .all(|set| set.iter().map(|i| copies[*i]).sum::<usize>() <= 1)
}

/// Every content of one host of a class.
fn contents(p: &Packing, class: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for item in &p.items {
        all = all
            .into_iter()
            .flat_map(|c: Vec<usize>| {
                (0..=item.count()).map(move |n| c.iter().copied().chain([n]).collect())
            })
            .collect();
    }
    all.retain(|c| fits(p, class, c));
    all
}

/// The least cost of hosts that carry everything, by trying every content on every host in turn.
fn optimum(p: &Packing) -> Option<i64> {
    fn rest(p: &Packing, hosts: &[(usize, &Vec<Vec<usize>>)], left: Vec<usize>) -> Option<i64> {
        let Some(((class, contents), others)) = hosts.split_first() else {
            return left.iter().all(|l| *l == 0).then_some(0);
        };
        let host = &p.hosts[*class];
        contents
            .iter()
            .filter(|c| c.iter().zip(&left).all(|(c, l)| c <= l))
            .filter_map(|c| {
                let less = left.iter().zip(c).map(|(l, c)| l - c).collect();
                let idle = c.iter().all(|c| *c == 0) && !host.forced;
                Some(rest(p, others, less)? + if idle { 0 } else { host.cost })
            })
            .min()
    }
    let contents: Vec<Vec<Vec<usize>>> = (0..p.hosts.len()).map(|k| contents(p, k)).collect();
    let hosts: Vec<(usize, &Vec<Vec<usize>>)> = p
        .hosts
        .iter()
        .enumerate()
        .flat_map(|(k, host)| host.members.iter().map(move |_| k))
        .map(|k| (k, &contents[k]))
        .collect();
    rest(p, &hosts, p.items.iter().map(Item::count).collect())
}

/// The LP is not ended early.
const NEVER: [&dyn Fn() -> bool; 3] = [&|| false; 3];

fn limits(nodes: Option<u64>) -> Limits<'static> {
    Limits {
        time: Micros::secs(60),
        nodes,
        seed: 1,
        threads: 1,
        stop: &|| false,
    }
}

/// The claim of the weights, and that it gives the bound, by trying every set of hosts.
fn holds(p: &Packing, bound: &PatternBound) -> Result<(), TestCaseError> {
    let weights = &bound.weights;
    let guests: Vec<&Vec<usize>> = weights.guests.iter().map(|(g, _)| g).collect();
    let members: Vec<&Vec<usize>> = p.items.iter().flat_map(|i| &i.members).collect();
    prop_assert_eq!(guests, members);
    let mut each = weights.guests.iter().map(|(_, w)| *w);
    let per_class: Vec<i64> = p
        .items
        .iter()
        .map(|i| each.by_ref().take(i.count()).last().unwrap())
        .collect();
    for (k, (hosts, most)) in weights.hosts.iter().enumerate() {
        prop_assert_eq!(hosts, &p.hosts[k].members);
        for content in contents(p, k) {
            let pairs = content.iter().zip(&per_class);
            let weight: i64 = pairs.map(|(c, w)| i64::try_from(*c).unwrap() * w).sum();
            prop_assert!(weight <= *most, "{content:?} weighs {weight}, not {most}");
        }
    }
    let total: i64 = weights.guests.iter().map(|(_, w)| w).sum();
    let slots: Vec<(i64, i64, bool)> = p
        .hosts
        .iter()
        .zip(&weights.hosts)
        .flat_map(|(h, (hosts, most))| hosts.iter().map(|_| (h.cost, *most, h.forced)))
        .collect();
    let least = (0usize..1 << slots.len())
        .filter_map(|set| {
            let inside = |s: &usize| set >> s & 1 == 1;
            let sum = (0..slots.len())
                .filter(inside)
                .map(|s| slots[s].1)
                .sum::<i64>();
            let forced = (0..slots.len()).all(|s| inside(&s) || !slots[s].2);
            let cost = (0..slots.len())
                .filter(inside)
                .map(|s| slots[s].0)
                .sum::<i64>();
            (forced && sum >= total).then_some(cost)
        })
        .min();
    let all: i64 = slots.iter().map(|s| s.0).sum();
    prop_assert!(bound.cost <= least.unwrap_or(all + p.unit()));
    Ok(())
}

/// Bound, packings and their claims.
fn check(p: &Packing, nodes: Option<u64>) -> Result<(), TestCaseError> {
    let least = optimum(p);
    let answer = solve(p, &[], 0, i64::MAX, &limits(nodes), NEVER);
    holds(p, &answer.bound)?;
    prop_assert!(least.is_none_or(|least| answer.bound.cost <= least));
    for r in 0..p.resources() {
        let one = p.project(r);
        let bound = bound(&one, &[], 0, i64::MAX, &limits(nodes));
        holds(&one, &bound)?;
        prop_assert!(least.is_none_or(|least| bound.cost <= least));
    }
    let Some(packed) = answer.packed else {
        return Ok(());
    };
    let mut count: Vec<usize> = p.items.iter().map(Item::count).collect();
    let mut used = vec![0; p.hosts.len()];
    let mut cost = p.forced_cost();
    for (pattern, times) in &packed.patterns {
        let mut copies = vec![0; count.len()];
        pattern.content.iter().for_each(|(i, c)| copies[*i] += c);
        prop_assert!(fits(p, pattern.host, &copies));
        count
            .iter_mut()
            .zip(copies)
            .for_each(|(n, c)| *n -= c * times);
        used[pattern.host] += times;
        cost += p.price(pattern.host, *times);
    }
    prop_assert!(used.iter().zip(&p.hosts).all(|(n, k)| *n <= k.count()));
    prop_assert_eq!(cost, packed.cost);
    let left: Vec<(usize, usize)> = count
        .into_iter()
        .enumerate()
        .filter(|(_, c)| *c > 0)
        .collect();
    prop_assert_eq!(&left, &packed.left);
    let guests = p.items.iter().map(Item::count).sum();
    let place = packed.place(p, guests);
    let missing: usize = left.iter().map(|(_, c)| c).sum();
    prop_assert_eq!(place.iter().filter(|at| at.is_none()).count(), missing);
    if left.is_empty() {
        prop_assert!(least.is_some_and(|least| least <= cost));
    }
    Ok(())
}

/// Pricing against all contents, finished and cut short.
fn check_pricing(p: &Packing, values: &[i64], floor: i64, steps: u64) -> Result<(), TestCaseError> {
    let values = &values[..p.items.len()];
    let counts: Vec<usize> = p.items.iter().map(Item::count).collect();
    for k in 0..p.hosts.len() {
        let worth = |content: &[usize]| -> i64 {
            let pairs = content.iter().zip(values);
            pairs.map(|(c, v)| i64::try_from(*c).unwrap() * v).sum()
        };
        let best = contents(p, k).iter().map(|c| worth(c)).max().unwrap_or(0);
        let pricer = Pricer::new(p, k);
        for (steps, seeds) in [(u64::MAX, 0), (u64::MAX, 100), (steps, 0)] {
            let reach = Reach {
                floor,
                low: floor / 8 * 7,
                steps,
                seeds,
                stop: &|| false,
            };
            let priced = pricer.price(values, &counts, &reach);
            prop_assert!(priced.most >= best, "{} < {best}", priced.most);
            if steps == u64::MAX {
                prop_assert_eq!(priced.most, best.max(floor));
                let found = priced.found.first().map_or(floor, |(v, _)| floor.max(*v));
                prop_assert_eq!(found, best.max(floor));
            }
            for (value, content) in &priced.found {
                let mut copies = vec![0; values.len()];
                content.iter().for_each(|(i, c)| copies[*i] += c);
                prop_assert!(fits(p, k, &copies));
                prop_assert_eq!(worth(&copies), *value);
            }
        }
    }
    Ok(())
}

/// The packing in steps of 2^`bits`, each size a little larger than its steps: as many bits as real
/// sizes have, which bounds round down to cells.
fn magnified(p: &Packing, bits: u32, more: &[i64]) -> Packing {
    let mut more = more.iter().cycle();
    let mut size = |n: i64| (n << bits) + (more.next().unwrap() << bits) / 64;
    let mut p = p.clone();
    for item in &mut p.items {
        item.need.iter_mut().for_each(|n| *n = size(*n));
    }
    for host in &mut p.hosts {
        host.room.iter_mut().for_each(|n| *n = size(*n));
    }
    p
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn pricing_is_exact_at_the_magnitudes_of_real_sizes_and_prices(
        p in packings(),
        bits in 18u32..42,
        more in prop::collection::vec(0i64..16, 7),
        values in prop::collection::vec(0i64..50 << 26, 4),
        floor in prop_oneof![Just(0i64), 0i64..60 << 26],
        steps in 1u64..12,
    ) {
        check_pricing(&magnified(&p, bits, &more), &values, floor, steps)?;
    }

    #[test]
    fn pricing_finds_and_proves_the_best_content(
        p in packings(),
        values in prop::collection::vec(0i64..50, 4),
        floor in prop_oneof![Just(0i64), 0i64..60],
        steps in 1u64..12,
    ) {
        check_pricing(&p, &values, floor, steps)?;
    }


    #[test]
    fn no_bound_exceeds_an_optimum_and_packings_are_what_they_say(
        p in packings(),
        nodes in prop::option::weighted(0.4, 0u64..4),
    ) {
        let hosts = p.host_count();
        let items: usize = p.items.iter().map(Item::count).sum();
        prop_assume!(hosts <= 6 && items <= 8);
        check(&p, nodes)?;
    }
}

/// One class of hosts of cost 1000.
fn alike(room: &[i64], hosts: usize, items: &[(&[i64], usize)]) -> Packing {
    let items = items.iter().map(|(need, n)| (need.to_vec(), *n, 7, 0));
    packing((items.collect(), vec![(room.to_vec(), 1000, hosts, false)]))
}

#[test]
fn patterns_see_what_no_single_resource_shows() {
    // Two of 4 in 10, and never one of the first with one of the second kind.
    let p = alike(&[10, 10], 9, &[(&[4, 1], 4), (&[1, 4], 4), (&[6, 6], 3)]);
    let answer = solve(&p, &[], 0, i64::MAX, &limits(None), NEVER);
    assert_eq!(Some(answer.bound.cost), optimum(&p));
    let packed = answer.packed.unwrap();
    assert_eq!((packed.cost, packed.left.len()), (answer.bound.cost, 0));
    assert!(
        answer.bound.origin.starts_with("pattern LP, "),
        "{}",
        answer.bound.origin
    );
}

#[test]
fn the_patterns_at_hand_as_an_integer_program_start_from_what_is_known() {
    let p = alike(&[10], 9, &[(&[4], 4), (&[6], 1)]);
    let pattern = |content: &[(usize, usize)]| Pattern {
        host: 0,
        content: content.to_vec(),
    };
    let start = [
        pattern(&[(0, 2)]),
        pattern(&[(0, 1), (1, 1)]),
        pattern(&[(0, 1)]),
    ];
    // One that is there twice counts once, and none of the start is missing.
    let pool = [pattern(&[(0, 2)]), pattern(&[(0, 2)])];
    assert_eq!(restricted::distinct(&pool, &start).len(), 3);
    let found = restricted::solve(&p, &pool, &start, &limits(None)).unwrap();
    assert_eq!((found.cost, found.left.len()), (3000, 0));
    assert_eq!(optimum(&p), Some(3000));
}

#[test]
fn what_fits_nowhere_is_proven_impossible() {
    let p = alike(&[10], 3, &[(&[11], 1), (&[4], 2)]);
    let bound = bound(&p, &[], 0, i64::MAX, &limits(None));
    assert_eq!((bound.cost, bound.hosts), (4000, 4));
    assert!(
        bound.origin.starts_with("no placement exists"),
        "{}",
        bound.origin
    );
    // Five of which two fit a host, on two hosts.
    let p = alike(&[10], 2, &[(&[4], 5)]);
    assert_eq!(super::bound(&p, &[], 0, i64::MAX, &limits(None)).hosts, 3);
}

/// Sizes as they are measured, of two resources: about three on a host.
fn measured(n: i64) -> Packing {
    let items: Vec<(Vec<i64>, usize, u8, u8)> = (0..n)
        .map(|i| {
            let cpu = 230 + i * 7919 % 1490;
            let memory = 90_000 - 45 * cpu + i * 104_729 % 30_000;
            (vec![cpu, memory.max(9000)], 1, 7, 0)
        })
        .collect();
    packing((items, vec![(vec![2880, 124_518], 1000, 100, false)]))
}

#[test]
fn a_solve_repeats_and_closes_the_gap_of_fifty_guests() {
    let p = measured(50);
    let first = solve(&p, &[], 0, i64::MAX, &limits(Some(400)), NEVER);
    let packed = first.packed.clone().unwrap();
    assert!(packed.left.is_empty());
    assert!(packed.cost <= first.bound.cost + 1000, "{packed:?}");
    assert_eq!(
        solve(&p, &[], 0, i64::MAX, &limits(Some(400)), NEVER),
        first
    );
    // Its own packing as the incumbent leaves nothing to find below it.
    let incumbent: Vec<Pattern> = packed.patterns.iter().map(|(p, _)| p.clone()).collect();
    let again = solve(&p, &incumbent, 0, packed.cost, &limits(Some(400)), NEVER);
    assert!(again.bound.cost <= packed.cost);
    // A stop ends at once with what is proven already.
    let stopped = Limits {
        stop: &|| true,
        ..limits(None)
    };
    assert_eq!(bound(&p, &[], 0, i64::MAX, &stopped).cost, 0);
}

/// An LP that comes near its value goes on until the second says that it is enough, not the first.
#[test]
fn an_lp_near_its_value_has_more_time() {
    let mut p = measured(400);
    p.hosts[0].members = (0..400).collect();
    let near = Cell::new(0);
    let asked = || {
        near.set(near.get() + 1);
        true
    };
    let enough: [&dyn Fn() -> bool; 3] = [&|| false, &asked, &|| true];
    assert!(
        solve(&p, &[], 0, i64::MAX, &limits(None), enough)
            .bound
            .cost
            > 0
    );
    assert!(near.get() > 0);
}

/// What ends the LP before the first dive does not end it after.
#[test]
fn an_lp_that_was_ended_for_a_dive_goes_on() {
    let p = measured(50);
    let whole = solve(&p, &[], 0, i64::MAX, &limits(None), NEVER);
    let twice = solve(
        &p,
        &[],
        0,
        i64::MAX,
        &limits(None),
        [&|| true, &|| true, &|| false],
    );
    assert_eq!(twice.bound.cost, whole.bound.cost);
    assert!(twice.packed.unwrap().left.is_empty());
}

/// Above so many classes parts of the incumbent are packed anew.
#[test]
fn parts_mended_by_what_the_lp_knows_pack_all_that_they_packed() {
    let p = measured(40);
    let alone = |i: usize| Pattern {
        host: 0,
        content: vec![(i, 1)],
    };
    let hosts: Vec<Pattern> = (0..p.items.len()).map(alone).collect();
    let limits = limits(Some(200));
    let pool = solve(&p, &[], 0, i64::MAX, &limits, NEVER).packed.unwrap();
    let guide = Guide {
        duals: master::Duals {
            items: vec![0.4; p.items.len()],
            hosts: vec![0.0],
        },
        pool: &pool.each(),
    };
    let effort = Effort::of(&limits);
    let mended = mend::mend(&p, hosts.clone(), Some(&guide), 0, &effort, &mut 0);
    let mut packed = vec![0; p.items.len()];
    for pattern in mended.each() {
        let mut copies = vec![0; p.items.len()];
        pattern.content.iter().for_each(|(i, c)| copies[*i] += c);
        assert!(fits(&p, pattern.host, &copies), "{pattern:?}");
        packed.iter_mut().zip(copies).for_each(|(n, c)| *n += c);
    }
    assert_eq!(packed, vec![1; p.items.len()]);
    assert!(mended.left.is_empty() && mended.each().len() < hosts.len());
}

#[test]
fn parts_of_a_packing_of_many_classes_are_mended() {
    let mut p = measured(i64::try_from(MANY).unwrap() + 50);
    p.hosts[0].members = (0..p.items.len()).collect();
    let mut incumbent: Vec<Pattern> = Vec::new();
    for i in 0..p.items.len() {
        let with = |pattern: &Pattern| {
            let mut copies = vec![0; p.items.len()];
            pattern.content.iter().for_each(|(j, _)| copies[*j] = 1);
            copies[i] = 1;
            fits(&p, 0, &copies)
        };
        // Next fit, which wastes much.
        match incumbent.last_mut() {
            Some(last) if with(last) => last.content.push((i, 1)),
            _ => incumbent.push(Pattern {
                host: 0,
                content: vec![(i, 1)],
            }),
        }
    }
    let before = 1000 * i64::try_from(incumbent.len()).unwrap();
    let run = || solve(&p, &incumbent, 0, before, &limits(Some(30)), NEVER);
    let answer = run();
    assert_eq!(answer, run(), "it repeats");
    let packed = answer.packed.unwrap();
    assert!(packed.left.is_empty());
    assert!(packed.cost < before, "{} of {before}", packed.cost);
    let mut times = vec![0; p.items.len()];
    for (pattern, hosts) in &packed.patterns {
        let mut copies = vec![0; p.items.len()];
        for (i, c) in &pattern.content {
            copies[*i] += c;
            times[*i] += c * hosts;
        }
        assert!(fits(&p, 0, &copies));
    }
    assert!(times.iter().all(|t| *t == 1));
    let hosts: usize = packed.patterns.iter().map(|(_, hosts)| hosts).sum();
    assert_eq!(packed.cost, 1000 * i64::try_from(hosts).unwrap());
}

fn stated(p: &Packing, weights: &Weights) -> (Vec<Piece>, Vec<Room>) {
    let whole = |v: i64| u64::try_from(v).unwrap();
    let needs = |v: &[i64]| v.iter().map(|n| whole(*n)).collect();
    let pieces = p.items.iter().enumerate().map(|(i, item)| Piece {
        need: needs(&item.need),
        count: item.count() as u64,
        weight: weights
            .guests
            .iter()
            .find(|(guests, _)| item.members.first() == Some(guests))
            .map_or(0, |(_, weight)| whole(*weight)),
        apart: (0..p.apart.len())
            .filter(|set| p.apart[*set].contains(&i))
            .collect(),
    });
    let rooms = p.hosts.iter().map(|host| Room {
        room: needs(&host.room),
        cost: whole(host.cost),
        count: host.count() as u64,
        most: weights
            .hosts
            .iter()
            .find(|(hosts, _)| *hosts == host.members)
            .map_or(0, |(_, most)| whole(*most)),
        always: host.forced,
        takes: Some((0..p.items.len()).filter(|i| host.takes[*i]).collect()),
    });
    (pieces.collect(), rooms.collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_judge_proves_the_bound_again_from_its_weights(p in packings()) {
        let limits = Limits { time: Micros::secs(60), nodes: Some(100), seed: 1, threads: 1, stop: &|| false };
        let found = bound(&p, &[], 0, i64::MAX, &limits);
        let (pieces, rooms) = stated(&p, &found.weights);
        match prove(&pieces, &rooms, &mut 1_000_000) {
            Ok(Some(least)) => {
                prop_assert!(least.cost >= u128::try_from(found.cost).unwrap(), "{:?} {:?}", least, found);
                prop_assert!(least.hosts >= found.hosts as u128, "{:?} {:?}", least, found);
            }
            Ok(None) => {}
            Err(refusal) => return Err(TestCaseError::fail(format!("{refusal}: {found:?}"))),
        }
    }
}
