//! A bound on what items add within what is left of a host, whatever else it carries.
//!
//! U(x, y) = max Σ v_i·a_i subject to Σ a_i·`need[i][across]` ≤ x, Σ a_i·`need[i][down]` ≤ y, for integers
//! `a_i ≥ 0`, where v_i is what item i is worth, x and y what is left of the two rows that weigh most, the
//! heaviest first. Each item as often as wanted (Gilmore and Gomory 1966), so that one table does for all orders
//! of items. Rests and needs are rounded down to whole steps: what fits a rest still fits its steps. Items
//! that need no whole step of either row count as there, all of them.

use super::price::{Search, count};

/// Steps of the row that weighs most, and of the next.
const FINE: i64 = 256;
const COARSE: i64 = 64;

/// U for every whole step of two rows.
pub(super) struct Ceiling {
    /// The rows with the length of a step of each.
    across: Option<(usize, i64)>,
    down: Option<(usize, i64)>,
    width: usize,
    data: Vec<i64>,
    /// What items add that need no whole step.
    tiny: i64,
}

impl Ceiling {
    pub(super) fn new(search: &Search) -> Self {
        let rows = search.by_share();
        let room = &search.pricer.room;
        let axis = |at: usize, steps: i64| {
            let row = *rows.get(at)?;
            Some((row, (room[row] + steps - 1).div_euclid(steps).max(1)))
        };
        let (across, down) = (axis(0, FINE), axis(1, COARSE));
        let steps = |axis: Option<(usize, i64)>, amounts: &[i64]| {
            axis.map_or(0, |(row, step)| whole(amounts[row], step))
        };
        let (width, height) = (steps(across, room) + 1, steps(down, room) + 1);
        let mut tiny = 0i64;
        // The best item of each need in whole steps.
        let mut best = vec![0i64; width * height];
        for k in 0..search.n() {
            let need = search.needs(k);
            match (steps(down, need), steps(across, need)) {
                (0, 0) => {
                    let all = search.value[k].saturating_mul(count(search.copies[k]));
                    tiny = tiny.saturating_add(all);
                }
                (x, y) => {
                    let most = &mut best[x * width + y];
                    *most = (*most).max(search.value[k]);
                }
            }
        }
        let items = undominated(&best, width);
        let mut data = vec![0i64; width * height];
        for x in 0..height {
            let (above, here) = data.split_at_mut(x * width);
            let here = &mut here[..width];
            if x > 0 {
                here.copy_from_slice(&above[(x - 1) * width..]);
            }
            let (beside, lower): (Vec<&(usize, usize, i64)>, Vec<_>) =
                items.iter().partition(|(down, ..)| *down == 0);
            for (down, right, value) in lower.into_iter().filter(|(down, ..)| *down <= x) {
                let from = &above[(x - down) * width..][..width - right];
                for (to, from) in here[*right..].iter_mut().zip(from) {
                    *to = (*to).max(from + value);
                }
            }
            for y in 1..width {
                let fits = beside.iter().filter(|(_, right, _)| *right <= y);
                let most = fits.map(|(_, right, value)| here[y - right] + value).max();
                here[y] = here[y].max(here[y - 1]).max(most.unwrap_or(0));
            }
        }
        Self {
            across,
            down,
            width,
            data,
            tiny,
        }
    }

    /// A bound on what items add within the rests of the rows.
    pub(super) fn most(&self, rest: &[i64]) -> i64 {
        let cell =
            |axis: Option<(usize, i64)>| axis.map_or(0, |(row, step)| whole(rest[row], step));
        self.data[cell(self.down) * self.width + cell(self.across)].saturating_add(self.tiny)
    }
}

fn whole(amount: i64, step: i64) -> usize {
    usize::try_from(amount / step).unwrap_or(0)
}

/// Needs, down and across, with their value, but those of which others are worth as much for no more.
fn undominated(best: &[i64], width: usize) -> Vec<(usize, usize, i64)> {
    let mut items = Vec::new();
    let mut most = vec![0i64; width];
    for (x, row) in best.chunks(width).enumerate() {
        let mut left = 0;
        for (y, (value, above)) in row.iter().zip(most.iter_mut()).enumerate() {
            let known = left.max(*above);
            if *value > known {
                items.push((x, y, *value));
            }
            left = known.max(*value);
            *above = left;
        }
    }
    items
}
