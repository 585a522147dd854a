//! What is asked of libvirt for a migration: where to, with which flags and parameters, and what its
//! refusals mean.

use std::net::Ipv6Addr;
use std::num::NonZeroU32;

use virt::domain::MigrateParameters;
use virt::error::ErrorNumber;
use virt_sys as sys;
use vmpack_domain::Mode;

use super::Door;
use super::connection::Connection;
use super::migrate::Begin;
use crate::{Error, MigrationRequest};

/// Starts the blocking call on a thread and a connection of its own; its end is told to
/// `done`.
pub(super) fn order(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
    (begin, persistent): (Begin, bool),
    done: impl FnOnce(Result<(), virt::error::Error>) + Send + 'static,
) -> Result<(), Error> {
    let connection = Connection::open(from.name.as_str(), &from.uri)?;
    let domain = from
        .find(&connection, &request.guest)?
        .ok_or(Error::NotThere {
            guest: request.guest.clone(),
            host: request.from.clone(),
        })?;
    let (uri, stream) = peer(to.name.as_str(), to.migrate_address.as_deref());
    // A NUL would end the text that libvirt reads.
    if uri.contains('\0') {
        return Err(Error::Refused {
            host: to.name.to_string(),
            cause: "its `migrate-address` has a NUL character in it".to_owned(),
        });
    }
    let parameters = MigrateParameters {
        bandwidth: request.stream.bandwidth.map(|b| b.0),
        bandwidth_postcopy: request.stream.bandwidth_postcopy.map(|b| b.0),
        parallel_connections: connections(request).and_then(|n| i32::try_from(n.get()).ok()),
        uri: stream,
        ..MigrateParameters::default()
    };
    let flags = flags(request, begin, persistent);
    let thread = std::thread::Builder::new().name(format!("migrate {}", request.guest));
    let spawned = thread.spawn(move || {
        done(domain.migrate_to_uri3(Some(&uri), parameters, flags));
        drop((domain, connection));
    });
    spawned.map(|_| ()).map_err(|e| Error::Refused {
        host: from.name.to_string(),
        cause: format!("cannot start a thread: {e}"),
    })
}

/// What is asked of libvirt, as its flags. A resumed post-copy is asked for with those that it was
/// begun with. Pages that the guest waits for go first by QEMU's own choice where both ends can do
/// so: libvirt has no flag for it.
fn flags(request: &MigrationRequest, begin: Begin, persistent: bool) -> u32 {
    let set = |flag: u32, is: bool| if is { flag } else { 0 };
    sys::VIR_MIGRATE_LIVE
        | sys::VIR_MIGRATE_PEER2PEER
        | set(
            sys::VIR_MIGRATE_PERSIST_DEST | sys::VIR_MIGRATE_UNDEFINE_SOURCE,
            persistent,
        )
        | set(sys::VIR_MIGRATE_POSTCOPY, request.mode != Mode::PreCopy)
        | set(sys::VIR_MIGRATE_POSTCOPY_RESUME, begin == Begin::Broken)
        | set(sys::VIR_MIGRATE_TLS, request.stream.tls)
        | set(sys::VIR_MIGRATE_PARALLEL, connections(request).is_some())
}

/// How many connections, where there are several: QEMU has post-copy go over one only.
fn connections(request: &MigrationRequest) -> Option<NonZeroU32> {
    let several = request.stream.parallel.filter(|n| n.get() > 1);
    several.filter(|_| request.mode == Mode::PreCopy)
}

/// Whether another try would be refused alike.
pub(super) fn is_lasting(error: &virt::error::Error) -> bool {
    matches!(
        error.code(),
        ErrorNumber::MigrateUnsafe
            | ErrorNumber::CpuIncompatible
            | ErrorNumber::ConfigUnsupported
            | ErrorNumber::ArgumentUnsupported
            | ErrorNumber::NoSupport
    )
}

/// The libvirt URI by which the source's daemon reaches the target's, and where the memory goes
/// if that is said too. A whole URI stands for itself; an address is reached over TLS.
pub(super) fn peer(name: &str, migrate_address: Option<&str>) -> (String, Option<String>) {
    match migrate_address {
        Some(uri) if uri.contains("://") => (uri.to_owned(), None),
        Some(address) => {
            // A link-local address may name its interface after a `%`.
            let number = address
                .split_once('%')
                .map_or(address, |(number, _)| number);
            let address = if number.parse::<Ipv6Addr>().is_ok() {
                format!("[{address}]")
            } else {
                address.to_owned()
            };
            // A port is the daemon's; QEMU listens at one that libvirt chooses.
            let host = match address.rsplit_once(':') {
                Some((host, port)) if port.parse::<u16>().is_ok() => host,
                _ => &address,
            };
            (
                format!("qemu+tls://{address}/system"),
                Some(format!("tcp://{host}")),
            )
        }
        None => (format!("qemu+tls://{name}/system"), None),
    }
}

/// The address in a stream's URI, or in the daemon's where the stream has none.
pub(super) fn stream_host(uri: &str, stream: Option<&str>) -> String {
    let whole = stream.unwrap_or(uri);
    let rest = whole.split_once("://").map_or(whole, |(_, rest)| rest);
    let place = rest.split(['/', '?']).next().unwrap_or(rest);
    let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
    match place.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host.to_owned(),
        _ => place.to_owned(),
    }
}

