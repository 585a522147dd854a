//! Acts on decisions: one thread per migration, the journal before and after, and what the holder is
//! asked in between. It decides nothing: see [`crate::decide`] and [`crate::settle`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use vmpack_domain::HostName;
use vmpack_domain::journal::{Event, Health, MoveState, Priority, Progress, RunId};
use vmpack_domain::units::{MiB, Micros};
use vmpack_hypervisor::MigrationEvent;

use crate::admit::Admission;
use crate::attempt::{Attempt, Ended, Scene};
use crate::decide::{Action, Course, Observed, Step, decide};
use crate::holder::{Ask, Order, Refusal, Standing, Terms};
use crate::journal::{Entry, Journal, JournalError, Run};
use crate::preflight::Others;
use crate::socket::inhibited;
use crate::spells::Spells;

use live::{Live, is_open, waits};

/// How often the inhibit file is looked for, and a pending abort repeated.
const TICK: Duration = Duration::from_millis(200);

/// What is heard of the runs while they go on.
#[derive(Debug)]
pub enum Heard<'a> {
    /// An event was journalled.
    Entry(&'a Entry),
    /// Part of a guest's memory is over.
    Progress {
        /// Of which move.
        step: &'a Step,
        /// So far.
        transferred: MiB,
        /// Still to go.
        remaining: MiB,
    },
    /// A request to stop was taken in.
    Interrupt {
        /// 1 drains, more abort what can be aborted safely.
        times: u32,
    },
    /// All new starts are held from now on; what stands in the inhibit file.
    Held(&'a str),
    /// They are not held any more.
    Released,
    /// What a run left undone is planned anew.
    PlansAnew {
        /// Which.
        run: RunId,
    },
}

/// Carries those runs on from where they stand, and what else is asked for meanwhile, to their ends,
/// or until they are left to be resumed (then their progress is not finished). Returns where each run
/// stands.
///
/// # Errors
/// When the journal fails. Nothing more is started then; what runs is let run to its end first.
pub async fn hold(
    scene: &Scene,
    runs: &[Run],
    terms: &Terms<'_>,
    journal: &mut Journal,
    asks: &mut mpsc::UnboundedReceiver<Ask>,
    hear: &mut dyn FnMut(Heard<'_>),
) -> Result<BTreeMap<RunId, Progress>, JournalError> {
    let (told, hears) = mpsc::unbounded_channel();
    let mut shell = Shell {
        scene,
        terms,
        journal,
        hear,
        runs: BTreeMap::new(),
        observed: Observed::default(),
        labels: terms.world.labels(),
        threads: JoinSet::new(),
        steps: BTreeMap::new(),
        told,
        hears,
        called_off: BTreeMap::new(),
        aborts: JoinSet::new(),
        checks: JoinSet::new(),
        admissions: JoinSet::new(),
        timer: JoinSet::new(),
        followers: Vec::new(),
        interrupted: 0,
        asleep: BTreeSet::new(),
        decided: Instant::now(),
    };
    for run in runs {
        shell.take_on(run.id, run.priority(), &run.entries);
        shell.back_off_again(run);
    }
    let end = shell.run(asks).await;
    if end.is_err() {
        while shell.threads.join_next().await.is_some() {}
    }
    end.map(|()| shell.runs.into_iter().map(|(id, run)| (id, run.progress)))
        .map(Iterator::collect)
}

/// What an order came to, and who waits for it.
type Admitted = (
    Box<Order>,
    oneshot::Sender<Result<RunId, Refusal>>,
    Result<Admission, Refusal>,
);

struct Shell<'a> {
    scene: &'a Scene,
    terms: &'a Terms<'a>,
    journal: &'a mut Journal,
    hear: &'a mut dyn FnMut(Heard<'_>),
    runs: BTreeMap<RunId, Live>,
    observed: Observed,
    /// The hosts', by which guests in split state are counted.
    labels: BTreeMap<HostName, BTreeMap<String, String>>,
    threads: JoinSet<Ended>,
    steps: BTreeMap<tokio::task::Id, Step>,
    told: mpsc::UnboundedSender<(Step, MigrationEvent)>,
    hears: mpsc::UnboundedReceiver<(Step, MigrationEvent)>,
    /// By move that has a thread, what tells it that it is called off, if it has not asked yet.
    called_off: BTreeMap<Step, Arc<AtomicBool>>,
    aborts: JoinSet<()>,
    checks: JoinSet<(Step, Health)>,
    admissions: JoinSet<Admitted>,
    timer: JoinSet<()>,
    followers: Vec<mpsc::UnboundedSender<Entry>>,
    interrupted: u32,
    /// Hosts that are being put to sleep, or sleep.
    asleep: BTreeSet<HostName>,
    /// When what is being acted on was decided.
    decided: Instant,
}

