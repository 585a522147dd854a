//! `vmpack check`.

use serde::Serialize;
use vmpack_domain::check::{self, Violation};
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{read_inputs, read_plan};

use super::arguments::CheckArguments;
use super::failure::Failure;
use super::screen::{Look, count};
use super::session::Session;
use super::sources;

/// The verdict as JSON.
#[derive(Serialize)]
struct Verdict<'a> {
    ok: bool,
    violations: &'a [Violation],
}

/// Judges a plan by the policy given, else by its own.
pub(crate) fn run(arguments: &CheckArguments, session: &mut Session) -> Result<Exit, Failure> {
    let plan = read_plan(&sources::read_one(&arguments.plan, &mut session.stdin)?)?;
    let cluster = sources::read(&arguments.cluster, &mut session.stdin)?;
    let load = sources::read(&arguments.load, &mut session.stdin)?;
    let policy = sources::read(&arguments.policy, &mut session.stdin)?;
    let inputs = read_inputs(&cluster, &load, &policy)?;
    let policy = if policy.is_empty() {
        &plan.policy
    } else {
        &inputs.policy
    };
    let violations = check::plan(&inputs.cluster, &inputs.load, policy, &plan);
    if arguments.json {
        session.print_json(&Verdict {
            ok: violations.is_empty(),
            violations: &violations,
        })?;
    } else if violations.is_empty() {
        writeln!(
            session.out,
            "{}: {} to {}, every step and the target keep the policy (bounds are taken as stated)",
            session.screen.paint(Look::Good, "ok"),
            count(plan.moves.len(), "move"),
            count(plan.hosts.after.len(), "host"),
        )?;
    } else {
        let n = count(violations.len(), "violation");
        writeln!(session.out, "{}", session.screen.paint(Look::Bad, &n))?;
        for violation in &violations {
            writeln!(session.out, "  {violation}")?;
        }
    }
    Ok(if violations.is_empty() {
        Exit::Done
    } else {
        Exit::CheckFailed
    })
}
