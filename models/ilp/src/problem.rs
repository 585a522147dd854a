//! A placement problem as the formulations and heuristics see it: integer needs and rooms per
//! resource, hosts and guests by index, every unary rule (fence, ban, pin, drain, requires, out)
//! folded into which hosts a guest may take.
//!
//! The resources of a cluster, in this order: CPU in milli-cores of speed 1, memory in MiB, vCPUs in
//! thousandths (so that an over-commit of 1.5 on 3 cores is exact). Where a policy counts demand
//! jointly, CPU in each window of time is a resource: the first is the window in which all guests
//! together want most, the others follow vCPUs. Nothing below depends on which
//! or how many they are: a packing instance brings its own.

mod room;
mod taken;

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::{SmallVec, smallvec};

use vmpack_domain::check;
use vmpack_domain::cluster::{Cluster, Guest, Host, HostState};
use vmpack_domain::demand::{Basis, Demand, demands, joint};
use vmpack_domain::load::Load;
use vmpack_domain::policy::{Headroom, Policy};
use vmpack_domain::rule::{self, Over, Rule, RuleKind};
use vmpack_domain::{GuestName, HostName, units};

use crate::rule::{Choice, ban, fence, pin, spare};
pub use room::is_cpu;
use room::{Sizes, fits};

use taken::{Windows, keep_load, need};

/// The resources of a cluster.
pub const CLUSTER_RESOURCES: [&str; 3] = ["cpu", "memory", "vcpus"];
/// An amount of each resource of a problem.
pub type Amounts = SmallVec<[i64; 4]>;

/// The whole problem. Hosts that are out are not in it.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Names of the resources, for reports; every need and room has one amount of each.
    pub resources: Vec<String>,
    /// Hosts that are there, in the cluster's order.
    pub hosts: Vec<HostSlot>,
    /// Guests, in the cluster's order.
    pub guests: Vec<GuestItem>,
    /// Rules that bind several guests or hosts.
    pub rules: Vec<GroupRule>,
    /// In so many windows, each host its own, guests may want more than the room. The formulations over
    /// guests and hosts say so; patterns and bounds know nothing of it and get [`Problem::relaxed`].
    pub exempt: usize,
    /// Assumptions worth telling, such as unmeasured guests.
    pub warnings: Vec<String>,
}

/// A host.
#[derive(Debug, Clone)]
pub struct HostSlot {
    /// Its name.
    pub name: HostName,
    /// Its cost when in use, in thousandths.
    pub cost: i64,
    /// What guests may use of it, after speed, reserve, headroom and over-commit.
    pub room: Amounts,
    /// Its room with the whole headroom, where it has more to keep what it carries.
    pub unraised: Option<Amounts>,
    /// Whether it is in use whatever it carries (it never sleeps).
    pub always: bool,
    /// Whether it must be woken to be used.
    pub asleep: bool,
    /// Whether a target may put guests there (not a draining host).
    pub open: bool,
}

impl HostSlot {
    /// What `spare` rules count of it.
    #[must_use]
    pub fn offered(&self) -> &Amounts {
        self.unraised.as_ref().unwrap_or(&self.room)
    }
}

/// A guest.
#[derive(Debug, Clone)]
pub struct GuestItem {
    /// Its name.
    pub name: GuestName,
    /// What it takes: max(demand, reserved), memory with overhead, vCPUs.
    pub need: Amounts,
    /// Memory moved when it leaves its host, in MiB (configured, without overhead).
    pub memory: i64,
    /// What moving it costs in stage 2: by the policy's objective in millionths, else its memory.
    pub price: i64,
    /// Where it runs, by host index; `None` when it waits or its host is out.
    pub current: Option<usize>,
    /// Hosts it may be on in the target, by index, ascending. Never empty in a built problem.
    pub allowed: Arc<[usize]>,
}

/// A rule over several guests or hosts, by index.
#[derive(Debug, Clone)]
pub struct GroupRule {
    /// The policy's name for it.
    pub name: String,
    /// What it demands.
    pub kind: GroupKind,
}

