//! Pricing: the pattern of a host class that is worth most, and a proof of how much that is.
//!
//! Sets, rows and apart as in `packing.rs`. Objective: max Σ_i v_i·a_i for integers v_i ≥ 0.
//!
//! Branch and bound (`walk.rs`) over the items in the order of value per surrogate need, with these
//! bounds on what the items still to come can add:
//! - the fractional optimum of the surrogate row Σ_r m_r·(room) with the multipliers m of the
//!   problem's own linear relaxation (Glover 1968; Dantzig 1957),
//! - how many more can fit by the least need of each row, times the highest value,
//! - tables of the best value within two of the rows at once, as dynamic programs over cells of
//!   these rows, needs rounded down to cells (`table.rs`).
//!
//! All of it is integer arithmetic but the choice of m, which any m ≥ 0 serves. So `most` is proven,
//! also when the step limit ends the search: then it is the largest bound of what was left.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::lanes::Lanes;
use super::packing::Packing;
use super::surrogate::{portion, shares, surrogate};
use super::table::{Axis, Table};
use super::walk::walk;

/// Items on one host: (class, copies), classes ascending.
pub type Content = Vec<(usize, usize)>;

/// What pricing found.
#[derive(Debug, Clone, Default)]
pub(super) struct Priced {
    /// Contents with their values, the best first; quick ones may be somewhat below the floor.
    pub(super) found: Vec<(i64, Content)>,
    /// No content is worth more.
    pub(super) most: i64,
    /// Whether the search for the most ended by itself.
    pub(super) finished: bool,
    /// Nodes looked at.
    pub(super) steps: u64,
}

/// How far a pricing goes.
pub(super) struct Reach<'a> {
    /// Only contents worth more than this matter; `most` is at least this.
    pub(super) floor: i64,
    /// Contents with each of the items that are worth more than this are found too.
    pub(super) low: i64,
    /// Nodes looked at for the best content, at most.
    pub(super) steps: u64,
    /// Nodes looked at for contents with each of the items in turn, at most.
    pub(super) seeds: u64,
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// A class of items that a host class takes.
struct Entry {
    item: usize,
    /// What each takes of the rows that can bind.
    need: Vec<i64>,
    /// The most that fit on one host.
    copies: usize,
    /// The sets apart that it is in.
    sets: Vec<usize>,
}

/// The contents of one host class.
pub(super) struct Pricer {
    pub(super) room: Vec<i64>,
    entries: Vec<Entry>,
    pub(super) sets: usize,
}

/// Table entries computed in one pricing, about.
const CELLS: usize = 1 << 24;
/// And where only contents with each item are looked for.
const QUICK: usize = 1 << 20;

impl Pricer {
    pub(super) fn new(packing: &Packing, class: usize) -> Self {
        let host = &packing.hosts[class];
        let fits = |need: &[i64]| need.iter().zip(&host.room).all(|(n, r)| n <= r);
        let taken = |i: &usize| host.takes[*i] && fits(&packing.items[*i].need);
        let taken: Vec<usize> = (0..packing.items.len()).filter(taken).collect();
        let rows = binding(packing, class, &taken);
        let room: Vec<i64> = rows.iter().map(|r| host.room[*r]).collect();
        let entries = taken
            .into_iter()
            .map(|i| {
                let item = &packing.items[i];
                let need: Vec<i64> = rows.iter().map(|r| item.need[*r]).collect();
                let sets: Vec<usize> = (0..packing.apart.len())
                    .filter(|s| packing.apart[*s].binary_search(&i).is_ok())
                    .collect();
                let most = if sets.is_empty() { item.count() } else { 1 };
                Entry {
                    item: i,
                    copies: copies(&need, &room, most),
                    need,
                    sets,
                }
            })
            .collect();
        Self {
            room,
            entries,
            sets: packing.apart.len(),
        }
    }

    /// The best contents by `values`, with at most `counts` of each item.
    pub(super) fn price(&self, values: &[i64], counts: &[usize], reach: &Reach) -> Priced {
        let mut search = Search::new(self, values, counts);
        search.keep_above(reach.floor.min(if reach.seeds > 0 {
            reach.low
        } else {
            reach.floor
        }));
        if search.n() == 0 {
            return Priced {
                most: reach.floor.max(0),
                finished: true,
                ..Priced::default()
            };
        }

        search.tabulate(if reach.steps > 0 { CELLS } else { QUICK });
        let walked = walk(&search, reach);
        let named = |taken: &[(usize, usize)]| -> Content {
            let mut copies: BTreeMap<usize, usize> = BTreeMap::new();
            for (k, c) in taken {
                *copies
                    .entry(self.entries[search.entries[*k]].item)
                    .or_default() += c;
            }
            copies.into_iter().collect()
        };
        let found = walked.found.iter();
        let mut found: Vec<(i64, Content)> = found.map(|(v, taken)| (*v, named(taken))).collect();
        found.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
        found.dedup();
        Priced {
            found,
            most: walked.most,
            finished: walked.finished,
            steps: walked.steps,
        }
    }
}

