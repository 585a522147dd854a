//! `vmpack check`.

use std::fmt::Display;

use serde::Serialize;
use vmpack_domain::certificate::CertifiedBound;
use vmpack_domain::check::{self, Busy, Violation};
use vmpack_domain::exit::Exit;
use vmpack_domain::file::{API_VERSION, Source, read_certificate, read_inputs, read_plan};
use vmpack_domain::plan::Claim;
use vmpack_domain::{Certificate, Plan};
use vmpack_planner::page::visible;

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
    /// What the plan claims that no certificate proves, where nothing is wrong with what is proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertified: Option<String>,
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
    let short = match (&plan, &stated, &proof) {
        (Some(plan), Some(stated), Some(proof)) => shortfall(&plan.claim, stated, proof),
        _ => None,
    };
    let (beyond, uncertified) = match short {
        Some(Short::Refused(violation)) => (Some(violation), None),
        Some(Short::Uncertified(what)) => (None, Some(what)),
        None => (None, None),
    };
    let violations: Vec<&Violation> = judged
        .iter()
        .flatten()
        .chain(proof.iter().flat_map(|p| &p.violations))
        .chain(&beyond)
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
    let kept = violations.is_empty() && !overloaded;
    let exit = match (kept, &uncertified) {
        (false, _) => Exit::CheckFailed,
        (true, Some(_)) => Exit::NoAnswer,
        (true, None) => Exit::Done,
    };
    let proven = proof.as_ref().and_then(|p| p.proven);
    if arguments.json {
        session.print_json(&Verdict {
            ok: exit == Exit::Done,
            violations,
            later: later.as_deref(),
            proven,
            uncertified,
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
        if let Some(what) = &uncertified {
            let look = session.screen.paint(Look::Bad, "not certified");
            writeln!(session.out, "{look}: {what}")?;
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
    Ok(exit)
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
    format!("re-proven: {bound} ({})", on_one_line(&stated.origin))
}

/// What a file says of an origin, on which nothing rests, so that it cannot pass for more lines of ours.
fn on_one_line(origin: &str) -> String {
    visible(&origin.replace(['\n', '\r'], " "))
}

fn of_the_plan(proven: impl Display, claimed: impl Display) -> String {
    format!("{proven} of the plan's {claimed}")
}

/// What the plan claims beyond what its certificate proves.
#[derive(Debug)]
enum Short {
    /// The certificate does not say so either.
    Refused(Violation),
    /// It says that there is no proof of it, and how it was found.
    Uncertified(String),
}

fn shortfall(
    claim: &Claim,
    stated: &Certificate,
    proof: &check::certificate::Verdict,
) -> Option<Short> {
    let proven = proof.proven?;
    let cost = (proven.cost < claim.bound).then(|| of_the_plan(proven.cost, claim.bound));
    let hosts = (proven.hosts < claim.hosts_bound)
        .then(|| format!("{} hosts", of_the_plan(proven.hosts, claim.hosts_bound)));
    let short = cost.or(hosts)?;
    let told = stated.uncertified.as_ref().filter(|told| {
        told.origin == claim.origin
            && told.bound.cost >= claim.bound
            && told.bound.hosts >= claim.hosts_bound
    });
    Some(match told {
        Some(told) => {
            let origin = on_one_line(&told.origin);
            Short::Uncertified(format!("{origin} ({short} are proven)"))
        }
        None => Short::Refused(Violation {
            law: "bound".into(),
            at: None,
            detail: format!("re-proven: {short}"),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::certificate::Uncertified;
    use vmpack_domain::units::Sum;

    fn bound(hosts: u32) -> CertifiedBound {
        CertifiedBound {
            cost: Sum(u64::from(hosts) * 1000),
            hosts,
        }
    }

    /// What is short of a plan that claims so many hosts, where three are proven.
    fn short(claimed: u32, origin: &str, beyond: Option<u32>) -> Option<Short> {
        let claim = Claim {
            objective: Sum(9000),
            bound: bound(claimed).cost,
            origin: origin.into(),
            hosts_bound: claimed,
        };
        let stated = Certificate {
            base: String::new(),
            bound: bound(3),
            origin: "pattern LP".into(),
            parts: Vec::new(),
            number: None,
            tree: None,
            uncertified: beyond.map(|hosts| Uncertified {
                bound: bound(hosts),
                origin: "assignment ILP".into(),
            }),
        };
        let proof = check::certificate::Verdict {
            proven: Some(bound(3)),
            no_placement: false,
            violations: Vec::new(),
        };
        shortfall(&claim, &stated, &proof)
    }

    #[test]
    fn an_origin_cannot_pass_for_lines_of_ours() {
        let told = on_one_line("\u{1b}[31mLP\nok: all fine");
        assert_eq!(told, "\\u{1b}[31mLP ok: all fine");
    }

    #[test]
    fn what_has_no_certificate_is_told_apart_from_what_is_refused() {
        assert!(short(3, "pattern LP", None).is_none());
        assert!(short(2, "assignment ILP", Some(4)).is_none());
        let told = short(4, "assignment ILP", Some(4));
        assert!(
            matches!(&told, Some(Short::Uncertified(what)) if what == "assignment ILP (3 of the plan's 4 are proven)"),
            "{told:?}"
        );
        // The plan says more than was found, or what nobody says.
        for (claimed, origin, beyond) in [
            (5, "assignment ILP", Some(4)),
            (4, "pattern LP", Some(4)),
            (4, "assignment ILP", None),
        ] {
            let told = short(claimed, origin, beyond);
            assert!(matches!(told, Some(Short::Refused(_))), "{told:?}");
        }
    }
}
