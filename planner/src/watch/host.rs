//! What is watched of a host, and how its phase follows from it.
//!
//! Whether a host is overloaded is not asked of a moment. What its guests want above its room is summed over
//! the time of their windows, and what is free meanwhile is taken off again, down to nothing (Page's cumulative
//! sum, Biometrika 41, 1954): a demand that swings about the threshold comes to nothing, one that lies above it
//! by little comes to something after a while, a surge within a window. It has to come to the hysteresis over
//! `relief.after`: at 2 % and 100 ms one window of 34 ms suffices for 6 % too much, and 2 % too much must last
//! for 100 ms. Time of which nothing was measured counts for nothing, and after a silence the sum begins anew.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::relief::Flight;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{GuestName, HostName};

use super::Watch;
use super::guest::{NEWEST, Window, covered};
use super::phase::{Phase, Seen};

/// How long a host is taken to settle after guests have left it or come to it for relief: they catch up with
/// what they missed, and the new neighbours wait for one another. It is relieved then only where its overload
/// lasts, see [`super::phase`].
const SETTLES: Micros = Micros::secs(3);
/// The kernel tells of a surge at once, the windows later: they come 50 ms after their end, and what a guest wants
/// is the mean of three. So its word counts for a suspicion that begins so long after it at the latest. An older
/// one decides nothing: where vCPUs wait for one another all the time, the kernel says so all the time, also of
/// a host whose guests want less than it has.
const FRESH: Micros = Micros::millis(300);
/// A host whose kernel has not spoken of an overload for so long, and does now, is one whose load has risen
/// suddenly: what its guests wanted before says little any more. Where vCPUs wait for one another all the
/// time it speaks more often than this.
const REST: Micros = Micros::secs(1);

#[derive(Debug)]
pub(super) struct HostWatch {
    pub(super) phase: Phase,
    /// Since when the relief that is under way or was just made does not suffice, if so.
    pub(super) short: Option<Micros>,
    /// Until when it settles.
    settles: Micros,
    /// What its guests missed, in milli-cores × microseconds.
    missed: u64,
    pub(super) room: MilliCores,
    pub(super) heard: Option<Micros>,
    /// Since when its kernel says that it is overloaded, if it does.
    pub(super) kernel: Option<Micros>,
    /// Since when it is heard and its kernel has not said so, if it does not.
    rests: Option<Micros>,
    /// When its kernel last said so after such a rest, if it still does.
    surge: Option<Micros>,
    pub(super) on: BTreeSet<GuestName>,
    /// Whether its probe tells of guests that the cluster does not know.
    pub(super) strangers: bool,
}

impl HostWatch {
    /// Of a host with that room, with what is known of it but for its guests.
    pub(super) fn of(known: Option<Self>, room: MilliCores) -> Self {
        let new = Self {
            phase: Phase::Unknown,
            short: None,
            settles: Micros::ZERO,
            missed: 0,
            room,
            heard: None,
            kernel: None,
            rests: None,
            surge: None,
            on: BTreeSet::new(),
            strangers: false,
        };
        match known {
            Some(known) => Self {
                room,
                short: None,
                on: BTreeSet::new(),
                ..known
            },
            None => new,
        }
    }

    /// Relief of it is decided.
    pub(super) fn relieve(&mut self, since: Micros) {
        self.phase = Phase::Relieving(since);
        self.missed = 0;
    }

    /// Nothing more is heard of it.
    pub(super) fn silence(&mut self) {
        self.phase = Phase::Unknown;
        self.kernel = None;
        self.rests = None;
        self.surge = None;
        self.missed = 0;
    }

    /// It is heard, for the first time or again after a silence.
    pub(super) fn hear(&mut self, now: Micros) {
        self.phase = Phase::Calm;
        self.rests = Some(now);
    }

    /// Its kernel says that it is overloaded, or no longer is.
    pub(super) fn word(&mut self, began: bool, now: Micros) {
        let rested = self.rests.is_some_and(|since| since + REST <= now);
        self.kernel = began.then_some(now);
        self.surge = (began && rested && self.phase == Phase::Calm).then_some(now);
        self.rests = (!began && self.phase != Phase::Unknown).then_some(now);
    }

    /// Whether its load has just risen suddenly, and nobody is on the way from it yet.
    fn surges(&self, now: Micros) -> bool {
        let young = self.surge.is_some_and(|since| now < since + FRESH);
        young && !matches!(self.phase, Phase::Relieving(_) | Phase::Unknown)
    }

    /// A guest has left it or come to it for relief.
    pub(super) fn settle(&mut self, now: Micros) {
        self.settles = now + SETTLES;
    }
}

