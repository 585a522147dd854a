//! Other controllers, other managers, other runs.

use super::*;
use crate::admit::{Ask, admit};

/// A guest of another manager in a world, or with a lease.
fn marked(hosts: &Cluster, key: &str, value: &str) -> Simulated {
    let world = simulated(hosts, vec![]);
    let guest = "a".parse::<GuestName>().unwrap();
    world.change(|w| w.set_metadata(&guest, key, Some(value.to_owned())));
    world
}

#[test]
fn a_guest_of_another_is_left_alone_with_what_hangs_on_it() {
    let hosts = three_hosts();
    let mut plan = three(&hosts);
    let lease = "1970-01-01T00:00:00Z 1970-01-01T01:00:00Z other:/journal.db";
    for (key, value, says) in [
        (
            "lease",
            lease,
            "another controller, other:/journal.db since 1970",
        ),
        ("manager", "oVirt", "belongs to oVirt"),
    ] {
        let world = marked(&hosts, key, value);
        for ask in [Ask::All, Ask::Ends] {
            let scene = scene(Arc::new(marked(&hosts, key, value)));
            let refusal = admit(&scene, &plan, ask).unwrap_err();
            assert!(refusal.error.contains(says), "{refusal:?}");
        }
        let (progress, ..) = carried_in(&hosts, &plan, world, &LIMITS);
        assert_eq!(words(&progress), ["Skipped", "Skipped", "Moved"]);
        let Some(MoveState::Skipped { reason }) = progress.moves.values().next() else {
            panic!("{progress:?}");
        };
        assert!(reason.contains(says), "{reason}");
    }
    // A lease that has ended, and a policy that allows it.
    plan.policy.migrations.foreign = vmpack_domain::policy::Foreign::Allow;
    let ended = "1969-01-01T00:00:00Z 1970-01-01T00:00:00Z other:/journal.db";
    for (key, value) in [("lease", ended), ("manager", "oVirt")] {
        let (progress, ..) = carried_in(&hosts, &plan, marked(&hosts, key, value), &LIMITS);
        assert_eq!(progress.finished, Some(true));
    }
}

#[test]
fn a_host_that_died_elsewhere_is_no_reason_to_leave_the_others_as_they_are() {
    let hosts = three_hosts();
    let died = |host: &str| Fault {
        when: When::At(Micros::ZERO),
        what: Trouble::Dies(host_name(host)),
    };
    let plan = plan(&hosts, vec![a_move("m1", "a", "h1", "h2")]);
    for (host, asks) in [("h3", vec![Ask::All]), ("h2", vec![Ask::All, Ask::Ends])] {
        let scene = scene(Arc::new(simulated(&hosts, vec![died(host)])));
        scene.hypervisor.wait(Micros(1));
        for ask in [Ask::All, Ask::Ends] {
            let admission = admit(&scene, &plan, ask);
            assert_eq!(admission.is_err(), asks.contains(&ask), "{host} {ask:?}");
        }
    }
}

#[test]
fn a_lease_stands_while_a_guest_is_moved_and_not_afterwards() {
    let hosts = three_hosts();
    let plan = three(&hosts);
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    let scene = scene(Arc::new(simulated(&hosts, vec![]).paced(5)));
    let claims = |host: &str| {
        let guest = "a".parse::<GuestName>().unwrap();
        let claims = scene.hypervisor.claims(&guest, &host_name(host));
        claims.ok().and_then(|c| c.lease).map(|l| l.holder)
    };
    let mut seen = None;
    run(&desk, &scene, &LIMITS, |heard, _| {
        if matches!(heard, Heard::Entry(e) if matches!(e.event, Event::Switched { .. })) {
            seen = seen.take().or_else(|| claims("h2"));
        }
    })
    .unwrap();
    assert_eq!(seen.as_deref(), Some("test"));
    assert_eq!(claims("h2"), None);
}

