//! A guest's dirty rate, which QEMU measures when it is asked to. It takes a connection that may
//! act.

use std::collections::BTreeMap;

use uuid::Uuid;
use virt::domain::Domain;
use virt_sys as sys;

use super::connection::Connection;
use super::description::{Accelerator, describe};
use super::door::{Figure, start_dirty_rate, statistics};
use super::refused;
use super::vcpus::idle;
use crate::Error;

/// How QEMU measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DirtyMode {
    /// By the dirty log of KVM: counts every page.
    Bitmap,
    /// By hashes of some pages, before and after: a lower bound.
    Sampling,
}

/// A connection by which dirty rates are measured.
#[derive(Debug)]
pub struct DirtyRates {
    uri: String,
    connection: Connection,
}

impl DirtyRates {
    /// Connects with the right to act.
    ///
    /// # Errors
    /// When the daemon cannot be reached or grants only looking.
    pub fn open(uri: &str) -> Result<Self, Error> {
        Ok(Self {
            uri: uri.to_owned(),
            connection: Connection::open(uri, uri)?,
        })
    }

    /// Has QEMU measure the guest for so many seconds, from now on. `kvm` says whether its vCPU
    /// threads are KVM's.
    ///
    /// # Errors
    /// When the guest is gone, is being migrated (its dirty log then serves the migration, and libvirt
    /// would keep us waiting) or QEMU refuses.
    pub fn start(&self, guest: Uuid, kvm: bool, seconds: u8) -> Result<DirtyMode, Error> {
        let failed = |e: virt::error::Error| refused(&self.uri, &e);
        let domain = Domain::lookup_by_uuid(&self.connection, guest).map_err(failed)?;
        idle(&domain, &self.uri)?;
        let xml = domain.get_xml_desc(0).map_err(failed)?;
        let accelerator = describe(&xml).map_or(Accelerator::Other, |d| d.accelerator);
        let mode = mode(accelerator, kvm);
        start_dirty_rate(&domain, mode == DirtyMode::Bitmap, seconds).map_err(failed)?;
        Ok(mode)
    }

    /// The rates that have been measured, in MiB/s, rounded down by QEMU.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn measured(&self) -> Result<BTreeMap<Uuid, u64>, Error> {
        let all = statistics(&self.connection, sys::VIR_DOMAIN_STATS_DIRTYRATE);
        let all = all.map_err(|e| refused(&self.uri, &e))?;
        let done = u64::from(sys::VIR_DOMAIN_DIRTYRATE_MEASURED);
        let rate = |figures: &BTreeMap<String, Figure>| {
            let figure = |name| figures.get(name).and_then(Figure::count);
            (figure("dirtyrate.calc_status") == Some(done))
                .then(|| figure("dirtyrate.megabytes_per_second"))
                .flatten()
        };
        let rates = all
            .iter()
            .filter_map(|one| Some((one.uuid, rate(&one.figures)?)));
        Ok(rates.collect())
    }
}

/// A guest without KVM has no dirty log, and QEMU 7.2 crashes when it is asked for one. So its
/// description and its threads must both say KVM.
fn mode(accelerator: Accelerator, kvm: bool) -> DirtyMode {
    if accelerator == Accelerator::Kvm && kvm {
        DirtyMode::Bitmap
    } else {
        DirtyMode::Sampling
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_guest_that_is_kvms_for_sure_is_asked_for_its_log() {
        assert_eq!(mode(Accelerator::Kvm, true), DirtyMode::Bitmap);
        for (accelerator, kvm) in [
            (Accelerator::Kvm, false),
            (Accelerator::Tcg, true),
            (Accelerator::Tcg, false),
            (Accelerator::Other, true),
        ] {
            assert_eq!(
                mode(accelerator, kvm),
                DirtyMode::Sampling,
                "{accelerator:?}"
            );
        }
    }
}
