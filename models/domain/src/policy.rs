//! What the operator wants: which statistic is packed, how much room stays free, the rules, the
//! limits and the costs. Every field has a default; `Policy::default()` holds when no policy is
//! given.

mod relief;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::calendar::{Freeze, Hours};
use crate::load::Statistic;
use crate::name::HostName;
use crate::objective::Objective;
use crate::rule::Rule;
use crate::units::{MiB, MiBPerSec, Micros, Permille, Ratio};

pub use relief::{Budget, Relief};

/// The whole policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Policy {
    /// Which statistic of a guest's load is packed.
    pub demand: DemandPolicy,
    /// The share of every host that stays free.
    pub headroom: Headroom,
    /// When guests have to leave a host. Its shares are at most the headroom, up to which hosts are
    /// packed: a host between the two keeps what it has and a plan gives it nothing more, so that load
    /// which moves a little about the headroom moves no guests.
    #[serde(skip_serializing_if = "Relief::is_default")]
    pub relief: Relief,
    /// How many times a host's cores may be promised.
    pub over_commit: OverCommit,
    /// What a guest costs its host besides its own memory.
    pub overhead: Overhead,
    /// How far a plan may go and how long it may be sought.
    pub limits: Limits,
    /// How migrations share hosts and links.
    #[serde(skip_serializing_if = "Migrations::is_default")]
    pub migrations: Migrations,
    /// What a host in use costs.
    #[serde(skip_serializing_if = "Costs::is_default")]
    pub costs: Costs,
    /// Weighs hosts against migrations; without it a plan uses the fewest hosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub objective: Option<Objective>,
    /// Placement rules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
}

/// Which statistic is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DemandPolicy {
    /// Of the CPU demand; `p95` by default. With `joint`, of guests without windows.
    pub cpu: Statistic,
    /// Packs by the guests' windows together: on every host, in every window, the *sum* of the
    /// guests' demand stays within the room. Sums of each guest's own percentile are neither safe
    /// (guests may be busy at once) nor tight (or in turn). Off by default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub joint: bool,
    /// With `joint`: the share of the windows, counted down to whole windows, in which a host's guests
    /// may want more than its room; each host has its own such windows. None by default.
    #[serde(skip_serializing_if = "is_zero")]
    pub overload: Permille,
}

impl DemandPolicy {
    /// Of so many windows, in how many a host may be overloaded.
    #[must_use]
    pub fn exempt(&self, windows: usize) -> usize {
        let share = u128::from(self.overload.0.min(1000));
        usize::try_from(windows as u128 * share / 1000).unwrap_or(0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(share: &Permille) -> bool {
    share.0 == 0
}

impl Default for DemandPolicy {
    fn default() -> Self {
        Self {
            cpu: Statistic::P95,
            joint: false,
            overload: Permille(0),
        }
    }
}

/// The share of a host that stays free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Headroom {
    /// Of its CPU; 10 % by default.
    pub cpu: Permille,
    /// Of its memory; 5 % by default.
    pub memory: Permille,
}

impl Default for Headroom {
    fn default() -> Self {
        Self {
            cpu: Permille(100),
            memory: Permille(50),
        }
    }
}

impl Policy {
    /// What must stay free of a host for its guests to stay, where that is less than the headroom.
    #[must_use]
    pub fn threshold(&self) -> Option<Headroom> {
        let threshold = Headroom {
            cpu: self.relief.cpu.unwrap_or(self.headroom.cpu),
            memory: self.relief.memory.unwrap_or(self.headroom.memory),
        };
        (threshold != self.headroom).then_some(threshold)
    }
    /// What must stay free of a host for it not to be overloaded now: of its CPU what `relief` says, else
    /// half the headroom, so that between what a plan fills and what is relieved there is a gap.
    #[must_use]
    pub fn overload(&self) -> Headroom {
        Headroom {
            cpu: self.relief.cpu.unwrap_or(Permille(self.headroom.cpu.0 / 2)),
            memory: self.relief.memory.unwrap_or(self.headroom.memory),
        }
    }
}

/// How many times what a host has may be promised to guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OverCommit {
    /// vCPUs per core; 4 by default.
    pub cpu: Ratio,
}

impl Default for OverCommit {
    fn default() -> Self {
        Self { cpu: Ratio(4000) }
    }
}

/// What a guest costs its host besides what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Overhead {
    /// QEMU's own memory, for each guest; 200 MiB by default.
    pub memory: MiB,
}

