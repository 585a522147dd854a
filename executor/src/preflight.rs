//! Do the preconditions of a plan's moves still hold? Judged for the whole plan against a fresh
//! snapshot before anything starts, and again for each move right before it starts.
//!
//! Room is judged as the plan was made: by the policy in the plan, with the guest at both ends
//! while it moves. Memory and vCPUs come from the snapshot. CPU demand is known only of the guests
//! that the plan moves; others count with what is reserved for them, and a guest that the plan did
//! not expect on a host counts with all its vCPUs, or, where another plan moves it there or has yet to
//! move it away, with what that says it wants.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use vmpack_domain::cluster::{Cluster, Guest, Host, HostState, PostCopy};
use vmpack_domain::plan::{Mode, Move, MoveId, Plan};
use vmpack_domain::units::{MiB, MilliCores};
use vmpack_domain::{GuestName, HostName};
use vmpack_hypervisor::{GuestState, Sighting};

/// A precondition that no longer holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Of which move.
    #[serde(rename = "move")]
    pub id: MoveId,
    /// What kind of precondition.
    pub of: Precondition,
    /// What was expected and what was found.
    pub detail: String,
}

/// What must hold before a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precondition {
    /// The guest is there, running, in one place, and is the same one.
    Guest,
    /// The guest is on the host that the move starts from.
    Place,
    /// Its memory and vCPUs are as planned.
    Size,
    /// It may be moved, and in this mode.
    Consent,
    /// Source and target are there and awake, and the guest may run on the target.
    Host,
    /// The target has room.
    Room,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.detail)
    }
}

/// How a lack of room is worded.
const NO_ROOM: &str = "has no room for guest";

/// Whether that, for which a move was skipped, is a lack of room and nothing else.
#[must_use]
pub fn lacks_only_room(reason: &str) -> bool {
    reason.split("; ").all(|change| change.contains(NO_ROOM))
}

/// Where the guests that a plan moves are seen.
pub type Sightings = BTreeMap<GuestName, Vec<Sighting>>;

/// What of the plan no longer holds in the snapshot; nothing when it can be carried out. The moves
/// are replayed in the plan's order. `seen` tells how the guests are that it moves.
#[must_use]
pub fn preflight(plan: &Plan, now: &Cluster, seen: &Sightings) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut placement = now.placement();
    let mut judged = BTreeSet::new();
    for mv in &plan.moves {
        let view = View { plan, mv, now };
        view.judge_guest(&mut changes);
        let at = placement.get(&mv.guest);
        view.judge_place(at, &mut changes);
        // How it is matters where it begins; that it is elsewhere was said.
        if judged.insert(&mv.guest) && at == Some(&mv.from) {
            let seen = seen.get(&mv.guest).map_or(&[][..], Vec::as_slice);
            view.judge_sightings(seen, &mut changes);
        }
        view.judge_hosts(&mut changes);
        view.judge_room(&placement, Others::default(), &mut changes);
        placement.insert(mv.guest.clone(), mv.to.clone());
    }
    changes
}

/// What runs know that are not at their end, of guests that a plan says nothing of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Others<'a> {
    /// Moves that run at this moment.
    pub underway: &'a [Move],
    /// Moves that are to be begun yet, or anew: relief may have called them off.
    pub waiting: &'a [Move],
}

/// What of one move no longer holds, right before it starts. `seen` is where the guest is seen
/// now.
#[must_use]
pub fn recheck(
    plan: &Plan,
    mv: &Move,
    now: &Cluster,
    seen: &[Sighting],
    others: Others<'_>,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let view = View { plan, mv, now };
    view.judge_guest(&mut changes);
    let placement = now.placement();
    view.judge_place(placement.get(&mv.guest), &mut changes);
    view.judge_sightings(seen, &mut changes);
    view.judge_hosts(&mut changes);
    view.judge_room(&placement, others, &mut changes);
    changes
}

/// Whether the plan was carried out already: it has moves, and every guest that it moves, or that is
/// known, is where it puts it.
#[must_use]
pub fn carried_out(plan: &Plan, now: &Cluster) -> bool {
    let placement = now.placement();
    let moved: BTreeSet<&GuestName> = plan.moves.iter().map(|m| &m.guest).collect();
    let there = |guest: &GuestName, host: &HostName| match placement.get(guest) {
        Some(at) => at == host,
        None => !moved.contains(guest),
    };
    !moved.is_empty() && plan.target.iter().all(|(guest, host)| there(guest, host))
}

