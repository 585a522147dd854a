//! What a watch may do, what it is told and whom it tells.

use tokio::sync::mpsc;
use vmpack_domain::plan::{Move, Plan};
use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, Host, HostName};
use vmpack_planner::power;

use super::ears::Told;

/// What the watch may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Mode {
    /// Writes into the audit log what it sees and would decide
    #[default]
    Observe,
    /// Also gives each decision out as a plan
    Recommend,
    /// Carries it out
    Auto,
}

impl Mode {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Recommend => "recommend",
            Self::Auto => "auto",
        }
    }
}

/// What a migration in trouble is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// Its connection broke in split state; it is taken up again.
    Broken,
    /// It stays in split state until a person helps.
    Stuck,
    /// Its guest is gone.
    Lost,
}

/// What became of moves that were handed over, or are made by others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// They are not made.
    Refused {
        /// Whose.
        guests: Vec<GuestName>,
        /// Why not.
        why: String,
        /// Whether they were for relief, else a plan's, of which none was counted as begun.
        relief: bool,
    },
    /// Execution is at the target.
    Switched(GuestName),
    /// The migration is over.
    Ended {
        /// Whose.
        guest: GuestName,
        /// Whether the guest is at the target.
        moved: bool,
    },
    /// A migration is in trouble: its guest waits in split state, cannot be brought out of it, or is
    /// gone.
    Trouble {
        /// Whose.
        guest: GuestName,
        /// Which of these.
        kind: Trouble,
        /// What died or is in the way, and what is to be done.
        why: String,
    },
    /// A migration was begun: by this watch, by somebody else, or before it.
    Begun {
        /// Which.
        mv: Box<Move>,
        /// Whether it is for relief, not for a plan.
        relief: bool,
    },
    /// A plan that was asked for, or why there is none.
    Planned(Box<Result<Plan, String>>),
    /// A host was asked to sleep or to wake; what went wrong, if anything did.
    Powered(power::Order, Option<String>),
    /// The cluster as its files describe it now, or why they cannot be read.
    Described(Box<Result<Cluster, String>>),
    /// A host's guests could not be held to what they have reserved, or let go again: told once of each.
    NotHeld {
        /// Of which.
        host: HostName,
        /// Why.
        why: String,
    },
    /// Nobody carries anything out any more.
    Gone(String),
}

/// How a watch works.
#[derive(Debug, Clone)]
pub struct Terms {
    /// What it may do.
    pub mode: Mode,
    /// How long an exact answer may be sought after the one at hand is made.
    pub time: Micros,
    /// Plans and power beside relief, if that is wanted.
    pub cycle: Option<Periodic>,
}

/// What is done by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Periodic {
    /// How often a plan is made.
    pub every: Micros,
    /// What the hosts' sleep costs and takes; `None` where all stay as they are.
    pub power: Option<power::Terms>,
}

/// What a watch is connected with.
pub struct Lines<'a> {
    /// What the probes say.
    pub ears: mpsc::UnboundedReceiver<Told>,
    /// What becomes of moves.
    pub done: mpsc::UnboundedReceiver<Done>,
    /// To whom relief is handed, in mode `auto`.
    pub order: &'a mut dyn FnMut(Plan),
    /// Hears each line of the audit log.
    pub told: &'a mut dyn FnMut(&str),
    /// In mode `recommend`: each decision as a plan.
    pub recommend: &'a mut dyn FnMut(&Plan),
    /// Asked for a plan of the cluster as it is; the answer comes as [`Done::Planned`].
    pub plan: &'a mut dyn FnMut(Cluster),
    /// To whom a plan is handed that is no relief, in mode `auto`.
    pub consolidate: &'a mut dyn FnMut(Plan),
    /// Asked to switch a host, in mode `auto`; the answer comes as [`Done::Powered`].
    pub power: &'a mut dyn FnMut(power::Order, Host),
    /// Told of a host that does not sleep, or not any more.
    pub awake: &'a mut dyn FnMut(&HostName),
    /// Asked to hold a host's guests to what they have reserved, or (`false`) to let them go again, in mode
    /// `auto`.
    pub hold: &'a mut dyn FnMut(&HostName, bool),
}
