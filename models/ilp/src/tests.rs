//! Both stages and every bound against an enumeration of all placements. The enumeration reads the
//! cluster and the policy, not the [`Problem`], so that the folding of rules is tested with it.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use vmpack_domain::check;
use vmpack_domain::cluster::{Cluster, Guest, Host, HostState, PostCopy, Reserve};
use vmpack_domain::load::{CpuLoad, GuestLoad, Load};
use vmpack_domain::policy::Policy;
use vmpack_domain::rule::{Over, Rule, RuleKind};
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Permille, Ratio};

use crate::pattern::{self, Packing};
use crate::problem::{GroupKind, GroupRule, Problem};
use crate::{Limits, Placement, Solved, assignment, bound, in_use, moves, rule};

/// A small world to be planned.
#[derive(Debug, Clone)]
struct World {
    cluster: Cluster,
    load: Load,
    policy: Policy,
}

fn host(i: usize, (cpu, gib, state, sleepless, rack): (u64, u64, u8, bool, Option<u8>)) -> Host {
    Host {
        name: format!("h{i}").parse().unwrap(),
        cpu: MilliCores::cores(cpu),
        memory: MiB(gib * 1024),
        network: MiBPerSec(100),
        state: match state {
            0 => HostState::Drain,
            1 => HostState::Out,
            2 | 3 => HostState::Asleep,
            _ => HostState::On,
        },
        speed: Ratio::ONE,
        reserve: Reserve::default(),
        labels: rack
            .map(|r| ("rack".to_owned(), format!("r{r}")))
            .into_iter()
            .collect(),
        never_sleep: sleepless,
        uri: None,
        migrate_address: None,
        probe: None,
    }
}

fn guest(i: usize, (vcpus, half_gib, at, movable): (u32, u64, Option<usize>, bool)) -> Guest {
    Guest {
        name: format!("g{i}").parse().unwrap(),
        uuid: None,
        vcpus,
        memory: MiB(half_gib * 512),
        host: at.map(|h| format!("h{h}").parse().unwrap()),
        reserved: MilliCores::ZERO,
        movable,
        moved_ago: None,
        post_copy: PostCopy::Allowed,
        requires: BTreeMap::new(),
    }
}

/// Up to 4 hosts and 6 guests, in a few kinds so that symmetry is common, with up to 3 rules.
fn worlds() -> impl Strategy<Value = World> {
    let host_kind = prop_oneof![Just((4, 8)), Just((4, 8)), Just((6, 12)), Just((8, 6))];
    let hosts = prop::collection::vec(
        (
            host_kind,
            0u8..16,
            prop::bool::weighted(0.15),
            prop::option::weighted(0.7, 0u8..2),
            prop_oneof![3 => Just(1000u64), 1 => Just(500), 1 => Just(1300), 1 => Just(0)],
        ),
        1..=4,
    );
    (hosts, prop::bool::ANY)
        .prop_flat_map(|(hosts, varied)| {
            let n = hosts.len();
            let guests = prop::collection::vec(
                (
                    1u32..=4,
                    1u64..=9,
                    prop::option::weighted(0.85, 0..n),
                    prop::bool::weighted(0.95),
                    0u64..=4000,
                ),
                0..=6,
            );
            (Just((hosts, varied)), guests).prop_flat_map(move |((hosts, varied), guests)| {
                let rules = prop::collection::vec(
                    (
                        0u8..9,
                        prop::collection::btree_set(0..guests.len().max(1), 1..=3),
                        prop::bool::ANY,
                        prop::collection::btree_set(0..n, 1..=n),
                        0u32..=4,
                    ),
                    0..=3,
                );
                (Just((hosts, varied, guests)), rules)
            })
        })
        .prop_map(|((hosts, varied, guests), rules)| {
            let mut policy = Policy::default();
            policy.headroom.cpu = Permille(if varied { 130 } else { 0 });
            policy.headroom.memory = Permille(0);
            policy.over_commit.cpu = Ratio(1500);
            policy.overhead.memory = MiB(if varied { 200 } else { 0 });
            for (i, (.., cost)) in hosts.iter().enumerate() {
                let name = format!("h{i}").parse().unwrap();
                policy.costs.hosts.insert(name, Ratio(*cost));
            }
            for (i, rule) in rules.into_iter().enumerate() {
                let kind = rule_kind(rule, guests.len());
                policy.rules.extend(kind.map(|kind| Rule {
                    name: format!("rule-{i}"),
                    kind,
                }));
            }
            let mut load = Load::default();
            let mut cluster = Cluster::default();
            for (i, ((cpu, gib), state, sleepless, rack, _)) in hosts.into_iter().enumerate() {
                cluster
                    .hosts
                    .push(host(i, (cpu, gib, state, sleepless, rack)));
            }
            for (i, (vcpus, half_gib, at, movable, demand)) in guests.into_iter().enumerate() {
                let guest = guest(i, (vcpus, half_gib, at, movable));
                let cpu = CpuLoad {
                    p95: Some(MilliCores(demand)),
                    ..CpuLoad::default()
                };
                load.guests.insert(
                    guest.name.clone(),
                    GuestLoad {
                        cpu: Some(cpu),
                        ..GuestLoad::default()
                    },
                );
                cluster.guests.push(guest);
            }
            World {
                cluster,
                load,
                policy,
            }
        })
}

