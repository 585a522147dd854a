//! `spare`: the hosts in use keep room free.
//!
//! - (spare) Σ_h `offered[h,r]·y[h]` ≥ Σ_g `need[g,r]` + `amount[r]` for every resource r,
//!   `offered` being the room with the whole headroom, also of a host that may keep more
//!
//! Hosts that carry nothing can be kept awake for it: [`in_use`] finds the cheapest ones.

use std::collections::BTreeMap;

use good_lp::Constraint;
use smallvec::smallvec;

use crate::grid::Grid;
use crate::model::Sum;
use crate::problem::{Amounts, GroupKind, HostSlot, Problem};

pub(crate) fn rows(p: &Problem, grid: &Grid, amount: &Amounts, rows: &mut Vec<Constraint>) {
    for (r, amount) in amount.iter().enumerate() {
        let mut awake = Sum::new();
        for (h, host) in p.hosts.iter().enumerate() {
            awake.add(host.offered()[r], grid.y(h));
        }
        let need: i64 = p.guests.iter().map(|g| g.need[r]).sum();
        rows.push(awake.at_least(need.saturating_add(*amount)));
    }
}

/// The room that so many of the largest hosts offer, of each of so many resources; hosts that drain do not count.
pub(crate) fn amount(hosts: &[HostSlot], worth: u32, resources: usize) -> Amounts {
    let mut largest: Amounts = smallvec![0; resources];
    for host in hosts.iter().filter(|h| h.open) {
        for (l, r) in largest.iter_mut().zip(host.offered()) {
            *l = (*l).max(*r);
        }
    }
    // No cluster offers more than 2^60; capped there, it can be added to without overflow.
    let times = |l: i64| l.saturating_mul(i64::from(worth)).min(1 << 60);
    largest.into_iter().map(times).collect()
}

/// How much room the hosts in use must have together, per resource: Σ need and the largest amount
/// of any spare rule; 0 where no rule asks for spare room.
pub(crate) fn wanted(p: &Problem) -> Vec<i128> {
    let mut wanted = vec![0; p.resources.len()];
    for rule in &p.rules {
        if let GroupKind::Spare { amount } = &rule.kind {
            for r in 0..wanted.len() {
                let need: i128 = p.guests.iter().map(|g| i128::from(g.need[r])).sum();
                wanted[r] = wanted[r].max(need + i128::from(amount[r]));
            }
        }
    }
    wanted
}

/// Whether all hosts together have the room that spare rules want. Decided in integers here, so that
/// no row asks for more than a double holds.
pub(crate) fn is_possible(p: &Problem) -> bool {
    let wanted = wanted(p);
    (0..wanted.len()).all(|r| {
        let open = p.hosts.iter().filter(|h| h.open);
        wanted[r] <= open.map(|h| i128::from(h.offered()[r])).sum()
    })
}

/// Hosts that are alike when all that counts is their room and their cost.
struct Kind {
    cost: i64,
    room: Amounts,
    /// Awake ones first, so that ties wake none.
    hosts: Vec<usize>,
}

/// The hosts in use for a placement, ascending: those that carry a guest, those that never sleep,
/// and the cheapest others that give what `spare` rules want. `None` when no set of hosts gives it.
///
/// Exact while the search over kinds of hosts (alike in room and cost) stays below 100,000 steps,
/// which a handful of kinds never reaches; beyond it the best set found so far.
#[must_use]
pub fn in_use(p: &Problem, placement: &[usize]) -> Option<Vec<usize>> {
    let mut awake: Vec<bool> = p.hosts.iter().map(|h| h.always).collect();
    for host in placement {
        *awake.get_mut(*host)? = true;
    }
    let mut missing = wanted(p);
    if missing.iter().any(|m| *m > 0) {
        let mut kinds: BTreeMap<(i64, Amounts), Vec<usize>> = BTreeMap::new();
        for (h, host) in p.hosts.iter().enumerate() {
            if awake[h] {
                take(&mut missing, host.offered(), 1);
            } else if host.open {
                kinds
                    .entry((host.cost, host.offered().clone()))
                    .or_default()
                    .push(h);
            }
        }
        let mut kinds: Vec<Kind> = kinds
            .into_iter()
            .map(|((cost, room), mut hosts)| {
                hosts.sort_by_key(|h| (p.hosts[*h].asleep, *h));
                Kind { cost, room, hosts }
            })
            .collect();
        // Large rooms first, so that the first descent is a fair answer.
        kinds.sort_by(|a, b| b.room.cmp(&a.room));
        let mut search = Search {
            kinds: &kinds,
            steps: 0,
            best: None,
        };
        search.descend(&missing, 0, &mut Vec::new());
        let (_, counts) = search.best?;
        for (kind, count) in kinds.iter().zip(counts) {
            for h in kind.hosts.iter().take(count) {
                awake[*h] = true;
            }
        }
    }
    Some((0..awake.len()).filter(|h| awake[*h]).collect())
}

