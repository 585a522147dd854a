//! What the patterns and selectors of rules name.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::matches;
use crate::cluster::{Cluster, Host};
use crate::name::{GuestName, HostName};

/// The names of a cluster in order, by which rules are resolved.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    guests: BTreeMap<&'a str, &'a GuestName>,
    hosts: BTreeMap<&'a str, &'a Host>,
    labels: BTreeMap<(&'a str, &'a str), Vec<&'a HostName>>,
}

impl<'a> Names<'a> {
    /// Those of that cluster.
    #[must_use]
    pub fn of(cluster: &'a Cluster) -> Self {
        let mut labels: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for host in &cluster.hosts {
            for (label, value) in &host.labels {
                let key = (label.as_str(), value.as_str());
                labels.entry(key).or_default().push(&host.name);
            }
        }
        let guests = cluster.guests.iter().map(|g| (g.name.as_str(), &g.name));
        let hosts = cluster.hosts.iter().map(|h| (h.name.as_str(), h));
        Self {
            guests: guests.collect(),
            hosts: hosts.collect(),
            labels,
        }
    }

    /// The guests that the patterns name, sorted and without doubles.
    ///
    /// # Errors
    /// The first pattern that names no guest of the cluster.
    pub fn guests(&self, patterns: &[String]) -> Result<Vec<&'a GuestName>, String> {
        let mut found = BTreeMap::new();
        for pattern in patterns {
            let mut hit = false;
            for (name, guest) in matching(&self.guests, pattern) {
                hit = true;
                found.insert(name, *guest);
            }
            if !hit {
                return Err(pattern.clone());
            }
        }
        Ok(found.into_values().collect())
    }

    /// The hosts that the selectors name (a name, a pattern with `*`, or `label=value`), sorted and
    /// without doubles.
    ///
    /// # Errors
    /// The first selector that names no host of the cluster.
    pub fn hosts(&self, selectors: &[String]) -> Result<Vec<&'a HostName>, String> {
        let mut found = BTreeMap::new();
        for selector in selectors {
            let before = found.len();
            let mut hit = false;
            let by_label = selector
                .split_once('=')
                .and_then(|key| self.labels.get(&key))
                .map_or(&[][..], Vec::as_slice);
            found.extend(by_label.iter().map(|name| (name.as_str(), *name)));
            for (name, host) in matching(&self.hosts, selector) {
                hit = true;
                found.insert(name, &host.name);
            }
            if !hit && by_label.is_empty() && found.len() == before {
                return Err(selector.clone());
            }
        }
        Ok(found.into_values().collect())
    }
}

/// What a pattern matches; only what begins as the pattern does before its first `*` is looked at.
fn matching<'n, 'a, T>(
    names: &'n BTreeMap<&'a str, T>,
    pattern: &'n str,
) -> impl Iterator<Item = (&'a str, &'n T)> {
    let (prefix, exact) = match pattern.split_once('*') {
        Some((prefix, _)) => (prefix, false),
        None => (pattern, true),
    };
    names
        .range::<str, _>((Bound::Included(prefix), Bound::Unbounded))
        .take_while(move |(name, _)| {
            if exact {
                **name == pattern
            } else {
                name.starts_with(prefix)
            }
        })
        .filter(move |(name, _)| exact || matches(pattern, name))
        .map(|(name, value)| (*name, value))
}

/// As [`Names::guests`], for a single question.
///
/// # Errors
/// The first pattern that names no guest of the cluster.
pub fn guests_named<'a>(
    patterns: &[String],
    cluster: &'a Cluster,
) -> Result<Vec<&'a GuestName>, String> {
    Names::of(cluster).guests(patterns)
}

/// As [`Names::hosts`], for a single question.
///
/// # Errors
/// The first selector that names no host of the cluster.
pub fn hosts_named<'a>(
    selectors: &[String],
    cluster: &'a Cluster,
) -> Result<Vec<&'a HostName>, String> {
    Names::of(cluster).hosts(selectors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_and_labels_name_each_once_and_in_order() {
        let cluster: Cluster = serde_yaml::from_str(
            "hosts:
  - { name: h1, cpu: 1cores, memory: 1GiB, network: 1MiB/s, state: on, labels: { rack: r1 } }
  - { name: h2, cpu: 1cores, memory: 1GiB, network: 1MiB/s, state: on, labels: { rack: r1, a: b } }
  - { name: g3, cpu: 1cores, memory: 1GiB, network: 1MiB/s, state: on }
  - { name: h1=x, cpu: 1cores, memory: 1GiB, network: 1MiB/s, state: on }
guests:
  - { name: web-2, vcpus: 1, memory: 1GiB, host: null }
  - { name: web-10, vcpus: 1, memory: 1GiB, host: null }
  - { name: web, vcpus: 1, memory: 1GiB, host: null }
  - { name: db, vcpus: 1, memory: 1GiB, host: null }
",
        )
        .unwrap();
        let names = Names::of(&cluster);
        let list = |of: &[&str]| of.iter().map(ToString::to_string).collect::<Vec<String>>();
        let guests = |of: &[&str]| {
            let found = names.guests(&list(of));
            found.map(|all| all.iter().map(ToString::to_string).collect::<Vec<String>>())
        };
        let hosts = |of: &[&str]| {
            let found = names.hosts(&list(of));
            found.map(|all| all.iter().map(ToString::to_string).collect::<Vec<String>>())
        };
        assert_eq!(guests(&["web-*", "web-2"]).unwrap(), ["web-10", "web-2"]);
        assert_eq!(guests(&["*"]).unwrap(), ["db", "web", "web-10", "web-2"]);
        assert_eq!(guests(&["*b"]).unwrap(), ["db", "web"]);
        assert_eq!(guests(&["web"]).unwrap(), ["web"]);
        assert_eq!(guests(&["web", "we"]), Err("we".into()));
        assert_eq!(hosts(&["rack=r1", "h2"]).unwrap(), ["h1", "h2"]);
        assert_eq!(hosts(&["h1=x", "g*"]).unwrap(), ["g3", "h1=x"]);
        assert_eq!(hosts(&["rack=r2"]), Err("rack=r2".into()));
        assert_eq!(guests(&[]).unwrap(), [] as [&str; 0]);
    }
}
