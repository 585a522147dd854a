//! Acts on decisions: one thread per migration, the journal before and after, signals and the
//! journal's news in between. It decides nothing: see [`crate::decide`] and [`crate::settle`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use vmpack_domain::journal::{Event, MoveState, Progress};
use vmpack_domain::plan::{Move, MoveId, Plan};
use vmpack_domain::policy::StreamPolicy;
use vmpack_domain::units::{MiB, Micros};
use vmpack_hypervisor::{
    Hypervisor, MigrationEvent, MigrationFailure, MigrationReport, MigrationRequest, Stream,
};

use crate::decide::{Action, Limits, Observed, back_off, decide};
use crate::journal::{Entry, Journal, JournalError};
use crate::preflight::recheck;
use crate::settle::{Standing, settle, split};

/// How often the journal is asked for news, and a pending abort repeated.
const TICK: Duration = Duration::from_millis(200);
/// How often a guest is looked for whose migration nobody watches.
const LOOK: Duration = Duration::from_millis(500);

/// What a run acts on.
#[derive(Clone)]
pub struct Scene {
    /// The hosts.
    pub hypervisor: Arc<dyn Hypervisor>,
    /// What is carried out.
    pub plan: Arc<Plan>,
}

/// What is heard of a run while it goes on.
#[derive(Debug)]
pub enum Heard<'a> {
    /// An event was journalled.
    Entry(&'a Entry),
    /// Part of a guest's memory is over.
    Progress {
        /// Of which move.
        id: &'a MoveId,
        /// So far.
        transferred: MiB,
        /// Still to go.
        remaining: MiB,
    },
    /// A signal was taken in.
    Interrupt {
        /// 1 drains, more abort what can be aborted safely.
        times: u32,
    },
}

/// Carries the accepted run on from its progress to its end, or until it is left to be resumed
/// (then the progress is not finished). Each message on `interrupts` is one request to stop.
///
/// # Errors
/// When the journal fails. Nothing more is started then; what runs is let run to its end first.
pub async fn carry(
    scene: &Scene,
    progress: Progress,
    limits: &Limits,
    journal: &mut Journal,
    interrupts: &mut mpsc::UnboundedReceiver<()>,
    hear: &mut dyn FnMut(Heard<'_>),
) -> Result<Progress, JournalError> {
    let (told, hears) = mpsc::unbounded_channel();
    let mut shell = Shell {
        scene,
        limits,
        journal,
        hear,
        progress,
        observed: Observed::default(),
        began: Instant::now(),
        threads: JoinSet::new(),
        ids: BTreeMap::new(),
        told,
        hears,
        called_off: BTreeMap::new(),
        aborts: JoinSet::new(),
        interrupted: 0,
    };
    let end = shell.run(interrupts).await;
    if end.is_err() {
        while shell.threads.join_next().await.is_some() {}
    }
    end.map(|()| shell.progress)
}

/// How a migration's thread ended.
enum Ended {
    /// The guest is at the target; the times, where they were seen.
    Moved(Option<MigrationReport>),
    /// It failed and left the guest at the source.
    Failed(String),
    /// The guest is at the source; whether the move failed is not known, its executor died.
    Interrupted,
    /// It was not tried, or makes no sense any more.
    Changed(String),
    /// A person must look.
    Stuck(String),
}

struct Shell<'a> {
    scene: &'a Scene,
    limits: &'a Limits,
    journal: &'a mut Journal,
    hear: &'a mut dyn FnMut(Heard<'_>),
    progress: Progress,
    observed: Observed,
    began: Instant,
    threads: JoinSet<Ended>,
    ids: BTreeMap<tokio::task::Id, MoveId>,
    told: mpsc::UnboundedSender<(MoveId, MigrationEvent)>,
    hears: mpsc::UnboundedReceiver<(MoveId, MigrationEvent)>,
    /// Moves that are to be aborted; the flag tells their thread, if it has not asked yet.
    called_off: BTreeMap<MoveId, Arc<AtomicBool>>,
    aborts: JoinSet<()>,
    interrupted: u32,
}

