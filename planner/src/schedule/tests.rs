use proptest::prelude::*;
use vmpack_domain::check::{self, Violation};
use vmpack_domain::file::{Source, read_policy};
use vmpack_domain::load::GuestLoad;
use vmpack_domain::plan::{Mode, Move, MoveId};
use vmpack_domain::units::{MiB, MiBPerSec, MilliCores, PagesPerSec, Permille};
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_ilp::problem::Problem;

use super::migrations::migrations;
use super::walk::walk;
use super::{Hop, Order, Replay, order};
use crate::instance::Instance;
use crate::tests::read;

/// A guest by name, memory in GiB, host and target.
type Guest<'a> = (&'a str, u32, usize, usize);

/// Hosts of 8 GiB with those guests.
fn problem(hosts: usize, guests: &[Guest], rules: &str) -> (Cluster, Load, Problem) {
    let mut text = "hosts:\n".to_owned();
    for h in 1..=hosts {
        text += &format!(
            "  - {{ name: h{h}, cpu: 8cores, memory: 8GiB, network: 1GiB/s, state: on }}\n"
        );
    }
    text += "guests:\n";
    for (name, memory, from, _) in guests {
        text += &format!("  - {{ name: {name}, vcpus: 1, memory: {memory}GiB, host: h{from} }}\n");
    }
    let policy =
        format!("headroom: {{ cpu: 0%, memory: 0% }}\noverhead: {{ memory: 0MiB }}\n{rules}");
    let (cluster, load, policy) = read(&text, "", &policy);
    let problem = Problem::build(&cluster, &load, &policy).expect("a problem");
    (cluster, load, problem)
}

fn targets(guests: &[Guest]) -> Vec<usize> {
    guests.iter().map(|g| g.3 - 1).collect()
}

/// The order as `guest>host`, with `*` where a guest parks, or the guests that are stuck.
fn check(hosts: usize, guests: &[Guest], rules: &str, expected: &str) {
    let (_, _, problem) = problem(hosts, guests, rules);
    let target = targets(guests);
    let name = |g: usize| problem.guests[g].name.as_str();
    let found = match order(&problem, &target, 1) {
        Order::Whole(hops) => {
            let hop = |h: &Hop| {
                format!(
                    "{}>h{}{}",
                    name(h.guest),
                    h.to + 1,
                    if h.parks { "*" } else { "" }
                )
            };
            hops.iter().map(hop).collect::<Vec<_>>().join(" ")
        }
        Order::Stuck { waiting, .. } => {
            let names: Vec<&str> = waiting.iter().map(|g| name(*g)).collect();
            format!("stuck {}", names.join(" "))
        }
    };
    assert_eq!(found, expected);
}

#[test]
fn a_target_is_emptied_before_it_is_filled() {
    check(3, &[("a", 6, 1, 2), ("b", 6, 2, 3)], "", "b>h3 a>h2");
}

#[test]
fn the_smallest_guest_of_a_cycle_is_parked() {
    check(3, &[("a", 6, 1, 2), ("b", 5, 2, 1)], "", "b>h3* a>h2 b>h1");
}

#[test]
fn a_cycle_with_room_on_the_way_needs_no_parking() {
    check(2, &[("a", 4, 1, 2), ("b", 4, 2, 1)], "", "a>h2 b>h1");
}

#[test]
fn without_room_anywhere_guests_are_stuck() {
    check(2, &[("a", 6, 1, 2), ("b", 6, 2, 1)], "", "stuck a b");
}

#[test]
fn parking_keeps_out_of_where_a_guest_may_not_be_and_within_the_limit_on_moves() {
    let swap = [("a", 6, 1, 2), ("b", 6, 2, 1)];
    check(
        3,
        &swap,
        "rules: [{ kind: ban, guests: [a, b], hosts: [h3] }]\n",
        "stuck a b",
    );
    check(3, &swap, "limits: { moves: 2 }\n", "stuck a b");
    check(3, &swap, "limits: { moves: 3 }\n", "a>h3* b>h1 a>h2");
}

#[test]
fn guests_that_are_kept_apart_do_not_meet_on_the_way_when_there_is_another_order() {
    let rules = "rules: [{ kind: spread, guests: [a, b] }]\n";
    check(3, &[("a", 2, 1, 2), ("b", 2, 2, 3)], rules, "b>h3 a>h2");
    // A plain swap must let them meet or cost a third move.
    check(2, &[("a", 2, 1, 2), ("b", 2, 2, 1)], rules, "a>h2 b>h1");
}

