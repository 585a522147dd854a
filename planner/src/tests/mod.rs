//! What every plan keeps, and the situations a plan must master.

mod cases;
mod losses;
mod moves;
mod proven;
mod random;

use std::collections::BTreeMap;

use vmpack_domain::file::{Source, read_inputs};
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, Load, Policy, check};

use crate::WayOut;
use crate::search::{Search, Step};

/// Inputs as their files hold them, less the header.
pub(crate) fn read(cluster: &str, load: &str, policy: &str) -> (Cluster, Load, Policy) {
    let source = |kind: &str, text: &str| {
        vec![Source {
            name: kind.to_lowercase(),
            text: format!("apiVersion: vmpack/v1\nkind: {kind}\n{text}"),
        }]
    };
    let loads = if load.is_empty() {
        Vec::new()
    } else {
        source("Load", load)
    };
    let inputs = read_inputs(
        &source("Cluster", cluster),
        &loads,
        &source("Policy", policy),
    )
    .expect("the test's inputs are well-formed");
    (inputs.cluster, inputs.load, inputs.policy)
}

/// Plans by counted rounds on a clock that stands still, so that it repeats exactly.
pub(crate) fn solve(cluster: &Cluster, load: &Load, policy: &Policy) -> Outcome<Plan> {
    let mut policy = policy.clone();
    policy.limits.nodes = policy.limits.nodes.or(Some(40));
    let mut certificate = None;
    let outcome = crate::plan(
        cluster,
        load,
        &policy,
        &mut Search {
            elapsed: &|| Micros::ZERO,
            stop: &|| false,
            report: &mut |step: Step| {
                if let Step::Certified(found) = step {
                    certificate = Some(found);
                }
            },
        },
    );
    if let Outcome::Optimal(plan) | Outcome::Feasible(plan) = &outcome {
        assert_eq!(check::plan(cluster, load, &policy, plan), []);
        assert!(plan.claim.bound <= plan.claim.objective);
        if let Some(certificate) = certificate {
            let verdict = check::certificate(cluster, load, &policy, &certificate, 100_000_000);
            assert!(verdict.ok(), "{verdict:?} of {certificate:?}");
            // Nothing is claimed without a proof, but by HiGHS's branching.
            let claimed = (plan.claim.bound, plan.claim.hosts_bound);
            let told = match &certificate.uncertified {
                Some(beyond) => {
                    assert_eq!(beyond.origin, "assignment ILP");
                    beyond.bound
                }
                None => certificate.bound,
            };
            assert_eq!((told.cost, told.hosts), claimed, "{certificate:?}");
            // A cost is proven exactly where costs differ, which may be more than is claimed.
            let proven = verdict.proven.expect("the plan is a placement");
            assert!(proven.cost <= plan.claim.objective);
            assert!(proven.hosts as usize <= plan.hosts.after.len());
        }
    }
    outcome
}

/// What is sought on a clock that stands still, and that nobody ends or listens to.
pub(crate) fn timeless<T>(sought: impl FnOnce(&mut Search) -> T) -> T {
    sought(&mut Search {
        elapsed: &|| Micros::ZERO,
        stop: &|| false,
        report: &mut |_| {},
    })
}

/// The ways out of inputs without a placement.
fn relaxed(cluster: &Cluster, load: &Load, policy: &Policy) -> Vec<WayOut> {
    timeless(|search| crate::ways_out(cluster, load, policy, search))
}

/// The plan of an outcome that has one.
fn planned(outcome: &Outcome<Plan>) -> &Plan {
    match outcome {
        Outcome::Optimal(plan) | Outcome::Feasible(plan) => plan,
        other => panic!("no plan: {other:?}"),
    }
}

/// Of guests for the pairs of six, numbered from 0 to 14, those that share nobody, the larger first. Where
/// they are apart, three hosts suffice fractionally, and four are needed (Kneser graphs, Lovász 1978).
pub(crate) fn strangers() -> Vec<(usize, usize)> {
    let pairs: Vec<[usize; 2]> = (0..6)
        .flat_map(|a| (a + 1..6).map(move |b| [a, b]))
        .collect();
    (0..pairs.len())
        .flat_map(|i| (0..i).map(move |j| (i, j)))
        .filter(|(i, j)| pairs[*i].iter().all(|x| !pairs[*j].contains(x)))
        .collect()
}

/// How many times each guest moves.
fn moves_each(plan: &Plan) -> BTreeMap<&str, usize> {
    let mut moves = BTreeMap::new();
    for m in &plan.moves {
        *moves.entry(m.guest.as_str()).or_default() += 1;
    }
    moves
}
