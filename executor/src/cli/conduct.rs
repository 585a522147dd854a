//! `apply` and `resume`: begin a run and carry it on.

use std::io::{BufRead, IsTerminal, Write};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use vmpack_domain::cluster::{Host, HostState};
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{read_cluster, read_load, read_plan};
use vmpack_domain::journal::{MoveState, Progress};
use vmpack_domain::plan::Plan;
use vmpack_domain::units::count;
use vmpack_domain::{Cluster, HostName, Load};
use vmpack_hypervisor::Hypervisor;

use super::display::Display;
use super::failure::Failure;
use super::files::{Place, read, read_all};
use super::say::{answer, note, out};
use super::summary::{lines, remaining, table};
use crate::carry::{Heard, Scene, carry};
use crate::decide::Limits;
use crate::journal::{Journal, Run};
use crate::lock::{Lock, LockError};
use crate::preflight::{Sightings, carried_out, preflight, well_formed};
use crate::world::World;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor apply plan.yaml --cluster cluster.yaml --dry-run
  vmpack-executor apply plan.yaml --cluster cluster.yaml
  vmpack-executor apply plan.yaml --cluster cluster.yaml --yes --json
  vmpack-executor apply plan.yaml --cluster cluster.yaml --simulated --load load.yaml --yes

Without --cluster, the cluster.yaml beside the plan is read. The hosts are reached by the `uri` of
each host in it (a snapshot has them). Ctrl-C finishes the migrations that run and starts no more;
`vmpack-executor resume` carries on.";

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// The plan, or - for standard input
    plan: PathBuf,
    /// The cluster's files or folders, instead of the cluster.yaml beside the plan; with --simulated
    /// they are the world at its start
    #[arg(long, value_name = "FILE", num_args = 1..)]
    cluster: Vec<PathBuf>,
    /// Show what would be done and whether it still can be, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    parallel: Resume,
    /// Act on a simulated world instead of real hosts
    #[arg(long)]
    simulated: bool,
    /// What the simulated guests do
    #[arg(long, value_name = "FILE", requires = "simulated", num_args = 1..)]
    load: Vec<PathBuf>,
    /// Simulated seconds per second; without it, simulated time jumps
    #[arg(long, value_name = "TIMES", requires = "simulated", value_parser = clap::value_parser!(u32).range(1..))]
    speed_up: Option<u32>,
    /// Of the simulation
    #[arg(long, requires = "simulated", default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Resume {
    /// Migrations at once, instead of as many as the plan's policy says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) parallel: Option<u16>,
}

impl Resume {
    fn limits(&self, plan: &Plan, world: &World) -> Limits {
        let policy = &plan.policy.migrations;
        let count = |n: NonZeroU32| usize::try_from(n.get()).unwrap_or(usize::MAX);
        Limits {
            parallel: self.parallel.map_or(count(policy.at_once), usize::from),
            per_host: count(policy.per_host),
            back_off: world.back_off(),
            ..Limits::default()
        }
    }
}

