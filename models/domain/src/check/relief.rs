//! Judges relief: every law that a sudden move has to keep, one move after the other, each with what
//! those before it took. The arithmetic is this file's own.

use std::collections::{BTreeMap, BTreeSet};

use super::{Violation, violation};
use crate::cluster::{Guest, Host, HostState, PostCopy};
use crate::name::{GuestName, HostName};
use crate::plan::{Mode, Move};
use crate::relief::{FIRST, Relief, Situation};
use crate::rule::{Names, Over, RuleKind};
use crate::units::Micros;

/// What is wrong with an answer to that situation; nothing where all is well.
#[must_use]
pub fn relief(s: &Situation, relief: &Relief) -> Vec<Violation> {
    let mut judge = Judge::new(s);
    let mut found: Vec<Violation> = judge.capacity(relief).into_iter().collect();
    for mv in &relief.moves {
        found.extend(judge.one(mv).into_iter().map(|mut wrong| {
            wrong.at = Some(mv.id.clone());
            wrong
        }));
    }
    found.extend(judge.together(&relief.moves));
    for host in &relief.wake {
        if judge
            .hosts
            .get(host)
            .is_none_or(|h| h.state != HostState::Asleep)
        {
            found.push(violation(
                "state",
                format!("{host} is to be woken and does not sleep"),
            ));
        }
    }
    for guest in &relief.hold {
        if !judge.guests.contains_key(guest) {
            found.push(violation(
                "state",
                format!("guest {guest} is to be held and is not there"),
            ));
        }
    }
    found
}

struct Judge<'a> {
    s: &'a Situation<'a>,
    hosts: BTreeMap<&'a HostName, &'a Host>,
    guests: BTreeMap<&'a GuestName, &'a Guest>,
    names: Names<'a>,
    /// What each host's guests surely want, and may want (in milli-cores), and what else is on it.
    least: BTreeMap<&'a HostName, u128>,
    most: BTreeMap<&'a HostName, u128>,
    memory: BTreeMap<&'a HostName, u128>,
    vcpus: BTreeMap<&'a HostName, u128>,
    /// Every host on which a guest has a part.
    at: BTreeMap<&'a GuestName, BTreeSet<&'a HostName>>,
    /// Guests that left or come by this answer, and those under way.
    moved: BTreeSet<GuestName>,
}

impl<'a> Judge<'a> {
    fn new(s: &'a Situation<'a>) -> Self {
        let mut judge = Self {
            s,
            hosts: s.cluster.hosts.iter().map(|h| (&h.name, h)).collect(),
            guests: s.cluster.guests.iter().map(|g| (&g.name, g)).collect(),
            names: Names::of(s.cluster),
            least: BTreeMap::new(),
            most: BTreeMap::new(),
            memory: BTreeMap::new(),
            vcpus: BTreeMap::new(),
            at: BTreeMap::new(),
            moved: s.flights.iter().map(|f| f.guest.clone()).collect(),
        };
        for guest in &s.cluster.guests {
            let flight = s.flights.iter().find(|f| f.guest == guest.name);
            let demand = s.demand_of(&guest.name);
            let least = u128::from(demand.least(guest).0);
            let most = u128::from(demand.most(guest).0);
            match flight {
                Some(flight) => {
                    let margin = u128::from(demand.margin(guest, s.policy).0);
                    judge.stands(guest, &flight.from, 0, most);
                    judge.stands(guest, &flight.to, least, most + margin);
                }
                None => {
                    if let Some(host) = &guest.host {
                        judge.stands(guest, host, least, most);
                    }
                }
            }
        }
        judge
    }

    fn stands(&mut self, guest: &'a Guest, host: &'a HostName, least: u128, most: u128) {
        *self.least.entry(host).or_default() += least;
        *self.most.entry(host).or_default() += most;
        *self.vcpus.entry(host).or_default() += u128::from(guest.vcpus);
        let memory = u128::from(guest.memory.0) + u128::from(self.s.policy.overhead.memory.0);
        *self.memory.entry(host).or_default() += memory;
        self.at.entry(&guest.name).or_default().insert(host);
    }

    /// A host's room of CPU in millionths of a milli-core.
    fn room(&self, host: &Host) -> u128 {
        let cores = u128::from(host.cpu.0) * u128::from(host.speed.0);
        let own = u128::from(host.reserve.cpu.0) * 1000;
        let share = 1000u64.saturating_sub(self.s.policy.overload().cpu.0);
        cores.saturating_sub(own) * u128::from(share)
    }

