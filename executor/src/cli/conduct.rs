//! `resume`, and the conducting of runs from the command line: the lock, the socket, signals, and what
//! is shown at the end.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vmpack_domain::exit::Exit;
use vmpack_domain::file::read_load;
use vmpack_domain::journal::{Event, Priority, RunId};
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::Plan;
use vmpack_domain::{HostName, Load};
use vmpack_hypervisor::Hypervisor;

use super::display::Display;
use super::failure::Failure;
use super::files::{Place, read_all};
use super::planning::Replan;
use super::report;
use super::say::{note, out};
use super::summary::{lines, remaining, seconds, table};
use crate::attempt::Scene;
use crate::carry::Heard;
use crate::decide::Limits;
use crate::holder::{Handle, Terms, channel};
use crate::journal::{Journal, Run};
use crate::lock::{Lock, LockError};
use crate::replan::round::{Carried, carry_through};
use crate::replan::{first_plan, known};
use crate::sight::look;
use crate::socket::{Request, Server, ask, connect, release};
use crate::world::World;

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Pace {
    /// Migrations at once, instead of as many as the plan's policy says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) parallel: Option<u16>,
}

impl Pace {
    pub(super) fn limits(&self, plan: &Plan, world: &World) -> Limits {
        let policy = &plan.policy.migrations;
        let count = |n: NonZeroU32| usize::try_from(n.get()).unwrap_or(usize::MAX);
        Limits {
            parallel: self.parallel.map_or(count(policy.at_once), usize::from),
            per_host: count(policy.per_host),
            back_off: world.back_off(),
            canary: usize::try_from(policy.canary).unwrap_or(usize::MAX),
            stop_after: policy.stop_after,
            verify: true,
            ..Limits::default()
        }
    }
}

/// Where what came of it is written for people.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Reported {
    /// Write a page of what came of it: schedule, moves and why, journal (HTML, one file, works offline)
    #[arg(long, value_name = "FILE")]
    pub(super) report: Option<PathBuf>,
}

impl Reported {
    /// Makes sure that it can be written.
    pub(super) fn ready(&self) -> Result<(), Failure> {
        self.report.as_deref().map_or(Ok(()), report::ready)
    }

    /// Writes it, of these runs of the journal, which ended so. That it cannot be written is told, and is
    /// how it ended only where all else went well.
    pub(super) fn write(
        &self,
        journal: &Journal,
        runs: &[RunId],
        exit: Exit,
    ) -> Result<Exit, Failure> {
        let Some(file) = &self.report else {
            return Ok(exit);
        };
        let written = journal.all().map_err(Failure::from).and_then(|mut all| {
            all.retain(|run| runs.contains(&run.id));
            report::write(file, &all)
        });
        match written {
            Ok(()) => note(format_args!("the report is {}", file.display())),
            Err(failure) if exit == Exit::Done => return Err(failure),
            Err(failure) => note(&failure),
        }
        Ok(exit)
    }

    /// Says that there is none.
    pub(super) fn nothing_to_tell(&self) {
        if let Some(file) = &self.report {
            note(format_args!(
                "nothing was carried out, so no report was written to {}",
                file.display()
            ));
        }
    }
}

#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct Resume {
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    replan: Replan,
    /// With --replan, what the guests want; a simulated world has it by itself
    #[arg(long, value_name = "FILE", num_args = 1..)]
    load: Vec<PathBuf>,
    #[command(flatten)]
    reported: Reported,
}