type RuleSeed = (u8, BTreeSet<usize>, bool, BTreeSet<usize>, u32);

fn rule_kind((kind, guests, rack, hosts, n): RuleSeed, all: usize) -> Option<RuleKind> {
    let over = if rack {
        Over::Label("rack".into())
    } else {
        Over::Host
    };
    let guests: Vec<String> = guests.iter().map(|g| format!("g{g}")).collect();
    let hosts: Vec<String> = hosts.iter().map(|h| format!("h{h}")).collect();
    Some(match kind {
        7 => RuleKind::Spare { hosts: n.min(2) },
        8 => RuleKind::MaxMoves {
            guests: Vec::new(),
            moves: n,
        },
        _ if all == 0 => return None,
        0 | 1 => RuleKind::Spread { guests, over },
        2 => RuleKind::Gather { guests, over },
        3 => RuleKind::Fence { guests, hosts },
        4 => RuleKind::Ban { guests, hosts },
        5 => RuleKind::Pin { guests },
        _ => RuleKind::MaxMoves { guests, moves: n },
    })
}

/// A placement that keeps everything, by the position of hosts in the cluster.
struct Enumerated {
    placement: Vec<usize>,
    /// Of the cheapest hosts that may be in use for it.
    cost: u64,
    /// The fewest hosts that may be in use for it.
    hosts: u32,
    moved: u64,
}

