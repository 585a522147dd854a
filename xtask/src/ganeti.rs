//! `cargo xtask bench peers`: clusters in Ganeti's text format, squeezed by `hsqueeze`, levelled by
//! `hbal` and counted by `hspace` (Debian's ganeti-htools), and by `vmpack import`, `plan` and `capacity`,
//! in the same run.
//!
//! Both know memory and vCPUs only here, keep no host's worth free (`--minimal-resources=0`,
//! `--target-resources=0`, `--no-capacity-checks`), and `hspace` is given one size of instance, so that
//! it does not try others.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use xtask::command::{command, on_path};
use xtask::target_directory;

use crate::balance;
use crate::row::Shown;

/// Prints a row: what, how much in which unit, and at most how much it is to be.
pub(crate) type Show<'a> = dyn Fn(&str, f64, &'static str, Option<f64>) -> Result<()> + 'a;

/// Hosts and guests.
const SIZES: [(u32, u32); 3] = [(10, 60), (32, 200), (100, 1000)];
/// Where Debian puts the programs of version 3.0.
const DEBIAN: &str = "/usr/lib/ganeti/3.0/usr/bin";
/// MiB of a host, and what it uses itself.
const MEMORY: u32 = 131_072;
const OWN: u32 = 2048;
const CPUS: u32 = 32;
/// vCPUs and MiB of guests, drawn with equal chance.
const GUESTS: [(u32, u32); 6] = [
    (1, 1024),
    (1, 2048),
    (2, 4096),
    (2, 8192),
    (4, 8192),
    (4, 16_384),
];

/// Prints the rows; a peer may take so many seconds for a cluster.
pub(crate) fn rows(vmpack: &Path, seconds: u32, json: bool) -> Result<()> {
    let programs = (program("hsqueeze"), program("hspace"), program("hbal"));
    let (Some(hsqueeze), Some(hspace), Some(hbal)) = programs else {
        eprintln!(
            "skipped: no hsqueeze, hspace and hbal on PATH or in {DEBIAN} (Debian's ganeti-htools)"
        );
        return Ok(());
    };
    let folder = target_directory().join("peers").join("ganeti");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for (hosts, guests) in SIZES {
        let file = folder.join(format!("{hosts}.data"));
        fs::write(&file, cluster(hosts, guests))?;
        let ours = folder.join(hosts.to_string());
        let began = Instant::now();
        told(
            command([vmpack])
                .args(["import", "ganeti"])
                .arg(&file)
                .arg("-o")
                .arg(&ours),
        )?;
        let import = began.elapsed().as_secs_f64();
        let plan = own(vmpack, &ours, &["plan", "--json"])?;
        let plan_seconds = plan.1 + import;
        let count = own(
            vmpack,
            &ours,
            // What `hspace` asks: how many more as they stand.
            &[
                "capacity",
                "--shape",
                "4,16GiB,1cores",
                "--standing",
                "--json",
            ],
        )?;
        let what = |text: &str| format!("{hosts} hosts, {guests} guests: {text}");
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let used = number(&plan.0["hosts_after"]);
        let moves = plan.0["moves"].as_array().map_or(0, Vec::len);
        let squeezed = timed(
            command([&hsqueeze]).arg("-t").arg(&file).args([
                "--minimal-resources=0",
                "--target-resources=0",
                "-C",
            ]),
            seconds,
        )?;
        show(what("hosts in use, vmpack"), used, "hosts", None, json)?;
        show(
            what("time of a plan, vmpack"),
            plan_seconds,
            "s",
            None,
            json,
        )?;
        match squeezed {
            None => {
                let limit = f64::from(seconds);
                show(what("hsqueeze has no answer after"), limit, "s", None, json)?;
            }
            Some((text, time)) => {
                let offline = text.lines().filter(|l| l.starts_with('n')).count();
                let theirs = f64::from(hosts) - f64::from(u32::try_from(offline)?);
                let their_moves = text.matches("gnt-instance migrate").count();
                let share = |a: f64, b: f64| if b > 0.0 { a / b } else { f64::from(a > 0.0) };
                show(
                    what("hosts of hsqueeze's"),
                    share(used, theirs),
                    "x",
                    Some(1.0),
                    json,
                )?;
                let moved = share(
                    f64::from(u32::try_from(moves)?),
                    f64::from(u32::try_from(their_moves)?),
                );
                show(what("moves of hsqueeze's"), moved, "x", Some(1.0), json)?;
                let time = share(plan_seconds, time);
                show(what("time of hsqueeze's"), time, "x", Some(1.0), json)?;
            }
        }
        let told: &Show<'_> = &|text, value, unit, most| show(what(text), value, unit, most, json);
        let cluster = (file.as_path(), ours.as_path(), hosts);
        balance::rows((vmpack, &hbal), cluster, seconds, told)?;
        let found = number(&count.0["shapes"][0]["standing"]["found"]);
        show(
            what("more guests of 16 GiB, vmpack"),
            found,
            "guests",
            None,
            json,
        )?;
        show(what("time of that"), count.1 + import, "s", None, json)?;
        let space = timed(
            command([&hspace])
                .arg("-t")
                .arg(&file)
                .args(["--disk-template", "ext", "--machine-readable=yes"])
                .arg("--no-capacity-checks"),
            seconds,
        )?;
        match space {
            None => {
                let limit = f64::from(seconds);
                show(what("hspace has no answer after"), limit, "s", None, json)?;
            }
            Some((text, time)) => {
                let key = "HTS_ALLOC_INSTANCES=";
                let line = text.lines().find_map(|l| l.strip_prefix(key));
                let theirs: f64 = line.and_then(|n| n.parse().ok()).unwrap_or(0.0);
                show(
                    what("fewer than hspace finds"),
                    theirs - found,
                    "guests",
                    Some(0.0),
                    json,
                )?;
                let ours = (count.1 + import) / time.max(1e-9);
                show(what("time of hspace's"), ours, "x", Some(0.01), json)?;
            }
        }
    }
    Ok(())
}

