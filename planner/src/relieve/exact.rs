//! The exact answer: the situation as the integer program of `vmpack_ilp::relief`.

use std::collections::BTreeMap;

use vmpack_ilp::relief::{Candidate, Moves, Relief, Source, Target, solve};
use vmpack_ilp::{Limits, Solved};

use super::greedy::{candidates, most_moves};
use super::scene::{Scene, Way};

/// So many pairs of a guest and a target are put before the solver in a millisecond: with more it would
/// only be built in the time there is, and its first look alone take longer.
const PAIRS_A_MS: u64 = 200;

/// What the solver said.
pub(super) struct Better {
    /// The best moves known; `None` where those at hand are.
    pub(super) moves: Option<Vec<(usize, Way)>>,
    pub(super) proven: bool,
}

/// Settles what the greedy answer left open. `open` is the scene before any move; no answer ends more
/// overload than `most`.
pub(super) fn improve(
    open: &Scene,
    overloaded: &[usize],
    known: &[(usize, Way)],
    most: i64,
    limits: &Limits,
) -> Better {
    let program = Program::new(open, overloaded);
    let pairs: usize = program.relief.guests.iter().map(|g| g.targets.len()).sum();
    if pairs as u64 > (limits.time.0 / 1000).saturating_mul(PAIRS_A_MS) {
        return Better {
            moves: None,
            proven: false,
        };
    }
    let warm = program.warm(known);
    let nothing = vec![None; warm.len()];
    let warm = if program.relief.holds(&warm) {
        warm
    } else {
        nothing
    };
    let before = program.relief.worth(&warm);
    let (answer, proven) = match solve(&program.relief, &warm, most, limits) {
        Solved::Optimal { answer, .. } => (answer, true),
        Solved::Feasible { answer, .. } => (answer, false),
        Solved::Infeasible | Solved::NoAnswer { .. } => (warm, false),
    };
    let after = program.relief.worth(&answer);
    // First the overload ended, then the harm.
    let gained = (after.0, -after.1) > (before.0, -before.1);
    Better {
        moves: gained.then(|| program.ways(&answer)),
        proven,
    }
}

struct Program {
    relief: Relief,
    /// The guest of each candidate, and its ways in the order of its targets.
    guests: Vec<(usize, Vec<Way>)>,
    target_at: BTreeMap<usize, usize>,
}

impl Program {
    fn new(open: &Scene, overloaded: &[usize]) -> Self {
        let most = most_moves(open, overloaded);
        let mut relief = Relief::default();
        let mut guests: Vec<(usize, Vec<Way>)> = Vec::new();
        let mut target_at = BTreeMap::new();
        for (source, h) in overloaded.iter().enumerate() {
            let host = &open.hosts[*h];
            relief.sources.push(Source {
                overload: open.overload(*h),
                slots: host.out.max(0),
                pipe: host.pipe_out.max(0),
            });
            for (g, ways) in candidates(open, *h, most) {
                let targets = ways.iter().map(|way| {
                    let at = *target_at.entry(way.to).or_insert_with(|| {
                        let to = &open.hosts[way.to];
                        let room = to.room.iter().zip(to.taken).map(|(r, t)| r - t);
                        relief.targets.push(Target {
                            room: room.collect(),
                            slots: to.into.max(0),
                            pipe: to.pipe_in.max(0),
                        });
                        relief.targets.len() - 1
                    });
                    (at, way.harm)
                });
                let targets: Vec<(usize, i64)> = targets.collect();
                relief.guests.push(Candidate {
                    source,
                    demand: open.guests[g].least,
                    need: open.guests[g].need.as_slice().into(),
                    sends: ways.iter().map(|w| w.sends).max().unwrap_or(0),
                    targets,
                });
                guests.push((g, ways));
            }
        }
        let mut program = Self {
            relief,
            guests,
            target_at,
        };
        program.among(open);
        program
    }

    /// The rows over pairs: the limit of moves, budgets, and the rules by place.
    fn among(&mut self, open: &Scene) {
        let pairs = |of: &dyn Fn(usize) -> bool| -> Vec<(usize, usize)> {
            let candidates = self.relief.guests.iter().zip(&self.guests).enumerate();
            candidates
                .filter(|(_, (_, (g, _)))| of(*g))
                .flat_map(|(i, (c, _))| c.targets.iter().map(move |(t, _)| (i, *t)))
                .collect()
        };
        let mut rows = vec![(pairs(&|_| true), open.starts)];
        for cap in &open.rules.caps {
            rows.push((pairs(&|g| cap.guests.contains(&g)), cap.left.max(0)));
        }
        let host_of: BTreeMap<usize, usize> =
            self.target_at.iter().map(|(h, t)| (*t, *h)).collect();
        for group in &open.rules.groups {
            let all = pairs(&|g| group.members.contains(&g));
            if group.apart {
                // At most one comes to a place; where another is already, `Scene::way` lets none.
                let mut by_place: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
                for (g, t) in all {
                    by_place
                        .entry(group.place[host_of[&t]])
                        .or_default()
                        .push((g, t));
                }
                rows.extend(by_place.into_values().map(|pairs| (pairs, 1)));
            }
            // Guests that are together move within their place only: nothing binds them then.
        }
        self.relief.among = rows
            .into_iter()
            .filter(|(pairs, most)| pairs.len() as i64 > *most)
            .collect();
    }

    fn warm(&self, known: &[(usize, Way)]) -> Moves {
        let to = |g: usize| {
            let way = known.iter().find(|(guest, _)| *guest == g)?;
            self.target_at.get(&way.1.to).copied()
        };
        self.guests.iter().map(|(g, _)| to(*g)).collect()
    }

    fn ways(&self, moves: &Moves) -> Vec<(usize, Way)> {
        let chosen = self.guests.iter().zip(&self.relief.guests).zip(moves);
        chosen
            .filter_map(|(((g, ways), candidate), to)| {
                let to = (*to)?;
                let at = candidate.targets.iter().position(|(t, _)| *t == to)?;
                Some((*g, ways[at]))
            })
            .collect()
    }
}
