//! A placement near stage 2's bound where guests are of few sizes: hosts kept are filled up anew.
//!
//! By the bound's weights (`stay.rs`) each host has a content that is worth most, which `cells.rs` finds
//! at once. The hosts kept (`kept.rs`) are filled one after the other (`filling.rs`), the last of them together
//! (`block.rs`); then some hosts are filled anew in the same way: with what is missing, and those first
//! that are worth least of what they could be. Once nothing is missing, exchanges between two hosts (`swap.rs`) come
//! first: they let more guests stay in far less time.
//!
//! Contents know no rule over several guests. Who is where is decided for all of one need (`seat.rs`), which keeps
//! rules that only ask who: few guests that are to be apart are in each other's way. Guests that are to be in
//! one place would have too few seats there: they are held to the place where most of them stay, and all is filled
//! by classes that tell these places apart.

use std::collections::BTreeMap;

use super::block::Block;
use super::dive::noise;
use super::filling::{Filling, Kept};
use super::packing::Packing;
use super::price::Content;
use super::seat::{Held, Rules, Seats, seat};
use super::stay::Stay;
use super::swap::Swaps;
use crate::model::float;

/// Items that are missing of which a copy is given a place together, and hosts chosen for each.
const WANTED: usize = 4;
const EACH: usize = 3;
/// Hosts filled anew together.
const PART: usize = 24;
/// Of how many classes these are but for one in so many.
const NEAR: usize = 2;
const FAR: usize = 4;
/// Parts filled anew in turn that gain nothing, before it ends.
const IDLE: u64 = 60;
/// Exchanges that gain before seats are asked for anew, at first, and sweeps without any, after which hosts are
/// filled anew.
const BATCH: usize = 16;
const STILL: usize = 8;
/// Rounds in which guests without a seat are given one, at most.
const ROUNDS: usize = 40;

/// Where guests are when hosts of at most that cost are filled up, under the rules over several guests;
/// `None` where no such placement was found. `weights` are those of guests.
pub(super) fn refill(
    stay: &Stay,
    weights: &[i64],
    cost: i64,
    mut turns: Turns,
) -> Option<Vec<usize>> {
    let rules = Rules::of(stay.p);
    let mut held = Held::new();
    let mut filling = Filling::begin(stay, &stay.by_item(weights), cost, turns.stop)?;
    let pool = Pool::of(stay, stay, &rules);
    if rules.is_empty() {
        let refill = Refill::new(stay, weights, filling, turns.stop)?;
        return refill.improve(&pool, held, &mut turns);
    }
    let mut seats = pool.seats(&filling, &mut held);
    let mut hosts = filling.hosts(stay);
    let mut barred = Vec::new();
    for round in 0..ROUNDS {
        let narrow = rules.hold(&held)?;
        let packing = Packing::of(&narrow).together();
        let mut part = Stay::new(&narrow, &packing)?;
        filling = if round == 0 && !held.is_empty() {
            Filling::begin(&part, &part.by_item(weights), cost, turns.stop)?
        } else {
            for (copy, seats) in &seats.without {
                barred.extend(seats.iter().map(|h| (copy[0], *h)));
            }
            part.bar(&barred);
            Filling::of(&part, &hosts, &seats)
        };
        let pool = Pool::of(stay, &part, &rules);
        let mut refill = Refill::new(&part, weights, filling, turns.stop)?;
        if !refill.mend(&mut turns) {
            return None;
        }
        seats = pool.seats(&refill.filling, &mut held);
        if seats.without.is_empty() {
            return refill.improve(&pool, held, &mut turns);
        }
        hosts = refill.filling.hosts(&part);
    }
    None
}

/// The parts that may still be filled anew.
pub(super) struct Turns<'t> {
    turn: u64,
    most: u64,
    stop: &'t dyn Fn() -> bool,
    /// Until when everything is to have a place.
    patience: &'t dyn Fn() -> bool,
}

impl<'t> Turns<'t> {
    pub(super) fn new(
        most: u64,
        stop: &'t dyn Fn() -> bool,
        patience: &'t dyn Fn() -> bool,
    ) -> Self {
        Self {
            turn: 0,
            most,
            stop,
            patience,
        }
    }

    fn next(&mut self) -> Option<u64> {
        if self.turn >= self.most || (self.stop)() {
            return None;
        }
        self.turn += 1;
        Some(self.turn)
    }
}

/// Who may change seats with whom: all of one need, of whatever narrower class they are.
struct Pool<'s, 'p> {
    rules: &'s Rules<'p>,
    whole: &'s Stay<'s>,
    part: &'s Stay<'s>,
    /// The item of the whole of each item of the part.
    item: Vec<usize>,
}

