//! The testbed's guests: their libvirt domain and the load they are told to make.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::host::Host;

/// A guest of the testbed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Guest {
    /// `g1`, `g2`, ...
    pub name: String,
    /// In MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// The host it was started on.
    pub first_host: String,
    /// By host: the serial console's socket, once the guest runs there.
    pub serial: BTreeMap<String, PathBuf>,
    /// By host: what the serial console said there, heartbeats among it.
    pub log: BTreeMap<String, PathBuf>,
}

impl Guest {
    pub(super) fn new(number: u16, memory_mib: u32, vcpus: u32, hosts: &[Host]) -> Guest {
        let name = format!("g{number}");
        let first = usize::from(number - 1) % hosts.len();
        let files = |part: &str, ending: &str| -> BTreeMap<String, PathBuf> {
            hosts
                .iter()
                .map(|host| {
                    let file = host.directory.join(part).join(format!("{name}.{ending}"));
                    (host.name.clone(), file)
                })
                .collect()
        };
        Guest {
            serial: files("run", "serial"),
            log: files("log", "console.log"),
            memory_mib,
            vcpus,
            first_host: hosts[first].name.clone(),
            name,
        }
    }

    /// The libvirt domain: no disk, no network, a kernel, and the serial console on a socket.
    pub(super) fn domain_xml(&self, kernel: &Path, initrd: &Path, beat_ms: u32) -> String {
        let Guest {
            name,
            memory_mib,
            vcpus,
            ..
        } = self;
        let (kernel, initrd) = (kernel.display(), initrd.display());
        format!(
            "<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>{vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet loglevel=0 reboot=t panic=-1 BEAT_MS={beat_ms}</cmdline>
  </os>
  <features><acpi/><apic/><tcg><tb-cache unit='MiB'>32</tb-cache></tcg></features>
  <cpu mode='custom' match='exact' check='none'><model fallback='forbid'>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <serial type='unix'>
      <source mode='bind' path='/run/{name}.serial'/>
      <log file='/var/log/libvirt/{name}.console.log' append='on'/>
      <target port='0'/>
    </serial>
    <memballoon model='none'/>
  </devices>
</domain>
"
        )
    }
}

/// What a guest does until told otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// In percent of one vCPU: 150 keeps one vCPU busy and another one half.
    pub cpu_percent: u32,
    /// Memory rewritten, in MiB/s (every page counts whole).
    pub dirty_mib_per_s: u32,
    /// The working set that is rewritten, in MiB.
    pub working_set_mib: u32,
}

impl Load {
    /// Refuses what the guest cannot do.
    pub(super) fn check(self, guest: &Guest) -> Result<()> {
        if self.cpu_percent > 100 * guest.vcpus {
            bail!(
                "{} has {} vCPUs, so its CPU load is at most {} percent, not {}",
                guest.name,
                guest.vcpus,
                100 * guest.vcpus,
                self.cpu_percent
            );
        }
        if self.dirty_mib_per_s > 0 && self.working_set_mib == 0 {
            bail!("a dirty rate needs a working set of at least 1 MiB");
        }
        if self.working_set_mib > guest.memory_mib / 2 {
            bail!(
                "{} has {} MiB, so its working set is at most half of that, not {} MiB",
                guest.name,
                guest.memory_mib,
                self.working_set_mib
            );
        }
        Ok(())
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Load {
            cpu_percent,
            dirty_mib_per_s,
            working_set_mib,
        } = self;
        write!(
            f,
            "cpu={cpu_percent} dirty={dirty_mib_per_s} over={working_set_mib}"
        )
    }
}

/// Says one line to the guest behind a serial socket and waits for its answer.
pub(super) fn say(socket: &Path, line: &str, patience: Duration) -> Result<()> {
    let stream = UnixStream::connect(socket)
        .with_context(|| format!("cannot connect to {}", socket.display()))?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    (&stream).write_all(format!("\n{line}\n").as_bytes())?;
    let deadline = Instant::now() + patience;
    let mut reader = BufReader::new(&stream);
    let mut answer = Vec::new();
    while Instant::now() < deadline {
        // A timeout leaves the start of a line in `answer`, to be continued.
        match reader.read_until(b'\n', &mut answer) {
            Ok(0) => bail!("the guest behind {} went away", socket.display()),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error).context("cannot read from the guest"),
        }
        let text = String::from_utf8_lossy(&answer).trim().to_owned();
        answer.clear();
        if text.starts_with("OK") {
            return Ok(());
        }
        if text.starts_with("ERR") {
            bail!("the guest answers: {text}");
        }
    }
    bail!(
        "no answer from the guest behind {} within {} s; is somebody else connected?",
        socket.display(),
        patience.as_secs()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guest() -> Guest {
        let hosts: Vec<Host> = (1..=3).map(|n| Host::new(Path::new("/x"), n)).collect();
        Guest::new(5, 128, 1, &hosts)
    }

    #[test]
    fn guests_go_round_the_hosts() {
        let guest = guest();
        assert_eq!(
            (guest.name.as_str(), guest.first_host.as_str()),
            ("g5", "h2")
        );
        assert_eq!(guest.serial["h3"], Path::new("/x/h3/run/g5.serial"));
    }

    #[test]
    fn impossible_loads_are_refused() {
        let load = |cpu_percent, dirty_mib_per_s, working_set_mib| Load {
            cpu_percent,
            dirty_mib_per_s,
            working_set_mib,
        };
        assert!(load(100, 10, 64).check(&guest()).is_ok());
        assert!(load(101, 0, 0).check(&guest()).is_err());
        assert!(load(0, 10, 0).check(&guest()).is_err());
        assert!(load(0, 10, 65).check(&guest()).is_err());
    }
}
