//! Needs in lanes of 32 bits, so that whether an item fits is told in a few vector instructions.
//!
//! Amounts are shifted right where the room has more than 30 bits. What fits the room fits it shifted,
//! as shifting rounds down on both sides and keeps the order; the other way round only without a shift.

/// Lanes compared at once.
const WIDE: usize = 4;

/// Needs of items, flat, rows filled up with zeros to whole groups of lanes.
#[derive(Default)]
pub(super) struct Lanes {
    width: usize,
    shift: u32,
    need: Vec<i32>,
}

impl Lanes {
    /// Of items whose needs, flat by rows, are from 0 to the room.
    pub(super) fn new(need: &[i64], room: &[i64]) -> Self {
        let largest = room.iter().copied().max().unwrap_or(0);
        let shift = (0..63).find(|s| largest >> s < 1 << 30).unwrap_or(63);
        let width = room.len().next_multiple_of(WIDE);
        let mut lanes = Vec::with_capacity(need.len() / room.len().max(1) * width);
        for item in need.chunks(room.len().max(1)) {
            lanes.extend(item.iter().map(|n| narrow(*n, shift)));
            lanes.extend(std::iter::repeat_n(0, width - item.len()));
        }
        Self {
            width,
            shift,
            need: lanes,
        }
    }

    /// Whether fitting in lanes is fitting.
    pub(super) fn is_exact(&self) -> bool {
        self.shift == 0
    }

    /// What is left of each row, in lanes.
    pub(super) fn shrink(&self, rest: &[i64], small: &mut Vec<i32>) {
        small.clear();
        small.extend(rest.iter().map(|r| narrow(*r, self.shift)));
        small.resize(self.width, 0);
    }

    /// The needs of an item.
    pub(super) fn of(&self, k: usize) -> &[i32] {
        &self.need[k * self.width..(k + 1) * self.width]
    }

    /// Whether the item may fit.
    pub(super) fn fits(&self, k: usize, small: &[i32]) -> bool {
        let groups = self.of(k).chunks_exact(WIDE);
        for (need, rest) in groups.zip(small.chunks_exact(WIDE)) {
            let mut short = 0;
            for (n, r) in need.iter().zip(rest) {
                // Both are from 0 to 2^30: no overflow, and negative where the need is more.
                short |= r.wrapping_sub(*n);
            }
            if short < 0 {
                return false;
            }
        }
        true
    }
}

/// An amount of the room or less, shifted.
fn narrow(amount: i64, shift: u32) -> i32 {
    i32::try_from(amount >> shift).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Rooms of few and of many bits, one to nine rows; the rest is a part of the room.
        #[test]
        fn what_fits_fits_in_lanes(
            rows in prop::collection::vec((0u32..62, 0i64..=100, 0i64..=100), 1..10),
        ) {
            let room: Vec<i64> = rows.iter().map(|(bits, ..)| 1i64 << bits).collect();
            let part = |room: i64, percent: i64| {
                i64::try_from(i128::from(room) * i128::from(percent) / 100).unwrap()
            };
            let of = |percent: &dyn Fn(&(u32, i64, i64)) -> i64| -> Vec<i64> {
                let pairs = room.iter().zip(&rows);
                pairs.map(|(room, row)| part(*room, percent(row))).collect()
            };
            let (need, rest) = (of(&|row| row.1), of(&|row| row.2));
            let lanes = Lanes::new(&[need.clone(), rest.clone()].concat(), &room);
            let mut small = Vec::new();
            lanes.shrink(&rest, &mut small);
            let fits = need.iter().zip(&rest).all(|(need, rest)| need <= rest);
            prop_assert!(lanes.fits(0, &small) || !fits);
            prop_assert!(lanes.fits(1, &small), "what is left fits itself");
            if lanes.is_exact() {
                prop_assert_eq!(lanes.fits(0, &small), fits);
            }
            // How many fit by lanes is no fewer than fit.
            for ((need, rest), (n, r)) in need.iter().zip(&rest).zip(lanes.of(0).iter().zip(&small)) {
                if let (Some(many), Some(by_lanes)) = (rest.checked_div(*need), r.checked_div(*n)) {
                    prop_assert!(i64::from(by_lanes) >= many);
                }
            }
        }
    }
}
