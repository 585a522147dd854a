//! A new plan for what a run left undone. What is decided here is pure; [`round`] acts on it.
//!
//! A move that failed for good is skipped, and so is what depends on it; the rest of the run goes on to its
//! end. Then, as often as was allowed, a plan is made anew from the hosts as they are:
//!
//! ```text
//! run ── every move happened ─────────────────────────────────> reached
//!  │ ─── aborted, stopped, a guest stuck or lost, `stop-after` ─> ends: a person must look
//!  │ ─── planned anew as often as was allowed ────────────────> ends
//!  └─── else: cut off what failed, plan ── no moves, no plan ─> ends
//!         ^                           └─── moves ─> the next run, of the same chain
//!         └─────────────────────────────────────────┘
//! ```
//!
//! What failed goes back to the planner as cuts, rules of the new plan's own policy, which the judge
//! judges: a guest does not go to a host again to which its move failed, unless all that was lacking is room, which
//! the planner sees by itself; one that failed at two hosts stays where it is, and so does one that somebody
//! else has moved meanwhile, unless its host is to be emptied. Where no plan keeps that, those guests are held where
//! they are. So no move is tried again that failed, but where the policy's rules let its guest neither stay nor go
//! elsewhere: then the rest is not held up by it. What the policy lets a plan do counts
//! for the chain as a whole: its limits on moves, which are at most as many as the first plan has, are
//! lessened by those that happened, its budgets of split state by what was spent of them, `stop-after` by the
//! moves that failed, and guests that moved rest as long as its `cooldown` says.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::journal::{Event, MoveState, Progress};
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::{Move, MoveId, Plan};
use vmpack_domain::rule::{Rule, RuleKind, guests_named};
use vmpack_domain::split::Place;
use vmpack_domain::units::{Micros, count};
use vmpack_domain::{Cluster, Guest, GuestName, Host, HostName, HostState, Policy};

use crate::journal::{Entry, Run};
use crate::preflight::lacks_only_room;
use crate::sight::Sight;
use crate::spells::Spells;
use crate::world::World;

/// A guest whose move failed at so many hosts stays where it is.
const STAYS: usize = 2;

/// What comes after a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: it did all that it was to do.
    Reached,
    /// Nothing, although something is left, and why.
    Ends(String),
    /// A new plan is to be made.
    Plan,
}

/// What a new plan is made from, and why it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The hosts as they are, without those that sleep, as nobody wakes them here; with how long ago each guest was moved as far as that is known.
    pub cluster: Cluster,
    /// The policy of the first run, with cuts for what failed, less what was used up.
    pub policy: Policy,
    /// What failed and what is done about it, in words.
    pub why: Vec<String>,
    /// The guests of which something failed or was changed by others, with the rule that says what is done about it; one
    /// whose name or target is a pattern is held still instead.
    pub cut: BTreeMap<GuestName, Option<String>>,
}

/// What comes after the last of a chain of runs, each of which was planned for what the one before left;
/// at most `most` of them may follow the first.
#[must_use]
pub fn next(chain: &[Run], most: u32) -> Next {
    let ends = |why: &str| Next::Ends(why.to_owned());
    let Some(last) = chain.last() else {
        return ends("there is no run");
    };
    let progress = last.progress();
    match progress.finished {
        Some(true) => return Next::Reached,
        Some(false) => {}
        None => {
            let stopped = progress
                .stopped
                .map(|why| format!("the run was stopped: {why}"));
            return ends(stopped.as_deref().unwrap_or("the run is not at its end"));
        }
    }
    if progress.aborted {
        return ends("the run was aborted");
    }
    if chain.iter().any(Run::reverses) {
        return ends("the run takes back what another one did");
    }
    if let Some(why) = needs_a_person(&progress) {
        return Next::Ends(why);
    }
    if let Some(why) = too_much(chain) {
        return Next::Ends(why);
    }
    let done = u32::try_from(chain.len() - 1).unwrap_or(u32::MAX);
    if done >= most {
        return Next::Ends(format!(
            "planned anew {} already",
            count(chain.len() - 1, "time")
        ));
    }
    Next::Plan
}

