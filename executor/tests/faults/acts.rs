//! What a history is made of: hosts, guests, a plan, and what goes wrong, drawn at random.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vmpack_domain::plan::{
    Base, Claim, HostChange, Move, MoveClaim, MoveId, Plan, PlanStatus, TimeClaim,
};
use vmpack_domain::policy::{Headroom, Migrations, Overhead, Policy};
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, PagesPerSec, Permille, Ratio, Sum};
use vmpack_domain::{Cluster, Guest, GuestLoad, GuestName, Host, HostName, HostState, Load, Mode};
use vmpack_hypervisor::sim::{Fault, Options, Phase, Trouble, When};

/// Of every host's link.
const LINK: MiBPerSec = MiBPerSec(100);
/// How long a move is predicted to take; it is given up after twice as long and half a minute.
const PREDICTED: Micros = Micros::secs(100);
/// Pages a second that a guest dirties of which the pre-copy ends within that, whatever shares its link.
const CALM: u64 = 2000;

/// A move: guest, host, kind.
pub(crate) type Hop = (usize, usize, Mode);

/// A history before it happens.
#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) hosts: usize,
    /// Host, MiB, dirty pages a second.
    pub(crate) guests: Vec<(usize, u64, u64)>,
    pub(crate) moves: Vec<Hop>,
    /// The moves of a second controller, and when it begins, in ms.
    pub(crate) second: Option<(Vec<Hop>, u64)>,
    /// MiB that each host has to spare.
    pub(crate) spare: u64,
    pub(crate) parallel: usize,
    pub(crate) per_host: usize,
    /// Most guests in split state at once at each host; 0 for no such limit.
    pub(crate) split: u32,
    /// How carefully the first controller goes about it.
    pub(crate) care: Care,
    pub(crate) heals: bool,
    pub(crate) resume_crashes: bool,
    pub(crate) upsets: Vec<Upset>,
    /// Of the order in which threads get their turns.
    pub(crate) seed: u64,
}

/// Canaries, looks at guests that have moved, and stops.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Care {
    /// So many at once until one has gone well; 0 for no such limit.
    pub(crate) canary: usize,
    /// Whether guests and hosts are looked at after their moves.
    pub(crate) verify: bool,
    /// After so many failures a person is asked, who says after a while to go on; 0 for never.
    pub(crate) stop_after: u32,
    /// Whether the agent of guest 0 never answers.
    pub(crate) mute: bool,
}

/// Something that goes wrong, or that somebody asks for. Numbers of events count those of the first
/// controller's journal; spans are in ms.
#[derive(Debug, Clone)]
pub(crate) enum Upset {
    /// A blow to a host or a guest, mended after a span if it can be.
    Blow {
        when: Strikes,
        what: Blow,
        at: Side,
        mended: Option<u64>,
    },
    /// The guest is shut down by its owner.
    ShutDown { when: Strikes, guest: usize },
    /// Somebody else moves the guest to a host.
    Elsewhere {
        when: Strikes,
        guest: usize,
        to: usize,
    },
    /// The executor is killed right after it wrote so many events.
    Kill { events: usize, back: u64 },
    /// The executor is killed at that time.
    KillAt { at: u64, back: u64 },
    /// The journal takes so many events and no more, until somebody makes room.
    DiskFull { events: usize, back: u64 },
    /// The executor is interrupted once or twice, and started again.
    Interrupt {
        events: usize,
        twice: bool,
        back: u64,
    },
    /// The run is aborted.
    Abort { events: usize },
    /// All new starts are held for a while.
    Pause { events: usize, lasts: u64 },
    /// Moves that go before all others are asked for.
    Relief {
        events: usize,
        guest: usize,
        to: usize,
        mode: Mode,
    },
    /// The wall clock jumps by so many seconds.
    ClockJump { at: u64, by: i64 },
}

/// When a blow strikes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Strikes {
    /// At that time.
    At(u64),
    /// In a phase of the first migration of that move's guest, so long after its beginning.
    In(usize, Phase, u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Blow {
    LinkDown,
    LinkSlow,
    Refuses,
    HostDies,
    DaemonDies,
    QemuDies,
}

/// Which host a blow strikes: an end of the move that it waits for, or any.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Side {
    Source,
    Target,
    Host(usize),
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        2 => Just(Mode::PreCopy),
        1 => Just(Mode::Hybrid),
        3 => Just(Mode::PostCopy)
    ]
}

