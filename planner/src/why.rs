//! Why a guest is where it is: what names it, where it may be, and where there is room for it now with
//! nobody else moving. What a plan makes of it, and what a rule costs, the same `plan()` says for the
//! scene with it and without.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use vmpack_domain::check;
use vmpack_domain::demand::{Demand, demands};
use vmpack_domain::rule::{Names, RuleKind};
use vmpack_domain::units::{MiB, MilliCores};
use vmpack_domain::{GuestName, HostName, HostState, Rule};
use vmpack_ilp::problem::{Amounts, Problem};

use crate::whatif::Scene;

/// What there is to say of a guest.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Standing {
    /// Who.
    pub guest: GuestName,
    /// Where it runs.
    pub host: Option<HostName>,
    /// How many vCPUs it has.
    pub vcpus: u32,
    /// What it counts with, in cores of speed 1.
    pub cpu: MilliCores,
    /// From what that was taken.
    pub basis: String,
    /// Its memory with overhead.
    pub memory: MiB,
    /// Rules that name it.
    pub rules: Vec<String>,
    /// Why it may not leave its host; empty where it may.
    pub held: Vec<String>,
    /// Every other host that is there: those with room first, then by what they lack.
    pub targets: Vec<Target>,
}

/// A host that a guest is not on.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Target {
    /// Which.
    pub host: HostName,
    /// Why it may not be there, whatever moves.
    pub barred: Vec<String>,
    /// Rules that other guests there, or elsewhere, set against it.
    pub against: Vec<String>,
    /// What the host lacks for it.
    pub lacks: Vec<String>,
    /// The largest of them, as a share of the host's room.
    pub lack: f64,
    /// Guests there each of which makes room for it by leaving.
    pub makes_room: Vec<GuestName>,
}

impl Target {
    /// Whether it could go there now.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.barred.is_empty() && self.against.is_empty() && self.lacks.is_empty()
    }
}

/// What there is to say of a guest, or the reasons why no placement can exist.
///
/// # Errors
/// Those reasons.
pub fn standing(scene: &Scene, guest: &GuestName) -> Result<Option<Standing>, Vec<String>> {
    let Scene {
        cluster,
        load,
        policy,
    } = scene;
    let Some(g) = cluster.guests.iter().position(|o| o.name == *guest) else {
        return Ok(None);
    };
    let who = &cluster.guests[g];
    let problem = Problem::build(cluster, load, policy)?;
    let Demand { cpu, basis } = demands(cluster, load, policy).swap_remove(g);
    let names = Names::of(cluster);
    let rules: Vec<&Rule> = naming(scene, &names, guest);
    let mut held = Vec::new();
    if !who.movable {
        held.push("it is said not to be movable".to_owned());
    }
    let pins = rules
        .iter()
        .filter(|r| matches!(r.kind, RuleKind::Pin { .. }));
    held.extend(pins.map(|r| format!("rule {} keeps it there", r.name)));
    if check::resting(cluster, load, policy).contains(guest) {
        held.push("it was moved less than `limits.cooldown` ago".to_owned());
    }
    if who.host.is_none() {
        held.clear();
    }
    let loads = problem.loads();
    let on: BTreeMap<&HostName, usize> = problem.hosts.iter().map(|h| &h.name).zip(0..).collect();
    let mut targets: Vec<Target> = cluster
        .hosts
        .iter()
        .filter(|h| h.state != HostState::Out && Some(&h.name) != who.host.as_ref())
        .map(|host| {
            let mut target = Target {
                host: host.name.clone(),
                barred: barred(&rules, &names, host),
                against: against(scene, &rules, &names, guest, &host.name),
                lacks: Vec::new(),
                lack: 0.0,
                makes_room: Vec::new(),
            };
            if !who.runs_on(host) {
                target.barred.push("its `requires`".to_owned());
            }
            if !host.state.takes_guests() {
                target.barred.push("it drains".to_owned());
            }
            if let Some(h) = on.get(&host.name) {
                lacks(&mut target, &problem, g, *h, &loads[*h]);
            }
            target
        })
        .collect();
    let order = |t: &Target| (!t.barred.is_empty(), !t.against.is_empty());
    targets.sort_by(|a, b| order(a).cmp(&order(b)).then(a.lack.total_cmp(&b.lack)));
    Ok(Some(Standing {
        guest: guest.clone(),
        host: who.host.clone(),
        vcpus: who.vcpus,
        cpu,
        basis: basis.to_string(),
        memory: who.memory + policy.overhead.memory,
        rules: rules.iter().map(|r| r.name.clone()).collect(),
        held,
        targets,
    }))
}

