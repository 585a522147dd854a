//! `GET /metrics`: the [live state](crate::live) in OpenMetrics, in base units. Each guest has a
//! bounded number of series, and no more than so many guests have any; the others are counted.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

use crate::live::{GuestLive, Live};
use crate::process::Process;
use crate::serve::feed::wall;
use crate::source::Waits;
use crate::tick::tier_name;

/// The media type of the answer.
pub(crate) const MEDIA: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The state as text. `bound` is how many guests have series of their own.
///
/// # Errors
/// Never in practice: writing into a string does not fail.
pub(crate) fn render(live: Live, bound: usize) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(State { live, bound }));
    let mut answer = String::new();
    text::encode(&mut answer, &registry)?;
    Ok(answer)
}

#[derive(Debug)]
struct State {
    live: Live,
    bound: usize,
}

impl Collector for State {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let live = &self.live;
        let mut out = Out(encoder);
        guests(&mut out, &live.first(self.bound))?;
        host(&mut out, live, self.bound)?;
        own(&mut out, live)
    }
}

fn guests(out: &mut Out, guests: &[&GuestLive]) -> fmt::Result {
    out.info(
        "vmpack_guest",
        "A guest that is measured and how",
        guests.iter().map(|g| {
            let dirty = g.tick.dirty.map_or("none", |d| tier_name(d.tier));
            [
                ("guest", g.tick.guest.to_string()),
                ("uuid", g.tick.uuid.to_string()),
                ("tier", tier_name(g.tick.tier).to_owned()),
                ("dirty_tier", dirty.to_owned()),
            ]
        }),
    )?;
    let seconds = |ns: u64| nanoseconds(ns);
    type Sum = (&'static str, &'static str, fn(&GuestLive) -> u64);
    let sums: [Sum; 3] = [
        (
            "vmpack_guest_cpu_run",
            "CPU time that the guest's vCPUs ran",
            |g| g.run_ns,
        ),
        (
            "vmpack_guest_cpu_run_delay",
            "Time that the guest's vCPUs were ready and waited for a CPU",
            |g| g.run_delay_ns,
        ),
        (
            "vmpack_guest_cpu_throttled",
            "Time that the guest's vCPUs waited because of its own quota",
            |g| g.throttled_ns,
        ),
    ];
    for (name, help, value) in sums {
        let values = guests.iter().map(|g| (of(g), seconds(value(g))));
        out.counter(name, help, Some(Unit::Seconds), values)?;
    }
    out.histogram(
        "vmpack_guest_cpu_wait",
        "Each time that a vCPU was ready and waited for a CPU, by the guest's own quota too",
        Some(Unit::Seconds),
        guests
            .iter()
            .filter_map(|g| Some((of(g), g.waits.as_ref()?))),
    )?;
    out.counter(
        "vmpack_guest_cpu_demand_core",
        "Cores of speed 1 that the guest wanted, times seconds: its rate is the mean demand",
        Some(Unit::Seconds),
        guests.iter().map(|g| (of(g), to_f64(g.wanted) / 1e9)),
    )?;
    out.gauge(
        "vmpack_guest_cpu_demand_cores",
        "Cores of speed 1 that the guest wanted in the windows of the last ten seconds",
        None,
        guests
            .iter()
            .filter_map(|g| Some((g, g.row.as_ref()?)))
            .flat_map(|(g, row)| {
                [
                    ("mean", row.mean),
                    ("p50", row.p50),
                    ("p95", row.p95),
                    ("p99", row.p99),
                    ("max", row.max),
                ]
                .map(|(statistic, value)| {
                    let labels = [
                        ("guest", g.tick.guest.to_string()),
                        ("statistic", statistic.to_owned()),
                    ];
                    (labels, cores(value.0))
                })
            }),
    )?;
    out.gauge(
        "vmpack_guest_vcpus",
        "vCPUs that are online",
        None,
        guests.iter().map(|g| (of(g), f64::from(g.tick.vcpus))),
    )?;
    out.gauge(
        "vmpack_guest_memory_resident",
        "Memory that the guest holds resident on this host",
        Some(Unit::Bytes),
        guests
            .iter()
            .filter_map(|g| Some((of(g), whole(g.tick.resident_mib? << 20)))),
    )?;
    out.gauge(
        "vmpack_guest_dirty_pages_per_second",
        "Distinct pages of 4 KiB that the guest dirtied a second when that was last measured",
        None,
        guests
            .iter()
            .filter_map(|g| Some((of(g), whole(g.tick.dirty?.pages_per_second)))),
    )?;
    out.gauge(
        "vmpack_guest_dirty_measured_timestamp",
        "When the dirty rate was last measured",
        Some(Unit::Seconds),
        guests
            .iter()
            .filter_map(|g| Some((of(g), whole(g.tick.dirty?.at)))),
    )
}

