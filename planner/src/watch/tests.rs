//! The watch in closed loops: square waves at the loop's own periods, silence, and too much for all.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;
use vmpack_domain::check;
use vmpack_domain::plan::Move;

use super::*;

mod failed;
mod put_off;
mod surge;

const STEP: Micros = Micros::millis(100);
/// As measured: until execution is at the target, and until the source is free.
const SWITCH: Micros = Micros::millis(600);
const FETCH: Micros = Micros::secs(4);

/// Hosts of 10 cores and guests whose demand is a function of time; a migration switches and fetches.
struct Loop {
    watch: Watch,
    now: Micros,
    at: BTreeMap<GuestName, HostName>,
    moving: Vec<(Move, Micros)>,
    /// Guest, from, to, when.
    made: Vec<(GuestName, HostName, HostName, Micros)>,
    /// Σ overload × time, in milli-core-seconds.
    violation: u64,
    silent: BTreeSet<HostName>,
    /// How often something was decided.
    decided: usize,
    /// What is decided is told and not carried out.
    observes: bool,
    /// How often the probes speak.
    step: Micros,
}

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a plain name")
}

fn never_late() -> Limits<'static> {
    Limits {
        time: Micros::ZERO,
        nodes: None,
        seed: 1,
        threads: 1,
        stop: &|| false,
    }
}

impl Loop {
    fn new(hosts: usize, guests_each: usize) -> Self {
        let host = |h: usize| {
            json!({ "name": format!("h{h}"), "cpu": "10cores", "memory": "64GiB",
                    "network": "1250MiB/s", "state": "on" })
        };
        let guest = |g: usize| {
            json!({ "name": format!("g{g}"), "vcpus": 4, "memory": "4GiB",
                    "host": format!("h{}", g / guests_each) })
        };
        let cluster = json!({
            "hosts": (0..hosts).map(host).collect::<Vec<_>>(),
            "guests": (0..hosts * guests_each).map(guest).collect::<Vec<_>>(),
        });
        let cluster: Cluster = serde_json::from_value(cluster).expect("a cluster");
        let at = cluster.placement();
        Self {
            watch: Watch::new(cluster, Load::default(), Policy::default()),
            now: Micros::ZERO,
            at,
            moving: Vec::new(),
            made: Vec::new(),
            violation: 0,
            silent: BTreeSet::new(),
            decided: 0,
            observes: false,
            step: STEP,
        }
    }

    fn run(&mut self, until: Micros, demand: &dyn Fn(&str, Micros) -> u64) {
        while self.now < until {
            self.step(demand);
        }
    }

    fn step(&mut self, demand: &dyn Fn(&str, Micros) -> u64) {
        self.now += self.step;
        let now = self.now;
        let over = |(_, end): &(Move, Micros)| *end <= now;
        for (mv, _) in self.moving.extract_if(.., |m| over(m)).collect::<Vec<_>>() {
            let guest = mv.guest.clone();
            self.watch.hear(Heard::Ended { guest, moved: true }, now);
        }
        let mut on: BTreeMap<HostName, Vec<(GuestName, Vec<Window>)>> = BTreeMap::new();
        let mut wanted: BTreeMap<HostName, u64> = BTreeMap::new();
        for host in self.watch.cluster().hosts.iter().map(|h| h.name.clone()) {
            on.insert(host, Vec::new());
        }
        for (guest, host) in &self.at {
            let true_demand = demand(guest.as_str(), now);
            *wanted.entry(host.clone()).or_default() += true_demand;
            // While its memory is on its way it waits for pages and looks idle.
            let under_way = self.moving.iter().any(|(mv, _)| mv.guest == *guest);
            let looks = if under_way {
                true_demand / 10
            } else {
                true_demand
            };
            let looks = MilliCores(looks);
            let windows = vec![
                Window {
                    demand: looks,
                    run: looks,
                    length: Micros(self.step.0 / 3),
                };
                3
            ];
            on.entry(host.clone())
                .or_default()
                .push((guest.clone(), windows));
        }
        for wanted in wanted.values() {
            self.violation += wanted.saturating_sub(9500) * self.step.0 / 1_000_000;
        }
        for (host, guests) in on {
            if !self.silent.contains(&host) {
                self.watch.hear(
                    Heard::Windows {
                        host,
                        guests,
                        old: Micros::ZERO,
                    },
                    now,
                );
            }
        }
        self.watch.pass(now);
        if let Some(decision) = self.watch.decide(&never_late(), now) {
            self.judge(&decision);
            self.decided += 1;
            if self.observes {
                self.watch.put_off(&decision.relief, now);
                return;
            }
            self.watch.started(&decision.relief.moves, true, now);
            for mv in decision.relief.moves {
                self.made
                    .push((mv.guest.clone(), mv.from.clone(), mv.to.clone(), now));
                // The load is at the target after the switch; here at once, which is harder to watch.
                self.at.insert(mv.guest.clone(), mv.to.clone());
                self.moving.push((mv, now + SWITCH + FETCH));
            }
        }
    }