impl Watch {
    /// What the guests of a host surely want, what is under way counted as arrived.
    fn wanted(&self, host: &HostName, watched: &HostWatch) -> MilliCores {
        let here = watched
            .on
            .iter()
            .filter(|g| self.flights.iter().all(|f| f.guest != **g));
        let own: MilliCores = here
            .filter_map(|g| self.guests.get(g))
            .map(|w| w.demand.least(&self.cluster.guests[w.index]))
            .sum();
        let coming: MilliCores = self
            .flights
            .iter()
            .filter(|f| f.to == *host)
            .map(|f| f.demand)
            .sum();
        own + coming
    }

    /// The share of the host's room that is the hysteresis.
    fn hysteresis(&self, watched: &HostWatch) -> MilliCores {
        MilliCores(
            watched
                .room
                .0
                .saturating_mul(self.policy.relief.hysteresis.0)
                / 1000,
        )
    }

    /// What is enough to be missed, in milli-cores × microseconds.
    fn enough(&self, watched: &HostWatch) -> u64 {
        let part = self.hysteresis(watched).0;
        part.saturating_mul(self.policy.relief.after.0)
    }

    /// What the guests of a host missed, windows that cover so long a time added; and whether they want more
    /// than its room.
    fn missed(&self, host: &HostName, watched: &HostWatch, span: Micros) -> (u64, bool) {
        let wanted = self.wanted(host, watched);
        let over = |more: MilliCores, than: MilliCores| {
            let amount = more.saturating_sub(than).0;
            amount.saturating_mul(span.0)
        };
        let sum = watched.missed.saturating_add(over(wanted, watched.room));
        let left = sum.saturating_sub(over(watched.room, wanted));
        (left, wanted > watched.room)
    }

    /// Adds what the guests of a host missed in windows that cover so long a time.
    ///
    /// What was measured before a surge dilutes the mean of three windows. So in its first moments the demand of
    /// those guests of the host that were told of is that over the most windows that show the overload: not over
    /// fewer than need be, since what is wanted in a surge's first window overshoots.
    pub(super) fn count_missed(
        &mut self,
        host: &HostName,
        told: &BTreeMap<GuestName, Vec<Window>>,
        span: Micros,
        now: Micros,
    ) {
        let Some(watched) = self.hosts.get(host) else {
            return;
        };
        let (enough, surges) = (self.enough(watched), watched.surges(now));
        let (mut missed, mut above) = self.missed(host, watched, span);
        for windows in (1..NEWEST).rev().chain([NEWEST]) {
            // One that lasts beyond its decision has missed enough, and is to be seen still.
            if !surges || (missed >= enough && above) {
                break;
            }
            for guest in told.keys() {
                if let Some(known) = self.guests.get_mut(guest) {
                    known.demand = known.recent.seen(windows);
                }
            }
            // What lies before those windows is not counted with them.
            let span = told.values().map(|of| covered(of, windows)).max();
            if let Some(watched) = self.hosts.get(host) {
                (missed, above) = self.missed(host, watched, span.unwrap_or(Micros::ZERO));
            }
        }
        if let Some(watched) = self.hosts.get_mut(host) {
            // Capped, so that it falls below `enough` again soon after the overload ends.
            watched.missed = missed.min(enough.saturating_mul(2));
        }
    }

    /// Whether a guest of relief leaves the host or comes to it, or just has.
    fn is_unsettled(&self, host: &HostName, watched: &HostWatch, now: Micros) -> bool {
        let at = |f: &&Flight| f.from == *host || f.to == *host;
        let mut here = self.flights.iter().filter(at);
        now < watched.settles || here.any(|f| self.is_for_relief(f))
    }

    /// Looks at a host anew.
    pub(super) fn look(&mut self, host: &HostName, now: Micros) {
        let Some(watched) = self.hosts.get(host) else {
            return;
        };
        let wanted = self.wanted(host, watched);
        let slack = self.hysteresis(watched);
        let above = wanted > watched.room;
        let lacks = above && self.is_unsettled(host, watched, now);
        let short = lacks.then(|| watched.short.unwrap_or(now));
        let since = match watched.phase {
            Phase::Suspected(since) => since,
            _ => now,
        };
        let phase = watched.phase.next(Seen {
            above,
            enough: watched.missed >= self.enough(watched),
            under: wanted <= watched.room.saturating_sub(slack),
            kernel: watched.kernel.is_some_and(|said| said + FRESH >= since),
            leaving: self.flights.iter().any(|f| f.from == *host),
            short,
            after: self.policy.relief.after,
            now,
        });
        let began = matches!(phase, Phase::Overloaded(_)) && phase != watched.phase;
        // An overload that nothing ends elsewhere is no reason for this one to wait.
        if began && let Some((_, again, _)) = &mut self.last {
            *again = now;
        }
        if let Some(watched) = self.hosts.get_mut(host) {
            (watched.phase, watched.short) = (phase, short);
        }
    }
}
