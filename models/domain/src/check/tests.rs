use super::*;
use crate::file::{Source, read_inputs};
use crate::plan::{Base, Claim, HostChange, Mode, Move, MoveClaim, Start, TimeClaim};
use crate::units::{MiBPerSec, Micros, Sum};

fn inputs(cluster: &str, policy: &str) -> (Cluster, Load, Policy) {
    loaded(cluster, "guests: {}\n", policy)
}

fn loaded(cluster: &str, load: &str, policy: &str) -> (Cluster, Load, Policy) {
    let source = |kind: &str, text: &str| Source {
        name: kind.into(),
        text: format!("apiVersion: vmpack/v1\nkind: {kind}\n{text}"),
    };
    let read = read_inputs(
        &[source("Cluster", cluster)],
        &[source("Load", load)],
        &[source("Policy", policy)],
    )
    .unwrap();
    (read.cluster, read.load, read.policy)
}

fn name<T: std::str::FromStr<Err: fmt::Debug>>(s: &str) -> T {
    s.parse().unwrap()
}

/// A plan that makes these moves (guest, from, to, after), with claims that are true.
fn plan_of(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    moves: &[(&str, &str, &str, &[&str])],
) -> Plan {
    let mut target = cluster.placement();
    let mut list = Vec::new();
    for (i, (guest, from, to, after)) in moves.iter().enumerate() {
        let who = cluster.guest(&name(guest)).unwrap();
        target.insert(name(guest), name(to));
        list.push(Move {
            id: MoveId(format!("m{}", i + 1)),
            guest: name(guest),
            uuid: who.uuid,
            from: name(from),
            to: name(to),
            mode: Mode::PostCopy,
            memory: who.memory,
            vcpus: who.vcpus,
            demand: MilliCores(0),
            bandwidth: MiBPerSec(100),
            start: Micros::secs(i as u64),
            duration: Micros::secs(1),
            expected: None,
            after: after.iter().map(|a| MoveId((*a).into())).collect(),
            reason: String::new(),
        });
    }
    let mut after: BTreeSet<HostName> = target.values().cloned().collect();
    after.extend(
        cluster
            .hosts
            .iter()
            .filter(|h| h.never_sleep)
            .map(|h| h.name.clone()),
    );
    let cost: u64 = after.iter().map(|h| policy.costs.of(h).0).sum();
    let moved: MiB = cluster
        .guests
        .iter()
        .filter(|g| g.host.is_some() && target.get(&g.name) != g.host.as_ref())
        .map(|g| g.memory)
        .sum();
    Plan {
        base: Base {
            cluster: digest(cluster),
            load: digest(load),
        },
        policy: policy.clone(),
        status: PlanStatus::Optimal,
        claim: Claim {
            objective: Sum(cost),
            bound: Sum(cost),
            origin: String::new(),
            hosts_bound: 1,
        },
        move_claim: MoveClaim {
            objective: moved,
            bound: MiB(0),
            origin: String::new(),
        },
        time_claim: TimeClaim {
            objective: Micros::secs(list.len() as u64),
            bound: Micros::ZERO,
            origin: String::new(),
        },
        trade_claim: None,
        hosts: HostChange {
            before: cluster.hosts_in_use(),
            after: after.into_iter().collect(),
            wake: vec![],
        },
        target,
        moves: list,
        starts: vec![],
        reasons: vec![],
    }
}

fn laws(found: &[Violation]) -> Vec<&str> {
    found.iter().map(|v| v.law.as_str()).collect()
}

const THREE: &str = "
hosts:
  - { name: h1, cpu: 4cores, memory: 10GiB, network: 100MiB/s, state: on, labels: { rack: r1 } }
  - { name: h2, cpu: 4cores, memory: 10GiB, network: 100MiB/s, state: on, labels: { rack: r1 } }
  - { name: h3, cpu: 4cores, memory: 10GiB, network: 100MiB/s, state: on, labels: { rack: r2 } }
