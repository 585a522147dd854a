//! Both stages by patterns: what one host carries, as a column. Stage 1, the fewest hosts:
//!
//! 1. [`Packing::of`] puts guests and hosts of a problem into classes; [`Packing::project`] keeps one
//!    resource, which is quick and often enough.
//! 2. [`bound`] solves the pattern LP by column generation (`pattern/master.rs`) with exact pricing
//!    (`pattern/price.rs`, `pattern/walk.rs`, `pattern/table.rs`). What comes out are integer weights,
//!    proven in integers (`pattern/proof.rs`): [`PatternBound`].
//! 3. [`solve`] goes on to packings: dives (`pattern/dive.rs`) and, where items are few, the patterns
//!    at hand as an integer program (`pattern/restricted.rs`); then, and alone where items are many,
//!    parts of a packing are packed anew (`pattern/mend.rs`). A [`Packed`] names classes;
//!    [`Packed::place`] names guests and hosts. Rules that a packing drops are the caller's to check.
//! 4. [`tree::Tree`] branches where the LP proves too little, and solves it anew in each case
//!    (`pattern/branch.rs`).
//!
//! Stage 2, the cheapest moves, by the same patterns with what stays on each host (`pattern/stay.rs`):
//!
//! 1. [`stay::moves`] bounds it: a host's best content (`pattern/fill.rs` over who stays and who comes,
//!    `pattern/cells.rs` where sizes are few, `pattern/compose.rs` and `pattern/ceiling.rs` where hosts carry few
//!    guests), at weights led by subgradients (`pattern/ascent.rs`), or by a linear program (`pattern/lead.rs`).
//! 2. From the patterns met a placement is chosen (`pattern/choose.rs`), after a dive where hosts are many
//!    (`pattern/settle.rs`, as `pattern/dive.rs` does for stage 1), and made better part by part
//!    (`pattern/part.rs`); where those patterns are few that a better one has, among all these (`pattern/near.rs`).
//! 3. [`stay::refilled`] fills hosts that are kept anew where sizes are few: which are kept (`pattern/kept.rs`),
//!    what each carries (`pattern/refill.rs`, `pattern/filling.rs`, `pattern/block.rs`, `pattern/content.rs`),
//!    exchanges between two hosts (`pattern/swap.rs`), and who of a class has which seat under the rules
//!    (`pattern/seat.rs`).
//!
//! With a limit on nodes a solve repeats exactly; a node is a run of the LP, and pricing has its
//! share of each. Time counts through `stop` and `enough` alone, but for the integer program, which has a
//! part of `Limits::time`.

mod ascent;
mod block;
mod branch;
mod ceiling;
mod cells;
mod choose;
mod columns;
mod compose;
mod content;
mod dive;
mod fill;
mod filling;
mod kept;
mod lanes;
mod lead;
mod master;
mod mend;
mod near;
pub mod packing;
mod part;
mod price;
mod proof;
mod refill;
mod restricted;
mod seat;
mod settle;
pub mod stay;
mod surrogate;
mod swap;
mod table;
pub mod tree;
mod walk;

pub use packing::{HostClass, Item, Packing};
pub use price::Content;

use std::cell::Cell;
use std::collections::BTreeMap;

use vmpack_domain::units::Micros;

use crate::Limits;
use crate::highs::mps::Wording;
use master::{Known, Master};
use mend::Guide;
use proof::Proof;

/// What one host carries.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pattern {
    /// The class of the host.
    pub host: usize,
    /// Items by class, ascending, with copies.
    pub content: Content,
}

/// What a bound rests on: on each host of a group, guests that may be there and fit together weigh
/// at most its `most`. So the hosts in use, whose `most` sum to the weight of all guests at least,
/// cost at least the bound.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weights {
    /// Guests that are together wherever they are, with their weight as one; every guest is in one
    /// group.
    pub guests: Vec<(Vec<usize>, i64)>,
    /// Hosts that are alike, with the most that fits on each.
    pub hosts: Vec<(Vec<usize>, i64)>,
}

/// A lower bound on the hosts in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternBound {
    /// On their cost, in thousandths of a host, a multiple of the costs' divisor. Where no placement
    /// exists, more than all hosts cost.
    pub cost: i64,
    /// On their number.
    pub hosts: usize,
    /// Which method found it, such as `pattern LP, 362.412 rounded up`.
    pub origin: String,
    /// What it rests on.
    pub weights: Weights,
    /// Columns made.
    pub columns: usize,
}

/// A packing, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Packed {
    /// Contents, with the number of hosts that have each.
    pub patterns: Vec<(Pattern, usize)>,
    /// Items that are not packed, with copies.
    pub left: Vec<(usize, usize)>,
    /// The cost of the hosts in use, the forced ones among them, in thousandths.
    pub cost: i64,
}

