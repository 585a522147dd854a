//! What hosts kept carry, one filled after the other (`refill.rs`).
//!
//! Each host is given the content that is worth most, by the bound's weights, of what is left by then; the
//! weights of items that are used up sooner than others fall meanwhile, those of the others rise (dual prices led
//! as the hosts come: Agrawal, Wang and Ye 2014). The last hosts, which have to take exactly what is left, are
//! filled together by `block.rs`.

use std::collections::BTreeMap;

use super::block::Block;
use super::cells::Filled;
use super::content::Tables;
use super::dive::noise;
use super::master::of_count;
use super::price::Content;
use super::proof::whole;
use super::seat::Seats;
use super::stay::Stay;
use crate::model::float;

/// Hosts that are filled together at the end.
const LAST: usize = 24;
/// Hosts filled between two changes of the weights.
const BATCH: usize = 8;
/// By how much of what the mean guest costs to move a copy more or less than its share changes the
/// weight of an item.
const STEP: f64 = 0.01;

/// Contents by site.
pub(super) type Kept = Vec<(usize, Content)>;

/// What hosts carry, and copies of each item that none has.
#[derive(Clone)]
pub(super) struct Filling {
    pub(super) kept: Kept,
    pub(super) missing: Vec<usize>,
}

impl Filling {
    /// The hosts that are worth most, filled one after the other, and the last of them together.
    pub(super) fn begin(
        stay: &Stay,
        weights: &[i64],
        cost: i64,
        stop: &dyn Fn() -> bool,
    ) -> Option<Self> {
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
        let (last, missing) = block.fill(&[], None)?;
        kept.extend(last);
        Some(Self { kept, missing })
    }

    /// Of those who have a seat, with hosts in use.
    pub(super) fn of(stay: &Stay, hosts: &[usize], seats: &Seats) -> Self {
        let mut contents: BTreeMap<usize, BTreeMap<usize, usize>> =
            hosts.iter().map(|h| (*h, BTreeMap::new())).collect();
        let mut missing = vec![0; stay.counts.len()];
        for (i, item) in stay.packing.items.iter().enumerate() {
            for copy in &item.members {
                let host = copy.first().and_then(|g| seats.place[*g]);
                match host.and_then(|h| contents.get_mut(&h)) {
                    Some(content) => *content.entry(i).or_default() += 1,
                    None => missing[i] += 1,
                }
            }
        }
        let sites = stay.sites.iter().enumerate();
        let kept = sites.filter_map(|(s, site)| {
            let content = contents.remove(&site.host)?;
            Some((s, content.into_iter().collect()))
        });
        Self {
            kept: kept.collect(),
            missing,
        }
    }

    pub(super) fn hosts(&self, stay: &Stay) -> Vec<usize> {
        let kept = self.kept.iter();
        kept.map(|(site, _)| stay.sites[*site].host).collect()
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.iter().all(|n| *n == 0)
    }
}

/// The contents of all but the last hosts of an order, and what is left for these.
fn in_turn(
    stay: &Stay,
    weights: &[i64],
    (order, filled): (&[usize], &[Filled]),
    stop: &dyn Fn() -> bool,
) -> Option<(Kept, Vec<usize>)> {
    let items: usize = stay.counts.iter().sum();
    let step = STEP * float(stay.all) / of_count(items.max(1));
    let mut left = stay.counts.clone();
    // Copies that are to stay where they are serve nobody else before.
    let mut reserved = vec![0; left.len()];
    let staying = order.iter().flat_map(|s| &filled[*s].stays);
    staying.for_each(|i| reserved[*i] += 1);
    let mut prices: Vec<f64> = weights.iter().map(|w| float(*w)).collect();
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
                of_count(hosts.sum())
            };
            *price += step * of_count(left[i]) * taking(&soon) / taking(&later).max(1.0);
        }
        let now: Vec<i64> = prices.iter().map(|p| whole(*p).max(1)).collect();
        let mut tables = Tables::new(stay);
        for site in next {
            filled[*site].stays.iter().for_each(|i| reserved[*i] -= 1);
            let spare = left.iter().zip(&reserved);
            let spare: Vec<usize> = spare
                .map(|(l, r): (&usize, &usize)| l.saturating_sub(*r))
                .collect();
            let content = stay.available(*site, &now, (&left, &spare), &mut tables)?;
            for (i, copies) in &content {
                left[*i] -= copies;
                prices[*i] -= step * of_count(*copies);
            }
            kept.push((*site, content));
        }
    }
    Some((kept, left))
}
