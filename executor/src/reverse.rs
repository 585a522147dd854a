//! The way back: a plan that takes back what has happened of a run, and of those that it followed. Pure; the judge
//! judges it.
//!
//! The moves that happened, in reverse order with their ends swapped, pass through the states that
//! the runs passed through, a guest counting at both ends while it moves either way. So what fitted on
//! the way there fits on the way back, if nothing else has changed; `after` edges turn around with it. A run of
//! a chain began when the one before was at its end, so its way back ends before that of the other begins.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::journal::{Event, MoveState};
use vmpack_domain::plan::{
    Base, Claim, HostChange, Move, MoveClaim, MoveId, Plan, PlanStatus, TimeClaim,
};
use vmpack_domain::units::{MiB, Micros, Sum};
use vmpack_domain::{Cluster, GuestName, Load, digest};

use crate::journal::Run;
use crate::replan::first_plan;

/// The way back of a chain of runs, oldest first, on the hosts as they are; its moves come one after the other in
/// its timetable, and bind one another only as those of the runs did. Its policy is that of the first plan.
///
/// # Errors
/// When nothing of them has happened, or a move is still underway.
pub fn reverse(chain: &[Run], now: &Cluster, load: &Load) -> Result<Plan, String> {
    let plan = first_plan(chain).ok_or("the run holds no plan")?;
    let mut target = now.placement();
    let (mut moves, mut start) = (Vec::new(), Micros::ZERO);
    // The last moves of the way back of the run after this one.
    let mut before: Vec<MoveId> = Vec::new();
    for run in chain.iter().rev() {
        let own = back(run, &before)?;
        if !own.is_empty() {
            before = last(&own);
        }
        moves.extend(own);
    }
    let begun = leave_out_what_is_back(&mut moves, now);
    for mv in &mut moves {
        mv.start = start;
        start += mv.duration;
        target.insert(mv.guest.clone(), mv.to.clone());
    }
    let names: Vec<String> = chain.iter().map(|r| r.id.to_string()).collect();
    let names = match names.as_slice() {
        [one] => format!("run {one}"),
        all => format!("runs {}", all.join(", ")),
    };
    if moves.is_empty() {
        return Err(if begun {
            format!("what happened of {names} is taken back already")
        } else {
            format!("no move of {names} has happened")
        });
    }
    let mut policy = plan.policy.clone();
    // The way back was not sought: it is no matter of prices, of rest, or of how many may move.
    (
        policy.objective,
        policy.limits.cooldown,
        policy.limits.moves,
    ) = (None, None, None);
    let mut after = now.clone();
    for guest in &mut after.guests {
        guest.host = target.get(&guest.name).cloned();
    }
    let in_use = after.hosts_in_use();
    let cost: u64 = in_use.iter().map(|h| policy.costs.of(h).0).sum();
    let origin = format!("the way back of {names}, nothing is proven of it");
    let net: BTreeMap<_, _> = now.guests.iter().map(|g| (&g.name, g)).collect();
    let moved = target.iter().filter_map(|(name, host)| {
        let guest = net.get(name)?;
        (guest.host.as_ref() != Some(host)).then_some(guest.memory)
    });
    Ok(Plan {
        base: Base {
            cluster: digest::digest(now),
            load: digest::digest(load),
        },
        status: PlanStatus::Feasible,
        claim: Claim {
            objective: Sum(cost),
            bound: Sum(0),
            origin: origin.clone(),
            hosts_bound: 0,
        },
        move_claim: MoveClaim {
            objective: moved.sum::<MiB>(),
            bound: MiB(0),
            origin: origin.clone(),
        },
        time_claim: TimeClaim {
            objective: start,
            bound: Micros::ZERO,
            origin,
        },
        trade_claim: None,
        hosts: HostChange {
            before: now.hosts_in_use(),
            after: in_use,
            wake: Vec::new(),
        },
        target,
        moves,
        starts: Vec::new(),
        reasons: vec![format!("takes back what happened of {names}")],
        policy,
    })
}

