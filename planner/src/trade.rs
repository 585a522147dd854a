//! Hosts weighed against migrations: of the answers for every budget of hosts, the one whose hosts
//! over the horizon and whose migrations together cost least. Prices are in millionths, see
//! [`vmpack_domain::objective`].
//!
//! With cost C of the hosts in use and L(C) what moving guests costs at least at no more than that,
//! no plan costs less than min over C of `hosts(C) + L(C)`. Budgets are tried in the order of that
//! sum, until the best answer costs no more than what the next could cost at least.

use vmpack_domain::objective::Objective;
use vmpack_domain::plan::TradeClaim;
use vmpack_domain::units::Sum;
use vmpack_ilp::agree;
use vmpack_ilp::bound::{self, MovesBound};
use vmpack_ilp::problem::Problem;

use crate::assemble::unsigned;
use crate::instance::{Instance, NOWHERE};
use crate::pack::Packed;
use crate::schedule::reach::Route;

/// Most budgets that are tried.
const TRIES: u64 = 6;
/// Most costs of hosts that the bound tells apart.
const COSTS: i64 = 4096;

/// What hosts of that cost (thousandths) cost over the horizon.
fn hosts(objective: &Objective, cost: i64) -> i64 {
    i64::try_from(objective.hosts(Sum(unsigned(cost)))).unwrap_or(i64::MAX / 4)
}

/// What hosts of that cost and moving to that placement of guests cost together.
pub(crate) fn total(
    objective: &Objective,
    problem: &Problem,
    cost: i64,
    placement: &[usize],
) -> i64 {
    let guests = problem.guests.iter().zip(placement);
    let moved = guests.filter(|(g, h)| g.current.is_some_and(|c| c != **h));
    hosts(objective, cost) + moved.map(|(g, _)| g.price).sum::<i64>()
}

/// What the hosts may cost, from those of an answer on by one host more each time, the cheapest
/// first.
pub(crate) fn budgets(problem: &Problem, packed: &Packed) -> Vec<i64> {
    let mut others: Vec<i64> = (0..problem.hosts.len())
        .filter(|h| problem.hosts[*h].open && packed.awake.binary_search(h).is_err())
        .map(|h| problem.hosts[h].cost)
        .collect();
    others.sort_unstable();
    let more = others.into_iter().scan(packed.cost, |sum, cost| {
        *sum += cost;
        Some(*sum)
    });
    std::iter::once(packed.cost).chain(more).collect()
}

/// The best trade that is found from the fewest hosts: `cheapest` seeks, from an answer, the cheapest
/// moves at a budget of hosts, with so many thousandths of the time left.
pub(crate) fn best(
    whole: &Instance,
    fewest: Packed,
    objective: &Objective,
    mut cheapest: impl FnMut(Packed, i64, u64) -> (Packed, MovesBound),
) -> (Packed, MovesBound) {
    let problem = whole.problem;
    let costs = budgets(problem, &fewest);
    let bounds = bound::moves_each(problem, &costs);
    let mut open: Vec<(i64, i64, MovesBound)> = costs
        .into_iter()
        .zip(bounds)
        .map(|(cost, least)| (hosts(objective, cost) + least.least, cost, least))
        .collect();
    open.sort_by_key(|(sum, cost, _)| (*sum, *cost));
    let price = |p: &Packed| hosts(objective, p.cost) + whole.moved(&p.at);
    let stay = stay(whole);
    let mut best: Option<(Packed, MovesBound)> = stay.clone().map(|stay| {
        let least = bound::moves(problem, stay.cost);
        (stay, least)
    });
    for (tried, (sum, cost, _)) in (0..TRIES).zip(open) {
        if best.as_ref().is_some_and(|(p, _)| price(p) <= sum) {
            break;
        }
        let left = TRIES - tried;
        let (found, least) = cheapest(fewest.clone(), cost, 850 / left.min(3));
        if best.as_ref().is_none_or(|(p, _)| price(&found) < price(p)) {
            best = Some((found, least));
        }
    }
    let best = best.unwrap_or_else(|| {
        let least = bound::moves(problem, fewest.cost);
        (fewest, least)
    });
    match stay {
        Some(stay) if price(&best.0).saturating_add(gain(objective)) > price(&stay) => {
            let least = bound::moves(problem, stay.cost);
            (stay, least)
        }
        _ => best,
    }
}

/// The least gain for which guests are moved.
fn gain(objective: &Objective) -> i64 {
    i64::try_from(objective.min_gain.0.saturating_mul(1000)).unwrap_or(i64::MAX / 4)
}

/// Where guests are, if nothing is wrong with it.
fn stay(whole: &Instance) -> Option<Packed> {
    let now = whole.current();
    let all = !now.contains(&NOWHERE);
    all.then(|| Packed::of(whole, &now)).flatten()
}

/// What a plan claims of its trade.
pub(crate) fn claim(
    objective: &Objective,
    problem: &Problem,
    route: &Route,
    least_cost: i64,
) -> TradeClaim {
    let found = total(objective, problem, route.cost, &route.placement);
    let stay = Instance::build(problem).ok().and_then(|inst| stay(&inst));
    let stay = stay.map(|s| hosts(objective, s.cost));
    let least = bound(objective, problem, least_cost);
    let mut least = agree(least, found, "hosts and moves together").unwrap_or(0);
    // Where nothing can gain enough, staying is all that is left.
    if let Some(stay) = stay
        && least.saturating_add(gain(objective)) > stay
    {
        least = stay.min(found);
    }
    // Rounded down to thousandths, all alike.
    let price = |millionths: i64| Sum(unsigned(millionths) / 1000);
    TradeClaim {
        objective: price(found),
        bound: price(least),
        stay: stay.map(price),
    }
}

/// No plan costs less: the minimum over what the hosts in use may cost, from `least_cost` up.
fn bound(objective: &Objective, problem: &Problem, least_cost: i64) -> i64 {
    let unit = bound::cost_unit(problem);
    let all: i64 = problem.hosts.iter().map(|h| h.cost).sum();
    let steps = ((all - least_cost) / unit).max(0);
    let step = unit * (steps / COSTS + 1);
    let from: Vec<i64> = (0..)
        .map(|i| least_cost + i * step)
        .take_while(|c| *c <= all)
        .collect();
    // Hosts that cost from `c` on and less than the next.
    let upto: Vec<i64> = from.iter().map(|c| c + step - 1).collect();
    let each = from.iter().zip(bound::moves_each(problem, &upto));
    each.map(|(c, least)| hosts(objective, *c) + least.least)
        .min()
        .unwrap_or_else(|| hosts(objective, least_cost))
}
