//! `apply`: begin a run, or hand it to the holder at work.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use vmpack_domain::check;
use vmpack_domain::cluster::Host;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{read_cluster, read_load, read_plan};
use vmpack_domain::journal::{MoveState, Priority, Progress, RunId};
use vmpack_domain::plan::Plan;
use vmpack_domain::units::count;
use vmpack_domain::{Cluster, Load};

use super::conduct::{Manner, Pace, Reported, Stage, carry_on, no_load, scene, take_lock};
use super::failure::Failure;
use super::files::{Place, read, read_all};
use super::hand_over::hand_over;
use super::planning::Replan;
use super::say::{self, answer, note, out};
use super::summary::{lines, table};
use crate::admit::{Admission, Ask, admit};
use crate::attempt::Scene;
use crate::journal::{Journal, Run};
use crate::lock::LockError;
use crate::preflight::well_formed;
use crate::reverse::reverse;
use crate::world::World;

pub(crate) const EXAMPLES: &str = "\
Examples:
  vmpack-executor apply plan.yaml --cluster cluster.yaml --dry-run
  vmpack-executor apply plan.yaml --cluster cluster.yaml
  vmpack-executor apply plan.yaml --cluster cluster.yaml --yes --json
  vmpack-executor apply plan.yaml --cluster cluster.yaml --report done.html
  vmpack-executor apply plan.yaml --cluster cluster.yaml --replan 2 --load load.yaml
  vmpack-executor apply plan.yaml --cluster cluster.yaml --simulated --load load.yaml --yes
  vmpack-executor apply --reverse /var/lib/vmpack/journal.db --cluster cluster.yaml --load load.yaml

Without --cluster, the cluster.yaml beside the plan is read. The hosts are reached by the `uri` of
each host in it (a snapshot has them). Ctrl-C finishes the migrations that run and starts no more;
`vmpack-executor resume` carries on. While another executor is at work with the same journal, the plan
is handed to it and followed; Ctrl-C then only ends the following.

A guest whose move fails for good stays where it is, what depends on that move is skipped, and the rest
goes on. With --replan N the rest is then planned anew from the hosts as they are, by the plan's policy
and that load; the new plan is in the journal with what it is for. In all no more moves are made than the
first plan has. No plan is made around a guest that is stuck or lost, after an abort, or once as many moves
failed as `stop-after` says; hosts that do not answer are planned around. The exit code is 0 where the
last plan is carried out and no more hosts are in use than the first one said, else 7.";

#[derive(Debug, clap::Args)]
pub(crate) struct Apply {
    /// The plan, or - for standard input
    #[arg(required_unless_present = "reverse")]
    plan: Option<PathBuf>,
    /// Instead of a plan, the way back of the newest run in that journal: what happened of it is taken
    /// back, on the hosts as they are now; with it that of the runs whose rest it was planned for by --replan
    #[arg(long, value_name = "JOURNAL", conflicts_with_all = ["plan", "replan"])]
    reverse: Option<PathBuf>,
    /// With --reverse: the run to take back, instead of the newest; what is taken back of it already stays so
    #[arg(
        long,
        value_name = "RUN",
        requires = "reverse",
        conflicts_with = "plan"
    )]
    run: Option<i64>,
    /// The cluster's files or folders, instead of the cluster.yaml beside the plan; with --simulated
    /// they are the world at its start
    #[arg(long, value_name = "FILE", num_args = 1..)]
    cluster: Vec<PathBuf>,
    /// Show what would be done and whether it still can be, and do nothing
    #[arg(long, conflicts_with = "report")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    pace: Pace,
    #[command(flatten)]
    replan: Replan,
    #[command(flatten)]
    reported: Reported,
    /// Act on a simulated world instead of real hosts
    #[arg(long)]
    simulated: bool,
    /// What the simulated guests do; with --reverse, the load by which the way back is judged; with
    /// --replan, the one by which plans are made anew
    #[arg(long, value_name = "FILE", num_args = 1..)]
    load: Vec<PathBuf>,
    /// Simulated seconds per second; without it, simulated time jumps
    #[arg(long, value_name = "TIMES", requires = "simulated", value_parser = clap::value_parser!(u32).range(1..))]
    speed_up: Option<u32>,
    /// Of the simulation
    #[arg(long, requires = "simulated", default_value_t = 1)]
    seed: u64,
}

/// What was asked for, read.
pub(super) struct Asked {
    pub(super) plan: Plan,
    pub(super) file: Option<String>,
    pub(super) world: World,
    pub(super) load: Load,
    /// Whether the plan is a way back.
    pub(super) reverses: bool,
}

