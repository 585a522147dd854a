//! Branch and price: the pattern LP in cases, until no case has a placement cheaper than the best known.
//!
//! A branch says of two guests that they share a host or that they do not (Ryan and Foster 1981), or of hosts
//! that are alike that at most so many are in use, or more; which of them makes no difference, so it is the
//! first. So much is given as a rule of an ordinary problem, whose patterns keep it, and every placement is
//! in one of both. The least of the bounds of all leaves holds, each proven by weights of its own
//! ([`Tree::proven`]): what was proven of a parent holds in its children.
//!
//! The case of the least bound is branched first, of those the deepest (`branch.rs` solves and chooses).

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::Weights;
use super::branch::{self, Carried, Split};
use super::packing::Packing;
use crate::Limits;
use crate::bound::Certified;
use crate::problem::{GroupKind, GroupRule, Problem};

/// One side of a branch; guests and hosts by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// These two share no host.
    Apart(usize, usize),
    /// These two share a host.
    Together(usize, usize),
    /// At most so many of these hosts are in use.
    AtMost(usize, Arc<[usize]>),
    /// At least so many of these hosts are in use.
    AtLeast(usize, Arc<[usize]>),
}

/// A bound by cases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branched {
    /// On the cost, in thousandths of a host.
    pub cost: i64,
    /// On the number of hosts.
    pub hosts: usize,
    /// Which method found it, such as `branch and price, 12 leaves`.
    pub origin: String,
    /// What is given in each case, from the root on, and weights for disjoint sets of hosts.
    pub leaves: Vec<(Vec<Side>, Vec<Weights>)>,
}

/// A case.
struct Case {
    /// From the root on.
    given: Vec<Side>,
    cost: i64,
    hosts: usize,
    parts: Arc<Vec<Weights>>,
    then: Then,
}

/// What is to become of it.
enum Then {
    /// Its LP is to be solved, from these contents.
    Solve(Arc<Vec<Carried>>),
    /// It is to be branched.
    Branch(Split, Arc<Vec<Carried>>),
    /// These are its two sides.
    Branched([usize; 2]),
    /// Nothing more is to be had.
    Closed,
}

/// The cases so far.
pub struct Tree<'p> {
    problem: &'p Problem,
    /// Hosts that are alike, and in which of these sets each is.
    alike: Vec<Arc<[usize]>>,
    kind: Vec<usize>,
    cases: Vec<Case>,
    /// Cases to go on with: the least bound first, the deepest first, the newest first.
    open: BTreeSet<(i64, Reverse<usize>, Reverse<usize>)>,
    /// The least bound of those that are closed.
    closed: i64,
    /// Runs of the LP, and what is priced in the place of one.
    rounds: u64,
}

/// Each of so many cases dives for a packing, and of more each so many-th.
const OFTEN: usize = 8;
/// Cases at most: a certificate of so many leaves can still be proven again.
const MOST: usize = 1000;

impl<'p> Tree<'p> {
    /// All placements as one case, of which so much is proven; `known` is a placement.
    #[must_use]
    pub fn new(problem: &'p Problem, proven: Option<&Certified>, known: Option<&[usize]>) -> Self {
        let mut carried: Vec<Carried> = (0..problem.hosts.len()).map(|h| (h, Vec::new())).collect();
        for (g, h) in known.into_iter().flatten().enumerate() {
            carried[*h].1.push(g);
        }
        carried.retain(|(_, guests)| !guests.is_empty());
        let root = Case {
            given: Vec::new(),
            cost: proven.map_or(0, |c| c.cost),
            hosts: proven.map_or(0, |c| c.hosts),
            parts: Arc::new(proven.map(|c| c.parts.clone()).unwrap_or_default()),
            then: Then::Solve(Arc::new(carried)),
        };
        let classes = Packing::of(problem).hosts.into_iter().map(|k| k.members);
        let alike: Vec<Arc<[usize]>> = classes.map(Arc::from).collect();
        // Those that take no guests are of no class.
        let mut kind = vec![alike.len(); problem.hosts.len()];
        for (k, hosts) in alike.iter().enumerate() {
            hosts.iter().for_each(|h| kind[*h] = k);
        }
        let mut tree = Self {
            problem,
            alike,
            kind,
            cases: vec![root],
            open: BTreeSet::new(),
            closed: i64::MAX,
            rounds: 0,
        };
        tree.open(0);
        tree
    }

