//! A placement under way: what the searches change step by step.

use vmpack_ilp::problem::Amounts;

use super::{Instance, NOWHERE, PAIR};

/// A placement under way, with loads, counts and penalties kept up to date.
#[derive(Clone)]
pub(crate) struct State<'i, 'p> {
    pub(crate) inst: &'i Instance<'p>,
    /// The host of each bundle; [`NOWHERE`] before it is placed.
    pub(crate) at: Vec<usize>,
    pub(crate) load: Vec<Amounts>,
    /// Bundles on each host, in no order that matters, and where each stands in its list.
    pub(crate) on: Vec<Vec<usize>>,
    slot: Vec<usize>,
    /// Members per place of each group.
    count: Vec<Counts>,
    /// Broken pairs of each group.
    pub(crate) broken: Vec<i64>,
    broken_total: i64,
    /// Moves under each cap.
    moves: Vec<i64>,
    /// Overloaded hosts, in no order that matters, and where each stands in the list.
    pub(crate) over: Vec<usize>,
    over_slot: Vec<usize>,
}

/// Numbers by place, of the places that have any, ascending.
#[derive(Clone, Default)]
struct Counts(Vec<(usize, i64)>);

impl Counts {
    fn at(&self, place: usize) -> i64 {
        let found = self.0.binary_search_by_key(&place, |c| c.0);
        found.map_or(0, |i| self.0[i].1)
    }
    fn add(&mut self, place: usize, by: i64) {
        match self.0.binary_search_by_key(&place, |c| c.0) {
            Ok(i) => {
                self.0[i].1 += by;
                if self.0[i].1 == 0 {
                    self.0.remove(i);
                }
            }
            Err(i) => self.0.insert(i, (place, by)),
        }
    }
}