#[test]
fn relief_that_is_handed_in_goes_first_and_what_it_calls_off_is_begun_anew() {
    let hosts = three_hosts();
    let plan = slow_plan(&hosts);
    let mut urgent = a_move("r1", "c", "h3", "h2");
    urgent.after = Vec::new();
    let relief = crate::fixture::plan(&hosts, vec![urgent]);
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    let mut asked = false;
    let mut entries = Vec::new();
    let scene = scene(Arc::new(simulated(&hosts, vec![]).paced(20)));
    let progress = run(&desk, &scene, &LIMITS, |heard, handle| {
        if is_intent(heard) && !asked {
            asked = true;
            let _unheard = handle.relieve(relief.clone());
        }
        if let Heard::Entry(entry) = heard {
            entries.push((entry.run, entry.event.clone()));
        }
    })
    .unwrap();
    assert_eq!(words(&progress), ["Moved"], "the newest run is the relief");
    let place = |which: &dyn Fn(&(RunId, Event)) -> bool| entries.iter().position(which).unwrap();
    let called_off = place(&|(_, e)| matches!(e, Event::Interrupted { .. }));
    let begun = place(&|(run, e)| run.0 > 1 && matches!(e, Event::Intended { .. }));
    let relieved = place(&|(run, e)| run.0 > 1 && matches!(e, Event::Finished { .. }));
    let first = &entries[called_off].1;
    let anew = entries.iter().rposition(|(run, e)| {
        run.0 == 1 && matches!(e, Event::Intended { id, .. } if id.0 == "m1")
    });
    assert!(matches!(first, Event::Interrupted { id } if id.0 == "m1"));
    assert!(called_off < begun && begun < relieved && relieved < anew.unwrap());
    let journal = Journal::open(&desk.journal).unwrap();
    let consolidation = journal.all().unwrap().remove(0).progress();
    // The relief has moved c already.
    assert_eq!(words(&consolidation), ["Moved", "Moved", "Skipped"]);
}

#[test]
fn no_plan_goes_to_a_host_that_falls_asleep_and_none_sleeps_that_a_plan_needs() {
    let mut hosts = three_hosts();
    hosts
        .hosts
        .extend([crate::fixture::host("h4"), crate::fixture::host("h5")]);
    hosts.guests.push(crate::fixture::guest("e", "h4"));
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    journal
        .accept(
            &three(&hosts),
            None,
            Priority::Consolidation,
            &world(&hosts),
        )
        .unwrap();
    let other = crate::fixture::plan(&hosts, vec![a_move("n1", "e", "h4", "h5")]);
    let order = || crate::holder::Order {
        plan: other.clone(),
        file: None,
        priority: Priority::Consolidation,
        world: None,
        reverses: false,
    };
    let (mut sleeps, mut orders) = (Vec::new(), Vec::new());
    let scene = scene(Arc::new(simulated(&hosts, vec![]).paced(20)));
    run(&desk, &scene, &LIMITS, |heard, handle| {
        if is_intent(heard) && sleeps.is_empty() {
            // h2 is the target of a move that has yet to begin.
            sleeps = ["h2", "h5"]
                .map(|host| handle.sleep(host_name(host)))
                .into();
            orders.push(handle.order(order()));
            orders.push(handle.relieve(other.clone()));
            handle.awake(host_name("h5"));
            orders.push(handle.order(order()));
            sleeps.push(handle.sleep(host_name("h5")));
        }
    })
    .unwrap();
    let mut sleeps = sleeps.into_iter().map(|s| s.blocking_recv().unwrap());
    let refusal = sleeps.next().unwrap().unwrap_err();
    assert!(
        refusal.error.contains("run 1 is not at its end"),
        "{refusal}"
    );
    assert_eq!(sleeps.next(), Some(Ok(())));
    let mut orders = orders.into_iter().map(|o| o.blocking_recv().unwrap());
    for _ in 0..2 {
        let refusal = orders.next().unwrap().unwrap_err();
        assert_eq!(refusal.exit, vmpack_domain::exit::Exit::StalePlan as u8);
        assert!(
            refusal.error.contains("h5 is being put to sleep"),
            "{refusal}"
        );
    }
    // While the plan was looked at the host was let sleep: whichever was answered first binds the other.
    let (taken, asleep) = (orders.next().unwrap(), sleeps.next().unwrap());
    assert!(taken.is_err() && asleep.is_ok(), "{taken:?} {asleep:?}");
}

#[test]
fn nothing_is_started_while_the_inhibit_file_is_there() {
    let hosts = three_hosts();
    let plan = three(&hosts);
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    crate::socket::inhibit(&desk.inhibit, "a person").unwrap();
    let scene = scene(Arc::new(simulated(&hosts, vec![])));
    let mut told = Vec::new();
    let inhibit = desk.inhibit.clone();
    let progress = run(&desk, &scene, &LIMITS, |heard, _| match heard {
        Heard::Held(by) => {
            told.push((*by).to_owned());
            let inhibit = inhibit.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(300));
                crate::socket::release(&inhibit).unwrap();
            });
        }
        Heard::Released => told.push("released".to_owned()),
        Heard::Entry(_) => assert_eq!(told.len(), 2, "{told:?}"),
        _ => {}
    })
    .unwrap();
    assert_eq!(progress.finished, Some(true));
    assert_eq!(told, ["a person", "released"]);
}
