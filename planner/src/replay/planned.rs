//! What this product does on an operator's cluster, as a policy for a replay: at regular times [`plan`]
//! by what was recorded so far, its moves in their order, and [`relieve`] in between. The policy file's
//! rules, limits and headroom hold, as they do there.
//!
//! A plan is made of the last day's windows at most that are over, at the first look after its time; the
//! first one when as much was seen as lies between two. A move is begun when those that it waits for have ended, as many at once as the policy
//! allows. Relief calls off what a plan has not begun; the next plan starts from what is there then.

use std::collections::{BTreeMap, BTreeSet};

use vmpack_domain::load::{GuestLoad, jiff_serde::Timestamp};
use vmpack_domain::plan::{Move, MoveId, Outcome, Plan};
use vmpack_domain::relief::{Demand, Flight, Past, Situation};
use vmpack_domain::units::{Micros, MilliCores};
use vmpack_domain::{Cluster, GuestName, HostName, HostState, Load};
use vmpack_sim::fleet::{Fleet, Notice, Power};

use super::{Orders, Policy, still};
use crate::import::measured;
use crate::plan;
use crate::relieve::{Limits, host_room, relieve};
use crate::search::Search;
use crate::whatif::Scene;

/// What a plan is made of, at most.
const SEEN: Micros = Micros::secs(24 * 3600);
/// How far back a guest's rises are looked for, which relief keeps free.
const MARGIN: usize = 12;
/// Search effort of each plan, in nodes, where the policy does not say.
const NODES: u64 = 3000;

/// The policy.
pub struct Planned {
    scene: Scene,
    every: Micros,
    next: Micros,
    /// The plan that is being carried out.
    steps: Vec<Step>,
    /// What was ordered and is not over.
    flights: Vec<UnderWay>,
    /// When each guest moved last, and for what.
    moved: Vec<Past>,
    /// Since when hosts are seen overloaded.
    hot: BTreeMap<HostName, Micros>,
}

/// A move of a plan.
#[derive(Debug, Clone)]
struct Step {
    guest: usize,
    to: usize,
    /// Those of these steps that must have ended before.
    after: Vec<usize>,
    is: Is,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Waiting,
    Begun,
    Done,
    /// It failed, or one that it waits for did.
    Dropped,
}

/// A migration that was ordered.
#[derive(Debug, Clone)]
struct UnderWay {
    guest: usize,
    from: usize,
    to: usize,
    flight: Flight,
}

impl Planned {
    /// Plans so often, by the scene's rules and sizes; its guests and hosts are the fleet's, in its order.
    #[must_use]
    pub fn new(mut scene: Scene, every: Micros) -> Self {
        let limits = &mut scene.policy.limits;
        limits.nodes = limits.nodes.or(Some(NODES));
        limits.prefer_nodes();
        Self {
            scene,
            every,
            next: every,
            steps: Vec::new(),
            flights: Vec::new(),
            moved: Vec::new(),
            hot: BTreeMap::new(),
        }
    }

    fn host(&self, name: &HostName) -> Option<usize> {
        let hosts = &self.scene.cluster.hosts;
        hosts.iter().position(|h| h.name == *name)
    }

    fn guest(&self, name: &GuestName) -> Option<usize> {
        let guests = &self.scene.cluster.guests;
        guests.iter().position(|g| g.name == *name)
    }

    /// What has ended since the last time.
    fn settle(&mut self, fleet: &Fleet) {
        let goes_on = |f: &UnderWay| {
            let waits = matches!(fleet.power(f.to), Power::Asleep | Power::Waking(_));
            fleet.is_moving(f.guest) || (waits && fleet.at(f.guest) == Some(f.from))
        };
        self.flights.retain(goes_on);
        let flies = |g: usize| self.flights.iter().any(|f| f.guest == g);
        for step in self.steps.iter_mut().filter(|s| s.is == Is::Begun) {
            if !flies(step.guest) {
                let is_there = fleet.at(step.guest) == Some(step.to);
                step.is = if is_there { Is::Done } else { Is::Dropped };
            }
        }
        let policy = &self.scene.policy;
        let cooldown = policy.limits.cooldown.unwrap_or_default();
        let kept = cooldown.max(policy.relief.cooldown).max(SEEN);
        self.moved
            .retain(|p| fleet.now().saturating_sub(p.at) <= kept);
    }

    /// Hosts and guests as they are now.
    fn cluster(&self, fleet: &Fleet) -> Cluster {
        let mut cluster = self.scene.cluster.clone();
        for (h, host) in cluster.hosts.iter_mut().enumerate() {
            host.state = match fleet.power(h) {
                Power::On | Power::Waking(_) => HostState::On,
                Power::Asleep => HostState::Asleep,
                Power::Dead => HostState::Out,
            };
        }
        for (g, guest) in cluster.guests.iter_mut().enumerate() {
            guest.host = fleet.at(g).map(|h| cluster.hosts[h].name.clone());
            let last = self.moved.iter().filter(|p| p.guest == guest.name);
            let last = last.map(|p| p.at).max();
            guest.moved_ago = last.map(|at| fleet.now().saturating_sub(at));
        }
        cluster
    }