pub(crate) fn resume(arguments: &Resume, place: &Place, json: bool) -> Result<Exit, Failure> {
    let Resume {
        pace,
        replan,
        load,
        reported,
    } = arguments;
    if !load.is_empty() && replan.replan == 0 {
        return Err(Failure::new(Exit::Usage, "--load goes with --replan"));
    }
    reported.ready()?;
    let load = (!load.is_empty()).then(|| read_all(load)).transpose()?;
    let load = load.map(|files| read_load(&files)).transpose()?;
    let lifted = release(&place.inhibit).map_err(|e| {
        let file = place.inhibit.display();
        Failure::new(Exit::Environment, format!("cannot remove {file}: {e}"))
    })?;
    if lifted {
        note("the pause is lifted");
    }
    if Journal::existing(&place.journal)?.is_none() {
        if lifted {
            return Ok(Exit::Done);
        }
        return Err(no_run(place));
    }
    let _lock = match take_lock(place, "resume") {
        Err(LockError::Held { by }) if lifted || waits_for_a_person(place)? => {
            let asked = connect(&place.socket)
                .and_then(|mut stream| ask(&mut stream, &Request::Unpause, |_| false));
            match asked {
                Ok(()) => {
                    note(format_args!("the executor goes on: {by}"));
                    replan.is_not_handed_over();
                    reported.nothing_to_tell();
                }
                Err(e) => {
                    return Err(LockError::Held {
                        by: format!("{by} ({e})"),
                    }
                    .into());
                }
            }
            return Ok(Exit::Done);
        }
        lock => lock?,
    };
    let mut journal = Journal::open(&place.journal)?;
    for run in journal.unfinished()? {
        let progress = run.progress();
        if progress.stopped.is_some() {
            let by = format!("process {}", std::process::id());
            let failures = progress.failures();
            journal.append(run.id, Event::Continued { by, failures })?;
        }
    }
    let mut runs = journal.unfinished()?;
    let newest = journal.newest()?;
    if runs.is_empty() && replan.replan > 0 {
        // One of which something was left is planned anew.
        let plans = |r: &Run| r.priority() == Priority::Consolidation;
        let left = |r: &Run| plans(r) && r.progress().finished == Some(false);
        runs.extend(newest.clone().filter(left));
    }
    if let Some(run) = runs.first() {
        let anew = match (&run.world, load) {
            (_, Some(load)) => load,
            (World::Simulated { load, .. }, None) => load.clone(),
            (World::Libvirt { .. }, None) if replan.replan > 0 => return Err(no_load()),
            (World::Libvirt { .. }, None) => Load::default(),
        };
        let manner = Manner {
            pace,
            reported,
            replan: *replan,
            load: &anew,
        };
        return carry_on(runs, None, manner, place, &mut journal, json);
    }
    match newest {
        None => Err(no_run(place)),
        Some(run) => {
            note("the last run is at its end already");
            super::status::show(place, None, reported, json)?;
            Ok(match run.progress().finished {
                Some(true) => Exit::Done,
                _ => Exit::PartlyDone,
            })
        }
    }
}

/// A plan is not made of nothing.
pub(super) fn no_load() -> Failure {
    Failure::new(
        Exit::Usage,
        "--replan needs --load, by which a new plan is made",
    )
    .hint("`vmpack load fetch` asks the probes for it")
}

/// Whether a run was stopped because too much went wrong.
fn waits_for_a_person(place: &Place) -> Result<bool, Failure> {
    let journal = Journal::existing(&place.journal)?;
    let open = journal.map(|j| j.unfinished()).transpose()?;
    let stopped = |r: &Run| r.progress().stopped.is_some();
    Ok(open.unwrap_or_default().iter().any(stopped))
}

fn no_run(place: &Place) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("there is no run in {}", place.journal.display()),
    )
    .hint("`vmpack-executor apply` begins one")
}

pub(super) fn take_lock(place: &Place, doing: &str) -> Result<Lock, LockError> {
    if let Some(folder) = place.lock.parent().filter(|f| !f.as_os_str().is_empty()) {
        // The journal makes it with its own mode; a failure shows when the lock's file is opened.
        let _ = crate::journal::make_folder(folder);
    }
    let who = format!(
        "process {} ({doing}) since {}",
        std::process::id(),
        jiff::Timestamp::now()
    );
    Lock::take((&place.lock, &place.journal), &who)
}

/// Those hosts, acted on from this machine with this journal.
pub(super) fn scene(
    hypervisor: Arc<dyn Hypervisor>,
    world: &World,
    place: &Place,
    journal: Option<&Journal>,
) -> Result<Scene, Failure> {
    let identity = journal.map_or(Ok(0), Journal::identity)?;
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let path = std::path::absolute(&place.journal).unwrap_or_else(|_| place.journal.clone());
    Ok(Scene {
        hypervisor,
        // Two machines may have one name, such as containers.
        controller: format!("{}:{}#{identity:08x}", machine.trim(), path.display()),
        wall: || Timestamp(jiff::Timestamp::now()),
        keeps_hours: matches!(world, World::Libvirt { .. }),
    })
}

