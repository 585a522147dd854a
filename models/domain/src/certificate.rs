//! The certificate of a bound on the hosts in use: integer weights of guests, and for each host what
//! the guests on it weigh at most. Then the hosts in use satisfy Σ most ≥ Σ weights, and the least
//! cost of such hosts is the bound. [`crate::check::certificate`] proves it again, from the inputs.
//!
//! Where that is too little, a tree of cases: each branch says of two guests that they share a host or
//! that they do not, or of some hosts that at most so many are in use or that more are, so that every
//! placement is in one case, and the least of what the cases prove is proven.
//!
//! What follows from limits on moves, spare room and the places of guests apart needs no weights: the
//! judge finds it from the inputs alone, so that a certificate may claim it and name nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::digest;
use crate::name::{GuestName, HostName};
use crate::policy::{Limits, Policy};
use crate::units::Sum;
use crate::{Cluster, Load};

/// A certificate as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Certificate {
    /// What it speaks of: see [`base`].
    pub base: String,
    /// What it claims.
    pub bound: CertifiedBound,
    /// How the bound was found, such as `pattern LP, 38.4 rounded up`; nothing rests on it.
    pub origin: String,
    /// Disjoint sets of hosts, the bounds of which add up; usually one.
    pub parts: Vec<CertificatePart>,
    /// Another proof, where other weights prove more of the number of hosts than of their cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<NumberProof>,
    /// Another proof by cases, where weights prove more of each case than of all placements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<TreeProof>,
    /// What was found beyond that in a way that nothing here proves; nothing rests on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertified: Option<Uncertified>,
}

/// What proves the number of hosts in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NumberProof {
    /// How it was found; nothing rests on it.
    pub origin: String,
    /// As those of the certificate.
    pub parts: Vec<CertificatePart>,
}

/// What proves both by cases: the leaves of a tree of branches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TreeProof {
    /// How it was found; nothing rests on it.
    pub origin: String,
    /// Leaves that start alike and then differ are on either side of one branch, and each branch has
    /// leaves on both sides.
    pub leaves: Vec<TreeLeaf>,
}

/// One case, and what proves the bound of the placements in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TreeLeaf {
    /// What holds in this case, from the root of the tree on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<Given>,
    /// As those of the certificate, for placements in which that holds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<CertificatePart>,
}

/// One side of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "kind", deny_unknown_fields)]
pub enum Given {
    /// These two share no host.
    Apart {
        /// Who.
        guests: [GuestName; 2],
    },
    /// The other side: these two share a host.
    Together {
        /// Who.
        guests: [GuestName; 2],
    },
    /// At most so many of these hosts are in use.
    AtMost {
        /// How many.
        number: u32,
        /// Which.
        hosts: Vec<HostName>,
    },
    /// At least so many of these hosts are in use, and are paid: the other side of at most one less.
    AtLeast {
        /// How many.
        number: u32,
        /// Which.
        hosts: Vec<HostName>,
    },
}

impl Given {
    /// What holds wherever this does not.
    #[must_use]
    pub fn opposite(&self) -> Self {
        match self.clone() {
            Self::Apart { guests } => Self::Together { guests },
            Self::Together { guests } => Self::Apart { guests },
            Self::AtMost { number, hosts } => Self::AtLeast {
                number: number.saturating_add(1),
                hosts,
            },
            Self::AtLeast { number, hosts } => Self::AtMost {
                number: number.saturating_sub(1),
                hosts,
            },
        }
    }
}

/// A bound without a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Uncertified {
    /// The bound.
    pub bound: CertifiedBound,
    /// How it was found, such as `assignment ILP`.
    pub origin: String,
}

/// No placement under the policy costs less, and none uses fewer hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CertifiedBound {
    /// On Σ cost of the hosts in use, as a plan claims it.
    pub cost: Sum,
    /// On their number.
    pub hosts: u32,
}

/// Some hosts, and guests that can be nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CertificatePart {
    /// Guests and what each of them weighs; one that is not named weighs nothing.
    pub weights: Vec<GuestWeight>,
    /// Guests that a gather rule over hosts keeps together, and what they weigh as one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupWeight>,
    /// Every host of the part, and what guests on it weigh at most.
    pub most: Vec<HostMost>,
}

/// Guests of equal weight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GuestWeight {
    /// Of each of them.
    pub weight: u64,
    /// Who.
    pub guests: Vec<GuestName>,
}

/// Guests that are always on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GroupWeight {
    /// Of all of them together.
    pub weight: u64,
    /// Who.
    pub gathered: Vec<GuestName>,
}

/// Hosts for which the same is claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct HostMost {
    /// The guests that may be on one of these hosts and fit there together weigh at most so much.
    pub most: u64,
    /// Which.
    pub hosts: Vec<HostName>,
}

/// The digest of everything that a bound depends on: cluster, load, and the policy without the
/// search's own limits (time, nodes, seed).
#[must_use]
pub fn base(cluster: &Cluster, load: &Load, policy: &Policy) -> String {
    let policy = Policy {
        limits: Limits {
            moves: policy.limits.moves,
            ..Limits::default()
        },
        ..policy.clone()
    };
    digest(&(cluster, load, policy))
}
