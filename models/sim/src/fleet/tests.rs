use vmpack_domain::policy::{Migrations, ModePolicy};
use vmpack_domain::units::{MiB, Micros, Permille};

use super::*;

const SECOND: Micros = Micros::secs(1);

fn hosts(n: usize) -> Vec<HostSpec> {
    (0..n)
        .map(|i| HostSpec {
            name: format!("h{i}").parse().expect("a plain name"),
            cores: 2,
            core: 1000.0,
            kept: 0.0,
            memory: MiB(4096),
            link: 125.0,
            power: PowerCurve::ML110_G5,
            asleep: 0.0,
            wake: Micros::secs(60),
            stays_on: false,
        })
        .collect()
}

fn guests(n: usize) -> Vec<GuestSpec> {
    (0..n)
        .map(|i| GuestSpec {
            name: format!("g{i}").parse().expect("a plain name"),
            vcpus: 2,
            promised: 2000.0,
            memory: MiB(1000),
            dirty: None,
        })
        .collect()
}

fn physics(migration: MigrationModel) -> Physics {
    Physics {
        interval: Micros::secs(300),
        first: Micros::ZERO,
        between: Between::Held,
        migration,
        whole: false,
        memory_counts: true,
        resting_leave: false,
        free_sleep: false,
        notice: Some(Micros::millis(200)),
        failing: Permille(0),
        seed: 1,
        deaths: Vec::new(),
    }
}

fn live(mode: ModePolicy) -> MigrationModel {
    MigrationModel::Live {
        migrations: Migrations {
            mode,
            ..Migrations::default()
        },
        loss: 0.1,
        downtime: Micros::millis(100),
    }
}

/// Two guests on the first host; the second one's demand rises at 2 s and falls at 12 s.
fn surge(mode: ModePolicy) -> Fleet {
    let demand = vec![
        Demand::Steps(vec![(Micros::ZERO, 0.6)]),
        Demand::Steps(vec![
            (Micros::ZERO, 0.2),
            (Micros::secs(2), 0.8),
            (Micros::secs(12), 0.2),
        ]),
    ];
    let mut fleet = Fleet::new(hosts(2), guests(2), demand, physics(live(mode)));
    for guest in 0..2 {
        fleet.place(guest, 0).expect("room");
    }
    fleet.begin_at(Micros::ZERO);
    fleet
}

#[test]
fn an_overload_is_told_after_the_notice_and_counted_until_it_ends() {
    let mut fleet = surge(ModePolicy::PostCopy);
    assert_eq!(fleet.go_on(Micros::secs(60)), Some(Notice::Overloaded(0)));
    assert_eq!(fleet.now(), Micros::millis(2200));
    assert_eq!(fleet.go_on(Micros::secs(60)), None);
    fleet.finish();
    let lasted: Vec<Micros> = fleet.reliefs().iter().map(|r| r.lasted).collect();
    assert_eq!(lasted, [Micros::secs(10)]);
    let sums = fleet.account();
    assert!((sums.short - 10.0).abs() < 1e-9);
    assert!((sums.guest_short - 20.0).abs() < 1e-9);
    // Wanted 1200 + 1600 of 2000 for ten seconds.
    assert!((sums.unserved - 8000.0).abs() < 1e-6);
    let wanted = 60.0 * 1200.0 + 50.0 * 400.0 + 10.0 * 1600.0;
    assert!((sums.wanted - wanted).abs() < 1e-6);
}

#[test]
fn post_copy_relieves_at_the_switch_and_pre_copy_at_the_end() {
    let relieved = |mode| {
        let mut fleet = surge(mode);
        assert!(fleet.go_on(Micros::secs(60)).is_some());
        fleet.migrate(1, 1).expect("room at the other host");
        assert!(fleet.migrate(1, 1).is_err(), "it is on its way already");
        assert_eq!(fleet.go_on(Micros::secs(60)), Some(Notice::Ended(1)));
        assert_eq!(fleet.go_on(Micros::secs(60)), None);
        fleet.finish();
        assert_eq!(fleet.at(1), Some(1));
        assert_eq!(fleet.free_memory(0), MiB(3096), "the source is free");
        assert!(fleet.account().unserved_moving > 0.0);
        fleet.reliefs()[0].lasted
    };
    // Noticed after 200 ms, switched 600 ms after the order.
    assert_eq!(relieved(ModePolicy::PostCopy), Micros::millis(800));
    // 1000 MiB at 80 % of 125 MiB/s before execution goes.
    let late = relieved(ModePolicy::PreCopy);
    assert!(late > Micros::secs(9), "{late:?}");
}

#[test]
fn memory_is_held_at_both_ends_until_a_migration_ends() {
    let mut fleet = surge(ModePolicy::PostCopy);
    fleet.migrate(1, 1).expect("room");
    assert_eq!(fleet.free_memory(0), MiB(2096));
    assert_eq!(fleet.free_memory(1), MiB(3096));
    assert_eq!(fleet.go_on(SECOND), None);
    assert_eq!(fleet.at(1), Some(1), "execution is there");
    assert_eq!(fleet.free_memory(0), MiB(2096), "its memory is not");
    assert_eq!(fleet.sleep(0), Err(Refusal::InUse));
}

