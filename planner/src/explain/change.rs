//! Single changes of a cluster or of a policy: what is in the way of a placement, or would make room.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vmpack_domain::rule::RuleKind;
use vmpack_domain::units::{MiB, MilliCores, Permille, Ratio, count};
use vmpack_domain::{Cluster, GuestName, Host, HostName, HostState, Policy};

/// A change of the cluster or of the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// More hosts.
    Hosts {
        /// Of which they have speed, reserve and labels.
        like: HostName,
        /// How many.
        count: u32,
        /// Cores of each.
        cpu: MilliCores,
        /// Memory of each.
        memory: MiB,
    },
    /// These rules are dropped.
    Drop {
        /// By name.
        rules: Vec<String>,
    },
    /// Less of every host's CPU stays free.
    CpuHeadroom {
        /// As it is.
        from: Permille,
        /// As it would be.
        to: Permille,
    },
    /// Less of every host's memory stays free.
    MemoryHeadroom {
        /// As it is.
        from: Permille,
        /// As it would be.
        to: Permille,
    },
    /// More vCPUs are promised per core.
    OverCommit {
        /// As it is.
        from: Ratio,
        /// As it would be.
        to: Ratio,
    },
    /// A rule's number changes: the moves it allows, the room it keeps.
    Rule {
        /// By name; the policy's `limits.moves` when absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// As it is.
        from: u32,
        /// As it would be.
        to: u32,
    },
    /// A draining host stays in use.
    Keep {
        /// Which.
        host: HostName,
    },
    /// A guest that is said not to be movable may move.
    Move {
        /// Which.
        guest: GuestName,
    },
    /// All of these, each of which is needed.
    Several {
        /// In their order.
        changes: Vec<Change>,
    },
}

impl Change {
    /// What may be in the way besides the hosts' room, and how it is taken out of it: each rule, each
    /// draining host, each guest that may not move.
    pub(crate) fn soft(cluster: &Cluster, policy: &Policy) -> Vec<Self> {
        let rules = policy.rules.iter().map(|rule| Self::Drop {
            rules: vec![rule.name.clone()],
        });
        let drains = cluster.hosts.iter().filter(|h| h.state == HostState::Drain);
        let kept = drains.map(|h| Self::Keep {
            host: h.name.clone(),
        });
        let fixed = cluster.guests.iter().filter(|g| !g.movable);
        let moved = fixed.map(|g| Self::Move {
            guest: g.name.clone(),
        });
        rules.chain(kept).chain(moved).collect()
    }
    /// As many moves as there are guests, where the policy limits them.
    pub(crate) fn all_moves(cluster: &Cluster, policy: &Policy) -> Option<Self> {
        policy.limits.moves.map(|from| Self::Rule {
            rule: None,
            from,
            to: u32::try_from(cluster.guests.len())
                .unwrap_or(u32::MAX)
                .max(from),
        })
    }
    /// Makes several changes.
    pub(crate) fn make_all(changes: &[Self], cluster: &mut Cluster, policy: &mut Policy) {
        // Thousands of rules may go at once.
        let mut dropped: BTreeSet<&String> = BTreeSet::new();
        for change in changes {
            match change {
                Self::Drop { rules } => dropped.extend(rules),
                other => other.make(cluster, policy),
            }
        }
        policy.rules.retain(|r| !dropped.contains(&r.name));
    }
    /// Makes the change.
    pub(crate) fn make(&self, cluster: &mut Cluster, policy: &mut Policy) {
        match self {
            Self::Hosts {
                like,
                count,
                cpu,
                memory,
            } => {
                let Some(like) = cluster.host(like).cloned() else {
                    return;
                };
                let taken: BTreeSet<HostName> =
                    cluster.hosts.iter().map(|h| h.name.clone()).collect();
                let names = (1u64..)
                    .filter_map(|i| format!("more-{i}").parse::<HostName>().ok())
                    .filter(|name| !taken.contains(name));
                let names: Vec<_> = names.take(*count as usize).collect();
                cluster.hosts.extend(names.into_iter().map(|name| Host {
                    name,
                    cpu: *cpu,
                    memory: *memory,
                    state: HostState::On,
                    never_sleep: false,
                    ..like.clone()
                }));
            }
            Self::Drop { .. } => Self::make_all(std::slice::from_ref(self), cluster, policy),
            Self::CpuHeadroom { to, .. } => policy.headroom.cpu = *to,
            Self::MemoryHeadroom { to, .. } => policy.headroom.memory = *to,
            Self::OverCommit { to, .. } => policy.over_commit.cpu = *to,
            Self::Rule { rule: None, to, .. } => policy.limits.moves = Some(*to),
            Self::Rule {
                rule: Some(name),
                to,
                ..
            } => {
                for rule in policy.rules.iter_mut().filter(|r| r.name == *name) {
                    match &mut rule.kind {
                        RuleKind::MaxMoves { moves: n, .. } | RuleKind::Spare { hosts: n } => {
                            *n = *to;
                        }
                        _ => {}
                    }
                }
            }
            Self::Keep { host } => {
                let named = cluster.hosts.iter_mut().filter(|h| h.name == *host);
                named.for_each(|h| h.state = HostState::On);
            }
            Self::Move { guest } => {
                let named = cluster.guests.iter_mut().filter(|g| g.name == *guest);
                named.for_each(|g| g.movable = true);
            }
            Self::Several { changes } => Self::make_all(changes, cluster, policy),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hosts {
                like,
                count,
                cpu,
                memory,
            } => match count {
                1 => write!(f, "one more host like {like} ({cpu}, {memory})"),
                n => write!(f, "{n} more hosts like {like} ({cpu}, {memory})"),
            },
            Self::Drop { rules } => match rules.as_slice() {
                [one] => write!(f, "drop rule {one}"),
                many => write!(
                    f,
                    "drop {} together: {}",
                    count(many.len(), "rule"),
                    many.join(", ")
                ),
            },
            Self::CpuHeadroom { from, to } => write!(f, "headroom of cpu {from} → {to}"),
            Self::MemoryHeadroom { from, to } => write!(f, "headroom of memory {from} → {to}"),
            Self::OverCommit { from, to } => write!(f, "over-commit {from} → {to}"),
            Self::Rule {
                rule: None,
                from,
                to,
            } => write!(f, "`limits.moves` {from} → {to}"),
            Self::Rule {
                rule: Some(rule),
                from,
                to,
            } => {
                let what = if to > from { "moves" } else { "room" };
                write!(f, "rule {rule}: {what} {from} → {to}")
            }
            Self::Keep { host } => write!(f, "keep {host} in use instead of draining it"),
            Self::Move { guest } => write!(f, "let {guest} move"),
            Self::Several { changes } => {
                let each: Vec<String> = changes.iter().map(Self::to_string).collect();
                write!(f, "together: {}", each.join("; "))
            }
        }
    }
}