/// Nothing is planned around a guest of which it is not known how it is.
fn needs_a_person(progress: &Progress) -> Option<String> {
    let plan = progress.plan.as_ref()?;
    plan.moves.iter().find_map(|mv| {
        let how = match progress.moves.get(&mv.id)? {
            MoveState::Stuck { .. } => "stuck",
            MoveState::Lost { .. } => "lost",
            _ => return None,
        };
        Some(format!(
            "guest {} of move {} is {how}, a person must look first",
            mv.guest, mv.id
        ))
    })
}

/// Why a person is to be asked: more moves of the chain have failed than its policy lets pass.
fn too_much(chain: &[Run]) -> Option<String> {
    let most = first_plan(chain)?.policy.migrations.stop_after;
    let failed = failed_since(chain);
    (most > 0 && failed >= most).then(|| {
        format!(
            "{} did not go well, `stop-after` in the policy lets fewer pass: a person must look first",
            count(usize::try_from(failed).unwrap_or(usize::MAX), "move")
        )
    })
}

/// How many moves of the chain have failed since a person last let it go on.
fn failed_since(chain: &[Run]) -> u32 {
    let mut failed = 0u32;
    for run in chain.iter().rev() {
        let progress = run.progress();
        failed = failed.saturating_add(progress.failures().saturating_sub(progress.forgiven));
        let continued = |e: &Entry| matches!(e.event, Event::Continued { .. });
        if run.entries.iter().any(continued) {
            break;
        }
    }
    failed
}

/// The plan that a person let be carried out.
#[must_use]
pub fn first_plan(chain: &[Run]) -> Option<Box<Plan>> {
    chain.first()?.progress().plan
}

/// What a new plan is made from, after a chain of which [`next`] says so.
///
/// # Errors
/// Why there can be none.
pub fn basis(chain: &[Run], sight: &Sight, wall: Timestamp) -> Result<Basis, String> {
    let now = &sight.cluster;
    let last = chain.last().ok_or("there is no run")?;
    let mut policy = first_plan(chain).ok_or("the run holds no plan")?.policy;
    let failed: Vec<Failed> = chain.iter().flat_map(failures).collect();
    let left: BTreeMap<GuestName, HostName> = chain.iter().flat_map(left_at).collect();
    lessen(&mut policy, chain, now)?;
    let mut basis = Basis {
        cluster: now.clone(),
        policy,
        why: told(last),
        cut: BTreeMap::new(),
    };
    cut_off(&mut basis, "planned anew", &failed, &left);
    if !sight.silent.is_empty() {
        spare_silent(&mut basis, &sight.silent);
    }

    for host in basis
        .cluster
        .hosts
        .iter_mut()
        .filter(|h| h.state == HostState::Asleep)
    {
        host.state = HostState::Out;
    }
    let ago = moved_ago(chain, wall);
    for guest in &mut basis.cluster.guests {
        let known = ago.get(&guest.name).copied();
        guest.moved_ago = guest.moved_ago.into_iter().chain(known).min();
    }
    Ok(basis)
}

/// Adds cuts for what failed to what a plan is made from, by rules whose names begin so; `left`: where we know
/// the guests to be.
fn cut_off(
    basis: &mut Basis,
    prefix: &str,
    failed: &[Failed],
    left: &BTreeMap<GuestName, HostName>,
) {
    for (guest, rule) in cuts(failed, left, &basis.cluster) {
        basis.why.push(format!("so {}", rule.name));
        let hosts = match &rule.kind {
            RuleKind::Ban { hosts, .. } => &hosts[..],
            _ => &[],
        };
        // As a pattern it would name others, too.
        if guest.as_str().contains('*') || hosts.iter().any(|h| h.contains('*')) {
            basis.cut.insert(guest.clone(), None);
            hold_still(&mut basis.cluster, |name| *name == guest);
            continue;
        }
        let rule = Rule {
            name: unique(&basis.policy, format!("{prefix}: {}", rule.name)),
            ..rule
        };
        basis.cut.insert(guest, Some(rule.name.clone()));
        basis.policy.rules.push(rule);
    }
}

