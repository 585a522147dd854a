//! Stage 2's bound by patterns: which guests can stay, seen with what fits beside them.
//!
//! Sets: items i with counts n_i and hosts h (`packing.rs`), the patterns P_h of h; a copy of an item
//! that stays on h saves its price there, so a pattern a ∈ P_h saves at most `stay_h(a)`, the prices
//! of its a_i dearest copies that run on h.
//! Variables: `λ[h,a]` ∈ {0, 1}, h has the pattern a; S is the set of hosts that have one.
//! Objective: min Σ price − Σ_{h∈S} stay_h(a)
//! Constraints:
//! - (packed) Σ_h Σ_a a_i·`λ[h,a]` ≥ n_i for every i; multiplier w_i ≥ 0
//! - (one) Σ_a `λ[h,a]` ≤ 1 for every h
//! - (cost) Σ_{h∈S} c_h ≤ C, forced hosts among S
//!
//! For any w, with `V_h ≥ max {Σ_i w_i·a_i + stay_h(a) : a ∈ P_h}`, what moves costs at least
//! Σ price + Σ n_i·w_i − max {Σ_{h∈S} V_h : (cost)}, where the maximum is the knapsack of
//! `bound/leave.rs`. With w = 0 this is the bound by where guests run now; w > 0 sees that whoever
//! stays must leave room beside it which others fill. It equals at best the linear program over all
//! patterns (Lagrangian relaxation: Geoffrion 1974).
//!
//! V_h is found by branch and bound (`fill.rs`) over who stays, then over who comes, with the tables and
//! the fractional optimum of pricing (`price.rs`), on integer weights: where the search is cut short,
//! V_h is the largest bound of what was left. w is led (`ascent.rs`) by subgradients with Polyak's step, deflected
//! (Held, Wolfe and Crowder 1974; Camerini, Fratta and Maffioli 1975). Where hosts carry few items the search
//! is that of `compose.rs`, and w is led by the linear program itself (`lead.rs`). However it was found, w is
//! floating point, and no bound rests on that.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::ascent::Ascent;
use super::cells::{Cells, Filled, Table};
use super::choose;
use super::compose::Composer;
use super::fill::{Found, fill};
use super::lead::{self, Led};
use super::packing::Packing;
use super::price::{Content, Pricer, Search};
use super::refill::{Turns, refill};
use super::seat::{self, Held, Rules};
use crate::Limits;
use crate::bound::MovesBound;
use crate::bound::leave::{afford, by_worth};
use crate::model::{ceil_div, float, gcd};
use crate::problem::Problem;

/// Table entries computed for a class of hosts in one evaluation, about.
const CELLS: usize = 1 << 23;
/// Prices and weights are counted in parts of so much of a unit, or fewer where numbers are large.
const PARTS: i64 = 1 << 16;
/// Weights by size alone that are tried first, in parts of what guests of that size cost to move.
const STARTS: [f64; 9] = [0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
/// Items that a host in use carries, in the mean, at most, where patterns are chosen from.
const EACH: usize = 6;
/// The part of the best bound by which the next is to be better.
const NEAR: i64 = 64;
/// Evaluations, at most.
const TURNS: u64 = 2_000;

/// What is known of the cost of the moves.
#[derive(Debug, Clone, Copy)]
pub struct Between {
    /// A bound.
    pub lower: i64,
    /// What moves that were found cost.
    pub upper: i64,
}

/// What [`moves`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stayed {
    /// A bound on what moving guests costs with hosts in use that cost so much, where it is better than
    /// what was known.
    pub bound: Option<MovesBound>,
    /// A placement made of the hosts' patterns that moves less than what was known. It may break rules
    /// that the packing does not know.
    pub placement: Option<Vec<usize>>,
    /// The weight of each guest by which the bound is proven, for [`refilled`].
    pub weights: Vec<i64>,
}

