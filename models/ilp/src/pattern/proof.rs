//! A bound made of weights, in integers.
//!
//! Given integers w_i ≥ 0 for items and m_k such that no pattern of host class k weighs more than
//! m_k, the hosts in use carry all Σ n_i·w_i, so Σ_{hosts in use} m_k ≥ Σ_i n_i·w_i. The least cost
//! of hosts, the forced ones among them, that satisfies this covering row bounds every packing
//! (`bound/cover.rs`). With w_i = ⌊D·π_i⌋ this is Farley's bound (1990) made safe as by Held, Cook
//! and Sewell (2012): whatever π is, nothing in it is floating point.

use super::packing::Packing;
use super::{PatternBound, Weights};
use crate::bound::cover::{Kind, THOROUGH, cover_within};
use crate::model::{ceil_div, float};

/// D, where the dearest host costs 1.
pub(super) const SCALE: f64 = 67_108_864.0;

/// ⌊D·dual⌋.
pub(super) fn integer(dual: f64) -> i64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to at most 2^20 hosts"
    )]
    let weight = (dual.clamp(0.0, 1_048_576.0) * SCALE) as i64;
    weight
}

/// ⌊weight⌋, at most 2^40.
pub(super) fn whole(weight: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 2^40")]
    let weight = weight.clamp(0.0, 1_099_511_627_776.0) as i64;
    weight
}

/// Weights and what they prove.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof {
    /// Per item class.
    pub(super) weights: Vec<i64>,
    /// Per host class: no pattern weighs more.
    pub(super) most: Vec<i64>,
    /// What every packing costs at least, in thousandths; `i64::MAX` if there is none.
    pub(super) cost: i64,
    /// How many hosts it has at least.
    pub(super) hosts: usize,
    /// The cost before rounding, in thousandths, for reports and for comparing proofs.
    pub(super) value: f64,
}

impl Proof {
    /// The forced hosts alone.
    pub(super) fn trivial(packing: &Packing) -> Self {
        let (items, hosts) = (packing.items.len(), packing.hosts.len());
        Self::new(packing, vec![0; items], vec![0; hosts])
    }

    /// What the weights prove. `most` is to be proven by the caller.
    pub(super) fn new(packing: &Packing, weights: Vec<i64>, most: Vec<i64>) -> Self {
        let (demand, kinds) = covering(packing, &weights, &most);
        let least = cover_within(&kinds, demand, THOROUGH);
        let unit = packing.unit();
        let (cost, hosts) = least.map_or((i64::MAX, packing.host_count() + 1), |least| {
            (ceil_div(least.cost, unit).saturating_mul(unit), least.hosts)
        });
        Self {
            value: fraction(&kinds, demand),
            weights,
            most,
            cost,
            hosts,
        }
    }
}

impl Proof {
    /// In terms of guests and hosts. `lp` is the LP's value, in thousandths, for the report.
    pub(super) fn conclude(self, packing: &Packing, columns: usize, lp: f64) -> PatternBound {
        let unit = float(packing.unit());
        let inside = lp > float(self.cost) - unit && lp <= float(self.cost);
        let value = if inside { lp } else { self.value } / 1000.0;
        let all: i64 = packing.forced_cost()
            + (0..packing.hosts.len())
                .map(|k| packing.price(k, packing.hosts[k].count()))
                .sum::<i64>();
        let (cost, origin) = if self.cost == i64::MAX {
            (
                all.saturating_add(packing.unit()),
                "no placement exists: pattern LP".to_owned(),
            )
        } else {
            (self.cost, format!("pattern LP, {value:.3} rounded up"))
        };
        PatternBound {
            cost,
            hosts: self.hosts,
            origin,
            weights: Weights {
                guests: packing
                    .items
                    .iter()
                    .zip(&self.weights)
                    .flat_map(|(item, weight)| item.members.iter().map(|m| (m.clone(), *weight)))
                    .collect(),
                hosts: packing
                    .hosts
                    .iter()
                    .zip(&self.most)
                    .map(|(host, most)| (host.members.clone(), *most))
                    .collect(),
            },
            columns,
        }
    }
}

/// The linear relaxation of the covering row that these weights make, in thousandths.
pub(super) fn value(packing: &Packing, weights: &[i64], most: &[i64]) -> f64 {
    let (demand, kinds) = covering(packing, weights, most);
    fraction(&kinds, demand)
}

/// The covering row: the weight of all items, and what hosts carry of it at most.
fn covering(packing: &Packing, weights: &[i64], most: &[i64]) -> (i128, Vec<Kind>) {
    let items = packing.items.iter().zip(weights);
    let demand = items
        .map(|(i, w)| i128::from(*w) * i128::try_from(i.count()).unwrap_or(i128::MAX))
        .sum();
    let hosts = packing.hosts.iter().zip(most);
    let kinds = hosts.map(|(host, most)| Kind {
        count: host.count(),
        cost: host.cost,
        weight: i128::from(*most),
        forced: host.forced,
    });
    (demand, kinds.collect())
}

/// The covering row's linear relaxation, in floating point.
fn fraction(kinds: &[Kind], demand: i128) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "for reports and comparisons only"
    )]
    let real = |v: i128| v as f64;
    let count = |k: &Kind| real(i128::try_from(k.count).unwrap_or(i128::MAX));
    let (forced, mut free): (Vec<&Kind>, Vec<&Kind>) = kinds.iter().partition(|k| k.forced);
    let mut value: f64 = forced.iter().map(|k| float(k.cost) * count(k)).sum();
    let mut rest = real(demand)
        - forced
            .iter()
            .map(|k| real(k.weight) * count(k))
            .sum::<f64>();
    free.retain(|k| k.weight > 0);
    free.sort_by(|a, b| (i128::from(a.cost) * b.weight).cmp(&(i128::from(b.cost) * a.weight)));
    for kind in free {
        if rest <= 0.0 {
            break;
        }
        let hosts = count(kind).min(rest / real(kind.weight));
        value += hosts * float(kind.cost);
        rest -= hosts * real(kind.weight);
    }
    value
}
