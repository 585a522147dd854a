//! Several libvirt hosts on this one machine, with tiny steerable guests, for trying real migrations.
//!
//! A host is a set of namespaces (network, mounts, PIDs, host name) with its own libvirtd; a bridge
//! in a namespace of its own joins them at 10.77.0.1, 10.77.0.2, and so on. Guests are small Linux
//! kernels under QEMU without KVM, whose only program ([`Guest`]) beats and makes load. All files lie
//! below one run directory. Nothing is named on the machine itself, so that several testbeds can be
//! up at once, and all of it ends with its processes.
//!
//! ```text
//! (nothing) ── up ──> starting ──> up ── down ──> (nothing)
//!                        └─ failed, interrupted, killed ── down ──┘
//! ```

mod guest;
mod heartbeat;
mod host;
mod initrd;
mod kernel;
mod processes;
mod tls;
mod trouble;

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

pub use guest::{Guest, Load};
pub use heartbeat::{Beat, Heartbeats, Life, judge};
pub use host::Host;

use crate::command::read;
use crate::setup::{Purpose, setup};
use crate::target_directory;

const STATE_FILE: &str = "testbed.json";
const LOCK_FILE: &str = "lock";
/// The longest path that a unix socket can have, less its final NUL.
const SOCKET_PATH_MAX: usize = 107;

/// What to build.
#[derive(Clone, Debug)]
pub struct Config {
    /// The run directory: absent or empty, and gone after [`down`].
    pub directory: PathBuf,
    /// Where the guests' kernel is kept between testbeds.
    pub cache: PathBuf,
    /// 1 to 200.
    pub hosts: u8,
    /// Started on the hosts in turn.
    pub guests: u16,
    /// Memory of each guest, in MiB; below 96 the kernel does not boot.
    pub guest_memory_mib: u32,
    /// vCPUs of each guest.
    pub guest_vcpus: u32,
    /// Time between heartbeats, in ms.
    pub beat_ms: u32,
}

impl Default for Config {
    /// 3 hosts and 6 guests of 128 MiB in `target/testbed`, or where `VMPACK_TESTBED` says.
    fn default() -> Config {
        Config {
            directory: std::env::var_os("VMPACK_TESTBED")
                .map_or_else(|| target_directory().join("testbed"), PathBuf::from),
            cache: target_directory().join("testbed-cache"),
            hosts: 3,
            guests: 6,
            guest_memory_mib: 128,
            guest_vcpus: 1,
            beat_ms: 100,
        }
    }
}

/// A testbed that is up, as its `testbed.json` records it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Testbed {
    /// The run directory.
    pub directory: PathBuf,
    /// The process that holds the namespace of the bridge.
    pub switch: i32,
    /// In the order of their numbers.
    pub hosts: Vec<Host>,
    /// In the order of their numbers.
    pub guests: Vec<Guest>,
}

impl Testbed {
    /// Builds a testbed and waits until every guest beats. Whatever fails, nothing is left behind.
    ///
    /// # Errors
    /// When this is not root, packages cannot be installed, the directory is in use, or a host or
    /// guest does not come up.
    pub fn up(config: &Config) -> Result<Testbed> {
        check(config)?;
        setup(Purpose::Testbed)?;
        let directory = make_directory(&config.directory)?;
        // Looked at before the lock is made, as it may be a directory of quite another kind.
        need_empty(&directory)?;
        let _lock = lock(&directory)?;
        need_empty(&directory)?;
        let built = build(config, &directory);
        if built.is_err() {
            tear_down(&directory).context("and what was built so far could not be removed")?;
        }
        built
    }

