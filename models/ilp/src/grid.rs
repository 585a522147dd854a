//! What the formulations have in common.
//!
//! Sets: guests G, hosts H, the hosts `A[g]` ⊆ H that guest g may take (fence, ban, pin, drain and
//! requirements are folded into A), resources R.
//!
//! Variables:
//! - `x[g,h]` ∈ {0,1} for g∈G, `h∈A[g]`: guest g runs on host h
//! - `y[h]` ∈ {0,1} for h∈H: host h is in use; 1 where h never sleeps, 0 where it drains
//!
//! Rows:
//! - (once) `Σ_{h∈A[g]} x[g,h] = 1` for every g
//! - (room) Σ_g `need[g,r]·x[g,h]` ≤ `reach[h,r]·y[h]` for every h, r
//! - (linked) `x[g,h]` ≤ `y[h]` where it is asked for, or where no room row says it
//!
//! Where windows are exempt (k of T for each host, [`Problem::exempt`]), CPU in a window w has no (room)
//! row; with `e[h,w]` ∈ {0,1} for the windows that host h exempts, and `above[h,w]` = Σ_g `need[g,w]` −
//! `room[h,w]` over the guests that may take h, there are instead
//! - (window) Σ_g `need[g,w]·x[g,h]` ≤ `room[h,w]` + `above[h,w]·e[h,w]` for every h, w
//! - (exempt) Σ_w `e[h,w]` ≤ k for every h
//! - (lowest) of `relaxed.rs` for nested sets of windows, as a (room) row: implied, and tighter in the LP
//!
//! `reach[h,r]` is the largest sum of needs of guests that may take h which is at most `room[h,r]`:
//! the same integer points as with the room itself, a tighter LP. A room row that even all guests
//! together keep is left out.
//!
//! Hosts alike in everything that a formulation sees are a class h_0, h_1, …; only placements with
//! these two properties are kept, to which every placement can be renamed:
//! - (order) `y[h_k]` ≥ `y[h_{k+1}]`
//! - (first) `x[g_i,h_k]` = 0 for k > i, g_0, g_1, … being the guests that may take the class, the
//!   largest first: hosts ordered by their first guest.
//!
//! Source: the compact model of vector bin packing with the symmetry breaking of Sherali and Smith,
//! Management Science 47(10), 2001.

use std::collections::BTreeMap;

use good_lp::Constraint;

use crate::bound::reach;
use crate::highs::mps::Wording;
use crate::model::{Column, Columns, Sum, Term};
use crate::problem::{GroupKind, Problem, is_cpu};

/// Where a guest is.
enum Spot {
    /// To be decided among these hosts, ascending.
    Open(Vec<(usize, Column)>),
    /// Settled.
    At(usize),
}

/// The variables x and y of a formulation over some of the hosts; the rest is settled.
pub(crate) struct Grid {
    x: Vec<Spot>,
    y: Vec<Term>,
    classes: Vec<Vec<usize>>,
    /// The placement that the columns start from.
    start: Option<Vec<usize>>,
}

/// What a grid is made of.
pub(crate) struct Frame<'a> {
    /// The hosts that are decided about, ascending.
    pub(crate) hosts: &'a [usize],
    /// Where guests on other hosts stay, and which of these are in use; `None` when all hosts are
    /// decided about.
    pub(crate) settled: Option<&'a Settled<'a>>,
    /// A placement that keeps every rule.
    pub(crate) warm: Option<&'a [usize]>,
    /// Hosts that are like no other.
    pub(crate) apart: &'a [bool],
}

/// What stays when only a block of hosts is decided about.
pub(crate) struct Settled<'a> {
    /// The placement that the block is taken from.
    pub(crate) placement: &'a [usize],
    /// Whether a host is in use in it.
    pub(crate) awake: &'a [bool],
}

