//! A bound on rooms from weights of pieces, proven in integers: no room holds more than it is said
//! to, and so many rooms are needed until what they hold reaches the weight of all pieces.

use std::collections::BTreeMap;
use std::fmt;

use super::cover::{self, Offer};
use super::fill::{self, Fill};

/// Like pieces, each of which must be in some room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What one takes, per resource.
    pub need: Vec<u64>,
    /// How many there are.
    pub count: u64,
    /// What one weighs.
    pub weight: u64,
    /// Sets that the pieces belong to; no two pieces of one set are in one room, nor two like ones
    /// that belong to any.
    pub apart: Vec<usize>,
}

/// Like rooms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// What one has, per resource.
    pub room: Vec<u64>,
    /// What one costs when it is in use.
    pub cost: u64,
    /// How many there are.
    pub count: u64,
    /// Pieces in one weigh at most so much together: to be proven.
    pub most: u64,
    /// In use whatever happens.
    pub always: bool,
    /// Which pieces may be there; all of them without a list.
    pub takes: Option<Vec<usize>>,
}

/// What no placement undercuts: the cost of the rooms in use and, apart from it, their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Least {
    /// Σ cost.
    pub cost: u128,
    /// How many.
    pub hosts: u128,
}

/// Why nothing was proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A room holds more than it is said to.
    Heavier {
        /// Its index.
        room: usize,
        /// Pieces that fit there together, by index, and how many of each.
        pieces: Vec<(usize, u64)>,
        /// What they weigh.
        weight: u64,
    },
    /// The steps ended before this room was proven.
    Unfinished {
        /// Its index.
        room: usize,
    },
    /// A needs and rooms list different resources, or the weights sum to 2^64 or more.
    Malformed(&'static str),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Heavier { room, weight, .. } => {
                write!(f, "room {room} can hold pieces that weigh {weight}")
            }
            Self::Unfinished { room } => {
                write!(f, "room {room} is not proven within the steps")
            }
            Self::Malformed(what) => f.write_str(what),
        }
    }
}

/// Proves a lower bound on the rooms in use. `None` says that there is no placement at all: all
/// rooms together hold less than the pieces weigh. `steps` is counted down by the work done; a unit
/// is one label of the search or a like amount of table.
///
/// # Errors
/// The first room that holds more than it is said to, or for which the steps do not suffice.
pub fn prove(pieces: &[Piece], rooms: &[Room], steps: &mut u64) -> Result<Option<Least>, Refusal> {
    let resources = rooms.first().map_or(0, |r| r.room.len());
    let of_rooms = rooms.iter().map(|r| r.room.len());
    if !rooms.is_empty()
        && pieces
            .iter()
            .map(|p| p.need.len())
            .chain(of_rooms)
            .any(|len| len != resources)
    {
        return Err(Refusal::Malformed(
            "needs and rooms are of different resources",
        ));
    }
    let demand: u128 = pieces
        .iter()
        .map(|p| u128::from(p.weight) * u128::from(p.count))
        .sum();
    if demand > u128::from(u64::MAX) {
        return Err(Refusal::Malformed("the weights sum to 2^64 or more"));
    }
    // Rooms that differ in cost only are looked at once.
    let mut proven: BTreeMap<(&[u64], Option<&[usize]>), u64> = BTreeMap::new();
    for (r, room) in rooms.iter().enumerate().filter(|(_, r)| r.count > 0) {
        let key = (room.room.as_slice(), room.takes.as_deref());
        if proven.get(&key).is_some_and(|most| *most <= room.most) {
            continue;
        }
        match fill::at_most(pieces, room, steps) {
            Fill::AtMost => proven.insert(key, room.most),
            Fill::Heavier { pieces, weight } => {
                return Err(Refusal::Heavier {
                    room: r,
                    pieces,
                    weight,
                });
            }
            Fill::Unknown => return Err(Refusal::Unfinished { room: r }),
        };
    }
    let offers: Vec<Offer> = rooms
        .iter()
        .map(|r| Offer {
            most: r.most,
            cost: r.cost,
            count: r.count,
            always: r.always,
        })
        .collect();
    Ok(cover::least(&offers, demand))
}
