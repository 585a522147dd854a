//! One testbed host: its files, its processes, its cable. A host is a tree of namespaces below one
//! `unshare` process; a SIGKILL to that process is a clean crash of the whole host.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::processes::{MARK, network_namespace, own_network_namespace};
use super::tls::{self, Authority};
use crate::command::{command, read, shown};

const INIT: &str = include_str!("../../testbed/host-init.sh");

/// Where daemons are found whatever the caller's PATH is.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A libvirt host of the testbed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// `h1`, `h2`, ...; also its host name.
    pub name: String,
    /// The libvirt connection for control from this machine.
    pub uri: String,
    /// The libvirt connection that other hosts of the testbed migrate to.
    pub migrate_uri: String,
    /// Its address on the testbed's own network.
    pub address: String,
    /// The process that holds its namespaces.
    pub pid: i32,
    /// Its files; `run/` is its `/run`, `log/` its `/var/log/libvirt`.
    pub directory: PathBuf,
}

impl Host {
    /// The host with this number (from 1) below a run directory, not yet started.
    pub(super) fn new(run_directory: &Path, number: u8) -> Host {
        let name = format!("h{number}");
        let directory = run_directory.join(&name);
        let address = format!("10.77.0.{number}");
        Host {
            uri: format!(
                "qemu+unix:///system?socket={}",
                directory.join("run/libvirt/libvirt-sock").display()
            ),
            migrate_uri: format!("qemu+tcp://{address}/system"),
            address,
            name,
            directory,
            pid: 0,
        }
    }

    /// A command that runs inside the host: its mounts, processes, network and host name.
    #[must_use]
    pub fn exec<S: AsRef<std::ffi::OsStr>>(&self, argv: impl IntoIterator<Item = S>) -> Command {
        let pid = self.pid;
        // The root too: entering a mount namespace leaves a chroot that we may be in.
        let mut inside = command(["nsenter", "--mount", "--uts", "--ipc", "--net", "--root"]);
        inside
            .arg(format!("--target={pid}"))
            .arg(format!("--pid=/proc/{pid}/ns/pid_for_children"))
            .arg("--")
            .args(argv.into_iter().map(|word| word.as_ref().to_owned()));
        inside
    }

