//! Who is where, of what hosts carry by class, under the rules over several guests, which classes do not
//! know.
//!
//! Copies that run on a host which carries one of theirs stay there. Guests that are to be in one place are
//! held to that where most of them stay, or else to the one with most room for them. Those that are left
//! of an item share the rest of its seats by a largest matching along augmenting paths (Kuhn 1955), so that
//! nobody is without a seat whom changing places within the item would give one. Guests without rules may have
//! any seat, and take what is left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::packing::{Packing, is_per_host};
use super::price::Content;
use crate::problem::{GroupKind, Problem};

/// Where guests that are to be in one place are to be, by rule.
pub(super) type Held = BTreeMap<usize, usize>;

/// Rules over several guests that a host's content does not know.
pub(super) struct Rules<'p> {
    p: &'p Problem,
    /// Of each guest, by the rules' index.
    of: Vec<Vec<usize>>,
}

/// Who is where.
pub(super) struct Seats {
    /// The host of each guest that has a seat.
    pub(super) place: Vec<Option<usize>>,
    /// Guests without, as copies, each with the hosts of seats of its item that nobody may have.
    pub(super) without: Vec<(Vec<usize>, Vec<usize>)>,
}

impl Seats {
    /// What moving all guests to their seats costs.
    pub(super) fn moved(&self, rules: &Rules) -> i64 {
        let guests = rules.p.guests.iter().zip(&self.place);
        let moving = guests.filter(|(g, at)| g.current.is_some() && g.current != **at);
        moving.map(|(g, _)| g.price).sum()
    }
}

impl<'p> Rules<'p> {
    pub(super) fn of(p: &'p Problem) -> Self {
        let mut of = vec![Vec::new(); p.guests.len()];
        for (r, rule) in p.rules.iter().enumerate() {
            let (GroupKind::Spread { guests, place } | GroupKind::Gather { guests, place }) =
                &rule.kind
            else {
                continue;
            };
            // Guests that are on one host whichever that is are one copy.
            if matches!(rule.kind, GroupKind::Spread { .. }) || !is_per_host(place) {
                guests.iter().for_each(|g| of[*g].push(r));
            }
        }
        Self { p, of }
    }

    /// Whether none binds anybody.
    pub(super) fn is_empty(&self) -> bool {
        self.of.iter().all(Vec::is_empty)
    }

    /// The problem with each guest held to the hosts of the places of its rules; `None` where one would
    /// have none.
    pub(super) fn hold(&self, held: &Held) -> Option<Problem> {
        let mut narrow = self.p.clone();
        let mut known: BTreeMap<(*const usize, usize, *const usize, usize), Arc<[usize]>> =
            BTreeMap::new();
        for (r, at) in held {
            let GroupKind::Gather { guests, place } = &self.p.rules[*r].kind else {
                continue;
            };
            for g in guests {
                let allowed = &mut narrow.guests[*g].allowed;
                let key = (allowed.as_ptr(), allowed.len(), place.as_ptr(), *at);
                let inside = known.entry(key).or_insert_with(|| {
                    let inside = allowed.iter().copied().filter(|h| place[*h] == *at);
                    inside.collect()
                });
                if inside.is_empty() {
                    return None;
                }
                *allowed = inside.clone();
            }
        }
        Some(narrow)
    }
}

/// How many copies of each item can be on one host at most: of those that are to be in different places one.
pub(super) fn most(p: &Problem, packing: &Packing) -> Vec<usize> {
    let mut apart: Vec<Option<usize>> = vec![None; p.guests.len()];
    for (r, rule) in p.rules.iter().enumerate() {
        if let GroupKind::Spread { guests, .. } = &rule.kind {
            guests.iter().for_each(|g| apart[*g] = Some(r));
        }
    }
    let of = |item: &super::Item| {
        let copies = item.members.iter();
        let rules = copies.map(|copy| copy.iter().find_map(|g| apart[*g]));
        let (bound, free): (Vec<_>, Vec<_>) = rules.partition(Option::is_some);
        free.len() + bound.into_iter().collect::<BTreeSet<_>>().len()
    };
    packing.items.iter().map(of).collect()
}

