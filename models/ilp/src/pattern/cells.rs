//! What fits a rest best, for every rest of a host at once, where needs come in few steps.
//!
//! Of the rows that can bind, at most two, each is counted in steps of the greatest divisor of its
//! needs. Where that makes few cells, T(x, y) = max Σ_i w_i·a_i over what keeps the rests x and y and
//! `0 ≤ a_i ≤ n_i` is known exactly for every cell, by dynamic programming over the items in pieces of
//! 1, 2, 4, … copies (Bellman 1957). Then who stays on a host is all that is left to be decided there
//! (`stay.rs`): each set of them leaves a cell.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::packing::Packing;
use super::price::{Content, binding, copies};
use crate::model::gcd;

/// Cells of a class of hosts, at most.
const CELLS: usize = 1 << 14;
/// Cells times pieces, at most.
const ENTRIES: usize = 1 << 24;
/// Sets of who stays that are looked at for one host, at most.
const STEPS: u64 = 2_000;

/// The steps of a class of hosts.
pub(super) struct Cells {
    /// Cells of the first row and of the second.
    height: usize,
    width: usize,
    /// Of each item that the class takes, its steps in both rows and how many fit.
    items: BTreeMap<usize, (usize, usize, usize)>,
    /// Of these, what every class takes in the same way, and what not.
    common: Vec<usize>,
    own: Vec<usize>,
}

impl Cells {
    /// `None` where there are too many.
    pub(super) fn new(packing: &Packing, class: usize) -> Option<Self> {
        let host = &packing.hosts[class];
        let fits = |need: &[i64]| need.iter().zip(&host.room).all(|(n, r)| n <= r);
        let taken = |i: &usize| host.takes[*i] && fits(&packing.items[*i].need);
        let taken: Vec<usize> = (0..packing.items.len()).filter(taken).collect();
        let rows = binding(packing, class, &taken);
        if rows.len() > 2 {
            return None;
        }
        let units: Vec<i64> = rows
            .iter()
            .map(|r| {
                let needs = taken.iter().map(|i| packing.items[*i].need[*r]);
                needs.fold(0, gcd).max(1)
            })
            .collect();
        let steps = |at: usize, amount: &dyn Fn(usize) -> i64| -> Option<usize> {
            let row = rows.get(at).map(|r| amount(*r) / units[at]);
            row.map_or(Some(0), |steps| usize::try_from(steps).ok())
        };
        let height = steps(0, &|r| host.room[r])?.checked_add(1)?;
        let width = steps(1, &|r| host.room[r])?.checked_add(1)?;
        if height.checked_mul(width).is_none_or(|cells| cells > CELLS) {
            return None;
        }
        let mut items = BTreeMap::new();
        let mut pieces = 0;
        for i in taken {
            let item = &packing.items[i];
            let fit = copies(&item.need, &host.room, item.count());
            let need = |r: usize| item.need[r];
            items.insert(i, (steps(0, &need)?, steps(1, &need)?, fit));
            pieces += usize::BITS - fit.leading_zeros();
        }
        let entries = usize::try_from(pieces).ok()?.checked_mul(height * width)?;
        (entries <= ENTRIES).then(|| Self {
            height,
            width,
            common: Vec::new(),
            own: items.keys().copied().collect(),
            items,
        })
    }

    /// The steps of every class; `None` where one has too many.
    pub(super) fn of(packing: &Packing) -> Option<Vec<Self>> {
        let classes = 0..packing.hosts.len();
        let mut all: Vec<Self> = classes
            .map(|k| Self::new(packing, k))
            .collect::<Option<_>>()?;
        let alike = |a: &Self, b: &Self, i: usize| {
            (a.height, a.width) == (b.height, b.width) && a.items.get(&i) == b.items.get(&i)
        };
        let items = 0..packing.items.len();
        let common: Vec<usize> = items
            .filter(|i| {
                all.iter()
                    .all(|k| k.items.contains_key(i) && alike(k, &all[0], *i))
            })
            .collect();
        for cells in &mut all {
            cells.own.retain(|i| common.binary_search(i).is_err());
            cells.common.clone_from(&common);
        }
        Some(all)
    }

    /// T for weights of at least 0, with at most `left` copies of each item.
    pub(super) fn table(&self, weights: &[i64], left: &[usize]) -> Table<'_> {
        self.table_on(self.base(weights, left), weights, left)
    }

    /// T of the items alone that every class takes, which serves all of them.
    pub(super) fn base(&self, weights: &[i64], left: &[usize]) -> Base {
        let mut base = Base {
            most: vec![0i64; self.height * self.width],
            pieces: Vec::new(),
            better: Vec::new(),
        };
        self.extend(&mut base, &self.common, weights, left);
        base
    }

    /// T with the class's own items besides.
    pub(super) fn table_on(&self, mut base: Base, weights: &[i64], left: &[usize]) -> Table<'_> {
        if base.most.len() != self.height * self.width {
            base = self.base(weights, left);
        }
        self.extend(&mut base, &self.own, weights, left);
        Table { cells: self, base }
    }

    /// Whether every class takes the item in the same way.
    pub(super) fn is_common(&self, item: usize) -> bool {
        self.common.binary_search(&item).is_ok()
    }

    fn extend(&self, base: &mut Base, items: &[usize], weights: &[i64], left: &[usize]) {
        let cells = self.height * self.width;
        for item in items {
            let (down, right, fit) = &self.items[item];
            let mut rest = left[*item].min(*fit);
            let mut piece = 1;
            while rest > 0 && weights[*item] > 0 {
                let times = piece.min(rest);
                let (down, right) = (down * times, right * times);
                if down < self.height && right < self.width {
                    let worth = weights[*item].saturating_mul(super::price::count(times));
                    let at = base.better.len();
                    base.better.resize(at + cells, false);
                    let better = &mut base.better[at..];
                    self.offer(&mut base.most, better, (down, right), worth);
                    base.pieces.push((*item, times, down * self.width + right));
                }
                rest -= times;
                piece *= 2;
            }
        }
    }

    /// Lets every cell take a piece once.
    fn offer(
        &self,
        most: &mut [i64],
        better: &mut [bool],
        (down, right): (usize, usize),
        worth: i64,
    ) {
        let width = self.width;
        for x in (down..self.height).rev() {
            let to = x * width..(x + 1) * width;
            let marks = &mut better[to.clone()][right..];
            if down > 0 {
                let (above, here) = most.split_at_mut(x * width);
                let from = &above[(x - down) * width..][..width];
                for ((to, from), mark) in here[right..width].iter_mut().zip(from).zip(marks) {
                    let with = from + worth;
                    *mark = with > *to;
                    *to = with.max(*to);
                }
            } else {
                let here = &mut most[to];
                for y in (right..width).rev() {
                    let with = here[y - right] + worth;
                    marks[y - right] = with > here[y];
                    here[y] = with.max(here[y]);
                }
            }
        }
    }
}