impl Shell<'_> {
    async fn run(
        &mut self,
        interrupts: &mut mpsc::UnboundedReceiver<()>,
    ) -> Result<(), JournalError> {
        for mv in &self.scene.plan.moves {
            if matches!(self.state(&mv.id), Some(MoveState::Running { .. })) {
                self.find_out(mv);
            }
        }
        if self.progress.aborted {
            self.call_off();
        }
        loop {
            self.observed.now = self.now();
            let actions = decide(
                &self.scene.plan,
                &self.progress,
                self.limits,
                &self.observed,
            );
            if actions.is_empty() {
                return Ok(());
            }
            for action in actions {
                match action {
                    Action::Start { id, attempt } => self.start(&id, attempt)?,
                    Action::Skip { id, reason } => self.write(Event::Skipped { id, reason })?,
                    Action::Wait { until } => self.wait(until, interrupts).await?,
                    Action::Finish { complete } => self.write(Event::Finished { complete })?,
                    Action::Leave => return Ok(()),
                }
            }
        }
    }

    fn now(&self) -> Micros {
        Micros(u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn state(&self, id: &MoveId) -> Option<&MoveState> {
        self.progress.moves.get(id)
    }

    /// Makes an event durable, then takes it in.
    fn write(&mut self, event: Event) -> Result<(), JournalError> {
        let entry = self.journal.append(event)?;
        self.take_in(&entry);
        Ok(())
    }

    fn take_in(&mut self, entry: &Entry) {
        self.progress.apply(&entry.event);
        (self.hear)(Heard::Entry(entry));
    }

    fn start(&mut self, id: &MoveId, attempt: u32) -> Result<(), JournalError> {
        let Some(mv) = self.scene.plan.moves.iter().find(|m| m.id == *id) else {
            return Ok(());
        };
        let underway: Vec<Move> = self
            .scene
            .plan
            .moves
            .iter()
            .filter(|m| matches!(self.state(&m.id), Some(MoveState::Running { .. })))
            .cloned()
            .collect();
        self.write(Event::Intended {
            id: mv.id.clone(),
            guest: mv.guest.clone(),
            from: mv.from.clone(),
            to: mv.to.clone(),
            mode: mv.mode,
            attempt,
        })?;
        let (scene, mv, told) = (self.scene.clone(), mv.clone(), self.told.clone());
        let limits = *self.limits;
        let off = Arc::new(AtomicBool::new(false));
        self.called_off.insert(mv.id.clone(), off.clone());
        let id = mv.id.clone();
        let thread = self.threads.spawn_blocking(move || {
            migrate(&scene, &mv, &underway, &off, &limits, &mut |event| {
                // The shell hears until its threads have ended; nobody else drops the other end.
                let _ = told.send((mv.id.clone(), event));
            })
        });
        self.ids.insert(thread.id(), id);
        Ok(())
    }

    /// Finds out where a move stands whose executor died.
    fn find_out(&mut self, mv: &Move) {
        let (scene, mv, limits) = (self.scene.clone(), mv.clone(), *self.limits);
        self.called_off
            .insert(mv.id.clone(), Arc::new(AtomicBool::new(false)));
        let id = mv.id.clone();
        let thread = self
            .threads
            .spawn_blocking(move || find_out(&scene, &mv, &limits));
        self.ids.insert(thread.id(), id);
    }

    async fn wait(
        &mut self,
        until: Option<Micros>,
        interrupts: &mut mpsc::UnboundedReceiver<()>,
    ) -> Result<(), JournalError> {
        let left = until.map_or(TICK, |u| {
            Duration::from_micros(u.0.saturating_sub(self.now().0)).min(TICK)
        });
        tokio::select! {
            biased;
            Some(()) = interrupts.recv() => {
                self.interrupted += 1;
                (self.hear)(Heard::Interrupt { times: self.interrupted });
                self.observed.draining = true;
                if self.interrupted > 1 {
                    self.call_off();
                }
                Ok(())
            }
            Some((id, event)) = self.hears.recv() => self.told(id, &event),
            Some(ended) = self.threads.join_next_with_id() => self.ended(ended),
            () = tokio::time::sleep(left) => self.tick(),
        }
    }

    fn told(&mut self, id: MoveId, event: &MigrationEvent) -> Result<(), JournalError> {
        match event {
            MigrationEvent::Switched { after } => {
                self.write(Event::Switched { id, switch: *after })
            }
            MigrationEvent::Progress {
                transferred,
                remaining,
            } => {
                (self.hear)(Heard::Progress {
                    id: &id,
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
        while let Ok((id, event)) = self.hears.try_recv() {
            self.told(id, &event)?;
        }
        let (thread, ended) = match ended {
            Ok((thread, ended)) => (thread, ended),
            Err(e) => (
                e.id(),
                Ended::Stuck(format!("the executor's own thread broke: {e}")),
            ),
        };
        let Some(id) = self.ids.remove(&thread) else {
            return Ok(());
        };
        let off = self
            .called_off
            .remove(&id)
            .is_some_and(|off| off.load(Ordering::Relaxed));
        let switched = match self.state(&id) {
            Some(MoveState::Running { switch, .. }) => *switch,
            _ => None,
        };
        match ended {
            Ended::Moved(report) => {
                if let Some(report) = report.filter(|_| switched.is_none()) {
                    self.write(Event::Switched {
                        id: id.clone(),
                        switch: report.switch,
                    })?;
                }
                self.write(Event::Moved {
                    id,
                    total: report.map(|r| r.total),
                    switch: report.map(|r| r.switch).or(switched),
                })
            }
            Ended::Failed(error) if off => {
                tracing::info!("move {id} was called off: {error}");
                self.write(Event::Interrupted { id })
            }
            Ended::Failed(error) => {
                let failed = match self.state(&id) {
                    Some(MoveState::Running { attempt, .. }) => *attempt,
                    _ => 1,
                };
                let again = self.now() + back_off(self.limits, failed);
                self.observed.retry_at.insert(id.clone(), again);
                self.write(Event::Failed { id, error })
            }
            Ended::Interrupted => self.write(Event::Interrupted { id }),
            Ended::Changed(reason) => self.write(Event::Skipped { id, reason }),
            Ended::Stuck(state) => self.write(Event::Stuck { id, state }),
        }
    }

    fn tick(&mut self) -> Result<(), JournalError> {
        for entry in self.journal.news()? {
            self.take_in(&entry);
        }
        if self.progress.aborted || self.interrupted > 1 {
            self.call_off();
        }
        Ok(())
    }

    /// Asks the hypervisor to abort every migration that has not switched. Repeated at each tick:
    /// a migration may only just be beginning.
    fn call_off(&mut self) {
        while self.aborts.try_join_next().is_some() {}
        if !self.aborts.is_empty() {
            return;
        }
        let unswitched: BTreeSet<&MoveId> = self
            .progress
            .moves
            .iter()
            .filter(|(_, s)| matches!(s, MoveState::Running { switch: None, .. }))
            .map(|(id, _)| id)
            .collect();
        for mv in &self.scene.plan.moves {
            if let Some(off) = self.called_off.get(&mv.id)
                && unswitched.contains(&mv.id)
            {
                off.store(true, Ordering::Relaxed);
                let (scene, mv) = (self.scene.clone(), mv.clone());
                self.aborts.spawn_blocking(move || {
                    if let Err(e) = scene.hypervisor.abort(&mv.guest, &mv.from) {
                        tracing::debug!("move {} was not aborted: {e}", mv.id);
                    }
                });
            }
        }
    }
}

/// One try of a move, from its preconditions to its end. Blocks.
fn migrate(
    scene: &Scene,
    mv: &Move,
    underway: &[Move],
    off: &AtomicBool,
    limits: &Limits,
    told: &mut dyn FnMut(MigrationEvent),
) -> Ended {
    let looked = scene
        .hypervisor
        .snapshot()
        .map(|now| (now, scene.hypervisor.locate(&mv.guest).seen));
    let (now, seen) = match looked {
        Ok(looked) => looked,
        Err(e) => return Ended::Failed(e.to_string()),
    };
    let changes = recheck(&scene.plan, mv, &now, &seen, underway);
    if !changes.is_empty() {
        let all: Vec<String> = changes.into_iter().map(|c| c.detail).collect();
        return Ended::Changed(all.join("; "));
    }
    match scene
        .hypervisor
        .obstacles(&mv.guest, (&mv.from, &mv.to), mv.mode)
    {
        Ok(obstacles) if obstacles.is_empty() => {}
        Ok(obstacles) => return Ended::Changed(obstacles.join("; ")),
        Err(e) => return Ended::Failed(e.to_string()),
    }
    if off.load(Ordering::Relaxed) {
        return Ended::Failed("called off before it began".to_owned());
    }
    tracing::info!("move {}: its preconditions hold", mv.id);
    let request = MigrationRequest {
        guest: mv.guest.clone(),
        from: mv.from.clone(),
        to: mv.to.clone(),
        mode: mv.mode,
        stream: stream(scene.plan.policy.migrations.stream, mv),
        give_up: give_up(mv),
    };
    match scene.hypervisor.migrate(&request, told) {
        Ok(report) => Ended::Moved(Some(report)),
        Err(MigrationFailure::StaysAtSource(error)) => Ended::Failed(error),
        Err(MigrationFailure::Impossible(error)) => Ended::Changed(error),
        Err(MigrationFailure::Split(error)) => {
            let seen = scene.hypervisor.locate(&mv.guest).seen;
            Ended::Stuck(format!("{}: {error}", split(mv, &seen)))
        }
        Err(MigrationFailure::Unknown(error)) => match find_out(scene, mv, limits) {
            Ended::Interrupted => Ended::Failed(error),
            other => other,
        },
    }
}

/// How the memory goes over: as the plan and its policy say.
fn stream(policy: StreamPolicy, mv: &Move) -> Stream {
    let bandwidth = Some(mv.bandwidth).filter(|b| b.0 > 0);
    Stream {
        bandwidth,
        bandwidth_postcopy: bandwidth,
        tls: policy == StreamPolicy::Tls,
        ..Stream::default()
    }
}

/// A migration is given up after twice its predicted length and half a minute: a prediction may be
/// off, a guest that dirties faster than the link may never end.
fn give_up(mv: &Move) -> Micros {
    Micros(mv.duration.0.saturating_mul(2)) + Micros::secs(30)
}

/// Looks at the guest until it is clear where the move stands. Blocks. A migration that was only
/// just asked for cannot be seen yet, so the guest counts as left at the source only when it is
/// still seen there a back-off later.
fn find_out(scene: &Scene, mv: &Move, limits: &Limits) -> Ended {
    tracing::info!(
        "looking for guest {}, whose migration {} nobody watches",
        mv.guest,
        mv.id
    );
    let began = Instant::now();
    let mut at_source = false;
    loop {
        let located = scene.hypervisor.locate(&mv.guest);
        let standing = match located.silent.first() {
            None => Ok(settle(mv, &located.seen)),
            Some(host) => Err(format!("host {host} does not answer")),
        };
        let (limit, unclear) = match standing {
            Ok(Standing::Moved) => return Ended::Moved(None),
            Ok(Standing::AtSource) if at_source => return Ended::Interrupted,
            Ok(Standing::AtSource) => {
                at_source = true;
                std::thread::sleep(limits.back_off.to_std());
                continue;
            }
            Ok(Standing::Changed(reason)) => return Ended::Changed(reason),
            Ok(Standing::Stuck(state)) => return Ended::Stuck(state),
            Ok(Standing::Underway) => (
                limits.patience.max(give_up(mv)),
                format!(
                    "guest {} is still being migrated from {} to {}, and does not come to an end",
                    mv.guest, mv.from, mv.to
                ),
            ),
            Err(e) => (
                limits.patience,
                format!(
                    "where guest {} is cannot be seen ({e}): look for it on {} and {}",
                    mv.guest, mv.from, mv.to
                ),
            ),
        };
        at_source = false;
        if began.elapsed() >= limit.to_std() {
            return Ended::Stuck(unclear);
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests;