/// Leaves out the first moves of each guest that is on its way back already, as far as it is. Says whether there
/// were any.
fn leave_out_what_is_back(moves: &mut Vec<Move>, now: &Cluster) -> bool {
    let mut ways: BTreeMap<&GuestName, Vec<&Move>> = BTreeMap::new();
    for mv in moves.iter() {
        ways.entry(&mv.guest).or_default().push(mv);
    }
    let mut over: BTreeSet<MoveId> = BTreeSet::new();
    for (guest, way) in ways {
        let at = now.guest(guest).and_then(|g| g.host.as_ref());
        if at == way.first().map(|mv| &mv.from) {
            continue;
        }
        let reached = way.iter().position(|mv| Some(&mv.to) == at);
        let done = reached.map_or(&[][..], |last| &way[..=last]);
        over.extend(done.iter().map(|mv| mv.id.clone()));
    }
    // Who waits for one that is left out waits for what that one waited for.
    let mut waits: BTreeMap<MoveId, BTreeSet<MoveId>> = BTreeMap::new();
    for mv in moves.iter_mut() {
        let mut after = BTreeSet::new();
        for id in std::mem::take(&mut mv.after) {
            match waits.get(&id) {
                Some(behind) => after.extend(behind.iter().cloned()),
                None => {
                    after.insert(id);
                }
            }
        }
        if over.contains(&mv.id) {
            waits.insert(mv.id.clone(), after);
        } else {
            mv.after = after.into_iter().collect();
        }
    }
    moves.retain(|mv| !over.contains(&mv.id));
    !over.is_empty()
}

/// The moves that take back what has happened of a run, in their order; those that wait for none of it wait for
/// `before`.
fn back(run: &Run, before: &[MoveId]) -> Result<Vec<Move>, String> {
    let progress = run.progress();
    let plan = progress.plan.as_ref().ok_or("the run holds no plan")?;
    if progress.moves.values().any(MoveState::underway) {
        return Err(format!("run {} has moves underway", run.id));
    }
    let moves: BTreeMap<&MoveId, &Move> = plan.moves.iter().map(|m| (&m.id, m)).collect();
    let happened = run.entries.iter().filter_map(|e| match &e.event {
        Event::Moved { id, .. } => moves.get(id).copied(),
        _ => None,
    });
    let happened: Vec<&Move> = happened.collect();
    let name = |id: &MoveId| match run.follows() {
        None => MoveId(format!("back-{id}")),
        // Ids are unique in a run only.
        Some(_) => MoveId(format!("back-{}-{id}", run.id)),
    };
    let mut waited: BTreeMap<&MoveId, Vec<MoveId>> = BTreeMap::new();
    for mv in &happened {
        for edge in &mv.after {
            waited.entry(edge).or_default().push(name(&mv.id));
        }
    }
    let one = |mv: &&Move| Move {
        id: name(&mv.id),
        from: mv.to.clone(),
        to: mv.from.clone(),
        after: waited.remove(&mv.id).unwrap_or_else(|| before.to_vec()),
        reason: format!("takes back {} of run {}", mv.id, run.id),
        ..(*mv).clone()
    };
    Ok(happened.iter().rev().map(one).collect())
}

