//! A problem as the searches walk through it: guests that must share a host merged into bundles,
//! rules as counts per place, and the state of a placement with its penalties kept up to date.
//!
//! Penalty = Σ over hosts and resources of max(0, load − room) ÷ mean room
//!         + [`PAIR`] × (pairs together that must be apart + pairs apart that must be together)
//!         + [`PAIR`] × (moves above what max-moves allows).
//! It is 0 exactly when the placement is feasible; that is decided in integers.

use std::collections::BTreeMap;

use vmpack_ilp::problem::{Amounts, GroupKind, Problem, RESOURCES};

/// Not placed.
pub(crate) const NOWHERE: usize = usize::MAX;
/// What one broken pair weighs, in hosts' worth of overload.
pub(crate) const PAIR: f64 = 0.25;

/// A problem with gathered guests merged.
pub(crate) struct Instance<'p> {
    pub(crate) problem: &'p Problem,
    pub(crate) bundles: Vec<Bundle>,
    /// Distinct sets of hosts that bundles may take.
    pub(crate) sets: Vec<HostSet>,
    pub(crate) groups: Vec<Group>,
    pub(crate) caps: Vec<Cap>,
    /// 1 ÷ mean room of the hosts that may be used, per resource.
    pub(crate) scale: [f64; RESOURCES],
    /// What all hosts in use must offer together: every guest's need and the spare room.
    pub(crate) floor: Amounts,
}

/// Guests that are placed as one: usually one guest.
pub(crate) struct Bundle {
    /// Guest indices.
    pub(crate) guests: Vec<usize>,
    pub(crate) need: Amounts,
    /// Index into [`Instance::sets`].
    pub(crate) set: usize,
    /// Memory (MiB) of its guests that run somewhere.
    pub(crate) memory: i64,
    /// Hosts where its guests run, each with their memory.
    pub(crate) homes: Vec<(usize, i64)>,
    /// Groups that it belongs to.
    groups: Vec<usize>,
}

/// A set of hosts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostSet {
    bits: Vec<u64>,
    /// Ascending.
    pub(crate) list: Vec<usize>,
}

/// A spread or gather over places.
pub(crate) struct Group {
    /// Gather, else spread.
    together: bool,
    /// The place of each host.
    pub(crate) place: Vec<usize>,
    places: usize,
    pub(crate) members: Vec<usize>,
}

/// A max-moves rule.
pub(crate) struct Cap {
    most: i64,
    /// Per bundle: its guests under the rule that run somewhere, and how many of them at each home.
    total: Vec<i64>,
    homes: Vec<Vec<(usize, i64)>>,
}

impl HostSet {
    fn new(list: Vec<usize>, hosts: usize) -> Self {
        let mut bits = vec![0; hosts.div_ceil(64)];
        for h in &list {
            bits[h / 64] |= 1 << (h % 64);
        }
        Self { bits, list }
    }
    pub(crate) fn contains(&self, host: usize) -> bool {
        self.bits[host / 64] >> (host % 64) & 1 == 1
    }
}

fn at(homes: &[(usize, i64)], host: usize) -> i64 {
    homes.iter().find(|x| x.0 == host).map_or(0, |x| x.1)
}

impl Bundle {
    /// Memory moved when the bundle is on that host.
    pub(crate) fn moved(&self, host: usize) -> i64 {
        self.memory - at(&self.homes, host)
    }
}

impl Group {
    /// Whether several hosts can be one place.
    pub(crate) fn labelled(&self) -> bool {
        self.places < self.place.len()
    }
}

impl Cap {
    fn moves(&self, bundle: usize, host: usize) -> i64 {
        self.total[bundle] - at(&self.homes[bundle], host)
    }
}

fn fits(need: &Amounts, room: &Amounts) -> bool {
    need.iter().zip(room).all(|(n, r)| n <= r)
}

/// Which guests must share a host: the representative of each guest's bundle.
fn merge(problem: &Problem) -> Vec<usize> {
    fn root(of: &mut [usize], mut g: usize) -> usize {
        while of[g] != g {
            of[g] = of[of[g]];
            g = of[g];
        }
        g
    }
    let mut of: Vec<usize> = (0..problem.guests.len()).collect();
    for rule in &problem.rules {
        let GroupKind::Gather { guests, place } = &rule.kind else {
            continue;
        };
        if place_count(place) < place.len() {
            continue;
        }
        for pair in guests.windows(2) {
            let (a, b) = (root(&mut of, pair[0]), root(&mut of, pair[1]));
            of[a.max(b)] = a.min(b);
        }
    }
    (0..of.len()).map(|g| root(&mut of, g)).collect()
}

fn place_count(place: &[usize]) -> usize {
    place.iter().max().map_or(0, |m| m + 1)
}

