//! Puts hosts to sleep and wakes them, by one of three drivers:
//!
//! - *command*: a program of the operator's, given as its arguments (no shell), with `{host}` in them
//!   replaced by the host's name; it ends with 0 when it is done;
//! - *libvirt*: suspends to RAM through the host's libvirt, and wakes by a magic packet (wake-on-LAN) to
//!   the address in the host's label `mac`;
//! - *simulated*: does nothing but to say so.
//!
//! A host that was woken is awake when its probe or its libvirt answers, never before: who asks waits for
//! that, and counts a host that does not come as one that failed.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use vmpack_domain::{Host, HostName};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The host label that has the address to which magic packets go.
pub const MAC_LABEL: &str = "mac";

/// How hosts are put to sleep and woken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// Programs with their arguments.
    Command {
        /// What wakes a host.
        wake: Vec<String>,
        /// What puts it to sleep.
        sleep: Vec<String>,
    },
    /// Libvirt's suspend, and wake-on-LAN to that address, as a rule a broadcast one.
    Libvirt {
        /// Where magic packets are sent, such as `255.255.255.255:9`.
        broadcast: SocketAddr,
    },
    /// Nothing is done.
    Simulated,
}

/// Why a host was not put to sleep or woken.
#[derive(Debug, thiserror::Error)]
pub enum PowerError {
    /// The program could not be run.
    #[error("cannot run `{0}`: {1}")]
    Program(String, std::io::Error),
    /// It failed.
    #[error("`{0}` ended with {1}")]
    Failed(String, String),
    /// It took too long and was ended.
    #[error("`{0}` was ended after {1:?}")]
    TooLong(String, Duration),
    /// The host has no address to be woken at.
    #[error(
        "host {0} has no label `{MAC_LABEL}` with the address of its network card, such as `52:54:00:12:34:56`"
    )]
    NoAddress(HostName),
    /// What stands there is none.
    #[error(
        "read `{0}` in label `{MAC_LABEL}` of host {1}, expected an address such as `52:54:00:12:34:56`"
    )]
    Address(String, HostName),
    /// The packet was not sent.
    #[error("cannot send the magic packet: {0}")]
    Packet(std::io::Error),
    /// Libvirt refused.
    #[error(transparent)]
    Hypervisor(#[from] vmpack_hypervisor::Error),
    /// It runs something.
    #[error("host {0} runs guests: {1}")]
    Carries(HostName, u32),
    /// The host says no way to its libvirt.
    #[error("host {0} has no `uri`")]
    NoUri(HostName),
}

impl Driver {
    /// Asks the host to wake; it is awake later, if all goes well.
    ///
    /// # Errors
    /// Why it was not even asked.
    pub fn wake(&self, host: &Host) -> Result<(), PowerError> {
        match self {
            Self::Command { wake, .. } => run(wake, &host.name, PATIENCE),
            Self::Libvirt { broadcast } => {
                wake_on_lan(address(host)?, *broadcast).map_err(PowerError::Packet)
            }
            Self::Simulated => Ok(()),
        }
    }

    /// Asks the host, which carries nothing, to sleep. Where it says a way to its libvirt that is asked
    /// first: a guest of which nobody has told us sleeps with it.
    ///
    /// # Errors
    /// Why it does not.
    pub fn sleep(&self, host: &Host) -> Result<(), PowerError> {
        if let (Some(uri), false) = (host.uri.as_deref(), *self == Self::Simulated) {
            let guests = vmpack_hypervisor::libvirt::power::running(uri)?;
            if guests > 0 {
                return Err(PowerError::Carries(host.name.clone(), guests));
            }
        }
        match self {
            Self::Command { sleep, .. } => run(sleep, &host.name, PATIENCE),
            Self::Libvirt { .. } => {
                // One that cannot be woken does not sleep.
                address(host)?;
                let uri = host.uri.as_deref();
                let uri = uri.ok_or_else(|| PowerError::NoUri(host.name.clone()))?;
                Ok(vmpack_hypervisor::libvirt::power::suspend(uri)?)
            }
            Self::Simulated => Ok(()),
        }
    }
}

