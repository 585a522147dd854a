//! Which hosts stage 2 keeps where they are filled up anew (`filling.rs`).
//!
//! Those whose best content is worth most, within the cost. But items that only some hosts take, such as guests
//! that are to be in one place with others who stay there, need room on just these: where more of them would
//! have to move than the hosts kept have room for beside who stays, all hosts that take them count as worth
//! more, until it suffices.

use std::collections::BTreeMap;

use super::cells::{Filled, Table};
use super::master::of_count;
use super::price::count;
use super::stay::{Site, Stay};
use crate::bound::leave::by_worth;
use crate::model::float;

/// How much of the room beside who stays is filled with items that only some hosts take, at most.
const FULL: f64 = 0.8;
/// Steps in which hosts come to count as worth more, at most, and how many make up the dearest host.
const STEPS: usize = 300;
const FINE: i64 = 200;

impl Stay<'_> {
    /// The best content of each site, and the sites that are kept.
    pub(super) fn kept(
        &self,
        weights: &[i64],
        cost: i64,
        stop: &dyn Fn() -> bool,
    ) -> Option<(Vec<Filled>, Vec<usize>)> {
        let filled = self.filled(weights, stop)?;
        let narrow = Narrow::of(self, weights);
        let mut extra = vec![0; self.packing.hosts.len()];
        let mut kept = self.worthiest(&filled, &extra, cost);
        let step = filled.iter().map(|f| f.worth).max().unwrap_or(0) / FINE;
        for _ in 0..STEPS {
            let short = narrow.short(self, &filled, &kept);
            if short.is_empty() || stop() {
                break;
            }
            for (extra, host) in extra.iter_mut().zip(&self.packing.hosts) {
                *extra += step * count(short.iter().filter(|i| host.takes[**i]).count());
            }
            kept = self.worthiest(&filled, &extra, cost);
        }
        Some((filled, kept))
    }

    /// The best content of each site.
    pub(super) fn filled(&self, weights: &[i64], stop: &dyn Fn() -> bool) -> Option<Vec<Filled>> {
        let cells = self.cells.as_ref()?;
        // One at a time: there may be many classes.
        let mut table: Option<(usize, Table)> = None;
        self.each_site(stop, |Site { class, homes, .. }| {
            if table.as_ref().is_none_or(|(of, _)| of != class) {
                table = Some((*class, cells[*class].table(weights, &self.counts)));
            }
            table
                .as_ref()
                .map(|(_, table)| table.fill(homes, weights))
                .unwrap_or_default()
        })
    }

    /// The sites that are worth most within the cost, where hosts of each class are worth so much more.
    fn worthiest(&self, filled: &[Filled], extra: &[i64], cost: i64) -> Vec<usize> {
        let host = |s: usize| &self.packing.hosts[self.sites[s].class];
        let mut kept: Vec<usize> = (0..filled.len()).filter(|s| host(*s).forced).collect();
        let mut budget = cost - self.packing.forced_cost();
        let mut others: Vec<usize> = (0..filled.len()).filter(|s| !host(*s).forced).collect();
        others.sort_by(|a, b| {
            let of = |s: usize| (filled[s].worth + extra[self.sites[s].class], host(s).cost);
            by_worth(of(*a), of(*b)).then(a.cmp(b))
        });
        for s in others {
            if host(s).cost <= budget {
                budget -= host(s).cost;
                kept.push(s);
            }
        }
        kept
    }
}

/// Items that only some hosts take, by who takes them.
struct Narrow<'w> {
    weights: &'w [i64],
    /// An item of each set, and what all of them weigh.
    sets: Vec<(usize, f64)>,
    /// The set of each item.
    of: Vec<Option<usize>>,
}

impl<'w> Narrow<'w> {
    fn of(stay: &Stay, weights: &'w [i64]) -> Self {
        let mut known: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
        let mut sets: Vec<(usize, f64)> = Vec::new();
        let hosts = &stay.packing.hosts;
        let mut of = Vec::new();
        for (i, weight) in weights.iter().enumerate() {
            let takes: Vec<bool> = hosts.iter().map(|k| k.takes[i]).collect();
            let set = (!takes.iter().all(|t| *t)).then(|| {
                *known.entry(takes).or_insert_with(|| {
                    sets.push((i, 0.0));
                    sets.len() - 1
                })
            });
            if let Some(set) = set {
                sets[set].1 += float(*weight) * of_count(stay.counts[i]);
            }
            of.push(set);
        }
        Self { weights, sets, of }
    }

    /// An item of each set of which more would have to move than hosts kept that take it have room for
    /// beside who stays there.
    fn short(&self, stay: &Stay, filled: &[Filled], kept: &[usize]) -> Vec<usize> {
        let mut moving: Vec<f64> = self.sets.iter().map(|(_, all)| *all).collect();
        let mut room = vec![0.0; stay.packing.hosts.len()];
        for s in kept {
            let class = stay.sites[*s].class;
            for (i, copies) in &filled[*s].content {
                room[class] += float(self.weights[*i]) * of_count(*copies);
            }
            for i in &filled[*s].stays {
                room[class] -= float(self.weights[*i]);
                if let Some(set) = self.of[*i] {
                    moving[set] -= float(self.weights[*i]);
                }
            }
        }
        let short = self.sets.iter().zip(moving).filter(|((item, _), moving)| {
            let hosts = stay.packing.hosts.iter().zip(&room);
            let room: f64 = hosts.filter(|(k, _)| k.takes[*item]).map(|(_, r)| r).sum();
            *moving > FULL * room
        });
        short.map(|((item, _), _)| *item).collect()
    }
}
