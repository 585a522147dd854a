//! Bounds on instances whose optimum is known by construction.

use super::*;
use smallvec::smallvec;

use crate::problem::{CLUSTER_RESOURCES, GroupKind, GroupRule, GuestItem, HostSlot};

const RESOURCES: usize = CLUSTER_RESOURCES.len();

/// Hosts as (room of every resource, cost), guests as needs per resource; every guest may go
/// anywhere and waits.
fn problem(hosts: &[(i64, i64)], guests: &[[i64; RESOURCES]]) -> Problem {
    Problem {
        resources: CLUSTER_RESOURCES.map(str::to_owned).to_vec(),
        hosts: hosts
            .iter()
            .enumerate()
            .map(|(i, (room, cost))| HostSlot {
                name: format!("h{i}").parse().unwrap(),
                cost: *cost,
                room: smallvec![*room; RESOURCES],
                unraised: None,
                always: false,
                asleep: false,
                open: true,
            })
            .collect(),
        guests: guests
            .iter()
            .enumerate()
            .map(|(i, need)| GuestItem {
                name: format!("g{i}").parse().unwrap(),
                need: need[..].into(),
                memory: need[1],
                price: need[1],
                current: None,
                allowed: (0..hosts.len()).collect(),
            })
            .collect(),
        rules: Vec::new(),
        exempt: 0,
        warnings: Vec::new(),
    }
}

/// The bounds on number and cost, and where the latter comes from.
fn check(p: &Problem, number: usize, cost: i64, origin: &str) {
    let bound = hosts(p);
    assert_eq!((bound.hosts, bound.cost), (number, cost), "{bound:?}");
    assert!(bound.origin.contains(origin), "{bound:?}");
}

#[test]
fn volume_is_rounded_up_to_whole_hosts() {
    let equal = [(10, 1000); 5];
    let halves = [6, 6, 6, 5, 5].map(|need| [need, 1, 1]);
    check(&problem(&equal, &halves), 4, 4000, "L2 of cpu");
    check(
        &problem(&equal, &[[1, 3, 1]; 9]),
        3,
        3000,
        "volume of memory",
    );
    check(&problem(&equal, &[]), 0, 0, "no host");
}

#[test]
fn rooms_count_as_far_as_needs_can_sum_to_them() {
    // Four of 4 in rooms of 11 hold 2 each: the volume of 16 alone says 2 rooms of 11.
    let p = problem(&[(11, 1000); 6], &[[4, 1, 1]; 5]);
    check(&p, 3, 3000, "needs can sum to");
    assert_eq!(reach([4, 4, 4, 4, 4].into_iter(), 11), 8);
    assert_eq!(reach([3, 5, 100].into_iter(), 11), 8);
    assert_eq!(reach([3, 5, 7].into_iter(), 11), 10);
    assert_eq!(reach([].into_iter(), 11), 0);
    // A table for rooms of terabytes in MiB steps would be too large; the divisor still counts.
    assert_eq!(reach((0..1000).map(|i| 7 * (1 << 40) + 7 * i), 1 << 43), {
        (1i64 << 43) / 7 * 7
    });
}

#[test]
fn different_rooms_and_costs_are_covered_fractionally() {
    // 20 of need: the large host alone is too small, both large ones cost 2 × 1500.
    let p = problem(
        &[(12, 1500), (12, 1500), (5, 500), (5, 500)],
        &[[2, 1, 1]; 10],
    );
    let bound = hosts(&p);
    assert_eq!(bound.hosts, 2);
    // Both cheap hosts hold 4 each (reach), the rest of 12 fills one large host: 2500 is optimal.
    assert_eq!(bound.cost, 2500, "{bound:?}");
}

/// One certificate was kept for both, so that one of the two could not be proven again.
#[test]
fn cost_and_number_keep_weights_of_their_own() {
    let mut best = Best::default();
    for (cost, hosts, name) in [(5000, 2, "dear"), (3000, 3, "many"), (4000, 1, "neither")] {
        let least = Some(Least { cost, hosts });
        best.offer_weighed(least, || name.into(), || Some(Vec::new()));
    }
    let origin = |c: &Option<Certified>| c.as_ref().map(|c| c.origin.clone());
    assert_eq!(origin(&best.certified).as_deref(), Some("dear"));
    assert_eq!(origin(&best.counted).as_deref(), Some("many"));
    let (cost, hosts) = (5000, 3);
    assert_eq!(best.found, Some(Least { cost, hosts }));
}

