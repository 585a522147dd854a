//! Pricing: the pattern of a host class that is worth most, and a proof of how much that is.
//!
//! Sets, rows and apart as in `packing.rs`. Objective: max Σ_i v_i·a_i for integers v_i ≥ 0.
//!
//! Branch and bound over the items in the order of value per surrogate need, most copies first. A
//! node is left when its value and the least of these bounds on the items still to come cannot
//! exceed what is known:
//! - the fractional optimum of the surrogate row Σ_r m_r·(room) with the multipliers m of the
//!   problem's own linear relaxation (Glover 1968; Dantzig 1957),
//! - tables of the best value within two of the rows at once, as dynamic programs over cells of
//!   these rows, needs rounded down to cells (`table.rs`).
//!
//! All of it is integer arithmetic but the choice of m, which any m ≥ 0 serves. So `most` is proven,
//! also when the step limit ends the search: then it is the largest bound of what was left.

use std::cmp::Reverse;

use super::packing::Packing;
use super::surrogate::{portion, shares, surrogate};
use super::table::{Axis, Table};

/// Items on one host: (class, copies), classes ascending.
pub type Content = Vec<(usize, usize)>;

/// What pricing found.
#[derive(Debug, Clone, Default)]
pub(super) struct Priced {
    /// Contents with their values, the best first; quick ones may be somewhat below the floor.
    pub(super) found: Vec<(i64, Content)>,
    /// No content is worth more.
    pub(super) most: i64,
    /// Nodes looked at.
    pub(super) steps: u64,
}

/// How far a pricing goes.
pub(super) struct Reach<'a> {
    /// Only contents worth more than this matter; `most` is at least this.
    pub(super) floor: i64,
    /// Nodes looked at, at most.
    pub(super) steps: u64,
    /// Quick contents looked for, one grown from each of so many items.
    pub(super) seeds: usize,
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
    room: Vec<i64>,
    entries: Vec<Entry>,
    sets: usize,
}

/// Quick contents that an item is in, at most.
const WEAR: usize = 3;
/// Contents kept that are not the best, at most.
const FOUND: usize = 2000;
/// Table entries computed in one pricing, about.
const CELLS: usize = 1 << 24;

impl Pricer {
    pub(super) fn new(packing: &Packing, class: usize) -> Self {
        let host = &packing.hosts[class];
        let fits = |need: &[i64]| need.iter().zip(&host.room).all(|(n, r)| n <= r);
        let taken = |i: &usize| host.takes[*i] && fits(&packing.items[*i].need);
        let taken: Vec<usize> = (0..packing.items.len()).filter(taken).collect();
        // A row that all items together keep says nothing.
        let binds = |r: &usize| {
            let load = |i: &usize| {
                let item = &packing.items[*i];
                i128::from(item.need[*r]) * i128::try_from(item.count()).unwrap_or(i128::MAX)
            };
            taken.iter().map(load).sum::<i128>() > i128::from(host.room[*r])
        };
        let rows: Vec<usize> = (0..packing.resources()).filter(binds).collect();
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
        search.keep_above(reach.floor);
        if search.n() == 0 {
            return Priced {
                most: reach.floor.max(0),
                ..Priced::default()
            };
        }

        search.tabulate();

        let mut found = search.seeds(reach);

        let best = found.iter().map(|(v, _)| *v).max().unwrap_or(0);
        let mut floor = best.max(reach.floor);
        let (most, steps) = search.walk(&mut floor, reach, &mut found);
        let mut found: Vec<(i64, Content)> = found
            .into_iter()
            .map(|(v, content)| {
                let mut content: Content = content
                    .iter()
                    .map(|(k, c)| (self.entries[search.entries[*k]].item, *c))
                    .collect();
                content.sort_unstable();
                (v, content)
            })
            .collect();
        found.sort_by(|a, b| (Reverse(a.0), &a.1).cmp(&(Reverse(b.0), &b.1)));
        found.dedup();
        Priced { found, most, steps }
    }
}

