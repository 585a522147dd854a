//! First fit by the one resource that is scarce; what that overloads of the others is exchanged away.
//!
//! Memory is often needed in few sizes that divide each other. There first fit decreasing is optimal
//! (Coffman, Garey, Johnson, "Bin Packing with Divisible Item Sizes", 1987), while fits that weigh the other
//! resources too, and annealing, leave room that no size fills. Guests alike in the scarce resource then
//! change places at no cost to it.

use super::exchange::LITTLE;
use super::fit::need_weights;
use crate::effort::Effort;
use crate::instance::{Instance, NOWHERE, State};
use crate::rng::Rng;

/// What is needed of any other resource, at most, where 1 is what is needed of the scarce one, both as
/// shares of the room.
const SLACK: f64 = 0.9;
/// Exchanges that do not help, for each guest, before it is given up.
const TRIES: usize = 20;

/// A placement that keeps the room of the scarce resource, and often that of the others; `None` where
/// another is about as scarce, or the hosts do not suffice.
pub(super) fn scarce<'i, 'p>(
    inst: &'i Instance<'p>,
    order: &[usize],
    effort: &Effort,
    rng: &mut Rng,
) -> Option<State<'i, 'p>> {
    let weights = need_weights(inst);
    let scarce = (0..weights.len()).max_by(|a, b| weights[*a].total_cmp(&weights[*b]))?;
    let mut others = (0..weights.len()).filter(|r| *r != scarce);
    if !inst.is_plain() || others.any(|r| weights[r] > SLACK) {
        return None;
    }
    let mut state = first_fit(inst, order, scarce)?;
    exchange(&mut state, scarce, effort, rng);
    Some(state)
}

/// First fit decreasing by one resource and the rules.
fn first_fit<'i, 'p>(
    inst: &'i Instance<'p>,
    order: &[usize],
    resource: usize,
) -> Option<State<'i, 'p>> {
    let need = |b: usize| inst.bundles[b].need[resource];
    let mut bundles: Vec<usize> = (0..inst.bundles.len()).collect();
    bundles.sort_by_key(|b| (-need(*b), *b));
    let mut state = State::new(inst, &vec![NOWHERE; bundles.len()]);
    for b in bundles {
        let set = &inst.sets[inst.bundles[b].set];
        let fits = |h: &&usize| {
            state.load[**h][resource] + need(b) <= inst.problem.hosts[**h].room[resource]
                && set.contains(**h)
                && state.pairs_added(b, **h) == 0
                && state.moves_added(b, **h) == 0
        };
        let host = *order.iter().find(fits)?;
        state.put(b, host);
    }
    Some(state)
}

/// Guests of overloaded hosts change places with any others while that makes overload and broken rules
/// together no worse, and overloads the scarce resource nowhere.
fn exchange(state: &mut State, scarce: usize, effort: &Effort, rng: &mut Rng) {
    const LOOK: usize = 1024;
    let inst = state.inst;
    let (mut idle, mut tried) = (0, 0);
    while !state.over.is_empty() && idle < TRIES * state.at.len() {
        if tried % LOOK == 0 && effort.cut_off() {
            return;
        }
        (idle, tried) = (idle + 1, tried + 1);
        let from = state.over[rng.below(state.over.len())];
        let bundle = state.on[from][rng.below(state.on[from].len())];
        let other = rng.below(state.at.len());
        let to = state.at[other];
        let may = |b: usize, h: usize, gone: usize| {
            let need = |b: usize| inst.bundles[b].need[scarce];
            inst.sets[inst.bundles[b].set].contains(h)
                && state.load[h][scarce] + need(b) - need(gone)
                    <= inst.problem.hosts[h].room[scarce]
        };
        if to == from || !may(bundle, to, other) || !may(other, from, bundle) {
            continue;
        }
        let change = state.change(bundle, to, Some(other));
        if change <= 0.0 {
            state.shift(bundle, to, Some(other));
        }
        if change < -LITTLE {
            idle = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmpack_domain::Policy;

    use super::*;
    use crate::packing::Packing;
    use crate::rng::Rng;
    use crate::tests::timeless;

    fn packed(items: &[(i64, usize)], hosts: usize, check: impl FnOnce(Option<State>)) {
        let packing = Packing {
            room: vec![100, 121],
            items: items.iter().map(|(a, b)| vec![*a, 1 << b]).collect(),
        };
        let problem = packing.problem(hosts, None);
        let inst = Instance::build(&problem).unwrap();
        let order: Vec<usize> = (0..hosts).collect();
        timeless(|search| {
            let effort = Effort::share(search, &Policy::default(), 1000);
            check(scarce(&inst, &order, &effort, &mut Rng::new(1, 0)));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Sizes that divide each other fill the fewest hosts, and no exchange overloads one of them.
        #[test]
        fn sizes_that_divide_each_other_fill_the_fewest_hosts(
            items in prop::collection::vec((0i64..20, 2usize..7), 1..60),
        ) {
            // Of the room of 121, 120 can be filled by sizes of 4 and more; and of 8 and more, and so on.
            let least = (2..7).map(|least| {
                let large = items.iter().filter(|i| i.1 >= least).map(|i| 1usize << i.1);
                large.sum::<usize>().div_ceil(121 >> least << least)
            });
            let least = least.max().unwrap_or(1).max(1);
            // Memory is the scarce one of the two; where CPU is, its sizes divide nothing.
            let cpu: i64 = items.iter().map(|i| i.0).sum();
            let memory: i64 = items.iter().map(|i| 1 << i.1).sum();
            let (cpu, memory) = (cpu as f64 / 100.0, memory as f64 / 121.0);
            prop_assume!(cpu <= memory && (cpu - SLACK * memory).abs() > 1e-9);
            let mut result = Ok(());
            packed(&items, least, |state| {
                let scarce = cpu < SLACK * memory;
                let sound = match &state {
                    Some(state) => {
                        scarce && !state.at.contains(&NOWHERE) && state.load.iter().all(|l| l[1] <= 121)
                    }
                    None => !scarce,
                };
                if !sound {
                    result = Err(TestCaseError::fail(format!("{least} hosts, {:?}", state.map(|s| s.at))));
                }
            });
            result?;
        }
    }

    #[test]
    fn what_first_fit_overloads_is_exchanged_away() {
        // By memory alone the three first guests share a host, whose CPU is 180 then.
        let items: Vec<(i64, usize)> = (0..9).map(|i| (if i < 3 { 60 } else { 5 }, 5)).collect();
        packed(&items, 3, |state| {
            let state = state.unwrap();
            assert!(state.feasible(), "{:?}", state.load);
        });
    }
}
