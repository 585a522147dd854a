//! `vmpack` as a user runs it: exit codes, errors, files written, JSON.

mod ask;
mod bad_input;
mod bench;
mod cases;
mod certificate;
mod imports;
mod interrupt;
mod replay;

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::root;

const CLUSTER: &str = "\
apiVersion: vmpack/v1
kind: Cluster
hosts:
  - { name: h1, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
guests:
  - { name: a, vcpus: 2, memory: 4GiB, host: h1 }
  - { name: b, vcpus: 2, memory: 2GiB, host: h2 }
";

const LOAD: &str = "\
apiVersion: vmpack/v1
kind: Load
guests:
  a: { cpu: { p95: 1cores } }
  b: { cpu: { p95: 0.5cores } }
";

const POLICY: &str = "\
apiVersion: vmpack/v1
kind: Policy
headroom: { cpu: 10%, memory: 5% }
";

/// A folder with a cluster of two hosts, its load and a policy.
struct Desk {
    folder: tempfile::TempDir,
}

/// What a run said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}", self.out))
    }
}

impl Desk {
    fn new() -> Self {
        let desk = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        desk.write("cluster.yaml", CLUSTER);
        desk.write("load.yaml", LOAD);
        desk.write("policy.yaml", POLICY);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// A file with one text of it replaced.
    fn write_edited(&self, name: &str, text: &str, from: &str, to: &str) {
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, text.replace(from, to));
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(crate::bin("vmpack"));
        command
            .args(line.split_whitespace())
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, line: &str) -> Said {
        Said::of(&self.command(line).output().unwrap())
    }

    /// Runs it and checks its exit code and that each text stands in what it said.
    fn check(&self, line: &str, code: i32, says: &[&str]) -> Said {
        let said = self.run(line);
        assert_eq!(said.code, code, "{line}\n{}{}", said.out, said.err);
        for text in says {
            assert!(
                said.out.contains(text) || said.err.contains(text),
                "{line}: `{text}` is not in\n{}{}",
                said.out,
                said.err
            );
        }
        said
    }
}

const PLAN: &str = "plan --cluster cluster.yaml --load load.yaml";

#[test]
fn no_result_replaces_what_it_is_made_from() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("folder")).unwrap();
    desk.write("folder/part.yaml", CLUSTER);
    let mut commands = vec![
        format!("{PLAN} -o ./cluster.yaml"),
        format!("{PLAN} --policy policy.yaml --certificate policy.yaml"),
        format!("{PLAN} -o out.yaml --certificate out.yaml"),
        "plan --cluster folder --load load.yaml -o folder/part.yaml".to_owned(),
    ];
    let dump = PLAN.replace("plan", "model dump --mps --formulation moves");
    commands.push(format!("{dump} -o load.yaml"));
    for line in &commands {
        desk.check(line, 2, &["read or written already"]);
    }
    for (name, text) in [("cluster", CLUSTER), ("load", LOAD), ("policy", POLICY)] {
        let kept = std::fs::read_to_string(desk.path(&format!("{name}.yaml"))).unwrap();
        assert_eq!(kept, text);
    }
    assert!(!desk.path("out.yaml").exists());
}

#[test]
fn a_plan_is_shown_written_and_judged() {
    let desk = Desk::new();
    let line = format!("{PLAN} --policy policy.yaml -o plan.yaml");
    desk.check(
        &line,
        0,
        &["2 → 1 host", "1 move of 2 GiB", "wrote plan.yaml"],
    );
    let check = "check plan.yaml --cluster cluster.yaml --load load.yaml";
    desk.check(check, 0, &["ok: 1 move to 1 host"]);
    assert_eq!(desk.run(&format!("{check} --json")).json()["ok"], true);
    // A folder that is missing is made, and the next command is one that works.
    let next = "next: vmpack apply out/plan.yaml --cluster cluster.yaml --dry-run";
    desk.check(&format!("{PLAN} -o out/plan.yaml"), 0, &[next]);
    let under_a_file = format!("{PLAN} -o plan.yaml/plan.yaml");
    desk.check(&under_a_file, 9, &["cannot"]);
    let full = std::fs::File::options().write(true).open("/dev/full");
    let lost = desk.command(PLAN).stdout(full.unwrap()).output().unwrap();
    let lost = Said::of(&lost);
    assert_eq!(lost.code, 9);
    assert!(
        lost.err.contains("cannot write to standard output"),
        "{}",
        lost.err
    );
    // No escape sequence where standard output is no terminal.
    assert!(!desk.run(&line).out.contains('\u{1b}'));
    let ascii = desk.command(PLAN).env("LC_ALL", "C").output().unwrap();
    assert!(Said::of(&ascii).out.is_ascii());
}

