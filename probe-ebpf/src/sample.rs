//! Reads a vCPU thread's counters, and the clock that they are read by.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::time::{ClockId, clock_getres, clock_gettime};

use vmpack_domain::units::MilliCores;

use crate::demand::Sample;

/// How far a sample's time may be off: a reading that took longer is made again.
const SKEW: u64 = 200_000;

/// The scheduler's statistics of one thread, its file kept open: a reading is one `pread` of some
/// 330 ns.
#[derive(Debug)]
pub struct Schedstat(File);

impl Schedstat {
    /// Opens the statistics of a thread below a mount of procfs.
    ///
    /// # Errors
    /// When the thread is gone or may not be seen.
    pub fn open(proc: &Path, process: i32, thread: i32) -> io::Result<Self> {
        File::open(proc.join(format!("{process}/task/{thread}/schedstat"))).map(Self)
    }

    /// The thread's counters now.
    ///
    /// # Errors
    /// When the thread is gone, or the file is not as `Documentation/scheduler/sched-stats.rst`
    /// says.
    pub fn read(&self) -> io::Result<Sample> {
        let mut buffer = [0; 96];
        let mut tries = 3;
        loop {
            let at = now();
            let n = self.0.read_at(&mut buffer, 0)?;
            tries -= 1;
            if tries == 0 || now() - at < SKEW {
                let (run, delay) = parse(buffer.get(..n).unwrap_or_default()).ok_or_else(|| {
                    io::Error::new(io::ErrorKind::InvalidData, "schedstat is not three numbers")
                })?;
                return Ok(Sample { at, run, delay });
            }
        }
    }
}

/// Run time and run delay, in nanoseconds; the third number counts the time slices.
fn parse(text: &[u8]) -> Option<(u64, u64)> {
    let mut numbers = std::str::from_utf8(text).ok()?.split_ascii_whitespace();
    let run = numbers.next()?.parse().ok()?;
    let delay = numbers.next()?.parse().ok()?;
    numbers.next()?;
    Some((run, delay))
}

/// `CLOCK_MONOTONIC` in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, nanoseconds)
}

/// CPU time that this process has used, in nanoseconds.
#[must_use]
pub fn own_cpu_time() -> u64 {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map_or(0, nanoseconds)
}

/// By how much the run time in `schedstat` may lag behind, in nanoseconds: one scheduler tick,
/// which is the resolution of the kernel's coarse clock, and what a reading may be off.
#[must_use]
pub fn schedstat_grain() -> u64 {
    clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).map_or(10_000_000, nanoseconds) + SKEW
}

/// As [`schedstat_grain`], of libvirt's counters: it reads run time from `/proc/PID/task/TID/stat`,
/// which counts in hundredths of a second.
pub const LIBVIRT_GRAIN: u64 = 10_000_000;

fn nanoseconds(time: nix::sys::time::TimeSpec) -> u64 {
    let part = |n: i64| u64::try_from(n).unwrap_or_default();
    part(time.tv_sec()) * 1_000_000_000 + part(time.tv_nsec())
}

/// The CPUs that are online.
#[must_use]
pub fn online_cores() -> MilliCores {
    let cpus = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN);
    let cpus = cpus.ok().flatten().and_then(|n| u64::try_from(n).ok());
    MilliCores(cpus.unwrap_or(1) * 1000)
}

/// The CPUs whose tick the kernel stops while one thread runs alone there (`nohz_full`): run time
/// lags by up to a second on them.
#[must_use]
pub fn tickless_cpus() -> Option<String> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/nohz_full").ok()?;
    let cpus = text.trim();
    (!cpus.is_empty() && cpus != "(null)").then(|| cpus.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_numbers_are_schedstat() {
        assert_eq!(parse(b"123 45 6\n"), Some((123, 45)));
        for text in ["", "1", "1 2", "a 2 3", "-1 2 3", "1 2.5 3"] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(&[0xff, 0xfe]), None);
    }

    #[test]
    fn the_grain_is_a_tick_of_a_kernel_that_exists() {
        // From 1000 Hz to 100 Hz.
        assert!((1_000_000..=10_300_000).contains(&schedstat_grain()));
    }
}
