//! The surrogate row of a pricing: one row in place of all, with the multipliers of the linear
//! relaxation. Any multipliers give a row that every content keeps; these make it tight.

use super::price::count;
use super::table::FINE;
use crate::highs::lp::{Column, Lp};
use crate::model::float;

/// A row's part of the surrogate room.
pub(super) fn portion(share: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a share of 2^24")]
    let portion = (share.clamp(0.0, 1.0) * float(FINE)) as i64;
    portion
}

/// The surrogate need: of each row its portion, times need ÷ room, rounded down. The sum over a
/// content is at most the sum of the portions.
pub(super) fn surrogate(need: &[i64], room: &[i64], shares: &[f64]) -> i64 {
    need.iter()
        .zip(room)
        .zip(shares)
        .filter(|((_, room), _)| **room > 0)
        .map(|((need, room), share)| {
            let part = i128::from(*need) * i128::from(portion(*share)) / i128::from(*room);
            i64::try_from(part).unwrap_or(0)
        })
        .sum()
}

/// The duals of the rows in the linear relaxation, each times its room, as shares of their sum.
pub(super) fn shares<'a>(
    room: &[i64],
    items: impl Iterator<Item = (i64, usize, &'a [i64])>,
) -> Vec<f64> {
    let even = vec![1.0 / float(count(room.len().max(1))); room.len()];
    if room.len() < 2 {
        return even;
    }
    let columns: Vec<Column> = items
        .map(|(value, copies, need)| Column {
            cost: -float(value),
            upper: float(count(copies)),
            entries: (0..room.len())
                .filter(|r| room[*r] > 0 && need[*r] > 0)
                .map(|r| (r, float(need[r]) / float(room[r])))
                .collect(),
        })
        .collect();
    let most = columns.iter().fold(1.0f64, |m, c| m.max(-c.cost));
    let scaled: Vec<Column> = columns
        .into_iter()
        .map(|c| Column {
            cost: c.cost / most,
            ..c
        })
        .collect();
    let rows = vec![(f64::NEG_INFINITY, 1.0); room.len()];
    let solved = Lp::new(&rows).and_then(|mut lp| {
        lp.add(&scaled)?;
        lp.run(&|| false)
    });
    let Ok(solution) = solved else {
        return even;
    };
    let duals: Vec<f64> = solution.duals.iter().map(|d| d.abs()).collect();
    let sum: f64 = duals.iter().sum();
    if sum > 0.0 {
        duals.iter().map(|d| d / sum).collect()
    } else {
        even
    }
}
