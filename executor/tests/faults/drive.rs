//! Drives executors through a history. They are the product's own loop, with its threads and its
//! journal on a disk; only one of their threads acts at a time, and virtual time passes only when all
//! of them wait for it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;
use vmpack_domain::Load;
use vmpack_domain::journal::Priority;
use vmpack_domain::load::jiff_serde::Timestamp;
use vmpack_domain::units::Micros;
use vmpack_executor::attempt::Scene;
use vmpack_executor::holder::{self, Handle, Order};
use vmpack_executor::journal::Journal;
use vmpack_executor::world::World as Hosts;
use vmpack_hypervisor::sim::World;

use crate::acts::{History, Upset};
use crate::judge::{Controller, Judge, Wrong, seconds};
use crate::life::{Act, End, Watch, Work};
use crate::quiet;
use crate::stage::{Life, Stage, Wants, set_wall, wall};

/// When it all begins, by the wall clock: 2026-01-05, in seconds.
const BEGINNING: i64 = 1_767_571_200;
/// A history that is longer has no end.
const LONGEST: Micros = Micros::secs(86_400);
/// Turns that are given at most.
const TURNS: usize = 60_000;
/// How often an executor is started at most.
const LIVES: usize = 12;
/// What it takes for the executor's own tick, which is real time.
const TICK: Duration = Duration::from_millis(230);

/// What came of a history.
pub(crate) struct Outcome {
    pub(crate) wrongs: Vec<(Wrong, String)>,
    pub(crate) log: Vec<String>,
    pub(crate) turns: usize,
    pub(crate) lives: usize,
    /// What each host holds of each guest, and whether the first run came to its target.
    pub(crate) end: Vec<String>,
}

impl Outcome {
    /// What was journalled, in order, by its kind.
    pub(crate) fn words(&self) -> Vec<&str> {
        let kinds = self.log.iter().filter_map(|l| l.split_once("\"event\":\""));
        kinds
            .filter_map(|(_, rest)| rest.split('"').next())
            .collect()
    }
}

struct Executor {
    life: Life,
    handle: Handle,
    killed: Arc<Notify>,
    thread: JoinHandle<End>,
}

struct Driver<'a> {
    history: &'a History,
    stage: Arc<Stage>,
    hosts: Hosts,
    controllers: Vec<Controller>,
    folder: &'a Path,
    /// By controller.
    running: Vec<Option<Executor>>,
    /// What is due when, in ms; not in order.
    due: Vec<(u64, Act)>,
    /// How long after its death or its leave the first controller's executor is started again.
    backs: Arc<Mutex<Vec<u64>>>,
    /// Acts that wait for the first controller's journal to have so many events.
    triggers: Arc<Mutex<Vec<(usize, Act)>>>,
    /// What those became.
    triggered: Arc<Mutex<Vec<Act>>>,
    /// Events that the first controller has journalled.
    events: Arc<AtomicUsize>,
    lives: usize,
    turns: usize,
    dice: u64,
    jumped: i64,
    /// How long real ticks were waited for in a row.
    ticks: usize,
    before: BTreeSet<u32>,
}

/// Lets the history happen.
pub(crate) fn happen(history: &History) -> Outcome {
    let folder = folder();
    let (cluster, load) = history.cluster();
    let mut plans = vec![history.plan("m", &history.moves)];
    let reliefs = history
        .upsets
        .iter()
        .enumerate()
        .filter_map(|(n, u)| match u {
            Upset::Relief {
                guest, to, mode, ..
            } => Some(history.relief(*guest, *to, *mode, n)),
            _ => None,
        });
    plans.extend(reliefs.filter(|p| !p.moves.is_empty()));
    let options = history.options(&plans[0]);
    let world = World::new(&cluster, &load, &options);
    let controller = |name: &str, plans| Controller {
        name: name.to_owned(),
        plans,
        journal: folder.path().join(format!("{name}.db")),
        parallel: history.parallel,
        per_host: history.per_host,
        split: history.split,
        care: history.care,
    };
    let mut controllers = vec![controller("first", plans)];
    if let Some((moves, _)) = &history.second {
        controllers.push(controller("second", vec![history.plan("s", moves)]));
    }
    let capacity = cluster.hosts.iter().map(|h| (h.name.clone(), h.memory));
    let faults = options.faults.iter().map(|f| f.what.clone()).collect();
    let judge = Judge::new(controllers.clone(), &world, capacity.collect(), faults);
    let hosts = Hosts::Simulated {
        cluster: cluster.clone(),
        load: Load::default(),
        seed: 0,
        speed_up: None,
    };
    set_wall(BEGINNING);
    let mut driver = Driver {
        history,
        stage: Stage::new(world, cluster, judge),
        hosts,
        running: controllers.iter().map(|_| None).collect(),
        controllers,
        folder: folder.path(),
        due: vec![(0, Act::Begin(0))],
        backs: Arc::default(),
        triggers: Arc::default(),
        triggered: Arc::default(),
        events: Arc::default(),
        lives: 0,
        turns: 0,
        dice: history.seed | 1,
        jumped: 0,
        ticks: 0,
        before: quiet::all().into_iter().collect(),
    };
    driver.prepare();
    driver.run();
    driver.end()
}