pub(crate) fn apply(arguments: &Apply, place: &Place, json: bool) -> Result<Exit, Failure> {
    let paths = [&arguments.plan].into_iter();
    let paths = paths.chain(&arguments.cluster).chain(&arguments.load);
    if paths.filter(|p| p.as_os_str() == "-").count() > 1 {
        return Err(Failure::new(
            Exit::Usage,
            "standard input is given twice as `-`",
        ));
    }
    let source = read(&arguments.plan)?;
    let plan = read_plan(&source)?;
    well_formed(&plan)
        .map_err(|what| Failure::new(Exit::BadInput, format!("{}: {what}", source.name)))?;
    let cluster = read_cluster(&read_all(&cluster_files(arguments)?)?)?;
    let world = if arguments.simulated {
        World::Simulated {
            cluster,
            load: if arguments.load.is_empty() {
                Load::default()
            } else {
                read_load(&read_all(&arguments.load)?)?
            },
            seed: arguments.seed,
            speed_up: arguments.speed_up,
        }
    } else {
        reachable(&cluster)?;
        World::Libvirt { cluster }
    };
    if arguments.dry_run {
        return rehearse(&plan, &world, json);
    }
    let asks = !arguments.yes && !plan.moves.is_empty();
    if asks && !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::new(
            Exit::Usage,
            "there is no terminal to ask whether the plan may be carried out",
        )
        .hint("say --yes, or --dry-run to see what would be done"));
    }
    // What is no journal is refused before anything is made beside it.
    Journal::existing(&place.journal)?;
    let _lock = take_lock(place, "apply")?;
    let mut journal = Journal::open(&place.journal)?;
    if let Some(run) = unfinished(&journal)? {
        if run.progress().plan.as_deref() != Some(&plan) {
            return Err(Failure::new(
                Exit::PartlyDone,
                format!(
                    "the run of another plan is unfinished in {}",
                    place.journal.display()
                ),
            )
            .hint("`vmpack-executor resume` carries it on, `vmpack-executor abort` ends it"));
        }
        if let Some(differs) = run.world.differs(&world) {
            return Err(Failure::new(
                Exit::PartlyDone,
                format!(
                    "this plan was begun otherwise and is unfinished in {}: {differs}",
                    place.journal.display()
                ),
            )
            .hint("`vmpack-executor resume` carries it on as it was begun, `vmpack-executor abort` ends it"));
        }
        if asks {
            show_rest(&plan, &run.progress());
            if !confirmed()? {
                note("nothing more was done");
                return Ok(Exit::PartlyDone);
            }
        }
        note("this plan was begun already and is carried on");
        // They may differ in how fast simulated time goes by.
        let run = Run { world, ..run };
        return carry_on(&run, &arguments.parallel, place, &mut journal, json);
    }
    let hypervisor = world.open(&place.world)?;
    let Some(now) = fits(&plan, hypervisor.as_ref(), json)? else {
        return Ok(Exit::Done);
    };
    if asks {
        show(&plan);
        if !confirmed()? {
            note("nothing was done");
            return Ok(Exit::Done);
        }
    }
    let accepted = journal.accept(&plan, file_of(arguments).as_deref(), &world)?;
    let begun = Begun {
        progress: Progress::fold([&accepted.event]),
        before: now.hosts_in_use(),
        limits: arguments.parallel.limits(&plan, &world),
        scene: Scene {
            hypervisor,
            plan: Arc::new(plan),
        },
    };
    conduct(begun, &mut journal, json)
}

/// The plan's file, as it is found from anywhere.
fn file_of(arguments: &Apply) -> Option<String> {
    let file = std::path::absolute(&arguments.plan).ok()?;
    (arguments.plan.as_os_str() != "-").then(|| file.display().to_string())
}

fn cluster_files(arguments: &Apply) -> Result<Vec<PathBuf>, Failure> {
    if !arguments.cluster.is_empty() {
        return Ok(arguments.cluster.clone());
    }
    let beside = arguments.plan.with_file_name("cluster.yaml");
    if beside.is_file() {
        return Ok(vec![beside]);
    }
    Err(Failure::new(
        Exit::Usage,
        format!(
            "which hosts is not said: there is no {} beside the plan",
            beside.display()
        ),
    )
    .hint("name the cluster file with --cluster"))
}

/// Real hosts that are there must say how they are reached.
fn reachable(cluster: &Cluster) -> Result<(), Failure> {
    let there = |h: &&Host| matches!(h.state, HostState::On | HostState::Drain);
    match cluster
        .hosts
        .iter()
        .filter(there)
        .find(|h| h.uri.is_none())
    {
        None => Ok(()),
        Some(host) => Err(Failure::new(
            Exit::BadInput,
            format!(
                "host {} has no `uri` in the cluster file, expected a libvirt URI such as qemu+tls://{}/system",
                host.name, host.name
            ),
        )
        .hint("`vmpack-executor snapshot` writes it; --simulated needs none")),
    }
}

pub(crate) fn resume(arguments: &Resume, place: &Place, json: bool) -> Result<Exit, Failure> {
    let _lock = match Journal::existing(&place.journal)? {
        Some(_) => take_lock(place, "resume")?,
        None => return Err(no_run(place)),
    };
    let mut journal = Journal::open(&place.journal)?;
    match journal.newest()? {
        None => Err(no_run(place)),
        Some(run) if run.progress().finished.is_some() => {
            note("the last run is at its end already");
            super::status::show(place, None, json)?;
            Ok(match run.progress().finished {
                Some(true) => Exit::Done,
                _ => Exit::PartlyDone,
            })
        }
        Some(run) => carry_on(&run, arguments, place, &mut journal, json),
    }
}

