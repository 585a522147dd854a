//! `spread`: the guests S run in pairwise different places P (hosts, racks, …).
//!
//! - (spread) Σ_{g∈S} Σ_{h∈p} `x[g,h]` ≤ 1 for every place p∈P
//! - where p is one host h, the right-hand side is `y[h]`: the same integer points, a tighter LP.

use std::collections::BTreeMap;

use good_lp::Constraint;

use crate::grid::Grid;
use crate::model::Sum;

pub(crate) fn rows(grid: &Grid, guests: &[usize], place: &[usize], rows: &mut Vec<Constraint>) {
    let mut hosts_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (h, p) in place.iter().enumerate() {
        hosts_of.entry(*p).or_default().push(h);
    }
    for hosts in hosts_of.values() {
        let mut sum = Sum::new();
        for g in guests {
            for h in hosts {
                sum.add(1, grid.x(*g, *h));
            }
        }
        if sum.is_settled() {
            continue;
        }
        if let [only] = hosts.as_slice() {
            sum.add(-1, grid.y(*only));
            rows.push(sum.at_most(0));
        } else {
            rows.push(sum.at_most(1));
        }
    }
}

pub(crate) fn holds(guests: &[usize], place: &[usize], placement: &[usize]) -> bool {
    let mut taken: Vec<usize> = guests.iter().map(|g| place[placement[*g]]).collect();
    taken.sort_unstable();
    taken.windows(2).all(|w| w[0] != w[1])
}