/// Every placement that keeps everything.
fn enumerate(world: &World) -> Vec<Enumerated> {
    let World {
        cluster,
        load,
        policy,
    } = world;
    let (n, m) = (cluster.guests.len(), cluster.hosts.len());
    let place = |over: &Over, h: usize| match over {
        Over::Host => format!("h{h}"),
        Over::Label(l) => cluster.hosts[h]
            .labels
            .get(l)
            .map_or(format!("h{h}"), |v| format!("{l} {v}")),
    };
    let demand = |g: usize| {
        let guest = &cluster.guests[g];
        let measured = load.guests[&guest.name].cpu.as_ref().unwrap().p95.unwrap();
        measured.0.min(u64::from(guest.vcpus) * 1000)
    };
    let need = |g: usize| {
        let guest = &cluster.guests[g];
        let memory = guest.memory.0 + policy.overhead.memory.0;
        [demand(g), memory, u64::from(guest.vcpus) * 1000]
    };
    let room = |h: usize| {
        let host = &cluster.hosts[h];
        let cpu = host.cpu.0 * (1000 - policy.headroom.cpu.0) / 1000;
        [
            cpu,
            host.memory.0,
            host.cpu.0 * policy.over_commit.cpu.0 / 1000,
        ]
    };
    let current: Vec<Option<usize>> = cluster
        .guests
        .iter()
        .map(|g| {
            let at = cluster
                .hosts
                .iter()
                .position(|h| Some(&h.name) == g.host.as_ref())?;
            (cluster.hosts[at].state != HostState::Out).then_some(at)
        })
        .collect();
    let guests_of = |names: &[String]| -> Vec<usize> {
        (0..n)
            .filter(|g| names.contains(&format!("g{g}")))
            .collect()
    };
    let open = |h: usize| cluster.hosts[h].state.takes_guests();
    let keeps = |at: &[usize]| {
        let stays = |g: usize| current[g].is_none_or(|c| c == at[g]);
        policy.rules.iter().all(|rule| {
            let guests = guests_of(rule.kind.guests());
            let named = |g: &usize| rule.kind.hosts().contains(&format!("h{}", at[*g]));
            match &rule.kind {
                RuleKind::Spread { over, .. } => {
                    let places: BTreeSet<_> = guests.iter().map(|g| place(over, at[*g])).collect();
                    places.len() == guests.len()
                }
                RuleKind::Gather { over, .. } => {
                    let places: BTreeSet<_> = guests.iter().map(|g| place(over, at[*g])).collect();
                    places.len() <= 1
                }
                RuleKind::Fence { .. } => guests.iter().all(named),
                RuleKind::Ban { .. } => !guests.iter().any(named),
                RuleKind::Pin { .. } => guests.iter().all(|g| stays(*g)),
                RuleKind::Spare { .. } => true,
                RuleKind::MaxMoves { guests: of, moves } => {
                    let counted = if of.is_empty() {
                        (0..n).collect()
                    } else {
                        guests
                    };
                    counted.iter().filter(|g| !stays(**g)).count() <= *moves as usize
                }
            }
        }) && (0..n).all(|g| cluster.guests[g].movable || stays(g))
    };
    // Sets of hosts that may be in use, as bits, with what spare rules want.
    let spare = policy.rules.iter().filter_map(|r| match r.kind {
        RuleKind::Spare { hosts } => Some(u64::from(hosts)),
        _ => None,
    });
    let spare = spare.max();
    let awake: Vec<usize> = (0usize..1 << m)
        .filter(|set| {
            let has = |h: &usize| set >> h & 1 == 1;
            let must =
                |h: usize| cluster.hosts[h].never_sleep && cluster.hosts[h].state == HostState::On;
            let allowed = (0..m).all(|h| if has(&h) { open(h) } else { !must(h) });
            allowed
                && (0..3).all(|r| {
                    let largest = (0..m).filter(|h| open(*h)).map(|h| room(h)[r]).max();
                    let there: u64 = (0..m).filter(has).map(|h| room(h)[r]).sum();
                    let needed: u64 = (0..n).map(|g| need(g)[r]).sum();
                    spare.is_none_or(|k| there >= needed + k * largest.unwrap_or(0))
                })
        })
        .collect();
    let cost = |set: usize| -> u64 {
        (0..m)
            .filter(|h| set >> h & 1 == 1)
            .map(|h| policy.costs.of(&cluster.hosts[h].name).0)
            .sum()
    };
    let mut found = Vec::new();
    for code in 0..m.pow(u32::try_from(n).unwrap()) {
        let placement: Vec<usize> = (0..n)
            .scan(code, |rest, _| {
                let h = *rest % m;
                *rest /= m;
                Some(h)
            })
            .collect();
        let fits = (0..m).all(|h| {
            let on: Vec<usize> = (0..n).filter(|g| placement[*g] == h).collect();
            let load = |r: usize| on.iter().map(|g| need(*g)[r]).sum::<u64>();
            on.is_empty() || (open(h) && (0..3).all(|r| load(r) <= room(h)[r]))
        });
        if !fits || !keeps(&placement) {
            continue;
        }
        let carrying = placement.iter().fold(0usize, |set, h| set | 1 << h);
        let sets = || awake.iter().filter(|s| **s & carrying == carrying);
        let Some(cheapest) = sets().map(|s| cost(*s)).min() else {
            continue;
        };
        let moves = (0..n).filter(|g| current[*g].is_some_and(|c| c != placement[*g]));
        found.push(Enumerated {
            cost: cheapest,
            hosts: sets().map(|s| s.count_ones()).min().unwrap_or(0),
            moved: moves.map(|g| cluster.guests[g].memory.0).sum(),
            placement,
        });
    }
    found
}