impl<'p> Instance<'p> {
    /// Merges what must be together.
    ///
    /// # Errors
    /// Why no host can take a bundle, or two rules that contradict each other in one.
    pub(crate) fn build(problem: &'p Problem) -> Result<Self, Vec<String>> {
        let root = merge(problem);
        let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (g, r) in root.iter().enumerate() {
            members.entry(*r).or_default().push(g);
        }
        let mut bundle_of = vec![0; problem.guests.len()];
        let mut known: BTreeMap<Vec<usize>, usize> = BTreeMap::new();
        let (mut bundles, mut sets, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for guests in members.into_values() {
            for g in &guests {
                bundle_of[*g] = bundles.len();
            }
            let bundle = bundle(problem, guests);
            let allowed = allowed(problem, &bundle);
            if allowed.is_empty() {
                reasons.push(crate::explain::bundle_without_host(problem, &bundle.guests));
            }
            let set = *known.entry(allowed).or_insert_with_key(|list| {
                sets.push(HostSet::new(list.clone(), problem.hosts.len()));
                sets.len() - 1
            });
            bundles.push(Bundle { set, ..bundle });
        }
        let (mut groups, mut caps) = (Vec::new(), Vec::new());
        let mut floor = [0i64; RESOURCES];
        for rule in &problem.rules {
            match &rule.kind {
                GroupKind::Spread { guests, place } | GroupKind::Gather { guests, place } => {
                    let together = matches!(rule.kind, GroupKind::Gather { .. });
                    let mut members: Vec<usize> = guests.iter().map(|g| bundle_of[*g]).collect();
                    members.sort_unstable();
                    members.dedup();
                    if !together && members.len() < guests.len() {
                        reasons.push(crate::explain::spread_in_a_bundle(problem, rule, &root));
                    }
                    for b in &members {
                        bundles[*b].groups.push(groups.len());
                    }
                    let places = place_count(place);
                    groups.push(Group {
                        together,
                        place: place.clone(),
                        places,
                        members,
                    });
                }
                GroupKind::Spare { amount } => {
                    for (f, a) in floor.iter_mut().zip(amount) {
                        *f = (*f).max(*a);
                    }
                }
                GroupKind::MaxMoves { guests, moves } => {
                    caps.push(cap(problem, &bundles, &bundle_of, guests, *moves));
                }
            }
        }
        for bundle in &bundles {
            for (f, n) in floor.iter_mut().zip(bundle.need) {
                *f += n;
            }
        }
        if reasons.is_empty() {
            let scale = scale(problem);
            Ok(Self {
                problem,
                bundles,
                sets,
                groups,
                caps,
                scale,
                floor,
            })
        } else {
            Err(reasons)
        }
    }
    /// The bundles' places of a placement of guests; where a bundle's guests disagree, or sit
    /// where they may not be, it is nowhere.
    pub(crate) fn bundled(&self, guests: &[Option<usize>]) -> Vec<usize> {
        self.bundles
            .iter()
            .map(|b| {
                let host = b.guests.first().and_then(|g| guests[*g]);
                match host {
                    Some(h)
                        if self.sets[b.set].contains(h)
                            && b.guests.iter().all(|g| guests[*g] == host) =>
                    {
                        h
                    }
                    _ => NOWHERE,
                }
            })
            .collect()
    }
    /// The bundles' places of a whole placement of guests.
    pub(crate) fn bundles_at(&self, placement: &[usize]) -> Vec<usize> {
        let guests: Vec<Option<usize>> = placement.iter().map(|h| Some(*h)).collect();
        self.bundled(&guests)
    }
    /// Guest-host pairs: the size of the formulations.
    pub(crate) fn pairs(&self) -> usize {
        self.problem.guests.iter().map(|g| g.allowed.len()).sum()
    }
    /// Where each bundle runs now.
    pub(crate) fn current(&self) -> Vec<usize> {
        let now: Vec<Option<usize>> = self.problem.guests.iter().map(|g| g.current).collect();
        self.bundled(&now)
    }
    /// The guests' hosts of a placement of bundles.
    pub(crate) fn placement(&self, at: &[usize]) -> Vec<usize> {
        let mut placement = vec![NOWHERE; self.problem.guests.len()];
        for (bundle, host) in self.bundles.iter().zip(at) {
            for g in &bundle.guests {
                placement[*g] = *host;
            }
        }
        placement
    }
    /// Memory moved (MiB) by a placement of bundles.
    pub(crate) fn moved(&self, at: &[usize]) -> i64 {
        self.bundles.iter().zip(at).map(|(b, h)| b.moved(*h)).sum()
    }
    /// Memory that runs on each host now.
    pub(crate) fn held(&self) -> Vec<i64> {
        let mut held = vec![0; self.problem.hosts.len()];
        for bundle in &self.bundles {
            for (h, memory) in &bundle.homes {
                held[*h] += memory;
            }
        }
        held
    }
    /// Whether a placement of bundles is feasible: all placed, no host overloaded, every rule kept.
    pub(crate) fn feasible(&self, at: &[usize]) -> bool {
        at.iter().all(|h| *h != NOWHERE) && State::new(self, at).feasible()
    }
}

fn bundle(problem: &Problem, guests: Vec<usize>) -> Bundle {
    let mut need = [0; RESOURCES];
    let mut homes: BTreeMap<usize, i64> = BTreeMap::new();
    for guest in guests.iter().map(|g| &problem.guests[*g]) {
        for (n, m) in need.iter_mut().zip(guest.need) {
            *n += m;
        }
        if let Some(h) = guest.current {
            *homes.entry(h).or_default() += guest.memory;
        }
    }
    Bundle {
        guests,
        need,
        set: 0,
        memory: homes.values().sum(),
        homes: homes.into_iter().collect(),
        groups: Vec::new(),
    }
}

/// Hosts that every guest of the bundle may take and that have room for it whole.
fn allowed(problem: &Problem, bundle: &Bundle) -> Vec<usize> {
    let mut count = vec![0usize; problem.hosts.len()];
    for g in &bundle.guests {
        for h in &problem.guests[*g].allowed {
            count[*h] += 1;
        }
    }
    (0..count.len())
        .filter(|h| count[*h] == bundle.guests.len())
        .filter(|h| fits(&bundle.need, &problem.hosts[*h].room))
        .collect()
}

fn cap(problem: &Problem, bundles: &[Bundle], of: &[usize], guests: &[usize], most: usize) -> Cap {
    let mut cap = Cap {
        most: i64::try_from(most).unwrap_or(i64::MAX),
        total: vec![0; bundles.len()],
        homes: vec![Vec::new(); bundles.len()],
    };
    for g in guests {
        if let Some(h) = problem.guests[*g].current {
            let bundle = of[*g];
            cap.total[bundle] += 1;
            match cap.homes[bundle].iter_mut().find(|x| x.0 == h) {
                Some(home) => home.1 += 1,
                None => cap.homes[bundle].push((h, 1)),
            }
        }
    }
    cap
}

fn scale(problem: &Problem) -> [f64; RESOURCES] {
    let open: Vec<_> = problem.hosts.iter().filter(|h| h.open).collect();
    std::array::from_fn(|r| {
        let total: f64 = open.iter().map(|h| h.room[r] as f64).sum();
        open.len() as f64 / total.max(1.0)
    })
}

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
    count: Vec<Vec<i64>>,
    /// Broken pairs of each group.
    pub(crate) broken: Vec<i64>,
    broken_total: i64,
    /// Moves under each cap.
    moves: Vec<i64>,
    /// Overloaded hosts, in no order that matters, and where each stands in the list.
    pub(crate) over: Vec<usize>,
    over_slot: Vec<usize>,
}

