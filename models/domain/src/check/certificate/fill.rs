//! Whether the pieces that fit into a room together can weigh more than it is said to hold.
//!
//! With items i (like pieces, cᵢ of them at weight wᵢ), needs nᵢᵣ and the room's Rᵣ:
//!
//!   max Σ wᵢ xᵢ  s.t.  Σ nᵢᵣ xᵢ ≤ Rᵣ for each resource r,  Σ over a set of those apart xᵢ ≤ 1,
//!                      0 ≤ xᵢ ≤ cᵢ integer
//!
//! First what is cheap: the sum of all weights, prices on the room (`price.rs`), tables over one
//! resource or a sum of priced resources (`axis.rs`). Then labels: every way to fill the room with
//! the first items, as far as its weight and what the tables say of the remaining items and room
//! can exceed the claim, less the ways that another dominates.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::axis::{self, Axis};
use super::price;
use super::proof::{Piece, Room};

/// With how many labels a new one is compared.
const COMPARED: usize = 96;

/// What was found of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fill {
    /// What fits weighs at most what is claimed.
    AtMost,
    /// These fit and weigh more.
    Heavier {
        pieces: Vec<(usize, u64)>,
        weight: u64,
    },
    /// The steps ended first.
    Unknown,
}

/// Like pieces as one room sees them.
#[derive(Debug, Clone)]
pub(super) struct Item<'a> {
    piece: usize,
    pub(super) need: &'a [u64],
    pub(super) weight: u64,
    /// As many as can be in the room.
    pub(super) count: u64,
    /// Sets of which the room takes one piece, and which other items belong to as well; ascending.
    apart: Vec<usize>,
    /// One of them, the items of which stand together: numbers from 0.
    pub(super) run: Option<usize>,
}

/// The items in the order of the search.
pub(super) struct Items<'a> {
    pub(super) list: Vec<Item<'a>>,
    /// For each item the first one past its run.
    pub(super) run_end: Vec<usize>,
}

/// Whether pieces in the room weigh at most `room.most`.
pub(super) fn at_most(pieces: &[Piece], room: &Room, steps: &mut u64) -> Fill {
    let list = items(pieces, room);
    let total: u64 = list.iter().map(|i| i.weight * i.count).sum();
    if total <= room.most {
        return Fill::AtMost;
    }
    if *steps == 0 {
        return Fill::Unknown;
    }
    let shares = price::shares(&list, &room.room);
    let Some(prices) = price::prices(&list, &shares, room.most, steps) else {
        return Fill::AtMost;
    };
    let items = ordered(list, &prices.cost);
    let Some(axes) = axis::axes(&items, &room.room, &prices.price, room.most, steps) else {
        return Fill::AtMost;
    };
    search(&items, room, &axes, steps)
}

/// What can be in the room at all.
fn items<'a>(pieces: &'a [Piece], room: &Room) -> Vec<Item<'a>> {
    let all: Vec<usize>;
    let taken: &[usize] = match &room.takes {
        Some(list) => list,
        None => {
            all = (0..pieces.len()).collect();
            &all
        }
    };
    let mut list: Vec<Item> = Vec::new();
    for (p, piece) in taken.iter().filter_map(|p| Some((*p, pieces.get(*p)?))) {
        let needs = piece.need.iter().zip(&room.room).filter(|(n, _)| **n > 0);
        let fits = needs.map(|(need, room)| room / need).min();
        let alone = if piece.apart.is_empty() { u64::MAX } else { 1 };
        let count = piece.count.min(alone).min(fits.unwrap_or(u64::MAX));
        if count > 0 && piece.weight > 0 {
            let mut apart = piece.apart.clone();
            apart.sort_unstable();
            apart.dedup();
            list.push(Item {
                piece: p,
                need: &piece.need,
                weight: piece.weight,
                count,
                apart,
                run: None,
            });
        }
    }
    let mut members: BTreeMap<usize, usize> = BTreeMap::new();
    for set in list.iter().flat_map(|i| &i.apart) {
        *members.entry(*set).or_default() += 1;
    }
    members.retain(|_, n| *n > 1);
    // An item in several sets stands in the largest.
    let mut runs: BTreeMap<usize, usize> = BTreeMap::new();
    for item in &mut list {
        item.apart.retain(|set| members.contains_key(set));
        let largest = item
            .apart
            .iter()
            .max_by_key(|set| (members[*set], Reverse(**set)));
        item.run = largest.map(|set| {
            let next = runs.len();
            *runs.entry(*set).or_insert(next)
        });
    }
    list
}

/// The most weight for its cost first, the items of a run together.
fn ordered<'a>(list: Vec<Item<'a>>, cost: &[u128]) -> Items<'a> {
    let rate = |(item, cost): (&Item, &u128)| {
        // What costs nothing comes first.
        let weight = u128::from(item.weight) << 48;
        weight.checked_div(*cost).unwrap_or(u128::MAX)
    };
    let rates: Vec<u128> = list.iter().zip(cost).map(rate).collect();
    let mut best: BTreeMap<usize, u128> = BTreeMap::new();
    for (item, rate) in list.iter().zip(&rates) {
        if let Some(run) = item.run {
            let known = best.entry(run).or_default();
            *known = (*known).max(*rate);
        }
    }
    let mut keyed: Vec<_> = list
        .into_iter()
        .zip(rates)
        .map(|(item, rate)| {
            let first = item.run.and_then(|r| best.get(&r)).copied().unwrap_or(rate);
            ((Reverse(first), item.run, Reverse(rate), item.piece), item)
        })
        .collect();
    keyed.sort_by_key(|(key, _)| *key);
    let list: Vec<Item> = keyed.into_iter().map(|(_, item)| item).collect();
    let mut run_end: Vec<usize> = (1..=list.len()).collect();
    for i in (1..list.len()).rev() {
        if list[i].run.is_some() && list[i].run == list[i - 1].run {
            run_end[i - 1] = run_end[i];
        }
    }
    Items { list, run_end }
}

