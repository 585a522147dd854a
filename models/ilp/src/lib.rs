//! The formulations of vmpack, one a file, and the one door to HiGHS. A formulation takes a
//! [`problem::Problem`]: integers only, rules resolved to indices.
//!
//! - [`assignment`]: the cheapest set of hosts (stage 1), a column for each guest and host.
//! - [`pattern`]: the same with a column for what a host carries, by column generation with exact pricing;
//!   its bounds are what large clusters are proven by. [`pattern::stay`] bounds stage 2 by the same
//!   patterns, and fills hosts kept anew.
//! - [`moves`]: the cheapest moves at a given cost of hosts (stage 2), by memory or by price.
//! - [`relief`]: the moves that end sudden overloads.
//! - [`waves`]: when each migration starts, the bound on the time they take.
//! - [`bound`]: what no placement can undercut, in integers only.
//! - [`rule`]: the policy's rules, one a file, folded into a problem or encoded as rows.
//! - `relaxed`: a problem whose hosts may be overloaded in some windows, as one without.
//! - `highs`: the solver's door; answers are checked in integers before they leave.

mod answer;
pub mod assignment;
pub mod bound;
mod grid;
mod highs;
mod model;
pub mod moves;
pub mod pattern;
pub mod problem;
mod relaxed;
pub mod relief;
pub mod rule;
pub mod waves;

pub use answer::agree;
pub use rule::spare::in_use;

use vmpack_domain::units::Micros;

/// Where every guest runs: a host index for each guest, in the problem's order.
pub type Placement = Vec<usize>;

/// How far a solve may go.
pub struct Limits<'a> {
    /// Wall time.
    pub time: Micros,
    /// Branch-and-bound nodes; with them, and one thread, a solve repeats exactly.
    pub nodes: Option<u64>,
    /// Seed of the solver's own random choices.
    pub seed: u64,
    /// Threads that the solver may use, at least 1.
    pub threads: u32,
    /// Asked often during a solve, on the caller's thread; `true` ends it with what it has.
    pub stop: &'a dyn Fn() -> bool,
}

/// How a solve ended. Bounds and objectives are in the formulation's own unit, as integers: cost in
/// thousandths of a host (stage 1), MiB moved (stage 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Solved<T> {
    /// Nothing is better; `bound` is the answer's objective.
    Optimal {
        /// The best there is.
        answer: T,
        /// Its objective.
        bound: i64,
    },
    /// An answer that keeps every rule; nothing undercuts `bound`.
    Feasible {
        /// The best found.
        answer: T,
        /// What no answer undercuts.
        bound: i64,
    },
    /// Proven: no answer exists.
    Infeasible,
    /// Nothing found before the limit.
    NoAnswer {
        /// Which limit ended the search.
        limit: String,
        /// What no answer undercuts.
        bound: i64,
    },
}

#[cfg(test)]
mod tests;