/// How runs are carried out.
#[derive(Clone, Copy)]
pub(super) struct Manner<'a> {
    pub(super) pace: &'a Pace,
    pub(super) reported: &'a Reported,
    pub(super) replan: Replan,
    /// By which plans are made anew.
    pub(super) load: &'a Load,
}

/// Carries runs on that another process began; in that world, where it is said.
pub(super) fn carry_on(
    runs: Vec<Run>,
    world: Option<World>,
    manner: Manner<'_>,
    place: &Place,
    journal: &mut Journal,
    json: bool,
) -> Result<Exit, Failure> {
    let Some(run) = runs.first() else {
        return Err(Failure::new(Exit::Bug, "no run to carry on"));
    };
    let first = first_plan(&journal.chain(run.id)?);
    let before = first.map(|plan| plan.hosts.before).unwrap_or_default();
    let of_run = run.world.clone();
    let world = world.unwrap_or(of_run);
    Stage {
        scene: scene(world.reopen(&place.world)?, &world, place, Some(journal))?,
        world,
        runs,
        before,
        manner,
        place,
        json,
    }
    .conduct(journal)
}

/// Runs that are in the journal, and what they are carried out with.
pub(super) struct Stage<'a> {
    pub(super) scene: Scene,
    pub(super) world: World,
    pub(super) runs: Vec<Run>,
    /// The hosts in use at their beginning.
    pub(super) before: Vec<HostName>,
    pub(super) manner: Manner<'a>,
    pub(super) place: &'a Place,
    pub(super) json: bool,
}

impl Stage<'_> {
    /// Carries the runs out, and what is asked for meanwhile, and shows what came of them.
    pub(super) fn conduct(self, journal: &mut Journal) -> Result<Exit, Failure> {
        let mut display = Display::new(self.json);
        for run in &self.runs {
            if let Some(plan) = &run.progress().plan {
                display.add(run.id, plan);
            }
        }
        let failed = |e: std::io::Error| Failure::new(Exit::Environment, e.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let (handle, mut asks) = channel();
        let stopped = Arc::new(AtomicBool::new(false));
        let Manner { replan, load, .. } = self.manner;
        let anew = replan.anew(load, &stopped);
        let limits = |plan: &Plan| self.manner.pace.limits(plan, &self.world);
        let terms = Terms {
            world: self.world.clone(),
            limits: &limits,
            stays: false,
            inhibit: self.place.inhibit.clone(),
        };
        let end = runtime.block_on(async {
            signals(&handle, &stopped).map_err(failed)?;
            let _server =
                Server::open(&self.place.socket, &self.place.inhibit, handle).map_err(|e| {
                    Failure::new(
                        Exit::Environment,
                        format!("socket {}: {e}", self.place.socket.display()),
                    )
                })?;
            let hear = &mut |heard: Heard<'_>| display.hear(&heard);
            let (scene, desk) = (&self.scene, (&mut *journal, &mut asks));
            carry_through(scene, &self.runs, &terms, desk, hear, anew.as_ref())
                .await
                .map_err(|e| {
                    Failure::from(e).hint(
                        "no further migration was started; mend it, then `vmpack-executor resume`",
                    )
                })
        });
        display.close();
        let carried = end?;
        let mut own: Vec<RunId> = self.runs.iter().map(|r| r.id).collect();
        own.extend(carried.followed.values());
        let known = own.last().map(|run| journal.chain(*run)).transpose()?;
        let exit = self.sum_up(&own, &carried, &known.unwrap_or_default())?;
        self.manner.reported.write(journal, &own, exit)
    }

    /// `chain`: the newest of the runs and those that it followed.
    fn sum_up(&self, own: &[RunId], carried: &Carried, chain: &[Run]) -> Result<Exit, Failure> {
        let now = look(&*self.scene.hypervisor, &known(chain));
        let after = now.as_ref().ok().map(|now| now.cluster.hosts_in_use());
        let mut worst = Exit::Done;
        for run in own {
            let Some(progress) = carried.runs.get(run) else {
                continue;
            };
            let Some(plan) = &progress.plan else {
                continue;
            };
            let next = carried.followed.get(run);
            let mut left = match &now {
                // What is left of it is what its follower left.
                _ if next.is_some() => Vec::new(),
                Ok(now) => {
                    let silent = now.silent.iter().map(|host| {
                        format!(
                            "host {host} does not answer: how it and its guests are is not known"
                        )
                    });
                    let mut left = remaining(plan, progress, &now.cluster);
                    left.extend(silent);
                    left
                }
                Err(e) => vec![format!("where the guests are now cannot be seen: {e}")],
            };
            left.extend(carried.more_hosts(*run, after.as_deref()));
            let exit = if progress.finished == Some(true) && left.is_empty() {
                Exit::Done
            } else {
                Exit::PartlyDone
            };
            if exit != Exit::Done && next.is_none() {
                worst = exit;
            }
            let moves = lines(plan, progress);
            if self.json {
                out(serde_json::json!({
                    "event": "summary", "run": run, "exit": exit as u8, "finished": progress.finished,
                    "hosts_before": self.before.len(), "hosts_after": after.as_ref().map(Vec::len),
                    "hosts_in_use": after, "moves": moves, "remaining": left,
                    "planned_seconds": seconds(plan.time_claim.objective),
                    "bound_seconds": seconds(plan.time_claim.bound),
                    "followed_by": next,
                }));
                continue;
            }
            if moves.is_empty() {
                out("the plan moves no guest");
            } else {
                out(table(&moves).trim_end());
            }
            if let Some(next) = next {
                out(format_args!(
                    "what run {run} left was planned anew, as run {next}:"
                ));
                continue;
            }
            if let Some(after) = &after {
                out(in_use(&self.before, after));
            }
            if left.is_empty() {
                out("the plan's target is reached");
            } else {
                out("left to be done:");
                for what in left {
                    out(format_args!("  {what}"));
                }
            }
            match progress.finished {
                None if progress.stopped.is_some() => note(format_args!(
                    "stopped: {}; `vmpack-executor resume` goes on, `vmpack-executor abort` ends it",
                    progress.stopped.as_deref().unwrap_or_default()
                )),
                None => note(
                    "hint: `vmpack-executor resume` carries it on, `vmpack-executor abort` ends it",
                ),
                Some(false) if self.manner.replan.replan > 0 => {
                    note("hint: take a new snapshot and plan again for what is left");
                }
                Some(false) => note(
                    "hint: take a new snapshot and plan again for what is left; `apply --replan N` does so by itself",
                ),
                Some(true) => {}
            }
        }
        Ok(worst)
    }
}

