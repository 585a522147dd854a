//! The judge: says whether a placement or a plan keeps every law, and names what is violated. It
//! takes the guests' demand and what rules name from this crate; its arithmetic is its own, and no
//! part of the planner or of the formulations is used.
//!
//! A host is feasible when, over its guests,
//! - Σ max(demand, reserved) ≤ (1 − headroom) × (cores × speed − reserve), where demand is counted
//!   jointly in every window of the host but the share that the policy exempts,
//! - Σ (memory + overhead) ≤ (1 − headroom) × (memory − reserve),
//! - Σ vCPUs ≤ over-commit × cores.
//!
//! Both sides are multiplied out, so nothing is rounded.

pub mod certificate;
mod later;
pub mod packing;
mod relief;
mod replay;
mod resting;
mod rules;
mod times;
mod trade;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::cluster::{Cluster, Guest, Host, HostState};
use crate::demand::{Demand, Joint, demands, joint};
use crate::digest::digest;
use crate::load::Load;
use crate::name::{GuestName, HostName};
use crate::plan::{MoveId, Plan, PlanStatus};
use crate::policy::{Headroom, Policy};
use crate::units::{MiB, MilliCores, Sum, count};

pub use certificate::certificate;
pub use later::{Busy, later};
pub use packing::packing;
pub use relief::relief;
pub use resting::resting;
pub use times::budgets as split_budgets;

/// Something that must hold and does not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which law: `cpu`, `memory`, `vcpus`, `state`, `requires`, `rule NAME`, `moves`, `times`,
    /// `claim`, `base`.
    pub law: String,
    /// At the start of which move, when it is on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<MoveId>,
    /// What was found.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.law)?;
        if let Some(at) = &self.at {
            write!(f, "at the start of {at}: ")?;
        }
        f.write_str(&self.detail)
    }
}

/// What a placement or plan is judged against, indexed by name.
struct World<'a> {
    cluster: &'a Cluster,
    policy: &'a Policy,
    hosts: BTreeMap<&'a HostName, &'a Host>,
    guests: BTreeMap<&'a GuestName, (&'a Guest, Demand)>,
    /// Demands by window, where the policy counts them together, and each guest's place in them.
    joint: Option<(Joint, BTreeMap<&'a GuestName, usize>)>,
    /// What guests take of each host in the snapshot, where the policy has a relief threshold.
    before: BTreeMap<&'a HostName, Vec<u64>>,
}

impl<'a> World<'a> {
    fn new(cluster: &'a Cluster, load: &Load, policy: &'a Policy) -> Self {
        let demands = demands(cluster, load, policy);
        let mut world = Self {
            before: BTreeMap::new(),
            cluster,
            policy,
            hosts: cluster.hosts.iter().map(|h| (&h.name, h)).collect(),
            guests: cluster
                .guests
                .iter()
                .zip(demands)
                .map(|(g, d)| (&g.name, (g, d)))
                .collect(),
            joint: joint(cluster, load, policy).map(|joint| {
                let guests = cluster.guests.iter().map(|g| &g.name).zip(0..);
                (joint, guests.collect())
            }),
        };
        if policy.threshold().is_some() {
            let mut before: BTreeMap<&HostName, Vec<u64>> = BTreeMap::new();
            for guest in &cluster.guests {
                if let (Some(host), Some(needs)) = (&guest.host, world.needs(&guest.name)) {
                    let sums = before.entry(host).or_insert_with(|| vec![0; needs.len()]);
                    for (sum, need) in sums.iter_mut().zip(needs) {
                        *sum = sum.saturating_add(need);
                    }
                }
            }
            world.before = before;
        }
        world
    }
}

fn violation(law: impl Into<String>, detail: String) -> Violation {
    Violation {
        law: law.into(),
        at: None,
        detail,
    }
}

/// Judges where guests run, with every host that is on counting as in use. Guests that wait without
/// a host in `target` are judged only by the rules.
#[must_use]
pub fn placement(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    target: &BTreeMap<GuestName, HostName>,
) -> Vec<Violation> {
    let world = World::new(cluster, load, policy);
    judge_placement(&world, target, &world.hosts_on())
}