/// The migrations as `guest@start`, starts in seconds, with `<guest` for each that it waits for. Of a
/// guest, each GiB takes a second, and a second comes on top.
fn check_times(hosts: usize, guests: &[Guest], rules: &str, expected: &str) {
    let (cluster, load, problem) = problem(hosts, guests, rules);
    let Order::Whole(hops) = order(&problem, &targets(guests), 1) else {
        panic!("there is an order");
    };
    let mut policy = Policy::default();
    policy.migrations.bandwidth = Permille(1000);
    let inputs = (&cluster, &load, &policy);
    let (moves, claim, _) = migrations(inputs, &problem, &hops, |_| String::new());
    let guest = |id: &MoveId| moves.iter().find(|m| m.id == *id).map(|m| m.guest.as_str());
    let shown = moves.iter().map(|m| {
        let seconds = (m.start.0 + 500_000) / 1_000_000;
        let edges = m
            .after
            .iter()
            .map(|id| format!("<{}", guest(id).unwrap_or("?")));
        format!("{}@{seconds}{}", m.guest, edges.collect::<String>())
    });
    assert_eq!(shown.collect::<Vec<_>>().join(" "), expected);
    let end = moves.iter().map(|m| m.start + m.duration).max();
    assert_eq!(Some(claim.objective), end);
    assert!(claim.bound <= claim.objective, "{claim:?}");
}

#[test]
fn a_move_waits_only_for_what_its_slot_its_room_or_its_rules_hang_on() {
    let apart = [("a", 2, 1, 2), ("b", 2, 3, 4)];
    check_times(4, &apart, "", "a@0 b@0");
    let spread = "rules: [{ kind: spread, guests: [a, b] }]\n";
    check_times(4, &apart, spread, "a@0 b@3<a");
    check_times(3, &[("a", 6, 1, 2), ("b", 6, 2, 3)], "", "b@0 a@7<b");
    // One after the other to one host, though none waits for another's room.
    let one_target = [("a", 2, 1, 4), ("b", 2, 2, 4), ("c", 2, 3, 4)];
    check_times(4, &one_target, "", "a@0 b@3 c@5");
    // b parks on h3, a takes its place, b goes on; c has nothing to do with them.
    let swap = [("a", 6, 1, 2), ("b", 5, 2, 1), ("c", 1, 4, 5)];
    check_times(5, &swap, "", "c@0 b@0 a@6<b b@12<a");
    // d waits for b's room alone; c, which is as large as what is free, for nobody.
    let beside = [("b", 4, 1, 2), ("c", 4, 3, 1), ("d", 4, 4, 1)];
    check_times(4, &beside, "", "b@0 c@0 d@5<b");
}

/// Guests of 1 GiB and more leave h1 for h2, each with what it dirties, in MiB/s, over a link that carries 128; the
/// kinds that they move by, and what the budgets see.
fn kinds(budget: &str, guests: &[(u32, Option<u64>)]) -> (Vec<Mode>, Vec<Violation>) {
    let (moves, refused) = moves_within(budget, guests, None);
    (moves.iter().map(|m| m.mode).collect(), refused)
}

/// The same, with a working set.
fn moves_within(
    budget: &str,
    guests: &[(u32, Option<u64>)],
    working_set: Option<MiB>,
) -> (Vec<Move>, Vec<Violation>) {
    let named: Vec<String> = (0..guests.len()).map(|g| format!("g{g}")).collect();
    let all = guests.iter().zip(&named);
    let of: Vec<Guest> = all
        .map(|((memory, _), n)| (n.as_str(), *memory, 1, 2))
        .collect();
    let (mut cluster, mut load, _) = problem(2, &of, "");
    for host in &mut cluster.hosts {
        (host.network, host.memory) = (MiBPerSec(128), MiB(1024 * 1024));
        host.cpu = MilliCores::cores(64);
    }
    for ((_, dirty), guest) in guests.iter().zip(&cluster.guests) {
        let dirty = dirty.map(|mib| PagesPerSec(mib * 256));
        let own = GuestLoad {
            dirty,
            working_set,
            ..GuestLoad::default()
        };
        load.guests.insert(guest.name.clone(), own);
    }
    let text = format!(
        "apiVersion: vmpack/v1\nkind: Policy\nmigrations: {{ bandwidth: 100%, split-state: 1h, split-budget: {budget} }}\n"
    );
    let name = "policy.yaml".to_owned();
    let policy: Policy = read_policy(&[Source { name, text }]).expect("a policy");
    let problem = Problem::build(&cluster, &load, &policy).expect("a problem");
    let Order::Whole(hops) = order(&problem, &targets(&of), 1) else {
        panic!("there is an order");
    };
    let inputs = (&cluster, &load, &policy);
    let (mut moves, ..) = migrations(inputs, &problem, &hops, |_| String::new());
    let refused = check::split_budgets(&cluster, &policy, &moves);
    moves.sort_by(|a, b| a.guest.cmp(&b.guest));
    (moves, refused)
}

