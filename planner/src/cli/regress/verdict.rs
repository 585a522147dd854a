//! Compares what came out of a case with what it expects.

use std::collections::BTreeSet;
use std::fmt::Display;

use vmpack_domain::check::Violation;
use vmpack_domain::plan::{Outcome, Plan};

use super::case::{Expect, ExpectedStatus};

/// What a case came to.
pub(crate) type Ending = Result<Outcome<Plan>, Broken>;

/// Why a case came to no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Its input contradicts itself.
    Input(String),
    /// The planner panicked, as it does when the checker refuses its plan.
    Bug(String),
}

/// What is found about an outcome.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Judged {
    /// By the checker, of a plan.
    pub(crate) violations: Vec<Violation>,
    /// In words, where the case asks for them.
    pub(crate) ways_out: Vec<String>,
}

/// How it ended, in a word.
pub(crate) fn status(ending: &Ending) -> &'static str {
    match ending {
        Err(Broken::Input(_)) => "bad-input",
        Err(Broken::Bug(_)) => "bug",
        Ok(Outcome::Optimal(_)) => "optimal",
        Ok(Outcome::Feasible(_)) => "feasible",
        Ok(Outcome::Infeasible(_)) => "infeasible",
        Ok(Outcome::NoAnswer { .. }) => "no-answer",
    }
}

/// Each way in which the ending is not as expected; empty when the case holds.
pub(crate) fn faults(expect: &Expect, ending: &Ending, judged: &Judged) -> Vec<String> {
    let mut faults = Vec::new();
    let status = status(ending);
    let reasons = match ending {
        Err(Broken::Input(error) | Broken::Bug(error)) => vec![error.clone()],
        Ok(Outcome::Optimal(plan) | Outcome::Feasible(plan)) => plan.reasons.clone(),
        Ok(Outcome::Infeasible(reasons)) => reasons.clone(),
        Ok(Outcome::NoAnswer { limit }) => vec![limit.clone()],
    };
    let (wanted, accepted): (_, &[&str]) = match expect.status {
        ExpectedStatus::Optimal => ("optimal", &["optimal"]),
        ExpectedStatus::Answer => ("an answer", &["optimal", "feasible"]),
        ExpectedStatus::Infeasible => ("infeasible", &["infeasible"]),
        ExpectedStatus::NoAnswer => ("no-answer", &["no-answer"]),
        ExpectedStatus::BadInput => ("bad-input", &["bad-input"]),
    };
    if !accepted.contains(&status) {
        faults.push(format!(
            "status is {status} ({}), expected {wanted}",
            reasons.join("; ")
        ));
    }
    for text in &expect.reason_contains {
        if !reasons.iter().any(|r| r.contains(text)) {
            faults.push(format!(
                "no reason contains `{text}`, read: {}",
                reasons.join("; ")
            ));
        }
    }
    if let Ok(Outcome::Optimal(plan) | Outcome::Feasible(plan)) = ending {
        faults.extend(plan_faults(expect, plan));
    }
    if let Some(ways) = expect.ways_out.as_ref().filter(|w| **w != judged.ways_out) {
        let (found, expected) = (listed(&judged.ways_out), listed(ways));
        faults.push(format!("ways-out is [{found}], expected [{expected}]"));
    }
    let violations = &judged.violations;
    faults.extend(violations.iter().map(|v| format!("the checker says: {v}")));
    faults
}

fn plan_faults(expect: &Expect, plan: &Plan) -> Vec<String> {
    let mut faults = Vec::new();
    let hosts = u32::try_from(plan.hosts.after.len()).unwrap_or(u32::MAX);
    let moves = u32::try_from(plan.moves.len()).unwrap_or(u32::MAX);
    let moved = plan.move_claim.objective;
    faults.extend(differs("hosts", expect.hosts, hosts));
    faults.extend(differs("cost", expect.cost, plan.claim.objective));
    faults.extend(differs("bound", expect.bound, plan.claim.bound));
    faults.extend(differs("moves", expect.moves, moves));
    faults.extend(differs("move-memory", expect.move_memory, moved));
    faults.extend(differs(
        "move-bound",
        expect.move_bound,
        plan.move_claim.bound,
    ));
    faults.extend(above("hosts", expect.hosts_at_most, hosts));
    faults.extend(above("move-memory", expect.move_memory_at_most, moved));
    if let Some(least) = expect.bound_at_least.filter(|b| plan.claim.bound < *b) {
        let bound = plan.claim.bound;
        faults.push(format!("bound is {bound}, expected at least {least}"));
    }
    if let Some(wake) = &expect.wake {
        faults.extend(same("wake", wake, &plan.hosts.wake));
    }
    if let Some(starts) = &expect.starts {
        let found: Vec<_> = plan.starts.iter().map(|s| s.guest.clone()).collect();
        faults.extend(same("starts", starts, &found));
    }
    for (guest, hosts) in &expect.on {
        let at = plan.target.get(guest);
        if !at.is_some_and(|h| hosts.contains(h)) {
            let at = at.map_or_else(|| "no host".to_owned(), ToString::to_string);
            let hosts = listed(hosts);
            faults.push(format!("{guest} ends on {at}, expected one of {hosts}"));
        }
    }
    for (guest, mode) in &expect.modes {
        let found = plan.moves.iter().find(|m| m.guest == *guest);
        match found {
            Some(m) if m.mode == *mode => {}
            Some(m) => faults.push(format!("{guest} moves by {}, expected {mode}", m.mode)),
            None => faults.push(format!("{guest} does not move, expected a move by {mode}")),
        }
    }
    faults
}

fn differs<T: PartialEq + Display>(what: &str, expected: Option<T>, found: T) -> Option<String> {
    expected
        .filter(|e| *e != found)
        .map(|e| format!("{what} is {found}, expected {e}"))
}

fn above<T: PartialOrd + Display>(what: &str, most: Option<T>, found: T) -> Option<String> {
    most.filter(|m| found > *m)
        .map(|m| format!("{what} is {found}, expected at most {m}"))
}

fn same<T: Ord + Display>(what: &str, expected: &[T], found: &[T]) -> Option<String> {
    let set = |all: &[T]| all.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    (set(expected) != set(found)).then(|| {
        format!(
            "{what} is [{}], expected [{}]",
            listed(found),
            listed(expected)
        )
    })
}

fn listed<T: Display>(all: &[T]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}
