//! Stays gained by exchanges between two hosts of a filling (`refill.rs`).
//!
//! Where a host kept lacks a copy of its own, one of the same item that comes to another host anyway goes
//! there instead, with up to two more of that host's copies, and up to three of the first host's copies
//! change over, where both have room then. The best such exchange is made, also one that gains nothing: it
//! may make way for another (a walk on the plateau, as in min-conflicts; Selman, Levesque and Mitchell
//! 1992).

use std::collections::{BTreeMap, BTreeSet};

use super::dive::noise;
use super::filling::Kept;
use super::stay::Stay;

/// Copies that change over from the host that gains one of its own, at most, and from the other beside
/// that one.
const OUT: usize = 3;
const BESIDE: usize = 2;

/// What hosts carry, ready for exchanges.
pub(super) struct Swaps<'s, 'a> {
    stay: &'s Stay<'a>,
    hosts: Vec<Host>,
    /// Of each item, the hosts with a copy that is not one of their own.
    strange: Vec<BTreeSet<usize>>,
    /// The resource of which the most is used.
    scarce: usize,
}

struct Host {
    site: usize,
    class: usize,
    load: Vec<i64>,
    /// The item of each copy, ascending.
    copies: Vec<usize>,
    /// What the dearest 0, 1, 2, … of the host's own copies save, by item.
    own: BTreeMap<usize, Vec<i64>>,
}

/// An exchange: what goes where a copy is missed, and what comes from there.
struct Swap {
    gain: i64,
    rank: f64,
    with: usize,
    out: Vec<usize>,
    into: Vec<usize>,
}

/// Copies of a host that go together.
struct Part {
    need: Vec<i64>,
    items: Vec<usize>,
}

impl Host {
    fn count(&self, item: usize) -> usize {
        self.copies.iter().filter(|i| **i == item).count()
    }

    fn own(&self, item: usize) -> usize {
        self.own.get(&item).map_or(0, |saved| saved.len() - 1)
    }

    /// What more is saved when these go and those come.
    fn gain(&self, out: &[usize], into: &[usize]) -> i64 {
        let mut gain = 0;
        for (item, saved) in &self.own {
            let of = |items: &[usize]| items.iter().filter(|i| *i == item).count();
            let (gone, come) = (of(out), of(into));
            if gone != come {
                let before = self.count(*item);
                let most = saved.len() - 1;
                gain += saved[(before + come - gone).min(most)] - saved[before.min(most)];
            }
        }
        gain
    }
}

impl<'s, 'a> Swaps<'s, 'a> {
    pub(super) fn new(stay: &'s Stay<'a>, kept: &Kept) -> Self {
        let resources = stay.packing.resources();
        let host = |(s, content): &(usize, super::Content)| {
            let site = &stay.sites[*s];
            let mut prices: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
            for (item, price) in &site.homes {
                prices.entry(*item).or_default().push(*price);
            }
            let saved = |(item, mut prices): (usize, Vec<i64>)| {
                prices.sort_unstable_by(|a, b| b.cmp(a));
                let sums = prices.iter().scan(0, |sum, price| {
                    *sum += price;
                    Some(*sum)
                });
                (item, std::iter::once(0).chain(sums).collect())
            };
            let copies = content
                .iter()
                .flat_map(|(item, copies)| std::iter::repeat_n(*item, *copies));
            let mut host = Host {
                site: *s,
                class: site.class,
                load: vec![0; resources],
                copies: copies.collect(),
                own: prices.into_iter().map(saved).collect(),
            };
            for item in &host.copies {
                let need = &stay.packing.items[*item].need;
                host.load.iter_mut().zip(need).for_each(|(l, n)| *l += n);
            }
            host
        };
        let hosts: Vec<Host> = kept.iter().map(host).collect();
        let used = |r: usize| {
            let used = hosts.iter().map(|h| {
                let room = stay.packing.hosts[h.class].room[r].max(1);
                crate::model::float(h.load[r]) / crate::model::float(room)
            });
            used.sum::<f64>()
        };
        let scarce = (0..resources).max_by(|a, b| used(*a).total_cmp(&used(*b)));
        let mut swaps = Self {
            stay,
            strange: vec![BTreeSet::new(); stay.counts.len()],
            scarce: scarce.unwrap_or(0),
            hosts,
        };
        for at in 0..swaps.hosts.len() {
            swaps.mark(at, &swaps.hosts[at].copies.clone());
        }
        swaps
    }