#[test]
fn all_that_cannot_do_without_split_state_have_some_before_any_has_more() {
    use Mode::{Hybrid, PostCopy, PreCopy};
    // None of them would end by pre-copy; by hybrid 2 s each, by post-copy 8 s.
    let guests = [(1, Some(1000)); 4];
    for (budget, expected) in [
        ("{}", [PostCopy; 4]),
        ("{ all: 32s }", [PostCopy; 4]),
        ("{ all: 20s }", [PostCopy, PostCopy, Hybrid, Hybrid]),
        ("{ all: 16s }", [PostCopy, Hybrid, Hybrid, Hybrid]),
        ("{ all: 8s }", [Hybrid; 4]),
        ("{ all: 7s }", [Hybrid, Hybrid, Hybrid, PreCopy]),
    ] {
        let (moves, refused) = moves_within(budget, &guests, Some(MiB(256)));
        assert!(refused.is_empty(), "{budget}: {refused:?}");
        let found: Vec<Mode> = moves.iter().map(|m| m.mode).collect();
        assert_eq!(found, expected, "{budget}");
        for mv in moves {
            let told = mv
                .reason
                .contains("as `split-budget` leaves too little for post-copy");
            assert_eq!(told, mv.mode != PostCopy, "{}", mv.reason);
        }
    }
    // What was not measured may be all of it: 8 s by hybrid, too.
    let unknown = |budget| kinds(budget, &[(1, None), (1, None)]);
    assert_eq!(unknown("{ all: 16s }").0, [Hybrid, Hybrid]);
    let (found, refused) = unknown("{ all: 15s }");
    assert_eq!(found, [Hybrid, PreCopy]);
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn split_state_is_given_to_whom_needs_it_most_within_its_budgets() {
    use Mode::{Hybrid, PostCopy, PreCopy};
    // By post-copy 8 s a GiB; by hybrid what is dirtied in the first pass.
    let guests = [(1, Some(1000)), (2, Some(64)), (1, Some(64)), (1, Some(1))];
    let all = [PostCopy, Hybrid, Hybrid, PreCopy];
    let check = |budget: &str, expected: [Mode; 4]| {
        let (found, refused) = kinds(budget, &guests);
        assert_eq!(found, expected, "{budget}");
        assert!(refused.is_empty(), "{budget}: {refused:?}");
    };
    // 8 + 8 + 4 seconds.
    check("{}", all);
    check("{ host: 20s }", all);
    check("{ all: 19s }", [PostCopy, PreCopy, Hybrid, PreCopy]);
    check("{ link: 12s }", [PostCopy, PreCopy, Hybrid, PreCopy]);
    check("{ host: 8s }", [PostCopy, PreCopy, PreCopy, PreCopy]);
    check("{ host: 7s }", [PreCopy, PreCopy, Hybrid, PreCopy]);
    check("{ host: 0s }", [PreCopy; 4]);
    // A label that no host has binds nobody.
    check("{ rack: 0s }", all);
}

proptest! {
    #[test]
    fn budgets_of_split_state_are_kept_whatever_they_are(
        guests in prop::collection::vec((1u32..=8, prop::option::of(0u64..400)), 1..12),
        host in 0u64..200,
        link in 0u64..200,
    ) {
        let (_, refused) = kinds(&format!("{{ host: {host}s, link: {link}s }}"), &guests);
        prop_assert!(refused.is_empty(), "{refused:?}");
    }
}

#[test]
fn a_walk_makes_room_and_spares_what_it_can() {
    // h1 has too much on it; neither of its guests fits elsewhere before c or d moves.
    let guests = [
        ("a", 6, 1, 1),
        ("b", 6, 1, 1),
        ("c", 4, 2, 2),
        ("d", 4, 3, 3),
    ];
    let (_, _, problem) = problem(3, &guests, "");
    let inst = Instance::build(&problem).expect("an instance");
    let mut found = 0;
    for seed in 0..20 {
        let Some(walk) = walk(&inst, seed, 3000, &|| true) else {
            continue;
        };
        found += 1;
        assert!(inst.feasible(&walk.at));
        let mut at: Vec<usize> = problem.guests.iter().filter_map(|g| g.current).collect();
        for hop in &walk.hops {
            assert_eq!(at[hop.guest], hop.from);
            let there = (0..at.len()).filter(|g| at[*g] == hop.to);
            let there: u32 = there.map(|g| guests[g].1).sum();
            assert!(there + guests[hop.guest].1 <= 8, "{hop:?}");
            at[hop.guest] = hop.to;
        }
        assert_eq!(inst.placement(&walk.at), at);
        assert_eq!(
            walk.hops.len(),
            2,
            "one makes room, one goes: {:?}",
            walk.hops
        );
    }
    assert!(found > 0);
}

/// What [`Replay::run`] means, said by looking at every guest and host each time.
fn plainly(mut replay: Replay) -> (Vec<Hop>, Vec<usize>) {
    let mut pending: Vec<usize> = (0..replay.at.len())
        .filter(|g| replay.pending(*g))
        .collect();
    pending.sort_by_key(|g| (replay.rank[*g], *g));
    loop {
        let mut awaited = vec![false; replay.load.len()];
        pending
            .iter()
            .for_each(|g| awaited[replay.target[*g]] = true);
        let target = |g: usize| replay.target[g];
        let ready = pending.iter().copied().enumerate();
        let ready = ready.filter(|(_, g)| replay.room_for(*g, target(*g)));
        let next = ready.min_by_key(|(i, g)| {
            let from = replay.at[*g].expect("a host");
            (replay.joins(*g, target(*g)), !awaited[from], *i)
        });
        if let Some((i, guest)) = next {
            pending.remove(i);
            replay.hop(guest, replay.target[guest], false);
            continue;
        }
        let mut choices = Vec::new();
        for g in pending.iter().copied() {
            let from = replay.at[g].expect("a host");
            if replay.parked[g] || !awaited[from] {
                continue;
            }
            let waiting = pending.iter().filter(|w| target(**w) == from);
            let frees = waiting.copied().any(|w| replay.frees(g, w, from));
            for (h, wanted) in awaited.iter().copied().enumerate() {
                if h != from && replay.room_for(g, h) {
                    let free = replay.problem.hosts[h].room[1] - replay.load[h][1];
                    let memory = replay.problem.guests[g].memory;
                    choices.push((!frees, memory, replay.joins(g, h), wanted, -free, g, h));
                }
            }
        }
        let Some((.., guest, host)) = choices.into_iter().min() else {
            return (replay.hops, pending);
        };
        replay.parked[guest] = true;
        replay.hop(guest, host, true);
    }
}

proptest! {
    #[test]
    fn the_queue_finds_what_looking_at_all_finds(
        hosts in 2usize..6,
        drawn in prop::collection::vec((1u32..5, 0usize..6, 0usize..6, 0usize..4), 1..16),
    ) {
        let names: Vec<String> = (0..drawn.len()).map(|g| format!("g{g}")).collect();
        let guests: Vec<Guest> = drawn
            .iter()
            .zip(&names)
            .map(|((memory, from, to, _), name)| {
                (name.as_str(), *memory, from % hosts + 1, to % hosts + 1)
            })
            .collect();
        let apart = |rule: usize| {
            let members = drawn.iter().zip(&names).filter(|(d, _)| d.3 == rule);
            let members: Vec<&str> = members.map(|(_, name)| name.as_str()).collect();
            (members.len() > 1)
                .then(|| format!("  - {{ kind: spread, guests: [{}] }}\n", members.join(", ")))
        };
        let rules: String = (1..4).filter_map(apart).collect();
        let rules = if rules.is_empty() { rules } else { format!("rules:\n{rules}") };
        let (_, _, problem) = problem(hosts, &guests, &rules);
        let target = targets(&guests);
        let rank: Vec<usize> = guests.iter().map(|g| g.2).collect();
        let found = Replay::new(&problem, &target, rank.clone()).run();
        prop_assert_eq!(found, plainly(Replay::new(&problem, &target, rank)));
    }
}
