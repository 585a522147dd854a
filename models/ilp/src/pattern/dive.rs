//! A packing from the pattern LP: fix what the LP uses most, solve what is left, and so on.
//!
//! Patterns of which not all is left are held at 0 in the LP of the rest, so that its value tells
//! what the fixing cost. Where that is too much, it is taken back: less is fixed at once, or another
//! pattern. Further dives weigh patterns differently.

use super::master::{Known, Master, of_count};
use super::{Packed, Pattern};
use crate::highs::lp::{Failure, Solution};

/// Rounds of pricing after each fixing.
const ROUNDS: usize = 3;
/// And as long as what is left costs more than before.
const MORE_ROUNDS: usize = 15;
/// Fixings taken back in a dive, at most.
const STEPS_BACK: usize = 30;
/// The part of what is left that is fixed at once, where the LP is sure of it by more than half.
const PART: usize = 12;
/// By how much further dives change a pattern's value, at most.
const NOISE: f64 = 0.5;

impl Master<'_> {
    /// Fixes patterns by their value until all is packed, or what is fixed and the LP of the rest
    /// cost as much as `upper`, or the effort ends. What is not packed then is told. `turn` counts
    /// dives.
    pub(super) fn dive(&mut self, known: &Known, upper: i64, turn: u64) -> Result<Packed, Failure> {
        let counts = self.left.clone();
        let mut hosts: Vec<usize> = self.packing.hosts.iter().map(|k| k.members.len()).collect();
        let mut packed = Packed::default();
        let mut spent = self.packing.forced_cost();
        let ended = self.descend(known, (upper, turn), &mut hosts, &mut spent, &mut packed);
        packed.cost = spent;
        packed.left = (0..counts.len())
            .filter(|i| self.left[*i] > 0)
            .map(|i| (i, self.left[i]))
            .collect();
        self.left = counts;
        let all: Vec<usize> = self.patterns().map(|(column, _)| column).collect();
        self.lp.cap(&all, f64::INFINITY)?;
        let hosts: Vec<usize> = self.packing.hosts.iter().map(|k| k.members.len()).collect();
        self.demand(&hosts)?;
        self.lp.prefer_dual(false)?;
        match ended {
            // Stopped: what is fixed counts.
            Err(failure) if packed.patterns.is_empty() => Err(failure),
            _ => Ok(packed),
        }
    }

    fn descend(
        &mut self,
        known: &Known,
        (upper, turn): (i64, u64),
        hosts: &mut [usize],
        spent: &mut i64,
        packed: &mut Packed,
    ) -> Result<(), Failure> {
        let mut solution = self.lp.run(self.effort.stop)?;
        let mut goal = self.rest(known, &solution).saturating_add(*spent);
        let mut avoided = Vec::new();
        let (mut batch, mut steps_back) = (usize::MAX, 0);
        let from = self.rounds;
        while self.left.iter().any(|c| *c > 0) {
            self.rounds += 1;
            if self.effort.ended(self.rounds, self.steps)
                || spent.saturating_add(self.rest(known, &solution)) >= upper
            {
                break;
            }
            let before = (self.left.clone(), hosts.to_vec(), *spent);
            let mut chosen = self.choose(&solution.values, turn);
            chosen.truncate(batch);
            chosen.retain_mut(|(pattern, times)| {
                let room = hosts[pattern.host];
                *times = (*times).min(room);
                *times > 0 && self.fits(pattern, *times) && {
                    hosts[pattern.host] -= *times;
                    for (i, copies) in &pattern.content {
                        self.left[*i] -= copies * *times;
                    }
                    true
                }
            });
            if chosen.is_empty() {
                break;
            }
            *spent += chosen
                .iter()
                .map(|(p, times)| self.packing.price(p.host, *times))
                .sum::<i64>();
            solution = self.again(known, goal - *spent, &avoided, hosts)?;
            let least = spent.saturating_add(self.rest(known, &solution));
            if least < upper || steps_back >= STEPS_BACK || !self.patient {
                goal = goal.max(least);
                batch = batch.saturating_mul(2);
                packed.patterns.extend(chosen);
                continue;
            }
            // Too much at once, or the wrong one.
            steps_back += 1;
            (self.left, *spent) = (before.0, before.2);
            hosts.copy_from_slice(&before.1);
            batch = (chosen.len() / 2).max(1);
            if let [(wrong, _)] = &chosen[..] {
                avoided.push(wrong.clone());
            }
            let all: Vec<usize> = self.patterns().map(|(column, _)| column).collect();
            self.lp.cap(&all, f64::INFINITY)?;
            solution = self.again(known, goal - *spent, &avoided, hosts)?;
        }
        tracing::debug!(
            turn,
            fixings = self.rounds - from,
            steps_back,
            spent = *spent,
            least = spent.saturating_add(self.rest(known, &solution)),
            left = self.left.iter().sum::<usize>(),
            "a dive ended"
        );
        Ok(())
    }

    /// What the LP costs, rounded up.
    fn rest(&self, known: &Known, solution: &Solution) -> i64 {
        super::master::round_up(solution.objective * self.top, known.unit)
    }

    /// The LP of what is left, without the patterns avoided; priced anew a few times, and more often
    /// as long as it costs more than `goal`.
    fn again(
        &mut self,
        known: &Known,
        goal: i64,
        avoided: &[Pattern],
        hosts: &[usize],
    ) -> Result<Solution, Failure> {
        self.demand(hosts)?;
        let gone = self.patterns();
        let gone = gone.filter(|(_, p)| !self.fits(p, 1) || avoided.contains(p));
        let gone: Vec<usize> = gone.map(|(column, _)| column).collect();
        self.lp.cap(&gone, 0.0)?;
        self.lp.prefer_dual(true)?;
        let mut solution = self.lp.run(self.effort.stop)?;
        self.lp.prefer_dual(false)?;
        let most = if self.patient { MORE_ROUNDS } else { ROUNDS };
        for round in 0..most {
            let enough = round >= ROUNDS && self.rest(known, &solution) <= goal;
            if enough || self.complete(&solution)? == 0 {
                break;
            }
            solution = self.lp.run(self.effort.stop)?;
        }
        Ok(solution)
    }

    /// Patterns cut to what is left: those that the LP uses whole, so often; else the most used, and
    /// more that are used by half, up to a part of what is left.
    fn choose(&self, values: &[f64], turn: u64) -> Vec<(Pattern, usize)> {
        let mut used: Vec<(f64, Pattern, bool)> = self
            .patterns()
            .filter(|(column, _)| values[*column] > 1e-6)
            .map(|(column, pattern)| {
                let cut = self.cut(pattern);
                let whole = cut == *pattern;
                let value = values[column];
                let other = 1.0 + NOISE * (noise(turn, column) - 0.5);
                (
                    if value < 1.0 - 1e-6 {
                        value * other
                    } else {
                        value
                    },
                    cut,
                    whole,
                )
            })
            .filter(|(_, pattern, _)| !pattern.content.is_empty())
            .collect();
        used.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let total: usize = self.left.iter().sum();
        let most = total.div_ceil(PART);
        let mut chosen: Vec<(Pattern, usize)> = Vec::new();
        let mut parts = 0;
        for (value, pattern, whole) in used {
            let size: usize = pattern.content.iter().map(|(_, c)| c).sum();
            if value > 1.0 - 1e-6 && whole {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "positive, and limited by the hosts' number"
                )]
                let times = (value + 1e-6).floor() as usize;
                let fit = pattern.content.iter().map(|(i, c)| self.left[*i] / c).min();
                chosen.push((pattern, times.min(fit.unwrap_or(0))));
            } else if chosen.is_empty() || (value >= 0.5 && whole && parts < most) {
                chosen.push((pattern, 1));
                parts += size;
            }
        }
        chosen
    }

    /// The pattern without what is not left.
    fn cut(&self, pattern: &Pattern) -> Pattern {
        Pattern {
            host: pattern.host,
            content: pattern
                .content
                .iter()
                .map(|(i, c)| (*i, (*c).min(self.left[*i])))
                .filter(|(_, c)| *c > 0)
                .collect(),
        }
    }

    fn fits(&self, pattern: &Pattern, times: usize) -> bool {
        pattern
            .content
            .iter()
            .all(|(i, c)| c * times <= self.left[*i])
    }

    /// Makes the rows ask for what is left.
    fn demand(&mut self, hosts: &[usize]) -> Result<(), Failure> {
        for i in 0..self.left.len() {
            self.lp.range(i, of_count(self.left[i]), f64::INFINITY)?;
        }
        for (row, count) in self.rows.clone().into_iter().zip(hosts) {
            if let Some(row) = row {
                self.lp.range(row, f64::NEG_INFINITY, of_count(*count))?;
            }
        }
        Ok(())
    }
}

/// A number from 0 to 1 for a column in a dive; the middle in the first one.
pub(super) fn noise(turn: u64, column: usize) -> f64 {
    if turn == 0 {
        return 0.5;
    }
    let column = u64::try_from(column).unwrap_or(0);
    // SplitMix64 (Steele, Lea, Flood 2014).
    let mut x = turn
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(column);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let part = u32::try_from((x ^ (x >> 31)) >> 32).unwrap_or(0);
    f64::from(part) / f64::from(u32::MAX)
}
