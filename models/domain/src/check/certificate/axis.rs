//! One-dimensional tables: what the items from each one on weigh at most in so much of one resource,
//! or of a sum of resources at prices. Sizes are rounded down to cells, so each entry is a bound on
//! what the items weigh in the room itself.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::cover::{doubling, gcd};
use super::fill::Items;
use super::price;

/// Entries of a table.
const ENTRIES: usize = 1 << 20;
/// Steps through the one row of a table of its root.
const WORK: usize = 1 << 27;
/// Cells of the longest row.
const LONGEST: usize = 1 << 20;
/// Tables over single resources.
const SINGLES: usize = 3;

/// A table over one axis.
pub(super) struct Axis {
    /// Of each item.
    pub(super) size: Vec<u64>,
    /// Of the room.
    pub(super) room: u64,
    /// Of a cell.
    unit: u64,
    width: usize,
    table: Vec<u64>,
}

impl Axis {
    /// What the items from `first` on weigh at most in what is left.
    pub(super) fn most(&self, first: usize, left: u64) -> u64 {
        let cell =
            usize::try_from(left / self.unit).map_or(self.width - 1, |c| c.min(self.width - 1));
        self.table[first * self.width + cell]
    }
}

/// The axes of a room; `None` when one of them proves that it holds at most `most`.
pub(super) fn axes(
    items: &Items,
    room: &[u64],
    price: &[u128],
    most: u64,
    steps: &mut u64,
) -> Option<Vec<Axis>> {
    let shares = price::shares(&items.list, room);
    let filled = |r: usize| -> u128 {
        let all = items.list.iter().zip(&shares[r]);
        all.map(|(item, share)| share * u128::from(item.count))
            .sum()
    };
    let mut resources: Vec<usize> = (0..room.len()).filter(|r| room[*r] > 0).collect();
    resources.sort_by_key(|r| (Reverse((price[*r], filled(*r))), *r));
    resources.truncate(SINGLES);
    let single = |r: &usize| {
        let sizes = items.list.iter().map(|i| i.need[*r]).collect();
        (sizes, room[*r])
    };
    let weighed = price::surrogate(price, &shares, items.list.len());
    // Where one resource has all the price, the weighed sum is that resource.
    let several = price.iter().filter(|p| **p > 0).count() > 1;
    let sums = several.then_some(weighed);
    let axes: Vec<(Vec<u64>, u64)> = sums
        .into_iter()
        .chain(resources.iter().map(single))
        .collect();
    for (size, room) in &axes {
        if fractional(items, size, *room) <= most || whole(items, size, *room, steps) <= most {
            return None;
        }
    }
    let tables = axes
        .into_iter()
        .map(|(size, room)| table(items, size, room, steps));
    Some(tables.collect())
}

/// What all items weigh at most on one axis when the last one may be cut (Dantzig's bound).
fn fractional(items: &Items, size: &[u64], room: u64) -> u64 {
    let mut order: Vec<usize> = (0..size.len()).collect();
    let item = |i: usize| (&items.list[i], u128::from(size[i]));
    order.sort_by(|a, b| {
        let ((first, of_first), (second, of_second)) = (item(*a), item(*b));
        (u128::from(second.weight) * of_first).cmp(&(u128::from(first.weight) * of_second))
    });
    let mut left = u128::from(room);
    let mut sum = 0;
    for (item, size) in order.into_iter().map(item) {
        let all = size * u128::from(item.count);
        let weight = u128::from(item.weight);
        if all > left {
            // size > 0, as all > 0.
            return u64::try_from(sum + weight * left / size).unwrap_or(u64::MAX);
        }
        sum += weight * u128::from(item.count);
        left -= all;
    }
    u64::try_from(sum).unwrap_or(u64::MAX)
}

/// What all items weigh at most on one axis, sets of which one is taken left out. One row suffices,
/// and like items are one, so that most often the cells are the sizes' common divisor.
fn whole(items: &Items, size: &[u64], room: u64, steps: &mut u64) -> u64 {
    let mut like: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for (item, size) in items.list.iter().zip(size) {
        let count = like.entry((*size, item.weight)).or_default();
        *count = count.saturating_add(item.count);
    }
    let chunks: Vec<(u64, u64)> = like
        .iter()
        .flat_map(|((size, weight), count)| {
            let fits = room.checked_div(*size).unwrap_or(u64::MAX);
            doubling(*count.min(&fits)).map(move |n| (size * n, weight * n))
        })
        .collect();
    let unit = unit(size, room, WORK / (chunks.len() + 1));
    let width = usize::try_from(room / unit).unwrap_or(0) + 1;
    *steps = steps.saturating_sub((width * (chunks.len() + 1) / 64) as u64);
    let mut row = vec![0u64; width];
    for (size, weight) in chunks {
        // The cells of one, times so many, are no more than the cells of all.
        let cells = usize::try_from(size / unit).unwrap_or(width).min(width);
        for c in (cells..width).rev() {
            row[c] = row[c].max(row[c - cells] + weight);
        }
    }
    row[width - 1]
}

/// The size of a cell: the sizes' common divisor, or more where the room had too many cells.
fn unit(size: &[u64], room: u64, cells: usize) -> u64 {
    let divisor = size.iter().fold(0, |d, s| gcd(d, u128::from(*s)));
    let cells = u64::try_from(cells.clamp(255, LONGEST)).unwrap_or(255);
    let divisor = u64::try_from(divisor).unwrap_or(1).max(1);
    divisor.max(room / cells + 1)
}

/// The table of one axis, from the last item to the first.
fn table(items: &Items, size: Vec<u64>, room: u64, steps: &mut u64) -> Axis {
    let n = items.list.len();
    let unit = unit(&size, room, ENTRIES / (n + 1));
    let width = usize::try_from(room / unit).unwrap_or(0) + 1;
    *steps = steps.saturating_sub((width * (n + 1) / 64) as u64);
    let mut table = vec![0u64; width * (n + 1)];
    for i in (0..n).rev() {
        let item = &items.list[i];
        let (upper, lower) = table.split_at_mut((i + 1) * width);
        let row = &mut upper[i * width..];
        row.copy_from_slice(&lower[..width]);
        let cells = usize::try_from(size[i] / unit).unwrap_or(width);
        if item.run.is_some() {
            // This item, or another of its run further on.
            let past = items.run_end[i] - (i + 1);
            let rest = &lower[past * width..(past + 1) * width];
            for c in cells..width {
                row[c] = row[c].max(rest[c - cells] + item.weight);
            }
            continue;
        }
        for copies in doubling(item.count) {
            let weight = item.weight * copies;
            let cells = usize::try_from(copies)
                .map_or(width, |n| cells.saturating_mul(n))
                .min(width);
            for c in (cells..width).rev() {
                row[c] = row[c].max(row[c - cells] + weight);
            }
        }
    }
    Axis {
        size,
        room,
        unit,
        width,
        table,
    }
}
