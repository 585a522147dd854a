//! When each migration starts: list scheduling over the formulation in `vmpack_ilp::waves`. Whenever a
//! slot or room comes free, of the migrations that can start the most urgent does; urgent is what the
//! busiest link still has before it. Some priorities are tried, drawn at random beyond the first, and
//! the schedule that ends the soonest is taken.
//!
//! The order given is kept where leaving it could end in a deadlock: a migration starts before others
//! that come to the same host earlier in that order only if the host's part of the order still fits
//! with it in front. So at every moment the rest of the order can be carried out one by one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fixedbitset::FixedBitSet;
use vmpack_domain::units::Micros;
use vmpack_ilp::problem::{Amounts, Problem};
use vmpack_ilp::waves::{Job, Slots};

use super::add;
use crate::rng::Rng;

/// Priorities that are tried, at most.
const TRIES: usize = 24;
/// And jobs in all tries together, about; one is made in any case.
const TRIED: usize = 100_000;

/// When the jobs start.
#[derive(Debug, Clone)]
pub(crate) struct Timetable {
    /// Start of each job.
    pub(crate) start: Vec<Micros>,
    /// When the last one ends.
    pub(crate) end: Micros,
}

/// A schedule of the jobs, which are in an order in which each has room after the earlier ones;
/// `bound` ends the search when it is met.
pub(crate) fn timetable(
    problem: &Problem,
    jobs: &[Job],
    slots: &Slots,
    bound: Micros,
    seed: u64,
) -> Timetable {
    let mut best: Option<Timetable> = None;
    let tries = TRIES.min(TRIED / jobs.len().max(1)).max(1);
    for attempt in 0..tries as u64 {
        let mut rng = Rng::new(seed, 4000 + attempt);
        let noise = jobs.iter().map(|_| match attempt {
            0 => 1000,
            _ => 1000 + rng.below(300) as u64,
        });
        let noise = noise.collect();
        let found = Run::new(problem, jobs, slots, noise).run();
        if best.as_ref().is_none_or(|b| found.end < b.end) {
            best = Some(found);
        }
        if best.as_ref().is_some_and(|b| b.end <= bound) {
            break;
        }
    }
    best.unwrap_or(Timetable {
        start: Vec::new(),
        end: Micros::ZERO,
    })
}

/// The earlier jobs that each must have ended before, so that in whatever order the rest comes every
/// target has room and `after` is kept: ascending, without those that follow from others. Jobs are in
/// the order of their starts.
///
/// Of those that come to a host, each waits for all departures from it that the ones before wait for,
/// and for as many more, the first to end first, as its own room needs. So at any moment those there
/// are at most the ones that were counted with the largest such set.
pub(crate) fn edges(problem: &Problem, jobs: &[Job], start: &[Micros]) -> Vec<Vec<usize>> {
    let end = |i: usize| start[i] + jobs[i].duration;
    let mut load = problem.loads();
    let mut left: Vec<Vec<usize>> = vec![Vec::new(); problem.hosts.len()];
    let mut departures = left.clone();
    for (i, job) in jobs.iter().enumerate() {
        departures[job.from].push(i);
    }
    for of_host in &mut departures {
        of_host.sort_by_key(|i| (end(*i), *i));
    }
    let mut ended: Vec<FixedBitSet> = Vec::with_capacity(jobs.len());
    let mut edges = Vec::with_capacity(jobs.len());
    for (i, job) in jobs.iter().enumerate() {
        let mut waits = job.after.clone();
        waits.extend(&left[job.to]);
        let need = |j: usize| &problem.guests[jobs[j].guest].need;
        add(&mut load[job.to], need(i), 1);
        for j in &departures[job.to] {
            if problem.fits(&load[job.to], &problem.hosts[job.to].room) || end(*j) > start[i] {
                break;
            }
            if !left[job.to].contains(j) {
                add(&mut load[job.to], need(*j), -1);
                left[job.to].push(*j);
                waits.push(*j);
            }
        }
        let mut before = FixedBitSet::with_capacity(jobs.len());
        let mut direct = Vec::new();
        // The latest first: it has waited for most of the others.
        waits.sort_unstable_by_key(|j| (Reverse(start[*j]), Reverse(*j)));
        waits.dedup();
        for j in waits {
            if !before.contains(j) {
                before.insert(j);
                before.union_with(&ended[j]);
                direct.push(j);
            }
        }
        // What it waits for by way of others counts for those that come after it, too.
        for j in &departures[job.to] {
            if before.contains(*j) && !left[job.to].contains(j) {
                add(&mut load[job.to], need(*j), -1);
                left[job.to].push(*j);
            }
        }
        direct.sort_unstable();
        ended.push(before);
        edges.push(direct);
    }
    edges
}