/// A placement in which hosts kept, which cost at most `cost`, are filled up anew under the rules that keep
/// guests apart or in one place, led by what guests weigh; `None` where none was found, or not until
/// `patience` says so. It may break rules of other kinds. Only where contents are exact ([`Stay::is_exact`]).
///
/// With a limit on nodes it repeats exactly: a node is some hosts filled anew together.
#[must_use]
pub fn refilled(
    stay: &Stay,
    cost: i64,
    weights: &[i64],
    limits: &Limits,
    patience: &dyn Fn() -> bool,
) -> Option<Vec<usize>> {
    let most = limits.nodes.unwrap_or(u64::MAX);
    refill(stay, weights, cost, Turns::new(most, limits.stop, patience))
}

/// Bounds what moving guests costs with hosts in use that cost at most `cost`, and where hosts carry
/// few guests chooses among the patterns met. The bound is sought until `enough` says so.
///
/// With a limit on nodes it repeats exactly: a node is an evaluation. Time counts through
/// `limits.stop` alone, of which the choice has what is left.
#[must_use]
pub fn moves(
    stay: &Stay,
    cost: i64,
    known: Between,
    limits: &Limits,
    enough: &dyn Fn() -> bool,
) -> Stayed {
    let (p, packing) = (stay.p, stay.packing);
    let Some(goal) = stay.parts.checked_mul(known.upper) else {
        return Stayed::default();
    };
    let ended = || enough() || (limits.stop)();
    let mut turns = limits.nodes.unwrap_or(TURNS).min(TURNS);
    let mut value = |weights: &[i64], slack: i64| {
        turns = turns.checked_sub(1)?;
        stay.value(weights, cost, slack, &ended)
    };
    let is_enough = |bound: i64| stay.rounded(bound) >= known.upper.max(known.lower);
    let led = if stay.is_led(cost) {
        lead::lead(stay, cost, &mut value, &is_enough, &ended, limits)
    } else {
        stay.climb(cost, goal, &mut value, &is_enough)
    };
    let least = stay.rounded(led.bound.unwrap_or(0));
    let parts = float(led.bound.unwrap_or(0)) / float(stay.parts);
    let bound = match led.searched {
        Some(searched) if searched > least.max(known.lower) => Some(MovesBound {
            least: searched,
            origin: "ILP over patterns with who stays".into(),
        }),
        _ => (least > known.lower).then(|| MovesBound {
            least,
            origin: format!("patterns with who stays, {parts:.1} rounded up"),
        }),
    };
    let chosen = led.chosen.map(|c| choose::named(packing, c.iter()));
    let placement = chosen.and_then(|c| stay.seated(&c));
    let mut weights = vec![0; p.guests.len()];
    for (item, weight) in packing.items.iter().zip(led.weights) {
        let firsts = item.members.iter().filter_map(|m| m.first());
        firsts.for_each(|g| weights[*g] = weight);
    }
    Stayed {
        bound,
        placement,
        weights,
    }
}

/// A host with what runs there and may stay.
pub(super) struct Site {
    pub(super) class: usize,
    /// By the problem's index.
    pub(super) host: usize,
    /// Items with the price of a copy that stays, in parts.
    pub(super) homes: Vec<(usize, i64)>,
}

/// A problem and its packing as stage 2 sees them: who runs where and may stay.
pub struct Stay<'a> {
    pub(super) p: &'a Problem,
    pub(super) packing: &'a Packing,
    pricers: Vec<Pricer>,
    pub(super) sites: Vec<Site>,
    pub(super) counts: Vec<usize>,
    /// For each copy of each item, where most of it runs, if it may stay.
    pub(super) home: Vec<Vec<Option<usize>>>,
    /// Σ price, in parts.
    pub(super) all: i64,
    pub(super) parts: i64,
    /// The greatest divisor of the prices.
    pub(super) unit: i64,
    /// Of each class of hosts, where needs come in few steps.
    pub(super) cells: Option<Vec<Cells>>,
    /// Copies of each item that a host carries at most, by rules that keep them apart.
    pub(super) most: Vec<usize>,
    /// Items that a site may not carry though its class takes them.
    pub(super) barred: BTreeMap<usize, Vec<usize>>,
}

/// What weights prove.
pub(super) struct Value {
    /// In parts.
    pub(super) bound: i64,
    /// Per item, n_i less the copies on hosts in use.
    pub(super) short: Vec<f64>,
    /// Sites with the content that is worth most.
    pub(super) contents: Vec<(usize, Content)>,
}

