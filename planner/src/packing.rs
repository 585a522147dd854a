//! Vector packing instances as they are published: alike hosts, items that wait. The same stage 1
//! that plans a cluster packs them, so a benchmark measures the product.

mod format;

pub use format::{Format, FormatError, read, read_current};

use std::sync::Arc;

use vmpack_domain::Policy;
use vmpack_domain::check::packing::{PackingCase, PackingCertificate, Pair};
use vmpack_ilp::bound::{self, Certified};
use vmpack_ilp::pattern::Weights;
use vmpack_ilp::pattern::tree::{Branched, Side};
use vmpack_ilp::problem::{Amounts, GuestItem, HostSlot, Problem};

use crate::assemble::{agreed, unsigned};
use crate::effort::Effort;
use crate::instance::Instance;
use crate::moves;
use crate::pack::{self, Answer};
use crate::search::{Search, Step};

/// A packing instance: the least number of hosts of that room is sought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packing {
    /// Room of every host, one amount for each resource, in the instance's own units.
    pub room: Vec<i64>,
    /// Needs, one amount for each resource; none exceeds the room.
    pub items: Vec<Vec<i64>>,
}

/// Thousandths of the time for the fewest hosts, where moves are wanted too: its last part seldom finds fewer.
const FEWEST: u64 = 300;
/// A host's cost, in thousandths.
const COST: i64 = 1000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The host of each item, by numbers from 0.
    pub at: Vec<usize>,
    /// How many hosts are used.
    pub hosts: usize,
    /// Nothing uses fewer.
    pub bound: usize,
    /// Which method found the bound.
    pub origin: String,
    /// The best bound that weights prove.
    pub certified: Option<Certified>,
    /// What is proven by cases.
    pub branched: Option<Branched>,
}

/// The cheapest moves found to a packing on so many hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// How many hosts are used.
    pub hosts: usize,
    /// The items that change their host.
    pub moves: usize,
    /// Σ of their memory.
    pub memory: i64,
    /// No packing on so many hosts moves less.
    pub bound: i64,
    /// Which method found that bound.
    pub origin: String,
}

impl Packed {
    /// Whether fewer hosts are impossible.
    #[must_use]
    pub fn is_optimal(&self) -> bool {
        self.hosts <= self.bound
    }

    /// The packing and the proof of the best bound that weights prove, of the instance with that
    /// digest.
    #[must_use]
    pub fn certificate(&self, digest: &str) -> PackingCertificate {
        let whole = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let mut certificate = PackingCertificate {
            instance: digest.to_owned(),
            hosts: whole(self.hosts),
            at: self.at.iter().map(|at| whole(*at)).collect(),
            bound: 0,
            origin: self.origin.clone(),
            weights: vec![0; self.at.len()],
            most: 0,
            cases: Vec::new(),
        };
        let by_all = self.certified.as_ref().map_or(0, |c| c.hosts);
        let cases = self.branched.as_ref().filter(|b| b.hosts > by_all);
        let cases = cases.and_then(|b| Some((b, cases_of(b, self.at.len())?)));
        if let Some((branched, cases)) = cases {
            certificate.bound = whole(branched.hosts);
            certificate.origin.clone_from(&branched.origin);
            certificate.cases = cases;
        } else if let Some(certified) = &self.certified
            && let Some((weights, most)) = weighed(&certified.parts, self.at.len())
        {
            certificate.bound = whole(certified.hosts);
            certificate.origin.clone_from(&certified.origin);
            (certificate.weights, certificate.most) = (weights, most);
        }
        certificate
    }
}

/// What each of so many items weighs, and those in one host at most. All hosts are alike and take all items:
/// they are not parted.
fn weighed(parts: &[Weights], items: usize) -> Option<(Vec<u64>, u64)> {
    let [weights] = parts else {
        return None;
    };
    let mut each = vec![0; items];
    // Items that are together weigh as one.
    for (group, weight) in &weights.guests {
        if let Some(first) = group.first() {
            each[*first] = unsigned(*weight);
        }
    }
    let most = weights.hosts.iter().map(|(_, most)| unsigned(*most)).max();
    Some((each, most.unwrap_or(0)))
}

/// The cases in the items' numbers; nothing where they are not of pairs alone.
fn cases_of(branched: &Branched, items: usize) -> Option<Vec<PackingCase>> {
    let pair = |side: &Side| match side {
        Side::Apart(a, b) => Some(Pair::Apart([*a, *b])),
        Side::Together(a, b) => Some(Pair::Together([*a, *b])),
        Side::AtMost(..) | Side::AtLeast(..) => None,
    };
    let case = |(sides, parts): &(Vec<Side>, Vec<Weights>)| {
        let (weights, most) = weighed(parts, items)?;
        Some(PackingCase {
            given: sides.iter().map(pair).collect::<Option<_>>()?,
            weights,
            most,
        })
    };
    branched.leaves.iter().map(case).collect()
}

