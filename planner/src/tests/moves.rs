//! Stage 2 on random small clusters, against brute force.

use proptest::prelude::*;
use vmpack_domain::plan::Outcome;
use vmpack_domain::units::Micros;

use super::random::{inputs, placements};
use crate::curve::curve;
use crate::search::Search;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Each point of the curve is between its bound and what it claims, and none pays for nothing.
    #[test]
    fn the_curve_agrees_with_brute_force((cluster, load, mut policy) in inputs(5)) {
        let all = placements(&cluster, &load, &policy);
        policy.limits.nodes = Some(20);
        let found = curve(&cluster, &load, &policy, 3, &mut Search {
            elapsed: &|| Micros::ZERO,
            stop: &|| false,
            report: &mut |_| {},
        });
        if let Outcome::Optimal(curve) | Outcome::Feasible(curve) = found {
            prop_assert!(!curve.points.is_empty());
            for point in &curve.points {
                let affordable = all.iter().filter(|(cost, _)| *cost <= point.cost.0);
                let least = affordable.map(|(_, memory)| *memory).min();
                prop_assert!(least >= Some(point.memory_bound.0) && least <= Some(point.memory.0));
            }
            for pair in curve.points.windows(2) {
                prop_assert!(pair[0].cost < pair[1].cost && pair[0].memory > pair[1].memory);
            }
        } else {
            prop_assert!(all.is_empty());
        }
    }
}
