//! What goes wrong on a testbed, when it is asked to: cables, daemons and QEMUs. All of it can be
//! mended again, by [`Testbed::mend`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Host, Testbed, host, processes};
use crate::command::read;

/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

impl Testbed {
    /// Pulls a host's cable out of the switch, or puts it back.
    ///
    /// # Errors
    /// When there is no such host, or it has no cable.
    pub fn link(&self, host: &str, up: bool) -> Result<()> {
        let host = self.host(host)?;
        let state = if up { "up" } else { "down" };
        host::in_switch(self.switch, &format!("link set dev {} {state}", host.name))
    }

    /// Kills a host's libvirtd with SIGKILL; its guests go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_libvirtd(&self, host: &str) -> Result<()> {
        let host = self.host(host)?;
        let killed = end(host, &host.directory.join("run/libvirtd.pid"))?;
        if !killed {
            bail!("libvirtd does not run on {}", host.name);
        }
        Ok(())
    }

    /// Kills a guest's QEMU on one host with SIGKILL. Says whether there was one.
    ///
    /// # Errors
    /// When there is no such host, or it does not end.
    pub fn kill_qemu(&self, guest: &str, host: &str) -> Result<bool> {
        let host = self.host(host)?;
        end(host, &qemu_file(host, guest))
    }

    /// Whether the guest has a QEMU on that host, be it one that waits for its memory.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn has_qemu(&self, guest: &str, host: &str) -> Result<bool> {
        let host = self.host(host)?;
        Ok(running(host, &qemu_file(host, guest)).is_some())
    }

    /// What libvirt says of a guest on a host, such as `paused (post-copy failed)`; nothing where it
    /// is not, or where nobody answers.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn state(&self, guest: &str, host: &str) -> Result<Option<String>> {
        let mut ask = self.host(host)?.virsh(["domstate", "--reason", guest]);
        Ok(read(&mut ask).ok().map(|text| text.trim().to_owned()))
    }

    /// Makes all hosts whole again: cables, and daemons that do not answer.
    ///
    /// # Errors
    /// When a daemon does not come up.
    pub fn mend(&self) -> Result<()> {
        for host in &self.hosts {
            self.link(&host.name, true)?;
            if running(host, &host.directory.join("run/libvirtd.pid")).is_none() {
                host.restart_libvirtd()?;
            }
        }
        Ok(())
    }

    /// Ends a guest wherever anything of it is, and boots it anew on its first host. Daemons are
    /// started anew too, as one may still hold the job of a migration whose other end is gone.
    ///
    /// # Errors
    /// When something does not end or does not come up.
    pub fn renew(&self, guest: &str) -> Result<()> {
        let guest = self.guest(guest)?;
        for host in &self.hosts {
            self.link(&host.name, true)?;
            self.kill_qemu(&guest.name, &host.name)?;
            end(host, &host.directory.join("run/libvirtd.pid"))?;
            host.restart_libvirtd()?;
            // It may be defined there or not, and never runs any more.
            let _ = read(&mut host.virsh(["undefine", &guest.name]));
            let log = &guest.log[&host.name];
            if log.exists() {
                fs::write(log, "").with_context(|| format!("cannot empty {}", log.display()))?;
            }
        }
        let host = self.host(&guest.first_host)?;
        let xml = self.directory.join(format!("guest/{}.xml", guest.name));
        read(host.virsh(["define"]).arg(xml))?;
        read(&mut host.virsh(["start", &guest.name]))?;
        self.wait_for(guest, Duration::from_secs(60))
    }
}

fn qemu_file(host: &Host, guest: &str) -> PathBuf {
    host.directory.join(format!("run/libvirt/qemu/{guest}.pid"))
}

/// The process that a file inside the host names, by its number on this machine; nothing where it
/// has ended.
fn running(host: &Host, file: &Path) -> Option<i32> {
    let inside = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    processes::inside(host.pid, inside)
}

/// Kills that process and waits until it is gone. Says whether there was one.
fn end(host: &Host, file: &Path) -> Result<bool> {
    let Some(pid) = running(host, file) else {
        return Ok(false);
    };
    kill(Pid::from_raw(pid), Signal::SIGKILL).with_context(|| format!("cannot kill {pid}"))?;
    let deadline = Instant::now() + GONE;
    while running(host, file) == Some(pid) {
        if Instant::now() > deadline {
            bail!("the process of {} does not end", file.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(true)
}
