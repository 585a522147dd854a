//! Migrations that nobody watched, and what a run comes back to after a restart.

use vmpack_domain::units::PagesPerSec;
use vmpack_domain::{GuestLoad, Mode};
use vmpack_hypervisor::sim::Request;

use super::*;

/// One move, which a dead executor had asked for; `intended` is all that its journal says.
fn left_running(mode: Mode, dirty: u64) -> (Desk, Scene, Arc<Simulated>) {
    let hosts = three_hosts();
    let mut mv = a_move("m1", "a", "h1", "h2");
    (mv.mode, mv.duration) = (mode, Micros::secs(20));
    let plan = plan(&hosts, vec![mv.clone()]);
    let mut load = Load::default();
    let measured = GuestLoad {
        dirty: Some(PagesPerSec(dirty)),
        ..GuestLoad::default()
    };
    load.guests.insert(mv.guest.clone(), measured);
    let world_of = Arc::new(Simulated::new(hosts.clone(), load, sim::Options::default()));
    world_of.change(|world| {
        let request = Request {
            guest: mv.guest.clone(),
            from: mv.from.clone(),
            to: mv.to.clone(),
            mode,
            bandwidth: None,
            give_up: Micros::secs(70),
        };
        let id = world.start_migration(request).unwrap();
        world.forsake(id);
    });
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    let accepted = journal.accept(&plan, None, Priority::Consolidation, &world(&hosts));
    let intended = Event::Intended {
        id: mv.id,
        guest: mv.guest,
        from: mv.from,
        to: mv.to,
        mode,
        attempt: 1,
    };
    journal.append(accepted.unwrap().run, intended).unwrap();
    (desk, scene(world_of.clone()), world_of)
}

#[test]
fn a_migration_that_nobody_switched_is_called_off_and_made_anew() {
    let (desk, scene, world_of) = left_running(Mode::PostCopy, 1_000_000);
    let progress = run(&desk, &scene, &LIMITS, |_, _| {}).unwrap();
    assert_eq!(words(&progress), ["Moved"], "{:?}", desk.events());
    let interrupted = |e: &Event| matches!(e, Event::Interrupted { .. });
    assert!(desk.events().iter().any(interrupted));
    // At once, not after the time that a migration is given.
    assert!(world_of.now() < Micros::secs(60), "{:?}", world_of.now());
}

#[test]
fn a_migration_that_nobody_gives_up_and_that_never_ends_is_given_up() {
    let (desk, scene, _) = left_running(Mode::PreCopy, 1_000_000);
    let progress = run(&desk, &scene, &LIMITS, |_, _| {}).unwrap();
    assert_eq!(words(&progress), ["Failed"], "{:?}", desk.events());
    assert_eq!(progress.finished, Some(false));
    let (desk, scene, _) = left_running(Mode::PreCopy, 0);
    let progress = run(&desk, &scene, &LIMITS, |_, _| {}).unwrap();
    assert_eq!(words(&progress), ["Moved"]);
    let interrupted = |e: &Event| matches!(e, Event::Interrupted { .. });
    assert!(
        !desk.events().iter().any(interrupted),
        "one that ends is let end"
    );
}

#[test]
fn what_a_dead_libvirtd_left_at_the_source_is_removed() {
    let hosts = three_hosts();
    let at = |seconds| When::At(Micros::secs(seconds));
    let faults = vec![
        fault("a", Phase::Fetch, Trouble::DaemonDies(host_name("h1"))),
        Fault {
            when: at(3),
            what: Trouble::DaemonBack(host_name("h1")),
        },
    ];
    let world_of = Arc::new(simulated(&hosts, faults));
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    let plan = three(&hosts);
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    let limits = Limits {
        patience: Micros::secs(60),
        ..LIMITS
    };
    let progress = run(&desk, &scene(world_of.clone()), &limits, |_, _| {}).unwrap();
    assert_eq!(
        words(&progress),
        ["Moved", "Moved", "Moved"],
        "{progress:?}"
    );
    let copies = world_of.look(|world| world.copies(&"a".parse().unwrap()));
    assert_eq!(copies.len(), 1, "{copies:?}");
}

