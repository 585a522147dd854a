use vmpack_domain::file::{Kind, Source, parse};
use vmpack_domain::load::Statistic;

use super::*;
use crate::tests::read;

const CLUSTER: &str = "hosts:
  - { name: h1, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }
  - { name: new-1, cpu: 8cores, memory: 8GiB, network: 50MiB/s, state: on }
guests:
  - { name: a, vcpus: 2, memory: 1GiB, host: h1 }
";
const LOAD: &str = "guests:\n  a: { cpu: { p95: 0.333cores, windows: { start: 2026-01-05T00:00:00Z, step: 300s, values: [0.5, 0.001] } }, dirty: 10pages/s }\n";

fn scene(policy: &str) -> Scene {
    let (cluster, load, policy) = read(CLUSTER, LOAD, policy);
    Scene {
        cluster,
        load,
        policy,
    }
}

/// Edits as a scenario file holds them.
fn edits(text: &str) -> Vec<Edit> {
    let text = format!("apiVersion: vmpack/v1\nkind: Scenario\nedits:\n{text}");
    let source = Source {
        name: "scenario".into(),
        text,
    };
    let scenario: Scenario = parse(&source, Kind::Scenario).expect("a sound scenario");
    scenario.edits
}

#[test]
fn edits_are_made_in_their_order() {
    let before = scene("");
    let all = edits(
        "  - drain: [h1]
  - scale-load: { by: 1.5 }
  - add-hosts: { count: 2, cpu: 4cores, memory: 4GiB }
  - add-guests: { guests: [{ name: b, vcpus: 2, memory: 1GiB, host: null }], load: { guests: { b: { cpu: { p95: 0.333cores } } } } }
  - fail: [new-2]
",
    );
    let after = apply(&before, &all[..3]).unwrap();
    let cpu = after.load.guests["a"].cpu.as_ref().unwrap();
    assert_eq!(cpu.p95, Some(MilliCores(500)));
    let values = &cpu.windows.as_ref().unwrap().values;
    assert_eq!(*values, [MilliCores(750), MilliCores(2)]);
    assert_eq!(after.load.guests["a"].dirty, Some(PagesPerSec(15)));
    let hosts = &after.cluster.hosts;
    let names: Vec<&str> = hosts.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["h1", "new-1", "new-2", "new-3"]);
    assert_eq!(hosts[2].network, MiBPerSec(50));
    let after = apply(&before, &all).unwrap();
    let states: Vec<HostState> = after.cluster.hosts.iter().map(|h| h.state).collect();
    let expected = [
        HostState::Drain,
        HostState::On,
        HostState::Out,
        HostState::On,
    ];
    assert_eq!(states, expected);
    assert_eq!(after.cluster.guests.len(), 2);
    // The added guests' load came after the scaling.
    let cpu = after.load.guests["b"].cpu.as_ref().unwrap();
    assert_eq!(cpu.p95, Some(MilliCores(333)));
}

#[test]
fn a_host_that_failed_is_not_back_because_its_rack_is_drained() {
    let before = scene("");
    let all = edits("  - fail: [h1]\n  - drain: ['*']\n");
    let after = apply(&before, &all).unwrap();
    let states: Vec<HostState> = after.cluster.hosts.iter().map(|h| h.state).collect();
    assert_eq!(states, [HostState::Out, HostState::Drain]);
}

#[test]
fn every_edit_has_its_effect() {
    let before = scene(
        "demand: { joint: true }\nrelief: { cpu: 8% }\nrules:\n  - { kind: pin, name: stay, guests: [a] }\n",
    );
    let all = edits(
        "  - shift-load: { by: 5m, guests: [a] }
  - copy-guest: { of: a, count: 2 }
  - change-hosts: { hosts: ['new-*'], cpu: 16cores, speed: 1.5, never-sleep: true }
  - headroom: { cpu: 5% }
  - demand: { cpu: max, joint: false }
  - over-commit: 2
  - drop-rule: stay
  - add-rule: { kind: spread, name: apart, guests: ['a*'] }
  - scale-load: { by: 2, guests: [a-copy-2] }
",
    );
    let after = apply(&before, &all).unwrap();
    let cpu = after.load.guests["a"].cpu.as_ref().unwrap();
    let values = &cpu.windows.as_ref().unwrap().values;
    assert_eq!(*values, [MilliCores(1), MilliCores(500)]);
    let guests = &after.cluster.guests;
    let names: Vec<&str> = guests.iter().map(|g| g.name.as_str()).collect();
    assert_eq!(names, ["a", "a-copy-1", "a-copy-2"]);
    assert_eq!(guests[1].host, None);
    let figure = |name: &str| after.load.guests[name].cpu.as_ref().unwrap().p95;
    assert_eq!(figure("a-copy-1"), Some(MilliCores(333)));
    assert_eq!(figure("a-copy-2"), Some(MilliCores(666)));
    let host = &after.cluster.hosts[1];
    assert_eq!((host.cpu, host.speed), (MilliCores(16_000), Ratio(1500)));
    assert!(host.never_sleep && !after.cluster.hosts[0].never_sleep);
    let policy = &after.policy;
    assert_eq!(policy.headroom.cpu, Permille(50));
    assert_eq!(policy.relief.cpu, Some(Permille(50)));
    assert!(!policy.demand.joint && policy.demand.cpu == Statistic::Max);
    assert_eq!(policy.over_commit.cpu, Ratio(2000));
    let rules: Vec<&str> = policy.rules.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(rules, ["apart"]);
    // Nobody is left whom the rule could keep apart.
    let after = apply(&after, &edits("  - remove-guests: ['a*']\n")).unwrap();
    assert!(after.cluster.guests.is_empty() && after.policy.rules.is_empty());
}

