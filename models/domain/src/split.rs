//! Where guests are in split state, and how many may be at once. A guest whose memory lies on two hosts is
//! lost with either of them, so the fewer there are at one time in what can fail as a whole (a host, its
//! link, a rack), the less one failure takes.
//!
//! A migration that goes into split state counts from its start to its end: when it switches is not known
//! beforehand. With at most n at once, a place has at most n guest-seconds of split state in a second; a
//! budget says how many of them a plan may put there in all.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use crate::HostName;
use crate::plan::Mode;
use crate::units::Micros;

/// What can fail as a whole, and would take guests in split state with it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A host, at either end.
    Host(HostName),
    /// What a host sends over its link.
    Out(HostName),
    /// What it receives over it.
    In(HostName),
    /// The hosts with that value of that label.
    Label(String, String),
    /// All hosts.
    All,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Host(host) => write!(f, "host {host}"),
            Self::Out(host) => write!(f, "the link out of {host}"),
            Self::In(host) => write!(f, "the link into {host}"),
            Self::Label(label, value) => write!(f, "{label} {value}"),
            Self::All => f.write_str("all hosts"),
        }
    }
}

/// What limits and budgets can be of besides labels.
pub const KEYS: [&str; 3] = ["host", "link", "all"];

impl Place {
    /// How many may be in split state there at once, by limits as the policy has them: under `host`,
    /// `link`, a label or `all`.
    #[must_use]
    pub fn limit(&self, limits: &BTreeMap<String, NonZeroU32>) -> Option<NonZeroU32> {
        limits.get(self.key()).copied()
    }

    /// For how long guests may be in split state there together, by budgets under the same names.
    #[must_use]
    pub fn budget(&self, budgets: &BTreeMap<String, Micros>) -> Option<Micros> {
        budgets.get(self.key()).copied()
    }

    /// Under what name limits and budgets have it.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Self::Host(_) => "host",
            Self::Out(_) | Self::In(_) => "link",
            Self::Label(label, _) => label,
            Self::All => "all",
        }
    }
}

/// Where a guest is in split state while it moves so, by its hosts' labels; nowhere by pre-copy. A label that
/// is named as one of [`KEYS`] is none of those places.
#[must_use]
pub fn places<'a>(
    mode: Mode,
    ends: (&HostName, &HostName),
    labels: impl Fn(&HostName) -> Option<&'a BTreeMap<String, String>>,
) -> BTreeSet<Place> {
    let mut found = BTreeSet::new();
    if mode == Mode::PreCopy {
        return found;
    }
    let (from, to) = ends;
    found.insert(Place::All);
    found.insert(Place::Out(from.clone()));
    found.insert(Place::In(to.clone()));
    for host in [from, to] {
        found.insert(Place::Host(host.clone()));
        let labels = labels(host).into_iter().flatten();
        for (label, value) in labels.filter(|(label, _)| !KEYS.contains(&label.as_str())) {
            found.insert(Place::Label(label.clone(), value.clone()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_in_split_state_counts_at_both_hosts_their_link_and_their_racks() {
        let [h1, h2]: [HostName; 2] = ["h1", "h2"].map(|h| h.parse().expect("a plain name"));
        let rack = |name: &str| BTreeMap::from([("rack".to_owned(), name.to_owned())]);
        let all = |mode, racks: [&str; 2]| {
            let of = [(h1.clone(), rack(racks[0])), (h2.clone(), rack(racks[1]))];
            let of = BTreeMap::from(of);
            let found = places(mode, (&h1, &h2), |h| of.get(h));
            let words: Vec<String> = found.iter().map(Place::to_string).collect();
            words.join(", ")
        };
        let hosts = "host h1, host h2, the link out of h1, the link into h2";
        assert_eq!(
            all(Mode::PostCopy, ["a", "a"]),
            format!("{hosts}, rack a, all hosts")
        );
        assert_eq!(
            all(Mode::Hybrid, ["a", "b"]),
            format!("{hosts}, rack a, rack b, all hosts")
        );
        assert_eq!(all(Mode::PreCopy, ["a", "b"]), "");
        let label = BTreeMap::from([("all".to_owned(), "x".to_owned())]);
        let found = places(Mode::PostCopy, (&h1, &h2), |_| Some(&label));
        assert!(
            !found.iter().any(|p| matches!(p, Place::Label(..))),
            "{found:?}"
        );
    }

    #[test]
    fn limits_are_named_by_what_they_are_of() {
        let two = NonZeroU32::MIN.saturating_add(1);
        let limits = BTreeMap::from([
            ("link".to_owned(), NonZeroU32::MIN),
            ("rack".to_owned(), two),
        ]);
        let host: HostName = "h1".parse().expect("a plain name");
        let rack = Place::Label("rack".to_owned(), "a".to_owned());
        assert_eq!(rack.limit(&limits), Some(two));
        assert_eq!(
            Place::In(host.clone()).limit(&limits),
            Some(NonZeroU32::MIN)
        );
        assert_eq!(Place::Host(host).limit(&limits), None);
        let minute = BTreeMap::from([("all".to_owned(), Micros::secs(60))]);
        assert_eq!(Place::All.budget(&minute), Some(Micros::secs(60)));
        assert_eq!(rack.budget(&minute), None);
    }
}