impl<'s, 'p> Pool<'s, 'p> {
    fn of(whole: &'s Stay<'s>, part: &'s Stay<'s>, rules: &'s Rules<'p>) -> Self {
        let mut of: BTreeMap<usize, usize> = BTreeMap::new();
        for (i, item) in whole.packing.items.iter().enumerate() {
            let firsts = item.members.iter().filter_map(|m| m.first());
            of.extend(firsts.map(|g| (*g, i)));
        }
        let items = part.packing.items.iter();
        let item = items.filter_map(|item| of.get(item.members.first()?.first()?).copied());
        Self {
            rules,
            whole,
            part,
            item: item.collect(),
        }
    }

    fn seats(&self, filling: &Filling, held: &mut Held) -> Seats {
        let named = |(site, content): &(usize, Content)| {
            let items = content.iter();
            let items = items.map(|(i, copies)| (self.item[*i], *copies));
            (self.part.sites[*site].host, items.collect())
        };
        let contents: Kept = filling.kept.iter().map(named).collect();
        seat(
            self.rules,
            self.whole.packing,
            &contents,
            &self.whole.home,
            held,
        )
    }
}

/// A placement that is made better part by part.
struct Refill<'r, 'a> {
    stay: &'r Stay<'a>,
    weights: Vec<i64>,
    /// What the best content of each site is worth.
    worths: Vec<i64>,
    filling: Filling,
    stop: &'r dyn Fn() -> bool,
}

impl<'r, 'a> Refill<'r, 'a> {
    /// By the weights of guests.
    fn new(
        stay: &'r Stay<'a>,
        weights: &[i64],
        filling: Filling,
        stop: &'r dyn Fn() -> bool,
    ) -> Option<Self> {
        let weights = stay.by_item(weights);
        let filled = stay.filled(&weights, stop)?;
        Some(Self {
            stay,
            weights,
            worths: filled.iter().map(|f| f.worth).collect(),
            filling,
            stop,
        })
    }

    /// Gives everything a place; whether that was found.
    fn mend(&mut self, turns: &mut Turns) -> bool {
        let mut idle = 0;
        while !self.filling.is_whole() && idle < IDLE && !(turns.patience)() {
            let Some(turn) = turns.next() else { break };
            idle = if self.anew(turn) { 0 } else { idle + 1 };
        }
        self.filling.is_whole()
    }

    /// Goes on while that gains something, and takes back what leaves anybody without a seat; where guests
    /// are then.
    fn improve(mut self, pool: &Pool, mut held: Held, turns: &mut Turns) -> Option<Vec<usize>> {
        let mut seats = pool.seats(&self.filling, &mut held);
        let mut idle = 0;
        // Exchanges that gain before seats are asked for anew, and sweeps without any since.
        let free = pool.rules.is_empty();
        let mut most = if free { usize::MAX } else { BATCH };
        let mut still = 0;
        while let Some(turn) = turns.next().filter(|_| idle < IDLE) {
            let before = self.filling.clone();
            let whole = before.is_whole();
            let sweeps = whole && still < STILL;
            let mut gained = match sweeps {
                true => self.swap(turn, most, free),
                false => self.anew(turn),
            };
            if gained && self.filling.is_whole() {
                let found = pool.seats(&self.filling, &mut held);
                let moved = |seats: &Seats| seats.moved(pool.rules);
                gained = found.without.is_empty() && (!whole || moved(&found) < moved(&seats));
                if sweeps && !free {
                    most = if gained { 2 * most } else { (most / 2).max(1) };
                }
                if gained {
                    seats = found;
                } else {
                    self.filling = before;
                }
            }
            idle = if gained { 0 } else { idle + 1 };
            still = if gained {
                0
            } else {
                still + usize::from(sweeps)
            };
            let moved = seats.moved(pool.rules);
            tracing::trace!(turn, sweeps, gained, moved, "filled anew");
        }
        let whole = self.filling.is_whole() && seats.without.is_empty();
        whole.then(|| seats.place.into_iter().collect()).flatten()
    }

    /// Exchanges that give hosts copies of their own; whether they gain.
    fn swap(&mut self, turn: u64, most: usize, idly: bool) -> bool {
        let mut swaps = Swaps::new(self.stay, &self.filling.kept);
        let gained = swaps.sweep(turn, most, idly, self.stop);
        self.filling.kept = swaps.kept();
        gained.is_some_and(|gained| gained > 0)
    }

