//! The CPU shares of guests, by libvirt's scheduler parameter `cpu_shares`. The kernel divides a host's
//! CPU by them where more is wanted than there is; libvirt's are 2 to 262144 and 1024 where nothing was set
//! by version 1 of cgroups, 1 to 10000 and 100 by version 2. Only what they are of one another counts.

use virt::domain::{Domain, SchedulerInfo};
use virt::error::{Error as VirtError, ErrorNumber};
use virt_sys as sys;
use vmpack_domain::Guest;

use super::{Door, refused};
use crate::{Error, Weight, Weights};

/// See [`crate::Hypervisor::weights`].
pub(super) fn weights(door: &Door, given: &[Guest]) -> Result<Option<Weights>, Error> {
    let reserves = |g: &&Guest| g.reserved.0 > 0;
    let Some(host) = door
        .given
        .clone()
        .filter(|_| given.iter().any(|g| reserves(&g)))
    else {
        return Ok(None);
    };
    let connection = door.control()?;
    let refused = |e: VirtError| refused(door.name.as_str(), &e);
    let active = sys::VIR_CONNECT_LIST_DOMAINS_ACTIVE;
    let mut there = Vec::new();
    for domain in connection.list_all_domains(active).map_err(refused)? {
        match domain.get_name() {
            Ok(name) => there.push((name, domain)),
            Err(e) if e.code() == ErrorNumber::NoDomain => {}
            Err(e) => return Err(refused(e)),
        }
    }
    let known = |name: &str| given.iter().find(|g| g.name.as_str() == name);
    let has = |(name, _): &(String, Domain)| known(name).is_some_and(|g| g.reserved.0 > 0);
    if !there.iter().any(has) {
        // Nothing more need be asked of a host where nobody has any.
        return Ok(None);
    }
    let mut guests = Vec::new();
    for (name, domain) in there {
        let shares = match shares(&domain) {
            Ok(shares) => shares,
            // It ended or moved while we read.
            Err(e) if e.code() == ErrorNumber::NoDomain => continue,
            Err(e) => return Err(refused(e)),
        };
        let Some(shares) = shares else {
            return Err(Error::Refused {
                host: door.name.to_string(),
                cause: format!("libvirt does not say what CPU shares guest {name} has"),
            });
        };
        let reserved = known(&name).map(|g| g.reserved).unwrap_or_default();
        let Ok(guest) = name.parse() else { continue };
        guests.push(Weight {
            guest,
            reserved,
            shares,
        });
    }
    let any = guests.iter().any(|g| g.reserved.0 > 0);
    Ok(any.then_some(Weights { host, guests }))
}

/// What the domain has now, where libvirt says so.
fn shares(domain: &Domain) -> Result<Option<u64>, VirtError> {
    let parameters = domain.get_scheduler_parameters_flags(sys::VIR_DOMAIN_AFFECT_LIVE)?;
    Ok(parameters.cpu_shares)
}

/// Sets them while it runs.
pub(super) fn set(domain: &Domain, shares: u64) -> Result<(), VirtError> {
    let wanted = SchedulerInfo {
        cpu_shares: Some(shares),
        ..SchedulerInfo::default()
    };
    domain
        .set_scheduler_parameters_flags(&wanted, sys::VIR_DOMAIN_AFFECT_LIVE)
        .map(|_| ())
}
