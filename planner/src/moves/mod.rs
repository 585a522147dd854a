//! Stage 2: at a given cost of hosts, usually that which stage 1 found, the least memory moved.
//!
//! Alike hosts are relabelled first. Where guests are of few sizes the hosts kept are then filled up anew
//! (`refill.rs`), which is near the bound. Else, or where that finds nothing: annealing
//! from where guests are now, with the hosts that carry little emptied, and from the packed placement; then
//! the bound by patterns with who stays, and a choice of them; then HiGHS on blocks of hosts, and on the
//! whole when it is not large. What is no larger than a block goes to HiGHS before the patterns; where hosts carry
//! few guests the patterns come first of all.

mod balance;
mod level;
mod refill;
mod relabel;

pub(crate) use balance::balance;
pub(crate) use level::level;

use vmpack_domain::Policy;
use vmpack_ilp::bound::{self, MovesBound};
use vmpack_ilp::pattern::Packing;
use vmpack_ilp::pattern::stay::{self, Between, Stay, Stayed};
use vmpack_ilp::{Limits, Solved, moves};

use crate::anneal::{Goal, anneal};
use crate::effort::Effort;
use crate::instance::{Instance, NOWHERE, State};
use crate::pack::Packed;
use crate::pack::descend::confined;
use crate::rng::Rng;
use crate::search::Step;

/// Annealing walks, and how many in a row may bring nothing.
const WALKS: u64 = 12;
const PATIENCE: u64 = 3;
/// The largest whole instance given to HiGHS, in guest-host pairs.
const WHOLE: usize = 12_000;
/// Thousandths of the time left for a better bound by patterns, and for choosing among them.
const PROOF: u64 = 250;
const CHOICE: u64 = 350;
/// And where hosts carry few guests.
const FEW: (u64, u64) = (900, 600);
/// Thousandths of the time left for the whole of a small instance at once.
const AT_ONCE: u64 = 250;
/// Guest-host pairs in a block given to HiGHS.
const BLOCK: usize = 1_600;

/// The placement that moves least with hosts that cost at most `budget`, in thousandths of a host
/// and no less than those of `packed`, and what no such placement can undercut.
pub(crate) fn cheapest(
    inst: &Instance,
    packed: Packed,
    budget: i64,
    policy: &Policy,
    effort: &mut Effort,
    report: &mut dyn FnMut(Step),
) -> (Packed, MovesBound) {
    let mut bound = bound::moves(&inst.problem.plain(), budget);
    let mut best = Best {
        inst,
        packed,
        budget,
        report,
    };
    best.offer(&relabel::relabel(inst, &best.packed.at), bound.least);
    let classes = inst.is_plain().then(|| refill::classes(inst.problem));
    let classes = classes.flatten();
    let stay = classes.as_ref().and_then(|c| Stay::new(inst.problem, c));
    let stay = stay.filter(Stay::is_exact);
    if let Some(stay) = &stay
        && refill::refill(&mut best, stay, &mut bound, effort, policy)
    {
        return (best.packed, bound);
    }
    // Where hosts carry few guests walks end far from the best, and what is chosen from patterns near it.
    let open = best.moved() > bound.least && !effort.cut_off();
    let packing = (stay.is_none() && inst.is_plain() && open).then(|| Packing::of(inst.problem));
    let items = packing.as_ref().and_then(|p| Stay::new(inst.problem, p));
    let led = |items: &&Stay| inst.pairs() > BLOCK && items.is_led(budget);
    if let Some(items) = items.as_ref().filter(led)
        && patterns(&mut best, items, &mut bound, effort, policy, FEW)
    {
        blocks(&mut best, &bound, effort, policy);
        return (best.packed, bound);
    }
    walks(&mut best, &bound, effort, policy.limits.seed);
    // What is no larger than a block is solved like one.
    if inst.pairs() <= BLOCK {
        whole(&mut best, &mut bound, effort, policy, AT_ONCE);
    }
    if let Some(stay) = &stay {
        prove(&best, stay, &mut bound, effort, policy, refill::PROOF);
    } else if let Some(items) = &items {
        patterns(
            &mut best,
            items,
            &mut bound,
            effort,
            policy,
            (CHOICE, PROOF),
        );
    }
    blocks(&mut best, &bound, effort, policy);
    if inst.pairs() <= WHOLE {
        whole(&mut best, &mut bound, effort, policy, 1000);
    }
    (best.packed, bound)
}

/// The placement that moves least so far.
struct Best<'i, 'p, 'r> {
    inst: &'i Instance<'p>,
    packed: Packed,
    /// What the hosts in use may cost.
    budget: i64,
    report: &'r mut dyn FnMut(Step),
}

