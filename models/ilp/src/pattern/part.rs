//! A plan of patterns (`settle.rs`) made better part by part: the hosts of a part are chosen for anew, by column
//! generation over what they carry and what is missing, then in integers (`choose.rs`) over those patterns whose
//! reduced cost is within what there is to gain. A large neighbourhood search (Shaw 1998) over patterns; hosts not
//! in use may take the place of those of the part.
//!
//! Hosts are of one part that exchange guests: where one is that runs on the other now.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::units::Micros;

use super::choose::{self, Wanted};
use super::dive::noise;
use super::lead::{Lead, Met};
use super::proof::whole;
use super::settle::Rest;
use crate::Limits;
use crate::highs::lp::Failure;
use crate::model::float;

/// Hosts of a part at first, how much larger parts are once that gains nothing any more, and the largest.
const HOSTS: usize = 20;
const MORE: usize = 2;
const MOST: usize = 160;
/// Parts that gain nothing, in turns of all hosts, before they are made larger.
const IDLE: usize = 2;
/// Rounds of pricing for a part, at most.
const ROUNDS: usize = 12;
/// The part of the time for one choice, at most.
const SLICE: u64 = 30;
/// Patterns near the best that are chosen from at once, at most, in turn; and how often what they may cost more than
/// the bound is halved for that.
const NEAR: [usize; 4] = [2_000, 6_000, 12_000, 24_000];
const HALVES: u32 = 6;
/// What an item costs that is missing, in mean prices above its weight.
const DEAR: f64 = 24.0;

/// Patterns of hosts in use.
#[derive(Clone)]
pub(super) struct Plan {
    pub(super) used: Vec<Met>,
    /// Copies of each item that no pattern has.
    missing: Vec<usize>,
}

impl Plan {
    pub(super) fn new(lead: &Lead, mut used: Vec<Met>) -> Self {
        let mut missing = lead.stay.counts.clone();
        let mut over: BTreeMap<usize, usize> = BTreeMap::new();
        for (i, copies) in used.iter().flat_map(|met| &met.content) {
            let taken = missing[*i].min(*copies);
            missing[*i] -= taken;
            *over.entry(*i).or_default() += copies - taken;
        }
        over.retain(|_, copies| *copies > 0);
        // Copies too many go, those that stay last.
        for stays in [false, true] {
            for met in &mut used {
                for (i, copies) in &mut met.content {
                    let Some(over) = over.get_mut(i) else {
                        continue;
                    };
                    let own = met.site.map_or(0, |s| lead.own(s, *i));
                    let spare = if stays {
                        *copies
                    } else {
                        *copies - own.min(*copies)
                    };
                    let gone = spare.min(*over);
                    *copies -= gone;
                    *over -= gone;
                }
                met.content.retain(|(_, copies)| *copies > 0);
            }
        }
        used.retain(|met| !met.content.is_empty());
        let used = used
            .into_iter()
            .map(|met| lead.met_of(met.class, met.site, met.content));
        Self {
            used: used.collect(),
            missing,
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.iter().all(|n| *n == 0)
    }

    pub(super) fn stays(&self) -> i64 {
        self.used.iter().map(|met| met.stays).sum()
    }
}

impl Lead<'_, '_> {
    /// Chooses for what the plan lacks, then for parts anew until nothing gains, the plan is as good as the bound, or
    /// it is stopped.
    pub(super) fn mend(&mut self, mut plan: Plan, limits: &Limits) -> Plan {
        if let Err(failure) = self.in_parts(&mut plan, limits) {
            tracing::debug!(why = failure.0, "choosing for parts ended");
        }
        plan
    }

    fn in_parts(&mut self, plan: &mut Plan, limits: &Limits) -> Result<(), Failure> {
        self.anew(plan, &[], limits)?;
        let most = limits.nodes.unwrap_or(u64::MAX);
        let largest = MOST.min(plan.used.len().max(HOSTS));
        let (mut size, mut idle) = (HOSTS, 0);
        for turn in 1..=most {
            let parts = plan.used.len().div_ceil(size);
            if idle >= if parts > 1 { IDLE * parts } else { 1 } {
                size *= MORE;
                idle = 0;
            }
            if (limits.stop)() || size > largest || self.is_closed(plan) {
                break;
            }
            let part = self.part(plan, size, turn);
            let gained = self.anew(plan, &part, limits)?;
            idle = if gained { 0 } else { idle + 1 };
        }
        Ok(())
    }

