//! Plans the placement of guests on the fewest hosts without overload, and the cheapest way there.
//! Pure: the clock, the stop signal and the seed come from the caller.

mod anneal;
mod assemble;
mod effort;
mod explain;
mod instance;
mod moves;
mod pack;
mod rng;
mod schedule;
pub mod search;
mod summary;
pub mod whatif;

pub use summary::{HostRow, MoveRow, Status, Summary, Use, summary};

use vmpack_domain::plan::{Outcome, Plan, PlanStatus};
use vmpack_domain::{Cluster, Load, Policy, check};
use vmpack_ilp::bound;
use vmpack_ilp::problem::Problem;

use effort::Effort;
use instance::Instance;
use pack::{Answer, Packed};
use schedule::Order;
use search::{Search, Step};

/// The plan for a cluster that was read (names unique, references resolved).
pub fn plan(cluster: &Cluster, load: &Load, policy: &Policy, search: &mut Search) -> Outcome<Plan> {
    let problem = match Problem::build(cluster, load, policy) {
        Ok(problem) => problem,
        Err(reasons) => return Outcome::Infeasible(reasons),
    };
    let inst = match Instance::build(&problem) {
        Ok(inst) => inst,
        Err(reasons) => return Outcome::Infeasible(reasons),
    };
    let impossible = explain::by_counting(&problem);
    if !impossible.is_empty() {
        return Outcome::Infeasible(impossible);
    }
    let seed = policy.limits.seed;
    let mut bound = bound::hosts(&problem);
    (search.report)(Step::Bound {
        cost: bound.cost,
        origin: bound.origin.clone(),
    });
    let mut effort = Effort::until(search, policy, 450);
    let packed = match pack::pack(&inst, &mut bound, &mut effort, seed, search.report) {
        Answer::Found(packed) => packed,
        Answer::Impossible => return Outcome::Infeasible(vec![]),
        Answer::Nothing => {
            return Outcome::NoAnswer {
                limit: "time".into(),
            };
        }
    };
    let mut effort = Effort::until(search, policy, 900);
    let (packed, moves_bound) = moves::cheapest(&inst, packed, policy, &mut effort, search.report);
    let (packed, hops) = match schedule::order(&problem, &inst.placement(&packed.at), seed) {
        Order::Whole(hops) => (packed, hops),
        Order::Stuck { hops, .. } => {
            let mut at: Vec<Option<usize>> = problem.guests.iter().map(|g| g.current).collect();
            hops.iter().for_each(|hop| at[hop.guest] = Some(hop.to));
            match Packed::of(&inst, &inst.bundled(&at)) {
                Some(packed) => (packed, hops),
                None => {
                    return Outcome::NoAnswer {
                        limit: "no order of migrations".into(),
                    };
                }
            }
        }
    };
    let plan = assemble::assemble(
        (cluster, load, policy),
        &inst,
        &packed,
        &hops,
        &bound,
        &moves_bound,
    );
    if let Some(violation) = check::plan(cluster, load, policy, &plan).first() {
        return Outcome::NoAnswer {
            limit: format!("a bug in vmpack: the plan found breaks {violation}"),
        };
    }
    match plan.status {
        PlanStatus::Optimal => Outcome::Optimal(plan),
        PlanStatus::Feasible => Outcome::Feasible(plan),
    }
}