#[test]
fn a_plan_that_was_tampered_with_or_is_old_fails_the_check() {
    let desk = Desk::new();
    desk.check(&format!("{PLAN} -o plan.yaml"), 0, &[]);
    let plan = std::fs::read_to_string(desk.path("plan.yaml")).unwrap();
    desk.write_edited("tampered.yaml", &plan, "\n  b: h1\n", "\n  b: h2\n");
    let files = "--cluster cluster.yaml --load load.yaml";
    desk.check(&format!("check tampered.yaml {files}"), 8, &["violation"]);
    desk.write_edited("cluster.yaml", CLUSTER, "memory: 2GiB", "memory: 14GiB");
    let said = desk.check(&format!("check plan.yaml {files} --json"), 8, &[]);
    let laws: Vec<Value> = said.json()["violations"].as_array().unwrap().clone();
    let laws: Vec<&str> = laws.iter().filter_map(|v| v["law"].as_str()).collect();
    assert!(
        laws.contains(&"base") && laws.contains(&"memory"),
        "{laws:?}"
    );
    // A stricter policy than the plan's own is given: the guests no longer fit one host.
    desk.write("cluster.yaml", CLUSTER);
    desk.write_edited("policy.yaml", POLICY, "memory: 5%", "memory: 80%");
    desk.check(&format!("check plan.yaml {files}"), 0, &[]);
    desk.check(
        &format!("check plan.yaml {files} --policy policy.yaml"),
        8,
        &["memory: "],
    );
}

#[test]
fn each_ending_has_its_exit_code() {
    let desk = Desk::new();
    desk.check("--version", 0, &["vmpack "]);
    desk.check("--help", 0, &["Exit codes:", "snapshot", "Examples:"]);
    desk.check("", 2, &["Usage:"]);
    desk.check("plam", 2, &["plan"]);
    desk.check("plan --cluster cluster.yaml", 2, &["--load"]);
    desk.check(&format!("{PLAN} --time-limit 10"), 2, &["`10s`"]);
    desk.check(&format!("{PLAN} -o - --json"), 2, &["standard output"]);
    desk.check(
        "plan --cluster nowhere.yaml --load load.yaml",
        3,
        &["cannot read nowhere.yaml"],
    );
    desk.check(
        &format!("{PLAN} -o cluster.yaml/plan.yaml"),
        9,
        &["cannot make folder cluster.yaml"],
    );
    desk.check(
        &format!("{PLAN} --detailed-exitcode -o plan.yaml"),
        10,
        &["1 move"],
    );
    desk.write_edited("idle.yaml", CLUSTER, "2GiB, host: h2", "2GiB, host: h1");
    let idle = "plan --cluster idle.yaml --load load.yaml --detailed-exitcode";
    desk.check(idle, 0, &["no guest has to move"]);
    desk.write_edited("huge.yaml", CLUSTER, "memory: 4GiB", "memory: 64GiB");
    let huge = "plan --cluster huge.yaml --load load.yaml";
    let said = desk.check(
        &format!("{huge} -o huge-plan.yaml"),
        4,
        &["infeasible", "guest a"],
    );
    assert!(
        said.out.contains("guest a"),
        "the reason is the result: {}",
        said.err
    );
    assert!(!desk.path("huge-plan.yaml").exists());
    assert_eq!(
        desk.run(&format!("{huge} --json")).json()["status"],
        "infeasible"
    );
}

#[test]
fn commands_of_other_binaries_are_handed_over() {
    let desk = Desk::new();
    let said = desk.check("apply --help", 0, &[]);
    assert!(said.out.contains("vmpack-executor"), "{}", said.out);
    // A copy of the binary alone, with nothing beside it or on PATH.
    let alone = desk.path("vmpack");
    // By another process: a child that another test forks meanwhile would hold the copy open for
    // writing, and it could not be run.
    let copy = Command::new("cp")
        .arg(crate::bin("vmpack"))
        .arg(&alone)
        .status();
    assert!(copy.unwrap().success());
    let output = Command::new(&alone)
        .args(["probe", "record"])
        .env("PATH", "")
        .output();
    let said = Said::of(&output.unwrap());
    assert_eq!(said.code, 9);
    assert!(
        said.err.contains("`vmpack probe` needs vmpack-probe"),
        "{}",
        said.err
    );
}

