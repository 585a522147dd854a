//! `vmpack-executor watch` and `run` beside probes that are made up, on the simulated hosts.

mod fleet;
mod wake;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use vmpack_domain::{GuestName, HostName};

use crate::executor::{Desk, told};
use fleet::{Fleet, read};

/// So many pairs of hosts of 10 cores: one with five guests of 4 vCPUs, one empty.
fn pairs(count: usize) -> String {
    let mut text = "apiVersion: vmpack/v1\nkind: Cluster\nhosts:\n".to_owned();
    for h in 0..2 * count {
        let _ = writeln!(
            text,
            "  - {{ name: h{h}, cpu: 10cores, memory: 32GiB, network: 1000MiB/s, state: on }}"
        );
    }
    text += "guests:\n";
    for g in 0..5 * count {
        let host = g / 5 * 2;
        let _ = writeln!(
            text,
            "  - {{ name: g{g}, vcpus: 4, memory: 2GiB, host: h{host} }}"
        );
    }
    text
}

/// A watch at work, killed when it is dropped.
struct Watched<'a> {
    desk: &'a Desk,
    child: Child,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The arguments that tell it where the probes are.
fn places(fleet: &Fleet) -> Vec<String> {
    let place = |(host, address): (&HostName, &std::net::SocketAddr)| {
        ["--probe".to_owned(), format!("{host}=http://{address}")]
    };
    fleet.addresses.iter().flat_map(place).collect()
}

fn begin<'a>(desk: &'a Desk, fleet: &Fleet, arguments: &[&str]) -> Watched<'a> {
    let places = places(fleet);
    let places: Vec<&str> = places.iter().map(String::as_str).collect();
    begin_with(desk, arguments, &places)
}

fn begin_with<'a>(desk: &'a Desk, arguments: &[&str], places: &[&str]) -> Watched<'a> {
    let mut command: Command = desk.command(arguments);
    command
        .args([
            "--cluster",
            "cluster.yaml",
            "--policy",
            "policy.yaml",
            "--json",
        ])
        .args(places)
        .stdout(Stdio::null())
        .stderr(Stdio::inherit());
    let child = command.spawn().unwrap();
    Watched { desk, child }
}

impl Watched<'_> {
    /// Waits until the log has what is asked for.
    fn until(&self, what: &str, there: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let log = audit(self.desk);
            if there(&log) {
                return log;
            }
            let mut events = BTreeMap::new();
            for line in &log {
                *events.entry(line["event"].to_string()).or_insert(0) += 1;
            }
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "never: {what}; {events:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it as a service is ended.
    fn end(mut self) {
        let kill = format!("kill -TERM {}", self.child.id());
        assert!(
            Command::new("sh")
                .args(["-c", &kill])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.child.wait().unwrap().success());
    }
}

/// The lines of the log so far; each must be whole.
fn audit(desk: &Desk) -> Vec<Value> {
    let text = std::fs::read_to_string(desk.path("state/audit.jsonl")).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect()
}

fn count(log: &[Value], event: &str) -> usize {
    log.iter().filter(|l| l["event"] == event).count()
}

/// Where the simulated world has its guests.
fn placement(desk: &Desk) -> BTreeMap<GuestName, HostName> {
    read(&desk.path("state/journal.db.world.yaml"))
        .unwrap()
        .placement()
}

fn desk(pairs_of_hosts: usize, policy: &str) -> (Desk, Fleet) {
    let desk = Desk::new();
    std::fs::write(desk.path("cluster.yaml"), pairs(pairs_of_hosts)).unwrap();
    let policy = format!("apiVersion: vmpack/v1\nkind: Policy\n{policy}");
    std::fs::write(desk.path("policy.yaml"), policy).unwrap();
    let world = desk.path("state/journal.db.world.yaml");
    let fleet = Fleet::of(&desk.path("cluster.yaml"), world);
    (desk, fleet)
}

const AUTO: [&str; 6] = ["watch", "--mode", "auto", "--simulated", "--speed-up", "3"];