#[test]
fn two_resources_together_need_more_than_each() {
    // Half of the guests fill the CPU, half the memory, and each has a little more than a third of
    // the sum of both: weighed together no host holds three.
    let mut guests = vec![[7, 4, 0]; 6];
    guests.extend([[4, 7, 0]; 6]);
    let p = problem(&[(10, 1000); 12], &guests);
    assert_eq!(hosts(&p).hosts, 12);
}

#[test]
fn guests_that_exclude_each_other_need_a_host_each() {
    let mut p = problem(&[(10, 1000), (10, 700), (10, 1000)], &[[1, 1, 1]; 3]);
    p.rules.push(GroupRule {
        name: "apart".into(),
        kind: GroupKind::Spread {
            guests: vec![0, 1, 2],
            place: [0, 1, 2].into(),
        },
    });
    check(&p, 3, 2700, "no two can share");
}

#[test]
fn parts_that_share_no_guest_add_up() {
    let mut p = problem(&[(10, 1000); 4], &[[6, 1, 1], [1, 6, 1]]);
    p.guests[0].allowed = [0, 1].into();
    p.guests[1].allowed = [2, 3].into();
    check(&p, 2, 2000, "");
    // Three parts of 4 each, where the sum of 12 fits two hosts.
    let mut p = problem(&[(10, 1000); 6], &[[4, 1, 1]; 3]);
    for (g, guest) in p.guests.iter_mut().enumerate() {
        guest.allowed = [2 * g, 2 * g + 1].into();
    }
    check(&p, 3, 3000, "");
}

#[test]
fn fenced_guests_keep_their_hosts_in_use() {
    let mut p = problem(
        &[(10, 1000), (10, 1000), (10, 5000), (10, 5000)],
        &[[4, 1, 1]; 5],
    );
    p.guests[0].allowed = [2, 3].into();
    p.guests[1].allowed = [0, 1].into();
    let bound = hosts(&p);
    assert_eq!((bound.hosts, bound.cost), (3, 7000), "{bound:?}");
}

/// Large hosts are in one place; guests apart need small ones of others, which is checked against every
/// set of hosts.
#[test]
fn places_that_guests_need_take_small_hosts() {
    let rooms = [(20, 1000), (20, 1000), (20, 1000), (9, 1000), (5, 1000)];
    let mut p = problem(&rooms, &[[4, 1, 1]; 10]);
    check(&p, 2, 2000, "volume of cpu");
    for (places, number) in [([0, 0, 0, 1, 2], 4), ([0, 0, 1, 2, 3], 3), ([0; 5], 6)] {
        p.rules = vec![GroupRule {
            name: "apart".into(),
            kind: GroupKind::Spread {
                guests: vec![0, 1, 2],
                place: places.into(),
            },
        }];
        let enough = |set: &u32| {
            let inside = |h: &usize| set >> h & 1 == 1;
            let room: i64 = (0..5).filter(inside).map(|h| rooms[h].0).sum();
            let mut seen: Vec<usize> = (0..5).filter(inside).map(|h| places[h]).collect();
            seen.sort_unstable();
            seen.dedup();
            room >= 40 && seen.len() >= 3
        };
        let fewest = (0u32..32).filter(enough).map(u32::count_ones).min();
        assert_eq!(fewest.unwrap_or(6), number);
        let number = usize::try_from(number).unwrap();
        assert_eq!(hosts(&p).hosts, number, "{places:?}");
    }
}

#[test]
fn few_moves_empty_few_hosts() {
    // Hosts with 1, 2, 3 and 4 guests; 4 moves empty the first two at most.
    let mut p = problem(&[(100, 1000); 4], &[[1, 1, 1]; 10]);
    for (g, guest) in p.guests.iter_mut().enumerate() {
        guest.current = [0, 1, 1, 2, 2, 2, 3, 3, 3, 3].get(g).copied();
    }
    p.rules.push(GroupRule {
        name: "few".into(),
        kind: GroupKind::MaxMoves {
            guests: (0..10).collect(),
            moves: 4,
        },
    });
    check(&p, 2, 2000, "rule few");
    // A guest that must leave its host takes one of the moves.
    p.guests[9].allowed = [0, 1, 2].into();
    p.rules[0].kind = GroupKind::MaxMoves {
        guests: (0..10).collect(),
        moves: 3,
    };
    check(&p, 3, 3000, "rule few");
}

