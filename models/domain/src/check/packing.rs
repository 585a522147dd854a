//! The second checker of a packed instance: alike rooms, items that must each be in one. It adds up
//! what each room holds, and proves the bound again from the items' weights (`certificate/proof.rs`), in
//! every case where there are cases.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::certificate::{Piece, Refusal, Room, prove, root, whole};
use super::{Violation, violation};

/// A packing and the proof of a bound on its rooms, as a file holds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackingCertificate {
    /// The digest of the instance's text.
    pub instance: String,
    /// How many rooms are used.
    pub hosts: u64,
    /// The room of each item, by numbers from 0.
    pub at: Vec<u64>,
    /// No packing uses fewer rooms.
    pub bound: u64,
    /// How the bound was found; nothing rests on it.
    pub origin: String,
    /// What each item weighs.
    pub weights: Vec<u64>,
    /// Items that fit into a room together weigh at most so much.
    pub most: u64,
    /// The bound by cases, where that proves more: the leaves of a tree, each branch of which has leaves
    /// on both sides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<PackingCase>,
}

/// The packings in which so much is given, and what proves the bound of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PackingCase {
    /// What holds in this case, from the root of the tree on.
    pub given: Vec<Pair>,
    /// What each item weighs in it.
    pub weights: Vec<u64>,
    /// Items that fit into a room together in it weigh at most so much.
    pub most: u64,
}

/// One side of a branch: of two items, by numbers from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pair {
    /// They share no room.
    Apart([usize; 2]),
    /// They share a room.
    Together([usize; 2]),
}

impl Pair {
    fn opposite(&self) -> Self {
        match self {
            Self::Apart(of) => Self::Together(*of),
            Self::Together(of) => Self::Apart(*of),
        }
    }

    fn items(&self) -> &[usize; 2] {
        let (Self::Apart(of) | Self::Together(of)) = self;
        of
    }
}

/// What is wrong with a certificate of the instance with that digest, rooms and items. A bound that is
/// not proven within so many steps (see [`prove`]) is refused.
#[must_use]
pub fn packing(
    (digest, room, items): (&str, &[u64], &[Vec<u64>]),
    certificate: &PackingCertificate,
    mut steps: u64,
) -> Vec<Violation> {
    let stated = certificate;
    if stated.instance != digest {
        let other = &stated.instance;
        let detail = format!("the certificate speaks of another instance ({other}, here {digest})");
        return vec![violation("instance", detail)];
    }
    for (what, given) in [
        ("rooms", stated.at.len()),
        ("weights", stated.weights.len()),
    ] {
        if given != items.len() {
            let detail = format!("{given} {what} for {} items", items.len());
            return vec![violation("certificate", detail)];
        }
    }
    let mut found = Vec::new();
    let mut loads: BTreeMap<u64, Vec<u128>> = BTreeMap::new();
    for (item, at) in items.iter().zip(&stated.at) {
        let load = loads.entry(*at).or_insert_with(|| vec![0; room.len()]);
        for (sum, need) in load.iter_mut().zip(item) {
            *sum += u128::from(*need);
        }
    }
    for (at, load) in &loads {
        for (r, (load, room)) in load.iter().zip(room).enumerate() {
            if *load > u128::from(*room) {
                let detail = format!("room {at} holds {load} of {room} of resource {}", r + 1);
                found.push(violation("capacity", detail));
            }
        }
    }
    let used = u64::try_from(loads.len()).unwrap_or(u64::MAX);
    if used > stated.hosts {
        let detail = format!("{used} rooms are used, {} are claimed", stated.hosts);
        found.push(violation("hosts", detail));
    }
    if let Err(wrong) = proven(room, items, stated, &mut steps) {
        found.push(wrong);
    }
    found
}

