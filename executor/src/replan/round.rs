//! Carries runs out and, where they leave something undone, the plans that are made anew for it. The
//! shell around [`super::next`] and [`super::basis`]; whoever calls it holds the lock all the while.
//!
//! The new plan is in the journal, with the run that it follows, before anything of it is begun. A
//! process that dies before that leaves a run that is at its end: whoever is to plan anew begins from there.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;
use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{Event, Priority, Progress, RunId};
use vmpack_domain::plan::Plan;
use vmpack_domain::units::count;
use vmpack_domain::{Cluster, HostName, Policy};

use super::{Basis, Next, basis, first_plan, known, made, next};
use crate::admit::{self, Admission, admit};
use crate::attempt::Scene;
use crate::carry::{Heard, hold};
use crate::holder::{Ask, Refusal, Terms};
use crate::journal::{Entry, Journal, JournalError, Run};
use crate::sight::look;

/// Makes a plan, or says why there is none.
pub type Planner = dyn Fn(&Cluster, &Policy) -> Result<Plan, String> + Send + Sync;

/// How plans are made anew.
#[derive(Clone)]
pub struct Anew {
    /// So many runs may follow the first of a chain.
    pub most: u32,
    /// Makes them; called on a thread of its own.
    pub planner: Arc<Planner>,
    /// Whether the user asked to stop: then none is carried out any more.
    pub stopped: Arc<AtomicBool>,
}

/// What became of the runs.
#[derive(Debug, Default)]
pub struct Carried {
    /// Where each stands.
    pub runs: BTreeMap<RunId, Progress>,
    /// By run of which the rest was planned anew, the run of that plan.
    pub followed: BTreeMap<RunId, RunId>,
    /// By run that was planned for what others left, how many hosts the first plan of them was to leave in
    /// use, whoever carried it out.
    pub promised: BTreeMap<RunId, usize>,
}

impl Carried {
    /// Where that run is the last of a chain and more hosts are in use than the first plan of it said.
    #[must_use]
    pub fn more_hosts(&self, run: RunId, in_use: Option<&[HostName]>) -> Option<String> {
        if self.followed.contains_key(&run) {
            return None;
        }
        let planned = *self.promised.get(&run)?;
        let used = in_use.filter(|used| used.len() > planned)?;
        Some(format!(
            "{} are in use, the first plan said {planned}",
            count(used.len(), "host"),
        ))
    }
}

/// As [`hold`]; then what the newest of the runs left undone is planned anew, and that carried out, and so on.
///
/// # Errors
/// As [`hold`].
pub async fn carry_through(
    scene: &Scene,
    runs: &[Run],
    terms: &Terms<'_>,
    (journal, asks): (&mut Journal, &mut UnboundedReceiver<Ask>),
    hear: &mut dyn FnMut(Heard<'_>),
    anew: Option<&Anew>,
) -> Result<Carried, JournalError> {
    let mut carried = Carried::default();
    for run in runs.iter().filter(|r| r.follows().is_some()) {
        let first = first_plan(&journal.chain(run.id)?);
        let promised = first.map(|plan| (run.id, plan.hosts.after.len()));
        carried.promised.extend(promised);
    }
    let (keep, kept) = unbounded_channel();
    let mut queue = Queue {
        asks,
        keep,
        kept,
        followers: Vec::new(),
    };
    carried
        .runs
        .extend(queue.hold(scene, runs, terms, journal, hear).await?);
    let Some(anew) = anew else {
        return Ok(carried);
    };
    let plans = runs
        .iter()
        .filter(|r| r.priority() == Priority::Consolidation);
    let mut last = plans.map(|r| r.id).max();
    while let Some(before) = last {
        let desk = (&mut *journal, &mut queue);
        let run = follow(scene, before, terms, desk, hear, anew).await?;
        last = run.as_ref().map(|r| r.id);
        carried.followed.extend(last.map(|run| (before, run)));
        // Who asked for something meanwhile is answered, too.
        if run.is_none() && queue.asks.is_empty() && queue.kept.is_empty() {
            break;
        }
        if let Some(run) = &run {
            let first = first_plan(&journal.chain(before)?);
            let promised = first.map(|plan| (run.id, plan.hosts.after.len()));
            carried.promised.extend(promised);
            run.entries.iter().for_each(|e| queue.tell(e, hear));
        }
        let runs: Vec<Run> = run.into_iter().collect();
        carried
            .runs
            .extend(queue.hold(scene, &runs, terms, journal, hear).await?);
    }
    Ok(carried)
}

/// What is asked. What comes while a plan is made and cannot be answered then is kept for the next run.
struct Queue<'a> {
    asks: &'a mut UnboundedReceiver<Ask>,
    keep: UnboundedSender<Ask>,
    kept: UnboundedReceiver<Ask>,
    /// Who hears every event: of all runs, and of what is between them.
    followers: Vec<UnboundedSender<Entry>>,
}

