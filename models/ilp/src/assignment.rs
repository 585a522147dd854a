//! Stage 1: the cheapest set of hosts.

use crate::problem::Problem;
use crate::{Limits, Placement, Solved};

/// The cheapest placement, in thousandths of a host; `lower` is a bound known from elsewhere.
pub fn solve(
    _p: &Problem,
    _warm: Option<&[usize]>,
    lower: i64,
    _limits: &Limits,
) -> Solved<Placement> {
    Solved::NoAnswer {
        limit: "not built yet".into(),
        bound: lower,
    }
}