#[test]
fn an_answer_tells_what_does_not_hold_where_guests_run_now() {
    let scene = scene("limits: { nodes: 20 }\n");
    let ban = "  - add-rule: { kind: ban, name: off, guests: [a], hosts: [h1] }\n";
    let then = apply(&scene, &edits(ban)).unwrap();
    let told = |scene: &Scene| {
        let outcome = crate::tests::solve(&scene.cluster, &scene.load, &scene.policy);
        answer(scene, &outcome, 0.0)
    };
    assert_eq!(told(&scene).broken, []);
    let then = told(&then);
    assert_eq!(then.broken[0].law, "rule off");
    assert_eq!(then.summary.moves.len(), 1);
    assert_eq!(then.least_cpu.unwrap().host.as_str(), "new-1");
}

#[test]
fn a_drained_host_is_left_by_all_and_the_plan_is_one_for_the_cluster_as_it_is() {
    use vmpack_domain::check;
    use vmpack_domain::plan::Outcome;
    let (cluster, load, policy) = read(CLUSTER, LOAD, "limits: { nodes: 20 }\n");
    let host: HostName = "h1".parse().unwrap();
    let policy = drain(&cluster, &policy, &host).unwrap();
    let policy = drain(&cluster, &policy, &host).unwrap();
    let names: Vec<&str> = policy.rules.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["drain h1", "drain h1+"]);
    let Outcome::Optimal(plan) = crate::tests::solve(&cluster, &load, &policy) else {
        panic!("a plan");
    };
    assert_eq!(plan.target["a"].as_str(), "new-1");
    assert!(
        plan.moves[0].reason.contains("drain h1"),
        "{}",
        plan.moves[0].reason
    );
    assert_eq!(check::plan(&cluster, &load, &plan.policy, &plan), []);
}

#[test]
fn edits_that_cannot_be_made_say_why() {
    for (text, expected) in [
        (
            "drain: [h9]",
            "there is no host h9; hosts are h1, new-1, gone",
        ),
        ("scale-load: { by: 2, guests: [z] }", "there is no guest z"),
        (
            "add-guests: { guests: [{ name: a, vcpus: 1, memory: 1GiB, host: null }] }",
            "guest `a` is already in the cluster",
        ),
        (
            "add-guests: { guests: [], load: { guests: { a: {} } } }",
            "read a load of guest `a` with the guests to add, expected none of a guest that is in the cluster",
        ),
        (
            "add-guests: { guests: [{ name: b, vcpus: 1, memory: 1GiB, host: h9 }] }",
            "guest `b` is said to run on host `h9`, which is not in the cluster",
        ),
        ("drop-rule: none", "there is no rule none; rules are stay"),
        (
            "add-rule: { kind: pin, name: stay, guests: [a] }",
            "read rule `stay` a second time, expected unique rule names",
        ),
        (
            "add-hosts: { count: 1 }",
            "expected `cpu` and `memory` above zero, or the host that they are `like`",
        ),
        (
            "change-hosts: { hosts: [h1], state: asleep }",
            "read a state of `asleep` for a host that carries guest a, expected on, drain or out",
        ),
        (
            "change-hosts: { hosts: [gone], state: drain }",
            "read a state of `drain` for host gone, which is out, expected on",
        ),
        (
            "drain: [gone]",
            "host gone is out, expected one to drain that is there",
        ),
        (
            "change-hosts: { hosts: [h1], cpu: 0cores }",
            "read a `cpu` of zero, expected more",
        ),
        (
            "copy-guest: { of: a, count: 0 }",
            "read a count of 0, expected 1 to 100000",
        ),
        (
            "demand: { overload: 1% }",
            "read an `overload`, expected it with `joint: true` only",
        ),
    ] {
        let mut scene = scene("rules:\n  - { kind: pin, name: stay, guests: [a] }\n");
        let gone = Host {
            name: "gone".parse().unwrap(),
            state: HostState::Out,
            ..scene.cluster.hosts[0].clone()
        };
        scene.cluster.hosts.push(gone);
        let all = edits(&format!("  - over-commit: 2\n  - {text}\n"));
        let (at, error) = apply(&scene, &all).unwrap_err();
        assert_eq!((at, error.to_string().as_str()), (1, expected), "{text}");
    }
}
