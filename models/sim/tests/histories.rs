//! Random histories of the simulated world, and the stories that its diagram tells.

use proptest::prelude::*;
use vmpack_domain::migration::predict;
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, PagesPerSec, Permille, Ratio};
use vmpack_domain::{Cluster, Guest, GuestLoad, GuestName, Host, HostName, HostState, Load, Mode};
use vmpack_sim::{
    CopyState, Event, Failure, Fate, Fault, Happening, LINK_TIMEOUT, Options, Phase, Refusal,
    Report, Request, Trouble, When, World,
};

fn host(n: usize) -> HostName {
    format!("h{n}").parse().unwrap()
}

fn guest(n: usize) -> GuestName {
    format!("g{n}").parse().unwrap()
}

/// Hosts `h0…` of 64 GiB on links of 100 MiB/s; guests `g0…` of that memory and dirty rate, each on
/// its host.
fn cluster(hosts: usize, guests: &[(usize, u64, u64)]) -> (Cluster, Load) {
    let mut load = Load::default();
    let hosts = (0..hosts)
        .map(|n| Host {
            name: host(n),
            cpu: MilliCores::cores(8),
            memory: MiB(65_536),
            network: MiBPerSec(100),
            state: HostState::On,
            speed: Ratio::ONE,
            reserve: Default::default(),
            labels: Default::default(),
            never_sleep: false,
            uri: None,
            migrate_address: None,
            probe: None,
        })
        .collect();
    let guests = guests
        .iter()
        .enumerate()
        .map(|(n, (at, memory, dirty))| {
            let measured = GuestLoad {
                dirty: Some(PagesPerSec(*dirty)),
                ..GuestLoad::default()
            };
            load.guests.insert(guest(n), measured);
            Guest {
                name: guest(n),
                uuid: None,
                vcpus: 1,
                memory: MiB(*memory),
                host: Some(host(*at)),
                reserved: MilliCores::ZERO,
                movable: true,
                moved_ago: None,
                post_copy: Default::default(),
                requires: Default::default(),
            }
        })
        .collect();
    (Cluster { hosts, guests }, load)
}

fn request(g: usize, from: usize, to: usize, mode: Mode) -> Request {
    Request {
        guest: guest(g),
        from: host(from),
        to: host(to),
        mode,
        bandwidth: None,
        give_up: Micros::secs(600),
    }
}

fn exact(faults: Vec<Fault>) -> Options {
    Options {
        jitter: Permille(0),
        faults,
        ..Options::default()
    }
}

/// One guest of 1000 MiB goes from h0 to h1; what happened, without the progress.
fn story(mode: Mode, dirty: u64, faults: Vec<Fault>) -> (World, Vec<Happening>) {
    let (cluster, load) = cluster(3, &[(0, 1000, dirty)]);
    let mut world = World::new(&cluster, &load, &exact(faults));
    world.start_migration(request(0, 0, 1, mode)).unwrap();
    let told = world.step_until(Micros::secs(3600));
    let told = told.into_iter().map(|e| e.what);
    let told = told.filter(|h| !matches!(h, Happening::Progress { .. }));
    (world, told.collect())
}

fn in_phase(phase: Phase, what: Trouble) -> Fault {
    Fault {
        when: When::Phase {
            guest: guest(0),
            phase,
            after: Micros::millis(100),
        },
        what,
    }
}

fn fate(told: &[Happening]) -> Option<Fate> {
    told.iter().find_map(|h| match h {
        Happening::Failed(Failure { fate, .. }) => Some(*fate),
        _ => None,
    })
}