    /// Whether nothing moves less, by the bound.
    fn is_closed(&self, plan: &Plan) -> bool {
        let stay = self.stay;
        let moved = stay.all - plan.stays() * stay.unit * stay.parts;
        plan.is_whole()
            && self
                .bound
                .is_some_and(|b| b > moved - stay.unit * stay.parts)
    }

    /// What a missed copy of each item costs, in units of the prices' divisor.
    fn dear(&self) -> Vec<i64> {
        let unit = float(self.stay.unit) * float(self.stay.parts);
        let dear = self.center.iter().map(|v| (v + DEAR) * self.scale / unit);
        dear.map(|dear| whole(dear).saturating_add(1)).collect()
    }

    /// Hosts of the plan, by their place in it, to be chosen for anew.
    fn part(&self, plan: &Plan, size: usize, turn: u64) -> Vec<usize> {
        let hosts = plan.used.len();
        let mut at_host = BTreeMap::new();
        let mut with: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (u, met) in plan.used.iter().enumerate() {
            at_host.extend(met.site.map(|s| (self.stay.sites[s].host, u)));
            for (i, _) in &met.content {
                with.entry(*i).or_default().push(u);
            }
        }
        let near = |u: usize| -> Vec<usize> {
            let met = &plan.used[u];
            let homes = met
                .content
                .iter()
                .flat_map(|(i, _)| &self.stay.home[*i])
                .flatten();
            let there = homes.filter_map(|h| at_host.get(h).copied());
            let own = met.site.map_or(&[][..], |s| &self.stay.sites[s].homes);
            let gone = own
                .iter()
                .filter_map(|(i, _)| with.get(i))
                .flatten()
                .copied();
            there.chain(gone).collect()
        };
        let mut draws = 0;
        let mut below = |n: usize| {
            draws += 1;
            let part = noise(turn, draws) * super::master::of_count(n);
            usize::try_from(whole(part.floor())).unwrap_or(0).min(n - 1)
        };
        // What is missing comes where there is room.
        let mut part = BTreeSet::new();
        if !plan.is_whole() {
            let free = plan.used.iter().enumerate();
            let mut free: Vec<(f64, usize)> = free
                .map(|(u, met)| (self.free(met) * noise(turn, hosts + u), u))
                .collect();
            free.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            part.extend(free.into_iter().take(size / 2).map(|(_, u)| u));
        }
        while part.len() < size.min(hosts) {
            let mut at = below(hosts);
            // A walk of some steps.
            for _ in 0..size.div_ceil(3) {
                if part.len() < size {
                    part.insert(at);
                }
                let near: Vec<usize> = near(at).into_iter().filter(|u| !part.contains(u)).collect();
                if near.is_empty() {
                    break;
                }
                at = near[below(near.len())];
            }
        }
        part.into_iter().collect()
    }

    /// The part of a host that is left of every resource.
    fn free(&self, met: &Met) -> f64 {
        let packing = self.stay.packing;
        let room = packing.hosts[met.class].room.iter().enumerate();
        let free = room.map(|(r, room)| {
            let needs = met.content.iter().map(|(i, copies)| {
                float(packing.items[*i].need[r]) * super::master::of_count(*copies)
            });
            1.0 - needs.sum::<f64>() / float((*room).max(1))
        });
        free.fold(1.0, f64::min)
    }

