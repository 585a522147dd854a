//! One life of an executor: the product's loop on a thread and a runtime of its own, and what is done
//! to it when its journal has so many events.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use vmpack_domain::journal::Progress;
use vmpack_domain::plan::Plan;
use vmpack_domain::units::Micros;
use vmpack_executor::attempt::Scene;
use vmpack_executor::carry::{Heard, hold};
use vmpack_executor::decide::Limits;
use vmpack_executor::holder::{self, Terms};
use vmpack_executor::journal::{Journal, JournalError};
use vmpack_executor::world::World as Hosts;

use crate::judge::Controller;
use crate::stage::{Killed, Life, Stage};

/// Something that happens to an executor.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Begin(usize),
    Kill(u64),
    Interrupt,
    Abort,
    Hold,
    Release,
    Relieve(Box<Plan>),
    Jump(i64),
}

/// How a life ended.
pub(crate) enum End {
    Killed,
    Failed(String),
    /// Whether every run is at its end.
    Left(bool),
}

/// What an executor's thread works with.
pub(crate) struct Work {
    pub(crate) controller: Controller,
    pub(crate) scene: Scene,
    pub(crate) stage: Arc<Stage>,
    pub(crate) life: Life,
    pub(crate) hosts: Hosts,
    pub(crate) inhibit: PathBuf,
    pub(crate) watch: Option<Watch>,
}

/// Acts when the journal has so many events.
pub(crate) struct Watch {
    pub(crate) events: Arc<AtomicUsize>,
    pub(crate) triggers: Arc<Mutex<Vec<(usize, Act)>>>,
    pub(crate) triggered: Arc<Mutex<Vec<Act>>>,
    pub(crate) backs: Arc<Mutex<Vec<u64>>>,
}

impl Work {
    /// To its end or its death.
    pub(crate) fn run(
        self,
        mut asks: tokio::sync::mpsc::UnboundedReceiver<holder::Ask>,
        killed: &Notify,
    ) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_keep_alive(Duration::from_millis(1))
            .build()
            .expect("a runtime");
        let lived = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = killed.notified() => None,
                    held = self.hold(&mut asks) => Some(held),
                }
            })
        }));
        // Threads of a dead executor end at their next call.
        runtime.shutdown_background();
        match lived {
            Ok(Some(Ok(progress))) => End::Left(progress.iter().all(|p| p.finished.is_some())),
            Ok(Some(Err(e))) => End::Failed(e.to_string()),
            Ok(None) => End::Killed,
            Err(panic) if panic.is::<Killed>() => End::Killed,
            Err(panic) => resume_unwind(panic),
        }
    }

    async fn hold(
        &self,
        asks: &mut tokio::sync::mpsc::UnboundedReceiver<holder::Ask>,
    ) -> Result<Vec<Progress>, JournalError> {
        let mut journal = Journal::open(&self.controller.journal)?;
        let runs = journal.unfinished()?;
        let limits = |_: &Plan| Limits {
            parallel: self.controller.parallel,
            per_host: self.controller.per_host,
            tries: 2,
            back_off: Micros::secs(1),
            recoveries: 12,
            patience: Micros::secs(20),
            canary: self.controller.care.canary,
            stop_after: self.controller.care.stop_after,
            verify: self.controller.care.verify,
        };
        let terms = Terms {
            world: self.hosts.clone(),
            limits: &limits,
            stays: false,
            inhibit: self.inhibit.clone(),
        };
        let hear = &mut |heard: Heard<'_>| self.hear(&heard);
        let ends = hold(&self.scene, &runs, &terms, &mut journal, asks, hear).await?;
        Ok(ends.into_values().collect())
    }

    /// An event is on the disk.
    fn hear(&self, heard: &Heard<'_>) {
        let Heard::Entry(entry) = heard else { return };
        {
            let mut state = self.stage.lock();
            let now = state.world.now();
            let line = serde_json::to_string(&entry.event).unwrap_or_default();
            let line: String = line.chars().take(160).collect();
            state
                .judge
                .note(now, format_args!("    {}: {line}", self.controller.name));
        }
        let Some(watch) = &self.watch else { return };
        let events = watch.events.fetch_add(1, Ordering::SeqCst) + 1;
        let mut triggers = watch
            .triggers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *triggers).into_iter();
        let (now, later): (Vec<_>, Vec<_>) = all.partition(|(at, _)| *at <= events);
        *triggers = later;
        drop(triggers);
        let mut dies = false;
        for (_, act) in now {
            match act {
                Act::Kill(back) => {
                    dies = true;
                    watch
                        .backs
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(back);
                }
                act => {
                    let mut triggered = watch.triggered.lock();
                    let triggered = triggered.as_mut();
                    triggered
                        .unwrap_or_else(|_| unreachable!("nobody panics with it"))
                        .push(act);
                }
            }
        }
        if dies {
            self.stage.lock().kill(self.life);
            resume_unwind(Box::new(Killed));
        }
    }
}