/// What [`solve`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The bound.
    pub bound: PatternBound,
    /// The cheapest packing of everything, else the one that leaves least.
    pub packed: Option<Packed>,
}

/// Where the LP stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// Its duals promise a bound far below its value.
    Far,
    /// They promise one near it; where the best pattern is not found to be the best, it is not proven.
    Near,
    /// It is run again, after a dive.
    Again,
}

/// How far column generation goes.
struct Effort<'a> {
    /// Runs of the LP, at most.
    rounds: u64,
    /// Nodes of one pricing, at most.
    steps: u64,
    /// Nodes of all pricing together, at most.
    total: u64,
    /// Asked often.
    stop: &'a dyn Fn() -> bool,
    /// Asked often by the LP, which ends then, by where it stands.
    enough: [&'a dyn Fn() -> bool; 3],
    stand: Cell<Stand>,
}

/// Nodes of pricing that count as a run of the LP.
const STEPS: u64 = 100_000;

impl<'a> Effort<'a> {
    /// A run of the LP is a node, with [`STEPS`] nodes of pricing.
    fn of(limits: &Limits<'a>) -> Self {
        Self {
            rounds: limits.nodes.unwrap_or(u64::MAX),
            steps: limits.nodes.map_or(1 << 32, |n| n.saturating_mul(STEPS)),
            total: limits.nodes.map_or(u64::MAX, |n| n.saturating_mul(STEPS)),
            stop: limits.stop,
            enough: [&|| false; 3],
            stand: Cell::new(Stand::Far),
        }
    }

    fn sufficed(&self, rounds: u64, steps: u64) -> bool {
        let part = match self.stand.get() {
            Stand::Far | Stand::Near => self.rounds / 4 * 2,
            Stand::Again => self.rounds / 4 * 3,
        };
        rounds >= part || self.ended(rounds, steps) || self.enough()
    }

    fn enough(&self) -> bool {
        let [far, near, again] = self.enough;
        match self.stand.get() {
            Stand::Far => far(),
            Stand::Near => near(),
            Stand::Again => again(),
        }
    }

    fn ended(&self, rounds: u64, steps: u64) -> bool {
        rounds >= self.rounds || steps >= self.total || (self.stop)()
    }
}

/// Dives, at most.
const DIVES: u64 = 6;
/// Classes of items above which the LP of all of them is out of reach.
const MANY: usize = 2000;
/// Items up to which the patterns at hand are tried as an integer program.
const FEW: usize = 300;

/// The bound of the pattern LP. `lower` and `upper` are known bounds on the cost: it ends early where
/// it cannot exceed `lower`, and when it reaches `upper`. `incumbent` is the content of each host in
/// use in a known packing, or empty.
#[must_use]
pub fn bound(
    packing: &Packing,
    incumbent: &[Pattern],
    lower: i64,
    upper: i64,
    limits: &Limits,
) -> PatternBound {
    let effort = Effort::of(limits);
    let known = Known::new(packing, lower, upper);
    let mut proof = Proof::trivial(packing);
    let (mut columns, mut value) = (0, 0.0);
    let ended = Master::new(packing, incumbent, &effort).and_then(|mut master| {
        let ended = master.converge(&known, &mut proof);
        columns = master.pool.len();
        value = master.worth();
        ended
    });
    if let Err(failure) = ended {
        tracing::debug!(?failure, "the pattern LP ended early");
    }
    proof.conclude(packing, columns, value)
}

