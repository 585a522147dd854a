use proptest::prelude::*;
use vmpack_domain::journal::{Event, Health};

use super::*;
use crate::fixture::{a_move, cluster, plan};

mod rules;

/// What becomes of each try of a move, in the model of the world below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Moves,
    Fails,
    Changes,
    Sticks,
    Interrupted,
    Breaks,
}

fn accepted(plan: &Plan, priority: Priority) -> Event {
    Event::Accepted {
        plan: Box::new(plan.clone()),
        file: None,
        priority,
        follows: None,
        reverses: false,
    }
}

static NONE: std::sync::LazyLock<Spells> = std::sync::LazyLock::new(Spells::default);

fn course<'a>(id: i64, plan: &'a Plan, progress: &'a Progress, limits: &'a Limits) -> Course<'a> {
    Course {
        id: RunId(id),
        priority: Priority::Consolidation,
        plan,
        progress,
        spells: &NONE,
        limits,
        closed: None,
    }
}

fn step(run: i64, id: &str) -> Step {
    Step {
        run: RunId(run),
        id: MoveId(id.to_owned()),
    }
}

/// When the user steps in, in events.
#[derive(Debug, Clone, Copy)]
struct Stop {
    abort: Option<usize>,
    drain: Option<usize>,
}

/// Carries the plan out with the fates in turn, the running move to end next being picked by the
/// same numbers. Checks at each step what must hold, and returns the events.
fn simulate(plan: &Plan, limits: &Limits, fates: &[(Fate, usize)], stop: Stop) -> Vec<Event> {
    let mut events = vec![accepted(plan, Priority::Consolidation)];
    let mut observed = Observed::default();
    let mut fates = fates.iter().copied().cycle();
    let mut running: Vec<MoveId> = Vec::new();
    let (mut steps, mut checks) = (0, 0);
    loop {
        steps += 1;
        assert!(steps < 50 * (plan.moves.len() + 2), "it does not end");
        if stop.abort.is_some_and(|n| steps >= n) && !Progress::fold(&events).aborted {
            events.push(Event::Aborted { by: "test".into() });
        }
        observed.draining = stop.drain.is_some_and(|n| steps >= n);
        let progress = Progress::fold(&events);
        let actions = decide(&[course(1, plan, &progress, limits)], &observed);
        assert!(!actions.is_empty());
        for action in actions {
            match action {
                Action::Start {
                    step: Step { id, .. },
                    attempt,
                } => {
                    assert!(!observed.draining && !progress.aborted && progress.stopped.is_none());
                    if limits.canary > 0 {
                        let moved = progress.moves.values();
                        let moved = moved
                            .filter(|s| matches!(s, MoveState::Moved { .. }))
                            .count();
                        assert!(running.len() < limits.canary.max(2 * moved));
                    }
                    let mv = plan.moves.iter().find(|m| m.id == id).unwrap();
                    let runs = |m: &&Move| running.contains(&m.id);
                    let beside = || plan.moves.iter().filter(runs);
                    assert!(beside().filter(|m| m.from == mv.from).count() < limits.per_host);
                    assert!(beside().filter(|m| m.to == mv.to).count() < limits.per_host);
                    for edge in &mv.after {
                        let state = progress.moves.get(edge);
                        assert!(
                            matches!(state, Some(MoveState::Moved { .. })),
                            "{id} before {edge}"
                        );
                    }
                    events.push(Event::Intended {
                        id: id.clone(),
                        guest: mv.guest.clone(),
                        from: mv.from.clone(),
                        to: mv.to.clone(),
                        mode: mv.mode,
                        attempt,
                    });
                    assert!(attempt <= limits.tries);
                    running.push(id);
                    assert!(running.len() <= limits.parallel);
                }
                Action::Skip { step, reason } => events.push(Event::Skipped {
                    id: step.id,
                    reason,
                }),
                Action::Recover { step, attempt } => {
                    events.push(Event::Recovering {
                        id: step.id.clone(),
                        attempt,
                    });
                    running.push(step.id);
                }
                Action::GiveUp { step, state } => events.push(Event::Stuck { id: step.id, state }),
                Action::Check { step } => {
                    assert!(limits.verify);
                    let answers = Some(checks % 5 != 4);
                    checks += 1;
                    let health = Health {
                        answers,
                        ..Health::default()
                    };
                    events.push(Event::Checked {
                        id: step.id,
                        health,
                    });
                }
                Action::Stop { reason, .. } => {
                    assert!(Progress::fold(&events).stopped.is_none());
                    events.push(Event::Stopped { reason });
                }
                // A person says so.
                Action::Rest => {
                    let progress = Progress::fold(&events);
                    assert!(progress.stopped.is_some() && running.is_empty());
                    events.push(Event::Continued {
                        by: "test".into(),
                        failures: progress.failures(),
                    });
                }
                Action::CallOff { .. } => panic!("nothing goes before it"),
                Action::Wait { until } => {
                    if running.is_empty() {
                        observed.now = until.expect("it waits for nothing");
                        continue;
                    }
                    let (fate, pick) = fates.next().unwrap();
                    let id = running.remove(pick % running.len());
                    events.push(match fate {
                        Fate::Moves => Event::Moved {
                            id,
                            total: None,
                            switch: None,
                            downtime: None,
                            transferred: None,
                        },
                        Fate::Fails => {
                            let again = observed.now + back_off(limits, 1);
                            observed.retry_at.insert(step(1, &id.0), again);
                            Event::Failed {
                                id,
                                error: "refused".into(),
                            }
                        }
                        Fate::Changes => Event::Skipped {
                            id,
                            reason: "changed".into(),
                        },
                        Fate::Sticks => Event::Stuck {
                            id,
                            state: "split".into(),
                        },
                        Fate::Interrupted => Event::Interrupted { id },
                        Fate::Breaks => Event::Broken {
                            id,
                            state: "split".into(),
                            unanswered: false,
                        },
                    });
                }
                Action::Finish { complete, .. } => {
                    assert!(running.is_empty());
                    events.push(Event::Finished { complete });
                    return events;
                }
                Action::Leave => {
                    assert!(running.is_empty() && observed.draining);
                    return events;
                }
            }
        }
    }
}

