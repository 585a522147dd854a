//! What a watch does by the clock: plans that pack, hosts that sleep and are woken.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::plan::Plan;
use vmpack_domain::relief::Demand;
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{Cluster, HostName, HostState};
use vmpack_planner::power::{Order, Power, RETRY, Seen};
use vmpack_planner::relieve::host_room;
use vmpack_planner::watch::Phase;

use super::audit::Entry;
use super::{Lines, Mode, Periodic, Shell};

/// How often it is looked at which hosts are needed.
const OFTEN: Micros = Micros::secs(1);

/// Where the periodic work stands.
#[derive(Debug)]
pub(super) struct Cycle {
    terms: Periodic,
    power: Option<Power>,
    /// Hosts that relief needs woken, as long as any is overloaded.
    pub(super) for_relief: Vec<HostName>,
    /// Hosts that a plan needs woken, until they are.
    for_plan: Vec<HostName>,
    plan_at: Option<Micros>,
    planning: bool,
    look_at: Micros,
}

impl Cycle {
    pub(super) fn new(terms: Periodic) -> Self {
        Self {
            power: terms.power.map(Power::new),
            terms,
            for_relief: Vec::new(),
            for_plan: Vec::new(),
            plan_at: None,
            planning: false,
            look_at: Micros::ZERO,
        }
    }
}

