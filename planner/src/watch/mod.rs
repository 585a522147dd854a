//! The watch: from what is heard of hosts to when relief is sought. Pure; a shell listens and acts.
//!
//! Each host is in one phase:
//!
//! ```text
//!            wanted > room                  what was missed is enough (`host.rs`); and
//!          (of what is known)               for `relief.after`, or the kernel has said
//!                                           so, at most 300 ms before the suspicion
//!   calm ────────────────────> suspected ────────────────────────────> overloaded <─┐
//!    ^ <────────────────────────  │                                        │        │ what is under way
//!    │       wanted ≤ room                                   moves decided │        │ did not suffice
//!    │                                                                     v        │
//!    └── wanted ≤ room less hysteresis ────────────────────────────── relieving ────┘
//!
//!   any ── nothing heard for `SILENCE`, or the stream broke ──> unknown ── heard again ──> calm
//! ```
//!
//! *wanted* counts what is under way as arrived, so that a host whose relief is decided is calm as soon
//! as that suffices, and nothing is decided twice for one overload. Where it does not suffice, more is
//! decided only once that has lasted: see [`phase`]. A guest under way is not believed,
//! nor is it until a window that began after its memory was whole. An overload that no moves end is
//! sought relief for again after [`AGAIN`], with each window at first, and as soon as a migration ends or a
//! host is heard anew.
//!
//! Above or not is judged of a mean of 100 ms, which swings: hence the sum of what its guests missed. Where the
//! kernel of a host that was calm says that it is overloaded, fewer windows suffice. A host that
//! was just relieved, or took a guest of relief, is overloaded only where that lasts.

mod answer;
mod flown;
mod guest;
mod heard;
mod host;
mod phase;
mod picture;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use vmpack_domain::plan::Move;
use vmpack_domain::relief::{Demand, Flight, Past, Relief, Situation};
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Load, Policy};

use crate::relieve::{Contingency, FIRST, Limits, Surge, host_room, relieve, still};
use answer::same;
use guest::{NEWEST, Recent, covered};
use host::HostWatch;

pub use guest::Window;
pub use heard::Heard;
pub use phase::Phase;
pub use picture::Picture;

/// A host of which nothing was heard for so long is unknown; its probe speaks ten times a second.
pub const SILENCE: Micros = Micros::secs(1);
/// After which relief is sought again for an overload that no moves ended. In its first moments
/// ([`FIRST`]) with each window, since each says much that is new ([`SOON`]); then after twice as long each
/// time.
pub const AGAIN: Micros = Micros::secs(2);
/// How long it waits before it seeks relief again in an overload's first moments: less than the shortest window
/// that a watch is well served with, so that each is decided by.
pub const SOON: Micros = Micros::millis(25);
/// An overload that comes so long after the last one has ended is told of anew, also where the answer is the same.
const FORGOTTEN: Micros = Micros::secs(10);
/// How long a move is remembered, beyond every cooldown and budget.
const MEMORY: Micros = Micros::secs(3600);

/// What is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub relief: Relief,
    /// Since when the oldest overload that it is for lasts.
    pub onset: Micros,
    /// Whether it had been decided ahead, for a surge.
    pub ahead: bool,
}

/// A guest that came back to a host which it had left within the cooldown, wanting what it wanted then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oscillation {
    /// Who.
    pub guest: GuestName,
    /// Where it was, and is again.
    pub host: HostName,
    /// When it was sent back.
    pub at: Micros,
}

/// Everything that is known of the hosts.
#[derive(Debug)]
pub struct Watch {
    cluster: Cluster,
    load: Arc<Load>,
    policy: Arc<Policy>,
    hosts: BTreeMap<HostName, HostWatch>,
    guests: BTreeMap<GuestName, GuestWatch>,
    flights: Vec<Flight>,
    recent: Vec<Past>,
    /// What each guest wanted at its last moves.
    wanted_then: BTreeMap<GuestName, MilliCores>,
    oscillations: Vec<Oscillation>,
    /// Hosts to which a move of relief failed, or that did not wake: until when nothing is expected of them.
    shunned: BTreeMap<HostName, Micros>,
    ahead: Contingency,
    /// What was said last of overloads that stay, when they are tried again, and after how long that is.
    last: Option<(Relief, Micros, Micros)>,
}

