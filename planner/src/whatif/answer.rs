//! What a scene comes to: its plan in numbers, and what of it does not hold where guests run now.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use vmpack_domain::check::{self, Violation};
use vmpack_domain::plan::{Outcome, Plan};
use vmpack_domain::{HostName, HostState};

use super::Scene;
use crate::summary::{HostRow, Summary, summary};

/// What a scene comes to.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Answer {
    /// The plan in numbers.
    #[serde(flatten)]
    pub summary: Summary,
    /// How long guests are in split state, their memory on two hosts, all of them together; absent when
    /// there is no plan.
    pub split_seconds: Option<f64>,
    /// The host that is left with the least of its CPU, in the plan's target.
    pub least_cpu: Option<Free>,
    /// The host that is left with the least of its memory.
    pub least_memory: Option<Free>,
    /// What does not hold where guests run now.
    pub broken: Vec<Broken>,
}

/// What is left of a host for guests.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Free {
    /// Which.
    pub host: HostName,
    /// The share of what guests may use that is free.
    pub share: f64,
}

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Broken {
    /// Which law: `cpu`, `memory`, `vcpus`, `state`, `requires`, `rule NAME`.
    pub law: String,
    /// What was found.
    pub detail: String,
}

impl From<Violation> for Broken {
    fn from(violation: Violation) -> Self {
        Self {
            law: violation.law,
            detail: violation.detail,
        }
    }
}

/// The answer, from what `plan()` returned for the scene after so many seconds.
#[must_use]
pub fn answer(scene: &Scene, outcome: &Outcome<Plan>, seconds: f64) -> Answer {
    let Scene {
        cluster,
        load,
        policy,
    } = scene;
    let summary = summary(cluster, load, policy, outcome, seconds);
    // A guest whose host is out runs nowhere.
    let out: BTreeSet<&HostName> = cluster
        .hosts
        .iter()
        .filter(|h| h.state == HostState::Out)
        .map(|h| &h.name)
        .collect();
    let mut now = cluster.placement();
    now.retain(|_, host| !out.contains(host));
    let broken = check::placement(cluster, load, policy, &now);
    let least = |of: &dyn Fn(&HostRow) -> f64| {
        let used = summary.hosts.iter().filter(|h| h.after.in_use);
        let free = used.map(|h| Free {
            host: h.name.clone(),
            share: of(h),
        });
        free.min_by(|a, b| a.share.total_cmp(&b.share))
    };
    let share = |used: f64, room: f64| if room > 0.0 { 1.0 - used / room } else { 0.0 };
    let planned = summary.hosts_after.is_some();
    Answer {
        split_seconds: planned.then(|| summary.moves.iter().map(|m| m.split_seconds).sum()),
        least_cpu: least(&|h| share(h.after.cpu, h.cpu_room)).filter(|_| planned),
        least_memory: least(&|h| share(h.after.mib as f64, h.mib_room as f64)).filter(|_| planned),
        broken: broken.into_iter().map(Broken::from).collect(),
        summary,
    }
}
