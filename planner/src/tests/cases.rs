use vmpack_domain::Mode;
use vmpack_domain::plan::{Outcome, PlanStatus};
use vmpack_domain::units::{MiB, Micros};

use super::{moves_each, planned, read, relaxed, solve};
use crate::{Status, summary};

/// No headroom and no overhead: rooms are what the hosts have.
const PLAIN: &str = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";

/// Hosts of 8 cores and `memory` GiB, with what else is said of each.
fn hosts(memory: u32, more: &[&str]) -> String {
    let mut text = "hosts:\n".to_owned();
    for (i, more) in more.iter().enumerate() {
        let state = if more.contains("state:") {
            ""
        } else {
            ", state: on"
        };
        let comma = if more.is_empty() { "" } else { ", " };
        text += &format!(
            "  - {{ name: h{}, cpu: 8cores, memory: {memory}GiB, network: 1024MiB/s{state}{comma}{more} }}\n",
            i + 1
        );
    }
    text
}

/// One-vCPU guests: name, memory in GiB, host or `null`, what else is said.
fn guests(list: &[(&str, u32, &str, &str)]) -> String {
    let mut text = "guests:\n".to_owned();
    for (name, memory, host, more) in list {
        text +=
            &format!("  - {{ name: {name}, vcpus: 1, memory: {memory}GiB, host: {host}{more} }}\n");
    }
    text
}

#[test]
fn an_empty_cluster_is_planned() {
    for cluster in ["hosts: []\nguests: []\n".to_owned(), hosts(8, &["", ""])] {
        let (cluster, load, policy) = read(&cluster, "", PLAIN);
        let outcome = solve(&cluster, &load, &policy);
        assert!(
            matches!(&outcome, Outcome::Optimal(p) if p.hosts.after.is_empty() && p.moves.is_empty())
        );
    }
}

#[test]
fn guests_without_any_host_are_impossible() {
    let (cluster, load, policy) = read(
        &format!("hosts: []\n{}", guests(&[("a", 1, "null", "")])),
        "",
        PLAIN,
    );
    assert!(
        matches!(solve(&cluster, &load, &policy), Outcome::Infeasible(r) if r[0].contains("no host"))
    );
}

#[test]
fn one_host_keeps_its_guests() {
    let text = hosts(8, &[""]) + &guests(&[("a", 4, "h1", ""), ("b", 4, "h1", "")]);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let outcome = solve(&cluster, &load, &policy);
    assert!(matches!(&outcome, Outcome::Optimal(p) if p.moves.is_empty()));
}

#[test]
fn the_lighter_host_is_emptied_and_the_move_is_predicted() {
    let text =
        hosts(16, &["", ""]) + &guests(&[("a", 8, "h1", ""), ("b", 2, "h2", ", post-copy: never")]);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    assert_eq!(
        (plan.status, plan.hosts.after.len()),
        (PlanStatus::Optimal, 1)
    );
    let [only] = plan.moves.as_slice() else {
        panic!("{:?}", plan.moves)
    };
    assert_eq!(
        (only.guest.as_str(), only.reason.as_str()),
        ("b", "h2 is emptied")
    );
    assert_eq!((only.mode, only.memory), (Mode::PreCopy, MiB(2048)));
    // 0.6 s to set up and 2048 MiB over 80 % of 1024 MiB/s, which is 819.
    assert_eq!(only.duration, Micros(3_100_611));
    assert_eq!(
        (plan.move_claim.objective, plan.move_claim.bound),
        (MiB(2048), MiB(2048))
    );
    let seen = summary(&cluster, &load, &policy, &outcome, 0.5);
    assert_eq!(
        (seen.status, seen.hosts_before, seen.hosts_after),
        (Status::Optimal, 2, Some(1))
    );
    assert_eq!(
        (seen.move_mib, seen.move_seconds),
        (Some(2048), Some(3.100_611))
    );
    assert_eq!(
        (seen.hosts[1].before.guests, seen.hosts[1].after.guests),
        (1, 0)
    );
    assert_eq!(
        (seen.hosts[0].after.mib, seen.hosts[0].mib_room),
        (10240, 16384)
    );
}

/// Pins by bans: a must go to h2 and b to h1, each full for as long as the other is there.
const SWAP: &str = "rules:
  - { kind: fence, name: a-to-h2, guests: [a], hosts: [h2, h3] }
  - { kind: fence, name: b-to-h1, guests: [b], hosts: [h1, h3] }
  - { kind: ban, name: h3-is-for-parking, guests: [c], hosts: [h3] }
  - { kind: spread, name: apart, guests: [a, b] }
