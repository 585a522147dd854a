//! A plan: the target placement, the migrations that lead to it and what is claimed of both. It
//! leaves the executor no choices.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{GuestName, HostName, NameError, accept};
use crate::policy::Policy;
use crate::units::{MiB, MiBPerSec, Micros, MilliCores, Sum};

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The best there is, proven under the limits given.
    Optimal(T),
    /// An answer; the bound in it says how far from the best it can still be.
    Feasible(T),
    /// There is no answer, and why: the rules, guests and hosts in conflict.
    Infeasible(Vec<String>),
    /// The limit ended the search before there was an answer.
    NoAnswer {
        /// Which limit.
        limit: String,
    },
}

/// A plan as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Plan {
    /// What it was made from.
    pub base: Base,
    /// The policy that was used, whole.
    pub policy: Policy,
    /// Whether the hosts' cost is proven to be the least; where the policy has an objective, whether
    /// that of hosts and migrations together is.
    pub status: PlanStatus,
    /// What is claimed of the hosts' cost.
    pub claim: Claim,
    /// What is claimed of the migrations at that cost.
    pub move_claim: MoveClaim,
    /// What is claimed of the time that they take.
    pub time_claim: TimeClaim,
    /// What is claimed of hosts and migrations together, where the policy has an objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trade_claim: Option<TradeClaim>,
    /// Hosts in use before and after.
    pub hosts: HostChange,
    /// Where each guest runs afterwards.
    pub target: BTreeMap<GuestName, HostName>,
    /// The migrations, in an order that honours every `after`.
    pub moves: Vec<Move>,
    /// Guests without a host that are to be started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<Start>,
    /// What the reader should know: assumptions, warnings, why the bound stands where it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// What a plan was made from: digests of the inputs (see [`crate::digest`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Base {
    /// Of the cluster, `sha256:` and 64 hexadecimal digits.
    pub cluster: String,
    /// Of the load.
    pub load: String,
}

/// Whether the least cost is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PlanStatus {
    /// Objective and bound meet.
    Optimal,
    /// A gap is left.
    Feasible,
}

/// The cost of the hosts in use and the proven bound on it, as plain numbers (a host costs 1
/// unless the policy says otherwise).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Claim {
    /// Σ cost of the hosts in use afterwards.
    pub objective: Sum,
    /// No placement under this policy costs less.
    pub bound: Sum,
    /// How the bound was found, such as `volume (memory)` or `assignment ILP`.
    pub origin: String,
    /// At least so many hosts are in use in any placement.
    pub hosts_bound: u32,
}

/// The memory moved at the claimed cost, and the proven bound on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MoveClaim {
    /// Σ memory of the guests that change their host.
    pub objective: MiB,
    /// No plan at that cost of hosts moves less.
    pub bound: MiB,
    /// How the bound was found.
    pub origin: String,
}

/// The predicted time from the first migration's start to the last one's end, and the bound on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TimeClaim {
    /// As scheduled.
    pub objective: Micros,
    /// No schedule of these migrations within the policy's limits ends earlier.
    pub bound: Micros,
    /// How the bound was found.
    pub origin: String,
}

/// The price of hosts and migrations together, in the unit of the policy's objective.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TradeClaim {
    /// Of the hosts in use over the horizon and of the guests that change their host, rounded down.
    pub objective: Sum,
    /// No plan under this policy costs less.
    pub bound: Sum,
    /// Of moving no guest; absent when something is wrong with where guests run now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<Sum>,
}

/// Hosts in use before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostChange {
    /// In use in the snapshot, sorted.
    pub before: Vec<HostName>,
    /// In use afterwards, sorted; they must stay awake.
    pub after: Vec<HostName>,
    /// Hosts that sleep now and must be woken first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wake: Vec<HostName>,
}

/// Names a move within its plan, such as `m1`: 1 to 253 printable characters.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String")]
pub struct MoveId(pub String);

impl TryFrom<String> for MoveId {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        accept(&text)?;
        Ok(Self(text))
    }
}

impl fmt::Display for MoveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One migration, with what must hold before it starts: the guest runs on `from` with that memory
/// and those vCPUs, and `to` is awake and has room for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Move {
    /// Its name in the plan.
    pub id: MoveId,
    /// Who moves.
    pub guest: GuestName,
    /// The guest's identity, if the snapshot had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// Where it must be found.
    pub from: HostName,
    /// Where it goes.
    pub to: HostName,
    /// By which kind of live migration.
    pub mode: Mode,
    /// Its configured memory, which must be found unchanged.
    pub memory: MiB,
    /// Its vCPUs, which must be found unchanged.
    pub vcpus: u32,
    /// The CPU that it counts with.
    pub demand: MilliCores,
    /// The bandwidth that the stream may use.
    pub bandwidth: MiBPerSec,
    /// Start after the plan's start, as predicted; `after` is what binds.
    pub start: Micros,
    /// Predicted length, until the source is free.
    pub duration: Micros,
    /// What else is predicted of it, for what was measured to be held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// Moves that must have ended before, for it to have room and for rules to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<MoveId>,
    /// Why it is proposed.
    pub reason: String,
}

/// What is predicted of a migration besides its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expected {
    /// From the decision to execution at the target.
    pub switch: Micros,
    /// How long the guest stands still.
    pub downtime: Micros,
    /// How long its memory is on two hosts.
    pub split: Micros,
    /// What goes over the link.
    pub transfer: MiB,
}

/// Kind of live migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Memory first, execution last: safe at any moment, slow when memory changes fast.
    PreCopy,
    /// Pre-copy passes, then post-copy for the rest.
    Hybrid,
    /// Execution first, memory afterwards: switched within about a second, in split state until
    /// the memory has followed.
    PostCopy,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PreCopy => "pre-copy",
            Self::Hybrid => "hybrid",
            Self::PostCopy => "post-copy",
        })
    }
}

/// A guest without a host, and where it is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Start {
    /// Who.
    pub guest: GuestName,
    /// Where.
    pub on: HostName,
}
