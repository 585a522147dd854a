//! A new plan for what a run left undone. What is decided here is pure; [`round`] acts on it.
//!
//! A move that failed for good is skipped, and so is what depends on it; the rest of the run goes on to its
//! end. Then, as often as was allowed, a plan is made anew from the hosts as they are:
//!
//! ```text
//! run ── every move happened ─────────────────────────────────> reached
//!  │ ─── aborted, stopped, a guest stuck or lost ─────────────> ends: a person must look
//!  │ ─── planned anew as often as was allowed ────────────────> ends
//!  └─── else: cut off what failed, plan ── no moves, no plan ─> ends
//!         ^                           └─── moves ─> the next run, of the same chain
//!         └─────────────────────────────────────────┘
//! ```
//!
//! What failed goes back to the planner as cuts, rules of the new plan's own policy, which the judge
//! judges: a guest does not go to a host again to which its move failed; one that failed at two hosts stays
//! where it is, unless its host is to be emptied; one that somebody else has moved meanwhile stays, too.
//! So no move is tried again that failed, and a chain of runs ends. What the policy lets a plan
//! do counts for the chain as a whole: its limits on moves are lessened by those that happened, and guests that
//! moved rest.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::journal::{Event, MoveState, Progress};
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::{Move, MoveId, Plan};
use vmpack_domain::rule::{Rule, RuleKind, guests_named};
use vmpack_domain::units::{Micros, count};
use vmpack_domain::{Cluster, Guest, GuestName, HostName, HostState, Policy};

use crate::journal::Run;
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
    if let Some(why) = needs_a_person(&progress) {
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

/// What a new plan is made from, after a chain of which [`next`] says so.
///
/// # Errors
/// Why there can be none.
pub fn basis(chain: &[Run], now: &Cluster, wall: Timestamp) -> Result<Basis, String> {
    let (first, last) = chain.first().zip(chain.last()).ok_or("there is no run")?;
    let begun = first.progress();
    let mut policy = begun
        .plan
        .as_ref()
        .ok_or("the run holds no plan")?
        .policy
        .clone();
    let failed: Vec<Failed> = chain.iter().flat_map(failures).collect();
    let left: BTreeMap<GuestName, HostName> = chain.iter().flat_map(left_at).collect();
    let mut why = told(last);

    let happened: Vec<GuestName> = chain
        .iter()
        .flat_map(happened)
        .map(|(m, _)| m.guest)
        .collect();
    lessen(&mut policy, &happened, now)?;
    for rule in cuts(&failed, &left, now) {
        why.push(format!("so {}", rule.name));
        let rule = Rule {
            name: unique(&policy, format!("planned anew: {}", rule.name)),
            ..rule
        };
        policy.rules.push(rule);
    }

    let mut cluster = now.clone();
    for host in cluster
        .hosts
        .iter_mut()
        .filter(|h| h.state == HostState::Asleep)
    {
        host.state = HostState::Out;
    }
    let ago = moved_ago(chain, wall);
    for guest in &mut cluster.guests {
        let known = ago.get(&guest.name).copied();
        guest.moved_ago = guest.moved_ago.into_iter().chain(known).min();
    }
    Ok(Basis {
        cluster,
        policy,
        why,
    })
}

/// A move that was begun and failed for good.
struct Failed {
    mv: Move,
    why: String,
}

/// Those of a run. One that was skipped since another did not happen was never begun.
fn failures(run: &Run) -> Vec<Failed> {
    let progress = run.progress();
    let begun: BTreeSet<&MoveId> = run
        .entries
        .iter()
        .filter_map(|e| match &e.event {
            Event::Intended { id, .. } => Some(id),
            _ => None,
        })
        .collect();
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
    let skipped = |s: &&MoveState| matches!(s, MoveState::Skipped { .. });
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
    let others = progress.moves.iter();
    let others = others.filter(|(id, s)| skipped(s) && !own(id)).count();
    if others > 0 {
        words.push(format!(
            "what depends on that did not happen either: {}",
            count(others, "move")
        ));
    }
    words
}

/// Rules that keep what failed from being planned again; each is named by what it says.
fn cuts(failed: &[Failed], left: &BTreeMap<GuestName, HostName>, now: &Cluster) -> Vec<Rule> {
    let mut refused: BTreeMap<&GuestName, BTreeSet<&HostName>> = BTreeMap::new();
    for Failed { mv, .. } in failed {
        refused.entry(&mv.guest).or_default().insert(&mv.to);
    }
    let cut = |(guest, targets): (&GuestName, BTreeSet<&HostName>)| {
        let host = now.guest(guest)?.host.as_ref()?;
        let guests = vec![guest.to_string()];
        let stays = |why: String| Rule {
            name: format!("guest {guest} stays on {host}: {why}"),
            kind: RuleKind::Pin {
                guests: guests.clone(),
            },
        };
        if left.get(guest).is_some_and(|ours| ours != host) {
            return Some(stays("somebody else has moved it there".to_owned()));
        }
        let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
        let drains = now.host(host).is_some_and(|h| h.state == HostState::Drain);
        if targets.len() >= STAYS && !drains {
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
    refused.into_iter().filter_map(cut).collect()
}

/// That name, or one like it that no rule of the policy has.
fn unique(policy: &Policy, name: String) -> String {
    let taken = |name: &str| policy.rules.iter().any(|r| r.name == name);
    let numbered = (2..).map(|n: u32| format!("{name} ({n})"));
    let mut names = std::iter::once(name.clone()).chain(numbered);
    names.find(|n| !taken(n)).unwrap_or_default()
}

/// Takes off what the policy lets a plan do what the chain has done of it.
fn lessen(policy: &mut Policy, happened: &[GuestName], now: &Cluster) -> Result<(), String> {
    let less =
        |most: u32, used: usize| most.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX));
    if let Some(most) = &mut policy.limits.moves {
        *most = less(*most, happened.len());
        if *most == 0 {
            return Err("`limits.moves` of the policy lets no more guests move".to_owned());
        }
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
    Ok(())
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

pub mod round;
#[cfg(test)]
mod tests;
