//! What patterns do not see of rules, mended by exchanging guests of one size: no host's load changes,
//! so only the rules count. One guest after the other that breaks a rule changes places with the one
//! of several by chance that leaves least broken (min-conflicts; Minton, Johnston, Philips and Laird,
//! 1992), and of several such the one with which least is moved.

use std::collections::BTreeMap;

use vmpack_ilp::problem::Amounts;

use crate::effort::Effort;
use crate::instance::State;
use crate::rng::Rng;

/// Guests looked at to change places with one.
const LOOKS: usize = 400;
/// Rounds over all broken rules, at most.
const ROUNDS: usize = 40;
/// What counts as a change: less is rounding.
pub(super) const LITTLE: f64 = 1e-9;

/// Exchanges guests of one size until no rule over several guests is broken, or a round mends nothing.
pub(super) fn exchange(state: &mut State, effort: &Effort, rng: &mut Rng) {
    let inst = state.inst;
    let mut alike: BTreeMap<&Amounts, Vec<usize>> = BTreeMap::new();
    for (b, bundle) in inst.bundles.iter().enumerate() {
        alike.entry(&bundle.need).or_default().push(b);
    }
    for _ in 0..ROUNDS {
        let broken: Vec<usize> = (0..inst.groups.len())
            .filter(|g| state.broken[*g] > 0)
            .collect();
        let mut mended = false;
        for g in &broken {
            for b in &inst.groups[*g].members {
                if effort.cut_off() {
                    return;
                }
                if state.conflicts(*b) > 0 {
                    let others = &alike[&inst.bundles[*b].need];
                    mended |= one(state, *b, others, rng);
                }
            }
        }
        if !mended {
            return;
        }
    }
}

/// Lets a guest change places with the best of some of `others`; whether that mended anything.
fn one(state: &mut State, bundle: usize, others: &[usize], rng: &mut Rng) -> bool {
    let inst = state.inst;
    let (from, set) = (state.at[bundle], &inst.sets[inst.bundles[bundle].set]);
    let away = |b: usize, host: usize| inst.bundles[b].moved(host);
    let mut best: Option<(f64, i64, usize)> = None;
    for look in 0..LOOKS.min(others.len()) {
        let other = match others.len() {
            all if all > LOOKS => others[rng.below(all)],
            _ => others[look],
        };
        let to = state.at[other];
        let may =
            to != from && set.contains(to) && inst.sets[inst.bundles[other].set].contains(from);
        if !may {
            continue;
        }
        let change = state.change(bundle, to, Some(other));
        let moved = away(bundle, to) + away(other, from) - away(bundle, from) - away(other, to);
        let better =
            |b: (f64, i64, usize)| change < b.0 - LITTLE || (change < b.0 + LITTLE && moved < b.1);
        if change < -LITTLE && best.is_none_or(better) {
            best = Some((change, moved, other));
        }
    }
    if let Some((_, _, other)) = best {
        state.shift(bundle, state.at[other], Some(other));
    }
    best.is_some()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmpack_domain::Policy;
    use vmpack_ilp::problem::{GroupKind, GroupRule};

    use super::*;
    use crate::instance::Instance;
    use crate::packing::Packing;
    use crate::rng::Rng;
    use crate::tests::timeless;

    /// The fewest broken pairs of any exchange of two guests of one size.
    fn best_exchange(inst: &Instance, at: &[usize]) -> f64 {
        let mut least = State::new(inst, at).penalty();
        for a in 0..at.len() {
            for b in a + 1..at.len() {
                if inst.bundles[a].need == inst.bundles[b].need {
                    let mut other = at.to_vec();
                    other.swap(a, b);
                    least = least.min(State::new(inst, &other).penalty());
                }
            }
        }
        least
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(120))]

        /// No host's load changes, nothing breaks anew, and where a rule is broken at the end no exchange
        /// of two of its guests mends it.
        #[test]
        fn only_rules_are_mended_and_as_far_as_one_exchange_can(
            sizes in prop::collection::vec(1i64..=3, 2..9),
            at in prop::collection::vec(0usize..4, 9),
            groups in prop::collection::vec((0usize..1 << 8, any::<bool>()), 1..4),
            seed in 0u64..100,
        ) {
            let items: Vec<Vec<i64>> = sizes.iter().map(|s| vec![*s]).collect();
            let at = &at[..items.len()];
            let mut problem = Packing { room: vec![40], items }.problem(4, Some(at));
            for (n, (members, together)) in groups.into_iter().enumerate() {
                let guests: Vec<usize> = (0..sizes.len()).filter(|g| members >> g & 1 == 1).collect();
                // Two hosts a place, or each its own.
                let kind = if together {
                    GroupKind::Gather { guests, place: [0, 0, 1, 1].into() }
                } else {
                    GroupKind::Spread { guests, place: [0, 1, 2, 3].into() }
                };
                problem.rules.push(GroupRule { name: format!("r{n}"), kind });
            }
            let inst = Instance::build(&problem).unwrap();
            let policy = Policy::default();
            let mut state = State::new(&inst, at);
            let (before, loads) = (state.penalty(), state.load.clone());
            let one = best_exchange(&inst, at);
            timeless(|search| {
                exchange(&mut state, &Effort::share(search, &policy, 1000), &mut Rng::new(seed, 0));
            });
            prop_assert_eq!(&state.load, &loads);
            prop_assert!(state.penalty() < before + LITTLE);
            if one < before - LITTLE {
                prop_assert!(state.penalty() < before - LITTLE, "one exchange gains");
            }
            prop_assert!(best_exchange(&inst, &state.at) > state.penalty() - LITTLE);
        }
    }
}
