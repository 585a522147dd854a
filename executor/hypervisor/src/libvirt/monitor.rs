//! Resuming a broken post-copy by QEMU's own commands, where libvirt's call is not known to work:
//! `migrate-pause` at the source if it still hopes, `migrate-recover` at the target, `migrate` with
//! `resume` at the source (QEMU's documentation, "Postcopy", section "Network failure recovery").
//! libvirt ends by itself a migration that QEMU completes without it, from 8.5.0 on.
//!
//! Not tried on any version that the table in `recovery.rs` sends here.

use std::time::{Duration, Instant};

use virt::domain::Domain;

use super::order::{peer, stream_host};
use super::state::Verdict;
use super::{Door, migrate, refused, since};
use crate::{MigrationFailure, MigrationReport, MigrationRequest};

/// The first port that targets listen at for a resumed stream, above those that libvirt takes by
/// default, and how many there are.
const PORTS: (u16, u16) = (49_216, 64);
/// How often QEMU is asked how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// Resumes and returns when the source is free or it broke again.
pub(super) fn resume(
    from: &Door,
    to: &Door,
    request: &MigrationRequest,
) -> Result<MigrationReport, MigrationFailure> {
    let started = Instant::now();
    let split = |e: crate::Error| MigrationFailure::Split(e.to_string());
    let (source_end, target_end) = (from.control().map_err(split)?, to.control().map_err(split)?);
    let there = |door: &Door, connection| {
        let found = door.find(connection, &request.guest).map_err(split)?;
        found.ok_or_else(|| {
            MigrationFailure::Unknown(format!("guest {} is not on {}", request.guest, door.name))
        })
    };
    let (source, target) = (there(from, &source_end)?, there(to, &target_end)?);
    let (uri, stream) = peer(to.name.as_str(), to.migrate_address.as_deref());
    let uuid = source
        .get_uuid()
        .map_err(|e| split(refused(from.name.as_str(), &e)))?;
    let port = PORTS.0 + uuid.as_bytes().iter().fold(0, |a, b| a + u16::from(*b)) % PORTS.1;
    let host = stream_host(&uri, stream.as_deref());
    // One that does not hope any more refuses this.
    if let Err(e) = command(&source, r#"{"execute":"migrate-pause"}"#) {
        tracing::debug!(guest = %request.guest, "migrate-pause: {e}");
    }
    let broken = |e: String| MigrationFailure::Split(e);
    let listen =
        format!(r#"{{"execute":"migrate-recover","arguments":{{"uri":"tcp:{host}:{port}"}}}}"#);
    command(&target, &listen).map_err(broken)?;
    let resume = format!(
        r#"{{"execute":"migrate","arguments":{{"uri":"tcp:{host}:{port}","resume":true}}}}"#
    );
    command(&source, &resume).map_err(broken)?;
    // As long as QEMU sends, libvirt has not let the source go.
    while command(&source, r#"{"execute":"query-migrate"}"#).is_ok_and(|said| is_sending(&said)) {
        std::thread::sleep(LOOK);
    }
    match migrate::verdict(from, to, request, true, "post-copy broke again") {
        Verdict::Failed(failure) => Err(failure),
        Verdict::Arrived => Ok(MigrationReport {
            switch: vmpack_domain::units::Micros::ZERO,
            total: since(started),
            downtime: None,
            transferred: vmpack_domain::units::MiB(0),
        }),
    }
}

/// Gives QEMU a command; the answer, or what is wrong with it.
pub(super) fn command(domain: &Domain, json: &str) -> Result<String, String> {
    let answer = domain.qemu_monitor_command(json, 0);
    let answer = answer.map_err(|e| e.message().to_owned())?;
    if answer.contains(r#""error":"#) {
        return Err(answer);
    }
    Ok(answer)
}

/// Whether a `query-migrate` says that memory still goes over.
fn is_sending(answer: &str) -> bool {
    let compact: String = answer.chars().filter(|c| !c.is_whitespace()).collect();
    [
        "postcopy-active",
        "postcopy-recover",
        "postcopy-recover-setup",
        "device",
    ]
    .iter()
    .any(|status| compact.contains(&format!(r#""status":"{status}""#)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qemu_says_whether_it_still_sends() {
        let says = |status: &str| {
            is_sending(&format!(
                r#"{{"return": {{"status": "{status}", "ram": {{"total": 1}}}}, "id": "libvirt-7"}}"#
            ))
        };
        assert!(says("postcopy-active") && says("postcopy-recover"));
        assert!(!says("postcopy-paused") && !says("completed") && !says("failed"));
    }
}