impl Best<'_, '_, '_> {
    fn moved(&self) -> i64 {
        self.inst.moved(&self.packed.at)
    }
    /// Keeps the placement if it is feasible, within the budget and moves less.
    fn offer(&mut self, at: &[usize], bound: i64) -> bool {
        let moved = self.inst.moved(at);
        if moved >= self.moved() {
            return false;
        }
        let Some(packed) = Packed::of(self.inst, at).filter(|p| p.cost <= self.budget) else {
            return false;
        };
        let guests = self.inst.problem.guests.iter().zip(self.inst.placement(at));
        let memory = guests.filter(|(g, h)| g.current.is_some_and(|c| c != *h));
        let memory = memory.map(|(g, _)| g.memory).sum();
        // A bound on prices says nothing of memory.
        let bound = if memory == moved { bound } else { 0 };
        (self.report)(Step::Moves { memory, bound });
        self.packed = packed;
        true
    }
}

/// Annealing from where guests are now and from the best placement in turn: walks end in different
/// places, so several short ones do better than a long one.
fn walks(best: &mut Best, bound: &MovesBound, effort: &mut Effort, seed: u64) {
    let inst = best.inst;
    let mut idle = 0;
    for walk in 0..WALKS {
        if best.moved() <= bound.least || effort.spent() || idle == PATIENCE {
            return;
        }
        let (from, kept) = if walk % 2 == 0 {
            let kept = heaviest(inst, &best.packed.awake);
            (inst.current(), within(inst, kept, best.budget))
        } else {
            let kept = best.packed.awake.clone();
            (best.packed.at.clone(), within(inst, kept, best.budget))
        };
        let mut open = vec![false; inst.problem.hosts.len()];
        kept.iter().for_each(|h| open[*h] = true);
        let mut state = confined(inst, &from, &kept, &open);
        if state.at.contains(&NOWHERE) {
            continue;
        }
        let slice = effort.slice(inst.bundles.len(), 2);
        let mut rng = Rng::new(seed, 500 + walk);
        let (found, steps) = anneal(
            &mut state,
            &mut open,
            Goal::LeastMoved(bound.least),
            effort,
            &slice,
            &mut rng,
        );
        effort.refund(&slice, steps);
        let gained = found.is_some_and(|at| best.offer(&at, bound.least));
        idle = if gained { 0 } else { idle + 1 };
    }
}

/// As many hosts of each class as are awake, those that carry most memory now.
fn heaviest(inst: &Instance, awake: &[usize]) -> Vec<usize> {
    let held = inst.held();
    let mut kept = Vec::new();
    for mut class in relabel::classes(inst) {
        let count = class.iter().filter(|h| awake.contains(h)).count();
        class.sort_by_key(|h| (std::cmp::Reverse(held[*h]), *h));
        kept.extend(class.into_iter().take(count));
    }
    kept.sort_unstable();
    kept
}

/// Those hosts and, as far as the budget goes, others that carry most memory now.
fn within(inst: &Instance, mut kept: Vec<usize>, budget: i64) -> Vec<usize> {
    let hosts = &inst.problem.hosts;
    let held = inst.held();
    let mut left = budget - kept.iter().map(|h| hosts[*h].cost).sum::<i64>();
    let mut others: Vec<usize> = (0..hosts.len())
        .filter(|h| hosts[*h].open && !kept.contains(h))
        .collect();
    others.sort_by_key(|h| (std::cmp::Reverse(held[*h]), *h));
    for h in others {
        if hosts[h].cost <= left && held[h] > 0 {
            left -= hosts[h].cost;
            kept.push(h);
        }
    }
    kept.sort_unstable();
    kept
}

/// Offers a placement of guests.
fn offer(best: &mut Best, placement: &[usize], bound: i64) -> bool {
    let at = best.inst.bundles_at(placement);
    !at.contains(&NOWHERE) && best.offer(&at, bound)
}

/// Raises the bound by patterns with who stays, and takes the placement that is made of them; `shares` as of
/// [`prove`]. Whether it was taken, or none is needed.
fn patterns(
    best: &mut Best,
    stay: &Stay,
    bound: &mut MovesBound,
    effort: &Effort,
    policy: &Policy,
    shares: (u64, u64),
) -> bool {
    if best.moved() <= bound.least || effort.cut_off() {
        return false;
    }
    let found = prove(best, stay, bound, effort, policy, shares);
    let taken = found
        .placement
        .is_some_and(|placement| offer(best, &placement, bound.least));
    taken || best.moved() <= bound.least
}

