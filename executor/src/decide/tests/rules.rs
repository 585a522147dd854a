//! What goes before what, and what holds back.

use vmpack_domain::journal::Health;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::Mode;

use super::*;
use crate::journal::Entry;

/// A run of consolidation and one of relief, each of them with its events, and what is decided. The
/// moves of both go as (id, guest, from, to, mode).
fn between(
    consolidation: &[(&str, &str, &str, &str, Mode)],
    so_far: &[Event],
    relief: &[(&str, &str, &str, &str, Mode)],
    observed: &Observed,
) -> Vec<Action> {
    let plan_of = |moves: &[(&str, &str, &str, &str, Mode)]| {
        let moves = moves.iter().map(|(id, guest, from, to, mode)| {
            let mut mv = a_move(id, guest, from, to);
            mv.mode = *mode;
            mv
        });
        plan(&cluster(&["h1", "h2", "h3", "h4"], &[]), moves.collect())
    };
    let limits = Limits {
        parallel: 4,
        ..Limits::default()
    };
    let (first, second) = (plan_of(consolidation), plan_of(relief));
    let mut progress = Progress::fold([&accepted(&first, Priority::Consolidation)]);
    so_far.iter().for_each(|event| progress.apply(event));
    let urgent = Progress::fold([&accepted(&second, Priority::Relief)]);
    let courses = [
        course(1, &first, &progress, &limits),
        Course {
            priority: Priority::Relief,
            ..course(2, &second, &urgent, &limits)
        },
    ];
    decide(&courses, observed)
}

fn intended(id: &str) -> Event {
    let mv = a_move(id, "any", "h1", "h2");
    Event::Intended {
        id: mv.id,
        guest: mv.guest,
        from: mv.from,
        to: mv.to,
        mode: mv.mode,
        attempt: 1,
    }
}

fn switched(id: &str) -> Event {
    Event::Switched {
        id: MoveId(id.to_owned()),
        switch: Micros::secs(1),
    }
}

#[test]
fn relief_goes_first_and_calls_off_what_copies_in_its_way() {
    use Mode::{Hybrid, PostCopy, PreCopy};
    let now = Observed::default();
    let start = |id: &str| Action::Start {
        step: step(2, id),
        attempt: 1,
    };
    let call_off = |id: &str| Action::CallOff { step: step(1, id) };
    let relief = [("r1", "x", "h1", "h2", PostCopy)];
    let ways: [(&str, Mode, &[Event], &[Action]); 6] = [
        // Another pair of hosts is left alone, and nothing of consolidation starts beside relief.
        ("h3 h4", PreCopy, &[intended("m1")], &[start("r1")]),
        ("h3 h4", PreCopy, &[], &[start("r1")]),
        // It takes of the link.
        (
            "h1 h3",
            PreCopy,
            &[intended("m1")],
            &[call_off("m1"), start("r1")],
        ),
        (
            "h1 h3",
            Hybrid,
            &[intended("m1"), switched("m1")],
            &[start("r1")],
        ),
        ("h1 h3", PostCopy, &[intended("m1")], &[start("r1")]),
        // It takes the room.
        ("h3 h2", PreCopy, &[intended("m1")], &[call_off("m1")]),
    ];
    for (hosts, mode, so_far, expected) in ways {
        let (from, to) = hosts.split_once(' ').unwrap();
        let consolidation = [("m1", "a", from, to, mode)];
        let found = between(&consolidation, so_far, &relief, &now);
        assert_eq!(found, expected, "{hosts} {mode}");
    }
    // Asked once; the same guest is waited for.
    let same = [("m1", "x", "h1", "h2", PreCopy)];
    let asked = Observed {
        called_off: [step(1, "m1")].into(),
        ..Observed::default()
    };
    let begun = [intended("m1")];
    assert_eq!(between(&same, &begun, &relief, &now), [call_off("m1")]);
    let wait = [Action::Wait { until: None }];
    assert_eq!(between(&same, &begun, &relief, &asked), wait);
    // Held, nothing is called off for what does not start.
    let held = Observed {
        held: true,
        ..Observed::default()
    };
    assert_eq!(between(&same, &begun, &relief, &held), wait);
}

#[test]
fn a_guest_in_split_state_is_resumed_and_holds_consolidation_back() {
    let plan = three();
    let limits = Limits {
        parallel: 3,
        per_host: 3,
        recoveries: 2,
        ..Limits::default()
    };
    let mut progress = Progress::fold([&accepted(&plan, Priority::Consolidation)]);
    let broken = Event::Broken {
        id: MoveId("m1".to_owned()),
        state: "split".into(),
        unanswered: false,
    };
    let recovering = |attempt| Event::Recovering {
        id: MoveId("m1".to_owned()),
        attempt,
    };
    for event in [intended("m1"), switched("m1"), broken.clone()] {
        progress.apply(&event);
    }
    let decided = |progress: &Progress, observed: &Observed| {
        decide(&[course(1, &plan, progress, &limits)], observed)
    };
    let now = Observed::default();
    let recover = |attempt| Action::Recover {
        step: step(1, "m1"),
        attempt,
    };
    assert_eq!(decided(&progress, &now), [recover(1)]);
    let later = Observed {
        retry_at: [(step(1, "m1"), Micros::secs(5))].into(),
        ..Observed::default()
    };
    let until = Some(Micros::secs(5));
    assert_eq!(decided(&progress, &later), [Action::Wait { until }]);
    let leaving = Observed {
        draining: true,
        leaving: true,
        ..Observed::default()
    };
    assert_eq!(decided(&progress, &leaving), [Action::Leave]);
    for event in [recovering(1), broken.clone(), recovering(2), broken] {
        progress.apply(&event);
    }
    let found = decided(&progress, &now);
    assert!(matches!(&found[..], [Action::GiveUp { state, .. }] if state.contains("2 times")));
}

