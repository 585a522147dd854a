//! Bounds from where guests run now: a host that is not in use afterwards has moved all its guests.
//!
//! Let S be the hosts in use afterwards, and count what moves in a measure `m[g]` ≥ 0 (1 for a
//! migration, its memory for MiB moved), over guests that run somewhere. For each host h that may be
//! in use afterwards:
//! - must = Σ `m[g]` over guests that cannot stay at all: their host is not allowed to them. They
//!   move in every placement.
//! - `gone[h]` = Σ `m[g]` over the other guests on h: they move if h ∉ S.
//! - `shed[h]`: what at least moves of these if h ∈ S, because they overload h. 0 ≤ shed ≤ gone.
//!
//! These guests are disjoint sets, so what moves is at least
//! `must + Σ_{h∉S} gone[h] + Σ_{h∈S} shed[h] = must + Σ_h gone[h] − Σ_{h∈S} (gone[h] − shed[h])`.
//!
//! A guest that waits moves in neither sense, and a host that drains is never in S: its guests are
//! all in `must`.

use super::part::Part;
use super::{Best, MovesBound};
use crate::model::{ceil_div, gcd};
use crate::problem::{GroupKind, Problem};

/// What moves, as above, in one measure.
struct Leaving {
    must: i64,
    gone: Vec<i64>,
    shed: Vec<i64>,
}

