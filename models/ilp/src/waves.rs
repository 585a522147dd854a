//! When each migration of a plan starts, so that the last one ends the soonest.
//!
//! Sets: migrations m ∈ M, from host f(m) to host t(m); hosts h ∈ H; resources r. Given: length d(m);
//! need n(m,r); load l(h,r) before any of them, room R(h,r), r counting no window in which hosts may be
//! overloaded; at most K at once leave a host, at most K
//! come to it, at most N run in all; of the migrations at a place p that go into split state, P(p), at most
//! B(p) run at once; some must wait for others, m ≺ m' (two moves of one guest, or of
//! guests that a rule binds to each other).
//!
//! Variables: start s(m) ≥ 0; with A(h,τ) = {m : t(m) = h, s(m) ≤ τ} those that have begun to come to h
//! and L(h,τ) = {m : f(m) = h, s(m) + d(m) ≤ τ} those that have left it.
//!
//! ```text
//! min  C
//! s.t. end:    s(m) + d(m) ≤ C                                          for each m
//!      wait:   s(m) + d(m) ≤ s(m')                                      for each m ≺ m'
//!      out:    |{m : f(m) = h, s(m) ≤ τ < s(m) + d(m)}| ≤ K             for each h, τ
//!      in:     |{m : t(m) = h, s(m) ≤ τ < s(m) + d(m)}| ≤ K             for each h, τ
//!      all:    |{m : s(m) ≤ τ < s(m) + d(m)}| ≤ N                       for each τ
//!      split:  |{m ∈ P(p) : s(m) ≤ τ < s(m) + d(m)}| ≤ B(p)             for each p, τ
//!      room:   l(h,r) + Σ(A(h,τ)) n(m,r) − Σ(L(h,τ)) n(m,r) ≤ R(h,r)    for each h, r and each
//!              τ = s(m) with t(m) = h
//! ```
//!
//! Without *room* and *wait* this is the open shop with machines in parallel, hard on its own (Gonzalez,
//! Sahni, J. ACM 23(4), 1976). The planner searches by list scheduling; here stands the bound, of one
//! machine at a time with heads and tails (Carlier, EJOR 11(1), 1982): for any set S of migrations that
//! share K slots, C ≥ min head + ⌈Σ d ÷ K⌉ + min tail over S. A migration's head is how soon it can
//! start at all: after those that it waits for, and where its target has no room for it alone now,
//! after the shortest that leaves the target. A tail is what must follow it.

use std::collections::BTreeMap;

use vmpack_domain::units::Micros;

use crate::problem::Problem;

/// A migration to be scheduled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Who moves, by index in the problem.
    pub guest: usize,
    /// From which host.
    pub from: usize,
    /// To which.
    pub to: usize,
    /// How long it takes.
    pub duration: Micros,
    /// Earlier jobs that must have ended before, by index.
    pub after: Vec<usize>,
    /// The places with a limit where it is in split state, as [`Slots::split`] numbers them.
    pub split: Vec<usize>,
}

/// How many may run at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// From each host, and to each host; at least 1.
    pub per_host: usize,
    /// In all; at least 1.
    pub at_once: usize,
    /// In split state, by place; each at least 1, with what it is called.
    pub split: Vec<(usize, String)>,
}

/// A time before which no schedule of the jobs ends, and what it rests on. Jobs wait for earlier ones
/// only.
#[must_use]
pub fn bound(problem: &Problem, jobs: &[Job], slots: &Slots) -> (Micros, String) {
    let mut shortest_out: BTreeMap<usize, Micros> = BTreeMap::new();
    for job in jobs {
        let least = shortest_out.entry(job.from).or_insert(job.duration);
        *least = job.duration.min(*least);
    }
    let load = problem.loads();
    let fits = |job: &Job| {
        let (load, room) = (&load[job.to], &problem.hosts[job.to].room);
        let need = &problem.guests[job.guest].need;
        let load = load.iter().zip(need).map(|(l, n)| l + n);
        problem.fits(&load.collect(), room)
    };
    let mut head = vec![Micros::ZERO; jobs.len()];
    let mut tail = vec![Micros::ZERO; jobs.len()];
    for (i, job) in jobs.iter().enumerate() {
        if !fits(job) {
            head[i] = shortest_out.get(&job.to).copied().unwrap_or(Micros::ZERO);
        }
        for j in &job.after {
            head[i] = head[i].max(head[*j] + jobs[*j].duration);
        }
    }
    for (i, job) in jobs.iter().enumerate().rev() {
        for j in &job.after {
            tail[*j] = tail[*j].max(tail[i] + job.duration);
        }
    }
    let mut best = (Micros::ZERO, String::from("nothing to move"));
    let mut offer = |time: Micros, origin: &dyn Fn() -> String| {
        if time > best.0 {
            best = (time, origin());
        }
    };
    let name = |h: usize| problem.hosts[h].name.as_str();
    let mut machines: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
    for (i, job) in jobs.iter().enumerate() {
        offer(head[i] + job.duration + tail[i], &|| {
            format!("guest {}", problem.guests[job.guest].name)
        });
        machines.entry((job.from, false)).or_default().push(i);
        machines.entry((job.to, true)).or_default().push(i);
    }
    for ((host, into), set) in &machines {
        offer(machine(jobs, set, &head, &tail, slots.per_host), &|| {
            format!(
                "what {} {}",
                if *into { "comes to" } else { "leaves" },
                name(*host)
            )
        });
    }
    for (place, (most, what)) in slots.split.iter().enumerate() {
        let set: Vec<usize> = (0..jobs.len())
            .filter(|i| jobs[*i].split.contains(&place))
            .collect();
        offer(machine(jobs, &set, &head, &tail, *most), &|| {
            format!("guests in split state at {what}")
        });
    }
    let all: Vec<usize> = (0..jobs.len()).collect();
    offer(machine(jobs, &all, &head, &tail, slots.at_once), &|| {
        "migrations at once".into()
    });
    best
}