/// What is decided of six moves without edges, of which so many have moved well and one has run.
fn after(moved: usize, limits: &Limits, closed: Option<Micros>) -> Vec<Action> {
    let moves = (0..6).map(|n| a_move(&format!("m{n}"), &format!("g{n}"), "h1", "h2"));
    let plan = plan(&cluster(&["h1", "h2"], &[]), moves.collect());
    let mut progress = Progress::fold([&accepted(&plan, Priority::Consolidation)]);
    for n in 0..moved {
        let id = MoveId(format!("m{n}"));
        progress.apply(&Event::Moved {
            id: id.clone(),
            total: None,
            switch: None,
            downtime: None,
            transferred: None,
        });
        let health = Health::default();
        progress.apply(&Event::Checked { id, health });
    }
    let course = Course {
        closed,
        ..course(1, &plan, &progress, limits)
    };
    decide(&[course], &Observed::default())
}

#[test]
fn a_canary_goes_first_and_the_batches_grow() {
    let limits = Limits {
        parallel: 16,
        per_host: 16,
        canary: 1,
        verify: true,
        ..Limits::default()
    };
    for (moved, begun) in [(0, 1), (1, 2), (2, 4), (3, 3)] {
        assert_eq!(after(moved, &limits, None).len(), begun, "after {moved}");
    }
    let none = Limits {
        canary: 0,
        ..limits
    };
    assert_eq!(after(0, &none, None).len(), 6);
}

#[test]
fn what_is_closed_waits_for_its_time() {
    let until = Some(Micros::secs(60));
    let waits = [Action::Wait { until }];
    assert_eq!(after(1, &Limits::default(), until), waits);
}

#[test]
fn a_guest_is_looked_at_after_its_move_and_too_many_failures_ask_a_person() {
    let limits = Limits {
        verify: true,
        tries: 1,
        stop_after: 1,
        ..Limits::default()
    };
    let plan = three();
    let mut progress = Progress::fold([&accepted(&plan, Priority::Consolidation)]);
    let id = || MoveId("m1".to_owned());
    progress.apply(&Event::Moved {
        id: id(),
        total: None,
        switch: None,
        downtime: None,
        transferred: None,
    });
    let decided =
        |progress: &Progress| decide(&[course(1, &plan, progress, &limits)], &Observed::default());
    let step = step(1, "m1");
    assert_eq!(decided(&progress)[0], Action::Check { step });
    let health = Health {
        answers: Some(false),
        ..Health::default()
    };
    progress.apply(&Event::Checked { id: id(), health });
    let stops = decided(&progress);
    let [Action::Stop { reason, .. }] = &stops[..] else {
        panic!("{stops:?}");
    };
    progress.apply(&Event::Stopped {
        reason: reason.clone(),
    });
    assert_eq!(decided(&progress), [Action::Rest]);
    progress.apply(&Event::Continued {
        by: "test".into(),
        failures: progress.failures(),
    });
    assert!(matches!(decided(&progress)[..], [Action::Start { .. }]));
}

#[test]
fn no_more_guests_are_put_in_split_state_than_the_budget_lets_be() {
    let mut moves = [
        a_move("m1", "a", "h1", "h2"),
        a_move("m2", "b", "h1", "h3"),
        a_move("m3", "c", "h1", "h4"),
        a_move("m4", "d", "h4", "h3"),
    ];
    moves[2].mode = Mode::PreCopy;
    let mut plan = plan(&cluster(&["h1", "h2", "h3", "h4"], &[]), moves.to_vec());
    let limits = Limits {
        parallel: 4,
        per_host: 4,
        ..Limits::default()
    };
    // What is skipped, and what begins.
    let mut acts = |budget: u64, priority| {
        let budgets = [("host".to_owned(), Micros::secs(budget))];
        plan.policy.migrations.split_budget = budgets.into();
        let moved = Event::Moved {
            id: MoveId("m1".to_owned()),
            total: Some(Micros::secs(5)),
            switch: Some(Micros::secs(1)),
            downtime: None,
            transferred: None,
        };
        let events = [accepted(&plan, priority), intended("m1"), moved];
        let progress = Progress::fold(&events);
        let spells = Spells::of(
            &plan,
            &BTreeMap::new(),
            &events.map(|event| Entry {
                seq: 1,
                run: RunId(1),
                time: Timestamp(jiff::Timestamp::UNIX_EPOCH),
                event,
            }),
        );
        let course = Course {
            priority,
            spells: &spells,
            ..course(1, &plan, &progress, &limits)
        };
        let actions = decide(&[course], &Observed::default());
        let of = |a: &Action| match a {
            Action::Skip { step, reason } => {
                assert!(reason.contains("host h"), "{reason}");
                format!("not {}", step.id)
            }
            Action::Start { step, .. } => step.id.to_string(),
            _ => format!("{a:?}"),
        };
        actions.iter().map(of).collect::<Vec<_>>().join(", ")
    };
    // Four seconds of split state at h1, which m2 leaves, too; m3 needs none, m4 is elsewhere. M2 and m4 take
    // three seconds each at h3.
    assert_eq!(acts(6, Priority::Consolidation), "m2, m3, m4");
    assert_eq!(acts(5, Priority::Consolidation), "m2, m3");
    assert_eq!(acts(4, Priority::Consolidation), "not m2, m3, m4");
    assert_eq!(acts(0, Priority::Consolidation), "not m2, m3, not m4");
    assert_eq!(acts(4, Priority::Relief), "m2, m3, m4");
}