pub(crate) fn apply(arguments: &Apply, place: &Place, json: bool) -> Result<Exit, Failure> {
    let asked = asked(arguments)?;
    if arguments.dry_run {
        return rehearse(&asked, place, json);
    }
    arguments.reported.ready()?;
    let asks = !arguments.yes && !asked.plan.moves.is_empty();
    if asks && !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Failure::new(
            Exit::Usage,
            "there is no terminal to ask whether the plan may be carried out",
        )
        .hint("say --yes, or --dry-run to see what would be done"));
    }
    // What is no journal is refused before anything is made beside it.
    Journal::existing(&place.journal)?;
    let held = match take_lock(place, "apply") {
        Err(LockError::Held { by }) => by,
        Err(e) => return Err(e.into()),
        Ok(_lock) => return begin(arguments, asked, place, (asks, json)),
    };
    if asks {
        show(&asked.plan);
        if !confirmed()? {
            note("nothing was done");
            return Ok(Exit::Done);
        }
    }
    arguments.replan.is_not_handed_over();
    hand_over(asked, &held, place, &arguments.reported, json)
}

fn asked(arguments: &Apply) -> Result<Asked, Failure> {
    let replans = arguments.replan.replan > 0;
    if !(arguments.load.is_empty() || arguments.simulated || replans || arguments.reverse.is_some())
    {
        return Err(Failure::new(
            Exit::Usage,
            "--load goes with --simulated, --replan or --reverse",
        ));
    }
    if replans && arguments.load.is_empty() && !arguments.simulated {
        return Err(no_load());
    }
    let paths = arguments.plan.iter();
    let paths = paths.chain(&arguments.cluster).chain(&arguments.load);
    if paths.filter(|p| p.as_os_str() == "-").count() > 1 {
        return Err(Failure::new(
            Exit::Usage,
            "standard input is given twice as `-`",
        ));
    }
    // The plan's faults are told before those of what goes with it.
    let plan = match &arguments.plan {
        None => None,
        Some(path) => {
            let source = read(path)?;
            let plan = read_plan(&source)?;
            well_formed(&plan)
                .map_err(|what| Failure::new(Exit::BadInput, format!("{}: {what}", source.name)))?;
            Some(plan)
        }
    };
    let cluster = read_cluster(&read_all(&cluster_files(arguments)?)?)?;
    let load = if arguments.load.is_empty() {
        Load::default()
    } else {
        read_load(&read_all(&arguments.load)?)?
    };
    let world = if arguments.simulated {
        World::Simulated {
            cluster,
            load: load.clone(),
            seed: arguments.seed,
            speed_up: arguments.speed_up,
        }
    } else {
        reachable(&cluster)?;
        World::Libvirt { cluster }
    };
    let plan = match (plan, &arguments.reverse) {
        (Some(plan), _) => plan,
        (None, Some(journal)) => way_back(journal, arguments.run.map(RunId), &world, &load)?,
        (None, None) => return Err(Failure::new(Exit::Usage, "there is no plan")),
    };
    Ok(Asked {
        plan,
        file: file_of(arguments),
        world,
        load,
        reverses: arguments.reverse.is_some(),
    })
}

/// Begins the plan, or carries it on where it was begun. This process has the lock.
fn begin(
    arguments: &Apply,
    asked: Asked,
    place: &Place,
    (asks, json): (bool, bool),
) -> Result<Exit, Failure> {
    let Asked {
        plan,
        file,
        world,
        load,
        reverses,
    } = asked;
    let manner = Manner {
        pace: &arguments.pace,
        reported: &arguments.reported,
        replan: arguments.replan,
        load: &load,
    };
    let mut journal = Journal::open(&place.journal)?;
    let unfinished = journal.unfinished()?;
    if !unfinished.is_empty() {
        let run = the_same(&unfinished, &plan, &world, place)?;
        if asks {
            show_rest(&plan, &run.progress());
            if !confirmed()? {
                note("nothing more was done");
                return Ok(Exit::PartlyDone);
            }
        }
        note("this plan was begun already and is carried on");
        // They may differ in how fast simulated time goes by.
        return carry_on(unfinished, Some(world), manner, place, &mut journal, json);
    }
    let scene = scene(world.open(&place.world)?, &world, place, Some(&journal))?;
    let Some(now) = fits(&plan, &scene, json)? else {
        arguments.reported.nothing_to_tell();
        return Ok(Exit::Done);
    };
    if asks {
        show(&plan);
        if !confirmed()? {
            note("nothing was done");
            return Ok(Exit::Done);
        }
    }
    let accepted = if reverses {
        journal.accept_reverse(&plan, &world)?
    } else {
        journal.accept(&plan, file.as_deref(), Priority::Consolidation, &world)?
    };
    let run = Run {
        id: accepted.run,
        world: world.clone(),
        entries: vec![accepted],
    };
    Stage {
        scene,
        world,
        runs: vec![run],
        before: now.hosts_in_use(),
        manner,
        place,
        json,
    }
    .conduct(&mut journal)
}

