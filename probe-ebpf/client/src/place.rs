//! Where the probes of a cluster are.

use std::collections::BTreeMap;

use vmpack_domain::{Cluster, Host, HostName};

use crate::client::{Address, ClientError};

/// Why it is not known where they are.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A flag names another host.
    #[error("read `--probe {0}=...`, and the cluster has no host of that name")]
    Stranger(HostName),
    /// What stands for a host is no address.
    #[error("host {0}: {1}")]
    Address(HostName, ClientError),
    /// No host is awake.
    #[error("the cluster has no host that is awake")]
    Nobody,
}

/// The probe of each host that is awake: what the flags say, else the host's `probe` in the cluster, else
/// as [`derived`] from the host.
///
/// # Errors
/// When a flag names a stranger, an address is none, or no host is awake.
pub fn probes(
    cluster: &Cluster,
    flags: &[(HostName, Address)],
    tls: bool,
) -> Result<BTreeMap<HostName, Address>, PlaceError> {
    let mut flags: BTreeMap<HostName, Address> = flags.iter().cloned().collect();
    if let Some(stranger) = flags.keys().find(|name| cluster.host(name).is_none()) {
        return Err(PlaceError::Stranger(stranger.clone()));
    }
    let mut probes = BTreeMap::new();
    for host in cluster.hosts.iter().filter(|host| host.state.is_awake()) {
        let address = match flags.remove(&host.name) {
            Some(address) => address,
            None => {
                let url = host.probe.clone().unwrap_or_else(|| derived(host, tls));
                url.parse()
                    .map_err(|e| PlaceError::Address(host.name.clone(), e))?
            }
        };
        probes.insert(host.name.clone(), address);
    }
    if probes.is_empty() {
        return Err(PlaceError::Nobody);
    }
    Ok(probes)
}

/// `HOST=URL`, as a flag has it.
///
/// # Errors
/// What is wrong with it.
pub fn place(text: &str) -> Result<(HostName, Address), String> {
    let (host, url) = text.split_once('=').ok_or("expected HOST=URL")?;
    let host = host.parse().map_err(|e| format!("{e}"))?;
    Ok((host, url.parse().map_err(|e| format!("{e}"))?))
}

/// Where a host's probe is if neither the cluster nor a flag says so: at the machine that its
/// libvirt URI names, else at its name; by TLS if there are certificates.
#[must_use]
pub fn derived(host: &Host, tls: bool) -> String {
    let machine = host
        .uri
        .as_deref()
        .and_then(|uri| uri.split_once("://")?.1.split(['/', '?']).next())
        // Without a user, and without the port of another service.
        .map(|authority| {
            authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host)
        })
        .map(|authority| match authority.split_once(']') {
            Some((v6, _)) => format!("{v6}]"),
            None => authority.split(':').next().unwrap_or_default().to_owned(),
        })
        .filter(|machine| !machine.is_empty())
        .unwrap_or_else(|| host.name.to_string());
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{machine}")
}