    /// The overload of a host in millionths of a milli-core; rooms count in whole milli-cores.
    fn overload(&self, name: &HostName) -> u128 {
        let Some(host) = self.hosts.get(name) else {
            return 0;
        };
        let wanted = self.least.get(name).copied().unwrap_or(0);
        wanted.saturating_sub(self.room(host) / 1_000_000)
    }

    /// Where all together want more than there is, nothing moves; but in an overload's first moments, in which
    /// that is not clear, one guest from each host.
    fn capacity(&self, relief: &Relief) -> Option<Violation> {
        let awake = self.s.cluster.hosts.iter().filter(|h| self.open(h));
        let (wanted, room) = awake.fold((0, 0), |(wanted, room), h| {
            let own = self.least.get(&h.name).copied().unwrap_or(0);
            (wanted + own, room + self.room(h) / 1_000_000)
        });
        let young = |host: &HostName| {
            let since = self.s.overloaded.get(host);
            since.is_some_and(|since| self.s.now.0 < since.0 + FIRST.0)
        };
        let mut left = BTreeSet::new();
        let wrong = |mv: &Move| !young(&mv.from) || !left.insert(mv.from.clone());
        (wanted > room && relief.moves.iter().any(wrong)).then(|| {
            let what =
                format!("guests want {wanted} of {room} milli-cores awake, and some are moved");
            violation("capacity", what)
        })
    }

    fn open(&self, host: &Host) -> bool {
        host.state == HostState::On && !self.s.silent.contains(&host.name)
    }

    fn one(&mut self, mv: &Move) -> Vec<Violation> {
        let mut found = Vec::new();
        let mut claim = |ok: bool, law: &str, what: String| {
            if !ok {
                found.push(violation(law, what));
            }
        };
        let (guest_name, to_name) = (&mv.guest, &mv.to);
        let (Some(guest), Some(from), Some(to)) = (
            self.guests.get(guest_name).copied(),
            self.hosts.get(&mv.from).copied(),
            self.hosts.get(to_name).copied(),
        ) else {
            return vec![violation(
                "state",
                format!("{guest_name} or its hosts are not there"),
            )];
        };
        let s = self.s;
        let demand = s.demand_of(guest_name);
        let (least, most) = (demand.least(guest), demand.most(guest));
        let margin = demand.margin(guest, s.policy);
        claim(
            guest.host.as_ref() == Some(&mv.from) && mv.from != mv.to,
            "state",
            format!("{guest_name} is moved from {} and is not there", mv.from),
        );
        claim(
            !self.moved.contains(guest_name),
            "state",
            format!("{guest_name} is under way already"),
        );
        claim(
            matches!(demand, crate::relief::Demand::Seen { .. }),
            "demand",
            format!("the demand of {guest_name} is not known or not believed"),
        );
        claim(
            self.open(to) && !s.shunned.contains(to_name) && guest.runs_on(to),
            "state",
            format!("{to_name} is not awake, not heard of, or lacks what {guest_name} requires"),
        );
        // Each move lessens the sum of overload.
        let since = s.overloaded.get(&mv.from).copied();
        let old = since.is_some_and(|t| s.now.saturating_sub(t) >= s.policy.relief.after);
        let over = self.overload(&mv.from);
        claim(
            old && over > 0 && least.0 > 0,
            "overload",
            format!(
                "{} is not overloaded for long enough, or {guest_name} does not help",
                mv.from
            ),
        );
        // The target stays below its threshold by the guest's margin.
        let cpu = self.most.get(to_name).copied().unwrap_or(0)
            + u128::from(most.0)
            + u128::from(margin.0);
        claim(
            cpu * 1_000_000 <= self.room(to),
            "cpu",
            format!("{to_name} would carry {cpu} milli-cores with the margin of {guest_name}"),
        );
        let own = u128::from(guest.memory.0) + u128::from(s.policy.overhead.memory.0);
        let memory = self.memory.get(to_name).copied().unwrap_or(0) + own;
        let share = u128::from(1000u64.saturating_sub(s.policy.overload().memory.0));
        let usable = u128::from(to.memory.0.saturating_sub(to.reserve.memory.0));
        claim(
            memory * 1000 <= usable * share,
            "memory",
            format!("{to_name} would carry {memory} MiB"),
        );
        let vcpus = self.vcpus.get(to_name).copied().unwrap_or(0) + u128::from(guest.vcpus);
        claim(
            vcpus * 1_000_000 <= u128::from(to.cpu.0) * u128::from(s.policy.over_commit.cpu.0),
            "vcpus",
            format!("{to_name} would have {vcpus} vCPUs"),
        );
        claim(
            guest.post_copy != PostCopy::Never || mv.mode == Mode::PreCopy,
            "post-copy",
            format!(
                "{guest_name} is never to be in split state and moves by {}",
                mv.mode
            ),
        );
        claim(
            guest.movable,
            "movable: false",
            format!("{guest_name} is moved"),
        );
        let rests = s
            .recent
            .iter()
            .any(|past| past.guest == *guest_name && past.at + s.policy.relief.cooldown > s.now);
        claim(!rests, "cooldown", format!("{guest_name} was moved lately"));
        found.extend(self.rules(guest, to));

        self.moved.insert(guest_name.clone());
        if let Some(wanted) = self.least.get_mut(&from.name) {
            *wanted = wanted.saturating_sub(u128::from(least.0));
        }
        self.stands(
            guest,
            &to.name,
            u128::from(least.0),
            u128::from(most.0) + u128::from(margin.0),
        );
        found
    }