impl Shell<'_> {
    /// A host is heard that was not just sent to sleep: it is awake.
    pub(super) fn awake(&mut self, lines: &mut Lines, host: &HostName) {
        let asleep = self
            .watch
            .cluster()
            .host(host)
            .is_some_and(|h| h.state == HostState::Asleep);
        if asleep {
            self.takes_guests(lines, host);
        }
    }

    /// A host does not sleep, or not any more.
    fn takes_guests(&mut self, lines: &mut Lines, host: &HostName) {
        self.watch.host_is(host, HostState::On);
        (lines.awake)(host);
    }

    /// A host did not wake: another is to, in its place.
    fn does_not_wake(&mut self, host: &HostName, now: Micros) {
        self.watch.does_not_wake(host, now + RETRY);
    }

    pub(super) fn by_the_clock(&mut self, lines: &mut Lines) -> std::io::Result<()> {
        let now = self.now();
        let Some(cycle) = &mut self.cycle else {
            return Ok(());
        };
        // A first plan once, after a whole interval in which the hosts were heard.
        let due = *cycle.plan_at.get_or_insert(now + cycle.terms.every);
        let calm = self.overloaded.is_empty() && self.watch.flights().is_empty();
        if due <= now && calm && !cycle.planning {
            cycle.plan_at = Some(now + cycle.terms.every);
            cycle.planning = true;
            (lines.plan)(self.as_it_is(now));
        }
        let Some(cycle) = self.cycle.as_mut().filter(|c| c.look_at <= now) else {
            return Ok(());
        };
        cycle.look_at = now + OFTEN;
        let (seen, wanted) = self.seen();
        let Some(cycle) = &mut self.cycle else {
            return Ok(());
        };
        if self.overloaded.is_empty() {
            cycle.for_relief.clear();
        }
        let sleeps = |host: &HostName| seen.iter().any(|s| s.host == *host && !s.awake);
        cycle.for_plan.retain(sleeps);
        let needed = [&cycle.for_relief[..], &cycle.for_plan[..]].concat();
        let orders = cycle
            .power
            .as_mut()
            .map(|p| p.look(&seen, wanted, &needed, now));
        if let Some(power) = &cycle.power {
            self.falling.retain(|host| power.is_falling(host));
        }
        for order in orders.unwrap_or_default() {
            self.switch(lines, order, now)?;
        }
        Ok(())
    }

    /// The cluster with when each guest was moved, so that one that was just relieved rests for plans too, and
    /// without hosts that just did not wake.
    fn as_it_is(&self, now: Micros) -> Cluster {
        let mut cluster = self.watch.cluster().clone();
        for past in self.watch.recent() {
            let mut guests = cluster.guests.iter_mut();
            if let Some(guest) = guests.find(|g| g.name == past.guest) {
                guest.moved_ago = Some(now.saturating_sub(past.at));
            }
        }
        for host in &mut cluster.hosts {
            let imagined = self.imagined.get(&host.name);
            host.state = match (host.state, imagined) {
                (HostState::Asleep, _) if self.watch.is_shunned(&host.name, now) => HostState::Out,
                (HostState::Asleep, Some(true)) => HostState::On,
                (HostState::On, Some(false)) if !self.carries(&host.name) => HostState::Asleep,
                (state, _) => state,
            };
        }
        cluster
    }

    /// Which target of a plan takes nobody now: it is not awake and heard, or would be overloaded by what its
    /// guests want now, which a load of some hours does not tell.
    fn overloads_now(&self, plan: &Plan) -> Option<String> {
        let cluster = self.watch.cluster();
        let mut wanted: BTreeMap<&HostName, MilliCores> = BTreeMap::new();
        for (guest, host) in &plan.target {
            if let Some(guest) = cluster.guest(guest) {
                *wanted.entry(host).or_default() += self.watch.demand(&guest.name).most(guest);
            }
        }
        let taken: BTreeSet<&HostName> = plan.moves.iter().map(|m| &m.to).collect();
        let mut hosts = cluster.hosts.iter().filter(|h| taken.contains(&h.name));
        hosts.find_map(|host| {
            let heard = self.watch.phase(&host.name) != Phase::Unknown;
            if host.state != HostState::On || !heard {
                return Some(format!(
                    "not carried out: {} is not awake and heard",
                    host.name
                ));
            }
            let room = host_room(host, &self.policy);
            let wanted = wanted.get(&host.name).filter(|w| **w > room)?;
            let name = &host.name;
            Some(format!(
                "not carried out: its guests on {name} want {wanted} now, of {room}"
            ))
        })
    }

    /// Whether a guest is on the host.
    fn carries(&self, host: &HostName) -> bool {
        let guests = &self.watch.cluster().guests;
        guests.iter().any(|g| g.host.as_ref() == Some(host)) || self.watch.has_strangers(host)
    }

    /// What the hosts look like, and what all guests may want.
    fn seen(&self) -> (Vec<Seen>, MilliCores) {
        let cluster = self.watch.cluster();
        let mut busy: BTreeSet<&HostName> = cluster
            .guests
            .iter()
            .filter_map(|g| g.host.as_ref())
            .collect();
        let flights = self.watch.flights().iter();
        busy.extend(flights.flat_map(|f| [&f.from, &f.to]));
        // What guests want on a host that is not heard, nobody knows, and whether they will need another: as long
        // as that is so no other is taken to be empty.
        let unheard = |h: &vmpack_domain::Host| {
            busy.contains(&h.name) && self.watch.phase(&h.name) == Phase::Unknown
        };
        let unknown = cluster.hosts.iter().any(unheard);
        let hosts = cluster.hosts.iter().map(|host| {
            let carries = busy.contains(&host.name) || self.watch.has_strangers(&host.name);
            // Where it is only told what would be done, as if it had been.
            let imagined = self.imagined.get(&host.name).filter(|_| !carries);
            let heard = self.watch.phase(&host.name) != Phase::Unknown;
            let asleep = host.state == HostState::Asleep;
            Seen {
                awake: imagined.copied().unwrap_or(heard),
                sleeps: imagined.map_or(asleep, |awake| !awake),
                carries: carries || (unknown && !self.falling.contains(&host.name)),
                stays: host.never_sleep || matches!(host.state, HostState::Drain | HostState::Out),
                room: host_room(host, &self.policy),
                host: host.name.clone(),
            }
        });
        let wanted = cluster.guests.iter().filter(|g| g.host.is_some());
        let wanted = wanted.map(|g| match self.watch.demand(&g.name) {
            // Of a host that is not heard nothing is known, and no other would carry it.
            Demand::Unknown => g.reserved,
            known => known.most(g) + known.margin(g, &self.policy),
        });
        (hosts.collect(), wanted.sum())
    }

    fn switch(&mut self, lines: &mut Lines, order: Order, now: Micros) -> std::io::Result<()> {
        if let Order::Failed(host, why) = &order {
            let awake = self.watch.phase(host) != Phase::Unknown;
            if awake {
                self.falling.remove(host);
                self.takes_guests(lines, host);
            } else {
                self.does_not_wake(host, now);
            }
            let entry = Entry::Power {
                host: host.as_str(),
                to: if awake { "sleep" } else { "wake" },
                why,
                carried_out: true,
                failed: Some(why.clone()),
            };
            return self.write(lines, &entry);
        }
        let (Order::Wake(name, why) | Order::Sleep(name, why) | Order::Failed(name, why)) = &order;
        let to = if matches!(order, Order::Wake(..)) {
            "wake"
        } else {
            "sleep"
        };
        let acts = self.terms.mode == Mode::Auto;
        let entry = Entry::Power {
            host: name.as_str(),
            to,
            why,
            carried_out: acts,
            failed: None,
        };
        self.write(lines, &entry)?;
        let host = self.watch.cluster().host(name).cloned();
        if let Some(host) = host.filter(|_| acts) {
            if to == "sleep" {
                // No target from now on.
                self.falling.insert(name.clone());
                self.watch.host_is(name, HostState::Asleep);
            }
            (lines.power)(order, host);
        } else {
            self.imagined.insert(name.clone(), to == "wake");
        }
        Ok(())
    }

    /// A host was asked to sleep or to wake.
    pub(super) fn powered(
        &mut self,
        lines: &mut Lines,
        order: &Order,
        failed: Option<String>,
    ) -> std::io::Result<()> {
        let (Some(failed), now) = (failed, self.now()) else {
            return Ok(());
        };
        let (Order::Wake(name, why) | Order::Sleep(name, why) | Order::Failed(name, why)) = order;
        let to = if matches!(order, Order::Wake(..)) {
            "wake"
        } else {
            "sleep"
        };
        if to == "sleep" {
            self.falling.remove(name);
            self.takes_guests(lines, name);
        } else {
            self.does_not_wake(name, now);
        }
        if let Some(power) = self.cycle.as_mut().and_then(|c| c.power.as_mut()) {
            power.undo(order, now);
        }
        self.write(
            lines,
            &Entry::Power {
                host: name.as_str(),
                to,
                why,
                carried_out: true,
                failed: Some(failed),
            },
        )
    }

    /// A plan was made.
    pub(super) fn planned(
        &mut self,
        lines: &mut Lines,
        plan: Result<Plan, String>,
    ) -> std::io::Result<()> {
        if let Some(cycle) = &mut self.cycle {
            cycle.planning = false;
        }
        let plan = match plan {
            Ok(plan) => plan,
            Err(why) => {
                let entry = Entry::Planned {
                    hosts: (0, 0),
                    moves: 0,
                    moved: Vec::new(),
                    carried_out: false,
                    reasons: vec![why],
                };
                return self.write(lines, &entry);
            }
        };
        let now = self.now();
        let calm = self.overloaded.is_empty() && self.watch.flights().is_empty();
        let awake = plan.hosts.wake.is_empty();
        let overloads = self.overloads_now(&plan);
        let fits = calm && awake && overloads.is_none();
        let carried_out = self.terms.mode == Mode::Auto && fits && !plan.moves.is_empty();
        let mut reasons = plan.reasons.clone();
        reasons.extend(overloads);
        if !calm {
            reasons.push("not carried out: relief came between".into());
        }
        if !awake {
            reasons.push("not carried out before the hosts that it needs are awake".into());
        }
        let hosts = (plan.hosts.before.len(), plan.hosts.after.len());
        let entry = Entry::Planned {
            hosts,
            moves: plan.moves.len(),
            moved: plan
                .moves
                .iter()
                .map(|m| format!("{} {} -> {}", m.guest, m.from, m.to))
                .collect(),
            carried_out,
            reasons,
        };
        self.write(lines, &entry)?;
        if let Some(cycle) = &mut self.cycle {
            cycle.for_plan.clone_from(&plan.hosts.wake);
            if let (Some(power), false) = (cycle.terms.power, awake) {
                // Anew once they are awake, before they sleep again.
                cycle.plan_at = Some(now + power.latency + OFTEN + OFTEN);
            }
        }
        if carried_out {
            (lines.consolidate)(plan);
        } else if self.terms.mode == Mode::Recommend && !plan.moves.is_empty() {
            (lines.recommend)(&plan);
        }
        Ok(())
    }
}
