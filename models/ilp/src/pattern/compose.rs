//! The contents of one host that are worth most where some of it may stay and hosts carry few items.
//!
//! Objective: V_h = max Σ_i w_i·a_i + stay_h(a) over the contents a of h, as in `stay.rs`. For each choice of
//! who stays the best that comes beside, by branch and bound (Land and Doig 1960) over items in descending
//! order of what they need, with the table of `ceiling.rs` as the bound on what is still to come. A choice or a
//! branch that cannot be better by more than the slack is left out, and its bound counts in V_h.

use std::collections::BTreeMap;

use super::ceiling::Ceiling;
use super::fill::{Found, staying};
use super::price::{Content, Search};

/// Nodes of one choice's search, at most.
const STEPS: u64 = 2_000;
/// Choices of who stays are of interest where they are worth less than the best by at most this part.
const NEAR: i64 = 8;
/// Choices looked at on a host, at most, and nodes of all their searches.
const CHOICES: u64 = 1 << 10;
const ALL_STEPS: u64 = 16 * STEPS;

/// Finds the contents of hosts of a class.
pub(super) struct Composer<'a> {
    pub(super) search: Search<'a>,
    /// Where the search has each item.
    pub(super) place: Vec<Option<usize>>,
    /// Items, those first that need most of the row that weighs most.
    pub(super) order: Vec<usize>,
    /// That row, and what each of `order` needs of it.
    main: Option<usize>,
    needs: Vec<i64>,
    pub(super) ceiling: Ceiling,
    slack: i64,
    /// What a host carries best on which nobody stays.
    vacant: Found,
}

impl<'a> Composer<'a> {
    /// What is better by less than `slack` is left out of the search and part of the proof.
    pub(super) fn new(search: Search<'a>, place: Vec<Option<usize>>, slack: i64) -> Self {
        let main = search.by_share().first().copied();
        let need = |k: &usize| main.map_or(0, |row| search.needs(*k)[row]);
        let mut order: Vec<usize> = (0..search.n()).collect();
        order.sort_by_key(|k| (std::cmp::Reverse(need(k)), *k));
        let mut composer = Self {
            needs: order.iter().map(need).collect(),
            ceiling: Ceiling::new(&search),
            search,
            place,
            order,
            main,
            slack,
            vacant: Found::default(),
        };
        composer.vacant = Walk::new(&composer, Vec::new(), &[]).run();
        composer
    }

    /// The best contents of a host with those who may stay at their prices.
    pub(super) fn fill(&self, homes: &[(usize, i64)], weights: &[i64]) -> Found {
        let stays = staying(&self.search, &self.place, homes, weights);
        if stays.is_empty() {
            return self.vacant.clone();
        }
        let mut found = Walk::new(self, stays, homes).run();
        if found.most < self.vacant.most {
            found.more.push(std::mem::take(&mut found.content));
            found.content.clone_from(&self.vacant.content);
            found.most = self.vacant.most;
        } else {
            found.more.push(self.vacant.content.clone());
        }
        found
    }
}

/// Σ price of those who may stay, from each on.
pub(super) fn prices_from(stays: &[(usize, i64)]) -> Vec<i64> {
    let mut sums = vec![0i64; stays.len() + 1];
    for (j, (_, price)) in stays.iter().enumerate().rev() {
        sums[j] = sums[j + 1].saturating_add(*price);
    }
    sums
}

struct Walk<'s, 'a> {
    of: &'s Composer<'a>,
    /// Copies that may stay, by place, with their prices; copies of an item together, the dearest first.
    stays: Vec<(usize, i64)>,
    /// Σ price from each on.
    prices_from: Vec<i64>,
    /// Copies of each item that may come or have come.
    left: Vec<usize>,
    used: Vec<bool>,
    rest: Vec<i64>,
    steps: u64,
    all_steps: u64,
    choices: u64,
    /// Of this choice of who stays.
    local: i64,
    taken: Vec<usize>,
    content: Vec<usize>,
    best: i64,
    unseen: i64,
    contents: Vec<(i64, Vec<usize>)>,
}

impl<'s, 'a> Walk<'s, 'a> {
    fn new(of: &'s Composer<'a>, stays: Vec<(usize, i64)>, homes: &[(usize, i64)]) -> Self {
        let search = &of.search;
        let mut left = search.copies.clone();
        // Who may stay does not come.
        for k in homes.iter().filter_map(|(item, _)| of.place[*item]) {
            left[k] = left[k].saturating_sub(1);
        }
        Self {
            of,
            prices_from: prices_from(&stays),
            stays,
            left,
            used: vec![false; search.pricer.sets],
            rest: search.pricer.room.clone(),
            steps: 0,
            all_steps: 0,
            choices: 0,
            local: 0,
            taken: Vec::new(),
            content: Vec::new(),
            best: 0,
            unseen: 0,
            contents: Vec::new(),
        }
    }