/// Lets those guests not be moved, but those of hosts that are to be emptied.
fn hold_still(cluster: &mut Cluster, which: impl Fn(&GuestName) -> bool) {
    let drains = |h: &&Host| h.state == HostState::Drain;
    let drained = cluster.hosts.iter().filter(drains);
    let drained: BTreeSet<HostName> = drained.map(|h| h.name.clone()).collect();
    for guest in &mut cluster.guests {
        let leaves = guest.host.as_ref().is_some_and(|h| drained.contains(h));
        guest.movable &= leaves || !which(&guest.name);
    }
}

/// Keeps a plan from hosts that do not answer: nothing goes there, and what is there stays and counts, as
/// it may well run.
fn spare_silent(basis: &mut Basis, silent: &BTreeSet<HostName>) {
    let Basis {
        cluster, policy, ..
    } = basis;
    for host in cluster
        .hosts
        .iter_mut()
        .filter(|h| silent.contains(&h.name))
    {
        // Whatever was to leave it cannot.
        host.state = HostState::On;
    }
    let mut others = Vec::new();
    for guest in &mut cluster.guests {
        let there = guest.host.as_ref().is_some_and(|h| silent.contains(h));
        // As a pattern it would name others, too.
        if there || guest.name.as_str().contains('*') {
            guest.movable = false;
        } else {
            others.push(guest.name.to_string());
        }
    }
    let names: Vec<String> = silent.iter().map(ToString::to_string).collect();
    let does = match names.as_slice() {
        [one] => format!("host {one} does not answer"),
        all => format!("hosts {} do not answer", all.join(", ")),
    };
    if !others.is_empty() {
        policy.rules.push(Rule {
            name: unique(policy, format!("planned anew: {does}")),
            kind: RuleKind::Ban {
                guests: others,
                hosts: names,
            },
        });
    }
    basis
        .why
        .push(format!("{does}: nothing goes there, and its guests stay"));
}

/// The hosts of a chain of runs, with its guests where it left them.
#[must_use]
pub fn known(chain: &[Run]) -> Cluster {
    let Some(last) = chain.last() else {
        return Cluster::default();
    };
    let (World::Libvirt { cluster } | World::Simulated { cluster, .. }) = &last.world;
    let mut known = cluster.clone();
    let left: BTreeMap<GuestName, HostName> = chain.iter().flat_map(left_at).collect();
    for guest in &mut known.guests {
        if let Some(host) = left.get(&guest.name) {
            guest.host = Some(host.clone());
        }
    }
    known
}

/// A move that was begun and failed for good.
struct Failed {
    mv: Move,
    why: String,
}

/// Those of a run. One that was skipped since another did not happen was never begun.
fn failures(run: &Run) -> Vec<Failed> {
    let progress = run.progress();
    let mut begun: BTreeSet<&MoveId> = BTreeSet::new();
    for entry in &run.entries {
        match &entry.event {
            Event::Intended { id, .. } => begun.insert(id),
            // It was given up without having failed.
            Event::Interrupted { id } => begun.remove(id),
            _ => continue,
        };
    }
    let moves = progress.plan.iter().flat_map(|p| &p.moves);
    moves
        .filter_map(|mv| {
            let why = match progress.moves.get(&mv.id)? {
                MoveState::Failed { error, .. } => error,
                MoveState::Skipped { reason } if begun.contains(&mv.id) => reason,
                _ => return None,
            };
            Some(Failed {
                mv: mv.clone(),
                why: why.clone(),
            })
        })
        .collect()
}