costs: { hosts: { h3: 10 } }
";

#[test]
fn a_cycle_is_broken_by_parking_where_there_is_room() {
    let text = hosts(8, &["", "", ""])
        + &guests(&[("a", 6, "h1", ""), ("b", 6, "h2", ""), ("c", 1, "h1", "")]);
    let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}{SWAP}"));
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    let to: Vec<(&str, &str)> = plan
        .target
        .iter()
        .map(|(g, h)| (g.as_str(), h.as_str()))
        .filter(|(g, _)| *g != "c")
        .collect();
    assert_eq!(to, [("a", "h2"), ("b", "h1")]);
    let moves = moves_each(plan);
    assert_eq!(moves["a"] + moves["b"], 3);
    let parked: Vec<&str> = plan
        .moves
        .iter()
        .map(|m| m.reason.as_str())
        .filter(|r| r.starts_with("parked"))
        .collect();
    assert_eq!(parked, ["parked on h3 to make room"]);
    assert_eq!(plan.move_claim.objective, MiB(12 * 1024));
}

#[test]
fn a_cycle_without_room_to_park_has_no_order() {
    let text = hosts(8, &["", ""]) + &guests(&[("a", 6, "h1", ""), ("b", 6, "h2", "")]);
    let rules = "rules:
  - { kind: fence, guests: [a], hosts: [h2] }
  - { kind: fence, guests: [b], hosts: [h1] }
";
    let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}{rules}"));
    let outcome = solve(&cluster, &load, &policy);
    assert!(
        matches!(&outcome, Outcome::NoAnswer { limit } if limit.contains("no order of migrations")),
        "{outcome:?}"
    );
}

#[test]
fn a_drained_host_is_left_and_a_lost_one_has_its_guests_started() {
    let text = hosts(16, &["", "state: drain", "state: out", "state: asleep"])
        + &guests(&[
            ("a", 8, "h1", ""),
            ("b", 8, "h2", ""),
            ("c", 8, "h3", ""),
            ("d", 1, "null", ""),
        ]);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    assert_eq!(plan.status, PlanStatus::Optimal);
    assert_eq!(
        plan.hosts
            .after
            .iter()
            .map(|h| h.as_str())
            .collect::<Vec<_>>(),
        ["h1", "h4"]
    );
    assert_eq!(plan.hosts.wake.len(), 1);
    assert_eq!(moves_each(plan).into_iter().collect::<Vec<_>>(), [("b", 1)]);
    assert_eq!(plan.moves[0].reason, "h2 is drained");
    let started: Vec<&str> = plan.starts.iter().map(|s| s.guest.as_str()).collect();
    assert_eq!(started, ["c", "d"]);
}

#[test]
fn an_overloaded_host_is_relieved_even_when_no_host_can_be_saved() {
    let text = hosts(8, &["", ""])
        + &guests(&[("a", 6, "h1", ""), ("b", 3, "h1", ""), ("c", 4, "h2", "")]);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    assert_eq!(moves_each(plan).into_iter().collect::<Vec<_>>(), [("b", 1)]);
    assert_eq!(plan.moves[0].reason, "h1 was overloaded");
}

#[test]
fn the_limit_on_moves_binds() {
    // Three light hosts could go into h1; two moves empty two of them.
    let text = hosts(16, &["", "", "", ""])
        + &guests(&[
            ("a", 4, "h1", ""),
            ("b", 2, "h2", ""),
            ("c", 2, "h3", ""),
            ("d", 1, "h4", ""),
            ("e", 1, "h4", ""),
        ]);
    for (limit, after) in [(0, 4), (1, 3), (2, 2), (4, 1)] {
        let (cluster, load, policy) =
            read(&text, "", &format!("{PLAIN}limits: {{ moves: {limit} }}\n"));
        let outcome = solve(&cluster, &load, &policy);
        let plan = planned(&outcome);
        assert_eq!(
            (plan.hosts.after.len(), plan.status),
            (after, PlanStatus::Optimal),
            "{limit}"
        );
        assert!(plan.moves.len() <= limit);
    }
}

