//! `vmpack check`.

use std::fmt::Display;

use serde::Serialize;
use vmpack_domain::certificate::CertifiedBound;
use vmpack_domain::check::{self, Busy, Violation};
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{API_VERSION, Source, read_certificate, read_inputs, read_plan};
use vmpack_domain::{Certificate, Plan};

use super::arguments::CheckArguments;
use super::failure::Failure;
use super::screen::{Look, count};
use super::session::Session;
use super::sources;

/// The verdict as JSON.
#[derive(Serialize)]
struct Verdict<'a> {
    ok: bool,
    violations: Vec<&'a Violation>,
    /// Hosts under the later load, where one is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    later: Option<&'a [Busy]>,
    /// What was proven again, of a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    proven: Option<CertifiedBound>,
}

/// Judges a plan by the policy given, else by its own, and proves a certificate again.
pub(crate) fn run(arguments: &CheckArguments, session: &mut Session) -> Result<Exit, Failure> {
    let plan = arguments.plan.as_ref();
    let plan = plan
        .map(|p| Ok::<_, Failure>(read_plan(&sources::read_one(p, &mut session.stdin)?)?))
        .transpose()?;
    let stated = arguments.certificate.as_ref();
    let stated = stated
        .map(|p| {
            Ok::<_, Failure>(read_certificate(&sources::read_one(
                p,
                &mut session.stdin,
            )?)?)
        })
        .transpose()?;
    let cluster = sources::read(&arguments.cluster, &mut session.stdin)?;
    let load = sources::read(&arguments.load, &mut session.stdin)?;
    let policy = sources::read(&arguments.policy, &mut session.stdin)?;
    let inputs = read_inputs(&cluster, &load, &policy)?;
    let policy = match &plan {
        Some(plan) if policy.is_empty() => &plan.policy,
        _ => &inputs.policy,
    };
    let judged = plan
        .as_ref()
        .map(|plan| check::plan(&inputs.cluster, &inputs.load, policy, plan));
    let proof = stated.as_ref().map(|stated| {
        check::certificate(
            &inputs.cluster,
            &inputs.load,
            policy,
            stated,
            arguments.steps,
        )
    });
    let short = match (&plan, &proof) {
        (Some(plan), Some(proof)) => shortfall(plan, proof),
        _ => None,
    };
    let violations: Vec<&Violation> = judged
        .iter()
        .flatten()
        .chain(proof.iter().flat_map(|p| &p.violations))
        .chain(&short)
        .collect();
    let later = match &plan {
        Some(plan) if !arguments.later.is_empty() => {
            let sources = sources::read(&arguments.later, &mut session.stdin)?;
            // Read as a load to plan on is, so that it is checked as one.
            let joint = Source {
                name: "joint demand".into(),
                text: format!(
                    "apiVersion: {API_VERSION}
kind: Policy
demand: {{ joint: true }}
"
                ),
            };
            let load = read_inputs(&cluster, &sources, &[joint])?.load;
            Some(check::later(&inputs.cluster, &load, policy, &plan.target))
        }
        _ => None,
    };
    let overloaded = later.iter().flatten().any(Busy::is_overloaded);
    let ok = violations.is_empty() && !overloaded;
    let proven = proof.as_ref().and_then(|p| p.proven);
    if arguments.json {
        session.print_json(&Verdict {
            ok,
            violations,
            later: later.as_deref(),
            proven,
        })?;
    } else if violations.is_empty() {
        let good = session.screen.paint(Look::Good, "ok");
        if let Some(plan) = &plan {
            let bounds = match &stated {
                Some(_) => "",
                None => " (bounds are taken as stated)",
            };
            writeln!(
                session.out,
                "{good}: {} to {}, every step and the target keep the policy{bounds}",
                count(plan.moves.len(), "move"),
                count(plan.hosts.after.len(), "host"),
            )?;
        }
        if let (Some(stated), Some(proof)) = (&stated, &proof) {
            writeln!(
                session.out,
                "{good}: {}",
                told(plan.as_ref(), stated, proof)
            )?;
        }
    } else {
        let n = count(violations.len(), "violation");
        writeln!(session.out, "{}", session.screen.paint(Look::Bad, &n))?;
        for violation in &violations {
            writeln!(session.out, "  {violation}")?;
        }
    }
    if let (Some(later), false) = (&later, arguments.json) {
        tell_later(later, session)?;
    }
    Ok(if ok { Exit::Done } else { Exit::CheckFailed })
}

/// Hosts above their room, those most often first.
fn tell_later(later: &[Busy], session: &mut Session) -> Result<(), Failure> {
    let mut above: Vec<&Busy> = later.iter().filter(|b| b.above > 0).collect();
    above.sort_by_key(|b| (std::cmp::Reverse(b.above), &b.host));
    let overloaded = later.iter().filter(|b| b.is_overloaded()).count();
    let look = if overloaded == 0 {
        Look::Good
    } else {
        Look::Bad
    };
    let line = format!(
        "later load: {} of {} above their room in some window, {overloaded} in more than the policy allows",
        above.len(),
        count(later.len(), "host"),
    );
    writeln!(session.out, "{}", session.screen.paint(look, &line))?;
    for busy in above {
        let permille = busy.above * 1000 / busy.windows.max(1);
        writeln!(
            session.out,
            "  {}: above {} in {} of {} ({}.{}%), {} at most",
            busy.host,
            busy.room,
            busy.above,
            count(busy.windows, "window"),
            permille / 10,
            permille % 10,
            busy.most,
        )?;
    }
    Ok(())
}

/// What was proven again, in words.
fn told(plan: Option<&Plan>, stated: &Certificate, proof: &check::certificate::Verdict) -> String {
    let Some(proven) = proof.proven else {
        return "re-proven: there is no placement at all".into();
    };
    let bound = match plan {
        Some(plan) => of_the_plan(proven.cost.min(plan.claim.bound), plan.claim.bound),
        None => {
            let hosts = usize::try_from(proven.hosts).unwrap_or(usize::MAX);
            format!(
                "{} at least, at a cost of {}",
                count(hosts, "host"),
                proven.cost
            )
        }
    };
    format!("re-proven: {bound} ({})", stated.origin)
}

fn of_the_plan(proven: impl Display, claimed: impl Display) -> String {
    format!("{proven} of the plan's {claimed}")
}

/// What the plan claims beyond what its certificate proves.
fn shortfall(plan: &Plan, proof: &check::certificate::Verdict) -> Option<Violation> {
    let proven = proof.proven?;
    let claim = &plan.claim;
    let detail = if proven.cost < claim.bound {
        format!("re-proven: {}", of_the_plan(proven.cost, claim.bound))
    } else if proven.hosts < claim.hosts_bound {
        let (proven, claimed) = (proven.hosts, claim.hosts_bound);
        format!("re-proven: {} hosts", of_the_plan(proven, claimed))
    } else {
        return None;
    };
    Some(Violation {
        law: "bound".into(),
        at: None,
        detail,
    })
}
