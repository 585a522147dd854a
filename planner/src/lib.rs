//! Plans the placement of guests on the fewest hosts without overload, and the cheapest way there.
//! Pure: the clock, the stop signal and the seed come from the caller.
//!
//! [`plan`] is the whole way of the data; its steps are the modules `pack` (stage 1), `moves`
//! (stage 2), `schedule`, `assemble` and `explain`. They share `instance` (a problem with its
//! penalties), `anneal` and `effort` (what a search may spend).

mod anneal;
mod assemble;
pub mod capacity;
mod certificate;
pub mod curve;
pub mod dump;
mod effort;
mod explain;
pub mod import;
mod instance;
pub mod losses;
mod moves;
mod pack;
pub mod packing;
pub mod page;
pub mod power;
pub mod relieve;
pub mod replay;
mod rng;
mod schedule;
pub mod search;
mod summary;
mod trade;
pub mod watch;
pub mod whatif;
pub mod why;
mod windows;

pub use explain::relax::{Change, WayOut, ways_out};
pub use summary::{HostRow, MoveRow, Status, Summary, Use, summary};

use vmpack_domain::plan::{Outcome, Plan, PlanStatus};
use vmpack_domain::{Cluster, Load, Policy, check};
use vmpack_ilp::bound;

use effort::Effort;
use instance::Instance;
use pack::{Answer, Packed};
use schedule::reach::Reach;
use search::{Search, Step};
use windows::Windows;

/// The plan for a cluster that was read (names unique, references resolved).
///
/// # Panics
/// When the checker refuses the plan found: a bug, and no plan to be shown to anybody.
pub fn plan(cluster: &Cluster, load: &Load, policy: &Policy, search: &mut Search) -> Outcome<Plan> {
    // Demand
    let problem = match explain::problem(cluster, load, policy, search) {
        Ok(problem) => problem,
        Err(reasons) => return Outcome::Infeasible(reasons),
    };
    // Bound
    let mut windows = Windows::first(&problem);
    let mut bound = bound::hosts(&windows.seen(&problem));
    (search.report)(Step::Bound {
        cost: bound.cost,
        origin: bound.origin.clone(),
    });
    let mut reach = Reach::new(&problem, policy);
    let mut nothing = None;
    while let Some(pinned) = reach.next(&Effort::share(search, policy, 300), policy) {
        let Ok(whole) = Instance::build(&pinned) else {
            continue;
        };
        let policy = &*reach.policy(policy);
        // Pack
        (search.report)(Step::Phase("pack"));
        let mut proven = bound.clone();
        let packed = windows.packed(&whole, &mut proven, 450, policy, search);
        let packed = match packed {
            Answer::Found(packed) => packed,
            Answer::Impossible if reach.is_whole() => {
                return Outcome::Infeasible(explain::conflict(cluster, load, policy, search));
            }
            Answer::Nothing(why) if reach.is_whole() => {
                nothing = Some(why);
                break;
            }
            Answer::Impossible | Answer::Nothing(_) => continue,
        };
        if reach.is_whole() {
            bound = proven;
        }
        // Moves
        (search.report)(Step::Phase("moves"));
        let mut cheapest = |packed: Packed, budget: i64, share: u64| {
            let mut effort = Effort::share(search, policy, share);
            windows.cheapest(&whole, packed, budget, |inst, packed| {
                moves::cheapest(inst, packed, budget, policy, &mut effort, search.report)
            })
        };
        let (packed, moves_bound) = match &policy.objective {
            Some(objective) => trade::best(&whole, packed, objective, cheapest),
            None => {
                let fewest = packed.cost;
                cheapest(packed, fewest, 850)
            }
        };
        // Schedule
        (search.report)(Step::Phase("schedule"));
        let patience = Effort::share(search, policy, 300);
        reach.settle(&whole, packed, moves_bound, &patience);
    }
    let route = match reach.best() {
        Ok(route) => route,
        Err(gave_up) => {
            let after = (search.elapsed)();
            let after = policy.limits.nodes.is_none().then_some(after);
            let limit = nothing.unwrap_or_else(|| gave_up.why(after));
            return Outcome::NoAnswer { limit };
        }
    };
    let bound = assemble::agreed(bound, route.cost, route.awake.len());
    if let Some(found) = certificate::certificate((cluster, load, policy), &problem, &bound) {
        (search.report)(Step::Certified(Box::new(found)));
    }
    let plan = assemble::assemble((cluster, load, policy), &problem, &route, &bound);
    // Check
    let refused = check::plan(cluster, load, policy, &plan);
    assert!(
        refused.is_empty(),
        "the checker refuses the plan found: {}",
        refused[0]
    );
    match plan.status {
        PlanStatus::Optimal => Outcome::Optimal(plan),
        PlanStatus::Feasible => Outcome::Feasible(plan),
    }
}

#[cfg(test)]
mod tests;