/// The rules that name a guest.
#[must_use]
pub fn naming<'s>(scene: &'s Scene, names: &Names, guest: &GuestName) -> Vec<&'s Rule> {
    let named = |r: &&Rule| match names.guests(r.kind.guests()) {
        Ok(guests) => guests.binary_search(&guest).is_ok() || guests.contains(&guest),
        Err(_) => false,
    };
    scene.policy.rules.iter().filter(named).collect()
}

/// The fences and bans that keep it off a host.
fn barred(rules: &[&Rule], names: &Names, host: &vmpack_domain::Host) -> Vec<String> {
    let bars = |rule: &&&Rule| {
        let among = || {
            names
                .hosts(rule.kind.hosts())
                .is_ok_and(|hosts| hosts.contains(&&host.name))
        };
        match rule.kind {
            RuleKind::Fence { .. } => !among(),
            RuleKind::Ban { .. } => among(),
            _ => false,
        }
    };
    let barring = rules.iter().filter(bars);
    barring.map(|r| format!("rule {}", r.name)).collect()
}

/// The rules about several guests that would break, or stay broken, with it there and the others where
/// they are.
fn against(
    scene: &Scene,
    rules: &[&Rule],
    names: &Names,
    guest: &GuestName,
    to: &HostName,
) -> Vec<String> {
    let place = |host: &HostName, rule: &Rule| {
        let over = rule.kind.over()?;
        let (place, labelled) = over.place(scene.cluster.host(host)?);
        Some((labelled, place.to_owned()))
    };
    let breaks = |rule: &&&Rule| {
        let Ok(guests) = names.guests(rule.kind.guests()) else {
            return false;
        };
        let here = place(to, rule);
        let others = guests.into_iter().filter(|o| *o != guest);
        let mut places = others.filter_map(|o| {
            let host = scene.cluster.guest(o)?.host.as_ref()?;
            place(host, rule)
        });
        match rule.kind {
            RuleKind::Spread { .. } => places.any(|p| Some(p) == here),
            RuleKind::Gather { .. } => places.any(|p| Some(p) != here),
            _ => false,
        }
    };
    let broken = rules.iter().filter(breaks);
    broken.map(|r| format!("rule {}", r.name)).collect()
}

/// What a host lacks for a guest, and who makes room by leaving.
fn lacks(target: &mut Target, problem: &Problem, g: usize, h: usize, load: &Amounts) {
    let (need, room) = (&problem.guests[g].need, &problem.hosts[h].room);
    let with = |without: Option<usize>| -> Amounts {
        let gone = |r: usize| without.map_or(0, |o| problem.guests[o].need[r]);
        (0..load.len())
            .map(|r| load[r] + need[r] - gone(r))
            .collect()
    };
    let sum = with(None);
    if problem.fits(&sum, room) {
        return;
    }
    let mut worst: BTreeMap<usize, i64> = BTreeMap::new();
    for r in 0..sum.len() {
        let over = sum[r] - room[r];
        // CPU in further windows counts as CPU.
        let kind = if r > 2 { 0 } else { r };
        if over > 0 {
            let known = worst.entry(kind).or_default();
            *known = over.max(*known);
        }
    }
    for (kind, over) in worst {
        let amount = u64::try_from(over).unwrap_or(0);
        target.lacks.push(match kind {
            1 => format!("{} of memory", MiB(amount)),
            2 => format!("{} vCPUs", amount.div_ceil(1000)),
            _ => format!("{} of CPU", MilliCores(amount)),
        });
        let share = over as f64 / (room[kind].max(1)) as f64;
        target.lack = target.lack.max(share);
    }
    let there = (0..problem.guests.len()).filter(|o| problem.guests[*o].current == Some(h));
    let helps = there.filter(|o| problem.fits(&with(Some(*o)), room));
    target.makes_room = helps.map(|o| problem.guests[o].name.clone()).collect();
}

/// Guests that nothing but a change of the cluster or the policy makes leave their host, each with why.
#[must_use]
pub fn held(scene: &Scene) -> BTreeMap<GuestName, String> {
    let names = Names::of(&scene.cluster);
    let resting = check::resting(&scene.cluster, &scene.load, &scene.policy);
    let rests = |guest| {
        (
            guest,
            "it was moved less than `limits.cooldown` ago".to_owned(),
        )
    };
    let mut held: BTreeMap<GuestName, String> = resting.into_iter().map(rests).collect();
    // What counts more comes later, and of several pins the first counts.
    for rule in scene.policy.rules.iter().rev() {
        if !matches!(rule.kind, RuleKind::Pin { .. }) {
            continue;
        }
        for guest in names.guests(rule.kind.guests()).unwrap_or_default() {
            held.insert(guest.clone(), format!("rule {} keeps it there", rule.name));
        }
    }
    for guest in &scene.cluster.guests {
        if !guest.movable {
            held.insert(
                guest.name.clone(),
                "it is said not to be movable".to_owned(),
            );
        }
        if guest.host.is_none() {
            held.remove(&guest.name);
        }
    }
    held
}

