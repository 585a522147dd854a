//! A placement near stage 2's bound where guests are of few sizes: hosts kept are filled up anew.
//!
//! By the bound's weights (`stay.rs`) each host has a content that is worth most, which `cells.rs` finds
//! at once, and the hosts that are worth most are kept. One after the other they are given theirs, of
//! what is left by then; the weights of items that are used up sooner than others fall meanwhile, those
//! of the others rise (dual prices led as the hosts come: Agrawal, Wang and Ye 2014). The last hosts, which
//! have to take exactly what is left, are filled by `block.rs`; then other hosts are filled anew in the same
//! way: with what is missing, and those first that are worth least of what they could be.

use std::cmp::Reverse;

use super::block::Block;
use super::cells::{Filled, Table};
use super::dive::noise;
use super::price::Content;
use super::proof::whole;
use super::stay::{Site, Stay};
use crate::bound::leave::by_worth;
use crate::model::float;

/// Hosts that are filled together at the end.
const LAST: usize = 24;
/// Items that are missing of which a copy is given a place together, and hosts chosen for each.
const WANTED: usize = 4;
const EACH: usize = 3;
/// Hosts filled anew together.
const PART: usize = 24;
/// Hosts filled between two changes of the weights.
const BATCH: usize = 8;
/// By how much of what the mean guest costs to move a copy more or less than its share changes the
/// weight of an item.
const STEP: f64 = 0.01;
/// By how many steps more that of an item which hardly any host takes, which is as much ahead.
const FIRST: f64 = 2.0;
/// Parts filled anew in turn that gain nothing, before it ends.
const IDLE: u64 = 200;

/// What the hosts kept carry.
pub(super) type Kept = Vec<(usize, Content)>;

/// Contents by site that carry everything with hosts of at most that cost; `None` where that was not
/// found. `nodes` counts parts filled anew.
pub(super) fn refill(
    stay: &Stay,
    weights: &[i64],
    cost: i64,
    nodes: u64,
    stop: &dyn Fn() -> bool,
) -> Option<Kept> {
    let (filled, kept) = stay.kept(weights, cost, stop)?;
    let mut order = kept;
    order.sort_by(|a, b| noise(1, *a).total_cmp(&noise(1, *b)).then(a.cmp(b)));
    let (mut kept, left) = in_turn(stay, weights, (&order, &filled), stop)?;
    let block = Block {
        stay,
        sites: &order[kept.len()..],
        left: &left,
        weights,
        stop,
    };
    let (last, missing) = block.fill(&[])?;
    kept.extend(last);
    let mut refill = Refill {
        stay,
        weights,
        worths: filled.iter().map(|f| f.worth).collect(),
        kept,
        missing,
        stop,
    };
    let (mut turn, mut idle) = (0, 0);
    while idle < IDLE && turn < nodes && !stop() {
        turn += 1;
        idle = if refill.anew(turn) { 0 } else { idle + 1 };
    }
    let whole = refill.missing.iter().all(|n| *n == 0);
    whole.then_some(refill.kept)
}

/// The contents of all but the last hosts of an order, and what is left for these.
fn in_turn(
    stay: &Stay,
    weights: &[i64],
    (order, filled): (&[usize], &[Filled]),
    stop: &dyn Fn() -> bool,
) -> Option<(Kept, Vec<usize>)> {
    let items: usize = stay.counts.iter().sum();
    let step = STEP * float(stay.all) / super::master::of_count(items.max(1));
    let mut left = stay.counts.clone();
    // Copies that are to stay where they are serve nobody else before.
    let mut reserved = vec![0; left.len()];
    let staying = order.iter().flat_map(|s| &filled[*s].stays);
    staying.for_each(|i| reserved[*i] += 1);
    // Of two alike the one that fewer hosts take goes first: there are fewer chances for it.
    let narrow = |i: usize| {
        let hosts = stay.packing.hosts.iter();
        let taking = hosts.filter(|k| k.takes[i]).map(super::HostClass::count);
        1.0 - super::master::of_count(taking.sum()) / super::master::of_count(stay.sites.len())
    };
    let steps: Vec<f64> = (0..weights.len())
        .map(|i| step * (1.0 + FIRST * narrow(i)))
        .collect();
    let mut prices: Vec<f64> = weights
        .iter()
        .zip(&steps)
        .map(|(w, s)| float(*w) + s - step)
        .collect();
    let mut kept = Kept::new();
    let ahead = order.len().saturating_sub(LAST);
    let classes = |sites: &[usize]| -> Vec<usize> {
        let mut hosts = vec![0; stay.packing.hosts.len()];
        sites.iter().for_each(|s| hosts[stay.sites[*s].class] += 1);
        hosts
    };
    while kept.len() < ahead {
        if stop() {
            return None;
        }
        let batch = BATCH.min(ahead - kept.len());
        let next = &order[kept.len()..kept.len() + batch];
        let (soon, later) = (classes(next), classes(&order[kept.len()..]));
        for (i, price) in prices.iter_mut().enumerate().filter(|(i, _)| left[*i] > 0) {
            let taking = |hosts: &[usize]| -> f64 {
                let classes = stay.packing.hosts.iter().zip(hosts);
                let hosts = classes.filter(|(k, _)| k.takes[i]).map(|(_, n)| *n);
                super::master::of_count(hosts.sum())
            };
            *price += steps[i] * super::master::of_count(left[i]) * taking(&soon)
                / taking(&later).max(1.0);
        }
        let now: Vec<i64> = prices.iter().map(|p| whole(*p).max(1)).collect();
        let mut tables: Vec<Option<Table>> = (0..stay.packing.hosts.len()).map(|_| None).collect();
        for site in next {
            filled[*site].stays.iter().for_each(|i| reserved[*i] -= 1);
            let spare = left.iter().zip(&reserved);
            let spare: Vec<usize> = spare
                .map(|(l, r): (&usize, &usize)| l.saturating_sub(*r))
                .collect();
            let content = stay.available(*site, &now, (&left, &spare), &mut tables)?;
            for (i, copies) in &content {
                left[*i] -= copies;
                prices[*i] -= steps[*i] * super::master::of_count(*copies);
            }
            kept.push((*site, content));
        }
    }
    Some((kept, left))
}

