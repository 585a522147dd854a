//! The least cost of rooms that together reach a sum: a knapsack cover over groups of like rooms.

use super::proof::Least;

/// The largest table over budgets that is filled; beyond it the fractional bound is taken, or so many of
/// the cheapest rooms as are needed.
const LARGEST_TABLE: u128 = 100_000_000;

/// Rooms alike in cost and in what they hold at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Offer {
    pub(super) most: u64,
    pub(super) cost: u64,
    pub(super) count: u64,
    /// In use whatever happens.
    pub(super) always: bool,
}

/// Of all sets of rooms that hold every room that is always in use and reach Σ most ≥ `demand`: the
/// least cost and, apart from it, the least number. `None` when all rooms together do not reach it.
pub(super) fn least(offers: &[Offer], demand: u128) -> Option<Least> {
    least_within(offers, demand, LARGEST_TABLE)
}

/// The same; the least cost is only bounded from below where its table is larger than that.
fn least_within(offers: &[Offer], demand: u128, table: u128) -> Option<Least> {
    let mut paid = Least::default();
    let mut missing = demand;
    let mut free: Vec<Offer> = Vec::new();
    for offer in offers.iter().filter(|o| o.count > 0) {
        if offer.always {
            let cost = u128::from(offer.cost) * u128::from(offer.count);
            paid.cost = paid.cost.saturating_add(cost);
            paid.hosts = paid.hosts.saturating_add(u128::from(offer.count));
            missing = missing.saturating_sub(all(offer));
        } else if offer.most > 0 {
            free.push(*offer);
        }
    }
    if free.iter().fold(0, |sum, o| all(o).saturating_add(sum)) < missing {
        return None;
    }
    free.sort_by_key(|o| std::cmp::Reverse(o.most));
    let number = fewest(&free, missing);
    Some(Least {
        cost: paid.cost + cheapest(free, missing, number, table),
        hosts: paid.hosts + number,
    })
}

fn all(offer: &Offer) -> u128 {
    u128::from(offer.most) * u128::from(offer.count)
}

/// The fewest rooms, the largest first.
fn fewest(free: &[Offer], mut missing: u128) -> u128 {
    let mut hosts = 0;
    for offer in free {
        let taken = missing
            .div_ceil(u128::from(offer.most))
            .min(u128::from(offer.count));
        hosts += taken;
        missing = missing.saturating_sub(taken * u128::from(offer.most));
    }
    hosts
}

/// What so many rooms cost at least.
fn cheapest_of(free: &[Offer], mut number: u128) -> u128 {
    let mut by_cost: Vec<&Offer> = free.iter().collect();
    by_cost.sort_by_key(|o| o.cost);
    let mut cost = 0;
    for offer in by_cost {
        let taken = number.min(u128::from(offer.count));
        cost += taken * u128::from(offer.cost);
        number -= taken;
    }
    cost
}

/// The least cost, exact where the table over budgets is small, else bounded from below by a
/// fractional cover and by the fewest rooms, `number`; all are multiples of the costs' common divisor.
fn cheapest(mut free: Vec<Offer>, mut missing: u128, number: u128, table: u128) -> u128 {
    let counted = cheapest_of(&free, number);
    for offer in free.iter().filter(|o| o.cost == 0) {
        missing = missing.saturating_sub(all(offer));
    }
    free.retain(|o| o.cost > 0);
    let unit = free.iter().fold(0, |d, o| gcd(d, u128::from(o.cost)));
    if missing == 0 || unit == 0 {
        return 0;
    }
    // The most for the money first.
    free.sort_by(|a, b| {
        let (left, right) = (
            u128::from(a.most) * u128::from(b.cost),
            u128::from(b.most) * u128::from(a.cost),
        );
        right.cmp(&left)
    });
    let (whole, fractional) = greedy(&free, missing);
    let bound = counted.max(fractional.div_ceil(unit) * unit);
    let chunks: Vec<(u128, u128)> = free
        .iter()
        .flat_map(|o| {
            doubling(o.count).map(|n| {
                let n = u128::from(n);
                (u128::from(o.cost) / unit * n, u128::from(o.most) * n)
            })
        })
        .collect();
    let budgets = whole / unit + 1;
    let cells = budgets.saturating_mul(chunks.len() as u128);
    let Some(budgets) = usize::try_from(budgets).ok().filter(|_| cells <= table) else {
        return bound;
    };
    // held[b]: the largest Σ most of rooms that cost at most b units.
    let mut held = vec![0u128; budgets];
    for (cost, most) in chunks {
        let Ok(cost) = usize::try_from(cost) else {
            continue;
        };
        for b in (cost..budgets).rev() {
            held[b] = held[b].max(held[b - cost] + most);
        }
    }
    let least = held.partition_point(|h| *h < missing);
    (least as u128) * unit
}