/// Those that no other of them waits for.
fn last(moves: &[Move]) -> Vec<MoveId> {
    let waited: BTreeSet<&MoveId> = moves.iter().flat_map(|m| &m.after).collect();
    let ids = moves.iter().map(|m| &m.id);
    ids.filter(|id| !waited.contains(id)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use vmpack_domain::check;
    use vmpack_domain::journal::RunId;
    use vmpack_domain::load::jiff_serde::Timestamp;

    use super::*;
    use crate::fixture::{a_move, cluster, plan};
    use crate::journal::Entry;
    use crate::world::World;

    fn moved(id: &str) -> Event {
        Event::Moved {
            id: MoveId(id.to_owned()),
            total: None,
            switch: None,
            downtime: None,
            transferred: None,
        }
    }

    fn accepted(plan: Plan, follows: Option<RunId>) -> Event {
        Event::Accepted {
            plan: Box::new(plan),
            file: None,
            priority: Default::default(),
            follows,
            reverses: false,
        }
    }

    fn run(number: i64, before: &Cluster, events: &[Event]) -> Run {
        Run {
            id: RunId(number),
            world: World::Libvirt {
                cluster: before.clone(),
            },
            entries: events
                .iter()
                .zip(number..)
                .map(|(event, seq)| Entry {
                    seq,
                    run: RunId(number),
                    time: Timestamp(jiff::Timestamp::UNIX_EPOCH),
                    event: event.clone(),
                })
                .collect(),
        }
    }

    #[test]
    fn the_way_back_leads_to_where_it_began_and_the_judge_finds_nothing() {
        let before = cluster(
            &["h1", "h2", "h3"],
            &[("a", "h1"), ("b", "h1"), ("c", "h3"), ("d", "h2")],
        );
        let mut second = a_move("m2", "b", "h1", "h3");
        second.after = vec![MoveId("m1".to_owned())];
        let third = a_move("m3", "a", "h2", "h3");
        let moves = vec![a_move("m1", "a", "h1", "h2"), second, third];
        let plan = plan(&before, moves);
        // The last one never happened.
        let events = [accepted(plan, None), moved("m1"), moved("m2")];
        let mut now = before.clone();
        now.guests[0].host = Some("h2".parse().unwrap());
        now.guests[1].host = Some("h3".parse().unwrap());
        let load = Load::default();
        let back = reverse(&[run(7, &before, &events)], &now, &load).unwrap();
        assert_eq!(back.target, before.placement());
        let ids: Vec<&str> = back.moves.iter().map(|m| m.id.0.as_str()).collect();
        assert_eq!(ids, ["back-m2", "back-m1"]);
        assert_eq!(back.moves[1].after, [MoveId("back-m2".to_owned())]);
        assert_eq!(check::plan(&now, &load, &back.policy, &back), []);
        assert!(reverse(&[run(7, &before, &events[..1])], &now, &load).is_err());
    }

    #[test]
    fn the_way_back_of_a_chain_takes_back_all_of_it_the_last_run_first() {
        let before = cluster(
            &["h1", "h2", "h3"],
            &[("a", "h1"), ("b", "h1"), ("c", "h3"), ("d", "h2")],
        );
        let first = plan(
            &before,
            vec![a_move("m1", "a", "h1", "h2"), a_move("m2", "b", "h1", "h2")],
        );
        let mut between = before.clone();
        between.guests[0].host = Some("h2".parse().unwrap());
        // B did not get to h2; a goes on to h3, which makes room for it.
        let mut second = a_move("m2", "b", "h1", "h2");
        second.after = vec![MoveId("m1".to_owned())];
        let second = plan(&between, vec![a_move("m1", "a", "h2", "h3"), second]);
        let chain = [
            run(1, &before, &[accepted(first, None), moved("m1")]),
            run(
                5,
                &before,
                &[accepted(second, Some(RunId(1))), moved("m1"), moved("m2")],
            ),
        ];
        let mut now = before.clone();
        now.guests[0].host = Some("h3".parse().unwrap());
        now.guests[1].host = Some("h2".parse().unwrap());
        let back = reverse(&chain, &now, &Load::default()).unwrap();
        assert_eq!(back.target, before.placement());
        let edges = back.moves.iter().map(|m| {
            let after: Vec<&str> = m.after.iter().map(|id| id.0.as_str()).collect();
            format!("{} {} {} after [{}]", m.id, m.guest, m.to, after.join(" "))
        });
        assert_eq!(
            edges.collect::<Vec<_>>(),
            [
                "back-5-m2 b h1 after []",
                "back-5-m1 a h2 after [back-5-m2]",
                "back-m1 a h1 after [back-5-m1]",
            ]
        );
        assert_eq!(check::plan(&now, &Load::default(), &back.policy, &back), []);

        // Of that b is back, and a is half way.
        now.guests[0].host = Some("h2".parse().unwrap());
        now.guests[1].host = Some("h1".parse().unwrap());
        let rest = reverse(&chain, &now, &Load::default()).unwrap();
        assert_eq!(rest.target, before.placement());
        let ids: Vec<&str> = rest.moves.iter().map(|m| m.id.0.as_str()).collect();
        assert_eq!(ids, ["back-m1"]);
        assert!(rest.moves[0].after.is_empty());
        assert_eq!(rest.moves[0].start, Micros::ZERO);
        assert_eq!(rest.time_claim.objective, rest.moves[0].duration);
        assert_eq!(check::plan(&now, &Load::default(), &rest.policy, &rest), []);
        // Of that b alone is back.
        now.guests[0].host = Some("h3".parse().unwrap());
        now.guests[1].host = Some("h1".parse().unwrap());
        let rest = reverse(&chain, &now, &Load::default()).unwrap();
        let after = rest.moves.iter().map(|m| (m.id.0.as_str(), m.after.len()));
        assert_eq!(
            after.collect::<Vec<_>>(),
            [("back-5-m1", 0), ("back-m1", 1)]
        );
        let error = reverse(&chain, &before, &Load::default()).unwrap_err();
        assert_eq!(error, "what happened of runs 1, 5 is taken back already");
    }
}
