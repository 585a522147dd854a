//! Capacity: how many more guests of a kind find a place, what runs out first, how far load may grow,
//! and when it is there at its trend.
//!
//! Guests of a kind are equal, so *as they stand* (nobody moving) each host takes as many as fit beside
//! what it carries, on its own, but for rules that name them. *With others moving* the largest number is
//! sought between what was found and what counting allows. Both by [`crate::losses`]'s question, whether
//! all guests have a place, with every rule of the policy kept; in which order migrations lead there is
//! `plan()`'s. What a search leaves open stands between `found` and `at_most`.

mod trend;

use schemars::JsonSchema;
use serde::Serialize;
use vmpack_domain::check;
use vmpack_domain::units::{MiB, MilliCores, Ratio};
use vmpack_domain::{Cluster, Guest, GuestName, Load, Policy};
use vmpack_ilp::problem::{Amounts, GroupKind, Problem};

use crate::import::{constant, guest};
use crate::losses::{Verdict, verdict};
use crate::search::Search;
use crate::whatif::{Copies, Edit, NewGuests, Scale, Scene, apply};

pub use trend::{Trend, trend};

/// Search effort of each try, in nodes.
const NODES: u64 = 3000;
/// The most guests of a kind that are counted.
const MOST: u32 = 100_000;
/// The largest factor of load that is tried.
pub const LARGEST: Ratio = Ratio(10_000);
/// The step between factors, in thousandths.
const STEP: u32 = 10;

/// A kind of guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// As one that is there, with its load and what it requires; rules name copies where a pattern does.
    Like(GuestName),
    /// Of that size.
    Size {
        /// vCPUs.
        vcpus: u32,
        /// Configured memory.
        memory: MiB,
        /// CPU demand in cores of speed 1, all its vCPUs where it is absent.
        cpu: Option<MilliCores>,
    },
}

/// How many more of a kind fit.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Fits {
    /// What one is, in words.
    pub shape: String,
    /// With nobody else moving.
    pub standing: Count,
    /// With others moving; absent where that was not asked.
    pub moving: Option<Count>,
    /// What hosts lack for one more with nobody moving, and how many of them; the most first. A host that
    /// lacks several counts at each.
    pub lacking: Vec<Lack>,
    /// Why there is no place for any.
    pub why: Option<String>,
}

/// Between what was found and what is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
pub struct Count {
    /// So many have a place.
    pub found: u32,
    /// More than this have none.
    pub at_most: u32,
}

/// A resource that hosts lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Lack {
    /// Which; `rules` where there is room.
    pub resource: String,
    /// So many hosts.
    pub hosts: usize,
}

/// How far all load may grow before there is no place for all, others moving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Growth {
    /// A placement was found at that factor.
    pub found: Ratio,
    /// None is above that one, or none was tried above it.
    pub at_most: Ratio,
    /// At `found` each guest that was measured wants all its vCPUs, and more it cannot.
    pub all_vcpus: bool,
}

/// Why it is not told how far load may grow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoGrowth {
    /// There is no place for all as it is, proven, with the reason.
    NoPlace(String),
    /// None was found as it is, within the limits.
    Open,
    /// Of no guest a load was measured that could grow.
    Unmeasured,
}