guests:
  - { name: a, vcpus: 1, memory: 6GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 6GiB, host: h2 }
  - { name: c, vcpus: 1, memory: 3GiB, host: h3 }
";
const PLAIN: &str = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";

#[test]
fn a_good_plan_is_clean_and_each_law_is_seen_when_it_is_broken() {
    let (cluster, load, policy) = inputs(THREE, PLAIN);
    let good = plan_of(&cluster, &load, &policy, &[("c", "h3", "h1", &[])]);
    assert_eq!(plan(&cluster, &load, &policy, &good), []);
    type Change = fn(&mut Plan);
    let changes: &[(&str, Change)] = &[
        ("base", |p| p.base.load = "sha256:0".into()),
        ("claim", |p| p.claim.objective = Sum(1000)),
        ("claim", |p| p.status = PlanStatus::Feasible),
        ("claim", |p| p.claim.bound = Sum(1)),
        ("claim", |p| p.move_claim.objective = MiB(1)),
        ("claim", |p| p.move_claim.bound = MiB(999_999)),
        ("claim", |p| p.time_claim.objective = Micros::ZERO),
        ("claim", |p| p.time_claim.bound = Micros::secs(9)),
        ("claim", |p| p.hosts.before.clear()),
        ("claim", |p| p.hosts.after.clear()),
        ("claim", |p| p.hosts.wake.push(name("h1"))),
        ("claim", |p| p.claim.hosts_bound = 9),
        ("moves", |p| p.moves.clear()),
        ("moves", |p| p.moves[0].from = name("h2")),
        ("moves", |p| p.moves[0].memory = MiB(1)),
        ("moves", |p| p.moves[0].after.push(MoveId("m9".into()))),
        ("moves", |p| {
            p.starts.push(Start {
                guest: name("a"),
                on: name("h1"),
            })
        }),
        ("state", |p| drop(p.target.remove("a"))),
        ("memory", |p| drop(p.target.insert(name("b"), name("h1")))),
    ];
    for (law, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        let found = plan(&cluster, &load, &policy, &bad);
        assert!(laws(&found).contains(law), "{law}: {found:?}");
    }
}

#[test]
fn a_plan_of_another_cluster_is_told_in_one_line() {
    let (cluster, load, policy) = inputs(THREE, PLAIN);
    let good = plan_of(&cluster, &load, &policy, &[("c", "h3", "h1", &[])]);
    let (other, load, _) = inputs(
        &THREE
            .replace("name: ", "name: x-")
            .replace("host: h", "host: x-h"),
        PLAIN,
    );
    let found = plan(&other, &load, &policy, &good);
    assert_eq!(laws(&found), ["base"], "{found:?}");
    assert!(
        found[0]
            .detail
            .contains("3 guests and none of this one's 3")
    );
}

#[test]
fn a_swap_without_room_is_refused_and_one_by_a_parking_host_is_not() {
    let (cluster, load, policy) = inputs(THREE, PLAIN);
    let direct = plan_of(
        &cluster,
        &load,
        &policy,
        &[("a", "h1", "h2", &[]), ("b", "h2", "h1", &["m1"])],
    );
    assert!(laws(&plan(&cluster, &load, &policy, &direct)).contains(&"memory"));
    let parked = [
        ("a", "h1", "h3", &[][..]),
        ("b", "h2", "h1", &["m1"]),
        ("a", "h3", "h2", &["m2"]),
    ];
    assert_eq!(
        plan(
            &cluster,
            &load,
            &policy,
            &plan_of(&cluster, &load, &policy, &parked)
        ),
        []
    );
    // Without the edges nothing says that h1 is free when b arrives.
    let loose = [
        ("a", "h1", "h3", &[][..]),
        ("b", "h2", "h1", &[]),
        ("a", "h3", "h2", &["m2", "m1"]),
    ];
    assert!(
        laws(&plan(
            &cluster,
            &load,
            &policy,
            &plan_of(&cluster, &load, &policy, &loose)
        ))
        .contains(&"memory")
    );
}

