//! The patterns of which a plan is made that moves less than a known one, and what follows from a choice of them.
//!
//! Sets, weights w and V_h as in `stay.rs`. For any μ ≥ 0 a plan with hosts S costs at least
//! L = Σ price + Σ n_i·w_i − Σ_h max {0, V_h − μ·c_h} − μ·C, where forced hosts count V_h − μ·c_h whatever its sign: the knapsack
//! over S by its own multiplier (Geoffrion 1974). Where a host h has the content a, that rises by
//! max {V_h, μ·c_h} − v_h(a) with v_h(a) = Σ_i w_i·a_i + stay_h(a), for a forced host by V_h − v_h(a). So a plan that costs at most U
//! has only contents with v_h(a) ≥ max {V_h, μ·c_h} − (U − L): reduced cost fixing, as for the whole of column generation by
//! Baldacci, Christofides and Mingozzi 2008. Of these the maximal ones do, since a choice (`choose.rs`) may cover items too
//! often. Where all of them are at hand no plan costs less than what the choice proves, or else than what is known. All but that
//! choice is integer arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use super::compose::{Composer, prices_from};
use super::fill::staying;
use super::price::{Content, count};
use super::stay::Stay;

/// Nodes of the search for contents, at most.
const STEPS: u64 = 2_000_000;

/// A content with the site that it is for, or none where nothing stays, so that any of the class will do.
pub(super) type Near = (usize, Option<usize>, Content);

/// What weights say of all hosts.
pub(super) struct Margins<'s> {
    composers: Vec<Composer<'s>>,
    weights: Vec<i64>,
    /// max {V_h, μ·c_h} of each site, or V_h where it is forced.
    best: Vec<i64>,
    /// L, in parts.
    least: i128,
}

impl Stay<'_> {
    /// `None` when it was stopped.
    pub(super) fn margins(
        &self,
        weights: &[i64],
        cost: i64,
        stop: &dyn Fn() -> bool,
    ) -> Option<Margins<'_>> {
        let classes = &self.packing.hosts;
        let composers: Vec<Composer> = (0..classes.len())
            .map(|k| self.composer(k, weights, &self.counts, 0))
            .collect();
        let most = self.each_site(stop, |s| composers[s.class].fill(&s.homes, weights).most)?;
        let rate = self.rate(&most, cost);
        let mut best = Vec::new();
        let mut gained = 0i128;
        for (site, most) in self.sites.iter().zip(most) {
            let class = &classes[site.class];
            let paid = rate.saturating_mul(class.cost);
            let counted = if class.forced { most } else { most.max(paid) };
            gained += i128::from(counted) - i128::from(paid);
            best.push(counted);
        }
        let weighed = weights.iter().zip(&self.counts);
        let weighed = weighed.map(|(w, n)| i128::from(*w) * i128::from(count(*n)));
        Some(Margins {
            composers,
            weights: weights.to_vec(),
            best,
            least: i128::from(self.all) + weighed.sum::<i128>()
                - gained
                - i128::from(rate) * i128::from(cost),
        })
    }

    /// The maximal contents of plans that move guests for at most `upper`, in parts; `None` where they are more than
    /// `limit` or it was stopped.
    pub(super) fn near(
        &self,
        margins: &Margins,
        upper: i64,
        limit: usize,
        stop: &dyn Fn() -> bool,
    ) -> Option<Vec<Near>> {
        let gap = i64::try_from(i128::from(upper) - margins.least).ok()?;
        let mut found = Vec::new();
        if gap < 0 {
            return Some(found);
        }
        let (composers, weights) = (&margins.composers, &margins.weights);
        let mut left = Left {
            steps: STEPS,
            contents: limit,
            stop,
        };
        let mut vacant: Vec<Option<i64>> = vec![None; composers.len()];
        for (s, site) in self.sites.iter().enumerate() {
            let least = margins.best[s].saturating_sub(gap);
            let any = vacant[site.class].get_or_insert(least);
            *any = least.min(*any);
            let all = All::new(&composers[site.class], &site.homes, weights, least);
            let contents = all.find(false, &mut left)?;
            found.extend(contents.into_iter().map(|c| (site.class, Some(s), c)));
        }
        for (k, least) in vacant.into_iter().enumerate() {
            let Some(least) = least else { continue };
            let contents = All::new(&composers[k], &[], weights, least).find(true, &mut left)?;
            found.extend(contents.into_iter().map(|c| (k, None, c)));
        }
        Some(found)
    }

    /// What a unit of cost is worth, about: of the last host that is paid for.
    fn rate(&self, most: &[i64], cost: i64) -> i64 {
        let class = |s: usize| &self.packing.hosts[self.sites[s].class];
        let open = (0..most.len()).filter(|s| !class(*s).forced && class(*s).cost > 0);
        let mut rates: Vec<(i64, i64)> = open
            .map(|s| (most[s] / class(s).cost, class(s).cost))
            .collect();
        rates.sort_unstable_by_key(|(rate, _)| std::cmp::Reverse(*rate));
        let mut left = cost - self.packing.forced_cost();
        for (rate, cost) in rates {
            left -= cost;
            if left <= 0 {
                return rate.max(0);
            }
        }
        0
    }
}

