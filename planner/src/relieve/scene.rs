//! A situation in integers and by index, with what each host has and each guest may do; it changes as
//! moves are decided.
//!
//! What a host carries counts twice over, on the safe side of two questions. *Wanted*, for whether it
//! is overloaded: what its guests surely want, those that come counted, those that leave not. *Taken*,
//! for whether it has room: what its guests may want and those that come with their margins, those that
//! leave counted until they have left.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::migration::{Prediction, choose};
use vmpack_domain::plan::Mode;
use vmpack_domain::policy::Headroom;
use vmpack_domain::relief::{Demand, Situation, harm};
use vmpack_domain::units::{MiBPerSec, Micros};
use vmpack_domain::{Guest, Host, HostState};

use super::rules::Rules;

/// CPU in milli-cores of speed 1, memory in MiB, vCPUs in thousandths.
pub(super) type Amounts = [i64; 3];

#[derive(Clone)]
pub(super) struct Scene<'a> {
    pub(super) s: &'a Situation<'a>,
    pub(super) hosts: Vec<HostNow<'a>>,
    pub(super) guests: Vec<GuestNow<'a>>,
    pub(super) rules: Rules,
    /// How many moves may still start: by the minute, and at once.
    pub(super) starts: i64,
    /// The targets that are looked at; all where it is empty.
    pub(super) scope: Vec<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct HostNow<'a> {
    pub(super) host: &'a Host,
    pub(super) room: Amounts,
    pub(super) wanted: i64,
    pub(super) taken: Amounts,
    /// How many more may leave it, and come to it.
    pub(super) out: i64,
    /// How many leave it.
    pub(super) leaving: i64,
    /// Of several that could leave it one may, in its overload's first moments.
    pub(super) alone: bool,
    pub(super) into: i64,
    /// MiB that may still leave it, and come to it, with their guests in split state.
    pub(super) pipe_out: i64,
    pub(super) pipe_in: i64,
    /// Whether it is awake, and heard of.
    pub(super) open: bool,
    /// Whether a move to it just failed, or it did not wake.
    pub(super) shunned: bool,
    /// Guests that run on it and are not under way.
    pub(super) on: Vec<usize>,
}

#[derive(Clone)]
pub(super) struct GuestNow<'a> {
    pub(super) guest: &'a Guest,
    pub(super) demand: Demand,
    /// What its leaving takes off its host.
    pub(super) least: i64,
    /// What it needs at a target, its margin in it.
    pub(super) need: Amounts,
    pub(super) margin: i64,
    pub(super) at: Option<usize>,
    pub(super) under_way: bool,
    /// Until when it rests after its last move.
    pub(super) rests: Option<Micros>,
}

/// A move that could be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) to: usize,
    pub(super) mode: Mode,
    pub(super) predicted: Prediction,
    pub(super) harm: i64,
    /// What it sends in split state, in MiB.
    pub(super) sends: i64,
}

pub(super) fn int(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(i64::MAX)
}

/// ⌊(1 − free) × (cores × speed − reserve)⌋, ⌊(1 − free) × (memory − reserve)⌋, over-commit × cores.
pub(super) fn room(host: &Host, free: Headroom, over_commit: u64) -> Amounts {
    let share = |free: u64| u128::from(1000u64.saturating_sub(free));
    let cpu = (u128::from(host.cpu.0) * u128::from(host.speed.0))
        .saturating_sub(u128::from(host.reserve.cpu.0) * 1000);
    let memory = u128::from(host.memory.0.saturating_sub(host.reserve.memory.0));
    let vcpus = u128::from(host.cpu.0) * u128::from(over_commit) / 1000;
    let small = |v: u128| i64::try_from(v).unwrap_or(i64::MAX);
    [
        small(share(free.cpu.0) * cpu / 1_000_000),
        small(share(free.memory.0) * memory / 1000),
        small(vcpus),
    ]
}

