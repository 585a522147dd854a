//! How much CPU a vCPU wanted in a window, from the scheduler's counters. Pure.
//!
//! **What is sought.** Demand is run time plus the run delay that was not worked off by the
//! window's end. A vCPU that waited and later went idle has caught up: all that it wanted, it ran.
//! So only the waiting since its last idle moment is unmet:
//!
//! ```text
//! demand = run(window) + wait(last idle moment in the window .. window's end),  at most the window
//! ```
//!
//! What is carried over is run in a later window and counts there too, as run time: a demand per
//! window is what the guest would have used then, not a share of a sum.
//!
//! **What is known.** Counters at a few moments, and they lag. The kernel (`kernel/sched/stats.h`,
//! `sched_info_arrive`; `kernel/sched/fair.c`, `update_curr`) posts
//! - a wait when it ends, so one that is in progress is not seen yet;
//! - run time at a switch and at each scheduler tick, so it lags by at most a tick, the *grain*.
//!
//! **What follows.** The window is cut into steps. Over the steps from `j` to the window's end, the
//! time that was neither posted as run nor as wait was idle, but for at most one grain of run time
//! and for a wait in progress at the end. That wait is posted in the first later step in which the
//! vCPU does anything, so it is no longer than the delay of that step. Hence
//!
//! ```text
//! Σ length − Σ run − Σ delay  >  grain + in progress   (sums over j..end)
//! ```
//!
//! proves an idle moment within `j..end`, and the unmet waiting is at most Σ delay over `j..end`
//! plus what is in progress. The latest such `j` gives the least of these bounds; if there is none,
//! the vCPU may never have been idle and all its waiting counts. The result never understates the
//! demand by more than the grain (which the next window then gets), and overstates it by at most
//! the waiting in the last steps.

use vmpack_domain::units::{MilliCores, Ratio};

/// A vCPU's counters at one moment, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When they were read, by `CLOCK_MONOTONIC`.
    pub at: u64,
    /// Run time since the thread's start.
    pub run: u64,
    /// Run delay since the thread's start: time that it was ready and waited for a CPU.
    pub delay: u64,
}

/// How the counters changed between two samples, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Time between the samples.
    pub length: u64,
    /// Run time posted.
    pub run: u64,
    /// Run delay posted.
    pub delay: u64,
}

impl Step {
    /// From one sample to a later one. A counter that went backwards did not change.
    #[must_use]
    pub fn between(earlier: &Sample, later: &Sample) -> Self {
        Self {
            length: later.at.saturating_sub(earlier.at),
            run: later.run.saturating_sub(earlier.run),
            delay: later.delay.saturating_sub(earlier.delay),
        }
    }
}

/// What one vCPU wanted in a window, in nanoseconds of one CPU, at most the window's length; see
/// the [module](self) for the formula. `later` are the steps after the window, as far as they are
/// known; `grain` is how far posted run time may lag.
#[must_use]
pub fn wanted(window: &[Step], later: &[Step], grain: u64) -> u64 {
    let total = |part: fn(&Step) -> u64| window.iter().map(part).sum::<u64>();
    let run = total(|s| s.run);
    let in_progress = later
        .iter()
        .find(|s| s.run > 0 || s.delay > 0)
        .map_or(0, |s| s.delay);

    let (mut length, mut busy, mut waited) = (0, 0, 0);
    for step in window.iter().rev() {
        length += step.length;
        busy += step.run + step.delay;
        waited += step.delay;
        if length > busy + grain + in_progress {
            break;
        }
    }
    (run + waited + in_progress).min(total(|s| s.length))
}

