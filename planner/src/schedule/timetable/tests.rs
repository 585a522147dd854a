//! Schedules of small problems against an enumeration of all, and their edges against all runs.

use proptest::prelude::*;
use vmpack_ilp::problem::{GuestItem, HostSlot};
use vmpack_ilp::waves;

use super::super::{Order, order};
use super::*;

/// Hosts with room for 10, guests (need, from, to); a move takes as long as its guest is large.
fn problem(hosts: usize, guests: &[(i64, usize, usize)]) -> Problem {
    let host = |h: usize| HostSlot {
        name: format!("h{h}").parse().expect("a plain name"),
        cost: 1000,
        room: [10, 10].as_slice().into(),
        unraised: None,
        always: false,
        asleep: false,
        open: true,
    };
    let guest = |(g, (need, from, _)): (usize, &(i64, usize, usize))| GuestItem {
        name: format!("g{g}").parse().expect("a plain name"),
        need: [*need, 1].as_slice().into(),
        memory: *need,
        price: 0,
        current: Some(*from),
        allowed: (0..hosts).collect(),
    };
    Problem {
        resources: vec!["memory".into(), "vcpus".into()],
        hosts: (0..hosts).map(host).collect(),
        guests: guests.iter().enumerate().map(guest).collect(),
        rules: vec![],
        exempt: 0,
        warnings: vec![],
    }
}

/// The jobs of an order that leads to the targets, if there is one.
fn jobs(problem: &Problem, guests: &[(i64, usize, usize)]) -> Option<Vec<Job>> {
    let target: Vec<usize> = guests.iter().map(|g| g.2).collect();
    let Order::Whole(hops) = order(problem, &target, 1) else {
        return None;
    };
    let mut jobs: Vec<Job> = Vec::new();
    for hop in hops {
        let same = jobs.iter().rposition(|j| j.guest == hop.guest);
        jobs.push(Job {
            guest: hop.guest,
            from: hop.from,
            to: hop.to,
            duration: Micros(problem.guests[hop.guest].need[0].unsigned_abs()),
            after: same.into_iter().collect(),
            // Guests of odd needs move by pre-copy; hosts 0 and 1 are one rack, the others another.
            split: match problem.guests[hop.guest].need[0] % 2 {
                0 => {
                    let racks = [hop.from / 2, hop.to / 2];
                    let both = if racks[0] == racks[1] { 1 } else { 2 };
                    racks[..both].to_vec()
                }
                _ => Vec::new(),
            },
        });
    }
    Some(jobs)
}

/// Whether every host has room, every slot is taken once and every job waits as it must.
fn valid(problem: &Problem, jobs: &[Job], slots: &Slots, start: &[Option<u64>]) -> bool {
    let placed = || (0..jobs.len()).filter_map(|i| Some((i, start[i]?)));
    let ends = |i: usize| start[i].map(|s| s + jobs[i].duration.0);
    placed().all(|(i, at)| {
        let runs =
            |j: &usize| start[*j].is_some_and(|s| s <= at) && ends(*j).is_some_and(|e| e > at);
        let running: Vec<usize> = (0..jobs.len()).filter(runs).collect();
        let leave = running.iter().filter(|j| jobs[**j].from == jobs[i].from);
        let come = running.iter().filter(|j| jobs[**j].to == jobs[i].to);
        let host = jobs[i].to;
        let mut there: Vec<i64> = vec![0; problem.resources.len()];
        for (g, guest) in problem.guests.iter().enumerate() {
            let own = || (0..jobs.len()).filter(|j| jobs[*j].guest == g);
            let came = own().filter(|j| jobs[*j].to == host && start[*j].is_some_and(|s| s <= at));
            let left = own().filter(|j| jobs[*j].from == host && ends(*j).is_some_and(|e| e <= at));
            if usize::from(guest.current == Some(host)) + came.count() > left.count() {
                there.iter_mut().zip(&guest.need).for_each(|(t, n)| *t += n);
            }
        }
        let split = jobs[i].split.iter().all(|p| {
            let at = running.iter().filter(|j| jobs[**j].split.contains(p));
            at.count() <= slots.split[*p].0
        });
        split
            && running.len() <= slots.at_once
            && leave.count() <= slots.per_host
            && come.count() <= slots.per_host
            && there
                .iter()
                .zip(&problem.hosts[host].room)
                .all(|(t, r)| t <= r)
            && jobs[i]
                .after
                .iter()
                .all(|j| ends(*j).is_some_and(|e| e <= at))
    })
}