/// The most hosts that are named.
const NAMES: usize = 12;

/// The hosts in use before and after, and those that are empty now.
fn in_use(before: &[HostName], after: &[HostName]) -> String {
    let empty = before.iter().filter(|h| !after.contains(h));
    let empty: Vec<&str> = empty.map(HostName::as_str).collect();
    let mut text = format!("hosts in use: {} -> {}", before.len(), after.len());
    if !empty.is_empty() {
        let names = empty.iter().take(NAMES).copied().collect::<Vec<_>>();
        text += &format!("; empty now: {}", names.join(", "));
    }
    if empty.len() > NAMES {
        text += &format!(" and {} more", empty.len() - NAMES);
    }
    text
}

/// Interrupts the holder, and a planning, for each SIGINT or SIGTERM, and once when the terminal hangs up: a shell and
/// the kernel may both tell of that, and it asks only to drain.
fn signals(handle: &Handle, stopped: &Arc<AtomicBool>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, handle) = (signal(kind)?, handle.clone());
        let stopped = Arc::clone(stopped);
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                stopped.store(true, Ordering::Relaxed);
                handle.interrupt();
            }
        });
    }
    if !hangups_are_ignored() {
        let (mut hangups, handle) = (signal(SignalKind::hangup())?, handle.clone());
        let stopped = Arc::clone(stopped);
        tokio::spawn(async move {
            if hangups.recv().await.is_some() {
                stopped.store(true, Ordering::Relaxed);
                handle.interrupt();
            }
        });
    }
    Ok(())
}

/// Whether the executor was started to outlive its terminal, by nohup(1) say.
fn hangups_are_ignored() -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangups(&status))
}

/// Reads `SigIgn` of proc_pid_status(5), a mask in hexadecimal whose lowest bit is signal 1, SIGHUP.
fn ignores_hangups(status: &str) -> bool {
    status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_tells_whether_hangups_are_ignored() {
        let status = |mask| format!("SigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0\n");
        assert!(ignores_hangups(&status("0000000000001001")));
        assert!(!ignores_hangups(&status("0000000000001000")));
        assert!(!ignores_hangups("Name:\tvmpack"));
    }
}