fn host(out: &mut Out, live: &Live, bound: usize) -> fmt::Result {
    // What was not measured yet is not 0 but absent.
    let begun = live.newest_us.is_some();
    let measured = begun.then(|| live.measured());
    let listed = live.libvirt.as_ref().and_then(|l| l.newest);
    let gauges = [
        (
            "vmpack_host_guests_measured",
            "Guests that are measured",
            measured.map(count),
        ),
        (
            "vmpack_host_guests_not_measured",
            "Guests that run here and cannot be measured; GET /healthz says why",
            listed.map(|_| count(live.not_measured.len())),
        ),
        (
            "vmpack_host_guests_without_series",
            "Guests that are measured and have no series of their own, as there are too many",
            measured.map(|measured| count(measured.saturating_sub(bound))),
        ),
        (
            "vmpack_host_cores",
            "Cores of this host",
            begun.then(|| cores(live.host_mcores)),
        ),
        (
            "vmpack_host_cpu_demand_cores",
            "Cores of speed 1 that all guests wanted in the newest window",
            begun.then(|| cores(live.wanted())),
        ),
        (
            "vmpack_host_overloaded",
            "1 while runnable vCPUs exceed the cores",
            begun.then(|| f64::from(u8::from(live.overload.is_some()))),
        ),
    ];
    for (name, help, value) in gauges {
        out.gauge(name, help, None, value.map(|value| ([], value)))?;
    }
    out.counter(
        "vmpack_host_overloads",
        "Overloads that began",
        None,
        [([], whole(live.overloads))],
    )
}