#[test]
fn who_waits_for_others_to_leave_is_counted_when_they_have_left() {
    // On h2 is room for 4: c takes 3 of them, a comes once b has left.
    let (cluster, load, policy) = inputs(
        &THREE.replace(
            "name: c, vcpus: 1, memory: 3GiB",
            "name: c, vcpus: 1, memory: 4GiB",
        ),
        PLAIN,
    );
    let judged = |c: &[&str], a: &[&str]| {
        let moves = [
            ("b", "h2", "h3", &[][..]),
            ("c", "h3", "h2", c),
            ("a", "h1", "h2", a),
        ];
        let moves = plan_of(&cluster, &load, &policy, &moves);
        plan(&cluster, &load, &policy, &moves)
    };
    assert_eq!(judged(&[], &["m1"]), []);
    // Now a may come before b has left.
    assert_eq!(laws(&judged(&[], &[])), ["memory", "memory"]);
}

#[test]
fn predicted_times_keep_the_edges_and_the_limits() {
    let limits = "migrations: { at-once: 2, per-host: 2 }\n";
    let (cluster, load, policy) = inputs(THREE, &format!("{PLAIN}{limits}"));
    let moves = [("c", "h3", "h1", &[][..]), ("a", "h1", "h3", &["m1"])];
    let good = plan_of(&cluster, &load, &policy, &moves);
    assert_eq!(plan(&cluster, &load, &policy, &good), []);
    let mut early = good.clone();
    early.moves[1].start = Micros::millis(999);
    early.time_claim.objective = Micros::millis(1999);
    let found = plan(&cluster, &load, &policy, &early);
    assert_eq!(laws(&found), ["times"], "{found:?}");
    let moves = [("c", "h3", "h1", &[][..]), ("a", "h1", "h3", &[])];
    let mut at_once = plan_of(&cluster, &load, &policy, &moves);
    at_once.moves[1].start = Micros::ZERO;
    at_once.time_claim.objective = Micros::secs(1);
    assert_eq!(plan(&cluster, &load, &policy, &at_once), []);
    let mut one = policy.clone();
    one.migrations.at_once = std::num::NonZeroU32::MIN;
    let found = plan(&cluster, &load, &one, &at_once);
    assert_eq!(laws(&found), ["times"], "{found:?}");
}

#[test]
fn each_rule_is_judged() {
    for (rule, moves, law) in [
        (
            "{ kind: spread, name: r, guests: [a, c] }",
            ("c", "h3", "h1"),
            true,
        ),
        (
            "{ kind: spread, name: r, guests: [a, c], over: rack }",
            ("c", "h3", "h2"),
            true,
        ),
        (
            "{ kind: spread, name: r, guests: [a, b] }",
            ("c", "h3", "h2"),
            false,
        ),
        (
            "{ kind: gather, name: r, guests: [a, c] }",
            ("c", "h3", "h2"),
            true,
        ),
        (
            "{ kind: gather, name: r, guests: [a, c], over: rack }",
            ("c", "h3", "h2"),
            false,
        ),
        (
            "{ kind: fence, name: r, guests: [c], hosts: [h3] }",
            ("c", "h3", "h2"),
            true,
        ),
        (
            "{ kind: fence, name: r, guests: [c], hosts: [rack=r1] }",
            ("c", "h3", "h2"),
            false,
        ),
        (
            "{ kind: ban, name: r, guests: ['*'], hosts: [h1] }",
            ("c", "h3", "h2"),
            true,
        ),
        (
            "{ kind: pin, name: r, guests: [c] }",
            ("c", "h3", "h2"),
            true,
        ),
        (
            "{ kind: pin, name: r, guests: [a] }",
            ("c", "h3", "h2"),
            false,
        ),
        ("{ kind: spare, name: r, room: 1 }", ("c", "h3", "h2"), true),
        (
            "{ kind: max-moves, name: r, moves: 0 }",
            ("c", "h3", "h2"),
            true,
        ),
        (
            "{ kind: max-moves, name: r, guests: [a], moves: 0 }",
            ("c", "h3", "h2"),
            false,
        ),
    ] {
        let (cluster, load, policy) = inputs(THREE, &format!("{PLAIN}rules:\n  - {rule}\n"));
        let (guest, from, to) = moves;
        let found = plan(
            &cluster,
            &load,
            &policy,
            &plan_of(&cluster, &load, &policy, &[(guest, from, to, &[])]),
        );
        assert_eq!(laws(&found).contains(&"rule r"), law, "{rule}: {found:?}");
    }
}