    fn run(mut self) -> Found {
        self.stay(0, 0);
        self.contents.sort_by(|a, b| b.cmp(a));
        let search = &self.of.search;
        let mut contents = self.contents.iter().map(|(_, taken)| {
            let mut content: BTreeMap<usize, usize> = BTreeMap::new();
            for k in taken {
                *content.entry(search.item(*k)).or_default() += 1;
            }
            Content::from_iter(content)
        });
        Found {
            most: self.best.max(self.unseen),
            content: contents.next().unwrap_or_default(),
            more: contents.collect(),
        }
    }

    /// Decides who stays, from the `j`-th copy on. Where nobody does the host is as good as vacant, which is
    /// looked at once for all.
    fn stay(&mut self, j: usize, value: i64) {
        let vacant = self.stays.is_empty();
        // All who stay and all who come fit together, by what they are worth without the prices.
        let bound = value
            .saturating_add(self.of.ceiling.most(&self.rest))
            .saturating_add(self.prices_from[j]);
        if self.is_far(bound) {
            self.unseen = self.unseen.max(bound);
            return;
        }
        let Some((k, price)) = self.stays.get(j).copied() else {
            if vacant || !self.taken.is_empty() {
                self.choose(value);
            }
            return;
        };
        if self.fits(k) {
            self.take(k);
            self.stay(j + 1, value + self.of.search.value[k] + price);
            self.give(k);
        }
        // The dearer of two alike stays rather.
        let alike = self.stays[j..].iter().take_while(|s| s.0 == k).count();
        self.stay(j + alike, value);
    }

    /// The best beside those who stay now, together worth `value`.
    fn choose(&mut self, value: i64) {
        self.choices += 1;
        self.steps = 0;
        self.local = self.near().max(0);
        self.content.clear();
        self.come(0, value);
        self.all_steps += self.steps;
        if !self.content.is_empty() {
            self.contents.push((self.local, self.content.clone()));
            self.best = self.best.max(self.local);
        }
    }

    /// Contents worth less are of no interest.
    fn near(&self) -> i64 {
        self.best - self.best / NEAR
    }

    /// Whether what is worth at most `bound` is not looked at.
    fn is_far(&self, bound: i64) -> bool {
        bound <= self.near() || self.choices > CHOICES || self.all_steps > ALL_STEPS
    }

    /// Adds others, from the `from`-th in order on.
    fn come(&mut self, from: usize, value: i64) {
        if value > self.local {
            self.local = value;
            self.content.clone_from(&self.taken);
        }
        self.steps += 1;
        let of = self.of;
        let rest = of.main.map_or(0, |row| self.rest[row]);
        let from = from.max(of.needs.partition_point(|need| *need > rest));
        let mut bounds: Vec<(i64, usize)> = Vec::new();
        let mut after = self.rest.clone();
        for at in from..of.order.len() {
            let k = of.order[at];
            if self.left[k] == 0 || !self.fits(k) {
                continue;
            }
            let needs = of.search.needs(k).iter().zip(&self.rest);
            after
                .iter_mut()
                .zip(needs)
                .for_each(|(after, (need, rest))| *after = rest - need);
            let bound = (value + of.search.value[k]).saturating_add(of.ceiling.most(&after));
            if bound > self.local + of.slack {
                bounds.push((bound, at));
            } else {
                self.unseen = self.unseen.max(bound);
            }
        }
        bounds.sort_by_key(|(bound, at)| (std::cmp::Reverse(*bound), *at));
        for (bound, at) in bounds {
            if bound <= self.local + of.slack || self.steps > STEPS {
                self.unseen = self.unseen.max(bound);
                return;
            }
            let k = of.order[at];
            self.left[k] -= 1;
            self.take(k);
            self.come(at, value + of.search.value[k]);
            self.give(k);
            self.left[k] += 1;
        }
    }

    fn fits(&self, k: usize) -> bool {
        let search = &self.of.search;
        let within = search.needs(k).iter().zip(&self.rest).all(|(n, r)| n <= r);
        within && !search.sets(k).iter().any(|s| self.used[*s])
    }

    fn take(&mut self, k: usize) {
        let needs = self.of.search.needs(k).iter();
        self.rest.iter_mut().zip(needs).for_each(|(r, n)| *r -= n);
        self.taken.push(k);
        let sets = self.of.search.sets(k).iter();
        sets.for_each(|s| self.used[*s] = true);
    }

    fn give(&mut self, k: usize) {
        let needs = self.of.search.needs(k).iter();
        self.rest.iter_mut().zip(needs).for_each(|(r, n)| *r += n);
        self.taken.pop();
        let sets = self.of.search.sets(k).iter();
        sets.for_each(|s| self.used[*s] = false);
    }
}
