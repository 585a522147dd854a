//! Annealing towards the bound: at a target set of open hosts, total overload is annealed away;
//! what is left is repaired into further hosts; the number of hosts is bisected between the bound
//! and the best.

use std::collections::BTreeSet;
use std::ops::Range;

use vmpack_ilp::bound::Bound;

use super::{Best, by_worth, settled};
use crate::anneal::{Goal, anneal};
use crate::effort::Effort;
use crate::instance::{Instance, NOWHERE, State};
use crate::pack::divide::divide;
use crate::pack::fit::{need_weights, put_least};
use crate::rng::Rng;

/// Overload that dividing pairs of hosts anew may take away, in hosts' worth.
const NEARLY: f64 = 0.1;

/// Anneals until the bound is reached, the effort is spent, or the rounds are over.
pub(super) fn descend(
    best: &mut Best,
    bound: &Bound,
    effort: &mut Effort,
    seed: u64,
    rounds: Range<u64>,
) {
    let inst = best.inst;
    let worth = by_worth(inst);
    let mut idle = 0;
    for round in rounds {
        // Each of the four orders may leave no number of hosts to try.
        if best.reaches(bound) || effort.spent() || idle == 4 {
            return;
        }
        // Every other round from the best placement, the others from where guests are now.
        let from = match &best.packed {
            Some(packed) if round % 2 == 0 && inst.caps.is_empty() => packed.at.clone(),
            _ => settled(inst).at,
        };
        let order = with_needed(inst, &order(inst, &worth, &from, round));
        let mut rng = Rng::new(seed, round);
        let weight = 1 << (round / 2).min(16);
        let tried = bisect(best, bound, effort, (&from, &order), weight, &mut rng);
        idle = if tried { 0 } else { idle + 1 };
    }
}

/// Anneals from a placement that may lack bundles, on the hosts that carry most in it.
pub(super) fn refine(
    best: &mut Best,
    bound: &Bound,
    effort: &mut Effort,
    from: &[usize],
    rng: &mut Rng,
) {
    let inst = best.inst;
    let order = with_needed(inst, &order(inst, &by_worth(inst), from, 0));
    bisect(best, bound, effort, (from, &order), 1, rng);
}

/// Hosts in the order in which they are kept: by what they carry in `from`, or by worth. The latter
/// comes first where hosts differ: few of the large ones may do for what runs on many small ones.
fn order(inst: &Instance, worth: &[usize], from: &[usize], round: u64) -> Vec<usize> {
    let mut order = worth.to_vec();
    let open = inst.problem.hosts.iter().filter(|h| h.open);
    let looks: BTreeSet<_> = open.map(|h| (&h.room, h.cost)).collect();
    let by_worth = looks.len() > 1 && inst.caps.is_empty();
    if (round % 4 < 2) != by_worth {
        let state = State::new(inst, from);
        let weights = need_weights(inst);
        let carried = |h: &usize| -> f64 {
            if !inst.caps.is_empty() {
                return state.on[*h].len() as f64;
            }
            let load = weights
                .iter()
                .enumerate()
                .map(|(r, w)| state.load[*h][r] as f64 * inst.scale[r] * w);
            load.sum::<f64>() * 1000.0 / inst.problem.hosts[*h].cost.max(1) as f64
        };
        let always = |h: &usize| inst.problem.hosts[*h].always;
        // Stable: equals stay in the order of worth.
        order.sort_by(|a, b| {
            always(b)
                .cmp(&always(a))
                .then(carried(b).total_cmp(&carried(a)))
        });
    }
    order
}

/// The order with hosts first that are the best choice of a set which has none before them, or of a
/// place for guests apart: some host of each is in use in any placement.
fn with_needed(inst: &Instance, order: &[usize]) -> Vec<usize> {
    let mut by_size: Vec<_> = inst.sets.iter().collect();
    by_size.sort_by_key(|s| s.list.len());
    let mut first: Vec<usize> = order
        .iter()
        .copied()
        .filter(|h| inst.problem.hosts[*h].always)
        .collect();
    for set in by_size {
        if !first.iter().any(|h| set.contains(*h)) {
            first.extend(order.iter().find(|h| set.contains(**h)));
        }
    }
    // Guests apart over labels need as many places.
    for group in inst.groups.iter().filter(|g| g.is_spread() && g.labelled()) {
        let mut places: BTreeSet<usize> = first.iter().map(|h| group.place[*h]).collect();
        for h in order {
            if places.len() >= group.members.len() {
                break;
            }
            let sets = group.members.iter().map(|b| inst.bundles[*b].set);
            if sets.into_iter().any(|s| inst.sets[s].contains(*h)) && places.insert(group.place[*h])
            {
                first.push(*h);
            }
        }
    }
    let rest = order.iter().copied().filter(|h| !first.contains(h));
    first.iter().copied().chain(rest).collect()
}

