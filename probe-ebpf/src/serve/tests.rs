//! The whole daemon, on loopback, fed with made ticks.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use vmpack_domain::units::{Micros, MilliCores};

use super::*;
use crate::client::{Address, Client, ClientError};
use crate::serve::wire::{Event, Health, LoadAnswer};
use crate::source::Overload;
use crate::tick::Tick;
use crate::tick::samples::guest_tick;

/// A daemon that runs until it is dropped.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Daemon {
    pub(crate) fn url(&self) -> Address {
        format!("http://{}", self.address).parse().unwrap()
    }
}

pub(crate) fn settings(folder: &Path) -> Settings {
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: Files {
            cert: None,
            key: None,
            ca: None,
        },
        history: folder.join("history.db"),
        bounds: Bounds {
            bytes: 64 << 20,
            age: Micros::secs(14 * 86400),
        },
        measuring: measure::Settings {
            best: vmpack_domain::Tier::Schedstat,
            ..measure::Settings::default()
        },
        host: "h1".to_owned(),
        host_mcores: 2000,
        metrics_guests: 3,
        connections: 8,
        streams: 2,
        untaken: Duration::from_secs(30),
        taking: Duration::from_secs(60),
        unread_kib: 64 << 10,
    }
}

/// Starts one; `feed` is called again and again with the sink until the daemon stops.
pub(crate) fn start(
    settings: Settings,
    mut feed: impl FnMut(&mut Sink) + Send + 'static,
) -> Daemon {
    start_with(settings, move |shared: Arc<Shared>, mut sink: Sink| {
        while !shared.stops() {
            feed(&mut sink);
            shared.beat();
            std::thread::sleep(Duration::from_millis(5));
        }
        sink.end();
    })
}

/// Starts one that measures so.
pub(super) fn start_with(
    settings: Settings,
    feed: impl FnOnce(Arc<Shared>, Sink) + Send + 'static,
) -> Daemon {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (send, listening) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let until = async {
            let _ = stopped.await;
        };
        runtime
            .block_on(run(settings, feed, until, |address| {
                send.send(address).unwrap();
            }))
            .unwrap();
    });
    Daemon {
        address: listening.recv().unwrap(),
        stop: Some(stop),
        thread: Some(thread),
    }
}

/// A feed of those guests at half a core each, in windows of 100 ms up to now.
pub(crate) fn steady(guests: &'static [&'static str]) -> impl FnMut(&mut Sink) + Send {
    // A minute back, so that there are rows at once.
    let mut end = crate::tick::unix_us() / 100_000 * 100_000 - 60_000_000;
    move |sink| {
        while end + 100_000 <= crate::tick::unix_us() {
            end += 100_000;
            sink.tick(Tick {
                end_us: end,
                host_mcores: 2000,
                guests: guests.iter().map(|g| guest_tick(g, &[500])).collect(),
            });
        }
    }
}

