//! Relief against the judge, against all answers that there are, and by the word.

mod random;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use vmpack_domain::relief::{Demand, Flight, Past, Relief, Situation};
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{Cluster, GuestName, HostName, Load, Policy, check};
use vmpack_ilp::Limits;

use super::{Contingency, Surge, relieve, still};

/// What a situation is of, owned.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) cluster: Cluster,
    pub(super) load: Load,
    pub(super) policy: Policy,
    pub(super) demand: BTreeMap<GuestName, Demand>,
    pub(super) overloaded: BTreeMap<HostName, Micros>,
    pub(super) silent: BTreeSet<HostName>,
    pub(super) shunned: BTreeSet<HostName>,
    pub(super) flights: Vec<Flight>,
    pub(super) recent: Vec<Past>,
}

pub(super) fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a plain name")
}

pub(super) fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("a value of that type")
}

pub(super) fn seen(now: u64) -> Demand {
    Demand::Seen {
        now: MilliCores(now),
        margin: MilliCores::ZERO,
    }
}

impl World {
    /// Hosts of 10 cores and 64 GiB; guests of 4 vCPUs and 4 GiB as (name, host, milli-cores).
    fn new(hosts: &[&str], guests: &[(&str, &str, u64)]) -> Self {
        let host = |name: &&str| json!({ "name": name, "cpu": "10cores", "memory": "64GiB", "network": "1250MiB/s", "state": "on" });
        let guest = |(name, host, _): &(&str, &str, u64)| json!({ "name": name, "vcpus": 4, "memory": "4GiB", "host": host });
        let hosts_of: Vec<_> = hosts.iter().map(host).collect();
        let guests_of: Vec<_> = guests.iter().map(guest).collect();
        let cluster = json!({ "hosts": hosts_of, "guests": guests_of });
        let demand = guests
            .iter()
            .map(|(guest, _, now)| (name(guest), seen(*now)));
        Self {
            cluster: read(cluster),
            demand: demand.collect(),
            overloaded: hosts.iter().map(|h| (name(h), Micros::ZERO)).collect(),
            ..Self::default()
        }
    }

    pub(super) fn situation(&self) -> Situation<'_> {
        Situation {
            cluster: &self.cluster,
            load: &self.load,
            policy: &self.policy,
            demand: &self.demand,
            overloaded: &self.overloaded,
            silent: &self.silent,
            shunned: &self.shunned,
            flights: &self.flights,
            recent: &self.recent,
            now: Micros::secs(1000),
        }
    }

    /// The answer, which the judge accepts, as also the one at once.
    pub(super) fn relieved(&self) -> Relief {
        let situation = self.situation();
        let judge = |relief: &Relief| {
            let wrong = check::relief(&situation, relief);
            assert!(wrong.is_empty(), "{wrong:#?}\n{relief:#?}\n{self:#?}");
        };
        let limits = Limits {
            time: Micros::secs(20),
            nodes: None,
            seed: 1,
            threads: 1,
            stop: &|| false,
        };
        let relief = relieve(&situation, &limits, &mut |first| judge(first));
        judge(&relief);
        relief
    }

    fn moves(&self) -> Vec<String> {
        let moves = self.relieved().moves;
        moves
            .iter()
            .map(|m| format!("{} {} {}", m.guest, m.from, m.to))
            .collect()
    }
}

/// h1 is overloaded by 1.5 cores: its guests want 11 of 9.5.
fn three() -> World {
    World::new(
        &["h1", "h2", "h3"],
        &[
            ("a", "h1", 4000),
            ("b", "h1", 4000),
            ("c", "h1", 2000),
            ("d", "h1", 1000),
            ("e", "h2", 4000),
            ("f", "h2", 3000),
            ("g", "h3", 3000),
        ],
    )
}

#[test]
fn the_smallest_guest_that_suffices_goes_to_the_emptiest_host() {
    let mut world = three();
    for (guest, memory) in [("a", 16), ("b", 8)] {
        let all = &mut world.cluster.guests;
        let found = all
            .iter_mut()
            .find(|g| g.name.as_str() == guest)
            .expect("a guest");
        found.memory.0 = memory * 1024;
    }
    assert_eq!(world.moves(), ["c h1 h3"]);
    world.shunned.insert(name("h3"));
    assert_eq!(world.moves(), ["c h1 h2"]);
    world.shunned.clear();
    let relief = world.relieved();
    assert!(relief.worth.proven);
    assert_eq!(relief.worth.ended, MilliCores(1500));
    assert!(relief.left.is_empty() && relief.wake.is_empty());
    let mv = &relief.moves[0];
    assert_eq!(mv.mode, vmpack_domain::Mode::PostCopy);
    assert!(
        mv.reason
            .contains("h1 wants 1.5cores more than its 9.5cores"),
        "{}",
        mv.reason
    );
    assert!(relief.reasons[0].starts_with("seen: 4 guests of h1 want 11cores of 9.5cores"));
}

