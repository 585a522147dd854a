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
use vmpack_domain::{Cluster, Guest, GuestName, HostName, HostState, Load};
use vmpack_sim::{CopyState, Event, Fate, Happening, MigrationId, Options, Refusal, World};

use crate::{
    Error, GuestState, Hypervisor, MigrationEvent, MigrationFailure, MigrationReport,
    MigrationRequest, Sighting,
};

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
    /// Callers of `migrate` that wait for something to hear.
    waiting: usize,
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
        &self,
        mut state: MutexGuard<'a, State>,
        id: MigrationId,
    ) -> (MutexGuard<'a, State>, Option<Happening>) {
        state.waiting += 1;
        let heard = loop {
            self.catch_up(&mut state);
            if let Some(happening) = state.unheard.get_mut(&id).and_then(VecDeque::pop_front) {
                break Some(happening);
            }
            let Some(next) = state.world.next_event() else {
                break None;
            };
            let in_progress = state.unheard.len();
            if let Some(pace) = &self.pace {
                let rest = next.saturating_sub(state.world.now()).0 / u64::from(pace.speed_up);
                let rest = Duration::from_micros(rest.max(100));
                let woken = self.changed.wait_timeout(state, rest);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
            } else if state.waiting == in_progress
                && in_progress >= state.awaited
                && state.unheard.values().all(VecDeque::is_empty)
            {
                state.awaited = 0;
                self.pass(&mut state, next);
            } else {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
            }
        };
        state.waiting -= 1;
        (state, heard)
    }

    fn sighting(&self, guest: &GuestName, host: HostName, state: GuestState) -> Sighting {
        let known: Option<&Guest> = self.cluster.guest(guest);
        Sighting {
            host,
            state,
            uuid: known.and_then(|g| g.uuid),
            memory: known.map(|g| g.memory).unwrap_or_default(),
            vcpus: known.map_or(0, |g| g.vcpus),
        }
    }

    /// A host that should be there and is not is as unreachable as a real one.
    fn all_reachable(&self, world: &World) -> Result<(), Error> {
        let expected = |s| matches!(s, HostState::On | HostState::Drain);
        let dead = |h: &&vmpack_domain::Host| expected(h.state) && !world.alive(&h.name);
        match self.cluster.hosts.iter().find(dead) {
            None => Ok(()),
            Some(h) => Err(Error::Unreachable {
                host: h.name.to_string(),
                uri: format!("simulated:///{}", h.name),
                cause: "the host is dead".to_owned(),
            }),
        }
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
        self.look(|world| {
            self.all_reachable(world)?;
            let mut cluster = self.cluster.clone();
            for g in &mut cluster.guests {
                g.host = world.home(&g.name).cloned();
            }
            Ok(cluster)
        })
    }

    fn locate(&self, guest: &GuestName) -> Result<Vec<Sighting>, Error> {
        let copies = self.look(|world| {
            self.all_reachable(world)?;
            Ok(world.copies(guest))
        })?;
        let halved = copies.iter().any(|c| c.1 == CopyState::Outgoing);
        let seen = copies.into_iter().map(|(host, state)| {
            let state = match state {
                CopyState::Running if !halved => GuestState::Running,
                CopyState::Running | CopyState::Incoming | CopyState::Outgoing => {
                    GuestState::Migrating
                }
                CopyState::Failed => GuestState::PostCopyFailed,
            };
            self.sighting(guest, host, state)
        });
        Ok(seen.collect())
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
            .start_migration(vmpack_sim::Request {
                guest: request.guest.clone(),
                from: request.from.clone(),
                to: request.to.clone(),
                mode: request.mode,
                bandwidth: request.bandwidth,
                give_up: request.give_up,
            })
            .map_err(|refusal| refused(&refusal, request))?;
        state.unheard.insert(id, VecDeque::new());
        let _ends_with_this_call = InProgress(self, id);
        loop {
            let (locked, heard) = self.hear(state, id);
            drop(locked);
            match heard {
                Some(Happening::Progress {
                    transferred,
                    remaining,
                }) => told(MigrationEvent::Progress {
                    transferred,
                    remaining,
                }),
                Some(Happening::Switched { after }) => told(MigrationEvent::Switched { after }),
                Some(Happening::Ended(r)) => {
                    return Ok(MigrationReport {
                        switch: r.switch,
                        total: r.total,
                        downtime: r.downtime,
                        transferred: r.transferred,
                    });
                }
                Some(Happening::Failed(failure)) => {
                    return Err(match failure.fate {
                        Fate::AtSource => MigrationFailure::StaysAtSource(failure.why),
                        Fate::Split => MigrationFailure::Split(failure.why),
                        Fate::Gone => MigrationFailure::Unknown(failure.why),
                    });
                }
                Some(Happening::Healed | Happening::Lost) => {}
                None => {
                    let why = "nothing happens in the simulated world any more";
                    return Err(MigrationFailure::Unknown(why.to_owned()));
                }
            }
            state = self.lock();
        }
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

    fn now(&self) -> Micros {
        self.look(World::now)
    }
}

fn refused(refusal: &Refusal, request: &MigrationRequest) -> MigrationFailure {
    let why = refusal.to_string();
    match refusal {
        Refusal::NotThere(..) | Refusal::Busy(_) => MigrationFailure::Unknown(why),
        Refusal::Unreachable(h) if *h == request.from => MigrationFailure::Unknown(why),
        Refusal::Unreachable(_) | Refusal::NoRoom { .. } | Refusal::Refused(_) => {
            MigrationFailure::StaysAtSource(why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            bandwidth: None,
            give_up: Micros::secs(300),
        }
    }

    fn seen(simulated: &Simulated, guest: &str) -> Vec<(String, GuestState)> {
        let seen = simulated.locate(&guest.parse().unwrap()).unwrap();
        seen.into_iter()
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