fn limits() -> Limits<'static> {
    Limits {
        time: Micros::secs(120),
        nodes: None,
        seed: 1,
        threads: 1,
        stop: &|| false,
    }
}

fn signed(v: u64) -> i64 {
    i64::try_from(v).unwrap()
}

fn cost_of(p: &Problem, placement: &[usize]) -> i64 {
    let used = in_use(p, placement).unwrap();
    used.iter().map(|h| p.hosts[*h].cost).sum()
}

fn moved_by(p: &Problem, placement: &[usize]) -> i64 {
    p.guests
        .iter()
        .zip(placement)
        .filter(|(g, h)| g.current.is_some_and(|c| c != **h))
        .map(|(g, _)| g.memory)
        .sum()
}

/// The answer of an optimal solve; fails on anything else.
fn optimal(solved: Solved<Placement>) -> Result<(Placement, i64), TestCaseError> {
    match solved {
        Solved::Optimal { answer, bound } => Ok((answer, bound)),
        other => Err(TestCaseError::fail(format!(
            "expected a proven optimum, got {other:?}"
        ))),
    }
}

/// The judge finds nothing wrong. Spare room is left out: it hangs on which hosts are awake.
fn judge(world: &World, p: &Problem, placement: &[usize]) -> Result<(), TestCaseError> {
    let mut policy = world.policy.clone();
    policy
        .rules
        .retain(|r| !matches!(r.kind, RuleKind::Spare { .. }));
    let target = p.guests.iter().zip(placement);
    let target = target.map(|(g, h)| (g.name.clone(), p.hosts[*h].name.clone()));
    let found = check::placement(&world.cluster, &world.load, &policy, &target.collect());
    prop_assert!(found.is_empty(), "{found:?}");
    Ok(())
}

