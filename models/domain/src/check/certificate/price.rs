//! Prices on a room: with pᵣ for the whole of resource r, any filling weighs at most
//!
//!   L(p) = Σ pᵣ + Σ cᵢ max(0, wᵢ − Σᵣ pᵣ nᵢᵣ ÷ Rᵣ)
//!
//! (Lagrangian relaxation). L is convex; its least is the value of the LP. It is sought by steps
//! along one price or from one price to another, halved when none leads down. Whatever the prices,
//! the bound holds: what a need costs is rounded down.

use super::fill::Item;

/// Prices and weights are counted in this fraction.
const GRAIN: u32 = 16;
/// Shares of a room are counted in this fraction.
const SHARE: u32 = 32;

/// Each item's share of each resource, rounded down: `shares[r][i]` in 2^-32 of the room.
pub(super) fn shares(list: &[Item], room: &[u64]) -> Vec<Vec<u128>> {
    room.iter()
        .enumerate()
        .map(|(r, room)| {
            list.iter()
                .map(|item| {
                    (u128::from(item.need[r]) << SHARE)
                        .checked_div(u128::from(*room))
                        .unwrap_or(0)
                })
                .collect()
        })
        .collect()
}

/// Prices and what they make of the items.
pub(super) struct Prices {
    /// Of the whole room, per resource.
    pub(super) price: Vec<u128>,
    /// Of one of each item.
    pub(super) cost: Vec<u128>,
}

/// The prices of the least bound that was found; `None` when a bound is at most `most`.
pub(super) fn prices(
    list: &[Item],
    shares: &[Vec<u128>],
    most: u64,
    steps: &mut u64,
) -> Option<Prices> {
    let runs = list.iter().filter_map(|i| i.run).max().map_or(0, |r| r + 1);
    let mut highest = vec![0u128; runs];
    let mut value = |price: &[u128], cost: &[u128]| -> u128 {
        highest.fill(0);
        let mut sum: u128 = price.iter().sum();
        for (item, cost) in list.iter().zip(cost) {
            let rest = (u128::from(item.weight) << GRAIN).saturating_sub(*cost);
            match item.run {
                None => sum += rest * u128::from(item.count),
                Some(run) => highest[run] = highest[run].max(rest),
            }
        }
        sum + highest.iter().sum::<u128>()
    };
    let resources = shares.len();
    let goal = (u128::from(most) + 1) << GRAIN;
    let mut price = vec![0u128; resources];
    let mut cost = vec![0u128; list.len()];
    let mut best = value(&price, &cost);
    let mut step = best / 2;
    let work = list.len() as u64 / 16 + 1;
    while step << 14 >= goal && step > 0 {
        let mut improved = false;
        // From the price `down`, where there is one, to the price `up`, where there is one.
        for up in 0..=resources {
            for down in 0..=resources {
                let lower = price.get(down).copied();
                if up == down || lower == Some(0) || (up == resources && lower.is_none()) {
                    continue;
                }
                if *steps == 0 {
                    return Some(Prices { price, cost });
                }
                *steps = steps.saturating_sub(work);
                let mut trial = price.clone();
                if let Some(p) = trial.get_mut(up) {
                    *p += step;
                }
                if let Some(p) = trial.get_mut(down) {
                    *p = p.saturating_sub(step);
                }
                let at = |price: &[u128], r: usize, i: usize| (price[r] * shares[r][i]) >> SHARE;
                let trial_cost: Vec<u128> = (0..list.len())
                    .map(|i| {
                        [up, down]
                            .into_iter()
                            .filter(|r| *r < resources)
                            .fold(cost[i], |c, r| c - at(&price, r, i) + at(&trial, r, i))
                    })
                    .collect();
                let found = value(&trial, &trial_cost);
                if found < best {
                    (best, price, cost) = (found, trial, trial_cost);
                    improved = true;
                    if best < goal {
                        return None;
                    }
                }
            }
        }
        if !improved {
            step /= 2;
        }
    }
    Some(Prices { price, cost })
}

/// One size for each item and one for the room, such that sizes that fit in every resource fit in
/// it: the needs at those weights, scaled to about 40 bits.
pub(super) fn surrogate(price: &[u128], shares: &[Vec<u128>], items: usize) -> (Vec<u64>, u64) {
    let whole: u128 = price.iter().sum::<u128>() << SHARE;
    let shift = (u128::BITS - whole.leading_zeros()).saturating_sub(40);
    let size = |i: usize| -> u128 { price.iter().zip(shares).map(|(p, s)| p * s[i]).sum() };
    let scaled = |v: u128| u64::try_from(v >> shift).unwrap_or(u64::MAX);
    ((0..items).map(|i| scaled(size(i))).collect(), scaled(whole))
}