impl<'i, 'p> State<'i, 'p> {
    /// The state of a placement; bundles may be [`NOWHERE`].
    pub(crate) fn new(inst: &'i Instance<'p>, at: &[usize]) -> Self {
        let hosts = inst.problem.hosts.len();
        let mut state = Self {
            inst,
            at: vec![NOWHERE; at.len()],
            load: vec![[0; RESOURCES]; hosts],
            on: vec![Vec::new(); hosts],
            slot: vec![0; at.len()],
            count: inst.groups.iter().map(|g| vec![0; g.places]).collect(),
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
        let mut sum = 0.0;
        for r in 0..RESOURCES {
            let over = load[r] - room[r];
            if over > 0 {
                sum += over as f64 * self.inst.scale[r];
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
        let left: Amounts = std::array::from_fn(|r| room[r] - load[r] - need[r]);
        left.iter().all(|l| *l >= 0).then_some(left)
    }
    pub(crate) fn put(&mut self, bundle: usize, host: usize) {
        let inst = self.inst;
        self.at[bundle] = host;
        self.slot[bundle] = self.on[host].len();
        self.on[host].push(bundle);
        for (l, n) in self.load[host].iter_mut().zip(inst.bundles[bundle].need) {
            *l += n;
        }
        for g in &inst.bundles[bundle].groups {
            let group = &inst.groups[*g];
            let here = &mut self.count[*g][group.place[host]];
            let placed = if group.together {
                self.broken_apart(*g, bundle, host)
            } else {
                *here
            };
            self.count[*g][group.place[host]] += 1;
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
        for (l, n) in self.load[host].iter_mut().zip(inst.bundles[bundle].need) {
            *l -= n;
        }
        for g in &inst.bundles[bundle].groups {
            let group = &inst.groups[*g];
            self.count[*g][group.place[host]] -= 1;
            let freed = if group.together {
                self.broken_apart(*g, bundle, host)
            } else {
                self.count[*g][group.place[host]]
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
        let is_over = !fits(&self.load[host], room);
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
            let gained = self.count[*g][to] - (self.count[*g][from] - 1);
            change += if group.together { -gained } else { gained };
        }
        change
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
                    self.count[*g][group.place[host]]
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
        let (mut source, mut target) = (self.load[from], self.load[to]);
        for r in 0..RESOURCES {
            let net = bundles[bundle].need[r] - other.map_or(0, |o| bundles[o].need[r]);
            source[r] -= net;
            target[r] += net;
        }
        let over = self.overload(&source, from) + self.overload(&target, to)
            - self.overload(&self.load[from], from)
            - self.overload(&self.load[to], to);
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