/// Three guests of the pair's first host want all their vCPUs: with the others 14 of its 10 cores.
fn surge(fleet: &Fleet, pair: usize) {
    for guest in 0..3 {
        fleet.want(&format!("g{}", 5 * pair + guest), 4000);
    }
}

#[test]
fn a_watch_killed_in_the_middle_of_a_relief_is_followed_by_the_next() {
    let (desk, fleet) = desk(1, "");
    let first = begin(&desk, &fleet, &AUTO);
    surge(&fleet, 0);
    first.until("a guest has switched", |log| count(log, "switched") > 0);
    // SIGKILL: its memory is still on two hosts.
    drop(first);
    let log = audit(&desk);
    let before = count(&log, "ended");
    assert_eq!(before, 0, "it was killed too late: {log:#?}");

    let next = begin(&desk, &fleet, &AUTO);
    let log = next.until("both guests are whole", |log| {
        log.iter()
            .filter(|l| l["event"] == "ended" && l["moved"] == true)
            .count()
            >= 2
    });
    next.end();
    assert_eq!(count(&log, "oscillates"), 0);
    let placed = placement(&desk);
    assert_eq!(placed.len(), 5, "no guest is lost: {placed:?}");
    let moved = placed.values().filter(|h| h.as_str() == "h1").count();
    assert_eq!(moved, 2, "each guest moved once: {placed:?}");
    let text = std::fs::read_to_string(desk.path("state/audit.jsonl")).unwrap();
    assert_eq!(text.matches("\"event\":\"began\"").count(), 2);
}

#[test]
fn guests_that_come_and_go_are_taken_from_the_cluster_file_when_it_changes() {
    let (desk, fleet) = desk(1, "");
    let watched = begin(&desk, &fleet, &["watch"]);
    watched.until("it hears", |log| count(log, "began") > 0);
    let file = desk.path("cluster.yaml");
    let whole = std::fs::read_to_string(&file).unwrap();
    // What it cannot read, or cannot take in, it says once and goes on as before.
    for (number, (text, says)) in [
        ("hosts: [".to_owned(), "cluster.yaml"),
        (whole.replace("name: h1,", "name: h9,"), "restart"),
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&file, text).unwrap();
        let log = watched.until("it says so", |log| count(log, "unchanged") > number);
        let why = log.last().unwrap()["why"].as_str().unwrap();
        assert!(why.contains(says), "{why}");
    }
    std::fs::write(&file, whole.replace("name: g4,", "name: new,")).unwrap();
    let log = watched.until("it takes it in", |log| count(log, "cluster") > 0);
    watched.end();
    let taken = log.iter().find(|l| l["event"] == "cluster").unwrap();
    assert_eq!(taken["guests"], 5);
    assert_eq!(taken["came"], serde_json::json!(["new"]));
    assert_eq!(taken["gone"], serde_json::json!(["g4"]));
    assert_eq!(count(&log, "unchanged"), 2, "{log:#?}");
}

#[test]
fn a_probe_of_another_host_and_numbers_that_cannot_be_are_not_believed() {
    let (desk, fleet) = desk(1, "");
    fleet.want("g0", u64::MAX);
    let swapped = |host: &str, of: &str| {
        let of: HostName = of.parse().unwrap();
        format!("{host}=http://{}", fleet.addresses[&of])
    };
    let (h0, h1) = (swapped("h0", "h0"), swapped("h1", "h0"));
    let watched = begin_with(&desk, &["watch"], &["--probe", &h0, "--probe", &h1]);
    let whys = |log: &[Value]| -> Vec<String> {
        let silent = log.iter().filter(|l| l["event"] == "silent");
        silent.map(|l| l["why"].to_string()).collect()
    };
    let log = watched.until("both are silent", |log| {
        let all = whys(log).join("\n");
        all.contains("it is the probe of host h0") && all.contains("what cannot be of guest g0")
    });
    watched.end();
    assert_eq!(count(&log, "decided"), 0);
}