fn no_run(place: &Place) -> Failure {
    Failure::new(
        Exit::Usage,
        format!("there is no run in {}", place.journal.display()),
    )
    .hint("`vmpack-executor apply` begins one")
}

pub(super) fn unfinished(journal: &Journal) -> Result<Option<Run>, Failure> {
    Ok(journal
        .newest()?
        .filter(|r| r.progress().finished.is_none()))
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
    Lock::take(&place.lock, &who)
}

/// The hosts as they are now if the plan still fits them, or `None` when it was carried out already.
/// That it does not fit is a failure with all that changed.
fn fits(plan: &Plan, hypervisor: &dyn Hypervisor, json: bool) -> Result<Option<Cluster>, Failure> {
    let now = hypervisor.snapshot()?;
    if carried_out(plan, &now) {
        let in_use = now.hosts_in_use();
        if json {
            out(serde_json::json!({ "event": "carried-out-already", "hosts_in_use": in_use }));
        } else {
            out("already carried out: every guest is where the plan puts it");
        }
        return Ok(None);
    }
    let mut seen = Sightings::new();
    for mv in &plan.moves {
        if !seen.contains_key(&mv.guest) {
            seen.insert(mv.guest.clone(), hypervisor.locate(&mv.guest).seen);
        }
    }
    let changes = preflight(plan, &now, &seen);
    if changes.is_empty() {
        return Ok(Some(now));
    }
    if json {
        out(serde_json::json!({ "event": "stale", "changes": changes }));
    }
    let all: Vec<String> = changes.iter().map(|c| format!("\n  {c}")).collect();
    Err(Failure::new(
        Exit::StalePlan,
        format!("the plan is stale, nothing was done:{}", all.concat()),
    )
    .hint("take a new snapshot and plan again"))
}

/// `--dry-run`.
fn rehearse(plan: &Plan, world: &World, json: bool) -> Result<Exit, Failure> {
    let Some(now) = fits(plan, world.look()?.as_ref(), json)? else {
        return Ok(Exit::Done);
    };
    if json {
        let moves = lines(plan, &Progress::default());
        let rehearsed = serde_json::json!({
            "event": "rehearsed", "hosts_before": now.hosts_in_use().len(),
            "hosts_after": plan.hosts.after.len(), "moves": moves,
        });
        answer(format_args!("{rehearsed}\n"))?;
    } else {
        let moves = table(&lines(plan, &Progress::default()));
        answer(format_args!("{moves}{}\n", intent(plan)))?;
    }
    Ok(Exit::Done)
}

/// What the plan comes to, in a line.
fn intent(plan: &Plan) -> String {
    let (before, after) = (plan.hosts.before.len(), plan.hosts.after.len());
    if plan.moves.is_empty() {
        return format!("the plan moves no guest; hosts in use: {before} -> {after}");
    }
    let memory: vmpack_domain::units::MiB = plan.moves.iter().map(|m| m.memory).sum();
    let end = plan.moves.iter().map(|m| m.start.0 + m.duration.0).max();
    format!(
        "{}, {memory} of memory, about {}s as planned; hosts in use: {before} -> {after}",
        count(plan.moves.len(), "move"),
        end.unwrap_or(0).div_ceil(1_000_000),
    )
}

fn show(plan: &Plan) {
    let moves = table(&lines(plan, &Progress::default()));
    note(format_args!("{moves}{}", intent(plan)));
}

/// What of a run that was begun is not at its end.
fn show_rest(plan: &Plan, progress: &Progress) {
    let ended = |s: &MoveState| matches!(s, MoveState::Moved { .. } | MoveState::Skipped { .. });
    let mut rest = lines(plan, progress);
    rest.retain(|line| !ended(&line.state));
    note(format_args!(
        "this plan was begun already; of its {} there remain {}:\n{}",
        count(plan.moves.len(), "move"),
        rest.len(),
        table(&rest).trim_end()
    ));
}