    fn open(&mut self, number: usize) {
        let case = &self.cases[number];
        let key = (case.cost, Reverse(case.given.len()), Reverse(number));
        self.open.insert(key);
    }

    /// Branches until every case costs `upper` at least, or those that are open cannot raise the least, or
    /// the limits end it. `offer` takes the host of each guest of a packing, as far as it has one, and
    /// returns what the best placement costs by then.
    pub fn grow(
        &mut self,
        mut upper: i64,
        limits: &Limits,
        offer: &mut dyn FnMut(&[Option<usize>]) -> i64,
    ) {
        while let Some(key) = self.open.first().copied() {
            let (cost, _, Reverse(number)) = key;
            if cost >= upper.min(self.closed) || self.ended(limits) {
                break;
            }
            self.open.remove(&key);
            match std::mem::replace(&mut self.cases[number].then, Then::Closed) {
                Then::Solve(carried) => {
                    self.solve(number, carried, &mut upper, limits, offer);
                }
                Then::Branch(split, carried) => self.branch(number, split, &carried),
                Then::Branched(_) | Then::Closed => {}
            }
        }
        tracing::debug!(
            cases = self.cases.len(),
            open = self.open.len(),
            closed = self.closed,
            rounds = self.rounds,
            upper,
            "branch and price ended"
        );
    }

    fn ended(&self, limits: &Limits) -> bool {
        self.cases.len() >= MOST
            || limits.nodes.is_some_and(|n| self.rounds >= n)
            || (limits.stop)()
    }

    fn branch(&mut self, parent: usize, split: Split, carried: &Arc<Vec<Carried>>) {
        let sides = match split {
            Split::Pair(a, b) => [Side::Apart(a, b), Side::Together(a, b)],
            Split::Hosts(h, number) => {
                let hosts = &self.alike[self.kind[h]];
                [
                    Side::AtLeast(number + 1, Arc::clone(hosts)),
                    Side::AtMost(number, Arc::clone(hosts)),
                ]
            }
        };
        let numbers = sides.map(|side| {
            let from = &self.cases[parent];
            // What is proven of the parent is proven of it.
            let case = Case {
                given: from.given.iter().cloned().chain([side]).collect(),
                cost: from.cost,
                hosts: from.hosts,
                parts: Arc::clone(&from.parts),
                then: Then::Solve(Arc::clone(carried)),
            };
            self.cases.push(case);
            let number = self.cases.len() - 1;
            self.open(number);
            number
        });
        self.cases[parent].then = Then::Branched(numbers);
    }

    /// Bounds a case, offers what is packed in it, and opens it again where it is to be branched.
    fn solve(
        &mut self,
        number: usize,
        carried: Arc<Vec<Carried>>,
        upper: &mut i64,
        limits: &Limits,
        offer: &mut dyn FnMut(&[Option<usize>]) -> i64,
    ) {
        let case = &self.cases[number];
        let problem = narrowed(self.problem, &case.given);
        let packing = Packing::of(&problem);
        let rest = Limits {
            nodes: limits.nodes.map(|n| n.saturating_sub(self.rounds)),
            ..*limits
        };
        let dives = number < OFTEN || number.is_multiple_of(OFTEN);
        let turn = u64::try_from(number).ok().filter(|_| dives);
        let known = (case.cost, *upper);
        let mut node = branch::solve((&packing, &self.kind), &carried, known, &rest, turn);
        self.rounds += node.rounds;
        if let Some(packed) = &node.packed {
            *upper = offer(&packed.place(&packing, problem.guests.len())).min(*upper);
        }
        if node.empty {
            // More than all hosts, not only those of the case.
            let each = self.problem.hosts.iter().map(|h| h.cost);
            node.bound.cost = each.fold(packing.unit(), i64::saturating_add);
            node.bound.hosts = self.problem.hosts.len() + 1;
        }
        let ended = self.ended(limits);
        let case = &mut self.cases[number];
        if (node.bound.cost, node.bound.hosts) > (case.cost, case.hosts) {
            case.cost = node.bound.cost;
            case.hosts = node.bound.hosts;
            let weights = of_all(node.bound.weights, &case.given);
            case.parts = Arc::new(vec![weights]);
        }
        let closed = case.cost >= *upper;
        match node.split {
            Some(split) if !closed => case.then = Then::Branch(split, Arc::new(node.carried)),
            // It was cut short, and may be gone on with.
            None if !closed && ended => case.then = Then::Solve(carried),
            _ => {
                self.closed = self.closed.min(case.cost);
                return;
            }
        }
        self.open(number);
    }

