//! Folds ticks into the rows of the history: one for each guest and ten seconds. Pure.

use std::collections::BTreeMap;

use uuid::Uuid;
use vmpack_domain::units::MilliCores;
use vmpack_domain::{GuestName, Tier};

use crate::sketch::Sketch;
use crate::tick::{Dirty, Tick};

/// Seconds that a row covers. Rows begin at whole multiples of it in Unix time, so that those of
/// many hosts are joint.
pub(crate) const STEP: u64 = 10;

/// What was measured of one guest in one interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// When the interval began, in seconds of Unix time.
    pub(crate) at: u64,
    pub(crate) guest: GuestName,
    pub(crate) uuid: Uuid,
    pub(crate) vcpus: u32,
    /// The worst tier of its ticks.
    pub(crate) tier: Tier,
    /// The time that its windows cover: less than the interval where some were missed.
    pub(crate) span_us: u64,
    /// How many windows.
    pub(crate) windows: u64,
    /// Demand on the mean of the windows, rounded up.
    pub(crate) mean: MilliCores,
    /// Percentiles and the largest of the windows, exactly.
    pub(crate) p50: MilliCores,
    pub(crate) p95: MilliCores,
    pub(crate) p99: MilliCores,
    pub(crate) max: MilliCores,
    /// All windows, to be added to others.
    pub(crate) sketch: Sketch,
    /// CPU time that the vCPUs ran.
    pub(crate) run_us: u64,
    /// Time that they were ready and waited.
    pub(crate) run_delay_us: u64,
    /// Time that they waited because of the guest's own quota.
    pub(crate) throttled_us: u64,
    /// The largest that was seen, in MiB.
    pub(crate) resident_mib: Option<u64>,
    /// The newest dirty rate that was known then; it may be older than the interval.
    pub(crate) dirty: Option<Dirty>,
}

/// Ticks on their way to rows.
#[derive(Debug, Default)]
pub(crate) struct Intervals {
    at: u64,
    open: BTreeMap<Uuid, Open>,
}

#[derive(Debug)]
struct Open {
    guest: GuestName,
    vcpus: u32,
    dirty: Option<Dirty>,
    tier: Tier,
    length_us: u64,
    run_ns: u64,
    run_delay_ns: u64,
    throttled_ns: u64,
    demands: Vec<u64>,
    resident_mib: Option<u64>,
}

impl Intervals {
    /// Takes a tick in; returns the rows of the interval that it is the first one after. A clock
    /// that was set, either way, ends an interval too.
    pub(crate) fn add(&mut self, tick: &Tick) -> Vec<Row> {
        // A tick that ends with an interval belongs to it.
        let second = tick.end_us.saturating_sub(1) / 1_000_000;
        let at = second - second % STEP;
        let rows = if at == self.at {
            Vec::new()
        } else {
            self.close()
        };
        self.at = at;
        for guest in &tick.guests {
            let open = self.open.entry(guest.uuid).or_insert_with(|| Open {
                guest: guest.guest.clone(),
                vcpus: 0,
                dirty: None,
                tier: guest.tier,
                length_us: 0,
                run_ns: 0,
                run_delay_ns: 0,
                throttled_ns: 0,
                demands: Vec::new(),
                resident_mib: None,
            });
            open.tier = worse(open.tier, guest.tier);
            open.length_us += guest.length_us;
            open.run_ns = open.run_ns.saturating_add(guest.run_ns);
            open.run_delay_ns = open.run_delay_ns.saturating_add(guest.run_delay_ns);
            open.throttled_ns = open.throttled_ns.saturating_add(guest.throttled_ns);
            open.demands.extend(&guest.demand_mcores);
            open.resident_mib = open.resident_mib.max(guest.resident_mib);
            open.guest.clone_from(&guest.guest);
            open.vcpus = guest.vcpus;
            open.dirty = guest.dirty;
        }
        rows
    }

    /// The rows of the open interval, which is then empty.
    pub(crate) fn close(&mut self) -> Vec<Row> {
        let at = self.at;
        std::mem::take(&mut self.open)
            .into_iter()
            .filter_map(|(uuid, open)| open.row(uuid, at))
            .collect()
    }
}