fn strikes() -> impl Strategy<Value = Strikes> {
    let phase = prop_oneof![
        1 => Just(Phase::Setup),
        2 => Just(Phase::Copy),
        4 => Just(Phase::Fetch)
    ];
    prop_oneof![
        1 => (0u64..120_000).prop_map(Strikes::At),
        3 => (0usize..8, phase, 0u64..15_000).prop_map(|(m, p, after)| Strikes::In(m, p, after)),
    ]
}

fn upset() -> impl Strategy<Value = Upset> {
    let blow = prop_oneof![
        6 => Just(Blow::LinkDown),
        1 => Just(Blow::LinkSlow),
        1 => Just(Blow::Refuses),
        1 => Just(Blow::HostDies),
        4 => Just(Blow::DaemonDies),
        3 => Just(Blow::QemuDies),
    ];
    let side = prop_oneof![
        2 => Just(Side::Source),
        2 => Just(Side::Target),
        1 => (0usize..4).prop_map(Side::Host)
    ];
    let mended = prop::option::weighted(0.85, 0u64..90_000);
    let (events, back) = (1usize..24, 0u64..60_000);
    prop_oneof![
        8 => (strikes(), blow, side, mended)
            .prop_map(|(when, what, at, mended)| Upset::Blow { when, what, at, mended }),
        1 => (strikes(), 0usize..6).prop_map(|(when, guest)| Upset::ShutDown { when, guest }),
        2 => (strikes(), 0usize..6, 0usize..4)
            .prop_map(|(when, guest, to)| Upset::Elsewhere { when, guest, to }),
        5 => (events.clone(), back.clone()).prop_map(|(events, back)| Upset::Kill { events, back }),
        2 => (0u64..120_000, back.clone()).prop_map(|(at, back)| Upset::KillAt { at, back }),
        2 => (events.clone(), back.clone())
            .prop_map(|(events, back)| Upset::DiskFull { events, back }),
        1 => (events.clone(), any::<bool>(), back)
            .prop_map(|(events, twice, back)| Upset::Interrupt { events, twice, back }),
        1 => events.clone().prop_map(|events| Upset::Abort { events }),
        1 => (events.clone(), 1000u64..60_000)
            .prop_map(|(events, lasts)| Upset::Pause { events, lasts }),
        1 => (events, 0usize..6, 0usize..4, mode())
            .prop_map(|(events, guest, to, mode)| Upset::Relief { events, guest, to, mode }),
        1 => (0u64..120_000, -100_000i64..100_000)
            .prop_map(|(at, by)| Upset::ClockJump { at, by }),
    ]
}

/// Half of the histories go without.
fn care() -> impl Strategy<Value = Care> {
    let careful = (0usize..3, any::<bool>(), 0u32..3, prop::bool::weighted(0.2));
    let careful = careful.prop_map(|(canary, verify, stop_after, mute)| Care {
        canary,
        verify,
        stop_after,
        mute,
    });
    prop_oneof![Just(Care::default()), careful]
}

/// Any history.
pub(crate) fn history() -> impl Strategy<Value = History> {
    let guests = |most| prop::collection::vec((0usize..4, 500u64..3000, 0..=most), 1..6);
    let guests = prop_oneof![guests(CALM), guests(20_000)];
    let moves = || prop::collection::vec((0usize..6, 0usize..4, mode()), 1..6);
    // Half of the second controllers want what the first one wants, half of them at about the same time.
    let begins = prop_oneof![0u64..30_000, 0u64..2_000];
    let second = prop::option::weighted(0.2, (prop::option::weighted(0.5, moves()), begins));
    let shape = (2usize..5, guests, moves(), second, 0u64..1500);
    let limits = (
        1usize..5,
        1usize..3,
        any::<bool>(),
        prop::bool::weighted(0.15),
        (care(), 0u32..3),
    );
    let rest = (prop::collection::vec(upset(), 0..5), any::<u64>());
    (shape, limits, rest).prop_map(|(shape, limits, rest)| {
        let (hosts, guests, moves, second, spare) = shape;
        let second = second.map(|(own, at)| (own.unwrap_or_else(|| moves.clone()), at));
        let (parallel, per_host, heals, resume_crashes, (care, split)) = limits;
        History {
            hosts,
            guests: guests
                .into_iter()
                .map(|(h, m, d)| (h % hosts, m, d))
                .collect(),
            moves,
            second,
            spare,
            parallel,
            per_host,
            split,
            care,
            heals,
            resume_crashes,
            upsets: rest.0,
            seed: rest.1,
        }
    })
}

pub(crate) fn host(n: usize) -> HostName {
    format!("h{n}").parse().expect("a plain name")
}

pub(crate) fn guest(n: usize) -> GuestName {
    format!("g{n}").parse().expect("a plain name")
}