/// Runs a program with `{host}` filled in, and waits for its end.
fn run(argv: &[String], host: &HostName, patience: Duration) -> Result<(), PowerError> {
    let argv: Vec<String> = argv
        .iter()
        .map(|a| a.replace("{host}", host.as_str()))
        .collect();
    // Its arguments may hold a password, and what is told stands in a log.
    let shown = argv.first().cloned().unwrap_or_default();
    let failed = |e| PowerError::Program(shown.clone(), e);
    let Some((program, arguments)) = argv.split_first() else {
        return Err(failed(std::io::ErrorKind::InvalidInput.into()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // Of its own, so that what it starts ends with it.
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let began = Instant::now();
    loop {
        match child.try_wait().map_err(failed)? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(PowerError::Failed(shown, status.to_string())),
            None if began.elapsed() >= patience => {
                // It may have ended just now, which is as well.
                if let Ok(group) = i32::try_from(child.id()) {
                    let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
                }
                let _ = child.kill();
                let _ = child.wait();
                return Err(PowerError::TooLong(shown, patience));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// Where the host is woken.
fn address(host: &Host) -> Result<[u8; 6], PowerError> {
    let text = host.labels.get(MAC_LABEL);
    let text = text.ok_or_else(|| PowerError::NoAddress(host.name.clone()))?;
    mac(text).ok_or_else(|| PowerError::Address(text.clone(), host.name.clone()))
}

/// Six bytes in hexadecimal, with `:` or `-` between them.
fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = text.split([':', '-']).map(|b| {
        let digits = b.len() == 2 && b.bytes().all(|c| c.is_ascii_hexdigit());
        digits.then(|| u8::from_str_radix(b, 16).ok()).flatten()
    });
    let mut found = [0; 6];
    for byte in &mut found {
        *byte = bytes.next()??;
    }
    bytes.next().is_none().then_some(found)
}

/// The magic packet: six bytes of ones, then the address sixteen times (AMD, Magic Packet Technology,
/// 1995).
fn magic(mac: [u8; 6]) -> [u8; 102] {
    let mut packet = [0xff; 102];
    for (at, byte) in packet.iter_mut().skip(6).enumerate() {
        *byte = mac[at % 6];
    }
    packet
}

fn wake_on_lan(mac: [u8; 6], to: SocketAddr) -> std::io::Result<()> {
    let any: SocketAddr = match to {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.set_broadcast(true)?;
    // A lost packet is a host that does not wake: three cost nothing.
    for _ in 0..3 {
        socket.send_to(&magic(mac), to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(label: Option<&str>) -> Host {
        let labels = label.map_or(String::new(), |l| format!(", labels: {{ mac: '{l}' }}"));
        let text = format!(
            "apiVersion: vmpack/v1\nkind: Cluster\nhosts:\n  - {{ name: h1, cpu: 4cores, memory: 8GiB, \
             network: 100MiB/s, state: asleep{labels} }}\nguests: []\n"
        );
        let name = "c".to_owned();
        let source = vmpack_domain::file::Source { name, text };
        vmpack_domain::file::read_cluster(&[source])
            .unwrap()
            .hosts
            .remove(0)
    }

    #[test]
    fn the_magic_packet_arrives_as_it_is_defined() {
        let ear = UdpSocket::bind("127.0.0.1:0").unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let driver = Driver::Libvirt {
            broadcast: ear.local_addr().unwrap(),
        };
        driver.wake(&host(Some("52:54:00:12:34:ff"))).unwrap();
        let mut heard = [0; 200];
        let n = ear.recv(&mut heard).unwrap();
        let mut expected = vec![0xff; 6];
        for _ in 0..16 {
            expected.extend([0x52, 0x54, 0x00, 0x12, 0x34, 0xff]);
        }
        assert_eq!(&heard[..n], expected);
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        let driver = Driver::Libvirt {
            broadcast: ([127, 0, 0, 1], 9).into(),
        };
        for text in [
            "",
            "52:54:00:12:34",
            "52:54:00:12:34:5g",
            "52:54:00:12:34:56:78",
            "+1:54:00:12:34:56",
        ] {
            let asleep = driver.sleep(&host(Some(text))).unwrap_err();
            assert!(
                matches!(asleep, PowerError::Address(..)),
                "{text}: {asleep}"
            );
            let error = driver.wake(&host(Some(text))).unwrap_err();
            assert!(matches!(error, PowerError::Address(..)), "{text}: {error}");
        }
        assert!(matches!(
            driver.wake(&host(None)),
            Err(PowerError::NoAddress(_))
        ));
    }

    #[test]
    fn a_command_gets_the_hosts_name_and_no_shell() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h1; rm -rf {host}");
        let to = |text: &str| {
            vec![
                "touch".to_owned(),
                dir.path().join(text).display().to_string(),
            ]
        };
        let driver = Driver::Command {
            wake: to("h1; rm -rf x"),
            sleep: to("asleep-{host}"),
        };
        driver.wake(&host(None)).unwrap();
        driver.sleep(&host(None)).unwrap();
        assert!(!file.exists() && dir.path().join("h1; rm -rf x").exists());
        assert!(dir.path().join("asleep-h1").exists());
        let failing = Driver::Command {
            wake: vec!["false".into()],
            sleep: vec![],
        };
        // libvirt's own test driver runs one guest.
        let mut busy = host(None);
        busy.uri = Some("test:///default".into());
        assert!(matches!(
            driver.sleep(&busy),
            Err(PowerError::Carries(_, 1))
        ));
        assert!(matches!(
            failing.wake(&host(None)),
            Err(PowerError::Failed(..))
        ));
        assert!(matches!(
            failing.sleep(&host(None)),
            Err(PowerError::Program(..))
        ));
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_has_started() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("child");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let hangs = ["sh".to_owned(), "-c".to_owned(), script];
        let ended = run(&hangs, &"h1".parse().unwrap(), Duration::from_secs(1));
        assert!(matches!(ended, Err(PowerError::TooLong(..))));
        let child = std::fs::read_to_string(file).unwrap();
        let runs = || {
            let status = std::fs::read_to_string(format!("/proc/{}/stat", child.trim()));
            // One that nobody has waited for yet has ended as well.
            status.is_ok_and(|s| !s.contains(") Z "))
        };
        let began = Instant::now();
        while runs() {
            assert!(began.elapsed() < Duration::from_secs(10), "{child}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