impl<'a> Stay<'a> {
    /// `None` where numbers are out of range.
    #[must_use]
    pub fn new(p: &'a Problem, packing: &'a Packing) -> Option<Self> {
        let running = p.guests.iter().filter(|g| g.current.is_some());
        let all = running
            .clone()
            .try_fold(0i64, |s, g| s.checked_add(g.price))?;
        let unit = running.fold(0, |d, g| gcd(d, g.price)).max(1);
        let parts = (0..=16)
            .map(|s| PARTS >> s)
            .find(|parts| all < (1 << 56) / parts)?;
        let mut at = vec![None; p.hosts.len()];
        let mut sites = Vec::new();
        for (class, host) in packing.hosts.iter().enumerate() {
            for h in &host.members {
                at[*h] = Some(sites.len());
                sites.push(Site {
                    class,
                    host: *h,
                    homes: Vec::new(),
                });
            }
        }
        let mut home = Vec::new();
        for (i, item) in packing.items.iter().enumerate() {
            let mut of_item = Vec::new();
            for copy in &item.members {
                let mut prices: BTreeMap<usize, i64> = BTreeMap::new();
                for guest in copy.iter().map(|g| &p.guests[*g]) {
                    if let Some(site) = guest.current.and_then(|h| at[h]) {
                        *prices.entry(site).or_default() += guest.price * parts;
                    }
                }
                let most = prices.iter().max_by_key(|(_, price)| **price);
                of_item.push(most.map(|(site, _)| sites[*site].host));
                for (site, price) in prices.into_iter().filter(|(_, price)| *price > 0) {
                    sites[site].homes.push((i, price));
                }
            }
            home.push(of_item);
        }
        Some(Self {
            p,
            packing,
            pricers: (0..packing.hosts.len())
                .map(|k| Pricer::new(packing, k))
                .collect(),
            sites,
            counts: packing.items.iter().map(super::Item::count).collect(),
            home,
            all: all * parts,
            parts,
            unit,
            cells: Self::cells(packing),
            most: seat::most(p, packing),
            barred: BTreeMap::new(),
        })
    }