/// The probe's own cost and quality.
fn own(out: &mut Out, live: &Live) -> fmt::Result {
    let own = Process::now();
    let quality = live.quality.as_ref();
    out.info(
        "vmpack_probe",
        "The probe",
        [[("version", env!("CARGO_PKG_VERSION").to_owned())]],
    )?;
    let seconds = Some(Unit::Seconds);
    out.counter(
        "process_cpu",
        "CPU time that the probe used",
        seconds.clone(),
        [([], own.cpu)],
    )?;
    out.gauge(
        "process_resident_memory",
        "Memory that the probe holds resident",
        Some(Unit::Bytes),
        [([], whole(own.resident))],
    )?;
    out.gauge(
        "vmpack_probe_kernel_memory",
        "Memory that the maps and programs of the probe hold in the kernel",
        Some(Unit::Bytes),
        [([], whole(own.kernel))],
    )?;
    out.gauge(
        "process_open_fds",
        "Open files of the probe",
        None,
        [([], whole(own.files))],
    )?;
    let counters = [
        (
            "vmpack_probe_windows",
            "Windows of the whole host that were seen",
            Some(live.windows_seen),
        ),
        (
            "vmpack_probe_windows_missed",
            "Windows that ended unseen because the probe was woken late",
            Some(live.windows_missed),
        ),
        (
            "vmpack_probe_events_lost",
            "Events that the kernel's ring buffer had no room for",
            quality.map(|q| q.lost_events),
        ),
        (
            "vmpack_probe_history_rows",
            "Rows that were committed",
            Some(live.history.rows),
        ),
        (
            "vmpack_probe_history_rows_lost",
            "Rows that could not be written",
            Some(live.history.rows_lost),
        ),
        (
            "vmpack_probe_http_requests",
            "Requests that were answered",
            Some(live.server.requests),
        ),
        (
            "vmpack_probe_http_connections_refused",
            "Connections beyond the bound",
            Some(live.server.connections_refused),
        ),
        (
            "vmpack_probe_streams_dropped",
            "Readers of the stream that were too slow",
            Some(live.server.streams_dropped),
        ),
        (
            "vmpack_probe_stream_lines_lost",
            "Lines of the stream that they did not get",
            Some(live.server.stream_lines_lost),
        ),
    ];
    for (name, help, value) in counters {
        out.counter(name, help, None, value.map(|value| ([], whole(value))))?;
    }
    out.counter(
        "vmpack_probe_run_time_unplaced",
        "Run time that the scheduler's events did not place exactly, and waits after a wake-up that were known too late for their windows",
        seconds.clone(),
        quality.map(|q| ([], nanoseconds(q.lost_ns))),
    )?;
    // Where the kernel has not counted yet there is nothing to tell.
    let ran = || {
        let programs = quality.map(|q| [("switch", q.switches), ("judge", q.judge)]);
        let ran = programs
            .into_iter()
            .flatten()
            .filter(|(_, ran)| ran.runs > 0);
        ran.map(|(name, ran)| ([("program", name.to_owned())], ran))
    };
    out.counter(
        "vmpack_probe_program_runs",
        "Runs of a kernel program while the kernel counted them",
        None,
        ran().map(|(labels, ran)| (labels, whole(ran.runs))),
    )?;
    out.counter(
        "vmpack_probe_program",
        "Time that those runs took",
        seconds.clone(),
        ran().map(|(labels, ran)| (labels, nanoseconds(ran.ns))),
    )?;
    let gauges = [
        (
            "vmpack_probe_threads",
            "vCPU threads that are followed",
            quality.map(|q| q.threads),
        ),
        (
            "vmpack_probe_guests_beyond",
            "Guests that are not followed because there is no room for their threads",
            quality.map(|q| q.guests_beyond),
        ),
        (
            "vmpack_probe_http_connections",
            "Open connections",
            Some(live.server.connections),
        ),
        (
            "vmpack_probe_streams",
            "Readers of the stream",
            Some(live.server.streams),
        ),
    ];
    for (name, help, value) in gauges {
        out.gauge(name, help, None, value.map(|value| ([], whole(value))))?;
    }
    // The scheduler's statistics know no bound.
    let most = quality.map(|q| q.threads_max).filter(|max| *max < u64::MAX);
    out.gauge(
        "vmpack_probe_threads_max",
        "vCPU threads that can be followed at once",
        None,
        most.map(|max| ([], whole(max))),
    )?;
    out.gauge(
        "vmpack_probe_history",
        "Size of the history on the disk",
        Some(Unit::Bytes),
        [([], whole(live.history.extent.bytes))],
    )?;
    let oldest = live.history.extent.oldest.map(|at| ([], whole(at)));
    let stamp = seconds.clone();
    out.gauge(
        "vmpack_probe_history_oldest_timestamp",
        "Start of the oldest row",
        stamp,
        oldest,
    )?;
    let newest = live.newest_us.map(|us| ([], whole(us) / 1e6));
    let stamp = seconds.clone();
    out.gauge(
        "vmpack_probe_newest_window_timestamp",
        "End of the newest window",
        stamp,
        newest,
    )?;
    let listed = live.libvirt.as_ref().and_then(|l| l.newest);
    let listed = listed.map(|at| ([], whole(wall(at)) / 1e6));
    let stamp = seconds.clone();
    out.gauge(
        "vmpack_probe_guests_listed_timestamp",
        "When libvirt was asked that listed the guests last",
        stamp,
        listed,
    )?;
    let expires = live.server.certificate_expires;
    out.gauge(
        "vmpack_probe_certificate_expiry_timestamp",
        "When the server's certificate expires",
        seconds,
        expires.map(|at| ([], whole(u64::try_from(at).unwrap_or_default()))),
    )
}

/// Writes families of metrics.
struct Out<'a>(DescriptorEncoder<'a>);

