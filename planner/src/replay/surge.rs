//! Sudden rises of load on packed hosts: the watch in a closed loop with simulated hosts, for a day.
//! Pure: the same settings and way give the same outcome.
//!
//! Guests want little until one, at a seeded moment, wants all its vCPUs for some minutes. Each hour they
//! are packed anew by what they want then (first fit, the largest first, and one host more is kept awake;
//! the host-hours stand beside a bound by volume). Between two events demand stands still, so the sums are exact; the loop looks ten
//! times a second only while something is overloaded or under way. What a migration takes is what the
//! domain's model predicts of it. A guest in split state still wants what it wanted, and looks idle.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;
use vmpack_domain::load::GuestLoad;
use vmpack_domain::plan::{Mode, Move};
use vmpack_domain::policy::ModePolicy;
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, PagesPerSec, Ratio};
use vmpack_domain::{Cluster, GuestName, Host, HostName, HostState, Load, Policy};

use crate::import::{guest, host};
use crate::relieve::{Limits, host_room};
use crate::watch::{Heard, Watch, Window};

const LOOK: Micros = Micros::millis(100);
const HOUR: Micros = Micros::secs(3600);
/// The memory of a host, and of a guest.
const HOST: MiB = MiB(384 * 1024);
const GUEST: MiB = MiB(8 * 1024);
/// How long a host takes to wake.
const WAKE: Micros = Micros::secs(60);
/// For so long after anything happened it is looked ten times a second, then twice.
const BUSY: Micros = Micros::secs(5);

/// What is simulated.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Hosts of 16 cores and 384 GiB, on links of 10 Gbit/s.
    pub hosts: u32,
    /// Guests of 4 vCPUs and 8 GiB.
    pub guests: u32,
    /// How many surges there are in all.
    pub surges: u32,
    /// For how long.
    pub span: Micros,
    /// Whose numbers.
    pub seed: u64,
}

/// How guests are placed, and what is done about surges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Over all hosts evenly.
    NotPacked,
    /// Each hour, and surges are left alone.
    Packed,
    /// Each hour, and surges are relieved by such migrations.
    Relieved(Mode),
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Outcome {
    /// Seconds in which a host was overloaded, over all hosts.
    pub violation_seconds: u64,
    /// Core-seconds that guests wanted and no core was there for.
    pub unserved_core_seconds: u64,
    /// Host-seconds awake.
    pub host_seconds: u64,
    /// The least host-seconds at which each hour's demand could be carried, by its volume.
    pub host_seconds_bound: u64,
    /// Migrations for relief.
    pub migrations: u64,
    /// Guests that were sent back for no reason of theirs.
    pub oscillations: u64,
    /// Hosts that were woken for relief.
    pub woken: u64,
}

/// One surge: when, of whom, until when.
type Surge = (Micros, usize, Micros);

struct World {
    now: Micros,
    cluster: Cluster,
    watch: Watch,
    policy: Policy,
    /// What a host may carry, and what it has, in thousandths of a core.
    room: u64,
    cores: u64,
    base: Vec<u64>,
    wants: Vec<u64>,
    /// Where each guest runs, by number.
    at: Vec<usize>,
    load: Vec<u64>,
    awake: Vec<bool>,
    waking: BTreeMap<usize, Micros>,
    moving: Vec<Moving>,
    heard: Micros,
    news: Micros,
    /// In micro-units of the outcome's.
    violation: u128,
    unserved: u128,
    used: u128,
    outcome: Outcome,
}

struct Moving {
    mv: Move,
    guest: usize,
    to: usize,
    switch: Option<Micros>,
    end: Micros,
}

