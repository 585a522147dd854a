//! Small clusters and plans for tests.

use std::collections::BTreeMap;

use vmpack_domain::cluster::{Cluster, Guest, Host, HostState, PostCopy, Reserve};
use vmpack_domain::plan::{
    Base, Claim, HostChange, Mode, Move, MoveClaim, MoveId, Plan, PlanStatus, TimeClaim,
};
use vmpack_domain::policy::Policy;
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Ratio, Sum};
use vmpack_hypervisor::{GuestState, Sighting};

pub(crate) fn host(name: &str) -> Host {
    Host {
        name: name.parse().unwrap(),
        cpu: MilliCores::cores(8),
        memory: MiB(16 * 1024),
        network: MiBPerSec(1000),
        state: HostState::On,
        speed: Ratio::ONE,
        reserve: Reserve::default(),
        labels: BTreeMap::new(),
        never_sleep: false,
        uri: None,
        migrate_address: None,
        probe: None,
    }
}

/// A guest of 2 vCPUs and 2 GiB.
pub(crate) fn guest(name: &str, at: &str) -> Guest {
    Guest {
        name: name.parse().unwrap(),
        uuid: None,
        vcpus: 2,
        memory: MiB(2048),
        host: Some(at.parse().unwrap()),
        reserved: MilliCores::ZERO,
        movable: true,
        moved_ago: None,
        post_copy: PostCopy::Allowed,
        requires: BTreeMap::new(),
    }
}

/// Hosts, and guests as (name, host).
pub(crate) fn cluster(hosts: &[&str], guests: &[(&str, &str)]) -> Cluster {
    Cluster {
        hosts: hosts.iter().map(|h| host(h)).collect(),
        guests: guests.iter().map(|(g, h)| guest(g, h)).collect(),
    }
}

pub(crate) fn a_move(id: &str, guest: &str, from: &str, to: &str) -> Move {
    Move {
        id: MoveId(id.to_owned()),
        guest: guest.parse().unwrap(),
        uuid: None,
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        mode: Mode::PostCopy,
        memory: MiB(2048),
        vcpus: 2,
        demand: MilliCores(500),
        bandwidth: MiBPerSec(1000),
        start: Micros::ZERO,
        duration: Micros::secs(3),
        expected: None,
        after: Vec::new(),
        reason: "test".to_owned(),
    }
}

/// The plan of those moves for that cluster.
pub(crate) fn plan(cluster: &Cluster, moves: Vec<Move>) -> Plan {
    let mut target = cluster.placement();
    for mv in &moves {
        target.insert(mv.guest.clone(), mv.to.clone());
    }
    let mut after: Vec<_> = target.values().cloned().collect();
    after.sort();
    after.dedup();
    let hosts = u32::try_from(after.len()).unwrap();
    Plan {
        base: Base {
            cluster: String::new(),
            load: String::new(),
        },
        policy: Policy::default(),
        status: PlanStatus::Optimal,
        claim: Claim {
            objective: Sum(u64::from(hosts) * 1000),
            bound: Sum(u64::from(hosts) * 1000),
            origin: "test".to_owned(),
            hosts_bound: hosts,
        },
        move_claim: MoveClaim {
            objective: moves.iter().map(|m| m.memory).sum(),
            bound: moves.iter().map(|m| m.memory).sum(),
            origin: "test".to_owned(),
        },
        time_claim: TimeClaim {
            objective: Micros::secs(3),
            bound: Micros::ZERO,
            origin: "test".to_owned(),
        },
        trade_claim: None,
        hosts: HostChange {
            before: cluster.hosts_in_use(),
            after,
            wake: Vec::new(),
        },
        target,
        moves,
        starts: Vec::new(),
        reasons: Vec::new(),
    }
}

pub(crate) fn sighting(at: &str, state: GuestState) -> Sighting {
    Sighting {
        host: at.parse().unwrap(),
        state,
        uuid: None,
        memory: MiB(2048),
        vcpus: 2,
    }
}
