//! `apply --replan` and `resume --replan` as a user runs them, on the simulated world.

use serde_json::Value;

use crate::executor::{Desk, told};

/// `big` fills h2; `a` and `c` fit each host but that one.
const CLUSTER: &str = "
apiVersion: vmpack/v1
kind: Cluster
hosts:
  - { name: h1, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h3, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h4, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
guests:
  - { name: a, vcpus: 2, memory: 2GiB, host: h1 }
  - { name: big, vcpus: 2, memory: 14GiB, host: h2 }
  - { name: c, vcpus: 2, memory: 2GiB, host: h3 }
";

/// It lacks the edge by which m2 would wait for the room that m1 makes, so that m2 finds none.
const PLAN: &str = "
apiVersion: vmpack/v1
kind: Plan
base: { cluster: 'sha256:0', load: 'sha256:0' }
policy: { migrations: { canary: 0 }, limits: { nodes: 100 } }
status: optimal
claim: { objective: 2, bound: 2, origin: test, hosts-bound: 2 }
move-claim: { objective: 18GiB, bound: 18GiB, origin: test }
time-claim: { objective: 18s, bound: 9s, origin: test }
hosts: { before: [h1, h2, h3], after: [h2, h4] }
target: { a: h2, big: h4, c: h2 }
moves:
  - { id: m1, guest: big, from: h2, to: h4, mode: pre-copy, memory: 14GiB, vcpus: 2, demand: 1cores,
      bandwidth: 1000MiB/s, start: 0s, duration: 15s, reason: h2 is filled anew }
  - { id: m2, guest: a, from: h1, to: h2, mode: post-copy, memory: 2GiB, vcpus: 2, demand: 1cores,
      bandwidth: 1000MiB/s, start: 0s, duration: 3s, reason: h1 is emptied }
  - { id: m3, guest: c, from: h3, to: h2, mode: post-copy, memory: 2GiB, vcpus: 2, demand: 1cores,
      bandwidth: 1000MiB/s, start: 15s, duration: 3s, after: [m2], reason: h3 is emptied }
";

fn desk() -> Desk {
    let desk = Desk::new();
    std::fs::write(desk.path("cluster.yaml"), CLUSTER).unwrap();
    std::fs::write(desk.path("plan.yaml"), PLAN).unwrap();
    desk
}

/// So paced that m1 is still underway when m2 is looked at.
const APPLY: [&str; 6] = [
    "apply",
    "plan.yaml",
    "--simulated",
    "--yes",
    "--speed-up",
    "20",
];

fn lines(out: &str) -> Vec<Value> {
    out.lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

#[test]
fn what_a_failed_move_left_is_planned_anew_and_carried_out() {
    let (code, out, err) = told(&desk().run(&APPLY));
    assert_eq!(code, 7, "{out}{err}");
    assert!(
        out.contains("m2 skipped: host h2 has no room for guest a"),
        "{out}{err}"
    );
    assert!(
        out.contains("m3 skipped: move m2 did not happen"),
        "{out}{err}"
    );
    assert!(err.contains("`apply --replan N`"), "{err}");

    let again = desk();
    let (code, out, err) = told(&again.run(&[&APPLY[..], &["--replan", "1", "--json"]].concat()));
    assert_eq!(code, 0, "{out}{err}");
    let said = lines(&out);
    assert!(!err.contains("`apply --replan N`"), "{err}");
    let accepted: Vec<&Value> = said.iter().filter(|l| l["event"] == "accepted").collect();
    let [second] = accepted.as_slice() else {
        panic!("{out}");
    };
    let first = &second["follows"];
    let reasons = second["plan"]["reasons"].to_string();
    for why in [
        "guest a from h1 to h2, failed: host h2 has no room",
        "what depends on that did not happen either: 1 move",
    ] {
        assert!(reasons.contains(why), "{reasons}");
    }
    // It has room there once `big` has left.
    assert!(!reasons.contains("does not go to"), "{reasons}");
    let moves = second["plan"]["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 1, "{moves:?}");
    let summaries: Vec<&Value> = said.iter().filter(|l| l["event"] == "summary").collect();
    assert_eq!(summaries.len(), 2, "{out}");
    assert_eq!(summaries[0]["run"], *first);
    assert_eq!(summaries[0]["followed_by"], second["run"]);
    assert_eq!(summaries[1]["exit"], 0);
    assert_eq!(summaries[1]["hosts_after"], 2);
    assert_eq!(again.status()["follows"], *first);
    let (_, out, _) = told(&again.run(&["status"]));
    assert!(
        out.contains(&format!("plan: for what run {first} left")),
        "{out}"
    );
}

#[test]
fn a_run_that_ended_without_a_new_plan_is_planned_anew_by_resume() {
    let desk = desk();
    assert_eq!(told(&desk.run(&APPLY)).0, 7);
    assert_eq!(told(&desk.run(&["resume"])).0, 7);
    let (code, out, err) = told(&desk.run(&["resume", "--replan", "1"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        err.contains("planning anew from the hosts as they are"),
        "{err}"
    );
    assert!(out.contains("was planned anew, as run"), "{out}");
    // There is nothing left.
    let (code, out, err) = told(&desk.run(&["resume", "--replan", "1"]));
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("at its end already"), "{err}");
}

#[test]
fn why_nothing_is_planned_anew_is_in_the_journal_and_said() {
    let desk = desk();
    std::fs::write(
        desk.path("plan.yaml"),
        PLAN.replace("canary: 0", "canary: 0, stop-after: 0")
            .replace("nodes: 100", "nodes: 100, moves: 1"),
    )
    .unwrap();
    let (code, out, err) = told(&desk.run(&[&APPLY[..], &["--replan", "1", "--json"]].concat()));
    assert_eq!(code, 7, "{out}{err}");
    let said = lines(&out);
    let why = said.iter().find(|l| l["event"] == "not-replanned");
    let why = why.expect("a line")["reason"].to_string();
    assert!(why.contains("`limits.moves`"), "{why}");
    // Asked again without a load, nothing is begun.
    let (code, _, err) = told(&desk.run(&["resume", "--load", "load.yaml"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--load goes with --replan"), "{err}");
}

#[test]
fn a_way_back_is_not_planned_anew() {
    let desk = desk();
    assert_eq!(told(&desk.run(&APPLY)).0, 7);
    let journal = desk.path("state/journal.db");
    let back = [
        "apply",
        "--reverse",
        journal.to_str().unwrap(),
        "--simulated",
    ];
    let (code, _, err) = told(&desk.run(&[&back[..], &["--yes", "--replan", "1"]].concat()));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--replan"), "{err}");
}

#[test]
fn a_way_back_is_taken_back_only_by_its_number_and_what_is_back_stays() {
    let desk = Desk::new();
    assert_eq!(told(&desk.run(&APPLY)).0, 0);
    let back = |more: &[&str]| {
        let world = "state/journal.db.world.yaml";
        std::fs::copy(desk.path(world), desk.path("now.yaml")).unwrap();
        let back = [
            "apply",
            "--reverse",
            "state/journal.db",
            "--cluster",
            "now.yaml",
            "--simulated",
            "--yes",
        ];
        told(&desk.run(&[&back[..], more].concat()))
    };
    let (code, out, err) = back(&[]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, _, err) = back(&[]);
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("is itself a way back") && err.contains("`--run "),
        "{err}"
    );
    let (code, _, err) = back(&["--run", "1"]);
    assert_eq!(code, 3, "{err}");
    assert!(
        err.contains("what happened of run 1 is taken back already"),
        "{err}"
    );
    let (code, _, err) = back(&["--run", "2"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("there is no run 2"), "{err}");
    // Without --reverse the plan would go forward.
    let forward = [
        "apply",
        "plan.yaml",
        "--run",
        "1",
        "--simulated",
        "--dry-run",
    ];
    assert_eq!(told(&desk.run(&forward)).0, 2);
}

#[test]
fn a_new_plan_for_real_hosts_takes_a_load() {
    let (code, _, err) = told(&desk().run(&["apply", "plan.yaml", "--yes", "--replan", "1"]));
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("--replan needs --load"), "{err}");
}
