//! Bounds by size.
//!
//! Let f be nondecreasing and superadditive on 0 … R, f(0) = 0, f(x) + f(y) ≤ f(x + y), where R is
//! the largest room of any host. Guests together on host h have sizes that sum to at most `room[h]`,
//! so Σ f(size) ≤ `f(room[h])`, and the hosts in use have Σ `f(room[h])` ≥ Σ f(size) over all
//! guests: a covering demand, whatever the rooms and costs. Used are
//! - f(x) = x (volume)
//! - U_p for 0 < p ≤ R/2: 0 below p, R above R − p, else x. Its best p gives L2 of Martello and Toth
//!   (1990) where hosts are equal.
//! - u_k for k ≥ 1: x·k where (k+1)·x is a multiple of R, else ⌊(k+1)·x ÷ R⌋·R, in units of 1/k.
//!
//! Both are maximal dual-feasible functions, hence superadditive: Fekete and Schepers, Mathematical
//! Programming 91 (2001), theorems 1 and 2; Alves, Clautiaux, Valério de Carvalho and Rietz,
//! Dual-Feasible Functions for Integer Programming (2016), section 2.3.
//!
//! Sizes are needs of one resource, or Σ_r `a[r]·need[g,r]` with integers `a[r]` ≥ 0, for which the
//! rooms Σ_r `a[r]·room[h,r]` hold as well. Rooms are cut to what needs can sum to ([`reach`]).

use std::collections::BTreeMap;

use super::part::Part;
use super::{Best, Least};
use crate::model::gcd;
use crate::problem::Problem;
use crate::rule::spare::wanted;

/// At most so many thresholds p are tried, evenly taken from the sizes.
const THRESHOLDS: usize = 200;
/// u_k is tried up to this k.
const STEPS: i128 = 20;
/// At most so many resources are weighed against each other.
const WEIGHED: usize = 10;
/// Two resources are weighed against each other in so many steps.
const WEIGHINGS: i64 = 10;
/// A multiplier stands for a share of the largest room in 2^-20 parts.
const GRAIN: i128 = 1 << 20;

/// The bounds by size of a part.
pub(super) fn bound(p: &Problem, part: &Part, best: &mut Best) {
    let reaches = reaches(p, part);
    let names = &p.resources;
    let mut largest = vec![0i128; names.len()];
    for (r, largest) in largest.iter_mut().enumerate() {
        let needs: i128 = part
            .guests
            .iter()
            .map(|g| i128::from(p.guests[*g].need[r]))
            .sum();
        let room = |k: usize| i128::from(part.kinds[k].room[r]);
        best.offer_weighed(
            part.cover(needs, room),
            || format!("volume of {}", names[r]),
            || {
                let need = |g: &usize| i128::from(p.guests[*g].need[r]);
                part.weights(part.guests.iter().map(need), room)
            },
        );
        let rooms: Vec<i128> = reaches.iter().map(|k| i128::from(k[r])).collect();
        let sizes = part.guests.iter().map(|g| i128::from(p.guests[*g].need[r]));
        *largest = rooms.iter().copied().max().unwrap_or(0);
        transformed(part, sizes.collect(), &rooms, &names[r], best);
    }
    // Of many resources, those of which the guests want the largest share.
    let share = |r: usize| -> i128 {
        let needs = part.guests.iter().map(|g| i128::from(p.guests[*g].need[r]));
        needs.sum::<i128>() * 1_000_000 / largest[r]
    };
    let mut weighed: Vec<usize> = (0..names.len()).filter(|r| largest[*r] > 0).collect();
    weighed.sort_by_cached_key(|r| (std::cmp::Reverse(share(*r)), *r));
    weighed.truncate(WEIGHED);
    weighed.sort_unstable();
    for (i, &a) in weighed.iter().enumerate() {
        for &b in &weighed[i + 1..] {
            let scale = largest[a].max(largest[b]) * GRAIN;
            for step in 1..WEIGHINGS {
                let of_a = i128::from(step) * scale / largest[a] / i128::from(WEIGHINGS);
                let of_b =
                    i128::from(WEIGHINGS - step) * scale / largest[b] / i128::from(WEIGHINGS);
                let sizes = part.guests.iter().map(|g| {
                    let need = &p.guests[*g].need;
                    of_a * i128::from(need[a]) + of_b * i128::from(need[b])
                });
                let rooms: Vec<i128> = reaches
                    .iter()
                    .map(|k| of_a * i128::from(k[a]) + of_b * i128::from(k[b]))
                    .collect();
                let name = format!(
                    "{}:{} of {} and {}",
                    step,
                    WEIGHINGS - step,
                    names[a],
                    names[b]
                );
                transformed(part, sizes.collect(), &rooms, &name, best);
            }
        }
    }
}

/// The volume with the room that `spare` rules want. The rooms are whole: spare room is no guest.
pub(super) fn spare(p: &Problem, part: &Part, best: &mut Best) {
    for (r, (wanted, name)) in wanted(p).into_iter().zip(&p.resources).enumerate() {
        best.offer(
            part.cover(wanted, |k| i128::from(part.kinds[k].room[r])),
            || format!("volume of {name} with the spare room"),
        );
    }
}

/// What each kind of host can be filled to, per resource.
fn reaches(p: &Problem, part: &Part) -> Vec<Vec<i64>> {
    let mut known: BTreeMap<(usize, i64), i64> = BTreeMap::new();
    part.kinds
        .iter()
        .map(|kind| {
            let reach_of = |r: usize| {
                *known.entry((r, kind.room[r])).or_insert_with(|| {
                    reach(
                        part.guests.iter().map(|g| p.guests[*g].need[r]),
                        kind.room[r],
                    )
                })
            };
            (0..p.resources.len()).map(reach_of).collect()
        })
        .collect()
}

