//! The world that executors act on, one call at a time. Every call of theirs waits here for its turn,
//! so that whoever gives the turns decides the order of all that happens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName, Mode};
use vmpack_hypervisor::sim::{Happening, MigrationId, World};
use vmpack_hypervisor::{
    Claims, Error, Health, Hypervisor, Lease, Located, Method, MigrationEvent, MigrationFailure,
    MigrationReport, MigrationRequest, Software, Weights, view,
};

use crate::judge::Judge;
use crate::quiet;

/// How often progress is told, to within a second.
const PROGRESS: Micros = Micros::secs(20);

/// What an abort is on its way for, less than this.
const ABORT: Micros = Micros::millis(800);

/// The wall clock of every executor, in seconds since the epoch: a test can have it jump.
static WALL: AtomicI64 = AtomicI64::new(0);

pub(crate) fn set_wall(seconds: i64) {
    WALL.store(seconds, Ordering::SeqCst);
}

/// The time by that clock.
pub(crate) fn wall() -> jiff::Timestamp {
    let seconds = WALL.load(Ordering::SeqCst);
    jiff::Timestamp::from_second(seconds).expect("some day near ours")
}

/// One life of an executor: from its start to its end or its death.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Life(pub(crate) usize);

/// What unwinds the threads of a killed executor.
pub(crate) struct Killed;

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Its turn.
    Turn,
    /// Something that its migration tells.
    News(MigrationId),
    /// That time.
    Time(Micros),
}

/// A call that waits.
pub(crate) struct Call {
    pub(crate) life: Life,
    pub(crate) wants: Wants,
    pub(crate) thread: u32,
    gate: Arc<Gate>,
}

/// `true` once it may go on, `false` if its executor is dead.
#[derive(Default)]
struct Gate(Mutex<Option<bool>>, Condvar);

impl Gate {
    fn open(&self, go: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(go);
        self.1.notify_all();
    }
    fn pass(&self) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(go) = *state {
                return go;
            }
            state = self.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

pub(crate) struct State {
    pub(crate) world: World,
    pub(crate) judge: Judge,
    /// By their number, in the order in which they came.
    pub(crate) calls: BTreeMap<u64, Call>,
    next: u64,
    pub(crate) dead: BTreeSet<Life>,
    /// What each attended migration has not told its caller yet, and whose it is.
    unheard: BTreeMap<MigrationId, (Life, VecDeque<Happening>)>,
}

impl State {
    /// Whether a call has what it waits for.
    pub(crate) fn ready(&self, call: &Call) -> bool {
        match call.wants {
            Wants::Turn => true,
            Wants::News(id) => self.unheard.get(&id).is_some_and(|u| !u.1.is_empty()),
            Wants::Time(at) => at <= self.world.now(),
        }
    }

    /// Gives a call its turn.
    pub(crate) fn grant(&mut self, number: u64) {
        if let Some(call) = self.calls.remove(&number) {
            call.gate.open(true);
        }
    }

    /// Lets time pass, and what happens then happen. The judge looks after each moment: what another
    /// fault strikes a little later must not seem to have been as it was before the first.
    pub(crate) fn pass(&mut self, until: Micros) {
        while let Some(next) = self.world.next_event().filter(|next| *next <= until) {
            if self.pass_to(next) {
                self.judge.look(&self.world);
            }
        }
        self.pass_to(until);
        self.judge.look(&self.world);
    }

    /// Gives whether anything but progress happened.
    fn pass_to(&mut self, until: Micros) -> bool {
        let mut happened = false;
        for event in self.world.step_until(until) {
            happened |= !matches!(event.what, Happening::Progress { .. });
            self.judge.event(&event);
            // Bars would move on; nothing hangs on it, and each is a turn.
            let often = event.at.0 % PROGRESS.0 >= 1_000_000;
            if often && matches!(event.what, Happening::Progress { .. }) {
                continue;
            }
            let (migration, what) = (event.migration, event.what);
            if let Some(unheard) = migration.and_then(|id| self.unheard.get_mut(&id)) {
                unheard.1.push_back(what);
            }
        }
        happened
    }