/// Gives each copy a seat of its item, if it may have one, and holds guests that are to be in one place and are
/// not held yet. `home` tells for the members of each item where most of them run.
pub(super) fn seat(
    rules: &Rules,
    packing: &Packing,
    contents: &[(usize, Content)],
    home: &[Vec<Option<usize>>],
    held: &mut Held,
) -> Seats {
    let mut seating = Seating {
        rules,
        place: vec![None; rules.p.guests.len()],
        taken: BTreeSet::new(),
        free: vec![Vec::new(); packing.items.len()],
        staying: vec![Vec::new(); packing.items.len()],
        moving: Vec::new(),
    };
    for (host, content) in contents {
        for (item, copies) in content {
            seating.free[*item].extend(std::iter::repeat_n(*host, *copies));
        }
    }
    seating.hold_where_they_stay(home, packing, held);
    for (item, home) in home.iter().enumerate() {
        let moving = seating.stay(&packing.items[item].members, home, item, held);
        seating.moving.push(moving);
    }
    seating.hold_where_there_is_room(held);
    // Where few move there is the least choice.
    let mut order: Vec<usize> = (0..packing.items.len()).collect();
    order.sort_by_key(|i| (seating.moving[*i].len(), *i));
    let mut without = Vec::new();
    for item in order {
        without.extend(seating.share(item, held));
    }
    Seats {
        place: seating.place,
        without,
    }
}

struct Seating<'s, 'p, 'k> {
    rules: &'s Rules<'p>,
    place: Vec<Option<usize>>,
    /// Places of spread rules that a guest of theirs has.
    taken: BTreeSet<(usize, usize)>,
    /// Hosts of the seats left, by item.
    free: Vec<Vec<usize>>,
    /// Copies that stay, with their host, by item.
    staying: Vec<Vec<(&'k [usize], usize)>>,
    /// Copies that do not, by item.
    moving: Vec<Vec<&'k [usize]>>,
}

