//! How long a guest was throttled by its own CPU quota: by the cgroups that libvirt makes for it.
//! That is no contention, though the scheduler counts it as run delay; what a limit on the whole
//! host throttles is.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::sample::online_cores;

/// The throttling of one guest by its own cgroups that have a quota.
#[derive(Debug, Default)]
pub(crate) struct Quota {
    /// All of its cgroups with how many of its threads are in each, and the statistics of those that have
    /// a quota.
    folders: BTreeMap<PathBuf, u64>,
    files: Vec<Statistics>,
    /// Nanoseconds of throttling that no run delay was found for yet.
    open: u64,
}

#[derive(Debug)]
struct Statistics {
    folder: PathBuf,
    file: File,
    last: u64,
    /// How many threads wait at once where a run queue is throttled, at most: the kernel counts the time
    /// by run queue, and their waits by thread.
    queued: u64,
}

impl Quota {
    /// Of these threads of a process, below a mount of procfs. Without a quota it is empty.
    pub(crate) fn of(proc: &Path, mounts: &str, process: i32, threads: &[i32]) -> Self {
        let mut folders = BTreeMap::new();
        for thread in threads {
            let file = proc.join(format!("{process}/task/{thread}/cgroup"));
            let text = fs::read_to_string(file).unwrap_or_default();
            for folder in own_folders(&text, mounts) {
                *folders.entry(folder).or_default() += 1;
            }
        }
        let mut quota = Self {
            folders,
            ..Self::default()
        };
        quota.refresh();
        quota
    }

    /// Looks again which of its cgroups have a quota: one may be set or lifted at any time.
    pub(crate) fn refresh(&mut self) {
        self.files.retain(|known| has_quota(&known.folder));
        let cpus = (online_cores().0 / 1000).max(1);
        for (folder, threads) in &self.folders {
            let known = self.files.iter().any(|known| known.folder == *folder);
            if known || !has_quota(folder) {
                continue;
            }
            let statistics = File::open(folder.join("cpu.stat")).ok().and_then(|file| {
                let (last, folder) = (throttled(&file)?, folder.clone());
                Some(Statistics {
                    folder,
                    file,
                    last,
                    queued: threads.div_ceil(cpus),
                })
            });
            self.files.extend(statistics);
        }
    }

    /// Whether the guest has one now.
    pub(crate) fn is_some(&self) -> bool {
        !self.files.is_empty()
    }

    /// How much of a window's run delay was throttling. The kernel posts a throttling when it is
    /// over, and a window is told a while after its end; what was posted too early for its delay is
    /// kept for the next window, and no longer than that.
    pub(crate) fn take(&mut self, delay: u64) -> u64 {
        let mut new = 0;
        for statistics in &mut self.files {
            if let Some(now) = throttled(&statistics.file) {
                let passed = now.saturating_sub(statistics.last);
                new += passed.saturating_mul(statistics.queued);
                statistics.last = now;
            }
        }
        share(&mut self.open, new, delay)
    }
}

fn share(open: &mut u64, new: u64, delay: u64) -> u64 {
    let taken = delay.min(*open + new);
    // What is left of the old is dropped first.
    *open = (*open + new - taken).min(new);
    taken
}

/// Whether there is a hierarchy of cgroups with the CPU controller.
pub(crate) fn has_controller(proc: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(proc.join(name)).unwrap_or_default();
    cpu_cgroup(&read("self/cgroup"), &read("mounts")).is_some()
}

/// The guest's own cgroups of the CPU controller, from what `/proc/PID/task/TID/cgroup` says: those
/// from the one that libvirt makes for the guest down to the vCPU's.
fn own_folders(text: &str, mounts: &str) -> Vec<PathBuf> {
    let Some((path, root)) = cpu_cgroup(text, mounts) else {
        return Vec::new();
    };
    let mut folder = root;
    let mut own = false;
    let mut found = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        folder.push(part);
        own |= is_guests(part);
        if own {
            found.push(folder.clone());
        }
    }
    found
}

/// Whether libvirt made that cgroup for one guest: `machine-qemu\x2d1\x2dweb.scope` under systemd,
/// else `web.libvirt-qemu`.
fn is_guests(part: &str) -> bool {
    part.ends_with(".libvirt-qemu")
        || (part.starts_with("machine-qemu") && part.ends_with(".scope"))
}

