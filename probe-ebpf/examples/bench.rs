//! Measures the probe itself, on the running kernel: `cargo xtask bench probe` prints its rows.
//! Each row is a JSON line; progress goes to standard error.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program: rows on standard output, talk on standard error"
)]

#[path = "../tests/kvm/guest.rs"]
mod kvm_guest;

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use kvm_guest::{Guest, Log};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, gettid};
use serde_json::json;
use uuid::Uuid;
use vmpack_domain::GuestName;
use vmpack_domain::units::{Micros, MilliCores, Ratio};
use vmpack_probe::ebpf::{Ebpf, VCPUS};
use vmpack_probe::sample::{Schedstat, now, own_cpu_time};
use vmpack_probe::source::{GuestWindow, Source};

const MS: u64 = 1_000_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let chosen = |name: &str| arguments.is_empty() || arguments.iter().any(|a| a == name);
    if arguments.first().is_some_and(|a| a == "threads") {
        return many_threads(arguments.get(1).context("how many")?.parse()?);
    }
    type Rows = fn() -> Result<()>;
    let parts: [(&str, Rows); 5] = [
        ("accuracy", accuracy),
        ("dirty", dirty),
        ("switch", cost_of_a_switch),
        ("process", cost_of_the_process),
        ("overload", overload),
    ];
    for (name, rows) in parts {
        if chosen(name) {
            eprintln!("measuring: {name}");
            if let Err(why) = rows() {
                eprintln!("skipped: {name}: {why:#}");
            }
        }
    }
    Ok(())
}

/// A row; without a target it is only told.
fn row(what: &str, value: f64, unit: &str, most: Option<f64>) {
    let value = (value * 10_000.0).round() / 10_000.0;
    let target = most.map_or("-".to_owned(), |most| format!("<= {most}"));
    let ok = most.is_none_or(|most| value <= most);
    println!(
        "{}",
        json!({ "what": what, "value": value, "unit": unit, "target": target, "ok": ok })
    );
}

fn source(vcpus: u32) -> Result<Ebpf> {
    Ok(Ebpf::start(
        Micros::millis(100),
        Ratio::ONE,
        MilliCores(2000),
        vcpus,
    )?)
}

fn name(number: usize) -> GuestName {
    format!("g{number}").parse().expect("a guest's name")
}

fn follow(source: &mut Ebpf, process: i32, threads: &[i32]) -> Result<()> {
    source.processes();
    source.follow(&name(0), Uuid::nil(), process, threads)?;
    Ok(())
}

fn burn_until(until: u64) {
    while now() < until {
        std::hint::black_box((0..10_000u64).fold(0, |a, b| std::hint::black_box(a ^ b)));
    }
}

/// The middle value.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Threads named as vCPUs, each of which does `work` when told to.
fn vcpus(
    number: usize,
    work: impl Fn() + Clone + Send + 'static,
) -> (Vec<i32>, Vec<mpsc::Sender<()>>, mpsc::Receiver<()>) {
    let (done, all_done) = mpsc::channel();
    let mut threads = Vec::new();
    let mut starts = Vec::new();
    for vcpu in 0..number {
        let (start, started) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        let (work, done) = (work.clone(), done.clone());
        let thread = std::thread::Builder::new().name(format!("CPU {vcpu}/KVM"));
        let run = move || {
            let _ = tell.send(gettid().as_raw());
            while started.recv().is_ok() {
                work();
                if done.send(()).is_err() {
                    return;
                }
            }
        };
        thread.spawn(run).expect("a thread");
        threads.push(told.recv().expect("a thread tells its number"));
        starts.push(start);
    }
    (threads, starts, all_done)
}

