//! Relief that is decided before it is needed: for each host and each surge that is likely, the first
//! move. When it comes, a move is checked against what is there now and made, without a search.

use std::collections::BTreeMap;

use vmpack_domain::relief::{Demand, Relief, Situation};
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{GuestName, HostName, Load, Statistic};

use super::scene::Scene;
use super::{Decided, answer, greedy};

/// How many hosts are looked at for each surge.
const TARGETS: usize = 32;

/// What may come over a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Surge {
    /// One guest wants all its vCPUs.
    Of(GuestName),
    /// Every guest wants the most that was measured of it.
    All,
}

/// For each host and surge the moves that would end the overload, in the order in which they are made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contingency {
    moves: BTreeMap<HostName, BTreeMap<Surge, Vec<(GuestName, HostName)>>>,
}

impl Contingency {
    /// Of the situation as it is, no host being overloaded by more than it is now. Pure; to be made with each plan, beside the hot path.
    #[must_use]
    pub fn new(s: &Situation) -> Self {
        let mut scene = Scene::new(s);
        let mut moves = BTreeMap::new();
        let left = |h: &usize| scene.hosts[*h].room[0] - scene.hosts[*h].taken[0];
        let mut roomy: Vec<usize> = (0..scene.hosts.len())
            .filter(|h| scene.hosts[*h].open)
            .collect();
        roomy.sort_by_key(|h| (-left(h), *h));
        roomy.truncate(roomy.len().div_ceil(2).max(TARGETS));
        for h in 0..scene.hosts.len() {
            if !scene.hosts[h].open {
                continue;
            }
            // A part of the hosts with room, another for each, lest all surges go to the same.
            let others = roomy.iter().cycle().skip(h * TARGETS % roomy.len().max(1));
            scene.scope = others.take(TARGETS.min(roomy.len())).copied().collect();
            let mut of_host = BTreeMap::new();
            for g in scene.guests_on(h) {
                let most = u64::from(scene.guests[g].guest.vcpus) * 1000;
                let found = under(&mut scene, h, &[(g, most)]);
                if !found.is_empty() {
                    of_host.insert(Surge::Of(scene.who(g).clone()), found);
                }
            }
            let all: Vec<(usize, u64)> = scene
                .guests_on(h)
                .into_iter()
                .filter_map(|g| Some((g, largest(s.load, scene.who(g))?)))
                .collect();
            let found = under(&mut scene, h, &all);
            if !found.is_empty() {
                of_host.insert(Surge::All, found);
            }
            if !of_host.is_empty() {
                moves.insert(scene.name(h).clone(), of_host);
            }
        }
        Self { moves }
    }

    /// For how many hosts, and how many surges in all, it has a move.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (
            self.moves.len(),
            self.moves.values().map(BTreeMap::len).sum(),
        )
    }

    /// What was decided for the surge of that guest of the host, or for that of all.
    #[must_use]
    pub fn of(&self, host: &HostName, surge: &Surge) -> Option<&[(GuestName, HostName)]> {
        let of_host = self.moves.get(host)?;
        of_host
            .get(surge)
            .or_else(|| of_host.get(&Surge::All))
            .map(Vec::as_slice)
    }

    /// The relief of the one overloaded host by what was decided ahead, if that still holds: every move
    /// is possible now, and together they end the overload. `None` where the situation is another.
    #[must_use]
    pub fn recall(&self, s: &Situation, surge: &Surge) -> Option<Relief> {
        let mut overloaded = s.overloaded.keys();
        let (Some(host), None) = (overloaded.next(), overloaded.next()) else {
            return None;
        };
        still(s, self.of(host, surge)?)
    }
}