/// What a group rule demands.
#[derive(Debug, Clone)]
pub enum GroupKind {
    /// The guests are in pairwise different places.
    Spread {
        /// Guest indices, ascending.
        guests: Vec<usize>,
        /// The place of each host; hosts of one place share a number from 0.
        place: Arc<[usize]>,
    },
    /// The guests are in one place.
    Gather {
        /// Guest indices, ascending.
        guests: Vec<usize>,
        /// The place of each host.
        place: Arc<[usize]>,
    },
    /// Σ room of hosts in use − Σ need ≥ `amount`, per resource.
    Spare {
        /// Room to keep.
        amount: Amounts,
    },
    /// At most so many of the guests change their host.
    MaxMoves {
        /// Guest indices, ascending.
        guests: Vec<usize>,
        /// The most.
        moves: usize,
    },
}

/// What guests may use of a host, rounded down: ⌊(1 − headroom) × (cores × speed − reserve)⌋,
/// ⌊(1 − headroom) × (memory − reserve)⌋, ⌊over-commit × cores⌋ in thousandths of a vCPU.
#[must_use]
pub fn room(host: &Host, policy: &Policy) -> Amounts {
    room_with(host, policy.headroom, policy)
}

fn room_with(host: &Host, headroom: Headroom, policy: &Policy) -> Amounts {
    let free = |share: u64| u128::from(1000 - share.min(1000));
    // In thousandths of a milli-core, so that it is rounded once.
    let cpu = (u128::from(host.cpu.0) * u128::from(host.speed.0))
        .saturating_sub(u128::from(host.reserve.cpu.0) * 1000);
    let memory = u128::from(host.memory.0).saturating_sub(u128::from(host.reserve.memory.0));
    let vcpus = u128::from(host.cpu.0) * u128::from(policy.over_commit.cpu.0) / 1000;
    let clamp = |v: u128| i64::try_from(v).unwrap_or(MOST).min(MOST);
    smallvec![
        clamp(cpu * free(headroom.cpu.0) / 1_000_000),
        clamp(memory * free(headroom.memory.0) / 1000),
        clamp(vcpus),
    ]
}

/// The largest amount: the units' own limit, so that sums over a million hosts fit an `i64`.
const MOST: i64 = 1 << 43;

fn amount(v: u64) -> i64 {
    i64::try_from(v).unwrap_or(MOST)
}

impl Problem {
    /// The same problem with only these resources, ascending indices.
    #[must_use]
    pub fn with_resources(&self, kept: &[usize]) -> Self {
        let keep = |amounts: &mut Amounts| {
            *amounts = kept
                .iter()
                .filter_map(|r| amounts.get(*r))
                .copied()
                .collect();
        };
        let mut fewer = self.clone();
        fewer.resources = kept
            .iter()
            .filter_map(|r| self.resources.get(*r))
            .cloned()
            .collect();
        for host in &mut fewer.hosts {
            keep(&mut host.room);
            host.unraised.iter_mut().for_each(keep);
        }
        fewer.guests.iter_mut().for_each(|g| keep(&mut g.need));
        for rule in &mut fewer.rules {
            if let GroupKind::Spare { amount } = &mut rule.kind {
                keep(amount);
            }
        }
        fewer
    }

    /// Whether so much of each resource is within a host's room, but for the windows exempt.
    #[must_use]
    pub fn fits(&self, load: &Amounts, room: &Amounts) -> bool {
        fits(load, room, self.exempt)
    }

    /// What the guests take of each host where they run now.
    #[must_use]
    pub fn loads(&self) -> Vec<Amounts> {
        let mut load = vec![self.nothing(); self.hosts.len()];
        for guest in &self.guests {
            if let Some(h) = guest.current {
                for (l, n) in load[h].iter_mut().zip(&guest.need) {
                    *l += n;
                }
            }
        }
        load
    }

    /// No amount of any resource.
    #[must_use]
    pub fn nothing(&self) -> Amounts {
        smallvec![0; self.resources.len()]
    }