impl Queue<'_> {
    /// [`hold`], which hears what was kept, then what comes.
    async fn hold(
        &mut self,
        scene: &Scene,
        runs: &[Run],
        terms: &Terms<'_>,
        journal: &mut Journal,
        hear: &mut dyn FnMut(Heard<'_>),
    ) -> Result<BTreeMap<RunId, Progress>, JournalError> {
        let mut rest = Vec::new();
        while let Ok(ask) = self.kept.try_recv() {
            // Those who follow are known.
            if !matches!(ask, Ask::Follow(_)) {
                rest.push(ask);
            }
        }
        self.followers.retain(|f| !f.is_closed());
        let again: Vec<Ask> = self.followers.iter().cloned().map(Ask::Follow).collect();
        let (asks, keep, followers) = (&mut *self.asks, &self.keep, &mut self.followers);
        // The other end is ours, here and below.
        again
            .into_iter()
            .chain(rest)
            .for_each(|ask| drop(keep.send(ask)));
        let mut pass = |ask: Ask| {
            if let Ask::Follow(told) = &ask {
                followers.push(told.clone());
            }
            let _ = keep.send(ask);
        };
        while let Ok(ask) = asks.try_recv() {
            pass(ask);
        }
        let pass_on = async move {
            while let Some(ask) = asks.recv().await {
                pass(ask);
            }
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            ended = hold(scene, runs, terms, journal, &mut self.kept, hear) => ended,
            never = pass_on => match never {},
        }
    }

    /// An event between two runs.
    fn tell(&mut self, entry: &Entry, hear: &mut dyn FnMut(Heard<'_>)) {
        hear(Heard::Entry(entry));
        self.followers.retain(|f| f.send(entry.clone()).is_ok());
    }
}

/// The run of the plan for what that run left, accepted; nothing where there is none, which is told.
async fn follow(
    scene: &Scene,
    before: RunId,
    terms: &Terms<'_>,
    (journal, queue): (&mut Journal, &mut Queue<'_>),
    hear: &mut dyn FnMut(Heard<'_>),
    anew: &Anew,
) -> Result<Option<Run>, JournalError> {
    let chain = journal.chain(before)?;
    let made = match next(&chain, anew.most) {
        Next::Reached => return Ok(None),
        Next::Ends(why) => Err(why),
        Next::Plan => {
            hear(Heard::PlansAnew { run: before });
            let ids: Vec<RunId> = chain.iter().map(|r| r.id).collect();
            let (scene, own) = (scene.clone(), anew.clone());
            let mut making = spawn_blocking(move || make(&scene, &chain, &own));
            let (mut aborted, mut interrupts) = (None, 0);
            let made = loop {
                let ask = tokio::select! {
                    biased;
                    made = &mut making => break made,
                    Some(ask) = queue.asks.recv() => ask,
                };
                match ask {
                    Ask::Abort { run, by, told } => {
                        let own = run.is_none_or(|run| ids.contains(&run));
                        if own && aborted.is_none() {
                            anew.stopped.store(true, Ordering::Relaxed);
                            let event = Event::Aborted { by: by.clone() };
                            queue.tell(&journal.append(before, event)?, hear);
                            aborted = Some(by);
                        }
                        // Who asked may be gone, here and below.
                        let _ = told.send(own.then_some(before).into_iter().collect());
                    }
                    Ask::Interrupt => {
                        interrupts += 1;
                        anew.stopped.store(true, Ordering::Relaxed);
                        hear(Heard::Interrupt { times: interrupts });
                    }
                    Ask::Status(told) => {
                        let _ = told.send(Vec::new());
                    }
                    Ask::Order(order, told) if order.priority == Priority::Consolidation => {
                        let _ = told.send(Err(is_planned(before)));
                    }
                    Ask::Follow(told) => queue.followers.push(told),
                    ask => {
                        let _ = queue.keep.send(ask);
                    }
                }
            };
            match (aborted, made) {
                (Some(by), _) => Err(format!("asked to abort by {by}")),
                _ if interrupts > 0 => Err("asked to stop".to_owned()),
                (None, Ok(made)) => made,
                (None, Err(e)) => Err(format!("a bug ended the planning: {e}")),
            }
        }
    };
    match made {
        Ok(plan) => {
            let accepted = journal.accept_after(before, &plan, &terms.world)?;
            Ok(Some(Run {
                id: accepted.run,
                world: terms.world.clone(),
                entries: vec![accepted],
            }))
        }
        Err(reason) => {
            let event = Event::NotReplanned { reason };
            queue.tell(&journal.append(before, event)?, hear);
            Ok(None)
        }
    }
}

/// Why a plan is not taken in: what it would rest on is being planned.
fn is_planned(before: RunId) -> Refusal {
    let error = format!("what run {before} left is being planned anew, and would change the hosts");
    Refusal::new(Exit::StalePlan, error)
        .hint("wait for it, or end it by `vmpack-executor abort`; then plan again")
}

/// The plan, which fits the hosts as they are. Blocks.
fn make(scene: &Scene, chain: &[Run], anew: &Anew) -> Result<Plan, String> {
    let unseen = |e: vmpack_hypervisor::Error| format!("the hosts cannot be seen: {e}");
    let sight = look(&*scene.hypervisor, &known(chain)).map_err(unseen)?;
    let basis = basis(chain, &sight, (scene.wall)())?;
    let stopped = || anew.stopped.load(Ordering::Relaxed);
    let planner = |basis: &Basis| {
        let plan = (anew.planner)(&basis.cluster, &basis.policy)?;
        if plan.moves.is_empty() {
            let why = basis.why.join("; ");
            return Err(format!("from here no plan moves a guest: {why}"));
        }
        Ok(plan)
    };
    let plan = made(basis, &planner, &stopped);
    if stopped() {
        return Err("asked to stop".to_owned());
    }
    let plan = plan?;
    let ask = if sight.silent.is_empty() {
        admit::Ask::All
    } else {
        admit::Ask::Ends
    };
    match admit(scene, &plan, ask) {
        Ok(Admission::Fits(_)) => Ok(plan),
        Ok(Admission::CarriedOut(_)) => Err("it is carried out already".to_owned()),
        Err(refusal) => Err(refusal.to_string()),
    }
}