#[test]
fn room_is_exact_to_the_last_unit() {
    // 4 cores × 1.5 − 1 = 5 cores, less 10 %: 4.5; each guest counts its promise.
    let host = "hosts:\n  - { name: h1, cpu: 4cores, memory: 10GiB, network: 1MiB/s, state: on, speed: 1.5, reserve: { cpu: 1cores, memory: 1GiB } }\n";
    let policy = "headroom: { cpu: 10%, memory: 0% }\noverhead: { memory: 1GiB }\nover-commit: { cpu: 10 }\n";
    for (vcpus, memory, reserved, expected) in [
        (4, "8GiB", "0cores", vec![]),
        (5, "8GiB", "0cores", vec!["cpu"]),
        (4, "8193MiB", "0cores", vec!["memory"]),
        (40, "8193MiB", "0cores", vec!["cpu", "memory"]),
        (41, "1GiB", "5cores", vec!["cpu", "vcpus"]),
    ] {
        let (cluster, load, policy) = inputs(
            &format!(
                "{host}guests:\n  - {{ name: a, vcpus: {vcpus}, memory: {memory}, host: h1, reserved: {reserved} }}\n"
            ),
            policy,
        );
        assert_eq!(
            laws(&placement(&cluster, &load, &policy, &cluster.placement())),
            expected,
            "{vcpus} {memory}"
        );
    }
}

/// Two guests on a host of 4 cores, together above it in one of four windows.
#[test]
fn each_host_may_be_overloaded_in_its_share_of_windows() {
    let cluster = "hosts:
  - { name: h1, cpu: 4cores, memory: 8GiB, network: 100MiB/s, state: on }
guests:
  - { name: a, vcpus: 4, memory: 1GiB, host: h1 }
  - { name: b, vcpus: 4, memory: 1GiB, host: h1 }
";
    let series = |a: &str, b: &str| {
        let of = |name: &str, values: &str| {
            format!(
                "  {name}: {{ cpu: {{ windows: {{ start: 2026-01-05T00:00:00Z, step: 300s, values: [{values}] }} }} }}\n"
            )
        };
        format!("guests:\n{}{}", of("a", a), of("b", b))
    };
    let once = series("3, 1, 2, 1", "3, 1, 2, 2");
    let twice = series("3, 1, 2, 3", "3, 1, 2, 3");
    for (overload, load, above) in [
        ("0%", &once, true),
        ("24%", &once, true),
        ("25%", &once, false),
        ("25%", &twice, true),
        ("50%", &twice, false),
    ] {
        let policy = format!(
            "headroom: {{ cpu: 0%, memory: 0% }}\ndemand: {{ joint: true, overload: {overload} }}\n"
        );
        let (cluster, load, policy) = loaded(cluster, load, &policy);
        let found = placement(&cluster, &load, &policy, &cluster.placement());
        assert_eq!(!found.is_empty(), above, "{overload} {found:?}");
        let busy = later(&cluster, &load, &policy, &cluster.placement());
        assert_eq!(busy.len(), 1);
        assert_eq!((busy[0].windows, busy[0].is_overloaded()), (4, above));
        assert_eq!((busy[0].most.0, busy[0].room.0), (6000, 4000));
    }
}

