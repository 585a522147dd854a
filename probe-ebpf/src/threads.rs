//! Finds a guest's vCPU threads: QEMU's process by the `-uuid` that libvirt gives it, its vCPU
//! threads by the names that QEMU gives them (libvirt always sets `debug-threads=on`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use vmpack_domain::units::MiB;

use crate::source::Source;

/// Where libvirt writes each guest's process number.
const PID_FILES: &str = "/run/libvirt/qemu";

/// Why a guest's vCPU threads are not seen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// No process carries the guest's identity.
    #[error("no process in /proc carries its -uuid")]
    NoProcess,
    /// Several do, and nothing tells which is this host's.
    #[error("{0} processes in /proc carry its -uuid")]
    Several(usize),
    /// The process has no thread that is named as a vCPU.
    #[error("process {0} has no thread named as a vCPU")]
    NoThreads(i32),
    /// The process or its threads may not be read.
    #[error("cannot read process {0}: {1}")]
    Denied(i32, io::ErrorKind),
}

/// A process that carries a guest's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its number, as the mount of procfs shows it.
    pub pid: i32,
    /// The process that started it.
    pub parent: i32,
    /// Whether it is in that mount's PID namespace itself, not in one below.
    pub same_namespace: bool,
}

/// The processes of each guest: among those that the source knows to have a vCPU thread, else among
/// all. One QEMU process has a guest, but where the namespaces of several hosts are visible, as on
/// a testbed, a guest that migrates is seen at both ends.
#[must_use]
pub fn processes(proc: &Path, source: &mut dyn Source) -> BTreeMap<Uuid, Vec<Candidate>> {
    let mut found: BTreeMap<Uuid, Vec<Candidate>> = BTreeMap::new();
    let pids = source.processes();
    for pid in pids.unwrap_or_else(|| numbers(proc).unwrap_or_default()) {
        let candidate = fs::read(proc.join(format!("{pid}/cmdline")))
            .ok()
            .and_then(|arguments| uuid_argument(&arguments))
            .and_then(|uuid| Some((uuid, candidate(proc, pid)?)));
        if let Some((uuid, candidate)) = candidate {
            found.entry(uuid).or_default().push(candidate);
        }
    }
    found
}

/// The guest's process and its vCPU threads, in order of the vCPUs' numbers. `processes` is what
/// [`processes`] found.
///
/// # Errors
/// Why they are not seen.
pub fn find(
    proc: &Path,
    processes: &BTreeMap<Uuid, Vec<Candidate>>,
    name: &str,
    uuid: Uuid,
) -> Result<(i32, Vec<i32>), Unseen> {
    let candidates = processes.get(&uuid).map_or(&[] as &[_], Vec::as_slice);
    let pid = choose(candidates, pid_file(name))?;
    Ok((pid, vcpu_threads(proc, pid)?))
}

/// The process that runs the guest on this host: the only one; else the only one in our PID
/// namespace; else the one that libvirt's PID file names. What one of them has forked and what has
/// not yet become another program is none.
fn choose(candidates: &[Candidate], pid_file: Option<i32>) -> Result<i32, Unseen> {
    let (mut all, mut near) = (Vec::new(), Vec::new());
    for candidate in candidates {
        if !candidates.iter().any(|c| c.pid == candidate.parent) {
            all.push(candidate.pid);
            near.extend(candidate.same_namespace.then_some(candidate.pid));
        }
    }
    match (all.as_slice(), near.as_slice()) {
        ([], _) => Err(Unseen::NoProcess),
        ([only], _) | (_, [only]) => Ok(*only),
        _ => pid_file
            .filter(|pid| near.contains(pid))
            .ok_or(Unseen::Several(all.len())),
    }
}

/// What libvirt's PID file of that guest says.
fn pid_file(guest: &str) -> Option<i32> {
    // A name may hold a slash; such a guest has no file that we would look for.
    if guest.contains('/') {
        return None;
    }
    let file = PathBuf::from(PID_FILES).join(format!("{guest}.pid"));
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The process's vCPU threads, in order of their numbers.
///
/// # Errors
/// When there are none or they may not be read.
pub(crate) fn vcpu_threads(proc: &Path, pid: i32) -> Result<Vec<i32>, Unseen> {
    let tasks = proc.join(format!("{pid}/task"));
    let mut threads: Vec<(u32, i32)> = numbers(&tasks)
        .map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => Unseen::NoProcess,
            kind => Unseen::Denied(pid, kind),
        })?
        .into_iter()
        .filter_map(|thread| {
            let name = fs::read_to_string(tasks.join(format!("{thread}/comm"))).ok()?;
            Some((vcpu_number(name.trim_end())?, thread))
        })
        .collect();
    threads.sort_unstable();
    if threads.is_empty() {
        return Err(Unseen::NoThreads(pid));
    }
    Ok(threads.into_iter().map(|(_, thread)| thread).collect())
}

/// Memory that the process holds resident, huge pages included.
#[must_use]
pub fn resident(proc: &Path, pid: i32) -> Option<MiB> {
    let status = fs::read_to_string(proc.join(format!("{pid}/status"))).ok()?;
    let kib = |key: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix(" kB")?.trim().parse().ok()
    };
    let total = kib("VmRSS:")? + kib("HugetlbPages:").unwrap_or_default();
    Some(MiB(total.div_ceil(1024)))
}

