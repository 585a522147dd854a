use vmpack_domain::load::{CpuLoad, GuestLoad, Windows, jiff_serde::Timestamp};
use vmpack_domain::rule::{Over, Rule, RuleKind};
use vmpack_domain::units::{MiB, MiBPerSec};
use vmpack_domain::{Load, Policy};
use vmpack_sim::fleet::{Power, Told, What};

use super::*;
use crate::import;
use crate::replay::{Outcome, Watch, policy, replay};

fn host(name: &str) -> Host {
    Host {
        network: MiBPerSec(1250),
        ..import::host(
            name.parse().expect("a name"),
            MilliCores::cores(8),
            MiB(65_536),
        )
    }
}

fn guest(name: &str, host: Option<&str>) -> Guest {
    let host = host.map(|h| h.parse().expect("a name"));
    import::guest(name.parse().expect("a name"), 4, MiB(4096), host)
}

fn windows(start: i64, values: impl IntoIterator<Item = u64>) -> GuestLoad {
    let start = jiff::Timestamp::from_second(start).expect("a time");
    GuestLoad {
        cpu: Some(CpuLoad {
            windows: Some(Windows {
                start: Timestamp(start),
                step: Micros::secs(300),
                values: values.into_iter().map(MilliCores).collect(),
            }),
            ..CpuLoad::default()
        }),
        ..GuestLoad::default()
    }
}

fn setup() -> Setup {
    Setup {
        watts: (100.0, 300.0),
        wake: Micros::secs(60),
        failing: Permille(0),
        seed: 1,
        deaths: Vec::new(),
    }
}

/// Four hosts with two guests each that want half a core, for six hours; from the fourth hour on those of
/// the first host want all their vCPUs.
fn scene() -> Scene {
    let mut scene = Scene {
        cluster: Cluster::default(),
        load: Load::default(),
        policy: Policy::default(),
    };
    for h in 0..4 {
        scene.cluster.hosts.push(host(&format!("h{h}")));
        for g in 0..2 {
            let guest = guest(&format!("g{h}{g}"), Some(&format!("h{h}")));
            let late = if h == 0 { 4000 } else { 500 };
            let values = (0..72).map(|i| if i < 48 { 500 } else { late });
            scene
                .load
                .guests
                .insert(guest.name.clone(), windows(0, values));
            scene.cluster.guests.push(guest);
        }
    }
    scene
}

#[derive(Default)]
struct Seen {
    told: Vec<Told>,
    /// Where all guests were at each time that anything was told.
    at: Vec<Vec<Option<usize>>>,
    awake: Vec<usize>,
}

impl Watch for Seen {
    fn looked(&mut self, fleet: &Fleet, _: u64, _: u64) {
        let hosts = 0..fleet.hosts().len();
        let awake = hosts.filter(|h| fleet.power(*h) == Power::On).count();
        self.awake.push(awake);
        self.at
            .push((0..fleet.guests().len()).map(|g| fleet.at(g)).collect());
    }
    fn happened(&mut self, _: &Fleet, told: &[Told]) {
        self.told.extend_from_slice(told);
    }
    fn wants_events(&self) -> bool {
        true
    }
}

fn replayed(scene: &Scene, setup: &Setup, name: &str) -> (Outcome, Seen) {
    let own = own(scene, setup).expect("a fleet");
    let mut policy = policy(name, Some(&own.scene)).expect("a policy");
    let mut seen = Seen::default();
    let outcome = replay(own.fleet, &mut *policy, own.until, &mut seen);
    (outcome, seen)
}

#[test]
fn guests_start_where_they_are_and_stay_under_none() {
    let (outcome, seen) = replayed(&scene(), &setup(), "none");
    assert_eq!(seen.at.len(), 72);
    let start: Vec<_> = (0..8).map(|g| Some(g / 2)).collect();
    assert!(seen.at.iter().all(|at| *at == start));
    assert_eq!(outcome.migrations, 0);
    // Four hosts at full power for six hours.
    assert!(
        (outcome.kwh - 4.0 * 0.3 * 6.0).abs() < 1e-9,
        "{}",
        outcome.kwh
    );
}

#[test]
fn plans_pack_and_relief_ends_what_comes_then() {
    let (outcome, seen) = replayed(&scene(), &setup(), "plan-1h");
    // After an hour all eight are on one host; nothing was known before.
    assert!(seen.at[..12].iter().all(|at| at[7] == Some(3)));
    let packed = &seen.at[20];
    assert!(packed.iter().all(|at| *at == packed[0]), "{packed:?}");
    assert_eq!(seen.awake[20], 1);
    // Two rise to eight cores in all, of 8: relief wakes a host, and the overload ends.
    let hot = |t: &&Told| matches!(t.what, What::Overloaded { .. });
    let cool = |t: &&Told| matches!(t.what, What::Relieved { .. });
    let began = seen.told.iter().find(hot).expect("an overload").at;
    let over = seen.told.iter().find(cool).expect("its end").at;
    assert_eq!(began, Micros::secs(48 * 300));
    let first = seen.told.iter().find(|t| {
        let moves = matches!(t.what, What::Began { .. } | What::Woken { .. });
        moves && t.at >= began
    });
    assert_eq!(
        first.map(|t| t.at),
        Some(began + NOTICE),
        "no sooner than it is seen"
    );
    assert!(over < began + Micros::secs(90), "{over:?}");
    let slow = replayed(&scene(), &setup(), "dvfs").0;
    assert!(outcome.kwh < slow.kwh, "{} {}", outcome.kwh, slow.kwh);
    let again = replayed(&scene(), &setup(), "plan-1h");
    assert_eq!((outcome, seen.told), (again.0, again.1.told));
}