/// The cost and the room of the first k hosts, for k from 0.
fn prefixes(inst: &Instance, order: &[usize]) -> Vec<(i64, Vec<i64>)> {
    let mut last = (0, vec![0; inst.scale.len()]);
    let mut sums = vec![last.clone()];
    for host in order.iter().map(|h| &inst.problem.hosts[*h]) {
        last.0 += host.cost;
        for (sum, room) in last.1.iter_mut().zip(&host.room) {
            *sum += room;
        }
        sums.push(last.clone());
    }
    sums
}

/// Bisects the number of hosts, the least possible first; `false` when nothing was annealed, for there
/// was none to try or none on which every guest may be.
fn bisect(
    best: &mut Best,
    bound: &Bound,
    effort: &mut Effort,
    (from, order): (&[usize], &[usize]),
    weight: u64,
    rng: &mut Rng,
) -> bool {
    let inst = best.inst;
    let sums = prefixes(inst, order);
    let enough = |(cost, room): &(i64, Vec<i64>)| {
        *cost >= bound.cost && room.iter().zip(&inst.floor).all(|(r, f)| r >= f)
    };
    let always = inst.problem.hosts.iter().filter(|h| h.always).count();
    let Some(mut least) = sums.iter().position(enough).map(|k| k.max(always).max(1)) else {
        return false;
    };
    let (mut first, mut annealed) = (true, false);
    while !effort.spent() {
        let most = match &best.packed {
            Some(p) => sums.partition_point(|s| s.0 < p.cost).saturating_sub(1),
            None => order.len(),
        };
        if least > most {
            break;
        }
        let k = match (first, best.packed.is_some()) {
            (true, true) => least,
            (true, false) => most,
            _ => usize::midpoint(least, most),
        };
        let found = attempt(best, effort, from, order, k, weight, rng);
        annealed |= found.is_some();
        // What failed with all hosts is not to be had from this start.
        if found != Some(true) {
            least = k + 1;
        }
        first = false;
        if k == most && best.packed.is_none() {
            break;
        }
    }
    annealed
}

/// One walk on the first `k` hosts of the order; offers what it leads to, and says whether hosts of
/// no higher cost do. `None` when some guests may be on none of them.
fn attempt(
    best: &mut Best,
    effort: &mut Effort,
    from: &[usize],
    order: &[usize],
    k: usize,
    weight: u64,
    rng: &mut Rng,
) -> Option<bool> {
    let inst = best.inst;
    let (kept, further) = order.split_at(k);
    let mut open = vec![false; inst.problem.hosts.len()];
    kept.iter().for_each(|h| open[*h] = true);
    let mut state = confined(inst, from, kept, &open);
    if state.at.contains(&NOWHERE) {
        return None;
    }
    let slice = effort.slice(inst.bundles.len(), weight);
    let (found, steps) = anneal(&mut state, &mut open, Goal::Feasible, effort, &slice, rng);
    effort.refund(&slice, steps);
    match found {
        Some(at) => best.offer(&at),
        None => {
            let nearly = state.penalty() < NEARLY;
            if nearly && inst.is_plain() && inst.caps.is_empty() && state.rules_kept() {
                divide(&mut state, kept, effort, rng);
            }
            repair(&mut state, kept, further);
            best.offer(&state.at);
        }
    }
    Some(found_within(best, k, order))
}

fn found_within(best: &Best, k: usize, order: &[usize]) -> bool {
    let cost: i64 = order
        .iter()
        .take(k)
        .map(|h| best.inst.problem.hosts[*h].cost)
        .sum();
    best.packed.as_ref().is_some_and(|p| p.cost <= cost)
}

