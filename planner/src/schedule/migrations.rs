//! From an order to migrations as a plan holds them: when each starts, what it waits for, predicted
//! times.

use std::collections::BTreeMap;

use vmpack_domain::migration::{Prediction, choose};
use vmpack_domain::plan::{Mode, Move, MoveId, TimeClaim};
use vmpack_domain::split::{Place, places};
use vmpack_domain::units::{MiB, MiBPerSec, MilliCores, count as counted};
use vmpack_domain::{Cluster, HostName, Load, Policy};
use vmpack_ilp::problem::{GroupKind, Problem};
use vmpack_ilp::waves::{self, Job, Slots};

use super::timetable::{by_start, edges, timetable};
use super::{Hop, budget};

/// The migrations of an order, by their starts, how long they take together, and what is to be told of
/// them; `reason` says why each is proposed. Edges stand where the room or the rules of one hang on another, so that what does
/// not hang on a failed one can still be made.
pub(crate) fn migrations(
    (cluster, load, policy): (&Cluster, &Load, &Policy),
    problem: &Problem,
    hops: &[Hop],
    reason: impl Fn(&Hop) -> String,
) -> (Vec<Move>, TimeClaim, Vec<String>) {
    let load_now = problem.loads();
    let overloaded = |h: usize| !problem.fits(&load_now[h], &problem.hosts[h].room);
    let mut ways: Vec<Way> = hops
        .iter()
        .map(|hop| Way::of((cluster, load, policy), problem, hop, overloaded(hop.from)))
        .collect();
    budget::keep((cluster, load, policy), problem, hops, &mut ways);
    let after = bound_to(problem, hops);
    let (split, of_hop) = split(cluster, policy, problem, hops, &ways);
    let mut jobs: Vec<Job> = Vec::with_capacity(hops.len());
    for (((hop, way), after), split) in hops.iter().zip(&ways).zip(after).zip(of_hop) {
        jobs.push(Job {
            guest: hop.guest,
            from: hop.from,
            to: hop.to,
            duration: way.predicted.total,
            after,
            split,
        });
    }
    let slots = Slots {
        per_host: count(policy.migrations.per_host.get()),
        at_once: count(policy.migrations.at_once.get()),
        split,
    };
    let (bound, origin) = waves::bound(problem, &jobs, &slots);
    let table = timetable(problem, &jobs, &slots, bound, policy.limits.seed);
    let (sorted, in_order, start) = by_start(&jobs, &table);
    let waits = edges(problem, &in_order, &start);
    let moves = sorted.iter().zip(0..).map(|(i, at)| {
        let (hop, way) = (&hops[*i], &ways[*i]);
        let item = &problem.guests[hop.guest];
        let guest = &cluster.guests[hop.guest];
        Move {
            id: id(at),
            guest: item.name.clone(),
            uuid: guest.uuid,
            from: problem.hosts[hop.from].name.clone(),
            to: problem.hosts[hop.to].name.clone(),
            mode: way.mode,
            memory: MiB(guest.memory.0),
            vcpus: guest.vcpus,
            demand: MilliCores(u64::try_from(item.need[0]).unwrap_or(0)),
            bandwidth: way.bandwidth,
            start: start[at],
            duration: way.predicted.total,
            expected: Some(way.predicted.into()),
            after: waits[at].iter().map(|j| id(*j)).collect(),
            reason: reason(hop) + &way.kept(),
        }
    });
    let claim = TimeClaim {
        objective: table.end,
        bound,
        origin,
    };
    (moves.collect(), claim, notes(policy, problem, hops, &ways))
}

/// The places with a limit on guests in split state, and for each migration those that it counts at.
fn split(
    cluster: &Cluster,
    policy: &Policy,
    problem: &Problem,
    hops: &[Hop],
    ways: &[Way],
) -> (Vec<(usize, String)>, Vec<Vec<usize>>) {
    let limits = &policy.migrations.split_at_once;
    let mut numbers: BTreeMap<Place, usize> = BTreeMap::new();
    let mut all = Vec::new();
    let mut of_hop = Vec::with_capacity(hops.len());
    for (hop, way) in hops.iter().zip(ways) {
        let name = |host: usize| &problem.hosts[host].name;
        let labels = |host: &HostName| cluster.host(host).map(|h| &h.labels);
        let mut own = Vec::new();
        for place in places(way.mode, (name(hop.from), name(hop.to)), labels) {
            let Some(most) = place.limit(limits) else {
                continue;
            };
            let next = all.len();
            let what = place.to_string();
            let number = *numbers.entry(place).or_insert(next);
            if number == next {
                all.push((count(most.get()), what));
            }
            own.push(number);
        }
        of_hop.push(own);
    }
    (all, of_hop)
}