fn judge_placement(
    world: &World,
    target: &BTreeMap<GuestName, HostName>,
    awake: &BTreeSet<&HostName>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut on: BTreeMap<&HostName, Vec<&GuestName>> = BTreeMap::new();
    for (guest, host) in target {
        if !world.guests.contains_key(guest) {
            found.push(violation(
                "state",
                format!("guest {guest} is not in the cluster"),
            ));
            continue;
        }
        on.entry(host).or_default().push(guest);
        found.extend(stands(world, guest, host));
    }
    for (host, guests) in &on {
        if let Some(host) = world.hosts.get(*host) {
            found.extend(room(world, host, guests.iter().copied()));
        }
    }
    found.extend(rules::judge(world, target, awake));
    found
}

/// Whether the guest may run on the host at all.
fn stands(world: &World, guest: &GuestName, host: &HostName) -> Option<Violation> {
    let Some(found) = world.hosts.get(host) else {
        return Some(violation(
            "state",
            format!("guest {guest} is put on {host}, which is not in the cluster"),
        ));
    };
    if !found.state.takes_guests() {
        let state = match found.state {
            HostState::Out => "out",
            _ => "draining",
        };
        return Some(violation(
            "state",
            format!("guest {guest} is put on {host}, which is {state}"),
        ));
    }
    let (who, _) = world.guests.get(guest)?;
    if !who.runs_on(found) {
        return Some(violation(
            "requires",
            format!("guest {guest} is put on {host}, which lacks what it requires"),
        ));
    }
    None
}

impl World<'_> {
    /// Where guests run in the snapshot.
    fn placement_now(&self) -> BTreeMap<GuestName, HostName> {
        let guests = self.cluster.guests.iter();
        guests
            .filter_map(|g| Some((g.name.clone(), running_on(self, g)?.clone())))
            .collect()
    }

    /// The hosts that are on in the snapshot.
    fn hosts_on(&self) -> BTreeSet<&HostName> {
        let on = |h: &&Host| h.state == HostState::On;
        self.cluster
            .hosts
            .iter()
            .filter(on)
            .map(|h| &h.name)
            .collect()
    }

    /// What a guest takes of its host: memory in MiB, vCPUs, and CPU in milli-cores of speed 1, once
    /// or in each window.
    fn needs(&self, name: &GuestName) -> Option<Vec<u64>> {
        let (guest, demand) = self.guests.get(name)?;
        let memory = guest.memory.0.saturating_add(self.policy.overhead.memory.0);
        let mut needs = vec![memory, u64::from(guest.vcpus)];
        let at_least = |demand: MilliCores| demand.max(guest.reserved).0;
        match &self.joint {
            None => needs.push(at_least(demand.cpu)),
            Some((joint, index)) => {
                let own = index.get(name).and_then(|g| joint.of.get(*g));
                needs.extend(own.into_iter().flatten().map(|d| at_least(*d)));
            }
        }
        Some(needs)
    }

    /// What guests may take of a host together, in the order and units of [`World::needs`]: what the
    /// headroom leaves, or what they take in the snapshot where that is more and the relief threshold
    /// allows it.
    fn rooms(&self, host: &Host) -> Vec<u64> {
        let mut rooms = self.rooms_with(host, self.policy.headroom);
        if let (Some(relief), Some(before)) = (self.policy.threshold(), self.before.get(&host.name))
        {
            let most = self.rooms_with(host, relief);
            for ((room, most), before) in rooms.iter_mut().zip(most).zip(before) {
                if before <= &most {
                    *room = (*room).max(*before);
                }
            }
        }
        rooms
    }

    /// What that headroom leaves of a host. Needs are whole numbers, so nothing is lost by rounding
    /// down.
    fn rooms_with(&self, host: &Host, headroom: Headroom) -> Vec<u64> {
        let policy = self.policy;
        let share = |free: u64| u128::from(1000u64.saturating_sub(free));
        // In thousandths of a milli-core, so that the speed's own thousandths stay whole.
        let cpu = (u128::from(host.cpu.0) * u128::from(host.speed.0))
            .saturating_sub(u128::from(host.reserve.cpu.0) * 1000);
        let memory = u128::from(host.memory.0.saturating_sub(host.reserve.memory.0));
        let promised = u128::from(host.cpu.0) * u128::from(policy.over_commit.cpu.0);
        let mut rooms = vec![
            small(share(headroom.memory.0) * memory / 1000),
            small(promised / 1_000_000),
        ];
        let windows = self.joint.as_ref().map_or(1, |(j, _)| j.starts.len());
        let cpu = small(share(headroom.cpu.0) * cpu / 1_000_000);
        rooms.extend(std::iter::repeat_n(cpu, windows));
        rooms
    }
}