/// The jobs by their starts, those that start together in the order given: which of the given ones
/// each is, the jobs with `after` by the new order, and their starts.
pub(crate) fn by_start(jobs: &[Job], table: &Timetable) -> (Vec<usize>, Vec<Job>, Vec<Micros>) {
    let mut sorted: Vec<usize> = (0..jobs.len()).collect();
    sorted.sort_by_key(|i| (table.start[*i], *i));
    let mut rank = vec![0; jobs.len()];
    sorted.iter().enumerate().for_each(|(r, i)| rank[*i] = r);
    let in_order = sorted.iter().map(|i| {
        let mut job = jobs[*i].clone();
        job.after.iter_mut().for_each(|j| *j = rank[*j]);
        job
    });
    let in_order = in_order.collect();
    let start = sorted.iter().map(|i| table.start[*i]).collect();
    (sorted, in_order, start)
}

/// A schedule in the making.
struct Run<'a> {
    problem: &'a Problem,
    jobs: &'a [Job],
    slots: &'a Slots,
    /// Per job, by what its urgency is multiplied, in thousandths.
    noise: Vec<u64>,
    now: Micros,
    start: Vec<Option<Micros>>,
    /// Jobs that are not over, of those that each waits for.
    waits_for: Vec<usize>,
    /// Jobs that wait for each.
    awaited_by: Vec<Vec<usize>>,
    running: BinaryHeap<Reverse<(Micros, usize)>>,
    /// Needs on each host, of a guest that moves at both ends.
    load: Vec<Amounts>,
    /// Jobs that have not started and come to or leave each host, in order.
    touch: Vec<Vec<usize>>,
    /// Running ones that leave each host, and that come to it.
    busy: [Vec<usize>; 2],
    /// Work of those that leave each host and are not over, and of those that come to it.
    work: [Vec<Micros>; 2],
    /// By place, those that run and are in split state, and work of those that are not over.
    split: Vec<(usize, Micros)>,
    /// When each host's room last changed, in steps; and when each job was last refused for room.
    changed: Vec<usize>,
    refused: Vec<usize>,
    step: usize,
}

impl<'a> Run<'a> {
    fn new(problem: &'a Problem, jobs: &'a [Job], slots: &'a Slots, noise: Vec<u64>) -> Self {
        let hosts = problem.hosts.len();
        let mut run = Self {
            problem,
            jobs,
            slots,
            noise,
            now: Micros::ZERO,
            start: vec![None; jobs.len()],
            waits_for: jobs.iter().map(|j| j.after.len()).collect(),
            awaited_by: vec![Vec::new(); jobs.len()],
            running: BinaryHeap::new(),
            load: problem.loads(),
            touch: vec![Vec::new(); hosts],
            busy: [vec![0; hosts], vec![0; hosts]],
            work: [vec![Micros::ZERO; hosts], vec![Micros::ZERO; hosts]],
            split: vec![(0, Micros::ZERO); slots.split.len()],
            changed: vec![1; hosts],
            refused: vec![0; jobs.len()],
            step: 1,
        };
        for (i, job) in jobs.iter().enumerate() {
            for j in &job.after {
                run.awaited_by[*j].push(i);
            }
            for place in &job.split {
                run.split[*place].1 += job.duration;
            }
            for (d, host) in [job.from, job.to].into_iter().enumerate() {
                run.touch[host].push(i);
                run.work[d][host] += job.duration;
            }
        }
        run
    }

    fn run(mut self) -> Timetable {
        let mut pending: Vec<usize> = (0..self.jobs.len()).collect();
        loop {
            // Slots are only taken until the next one ends: who has none now is not asked, nor who was
            // refused by a host where nothing has changed.
            let asked = pending.iter().copied();
            let asked = asked.filter(|i| self.has_slot(*i) && self.may_have_room(*i));
            let mut asked = self.by_urgency(asked);
            let mut any = false;
            while self.running.len() < self.slots.at_once {
                let Some((_, Reverse(i))) = asked.pop() else {
                    break;
                };
                any |= self.starts(i);
            }
            if any {
                pending.retain(|i| self.start[*i].is_none());
            }
            let Some(Reverse((at, _))) = self.running.peek().copied() else {
                break;
            };
            self.now = at;
            while let Some(Reverse((end, i))) = self.running.peek().copied() {
                if end > at {
                    break;
                }
                self.running.pop();
                self.ends(i);
            }
        }
        debug_assert!(pending.is_empty(), "the order given fits one by one");
        Timetable {
            start: self
                .start
                .into_iter()
                .map(Option::unwrap_or_default)
                .collect(),
            end: self.now,
        }
    }

