use super::*;

fn source(text: &str) -> Source {
    Source {
        name: "x.yaml".into(),
        text: text.into(),
    }
}

const CLUSTER: &str = "apiVersion: vmpack/v1
kind: Cluster
hosts:
  - { name: h1, cpu: 32cores, memory: 128GiB, network: 1250MiB/s, state: on }
  - { name: h2, cpu: 32cores, memory: 128GiB, network: 1250MiB/s, state: on, speed: 1.2, reserve: { cpu: 1cores, memory: 2GiB },
      labels: { rack: r1, cpu: icelake }, never-sleep: true, uri: \"qemu+tls://h2/system\", migrate-address: 10.0.0.2, probe: \"https://h2:9470\" }
guests:
  - { name: web-1, vcpus: 4, memory: 8GiB, host: h1 }
  - { name: db-1, uuid: 6c1f9a52-2f6b-4a5b-9f3e-0c8f3f1f2a11, vcpus: 8, memory: 32GiB, host: h2, reserved: 2cores, movable: true, post-copy: never, requires: { cpu: [icelake] } }
";

const LOAD: &str = "apiVersion: vmpack/v1
kind: Load
guests:
  web-1: { cpu: { p50: 0.3cores, p95: 1.2cores, max: 2.9cores }, dirty: 1200pages/s, memory: 6GiB }
  db-1: { cpu: { p95: 5cores, windows: { start: 2026-01-05T00:00:00Z, step: 300s, values: [1.2, 1.4] } }, working-set: 4GiB, tier: ebpf, age: 40s }
";

const POLICY: &str = "apiVersion: vmpack/v1
kind: Policy
demand: { cpu: p95 }
headroom: { cpu: 10%, memory: 5% }
over-commit: { cpu: 4.0 }
overhead: { memory: 200MiB }
limits: { moves: 50, time: 10s }
rules:
  - { kind: spread, name: web-ha, guests: [web-1, db-1], over: rack }
";

#[test]
fn the_formats_of_the_documentation_read_and_write_back_the_same() {
    let read = read_inputs(&[source(CLUSTER)], &[source(LOAD)], &[source(POLICY)]).unwrap();
    assert_eq!(read.cluster.hosts.len(), 2);
    assert_eq!(read.policy.limits.moves, Some(50));
    assert_eq!(read.load.guests.len(), 2);
    assert!(read.warnings.is_empty());
    let again = read_inputs(
        &[source(&write_cluster(&read.cluster))],
        &[source(&write_load(&read.load))],
        &[source(&write_policy(&read.policy))],
    )
    .unwrap();
    assert_eq!(read, again);
}

/// The message for a cluster in which `from` was replaced by `to`.
fn broken(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    let text = text.replacen(from, to, 1);
    match read_inputs(
        &[source(if text.contains("kind: Cluster") {
            &text
        } else {
            CLUSTER
        })],
        &[source(if text.contains("kind: Load") {
            &text
        } else {
            LOAD
        })],
        &[source(if text.contains("kind: Policy") {
            &text
        } else {
            POLICY
        })],
    ) {
        Ok(_) => panic!("accepted {to}"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn every_fault_names_its_line_what_was_read_and_what_is_accepted() {
    for (text, from, to, line, says) in [
        (
            CLUSTER,
            "cpu: 32cores",
            "cpu: 32",
            4,
            "read `32`, expected cores such as `2.5cores`",
        ),
        (
            CLUSTER,
            "memory: 128GiB",
            "memory: 128GB",
            4,
            "read `128GB`",
        ),
        (CLUSTER, "memory: 128GiB", "memory: .nan", 4, "read `NaN`"),
        (
            CLUSTER,
            "state: on }",
            "state: on, colour: red }",
            4,
            "colour",
        ),
        (CLUSTER, "state: on }", "state: up }", 4, "up"),
        (
            CLUSTER,
            "name: h2",
            "name: h1",
            5,
            "read host `h1` a second time",
        ),
        (
            CLUSTER,
            "host: h1",
            "host: h9",
            8,
            "read host `h9` for guest `web-1`, expected one of the cluster's hosts: h1, h2",
        ),
        (CLUSTER, ", host: h1", "", 8, "host"),
        (
            CLUSTER,
            "name: db-1",
            "name: web-1",
            9,
            "read guest `web-1` a second time",
        ),
        (CLUSTER, "vcpus: 4", "vcpus: four", 8, "four"),
        (CLUSTER, "vcpus: 4", "vcpus: 0", 8, "read 0 vcpus"),
        (
            CLUSTER,
            "reserved: 2cores",
            "reserved: 9cores",
            9,
            "expected at most its 8 vcpus",
        ),
        (
            CLUSTER,
            "vmpack/v1",
            "vmpack/v2",
            1,
            "read apiVersion `vmpack/v2`, expected `vmpack/v1`",
        ),
        (
            LOAD,
            "p95: 1.2cores",
            "p95: 0.2cores",
            4,
            "expected percentiles that do not fall",
        ),
        (
            LOAD,
            "values: [1.2, 1.4]",
            "values: []",
            5,
            "read no values",
        ),
        (
            LOAD,
            "values: [1.2, 1.4]",
            "values: [1.2, .inf]",
            5,
            "read `inf`",
        ),
        (
            LOAD,
            "2026-01-05T00:00:00Z",
            "monday",
            5,
            "read `monday`, expected a time",
        ),
        (
            POLICY,
            "headroom: { cpu: 10%",
            "headroom: { cpu: 110%",
            4,
            "read `110%`",
        ),
        (
            POLICY,
            "guests: [web-1, db-1]",
            "guests: [web-1, ghost]",
            9,
            "read guest `ghost` in rule `web-ha`",
        ),
        (
            POLICY,
            "limits:",
            "migrations:\n  split-budget: { all: 9s, hosts: 0s }\nlimits:",
            8,
            "read `hosts` in `split-budget`, expected `host`, `link`, `all` or a label that a host has",
        ),
        (
            POLICY,
            "limits:",
            "migrations: { split-at-once: { rack: 1, '': 2 } }\nlimits:",
            7,
            "read `` in `split-at-once`, expected `host`",
        ),
        (POLICY, "kind: spread", "kind: scatter", 9, "scatter"),
        (
            POLICY,
            "over: rack",
            "hosts: [h1]",
            9,
            "read `hosts` in a spread rule",
        ),
    ] {
        let message = broken(text, from, to);
        assert!(message.contains(says), "{to}: {message}");
        assert!(
            message.starts_with(&format!("x.yaml:{line}:")),
            "{to}: {message}"
        );
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = String::from("apiVersion: vmpack/v1\nkind: Cluster\nhosts:\n");
    text.push_str("a: &a [x,x,x,x,x,x,x,x,x]\n");
    for (from, to) in [
        ("a", "b"),
        ("b", "c"),
        ("c", "d"),
        ("d", "e"),
        ("e", "f"),
        ("f", "g"),
        ("g", "h"),
        ("h", "i"),
    ] {
        text.push_str(&format!(
            "{to}: &{to} [{}]\n",
            vec![format!("*{from}"); 9].join(",")
        ));
    }
    assert!(read_cluster(&[source(&text)]).is_err());
}

#[test]
fn garbage_empty_and_wrong_kinds_are_refused() {
    for text in [
        "",
        "   \n",
        "\u{0}\u{1}\u{2}",
        "[1, 2",
        "hello",
        "- a\n- b",
        "kind: Cluster",
        LOAD,
    ] {
        assert!(read_cluster(&[source(text)]).is_err(), "{text}");
    }
}

#[test]
fn files_are_merged() {
    let second = "apiVersion: vmpack/v1
kind: Cluster
guests:
  - { name: late, vcpus: 1, memory: 1GiB, host: h1 }
";
    let merged = read_cluster(&[source(CLUSTER), source(second)]).unwrap();
    assert_eq!(merged.guests.len(), 3);
    let twice = read_cluster(&[source(CLUSTER), source(CLUSTER)]).unwrap_err();
    assert!(
        twice.message.contains("a second time (first in x.yaml)"),
        "{twice}"
    );
}

#[test]
fn of_several_policies_one_says_more_than_rules() {
    let policy = |body: &str| source(&format!("apiVersion: vmpack/v1\nkind: Policy\n{body}"));
    let rules = policy("rules:\n  - { kind: pin, guests: [web-1] }\n");
    let default = policy("headroom: { cpu: 10% }\n");
    assert_eq!(
        read_policy(&[rules.clone(), default.clone()])
            .unwrap()
            .rules
            .len(),
        1
    );
    assert!(
        read_policy(&[default.clone(), default])
            .unwrap_err()
            .message
            .contains("a second policy")
    );
    let costs = policy("demand: { cpu: max }\ncosts:\n  hosts:\n    h9: 2\n");
    let error = read_inputs(&[source(CLUSTER)], &[], &[rules, costs]).unwrap_err();
    assert_eq!(error.line, Some(6), "{error}");
}

#[test]
fn joint_windows_that_differ_are_refused_where_they_stand() {
    let source = |name: &str, kind: &str, text: &str| Source {
        name: name.into(),
        text: format!("apiVersion: vmpack/v1\nkind: {kind}\n{text}"),
    };
    let cluster = source("c", "Cluster", "hosts: []\nguests: []\n");
    let load = source(
        "l",
        "Load",
        "guests:\n  a: { cpu: { windows: { start: 2026-01-05T00:00:00Z, step: 300s, values: [1, 2] } } }\n  b:\n    cpu:\n      windows: { start: 2026-01-05T00:05:00Z, step: 300s, values: [1, 2] }\n",
    );
    let read = |joint: &str| {
        let policy = source("p", "Policy", &format!("demand: {{ joint: {joint} }}\n"));
        read_inputs(
            std::slice::from_ref(&cluster),
            std::slice::from_ref(&load),
            &[policy],
        )
    };
    assert!(read("false").is_ok());
    let error = read("true").unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("l", Some(7)), "{error}");
    assert!(
        error
            .message
            .contains("windows of guest `b` that are not those of guest `a`"),
        "{error}"
    );
}

#[test]
fn a_max_below_its_own_windows_is_refused() {
    let read = |cpu: &str| {
        let windows = "windows: { start: 2026-01-05T00:00:00Z, step: 300s, values: [0.5, 2.5] }";
        read_load(&[Source {
            name: "load.yaml".into(),
            text: format!(
                "apiVersion: vmpack/v1\nkind: Load\nguests:\n  a: {{ cpu: {{ {cpu}, {windows} }} }}\n"
            ),
        }])
    };
    let error = read("max: 2cores").unwrap_err().to_string();
    assert!(
        error.starts_with("load.yaml:4:20: read a max of 2cores below a window of 2.5cores"),
        "{error}"
    );
    assert!(read("window: 100ms, span: 10m, max: 2cores").is_err());
    assert!(read("max: 2.5cores").is_ok());
    // Over longer windows, or over less time than these: no contradiction.
    assert!(read("window: 10m, max: 2cores").is_ok());
    assert!(read("span: 5m, max: 2cores").is_ok());
}
