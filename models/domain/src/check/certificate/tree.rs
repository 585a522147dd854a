//! A bound by cases: the leaves of a tree whose branches leave no placement out. Each leaf is proven as a
//! certificate is, in the placements of its case (`choice.rs`), and the least of the leaves holds.
//!
//! Of two guests: in every placement they share a host or do not (Ryan and Foster 1981). Of some hosts: at
//! most so many are in use, or more.

use super::super::{Violation, World, violation};
use super::choice::Choices;
use super::{Least, larger, ruled, weighed_parts};
use crate::certificate::{Given, TreeLeaf};

/// What so many guests, hosts, rules and branches take of the steps, for what is looked up in a leaf.
fn looks(world: &World, given: usize) -> u64 {
    let (guests, hosts) = (world.cluster.guests.len(), world.cluster.hosts.len());
    let rules = world.policy.rules.len() + given;
    let pairs = guests.saturating_mul(hosts) + rules.saturating_mul(guests + hosts);
    u64::try_from(guests + hosts + pairs / 64 + 1).unwrap_or(u64::MAX)
}

/// The least of all leaves; `None` where each proves that there is no placement in its case.
///
/// # Errors
/// That the leaves are not those of a tree, or what is wrong with the first that is not proven.
pub(super) fn least(
    world: &World,
    leaves: &[TreeLeaf],
    steps: &mut u64,
) -> Result<Option<Least>, Vec<Violation>> {
    let paths: Vec<&[Given]> = leaves.iter().map(|l| l.given.as_slice()).collect();
    whole(&paths, Given::opposite).map_err(|why| vec![violation("tree", why)])?;
    let mut least: Option<Least> = None;
    for (number, leaf) in leaves.iter().enumerate() {
        let named = |found: Violation| Violation {
            detail: format!("leaf {}: {}", number + 1, found.detail),
            ..found
        };
        let Some(left) = steps.checked_sub(looks(world, leaf.given.len())) else {
            let detail = "it is not looked at within the steps";
            return Err(vec![named(violation("tree", detail.into()))]);
        };
        *steps = left;
        let choices = Choices::of(world, &leaf.given).map_err(|found| vec![named(found)])?;
        let weighed = weighed_parts(&choices, &leaf.parts, steps)
            .map_err(|found| found.into_iter().map(named).collect::<Vec<_>>())?;
        if let Some(proven) = larger(ruled::least(world, &choices), weighed) {
            let so_far = least.unwrap_or(proven);
            least = Some(Least {
                cost: so_far.cost.min(proven.cost),
                hosts: so_far.hosts.min(proven.hosts),
            });
        }
    }
    Ok(least)
}

/// That every placement is in the case of some leaf, of which these are the paths from the root.
///
/// # Errors
/// Where not.
pub(in crate::check) fn whole<S: PartialEq>(
    leaves: &[&[S]],
    opposite: impl Fn(&S) -> S,
) -> Result<(), String> {
    let mut open: Vec<(Vec<usize>, usize)> = vec![((0..leaves.len()).collect(), 0)];
    while let Some((group, depth)) = open.pop() {
        let Some(first) = group.first().copied() else {
            return Err("it has no leaves".into());
        };
        let Some(side) = leaves[first].get(depth) else {
            if let Some(other) = group.get(1) {
                return Err(beside(first, *other, depth));
            }
            continue;
        };
        let other_side = opposite(side);
        let (mut same, mut others) = (Vec::new(), Vec::new());
        for leaf in group {
            match leaves[leaf].get(depth) {
                Some(given) if given == side => same.push(leaf),
                Some(given) if *given == other_side => others.push(leaf),
                _ => return Err(beside(first, leaf, depth)),
            }
        }
        if others.is_empty() {
            return Err(format!(
                "branch {} of leaf {} has no leaf on its other side",
                depth + 1,
                first + 1
            ));
        }
        open.extend([(same, depth + 1), (others, depth + 1)]);
    }
    Ok(())
}

fn beside(first: usize, other: usize, depth: usize) -> String {
    format!(
        "leaves {} and {} are not on the sides of one branch, which is number {}",
        first + 1,
        other + 1,
        depth + 1
    )
}