pub(crate) fn block_on<R>(future: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn client() -> Client {
    Client {
        tls: None,
        patience: Duration::from_secs(20),
    }
}

/// Status and body of a request as it is typed.
fn raw(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    // The other side may have said no before it heard all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

pub(crate) fn get(address: SocketAddr, path: &str) -> String {
    raw(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
    )
}

/// Asks again until the answer is as wanted.
pub(crate) fn wait_for<R>(mut ask: impl FnMut() -> Option<R>) -> R {
    for _ in 0..3000 {
        if let Some(answer) = ask() {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it did not happen");
}

#[test]
fn metrics_are_openmetrics_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(
        settings(folder.path()),
        steady(&["a", "b\"\\", "c", "d", "e"]),
    );
    let answer = wait_for(|| {
        let answer = get(daemon.address, "/metrics");
        answer.contains("statistic=\"p99\"").then_some(answer)
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("application/openmetrics-text; version=1.0.0"));
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    check_openmetrics(text);
    // Three of five have series, and the others are counted.
    let series = |name: &str| text.lines().filter(|l| l.starts_with(name)).count();
    assert_eq!(series("vmpack_guest_cpu_run_delay_seconds_total{"), 3);
    assert_eq!(series("vmpack_guest_cpu_demand_cores{"), 15);
    assert!(
        text.contains("\nvmpack_host_guests_without_series 2.0\n"),
        "{text}"
    );
    assert!(text.contains("guest=\"b\\\"\\\\\""), "{text}");
    assert!(text.contains("vmpack_guest_cpu_demand_cores{guest=\"a\",statistic=\"max\"} 0.5"));
}

/// What OpenMetrics 1.0 asks of a text, as far as we use it: families are told of once, before
/// their samples and together; names and suffixes fit the type and unit; it ends with `# EOF`.
fn check_openmetrics(text: &str) {
    let mut families = std::collections::BTreeMap::new();
    let mut samples = std::collections::BTreeSet::new();
    let mut current = "";
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|l| *l != "# EOF") {
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (what, name, said) = (words.next().unwrap(), words.next().unwrap(), words.next());
            let said = said.unwrap_or_default();
            if what == "HELP" {
                assert!(families.insert(name, "").is_none(), "{name} comes twice");
                current = name;
            }
            assert_eq!(name, current, "{line}");
            match what {
                "HELP" => assert!(said.len() > 4, "{line}"),
                "TYPE" => *families.get_mut(name).unwrap() = said,
                "UNIT" => assert!(name.ends_with(said), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        let value: f64 = value.parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert!(samples.insert(series), "{series} comes twice");
        let name = series.split('{').next().unwrap();
        let suffix = name
            .strip_prefix(current)
            .unwrap_or_else(|| panic!("{line} in {current}"));
        let expected: &[&str] = match families[current] {
            "counter" => &["_total"],
            "gauge" => &[""],
            "info" => &["_info"],
            "histogram" => &["_bucket", "_count", "_sum"],
            other => panic!("{other}"),
        };
        assert!(expected.contains(&suffix), "{line}");
    }
    // Each is told of in the documentation, and nothing else is.
    let page = include_str!("../../../docs/probe.md");
    let documented: std::collections::BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| !name.starts_with('/'))
        .collect();
    assert_eq!(documented, families.into_keys().collect());
}

#[test]
fn the_history_is_told_by_guest_and_step() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(settings(folder.path()), steady(&["a", "b"]));
    let answer: LoadAnswer = wait_for(|| {
        let path = "/v1/load?step=10s&statistic=max";
        let answer: LoadAnswer = block_on(client().get(&daemon.url(), path, &[])).unwrap();
        (answer.history.guests.len() == 2 && answer.history.guests[0].span_us > 30_000_000)
            .then_some(answer)
    });
    assert_eq!(answer.greeting.host, "h1");
    let guest = &answer.history.guests[0];
    assert_eq!(guest.mean_mcores, 500);
    assert_eq!(guest.series.mcores.len(), 360);
    assert!(guest.series.mcores.iter().flatten().all(|m| *m == 500));
    assert_eq!(guest.run_us, guest.span_us / 2);
    // A time with its offset, as a client would encode it.
    let since = "since=2026-01-05T00%3A00%3A00%2B01:00&until=2026-01-05T00:00:00Z";
    assert!(get(daemon.address, &format!("/v1/load?{since}")).starts_with("HTTP/1.1 200"));
    for (query, said) in [
        ("since=5&until=5", "start before its end"),
        ("since=yesterday", "expected Unix seconds"),
        ("step=7s", "a multiple of 10 s"),
        ("step=10500ms", "a multiple of 10 s"),
        ("since=0&until=900000&step=10s", "at most 2000"),
        ("statistic=p42", "expected mean"),
        ("limit=1", "expected since"),
        ("since=%zz", "read `%zz`"),
        ("since=9999999999999999999", "expected Unix seconds"),
    ] {
        let answer = get(daemon.address, &format!("/v1/load?{query}"));
        assert!(answer.starts_with("HTTP/1.1 400"), "{query}: {answer}");
        assert!(answer.contains(said), "{query}: {answer}");
    }
}

#[test]
fn the_stream_tells_windows_and_overloads_as_they_happen() {
    let folder = tempfile::tempdir().unwrap();
    let mut windows = steady(&["a"]);
    let daemon = start(settings(folder.path()), move |sink| {
        windows(sink);
        sink.overload(Overload {
            began: true,
            at: now(),
            since: now(),
            demand: MilliCores(3000),
            cores: MilliCores(2000),
        });
    });
    // Past the minute that is fed at once.
    wait_for(|| {
        get(daemon.address, "/healthz")
            .starts_with("HTTP/1.1 200")
            .then_some(())
    });
    let (hello, found) = block_on(async {
        let mut events = client().stream(&daemon.url()).await.unwrap();
        let hello = events.next().await.unwrap().unwrap();
        let mut found = (false, false);
        while found != (true, true) {
            match events.next().await.unwrap().unwrap() {
                Event::Windows(tick) => found.0 |= tick.guests[0].demand_mcores == [500],
                Event::Overload { demand_mcores, .. } => found.1 |= demand_mcores == 3000,
                other => panic!("{other:?}"),
            }
        }
        (hello, found)
    });
    assert!(matches!(hello, Event::Hello(greeting) if greeting.api == wire::API));
    assert_eq!(found, (true, true));
}

#[test]
fn a_reader_that_comes_later_hears_of_the_overload_that_is_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut windows = steady(&["a"]);
    let mut told = [true, false, true].into_iter();
    let daemon = start(settings(folder.path()), move |sink| {
        if let Some(began) = told.next() {
            sink.overload(Overload {
                began,
                at: now(),
                since: now(),
                demand: MilliCores(3000),
                cores: MilliCores(2000),
            });
        }
        windows(sink);
    });
    wait_for(|| {
        let metrics = get(daemon.address, "/metrics");
        metrics
            .contains("vmpack_host_overloads_total 2")
            .then_some(())
    });
    let first = block_on(async {
        let mut events = client().stream(&daemon.url()).await.unwrap();
        events.next().await.unwrap();
        events.next().await.unwrap().unwrap()
    });
    let Event::Overload { began, at_us, .. } = first else {
        panic!("{first:?}");
    };
    assert!(began && at_us <= crate::tick::unix_us());
}

#[test]
fn a_slow_reader_is_dropped_with_a_word_and_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let ticks = Arc::new(AtomicU64::new(0));
    let counted = ticks.clone();
    let names: Vec<String> = (0..400)
        .map(|n| format!("a-guest-with-a-long-name-{n}"))
        .collect();
    let daemon = start(settings(folder.path()), move |sink| {
        sink.tick(Tick {
            end_us: crate::tick::unix_us(),
            host_mcores: 2000,
            guests: names.iter().map(|g| guest_tick(g, &[500])).collect(),
        });
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream
        .write_all(b"GET /v1/stream HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    // Reads nothing while many lines come, more than any buffer on the way holds.
    let before = ticks.load(Ordering::Relaxed);
    wait_for(|| (ticks.load(Ordering::Relaxed) > before + 400).then_some(()));
    let mut said = Vec::new();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // The server says why and ends the answer; the connection stays for the next request.
    let mut part = [0; 65536];
    while !said.ends_with(b"0\r\n\r\n") {
        let n = stream.read(&mut part).unwrap();
        assert!(n > 0, "no last word");
        said.extend_from_slice(&part[..n]);
    }
    let said = String::from_utf8(said).unwrap();
    assert!(said.contains("\"type\":\"dropped\",\"why\":\"read too slowly"));
    let (_, lines) = said.rsplit_once("\"lines\":").unwrap();
    let lines: f64 = lines.split('}').next().unwrap().parse().unwrap();
    // All that were sent and did not come.
    let came = said.matches("\"type\":\"windows\"").count();
    let sent = ticks.load(Ordering::Relaxed) as f64;
    assert!(
        lines > 64.0 && lines + came as f64 <= sent,
        "{lines} {came}"
    );
    let metrics = get(daemon.address, "/metrics");
    assert!(metrics.contains("vmpack_probe_streams_dropped_total 1"));
    let counted = format!("vmpack_probe_stream_lines_lost_total {lines:?}\n");
    assert!(metrics.contains(&counted), "{counted}");
}

#[test]
fn a_reader_that_takes_nothing_is_counted_when_tcp_gives_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path());
    settings.untaken = Duration::from_secs(1);
    // So few that the buffers on the way are not full before TCP gives up.
    let daemon = start(settings, |sink| {
        sink.tick(Tick {
            end_us: crate::tick::unix_us(),
            host_mcores: 2000,
            guests: vec![guest_tick("a", &[500])],
        });
    });
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    nix::sys::socket::setsockopt(&stream, nix::sys::socket::sockopt::RcvBuf, &4096).unwrap();
    stream
        .write_all(b"GET /v1/stream HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    let metrics = wait_for(|| {
        let metrics = get(daemon.address, "/metrics");
        metrics
            .contains("\nvmpack_probe_streams 0")
            .then_some(metrics)
            .filter(|metrics| !metrics.contains("streams_dropped_total 0"))
    });
    assert!(
        metrics.contains("vmpack_probe_streams_dropped_total 1"),
        "{metrics}"
    );
    assert!(!metrics.contains("vmpack_probe_stream_lines_lost_total 0"));
    // Who goes by itself is none.
    drop(stream);
    let mut stream = TcpStream::connect(daemon.address).unwrap();
    stream
        .write_all(b"GET /v1/stream HTTP/1.1\r\nhost: x\r\n\r\n")
        .unwrap();
    assert!(stream.read(&mut [0; 64]).unwrap() > 0);
    wait_for(|| {
        get(daemon.address, "/metrics")
            .contains("\nvmpack_probe_streams 1")
            .then_some(())
    });
    drop(stream);
    let metrics = wait_for(|| {
        let metrics = get(daemon.address, "/metrics");
        metrics
            .contains("\nvmpack_probe_streams 0")
            .then_some(metrics)
    });
    assert!(metrics.contains("vmpack_probe_streams_dropped_total 1"));
}

#[test]
fn a_thread_that_begins_has_more_time_than_one_that_measures() {
    const S: u64 = 1_000_000_000;
    assert!(!is_stuck(10 * S, 0, 300 * S));
    assert!(is_stuck(10 * S, 0, 311 * S));
    assert!(!is_stuck(10 * S, 20 * S, 29 * S));
    assert!(is_stuck(10 * S, 20 * S, 31 * S));
}

#[test]
fn what_is_no_request_of_ours_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        streams: 8,
        ..settings(folder.path())
    };
    let daemon = start(settings, steady(&["a"]));
    assert!(get(daemon.address, "/nothing").starts_with("HTTP/1.1 404"));
    let post =
        "POST /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert!(raw(daemon.address, post).starts_with("HTTP/1.1 405"));
    let long = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "y".repeat(1 << 20)
    );
    assert!(!raw(daemon.address, &long).starts_with("HTTP/1.1 200"));
    let many = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "x: y\r\n".repeat(1000)
    );
    assert!(raw(daemon.address, &many).starts_with("HTTP/1.1 431"));
    // Of the stream there is no head, and it keeps no connection.
    let head = "HEAD /v1/stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(raw(daemon.address, head).starts_with("HTTP/1.1 200"));
    // Two requests on one connection.
    let two =
        "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(daemon.address, two).matches("HTTP/1.1 200").count(), 2);
    // More than eight at once: readers of the stream.
    let ask = |request: &str| {
        let mut stream = TcpStream::connect(daemon.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        answer[..length]
            .starts_with(b"HTTP/1.1 200")
            .then_some(stream)
    };
    // The place of one that was served a moment ago may not be free yet: a reader asks again.
    let stream = "GET /v1/stream HTTP/1.1\r\nhost: x\r\n\r\n";
    let held: Vec<TcpStream> = (0..8).map(|_| wait_for(|| ask(stream))).collect();
    wait_for(|| {
        get(daemon.address, "/")
            .starts_with("HTTP/1.1 503")
            .then_some(())
    });
    drop(held);
    wait_for(|| {
        get(daemon.address, "/")
            .starts_with("HTTP/1.1 200")
            .then_some(())
    });
    // The first of many that asked for nothing, or for nothing more, goes when there is somebody to be
    // served.
    let silent = |_| TcpStream::connect(daemon.address).unwrap();
    let resting = |_| ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let headed = |_| ask("HEAD /v1/stream HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let kept = (0..8).map(silent).chain((0..8).map(resting));
    let kept: Vec<TcpStream> = kept.chain((0..8).map(headed)).collect();
    assert!(get(daemon.address, "/").starts_with("HTTP/1.1 200"));
    drop(kept);
}

#[test]
fn health_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let well = start(settings(folder.path()), steady(&["a"]));
    let health: Health = wait_for(|| block_on(client().get(&well.url(), "/healthz", &[])).ok());
    assert!(health.ok && health.faults.is_empty(), "{health:?}");
    drop(well);
    let silent = start(settings(folder.path()), |_| {});
    let refused = block_on(client().get::<Health>(&silent.url(), "/healthz", &[]));
    assert!(matches!(refused, Err(ClientError::Refused(status, _)) if status == 503));
    let accepted = [hyper::StatusCode::SERVICE_UNAVAILABLE];
    let health: Health = block_on(client().get(&silent.url(), "/healthz", &accepted)).unwrap();
    assert_eq!(health.faults, ["nothing was measured yet"]);
    // What was not measured is absent, not 0.
    let metrics = get(silent.address, "/metrics");
    for absent in [
        "vmpack_host_",
        "vmpack_probe_threads",
        "vmpack_probe_program",
    ] {
        let mut samples = metrics.lines().filter(|line| line.starts_with(absent));
        let first = samples.find(|line| !line.starts_with("vmpack_host_overloads_total"));
        assert_eq!(first, None);
    }
    assert!(metrics.contains("vmpack_probe_http_requests_total"));
}

#[test]
fn what_was_measured_last_is_kept_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let file = settings.history.clone();
    let daemon = start(settings, steady(&["a"]));
    wait_for(|| {
        get(daemon.address, "/healthz")
            .starts_with("HTTP/1.1 200")
            .then_some(())
    });
    let before = crate::tick::unix_us() / 1_000_000;
    drop(daemon);
    let asked = crate::history::Asked {
        since: 0,
        until: u64::MAX >> 20,
        step: 1 << 45,
        statistic: vmpack_domain::Statistic::Max,
    };
    let part = crate::history::Reader::open(&file)
        .unwrap()
        .read(asked, || true)
        .unwrap();
    assert!(part.guests[0].newest + 10 > before, "{part:?}");
}
