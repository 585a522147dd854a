//! The world: what is where, and what happens next.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use vmpack_domain::migration::{DOWNTIME_LIMIT, SETUP};
use vmpack_domain::units::{MiB, Micros, Permille};
use vmpack_domain::{Cluster, GuestName, HostName, Load, Mode};

use crate::fault::{Options, Phase, Trouble, When};
use crate::link::{Stream, fair_shares};
use crate::migration::{
    Event, Failure, Fate, Happening, LINK_TIMEOUT, Migration, MigrationId, Refusal, Report,
    Request, mib, number, seconds,
};

mod look;
mod trouble;

pub use look::Traffic;

/// What one host holds of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopyState {
    /// Its vCPUs run here (or stand still for pre-copy's last pass).
    Running,
    /// The target of a migration, waiting for the switch.
    Incoming,
    /// The source after the switch: paused, with memory that the target has not got.
    Outgoing,
    /// Post-copy broke: paused, and not whole.
    Failed,
    /// What a source's dead libvirtd left behind: paused, while the guest is whole at the target.
    Stale,
}

/// Hosts, guests and migrations at one moment of virtual time.
#[derive(Debug, Clone)]
pub struct World {
    now: Micros,
    hosts: BTreeMap<HostName, SimHost>,
    guests: BTreeMap<GuestName, SimGuest>,
    migrations: BTreeMap<MigrationId, Migration>,
    next_id: u64,
    seed: u64,
    jitter: Permille,
    /// Faults whose time is known, in order of time.
    due: Vec<(Micros, Trouble)>,
    /// Faults that wait for a guest's migration to enter a phase.
    lurking: Vec<(GuestName, Phase, Micros, Trouble)>,
    events: Vec<Event>,
    heals: bool,
    libvirt: u64,
    over_commits: bool,
    /// What strikes at this moment: the cause of what it does.
    striking: Option<Trouble>,
}

#[derive(Debug, Clone)]
struct SimHost {
    memory: MiB,
    /// MiB/s in each direction.
    bandwidth: f64,
    /// Share of the bandwidth that is there; 0 when the link is down.
    link: f64,
    alive: bool,
    /// Whether its libvirtd answers.
    daemon: bool,
    refusals: u32,
}

#[derive(Debug, Clone)]
struct SimGuest {
    memory: MiB,
    /// MiB/s of distinct pages.
    dirty: f64,
    /// MiB.
    working_set: f64,
    copies: BTreeMap<HostName, CopyState>,
    home: Option<HostName>,
    lost: bool,
    /// What it was lost by.
    cause: Option<Trouble>,
    off: bool,
    starts: u64,
    /// Its domain's metadata, by key; it goes where the guest goes.
    metadata: BTreeMap<String, String>,
}

