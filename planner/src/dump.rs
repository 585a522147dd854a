//! The formulations of a cluster as texts in MPS format, for other solvers and for curious readers.

use vmpack_domain::{Cluster, Load, Policy};
use vmpack_ilp::pattern::{self, Packing};
use vmpack_ilp::{Limits, assignment, bound, moves};

use crate::effort::Effort;
use crate::explain;
use crate::instance::Instance;
use crate::pack::{self, Answer};
use crate::search::Search;

/// Which formulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Formulation {
    /// Stage 1: which guest on which host, the cheapest hosts.
    Assignment,
    /// Stage 2: the least memory moved at the cost of hosts that stage 1 finds.
    Moves,
    /// Stage 1 by what single hosts carry, over the patterns that column generation makes.
    Pattern,
}

impl std::str::FromStr for Formulation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "assignment" => Ok(Self::Assignment),
            "moves" => Ok(Self::Moves),
            "pattern" => Ok(Self::Pattern),
            other => Err(format!(
                "read `{other}`, expected `assignment`, `moves` or `pattern`"
            )),
        }
    }
}

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// No placement exists, and why.
    #[error("{}", .0.join("; "))]
    Infeasible(Vec<String>),
    /// No placement was found within the limits, and the formulation of the moves needs its cost.
    #[error("{0}")]
    NoAnswer(String),
    /// The solver failed, in words.
    #[error("{0}")]
    Solver(String),
}

/// The formulation in MPS format; `relaxed` leaves out that columns are integers.
///
/// # Errors
/// See [`DumpError`].
pub fn mps(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    formulation: Formulation,
    relaxed: bool,
    search: &mut Search,
) -> Result<String, DumpError> {
    let problem = explain::contradiction(cluster, load, policy).map_err(DumpError::Infeasible)?;
    let plain = problem.plain();
    let mut bound = bound::hosts(&plain);
    let mut effort = Effort::share(search, policy, 1000);
    let text = match formulation {
        Formulation::Assignment => assignment::mps(&problem, bound.cost, relaxed),
        Formulation::Pattern => {
            let alarm = effort.alarm(1000);
            let limits = Limits {
                stop: &alarm,
                ..effort.limits(policy, 1000)
            };
            // Where windows are exempt patterns speak of a problem that allows more.
            pattern::mps(&Packing::of(&plain), relaxed, &limits)
        }
        Formulation::Moves => {
            let inst = Instance::build(&problem).map_err(DumpError::Infeasible)?;
            match pack::pack(&inst, &mut bound, policy, &mut effort, search.report) {
                Answer::Found(packed) => moves::mps(&problem, packed.cost, relaxed),
                Answer::Nothing(why) => return Err(DumpError::NoAnswer(why)),
                Answer::Impossible => {
                    let why = explain::conflict(cluster, load, policy, search);
                    return Err(DumpError::Infeasible(why));
                }
            }
        }
    };
    text.map_err(DumpError::Solver)
}
