//! How demands are distributed, small enough to keep for every ten seconds of every guest, and
//! addable: the percentiles of a day are those of all its windows, not percentiles of percentiles.
//!
//! A demand `v` falls into a bucket that is exact below 64 and else 1/32 of a power of two wide (as
//! in HdrHistogram). A percentile is the bucket's upper end, at most the largest demand: never less
//! than the true one (nearest rank), and at most 1/32 more. Pure.

use std::collections::BTreeMap;

use vmpack_domain::units::MilliCores;

/// Buckets per power of two, as a power of two.
const BITS: u32 = 5;

/// A distribution of demands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sketch {
    /// How many demands fell into each bucket that is not empty.
    buckets: BTreeMap<u32, u64>,
    /// The largest demand, exactly.
    max: u64,
}

impl Sketch {
    /// Takes in a demand that was seen so many times, at least once.
    pub(crate) fn add(&mut self, demand: MilliCores, times: u64) {
        *self.buckets.entry(bucket(demand.0)).or_default() += times;
        self.max = self.max.max(demand.0);
    }

    /// Takes in all that another holds.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.buckets {
            let sum = self.buckets.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
        self.max = self.max.max(other.max);
    }

    /// How many demands it holds.
    pub(crate) fn count(&self) -> u64 {
        self.buckets
            .values()
            .fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The largest demand.
    pub(crate) fn max(&self) -> Option<MilliCores> {
        (!self.buckets.is_empty()).then_some(MilliCores(self.max))
    }

    /// The smallest value that at least that share of the demands does not exceed, rounded up to
    /// its bucket's end; `None` when there is no demand.
    pub(crate) fn percentile(&self, percent: u64) -> Option<MilliCores> {
        let total = u128::from(self.count());
        let rank = (u128::from(percent) * total).div_ceil(100).max(1);
        let mut below = 0;
        for (bucket, count) in &self.buckets {
            below += u128::from(*count);
            if below >= rank {
                return Some(MilliCores(upper(*bucket).min(self.max)));
            }
        }
        None
    }

    /// As bytes: the largest demand, then for each bucket how far it is from the last and its count,
    /// in LEB128.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + 2 * self.buckets.len());
        put(&mut bytes, self.max);
        let mut last = 0;
        for (bucket, count) in &self.buckets {
            put(&mut bytes, u64::from(bucket - last));
            put(&mut bytes, *count);
            last = *bucket;
        }
        bytes
    }

    /// What [`to_bytes`](Self::to_bytes) wrote; `None` for anything else.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let max = take(&mut bytes)?;
        let (mut buckets, mut last) = (BTreeMap::new(), 0u32);
        while !bytes.is_empty() {
            let step = u32::try_from(take(&mut bytes)?).ok()?;
            last = last.checked_add(step).filter(|b| *b <= bucket(u64::MAX))?;
            let count = take(&mut bytes).filter(|n| *n > 0)?;
            buckets.insert(last, count).is_none().then_some(())?;
        }
        Some(Self { buckets, max })
    }
}

/// The bucket of a value; buckets are in the order of their values.
fn bucket(value: u64) -> u32 {
    let shift = (63 - (value | 1).leading_zeros()).saturating_sub(BITS);
    let low = u32::try_from(value >> shift).unwrap_or(u32::MAX);
    (shift << BITS) + low
}

/// The largest value in a bucket.
fn upper(bucket: u32) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let low = u128::from(bucket - (shift << BITS));
    let end = ((low + 1) << shift) - 1;
    u64::try_from(end).unwrap_or(u64::MAX)
}

fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push((value & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_are_ordered_without_gaps() {
        for value in (0..5000).chain([1 << 20, (1 << 40) - 1, u64::MAX - 1, u64::MAX]) {
            let own = bucket(value);
            assert!(value <= upper(own), "{value}");
            assert!(own == 0 || upper(own - 1) < value, "{value}");
            assert!(upper(own) - value <= value / 32, "{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_percentile_is_never_understated_and_hardly_more(
            parts in prop::collection::vec(prop::collection::vec(0u64..200_000, 1..40), 1..6),
            percent in 1u64..=100,
        ) {
            let mut sum = Sketch::default();
            for part in &parts {
                let mut sketch = Sketch::default();
                part.iter().for_each(|v| sketch.add(MilliCores(*v), 1));
                sum.merge(&Sketch::from_bytes(&sketch.to_bytes()).unwrap());
            }
            let mut all: Vec<u64> = parts.concat();
            all.sort_unstable();
            let rank = usize::try_from(percent).unwrap() * all.len();
            let rank = rank.div_ceil(100).max(1) - 1;
            let (exact, told) = (all[rank], sum.percentile(percent).unwrap().0);
            prop_assert!(exact <= told && told <= exact + exact / 32, "{told} for {exact}");
            prop_assert_eq!(sum.max(), all.last().copied().map(MilliCores));
            prop_assert_eq!(sum.count(), all.len() as u64);
        }

        #[test]
        fn any_bytes_are_read_without_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(sketch) = Sketch::from_bytes(&bytes) {
                let _ = sketch.percentile(99);
                prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
            }
        }
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Sketch::default().percentile(50), None);
        assert_eq!(Sketch::default().max(), None);
    }
}
