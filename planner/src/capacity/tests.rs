use super::*;
use crate::tests::read;
use vmpack_domain::units::Micros;

const BARE: &str = "headroom: { cpu: 0%, memory: 0% }\noverhead: { memory: 0MiB }\n";

fn scene(guests: &str, hosts: usize, rules: &str) -> Scene {
    let hosts: String = (1..=hosts)
        .map(|i| {
            format!(
                "  - {{ name: h{i}, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }}\n"
            )
        })
        .collect();
    let guests = match guests {
        "" => " []\n".to_owned(),
        guests => format!("\n{guests}"),
    };
    let cluster = format!("hosts:\n{hosts}guests:{guests}");
    let policy = format!("{BARE}{rules}");
    let (cluster, load, policy) = read(&cluster, "guests: {}\n", &policy);
    Scene {
        cluster,
        load,
        policy,
    }
}

fn ask(scene: &Scene, shape: &Shape) -> Fits {
    let search = &mut Search {
        elapsed: &|| Micros::ZERO,
        stop: &|| false,
        report: &mut |_| {},
    };
    fits(scene, shape, true, search).unwrap()
}

fn size(gib: u64) -> Shape {
    Shape::Size {
        vcpus: 1,
        memory: MiB(gib * 1024),
        cpu: Some(MilliCores::cores(1)),
    }
}

fn exactly(n: u32) -> Count {
    Count {
        found: n,
        at_most: n,
    }
}

#[test]
fn each_host_takes_what_fits_beside_what_it_carries() {
    let scene = scene("  - { name: a, vcpus: 2, memory: 2GiB, host: h1 }\n", 2, "");
    // Memory: (8 − 2) ÷ 3 and 8 ÷ 3 rounded down.
    let fits = ask(&scene, &size(3));
    assert_eq!((fits.standing, fits.moving), (exactly(4), Some(exactly(4))));
    let memory = Lack {
        resource: "memory".into(),
        hosts: 2,
    };
    assert_eq!(fits.lacking, [memory]);
    // CPU: 6 and 8 cores, where memory would take 10 and more.
    let fits = ask(
        &scene,
        &Shape::Size {
            vcpus: 1,
            memory: MiB(100),
            cpu: None,
        },
    );
    assert_eq!(fits.standing, exactly(14));
    assert_eq!(fits.lacking[0].resource, "cpu");
}

#[test]
fn moving_others_makes_room_that_is_in_pieces() {
    let guests = "  - { name: a, vcpus: 1, memory: 3GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 3GiB, host: h2 }\n";
    let fits = ask(&scene(guests, 2, ""), &size(8));
    assert_eq!((fits.standing, fits.moving), (exactly(0), Some(exactly(1))));
    let pinned = "rules: [{ kind: pin, guests: ['*'] }]\n";
    // A pin names those who wait, too, and they have no host to stay on.
    let pinned = pinned.replace("'*'", "a, b");
    let fits = ask(&scene(guests, 2, &pinned), &size(8));
    assert_eq!((fits.standing, fits.moving), (exactly(0), Some(exactly(0))));
    assert!(fits.why.is_some());
}

#[test]
fn rules_that_name_copies_bind_them() {
    let guests = "  - { name: web-1, vcpus: 1, memory: 1GiB, host: h1 }\n";
    let spread = "rules: [{ kind: spread, guests: ['web-*'] }]\n";
    let like = Shape::Like("web-1".parse().unwrap());
    let fits = ask(&scene(guests, 3, spread), &like);
    assert_eq!((fits.standing, fits.moving), (exactly(2), Some(exactly(2))));
    let spare = "rules: [{ kind: spare, room: 1 }]\n";
    // 3 × 8 GiB, less the one that is there and a host's worth.
    let fits = ask(&scene(guests, 3, spare), &like);
    assert_eq!(fits.moving, Some(exactly(15)));
}

#[test]
fn a_host_that_is_overloaded_leaves_no_place_as_it_stands() {
    // 9 of 8 GiB on h1: one of its guests has to go to h2, whose room is then no longer free.
    let guests = "  - { name: a, vcpus: 1, memory: 5GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 4GiB, host: h1 }\n";
    let fits = ask(&scene(guests, 2, ""), &size(3));
    assert_eq!((fits.standing, fits.moving), (exactly(0), Some(exactly(2))));
    let kept = "rules: [{ kind: spread, guests: [a, b] }]\n";
    let guests = guests.replace("4GiB", "3GiB");
    let fits = ask(&scene(&guests, 2, kept), &size(3));
    assert_eq!((fits.standing, fits.moving), (exactly(0), Some(exactly(2))));
}