/// How often a need fits a room, at most `most`.
fn copies(need: &[i64], room: &[i64], most: usize) -> usize {
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
struct Search<'a> {
    pricer: &'a Pricer,
    /// Of each item, its place among the pricer's entries.
    entries: Vec<usize>,
    value: Vec<i64>,
    copies: Vec<usize>,
    /// Needs per item and row, flat.
    need: Vec<i64>,
    /// The least need of this and all later items, per item and row.
    least: Vec<i64>,
    /// The surrogate row, then rows of tables.
    axes: Vec<Axis>,
    /// Σ of surrogate needs and values, all copies, of the items before each.
    needs_before: Vec<i64>,
    values_before: Vec<i64>,
    tables: Vec<Table>,
    /// The multipliers, as shares of the rows.
    shares: Vec<f64>,
}

/// What is left at a node.
#[derive(Clone)]
struct Node {
    /// The first item still to come.
    next: usize,
    value: i64,
    rest: Vec<i64>,
    /// The rest of each axis.
    soft: Vec<i64>,
    /// The sets apart that have their item.
    used: Vec<bool>,
    taken: Vec<(usize, usize)>,
}

impl<'a> Search<'a> {
    fn new(pricer: &'a Pricer, values: &[i64], counts: &[usize]) -> Self {
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
            least: Vec::new(),
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

    fn n(&self) -> usize {
        self.entries.len()
    }

    fn rows(&self) -> usize {
        self.pricer.room.len()
    }

    /// What is derived from the order of the items.
    fn index(&mut self) {
        let (n, rows) = (self.n(), self.rows());
        let pricer = self.pricer;
        self.need = self
            .entries
            .iter()
            .flat_map(|e| pricer.entries[*e].need.iter().copied())
            .collect();
        self.least = vec![i64::MAX; (n + 1) * rows];
        for at in (0..n * rows).rev() {
            self.least[at] = self.need[at].min(self.least[at + rows]);
        }
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
    fn fraction(&self, k: usize, rest: i64) -> i64 {
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

    /// Makes the tables.
    fn tabulate(&mut self) {
        let (n, rows) = (self.n(), self.rows());
        let copies: usize = self
            .copies
            .iter()
            .map(|c| usize::try_from(c.ilog2()).unwrap_or(0) + 1)
            .sum();
        // Rows that weigh most first.
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|a, b| self.shares[*b].total_cmp(&self.shares[*a]));
        let mut planes: Vec<(usize, Option<usize>)> = match order.as_slice() {
            [] => Vec::new(),
            [only] => vec![(*only, None)],
            _ => order
                .chunks(2)
                .map(|pair| (pair[0], Some(*pair.get(1).unwrap_or(&order[0]))))
                .collect(),
        };
        planes.truncate(3);
        let cells = (CELLS / copies.max(1) / planes.len().max(1)).clamp(1 << 10, 1 << 18);
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

    fn root(&self) -> Node {
        Node {
            next: 0,
            value: 0,
            rest: self.pricer.room.clone(),
            soft: self.axes.iter().map(|a| a.room).collect(),
            used: vec![false; self.pricer.sets],
            taken: Vec::new(),
        }
    }

    /// The least bound on what items from `k` on add.
    fn bound(&self, k: usize, soft: &[i64]) -> i64 {
        let mut least = self.fraction(k, soft[0]);
        for table in &self.tables {
            least = least.min(table.most(k, soft));
        }
        least
    }

    /// How many copies of item `k` fit.
    fn fitting(&self, node: &Node, k: usize) -> usize {
        if self.sets(k).iter().any(|s| node.used[*s]) {
            return 0;
        }
        let rows = self.rows();
        copies(
            &self.need[k * rows..(k + 1) * rows],
            &node.rest,
            self.copies[k],
        )
    }

    /// Whether any item from `k` on may still fit, by each row alone.
    fn any_fits(&self, node: &Node, k: usize) -> bool {
        let least = &self.least[k * self.rows()..];
        node.rest
            .iter()
            .zip(least)
            .all(|(rest, least)| least <= rest)
    }

    fn sets(&self, k: usize) -> &'a [usize] {
        &self.pricer.entries[self.entries[k]].sets
    }

    /// Takes so many copies of item `k`, or gives them back where `copies` is negative.
    fn change(&self, node: &mut Node, k: usize, copies: i64) {
        let rows = self.rows();
        for (rest, need) in node.rest.iter_mut().zip(&self.need[k * rows..]) {
            *rest -= need * copies;
        }
        for (rest, axis) in node.soft.iter_mut().zip(&self.axes) {
            *rest -= axis.need[k] * copies;
        }
        node.value += self.value[k] * copies;
        for s in self.sets(k) {
            node.used[*s] = copies > 0;
        }
    }

    /// Contents grown from single items: an item is taken where its bound says that taking it is no
    /// worse than leaving it. Contents that are almost worth the floor count too, and an item is in a
    /// few of them only, so that together they know all items.
    fn seeds(&self, reach: &Reach) -> Vec<(i64, Vec<(usize, usize)>)> {
        let n = self.n();
        let mut found = Vec::new();
        let mut worn = vec![0; n];
        let every = n.div_ceil(reach.seeds.max(1));
        if reach.seeds == 0 {
            return found;
        }
        for seed in (0..n).step_by(every) {
            if (reach.stop)() {
                break;
            }
            let mut node = self.root();
            if self.fitting(&node, seed) == 0 {
                continue;
            }
            self.change(&mut node, seed, 1);
            node.taken.push((seed, 1));
            for (k, wear) in worn.iter().enumerate() {
                if !self.any_fits(&node, k) {
                    break;
                }
                let left = match k == seed {
                    true => self.copies[k] - 1,
                    false if *wear < WEAR => self.copies[k],
                    false => 0,
                };
                let mut fit = self.fitting(&node, k).min(left);
                while fit > 0 {
                    let leaving = self.bound(k + 1, &node.soft);
                    self.change(&mut node, k, 1);
                    if self.value[k] + self.bound(k + 1, &node.soft) < leaving {
                        self.change(&mut node, k, -1);
                        break;
                    }
                    match node.taken.iter_mut().find(|(j, _)| *j == k) {
                        Some((_, copies)) => *copies += 1,
                        None => node.taken.push((k, 1)),
                    }
                    fit -= 1;
                }
            }
            if node.value > reach.floor / 8 * 7 {
                node.taken.iter().for_each(|(k, _)| worn[*k] += 1);
                found.push((node.value, node.taken));
            }
        }
        found
    }

    /// The branch and bound, depth first. Returns the proven most and the steps.
    fn walk(
        &self,
        best: &mut i64,
        reach: &Reach,
        found: &mut Vec<(i64, Vec<(usize, usize)>)>,
    ) -> (i64, u64) {
        let n = self.n();
        let mut node = self.root();
        let mut steps = 0;
        loop {
            let k = node.next;
            let open =
                k < n && self.any_fits(&node, k) && node.value + self.bound(k, &node.soft) > *best;
            if open {
                steps += 1;
                if steps >= reach.steps || (steps % 4096 == 0 && (reach.stop)()) {
                    return (self.most_left(node).max(*best), steps);
                }
                let fit = self.fitting(&node, k);
                if fit > 0 {
                    self.change(&mut node, k, count(fit));
                    node.taken.push((k, fit));
                    if node.value > *best || (node.value > reach.floor && found.len() < FOUND) {
                        *best = node.value.max(*best);
                        found.push((node.value, node.taken.clone()));
                    }
                }
                node.next = k + 1;
                continue;
            }
            let Some((j, copies)) = node.taken.pop() else {
                return (*best, steps);
            };
            self.change(&mut node, j, -1);
            if copies > 1 {
                node.taken.push((j, copies - 1));
            }
            node.next = j + 1;
        }
    }

    /// A bound on all that the walk has not seen when it stands at `node`.
    fn most_left(&self, mut node: Node) -> i64 {
        let mut most = node.value + self.bound(node.next, &node.soft);
        while let Some((j, copies)) = node.taken.pop() {
            self.change(&mut node, j, -count(copies));
            let from = if copies > 1 { j } else { j + 1 };
            most = most.max(node.value + self.bound(from, &node.soft));
        }
        most
    }
}

pub(super) fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
