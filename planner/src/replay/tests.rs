use vmpack_domain::units::Micros;
use vmpack_sim::fleet::{Fleet, Told};

use super::*;
use crate::import::planetlab::{self, INTERVAL, Setup, Trace};

/// So many made guests whose demand wanders, the same on every machine.
fn traces(guests: usize, looks: usize) -> Vec<Trace> {
    let mut rng = crate::rng::Rng::new(7, 1);
    (0..guests)
        .map(|g| {
            let mut level = rng.unit() * 0.4;
            let values = (0..looks).map(|_| {
                level = (level + (rng.unit() - 0.5) * 0.1).clamp(0.01, 0.9);
                (level * 100.0).round() / 100.0
            });
            Trace {
                name: format!("t{g:03}"),
                values: values.collect(),
            }
        })
        .collect()
}

fn fleet(memory: bool) -> Fleet {
    let setup = Setup {
        hosts: 40,
        memory,
        ..Setup::default()
    };
    planetlab::fleet(&traces(60, 72), &setup)
}

const SPAN: Micros = Micros::secs(72 * 300);

fn run(name: &str, memory: bool) -> Outcome {
    let mut policy = policy(name, None).expect("a policy");
    replay(fleet(memory), &mut *policy, SPAN, &mut Unwatched)
}

struct Record(Vec<Told>, u64);

impl Watch for Record {
    fn looked(&mut self, _: &Fleet, done: u64, of: u64) {
        assert!(done <= of);
        self.1 = done;
    }
    fn happened(&mut self, _: &Fleet, told: &[Told]) {
        self.0.extend_from_slice(told);
    }
    fn wants_events(&self) -> bool {
        true
    }
}

#[test]
fn two_replays_are_equal_in_outcome_and_events() {
    for name in ["lr-mmt", "lr-mc", "vmpack"] {
        let once = || {
            let mut record = Record(Vec::new(), 0);
            let mut policy = policy(name, None).expect("a policy");
            let outcome = replay(fleet(false), &mut *policy, SPAN, &mut record);
            (outcome, record.0, record.1)
        };
        let (outcome, told, looks) = once();
        assert_eq!(looks, 71, "looks at 300.1 s and so on");
        assert!(!told.is_empty());
        assert_eq!((outcome, told, looks), once());
    }
}

#[test]
fn all_hosts_at_full_power_draw_what_their_curves_say() {
    let outcome = run("none", false);
    // 20 of each kind, until the last look.
    let hours = (71.0 * 300.0 + 0.1) / 3600.0;
    assert!((outcome.kwh - 20.0 * (117.0 + 135.0) / 1000.0 * hours).abs() < 1e-9);
    assert_eq!((outcome.migrations, outcome.refused), (0, 0));
}

#[test]
fn policies_save_energy_in_the_order_that_the_field_knows() {
    let kwh = |name| run(name, false).kwh;
    assert!(kwh("dvfs") < kwh("none"));
    for name in ["thr-mmt", "iqr-mmt", "mad-mmt", "lr-mmt", "lr-mc", "ff-mmt"] {
        assert!(kwh(name) < kwh("dvfs"), "{name}");
    }
    let (ours, theirs) = (run("vmpack", false), run("lr-mmt", false));
    assert!(ours.kwh < theirs.kwh && ours.migrations < theirs.migrations);
}

#[test]
fn no_host_holds_more_than_its_memory_where_that_counts() {
    struct Judge;
    impl Watch for Judge {
        fn looked(&mut self, _: &Fleet, _: u64, _: u64) {}
        fn happened(&mut self, fleet: &Fleet, _: &[Told]) {
            for h in 0..fleet.hosts().len() {
                let of = |g: &usize| fleet.guests()[*g].memory.0;
                let used: u64 = fleet.guests_on(h).iter().map(of).sum();
                assert!(used <= fleet.hosts()[h].memory.0);
            }
        }
        fn wants_events(&self) -> bool {
            true
        }
    }
    for name in ["lr-mmt", "vmpack"] {
        let mut policy = policy(name, None).expect("a policy");
        let outcome = replay(fleet(true), &mut *policy, SPAN, &mut Judge);
        assert!(outcome.migrations > 0, "{name}");
        assert_eq!(outcome.refused, 0, "{name} asks for what cannot be");
    }
}

#[test]
fn a_policy_that_sees_only_the_past_does_the_same_whatever_comes() {
    let half = SPAN.0 / 2;
    for name in ["lr-mmt", "vmpack"] {
        let until_half = |doubled: bool| {
            let mut traces = traces(60, 72);
            if doubled {
                for trace in &mut traces {
                    for v in &mut trace.values[37..] {
                        *v = (*v * 2.0).min(1.0);
                    }
                }
            }
            let setup = Setup {
                hosts: 40,
                ..Setup::default()
            };
            let mut record = Record(Vec::new(), 0);
            let fleet = planetlab::fleet(&traces, &setup);
            let mut policy = policy(name, None).expect("a policy");
            replay(fleet, &mut *policy, SPAN, &mut record);
            record.0.retain(|t| t.at.0 < half);
            record.0
        };
        let seen = until_half(false);
        assert!(!seen.is_empty());
        assert_eq!(seen, until_half(true), "{name}");
    }
}