#[derive(Debug)]
struct GuestWatch {
    recent: Recent,
    /// What it wants; not believed while it says so.
    demand: Demand,
    /// Windows before that are of its time under way.
    believed: Micros,
    /// Its place in the cluster.
    index: usize,
}

impl Watch {
    /// A watch that has heard nothing yet: every host is unknown.
    #[must_use]
    pub fn new(cluster: Cluster, load: Load, policy: Policy) -> Self {
        let mut watch = Self {
            cluster: Cluster::default(),
            load: Arc::new(load),
            policy: Arc::new(policy),
            hosts: BTreeMap::new(),
            guests: BTreeMap::new(),
            flights: Vec::new(),
            recent: Vec::new(),
            wanted_then: BTreeMap::new(),
            oscillations: Vec::new(),
            shunned: BTreeMap::new(),
            ahead: Contingency::default(),
            last: None,
        };
        watch.learn(cluster);
        watch
    }

    /// Takes in what is heard.
    pub fn hear(&mut self, heard: Heard, now: Micros) {
        match heard {
            Heard::Windows { host, guests, old } => self.windows(&host, guests, now, old),
            Heard::Overload { host, began } => {
                if let Some(watched) = self.hosts.get_mut(&host) {
                    watched.word(began, now);
                }
                self.look(&host, now);
            }
            Heard::Silent(host) => self.silence(&host),
            Heard::Ended { guest, moved } => self.ended(&guest, moved, now),
            Heard::Cluster(cluster) => {
                self.learn(cluster);
                self.last = None;
            }
        }
    }

    /// Lets time pass: hosts of which nothing was heard for long are unknown, old moves forgotten.
    pub fn pass(&mut self, now: Micros) {
        let quiet = |w: &HostWatch| w.heard.is_none_or(|t| now.saturating_sub(t) >= SILENCE);
        let silent: Vec<HostName> = self
            .hosts
            .iter()
            .filter(|(_, w)| w.phase != Phase::Unknown && quiet(w))
            .map(|(h, _)| h.clone())
            .collect();
        for host in silent {
            self.silence(&host);
        }
        let budgets = self.policy.relief.budgets.iter().map(|b| b.per);
        let longest = budgets.max().unwrap_or(Micros::ZERO).max(MEMORY);
        let kept = |p: &Past| p.at + longest.max(self.policy.relief.cooldown) > now;
        self.recent.retain(kept);
        self.shunned.retain(|_, until| now < *until);
        let over = |w: &HostWatch| matches!(w.phase, Phase::Overloaded(_) | Phase::Relieving(_));
        let old = |(_, again, _): &(_, Micros, _)| *again + FORGOTTEN <= now;
        if self.last.as_ref().is_some_and(old) && !self.hosts.values().any(over) {
            self.last = None;
        }
    }

    /// What is to be done now, if anything new is. The moves of a decision count as under way once
    /// [`Watch::started`] is told of them.
    pub fn decide(&mut self, limits: &Limits, now: Micros) -> Option<Decision> {
        self.due(now)?;
        let (demand, overloaded, silent) = (self.demands(), self.overloaded(), self.silent());
        let shunned = self.shunned(now);
        let situation = Situation {
            cluster: &self.cluster,
            load: &self.load,
            policy: &self.policy,
            demand: &demand,
            overloaded: &overloaded,
            silent: &silent,
            shunned: &shunned,
            flights: &self.flights,
            recent: &self.recent,
            now,
        };
        let surge = overloaded.keys().next().and_then(|h| self.surge(h));
        let recalled = surge.and_then(|surge| self.ahead.recall(&situation, &surge));
        let ahead = recalled.is_some();
        let relief = recalled.unwrap_or_else(|| relieve(&situation, limits, &mut |_| {}));
        let onset = overloaded.values().copied().min()?;
        let newest = overloaded.values().copied().max()?;
        self.decided(relief, (onset, newest, ahead), now)
    }