/// How many more guests of a kind fit; `moving` asks, too, how many do with others moving.
///
/// # Errors
/// When the guest that they are like is not there.
pub fn fits(
    scene: &Scene,
    shape: &Shape,
    moving: bool,
    search: &mut Search,
) -> Result<Fits, String> {
    let policy = limited(&scene.policy);
    let with = |n: u32| with(scene, shape, n);
    let one = with(1)?;
    let mut fits = Fits {
        shape: told(&one),
        standing: Count::default(),
        moving: moving.then(Count::default),
        lacking: Vec::new(),
        why: None,
    };
    let problem = match Problem::build(&one.cluster, &one.load, &policy) {
        Ok(problem) => problem,
        Err(why) => {
            fits.why = Some(why.join("; "));
            return Ok(fits);
        }
    };
    let mut room = Room::beside(&problem);
    let counted = room.total(MOST);
    // Where something is wrong already, guests have to move before there is a place for all.
    let now = scene.cluster.placement();
    let is_sound = check::placement(&scene.cluster, &scene.load, &policy, &now).is_empty();
    fits.standing = if room.is_independent && is_sound {
        Count {
            found: counted,
            at_most: counted,
        }
    } else {
        let mut asked = |n: u32| {
            let mut scene = with(n).unwrap_or_else(|_| one.clone());
            stand(&mut scene.cluster);
            verdict(&scene.cluster, &scene.load, &policy, search)
        };
        largest(0, counted, &mut fits.why, &mut asked)
    };
    fits.lacking = room.lacking();
    if moving {
        let counted = all_rooms(&problem).min(MOST);
        let mut asked = |n: u32| {
            let scene = with(n).unwrap_or_else(|_| one.clone());
            verdict(&scene.cluster, &scene.load, &policy, search)
        };
        let (least, most) = (fits.standing.found, counted.max(fits.standing.found));
        let mut why = None;
        let found = largest(least, most, &mut why, &mut asked);
        if found.found == 0 {
            fits.why = why.or(fits.why);
        }
        // Nobody moving is one way of moving.
        fits.standing.at_most = fits.standing.at_most.min(found.at_most);
        fits.moving = Some(found);
    }
    if fits.standing.found > 0 {
        fits.why = None;
    }
    Ok(fits)
}

/// How far all load may grow.
///
/// # Errors
/// Why that is not told.
pub fn growth(scene: &Scene, search: &mut Search) -> Result<Growth, NoGrowth> {
    let policy = limited(&scene.policy);
    let factor = |step: u32| Ratio(1000 + u64::from(step * STEP));
    let mut asked = |step: u32| {
        let scale = Scale {
            by: factor(step),
            guests: Vec::new(),
        };
        match apply(scene, &[Edit::ScaleLoad(scale)]) {
            Ok(scaled) => verdict(&scaled.cluster, &scaled.load, &policy, search),
            Err(_) => Verdict::Open,
        }
    };
    match asked(0) {
        Verdict::Survived => {}
        Verdict::Failed { why } => return Err(NoGrowth::NoPlace(why)),
        Verdict::Open => return Err(NoGrowth::Open),
    }
    let measured = |g: &Guest| {
        let load = scene.load.guests.get(&g.name);
        load.is_some_and(|l| l.cpu.is_some())
    };
    if !scene.cluster.guests.iter().any(measured) {
        return Err(NoGrowth::Unmeasured);
    }
    let steps = u32::try_from((LARGEST.0 - 1000) / u64::from(STEP)).unwrap_or(0);
    let count = doubled(steps, &mut asked);
    let found = factor(count.found);
    let demands = vmpack_domain::demand::demands(&scene.cluster, &scene.load, &policy);
    let each = scene.cluster.guests.iter().zip(demands);
    let is_whole = |(guest, demand): (&Guest, vmpack_domain::demand::Demand)| {
        let grown = u128::from(demand.cpu.0) * u128::from(found.0) / 1000;
        grown >= u128::from(MilliCores::cores(u64::from(guest.vcpus)).0)
    };
    Ok(Growth {
        found,
        at_most: factor(count.at_most),
        all_vcpus: each.filter(|e| measured(e.0)).all(is_whole),
    })
}

/// The policy, searched with the same effort at each try, all together within its time.
fn limited(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    policy.objective = None;
    policy.limits.nodes = Some(policy.limits.nodes.unwrap_or(NODES).min(NODES));
    policy
}

/// Those that run and may run where they are stay there.
fn stand(cluster: &mut Cluster) {
    let takes: std::collections::BTreeSet<_> = cluster
        .hosts
        .iter()
        .filter(|h| h.state.takes_guests())
        .map(|h| h.name.clone())
        .collect();
    for guest in &mut cluster.guests {
        if guest.host.as_ref().is_some_and(|h| takes.contains(h)) {
            guest.movable = false;
        }
    }
}