impl<'a> Scene<'a> {
    pub(super) fn new(s: &'a Situation<'a>) -> Self {
        let relief = &s.policy.relief;
        let slots = i64::from(relief.per_host.get());
        let index: BTreeMap<&str, usize> = s
            .cluster
            .hosts
            .iter()
            .map(|h| h.name.as_str())
            .zip(0..)
            .collect();
        let mut hosts: Vec<HostNow> = s
            .cluster
            .hosts
            .iter()
            .map(|host| {
                let pipe = pipe(s, host);
                HostNow {
                    host,
                    room: room(host, s.policy.overload(), s.policy.over_commit.cpu.0),
                    wanted: 0,
                    taken: [0; 3],
                    out: slots,
                    leaving: 0,
                    alone: false,
                    into: slots,
                    pipe_out: pipe,
                    pipe_in: pipe,
                    open: host.state == HostState::On && !s.silent.contains(&host.name),
                    shunned: s.shunned.contains(&host.name),
                    on: Vec::new(),
                }
            })
            .collect();
        let flights: BTreeMap<&str, _> = s.flights.iter().map(|f| (f.guest.as_str(), f)).collect();
        let mut rests: BTreeMap<&str, Micros> = BTreeMap::new();
        for past in s.recent {
            let until = past.at + relief.cooldown;
            let known = rests.entry(past.guest.as_str()).or_insert(until);
            *known = until.max(*known);
        }
        let mut guests = Vec::with_capacity(s.cluster.guests.len());
        for (g, guest) in s.cluster.guests.iter().enumerate() {
            let flight = flights.get(guest.name.as_str());
            let demand = match flight {
                Some(f) => Demand::Starved {
                    before: f.demand,
                    margin: f.margin,
                },
                None => s
                    .demand
                    .get(&guest.name)
                    .copied()
                    .unwrap_or(Demand::Unknown),
            };
            let margin = int(demand.margin(guest, s.policy).0);
            let memory = int(guest.memory.0.saturating_add(s.policy.overhead.memory.0));
            let most = int(demand.most(guest).0);
            let bare = [most, memory, i64::from(guest.vcpus) * 1000];
            let need = [most + margin, bare[1], bare[2]];
            let least = int(demand.least(guest).0);
            let find = |name: &str| index.get(name).copied();
            let at = match flight {
                Some(f) => {
                    let (from, to) = (find(f.from.as_str()), find(f.to.as_str()));
                    if let Some(from) = from.map(|h| &mut hosts[h]) {
                        add(&mut from.taken, &bare);
                        from.out -= 1;
                        from.leaving += 1;
                        from.pipe_out -= int(f.memory.0);
                    }
                    if let Some(to) = to.map(|h| &mut hosts[h]) {
                        add(&mut to.taken, &need);
                        to.wanted += least;
                        to.into -= 1;
                        to.pipe_in -= int(f.memory.0);
                    }
                    to
                }
                None => {
                    let at = guest.host.as_ref().and_then(|h| find(h.as_str()));
                    if let Some(host) = at.map(|h| &mut hosts[h]) {
                        add(&mut host.taken, &bare);
                        host.wanted += least;
                        host.on.push(g);
                    }
                    at
                }
            };
            guests.push(GuestNow {
                guest,
                demand,
                least,
                need,
                margin,
                at,
                under_way: flight.is_some(),
                rests: rests
                    .get(guest.name.as_str())
                    .copied()
                    .filter(|until| *until > s.now),
            });
        }
        let minute =
            |past: &&vmpack_domain::relief::Past| past.relief && past.at + Micros::secs(60) > s.now;
        let started = int(s.recent.iter().filter(minute).count() as u64);
        let by_minute = i64::from(relief.moves_per_minute) - started;
        let at_once = i64::from(s.policy.migrations.at_once.get()) - int(s.flights.len() as u64);
        let rules = Rules::new(s, &hosts, &guests);
        Self {
            s,
            hosts,
            guests,
            rules,
            starts: by_minute.min(at_once).max(0),
            scope: Vec::new(),
        }
    }

    /// By how much the host's guests want more than its room, if they do.
    pub(super) fn overload(&self, h: usize) -> i64 {
        (self.hosts[h].wanted - self.hosts[h].room[0]).max(0)
    }