#[test]
fn a_limit_on_moves_below_what_must_leave_is_impossible() {
    let text =
        hosts(16, &["", "state: drain"]) + &guests(&[("a", 4, "h2", ""), ("b", 2, "h2", "")]);
    let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}limits: {{ moves: 1 }}\n"));
    let outcome = solve(&cluster, &load, &policy);
    assert!(
        matches!(&outcome, Outcome::Infeasible(r) if r[0].contains("limits.moves") && r[0].contains("2 guests must leave")),
        "{outcome:?}"
    );
}

#[test]
fn spare_room_and_hosts_that_never_sleep_keep_hosts_awake() {
    let text = hosts(16, &["", "", "never-sleep: true", ""])
        + &guests(&[("a", 8, "h1", ""), ("b", 8, "h2", "")]);
    for (rules, after) in [
        ("", 1),
        ("rules: [{ kind: spare, room: 1 }]\n", 2),
        ("rules: [{ kind: spare, room: 3 }]\n", 4),
    ] {
        let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}{rules}"));
        let outcome = solve(&cluster, &load, &policy);
        let plan = planned(&outcome);
        assert_eq!(
            (plan.hosts.after.len(), plan.status),
            (after, PlanStatus::Optimal),
            "{rules}"
        );
        assert!(plan.hosts.after.iter().any(|h| h.as_str() == "h3"));
    }
}

#[test]
fn room_that_a_host_keeps_above_its_headroom_is_no_spare_room() {
    let host = |name: &str, cores: u32| {
        format!(
            "  - {{ name: {name}, cpu: {cores}cores, memory: 64GiB, network: 1GiB/s, state: on }}\n"
        )
    };
    let guest =
        |name: &str| format!("  - {{ name: {name}, vcpus: 8, memory: 20GiB, host: h-{name} }}\n");
    let load = "guests:\n  a: { cpu: { p95: 7.9cores } }\n  b: { cpu: { p95: 7.9cores } }\n";
    let policy = "headroom: { cpu: 40%, memory: 0% }\nrelief: { cpu: 10% }\nrules:\n  - { kind: spare, name: keep, room: 1 }\n";
    let text = |more: &str| {
        format!(
            "hosts:\n{}{}{}{more}guests:\n{}{}",
            host("h-a", 10),
            host("h-b", 10),
            host("large", 20),
            guest("a"),
            guest("b"),
        )
    };
    // The guests stay where they are, of whose hosts 6 cores count each: 24 are fewer than 15.8 + 12.
    let (cluster, load_read, policy_read) = read(&text(""), load, policy);
    let Outcome::Infeasible(reasons) = solve(&cluster, &load_read, &policy_read) else {
        panic!("three hosts have not that much room");
    };
    assert!(
        reasons[0].contains("rule keep keeps 12cores of cpu free"),
        "{reasons:?}"
    );
    let (cluster, load_read, policy_read) = read(&text(&host("one-more", 10)), load, policy);
    let outcome = solve(&cluster, &load_read, &policy_read);
    let plan = planned(&outcome);
    assert_eq!((plan.hosts.after.len(), plan.moves.len()), (4, 0));
}

#[test]
fn unmeasured_guests_count_at_their_promise_with_a_warning() {
    // 9 guests of one vCPU on hosts of 8 cores: measured at nothing they would share one host.
    let list: Vec<(String, u32)> = (0..9).map(|i| (format!("g{i}"), 1)).collect();
    let list: Vec<(&str, u32, &str, &str)> = list
        .iter()
        .map(|(n, m)| (n.as_str(), *m, "h1", ""))
        .collect();
    let text = hosts(16, &["", ""]) + &guests(&list);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    assert_eq!(plan.hosts.after.len(), 2);
    assert!(
        plan.reasons
            .iter()
            .any(|r| r.contains("9 of 9 guests were not measured"))
    );
}

#[test]
fn spread_is_kept_and_what_breaks_it_now_is_repaired() {
    let racks = [
        "labels: { rack: r1 }",
        "labels: { rack: r1 }",
        "labels: { rack: r2 }",
    ];
    let text = hosts(16, &racks) + &guests(&[("web-1", 2, "h1", ""), ("web-2", 2, "h2", "")]);
    let rule = "rules: [{ kind: spread, name: web-ha, guests: ['web-*'], over: rack }]\n";
    let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}{rule}"));
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    assert_eq!((plan.hosts.after.len(), plan.moves.len()), (2, 1));
    assert_eq!(plan.moves[0].reason, "rule web-ha");
}