/// The soonest end of any schedule: in some order, each as early as those before it allow (serial
/// schedule generation is complete for active schedules; Kolisch, EJOR 90(2), 1996).
fn soonest(problem: &Problem, jobs: &[Job], slots: &Slots) -> u64 {
    fn go(
        problem: &Problem,
        jobs: &[Job],
        slots: &Slots,
        start: &mut Vec<Option<u64>>,
        best: &mut u64,
    ) {
        let end = |start: &[Option<u64>]| {
            let ends = (0..jobs.len()).filter_map(|i| Some(start[i]? + jobs[i].duration.0));
            ends.max().unwrap_or(0)
        };
        if end(start) >= *best {
            return;
        }
        if start.iter().all(Option::is_some) {
            *best = end(start);
            return;
        }
        let mut moments: Vec<u64> = vec![0];
        moments.extend((0..jobs.len()).filter_map(|i| Some(start[i]? + jobs[i].duration.0)));
        moments.sort_unstable();
        for i in 0..jobs.len() {
            if start[i].is_some() {
                continue;
            }
            for at in &moments {
                start[i] = Some(*at);
                if valid(problem, jobs, slots, start) {
                    go(problem, jobs, slots, start, best);
                    break;
                }
            }
            start[i] = None;
        }
    }
    let mut best = u64::MAX;
    go(problem, jobs, slots, &mut vec![None; jobs.len()], &mut best);
    best
}

fn cases() -> impl Strategy<Value = (usize, Vec<(i64, usize, usize)>, Slots)> {
    (2usize..5).prop_flat_map(|hosts| {
        let guest = (1i64..8, 0..hosts, 0..hosts);
        let racks = prop::collection::vec((1usize..3).prop_map(|n| (n, "rack".to_owned())), 2);
        let slots = (1usize..3, 1usize..5, racks).prop_map(|(per_host, at_once, split)| Slots {
            per_host,
            at_once,
            split,
        });
        (Just(hosts), prop::collection::vec(guest, 1..7), slots)
    })
}

/// Whether no host holds more than its room in any run that honours the edges.
fn safe(problem: &Problem, jobs: &[Job], edges: &[Vec<usize>]) -> bool {
    // Per job 0 waiting, 1 running, 2 over.
    let runs = 3usize.pow(u32::try_from(jobs.len()).unwrap_or(u32::MAX));
    (0..runs).all(|code| {
        let state = |i: usize| code / 3usize.pow(u32::try_from(i).unwrap_or(0)) % 3;
        let own = |i: usize| edges[i].iter().chain(&jobs[i].after);
        let happens = (0..jobs.len()).all(|i| state(i) == 0 || own(i).all(|j| state(*j) == 2));
        let mut load = problem.loads();
        for (i, job) in jobs.iter().enumerate() {
            let need = &problem.guests[job.guest].need;
            if state(i) > 0 {
                add(&mut load[job.to], need, 1);
            }
            if state(i) > 1 {
                add(&mut load[job.from], need, -1);
            }
        }
        // Hosts that had too much at first may, until somebody comes.
        let crowded = (0..problem.hosts.len()).any(|h| {
            let comes = (0..jobs.len()).any(|i| jobs[i].to == h && state(i) > 0);
            comes && !problem.fits(&load[h], &problem.hosts[h].room)
        });
        !happens || !crowded
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_schedule_is_valid_and_lies_between_the_bound_and_twice_the_best(
        (hosts, guests, slots) in cases()
    ) {
        let problem = problem(hosts, &guests);
        let Some(jobs) = jobs(&problem, &guests) else { return Ok(()); };
        let (bound, origin) = waves::bound(&problem, &jobs, &slots);
        let found = timetable(&problem, &jobs, &slots, bound, 1);
        let start: Vec<Option<u64>> = found.start.iter().map(|s| Some(s.0)).collect();
        prop_assert!(valid(&problem, &jobs, &slots, &start), "{:?}", found);
        let best = soonest(&problem, &jobs, &slots);
        prop_assert!(bound.0 <= best, "{} by {} above {}", bound, origin, best);
        prop_assert!(best <= found.end.0);
        prop_assert!(found.end.0 <= 2 * best, "{} against {}", found.end, best);
    }

    #[test]
    fn whatever_runs_when_the_edges_keep_room((hosts, guests, slots) in cases()) {
        let problem = problem(hosts, &guests);
        let Some(jobs) = jobs(&problem, &guests) else { return Ok(()); };
        let found = timetable(&problem, &jobs, &slots, Micros::ZERO, 1);
        let (_, in_order, start) = by_start(&jobs, &found);
        let edges = edges(&problem, &in_order, &start);
        prop_assert!(edges.iter().enumerate().all(|(i, e)| e.iter().all(|j| *j < i)));
        prop_assert!(safe(&problem, &in_order, &edges), "{:?} {:?}", in_order, edges);
    }
}