#[test]
fn a_lone_migration_takes_what_was_predicted() {
    for mode in [Mode::PreCopy, Mode::Hybrid, Mode::PostCopy] {
        for dirty in [0, 1000, 10_000] {
            let (world, told) = story(mode, dirty, vec![]);
            let [
                Happening::Switched { after },
                Happening::Ended(Report {
                    switch,
                    total,
                    transferred,
                    ..
                }),
            ] = told[..]
            else {
                panic!("{mode} {dirty}: {told:?}");
            };
            let load = GuestLoad {
                dirty: Some(PagesPerSec(dirty)),
                ..GuestLoad::default()
            };
            let predicted = predict(mode, MiB(1000), Some(&load), MiBPerSec(100));
            let near = |a: u64, b: u64| a.abs_diff(b) * 100 <= b.max(100);
            assert_eq!(after, switch);
            assert!(
                near(switch.0, predicted.switch.0),
                "{mode} {dirty}: {told:?} {predicted:?}"
            );
            assert!(
                near(total.0, predicted.total.0),
                "{mode} {dirty}: {told:?} {predicted:?}"
            );
            assert!(
                near(transferred.0, predicted.transfer.0),
                "{told:?} {predicted:?}"
            );
            assert_eq!(world.copies(&guest(0)), [(host(1), CopyState::Running)]);
        }
    }
}

#[test]
fn pre_copy_that_does_not_converge_is_given_up_and_the_guest_stays() {
    let (world, told) = story(Mode::PreCopy, 100_000, vec![]);
    assert_eq!(fate(&told), Some(Fate::AtSource));
    assert_eq!(world.copies(&guest(0)), [(host(0), CopyState::Running)]);
}

#[test]
fn a_death_costs_the_guest_only_where_its_memory_was() {
    use {Fate::*, Phase::*};
    let cases = [
        (Mode::PostCopy, Setup, 0, Some(Gone), true),
        (Mode::PostCopy, Setup, 1, Some(AtSource), false),
        (Mode::PostCopy, Fetch, 0, Some(Split), true),
        (Mode::PostCopy, Fetch, 1, Some(Split), true),
        (Mode::PostCopy, Fetch, 2, None, false),
        (Mode::PreCopy, Copy, 0, Some(Gone), true),
        (Mode::PreCopy, Copy, 1, Some(AtSource), false),
        (Mode::Hybrid, Copy, 1, Some(AtSource), false),
        // After one pass an idle guest has nothing left to fetch: hybrid ends in no time.
        (Mode::Hybrid, Fetch, 1, None, true),
    ];
    for (mode, phase, dies, expected, lost) in cases {
        let fault = in_phase(phase, Trouble::Dies(host(dies)));
        let (world, told) = story(mode, 0, vec![fault]);
        assert_eq!(fate(&told), expected, "{mode} {phase:?} {dies}");
        assert_eq!(world.lost(&guest(0)), lost, "{mode} {phase:?} {dies}");
        assert_eq!(told.contains(&Happening::Lost), lost);
    }
}

#[test]
fn a_link_that_is_down_for_long_splits_the_guest_and_heals_it_when_it_is_up() {
    let down = in_phase(Phase::Fetch, Trouble::LinkDown(host(1)));
    let (world, told) = story(Mode::PostCopy, 0, vec![down.clone()]);
    assert_eq!(fate(&told), Some(Fate::Split));
    let halves = [(host(0), CopyState::Failed), (host(1), CopyState::Failed)];
    assert_eq!(world.copies(&guest(0)), halves);
    assert!(!world.lost(&guest(0)));

    let up = |at| Fault {
        when: When::At(at),
        what: Trouble::LinkUp(host(1)),
    };
    let (world, told) = story(Mode::PostCopy, 0, vec![down.clone(), up(Micros::secs(100))]);
    assert_eq!(fate(&told), Some(Fate::Split));
    assert_eq!(told.last(), Some(&Happening::Healed));
    assert_eq!(world.copies(&guest(0)), [(host(1), CopyState::Running)]);

    let soon = LINK_TIMEOUT.saturating_sub(Micros::secs(1));
    let (_, told) = story(Mode::PostCopy, 0, vec![down, up(soon)]);
    assert_eq!(fate(&told), None);
    assert!(matches!(told.last(), Some(Happening::Ended(r)) if r.total > soon));
}

