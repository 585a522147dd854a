//! What the holder is asked, from its own process or through its socket.
//!
//! One holder works on a cluster: the process that has the lock beside the journal, which the kernel
//! lets go when it dies. It carries out every run in the journal that is not at its end, side by side
//! ([`crate::decide`] says how they go before one another). Others hand it work:
//!
//! - *in the same process* by a [`Handle`], which is cheap to clone and may be used from any thread:
//!   `handle.relieve(plan)` for moves that cannot wait, `handle.order(order)` for a plan. Each answers
//!   with the run's id or why it was refused; `handle.follow()` hears every event of every run. The
//!   replies are `tokio::sync::oneshot` receivers: `.await` them, or `.blocking_recv()` on a thread of
//!   one's own.
//! - *from another process* through the socket beside the journal ([`crate::socket`]).
//!
//! A plan of consolidation is accepted when it fits the hosts as they are and shares no host with
//! another that is not at its end. Relief is accepted at once: each of its moves is judged right before
//! it starts, as every move is, and a relief plan whose moves no longer fit skips them. While it is not
//! at its end, no move of consolidation starts, and those in its way are called off where that is
//! safe; they are begun anew afterwards, if they still fit.
//!
//! Nothing is accepted that moves a guest to a host that is being put to sleep, or from it; and none is let sleep
//! that something accepted moves guests to or from. Both are asked of the holder, so one comes first.
//!
//! A holder for one plan ends when its runs are at their end. One that stays (`watch`) waits for more
//! until it is interrupted.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};
use vmpack_domain::HostName;
use vmpack_domain::exit::Exit;
use vmpack_domain::journal::{MoveState, Priority, RunId};
use vmpack_domain::plan::Plan;

use crate::decide::Limits;
use crate::journal::Entry;
use crate::preflight::Change;
use crate::world::World;

/// Something to be carried out.
#[derive(Debug, Clone)]
pub struct Order {
    /// What.
    pub plan: Plan,
    /// The file that it was read from.
    pub file: Option<String>,
    /// Before which others it goes.
    pub priority: Priority,
    /// The hosts that whoever asks has in mind, if they are to be compared.
    pub world: Option<World>,
    /// Whether it takes back what another run did.
    pub reverses: bool,
}

/// Why an order was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error}")]
pub struct Refusal {
    /// With which code a command ends for it.
    pub exit: u8,
    /// What is in the way.
    pub error: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Preconditions that do not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Refusal {
    pub(crate) fn new(exit: Exit, error: impl Into<String>) -> Self {
        Self {
            exit: exit as u8,
            error: error.into(),
            hint: None,
            changes: Vec::new(),
        }
    }
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Where a run stands that is not at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Which.
    pub run: RunId,
    /// Before which others it goes.
    pub priority: Priority,
    /// How many moves it has.
    pub moves: usize,
    /// How many of them are at their end.
    pub ended: usize,
    /// How many are underway.
    pub underway: usize,
}

impl Standing {
    pub(crate) fn of<'a>(
        run: RunId,
        priority: Priority,
        states: impl Iterator<Item = &'a MoveState>,
    ) -> Self {
        let mut standing = Self {
            run,
            priority,
            moves: 0,
            ended: 0,
            underway: 0,
        };
        for state in states {
            standing.moves += 1;
            match state {
                MoveState::Waiting => {}
                s if s.underway() => standing.underway += 1,
                _ => standing.ended += 1,
            }
        }
        standing
    }
}