/// T of a class of hosts for some weights.
pub(super) struct Table<'a> {
    cells: &'a Cells,
    base: Base,
}

/// T, and how it comes about.
#[derive(Clone)]
pub(super) struct Base {
    most: Vec<i64>,
    /// Item, copies, cells that they take.
    pieces: Vec<(usize, usize, usize)>,
    /// Whether a cell is better with a piece than with those before it alone, cells by piece.
    better: Vec<bool>,
}

/// The best that a host may carry.
#[derive(Debug, Clone, Default)]
pub(super) struct Filled {
    /// A bound on what any content is worth.
    pub(super) most: i64,
    /// What this content is worth.
    pub(super) worth: i64,
    pub(super) content: Content,
    /// Of it, the items of copies that stay.
    pub(super) stays: Vec<usize>,
}

impl Table<'_> {
    /// The content of a host that is worth most by the weights and the prices of who stays, of whom
    /// `homes` are the copies that may, by item.
    pub(super) fn fill(&self, homes: &[(usize, i64)], weights: &[i64]) -> Filled {
        let items = &self.cells.items;
        let mut stays: Vec<(i64, usize, i64)> = homes
            .iter()
            .filter(|(item, _)| items.contains_key(item))
            .map(|(item, price)| (weights[*item].saturating_add(*price), *item, *price))
            .collect();
        // Copies of an item together, the dearest first.
        stays.sort_by_key(|(_, item, price)| (*item, Reverse(*price)));
        let mut prices_from = vec![0; stays.len() + 1];
        for (j, (_, _, price)) in stays.iter().enumerate().rev() {
            prices_from[j] = prices_from[j + 1] + price;
        }
        let mut walk = Walk {
            table: self,
            stays,
            prices_from,
            taken: Vec::new(),
            best: -1,
            unseen: 0,
            steps: 0,
            chosen: (Vec::new(), 0),
        };
        walk.stay(0, (self.cells.height - 1, self.cells.width - 1), 0);
        let mut content: BTreeMap<usize, usize> = BTreeMap::new();
        let stays: Vec<usize> = walk.chosen.0.iter().map(|j| walk.stays[*j].1).collect();
        for item in &stays {
            *content.entry(*item).or_default() += 1;
        }
        let mut cell = walk.chosen.1;
        let Base {
            most,
            pieces,
            better,
        } = &self.base;
        for (p, (item, times, takes)) in pieces.iter().enumerate().rev() {
            if better[p * most.len() + cell] {
                *content.entry(*item).or_default() += times;
                cell -= takes;
            }
        }
        Filled {
            most: walk.best.max(walk.unseen).max(0),
            worth: walk.best,
            content: content.into_iter().collect(),
            stays,
        }
    }
}

struct Walk<'t, 'a> {
    table: &'t Table<'a>,
    /// Copies that may stay: with their weight and price, their item, and their price.
    stays: Vec<(i64, usize, i64)>,
    /// Σ price from each on.
    prices_from: Vec<i64>,
    taken: Vec<usize>,
    best: i64,
    /// A bound on what was left out.
    unseen: i64,
    steps: u64,
    /// Who stays, and the cell that is left.
    chosen: (Vec<usize>, usize),
}

impl Walk<'_, '_> {
    /// Decides who stays, from the `j`-th copy on.
    fn stay(&mut self, j: usize, (x, y): (usize, usize), value: i64) {
        let cell = x * self.table.cells.width + y;
        let coming = value.saturating_add(self.table.base.most[cell]);
        if coming > self.best {
            self.best = coming;
            self.chosen = (self.taken.clone(), cell);
        }
        let bound = coming.saturating_add(self.prices_from[j]);
        if bound <= self.best || j == self.stays.len() {
            return;
        }
        self.steps += 1;
        if self.steps > STEPS {
            self.unseen = self.unseen.max(bound);
            return;
        }
        let (worth, item, _) = self.stays[j];
        let (down, right, _) = self.table.cells.items[&item];
        if down <= x && right <= y {
            self.taken.push(j);
            self.stay(j + 1, (x - down, y - right), value.saturating_add(worth));
            self.taken.pop();
        }
        // The dearer of two alike stays rather.
        let alike = self.stays[j..].iter().take_while(|s| s.1 == item).count();
        self.stay(j + alike, (x, y), value);
    }
}
