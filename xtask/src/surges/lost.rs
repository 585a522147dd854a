//! What a surge costs in work: memory-heavy guests on hosts of their own, packed and left alone, and
//! packed and relieved by either kind of migration.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xtask::binaries::Binaries;
use xtask::command::read;
use xtask::testbed::{Host, Load, Testbed};

use super::stage::{CORES, Stage, on_a_testbed};
use super::watched::Watched;
use super::{IDLE, load, policy, quantile};
use crate::row::row;

/// What of memory is rewritten, in MiB.
const WORKING_SET: u32 = 48;
/// What each guest wants for it, in cores: two want more than a host has, one does not.
const WANTED: f64 = 0.6;
/// Two guests that share a host get less than they want by this share, at least half of which has to
/// show: a surge that costs nothing is none.
const SHORT: f64 = 1.0 - CORES as f64 / 1000.0 / (2.0 * WANTED);
/// How long work is counted after the onset of a surge.
const COUNTED: Duration = Duration::from_secs(20);
/// Surges for each way.
const SURGES: usize = 3;
/// Beyond this share of the machine's CPU a surge says more of the machine than of its hosts.
const SATURATED: f64 = 0.97;
/// How often that may be before it is given up.
const TRIES: usize = 3 * SURGES;

/// How the two guests are placed, and what is done about the surge.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    NotPacked,
    Packed(Option<&'static str>),
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::NotPacked => "not packed",
            Self::Packed(None) => "no relief",
            Self::Packed(Some(mode)) => mode,
        }
    }
}

/// How much less is written to memory after a surge where guests are packed, and for how long the hosts
/// were used. All ways take turns.
pub(crate) fn lost(binaries: &Binaries, json: bool) -> Result<()> {
    const WAYS: [Way; 4] = [
        Way::NotPacked,
        Way::Packed(None),
        Way::Packed(Some("pre-copy")),
        Way::Packed(Some("post-copy")),
    ];
    on_a_testbed(2, |testbed| {
        let heavy = heavy(testbed)?;
        let mut pages: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
        let (mut thrown, mut tries) = (0, 0);
        while pages.iter().any(|p| p.len() < SURGES) && tries < TRIES {
            tries += 1;
            for (way, pages) in WAYS.iter().zip(&mut pages) {
                if pages.len() == SURGES {
                    continue;
                }
                let (written, busy) = work(binaries, testbed, *way, heavy)?;
                let kept = busy < SATURATED;
                let number = pages.len() + 1;
                eprintln!(
                    "{}, surge {number}: {written} pages, the machine {:.0} % busy{}",
                    way.name(),
                    100.0 * busy,
                    if kept { "" } else { ": thrown away" }
                );
                if kept {
                    pages.push(written);
                } else {
                    thrown += 1;
                }
            }
        }
        let unpacked = quantile(&pages[0], 50);
        let short = 1.0 - quantile(&pages[1], 50) / unpacked;
        if short < SHORT / 2.0 {
            bail!(
                "without relief {:.1} % of the work is lost, so the surge is none",
                100.0 * short
            );
        }
        for (way, pages) in WAYS.iter().zip(&pages).skip(1) {
            let lost = 100.0 * (1.0 - quantile(pages, 50) / unpacked);
            let what = format!(
                "writes lost in {} s after a surge, {}",
                COUNTED.as_secs(),
                way.name()
            );
            let target = (*way == Way::Packed(Some("post-copy"))).then_some(8.0);
            let name = "testbed, memory-heavy";
            row(name, &what, lost, "%", target, pages.len() == SURGES, json)?;
        }
        let name = "testbed, memory-heavy";
        row(
            name,
            "surges thrown away, the machine saturated",
            f64::from(thrown),
            "",
            None,
            true,
            json,
        )
    })
}

