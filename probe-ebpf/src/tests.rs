//! Tests against real threads of the running kernel.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{Pid, gettid};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;
use vmpack_domain::units::{MiB, Micros, MilliCores, Ratio};
use vmpack_domain::{CpuLoad, Tier};
use vmpack_hypervisor::Error;
use vmpack_hypervisor::libvirt::{Observed, VcpuTime};

use crate::demand::{Sample, Step, wanted};
use crate::ebpf::Ebpf;
use crate::measure::{self, Measurement};
use crate::record::{Recording, Settings, record};
use crate::sample::{Schedstat, now, schedstat_grain};
use crate::threads::vcpu_threads;
use crate::windows::{Folding, Series};

/// A guest as libvirt would tell of it.
pub(crate) fn observed(name: &str, vcpus: u32) -> Observed {
    // An identity of its own for each name.
    let uuid = name
        .bytes()
        .fold(0, |id: u128, byte| id << 8 | u128::from(byte));
    Observed {
        name: name.parse().unwrap(),
        uuid: Uuid::from_u128(uuid),
        vcpus,
        memory: MiB(128),
        resident: Some(MiB(64)),
        cpu_time_ns: None,
        vcpu_times: Vec::new(),
    }
}

/// A thread named as a vCPU of QEMU, that runs `work` until it is stopped; it then tells the CPU
/// time that it used by its own clock, in nanoseconds.
pub(crate) struct Vcpu {
    pub(crate) thread: i32,
    stop: Arc<AtomicBool>,
    handle: JoinHandle<u64>,
}

impl Vcpu {
    pub(crate) fn start(number: u32, work: impl Fn() + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let (send, receive) = mpsc::channel();
        let handle = std::thread::Builder::new()
            .name(format!("CPU {number}/TCG"))
            .spawn(move || {
                send.send(gettid().as_raw()).unwrap();
                while !stopped.load(Ordering::Relaxed) {
                    work();
                }
                let used = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
                u64::try_from(Duration::from(used).as_nanos()).unwrap()
            })
            .unwrap();
        Self {
            thread: receive.recv().unwrap(),
            stop,
            handle,
        }
    }

    pub(crate) fn file(&self) -> Schedstat {
        Schedstat::open(Path::new("/proc"), Pid::this().as_raw(), self.thread).unwrap()
    }

    /// Its CPU time by its own clock.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.handle.join().unwrap()
    }
}

pub(crate) fn burn() {
    std::hint::black_box((0..10_000u64).fold(0, |a, b| std::hint::black_box(a ^ b)));
}

pub(crate) fn sleep_ms(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}

/// Binds the calling thread to one of the CPUs that it may use.
pub(crate) fn bind_to_one_cpu() {
    let mine = Pid::from_raw(0);
    let allowed = sched_getaffinity(mine).unwrap();
    let first = (0..CpuSet::count())
        .find(|cpu| allowed.is_set(*cpu).unwrap())
        .unwrap();
    let mut one = CpuSet::new();
    one.set(first).unwrap();
    sched_setaffinity(mine, &one).unwrap();
}

#[test]
fn vcpu_threads_are_found_by_name_and_in_order() {
    let vcpus = [911, 910].map(|number| Vcpu::start(number, || sleep_ms(1)));
    let found = vcpu_threads(Path::new("/proc"), Pid::this().as_raw()).unwrap();
    let ours = [vcpus[1].thread, vcpus[0].thread];
    let in_order: Vec<i32> = found.into_iter().filter(|t| ours.contains(t)).collect();
    assert_eq!(in_order, ours);
    for vcpu in vcpus {
        vcpu.stop();
    }
}

