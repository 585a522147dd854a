//! Guests are held to what they have reserved where more is wanted than there is and no move ends that.
//!
//! Without it those that want most get most. By CPU shares each has at least what it has reserved, and the
//! rest is divided among all (see [`crate::shares`]). As they were before they are again once the host is calm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;

use vmpack_domain::relief::Relief;
use vmpack_domain::units::Micros;
use vmpack_domain::{GuestName, HostName};
use vmpack_hypervisor::Hypervisor;
use vmpack_planner::relieve::FIRST;
use vmpack_planner::watch::Phase;

use super::audit::Entry;
use super::{Lines, Mode, Shell};
use crate::shares::{Held, give_back, hold_noting};

/// So long a host is calm before its guests are let go: an overload that comes and goes sets no shares each time.
const CALM: Micros = Micros::secs(5);

impl Shell<'_> {
    /// Takes in of which hosts the guests are to be held.
    pub(super) fn is_to_hold(&mut self, relief: &Relief) {
        let held: BTreeSet<&GuestName> = relief.hold.iter().collect();
        let left: BTreeSet<&HostName> = relief.left.iter().map(|l| &l.host).collect();
        let guests = self.watch.cluster().guests.iter();
        let guests = guests.filter(|g| held.contains(&g.name));
        let hosts = guests.filter_map(|g| g.host.as_ref());
        self.stays = hosts.filter(|h| left.contains(h)).cloned().collect();
    }

    /// Holds the guests of hosts that stay overloaded, and lets those go whose host is calm.
    pub(super) fn hold(&mut self, lines: &mut Lines) -> std::io::Result<()> {
        let now = self.now();
        let phase = |host: &HostName| self.watch.phase(host);
        for (host, calm) in &mut self.held {
            *calm = (phase(host) == Phase::Calm).then(|| calm.unwrap_or(now));
        }
        // In its first moments an overload is measured too high.
        let lasts = |host: &HostName| matches!(phase(host), Phase::Overloaded(since) if since + FIRST <= now);
        let new = self
            .stays
            .iter()
            .filter(|h| !self.held.contains_key(*h) && lasts(h));
        let new: Vec<HostName> = new.cloned().collect();
        let over = self
            .held
            .iter()
            .filter(|(_, calm)| calm.is_some_and(|t| t + CALM <= now));
        let over: Vec<HostName> = over.map(|(host, _)| host.clone()).collect();
        let carried_out = self.terms.mode == Mode::Auto;
        for (changed, holds) in [(new, true), (over, false)] {
            if changed.is_empty() {
                continue;
            }
            let hosts = changed.iter().map(HostName::as_str).collect();
            let entry = match holds {
                true => Entry::Held { hosts, carried_out },
                false => Entry::LetGo { hosts, carried_out },
            };
            self.write(lines, &entry)?;
            for host in changed {
                if carried_out {
                    (lines.hold)(&host, holds);
                }
                match holds {
                    true => self.held.insert(host, None),
                    false => self.held.remove(&host),
                };
            }
        }
        Ok(())
    }
}

/// Holds hosts' guests and lets them go as it is asked to, and all when nobody asks any more. What cannot be
/// done is told once of each host. Blocks.
pub fn keep(
    hypervisor: &dyn Hypervisor,
    asked: &Receiver<(HostName, bool)>,
    mut told: impl FnMut(HostName, String),
) {
    let mut held: BTreeMap<HostName, Held> = BTreeMap::new();
    let mut warned = BTreeSet::new();
    let give_back = |host: &HostName, held: Option<Held>| {
        let held = held.unwrap_or_default();
        give_back(hypervisor, host, &held).map_err(|e| e.to_string())
    };
    for (host, holds) in asked {
        let done = if holds {
            let noted = held.entry(host.clone()).or_default();
            match hold_noting(hypervisor, &host, noted) {
                Ok(Some(false)) => {
                    Err("as they are read back, the CPU shares are not as they were set".to_owned())
                }
                Ok(_) => Ok(()),
                Err(e) => Err(e.to_string()),
            }
        } else {
            let noted = held.remove(&host);
            give_back(&host, noted)
        };
        if let Err(why) = done
            && warned.insert(host.clone())
        {
            told(host, why);
        }
    }
    for (host, noted) in held {
        if let Err(why) = give_back(&host, Some(noted)) {
            tracing::warn!(
                "guests on {host} keep the CPU shares that hold what is reserved: {why}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::cluster;
    use vmpack_domain::units::MilliCores;
    use vmpack_domain::{Cluster, Load};
    use vmpack_hypervisor::sim;
    use vmpack_hypervisor::simulated::Simulated;

    fn filled() -> Cluster {
        let names: Vec<String> = (0..12).map(|i| format!("g{i}")).collect();
        let mut guests: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "h1")).collect();
        guests.push(("own", "h1"));
        let mut hosts = cluster(&["h1", "h2"], &guests);
        hosts.guests[12].reserved = MilliCores::cores(1);
        hosts
    }

    #[test]
    fn guests_are_held_let_go_again_and_a_host_that_cannot_is_told_of_once() {
        let world = Simulated::new(filled(), Load::default(), sim::Options::default());
        let (h1, none): (HostName, HostName) = ("h1".parse().unwrap(), "h9".parse().unwrap());
        let shares = || {
            let found = world.weights(&h1).unwrap().unwrap();
            let own = found.guests.iter().find(|g| g.guest.as_str() == "own");
            own.unwrap().shares
        };
        let before = shares();
        let mut told = Vec::new();
        let mut ask = |asks: &[(&HostName, bool)], check: &mut dyn FnMut()| {
            let (say, asked) = std::sync::mpsc::channel();
            for (host, holds) in asks {
                say.send(((*host).clone(), *holds)).unwrap();
            }
            std::thread::scope(|scope| {
                let world = &world;
                let kept = scope.spawn(move || {
                    let mut told = Vec::new();
                    keep(world, &asked, |host, why| told.push((host, why)));
                    told
                });
                check();
                drop(say);
                told.extend(kept.join().unwrap());
            });
        };
        // Twice in a row holds as once; it is let go at the latest when nobody asks any more.
        ask(&[(&h1, true), (&h1, true)], &mut || {
            let began = std::time::Instant::now();
            while shares() == before {
                assert!(began.elapsed() < std::time::Duration::from_secs(10));
                std::thread::yield_now();
            }
        });
        assert_eq!(shares(), before);
        ask(
            &[
                (&h1, true),
                (&h1, false),
                (&none, true),
                (&none, false),
                (&none, true),
            ],
            &mut || {},
        );
        assert_eq!(shares(), before);
        let hosts: Vec<&str> = told.iter().map(|(host, _)| host.as_str()).collect();
        assert_eq!(hosts, ["h9"], "{told:?}");
    }
}
