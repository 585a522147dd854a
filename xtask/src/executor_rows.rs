//! `cargo xtask bench executor`: the executor on real QEMU guests of the testbed (as root), on the
//! simulated hypervisor, and killed after every event.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xtask::binaries::Binaries;
use xtask::command::{read, run};
use xtask::target_directory;
use xtask::testbed::{Config, Heartbeats, Load, Testbed, judge};

use crate::row::Shown;
use crate::testbed_commands::for_a_while;

/// Migrations of one guest to and fro; one more, as an even number would lead to where it began.
const TO_AND_FRO: usize = 101;
/// Simulated seconds per second in the run of a thousand migrations.
const SPEED_UP: u32 = 4;

/// The parts that can be measured by themselves.
const PARTS: [&str; 4] = ["testbed", "link", "makespan", "kills"];

/// Prints the rows of those parts, or of all.
pub(crate) fn rows(parts: &[String], json: bool) -> Result<()> {
    if let Some(unknown) = parts.iter().find(|p| !PARTS.contains(&p.as_str())) {
        bail!("no part {unknown}, there are {}", PARTS.join(", "));
    }
    let chosen = |name: &str| parts.is_empty() || parts.iter().any(|p| p == name);
    let binaries = Binaries::build()?;
    let folder = target_directory().join("bench-executor");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let desk = Desk {
        binaries,
        folder: std::path::absolute(folder)?,
        json,
    };
    if chosen("kills") {
        desk.kills()?;
    }
    if chosen("makespan") {
        desk.makespan()?;
    }
    if chosen("testbed") || chosen("link") {
        let config = Config {
            directory: target_directory().join("testbed-bench"),
            hosts: 2,
            guests: 2,
            beat_ms: 10,
            ..Config::default()
        };
        for_a_while(&config, |testbed| {
            if chosen("testbed") {
                desk.to_and_fro(testbed)?;
            }
            if chosen("link") {
                desk.narrow_link(testbed)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

struct Desk {
    binaries: Binaries,
    folder: PathBuf,
    json: bool,
}

/// The summary at the end of `apply --json`.
#[derive(Debug, Deserialize)]
struct Summary {
    moves: Vec<Told>,
    planned_seconds: f64,
    bound_seconds: f64,
}

#[derive(Debug, Deserialize)]
struct Told {
    from: String,
    to: String,
    state: String,
    switch_seconds: Option<f64>,
    total_seconds: Option<f64>,
}

/// What one run of `apply` came to.
struct Run {
    summary: Summary,
    /// What it said on standard error.
    talk: String,
    /// From the first intent to the last guest that had moved, by this machine's clock.
    makespan: Duration,
}

impl Desk {
    fn show(&self, what: &str, value: f64, unit: &'static str, most: Option<f64>) -> Result<()> {
        let row = Shown {
            what: what.to_owned(),
            value: (value * 10_000.0).round() / 10_000.0,
            unit,
            target: most.map_or("-".to_owned(), |most| format!("<= {most}")),
            ok: most.is_none_or(|most| value <= most),
        };
        row.print(self.json)
    }

    /// That many of so many.
    fn show_all(&self, what: &str, value: usize, of: usize) -> Result<()> {
        let row = Shown {
            what: what.to_owned(),
            value: number(value),
            unit: "",
            target: format!(">= {of}"),
            ok: value >= of,
        };
        row.print(self.json)
    }

    /// Carries a plan out with a journal of its own.
    fn apply(&self, name: &str, plan: &Path, cluster: &Path, more: &[&str]) -> Result<Run> {
        let errors = self.folder.join(format!("{name}.log"));
        let log = fs::File::create(&errors)
            .with_context(|| format!("cannot write {}", errors.display()))?;
        let mut apply = self.binaries.command("vmpack-executor");
        apply
            .args(["-v", "--json", "--journal"])
            .arg(self.folder.join(format!("{name}.db")))
            .arg("apply")
            .arg(plan)
            .arg("--cluster")
            .arg(cluster)
            .arg("--yes")
            .args(more)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = apply.spawn().context("cannot start vmpack-executor")?;
        let out = child.stdout.take().context("its standard output")?;
        let (mut first, mut last, mut summary) = (None, None, None);
        for line in BufReader::new(out).lines() {
            let line = line?;
            let now = Instant::now();
            if line.contains("\"event\":\"intended\"") {
                first = first.or(Some(now));
            } else if line.contains("\"event\":\"moved\"") {
                last = Some(now);
            } else if line.contains("\"event\":\"summary\"") {
                summary = Some(serde_json::from_str(&line).context("the summary")?);
            }
        }
        child.wait()?;
        let talk = fs::read_to_string(&errors)?;
        let Some(summary) = summary else {
            bail!("vmpack-executor gave no summary:\n{talk}");
        };
        let makespan = last.zip(first).map(|(l, f)| l.saturating_duration_since(f));
        Ok(Run {
            summary,
            talk,
            makespan: makespan.unwrap_or_default(),
        })
    }

    fn snapshot(&self, testbed: &Testbed) -> Result<PathBuf> {
        let cluster = self.folder.join("testbed.yaml");
        let mut snapshot = self.binaries.command("vmpack-executor");
        snapshot.arg("snapshot");
        for host in &testbed.hosts {
            snapshot.args(["--uri", &format!("{}={}", host.uri, host.migrate_uri)]);
        }
        read(snapshot.arg("--output").arg(&cluster))?;
        Ok(cluster)
    }

    /// A plan that moves the guest to and fro so often, from the first host.
    fn plan(
        &self,
        name: &str,
        moves: usize,
        (mode, rate, share): (&str, &str, &str),
    ) -> Result<PathBuf> {
        let path = self.folder.join(name);
        let ends = |at: usize| match at % 2 {
            0 => ("A", "B"),
            _ => ("B", "A"),
        };
        let (_, end) = ends(moves - 1);
        let each = (0..moves).map(|at| {
            let (from, to) = ends(at);
            format!(
                "  - {{ id: m{:03}, guest: g1, from: {from}, to: {to}, mode: {mode}, memory: 128MiB, vcpus: 1, \
                 demand: 0.1cores, bandwidth: {rate}, start: {at}s, duration: 1s, reason: bench }}\n",
                at + 1
            )
        });
        let text = format!(
            "apiVersion: vmpack/v1\nkind: Plan\nbase: {{ cluster: 'sha256:0', load: 'sha256:0' }}\n\
             policy: {{ migrations: {{ canary: 0, fault-share: {share} }} }}\nstatus: feasible\n\
             claim: {{ objective: 1, bound: 0, origin: bench, hosts-bound: 0 }}\n\
             move-claim: {{ objective: 0MiB, bound: 0MiB, origin: bench }}\n\
             time-claim: {{ objective: {moves}s, bound: 0s, origin: bench }}\n\
             hosts: {{ before: [A, B], after: [A, B] }}\ntarget: {{ g1: {end} }}\nmoves:\n{}",
            each.collect::<String>()
        );
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Puts the testbed's hosts in a plan's place, the one that has g1 first.
    fn on(&self, testbed: &Testbed, plan: &Path) -> Result<()> {
        let at = testbed.locate("g1")?.name.clone();
        let other = testbed.hosts.iter().find(|h| h.name != at);
        let other = other.context("a second host")?.name.clone();
        let text = fs::read_to_string(plan)?;
        let name = |text: &str, place: &str, host: &str| {
            let ends = [
                (format!("from: {place},"), format!("from: {host},")),
                (format!("to: {place},"), format!("to: {host},")),
                (format!("g1: {place} "), format!("g1: {host} ")),
            ];
            ends.iter()
                .fold(text.to_owned(), |t, (a, b)| t.replace(a, b))
        };
        let text = name(&name(&text, "A", &at), "B", &other);
        fs::write(plan, text.replace("[A, B]", &format!("[{at}, {other}]")))?;
        Ok(())
    }

    /// The guest's gaps at the switches, once the last beats are in.
    fn gaps(heartbeats: &Heartbeats) -> (Vec<f64>, f64) {
        std::thread::sleep(Duration::from_secs(2));
        let life = judge(&heartbeats.beats());
        let gaps = life.switch_gaps.iter().map(Duration::as_secs_f64);
        (gaps.collect(), life.longest_gap.as_secs_f64())
    }

    /// An idle guest of 128 MiB, by post-copy at once.
    fn to_and_fro(&self, testbed: &Testbed) -> Result<()> {
        let cluster = self.snapshot(testbed)?;
        let plan = self.plan(
            "to-and-fro.yaml",
            TO_AND_FRO,
            ("post-copy", "1000MiB/s", "0%"),
        )?;
        self.on(testbed, &plan)?;
        let heartbeats = testbed.heartbeats("g1")?;
        let run = self.apply("to-and-fro", &plan, &cluster, &[])?;
        let (gaps, _) = Self::gaps(&heartbeats);
        let moves = run.summary.moves.iter().take(TO_AND_FRO - 1);
        let switches: Vec<f64> = moves.filter_map(|m| m.switch_seconds).collect();
        if switches.len() < TO_AND_FRO - 1 {
            eprintln!(
                "{} of the migrations came to no end",
                TO_AND_FRO - 1 - switches.len()
            );
        }
        let own = |marks: (&str, &str)| -> Vec<f64> {
            let lines = run.talk.lines();
            lines.filter_map(|line| told_seconds(line, marks)).collect()
        };
        let request = own(("the executor's own part was ", "s"));
        let switch = own(("the switch was asked for ", "s after it could be"));
        // Migrations follow one another, so the n-th of the one is the n-th of the other.
        let both: Vec<f64> = request.iter().zip(&switch).map(|(r, s)| r + s).collect();
        self.show(
            &format!(
                "own part, decision to start-postcopy, p99 of {}",
                both.len()
            ),
            1000.0 * quantile(&both, 99),
            "ms",
            Some(20.0),
        )?;
        self.show(
            "of it, from decision to the request, p99",
            1000.0 * quantile(&request, 99),
            "ms",
            None,
        )?;
        self.show(
            "switch, idle 128 MiB, p99 of 100",
            quantile(&switches, 99),
            "s",
            Some(1.0),
        )?;
        self.show(
            "switch, idle 128 MiB, median",
            quantile(&switches, 50),
            "s",
            Some(0.7),
        )?;
        self.show("heartbeat gap, median", quantile(&gaps, 50), "s", Some(0.3))?;
        self.show("heartbeat gap, p99", quantile(&gaps, 99), "s", None)
    }

    /// A guest that dirties faster than its link, by pre-copy and then by post-copy.
    fn narrow_link(&self, testbed: &Testbed) -> Result<()> {
        let cluster = self.snapshot(testbed)?;
        let load = Load {
            cpu_percent: 0,
            dirty_mib_per_s: 60,
            working_set_mib: 64,
        };
        testbed.steer("g1", load)?;
        std::thread::sleep(Duration::from_secs(2));
        let moved = |run: &Run| {
            run.summary
                .moves
                .iter()
                .filter(|m| m.state == "moved")
                .count()
        };
        let plan = self.plan("pre-copy.yaml", 1, ("pre-copy", "30MiB/s", "0%"))?;
        self.on(testbed, &plan)?;
        let run = self.apply("pre-copy", &plan, &cluster, &[])?;
        let stayed = 1 - moved(&run).min(1);
        self.show_all(
            "dirtier than the link: pre-copy does not converge",
            stayed,
            1,
        )?;
        let mut least = f64::INFINITY;
        for share in ["0%", "50%", "75%", "90%"] {
            let name = format!("post-copy-{}", share.trim_end_matches('%'));
            let plan = self.plan(&format!("{name}.yaml"), 1, ("post-copy", "30MiB/s", share))?;
            self.on(testbed, &plan)?;
            let heartbeats = testbed.heartbeats("g1")?;
            let run = self.apply(&name, &plan, &cluster, &[])?;
            let (_, longest) = Self::gaps(&heartbeats);
            least = least.min(longest);
            self.show_all(
                &format!("dirtier than the link, {share} left for faults: post-copy ends"),
                moved(&run),
                1,
            )?;
            self.show(
                &format!("dirtier than the link, {share} left for faults: longest heartbeat gap"),
                longest,
                "s",
                None,
            )?;
        }
        self.show(
            "dirtier than the link: longest heartbeat gap with the best share",
            least,
            "s",
            Some(1.0),
        )
    }

    /// A thousand migrations over a hundred hosts.
    fn makespan(&self) -> Result<()> {
        let folder = self.folder.join("hundred");
        let inputs = hundred(&folder)?;
        let plan = folder.join("plan.yaml");
        let mut make = self.binaries.command("vmpack");
        make.arg("plan");
        for (option, file) in ["--cluster", "--load", "--policy"].iter().zip(&inputs) {
            make.arg(option).arg(file);
        }
        let began = Instant::now();
        run(make
            .args(["--nodes", "100", "--output"])
            .arg(&plan)
            .stdout(Stdio::null()))?;
        let planned = began.elapsed().as_secs_f64();
        let load = inputs[1].display().to_string();
        let speed = SPEED_UP.to_string();
        let more = ["--simulated", "--load", &load, "--speed-up", &speed];
        let run = self.apply("makespan", &plan, &inputs[0], &more)?;
        let moves = run.summary.moves.len();
        let moved = run.summary.moves.iter().filter(|m| m.state == "moved");
        let makespan = run.makespan.as_secs_f64() * f64::from(SPEED_UP);
        let bound = run.summary.bound_seconds.max(1e-9);
        self.show_all(
            &format!("simulated: moved, of {moves} over 100 hosts"),
            moved.count(),
            moves.max(1000),
        )?;
        self.show(
            "the schedule over the lower bound",
            run.summary.planned_seconds / bound,
            "",
            Some(1.05),
        )?;
        self.show(
            "simulated, streams up to 10 % slower than predicted: makespan over the lower bound",
            makespan / bound,
            "",
            Some(1.05),
        )?;
        self.show(
            "the same over the lower bound of the streams as they were",
            makespan / busiest(&run.summary.moves).max(1e-9),
            "",
            Some(1.05),
        )?;
        self.show(
            "the whole plan, its schedule with it",
            planned,
            "s",
            Some(10.0),
        )
    }

    /// Killed after every event, and resumed.
    fn kills(&self) -> Result<()> {
        let folder = self.folder.join("kills");
        let example = "example cluster --hosts 4 --guests 12 --seed 1 --output";
        let vmpack = || self.binaries.command("vmpack");
        read(vmpack().args(example.split(' ')).arg(&folder))?;
        let [cluster, load, policy, plan] =
            ["cluster", "load", "policy", "plan"].map(|name| folder.join(format!("{name}.yaml")));
        let mut make = vmpack();
        make.args(["plan", "--nodes", "100", "--cluster"])
            .arg(&cluster);
        make.arg("--load").arg(&load).arg("--policy").arg(&policy);
        run(make.arg("--output").arg(&plan).stdout(Stdio::null()))?;
        let (mut killed, mut same) = (0, 0);
        loop {
            let journal = folder.join(format!("kill-{killed}.db"));
            let mut executor = self.binaries.command("vmpack-executor");
            executor
                .args(["--json", "--journal"])
                .arg(&journal)
                .arg("apply")
                .arg(&plan);
            executor
                .arg("--cluster")
                .arg(&cluster)
                .arg("--load")
                .arg(&load);
            executor.args(["--simulated", "--speed-up", "50", "--yes"]);
            executor.stdout(Stdio::piped()).stderr(Stdio::null());
            let mut child = executor.spawn().context("cannot start vmpack-executor")?;
            let out = child.stdout.take().context("its standard output")?;
            let mut lines = BufReader::new(out).lines();
            // The first event, that the plan was accepted, is not told.
            let reached = (0..=killed).all(|_| {
                let line = lines.next().and_then(Result::ok);
                line.is_some_and(|l| !l.contains("\"event\":\"finished\""))
            });
            if !reached {
                child.wait()?;
                break;
            }
            child.kill()?;
            child.wait()?;
            killed += 1;
            let mut resume = self.binaries.command("vmpack-executor");
            resume.arg("--journal").arg(&journal).arg("resume");
            let end = resume
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            // With all moves made the target is reached, and the code is 0.
            same += usize::from(end.success());
        }
        self.show_all(
            "killed after each event and resumed to the same end",
            same,
            killed,
        )
    }
}

/// A hundred hosts in racks of five, and a thousand guests of 2 to 16 GiB, ten to a host, each of which
/// has to go to the next rack: every host must be emptied while it is filled. The cluster, the load and
/// the policy.
fn hundred(folder: &Path) -> Result<[PathBuf; 3]> {
    const RACKS: usize = 20;
    let rack = |guest: usize| guest % 100 / 5;
    let hosts = (0..100).map(|h| {
        format!(
            "  - {{ name: h{h}, cpu: 64cores, memory: 160GiB, network: 1250MiB/s, state: on, labels: {{ rack: r{} }} }}\n",
            h / 5
        )
    });
    let guests = (0..1000usize).map(|g| {
        // Steele and Vigna's multiplier of a linear congruential generator (2022).
        let drawn = (g as u64 + 1).wrapping_mul(0xd134_2543_de82_ef95) >> 33;
        format!(
            "  - {{ name: g{g}, vcpus: 2, memory: {}GiB, host: h{} }}\n",
            [2, 4, 8, 16][usize::try_from(drawn % 4).unwrap_or(0)],
            g % 100
        )
    });
    let loads = (0..1000).map(|g| {
        format!(
            "  g{g}: {{ cpu: {{ p95: 1cores }}, dirty: {}pages/s }}\n",
            g % 7 * 1000
        )
    });
    let fences = (0..RACKS).map(|r| {
        let those = (0..1000).filter(|g| rack(*g) == r);
        let those: Vec<String> = those.map(|g| format!("g{g}")).collect();
        let hosts = (0..5).map(|h| format!("h{}", (r + 1) % RACKS * 5 + h));
        let hosts: Vec<String> = hosts.collect();
        format!(
            "  - {{ kind: fence, guests: [{}], hosts: [{}] }}\n",
            those.join(", "),
            hosts.join(", ")
        )
    });
    let cluster = format!(
        "hosts:\n{}guests:\n{}",
        hosts.collect::<String>(),
        guests.collect::<String>()
    );
    let load = format!("guests:\n{}", loads.collect::<String>());
    let policy = format!(
        "migrations: {{ canary: 0, at-once: 100 }}\nrules:\n{}",
        fences.collect::<String>()
    );
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let files = [
        ("cluster", "Cluster", cluster),
        ("load", "Load", load),
        ("policy", "Policy", policy),
    ];
    let mut paths = Vec::new();
    for (name, kind, text) in files {
        let path = folder.join(format!("{name}.yaml"));
        fs::write(
            &path,
            format!("apiVersion: vmpack/v1\nkind: {kind}\n{text}"),
        )
        .with_context(|| format!("cannot write {}", path.display()))?;
        paths.push(path);
    }
    paths.try_into().map_err(|_| anyhow::anyhow!("three files"))
}

/// For how many seconds the busiest end of a host was at work: one migration leaves it at a time, and one comes to it.
fn busiest(moves: &[Told]) -> f64 {
    let mut ends: BTreeMap<(bool, &str), f64> = BTreeMap::new();
    for mv in moves {
        for end in [(false, mv.from.as_str()), (true, mv.to.as_str())] {
            *ends.entry(end).or_default() += mv.total_seconds.unwrap_or_default();
        }
    }
    ends.into_values().fold(0.0, f64::max)
}

/// The seconds that a line tells between two marks, if it has the first.
fn told_seconds(line: &str, (before, after): (&str, &str)) -> Option<f64> {
    let (_, rest) = line.split_once(before)?;
    rest.split_once(after)?.0.parse().ok()
}

/// The smallest of the values that so many percent of them do not exceed.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::INFINITY)
}

#[expect(clippy::cast_precision_loss, reason = "a count of events or moves")]
fn number(count: usize) -> f64 {
    count as f64
}