    /// The most urgent first: by how long what shares a slot with it must still take, on the busier of
    /// both links, on the link into the host that it leaves, which may wait for its room, or in all;
    /// where that is the same, the longest first.
    fn by_urgency(
        &self,
        pending: impl Iterator<Item = usize>,
    ) -> BinaryHeap<(u64, Reverse<usize>)> {
        let per_host = |work: Micros| work.0 / self.slots.per_host as u64;
        let all = self.work[0].iter().map(|w| w.0).sum::<u64>() / self.slots.at_once as u64;
        let urgency = |i: usize| {
            let job = &self.jobs[i];
            let own = per_host(self.work[0][job.from].max(self.work[1][job.to]));
            let next = job.duration.0 + per_host(self.work[1][job.from]);
            let split = job.split.iter();
            let split = split.map(|p| self.split[*p].1.0 / self.slots.split[*p].0 as u64);
            let shared = own.max(next).max(all).max(split.max().unwrap_or(0));
            (shared / 1000 * self.noise[i] + job.duration.0, Reverse(i))
        };
        pending.map(urgency).collect()
    }

    /// Whether it has slots now and waits for no other job.
    fn has_slot(&self, i: usize) -> bool {
        let job = &self.jobs[i];
        self.running.len() < self.slots.at_once
            && self.waits_for[i] == 0
            && self.busy[0][job.from] < self.slots.per_host
            && self.busy[1][job.to] < self.slots.per_host
            && job
                .split
                .iter()
                .all(|p| self.split[*p].0 < self.slots.split[*p].0)
    }

    /// Whether its target has changed since it was refused.
    fn may_have_room(&self, i: usize) -> bool {
        self.refused[i] < self.changed[self.jobs[i].to]
    }

    /// Starts the job if it can start now.
    fn starts(&mut self, i: usize) -> bool {
        let job = &self.jobs[i];
        if !self.has_slot(i) || !self.may_have_room(i) {
            return false;
        }
        self.step += 1;
        if !self.has_room(i) {
            self.refused[i] = self.step;
            return false;
        }
        let need = &self.problem.guests[job.guest].need;
        add(&mut self.load[job.to], need, 1);
        for (d, host) in [job.from, job.to].into_iter().enumerate() {
            self.busy[d][host] += 1;
            self.touch[host].retain(|j| *j != i);
            self.changed[host] = self.step;
        }
        job.split.iter().for_each(|p| self.split[*p].0 += 1);
        self.start[i] = Some(self.now);
        self.running.push(Reverse((self.now + job.duration, i)));
        true
    }

    fn ends(&mut self, i: usize) {
        let job = &self.jobs[i];
        self.step += 1;
        add(
            &mut self.load[job.from],
            &self.problem.guests[job.guest].need,
            -1,
        );
        for (d, host) in [job.from, job.to].into_iter().enumerate() {
            self.busy[d][host] -= 1;
            self.work[d][host] = Micros(self.work[d][host].0 - job.duration.0);
        }
        for place in &job.split {
            let (running, work) = &mut self.split[*place];
            *running -= 1;
            *work = Micros(work.0 - job.duration.0);
        }
        self.changed[job.from] = self.step;
        for j in std::mem::take(&mut self.awaited_by[i]) {
            self.waits_for[j] -= 1;
        }
    }

    /// Whether the target has room for the job now, and its part of the order still fits with the job
    /// in front once those that leave it now are gone.
    fn has_room(&self, i: usize) -> bool {
        let (host, guests) = (self.jobs[i].to, &self.problem.guests);
        let room = &self.problem.hosts[host].room;
        let mut load = self.load[host].clone();
        add(&mut load, &guests[self.jobs[i].guest].need, 1);
        if !self.problem.fits(&load, room) {
            return false;
        }
        if self.touch[host].first() == Some(&i) {
            return true;
        }
        for Reverse((_, j)) in &self.running {
            if self.jobs[*j].from == host {
                add(&mut load, &guests[self.jobs[*j].guest].need, -1);
            }
        }
        for j in self.touch[host].iter().copied().filter(|j| *j != i) {
            let need = &guests[self.jobs[j].guest].need;
            if self.jobs[j].from == host {
                add(&mut load, need, -1);
                continue;
            }
            add(&mut load, need, 1);
            if !self.problem.fits(&load, room) {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests;
