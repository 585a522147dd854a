//! `spare`: the hosts in use keep room free.

use crate::problem::Problem;

/// The hosts in use for a placement.
#[must_use]
pub fn in_use(p: &Problem, placement: &[usize]) -> Option<Vec<usize>> {
    let mut used: Vec<usize> = placement.to_vec();
    used.extend((0..p.hosts.len()).filter(|h| p.hosts.get(*h).is_some_and(|s| s.always)));
    used.sort_unstable();
    used.dedup();
    Some(used)
}