/// The greatest of min head + ⌈Σ d ÷ slots⌉ + min tail over the sets of jobs whose head is at least one
/// value, and whose tail another.
fn machine(jobs: &[Job], set: &[usize], head: &[Micros], tail: &[Micros], slots: usize) -> Micros {
    let values = |of: &[Micros]| {
        let mut values: Vec<Micros> = set.iter().map(|i| of[*i]).collect();
        values.sort_unstable();
        values.dedup();
        // Every value costs a pass over the set; a few of them tell most.
        let step = values.len().div_ceil(16).max(1);
        values.into_iter().step_by(step).collect::<Vec<_>>()
    };
    let tails = values(tail);
    let mut best = Micros::ZERO;
    for h in values(head) {
        for t in &tails {
            let chosen = set.iter().filter(|i| head[**i] >= h && tail[**i] >= *t);
            let work: u64 = chosen.map(|i| jobs[*i].duration.0).sum();
            if work > 0 {
                best = best.max(h + Micros(work.div_ceil(slots as u64)) + *t);
            }
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{GuestItem, HostSlot};

    /// Hosts with room for 4, guests (need, from, to); lengths are the needs, in microseconds.
    /// At most `split` at once are in split state.
    fn check_split(
        guests: &[(i64, usize, usize)],
        (per_host, split): (usize, usize),
        expected: (u64, &str),
    ) {
        let host = |h: usize| HostSlot {
            name: format!("h{h}").parse().expect("a plain name"),
            cost: 1000,
            room: [4].as_slice().into(),
            unraised: None,
            always: false,
            asleep: false,
            open: true,
        };
        let guest = |(g, (need, from, _)): (usize, &(i64, usize, usize))| GuestItem {
            name: format!("g{g}").parse().expect("a plain name"),
            need: [*need].as_slice().into(),
            memory: *need,
            price: 0,
            current: Some(*from),
            allowed: (0..4).collect(),
        };
        let problem = Problem {
            resources: vec!["memory".into()],
            hosts: (0..4).map(host).collect(),
            guests: guests.iter().enumerate().map(guest).collect(),
            rules: vec![],
            exempt: 0,
            warnings: vec![],
        };
        let job = |(guest, (need, from, to)): (usize, &(i64, usize, usize))| Job {
            guest,
            from: *from,
            to: *to,
            duration: Micros(need.unsigned_abs()),
            after: vec![],
            split: vec![0],
        };
        let jobs: Vec<Job> = guests.iter().enumerate().map(job).collect();
        let slots = Slots {
            per_host,
            at_once: 9,
            split: vec![(split, "rack a".to_owned())],
        };
        let (time, origin) = bound(&problem, &jobs, &slots);
        assert_eq!((time.0, origin.as_str()), expected);
    }

    fn check(guests: &[(i64, usize, usize)], per_host: usize, expected: (u64, &str)) {
        check_split(guests, (per_host, 9), expected);
    }

    #[test]
    fn guests_in_split_state_bound_the_time() {
        let guests = [(2, 0, 2), (3, 1, 3)];
        check_split(&guests, (1, 2), (3, "guest g1"));
        let one = (5, "guests in split state at rack a");
        check_split(&guests, (1, 1), one);
    }

    #[test]
    fn the_busiest_end_of_a_link_and_what_must_come_first_bound_the_time() {
        check(&[], 1, (0, "nothing to move"));
        check(&[(3, 0, 1)], 1, (3, "guest g0"));
        check(&[(1, 0, 1), (2, 0, 2)], 1, (3, "what leaves h0"));
        check(&[(1, 0, 1), (2, 0, 2)], 2, (2, "guest g1"));
        check(&[(1, 0, 2), (2, 1, 2)], 1, (3, "what comes to h2"));
        // h1 has room for g0 only once g1 has left it.
        check(&[(3, 0, 1), (2, 1, 2)], 1, (5, "guest g0"));
    }
}