#[test]
fn a_guest_that_rests_leaves_in_cloudsims_world_only() {
    let mut traces = traces(8, 72);
    for v in &mut traces[0].values[30..40] {
        *v = 0.0;
    }
    let left = |resting_stay| {
        let setup = Setup {
            hosts: 8,
            resting_stay,
            ..Setup::default()
        };
        let mut record = Record(Vec::new(), 0);
        let mut policy = policy("dvfs", None).expect("a policy");
        let fleet = planetlab::fleet(&traces, &setup);
        replay(fleet, &mut *policy, SPAN, &mut record);
        let left = |t: &&Told| matches!(t.what, vmpack_sim::fleet::What::Left { guest: 0 });
        record.0.iter().find(left).map(|t| t.at)
    };
    assert_eq!(left(false), Some(Micros(30 * INTERVAL.0 + 100_000)));
    assert_eq!(left(true), None);
}

#[test]
fn names_of_policies_are_read_with_and_without_numbers() {
    let none = crate::whatif::Scene {
        cluster: Default::default(),
        load: Default::default(),
        policy: Default::default(),
    };
    for name in NAMES.split(", ") {
        assert!(policy(name, Some(&none)).is_ok(), "{name}");
    }
    assert!(policy("plan-30m", Some(&none)).is_ok());
    let alone = policy("plan", None).err();
    assert_eq!(alone, Some(NoPolicy::NeedsCluster("plan".into())));
    for name in ["npa", "thr-mmt", "lr-mc-1.3", "vmpack-0.5", "vmpack-1-3"] {
        assert!(policy(name, None).is_ok(), "{name}");
    }
    for name in [
        "",
        "lr",
        "lr-x",
        "lr-mmt-x",
        "lr-mmt--1",
        "vmpackx",
        "planx",
        "plan-",
        "plan-0s",
        "vmpack-1-2-3",
        "thr-mmt-nan",
    ] {
        assert!(policy(name, Some(&none)).is_err(), "{name}");
    }
}

#[test]
fn hosts_that_wake_slowly_cost_more_and_lose_nothing() {
    let of = |wake| {
        let setup = Setup {
            hosts: 40,
            wake,
            ..Setup::default()
        };
        let fleet = planetlab::fleet(&traces(60, 72), &setup);
        let mut policy = policy("lr-mmt", None).expect("a policy");
        let mut record = Record(Vec::new(), 0);
        let outcome = replay(fleet, &mut *policy, SPAN, &mut record);
        (outcome, record.0)
    };
    let (at_once, _) = of(None);
    let (slow, told) = of(Some(Micros::secs(120)));
    assert!(slow.kwh > at_once.kwh && slow.host_hours > at_once.host_hours);
    let woken = |t: &&Told| matches!(t.what, vmpack_sim::fleet::What::Woken { .. });
    assert!(told.iter().any(|t| woken(&t)), "nothing was woken");
}

#[test]
fn guests_of_a_host_that_dies_start_anew_and_failing_migrations_are_counted() {
    let setup = Setup {
        hosts: 40,
        failing: vmpack_domain::units::Permille(100),
        deaths: vec![(Micros::secs(6000), 1)],
        ..Setup::default()
    };
    for name in ["lr-mmt", "vmpack"] {
        let fleet = planetlab::fleet(&traces(60, 72), &setup);
        let mut policy = policy(name, None).expect("a policy");
        struct Last(usize);
        impl Watch for Last {
            fn looked(&mut self, _: &Fleet, _: u64, _: u64) {}
            fn happened(&mut self, fleet: &Fleet, _: &[Told]) {
                let runs = |g: &usize| fleet.at(*g).is_some() || fleet.has_left(*g);
                self.0 = (0..fleet.guests().len()).filter(runs).count();
            }
            fn wants_events(&self) -> bool {
                true
            }
        }
        let mut last = Last(0);
        let outcome = replay(fleet, &mut *policy, SPAN, &mut last);
        assert_eq!(last.0, 60, "{name}: all run again");
        assert!(
            outcome.failed > 0 && outcome.failed < outcome.migrations,
            "{name}"
        );
    }
}

/// Eight guests fill one of the hosts; the others sleep when it dies.
#[test]
fn guests_of_a_host_that_dies_wake_another_and_start_there() {
    let still: Vec<Trace> = (0..8)
        .map(|g| Trace {
            name: format!("t{g}"),
            values: vec![0.1; 72],
        })
        .collect();
    let mut setup = Setup {
        hosts: 20,
        wake: Some(Micros::secs(60)),
        resting_stay: true,
        ..Setup::default()
    };
    let run = |setup: &Setup| {
        let mut record = Record(Vec::new(), 0);
        let mut policy = policy("vmpack", None).expect("a policy");
        let fleet = planetlab::fleet(&still, setup);
        (replay(fleet, &mut *policy, SPAN, &mut record), record.0)
    };
    let (_, told) = run(&setup);
    let at = Micros::secs(3 * 3600);
    let last = told.iter().rev().find_map(|t| match t.what {
        vmpack_sim::fleet::What::Ended { to, .. } if t.at < at => Some(to),
        _ => None,
    });
    setup.deaths = vec![(at, last.expect("it packed"))];
    let (outcome, told) = run(&setup);
    assert!(outcome.lost > 0);
    assert_eq!((outcome.waiting, outcome.left), (0, 0));
    let anew = told.iter().filter(|t| {
        let is_start = matches!(t.what, vmpack_sim::fleet::What::Started { .. });
        is_start && t.at >= at
    });
    let times: Vec<Micros> = anew.map(|t| t.at).collect();
    assert_eq!(times.len() as u64, outcome.lost);
    assert!(
        times.iter().all(|t| *t <= at + Micros::secs(60)),
        "{times:?}"
    );
}