    /// What hosts carry by now.
    pub(super) fn kept(&self) -> Kept {
        let host = |host: &Host| {
            let mut content: BTreeMap<usize, usize> = BTreeMap::new();
            for item in &host.copies {
                *content.entry(*item).or_default() += 1;
            }
            (host.site, content.into_iter().collect())
        };
        self.hosts.iter().map(host).collect()
    }

    /// Makes an exchange for each copy that its host lacks, if there is one that loses nothing, up to that many
    /// that gain. Returns what is gained, in parts; `None` where it was stopped.
    pub(super) fn sweep(
        &mut self,
        turn: u64,
        most: usize,
        idly: bool,
        stop: &dyn Fn() -> bool,
    ) -> Option<i64> {
        let mut lacking: Vec<(usize, usize)> = Vec::new();
        for (at, host) in self.hosts.iter().enumerate() {
            let own = host.own.keys().filter(|i| host.count(**i) < host.own(**i));
            lacking.extend(own.map(|i| (at, *i)));
        }
        lacking.sort_by(|a, b| noise(turn, a.0).total_cmp(&noise(turn, b.0)).then(a.cmp(b)));
        let (mut gained, mut made) = (0, 0);
        for (at, item) in lacking {
            if made >= most {
                break;
            }
            if stop() {
                return None;
            }
            if self.hosts[at].count(item) >= self.hosts[at].own(item) {
                continue;
            }
            let Some(swap) = self.best(at, item, turn) else {
                continue;
            };
            if swap.gain > 0 || (idly && swap.gain == 0) {
                gained += swap.gain;
                made += usize::from(swap.gain > 0);
                self.make(at, &swap);
            }
        }
        Some(gained)
    }

    /// The exchange that gains most of those that bring a host a copy of that item, one of several by
    /// chance.
    fn best(&self, at: usize, item: usize, turn: u64) -> Option<Swap> {
        let scarce = self.scarce;
        let host = &self.hosts[at];
        if !self.may(host, item) {
            return None;
        }
        let mut outs = self.parts(&host.copies, OUT);
        outs.retain(|out| !out.items.contains(&item));
        outs.sort_by(|a, b| (a.need[scarce], &a.items).cmp(&(b.need[scarce], &b.items)));
        let free =
            |host: &Host, r: usize| self.stay.packing.hosts[host.class].room[r] - host.load[r];
        let mut best: Option<Swap> = None;
        let mut looks = 0;
        for with in self.strange[item].iter().copied().filter(|k| *k != at) {
            let other = &self.hosts[with];
            let mut rest = other.copies.clone();
            if let Ok(i) = rest.binary_search(&item) {
                rest.remove(i);
            }
            let mut besides = self.parts(&rest, BESIDE);
            besides.push(Part {
                need: vec![0; host.load.len()],
                items: Vec::new(),
            });
            for mut into in besides {
                into.items.push(item);
                let need = &self.stay.packing.items[item].need;
                into.need.iter_mut().zip(need).for_each(|(l, n)| *l += n);
                let (least, greatest) = (
                    into.need[scarce] - free(host, scarce),
                    into.need[scarce] + free(other, scarce),
                );
                let first = outs.partition_point(|out| out.need[scarce] < least);
                for out in outs[first..]
                    .iter()
                    .take_while(|out| out.need[scarce] <= greatest)
                {
                    let fits = (0..host.load.len()).all(|r| {
                        let more = into.need[r] - out.need[r];
                        more <= free(host, r) && -more <= free(other, r)
                    });
                    if !fits {
                        continue;
                    }
                    let gain =
                        host.gain(&out.items, &into.items) + other.gain(&into.items, &out.items);
                    looks += 1;
                    let rank = noise(turn, looks);
                    let better = |b: &Swap| (gain, rank) > (b.gain, b.rank);
                    if gain >= 0
                        && best.as_ref().is_none_or(better)
                        && self.may_all(host, &out.items, &into.items)
                        && self.may_all(other, &into.items, &out.items)
                    {
                        best = Some(Swap {
                            gain,
                            rank,
                            with,
                            out: out.items.clone(),
                            into: into.items.clone(),
                        });
                    }
                }
            }
        }
        best
    }

