//! `vmpack-executor` as a user runs it, on the simulated world.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Three hosts; h1 and h3 are to be emptied onto h2.
const CLUSTER: &str = "
apiVersion: vmpack/v1
kind: Cluster
hosts:
  - { name: h1, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h3, cpu: 8cores, memory: 16GiB, network: 1000MiB/s, state: on }
guests:
  - { name: a, vcpus: 2, memory: 2GiB, host: h1 }
  - { name: b, vcpus: 2, memory: 2GiB, host: h1 }
  - { name: c, vcpus: 2, memory: 2GiB, host: h3 }
  - { name: d, vcpus: 2, memory: 2GiB, host: h2 }
";

const PLAN: &str = "
apiVersion: vmpack/v1
kind: Plan
base: { cluster: 'sha256:0', load: 'sha256:0' }
policy: {}
status: optimal
claim: { objective: 1, bound: 1, origin: test, hosts-bound: 1 }
move-claim: { objective: 6GiB, bound: 6GiB, origin: test }
time-claim: { objective: 9s, bound: 9s, origin: test }
hosts: { before: [h1, h2, h3], after: [h2] }
target: { a: h2, b: h2, c: h2, d: h2 }
moves:
  - { id: m1, guest: a, from: h1, to: h2, mode: post-copy, memory: 2GiB, vcpus: 2, demand: 1cores,
      bandwidth: 1000MiB/s, start: 0s, duration: 3s, reason: h1 is emptied }
  - { id: m2, guest: b, from: h1, to: h2, mode: post-copy, memory: 2GiB, vcpus: 2, demand: 1cores,
      bandwidth: 1000MiB/s, start: 3s, duration: 3s, after: [m1], reason: h1 is emptied }
  - { id: m3, guest: c, from: h3, to: h2, mode: pre-copy, memory: 2GiB, vcpus: 2, demand: 1cores,
      bandwidth: 1000MiB/s, start: 6s, duration: 3s, after: [m2], reason: h3 is emptied }
";