/// The thread's cgroup of the CPU controller, and where its hierarchy is mounted: version 1 where
/// it has the controller, else 2.
fn cpu_cgroup<'a>(text: &'a str, mounts: &str) -> Option<(&'a str, PathBuf)> {
    let lines = || {
        text.lines()
            .filter_map(|line| line.split_once(':')?.1.split_once(':'))
    };
    let has_cpu = |list: &str| list.split(',').any(|one| one == "cpu");
    let mounted = |kind: &str, with_cpu: bool| {
        mounts.lines().find_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (place, its_kind, options) = (fields.next()?, fields.next()?, fields.next()?);
            (its_kind == kind && (!with_cpu || has_cpu(options))).then(|| PathBuf::from(place))
        })
    };
    let old = lines().find(|(controllers, _)| has_cpu(controllers));
    if let (Some((_, path)), Some(root)) = (old, mounted("cgroup", true)) {
        return Some((path, root));
    }
    let (_, path) = lines().find(|(controllers, _)| controllers.is_empty())?;
    Some((path, mounted("cgroup2", false)?))
}

fn has_quota(folder: &Path) -> bool {
    let read = |name: &str| fs::read_to_string(folder.join(name)).ok();
    // Version 2 says `max 100000`, version 1 `-1` where there is none.
    read("cpu.max").map_or_else(
        || read("cpu.cfs_quota_us").is_some_and(|text| !text.starts_with('-')),
        |text| !text.starts_with("max"),
    )
}

/// Nanoseconds that the cgroup was throttled since it was made.
fn throttled(file: &File) -> Option<u64> {
    let mut buffer = [0; 1024];
    let n = file.read_at(&mut buffer, 0).ok()?;
    parse(std::str::from_utf8(buffer.get(..n)?).ok()?)
}

fn parse(text: &str) -> Option<u64> {
    text.lines().find_map(|line| match line.split_once(' ')? {
        ("throttled_usec", n) => n.parse::<u64>().ok()?.checked_mul(1000),
        ("throttled_time", n) => n.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_own_cgroups_are_told_from_the_hosts() {
        let v2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let scope = r"machine-qemu\\x2d1\\x2dweb.scope".replace(r"\\", r"\");
        let own = own_folders(&format!("0::/machine.slice/{scope}/libvirt/vcpu0\n"), v2);
        let top = Path::new("/sys/fs/cgroup/machine.slice").join(&scope);
        assert_eq!(
            own,
            [top.clone(), top.join("libvirt"), top.join("libvirt/vcpu0")]
        );

        let v1 = "cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
                  cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let text = "4:memory:/x\n3:cpu,cpuacct:/machine/web.libvirt-qemu/vcpu0\n0::/\n";
        let top = Path::new("/sys/fs/cgroup/cpu,cpuacct/machine/web.libvirt-qemu");
        assert_eq!(own_folders(text, v1), [top.to_owned(), top.join("vcpu0")]);
        // A limit of the whole host is no guest's own.
        assert!(own_folders("0::/testbed/h1\n", v2).is_empty());
        assert!(own_folders("", v2).is_empty());
    }

    #[test]
    fn throttling_is_read_from_both_versions() {
        let v2 = "usage_usec 5\nnr_periods 3\nnr_throttled 2\nthrottled_usec 7\n";
        assert_eq!(parse(v2), Some(7000));
        assert_eq!(
            parse("nr_periods 0\nnr_throttled 0\nthrottled_time 9\n"),
            Some(9)
        );
        assert_eq!(parse("usage_usec 5\n"), None);
    }

    #[test]
    fn a_quota_that_is_set_or_lifted_later_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("cpu.max", "max 100000\n");
        write("cpu.stat", "throttled_usec 5\n");
        let mut quota = Quota {
            folders: [(folder.path().to_owned(), 1)].into(),
            ..Quota::default()
        };
        quota.refresh();
        assert!(!quota.is_some());
        write("cpu.max", "50000 100000\n");
        quota.refresh();
        quota.refresh();
        assert_eq!(quota.files.len(), 1);
        // What it was throttled before counts no more.
        assert_eq!(quota.take(9000), 0);
        write("cpu.stat", "throttled_usec 7\n");
        assert_eq!(quota.take(9000), 2000);
        write("cpu.max", "max 100000\n");
        quota.refresh();
        assert!(!quota.is_some());
        // Of more threads than there are CPUs, several wait in each run queue.
        let cpus = online_cores().0 / 1000;
        quota.folders = [(folder.path().to_owned(), 3 * cpus)].into();
        write("cpu.max", "50000 100000\n");
        quota.refresh();
        write("cpu.stat", "throttled_usec 8\n");
        assert_eq!(quota.take(9000), 3000);
    }

    #[test]
    fn throttling_is_taken_from_the_delay_and_kept_for_one_window() {
        let mut open = 0;
        assert_eq!(share(&mut open, 10, 4), 4);
        assert_eq!(open, 6);
        assert_eq!(share(&mut open, 3, 5), 5);
        assert_eq!(open, 3);
        assert_eq!(share(&mut open, 0, 2), 2);
        assert_eq!(share(&mut open, 0, 2), 0, "what is old is dropped");
    }
}