/// Simulates one way.
///
/// # Errors
/// When the guests do not fit on the hosts.
pub fn surges(settings: &Settings, way: Way) -> Result<Outcome, String> {
    let mut world = World::new(settings, way)?;
    let mut events = made(settings);
    events.reverse();
    let mut ends: BTreeSet<(Micros, usize)> = BTreeSet::new();
    let mut hour = Micros::ZERO;
    while world.now < settings.span {
        let now = world.now;
        while let Some((_, guest, until)) = events.pop_if(|e| e.0 <= now) {
            world.want(guest, 4000);
            ends.insert((until, guest));
        }
        while let Some((_, guest)) = ends.pop_first().filter(|e| e.0 <= now || !ends.insert(*e)) {
            world.want(guest, world.base[guest]);
        }
        if hour <= now && world.moving.is_empty() {
            hour = Micros(now.0 / HOUR.0 * HOUR.0) + HOUR;
            let bound = world.bound();
            let left = settings.span.min(hour).saturating_sub(now);
            world.outcome.host_seconds_bound += bound * left.0 / 1_000_000;
            if way != Way::NotPacked {
                world.pack()?;
            }
        }
        if matches!(way, Way::Relieved(_)) {
            world.relieve();
        }
        let next = [
            events.last().map(|e| e.0),
            ends.first().map(|e| e.0),
            Some(hour),
        ];
        // A packing that waits for what is under way is made at the next look.
        let ahead = next.into_iter().flatten().filter(|t| *t > now);
        let next = ahead.min().unwrap_or(settings.span);
        let next = match way {
            Way::Relieved(_) => next.min(world.next_look()),
            _ => next,
        };
        world.pass(next.max(now + Micros(1)).min(settings.span));
    }
    let seconds = |sum: u128| u64::try_from(sum / 1_000_000).unwrap_or(u64::MAX);
    Ok(Outcome {
        violation_seconds: seconds(world.violation),
        unserved_core_seconds: seconds(world.unserved / 1000),
        host_seconds: seconds(world.used),
        oscillations: world.watch.oscillations().len() as u64,
        ..world.outcome
    })
}

/// The surges, in the order of time: from 2 to 15 minutes each.
fn made(settings: &Settings) -> Vec<Surge> {
    let mut dice = ChaCha8Rng::seed_from_u64(settings.seed ^ 0x5073);
    let mut upto = |n: u64| dice.next_u64() % n.max(1);
    let mut all: Vec<Surge> = (0..settings.surges)
        .map(|_| {
            let at = Micros(upto(settings.span.0));
            let guest = upto(settings.guests.into());
            let until = at + Micros::secs(120 + upto(780));
            (at, usize::try_from(guest).unwrap_or(0), until)
        })
        .collect();
    all.sort_unstable();
    all
}

fn name<T: std::str::FromStr>(letter: char, n: usize) -> Result<T, String> {
    let text = format!("{letter}{n}");
    text.parse().map_err(|_| format!("{text} is no name"))
}

impl World {
    fn new(settings: &Settings, way: Way) -> Result<Self, String> {
        let mut dice = ChaCha8Rng::seed_from_u64(settings.seed);
        let mut policy = Policy::default();
        policy.over_commit.cpu = Ratio(16_000);
        policy.migrations.mode = match way {
            Way::Relieved(Mode::PreCopy) => ModePolicy::PreCopy,
            _ => ModePolicy::PostCopy,
        };
        let mut cluster = Cluster::default();
        for n in 0..settings.hosts as usize {
            cluster.hosts.push(Host {
                network: MiBPerSec(1250),
                ..host(name('h', n)?, MilliCores::cores(16), HOST)
            });
        }
        let hosts = cluster.hosts.len().max(1);
        for n in 0..settings.guests as usize {
            let at = cluster.hosts[n % hosts].name.clone();
            let of = guest(name('g', n)?, 4, GUEST, Some(at));
            cluster.guests.push(of);
        }
        let base: Vec<u64> = cluster
            .guests
            .iter()
            .map(|_| 200 + dice.next_u64() % 600)
            .collect();
        let room = cluster.hosts.first().map_or(0, |h| host_room(h, &policy).0);
        let at: Vec<usize> = (0..base.len()).map(|n| n % hosts).collect();
        let mut load = vec![0; hosts];
        for (g, h) in at.iter().enumerate() {
            load[*h] += base[g];
        }
        // From 10 to 100 MiB/s.
        let mut rate = || PagesPerSec(2560 + dice.next_u64() % 23_040);
        let dirty = cluster.guests.iter().map(|guest| {
            let load = GuestLoad {
                dirty: Some(rate()),
                ..GuestLoad::default()
            };
            (guest.name.clone(), load)
        });
        let load_profile = Load {
            guests: dirty.collect(),
        };
        Ok(Self {
            now: Micros::ZERO,
            watch: Watch::new(cluster.clone(), load_profile, policy.clone()),
            cluster,
            policy,
            room,
            cores: 16_000,
            wants: base.clone(),
            base,
            at,
            load,
            awake: vec![true; hosts],
            waking: BTreeMap::new(),
            moving: Vec::new(),
            heard: Micros::ZERO,
            news: Micros::ZERO,
            violation: 0,
            unserved: 0,
            used: 0,
            outcome: Outcome::default(),
        })
    }