    /// What of an answer that took longer to find is still to be done: where hosts are overloaded yet,
    /// and each of its moves is possible now and they end those overloads.
    pub fn better(&mut self, relief: &Relief, now: Micros) -> Option<Decision> {
        let mut picture = self.picture(now);
        let short = self.hosts.iter().filter_map(|(host, w)| match w.phase {
            Phase::Relieving(since) => w.short.map(|_| (host.clone(), since)),
            _ => None,
        });
        picture.overloaded.extend(short);
        let over = |m: &&Move| picture.overloaded.contains_key(&m.from);
        let moves = relief.moves.iter().filter(over);
        let moves: Vec<_> = moves.map(|m| (m.guest.clone(), m.to.clone())).collect();
        let relief = still(&picture.situation(), &moves)?;
        let onset = picture.overloaded.values().copied().min()?;
        self.decided(relief, (onset, onset, false), now)
    }

    /// Whether relief is to be sought now.
    fn due(&self, now: Micros) -> Option<()> {
        let over = |w: &HostWatch| matches!(w.phase, Phase::Overloaded(_));
        let waits = self.last.as_ref().is_some_and(|(_, again, _)| now < *again);
        (!waits && self.hosts.values().any(over)).then_some(())
    }

    fn decided(
        &mut self,
        relief: Relief,
        (onset, newest, ahead): (Micros, Micros, bool),
        now: Micros,
    ) -> Option<Decision> {
        let known = self.last.as_ref().filter(|(old, ..)| same(old, &relief));
        let wait = match known {
            Some((.., wait)) if newest + FIRST <= now => AGAIN.min(*wait + *wait),
            _ => SOON,
        };
        let news = known.is_none();
        // Moves that were told before were put off, and are told no more; others are about to begin.
        let stays = relief.moves.is_empty() || !news;
        self.last = stays.then(|| (relief.clone(), now + wait, wait));
        let nothing = relief.moves.is_empty() && relief.left.is_empty() && relief.wake.is_empty();
        (news && !nothing).then_some(Decision {
            relief,
            onset,
            ahead,
        })
    }

    /// A decision is told and not carried out: it is not told again while it stays the same.
    pub fn put_off(&mut self, relief: &Relief, now: Micros) {
        let wait = match &self.last {
            // Nothing could be done.
            Some((.., wait)) if relief.moves.is_empty() => *wait,
            _ => AGAIN,
        };
        self.last = Some((relief.clone(), now + wait, wait));
    }

    /// Counts moves as under way from now on; `relief` says whether they are for it.
    pub fn started(&mut self, moves: &[Move], relief: bool, now: Micros) {
        for mv in moves {
            let Some(watched) = self.guests.get(&mv.guest) else {
                continue;
            };
            let guest = &self.cluster.guests[watched.index];
            let demand = match watched.demand {
                // As the plan has it.
                Demand::Unknown => mv.demand,
                known => known.least(guest),
            };
            let margin = watched.demand.margin(guest, &self.policy);
            self.returns(mv, demand, margin, now);
            self.wanted_then.insert(mv.guest.clone(), demand);
            self.flights.push(Flight {
                guest: mv.guest.clone(),
                from: mv.from.clone(),
                to: mv.to.clone(),
                demand,
                margin,
                memory: mv.memory,
            });
            self.recent.push(Past {
                guest: mv.guest.clone(),
                from: mv.from.clone(),
                to: mv.to.clone(),
                at: now,
                relief,
            });
        }
        for mv in moves {
            if let Some(from) = self.hosts.get_mut(&mv.from)
                && let Phase::Overloaded(since) = from.phase
            {
                from.relieve(since);
            }
        }
        for host in moves.iter().flat_map(|mv| [&mv.from, &mv.to]) {
            self.look(host, now);
        }
    }