/// The placement with what is on hosts that are not open put where it breaks least, large first.
pub(crate) fn confined<'i, 'p>(
    inst: &'i Instance<'p>,
    from: &[usize],
    kept: &[usize],
    open: &[bool],
) -> State<'i, 'p> {
    let stays = |h: &usize| {
        if *h != NOWHERE && open[*h] {
            *h
        } else {
            NOWHERE
        }
    };
    let start: Vec<usize> = from.iter().map(stays).collect();
    let mut state = State::new(inst, &start);
    let size = |b: usize| -> f64 {
        let need = inst.bundles[b].need.iter().zip(&inst.scale);
        need.map(|(n, s)| *n as f64 * s).sum()
    };
    let mut homeless: Vec<usize> = (0..start.len()).filter(|b| start[*b] == NOWHERE).collect();
    homeless.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
    for b in homeless {
        put_least(&mut state, b, kept);
    }
    state
}

/// Takes the smallest sufficient bundles off overloaded hosts and puts them where they fit, on
/// further hosts if need be.
fn repair(state: &mut State, kept: &[usize], further: &[usize]) {
    let inst = state.inst;
    let size = |b: usize| -> f64 {
        let need = inst.bundles[b].need.iter().zip(&inst.scale);
        need.map(|(n, s)| *n as f64 * s).sum()
    };
    let mut off = Vec::new();
    while let Some(host) = state.over.first().copied() {
        let room = &inst.problem.hosts[host].room;
        let short = |b: usize| -> f64 {
            let left =
                (0..room.len()).map(|r| state.load[host][r] - inst.bundles[b].need[r] - room[r]);
            left.zip(&inst.scale)
                .map(|(l, s)| l.max(0) as f64 * s)
                .sum()
        };
        let pick = state.on[host].iter().copied().min_by(|a, b| {
            let key = |x: usize| short(x) * 1000.0 + size(x);
            key(*a).total_cmp(&key(*b)).then(a.cmp(b))
        });
        let Some(bundle) = pick else { break };
        state.take(bundle);
        off.push(bundle);
    }
    off.sort_by(|a, b| size(*b).total_cmp(&size(*a)).then(a.cmp(b)));
    let mut open = kept.to_vec();
    let mut further = further.iter().copied();
    'bundles: for b in off {
        let set = &inst.sets[inst.bundles[b].set];
        loop {
            let fits = open.iter().copied().filter(|h| {
                set.contains(*h) && state.left(b, *h).is_some() && state.pairs_added(b, *h) == 0
            });
            if let Some(h) = fits.min_by_key(|h| state.left(b, *h).map(|l| l.iter().sum::<i64>())) {
                state.put(b, h);
                continue 'bundles;
            }
            match further.next() {
                Some(h) => open.push(h),
                None => {
                    put_least(state, b, &open);
                    continue 'bundles;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vmpack_ilp::problem::Problem;

    use super::*;
    use crate::tests::read;

    #[test]
    fn hosts_of_as_many_places_as_guests_apart_come_first() {
        let host = |name: &str, memory: u64, rack: &str| {
            format!(
                "  - {{ name: {name}, cpu: 8cores, memory: {memory}GiB, network: 1GiB/s, state: on, labels: {{ rack: {rack} }} }}\n"
            )
        };
        let cluster = format!(
            "hosts:\n{}{}{}{}{}guests:\n{}",
            host("small-1", 8, "r1"),
            host("large-1", 64, "r2"),
            host("large-2", 64, "r2"),
            host("middle", 32, "r3"),
            host("small-2", 8, "r4"),
            ["a", "b", "c", "d"]
                .map(|g| format!("  - {{ name: {g}, vcpus: 1, memory: 1GiB, host: small-1 }}\n"))
                .concat()
        );
        let policy = "rules:
  - { kind: spread, name: apart, guests: [a, b, c], over: rack }
";
        let (cluster, load, policy) = read(&cluster, "", policy);
        let problem = Problem::build(&cluster, &load, &policy).unwrap();
        let inst = Instance::build(&problem).unwrap();
        // The best hosts are all in one rack; the three guests need three.
        let worth = by_worth(&inst);
        assert_eq!(worth, [1, 2, 3, 0, 4]);
        assert_eq!(with_needed(&inst, &worth), [1, 3, 0, 2, 4]);
        // Where hosts differ their worth comes before what they carry.
        assert_eq!(order(&inst, &worth, &[0; 4], 0), worth);
        assert_eq!(order(&inst, &worth, &[0; 4], 2), [0, 1, 2, 3, 4]);
    }
}