/// The scene with so many more, which wait; they are the last guests.
fn with(scene: &Scene, shape: &Shape, count: u32) -> Result<Scene, String> {
    let edit = match shape {
        Shape::Like(of) => Edit::CopyGuest(Copies {
            of: of.clone(),
            count,
        }),
        Shape::Size { vcpus, memory, cpu } => {
            let taken = |name: &GuestName| scene.cluster.guest(name).is_some();
            let names = (1u32..)
                .filter_map(|i| format!("more-{i}").parse::<GuestName>().ok())
                .filter(|name| !taken(name));
            let names: Vec<GuestName> = names.zip(0..count).map(|(name, _)| name).collect();
            let mut load = Load::default();
            if let Some(cpu) = cpu {
                let measured = constant(*cpu);
                load.guests = names
                    .iter()
                    .map(|name| (name.clone(), measured.clone()))
                    .collect();
            }
            let guests = names.into_iter();
            let guests = guests.map(|name| guest(name, *vcpus, *memory, None));
            Edit::AddGuests(NewGuests {
                guests: guests.collect(),
                load,
            })
        }
    };
    apply(scene, &[edit]).map_err(|(_, error)| error.to_string())
}

/// What the last guest is, in words.
fn told(scene: &Scene) -> String {
    let Some(guest) = scene.cluster.guests.last() else {
        return String::new();
    };
    let demands = vmpack_domain::demand::demands(&scene.cluster, &scene.load, &scene.policy);
    let demand = demands.last().map(|d| d.cpu).unwrap_or_default();
    let vcpus = vmpack_domain::units::count(guest.vcpus as usize, "vCPU");
    format!("{vcpus}, {}, demand {demand}", guest.memory)
}

/// The largest number between one for which there is a place and one that counting allows. Counting is
/// mostly right or nearly so: it is gone down from there, at first by one.
fn largest(
    found: u32,
    at_most: u32,
    why: &mut Option<String>,
    asked: &mut impl FnMut(u32) -> Verdict,
) -> Count {
    let mut count = Count { found, at_most };
    let (mut top, mut step) = (at_most, 0);
    while top > count.found {
        let n = top.saturating_sub(step).max(count.found + 1);
        match asked(n) {
            Verdict::Survived => count.found = n,
            Verdict::Failed { why: reason } => {
                count.at_most = count.at_most.min(n - 1);
                top = n - 1;
                *why = Some(reason);
            }
            Verdict::Open => top = n - 1,
        }
        // Once both ends are answers, what lies between is halved.
        step = if count.found > found {
            (top - count.found) / 2
        } else {
            (step * 2 + 1).min(top.saturating_sub(count.found) / 2)
        };
    }
    count
}

/// The same where nothing is counted: gone up from nothing in steps that double, then halved.
fn doubled(at_most: u32, asked: &mut impl FnMut(u32) -> Verdict) -> Count {
    let mut count = Count { found: 0, at_most };
    let (mut top, mut step) = (at_most, 1);
    while top > count.found {
        let n = (count.found + step).min(top);
        match asked(n) {
            Verdict::Survived => {
                count.found = n;
                step *= 2;
            }
            verdict => {
                if let Verdict::Failed { .. } = verdict {
                    count.at_most = count.at_most.min(n - 1);
                }
                top = n - 1;
            }
        }
        step = step.min((top - count.found).div_ceil(2)).max(1);
    }
    count
}

/// Each host beside what it carries, for the problem's last guest and more like it.
struct Room<'p> {
    problem: &'p Problem,
    /// What is on each host, with those that were added.
    loads: Vec<Amounts>,
    /// No rule over several guests names them, so that each host is on its own.
    is_independent: bool,
}

