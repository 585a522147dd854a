//! The moves that end the most overload at once, with the least harm.
//!
//! Sets: overloaded hosts h ∈ H; guests g ∈ G on them that may move, h(g); targets t ∈ T(g) that have
//! room for g alone; resources r. Given: overload o(h) and demand d(g) in milli-cores; harm c(g,t); need
//! n(g,r), with the guest's margin in its CPU; room R(t,r) that is left; how many may leave a host, O(h),
//! and come to one, I(t); memory m(g) that g sends in split state, and the most of it that may leave or
//! come to a host, P(h) and P(t); further rows a over sets S(a) of pairs (g,t), at most M(a) of each: spread
//! rules by place, budgets of moves, the limit of moves in all.
//!
//! Variables: x(g,t) ∈ {0,1}: g moves to t; z(h) ∈ {0,1}: the overload of h ends.
//!
//! ```text
//! first    max  Σ(h) o(h)·z(h)                     (ended)
//! second   min  Σ(g,t) c(g,t)·x(g,t)               (harm)    at the most overload that can be ended
//! s.t. cured:  Σ(g on h, t) d(g)·x(g,t) ≥ o(h)·z(h)          for each h
//!      only:   Σ(t) x(g,t) ≤ z(h(g))                         for each g
//!      room:   Σ(g) n(g,r)·x(g,t) ≤ R(t,r)                   for each t, r
//!      out:    Σ(g on h, t) x(g,t) ≤ O(h)                    for each h
//!      into:   Σ(g) x(g,t) ≤ I(t)                            for each t
//!      pipe:   Σ(g on h, t) m(g)·x(g,t) ≤ P(h)               for each h
//!              Σ(g) m(g)·x(g,t) ≤ P(t)                       for each t
//!      among:  Σ((g,t) ∈ S(a)) x(g,t) ≤ M(a)                 for each a
//! ```
//!
//! *only* bars moves from a host whose overload does not end: they are no part of this answer.
//!
//! The caller may keep for each guest only its N least harmful targets, N being the most moves that an
//! answer can have, without losing the best: where an answer sends g elsewhere, one of those N is used
//! by no other move, so that g fits it alone, and harms no more. This needs rows *among* that do not
//! tell targets apart; guests under others keep all their targets.

use good_lp::SolverModel;
use good_lp::solvers::highs::highs;
use vmpack_domain::units::Micros;

use crate::highs::End;
use crate::model::{Column, Columns, Sum, Term};
use crate::problem::Amounts;
use crate::{Limits, Solved};

/// What is to be relieved.
#[derive(Debug, Clone, Default)]
pub struct Relief {
    /// The overloaded hosts.
    pub sources: Vec<Source>,
    /// Guests on them that may move.
    pub guests: Vec<Candidate>,
    /// Hosts that may take them.
    pub targets: Vec<Target>,
    /// At most so many of these pairs (guest, target).
    pub among: Vec<(Vec<(usize, usize)>, i64)>,
}

/// An overloaded host.
#[derive(Debug, Clone)]
pub struct Source {
    /// In milli-cores, above 0.
    pub overload: i64,
    /// How many guests may leave it.
    pub slots: i64,
    /// The most memory that may leave it, in MiB.
    pub pipe: i64,
}

/// A guest that may move.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Where it is: index into the sources.
    pub source: usize,
    /// By how much its leaving lessens the overload there, in milli-cores.
    pub demand: i64,
    /// What it needs at a target.
    pub need: Amounts,
    /// What it sends in split state, in MiB.
    pub sends: i64,
    /// Targets that have room for it alone, each with the harm of going there.
    pub targets: Vec<(usize, i64)>,
}

/// A host that may take guests.
#[derive(Debug, Clone)]
pub struct Target {
    /// What it has left.
    pub room: Amounts,
    /// How many guests may come to it.
    pub slots: i64,
    /// The most memory that may come to it, in MiB.
    pub pipe: i64,
}

/// For each guest the target that it moves to.
pub type Moves = Vec<Option<usize>>;

