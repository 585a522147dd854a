//! A regression case: input and what is expected of it, in one file.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vmpack_domain::file::{
    InputError, Inputs, Kind, Source, parse, read_inputs, write_cluster, write_load, write_policy,
};
use vmpack_domain::units::{MiB, Micros, Sum};
use vmpack_domain::{Cluster, GuestName, HostName, Load, Mode, Policy};

use crate::cli::example::fleet::{Size, fleet};

/// Search effort of a case that states none. Cases are limited by effort, never by time, so that
/// they repeat.
const NODES: u64 = 2000;
/// Ends a case that would run away.
const TIME: Micros = Micros::secs(600);

/// One case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Case {
    /// What it shows, in a sentence.
    pub(crate) about: String,
    /// The cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cluster: Option<Cluster>,
    /// The load; a guest that is absent was not measured.
    #[serde(default)]
    load: Load,
    /// The policy; the default when it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    policy: Option<Policy>,
    /// Instead of a cluster and a load: the example of that size (`vmpack example cluster`), with
    /// its policy unless one is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generate: Option<Size>,
    /// What must come out.
    pub(crate) expect: Expect,
}

/// What must come out of a case. What is absent is not asserted; never assert which of several
/// ties is chosen. Every plan is judged by the checker besides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Expect {
    /// How it ends.
    pub(crate) status: ExpectedStatus,
    /// Hosts in use afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hosts: Option<u32>,
    /// No more hosts in use afterwards than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hosts_at_most: Option<u32>,
    /// Cost of the hosts in use afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<Sum>,
    /// The proven bound on the cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound: Option<Sum>,
    /// The proven bound on the cost is at least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) bound_at_least: Option<Sum>,
    /// How many migrations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) moves: Option<u32>,
    /// Memory of the guests that change their host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) move_memory: Option<MiB>,
    /// No more memory of guests that change their host than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) move_memory_at_most: Option<MiB>,
    /// The proven bound on that memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) move_bound: Option<MiB>,
    /// Exactly these hosts are to be woken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wake: Option<Vec<HostName>>,
    /// Exactly these guests are to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) starts: Option<Vec<GuestName>>,
    /// Each of these guests ends on one of these hosts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) on: BTreeMap<GuestName, Vec<HostName>>,
    /// Each of these guests moves, and by this kind of migration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) modes: BTreeMap<GuestName, Mode>,
    /// Each of these texts stands in one of the reasons, notes or in the error.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) reason_contains: Vec<String>,
    /// Exactly these changes are offered where there is no placement, in this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ways_out: Option<Vec<String>>,
}

/// How a case ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ExpectedStatus {
    /// A plan, proven to be the best.
    Optimal,
    /// A plan, the proof of which may be missing.
    Answer,
    /// No plan can exist.
    Infeasible,
    /// None was found within the limits.
    NoAnswer,
    /// The input contradicts itself.
    BadInput,
}

/// Reads a case.
pub(crate) fn read_case(source: &Source) -> Result<Case, InputError> {
    let case: Case = parse(source, Kind::Case)?;
    if case.cluster.is_some() == case.generate.is_some() {
        return Err(InputError {
            file: source.name.clone(),
            line: None,
            column: None,
            message: "expected either `cluster` or `generate`".into(),
            hint: None,
            excerpt: None,
        });
    }
    Ok(case)
}

impl Case {
    /// What is planned, with limits that repeat; an error when it contradicts itself.
    pub(crate) fn inputs(&self) -> Result<Inputs, String> {
        let made = self.generate.map(fleet).transpose();
        let made = made.map_err(|e| e.to_string())?;
        let (cluster, load, own) = match made {
            Some(made) => (made.cluster, made.load, made.policy),
            None => (
                self.cluster.clone().unwrap_or_default(),
                self.load.clone(),
                Policy::default(),
            ),
        };
        let mut policy = self.policy.clone().unwrap_or(own);
        policy.limits.nodes = policy.limits.nodes.or(Some(NODES));
        policy.limits.prefer_nodes();
        policy.limits.time = policy.limits.time.max(TIME);
        // Read as files are, so that a case is cross-checked as an operator's files are.
        let source = |name: &str, text: String| {
            [Source {
                name: name.into(),
                text,
            }]
        };
        read_inputs(
            &source("cluster", write_cluster(&cluster)),
            &source("load", write_load(&load)),
            &source("policy", write_policy(&policy)),
        )
        .map_err(|e| e.to_string())
    }
}
