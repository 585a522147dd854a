//! `vmpack plan`.

use std::path::{Path, PathBuf};

use vmpack_domain::Plan;
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{write_certificate, write_plan};
use vmpack_domain::plan::Outcome;
use vmpack_planner::whatif::{Scene, drain};
use vmpack_planner::{Summary, summary};

use super::arguments::PlanArguments;
use super::failure::Failure;
use super::inputs::Planned;
use super::session::Session;
use super::{curve, html, inputs, output, report};

/// Plans, writes the plan and tells of it.
pub(crate) fn run(arguments: &PlanArguments, session: &mut Session) -> Result<Exit, Failure> {
    let to_stdout = arguments.output.as_deref() == Some(Path::new("-"));
    if to_stdout && arguments.json {
        return Err(Failure::usage(
            "`--output -` and `--json` both ask for standard output, expected one of them",
        ));
    }
    let inputs = inputs::read(&arguments.inputs, &arguments.limits, session)?;
    let (cluster, load) = (&inputs.cluster, &inputs.load);
    let drained = |policy, host| drain(cluster, &policy, host);
    let policy = arguments.drain.iter().try_fold(inputs.policy, drained);
    let policy = policy.map_err(|e| Failure::input(e.to_string()))?;
    if let Some(more) = arguments.curve {
        return curve::run((cluster, load, &policy), more, arguments.json, session);
    }
    let policy = &policy;
    let files = arguments.output.iter().filter(|_| !to_stdout);
    let files: Vec<&Path> = files
        .chain(&arguments.certificate)
        .chain(&arguments.report)
        .map(PathBuf::as_path)
        .collect();
    inputs::spare(&arguments.inputs, &files)?;
    for path in files {
        output::ready(path)?;
    }
    let Planned {
        outcome,
        seconds,
        hosts_seconds,
        certificate,
        ways_out,
    } = inputs::plan(cluster, load, policy, session);
    let summary = Summary {
        hosts_seconds,
        ways_out,
        ..summary(cluster, load, policy, &outcome, seconds)
    };
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
    if let (Some(_), Some(path)) = (plan, &arguments.certificate) {
        match &certificate {
            Some(certificate) => output::write_whole(path, &write_certificate(certificate))?,
            None => {
                let removed = if output::remove(path)? {
                    ", and that of an earlier plan was removed"
                } else {
                    ""
                };
                writeln!(
                    session.err,
                    "no bound that a certificate can prove was found{removed}"
                )?;
            }
        }
    }
    if let Some(path) = &arguments.report {
        let scene = Scene {
            cluster: cluster.clone(),
            load: load.clone(),
            policy: policy.clone(),
        };
        let page = html::page("plan", &scene, &outcome, &summary, None);
        output::write_whole(path, &page)?;
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
            let next = next(path, &arguments.inputs.cluster);
            writeln!(session.err, "wrote {}; next: {next}", path.display())?;
        }
        (None, None) if arguments.output.is_some() => {
            writeln!(session.err, "no plan was written")?;
        }
        _ => {}
    }
    Ok(exit(&outcome, arguments.detailed_exitcode))
}

/// What to type next, ready for a shell: with the cluster that was planned, unless it came by a pipe.
fn next(plan: &Path, cluster: &[PathBuf]) -> String {
    let mut words = vec!["vmpack apply".to_owned(), quoted(plan)];
    if !cluster.iter().any(|path| path.as_os_str() == "-") {
        for path in cluster {
            words.extend(["--cluster".to_owned(), quoted(path)]);
        }
    }
    words.push("--dry-run".to_owned());
    words.join(" ")
}

fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_type_next_names_the_cluster_as_a_shell_reads_it() {
        let next = |cluster: &[&str]| {
            let cluster: Vec<PathBuf> = cluster.iter().map(PathBuf::from).collect();
            next(Path::new("out/plan.yaml"), &cluster)
        };
        assert_eq!(
            next(&["c.yaml", "it's here/"]),
            "vmpack apply out/plan.yaml --cluster c.yaml --cluster 'it'\\''s here/' --dry-run"
        );
        assert_eq!(next(&["-"]), "vmpack apply out/plan.yaml --dry-run");
    }
}
