//! Against the running kernel, where it lets us.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::unistd::Pid;

use super::*;
use crate::sample::schedstat_grain;
use crate::source::Window;
use crate::tests::{Vcpu as Busy, burn, sleep_ms};

/// The source, with that window; `None`, and a word of it, where this kernel or user has none.
fn start(window: Micros) -> Option<Ebpf> {
    match Ebpf::start(window, Ratio::ONE, MilliCores(2000), 256) {
        Ok(source) => Some(source),
        Err(why) => {
            // Past the capture of the test harness, so that it is seen and counted.
            let _ = writeln!(std::io::stderr(), "skipped: {why}");
            None
        }
    }
}

fn guest() -> GuestName {
    "g".parse().unwrap()
}

fn follow(source: &mut Ebpf, threads: &[&Busy]) {
    let process = Pid::this().as_raw();
    let ours = source.processes().unwrap();
    assert!(ours.contains(&process), "{ours:?}");
    let threads: Vec<i32> = threads.iter().map(|vcpu| vcpu.thread).collect();
    source
        .follow(&guest(), Uuid::from_u128(7), process, &threads)
        .unwrap();
}

/// Reads whenever it is due for so long; what came of it.
fn read_for(source: &mut Ebpf, ms: u64) -> Vec<Reading> {
    let end = now() + ms * 1_000_000;
    let mut readings = vec![source.read()];
    while source.due() < end {
        std::thread::sleep(Duration::from_nanos(source.due().saturating_sub(now())));
        readings.push(source.read());
    }
    readings
}

#[test]
fn run_and_wait_are_the_schedulers_own_sums() {
    let Some(mut source) = start(Micros::millis(100)) else {
        return;
    };
    // Two that share a CPU, and one that sleeps in between.
    let vcpus = [
        Busy::start(710, || {
            crate::tests::bind_to_one_cpu();
            (0..1000).for_each(|_| burn());
        }),
        Busy::start(711, || {
            crate::tests::bind_to_one_cpu();
            (0..1000).for_each(|_| burn());
        }),
        Busy::start(712, || {
            (0..50).for_each(|_| burn());
            sleep_ms(2);
        }),
    ];
    follow(&mut source, &vcpus.each_ref());
    let readings = read_for(&mut source, 1000);
    let read = || vcpus.each_ref().map(|vcpu| vcpu.file().read().unwrap());
    let before = read();
    let totals = source.totals("g");
    // The files lag by a tick, and by a wait that is in progress until it ends.
    sleep_ms(300);
    let after = read();
    assert_eq!(totals.len(), 3);
    for (i, (thread, run, wait)) in totals.into_iter().enumerate() {
        assert_eq!(vcpus[i].thread, thread);
        let tick = schedstat_grain();
        let run = run..=run + tick;
        assert!(
            before[i].run <= *run.end() && *run.start() <= after[i].run,
            "{run:?}"
        );
        let wait = wait..=wait + tick;
        // A wait after a sleep is known when the thread is switched out again.
        let known = before[i].delay <= *wait.end() || i == 2;
        assert!(
            known && *wait.start() <= after[i].delay + tick,
            "{i} {wait:?} {before:?} {after:?}"
        );
    }
    let windows: Vec<_> = readings.iter().flat_map(|r| &r.windows).collect();
    assert!(windows.len() >= 7, "{readings:?}");
    for window in &windows {
        assert_eq!(window.window.length, 6 * SLOT_NS);
        assert_eq!(window.window.start % (6 * SLOT_NS), 0);
        // Two of them always want.
        assert!(window.window.demand >= MilliCores(1800), "{window:?}");
        assert!(window.window.demand <= MilliCores(3000), "{window:?}");
        let busy = window.window.run + window.window.delay;
        assert!(busy >= 11 * SLOT_NS, "{window:?}");
    }
    let waits = source.waits(&guest()).unwrap();
    // Each wait lies between the bounds of its bucket.
    let least: u64 = waits.counts.iter().enumerate().map(|(i, n)| n << i).sum();
    assert!(
        least > 0 && (least..2 * least).contains(&waits.sum),
        "{waits:?}"
    );
    let quality = source.quality();
    assert_eq!((quality.threads, quality.lost_events), (3, 0));
    for vcpu in vcpus {
        vcpu.stop();
    }
}