/// On a disk of memory where there is one: what a power cut would take is not of interest here.
fn folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    let made = tempfile::tempdir_in(shared).or_else(|_| tempfile::tempdir());
    made.expect("a folder for journals")
}

impl Driver<'_> {
    fn prepare(&mut self) {
        for controller in &self.controllers {
            let mut journal = Journal::open(&controller.journal).expect("a new journal");
            let plan = &controller.plans[0];
            let accepted = journal.accept(plan, None, Priority::Consolidation, &self.hosts);
            accepted.expect("the plan is taken");
        }
        // Its `accepted` is the first event.
        self.events.store(1, Ordering::SeqCst);
        if let Some((_, at)) = self.history.second {
            self.due.push((at, Act::Begin(1)));
        }
        let mut relief = 0;
        let mut triggers = Vec::new();
        for upset in &self.history.upsets {
            match *upset {
                Upset::Kill { events, back } => triggers.push((events, Act::Kill(back))),
                Upset::KillAt { at, back } => self.due.push((at, Act::Kill(back))),
                Upset::Interrupt {
                    events,
                    twice,
                    back,
                } => {
                    self.backs().push(back);
                    triggers.push((events, Act::Interrupt));
                    if twice {
                        triggers.push((events, Act::Interrupt));
                    }
                }
                Upset::Abort { events } => triggers.push((events, Act::Abort)),
                Upset::Pause { events, .. } => triggers.push((events, Act::Hold)),
                Upset::Relief { events, .. } => {
                    relief += 1;
                    if let Some(plan) = self.controllers[0].plans.get(relief) {
                        triggers.push((events, Act::Relieve(Box::new(plan.clone()))));
                    }
                }
                Upset::DiskFull { events, back } => {
                    self.backs().push(back);
                    self.fill_after(events);
                }
                Upset::ClockJump { at, by } => self.due.push((at, Act::Jump(by))),
                Upset::Blow { .. } | Upset::ShutDown { .. } | Upset::Elsewhere { .. } => {}
            }
        }
        *self.triggers.lock().unwrap_or_else(PoisonError::into_inner) = triggers;
    }

    fn backs(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.backs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the first journal's disk has room for so many events in all.
    fn fill_after(&self, events: usize) {
        self.sql(&format!(
            "CREATE TRIGGER IF NOT EXISTS full BEFORE INSERT ON event
             WHEN (SELECT count(*) FROM event) >= {events}
             BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        ));
    }

    fn sql(&self, text: &str) {
        let connection = rusqlite::Connection::open(&self.controllers[0].journal);
        let done = connection.and_then(|c| c.execute_batch(text));
        done.expect("the journal's database");
    }

    fn run(&mut self) {
        loop {
            self.settle();
            self.reap();
            let triggered = std::mem::take(
                &mut *self
                    .triggered
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner),
            );
            if !triggered.is_empty() {
                triggered.into_iter().for_each(|act| self.act(act));
                continue;
            }
            if self.give_a_turn() {
                self.ticks = 0;
                continue;
            }
            if self.running.iter().all(Option::is_none) && self.due.is_empty() {
                return;
            }
            if !self.let_time_pass() {
                return;
            }
        }
    }

    /// Waits until everybody waits for us.
    fn settle(&self) {
        loop {
            let mut but: BTreeSet<u32> = self.before.clone();
            {
                let state = self.stage.lock();
                but.extend(state.calls.values().map(|c| c.thread));
            }
            if quiet::asleep(&but) {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Takes leave of executors that have ended.
    fn reap(&mut self) {
        for n in 0..self.running.len() {
            if !self.running[n]
                .as_ref()
                .is_some_and(|e| e.thread.is_finished())
            {
                continue;
            }
            let Some(executor) = self.running[n].take() else {
                continue;
            };
            let end = executor.thread.join().expect("the driver's own thread");
            self.stage.lock().kill(executor.life);
            let name = &self.controllers[n].name;
            let (what, again) = match end {
                End::Killed => (format!("the executor of {name} is dead"), true),
                End::Failed(why) => (format!("the executor of {name} stops: {why}"), true),
                End::Left(true) => (format!("the executor of {name} is at its end"), false),
                End::Left(false) => (format!("the executor of {name} leaves the run"), true),
            };
            self.note(&what);
            if again && self.lives < LIVES {
                if n == 0 {
                    self.sql("DROP TRIGGER IF EXISTS full");
                }
                let back = if n == 0 { self.backs().pop() } else { None };
                let at = self.now_ms() + back.unwrap_or(1000);
                self.due.push((at, Act::Begin(n)));
            }
        }
    }

    fn note(&self, what: &str) {
        let mut state = self.stage.lock();
        let now = state.world.now();
        state.judge.note(now, what);
    }

    fn now_ms(&self) -> u64 {
        self.stage.lock().world.now().0 / 1000
    }

    /// Gives one call what it waits for; which one, the dice say.
    fn give_a_turn(&mut self) -> bool {
        let mut state = self.stage.lock();
        let ready: Vec<u64> = state
            .calls
            .iter()
            .filter(|(_, call)| state.ready(call))
            .map(|(number, _)| *number)
            .collect();
        if ready.is_empty() {
            return false;
        }
        // An xorshift of Marsaglia's (Journal of Statistical Software 8, 2003).
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        let chosen = ready[usize::try_from(self.dice % ready.len() as u64).unwrap_or(0)];
        state.grant(chosen);
        self.turns += 1;
        true
    }

    /// Lets time come to the next thing that happens. `false` when nothing will, or for too long.
    fn let_time_pass(&mut self) -> bool {
        let due = self.due.iter().map(|(at, _)| Micros::millis(*at)).min();
        let mut state = self.stage.lock();
        let waited = state.calls.values().filter_map(|c| match c.wants {
            Wants::Time(at) => Some(at),
            _ => None,
        });
        let next = waited.chain(state.world.next_event()).chain(due).min();
        let now = state.world.now();
        let idle = state.calls.is_empty();
        if self.turns > TURNS || now > LONGEST {
            state
                .judge
                .endless(format!("{} turns, {:.0} s", self.turns, seconds(now)));
            return false;
        }
        // With nobody waiting for anything an executor may wait for its own tick alone.
        let ticking = idle && self.running.iter().any(Option::is_some);
        if ticking && self.ticks < 3 || next.is_none() {
            if self.ticks >= 3 {
                state
                    .judge
                    .endless("an executor waits for nothing".to_owned());
                return false;
            }
            drop(state);
            self.ticks += 1;
            std::thread::sleep(TICK);
            return true;
        }
        self.ticks = 0;
        let next = next.unwrap_or(now).max(now);
        state.pass(next);
        drop(state);
        self.set_clock();
        let now = self.now_ms();
        let (due, later) = std::mem::take(&mut self.due)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.due = later;
        let due: Vec<(u64, Act)> = due;
        due.into_iter().for_each(|(_, act)| self.act(act));
        true
    }

    fn set_clock(&self) {
        let since = i64::try_from(self.now_ms() / 1000).unwrap_or(0);
        set_wall(BEGINNING + since + self.jumped);
    }

    fn inhibit(&self) -> PathBuf {
        self.folder.join("inhibit")
    }

    fn act(&mut self, act: Act) {
        if !matches!(act, Act::Begin(_)) {
            let told = match &act {
                Act::Relieve(plan) => format!("relief is asked for: {:?}", plan.moves),
                other => format!("{other:?}"),
            };
            self.note(&told);
        }
        let first = self.running[0].as_ref();
        match act {
            Act::Begin(n) => self.begin(n),
            Act::Kill(back) => {
                // Its threads die when it is gone (`reap`), or it would see them die.
                if let Some(executor) = first {
                    executor.killed.notify_one();
                    self.backs().push(back);
                }
            }
            Act::Interrupt => first.into_iter().for_each(|e| e.handle.interrupt()),
            Act::Abort => {
                if let Some(executor) = first {
                    drop(executor.handle.abort(None, "a history".to_owned()));
                }
            }
            Act::Relieve(plan) => {
                if let Some(executor) = first {
                    drop(executor.handle.order(Order {
                        plan: *plan,
                        file: None,
                        priority: Priority::Relief,
                        world: None,
                        reverses: false,
                    }));
                }
            }
            Act::Hold => {
                std::fs::write(self.inhibit(), "a history").expect("a file");
                let lasts = self.history.upsets.iter().find_map(|u| match u {
                    Upset::Pause { lasts, .. } => Some(*lasts),
                    _ => None,
                });
                self.due
                    .push((self.now_ms() + lasts.unwrap_or(1000), Act::Release));
            }
            Act::Release => {
                // There may have been two such pauses.
                let _ = std::fs::remove_file(self.inhibit());
                std::thread::sleep(TICK);
            }
            Act::Jump(by) => {
                self.jumped += by;
                self.set_clock();
            }
        }
    }

    /// Whether that controller waits for a person.
    fn stopped(&self, n: usize) -> bool {
        let journal = Journal::open(&self.controllers[n].journal);
        let runs = journal.and_then(|j| j.unfinished()).unwrap_or_default();
        runs.iter().any(|r| r.progress().stopped.is_some())
    }

    fn begin(&mut self, n: usize) {
        let life = Life(self.lives);
        self.lives += 1;
        self.note(&format!(
            "an executor of {} begins",
            self.controllers[n].name
        ));
        let killed = Arc::new(Notify::new());
        let (handle, asks) = holder::channel();
        let work = Work {
            controller: self.controllers[n].clone(),
            scene: Scene {
                hypervisor: Arc::new(self.stage.door(n, life)),
                controller: self.controllers[n].name.clone(),
                wall: || Timestamp(wall()),
                keeps_hours: false,
            },
            stage: Arc::clone(&self.stage),
            life,
            hosts: self.hosts.clone(),
            inhibit: self.inhibit(),
            watch: (n == 0).then(|| Watch {
                events: Arc::clone(&self.events),
                triggers: Arc::clone(&self.triggers),
                triggered: Arc::clone(&self.triggered),
                backs: Arc::clone(&self.backs),
            }),
        };
        if self.stopped(n) {
            // A person has looked, and says to go on.
            handle.go_on("a history".to_owned());
        }
        let notify = Arc::clone(&killed);
        let thread = std::thread::spawn(move || work.run(asks, &notify));
        self.running[n] = Some(Executor {
            life,
            handle,
            killed,
            thread,
        });
    }

    fn end(mut self) -> Outcome {
        for executor in self.running.iter_mut().filter_map(Option::take) {
            self.stage.lock().kill(executor.life);
            executor.killed.notify_one();
            // It has nothing left to wait for.
            let _ = executor.thread.join();
        }
        let mut state = self.stage.lock();
        // What was left to itself comes to its end.
        let until = state.world.now() + Micros::secs(7200);
        state.pass(until);
        let state = &mut *state;
        let endless = state.judge.wrongs.iter().any(|w| w.0 == Wrong::Endless);
        state
            .judge
            .end(&state.world, self.history.harmless() && !endless);
        let guests = self.controllers[0].plans[0].target.keys();
        let held = guests.map(|g| format!("{g}: {:?}", state.world.copies(g)));
        let end = held.chain(state.judge.last_word(0)).collect();
        Outcome {
            end,
            wrongs: std::mem::take(&mut state.judge.wrongs),
            log: std::mem::take(&mut state.judge.log),
            turns: self.turns,
            lives: self.lives,
        }
    }
}
