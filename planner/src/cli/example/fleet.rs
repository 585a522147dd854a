//! A made-up cluster: hosts of two makes in racks, guests of five roles with a day of load, a
//! policy with a few rules, and a loose placement that keeps them. The same seed gives the same.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use vmpack_domain::cluster::Reserve;
use vmpack_domain::demand::demand;
use vmpack_domain::load::{Statistic, Windows, jiff_serde};
use vmpack_domain::name::NameError;
use vmpack_domain::rule::{Over, RuleKind};
use vmpack_domain::units::{
    MiB, MiBPerSec, Micros, MilliCores, PagesPerSec, Permille, Ratio, count,
};
use vmpack_domain::{
    Cluster, CpuLoad, Guest, GuestLoad, GuestName, Host, HostState, Load, Policy, PostCopy, Rule,
    Tier,
};

use super::day::{Role, WINDOWS, below, between, day};

/// How much is to be made.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Size {
    /// Hosts.
    pub(crate) hosts: u32,
    /// Guests.
    pub(crate) guests: u32,
    /// Of all that is drawn.
    pub(crate) seed: u64,
    /// Makes of hosts, 1 to 3.
    #[serde(default = "Size::two")]
    pub(crate) makes: u32,
    /// The share of the guests that rules keep apart; some databases and web servers without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ruled: Option<Permille>,
    /// The windows of the day, of which the policy then counts demand jointly; 288 without it, of which
    /// it takes the 95th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) windows: Option<u32>,
}