    /// An executor dies: its threads with it, and nobody asks any more for what it has begun.
    pub(crate) fn kill(&mut self, life: Life) {
        self.dead.insert(life);
        self.calls.retain(|_, call| {
            if call.life == life {
                call.gate.open(false);
            }
            call.life != life
        });
        let theirs: Vec<MigrationId> = self
            .unheard
            .iter()
            .filter(|u| u.1.0 == life)
            .map(|u| *u.0)
            .collect();
        for id in theirs {
            self.unheard.remove(&id);
            self.world.forsake(id);
        }
    }
}

/// The world, shared by all.
pub(crate) struct Stage {
    state: Mutex<State>,
    began: Cluster,
}

impl Stage {
    pub(crate) fn new(world: World, began: Cluster, judge: Judge) -> Arc<Self> {
        let state = State {
            world,
            judge,
            calls: BTreeMap::new(),
            next: 0,
            dead: BTreeSet::new(),
            unheard: BTreeMap::new(),
        };
        Arc::new(Self {
            state: Mutex::new(state),
            began,
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The way in for one life of one controller.
    pub(crate) fn door(self: &Arc<Self>, controller: usize, life: Life) -> Door {
        Door {
            stage: Arc::clone(self),
            controller,
            life,
        }
    }
}

/// How an executor acts on the stage.
pub(crate) struct Door {
    stage: Arc<Stage>,
    controller: usize,
    life: Life,
}

impl Door {
    /// Waits for what it wants, and comes back with the stage in hand.
    fn turn(&self, wants: Wants) -> MutexGuard<'_, State> {
        let gate = Arc::new(Gate::default());
        let mut state = self.stage.lock();
        let lives = !state.dead.contains(&self.life);
        if lives {
            let number = state.next;
            state.next += 1;
            let call = Call {
                life: self.life,
                wants,
                thread: quiet::number(),
                gate: Arc::clone(&gate),
            };
            state.calls.insert(number, call);
        }
        drop(state);
        if !(lives && gate.pass()) {
            std::panic::resume_unwind(Box::new(Killed));
        }
        self.stage.lock()
    }

    /// Hears a migration to its end.
    fn attend(
        &self,
        mut state: MutexGuard<'_, State>,
        id: MigrationId,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        state.unheard.insert(id, (self.life, VecDeque::new()));
        drop(state);
        loop {
            let mut state = self.turn(Wants::News(id));
            let unheard = state.unheard.get_mut(&id);
            let Some(heard) = unheard.and_then(|u| u.1.pop_front()) else {
                continue;
            };
            match view::told(heard) {
                view::Told::Event(event) => {
                    drop(state);
                    told(event);
                }
                view::Told::Ended(result) => {
                    state.unheard.remove(&id);
                    return result;
                }
                view::Told::Nothing => {}
            }
        }
    }
}

impl Hypervisor for Door {
    fn snapshot(&self) -> Result<Cluster, Error> {
        let awake = |h: &&vmpack_domain::Host| h.state.is_awake();
        let hosts = self.stage.began.hosts.iter().filter(awake);
        let hosts: Vec<&HostName> = hosts.map(|h| &h.name).collect();
        let state = self.turn(Wants::Turn);
        view::reachable(&state.world, &hosts)?;
        Ok(view::cluster(&state.world, &self.stage.began))
    }

    fn survey(&self, host: &HostName) -> Result<Cluster, Error> {
        let state = self.turn(Wants::Turn);
        view::survey(&state.world, &self.stage.began, host)
    }

    fn locate(&self, guest: &GuestName, expected: &[&HostName]) -> Located {
        let state = self.turn(Wants::Turn);
        view::locate(&state.world, &self.stage.began, guest, expected)
    }

    fn tidy(&self, guest: &GuestName, ends: (&HostName, &HostName)) -> Result<(), Error> {
        let mut guard = self.turn(Wants::Turn);
        let state = &mut *guard;
        let done = view::tidy(&mut state.world, guest, ends);
        let now = state.world.now();
        let (from, to) = ends;
        state.judge.note(
            now,
            format_args!("what {guest} left on {from} when it went to {to}: {done:?}"),
        );
        state.judge.look(&state.world);
        done
    }

    fn migrate(
        &self,
        request: &MigrationRequest,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut guard = self.turn(Wants::Turn);
        let state = &mut *guard;
        state
            .judge
            .asked(&state.world, self.controller, request, wall());
        let begun = state.world.start_migration(view::request(request));
        let id = begun.map_err(|refusal| view::refused(&refusal, &request.from))?;
        state
            .judge
            .begun(&state.world, self.controller, request, id);
        self.attend(guard, id, told)
    }

    fn recover(
        &self,
        request: &MigrationRequest,
        method: Method,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut guard = self.turn(Wants::Turn);
        let state = &mut *guard;
        state.judge.recovers(&state.world, request, method);
        let resumed = state.world.recover(&request.guest);
        state.judge.look(&state.world);
        let id = resumed.map_err(|refusal| view::not_resumed(&refusal))?;
        self.attend(guard, id, told)
    }

    fn abort(&self, guest: &GuestName, from: &HostName) -> Result<(), Error> {
        // It is on its way to the daemon for a while, in which the guest may switch.
        let asked = self.turn(Wants::Turn).world.now();
        let way = Micros(asked.0.wrapping_mul(7919) % ABORT.0);
        let mut guard = self.turn(Wants::Time(asked + way));
        let state = &mut *guard;
        let aborted = state.world.abort(guest, from);
        let now = state.world.now();
        state
            .judge
            .note(now, format_args!("abort of {guest} on {from}: {aborted}"));
        state.pass(now);
        if aborted {
            return Ok(());
        }
        Err(Error::Refused {
            host: from.to_string(),
            cause: format!("guest {guest} has no migration that can still be aborted"),
        })
    }

    fn obstacles(
        &self,
        guest: &GuestName,
        (from, to): (&HostName, &HostName),
        _: Mode,
    ) -> Result<Vec<String>, Error> {
        let state = self.turn(Wants::Turn);
        view::reachable(&state.world, &[to])?;
        view::there(&state.world, guest, from).map(|()| Vec::new())
    }

    fn software(&self, host: &HostName) -> Result<Software, Error> {
        let state = self.turn(Wants::Turn);
        view::software(&state.world, host)
    }

    fn claims(&self, guest: &GuestName, host: &HostName) -> Result<Claims, Error> {
        let mut guard = self.turn(Wants::Turn);
        let state = &mut *guard;
        let claims = view::claims(&state.world, guest, host)?;
        state
            .judge
            .shows(self.controller, guest, claims.lease.as_ref());
        Ok(claims)
    }

    fn set_lease(
        &self,
        guest: &GuestName,
        host: &HostName,
        lease: Option<&Lease>,
    ) -> Result<(), Error> {
        let mut guard = self.turn(Wants::Turn);
        let state = &mut *guard;
        view::set_lease(&mut state.world, guest, host, lease)
    }

    fn health(&self, guest: &GuestName, host: &HostName) -> Result<Health, Error> {
        let state = self.turn(Wants::Turn);
        view::there(&state.world, guest, host)?;
        let mute = state.judge.mute(self.controller, guest);
        Ok(Health {
            answers: Some(!mute),
            busy: None,
        })
    }

    /// No guest of these histories has CPU reserved.
    fn weights(&self, _: &HostName) -> Result<Option<Weights>, Error> {
        Ok(None)
    }

    fn set_shares(&self, guest: &GuestName, host: &HostName, _: u64) -> Result<(), Error> {
        let state = self.turn(Wants::Turn);
        view::there(&state.world, guest, host)
    }

    fn now(&self) -> Micros {
        self.stage.lock().world.now()
    }

    fn wait(&self, span: Micros) {
        let until = self.now() + span;
        drop(self.turn(Wants::Time(until)));
    }
}