/// Faults of a plan's own, which no snapshot could mend: moves named twice, `after` edges that do
/// not point to an earlier move, a move that leads nowhere, moves of one guest that do not follow
/// one another, and moves that do not lead to the target.
///
/// # Errors
/// The first of them.
pub fn well_formed(plan: &Plan) -> Result<(), String> {
    let mut earlier = BTreeSet::new();
    let mut at: BTreeMap<&GuestName, &HostName> = BTreeMap::new();
    for mv in &plan.moves {
        if let Some(edge) = mv.after.iter().find(|a| !earlier.contains(a)) {
            return Err(format!(
                "read `after: {edge}` in move {}, expected a move that stands before it",
                mv.id
            ));
        }
        if !earlier.insert(&mv.id) {
            return Err(format!("read move {} twice, expected unique ids", mv.id));
        }
        if mv.from == mv.to {
            return Err(format!(
                "read a move of guest {} from {} to itself in {}",
                mv.guest, mv.from, mv.id
            ));
        }
        if let Some(before) = at.insert(&mv.guest, &mv.to)
            && *before != mv.from
        {
            return Err(format!(
                "read `from: {}` in move {}, expected {before}, where an earlier move leaves guest {}",
                mv.from, mv.id, mv.guest
            ));
        }
    }
    for (guest, host) in at {
        if plan.target.get(guest) != Some(host) {
            return Err(format!(
                "read moves that leave guest {guest} on {host}, which is not its target"
            ));
        }
    }
    Ok(())
}

struct View<'a> {
    plan: &'a Plan,
    mv: &'a Move,
    now: &'a Cluster,
}