impl Relief {
    /// The sources whose overload ends.
    fn cured(&self, moves: &Moves) -> Vec<bool> {
        let mut left: Vec<i64> = self.sources.iter().map(|s| s.overload).collect();
        for (guest, to) in self.guests.iter().zip(moves) {
            if to.is_some() {
                left[guest.source] -= guest.demand;
            }
        }
        left.into_iter().map(|l| l <= 0).collect()
    }

    /// Σ overload that the moves end, and their harm.
    #[must_use]
    pub fn worth(&self, moves: &Moves) -> (i64, i64) {
        let cured = self.cured(moves);
        let ended = self.sources.iter().zip(cured).filter(|(_, cured)| *cured);
        let harm = self.guests.iter().zip(moves).filter_map(|(guest, to)| {
            let to = (*to)?;
            guest.targets.iter().find(|(t, _)| *t == to).map(|(_, c)| c)
        });
        (ended.map(|(s, _)| s.overload).sum(), harm.sum())
    }

    /// Whether the moves keep every row.
    #[must_use]
    pub fn holds(&self, moves: &Moves) -> bool {
        if moves.len() != self.guests.len() {
            return false;
        }
        let cured = self.cured(moves);
        let mut room: Vec<Amounts> = self.targets.iter().map(|t| t.room.clone()).collect();
        let mut into: Vec<(i64, i64)> = self.targets.iter().map(|t| (t.slots, t.pipe)).collect();
        let mut out: Vec<(i64, i64)> = self.sources.iter().map(|s| (s.slots, s.pipe)).collect();
        for (guest, to) in self.guests.iter().zip(moves) {
            let Some(to) = *to else { continue };
            if !cured[guest.source] || !guest.targets.iter().any(|(t, _)| *t == to) {
                return false;
            }
            for (left, need) in room[to].iter_mut().zip(&guest.need) {
                *left -= need;
            }
            for end in [&mut into[to], &mut out[guest.source]] {
                end.0 -= 1;
                end.1 -= guest.sends;
            }
        }
        room.iter().flatten().all(|left| *left >= 0)
            && into
                .iter()
                .chain(&out)
                .all(|(n, pipe)| *n >= 0 && *pipe >= 0)
            && self.among.iter().all(|(pairs, most)| {
                let used = pairs.iter().filter(|(g, t)| moves[*g] == Some(*t)).count();
                i64::try_from(used).is_ok_and(|used| used <= *most)
            })
    }
}

struct Formulation {
    /// For each guest its targets' columns.
    pairs: Vec<Vec<(usize, Column)>>,
    ended: Vec<Column>,
}

impl Formulation {
    fn new(p: &Relief, warm: &Moves, columns: &mut Columns) -> Self {
        let cured = p.cured(warm);
        let pairs = p.guests.iter().zip(warm).map(|(guest, to)| {
            let each = guest.targets.iter();
            each.map(|(t, _)| (*t, columns.binary(*to == Some(*t))))
                .collect()
        });
        let pairs = pairs.collect();
        let ended = cured.iter().map(|c| columns.binary(*c)).collect();
        Self { pairs, ended }
    }