/// A folder with a cluster, a plan and a place for the journal.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cluster.yaml"), CLUSTER).unwrap();
        std::fs::write(folder.path().join("plan.yaml"), PLAN).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file with a text replaced everywhere.
    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no `{from}`");
        std::fs::write(self.path(name), text.replace(from, to)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(crate::bin("vmpack-executor"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("VMPACK_STATE", self.path("state"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Begins the plan in a world that takes its time: a migration takes 2.7 s by its clock, which
    /// runs so many times as fast as ours.
    pub(crate) fn begin(&self, speed_up: u32) -> Child {
        self.command(&APPLY)
            .args(["--speed-up", &speed_up.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) fn events(&self) -> i64 {
        let path = self.path("state/journal.db");
        if !path.exists() {
            return 0;
        }
        // Before the executor has made the table there is no event either.
        rusqlite::Connection::open(path)
            .and_then(|c| c.query_row("SELECT count(*) FROM event", [], |r| r.get(0)))
            .unwrap_or(0)
    }

    /// Waits until the journal holds so many events.
    pub(crate) fn wait_for(&self, events: i64) {
        let began = Instant::now();
        while self.events() < events {
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{events} events never came"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.run(&["status", "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// Exit code, standard output, standard error.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().unwrap_or(-1),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// Runs it and checks its exit code and that each text stands in what it said.
fn check(desk: &Desk, arguments: &[&str], exit: i32, says: &[&str]) -> String {
    let (code, out, err) = told(&desk.run(arguments));
    assert_eq!(code, exit, "{arguments:?}\n{out}{err}");
    for text in says {
        assert!(
            out.contains(text) || err.contains(text),
            "`{text}` is not in\n{out}{err}"
        );
    }
    out
}

fn signal(child: &Child, name: &str) {
    let kill = format!("kill -{name} {}", child.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
}

const APPLY: [&str; 4] = ["apply", "plan.yaml", "--simulated", "--yes"];

#[test]
fn a_plan_is_carried_out_and_its_outcome_shown() {
    let desk = Desk::new();
    let out = check(
        &desk,
        &APPLY,
        0,
        &[
            "hosts in use: 3 -> 1; empty now: h1, h3",
            "the plan's target is reached",
        ],
    );
    let file = format!("plan: {}", desk.path("plan.yaml").display());
    check(&desk, &["status"], 0, &[": complete", &file]);
    assert_eq!(out.matches("moved").count(), 3, "{out}");
    let status = desk.status();
    assert_eq!(status["run"], "complete");
    assert_eq!(status["moves"][2]["state"], "moved");
    assert!(
        status["moves"][0]["switch_seconds"].as_f64()
            < status["moves"][0]["total_seconds"].as_f64()
    );
    assert!(
        std::fs::read_to_string(desk.path("cluster.yaml")).unwrap() == CLUSTER,
        "the input stays as it is"
    );
    check(&desk, &["abort"], 0, &["nothing to stop"]);
    check(&desk, &["resume"], 0, &["at its end already"]);
}

#[test]
fn each_line_of_json_is_a_document_and_the_last_the_summary() {
    let desk = Desk::new();
    let out = check(
        &desk,
        &[&APPLY[..], &["--json", "--parallel", "3"]].concat(),
        0,
        &[],
    );
    let lines: Vec<Value> = out
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let mut kinds: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
    let all = kinds.len();
    // A guest is looked at while the next one moves.
    kinds.retain(|kind| *kind != "checked");
    assert_eq!(all - kinds.len(), 3);
    let one = ["intended", "switched", "moved"];
    let all = [&one[..], &one, &one, &["finished", "summary"]].concat();
    assert_eq!(kinds, all);
    let summary = lines.last().unwrap();
    assert_eq!(
        (&summary["hosts_before"], &summary["hosts_after"]),
        (&3.into(), &1.into())
    );
    assert_eq!(summary["remaining"], serde_json::json!([]));
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is_written() {
    let desk = Desk::new();
    check(
        &desk,
        &["apply", "plan.yaml", "--simulated"],
        2,
        &["no terminal", "--yes"],
    );
    check(
        &desk,
        &["apply", "plan.yaml", "--yes"],
        3,
        &["host h1 has no `uri`"],
    );
    check(
        &desk,
        &["apply", "nowhere.yaml", "--simulated", "--yes"],
        3,
        &["cannot read nowhere.yaml"],
    );
    check(
        &desk,
        &[
            "apply",
            "plan.yaml",
            "--cluster",
            "plan.yaml",
            "--simulated",
            "--yes",
        ],
        3,
        &["plan.yaml:3", "kind `Plan`"],
    );
    check(&desk, &["resume"], 2, &["no run"]);
    check(&desk, &["abort"], 0, &["nothing to stop"]);
    check(&desk, &["status"], 0, &["no run"]);
    check(
        &desk,
        &["apply", "plan.yaml", "--simulated", "--dry-run"],
        0,
        &["3 moves, 6GiB", "3 -> 1"],
    );
    assert!(!desk.path("state").exists());
    desk.edit("plan.yaml", "after: [m1]", "after: [m3]");
    check(&desk, &APPLY, 3, &["`after: m3` in move m2"]);
}

#[test]
fn a_stale_plan_is_refused_with_all_that_changed() {
    let desk = Desk::new();
    desk.edit(
        "cluster.yaml",
        "name: a, vcpus: 2, memory: 2GiB, host: h1",
        "name: a, vcpus: 3, memory: 4GiB, host: h3",
    );
    let changes = [
        "guest a is on h3, the plan expects it on h1",
        "had 2GiB of memory, it has 4GiB",
        "had 2 vCPUs, it has 3",
    ];
    check(&desk, &APPLY, 6, &changes);
    check(
        &desk,
        &["apply", "plan.yaml", "--simulated", "--dry-run"],
        6,
        &changes,
    );
    assert_eq!(desk.events(), 0);
}

#[test]
fn a_plan_that_was_carried_out_is_not_stale() {
    let desk = Desk::new();
    for from in ["h1", "h3"] {
        desk.edit("cluster.yaml", &format!("host: {from} }}"), "host: h2 }");
    }
    let rehearse = ["apply", "plan.yaml", "--simulated", "--dry-run"];
    for arguments in [&APPLY, &rehearse] {
        check(&desk, arguments, 0, &["already carried out"]);
    }
    assert_eq!(desk.events(), 0);
}

#[test]
fn one_executor_works_at_a_time_and_can_be_told_to_stop() {
    let desk = Desk::new();
    let first = desk.begin(1);
    desk.wait_for(2);
    let holder = format!("process {}", first.id());
    // Held, it stays where it is however long this takes.
    let pause = ["pause", "--reason", "a test"];
    check(&desk, &pause, 0, &["paused", &holder]);
    let status = desk.status();
    assert_eq!(status["run"], "running");
    assert!(status["paused"].as_str().unwrap().starts_with("a test ("));
    // What shares its hosts is refused, the same plan followed.
    std::fs::write(
        desk.path("other.yaml"),
        PLAN.replace("h1 is emptied", "another"),
    )
    .unwrap();
    let other = ["apply", "other.yaml", "--simulated", "--yes"];
    check(&desk, &other, 6, &["run 1 is not at its end", "abort"]);
    let mut second = desk.command(&APPLY);
    second.stdout(Stdio::piped()).stderr(Stdio::piped());
    let second = second.spawn().unwrap();
    check(
        &desk,
        &["resume"],
        0,
        &["the pause is lifted", "goes on", &holder],
    );
    check(&desk, &["abort"], 0, &["asked to stop", "aborted"]);
    let (code, out, err) = told(&second.wait_with_output().unwrap());
    assert_eq!(code, 7, "{out}{err}");
    assert!(err.contains("handed to the executor at work"), "{err}");
    assert!(
        err.contains(&holder) && out.contains("skipped"),
        "{out}{err}"
    );
    let (code, out, err) = told(&first.wait_with_output().unwrap());
    assert_eq!(code, 7, "{out}{err}");
    assert!(out.contains("skipped: the run was aborted"), "{out}");
    assert!(
        out.contains("guest c is on h3, the plan puts it on h2"),
        "{out}"
    );
    assert_eq!(desk.status()["run"], "aborted");
}

#[test]
fn an_interrupt_finishes_what_runs_and_the_rest_can_be_resumed_or_ended() {
    let desk = Desk::new();
    let first = desk.begin(1);
    desk.wait_for(2);
    signal(&first, "INT");
    let (code, out, err) = told(&first.wait_with_output().unwrap());
    assert_eq!(code, 7, "{out}{err}");
    let status = desk.status();
    assert_eq!(status["run"], "interrupted");
    assert_eq!(status["moves"][0]["state"], "moved");
    assert_eq!(status["moves"][1]["state"], "waiting");
    // Another plan is not begun over it, the same one is carried on.
    std::fs::write(
        desk.path("other.yaml"),
        PLAN.replace("h1 is emptied", "another"),
    )
    .unwrap();
    let other = ["apply", "other.yaml", "--simulated", "--yes"];
    check(&desk, &other, 7, &["another plan is unfinished", "resume"]);
    check(&desk, &APPLY, 0, &["carried on", "hosts in use: 3 -> 1"]);

    let first = desk.begin(1);
    desk.wait_for(desk.events() + 2);
    signal(&first, "TERM");
    first.wait_with_output().unwrap();
    check(&desk, &["abort"], 0, &["skipped: the run was aborted"]);
    assert_eq!(desk.status()["run"], "aborted");
    check(&desk, &other, 0, &["hosts in use: 3 -> 1"]);
}

#[test]
fn a_run_is_carried_on_only_in_the_world_that_it_was_begun_in() {
    let desk = Desk::new();
    let mut first = desk.begin(1);
    desk.wait_for(2);
    first.kill().unwrap();
    first.wait().unwrap();
    let reached = |name: &str| {
        (
            format!("name: {name},"),
            format!("name: {name}, uri: 'test:///{name}',"),
        )
    };
    for (from, to) in ["h1", "h2", "h3"].map(reached) {
        desk.edit("cluster.yaml", &from, &to);
    }
    let real = ["apply", "plan.yaml", "--yes"];
    check(
        &desk,
        &real,
        7,
        &["it is a simulation, real hosts", "resume"],
    );
    check(&desk, &APPLY, 7, &["another cluster", "abort"]);
    std::fs::write(desk.path("cluster.yaml"), CLUSTER).unwrap();
    let other = [&APPLY[..], &["--seed", "2"]].concat();
    check(&desk, &other, 7, &["another seed"]);
    assert_eq!(desk.status()["run"], "interrupted");
    check(&desk, &APPLY, 0, &["carried on", "hosts in use: 3 -> 1"]);
}

#[test]
fn a_run_does_not_end_when_nobody_listens() {
    let ways: [&[&str]; 2] = [&[], &["--json"]];
    for json in ways {
        let desk = Desk::new();
        let mut child = desk
            .command(&APPLY)
            .args(json)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop((child.stdout.take(), child.stderr.take()));
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(desk.status()["run"], "complete");
    }
}

#[test]
fn a_run_does_not_wait_for_who_does_not_read() {
    use std::io::{Read, Write};
    let desk = Desk::new();
    // A pipe that is full until somebody reads.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut full = writer.try_clone().unwrap();
    let filling = std::thread::spawn(move || full.write_all("\n".repeat(1 << 20).as_bytes()));
    std::thread::sleep(Duration::from_millis(200));
    let mut child = desk
        .command(&APPLY)
        .arg("--json")
        .stdout(writer.try_clone().unwrap())
        .stderr(writer)
        .spawn()
        .unwrap();
    let began = Instant::now();
    while desk.status()["run"] != "complete" {
        assert!(began.elapsed() < Duration::from_secs(60), "it waits");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!filling.is_finished());
    // Who reads in the end has not missed anything.
    let mut read = String::new();
    reader.read_to_string(&mut read).unwrap();
    assert!(
        read.contains("\"finished\"") && read.contains("summary"),
        "{read}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_journal_has_one_holder_by_whatever_name_it_is_called() {
    let desk = Desk::new();
    let first = desk.begin(1);
    desk.wait_for(2);
    check(&desk, &["pause", "--reason", "a test"], 0, &["paused"]);
    std::os::unix::fs::symlink("state/journal.db", desk.path("other.db")).unwrap();
    let status = desk.run(&["status", "--json", "--journal", "other.db"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["run"], "running");
    let other = ["resume", "--journal", "other.db"];
    check(&desk, &other, 0, &["the pause is lifted", "goes on"]);
    std::fs::remove_file(desk.path("state/journal.db.lock")).unwrap();
    let handed = ["handed to the executor at work", "lock file is gone"];
    check(&desk, &APPLY, 0, &handed);
    assert_eq!(first.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_pause_that_nobody_would_see_is_refused_and_one_before_the_first_run_can_be_lifted() {
    let desk = Desk::new();
    check(&desk, &["pause"], 0, &["paused"]);
    check(&desk, &["resume"], 0, &["the pause is lifted"]);
    check(&desk, &["resume"], 2, &["there is no run"]);
    std::os::unix::fs::symlink("state/journal.db", desk.path("other.db")).unwrap();
    let other = [&APPLY[..], &["--journal", "other.db"]].concat();
    check(&desk, &other, 2, &["other.db is a link to nothing"]);
    check(&desk, &APPLY, 0, &[]);
    std::fs::write(desk.path("other.db.inhibit"), "a person").unwrap();
    check(&desk, &other, 2, &["holds nothing", "journal.db.inhibit"]);
}

#[test]
fn a_pause_that_cannot_be_read_holds_too() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("state")).unwrap();
    std::fs::write(desk.path("state/journal.db.inhibit"), b"St\xf6rung").unwrap();
    let mut child = desk.begin(1000);
    desk.wait_for(1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(desk.events(), 1);
    let paused = desk.status()["paused"].to_string();
    assert!(paused.contains("rung"), "{paused}");
    std::fs::remove_file(desk.path("state/journal.db.inhibit")).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_journal_that_cannot_be_written_starts_nothing() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("state")).unwrap();
    std::fs::write(
        desk.path("state/journal.db"),
        "this is no database, though it is long enough to be taken for one",
    )
    .unwrap();
    check(&desk, &APPLY, 3, &["journal.db: file is not a database"]);
    let full = Path::new("/dev/full");
    check(
        &desk,
        &[&APPLY[..], &["--journal", &full.display().to_string()]].concat(),
        9,
        &["error: "],
    );
}

#[test]
fn what_is_no_journal_is_refused_and_left_as_it_is() {
    let desk = Desk::new();
    let other = rusqlite::Connection::open(desk.path("theirs.db")).unwrap();
    other.execute_batch("CREATE TABLE note (text)").unwrap();
    drop(other);
    let before = std::fs::read(desk.path("theirs.db")).unwrap();
    let apply = [&APPLY[..], &["--journal", "theirs.db"]].concat();
    check(&desk, &apply, 3, &["is a database of something else"]);
    assert_eq!(std::fs::read(desk.path("theirs.db")).unwrap(), before);
    assert!(!desk.path("theirs.db.lock").exists());
    std::fs::write(desk.path("empty.db"), "").unwrap();
    check(&desk, &["status", "--journal", "empty.db"], 0, &["no run"]);
    assert_eq!(std::fs::read(desk.path("empty.db")).unwrap(), b"");
    let twice = ["apply", "-", "--cluster", "-", "--simulated", "--yes"];
    check(&desk, &twice, 2, &["given twice"]);
}

#[test]
fn what_was_broken_beside_a_run_is_bad_input() {
    let desk = Desk::new();
    let first = desk.begin(1);
    desk.wait_for(2);
    signal(&first, "INT");
    assert_eq!(told(&first.wait_with_output().unwrap()).0, 7);
    let world = "state/journal.db.world.yaml";
    desk.edit(world, "kind: Cluster", "kind: Clutter");
    check(&desk, &["resume"], 3, &["journal.db.world.yaml:2:7: "]);
    rusqlite::Connection::open(desk.path("state/journal.db"))
        .and_then(|c| c.execute_batch("PRAGMA foreign_keys = OFF; DELETE FROM event WHERE seq = 1"))
        .unwrap();
    for command in ["status", "resume"] {
        check(&desk, &[command], 3, &["row 1 cannot be read"]);
    }
}

#[test]
fn every_command_teaches_by_examples() {
    let desk = Desk::new();
    for command in [
        "snapshot",
        "apply",
        "resume",
        "status",
        "abort",
        "completions",
    ] {
        check(
            &desk,
            &[command, "--help"],
            0,
            &[&format!("Examples:\n  vmpack-executor {command}")],
        );
    }
    check(&desk, &["completions", "bash"], 0, &["complete -F"]);
    check(&desk, &["docs", "man"], 0, &[]);
    assert!(desk.path("man/vmpack-executor-apply.1").is_file());
    check(&desk, &["aply"], 2, &["unrecognized subcommand"]);
}