impl Shell<'_> {
    async fn run(&mut self, asks: &mut mpsc::UnboundedReceiver<Ask>) -> Result<(), JournalError> {
        // Who followed before this began misses nothing.
        while let Ok(ask) = asks.try_recv() {
            self.asked(ask)?;
        }
        let running: Vec<(Step, bool)> = self.steps_of(|s| s.runs());
        for (step, switched) in running {
            self.spawn(&step, move |attempt, _| attempt.find_out(switched));
        }
        self.call_off_all();
        loop {
            self.look();
            self.decided = Instant::now();
            let of = |run| self.course(run);
            let courses: Vec<Course<'_>> = self.runs.iter().map(of).collect();
            let actions = decide(&courses, &self.observed);
            for action in actions {
                match action {
                    Action::Start { step, attempt } => self.start(&step, attempt)?,
                    Action::Recover { step, attempt } => self.recover(&step, attempt)?,
                    Action::CallOff { step } => self.call_off(step),
                    Action::Check { step } => self.check(step),
                    Action::Stop { run, reason } => self.write(run, Event::Stopped { reason })?,
                    Action::Skip { step, reason } => {
                        self.write(
                            step.run,
                            Event::Skipped {
                                id: step.id,
                                reason,
                            },
                        )?;
                    }
                    Action::GiveUp { step, state } => {
                        self.write(step.run, Event::Stuck { id: step.id, state })?;
                    }
                    Action::Finish { run, complete } => {
                        self.write(run, Event::Finished { complete })?;
                    }
                    Action::Wait { until } => self.wait(until, asks).await?,
                    Action::Rest if self.terms.stays && !self.observed.draining => {
                        self.wait(None, asks).await?;
                    }
                    // Who was asked for meanwhile is answered first.
                    Action::Rest | Action::Leave if !self.admissions.is_empty() => {
                        self.wait(None, asks).await?;
                    }
                    Action::Rest | Action::Leave => return Ok(()),
                }
            }
        }
    }

    /// What decisions hang on besides the runs.
    fn look(&mut self) {
        self.observed.now = self.scene.hypervisor.now();
        let held = inhibited(&self.terms.inhibit);
        let was = std::mem::replace(&mut self.observed.held, held.is_some());
        match held {
            Some(text) if !was => (self.hear)(Heard::Held(&text)),
            None if was => (self.hear)(Heard::Released),
            _ => {}
        }
    }

    fn take_on(&mut self, id: RunId, priority: Priority, entries: &[Entry]) {
        let progress = Progress::fold(entries.iter().map(|e| &e.event));
        let Some(plan) = progress.plan.clone() else {
            return;
        };
        let run = Live {
            priority,
            limits: (self.terms.limits)(&plan),
            progress,
            spells: Spells::of(&plan, &self.labels, entries),
            plan: Arc::new(*plan),
        };
        self.runs.insert(id, run);
    }

    /// Makes an event durable, then takes it in.
    fn write(&mut self, run: RunId, event: Event) -> Result<(), JournalError> {
        let entry = self.journal.append(run, event)?;
        if let Some(run) = self.runs.get_mut(&entry.run) {
            run.progress.apply(&entry.event);
            run.spells.apply(&entry);
        }
        self.tell(&entry);
        Ok(())
    }

    fn tell(&mut self, entry: &Entry) {
        (self.hear)(Heard::Entry(entry));
        self.followers.retain(|f| f.send(entry.clone()).is_ok());
    }

    fn start(&mut self, step: &Step, attempt: u32) -> Result<(), JournalError> {
        let Some(mv) = self.runs.get(&step.run).and_then(|r| r.find(step)).cloned() else {
            return Ok(());
        };
        let underway = self.those(MoveState::underway);
        let waiting = self.those(waits);
        let intent = Event::Intended {
            id: mv.id,
            guest: mv.guest,
            from: mv.from,
            to: mv.to,
            mode: mv.mode,
            attempt,
        };
        self.write(step.run, intent)?;
        let told = self.told_of(step);
        self.spawn(step, move |attempt, off| {
            let (underway, waiting) = (&underway[..], &waiting[..]);
            attempt.migrate(Others { underway, waiting }, off, told)
        });
        Ok(())
    }

    fn check(&mut self, step: Step) {
        if let Some(attempt) = self.attempt(&step) {
            self.observed.checking.insert(step.clone());
            self.checks.spawn_blocking(move || (step, attempt.check()));
        }
    }

    fn checked(&mut self, (step, health): (Step, Health)) -> Result<(), JournalError> {
        self.observed.checking.remove(&step);
        let id = step.id;
        self.write(step.run, Event::Checked { id, health })
    }

    fn recover(&mut self, step: &Step, attempt: u32) -> Result<(), JournalError> {
        let id = step.id.clone();
        self.write(step.run, Event::Recovering { id, attempt })?;
        let told = self.told_of(step);
        self.spawn(step, move |attempt, _| attempt.recover(told));
        Ok(())
    }

    /// What a move's thread tells what it hears of its migration.
    fn told_of(&self, step: &Step) -> impl FnMut(MigrationEvent) + Send + 'static {
        let (told, step) = (self.told.clone(), step.clone());
        move |event| {
            // The shell hears until its threads have ended; nobody else drops the other end.
            let _ = told.send((step.clone(), event));
        }
    }

    /// Has a thread do something about a move, until it tells how that ended.
    fn spawn(
        &mut self,
        step: &Step,
        work: impl FnOnce(&Attempt, &AtomicBool) -> Ended + Send + 'static,
    ) {
        let Some(attempt) = self.attempt(step) else {
            return;
        };
        let off = Arc::new(AtomicBool::new(false));
        self.called_off.insert(step.clone(), off.clone());
        let thread = self.threads.spawn_blocking(move || work(&attempt, &off));
        self.steps.insert(thread.id(), step.clone());
    }

    fn attempt(&self, step: &Step) -> Option<Attempt> {
        let run = self.runs.get(&step.run)?;
        Some(Attempt {
            scene: self.scene.clone(),
            plan: run.plan.clone(),
            mv: run.find(step)?.clone(),
            limits: run.limits,
            decided: self.decided,
        })
    }

    async fn wait(
        &mut self,
        until: Option<Micros>,
        asks: &mut mpsc::UnboundedReceiver<Ask>,
    ) -> Result<(), JournalError> {
        if let Some(until) = until.filter(|_| self.timer.is_empty()) {
            // By the world's clock: a simulated one stands still unless somebody waits.
            let left = until.saturating_sub(self.scene.hypervisor.now());
            let tick = Micros(u64::try_from(TICK.as_micros()).unwrap_or(u64::MAX));
            let hypervisor = self.scene.hypervisor.clone();
            self.timer
                .spawn_blocking(move || hypervisor.wait(left.min(tick)));
        }
        let tick = tokio::time::sleep(TICK);
        tokio::pin!(tick);
        loop {
            return tokio::select! {
                biased;
                Some(ask) = asks.recv() => self.asked(ask),
                Some((step, event)) = self.hears.recv() => {
                    // No decision hangs on how far a migration is.
                    let decides = !matches!(event, MigrationEvent::Progress { .. });
                    self.told(step, &event)?;
                    if !decides {
                        continue;
                    }
                    Ok(())
                }
                Some(ended) = self.threads.join_next_with_id() => self.ended(ended),
                Some(Ok(checked)) = self.checks.join_next() => self.checked(checked),
                Some(Ok(admitted)) = self.admissions.join_next() => self.admitted(admitted),
                Some(_) = self.timer.join_next() => Ok(()),
                () = &mut tick => {
                    self.tick();
                    Ok(())
                }
            };
        }
    }

    fn told(&mut self, step: Step, event: &MigrationEvent) -> Result<(), JournalError> {
        match event {
            MigrationEvent::Switched { after } => {
                let (id, switch) = (step.id, *after);
                self.write(step.run, Event::Switched { id, switch })
            }
            MigrationEvent::Progress {
                transferred,
                remaining,
            } => {
                (self.hear)(Heard::Progress {
                    step: &step,
                    transferred: *transferred,
                    remaining: *remaining,
                });
                Ok(())
            }
        }
    }

    fn ended(
        &mut self,
        ended: Result<(tokio::task::Id, Ended), JoinError>,
    ) -> Result<(), JournalError> {
        // What the thread told before it ended comes first.
        while let Ok((step, event)) = self.hears.try_recv() {
            self.told(step, &event)?;
        }
        let (thread, ended) = match ended {
            Ok((thread, ended)) => (thread, ended),
            Err(e) => (
                e.id(),
                Ended::Stuck(format!("the executor's own thread broke: {e}")),
            ),
        };
        let Some(step) = self.steps.remove(&thread) else {
            return Ok(());
        };
        self.observed.called_off.remove(&step);
        let off = self.called_off.remove(&step);
        let off = off.is_some_and(|off| off.load(Ordering::Relaxed));
        let (switched, tried, recovered) = match self.state(&step) {
            Some(MoveState::Running {
                switch,
                attempt,
                recoveries,
            }) => (*switch, *attempt, *recoveries),
            _ => (None, 1, 0),
        };
        let id = step.id.clone();
        let event = match ended {
            Ended::Moved(report) => {
                if let Some(report) = report.filter(|_| switched.is_none()) {
                    let (id, switch) = (id.clone(), report.switch);
                    self.write(step.run, Event::Switched { id, switch })?;
                }
                Event::Moved {
                    id,
                    // A resumed one's figures begin where it was resumed.
                    total: report.filter(|_| recovered == 0).map(|r| r.total),
                    switch: switched.or(report.map(|r| r.switch)),
                    downtime: report.and_then(|r| r.downtime),
                    transferred: report.map(|r| r.transferred),
                }
            }
            Ended::Failed(error) if off => {
                tracing::info!("move {id} was called off: {error}");
                Event::Interrupted { id }
            }
            Ended::Failed(error) => {
                self.later(&step, tried);
                Event::Failed { id, error }
            }
            Ended::Broken(state) => {
                self.later(&step, recovered + 1);
                Event::Broken {
                    id,
                    state,
                    unanswered: false,
                }
            }
            Ended::Unanswered(state) => {
                self.later(&step, recovered);
                Event::Broken {
                    id,
                    state,
                    unanswered: recovered > 0,
                }
            }
            Ended::Interrupted => Event::Interrupted { id },
            Ended::Changed(reason) => Event::Skipped { id, reason },
            Ended::Stuck(state) => Event::Stuck { id, state },
            Ended::Lost(cause) => Event::Lost { id, cause },
        };
        self.write(step.run, event)
    }

    fn tick(&mut self) {
        while self.aborts.try_join_next().is_some() {}
        if !self.aborts.is_empty() {
            return;
        }
        for step in std::mem::take(&mut self.observed.called_off) {
            self.call_off(step);
        }
        self.call_off_all();
    }

    /// Calls off what has not switched of the runs that were aborted, or of all.
    fn call_off_all(&mut self) {
        for (step, _) in self.steps_of(MoveState::unswitched) {
            let run = self.runs.get(&step.run);
            if self.interrupted > 1 || run.is_some_and(|r| r.progress.aborted) {
                self.call_off(step);
            }
        }
    }

    /// Asks the hypervisor to abort a migration that has not switched. Repeated at each tick: it may
    /// only just be beginning.
    fn call_off(&mut self, step: Step) {
        let (Some(off), Some(attempt)) = (self.called_off.get(&step), self.attempt(&step)) else {
            return;
        };
        off.store(true, Ordering::Relaxed);
        self.aborts.spawn_blocking(move || attempt.abort());
        self.observed.called_off.insert(step);
    }

    fn asked(&mut self, ask: Ask) -> Result<(), JournalError> {
        match ask {
            Ask::Interrupt => {
                self.interrupted += 1;
                (self.hear)(Heard::Interrupt {
                    times: self.interrupted,
                });
                self.observed.draining = true;
                self.observed.leaving = self.interrupted > 1;
                self.call_off_all();
            }
            Ask::Follow(told) => self.followers.push(told),
            Ask::Status(told) => {
                let open = self.runs.iter().filter(|(_, r)| is_open(r));
                let standing = open
                    .map(|(id, r)| Standing::of(*id, r.priority, r.progress.moves.values()))
                    .collect();
                // Who asked may be gone.
                let _ = told.send(standing);
            }
            Ask::Abort { run, by, told } => {
                let named = |id: &RunId| run.is_none_or(|run| run == *id);
                let open = self.runs.iter().filter(|(id, r)| named(id) && is_open(r));
                let open: Vec<RunId> = open.map(|(id, _)| *id).collect();
                for id in &open {
                    self.write(*id, Event::Aborted { by: by.clone() })?;
                }
                self.call_off_all();
                let _ = told.send(open);
            }
            Ask::Continue { by } => {
                let stopped = self
                    .runs
                    .iter()
                    .filter(|(_, r)| r.progress.stopped.is_some());
                let stopped: Vec<(RunId, u32)> = stopped
                    .map(|(id, r)| (*id, r.progress.failures()))
                    .collect();
                for (run, failures) in stopped {
                    let by = by.clone();
                    self.write(run, Event::Continued { by, failures })?;
                }
            }
            Ask::Sleep { host, told } => {
                // Who asked may be gone.
                let _ = told.send(self.sleep(host));
            }
            Ask::Awake { host } => {
                self.asleep.remove(&host);
            }
            Ask::Order(order, told) => return self.ordered(order, told),
        }
        Ok(())
    }
}

mod later;
mod live;
mod orders;
#[cfg(test)]
mod tests;
