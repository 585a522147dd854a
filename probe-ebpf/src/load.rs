//! From histories to the planner's load: joins what several hosts saw of one guest, and says it in
//! the terms of the load file. Pure.

use vmpack_domain::load::{Windows, jiff_serde::Timestamp};
use vmpack_domain::units::{MiB, Micros, MilliCores};
use vmpack_domain::{CpuLoad, GuestLoad};

use crate::history::GuestHistory;
use crate::interval::worse;

/// One guest as several histories of the same span saw it, such as those of the hosts that it ran
/// on; `None` when there is none. Where two say something of one step, as of that in which it moved,
/// the larger counts.
pub(crate) fn join(mut parts: Vec<GuestHistory>) -> Option<GuestHistory> {
    parts.sort_by_key(|part| part.newest);
    let mut joined = parts.pop()?;
    for part in parts.into_iter().rev() {
        let wanted =
            product(joined.mean_mcores, joined.span_us) + product(part.mean_mcores, part.span_us);
        joined.span_us = joined.span_us.saturating_add(part.span_us);
        joined.mean_mcores = quotient(wanted, joined.span_us);
        joined.demands.merge(&part.demands);
        joined.run_us = joined.run_us.saturating_add(part.run_us);
        joined.run_delay_us = joined.run_delay_us.saturating_add(part.run_delay_us);
        joined.throttled_us = joined.throttled_us.saturating_add(part.throttled_us);
        joined.tier = worse(joined.tier, part.tier);
        joined.resident_mib = joined.resident_mib.or(part.resident_mib);
        joined.dirty = [joined.dirty, part.dirty]
            .into_iter()
            .flatten()
            .max_by_key(|dirty| dirty.at);
        for (here, there) in joined.series.mcores.iter_mut().zip(part.series.mcores) {
            *here = (*here).max(there);
        }
    }
    Some(joined)
}

/// The load of a guest, and what its reader should know. `start` is the moment at which its series
/// begins, `now` the moment of writing, both in Unix seconds of the clock by which it was measured.
///
/// Windows are joint with other guests' of the same span, so each has all of them: a step in which
/// the guest was not measured counts at its largest demand. Where most were not measured there are
/// no windows; the planner then takes the statistics for all of them.
pub(crate) fn load(history: &GuestHistory, start: u64, now: u64) -> (GuestLoad, Option<String>) {
    let windows = history.demands.count();
    let percentile = |percent| history.demands.percentile(percent);
    let max = history.demands.max();
    let (series, note) = series(history, start, max.unwrap_or(MilliCores::ZERO));
    let over = |cpu_us| Some(MilliCores(quotient(product(cpu_us, 1000), history.span_us)));
    let cpu = CpuLoad {
        mean: Some(MilliCores(history.mean_mcores)),
        p50: percentile(50),
        p90: percentile(90),
        p95: percentile(95),
        p99: percentile(99),
        max,
        window: Some(length(history.span_us, windows)),
        span: Some(Micros(history.span_us)),
        run: over(history.run_us),
        run_delay: over(history.run_delay_us),
        windows: series,
    };
    // The newest row covers the time from its start on.
    let newest = history.newest.saturating_add(crate::interval::STEP);
    let load = GuestLoad {
        cpu: Some(cpu),
        memory: history.resident_mib.map(MiB),
        dirty: history.dirty.map(crate::tick::Dirty::rate),
        dirty_tier: history.dirty.map(|dirty| dirty.tier),
        tier: Some(history.tier),
        age: Some(Micros::secs(now.saturating_sub(newest))),
        ..GuestLoad::default()
    };
    (load, note)
}

fn series(
    history: &GuestHistory,
    start: u64,
    max: MilliCores,
) -> (Option<Windows>, Option<String>) {
    let steps = &history.series.mcores;
    let missing = steps.iter().filter(|step| step.is_none()).count();
    let of = || format!("{missing} of {} steps were not measured", steps.len());
    if missing * 2 > steps.len() || steps.is_empty() {
        return (None, Some(format!("{}: it has no windows", of())));
    }
    let start = i64::try_from(start).ok();
    let Some(start) = start.and_then(|s| jiff::Timestamp::from_second(s).ok()) else {
        return (
            None,
            Some("its windows begin beyond the calendar".to_owned()),
        );
    };
    let windows = Windows {
        start: Timestamp(start),
        step: Micros::secs(history.series.step),
        values: steps
            .iter()
            .map(|step| step.map_or(max, MilliCores))
            .collect(),
    };
    let note = (missing > 0).then(|| format!("{}: its largest demand stands for them", of()));
    (Some(windows), note)
}

