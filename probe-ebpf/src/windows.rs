//! Folds a guest's samples into windows, and the windows into its CPU load. Pure.

use vmpack_domain::CpuLoad;
use vmpack_domain::load::{Statistic, Windows, jiff_serde::Timestamp};
use vmpack_domain::units::{Micros, MilliCores, Ratio};

use crate::demand::{Sample, Step, guest_demand, share, wanted};
use crate::source::Window;

/// Folds the samples of a guest's vCPUs into windows.
///
/// A window counts when every vCPU was read at its start and at its end, and once the next window
/// is there too, which tells of waits that were in progress at its end. Where a window has but one
/// step, as from libvirt's counters, a wait in progress at its end counts in the next window.
#[derive(Debug, Default)]
pub struct Folding {
    vcpus: Vec<Vcpu>,
}

#[derive(Debug, Default)]
struct Vcpu {
    last: Option<Sample>,
    /// The steps of the window that is open, if the vCPU was read at its start.
    open: Option<Vec<Step>>,
    /// The steps of the window before it.
    closed: Option<Vec<Step>>,
}

impl Folding {
    /// The guest's vCPUs are other threads from now on: what is open is dropped.
    pub fn restart(&mut self, vcpus: usize) {
        self.vcpus = (0..vcpus).map(|_| Vcpu::default()).collect();
    }

    /// One sample of every vCPU, in the same order each time.
    pub fn sample(&mut self, samples: &[Sample]) {
        for (vcpu, sample) in self.vcpus.iter_mut().zip(samples) {
            if let (Some(last), Some(open)) = (&vcpu.last, &mut vcpu.open) {
                open.push(Step::between(last, sample));
            }
            vcpu.last = Some(*sample);
        }
    }

    /// The last samples ended a window; the one before it is given back if it counts. See
    /// [`wanted`] for `grain`, in nanoseconds.
    pub fn close(&mut self, grain: u64, speed: Ratio) -> Option<Window> {
        let mut parts = Vec::with_capacity(self.vcpus.len());
        let (mut length, mut run, mut delay, mut end) = (0, 0, 0, 0);
        for vcpu in &mut self.vcpus {
            let later = vcpu
                .open
                .replace(Vec::new())
                .filter(|steps| !steps.is_empty());
            if vcpu.last.is_none() {
                vcpu.open = None;
            }
            let window = vcpu.closed.take();
            if let (Some(window), Some(later)) = (&window, &later) {
                let total = |steps: &[Step], part: fn(&Step) -> u64| steps.iter().map(part).sum();
                let own: u64 = total(window, |s| s.length);
                // Steps as long as the window itself would take all their waiting for in progress.
                let fine = if later.len() > 1 {
                    later.as_slice()
                } else {
                    &[]
                };
                parts.push((wanted(window, fine, grain), own));
                length = own.max(length);
                run += total(window, |s| s.run);
                delay += total(window, |s| s.delay);
                let after: u64 = total(later, |s| s.length);
                end = end.max(vcpu.last.map_or(0, |s| s.at.saturating_sub(after)));
            }
            vcpu.closed = later;
        }
        (!parts.is_empty() && parts.len() == self.vcpus.len()).then(|| Window {
            start: end.saturating_sub(length),
            length,
            run,
            delay,
            throttled: 0,
            demand: guest_demand(&parts, speed),
        })
    }
}

/// A guest's windows so far.
#[derive(Debug, Default)]
pub struct Series {
    demands: Vec<MilliCores>,
    length: u64,
    run: u64,
    delay: u64,
    newest: Option<u64>,
}

impl Series {
    /// One window more.
    pub fn push(&mut self, window: &Window) {
        self.demands.push(window.demand);
        self.length += window.length;
        self.run += window.run;
        self.delay += window.delay;
        self.newest = self.newest.max(Some(window.start + window.length));
    }

