//! Where load goes: a straight line by least squares through the means of whole days, so that the hours
//! of a day are not taken for a trend.

use schemars::JsonSchema;
use serde::Serialize;
use vmpack_domain::units::{Micros, Ratio};
use vmpack_domain::{Cluster, Load};

const DAY: Micros = Micros::secs(86_400);

/// How the load of all guests that were measured over time grows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Trend {
    /// Whole days that it is seen over.
    pub days: usize,
    /// Guests that it is seen of.
    pub guests: usize,
    /// What they want together on the last of those days by the line, in cores of speed 1.
    pub level: f64,
    /// By how much that grows each day, in cores.
    pub daily: f64,
}

impl Trend {
    /// Days after the last one until load is so many times what it is then; `None` where it does not grow.
    #[must_use]
    pub fn until(&self, factor: Ratio) -> Option<f64> {
        let more = self.level * (factor.0 as f64 / 1000.0 - 1.0);
        (self.daily > 0.0).then(|| (more / self.daily).max(0.0))
    }
}

/// The trend of guests whose windows are the first such guest's in start, step and number. `None` with
/// less than two whole days, between which no line can be drawn.
#[must_use]
pub fn trend(cluster: &Cluster, load: &Load) -> Option<Trend> {
    let windows = |name| load.guests.get(name)?.cpu.as_ref()?.windows.as_ref();
    let all = cluster.guests.iter().filter_map(|g| windows(&g.name));
    let first = all.clone().next()?;
    let day = usize::try_from(DAY.0.checked_div(first.step.0)?).ok()?;
    if day == 0 || first.step.0 * day as u64 != DAY.0 {
        return None;
    }
    let mut sums = vec![0u64; first.values.len()];
    let mut guests = 0;
    for windows in all.filter(|w| w.is_joint_with(first)) {
        guests += 1;
        for (sum, value) in sums.iter_mut().zip(&windows.values) {
            *sum += value.0;
        }
    }
    // The newest days, whole.
    let newest = &sums[sums.len() % day..];
    let mean = |day: &[u64]| day.iter().sum::<u64>() as f64 / 1000.0 / day.len() as f64;
    let means: Vec<f64> = newest.chunks(day).map(mean).collect();
    let n = means.len() as f64;
    if means.len() < 2 {
        return None;
    }
    let middle = (n - 1.0) / 2.0;
    let average = means.iter().sum::<f64>() / n;
    let (mut xy, mut xx) = (0.0, 0.0);
    for (i, mean) in means.iter().enumerate() {
        let x = i as f64 - middle;
        xy += x * (mean - average);
        xx += x * x;
    }
    let daily = xy / xx;
    Some(Trend {
        days: means.len(),
        guests,
        level: average + daily * middle,
        daily,
    })
}