#[test]
fn files_folders_and_standard_input_are_merged() {
    let desk = Desk::new();
    let (hosts, guests) = CLUSTER.split_once("guests:").unwrap();
    let head = "apiVersion: vmpack/v1\nkind: Cluster\n";
    std::fs::create_dir(desk.path("conf.d")).unwrap();
    desk.write("conf.d/1-hosts.yaml", hosts);
    desk.write("conf.d/readme.txt", "not read");
    desk.write("guests.yaml", format!("{head}guests:{guests}"));
    let whole = desk.run(&format!("{PLAN} --json")).json();
    let merged = "plan --cluster conf.d --cluster guests.yaml --load load.yaml --json";
    assert_eq!(
        desk.check(merged, 0, &[]).json()["hosts_after"],
        whole["hosts_after"]
    );
    let mut child = desk
        .command("plan --cluster - --load load.yaml --json")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(CLUSTER.as_bytes())
        .unwrap();
    let piped = Said::of(&child.wait_with_output().unwrap());
    assert_eq!(piped.json()["moves"], whole["moves"]);
    let stranger = LOAD.to_owned() + "  ghost: { cpu: { p95: 1cores } }\n";
    desk.write("load.yaml", stranger);
    let said = desk.check(
        &format!("{PLAN} --json"),
        0,
        &["warning: load of guest ghost"],
    );
    assert_eq!(said.json()["status"], "optimal");
}

#[test]
fn the_json_of_a_plan_has_the_promised_fields() {
    let desk = Desk::new();
    let json = desk.check(&format!("{PLAN} --json"), 0, &[]).json();
    for (field, value) in [
        ("status", Value::from("optimal")),
        ("hosts_before", 2.into()),
        ("hosts_after", 1.into()),
        ("hosts_bound", 1.into()),
        ("move_mib", 2048.into()),
        ("move_mib_bound", 2048.into()),
    ] {
        assert_eq!(json[field], value, "{field}");
    }
    assert!(json["seconds"].is_number() && json["reasons"].is_array());
    let moved = &json["moves"][0];
    assert_eq!(
        (&moved["guest"], &moved["from"], &moved["to"]),
        (&"b".into(), &"h2".into(), &"h1".into())
    );
    assert!(moved["mode"].is_string() && moved["seconds"].is_number());
    assert_eq!(moved["mib"], 2048);
}

#[test]
fn the_same_seed_and_effort_give_the_same_plan() {
    let desk = Desk::new();
    desk.check(
        "example cluster --hosts 8 --guests 60 --seed 3 -o made",
        0,
        &[],
    );
    let line = "plan --cluster made/cluster.yaml --load made/load.yaml --policy made/policy.yaml --nodes 500 --seed 7 -o -";
    let plan = desk.check(line, 0, &[]).out;
    assert!(plan.starts_with("apiVersion: vmpack/v1\nkind: Plan\n"));
    assert_eq!(plan, desk.run(line).out);
}

