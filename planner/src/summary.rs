//! The result of a search as `--json` prints it and reports draw it.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use vmpack_domain::demand::{demands, joint};
use vmpack_domain::plan::{Mode, Outcome, Plan, PlanStatus, Start};
use vmpack_domain::units::{MilliCores, Sum};
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Load, Policy};
use vmpack_ilp::problem::room;

use crate::explain::relax::WayOut;

/// What a search came to, in plain numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How it ended.
    pub status: Status,
    /// Hosts in use in the snapshot.
    pub hosts_before: usize,
    /// Hosts in use afterwards; absent when there is no plan.
    pub hosts_after: Option<usize>,
    /// At least so many hosts are in use in any placement.
    pub hosts_bound: Option<u32>,
    /// Σ cost of the hosts in use afterwards; a host costs 1 unless the policy says otherwise.
    pub cost: Option<f64>,
    /// No placement costs less.
    pub cost_bound: Option<f64>,
    /// How that bound was found.
    pub bound_origin: Option<String>,
    /// The migrations, in order.
    pub moves: Vec<MoveRow>,
    /// Guests that are to be started.
    pub starts: Vec<Start>,
    /// Hosts to be woken.
    pub wake: Vec<HostName>,
    /// Σ memory of the guests that change their host, in MiB.
    pub move_mib: Option<u64>,
    /// No plan at that cost moves less, in MiB.
    pub move_mib_bound: Option<u64>,
    /// Predicted time from the first migration's start to the last one's end.
    pub move_seconds: Option<f64>,
    /// Time that the search took.
    pub seconds: f64,
    /// The part of it after which the hosts were settled, and the moves to them were sought.
    #[serde(default)]
    pub hosts_seconds: Option<f64>,
    /// What the reader should know; why there is no plan when there is none.
    pub reasons: Vec<String>,
    /// Changes under which there is a placement, the least first; where there is none as it is.
    pub ways_out: Vec<WayOut>,
    /// Every host that is there.
    pub hosts: Vec<HostRow>,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// A plan whose cost of hosts is proven to be the least.
    Optimal,
    /// A plan.
    Feasible,
    /// There is none.
    Infeasible,
    /// None was found within the limits.
    NoAnswer,
}

impl Status {
    /// Its name in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Optimal => "optimal",
            Self::Feasible => "feasible",
            Self::Infeasible => "infeasible",
            Self::NoAnswer => "no-answer",
        }
    }
}

/// One migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MoveRow {
    /// Who moves.
    pub guest: GuestName,
    /// From where.
    pub from: HostName,
    /// To where.
    pub to: HostName,
    /// By which kind of live migration.
    pub mode: Mode,
    /// Its memory in MiB.
    pub mib: u64,
    /// Predicted length.
    pub seconds: f64,
    /// Predicted start after the plan's start.
    #[serde(default)]
    pub start_seconds: f64,
    /// Predicted time with its memory on two hosts.
    #[serde(default)]
    pub split_seconds: f64,
    /// Why it is proposed.
    pub reason: String,
}

/// One host before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HostRow {
    /// Which.
    pub name: HostName,
    /// Its state in the snapshot.
    pub state: HostState,
    /// What guests may use of its CPU, in cores of speed 1.
    pub cpu_room: f64,
    /// What guests may use of its memory, in MiB.
    pub mib_room: u64,
    /// In the snapshot.
    pub before: Use,
    /// In the plan's target; the snapshot's where there is no plan.
    pub after: Use,
}

/// What a host carries.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Use {
    /// Whether it counts as in use.
    pub in_use: bool,
    /// How many guests.
    pub guests: usize,
    /// What they count with, in cores of speed 1.
    pub cpu: f64,
    /// Their memory with overhead, in MiB.
    pub mib: u64,
}