/// Moves over guests that may repeat, with edges to earlier moves.
fn plans() -> impl Strategy<Value = Plan> {
    let one = (
        0usize..4,
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    );
    prop::collection::vec(one, 1..8).prop_map(|moves| {
        let all = moves
            .iter()
            .enumerate()
            .map(|(at, (guest, edges))| {
                let mut mv = a_move(&format!("m{at}"), &format!("g{guest}"), "h1", "h2");
                if at > 0 {
                    let ids = edges.iter().map(|e| MoveId(format!("m{}", e.index(at))));
                    mv.after = ids.collect();
                }
                mv
            })
            .collect();
        plan(&cluster(&["h1", "h2"], &[]), all)
    })
}

fn fates() -> impl Strategy<Value = Vec<(Fate, usize)>> {
    // It ends for any pattern in which an interruption does not repeat for ever.
    let one = prop_oneof![
        6 => Just(Fate::Moves),
        2 => Just(Fate::Fails),
        1 => Just(Fate::Changes),
        1 => Just(Fate::Sticks),
        1 => Just(Fate::Interrupted),
        1 => Just(Fate::Breaks),
    ];
    let some = prop::collection::vec((one, 0usize..8), 0..12);
    some.prop_map(|mut fates| {
        fates.push((Fate::Moves, 0));
        fates
    })
}

fn stops() -> impl Strategy<Value = Stop> {
    let rarely = || prop_oneof![3 => Just(None), 1 => (1usize..12).prop_map(Some)];
    (rarely(), rarely()).prop_map(|(abort, drain)| Stop { abort, drain })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_pattern_of_failures_comes_to_an_end(
        plan in plans(),
        fates in fates(),
        stop in stops(),
        parallel in 1usize..4,
        per_host in 1usize..3,
        tries in 1u32..4,
        (canary, stop_after, verify) in (0usize..3, 0u32..3, any::<bool>()),
    ) {
        let limits = Limits {
            parallel, per_host, tries, canary, stop_after, verify, ..Limits::default()
        };
        let events = simulate(&plan, &limits, &fates, stop);
        let progress = Progress::fold(&events);
        if let Some(complete) = progress.finished {
            let all = progress.moves.values().all(|s| matches!(s, MoveState::Moved { .. }));
            prop_assert_eq!(complete, all);
            // Nothing waits at the end, and a dead end is told, not forgotten.
            for state in progress.moves.values() {
                let over = !state.underway() && *state != MoveState::Waiting;
                prop_assert!(over, "{:?}", state);
                let looked_at = !matches!(state, MoveState::Moved { health: None, .. });
                prop_assert!(looked_at || !limits.verify);
            }
        } else {
            prop_assert!(stop.drain.is_some());
        }
        // Every end of a try stands behind its intent.
        let mut open = std::collections::BTreeSet::new();
        for event in &events {
            match event {
                Event::Intended { id, .. } => prop_assert!(open.insert(id.clone())),
                Event::Recovering { id, .. } => prop_assert!(open.contains(id)),
                Event::Moved { id, .. } | Event::Failed { id, .. } | Event::Stuck { id, .. }
                | Event::Interrupted { id } => prop_assert!(open.remove(id)),
                Event::Skipped { id, .. } => { open.remove(id); }
                _ => {}
            }
        }
    }
}