/// The cost of a greedy cover, and of the fractional one (rounded up), in the offers' order.
fn greedy(free: &[Offer], mut missing: u128) -> (u128, u128) {
    let (mut whole, mut fractional) = (0, None);
    for offer in free {
        let (most, cost) = (u128::from(offer.most), u128::from(offer.cost));
        let taken = missing.div_ceil(most).min(u128::from(offer.count));
        if fractional.is_none() && taken * most >= missing {
            fractional = Some(whole + (missing * cost).div_ceil(most));
        }
        whole += taken * cost;
        missing = missing.saturating_sub(taken * most);
    }
    (whole, fractional.unwrap_or(whole))
}

/// Parts of which every number from 0 to `count` is a sum: 1, 2, 4, … and the rest.
pub(super) fn doubling(count: u64) -> impl Iterator<Item = u64> {
    let mut left = count;
    let mut next = 1;
    std::iter::from_fn(move || {
        let part = next.min(left);
        left -= part;
        next = part.saturating_mul(2);
        (part > 0).then_some(part)
    })
}

pub(super) fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All sets, one by one.
    fn brute(offers: &[Offer], demand: u128) -> Option<Least> {
        let singles: Vec<&Offer> = offers
            .iter()
            .flat_map(|o| std::iter::repeat_n(o, usize::try_from(o.count).unwrap()))
            .collect();
        let mut best: Option<Least> = None;
        for set in 0u32..1 << singles.len() {
            let chosen = |i: usize| set >> i & 1 == 1;
            if singles
                .iter()
                .enumerate()
                .any(|(i, o)| o.always && !chosen(i))
            {
                continue;
            }
            let taken: Vec<&&Offer> = (0..singles.len())
                .filter(|i| chosen(*i))
                .map(|i| &singles[i])
                .collect();
            if taken.iter().map(|o| u128::from(o.most)).sum::<u128>() < demand {
                continue;
            }
            let cost = taken.iter().map(|o| u128::from(o.cost)).sum();
            let hosts = taken.len() as u128;
            let so_far = best.unwrap_or(Least { cost, hosts });
            best = Some(Least {
                cost: so_far.cost.min(cost),
                hosts: so_far.hosts.min(hosts),
            });
        }
        best
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_least_cover_is_that_of_all_sets(
            offers in prop::collection::vec((0u64..12, 0u64..6, 1u64..4, prop::bool::weighted(0.2)), 1..5),
            demand in 0u128..60,
        ) {
            let offers: Vec<Offer> = offers
                .into_iter()
                .map(|(most, cost, count, always)| Offer { most, cost, count, always })
                .collect();
            prop_assert_eq!(least(&offers, demand), brute(&offers, demand));
        }

        /// What needs no table is claimed without one, so it has to be proven without one.
        #[test]
        fn without_a_table_so_many_of_the_cheapest_are_paid(
            offers in prop::collection::vec((1u64..12, 0u64..6, 1u64..4, prop::bool::weighted(0.2)), 1..5),
            demand in 0u128..60,
            table in 0u128..40,
        ) {
            let offers: Vec<Offer> = offers
                .into_iter()
                .map(|(most, cost, count, always)| Offer { most, cost, count, always })
                .collect();
            let (bound, best) = (least_within(&offers, demand, table), brute(&offers, demand));
            prop_assert_eq!(bound.map(|b| b.hosts), best.map(|b| b.hosts));
            prop_assert!(bound.map(|b| b.cost) <= best.map(|b| b.cost));
            if let Some(bound) = bound {
                let (always, free): (Vec<Offer>, Vec<Offer>) = offers.iter().partition(|o| o.always);
                let paid: u64 = always.iter().map(|o| o.cost * o.count).sum();
                let more = bound.hosts - always.iter().map(|o| u128::from(o.count)).sum::<u128>();
                let whole = |n: u128| usize::try_from(n).unwrap();
                let each = free.iter().flat_map(|o| std::iter::repeat_n(o.cost, whole(o.count.into())));
                let mut each: Vec<u64> = each.collect();
                each.sort_unstable();
                let cheapest: u64 = each.iter().take(whole(more)).sum();
                prop_assert!(bound.cost >= u128::from(paid + cheapest));
            }
        }
    }

    #[test]
    fn a_cover_too_large_for_a_table_is_bounded_by_fractions() {
        let offer = |most, cost| Offer {
            most,
            cost,
            count: 1 << 20,
            always: false,
        };
        let offers = [offer(7, 1_000_003), offer(5, 999_999), offer(3, 1_000_000)];
        let found = least(&offers, 1 << 22).unwrap();
        // 599,187 of the first at 7 each, fractionally.
        let cost = ((1u128 << 22) * 1_000_003).div_ceil(7);
        assert_eq!((found.cost, found.hosts), (cost, (1u128 << 22).div_ceil(7)));
    }

    #[test]
    fn a_count_is_taken_apart_into_doubling_parts() {
        for count in 0..40 {
            let parts: Vec<u64> = doubling(count).collect();
            assert_eq!(parts.iter().sum::<u64>(), count);
            let mut sums = std::collections::BTreeSet::from([0]);
            for part in parts {
                sums.extend(sums.clone().iter().map(|s| s + part));
            }
            assert_eq!(sums.len() as u64, count + 1);
        }
    }
}
