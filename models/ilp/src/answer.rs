//! From what the solver found to an answer that was checked in integers.

use crate::Solved;
use crate::highs::{Answer, End};
use crate::problem::Problem;
use crate::rule::holds;

/// What is known around one run of the solver.
pub(crate) struct Known<'a> {
    /// A placement from outside, which keeps every rule.
    pub(crate) warm: Option<&'a [usize]>,
    /// What the solver's integer objective counts: cost or memory per unit of it.
    pub(crate) unit: i64,
    /// What the objective leaves out.
    pub(crate) constant: i64,
    /// A bound from elsewhere.
    pub(crate) lower: i64,
}

/// The better of the solver's placement and the warm start, with what is proven. `objective` is the
/// integer objective of a placement, `None` where it breaks the limits of this formulation.
pub(crate) fn conclude(
    p: &Problem,
    answer: &Answer,
    found: Option<Vec<usize>>,
    known: &Known,
    objective: impl Fn(&[usize]) -> Option<i64>,
) -> Solved<Vec<usize>> {
    let checked = found.filter(|f| {
        let good = holds(p, f) && objective(f).is_some();
        if !good {
            tracing::warn!("the solver's answer does not hold in integers and is dropped");
        }
        good
    });
    let best = checked
        .into_iter()
        .chain(known.warm.map(<[usize]>::to_vec))
        .filter_map(|f| Some((objective(&f)?, f)))
        .min_by_key(|(value, _)| *value);
    let proven = answer.proves().map_or(i64::MIN, |b| {
        b.saturating_mul(known.unit).saturating_add(known.constant)
    });
    let bound = proven.max(known.lower);
    match (best, &answer.end) {
        (Some((value, best)), _) if value <= bound => Solved::Optimal {
            answer: best,
            bound: value,
        },
        (Some((_, best)), _) => Solved::Feasible {
            answer: best,
            bound,
        },
        (None, End::Infeasible) => Solved::Infeasible,
        (None, End::Limit(limit)) => Solved::NoAnswer {
            limit: limit.clone(),
            bound,
        },
        (None, End::Closed) => Solved::NoAnswer {
            limit: "the solver's answer does not hold in integers".into(),
            bound,
        },
    }
}
