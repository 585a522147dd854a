//! The simulated world as a hypervisor: the trait over `vmpack_sim::World` behind a lock.
//!
//! Virtual time belongs to the callers of [`Hypervisor::migrate`]. Unpaced, it jumps to the next
//! event as soon as each of them is waiting, so that one migration at a time is repeatable to the
//! microsecond and nobody sleeps. Paced, it runs at a multiple of real time, so that migrations
//! that are asked for at about the same time run at the same time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, Guest, GuestName, HostName, Load, Mode};
use vmpack_sim::{Event, Happening, MigrationId, Options, World};

use crate::{
    Claims, Error, Health, Hypervisor, Lease, Located, Method, MigrationEvent, MigrationFailure,
    MigrationReport, MigrationRequest, Software, Weight, Weights, view,
};

/// CPU shares of a guest of which none were set, as of cgroups.
const SHARES: u64 = 1024;

/// A hypervisor of simulated hosts.
#[derive(Debug)]
pub struct Simulated {
    cluster: Cluster,
    pace: Option<Pace>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct Pace {
    started: Instant,
    speed_up: u32,
}

#[derive(Debug)]
struct State {
    world: World,
    /// What each migration in progress has not heard yet.
    unheard: BTreeMap<MigrationId, VecDeque<Happening>>,
    /// Callers that wait for something to hear, or for their time.
    waiting: usize,
    /// Until when callers of `wait` sleep.
    sleepers: BTreeMap<u64, Micros>,
    slept: u64,
    /// CPU shares that were set; they go with their guest.
    shares: BTreeMap<GuestName, u64>,
    /// Time stands until so many migrations are in progress.
    awaited: usize,
}

impl Simulated {
    /// A world of that cluster under that load; see [`World::new`].
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the world is the caller's only use of them"
    )]
    pub fn new(cluster: Cluster, load: Load, options: Options) -> Self {
        let state = State {
            world: World::new(&cluster, &load, &options),
            unheard: BTreeMap::new(),
            waiting: 0,
            sleepers: BTreeMap::new(),
            slept: 0,
            shares: BTreeMap::new(),
            awaited: 0,
        };
        Self {
            cluster,
            pace: None,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// From now on virtual time runs `speed_up` times as fast as real time, at least once.
    #[must_use]
    pub fn paced(mut self, speed_up: u32) -> Self {
        self.pace = Some(Pace {
            started: Instant::now(),
            speed_up: speed_up.max(1),
        });
        self
    }

    /// Unpaced, virtual time stands until so many migrations have been asked for and are in
    /// progress together; then it runs on as usual.
    pub fn stand_until_together(&self, migrations: usize) {
        self.lock().awaited = migrations;
    }

    /// Looks at the world as it is.
    pub fn look<T>(&self, at: impl FnOnce(&World) -> T) -> T {
        let mut state = self.lock();
        self.catch_up(&mut state);
        at(&state.world)
    }

    /// Changes the world as it is.
    pub fn change<T>(&self, what: impl FnOnce(&mut World) -> T) -> T {
        what(&mut self.lock().world)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the virtual time catch up with the real one, if it is paced.
    fn catch_up(&self, state: &mut State) {
        if let Some(pace) = &self.pace {
            let real = u64::try_from(pace.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.pass(state, Micros(real.saturating_mul(u64::from(pace.speed_up))));
        }
    }

    fn pass(&self, state: &mut State, until: Micros) {
        for Event {
            migration, what, ..
        } in state.world.step_until(until)
        {
            if let Some(unheard) = migration.and_then(|id| state.unheard.get_mut(&id)) {
                unheard.push_back(what);
                self.changed.notify_all();
            }
        }
    }

    /// Blocks until that migration has something to hear; `None` when nothing will ever happen.
    fn hear<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        id: MigrationId,
    ) -> (MutexGuard<'a, State>, Option<Happening>) {
        state.waiting += 1;
        let heard = loop {
            self.catch_up(&mut state);
            if let Some(happening) = state.unheard.get_mut(&id).and_then(VecDeque::pop_front) {
                break Some(happening);
            }
            let Some(next) = state.next() else {
                break None;
            };
            state = self.on(state, next);
        };
        state.waiting -= 1;
        (state, heard)
    }

    /// Lets time come to that moment, once every caller waits; or waits for others to let it.
    fn on<'a>(&'a self, mut state: MutexGuard<'a, State>, next: Micros) -> MutexGuard<'a, State> {
        let in_progress = state.unheard.len();
        if let Some(pace) = &self.pace {
            let rest = next.saturating_sub(state.world.now()).0 / u64::from(pace.speed_up);
            let rest = Duration::from_micros(rest.max(100));
            let woken = self.changed.wait_timeout(state, rest);
            woken.unwrap_or_else(PoisonError::into_inner).0
        } else if state.waiting == in_progress + state.sleepers.len()
            && in_progress >= state.awaited
            && state.unheard.values().all(VecDeque::is_empty)
        {
            state.awaited = 0;
            self.pass(&mut state, next);
            self.changed.notify_all();
            state
        } else {
            let woken = self.changed.wait(state);
            woken.unwrap_or_else(PoisonError::into_inner)
        }
    }

    /// Hears a migration to its end.
    fn attend<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        id: MigrationId,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        state.unheard.insert(id, VecDeque::new());
        let _ends_with_this_call = InProgress(self, id);
        loop {
            let (locked, heard) = self.hear(state, id);
            drop(locked);
            let Some(heard) = heard else {
                let why = "nothing happens in the simulated world any more";
                return Err(MigrationFailure::Unknown(why.to_owned()));
            };
            match view::told(heard) {
                view::Told::Event(event) => told(event),
                view::Told::Ended(result) => return result,
                view::Told::Nothing => {}
            }
            state = self.lock();
        }
    }
}

impl State {
    /// When the next thing will happen, or the next sleeper wakes.
    fn next(&self) -> Option<Micros> {
        let woken = self.sleepers.values().copied();
        self.world.next_event().into_iter().chain(woken).min()
    }
}

/// Ends a migration's hearing, also when its listener panics.
struct InProgress<'a>(&'a Simulated, MigrationId);

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.lock().unheard.remove(&self.1);
        self.0.changed.notify_all();
    }
}