/// Everything that is claimed of one world.
fn check(world: &World, pick: usize, block: u8) -> Result<(), TestCaseError> {
    let all = enumerate(world);
    let Ok(p) = Problem::build(&world.cluster, &world.load, &world.policy) else {
        prop_assert!(
            all.is_empty(),
            "refused though {:?} would do",
            all[0].placement
        );
        return Ok(());
    };
    let least = bound::hosts(&p);
    let Some(best) = all.iter().map(|e| e.cost).min() else {
        prop_assert_eq!(
            assignment::solve(&p, None, 0, &limits()),
            Solved::Infeasible
        );
        prop_assert_eq!(
            moves::solve(&p, i64::MAX, None, &limits()),
            Solved::Infeasible
        );
        return Ok(());
    };
    let best = signed(best);

    prop_assert!(least.cost <= best, "{least:?} above {best}");
    let fewest = all.iter().map(|e| e.hosts).min().unwrap();
    prop_assert!(least.hosts <= fewest as usize, "{least:?} above {fewest}");

    let packing = Packing::of(&p);
    for packing in (0..packing.resources())
        .map(|r| packing.project(r))
        .chain([packing.clone()])
    {
        let bound = pattern::bound(&packing, &[], 0, i64::MAX, &limits());
        prop_assert!(bound.cost <= best, "{bound:?} above {best}");
    }

    // A warm start, by the problem's host indices: hosts that are out are not in it.
    let known = &all[pick % all.len()];
    let index = |h: &usize| {
        let name = &world.cluster.hosts[*h].name;
        p.hosts.iter().position(|s| s.name == *name).unwrap()
    };
    let warm: Vec<usize> = known.placement.iter().map(index).collect();
    prop_assert!(rule::holds(&p, &warm));
    prop_assert_eq!(cost_of(&p, &warm), signed(known.cost));

    for (warm, lower) in [(None, 0), (Some(&*warm), least.cost)] {
        let (answer, proven) = optimal(assignment::solve(&p, warm, lower, &limits()))?;
        prop_assert_eq!(proven, best);
        prop_assert_eq!(cost_of(&p, &answer), best);
        judge(world, &p, &answer)?;
    }

    for budget in [best, signed(known.cost)] {
        let affordable = all.iter().filter(|e| signed(e.cost) <= budget);
        let least = signed(affordable.map(|e| e.moved).min().unwrap());
        let proven = bound::moves(&p, budget);
        prop_assert!(proven.least <= least, "{proven:?} above {least}");
        // Also where it is told nothing, and where it is told what it may not exceed.
        for lower in [0, proven.least] {
            let known = pattern::stay::Between {
                lower,
                upper: least,
            };
            let stay = || pattern::stay::Stay::new(&p, &packing).unwrap();
            // Whether contents are found at once or by search.
            let mut found = pattern::stay::Stayed::default();
            for stay in [stay().searched(), stay()] {
                found = pattern::stay::moves(&stay, budget, known, &limits(), &|| false);
                prop_assert!(
                    found.bound.as_ref().is_none_or(|b| b.least <= least),
                    "{found:?} above {least}"
                );
                // Patterns do not know every rule.
                if let Some(placement) = found.placement.as_ref().filter(|_| p.rules.is_empty()) {
                    prop_assert!(rule::holds(&p, placement), "{placement:?}");
                    prop_assert!(cost_of(&p, placement) <= budget);
                    prop_assert!(moved_by(&p, placement) >= least);
                }
            }
            let together = packing.together();
            let stay = pattern::stay::Stay::new(&p, &together).unwrap();
            let places = |r: &GroupRule| {
                matches!(r.kind, GroupKind::Spread { .. } | GroupKind::Gather { .. })
            };
            let exact = stay.is_exact() && p.rules.iter().all(places);
            let refilled = exact.then(|| {
                pattern::stay::refilled(&stay, budget, &found.weights, &limits(), &|| false)
            });
            if let Some(placement) = refilled.flatten() {
                prop_assert!(rule::holds(&p, &placement), "{placement:?}");
                prop_assert!(cost_of(&p, &placement) <= budget);
                prop_assert!(moved_by(&p, &placement) >= least);
            }
        }
        for warm in [None, Some(&*warm)] {
            let (answer, proven) = optimal(moves::solve(&p, budget, warm, &limits()))?;
            prop_assert_eq!(proven, least);
            prop_assert_eq!(moved_by(&p, &answer), least);
            prop_assert!(cost_of(&p, &answer) <= budget);
            judge(world, &p, &answer)?;
        }
    }
    if best > 0 {
        prop_assert_eq!(
            moves::solve(&p, best - 1, None, &limits()),
            Solved::Infeasible
        );
    }

    let hosts: Vec<usize> = (0..p.hosts.len()).filter(|h| block >> h & 1 == 1).collect();
    let (answer, proven) = optimal(moves::improve(&p, &warm, &hosts, &limits()))?;
    prop_assert_eq!(proven, moved_by(&p, &answer));
    prop_assert!(proven <= moved_by(&p, &warm));
    prop_assert!(cost_of(&p, &answer) <= signed(known.cost));
    for (before, after) in warm.iter().zip(&answer) {
        prop_assert!(before == after || (hosts.contains(before) && hosts.contains(after)));
    }
    judge(world, &p, &answer)?;
    Ok(())
}

