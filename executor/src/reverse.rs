//! The way back: a plan that takes back what of a run has happened. Pure; the judge judges it.
//!
//! A run's moves that happened, in reverse order with their ends swapped, pass through the states that
//! the run passed through, a guest counting at both ends while it moves either way. So what fitted on
//! the way there fits on the way back, if nothing else has changed; `after` edges turn around with it.

use std::collections::BTreeMap;

use vmpack_domain::journal::{Event, MoveState};
use vmpack_domain::plan::{
    Base, Claim, HostChange, Move, MoveClaim, MoveId, Plan, PlanStatus, TimeClaim,
};
use vmpack_domain::units::{MiB, Micros, Ratio};
use vmpack_domain::{Cluster, Load, digest};

use crate::journal::Run;

/// The way back of a run, on the hosts as they are; its moves come one after the other in its
/// timetable, and bind one another only as those of the run did.
///
/// # Errors
/// When nothing of it has happened, or a move is still underway.
pub fn reverse(run: &Run, now: &Cluster, load: &Load) -> Result<Plan, String> {
    let progress = run.progress();
    let plan = progress.plan.as_ref().ok_or("the run holds no plan")?;
    if progress.moves.values().any(MoveState::underway) {
        return Err(format!("run {} has moves underway", run.id));
    }
    let happened: Vec<&Move> = run
        .entries
        .iter()
        .filter_map(|e| match &e.event {
            Event::Moved { id, .. } => plan.moves.iter().find(|m| m.id == *id),
            _ => None,
        })
        .collect();
    if happened.is_empty() {
        return Err(format!("no move of run {} has happened", run.id));
    }
    let back = |id: &MoveId| MoveId(format!("back-{id}"));
    let mut start = Micros::ZERO;
    let mut moves = Vec::with_capacity(happened.len());
    let mut target = now.placement();
    for mv in happened.iter().rev() {
        let waited = happened.iter().filter(|other| other.after.contains(&mv.id));
        moves.push(Move {
            id: back(&mv.id),
            from: mv.to.clone(),
            to: mv.from.clone(),
            start,
            after: waited.map(|other| back(&other.id)).collect(),
            reason: format!("takes back {} of run {}", mv.id, run.id),
            ..(*mv).clone()
        });
        target.insert(mv.guest.clone(), mv.from.clone());
        start += mv.duration;
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
    let origin = format!("the way back of run {}, nothing is proven of it", run.id);
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
            objective: Ratio(cost),
            bound: Ratio(0),
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
        reasons: vec![format!("takes back what happened of run {}", run.id)],
        policy,
    })
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
        let moved = |id: &str| Event::Moved {
            id: MoveId(id.to_owned()),
            total: None,
            switch: None,
            downtime: None,
            transferred: None,
        };
        let accepted = Event::Accepted {
            plan: Box::new(plan),
            file: None,
            priority: Default::default(),
            follows: None,
            reverses: false,
        };
        // The last one never happened.
        let events = [accepted, moved("m1"), moved("m2")];
        let run = |events: &[Event]| Run {
            id: RunId(7),
            world: World::Libvirt {
                cluster: before.clone(),
            },
            entries: events
                .iter()
                .zip(7..)
                .map(|(event, seq)| Entry {
                    seq,
                    run: RunId(7),
                    time: Timestamp(jiff::Timestamp::UNIX_EPOCH),
                    event: event.clone(),
                })
                .collect(),
        };
        let mut now = before.clone();
        now.guests[0].host = Some("h2".parse().unwrap());
        now.guests[1].host = Some("h3".parse().unwrap());
        let load = Load::default();
        let back = reverse(&run(&events), &now, &load).unwrap();
        assert_eq!(back.target, before.placement());
        let ids: Vec<&str> = back.moves.iter().map(|m| m.id.0.as_str()).collect();
        assert_eq!(ids, ["back-m2", "back-m1"]);
        assert_eq!(back.moves[1].after, [MoveId("back-m2".to_owned())]);
        assert_eq!(check::plan(&now, &load, &back.policy, &back), []);
        assert!(reverse(&run(&events[..1]), &now, &load).is_err());
    }
}