impl Default for Overhead {
    fn default() -> Self {
        Self { memory: MiB(200) }
    }
}

/// How far a plan may go and how long it may be sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limits {
    /// Most migrations in one plan; unlimited by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moves: Option<u32>,
    /// Most guests that a plan moves for nothing but to level the hosts that it leaves in use, besides those
    /// that it moves anyway; none by default, nor with an `objective`, which has no price for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<u32>,
    /// A guest that was moved less than this ago stays, unless its host is overloaded or drains, or a
    /// rule that names it is broken; no such limit by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Micros>,
    /// Wall time for the search; 10 s by default.
    pub time: Micros,
    /// Search effort that repeats exactly: branch-and-bound nodes and annealing rounds. When it is
    /// given, the time limit only ends a search that would run away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u64>,
    /// Seed of the search.
    pub seed: u64,
}

impl Limits {
    /// A limit in nodes repeats only if the clock does not end the search first: where there is
    /// one, the default time gives way to an hour.
    pub fn prefer_nodes(&mut self) {
        if self.nodes.is_some() && self.time == Self::default().time {
            self.time = Micros::secs(3600);
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            moves: None,
            level: None,
            cooldown: None,
            time: Micros::secs(10),
            nodes: None,
            seed: 1,
        }
    }
}

/// How migrations share hosts and links. Each gets an equal part of the slower of both hosts' links,
/// so that those at once never ask for more than there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Migrations {
    /// Most at once in the whole cluster; 16 by default.
    #[serde(deserialize_with = "some")]
    pub at_once: NonZeroU32,
    /// Most that leave a host at once, and most that come to it; 1 by default: one after the other
    /// each guest is in split state for the shortest time.
    #[serde(deserialize_with = "some")]
    pub per_host: NonZeroU32,
    /// The share of a link that they may take; 80 % by default.
    pub bandwidth: Permille,
    /// Whether the memory is encrypted on its way; by default it is.
    pub stream: StreamPolicy,
    /// The kind of migration; by default `measured`, for each guest by what was measured of it.
    pub mode: ModePolicy,
    /// Longest predicted time for which a guest may be in split state, its memory on two hosts; where
    /// post-copy would take longer it moves by another kind if that keeps within. 60 s by default.
    pub split_state: Micros,
    /// The share of its bandwidth that a stream leaves free after the switch, for the pages that the guest
    /// waits for: they do not queue behind what comes by itself, and the guest's stand-still is shorter,
    /// the split state longer. None by default.
    #[serde(skip_serializing_if = "no_share")]
    pub fault_share: Permille,
    /// Most guests in split state at once at what can fail as a whole: under `host` at either end of a
    /// host, under `link` in each direction of its link, under a label (`rack`) over all hosts with one
    /// value of it, under `all` in the whole cluster. Without a limit by default. Relief keeps it, too.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub split_at_once: BTreeMap<String, NonZeroU32>,
    /// Most guest-seconds in split state that a plan may put where one failure would end them, as predicted,
    /// under the same names. Guests for which there is none left move by a kind that needs less of
    /// it, at last by pre-copy; those of which pre-copy would not end come first. Without a limit by
    /// default. Where as much was measured of a run, it begins no more that need it. Relief is not bound by it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub split_budget: BTreeMap<String, Micros>,
    /// Whether guests are moved that another manager runs, such as OpenStack, oVirt or Pacemaker; by
    /// default they are refused.
    pub foreign: Foreign,
    /// So many of a plan run at once until one has gone well, the guest answering afterwards; then up
    /// to twice as many as have. 1 by default; 0 begins with as many as may run.
    pub canary: u32,
    /// After so many moves of a plan that failed for good, nothing more of it is begun until a person
    /// says so; 3 by default, 0 for never.
    pub stop_after: u32,
    /// When migrations of plans may be begun, by UTC; at any time by default. Relief is not bound by it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hours>,
    /// When none are begun; relief is not bound by it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freezes: Vec<Freeze>,
    /// How long migrations take against what their memory and link say; as `vmpack-executor ledger
    /// --policy` writes it.
    #[serde(skip_serializing_if = "Calibration::is_default")]
    pub calibration: Calibration,
}

