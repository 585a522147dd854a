//! The best that a host may carry of what is left (`filling.rs`, `block.rs`).

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::cells::{Base, Table};
use super::price::Content;
use super::stay::{Site, Stay};
use crate::model::float;

/// What fits rests best, for some weights: of what all classes take, and of each class.
pub(super) struct Tables<'t> {
    base: Option<Base>,
    of_class: Vec<Option<Table<'t>>>,
}

impl Tables<'_> {
    pub(super) fn new(stay: &Stay) -> Self {
        let classes = stay.packing.hosts.iter();
        Self {
            base: None,
            of_class: classes.map(|_| None).collect(),
        }
    }
}

impl Stay<'_> {
    /// The weight of each item, by those of guests.
    pub(super) fn by_item(&self, weights: &[i64]) -> Vec<i64> {
        let of = |item: &super::Item| {
            let first = item.members.first();
            first.map_or(1, |m| m.iter().map(|g| weights[*g]).sum())
        };
        self.packing.items.iter().map(of).collect()
    }

    /// The best content of a site by the weights, of what is left; of this, so much is spare for those that
    /// come. Tables are made once for a class.
    pub(super) fn available<'t>(
        &'t self,
        site: usize,
        weights: &[i64],
        (left, spare): (&[usize], &[usize]),
        tables: &mut Tables<'t>,
    ) -> Option<Content> {
        let Site { class, homes, .. } = &self.sites[site];
        let cells = &self.cells.as_ref()?[*class];
        let barred = self.barred.get(&site).map_or(&[][..], Vec::as_slice);
        let enough = |i: usize| match barred.contains(&i) {
            true => 0,
            false => left[i].min(self.most[i]),
        };
        let mut homes = homes.clone();
        homes.sort_by_key(|(item, price)| (*item, Reverse(*price)));
        let mut there: BTreeMap<usize, usize> = BTreeMap::new();
        homes.retain(|(item, _)| {
            let there = there.entry(*item).or_default();
            *there += 1;
            *there <= enough(*item)
        });
        // Those at home count apart. What is too much with them, or since the table was made, is limited.
        let mut limits: BTreeMap<usize, usize> = barred.iter().map(|i| (*i, 0)).collect();
        let (base, tables) = (&mut tables.base, &mut tables.of_class);
        loop {
            let mut base = || {
                base.get_or_insert_with(|| cells.base(weights, spare))
                    .clone()
            };
            let content = if limits.is_empty() {
                let make = || cells.table_on(base(), weights, spare);
                let table = tables[*class].get_or_insert_with(make);
                table.fill(&homes, weights).content
            } else {
                let mut spare = spare.to_vec();
                limits
                    .iter()
                    .for_each(|(i, most)| spare[*i] = spare[*i].min(*most));
                let table = match limits.keys().any(|i| cells.is_common(*i)) {
                    true => cells.table(weights, &spare),
                    false => cells.table_on(base(), weights, &spare),
                };
                table.fill(&homes, weights).content
            };
            let before = limits.len();
            for (i, _) in content.iter().filter(|(i, copies)| *copies > enough(*i)) {
                let there = homes.iter().filter(|(item, _)| item == i).count();
                limits.insert(*i, enough(*i) - there);
            }
            if limits.len() == before {
                return Some(content);
            }
        }
    }

    /// Keeps guests, each the first of its copy, off hosts.
    pub(super) fn bar(&mut self, barred: &[(usize, usize)]) {
        let mut item = BTreeMap::new();
        for (i, of) in self.packing.items.iter().enumerate() {
            let firsts = of.members.iter().filter_map(|m| m.first());
            item.extend(firsts.map(|g| (*g, i)));
        }
        let site: BTreeMap<usize, usize> = self.sites.iter().map(|s| s.host).zip(0..).collect();
        for (guest, host) in barred {
            if let (Some(i), Some(s)) = (item.get(guest), site.get(host)) {
                self.barred.entry(*s).or_default().push(*i);
            }
        }
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
}