/// A way to fill the room with some of the first items.
struct Label {
    weight: u64,
    /// What is left of each resource.
    left: Vec<u64>,
    /// What is left on each axis.
    on_axes: Vec<u64>,
    /// Sets of which a piece is taken and to which items further on belong; ascending.
    taken: Vec<usize>,
    /// What was taken last, as an index into the trail.
    last: Option<usize>,
}

/// What was taken, and before it.
struct Taken {
    item: usize,
    copies: u64,
    before: Option<usize>,
}

fn search(items: &Items, room: &Room, axes: &[Axis], steps: &mut u64) -> Fill {
    let list = &items.list;
    let mut last_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (i, item) in list.iter().enumerate() {
        last_of.extend(item.apart.iter().map(|set| (*set, i)));
    }
    let hopeful = |label: &Label, first: usize| {
        axes.iter()
            .zip(&label.on_axes)
            .all(|(axis, left)| label.weight + axis.most(first, *left) > room.most)
    };
    let mut trail: Vec<Taken> = Vec::new();
    let mut labels = vec![Label {
        weight: 0,
        left: room.room.clone(),
        on_axes: axes.iter().map(|a| a.room).collect(),
        taken: Vec::new(),
        last: None,
    }];
    for (i, item) in list.iter().enumerate() {
        labels.retain(|l| hopeful(l, i));
        let mut made: Vec<Label> = Vec::new();
        for label in &labels {
            if item.apart.iter().any(|set| label.taken.contains(set)) {
                continue;
            }
            let mut from = label;
            for copies in 1..=item.count {
                let Some(left) = steps.checked_sub(1) else {
                    return Fill::Unknown;
                };
                *steps = left;
                let Some(next) = with_one(from, item, i, axes) else {
                    break;
                };
                let last = Taken {
                    item: i,
                    copies,
                    before: label.last,
                };
                if next.weight > room.most {
                    return Fill::Heavier {
                        pieces: pieces_of(list, &trail, last),
                        weight: next.weight,
                    };
                }
                trail.push(last);
                made.push(Label {
                    last: Some(trail.len() - 1),
                    ..next
                });
                from = &made[made.len() - 1];
            }
        }
        made.retain(|l| hopeful(l, i + 1));
        for label in &mut made {
            label.taken.extend(&item.apart);
            label.taken.sort_unstable();
        }
        let closes = item.apart.iter().any(|set| last_of[set] == i);
        let grown = !made.is_empty();
        labels.append(&mut made);
        if closes {
            for label in &mut labels {
                label.taken.retain(|set| last_of[set] > i);
            }
        }
        if grown {
            undominated(&mut labels, steps);
        }
    }
    Fill::AtMost
}

/// The label with one more of the item, if there is room.
fn with_one(from: &Label, item: &Item, i: usize, axes: &[Axis]) -> Option<Label> {
    let less = |left: &[u64], need: &[u64]| -> Option<Vec<u64>> {
        let pairs = left.iter().zip(need);
        pairs.map(|(left, need)| left.checked_sub(*need)).collect()
    };
    let left = less(&from.left, item.need)?;
    let sizes: Vec<u64> = axes.iter().map(|a| a.size[i]).collect();
    Some(Label {
        weight: from.weight + item.weight,
        left,
        on_axes: less(&from.on_axes, &sizes)?,
        taken: from.taken.clone(),
        last: None,
    })
}

fn pieces_of(list: &[Item], trail: &[Taken], last: Taken) -> Vec<(usize, u64)> {
    let mut pieces = vec![(list[last.item].piece, last.copies)];
    let mut next = last.before;
    while let Some(taken) = next.and_then(|t| trail.get(t)) {
        pieces.push((list[taken.item].piece, taken.copies));
        next = taken.before;
    }
    pieces.sort_unstable();
    pieces
}

/// Drops labels that another one dominates: it weighs as much, leaves as much of each resource, and
/// has taken of no other set. Each is compared with the [`COMPARED`] of the least larger weight.
fn undominated(labels: &mut Vec<Label>, steps: &mut u64) {
    labels.sort_by_key(|l| Reverse(l.weight));
    let dominates = |a: &Label, b: &Label| {
        a.left.iter().zip(&b.left).all(|(a, b)| a >= b)
            && a.taken.iter().all(|set| b.taken.contains(set))
    };
    let mut kept: Vec<Label> = Vec::with_capacity(labels.len());
    let mut compared = 0;
    for label in labels.drain(..) {
        let near = kept.iter().rev().take(COMPARED);
        let mut looked = 0;
        let dominated = near.inspect(|_| looked += 1).any(|k| dominates(k, &label));
        compared += looked;
        if !dominated {
            kept.push(label);
        }
    }
    *steps = steps.saturating_sub(compared / 16);
    *labels = kept;
}

#[cfg(test)]
mod tests;
