//! What a migration that is over may leave at its source: where the source's libvirtd died in split
//! state, nobody lets its half go once all of it was sent, and nobody undefines it there.
//!
//! A half is destroyed only where three say that nobody needs it: the target's libvirt, that the guest
//! runs there and is in no migration; the source's, that its half stands still and no job is at it; and
//! the source's QEMU, that its migration is completed, which it says once the target has acknowledged
//! the last page. That is what libvirt itself goes by when it ends a migration.

use virt::domain::Domain;
use virt::error::Error as VirtError;
use virt_sys as sys;
use vmpack_domain::GuestName;

use super::monitor::command;
use super::{Door, refused, state};
use crate::{Error, GuestState};

/// See [`crate::Hypervisor::tidy`].
pub(super) fn tidy(from: &Door, to: &Door, guest: &GuestName) -> Result<(), Error> {
    let source = from.control()?;
    let Some(rest) = from.find(&source, guest)? else {
        return Ok(());
    };
    let target = to.control()?;
    let not_there = || Error::NotThere {
        guest: guest.clone(),
        host: to.name.clone(),
    };
    let whole = to.find(&target, guest)?.ok_or_else(not_there)?;
    let at_source = |e: VirtError| refused(from.name.as_str(), &e);
    let at_target = |e: VirtError| refused(to.name.as_str(), &e);
    let needed = |why: &str| {
        Err(Error::Refused {
            host: from.name.to_string(),
            cause: format!("what is left of guest {guest} there stays: {why}"),
        })
    };
    if rest.get_uuid().map_err(at_source)? != whole.get_uuid().map_err(at_target)? {
        return needed("it is another guest of that name");
    }
    if state::state_of(&whole).map_err(at_target)? != GuestState::Running {
        return needed(&format!("it does not run whole on {}", to.name));
    }
    match state::state_of(&rest).map_err(at_source)? {
        GuestState::Off | GuestState::Crashed => {}
        GuestState::Running => return needed("it runs there"),
        GuestState::PostCopyFailed => return needed("its post-copy is said to be broken"),
        GuestState::Paused | GuestState::Migrating => {
            if rest.get_job_info().is_ok_and(|job| is_at_work(job.r#type)) {
                return needed("a job is at it");
            }
            let said = command(&rest, r#"{"execute":"query-migrate"}"#);
            if !said.as_deref().is_ok_and(is_completed) {
                return needed("its QEMU does not say that all of it was sent");
            }
            tracing::warn!(
                "the half of guest {guest} on {}, all of which was sent to {}, is destroyed",
                from.name,
                to.name
            );
            // The definition goes by the order below, if it has one.
            rest.destroy().map_err(at_source)?;
        }
    }
    if from.find(&source, guest)?.is_none() || !rest.is_persistent().map_err(at_source)? {
        return Ok(());
    }
    if !whole.is_persistent().map_err(at_target)? {
        let secure = sys::VIR_DOMAIN_XML_INACTIVE | sys::VIR_DOMAIN_XML_SECURE;
        let xml = rest.get_xml_desc(secure).map_err(at_source)?;
        Domain::define_xml(&target, &xml).map_err(at_target)?;
    }
    // Its firmware's variables are on storage that both ends use, or the guest could not have moved.
    rest.undefine_flags(sys::VIR_DOMAIN_UNDEFINE_KEEP_NVRAM)
        .map_err(at_source)
}

fn is_at_work(job: i32) -> bool {
    let running = [sys::VIR_DOMAIN_JOB_BOUNDED, sys::VIR_DOMAIN_JOB_UNBOUNDED];
    u32::try_from(job).is_ok_and(|job| running.contains(&job))
}

/// Whether a `query-migrate` says that the migration is over and went well.
fn is_completed(answer: &str) -> bool {
    let compact: String = answer.chars().filter(|c| !c.is_whitespace()).collect();
    compact.contains(r#""status":"completed""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_completed_migration_lets_its_half_go() {
        let says = |status: &str| {
            is_completed(&format!(
                r#"{{"return": {{"status": "{status}", "total-time": 5}}, "id": "libvirt-9"}}"#
            ))
        };
        assert!(says("completed"));
        for status in [
            "postcopy-active",
            "postcopy-paused",
            "failed",
            "cancelled",
            "none",
        ] {
            assert!(!says(status), "{status}");
        }
    }

    #[test]
    fn a_running_job_is_waited_for() {
        let code = |job: u32| i32::try_from(job).unwrap();
        assert!(is_at_work(code(sys::VIR_DOMAIN_JOB_UNBOUNDED)));
        assert!(!is_at_work(code(sys::VIR_DOMAIN_JOB_NONE)));
    }
}