#[test]
fn the_lightest_hosts_are_emptied() {
    let mut p = problem(
        &[(100, 1000); 4],
        &[[1, 8, 1], [1, 2, 1], [1, 4, 1], [1, 6, 1]],
    );
    for (g, guest) in p.guests.iter_mut().enumerate() {
        guest.current = Some(g);
    }
    assert_eq!(moves(&p, 4000).least, 0);
    assert_eq!(moves(&p, 2000).least, 2 + 4);
    // A draining host counts whatever the budget.
    p.hosts[0].open = false;
    for guest in &mut p.guests {
        guest.allowed = [1, 2, 3].into();
    }
    assert_eq!(moves(&p, 4000).least, 8);
    assert_eq!(moves(&p, 1000).least, 8 + 2 + 4);
    // A host that never sleeps is paid first and is never emptied.
    p.hosts[1].always = true;
    assert_eq!(moves(&p, 2000).least, 8 + 4);
    // Unequal costs: the budget of 1500 keeps host 1 and at most 500/3000 of host 3, of 6 MiB.
    (p.hosts[2].cost, p.hosts[3].cost) = (3000, 3000);
    assert_eq!(moves(&p, 2500).least, 8 + 4 + 6);
    p.hosts[2].cost = 2000;
    assert_eq!(moves(&p, 2500).least, 8 + 4 + 6 - 2);
}

/// The lightest host cannot be emptied: what runs there fits beside nobody.
#[test]
fn who_stays_must_leave_room_for_who_comes() {
    let mut p = problem(
        &[(10, 1000); 3],
        &[[6, 6, 1], [6, 6, 1], [4, 4, 1], [4, 4, 1]],
    );
    for (guest, at) in p.guests.iter_mut().zip([0, 1, 2, 2]) {
        guest.current = Some(at);
    }
    assert_eq!(moves(&p, 2000).least, 6);
    let never = || false;
    let limits = crate::Limits {
        time: vmpack_domain::units::Micros::secs(1),
        nodes: Some(500),
        seed: 1,
        threads: 1,
        stop: &never,
    };
    let known = |lower| crate::pattern::stay::Between { lower, upper: 8 };
    let packing = crate::pattern::Packing::of(&p);
    let by_patterns = |lower| {
        let stay = crate::pattern::stay::Stay::new(&p, &packing).unwrap();
        crate::pattern::stay::moves(&stay, 2000, known(lower), &limits, &never)
    };
    assert_eq!(by_patterns(6).bound.map(|b| b.least), Some(8));
    assert_eq!(by_patterns(8).bound, None, "nothing is left to prove");
}

#[test]
fn an_overloaded_host_sheds_guests_even_if_it_stays() {
    let mut p = problem(&[(10, 1000); 3], &[[6, 4, 1], [6, 6, 1], [1, 2, 1]]);
    for guest in &mut p.guests {
        guest.current = Some(0);
    }
    // 3 too much CPU on the host: half of a guest of 4 MiB, rounded up to the divisor 2.
    assert_eq!(moves(&p, 3000).least, 2);
}

#[test]
fn an_impossible_world_is_bounded_beyond_all_its_hosts() {
    let p = problem(&[(10, 1000); 2], &[[6, 1, 1]; 3]);
    check(&p, 3, 3000, "no placement exists");
}

/// Hosts cut into guests without rest: what is cut from them fits them again.
#[test]
fn no_bound_exceeds_a_planted_optimum() {
    let mut state = 7u64;
    let mut random = |n: i64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(state >> 33).unwrap() % n
    };
    for round in 0..60 {
        let rooms: Vec<i64> = (0..12)
            .map(|_| {
                if round % 2 == 0 {
                    1000
                } else {
                    400 + random(3) * 300
                }
            })
            .collect();
        let mut guests = Vec::new();
        for room in &rooms {
            let mut rest = [*room; RESOURCES];
            if round % 3 == 0 {
                // In two: each piece just excludes what is larger than the other.
                let need = [1 + random(room / 2); RESOURCES];
                for (r, n) in rest.iter_mut().zip(need) {
                    *r -= n;
                }
                guests.push(need);
            }
            while round % 3 > 0 && rest.iter().all(|r| *r > 0) {
                let most = 1 + room / (1 + round % 5);
                let need = rest.map(|r| (1 + random(most)).min(r));
                for (r, n) in rest.iter_mut().zip(need) {
                    *r -= n;
                }
                guests.push(need);
            }
            guests.push(rest);
        }
        let slots: Vec<(i64, i64)> = rooms.iter().map(|r| (*r, 1000)).collect();
        let bound = hosts(&problem(&slots, &guests));
        assert_eq!(
            bound.hosts, 12,
            "round {round}: the volume fills every host, {bound:?}"
        );
        // With a spare large host the volume may be met by fewer, never by more.
        let mut more = slots;
        more.push((1000, 1000));
        assert!(hosts(&problem(&more, &guests)).hosts <= 12);
    }
}