impl<'p, 'k> Seating<'_, 'p, 'k> {
    /// Seats those of an item that stay, and returns the others.
    fn stay(
        &mut self,
        members: &'k [Vec<usize>],
        home: &[Option<usize>],
        item: usize,
        held: &Held,
    ) -> Vec<&'k [usize]> {
        let mut moving = Vec::new();
        let mut copies: Vec<(&[usize], Option<usize>)> = members
            .iter()
            .map(Vec::as_slice)
            .zip(home.iter().copied())
            .collect();
        // Of several at one host those rather that have the least choice elsewhere.
        let gathers = |copy: &[usize]| {
            let rules = copy.iter().flat_map(|g| &self.rules.of[*g]);
            let kinds = rules.map(|r| &self.rules.p.rules[*r].kind);
            kinds
                .filter(|k| matches!(k, GroupKind::Gather { .. }))
                .count()
        };
        copies.sort_by_key(|(copy, _)| std::cmp::Reverse(gathers(copy)));
        for (copy, home) in copies {
            let seat = home
                .filter(|h| self.may(copy, *h, held))
                .and_then(|h| self.free[item].iter().position(|s| *s == h));
            match seat {
                Some(seat) => {
                    let host = self.free[item].swap_remove(seat);
                    self.sit(copy, host);
                    self.staying[item].push((copy, host));
                }
                None => moving.push(copy),
            }
        }
        moving
    }

    /// Whether a copy breaks no rule with those that are seated.
    fn may(&self, copy: &[usize], host: usize, held: &Held) -> bool {
        let mut rules = copy.iter().flat_map(|g| &self.rules.of[*g]);
        rules.all(|r| match &self.rules.p.rules[*r].kind {
            GroupKind::Gather { place, .. } => held.get(r).is_none_or(|at| place[host] == *at),
            GroupKind::Spread { place, .. } => !self.taken.contains(&(*r, place[host])),
            GroupKind::Spare { .. } | GroupKind::MaxMoves { .. } => true,
        })
    }

    fn sit(&mut self, copy: &[usize], host: usize) {
        for g in copy {
            self.place[*g] = Some(host);
            for r in &self.rules.of[*g] {
                if let GroupKind::Spread { place, .. } = &self.rules.p.rules[*r].kind {
                    self.taken.insert((*r, place[host]));
                }
            }
        }
    }

    /// Holds guests that are to be in one place to that where most of them may stay.
    fn hold_where_they_stay(
        &self,
        home: &[Vec<Option<usize>>],
        packing: &Packing,
        held: &mut Held,
    ) {
        let mut stays = vec![None; self.place.len()];
        for ((item, home), free) in packing.items.iter().zip(home).zip(&self.free) {
            let seats: BTreeSet<usize> = free.iter().copied().collect();
            for (copy, home) in item.members.iter().zip(home) {
                let seat = home.filter(|h| seats.contains(h));
                copy.iter().for_each(|g| stays[*g] = seat);
            }
        }
        for (r, guests, place) in self.open(held) {
            let mut at: BTreeMap<usize, i64> = BTreeMap::new();
            for g in guests {
                if let Some(host) = stays[*g] {
                    *at.entry(place[host]).or_default() += self.rules.p.guests[*g].price.max(1);
                }
            }
            let most = at.into_iter().max_by_key(|(_, price)| *price);
            held.extend(most.map(|(at, _)| (r, at)));
        }
    }

    /// Holds the others to the places with most seats for them that nobody else needs.
    fn hold_where_there_is_room(&self, held: &mut Held) {
        let mut item: Vec<Option<usize>> = vec![None; self.place.len()];
        for (i, copies) in self.moving.iter().enumerate() {
            let first = copies.iter().filter_map(|c| c.first());
            first.for_each(|g| item[*g] = Some(i));
        }
        let mut spare = self.free.clone();
        let reserve = |spare: &mut Vec<Vec<usize>>,
                       (guests, place, at): (&[usize], &[usize], usize)| {
            for i in guests.iter().filter_map(|g| item[*g]) {
                let seat = spare[i].iter().position(|h| place[*h] == at);
                seat.map(|seat| spare[i].swap_remove(seat));
            }
        };
        for (r, at) in held.iter() {
            if let GroupKind::Gather { guests, place } = &self.rules.p.rules[*r].kind {
                reserve(&mut spare, (guests, place, *at));
            }
        }
        for (r, guests, place) in self.open(held) {
            let mut wanted: BTreeMap<usize, usize> = BTreeMap::new();
            for i in guests.iter().filter_map(|g| item[*g]) {
                *wanted.entry(i).or_default() += 1;
            }
            // The place where most of the guests find a seat.
            let most = |free: &[Vec<usize>]| {
                let mut found: BTreeMap<usize, usize> = BTreeMap::new();
                for (i, copies) in &wanted {
                    let mut seats: BTreeMap<usize, usize> = BTreeMap::new();
                    for h in &free[*i] {
                        *seats.entry(place[*h]).or_default() += 1;
                    }
                    for (at, seats) in seats {
                        *found.entry(at).or_default() += seats.min(*copies);
                    }
                }
                found.into_iter().max_by_key(|(_, seats)| *seats)
            };
            // Where all seats are somebody's, who comes first may still have one.
            if let Some((at, _)) = most(&spare).or_else(|| most(&self.free)) {
                reserve(&mut spare, (guests, place, at));
                held.insert(r, at);
            }
        }
    }

    /// Rules whose guests are to be in one place and are not held.
    fn open(&self, held: &Held) -> Vec<(usize, &'p [usize], &'p [usize])> {
        let rules = self.rules.p.rules.iter().enumerate();
        rules
            .filter(|(r, _)| !held.contains_key(r))
            .filter_map(|(r, rule)| match &rule.kind {
                GroupKind::Gather { guests, place } if !is_per_host(place) => {
                    Some((r, guests.as_slice(), &**place))
                }
                _ => None,
            })
            .collect()
    }

    /// Gives those of an item that move its seats that are left, and returns those without.
    fn share(&mut self, item: usize, held: &Held) -> Vec<(Vec<usize>, Vec<usize>)> {
        let seats = std::mem::take(&mut self.free[item]);
        let copies = std::mem::take(&mut self.moving[item]);
        let bound = |copy: &&[usize]| copy.iter().any(|g| !self.rules.of[*g].is_empty());
        let (ruled, others): (Vec<&[usize]>, Vec<&[usize]>) = copies.into_iter().partition(bound);
        let may = |c: usize, s: usize| self.may(ruled[c], seats[s], held);
        let matched = matching(ruled.len(), seats.len(), &may);
        let mut free = Vec::new();
        let mut sitting: Vec<(&[usize], usize)> = Vec::new();
        let mut seated = vec![false; ruled.len()];
        for (seat, copy) in seats.iter().zip(matched) {
            match copy {
                // Two of one item may be in each other's way.
                Some(c) if self.may(ruled[c], *seat, held) => {
                    seated[c] = true;
                    self.sit(ruled[c], *seat);
                    sitting.push((ruled[c], *seat));
                }
                _ => free.push(*seat),
            }
        }
        for copy in others {
            let Some(seat) = free.pop() else { break };
            self.sit(copy, seat);
            sitting.push((copy, seat));
        }
        let left = ruled.iter().zip(seated).filter(|(_, seated)| !seated);
        let left: Vec<&[usize]> = left.map(|(copy, _)| *copy).collect();
        let mut without = Vec::new();
        let mut staying = std::mem::take(&mut self.staying[item]);
        let price =
            |copy: &[usize]| -> i64 { copy.iter().map(|g| self.rules.p.guests[*g].price).sum() };
        staying.sort_by_key(|(copy, _)| price(copy));
        for copy in left {
            // That one moves who would have stayed is the last resort.
            let found = self.change(copy, &mut sitting, &mut free, held)
                || self.change(copy, &mut staying, &mut free, held);
            if !found {
                without.push(copy);
            }
        }
        let without = without.into_iter();
        without.map(|copy| (copy.to_vec(), free.clone())).collect()
    }

    /// Gives a copy one of the seats that are left, or that of one who may have one of these; whether there
    /// was one.
    fn change(
        &mut self,
        copy: &'k [usize],
        sitting: &mut Vec<(&'k [usize], usize)>,
        free: &mut Vec<usize>,
        held: &Held,
    ) -> bool {
        if let Some(at) = free.iter().position(|s| self.may(copy, *s, held)) {
            let seat = free.swap_remove(at);
            self.sit(copy, seat);
            sitting.push((copy, seat));
            return true;
        }
        for at in 0..sitting.len() {
            let (other, seat) = sitting[at];
            self.rise(other, seat);
            if self.may(copy, seat, held) {
                self.sit(copy, seat);
                if let Some(to) = free.iter().position(|s| self.may(other, *s, held)) {
                    let to = free.swap_remove(to);
                    self.sit(other, to);
                    sitting[at] = (copy, seat);
                    sitting.push((other, to));
                    return true;
                }
                self.rise(copy, seat);
            }
            self.sit(other, seat);
        }
        false
    }

    /// Takes its seat from a copy.
    fn rise(&mut self, copy: &[usize], host: usize) {
        for g in copy {
            self.place[*g] = None;
            for r in &self.rules.of[*g] {
                if let GroupKind::Spread { place, .. } = &self.rules.p.rules[*r].kind {
                    self.taken.remove(&(*r, place[host]));
                }
            }
        }
    }
}

/// A largest matching of so many copies and seats; the copy of each seat.
fn matching(copies: usize, seats: usize, may: &dyn Fn(usize, usize) -> bool) -> Vec<Option<usize>> {
    let mut of_seat: Vec<Option<usize>> = vec![None; seats];
    let mut of_copy: Vec<Option<usize>> = vec![None; copies];
    // Who asks for each seat. Seats from which no path leads on stay out of what follows.
    let mut asks: Vec<Option<usize>> = vec![None; seats];
    for copy in 0..copies {
        let mut queue = VecDeque::from([copy]);
        let mut end = None;
        'search: while let Some(c) = queue.pop_front() {
            for s in 0..seats {
                if asks[s].is_none() && may(c, s) {
                    asks[s] = Some(c);
                    match of_seat[s] {
                        Some(next) => queue.push_back(next),
                        None => {
                            end = Some(s);
                            break 'search;
                        }
                    }
                }
            }
        }
        let Some(mut seat) = end else { continue };
        while let Some(c) = asks[seat] {
            of_seat[seat] = Some(c);
            match of_copy[c].replace(seat) {
                Some(before) => seat = before,
                None => break,
            }
        }
        asks.fill(None);
    }
    of_seat
}

#[cfg(test)]
mod tests;