/// Migrations that are predicted not to end by themselves, or to leave a guest in split state for long.
fn notes(policy: &Policy, problem: &Problem, hops: &[Hop], ways: &[Way]) -> Vec<String> {
    let named = |which: &dyn Fn(&Prediction) -> bool| {
        let those = hops.iter().zip(ways).filter(|(_, w)| which(&w.predicted));
        let mut names = those.map(|(hop, _)| problem.guests[hop.guest].name.as_str());
        names.next().map(|first| (first, 1 + names.count()))
    };
    let most = policy.migrations.split_state;
    let endless = named(&|p| !p.converges).map(|(guest, n)| {
        format!(
            "{} {} memory faster than pre-copy over its link can send it, and may be given up, {guest} among them",
            counted(n, "guest"),
            if n == 1 { "changes" } else { "change" },
        )
    });
    let split = named(&|p| p.split > most).map(|(guest, n)| {
        format!(
            "{} would be in split state for longer than {most}, {guest} among them",
            counted(n, "guest"),
        )
    });
    endless.into_iter().chain(split).collect()
}

fn id(index: usize) -> MoveId {
    MoveId(format!("m{}", index + 1))
}

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// How a migration is made.
pub(super) struct Way {
    pub(super) mode: Mode,
    pub(super) bandwidth: MiBPerSec,
    pub(super) predicted: Prediction,
    /// The kind that it would be if the budgets of split state had more of it.
    pub(super) instead_of: Option<Mode>,
}

impl Way {
    /// Makes it of another kind.
    pub(super) fn turn(&mut self, mode: Mode, predicted: Prediction) {
        self.instead_of.get_or_insert(self.mode);
        (self.mode, self.predicted) = (mode, predicted);
    }

    /// Why it is of its kind, where that is not what was measured.
    fn kept(&self) -> String {
        let of = |other: Mode| {
            format!(
                "; by {}, as `split-budget` leaves too little for {other}",
                self.mode
            )
        };
        self.instead_of.map(of).unwrap_or_default()
    }

    fn of(
        (cluster, load, policy): (&Cluster, &Load, &Policy),
        problem: &Problem,
        hop: &Hop,
        urgent: bool,
    ) -> Self {
        let guest = &cluster.guests[hop.guest];
        let link = |host: usize| {
            let host = cluster.host(&problem.hosts[host].name);
            host.map(|h| policy.migrations.part_of(h.network))
        };
        let bandwidth = link(hop.from).min(link(hop.to)).unwrap_or_default();
        let load = load.guests.get(&guest.name);
        let (mode, predicted) = choose(&policy.migrations, guest, load, bandwidth, urgent);
        Self {
            mode,
            bandwidth,
            predicted,
            instead_of: None,
        }
    }
}

/// For each migration the earlier ones that it must wait for wherever there is room: those of the same
/// guest, and those of guests that a spread or gather rule binds it to.
fn bound_to(problem: &Problem, hops: &[Hop]) -> Vec<Vec<usize>> {
    let mut rules_of: Vec<Vec<usize>> = vec![Vec::new(); problem.guests.len()];
    for (r, rule) in problem.rules.iter().enumerate() {
        if let GroupKind::Spread { guests, .. } | GroupKind::Gather { guests, .. } = &rule.kind {
            guests.iter().for_each(|g| rules_of[*g].push(r));
        }
    }
    // By guest and by rule, the migrations so far.
    let mut of_guest: Vec<Vec<usize>> = vec![Vec::new(); problem.guests.len()];
    let mut of_rule: Vec<Vec<usize>> = vec![Vec::new(); problem.rules.len()];
    let mut waits = Vec::with_capacity(hops.len());
    for (i, hop) in hops.iter().enumerate() {
        let mut before = of_guest[hop.guest].clone();
        for r in &rules_of[hop.guest] {
            // The last one has waited for those before it.
            before.extend(of_rule[*r].last());
            of_rule[*r].push(i);
        }
        before.sort_unstable();
        before.dedup();
        of_guest[hop.guest].push(i);
        waits.push(before);
    }
    waits
}