    /// When the newest window ended, in nanoseconds of `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The load over the windows; `None` when there is none. `window` is their nominal length.
    #[must_use]
    pub fn load(&self, window: Micros) -> Option<CpuLoad> {
        // The file's own definition of each statistic; nothing here depends on the start.
        let series = Windows {
            start: Timestamp(jiff::Timestamp::UNIX_EPOCH),
            step: window,
            values: self.demands.clone(),
        };
        Some(CpuLoad {
            mean: Some(series.statistic(Statistic::Mean)?),
            p50: series.statistic(Statistic::P50),
            p90: series.statistic(Statistic::P90),
            p95: series.statistic(Statistic::P95),
            p99: series.statistic(Statistic::P99),
            max: series.statistic(Statistic::Max),
            window: Some(window),
            span: Some(Micros(self.length / 1000)),
            run: Some(share(self.run, self.length)),
            run_delay: Some(share(self.delay, self.length)),
            windows: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[derive(Default)]
    struct Guest {
        folding: Folding,
        series: Series,
    }

    impl Guest {
        fn close(&mut self, grain: u64) {
            if let Some(window) = self.folding.close(grain, Ratio::ONE) {
                self.series.push(&window);
            }
        }
    }

    /// One vCPU that runs and waits so many milliseconds in each 100 ms window.
    fn recorded(windows: &[(u64, u64)], late: u64) -> Series {
        let mut guest = Guest::default();
        guest.folding.restart(1);
        let mut sample = Sample {
            at: 7,
            run: 0,
            delay: 0,
        };
        guest.folding.sample(&[sample]);
        guest.close(4 * MS);
        for (run, delay) in windows {
            sample.at += 100 * MS + late;
            sample.run += run * MS;
            sample.delay += delay * MS;
            guest.folding.sample(&[sample]);
            guest.close(4 * MS);
        }
        guest.series
    }

    #[test]
    fn a_window_counts_once_the_next_is_there() {
        assert_eq!(recorded(&[], 0).load(Micros::millis(100)), None);
        assert_eq!(recorded(&[(50, 0)], 0).demands.len(), 0);
        let guest = recorded(&[(50, 0), (10, 0), (90, 0)], 0);
        assert_eq!(guest.demands.len(), 2);
        assert_eq!(guest.newest(), Some(200 * MS + 7));
        let load = guest.load(Micros::millis(100)).unwrap();
        assert_eq!(load.max, Some(MilliCores(500)));
        assert_eq!(load.p50, Some(MilliCores(100)));
        assert_eq!(load.mean, Some(MilliCores(300)));
        assert_eq!(load.run, Some(MilliCores(300)));
        assert_eq!(load.run_delay, Some(MilliCores(0)));
        assert_eq!(load.span, Some(Micros::millis(200)));
    }

    #[test]
    fn a_late_wake_up_is_no_demand() {
        let guest = recorded(&[(50, 0), (50, 0), (50, 0)], 100 * MS);
        let load = guest.load(Micros::millis(100)).unwrap();
        assert_eq!(load.max, Some(MilliCores(250)));
        assert_eq!(load.span, Some(Micros::millis(400)));
    }

    #[test]
    fn a_starved_guest_wants_its_whole_cpu() {
        let load = recorded(&[(50, 50); 5], 0)
            .load(Micros::millis(100))
            .unwrap();
        assert_eq!(load.p50, Some(MilliCores(1000)));
        assert_eq!(
            (load.run, load.run_delay),
            (Some(MilliCores(500)), Some(MilliCores(500)))
        );
    }

    #[test]
    fn a_window_that_was_not_read_whole_does_not_count() {
        let mut guest = Guest::default();
        guest.folding.restart(2);
        let at = |ms: u64, run: u64| Sample {
            at: ms * MS,
            run: run * MS,
            delay: 0,
        };
        guest.close(0);
        // Found in the middle of a window, which is therefore not counted.
        guest.folding.sample(&[at(50, 0), at(50, 0)]);
        guest.close(0);
        for ms in [150, 250, 350] {
            guest.folding.sample(&[at(ms, ms), at(ms, ms)]);
            guest.close(0);
        }
        assert_eq!(guest.series.demands.len(), 2);
        // Its threads are others now: the open and the last window are dropped, the rest stays.
        guest.folding.restart(1);
        guest.folding.sample(&[at(400, 0)]);
        guest.close(0);
        assert_eq!(guest.series.demands.len(), 2);
        assert_eq!(
            guest.series.load(Micros::millis(100)).unwrap().max,
            Some(MilliCores(2000))
        );
    }
}