#[test]
fn of_guests_that_harm_alike_one_goes_that_leaves_room_for_a_surge_that_still_rises() {
    // 1.5 cores are too many, and a tenth of the 11 that are wanted is to spare: c would just suffice.
    assert_eq!(three().moves(), ["a h1 h3"]);
    let mut world = three();
    world.policy.relief.margin = vmpack_domain::units::Permille(40);
    assert_eq!(world.moves(), ["c h1 h3"]);
}

#[test]
fn moves_that_are_few_go_where_they_end_most() {
    // h1 is overloaded by more, and only by two moves.
    let mut world = World::new(
        &["h1", "h2", "h3", "h4"],
        &[
            ("a", "h1", 4000),
            ("b", "h1", 4000),
            ("c", "h1", 4000),
            ("d", "h1", 3500),
            ("e", "h2", 4000),
            ("f", "h2", 4000),
            ("g", "h2", 3000),
        ],
    );
    world.policy.migrations.at_once = std::num::NonZeroU32::MIN;
    let relief = world.relieved();
    assert_eq!(relief.worth.ended, MilliCores(1500));
    assert!(relief.worth.proven, "{relief:#?}");
    world.policy.migrations.at_once = std::num::NonZeroU32::MIN.saturating_add(1);
    let relief = world.relieved();
    assert_eq!(relief.worth.ended, MilliCores(6000));
    assert!(relief.worth.proven, "{relief:#?}");
}

#[test]
fn what_is_not_believed_or_not_known_neither_moves_nor_makes_room() {
    let mut world = three();
    world.demand.remove(&name::<GuestName>("g"));
    // g may want its 4 vCPUs; 4 and a's 4.4 fit.
    assert_eq!(world.moves(), ["a h1 h3"]);
    world.silent.insert(name("h3"));
    assert_eq!(world.moves(), ["c h1 h2"]);
    let starved = Demand::Starved {
        before: MilliCores(2000),
        margin: MilliCores::ZERO,
    };
    world.demand.insert(name("c"), starved);
    let relief = world.relieved();
    assert!(relief.moves.iter().all(|m| m.guest.as_str() != "c"));
    assert!(
        relief
            .reasons
            .iter()
            .any(|r| r.contains("c (waits for its memory")),
        "{:?}",
        relief.reasons
    );
    // Without the demand of its guests nobody knows that the host is overloaded.
    world.demand.clear();
    assert!(world.relieved().moves.is_empty());
}

#[test]
fn what_is_under_way_counts_as_arrived() {
    let mut world = three();
    world.flights.push(Flight {
        guest: name("c"),
        from: name("h1"),
        to: name("h3"),
        demand: MilliCores(2000),
        margin: MilliCores(200),
        memory: vmpack_domain::units::MiB(4096),
    });
    assert!(
        world.relieved().moves.is_empty(),
        "h1 is relieved by what is under way"
    );
}

#[test]
fn where_all_want_more_than_there_is_nothing_moves_and_hosts_are_woken() {
    let mut world = three();
    for (guest, now) in [("c", 4000), ("d", 4000), ("f", 4000), ("g", 4000)] {
        world.demand.insert(name(guest), seen(now));
    }
    world.cluster.guests[0].reserved = MilliCores(1000);
    let mut spare = world.cluster.hosts[2].clone();
    spare.name = name("h4");
    spare.state = vmpack_domain::HostState::Asleep;
    // 28 of 28.5 fit.
    assert!(
        world
            .relieved()
            .left
            .iter()
            .all(|l| !l.why.contains("all guests together"))
    );
    world.cluster.hosts[2].state = vmpack_domain::HostState::Drain;
    world.cluster.hosts.push(spare);
    let relief = world.relieved();
    assert!(relief.moves.is_empty());
    assert_eq!(relief.wake, [name("h4")]);
    assert_eq!(
        relief.hold.len(),
        4,
        "the guests of h1 are held to their shares"
    );
    assert_eq!(relief.left[0].would, "waking h4");
    // In its first moments that is not believed: one guest goes, who it may be.
    world.overloaded.clear();
    world.overloaded.insert(name("h1"), Micros::millis(999_700));
    world.demand.insert(name("b"), seen(1200));
    world.demand.insert(name("a"), seen(12_000));
    let relief = world.relieved();
    assert_eq!(relief.moves.len(), 1, "{relief:?}");
    assert_eq!(relief.moves[0].guest.as_str(), "b");
    assert_eq!(relief.wake, [name("h4")]);
    assert!(goes_alone(&world));
}