    /// Fills some hosts anew, with some of what is missing; whether less is missing then, or moves.
    fn anew(&mut self, turn: u64) -> bool {
        let wanted = self.wanted(turn);
        let chosen = self.chosen(&wanted, turn);
        let before: Kept = chosen
            .iter()
            .map(|at| self.filling.kept[*at].clone())
            .collect();
        let mut left = vec![0; self.filling.missing.len()];
        for (i, copies) in before.iter().flat_map(|(_, content)| content) {
            left[*i] += copies;
        }
        wanted.iter().for_each(|i| left[*i] += 1);
        let sites: Vec<usize> = before.iter().map(|(site, _)| *site).collect();
        let block = Block {
            stay: self.stay,
            sites: &sites,
            left: &left,
            weights: &self.weights,
            stop: self.stop,
        };
        let stays = |kept: &Kept| float(self.stays(kept));
        let lack = |items: &mut dyn Iterator<Item = usize>| block.lack(items);
        let known = lack(&mut wanted.iter().copied()) - stays(&before);
        let Some((after, missing)) = block.fill(&before, Some(known)) else {
            return false;
        };
        let lacks = missing.iter().enumerate();
        let mut lacks = lacks.flat_map(|(i, copies)| std::iter::repeat_n(i, *copies));
        // Stays are whole numbers.
        if lack(&mut lacks) - stays(&after) > known - 0.5 {
            return false;
        }
        for (at, content) in chosen.into_iter().zip(after) {
            self.filling.kept[at] = content;
        }
        wanted.iter().for_each(|i| self.filling.missing[*i] -= 1);
        for (sum, more) in self.filling.missing.iter_mut().zip(missing) {
            *sum += more;
        }
        true
    }

    fn stays(&self, kept: &Kept) -> i64 {
        let of = |(s, content): &(usize, Content)| self.stay.stays(&self.stay.sites[*s], content);
        kept.iter().map(of).sum()
    }

    /// Some of the items that are missing.
    fn wanted(&self, turn: u64) -> Vec<usize> {
        let missing = (0..self.filling.missing.len()).filter(|i| self.filling.missing[*i] > 0);
        let mut missing: Vec<usize> = missing.collect();
        missing.sort_by(|a, b| noise(turn, *a).total_cmp(&noise(turn, *b)));
        // The fewer are missing, the fewer together: there is little room left in which they fit exactly.
        let most = (1 + missing.len() / 16).min(WANTED);
        if let Some(first) = missing.first().copied() {
            let hosts = &self.stay.packing.hosts;
            missing.retain(|i| hosts.iter().all(|k| k.takes[*i] == k.takes[first]));
        }
        missing.truncate(most);
        missing
    }

    /// Hosts to be filled anew, by their place: some that may have each of what is wanted, those first that
    /// have others of its size, and then those that are worth least of what they could be.
    fn chosen(&self, wanted: &[usize], turn: u64) -> Vec<usize> {
        let packing = self.stay.packing;
        let mut chosen: Vec<usize> = Vec::new();
        for i in wanted {
            let takes = |at: &usize| {
                packing.hosts[self.stay.sites[self.filling.kept[*at].0].class].takes[*i]
            };
            let alike = |at: usize| {
                let mut items = self.filling.kept[at].1.iter();
                let need = &packing.items[*i].need;
                items.any(|(j, _)| j != i && packing.items[*j].need == *need)
            };
            let rank = |at: usize| noise(turn, at) + f64::from(u8::from(!alike(at)));
            let mut order: Vec<(f64, usize)> = (0..self.filling.kept.len())
                .filter(takes)
                .map(|at| (rank(at), at))
                .collect();
            order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            chosen.extend(order.iter().take(EACH).map(|o| o.1));
        }
        // What is missing needs room that is free; else those that are worth least of what they could be.
        let worth = |(site, content): &(usize, Content)| {
            let stay = self.stay;
            let worth = stay.worth(*site, content, &self.weights);
            if wanted.is_empty() {
                worth - self.worths[*site]
            } else {
                worth - stay.stays(&stay.sites[*site], content) * stay.unit * stay.parts
            }
        };
        let worths: Vec<i64> = self.filling.kept.iter().map(worth).collect();
        let most = match wanted {
            [] => 0,
            _ => worths.iter().copied().max().unwrap_or(0),
        };
        // Room is rare, and has to be there.
        let chance = if wanted.is_empty() { 3 } else { 1 };
        let mut order: Vec<(f64, usize)> = (0..worths.len())
            .map(|at| {
                let lost = float((most - worths[at]).max(0)) + 1.0;
                (lost * noise(turn, at).powi(chance), at)
            })
            .collect();
        order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        // Items that only some hosts take can change places among these alone.
        let class = |at: usize| self.stay.sites[self.filling.kept[at].0].class;
        let mut near: Vec<usize> = chosen.iter().map(|at| class(*at)).collect();
        near.dedup();
        let mut firsts = order.iter().map(|o| class(o.1));
        while near.len() < NEAR {
            let Some(next) = firsts.next() else { break };
            if !near.contains(&next) {
                near.push(next);
            }
        }
        let (inside, outside): (Vec<usize>, Vec<usize>) = order
            .iter()
            .map(|o| o.1)
            .partition(|at| near.contains(&class(*at)));
        let more = PART.saturating_sub(chosen.len());
        let (first, rest) = inside.split_at((more - more / FAR).min(inside.len()));
        chosen.extend(first);
        let others = outside.iter().chain(rest);
        chosen.extend(others.take(PART.saturating_sub(chosen.len())));
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}
