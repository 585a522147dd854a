//! A packing from the pattern LP: fix what the LP uses most, solve what is left, and so on.

use super::master::{Known, Master, of_count};
use super::{Packed, Pattern};
use crate::highs::lp::Failure;

/// Rounds of pricing after each fixing.
const ROUNDS: usize = 3;
/// Nodes of each of these pricings.
const STEPS: u64 = 5_000;

impl Master<'_> {
    /// Fixes patterns by their value until all is packed, or what is fixed and the LP of the rest
    /// cost as much as what is known, or the effort ends. What is not packed then is told.
    pub(super) fn dive(&mut self, known: &Known) -> Result<Packed, Failure> {
        let counts = self.left.clone();
        let mut hosts: Vec<usize> = self.packing.hosts.iter().map(|k| k.members.len()).collect();
        let mut packed = Packed::default();
        let mut spent = self.packing.forced_cost();
        let total: usize = counts.iter().sum();
        let mut solution = self.lp.run(self.effort.stop)?;
        while self.left.iter().any(|c| *c > 0) {
            self.rounds += 1;
            if self.effort.ended(self.rounds, self.steps) {
                break;
            }
            let rest = super::master::round_up(solution.objective * self.top, known.unit);
            if spent.saturating_add(rest) >= known.upper {
                break;
            }
            let mut chosen = self.choose(&solution.values, total);
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
            spent += chosen
                .iter()
                .map(|(p, times)| self.packing.price(p.host, *times))
                .sum::<i64>();
            packed.patterns.extend(chosen);
            self.demand(&hosts)?;
            solution = self.lp.run(self.effort.stop)?;
            for _ in 0..ROUNDS {
                if self.complete(&solution, STEPS)? == 0 {
                    break;
                }
                solution = self.lp.run(self.effort.stop)?;
            }
        }
        packed.cost = spent;
        packed.left = (0..counts.len())
            .filter(|i| self.left[*i] > 0)
            .map(|i| (i, self.left[i]))
            .collect();
        self.left = counts;
        let hosts: Vec<usize> = self.packing.hosts.iter().map(|k| k.members.len()).collect();
        self.demand(&hosts)?;
        Ok(packed)
    }

    /// Patterns cut to what is left: those that the LP uses whole, so often; else the most used, and
    /// more that are used by half, up to a part of all.
    fn choose(&self, values: &[f64], total: usize) -> Vec<(Pattern, usize)> {
        let mut used: Vec<(f64, Pattern, bool)> = self
            .patterns()
            .filter(|(column, _)| values[*column] > 1e-6)
            .map(|(column, pattern)| {
                let cut = self.cut(pattern);
                let whole = cut == *pattern;
                (values[column], cut, whole)
            })
            .filter(|(_, pattern, _)| !pattern.content.is_empty())
            .collect();
        used.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        let most = (total / 100).max(1);
        let mut chosen: Vec<(Pattern, usize)> = Vec::new();
        let mut parts = 0;
        for (value, pattern, whole) in used {
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
                parts += 1;
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
