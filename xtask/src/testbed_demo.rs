//! `cargo xtask testbed demo`: measure, plan, migrate, on real libvirt hosts with real QEMU guests,
//! and judge by the guests' own heartbeats what came of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::binaries::Binaries;
use xtask::command::{read, run};
use xtask::testbed::{self, Config, Heartbeats, Life, Load, Testbed, judge};

use crate::testbed_commands::{beside, end_on_signal, unless_ended_by_signal};

/// Two idle guests, two that compute, two that rewrite memory: together less than one host's CPUs.
/// Guests go round the hosts, so the third host is the busiest and has least reason to be emptied.
const LOADS: [(&str, Load); 6] = [
    ("g1", load(0, 20, 32)),
    ("g2", load(0, 0, 0)),
    ("g3", load(25, 0, 0)),
    ("g4", load(0, 0, 0)),
    ("g5", load(10, 8, 16)),
    ("g6", load(20, 0, 0)),
];

const fn load(cpu_percent: u32, dirty_mib_per_s: u32, working_set_mib: u32) -> Load {
    Load {
        cpu_percent,
        dirty_mib_per_s,
        working_set_mib,
    }
}

const RECORD_SECONDS: u32 = 10;

/// Runs the demo in a directory of its own, and leaves nothing running unless asked to.
pub(crate) fn demo(directory: Option<PathBuf>, keep: bool) -> Result<()> {
    let binaries = Binaries::build()?;
    let defaults = Config::default();
    let config = Config {
        directory: directory.unwrap_or_else(|| beside(&defaults.directory, "-demo")),
        beat_ms: 20,
        ..defaults
    };
    end_on_signal(&config.directory)?;
    // What a killed demo may have left.
    testbed::down(&config.directory)?;
    let shown = unless_ended_by_signal(show(&binaries, &config));
    if keep {
        eprintln!(
            "kept; `cargo xtask testbed --dir {} down` ends it",
            config.directory.display()
        );
        return shown;
    }
    let ended = testbed::down(&config.directory);
    shown?;
    ended?;
    let left = testbed::processes_of(&config.directory)?;
    if !left.is_empty() {
        bail!("processes are left after the end: {left:?}");
    }
    println!("the testbed is gone: no process, namespace or mount of it is left");
    Ok(())
}

fn show(binaries: &Binaries, config: &Config) -> Result<()> {
    step("three libvirt hosts and six guests under QEMU");
    let testbed = Testbed::up(config)?;
    for (guest, load) in LOADS {
        testbed.steer(guest, load)?;
    }
    let before = hosts_in_use(&testbed);
    show_hosts(&testbed);

    let files = Files::below(config)?;
    step("vmpack-executor snapshot: what libvirt says");
    snapshot(binaries, &testbed, &files)?;
    step(&format!(
        "vmpack-probe record, {RECORD_SECONDS} s on every host at once: what the guests demand"
    ));
    let loads = record(binaries, &testbed, &files)?;
    step("vmpack plan: the fewest hosts and the way there");
    let mut plan = binaries.command("vmpack");
    plan.args(["plan", "--cluster"]).arg(&files.cluster);
    for load in &loads {
        plan.arg("--load").arg(load);
    }
    fs::write(&files.policy, POLICY)
        .with_context(|| format!("cannot write {}", files.policy.display()))?;
    plan.arg("--policy").arg(&files.policy);
    run(plan.arg("--output").arg(&files.plan))?;

    step("vmpack-executor apply: real post-copy migrations");
    let heartbeats: BTreeMap<&str, Heartbeats> = testbed
        .guests
        .iter()
        .map(|guest| Ok((guest.name.as_str(), testbed.heartbeats(&guest.name)?)))
        .collect::<Result<_>>()?;
    std::thread::sleep(Duration::from_secs(1));
    let mut apply = executor(binaries, &files);
    apply
        .arg("apply")
        .arg(&files.plan)
        .arg("--cluster")
        .arg(&files.cluster)
        .arg("--yes");
    let applied = run(&mut apply);
    std::thread::sleep(Duration::from_secs(2));

    step("what came of it");
    show_hosts(&testbed);
    let moves = moves(binaries, &files)?;
    let complaints = tell(&testbed, &heartbeats, &moves);
    let after = hosts_in_use(&testbed);
    println!("hosts in use: {before} before, {after} after");
    println!(
        "plan: {}, journal: {}",
        files.plan.display(),
        files.journal.display()
    );
    applied?;
    if !complaints.is_empty() {
        bail!("{}", complaints.join("; "));
    }
    if after >= before {
        bail!("nothing was packed: {after} hosts are still in use");
    }
    Ok(())
}

/// What the demo is to show: nobody's dirty rate is measured there, and by itself such a guest would
/// move by hybrid migration.
const POLICY: &str = "apiVersion: vmpack/v1\nkind: Policy\nmigrations: { mode: post-copy }\n";

/// The files of the demo; they outlive the testbed.
struct Files {
    directory: PathBuf,
    cluster: PathBuf,
    policy: PathBuf,
    plan: PathBuf,
    journal: PathBuf,
}

impl Files {
    fn below(config: &Config) -> Result<Files> {
        let directory = std::path::absolute(beside(&config.directory, "-files"))?;
        if directory.exists() {
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot remove {}", directory.display()))?;
        }
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        Ok(Files {
            cluster: directory.join("cluster.yaml"),
            policy: directory.join("policy.yaml"),
            plan: directory.join("plan.yaml"),
            journal: directory.join("journal.db"),
            directory,
        })
    }
}

