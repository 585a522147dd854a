//! The fleet at a moment, and how time goes on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use vmpack_domain::units::{MiB, Micros};

use super::told::{Notice, Told};
use super::{Account, Between, Demand, GuestSpec, HostSpec, Physics, Reading, Relief};

/// Whether a host runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It takes guests.
    On,
    /// It draws next to nothing.
    Asleep,
    /// It will take guests at that time.
    Waking(Micros),
    /// It is gone for good, and its guests with it.
    Dead,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// All grids have a new point.
    Point,
    Step(usize),
    /// Execution switches to the target, in flight so-and-so.
    Switch(usize),
    Arrive(usize),
    Wake(usize),
    /// Whether the overload that began then still lasts.
    Notice(usize, Micros),
    Death(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Flight {
    pub(super) guest: usize,
    pub(super) to: usize,
    /// Execution is at the target already.
    pub(super) switched: bool,
    pub(super) over: bool,
}

#[derive(Debug, Clone)]
pub(super) struct HostState {
    pub(super) power: Power,
    pub(super) on: Vec<usize>,
    pub(super) arriving: Vec<usize>,
    /// Memory of a guest that is fetched from here still.
    pub(super) leaving: MiB,
    pub(super) looked: Micros,
    pub(super) reading: Reading,
    pub(super) hot: Option<Micros>,
    pub(super) dirty: bool,
}

/// A fleet at a moment: where guests run, what they want, what hosts give.
#[derive(Debug, Clone)]
pub struct Fleet {
    pub(super) hosts: Vec<HostSpec>,
    pub(super) guests: Vec<GuestSpec>,
    pub(super) demand: Vec<Demand>,
    pub(super) physics: Physics,
    pub(super) now: Micros,
    pub(super) at: Vec<Option<usize>>,
    pub(super) left: Vec<bool>,
    /// Until when it is counted what guests miss that run nowhere.
    pub(super) counted: Micros,
    /// How many flights a guest is on.
    pub(super) moving: Vec<u32>,
    /// It runs at its target and is fetched still.
    pub(super) fetched: Vec<bool>,
    pub(super) want: Vec<f64>,
    pub(super) past: Vec<Vec<f64>>,
    pub(super) state: Vec<HostState>,
    pub(super) flights: Vec<Flight>,
    pub(super) due: BinaryHeap<Reverse<(Micros, Due)>>,
    pub(super) notices: Vec<Notice>,
    pub(super) account: Account,
    pub(super) reliefs: Vec<Relief>,
    pub(super) told: Option<Vec<Told>>,
    pub(super) rng: ChaCha8Rng,
}

impl Fleet {
    /// A fleet whose guests run nowhere yet; each guest's demand stands at its index.
    ///
    /// # Panics
    /// When there are not as many demands as guests.
    #[must_use]
    pub fn new(
        hosts: Vec<HostSpec>,
        guests: Vec<GuestSpec>,
        demand: Vec<Demand>,
        physics: Physics,
    ) -> Self {
        assert_eq!(guests.len(), demand.len(), "each guest has its demand");
        let state = HostState {
            power: Power::On,
            on: Vec::new(),
            arriving: Vec::new(),
            leaving: MiB::ZERO,
            looked: Micros::ZERO,
            reading: Reading::default(),
            hot: None,
            dirty: false,
        };
        let n = guests.len();
        let mut due = BinaryHeap::new();
        if physics.between == Between::Held {
            due.push(Reverse((physics.interval, Due::Point)));
        }
        for (g, demand) in demand.iter().enumerate() {
            if let Some(first) = demand.next_step(Micros::ZERO) {
                due.push(Reverse((first, Due::Step(g))));
            }
        }
        for (at, host) in &physics.deaths {
            due.push(Reverse((*at, Due::Death(*host))));
        }
        let mut fleet = Self {
            state: vec![state; hosts.len()],
            hosts,
            guests,
            demand,
            now: Micros::ZERO,
            at: vec![None; n],
            left: vec![false; n],
            counted: Micros::ZERO,
            moving: vec![0; n],
            fetched: vec![false; n],
            want: vec![0.0; n],
            past: vec![Vec::new(); n],
            flights: Vec::new(),
            due,
            notices: Vec::new(),
            account: Account::default(),
            reliefs: Vec::new(),
            told: None,
            rng: ChaCha8Rng::seed_from_u64(physics.seed),
            physics,
        };
        fleet.refresh();
        fleet
    }

    /// Keeps a record of events from now on, to be taken by [`Fleet::take_told`].
    pub fn record(&mut self) {
        self.told.get_or_insert_default();
    }

    /// What was recorded since the last time.
    pub fn take_told(&mut self) -> Vec<Told> {
        self.told.as_mut().map_or_else(Vec::new, std::mem::take)
    }

    // What a policy may see.

    /// Virtual time since the start.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }
    /// The hosts, whatever their state.
    #[must_use]
    pub fn hosts(&self) -> &[HostSpec] {
        &self.hosts
    }
    /// The guests, those that left included.
    #[must_use]
    pub fn guests(&self) -> &[GuestSpec] {
        &self.guests
    }
    /// What is true of this world.
    #[must_use]
    pub fn physics(&self) -> &Physics {
        &self.physics
    }
    /// Whether a host runs.
    #[must_use]
    pub fn power(&self, host: usize) -> Power {
        self.state[host].power
    }
    /// Whether a host can carry guests, after waking if need be.
    #[must_use]
    pub fn is_alive(&self, host: usize) -> bool {
        self.state[host].power != Power::Dead
    }
    /// Where a guest runs; `None` when it waits to be placed or has left.
    #[must_use]
    pub fn at(&self, guest: usize) -> Option<usize> {
        self.at[guest]
    }
    /// Whether a guest left for good.
    #[must_use]
    pub fn has_left(&self, guest: usize) -> bool {
        self.left[guest]
    }
    /// Whether it is being migrated.
    #[must_use]
    pub fn is_moving(&self, guest: usize) -> bool {
        self.moving[guest] > 0
    }
    /// The guests that run on a host, in the order in which they came.
    #[must_use]
    pub fn guests_on(&self, host: usize) -> &[usize] {
        &self.state[host].on
    }
    /// The guests on their way to a host.
    #[must_use]
    pub fn arriving(&self, host: usize) -> &[usize] {
        &self.state[host].arriving
    }
    /// What a guest wants now.
    #[must_use]
    pub fn want(&self, guest: usize) -> f64 {
        self.want[guest]
    }
    /// What a guest wanted at each look of the policy until now, as a share of what it is promised;
    /// the newest last.
    #[must_use]
    pub fn past(&self, guest: usize) -> &[f64] {
        &self.past[guest]
    }
    /// What a host was asked and gave when it was last looked at.
    #[must_use]
    pub fn reading(&self, host: usize) -> &Reading {
        &self.state[host].reading
    }
    /// Memory that is not taken on a host.
    #[must_use]
    pub fn free_memory(&self, host: usize) -> MiB {
        let state = &self.state[host];
        let of = |list: &[usize]| list.iter().map(|g| self.guests[*g].memory.0).sum::<u64>();
        let taken = of(&state.on) + of(&state.arriving) + state.leaving.0;
        MiB(self.hosts[host].memory.0.saturating_sub(taken))
    }
    /// How long a migration to a host would take.
    #[must_use]
    pub fn takes(&self, guest: usize, to: usize) -> Micros {
        self.times(guest, to).1
    }
    /// The sums so far.
    #[must_use]
    pub fn account(&self) -> &Account {
        &self.account
    }
    /// The times of overload that are over; after [`Fleet::finish`], all.
    #[must_use]
    pub fn reliefs(&self) -> &[Relief] {
        &self.reliefs
    }
}
