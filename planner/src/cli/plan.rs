//! `vmpack plan`.

use std::path::Path;

use vmpack_domain::Plan;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::write_plan;
use vmpack_domain::plan::Outcome;
use vmpack_planner::summary;

use super::arguments::PlanArguments;
use super::failure::Failure;
use super::session::Session;
use super::{inputs, output, report};

/// Plans, writes the plan and tells of it.
pub(crate) fn run(arguments: &PlanArguments, session: &mut Session) -> Result<Exit, Failure> {
    let to_stdout = arguments.output.as_deref() == Some(Path::new("-"));
    if to_stdout && arguments.json {
        return Err(Failure::usage(
            "`--output -` and `--json` both ask for standard output, expected one of them",
        ));
    }
    let inputs = inputs::read(&arguments.inputs, &arguments.limits, session)?;
    let (cluster, load, policy) = (&inputs.cluster, &inputs.load, &inputs.policy);
    let (outcome, seconds) = inputs::plan(cluster, load, policy, session);
    let summary = summary(cluster, load, policy, &outcome, seconds);
    let plan = plan_of(&outcome);
    let mut written = None;
    if let (Some(plan), Some(path)) = (plan, &arguments.output) {
        let text = write_plan(plan);
        if to_stdout {
            session.out.write_all(text.as_bytes())?;
        } else {
            output::write_whole(path, &text)?;
            written = Some(path.as_path());
        }
    }
    if session.stopped() && plan.is_some() {
        writeln!(session.err, "stopped; this is the best so far")?;
    }
    if arguments.json {
        session.print_json(&summary)?;
    } else {
        let text = report::plan(&summary, plan, session.screen);
        if to_stdout {
            session.err.write_all(text.as_bytes())?;
        } else {
            session.out.write_all(text.as_bytes())?;
        }
    }
    match (written, plan) {
        (Some(path), _) => {
            let path = path.display();
            writeln!(
                session.err,
                "wrote {path}; next: vmpack apply {path} --dry-run"
            )?;
        }
        (None, None) if arguments.output.is_some() => {
            writeln!(session.err, "no plan was written")?;
        }
        _ => {}
    }
    Ok(exit(&outcome, arguments.detailed_exitcode))
}

/// The plan in an outcome, if there is one.
pub(crate) fn plan_of(outcome: &Outcome<Plan>) -> Option<&Plan> {
    match outcome {
        Outcome::Optimal(plan) | Outcome::Feasible(plan) => Some(plan),
        Outcome::Infeasible(_) | Outcome::NoAnswer { .. } => None,
    }
}

/// How planning ended, as an exit code.
pub(crate) fn exit(outcome: &Outcome<Plan>, detailed: bool) -> Exit {
    match outcome {
        Outcome::Optimal(plan) | Outcome::Feasible(plan) => {
            let idle = plan.moves.is_empty() && plan.starts.is_empty();
            if detailed && !idle {
                Exit::MovesProposed
            } else {
                Exit::Done
            }
        }
        Outcome::Infeasible(_) => Exit::Infeasible,
        Outcome::NoAnswer { .. } => Exit::NoAnswer,
    }
}