#[test]
fn a_plan_keeps_the_rules_of_the_policy_file() {
    let mut scene = scene();
    scene.cluster.hosts[2].never_sleep = true;
    scene.policy.rules.push(Rule {
        name: "apart".into(),
        kind: RuleKind::Spread {
            guests: vec!["g00".into(), "g01".into()],
            over: Over::Host,
        },
    });
    let (_, seen) = replayed(&scene, &setup(), "plan-1h");
    let packed = &seen.at[30];
    assert_ne!(packed[0], packed[1]);
    assert_eq!(
        seen.awake[30], 2,
        "the host that never sleeps is one of them"
    );
}

#[test]
fn what_a_host_keeps_for_itself_slows_no_guest() {
    let mut scene = scene();
    scene.cluster.hosts[0].cpu = MilliCores(7500);
    scene.cluster.hosts[0].reserve.cpu = MilliCores(1000);
    let own = own(&scene, &setup()).expect("a fleet");
    let host = &own.fleet.hosts()[0];
    assert!((host.capacity() - 6500.0).abs() < 1e-9 && (host.core - 1000.0).abs() < 1e-9);
}

/// Two packed hosts whose guests all rise at once: two hosts are woken at one moment, and guests go to both.
#[test]
fn hosts_that_wake_together_all_get_their_guests() {
    let mut scene = scene();
    for load in scene.load.guests.values_mut() {
        let windows = load.cpu.as_mut().and_then(|c| c.windows.as_mut());
        let values = &mut windows.expect("windows").values;
        values
            .iter_mut()
            .skip(48)
            .for_each(|v| *v = MilliCores(3000));
    }
    let (outcome, seen) = replayed(&scene, &setup(), "plan-1h");
    let woken = seen
        .told
        .iter()
        .filter(|t| matches!(t.what, What::Woken { .. }));
    assert!(woken.count() >= 2, "{:?}", seen.told);
    assert_eq!(outcome.refused, 0);
    let cool = |t: &&Told| matches!(t.what, What::Relieved { .. });
    assert!(seen.told.iter().any(|t| cool(&t)));
}

#[test]
fn guests_of_a_host_that_dies_start_anew_and_plans_go_on() {
    let mut dying = setup();
    dying.deaths = vec![(Micros::secs(600), "h1".parse().expect("a name"))];
    let (outcome, seen) = replayed(&scene(), &dying, "plan-1h");
    assert!(seen.told.iter().any(|t| t.what == What::Died { host: 1 }));
    for at in &seen.at[3..] {
        assert!(at.iter().all(|a| a.is_some_and(|h| h != 1)), "{at:?}");
    }
    assert!(outcome.migrations > 0);
    dying.deaths[0].1 = "h9".parse().expect("a name");
    let error = own(&scene(), &dying).expect_err("no such host");
    assert_eq!(
        error.to_string(),
        "read the host `h9`, expected one of the cluster that takes guests"
    );
}

#[test]
fn what_was_not_recorded_is_constant_and_what_began_late_is_held_before() {
    let mut scene = scene();
    scene.cluster.hosts[3].state = HostState::Out;
    let late = scene.cluster.guests[0].name.clone();
    scene.load.guests.insert(late, windows(600, [1000, 2000]));
    let unknown = scene.cluster.guests[1].name.clone();
    scene.load.guests.remove(&unknown);
    let own = own(&scene, &setup()).expect("a fleet");
    assert_eq!((own.constant, own.left_out.len()), (1, 1));
    assert_eq!(own.until, Micros::secs(72 * 300));
    let mut fleet = own.fleet;
    fleet.begin_at(Micros::ZERO);
    assert_eq!((fleet.want(0), fleet.want(1)), (1000.0, 4000.0));
    assert_eq!(fleet.at(7), None, "its host is left out");
    while fleet.go_on(Micros::secs(900)).is_some() {}
    assert_eq!(fleet.want(0), 2000.0);
}

#[test]
fn series_of_different_steps_and_none_at_all_are_refused() {
    let mut scene = scene();
    let other = scene.load.guests.values_mut().nth(1).expect("a guest");
    let windows = other.cpu.as_mut().and_then(|c| c.windows.as_mut());
    windows.expect("windows").step = Micros::secs(60);
    let error = own(&scene, &setup()).expect_err("two steps");
    assert_eq!(
        error.to_string(),
        "windows of g00 are 300s long and those of g01 60s, expected equal ones"
    );
    scene.load.guests.clear();
    assert_eq!(own(&scene, &setup()).err(), Some(OwnError::NoWindows));
}