    /// Chooses anew for these hosts of the plan. Whether the plan is better.
    pub(super) fn anew(
        &mut self,
        plan: &mut Plan,
        part: &[usize],
        limits: &Limits,
    ) -> Result<bool, Failure> {
        let stop = limits.stop;
        let mut rest = Rest::new(self);
        let (mut kept, mut known) = (Vec::new(), Vec::new());
        for (u, met) in plan.used.iter().enumerate() {
            if part.binary_search(&u).is_ok() {
                known.push(met.clone());
            } else {
                rest.take(self.stay, met);
                kept.push(met.clone());
            }
        }
        let mut sub = Lead::new(self.stay, self.cost);
        sub.center.clone_from(&self.center);
        let mut lp = sub.rows()?;
        sub.close(&mut lp, &rest)?;
        sub.charge_missed(&mut lp, DEAR)?;
        let open = self.met.iter().filter(|met| self.is_open(met, &rest));
        let first: Vec<Met> = known.iter().chain(open).cloned().collect();
        sub.add(&mut lp, first)?;
        let mut solution = lp.run(stop)?;
        sub.learn(&solution);
        for _ in 0..ROUNDS {
            if sub.price(&mut lp, &rest, stop)? == 0 {
                break;
            }
            solution = lp.run(stop)?;
            sub.learn(&solution);
        }
        let dear = self.dear();
        let unit = float(self.stay.unit) * float(self.stay.parts) / self.scale;
        let missed = |missing: &[usize]| -> i64 {
            let all = missing.iter().zip(&dear);
            all.map(|(n, dear)| super::price::count(*n) * dear).sum()
        };
        let now = known.iter().map(|m| m.stays).sum::<i64>() - missed(&plan.missing);
        // What reduced costs say is floating point: some more patterns do no harm.
        let hoped = -solution.objective - float(now) * unit;
        if hoped < 0.999 * unit {
            return Ok(false);
        }
        let least = -(hoped + unit);
        let fit = sub.met.iter().enumerate();
        let choices: Vec<usize> = fit
            .filter(|(m, met)| {
                *m < known.len() || self.is_open(met, &rest) && sub.gain(met) >= least
            })
            .map(|(m, _)| m)
            .collect();
        let offered: Vec<_> = choices
            .iter()
            .map(|m| sub.choice(&sub.met[*m], *m < known.len()))
            .collect();
        let wanted = Wanted {
            counts: &rest.counts,
            hosts: &rest.hosts,
            cost: rest.cost,
            missed: &dear,
        };
        let limits = Limits {
            time: Micros(limits.time.0 / SLICE),
            ..*limits
        };
        let chosen = choose::solve(self.stay.packing, &offered, &wanted, &limits);
        let Some(chosen) = chosen.places else {
            return Ok(false);
        };
        let chosen = chosen.into_iter().map(|c| sub.met[choices[c]].clone());
        kept.extend(chosen);
        let new = Plan::new(self, kept);
        let worth = |plan: &Plan| plan.stays() - missed(&plan.missing);
        let gained = worth(&new) > worth(plan);
        tracing::trace!(
            part = part.len(),
            offered = offered.len(),
            hoped,
            gained,
            stays = new.stays(),
            missing = new.missing.iter().sum::<usize>(),
            "a part anew"
        );
        if gained {
            *plan = new;
        }
        self.keep(sub.met);
        Ok(gained)
    }

    /// Chooses among all patterns of plans that move less (`near.rs`), or at first of those that move least, where all are
    /// too many. Returns what is proven thereby, in prices.
    pub(super) fn close_in(&mut self, plan: &mut Plan, limits: &Limits) -> Option<i64> {
        let stay = self.stay;
        let unit = stay.unit * stay.parts;
        let weights = self.whole(&self.center);
        let margins = stay.margins(&weights, self.cost, limits.stop)?;
        let (mut proven, mut last) = (None, self.bound?);
        for most in NEAR {
            if (limits.stop)() {
                break;
            }
            let upper = stay.all - plan.stays() * unit - unit;
            let halves = (0..HALVES).map(|half| last + ((upper - last) >> half));
            let near = halves.filter(|cut| *cut > last).find_map(|cut| {
                let near = stay.near(&margins, cut, most, limits.stop)?;
                Some((cut, near))
            });
            let Some((cut, near)) = near else { continue };
            let near = near.into_iter();
            let near = near.map(|(class, site, content)| self.met_of(class, site, content));
            let patterns: Vec<Met> = plan.used.iter().cloned().chain(near).collect();
            let chosen = self.choose_all(&patterns, plan.used.len(), limits);
            tracing::debug!(
                patterns = patterns.len(),
                cut,
                upper,
                "all patterns near the best"
            );
            if let Some(places) = chosen.places {
                let used = places.into_iter().map(|m| patterns[m].clone());
                let new = Plan::new(self, used.collect());
                if new.is_whole() && new.stays() > plan.stays() {
                    *plan = new;
                }
            }
            let Some(stays) = chosen.most else { break };
            let least = stay
                .rounded(stay.all - stays * unit)
                .min(stay.rounded(cut + 1));
            proven = proven.max(Some(least));
            if least >= (stay.all - plan.stays() * unit) / stay.parts || (limits.stop)() {
                break;
            }
            last = last.max(cut);
        }
        proven
    }

    fn choose_all(&self, patterns: &[Met], known: usize, limits: &Limits) -> choose::Chosen {
        let offered = patterns.iter().enumerate();
        let offered: Vec<_> = offered
            .map(|(m, met)| self.choice(met, m < known))
            .collect();
        let all = Rest::new(self);
        let wanted = Wanted {
            counts: &all.counts,
            hosts: &all.hosts,
            cost: all.cost,
            missed: &[],
        };
        choose::solve(self.stay.packing, &offered, &wanted, limits)
    }
}