/// Offers the covering bounds of the identity, all U_p and all u_k. `rooms` are per kind of host.
fn transformed(part: &Part, each: Vec<i128>, rooms: &[i128], name: &str, best: &mut Best) {
    let Some(largest) = rooms.iter().copied().max().filter(|l| *l > 0) else {
        return;
    };
    let cover = |demand: i128, f: &dyn Fn(i128) -> i128| -> Option<Least> {
        part.cover(demand, |k| f(rooms[k]))
    };
    let weigh =
        |f: &dyn Fn(i128) -> i128| part.weights(each.iter().map(|size| f(*size)), |k| f(rooms[k]));
    let mut sizes = each.clone();
    sizes.sort_unstable();
    let mut sums = Vec::with_capacity(sizes.len() + 1);
    sums.push(0i128);
    for s in &sizes {
        sums.push(sums.last().copied().unwrap_or(0) + s);
    }
    let total = sums.last().copied().unwrap_or(0);
    best.offer_weighed(
        cover(total, &|x| x),
        || format!("volume of {name} that needs can sum to"),
        || weigh(&|x| x),
    );

    let mut thresholds: Vec<i128> = sizes
        .iter()
        .copied()
        .filter(|s| *s > 0 && 2 * s <= largest)
        .collect();
    thresholds.dedup();
    let skip = thresholds.len().div_ceil(THRESHOLDS).max(1);
    let mut thresholds: Vec<i128> = thresholds.into_iter().step_by(skip).collect();
    thresholds.push(largest / 2);
    for p in thresholds.into_iter().filter(|p| *p > 0) {
        let u = |x: i128| rounded(x, p, largest);
        let low = sizes.partition_point(|s| *s < p);
        let high = sizes.partition_point(|s| *s <= largest - p);
        let raised = i128::try_from(sizes.len() - high).unwrap_or(0) * largest;
        best.offer_weighed(
            cover(sums[high] - sums[low] + raised, &u),
            || format!("L2 of {name}"),
            || weigh(&u),
        );
    }

    for k in 1..=STEPS {
        let u = |x: i128| stepped(x, k, largest);
        let demand = sizes.iter().map(|s| u(*s)).sum();
        best.offer_weighed(
            cover(demand, &u),
            || format!("dual-feasible function u_{k} of {name}"),
            || weigh(&u),
        );
    }
}

/// U_p of x, where the largest room is R.
fn rounded(x: i128, p: i128, largest: i128) -> i128 {
    match x {
        x if x < p => 0,
        x if x > largest - p => largest,
        x => x,
    }
}

/// u_k of x, in units of 1/k, where the largest room is R.
fn stepped(x: i128, k: i128, largest: i128) -> i128 {
    if ((k + 1) * x) % largest == 0 {
        x * k
    } else {
        (k + 1) * x / largest * largest
    }
}

/// The largest sum of some of the needs that is at most `room`, by a table of reachable sums in
/// units of the needs' greatest common divisor. Where that table would be too large, `room` cut to
/// a multiple of the divisor, which is no less.
pub(crate) fn reach(needs: impl Iterator<Item = i64>, room: i64) -> i64 {
    let needs: Vec<i64> = needs.filter(|n| 0 < *n && *n <= room).collect();
    let unit = needs.iter().fold(0, |d, n| gcd(d, *n));
    if unit == 0 {
        return 0;
    }
    let Ok(top) = usize::try_from(room / unit) else {
        return 0;
    };
    let words = top / 64 + 1;
    if needs.len().saturating_mul(words) > 1 << 26 {
        return room / unit * unit;
    }
    let mut sums = vec![0u64; words];
    sums[0] = 1;
    let reached = |sums: &[u64], s: usize| sums[s / 64] >> (s % 64) & 1 == 1;
    for need in &needs {
        let Ok(shift) = usize::try_from(need / unit) else {
            continue;
        };
        let (skip, bits) = (shift / 64, shift % 64);
        for w in (skip..words).rev() {
            let mut shifted = sums[w - skip] << bits;
            if bits > 0 && w > skip {
                shifted |= sums[w - skip - 1] >> (64 - bits);
            }
            sums[w] |= shifted;
        }
        if reached(&sums, top) {
            break;
        }
    }
    let best = (0..=top).rev().find(|s| reached(&sums, *s)).unwrap_or(0);
    i64::try_from(best).unwrap_or(0) * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nondecreasing, nothing of nothing, and no less of a sum than of its parts: up to the largest room R.
    fn is_superadditive(largest: i128, f: &dyn Fn(i128) -> i128) -> bool {
        let grows = (0..largest).all(|x| f(x) <= f(x + 1));
        let sums = (0..=largest).all(|x| (0..=largest - x).all(|y| f(x) + f(y) <= f(x + y)));
        f(0) == 0 && grows && sums
    }

    #[test]
    fn every_function_of_sizes_is_superadditive_up_to_the_largest_room() {
        for largest in 1..=40 {
            for p in 1..=largest / 2 {
                assert!(is_superadditive(largest, &|x| rounded(x, p, largest)));
            }
            for k in 1..=STEPS {
                assert!(is_superadditive(largest, &|x| stepped(x, k, largest)));
            }
        }
        // Halves rounded up are not.
        assert!(!is_superadditive(10, &|x| (x + 1) / 2));
    }
}
