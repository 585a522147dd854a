//! The pattern LP, solved by column generation.
//!
//! Sets: items i with counts n_i, host classes k with u_k hosts at cost c_k (0 for forced hosts: they
//! are paid anyway), the patterns P_k of class k (`packing.rs`).
//! Variables: λ_p ≥ 0, hosts with pattern p; x_ij ≥ 0, slots of an item j given to an item i; u_i ≥ 0,
//! copies of i left unpacked, each at the price M of so many of the dearest hosts (`UNPACKED`), so that
//! the LP of few patterns has an answer.
//! Objective: min Σ_k c_k Σ_{p∈P_k} λ_p + M·Σ_i u_i
//! Constraints:
//! - (packed) Σ_p a_ip·λ_p + Σ_j x_ij − Σ_j x_ji + u_i ≥ n_i for every i; dual 0 ≤ π_i ≤ M
//! - (hosts) Σ_{p∈P_k} λ_p ≤ u_k for every k with fewer hosts than items; dual σ_k ≤ 0
//!
//! Source: Gilmore and Gomory 1961. The exchange columns x_ij say π_i ≤ π_j where i needs no more
//! than j of anything, every host that takes j takes i, and i is in no set apart that j is not in
//! (dual inequalities, Valério de Carvalho 2005). A host holds a single item only once, so they may
//! loosen the LP: they steady the first phase and are taken out in the second. No bound rests on
//! them, nor on anything else here: a bound is made of any π, in integers (`proof.rs`).

use std::collections::BTreeSet;

use super::columns::Center;
use super::packing::Packing;
use super::price::Pricer;
use super::{Effort, Pattern};
use crate::highs::lp::{Column, Failure, Lp, Solution};
use crate::model::{ceil_div, float};

/// What is known beside the LP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The greatest divisor of the costs.
    pub(super) unit: i64,
    /// A bound proven elsewhere: what cannot exceed it is of no use.
    pub(super) lower: i64,
    /// A placement's cost: bounds that reach it close the search.
    pub(super) upper: i64,
}

impl Known {
    pub(super) fn new(packing: &Packing, lower: i64, upper: i64) -> Self {
        Self {
            unit: packing.unit(),
            lower,
            upper,
        }
    }
}

/// What a column of the LP stands for.
#[derive(Debug, Clone)]
enum Kind {
    /// A pattern, by its place in the pool.
    Pattern(usize),
    Exchange,
    /// An item left unpacked, at a price that no host comes near.
    Unpacked,
}

/// Duals, as advice.
#[derive(Debug, Clone)]
pub(super) struct Duals {
    pub(super) items: Vec<f64>,
    pub(super) hosts: Vec<f64>,
}

impl Duals {
    /// The share `alpha` of `center` and the rest of these.
    pub(super) fn towards(&self, center: &Self, alpha: f64) -> Self {
        let mix = |own: &[f64], other: &[f64]| {
            let pairs = own.iter().zip(other);
            pairs.map(|(a, c)| alpha * c + (1.0 - alpha) * a).collect()
        };
        Self {
            items: mix(&self.items, &center.items),
            hosts: mix(&self.hosts, &center.hosts),
        }
    }
}

pub(super) struct Master<'a> {
    pub(super) packing: &'a Packing,
    pub(super) effort: &'a Effort<'a>,
    pub(super) pricers: Vec<Pricer>,
    pub(super) lp: Lp,
    kinds: Vec<Kind>,
    /// The row of each host class, where there is one.
    pub(super) rows: Vec<Option<usize>>,
    /// Every pattern made.
    pub(super) pool: Vec<Pattern>,
    known: BTreeSet<Pattern>,
    /// What the dearest host costs; the LP counts in it.
    pub(super) top: f64,
    /// Items still to be packed; less than their counts while diving.
    pub(super) left: Vec<usize>,
    /// The duals that promise most so far.
    pub(super) center: Option<Center>,
    pub(super) rounds: u64,
    pub(super) steps: u64,
    /// The last optimum of the LP, without the forced hosts' cost.
    pub(super) value: f64,
    /// Whether a dive prices until the LP is as good as before, and takes fixings back.
    pub(super) patient: bool,
}

/// The price of leaving an item unpacked, in hosts.
const UNPACKED: f64 = 20.0;