    /// Sorts guests by their largest share of the largest of those rooms, the largest first.
    pub(crate) fn largest_first<'a>(
        &self,
        rooms: impl Iterator<Item = &'a Amounts>,
        guests: &mut [usize],
    ) {
        let mut largest = vec![1; self.resources.len()];
        for room in rooms {
            for (l, r) in largest.iter_mut().zip(room) {
                *l = (*l).max(*r);
            }
        }
        let share = |g: usize| {
            (0..largest.len())
                .map(|r| i128::from(self.guests[g].need[r]) * 1_000_000 / i128::from(largest[r]))
                .max()
        };
        guests.sort_by_key(|g| (std::cmp::Reverse(share(*g)), *g));
    }

    /// The problem of a cluster that was read (names unique, references resolved).
    ///
    /// # Errors
    /// The reasons why no placement can exist, where that shows at once: a guest that no host may
    /// or can take, no hosts at all, a rule that names nothing.
    pub fn build(cluster: &Cluster, load: &Load, policy: &Policy) -> Result<Self, Vec<String>> {
        let present: Vec<&Host> = cluster
            .hosts
            .iter()
            .filter(|h| h.state != HostState::Out)
            .collect();
        if present.is_empty() && !cluster.guests.is_empty() {
            let guests = units::count(cluster.guests.len(), "guest");
            return Err(vec![format!("there is no host for {guests}")]);
        }
        let windows = joint(cluster, load, policy).and_then(|joint| Windows::new(&joint));
        let exempt = windows
            .as_ref()
            .map_or(0, |w| policy.demand.exempt(w.more.len() + 1));
        let more = windows.as_ref().map_or(0, |w| w.more.len());
        let mut hosts: Vec<HostSlot> = present
            .iter()
            .map(|h| slot(h, policy.headroom, policy, more))
            .collect();
        let names = Names::new(&present, cluster, policy);
        let demands = demands(cluster, load, policy);
        let needs: Vec<Amounts> = cluster
            .guests
            .iter()
            .zip(&demands)
            .enumerate()
            .map(|(g, (guest, demand))| need(guest, demand, policy, windows.as_ref(), g))
            .collect();
        if let Some(relief) = policy.threshold() {
            let at_most = present.iter().map(|h| slot(h, relief, policy, more).room);
            keep_load(&mut hosts, at_most, &needs, &names.current);
        }
        let mut choice = choice(cluster, &present, &names);
        let mut rules = Vec::new();
        for rule in &policy.rules {
            let kind = names
                .resolve(rule, cluster, (&hosts, more), &mut choice)
                .map_err(|unknown| vec![unknown])?;
            rules.extend(kind.map(|kind| GroupRule {
                name: rule.name.clone(),
                kind,
            }));
        }
        if let Some(most) = policy.limits.moves {
            rules.push(GroupRule {
                name: "limits.moves".into(),
                kind: GroupKind::MaxMoves {
                    guests: (0..cluster.guests.len()).collect(),
                    moves: count(most),
                },
            });
        }

        for name in check::resting(cluster, load, policy) {
            let guest = names.guests.get(&name).copied();
            let cooldown = "`limits.cooldown`";
            pin::fold(&mut choice, cooldown, guest.as_slice(), &names.current);
        }
        let mut guests = Vec::with_capacity(cluster.guests.len());
        let mut reasons = Vec::new();
        // Few distinct sets of hosts are allowed to many guests: they share them.
        let mut known: BTreeMap<Arc<[usize]>, Arc<[usize]>> = BTreeMap::new();
        let sizes = Sizes::of(&hosts, exempt);
        let price = |guest: &Guest| match &policy.objective {
            Some(objective) => objective.migration(guest, cluster, policy, load),
            None => guest.memory.0,
        };
        let guests_of = cluster.guests.iter().zip(&demands).zip(needs);
        for (g, ((guest, demand), need)) in guests_of.enumerate() {
            let permitted = choice.left(g);
            let allowed = sizes.with_room(&permitted, &need);
            if permitted.is_empty() {
                reasons.push(nowhere(guest, choice.taken_by(g), names.current[g], &hosts));
            } else if allowed.is_empty() {
                let cpu = windows.as_ref().map_or_else(
                    || format!("its demand of {} ({})", demand.cpu, demand.basis),
                    |windows| windows.wanted(g, exempt),
                );
                reasons.push(too_large(guest, (&cpu, exempt), &need, &permitted, &hosts));
            }
            guests.push(GuestItem {
                name: guest.name.clone(),
                need,
                memory: amount(guest.memory.0),
                price: amount(price(guest)),
                current: names.current[g],
                allowed: known.entry(allowed).or_insert_with_key(Arc::clone).clone(),
            });
        }
        if reasons.is_empty() {
            let mut resources = CLUSTER_RESOURCES.map(str::to_owned).to_vec();
            if let Some(windows) = &windows {
                resources[0].clone_from(&windows.first.name);
                resources.extend(windows.more.iter().map(|w| w.name.clone()));
            }
            Ok(Self {
                resources,
                hosts,
                guests,
                rules,
                exempt,
                warnings: unmeasured(cluster, &demands).into_iter().collect(),
            })
        } else {
            Err(reasons)
        }
    }
}