/// The one of the unfinished runs that is of that plan, in that world.
fn the_same<'a>(
    unfinished: &'a [Run],
    plan: &Plan,
    world: &World,
    place: &Place,
) -> Result<&'a Run, Failure> {
    let same = |r: &&Run| r.progress().plan.as_deref() == Some(plan);
    let journal = place.journal.display();
    let Some(run) = unfinished.iter().find(same) else {
        return Err(Failure::new(
            Exit::PartlyDone,
            format!("the run of another plan is unfinished in {journal}"),
        )
        .hint("`vmpack-executor resume` carries it on, `vmpack-executor abort` ends it"));
    };
    match run.world.differs(world) {
        None => Ok(run),
        Some(differs) => Err(Failure::new(
            Exit::PartlyDone,
            format!("this plan was begun otherwise and is unfinished in {journal}: {differs}"),
        )
        .hint("`vmpack-executor resume` carries it on as it was begun, `vmpack-executor abort` ends it")),
    }
}

/// The way back of that run in a journal, or of the newest, judged like any plan.
fn way_back(
    journal: &Path,
    wanted: Option<RunId>,
    world: &World,
    load: &Load,
) -> Result<Plan, Failure> {
    let none = || {
        Failure::new(
            Exit::BadInput,
            format!("there is no run in {}", journal.display()),
        )
    };
    let kept = Journal::existing(journal)?.ok_or_else(none)?;
    let run = match wanted {
        Some(wanted) => wanted,
        None => {
            let newest = kept.newest()?.ok_or_else(none)?;
            if newest.reverses() {
                let newest = newest.id;
                let error = format!("run {newest}, the newest, is itself a way back");
                return Err(Failure::new(Exit::BadInput, error).hint(format!(
                    "`--run {newest}` takes that back, `--run N` the rest of run N, which it is to take back"
                )));
            }
            newest.id
        }
    };
    let now = world.look()?.snapshot()?;
    if kept.run(run)?.is_none() {
        let error = format!("there is no run {run} in {}", journal.display());
        return Err(Failure::new(Exit::BadInput, error));
    }
    let chain = kept.chain(run)?;
    if let [first, .., last] = chain.as_slice() {
        note(format_args!(
            "runs {} to {} are taken back together: each was planned for what the one before left",
            first.id, last.id
        ));
    }
    let plan = reverse(&chain, &now, load)
        .map_err(|why| Failure::new(Exit::BadInput, format!("{}: {why}", journal.display())))?;
    let violations = check::plan(&now, load, &plan.policy, &plan);
    if violations.is_empty() {
        return Ok(plan);
    }
    let all: Vec<String> = violations.iter().map(|v| format!("\n  {v}")).collect();
    Err(Failure::new(
        Exit::CheckFailed,
        format!(
            "the way back does not keep the policy of the run:{}",
            all.concat()
        ),
    )
    .hint("plan anew from a fresh snapshot; --load says what guests want, which else count at all their vCPUs"))
}

/// The plan's file, as it is found from anywhere.
fn file_of(arguments: &Apply) -> Option<String> {
    let plan = arguments.plan.as_ref()?;
    let file = std::path::absolute(plan).ok()?;
    (plan.as_os_str() != "-").then(|| file.display().to_string())
}

fn cluster_files(arguments: &Apply) -> Result<Vec<PathBuf>, Failure> {
    if !arguments.cluster.is_empty() {
        return Ok(arguments.cluster.clone());
    }
    let beside = arguments.plan.as_ref().or(arguments.reverse.as_ref());
    let beside = beside.map_or_else(PathBuf::new, |p| p.with_file_name("cluster.yaml"));
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
    let there = |h: &&Host| h.state.is_awake();
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

/// The hosts as they are now if the plan still fits them, or `None` when it was carried out already.
/// That it does not fit is a failure with all that changed.
fn fits(plan: &Plan, scene: &Scene, json: bool) -> Result<Option<Cluster>, Failure> {
    match admit(scene, plan, Ask::All) {
        Ok(Admission::Fits(now)) => Ok(Some(now)),
        Ok(Admission::CarriedOut(now)) => {
            let in_use = now.hosts_in_use();
            if json {
                out(serde_json::json!({ "event": "carried-out-already", "hosts_in_use": in_use }));
            } else {
                out("already carried out: every guest is where the plan puts it");
            }
            Ok(None)
        }
        Err(refusal) => {
            if json && !refusal.changes.is_empty() {
                out(serde_json::json!({ "event": "stale", "changes": refusal.changes }));
            }
            Err(refusal.into())
        }
    }
}

/// `--dry-run`.
fn rehearse(asked: &Asked, place: &Place, json: bool) -> Result<Exit, Failure> {
    let plan = &asked.plan;
    let journal = Journal::existing(&place.journal)?;
    let scene = scene(asked.world.look()?, &asked.world, place, journal.as_ref())?;
    let Some(now) = fits(plan, &scene, json)? else {
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
    say::finish();
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
