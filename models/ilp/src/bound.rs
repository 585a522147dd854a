//! What no placement can undercut, in integers only.
//!
//! Every bound on the hosts in use comes down to one question, asked of many weights: which hosts
//! must be in use so that Σ `weight[h]` over them reaches a demand (`bound/cover.rs`). A bound may
//! forget rules, never invent any:
//! - by size: volume, reachable sums, dual-feasible functions, per resource and on sums of two
//!   resources (`bound/size.rs`)
//! - by guests of which no two share a host (`bound/clique.rs`)
//! - by the places that guests apart need (`bound/place.rs`)
//! - by a limit on moves: a host that empties moves all its guests (`bound/leave.rs`)
//! - the same on parts of the cluster that share no guest, or to which guests are fenced, added up

mod clique;
pub(crate) mod cover;
pub(crate) mod leave;
mod part;
mod place;
mod size;

pub use crate::assignment::cost_unit;
pub(crate) use size::reach;

use part::Part;

use crate::model::ceil_div;
use crate::pattern::Weights;
use crate::pattern::tree::Branched;
use crate::problem::Problem;

/// A lower bound on the hosts in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// On their cost, in thousandths of a host.
    pub cost: i64,
    /// On their number.
    pub hosts: usize,
    /// Which method found it.
    pub origin: String,
    /// The best bound on the cost that weights prove, if any does.
    pub certified: Option<Certified>,
    /// The best bound on the number that weights prove.
    pub counted: Option<Certified>,
    /// What is proven by cases.
    pub branched: Option<Branched>,
}

impl Bound {
    /// Keeps what weights prove where it is better than what is known.
    pub fn certify(&mut self, found: &Certified) {
        if self.certified.as_ref().map(Certified::by_cost) < Some(found.by_cost()) {
            self.certified = Some(found.clone());
        }
        if self.counted.as_ref().map(Certified::by_number) < Some(found.by_number()) {
            self.counted = Some(found.clone());
        }
    }
}

/// A bound that rests on weights alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// On the cost, in thousandths of a host, and on the number of hosts.
    pub cost: i64,
    /// On the number of hosts.
    pub hosts: usize,
    /// Which method found it.
    pub origin: String,
    /// Weights for disjoint sets of hosts; their bounds add up.
    pub parts: Vec<Weights>,
}

impl Certified {
    fn by_cost(&self) -> (i64, usize) {
        (self.cost, self.hosts)
    }

    fn by_number(&self) -> (usize, i64) {
        (self.hosts, self.cost)
    }
}

/// A lower bound on what moving guests costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovesBound {
    /// In the unit of [`crate::problem::GuestItem::price`]: MiB, or millionths of a price.
    pub least: i64,
    /// Which method found it.
    pub origin: String,
}

/// A bound on the hosts in use of every placement, on their cost and apart from it on their number.
/// When it proves that there is no placement at all, it exceeds all hosts together.
#[must_use]
pub fn hosts(p: &Problem) -> Bound {
    let whole = Part::whole(p);
    let unit = crate::assignment::cost_unit(p);
    let mut best = Best::default();
    best.offer_weighed(
        whole.forced(),
        || "hosts that are in use whatever happens".into(),
        || Some(Vec::new()),
    );
    size::bound(p, &whole, &mut best);
    size::spare(p, &whole, &mut best);
    clique::bound(p, &whole, &mut best);
    place::bound(p, &whole, &mut best);
    leave::hosts(p, &whole, &mut best);
    part::sums(p, &whole, &mut best);
    let whole_units = |cost: i64| ceil_div(cost, unit).saturating_mul(unit);
    let rounded = |c: Certified| Certified {
        cost: whole_units(c.cost),
        ..c
    };
    match best.found {
        Some(found) => Bound {
            cost: whole_units(found.cost),
            hosts: found.hosts,
            origin: best.origin,
            certified: best.certified.map(rounded),
            counted: best.counted.map(rounded),
            branched: None,
        },
        None => Bound {
            cost: whole.all().cost.saturating_add(unit),
            hosts: whole.all().hosts + 1,
            origin: best.origin,
            certified: None,
            counted: None,
            branched: None,
        },
    }
}

/// A bound on what moving guests costs in every placement whose hosts in use cost at most `cost`, in
/// thousandths of a host. Meaningless, though harmless, when there is no such placement.
#[must_use]
pub fn moves(p: &Problem, cost: i64) -> MovesBound {
    leave::Moves::new(p, |g| p.guests[g].price).at(cost)
}

/// As [`moves`], for each of several costs.
#[must_use]
pub fn moves_each(p: &Problem, costs: &[i64]) -> Vec<MovesBound> {
    let moves = leave::Moves::new(p, |g| p.guests[g].price);
    costs.iter().map(|c| moves.at(*c)).collect()
}

/// As [`moves`], on the memory moved, in MiB.
#[must_use]
pub fn memory_moved(p: &Problem, cost: i64) -> MovesBound {
    leave::Moves::new(p, |g| p.guests[g].memory).at(cost)
}

/// How many hosts and at what cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Least {
    pub(crate) cost: i64,
    pub(crate) hosts: usize,
}

/// The best bound so far; `None` once it is proven that there is no placement.
struct Best {
    found: Option<Least>,
    /// Of the bound on the cost.
    origin: String,
    certified: Option<Certified>,
    counted: Option<Certified>,
}

impl Default for Best {
    fn default() -> Self {
        Self {
            found: Some(Least::default()),
            origin: "no host is needed".into(),
            certified: None,
            counted: None,
        }
    }
}

impl Best {
    /// As [`Best::offer`], of a bound that rests on weights; `None` where they are out of range.
    fn offer_weighed(
        &mut self,
        least: Option<Least>,
        origin: impl Fn() -> String,
        weights: impl FnOnce() -> Option<Vec<Weights>>,
    ) {
        let Some(Least { cost, hosts }) = least else {
            return self.offer(least, origin);
        };
        let dearer = self.certified.as_ref().map(Certified::by_cost) < Some((cost, hosts));
        let more = self.counted.as_ref().map(Certified::by_number) < Some((hosts, cost));
        if (dearer || more)
            && let Some(parts) = weights()
        {
            let found = Certified {
                cost,
                hosts,
                origin: origin(),
                parts,
            };
            if more {
                self.counted = Some(found.clone());
            }
            if dearer {
                self.certified = Some(found);
            }
        }
        self.offer(least, origin);
    }

    /// Takes over what is better in `least`; `None` says that there is no placement.
    fn offer(&mut self, least: Option<Least>, origin: impl FnOnce() -> String) {
        match (&mut self.found, least) {
            (None, _) => {}
            (found, None) => {
                *found = None;
                self.origin = format!("no placement exists: {}", origin());
            }
            (Some(best), Some(least)) => {
                if least.cost > best.cost || (least.cost == best.cost && least.hosts > best.hosts) {
                    self.origin = origin();
                }
                best.cost = best.cost.max(least.cost);
                best.hosts = best.hosts.max(least.hosts);
            }
        }
    }
}

#[cfg(test)]
mod tests;