#[test]
fn two_hundred_vcpus_are_the_schedulers_own_sums() {
    let Some(mut source) = start(Micros::millis(100)) else {
        return;
    };
    let work = || {
        burn();
        sleep_ms(20);
    };
    let vcpus: Vec<Busy> = (2000..2200).map(|n| Busy::start(n, work)).collect();
    let read = || -> Vec<_> { vcpus.iter().map(|v| v.file().read().unwrap()).collect() };
    let (start, first) = (now(), read());
    follow(&mut source, &vcpus.iter().collect::<Vec<_>>());
    let readings = read_for(&mut source, 600);
    let before = read();
    let totals = source.totals("g");
    let after = read();
    assert_eq!(totals.len(), 200);
    let tick = schedstat_grain();
    for (i, (thread, run, _)) in totals.into_iter().enumerate() {
        assert_eq!(vcpus[i].thread, thread);
        assert!(
            before[i].run <= run + tick && run <= after[i].run + tick,
            "{i} {run}"
        );
    }
    let windows: Vec<_> = readings.iter().flat_map(|r| &r.windows).collect();
    assert!(windows.iter().all(|w| w.vcpus == 200));
    assert!(windows.len() >= 2, "{readings:?}");
    // On a machine that is short of CPU none of them may run for a whole window, or one be missed.
    // But what all of them ran meanwhile lies in the windows, or in the time that is in none of them,
    // in which the CPUs have run no more than they could.
    let end = now();
    let sum = |samples: &[crate::demand::Sample]| samples.iter().map(|s| s.run).sum::<u64>();
    let ran = sum(&read()) - sum(&first);
    let run: u64 = windows.iter().map(|w| w.window.run).sum();
    let covered: u64 = windows.iter().map(|w| w.window.length).sum();
    let cpus = crate::sample::online_cores().0 / 1000;
    let grain = cpus * tick + source.quality().lost_ns;
    assert!(run <= ran + grain, "{run} of {ran}");
    assert!(
        ran <= run + cpus * (end - start - covered) + grain,
        "{run} of {ran}, {covered} covered"
    );
    assert_eq!(source.quality().threads, 200);
    for vcpu in vcpus {
        vcpu.stop();
    }
}

#[test]
fn windows_add_up_to_the_schedulers_sums() {
    let Some(mut source) = start(Micros::millis(50)) else {
        return;
    };
    let vcpu = Busy::start(720, || {
        (0..300).for_each(|_| burn());
        sleep_ms(3);
    });
    follow(&mut source, &[&vcpu]);
    let readings = read_for(&mut source, 1500);
    let windows: Vec<Window> = readings
        .iter()
        .flat_map(|r| r.windows.iter().map(|w| w.window))
        .collect();
    let (first, last) = (windows.first().unwrap(), windows.last().unwrap());
    // Every window is there, one after the other.
    for pair in windows.windows(2) {
        assert_eq!(pair[0].start + pair[0].length, pair[1].start);
    }
    let length = last.start + last.length - first.start;
    let run: u64 = windows.iter().map(|w| w.run).sum();
    let delay: u64 = windows.iter().map(|w| w.delay).sum();
    let whole = vcpu.file().read().unwrap();
    // The whole life of the thread is a little more than what the windows cover.
    assert!(run + delay <= length && run <= whole.run, "{windows:?}");
    let used = vcpu.stop();
    let covered = run as f64 / length as f64;
    let life = used as f64 / (now() - first.start + 50_000_000) as f64;
    assert!(covered > life * 0.5, "{covered} {life}");
}

#[test]
fn a_thread_that_ends_is_told_and_its_place_is_free_again() {
    let Some(mut source) = start(Micros::millis(50)) else {
        return;
    };
    let vcpu = Busy::start(730, || sleep_ms(1));
    follow(&mut source, &[&vcpu]);
    assert_eq!(source.quality().threads, 1);
    vcpu.stop();
    let readings = read_for(&mut source, 400);
    let lost: Vec<_> = readings.iter().flat_map(|r| &r.lost).collect();
    assert_eq!(lost, [&guest()]);
    assert_eq!(source.quality().threads, 0);
    assert_eq!(source.free.len(), 256);
}

#[test]
fn a_vcpu_that_appears_is_told_at_once() {
    let Some(mut source) = start(Micros::millis(50)) else {
        return;
    };
    source.read();
    let vcpu = Busy::start(740, || sleep_ms(1));
    assert!(source.read().appeared);
    vcpu.stop();
}

#[test]
fn guests_beyond_the_room_are_counted() {
    let Some(mut source) = start(Micros::millis(50)) else {
        return;
    };
    source.free.truncate(1);
    let vcpus = [750, 751].map(|number| Busy::start(number, || sleep_ms(1)));
    source.processes().unwrap();
    let threads = vcpus.each_ref().map(|vcpu| vcpu.thread);
    let process = Pid::this().as_raw();
    let refused = source.follow(&guest(), Uuid::nil(), process, &threads);
    assert!(refused.is_err());
    assert_eq!(source.quality().guests_beyond, 1);
    assert_eq!(source.free.len(), 1, "nothing is left taken");
    source
        .follow(&guest(), Uuid::nil(), process, &threads[..1])
        .unwrap();
    assert_eq!(source.quality().guests_beyond, 0);
    for vcpu in vcpus {
        vcpu.stop();
    }
}