/// That the bound is proven, by all items or by cases.
///
/// # Errors
/// What is not.
fn proven(
    room: &[u64],
    items: &[Vec<u64>],
    stated: &PackingCertificate,
    steps: &mut u64,
) -> Result<(), Violation> {
    let bound = u128::from(stated.bound);
    let by_all = least(room, items, &stated.weights, stated.most, &[], steps)
        .map_err(|refusal| violation("most", refusal.to_string()))?;
    // Each item fits a room of its own, or no packing is right.
    let Some(by_all) = by_all.filter(|least| *least < bound) else {
        return Ok(());
    };
    let paths: Vec<&[Pair]> = stated.cases.iter().map(|c| c.given.as_slice()).collect();
    if !paths.is_empty() {
        whole(&paths, Pair::opposite).map_err(|why| violation("cases", why))?;
    }
    let mut by_cases = stated.cases.is_empty().then_some(by_all);
    for (number, case) in stated.cases.iter().enumerate() {
        let named = |why: String| violation("cases", format!("leaf {}: {why}", number + 1));
        let number_of = case.weights.len();
        if number_of != items.len() {
            return Err(named(format!(
                "{number_of} weights for {} items",
                items.len()
            )));
        }
        let items_of = case.given.iter().flat_map(Pair::items);
        if let Some(beyond) = items_of.copied().find(|i| *i >= items.len()) {
            return Err(named(format!("item {beyond} of {}", items.len())));
        }
        let found = least(room, items, &case.weights, case.most, &case.given, steps)
            .map_err(|refusal| named(refusal.to_string()))?;
        if let Some(found) = found {
            by_cases = Some(by_cases.map_or(found, |least| least.min(found)));
        }
    }
    match by_cases.map(|found| found.max(by_all)) {
        Some(proven) if proven < bound => {
            let detail = format!("{bound} rooms at least are claimed, {proven} are proven");
            Err(violation("bound", detail))
        }
        _ => Ok(()),
    }
}

/// The rooms that are needed where so much is given; `None` where there is no packing.
fn least(
    room: &[u64],
    items: &[Vec<u64>],
    weights: &[u64],
    most: u64,
    given: &[Pair],
    steps: &mut u64,
) -> Result<Option<u128>, Refusal> {
    let mut together: Vec<usize> = (0..items.len()).collect();
    let mut apart: Vec<Vec<usize>> = vec![Vec::new(); items.len()];
    for (number, pair) in given.iter().enumerate() {
        match pair {
            Pair::Apart(of) => of.iter().for_each(|i| apart[*i].push(number)),
            Pair::Together([a, b]) => {
                let (a, b) = (root(&together, *a), root(&together, *b));
                together[a.max(b)] = a.min(b);
            }
        }
    }
    let mut groups: BTreeMap<usize, (Vec<u64>, u64, BTreeSet<usize>)> = BTreeMap::new();
    for (i, (item, weight)) in items.iter().zip(weights).enumerate() {
        let empty = || (vec![0; item.len()], 0, BTreeSet::new());
        let (need, sum, sets) = groups.entry(root(&together, i)).or_insert_with(empty);
        for (all, one) in need.iter_mut().zip(item) {
            *all = all.saturating_add(*one);
        }
        let Some(weighed) = sum.checked_add(*weight) else {
            return Err(Refusal::Malformed("the weights sum to 2^64 or more"));
        };
        *sum = weighed;
        sets.extend(&apart[i]);
    }
    let mut like: BTreeMap<_, u64> = BTreeMap::new();
    for group in groups.into_values().filter(|(_, weight, _)| *weight > 0) {
        *like.entry(group).or_default() += 1;
    }
    let pieces: Vec<Piece> = like
        .into_iter()
        .map(|((need, weight, sets), count)| Piece {
            need,
            count,
            weight,
            apart: sets.into_iter().collect(),
        })
        .collect();
    let rooms = [Room {
        room: room.to_vec(),
        cost: 1,
        count: u64::try_from(items.len()).unwrap_or(u64::MAX),
        most,
        always: false,
        takes: None,
    }];
    Ok(prove(&pieces, &rooms, steps)?.map(|least| least.hosts))
}