    /// Up to so many copies together, each choice of items once.
    fn parts(&self, copies: &[usize], most: usize) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut known: BTreeSet<Vec<usize>> = BTreeSet::new();
        // Places of the last copies taken, to go on from.
        let mut open: Vec<Vec<usize>> = vec![Vec::new()];
        while let Some(places) = open.pop() {
            let from = places.last().map_or(0, |p| p + 1);
            for place in from..copies.len() {
                let mut more = places.clone();
                more.push(place);
                let items: Vec<usize> = more.iter().map(|p| copies[*p]).collect();
                if !known.insert(items.clone()) {
                    continue;
                }
                let mut need = vec![0; self.stay.packing.resources()];
                for item in &items {
                    let of = &self.stay.packing.items[*item].need;
                    need.iter_mut().zip(of).for_each(|(l, n)| *l += n);
                }
                parts.push(Part { need, items });
                if more.len() < most {
                    open.push(more);
                }
            }
        }
        parts
    }

    fn may(&self, host: &Host, item: usize) -> bool {
        let barred = self.stay.barred.get(&host.site);
        self.stay.packing.hosts[host.class].takes[item]
            && barred.is_none_or(|items| !items.contains(&item))
    }

    /// Whether a host may have what comes when others go.
    fn may_all(&self, host: &Host, out: &[usize], into: &[usize]) -> bool {
        into.iter().all(|item| {
            let of = |items: &[usize]| items.iter().filter(|i| *i == item).count();
            let after = host.count(*item) + of(into);
            self.may(host, *item) && after <= self.stay.most[*item] + of(out)
        })
    }

    fn make(&mut self, at: usize, swap: &Swap) {
        for (at, out, into) in [
            (at, &swap.out, &swap.into),
            (swap.with, &swap.into, &swap.out),
        ] {
            let host = &mut self.hosts[at];
            for item in out {
                if let Ok(i) = host.copies.binary_search(item) {
                    host.copies.remove(i);
                }
                let need = &self.stay.packing.items[*item].need;
                host.load.iter_mut().zip(need).for_each(|(l, n)| *l -= n);
            }
            for item in into {
                host.copies.push(*item);
                let need = &self.stay.packing.items[*item].need;
                host.load.iter_mut().zip(need).for_each(|(l, n)| *l += n);
            }
            host.copies.sort_unstable();
            let changed: Vec<usize> = out.iter().chain(into).copied().collect();
            self.mark(at, &changed);
        }
    }

    /// Notes whether a host has strange copies of these items.
    fn mark(&mut self, at: usize, items: &[usize]) {
        let host = &self.hosts[at];
        for item in items {
            if host.count(*item) > host.own(*item) {
                self.strange[*item].insert(at);
            } else {
                self.strange[*item].remove(&at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::smallvec;

    use super::super::packing::Packing;
    use super::*;
    use crate::problem::{CLUSTER_RESOURCES, GuestItem, HostSlot, Problem};

    const ROOM: i64 = 8;

    /// Guests by their need and where they run, on four hosts.
    fn world(guests: &[(i64, usize)], room: i64) -> Problem {
        let host = |h: usize| HostSlot {
            name: format!("h{h}").parse().unwrap(),
            cost: 1000,
            room: smallvec![room, 100, 100],
            unraised: None,
            always: false,
            asleep: false,
            open: true,
        };
        let guest = |(g, (need, at)): (usize, &(i64, usize))| GuestItem {
            name: format!("g{g}").parse().unwrap(),
            need: smallvec![*need, 1, 1],
            memory: 1 + *need,
            price: 1 + *need,
            current: Some(*at),
            allowed: (0..4).collect(),
        };
        Problem {
            resources: CLUSTER_RESOURCES.map(String::from).to_vec(),
            hosts: (0..4).map(host).collect(),
            guests: guests.iter().enumerate().map(guest).collect(),
            rules: Vec::new(),
            exempt: 0,
            warnings: Vec::new(),
        }
    }

    /// What hosts carry where guests are there, as far as there is room for them.
    fn filled(p: &Problem, stay: &Stay, at: &[usize], room: i64) -> Kept {
        let mut load = [0; 4];
        let mut contents = vec![BTreeMap::new(); 4];
        for (i, item) in stay.packing.items.iter().enumerate() {
            for guest in item.members.iter().flatten() {
                let (host, need) = (at[*guest], p.guests[*guest].need[0]);
                if load[host] + need <= room {
                    load[host] += need;
                    *contents[host].entry(i).or_default() += 1;
                }
            }
        }
        let sites = stay.sites.iter().enumerate();
        sites
            .map(|(s, site)| (s, contents[site.host].clone().into_iter().collect()))
            .collect()
    }

    fn stays(stay: &Stay, kept: &Kept) -> i64 {
        let of =
            |(s, content): &(usize, super::super::Content)| stay.stays(&stay.sites[*s], content);
        kept.iter().map(of).sum()
    }

    #[test]
    fn one_that_comes_back_changes_places_with_two_that_go_home() {
        let p = world(&[(3, 0), (1, 1), (2, 1)], 3);
        let packing = Packing::of(&p).together();
        let stay = Stay::new(&p, &packing).unwrap();
        let kept = filled(&p, &stay, &[1, 0, 0], 3);
        assert_eq!(stays(&stay, &kept), 0);
        let mut swaps = Swaps::new(&stay, &kept);
        assert!(swaps.sweep(1, usize::MAX, false, &|| false) > Some(0));
        let all: i64 = p.guests.iter().map(|g| g.price).sum();
        assert_eq!(stays(&stay, &swaps.kept()) * stay.unit, all);
    }

    proptest! {
        /// Copies are as many as before, each host has room for its own, and what stays is more by what is
        /// told.
        #[test]
        fn exchanges_keep_what_there_is_and_tell_what_they_gain(
            guests in prop::collection::vec((1i64..5, 0usize..4), 2..14),
            at in prop::collection::vec(0usize..4, 14),
            idly in any::<bool>(),
        ) {
            let p = world(&guests, ROOM);
            let packing = Packing::of(&p).together();
            let stay = Stay::new(&p, &packing).unwrap();
            let kept = filled(&p, &stay, &at, ROOM);
            let before = stays(&stay, &kept);
            let mut swaps = Swaps::new(&stay, &kept);
            let gained: i64 = (1..6)
                .filter_map(|turn| swaps.sweep(turn, usize::MAX, idly, &|| false))
                .sum();
            let after = swaps.kept();
            prop_assert!(gained >= 0);
            prop_assert_eq!((stays(&stay, &after) - before) * stay.unit * stay.parts, gained);
            let counts = |kept: &Kept| {
                let mut counts = vec![0; packing.items.len()];
                kept.iter().flat_map(|(_, c)| c).for_each(|(i, n)| counts[*i] += n);
                counts
            };
            prop_assert_eq!(counts(&kept), counts(&after));
            for (_, content) in &after {
                let load: i64 = content
                    .iter()
                    .map(|(i, n)| packing.items[*i].need[0] * i64::try_from(*n).unwrap())
                    .sum();
                prop_assert!(load <= ROOM);
            }
        }
    }
}
