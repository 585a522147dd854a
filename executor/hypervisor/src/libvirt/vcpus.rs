//! A guest's vCPU threads as QEMU itself tells of them. It takes a connection that may act, and libvirt
//! marks the guest as tainted (`custom-monitor`) until it ends: so only on request.

use uuid::Uuid;
use virt::domain::Domain;
use virt_sys as sys;

use super::connection::Connection;
use super::refused;
use crate::Error;

/// What QEMU answers to `query-cpus-fast`, in JSON. The numbers of the threads are those of QEMU's PID
/// namespace.
///
/// # Errors
/// When the daemon cannot be reached or grants only looking, the guest is gone, or a migration or
/// another job runs on it, behind which libvirt would keep us waiting.
pub fn ask_vcpus(uri: &str, guest: Uuid) -> Result<String, Error> {
    let connection = Connection::open(uri, uri)?;
    let failed = |e: virt::error::Error| refused(uri, &e);
    let domain = Domain::lookup_by_uuid(&connection, guest).map_err(failed)?;
    idle(&domain, uri)?;
    let command = r#"{"execute":"query-cpus-fast"}"#;
    domain.qemu_monitor_command(command, 0).map_err(failed)
}

/// That no job of libvirt's runs on the domain.
pub(super) fn idle(domain: &Domain, uri: &str) -> Result<(), Error> {
    let job = domain.get_job_info().map_err(|e| refused(uri, &e))?;
    if u32::try_from(job.r#type) == Ok(sys::VIR_DOMAIN_JOB_NONE) {
        return Ok(());
    }
    Err(Error::Refused {
        host: uri.to_owned(),
        cause: "a migration or another job of libvirt's runs on it".to_owned(),
    })
}