fn confirmed() -> Result<bool, Failure> {
    let failed = |e: std::io::Error| Failure::new(Exit::Environment, format!("the terminal: {e}"));
    let mut terminal = std::io::stderr();
    write!(terminal, "carry it out? [y/N] ")
        .and_then(|()| terminal.flush())
        .map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(failed)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// Carries a run on that another process began.
pub(super) fn carry_on(
    run: &Run,
    pace: &Resume,
    place: &Place,
    journal: &mut Journal,
    json: bool,
) -> Result<Exit, Failure> {
    let progress = run.progress();
    let Some(plan) = progress.plan.clone() else {
        return Err(Failure::new(Exit::Bug, "a run without a plan"));
    };
    let begun = Begun {
        progress,
        before: plan.hosts.before.clone(),
        limits: pace.limits(&plan, &run.world),
        scene: Scene {
            hypervisor: run.world.reopen(&place.world)?,
            plan: Arc::new(*plan),
        },
    };
    conduct(begun, journal, json)
}

/// A run that is in the journal.
struct Begun {
    scene: Scene,
    progress: Progress,
    /// The hosts in use at its beginning.
    before: Vec<HostName>,
    limits: Limits,
}

/// Carries a run out and shows what came of it.
fn conduct(begun: Begun, journal: &mut Journal, json: bool) -> Result<Exit, Failure> {
    let Begun {
        scene,
        progress,
        before,
        limits,
    } = begun;
    let plan = &scene.plan;
    let mut display = Display::new(plan, json);
    let failed = |e: std::io::Error| Failure::new(Exit::Environment, e.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let end = runtime.block_on(async {
        let mut interrupts = signals().map_err(failed)?;
        let hear = &mut |heard: Heard<'_>| display.hear(&heard);
        carry(&scene, progress, &limits, journal, &mut interrupts, hear)
            .await
            .map_err(|e| {
                Failure::from(e).hint(
                    "no further migration was started; mend it, then `vmpack-executor resume`",
                )
            })
    });
    display.close();
    let progress = end?;
    let (after, left) = match scene.hypervisor.snapshot() {
        Ok(now) => (Some(now.hosts_in_use()), remaining(plan, &progress, &now)),
        Err(e) => (
            None,
            vec![format!("where the guests are now cannot be seen: {e}")],
        ),
    };
    let exit = if progress.finished == Some(true) && left.is_empty() {
        Exit::Done
    } else {
        Exit::PartlyDone
    };
    let moves = lines(plan, &progress);
    if json {
        out(serde_json::json!({
            "event": "summary", "exit": exit as u8, "finished": progress.finished,
            "hosts_before": before.len(), "hosts_after": after.as_ref().map(Vec::len),
            "hosts_in_use": after, "moves": moves, "remaining": left,
        }));
        return Ok(exit);
    }
    if moves.is_empty() {
        out("the plan moves no guest");
    } else {
        out(table(&moves).trim_end());
    }
    if let Some(after) = after {
        out(in_use(&before, &after));
    }
    if left.is_empty() {
        out("the plan's target is reached");
    } else {
        out("remaining:");
        for what in left {
            out(format_args!("  {what}"));
        }
    }
    match progress.finished {
        None => {
            note("hint: `vmpack-executor resume` carries it on, `vmpack-executor abort` ends it")
        }
        Some(false) => note("hint: take a new snapshot and plan again for what is left"),
        Some(true) => {}
    }
    Ok(exit)
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

/// One message for each SIGINT or SIGTERM, and one when the terminal hangs up: a shell and the
/// kernel may both tell of that, and it asks only to drain.
fn signals() -> std::io::Result<mpsc::UnboundedReceiver<()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (tell, hear) = mpsc::unbounded_channel();
    for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
        let (mut signals, tell) = (signal(kind)?, tell.clone());
        tokio::spawn(
            async move { while signals.recv().await.is_some() && tell.send(()).is_ok() {} },
        );
    }
    if !hangups_are_ignored() {
        let mut hangups = signal(SignalKind::hangup())?;
        tokio::spawn(async move {
            if hangups.recv().await.is_some() {
                // The receiver is gone when the run is at its end.
                let _ = tell.send(());
            }
        });
    }
    Ok(hear)
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