fn take(missing: &mut [i128], room: &Amounts, count: usize) {
    for (m, r) in missing.iter_mut().zip(room) {
        *m -= i128::from(*r) * i128::try_from(count).unwrap_or(0);
    }
}

/// Depth-first over how many hosts of each kind are kept awake.
struct Search<'a> {
    kinds: &'a [Kind],
    steps: u32,
    best: Option<(i64, Vec<usize>)>,
}

impl Search<'_> {
    fn descend(&mut self, missing: &[i128], cost: i64, counts: &mut Vec<usize>) {
        self.steps += 1;
        let beaten = self.best.as_ref().is_some_and(|(best, _)| cost >= *best);
        if beaten || (self.best.is_some() && self.steps > 100_000) {
            return;
        }
        if missing.iter().all(|m| *m <= 0) {
            let mut counts = counts.clone();
            counts.resize(self.kinds.len(), 0);
            self.best = Some((cost, counts));
            return;
        }
        let Some(kind) = self.kinds.get(counts.len()) else {
            return;
        };
        // More of this kind than fills every lack is never needed; what the later kinds cannot
        // give must come from this one.
        let most = (0..missing.len())
            .filter(|r| missing[*r] > 0 && kind.room[*r] > 0)
            .map(|r| hosts_for(missing[r], kind.room[r], kind.hosts.len()))
            .max()
            .unwrap_or(0);
        let later = self.kinds.get(counts.len() + 1..).unwrap_or_default();
        let least = (0..missing.len())
            .map(|r| {
                let others: i128 = later
                    .iter()
                    .map(|k| i128::from(k.room[r]) * i128::try_from(k.hosts.len()).unwrap_or(0))
                    .sum();
                let rest = missing[r] - others;
                if rest <= 0 {
                    0
                } else if i128::from(kind.room[r]) * i128::try_from(kind.hosts.len()).unwrap_or(0)
                    < rest
                {
                    usize::MAX
                } else {
                    hosts_for(rest, kind.room[r], kind.hosts.len())
                }
            })
            .max()
            .unwrap_or(0);
        let mut count = most;
        while least <= count {
            let mut rest = missing.to_vec();
            take(&mut rest, &kind.room, count);
            let added = kind
                .cost
                .saturating_mul(i64::try_from(count).unwrap_or(i64::MAX));
            counts.push(count);
            self.descend(&rest, cost.saturating_add(added), counts);
            counts.pop();
            match count.checked_sub(1) {
                Some(fewer) => count = fewer,
                None => break,
            }
        }
    }
}

/// How many hosts of that room > 0 give `amount` > 0, at most `most`.
fn hosts_for(amount: i128, room: i64, most: usize) -> usize {
    let room = i128::from(room);
    usize::try_from((amount + room - 1) / room).map_or(most, |n| n.min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{CLUSTER_RESOURCES, GroupRule};

    fn problem(hosts: &[(i64, i64, bool)], amount: i64) -> Problem {
        Problem {
            resources: CLUSTER_RESOURCES.map(str::to_owned).to_vec(),
            hosts: hosts
                .iter()
                .enumerate()
                .map(|(i, (room, cost, asleep))| HostSlot {
                    name: format!("h{i}").parse().unwrap(),
                    cost: *cost,
                    room: smallvec![*room; 3],
                    unraised: None,
                    always: false,
                    asleep: *asleep,
                    open: true,
                })
                .collect(),
            guests: Vec::new(),
            rules: vec![GroupRule {
                name: "room".into(),
                kind: GroupKind::Spare {
                    amount: smallvec![amount; 3],
                },
            }],
            exempt: 0,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn the_cheapest_hosts_are_kept_awake() {
        let p = problem(
            &[
                (10, 1000, false),
                (10, 400, true),
                (6, 300, false),
                (6, 300, true),
            ],
            12,
        );
        assert_eq!(in_use(&p, &[]), Some(vec![2, 3]));
        let p = problem(&[(10, 1000, true), (10, 1000, false)], 10);
        assert_eq!(
            in_use(&p, &[]),
            Some(vec![1]),
            "an awake host before a sleeping one"
        );
        assert_eq!(in_use(&p, &[0]), Some(vec![0]), "what carries counts");
        assert_eq!(in_use(&problem(&[(10, 1000, false)], 11), &[]), None);
    }
}
