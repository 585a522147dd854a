//! When a host counts as overloaded.

/// How many looks back a guest's past goes.
pub(super) const PAST: usize = 30;
/// Looks that the local regression needs.
const REGRESSION: usize = 10;
/// Looks that a spread needs.
const SPREAD: usize = 12;
/// The threshold while the past is too short.
const FALLBACK: f64 = 0.7;

/// When a host is overloaded, by what its guests want as a share of what it has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Detect {
    /// Above a threshold.
    Threshold(f64),
    /// Above 1 − so many interquartile ranges of its past.
    InterquartileRange(f64),
    /// Above 1 − so many median absolute deviations of its past.
    MedianDeviation(f64),
    /// When so many times what a straight line through the last ten looks says of the next is 1 or
    /// more.
    Regression(f64),
}

impl Detect {
    /// Judges a host by what its guests want now, and by what those same guests wanted at each look,
    /// the newest first.
    pub(super) fn overloaded(self, now: f64, past: &[f64]) -> bool {
        // A tail of nothing is no past.
        let known = past.iter().rposition(|v| *v != 0.0).map_or(1, |i| i + 1);
        let past = &past[..known.min(past.len())];
        match self {
            Self::Threshold(threshold) => now > threshold,
            Self::InterquartileRange(safety) if past.len() >= SPREAD => {
                now > 1.0 - safety * interquartile_range(past)
            }
            Self::MedianDeviation(safety) if past.len() >= SPREAD => {
                now > 1.0 - safety * median_deviation(past)
            }
            Self::Regression(safety) if past.len() >= REGRESSION => {
                safety * next(&past[..REGRESSION]) >= 1.0
            }
            _ => now > FALLBACK,
        }
    }

    /// Whether it looks at the past at all.
    pub(super) fn looks_back(self) -> bool {
        !matches!(self, Self::Threshold(_))
    }
}

/// What a straight line by least squares through these (the newest first) says of the next one. A
/// migration takes less than one interval, so the next is the one that matters.
fn next(newest_first: &[f64]) -> f64 {
    let n = newest_first.len() as f64;
    let middle = (n + 1.0) / 2.0;
    let mean = newest_first.iter().sum::<f64>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (i, y) in newest_first.iter().rev().enumerate() {
        let x = i as f64 + 1.0 - middle;
        xy += x * (y - mean);
        xx += x * x;
    }
    mean + xy / xx * (n + 1.0 - middle)
}

fn interquartile_range(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let rank = |share: f64| {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank within the values"
        )]
        let rank = (share * (sorted.len() as f64 + 1.0) + 0.5).floor() as usize;
        rank.saturating_sub(1).min(sorted.len() - 1)
    };
    sorted[rank(0.75)] - sorted[rank(0.25)]
}

fn median_deviation(values: &[f64]) -> f64 {
    let middle = median(values);
    let off: Vec<f64> = values.iter().map(|v| (v - middle).abs()).collect();
    median(&off)
}

fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[half]
    } else {
        f64::midpoint(sorted[half - 1], sorted[half])
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_through_a_line_goes_on() {
        let rising: Vec<f64> = (1..11).rev().map(|i| 0.05 * f64::from(i)).collect();
        assert!((next(&rising) - 0.55).abs() < 1e-12);
        assert!(Detect::Regression(1.82).overloaded(0.0, &rising));
        assert!(!Detect::Regression(1.81).overloaded(0.0, &rising));
    }

    #[test]
    fn a_short_past_falls_back_to_a_threshold() {
        for detect in [
            Detect::Regression(1.2),
            Detect::InterquartileRange(1.5),
            Detect::MedianDeviation(2.5),
        ] {
            assert!(detect.overloaded(0.71, &[0.5; 9]));
            assert!(!detect.overloaded(0.69, &[0.5; 9]));
        }
    }

    #[test]
    fn spreads_lower_the_threshold() {
        let past: Vec<f64> = (0..12).map(|i| 0.5 + 0.02 * f64::from(i)).collect();
        // Quartiles at ranks 3 and 10 of 12: 7 steps of 0.02 between them.
        assert!((interquartile_range(&past) - 0.14).abs() < 1e-12);
        assert!((median_deviation(&past) - 0.06).abs() < 1e-12);
        assert!(Detect::InterquartileRange(1.5).overloaded(0.80, &past));
        assert!(!Detect::InterquartileRange(1.5).overloaded(0.78, &past));
    }
}