/// The source, on a host that is overloaded by more CPU than that in a slot, in nanoseconds.
fn start_judging(limit: u64) -> Option<Ebpf> {
    let mut source = start(Micros::millis(50))?;
    if let Some(why) = source.no_overload() {
        let _ = writeln!(std::io::stderr(), "skipped: {why}");
        return None;
    }
    let control = Control {
        limit,
        slots: OVERLOAD_SLOTS,
        used: 0,
    };
    source.programs.control.write(0, control);
    Some(source)
}

#[test]
fn an_overload_is_told_with_its_start_and_its_end() {
    // A host of half a core.
    let Some(mut source) = start_judging(SLOT_NS / 2) else {
        return;
    };
    let vcpu = Busy::start(760, burn);
    let began = now();
    follow(&mut source, &[&vcpu]);
    let mut events = Vec::new();
    while events.is_empty() && now() < began + 5_000_000_000 {
        sleep_ms(5);
        events.extend(source.read().overloads);
    }
    let over = events[0];
    assert!(
        over.began && over.since + 1_000_000_000 > began && over.since < over.at,
        "{over:?}"
    );
    assert!(over.demand > MilliCores(500), "{over:?}");
    vcpu.stop();
    let mut events = Vec::new();
    while events.is_empty() && now() < began + 10_000_000_000 {
        sleep_ms(5);
        events.extend(source.read().overloads);
    }
    assert!(!events[0].began, "{events:?}");
}

/// Lets the thread run before any that shares its CPU, for as long as it wants to.
fn run_first(vcpu: &Busy) -> bool {
    let mut chrt = std::process::Command::new("chrt");
    chrt.args(["--fifo", "--pid", "1"]);
    chrt.arg(vcpu.thread.to_string())
        .status()
        .unwrap()
        .success()
}

#[test]
fn an_overload_whose_waits_are_known_late_is_told_once() {
    // A host of half a core.
    let Some(mut source) = start_judging(SLOT_NS / 2) else {
        return;
    };
    // They want little.
    let vcpus = [790, 791, 792].map(|number| {
        Busy::start(number, || {
            crate::tests::bind_to_one_cpu();
            burn();
            sleep_ms(10);
        })
    });
    follow(&mut source, &vcpus.each_ref());
    let events = |source: &mut Ebpf, seconds: u64| {
        let end = now() + seconds * 1_000_000_000;
        let mut events = Vec::new();
        while now() < end {
            sleep_ms(5);
            events.extend(source.read().overloads);
        }
        events
    };
    events(&mut source, 1);
    // It keeps their CPU for much longer than an overload takes to be told, and again after less: once
    // woken, they wait, and that is known when they have run.
    let lost = source.quality().lost_ns;
    let released = Arc::new(AtomicU64::new(0));
    let first = released.clone();
    let other = Busy::start(799, move || {
        crate::tests::bind_to_one_cpu();
        let end = now() + 300_000_000;
        while now() < end {}
        let _ = first.compare_exchange(0, now(), Ordering::Relaxed, Ordering::Relaxed);
        sleep_ms(20);
    });
    if !run_first(&other) {
        let _ = writeln!(std::io::stderr(), "skipped: no right to run first");
    } else {
        let told = events(&mut source, 4);
        let began: Vec<bool> = told.iter().map(|event| event.began).collect();
        assert_eq!(began, [true]);
        // Before any of them had run again.
        assert!(told[0].at < released.load(Ordering::Relaxed), "{told:?}");
        // What they waited in windows that were told long ago is counted.
        let late = source.quality().lost_ns - lost;
        assert!(late > 300_000_000, "{late}");
    }
    other.stop();
    events(&mut source, 1);
    assert_eq!(source.programs.state.read(0).unwrap().overloaded, 0);
    for vcpu in vcpus {
        vcpu.stop();
    }
}

#[test]
fn a_vcpu_that_is_unplugged_or_plugged_interrupts_nothing() {
    // A host of half a core.
    let Some(mut source) = start_judging(SLOT_NS / 2) else {
        return;
    };
    let [one, two, three] = [800, 801, 802].map(|number| Busy::start(number, burn));
    follow(&mut source, &[&one, &two]);
    let mut readings = read_for(&mut source, 600);
    two.stop();
    readings.extend(read_for(&mut source, 600));
    assert_eq!(source.quality().threads, 1);
    assert!(readings.iter().any(|reading| reading.appeared));
    follow(&mut source, &[&one, &three]);
    readings.extend(read_for(&mut source, 600));
    let lost: usize = readings.iter().map(|reading| reading.lost.len()).sum();
    assert_eq!(lost, 0, "{readings:?}");
    let overloads = readings.iter().flat_map(|reading| &reading.overloads);
    let began: Vec<bool> = overloads.map(|overload| overload.began).collect();
    assert_eq!(began, [true]);
    // One window after the other, from the first with it on.
    let windows: Vec<_> = readings
        .iter()
        .flat_map(|reading| &reading.windows)
        .collect();
    let follows = |pair: &[&GuestWindow]| {
        let (before, after) = (&pair[0].window, &pair[1].window);
        before.start + before.length == after.start
    };
    assert!(windows.windows(2).all(follows), "{windows:?}");
    assert!(windows.len() > 20, "{windows:?}");
    for vcpu in [one, three] {
        vcpu.stop();
    }
}

