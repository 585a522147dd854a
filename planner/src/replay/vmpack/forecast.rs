//! What guests are likely to want in the next hours, from what they wanted until now.

use vmpack_sim::fleet::Fleet;

/// How many looks make up the recent past.
const RECENT: usize = 12;
/// What the recent past weighs beside all of it.
const WEIGHT: f64 = 0.75;
/// How many looks of its own weigh as much as what is known of all guests together.
const PRIOR: f64 = 2.0;

/// A forecast of one guest's demand, in units of CPU.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Forecast {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// A forecast for each guest. The mean is that of its recent looks and of all of them; the variance is
/// that of its looks. A guest of which little is known is taken to be like the others, by as much as
/// little is known of it (an empirical Bayes estimate).
pub(super) fn forecasts(fleet: &Fleet) -> Vec<Forecast> {
    let guests = 0..fleet.guests().len();
    let runs = |g: &usize| fleet.at(*g).is_some() && !fleet.past(*g).is_empty();
    let own: Vec<(f64, f64)> = guests.clone().map(|g| moments(fleet.past(g))).collect();
    let known: Vec<usize> = guests.clone().filter(runs).collect();
    let count = known.len().max(1) as f64;
    let mean = known.iter().map(|g| own[*g].0).sum::<f64>() / count;
    // Between guests and within them: the variance of a look of a guest of which nothing is known.
    let spread = |g: &usize| own[*g].1 + (own[*g].0 - mean).powi(2);
    let variance = known.iter().map(spread).sum::<f64>() / count;
    guests
        .map(|g| {
            let looks = fleet.past(g).len() as f64;
            let trust = looks / (looks + PRIOR);
            let promised = fleet.guests()[g].promised;
            Forecast {
                mean: (trust * own[g].0 + (1.0 - trust) * mean) * promised,
                variance: (trust * own[g].1 + (1.0 - trust) * variance) * promised * promised,
            }
        })
        .collect()
}

/// Mean (of the recent looks and of all) and variance of a past.
fn moments(past: &[f64]) -> (f64, f64) {
    if past.is_empty() {
        return (0.0, 0.0);
    }
    let of = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let recent = &past[past.len() - past.len().min(RECENT)..];
    let all = of(past);
    let variance = past.iter().map(|v| (v - all).powi(2)).sum::<f64>() / past.len() as f64;
    (WEIGHT * of(recent) + (1.0 - WEIGHT) * all, variance)
}
