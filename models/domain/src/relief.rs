//! The relief of sudden overloads: what is known when it is decided, and what is decided. Judged by
//! [`crate::check::relief`].
//!
//! A host has a *room* of CPU: (1 − [`Policy::overload`]) × (cores × speed − reserve). It is
//! overloaded by as much as its guests are known to want beyond that. What is not known counts on the
//! safe side of each question: nothing for whether a host is overloaded, all of a guest's vCPUs for
//! whether a host has room for one more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cluster::{Cluster, Guest};
use crate::load::Load;
use crate::name::{GuestName, HostName};
use crate::plan::Move;
use crate::policy::Policy;
use crate::units::{MiB, Micros, MilliCores};

/// What is measured of an overload in so long from its beginning overshoots: programs that start take all
/// they get, and who waits for a CPU wants it.
pub const FIRST: Micros = Micros::millis(500);

/// What a guest wants now, in cores of speed 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Demand {
    /// As measured.
    Seen {
        /// Now.
        now: MilliCores,
        /// By how much it exceeded that lately.
        margin: MilliCores,
    },
    /// Its host's probe is silent, or has not told of it.
    Unknown,
    /// It waits for its own memory after a switch, and so looks idle: not believed.
    Starved {
        /// What it wanted before it moved.
        before: MilliCores,
        /// By how much it exceeded that.
        margin: MilliCores,
    },
}

impl Demand {
    /// What the guest surely wants: counted for whether its host is overloaded.
    #[must_use]
    pub fn least(self, guest: &Guest) -> MilliCores {
        match self {
            Self::Seen { now, .. } => now.min(promise(guest)),
            Self::Unknown => MilliCores::ZERO,
            Self::Starved { before, .. } => before.min(promise(guest)),
        }
    }
    /// What it may want: counted for whether its host has room for more.
    #[must_use]
    pub fn most(self, guest: &Guest) -> MilliCores {
        match self {
            Self::Unknown => promise(guest).max(guest.reserved),
            known => known.least(guest).max(guest.reserved),
        }
    }
    /// What is kept free for it at a target beside [`Demand::most`], at least the policy's share of it
    /// (rounded up); never beyond its vCPUs.
    #[must_use]
    pub fn margin(self, guest: &Guest, policy: &Policy) -> MilliCores {
        let (Self::Seen { margin, .. } | Self::Starved { margin, .. }) = self else {
            return MilliCores::ZERO;
        };
        let most = self.most(guest);
        let share = u128::from(most.0) * u128::from(policy.relief.margin.0);
        let share = u64::try_from(share.div_ceil(1000)).unwrap_or(u64::MAX);
        let left = promise(guest).max(guest.reserved).saturating_sub(most);
        margin.max(MilliCores(share)).min(left)
    }
}

fn promise(guest: &Guest) -> MilliCores {
    MilliCores::cores(u64::from(guest.vcpus))
}

/// A migration under way, whoever started it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Flight {
    /// Who.
    pub guest: GuestName,
    /// From where: its memory is there until the end.
    pub from: HostName,
    /// To where: it counts there from the decision on, with the demand it had.
    pub to: HostName,
    /// What it wanted when it was decided.
    pub demand: MilliCores,
    /// What is kept free for it besides.
    pub margin: MilliCores,
    /// Memory that leaves the source.
    pub memory: MiB,
}

/// A move that was started lately, those under way among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Past {
    /// Who.
    pub guest: GuestName,
    /// From where.
    pub from: HostName,
    /// To where.
    pub to: HostName,
    /// When it started.
    pub at: Micros,
    /// Whether it was for relief: only those count for limits and budgets of moves.
    pub relief: bool,
}

/// What is known when relief is decided.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// Hosts and guests. A guest under way is taken to be where its [`Flight`] says.
    pub cluster: &'a Cluster,
    /// The last measured load, for dirty rates; a guest that is absent was not measured.
    pub load: &'a Load,
    /// What the operator wants.
    pub policy: &'a Policy,
    /// What each guest wants; one that is absent is [`Demand::Unknown`].
    pub demand: &'a BTreeMap<GuestName, Demand>,
    /// Since when each host is overloaded, as watched with hysteresis.
    pub overloaded: &'a BTreeMap<HostName, Micros>,
    /// Hosts of which nothing is heard: no targets.
    pub silent: &'a BTreeSet<HostName>,
    /// Hosts to which a move just failed: no targets, though they are awake.
    pub shunned: &'a BTreeSet<HostName>,
    /// Migrations under way.
    pub flights: &'a [Flight],
    /// Moves that were started lately.
    pub recent: &'a [Past],
    /// The time, on the clock of `overloaded` and `recent`.
    pub now: Micros,
}

impl Situation<'_> {
    /// What the guest wants; under way it is not believed.
    #[must_use]
    pub fn demand_of(&self, guest: &GuestName) -> Demand {
        let under_way = self.flights.iter().find(|f| f.guest == *guest);
        match under_way {
            Some(f) => Demand::Starved {
                before: f.demand,
                margin: f.margin,
            },
            None => self.demand.get(guest).copied().unwrap_or(Demand::Unknown),
        }
    }
}

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Relief {
    /// To be started now, all at once.
    pub moves: Vec<Move>,
    /// Sleeping hosts to be woken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wake: Vec<HostName>,
    /// Guests to be held to their reserved shares, since nothing else helps now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<GuestName>,
    /// Overloads that the moves do not end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// What it is worth.
    pub worth: Worth,
    /// What was seen, what was decided, and why not otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// An overload that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Left {
    /// Where.
    pub host: HostName,
    /// By how much its guests want more than its room after the moves.
    pub overload: MilliCores,
    /// Why.
    pub why: String,
    /// What would end it.
    pub would: String,
}

/// What relief is worth: first the overload of the hosts whose overload it ends, the more the better;
/// then its harm, the less the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Worth {
    /// Σ overload of the hosts that are overloaded no more.
    pub ended: MilliCores,
    /// Σ harm of the moves that end them (see [`harm`]), without those that only lessen an overload.
    pub harm: u64,
    /// Whether nothing is better: proven, not supposed. That is of the moves that may be made now: from a
    /// host where one guest goes alone, in its overload's first moments, of those of one guest.
    pub proven: bool,
}

/// What a move costs, in hundredths of a second: the time until execution is at the target beyond the
/// least that any move takes, a hundredfold, since an overload that lasts is what relief is to end;
/// the time in split state; and 20 for the pause at the switch, as measured.
#[must_use]
pub fn harm(predicted: &crate::migration::Prediction) -> u64 {
    let centis = |t: Micros| t.0.div_ceil(10_000);
    let late = predicted.switch.saturating_sub(crate::migration::SETUP);
    centis(late)
        .saturating_mul(100)
        .saturating_add(centis(predicted.split))
        .saturating_add(20)
}