    /// A host was put to sleep, or is awake again.
    pub fn host_is(&mut self, host: &HostName, state: HostState) {
        let mut hosts = self.cluster.hosts.iter_mut();
        if let Some(found) = hosts.find(|h| h.name == *host) {
            found.state = state;
            self.shunned.remove(host);
            self.last = None;
        }
    }

    /// A host did not wake: until then another is named where one is to be woken.
    pub fn does_not_wake(&mut self, host: &HostName, until: Micros) {
        self.shunned.insert(host.clone(), until);
        self.last = None;
    }

    /// Whether nothing is expected of the host: a move to it just failed, or it did not wake.
    #[must_use]
    pub fn is_shunned(&self, host: &HostName, now: Micros) -> bool {
        self.shunned.get(host).is_some_and(|until| now < *until)
    }

    /// All that is known now, to be thought about elsewhere.
    #[must_use]
    pub fn picture(&self, now: Micros) -> Picture {
        Picture {
            cluster: self.cluster.clone(),
            load: Arc::clone(&self.load),
            policy: Arc::clone(&self.policy),
            demand: self.demands(),
            overloaded: self.overloaded(),
            silent: self.silent(),
            shunned: self.shunned(now),
            flights: self.flights.clone(),
            recent: self.recent.clone(),
            now,
        }
    }

    /// Hosts of which nothing is expected now.
    fn shunned(&self, now: Micros) -> BTreeSet<HostName> {
        let shunned = self.shunned.iter().filter(|(_, until)| now < **until);
        shunned.map(|(host, _)| host.clone()).collect()
    }

    /// Takes in what was decided ahead, of a [`Picture`].
    pub fn prepared(&mut self, ahead: Contingency) {
        self.ahead = ahead;
    }

    /// For how many hosts and surges a move is known ahead.
    #[must_use]
    pub fn known_ahead(&self) -> (usize, usize) {
        self.ahead.size()
    }

    /// The cluster as it is known, with what has moved.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// What each guest wants, as far as it is known.
    #[must_use]
    pub fn demand(&self, guest: &GuestName) -> Demand {
        self.guests.get(guest).map_or(Demand::Unknown, |w| w.demand)
    }

    /// In which phase a host is.
    #[must_use]
    pub fn phase(&self, host: &HostName) -> Phase {
        self.hosts.get(host).map_or(Phase::Unknown, |w| w.phase)
    }