    /// What was recorded in the last day.
    fn load(&self, fleet: &Fleet) -> Load {
        let step = fleet.physics().interval;
        let most = usize::try_from(SEEN.0 / step.0.max(1)).unwrap_or(1).max(1);
        let mut load = Load::default();
        for (g, guest) in self.scene.cluster.guests.iter().enumerate() {
            let known = self.scene.load.guests.get(&guest.name);
            let mut of = known.cloned().unwrap_or_default();
            if of.cpu.is_some() {
                // The newest is of the window that just begins.
                let past = fleet.past(g).split_last().map_or(&[][..], |p| p.1);
                let seen = &past[past.len().saturating_sub(most)..];
                let all = fleet.guests()[g].promised;
                let values = seen.iter().map(|share| cores(share * all)).collect();
                of.cpu = Some(measured(
                    values,
                    Timestamp(jiff::Timestamp::UNIX_EPOCH),
                    step,
                ));
            }
            if of != GuestLoad::default() {
                load.guests.insert(guest.name.clone(), of);
            }
        }
        load
    }

    /// A new plan, in place of what is left of the last one.
    fn plan(&mut self, fleet: &Fleet) {
        let mut cluster = self.cluster(fleet);
        for f in &self.flights {
            let guest = &mut cluster.guests[f.guest];
            guest.host = Some(cluster.hosts[f.to].name.clone());
            guest.movable = false;
        }
        let load = self.load(fleet);
        let search = &mut Search {
            elapsed: &|| Micros::ZERO,
            stop: &|| false,
            report: &mut |_| {},
        };
        // Where nothing is found nothing moves; relief goes on.
        self.steps = match plan(&cluster, &load, &self.scene.policy, search) {
            Outcome::Optimal(plan) | Outcome::Feasible(plan) => self.steps_of(plan),
            Outcome::Infeasible(_) | Outcome::NoAnswer { .. } => Vec::new(),
        };
    }

    fn steps_of(&self, mut plan: Plan) -> Vec<Step> {
        plan.moves.sort_by_key(|m| m.start);
        let moves = &plan.moves;
        let number = |id: &MoveId| moves.iter().position(|m| m.id == *id);
        let step = |m: &Move| {
            Some(Step {
                guest: self.guest(&m.guest)?,
                to: self.host(&m.to)?,
                after: m.after.iter().filter_map(number).collect(),
                is: Is::Waiting,
            })
        };
        moves.iter().filter_map(step).collect()
    }

    /// Begins what may begin.
    fn release(&mut self, fleet: &Fleet, orders: &mut Orders) {
        let migrations = &self.scene.policy.migrations;
        let (at_once, per_host) = (migrations.at_once.get(), migrations.per_host.get());
        for n in 0..self.steps.len() {
            let step = self.steps[n].clone();
            if step.is != Is::Waiting {
                continue;
            }
            let before = step.after.iter().map(|a| self.steps[*a].is);
            if before.clone().any(|is| is == Is::Dropped) {
                self.steps[n].is = Is::Dropped;
                continue;
            }
            let Some(from) = fleet.at(step.guest) else {
                self.steps[n].is = Is::Dropped;
                continue;
            };
            let many = |of: &dyn Fn(&UnderWay) -> bool| {
                u32::try_from(self.flights.iter().filter(|f| of(f)).count()).unwrap_or(u32::MAX)
            };
            let is_free = many(&|_| true) < at_once
                && many(&|f| f.from == from) < per_host
                && many(&|f| f.to == step.to) < per_host
                && many(&|f| f.guest == step.guest) == 0;
            let room = fleet.free_memory(step.to) >= fleet.guests()[step.guest].memory;
            if is_free && room && before.into_iter().all(|is| is == Is::Done) {
                self.steps[n].is = Is::Begun;
                self.begin(fleet, (step.guest, from, step.to), false, orders);
            }
        }
    }

    fn begin(
        &mut self,
        fleet: &Fleet,
        (guest, from, to): (usize, usize, usize),
        relief: bool,
        orders: &mut Orders,
    ) {
        let cluster = &self.scene.cluster;
        let (from_name, to_name) = (&cluster.hosts[from].name, &cluster.hosts[to].name);
        let (now, margin) = wants(fleet, guest);
        self.moved.push(Past {
            guest: cluster.guests[guest].name.clone(),
            from: from_name.clone(),
            to: to_name.clone(),
            at: fleet.now(),
            relief,
        });
        self.flights.push(UnderWay {
            guest,
            from,
            to,
            flight: Flight {
                guest: cluster.guests[guest].name.clone(),
                from: from_name.clone(),
                to: to_name.clone(),
                demand: now,
                margin,
                memory: cluster.guests[guest].memory,
            },
        });
        orders.migrations.push((guest, to));
    }

