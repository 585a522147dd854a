//! Why: what a plan rests on, the reason of each move, and why there is no plan, in words.

mod change;
mod conflict;
mod moves;
pub(crate) mod relax;

pub(crate) use conflict::conflict;
pub(crate) use moves::Motives;

use std::collections::BTreeSet;

use vmpack_domain::plan::TradeClaim;
use vmpack_domain::units::{MiB, MilliCores, Sum, count};
use vmpack_domain::{Cluster, Load, Policy};
use vmpack_ilp::bound::Bound;
use vmpack_ilp::problem::{GroupKind, GroupRule, Problem, is_cpu};

use crate::assemble::unsigned;
use crate::instance::Instance;
use crate::schedule::reach::Route;
use crate::search::Search;

/// What the reader of a plan should know.
pub(crate) fn plan(
    policy: &Policy,
    problem: &Problem,
    route: &Route,
    bound: &Bound,
    trade: Option<&TradeClaim>,
) -> Vec<String> {
    let mut reasons = problem.warnings.clone();
    let plain = |cost: i64| Sum(unsigned(cost));
    if let (Some(claim), Some(objective)) = (trade, &policy.objective) {
        let stay = match claim.stay {
            Some(stay) => format!("; moving nothing costs {stay}"),
            None => String::new(),
        };
        reasons.push(format!(
            "hosts over {} and migrations cost {} together, no plan less than {}{stay}",
            objective.horizon, claim.objective, claim.bound
        ));
    }
    if route.cost <= bound.cost {
        reasons.push(format!(
            "no placement costs less than {}: {}",
            plain(bound.cost),
            bound.origin
        ));
    } else if trade.is_none() {
        reasons.push(format!(
            "whether hosts that cost less than {} would do is open down to {}: {}",
            plain(route.cost),
            plain(bound.cost),
            bound.origin
        ));
    }
    reasons.extend(route.beyond.clone());
    reasons
}

/// The problem of a cluster, unless looking at it shows that it has no answer.
///
/// # Errors
/// Why no placement can exist.
pub(crate) fn contradiction(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
) -> Result<Problem, Vec<String>> {
    let problem = Problem::build(cluster, load, policy)?;
    Instance::build(&problem)?;
    let reasons = by_counting(&problem.plain());
    if reasons.is_empty() {
        Ok(problem)
    } else {
        Err(reasons)
    }
}

/// The problem of a cluster as [`contradiction`] has it, the rules in conflict told where it has no answer.
///
/// # Errors
/// Why no placement can exist.
pub(crate) fn problem(
    cluster: &Cluster,
    load: &Load,
    policy: &Policy,
    search: &Search,
) -> Result<Problem, Vec<String>> {
    contradiction(cluster, load, policy)
        .map_err(|told| conflict::counted(told, (cluster, load, policy), search))
}

/// Names, at most three of them.
fn few<'a>(names: impl Iterator<Item = &'a str> + Clone) -> String {
    let count = names.clone().count();
    let list: Vec<&str> = names.take(3).collect();
    if count > list.len() {
        format!("{} and {} more", list.join(", "), count - list.len())
    } else {
        list.join(", ")
    }
}

fn names<'a>(problem: &'a Problem, guests: &'a [usize]) -> impl Iterator<Item = &'a str> + Clone {
    guests.iter().map(|g| problem.guests[*g].name.as_str())
}

/// The gather rules that bind some of these guests, by name.
fn gathers<'a>(problem: &'a Problem, guests: &[usize]) -> Vec<&'a str> {
    let binds = |rule: &&GroupRule| matches!(&rule.kind, GroupKind::Gather { guests: g, .. } if g.iter().any(|x| guests.contains(x)));
    problem
        .rules
        .iter()
        .filter(binds)
        .map(|r| r.name.as_str())
        .collect()
}