/// The summary of what `plan()` returned for these inputs after so many seconds.
#[must_use]
pub fn summary(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    outcome: &Outcome<Plan>,
    seconds: f64,
) -> Summary {
    let (status, plan, reasons) = match outcome {
        Outcome::Optimal(plan) => (Status::Optimal, Some(plan), plan.reasons.clone()),
        Outcome::Feasible(plan) => (Status::Feasible, Some(plan), plan.reasons.clone()),
        Outcome::Infeasible(reasons) => (Status::Infeasible, None, reasons.clone()),
        Outcome::NoAnswer { limit } => (Status::NoAnswer, None, vec![limit.clone()]),
    };
    debug_assert!(
        plan.is_none_or(|p| (p.status == PlanStatus::Optimal) == (status == Status::Optimal))
    );
    let plain = |r: Sum| r.0 as f64 / 1000.0;
    Summary {
        status,
        hosts_before: cluster.hosts_in_use().len(),
        hosts_after: plan.map(|p| p.hosts.after.len()),
        hosts_bound: plan.map(|p| p.claim.hosts_bound),
        cost: plan.map(|p| plain(p.claim.objective)),
        cost_bound: plan.map(|p| plain(p.claim.bound)),
        bound_origin: plan.map(|p| p.claim.origin.clone()),
        moves: plan.map(rows).unwrap_or_default(),
        starts: plan.map(|p| p.starts.clone()).unwrap_or_default(),
        wake: plan.map(|p| p.hosts.wake.clone()).unwrap_or_default(),
        move_mib: plan.map(|p| p.move_claim.objective.0),
        move_mib_bound: plan.map(|p| p.move_claim.bound.0),
        move_seconds: plan.map(|p| {
            let ends = p.moves.iter().map(|m| m.start + m.duration);
            ends.max().unwrap_or_default().to_std().as_secs_f64()
        }),
        seconds,
        hosts_seconds: None,
        reasons,
        ways_out: Vec::new(),
        hosts: hosts(cluster, load, policy, plan),
    }
}

fn rows(plan: &Plan) -> Vec<MoveRow> {
    let row = |m: &vmpack_domain::Move| MoveRow {
        guest: m.guest.clone(),
        from: m.from.clone(),
        to: m.to.clone(),
        mode: m.mode,
        mib: m.memory.0,
        seconds: m.duration.to_std().as_secs_f64(),
        start_seconds: m.start.to_std().as_secs_f64(),
        split_seconds: m.expected.map_or(0.0, |e| e.split.to_std().as_secs_f64()),
        reason: m.reason.clone(),
    };
    plan.moves.iter().map(row).collect()
}

fn hosts(cluster: &Cluster, load: &Load, policy: &Policy, plan: Option<&Plan>) -> Vec<HostRow> {
    let before = cluster.placement();
    let used_before: BTreeSet<HostName> = cluster.hosts_in_use().into_iter().collect();
    let carried = carried(cluster, load, policy, &before);
    let after = plan.map_or_else(
        || (used_before.clone(), carried.clone()),
        |p| {
            let used = p.hosts.after.iter().cloned().collect();
            (used, self::carried(cluster, load, policy, &p.target))
        },
    );
    let there = cluster.hosts.iter().filter(|h| h.state != HostState::Out);
    there
        .map(|h| {
            let of = |(used, carried): (&BTreeSet<HostName>, &BTreeMap<HostName, Use>)| Use {
                in_use: used.contains(&h.name),
                ..carried.get(&h.name).copied().unwrap_or_default()
            };
            let room = room(h, policy);
            let (cpu, memory) = (room[0], room[1]);
            HostRow {
                name: h.name.clone(),
                state: h.state,
                cpu_room: cpu as f64 / 1000.0,
                mib_room: u64::try_from(memory).unwrap_or(0),
                before: of((&used_before, &carried)),
                after: of((&after.0, &after.1)),
            }
        })
        .collect()
}

fn carried(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    placement: &BTreeMap<GuestName, HostName>,
) -> BTreeMap<HostName, Use> {
    let mut carried: BTreeMap<HostName, (usize, MilliCores, u64)> = BTreeMap::new();
    let joint = joint(cluster, load, policy);
    let mut windows: BTreeMap<&HostName, Vec<u64>> = BTreeMap::new();
    let demands = demands(cluster, load, policy);
    for (g, (guest, demand)) in cluster.guests.iter().zip(demands).enumerate() {
        if let Some(host) = placement.get(&guest.name) {
            let used = carried.entry(host.clone()).or_default();
            used.0 += 1;
            used.1 += demand.cpu;
            used.2 += (guest.memory + policy.overhead.memory).0;
            if let Some(joint) = &joint {
                let sums = windows.entry(host).or_insert(vec![0; joint.starts.len()]);
                for (sum, demand) in sums.iter_mut().zip(&joint.of[g]) {
                    *sum += demand.0;
                }
            }
        }
    }
    // Where demand is counted jointly, a host is as busy as in its busiest window that is not exempt.
    for (host, mut sums) in windows {
        sums.sort_unstable();
        let busiest = sums.len().checked_sub(policy.demand.exempt(sums.len()) + 1);
        if let (Some(used), Some(w)) = (carried.get_mut(host), busiest) {
            used.1 = MilliCores(sums[w]);
        }
    }
    let used = |(guests, cpu, mib): (usize, MilliCores, u64)| Use {
        in_use: false,
        guests,
        cpu: cpu.0 as f64 / 1000.0,
        mib,
    };
    carried.into_iter().map(|(h, u)| (h, used(u))).collect()
}