fn slot(host: &Host, headroom: Headroom, policy: &Policy, more: usize) -> HostSlot {
    let mut room = room_with(host, headroom, policy);
    let cpu = room[0];
    room.extend(std::iter::repeat_n(cpu, more));
    HostSlot {
        name: host.name.clone(),
        cost: amount(policy.costs.of(&host.name).0),
        room,
        unraised: None,
        always: host.never_sleep && host.state == HostState::On,
        asleep: host.state == HostState::Asleep,
        open: host.state.takes_guests(),
    }
}

/// The hosts that each guest may take by the hosts' states, `requires` and `movable`.
fn choice(cluster: &Cluster, present: &[&Host], names: &Names) -> Choice {
    let open: Vec<bool> = present.iter().map(|h| h.state.takes_guests()).collect();
    let mut choice = Choice::new(open, cluster.guests.len());
    for (g, guest) in cluster.guests.iter().enumerate() {
        if !guest.requires.is_empty() {
            choice.keep(g, "its `requires`", |h| guest.runs_on(present[h]));
        }
        if !guest.movable {
            pin::fold(&mut choice, "`movable: false`", &[g], &names.current);
        }
    }
    choice
}

/// What names stand for.
struct Names<'a> {
    known: rule::Names<'a>,
    /// The place of each host, by what a place is.
    places: Vec<(&'a Over, Arc<[usize]>)>,
    hosts: BTreeMap<&'a HostName, usize>,
    guests: BTreeMap<&'a GuestName, usize>,
    /// Where each guest runs, among the hosts that are there.
    current: Vec<Option<usize>>,
}

