use std::path::PathBuf;

use vmpack_domain::cluster::Cluster;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::plan::{Mode, MoveId, Plan};
use vmpack_domain::{GuestName, Load};
use vmpack_hypervisor::Hypervisor;
use vmpack_hypervisor::sim::{self, Fault, Phase, Trouble, When};
use vmpack_hypervisor::simulated::Simulated;

use super::*;
use crate::decide::Limits;
use crate::fixture::{a_move, cluster, plan};
use crate::holder::{Handle, channel};
use crate::world::World;

mod others;
mod unwatched;

/// Two guests leave h1 one after the other for h2, a third leaves h3 on its own.
fn three(hosts: &Cluster) -> Plan {
    let mut second = a_move("m2", "b", "h1", "h2");
    second.after = vec![MoveId("m1".to_owned())];
    plan(
        hosts,
        vec![
            a_move("m1", "a", "h1", "h2"),
            second,
            a_move("m3", "c", "h3", "h2"),
        ],
    )
}

fn three_hosts() -> Cluster {
    cluster(
        &["h1", "h2", "h3"],
        &[("a", "h1"), ("b", "h1"), ("c", "h3"), ("d", "h2")],
    )
}

const LIMITS: Limits = Limits {
    parallel: 1,
    per_host: 3,
    tries: 2,
    back_off: Micros(1000),
    recoveries: 3,
    patience: Micros(1000),
    canary: 0,
    stop_after: 0,
    verify: true,
};

/// A journal in a folder of its own.
struct Desk {
    _folder: tempfile::TempDir,
    journal: PathBuf,
    state: PathBuf,
    inhibit: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            journal: folder.path().join("journal.db"),
            state: folder.path().join("world.yaml"),
            inhibit: folder.path().join("inhibit"),
            _folder: folder,
        }
    }

    fn events(&self) -> Vec<Event> {
        let journal = Journal::open(&self.journal).unwrap();
        let run = journal.newest().unwrap();
        run.map_or_else(Vec::new, |r| {
            r.entries.into_iter().map(|e| e.event).collect()
        })
    }

    /// From now on the disk has room for so many events in all.
    fn fill_after(&self, events: usize) {
        Journal::open(&self.journal).unwrap();
        let trigger = format!(
            "CREATE TRIGGER full BEFORE INSERT ON event WHEN (SELECT count(*) FROM event) >= {events}
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        );
        self.sql(&trigger);
    }

    fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(&self.journal).unwrap();
        connection.execute_batch(text).unwrap();
    }
}

fn scene(hypervisor: Arc<dyn Hypervisor>) -> Scene {
    Scene {
        hypervisor,
        controller: "test".to_owned(),
        wall: || Timestamp(jiff::Timestamp::UNIX_EPOCH),
        keeps_hours: true,
    }
}

fn simulated(hosts: &Cluster, faults: Vec<Fault>) -> Simulated {
    let options = sim::Options {
        faults,
        ..sim::Options::default()
    };
    Simulated::new(hosts.clone(), Load::default(), options)
}

fn world(hosts: &Cluster) -> World {
    World::Simulated {
        cluster: hosts.clone(),
        load: Load::default(),
        seed: 1,
        speed_up: None,
    }
}

