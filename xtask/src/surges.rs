//! The testbed's part of `cargo xtask bench relief`: real QEMU guests on hosts whose CPU is limited, real
//! probes, and `vmpack-executor watch` that hears them. Guests are idle, then some on one host want more
//! than it has.

mod figure;
mod lost;
mod stage;
mod stalls;
mod watched;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;
use xtask::binaries::Binaries;
use xtask::testbed::{Host, Load, Testbed, judge};

use figure::{Picture, svg};
pub(crate) use lost::lost;
use stage::{Stage, on_a_testbed};
use stalls::Stalls;
use watched::{Told, Watched, What, between, now};

use crate::row::row;

/// Three of these want more than a host has; two, or one beside idle ones, do not.
const SURGE: Load = load(30, 0, 0);
const SURGING: usize = 3;
const IDLE: Load = load(0, 0, 0);

const fn load(cpu_percent: u32, dirty_mib_per_s: u32, working_set_mib: u32) -> Load {
    Load {
        cpu_percent,
        dirty_mib_per_s,
        working_set_mib,
    }
}

/// A guest that moved may move again soon, so that rounds follow one another.
fn policy(mode: &str) -> String {
    format!(
        "apiVersion: vmpack/v1\nkind: Policy\nmigrations: {{ mode: {mode} }}\nover-commit: {{ cpu: 16 }}\n\
         relief: {{ cooldown: 1s }}\n"
    )
}

/// Steps of a relief, in the order in which they come.
const STEPS: [&str; 9] = [
    "overloaded (kernel)",
    "probe's word heard",
    "decided",
    "preconditions held",
    "asked of libvirt",
    "switch asked for",
    "RESUMED",
    "run delay normal",
    "relieved",
];

/// One surge: seconds from its onset, the order to the guests, to each step.
struct Round {
    /// Its onset, in seconds of the day, and where it was.
    began: f64,
    host: String,
    after: BTreeMap<&'static str, f64>,
    /// Of that what was the executor's own, from the decision to its call of libvirt.
    own: f64,
    /// The moved guest's own, at its switch.
    gap: Option<f64>,
    moves: usize,
    picture: Picture,
}

impl Round {
    fn switch(&self) -> f64 {
        self.after.get("RESUMED").copied().unwrap_or(f64::INFINITY)
    }
}

