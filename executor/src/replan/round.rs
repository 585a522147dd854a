//! Carries runs out and, where they leave something undone, the plans that are made anew for it. The
//! shell around [`super::next`] and [`super::basis`]; whoever calls it holds the lock all the while.
//!
//! The new plan is in the journal, with the run that it follows, before anything of it is begun. A
//! process that dies before that leaves a run that is at its end: whoever is to plan anew begins from there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use vmpack_domain::journal::{Priority, Progress, RunId};
use vmpack_domain::plan::Plan;
use vmpack_domain::units::count;
use vmpack_domain::{Cluster, HostName, Policy};

use super::{Next, basis, next};
use crate::admit::{self, Admission, admit};
use crate::attempt::Scene;
use crate::carry::{Heard, hold};
use crate::holder::{Ask, Terms};
use crate::journal::{Journal, JournalError, Run};

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
}

impl Carried {
    /// Where that run is the last of a chain and more hosts are in use than the first plan of it said.
    #[must_use]
    pub fn more_hosts(&self, run: RunId, in_use: Option<&[HostName]>) -> Option<String> {
        let before = |id: RunId| {
            let mut links = self.followed.iter();
            links
                .find(|(_, next)| **next == id)
                .map(|(before, _)| *before)
        };
        if self.followed.contains_key(&run) {
            return None;
        }
        let mut first = run;
        while let Some(id) = before(first) {
            first = id;
        }
        let planned = &self.runs.get(&first)?.plan.as_ref()?.hosts.after;
        let used = in_use.filter(|used| first != run && used.len() > planned.len())?;
        Some(format!(
            "{} are in use, the first plan said {}",
            count(used.len(), "host"),
            planned.len()
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
    (journal, asks): (&mut Journal, &mut mpsc::UnboundedReceiver<Ask>),
    hear: &mut dyn FnMut(Heard<'_>),
    anew: Option<&Anew>,
) -> Result<Carried, JournalError> {
    let mut carried = Carried::default();
    carried
        .runs
        .extend(hold(scene, runs, terms, journal, asks, hear).await?);
    let Some(anew) = anew else {
        return Ok(carried);
    };
    let plans = runs
        .iter()
        .filter(|r| r.priority() == Priority::Consolidation);
    let mut last = plans.map(|r| r.id).max();
    while let Some(before) = last {
        let run = follow(scene, before, terms, journal, hear, anew).await?;
        last = run.as_ref().map(|r| r.id);
        carried.followed.extend(last.map(|run| (before, run)));
        // Who asked for something meanwhile is answered, too.
        if run.is_none() && asks.is_empty() {
            break;
        }
        if let Some(accepted) = run.iter().flat_map(|r| &r.entries).next() {
            hear(Heard::Entry(accepted));
        }
        let runs: Vec<Run> = run.into_iter().collect();
        carried
            .runs
            .extend(hold(scene, &runs, terms, journal, asks, hear).await?);
    }
    Ok(carried)
}

/// The run of the plan for what that run left, accepted; nothing where there is none, which is told.
async fn follow(
    scene: &Scene,
    before: RunId,
    terms: &Terms<'_>,
    journal: &mut Journal,
    hear: &mut dyn FnMut(Heard<'_>),
    anew: &Anew,
) -> Result<Option<Run>, JournalError> {
    let chain = journal.chain(before)?;
    let made = match next(&chain, anew.most) {
        Next::Reached => return Ok(None),
        Next::Ends(why) => Err(why),
        Next::Plan => {
            hear(Heard::PlansAnew { run: before });
            let (scene, anew) = (scene.clone(), anew.clone());
            let made = spawn_blocking(move || make(&scene, &chain, &anew)).await;
            made.unwrap_or_else(|e| Err(format!("a bug ended the planning: {e}")))
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
        Err(why) => {
            hear(Heard::NotAnew { run: before, why });
            Ok(None)
        }
    }
}

/// The plan, which fits the hosts as they are. Blocks.
fn make(scene: &Scene, chain: &[Run], anew: &Anew) -> Result<Plan, String> {
    let unseen = |e: vmpack_hypervisor::Error| format!("the hosts cannot be seen: {e}");
    let now = scene.hypervisor.snapshot().map_err(unseen)?;
    let basis = basis(chain, &now, (scene.wall)())?;
    let mut plan = (anew.planner)(&basis.cluster, &basis.policy)?;
    if anew.stopped.load(Ordering::Relaxed) {
        return Err("asked to stop".to_owned());
    }
    if plan.moves.is_empty() {
        return Err(format!(
            "from here no plan moves a guest: {}",
            basis.why.join("; ")
        ));
    }
    plan.reasons.splice(0..0, basis.why);
    match admit(scene, &plan, admit::Ask::All) {
        Ok(Admission::Fits(_)) => Ok(plan),
        Ok(Admission::CarriedOut(_)) => Err("it is carried out already".to_owned()),
        Err(refusal) => Err(refusal.to_string()),
    }
}