/// Carries on from where the journal says the runs stand. `hear` may ask through its handle. The
/// progress is that of the newest run.
fn run(
    desk: &Desk,
    scene: &Scene,
    limits: &Limits,
    mut hear: impl FnMut(&Heard<'_>, &Handle),
) -> Result<Progress, JournalError> {
    let mut journal = Journal::open(&desk.journal)?;
    let runs = journal.unfinished()?;
    let (handle, mut asks) = channel();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let terms = Terms {
        world: runs[0].world.clone(),
        limits: &|_| *limits,
        stays: false,
        inhibit: desk.inhibit.clone(),
    };
    let hear: &mut dyn FnMut(Heard<'_>) = &mut |heard| hear(&heard, &handle);
    let ended = hold(scene, &runs, &terms, &mut journal, &mut asks, hear);
    let ended = runtime.block_on(ended)?;
    Ok(ended.into_values().next_back().unwrap())
}

/// Accepts the plan and carries it out in a world with those faults.
fn carried(
    hosts: &Cluster,
    plan: &Plan,
    faults: Vec<Fault>,
    limits: &Limits,
) -> (Progress, Cluster) {
    let (progress, now, _) = carried_in(hosts, plan, simulated(hosts, faults), limits);
    (progress, now)
}

/// Accepts the plan and carries it out in that world; the events besides.
fn carried_in(
    hosts: &Cluster,
    plan: &Plan,
    world_of: Simulated,
    limits: &Limits,
) -> (Progress, Cluster, Vec<Event>) {
    let desk = Desk::new();
    let scene = scene(Arc::new(world_of));
    let mut journal = Journal::open(&desk.journal).unwrap();
    journal
        .accept(plan, None, Priority::Consolidation, &world(hosts))
        .unwrap();
    let progress = run(&desk, &scene, limits, |_, _| {}).unwrap();
    assert_eq!(
        progress,
        Progress::fold(&desk.events()),
        "the journal says the same"
    );
    let now = scene
        .hypervisor
        .snapshot()
        .unwrap_or_else(|_| Cluster::default());
    (progress, now, desk.events())
}

fn words(progress: &Progress) -> Vec<String> {
    let word = |s: &MoveState| {
        format!("{s:?}")
            .split([' ', '{'])
            .next()
            .unwrap()
            .to_owned()
    };
    progress.moves.values().map(word).collect()
}

fn fault(guest: &str, phase: Phase, what: Trouble) -> Fault {
    Fault {
        when: When::Phase {
            guest: guest.parse::<GuestName>().unwrap(),
            phase,
            after: Micros::millis(100),
        },
        what,
    }
}

fn host_name(name: &str) -> HostName {
    name.parse().unwrap()
}

#[test]
fn a_plan_is_carried_out_to_its_target() {
    let hosts = three_hosts();
    let plan = three(&hosts);
    for parallel in [1, 3] {
        let limits = Limits { parallel, ..LIMITS };
        let (progress, now) = carried(&hosts, &plan, vec![], &limits);
        assert_eq!(progress.finished, Some(true));
        assert_eq!(now.placement(), plan.target);
        assert_eq!(now.hosts_in_use(), plan.hosts.after);
        for state in progress.moves.values() {
            let MoveState::Moved {
                switch: Some(switch),
                total: Some(total),
                health: Some(_),
            } = state
            else {
                panic!("{state:?}");
            };
            assert!(switch.0 > 0 && switch < total);
        }
    }
}

#[test]
fn a_refused_migration_is_tried_again_and_then_given_up_with_its_dependents() {
    let hosts = three_hosts();
    let mut plan = three(&hosts);
    plan.moves[2].after = vec![MoveId("m2".to_owned())];
    // Time begins with the first migration, so it is the second one that is refused.
    let refuses = Fault {
        when: When::At(Micros::ZERO),
        what: Trouble::Refuses(host_name("h2")),
    };
    let (progress, now) = carried(&hosts, &plan, vec![refuses.clone()], &LIMITS);
    assert_eq!(progress.finished, Some(true));
    assert_eq!(now.placement(), plan.target);
    let faults = vec![refuses.clone(), refuses];
    let (progress, now) = carried(&hosts, &plan, faults, &LIMITS);
    assert_eq!(words(&progress), ["Moved", "Failed", "Skipped"]);
    assert_eq!(progress.finished, Some(false));
    assert_eq!(now.placement()["b"], host_name("h1"));
}

#[test]
fn a_guest_in_split_state_is_resumed_when_the_link_is_back() {
    let hosts = three_hosts();
    let down = fault("a", Phase::Fetch, Trouble::LinkDown(host_name("h1")));
    let up = Fault {
        when: When::At(Micros::secs(32)),
        what: Trouble::LinkUp(host_name("h1")),
    };
    for heals in [true, false] {
        let options = sim::Options {
            faults: vec![down.clone(), up.clone()],
            heals,
            ..sim::Options::default()
        };
        let world = Simulated::new(hosts.clone(), Load::default(), options);
        let limits = Limits {
            back_off: Micros::secs(1),
            ..LIMITS
        };
        let (progress, now, events) = carried_in(&hosts, &three(&hosts), world, &limits);
        assert_eq!(words(&progress), ["Moved", "Moved", "Moved"]);
        assert_eq!(now.placement(), three(&hosts).target);
        let broke = events.iter().any(|e| matches!(e, Event::Broken { .. }));
        let asked = events.iter().any(|e| matches!(e, Event::Recovering { .. }));
        assert!(broke && asked, "{events:?}");
    }
}

#[test]
fn a_guest_that_stays_in_split_state_is_left_to_a_person() {
    let hosts = three_hosts();
    let faults = vec![fault("a", Phase::Fetch, Trouble::LinkDown(host_name("h1")))];
    let (progress, _) = carried(&hosts, &three(&hosts), faults, &LIMITS);
    assert_eq!(words(&progress), ["Stuck", "Skipped", "Skipped"]);
    let Some(MoveState::Stuck { detail }) = progress.moves.values().next() else {
        panic!("{progress:?}");
    };
    let says = ["destroy neither side", "asked to be resumed 3 times"];
    assert!(says.iter().all(|s| detail.contains(s)), "{detail}");
}

#[test]
fn a_loss_is_named_with_its_cause() {
    let hosts = three_hosts();
    for (phase, at, says) in [
        (Phase::Fetch, "h1", "QEMU of its source on h1 died"),
        (Phase::Fetch, "h2", "QEMU of its target on h2 died"),
        (Phase::Setup, "h1", "its QEMU on h1 died"),
    ] {
        let dies = Trouble::QemuDies("a".parse().unwrap(), host_name(at));
        let faults = vec![fault("a", phase, dies)];
        let (progress, now) = carried(&hosts, &three(&hosts), faults, &LIMITS);
        assert_eq!(words(&progress), ["Lost", "Skipped", "Skipped"]);
        let Some(MoveState::Lost { cause }) = progress.moves.values().next() else {
            panic!("{progress:?}");
        };
        assert!(cause.contains(says), "{cause}");
        assert_eq!(now.placement()["b"], host_name("h1"));
    }
}

#[test]
fn a_host_that_dies_ends_the_run() {
    let hosts = three_hosts();
    for (phase, host, first) in [
        (Phase::Setup, "h2", "Failed"),
        (Phase::Fetch, "h2", "Stuck"),
        (Phase::Fetch, "h1", "Stuck"),
    ] {
        let faults = vec![fault("a", phase, Trouble::Dies(host_name(host)))];
        let (progress, _) = carried(&hosts, &three(&hosts), faults, &LIMITS);
        assert_eq!(
            words(&progress)[0],
            first,
            "{host} in {phase:?}: {progress:?}"
        );
        assert_eq!(progress.finished, Some(false));
    }
}

#[test]
fn a_guest_that_moved_meanwhile_is_skipped_with_what_hangs_on_it() {
    let hosts = three_hosts();
    let plan = three(&hosts);
    let mut moved = hosts;
    moved.guests[0].host = Some(host_name("h3"));
    let (progress, now) = carried(&moved, &plan, vec![], &LIMITS);
    assert_eq!(words(&progress), ["Skipped", "Skipped", "Moved"]);
    assert_eq!(progress.finished, Some(false));
    assert_eq!(now.placement()["a"], host_name("h3"));
}

#[test]
fn a_crash_after_any_event_is_resumed_to_the_same_end() {
    let hosts = three_hosts();
    let plan = three(&hosts);
    for parallel in [1, 2] {
        let limits = Limits { parallel, ..LIMITS };
        // Accepted, three times intended, switched, moved and checked, finished.
        for events in 1..=13 {
            let desk = Desk::new();
            let mut journal = Journal::open(&desk.journal).unwrap();
            journal
                .accept(&plan, None, Priority::Consolidation, &world(&hosts))
                .unwrap();
            desk.fill_after(events);
            let first = scene(world(&hosts).open(&desk.state).unwrap());
            let error = run(&desk, &first, &limits, |_, _| {}).unwrap_err();
            assert!(error.to_string().contains("disk is full"), "{error}");
            assert_eq!(desk.events().len(), events, "no event is half written");
            drop(first);

            desk.sql("DROP TRIGGER full");
            let second = scene(world(&hosts).reopen(&desk.state).unwrap());
            let progress = run(&desk, &second, &limits, |_, _| {}).unwrap();
            assert_eq!(progress.finished, Some(true), "after {events} events");
            let now = second.hypervisor.snapshot().unwrap();
            assert_eq!(now.placement(), plan.target, "after {events} events");
        }
    }
}

#[test]
fn nothing_is_started_when_the_intent_cannot_be_written() {
    let hosts = three_hosts();
    let plan = three(&hosts);
    let desk = Desk::new();
    desk.fill_after(0);
    let mut journal = Journal::open(&desk.journal).unwrap();
    assert!(
        journal
            .accept(&plan, None, Priority::Consolidation, &world(&hosts))
            .is_err()
    );
    assert!(journal.newest().unwrap().is_none());

    desk.sql("DROP TRIGGER full");
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    desk.fill_after(1);
    let scene = scene(Arc::new(simulated(&hosts, vec![])));
    assert!(run(&desk, &scene, &LIMITS, |_, _| {}).is_err());
    assert_eq!(scene.hypervisor.now(), Micros::ZERO, "time stood still");
}

/// A world in which a migration takes so long that a test can step in.
fn slow(hosts: &Cluster) -> Arc<dyn Hypervisor> {
    Arc::new(simulated(hosts, vec![]).paced(1))
}

/// The plan, with pre-copy over a link of 100 MiB/s: twenty seconds before the switch.
fn slow_plan(hosts: &Cluster) -> Plan {
    let mut plan = three(hosts);
    for mv in &mut plan.moves {
        mv.mode = Mode::PreCopy;
        mv.bandwidth = vmpack_domain::units::MiBPerSec(100);
    }
    plan
}

fn is_intent(heard: &Heard<'_>) -> bool {
    matches!(heard, Heard::Entry(e) if matches!(e.event, Event::Intended { .. }))
}

#[test]
fn an_abort_calls_off_what_has_not_switched() {
    let hosts = three_hosts();
    let plan = slow_plan(&hosts);
    let desk = Desk::new();
    let mut journal = Journal::open(&desk.journal).unwrap();
    journal
        .accept(&plan, None, Priority::Consolidation, &world(&hosts))
        .unwrap();
    let scene = scene(slow(&hosts));
    let progress = run(&desk, &scene, &LIMITS, |heard, handle| {
        if is_intent(heard) {
            let _unheard = handle.abort(None, "test".into());
        }
    })
    .unwrap();
    assert!(progress.aborted);
    assert_eq!(progress.finished, Some(false));
    assert_eq!(words(&progress), ["Skipped", "Skipped", "Skipped"]);
    let now = scene.hypervisor.snapshot().unwrap();
    assert_eq!(now.placement(), hosts.placement());
}

#[test]
fn the_first_interrupt_drains_and_the_second_calls_off() {
    let hosts = three_hosts();
    let quick = three(&hosts);
    for (plan, times, states, hypervisor) in [
        (
            &quick,
            1,
            ["Moved", "Waiting", "Waiting"],
            Arc::new(simulated(&hosts, vec![])) as Arc<dyn Hypervisor>,
        ),
        (
            &slow_plan(&hosts),
            2,
            ["Waiting", "Waiting", "Waiting"],
            slow(&hosts),
        ),
    ] {
        let desk = Desk::new();
        let mut journal = Journal::open(&desk.journal).unwrap();
        journal
            .accept(plan, None, Priority::Consolidation, &world(&hosts))
            .unwrap();
        let first = scene(hypervisor);
        let progress = run(&desk, &first, &LIMITS, |heard, interrupt| {
            if is_intent(heard) {
                (0..times).for_each(|_| interrupt.interrupt());
            }
        })
        .unwrap();
        assert_eq!(words(&progress), states);
        assert_eq!(progress.finished, None);

        let left = first.hypervisor.snapshot().unwrap();
        let second = scene(Arc::new(simulated(&left, vec![])));
        let progress = run(&desk, &second, &LIMITS, |_, _| {}).unwrap();
        assert_eq!(progress.finished, Some(true));
        let now = second.hypervisor.snapshot().unwrap();
        assert_eq!(now.placement(), plan.target);
    }
}