/// The demand of a guest in a window: the sum over its vCPUs of what each wanted and the length of
/// its window, both in nanoseconds (the vCPUs are read one after the other, so each has a window of
/// its own). Rounded up, in cores of speed 1: a host's core does `speed` times the work of such a
/// one.
#[must_use]
pub fn guest_demand(vcpus: &[(u64, u64)], speed: Ratio) -> MilliCores {
    let micro: u128 = vcpus
        .iter()
        .map(|(wanted, length)| {
            let scaled = u128::from(*wanted) * u128::from(speed.0) * 1000;
            scaled.div_ceil(u128::from((*length).max(1)))
        })
        .sum();
    milli(micro.div_ceil(1000))
}

/// Nanoseconds of CPU per time as a mean number of the host's CPUs, rounded up, whatever their
/// speed.
#[must_use]
pub fn share(cpu: u64, length: u64) -> MilliCores {
    milli((u128::from(cpu) * 1000).div_ceil(u128::from(length.max(1))))
}

fn milli(value: u128) -> MilliCores {
    MilliCores(u64::try_from(value).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: u64 = 1_000_000;
    const TICK: u64 = 4 * MS;

    fn step(length: u64, run: u64, delay: u64) -> Step {
        Step {
            length: length * MS,
            run: run * MS,
            delay: delay * MS,
        }
    }

    #[test]
    fn a_wait_counts_until_it_is_worked_off() {
        let idle = step(20, 0, 0);
        let cases: &[(&str, &[Step], &[Step], u64)] = &[
            ("nothing wanted", &[idle; 5], &[], 0),
            ("ran, never waited", &[step(20, 15, 0); 5], &[], 75),
            (
                "waited, then caught up",
                &[step(20, 10, 10), step(20, 20, 0), idle],
                &[idle],
                30,
            ),
            (
                "always ready, half of it waiting",
                &[step(20, 10, 10); 5],
                &[step(20, 10, 10)],
                100,
            ),
            (
                "idle first, short of CPU at the end",
                &[idle, idle, step(20, 10, 10)],
                &[],
                20,
            ),
            (
                "in the last step's wait nothing is proven",
                &[idle, step(20, 10, 8)],
                &[],
                18,
            ),
            (
                "a wait in progress at the end",
                &[idle, step(20, 2, 0)],
                &[step(20, 5, 15)],
                17,
            ),
            (
                "what only looks idle is the wait in progress",
                &[step(20, 10, 10), step(20, 2, 0)],
                &[step(20, 4, 16)],
                38,
            ),
            (
                "woken after the window",
                &[step(20, 10, 0)],
                &[idle, step(20, 20, 0)],
                10,
            ),
        ];
        for (what, window, later, expected) in cases {
            assert_eq!(wanted(window, later, TICK), expected * MS, "{what}");
        }
    }

    #[test]
    fn a_lagging_tick_is_not_taken_for_idleness() {
        // Always ready; each step's run time is posted up to a tick late.
        let window = [step(20, 7, 10), step(20, 13, 10), step(20, 8, 10)];
        assert_eq!(wanted(&window, &[], TICK), 58 * MS);
    }

    #[test]
    fn cores_round_up_and_scale_with_speed() {
        let speed = |permille| Ratio(permille);
        assert_eq!(guest_demand(&[(1, 1_000_000)], speed(1000)), MilliCores(1));
        assert_eq!(
            guest_demand(&[(50, 100), (25, 50)], speed(1000)),
            MilliCores(1000)
        );
        assert_eq!(guest_demand(&[(50, 100)], speed(1200)), MilliCores(600));
        assert_eq!(guest_demand(&[], speed(1000)), MilliCores(0));
        assert_eq!(share(1, 3), MilliCores(334));
    }

    /// What a vCPU's thread does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Doing {
        Run,
        Wait,
        Idle,
    }

    /// What happened to a thread, as stretches in nanoseconds.
    type History = Vec<(Doing, u64)>;

    /// The counters as the kernel would post them: run time at ticks and at switches, waits when
    /// they end.
    fn posted(history: &History, at: u64) -> Sample {
        let (mut now, mut run, mut delay) = (0, 0, 0);
        for (doing, length) in history {
            let end = now + length;
            match doing {
                Doing::Run if end <= at => run += length,
                Doing::Run => run += (at / TICK * TICK).saturating_sub(now),
                Doing::Wait if end <= at => delay += length,
                Doing::Wait | Doing::Idle => {}
            }
            now = end;
            if now > at {
                break;
            }
        }
        Sample { at, run, delay }
    }

    /// The truth about `from..to`: time run, and time waited since the last idle moment.
    fn truth(history: &History, from: u64, to: u64) -> (u64, u64) {
        let (mut now, mut run, mut unmet) = (0, 0, 0);
        for (doing, length) in history {
            let inside = (now + length).min(to).saturating_sub(now.max(from));
            match doing {
                Doing::Run => run += inside,
                Doing::Wait => unmet += inside,
                Doing::Idle if inside > 0 => unmet = 0,
                Doing::Idle => {}
            }
            now += length;
        }
        // After its history it is idle.
        (run, if now < to { 0 } else { unmet })
    }

    fn samples(history: &History, from: u64, lengths: &[u64]) -> Vec<Step> {
        let mut at = from;
        let mut earlier = posted(history, at);
        lengths
            .iter()
            .map(|length| {
                at += length;
                let later = posted(history, at);
                let step = Step::between(&earlier, &later);
                earlier = later;
                step
            })
            .collect()
    }

    /// Stretches in which a wait always ends in a run, as on a CPU.
    fn histories() -> impl Strategy<Value = History> {
        let busy = (0..3u8, 0..40 * MS, 0..30 * MS).prop_map(|(kind, run, wait)| match kind {
            0 => vec![(Doing::Idle, run)],
            1 => vec![(Doing::Run, run)],
            _ => vec![(Doing::Wait, wait), (Doing::Run, run.max(1))],
        });
        prop::collection::vec(busy, 1..40).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn demand_is_never_understated_by_more_than_a_tick(
            history in histories(),
            from in 0..200 * MS,
            lengths in prop::collection::vec(1..30 * MS, 1..8),
        ) {
            let window: u64 = lengths.iter().sum();
            let end = from + window;
            let measured = samples(&history, from, &lengths);
            let later = samples(&history, end, &[20 * MS; 50]);
            let (run, unmet) = truth(&history, from, end);
            let found = wanted(&measured, &later, TICK);
            prop_assert!(found + TICK >= run + unmet, "found {found}, true {run} + {unmet}");
            prop_assert!(found <= window);
        }

        #[test]
        fn without_waiting_demand_is_run_time(
            runs in prop::collection::vec((0..10 * MS, 0..10 * MS), 1..10),
        ) {
            let steps: Vec<Step> = runs
                .iter()
                .map(|(run, idle)| Step { length: run + idle, run: *run, delay: 0 })
                .collect();
            let total: u64 = runs.iter().map(|(run, _)| run).sum();
            prop_assert_eq!(wanted(&steps, &steps, TICK), total);
        }

        #[test]
        fn going_idle_at_the_end_forgives_every_earlier_wait(
            history in histories(),
            steps in 1..6usize,
        ) {
            let from = 0;
            let busy: u64 = history.iter().map(|(_, length)| length).sum();
            let mut history = history;
            history.push((Doing::Idle, 100 * MS));
            let mut lengths = vec![busy.max(1).div_ceil(steps as u64); steps];
            lengths.push(20 * MS);
            let window = samples(&history, from, &lengths);
            let run = posted(&history, lengths.iter().sum()).run;
            prop_assert_eq!(wanted(&window, &[], TICK), run);
        }

        #[test]
        fn more_steps_never_raise_the_demand(history in histories(), steps in 1..6usize) {
            let later = samples(&history, 120 * MS, &[20 * MS; 20]);
            let demand = |n: usize| {
                let lengths = vec![120 * MS / n as u64; n];
                wanted(&samples(&history, 0, &lengths), &later, TICK)
            };
            prop_assert!(demand(steps) <= demand(1));
        }
    }
}