#[test]
fn an_overload_that_nothing_can_end_says_what_would() {
    let mut world = three();
    world.cluster.hosts.truncate(1);
    world.overloaded.retain(|h, _| h.as_str() == "h1");
    world
        .cluster
        .guests
        .retain(|g| g.host.as_ref().is_some_and(|h| h.as_str() == "h1"));
    let mut spare = world.cluster.hosts[0].clone();
    spare.name = name("h9");
    spare.cpu = MilliCores(1900);
    world.cluster.hosts.push(spare);
    // 11 of 9.5 + 1.8: they fit together, and no guest fits h9 but d, which is not enough.
    let relief = world.relieved();
    assert_eq!(relief.moves.len(), 1, "{relief:?}");
    assert_eq!(relief.moves[0].guest.as_str(), "d");
    assert_eq!(relief.worth.ended, MilliCores::ZERO);
    assert_eq!(relief.left[0].overload, MilliCores(500));
    assert!(
        relief.left[0].would.starts_with("room for"),
        "{:?}",
        relief.left
    );
}

#[test]
fn in_its_first_moments_an_overload_that_nothing_ends_is_lessened_by_one_move() {
    // 13 of 9.5 cores, and no target has room for more than the small ones.
    let guests = [
        ("a", "h1", 4000),
        ("b", "h1", 4000),
        ("c", "h1", 3000),
        ("d", "h1", 1200),
        ("e", "h1", 800),
        ("f", "h2", 3600),
        ("g", "h2", 3600),
        ("i", "h3", 3600),
        ("k", "h3", 3600),
    ];
    let mut world = World::new(&["h1", "h2", "h3"], &guests);
    assert_eq!(world.moves(), ["d h1 h2", "e h1 h3"]);
    world.overloaded.insert(name("h1"), Micros::millis(999_700));
    assert_eq!(world.moves(), ["d h1 h2"]);
    assert!(goes_alone(&world));
    // Where that is all that may be done, or nobody goes, there is another reason.
    world.policy.relief.per_host = std::num::NonZeroU32::MIN;
    assert_eq!(world.moves(), ["d h1 h2"]);
    assert!(!goes_alone(&world));
    world.policy.relief.moves_per_minute = 0;
    assert!(world.moves().is_empty());
    assert!(!goes_alone(&world));
}

/// Whether it is said that what is left of h1's overload stays because one guest goes alone.
fn goes_alone(world: &World) -> bool {
    let left = world.relieved().left;
    assert_eq!(left[0].host.as_str(), "h1");
    left[0].why.contains("one guest goes alone")
}

#[test]
fn in_its_first_moments_an_overload_is_relieved_by_one_guest_where_it_takes_half_of_it_off() {
    let guests = [
        ("a", "h1", 4000),
        ("b", "h1", 3500),
        ("c", "h1", 2500),
        ("d", "h1", 2500),
    ];
    // 12.5 of 9.5 cores: b and c suffice only together where a does not fit.
    let others = [
        ("e", "h2", 3000),
        ("f", "h2", 3200),
        ("g", "h3", 3300),
        ("i", "h3", 3300),
    ];
    let mut world = World::new(&["h1", "h2", "h3"], &[&guests[..], &others].concat());
    assert_eq!(world.moves(), ["c h1 h2", "d h1 h3"]);
    assert_eq!(world.relieved().moves[0].bandwidth.0, 500);
    world.overloaded.insert(name("h1"), Micros::millis(999_700));
    assert_eq!(world.moves(), ["c h1 h2"]);
    assert!(goes_alone(&world));
    // It has the link to itself.
    assert_eq!(world.relieved().moves[0].bandwidth.0, 1000);
    // One start is left of the minute's: no more could go.
    world.policy.relief.moves_per_minute = 1;
    assert_eq!(world.moves(), ["c h1 h2"]);
    assert!(!goes_alone(&world));
}