#[test]
fn a_host_sleeps_when_told_and_takes_guests_after_its_wake_time() {
    let mut fleet = surge(ModePolicy::PostCopy);
    fleet.sleep(1).expect("it is empty");
    assert_eq!(fleet.migrate(1, 1), Err(Refusal::Closed));
    fleet.wake(1).expect("it sleeps");
    let mut awake = None;
    while let Some(notice) = fleet.go_on(Micros::secs(90)) {
        if notice == Notice::Awake(1) {
            awake = Some(fleet.now());
        }
    }
    assert_eq!(awake, Some(Micros::secs(60)));
    fleet.migrate(1, 1).expect("it is awake");
}

#[test]
fn a_sleeping_host_draws_nothing_and_an_idle_one_does() {
    let energy = |sleeps: bool| {
        let mut fleet = surge(ModePolicy::PostCopy);
        if sleeps {
            fleet.sleep(1).expect("it is empty");
        }
        while fleet.go_on(Micros::secs(100)).is_some() {}
        fleet.finish();
        fleet.account().joules
    };
    assert!((energy(false) - energy(true) - 93.7 * 100.0).abs() < 1e-6);
}

#[test]
fn a_death_takes_the_guests_that_have_memory_there() {
    let mut physics = physics(live(ModePolicy::PostCopy));
    physics.deaths = vec![(Micros::secs(3), 0)];
    let demand = vec![Demand::Grid(vec![0.1]); 3];
    let mut fleet = Fleet::new(hosts(2), guests(3), demand, physics);
    fleet.place(0, 0).expect("room");
    fleet.place(1, 0).expect("room");
    fleet.place(2, 1).expect("room");
    fleet.begin_at(Micros::ZERO);
    // In split state at 3 s: executing at the other host, fetched from the one that dies.
    fleet.migrate(1, 1).expect("room");
    assert_eq!(fleet.go_on(Micros::secs(9)), Some(Notice::Died(0)));
    assert_eq!(
        (fleet.at(0), fleet.at(1), fleet.at(2)),
        (None, None, Some(1))
    );
    assert_eq!(fleet.account().lost, 2);
    fleet.place(0, 1).expect("started anew");
    assert_eq!(fleet.place(1, 0), Err(Refusal::Closed));
    assert_eq!(fleet.go_on(Micros::secs(60)), None);
}

#[test]
fn failing_migrations_leave_the_guest_where_it_was_and_repeat_by_seed() {
    let run = |seed| {
        let mut physics = physics(MigrationModel::Flat);
        (physics.failing, physics.seed) = (Permille(500), seed);
        let demand = vec![Demand::Grid(vec![0.1]); 2];
        let mut fleet = Fleet::new(hosts(2), guests(2), demand, physics);
        fleet.place(0, 0).expect("room");
        fleet.begin_at(Micros::ZERO);
        fleet.record();
        for k in 1..=40 {
            let to = 1 - fleet.at(0).expect("it runs");
            fleet.migrate(0, to).expect("room");
            let until = Micros::secs(100 * k);
            assert_eq!(
                fleet.go_on(until),
                Some(Notice::Ended(0)),
                "even of one that failed"
            );
            assert_eq!(fleet.go_on(until), None);
        }
        assert_eq!(fleet.account().migrations, 40);
        (fleet.account().failed, fleet.take_told())
    };
    let (failed, told) = run(1);
    assert!((5..35).contains(&failed), "{failed}");
    assert_eq!((failed, told.clone()), run(1));
    assert_ne!(told, run(2).1);
}

#[test]
fn straight_demand_is_seen_when_something_happens() {
    let mut physics = physics(MigrationModel::Flat);
    physics.between = Between::Straight;
    physics.free_sleep = true;
    physics.notice = None;
    let demand = vec![Demand::Grid(vec![0.0, 1.0, 1.0])];
    let mut fleet = Fleet::new(hosts(2), guests(1), demand, physics);
    fleet.place(0, 0).expect("room");
    fleet.begin_at(Micros::secs(150));
    assert!((fleet.want(0) - 1000.0).abs() < 1e-9);
    // 1000 MiB at half of 125 MiB/s: 16 s.
    fleet.migrate(0, 1).expect("room");
    assert_eq!(fleet.takes(0, 1), Micros::secs(16));
    assert_eq!(fleet.go_on(Micros::secs(300)), None);
    fleet.observe();
    assert_eq!(fleet.at(0), Some(1));
    assert!((fleet.want(0) - 2000.0).abs() < 1e-9);
    assert_eq!(fleet.past(0), [1.0]);
    // The target gave a tenth and was asked for all of it, for 16 s.
    assert!((fleet.account().short - 16.0).abs() < 1e-9);
    assert!((fleet.account().unserved_moving - 1600.0).abs() < 1e-6);
}