#[test]
fn run_time_is_what_the_threads_own_clock_says() {
    let busy = Vcpu::start(920, burn);
    let half = Vcpu::start(921, || {
        (0..200).for_each(|_| burn());
        sleep_ms(2);
    });
    for vcpu in [busy, half] {
        let file = vcpu.file();
        let before = file.read().unwrap();
        sleep_ms(400);
        let after = file.read().unwrap();
        let used = vcpu.stop();
        assert!(after.run > before.run);
        // Its whole life, up to a tick that was not posted and what it ran after the last reading.
        let lag = schedstat_grain() + (now() - after.at);
        assert!(after.run <= used, "{} posted, {used} used", after.run);
        assert!(used - after.run <= lag, "{} posted, {used} used", after.run);
    }
}

#[test]
fn two_threads_on_one_cpu_want_two() {
    let vcpus = [930, 931].map(|number| {
        Vcpu::start(number, || {
            bind_to_one_cpu();
            (0..1000).for_each(|_| burn());
        })
    });
    let files = vcpus.each_ref().map(Vcpu::file);
    let read = || files.each_ref().map(|f| f.read().unwrap());
    sleep_ms(50);
    let mut guest = Folding::default();
    let mut series = Series::default();
    guest.restart(files.len());
    let first = read();
    guest.sample(&first);
    guest.close(schedstat_grain(), Ratio::ONE);
    for _ in 0..8 {
        for _ in 0..5 {
            sleep_ms(20);
            guest.sample(&read());
        }
        let window = guest.close(schedstat_grain(), Ratio::ONE);
        window.iter().for_each(|window| series.push(window));
    }
    let last = read();
    for vcpu in vcpus {
        vcpu.stop();
    }
    let load = series.load(Micros::millis(100)).unwrap();
    let [run, delay] = [load.run.unwrap(), load.run_delay.unwrap()];
    // Together they got at most one CPU, and each wanted one.
    assert!(run <= MilliCores(1050), "{load:?}");
    assert!(delay >= MilliCores(800), "{load:?}");
    assert!(load.p50.unwrap() >= MilliCores(1900), "{load:?}");
    for (before, after) in first.iter().zip(&last) {
        let whole = Step::between(before, after);
        assert!(
            wanted(&[whole], &[], schedstat_grain()) > whole.run,
            "{whole:?}"
        );
    }
}

/// A process that looks like a guest's QEMU with one vCPU.
pub(crate) struct Pretender(Child);

impl Pretender {
    /// It burns CPU in a thread with a vCPU's name.
    fn burning(guest: &Observed) -> Self {
        Self::start(guest, "while :; do :; done")
    }