/// What failed of a run, in words.
fn told(run: &Run) -> Vec<String> {
    let failed = failures(run);
    let progress = run.progress();
    let mut words: Vec<String> = failed
        .iter()
        .map(|f| {
            let Move {
                id,
                guest,
                from,
                to,
                ..
            } = &f.mv;
            format!(
                "move {id} of run {}, guest {guest} from {from} to {to}, failed: {}",
                run.id, f.why
            )
        })
        .collect();
    let own = |id: &MoveId| failed.iter().any(|f| f.mv.id == *id);
    let (mut depend, mut moved) = (0, BTreeSet::new());
    let mut of_guest: BTreeMap<&GuestName, Vec<&MoveId>> = BTreeMap::new();
    for mv in progress.plan.iter().flat_map(|p| &p.moves) {
        let earlier = of_guest.entry(&mv.guest).or_default();
        let mut needs = mv.after.iter().chain(earlier.iter().copied());
        match progress.moves.get(&mv.id) {
            Some(MoveState::Moved { .. }) => {
                moved.insert(&mv.id);
            }
            Some(MoveState::Skipped { .. }) if own(&mv.id) => {}
            Some(MoveState::Skipped { .. }) if needs.any(|id| !moved.contains(id)) => depend += 1,
            Some(MoveState::Skipped { reason }) => words.push(format!(
                "move {} of run {}, guest {} from {} to {}, was not begun: {reason}",
                mv.id, run.id, mv.guest, mv.from, mv.to
            )),
            _ => {}
        }
        earlier.push(&mv.id);
    }
    if depend > 0 {
        words.push(format!(
            "what depends on that did not happen either: {}",
            count(depend, "move")
        ));
    }
    words
}

/// Rules that keep what failed from being planned again, and what others moved where they put it, each with
/// its guest; a rule is named by what it says.
fn cuts(
    failed: &[Failed],
    left: &BTreeMap<GuestName, HostName>,
    now: &Cluster,
) -> Vec<(GuestName, Rule)> {
    let mut refused: BTreeMap<&GuestName, BTreeSet<&HostName>> = BTreeMap::new();
    for Failed { mv, why } in failed {
        // Where there is no room now, the planner sees that by itself.
        if !lacks_only_room(why) {
            refused.entry(&mv.guest).or_default().insert(&mv.to);
        }
    }
    let cut = |(guest, ours): (&GuestName, &HostName)| {
        let host = now.guest(guest)?.host.as_ref()?;
        let guests = vec![guest.to_string()];
        let stays = |why: String| Rule {
            name: format!("guest {guest} stays on {host}: {why}"),
            kind: RuleKind::Pin {
                guests: guests.clone(),
            },
        };
        let drains = now.host(host).is_some_and(|h| h.state == HostState::Drain);
        if ours != host && !drains {
            return Some(stays("somebody else has moved it there".to_owned()));
        }
        let targets = refused.get(guest)?.iter().filter(|to| **to != host);
        let names: Vec<String> = targets.map(ToString::to_string).collect();
        if names.is_empty() {
            return None;
        }
        if names.len() >= STAYS && !drains {
            return Some(stays(format!("it could not move to {}", names.join(", "))));
        }
        Some(Rule {
            name: format!("guest {guest} does not go to {}", names.join(", ")),
            kind: RuleKind::Ban {
                guests,
                hosts: names,
            },
        })
    };
    let each = left.iter();
    each.filter_map(|of| Some((of.0.clone(), cut(of)?)))
        .collect()
}