impl Hypervisor for Simulated {
    fn snapshot(&self) -> Result<Cluster, Error> {
        let expected = |h: &&vmpack_domain::Host| h.state.is_awake();
        let all = self.cluster.hosts.iter().filter(expected);
        let all: Vec<&HostName> = all.map(|h| &h.name).collect();
        self.look(|world| {
            view::reachable(world, &all)?;
            Ok(view::cluster(world, &self.cluster))
        })
    }

    fn survey(&self, host: &HostName) -> Result<Cluster, Error> {
        self.look(|world| view::survey(world, &self.cluster, host))
    }

    fn locate(&self, guest: &GuestName, expected: &[&HostName]) -> Located {
        self.look(|world| view::locate(world, &self.cluster, guest, expected))
    }

    fn tidy(&self, guest: &GuestName, ends: (&HostName, &HostName)) -> Result<(), Error> {
        self.change(|world| view::tidy(world, guest, ends))
    }

    fn migrate(
        &self,
        request: &MigrationRequest,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut state = self.lock();
        self.catch_up(&mut state);
        let id = state
            .world
            .start_migration(view::request(request))
            .map_err(|refusal| view::refused(&refusal, &request.from))?;
        self.attend(state, id, told)
    }

    fn recover(
        &self,
        request: &MigrationRequest,
        _: Method,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure> {
        let mut state = self.lock();
        self.catch_up(&mut state);
        let id = state
            .world
            .recover(&request.guest)
            .map_err(|refusal| view::not_resumed(&refusal))?;
        self.attend(state, id, told)
    }

    fn abort(&self, guest: &GuestName, from: &HostName) -> Result<(), Error> {
        let mut state = self.lock();
        self.catch_up(&mut state);
        if !state.world.abort(guest, from) {
            return Err(Error::Refused {
                host: from.to_string(),
                cause: format!("guest {guest} has no migration that can still be aborted"),
            });
        }
        let now = state.world.now();
        self.pass(&mut state, now);
        Ok(())
    }

    fn obstacles(
        &self,
        guest: &GuestName,
        (from, to): (&HostName, &HostName),
        _: Mode,
    ) -> Result<Vec<String>, Error> {
        self.look(|world| {
            view::reachable(world, &[to])?;
            view::there(world, guest, from).map(|()| Vec::new())
        })
    }

    fn software(&self, host: &HostName) -> Result<Software, Error> {
        self.look(|world| view::software(world, host))
    }

    fn claims(&self, guest: &GuestName, host: &HostName) -> Result<Claims, Error> {
        self.look(|world| view::claims(world, guest, host))
    }

    fn set_lease(
        &self,
        guest: &GuestName,
        host: &HostName,
        lease: Option<&Lease>,
    ) -> Result<(), Error> {
        view::set_lease(&mut self.lock().world, guest, host, lease)
    }

    fn health(&self, guest: &GuestName, host: &HostName) -> Result<Health, Error> {
        self.look(|world| view::there(world, guest, host).map(|()| Health::default()))
    }

    fn weights(&self, host: &HostName) -> Result<Option<Weights>, Error> {
        let now = self.survey(host)?;
        let state = self.lock();
        let weight = |guest: &Guest| Weight {
            shares: state.shares.get(&guest.name).copied().unwrap_or(SHARES),
            guest: guest.name.clone(),
            reserved: guest.reserved,
        };
        let host = now.host(host).cloned();
        let reserves = now.guests.iter().any(|g| g.reserved.0 > 0);
        Ok(host.filter(|_| reserves).map(|host| Weights {
            host,
            guests: now.guests.iter().map(weight).collect(),
        }))
    }

    fn set_shares(&self, guest: &GuestName, host: &HostName, shares: u64) -> Result<(), Error> {
        self.look(|world| view::there(world, guest, host))?;
        self.lock().shares.insert(guest.clone(), shares);
        Ok(())
    }

    fn now(&self) -> Micros {
        self.look(World::now)
    }

    fn wait(&self, span: Micros) {
        let mut state = self.lock();
        self.catch_up(&mut state);
        let until = state.world.now() + span;
        state.slept += 1;
        let key = state.slept;
        state.sleepers.insert(key, until);
        state.waiting += 1;
        loop {
            self.catch_up(&mut state);
            if state.world.now() >= until {
                break;
            }
            let next = state.next().unwrap_or(until);
            state = self.on(state, next);
        }
        state.waiting -= 1;
        state.sleepers.remove(&key);
        drop(state);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::GuestState;
    use vmpack_domain::Mode;
    use vmpack_domain::units::Permille;
    use vmpack_sim::{Fault, Phase, Trouble, When};

    const CLUSTER: &str = "
        hosts:
          - { name: h1, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: on }
          - { name: h2, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: on }
          - { name: h3, cpu: 8cores, memory: 64GiB, network: 100MiB/s, state: on }
        guests:
          - { name: a, vcpus: 1, memory: 1000MiB, host: h1 }
          - { name: b, vcpus: 1, memory: 1000MiB, host: h1 }";

    fn simulated(faults: Vec<Fault>) -> Simulated {
        let options = Options {
            jitter: Permille(0),
            faults,
            ..Options::default()
        };
        let cluster = serde_yaml::from_str(CLUSTER).unwrap();
        Simulated::new(cluster, Load::default(), options)
    }

    fn request(guest: &str, to: &str, mode: Mode) -> MigrationRequest {
        MigrationRequest {
            guest: guest.parse().unwrap(),
            from: "h1".parse().unwrap(),
            to: to.parse().unwrap(),
            mode,
            stream: Default::default(),
            give_up: Micros::secs(300),
        }
    }

    fn seen(simulated: &Simulated, guest: &str) -> Vec<(String, GuestState)> {
        let located = simulated.locate(&guest.parse().unwrap(), &[]);
        located
            .seen
            .into_iter()
            .map(|s| (s.host.to_string(), s.state))
            .collect()
    }

    #[test]
    fn a_migration_blocks_its_caller_for_virtual_time_only() {
        let s = simulated(vec![]);
        let mut told = Vec::new();
        let report = s.migrate(&request("a", "h2", Mode::PostCopy), &mut |e| {
            if matches!(e, MigrationEvent::Switched { .. }) {
                let halves = [("h1", GuestState::Migrating), ("h2", GuestState::Migrating)];
                assert_eq!(seen(&s, "a"), halves.map(|(h, g)| (h.to_owned(), g)));
            }
            told.push(e);
        });
        let report = report.unwrap();
        assert_eq!(report.switch, Micros::millis(600));
        assert_eq!(report.total, Micros::millis(10_600));
        assert_eq!(s.now(), report.total);
        let after = report.switch;
        assert!(told.contains(&MigrationEvent::Switched { after }));
        assert!(told.len() > 5, "progress is told every second: {told:?}");
        assert_eq!(seen(&s, "a"), [("h2".to_owned(), GuestState::Running)]);
        let placement = s.snapshot().unwrap().placement();
        assert_eq!(placement["a"].as_str(), "h2");
    }

    #[test]
    fn migrations_of_several_threads_share_the_world() {
        let s = simulated(vec![]);
        s.stand_until_together(2);
        let run = |guest, to| s.migrate(&request(guest, to, Mode::PostCopy), &mut |_| {});
        let (a, b) = std::thread::scope(|scope| {
            let a = scope.spawn(|| run("a", "h2"));
            let b = scope.spawn(|| run("b", "h3"));
            (a.join().unwrap(), b.join().unwrap())
        });
        assert_eq!(a.unwrap().total, Micros::millis(20_600));
        assert_eq!(b.unwrap().total, Micros::millis(20_600));
    }

    #[test]
    fn a_paced_world_ends_its_migrations_too() {
        let s = simulated(vec![]).paced(10_000);
        let report = s.migrate(&request("a", "h2", Mode::PreCopy), &mut |_| {});
        assert!(s.now() >= report.unwrap().total);
    }

    #[test]
    fn an_abort_before_the_switch_leaves_the_guest_at_the_source() {
        let s = simulated(vec![]);
        let (guest, from) = ("a".parse().unwrap(), "h1".parse().unwrap());
        let result = s.migrate(&request("a", "h2", Mode::PreCopy), &mut |_| {
            s.abort(&guest, &from).unwrap();
        });
        let stays = matches!(result, Err(MigrationFailure::StaysAtSource(_)));
        assert!(stays, "{result:?}");
        assert!(s.abort(&guest, &from).is_err());
        assert_eq!(seen(&s, "a"), [("h1".to_owned(), GuestState::Running)]);
    }

    #[test]
    fn failures_say_what_became_of_the_guest() {
        let down = Fault {
            when: When::Phase {
                guest: "a".parse().unwrap(),
                phase: Phase::Fetch,
                after: Micros::secs(1),
            },
            what: Trouble::LinkDown("h2".parse().unwrap()),
        };
        let s = simulated(vec![down]);
        let run = |guest, to| s.migrate(&request(guest, to, Mode::PostCopy), &mut |_| {});
        assert!(matches!(run("a", "h2"), Err(MigrationFailure::Split(_))));
        assert!(matches!(
            run("b", "h9"),
            Err(MigrationFailure::StaysAtSource(_))
        ));
        assert!(matches!(run("zz", "h3"), Err(MigrationFailure::Unknown(_))));
        let halves = ["h1", "h2"].map(|h| (h.to_owned(), GuestState::PostCopyFailed));
        assert_eq!(seen(&s, "a"), halves);
        assert!(run("b", "h3").is_ok());
    }
}