    fn want(&mut self, guest: usize, wants: u64) {
        let load = &mut self.load[self.at[guest]];
        *load = *load - self.wants[guest] + wants;
        self.wants[guest] = wants;
        self.news = self.now;
    }

    /// What a plan fills of a host.
    fn filled(&self) -> u64 {
        self.cores * 1000u64.saturating_sub(self.policy.headroom.cpu.0) / 1000
    }

    fn bound(&self) -> u64 {
        self.wants
            .iter()
            .sum::<u64>()
            .div_ceil(self.filled().max(1))
    }

    /// First fit, the largest first; hosts without a guest sleep.
    fn pack(&mut self) -> Result<(), String> {
        let filled = self.filled();
        let free = self.policy.headroom.memory.0;
        let most = HOST.0 * (1000 - free) / 1000 / (GUEST.0 + self.policy.overhead.memory.0);
        let mut order: Vec<usize> = (0..self.wants.len()).collect();
        order.sort_by_key(|g| (std::cmp::Reverse(self.wants[*g]), *g));
        let mut load = vec![0; self.load.len()];
        let mut guests = vec![0u64; self.load.len()];
        for g in order {
            let fits = |h: &usize| load[*h] + self.wants[g] <= filled && guests[*h] < most;
            let h = (0..load.len())
                .find(fits)
                .ok_or("the guests do not fit on the hosts")?;
            (load[h], guests[h], self.at[g]) = (load[h] + self.wants[g], guests[h] + 1, h);
        }
        self.load = load;
        self.waking.clear();
        // One more than is needed is kept awake, for whoever has to leave at once.
        let mut spare = 1;
        for (h, guests) in guests.iter().enumerate() {
            self.awake[h] = *guests > 0 || spare > 0;
            spare -= i32::from(*guests == 0 && spare > 0);
        }
        self.tell_cluster();
        Ok(())
    }

    fn tell_cluster(&mut self) {
        for (host, awake) in self.cluster.hosts.iter_mut().zip(&self.awake) {
            host.state = if *awake {
                HostState::On
            } else {
                HostState::Asleep
            };
        }
        for (guest, at) in self.cluster.guests.iter_mut().zip(&self.at) {
            guest.host = Some(self.cluster.hosts[*at].name.clone());
        }
        self.watch
            .hear(Heard::Cluster(self.cluster.clone()), self.now);
        self.news = self.now;
        self.heard = Micros::ZERO;
    }

    fn overloaded(&self) -> bool {
        self.load.iter().any(|l| *l > self.room)
    }

    /// When it is to be looked again.
    fn next_look(&self) -> Micros {
        let ends = self.moving.iter().map(|m| m.end);
        let soon = ends
            .chain(self.moving.iter().filter_map(|m| m.switch))
            .chain(self.waking.values().copied())
            .min();
        let look = if !self.moving.is_empty() || self.now < self.news + BUSY {
            self.now + LOOK
        } else if self.overloaded() {
            self.now + Micros::millis(500)
        } else {
            Micros(u64::MAX)
        };
        soon.map_or(look, |s| s.min(look))
    }