fn executor(binaries: &Binaries, files: &Files) -> std::process::Command {
    let mut executor = binaries.command("vmpack-executor");
    executor.arg("--journal").arg(&files.journal);
    executor
}

fn snapshot(binaries: &Binaries, testbed: &Testbed, files: &Files) -> Result<()> {
    let mut snapshot = executor(binaries, files);
    snapshot.arg("snapshot");
    for host in &testbed.hosts {
        snapshot.args(["--uri", &format!("{}={}", host.uri, host.migrate_uri)]);
    }
    run(snapshot.arg("--output").arg(&files.cluster))
}

/// Records on all hosts at once, inside each, as the probe would run there.
fn record(binaries: &Binaries, testbed: &Testbed, files: &Files) -> Result<Vec<PathBuf>> {
    let seconds = RECORD_SECONDS.to_string();
    let mut probes = Vec::new();
    for host in &testbed.hosts {
        let load = files.directory.join(format!("load-{}.yaml", host.name));
        let mut probe = host.exec([binaries.path("vmpack-probe")]);
        probe
            .args(["record", "--dirty", "--seconds", &seconds, "--output"])
            .arg(&load);
        // Shown one after the other once all are done.
        probe.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = probe.spawn().context("cannot start the probe")?;
        probes.push((host, load, child));
    }
    let mut loads = Vec::new();
    for (host, load, child) in probes {
        let output = child.wait_with_output()?;
        print!("{}", String::from_utf8_lossy(&output.stdout));
        if !output.status.success() {
            let talk = String::from_utf8_lossy(&output.stderr);
            bail!(
                "the probe failed on {}: {}\n{talk}",
                host.name,
                output.status
            );
        }
        loads.push(load);
    }
    Ok(loads)
}

/// A move as the executor's journal tells it.
#[derive(Debug, Deserialize)]
struct Move {
    guest: String,
    from: String,
    to: String,
    mode: String,
    switch_seconds: Option<f64>,
    total_seconds: Option<f64>,
}

fn moves(binaries: &Binaries, files: &Files) -> Result<BTreeMap<String, Move>> {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default)]
        moves: Vec<Move>,
    }
    let text = read(executor(binaries, files).args(["status", "--json"]))?;
    let status: Status = serde_json::from_str(&text)
        .with_context(|| format!("cannot read what the executor's status says: {text}"))?;
    Ok(status
        .moves
        .into_iter()
        .map(|line| (line.guest.clone(), line))
        .collect())
}

/// A line for each guest; gives back what is wrong with any of them.
fn tell(
    testbed: &Testbed,
    heartbeats: &BTreeMap<&str, Heartbeats>,
    moves: &BTreeMap<String, Move>,
) -> Vec<String> {
    println!(
        "{:6} {:10} {:9} {:>8} {:>8} {:>11} {:>7} {:>9} {:>15}",
        "GUEST",
        "MOVE",
        "MODE",
        "SWITCH",
        "TOTAL",
        "LONGEST GAP",
        "BEATS",
        "RESTARTED",
        "BAD PAGES"
    );
    let seconds = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |s| format!("{s:.2} s"));
    let mut complaints = Vec::new();
    for (&guest, heartbeats) in heartbeats {
        let beats = heartbeats.beats();
        let life = judge(&beats);
        let pages = beats.last().map_or(0, |beat| beat.pages);
        let (way, mode, switch, total) = match moves.get(guest) {
            Some(line) => (
                format!("{} -> {}", line.from, line.to),
                line.mode.as_str(),
                seconds(line.switch_seconds),
                seconds(line.total_seconds),
            ),
            None => ("stays".to_owned(), "-", "-".to_owned(), "-".to_owned()),
        };
        println!(
            "{guest:6} {way:10} {mode:9} {switch:>8} {total:>8} {:>8} ms {:>7} {:>9} {:>15}",
            life.longest_gap.as_millis(),
            life.beats,
            if life.restarted { "YES" } else { "never" },
            format!("{} of {pages}", life.bad_pages),
        );
        let last = beats.last().map(|beat| beat.at.elapsed());
        complaints.extend(complaints_about(guest, &life, last));
        if let Err(error) = testbed.locate(guest) {
            complaints.push(error.to_string());
        }
    }
    complaints
}

fn complaints_about(guest: &str, life: &Life, silent_for: Option<Duration>) -> Option<String> {
    if silent_for.is_none_or(|time| time > Duration::from_secs(1)) {
        return Some(format!("{guest} has no heartbeat any more"));
    }
    if life.restarted {
        return Some(format!("{guest} was restarted"));
    }
    if life.bad_pages > 0 {
        return Some(format!("{guest} found {} damaged pages", life.bad_pages));
    }
    None
}

fn hosts_in_use(testbed: &Testbed) -> usize {
    testbed
        .hosts
        .iter()
        .filter(|host| {
            testbed
                .running_on(host)
                .is_none_or(|guests| !guests.is_empty())
        })
        .count()
}

fn show_hosts(testbed: &Testbed) {
    for host in &testbed.hosts {
        let guests = testbed.running_on(host).unwrap_or_default();
        println!(
            "  {}: {}",
            host.name,
            if guests.is_empty() {
                "-".to_owned()
            } else {
                guests.join(" ")
            }
        );
    }
}

fn step(title: &str) {
    println!("\n== {title}");
}