    fn rows(&self, p: &Relief) -> Vec<good_lp::Constraint> {
        let mut rows = Vec::new();
        let resources = p.targets.first().map_or(0, |t| t.room.len());
        let mut cured: Vec<Sum> = vec![Sum::new(); p.sources.len()];
        let mut out = vec![(Sum::new(), Sum::new()); p.sources.len()];
        let mut into = vec![(Sum::new(), Sum::new()); p.targets.len()];
        let mut room = vec![vec![Sum::new(); resources]; p.targets.len()];
        // only
        for (guest, pairs) in p.guests.iter().zip(&self.pairs) {
            let mut only = Sum::new();
            for (t, column) in pairs {
                let term = Term::Open(*column);
                only.add(1, term);
                cured[guest.source].add(guest.demand, term);
                for (sums, host) in [(&mut out, guest.source), (&mut into, *t)] {
                    sums[host].0.add(1, term);
                    sums[host].1.add(guest.sends, term);
                }
                for (sum, need) in room[*t].iter_mut().zip(&guest.need) {
                    sum.add(*need, term);
                }
            }
            if !only.is_settled() {
                only.add(-1, Term::Open(self.ended[guest.source]));
                rows.push(only.at_most(0));
            }
        }
        // cured, out
        for (h, source) in p.sources.iter().enumerate() {
            let mut sum = std::mem::take(&mut cured[h]);
            sum.add(-source.overload, Term::Open(self.ended[h]));
            rows.push(sum.at_least(0));
            at_most(&mut rows, &out[h].0, source.slots);
            at_most(&mut rows, &out[h].1, source.pipe);
        }
        // room, into
        for (t, target) in p.targets.iter().enumerate() {
            for (sum, room) in room[t].iter().zip(&target.room) {
                at_most(&mut rows, sum, *room);
            }
            at_most(&mut rows, &into[t].0, target.slots);
            at_most(&mut rows, &into[t].1, target.pipe);
        }
        // among
        for (pairs, most) in &p.among {
            let mut sum = Sum::new();
            for (g, t) in pairs {
                let column = self.pairs[*g].iter().find(|(to, _)| to == t);
                if let Some((_, column)) = column {
                    sum.add(1, Term::Open(*column));
                }
            }
            at_most(&mut rows, &sum, *most);
        }
        rows
    }

    fn moves(&self, values: &[f64]) -> Moves {
        let chosen = |column: &Column| values.get(column.at).is_some_and(|v| *v > 0.5);
        let to =
            |pairs: &Vec<(usize, Column)>| pairs.iter().find(|(_, c)| chosen(c)).map(|(t, _)| *t);
        self.pairs.iter().map(to).collect()
    }
}

fn at_most(rows: &mut Vec<good_lp::Constraint>, sum: &Sum, most: i64) {
    if !sum.is_settled() {
        rows.push(sum.at_most(most));
    }
}

/// The best moves, by overload ended and then by harm; `warm` is an answer that holds. Bounds are of
/// the harm, of answers that end as much as `warm` does or more. `most` is an overload beyond which
/// nothing can be ended, as is known from elsewhere. The first objective may take half of the time, the
/// second what the first leaves of it.
#[must_use]
pub fn solve(p: &Relief, warm: &Moves, most: i64, limits: &Limits) -> Solved<Moves> {
    debug_assert!(p.holds(warm), "the warm start does not hold");
    let within = |time| Limits { time, ..*limits };
    let mut best = warm.clone();
    let mut left = limits.time;
    if p.worth(&best).0 < most {
        let (solved, took) = stage(p, &best, None, &within(Micros(left.0 / 2)));
        left = left.saturating_sub(took);
        match solved {
            Solved::Optimal { answer, .. } => best = answer,
            Solved::Feasible { answer, .. } => {
                return Solved::Feasible { answer, bound: 0 };
            }
            other => return other,
        }
    }
    let ended = p.worth(&best).0;
    stage(p, &best, Some(ended), &within(left)).0
}