#[test]
fn a_number_that_is_used_again_is_not_the_thread_that_ended() {
    let Some(mut source) = start(Micros::millis(50)) else {
        return;
    };
    let vcpu = Busy::start(810, || sleep_ms(1));
    follow(&mut source, &[&vcpu]);
    let entry = source.guests[&guest()].threads[0].entry;
    let mut gone = source.programs.vcpus.read_whole(entry).unwrap();
    gone.doing = GONE;
    source.programs.vcpus.write(entry, gone);
    sleep_ms(50);
    let now = source.programs.vcpus.read_whole(entry).unwrap();
    assert_eq!((now.doing, now.run), (GONE, gone.run));
    vcpu.stop();
}

#[test]
fn waiting_of_a_guest_with_a_quota_is_no_overload() {
    // Two that share one CPU want two, run one, and the host has one and a half.
    let Some(mut source) = start_judging(SLOT_NS * 3 / 2) else {
        return;
    };
    let vcpus = [780, 781].map(|number| {
        Busy::start(number, || {
            crate::tests::bind_to_one_cpu();
            (0..1000).for_each(|_| burn());
        })
    });
    follow(&mut source, &vcpus.each_ref());
    let next = |source: &mut Ebpf, seconds: u64| {
        let end = now() + seconds * 1_000_000_000;
        while now() < end {
            sleep_ms(5);
            if let Some(event) = source.read().overloads.last() {
                return Some(event.began);
            }
        }
        None
    };
    assert_eq!(next(&mut source, 5), Some(true));
    source.cap(&guest(), true);
    assert_eq!(next(&mut source, 5), Some(false));
    assert_eq!(next(&mut source, 1), None);
    source.cap(&guest(), false);
    assert_eq!(next(&mut source, 5), Some(true));
    for vcpu in vcpus {
        vcpu.stop();
    }
}

#[test]
fn what_an_event_costs_is_sampled() {
    let Some(mut source) = start(Micros::millis(50)) else {
        return;
    };
    let vcpu = Busy::start(770, || sleep_ms(1));
    follow(&mut source, &[&vcpu]);
    let quality = source.quality();
    source.cost.step(now() + 2_000_000_000);
    if !source.cost.is_counting() {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: no right to count (CAP_SYS_ADMIN)"
        );
        return;
    }
    read_for(&mut source, 300);
    source.cost.step(now() + 4_000_000_000);
    assert!(!source.cost.is_counting());
    let after = source.quality();
    let (runs, ns) = (
        after.switches.runs - quality.switches.runs,
        after.switches.ns - quality.switches.ns,
    );
    assert!(runs > 100, "{runs}");
    // From some cycles to what a machine that is short of CPU makes of them.
    assert!((1..100_000).contains(&(ns / runs)), "{ns} {runs}");
    assert!(after.judge.runs > quality.judge.runs, "{after:?}");
    vcpu.stop();
}

#[test]
fn an_entry_that_is_read_in_part_has_all_but_the_other_slots() {
    let Some(mut source) = start(Micros::millis(100)) else {
        return;
    };
    let mut written = Vcpu {
        sequence: 2,
        thread: 3,
        doing: super::wire::WAIT,
        capped: 5,
        since: 6,
        waited: 7,
        run: 8,
        wait: 9,
        lost: 10,
        ..Vcpu::FREE
    };
    for (slot, number) in written.slots.iter_mut().zip(1000u32..) {
        (slot.epoch, slot.run, slot.wait) = (number, number + 1, number + 2);
    }
    // Nobody is followed: no program writes it.
    let entry = 200;
    source.programs.vcpus.write(entry, written);
    let slots = SLOTS as u64 - 2..SLOTS as u64 + 1;
    let vcpus = &source.programs.vcpus;
    let mut read = Vcpu::FREE;
    vcpus.read_slots(entry, slots.clone(), &mut read).unwrap();
    let mut expected = written;
    for (index, slot) in (0u64..).zip(&mut expected.slots) {
        if !slots.clone().any(|number| number % SLOTS as u64 == index) {
            *slot = Vcpu::FREE.slots[0];
        }
    }
    assert_eq!(format!("{read:?}"), format!("{expected:?}"));
    let past = source.programs.entries;
    assert!(vcpus.read_slots(past, slots, &mut read).is_none());
}