/// From the onset of overload to the decision, the switch and the end, over and over.
pub(crate) fn surges(
    binaries: &Binaries,
    rounds: u32,
    figure: Option<&Path>,
    json: bool,
) -> Result<()> {
    on_a_testbed(6, |testbed| {
        let stage = Stage::set(binaries, testbed, &policy("post-copy"))?;
        let watched = Watched::begin(&stage)?;
        let mut kept = File::create(stage.folder.join("surges.jsonl"))?;
        let mut found: Vec<Round> = Vec::new();
        let (mut missed, mut thrown) = (0, 0);
        let stalls = Stalls::watch();
        loop {
            let number = found.len() as u64 + u64::from(missed) + 1;
            if number > u64::from(rounds) {
                break;
            }
            let round = round(&watched, testbed, &stalls)?;
            if let Some(stood) = stalls.stood() {
                eprintln!(
                    "surge {number} is thrown away: the machine stood still for {:.0} ms",
                    1000.0 * stood.as_secs_f64()
                );
                thrown += 1;
                anyhow::ensure!(
                    thrown <= rounds,
                    "this machine stands still too often to measure anything"
                );
                continue;
            }
            match round {
                Ok(round) => {
                    let step = |s: &&str| {
                        round
                            .after
                            .get(*s)
                            .map(|t| format!("{s} {:.0}", 1000.0 * t))
                    };
                    let steps: Vec<String> = STEPS.iter().filter_map(step).collect();
                    // Beside the streams of the hosts, to be looked at together.
                    writeln!(
                        kept,
                        "{}",
                        json!({ "surge": number, "onset": round.began, "host": round.host,
                                "after": round.after, "moves": round.moves })
                    )?;
                    eprintln!(
                        "surge {number}, ms after its onset: {}; moves {}, own part {:.1}, gap {:.0}",
                        steps.join(", "),
                        round.moves,
                        1000.0 * round.own,
                        1000.0 * round.gap.unwrap_or(f64::NAN)
                    );
                    found.push(round);
                }
                Err(why) => {
                    eprintln!("surge {number}: {why}");
                    missed += 1;
                }
            }
        }
        watched.end()?;
        // The one in the middle, by when it switched.
        found.sort_by(|a, b| a.switch().total_cmp(&b.switch()));
        if let (Some(file), Some(round)) = (figure, found.get(found.len() / 2)) {
            std::fs::write(file, svg(&round.picture))
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        show(&found, missed, thrown, json)
    })
}

fn show(found: &[Round], missed: u32, thrown: u32, json: bool) -> Result<()> {
    let name = format!("testbed, {} surges", found.len() as u64 + u64::from(missed));
    let step = |step: &str| -> Vec<f64> {
        let times = found.iter().filter_map(|r| r.after.get(step).copied());
        times.collect()
    };
    let span = |from: &str, to: &str| -> Vec<f64> {
        let both = |r: &Round| Some(r.after.get(to)? - r.after.get(from)?);
        found.iter().filter_map(both).collect()
    };
    let all = missed == 0 && !found.is_empty();
    let seconds = |what: &str, values: &[f64], percent, target| {
        row(
            &name,
            what,
            quantile(values, percent),
            "s",
            target,
            all,
            json,
        )
    };
    let millis = |what: &str, values: &[f64], percent, target| {
        let value = 1000.0 * quantile(values, percent);
        row(&name, what, value, "ms", target, all, json)
    };
    let (decided, switched) = (step("decided"), step("RESUMED"));
    millis("onset to decision, p99", &decided, 99, Some(150.0))?;
    millis("onset to decision, median", &decided, 50, None)?;
    millis(
        "onset to the probe's word, median",
        &step("probe's word heard"),
        50,
        None,
    )?;
    seconds("onset to RESUMED, median", &switched, 50, Some(1.0))?;
    seconds("onset to RESUMED, worst", &switched, 100, Some(1.5))?;
    let qemu = span("asked of libvirt", "RESUMED");
    seconds("of that libvirt's and QEMU's own, median", &qemu, 50, None)?;
    seconds("of that libvirt's and QEMU's own, worst", &qemu, 100, None)?;
    let hosts = span("decided", "asked of libvirt");
    millis("decision to libvirt's call, median", &hosts, 50, None)?;
    let own: Vec<f64> = found.iter().map(|r| r.own).collect();
    millis("of that the executor's own part, median", &own, 50, None)?;
    let gaps: Vec<f64> = found.iter().filter_map(|r| r.gap).collect();
    seconds("heartbeat gap of the moved guest, median", &gaps, 50, None)?;
    seconds("heartbeat gap of the moved guest, worst", &gaps, 100, None)?;
    let normal = step("run delay normal");
    seconds(
        "onset to run delay back to normal, median",
        &normal,
        50,
        None,
    )?;
    seconds(
        "onset to run delay back to normal, worst",
        &normal,
        100,
        None,
    )?;
    seconds(
        "onset to memory whole too, median",
        &step("relieved"),
        50,
        None,
    )?;
    let thrown = f64::from(thrown);
    row(
        &name,
        "thrown away, the machine stood",
        thrown,
        "",
        None,
        true,
        json,
    )?;
    row(
        &name,
        "surges not relieved",
        f64::from(missed),
        "",
        Some(0.0),
        true,
        json,
    )
}

/// Has a guest make no load. It may be on its way still, from the surge before.
fn calm(testbed: &Testbed, guest: &str) -> Result<()> {
    let tries = 20;
    for _ in 1..tries {
        if testbed.steer(guest, IDLE).is_ok() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    testbed.steer(guest, IDLE)
}

/// One surge, on the host that has most guests; or why it was not relieved.
fn round(watched: &Watched, testbed: &Testbed, stalls: &Stalls) -> Result<Result<Round, String>> {
    for guest in &testbed.guests {
        calm(testbed, &guest.name)?;
    }
    watched.quiet(Duration::from_secs(4));
    let on = |host: &&Host| testbed.running_on(host).unwrap_or_default();
    let host = testbed.hosts.iter().max_by_key(|h| on(h).len());
    let host = host.context("a host")?;
    let guests: BTreeSet<String> = on(&host).into_iter().collect();
    let beats: Vec<_> = guests
        .iter()
        .map(|g| Ok((g.as_str(), testbed.heartbeats(g)?)))
        .collect::<Result<_>>()?;
    // Before its onset it may have.
    stalls.stood();
    let began = now();
    std::thread::scope(|scope| {
        let told: Vec<_> = guests
            .iter()
            .take(SURGING)
            .map(|guest| scope.spawn(move || testbed.steer_on(host, guest, SURGE)))
            .collect();
        for thread in told {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a guest was not told"))??;
        }
        anyhow::Ok(())
    })?;
    let mut seen = Seen::new(began, &host.name, &guests);
    let whole = watched.until(Duration::from_secs(20), |told| {
        seen.hear(told);
        seen.is_whole().then_some(())
    });
    let Some(moved) = seen.moved.clone().filter(|_| whole.is_some()) else {
        let known: Vec<String> = seen
            .after
            .iter()
            .map(|(s, t)| format!("{s} {t:.3} s"))
            .collect();
        return Ok(Err(format!("not relieved in 20 s; {}", known.join(", "))));
    };
    std::thread::sleep(Duration::from_millis(300));
    let gap = beats
        .iter()
        .find(|(g, _)| *g == moved)
        .and_then(|(_, beats)| {
            let life = judge(&beats.beats());
            life.switch_gaps.iter().max().map(Duration::as_secs_f64)
        });
    seen.picture.after.clone_from(&seen.after);
    Ok(Ok(Round {
        began,
        host: host.name.clone(),
        picture: seen.picture,
        after: seen.after,
        own: seen.own,
        gap,
        moves: seen.moves,
    }))
}

/// What was heard of one surge so far.
struct Seen<'a> {
    began: f64,
    host: &'a str,
    guests: &'a BTreeSet<String>,
    after: BTreeMap<&'static str, f64>,
    own: f64,
    moved: Option<String>,
    moves: usize,
    picture: Picture,
}

impl<'a> Seen<'a> {
    fn new(began: f64, host: &'a str, guests: &'a BTreeSet<String>) -> Self {
        Self {
            began,
            host,
            guests,
            after: BTreeMap::new(),
            own: 0.0,
            moved: None,
            moves: 0,
            picture: Picture::default(),
        }
    }

    /// Whether the overload is over: guests have switched, run delay is back to normal, and nothing more
    /// is on its way from the host.
    fn is_whole(&self) -> bool {
        ["RESUMED", "run delay normal", "relieved"]
            .iter()
            .all(|step| self.after.contains_key(step))
    }

    fn hear(&mut self, told: &Told) {
        let after = between(self.began, told.at);
        if after < 0.0 && !matches!(told.what, What::Wanted { .. }) {
            return;
        }
        match &told.what {
            What::Kernel { host, began, heard } if host == self.host => {
                if *began {
                    self.after.entry("overloaded (kernel)").or_insert(after);
                    let heard = between(self.began, *heard);
                    self.after.entry("probe's word heard").or_insert(heard);
                    self.after.remove("run delay normal");
                } else {
                    self.after.insert("run delay normal", after);
                }
            }
            What::Kernel { .. } => {}
            What::Wanted { host, cores } => {
                self.picture
                    .wanted
                    .entry(host.clone())
                    .or_default()
                    .push((after, *cores));
            }
            What::Audit(said) => {
                let text = |key: &str| said[key].as_str().unwrap_or_default();
                match text("event") {
                    "decided" if said["carried_out"] == true => {
                        let moves = said["relief"]["moves"].as_array();
                        let from = |m: &&serde_json::Value| m["from"] == self.host;
                        let moves = moves.into_iter().flatten().filter(from).count();
                        if moves > 0 {
                            self.moves += moves;
                            self.picture.reasons.extend(words(&said["relief"]));
                            self.after.entry("decided").or_insert(after);
                        }
                    }
                    // The last of those that it took.
                    "switched" if self.guests.contains(text("guest")) => {
                        self.after.insert("RESUMED", after);
                        self.moved = Some(text("guest").to_owned());
                        self.after.remove("relieved");
                    }
                    "relieved" if text("host") == self.host && self.moved.is_some() => {
                        self.after.insert("relieved", after);
                    }
                    "refused" | "silent" | "ended-watch" => eprintln!("{said}"),
                    _ => {}
                }
            }
            What::Talk(line) => {
                if line.contains("its preconditions hold") {
                    self.after.insert("preconditions held", after);
                    self.own = line
                        .split_once("own part was ")
                        .and_then(|(_, rest)| rest.split_once('s')?.0.parse().ok())
                        .unwrap_or(0.0);
                } else if line.contains("the migration was asked for") {
                    self.after.insert("asked of libvirt", after);
                } else if line.contains("the switch was asked for") {
                    self.after.insert("switch asked for", after);
                }
            }
        }
    }
}

/// The reasons of a decision, and its moves, as the audit log has them.
fn words(relief: &serde_json::Value) -> Vec<String> {
    let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
    let reasons = relief["reasons"].as_array().into_iter().flatten().map(text);
    let moves = relief["moves"].as_array().into_iter().flatten().map(|m| {
        let of = |key: &str| text(&m[key]);
        format!(
            "move {} {} -> {} by {}: {}",
            of("guest"),
            of("from"),
            of("to"),
            of("mode"),
            of("reason")
        )
    });
    reasons.chain(moves).collect()
}

/// The smallest of the values that so many percent of them do not exceed.
fn quantile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or(f64::INFINITY)
}