/// Rewriting at the rate at which a guest wants [`WANTED`] cores here, by what one alone does with all
/// that its host has.
fn heavy(testbed: &Testbed) -> Result<Load> {
    let guest = "g1";
    let beats = testbed.heartbeats(guest)?;
    testbed.steer(guest, load(0, 1_000_000, WORKING_SET))?;
    let mut seen = Vec::new();
    // The first moments are spent on filling that memory.
    for wait in [3, 3] {
        std::thread::sleep(Duration::from_secs(wait));
        let beats = beats.beats();
        seen.push(beats.last().context("a heartbeat")?.clone());
    }
    testbed.steer(guest, IDLE)?;
    let pages = seen[1].pages.saturating_sub(seen[0].pages);
    let time = seen[1].at.saturating_duration_since(seen[0].at);
    #[expect(clippy::cast_precision_loss, reason = "a count of pages")]
    let most = pages as f64 / time.as_secs_f64();
    let rate = most / 256.0 * WANTED / (f64::from(CORES) / 1000.0);
    eprintln!(
        "a guest with all of its host writes {most:.0} pages/s; each is to write {rate:.0} MiB/s"
    );
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "MiB/s"
    )]
    Ok(load(0, rate as u32, WORKING_SET))
}

/// Pages written by both guests in the time after a surge, and how busy the machine was.
fn work(binaries: &Binaries, testbed: &Testbed, way: Way, heavy: Load) -> Result<(f64, f64)> {
    let mode = match way {
        Way::Packed(Some(mode)) => mode,
        _ => "post-copy",
    };
    let stage = Stage::set(binaries, testbed, &policy(mode))?;
    let hosts: Vec<&Host> = testbed.hosts.iter().take(2).collect();
    let guests = ["g1", "g2"];
    for (guest, host) in guests.into_iter().zip(&hosts) {
        let home = if way == Way::NotPacked {
            *host
        } else {
            hosts[0]
        };
        testbed.steer(guest, IDLE)?;
        bring(testbed, guest, home)?;
    }
    let watched = match way {
        Way::Packed(Some(_)) => Some(Watched::begin(&stage)?),
        _ => None,
    };
    std::thread::sleep(Duration::from_secs(2));
    let beats = guests.map(|g| testbed.heartbeats(g));
    std::thread::sleep(Duration::from_secs(1));
    let (began, before) = (Instant::now(), busy_so_far()?);
    for guest in guests {
        testbed.steer_on(testbed.locate(guest)?, guest, heavy)?;
    }
    std::thread::sleep(COUNTED.saturating_sub(began.elapsed()));
    let after = busy_so_far()?;
    let mut pages = 0;
    for (guest, beats) in guests.into_iter().zip(beats) {
        let beats = beats?.beats();
        let first = beats.first().map_or(0, |b| b.pages);
        pages += beats.last().map_or(0, |b| b.pages).saturating_sub(first);
        if beats.iter().any(|b| b.bad_pages > 0) {
            bail!("guest {guest} found pages that did not hold what it wrote");
        }
    }
    // Before the guests rest: a pre-copy that finds no end as long as a guest writes would end with
    // the kernel of that guest broken, as QEMU's emulation (TCG, here 7.2) misses pages that it dirtied;
    // `virsh migrate --bandwidth 40` alone does it too.
    if let Some(watched) = watched {
        watched.call_off()?;
    }
    for guest in guests {
        testbed.steer(guest, IDLE)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of pages")]
    let pages = pages as f64;
    let spent = (after.0 - before.0) / (after.1 - before.1).max(1.0);
    Ok((pages, spent))
}

/// What all CPUs of the machine did since its start: busy, and in all.
fn busy_so_far() -> Result<(f64, f64)> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().context("a line in /proc/stat")?;
    let ticks: Vec<f64> = line
        .split_whitespace()
        .skip(1)
        .filter_map(|t| t.parse().ok())
        .collect();
    let all: f64 = ticks.iter().take(8).sum();
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Ok((all - idle, all))
}

/// Has a guest run there.
fn bring(testbed: &Testbed, guest: &str, home: &Host) -> Result<()> {
    let at = testbed.locate(guest)?;
    if at.name != home.name {
        let mut migrate = at.virsh([
            "migrate",
            "--live",
            "--p2p",
            "--persistent",
            "--undefinesource",
            guest,
        ]);
        read(migrate.arg(&home.migrate_uri))?;
    }
    Ok(())
}
