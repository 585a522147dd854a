//! `vmpack regress`: plans every case file and compares with what it expects.

pub(crate) mod case;
mod compare;
mod junit;
mod verdict;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use vmpack_domain::check;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{Inputs, Source};
use vmpack_domain::plan::{Outcome, Plan};

use self::case::{Case, read_case};
use self::verdict::{Broken, Judged};
use super::arguments::RegressArguments;
use super::failure::{Failure, reason};
use super::plan::plan_of;
use super::screen::{Look, Screen, count};
use super::session::Session;
use super::table::table;
use super::{inputs, output, sources};

/// What became of one case.
#[derive(Debug, Clone, Serialize)]
struct CaseResult {
    case: String,
    ok: bool,
    status: &'static str,
    /// In use afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hosts_bound: Option<u32>,
    /// Cost of the hosts in use, as a plain number.
    #[serde(skip_serializing_if = "Option::is_none")]
    objective: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    moves: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    move_mib: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    move_mib_bound: Option<u64>,
    seconds: f64,
    /// What is not as expected.
    faults: Vec<String>,
}

/// The whole result as JSON.
#[derive(Serialize)]
struct Results<'a> {
    ok: bool,
    cases: &'a [CaseResult],
}

/// Runs the cases behind the paths.
pub(crate) fn run(arguments: &RegressArguments, session: &mut Session) -> Result<Exit, Failure> {
    if let [old, new] = arguments.compare.as_slice() {
        return compare::run([old, new], arguments, session);
    }
    let mut files = Vec::new();
    for path in &arguments.paths {
        find(path, &mut files)?;
    }
    if let Some(text) = &arguments.filter {
        files.retain(|f| f.to_string_lossy().contains(text.as_str()));
    }
    if files.is_empty() {
        return Err(Failure::input("no case file was found")
            .hint("a case is a file *.yaml with `kind: Case`; `--filter` may have left none"));
    }
    let mut cases = Vec::new();
    for file in &files {
        let source: Source = sources::open(file)?;
        cases.push((source.name.clone(), read_case(&source)?));
    }
    session.heed_interrupts();
    let mut results = Vec::new();
    for (name, case) in &cases {
        results.push(run_case(name, case, session));
        if session.stopped() {
            return Err(Failure::new(
                Exit::CheckFailed,
                format!("stopped after {}", count(results.len(), "case")),
            ));
        }
    }
    let failed = results.iter().filter(|r| !r.ok).count();
    if let Some(file) = &arguments.junit {
        output::write_whole(file, &junit::xml(&results))?;
    }
    if arguments.json {
        session.print_json(&Results {
            ok: failed == 0,
            cases: &results,
        })?;
    } else {
        let text = report(&results, session.screen);
        session.out.write_all(text.as_bytes())?;
    }
    Ok(if failed == 0 {
        Exit::Done
    } else {
        Exit::CheckFailed
    })
}

/// The case files of a path: itself, or those in the folder and below, sorted.
fn find(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    let unreadable = |e: std::io::Error| {
        Failure::input(format!("cannot read {}: {}", path.display(), reason(&e)))
    };
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            find(&entry, files)?;
        } else if sources::is_yaml(&entry) {
            files.push(entry);
        }
    }
    Ok(())
}

fn run_case(name: &str, case: &Case, session: &Session) -> CaseResult {
    tracing::info!("{name}");
    let began = Instant::now();
    let ending = end_of(case, session);
    let seconds = began.elapsed().as_secs_f64();
    let (ending, judged) = match ending {
        Ok((outcome, judged)) => (Ok(outcome), judged),
        Err(broken) => (Err(broken), Judged::default()),
    };
    let faults = verdict::faults(&case.expect, &ending, &judged);
    let plan = ending.as_ref().ok().and_then(plan_of);
    #[expect(clippy::cast_precision_loss, reason = "a small number of hosts")]
    let plain = |r: vmpack_domain::units::Sum| r.0 as f64 / 1000.0;
    CaseResult {
        case: name.to_owned(),
        ok: faults.is_empty(),
        status: verdict::status(&ending),
        hosts: plan.map(|p| p.hosts.after.len()),
        hosts_bound: plan.map(|p| p.claim.hosts_bound),
        moves: plan.map(|p| p.moves.len()),
        objective: plan.map(|p| plain(p.claim.objective)),
        bound: plan.map(|p| plain(p.claim.bound)),
        move_mib: plan.map(|p| p.move_claim.objective.0),
        move_mib_bound: plan.map(|p| p.move_claim.bound.0),
        seconds,
        faults,
    }
}

/// Plans a case and judges the plan. A panic of the planner is the case's failure, not the run's.
fn end_of(case: &Case, session: &Session) -> Result<(Outcome<Plan>, Judged), Broken> {
    let Inputs {
        cluster,
        load,
        policy,
        ..
    } = case.inputs().map_err(Broken::Input)?;
    let stop = || session.stopped();
    catch_unwind(AssertUnwindSafe(|| {
        let began = Instant::now();
        let (outcome, _) = inputs::timed_plan(&cluster, &load, &policy, &stop, &mut |_| {});
        let plan = plan_of(&outcome);
        let violations = plan.map(|plan| check::plan(&cluster, &load, &policy, plan));
        let ways_out = if case.expect.ways_out.is_some() {
            inputs::ways_out((&cluster, &load, &policy), began, &stop)
        } else {
            Vec::new()
        };
        let judged = Judged {
            violations: violations.unwrap_or_default(),
            ways_out: ways_out.into_iter().map(|way| way.text).collect(),
        };
        (outcome, judged)
    }))
    .map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        Broken::Bug(text.unwrap_or_else(|| "a panic".into()))
    })
}

fn report(results: &[CaseResult], screen: Screen) -> String {
    let number = |n: Option<String>| n.unwrap_or_else(|| "-".into());
    let rows = results.iter().map(|result| {
        [
            if result.ok { "ok" } else { "FAIL" }.to_owned(),
            result.case.clone(),
            result.status.to_owned(),
            number(result.objective.map(|n| n.to_string())),
            number(result.bound.map(|n| n.to_string())),
            number(result.move_mib.map(|n| n.to_string())),
            number(result.move_mib_bound.map(|n| n.to_string())),
            format!("{:.2}", result.seconds),
        ]
    });
    let header = [
        "", "case", "status", "hosts", "bound", "MiB", "bound", "seconds",
    ];
    let mut text = table(header, rows, 3..8);
    for result in results.iter().filter(|r| !r.ok) {
        text += &format!("\n{}:\n", screen.paint(Look::Bad, &result.case));
        for fault in &result.faults {
            text += &format!("  {fault}\n");
        }
    }
    let failed = results.iter().filter(|r| !r.ok).count();
    let seconds: f64 = results.iter().map(|r| r.seconds).sum();
    text + &format!(
        "\n{}, {failed} failed, {seconds:.1} s\n",
        count(results.len(), "case")
    )
}
