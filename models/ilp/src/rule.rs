//! The policy's rules, one a file. A rule about single guests is folded into the hosts that they
//! may take (`fence.rs`, `ban.rs`, `pin.rs`); one about several is encoded as rows of a formulation
//! (`spread.rs`, `gather.rs`, [`spare`], `max_moves.rs`), each beside the integer test that an answer
//! must pass. The judge of finished plans is [`vmpack_domain::check`] and shares no code with this.

pub(crate) mod ban;
pub(crate) mod fence;
pub(crate) mod gather;
pub(crate) mod max_moves;
pub(crate) mod pin;
pub mod spare;
pub(crate) mod spread;

use std::sync::Arc;

use good_lp::Constraint;

use crate::grid::Grid;
use crate::model::Columns;
use crate::problem::{GroupKind, Problem};

/// Which hosts each guest may take, and what took the others away.
pub(crate) struct Choice {
    /// The hosts that take guests at all, and the same as a list.
    open: Vec<bool>,
    all: Arc<[usize]>,
    /// `may[g][h]`, of guests that may not take all of these.
    may: Vec<Option<Vec<bool>>>,
    taken_by: Vec<Vec<String>>,
}

impl Choice {
    /// So many guests, each with all hosts that are open.
    pub(crate) fn new(open: Vec<bool>, guests: usize) -> Self {
        Self {
            all: (0..open.len()).filter(|h| open[*h]).collect(),
            open,
            may: vec![None; guests],
            taken_by: vec![Vec::new(); guests],
        }
    }
    /// Which of all hosts are in a list.
    pub(crate) fn among(&self, hosts: &[usize]) -> Vec<bool> {
        let mut among = vec![false; self.open.len()];
        hosts.iter().for_each(|h| among[*h] = true);
        among
    }
    /// Leaves a guest only the hosts for which `keep` holds, because of `why`.
    pub(crate) fn keep(
        &mut self,
        guest: usize,
        why: impl Into<String>,
        keep: impl Fn(usize) -> bool,
    ) {
        let row = self.may[guest].get_or_insert_with(|| self.open.clone());
        for (h, ok) in row.iter_mut().enumerate() {
            *ok = *ok && keep(h);
        }
        self.taken_by[guest].push(why.into());
    }
    /// The hosts left to a guest, ascending.
    pub(crate) fn left(&self, guest: usize) -> Arc<[usize]> {
        match &self.may[guest] {
            None => Arc::clone(&self.all),
            Some(row) => (0..row.len()).filter(|h| row[*h]).collect(),
        }
    }
    /// What took hosts away from a guest, in the order in which it was said.
    pub(crate) fn taken_by(&self, guest: usize) -> &[String] {
        &self.taken_by[guest]
    }
}

/// The rows of every group rule over the guests and hosts of a grid.
pub(crate) fn rows(p: &Problem, grid: &Grid, columns: &mut Columns) -> Vec<Constraint> {
    let mut rows = Vec::new();
    for rule in &p.rules {
        match &rule.kind {
            GroupKind::Spread { guests, place } => spread::rows(grid, guests, place, &mut rows),
            GroupKind::Gather { guests, place } => {
                gather::rows(grid, guests, place, columns, &mut rows);
            }
            GroupKind::Spare { amount } => spare::rows(p, grid, amount, &mut rows),
            GroupKind::MaxMoves { guests, moves } => {
                max_moves::rows(p, grid, guests, *moves, &mut rows);
            }
        }
    }
    rows
}

/// Whether a placement keeps every rule and the rooms: each guest on a host that it may take, no
/// host above its room in any resource, every group rule. Integers only.
#[must_use]
pub fn holds(p: &Problem, placement: &[usize]) -> bool {
    if placement.len() != p.guests.len() {
        return false;
    }
    let mut load = vec![p.nothing(); p.hosts.len()];
    for (guest, host) in p.guests.iter().zip(placement) {
        if guest.allowed.binary_search(host).is_err() {
            return false;
        }
        for (sum, need) in load[*host].iter_mut().zip(&guest.need) {
            *sum += need;
        }
    }
    if !load.iter().zip(&p.hosts).all(|(l, h)| p.fits(l, &h.room)) {
        return false;
    }
    let grouped = p.rules.iter().all(|rule| match &rule.kind {
        GroupKind::Spread { guests, place } => spread::holds(guests, place, placement),
        GroupKind::Gather { guests, place } => gather::holds(guests, place, placement),
        GroupKind::Spare { .. } => true,
        GroupKind::MaxMoves { guests, moves } => max_moves::holds(p, guests, *moves, placement),
    });
    grouped && spare::in_use(p, placement).is_some()
}