impl<'i, 'p> State<'i, 'p> {
    /// The state of a placement; bundles may be [`NOWHERE`].
    pub(crate) fn new(inst: &'i Instance<'p>, at: &[usize]) -> Self {
        let hosts = inst.problem.hosts.len();
        let mut state = Self {
            inst,
            at: vec![NOWHERE; at.len()],
            load: vec![inst.problem.nothing(); hosts],
            on: vec![Vec::new(); hosts],
            slot: vec![0; at.len()],
            count: vec![Counts::default(); inst.groups.len()],
            broken: vec![0; inst.groups.len()],
            broken_total: 0,
            moves: vec![0; inst.caps.len()],
            over: Vec::new(),
            over_slot: vec![NOWHERE; hosts],
        };
        for (bundle, host) in at.iter().enumerate() {
            if *host != NOWHERE {
                state.put(bundle, *host);
            }
        }
        state
    }
    pub(crate) fn feasible(&self) -> bool {
        self.over.is_empty() && self.rules_kept()
    }
    pub(crate) fn rules_kept(&self) -> bool {
        self.broken_total == 0
            && self
                .moves
                .iter()
                .zip(&self.inst.caps)
                .all(|(m, c)| *m <= c.most)
    }
    pub(crate) fn overload(&self, load: &Amounts, host: usize) -> f64 {
        let room = &self.inst.problem.hosts[host].room;
        if !self.inst.is_plain() {
            return self.inst.above(load, room);
        }
        let mut sum = 0.0;
        for ((load, room), scale) in load.iter().zip(room).zip(&self.inst.scale) {
            let over = load - room;
            if over > 0 {
                sum += over as f64 * scale;
            }
        }
        sum
    }
    pub(crate) fn penalty(&self) -> f64 {
        let over: f64 = self
            .over
            .iter()
            .map(|h| self.overload(&self.load[*h], *h))
            .sum();
        let moves: i64 = self
            .moves
            .iter()
            .zip(&self.inst.caps)
            .map(|(m, c)| (m - c.most).max(0))
            .sum();
        over + PAIR * (self.broken_total + moves) as f64
    }
    /// The room left on a host after a bundle was put there; `None` when it does not fit.
    pub(crate) fn left(&self, bundle: usize, host: usize) -> Option<Amounts> {
        let (room, load) = (&self.inst.problem.hosts[host].room, &self.load[host]);
        let need = &self.inst.bundles[bundle].need;
        let left = |((r, l), n): ((&i64, &i64), &i64)| r - l - n;
        let left: Amounts = room.iter().zip(load).zip(need).map(left).collect();
        if self.inst.is_plain() {
            return left.iter().all(|l| *l >= 0).then_some(left);
        }
        let load: Amounts = load.iter().zip(need).map(|(l, n)| l + n).collect();
        self.inst.problem.fits(&load, room).then_some(left)
    }
    pub(crate) fn put(&mut self, bundle: usize, host: usize) {
        let inst = self.inst;
        self.at[bundle] = host;
        self.slot[bundle] = self.on[host].len();
        self.on[host].push(bundle);
        for (l, n) in self.load[host].iter_mut().zip(&inst.bundles[bundle].need) {
            *l += n;
        }
        for g in &inst.bundles[bundle].groups {
            let group = &inst.groups[*g];
            let placed = if group.together {
                self.broken_apart(*g, bundle, host)
            } else {
                self.count[*g].at(group.place[host])
            };
            self.count[*g].add(group.place[host], 1);
            self.broken[*g] += placed;
            self.broken_total += placed;
        }
        for (moves, cap) in self.moves.iter_mut().zip(&inst.caps) {
            *moves += cap.moves(bundle, host);
        }
        self.note(host);
    }
    pub(crate) fn take(&mut self, bundle: usize) {
        let inst = self.inst;
        let host = self.at[bundle];
        self.at[bundle] = NOWHERE;
        let slot = self.slot[bundle];
        self.on[host].swap_remove(slot);
        if let Some(moved) = self.on[host].get(slot) {
            self.slot[*moved] = slot;
        }
        for (l, n) in self.load[host].iter_mut().zip(&inst.bundles[bundle].need) {
            *l -= n;
        }
        for g in &inst.bundles[bundle].groups {
            let group = &inst.groups[*g];
            self.count[*g].add(group.place[host], -1);
            let freed = if group.together {
                self.broken_apart(*g, bundle, host)
            } else {
                self.count[*g].at(group.place[host])
            };
            self.broken[*g] -= freed;
            self.broken_total -= freed;
        }
        for (moves, cap) in self.moves.iter_mut().zip(&inst.caps) {
            *moves -= cap.moves(bundle, host);
        }
        self.note(host);
    }
    /// Other placed members of a gather that are not in the host's place.
    fn broken_apart(&self, g: usize, bundle: usize, host: usize) -> i64 {
        let group = &self.inst.groups[g];
        group
            .members
            .iter()
            .filter(|m| **m != bundle && self.at[**m] != NOWHERE)
            .filter(|m| group.place[self.at[**m]] != group.place[host])
            .count() as i64
    }
    /// Keeps the list of overloaded hosts.
    fn note(&mut self, host: usize) {
        let room = &self.inst.problem.hosts[host].room;
        let is_over = !self.inst.problem.fits(&self.load[host], room);
        let slot = self.over_slot[host];
        if is_over && slot == NOWHERE {
            self.over_slot[host] = self.over.len();
            self.over.push(host);
        } else if !is_over && slot != NOWHERE {
            self.over.swap_remove(slot);
            if let Some(moved) = self.over.get(slot) {
                self.over_slot[*moved] = slot;
            }
            self.over_slot[host] = NOWHERE;
        }
    }
    /// What broken pairs change by when a placed bundle goes to another host, and `other` (if any)
    /// takes its place.
    fn pairs_change(&self, bundle: usize, to: usize, other: Option<usize>) -> i64 {
        let mut change = 0;
        for g in &self.inst.bundles[bundle].groups {
            let group = &self.inst.groups[*g];
            let (from, to) = (group.place[self.at[bundle]], group.place[to]);
            if from == to || other.is_some_and(|o| self.inst.bundles[o].groups.contains(g)) {
                continue;
            }
            let gained = self.count[*g].at(to) - (self.count[*g].at(from) - 1);
            change += if group.together { -gained } else { gained };
        }
        change
    }
    /// Broken pairs that a placed bundle is one of.
    pub(crate) fn conflicts(&self, bundle: usize) -> i64 {
        let host = self.at[bundle];
        let broken = self.inst.bundles[bundle].groups.iter().map(|g| {
            let group = &self.inst.groups[*g];
            if group.together {
                self.broken_apart(*g, bundle, host)
            } else {
                self.count[*g].at(group.place[host]) - 1
            }
        });
        broken.sum()
    }
    /// Broken pairs that putting an unplaced bundle on a host would add.
    pub(crate) fn pairs_added(&self, bundle: usize, host: usize) -> i64 {
        let groups = &self.inst.bundles[bundle].groups;
        groups
            .iter()
            .map(|g| {
                let group = &self.inst.groups[*g];
                if group.together {
                    self.broken_apart(*g, bundle, host)
                } else {
                    self.count[*g].at(group.place[host])
                }
            })
            .sum()
    }
    fn excess(&self, cap: usize, change: i64) -> i64 {
        let most = self.inst.caps[cap].most;
        (self.moves[cap] + change - most).max(0) - (self.moves[cap] - most).max(0)
    }
    /// Moves above the caps that putting an unplaced bundle on a host would add.
    pub(crate) fn moves_added(&self, bundle: usize, host: usize) -> i64 {
        (0..self.inst.caps.len())
            .map(|c| self.excess(c, self.inst.caps[c].moves(bundle, host)))
            .sum()
    }
    /// What the penalty changes by when a bundle moves to a host, or changes places with `other`
    /// that is there.
    pub(crate) fn change(&self, bundle: usize, to: usize, other: Option<usize>) -> f64 {
        let from = self.at[bundle];
        let bundles = &self.inst.bundles;
        let (source, target) = (&self.load[from], &self.load[to]);
        let rooms = [from, to].map(|h| &self.inst.problem.hosts[h].room);
        let mut over = 0.0;
        if !self.inst.is_plain() {
            let net = |r: usize| bundles[bundle].need[r] - other.map_or(0, |o| bundles[o].need[r]);
            let resources = 0..source.len();
            let after_source: Amounts = resources.clone().map(|r| source[r] - net(r)).collect();
            let after_target: Amounts = resources.map(|r| target[r] + net(r)).collect();
            over = self.inst.above(&after_source, rooms[0])
                + self.inst.above(&after_target, rooms[1])
                - self.inst.above(source, rooms[0])
                - self.inst.above(target, rooms[1]);
        }
        let plain = self.inst.is_plain();
        for (r, scale) in self.inst.scale.iter().enumerate().filter(|_| plain) {
            let net = bundles[bundle].need[r] - other.map_or(0, |o| bundles[o].need[r]);
            let (s, t) = (source[r] - rooms[0][r], target[r] - rooms[1][r]);
            let change = (s - net).max(0) + (t + net).max(0) - s.max(0) - t.max(0);
            over += change as f64 * scale;
        }
        let mut broken = 0;
        if !self.inst.groups.is_empty() {
            broken += self.pairs_change(bundle, to, other);
            if let Some(o) = other {
                broken += self.pairs_change(o, from, Some(bundle));
            }
        }
        for (c, cap) in self.inst.caps.iter().enumerate() {
            let mut moves = cap.moves(bundle, to) - cap.moves(bundle, from);
            if let Some(o) = other {
                moves += cap.moves(o, from) - cap.moves(o, to);
            }
            broken += self.excess(c, moves);
        }
        over + PAIR * broken as f64
    }
    /// Moves a bundle, or swaps it with `other`.
    pub(crate) fn shift(&mut self, bundle: usize, to: usize, other: Option<usize>) {
        let from = self.at[bundle];
        self.take(bundle);
        if let Some(o) = other {
            self.take(o);
            self.put(o, from);
        }
        self.put(bundle, to);
    }
}