impl<'a> Master<'a> {
    pub(super) fn new(
        packing: &'a Packing,
        known: &[Pattern],
        effort: &'a Effort<'a>,
    ) -> Result<Self, Failure> {
        let items = packing.items.len();
        let total: usize = packing.items.iter().map(super::packing::Item::count).sum();
        let mut bounds: Vec<(f64, f64)> = packing
            .items
            .iter()
            .map(|i| (of_count(i.count()), f64::INFINITY))
            .collect();
        let mut rows = Vec::new();
        for host in &packing.hosts {
            rows.push((host.count() < total).then_some(bounds.len()));
            if host.count() < total {
                bounds.push((f64::NEG_INFINITY, of_count(host.count())));
            }
        }
        let top = packing
            .hosts
            .iter()
            .map(|k| k.cost)
            .max()
            .unwrap_or(1)
            .max(1);
        let mut master = Self {
            packing,
            effort,
            pricers: (0..packing.hosts.len())
                .map(|k| Pricer::new(packing, k))
                .collect(),
            lp: Lp::new(&bounds)?,
            kinds: Vec::new(),
            rows,
            pool: Vec::new(),
            known: BTreeSet::new(),
            top: float(top),
            left: packing
                .items
                .iter()
                .map(super::packing::Item::count)
                .collect(),
            center: None,
            rounds: 0,
            steps: 0,
            value: 0.0,
            patient: true,
        };
        let unpacked: Vec<Column> = (0..items)
            .map(|i| Column {
                cost: UNPACKED,
                upper: f64::INFINITY,
                entries: vec![(i, 1.0)],
            })
            .collect();
        master.add(unpacked, Kind::Unpacked)?;
        master.exchanges()?;
        master.learn(known)?;
        Ok(master)
    }

    fn add(&mut self, columns: Vec<Column>, kind: Kind) -> Result<(), Failure> {
        self.lp.add(&columns)?;
        self.kinds.extend(columns.iter().map(|_| kind.clone()));
        Ok(())
    }

    /// What a host of class `k` costs in the LP.
    pub(super) fn cost(&self, k: usize) -> f64 {
        let host = &self.packing.hosts[k];
        if host.forced {
            0.0
        } else {
            float(host.cost) / self.top
        }
    }

    /// Adds those of the patterns that are new. Returns how many.
    pub(super) fn learn(&mut self, patterns: &[Pattern]) -> Result<usize, Failure> {
        let mut columns = Vec::new();
        for pattern in patterns {
            if pattern.content.is_empty() || !self.known.insert(pattern.clone()) {
                continue;
            }
            let packed = pattern.content.iter().map(|(i, c)| (*i, of_count(*c)));
            let host = self.rows[pattern.host].map(|row| (row, 1.0));
            columns.push(Column {
                cost: self.cost(pattern.host),
                upper: f64::INFINITY,
                entries: packed.chain(host).collect(),
            });
            self.kinds.push(Kind::Pattern(self.pool.len()));
            self.pool.push(pattern.clone());
        }
        self.lp.add(&columns)?;
        Ok(columns.len())
    }

    /// The exchange columns: of each item with the nearest items that it can stand for.
    fn exchanges(&mut self) -> Result<(), Failure> {
        const EACH: usize = 2;
        const LOOKS: usize = 400;
        let p = self.packing;
        let host = p.hosts.iter().max_by_key(|k| k.count());
        let Some(host) = host else {
            return Ok(());
        };
        let size = |i: usize| -> f64 {
            let shares = p.items[i].need.iter().zip(&host.room);
            shares.map(|(n, r)| float(*n) / float((*r).max(1))).sum()
        };
        let mut order: Vec<usize> = (0..p.items.len()).collect();
        order.sort_by(|a, b| size(*a).total_cmp(&size(*b)).then(a.cmp(b)));
        let smaller = |i: usize, j: usize| {
            let (a, b) = (&p.items[i], &p.items[j]);
            a.need.iter().zip(&b.need).all(|(x, y)| x <= y)
                && p.hosts.iter().all(|k| k.takes[i] || !k.takes[j])
                && p.apart
                    .iter()
                    .all(|set| set.binary_search(&i).is_err() || set.binary_search(&j).is_ok())
        };
        let mut columns = Vec::new();
        for (at, j) in order.iter().enumerate() {
            let near = order[..at].iter().rev().take(LOOKS);
            for i in near.filter(|i| smaller(**i, *j)).take(EACH) {
                columns.push(Column {
                    cost: 0.0,
                    upper: f64::INFINITY,
                    entries: vec![(*i, 1.0), (*j, -1.0)],
                });
            }
        }
        self.add(columns, Kind::Exchange)
    }