/// That name, or one like it that no rule of the policy has.
fn unique(policy: &Policy, name: String) -> String {
    let taken = |name: &str| policy.rules.iter().any(|r| r.name == name);
    let numbered = (2..).map(|n: u32| format!("{name} ({n})"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|n| !taken(n)).unwrap_or_default()
}

/// Takes off what the policy lets a plan do what the chain has done of it. Those that were moved may have been
/// so for any reason, so all count for what is let be moved to level hosts.
fn lessen(policy: &mut Policy, chain: &[Run], now: &Cluster) -> Result<(), String> {
    let moved = chain.iter().flat_map(happened);
    let happened: Vec<GuestName> = moved.map(|(m, _)| m.guest).collect();
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let less = |most: u32, used: usize| most.saturating_sub(number(used));
    let confirmed = first_plan(chain).map_or(0, |plan| number(plan.moves.len()));
    let most = policy.limits.moves;
    if most.is_some_and(|most| less(most, happened.len()) == 0) {
        return Err("`limits.moves` of the policy lets no more guests move".to_owned());
    }
    let most = most.map_or(confirmed, |most| most.min(confirmed));
    policy.limits.moves = Some(less(most, happened.len()));
    if policy.limits.moves == Some(0) {
        return Err("as many guests have moved as the first plan was to move".to_owned());
    }
    if let Some(most) = &mut policy.limits.level {
        *most = less(*most, happened.len());
    }
    for rule in &mut policy.rules {
        if let RuleKind::MaxMoves { guests, moves } = &mut rule.kind {
            let named = guests_named(guests, now).unwrap_or_default();
            let used = happened
                .iter()
                .filter(|g| guests.is_empty() || named.contains(g));
            *moves = less(*moves, used.count());
        }
    }
    let migrations = &mut policy.migrations;
    if migrations.stop_after > 0 {
        migrations.stop_after = migrations
            .stop_after
            .saturating_sub(failed_since(chain))
            .max(1);
    }
    // A budget holds for each of its places, so what the worst of them has left is what is left of it.
    let spent = spent(chain);
    for (name, most) in &mut migrations.split_budget {
        let of = spent.iter().filter(|(place, _)| place.key() == name);
        let worst = of.map(|(_, spent)| *spent).max().unwrap_or_default();
        *most = most.saturating_sub(worst);
    }
    Ok(())
}

/// For how long guests of the chain were in split state at each place.
fn spent(chain: &[Run]) -> BTreeMap<Place, Micros> {
    let mut spent = BTreeMap::new();
    for run in chain {
        let Some(plan) = run.progress().plan else {
            continue;
        };
        let own = Spells::of(&plan, &run.world.labels(), &run.entries);
        for (place, spell) in own.spent() {
            *spent.entry(place.clone()).or_default() += *spell;
        }
    }
    spent
}

/// The moves of a run that happened, with when.
fn happened(run: &Run) -> Vec<(Move, Timestamp)> {
    let progress = run.progress();
    let find = |id: &MoveId| {
        let mut moves = progress.plan.iter().flat_map(|p| &p.moves);
        moves.find(|m| m.id == *id).cloned()
    };
    let moved = run.entries.iter().filter_map(|e| match &e.event {
        Event::Moved { id, .. } => Some((find(id)?, e.time)),
        _ => None,
    });
    moved.collect()
}

/// Where a run left each guest that it was to move.
fn left_at(run: &Run) -> BTreeMap<GuestName, HostName> {
    let progress = run.progress();
    let moves = progress.plan.iter().flat_map(|p| &p.moves);
    // The first move of a guest says where it was.
    let mut left: BTreeMap<GuestName, HostName> = BTreeMap::new();
    for mv in moves {
        left.entry(mv.guest.clone())
            .or_insert_with(|| mv.from.clone());
    }
    left.extend(happened(run).into_iter().map(|(m, _)| (m.guest, m.to)));
    left
}

/// How long ago guests were moved: by the chain, or before it as its cluster file said. One that was
/// only parked is on its way still, and does not rest.
fn moved_ago(chain: &[Run], wall: Timestamp) -> BTreeMap<GuestName, Micros> {
    let since = |then: Timestamp| {
        let span = wall.0.as_microsecond() - then.0.as_microsecond();
        Micros(u64::try_from(span).unwrap_or(0))
    };
    let mut ago: BTreeMap<GuestName, Micros> = BTreeMap::new();
    if let Some((first, began)) = chain
        .first()
        .and_then(|r| Some((r, r.entries.first()?.time)))
    {
        let (World::Libvirt { cluster } | World::Simulated { cluster, .. }) = &first.world;
        let known = |g: &Guest| Some((g.name.clone(), g.moved_ago? + since(began)));
        ago.extend(cluster.guests.iter().filter_map(known));
    }
    for run in chain {
        let progress = run.progress();
        let Some(plan) = &progress.plan else { continue };
        for (mv, time) in happened(run) {
            if arrived(plan, &mv) {
                ago.insert(mv.guest, since(time));
            }
        }
    }
    ago
}

/// Whether that move brings its guest to where its plan puts it.
fn arrived(plan: &Plan, mv: &Move) -> bool {
    plan.target.get(&mv.guest) == Some(&mv.to)
}

pub mod again;
mod fallback;
pub mod round;
pub use fallback::{held, lifted, made};
#[cfg(test)]
mod tests;
