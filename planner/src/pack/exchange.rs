//! What patterns do not see of rules, mended by exchanging guests of one size: no host's load changes,
//! so only the rules count. One guest after the other that breaks a rule changes places with the one
//! of several by chance that leaves least broken (min-conflicts; Minton, Johnston, Philips and Laird,
//! 1992).

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
const LITTLE: f64 = 1e-9;

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
    let mut best: Option<(f64, usize)> = None;
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
        if change < -LITTLE && best.is_none_or(|b| change < b.0) {
            best = Some((change, other));
        }
    }
    if let Some((_, other)) = best {
        state.shift(bundle, state.at[other], Some(other));
    }
    best.is_some()
}
