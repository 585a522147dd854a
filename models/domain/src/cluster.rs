//! The cluster as it was read: hosts, guests and where each guest runs. A snapshot, never a wish:
//! what should hold stands in the policy.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::name::{GuestName, HostName};
use crate::units::{MiB, MiBPerSec, Micros, MilliCores, Ratio, round_down};

/// Hosts and guests; the placement is each guest's `host`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cluster {
    /// Every host, in any order; names are unique.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// Every guest, in any order; names are unique.
    #[serde(default)]
    pub guests: Vec<Guest>,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Host {
    /// Its name, unique.
    pub name: HostName,
    /// Its cores, each of the host's `speed`.
    #[serde(deserialize_with = "round_down")]
    pub cpu: MilliCores,
    /// Its memory.
    #[serde(deserialize_with = "round_down")]
    pub memory: MiB,
    /// The bandwidth of the link that migrations use.
    #[serde(deserialize_with = "round_down")]
    pub network: MiBPerSec,
    /// Whether it may carry guests.
    pub state: HostState,
    /// How fast one of its cores is, 1 being the speed that demand is counted in.
    #[serde(
        default = "Host::speed_default",
        skip_serializing_if = "Host::speed_is_default",
        deserialize_with = "round_down"
    )]
    pub speed: Ratio,
    /// What the host keeps for itself.
    #[serde(default, skip_serializing_if = "Reserve::is_none")]
    pub reserve: Reserve,
    /// Where it stands and what it is, for rules and `requires`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Counts as in use even when it carries no guest.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_sleep: bool,
    /// The libvirt URI by which it is steered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The address or libvirt URI by which other hosts reach it for a migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate_address: Option<String>,
    /// The URL of its probe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
}

impl Host {
    fn speed_default() -> Ratio {
        Ratio::ONE
    }
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn speed_is_default(speed: &Ratio) -> bool {
        *speed == Ratio::ONE
    }
}

/// What a host keeps for itself, taken off its capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reserve {
    /// In cores of speed 1.
    #[serde(default)]
    pub cpu: MilliCores,
    /// Memory for the host's own processes.
    #[serde(default)]
    pub memory: MiB,
}

impl Reserve {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a host may carry guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// Awake: it may carry guests, and sleeps when it is left empty.
    On,
    /// Asleep: it may be woken to carry guests.
    Asleep,
    /// Not there: it carries nothing; guests said to be on it must be started elsewhere.
    Out,
    /// Awake, but every guest must leave it.
    Drain,
}

impl HostState {
    /// Whether it runs, so that it can be asked and its guests run, too.
    #[must_use]
    pub fn is_awake(self) -> bool {
        matches!(self, Self::On | Self::Drain)
    }

    /// Whether a plan's target may put a guest there.
    #[must_use]
    pub fn takes_guests(self) -> bool {
        matches!(self, Self::On | Self::Asleep)
    }
}

/// A guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Guest {
    /// Its name, unique.
    pub name: GuestName,
    /// The identity that stays when it moves or is renamed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
    /// How many virtual CPUs it has.
    pub vcpus: u32,
    /// Its configured memory.
    pub memory: MiB,
    /// Where it runs; `null` for a guest that waits to be placed.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schemars(schema_with = "name_or_null")]
    pub host: Option<HostName>,
    /// CPU that is its own, whatever its demand; in cores of speed 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserved: MilliCores,
    /// Whether it may be moved at all.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub movable: bool,
    /// How long ago it was last moved, when the snapshot was taken; absent when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_ago: Option<Micros>,
    /// Whether it may be moved by post-copy.
    #[serde(default, skip_serializing_if = "PostCopy::is_allowed")]
    pub post_copy: PostCopy,
    /// Per host label the values of which one must hold where it runs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requires: BTreeMap<String, Vec<String>>,
}

impl Guest {
    /// Whether the host's labels meet what the guest requires.
    #[must_use]
    pub fn runs_on(&self, host: &Host) -> bool {
        self.requires
            .iter()
            .all(|(label, values)| host.labels.get(label).is_some_and(|v| values.contains(v)))
    }
}

fn name_or_null(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["string", "null"] })
}
fn yes() -> bool {
    true
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(m: &MilliCores) -> bool {
    m.0 == 0
}

/// Whether a guest may be in split state, its memory on two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PostCopy {
    /// It may.
    #[default]
    Allowed,
    /// Its loss would be worse than a slow move: pre-copy only.
    Never,
}

impl PostCopy {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

impl Cluster {
    /// The host of that name.
    #[must_use]
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|h| h.name == *name)
    }
    /// The guest of that name.
    #[must_use]
    pub fn guest(&self, name: &GuestName) -> Option<&Guest> {
        self.guests.iter().find(|g| g.name == *name)
    }
    /// Where each placed guest runs.
    #[must_use]
    pub fn placement(&self) -> BTreeMap<GuestName, HostName> {
        self.guests
            .iter()
            .filter_map(|g| Some((g.name.clone(), g.host.clone()?)))
            .collect()
    }
    /// The hosts in use, by name: those that are there and carry a guest or never sleep.
    #[must_use]
    pub fn hosts_in_use(&self) -> Vec<HostName> {
        let carrying: std::collections::BTreeSet<&HostName> =
            self.guests.iter().filter_map(|g| g.host.as_ref()).collect();
        let mut used: Vec<HostName> = self
            .hosts
            .iter()
            .filter(|h| h.state != HostState::Out)
            .filter(|h| carrying.contains(&h.name) || (h.never_sleep && h.state == HostState::On))
            .map(|h| h.name.clone())
            .collect();
        used.sort();
        used
    }
}
