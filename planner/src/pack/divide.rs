//! What annealing leaves of overload, taken away by dividing what two hosts carry between them anew.
//!
//! Shifts and swaps of single guests seldom meet a sum exactly. Of n guests on two hosts there are
//! 2^n divisions, all of which are tried: where hosts must be filled nearly to the last unit of one
//! resource, some division of a host above its room and one below it fits both.

use vmpack_ilp::problem::Amounts;

use crate::effort::Effort;
use crate::instance::State;
use crate::rng::Rng;

/// Guests divided at once, at most.
const FREE: usize = 15;
/// Pairs of hosts divided in a round, at most.
const PAIRS: usize = 400;
/// Overloads that differ by less are alike, in hosts' worth.
const ALIKE: f64 = 1e-9;

/// Divides pairs of hosts of `kept` anew, one of each pair overloaded, in rounds: until nothing is
/// overloaded, or a round takes less than half of the overload away. Guests that rules bind stay where
/// they are.
pub(super) fn divide(state: &mut State, kept: &[usize], effort: &Effort, rng: &mut Rng) {
    let mut left = f64::INFINITY;
    while state.penalty() <= left / 2.0 {
        left = state.penalty();
        for _ in 0..PAIRS {
            if state.over.is_empty() || effort.cut_off() {
                return;
            }
            let from = state.over[rng.below(state.over.len())];
            let to = kept[rng.below(kept.len())];
            if from != to {
                pair(state, (from, to), rng);
            }
        }
    }
}

/// The division of two hosts with the least overload, any of several.
fn pair(state: &mut State, (from, to): (usize, usize), rng: &mut Rng) {
    let inst = state.inst;
    let may = |b: &usize| {
        let bundle = &inst.bundles[*b];
        let set = &inst.sets[bundle.set];
        bundle.is_free() && set.contains(from) && set.contains(to)
    };
    let both = state.on[from].iter().chain(&state.on[to]);
    let mut free: Vec<usize> = both.copied().filter(may).collect();
    for i in (1..free.len()).rev() {
        free.swap(i, rng.below(i + 1));
    }
    free.truncate(FREE);

    // All of them on the second host; then one after the other changes sides, in Gray's order.
    let mut loads = [state.load[from].clone(), state.load[to].clone()];
    let overload =
        |loads: &[Amounts; 2]| state.overload(&loads[0], from) + state.overload(&loads[1], to);
    for b in free.iter().filter(|b| state.at[**b] == from) {
        cross(&mut loads, &inst.bundles[*b].need, false);
    }
    let mut here: u32 = 0;
    let mut least = (f64::INFINITY, 0, 0);
    for step in 1..=1u32 << free.len() {
        let now = overload(&loads);
        if now < least.0 - ALIKE {
            least = (now, here, 1);
        } else if now < least.0 + ALIKE {
            least.2 += 1;
            if rng.below(least.2) == 0 {
                least.1 = here;
            }
        }
        let Some(b) = free.get(step.trailing_zeros() as usize) else {
            break;
        };
        here ^= 1 << step.trailing_zeros();
        let comes = here >> step.trailing_zeros() & 1 == 1;
        cross(&mut loads, &inst.bundles[*b].need, comes);
    }
    for (i, b) in free.iter().enumerate() {
        let side = if least.1 >> i & 1 == 1 { from } else { to };
        if state.at[*b] != side {
            state.shift(*b, side, None);
        }
    }
}

/// Moves a need to the first load from the second, or back.
fn cross(loads: &mut [Amounts; 2], need: &Amounts, comes: bool) {
    let [here, there] = loads;
    for ((h, t), n) in here.iter_mut().zip(there).zip(need) {
        let n = if comes { *n } else { -n };
        *h += n;
        *t -= n;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmpack_domain::Policy;

    use super::*;
    use crate::instance::Instance;
    use crate::packing::Packing;
    use crate::rng::Rng;
    use crate::tests::timeless;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// On two hosts it finds the least overload of all divisions; on three it makes nothing worse.
        #[test]
        fn nothing_is_divided_better(
            items in prop::collection::vec((1i64..=30, 1i64..=30), 1..9),
            at in prop::collection::vec(0usize..3, 9),
            seed in 0u64..100,
        ) {
            let packing = Packing {
                room: vec![40, 50],
                items: items.iter().map(|(a, b)| vec![*a, *b]).collect(),
            };
            let problem = packing.problem(3, None);
            let inst = Instance::build(&problem).unwrap();
            let policy = Policy::default();
            for kept in [&[0, 1][..], &[0, 1, 2]] {
                let hosts = kept.len();
                let at: Vec<usize> = at[..items.len()].iter().map(|h| h % hosts).collect();
                let mut state = State::new(&inst, &at);
                let (before, over) = (state.penalty(), !state.over.is_empty());
                timeless(|search| {
                    let effort = Effort::share(search, &policy, 1000);
                    divide(&mut state, kept, &effort, &mut Rng::new(seed, 0));
                });
                prop_assert!(state.at.iter().all(|h| kept.contains(h)));
                prop_assert!(state.penalty() < before + 1e-9);
                if hosts == 2 && over {
                    let all = (0..1usize << items.len()).map(|sides| {
                        let at: Vec<usize> = (0..items.len()).map(|i| sides >> i & 1).collect();
                        State::new(&inst, &at).penalty()
                    });
                    let least = all.fold(f64::INFINITY, f64::min);
                    prop_assert!((state.penalty() - least).abs() < 1e-9);
                }
            }
        }
    }
}
