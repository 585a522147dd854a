//! The branch and bound of pricing, over lists of the items that still fit.
//!
//! A node is a content and the list of items after its last one that still fit beside it. Items of
//! the list are taken in turn, the most copies first; the list from an item on is left when the
//! node's value and a bound on what the items from there on add cannot exceed what is known: such
//! bounds only fall along the list.

use super::price::{Reach, Search, copies, count};

/// A content in the order of the search's items, with copies.
type Taken = Vec<(usize, usize)>;

/// Contents kept that are not the best, at most.
const FOUND: usize = 4000;
/// Items of which contents are looked for, at most.
const SEEDS: usize = 1500;
/// Contents kept of those with one item, at most.
const EACH: usize = 3;

/// What was seen.
pub(super) struct Walked {
    pub(super) found: Vec<(i64, Taken)>,
    pub(super) most: i64,
    pub(super) finished: bool,
    pub(super) steps: u64,
}

/// Contents with each item in turn, then the best of all. Returns the proven most, at least the
/// floor, the nodes looked at, and the contents with their values.
pub(super) fn walk(search: &Search, reach: &Reach) -> Walked {
    let mut walk = Walk {
        search,
        stop: reach.stop,
        limit: 0,
        steps: 0,
        look: 4096,
        ended: false,
        floor: reach.floor,
        best: reach.floor,
        unseen: 0,
        keep: 0,
        found: Vec::new(),
        value: 0,
        rest: search.pricer.room.clone(),
        small: Vec::new(),
        least: Vec::new(),
        soft: search.axes.iter().map(|a| a.room).collect(),
        used: vec![false; search.pricer.sets],
        taken: Vec::new(),
        levels: Vec::new(),
    };
    let mut found = Vec::new();
    let mut steps = 0;
    if reach.seeds > 0 {
        for k in (0..search.n()).step_by(search.n().div_ceil(SEEDS).max(1)) {
            (walk.best, walk.steps, walk.ended) = (reach.low, 0, false);
            (walk.limit, walk.keep) = (reach.seeds, EACH);
            walk.with(k);
            found.append(&mut walk.found);
            steps += walk.steps;
            if (reach.stop)() {
                break;
            }
        }
    }
    let best = found.iter().map(|(v, _)| *v).max().unwrap_or(0);
    (walk.best, walk.steps, walk.ended) = (best.max(reach.floor), 0, false);
    walk.look = 4096;
    (walk.limit, walk.keep, walk.unseen) = (reach.steps, FOUND, 0);
    walk.all();
    found.append(&mut walk.found);
    Walked {
        found,
        most: walk.best.max(walk.unseen),
        finished: !walk.ended,
        steps: steps + walk.steps,
    }
}

/// The items that fit at a node.
#[derive(Default)]
struct Level {
    items: Vec<u32>,
    /// How many of each fit.
    fit: Vec<usize>,
    /// Σ of surrogate needs and of values, all that fit, of the items before each.
    needs: Vec<i64>,
    values: Vec<i64>,
    /// The highest value of this and all later items.
    highest: Vec<i64>,
}

struct Walk<'a> {
    search: &'a Search<'a>,
    stop: &'a dyn Fn() -> bool,
    limit: u64,
    steps: u64,
    /// When the user is asked next.
    look: u64,
    /// Whether the limit or the user ended it.
    ended: bool,
    /// Contents worth more are kept, also below the best.
    floor: i64,
    best: i64,
    /// A bound on what was not looked at when it ended.
    unseen: i64,
    /// Contents kept, at most, beside those that are better than all before.
    keep: usize,
    found: Vec<(i64, Taken)>,
    value: i64,
    rest: Vec<i64>,
    /// In lanes: the rest, and the least needs of what fits.
    small: Vec<i32>,
    least: Vec<i32>,
    /// The rest of each axis.
    soft: Vec<i64>,
    /// The sets apart that have their item.
    used: Vec<bool>,
    taken: Taken,
    /// By depth, to be used again.
    levels: Vec<Level>,
}

