//! Losses of hosts on random small clusters, against trying every placement.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Load, Policy, check};

use super::random::inputs;
use super::{read, timeless};
use crate::losses::{Verdict, emergency, lose, sets};
use crate::whatif::Scene;

fn lost(scene: &Scene, hosts: &[HostName]) -> crate::losses::Loss {
    timeless(|search| lose(scene, hosts, search))
}

/// Whether some placement on the cluster keeps everything; `fixed` says who may not move.
fn some(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    fixed: &dyn Fn(&GuestName) -> Option<HostName>,
    target: &mut BTreeMap<GuestName, HostName>,
    next: usize,
) -> bool {
    let Some(guest) = cluster.guests.get(next) else {
        return check::placement(cluster, load, policy, target).is_empty();
    };
    let choices: Vec<HostName> = match fixed(&guest.name) {
        Some(host) => vec![host],
        None => cluster.hosts.iter().map(|h| h.name.clone()).collect(),
    };
    choices.into_iter().any(|host| {
        target.insert(guest.name.clone(), host);
        some(cluster, load, policy, fixed, target, next + 1)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_loss_is_survived_where_some_placement_is_left((cluster, load, policy) in inputs(5)) {
        let scene = Scene { cluster, load, policy };
        let judged = emergency(&scene.policy);
        for hosts in (1..=2).flat_map(|k| sets(&scene.cluster, k)) {
            let mut left = scene.cluster.clone();
            for host in left.hosts.iter_mut().filter(|h| hosts.contains(&h.name)) {
                host.state = HostState::Out;
            }
            let stays = |name: &GuestName| {
                let host = left.guest(name)?.host.clone()?;
                left.host(&host)?.state.takes_guests().then_some(host)
            };
            let trial = |fixed: &dyn Fn(&GuestName) -> Option<HostName>| {
                some(&left, &scene.load, &judged, fixed, &mut BTreeMap::new(), 0)
            };
            let (restart, moving) = (trial(&stays), trial(&|_| None));
            let found = lost(&scene, &hosts);
            for (verdict, truth) in [(&found.restart, restart), (&found.moving, moving)] {
                match verdict {
                    Verdict::Survived => prop_assert!(truth, "{:?}", found),
                    Verdict::Failed { .. } => prop_assert!(!truth, "{:?}", found),
                    Verdict::Open => prop_assert!(false, "{:?}", found),
                }
            }
        }
    }
}

#[test]
fn a_restart_may_need_others_to_move() {
    let cluster = "hosts:
  - { name: h1, cpu: 8cores, memory: 6GiB, network: 100MiB/s, state: on }
  - { name: h2, cpu: 8cores, memory: 6GiB, network: 100MiB/s, state: on }
  - { name: h3, cpu: 8cores, memory: 6GiB, network: 100MiB/s, state: on }
guests:
  - { name: big, vcpus: 1, memory: 4GiB, host: h1 }
  - { name: b, vcpus: 1, memory: 3GiB, host: h2 }
  - { name: c, vcpus: 1, memory: 3GiB, host: h3 }
";
    let policy = "headroom: { memory: 0% }\noverhead: { memory: 0MiB }\n";
    let (cluster, load, policy) = read(cluster, "", policy);
    let scene = Scene {
        cluster,
        load,
        policy,
    };
    let host = |name: &str| vec![name.parse::<HostName>().unwrap()];
    // `big` finds 3 GiB free on each of the others; with `b` beside `c` it has a host of its own.
    let found = lost(&scene, &host("h1"));
    assert!(matches!(found.restart, Verdict::Failed { .. }), "{found:?}");
    assert_eq!(found.moving, Verdict::Survived);
    assert_eq!(lost(&scene, &host("h2")).restart, Verdict::Survived);
    let pairs = sets(&scene.cluster, 2);
    assert_eq!(pairs.len(), 3);
    for pair in pairs {
        let found = lost(&scene, &pair);
        assert!(matches!(found.moving, Verdict::Failed { .. }), "{found:?}");
    }
}