    /// The hosts whose overload is old enough to be relieved, the most overloaded first.
    pub(super) fn overloaded(&self) -> Vec<usize> {
        let after = self.s.policy.relief.after;
        let old = |h: &usize| {
            let since = self.s.overloaded.get(&self.hosts[*h].host.name);
            since.is_some_and(|since| self.s.now.saturating_sub(*since) >= after)
        };
        let there =
            |h: &usize| matches!(self.hosts[*h].host.state, HostState::On | HostState::Drain);
        let mut hosts: Vec<usize> = (0..self.hosts.len())
            .filter(|h| self.overload(*h) > 0 && old(h) && there(h))
            .collect();
        hosts.sort_by_key(|h| (-self.overload(*h), *h));
        hosts
    }

    /// Whether the host's overload is in its first moments, of which the measurements overshoot.
    pub(super) fn is_young(&self, h: usize) -> bool {
        let since = self.s.overloaded.get(&self.hosts[h].host.name);
        since.is_some_and(|since| self.s.now.saturating_sub(*since) < super::FIRST)
    }

    /// What all guests surely want beyond the rooms of all hosts that are awake and heard of.
    pub(super) fn deficit(&self) -> i64 {
        let awake = self.hosts.iter().filter(|h| h.open);
        let (wanted, room) = awake.fold((0i64, 0i64), |(w, r), h| {
            (w.saturating_add(h.wanted), r.saturating_add(h.room[0]))
        });
        (wanted - room).max(0)
    }

    /// The way of a guest to a host that could take it now, by room, rules, slots and time in split
    /// state.
    pub(super) fn way(&self, g: usize, to: usize) -> Option<Way> {
        let from = self.guests[g].at.filter(|from| *from != to)?;
        let there = self.takes(g, to).then(|| self.journey(g, from, to));
        there.flatten().filter(|way| self.may_go(g, from, way))
    }

    /// Whether the host has a place for it now.
    fn takes(&self, g: usize, to: usize) -> bool {
        let (guest, host) = (&self.guests[g], &self.hosts[to]);
        let fits = (0..3).all(|r| host.taken[r] + guest.need[r] <= host.room[r]);
        host.open && !host.shunned && host.into > 0 && fits && guest.guest.runs_on(host.host)
    }

    fn may_go(&self, g: usize, from: usize, way: &Way) -> bool {
        let pipe = self.hosts[way.to].pipe_in.min(self.hosts[from].pipe_out);
        way.sends <= pipe && self.rules.allow(g, way.to)
    }

    /// The kind of migration there and what it costs; `None` where it would not end.
    pub(super) fn journey(&self, g: usize, from: usize, to: usize) -> Option<Way> {
        self.journey_by(g, to, self.link(from, to))
    }

    fn journey_by(&self, g: usize, to: usize, link: MiBPerSec) -> Option<Way> {
        let guest = self.guests[g].guest;
        let load = self.s.load.guests.get(&guest.name);
        let (mode, predicted) = choose(&self.s.policy.migrations, guest, load, link, true);
        predicted.converges.then(|| Way {
            to,
            mode,
            predicted,
            harm: int(harm(&predicted)),
            sends: match mode {
                Mode::PreCopy => 0,
                Mode::Hybrid | Mode::PostCopy => int(guest.memory.0),
            },
        })
    }

    /// The bandwidth that one migration between them may have, alone.
    pub(super) fn link(&self, from: usize, to: usize) -> MiBPerSec {
        let (from, to) = (self.hosts[from].host, self.hosts[to].host);
        share(self.s, from.network.min(to.network))
    }