    /// Whether needs come in so few steps that the best content of every host is known at once.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.cells.is_some()
    }

    /// Where guests are, by what hosts carry, if all of them have a seat.
    fn seated(&self, contents: &[(usize, Content)]) -> Option<Vec<usize>> {
        let rules = Rules::of(self.p);
        let seats = seat::seat(&rules, self.packing, contents, &self.home, &mut Held::new());
        seats.place.into_iter().collect()
    }

    /// What `of` says of each site; of those of a class that nobody runs on, once.
    pub(super) fn each_site<T: Clone>(
        &self,
        stop: &dyn Fn() -> bool,
        mut of: impl FnMut(&Site) -> T,
    ) -> Option<Vec<T>> {
        let mut vacant: Vec<Option<T>> = vec![None; self.packing.hosts.len()];
        let sites = self.sites.iter().map(|site| {
            if stop() {
                return None;
            }
            let known = &mut vacant[site.class];
            Some(match site.homes.as_slice() {
                [] => known.get_or_insert_with(|| of(site)).clone(),
                _ => of(site),
            })
        });
        sites.collect()
    }

    /// The same, as if needs came in many steps.
    #[cfg(test)]
    pub(crate) fn searched(mut self) -> Self {
        self.cells = None;
        self
    }

    /// Rules that keep items apart are no matter of cells.
    fn cells(packing: &Packing) -> Option<Vec<Cells>> {
        if !packing.apart.is_empty() {
            return None;
        }
        Cells::of(packing)
    }

    /// Whether hosts of that cost carry few guests each, so that the linear program over the patterns met leads the
    /// weights.
    #[must_use]
    pub fn is_led(&self, cost: i64) -> bool {
        self.cells.is_none() && !self.packing.is_large() && self.is_few(cost)
    }

    /// Leads the weights by subgradients. `goal` is what cannot be exceeded, in parts.
    fn climb(
        &self,
        cost: i64,
        goal: i64,
        value: &mut dyn FnMut(&[i64], i64) -> Option<Value>,
        is_enough: &dyn Fn(i64) -> bool,
    ) -> Led {
        let mut ascent = Ascent::new(self);
        let mut best: Option<i64> = None;
        let starts = self.starts();
        let mut starts = starts.iter().peekable();
        while !is_enough(best.unwrap_or(0)) && !ascent.is_over() {
            let reached = best.unwrap_or(0);
            // The best start first, then up from there.
            let start = starts.next().copied();
            if let Some(part) = start {
                ascent.begin(self, part);
            }
            let slack = (goal - reached.min(goal)) / 400 / self.used_at_most(cost).max(1);
            let Some(value) = value(&ascent.weights(), slack) else {
                break;
            };
            best = best.max(Some(value.bound));
            match start {
                Some(_) if starts.peek().is_some() => {
                    ascent.note(&value);
                }
                Some(_) => {
                    ascent.note(&value);
                    ascent.resume();
                }
                None => ascent.learn(&value, self.goal(goal, reached)),
            }
        }
        Led {
            bound: best,
            weights: ascent.best_weights(),
            searched: None,
            chosen: None,
        }
    }

    /// Parts of what guests cost to move that are tried as weights by all resources or by one.
    fn starts(&self) -> Vec<(f64, Option<usize>)> {
        let one = match self.cells {
            // There an evaluation takes little time.
            Some(_) => 0..self.packing.resources(),
            None => 0..0,
        };
        let resources = std::iter::once(None).chain(one.map(Some));
        resources
            .flat_map(|r| STARTS.map(|part| (part, r)))
            .collect()
    }

    /// What the weights are led to: where little is known of it but much is tried, little above the best.
    fn goal(&self, upper: i64, best: i64) -> i64 {
        match self.cells {
            Some(_) => upper.min(best.saturating_add(best / NEAR)),
            None => upper,
        }
    }

    /// A bound in parts as a bound in prices.
    pub(super) fn rounded(&self, bound: i64) -> i64 {
        ceil_div(ceil_div(bound, self.parts), self.unit) * self.unit
    }

    /// Whether so many hosts carry few items each.
    fn is_few(&self, cost: i64) -> bool {
        let items: usize = self.counts.iter().sum();
        let hosts = usize::try_from(self.used_at_most(cost)).unwrap_or(0);
        items <= hosts.saturating_mul(EACH)
    }

    /// What stays of a content on a site, in units of the prices' divisor.
    pub(super) fn stays(&self, site: &Site, content: &Content) -> i64 {
        let of = |(item, copies): &(usize, usize)| -> i64 {
            let there = site.homes.iter().filter(|(i, _)| i == item);
            let mut prices: Vec<i64> = there.map(|(_, price)| *price).collect();
            prices.sort_by_key(|p| Reverse(*p));
            prices.iter().take(*copies).sum()
        };
        content.iter().map(of).sum::<i64>() / self.parts / self.unit
    }

    /// How many hosts such a cost is enough for, at most.
    pub(super) fn used_at_most(&self, cost: i64) -> i64 {
        let cheapest = self.packing.hosts.iter().map(|k| k.cost.max(1)).min();
        let hosts = i64::try_from(self.sites.len()).unwrap_or(i64::MAX);
        (cost / cheapest.unwrap_or(1)).min(hosts)
    }

    /// What finds the best content of each class's hosts.
    fn fillers(
        &self,
        weights: &[i64],
        counts: &[usize],
        (cost, slack): (i64, i64),
    ) -> Vec<Filler<'_>> {
        let filler = |k: usize| match &self.cells {
            Some(cells) => Filler::Exact(cells[k].table(weights, counts)),
            None => {
                if self.is_led(cost) {
                    return Filler::Few(Box::new(self.composer(k, weights, counts, slack)));
                }
                let (mut search, place) = self.search(k, weights, counts);
                search.tabulate(CELLS);
                Filler::Search(Box::new(search), place, slack)
            }
        };
        (0..self.packing.hosts.len()).map(filler).collect()
    }

    /// A search for contents of a class's hosts, and where it has each item.
    fn search(
        &self,
        k: usize,
        weights: &[i64],
        counts: &[usize],
    ) -> (Search<'_>, Vec<Option<usize>>) {
        let search = Search::new(&self.pricers[k], weights, counts);
        let mut place = vec![None; self.counts.len()];
        (0..search.n()).for_each(|at| place[search.item(at)] = Some(at));
        (search, place)
    }

    pub(super) fn composer(
        &self,
        k: usize,
        weights: &[i64],
        counts: &[usize],
        slack: i64,
    ) -> Composer<'_> {
        let (search, place) = self.search(k, weights, counts);
        Composer::new(search, place, slack)
    }

    /// Contents of open sites that are worth most by the weights, of so many copies of each item; `(cost, slack)` as
    /// for [`Self::value`].
    pub(super) fn contents_of(
        &self,
        weights: &[i64],
        counts: &[usize],
        open: &[bool],
        reach: (i64, i64),
        stop: &dyn Fn() -> bool,
    ) -> Vec<(usize, Content)> {
        let fillers = self.fillers(weights, counts, reach);
        let mut contents = Vec::new();
        for (s, site) in self.sites.iter().enumerate().filter(|(s, _)| open[*s]) {
            if stop() {
                break;
            }
            let found = fillers[site.class].fill(&site.homes, weights);
            let all = found.more.into_iter().chain([found.content]);
            contents.extend(all.map(|content| (s, content)));
        }
        contents
    }

    /// What the weights, each at least 1, prove; `None` when it was stopped. The search of each host
    /// leaves out what is better by less than `slack`, which is then part of the proof.
    pub(super) fn value(
        &self,
        weights: &[i64],
        cost: i64,
        slack: i64,
        stop: &dyn Fn() -> bool,
    ) -> Option<Value> {
        let fillers = self.fillers(weights, &self.counts, (cost, slack));
        let found = |site: &Site| fillers[site.class].fill(&site.homes, weights);
        let found = self.each_site(stop, found)?;
        let (mut forced, mut budget) = (Vec::new(), cost);
        let mut others: Vec<((i64, i64), usize, Found)> = Vec::new();
        for (s, found) in found.into_iter().enumerate() {
            let host = &self.packing.hosts[self.sites[s].class];
            if host.forced {
                budget -= host.cost;
                forced.push((s, found));
            } else if found.most > 0 {
                others.push(((found.most, host.cost), s, found));
            }
        }
        others.sort_by(|a, b| by_worth(a.0, b.0).then(a.1.cmp(&b.1)));
        let worth: Vec<(i64, i64)> = others.iter().map(|o| o.0).collect();
        let (saved, kept) = afford(&worth, budget);
        let weighed: i64 = weights
            .iter()
            .zip(&self.counts)
            .map(|(w, n)| w.saturating_mul(i64::try_from(*n).unwrap_or(i64::MAX)))
            .fold(0, i64::saturating_add);
        let sure: i64 = forced.iter().map(|(_, f)| f.most).sum();
        let mut short: Vec<f64> = self
            .counts
            .iter()
            .map(|n| super::master::of_count(*n))
            .collect();
        let chosen = forced
            .iter()
            .map(|(_, f)| f)
            .chain(others[..kept].iter().map(|o| &o.2));
        for (item, copies) in chosen.flat_map(|found| &found.content) {
            short[*item] -= super::master::of_count(*copies);
        }
        let others = others.into_iter().map(|(_, s, found)| (s, found));
        let contents = others.chain(forced).flat_map(|(s, found)| {
            let contents = found.more.into_iter().chain([found.content]);
            contents.map(move |content| (s, content))
        });
        Some(Value {
            contents: contents.collect(),
            bound: self
                .all
                .saturating_add(weighed)
                .saturating_sub(sure + saved),
            short,
        })
    }
}

/// Finds the best content of a host.
enum Filler<'a> {
    Exact(Table<'a>),
    Search(Box<Search<'a>>, Vec<Option<usize>>, i64),
    Few(Box<Composer<'a>>),
}

impl Filler<'_> {
    fn fill(&self, homes: &[(usize, i64)], weights: &[i64]) -> Found {
        match self {
            Self::Exact(table) => {
                let Filled { most, content, .. } = table.fill(homes, weights);
                Found {
                    most,
                    content,
                    more: Vec::new(),
                }
            }
            Self::Few(composer) => composer.fill(homes, weights),
            Self::Search(search, place, slack) => fill(search, place, homes, weights, *slack),
        }
    }
}