/// One objective: the most ended, as −Σ o·z; or the least harm where so much is ended.
/// Also how long it took.
fn stage(p: &Relief, warm: &Moves, ended: Option<i64>, limits: &Limits) -> (Solved<Moves>, Micros) {
    let mut columns = Columns::new();
    let f = Formulation::new(p, warm, &mut columns);
    let mut objective = Sum::new();
    let mut sum = Sum::new();
    for (source, z) in p.sources.iter().zip(&f.ended) {
        sum.add(source.overload, Term::Open(*z));
    }
    let mut rows = f.rows(p);
    match ended {
        None => {
            for (source, z) in p.sources.iter().zip(&f.ended) {
                objective.add(-source.overload, Term::Open(*z));
            }
        }
        Some(ended) => {
            rows.push(sum.at_least(ended));
            for (guest, pairs) in p.guests.iter().zip(&f.pairs) {
                for ((_, harm), (_, column)) in guest.targets.iter().zip(pairs) {
                    objective.add(*harm, Term::Open(*column));
                }
            }
        }
    }
    let value = |moves: &Moves| {
        let (of, harm) = p.worth(moves);
        match ended {
            None => Some(-of),
            Some(least) => (of >= least).then_some(harm),
        }
    };
    let (variables, start) = columns.finish();
    let mut model = variables.minimise(objective.objective(1)).using(highs);
    for row in rows {
        model.add_constraint(row);
    }
    let answer = crate::highs::solve(model, Some(&start), limits);
    let took = answer.took;
    let found = answer.values.as_ref().map(|v| f.moves(v));
    let found = found.filter(|m| p.holds(m));
    let best = found
        .into_iter()
        .chain([warm.clone()])
        .filter_map(|m| Some((value(&m)?, m)))
        .min_by_key(|(v, _)| *v);
    let bound = answer.proves().unwrap_or(i64::MIN);
    let solved = match (best, answer.end) {
        (Some((v, answer)), _) if v <= bound => Solved::Optimal { answer, bound: v },
        (Some((_, answer)), _) => Solved::Feasible { answer, bound },
        (None, End::Infeasible) => Solved::Infeasible,
        (None, end) => Solved::NoAnswer {
            limit: format!("{end:?}"),
            bound,
        },
    };
    (solved, took)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits<'static> {
        Limits {
            time: Micros::secs(20),
            nodes: None,
            seed: 1,
            threads: 1,
            stop: &|| false,
        }
    }

    fn guest(source: usize, demand: i64, targets: &[(usize, i64)]) -> Candidate {
        Candidate {
            source,
            demand,
            need: [demand, 1].as_slice().into(),
            sends: 1,
            targets: targets.to_vec(),
        }
    }

    fn target(cpu: i64) -> Target {
        Target {
            room: [cpu, 10].as_slice().into(),
            slots: 2,
            pipe: 10,
        }
    }

    fn source(overload: i64) -> Source {
        Source {
            overload,
            slots: 2,
            pipe: 10,
        }
    }

    #[test]
    fn the_least_harm_that_ends_it_is_found_and_proven() {
        let p = Relief {
            sources: vec![source(5), source(3)],
            guests: vec![
                guest(0, 5, &[(0, 9), (1, 9)]),
                guest(0, 3, &[(0, 2), (1, 2)]),
                guest(0, 2, &[(0, 2), (1, 2)]),
                guest(1, 3, &[(0, 1)]),
            ],
            targets: vec![target(5), target(3)],
            among: vec![],
        };
        let nothing = vec![None; 4];
        // 3 and 2 of the first host, to where the second's only target leaves room.
        let best = vec![None, Some(1), Some(0), Some(0)];
        let solved = solve(&p, &nothing, 8, &limits());
        assert_eq!(
            solved,
            Solved::Optimal {
                answer: best,
                bound: 5
            }
        );
        // Were only one of them allowed to leave, the large one would have to.
        let among = vec![(vec![(1, 0), (1, 1), (2, 0), (2, 1)], 1)];
        let capped = Relief { among, ..p };
        let Solved::Optimal { answer, bound } = solve(&capped, &nothing, 8, &limits()) else {
            panic!("not proven");
        };
        // Either ends 5: the large guest goes to 0, which then has no room for the other host's.
        assert_eq!(capped.worth(&answer), (5, bound));
    }

    #[test]
    fn a_host_that_cannot_be_cured_is_left_alone() {
        let p = Relief {
            sources: vec![source(9)],
            guests: vec![guest(0, 5, &[(0, 1)]), guest(0, 3, &[(0, 1)])],
            targets: vec![target(100)],
            among: vec![],
        };
        let nothing = vec![None; 2];
        let solved = solve(&p, &nothing, 9, &limits());
        let none = Solved::Optimal {
            answer: nothing,
            bound: 0,
        };
        assert_eq!(solved, none);
    }
}