/// What was measured of migrations, for the prediction of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Calibration {
    /// From the decision to execution at the target by post-copy; 600 ms by default.
    pub setup: Micros,
    /// The share of the bandwidth that a stream may take which it does take; 100 % by default.
    pub rate: Permille,
}

impl Calibration {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Calibration {
    fn default() -> Self {
        Self {
            setup: crate::migration::SETUP,
            rate: Permille(1000),
        }
    }
}

/// What is done with guests of another manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Foreign {
    /// They are left alone: their manager would undo the move, or lose track of them.
    #[default]
    Refuse,
    /// They are moved like others.
    Allow,
}

/// A whole number above 0, refused in words.
fn some<'de, D: serde::Deserializer<'de>>(from: D) -> Result<NonZeroU32, D::Error> {
    let number = u32::deserialize(from)?;
    let refusal = "read `0`, expected a whole number of at least 1";
    NonZeroU32::new(number).ok_or_else(|| serde::de::Error::custom(refusal))
}

/// How the memory of a migrated guest goes over the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StreamPolicy {
    /// Encrypted; each host has a certificate for migrations, and trusts those of the others.
    #[default]
    Tls,
    /// As it is, for whoever listens: only where nobody else is on the network between the hosts.
    Plain,
}

/// Which kind of migration is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModePolicy {
    /// By the guest's dirty rate and the link ([`crate::migration::choose`]).
    #[default]
    Measured,
    /// Memory first, execution last.
    PreCopy,
    /// One pass of pre-copy, then post-copy for the rest.
    Hybrid,
    /// Execution first, memory afterwards.
    PostCopy,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn no_share(share: &Permille) -> bool {
    share.0 == 0
}

impl Migrations {
    /// What a stream of that bandwidth may take after the switch; something of any.
    #[must_use]
    pub fn after_switch(&self, bandwidth: MiBPerSec) -> MiBPerSec {
        let left = 1000 - self.fault_share.0.min(1000);
        let part = u128::from(bandwidth.0) * u128::from(left) / 1000;
        let part = u64::try_from(part).unwrap_or(u64::MAX);
        MiBPerSec(part.max(bandwidth.0.min(1)))
    }
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
    /// What one migration may take of its link, rounded down, and something of any link.
    #[must_use]
    pub fn part_of(&self, link: MiBPerSec) -> MiBPerSec {
        let share = u128::from(link.0) * u128::from(self.bandwidth.0) / 1000;
        let part = u64::try_from(share).unwrap_or(u64::MAX) / u64::from(self.per_host.get());
        MiBPerSec(part.max(link.0.min(1)))
    }
}

impl Default for Migrations {
    fn default() -> Self {
        let at_once = NonZeroU32::MIN.saturating_add(15);
        Self {
            at_once,
            per_host: NonZeroU32::MIN,
            bandwidth: Permille(800),
            stream: StreamPolicy::Tls,
            mode: ModePolicy::Measured,
            split_state: Micros::secs(60),
            fault_share: Permille(0),
            split_at_once: BTreeMap::new(),
            split_budget: BTreeMap::new(),
            foreign: Foreign::Refuse,
            canary: 1,
            stop_after: 3,
            hours: Vec::new(),
            freezes: Vec::new(),
            calibration: Calibration::default(),
        }
    }
}

/// What a host in use costs, as plain numbers; 1 unless it is named.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Costs {
    /// By host name.
    pub hosts: BTreeMap<HostName, Ratio>,
}

impl Costs {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
    /// What that host costs when it is in use.
    #[must_use]
    pub fn of(&self, host: &HostName) -> Ratio {
        self.hosts.get(host).copied().unwrap_or(Ratio::ONE)
    }
}