fn small(v: u128) -> u64 {
    u64::try_from(v).unwrap_or(u64::MAX)
}

/// What those guests take of the host beyond its room.
fn room<'a>(
    world: &World,
    host: &Host,
    guests: impl Iterator<Item = &'a GuestName>,
) -> Vec<Violation> {
    let rooms = world.rooms(host);
    let mut taken = vec![0u128; rooms.len()];
    for needs in guests.filter_map(|name| world.needs(name)) {
        for (sum, need) in taken.iter_mut().zip(needs) {
            *sum += u128::from(need);
        }
    }
    let taken: Vec<u64> = taken.into_iter().map(small).collect();
    let name = &host.name;
    let mut found = Vec::new();
    let (&[memory, vcpus, ref cpu @ ..], &[memory_room, vcpus_room, ref cpu_room @ ..]) =
        (taken.as_slice(), rooms.as_slice())
    else {
        return found;
    };
    // Each window has its own room: a host may keep what it carries up to the relief threshold.
    let each = cpu
        .iter()
        .copied()
        .zip(cpu_room.iter().copied())
        .enumerate();
    let over: Vec<(usize, (u64, u64))> = each.filter(|(_, (sum, room))| sum > room).collect();
    let above = over.len();
    let most = over.into_iter().max_by_key(|(_, (sum, room))| sum - room);
    let exempt = match &world.joint {
        Some((joint, _)) => world.policy.demand.exempt(joint.starts.len()),
        None => 0,
    };
    if let (true, Some((window, (most, cpu_room)))) = (above > exempt, most) {
        let (most, cpu_room) = (MilliCores(most), MilliCores(cpu_room));
        let detail = match &world.joint {
            None => format!("host {name} has a demand of {most}, its room is {cpu_room}"),
            Some((joint, _)) => {
                format!(
                    "host {name} has a demand above its room of {cpu_room} in {above} of {} windows, {most} in the one that begins at {}",
                    joint.starts.len(),
                    joint
                        .starts
                        .get(window)
                        .map_or(String::new(), ToString::to_string)
                ) + &match exempt {
                    0 => String::new(),
                    n => format!("; {n} may be above it"),
                }
            }
        };
        found.push(violation("cpu", detail));
    }
    if memory > memory_room {
        let (taken, room) = (MiB(memory), MiB(memory_room));
        found.push(violation(
            "memory",
            format!("host {name} carries {taken} with overhead, its room is {room}"),
        ));
    }
    if vcpus > vcpus_room {
        found.push(violation(
            "vcpus",
            format!("host {name} has {vcpus} vCPUs, it may promise {vcpus_room}"),
        ));
    }
    found
}

/// Whether a host is in use whatever it carries.
fn in_use_always(host: &Host) -> bool {
    host.never_sleep && host.state == HostState::On
}

/// Judges a plan: its base, its target, every move in order with the guest at both ends while it
/// moves, and its claims. The policy judged by is the one given, which may be the plan's own.
#[must_use]
pub fn plan(cluster: &Cluster, load: &Load, policy: &Policy, plan: &Plan) -> Vec<Violation> {
    let world = World::new(cluster, load, policy);
    let mut found = Vec::new();
    let known = |guest| world.guests.contains_key(guest);
    if !plan.target.is_empty() && !plan.target.keys().any(known) {
        let what = format!(
            "the plan is of another cluster: it knows {} and none of this one's {}",
            count(plan.target.len(), "guest"),
            cluster.guests.len()
        );
        return vec![violation("base", what)];
    }
    for (name, stated, is) in [
        ("cluster", &plan.base.cluster, digest(cluster)),
        ("load", &plan.base.load, digest(load)),
    ] {
        if *stated != is {
            found.push(violation(
                "base",
                format!("the plan was made from another {name} ({stated}, here {is})"),
            ));
        }
    }
    for guest in &cluster.guests {
        if !plan.target.contains_key(&guest.name) {
            found.push(violation(
                "state",
                format!("guest {} has no host in the target", guest.name),
            ));
        }
    }
    let awake: BTreeSet<&HostName> = plan.hosts.after.iter().collect();
    found.extend(judge_placement(&world, &plan.target, &awake));
    found.extend(replay::judge(&world, plan));
    found.extend(resting::judge(&world, plan));
    found.extend(times::judge(&world, plan));
    found.extend(claims(&world, plan, &awake));
    found.extend(trade::judge(&world, load, plan, &awake));
    found
}

