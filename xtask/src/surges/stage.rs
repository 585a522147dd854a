//! The hosts' limits, their probes, and the files of a watch.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use xtask::binaries::Binaries;
use xtask::command::{command, read};
use xtask::target_directory;
use xtask::testbed::{self, Config, Host, Testbed, processes_of};

use crate::testbed_commands::for_a_while;

/// What the guests of a host have together, in thousandths of a core; all hosts have less than the machine.
pub(super) const CORES: u32 = 800;

/// Brings up a testbed of two hosts whose guests are limited, and takes it down whatever `part` does.
pub(super) fn on_a_testbed(guests: u16, part: impl FnOnce(&Testbed) -> Result<()>) -> Result<()> {
    let config = Config {
        directory: target_directory().join("testbed-relief"),
        hosts: 2,
        guests,
        beat_ms: 20,
        ..Config::default()
    };
    must_be_alone(&config.directory)?;
    let done = for_a_while(&config, |testbed| {
        let _limits = Limits::lay(testbed)?;
        part(testbed)
    });
    lift();
    done
}

/// Another testbed under the same limits would take from this one's hosts what they are to have.
fn must_be_alone(directory: &Path) -> Result<()> {
    testbed::down(directory)?;
    let groups = fs::read_dir(root()).into_iter().flatten().flatten();
    let inside = groups.map(|g| fs::read_to_string(g.path().join("cgroup.procs")));
    let inside: String = inside.map(Result::unwrap_or_default).collect();
    if let Some(process) = inside.lines().next() {
        bail!(
            "process {process} of another testbed is in {}: wait until its bench has ended, or end it \
             by `cargo xtask testbed --dir DIR down`",
            root().display()
        );
    }
    Ok(())
}

/// What the hosts weigh against all else on this machine (others have 1024): the limit is to bind, not
/// what a compiler beside it takes.
const SHARES: &str = "20480";

/// Where the limits are, in the hierarchy of version 1.
fn root() -> PathBuf {
    Path::new("/sys/fs/cgroup/cpu").join("vmpack-bench-relief")
}

/// A limit on the CPU of each host's vCPUs together. Its daemon, and QEMU's own threads, are not under
/// it: a host keeps its reserve for those, and here the rest of the machine is that.
struct Limits {
    stop: Arc<AtomicBool>,
    places: Option<JoinHandle<()>>,
}