/// The sum over all windows against the scheduler's own sums, which are exact while the threads
/// sleep: 10 s of 4 busy threads on all CPUs.
fn accuracy() -> Result<()> {
    let mut source = source(64)?;
    let (threads, starts, done) = vcpus(4, || burn_until(now() + 10_000 * MS));
    std::thread::sleep(Duration::from_millis(200));
    let process = Pid::this().as_raw();
    follow(&mut source, process, &threads)?;
    let files: Vec<Schedstat> = threads
        .iter()
        .map(|thread| Schedstat::open("/proc".as_ref(), process, *thread))
        .collect::<std::io::Result<_>>()?;
    let sums = || -> Result<(u64, u64)> {
        let samples = files.iter().map(Schedstat::read);
        let samples = samples.collect::<std::io::Result<Vec<_>>>()?;
        let run = samples.iter().map(|s| s.run).sum();
        Ok((run, samples.iter().map(|s| s.delay).sum()))
    };
    let mut windows = Vec::new();
    let read_until = |source: &mut Ebpf, windows: &mut Vec<GuestWindow>, until| {
        while now() < until {
            std::thread::sleep(Duration::from_nanos(source.due().saturating_sub(now())));
            windows.extend(source.read().windows);
        }
    };
    read_until(&mut source, &mut windows, now() + 500 * MS);
    let before = sums()?;
    for start in &starts {
        start.send(())?;
    }
    read_until(&mut source, &mut windows, now() + 12_000 * MS);
    for _ in &starts {
        done.recv()?;
    }
    read_until(&mut source, &mut windows, now() + 500 * MS);
    let after = sums()?;
    let run: u64 = windows.iter().map(|w| w.window.run).sum();
    let delay: u64 = windows.iter().map(|w| w.window.delay).sum();
    let error =
        |ours: u64, theirs: u64| 100.0 * ours.abs_diff(theirs) as f64 / theirs.max(1) as f64;
    row(
        "run time against schedstat, 4 threads, 10 s",
        error(run, after.0 - before.0),
        "%",
        Some(0.1),
    );
    row(
        "run delay against schedstat, 4 threads, 10 s",
        error(delay, after.1 - before.1),
        "%",
        Some(0.1),
    );
    let quality = source.quality();
    let lost = 100.0 * quality.lost_ns as f64 / run.max(1) as f64;
    row("run time not placed exactly", lost, "%", None);
    row("events lost", quality.lost_events as f64, "", None);
    Ok(())
}

/// What the hooks count against what KVM's log tells.
fn dirty() -> Result<()> {
    for (what, log, most) in [
        ("dirty pages against the log, ring", Log::Ring, 0.0),
        ("dirty pages against the log, shadow MMU", Log::Bitmap, 0.1),
    ] {
        let mut source = source(64)?;
        let mut guest = Guest::new(20_000, log)?;
        let (tell, told) = mpsc::channel();
        let (start, started) = mpsc::channel::<()>();
        let (end, ended) = mpsc::channel::<()>();
        let vcpu = std::thread::Builder::new().name("CPU 0/KVM".to_owned());
        let vcpu = vcpu.spawn(move || -> Result<u64> {
            tell.send(gettid().as_raw())?;
            started.recv()?;
            let mut pages = 0;
            for _ in 0..5 {
                pages += guest.pass()?;
            }
            drop(tell);
            let _ = ended.recv();
            Ok(pages)
        })?;
        let thread = told.recv()?;
        follow(&mut source, Pid::this().as_raw(), &[thread])?;
        source.begin_dirty(&name(0))?;
        start.send(())?;
        // Until the guest has done its passes.
        let _ = told.recv();
        let counted = source.end_dirty(&name(0)).context("no count")?;
        end.send(())?;
        let logged = vcpu.join().expect("the guest's thread")?;
        let error = 100.0 * counted.abs_diff(logged) as f64 / logged.max(1) as f64;
        eprintln!("{what}: {counted} of {logged}");
        row(what, error, "%", Some(most));
    }
    Ok(())
}

/// Two threads on one CPU that wake each other through pipes, when told to. They stay the same, so
/// that where their stacks and pipes lie in the caches is no difference between two measurements.
struct PingPong {
    threads: Vec<i32>,
    go: Vec<mpsc::Sender<()>>,
    took: mpsc::Receiver<Result<Duration>>,
}

impl PingPong {
    /// How often each wakes the other in one measurement.
    const TIMES: usize = 5_000;

    fn start() -> Result<Self> {
        let pipes: [(OwnedFd, OwnedFd); 2] = [nix::unistd::pipe()?, nix::unistd::pipe()?];
        let pipes = Arc::new(pipes);
        let (tell, told) = mpsc::channel();
        let (done, took) = mpsc::channel();
        let (mut threads, mut go) = (Vec::new(), Vec::new());
        for first in [true, false] {
            let (pipes, tell, done) = (pipes.clone(), tell.clone(), done.clone());
            let (start, started) = mpsc::channel::<()>();
            let thread = std::thread::Builder::new().name(format!("CPU {}/KVM", u8::from(first)));
            thread.spawn(move || -> Result<()> {
                let mut one = CpuSet::new();
                one.set(0)?;
                sched_setaffinity(Pid::from_raw(0), &one)?;
                tell.send(gettid().as_raw())?;
                while started.recv().is_ok() {
                    done.send(play(&pipes, first))?;
                }
                Ok(())
            })?;
            threads.push(told.recv()?);
            go.push(start);
        }
        Ok(Self { threads, go, took })
    }

