//! Bounds on what items can add within one or two rows at once.
//!
//! For an order of items 0..n and rows a and b with rests x and y:
//! T_k(x, y) = max Σ_{i≥k} v_i·a_i subject to Σ a_i·need\[a\]\[i\] ≤ x, Σ a_i·need\[b\]\[i\] ≤ y,
//! `0 ≤ a_i ≤ copies_i`, computed backwards over k (Bellman 1957). Rests and needs are rounded down to
//! cells of 2^s: what fits a rest still fits its cells, so T is an upper bound. Values are rounded up
//! to a multiple of a power of two, so that T fits 32 bits.

use super::price::count;
use crate::model::gcd;

/// The resolution of a row whose own steps are too many: needs are rounded down to this part of its
/// room.
pub(super) const FINE: i64 = 1 << 24;

/// A row in whole steps: what items need of it and its room.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) room: i64,
    pub(super) need: Vec<i64>,
}

impl Axis {
    /// A row in at most `cells` steps: by its needs' divisor where that is enough, else by parts of
    /// its room, needs rounded down.
    pub(super) fn new(need: Vec<i64>, room: i64, cells: usize) -> Self {
        let unit = need.iter().fold(0, |d, n| gcd(d, *n)).max(1);
        if room / unit < count(cells) {
            return Self {
                room: room / unit,
                need: need.iter().map(|n| n / unit).collect(),
            };
        }
        let fine = |n: &i64| {
            let part = i128::from(*n) * i128::from(FINE) / i128::from(room.max(1));
            i64::try_from(part).unwrap_or(0)
        };
        Self {
            room: FINE,
            need: need.iter().map(fine).collect(),
        }
    }

    /// The shift by which its steps come into at most about `cells` cells.
    fn shift(&self, cells: usize) -> u32 {
        (0..63)
            .find(|s| usize::try_from(self.room >> s).is_ok_and(|c| c <= cells))
            .unwrap_or(63)
    }
}

/// T_k for every `stride`-th k.
pub(super) struct Table {
    axes: (usize, Option<usize>),
    shifts: (u32, u32),
    /// Cells of the second axis.
    width: usize,
    cells: usize,
    stride: usize,
    /// Values stand for this power of two.
    scale: u32,
    data: Vec<i32>,
}

/// Entries kept of a table, about.
const KEPT: usize = 1 << 22;

impl Table {
    pub(super) fn new(
        value: &[i64],
        copies: &[usize],
        axes: &[Axis],
        (a, b): (usize, Option<usize>),
        side: usize,
    ) -> Self {
        let n = value.len();
        let shift = |axis: usize| axes[axis].shift(side);
        let cells_of =
            |axis: usize| usize::try_from(axes[axis].room >> shift(axis)).unwrap_or(0) + 1;
        let shifts = (shift(a), b.map_or(0, shift));
        let (height, width) = (cells_of(a), b.map_or(1, cells_of));
        let cells = height * width;
        let total = value.iter().zip(copies).fold(0u128, |sum, (v, c)| {
            sum + u128::from(v.unsigned_abs()) * u128::try_from(*c).unwrap_or(0)
        });
        let pieces: u128 = copies.iter().map(|c| u128::from(c.ilog2()) + 1).sum();
        let scale = (0..64)
            .find(|s| (total >> s) + pieces < 1 << 31)
            .unwrap_or(64);
        let stride = (n * cells).div_ceil(KEPT).max(1);
        let mut data = vec![0i32; (n / stride + 1) * cells];
        let mut now = vec![0i32; cells];
        let mut row = vec![0i32; width];
        for k in (0..n).rev() {
            let mut left = copies[k];
            let mut piece = 1;
            while left > 0 {
                let times = i64::try_from(piece.min(left)).unwrap_or(i64::MAX);
                let step = |axis: usize, shift: u32| {
                    let need = axes[axis].need[k].saturating_mul(times) >> shift;
                    usize::try_from(need).unwrap_or(usize::MAX)
                };
                let down = step(a, shifts.0);
                let right = b.map_or(0, |b| step(b, shifts.1));
                let whole = i128::from(value[k]) * i128::from(times);
                let worth = i32::try_from((whole + (1 << scale) - 1) >> scale).unwrap_or(i32::MAX);
                offer(&mut now, &mut row, (height, width), (down, right), worth);
                left -= piece.min(left);
                piece *= 2;
            }
            if k % stride == 0 {
                data[k / stride * cells..][..cells].copy_from_slice(&now);
            }
        }
        Self {
            axes: (a, b),
            shifts,
            width,
            cells,
            stride,
            scale,
            data,
        }
    }

    /// A bound on what items from `k` on add within the rests of the axes.
    pub(super) fn most(&self, k: usize, soft: &[i64]) -> i64 {
        let cell = |axis: usize, shift: u32| usize::try_from(soft[axis] >> shift).unwrap_or(0);
        let x = cell(self.axes.0, self.shifts.0);
        let y = self.axes.1.map_or(0, |b| cell(b, self.shifts.1));
        let at = k / self.stride * self.cells + x * self.width + y;
        i64::from(self.data[at]) << self.scale
    }
}

/// Lets every cell take an item once: `now[x][y]` against `now[x − down][y − right] + worth`.
fn offer(
    now: &mut [i32],
    row: &mut [i32],
    (height, width): (usize, usize),
    (down, right): (usize, usize),
    worth: i32,
) {
    if down >= height || right >= width {
        return;
    }
    for x in (down..height).rev() {
        let (above, here) = now.split_at_mut(x * width);
        let here = &mut here[..width];
        let from = if down == 0 {
            row.copy_from_slice(here);
            &*row
        } else {
            &above[(x - down) * width..][..width]
        };
        for (to, from) in here[right..].iter_mut().zip(from) {
            *to = (*to).max(from.wrapping_add(worth));
        }
    }
}