#[test]
fn joint_demand_is_judged_window_by_window() {
    let cluster = "hosts:\n  - { name: h1, cpu: 4cores, memory: 10GiB, network: 1MiB/s, state: on }\nguests:\n  - { name: a, vcpus: 4, memory: 1GiB, host: h1 }\n  - { name: b, vcpus: 4, memory: 1GiB, host: h1, reserved: 1cores }\n";
    let series = |values: &str| {
        format!(
            "{{ cpu: {{ windows: {{ start: 2026-01-05T00:00:00Z, step: 300s, values: {values} }} }} }}"
        )
    };
    for (a, b, above) in [
        ("[3, 1, 0]", "[1, 3, 4]", None),
        // In the second window; 9 counts as the 4 vCPUs.
        (
            "[3, 1.001, 0]",
            "[1, 3, 9]",
            Some("in 1 of 3 windows, 4.001cores in the one that begins at 2026-01-05T00:05:00Z"),
        ),
        // At least what is reserved.
        (
            "[3.5, 1, 0]",
            "[0, 3, 4]",
            Some("in 1 of 3 windows, 4.5cores in the one that begins at 2026-01-05T00:00:00Z"),
        ),
        ("[4, 4, 4]", "[2, 3, 4]", Some("in 3 of 3 windows, 8cores")),
    ] {
        let load = format!("guests:\n  a: {}\n  b: {}\n", series(a), series(b));
        let policy = "headroom: { cpu: 0%, memory: 0% }\ndemand: { cpu: p50, joint: true }\n";
        let (cluster, load, policy) = loaded(cluster, &load, policy);
        let found = placement(&cluster, &load, &policy, &cluster.placement());
        match above {
            None => assert!(found.is_empty(), "{a} {b}: {found:?}"),
            Some(says) => {
                assert_eq!(laws(&found), ["cpu"], "{a} {b}: {found:?}");
                assert!(found[0].detail.contains(says), "{a} {b}: {found:?}");
            }
        }
    }
}

#[test]
fn spare_room_is_judged_in_the_window_in_which_guests_want_most() {
    let cluster = "hosts:\n  - { name: h1, cpu: 4cores, memory: 10GiB, network: 1MiB/s, state: on }\n  - { name: h2, cpu: 4cores, memory: 10GiB, network: 1MiB/s, state: on }\nguests:\n  - { name: a, vcpus: 4, memory: 1GiB, host: h1 }\n  - { name: b, vcpus: 4, memory: 1GiB, host: h2 }\n";
    for (b, broken) in [("[1, 3]", false), ("[2, 3]", true)] {
        let load = format!(
            "guests:\n  a: {{ cpu: {{ windows: {{ start: 2026-01-05T00:00:00Z, step: 300s, values: [3, 1] }} }} }}\n  b: {{ cpu: {{ windows: {{ start: 2026-01-05T00:00:00Z, step: 300s, values: {b} }} }} }}\n"
        );
        let policy = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\ndemand: { cpu: p50, joint: true }\nrules:\n  - { kind: spare, name: r, room: 1 }\n";
        let (cluster, load, policy) = loaded(cluster, &load, policy);
        let found = placement(&cluster, &load, &policy, &cluster.placement());
        assert_eq!(laws(&found).contains(&"rule r"), broken, "{b}: {found:?}");
    }
}

#[test]
fn windows_beyond_the_calendar_count() {
    let cluster = "hosts:\n  - { name: h1, cpu: 4cores, memory: 10GiB, network: 1MiB/s, state: on }\nguests:\n  - { name: a, vcpus: 4, memory: 1GiB, host: h1 }\n  - { name: b, vcpus: 4, memory: 1GiB, host: h1 }\n";
    let windows = "{ cpu: { windows: { start: 9999-12-29T00:00:00Z, step: 1d, values: [0, 0, 0, 0, 0, 3] } } }";
    let load = format!("guests:\n  a: {windows}\n  b: {windows}\n");
    let policy = "headroom: { cpu: 0%, memory: 0% }\ndemand: { joint: true }\n";
    let (cluster, load, policy) = loaded(cluster, &load, policy);
    let found = placement(&cluster, &load, &policy, &cluster.placement());
    assert_eq!(laws(&found), ["cpu"], "{found:?}");
}