#[test]
fn cooldowns_and_budgets_bind() {
    let mut world = three();
    world.recent.push(Past {
        guest: name("c"),
        from: name("h2"),
        to: name("h1"),
        at: Micros::secs(990),
        relief: true,
    });
    assert!(!world.moves().contains(&"c h1 h3".to_owned()));
    let relief = world.relieved();
    assert!(
        relief
            .reasons
            .iter()
            .any(|r| r.contains("rests for 50s more")),
        "{:?}",
        relief.reasons
    );
    world.policy.relief.budgets =
        read(json!([{ "guests": ["a", "b", "d"], "moves": 0, "per": "1h" }]));
    let relief = world.relieved();
    assert!(relief.moves.is_empty());
    assert!(
        relief
            .reasons
            .iter()
            .any(|r| r.contains("the budget of a, b, d is used up"))
    );
    assert!(
        relief.left[0].would.contains("waiting 50s"),
        "{:?}",
        relief.left
    );
}

#[test]
fn what_was_decided_ahead_is_made_if_it_still_holds() {
    let mut world = three();
    world.overloaded.clear();
    world.demand.insert(name("a"), seen(1000));
    let ahead = Contingency::new(&world.situation());
    let surge = Surge::Of(name("a"));
    assert!(
        ahead.of(&name("h1"), &surge).is_some_and(|m| !m.is_empty()),
        "{ahead:?}"
    );
    world.demand.insert(name("a"), seen(4000));
    world.overloaded.insert(name("h1"), Micros::ZERO);
    let recalled = ahead.recall(&world.situation(), &surge).expect("it holds");
    assert!(check::relief(&world.situation(), &recalled).is_empty());
    assert_eq!(recalled.worth.ended, MilliCores(1500));
    // Where the room is gone it is not.
    for guest in ["e", "f", "g"] {
        world.demand.insert(name(guest), seen(4000));
    }
    world.silent.insert(name("h3"));
    assert_eq!(ahead.recall(&world.situation(), &surge), None);
}

#[test]
fn what_of_a_better_answer_is_under_way_is_no_reason_to_drop_the_rest() {
    let mut world = World::new(
        &["h1", "h2", "h3"],
        &[
            ("a", "h1", 4000),
            ("b", "h1", 4000),
            ("c", "h1", 4000),
            ("d", "h1", 4000),
            ("e", "h2", 1000),
            ("f", "h3", 1000),
        ],
    );
    world.overloaded.retain(|host, _| host.as_str() == "h1");
    let best = [(name("a"), name("h2")), (name("b"), name("h3"))];
    let both = still(&world.situation(), &best).expect("both are possible");
    assert_eq!(both.moves.len(), 2);
    world.flights.push(Flight {
        guest: name("a"),
        from: name("h1"),
        to: name("h2"),
        demand: MilliCores(4000),
        margin: MilliCores::ZERO,
        memory: vmpack_domain::units::MiB(4096),
    });
    let rest = still(&world.situation(), &best).expect("the other is");
    assert!(check::relief(&world.situation(), &rest).is_empty());
    let moves: Vec<_> = rest.moves.iter().map(|m| m.guest.as_str()).collect();
    assert_eq!(moves, ["b"]);
    // It alone would not end what the flight leaves.
    world.demand.insert(name("b"), seen(2000));
    world.demand.insert(name("c"), seen(6000));
    assert_eq!(still(&world.situation(), &best[..1]), None);
}

#[test]
fn a_host_that_did_not_wake_is_not_named_again_while_there_is_another() {
    let mut world = World::new(
        &["h1", "h2", "h3"],
        &[("a", "h1", 4000), ("b", "h1", 4000), ("c", "h1", 4000)],
    );
    for host in &mut world.cluster.hosts[1..] {
        host.state = vmpack_domain::HostState::Asleep;
    }
    world.overloaded.retain(|host, _| host.as_str() == "h1");
    for expected in ["h2", "h3"] {
        let woken = world.relieved().wake;
        assert_eq!(woken, [name::<HostName>(expected)]);
        world.shunned.extend(woken);
    }
    assert_eq!(world.relieved().wake, []);
}
