//! Which processes belong to a testbed, found in /proc and not in notes that may be stale: those
//! started with its mark in their environment, and those inside its network namespaces.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

/// The environment variable that marks what a testbed started; its value is the run directory.
pub(super) const MARK: &str = "VMPACK_TESTBED_RUN";

/// Kills every process of the testbed in `directory` and waits until none is left.
pub(super) fn kill_all(directory: &Path) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut namespaces = BTreeSet::new();
    loop {
        let members = members(directory, &mut namespaces)?;
        if members.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("processes of the testbed do not end: {members:?}");
        }
        for member in &members {
            // It may have ended with its namespace meanwhile, which is what we want.
            let _ = kill(Pid::from_raw(member.pid), Signal::SIGKILL);
        }
        for member in members.iter().filter(|member| member.marked) {
            reap(member.pid);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Kills one process that the testbed in `directory` started, unless its number is somebody else's
/// by now.
pub(super) fn kill_one(directory: &Path, pid: i32) -> Result<()> {
    if !is_marked(pid, directory) {
        bail!(
            "process {pid} is not of the testbed in {}",
            directory.display()
        );
    }
    kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("cannot kill {pid}"))?;
    reap(pid);
    Ok(())
}

/// Waits for a killed process if it is our child. A testbed outlives the process that started it,
/// but where it does not, this keeps zombies away.
fn reap(pid: i32) {
    // ECHILD, at once, when it is not ours.
    let _ = waitpid(Pid::from_raw(pid), None);
}

/// Every living process of the testbed in `directory`.
pub(super) fn list(directory: &Path) -> Result<Vec<i32>> {
    let members = members(directory, &mut BTreeSet::new())?;
    Ok(members.into_iter().map(|member| member.pid).collect())
}

/// Whether a process carries the mark of the testbed in `directory`.
pub(super) fn is_marked(pid: i32, directory: &Path) -> bool {
    // Of a process that has ended, the environment is empty.
    let wanted = [
        MARK.as_bytes(),
        b"=",
        directory.as_os_str().as_encoded_bytes(),
    ]
    .concat();
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|&byte| byte == 0)
            .any(|entry| entry == wanted)
    })
}

/// The network namespace a process is in; none once it has ended.
pub(super) fn network_namespace(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/net")).ok()
}

/// The number on this machine of the process that has the number `inside` in the host whose
/// namespaces `holder` holds; none once it has ended.
pub(super) fn inside(holder: i32, inside: i32) -> Option<i32> {
    let namespace = network_namespace(holder)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.find(|&pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let mut lines = status.lines();
        let own = lines.find_map(|line| line.strip_prefix("NSpid:"));
        let own = own.and_then(|numbers| numbers.split_whitespace().last());
        // A zombie has ended, and its parent may not have looked yet; while threads of it are left, it
        // still holds its files and their locks.
        let ended = status.contains("State:\tZ") && status.contains("\nThreads:\t1\n");
        own == Some(inside.to_string().as_str())
            && !ended
            && network_namespace(pid).as_ref() == Some(&namespace)
    })
}

/// The network namespace of this process.
pub(super) fn own_network_namespace() -> Result<PathBuf> {
    fs::read_link("/proc/self/ns/net").context("cannot read /proc/self/ns/net")
}

#[derive(Debug)]
struct Member {
    pid: i32,
    marked: bool,
}

/// Every living process of the testbed; `namespaces` gathers its network namespaces over calls, as
/// a namespace outlives the marked process that made it while others are in it.
fn members(directory: &Path, namespaces: &mut BTreeSet<PathBuf>) -> Result<Vec<Member>> {
    let own = own_network_namespace()?;
    let processes: Vec<Member> = fs::read_dir("/proc")
        .context("cannot read /proc")?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(|pid| Member {
            pid,
            marked: is_marked(pid, directory),
        })
        .collect();
    namespaces.extend(
        processes
            .iter()
            .filter(|process| process.marked)
            .filter_map(|process| network_namespace(process.pid))
            .filter(|namespace| *namespace != own),
    );
    Ok(processes
        .into_iter()
        .filter(|process| {
            process.marked
                || network_namespace(process.pid).is_some_and(|ns| namespaces.contains(&ns))
        })
        .collect())
}