impl View<'_> {
    fn change(&self, of: Precondition, detail: String) -> Change {
        Change {
            id: self.mv.id.clone(),
            of,
            detail,
        }
    }

    /// Identity, size and consent.
    fn judge_guest(&self, changes: &mut Vec<Change>) {
        let mv = self.mv;
        let Some(guest) = self.now.guest(&mv.guest) else {
            changes.push(self.change(
                Precondition::Guest,
                format!("guest {} is not there any more", mv.guest),
            ));
            return;
        };
        if let (Some(planned), Some(is)) = (mv.uuid, guest.uuid)
            && planned != is
        {
            changes.push(self.change(
                Precondition::Guest,
                format!(
                    "guest {} is another one: its uuid was {planned}, it is {is}",
                    mv.guest
                ),
            ));
        }
        if guest.memory != mv.memory {
            changes.push(self.change(
                Precondition::Size,
                format!(
                    "guest {} had {} of memory, it has {}",
                    mv.guest, mv.memory, guest.memory
                ),
            ));
        }
        if guest.vcpus != mv.vcpus {
            changes.push(self.change(
                Precondition::Size,
                format!(
                    "guest {} had {} vCPUs, it has {}",
                    mv.guest, mv.vcpus, guest.vcpus
                ),
            ));
        }
        if !guest.movable {
            changes.push(self.change(
                Precondition::Consent,
                format!("guest {} may not be moved any more", mv.guest),
            ));
        }
        if guest.post_copy == PostCopy::Never && mv.mode != Mode::PreCopy {
            changes.push(self.change(
                Precondition::Consent,
                format!(
                    "guest {} may not be moved by {} any more",
                    mv.guest, mv.mode
                ),
            ));
        }
    }

    fn judge_place(&self, at: Option<&HostName>, changes: &mut Vec<Change>) {
        let mv = self.mv;
        // A guest that is not there at all was reported already.
        if self.now.guest(&mv.guest).is_some() && at != Some(&mv.from) {
            let at = at.map_or("no host", HostName::as_str);
            changes.push(self.change(
                Precondition::Place,
                format!(
                    "guest {} is on {at}, the plan expects it on {}",
                    mv.guest, mv.from
                ),
            ));
        }
    }

    /// A snapshot tells where a guest is; only the hypervisor's own view tells how it is.
    fn judge_sightings(&self, seen: &[Sighting], changes: &mut Vec<Change>) {
        let mv = self.mv;
        for sighting in seen {
            let how = match sighting.state {
                GuestState::Running if sighting.host == mv.from => continue,
                // A definition that is left over elsewhere does no harm.
                GuestState::Off | GuestState::Crashed if sighting.host != mv.from => continue,
                GuestState::Running => "runs",
                GuestState::Paused => "is paused",
                GuestState::Migrating => "is being migrated by somebody else",
                GuestState::PostCopyFailed => "is in split state after a failed post-copy",
                GuestState::Off => "is switched off",
                GuestState::Crashed => "is switched off, its QEMU died",
            };
            changes.push(self.change(
                Precondition::Guest,
                format!("guest {} {how} on {}", mv.guest, sighting.host),
            ));
        }
    }

    fn judge_hosts(&self, changes: &mut Vec<Change>) {
        let mv = self.mv;
        for (name, is_target) in [(&mv.from, false), (&mv.to, true)] {
            let wrong = match self.now.host(name).map(|h| h.state) {
                None => "is not there any more",
                Some(HostState::Out) => "is out",
                Some(HostState::Asleep) => "is asleep, wake it first",
                Some(HostState::Drain) if is_target => "is draining",
                Some(HostState::On | HostState::Drain) => continue,
            };
            changes.push(self.change(Precondition::Host, format!("host {name} {wrong}")));
        }
        if let (Some(guest), Some(to)) = (self.now.guest(&mv.guest), self.now.host(&mv.to))
            && !guest.runs_on(to)
        {
            changes.push(self.change(
                Precondition::Host,
                format!("host {} lacks what guest {} requires", mv.to, mv.guest),
            ));
        }
    }

    /// Room at the target for what is on it, what is on its way to it, and this guest.
    fn judge_room(
        &self,
        placement: &BTreeMap<GuestName, HostName>,
        others: Others<'_>,
        changes: &mut Vec<Change>,
    ) {
        let (mv, underway) = (self.mv, others.underway);
        let Some(host) = self.now.host(&mv.to) else {
            return;
        };
        let mut takes = Amounts {
            cpu: self.demand(self.now.guest(&mv.guest), &mv.guest, others),
            memory: u128::from((mv.memory + self.plan.policy.overhead.memory).0),
            vcpus: u128::from(mv.vcpus),
        };
        // What has only just been asked for cannot be seen yet.
        let unseen = |m: &&Move| m.to == mv.to && self.now.guest(&m.guest).is_none();
        for other in underway.iter().filter(unseen) {
            takes.cpu += u128::from(other.demand.0);
            takes.memory += u128::from((other.memory + self.plan.policy.overhead.memory).0);
            takes.vcpus += u128::from(other.vcpus);
        }
        for guest in &self.now.guests {
            let there = placement.get(&guest.name) == Some(&mv.to);
            let mut coming = underway.iter();
            let coming = coming.find(|m| m.guest == guest.name && m.to == mv.to);
            if guest.name != mv.guest && (there || coming.is_some()) {
                // What is known of one that comes for another plan stands in its own move.
                takes.cpu += coming.map_or_else(
                    || self.demand(Some(guest), &guest.name, others),
                    |other| u128::from(other.demand.max(guest.reserved).0),
                );
                takes.memory += u128::from((guest.memory + self.plan.policy.overhead.memory).0);
                takes.vcpus += u128::from(guest.vcpus);
            }
        }
        if let Some(short) = self.short_of(host, &takes) {
            changes.push(self.change(
                Precondition::Room,
                format!("host {} {NO_ROOM} {}: {short}", mv.to, mv.guest),
            ));
        }
    }

    /// The CPU that a guest counts with on the target, in milli-cores.
    fn demand(&self, guest: Option<&Guest>, name: &GuestName, others: Others<'_>) -> u128 {
        let (on, reserved) = (&self.mv.to, guest.map_or(MilliCores::ZERO, |g| g.reserved));
        let moves = || self.plan.moves.iter().filter(|m| m.guest == *name);
        if let Some(planned) = moves().map(|m| m.demand).max() {
            return u128::from(planned.max(reserved).0);
        }
        if self.plan.target.get(name) == Some(on) {
            return u128::from(reserved.0);
        }
        // Relief expects it where another plan sends it, and it has not left yet, or was kept from it.
        let leaves = |m: &&Move| m.guest == *name && m.from == *on;
        let mut known = others.underway.iter().chain(others.waiting);
        let wants = known.find(leaves).map(|m| m.demand);
        let promise = || guest.map_or(MilliCores::ZERO, |g| MilliCores::cores(u64::from(g.vcpus)));
        u128::from(wants.unwrap_or_else(promise).max(reserved).0)
    }

    /// Which resource those amounts exceed. Both sides are multiplied out, nothing is rounded.
    fn short_of(&self, host: &Host, takes: &Amounts) -> Option<String> {
        let policy = &self.plan.policy;
        let share = |headroom: u64| u128::from(1000u64.saturating_sub(headroom));
        let memory = share(policy.headroom.memory.0)
            * u128::from(host.memory.0.saturating_sub(host.reserve.memory.0));
        if takes.memory * 1000 > memory {
            return Some(format!(
                "{} of memory with overhead, usable are {}",
                MiB(small(takes.memory)),
                MiB(small(memory / 1000))
            ));
        }
        let vcpus = u128::from(host.cpu.0) * u128::from(policy.over_commit.cpu.0);
        if takes.vcpus * 1_000_000 > vcpus {
            return Some(format!(
                "{} vCPUs, it may promise {}",
                takes.vcpus,
                vcpus / 1_000_000
            ));
        }
        let cpu = share(policy.headroom.cpu.0)
            * (u128::from(host.cpu.0) * u128::from(host.speed.0))
                .saturating_sub(u128::from(host.reserve.cpu.0) * 1000);
        (takes.cpu * 1_000_000 > cpu).then(|| {
            format!(
                "a demand of {}, usable are {}",
                MilliCores(small(takes.cpu)),
                MilliCores(small(cpu / 1_000_000))
            )
        })
    }
}

/// What guests take: milli-cores, MiB, vCPUs.
struct Amounts {
    cpu: u128,
    memory: u128,
    vcpus: u128,
}

fn small(v: u128) -> u64 {
    u64::try_from(v).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
