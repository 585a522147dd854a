//! The second checker of a packed instance: alike rooms, items that must each be in one. It adds up
//! what each room holds, and proves the bound again from the items' weights (`certificate/proof.rs`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::certificate::{Piece, Room, prove};
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
    let mut like: BTreeMap<(&[u64], u64), u64> = BTreeMap::new();
    for (item, weight) in items.iter().zip(&stated.weights) {
        *like.entry((item, *weight)).or_default() += 1;
    }
    let weighed = like.into_iter().filter(|((_, weight), _)| *weight > 0);
    let pieces: Vec<Piece> = weighed
        .map(|((need, weight), count)| Piece {
            need: need.to_vec(),
            count,
            weight,
            apart: Vec::new(),
        })
        .collect();
    let rooms = [Room {
        room: room.to_vec(),
        cost: 1,
        count: u64::try_from(items.len()).unwrap_or(u64::MAX),
        most: stated.most,
        always: false,
        takes: None,
    }];
    match prove(&pieces, &rooms, &mut steps) {
        Ok(Some(least)) if least.hosts < u128::from(stated.bound) => {
            let (claimed, proven) = (stated.bound, least.hosts);
            let detail = format!("{claimed} rooms at least are claimed, {proven} are proven");
            found.push(violation("bound", detail));
        }
        // Each item fits a room of its own, or no packing is right.
        Ok(_) => {}
        Err(refusal) => found.push(violation("most", refusal.to_string())),
    }
    found
}