/// One thing that a holder is asked.
#[derive(Debug)]
pub enum Ask {
    /// To carry something out. The answer comes once it is in the journal, or refused.
    Order(Box<Order>, oneshot::Sender<Result<RunId, Refusal>>),
    /// To end a run, or all: what waits is given up, and what has not switched aborted. Answered with
    /// the runs that it concerns.
    Abort {
        /// Which; all without it.
        run: Option<RunId>,
        /// Who asks.
        by: String,
        /// The answer.
        told: oneshot::Sender<Vec<RunId>>,
    },
    /// Where the runs stand.
    Status(oneshot::Sender<Vec<Standing>>),
    /// To tell every event from now on.
    Follow(mpsc::UnboundedSender<Entry>),
    /// To go on with runs that were stopped because too much went wrong.
    Continue {
        /// Who asks.
        by: String,
    },
    /// That a host is about to sleep: from now on nothing is accepted that moves a guest to it or from it.
    /// Refused where something does.
    Sleep {
        /// Which.
        host: HostName,
        /// The answer.
        told: oneshot::Sender<Result<(), Refusal>>,
    },
    /// That a host does not sleep, or not any more.
    Awake {
        /// Which.
        host: HostName,
    },
    /// To stop: the first time what runs is finished and no more started, the second time what has not
    /// switched is aborted.
    Interrupt,
}

/// How a holder is spoken to.
#[derive(Debug, Clone)]
pub struct Handle {
    asks: mpsc::UnboundedSender<Ask>,
}

/// A handle, and what its holder hears.
#[must_use]
pub fn channel() -> (Handle, mpsc::UnboundedReceiver<Ask>) {
    let (asks, heard) = mpsc::unbounded_channel();
    (Handle { asks }, heard)
}

impl Handle {
    /// Hands a plan over.
    #[must_use]
    pub fn order(&self, order: Order) -> oneshot::Receiver<Result<RunId, Refusal>> {
        let (told, hears) = oneshot::channel();
        self.ask(Ask::Order(Box::new(order), told));
        hears
    }

    /// Hands moves over that go before all others. Their plan's `target` says where every guest is
    /// afterwards, its `policy` holds for room, kinds and limits.
    #[must_use]
    pub fn relieve(&self, plan: Plan) -> oneshot::Receiver<Result<RunId, Refusal>> {
        self.order(Order {
            plan,
            file: None,
            priority: Priority::Relief,
            world: None,
            reverses: false,
        })
    }

    /// Ends a run, or all.
    #[must_use]
    pub fn abort(&self, run: Option<RunId>, by: String) -> oneshot::Receiver<Vec<RunId>> {
        let (told, hears) = oneshot::channel();
        self.ask(Ask::Abort { run, by, told });
        hears
    }

    /// Where the runs stand that are not at their end.
    #[must_use]
    pub fn status(&self) -> oneshot::Receiver<Vec<Standing>> {
        let (told, hears) = oneshot::channel();
        self.ask(Ask::Status(told));
        hears
    }

    /// Hears every event from now on; it closes when the holder is gone.
    #[must_use]
    pub fn follow(&self) -> mpsc::UnboundedReceiver<Entry> {
        let (told, hears) = mpsc::unbounded_channel();
        self.ask(Ask::Follow(told));
        hears
    }

    /// Has it go on with runs that wait for a person.
    pub fn go_on(&self, by: String) {
        self.ask(Ask::Continue { by });
    }

    /// Whether the host may sleep; from then on no guest is moved to it or from it.
    #[must_use]
    pub fn sleep(&self, host: HostName) -> oneshot::Receiver<Result<(), Refusal>> {
        let (told, hears) = oneshot::channel();
        self.ask(Ask::Sleep { host, told });
        hears
    }

    /// The host takes guests again.
    pub fn awake(&self, host: HostName) {
        self.ask(Ask::Awake { host });
    }

    /// Asks it to stop; see [`Ask::Interrupt`].
    pub fn interrupt(&self) {
        self.ask(Ask::Interrupt);
    }

    /// A holder that is gone answers nothing: the receiver then says so.
    fn ask(&self, ask: Ask) {
        let _ = self.asks.send(ask);
    }
}

/// The terms on which a holder works.
pub struct Terms<'a> {
    /// The hosts, as they stand in the journal.
    pub world: World,
    /// How a run of that plan may be gone about.
    pub limits: &'a (dyn Fn(&Plan) -> Limits + Sync),
    /// Whether it waits for more when every run is at its end.
    pub stays: bool,
    /// While that file is there, nothing is started.
    pub inhibit: PathBuf,
}
