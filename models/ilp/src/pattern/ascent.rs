//! How the weights of stage 2's bound are led (`stay.rs`): from sizes alone, then by subgradients.

use super::proof;
use super::stay::{Stay, Value};
use crate::model::float;

/// The share of Polyak's step at first, and of the last direction that is kept.
const SHARE: f64 = 0.25;
const KEEP: f64 = 0.6;
/// Evaluations without a better bound before the step is halved.
const PATIENCE: u32 = 6;

/// The weights on their way.
pub(super) struct Ascent {
    /// What is climbed: weights in units of each item's size.
    at: Vec<f64>,
    size: Vec<f64>,
    /// What moving costs, for each unit of size.
    density: f64,
    best: Vec<f64>,
    value: Option<i64>,
    direction: Vec<f64>,
    /// The share of Polyak's step that is taken.
    share: f64,
    idle: u32,
}

impl Ascent {
    pub(super) fn new(stay: &Stay) -> Self {
        let packing = stay.packing;
        let room = |r: usize| packing.hosts.iter().map(|k| k.room[r]).max().unwrap_or(1);
        let rooms: Vec<f64> = (0..packing.resources())
            .map(|r| float(room(r).max(1)))
            .collect();
        let size = |item: &super::Item| -> f64 {
            let shares = item.need.iter().zip(&rooms).map(|(n, r)| float(*n) / r);
            shares.sum::<f64>().max(1e-6)
        };
        let items = packing.items.len();
        let sizes: Vec<f64> = packing.items.iter().map(size).collect();
        let counts = stay.counts.iter().map(|n| super::master::of_count(*n));
        let all: f64 = sizes.iter().zip(counts).map(|(s, n)| s * n).sum();
        Self {
            density: float(stay.all) / all.max(1e-6),
            at: vec![0.0; items],
            size: sizes,
            best: vec![0.0; items],
            value: None,
            direction: vec![0.0; items],
            share: SHARE,
            idle: 0,
        }
    }

    /// Weights by size alone, or by the share of one resource.
    pub(super) fn begin(&mut self, stay: &Stay, (part, resource): (f64, Option<usize>)) {
        self.at.fill(part * self.density);
        let Some(r) = resource else { return };
        let packing = stay.packing;
        let room = packing.hosts.iter().map(|k| k.room[r]).max().unwrap_or(1);
        for ((at, size), item) in self.at.iter_mut().zip(&self.size).zip(&packing.items) {
            *at *= float(item.need[r]) / float(room.max(1)) / size;
        }
    }

    /// Goes on from the best weights.
    pub(super) fn resume(&mut self) {
        self.at.clone_from(&self.best);
    }

    /// Keeps the weights of now if they prove most.
    pub(super) fn note(&mut self, value: &Value) -> bool {
        let better = self.value.is_none_or(|best| value.bound > best);
        if better {
            self.value = Some(value.bound);
            self.best.clone_from(&self.at);
        }
        better
    }

    pub(super) fn is_over(&self) -> bool {
        self.share < 1e-3
    }

    pub(super) fn weights(&self) -> Vec<i64> {
        let pairs = self.at.iter().zip(&self.size);
        pairs
            .map(|(v, size)| proof::whole(v * size).max(1))
            .collect()
    }

    pub(super) fn best_weights(&self) -> Vec<i64> {
        let pairs = self.best.iter().zip(&self.size);
        pairs
            .map(|(v, size)| proof::whole(v * size).max(1))
            .collect()
    }

    /// A step from what the weights of now prove; `goal` is what cannot be exceeded.
    pub(super) fn learn(&mut self, value: &Value, goal: i64) {
        self.idle = if self.note(value) { 0 } else { self.idle + 1 };
        let mut keep = KEEP;
        if self.idle > PATIENCE {
            self.idle = 0;
            self.share /= 2.0;
            self.at.clone_from(&self.best);
            keep = 0.0;
        }
        for ((d, short), size) in self.direction.iter_mut().zip(&value.short).zip(&self.size) {
            *d = *d * keep + short * size;
        }
        let norm: f64 = self.direction.iter().map(|d| d * d).sum();
        if norm <= 0.0 {
            self.share = 0.0;
            return;
        }
        let step = self.share * float(goal.saturating_sub(value.bound).max(1)) / norm;
        for (v, d) in self.at.iter_mut().zip(&self.direction) {
            *v = (*v + step * d).max(0.0);
        }
    }
}