impl History {
    /// Whether nothing but executors and their surroundings is disturbed, so that the plan must come
    /// to its end.
    pub(crate) fn harmless(&self) -> bool {
        let harmless = |u: &Upset| {
            matches!(
                u,
                Upset::Kill { .. }
                    | Upset::KillAt { .. }
                    | Upset::DiskFull { .. }
                    | Upset::Pause { .. }
                    | Upset::Interrupt { twice: false, .. }
                    | Upset::ClockJump { .. }
            )
        };
        let calm = self.guests.iter().all(|g| g.2 <= CALM);
        let stops = self.care.mute && self.care.stop_after > 0;
        calm && !stops && self.second.is_none() && self.upsets.iter().all(harmless)
    }

    /// Hosts that are just large enough for the moves one after the other, and their guests.
    pub(crate) fn cluster(&self) -> (Cluster, Load) {
        let mut most: Vec<u64> = vec![0; self.hosts];
        let mut at: Vec<usize> = self.guests.iter().map(|g| g.0).collect();
        let memory = |g: usize| self.guests[g].1;
        let fill = |at: &[usize], host: usize| -> u64 {
            (0..at.len()).filter(|g| at[*g] == host).map(memory).sum()
        };
        for (host, most) in most.iter_mut().enumerate() {
            *most = fill(&at, host);
        }
        for (g, to, _) in self.sensible(&self.moves) {
            at[g] = to;
            most[to] = most[to].max(fill(&at, to));
        }
        let hosts = most.iter().enumerate().map(|(n, most)| Host {
            name: host(n),
            cpu: MilliCores::cores(1000),
            memory: MiB(most + self.spare),
            network: LINK,
            state: HostState::On,
            speed: Ratio::ONE,
            reserve: Default::default(),
            labels: Default::default(),
            never_sleep: false,
            uri: None,
            migrate_address: None,
            probe: None,
        });
        let guests = self
            .guests
            .iter()
            .enumerate()
            .map(|(n, (at, memory, _))| Guest {
                name: guest(n),
                uuid: None,
                vcpus: 1,
                memory: MiB(*memory),
                host: Some(host(*at)),
                reserved: MilliCores::ZERO,
                movable: true,
                moved_ago: None,
                post_copy: Default::default(),
                requires: Default::default(),
            });
        let cluster = Cluster {
            hosts: hosts.collect(),
            guests: guests.collect(),
        };
        let mut load = Load::default();
        for (n, (_, _, dirty)) in self.guests.iter().enumerate() {
            let measured = GuestLoad {
                dirty: Some(PagesPerSec(*dirty)),
                ..GuestLoad::default()
            };
            load.guests.insert(guest(n), measured);
        }
        (cluster, load)
    }

    /// The moves that lead somewhere, in this world's numbers.
    fn sensible(&self, moves: &[(usize, usize, Mode)]) -> Vec<(usize, usize, Mode)> {
        let mut at: Vec<usize> = self.guests.iter().map(|g| g.0).collect();
        let mut sensible = Vec::new();
        for (g, to, mode) in moves {
            let (g, to) = (g % at.len(), to % self.hosts);
            if at[g] != to {
                at[g] = to;
                sensible.push((g, to, *mode));
            }
        }
        sensible
    }

    /// The plan of those moves. Each waits for earlier ones that make room at its target.
    pub(crate) fn plan(&self, prefix: &str, moves: &[(usize, usize, Mode)]) -> Plan {
        let mut at: Vec<usize> = self.guests.iter().map(|g| g.0).collect();
        let mut made: Vec<Move> = Vec::new();
        for (g, to, mode) in self.sensible(moves) {
            let from = std::mem::replace(&mut at[g], to);
            let frees = |m: &&Move| m.from == host(to) || m.guest == guest(g);
            let after = made.iter().filter(frees).map(|m| m.id.clone()).collect();
            made.push(Move {
                id: MoveId(format!("{prefix}{}", made.len() + 1)),
                guest: guest(g),
                uuid: None,
                from: host(from),
                to: host(to),
                mode,
                memory: MiB(self.guests[g].1),
                vcpus: 1,
                demand: MilliCores(100),
                bandwidth: LINK,
                start: Micros::ZERO,
                duration: PREDICTED,
                expected: None,
                after,
                reason: "a history".to_owned(),
            });
        }
        let target = at.iter().enumerate().map(|(g, h)| (guest(g), host(*h)));
        plan_of(target.collect(), made, self.split)
    }