impl<'p> Room<'p> {
    fn beside(problem: &'p Problem) -> Self {
        let last = problem.guests.len().saturating_sub(1);
        let names = |kind: &GroupKind| match kind {
            GroupKind::Spread { guests, .. } | GroupKind::Gather { guests, .. } => {
                guests.contains(&last)
            }
            GroupKind::Spare { .. } => true,
            GroupKind::MaxMoves { .. } => false,
        };
        // Those who wait or have to leave their host are placed along, and take room somewhere.
        let unplaced = problem.guests[..last].iter();
        let unplaced = unplaced.filter(|g| g.current.is_none_or(|h| !problem.hosts[h].open));
        Self {
            problem,
            loads: problem.loads(),
            is_independent: unplaced.count() == 0 && !problem.rules.iter().any(|r| names(&r.kind)),
        }
    }

    /// As many as fit on all hosts that they may be on, at most so many; they are added to the loads.
    fn total(&mut self, most: u32) -> u32 {
        let Some(guest) = self.problem.guests.last() else {
            return 0;
        };
        let mut total = 0;
        for h in guest.allowed.iter() {
            while total < most {
                let mut load = self.loads[*h].clone();
                for (l, n) in load.iter_mut().zip(&guest.need) {
                    *l += n;
                }
                if !self.problem.fits(&load, &self.problem.hosts[*h].room) {
                    break;
                }
                self.loads[*h] = load;
                total += 1;
            }
        }
        total
    }

    /// What hosts lack for one more.
    fn lacking(&self) -> Vec<Lack> {
        let Some(guest) = self.problem.guests.last() else {
            return Vec::new();
        };
        let mut hosts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
        for (h, host) in self.problem.hosts.iter().enumerate() {
            if !guest.allowed.contains(&h) {
                *hosts.entry("rules").or_default() += usize::from(host.open);
                continue;
            }
            let mut lacks: Vec<&str> = (0..guest.need.len())
                .filter(|r| self.loads[h][*r] + guest.need[*r] > host.room[*r])
                .map(|r| match r {
                    1 => "memory",
                    2 => "vcpus",
                    _ => "cpu",
                })
                .collect();
            lacks.dedup();
            lacks.sort_unstable();
            lacks.dedup();
            for resource in lacks {
                *hosts.entry(resource).or_default() += 1;
            }
        }
        let mut lacking: Vec<Lack> = hosts
            .into_iter()
            .filter(|(_, hosts)| *hosts > 0)
            .map(|(resource, hosts)| Lack {
                resource: resource.to_owned(),
                hosts,
            })
            .collect();
        lacking.sort_by_key(|l| std::cmp::Reverse(l.hosts));
        lacking
    }
}

/// How many more of the problem's last guest all rooms together have, whatever stands where; by the
/// resources of which no host may use more than it has.
fn all_rooms(problem: &Problem) -> u32 {
    let Some(last) = problem.guests.last() else {
        return 0;
    };
    let plain = |r: &usize| problem.exempt == 0 || *r == 1 || *r == 2;
    let fits = (0..problem.resources.len()).filter(plain).filter_map(|r| {
        let need = last.need[r];
        let open = problem.hosts.iter().filter(|h| h.open);
        let room: i64 = open.map(|h| h.room[r]).sum();
        let kept = problem.rules.iter().filter_map(|rule| match &rule.kind {
            GroupKind::Spare { amount } => Some(amount[r]),
            _ => None,
        });
        let kept = kept.max().unwrap_or(0);
        let others = problem.guests.len() - 1;
        let taken: i64 = problem.guests[..others].iter().map(|g| g.need[r]).sum();
        (need > 0).then(|| (room - kept - taken).max(0) / need)
    });
    let fewest = fits.min().unwrap_or(i64::from(MOST));
    // A host takes only whole guests, whoever else is there.
    let each = last.allowed.iter().map(|h| {
        let host = &problem.hosts[*h];
        let of = |r: usize| host.room[r].checked_div(last.need[r]);
        (0..problem.resources.len())
            .filter(plain)
            .filter_map(of)
            .min()
            .unwrap_or(i64::from(MOST))
    });
    let each = each.sum::<i64>();
    u32::try_from(fewest.min(each)).unwrap_or(MOST)
}

#[cfg(test)]
mod tests;
