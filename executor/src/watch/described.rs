//! The cluster's files changed under a watch: what of that it takes in.

use std::collections::BTreeSet;

use vmpack_domain::relief::Flight;
use vmpack_domain::{Cluster, Guest, GuestName, Host, HostName, HostState};

use super::audit::Entry;
use super::{Lines, Shell};

/// The cluster as it is described now. Where a guest is that is known, and which hosts sleep, is known better
/// here than in any file; a guest under way stays until it has arrived.
///
/// # Errors
/// That hosts came or went, or are reached in another way: probes and libvirt are connected as they were.
pub(crate) fn merged(
    known: &Cluster,
    flights: &[Flight],
    mut described: Cluster,
) -> Result<Cluster, String> {
    let names = |cluster: &Cluster| -> BTreeSet<HostName> {
        cluster.hosts.iter().map(|h| h.name.clone()).collect()
    };
    let (old, new) = (names(known), names(&described));
    let list = |names: BTreeSet<&HostName>| {
        let names: Vec<&str> = names.into_iter().map(HostName::as_str).collect();
        names.join(", ")
    };
    let other: BTreeSet<&HostName> = old.symmetric_difference(&new).collect();
    if !other.is_empty() {
        return Err(format!(
            "host {} came or went: restart this to take it in",
            list(other)
        ));
    }
    let ways = |host: &Host| {
        let (uri, address) = (host.uri.clone(), host.migrate_address.clone());
        (uri, address, host.probe.clone())
    };
    for host in &mut described.hosts {
        let Some(before) = known.host(&host.name) else {
            continue;
        };
        if ways(before) != ways(host) {
            let name = &host.name;
            return Err(format!(
                "host {name} is reached in another way: restart this to take that in"
            ));
        }
        let by_itself = |state| matches!(state, HostState::On | HostState::Asleep);
        if by_itself(before.state) && by_itself(host.state) {
            host.state = before.state;
        }
    }
    for guest in &mut described.guests {
        if let Some(at) = known.guest(&guest.name).and_then(|g| g.host.clone()) {
            guest.host = Some(at);
        }
    }
    let under_way = |g: &&Guest| flights.iter().any(|f| f.guest == g.name);
    let gone = |g: &&Guest| described.guest(&g.name).is_none();
    let kept = known.guests.iter().filter(under_way).filter(gone);
    let kept: Vec<Guest> = kept.cloned().collect();
    described.guests.extend(kept);
    Ok(described)
}

impl Shell<'_> {
    /// The cluster's files were read anew, or could not be.
    pub(super) fn described(
        &mut self,
        lines: &mut Lines,
        described: Result<Cluster, String>,
    ) -> std::io::Result<()> {
        let known = self.watch.cluster();
        let names = |cluster: &Cluster| -> BTreeSet<GuestName> {
            cluster.guests.iter().map(|g| g.name.clone()).collect()
        };
        let old = names(known);
        let merged = described.and_then(|d| merged(known, self.watch.flights(), d));
        let cluster = match merged {
            Ok(cluster) => cluster,
            Err(why) => return self.write(lines, &Entry::Unchanged { why: &why }),
        };
        let new = names(&cluster);
        let only = |these: &BTreeSet<GuestName>, those: &BTreeSet<GuestName>| -> Vec<String> {
            these.difference(those).map(ToString::to_string).collect()
        };
        let entry = Entry::Cluster {
            guests: new.len(),
            came: only(&new, &old),
            gone: only(&old, &new),
        };
        self.write(lines, &entry)?;
        let heard = vmpack_planner::watch::Heard::Cluster(cluster);
        self.watch.hear(heard, self.now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;

    fn flight(guest: &str, from: &str, to: &str) -> Flight {
        Flight {
            guest: guest.parse().unwrap(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            demand: vmpack_domain::units::MilliCores(500),
            margin: vmpack_domain::units::MilliCores::ZERO,
            memory: vmpack_domain::units::MiB(1024),
        }
    }

    #[test]
    fn guests_come_and_go_and_who_is_known_stays_where_it_is() {
        let known = cluster(&["h1", "h2"], &[("a", "h1"), ("b", "h1"), ("c", "h2")]);
        let described = cluster(&["h1", "h2"], &[("a", "h2"), ("d", "h2")]);
        let taken = merged(&known, &[flight("b", "h1", "h2")], described).unwrap();
        let place = |name: &str| {
            let guest = taken.guest(&name.parse().unwrap());
            guest.map(|g| g.host.as_ref().unwrap().to_string())
        };
        assert_eq!(place("a").as_deref(), Some("h1"));
        assert_eq!(place("b").as_deref(), Some("h1"), "it is under way");
        assert_eq!(place("c"), None);
        assert_eq!(place("d").as_deref(), Some("h2"));
    }

    #[test]
    fn an_operator_takes_a_host_out_and_sleep_is_known_here() {
        use HostState::{Asleep, Drain, On, Out};
        for (known_as, said, taken_as) in [
            (On, Asleep, On),
            (Asleep, On, Asleep),
            (On, Drain, Drain),
            (Asleep, Out, Out),
            (Drain, On, On),
            (Out, Asleep, Asleep),
        ] {
            let mut known = cluster(&["h1"], &[]);
            let mut described = known.clone();
            known.hosts[0].state = known_as;
            described.hosts[0].state = said;
            let taken = merged(&known, &[], described).unwrap();
            assert_eq!(taken.hosts[0].state, taken_as, "{known_as:?} {said:?}");
        }
    }

    #[test]
    fn hosts_that_come_go_or_move_are_not_taken_in() {
        let known = cluster(&["h1", "h2"], &[]);
        for (described, says) in [
            (cluster(&["h1"], &[]), "host h2 came or went"),
            (cluster(&["h1", "h3"], &[]), "host h2, h3 came or went"),
        ] {
            let why = merged(&known, &[], described).unwrap_err();
            assert!(why.contains(says), "{why}");
        }
        let mut described = known.clone();
        described.hosts[1].uri = Some("qemu+tls://elsewhere/system".into());
        let why = merged(&known, &[], described).unwrap_err();
        assert!(why.contains("h2 is reached in another way"), "{why}");
    }
}
