//! A problem as the searches walk through it: guests that must share a host merged into bundles,
//! rules as counts per place, and the state of a placement with its penalties kept up to date.
//!
//! Penalty = Σ over hosts and resources of max(0, load − room) ÷ mean room
//!         + [`PAIR`] × (pairs together that must be apart + pairs apart that must be together)
//!         + [`PAIR`] × (moves above what max-moves allows).
//! It is 0 exactly when the placement is feasible; that is decided in integers.

mod state;

pub(crate) use state::State;

use std::collections::BTreeMap;
use std::sync::Arc;

use vmpack_ilp::problem::{Amounts, CLUSTER_RESOURCES, GroupKind, Problem, is_cpu};

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
    pub(crate) scale: Vec<f64>,
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
    /// What moving all of its guests that run somewhere costs: their memory (MiB), or by the policy.
    pub(crate) price: i64,
    /// Hosts where its guests run, each with what moving these costs.
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
    pub(crate) place: Arc<[usize]>,
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
    /// Whether no rule over several guests binds it.
    pub(crate) fn is_free(&self) -> bool {
        self.groups.is_empty()
    }
    /// What its moves cost when the bundle is on that host.
    pub(crate) fn moved(&self, host: usize) -> i64 {
        self.price - at(&self.homes, host)
    }
}

impl Group {
    /// Whether its members are to be in different places.
    pub(crate) fn is_spread(&self) -> bool {
        !self.together
    }
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
        let mut shared: BTreeMap<*const usize, usize> = BTreeMap::new();
        let (mut bundles, mut sets, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for guests in members.into_values() {
            for g in &guests {
                bundle_of[*g] = bundles.len();
            }
            let bundle = bundle(problem, guests);
            // Most guests share few lists of hosts, which have room for each alone (a guest that is
            // pinned may be where it has none).
            let alone = match bundle.guests.as_slice() {
                [only] => Some(&problem.guests[*only].allowed),
                _ => None,
            };
            let alone = alone
                .filter(|list| list.len() > 1)
                .map(|list| list.as_ptr());
            if let Some(set) = alone.and_then(|list| shared.get(&list)) {
                bundles.push(Bundle {
                    set: *set,
                    ..bundle
                });
                continue;
            }
            let allowed = allowed(problem, &bundle);
            if allowed.is_empty() {
                reasons.push(crate::explain::bundle_without_host(problem, &bundle.guests));
            }
            let set = *known.entry(allowed).or_insert_with_key(|list| {
                sets.push(HostSet::new(list.clone(), problem.hosts.len()));
                sets.len() - 1
            });
            shared.extend(alone.map(|list| (list, set)));
            bundles.push(Bundle { set, ..bundle });
        }
        let (mut groups, mut caps) = (Vec::new(), Vec::new());
        let mut floor = problem.nothing();
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
                        place: Arc::clone(place),
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
            for (f, n) in floor.iter_mut().zip(&bundle.need) {
                *f += n;
            }
        }
        if problem.exempt > 0 {
            // A window may want more than all rooms; nothing is lost by not looking.
            let windows = (0..floor.len()).filter(|r| is_cpu(*r));
            windows.for_each(|r| floor[r] = 0);
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
    /// Whether patterns and bounds, which know of no windows that are exempt, speak of it.
    pub(crate) fn is_plain(&self) -> bool {
        self.problem.exempt == 0
    }
    /// Overload of a host where windows are exempt: of each window above the room, but the k that are
    /// most above it.
    fn above(&self, load: &Amounts, room: &Amounts) -> f64 {
        let mut sum = 0.0;
        let mut windows = Vec::new();
        for (r, scale) in self.scale.iter().enumerate() {
            let over = load[r] - room[r];
            if over > 0 && !is_cpu(r) {
                sum += over as f64 * scale;
            } else if over > 0 {
                windows.push(over as f64 * scale);
            }
        }
        windows.sort_by(|a, b| b.total_cmp(a));
        sum + windows.iter().skip(self.problem.exempt).sum::<f64>()
    }
    /// Guest-host pairs: the size of the formulations; each so often as windows may be exempt in turn.
    pub(crate) fn pairs(&self) -> usize {
        let pairs: usize = self.problem.guests.iter().map(|g| g.allowed.len()).sum();
        pairs.saturating_mul(self.rows_per_host())
    }
    /// Rows of a host in the formulations, against those of one without exempt windows.
    pub(crate) fn rows_per_host(&self) -> usize {
        match self.problem.exempt {
            0 => 1,
            _ => self
                .problem
                .resources
                .len()
                .div_ceil(CLUSTER_RESOURCES.len()),
        }
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
    /// What the moves to a placement of bundles cost.
    pub(crate) fn moved(&self, at: &[usize]) -> i64 {
        self.bundles.iter().zip(at).map(|(b, h)| b.moved(*h)).sum()
    }
    /// What moving all guests away would cost, for each host.
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
    let mut need = problem.nothing();
    let mut homes: BTreeMap<usize, i64> = BTreeMap::new();
    for guest in guests.iter().map(|g| &problem.guests[*g]) {
        for (n, m) in need.iter_mut().zip(&guest.need) {
            *n += m;
        }
        if let Some(h) = guest.current {
            *homes.entry(h).or_default() += guest.price;
        }
    }
    Bundle {
        guests,
        need,
        set: 0,
        price: homes.values().sum(),
        homes: homes.into_iter().collect(),
        groups: Vec::new(),
    }
}

/// Hosts that every guest of the bundle may take and that have room for it whole.
fn allowed(problem: &Problem, bundle: &Bundle) -> Vec<usize> {
    let mut count = vec![0usize; problem.hosts.len()];
    for g in &bundle.guests {
        for h in problem.guests[*g].allowed.iter() {
            count[*h] += 1;
        }
    }
    (0..count.len())
        .filter(|h| count[*h] == bundle.guests.len())
        .filter(|h| problem.fits(&bundle.need, &problem.hosts[*h].room))
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

fn scale(problem: &Problem) -> Vec<f64> {
    let open: Vec<_> = problem.hosts.iter().filter(|h| h.open).collect();
    let of = |r: usize| {
        let total: f64 = open.iter().map(|h| h.room[r] as f64).sum();
        open.len() as f64 / total.max(1.0)
    };
    (0..problem.resources.len()).map(of).collect()
}