/// What a plan says of itself, recomputed.
fn claims(world: &World, plan: &Plan, awake: &BTreeSet<&HostName>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut claim = |ok: bool, detail: String| {
        if !ok {
            found.push(violation("claim", detail));
        }
    };
    let before = world.cluster.hosts_in_use();
    claim(
        plan.hosts.before == before,
        format!(
            "hosts in use before are said to be {}, they are {}",
            plan.hosts.before.len(),
            before.len()
        ),
    );
    claim(
        awake.len() == plan.hosts.after.len(),
        "a host is listed twice among those in use afterwards".into(),
    );
    for (guest, host) in &plan.target {
        claim(
            awake.contains(host),
            format!("guest {guest} runs on {host}, which is not among the hosts in use afterwards"),
        );
    }
    for host in &world.cluster.hosts {
        claim(
            !in_use_always(host) || awake.contains(&host.name),
            format!(
                "host {} never sleeps and is not among the hosts in use afterwards",
                host.name
            ),
        );
        let wakes = host.state == HostState::Asleep && awake.contains(&host.name);
        claim(
            wakes == plan.hosts.wake.contains(&host.name),
            format!(
                "host {} is asleep: in use afterwards and to be woken do not agree",
                host.name
            ),
        );
    }
    for host in awake {
        let there = world
            .hosts
            .get(host)
            .is_some_and(|h| h.state.takes_guests());
        claim(
            there,
            format!("host {host} is in use afterwards and cannot be"),
        );
    }
    let cost: u64 = awake.iter().map(|h| world.policy.costs.of(h).0).sum();
    claim(
        plan.claim.objective.0 == cost,
        format!(
            "the hosts in use are said to cost {}, they cost {}",
            plan.claim.objective,
            Sum(cost)
        ),
    );
    claim(
        plan.claim.bound <= plan.claim.objective,
        format!(
            "the bound {} is above the cost {}",
            plan.claim.bound, plan.claim.objective
        ),
    );
    let proven = match &plan.trade_claim {
        None => plan.claim.bound == plan.claim.objective,
        Some(trade) => trade.bound == trade.objective,
    };
    claim(
        (plan.status == PlanStatus::Optimal) == proven,
        "the status does not agree with what is claimed and its bound".into(),
    );
    claim(
        plan.claim.hosts_bound as usize <= awake.len(),
        format!(
            "at least {} hosts are said to be needed, {} are in use",
            plan.claim.hosts_bound,
            awake.len()
        ),
    );
    let moved: MiB = world
        .cluster
        .guests
        .iter()
        .filter(|g| moves_of(world, g, plan))
        .map(|g| g.memory)
        .sum();
    claim(
        plan.move_claim.objective == moved,
        format!(
            "{} are said to be moved, it is {moved}",
            plan.move_claim.objective
        ),
    );
    claim(
        plan.move_claim.bound <= plan.move_claim.objective,
        format!(
            "the bound {} is above the {} moved",
            plan.move_claim.bound, plan.move_claim.objective
        ),
    );
    found
}

/// Whether the guest runs somewhere else afterwards than now (a guest on a host that is out does
/// not move, it is started).
fn moves_of(world: &World, guest: &Guest, plan: &Plan) -> bool {
    running_on(world, guest).is_some_and(|from| plan.target.get(&guest.name) != Some(from))
}

/// The host on which the guest runs now, if that host is there.
fn running_on<'a>(world: &World, guest: &'a Guest) -> Option<&'a HostName> {
    let host = guest.host.as_ref()?;
    world
        .hosts
        .get(host)
        .filter(|h| h.state != HostState::Out)
        .map(|_| host)
}

#[cfg(test)]
mod tests;
