//! A day of CPU demand of one guest in windows of five minutes, by what the guest does.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use vmpack_domain::units::MilliCores;

/// Windows in a day.
pub(crate) const WINDOWS: usize = 288;
/// Minutes in a window.
const STEP: u64 = 5;

/// What a guest does all day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// People at work: mornings and afternoons, a dip at noon, little at night.
    Office,
    /// A web server: follows the day, highest in the evening, with bursts.
    Web,
    /// A database: steady, more by day, a backup at night.
    Database,
    /// Jobs that run hard for some hours of the night.
    Batch,
    /// A developer's machine: idle but for a build now and then.
    Dev,
}

/// A number below `n`; 0 when `n` is 0.
pub(crate) fn below(rng: &mut ChaCha8Rng, n: u64) -> u64 {
    let wide = u128::from(rng.next_u64()) * u128::from(n);
    u64::try_from(wide >> 64).unwrap_or(0)
}

/// A number from `least` to `most`, both included.
pub(crate) fn between(rng: &mut ChaCha8Rng, least: u64, most: u64) -> u64 {
    least + below(rng, most.saturating_sub(least) + 1)
}

/// The demand in each window, at most `vcpus` cores.
pub(crate) fn day(role: Role, vcpus: u32, rng: &mut ChaCha8Rng) -> Vec<MilliCores> {
    let most = u64::from(vcpus) * 1000;
    // Each guest has its own habits: when it begins, how hard it works.
    let shift = between(rng, 0, 90);
    let strength = between(rng, 600, 1000);
    let night = between(rng, 22 * 60, 26 * 60) % (24 * 60);
    let length = between(rng, 60, 300);
    let mut burst = 0;
    (0..WINDOWS)
        .map(|window| {
            let minute = window as u64 * STEP;
            // In thousandths of all its vCPUs.
            let level = match role {
                Role::Office => office(minute + shift),
                Role::Web => {
                    burst = if below(rng, 40) == 0 { 300 } else { burst / 2 };
                    evening(minute + shift) + burst
                }
                Role::Database => 120 + office(minute + shift) / 3 + during(minute, night, 45, 250),
                Role::Batch => 10 + during(minute, night, length, 850),
                Role::Dev => {
                    let working = office(minute + shift) > 200;
                    burst = if working && below(rng, 60) == 0 {
                        800
                    } else {
                        burst / 3
                    };
                    15 + burst
                }
            };
            let noise = between(rng, 850, 1150);
            let demand = most * level / 1000 * strength / 1000 * noise / 1000;
            MilliCores(demand.clamp(5, most))
        })
        .collect()
}

/// Piecewise linear through (minute, level) points, the day repeating.
fn curve(points: &[(u64, u64)], minute: u64) -> u64 {
    let minute = minute % (24 * 60);
    let after = points.iter().find(|(at, _)| *at >= minute);
    let before = points.iter().rfind(|(at, _)| *at <= minute);
    match (before, after) {
        (Some((x0, y0)), Some((x1, y1))) if x1 > x0 => {
            (y0 * (x1 - minute) + y1 * (minute - x0)) / (x1 - x0)
        }
        (Some((_, y)), _) | (None, Some((_, y))) => *y,
        (None, None) => 0,
    }
}

fn office(minute: u64) -> u64 {
    const POINTS: [(u64, u64); 9] = [
        (0, 30),
        (7 * 60, 40),
        (9 * 60, 450),
        (11 * 60, 600),
        (12 * 60 + 30, 380),
        (15 * 60, 620),
        (17 * 60, 400),
        (19 * 60, 80),
        (24 * 60, 30),
    ];
    curve(&POINTS, minute)
}

fn evening(minute: u64) -> u64 {
    const POINTS: [(u64, u64); 7] = [
        (0, 180),
        (4 * 60, 60),
        (8 * 60, 200),
        (12 * 60, 300),
        (17 * 60, 320),
        (20 * 60 + 30, 480),
        (24 * 60, 180),
    ];
    curve(&POINTS, minute)
}

/// `level` for `length` minutes from `start`, over midnight too.
fn during(minute: u64, start: u64, length: u64, level: u64) -> u64 {
    let since = (minute + 24 * 60 - start) % (24 * 60);
    if since < length { level } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    /// The mean over the hours from `start` until `end`.
    fn mean(day: &[MilliCores], start: usize, end: usize) -> u64 {
        let hours = &day[start * 12..end * 12];
        hours.iter().map(|m| m.0).sum::<u64>() / hours.len() as u64
    }

    fn days(role: Role) -> Vec<Vec<MilliCores>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..50).map(|_| day(role, 4, &mut rng)).collect()
    }

    #[test]
    fn each_role_has_its_hours() {
        for day in days(Role::Office) {
            assert!(mean(&day, 9, 16) > 4 * mean(&day, 0, 5));
        }
        for day in days(Role::Web) {
            assert!(mean(&day, 18, 21) > mean(&day, 3, 6));
        }
        for day in days(Role::Batch) {
            assert!(mean(&day, 8, 20) * 10 < mean(&day, 0, 3).max(mean(&day, 21, 24)));
        }
    }

    #[test]
    fn demand_never_exceeds_the_vcpus() {
        for role in [
            Role::Office,
            Role::Web,
            Role::Database,
            Role::Batch,
            Role::Dev,
        ] {
            for day in days(role) {
                assert_eq!(day.len(), WINDOWS);
                assert!(day.iter().all(|m| (5..=4000).contains(&m.0)));
            }
        }
    }
}