impl Limits {
    fn lay(testbed: &Testbed) -> Result<Self> {
        let mut groups = Vec::new();
        for host in &testbed.hosts {
            // What a host starts later is in its group from the first moment on.
            let group = root().join(&host.name);
            let vcpus = group.join("vcpus");
            fs::create_dir_all(&vcpus)
                .with_context(|| format!("cannot make {}", vcpus.display()))?;
            for part in [&root(), &group, &vcpus] {
                fs::write(part.join("cpu.shares"), SHARES)?;
            }
            fs::write(vcpus.join("cpu.cfs_period_us"), "10000")?;
            fs::write(vcpus.join("cpu.cfs_quota_us"), (CORES * 10).to_string())?;
            let inside = fs::read_link(format!("/proc/{}/ns/pid_for_children", host.pid))?;
            for process in processes_of(&testbed.directory)? {
                // One that has ended meanwhile is in no namespace.
                if fs::read_link(format!("/proc/{process}/ns/pid")).is_ok_and(|ns| ns == inside) {
                    fs::write(group.join("cgroup.procs"), process.to_string())?;
                }
            }
            groups.push(group);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let places = std::thread::spawn(move || {
            let mut known = BTreeMap::new();
            while !stopped.load(Ordering::Relaxed) {
                for group in &groups {
                    place(group, &mut known);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Ok(Self {
            stop,
            places: Some(places),
        })
    }
}

impl Drop for Limits {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(places) = self.places.take() {
            let _ = places.join();
        }
    }
}

/// Puts the vCPUs' threads of a host that are not there yet under its limit.
fn place(group: &Path, known: &mut BTreeMap<String, Instant>) {
    /// A thread of QEMU has its name within this time.
    const NAMED: Duration = Duration::from_secs(1);
    let threads = fs::read_to_string(group.join("tasks")).unwrap_or_default();
    for thread in threads.lines() {
        let since = *known.entry(thread.to_owned()).or_insert_with(Instant::now);
        if since.elapsed() > NAMED {
            continue;
        }
        let name = fs::read_to_string(format!("/proc/{thread}/comm")).unwrap_or_default();
        if name.starts_with("CPU ") {
            // It may have ended.
            let _ = fs::write(group.join("vcpus/tasks"), thread);
        }
    }
}

fn lift() {
    // The kernel lets go of a group a little after its last process.
    for _ in 0..50 {
        for group in fs::read_dir(root()).into_iter().flatten().flatten() {
            let _ = fs::remove_dir(group.path().join("vcpus"));
            let _ = fs::remove_dir(group.path());
        }
        if !root().exists() || fs::remove_dir(root()).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The probes at work, and the files of a watch.
pub(super) struct Stage<'a> {
    pub(super) binaries: &'a Binaries,
    pub(super) folder: PathBuf,
    /// By host, where its probe is.
    pub(super) probes: Vec<(String, String)>,
    _running: Vec<Ending>,
}

impl<'a> Stage<'a> {
    pub(super) fn set(binaries: &'a Binaries, testbed: &Testbed, policy: &str) -> Result<Self> {
        let folder = std::path::absolute(target_directory().join("bench-relief"))?;
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let (mut running, mut probes) = (Vec::new(), Vec::new());
        for host in &testbed.hosts {
            let mut serve = beside(host);
            // What is killed is nsenter, which waits for it.
            serve.args(["setpriv", "--pdeathsig", "KILL"]);
            serve.arg(binaries.path("vmpack-probe"));
            let history = folder.join(format!("{}.db", host.name));
            let cores = format!("{CORES}mcores");
            serve.args(["serve", "--listen", "127.0.0.1:0", "--window", "34ms"]);
            serve.args(["--cores", &cores, "--history"]).arg(history);
            let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
            let out = child.stdout.take().context("the probe's standard output")?;
            running.push(Ending(child));
            let mut line = String::new();
            BufReader::new(out).read_line(&mut line)?;
            let url = line.split_whitespace().find(|word| word.contains("://"));
            let url = url.with_context(|| format!("the probe says {line:?}"))?;
            probes.push((host.name.clone(), url.to_owned()));
        }
        let mut snapshot = binaries.command("vmpack-executor");
        snapshot.arg("snapshot");
        for host in &testbed.hosts {
            snapshot.args(["--uri", &format!("{}={}", host.uri, host.migrate_uri)]);
        }
        read(
            snapshot
                .args(["--network", "100MiB/s", "--output"])
                .arg(folder.join("found.yaml")),
        )?;
        // A snapshot has the machine's cores: the limit is not libvirt's.
        let text = fs::read_to_string(folder.join("found.yaml"))?;
        let limited = text.lines().map(|line| match line.split_once("cpu: ") {
            Some((before, _)) if before.trim().is_empty() && before.len() < 4 => {
                format!("{before}cpu: {CORES}mcores\n")
            }
            _ => format!("{line}\n"),
        });
        fs::write(folder.join("cluster.yaml"), limited.collect::<String>())?;
        fs::write(folder.join("policy.yaml"), policy)?;
        Ok(Self {
            binaries,
            folder,
            probes,
            _running: running,
        })
    }
}

/// Inside all namespaces of the host but that of its network, so that its probe is reached on loopback.
fn beside(host: &Host) -> std::process::Command {
    let pid = host.pid;
    let mut inside = command(["nsenter", "--mount", "--uts", "--ipc", "--root"]);
    inside
        .arg(format!("--target={pid}"))
        .arg(format!("--pid=/proc/{pid}/ns/pid_for_children"))
        .arg("--");
    inside
}

/// A process that is ended with this.
pub(super) struct Ending(pub(super) Child);

impl Drop for Ending {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