    /// The world's own options; `plan` says which hosts are a move's ends.
    pub(crate) fn options(&self, plan: &Plan) -> Options {
        let faults = self.upsets.iter().flat_map(|u| self.faults(plan, u));
        Options {
            seed: self.seed,
            jitter: Permille(100),
            faults: faults.collect(),
            heals: self.heals,
            libvirt: if self.resume_crashes {
                11_003_000
            } else {
                9_000_000
            },
            over_commits: true,
        }
    }

    fn faults(&self, plan: &Plan, upset: &Upset) -> Vec<Fault> {
        let of = |n: usize| &plan.moves[n % plan.moves.len()];
        let when = |strikes: Strikes, later: u64| match strikes {
            Strikes::In(n, phase, after) if !plan.moves.is_empty() => When::Phase {
                guest: of(n).guest.clone(),
                phase,
                after: Micros::millis(after + later),
            },
            Strikes::At(at) | Strikes::In(_, _, at) => When::At(Micros::millis(at + later)),
        };
        let fault = |strikes, later, what| Fault {
            when: when(strikes, later),
            what,
        };
        match *upset {
            Upset::Blow {
                when,
                what,
                at,
                mended,
            } => {
                let mv = match when {
                    Strikes::In(n, ..) if !plan.moves.is_empty() => Some(of(n)),
                    _ => plan.moves.first(),
                };
                let host = match (at, mv) {
                    (Side::Source, Some(mv)) => mv.from.clone(),
                    (Side::Target, Some(mv)) => mv.to.clone(),
                    (Side::Host(n), _) => host(n % self.hosts),
                    _ => host(0),
                };
                let struck = match what {
                    Blow::LinkDown => Trouble::LinkDown(host.clone()),
                    Blow::LinkSlow => Trouble::LinkSlow(host.clone(), Permille(100)),
                    Blow::Refuses => Trouble::Refuses(host.clone()),
                    Blow::HostDies => Trouble::Dies(host.clone()),
                    Blow::DaemonDies => Trouble::DaemonDies(host.clone()),
                    Blow::QemuDies => {
                        let guest = mv.map_or_else(|| guest(0), |m| m.guest.clone());
                        Trouble::QemuDies(guest, host.clone())
                    }
                };
                let mends = match what {
                    Blow::LinkDown | Blow::LinkSlow => Some(Trouble::LinkUp(host)),
                    Blow::DaemonDies => Some(Trouble::DaemonBack(host)),
                    _ => None,
                };
                let mends = mends.zip(mended).map(|(m, later)| fault(when, later, m));
                [Some(fault(when, 0, struck)), mends]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            Upset::ShutDown { when, guest: g } => {
                vec![fault(
                    when,
                    0,
                    Trouble::ShutDown(guest(g % self.guests.len())),
                )]
            }
            Upset::Elsewhere { when, guest: g, to } => {
                let (g, to) = (guest(g % self.guests.len()), host(to % self.hosts));
                vec![fault(when, 0, Trouble::Elsewhere(g, to))]
            }
            _ => Vec::new(),
        }
    }

    /// The plan of a move that goes before all others.
    pub(crate) fn relief(&self, g: usize, to: usize, mode: Mode, n: usize) -> Plan {
        self.plan(&format!("r{n}-"), &[(g, to, mode)])
    }
}

fn plan_of(target: BTreeMap<GuestName, HostName>, moves: Vec<Move>, split: u32) -> Plan {
    let most = std::num::NonZeroU32::new(split);
    let migrations = Migrations {
        split_at_once: most.map(|n| ("host".to_owned(), n)).into_iter().collect(),
        ..Migrations::default()
    };
    let policy = Policy {
        migrations,
        headroom: Headroom {
            cpu: Permille(0),
            memory: Permille(0),
        },
        overhead: Overhead { memory: MiB(0) },
        ..Policy::default()
    };
    let origin = || "a history".to_owned();
    let memory: MiB = moves.iter().map(|m| m.memory).sum();
    Plan {
        base: Base {
            cluster: "sha256:0".to_owned(),
            load: "sha256:0".to_owned(),
        },
        policy,
        status: PlanStatus::Optimal,
        claim: Claim {
            objective: Sum(1000),
            bound: Sum(1000),
            origin: origin(),
            hosts_bound: 1,
        },
        move_claim: MoveClaim {
            objective: memory,
            bound: memory,
            origin: origin(),
        },
        time_claim: TimeClaim {
            objective: PREDICTED,
            bound: Micros::ZERO,
            origin: origin(),
        },
        trade_claim: None,
        hosts: HostChange {
            before: Vec::new(),
            after: Vec::new(),
            wake: Vec::new(),
        },
        target,
        moves,
        starts: Vec::new(),
        reasons: Vec::new(),
    }
}