#[test]
fn why_rules_cannot_hold_is_said_in_their_names() {
    let three = guests(&[("a", 4, "h1", ""), ("b", 4, "h1", ""), ("c", 4, "h2", "")]);
    for (count, rules, expected) in [
        (
            3,
            "{ kind: spread, name: s, guests: [a, b] }, { kind: gather, name: g, guests: [a, b] }",
            "rule s keeps a, b apart, and rule g puts them on one host",
        ),
        (
            2,
            "{ kind: spread, name: s, guests: [a, b, c] }",
            "rule s keeps 3 guests in different places, and they may be in 2 places only",
        ),
        (
            3,
            "{ kind: gather, name: g, guests: [a, b, c] }",
            "rule g puts a, b, c on one host, and none that may take them has room: their memory is 12GiB, at most 8GiB is offered",
        ),
        (
            3,
            "{ kind: fence, name: f, guests: [a], hosts: [h1] }, { kind: ban, name: x, guests: [a], hosts: [h1] }",
            "guest a may run on no host: rule f and rule x",
        ),
        (
            3,
            "{ kind: spread, name: fa, guests: [a, b] }, { kind: fence, name: f, guests: [a, b], hosts: [h1] }",
            "rule fa and rule f cannot all hold",
        ),
        (
            2,
            "{ kind: spare, name: k, room: 1 }",
            "rule k keeps 8GiB of memory free",
        ),
    ] {
        let text = hosts(8, &vec![""; count]) + &three;
        let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}rules: [{rules}]\n"));
        match solve(&cluster, &load, &policy) {
            Outcome::Infeasible(reasons) => {
                assert!(reasons.iter().any(|r| r.contains(expected)), "{reasons:?}")
            }
            other => panic!("{rules}: {other:?}"),
        }
    }
}

#[test]
fn a_conflict_is_narrowed_to_the_rules_that_make_it() {
    // Four guests of 4 GiB in two hosts of 8: every pair must share, and s keeps a from b and c and d.
    let text = hosts(8, &["", ""])
        + &guests(&[
            ("a", 4, "h1", ""),
            ("b", 4, "h1", ""),
            ("c", 4, "h2", ""),
            ("d", 4, "h2", ""),
        ]);
    let rules = "rules:
  - { kind: spread, name: ab, guests: [a, b] }
  - { kind: spread, name: ac, guests: [a, c] }
  - { kind: spread, name: ad, guests: [a, d] }
  - { kind: ban, name: idle, guests: [d], hosts: [h1] }
";
    let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}{rules}"));
    let Outcome::Infeasible(reasons) = solve(&cluster, &load, &policy) else {
        panic!("three guests beside a on one host of two")
    };
    let text = reasons.join(" ");
    assert!(text.contains("cannot all hold"), "{text}");
    assert!(text.contains("rule ab and rule ac"), "{text}");
}

#[test]
fn guests_that_may_not_move_are_named_where_they_are_the_cause() {
    let text = hosts(8, &["", ""])
        + &guests(&[
            ("a", 5, "h1", ", movable: false"),
            ("b", 5, "h1", ", movable: false"),
            ("c", 1, "h2", ", movable: false"),
        ]);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let Outcome::Infeasible(reasons) = solve(&cluster, &load, &policy) else {
        panic!("10 of 8 GiB on h1")
    };
    let text = reasons.join(" ");
    assert!(text.starts_with("a, b may not move"), "{text}");
}

#[test]
fn a_host_that_drains_is_named_where_it_is_the_cause() {
    let text = hosts(8, &["", "", "state: drain"])
        + &guests(&[("a", 5, "h1", ""), ("b", 5, "h2", ""), ("c", 5, "h3", "")]);
    let (cluster, load, policy) = read(&text, "", PLAIN);
    let Outcome::Infeasible(reasons) = solve(&cluster, &load, &policy) else {
        panic!("three guests of 5 GiB on two hosts of 8")
    };
    assert!(
        reasons[0].starts_with("h3 drains, and that leaves no room"),
        "{reasons:?}"
    );
}