    /// Takes in what has happened, lets the watch hear and decide, and begins what it decides.
    fn relieve(&mut self) {
        let now = self.now;
        for n in 0..self.moving.len() {
            if let Some(at) = self.moving[n].switch.filter(|t| *t <= now) {
                debug_assert!(at <= now);
                let (guest, to) = (self.moving[n].guest, self.moving[n].to);
                self.moving[n].switch = None;
                let from = std::mem::replace(&mut self.at[guest], to);
                self.load[from] -= self.wants[guest];
                self.load[to] += self.wants[guest];
                self.news = now;
            }
        }
        for over in self
            .moving
            .extract_if(.., |m| m.end <= now)
            .collect::<Vec<_>>()
        {
            let guest = over.mv.guest;
            self.watch.hear(Heard::Ended { guest, moved: true }, now);
            self.news = now;
        }
        let up: Vec<usize> = self
            .waking
            .extract_if(.., |_, t| *t <= now)
            .map(|(h, _)| h)
            .collect();
        for h in up {
            self.awake[h] = true;
            self.watch
                .host_is(&self.cluster.hosts[h].name, HostState::On);
            self.news = now;
            self.heard = Micros::ZERO;
        }
        self.hear();
        self.watch.pass(now);
        let limits = Limits {
            time: Micros::ZERO,
            nodes: None,
            seed: 1,
            threads: 1,
            stop: &|| false,
        };
        let Some(decision) = self.watch.decide(&limits, now) else {
            return;
        };
        self.watch.started(&decision.relief.moves, true, now);
        let number = |name: &str| name[1..].parse::<usize>().unwrap_or(0);
        for mv in decision.relief.moves {
            let expected = mv.expected.as_ref().map_or(mv.duration, |e| e.switch);
            self.outcome.migrations += 1;
            self.moving.push(Moving {
                guest: number(mv.guest.as_str()),
                to: number(mv.to.as_str()),
                switch: Some(now + expected),
                end: now + mv.duration,
                mv,
            });
        }
        for host in decision.relief.wake {
            let h = number(host.as_str());
            if !self.awake[h] && self.waking.insert(h, now + WAKE).is_none() {
                self.outcome.woken += 1;
            }
        }
    }

    /// Every host that is awake tells, twice a second; those where anything goes on ten times.
    fn hear(&mut self) {
        let all = self.heard == Micros::ZERO
            || self.now.saturating_sub(self.heard) >= Micros::millis(500);
        if all {
            self.heard = self.now;
        }
        let mut hot: BTreeSet<usize> = self
            .moving
            .iter()
            .flat_map(|m| [m.to, self.at[m.guest]])
            .collect();
        let tight = self.room - self.room / 20;
        hot.extend((0..self.load.len()).filter(|h| self.load[*h] > tight));
        let mut told: BTreeMap<usize, Vec<(GuestName, Vec<Window>)>> = BTreeMap::new();
        for h in (0..self.load.len()).filter(|h| self.awake[*h] && (all || hot.contains(h))) {
            told.insert(h, Vec::new());
        }
        for (g, at) in self.at.iter().enumerate() {
            let Some(guests) = told.get_mut(at) else {
                continue;
            };
            // In split state it waits for its own pages.
            let split = self
                .moving
                .iter()
                .any(|m| m.guest == g && m.switch.is_none());
            let demand = MilliCores(if split {
                self.wants[g] / 10
            } else {
                self.wants[g]
            });
            let window = Window {
                demand,
                run: demand,
                length: Micros(LOOK.0 / 3),
            };
            guests.push((self.cluster.guests[g].name.clone(), vec![window; 3]));
        }
        for (h, guests) in told {
            let host: HostName = self.cluster.hosts[h].name.clone();
            self.watch.hear(
                Heard::Windows {
                    host,
                    guests,
                    old: Micros::ZERO,
                },
                self.now,
            );
        }
    }

    /// Lets time pass, and adds up.
    fn pass(&mut self, until: Micros) {
        let span = u128::from(until.saturating_sub(self.now).0);
        for (h, load) in self.load.iter().enumerate() {
            self.violation += if *load > self.room { span } else { 0 };
            self.unserved += u128::from(load.saturating_sub(self.cores)) * span;
            self.used += if self.awake[h] { span } else { 0 };
        }
        self.now = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of a quarter of a day, each way in the order in which they are declared.
    #[test]
    fn relief_by_post_copy_ends_what_packing_alone_leaves() {
        let settings = Settings {
            hosts: 20,
            guests: 200,
            surges: 12,
            span: Micros::secs(6 * 3600),
            seed: 3,
        };
        let of = |way| surges(&settings, way).unwrap();
        let apart = of(Way::NotPacked);
        let packed = of(Way::Packed);
        let slow = of(Way::Relieved(Mode::PreCopy));
        let fast = of(Way::Relieved(Mode::PostCopy));
        assert_eq!(fast, of(Way::Relieved(Mode::PostCopy)), "it repeats");
        assert!(packed.host_seconds < apart.host_seconds);
        assert!(packed.host_seconds >= packed.host_seconds_bound);
        assert!(packed.violation_seconds > 0);
        assert!(slow.violation_seconds < packed.violation_seconds);
        assert!(fast.violation_seconds < slow.violation_seconds);
        assert!(fast.migrations > 0);
        assert_eq!((slow.oscillations, fast.oscillations), (0, 0));
    }
}