impl Walk<'_> {
    /// All contents.
    fn all(&mut self) {
        self.enter(0, &(0..as_item(self.search.n())).collect::<Vec<u32>>());
    }

    /// The contents with item `k`.
    fn with(&mut self, k: usize) {
        self.search.lanes.shrink(&self.rest, &mut self.small);
        if self.fitting(k) == 0 {
            return;
        }
        self.change(k, 1);
        let mut others: Vec<u32> = (0..as_item(self.search.n())).collect();
        if self.search.copies[k] < 2 {
            others.remove(k);
        }
        self.taken.push((k, 1));
        self.note();
        self.enter(0, &others);
        self.taken.pop();
        self.change(k, -1);
    }

    /// Looks through the node, of whose items some of `items` still fit.
    fn enter(&mut self, depth: usize, items: &[u32]) {
        if self.levels.len() <= depth {
            self.levels.push(Level::default());
        }
        let mut level = std::mem::take(&mut self.levels[depth]);
        let more = self.fill(&mut level, items);
        self.branch(depth, &level, more);
        self.levels[depth] = level;
    }

    /// Lists what fits. Returns how many items can be added at most, by the least needs.
    fn fill(&mut self, level: &mut Level, items: &[u32]) -> i64 {
        let search = self.search;
        search.lanes.shrink(&self.rest, &mut self.small);
        self.least.clear();
        self.least.resize(self.small.len(), i32::MAX);
        level.items.clear();
        level.fit.clear();
        level.needs.clear();
        level.values.clear();
        self.steps += items.len() as u64 / 32;
        let (mut needs, mut values) = (0i64, 0i64);
        for item in items {
            let k = at(*item);
            let fit = self.fitting(k).min(self.remaining(k));
            if fit == 0 {
                continue;
            }
            for (least, need) in self.least.iter_mut().zip(search.lanes.of(k)) {
                *least = (*least).min(*need);
            }
            level.items.push(*item);
            level.fit.push(fit);
            level.needs.push(needs);
            level.values.push(values);
            needs = needs.saturating_add(search.axes[0].need[k].saturating_mul(count(fit)));
            values = values.saturating_add(search.value[k].saturating_mul(count(fit)));
        }
        level.needs.push(needs);
        level.values.push(values);
        level.highest.clear();
        level.highest.resize(level.items.len(), 0);
        let mut highest = 0;
        for p in (0..level.items.len()).rev() {
            highest = search.value[at(level.items[p])].max(highest);
            level.highest[p] = highest;
        }
        let many = self.small.iter().zip(&self.least);
        many.filter_map(|(rest, least)| rest.checked_div(*least))
            .min()
            .map_or(i64::MAX, i64::from)
    }

    fn branch(&mut self, depth: usize, level: &Level, more: i64) {
        let mut end = 0;
        for (p, item) in level.items.iter().enumerate() {
            let k = at(*item);
            let bound = self.bound(level, p, &mut end, more);
            if bound <= self.best {
                return;
            }
            self.steps += 1;
            if self.steps >= self.look {
                self.look = self.steps + 4096;
                self.ended |= (self.stop)();
            }
            self.ended |= self.steps >= self.limit;
            if self.ended {
                self.unseen = self.unseen.max(bound);
                return;
            }
            for times in (1..=level.fit[p]).rev() {
                self.change(k, count(times));
                self.taken.push((k, times));
                self.note();
                if more > count(times) && p + 1 < level.items.len() && self.hopeful(k + 1) {
                    self.enter(depth + 1, &level.items[p + 1..]);
                }
                self.taken.pop();
                self.change(k, -count(times));
                if self.ended {
                    self.unseen = self.unseen.max(if times > 1 {
                        bound
                    } else if p + 1 < level.items.len() {
                        self.bound(level, p + 1, &mut end, more)
                    } else {
                        0
                    });
                    return;
                }
            }
        }
    }

    /// Whether items from `k` on may add enough.
    fn hopeful(&self, k: usize) -> bool {
        let search = self.search;
        let enough = self.best - self.value;
        search.fraction(k, self.soft[0]) > enough
            && search.tables.iter().all(|t| t.most(k, &self.soft) > enough)
    }

    /// A bound on the contents that add items of the list from `p` on; `end` is where the last
    /// fractional optimum ended.
    fn bound(&self, level: &Level, p: usize, end: &mut usize, more: i64) -> i64 {
        let k = at(level.items[p]);
        let within = level.needs[p].saturating_add(self.soft[0]);
        *end = (*end).max(p);
        while *end < level.items.len() && level.needs[*end + 1] <= within {
            *end += 1;
        }
        let mut add = level.values[*end] - level.values[p];
        if let Some(item) = level.items.get(*end) {
            let (left, value, need) = (
                within - level.needs[*end],
                self.search.value[at(*item)],
                self.search.axes[0].need[at(*item)],
            );
            add += match left.checked_mul(value) {
                Some(product) => product / need,
                None => i64::try_from(i128::from(left) * i128::from(value) / i128::from(need))
                    .unwrap_or(value),
            };
        }
        add = add.min(level.highest[p].saturating_mul(more));
        for table in &self.search.tables {
            if self.value + add <= self.best {
                break;
            }
            add = add.min(table.most(k, &self.soft));
        }
        self.value + add
    }

    /// Keeps the content if it is worth it.
    fn note(&mut self) {
        if self.value > self.best {
            self.best = self.value;
            // The last ones are the best.
            if self.found.len() >= self.keep && self.keep == EACH {
                self.found.remove(0);
            }
            self.found.push((self.value, self.taken.clone()));
        } else if self.value > self.floor && self.found.len() < self.keep {
            self.found.push((self.value, self.taken.clone()));
        }
    }

    /// How many copies of item `k` fit.
    fn fitting(&self, k: usize) -> usize {
        if !self.search.lanes.fits(k, &self.small) {
            return 0;
        }
        if self.search.sets(k).iter().any(|s| self.used[*s]) {
            return 0;
        }
        if self.search.copies[k] == 1 && self.search.lanes.is_exact() {
            return 1;
        }
        let rows = self.search.rows();
        let need = &self.search.need[k * rows..(k + 1) * rows];
        if need.iter().zip(&self.rest).any(|(n, r)| n > r) {
            return 0;
        }
        if self.search.copies[k] == 1 {
            return 1;
        }
        copies(need, &self.rest, self.search.copies[k])
    }

    /// How many copies of item `k` are not taken.
    fn remaining(&self, k: usize) -> usize {
        let taken = self.taken.first().filter(|(j, _)| *j == k);
        self.search.copies[k] - taken.map_or(0, |(_, c)| *c)
    }

    /// Takes so many copies of item `k`, or gives them back where `copies` is negative.
    fn change(&mut self, k: usize, copies: i64) {
        let rows = self.search.rows();
        for (rest, need) in self.rest.iter_mut().zip(&self.search.need[k * rows..]) {
            *rest -= need * copies;
        }
        for (rest, axis) in self.soft.iter_mut().zip(&self.search.axes) {
            *rest -= axis.need[k] * copies;
        }
        self.value += self.search.value[k] * copies;
        for s in self.search.sets(k) {
            self.used[*s] = copies > 0;
        }
    }
}

fn at(item: u32) -> usize {
    usize::try_from(item).unwrap_or(usize::MAX)
}

fn as_item(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