    /// A `virsh` command on this host's libvirtd, from outside.
    #[must_use]
    pub fn virsh<S: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut virsh = command(["virsh", "--quiet", "--connect", &self.uri]);
        virsh.args(args.into_iter().map(|word| word.as_ref().to_owned()));
        virsh
    }

    /// Starts libvirtd again after it was killed.
    ///
    /// # Errors
    /// When it does not answer within 20 s.
    pub fn restart_libvirtd(&self) -> Result<()> {
        let mut start = self.exec(["libvirtd", "--daemon", "--listen"]);
        start.args(["--config", "/etc/libvirt/libvirtd.conf"]);
        start
            .args(["--pid-file", "/run/libvirtd.pid"])
            .env("PATH", PATH);
        read(&mut start)?;
        self.wait_for_libvirtd()
    }

    /// Writes the host's files and starts its processes; the cable comes later.
    pub(super) fn start(
        &mut self,
        run_directory: &Path,
        hosts: u8,
        authority: &Authority,
    ) -> Result<()> {
        self.write_files(hosts)
            .with_context(|| format!("cannot write the files of {}", self.name))?;
        authority.admit(self)?;
        let log = fs::File::create(self.directory.join("init.log"))?;
        let mut init = command(["setsid", "unshare", "--net", "--mount", "--uts", "--ipc"]);
        init.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh"])
            .arg(self.directory.join("init.sh"))
            .args([&self.name])
            .arg(&self.directory)
            .arg(&self.address);
        self.pid = spawn_holder(init, run_directory, log)?;
        Ok(())
    }

    /// Lays the cable between the host and the bridge in the switch's namespace.
    pub(super) fn connect(&self, switch: i32) -> Result<()> {
        in_switch(
            switch,
            &format!(
                "link add name {} type veth peer name eth0 netns {}",
                self.name, self.pid
            ),
        )?;
        in_switch(switch, &format!("link set dev {} master br0 up", self.name))
    }

    /// Waits until libvirtd answers.
    pub(super) fn wait_for_libvirtd(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let error = match read(&mut self.virsh(["hostname"])) {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            if Instant::now() > deadline {
                bail!(
                    "host {} does not come up: {error:#}\n{}{}",
                    self.name,
                    tail(&self.directory.join("init.log")),
                    tail(&self.directory.join("log/libvirtd.log"))
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    fn write_files(&self, hosts: u8) -> Result<()> {
        for part in ["etc", "run/libvirt", "lib", "cache", "log"] {
            fs::create_dir_all(self.directory.join(part))?;
        }
        let etc = self.directory.join("etc");
        fs::write(self.directory.join("init.sh"), INIT)?;
        fs::write(etc.join("libvirtd.conf"), self.libvirtd_conf())?;
        fs::write(etc.join("qemu.conf"), self.qemu_conf())?;
        let names: String = (1..=hosts).map(|n| format!("10.77.0.{n} h{n}\n")).collect();
        fs::write(etc.join("hosts"), format!("127.0.0.1 localhost\n{names}"))?;
        let without = |path: &str, names: &[&str]| -> Result<String> {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
            Ok(text
                .lines()
                .filter(|line| !names.contains(&line.split(':').next().unwrap_or_default()))
                .map(|line| format!("{line}\n"))
                .collect())
        };
        let users = without("/etc/passwd", &["libvirt-qemu"])?;
        let groups = without("/etc/group", &["libvirt", "libvirt-qemu"])?;
        fs::write(
            etc.join("passwd"),
            users + "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin\n",
        )?;
        fs::write(
            etc.join("group"),
            groups + "libvirt-qemu:x:64055:\nlibvirt:x:64056:\n",
        )?;
        Ok(())
    }

    fn libvirtd_conf(&self) -> String {
        let number: u8 = self.name[1..].parse().unwrap_or_default();
        // Every host needs a UUID of its own, or libvirt takes a migration for one to itself.
        format!(
            "listen_tls = 0\nlisten_tcp = 1\nlisten_addr = \"{}\"\ntcp_port = \"16509\"\n\
             auth_tcp = \"none\"\nauth_unix_rw = \"none\"\nunix_sock_rw_perms = \"0700\"\n\
             host_uuid = \"76d1b6a0-5eed-4000-8000-{number:012}\"\n\
             max_clients = 200\nkeepalive_interval = 5\nkeepalive_count = 5\n\
             log_filters = \"3:remote 3:event 3:json 3:rpc 3:util.object\"\n\
             log_outputs = \"2:file:/var/log/libvirt/libvirtd.log\"\n",
            self.address
        )
    }

    fn qemu_conf(&self) -> String {
        format!(
            "user = \"root\"\ngroup = \"root\"\ndynamic_ownership = 0\nremember_owner = 0\n\
             security_driver = \"none\"\nsecurity_default_confined = 0\nnamespaces = [ ]\n\
             cgroup_controllers = [ ]\nstdio_handler = \"file\"\nmax_core = 0\n\
             migration_address = \"0.0.0.0\"\nmigration_host = \"{}\"\n\
             migration_port_min = 49152\nmigration_port_max = 49215\n\
             keepalive_interval = 5\nkeepalive_count = 5\n\
             migrate_tls_x509_cert_dir = \"{}\"\nmigrate_tls_x509_verify = 1\n",
            self.address,
            tls::DIRECTORY
        )
    }
}

/// Starts the process that holds the namespace of the network between the hosts: a bridge.
pub(super) fn start_switch(run_directory: &Path) -> Result<i32> {
    let log = fs::File::create(run_directory.join("switch.log"))?;
    let holder = command(["setsid", "unshare", "--net", "sleep", "infinity"]);
    let switch = spawn_holder(holder, run_directory, log)?;
    in_switch(switch, "link add name br0 type bridge")?;
    in_switch(switch, "link set dev br0 up")?;
    Ok(switch)
}

pub(super) fn in_switch(switch: i32, ip: &str) -> Result<()> {
    let mut inside = command(["nsenter", &format!("--net=/proc/{switch}/ns/net"), "ip"]);
    read(inside.args(ip.split(' ')).env("PATH", PATH)).map(drop)
}

/// Starts a marked process that outlives us, and waits until it is in a network namespace of its own.
fn spawn_holder(mut holder: Command, run_directory: &Path, log: fs::File) -> Result<i32> {
    holder
        .env_clear()
        .env("PATH", PATH)
        .env(MARK, run_directory)
        .current_dir("/")
        .stdout(log.try_clone()?)
        .stderr(log)
        .stdin(Stdio::null());
    let mut child = holder
        .spawn()
        .with_context(|| format!("cannot start {}", shown(&holder)))?;
    let pid = i32::try_from(child.id()).context("a process number fits 31 bits")?;
    let own = own_network_namespace()?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while network_namespace(pid).is_none_or(|namespace| namespace == own) {
        if let Some(status) = child.try_wait()? {
            bail!(
                "cannot make namespaces ({}: {status}); this needs root with CAP_SYS_ADMIN and \
                 CAP_NET_ADMIN, which an unprivileged container lacks",
                shown(&holder)
            );
        }
        if Instant::now() > deadline {
            bail!("{} made no namespace within 10 s", shown(&holder));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(pid)
}

fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..]
        .iter()
        .map(|line| format!("  {}: {line}\n", path.display()))
        .collect()
}