/// How far the search for contents goes, over all hosts.
pub(super) struct Left<'a> {
    pub(super) steps: u64,
    pub(super) contents: usize,
    pub(super) stop: &'a dyn Fn() -> bool,
}

impl Left<'_> {
    /// `None` where it is over.
    fn step(&mut self) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        let looks = self.steps.is_multiple_of(1024);
        (!(looks && (self.stop)())).then_some(())
    }
}

/// The search for the contents of one host.
pub(super) struct All<'s, 'a> {
    of: &'s Composer<'a>,
    /// Copies that may stay, by place, with their prices; copies of an item together, the dearest first.
    stays: Vec<(usize, i64)>,
    /// Σ price from each on.
    prices_from: Vec<i64>,
    /// Copies of each item that may come, and all that are not taken.
    come: Vec<usize>,
    left: Vec<usize>,
    used: Vec<bool>,
    rest: Vec<i64>,
    taken: Vec<usize>,
    least: i64,
    found: BTreeSet<Content>,
}

impl<'s, 'a> All<'s, 'a> {
    pub(super) fn new(
        of: &'s Composer<'a>,
        homes: &[(usize, i64)],
        weights: &[i64],
        least: i64,
    ) -> Self {
        let search = &of.search;
        let stays = staying(search, &of.place, homes, weights);
        let mut come = search.copies.clone();
        stays
            .iter()
            .for_each(|(k, _)| come[*k] = come[*k].saturating_sub(1));
        Self {
            of,
            prices_from: prices_from(&stays),
            stays,
            come,
            left: search.copies.clone(),
            used: vec![false; search.pricer.sets],
            rest: search.pricer.room.clone(),
            taken: Vec::new(),
            least,
            found: BTreeSet::new(),
        }
    }

    /// The contents on which somebody stays, or on which nobody does; `None` where that takes too many steps.
    pub(super) fn find(mut self, vacant: bool, left: &mut Left) -> Option<BTreeSet<Content>> {
        self.stay(0, 0, vacant, left)?;
        Some(self.found)
    }

    fn stay(&mut self, j: usize, value: i64, vacant: bool, left: &mut Left) -> Option<()> {
        left.step()?;
        let come = self.of.ceiling.most(&self.rest);
        if value
            .saturating_add(come)
            .saturating_add(self.prices_from[j])
            < self.least
        {
            return Some(());
        }
        let Some((k, price)) = self.stays.get(j).copied() else {
            if vacant == self.taken.is_empty() {
                self.come(0, value, left)?;
            }
            return Some(());
        };
        if self.fits(k) {
            self.take(k);
            self.stay(j + 1, value + self.of.search.value[k] + price, vacant, left)?;
            self.give(k);
        }
        // The dearer of two alike stays rather.
        let alike = self.stays[j..].iter().take_while(|s| s.0 == k).count();
        self.stay(j + alike, value, vacant, left)
    }

    /// Adds others, from the `from`-th in order on.
    fn come(&mut self, from: usize, value: i64, left: &mut Left) -> Option<()> {
        left.step()?;
        let of = self.of;
        let mut is_last = true;
        for at in from..of.order.len() {
            let k = of.order[at];
            if self.come[k] == 0 || !self.fits(k) {
                continue;
            }
            is_last = false;
            self.take(k);
            let value = value + of.search.value[k];
            if value.saturating_add(of.ceiling.most(&self.rest)) >= self.least {
                self.come[k] -= 1;
                self.come(at, value, left)?;
                self.come[k] += 1;
            }
            self.give(k);
        }
        let fits = |k: usize| self.left[k] > 0 && self.fits(k);
        if is_last && value >= self.least && !(0..of.search.n()).any(fits) {
            let mut content: BTreeMap<usize, usize> = BTreeMap::new();
            for k in &self.taken {
                *content.entry(of.search.item(*k)).or_default() += 1;
            }
            if self.found.insert(content.into_iter().collect()) {
                left.contents = left.contents.checked_sub(1)?;
            }
        }
        Some(())
    }

    fn fits(&self, k: usize) -> bool {
        let search = &self.of.search;
        let within = search.needs(k).iter().zip(&self.rest).all(|(n, r)| n <= r);
        within && !search.sets(k).iter().any(|s| self.used[*s])
    }

    fn take(&mut self, k: usize) {
        self.change(k, -1);
        self.taken.push(k);
        self.left[k] -= 1;
    }

    fn give(&mut self, k: usize) {
        self.change(k, 1);
        self.taken.pop();
        self.left[k] += 1;
    }

    fn change(&mut self, k: usize, sign: i64) {
        let search = &self.of.search;
        let needs = self.rest.iter_mut().zip(search.needs(k));
        needs.for_each(|(rest, need)| *rest += sign * need);
        for s in search.sets(k) {
            self.used[*s] = sign < 0;
        }
    }
}
