use proptest::prelude::*;
use vmpack_domain::plan::Mode;
use vmpack_domain::units::{Micros, Ratio};
use vmpack_domain::{Cluster, Load};
use vmpack_hypervisor::simulated::Simulated;
use vmpack_hypervisor::{MigrationRequest, sim};

use super::*;
use crate::fixture::{cluster, host};

fn weight(index: usize, (reserved, shares): (u64, u64)) -> Weight {
    Weight {
        guest: format!("g{index}").parse().unwrap(),
        reserved: MilliCores(reserved),
        shares,
    }
}

fn weights(of: &[(u64, u64)]) -> Vec<Weight> {
    of.iter().enumerate().map(|(i, w)| weight(i, *w)).collect()
}

fn check(cores: u64, of: &[(u64, u64)], expected: Option<&[u64]>) {
    let found = wanted(MilliCores::cores(cores), &weights(of));
    assert_eq!(found.as_deref(), expected, "{of:?}");
}

#[test]
fn shares_are_in_proportion_to_what_is_reserved_and_to_what_is_left() {
    // Nobody reserves anything, and one who has enough by the shares of all.
    check(16, &[(0, 1024), (0, 512)], Some(&[1024, 512]));
    check(16, &[(4000, 1024), (0, 1024)], Some(&[1024, 1024]));
    check(16, &[(4000, 7), (0, 1024)], Some(&[1024, 1024]));
    // 7168 + 1 are what 12 cores are left for.
    let mut eight = vec![(0, 1024); 7];
    eight.insert(0, (4000, 1024));
    let mut expected = vec![1024; 7];
    expected.insert(0, 2390);
    check(16, &eight, Some(&expected));
    // By version 2 of cgroups.
    check(
        8,
        &[(6000, 100), (0, 100), (0, 100)],
        Some(&[603, 100, 100]),
    );
    check(8, &[(6000, 100), (1000, 100)], Some(&[303, 100]));
    // All of it, or more.
    check(8, &[(6000, 100), (2000, 100)], Some(&[6000, 2000]));
    check(8, &[(6000, 100), (2000, 100), (0, 100)], None);
    check(8, &[(6000, 100), (3000, 100)], None);
}

#[test]
fn shares_beyond_what_the_kernel_takes_are_scaled_into_it_in_proportion() {
    let of = |weights: &[(u64, u64)], range| {
        let guests = super::tests::weights(weights);
        let shares: Vec<u64> = weights.iter().map(|w| w.1).collect();
        within(&guests, &shares, range)
    };
    assert_eq!(of(&[(0, 1024), (9, 9000)], RANGES[1]), [1024, 9000]);
    assert_eq!(of(&[(0, 1024), (9, 50_001)], RANGES[0]), [1024, 50_001]);
    assert_eq!(of(&[(0, 1024), (9, 50_001)], RANGES[1]), [204, 10_000]);
    assert_eq!(of(&[(0, 1), (9, 1_000_000)], RANGES[1]), [1, 10_000]);
    assert_eq!(of(&[(1, 1), (9, 7999)], RANGES[0]), [2, 15_998]);
    assert_eq!(of(&[(1, 1), (9, 7999)], RANGES[1]), [1, 7999]);
}

#[test]
fn one_guest_that_is_refused_keeps_no_other_from_its_shares() {
    let guests = weights(&[(0, 1), (9, 2), (9, 3), (9, 4)]);
    let mut now = [1, 2, 3, 4];
    let mut asked = Vec::new();
    let done = set_all(
        &guests,
        &mut now,
        &[1, 20, 30, 40],
        &mut |weight, shares| {
            asked.push(shares);
            let host = "h1".to_owned();
            match weight.shares {
                2 => Err(Error::Refused {
                    host,
                    cause: "first".to_owned(),
                }),
                3 => Err(Error::Refused {
                    host,
                    cause: "second".to_owned(),
                }),
                _ => Ok(()),
            }
        },
    );
    assert!(done.unwrap_err().to_string().contains("first"));
    assert_eq!(asked, [20, 30, 40]);
    assert_eq!(now, [1, 2, 3, 40]);
}

