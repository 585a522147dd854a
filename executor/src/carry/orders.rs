//! Taking orders in, or refusing them: what [`crate::holder`] promises.

use std::collections::BTreeSet;

use tokio::sync::oneshot;
use vmpack_domain::HostName;
use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{MoveState, Priority, Progress, RunId};
use vmpack_domain::plan::{Move, Plan};

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
            return self.accept(&order, told);
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

    /// Why a plan cannot be carried out beside those that are: it rests on hosts that they change.
    fn conflict(&self, plan: &Plan) -> Option<Refusal> {
        let hosts = |m: &Move| [m.from.clone(), m.to.clone()];
        let own: BTreeSet<HostName> = plan.moves.iter().flat_map(hosts).collect();
        let open = |s: &MoveState| s.underway() || waits(s);
        let theirs = |run: &Live| {
            let moves = run.those(open).flat_map(hosts);
            moves.collect::<BTreeSet<HostName>>()
        };
        let others = self.runs.iter().filter(|(_, r)| is_open(r));
        for (id, run) in others {
            let shared = theirs(run);
            if let Some(host) = shared.intersection(&own).next() {
                let error = format!("run {id} is not at its end and changes host {host}, too");
                let hint = "wait for it, or end it by `vmpack-executor abort`; then plan again";
                return Some(Refusal::new(Exit::StalePlan, error).hint(hint));
            }
        }
        None
    }

    fn accept(
        &mut self,
        order: &Order,
        told: oneshot::Sender<Result<RunId, Refusal>>,
    ) -> Result<(), JournalError> {
        let (file, world) = (order.file.as_deref(), &self.terms.world);
        let accepted = self
            .journal
            .accept(&order.plan, file, order.priority, world)?;
        let progress = Progress::fold([&accepted.event]);
        self.take_on(accepted.run, order.priority, progress);
        self.tell(&accepted);
        let _ = told.send(Ok(accepted.run));
        Ok(())
    }
}