/// Whether that thread is one of KVM's, by the name that QEMU gave it.
pub(crate) fn is_kvms(proc: &Path, pid: i32, thread: i32) -> bool {
    let name = fs::read_to_string(proc.join(format!("{pid}/task/{thread}/comm")));
    name.is_ok_and(|name| {
        vcpu_number(name.trim_end()).is_some() && name.trim_end().ends_with("/KVM")
    })
}

/// The number of a vCPU from its thread's name: `CPU 3/KVM`, `CPU 3/TCG`, or `ALL CPUs/TCG` for
/// the one thread of a TCG guest without threads of its own for each vCPU.
fn vcpu_number(name: &str) -> Option<u32> {
    if name == "ALL CPUs/TCG" {
        return Some(0);
    }
    let rest = name.strip_prefix("CPU ")?;
    let number = rest
        .strip_suffix("/KVM")
        .or_else(|| rest.strip_suffix("/TCG"))?;
    number.parse().ok()
}

/// The value of `-uuid` in a command line as procfs shows it, of a process that is a QEMU by its
/// `-name guest=...`.
fn uuid_argument(arguments: &[u8]) -> Option<Uuid> {
    let arguments: Vec<&[u8]> = arguments.split(|byte| *byte == 0).collect();
    let value = |name: &str| {
        arguments.windows(2).find_map(|pair| match pair {
            [key, value] if *key == name.as_bytes() => std::str::from_utf8(value).ok(),
            _ => None,
        })
    };
    value("-name").filter(|name| name.starts_with("guest="))?;
    value("-uuid")?.parse().ok()
}

/// What `/proc/PID/status` tells of a candidate. A process in a PID namespace below has a number in
/// each of them (`NSpid`).
fn candidate(proc: &Path, pid: i32) -> Option<Candidate> {
    let status = fs::read_to_string(proc.join(format!("{pid}/status"))).ok()?;
    let line = |key: &str| status.lines().find_map(|line| line.strip_prefix(key));
    Some(Candidate {
        pid,
        parent: line("PPid:")?.trim().parse().ok()?,
        same_namespace: line("NSpid:")?.split_ascii_whitespace().count() == 1,
    })
}

/// The entries of a folder that are numbers, ascending.
fn numbers(folder: &Path) -> io::Result<Vec<i32>> {
    let mut found: Vec<i32> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.sort_unstable();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vcpus_are_known_by_the_names_of_their_threads() {
        for (name, number) in [
            ("CPU 0/KVM", Some(0)),
            ("CPU 17/TCG", Some(17)),
            ("ALL CPUs/TCG", Some(0)),
            ("CPU 0/KVMx", None),
            ("CPU /KVM", None),
            ("kvm-nx-lpage-re", None),
            ("qemu-system-x86", None),
        ] {
            assert_eq!(vcpu_number(name), number, "{name}");
        }
    }

    #[test]
    fn a_guest_is_known_by_its_processs_arguments() {
        let id = "6c1f0000-0000-4000-8000-000000000001";
        let line = |arguments: &[&str]| uuid_argument(arguments.join("\0").as_bytes());
        let name = "guest=g1,debug-threads=on";
        assert_eq!(
            line(&["qemu", "-name", name, "-uuid", id, "-smp", "2", ""]),
            id.parse().ok()
        );
        assert_eq!(line(&["qemu", "-name", name, "-uuid"]), None);
        assert_eq!(line(&["qemu", "-name", name, "-uuid", "no-uuid"]), None);
        assert_eq!(line(&["grep", "-e", "-uuid", id]), None);
        assert_eq!(line(&[]), None);
    }

    #[test]
    fn the_process_of_this_host_is_told_from_those_of_others() {
        let candidate = |pid, parent, same_namespace| Candidate {
            pid,
            parent,
            same_namespace,
        };
        let near = |pid| candidate(pid, 1, true);
        let far = |pid| candidate(pid, 1, false);
        assert_eq!(choose(&[], Some(1)), Err(Unseen::NoProcess));
        assert_eq!(choose(&[far(5)], None), Ok(5));
        assert_eq!(choose(&[far(5), near(6)], None), Ok(6));
        assert_eq!(choose(&[near(5), near(6)], Some(6)), Ok(6));
        assert_eq!(
            choose(&[near(5), near(6)], Some(7)),
            Err(Unseen::Several(2))
        );
        // The second is a fork of the first.
        assert_eq!(choose(&[far(5), candidate(6, 5, false)], None), Ok(5));
        // A number of another namespace says nothing here.
        assert_eq!(choose(&[far(5), far(6)], Some(5)), Err(Unseen::Several(2)));
    }

    #[test]
    fn the_status_tells_namespace_and_memory_with_huge_pages() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir(proc.path().join("7")).unwrap();
        let status = "Name:\tqemu\nPPid:\t2\nVmRSS:\t    2049 kB\nHugetlbPages:\t    4096 kB\nNSpid:\t7\t3\n";
        fs::write(proc.path().join("7/status"), status).unwrap();
        assert_eq!(resident(proc.path(), 7), Some(MiB(7)));
        let expected = Candidate {
            pid: 7,
            parent: 2,
            same_namespace: false,
        };
        assert_eq!(candidate(proc.path(), 7), Some(expected));
        assert_eq!(resident(proc.path(), 8), None);
    }
}