#[test]
fn a_back_off_outlasts_its_executor() {
    let hosts = three_hosts();
    let refuses = Fault {
        when: When::At(Micros::ZERO),
        what: Trouble::Refuses(host_name("h2")),
    };
    let world_of = Arc::new(simulated(&hosts, vec![refuses]));
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    let plan = plan(&hosts, vec![a_move("m1", "a", "h1", "h2")]);
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    let limits = Limits {
        back_off: Micros::secs(30),
        ..LIMITS
    };
    let scene = scene(world_of.clone());
    world_of.wait(Micros::secs(1));
    let failed = |e: &Event| matches!(e, Event::Failed { .. });
    // The first executor is interrupted when its try has failed.
    run(&desk, &scene, &limits, |heard, handle| {
        if matches!(heard, Heard::Entry(entry) if failed(&entry.event)) {
            handle.interrupt();
        }
    })
    .unwrap();
    assert!(
        desk.events().last().is_some_and(failed),
        "{:?}",
        desk.events()
    );
    let resumed = world_of.now();
    let mut tried = None;
    let progress = run(&desk, &scene, &limits, |heard, _| {
        if matches!(heard, Heard::Entry(e) if matches!(e.event, Event::Intended { .. })) {
            tried = tried.or(Some(world_of.now()));
        }
    });
    assert_eq!(words(&progress.unwrap()), ["Moved"]);
    assert!(tried.unwrap() >= resumed + Micros::secs(30), "{tried:?}");
}

#[test]
fn a_try_to_resume_that_may_not_have_been_made_does_not_count() {
    let id = || MoveId("m1".to_owned());
    let broken = |unanswered| Event::Broken {
        id: id(),
        state: "split".to_owned(),
        unanswered,
    };
    let recovering = |attempt| Event::Recovering { id: id(), attempt };
    let recoveries = |events: &[Event]| match Progress::fold(events).moves.remove(&id()) {
        Some(MoveState::Broken { recoveries, .. }) => recoveries,
        other => panic!("{other:?}"),
    };
    let begun = [broken(false), recovering(1), broken(false), recovering(2)];
    let with = |last| recoveries(&[&begun[..], &[last]].concat());
    assert_eq!(with(broken(false)), 2);
    assert_eq!(with(broken(true)), 1);
    assert_eq!(recoveries(&[broken(true)]), 0);
}

#[test]
fn who_followed_before_a_run_is_taken_up_hears_of_its_end() {
    use crate::watch::{Done, hands};
    let (desk, scene, _) = left_running(Mode::PreCopy, 0);
    let mut journal = Journal::open(&desk.journal).unwrap();
    let runs = journal.unfinished().unwrap();
    let (handle, mut asks) = channel();
    let (_orders, ordered) = mpsc::unbounded_channel();
    let (finish, mut done) = mpsc::unbounded_channel();
    let terms = Terms {
        world: runs[0].world.clone(),
        limits: &|_| LIMITS,
        stays: false,
        inhibit: desk.inhibit.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let told = runtime.block_on(async {
        let hands = hands::serve(handle, ordered, &runs, finish);
        // The run is at its end before the hands get their first turn.
        let deaf = &mut |_: Heard<'_>| {};
        let ended = hold(&scene, &runs, &terms, &mut journal, &mut asks, deaf).await;
        assert!(ended.unwrap().values().all(|p| p.finished == Some(true)));
        let hears = async {
            let mut told = Vec::new();
            while let Some(news) = done.recv().await.filter(|n| !matches!(n, Done::Gone(_))) {
                told.push(news);
            }
            // Nobody listens any more.
            drop(done);
            told
        };
        tokio::join!(hands, hears).1
    });
    let whole = Done::Ended {
        guest: "a".parse().unwrap(),
        moved: true,
    };
    assert!(matches!(&told[0], Done::Begun { relief: false, .. }));
    assert!(told.contains(&whole), "{told:?}");
}
