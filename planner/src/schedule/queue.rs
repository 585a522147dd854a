//! Guests that wait for their migration, so kept that who can go next is found without looking at all
//! of them: a guest that found no room, or another of its spread rule in its place, is looked at
//! again only when somebody has left that host or place.

use std::collections::BTreeSet;

use super::Replay;

/// Guests on hosts that others wait for come first.
pub(super) const AWAITED: usize = 0;
/// And then the others.
pub(super) const NOT_AWAITED: usize = 1;

/// Pending guests, by their place in the order in which they are preferred.
pub(super) struct Queue {
    /// Guests by place, those that have gone among them.
    pub(super) order: Vec<usize>,
    /// The place of each guest that ever waited.
    pub(super) place: Vec<usize>,
    /// Whether each guest waits.
    pub(super) waits: Vec<bool>,
    /// How many wait.
    pub(super) left: usize,
    /// Places of guests that may be able to go, by [`AWAITED`] and [`NOT_AWAITED`].
    pub(super) open: [BTreeSet<usize>; 2],
    /// Places of guests that would join another of a spread rule on the way.
    pub(super) joining: BTreeSet<usize>,
    /// The waiting guests that come to each host.
    pub(super) to_come: Vec<Vec<usize>>,
}

impl Queue {
    pub(super) fn new(replay: &Replay) -> Self {
        let guests = replay.at.len();
        let mut order: Vec<usize> = (0..guests).filter(|g| replay.pending(*g)).collect();
        order.sort_by_key(|g| (replay.rank[*g], *g));
        let mut queue = Self {
            place: vec![0; guests],
            waits: vec![false; guests],
            left: order.len(),
            open: [BTreeSet::new(), BTreeSet::new()],
            joining: BTreeSet::new(),
            to_come: vec![Vec::new(); replay.load.len()],
            order,
        };
        for (place, g) in queue.order.iter().enumerate() {
            queue.place[*g] = place;
            queue.waits[*g] = true;
            queue.to_come[replay.target[*g]].push(*g);
        }
        for place in 0..queue.order.len() {
            queue.reopen(queue.order[place], replay);
        }
        queue
    }

    /// Whether a guest waits for room on the host.
    pub(super) fn awaited(&self, host: usize) -> bool {
        !self.to_come[host].is_empty()
    }

    /// Whether the guest is on a host that others wait for.
    pub(super) fn class(&self, guest: usize, replay: &Replay) -> usize {
        match replay.at[guest] {
            Some(host) if self.awaited(host) => AWAITED,
            _ => NOT_AWAITED,
        }
    }

    /// Takes a guest out that goes to its target now.
    pub(super) fn remove(&mut self, guest: usize, replay: &Replay) {
        let (place, target) = (self.place[guest], replay.target[guest]);
        self.waits[guest] = false;
        self.left -= 1;
        self.close(place);
        self.to_come[target].retain(|g| *g != guest);
    }

    /// The guest has left the host: those that wait for room there, or for a place apart from it, are
    /// looked at again.
    pub(super) fn left_host(&mut self, host: Option<usize>, guest: usize, replay: &Replay) {
        for g in host.map_or(Vec::new(), |h| self.to_come[h].clone()) {
            self.reopen(g, replay);
        }
        for s in &replay.spreads_of[guest] {
            for g in replay.spread[*s].0 {
                if self.waits[*g] {
                    self.reopen(*g, replay);
                }
            }
        }
    }

    /// Has a waiting guest looked at again.
    pub(super) fn reopen(&mut self, guest: usize, replay: &Replay) {
        let place = self.place[guest];
        self.close(place);
        let class = self.class(guest, replay);
        self.open[class].insert(place);
    }

    /// Nobody at this place of the order is looked at.
    fn close(&mut self, place: usize) {
        self.joining.remove(&place);
        for open in &mut self.open {
            open.remove(&place);
        }
    }
}
