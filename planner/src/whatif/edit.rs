//! The edits of a scenario, as its file holds them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vmpack_domain::load::Statistic;
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Permille, Ratio};
use vmpack_domain::{Guest, GuestName, HostName, HostState, Load, Rule};

/// Edits that are made together, in their order, on copies of what was read.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, in a line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The edits.
    pub edits: Vec<Edit>,
}

/// One edit. Hosts are named by name, by a pattern with `*` or by `label=value`, guests by name or by a
/// pattern; an empty list of guests stands for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Edit {
    /// Every guest must leave these hosts.
    Drain(Vec<String>),
    /// These hosts are lost; their guests must be started elsewhere.
    Fail(Vec<String>),
    /// More hosts, all alike.
    AddHosts(NewHosts),
    /// Some hosts are other ones.
    ChangeHosts(HostEdit),
    /// Measured CPU demand and dirty rate times a factor.
    ScaleLoad(Scale),
    /// The load comes later by a time: its windows are turned, the end coming first.
    ShiftLoad(Shift),
    /// More guests like one that is there.
    CopyGuest(Copies),
    /// More guests, and what is known of their load.
    AddGuests(NewGuests),
    /// These guests are gone.
    RemoveGuests(Vec<String>),
    /// Another share of every host stays free.
    Headroom(HeadroomEdit),
    /// Another statistic is packed.
    Demand(DemandEdit),
    /// So many vCPUs are promised per core.
    OverCommit(Ratio),
    /// One rule more.
    AddRule(Rule),
    /// One rule less, by name.
    DropRule(String),
}

impl Edit {
    /// Its name in files.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Fail(_) => "fail",
            Self::AddHosts(_) => "add-hosts",
            Self::ChangeHosts(_) => "change-hosts",
            Self::ScaleLoad(_) => "scale-load",
            Self::ShiftLoad(_) => "shift-load",
            Self::CopyGuest(_) => "copy-guest",
            Self::AddGuests(_) => "add-guests",
            Self::RemoveGuests(_) => "remove-guests",
            Self::Headroom(_) => "headroom",
            Self::Demand(_) => "demand",
            Self::OverCommit(_) => "over-commit",
            Self::AddRule(_) => "add-rule",
            Self::DropRule(_) => "drop-rule",
        }
    }
}

/// Hosts that are added, awake and empty. What is not said is as with the host that they are like; with
/// none, they have cores of speed 1 and the slowest link of those that are there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewHosts {
    /// How many.
    pub count: u32,
    /// Of which they have cores, memory, link, speed, reserve and labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<HostName>,
    /// Cores of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCores>,
    /// Memory of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MiB>,
    /// Labels of each, besides those of the host that they are like.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What is other about some hosts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostEdit {
    /// Which.
    pub hosts: Vec<String>,
    /// Their cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<MilliCores>,
    /// Their memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MiB>,
    /// Their link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<MiBPerSec>,
    /// How fast one of their cores is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<Ratio>,
    /// Whether they may carry guests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<HostState>,
    /// Whether they count as in use even when they carry no guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_sleep: Option<bool>,
}

/// Load times a factor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scale {
    /// The factor.
    pub by: Ratio,
    /// Whose; all guests' when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<String>,
}

/// Load that comes later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Shift {
    /// By how much, rounded down to whole windows.
    pub by: Micros,
    /// Whose; all guests' when absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guests: Vec<String>,
}

/// Copies of a guest, which wait to be placed and have its load. Rules name them where a pattern does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Copies {
    /// Of which guest.
    pub of: GuestName,
    /// How many.
    pub count: u32,
}

/// Guests that are added.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewGuests {
    /// As in a cluster file.
    pub guests: Vec<Guest>,
    /// Their load, as in a load file.
    #[serde(default)]
    pub load: Load,
}

/// The share of every host that stays free; what is not said stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HeadroomEdit {
    /// Of its CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Permille>,
    /// Of its memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Permille>,
}

/// The statistic that is packed; what is not said stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DemandEdit {
    /// Of the CPU demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Statistic>,
    /// Whether the guests' windows are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<bool>,
    /// With `joint`: the share of the windows in which a host may be overloaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overload: Option<Permille>,
}