/// The rows of a class of hosts that can bind: not those that all items together keep, nor those that
/// as many of them keep as fit by another row.
pub(super) fn binding(packing: &Packing, class: usize, taken: &[usize]) -> Vec<usize> {
    let room = &packing.hosts[class].room;
    let needs = |r: usize| {
        taken
            .iter()
            .map(move |i| i128::from(packing.items[*i].need[r]))
    };
    let counts = || taken.iter().map(|i| packing.items[*i].count());
    let all = counts().fold(0, |sum: i128, n| {
        sum.saturating_add(i128::try_from(n).unwrap_or(i128::MAX))
    });
    let load = |r: usize| -> i128 {
        let pairs = needs(r).zip(counts());
        pairs
            .map(|(need, n)| need.saturating_mul(i128::try_from(n).unwrap_or(i128::MAX)))
            .sum()
    };
    let mut rows: Vec<usize> = (0..packing.resources())
        .filter(|r| load(*r) > i128::from(room[*r]))
        .collect();
    for r in rows.clone().into_iter().rev() {
        let others = rows.iter().filter(|o| **o != r);
        let fit = others.filter_map(|o| i128::from(room[*o]).checked_div(needs(*o).min()?));
        let most = fit.min().unwrap_or(all).min(all);
        let largest = needs(r).max().unwrap_or(0);
        if largest.saturating_mul(most) <= i128::from(room[r]) {
            rows.retain(|o| *o != r);
        }
    }
    rows
}

/// How often a need fits a room, at most `most`.
pub(super) fn copies(need: &[i64], room: &[i64], most: usize) -> usize {
    let fit = |(n, r): (&i64, &i64)| match r.checked_div(*n) {
        Some(times) => usize::try_from(times).unwrap_or(0),
        None => usize::MAX,
    };
    need.iter()
        .zip(room)
        .map(fit)
        .min()
        .unwrap_or(usize::MAX)
        .min(most)
}

/// One pricing. Items are in the order of branching, from 0.
pub(super) struct Search<'a> {
    pub(super) pricer: &'a Pricer,
    /// Of each item, its place among the pricer's entries.
    entries: Vec<usize>,
    pub(super) value: Vec<i64>,
    pub(super) copies: Vec<usize>,
    /// Needs per item and row, flat.
    pub(super) need: Vec<i64>,
    /// The same in lanes.
    pub(super) lanes: Lanes,
    /// The surrogate row, then rows of tables.
    pub(super) axes: Vec<Axis>,
    /// Σ of surrogate needs and values, all copies, of the items before each.
    needs_before: Vec<i64>,
    values_before: Vec<i64>,
    pub(super) tables: Vec<Table>,
    /// The multipliers, as shares of the rows.
    shares: Vec<f64>,
}

impl<'a> Search<'a> {
    pub(super) fn new(pricer: &'a Pricer, values: &[i64], counts: &[usize]) -> Self {
        let entries: Vec<usize> = (0..pricer.entries.len())
            .filter(|e| {
                let entry = &pricer.entries[*e];
                values[entry.item] > 0 && counts[entry.item] > 0
            })
            .collect();
        let mut search = Self {
            pricer,
            value: Vec::new(),
            copies: Vec::new(),
            need: Vec::new(),
            lanes: Lanes::default(),
            axes: Vec::new(),
            needs_before: Vec::new(),
            values_before: Vec::new(),
            tables: Vec::new(),
            shares: Vec::new(),
            entries,
        };
        let of = |e: &usize| &pricer.entries[*e];
        let copies = |e: &usize| of(e).copies.min(counts[of(e).item]);
        let worth = |e: &usize| values[of(e).item];
        search.shares = shares(
            &pricer.room,
            search
                .entries
                .iter()
                .map(|e| (worth(e), copies(e), of(e).need.as_slice())),
        );
        let weighed = |e: &usize| surrogate(&of(e).need, &pricer.room, &search.shares);
        let mut order: Vec<(usize, i64)> =
            search.entries.iter().map(|e| (*e, weighed(e))).collect();
        order.sort_by(|(a, s), (b, t)| {
            let left = i128::from(worth(a)) * i128::from(*t);
            let right = i128::from(worth(b)) * i128::from(*s);
            right.cmp(&left).then(a.cmp(b))
        });
        search.entries = order.iter().map(|(e, _)| *e).collect();
        search.value = search.entries.iter().map(worth).collect();
        search.copies = search.entries.iter().map(copies).collect();
        search.axes = vec![Axis {
            room: search.shares.iter().map(|s| portion(*s)).sum(),
            need: order.iter().map(|(_, s)| *s).collect(),
        }];
        search.index();
        search
    }