#[test]
fn what_a_simulation_began_is_not_carried_on_on_real_hosts() {
    let (desk, fleet) = desk(1, "");
    let first = begin(&desk, &fleet, &AUTO);
    surge(&fleet, 0);
    first.until("a guest has switched", |log| count(log, "switched") > 0);
    drop(first);
    let inputs = ["--cluster", "cluster.yaml", "--policy", "policy.yaml"];
    let mut real = desk.command(&["watch", "--mode", "auto"]);
    let ended = real.args(inputs).args(places(&fleet)).output().unwrap();
    assert_eq!(ended.status.code(), Some(9));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("it is a simulation"), "{said}");
}

#[test]
fn a_journal_that_cannot_be_written_ends_the_watch_which_could_carry_nothing_out() {
    let (desk, fleet) = desk(1, "");
    let mut watched = begin(&desk, &fleet, &AUTO);
    watched.until("it hears", |log| count(log, "began") > 0);
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).unwrap();
    // As a disk does that is full; only the first orders come to it.
    let full = "CREATE TRIGGER full BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END";
    journal.execute_batch(full).unwrap();
    surge(&fleet, 0);
    let log = watched.until("it ends", |log| count(log, "ended-watch") > 0);
    assert_eq!(log.last().unwrap()["why"], "the holder has ended");
    assert_eq!(watched.child.wait().unwrap().code(), Some(9));
    assert_eq!(count(&log, "decided"), 1, "{log:#?}");
    assert_eq!(count(&log, "switched"), 0);
}

#[test]
fn a_hundred_surges_at_once_are_all_relieved() {
    let (desk, fleet) = desk(100, "relief: { moves-per-minute: 1000 }\n");
    let watched = begin(&desk, &fleet, &AUTO);
    watched.until("it hears", |log| count(log, "began") > 0);
    std::thread::sleep(Duration::from_millis(500));
    for pair in 0..100 {
        for guest in 0..2 {
            fleet.want(&format!("g{}", 5 * pair + guest), 4000);
        }
    }
    let log = watched.until("a hundred hosts are relieved", |log| {
        count(log, "relieved") >= 100
    });
    watched.end();
    for event in ["refused", "oscillates"] {
        assert_eq!(count(&log, event), 0, "{event}");
    }
    let failed = log
        .iter()
        .filter(|l| l["event"] == "ended" && l["moved"] == false);
    assert_eq!(failed.count(), 0);
    let placed = placement(&desk);
    assert_eq!(placed.len(), 500, "no guest is lost");
    let host = |pair: usize, odd: usize| format!("h{}", 2 * pair + odd);
    for pair in 0..100 {
        let heavy = (0..2).map(|g| format!("g{}", 5 * pair + g).parse::<GuestName>().unwrap());
        let on = heavy
            .filter(|g| placed[g].as_str() == host(pair, 0))
            .count();
        assert!(
            on <= 1,
            "pair {pair}: both guests that surged are where they were"
        );
    }
}