#[test]
fn concurrent_migrations_share_the_link() {
    let (cluster, load) = cluster(3, &[(0, 1000, 0), (0, 1000, 0)]);
    let mut world = World::new(&cluster, &load, &exact(vec![]));
    for g in 0..2 {
        let r = request(g, 0, g + 1, Mode::PostCopy);
        world.start_migration(r).unwrap();
    }
    let told = world.step_until(Micros::secs(60));
    let totals: Vec<Micros> = told
        .iter()
        .filter_map(|e| match &e.what {
            Happening::Ended(r) => Some(r.total),
            _ => None,
        })
        .collect();
    // Twice 1000 MiB over one link of 100 MiB/s, after the set-up.
    assert_eq!(totals, [Micros::millis(20_600), Micros::millis(20_600)]);
}

#[test]
fn what_cannot_begin_is_refused_and_changes_nothing() {
    let (cluster, load) = cluster(3, &[(0, 1000, 0), (1, 65_000, 0)]);
    let refuses = Fault {
        when: When::At(Micros::ZERO),
        what: Trouble::Refuses(host(2)),
    };
    let mut world = World::new(&cluster, &load, &exact(vec![refuses]));
    world.step_until(Micros::ZERO);
    let mut start = |from, to| world.start_migration(request(0, from, to, Mode::PostCopy));
    assert_eq!(start(1, 2), Err(Refusal::NotThere(guest(0), host(1))));
    assert!(matches!(
        start(0, 1),
        Err(Refusal::NoRoom { free: MiB(536), .. })
    ));
    assert_eq!(start(0, 7), Err(Refusal::Unreachable(host(7))));
    assert_eq!(start(0, 0), Err(Refusal::Refused(host(0))));
    assert_eq!(start(0, 2), Err(Refusal::Refused(host(2))));
    assert!(start(0, 2).is_ok());
    assert_eq!(start(0, 2), Err(Refusal::Busy(guest(0))));
    assert!(world.abort(&guest(0), &host(0)));
    assert_eq!(world.copies(&guest(0)), [(host(0), CopyState::Running)]);
    assert!(!world.abort(&guest(0), &host(0)));
}

/// One thing asked of a world.
#[derive(Debug, Clone)]
enum Act {
    Pass(u64),
    Move(usize, usize, Mode, Option<u64>, u64),
    Abort(usize, usize),
    Fault(u64, Trouble),
}

fn act() -> impl Strategy<Value = Act> {
    let mode = prop_oneof![
        1 => Just(Mode::PreCopy),
        1 => Just(Mode::Hybrid),
        3 => Just(Mode::PostCopy)
    ];
    let trouble = (0usize..4, 0u32..20).prop_map(|(h, kind)| match kind {
        0..2 => Trouble::Dies(host(h)),
        2..7 => Trouble::LinkDown(host(h)),
        7..13 => Trouble::LinkUp(host(h)),
        13..17 => Trouble::LinkSlow(host(h), Permille(300)),
        _ => Trouble::Refuses(host(h)),
    });
    prop_oneof![
        4 => (0u64..40_000).prop_map(Act::Pass),
        4 => (0usize..6, 0usize..4, mode, prop::option::of(1u64..80), 1u64..120)
            .prop_map(|(g, to, m, b, give_up)| Act::Move(g, to, m, b, give_up)),
        1 => (0usize..6, 0usize..4).prop_map(|(g, h)| Act::Abort(g, h)),
        2 => (0u64..20_000, trouble).prop_map(|(t, what)| Act::Fault(t, what)),
    ]
}

