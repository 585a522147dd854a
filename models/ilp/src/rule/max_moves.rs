//! `max-moves`: at most n of the guests S leave the host where they run. A guest that waits for a
//! host is started, not moved, and does not count.
//!
//! - (moves) Σ_{g∈S, g runs somewhere} (1 − `x[g,current[g]]`) ≤ n

use good_lp::Constraint;

use crate::grid::Grid;
use crate::model::Sum;
use crate::problem::Problem;

pub(crate) fn rows(
    p: &Problem,
    grid: &Grid,
    guests: &[usize],
    moves: usize,
    rows: &mut Vec<Constraint>,
) {
    let mut stay = Sum::new();
    let mut placed = 0usize;
    for g in guests {
        if let Some(here) = p.guests[*g].current {
            placed += 1;
            stay.add(1, grid.x(*g, here));
        }
    }
    if placed > moves {
        let least = i64::try_from(placed - moves).unwrap_or(i64::MAX);
        rows.push(stay.at_least(least));
    }
}

pub(crate) fn holds(p: &Problem, guests: &[usize], moves: usize, placement: &[usize]) -> bool {
    let left = guests
        .iter()
        .filter(|g| p.guests[**g].current.is_some_and(|h| h != placement[**g]));
    left.count() <= moves
}