    /// What all cases prove together; nothing where that is no more than what was known of all placements.
    #[must_use]
    pub fn proven(&self) -> Option<Branched> {
        let ends = self.cases.iter();
        let ends = ends.filter(|c| !matches!(c.then, Then::Branched(_)));
        let cost = ends.clone().map(|c| c.cost).min()?;
        let hosts = ends.map(|c| c.hosts).min()?;
        let mut leaves = Vec::new();
        let mut next = vec![0];
        while let Some(number) = next.pop() {
            let case = &self.cases[number];
            match case.then {
                // A parent that proves as much stands for its children.
                Then::Branched(sides) if case.cost < cost || case.hosts < hosts => {
                    next.extend(sides.iter().rev());
                }
                _ => leaves.push((case.given.clone(), case.parts.to_vec())),
            }
        }
        (leaves.len() > 1).then(|| Branched {
            cost,
            hosts,
            origin: format!("branch and price, {} leaves", leaves.len()),
            leaves,
        })
    }
}

/// The problem with what is given as rules of its own.
fn narrowed(problem: &Problem, given: &[Side]) -> Problem {
    let mut narrowed = problem.clone();
    let each: Arc<[usize]> = (0..problem.hosts.len()).collect();
    for side in given {
        let kind = match side {
            Side::Apart(a, b) => GroupKind::Spread {
                guests: vec![*a, *b],
                place: Arc::clone(&each),
            },
            Side::Together(a, b) => GroupKind::Gather {
                guests: vec![*a, *b],
                place: Arc::clone(&each),
            },
            Side::AtMost(number, hosts) => {
                hosts[*number..]
                    .iter()
                    .for_each(|h| narrowed.hosts[*h].open = false);
                // None of them is left to its guests, of which one other may then be the only host.
                if *number == 0 {
                    let among = |h: &usize| hosts.binary_search(h).is_ok();
                    for guest in &mut narrowed.guests {
                        if guest.allowed.iter().any(among) {
                            let allowed = guest.allowed.iter().filter(|h| !among(h));
                            guest.allowed = allowed.copied().collect();
                        }
                    }
                }
                continue;
            }
            Side::AtLeast(number, hosts) => {
                hosts[..*number]
                    .iter()
                    .for_each(|h| narrowed.hosts[*h].always = true);
                continue;
            }
        };
        let name = "branch".to_owned();
        narrowed.rules.push(GroupRule { name, kind });
    }
    narrowed
}

/// The weights with all hosts of each kind of which so many are used: what the first of them carry at most,
/// the others do, and the least that is proven of any is proven of all. What is given may have put hosts of
/// another kind in a class with them; those keep what is proven of them.
fn of_all(mut weights: Weights, given: &[Side]) -> Weights {
    for side in given {
        let (Side::AtMost(_, alike) | Side::AtLeast(_, alike)) = side else {
            continue;
        };
        let among = |(hosts, _): &(Vec<usize>, i64)| hosts.iter().any(|h| alike.contains(h));
        let most = weights
            .hosts
            .iter()
            .filter(|h| among(h))
            .map(|(_, most)| *most);
        if let Some(most) = most.min() {
            for (hosts, _) in &mut weights.hosts {
                hosts.retain(|h| !alike.contains(h));
            }
            weights.hosts.retain(|(hosts, _)| !hosts.is_empty());
            weights.hosts.push((alike.to_vec(), most));
        }
    }
    weights
}

#[cfg(test)]
mod tests;