    fn named(&self, patterns: &[String]) -> BTreeSet<&'a GuestName> {
        let each = patterns
            .iter()
            .filter_map(|p| self.names.guests(std::slice::from_ref(p)).ok());
        each.flatten().collect()
    }

    fn rules(&self, guest: &Guest, to: &Host) -> Vec<Violation> {
        let mut found = Vec::new();
        for rule in &self.s.policy.rules {
            let members = self.named(rule.kind.guests());
            if !members.contains(&guest.name) {
                continue;
            }
            let hosts = || -> BTreeSet<&HostName> {
                let each = rule.kind.hosts().iter();
                let each = each.filter_map(|p| self.names.hosts(std::slice::from_ref(p)).ok());
                each.flatten().collect()
            };
            let place = |over: &Over, host: &HostName| {
                self.hosts.get(host).map(|h| {
                    let (text, label) = over.place(h);
                    (text.to_owned(), label)
                })
            };
            let others = |over: &Over| -> BTreeSet<(String, bool)> {
                let others = members.iter().filter(|m| **m != &guest.name);
                let at = others.filter_map(|m| self.at.get(*m)).flatten();
                at.filter_map(|h| place(over, h)).collect()
            };
            let broken = match &rule.kind {
                RuleKind::Spread { over, .. } => {
                    place(over, &to.name).is_some_and(|p| others(over).contains(&p))
                }
                RuleKind::Gather { over, .. } => {
                    let here = place(over, &to.name);
                    others(over).iter().any(|p| Some(p) != here.as_ref())
                }
                RuleKind::Fence { .. } => !hosts().contains(&to.name),
                RuleKind::Ban { .. } => hosts().contains(&to.name),
                RuleKind::Pin { .. } => true,
                RuleKind::Spare { .. } | RuleKind::MaxMoves { .. } => false,
            };
            if broken {
                let what = format!("guest {} is sent to {}", guest.name, to.name);
                found.push(violation(format!("rule {}", rule.name), what));
            }
        }
        found
    }

    /// The limits on moves together.
    fn together(&self, moves: &[Move]) -> Vec<Violation> {
        let (s, mut found) = (self.s, Vec::new());
        let mut limit = |what: String, n: u128, most: u128| {
            if n > most {
                found.push(violation("limits", format!("{what}: {n}, at most {most}")));
            }
        };
        if moves.is_empty() {
            return found;
        }
        let relief = &s.policy.relief;
        let recent = |per: Micros| {
            s.recent
                .iter()
                .filter(move |p| p.relief && p.at + per > s.now)
        };
        let started = recent(Micros::secs(60)).count() + moves.len();
        limit(
            "moves a minute".into(),
            started as u128,
            u128::from(relief.moves_per_minute),
        );
        let at_once = s.flights.len() + moves.len();
        limit(
            "migrations at once".into(),
            at_once as u128,
            u128::from(s.policy.migrations.at_once.get()),
        );
        for budget in &relief.budgets {
            let members = self.named(&budget.guests);
            let mine = moves.iter().filter(|m| members.contains(&m.guest)).count();
            let used = recent(budget.per)
                .filter(|p| members.contains(&p.guest))
                .count();
            if mine > 0 {
                let what = format!("the budget of {}", budget.guests.join(", "));
                limit(what, (used + mine) as u128, u128::from(budget.moves));
            }
        }
        for rule in &s.policy.rules {
            let RuleKind::MaxMoves {
                moves: most,
                guests,
            } = &rule.kind
            else {
                continue;
            };
            let members = self.named(guests);
            let counts = |g: &GuestName| guests.is_empty() || members.contains(g);
            let mine = moves.iter().filter(|m| counts(&m.guest)).count();
            let under_way = s.flights.iter().filter(|f| counts(&f.guest)).count();
            if mine > 0 {
                let what = format!("moves under rule {}", rule.name);
                limit(what, (mine + under_way) as u128, u128::from(*most));
            }
        }
        let split = |m: &&Move| m.mode != Mode::PreCopy;
        for host in &s.cluster.hosts {
            let name = &host.name;
            let leave: Vec<&Move> = moves.iter().filter(|m| m.from == *name).collect();
            let come: Vec<&Move> = moves.iter().filter(|m| m.to == *name).collect();
            let gone = s.flights.iter().filter(|f| f.from == *name);
            let came = s.flights.iter().filter(|f| f.to == *name);
            let link =
                u128::from(host.network.0) * u128::from(s.policy.migrations.bandwidth.0) / 1000;
            let link = link.max(u128::from(host.network.0.min(1)));
            let most = link * u128::from(s.policy.migrations.split_state.0) / 1_000_000;
            for (what, mine, others) in [
                ("leave", leave, gone.collect::<Vec<_>>()),
                ("come to", come, came.collect::<Vec<_>>()),
            ] {
                if mine.is_empty() {
                    continue;
                }
                let n = (mine.len() + others.len()) as u128;
                limit(
                    format!("guests that {what} {name} at once"),
                    n,
                    u128::from(relief.per_host.get()),
                );
                let memory = mine
                    .iter()
                    .copied()
                    .filter(split)
                    .map(|m| u128::from(m.memory.0))
                    .sum::<u128>();
                if memory > 0 {
                    let under_way = others.iter().map(|f| u128::from(f.memory.0)).sum::<u128>();
                    limit(
                        format!("MiB in split state that {what} {name}"),
                        memory + under_way,
                        most,
                    );
                }
                let bandwidth = mine.iter().map(|m| u128::from(m.bandwidth.0)).sum::<u128>();
                limit(
                    format!("MiB/s of those that {what} {name}"),
                    bandwidth,
                    link.max(mine.len() as u128),
                );
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Load;
    use crate::policy::Policy;
    use crate::relief::{Demand, Flight, Past};
    use crate::units::{MiB, MilliCores};

    const CLUSTER: &str = "
hosts:
  - { name: h1, cpu: 4cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h2, cpu: 4cores, memory: 16GiB, network: 1000MiB/s, state: on }
  - { name: h3, cpu: 4cores, memory: 16GiB, network: 1000MiB/s, state: asleep }
guests:
  - { name: a, vcpus: 2, memory: 2GiB, host: h1 }
  - { name: b, vcpus: 4, memory: 2GiB, host: h1 }
  - { name: c, vcpus: 2, memory: 2GiB, host: h2 }
";

    /// What is needed for a situation that owns it all.
    struct World {
        cluster: crate::Cluster,
        policy: Policy,
        demand: BTreeMap<GuestName, Demand>,
        overloaded: BTreeMap<HostName, Micros>,
        silent: BTreeSet<HostName>,
        flights: Vec<Flight>,
        recent: Vec<Past>,
    }

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("a plain name")
    }

    fn world() -> World {
        let seen = |now| Demand::Seen {
            now: MilliCores(now),
            margin: MilliCores(100),
        };
        World {
            cluster: serde_yaml::from_str(CLUSTER).expect("a cluster"),
            policy: Policy::default(),
            demand: BTreeMap::from([
                (name("a"), seen(1500)),
                (name("b"), seen(3000)),
                (name("c"), seen(500)),
            ]),
            overloaded: BTreeMap::from([(name("h1"), Micros::ZERO)]),
            silent: BTreeSet::new(),
            flights: vec![],
            recent: vec![],
        }
    }

    fn laws(world: &World, change: impl FnOnce(&mut Move)) -> Vec<String> {
        let load = Load::default();
        let situation = Situation {
            cluster: &world.cluster,
            load: &load,
            policy: &world.policy,
            demand: &world.demand,
            overloaded: &world.overloaded,
            silent: &world.silent,
            shunned: &BTreeSet::new(),
            flights: &world.flights,
            recent: &world.recent,
            now: Micros::secs(100),
        };
        let mut mv = Move {
            id: crate::MoveId("r1".into()),
            guest: name("a"),
            uuid: None,
            from: name("h1"),
            to: name("h2"),
            mode: Mode::PostCopy,
            memory: MiB(2048),
            vcpus: 2,
            demand: MilliCores(1500),
            bandwidth: crate::units::MiBPerSec(800),
            start: Micros::ZERO,
            duration: Micros::secs(3),
            expected: None,
            after: vec![],
            reason: String::new(),
        };
        change(&mut mv);
        let answer = Relief {
            moves: vec![mv],
            ..Relief::default()
        };
        relief(&situation, &answer)
            .into_iter()
            .map(|v| v.law)
            .collect()
    }

    #[test]
    fn a_move_that_helps_is_accepted_and_each_broken_law_is_named() {
        let accepted: [&str; 0] = [];
        assert_eq!(laws(&world(), |_| {}), accepted);
        let mut w = world();
        w.overloaded.clear();
        assert_eq!(laws(&w, |_| {}), ["overload"]);
        let mut w = world();
        w.cluster.guests[0].post_copy = PostCopy::Never;
        assert_eq!(laws(&w, |_| {}), ["post-copy"]);
        assert_eq!(laws(&w, |m| m.mode = Mode::PreCopy), accepted);
        let mut w = world();
        w.demand.insert(name("a"), Demand::Unknown);
        // Then the host is not even known to be overloaded.
        assert_eq!(laws(&w, |_| {}), ["demand", "overload"]);
        let mut w = world();
        w.demand.remove(&name::<GuestName>("c"));
        assert_eq!(
            laws(&w, |_| {}),
            accepted,
            "c at its 2 cores, a, its margin of 150: 3.65 of 3.8"
        );
        w.cluster.guests[2].vcpus = 3;
        assert_eq!(laws(&w, |_| {}), ["cpu"]);
        let mut w = world();
        w.silent.insert(name("h2"));
        assert!(laws(&w, |_| {}).contains(&"state".to_owned()));
        assert!(laws(&world(), |m| m.to = name("h3")).contains(&"state".to_owned()));
        let mut w = world();
        w.recent.push(Past {
            guest: name("a"),
            from: name("h2"),
            to: name("h1"),
            at: Micros::secs(41),
            relief: true,
        });
        assert_eq!(laws(&w, |_| {}), ["cooldown"]);
        w.recent[0].at = Micros::secs(40);
        assert_eq!(laws(&w, |_| {}), accepted);
        let mut w = world();
        w.policy.relief.moves_per_minute = 0;
        assert_eq!(laws(&w, |_| {}), ["limits"]);
        assert_eq!(
            laws(&world(), |m| m.bandwidth.0 = 801),
            ["limits", "limits"]
        );
        let mut w = world();
        w.policy.migrations.split_state = Micros::secs(2);
        assert_eq!(laws(&w, |_| {}), ["limits", "limits"]);
        let mut w = world();
        w.policy
            .rules
            .push(serde_yaml::from_str("{ kind: spread, guests: [a, c] }").expect("a rule"));
        assert_eq!(laws(&w, |_| {}), ["rule spread(a,c)"]);
        let mut w = world();
        w.demand.insert(
            name("c"),
            Demand::Seen {
                now: MilliCores(2000),
                margin: MilliCores::ZERO,
            },
        );
        w.demand.insert(
            name("b"),
            Demand::Seen {
                now: MilliCores(4000),
                margin: MilliCores::ZERO,
            },
        );
        w.demand.insert(
            name("a"),
            Demand::Seen {
                now: MilliCores(1700),
                margin: MilliCores::ZERO,
            },
        );
        assert_eq!(laws(&w, |_| {}), ["capacity", "cpu"]);
    }
}