    /// CPU time of a switch, in nanoseconds.
    fn measure(&self) -> Result<f64> {
        for start in &self.go {
            start.send(())?;
        }
        let used = self.took.recv()?? + self.took.recv()??;
        Ok(used.as_nanos() as f64 / (2 * Self::TIMES) as f64)
    }
}

fn play(pipes: &[(OwnedFd, OwnedFd); 2], first: bool) -> Result<Duration> {
    let cpu_time = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let (mine, other) = if first { (0, 1) } else { (1, 0) };
    let mut byte = [0];
    let before = cpu_time()?;
    for _ in 0..PingPong::TIMES {
        if first {
            nix::unistd::write(&pipes[other].1, &byte)?;
        }
        nix::unistd::read(&pipes[mine].0, &mut byte)?;
        if !first {
            nix::unistd::write(&pipes[other].1, &byte)?;
        }
    }
    Ok(cpu_time()?.saturating_sub(before))
}

/// Off, attached, and followed, one after the other in turn, each against the measurements without
/// the probe just before and after.
fn cost_of_a_switch() -> Result<()> {
    const ROUNDS: usize = 100;
    let players = PingPong::start()?;
    let (mut others, mut followed, mut base) = (Vec::new(), Vec::new(), Vec::new());
    players.measure()?;
    for round in 0..ROUNDS {
        let before = players.measure()?;
        let mut attached = source(64)?;
        let hit = |attached: &mut Ebpf| {
            follow(attached, Pid::this().as_raw(), &players.threads)?;
            let took = players.measure();
            attached.forget(&name(0));
            took
        };
        let (miss, hit) = if round % 2 == 0 {
            (players.measure()?, hit(&mut attached)?)
        } else {
            let hit = hit(&mut attached)?;
            (players.measure()?, hit)
        };
        drop(attached);
        let without = f64::midpoint(before, players.measure()?);
        base.push(without);
        others.push(miss - without);
        followed.push(hit - without);
    }
    row("a switch without the probe", median(base), "ns", None);
    for (what, differences, most) in [
        ("other threads", others, 60.0),
        ("vCPU threads", followed, 110.0),
    ] {
        let what = format!("cost of a switch, {what}");
        row(&what, median(differences.clone()), "ns", Some(most));
        row(&format!("{what}: +-"), doubt(differences), "ns", None);
    }
    Ok(())
}

/// Half the width of the 95 % confidence interval of a median, by the ranks of the sorted values: the
/// normal approximation of the binomial, 1.96/2 standard deviations rounded up to one whole.
fn doubt(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (middle, reach) = (values.len() / 2, values.len().isqrt());
    let last = values.len().saturating_sub(1);
    let below = values.get(middle.saturating_sub(reach));
    let above = values.get((middle + reach).min(last));
    below
        .zip(above)
        .map_or(f64::NAN, |(below, above)| (above - below) / 2.0)
}

/// The load of [`cost_of_the_process`]: threads that work a little, again and again.
fn many_threads(number: usize) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut numbers = Vec::new();
    for vcpu in 0..number {
        let (stop, (tell, told)) = (stop.clone(), mpsc::channel());
        let thread = std::thread::Builder::new().name(format!("CPU {vcpu}/KVM"));
        thread.stack_size(64 * 1024).spawn(move || {
            let _ = tell.send(gettid().as_raw());
            while !stop.load(Ordering::Relaxed) {
                burn_until(now() + 20_000);
                std::thread::sleep(Duration::from_millis(40 + vcpu as u64 % 40));
            }
        })?;
        numbers.push(told.recv()?.to_string());
    }
    println!("{}", numbers.join(" "));
    std::io::stdout().flush()?;
    // Until whoever started us goes.
    let _ = std::io::stdin().read(&mut [0]);
    stop.store(true, Ordering::Relaxed);
    Ok(())
}