const MOVES: (Fate, usize) = (Fate::Moves, 0);
const NEVER: Stop = Stop {
    abort: None,
    drain: None,
};

/// m2 after m1; m3 on its own.
fn three() -> Plan {
    let mut second = a_move("m2", "b", "h1", "h2");
    second.after = vec![MoveId("m1".to_owned())];
    plan(
        &cluster(&["h1", "h2"], &[]),
        vec![
            a_move("m1", "a", "h1", "h2"),
            second,
            a_move("m3", "c", "h1", "h2"),
        ],
    )
}

/// The states at the end, as words.
fn check(fates: &[(Fate, usize)], stop: Stop, expected: [&str; 3], finished: Option<bool>) {
    let limits = Limits::default();
    let progress = Progress::fold(&simulate(&three(), &limits, fates, stop));
    let words: Vec<String> = progress
        .moves
        .values()
        .map(|s| {
            format!("{s:?}")
                .split([' ', '{'])
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(words, expected);
    assert_eq!(progress.finished, finished);
}

#[test]
fn a_failed_move_takes_its_dependents_with_it_and_no_others() {
    use Fate::{Changes, Fails, Interrupted, Sticks};
    check(&[MOVES], NEVER, ["Moved", "Moved", "Moved"], Some(true));
    // m1 fails, m3 runs during its back-off, m1 fails again.
    check(
        &[(Fails, 0), MOVES, (Fails, 0)],
        NEVER,
        ["Failed", "Skipped", "Moved"],
        Some(false),
    );
    // The second try succeeds.
    check(
        &[(Fails, 0), MOVES, MOVES, MOVES],
        NEVER,
        ["Moved", "Moved", "Moved"],
        Some(true),
    );
    check(
        &[(Changes, 0), MOVES],
        NEVER,
        ["Skipped", "Skipped", "Moved"],
        Some(false),
    );
    // A guest in split state is a reason to touch nothing more.
    check(
        &[(Sticks, 0), MOVES],
        NEVER,
        ["Stuck", "Skipped", "Skipped"],
        Some(false),
    );
    check(
        &[(Interrupted, 0), (Interrupted, 0), MOVES],
        NEVER,
        ["Moved", "Moved", "Moved"],
        Some(true),
    );
}

#[test]
fn draining_leaves_the_run_to_be_resumed_and_abort_ends_it() {
    let drain = Stop {
        drain: Some(2),
        ..NEVER
    };
    check(&[MOVES], drain, ["Moved", "Waiting", "Waiting"], None);
    let abort = Stop {
        abort: Some(2),
        ..NEVER
    };
    check(
        &[MOVES],
        abort,
        ["Moved", "Skipped", "Skipped"],
        Some(false),
    );
    check(
        &[(Fate::Fails, 0)],
        abort,
        ["Failed", "Skipped", "Skipped"],
        Some(false),
    );
}

#[test]
fn moves_without_an_edge_run_side_by_side_as_far_as_slots_go() {
    let limits = |parallel, per_host| Limits {
        parallel,
        per_host,
        ..Limits::default()
    };
    let progress = Progress::fold([&accepted(&three(), Priority::Consolidation)]);
    let started = |limits| {
        let plan = three();
        decide(
            &[course(1, &plan, &progress, &limits)],
            &Observed::default(),
        )
    };
    let start = |id: &str| Action::Start {
        step: step(1, id),
        attempt: 1,
    };
    assert_eq!(started(limits(2, 2)), [start("m1"), start("m3")]);
    assert_eq!(started(limits(1, 2)), [start("m1")]);
    // Both go to one host, or come from one.
    assert_eq!(started(limits(2, 1)), [start("m1")]);
}

#[test]
fn the_back_off_doubles() {
    let limits = Limits::default();
    assert_eq!(back_off(&limits, 1), limits.back_off);
    assert_eq!(back_off(&limits, 3), Micros(limits.back_off.0 * 4));
    assert_eq!(back_off(&limits, 30), LONGEST);
}