/// A placement that is made better part by part.
struct Refill<'r, 'a> {
    stay: &'r Stay<'a>,
    weights: &'r [i64],
    /// What the best content of each site is worth.
    worths: Vec<i64>,
    kept: Kept,
    /// Copies of each item that no host has.
    missing: Vec<usize>,
    stop: &'r dyn Fn() -> bool,
}

impl Refill<'_, '_> {
    /// Fills some hosts anew, with some of what is missing; whether less is missing then, or moves.
    fn anew(&mut self, turn: u64) -> bool {
        let wanted = self.wanted(turn);
        let chosen = self.chosen(&wanted, turn);
        let before: Kept = chosen.iter().map(|at| self.kept[*at].clone()).collect();
        let mut left = vec![0; self.missing.len()];
        for (i, copies) in before.iter().flat_map(|(_, content)| content) {
            left[*i] += copies;
        }
        wanted.iter().for_each(|i| left[*i] += 1);
        let sites: Vec<usize> = before.iter().map(|(site, _)| *site).collect();
        let block = Block {
            stay: self.stay,
            sites: &sites,
            left: &left,
            weights: self.weights,
            stop: self.stop,
        };
        let Some((after, missing)) = block.fill(&before) else {
            return false;
        };
        let fewer: usize = missing.iter().sum();
        let stays = (self.stays(&before), self.stays(&after));
        if fewer > wanted.len() || (fewer == wanted.len() && stays.1 <= stays.0) {
            return false;
        }
        for (at, content) in chosen.into_iter().zip(after) {
            self.kept[at] = content;
        }
        wanted.iter().for_each(|i| self.missing[*i] -= 1);
        for (sum, more) in self.missing.iter_mut().zip(missing) {
            *sum += more;
        }
        true
    }

    fn stays(&self, kept: &Kept) -> i64 {
        let of = |(s, content): &(usize, Content)| self.stay.stays(&self.stay.sites[*s], content);
        kept.iter().map(of).sum()
    }

    /// Some of the items that are missing.
    fn wanted(&self, turn: u64) -> Vec<usize> {
        let missing = (0..self.missing.len()).filter(|i| self.missing[*i] > 0);
        let mut missing: Vec<usize> = missing.collect();
        missing.sort_by(|a, b| noise(turn, *a).total_cmp(&noise(turn, *b)));
        // The fewer are missing, the fewer together: there is little room left in which they fit exactly.
        missing.truncate((1 + missing.len() / 16).min(WANTED));
        missing
    }