#[test]
fn a_conflict_is_found_among_many_rules_and_so_is_what_ends_it() {
    let text = hosts(8, &["", "", ""])
        + &guests(&[("a", 1, "h1", ""), ("b", 1, "h1", ""), ("c", 1, "h2", "")]);
    let mut rules = "rules:
  - { kind: gather, name: together, guests: [a, b] }
  - { kind: fence, name: here, guests: [a], hosts: [h1, h2] }
"
    .to_owned();
    for i in 0..150 {
        rules += &format!("  - {{ kind: ban, name: idle-{i}, guests: [c], hosts: [h1] }}\n");
    }
    rules += "  - { kind: spread, name: apart, guests: [a, b] }\n";
    let (cluster, load, policy) = read(&text, "", &format!("{PLAIN}{rules}"));
    let Outcome::Infeasible(reasons) = solve(&cluster, &load, &policy) else {
        panic!("together and apart")
    };
    assert!(
        reasons[0].contains("together") && reasons[0].contains("apart"),
        "{reasons:?}"
    );
    let ways: Vec<String> = relaxed(&cluster, &load, &policy)
        .into_iter()
        .map(|w| w.text)
        .collect();
    assert_eq!(ways, ["drop rule together", "drop rule apart"]);
}

#[test]
fn what_no_single_change_ends_is_ended_by_several() {
    let text = hosts(8, &["", ""])
        + &guests(&[("a", 1, "h1", ""), ("b", 5, "h2", ""), ("c", 5, "h2", "")]);
    let policy = format!(
        "{PLAIN}limits: {{ moves: 0 }}\nrules: [{{ kind: spread, name: apart, guests: [a, b, c] }}]\n"
    );
    let (cluster, load, policy) = read(&text, "", &policy);
    assert!(matches!(
        solve(&cluster, &load, &policy),
        Outcome::Infeasible(_)
    ));
    let ways: Vec<String> = relaxed(&cluster, &load, &policy)
        .into_iter()
        .map(|w| w.text)
        .collect();
    assert_eq!(ways, ["together: drop rule apart; `limits.moves` 0 → 1"]);
}

#[test]
fn spare_room_is_no_reason_for_dear_hosts_where_windows_are_exempt() {
    let host = |name: &str, cores: &str| {
        format!(
            "  - {{ name: {name}, cpu: {cores}cores, memory: 64GiB, network: 1GiB/s, state: on }}\n"
        )
    };
    let text = format!(
        "hosts:\n{}{}{}guests:\n  - {{ name: g, vcpus: 4, memory: 1GiB, host: h3 }}\n",
        host("h1", "8"),
        host("h2", "6.5"),
        host("h3", "3"),
    );
    let load = "guests:\n  g: { cpu: { windows: { start: 2026-01-05T00:00:00Z, step: 1h, values: [0.5, 0.5, 4.0] } } }\n";
    let policy = "demand: { joint: true, overload: 34% }\nheadroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\nover-commit: { cpu: 8 }\nrules: [{ kind: spare, name: r, room: 1 }]\n";
    let (cluster, load, policy) = read(&text, load, policy);
    let outcome = solve(&cluster, &load, &policy);
    let plan = planned(&outcome);
    assert_eq!(
        (plan.hosts.after.len(), plan.status),
        (2, PlanStatus::Optimal)
    );
}

#[test]
fn a_guest_too_large_is_told_the_window_that_counts() {
    let text = "hosts:\n  - { name: h0, cpu: 4cores, memory: 16GiB, network: 1GiB/s, state: on }\nguests:\n  - { name: g0, vcpus: 8, memory: 1GiB, host: h0 }\n";
    let load = "guests:\n  g0: { cpu: { p95: 0.5cores, windows: { start: 2026-01-05T00:00:00Z, step: 1h, values: [0.5, 0.5, 6, 5] } } }\n";
    let said = |overload: &str, text: &str| {
        let policy = format!("{PLAIN}demand: {{ joint: true, overload: {overload} }}\n");
        let (cluster, load, policy) = read(text, load, &policy);
        match solve(&cluster, &load, &policy) {
            Outcome::Infeasible(reasons) => reasons.join("; "),
            other => panic!("{other:?}"),
        }
    };
    let all = said("0%", text);
    assert!(
        all.contains("its 6cores of cpu at 2026-01-05T02:00:00Z is above the 4cores"),
        "{all}"
    );
    let one = said("25%", text);
    assert!(
        one.contains("its 5cores of cpu at 2026-01-05T03:00:00Z (after the 1 exempt)"),
        "{one}"
    );
    let memory = said("50%", &text.replace("memory: 1GiB", "memory: 20GiB"));
    assert!(
        memory.contains("20GiB") && !memory.contains("cores"),
        "{memory}"
    );
}