impl Packing {
    /// Packs within the limits of the policy, of which nothing else counts here.
    pub fn pack(&self, policy: &Policy, search: &mut Search) -> Packed {
        let first = self.first_fit();
        let problem = self.problem(first.iter().max().map_or(0, |most| most + 1), None);
        let mut bound = bound::hosts(&problem);
        (search.report)(Step::Bound {
            cost: bound.cost,
            origin: bound.origin.clone(),
        });
        let mut at = first;
        if let Ok(inst) = Instance::build(&problem) {
            let mut effort = Effort::share(search, policy, 1000);
            let answer = pack::pack(&inst, &mut bound, policy, &mut effort, search.report);
            if let Answer::Found(found) = answer {
                at = inst.placement(&found.at);
            }
        }
        let mut used: Vec<usize> = at.clone();
        used.sort_unstable();
        used.dedup();
        let cost = COST * i64::try_from(used.len()).unwrap_or(i64::MAX / COST);
        let bound = agreed(bound, cost, used.len());
        Packed {
            at,
            hosts: used.len(),
            bound: bound.hosts,
            origin: bound.origin,
            certified: bound.certified,
            branched: bound.branched,
        }
    }

    /// Packs items that run on hosts already (numbers from 0, one for each item) with the least memory
    /// moved, on at most `more` hosts above the fewest found. The second resource is the memory, or
    /// the only one. `None` when no packing was found on the hosts there are.
    pub fn consolidate(
        &self,
        current: &[usize],
        more: usize,
        policy: &Policy,
        search: &mut Search,
    ) -> Option<(Packed, Moved)> {
        let there = current.iter().max().map_or(0, |most| most + 1);
        let problem = self.problem(there, Some(current));
        let mut bound = bound::hosts(&problem);
        let inst = Instance::build(&problem).ok()?;
        (search.report)(Step::Phase("pack"));
        let mut effort = Effort::share(search, policy, FEWEST);
        let answer = pack::pack(&inst, &mut bound, policy, &mut effort, search.report);
        let Answer::Found(fewest) = answer else {
            return None;
        };
        (search.report)(Step::Phase("moves"));
        let bound = agreed(bound, fewest.cost, fewest.awake.len());
        let packed = Packed {
            at: inst.placement(&fewest.at),
            hosts: fewest.awake.len(),
            bound: bound.hosts,
            origin: bound.origin,
            certified: bound.certified,
            branched: bound.branched,
        };
        let mut effort = Effort::share(search, policy, 1000);
        let budget = fewest.cost + COST * i64::try_from(more).unwrap_or(0);
        let (found, least) =
            moves::cheapest(&inst, fewest, budget, policy, &mut effort, search.report);
        let at = inst.placement(&found.at);
        let moved = Moved {
            hosts: found.awake.len(),
            moves: at.iter().zip(current).filter(|(a, c)| a != c).count(),
            memory: inst.moved(&found.at),
            bound: least.least,
            origin: least.origin,
        };
        Some((packed, moved))
    }

    /// Each item, the largest by the sum of its shares first, to the first host with room for it.
    fn first_fit(&self) -> Vec<usize> {
        let size = |item: &[i64]| -> f64 {
            let shares = item.iter().zip(&self.room);
            shares.map(|(n, r)| *n as f64 / (*r).max(1) as f64).sum()
        };
        let mut order: Vec<usize> = (0..self.items.len()).collect();
        order.sort_by(|a, b| {
            size(&self.items[*b])
                .total_cmp(&size(&self.items[*a]))
                .then(a.cmp(b))
        });
        let mut left: Vec<Vec<i64>> = Vec::new();
        let mut at = vec![0; self.items.len()];
        for i in order {
            let item = &self.items[i];
            let fits = |left: &Vec<i64>| left.iter().zip(item).all(|(l, n)| n <= l);
            let host = left.iter().position(fits).unwrap_or_else(|| {
                left.push(self.room.clone());
                left.len() - 1
            });
            left[host].iter_mut().zip(item).for_each(|(l, n)| *l -= n);
            at[i] = host;
        }
        at
    }

    /// The instance on so many hosts, its items waiting or where they run.
    pub(crate) fn problem(&self, hosts: usize, current: Option<&[usize]>) -> Problem {
        let all: Arc<[usize]> = (0..hosts).collect();
        let room: Amounts = self.room.iter().copied().collect();
        Problem {
            resources: (1..=self.room.len())
                .map(|r| format!("resource {r}"))
                .collect(),
            hosts: (1..=hosts)
                .map(|h| HostSlot {
                    name: name("host", h),
                    cost: COST,
                    room: room.clone(),
                    unraised: None,
                    always: false,
                    asleep: false,
                    open: true,
                })
                .collect(),
            guests: self
                .items
                .iter()
                .enumerate()
                .map(|(i, item)| GuestItem {
                    name: name("item", i + 1),
                    need: item.iter().copied().collect(),
                    memory: item.get(1).or(item.first()).copied().unwrap_or(0),
                    price: item.get(1).or(item.first()).copied().unwrap_or(0),
                    current: current.and_then(|c| c.get(i)).copied(),
                    allowed: Arc::clone(&all),
                })
                .collect(),
            rules: Vec::new(),
            exempt: 0,
            warnings: Vec::new(),
        }
    }
}

fn name<T: std::str::FromStr>(what: &str, number: usize) -> T
where
    T::Err: std::fmt::Debug,
{
    let name = format!("{what}-{number}").parse();
    name.expect("a word and a number make a name")
}

#[cfg(test)]
mod tests;