    /// Takes the exchange columns out.
    pub(super) fn end_exchanges(&mut self) -> Result<(), Failure> {
        let gone: Vec<usize> = (0..self.kinds.len())
            .filter(|c| matches!(self.kinds[*c], Kind::Exchange))
            .collect();
        self.remove(&gone)
    }

    fn remove(&mut self, columns: &[usize]) -> Result<(), Failure> {
        self.lp.remove(columns)?;
        let mut at = 0..;
        self.kinds.retain(|_| {
            at.next()
                .is_some_and(|c| columns.binary_search(&c).is_err())
        });
        Ok(())
    }

    /// Keeps the LP small: columns that are far from of use leave it, to be priced anew.
    pub(super) fn prune(&mut self, solution: &Solution) -> Result<bool, Failure> {
        if self.kinds.len() < 4000 + 8 * self.left.len() {
            return Ok(false);
        }
        let mut far: Vec<usize> = (0..self.kinds.len())
            .filter(|c| matches!(self.kinds[*c], Kind::Pattern(_)) && solution.reduced[*c] > 0.05)
            .collect();
        far.sort_by(|a, b| solution.reduced[*b].total_cmp(&solution.reduced[*a]));
        far.truncate(self.kinds.len() / 2);
        far.sort_unstable();
        for c in &far {
            if let Kind::Pattern(p) = self.kinds[*c] {
                self.known.remove(&self.pool[p]);
            }
        }
        self.remove(&far)?;
        Ok(!far.is_empty())
    }

    pub(super) fn duals(&self, solution: &Solution) -> Duals {
        let items = self.left.len();
        Duals {
            items: solution.duals[..items].iter().map(|d| d.max(0.0)).collect(),
            hosts: self
                .rows
                .iter()
                .map(|row| row.map_or(0.0, |r| solution.duals[r].min(0.0)))
                .collect(),
        }
    }

    /// A first guess at the duals: an item's share of the scarcest resource of the host where it is
    /// cheapest.
    pub(super) fn guess(&self) -> Duals {
        let p = self.packing;
        let load = |r: usize| -> f64 {
            p.items
                .iter()
                .map(|i| float(i.need[r]) * of_count(i.count()))
                .sum()
        };
        let room = |r: usize| -> f64 {
            p.hosts
                .iter()
                .map(|k| float(k.room[r]) * of_count(k.count()))
                .sum()
        };
        let scarce = (0..p.resources()).max_by(|a, b| {
            let full = |r: usize| load(r) / room(r).max(1.0);
            full(*a).total_cmp(&full(*b))
        });
        let items = (0..p.items.len())
            .map(|i| {
                let share = |k: usize| {
                    let host = &p.hosts[k];
                    let of = |r: usize| float(p.items[i].need[r]) / float(host.room[r].max(1));
                    scarce.map_or(0.0, of) * self.cost(k)
                };
                (0..p.hosts.len())
                    .filter(|k| p.hosts[*k].takes[i])
                    .map(share)
                    .fold(f64::INFINITY, f64::min)
                    .min(UNPACKED)
            })
            .collect();
        Duals {
            items,
            hosts: vec![0.0; p.hosts.len()],
        }
    }

    /// The LP's last value with the forced hosts, in thousandths.
    pub(super) fn worth(&self) -> f64 {
        self.value * self.top + float(self.packing.forced_cost())
    }

    /// The patterns in the LP, each with its column.
    pub(super) fn patterns(&self) -> impl Iterator<Item = (usize, &Pattern)> {
        self.kinds
            .iter()
            .enumerate()
            .filter_map(|(c, kind)| match kind {
                Kind::Pattern(p) => Some((c, &self.pool[*p])),
                Kind::Exchange | Kind::Unpacked => None,
            })
    }
}

pub(super) fn of_count(n: usize) -> f64 {
    float(i64::try_from(n).unwrap_or(i64::MAX))
}

/// A cost found by floating point rounded up to a multiple of `unit`, 10⁻⁶ of a unit forgiven.
pub(super) fn round_up(cost: f64, unit: i64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "costs of hosts; the cast saturates"
    )]
    let units = (cost / float(unit) - 1e-6).ceil() as i64;
    ceil_div(units.saturating_mul(unit), unit).saturating_mul(unit)
}