#[test]
fn relief_goes_before_a_consolidation_that_is_under_way() {
    // Pre-copy, which can be called off before it has switched.
    let (desk, fleet) = desk(2, "");
    let plan = std::fs::read_to_string(desk.path("plan.yaml")).unwrap();
    let (head, _) = plan.split_once("hosts:").unwrap();
    let plan = format!(
        "{head}hosts: {{ before: [h0, h2], after: [h0, h2, h1] }}\n\
         target: {{ g0: h0, g1: h0, g2: h0, g3: h0, g4: h1, g5: h2, g6: h2, g7: h2, g8: h2, g9: h2 }}\n\
         moves:\n  - {{ id: m1, guest: g4, from: h0, to: h1, mode: pre-copy, memory: 2GiB, vcpus: 4,\n      \
         demand: 1cores, bandwidth: 10MiB/s, start: 0s, duration: 300s, reason: test }}\n"
    );
    std::fs::write(desk.path("plan.yaml"), plan).unwrap();
    let watched = begin(&desk, &fleet, &AUTO);
    watched.until("it hears", |log| count(log, "began") > 0);
    let apply = [
        "apply",
        "plan.yaml",
        "--cluster",
        "cluster.yaml",
        "--simulated",
        "--yes",
    ];
    let mut apply = desk.command(&apply).stdout(Stdio::null()).spawn().unwrap();
    // Accepted and intended.
    desk.wait_for(2);
    surge(&fleet, 0);
    let log = watched.until("h0 is relieved", |log| count(log, "relieved") > 0);
    assert!(count(&log, "switched") >= 2, "{log:#?}");
    // It was called off, and not made before the relief was.
    let called_off = "SELECT count(*) FROM event WHERE run = 1 AND event LIKE '%interrupted%'";
    let journal = rusqlite::Connection::open(desk.path("state/journal.db")).unwrap();
    let called_off: i64 = journal.query_row(called_off, [], |r| r.get(0)).unwrap();
    assert_eq!(called_off, 1);
    assert_eq!(
        placement(&desk)[&"g4".parse::<GuestName>().unwrap()].as_str(),
        "h0"
    );
    // Asked to end it would bring the plan's move to its end first, which takes minutes.
    drop(watched);
    // It may have ended without the holder.
    let _ = apply.kill();
    apply.wait().unwrap();
}

#[test]
fn the_modes_that_do_not_act_say_why_they_would() {
    for mode in ["observe", "recommend"] {
        let (desk, fleet) = desk(1, "");
        let watched = begin(&desk, &fleet, &["watch", "--mode", mode]);
        surge(&fleet, 0);
        let log = watched.until("a decision", |log| count(log, "decided") > 0);
        std::thread::sleep(Duration::from_millis(300));
        watched.end();
        let decided = log.iter().find(|l| l["event"] == "decided").unwrap();
        assert_eq!(decided["carried_out"], false);
        let relief = &decided["relief"];
        assert!(
            relief["reasons"][0].as_str().unwrap().starts_with("seen:"),
            "{relief:#}"
        );
        // Two will have to go; the first goes alone.
        assert_eq!(relief["moves"].as_array().unwrap().len(), 1, "{relief:#}");
        let left = relief["left"][0]["why"].as_str().unwrap();
        assert!(left.contains("first moments"), "{relief:#}");
        assert!(
            relief["moves"][0]["reason"]
                .as_str()
                .is_some_and(|r| r.contains("h0"))
        );
        assert!(
            !desk.path("state/journal.db").exists(),
            "nothing was carried out"
        );
        let plan = desk.path("state/recommended.yaml");
        assert_eq!(plan.exists(), mode == "recommend");
        if plan.exists() {
            let plan = plan.display().to_string();
            let apply = [
                "apply",
                &plan,
                "--cluster",
                "cluster.yaml",
                "--simulated",
                "--yes",
            ];
            let (code, out, err) = told(&desk.run(&apply));
            assert_eq!(code, 0, "what is recommended can be applied: {out}{err}");
        }
    }
}

#[test]
fn a_probe_that_falls_silent_makes_its_host_unknown_until_it_speaks() {
    let (desk, fleet) = desk(1, "");
    let watched = begin(&desk, &fleet, &AUTO);
    watched.until("it hears", |log| count(log, "began") > 0);
    std::thread::sleep(Duration::from_millis(300));
    fleet.silence("h1", true);
    watched.until("h1 is silent", |log| count(log, "silent") > 0);
    surge(&fleet, 0);
    let log = watched.until("a decision", |log| count(log, "decided") > 0);
    let decided = log.iter().find(|l| l["event"] == "decided").unwrap();
    // Nobody knows what goes on at the only other host.
    assert_eq!(decided["relief"]["moves"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(decided["relief"]["left"][0]["host"], "h0");
    fleet.silence("h1", false);
    watched.until("h0 is relieved", |log| count(log, "relieved") > 0);
    watched.end();
}