impl Grid {
    pub(crate) fn new(p: &Problem, frame: &Frame, columns: &mut Columns) -> Self {
        let mut inside = vec![false; p.hosts.len()];
        for h in frame.hosts {
            inside[*h] = p.hosts[*h].open;
        }
        let open = |g: usize| {
            frame
                .settled
                .is_none_or(|s| frame.hosts.binary_search(&s.placement[g]).is_ok())
        };
        let mut guests: Vec<usize> = (0..p.guests.len()).filter(|g| open(*g)).collect();
        p.largest_first(p.hosts.iter().map(|h| &h.room), &mut guests);
        let classes = classes(p, &inside, &guests, frame.apart);
        let start = frame.warm.map(|warm| renamed(&classes, &guests, warm));
        let awake = awake_at_start(p, &classes, frame.warm);

        // (first): the last position in its class that each guest may take.
        let mut position = vec![0; p.hosts.len()];
        for class in &classes {
            for (k, h) in class.iter().enumerate() {
                position[*h] = k;
            }
        }
        let mut x: Vec<Spot> = (0..p.guests.len())
            .map(|g| Spot::At(frame.settled.map_or(0, |s| s.placement[g])))
            .collect();
        let mut before: BTreeMap<usize, usize> = BTreeMap::new();
        let class_of = class_of(p, &classes);
        for g in &guests {
            let mut spots = Vec::new();
            let mut seen: Vec<usize> = Vec::new();
            for h in p.guests[*g].allowed.iter() {
                if !inside[*h] {
                    continue;
                }
                let class = class_of[*h];
                seen.push(class);
                if position[*h] <= before.get(&class).copied().unwrap_or(0) {
                    let starts = start.as_ref().is_some_and(|s| s[*g] == *h);
                    spots.push((*h, columns.binary(starts)));
                }
            }
            seen.sort_unstable();
            seen.dedup();
            for class in seen {
                *before.entry(class).or_default() += 1;
            }
            x[*g] = Spot::Open(spots);
        }
        let y = (0..p.hosts.len())
            .map(|h| match frame.settled {
                _ if p.hosts[h].always => Term::Known(true),
                _ if inside[h] => Term::Open(columns.binary(awake[h])),
                Some(settled) => {
                    Term::Known(settled.awake[h] && frame.hosts.binary_search(&h).is_err())
                }
                None => Term::Known(false),
            })
            .collect();
        Self {
            x,
            y,
            classes,
            start,
        }
    }

    /// `x[g,h]`: 0 where the guest may not take the host.
    pub(crate) fn x(&self, g: usize, h: usize) -> Term {
        match &self.x[g] {
            Spot::At(at) => Term::Known(*at == h),
            Spot::Open(spots) => spots
                .binary_search_by_key(&h, |(host, _)| *host)
                .map_or(Term::Known(false), |i| Term::Open(spots[i].1)),
        }
    }
    /// `y[h]`.
    pub(crate) fn y(&self, h: usize) -> Term {
        self.y[h]
    }
    /// Where the guest is in the warm start.
    pub(crate) fn start(&self, g: usize) -> Option<usize> {
        self.start.as_ref().map(|s| s[g])
    }
    /// Whether there is a warm start.
    pub(crate) fn is_warm(&self) -> bool {
        self.start.is_some()
    }
    /// The guests that are decided about, with their hosts and columns.
    pub(crate) fn open(&self) -> impl Iterator<Item = (usize, &[(usize, Column)])> {
        self.x
            .iter()
            .enumerate()
            .filter_map(|(g, spot)| match spot {
                Spot::Open(spots) => Some((g, spots.as_slice())),
                Spot::At(_) => None,
            })
    }