#[test]
fn a_host_is_filled_to_its_last_unit_and_not_beyond() {
    let world = |demand: u64| {
        let mut world = World {
            cluster: Cluster::default(),
            load: Load::default(),
            policy: Policy::default(),
        };
        world.policy.headroom.cpu = Permille(0);
        for h in 0..2 {
            world.cluster.hosts.push(host(h, (4, 64, 9, false, None)));
        }
        for (g, demand) in [1501, 1200, 1299, demand].into_iter().enumerate() {
            let guest = guest(g, (2, 2, Some(g % 2), true));
            let cpu = CpuLoad {
                p95: Some(MilliCores(demand)),
                ..CpuLoad::default()
            };
            let cpu = Some(cpu);
            let load = GuestLoad {
                cpu,
                ..GuestLoad::default()
            };
            world.load.guests.insert(guest.name.clone(), load);
            world.cluster.guests.push(guest);
        }
        Problem::build(&world.cluster, &world.load, &world.policy).unwrap()
    };
    for (demand, hosts) in [(0, 1000), (1, 2000)] {
        let p = world(demand);
        let (answer, bound) = optimal(assignment::solve(&p, None, 0, &limits())).unwrap();
        assert_eq!((bound, cost_of(&p, &answer)), (hosts, hosts));
        assert_eq!(bound::hosts(&p).cost, hosts);
        // One host is enough only if two guests of 1 GiB leave the other.
        let (_, moved) = optimal(moves::solve(&p, hosts, None, &limits())).unwrap();
        assert_eq!(moved, if hosts == 1000 { 2048 } else { 0 });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(160) })]

    #[test]
    fn optima_are_those_of_an_enumeration_and_no_bound_exceeds_them(
        world in worlds(),
        pick in 0usize..10_000,
        block in 0u8..16,
    ) {
        check(&world, pick, block)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// What is written in MPS format, read back by HiGHS, has the formulation's optimum.
    #[test]
    fn a_formulation_reads_back_with_its_optimum(world in worlds()) {
        use crate::highs::mps::optimum;
        let problem = Problem::build(&world.cluster, &world.load, &world.policy);
        let Some(p) = problem.ok().filter(|p| !p.guests.is_empty()) else {
            return Ok(());
        };
        if !rule::spare::is_possible(&p) {
            return Ok(());
        }
        let read = |text: Result<String, String>| optimum(&text.unwrap());
        let near = |a: f64, b: i64| (a - crate::model::float(b)).abs() < 1e-6;
        let whole = read(assignment::mps(&p, 0, false));
        match assignment::solve(&p, None, 0, &limits()) {
            Solved::Optimal { bound, .. } => {
                prop_assert!(whole.is_some_and(|w| near(w, bound)), "{:?} {}", whole, bound);
                let relaxed = read(assignment::mps(&p, 0, true));
                prop_assert!(relaxed.is_some_and(|r| r <= whole.unwrap_or(0.0) + 1e-6));
                let Solved::Optimal { bound: memory, .. } = moves::solve(&p, bound, None, &limits()) else {
                    return Err(TestCaseError::fail("no moves at the least cost"));
                };
                let moved = read(moves::mps(&p, bound, false));
                prop_assert!(moved.is_some_and(|m| near(m, memory)), "{:?} {}", moved, memory);
                // The pattern LP drops rules and hosts that are paid anyway.
                let packing = Packing::of(&p);
                let patterns = read(pattern::mps(&packing, true, &limits()));
                prop_assert!(
                    patterns.is_none_or(|v| v <= crate::model::float(bound) + 1e-3),
                    "{:?} {}", patterns, bound
                );
            }
            other => prop_assert_eq!(whole, None, "{:?}", other),
        }
    }
}
