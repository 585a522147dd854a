//! The pages that the kernel's hooks count against what KVM's own dirty log says, with guests of
//! our own, each in a process of its own. Where there is no KVM, or no eBPF, it says so.

#[path = "kvm/guest.rs"]
mod kvm_guest;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use kvm_guest::{Guest, Log};
use uuid::Uuid;
use vmpack_domain::GuestName;
use vmpack_domain::units::{Micros, MilliCores, Ratio};
use vmpack_probe::ebpf::Ebpf;
use vmpack_probe::source::Source;

const PASSES: u64 = 5;
/// Between the starts of two passes: what a guest dirties in a second is known by it.
const PERIOD: Duration = Duration::from_millis(40);
/// Says to a process of this test which guest it is.
const GUEST: &str = "VMPACK_TEST_GUEST";

fn skipped(why: impl std::fmt::Display) {
    // Past the capture of the test harness, so that it is seen and counted.
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}

/// A guest that dirties so many pages in each pass, in a process of its own.
struct Process {
    child: Child,
    out: BufReader<ChildStdout>,
    name: GuestName,
    pages: u64,
    log: Log,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts it and waits until its vCPU is there; why it cannot be, else.
    fn start(pages: u64, log: Log) -> Result<Self, String> {
        let test = std::env::current_exe().expect("this test");
        let mut child = Command::new(test)
            .args(["--exact", "guest", "--ignored", "--nocapture"])
            .env(GUEST, format!("{log:?} {pages}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test runs");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        let name = format!("g{}", child.id()).parse().expect("a guest's name");
        let mut guest = Self {
            child,
            out,
            name,
            pages,
            log,
        };
        match guest.told().as_str() {
            "ready" => Ok(guest),
            why => Err(why.to_owned()),
        }
    }

    /// What it says next; the test harness talks too.
    fn told(&mut self) -> String {
        let lines = (&mut self.out).lines().map(|line| line.expect("text"));
        let mut said = lines.filter_map(|line| line.split_once("guest: ").map(|l| l.1.to_owned()));
        said.next().expect("it speaks")
    }

    fn number(&mut self) -> u64 {
        self.told().parse().expect("a number")
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process")
    }

    fn order(&mut self, what: &str) {
        let stdin = self.child.stdin.as_mut().expect("its input");
        writeln!(stdin, "{what}").expect("it listens");
    }
}

/// A guest's process: does what its standard input says, and tells the pages of its log.
#[test]
#[ignore = "it is a process of the other tests"]
fn guest() {
    let which = std::env::var(GUEST).expect("which guest");
    let (log, pages) = which.split_once(' ').expect("two words");
    let log = if log == "Ring" {
        Log::Ring
    } else {
        Log::Bitmap
    };
    let pages = pages.parse().expect("a number");
    std::fs::write("/proc/thread-self/comm", "CPU 0/KVM").expect("a name");
    let tell = |what: String| writeln!(std::io::stdout(), "guest: {what}").expect("a reader");
    let mut guest = match Guest::new(pages, log) {
        Ok(guest) => guest,
        Err(why) => return tell(format!("{why:#}")),
    };
    tell("ready".to_owned());
    for order in std::io::stdin().lines() {
        let logged: u64 = match order.expect("text").as_str() {
            // The log is taken after each pass.
            "passes" => (0..PASSES)
                .map(|_| {
                    let next = Instant::now() + PERIOD;
                    let pages = guest.pass().expect("the guest runs");
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                    pages
                })
                .sum(),
            // Only at the end: each page counts once.
            _ => {
                let full: u64 = (0..PASSES).map(|_| guest.run().expect("it runs")).sum();
                full + guest.collect().expect("a log")
            }
        };
        tell(logged.to_string());
    }
}

fn source() -> Option<Ebpf> {
    let cores = MilliCores(1000);
    Ebpf::start(Micros::millis(100), Ratio::ONE, cores, 8)
        .map_err(skipped)
        .ok()
}

fn guests(kinds: &[(u64, Log)]) -> Option<Vec<Process>> {
    let start = |(pages, log): &(u64, Log)| Process::start(*pages, *log);
    let guests: Result<_, String> = kinds.iter().map(start).collect();
    guests.map_err(skipped).ok()
}

/// Gives all guests that order in one sampling window; gives what was counted of each and what its
/// log told. `None`, and a word of it, where there are no hooks.
fn counted(source: &mut Ebpf, guests: &mut [Process], order: &str) -> Option<Vec<(u64, u64)>> {
    source.processes();
    for guest in guests.iter() {
        let pid = guest.pid();
        let threads = vcpu_threads(pid);
        let followed = source.follow(&guest.name, Uuid::nil(), pid, &threads);
        followed.expect("it is followed");
        if let Err(why) = source.begin_dirty(&guest.name) {
            skipped(why);
            return None;
        }
    }
    for guest in guests.iter_mut() {
        guest.order(order);
    }
    let of = |guest: &mut Process| {
        let logged = guest.number();
        let counted = source.end_dirty(&guest.name).expect("a count");
        (counted, logged)
    };
    Some(guests.iter_mut().map(of).collect())
}

fn vcpu_threads(pid: i32) -> Vec<i32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let named = tasks.filter_map(|task| {
        let task = task.expect("a thread");
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        name.starts_with("CPU ").then(|| {
            task.file_name()
                .to_string_lossy()
                .parse()
                .expect("a number")
        })
    });
    named.collect()
}

/// Exact with the ring; within 0.1 % in the shadow page table.
fn same(guest: &Process, counted: u64, logged: u64) {
    let what = format!("{:?} of {}: {counted} of {logged}", guest.log, guest.pages);
    match guest.log {
        Log::Ring => assert_eq!(counted, logged, "{what}"),
        Log::Bitmap => assert!(counted.abs_diff(logged) * 1000 <= logged, "{what}"),
    }
}

#[test]
fn several_guests_at_once_are_counted_as_kvms_log_says() {
    let Some(mut source) = source() else {
        return;
    };
    // Other numbers for each, so that no page is taken for another guest's.
    let kinds = [
        (3000, Log::Ring),
        (2000, Log::Bitmap),
        (1100, Log::Ring),
        (5000, Log::Bitmap),
        (7000, Log::Ring),
    ];
    let Some(mut guests) = guests(&kinds) else {
        return;
    };
    let Some(all) = counted(&mut source, &mut guests, "passes") else {
        return;
    };
    for (guest, (counted, logged)) in guests.iter().zip(all) {
        same(guest, counted, logged);
        // The pages of its tables besides, which the processor marks.
        let known = guest.pages * PASSES;
        let most = known + 16 * PASSES;
        assert!((known..=most).contains(&logged), "{logged} of {known}");
    }
}

#[test]
fn a_page_that_is_dirtied_again_counts_once() {
    let Some(mut source) = source() else {
        return;
    };
    let Some(mut guests) = guests(&[(3000, Log::Ring), (3000, Log::Bitmap)]) else {
        return;
    };
    let Some(all) = counted(&mut source, &mut guests, "once") else {
        return;
    };
    for (guest, (counted, logged)) in guests.iter().zip(all) {
        same(guest, counted, logged);
        let known = guest.pages..=guest.pages + 16;
        assert!(known.contains(&logged), "{logged}");
    }
}