/// What must hold at any time; `most` is the memory that each host may carry.
fn judge(world: &World, guests: usize, most: &[MiB]) -> Result<(), TestCaseError> {
    for g in (0..guests).map(guest) {
        let copies = world.copies(&g);
        let running = copies.iter().filter(|c| c.1 == CopyState::Running).count();
        let outgoing = copies.iter().filter(|c| c.1 == CopyState::Outgoing).count();
        let failed = copies.iter().filter(|c| c.1 == CopyState::Failed).count();
        prop_assert!(running <= 1, "{g} runs twice: {copies:?}");
        prop_assert!(copies.iter().all(|c| world.alive(&c.0)), "{g}: {copies:?}");
        if world.lost(&g) {
            prop_assert_eq!(running + outgoing, 0);
        } else {
            // Whole at one host, or in two halves that are both there.
            prop_assert!(running == 1 || failed == 2, "{g}: {copies:?}");
            prop_assert!(outgoing <= 1 && copies.len() <= 2);
        }
    }
    for (h, most) in most.iter().enumerate() {
        prop_assert!(world.memory_taken(&host(h)) <= *most);
    }
    Ok(())
}

fn live(acts: &[Act], guests: &[(usize, u64, u64)]) -> Result<Vec<Event>, TestCaseError> {
    let (cluster, load) = cluster(4, guests);
    let mut world = World::new(&cluster, &load, &Options::default());
    // No migration overfills a host; one may be too full from the start.
    let most: Vec<MiB> = (0..4)
        .map(|h| world.memory_taken(&host(h)).max(MiB(65_536)))
        .collect();
    let mut told = Vec::new();
    let mut begun = Vec::new();
    for act in acts {
        match act.clone() {
            Act::Pass(ms) => told.extend(world.step_until(world.now() + Micros::millis(ms))),
            Act::Move(g, to, mode, bandwidth, give_up) => {
                let at = world.copies(&guest(g)).into_iter().next();
                let from = at.map_or(host(0), |c| c.0);
                let r = Request {
                    from,
                    bandwidth: bandwidth.map(MiBPerSec),
                    give_up: Micros::secs(give_up),
                    ..request(g, 0, to, mode)
                };
                begun.extend(world.start_migration(r).ok());
            }
            Act::Abort(g, h) => {
                world.abort(&guest(g), &host(h));
            }
            Act::Fault(ms, what) => world.add_fault(world.now() + Micros::millis(ms), what),
        }
        judge(&world, guests.len(), &most)?;
    }
    told.extend(world.step_until(world.now() + Micros::secs(100_000)));
    judge(&world, guests.len(), &most)?;
    prop_assert!(
        told.windows(2).all(|e| e[0].at <= e[1].at),
        "the clock runs backwards"
    );
    for id in begun {
        let of = |f: fn(&Happening) -> bool| {
            told.iter()
                .filter(|e| e.migration == Some(id) && f(&e.what))
                .count()
        };
        let ended = of(|h| matches!(h, Happening::Ended(_)));
        let failed = of(|h| matches!(h, Happening::Failed(_)));
        let switched = of(|h| matches!(h, Happening::Switched { .. }));
        prop_assert_eq!(ended + failed, 1, "each migration ends once");
        prop_assert!(switched <= 1 && ended <= switched);
    }
    for g in (0..guests.len()).map(guest) {
        let lost = told
            .iter()
            .filter(|e| e.guest == g && e.what == Happening::Lost)
            .count();
        prop_assert_eq!(lost == 1, world.lost(&g));
        let died = acts
            .iter()
            .any(|a| matches!(a, Act::Fault(_, Trouble::Dies(_))));
        prop_assert!(lost == 0 || died, "lost without a death");
    }
    Ok(told)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_history_runs_a_guest_twice_or_loses_one_without_cause(
        acts in prop::collection::vec(act(), 1..40),
        guests in prop::collection::vec((0usize..4, 1u64..20_000, 0u64..60_000), 1..6),
    ) {
        // The same acts make the same history.
        prop_assert_eq!(live(&acts, &guests)?, live(&acts, &guests)?);
    }
}