    pub(super) fn n(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn rows(&self) -> usize {
        self.pricer.room.len()
    }

    /// What is derived from the order of the items.
    fn index(&mut self) {
        let pricer = self.pricer;
        self.need = self
            .entries
            .iter()
            .flat_map(|e| pricer.entries[*e].need.iter().copied())
            .collect();
        self.lanes = Lanes::new(&self.need, &pricer.room);
        let total = |each: &[i64]| -> Vec<i64> {
            let mut sum = 0i64;
            let mut before = vec![0];
            for (v, c) in each.iter().zip(&self.copies) {
                sum = sum.saturating_add(v.saturating_mul(count(*c)));
                before.push(sum);
            }
            before
        };
        self.needs_before = total(&self.axes[0].need);
        self.values_before = total(&self.value);
    }

    /// Drops items that are in no content worth more than `floor`.
    fn keep_above(&mut self, floor: i64) {
        let axis = &self.axes[0];
        let keep: Vec<bool> = (0..self.n())
            .map(|k| {
                let rest = self.fraction(0, axis.room - axis.need[k]);
                self.value[k].saturating_add(rest) > floor
            })
            .collect();
        let kept = |list: &[i64]| -> Vec<i64> {
            let pairs = list.iter().zip(&keep);
            pairs.filter(|(_, keep)| **keep).map(|(v, _)| *v).collect()
        };
        let kept_too = |list: &[usize]| -> Vec<usize> {
            let pairs = list.iter().zip(&keep);
            pairs.filter(|(_, keep)| **keep).map(|(v, _)| *v).collect()
        };
        self.value = kept(&self.value);
        self.axes[0].need = kept(&self.axes[0].need);
        self.entries = kept_too(&self.entries);
        self.copies = kept_too(&self.copies);
        self.index();
    }

    /// The fractional optimum of the surrogate row over the items from `k` on, within `rest`.
    pub(super) fn fraction(&self, k: usize, rest: i64) -> i64 {
        let within = self.needs_before[k].saturating_add(rest);
        let m = k + self.needs_before[k + 1..].partition_point(|s| *s <= within);
        let whole = self.values_before[m] - self.values_before[k];
        if m == self.n() {
            return whole;
        }
        let (left, v, s) = (
            within - self.needs_before[m],
            self.value[m],
            self.axes[0].need[m],
        );
        let part = match left.checked_mul(v) {
            Some(product) => product / s,
            None => i64::try_from(i128::from(left) * i128::from(v) / i128::from(s)).unwrap_or(v),
        };
        whole.saturating_add(part)
    }

    /// Makes the tables, of so many entries.
    pub(super) fn tabulate(&mut self, entries: usize) {
        let (n, rows) = (self.n(), self.rows());
        let copies: usize = self
            .copies
            .iter()
            .map(|c| usize::try_from(c.ilog2()).unwrap_or(0) + 1)
            .sum();
        let order = self.by_share();
        let mut planes: Vec<(usize, Option<usize>)> = match order.as_slice() {
            [] => Vec::new(),
            [only] => vec![(*only, None)],
            _ => order
                .chunks(2)
                .map(|pair| (pair[0], Some(*pair.get(1).unwrap_or(&order[0]))))
                .collect(),
        };
        planes.truncate(3);
        let cells = (entries / copies.max(1) / planes.len().max(1)).clamp(1 << 10, 1 << 18);
        for (a, b) in planes {
            let side = if b.is_some() { cells.isqrt() } else { cells };
            let mut axis = |r: usize| {
                let needs: Vec<i64> = (0..n).map(|k| self.need[k * rows + r]).collect();
                self.axes.push(Axis::new(needs, self.pricer.room[r], side));
                self.axes.len() - 1
            };
            let (a, b) = (axis(a), b.map(&mut axis));
            let table = Table::new(&self.value, &self.copies, &self.axes, (a, b), side);
            self.tables.push(table);
        }
    }

    /// Rows, those first that weigh most.
    pub(super) fn by_share(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.rows()).collect();
        order.sort_by(|a, b| self.shares[*b].total_cmp(&self.shares[*a]));
        order
    }

    /// What item `k` needs of each row.
    pub(super) fn needs(&self, k: usize) -> &[i64] {
        let rows = self.rows();
        &self.need[k * rows..(k + 1) * rows]
    }

    /// The class of item `k`.
    pub(super) fn item(&self, k: usize) -> usize {
        self.pricer.entries[self.entries[k]].item
    }

    /// The sets apart of item `k`.
    pub(super) fn sets(&self, k: usize) -> &'a [usize] {
        &self.pricer.entries[self.entries[k]].sets
    }
}

pub(super) fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