impl Open {
    fn row(mut self, uuid: Uuid, at: u64) -> Option<Row> {
        self.demands.sort_unstable();
        let n = self.demands.len();
        let rank = |percent: usize| {
            let rank = (percent * n).div_ceil(100).max(1) - 1;
            self.demands.get(rank).copied().map(MilliCores)
        };
        let sum: u64 = self.demands.iter().sum();
        let mut sketch = Sketch::default();
        for same in self.demands.chunk_by(|a, b| a == b) {
            let demand = same.first().copied().unwrap_or_default();
            sketch.add(MilliCores(demand), same.len() as u64);
        }
        Some(Row {
            at,
            tier: self.tier,
            span_us: self.length_us,
            windows: n as u64,
            mean: MilliCores(sum.div_ceil((n as u64).max(1))),
            p50: rank(50)?,
            p95: rank(95)?,
            p99: rank(99)?,
            max: rank(100)?,
            sketch,
            run_us: self.run_ns / 1000,
            run_delay_us: self.run_delay_ns / 1000,
            throttled_us: self.throttled_ns / 1000,
            resident_mib: self.resident_mib,
            dirty: self.dirty,
            guest: self.guest,
            uuid,
            vcpus: self.vcpus,
        })
    }
}

/// The tier that promises less.
pub(crate) fn worse(one: Tier, other: Tier) -> Tier {
    if code(one) > code(other) { one } else { other }
}

/// A tier as the history and the wire number it, best first.
pub(crate) fn code(tier: Tier) -> u8 {
    match tier {
        Tier::Ebpf => 0,
        Tier::Schedstat => 1,
        Tier::Libvirt => 2,
        Tier::DirtyLog => 3,
        Tier::PageSampling => 4,
    }
}

/// The tier of that number.
pub(crate) fn tier(code: u8) -> Option<Tier> {
    [
        Tier::Ebpf,
        Tier::Schedstat,
        Tier::Libvirt,
        Tier::DirtyLog,
        Tier::PageSampling,
    ]
    .get(usize::from(code))
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::samples::guest_tick;

    #[test]
    fn a_row_holds_the_windows_of_its_ten_seconds() {
        let mut intervals = Intervals::default();
        // 100 ms each, the first ends at 1000.1 s; window k wants k milli-cores.
        for k in 1..=100u64 {
            let tick = Tick {
                end_us: 1_000_000_000 + k * 100_000,
                host_mcores: 2000,
                guests: vec![guest_tick("g1", &[k])],
            };
            assert_eq!(intervals.add(&tick), Vec::new());
        }
        let next = Tick {
            end_us: 1_010_100_000,
            host_mcores: 2000,
            guests: Vec::new(),
        };
        let rows = intervals.add(&next);
        let [row] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!((row.at, row.windows, row.span_us), (1000, 100, 10_000_000));
        let percentiles = [row.p50, row.p95, row.p99, row.max].map(|m| m.0);
        assert_eq!(percentiles, [50, 95, 99, 100]);
        assert_eq!(row.mean, MilliCores(51));
        // guest_tick() runs 50 ms and waits 5 ms in each.
        assert_eq!((row.run_us, row.run_delay_us), (5_000_000, 500_000));
        assert_eq!(intervals.close(), Vec::new());
    }

    #[test]
    fn a_clock_that_is_set_back_ends_the_interval() {
        let mut intervals = Intervals::default();
        let tick = |seconds: u64| Tick {
            end_us: seconds * 1_000_000,
            host_mcores: 2000,
            guests: vec![guest_tick("g1", &[7])],
        };
        assert!(intervals.add(&tick(5005)).is_empty());
        assert_eq!(intervals.add(&tick(4005)).first().map(|r| r.at), Some(5000));
        assert_eq!(intervals.close().first().map(|r| r.at), Some(4000));
    }

    #[test]
    fn the_worst_tier_of_an_interval_is_its_tier() {
        let mut intervals = Intervals::default();
        for tier in [Tier::Ebpf, Tier::Libvirt, Tier::Schedstat] {
            let mut guest = guest_tick("g1", &[1]);
            guest.tier = tier;
            intervals.add(&Tick {
                end_us: 77,
                host_mcores: 0,
                guests: vec![guest],
            });
        }
        assert_eq!(
            intervals.close().first().map(|r| r.tier),
            Some(Tier::Libvirt)
        );
        for (n, tier) in [(0, Tier::Ebpf), (4, Tier::PageSampling)] {
            assert_eq!((code(tier), super::tier(n)), (n, Some(tier)));
        }
        assert_eq!(super::tier(5), None);
    }
}
