//! What guests want over time.

use vmpack_domain::units::Micros;

use crate::migration::{number, seconds};

/// One guest's demand over time, as a share of what it is promised.
#[derive(Debug, Clone, PartialEq)]
pub enum Demand {
    /// A value at every multiple of the fleet's interval, from 0 on; the last one stays.
    Grid(Vec<f64>),
    /// Steps: from when on, and how much; in the order of time. Before the first one, nothing.
    Steps(Vec<(Micros, f64)>),
}

/// How a grid is read between its points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Between {
    /// A value holds until the next.
    Held,
    /// In a straight line. The fleet is then looked at only when something happens, and what was seen
    /// holds until the next look (as CloudSim does).
    Straight,
}

impl Demand {
    /// The share at a time.
    pub(super) fn at(&self, t: Micros, interval: Micros, between: Between) -> f64 {
        match self {
            Self::Steps(steps) => {
                let next = steps.partition_point(|s| s.0 <= t);
                next.checked_sub(1).map_or(0.0, |i| steps[i].1)
            }
            Self::Grid(values) => {
                let Some(last) = values.len().checked_sub(1) else {
                    return 0.0;
                };
                let i = usize::try_from(t.0 / interval.0.max(1)).unwrap_or(usize::MAX);
                let here = values[i.min(last)];
                let rest = Micros(t.0 % interval.0.max(1));
                if between == Between::Held || rest == Micros::ZERO {
                    return here;
                }
                let next = values[i.saturating_add(1).min(last)];
                here + (next - here) / seconds(interval) * seconds(rest)
            }
        }
    }

    /// When it next changes after `t`, where that is known of it alone.
    pub(super) fn next_step(&self, t: Micros) -> Option<Micros> {
        match self {
            Self::Grid(_) => None,
            Self::Steps(steps) => {
                let next = steps.partition_point(|s| s.0 <= t);
                steps.get(next).map(|s| s.0)
            }
        }
    }

    /// The mean over the whole time that it is known for, at equal spans; for reports, never for a
    /// policy.
    #[must_use]
    pub fn mean(&self, interval: Micros, until: Micros) -> f64 {
        let points = (until.0 / interval.0.max(1)).max(1);
        let sum: f64 = (0..points)
            .map(|k| self.at(Micros(k * interval.0), interval, Between::Held))
            .sum();
        sum / number(points)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_held_or_drawn_straight_and_its_last_value_stays() {
        let grid = Demand::Grid(vec![0.0, 1.0]);
        let at = |s, between| grid.at(Micros::secs(s), Micros::secs(300), between);
        assert!((at(150, Between::Held) - 0.0).abs() < 1e-12);
        assert!((at(150, Between::Straight) - 0.5).abs() < 1e-12);
        assert!((at(300, Between::Straight) - 1.0).abs() < 1e-12);
        assert!((at(9000, Between::Straight) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn steps_hold_from_their_time_on() {
        let steps = Demand::Steps(vec![(Micros::millis(500), 0.2), (Micros::millis(700), 0.9)]);
        let at = |ms| steps.at(Micros::millis(ms), Micros::secs(1), Between::Held);
        assert!(at(499).abs() < 1e-12);
        assert!((at(500) - 0.2).abs() < 1e-12);
        assert!((at(701) - 0.9).abs() < 1e-12);
        assert_eq!(steps.next_step(Micros::ZERO), Some(Micros::millis(500)));
        assert_eq!(steps.next_step(Micros::millis(700)), None);
    }
}