#[test]
fn a_faster_host_has_more_room_and_its_own_reserve_is_not_the_guests() {
    let mut fast = host("h1");
    fast.speed = Ratio(1500);
    fast.reserve.cpu = MilliCores::cores(2);
    assert_eq!(room(&fast), MilliCores::cores(10));
}

/// H2 has guests that fill it; one that has reserved a core, and one that has not, are on h1.
fn filled() -> Cluster {
    let names: Vec<String> = (0..12).map(|i| format!("g{i}")).collect();
    let mut guests: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), "h2")).collect();
    guests.extend([("own", "h1"), ("other", "h1")]);
    let mut hosts = cluster(&["h1", "h2"], &guests);
    hosts.hosts[1].memory = vmpack_domain::units::MiB(64 * 1024);
    hosts.guests[12].reserved = MilliCores::cores(1);
    hosts
}

fn moves(world: &Simulated, guest: &str) {
    let request = MigrationRequest {
        guest: guest.parse().unwrap(),
        from: "h1".parse().unwrap(),
        to: "h2".parse().unwrap(),
        mode: Mode::PreCopy,
        stream: Default::default(),
        give_up: Micros::secs(600),
    };
    world.migrate(&request, &mut |_| {}).unwrap();
}

#[test]
fn whoever_comes_to_a_host_takes_nothing_of_what_is_reserved_there() {
    let world = Simulated::new(filled(), Load::default(), sim::Options::default());
    let h2: HostName = "h2".parse().unwrap();
    let own = || {
        let found = world.weights(&h2).unwrap()?;
        let mut guests = found.guests.iter();
        guests.find(|g| g.guest.as_str() == "own").map(|g| g.shares)
    };
    assert_eq!(hold(&world, &h2), Ok(None), "nobody there has reserved any");
    moves(&world, "own");
    let untouched = world.weights(&h2).unwrap().unwrap();
    assert!(
        !holds(room(&untouched.host), &untouched.guests),
        "else this shows nothing"
    );
    assert_eq!(hold(&world, &h2), Ok(Some(true)));
    assert_eq!(own(), Some(1756));
    moves(&world, "other");
    let grown = world.weights(&h2).unwrap().unwrap();
    assert!(!holds(room(&grown.host), &grown.guests));
    assert_eq!(hold(&world, &h2), Ok(Some(true)));
    assert_eq!(own(), Some(1902));
    let found = world.weights(&h2).unwrap().unwrap();
    let kept = found.guests.iter().filter(|g| g.reserved.0 == 0);
    assert!(kept.map(|g| g.shares).all(|s| s == 1024));
}

proptest! {
    #[test]
    fn everybody_has_what_is_reserved_and_what_others_have_is_kept(
        cores in 1u64..64,
        of in proptest::collection::vec((prop_oneof![Just(0u64), 1u64..8000], 2u64..20000), 1..20),
    ) {
        let room = MilliCores::cores(cores);
        let before = weights(&of);
        let reserved: u64 = of.iter().map(|w| w.0).sum();
        let others = of.iter().any(|w| w.0 == 0);
        let Some(found) = wanted(room, &before) else {
            prop_assert!(reserved > room.0 || (reserved == room.0 && others));
            return Ok(());
        };
        prop_assert!(reserved <= room.0);
        let mut after = before.clone();
        for (weight, shares) in after.iter_mut().zip(&found) {
            prop_assert!(weight.reserved.0 > 0 || weight.shares == *shares);
            weight.shares = *shares;
        }
        prop_assert!(holds(room, &after), "{:?}", found);
        // Nobody is worse off for having reserved something.
        let least = of.iter().filter(|w| w.0 == 0).map(|w| w.1).min();
        prop_assert!(found.iter().all(|s| least.is_none_or(|least| *s >= least)));
        // Where others are, asked again nothing changes.
        if others {
            prop_assert_eq!(wanted(room, &after), Some(found));
        }
    }
}
