//! `gather`: the guests S run in one place of P.
//!
//! - `z[p]` ∈ {0,1}: the guests are in p
//! - (somewhere) Σ_p `z[p]` = 1
//! - (gathered) Σ_{h∈p} `x[g,h]` = `z[p]` for every g∈S, p∈P

use std::collections::BTreeMap;

use good_lp::Constraint;

use crate::grid::Grid;
use crate::model::{Columns, Sum, Term};

pub(crate) fn rows(
    grid: &Grid,
    guests: &[usize],
    place: &[usize],
    columns: &mut Columns,
    rows: &mut Vec<Constraint>,
) {
    let Some(first) = guests.first() else {
        return;
    };
    let mut hosts_of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (h, p) in place.iter().enumerate() {
        hosts_of.entry(*p).or_default().push(h);
    }
    let start = grid.start(*first).map(|h| place[h]);
    let mut somewhere = Sum::new();
    for (p, hosts) in &hosts_of {
        let z = Term::Open(columns.binary(start == Some(*p)));
        somewhere.add(1, z);
        for g in guests {
            let mut gathered = Sum::new();
            for h in hosts {
                gathered.add(1, grid.x(*g, *h));
            }
            gathered.add(-1, z);
            rows.push(gathered.at_most(0));
            rows.push(gathered.at_least(0));
        }
    }
    rows.push(somewhere.is_one());
}

pub(crate) fn holds(guests: &[usize], place: &[usize], placement: &[usize]) -> bool {
    let mut at = guests.iter().map(|g| place[placement[*g]]);
    let first = at.next();
    at.all(|p| Some(p) == first)
}