/// 200 guests of 2 vCPUs, read at 10 Hz, each window written as a line of JSON.
fn cost_of_the_process() -> Result<()> {
    const GUESTS: usize = 200;
    const SECONDS: u64 = 10;
    let mut load = Command::new(std::env::current_exe()?)
        .args(["threads", &(2 * GUESTS).to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let mut out = std::io::BufReader::new(load.stdout.take().context("no output")?);
    std::io::BufRead::read_line(&mut out, &mut line)?;
    let threads: Vec<i32> = line
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let process = i32::try_from(load.id())?;
    let mut source = source(VCPUS)?;
    source.processes();
    for (number, pair) in threads.chunks(2).enumerate() {
        source.follow(&name(number), Uuid::nil(), process, pair)?;
    }
    let mut sink = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    let (began, before, mut told) = (now(), own_cpu_time(), 0_u64);
    while now() < began + SECONDS * 1000 * MS {
        std::thread::sleep(Duration::from_nanos(source.due().saturating_sub(now())));
        let mut lines = String::new();
        for window in source.read().windows {
            let w = window.window;
            let line = json!({
                "guest": window.guest, "start": w.start, "run": w.run, "delay": w.delay,
                "demand": w.demand.0,
            });
            writeln!(lines, "{line}")?;
            told += 1;
        }
        sink.write_all(lines.as_bytes())?;
    }
    let used = own_cpu_time() - before;
    let share = 100.0 * used as f64 / (now() - began) as f64;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let resident: f64 = status
        .lines()
        .find_map(|l| {
            l.strip_prefix("VmRSS:")?
                .trim()
                .strip_suffix(" kB")?
                .parse()
                .ok()
        })
        .context("no VmRSS")?;
    eprintln!("{told} windows told");
    row(
        "probe process, 200 guests of 2 vCPUs at 10 Hz",
        share,
        "% of a core",
        Some(1.0),
    );
    row("its memory", resident / 1024.0, "MiB", Some(64.0));
    let quality = source.quality();
    let full = 100.0 * quality.threads as f64 / quality.threads_max as f64;
    row("map of vCPUs in use", full, "%", None);
    row("guests beyond it", quality.guests_beyond as f64, "", None);
    drop(load.stdin.take());
    load.wait()?;
    Ok(())
}

/// From the moment at which 6 vCPUs begin to want 2 cores until the event is raised, and until it
/// is read, 100 times.
fn overload() -> Result<()> {
    let mut source = source(64)?;
    if let Some(why) = source.no_overload() {
        anyhow::bail!(why);
    }
    // All wake by their own timers, at the same moment.
    let onset = Arc::new(AtomicU64::new(0));
    let at = onset.clone();
    let (threads, starts, done) = vcpus(6, move || {
        let at = at.load(Ordering::Acquire);
        std::thread::sleep(Duration::from_nanos(at.saturating_sub(now())));
        burn_until(at + 250 * MS);
    });
    follow(&mut source, Pid::this().as_raw(), &threads)?;
    // As its unit runs it (Nice=-10): on an overloaded host who listens must be heard first.
    let me = gettid().to_string();
    let renice = Command::new("renice")
        .args(["-n", "-10", "-p", &me])
        .output();
    if !renice.is_ok_and(|output| output.status.success()) {
        eprintln!("note: not reniced, so the event is read when the scheduler lets us");
    }
    let (mut raised, mut heard) = (Vec::new(), Vec::new());
    for round in 0..100_u64 {
        // Until the one before has ended, which is told when none was seen for a while.
        std::thread::sleep(Duration::from_millis(500));
        source.read();
        // At any place in a slot.
        let began = now() + 50 * MS + round * 7_919_113 % (17 * MS);
        onset.store(began, Ordering::Release);
        for start in &starts {
            start.send(())?;
        }
        let mut noticed = None;
        while noticed.is_none() && now() < began + 250 * MS {
            let wakes = source.wakes().context("nothing wakes")?;
            let mut fds = [PollFd::new(wakes.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(20_u8))?;
            let events = source.read().overloads;
            let event = events.iter().find(|o| o.began && o.at > began);
            noticed = event.map(|event| (event.at, now()));
        }
        if let Some((at, read)) = noticed {
            raised.push((at - began) as f64 / MS as f64);
            heard.push((read - began) as f64 / MS as f64);
        }
        for _ in &starts {
            done.recv()?;
        }
    }
    let missed = 100 - heard.len();
    let p99 = |mut values: Vec<f64>| {
        values.resize(100, f64::from(u16::MAX));
        values.sort_by(f64::total_cmp);
        values.get(98).copied().unwrap_or(f64::NAN)
    };
    let middle = median(heard.clone());
    row("overload event, median of 100 onsets", middle, "ms", None);
    row("overload event raised, p99 of 100", p99(raised), "ms", None);
    row(
        "overload event, p99 of 100 onsets",
        p99(heard),
        "ms",
        Some(100.0),
    );
    row("onsets not noticed", missed as f64, "", Some(0.0));
    Ok(())
}
