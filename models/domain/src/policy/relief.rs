//! When a host is overloaded, and how far relief may go to end that.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::some;
use crate::units::{Micros, Permille};

/// When guests have to leave a host. `cpu` and `memory` bind plans as well; the rest binds the relief
/// of sudden overloads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Relief {
    /// The share of its CPU that must stay free of a host for its guests to stay; by default the
    /// headroom for a plan, and half of it for the relief of a sudden overload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Permille>,
    /// The same of its memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Permille>,
    /// How long a host must be overloaded before guests leave it; 100 ms by default. Together with
    /// `hysteresis` it also says how much its guests must have missed by then: what they want beyond its
    /// room, summed over time less what is free meanwhile, must come to room × `hysteresis` × `after`: by
    /// default 2 % too much must last for 100 ms, 1 % for 200 ms. 0 turns that guard off.
    pub after: Micros,
    /// An overload ends once so much of the host's room is free again beyond the threshold; 2 % by
    /// default. It also sets how soon one is noticed, see `after`: the less, the sooner; with 0, demand
    /// that swings about the threshold may move guests.
    pub hysteresis: Permille,
    /// What is kept free at a target for the guest that comes, beside its demand: at least so much of
    /// its demand, and as much as its demand moved about lately; 10 % by default.
    pub margin: Permille,
    /// A guest that was moved less than this ago is not moved by relief; 60 s by default.
    pub cooldown: Micros,
    /// Most moves that relief starts in a minute, in the whole cluster; 100 by default.
    pub moves_per_minute: u32,
    /// Most guests that leave a host at once by relief, and most that come to one; 4 by default.
    #[serde(deserialize_with = "some")]
    pub per_host: NonZeroU32,
    /// How often guests of one owner may be moved; a guest may be in several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
}

/// Of these guests relief starts at most so many moves in that time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Budget {
    /// Names, or patterns with `*`. One that matches no guest is no error: guests come and go.
    pub guests: Vec<String>,
    /// The most.
    pub moves: u32,
    /// In which time.
    pub per: Micros,
}

impl Default for Relief {
    fn default() -> Self {
        Self {
            cpu: None,
            memory: None,
            after: Micros::millis(100),
            hysteresis: Permille(20),
            margin: Permille(100),
            cooldown: Micros::secs(60),
            moves_per_minute: 100,
            per_host: NonZeroU32::MIN.saturating_add(3),
            budgets: Vec::new(),
        }
    }
}

impl Relief {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
