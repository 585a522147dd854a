//! The hosts as they are now, as far as they answer. What was last known of a host that does not counts as
//! being so still: a guest there may well run, so nobody may be put where it would be too much with it.

use std::collections::BTreeSet;

use vmpack_domain::{Cluster, HostName};
use vmpack_hypervisor::{Error, Hypervisor, survey};

/// What is seen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sight {
    /// All hosts, and their guests where they are, or were when they were last seen.
    pub cluster: Cluster,
    /// Those of the hosts that are to be awake and do not answer.
    pub silent: BTreeSet<HostName>,
}

impl From<Cluster> for Sight {
    /// All of it was seen.
    fn from(cluster: Cluster) -> Self {
        let silent = BTreeSet::new();
        Self { cluster, silent }
    }
}

/// Asks the hosts; `known` is what was last known of them. Blocks.
///
/// # Errors
/// When none of them answers, or what one answers makes no sense.
pub fn look(hypervisor: &dyn Hypervisor, known: &Cluster) -> Result<Sight, Error> {
    let unreachable = |e: &Error| matches!(e, Error::Unreachable { .. });
    let why = match hypervisor.snapshot() {
        Ok(cluster) => return Ok(cluster.into()),
        Err(why) if unreachable(&why) => why,
        Err(why) => return Err(why),
    };
    let awake = known.hosts.iter().filter(|h| h.state.is_awake());
    let awake: Vec<&HostName> = awake.map(|h| &h.name).collect();
    let at = known.placement();
    let found = survey(hypervisor, &awake, |guest| at.get(guest));
    if found.cluster.hosts.is_empty() {
        return Err(why);
    }
    let mut silent = BTreeSet::new();
    for (host, why) in found.silent {
        if !unreachable(&why) {
            return Err(why);
        }
        silent.insert(host);
    }
    let cluster = completed(found.cluster, known, &silent);
    Ok(Sight { cluster, silent })
}

/// What was seen, with what is known of hosts that were not asked or are silent.
fn completed(seen: Cluster, known: &Cluster, silent: &BTreeSet<HostName>) -> Cluster {
    let hosts: BTreeSet<&HostName> = seen.hosts.iter().map(|h| &h.name).collect();
    let unseen = known.hosts.iter().filter(|h| !hosts.contains(&h.name));
    let mut unseen: Vec<_> = unseen.cloned().collect();
    unseen.retain(|h| silent.contains(&h.name) || !h.state.is_awake());
    let names: BTreeSet<_> = seen.guests.iter().map(|g| &g.name).collect();
    let there = |host: &HostName| unseen.iter().any(|h| h.name == *host);
    let guests = known.guests.iter().filter(|g| {
        // One that was on a host that answers is gone from there.
        !names.contains(&g.name) && g.host.as_ref().is_none_or(there)
    });
    let guests: Vec<_> = guests.cloned().collect();
    let mut cluster = seen;
    cluster.hosts.extend(unseen);
    cluster.guests.extend(guests);
    cluster.hosts.sort_by(|a, b| a.name.cmp(&b.name));
    cluster.guests.sort_by(|a, b| a.name.cmp(&b.name));
    cluster
}

#[cfg(test)]
mod tests {
    use vmpack_domain::{GuestName, HostState};

    use super::*;
    use crate::fixture::cluster;

    #[test]
    fn what_is_known_of_a_silent_host_counts_and_of_one_that_answers_only_what_it_says() {
        let mut known = cluster(
            &["h1", "h2", "h3", "h4"],
            &[
                ("a", "h1"),
                ("b", "h2"),
                ("c", "h2"),
                ("off", "h1"),
                ("e", "h4"),
            ],
        );
        known.hosts[3].state = HostState::Asleep;
        // C came to h3 meanwhile, and `off` was switched off.
        let seen = cluster(&["h1", "h3"], &[("a", "h1"), ("c", "h3")]);
        let silent = BTreeSet::from(["h2".parse().unwrap()]);
        let all = completed(seen, &known, &silent);
        let at = |guest: &str| {
            let guest: GuestName = guest.parse().unwrap();
            all.guest(&guest)
                .and_then(|g| g.host.clone())
                .map(|h| h.to_string())
        };
        let places = ["a", "b", "c", "off", "e"].map(at);
        assert_eq!(
            places.map(Option::unwrap_or_default),
            ["h1", "h2", "h3", "", "h4"]
        );
        let hosts: Vec<&str> = all.hosts.iter().map(|h| h.name.as_str()).collect();
        assert_eq!(hosts, ["h1", "h2", "h3", "h4"]);
        assert_eq!(all.hosts[3].state, HostState::Asleep);
    }
}