impl Size {
    pub(crate) fn two() -> u32 {
        2
    }
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fleet {
    pub(crate) cluster: Cluster,
    pub(crate) load: Load,
    pub(crate) policy: Policy,
}

/// Why nothing can be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FleetError {
    #[error("{} do not fit {}, about 12 fit each", count(*guests as usize, "guest"), count(*hosts as usize, "host"))]
    TooFull { hosts: u32, guests: u32 },
    #[error("asked for {0}, at most 100000 are made")]
    TooMany(u32),
    #[error("asked for {0} makes of hosts, there are 1 to 3")]
    Makes(u32),
    #[error("asked for {0} windows, expected a divisor of {WINDOWS}")]
    Windows(u32),
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Of 20 guests, so many have the role.
const ROLES: [(Role, &str, u64); 5] = [
    (Role::Office, "office", 7),
    (Role::Web, "web", 5),
    (Role::Batch, "batch", 2),
    (Role::Database, "db", 2),
    (Role::Dev, "dev", 4),
];

/// Guests of the same role in groups of this size must not share a place.
const GROUP: usize = 3;

/// A fleet of that size.
pub(crate) fn fleet(size: Size) -> Result<Fleet, FleetError> {
    if let Some(n) = [size.hosts, size.guests].into_iter().find(|n| *n > 100_000) {
        return Err(FleetError::TooMany(n));
    }
    if !(1..=3).contains(&size.makes) {
        return Err(FleetError::Makes(size.makes));
    }
    let windows = size.windows.unwrap_or(288);
    let each = usize::try_from(windows)
        .ok()
        .and_then(|w| WINDOWS.checked_div(w).filter(|each| each * w == WINDOWS))
        .ok_or(FleetError::Windows(windows))?;
    let mut rng = ChaCha8Rng::seed_from_u64(size.seed);
    let hosts = (1..=size.hosts)
        .map(|n| host(n, size.hosts, size.makes))
        .collect::<Result<Vec<_>, _>>()?;
    let mut guests = Vec::new();
    let mut load = Load::default();
    let mut roles: BTreeMap<&str, Vec<GuestName>> = BTreeMap::new();
    for _ in 0..size.guests {
        let (role, name) = draw_role(&mut rng);
        let known = roles.entry(name).or_default();
        let name: GuestName = format!("{name}-{:03}", known.len() + 1).parse()?;
        known.push(name.clone());
        let guest = guest(role, name.clone(), &mut rng);
        let own = guest_load(role, &guest, each, &mut rng);
        load.guests.insert(name, own);
        guests.push(guest);
    }
    let policy = policy(&roles, size);
    let mut cluster = Cluster { hosts, guests };
    place(&mut cluster, &load, &policy, &mut rng).ok_or(FleetError::TooFull {
        hosts: size.hosts,
        guests: size.guests,
    })?;
    Ok(Fleet {
        cluster,
        load,
        policy,
    })
}

/// Every fourth host is of the newer and larger make, every fourth of a third one if there is; four
/// racks.
fn host(n: u32, all: u32, makes: u32) -> Result<Host, NameError> {
    let digits = all.to_string().len().max(2);
    let (cores, gib, speed, make) = match n % 4 {
        0 if makes > 1 => (48, 256, Ratio(1200), "icelake"),
        2 if makes > 2 => (64, 384, Ratio(900), "rome"),
        _ => (32, 128, Ratio::ONE, "skylake"),
    };
    Ok(Host {
        name: format!("h{n:0digits$}").parse()?,
        cpu: MilliCores::cores(cores),
        memory: MiB(gib * 1024),
        network: MiBPerSec(1250),
        state: HostState::On,
        speed,
        reserve: Reserve {
            cpu: MilliCores::cores(1),
            memory: MiB(2 * 1024),
        },
        labels: BTreeMap::from([
            ("rack".to_owned(), format!("r{}", (n - 1) % 4 + 1)),
            ("cpu".to_owned(), make.to_owned()),
        ]),
        never_sleep: false,
        uri: None,
        migrate_address: None,
        probe: None,
    })
}

fn draw_role(rng: &mut ChaCha8Rng) -> (Role, &'static str) {
    let mut left = below(rng, ROLES.iter().map(|r| r.2).sum());
    for (role, name, share) in ROLES {
        if left < share {
            return (role, name);
        }
        left -= share;
    }
    (Role::Office, "office")
}

fn guest(role: Role, name: GuestName, rng: &mut ChaCha8Rng) -> Guest {
    // (vCPUs, GiB), each as likely as the others.
    let flavours: &[(u32, u64)] = match role {
        Role::Office => &[(2, 4), (2, 4), (2, 2), (4, 8)],
        Role::Web => &[(2, 2), (2, 4), (4, 8), (8, 16)],
        Role::Batch => &[(4, 8), (4, 8), (8, 16)],
        Role::Database => &[(4, 8), (4, 16), (8, 32)],
        Role::Dev => &[(1, 1), (2, 2), (2, 4), (4, 8)],
    };
    let pick = usize::try_from(below(rng, flavours.len() as u64)).unwrap_or(0);
    let (vcpus, gib) = flavours.get(pick).copied().unwrap_or((2, 4));
    let fragile = role == Role::Database && below(rng, 4) == 0;
    Guest {
        name,
        uuid: None,
        vcpus,
        memory: MiB(gib * 1024),
        host: None,
        reserved: if role == Role::Database {
            MilliCores::cores(1)
        } else {
            MilliCores::ZERO
        },
        movable: true,
        moved_ago: None,
        post_copy: if fragile {
            PostCopy::Never
        } else {
            PostCopy::Allowed
        },
        requires: BTreeMap::new(),
    }
}

/// With so many windows of five minutes in one, of which the largest counts.
fn guest_load(role: Role, guest: &Guest, each: usize, rng: &mut ChaCha8Rng) -> GuestLoad {
    let day = day(role, guest.vcpus, rng);
    let largest = |all: &[MilliCores]| all.iter().copied().max().unwrap_or_default();
    let windows = Windows {
        start: jiff_serde::Timestamp(DAY),
        step: Micros::secs(300 * each as u64),
        values: day.chunks(each.max(1)).map(largest).collect(),
    };
    // Pages per second and percent of the memory, as kinds of guests differ.
    let (dirty, touched) = match role {
        Role::Office => (between(rng, 50, 800), 70),
        Role::Web => (between(rng, 200, 3000), 80),
        Role::Batch => (between(rng, 500, 8000), 85),
        Role::Database => (between(rng, 1000, 15_000), 95),
        Role::Dev => (between(rng, 5, 200), 50),
    };
    let memory = MiB(guest.memory.0 * touched / 100);
    GuestLoad {
        cpu: Some(CpuLoad {
            p50: windows.statistic(Statistic::P50),
            p95: windows.statistic(Statistic::P95),
            max: windows.statistic(Statistic::Max),
            window: Some(windows.step),
            span: Some(Micros::secs(86_400)),
            windows: Some(windows),
            ..CpuLoad::default()
        }),
        dirty: Some(PagesPerSec(dirty)),
        dirty_tier: Some(Tier::DirtyLog),
        memory: Some(memory),
        working_set: Some(MiB(memory.0 * between(rng, 10, 40) / 100)),
        tier: Some(Tier::Ebpf),
        age: Some(Micros::secs(between(rng, 5, 60))),
    }
}

/// A Monday.
const DAY: jiff::Timestamp = jiff::Timestamp::constant(1_767_571_200, 0);

/// The default, with room for one host's failure, databases and some web servers apart, and
/// batch jobs kept off one rack.
fn policy(roles: &BTreeMap<&str, Vec<GuestName>>, size: Size) -> Policy {
    let hosts = size.hosts;
    // Groups of each of the two roles that have some.
    let ruled = size
        .ruled
        .map(|share| u64::from(size.guests) * share.0 / 1000);
    let groups = ruled.map_or(4, |guests| {
        usize::try_from(guests).unwrap_or(0).div_ceil(2 * GROUP)
    });
    let mut rules = Vec::new();
    let mut apart = |role: &str, over: Over, groups: usize| {
        let members = roles.get(role).map_or(&[][..], Vec::as_slice);
        for (n, group) in members.chunks_exact(GROUP).take(groups).enumerate() {
            rules.push(Rule {
                name: format!("{role}-apart-{}", n + 1),
                kind: RuleKind::Spread {
                    guests: group.iter().map(ToString::to_string).collect(),
                    over: over.clone(),
                },
            });
        }
    };
    if hosts >= 8 {
        apart("db", Over::Host, groups);
        apart("web", Over::Label("rack".into()), groups);
        if roles.contains_key("batch") {
            rules.push(Rule {
                name: "batch-off-rack-1".into(),
                kind: RuleKind::Ban {
                    guests: vec!["batch-*".into()],
                    hosts: vec!["rack=r1".into()],
                },
            });
        }
        rules.push(Rule {
            name: "one-host-may-fail".into(),
            kind: RuleKind::Spare { hosts: 1 },
        });
    }
    let mut policy = Policy {
        rules,
        ..Policy::default()
    };
    policy.demand.joint = size.windows.is_some();
    policy
}

/// Puts every guest on the emptiest of a few hosts drawn, as a scheduler that spreads would;
/// `None` when they do not fit.
fn place(cluster: &mut Cluster, load: &Load, policy: &Policy, rng: &mut ChaCha8Rng) -> Option<()> {
    let rooms: Vec<[u64; 3]> = cluster.hosts.iter().map(|h| room(h, policy)).collect();
    let mut used = vec![[0u64; 3]; rooms.len()];
    let mut order: Vec<usize> = (0..cluster.guests.len()).collect();
    order.sort_by_key(|g| std::cmp::Reverse(cluster.guests.get(*g).map(|g| g.memory)));
    let mut at: BTreeMap<GuestName, usize> = BTreeMap::new();
    for g in order {
        let guest = cluster.guests.get(g)?;
        let need = [
            demand(guest, load.guests.get(&guest.name), policy.demand.cpu)
                .cpu
                .0,
            (guest.memory + policy.overhead.memory).0,
            u64::from(guest.vcpus) * 1000,
        ];
        let banned = taken_places(cluster, policy, guest, &at);
        let open: Vec<usize> = (0..rooms.len())
            .filter(|h| {
                let (Some(room), Some(used)) = (rooms.get(*h), used.get(*h)) else {
                    return false;
                };
                let fits = room
                    .iter()
                    .zip(used)
                    .zip(need)
                    .all(|((r, u), n)| u + n <= *r);
                fits && !banned.contains(h)
            })
            .collect();
        // Three draws: loose, and not level.
        let draws = (0..3).filter_map(|_| {
            let i = usize::try_from(below(rng, open.len() as u64)).ok()?;
            open.get(i).copied()
        });
        let fill = |h: &usize| {
            let (room, used) = (rooms.get(*h)?.get(1)?, used.get(*h)?.get(1)?);
            Some(used * 1000 / (*room).max(1))
        };
        let host = draws.min_by_key(fill)?;
        for (u, n) in used.get_mut(host)?.iter_mut().zip(need) {
            *u += n;
        }
        at.insert(guest.name.clone(), host);
    }
    let names: Vec<_> = cluster.hosts.iter().map(|h| h.name.clone()).collect();
    for guest in &mut cluster.guests {
        guest.host = names.get(*at.get(&guest.name)?).cloned();
    }
    Some(())
}

/// A little less than what the policy lets guests use: the room of [`vmpack_domain::check`].
fn room(host: &Host, policy: &Policy) -> [u64; 3] {
    let cores = (host.cpu.0 * host.speed.0 / 1000).saturating_sub(host.reserve.cpu.0);
    let memory = host.memory.0.saturating_sub(host.reserve.memory.0);
    [
        cores * (1000 - policy.headroom.cpu.0.min(1000)) / 1000,
        memory * (1000 - policy.headroom.memory.0.min(1000)) / 1000,
        host.cpu.0 * policy.over_commit.cpu.0 / 1000,
    ]
}

/// The hosts that a rule closes to the guest, given where others are.
fn taken_places(
    cluster: &Cluster,
    policy: &Policy,
    guest: &Guest,
    at: &BTreeMap<GuestName, usize>,
) -> BTreeSet<usize> {
    let mut taken = BTreeSet::new();
    for rule in &policy.rules {
        let named = |patterns: &[String]| {
            patterns
                .iter()
                .any(|p| vmpack_domain::rule::matches(p, guest.name.as_str()))
        };
        match &rule.kind {
            RuleKind::Spread { guests, over } if named(guests) => {
                let places: BTreeSet<_> = at
                    .iter()
                    .filter(|(name, _)| guests.iter().any(|g| g == name.as_str()))
                    .filter_map(|(_, h)| cluster.hosts.get(*h).map(|h| over.place(h)))
                    .collect();
                let hosts = cluster.hosts.iter().enumerate();
                taken.extend(
                    hosts
                        .filter(|(_, h)| places.contains(&over.place(h)))
                        .map(|(h, _)| h),
                );
            }
            RuleKind::Ban { guests, hosts } if named(guests) => {
                let banned = vmpack_domain::rule::hosts_named(hosts, cluster).unwrap_or_default();
                let all = cluster.hosts.iter().enumerate();
                taken.extend(
                    all.filter(|(_, h)| banned.contains(&&h.name))
                        .map(|(h, _)| h),
                );
            }
            _ => {}
        }
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmpack_domain::check;
    use vmpack_domain::file::{Source, read_inputs, write_cluster, write_load, write_policy};

    fn made(hosts: u32, guests: u32, seed: u64) -> Fleet {
        fleet(Size {
            hosts,
            guests,
            seed,
            makes: 2,
            ruled: None,
            windows: None,
        })
        .unwrap()
    }

    #[test]
    fn it_begins_feasible_and_loosely_spread() {
        for (hosts, guests) in [(40, 400), (8, 60), (3, 5), (1, 0)] {
            for seed in 1..4 {
                let fleet = made(hosts, guests, seed);
                let Fleet {
                    cluster,
                    load,
                    policy,
                } = &fleet;
                let found = check::placement(cluster, load, policy, &cluster.placement());
                assert_eq!(found, [], "{hosts} {guests} {seed}");
                assert_eq!(cluster.placement().len(), cluster.guests.len());
            }
        }
        let used = made(40, 400, 1).cluster.hosts_in_use();
        assert_eq!(used.len(), 40);
    }

    #[test]
    fn the_same_seed_gives_the_same_and_another_another() {
        assert_eq!(made(10, 50, 7), made(10, 50, 7));
        assert_ne!(made(10, 50, 7), made(10, 50, 8));
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        let fleet = made(10, 50, 3);
        let source = |text: String| Source {
            name: "made".into(),
            text,
        };
        let inputs = read_inputs(
            &[source(write_cluster(&fleet.cluster))],
            &[source(write_load(&fleet.load))],
            &[source(write_policy(&fleet.policy))],
        )
        .unwrap();
        assert_eq!(inputs.cluster, fleet.cluster);
        assert_eq!(inputs.load, fleet.load);
        assert_eq!(inputs.policy, fleet.policy);
        assert_eq!(inputs.warnings, [] as [String; 0]);
    }

    #[test]
    fn what_cannot_be_made_is_said() {
        let size = Size {
            hosts: 2,
            guests: 500,
            seed: 1,
            makes: 2,
            ruled: None,
            windows: None,
        };
        let error = fleet(size).unwrap_err().to_string();
        assert_eq!(error, "500 guests do not fit 2 hosts, about 12 fit each");
        let size = Size {
            hosts: 200_000,
            ..size
        };
        assert!(fleet(size).is_err());
        let fewer = Size { hosts: 50, ..size };
        let windows = Some(25);
        let error = fleet(Size { windows, ..fewer }).unwrap_err().to_string();
        assert_eq!(error, "asked for 25 windows, expected a divisor of 288");
        assert!(fleet(Size { makes: 4, ..fewer }).is_err());
    }

    #[test]
    fn makes_rules_and_windows_are_as_asked_for() {
        let fleet = fleet(Size {
            hosts: 40,
            guests: 300,
            seed: 1,
            makes: 3,
            ruled: Some(Permille(100)),
            windows: Some(24),
        })
        .unwrap();
        let makes: BTreeSet<&String> = fleet
            .cluster
            .hosts
            .iter()
            .filter_map(|h| h.labels.get("cpu"))
            .collect();
        assert_eq!(makes.len(), 3);
        let spread = |r: &&Rule| matches!(r.kind, RuleKind::Spread { .. });
        assert_eq!(fleet.policy.rules.iter().filter(spread).count() * GROUP, 30);
        assert!(fleet.policy.demand.joint);
        let Fleet {
            cluster,
            load,
            policy,
        } = &fleet;
        let one = load
            .guests
            .values()
            .next()
            .and_then(|g| g.cpu.as_ref()?.windows.as_ref());
        assert_eq!(
            one.map(|w| (w.values.len(), w.step)),
            Some((24, Micros::secs(3600)))
        );
        let found = check::placement(cluster, load, policy, &cluster.placement());
        assert_eq!(found, []);
    }
}