#[test]
fn what_if_tells_the_difference_to_today() {
    let desk = Desk::new();
    let line = "whatif --cluster cluster.yaml --load load.yaml";
    desk.check(
        &format!("{line} --drain h1"),
        0,
        &["hosts planned", "what if", "+2 GiB"],
    );
    let json = desk
        .check(&format!("{line} --drain h1 --json"), 0, &[])
        .json();
    assert_eq!(json["difference"]["move_mib"], 2048);
    assert_eq!(json["today"]["moves"][0]["guest"], "b");
    assert_eq!(json["what_if"]["moves"][0]["guest"], "a");
    desk.check(
        &format!("{line} --fail h1 --fail h2"),
        4,
        &["what if: infeasible"],
    );
    desk.check(&format!("{line} --scale-load 3"), 0, &[]);
    let more = format!("{line} --add-hosts 2,16cores,64GiB --json");
    assert_eq!(
        desk.run(&more).json()["what_if"]["hosts"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    desk.check(
        &format!("{line} --drain h7"),
        3,
        &["no host h7; hosts are h1, h2"],
    );
    desk.check(line, 2, &["--drain"]);
    desk.check(
        &format!("{line} --add-hosts 1,0cores,0GiB"),
        2,
        &["more than zero"],
    );
    desk.write("more.yaml", LOAD);
    let twice = format!("{line} --add-guests more.yaml");
    desk.check(&twice, 3, &["error: more.yaml:4:", "first in load.yaml"]);
    desk.write(
        "new.yaml",
        CLUSTER
            .split_inclusive('\n')
            .filter(|l| !l.contains("{ name: h"))
            .collect::<String>()
            .replace("hosts:\n", ""),
    );
    let twice = format!("{line} --add-guests new.yaml");
    desk.check(&twice, 3, &["error: new.yaml:4:", "first in cluster.yaml"]);
    desk.write("new.yaml", "apiVersion: vmpack/v1\nkind: Cluster\nguests:\n  - { name: new, vcpus: 7, memory: 12GiB, host: null }\n");
    let json = desk
        .check(&format!("{line} --add-guests new.yaml --json"), 0, &[])
        .json();
    assert_eq!(json["what_if"]["starts"][0]["guest"], "new");
    assert_eq!(json["difference"]["hosts_after"], 1);
}

#[test]
fn a_scenario_is_a_file_and_a_range_is_asked_value_by_value() {
    let desk = Desk::new();
    let line = "whatif --cluster cluster.yaml --load load.yaml --nodes 50";
    let head = "apiVersion: vmpack/v1\nkind: Scenario\nedits:\n";
    desk.write(
        "s.yaml",
        format!("{head}  - drain: [h1]\n  - copy-guest: {{ of: a, count: 1 }}\n"),
    );
    desk.check("validate s.yaml", 0, &["scenario of 2 edits"]);
    let json = desk
        .check(&format!("{line} --scenario s.yaml --json"), 0, &[])
        .json();
    assert_eq!(json["what_if"]["starts"][0]["guest"], "a-copy-1");
    let stops = json["stops_holding"].as_array().unwrap();
    assert!(stops.iter().any(|s| s["law"] == "state"), "{stops:?}");
    desk.write(
        "bad.yaml",
        format!("{head}  - over-commit: 2\n  - drain: [h7]\n"),
    );
    let bad = format!("{line} --scenario bad.yaml");
    desk.check(&bad, 3, &["error: bad.yaml:5:", "there is no host h7"]);
    desk.write("bad.yaml", format!("{head}  - melt: [h1]\n"));
    desk.check(&bad, 3, &["error: bad.yaml:4:"]);
    let range = format!("{line} --scale-load 0.5..2.0/0.5");
    desk.check(
        &format!("{range} --curve curve.svg"),
        0,
        &["load", "0.5", "1.5"],
    );
    let svg = std::fs::read_to_string(desk.path("curve.svg")).unwrap();
    assert_eq!(svg.matches("<circle").count(), 4, "{svg}");
    let json = desk.check(&format!("{range} --json"), 0, &[]).json();
    let points = json["points"].as_array().unwrap();
    let hosts: Vec<u64> = points
        .iter()
        .map(|p| p["hosts_after"].as_u64().unwrap())
        .collect();
    assert!(hosts.is_sorted() && hosts.len() == 4, "{hosts:?}");
    let again = desk.check(&format!("{range} --json"), 0, &[]).json();
    assert_eq!(again["points"][3]["moves"], points[3]["moves"]);
    desk.check(
        &format!("{range} --headroom 0%..10%/5%"),
        2,
        &["expected one range"],
    );
    desk.check(
        &format!("{line} --drain h1 --curve curve.svg"),
        2,
        &["draws a range"],
    );
}

#[test]
fn files_are_validated_each_and_together() {
    let desk = Desk::new();
    desk.check(
        "validate cluster.yaml load.yaml policy.yaml",
        0,
        &["cluster of 2 hosts and 2 guests", "load of 2 guests"],
    );
    desk.write_edited("bad.yaml", LOAD, "1cores", "1core5");
    desk.write_edited("worse.yaml", CLUSTER, "16GiB", "16");
    let said = desk.check(
        "validate cluster.yaml bad.yaml worse.yaml gone.yaml",
        3,
        &["ok  cluster.yaml"],
    );
    for error in [
        "error: bad.yaml:4:",
        "error: worse.yaml:4:",
        "error: cannot read gone.yaml",
    ] {
        assert!(said.err.contains(error), "{}", said.err);
    }
    let json = desk.run("validate cluster.yaml bad.yaml --json").json();
    assert_eq!(json["ok"], false);
    assert_eq!(json["files"][0]["kind"], "Cluster");
    assert_eq!(json["files"][1]["error"]["line"], 4);
    desk.write(
        "policy.yaml",
        format!("{POLICY}rules:\n  - {{ kind: pin, guests: [ghost] }}\n"),
    );
    desk.check("validate policy.yaml", 0, &["policy with 1 rule"]);
    desk.write(
        "lonely.yaml",
        format!("{POLICY}rules:\n  - {{ kind: spread, name: ha, guests: ['a*'] }}\n"),
    );
    desk.check(
        "validate cluster.yaml lonely.yaml",
        0,
        &["warning: rule ha names guest a only"],
    );
    desk.check(
        "validate cluster.yaml policy.yaml",
        3,
        &["error: policy.yaml:5:"],
    );
}

#[test]
fn the_schemas_in_the_tree_are_those_of_the_types() {
    let desk = Desk::new();
    desk.check("schema --out made", 0, &[]);
    for file in std::fs::read_dir(desk.path("made")).unwrap() {
        let file = file.unwrap();
        let kept = root().join("models/schema").join(file.file_name());
        let made = std::fs::read_to_string(file.path()).unwrap();
        let kept = std::fs::read_to_string(&kept).unwrap_or_default();
        assert!(
            made == kept,
            "{:?} is old: run `cargo xtask schema`",
            file.file_name()
        );
    }
}
