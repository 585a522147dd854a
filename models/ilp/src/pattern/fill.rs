//! The content of one host that is worth most where some of it may stay (`stay.rs`): branch and bound
//! over who stays, then over who comes.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::price::{Content, Search, copies};

/// Nodes of one host's search, at most.
const STEPS: u64 = 2_000;

/// A host's best content and a bound on all.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    pub(super) most: i64,
    pub(super) content: Content,
    /// Other contents that may be of use.
    pub(super) more: Vec<Content>,
}

/// The content of a host that is worth most, copies that stay with their prices. `place` is where the
/// search has each item.
pub(super) fn fill(
    search: &Search,
    place: &[Option<usize>],
    homes: &[(usize, i64)],
    weights: &[i64],
    slack: i64,
) -> Found {
    let stays = staying(search, place, homes, weights);
    let mut prices_from = vec![0; stays.len() + 1];
    for (j, (_, price)) in stays.iter().enumerate().rev() {
        prices_from[j] = prices_from[j + 1] + price;
    }
    let mut walk = Walk {
        search,
        stays,
        prices_from,
        slack,
        steps: 0,
        best: 0,
        unseen: 0,
        value: 0,
        rest: search.pricer.room.clone(),
        soft: search.axes.iter().map(|a| a.room).collect(),
        copies: vec![0; search.n()],
        used: vec![false; search.pricer.sets],
        taken: Vec::new(),
        content: Vec::new(),
    };
    walk.stay(0);
    let mut content: BTreeMap<usize, usize> = BTreeMap::new();
    for (k, copies) in &walk.content {
        *content.entry(search.item(*k)).or_default() += copies;
    }
    Found {
        most: walk.best.max(walk.unseen),
        content: content.into_iter().collect(),
        more: Vec::new(),
    }
}

/// Copies that may stay, by the search's items, with their prices.
pub(super) fn staying(
    search: &Search,
    place: &[Option<usize>],
    homes: &[(usize, i64)],
    weights: &[i64],
) -> Vec<(usize, i64)> {
    // Copies of an item together, the dearest first; the items that gain most for their room first.
    let mut by_item: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (item, price) in homes {
        if let Some(k) = place[*item] {
            by_item.entry(k).or_default().push(*price);
        }
    }
    let mut stays: Vec<(usize, Vec<i64>)> = by_item.into_iter().collect();
    stays
        .iter_mut()
        .for_each(|(_, prices)| prices.sort_by_key(|p| Reverse(*p)));
    let gain = |(k, prices): &(usize, Vec<i64>)| -> i128 {
        let worth = i128::from(weights[search.item(*k)]) + i128::from(prices[0]);
        worth * (1 << 20) / i128::from(search.axes[0].need[*k].max(1))
    };
    stays.sort_by_key(|stay| (Reverse(gain(stay)), stay.0));
    stays
        .iter()
        .flat_map(|(k, prices)| prices.iter().map(|price| (*k, *price)))
        .collect()
}

struct Walk<'s, 'a> {
    search: &'s Search<'a>,
    /// Copies that may stay, by place, with their prices.
    stays: Vec<(usize, i64)>,
    /// Σ price from each on.
    prices_from: Vec<i64>,
    slack: i64,
    steps: u64,
    best: i64,
    /// A bound on what was left out.
    unseen: i64,
    value: i64,
    rest: Vec<i64>,
    /// The rest of each axis.
    soft: Vec<i64>,
    /// Copies taken of each item.
    copies: Vec<usize>,
    /// The sets apart that have their item.
    used: Vec<bool>,
    taken: Vec<(usize, usize)>,
    content: Vec<(usize, usize)>,
}

impl Walk<'_, '_> {
    /// Decides who stays, from the `j`-th copy on.
    fn stay(&mut self, j: usize) {
        if self.is_left(self.value + self.prices_from[j] + self.coming(0)) {
            return;
        }
        let Some((k, price)) = self.stays.get(j).copied() else {
            self.come(0);
            return;
        };
        if self.fitting(k) > 0 {
            self.take(k, 1);
            self.value += price;
            self.stay(j + 1);
            self.value -= price;
            self.give(k, 1);
        }
        // The dearer of two alike stays rather.
        let alike = self.stays[j..].iter().take_while(|s| s.0 == k).count();
        self.stay(j + alike);
    }

    /// Adds others, from the `from`-th item on.
    fn come(&mut self, from: usize) {
        if self.value > self.best {
            self.best = self.value;
            self.content.clone_from(&self.taken);
        }
        for k in from..self.search.n() {
            let fit = self.fitting(k);
            if fit == 0 {
                continue;
            }
            if self.is_left(self.value + self.coming(k)) {
                return;
            }
            for times in (1..=fit).rev() {
                self.take(k, times);
                self.come(k + 1);
                self.give(k, times);
            }
        }
    }

    /// Whether what is worth at most `bound` is left out.
    fn is_left(&mut self, bound: i64) -> bool {
        self.steps += 1;
        let left = bound <= self.best.saturating_add(self.slack) || self.steps > STEPS;
        if left {
            self.unseen = self.unseen.max(bound);
        }
        left
    }

    /// A bound on what items from `k` on add, prices aside.
    fn coming(&self, k: usize) -> i64 {
        let tables = self.search.tables.iter().map(|t| t.most(k, &self.soft));
        tables.fold(self.search.fraction(k, self.soft[0]), i64::min)
    }

    /// How many more copies of item `k` fit.
    fn fitting(&self, k: usize) -> usize {
        let left = self.search.copies[k].saturating_sub(self.copies[k]);
        if left == 0 || self.search.sets(k).iter().any(|s| self.used[*s]) {
            return 0;
        }
        let rows = self.search.rows();
        copies(
            &self.search.need[k * rows..(k + 1) * rows],
            &self.rest,
            left,
        )
    }

    fn take(&mut self, k: usize, times: usize) {
        self.change(k, super::price::count(times));
        self.copies[k] += times;
        self.taken.push((k, times));
        self.search
            .sets(k)
            .iter()
            .for_each(|s| self.used[*s] = true);
    }

    fn give(&mut self, k: usize, times: usize) {
        self.change(k, -super::price::count(times));
        self.copies[k] -= times;
        self.taken.pop();
        self.search
            .sets(k)
            .iter()
            .for_each(|s| self.used[*s] = false);
    }

    fn change(&mut self, k: usize, times: i64) {
        let rows = self.search.rows();
        for (rest, need) in self.rest.iter_mut().zip(&self.search.need[k * rows..]) {
            *rest -= need * times;
        }
        for (rest, axis) in self.soft.iter_mut().zip(&self.search.axes) {
            *rest -= axis.need[k] * times;
        }
        self.value += self.search.value[k] * times;
    }
}
