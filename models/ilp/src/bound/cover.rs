//! The hosts that a covering demand needs.

use super::Least;
use crate::model::{ceil_div, gcd};

/// Hosts that are alike: so many, what each costs, what each gives, whether they are in use anyway.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    pub(crate) count: usize,
    pub(crate) cost: i64,
    pub(crate) weight: i128,
    pub(crate) forced: bool,
}

/// Cells of the largest table over costs that is filled for one of many bounds.
const QUICK: usize = 1 << 17;
/// And for a bound that much else was spent on.
pub(crate) const THOROUGH: usize = 1 << 22;

/// [`cover_within`] as is affordable for each of many bounds.
pub(crate) fn cover(kinds: &[Kind], demand: i128) -> Option<Least> {
    cover_within(kinds, demand, QUICK)
}

/// A bound on number and cost of hosts whose weights, all at least 0, sum to at least `demand`, the
/// forced ones among them. `None` when all hosts together fall short.
///
/// Number: the heaviest hosts first, until the demand is met; fewer cannot meet it. Cost: exact where
/// the table over costs has at most so many cells ([`exact`]), else the larger of the fractional
/// optimum (cheapest per weight first, the last host in part, rounded up; Dantzig 1957) and so many
/// of the cheapest hosts.
pub(crate) fn cover_within(kinds: &[Kind], demand: i128, cells: usize) -> Option<Least> {
    let mut rest = demand;
    let mut least = Least::default();
    let mut free: Vec<Kind> = Vec::with_capacity(kinds.len());
    for kind in kinds {
        if kind.forced {
            rest -= kind.weight * count(kind.count);
            least.hosts += kind.count;
            least.cost += times(kind.cost, kind.count);
        } else if kind.weight > 0 {
            free.push(*kind);
        }
    }
    if rest <= 0 {
        return Some(least);
    }

    free.sort_by_key(|k| std::cmp::Reverse(k.weight));
    let mut missing = rest;
    let mut needed = 0;
    for kind in &free {
        let taken = enough(kind, missing);
        needed += taken;
        missing -= kind.weight * count(taken);
    }
    if missing > 0 {
        return None;
    }

    free.sort_by_key(|k| k.cost);
    let mut cheapest = 0;
    let mut left = needed;
    for kind in &free {
        let taken = left.min(kind.count);
        cheapest += times(kind.cost, taken);
        left -= taken;
    }

    free.sort_by(|a, b| (i128::from(a.cost) * b.weight).cmp(&(i128::from(b.cost) * a.weight)));
    let (fractional, whole) = greedy(&free, rest);
    let unit = free.iter().fold(0, |d, k| gcd(d, k.cost)).max(1);
    let low = ceil_div(cheapest.max(fractional), unit).saturating_mul(unit);
    least.hosts += needed;
    least.cost += if low < whole {
        exact(&free, rest, whole, unit, cells).unwrap_or(low)
    } else {
        low
    };
    Some(least)
}

/// As many hosts of a kind as there are, or as meet the demand.
fn enough(kind: &Kind, missing: i128) -> usize {
    let wanted = ceil(missing.max(0), kind.weight);
    usize::try_from(wanted).map_or(kind.count, |n| n.min(kind.count))
}

/// The cost of the fractional cover, rounded up, and that of a whole one, both in the kinds' order.
fn greedy(free: &[Kind], mut missing: i128) -> (i64, i64) {
    let (mut fractional, mut whole) = (None, 0i64);
    for kind in free {
        let taken = enough(kind, missing);
        if fractional.is_none() && kind.weight * count(kind.count) >= missing {
            let part = ceil(i128::from(kind.cost) * missing, kind.weight);
            fractional = Some(whole.saturating_add(i64::try_from(part).unwrap_or(0)));
        }
        whole = whole.saturating_add(times(kind.cost, taken));
        missing -= kind.weight * count(taken);
    }
    (fractional.unwrap_or(whole), whole)
}

/// The least cost of hosts that meet the demand, as some that cost `whole` do: a knapsack over costs,
/// `most[c]` being the largest sum of weights of hosts that cost at most `c` units. `None` where its
/// table has more than so many cells.
fn exact(free: &[Kind], demand: i128, whole: i64, unit: i64, cells: usize) -> Option<i64> {
    // Every number of hosts of a kind is a sum of some of 1, 2, 4, ... and the rest.
    let mut lots: Vec<(i64, i128)> = Vec::new();
    for kind in free {
        let (mut left, mut lot) = (kind.count, 1);
        while left > 0 {
            let n = left.min(lot);
            lots.push((times(kind.cost, n) / unit, kind.weight * count(n)));
            left -= n;
            lot = n.saturating_mul(2);
        }
    }
    let units = usize::try_from(whole / unit).ok()?.checked_add(1)?;
    if units.checked_mul(lots.len())? > cells {
        return None;
    }
    let mut most = vec![0i128; units];
    for (cost, weight) in lots {
        let Ok(cost) = usize::try_from(cost) else {
            continue;
        };
        for c in (cost..units).rev() {
            most[c] = most[c].max(most[c - cost] + weight);
        }
    }
    let least = most.partition_point(|m| *m < demand);
    Some(i64::try_from(least).ok()?.saturating_mul(unit))
}