#[test]
fn who_has_no_place_is_told_why() {
    let fits = ask(&scene("", 1, ""), &size(9));
    assert_eq!((fits.standing, fits.moving), (exactly(0), Some(exactly(0))));
    assert!(
        fits.why
            .unwrap()
            .contains("9GiB with overhead are above the 8GiB")
    );
    let missing = Shape::Like("nobody".parse().unwrap());
    let search = &mut Search {
        elapsed: &|| Micros::ZERO,
        stop: &|| false,
        report: &mut |_| {},
    };
    let error = super::fits(&scene("", 1, ""), &missing, true, search).unwrap_err();
    assert_eq!(error, "there is no guest nobody");
}

#[test]
fn load_grows_until_hosts_are_full_and_reaches_it_by_its_line() {
    let days = "guests:
  a: { cpu: { p95: 3cores, windows: { start: 2026-01-05T00:00:00Z, step: 12h, values: [1, 3, 2, 4, 3, 5] } } }
  b: { cpu: { p95: 3cores } }\n";
    let cluster = "hosts:
  - { name: h1, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on }
guests:
  - { name: a, vcpus: 16, memory: 1GiB, host: h1 }
  - { name: b, vcpus: 16, memory: 1GiB, host: h1 }\n";
    let (cluster, load, policy) = read(cluster, days, BARE);
    let scene = Scene {
        cluster,
        load,
        policy,
    };
    let search = &mut Search {
        elapsed: &|| Micros::ZERO,
        stop: &|| false,
        report: &mut |_| {},
    };
    let mut unmeasured = scene.clone();
    unmeasured.load = Load::default();
    unmeasured.policy.over_commit.cpu = Ratio(8000);
    for guest in &mut unmeasured.cluster.guests {
        guest.vcpus = 2;
    }
    assert_eq!(growth(&unmeasured, search), Err(NoGrowth::Unmeasured));
    unmeasured.cluster.guests[0].memory = MiB(1024 * 1024);
    assert!(matches!(
        growth(&unmeasured, search),
        Err(NoGrowth::NoPlace(_))
    ));
    // Each 3 cores of 8: both 4 at 1.333.
    let growth = growth(&scene, search).unwrap();
    assert_eq!((growth.found, growth.at_most), (Ratio(1330), Ratio(1330)));
    let trend = trend(&scene.cluster, &scene.load).unwrap();
    assert_eq!((trend.days, trend.guests), (3, 1));
    assert!((trend.level - 4.0).abs() < 1e-9 && (trend.daily - 1.0).abs() < 1e-9);
    let until = trend.until(Ratio(1500)).unwrap();
    assert!((until - 2.0).abs() < 1e-9, "{until}");
}

mod random {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// As many as are found have a placement that the judge takes, one more than `at_most` has none
        /// by trying every assignment of the guests.
        #[test]
        fn counts_are_those_of_trying_all(
            memories in prop::collection::vec((1u64..6, 1usize..4), 0..4),
            shape in 1u64..6,
        ) {
            let mut left = [8u64; 3];
            let mut guests = String::new();
            for (i, (memory, host)) in memories.iter().enumerate() {
                if left[host - 1] >= *memory {
                    left[host - 1] -= memory;
                    guests += &format!(
                        "  - {{ name: g{i}, vcpus: 1, memory: {memory}GiB, host: h{host} }}\n"
                    );
                }
            }
            let there = scene(&guests, 3, "");
            let standing: u64 = left.iter().map(|l| l / shape).sum();
            let fits = ask(&there, &size(shape));
            prop_assert_eq!(u64::from(fits.standing.found), standing);
            prop_assert_eq!(fits.standing, exactly(fits.standing.found));
            let sizes: Vec<u64> = there.cluster.guests.iter().map(|g| g.memory.0 / 1024).collect();
            let best = best(&sizes, shape, [8; 3]);
            let moving = fits.moving.expect("it was asked");
            prop_assert!(u64::from(moving.found) <= best, "found {moving:?}, {best}");
            prop_assert!(u64::from(moving.at_most) >= best, "{moving:?}, {best}");
            prop_assert_eq!(u64::from(moving.found), best, "so few are found");
        }
    }

    /// The most of a size that fit beside those sizes, wherever those stand.
    fn best(sizes: &[u64], shape: u64, room: [u64; 3]) -> u64 {
        let Some((first, rest)) = sizes.split_first() else {
            return room.iter().map(|r| r / shape).sum();
        };
        let placed = (0..3).filter(|h| room[*h] >= *first).map(|h| {
            let mut room = room;
            room[h] -= first;
            best(rest, shape, room)
        });
        placed.max().unwrap_or(0)
    }
}