    /// Ends overloads.
    fn relieve(&mut self, fleet: &Fleet, orders: &mut Orders) {
        self.watch(fleet);
        let told = fleet.physics().notice.unwrap_or_default();
        let lasts = |since: &Micros| fleet.now().saturating_sub(*since) >= told;
        let hot = self.hot.iter().filter(|(_, since)| lasts(since));
        let hot: BTreeMap<HostName, Micros> = hot.map(|(h, t)| (h.clone(), *t)).collect();
        if hot.is_empty() {
            return;
        }
        let cluster = self.cluster(fleet);
        let runs = |g: &usize| fleet.at(*g).is_some();
        let demand = (0..cluster.guests.len()).filter(runs).map(|g| {
            let (now, margin) = wants(fleet, g);
            (cluster.guests[g].name.clone(), Demand::Seen { now, margin })
        });
        let flights: Vec<Flight> = self.flights.iter().map(|f| f.flight.clone()).collect();
        let situation = Situation {
            cluster: &cluster,
            load: &self.scene.load,
            policy: &self.scene.policy,
            demand: &demand.collect(),
            overloaded: &hot,
            silent: &BTreeSet::new(),
            shunned: &BTreeSet::new(),
            flights: &flights,
            recent: &self.moved,
            now: fleet.now(),
        };
        // The first answer, which repeats.
        let limits = Limits {
            time: Micros::ZERO,
            nodes: None,
            seed: self.scene.policy.limits.seed,
            threads: 1,
            stop: &|| false,
        };
        let relief = relieve(&situation, &limits, &mut |_| {});
        orders.wakes = relief.wake.iter().filter_map(|h| self.host(h)).collect();
        for mv in &relief.moves {
            let found = (
                self.guest(&mv.guest),
                self.host(&mv.from),
                self.host(&mv.to),
            );
            if let (Some(guest), Some(from), Some(to)) = found {
                self.begin(fleet, (guest, from, to), true, orders);
            }
        }
        if !relief.moves.is_empty() {
            self.steps.retain(|s| s.is == Is::Begun);
            for step in &mut self.steps {
                step.after.clear();
            }
        }
    }

    /// Which hosts are overloaded, and since when.
    fn watch(&mut self, fleet: &Fleet) {
        for (h, host) in self.scene.cluster.hosts.iter().enumerate() {
            let wanted: u64 = fleet
                .guests_on(h)
                .iter()
                .map(|g| wants(fleet, *g).0.0)
                .sum();
            if wanted > host_room(host, &self.scene.policy).0 {
                self.hot.entry(host.name.clone()).or_insert(fleet.now());
            } else {
                self.hot.remove(&host.name);
            }
        }
    }
}

/// What a guest wants, and by how much it exceeded that lately.
fn wants(fleet: &Fleet, guest: usize) -> (MilliCores, MilliCores) {
    let now = cores(fleet.want(guest));
    let past = fleet.past(guest);
    let all = fleet.guests()[guest].promised;
    let lately = past[past.len().saturating_sub(MARGIN)..].iter();
    let most = lately.fold(0.0, |most: f64, share| most.max(share * all));
    (now, cores(most).saturating_sub(now))
}

/// Thousandths of a core, rounded.
fn cores(value: f64) -> MilliCores {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a guest's vCPUs at most, and not below zero"
    )]
    let n = value.round().clamp(0.0, 1e12) as u64;
    MilliCores(n)
}

impl Policy for Planned {
    fn begin(&mut self, fleet: &Fleet) -> Vec<(usize, usize)> {
        still::restarts(fleet)
    }

    fn look(&mut self, fleet: &Fleet) -> Orders {
        let mut orders = Orders::default();
        self.settle(fleet);
        self.relieve(fleet, &mut orders);
        // Where relief has something to do, at the next look.
        if fleet.now() >= self.next && orders.migrations.is_empty() {
            let periods = fleet.now().0 / self.every.0 + 1;
            self.next = Micros(periods.saturating_mul(self.every.0));
            self.plan(fleet);
        }
        self.release(fleet, &mut orders);
        orders
    }

    fn notice(&mut self, fleet: &Fleet, notice: Notice) -> Orders {
        let mut orders = Orders::default();
        self.settle(fleet);
        match notice {
            Notice::Overloaded(_) | Notice::Awake(_) => self.relieve(fleet, &mut orders),
            Notice::Died(_) => self.steps.clear(),
            Notice::Ended(_) => {}
        }
        self.release(fleet, &mut orders);
        orders
    }
}