/// Moves that were decided before, as far as overloads last and they are not under way yet, if all of these are
/// possible now and end the overload of every host that they leave.
#[must_use]
pub fn still(s: &Situation, known: &[(GuestName, HostName)]) -> Option<Relief> {
    let open = Scene::new(s);
    let overloaded = open.overloaded();
    if overloaded.is_empty() || open.deficit() > 0 {
        return None;
    }
    let mut scene = open.clone();
    let mut decided = Decided::default();
    for (guest, to) in known {
        let g = (0..scene.guests.len()).find(|g| scene.who(*g) == guest)?;
        if scene.guests[g].under_way {
            // It was begun meanwhile; whether the others end what that leaves is asked below.
            continue;
        }
        let h = scene.guests[g].at?;
        if !overloaded.contains(&h) || scene.overload(h) == 0 {
            continue;
        }
        let to = (0..scene.hosts.len()).find(|t| scene.name(*t) == to)?;
        if super::explain::stays(&scene, g).is_some()
            || scene.hosts[h].out <= 0
            || scene.starts <= 0
        {
            return None;
        }
        let way = scene.way(g, to)?;
        scene.go(g, &way);
        decided.moves.push((g, way));
    }
    let left = |(g, _): &(usize, super::scene::Way)| open.guests[*g].at;
    let ended = |h: usize| scene.overload(h) == 0;
    let all = decided.moves.iter().filter_map(left).all(ended);
    (all && !decided.moves.is_empty()).then(|| answer(&open, &scene, &overloaded, decided))
}

/// The moves of a host if those guests wanted so much; the scene is as before afterwards.
fn under(scene: &mut Scene, h: usize, surge: &[(usize, u64)]) -> Vec<(GuestName, HostName)> {
    let mut was = Vec::new();
    for (g, most) in surge {
        let guest = &mut scene.guests[*g];
        if !matches!(guest.demand, Demand::Seen { .. }) {
            continue;
        }
        was.push((*g, guest.demand, guest.least, guest.need, guest.margin));
        let now = MilliCores(*most).max(guest.demand.least(guest.guest));
        guest.demand = Demand::Seen {
            now,
            margin: MilliCores::ZERO,
        };
        let (least, need) = (guest.least, guest.need[0] - guest.margin);
        guest.least = super::scene::int(guest.demand.least(guest.guest).0);
        guest.margin = super::scene::int(guest.demand.margin(guest.guest, scene.s.policy).0);
        let taken = super::scene::int(guest.demand.most(guest.guest).0);
        guest.need[0] = taken + guest.margin;
        let rise = (guest.least - least, taken - need);
        scene.hosts[h].wanted += rise.0;
        scene.hosts[h].taken[0] += rise.1;
    }
    let mut found = Vec::new();
    if scene.overload(h) > 0 && scene.deficit() == 0 {
        let (moves, _) = greedy::cures(scene, &[h]);
        for (g, way) in moves.iter().rev() {
            scene.back(*g, way);
        }
        let name = |(g, way): &(usize, super::scene::Way)| {
            (scene.who(*g).clone(), scene.name(way.to).clone())
        };
        found = moves.iter().map(name).collect();
    }
    for (g, demand, least, need, margin) in was.into_iter().rev() {
        let guest = &mut scene.guests[g];
        scene.hosts[h].wanted -= guest.least - least;
        scene.hosts[h].taken[0] -= (guest.need[0] - guest.margin) - (need[0] - margin);
        (guest.demand, guest.least, guest.need, guest.margin) = (demand, least, need, margin);
    }
    found
}

/// The most that was measured of a guest, in milli-cores.
fn largest(load: &Load, guest: &GuestName) -> Option<u64> {
    let cpu = load.guests.get(guest)?.cpu.as_ref()?;
    let windows = || {
        cpu.windows
            .as_ref()
            .and_then(|w| w.statistic(Statistic::Max))
    };
    let stated = [Statistic::Max, Statistic::P99, Statistic::P95];
    let stated = stated.into_iter().find_map(|s| cpu.stated(s));
    stated.or_else(windows).map(|m| m.0)
}

/// A time after which a contingency is made anew, whatever else happened.
pub const STALE: Micros = Micros::secs(60);