    /// Hosts to be filled anew, by their place: some that may have each of what is wanted, those first that
    /// have others of its size, and then those that are worth least of what they could be.
    fn chosen(&self, wanted: &[usize], turn: u64) -> Vec<usize> {
        let packing = self.stay.packing;
        let mut chosen: Vec<usize> = Vec::new();
        for i in wanted {
            let takes =
                |at: &usize| packing.hosts[self.stay.sites[self.kept[*at].0].class].takes[*i];
            let alike = |at: usize| {
                let mut items = self.kept[at].1.iter();
                let need = &packing.items[*i].need;
                items.any(|(j, _)| j != i && packing.items[*j].need == *need)
            };
            let rank = |at: usize| noise(turn, at) + f64::from(u8::from(!alike(at)));
            let mut order: Vec<(f64, usize)> = (0..self.kept.len())
                .filter(takes)
                .map(|at| (rank(at), at))
                .collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            chosen.extend(order.iter().take(EACH).map(|o| o.1));
        }
        // What is missing needs room that is free; else those that are worth least of what they could be.
        let worth = |(site, content): &(usize, Content)| {
            let stay = self.stay;
            let worth = stay.worth(*site, content, self.weights);
            if wanted.is_empty() {
                worth - self.worths[*site]
            } else {
                worth - stay.stays(&stay.sites[*site], content) * stay.unit * stay.parts
            }
        };
        let worths: Vec<i64> = self.kept.iter().map(worth).collect();
        let most = match wanted {
            [] => 0,
            _ => worths.iter().copied().max().unwrap_or(0),
        };
        let mut order: Vec<(f64, usize)> = (0..worths.len())
            .map(|at| {
                let lost = float((most - worths[at]).max(0)) + 1.0;
                (lost * noise(turn, at).powi(3), at)
            })
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let more = PART.saturating_sub(chosen.len());
        chosen.extend(order.iter().take(more).map(|o| o.1));
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

impl<'a> Stay<'a> {
    /// What the best content of each site is worth, and the sites that are worth most within the cost.
    fn kept(
        &self,
        weights: &[i64],
        cost: i64,
        stop: &dyn Fn() -> bool,
    ) -> Option<(Vec<Filled>, Vec<usize>)> {
        let cells = self.cells.as_ref()?;
        let tables: Vec<Table> = cells
            .iter()
            .map(|c| c.table(weights, &self.counts))
            .collect();
        let mut vacant: Vec<Option<Filled>> = vec![None; tables.len()];
        let mut filled = Vec::with_capacity(self.sites.len());
        for site in &self.sites {
            if stop() {
                return None;
            }
            let fill = || tables[site.class].fill(&site.homes, weights);
            filled.push(match site.homes.as_slice() {
                [] => vacant[site.class].get_or_insert_with(fill).clone(),
                _ => fill(),
            });
        }
        let host = |s: usize| &self.packing.hosts[self.sites[s].class];
        let mut kept: Vec<usize> = (0..filled.len()).filter(|s| host(*s).forced).collect();
        let mut budget = cost - self.packing.forced_cost();
        let mut others: Vec<usize> = (0..filled.len()).filter(|s| !host(*s).forced).collect();
        others.sort_by(|a, b| {
            let of = |s: usize| (filled[s].worth, host(s).cost);
            by_worth(of(*a), of(*b)).then(a.cmp(b))
        });
        for s in others {
            if host(s).cost <= budget {
                budget -= host(s).cost;
                kept.push(s);
            }
        }
        Some((filled, kept))
    }

    /// The best content of a site by the weights, of what is left; of this, so much is spare for those that
    /// come. Tables are made once for a class.
    pub(super) fn available<'t>(
        &'t self,
        site: usize,
        weights: &[i64],
        (left, spare): (&[usize], &[usize]),
        tables: &mut [Option<Table<'t>>],
    ) -> Option<Content> {
        let Site { class, homes, .. } = &self.sites[site];
        let cells = &self.cells.as_ref()?[*class];
        let there = |homes: &[(usize, i64)]| -> Vec<(usize, i64)> {
            let mut taken = Vec::new();
            let mut kept = Vec::new();
            let mut homes = homes.to_vec();
            homes.sort_by_key(|(item, price)| (*item, Reverse(*price)));
            for (item, price) in homes {
                taken.push(item);
                if taken.iter().filter(|i| **i == item).count() <= left[item] {
                    kept.push((item, price));
                }
            }
            kept
        };
        let homes = there(homes);
        let enough = |content: &Content| content.iter().all(|(i, copies)| *copies <= left[*i]);
        let table = tables[*class].get_or_insert_with(|| cells.table(weights, spare));
        let content = table.fill(&homes, weights).content;
        if enough(&content) {
            return Some(content);
        }
        // Those at home count apart, and others took some since the table was made.
        let mut others = left.to_vec();
        homes.iter().for_each(|(item, _)| others[*item] -= 1);
        let spare = others.iter().zip(spare);
        let spare: Vec<usize> = spare.map(|(o, s)| *o.min(s)).collect();
        let table = cells.table(weights, &spare);
        Some(table.fill(&homes, weights).content)
    }

    /// What a content of a site is worth.
    pub(super) fn worth(&self, site: usize, content: &Content, weights: &[i64]) -> i64 {
        let weighed = content.iter();
        let weighed = weighed.map(|(i, c)| weights[*i].saturating_mul(super::price::count(*c)));
        let stays = self.stays(&self.sites[site], content);
        weighed.fold(stays * self.unit * self.parts, i64::saturating_add)
    }

    /// Parts in units of the prices' divisor, and back.
    pub(super) fn in_units(&self, parts: i64) -> f64 {
        float(parts) / float(self.parts * self.unit)
    }
    pub(super) fn to_parts(&self, units: f64) -> f64 {
        units * float(self.parts * self.unit)
    }

    /// The most that a copy saves that stays, in units.
    pub(super) fn dearest(&self) -> f64 {
        let homes = self.sites.iter().flat_map(|s| &s.homes);
        self.in_units(homes.map(|(_, price)| *price).max().unwrap_or(1))
    }

    /// Contents by the problem's hosts.
    pub(super) fn on_hosts(&self, kept: Kept) -> Kept {
        let of = |(site, content): (usize, Content)| (self.sites[site].host, content);
        kept.into_iter().map(of).collect()
    }
}