/// Those of a host, in the cluster's order.
#[must_use]
pub fn held_on(scene: &Scene, host: &HostName) -> Vec<(GuestName, String)> {
    let held = held(scene);
    let here = scene.cluster.guests.iter();
    let here = here.filter(|g| g.host.as_ref() == Some(host));
    here.filter_map(|g| Some((g.name.clone(), held.get(&g.name)?.clone())))
        .collect()
}

/// What rules have against a guest on another host while all others stay where a placement has them.
pub struct Barriers<'s> {
    scene: &'s Scene,
    placement: &'s BTreeMap<GuestName, HostName>,
    /// By guest, indices of the rules that name it.
    naming: BTreeMap<&'s GuestName, Vec<usize>>,
    rules: Vec<Barrier<'s>>,
}

/// A rule that may bar a host.
struct Barrier<'s> {
    rule: &'s Rule,
    hosts: BTreeSet<&'s HostName>,
    /// How many of its guests are at each place, for the rules that speak of places.
    at: BTreeMap<(&'s str, bool), usize>,
}

impl<'s> Barriers<'s> {
    /// Those of a scene and a placement of its guests.
    #[must_use]
    pub fn of(scene: &'s Scene, placement: &'s BTreeMap<GuestName, HostName>) -> Self {
        let names = Names::of(&scene.cluster);
        let mut naming: BTreeMap<&GuestName, Vec<usize>> = BTreeMap::new();
        let mut rules = Vec::new();
        for rule in &scene.policy.rules {
            let kind = &rule.kind;
            let places = kind.over();
            if places.is_none() && kind.hosts().is_empty() {
                continue;
            }
            let mut at = BTreeMap::new();
            for guest in names.guests(kind.guests()).unwrap_or_default() {
                naming.entry(guest).or_default().push(rules.len());
                let host = placement.get(guest).and_then(|h| scene.cluster.host(h));
                if let Some((over, host)) = places.zip(host) {
                    *at.entry(over.place(host)).or_default() += 1;
                }
            }
            let hosts = names.hosts(kind.hosts()).unwrap_or_default();
            rules.push(Barrier {
                rule,
                hosts: hosts.into_iter().collect(),
                at,
            });
        }
        Self {
            scene,
            placement,
            naming,
            rules,
        }
    }

    /// The rules that keep a guest off all of these hosts but its own, one for each of them; nothing where
    /// it may be on one of them, or where there is no other.
    #[must_use]
    pub fn around(&self, guest: &GuestName, hosts: &[HostName]) -> BTreeSet<&'s str> {
        let (Some(rules), Some(own)) = (self.naming.get(guest), self.placement.get(guest)) else {
            return BTreeSet::new();
        };
        let others = hosts.iter().filter(|h| *h != own);
        let barring = others.map(|host| {
            let bars = |i: &&usize| self.rules[**i].bars(self.scene, own, host);
            let found = rules.iter().find(bars);
            found.map(|i| self.rules[*i].rule.name.as_str())
        });
        let all: Option<BTreeSet<&str>> = barring.collect();
        all.unwrap_or_default()
    }
}