    fn judge(&self, decision: &Decision) {
        let w = &self.watch;
        let demand = w
            .guests
            .iter()
            .map(|(g, k)| (g.clone(), k.demand))
            .collect();
        let situation = Situation {
            cluster: &w.cluster,
            load: &w.load,
            policy: &w.policy,
            demand: &demand,
            overloaded: &w.overloaded(),
            silent: &w.silent(),
            shunned: &w.shunned(self.now),
            flights: &w.flights,
            recent: &w.recent,
            now: self.now,
        };
        let wrong = check::relief(&situation, &decision.relief);
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// No guest is back within its cooldown, and none moves twice in it.
    fn is_stable(&self) {
        assert_eq!(self.watch.oscillations(), []);
        let cooldown = Policy::default().relief.cooldown;
        for (i, (guest, _, _, at)) in self.made.iter().enumerate() {
            let again = self.made[i + 1..].iter().find(|(g, ..)| g == guest);
            assert!(
                again.is_none_or(|(.., t)| *t >= *at + cooldown),
                "{guest} moved at {at} and {again:?}"
            );
        }
    }
}

/// A square wave: high in the first half of each period.
fn wave(now: Micros, period: Micros, phase: Micros) -> bool {
    (now.0 + phase.0) % period.0 < period.0 / 2
}

#[test]
fn square_waves_at_the_periods_of_the_loop_itself_do_not_set_it_swinging() {
    let policy = Policy::default();
    let cooldown = policy.relief.cooldown;
    let periods = [
        Micros(policy.relief.after.0 * 2),
        SILENCE,
        Micros(SWITCH.0 * 2),
        SWITCH + FETCH,
        Micros((SWITCH + FETCH).0 * 2),
        Micros::secs(20),
        cooldown,
        Micros(cooldown.0 * 2),
        Micros(cooldown.0 * 2) + Micros::secs(1),
    ];
    for period in periods {
        for opposed in [false, true] {
            let mut own = Loop::new(4, 5);
            // The guests of h0 and h1 rise and fall, in turn or together.
            let demand = |guest: &str, now: Micros| {
                let g: u64 = guest[1..].parse().expect("a number");
                let phase = if opposed && g >= 5 {
                    Micros(period.0 / 2)
                } else {
                    Micros::ZERO
                };
                match g {
                    0..10 if wave(now, period, phase) => 2600,
                    _ => 500,
                }
            };
            let span = Micros(cooldown.0 * 6);
            own.run(span, &demand);
            own.is_stable();
            // Each guest at most once a cooldown; of ten that swing, fewer need to.
            let most = 10 * 6;
            assert!(own.made.len() <= most, "{period}: {} moves", own.made.len());
            let mut still = Loop::new(4, 5);
            still.silent = still
                .watch
                .cluster()
                .hosts
                .iter()
                .map(|h| h.name.clone())
                .collect();
            still.run(span, &demand);
            assert!(still.made.is_empty());
            assert!(
                own.violation <= still.violation,
                "{period}: {} with relief, {} without",
                own.violation,
                still.violation
            );
        }
    }
}

#[test]
fn a_lasting_surge_is_ended_once_and_for_all() {
    let mut own = Loop::new(4, 5);
    let demand = |guest: &str, now: Micros| match guest {
        "g0" | "g1" | "g2" if now >= Micros::secs(10) => 4000,
        _ => 1000,
    };
    own.run(Micros::secs(300), &demand);
    own.is_stable();
    assert!((1..=2).contains(&own.made.len()), "{:?}", own.made);
    let (.., at) = &own.made[0];
    assert!(*at <= Micros::secs(10) + Micros::millis(200), "{at}");
    assert_eq!(own.watch.phase(&name("h0")), Phase::Calm);
}

#[test]
fn where_demand_exceeds_what_is_awake_nothing_moves() {
    let mut own = Loop::new(2, 5);
    own.run(Micros::secs(60), &|_, _| 2500);
    assert!(own.made.is_empty());
    // And it is not said at every window.
    assert!(matches!(own.watch.phase(&name("h0")), Phase::Overloaded(_)));
    assert_eq!(own.watch.decide(&never_late(), own.now), None);
    // When it comes again it is, but not each time where it comes and goes.
    for (calm, again) in [(2, false), (30, true), (2, false)] {
        let before = own.decided;
        own.run(own.now + Micros::secs(calm), &|_, _| 1000);
        own.run(own.now + Micros::secs(5), &|_, _| 2500);
        assert_eq!(
            own.decided > before,
            again,
            "after {calm} s: {}",
            own.decided
        );
    }
}

#[test]
fn a_silent_host_is_unknown_and_takes_nothing() {
    let mut own = Loop::new(3, 4);
    let demand = |guest: &str, now: Micros| match guest {
        "g0" | "g1" | "g2" if now >= Micros::secs(5) => 4000,
        "g4" | "g5" | "g6" | "g7" => 2000,
        _ => 100,
    };
    own.run(Micros::secs(3), &demand);
    own.silent.insert(name("h2"));
    own.run(Micros::secs(30), &demand);
    assert_eq!(own.watch.phase(&name("h2")), Phase::Unknown);
    assert_eq!(own.watch.demand(&name("g8")), Demand::Unknown);
    assert!(
        own.made.iter().all(|(_, _, to, _)| to.as_str() != "h2"),
        "{:?}",
        own.made
    );
    own.silent.clear();
    own.run(Micros::secs(31), &demand);
    assert!(
        own.made.iter().any(|(_, _, to, _)| to.as_str() == "h2"),
        "{:?}",
        own.made
    );
}

#[test]
fn the_kernels_word_is_as_good_as_time() {
    let mut own = Loop::new(2, 5);
    let calm = |_: &str, _: Micros| 1000;
    own.run(Micros::secs(1), &calm);
    own.watch.hear(
        Heard::Overload {
            host: name("h0"),
            began: true,
        },
        own.now,
    );
    assert_eq!(
        own.watch.phase(&name("h0")),
        Phase::Calm,
        "its guests want no more than there is"
    );
    own.run(Micros::millis(1100), &|guest, _| {
        if guest < "g5" { 2600 } else { 100 }
    });
    assert!(!own.made.is_empty(), "the first windows suffice");
}

#[test]
fn what_relief_under_way_leaves_is_relieved_only_where_it_lasts() {
    let surge = Micros::secs(10);
    // Two guests rise; then for `long` two more, while the first relief is under way.
    let run = |long: Micros| {
        let mut own = Loop::new(2, 5);
        own.run(Micros::secs(14), &|guest, now| match guest {
            "g0" | "g1" if now >= surge => 4000,
            "g2" | "g3" if now >= surge + Micros::millis(300) && now < surge + long => 4000,
            "g0" | "g1" | "g2" | "g3" | "g4" => 1000,
            _ => 200,
        });
        own.is_stable();
        own.made
    };
    let short = run(Micros::millis(600));
    assert_eq!(short.len(), 1, "{short:?}");
    let lasting = run(Micros::secs(60));
    assert_eq!(lasting.len(), 2, "{lasting:?}");
    let between = lasting[1].3.saturating_sub(lasting[0].3);
    assert!(between <= Micros::millis(900), "{lasting:?}");
}

/// The kernel of h0 says all the time that it is overloaded.
fn kernel_says(own: &mut Loop) {
    let (host, began) = (name("h0"), true);
    own.watch.hear(Heard::Overload { host, began }, own.now);
}

#[test]
fn what_swings_about_the_threshold_moves_nothing_and_the_more_it_is_above_the_sooner() {
    let surge = Micros::secs(2);
    // When the first guest leaves h0, whose five guests want that much of its 9.5 cores together.
    let first = |wanted: &dyn Fn(Micros) -> u64| {
        let mut own = Loop::new(2, 5);
        own.step = Micros::millis(34);
        own.run(surge, &|_, _| 500);
        kernel_says(&mut own);
        own.run(Micros::secs(12), &|guest, now| match guest {
            "g0" | "g1" | "g2" | "g3" | "g4" => wanted(now) / 5,
            _ => 500,
        });
        own.is_stable();
        own.made.first().map(|m| m.3.saturating_sub(surge))
    };
    assert_eq!(
        first(&|now| if wave(now, Micros::millis(136), Micros::ZERO) {
            9700
        } else {
            9000
        }),
        None
    );
    let after = |wanted| first(&|_| wanted).expect("it is relieved");
    assert!(after(11_500) <= Micros::millis(68), "{}", after(11_500));
    let (little, less) = (after(9700), after(9550));
    assert!(little > Micros::millis(68) && little <= Micros::millis(170));
    assert!(less > Micros::millis(300) && less <= Micros::millis(600));
}

#[test]
fn a_host_that_settles_is_relieved_again_only_where_its_overload_lasts() {
    let (surge, again) = (Micros::secs(5), Micros::secs(11));
    // Two guests surge and one of them leaves; it is whole after 4.6 s. Then two others rise for `long`.
    let run = |long: Micros| {
        let mut own = Loop::new(2, 5);
        own.run(surge, &|_, _| 1000);
        kernel_says(&mut own);
        own.run(Micros::secs(16), &|guest, now| match guest {
            "g0" | "g1" if now >= surge => 4000,
            "g2" | "g3" if now >= again && now < again + long => 2500,
            "g2" | "g3" | "g4" => 1000,
            "g0" | "g1" => 1000,
            _ => 200,
        });
        own.is_stable();
        own.made
    };
    let short = run(Micros::millis(400));
    assert_eq!(short.len(), 1, "{short:?}");
    let lasting = run(Micros::secs(60));
    assert_eq!(lasting.len(), 2, "{lasting:?}");
    let waited = lasting[1].3.saturating_sub(again);
    assert!(
        waited >= Micros::millis(500) && waited <= Micros::millis(900),
        "{waited}"
    );
}

#[test]
fn so_is_one_that_took_a_guest_of_relief_while_it_comes_and_after() {
    let surge = Micros::secs(5);
    // A guest of h0 goes to h1, since h2 has no room, and is whole after 4.6 s. Then two guests of h1 rise.
    for later in [Micros::secs(6), Micros::secs(11)] {
        let mut own = Loop::new(3, 5);
        own.run(Micros::secs(14), &|guest, now| {
            let n: u64 = guest[1..].parse().expect("a number");
            match n {
                0 | 1 if now >= surge => 4000,
                5 | 6 if now >= later => 3500,
                0..5 => 1000,
                10..15 if now < later => 1500,
                _ => 200,
            }
        });
        own.is_stable();
        let [first, second, ..] = &own.made[..] else {
            panic!("{:?}", own.made);
        };
        assert_eq!((first.1.as_str(), first.2.as_str()), ("h0", "h1"));
        assert_eq!(second.1.as_str(), "h1");
        let waited = second.3.saturating_sub(later);
        assert!(
            waited >= Micros::millis(500) && waited <= Micros::millis(900),
            "{waited}"
        );
    }
}

#[test]
fn after_a_silence_nothing_is_missed_yet_and_late_windows_count_for_their_own_time() {
    let tight = |guest: &str, _: Micros| if guest < "g5" { 1940 } else { 500 };
    let mut own = Loop::new(2, 5);
    own.step = Micros::millis(34);
    own.run(Micros::secs(2), &|_, _| 500);
    // 9.7 of 9.5 cores for two windows; a third would be enough.
    own.run(own.now + Micros::millis(68), &tight);
    assert!(matches!(own.watch.phase(&name("h0")), Phase::Suspected(_)));
    let host: HostName = name("h0");
    own.watch.hear(Heard::Silent(host.clone()), own.now);
    own.now += Micros::secs(60);
    kernel_says(&mut own);
    own.step(&tight);
    assert!(matches!(own.watch.phase(&host), Phase::Suspected(_)));
    // The next window comes late, and is no longer for that.
    own.now += Micros::millis(600);
    own.step(&tight);
    assert!(matches!(own.watch.phase(&host), Phase::Suspected(_)));
    own.step(&tight);
    assert!(own.made.len() == 1, "{:?}", own.watch.phase(&host));
}

#[test]
fn what_the_kernel_said_long_before_a_suspicion_decides_nothing() {
    // How long after its word the phase is looked at, one window into a surge.
    let overloaded = |after: Micros| {
        let mut own = Loop::new(2, 5);
        own.step = Micros::millis(34);
        own.run(Micros::secs(2), &|_, _| 500);
        kernel_says(&mut own);
        own.run(own.now + after, &|_, _| 500);
        own.step(&|guest, _| if guest < "g5" { 2300 } else { 500 });
        !own.made.is_empty()
    };
    assert!(overloaded(Micros::millis(200)));
    assert!(!overloaded(Micros::millis(400)));
}

#[test]
fn a_host_of_less_than_a_core_is_calm_again_only_below_its_hysteresis_too() {
    let mut own = Loop::new(1, 5);
    let mut cluster = own.watch.cluster().clone();
    cluster.hosts[0].cpu = MilliCores(1000);
    own.watch.hear(Heard::Cluster(cluster), own.now);
    // 0.95 cores are its room, and 2 % of that 19 thousandths.
    own.run(Micros::secs(2), &|_, _| 240);
    assert!(matches!(own.watch.phase(&name("h0")), Phase::Overloaded(_)));
    own.run(Micros::secs(3), &|_, _| 188);
    assert!(matches!(own.watch.phase(&name("h0")), Phase::Overloaded(_)));
    own.run(Micros::secs(4), &|_, _| 186);
    assert_eq!(own.watch.phase(&name("h0")), Phase::Calm);
}

#[test]
fn in_its_first_moments_an_overload_is_decided_again_with_each_window() {
    let (surge, room) = (Micros::secs(5), Micros::millis(5360));
    let mut own = Loop::new(2, 5);
    own.step = Micros::millis(34);
    // The other host is full until a third of a second after the surge.
    own.run(Micros::secs(8), &|guest, now| match guest {
        "g0" | "g1" if now >= surge => 4000,
        "g0" | "g1" | "g2" | "g3" | "g4" => 1000,
        _ if now >= room => 200,
        _ => 1850,
    });
    let (.., at) = own.made.first().expect("a move");
    assert!(*at >= room && *at <= room + Micros::millis(68), "{at}");
}

#[test]
fn an_overload_does_not_wait_for_one_elsewhere_that_nothing_ends() {
    let mut own = Loop::new(3, 5);
    let mut cluster = own.watch.cluster().clone();
    for guest in cluster.guests.iter_mut().take(5) {
        guest.movable = false;
    }
    own.watch.hear(Heard::Cluster(cluster), own.now);
    let later = Micros::secs(60);
    own.run(Micros::secs(64), &|guest, now| {
        let n: u64 = guest[1..].parse().expect("a number");
        match n {
            0..5 => 2600,
            5..10 if now >= later => 2600,
            _ => 500,
        }
    });
    let first = own.made.first().expect("a move");
    assert!(first.3 <= later + Micros::millis(300), "{:?}", own.made);
}

#[test]
fn a_guest_that_was_sent_back_is_an_oscillation() {
    let mut own = Loop::new(2, 5);
    own.run(Micros::secs(1), &|_, _| 1000);
    let go = |from: &str, to: &str| Move {
        id: vmpack_domain::MoveId("m1".into()),
        guest: name("g0"),
        uuid: None,
        from: name(from),
        to: name(to),
        mode: vmpack_domain::Mode::PostCopy,
        memory: vmpack_domain::units::MiB(4096),
        vcpus: 4,
        demand: MilliCores(1000),
        bandwidth: vmpack_domain::units::MiBPerSec(100),
        start: Micros::ZERO,
        duration: Micros::ZERO,
        expected: None,
        after: vec![],
        reason: String::new(),
    };
    own.watch.started(&[go("h0", "h1")], false, own.now);
    let guest: GuestName = name("g0");
    own.watch.hear(
        Heard::Ended {
            guest: guest.clone(),
            moved: true,
        },
        own.now,
    );
    own.at.insert(guest, name("h1"));
    own.run(Micros::secs(5), &|_, _| 1000);
    own.watch.started(&[go("h1", "h0")], false, own.now);
    assert_eq!(own.watch.oscillations().len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_loads_do_no_guest_swings(
        waves in proptest::collection::vec((1u64..1200, 0u64..1200, 0u64..4000, 0u64..2000), 15),
    ) {
        let mut own = Loop::new(3, 5);
        let demand = |guest: &str, now: Micros| {
            let g: usize = guest[1..].parse().expect("a number");
            let (period, phase, high, low) = waves[g];
            let up = wave(now, Micros::millis(period * 100), Micros::millis(phase * 100));
            if up { high } else { low }
        };
        own.run(Micros::secs(150), &demand);
        own.is_stable();
    }
}