    /// The rows (once), (room), (linked) and (order); `linked` asks for (linked) of guest and host. Where
    /// windows are exempt their rows, too, with columns of their own.
    pub(crate) fn rows(
        &self,
        p: &Problem,
        columns: &mut Columns,
        linked: impl Fn(usize, usize) -> bool,
    ) -> Vec<Constraint> {
        let mut rows = Vec::new();
        let mut on: Vec<Vec<(usize, Column)>> = vec![Vec::new(); p.hosts.len()];
        for (g, spots) in self.open() {
            let mut once = Sum::new();
            for (h, column) in spots {
                once.add(1, Term::Open(*column));
                on[*h].push((g, *column));
            }
            rows.push(once.is_one());
        }
        if p.exempt > 0 {
            self.exempt(p, &on, columns, &mut rows);
        }
        let p = &*p.plain();
        // Hosts alike with the same guests have the same reach.
        let mut known: BTreeMap<(usize, i64, Vec<usize>), i64> = BTreeMap::new();
        for (h, guests) in on.iter().enumerate() {
            if guests.is_empty() {
                continue;
            }
            let mut bound_by_room = vec![false; guests.len()];
            for r in 0..p.resources.len() {
                let room = p.hosts[h].room[r];
                let all: i64 = guests.iter().map(|(g, _)| p.guests[*g].need[r]).sum();
                if all <= room {
                    continue;
                }
                let key = (r, room, guests.iter().map(|(g, _)| *g).collect());
                let reach = *known.entry(key).or_insert_with(|| {
                    reach(guests.iter().map(|(g, _)| p.guests[*g].need[r]), room)
                });
                let mut within = Sum::new();
                for ((g, column), bound) in guests.iter().zip(&mut bound_by_room) {
                    let need = p.guests[*g].need[r];
                    within.add(need, Term::Open(*column));
                    *bound |= need > 0;
                }
                within.add(-reach, self.y[h]);
                rows.push(within.at_most(0));
            }
            for ((g, column), bound) in guests.iter().zip(bound_by_room) {
                if !bound || linked(*g, h) {
                    let mut link = Sum::new();
                    link.add(1, Term::Open(*column));
                    link.add(-1, self.y[h]);
                    if !matches!(self.y[h], Term::Known(true)) {
                        rows.push(link.at_most(0));
                    }
                }
            }
        }
        for class in &self.classes {
            for pair in class.windows(2) {
                let mut order = Sum::new();
                order.add(1, self.y[pair[0]]);
                order.add(-1, self.y[pair[1]]);
                if !order.is_settled() {
                    rows.push(order.at_least(0));
                }
            }
        }
        rows
    }

    /// The rows (window) and (exempt) of the guests that may be `on` each host.
    fn exempt(
        &self,
        p: &Problem,
        on: &[Vec<(usize, Column)>],
        columns: &mut Columns,
        rows: &mut Vec<Constraint>,
    ) {
        for (h, guests) in on.iter().enumerate() {
            let mut exempt = Sum::new();
            for w in (0..p.resources.len()).filter(|r| is_cpu(*r)) {
                let room = p.hosts[h].room[w];
                let mut within = Sum::new();
                let (mut all, mut at_start) = (0, 0);
                for (g, column) in guests {
                    let need = p.guests[*g].need[w];
                    within.add(need, Term::Open(*column));
                    all += need;
                    at_start += if self.start(*g) == Some(h) { need } else { 0 };
                }
                if all > room {
                    let exempts = Term::Open(columns.binary(at_start > room));
                    within.add(room - all, exempts);
                    exempt.add(1, exempts);
                    rows.push(within.at_most(room));
                }
            }
            if !exempt.is_settled() {
                rows.push(exempt.at_most(i64::try_from(p.exempt).unwrap_or(i64::MAX)));
            }
        }
    }

    /// Σ_h `weight[h]·y[h]`.
    pub(crate) fn awake(&self, weight: impl Fn(usize) -> i64) -> Sum {
        let mut sum = Sum::new();
        for (h, y) in self.y.iter().enumerate() {
            sum.add(weight(h), *y);
        }
        sum
    }

    /// What a text for other solvers says beside the model: columns named by numbers of guests and hosts, and
    /// who has which number. The objective is in `unit`, less `constant`.
    pub(crate) fn wording(
        &self,
        p: &Problem,
        relaxed: bool,
        (unit, constant): (i64, i64),
    ) -> Wording {
        let mut names = BTreeMap::new();
        for (g, spots) in self.open() {
            for (h, column) in spots {
                names.insert(column.at, format!("x_{g}_{h}"));
            }
        }
        for (h, y) in self.y.iter().enumerate() {
            if let Term::Open(column) = y {
                names.insert(column.at, format!("y_{h}"));
            }
        }
        let guests = p.guests.iter().enumerate();
        let guests = guests.map(|(g, guest)| format!("guest {g}: {}", guest.name));
        let hosts = p.hosts.iter().enumerate();
        let hosts = hosts.map(|(h, host)| format!("host {h}: {}", host.name));
        let head = "x_g_h: guest g runs on host h; y_h: host h is in use".to_owned();
        let notes = std::iter::once(head).chain(guests).chain(hosts);
        Wording {
            relaxed,
            unit,
            constant,
            names,
            notes: notes.collect(),
        }
    }