type Labels<const N: usize> = [(&'static str, String); N];

impl Out<'_> {
    fn counter<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels<N>, f64)>,
    ) -> fmt::Result {
        let kind = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            if N == 0 {
                family.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
                continue;
            }
            let mut metric = family.encode_family(&labels)?;
            metric.encode_counter::<NoLabelSet, _, f64>(&value, None)?;
        }
        Ok(())
    }

    fn gauge<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels<N>, f64)>,
    ) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            if N == 0 {
                family.encode_gauge(&value)?;
                continue;
            }
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    fn histogram<'w>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<Unit>,
        values: impl IntoIterator<Item = (Labels<1>, &'w Waits)>,
    ) -> fmt::Result {
        let kind = MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, waits) in values {
            let (sum, count) = (nanoseconds(waits.sum), waits.counts.iter().sum());
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets(waits), None)?;
        }
        Ok(())
    }

    fn info<const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = Labels<N>>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Info)?;
        for labels in values {
            family.encode_info(&labels)?;
        }
        Ok(())
    }
}

fn of(guest: &GuestLive) -> Labels<1> {
    [("guest", guest.tick.guest.to_string())]
}

/// Upper bounds of the waits that are told apart, as powers of two of a nanosecond: from 16 µs to
/// 1.1 s, each four times the one before.
const WAITS: [usize; 9] = [14, 16, 18, 20, 22, 24, 26, 28, 30];

/// How many waits lie between each bound, in seconds, and the one before.
fn buckets(waits: &Waits) -> Vec<(f64, u64)> {
    let mut first = 0;
    let mut until = |power: usize| {
        let between = waits.counts.get(first..power).unwrap_or_default();
        first = power;
        between.iter().sum::<u64>()
    };
    let mut buckets: Vec<(f64, u64)> = WAITS
        .iter()
        .map(|power| (nanoseconds(1 << power), until(*power)))
        .collect();
    buckets.push((f64::INFINITY, until(waits.counts.len())));
    buckets
}

fn cores(milli: u64) -> f64 {
    whole(milli) / 1e3
}

fn nanoseconds(ns: u64) -> f64 {
    whole(ns) / 1e9
}

fn count(n: usize) -> f64 {
    to_f64(n as u128)
}

fn whole(n: u64) -> f64 {
    to_f64(u128::from(n))
}

fn to_f64(n: u128) -> f64 {
    // Exact to 53 bits, which is what Prometheus keeps.
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tick::Tick;
    use crate::tick::samples::guest_tick;

    #[test]
    fn every_wait_is_in_one_bucket() {
        let mut waits = Waits::default();
        for (power, count) in [(0, 1), (13, 2), (14, 4), (29, 8), (30, 16), (31, 32)] {
            waits.counts[power] = count;
        }
        let buckets = buckets(&waits);
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [3, 4, 0, 0, 0, 0, 0, 0, 8, 48]);
        assert_eq!(buckets[0].0, 16_384e-9);
        assert!(buckets[9].0.is_infinite());

        let mut live = Live::default();
        let guest = guest_tick("a", &[500]);
        let uuid = guest.uuid;
        live.tick(Tick {
            end_us: 1,
            host_mcores: 2000,
            guests: vec![guest, guest_tick("b", &[500])],
        });
        waits.sum = 2_500_000_000;
        live.waited(&[(uuid, waits)]);
        let text = render(live, 9).unwrap();
        let series = |suffix: &str| {
            let name = format!("vmpack_guest_cpu_wait_seconds_{suffix}");
            let lines = text.lines().filter(|line| line.starts_with(&name));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        // The other guest's single waits are not seen.
        assert_eq!(series("bucket").len(), 10);
        let name = "vmpack_guest_cpu_wait_seconds";
        assert_eq!(series("sum"), [format!("{name}_sum{{guest=\"a\"}} 2.5")]);
        assert_eq!(series("count"), [format!("{name}_count{{guest=\"a\"}} 63")]);
        assert!(
            series("bucket")[9].contains("le=\"+Inf\"") && series("bucket")[9].ends_with(" 63")
        );
    }
}
