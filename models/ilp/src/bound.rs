//! What no placement can undercut, in integers only.

use crate::problem::Problem;

/// A lower bound on the hosts in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// On their cost, in thousandths of a host.
    pub cost: i64,
    /// On their number.
    pub hosts: usize,
    /// Which method found it.
    pub origin: String,
}

/// A lower bound on the memory moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovesBound {
    /// In MiB.
    pub memory: i64,
    /// Which method found it.
    pub origin: String,
}

/// A bound on the hosts in use of every placement.
#[must_use]
pub fn hosts(_p: &Problem) -> Bound {
    Bound {
        cost: 0,
        hosts: 0,
        origin: "none".into(),
    }
}

/// A bound on the memory moved by every placement whose hosts in use cost at most `cost`.
#[must_use]
pub fn moves(_p: &Problem, _cost: i64) -> MovesBound {
    MovesBound {
        memory: 0,
        origin: "none".into(),
    }
}

/// The largest sum of some of the needs that is at most `room`.
pub(crate) fn reach(needs: impl Iterator<Item = i64>, room: i64) -> i64 {
    let _ = needs;
    room
}