    /// The placement in the solver's values; `None` when a guest is nowhere.
    pub(crate) fn placement(&self, values: &[f64]) -> Option<Vec<usize>> {
        self.x
            .iter()
            .map(|spot| match spot {
                Spot::At(h) => Some(*h),
                Spot::Open(spots) => spots
                    .iter()
                    .find(|(_, c)| values.get(c.at).is_some_and(|v| *v > 0.5))
                    .map(|(h, _)| *h),
            })
            .collect()
    }
}

/// The classes of hosts inside that are alike in room, cost, sleep, the guests that they may take,
/// and their place in every rule; in a class of more than one each host is a place of its own or
/// they all share one.
fn classes(p: &Problem, inside: &[bool], guests: &[usize], apart: &[bool]) -> Vec<Vec<usize>> {
    // The guests that a host may take, as a set of bits.
    let words = guests.len().div_ceil(64);
    let mut takes = vec![vec![0u64; words]; p.hosts.len()];
    for (i, g) in guests.iter().enumerate() {
        for h in p.guests[*g].allowed.iter() {
            takes[*h][i / 64] |= 1 << (i % 64);
        }
    }
    let mut places: Vec<Vec<Option<usize>>> = vec![Vec::new(); p.hosts.len()];
    for rule in &p.rules {
        if let GroupKind::Spread { place, .. } | GroupKind::Gather { place, .. } = &rule.kind {
            let mut size: BTreeMap<usize, usize> = BTreeMap::new();
            for at in place.iter() {
                *size.entry(*at).or_default() += 1;
            }
            for (h, at) in place.iter().enumerate() {
                places[h].push((size.get(at) != Some(&1)).then_some(*at));
            }
        }
    }
    let mut alike: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (h, host) in p.hosts.iter().enumerate() {
        if inside[h] {
            let itself = apart[h].then_some(h);
            alike
                .entry((
                    itself,
                    host.room.clone(),
                    host.offered().clone(),
                    host.cost,
                    host.always,
                    &takes[h],
                    &places[h],
                ))
                .or_default()
                .push(h);
        }
    }
    alike.into_values().collect()
}

/// As many hosts of each class in use as the warm start has, the first ones of it.
fn awake_at_start(p: &Problem, classes: &[Vec<usize>], warm: Option<&[usize]>) -> Vec<bool> {
    let mut awake = vec![false; p.hosts.len()];
    let used = warm.and_then(|w| crate::rule::spare::in_use(p, w));
    if let Some(used) = used {
        for class in classes {
            let count = class.iter().filter(|h| used.binary_search(h).is_ok());
            for h in class.iter().take(count.count()) {
                awake[*h] = true;
            }
        }
    }
    awake
}

fn class_of(p: &Problem, classes: &[Vec<usize>]) -> Vec<usize> {
    let mut of = vec![usize::MAX; p.hosts.len()];
    for (c, class) in classes.iter().enumerate() {
        for h in class {
            of[*h] = c;
        }
    }
    of
}

/// The placement with the hosts of each class renamed so that they are ordered by their first guest
/// in the order of `guests`; hosts without one come last.
fn renamed(classes: &[Vec<usize>], guests: &[usize], placement: &[usize]) -> Vec<usize> {
    let mut first: BTreeMap<usize, usize> = BTreeMap::new();
    for (rank, g) in guests.iter().enumerate() {
        first.entry(placement[*g]).or_insert(rank);
    }
    let mut to: BTreeMap<usize, usize> = BTreeMap::new();
    for class in classes {
        let mut sorted = class.clone();
        sorted.sort_by_key(|h| (first.get(h).copied().unwrap_or(usize::MAX), *h));
        to.extend(sorted.into_iter().zip(class.iter().copied()));
    }
    placement
        .iter()
        .map(|h| to.get(h).copied().unwrap_or(*h))
        .collect()
}
