//! Tells systemd how the service does (`sd_notify(3)`): a datagram to the socket that it names.

use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Where systemd listens, if it does.
#[derive(Debug)]
pub(super) struct Notify(Option<(UnixDatagram, SocketAddr)>);

impl Notify {
    /// By the value of `NOTIFY_SOCKET`; a name that begins with `@` is an abstract one.
    pub(super) fn new(socket: Option<OsString>) -> io::Result<Self> {
        let Some(name) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Self(None));
        };
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&name)?,
        };
        Ok(Self(Some((UnixDatagram::unbound()?, address))))
    }

    /// Tells it, such as `READY=1`. That it cannot be told is no reason to stop measuring.
    pub(super) fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.0
            && let Err(error) = socket.send_to_addr(state.as_bytes(), address)
        {
            tracing::warn!("cannot tell systemd `{state}`: {error}");
        }
    }
}

/// How often the watchdog wants to hear of us: half of what `WATCHDOG_USEC` says.
pub(super) fn watchdog(microseconds: Option<&str>) -> Option<Duration> {
    let limit: u64 = microseconds?.parse().ok().filter(|n| *n > 0)?;
    Some(Duration::from_micros(limit / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_hears_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let abstract_name = format!("@vmpack-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name[1..]).unwrap();
        for (name, listener) in [
            (
                path.clone().into_os_string(),
                UnixDatagram::bind(&path).unwrap(),
            ),
            (
                abstract_name.into(),
                UnixDatagram::bind_addr(&address).unwrap(),
            ),
        ] {
            Notify::new(Some(name)).unwrap().tell("READY=1");
            let mut heard = [0; 64];
            let n = listener.recv(&mut heard).unwrap();
            assert_eq!(&heard[..n], b"READY=1");
        }
        // Where nobody listens nothing happens.
        Notify::new(None).unwrap().tell("READY=1");
        Notify::new(Some("/nowhere".into()))
            .unwrap()
            .tell("READY=1");
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_it_wants() {
        assert_eq!(watchdog(Some("30000000")), Some(Duration::from_secs(15)));
        for none in [None, Some(""), Some("0"), Some("soon")] {
            assert_eq!(watchdog(none), None);
        }
    }
}