    /// The least harmful ways of a guest, those to the host with the most CPU left first among equals.
    pub(super) fn ways(&self, g: usize, most: usize) -> Vec<Way> {
        let Some(from) = self.guests[g].at else {
            return Vec::new();
        };
        // Hosts differ in their links, not in what a journey over one of them costs.
        let mut journeys: Vec<(MiBPerSec, Option<Way>)> = Vec::new();
        let mut way = |to: usize| {
            if to == from || !self.takes(g, to) {
                return None;
            }
            let link = self.link(from, to);
            let known = journeys.iter().find(|(l, _)| *l == link);
            let journey = match known {
                Some((_, journey)) => *journey,
                None => {
                    let journey = self.journey_by(g, to, link);
                    journeys.push((link, journey));
                    journey
                }
            };
            let way = Way { to, ..journey? };
            self.may_go(g, from, &way).then_some(way)
        };
        let mut ways: Vec<Way> = if self.scope.is_empty() {
            (0..self.hosts.len()).filter_map(&mut way).collect()
        } else {
            self.scope.iter().filter_map(|to| way(*to)).collect()
        };
        let left = |h: usize| self.hosts[h].room[0] - self.hosts[h].taken[0];
        let order = |w: &Way| (w.harm, -left(w.to), w.to);
        if ways.len() > most && most > 0 {
            ways.select_nth_unstable_by_key(most - 1, order);
            ways.truncate(most);
        }
        ways.sort_by_key(order);
        ways
    }

    /// Decides that a guest moves.
    pub(super) fn go(&mut self, g: usize, way: &Way) {
        let Some(from) = self.guests[g].at else {
            return;
        };
        let (need, least) = (self.guests[g].need, self.guests[g].least);
        let source = &mut self.hosts[from];
        source.wanted -= least;
        source.out -= 1;
        source.leaving += 1;
        source.pipe_out -= way.sends;
        source.on.retain(|other| *other != g);
        let target = &mut self.hosts[way.to];
        target.wanted += least;
        add(&mut target.taken, &need);
        target.into -= 1;
        target.pipe_in -= way.sends;
        self.rules.go(g, way.to);
        self.starts -= 1;
        self.guests[g].under_way = true;
    }

    /// Takes a decision back.
    pub(super) fn back(&mut self, g: usize, way: &Way) {
        let Some(from) = self.guests[g].at else {
            return;
        };
        let (need, least) = (self.guests[g].need, self.guests[g].least);
        let source = &mut self.hosts[from];
        source.wanted += least;
        source.out += 1;
        source.leaving -= 1;
        source.pipe_out += way.sends;
        source.on.push(g);
        let target = &mut self.hosts[way.to];
        target.wanted -= least;
        for (taken, need) in target.taken.iter_mut().zip(need) {
            *taken -= need;
        }
        target.into += 1;
        target.pipe_in += way.sends;
        self.rules.back(g, way.to);
        self.starts += 1;
        self.guests[g].under_way = false;
    }

    /// A sleeping host counts as awake from now on.
    pub(super) fn wake(&mut self, h: usize) {
        self.hosts[h].open = true;
    }

    pub(super) fn name(&self, h: usize) -> &'a vmpack_domain::HostName {
        &self.hosts[h].host.name
    }
    pub(super) fn who(&self, g: usize) -> &'a vmpack_domain::GuestName {
        &self.guests[g].guest.name
    }
    /// The guests of a host by name, whatever the order in which they came.
    pub(super) fn guests_on(&self, h: usize) -> BTreeSet<usize> {
        self.hosts[h].on.iter().copied().collect()
    }
}

fn add(to: &mut Amounts, what: &Amounts) {
    for (sum, part) in to.iter_mut().zip(what) {
        *sum += part;
    }
}

/// The part of a link that migrations may take, as one.
fn share(s: &Situation, link: MiBPerSec) -> MiBPerSec {
    let share = u128::from(link.0) * u128::from(s.policy.migrations.bandwidth.0) / 1000;
    MiBPerSec(u64::try_from(share).unwrap_or(u64::MAX).max(link.0.min(1)))
}

/// What a host's link carries within the longest time that a guest may be in split state: all that may
/// leave it at once, since streams that share the link end when it has carried them all.
fn pipe(s: &Situation, host: &Host) -> i64 {
    let rate = u128::from(share(s, host.network).0);
    let most = rate * u128::from(s.policy.migrations.split_state.0) / 1_000_000;
    i64::try_from(most).unwrap_or(i64::MAX)
}