    /// Its thread with a vCPU's name runs that shell script.
    pub(crate) fn start(guest: &Observed, work: &str) -> Self {
        let script = format!("printf 'CPU 0/TCG' > /proc/$$/comm; {work}");
        let name = format!("guest={},debug-threads=on", guest.name);
        let child = Command::new("sh")
            .args(["-c", &script, "sh", "-name", &name, "-uuid"])
            .arg(guest.uuid.to_string())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let own = Self(child);
        let pid = i32::try_from(own.0.id()).unwrap();
        while vcpu_threads(Path::new("/proc"), pid).is_err() {
            sleep_ms(1);
        }
        own
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        // It may have been ended by the test.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn settings() -> Settings {
    Settings {
        length: Micros::millis(600),
        measuring: measure::Settings {
            best: Tier::Schedstat,
            ..measure::Settings::default()
        },
    }
}

/// Waits until that moment, and at most so many times.
fn wait_at_most(mut times: u32) -> impl FnMut(u64) -> bool {
    move |at| {
        std::thread::sleep(Duration::from_nanos(at.saturating_sub(now())));
        times = times.saturating_sub(1);
        times > 0
    }
}

fn record_with(
    list: impl FnMut() -> Result<Vec<Observed>, Error> + Send + 'static,
    settings: &Settings,
) -> Recording {
    record(settings, list, &mut wait_at_most(10_000), &mut |_| {}).unwrap()
}

fn cpu(recording: &Recording, guest: &str) -> CpuLoad {
    recording.load.guests[guest].cpu.clone().unwrap()
}

/// As [`settings`], but by eBPF; `None`, and a word of it, where this kernel or user has none.
fn by_ebpf() -> Option<Settings> {
    if let Err(why) = Ebpf::start(Micros::millis(100), Ratio::ONE, MilliCores(1000), 1) {
        // Past the capture of the test harness, so that it is seen and counted.
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
        return None;
    }
    let mut settings = settings();
    settings.measuring.best = Tier::Ebpf;
    Some(settings)
}

#[test]
fn a_busy_guest_is_recorded_from_its_threads() {
    busy_guest(&settings(), Micros::millis(100));
    if let Some(settings) = by_ebpf() {
        // Six slots of 2^24 ns.
        busy_guest(&settings, Micros(100_664));
    }
}

fn busy_guest(settings: &Settings, window: Micros) {
    let guest = observed("busy", 1);
    let other = observed("elsewhere", 2);
    let _qemu = Pretender::burning(&guest);
    let listed = vec![guest, other];
    let recording = record_with(move || Ok(listed.clone()), settings);
    let measured = &recording.load.guests["busy"];
    assert_eq!(
        measured.tier,
        Some(settings.measuring.best),
        "{recording:?}"
    );
    assert!(
        measured.memory.is_some_and(|m| m.0 < 64),
        "resident memory of its own process"
    );
    let load = cpu(&recording, "busy");
    assert_eq!(load.window, Some(window));
    // It is always ready, however many others run beside it.
    assert!(load.p50.unwrap() >= MilliCores(950), "{load:?}");
    assert!(load.max.unwrap() <= MilliCores(1000), "{load:?}");
    // The mean counts every window alike, the run time by its length: on a loaded machine, where
    // windows end late, they may differ by more than what was rounded.
    let (run, mean) = (load.run.unwrap(), load.mean.unwrap());
    assert!(
        run > MilliCores(0) && run <= mean + MilliCores(50),
        "{load:?}"
    );
    let why = &recording.not_measured["elsewhere"];
    assert!(
        why.contains("no process") && why.contains("libvirt tells no times"),
        "{why}"
    );
}

/// A cgroup of the CPU controller as libvirt makes it for a guest, with a quota of a fifth of a CPU.
struct Throttled(PathBuf);

impl Throttled {
    fn new() -> std::io::Result<Self> {
        let name = format!("t{}.libvirt-qemu", std::process::id());
        let roots = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup"].map(Path::new);
        let old = roots[0].is_dir();
        let own = Self(roots[usize::from(!old)].join(name));
        std::fs::create_dir(&own.0)?;
        if old {
            std::fs::write(own.0.join("cpu.cfs_quota_us"), "20000")?;
        } else {
            std::fs::write(own.0.join("cpu.max"), "20000 100000")?;
        }
        Ok(own)
    }

