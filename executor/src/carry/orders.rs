//! Taking orders in, or refusing them: what [`crate::holder`] promises.

use std::collections::BTreeSet;

use tokio::sync::oneshot;
use vmpack_domain::HostName;
use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{MoveState, Priority, RunId};
use vmpack_domain::plan::Plan;

use super::live::{Live, is_open, waits};
use super::{Admitted, Shell};
use crate::admit::{Admission, Ask, admit};
use crate::holder::{Order, Refusal};
use crate::journal::JournalError;
use crate::preflight::well_formed;

impl Shell<'_> {
    pub(super) fn ordered(
        &mut self,
        order: Box<Order>,
        told: oneshot::Sender<Result<RunId, Refusal>>,
    ) -> Result<(), JournalError> {
        let same = |r: &Live| is_open(r) && *r.plan == order.plan && r.priority == order.priority;
        let underway = self.runs.iter().find(|(_, r)| same(r)).map(|(id, _)| *id);
        let answer = if let Err(what) = well_formed(&order.plan) {
            Err(Refusal::new(Exit::BadInput, what))
        } else if let Some(differs) = order
            .world
            .as_ref()
            .and_then(|w| self.terms.world.differs(w))
        {
            let error = format!("the executor at work is another cluster's: {differs}");
            Err(Refusal::new(Exit::Environment, error))
        } else if let Some(id) = underway {
            Ok(id)
        } else if self.observed.draining {
            let error = "the executor at work is being stopped";
            Err(Refusal::new(Exit::Environment, error).hint("try again when it has ended"))
        } else if order.priority == Priority::Relief {
            match self.sleeps(&order.plan) {
                None => return self.accept(&order, told),
                Some(refusal) => Err(refusal),
            }
        } else if let Some(refusal) = self.conflict(&order.plan) {
            Err(refusal)
        } else {
            let scene = self.scene.clone();
            self.admissions.spawn_blocking(move || {
                let admission = admit(&scene, &order.plan, Ask::Ends);
                (order, told, admission)
            });
            return Ok(());
        };
        let _ = told.send(answer);
        Ok(())
    }

    pub(super) fn admitted(
        &mut self,
        (order, told, admission): Admitted,
    ) -> Result<(), JournalError> {
        let refusal = match admission {
            Err(refusal) => Some(refusal),
            Ok(Admission::CarriedOut(_)) => Some(Refusal::new(
                Exit::Done,
                "already carried out: every guest is where the plan puts it",
            )),
            Ok(Admission::Fits(_)) => self.conflict(&order.plan),
        };
        match refusal {
            None => self.accept(&order, told),
            Some(refusal) => {
                let _ = told.send(Err(refusal));
                Ok(())
            }
        }
    }

    /// Whether the host may sleep, which it counts as doing from then on.
    pub(super) fn sleep(&mut self, host: HostName) -> Result<(), Refusal> {
        let refused = |error| Err(Refusal::new(Exit::Environment, error));
        if self.observed.draining {
            return refused("the executor at work is being stopped".to_owned());
        }
        if let Some((id, _)) = self.changes(&BTreeSet::from([&host])) {
            return refused(format!(
                "run {id} is not at its end and changes host {host}"
            ));
        }
        self.asleep.insert(host);
        Ok(())
    }

    /// A run that has yet to move a guest to one of those hosts or from it, and which.
    fn changes(&self, hosts: &BTreeSet<&HostName>) -> Option<(RunId, HostName)> {
        let open = |s: &MoveState| s.underway() || waits(s);
        let mut others = self.runs.iter().filter(|(_, r)| is_open(r));
        others.find_map(|(id, run)| {
            let mut theirs = run.those(open).flat_map(|m| [&m.from, &m.to]);
            Some((*id, theirs.find(|host| hosts.contains(host))?.clone()))
        })
    }

    /// Why a plan cannot be carried out beside those that are: it rests on hosts that they change, or that
    /// are being put to sleep.
    fn conflict(&self, plan: &Plan) -> Option<Refusal> {
        let shared = self.changes(&ends(plan).collect());
        let shared = shared.map(|(id, host)| {
            let error = format!("run {id} is not at its end and changes host {host}, too");
            let hint = "wait for it, or end it by `vmpack-executor abort`; then plan again";
            Refusal::new(Exit::StalePlan, error).hint(hint)
        });
        shared.or_else(|| self.sleeps(plan))
    }

    /// Why a plan cannot be carried out: a host that it rests on is being put to sleep.
    fn sleeps(&self, plan: &Plan) -> Option<Refusal> {
        let host = ends(plan).find(|host| self.asleep.contains(*host))?;
        let error = format!("host {host} is being put to sleep, or sleeps");
        let hint = "take a new snapshot and plan again; what the plan needs awake is woken first";
        Some(Refusal::new(Exit::StalePlan, error).hint(hint))
    }

    fn accept(
        &mut self,
        order: &Order,
        told: oneshot::Sender<Result<RunId, Refusal>>,
    ) -> Result<(), JournalError> {
        let (file, world) = (order.file.as_deref(), &self.terms.world);
        let (plan, journal) = (&order.plan, &mut *self.journal);
        let accepted = if order.reverses {
            journal.accept_reverse(plan, world)?
        } else {
            journal.accept(plan, file, order.priority, world)?
        };
        let entries = std::slice::from_ref(&accepted);
        self.take_on(accepted.run, order.priority, entries);
        self.tell(&accepted);
        let _ = told.send(Ok(accepted.run));
        Ok(())
    }
}

/// The hosts that a plan moves guests between.
fn ends(plan: &Plan) -> impl Iterator<Item = &HostName> {
    plan.moves.iter().flat_map(|m| [&m.from, &m.to])
}