/// The mean length of a window, to a millisecond where it is much longer than that.
fn length(span_us: u64, windows: u64) -> Micros {
    let mean = span_us.checked_div(windows).unwrap_or_default();
    match mean {
        0..50_000 => Micros(mean),
        _ => Micros((mean + 500) / 1000 * 1000),
    }
}

fn product(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

/// Rounded up.
fn quotient(a: u128, b: u64) -> u64 {
    u64::try_from(a.div_ceil(u128::from(b.max(1)))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Series;
    use crate::sketch::Sketch;
    use crate::tick::Dirty;
    use vmpack_domain::Tier;
    use vmpack_domain::file::{Source, read_load, write_load};

    /// Ten seconds a step, in windows of a second that all want the same.
    fn seen(steps: &[Option<u64>], newest: u64) -> GuestHistory {
        let mut demands = Sketch::default();
        let known: Vec<u64> = steps.iter().copied().flatten().collect();
        for demand in &known {
            demands.add(MilliCores(*demand), 10);
        }
        let span = 10_000_000 * known.len() as u64;
        GuestHistory {
            guest: "g".parse().unwrap(),
            uuid: uuid::Uuid::from_u128(7),
            vcpus: 2,
            tier: Tier::Ebpf,
            newest,
            span_us: span,
            mean_mcores: known.iter().sum::<u64>().div_ceil(known.len() as u64),
            demands,
            run_us: span / 2,
            run_delay_us: span / 10,
            throttled_us: 0,
            resident_mib: Some(newest),
            dirty: None,
            series: Series {
                step: 10,
                mcores: steps.to_vec(),
            },
        }
    }

    #[test]
    fn a_guest_that_moved_is_one_guest() {
        let mut here = seen(&[None, Some(40), Some(60)], 1020);
        let mut there = seen(&[Some(10), Some(50), None], 1010);
        here.dirty = Some(Dirty {
            pages_per_second: 1,
            tier: Tier::DirtyLog,
            at: 1003,
        });
        there.tier = Tier::Schedstat;
        for parts in [
            vec![here.clone(), there.clone()],
            vec![there.clone(), here.clone()],
        ] {
            let joined = join(parts).unwrap();
            assert_eq!(joined.series.mcores, [Some(10), Some(50), Some(60)]);
            assert_eq!(joined.mean_mcores, 40);
            assert_eq!(joined.demands.count(), 40);
            assert_eq!((joined.span_us, joined.run_us), (40_000_000, 20_000_000));
            assert_eq!((joined.newest, joined.resident_mib), (1020, Some(1020)));
            assert_eq!((joined.tier, joined.dirty), (Tier::Schedstat, here.dirty));
        }
        assert_eq!(join(Vec::new()), None);
    }

    #[test]
    fn the_load_is_one_that_the_planner_reads() {
        let history = seen(&[Some(10), None, Some(60), Some(30)], 1030);
        let (load, note) = load(&history, 1000, 1055);
        let cpu = load.cpu.clone().unwrap();
        let windows = cpu.windows.clone().unwrap();
        assert_eq!(windows.values, [10, 60, 60, 30].map(MilliCores));
        assert_eq!(
            note.unwrap(),
            "1 of 4 steps were not measured: its largest demand stands for them"
        );
        assert_eq!(
            (cpu.run, cpu.run_delay),
            (Some(MilliCores(500)), Some(MilliCores(100)))
        );
        assert_eq!(
            (cpu.p50, cpu.max),
            (Some(MilliCores(30)), Some(MilliCores(60)))
        );
        assert_eq!(cpu.window, Some(Micros::secs(1)));
        assert_eq!(load.age, Some(Micros::secs(15)));
        let whole = vmpack_domain::Load {
            guests: [("g".parse().unwrap(), load)].into(),
        };
        let source = Source {
            name: "load.yaml".to_owned(),
            text: write_load(&whole),
        };
        assert_eq!(read_load(&[source]).unwrap(), whole);
    }

    #[test]
    fn mostly_unmeasured_windows_are_none() {
        let (load, note) = load(&seen(&[None, None, Some(60)], 1020), 1000, 1030);
        assert_eq!(load.cpu.unwrap().windows, None);
        assert_eq!(
            note.unwrap(),
            "2 of 3 steps were not measured: it has no windows"
        );
    }
}