/// What to do where libvirt or QEMU says so much.
const HINTS: &[(&str, &str)] = &[
    (
        "Unable to access credentials",
        "each host needs a certificate for migrations; `migrations: { stream: plain }` in the policy does without, where the network is trusted",
    ),
    (
        "Postcopy is not supported",
        "QEMU at the target may not use userfaultfd; `vmpack-executor doctor` says there what to set",
    ),
];

/// What libvirt says of a failed migration. That the source's daemon could not reach the target's is
/// told with how it tried, for that is for the cluster file to mend.
pub(super) fn told_why(request: &MigrationRequest, uri: &str, said: &str) -> String {
    if let Some((_, hint)) = HINTS.iter().find(|(part, _)| said.contains(part)) {
        return format!("{said} ({hint})");
    }
    if !said.contains("remote libvirt URI") {
        return said.to_owned();
    }
    let cause = said.split_once(&format!("{uri}: ")).map_or(said, |x| x.1);
    format!(
        "the libvirtd of {} cannot reach that of {} at {uri}: {cause} (the `migrate-address` of {} in the cluster file says how it does)",
        request.from, request.to, request.to
    )
}

#[cfg(test)]
mod tests {
    use vmpack_domain::units::Micros;

    use super::*;

    fn request(mode: Mode) -> MigrationRequest {
        MigrationRequest {
            guest: "web".parse().unwrap(),
            from: "h1".parse().unwrap(),
            to: "h2".parse().unwrap(),
            mode,
            stream: Default::default(),
            give_up: Micros::secs(1),
        }
    }

    #[test]
    fn a_target_that_the_source_cannot_reach_is_told_with_its_uri() {
        let request = request(Mode::PostCopy);
        let uri = "qemu+tls://10.0.0.2/system";
        let said =
            format!("operation failed: Failed to connect to remote libvirt URI {uri}: no CA");
        let told = told_why(&request, uri, &said);
        let says = format!("the libvirtd of h1 cannot reach that of h2 at {uri}: no CA (");
        assert!(told.starts_with(&says), "{told}");
        assert_eq!(told_why(&request, uri, "no room"), "no room");
        let bare = "Unable to access credentials /etc/pki/qemu/ca-cert.pem";
        assert!(told_why(&request, uri, bare).contains("stream: plain"));
    }

    #[test]
    fn a_stream_is_asked_for_as_the_request_says() {
        let mut asked = request(Mode::PreCopy);
        asked.stream.parallel = NonZeroU32::new(4);
        asked.stream.tls = true;
        let has = |asked: &MigrationRequest, begin, flag| flags(asked, begin, true) & flag != 0;
        assert!(has(&asked, Begin::Anew, sys::VIR_MIGRATE_PARALLEL));
        assert!(has(&asked, Begin::Anew, sys::VIR_MIGRATE_TLS));
        assert!(!has(&asked, Begin::Anew, sys::VIR_MIGRATE_POSTCOPY));
        asked.mode = Mode::Hybrid;
        asked.stream.tls = false;
        assert!(!has(&asked, Begin::Anew, sys::VIR_MIGRATE_PARALLEL));
        assert!(!has(&asked, Begin::Anew, sys::VIR_MIGRATE_TLS));
        assert!(!has(&asked, Begin::Anew, sys::VIR_MIGRATE_POSTCOPY_RESUME));
        assert!(has(&asked, Begin::Broken, sys::VIR_MIGRATE_POSTCOPY_RESUME));
        assert!(has(&asked, Begin::Broken, sys::VIR_MIGRATE_POSTCOPY));
    }

    #[test]
    fn a_resumed_stream_goes_to_the_host_of_the_first() {
        let host = |address| {
            let (uri, stream) = peer("h2", address);
            stream_host(&uri, stream.as_deref())
        };
        assert_eq!(host(None), "h2");
        assert_eq!(host(Some("10.0.0.2:16514")), "10.0.0.2");
        assert_eq!(host(Some("[fd00::2]:16514")), "[fd00::2]");
        assert_eq!(
            host(Some("qemu+ssh://root@h2.example:22/system")),
            "h2.example"
        );
    }

    #[test]
    fn a_peer_is_reached_by_its_uri_its_address_or_its_name() {
        let check = |address, uri: &str, stream: Option<&str>| {
            assert_eq!(
                peer("h2", address),
                (uri.to_owned(), stream.map(str::to_owned))
            );
        };
        check(
            Some("qemu+tcp://10.0.0.2/system"),
            "qemu+tcp://10.0.0.2/system",
            None,
        );
        check(
            Some("10.0.0.2"),
            "qemu+tls://10.0.0.2/system",
            Some("tcp://10.0.0.2"),
        );
        check(
            Some("fd00::2"),
            "qemu+tls://[fd00::2]/system",
            Some("tcp://[fd00::2]"),
        );
        check(
            Some("[fd00::2]"),
            "qemu+tls://[fd00::2]/system",
            Some("tcp://[fd00::2]"),
        );
        check(
            Some("h2.example:16515"),
            "qemu+tls://h2.example:16515/system",
            Some("tcp://h2.example"),
        );
        check(
            Some("[fd00::2]:16515"),
            "qemu+tls://[fd00::2]:16515/system",
            Some("tcp://[fd00::2]"),
        );
        check(None, "qemu+tls://h2/system", None);
    }
}