impl<'a> Names<'a> {
    fn new(present: &[&'a Host], cluster: &'a Cluster, policy: &'a Policy) -> Self {
        let mut places: Vec<(&Over, Arc<[usize]>)> = Vec::new();
        for over in policy.rules.iter().filter_map(|r| r.kind.over()) {
            if !places.iter().any(|(known, _)| *known == over) {
                places.push((over, self::places(present, over)));
            }
        }
        let hosts: BTreeMap<_, _> = present.iter().map(|h| &h.name).zip(0..).collect();
        Self {
            known: rule::Names::of(cluster),
            places,
            current: cluster
                .guests
                .iter()
                .map(|g| g.host.as_ref().and_then(|h| hosts.get(h)).copied())
                .collect(),
            guests: cluster.guests.iter().map(|g| &g.name).zip(0..).collect(),
            hosts,
        }
    }

    fn places(&self, over: &Over) -> Arc<[usize]> {
        let found = self.places.iter().find(|(known, _)| *known == over);
        found.map_or_else(|| Arc::from([]), |(_, place)| Arc::clone(place))
    }

    /// Folds a rule about single guests into `choice`, or says what a rule about several demands.
    /// `Err` is the complaint about a name that names nothing.
    fn resolve(
        &self,
        rule: &Rule,
        cluster: &Cluster,
        (slots, more): (&[HostSlot], usize),
        choice: &mut Choice,
    ) -> Result<Option<GroupKind>, String> {
        let absent = |what: &str, name: String| {
            format!(
                "rule {} names {what} `{name}`, which is not in the cluster",
                rule.name
            )
        };
        let mut guests: Vec<usize> = self
            .known
            .guests(rule.kind.guests())
            .map_err(|name| absent("guest", name))?
            .iter()
            .filter_map(|n| self.guests.get(*n).copied())
            .collect();
        guests.sort_unstable();
        let hosts: Vec<usize> = self
            .known
            .hosts(rule.kind.hosts())
            .map_err(|name| absent("host", name))?
            .iter()
            .filter_map(|n| self.hosts.get(*n).copied())
            .collect();
        Ok(match &rule.kind {
            RuleKind::Fence { .. } => {
                fence::fold(choice, &rule.name, &guests, &hosts);
                None
            }
            RuleKind::Ban { .. } => {
                ban::fold(choice, &rule.name, &guests, &hosts);
                None
            }
            RuleKind::Pin { .. } => {
                pin::fold(
                    choice,
                    &format!("rule {}", rule.name),
                    &guests,
                    &self.current,
                );
                None
            }
            RuleKind::Spread { over, .. } => Some(GroupKind::Spread {
                guests,
                place: self.places(over),
            }),
            RuleKind::Gather { over, .. } => Some(GroupKind::Gather {
                guests,
                place: self.places(over),
            }),
            RuleKind::Spare { hosts: worth } => Some(GroupKind::Spare {
                amount: spare::amount(slots, *worth, CLUSTER_RESOURCES.len() + more),
            }),
            RuleKind::MaxMoves { guests: of, moves } => Some(GroupKind::MaxMoves {
                guests: if of.is_empty() {
                    (0..cluster.guests.len()).collect()
                } else {
                    guests
                },
                moves: count(*moves),
            }),
        })
    }
}

fn count(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The warning that guests were not measured, if some were not.
fn unmeasured(cluster: &Cluster, demands: &[Demand]) -> Option<String> {
    let mut promised = cluster
        .guests
        .iter()
        .zip(demands)
        .filter(|(_, d)| d.basis == Basis::Promise)
        .map(|(g, _)| &g.name);
    let first = promised.next()?;
    Some(format!(
        "{} of {} guests were not measured and count at all their vCPUs, {first} among them",
        promised.count() + 1,
        cluster.guests.len()
    ))
}

/// Why a guest may run on no host.
fn nowhere(
    guest: &Guest,
    taken_by: &[String],
    current: Option<usize>,
    hosts: &[HostSlot],
) -> String {
    let by = if taken_by.is_empty() {
        "every host is out or drains".to_owned()
    } else {
        taken_by.join(" and ")
    };
    let drains = current
        .map(|h| &hosts[h])
        .filter(|h| !h.open && !taken_by.is_empty())
        .map(|h| format!(", while {} drains", h.name))
        .unwrap_or_default();
    format!("guest {} may run on no host: {by}{drains}", guest.name)
}

/// Why a guest fits none of the hosts that it may run on; its CPU in words, and the windows in which it
/// may want more.
fn too_large(
    guest: &Guest,
    (cpu, exempt): (&str, usize),
    need: &Amounts,
    permitted: &[usize],
    hosts: &[HostSlot],
) -> String {
    use vmpack_domain::units::{MiB, MilliCores};
    let unsigned = |v: i64| u64::try_from(v).unwrap_or(0);
    let most = |r: usize| {
        permitted
            .iter()
            .filter_map(|h| hosts.get(*h)?.room.get(r))
            .copied()
            .max()
            .unwrap_or(0)
    };
    let mut lacks = Vec::new();
    let above = (0..need.len()).filter(|r| is_cpu(*r) && need[*r] > most(*r));
    if above.count() > exempt {
        lacks.push(format!(
            "{cpu} is above the {} that any of them offers",
            MilliCores(unsigned(most(0)))
        ));
    }
    if need[1] > most(1) {
        lacks.push(format!(
            "its {} with overhead are above the {} that any of them offers",
            MiB(unsigned(need[1])),
            MiB(unsigned(most(1)))
        ));
    }
    if need[2] > most(2) {
        lacks.push(format!(
            "its {} vCPUs are above the {} that any of them may promise",
            guest.vcpus,
            most(2) / 1000
        ));
    }
    if lacks.is_empty() {
        lacks.push("none of them offers all that it needs at once".into());
    }
    let hosts = match permitted.len() {
        1 => "does not fit the only host that it may run on".to_owned(),
        n => format!("fits none of the {n} hosts that it may run on"),
    };
    format!("guest {} {hosts}: {}", guest.name, lacks.join("; "))
}

/// The place of each host: hosts with the same label value share a number.
fn places(hosts: &[&Host], over: &Over) -> Arc<[usize]> {
    let mut known: BTreeMap<(bool, String), usize> = BTreeMap::new();
    hosts
        .iter()
        .map(|h| {
            let (place, labelled) = over.place(h);
            let next = known.len();
            *known.entry((labelled, place.to_owned())).or_insert(next)
        })
        .collect()
}