impl World {
    /// A world of that cluster under that load: guests run where the cluster says; hosts that are
    /// not `on` or `drain` are as good as dead. An unmeasured dirty rate is no dirtying, an
    /// unmeasured working set the whole memory.
    #[must_use]
    pub fn new(cluster: &Cluster, load: &Load, options: &Options) -> Self {
        let hosts: BTreeMap<HostName, SimHost> = cluster
            .hosts
            .iter()
            .map(|h| {
                let host = SimHost {
                    memory: h.memory,
                    bandwidth: number(h.network.0),
                    link: 1.0,
                    alive: h.state.is_awake(),
                    daemon: true,
                    refusals: 0,
                };
                (h.name.clone(), host)
            })
            .collect();
        let guests = cluster
            .guests
            .iter()
            .map(|g| {
                let load = load.guests.get(&g.name);
                let home = g
                    .host
                    .as_ref()
                    .filter(|h| hosts.get(*h).is_some_and(|h| h.alive));
                let guest = SimGuest {
                    memory: g.memory,
                    // Pages of 4 KiB, upwards as the prediction has it.
                    dirty: load
                        .and_then(|l| l.dirty)
                        .map_or(0.0, |d| number(d.0.div_ceil(256))),
                    working_set: number(
                        load.and_then(|l| l.working_set)
                            .unwrap_or(g.memory)
                            .min(g.memory)
                            .0,
                    ),
                    copies: home
                        .map(|h| (h.clone(), CopyState::Running))
                        .into_iter()
                        .collect(),
                    home: g.host.clone(),
                    lost: false,
                    cause: None,
                    off: false,
                    starts: 0,
                    metadata: BTreeMap::new(),
                };
                (g.name.clone(), guest)
            })
            .collect();
        let mut world = Self {
            now: Micros::ZERO,
            hosts,
            guests,
            migrations: BTreeMap::new(),
            next_id: 0,
            seed: options.seed,
            jitter: options.jitter,
            due: Vec::new(),
            lurking: Vec::new(),
            events: Vec::new(),
            heals: options.heals,
            libvirt: options.libvirt,
            over_commits: options.over_commits,
            striking: None,
        };
        for fault in &options.faults {
            match &fault.when {
                When::At(t) => world.add_fault(*t, fault.what.clone()),
                When::Phase {
                    guest,
                    phase,
                    after,
                } => {
                    world
                        .lurking
                        .push((guest.clone(), *phase, *after, fault.what.clone()));
                }
            }
        }
        world
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    /// When the next thing will happen, if nothing is asked before.
    #[must_use]
    pub fn next_event(&self) -> Option<Micros> {
        let fault = self.due.first().map(|(t, _)| *t);
        let moves = self.migrations.values().filter_map(|m| self.next_of(m));
        moves.chain(fault).min().map(|t| t.max(self.now))
    }

    /// Lets time pass up to and including `until`; returns what happened, in order. What happens
    /// at one time is handled faults first, then migrations in the order of their starts.
    pub fn step_until(&mut self, until: Micros) -> Vec<Event> {
        while let Some(t) = self.next_event().filter(|t| *t <= until) {
            self.pass(t);
            self.strike();
            for id in self.migrations.keys().copied().collect::<Vec<_>>() {
                self.advance(id);
            }
            self.share_links();
        }
        self.pass(until.max(self.now));
        std::mem::take(&mut self.events)
    }

    /// Starts a migration now.
    ///
    /// # Errors
    /// When it cannot begin; nothing has changed then, but for a refusal that is used up.
    pub fn start_migration(&mut self, request: Request) -> Result<MigrationId, Refusal> {
        self.admit(&request)?;
        let id = MigrationId(self.next_id);
        self.next_id += 1;
        let (setup, efficiency) = self.draw(&request.guest);
        if let Some(guest) = self.guests.get_mut(&request.guest) {
            guest.starts += 1;
            guest.copies.insert(request.to.clone(), CopyState::Incoming);
        }
        let migration = Migration {
            phase: Phase::Setup,
            started: self.now,
            left: setup,
            rate: 0.0,
            efficiency,
            sent: 0.0,
            pass_started: self.now,
            last_pass: false,
            switched: None,
            stalled: None,
            next_progress: self.now + Micros::secs(1),
            reported: false,
            broken: false,
            orphan: false,
            request,
        };
        self.awaken(&migration.request.guest, Phase::Setup);
        self.migrations.insert(id, migration);
        self.share_links();
        Ok(id)
    }

    /// Gives up a migration that has not switched; the guest stays at the source. `false` when
    /// there is none of that guest from that host, or execution is at the target already.
    pub fn abort(&mut self, guest: &GuestName, from: &HostName) -> bool {
        let found = self.migrations.iter().find(|(_, m)| {
            m.request.guest == *guest && m.request.from == *from && m.switched.is_none()
        });
        let Some(id) = found.map(|(id, _)| *id) else {
            return false;
        };
        self.fail_before_switch(id, "aborted");
        self.share_links();
        true
    }

    fn admit(&mut self, r: &Request) -> Result<(), Refusal> {
        let not_there = || Refusal::NotThere(r.guest.clone(), r.from.clone());
        if !self.reachable(&r.from) {
            return Err(Refusal::Unreachable(r.from.clone()));
        }
        if self.migrations.values().any(|m| m.request.guest == r.guest) {
            return Err(Refusal::Busy(r.guest.clone()));
        }
        let guest = self.guests.get(&r.guest).ok_or_else(not_there)?;
        if guest.copies.get(&r.from) != Some(&CopyState::Running) {
            return Err(not_there());
        }
        if !self.reachable(&r.to) {
            return Err(Refusal::Unreachable(r.to.clone()));
        }
        let (needs, taken) = (guest.memory, self.memory_taken(&r.to));
        // A rest of the guest that lies at the target is in its way.
        let free = !guest.copies.contains_key(&r.to);
        let Some(to) = self.hosts.get_mut(&r.to).filter(|_| free) else {
            return Err(Refusal::Refused(r.to.clone()));
        };
        if to.refusals > 0 {
            to.refusals -= 1;
            return Err(Refusal::Refused(r.to.clone()));
        }
        if taken + needs > to.memory && !self.over_commits {
            let free = to.memory.saturating_sub(taken);
            return Err(Refusal::NoRoom {
                host: r.to.clone(),
                free,
                needs,
            });
        }
        Ok(())
    }

    /// Seconds of set-up, and the share of the link that the stream gets out of it. A draw depends
    /// on the guest and on how often it moved, not on what else is going on.
    fn draw(&self, guest: &GuestName) -> (f64, f64) {
        // FNV-1a: stable across releases of Rust, which the standard hasher is not.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        for b in guest.as_str().bytes() {
            hash = (hash ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(hash);
        rng.set_stream(self.guests.get(guest).map_or(0, |g| g.starts));
        let jitter = number(self.jitter.0) / 1000.0;
        let mut unit = || f64::from(rng.next_u32()) / f64::from(u32::MAX);
        let setup = seconds(SETUP) * (1.0 + jitter * (2.0 * unit() - 1.0));
        (setup, 1.0 / (1.0 + jitter * unit()))
    }

    fn next_of(&self, m: &Migration) -> Option<Micros> {
        let give_up = m.switched.is_none().then(|| m.started + m.request.give_up);
        let timeout = m.stalled.filter(|_| !m.reported).map(|t| t + LINK_TIMEOUT);
        let progress = (!m.reported).then_some(m.next_progress);
        [m.due(self.now), give_up, timeout, progress]
            .into_iter()
            .flatten()
            .min()
    }

    fn pass(&mut self, until: Micros) {
        let span = until.saturating_sub(self.now);
        for m in self.migrations.values_mut() {
            m.work(span);
        }
        self.now = until;
    }

    fn link(&self, host: &HostName) -> f64 {
        self.hosts.get(host).map_or(0.0, |h| h.bandwidth * h.link)
    }

    /// Every migration's rate from now on.
    fn share_links(&mut self) {
        let mut rates: BTreeMap<MigrationId, f64> = BTreeMap::new();
        let mut streams: Vec<(MigrationId, Stream)> = Vec::new();
        for (id, m) in &self.migrations {
            let (from, to) = (&m.request.from, &m.request.to);
            if m.phase == Phase::Setup {
                let open = self.link(from) > 0.0 && self.link(to) > 0.0;
                rates.insert(*id, if open { 1.0 } else { 0.0 });
            } else {
                let cap = m.request.bandwidth.map_or(f64::INFINITY, |b| number(b.0));
                streams.push((*id, Stream { from, to, cap }));
            }
        }
        let (ids, streams): (Vec<_>, Vec<_>) = streams.into_iter().unzip();
        let shares = fair_shares(&streams, |h| self.link(h));
        rates.extend(ids.into_iter().zip(shares));
        for (id, m) in &mut self.migrations {
            m.rate = rates.get(id).copied().unwrap_or(0.0);
            if m.phase != Phase::Setup {
                m.rate *= m.efficiency;
            }
            if m.broken {
                m.rate = 0.0;
            }
            if m.rate > 0.0 {
                m.stalled = None;
            } else if m.stalled.is_none() {
                m.stalled = Some(self.now);
            }
            if m.rate > 0.0 && m.reported {
                // The link is up again: QEMU goes on by itself.
                if let Some(g) = self.guests.get_mut(&m.request.guest) {
                    g.copies.insert(m.request.from.clone(), CopyState::Outgoing);
                    g.copies.insert(m.request.to.clone(), CopyState::Running);
                }
            }
        }
    }

    /// What is due of one migration at this time.
    fn advance(&mut self, id: MigrationId) {
        let Some(m) = self.migrations.get(&id).cloned() else {
            return;
        };
        if m.done() {
            match m.phase {
                Phase::Setup if m.request.mode == Mode::PostCopy => self.switch(id),
                Phase::Setup => self.begin_copy(id),
                Phase::Copy if m.last_pass => self.finish(id),
                Phase::Copy => self.next_pass(id),
                Phase::Fetch => self.finish(id),
            }
        } else if m.switched.is_none() && m.started + m.request.give_up <= self.now {
            self.fail_before_switch(id, &format!("not switched within {}", m.request.give_up));
        } else if m
            .stalled
            .is_some_and(|t| !m.reported && t + LINK_TIMEOUT <= self.now)
        {
            if m.switched.is_none() {
                self.fail_before_switch(id, "the connection broke");
            } else {
                self.break_in_fetch(id, "the connection broke in post-copy", !self.heals);
            }
        } else if m.next_progress <= self.now {
            self.tell(id, m.progress());
            if let Some(m) = self.migrations.get_mut(&id) {
                m.next_progress = self.now + Micros::secs(1);
            }
        }
    }

    fn begin_copy(&mut self, id: MigrationId) {
        let Some(m) = self.migrations.get(&id) else {
            return;
        };
        let memory = self.guests.get(&m.request.guest).map_or(0, |g| g.memory.0);
        let cap = m.request.bandwidth.map_or(f64::INFINITY, |b| number(b.0));
        let expected = self
            .link(&m.request.from)
            .min(self.link(&m.request.to))
            .min(cap);
        self.begin_pass(id, number(memory), expected);
    }

    /// A pass of pre-copy is over: what was dirtied meanwhile goes next.
    fn next_pass(&mut self, id: MigrationId) {
        let Some(m) = self.migrations.get(&id) else {
            return;
        };
        let span = seconds(self.now.saturating_sub(m.pass_started));
        let guest = self.guests.get(&m.request.guest);
        let left = guest.map_or(0.0, |g| (g.dirty * span).min(g.working_set));
        if m.request.mode == Mode::Hybrid {
            self.switch(id);
            if let Some(m) = self.migrations.get_mut(&id) {
                m.left = left;
            }
        } else {
            let rate = m.rate;
            self.begin_pass(id, left, rate);
        }
    }

    fn begin_pass(&mut self, id: MigrationId, left: f64, rate: f64) {
        let now = self.now;
        let Some(m) = self.migrations.get_mut(&id) else {
            return;
        };
        let first = m.phase == Phase::Setup;
        m.phase = Phase::Copy;
        (m.left, m.pass_started) = (left, now);
        m.last_pass = m.request.mode == Mode::PreCopy && left <= rate * seconds(DOWNTIME_LIMIT);
        if first {
            let guest = m.request.guest.clone();
            self.awaken(&guest, Phase::Copy);
        }
    }

    /// Execution goes to the target, the memory is to follow.
    fn switch(&mut self, id: MigrationId) {
        let now = self.now;
        let Some(m) = self.migrations.get_mut(&id) else {
            return;
        };
        let after = now.saturating_sub(m.started);
        m.switched = Some(after);
        m.phase = Phase::Fetch;
        let request = m.request.clone();
        if let Some(g) = self.guests.get_mut(&request.guest) {
            m.left = number(g.memory.0);
            g.copies.insert(request.from, CopyState::Outgoing);
            g.copies.insert(request.to.clone(), CopyState::Running);
            g.home = Some(request.to);
        }
        self.tell(id, Happening::Switched { after });
        self.awaken(&request.guest, Phase::Fetch);
    }

    /// All memory is at the target.
    fn finish(&mut self, id: MigrationId) {
        let Some(m) = self.migrations.get(&id).cloned() else {
            return;
        };
        let total = self.now.saturating_sub(m.started);
        if m.reported {
            self.tell(id, Happening::Healed);
        } else {
            if m.switched.is_none() {
                self.tell(id, Happening::Switched { after: total });
            }
            let report = Report {
                switch: m.switched.unwrap_or(total),
                total,
                downtime: m.last_pass.then(|| self.now.saturating_sub(m.pass_started)),
                transferred: mib(m.sent),
            };
            self.tell(id, Happening::Ended(report));
        }
        if let Some(g) = self.guests.get_mut(&m.request.guest) {
            g.copies.remove(&m.request.from);
            if m.orphan {
                g.copies.insert(m.request.from, CopyState::Stale);
            }
            g.copies.insert(m.request.to.clone(), CopyState::Running);
            g.home = Some(m.request.to);
        }
        self.migrations.remove(&id);
    }

    fn fail_before_switch(&mut self, id: MigrationId, why: &str) {
        self.end_before_switch(id, Fate::AtSource, why);
    }

    fn end_before_switch(&mut self, id: MigrationId, fate: Fate, why: &str) {
        self.fail(id, fate, why);
        if let Some(m) = self.migrations.remove(&id)
            && let Some(g) = self.guests.get_mut(&m.request.guest)
        {
            g.copies.remove(&m.request.to);
        }
    }

    /// The stream broke after the switch: both halves stand still until the link is up, or until
    /// they are resumed.
    fn break_in_fetch(&mut self, id: MigrationId, why: &str, broken: bool) {
        self.fail(id, Fate::Split, why);
        let Some(m) = self.migrations.get_mut(&id) else {
            return;
        };
        m.reported = true;
        m.broken = broken;
        if let Some(g) = self.guests.get_mut(&m.request.guest) {
            g.copies.values_mut().for_each(|s| *s = CopyState::Failed);
        }
    }

    fn fail(&mut self, id: MigrationId, fate: Fate, why: &str) {
        let failure = Failure {
            fate,
            why: why.to_owned(),
        };
        self.tell(id, Happening::Failed(failure));
    }

    fn tell(&mut self, id: MigrationId, what: Happening) {
        if let Some(m) = self.migrations.get(&id) {
            let (at, guest) = (self.now, m.request.guest.clone());
            self.events.push(Event {
                at,
                guest,
                migration: Some(id),
                what,
            });
        }
    }
}