fn count(n: usize) -> i128 {
    i128::try_from(n).unwrap_or(i128::MAX)
}

fn times(cost: i64, n: usize) -> i64 {
    cost.saturating_mul(i64::try_from(n).unwrap_or(i64::MAX))
}

/// ⌈a ÷ b⌉ for a ≥ 0, b > 0.
fn ceil(a: i128, b: i128) -> i128 {
    (a + b - 1) / b
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All sets of hosts, one by one.
    fn brute(kinds: &[Kind], demand: i128) -> Option<Least> {
        let each: Vec<&Kind> = kinds
            .iter()
            .flat_map(|k| std::iter::repeat_n(k, k.count))
            .collect();
        let mut best: Option<Least> = None;
        for set in 0u32..1 << each.len() {
            let inside = |i: &usize| set >> i & 1 == 1;
            let taken: Vec<&Kind> = (0..each.len()).filter(inside).map(|i| each[i]).collect();
            let forced = |kinds: &[&Kind]| kinds.iter().filter(|k| k.forced).count();
            let weight: i128 = taken.iter().map(|k| k.weight).sum();
            if forced(&taken) < forced(&each) || weight < demand {
                continue;
            }
            let cost = taken.iter().map(|k| k.cost).sum();
            let hosts = taken.len();
            let so_far = best.unwrap_or(Least { cost, hosts });
            best = Some(Least {
                cost: so_far.cost.min(cost),
                hosts: so_far.hosts.min(hosts),
            });
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn the_least_cover_is_that_of_all_sets(
            kinds in prop::collection::vec((1usize..4, 0i64..7, 0i128..12, prop::bool::weighted(0.2)), 1..5),
            demand in 0i128..60,
        ) {
            let kinds: Vec<Kind> = kinds.into_iter().map(|(n, c, w, f)| kind(n, 250 * c, w, f)).collect();
            let best = brute(&kinds, demand);
            prop_assert_eq!(cover(&kinds, demand), best);
            // Without a table it is a bound, which needs no less than so many of the cheapest.
            let bound = cover_within(&kinds, demand, 0);
            prop_assert_eq!(bound.map(|b| b.hosts), best.map(|b| b.hosts));
            prop_assert!(bound.map(|b| b.cost) <= best.map(|b| b.cost));
        }
    }

    #[test]
    fn different_costs_are_covered_exactly() {
        let kinds = [kind(3, 3000, 10, false), kind(6, 500, 4, false)];
        // All the small ones, and a half of a large one.
        assert_eq!(cover_within(&kinds, 29, 0).unwrap().cost, 4500);
        assert_eq!(cover(&kinds, 29).unwrap().cost, 5500);
    }

    fn kind(count: usize, cost: i64, weight: i128, forced: bool) -> Kind {
        Kind {
            count,
            cost,
            weight,
            forced,
        }
    }

    #[test]
    fn the_number_takes_the_heaviest_and_the_cost_the_cheapest() {
        let kinds = [kind(2, 1000, 10, false), kind(3, 300, 4, false)];
        let least = cover(&kinds, 15).unwrap();
        assert_eq!(least.hosts, 2);
        // 3 × 300 for 12, and 3/10 of 1000, where no table may be filled.
        assert_eq!(cover_within(&kinds, 15, 0).unwrap().cost, 1200);
        // Two of the small ones fall short of what is left by one of the large.
        assert_eq!(least.cost, 1600);
        assert_eq!(cover(&kinds, 33), None);
        assert_eq!(cover(&kinds, 32).unwrap().hosts, 5);
    }

    #[test]
    fn forced_hosts_are_paid_and_give_their_weight() {
        let kinds = [kind(1, 500, 10, true), kind(5, 1000, 10, false)];
        let least = cover(&kinds, 25).unwrap();
        assert_eq!((least.hosts, least.cost), (3, 2500));
        assert_eq!(cover(&kinds, 3).unwrap().hosts, 1);
    }
}
