//! The pages that the kernel's hooks count against what KVM's own dirty log says, with a guest of
//! our own. Where there is no KVM, or no eBPF, it says so.

#[path = "kvm/guest.rs"]
mod kvm_guest;

use std::io::Write;
use std::sync::mpsc;

use kvm_guest::{Guest, Log};
use uuid::Uuid;
use vmpack_domain::GuestName;
use vmpack_domain::units::{Micros, MilliCores, Ratio};
use vmpack_probe::ebpf::Ebpf;
use vmpack_probe::source::Source;

const PAGES: usize = 3000;
const PASSES: u64 = 3;

fn skipped(why: impl std::fmt::Display) {
    // Past the capture of the test harness, so that it is seen and counted.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

fn name(text: &str) -> GuestName {
    text.parse().expect("a guest's name")
}

/// Runs a guest on a thread named as a vCPU; gives what the hooks counted and what the log told.
fn counted(log: Log, guests: usize) -> Option<(u64, u64)> {
    let mut source = match Ebpf::start(Micros::millis(100), Ratio::ONE, MilliCores(1000), 8) {
        Ok(source) => source,
        Err(why) => {
            skipped(why);
            return None;
        }
    };
    let mut made = Vec::new();
    for _ in 0..guests {
        match Guest::new(PAGES, log) {
            Ok(guest) => made.push(guest),
            Err(why) => {
                skipped(format!("{why:#}"));
                return None;
            }
        }
    }
    let (tell, told) = mpsc::channel();
    let starts: Vec<mpsc::Sender<()>> = made
        .into_iter()
        .zip(0..)
        .map(|(mut guest, number): (Guest, u32)| {
            let (start, started) = mpsc::channel();
            let tell = tell.clone();
            let vcpu = std::thread::Builder::new().name(format!("CPU {number}/KVM"));
            let run = move || {
                tell.send(u64::try_from(nix::unistd::gettid().as_raw()).expect("a thread"))
                    .expect("somebody listens");
                let _ = started.recv();
                let pages = (0..PASSES).map(|_| guest.pass().expect("the guest runs"));
                tell.send(pages.sum()).expect("somebody listens");
            };
            vcpu.spawn(run).expect("a thread");
            start
        })
        .collect();
    let threads: Vec<i32> = starts
        .iter()
        .map(|_| i32::try_from(told.recv().expect("a thread")).expect("a thread"))
        .collect();
    let process = nix::unistd::Pid::this().as_raw();
    source.processes();
    source
        .follow(&name("g"), Uuid::nil(), process, &threads)
        .expect("it is followed");
    if let Err(why) = source.begin_dirty(&name("g")) {
        skipped(why);
        return None;
    }
    for start in &starts {
        start.send(()).expect("it waits");
    }
    let logged = starts.iter().map(|_| told.recv().expect("its pages")).sum();
    Some((source.end_dirty(&name("g"))?, logged))
}

// One after the other: all guests here are of one process, and one process is one guest.
#[test]
fn dirty_pages_are_what_kvms_log_says() {
    if let Some((counted, logged)) = counted(Log::Ring, 1) {
        assert_eq!(counted, logged, "the ring is exact");
        assert!(logged >= PAGES as u64 * PASSES, "{logged}");
    }
    if let Some((counted, logged)) = counted(Log::Bitmap, 1) {
        assert!(
            counted.abs_diff(logged) * 1000 <= logged,
            "{counted} of {logged}"
        );
        assert!(logged >= PAGES as u64 * PASSES, "{logged}");
    }
    if let Some((counted, logged)) = counted(Log::Ring, 3) {
        assert_eq!(counted, logged, "three guests at once");
    }
}
