//! Reads what a plan is made from, and runs the search on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use vmpack_domain::file::{Inputs, Source, read_inputs};
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::units::Micros;
use vmpack_domain::{Certificate, Cluster, Load, Policy};
use vmpack_planner::WayOut;
use vmpack_planner::search::{Search, Step};

use super::arguments::{InputArguments, LimitArguments};
use super::failure::Failure;
use super::session::Session;
use super::sources;
use super::talk::Progress;

/// All inputs, merged and cross-checked; oddities are told on standard error.
pub(crate) fn read(
    paths: &InputArguments,
    limits: &LimitArguments,
    session: &mut Session,
) -> Result<Inputs, Failure> {
    read_with_sources(paths, limits, session).map(|(inputs, _)| inputs)
}

/// The texts that a cluster and its load were read from.
pub(crate) struct Texts {
    pub(crate) cluster: Vec<Source>,
    pub(crate) load: Vec<Source>,
}

/// As [`read`], with the texts, against which more can be checked.
pub(crate) fn read_with_sources(
    paths: &InputArguments,
    limits: &LimitArguments,
    session: &mut Session,
) -> Result<(Inputs, Texts), Failure> {
    let cluster = sources::read(&paths.cluster, &mut session.stdin)?;
    let load = sources::read(&paths.load, &mut session.stdin)?;
    let policy = sources::read(&paths.policy, &mut session.stdin)?;
    let mut inputs = read_inputs(&cluster, &load, &policy)?;
    limits.apply(&mut inputs.policy);
    for warning in &inputs.warnings {
        writeln!(session.err, "warning: {warning}")?;
    }
    Ok((inputs, Texts { cluster, load }))
}

/// Refuses to write results over what they are made from, or over one another.
pub(crate) fn spare(inputs: &InputArguments, files: &[&Path]) -> Result<(), Failure> {
    spare_of([&inputs.cluster, &inputs.load, &inputs.policy], files)
}

/// As [`spare`], of whatever is read.
pub(crate) fn spare_of<'a>(
    read: impl IntoIterator<Item = &'a Vec<PathBuf>>,
    files: &[&Path],
) -> Result<(), Failure> {
    let same = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let mut taken = BTreeSet::new();
    for path in read.into_iter().flatten() {
        if path.as_os_str() != "-" {
            taken.extend(sources::files(path)?.iter().map(|file| same(file)));
        }
    }
    for path in files {
        // What is no regular file is written into and not replaced.
        let replaced = std::fs::metadata(path).map_or(true, |m| m.is_file());
        if replaced && !taken.insert(same(path)) {
            return Err(Failure::usage(format!(
                "{} is read or written already, expected another file for a result",
                path.display()
            )));
        }
    }
    Ok(())
}

impl LimitArguments {
    /// What was given on the command line wins over the policy's limits.
    pub(super) fn apply(&self, policy: &mut Policy) {
        let limits = &mut policy.limits;
        limits.nodes = self.nodes.or(limits.nodes);
        limits.prefer_nodes();
        limits.time = self.time_limit.unwrap_or(limits.time);
        limits.seed = self.seed.unwrap_or(limits.seed);
    }
}

/// Plans, with progress on standard error and heed of Ctrl-C; also the seconds that it took.
pub(crate) fn plan(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    session: &mut Session,
) -> Planned {
    session.heed_interrupts();
    let mut progress = Progress::new(session.progress);
    let stop = || session.stopped();
    let mut certificate = None;
    let began = Instant::now();
    let mut hosts_seconds = None;
    let (outcome, seconds) = timed_plan(cluster, load, policy, &stop, &mut |step| match step {
        Step::Certified(found) => certificate = Some(*found),
        step => {
            if step == Step::Phase("moves") {
                hosts_seconds = Some(began.elapsed().as_secs_f64());
            }
            progress.hear(step);
        }
    });
    let ways_out = match &outcome {
        Outcome::Infeasible(_) => ways_out((cluster, load, policy), began, &stop),
        _ => Vec::new(),
    };
    progress.end();
    Planned {
        outcome,
        seconds,
        hosts_seconds,
        certificate,
        ways_out,
    }
}

/// What planning came to.
pub(crate) struct Planned {
    pub(crate) outcome: Outcome<Plan>,
    /// Time that it took.
    pub(crate) seconds: f64,
    /// The part of it that went to the hosts, where moves were sought too.
    pub(crate) hosts_seconds: Option<f64>,
    /// Of the bound on the hosts, where there is one.
    pub(crate) certificate: Option<Certificate>,
    /// Where there is no placement: changes under which there is one.
    pub(crate) ways_out: Vec<WayOut>,
}

/// The ways out of inputs without a placement, within the limits of a search that began then.
pub(crate) fn ways_out(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    began: Instant,
    stop: &dyn Fn() -> bool,
) -> Vec<WayOut> {
    let search = &mut Search {
        elapsed: &|| micros(began),
        stop,
        report: &mut |_| {},
    };
    vmpack_planner::ways_out(cluster, load, policy, search)
}

/// Time since then.
pub(super) fn micros(began: Instant) -> Micros {
    Micros(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX))
}

/// Plans against the wall clock.
pub(crate) fn timed_plan(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    stop: &dyn Fn() -> bool,
    report: &mut dyn FnMut(Step),
) -> (Outcome<Plan>, f64) {
    let began = Instant::now();
    let elapsed = || micros(began);
    let outcome = vmpack_planner::plan(
        cluster,
        load,
        policy,
        &mut Search {
            elapsed: &elapsed,
            stop,
            report,
        },
    );
    (outcome, began.elapsed().as_secs_f64())
}