    /// Whether guests run on the host that the cluster does not know.
    #[must_use]
    pub fn has_strangers(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|w| w.strangers)
    }

    /// Whether a guest is on its way from the host for its relief, not for a plan.
    #[must_use]
    pub fn is_relieving(&self, host: &HostName) -> bool {
        let mut from = self.flights.iter().filter(|f| f.from == *host);
        from.any(|f| self.is_for_relief(f))
    }

    fn is_for_relief(&self, flight: &Flight) -> bool {
        let mut past = self.recent.iter().rev();
        past.find(|p| p.guest == flight.guest && p.from == flight.from)
            .is_some_and(|p| p.relief)
    }

    /// Migrations that it counts as under way.
    #[must_use]
    pub fn flights(&self) -> &[Flight] {
        &self.flights
    }

    /// Moves that were started lately.
    #[must_use]
    pub fn recent(&self) -> &[Past] {
        &self.recent
    }

    /// Guests that were sent back where they came from, for no reason of theirs.
    #[must_use]
    pub fn oscillations(&self) -> &[Oscillation] {
        &self.oscillations
    }

    fn demands(&self) -> BTreeMap<GuestName, Demand> {
        let guests = self.guests.iter();
        guests.map(|(g, w)| (g.clone(), w.demand)).collect()
    }

    fn silent(&self) -> BTreeSet<HostName> {
        let unknown = self.hosts.iter().filter(|(_, w)| w.phase == Phase::Unknown);
        unknown.map(|(h, _)| h.clone()).collect()
    }

    fn overloaded(&self) -> BTreeMap<HostName, Micros> {
        let hosts = self.hosts.iter();
        let since = |w: &HostWatch| match w.phase {
            Phase::Overloaded(since) => Some(since),
            _ => None,
        };
        hosts
            .filter_map(|(h, w)| Some((h.clone(), since(w)?)))
            .collect()
    }

    /// Which guest of the host surged: that which wants most more than it did.
    fn surge(&self, host: &HostName) -> Option<Surge> {
        let on = self.hosts.get(host)?.on.iter();
        let rise = |g: &&GuestName| self.guests.get(*g).map_or(0, |w| w.recent.rise());
        on.max_by_key(rise).map(|g| Surge::Of(g.clone()))
    }

    fn learn(&mut self, cluster: Cluster) {
        let mut hosts: BTreeMap<HostName, HostWatch> = BTreeMap::new();
        for host in &cluster.hosts {
            let known = self.hosts.remove(&host.name);
            let room = host_room(host, &self.policy);
            hosts.insert(host.name.clone(), HostWatch::of(known, room));
        }
        let mut guests = BTreeMap::new();
        for (index, guest) in cluster.guests.iter().enumerate() {
            let known = self.guests.remove(&guest.name);
            let watched = known.map_or_else(
                || GuestWatch {
                    recent: Recent::default(),
                    demand: Demand::Unknown,
                    believed: Micros::ZERO,
                    index,
                },
                |w| GuestWatch { index, ..w },
            );
            guests.insert(guest.name.clone(), watched);
            if let Some(host) = guest.host.as_ref().and_then(|h| hosts.get_mut(h)) {
                host.on.insert(guest.name.clone());
            }
        }
        let there = |f: &Flight| guests.contains_key(&f.guest);
        self.flights.retain(there);
        (self.cluster, self.hosts, self.guests) = (cluster, hosts, guests);
    }

    fn windows(
        &mut self,
        host: &HostName,
        guests: Vec<(GuestName, Vec<Window>)>,
        now: Micros,
        old: Micros,
    ) {
        let Some(watched) = self.hosts.get_mut(host) else {
            return;
        };
        watched.heard = Some(now);
        if watched.phase == Phase::Unknown {
            watched.hear(now);
            self.last = None;
        }
        let strangers = guests.iter().any(|(g, _)| !self.guests.contains_key(g));
        watched.strangers = strangers;
        let mut told: BTreeSet<GuestName> = BTreeSet::new();
        let mut believed: BTreeMap<GuestName, Vec<Window>> = BTreeMap::new();
        let span = guests
            .iter()
            .map(|(_, windows)| covered(windows, NEWEST))
            .max();
        for (guest, windows) in guests {
            let Some(known) = self.guests.get_mut(&guest) else {
                continue;
            };
            let under_way = self.flights.iter().any(|f| f.guest == guest);
            let began = now.saturating_sub(old);
            if !under_way && began >= known.believed && !windows.is_empty() {
                known.demand = known.recent.push(now, &windows);
                believed.insert(guest.clone(), windows);
                // Somebody moved it, or the snapshot is older than that.
                let at = &mut self.cluster.guests[known.index].host;
                if at.as_ref() != Some(host) {
                    if let Some(other) = at.as_ref().and_then(|h| self.hosts.get_mut(h)) {
                        other.on.remove(&guest);
                    }
                    *at = Some(host.clone());
                    if let Some(here) = self.hosts.get_mut(host) {
                        here.on.insert(guest.clone());
                    }
                }
            }
            told.insert(guest);
        }
        // A guest of which its host's probe does not tell is not known.
        if let Some(watched) = self.hosts.get(host) {
            for guest in watched.on.difference(&told) {
                if let Some(known) = self.guests.get_mut(guest)
                    && known.recent.stale(now)
                {
                    known.demand = Demand::Unknown;
                }
            }
        }
        self.count_missed(host, &believed, span.unwrap_or(Micros::ZERO), now);
        self.look(host, now);
    }

    fn silence(&mut self, host: &HostName) {
        let Some(watched) = self.hosts.get_mut(host) else {
            return;
        };
        watched.silence();
        for guest in &watched.on {
            if let Some(known) = self.guests.get_mut(guest) {
                known.demand = Demand::Unknown;
            }
        }
    }
}