/// No host may or can take guests that must be together.
pub(crate) fn bundle_without_host(problem: &Problem, guests: &[usize]) -> String {
    let rules = gathers(problem, guests).join(" and ");
    let common = |h: &usize| {
        guests
            .iter()
            .all(|g| problem.guests[*g].allowed.contains(h))
    };
    let hosts: Vec<usize> = (0..problem.hosts.len()).filter(common).collect();
    let who = few(names(problem, guests));
    if hosts.is_empty() {
        return format!("rule {rules} puts {who} on one host, and no host may take them all");
    }
    let need = |r: usize| -> i64 { guests.iter().map(|g| problem.guests[*g].need[r]).sum() };
    // The windows in which they want most may be exempt.
    let (mut cpu, mut counted): (Vec<usize>, Vec<usize>) =
        (0..problem.resources.len()).partition(|r| is_cpu(*r));
    cpu.sort_by_key(|r| (std::cmp::Reverse(need(*r)), *r));
    counted.extend(cpu.into_iter().skip(problem.exempt));
    counted.sort_unstable();
    let lacks = counted.into_iter().filter_map(|r| {
        let need = need(r);
        let most = hosts.iter().map(|h| problem.hosts[*h].room[r]).max()?;
        (need > most).then(|| {
            format!(
                "their {} is {}, at most {} is offered",
                problem.resources[r],
                amount(r, need),
                amount(r, most)
            )
        })
    });
    let lacks: Vec<String> = lacks.collect();
    let lacks = if lacks.is_empty() {
        "none offers all that they need at once".to_owned()
    } else {
        lacks.join("; ")
    };
    format!("rule {rules} puts {who} on one host, and none that may take them has room: {lacks}")
}

/// A rule as the user knows it.
fn named(rule: &GroupRule) -> String {
    match rule.name.as_str() {
        name @ "limits.moves" => format!("`{name}`"),
        name => format!("rule {name}"),
    }
}

/// An amount of a resource with its unit.
fn amount(resource: usize, value: i64) -> String {
    let value = u64::try_from(value).unwrap_or(0);
    match resource {
        1 => MiB(value).to_string(),
        2 => (value / 1000).to_string(),
        // CPU, in the first and in further windows.
        _ => MilliCores(value).to_string(),
    }
}

/// A spread rule over guests of whom others say that they share a host.
pub(crate) fn spread_in_a_bundle(problem: &Problem, rule: &GroupRule, root: &[usize]) -> String {
    let GroupKind::Spread { guests, .. } = &rule.kind else {
        return String::new();
    };
    let same = |g: &&usize| guests.iter().any(|o| o != *g && root[*o] == root[**g]);
    let bound: Vec<usize> = guests.iter().filter(same).copied().collect();
    format!(
        "rule {} keeps {} apart, and rule {} puts them on one host",
        rule.name,
        few(names(problem, &bound)),
        gathers(problem, &bound).join(" and ")
    )
}

/// Why no placement can exist, as far as counting tells: volume, and more guests apart than places.
fn by_counting(problem: &Problem) -> Vec<String> {
    let mut reasons = Vec::new();
    for r in 0..problem.resources.len() {
        let need: i64 = problem.guests.iter().map(|g| g.need[r]).sum();
        let open = problem.hosts.iter().filter(|h| h.open);
        let room: i64 = open.clone().map(|h| h.room[r]).sum();
        let offered: i64 = open.map(|h| h.offered()[r]).sum();
        let spare = problem.rules.iter().filter_map(|rule| match &rule.kind {
            GroupKind::Spare { amount } => Some((amount[r], rule.name.as_str())),
            _ => None,
        });
        let (kept, by) = spare.max().unwrap_or((0, ""));
        if need > room {
            reasons.push(format!(
                "all guests together take {} of {}, all hosts that may be used offer {}",
                amount(r, need),
                problem.resources[r],
                amount(r, room)
            ));
        } else if !by.is_empty() && need + kept > offered {
            reasons.push(format!(
                "rule {by} keeps {} of {} free; the guests take {} of the {} that all hosts offer",
                amount(r, kept),
                problem.resources[r],
                amount(r, need),
                amount(r, offered)
            ));
        }
    }
    for rule in &problem.rules {
        if let GroupKind::MaxMoves { guests, moves } = &rule.kind {
            let leaves = |g: &&usize| {
                let guest = &problem.guests[**g];
                guest.current.is_some_and(|h| !guest.allowed.contains(&h))
            };
            let leaving: Vec<usize> = guests.iter().filter(leaves).copied().collect();
            if leaving.len() > *moves {
                reasons.push(format!(
                    "{} allows {}, and {} must leave where they are: {}",
                    named(rule),
                    count(*moves, "move"),
                    count(leaving.len(), "guest"),
                    few(names(problem, &leaving))
                ));
            }
        }
        if let GroupKind::Spread { guests, place } = &rule.kind {
            // As many places as guests are enough; one guest alone mostly has them.
            let mut places = BTreeSet::new();
            let hosts = guests
                .iter()
                .flat_map(|g| problem.guests[*g].allowed.iter());
            for host in hosts {
                if places.len() >= guests.len() {
                    break;
                }
                places.insert(place[*host]);
            }
            if places.len() < guests.len() {
                reasons.push(format!(
                    "rule {} keeps {} in different places, and they may be in {} only",
                    rule.name,
                    count(guests.len(), "guest"),
                    count(places.len(), "place")
                ));
            }
        }
    }
    reasons
}
