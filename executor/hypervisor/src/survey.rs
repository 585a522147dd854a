//! Several hosts as they are now, each asked by itself.

use std::collections::BTreeMap;

use vmpack_domain::{Cluster, GuestName, HostName};

use crate::{Error, Hypervisor};

/// What several hosts say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// Those that answer, with what they hold.
    pub cluster: Cluster,
    /// Those that do not, in the order in which they were given, and why.
    pub silent: Vec<(HostName, Error)>,
}

impl Survey {
    /// What they say, if all of them do.
    ///
    /// # Errors
    /// Why the first that is silent is.
    pub fn all(self) -> Result<Cluster, Error> {
        match self.silent.into_iter().next() {
            None => Ok(self.cluster),
            Some((_, why)) => Err(why),
        }
    }
}

/// Asks those hosts at once. A guest of which several hold a part counts where it is `expected`, if that is one
/// of them, else at the last of them in the order given.
#[must_use]
pub fn survey<'a>(
    hypervisor: &dyn Hypervisor,
    hosts: &[&HostName],
    expected: impl Fn(&GuestName) -> Option<&'a HostName>,
) -> Survey {
    let answers: Vec<Result<Cluster, Error>> = std::thread::scope(|scope| {
        let ask = |host: &'_ &HostName| {
            let host = (*host).clone();
            scope.spawn(move || hypervisor.survey(&host))
        };
        let asked: Vec<_> = hosts.iter().map(ask).collect();
        let joined = asked.into_iter().map(|thread| {
            let broken = |panic| std::panic::resume_unwind(panic);
            thread.join().unwrap_or_else(broken)
        });
        joined.collect()
    });
    let mut survey = Survey::default();
    let mut known: BTreeMap<GuestName, usize> = BTreeMap::new();
    for (host, answer) in hosts.iter().zip(answers) {
        let found = match answer {
            Ok(found) => found,
            Err(why) => {
                survey.silent.push(((*host).clone(), why));
                continue;
            }
        };
        survey.cluster.hosts.extend(found.hosts);
        let guests = &mut survey.cluster.guests;
        for guest in found.guests {
            match known.get(&guest.name).and_then(|at| guests.get_mut(*at)) {
                None => {
                    known.insert(guest.name.clone(), guests.len());
                    guests.push(guest);
                }
                Some(other) if other.host.as_ref() == expected(&guest.name) => {}
                Some(other) => *other = guest,
            }
        }
    }
    survey
}

#[cfg(test)]
mod tests {
    use vmpack_domain::Load;
    use vmpack_domain::plan::Mode;
    use vmpack_domain::units::Micros;
    use vmpack_sim::{Fault, Options, Request, Trouble, When};

    use super::*;
    use crate::simulated::Simulated;

    #[test]
    fn a_guest_of_two_hosts_counts_where_it_is_expected_and_who_is_silent_is_told() {
        let cluster: Cluster = serde_yaml::from_str(
            "hosts:
  - { name: h1, cpu: 4cores, memory: 8GiB, network: 100MiB/s, state: on }
  - { name: h2, cpu: 4cores, memory: 8GiB, network: 100MiB/s, state: on }
  - { name: h3, cpu: 4cores, memory: 8GiB, network: 100MiB/s, state: on }
guests:
  - { name: a, vcpus: 1, memory: 1GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 1GiB, host: h2 }
",
        )
        .unwrap();
        let dies = Fault {
            when: When::At(Micros::ZERO),
            what: Trouble::Dies("h3".parse().unwrap()),
        };
        let options = Options {
            faults: vec![dies],
            ..Options::default()
        };
        let world = Simulated::new(cluster.clone(), Load::default(), options);
        world.wait(Micros(1));
        let [h1, h2, h3]: [HostName; 3] = ["h1", "h2", "h3"].map(|h| h.parse().unwrap());
        let begun = world.change(|world| {
            world.start_migration(Request {
                guest: "a".parse().unwrap(),
                from: h1.clone(),
                to: h2.clone(),
                mode: Mode::PreCopy,
                bandwidth: None,
                give_up: Micros::secs(100),
            })
        });
        begun.unwrap();
        let at = |hosts: &[&HostName], expected: Option<&HostName>| {
            let found = survey(&world, hosts, |_| expected);
            let silent: Vec<HostName> = found.silent.into_iter().map(|(host, _)| host).collect();
            (found.cluster.placement()["a"].clone(), silent)
        };
        assert_eq!(at(&[&h1, &h2], None), (h2.clone(), vec![]));
        assert_eq!(at(&[&h2, &h1], None), (h1.clone(), vec![]));
        assert_eq!(at(&[&h1, &h2], Some(&h1)), (h1.clone(), vec![]));
        assert_eq!(at(&[&h2, &h1], Some(&h2)), (h2.clone(), vec![]));
        assert_eq!(at(&[&h3, &h1], Some(&h3)), (h1.clone(), vec![h3.clone()]));
        assert!(survey(&world, &[&h1, &h3], |_| None).all().is_err());
    }
}