impl Leaving {
    /// `measure` is 0 for guests that do not count.
    fn new(p: &Problem, measure: impl Fn(usize) -> i64) -> Self {
        let mut must = 0;
        let mut staying: Vec<Vec<usize>> = vec![Vec::new(); p.hosts.len()];
        for (g, guest) in p.guests.iter().enumerate() {
            if let Some(here) = guest.current {
                if guest.allowed.binary_search(&here).is_ok() {
                    staying[here].push(g);
                } else {
                    must += measure(g);
                }
            }
        }
        let gone = staying
            .iter()
            .map(|guests| guests.iter().map(|g| measure(*g)).sum())
            .collect();
        let shed = staying
            .iter()
            .enumerate()
            .map(|(h, guests)| {
                (0..p.resources.len())
                    .map(|r| {
                        let load: i64 = guests.iter().map(|g| p.guests[*g].need[r]).sum();
                        let over = load - p.hosts[h].room[r];
                        let freed = guests.iter().map(|g| (p.guests[*g].need[r], measure(*g)));
                        least_to_free(freed.collect(), over)
                    })
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        Self { must, gone, shed }
    }

    /// gone − shed: what staying in use saves.
    fn saved(&self, h: usize) -> i64 {
        self.gone[h] - self.shed[h]
    }
    /// What moves when no host saves anything.
    fn all(&self) -> i64 {
        self.must + self.gone.iter().sum::<i64>()
    }
}

/// The least Σ measure over some of the (need, measure) with Σ need ≥ `over`, in fractions, rounded
/// up: a fractional knapsack, cheapest per need first.
fn least_to_free(mut guests: Vec<(i64, i64)>, over: i64) -> i64 {
    if over <= 0 {
        return 0;
    }
    guests.retain(|(need, _)| *need > 0);
    guests.sort_by(|a, b| {
        (i128::from(a.1) * i128::from(b.0)).cmp(&(i128::from(b.1) * i128::from(a.0)))
    });
    let mut over = over;
    let mut sum = 0;
    for (need, measure) in guests {
        if need >= over {
            let part =
                (i128::from(measure) * i128::from(over) + i128::from(need) - 1) / i128::from(need);
            return sum + i64::try_from(part).unwrap_or(measure);
        }
        over -= need;
        sum += measure;
    }
    sum
}

/// The bound by each `max-moves` rule of n moves: by the above the hosts in use have
/// Σ_{h∈S} (`gone[h]` − `shed[h]`) ≥ must + Σ_h `gone[h]` − n, a covering demand. So if n moves can
/// empty k hosts at most, all but k of those in use now stay in use.
pub(super) fn hosts(p: &Problem, whole: &Part, best: &mut Best) {
    for rule in &p.rules {
        let GroupKind::MaxMoves { guests, moves } = &rule.kind else {
            continue;
        };
        let mut counts = vec![0; p.guests.len()];
        for g in guests {
            counts[*g] = 1;
        }
        let leaving = Leaving::new(p, |g| counts[g]);
        let most = i64::try_from(*moves).unwrap_or(i64::MAX);
        let demand = i128::from(leaving.all()) - i128::from(most);
        let least = whole.cover_each(demand, |h| i128::from(leaving.saved(h)));
        best.offer(least, || {
            format!(
                "rule {}: at most {moves} of {} guests may move",
                rule.name,
                guests.len()
            )
        });
    }
}

/// What the bound on moves is made of, for any cost of hosts.
pub(super) struct Moves {
    leaving: Leaving,
    /// What hosts in use whatever happens save together, and their cost.
    forced: (i64, i64),
    /// What each other host saves, if anything, and its cost: what saves most for its cost first.
    others: Vec<(i64, i64)>,
    /// The greatest common divisor of what is measured.
    unit: i64,
}

impl Moves {
    /// `measure` as for [`Leaving`].
    pub(super) fn new(p: &Problem, measure: impl Fn(usize) -> i64) -> Self {
        let p = &*p.plain();
        let whole = Part::whole(p);
        let leaving = Leaving::new(p, &measure);
        let is_forced = whole.is_forced(p.hosts.len());
        let mut forced = (0, 0);
        let mut others: Vec<(i64, i64)> = Vec::new();
        for h in &whole.hosts {
            let price = p.hosts[*h].cost;
            if is_forced[*h] {
                forced.0 += leaving.saved(*h);
                forced.1 += price;
            } else if leaving.saved(*h) > 0 {
                others.push((leaving.saved(*h), price));
            }
        }
        others.sort_by(|a, b| by_worth(*a, *b));
        let running = (0..p.guests.len()).filter(|g| p.guests[*g].current.is_some());
        let unit = running.fold(0, |d, g| gcd(d, measure(g))).max(1);
        Self {
            leaving,
            forced,
            others,
            unit,
        }
    }

    /// The bound when the hosts in use cost at most `cost`: must + Σ gone less the most that
    /// Σ_{h∈S} (`gone[h]` − `shed[h]`) can be. S contains the forced hosts; what the budget leaves
    /// beyond them is a knapsack ([`afford`]). The result is rounded up to a multiple of the greatest
    /// common divisor of what is measured.
    pub(super) fn at(&self, cost: i64) -> MovesBound {
        let Self {
            leaving,
            forced,
            others,
            unit,
        } = self;
        let candidates = others.len();
        let (saved, kept) = afford(others, cost.saturating_sub(forced.1));
        let saved = forced.0 + saved;
        let least = ceil_div(leaving.all() - saved, *unit) * unit;
        let mut why = Vec::new();
        if candidates > kept {
            let lightest = candidates - kept;
            why.push(match (candidates, lightest) {
                (1, _) => "the only host that can be emptied must be".to_owned(),
                (_, 1) => {
                    format!("the lightest of the {candidates} hosts that can be emptied must be")
                }
                _ => format!(
                    "the {lightest} lightest of the {candidates} hosts that can be emptied must be"
                ),
            });
        }
        if leaving.must > 0 || leaving.shed.iter().any(|s| *s > 0) {
            why.push(
                "guests must leave hosts that drain, are overloaded or refused to them".to_owned(),
            );
        }
        if why.is_empty() {
            why.push("no guest must move".to_owned());
        }
        let origin = why.join(", and ");
        MovesBound { least, origin }
    }
}

/// The most that hosts in use save with so much to spend beyond the forced ones, and how many of
/// `others`, by what they save and cost, are kept whole for it: a knapsack. What saves most for its
/// cost comes first. Where all cost the same, so many of the best; else the fractional optimum,
/// rounded down (Dantzig 1957).
pub(crate) fn afford(others: &[(i64, i64)], mut budget: i64) -> (i64, usize) {
    let equal = others.windows(2).all(|w| w[0].1 == w[1].1);
    let (mut saved, mut kept) = (0, 0);
    for (worth, price) in others {
        if *price > budget {
            if !equal && budget > 0 {
                let part = i128::from(*worth) * i128::from(budget) / i128::from(*price);
                saved += i64::try_from(part).unwrap_or(*worth);
            }
            break;
        }
        budget -= price;
        saved += worth;
        kept += 1;
    }
    (saved, kept)
}

/// Puts hosts first that save most for their cost, by what they save and cost.
pub(crate) fn by_worth(a: (i64, i64), b: (i64, i64)) -> std::cmp::Ordering {
    (i128::from(b.0) * i128::from(a.1)).cmp(&(i128::from(a.0) * i128::from(b.1)))
}