fn program(name: &str) -> Option<PathBuf> {
    if on_path(name) {
        return Some(name.into());
    }
    Some(Path::new(DEBIAN).join(name)).filter(|p| p.is_file())
}

/// A cluster in which guests stand where a seeded draw puts them.
fn cluster(hosts: u32, guests: u32) -> String {
    let mut state = 1u64;
    let mut draw = |below: u32| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((state >> 33) % u64::from(below.max(1))).unwrap_or(0)
    };
    let mut free = vec![MEMORY - OWN; hosts as usize];
    let mut instances = String::new();
    for i in 0..guests {
        let (vcpus, memory) = GUESTS[draw(6) as usize];
        let room: Vec<usize> = (0..free.len()).filter(|h| free[*h] >= memory).collect();
        let Some(host) = room.get(draw(u32::try_from(room.len()).unwrap_or(1)) as usize) else {
            break;
        };
        free[*host] -= memory;
        let _ = writeln!(
            instances,
            "i{i:04}|{memory}|1024|{vcpus}|running|Y|n{host:03}||ext||1"
        );
    }
    let mut text = String::from("default|g-1|preferred||\n\n");
    for (h, free) in free.iter().enumerate() {
        let master = if h == 0 { 'M' } else { 'N' };
        let _ = writeln!(
            text,
            "n{h:03}|{MEMORY}|{OWN}|{free}|10240000|10240000|{CPUS}|{master}|g-1|1|htools:standby:auto|N|1|{CPUS}|1.0"
        );
    }
    let size = "16384,4,1024,1,1,1";
    text + "\n" + &instances + &format!("\n\n|{size}|{size};{size}|ext|4.0|1000.0\n")
}

fn told(command: &mut Command) -> Result<String> {
    xtask::command::read(command)
}

/// What `vmpack` says of the folder, and how long it takes.
pub(crate) fn own(vmpack: &Path, folder: &Path, words: &[&str]) -> Result<(Value, f64)> {
    let mut command = command([vmpack]);
    command.args(words);
    for kind in ["cluster", "load", "policy"] {
        let file = folder.join(format!("{kind}.yaml"));
        command.arg(format!("--{kind}")).arg(file);
    }
    let began = Instant::now();
    let text = told(&mut command)?;
    let seconds = began.elapsed().as_secs_f64();
    let value = serde_json::from_str(&text).context("JSON of vmpack")?;
    Ok((value, seconds))
}

/// What a peer says and how long it takes; `None` where it takes too long.
pub(crate) fn timed(peer: &mut Command, seconds: u32) -> Result<Option<(String, f64)>> {
    let mut limited = command(["timeout"]);
    limited.arg(seconds.to_string()).arg(peer.get_program());
    limited.args(peer.get_args());
    let began = Instant::now();
    let output = limited.output().context("cannot start timeout")?;
    let took = began.elapsed().as_secs_f64();
    match output.status.code() {
        Some(0) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(Some((text, took)))
        }
        Some(124) => Ok(None),
        _ => bail!(
            "{peer:?} failed: {}",
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

/// A row that is met at most at its target, or is only told.
fn show(what: String, value: f64, unit: &'static str, most: Option<f64>, json: bool) -> Result<()> {
    let row = Shown {
        what,
        value: (value * 1000.0).round() / 1000.0,
        unit,
        target: most.map_or("-".into(), |most| format!("<= {most}")),
        ok: most.is_none_or(|most| value <= most),
    };
    row.print(json)
}