/// The bound of the pattern LP, and packings from its columns where the bound leaves room for one
/// that is cheaper than `upper`, else from parts of the incumbent. The LP ends when the first of `enough`
/// says so, where little is missing to prove its value the second, or half of the nodes are used; after
/// the first dive it goes on until the third says so.
#[must_use]
pub fn solve(
    packing: &Packing,
    incumbent: &[Pattern],
    lower: i64,
    mut upper: i64,
    limits: &Limits,
    enough: [&dyn Fn() -> bool; 3],
) -> Answer {
    let effort = Effort {
        enough,
        ..Effort::of(limits)
    };
    let mut known = Known::new(packing, lower, upper);
    let mut proof = Proof::trivial(packing);
    let mut packed: Option<Packed> = None;
    let (mut pool, mut duals, mut value) = (Vec::new(), None, 0.0);
    let mut rounds = 0;
    let ended = if packing.is_large() {
        Ok(())
    } else {
        Master::new(packing, incumbent, &effort).and_then(|mut master| {
            let ended = master.converge(&known, &mut proof).and_then(|()| {
                master.tell("the pattern LP ended", &proof);
                for turn in 0..DIVES {
                    let closed = proof.cost.max(lower);
                    if closed >= upper || effort.ended(master.rounds, master.steps) {
                        break;
                    }
                    let found = master.dive(&known, upper, turn)?;
                    keep(&mut packed, &mut upper, found);
                    if turn == 0 && closed < upper && packing.items.len() <= FEW {
                        let whole = packed.as_ref().filter(|p| p.left.is_empty());
                        let start = whole.map_or_else(|| incumbent.to_vec(), Packed::each);
                        let part = Limits {
                            time: Micros(limits.time.0 / 5),
                            ..*limits
                        };
                        if let Some(found) = restricted::solve(packing, &master.pool, &start, &part)
                        {
                            keep(&mut packed, &mut upper, found);
                        }
                    }
                    if turn == 0 {
                        // What is packed may be as good as a better bound shows.
                        effort.stand.set(Stand::Again);
                        known.upper = upper;
                        master.converge(&known, &mut proof)?;
                        master.tell("the pattern LP went on", &proof);
                    }
                }
                Ok(())
            });
            value = master.worth();
            duals = master.promising().cloned();
            (pool, rounds) = (master.pool, master.rounds);
            ended
        })
    };
    if let Err(failure) = ended {
        tracing::debug!(?failure, "the pattern LP ended early");
    }
    let closed = proof.cost.max(lower);
    let whole = packed.as_ref().filter(|p| p.left.is_empty());
    let hosts = whole.map_or_else(|| incumbent.to_vec(), Packed::each);
    if closed < upper && !hosts.is_empty() {
        let pool = &pool;
        let guide = duals.map(|duals| Guide { duals, pool });
        let found = mend::mend(packing, hosts, guide.as_ref(), closed, &effort, &mut rounds);
        keep(&mut packed, &mut upper, found);
    }
    Answer {
        bound: proof.conclude(packing, pool.len(), value),
        packed,
    }
}

/// The program over the patterns that column generation makes (`pattern/restricted.rs`) in MPS format;
/// `relaxed` leaves out that columns are integers, which is the pattern LP.
///
/// # Errors
/// That the solver failed, in words.
pub fn mps(packing: &Packing, relaxed: bool, limits: &Limits) -> Result<String, String> {
    let wording = Wording {
        relaxed,
        unit: packing.unit(),
        constant: packing.forced_cost(),
        names: BTreeMap::new(),
        notes: vec!["a column is how many hosts of a class hold one pattern".to_owned()],
    };
    // HiGHS calls a program without rows empty, not solved.
    if packing.items.is_empty() {
        return crate::highs::mps::mps("pattern", restricted::model(packing, &[]), &wording);
    }
    let effort = Effort::of(limits);
    let known = Known::new(packing, 0, i64::MAX);
    let mut proof = Proof::trivial(packing);
    let mut master = Master::new(packing, &[], &effort).map_err(|f| f.0)?;
    master.converge(&known, &mut proof).map_err(|f| f.0)?;
    let model = restricted::model(packing, &restricted::distinct(&master.pool, &[]));
    crate::highs::mps::mps("pattern", model, &wording)
}

/// Keeps the better packing, and the least cost of one of everything.
fn keep(packed: &mut Option<Packed>, upper: &mut i64, found: Packed) {
    if found.left.is_empty() {
        *upper = found.cost.min(*upper);
    }
    if packed.as_ref().is_none_or(|p| found.rank() < p.rank()) {
        *packed = Some(found);
    }
}

impl Packed {
    /// Better first: less left, then cheaper.
    fn rank(&self) -> (usize, i64) {
        (self.left.iter().map(|(_, copies)| *copies).sum(), self.cost)
    }

    /// The pattern of each host in use.
    fn each(&self) -> Vec<Pattern> {
        let patterns = self.patterns.iter();
        patterns
            .flat_map(|(pattern, times)| std::iter::repeat_n(pattern.clone(), *times))
            .collect()
    }

    /// Sums up the cost of the hosts in use.
    fn settle(&mut self, packing: &Packing) {
        let used = self
            .patterns
            .iter()
            .map(|(p, times)| packing.price(p.host, *times));
        self.cost = packing.forced_cost().saturating_add(used.sum());
    }

    /// The host of every guest that is packed, of `guests` in all.
    #[must_use]
    pub fn place(&self, packing: &Packing, guests: usize) -> Vec<Option<usize>> {
        let mut place = vec![None; guests];
        let mut hosts: Vec<_> = packing.hosts.iter().map(|k| k.members.iter()).collect();
        let mut items: Vec<_> = packing.items.iter().map(|i| i.members.iter()).collect();
        for (pattern, times) in &self.patterns {
            for host in hosts[pattern.host].by_ref().take(*times) {
                for (item, copies) in &pattern.content {
                    for guest in items[*item].by_ref().take(*copies).flatten() {
                        place[*guest] = Some(*host);
                    }
                }
            }
        }
        place
    }
}

#[cfg(test)]
mod tests;
