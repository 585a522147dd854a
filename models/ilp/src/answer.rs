//! From what the solver found to an answer that was checked in integers.

use crate::Solved;
use crate::highs::{Answer, End};
use crate::problem::Problem;
use crate::rule::holds;

/// The bound, unless an answer undercuts it: then whatever found it is wrong, which must not pass for an
/// optimum.
///
/// # Panics
/// With debug assertions, where an answer undercuts it. Without, the bound is dropped and logged as an error.
#[must_use]
pub fn agree(bound: i64, answer: i64, origin: &str) -> Option<i64> {
    let sound = unless_undercut(bound, answer, origin);
    debug_assert!(
        sound.is_some(),
        "an answer of {answer} undercuts the bound {bound} ({origin})"
    );
    sound
}

/// The bound, unless an answer undercuts it; for those that rest on floating point, which may be wrong without
/// a fault of ours.
fn unless_undercut(bound: i64, answer: i64, origin: &str) -> Option<i64> {
    if bound > answer {
        tracing::error!(
            bound,
            answer,
            origin,
            "an answer undercuts a bound, which is dropped"
        );
    }
    (bound <= answer).then_some(bound)
}

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
        (Some((value, best)), _) => {
            let bound = unless_undercut(proven, value, "the solver's")
                .max(agree(known.lower, value, "from elsewhere"))
                .unwrap_or(i64::MIN);
            if bound == value {
                Solved::Optimal {
                    answer: best,
                    bound,
                }
            } else {
                Solved::Feasible {
                    answer: best,
                    bound,
                }
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::units::Micros;

    fn concluded(proven: f64, lower: i64) -> Solved<Vec<usize>> {
        let nothing = Problem {
            resources: Vec::new(),
            hosts: Vec::new(),
            guests: Vec::new(),
            rules: Vec::new(),
            exempt: 0,
            warnings: Vec::new(),
        };
        let answer = Answer {
            end: End::Closed,
            values: None,
            bound: proven,
            columns: 0,
            took: Micros::ZERO,
        };
        let known = Known {
            warm: Some(&[]),
            unit: 1,
            constant: 0,
            lower,
        };
        conclude(&nothing, &answer, None, &known, |_| Some(7))
    }

    #[test]
    fn a_bound_that_an_answer_meets_proves_it() {
        let answer = Vec::new();
        assert_eq!(concluded(7.0, 0), Solved::Optimal { answer, bound: 7 });
        let answer = Vec::new();
        assert_eq!(concluded(3.0, 5), Solved::Feasible { answer, bound: 5 });
    }

    #[test]
    fn a_bound_of_the_solver_that_is_wrong_proves_nothing() {
        let answer = Vec::new();
        assert_eq!(concluded(8.0, 0), Solved::Feasible { answer, bound: 0 });
    }

    #[test]
    #[should_panic(expected = "an answer of 7 undercuts the bound 9 (from elsewhere)")]
    fn a_bound_from_elsewhere_that_is_wrong_is_loud() {
        let _ = concluded(0.0, 9);
    }
}