/// Raises the bound by patterns with who stays; `shares` of the time left, in thousandths: for all of it, and
/// for the proof.
fn prove(
    best: &Best,
    stay: &Stay,
    bound: &mut MovesBound,
    effort: &Effort,
    policy: &Policy,
    shares: (u64, u64),
) -> Stayed {
    let known = Between {
        lower: bound.least,
        upper: best.moved(),
    };
    let mut found = stay::moves(
        stay,
        best.budget,
        known,
        &Limits {
            stop: &effort.alarm(shares.0),
            ..effort.limits(policy, shares.0)
        },
        &effort.alarm(shares.1),
    );
    if let Some(better) = found.bound.take() {
        *bound = better;
    }
    found
}

/// HiGHS on the whole instance, for that share of the time left in thousandths; its bound counts.
fn whole(best: &mut Best, bound: &mut MovesBound, effort: &Effort, policy: &Policy, share: u64) {
    if best.moved() <= bound.least || effort.cut_off() {
        return;
    }
    let inst = best.inst;
    let warm = inst.placement(&best.packed.at);
    let solved = moves::solve(
        inst.problem,
        best.budget,
        Some(&warm),
        &effort.limits(policy, share),
    );
    let proven = match &solved {
        Solved::Optimal { bound, .. }
        | Solved::Feasible { bound, .. }
        | Solved::NoAnswer { bound, .. } => *bound,
        Solved::Infeasible => 0,
    };
    if proven > bound.least {
        *bound = MovesBound {
            least: proven,
            origin: "moves ILP".into(),
        };
    }
    if let Solved::Optimal { answer, .. } | Solved::Feasible { answer, .. } = solved {
        offer(best, &answer, bound.least);
    }
}

/// HiGHS on blocks of hosts until no block of a whole pass gains, then on larger ones.
fn blocks(best: &mut Best, bound: &MovesBound, effort: &Effort, policy: &Policy) {
    let mut rng = Rng::new(policy.limits.seed, 600);
    let mut idle = 0;
    let awake = best.packed.awake.len();
    let mut size = block_size(best.inst, awake);
    // Where only nodes count, so many blocks.
    let most = policy.limits.nodes.unwrap_or(u64::MAX);
    let mut tried = 0;
    while !effort.cut_off() && tried < most && best.moved() > bound.least {
        if idle >= 2 * awake.div_ceil(size) {
            // A small instance is better solved whole.
            if size >= awake || best.inst.pairs() <= WHOLE {
                return;
            }
            size = (size + size.div_ceil(2)).min(awake);
            idle = 0;
        }
        tried += 1;
        let block = block(best, size, &mut rng);
        let from = best.inst.placement(&best.packed.at);
        let solved = moves::improve(
            best.inst.problem,
            &from,
            &block,
            &effort.limits(policy, 250),
        );
        let gained = match solved {
            Solved::Optimal { answer, .. } | Solved::Feasible { answer, .. } => {
                offer(best, &answer, bound.least)
            }
            Solved::Infeasible | Solved::NoAnswer { .. } => false,
        };
        idle = if gained { 0 } else { idle + 1 };
    }
}

/// How many hosts make a block: guests of k hosts times k about [`BLOCK`].
fn block_size(inst: &Instance, awake: usize) -> usize {
    let guests_each = inst.problem.guests.len().div_ceil(awake.max(1)).max(1);
    (BLOCK / guests_each / inst.rows_per_host())
        .isqrt()
        .clamp(2, awake.max(2))
}

/// Hosts to place anew together: some with guests that came from elsewhere, where these guests
/// came from, and others by chance.
fn block(best: &Best, size: usize, rng: &mut Rng) -> Vec<usize> {
    let inst = best.inst;
    let state = State::new(inst, &best.packed.at);
    let awake = &best.packed.awake;
    let mut block: Vec<usize> = Vec::new();
    while block.len() < size.min(awake.len()) {
        let seed = awake[rng.below(awake.len())];
        let moved = |b: &&usize| inst.bundles[**b].moved(seed) > 0;
        let origins = state.on[seed]
            .iter()
            .filter(moved)
            .flat_map(|b| &inst.bundles[*b].homes);
        let near = origins
            .map(|(h, _)| *h)
            .filter(|h| awake.contains(h))
            .take(2);
        for h in std::iter::once(seed).chain(near) {
            if !block.contains(&h) && block.len() < size {
                block.push(h);
            }
        }
    }
    block.sort_unstable();
    block
}