impl Barrier<'_> {
    /// Whether it bars a host to one of its guests that is on another.
    fn bars(&self, scene: &Scene, own: &HostName, host: &HostName) -> bool {
        let place = |name: &HostName| {
            let host = scene.cluster.host(name)?;
            Some(self.rule.kind.over()?.place(host))
        };
        let (here, there) = (place(own), place(host));
        let at = |place: Option<(&str, bool)>| {
            let place = place.and_then(|p| self.at.get(&p));
            place.copied().unwrap_or(0)
        };
        let others = at(there).saturating_sub(usize::from(here == there));
        match self.rule.kind {
            RuleKind::Fence { .. } => !self.hosts.contains(host),
            RuleKind::Ban { .. } => self.hosts.contains(host),
            RuleKind::Spread { .. } => others > 0,
            RuleKind::Gather { .. } => others + 1 < self.at.values().sum(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::read;

    fn scene(rules: &str) -> Scene {
        let cluster = "hosts:
  - { name: h1, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on, labels: { rack: a } }
  - { name: h2, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on, labels: { rack: b } }
  - { name: h3, cpu: 8cores, memory: 8GiB, network: 100MiB/s, state: on, labels: { rack: a } }
guests:
  - { name: a, vcpus: 2, memory: 3GiB, host: h1 }
  - { name: b, vcpus: 2, memory: 4GiB, host: h2 }
  - { name: c, vcpus: 2, memory: 2GiB, host: h2 }
  - { name: d, vcpus: 2, memory: 1GiB, host: h3, movable: false }\n";
        let policy = format!(
            "headroom: {{ cpu: 0%, memory: 0% }}\noverhead: {{ memory: 0MiB }}\nrules:\n{rules}"
        );
        let (cluster, load, policy) = read(cluster, "guests: {}\n", &policy);
        Scene {
            cluster,
            load,
            policy,
        }
    }

    #[test]
    fn room_rules_and_who_makes_room_are_told() {
        let scene = scene(
            "  - { kind: spread, name: apart, guests: [a, d] }
  - { kind: ban, name: never, guests: [a], hosts: [h3] }\n",
        );
        let a = standing(&scene, &"a".parse().unwrap()).unwrap().unwrap();
        assert_eq!(a.rules, ["apart", "never"]);
        assert!(a.held.is_empty());
        let [h2, h3] = a.targets.as_slice() else {
            panic!("two other hosts: {:?}", a.targets);
        };
        assert_eq!(h2.host.as_str(), "h2");
        assert_eq!(h2.lacks, ["1GiB of memory"]);
        assert_eq!(h2.makes_room.len(), 2, "either of b and c");
        assert!(!h2.is_free() && h2.barred.is_empty() && h2.against.is_empty());
        assert_eq!(
            (h3.barred.as_slice(), h3.against.as_slice()),
            (
                ["rule never".to_owned()].as_slice(),
                ["rule apart".to_owned()].as_slice()
            )
        );
        assert!(h3.lacks.is_empty());
    }

    #[test]
    fn free_targets_come_first_and_what_holds_a_guest_is_named() {
        let scene = scene("  - { kind: pin, name: here, guests: [c] }\n");
        let c = standing(&scene, &"c".parse().unwrap()).unwrap().unwrap();
        assert_eq!(c.held, ["rule here keeps it there"]);
        assert!(c.targets.iter().all(Target::is_free));
        let held = held_on(&scene, &"h3".parse().unwrap());
        assert_eq!(held.len(), 1);
        assert_eq!(held[0].1, "it is said not to be movable");
        assert_eq!(held_on(&scene, &"h2".parse().unwrap())[0].0.as_str(), "c");
        assert_eq!(standing(&scene, &"nobody".parse().unwrap()), Ok(None));
    }

    #[test]
    fn a_gather_rule_is_against_every_other_place() {
        let scene = scene("  - { kind: gather, name: near, guests: [a, d], over: rack }\n");
        let a = standing(&scene, &"a".parse().unwrap()).unwrap().unwrap();
        let of = |host: &str| a.targets.iter().find(|t| t.host.as_str() == host).unwrap();
        assert_eq!(of("h2").against, ["rule near"]);
        assert!(of("h3").against.is_empty() && of("h3").is_free());
    }

    #[test]
    fn rules_that_keep_a_guest_off_every_other_host_are_named() {
        let around = |rules: &str, hosts: &[&str]| {
            let scene = scene(rules);
            let placement = scene.cluster.placement();
            let hosts: Vec<HostName> = hosts.iter().map(|h| h.parse().unwrap()).collect();
            let barriers = Barriers::of(&scene, &placement);
            let found = barriers.around(&"a".parse().unwrap(), &hosts);
            found.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let two = "  - { kind: spread, name: apart, guests: [a, d] }
  - { kind: ban, name: never, guests: [a], hosts: [h2] }\n";
        assert_eq!(around(two, &["h1", "h2", "h3"]), ["apart", "never"]);
        assert_eq!(around(two, &["h1", "h2"]), ["never"]);
        assert!(around(two, &["h1"]).is_empty(), "there is no other");
        let one = "  - { kind: spread, name: apart, guests: [a, d] }\n";
        assert!(around(one, &["h1", "h2", "h3"]).is_empty(), "h2 is open");
        let racks = "  - { kind: spread, name: racks, guests: [a, b], over: rack }\n";
        assert_eq!(around(racks, &["h1", "h2"]), ["racks"]);
        assert!(around(racks, &["h1", "h3"]).is_empty(), "its own rack");
        let near = "  - { kind: gather, name: near, guests: [a, d], over: rack }\n";
        assert_eq!(around(near, &["h1", "h2"]), ["near"]);
        assert!(around(near, &["h1", "h3"]).is_empty());
        let fence = "  - { kind: fence, name: fenced, guests: [a], hosts: [h1, h3] }\n";
        assert_eq!(around(fence, &["h1", "h2"]), ["fenced"]);
        assert!(around(fence, &["h2", "h3"]).is_empty());
    }
}