    /// Nanoseconds that it was throttled, as its file says.
    fn throttled(&self) -> u64 {
        let text = std::fs::read_to_string(self.0.join("cpu.stat")).unwrap();
        let figure = |line: &str, name: &str| line.strip_prefix(name)?.trim().parse::<u64>().ok();
        let found = text.lines().find_map(|line| {
            let micros = figure(line, "throttled_usec ").map(|n| n * 1000);
            micros.or_else(|| figure(line, "throttled_time "))
        });
        found.unwrap()
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        // Its last process may take a moment to go.
        let gone = (0..100).any(|_| {
            sleep_ms(10);
            std::fs::remove_dir(&self.0).is_ok()
        });
        assert!(gone || !self.0.exists(), "{} is left", self.0.display());
    }
}

#[test]
fn a_guests_own_quota_is_no_contention() {
    let cgroup = match Throttled::new() {
        Ok(cgroup) => cgroup,
        Err(why) => {
            let _ = writeln!(std::io::stderr(), "skipped: no cgroup with a quota: {why}");
            return;
        }
    };
    let guest = observed("capped", 1);
    let qemu = Pretender::burning(&guest);
    std::fs::write(cgroup.0.join("cgroup.procs"), qemu.0.id().to_string()).unwrap();
    let mut settings = settings().measuring;
    settings.best = Tier::Ebpf;
    let mut measurement = Measurement::start(settings, move || Ok(vec![guest.clone()])).unwrap();
    let (mut throttled, mut windows) = (0, 0);
    let before = cgroup.throttled();
    let end = now() + 3_000_000_000;
    while now() < end {
        for window in measurement.step().windows {
            let window = window.window;
            assert!(window.run + window.delay + window.throttled <= window.length + 1_000_000);
            throttled += window.throttled;
            windows += 1;
        }
        std::thread::sleep(Duration::from_nanos(
            measurement.due().saturating_sub(now()),
        ));
    }
    let growth = cgroup.throttled() - before;
    assert!(windows >= 10, "{windows}");
    // On a busy machine it waits for a CPU for so long that its quota is not used up.
    assert!(throttled <= growth, "{throttled} of {growth}");
    assert!(
        growth < 500_000_000 || throttled > growth / 2,
        "{throttled} of {growth}"
    );
    drop(qemu);
    drop(cgroup);
}

#[test]
fn without_threads_libvirts_counters_are_used() {
    let start = now();
    let guest = observed("far", 3);
    // Three vCPUs; the first is always ready and gets half of a CPU, the others are idle.
    let list = move || {
        let mut guest = guest.clone();
        let passed = (now() - start) / 2;
        guest.vcpu_times = [passed, 0, 0]
            .into_iter()
            .zip(0..)
            .map(|(t, number)| VcpuTime {
                number,
                time_ns: Some(t),
                delay_ns: Some(t),
            })
            .collect();
        Ok(vec![guest])
    };
    let settings = Settings {
        length: Micros::secs(1),
        ..settings()
    };
    let recording = record_with(list, &settings);
    let measured = &recording.load.guests["far"];
    assert_eq!(
        (measured.tier, measured.memory),
        (Some(Tier::Libvirt), Some(MiB(64)))
    );
    let load = cpu(&recording, "far");
    assert!(
        (MilliCores(950)..=MilliCores(1000)).contains(&load.p50.unwrap()),
        "{load:?}"
    );
    assert!(
        (MilliCores(450)..=MilliCores(550)).contains(&load.run.unwrap()),
        "{load:?}"
    );
}

/// Records a guest whose process ends after 5 windows; `listed` tells whether libvirt lists it then.
fn record_ending(guest: &Observed, listed: bool) -> Recording {
    let mut qemu = Pretender::burning(guest);
    let (here, seen) = (Arc::new(AtomicBool::new(true)), guest.clone());
    let shown = here.clone();
    let list = move || {
        Ok(Vec::from_iter(
            shown.load(Ordering::Relaxed).then(|| seen.clone()),
        ))
    };
    let mut closed = 0;
    let mut told = |_| {
        closed += 1;
        if closed == 5 {
            qemu.0.kill().unwrap();
            qemu.0.wait().unwrap();
            here.store(listed, Ordering::Relaxed);
        }
    };
    let settings = Settings {
        length: Micros::secs(3600),
        ..settings()
    };
    // 5 windows are over after 25 steps of 20 ms at most, and lists are made once a second.
    record(&settings, list, &mut wait_at_most(110), &mut told).unwrap()
}

#[test]
fn a_guest_whose_threads_end_keeps_what_was_recorded() {
    let recording = record_ending(&observed("brief", 1), true);
    assert!(cpu(&recording, "brief").mean.is_some());
    assert!(recording.load.guests["brief"].age.unwrap() > Micros::millis(500));
}

#[test]
fn a_guest_that_leaves_is_not_in_the_hosts_load() {
    let recording = record_ending(&observed("gone", 1), false);
    assert!(recording.load.guests.is_empty() && recording.not_measured.is_empty());
    assert!(recording.left.contains("gone"));
}

#[test]
fn a_guest_that_appears_is_recorded_from_then_on() {
    // Guests are listed once a second, and sooner where the kernel tells of a thread that may be one.
    appearing_guest(settings(), Micros::secs(1));
    if let Some(settings) = by_ebpf() {
        appearing_guest(settings, Micros::ZERO);
    }
}

fn appearing_guest(settings: Settings, at_least: Micros) {
    let guest = observed("late", 1);
    let _qemu = Pretender::burning(&guest);
    let mut asked = 0;
    // When it was first told of.
    let listed = Arc::new(AtomicU64::new(0));
    let told = listed.clone();
    let list = move || {
        asked += 1;
        if asked == 1 {
            return Ok(Vec::new());
        }
        told.compare_exchange(0, now(), Ordering::Relaxed, Ordering::Relaxed)
            .ok();
        Ok(vec![guest.clone()])
    };
    let settings = Settings {
        length: Micros::secs(2),
        ..settings
    };
    let start = now();
    let recording = record_with(list, &settings);
    let load = cpu(&recording, "late");
    let (end, listed) = (now(), listed.load(Ordering::Relaxed));
    let before = Micros((listed - start) / 1000);
    assert!(before >= at_least, "{before}");
    // All of its windows lie between then and the end.
    let span = load.span.unwrap();
    assert!(
        span.0 > 0 && span <= Micros((end - listed) / 1000),
        "{load:?}"
    );
}

#[test]
fn an_interrupt_keeps_what_there_is() {
    let guest = observed("cut", 1);
    let _qemu = Pretender::burning(&guest);
    let list = move || Ok(vec![guest.clone()]);
    let settings = Settings {
        length: Micros::secs(3600),
        ..settings()
    };
    let recording = record(&settings, list, &mut wait_at_most(30), &mut |_| {}).unwrap();
    assert!(recording.windows >= 1, "{recording:?}");
    assert!(cpu(&recording, "cut").mean.is_some());
}

#[test]
fn a_probe_that_sleeps_too_long_counts_missed_windows_and_no_demand() {
    let guest = observed("calm", 1);
    let _qemu = Pretender::start(&guest, "while :; do sleep 0.01; done");
    let mut wakes = 0;
    let mut wait = move |at: u64| {
        wakes += 1;
        let late = if wakes == 12 { 450_000_000 } else { 0 };
        std::thread::sleep(Duration::from_nanos(at.saturating_sub(now()) + late));
        true
    };
    let settings = Settings {
        length: Micros::millis(1200),
        ..settings()
    };
    let recording = record(
        &settings,
        move || Ok(vec![guest.clone()]),
        &mut wait,
        &mut |_| {},
    )
    .unwrap();
    assert!(recording.missed >= 3, "{recording:?}");
    let load = cpu(&recording, "calm");
    assert!(load.max.unwrap() <= MilliCores(1000), "{load:?}");
    let span = load.span.unwrap();
    assert!(
        span >= Micros::millis(1000),
        "the missed windows' time is not lost: {load:?}"
    );
}

#[test]
fn an_unreachable_daemon_is_an_error() {
    let refused = Error::Unreachable {
        host: "h1".into(),
        uri: "qemu:///system".into(),
        cause: "no such socket".into(),
    };
    let said = refused.clone();
    let ended = record(
        &settings(),
        move || Err(said.clone()),
        &mut |_| true,
        &mut |_| {},
    );
    assert_eq!(ended, Err(refused));
}

#[test]
fn a_dead_threads_file_is_an_error() {
    let vcpu = Vcpu::start(940, burn);
    let file = vcpu.file();
    let sample: Sample = file.read().unwrap();
    assert!(sample.at > 0);
    vcpu.stop();
    // The kernel may take a moment to let the thread go after it was joined.
    let gone = (0..100).any(|_| {
        sleep_ms(10);
        file.read().is_err()
    });
    assert!(gone);
}