    /// The testbed that is up in a run directory.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(directory: &Path) -> Result<Testbed> {
        let path = directory.join(STATE_FILE);
        let text = fs::read_to_string(&path).with_context(|| {
            format!(
                "no testbed is up in {} (cannot read {STATE_FILE})",
                directory.display()
            )
        })?;
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", path.display()))
    }

    /// Ends this testbed; see [`down`].
    ///
    /// # Errors
    /// As [`down`].
    pub fn down(&self) -> Result<()> {
        down(&self.directory).map(drop)
    }

    /// The host of this name.
    ///
    /// # Errors
    /// When there is none; the message lists what there is.
    pub fn host(&self, name: &str) -> Result<&Host> {
        self.hosts
            .iter()
            .find(|host| host.name == name)
            .with_context(|| {
                let names: Vec<_> = self.hosts.iter().map(|host| host.name.as_str()).collect();
                format!("no host {name}; there are: {}", names.join(", "))
            })
    }

    /// The guest of this name.
    ///
    /// # Errors
    /// When there is none; the message lists what there is.
    pub fn guest(&self, name: &str) -> Result<&Guest> {
        self.guests
            .iter()
            .find(|guest| guest.name == name)
            .with_context(|| {
                let names: Vec<_> = self
                    .guests
                    .iter()
                    .map(|guest| guest.name.as_str())
                    .collect();
                format!("no guest {name}; there are: {}", names.join(", "))
            })
    }

    /// The guests that run on a host, by name; none when the host does not answer.
    #[must_use]
    pub fn running_on(&self, host: &Host) -> Option<Vec<String>> {
        let names = read(&mut host.virsh(["list", "--name", "--state-running"])).ok()?;
        Some(names.split_whitespace().map(str::to_owned).collect())
    }

    /// The host a guest runs on now. In the middle of a switch it is on none for a moment, and is waited
    /// for.
    ///
    /// # Errors
    /// When it runs on none for 5 s.
    pub fn locate(&self, guest: &str) -> Result<&Host> {
        self.guest(guest)?;
        let runs_here = |host: &&Host| {
            self.running_on(host)
                .is_some_and(|names| names.iter().any(|name| name == guest))
        };
        for _ in 0..20 {
            if let Some(host) = self.hosts.iter().find(runs_here) {
                return Ok(host);
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        bail!("guest {guest} runs on no host")
    }

    /// Tells a guest what load to make from now on.
    ///
    /// # Errors
    /// When the guest cannot make that load, does not run, or does not answer.
    pub fn steer(&self, guest: &str, load: Load) -> Result<()> {
        let host = self.locate(guest)?;
        self.steer_on(host, guest, load).map(drop)
    }

    /// Tells a guest that is known to run on that host what load to make; when it was told.
    ///
    /// # Errors
    /// As [`Testbed::steer`].
    pub fn steer_on(&self, host: &Host, guest: &str, load: Load) -> Result<Instant> {
        let guest = self.guest(guest)?;
        load.check(guest)?;
        let (began, line) = (Instant::now(), format!("load {load}"));
        guest::say(&guest.serial[&host.name], &line, Duration::from_secs(10))
            .with_context(|| format!("cannot steer {} on {}", guest.name, host.name))?;
        Ok(began)
    }

    /// Follows a guest's heartbeat over all hosts, from now on.
    ///
    /// # Errors
    /// When there is no such guest.
    pub fn heartbeats(&self, guest: &str) -> Result<Heartbeats> {
        Ok(Heartbeats::follow(self.guest(guest)?))
    }

    /// Ends a host at once, with all its guests, as a loss of power would. The host stays down.
    ///
    /// # Errors
    /// When it is down already.
    pub fn crash(&self, host: &str) -> Result<()> {
        processes::kill_one(&self.directory, self.host(host)?.pid)
    }

    /// Waits until every guest has booted.
    fn wait_ready(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        self.guests.iter().try_for_each(|guest| {
            self.wait_for(guest, deadline.saturating_duration_since(Instant::now()))
        })
    }

    /// Waits until a guest has booted on its first host.
    fn wait_for(&self, guest: &Guest, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        let log = &guest.log[&guest.first_host];
        loop {
            let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
            if text.contains("READY ") && text.contains("BEAT ") {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "guest {} does not come up within {} s; its console says:\n{text}",
                    guest.name,
                    patience.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn save(&self) -> Result<()> {
        let path = self.directory.join(STATE_FILE);
        let beside = self.directory.join(".testbed.json.tmp");
        fs::write(&beside, serde_json::to_string_pretty(self)? + "\n")
            .and_then(|()| fs::rename(&beside, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Ends the testbed of a run directory: its processes, and with them its namespaces and mounts, then
/// its files. Says whether there was one. Ending what is not there is no error.
///
/// # Errors
/// When a process does not end, or the directory holds no testbed but something else.
pub fn down(directory: &Path) -> Result<bool> {
    need_root()?;
    let directory = absolute(directory)?;
    if !directory.is_dir() {
        // Its files may have been removed under it.
        processes::kill_all(&directory)?;
        return Ok(false);
    }
    if let (Some(entry), false) = (others_in(&directory)?, directory.join(STATE_FILE).exists()) {
        bail!(
            "{} holds no testbed (but {entry}); nothing is removed",
            directory.display()
        );
    }
    let _lock = lock(&directory)?;
    tear_down(&directory)?;
    Ok(true)
}

/// Ends a testbed from a signal's thread, while another thread may still be building it.
///
/// # Errors
/// As [`down`].
pub fn abandon(directory: &Path) -> Result<()> {
    let directory = absolute(directory)?;
    if directory.join(STATE_FILE).exists() {
        tear_down(&directory)?;
    }
    processes::kill_all(&directory)
}

/// The living processes of the testbed in a run directory; none after [`down`].
///
/// # Errors
/// When /proc cannot be read.
pub fn processes_of(directory: &Path) -> Result<Vec<i32>> {
    processes::list(&absolute(directory)?)
}

fn build(config: &Config, directory: &Path) -> Result<Testbed> {
    // Written first: from here on, `down` knows the directory as a testbed's.
    let mut testbed = Testbed {
        directory: directory.to_owned(),
        switch: 0,
        hosts: Vec::new(),
        guests: Vec::new(),
    };
    testbed.save()?;

    let files = directory.join("guest");
    let (kernel, initrd) = (files.join("vmlinuz"), files.join("initrd.cpio"));
    fs::create_dir_all(&files)?;
    fs::create_dir_all(&config.cache)
        .with_context(|| format!("cannot make {}", config.cache.display()))?;
    let cached = config.cache.join("vmlinuz");
    if config.guests > 0 {
        kernel::fetch(&cached)?;
        fs::copy(&cached, &kernel).context("cannot copy the guests' kernel")?;
        initrd::build(&files, &initrd)?;
    }

    make_mount_points()?;
    testbed.switch = host::start_switch(directory)?;
    let authority = tls::Authority::make(directory)?;
    for number in 1..=config.hosts {
        let mut host = Host::new(directory, number);
        host.start(directory, config.hosts, &authority)?;
        testbed.hosts.push(host);
    }
    testbed.save()?;
    for host in &testbed.hosts {
        host.connect(testbed.switch)?;
    }
    for host in &testbed.hosts {
        host.wait_for_libvirtd()?;
    }

    for number in 1..=config.guests {
        let guest = Guest::new(
            number,
            config.guest_memory_mib,
            config.guest_vcpus,
            &testbed.hosts,
        );
        let xml = files.join(format!("{}.xml", guest.name));
        fs::write(&xml, guest.domain_xml(&kernel, &initrd, config.beat_ms))?;
        let host = testbed.host(&guest.first_host)?;
        read(host.virsh(["define"]).arg(&xml))?;
        read(&mut host.virsh(["start", &guest.name]))?;
        testbed.guests.push(guest);
    }
    testbed.save()?;
    testbed.wait_ready(Duration::from_secs(60 + 5 * u64::from(config.guests)))?;
    Ok(testbed)
}

fn tear_down(directory: &Path) -> Result<()> {
    processes::kill_all(directory)?;
    // Where a signal ends an `up`, its two threads may both be here.
    let mut removed = Ok(());
    for _ in 0..10 {
        removed = fs::remove_dir_all(directory);
        if !directory.exists() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    removed.with_context(|| format!("cannot remove {}", directory.display()))
}

fn check(config: &Config) -> Result<()> {
    need_root()?;
    if !(1..=200).contains(&config.hosts) {
        bail!("a testbed has 1 to 200 hosts, not {}", config.hosts);
    }
    if config.guests > 0 && config.guest_memory_mib < 96 {
        bail!("a guest needs 96 MiB, not {}", config.guest_memory_mib);
    }
    if config.guest_vcpus == 0 || config.beat_ms == 0 {
        bail!("a guest has at least 1 vCPU and 1 ms between heartbeats");
    }
    let directory = absolute(&config.directory)?;
    if directory.starts_with("/run") {
        bail!(
            "every host has a /run of its own, so {} cannot lie there",
            directory.display()
        );
    }
    let longest = Host::new(&directory, config.hosts)
        .directory
        .join("run/libvirt/libvirt-sock-ro");
    if longest.as_os_str().len() > SOCKET_PATH_MAX {
        bail!(
            "{} is too long for the path of a unix socket (at most {SOCKET_PATH_MAX} bytes); \
             name a shorter run directory with --dir or VMPACK_TESTBED",
            longest.display()
        );
    }
    Ok(())
}

fn need_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!(
            "the testbed needs root: it makes network, mount and PID namespaces, \
             and its libvirt hosts run in them"
        );
    }
    Ok(())
}

/// Each host mounts its own files there; a machine without a libvirt of its own lacks them.
fn make_mount_points() -> Result<()> {
    for path in [
        "/etc/libvirt",
        "/var/lib/libvirt",
        "/var/cache/libvirt",
        "/var/log/libvirt",
    ] {
        fs::create_dir_all(path).with_context(|| format!("cannot make {path}"))?;
    }
    Ok(())
}

fn absolute(directory: &Path) -> Result<PathBuf> {
    fs::canonicalize(directory)
        .or_else(|_| std::path::absolute(directory))
        .with_context(|| format!("cannot resolve {}", directory.display()))
}

fn make_directory(directory: &Path) -> Result<PathBuf> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot make {}", directory.display()))?;
    absolute(directory)
}

fn need_empty(directory: &Path) -> Result<()> {
    if directory.join(STATE_FILE).exists() {
        bail!(
            "a testbed is up in {}, or was left there; `cargo xtask testbed down` ends it",
            directory.display()
        );
    }
    if let Some(entry) = others_in(directory)? {
        bail!(
            "{} is not empty (there is {entry}), so no testbed is built there",
            directory.display()
        );
    }
    Ok(())
}

/// Any entry of the run directory but the lock.
fn others_in(directory: &Path) -> Result<Option<String>> {
    Ok(fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .find(|name| name != LOCK_FILE))
}

/// Waits until no other `up` or `down` works on the directory; the kernel lets go of the lock with us.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK_FILE);
    loop {
        fs::create_dir_all(directory)?;
        let file =
            File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("waiting for another command on {}", directory.display());
            file.lock()?;
        }
        // Whoever had the lock may have removed the directory meanwhile.
        let ours = file.metadata()?.ino();
        if fs::metadata(&path).is_ok_and(|now| now.ino() == ours) {
            return Ok(file);
        }
    }
}
