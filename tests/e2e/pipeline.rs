//! The way of the data, on the examples that the README uses: validate, plan, check, carry out on
//! the simulated world, and plan again.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use vmpack_domain::file::{Source, read_cluster, read_plan, write_cluster};
use vmpack_domain::{Mode, Plan};

/// The examples, and a folder for what is made of them.
struct Pipeline {
    folder: tempfile::TempDir,
}

impl Pipeline {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs one of the binaries; returns its exit code and what it printed.
    fn run(&self, program: &str, arguments: &[&str]) -> (i32, Output) {
        let output = Command::new(crate::bin(program))
            .args(arguments)
            .current_dir(self.folder.path())
            .env("VMPACK_STATE", self.folder.path().join("state"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let code = output.status.code().expect("it ends by itself");
        (code, output)
    }

    /// As `run`, of a `vmpack` command on a cluster with the examples' load and policy.
    fn on(&self, cluster: &str, arguments: &[&str]) -> (i32, Output) {
        let (load, policy) = (example("load.yaml"), example("policy.yaml"));
        let inputs = ["--cluster", cluster, "--load", &load, "--policy", &policy];
        self.run("vmpack", &[arguments, &inputs].concat())
    }

    /// Plans the example; returns the plan's path and the summary.
    fn plan(&self) -> (String, Value) {
        let file = self.path("plan.yaml");
        let (code, output) = self.on(&example("cluster.yaml"), &["plan", "-o", &file, "--json"]);
        assert_eq!(code, 0, "{output:?}");
        (file, serde_json::from_slice(&output.stdout).unwrap())
    }
}

fn example(name: &str) -> String {
    let file: PathBuf = crate::root().join("examples").join(name);
    file.display().to_string()
}

fn source(path: impl AsRef<Path>) -> Source {
    Source {
        name: path.as_ref().display().to_string(),
        text: std::fs::read_to_string(path).unwrap(),
    }
}

fn plan_in(path: &str) -> Plan {
    read_plan(&source(path)).unwrap()
}

#[test]
fn the_examples_are_valid_together() {
    let files = ["cluster.yaml", "load.yaml", "policy.yaml"].map(example);
    let [cluster, load, policy] = &files;
    let (code, output) = Pipeline::new().run("vmpack", &["validate", cluster, load, policy]);
    assert_eq!(code, 0, "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    for what in [
        "4 hosts and 12 guests",
        "load of 11 guests",
        "policy with 4 rules",
    ] {
        assert!(said.contains(what), "{said}");
    }
}

#[test]
fn the_example_is_planned_judged_carried_out_and_then_needs_nothing_more() {
    let pipeline = Pipeline::new();
    let cluster = example("cluster.yaml");
    let (file, summary) = pipeline.plan();
    assert_eq!(summary["status"], "optimal");
    let hosts = ["hosts_before", "hosts_after", "hosts_bound"].map(|key| summary[key].as_u64());
    assert_eq!(hosts, [Some(4), Some(2), Some(2)]);
    assert_eq!(summary["move_mib"], summary["move_mib_bound"]);

    let (code, output) = pipeline.on(&cluster, &["check", &file]);
    assert_eq!(code, 0, "{output:?}");

    let load = example("load.yaml");
    let simulated = [
        "--cluster",
        &cluster,
        "--simulated",
        "--load",
        &load,
        "--yes",
        "--json",
    ];
    let (code, output) = pipeline.run(
        "vmpack-executor",
        &[&["apply", &file], &simulated[..]].concat(),
    );
    assert_eq!(code, 0, "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let plan = plan_in(&file);
    assert_eq!(
        last["hosts_in_use"],
        serde_json::to_value(&plan.hosts.after).unwrap()
    );

    // What was carried out leaves nothing to do.
    let mut moved = read_cluster(&[source(&cluster)]).unwrap();
    for done in last["moves"].as_array().unwrap() {
        assert_eq!(done["state"], "moved");
        let guest = moved
            .guests
            .iter_mut()
            .find(|g| g.name.as_str() == done["guest"])
            .unwrap();
        guest.host = Some(done["to"].as_str().unwrap().parse().unwrap());
    }
    assert_eq!(moved.placement(), plan.target);
    let after = pipeline.path("after.yaml");
    std::fs::write(&after, write_cluster(&moved)).unwrap();
    let (code, output) = pipeline.on(&after, &["plan", "--detailed-exitcode", "--json"]);
    assert_eq!(code, 0, "{output:?}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["moves"], Value::Array(Vec::new()));
    assert_eq!(summary["hosts_after"], 2);
    // And the plan that led here is over.
    let (code, _) = pipeline.on(&after, &["check", &file]);
    assert_eq!(
        code, 8,
        "the guests are no longer where the plan found them"
    );
}

#[test]
fn the_examples_comments_hold_in_the_plan() {
    let pipeline = Pipeline::new();
    let (file, _) = pipeline.plan();
    let plan = plan_in(&file);
    let on = |guest: &str| plan.target.get(guest).unwrap().as_str();
    let rack = |host: &str| {
        if ["h1", "h2"].contains(&host) {
            "r1"
        } else {
            "r2"
        }
    };
    assert_ne!(rack(on("web-1")), rack(on("web-2")));
    assert_ne!(rack(on("db-1")), rack(on("db-2")));
    assert_eq!(on("cache-1"), on("web-1"));
    assert_eq!(rack(on("mail")), "r2");
    assert_ne!(on("build-1"), "h3", "h3 is no icelake");
    assert_eq!(on("legacy"), "h4", "it cannot be moved");
    assert!(
        plan.reasons.iter().any(|r| r.contains("legacy")),
        "{:?}",
        plan.reasons
    );
    for step in &plan.moves {
        let expected = match step.guest.as_str() {
            "cache-1" => Mode::PostCopy,
            "git" | "ldap" | "legacy" | "monitor" => Mode::Hybrid,
            _ => Mode::PreCopy,
        };
        assert_eq!(step.mode, expected, "{step:?}");
    }
}

#[test]
fn a_plan_that_was_tampered_with_is_not_passed() {
    let pipeline = Pipeline::new();
    let (file, _) = pipeline.plan();
    let text = std::fs::read_to_string(&file).unwrap();
    // A database beside the other's rack mate, in target and moves alike.
    let tampered = text
        .replace("web-1: h4", "web-1: h2")
        .replace("web-2: h4", "web-2: h2")
        .replace("to: h4", "to: h2");
    assert_ne!(text, tampered);
    std::fs::write(&file, tampered).unwrap();
    let (code, output) = pipeline.on(&example("cluster.yaml"), &["check", &file, "--json"]);
    assert_eq!(code, 8, "{output:?}");
    let verdict: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(verdict["ok"], false);
    let violations = verdict["violations"].to_string();
    assert!(violations.contains("web-in-two-racks"), "{violations}");
}

#[test]
fn the_probe_says_what_it_refuses_and_what_it_lacks() {
    let pipeline = Pipeline::new();
    let nowhere = "qemu+unix:///system?socket=/nonexistent/libvirt-sock";
    let file = pipeline.path("load.yaml");
    for (arguments, expected, word) in [
        (&["record"][..], 2, "--seconds"),
        (
            &["record", "--seconds", "1", "--window", "5"],
            2,
            "expected a time",
        ),
        (
            &["record", "--seconds", "1", "--window", "1ms"],
            2,
            "scheduler tick",
        ),
        (
            &["record", "--seconds", "1", "--window", "2s"],
            2,
            "at least one window",
        ),
        (
            &["record", "--seconds", "1", "--speed", "0"],
            2,
            "more than 0",
        ),
        (
            &["record", "--seconds", "1", "--uri", nowhere, "-o", &file],
            9,
            "cannot reach",
        ),
        (
            &["record", "--seconds", "1", "-o", "/nonexistent/load.yaml"],
            9,
            "cannot write",
        ),
        (&["doctor", "--uri", nowhere], 9, "cannot reach"),
    ] {
        let (code, output) = pipeline.run("vmpack-probe", arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(code, expected, "{arguments:?}: {said}");
        assert!(said.contains(word), "{arguments:?}: {said}");
        // The doctor tells what works here, also where libvirt does not answer.
        let told = !output.stdout.is_empty();
        assert_eq!(told, arguments[0] == "doctor", "{arguments:?}");
    }
    assert!(!Path::new(&file).exists());
}
