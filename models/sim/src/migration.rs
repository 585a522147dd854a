//! One migration: what is asked, what it tells, and its state between two events.

use vmpack_domain::units::{MiB, MiBPerSec, Micros};
use vmpack_domain::{GuestName, HostName, Mode};

use crate::fault::Phase;

/// How long a stream may stand still before both ends give it up: libvirt's keepalive, measured.
pub const LINK_TIMEOUT: Micros = Micros::secs(30);

/// Names a migration within its world, in the order of their starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MigrationId(pub u64);

/// What is asked of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who.
    pub guest: GuestName,
    /// From where.
    pub from: HostName,
    /// Where to.
    pub to: HostName,
    /// How.
    pub mode: Mode,
    /// Cap on the stream.
    pub bandwidth: Option<MiBPerSec>,
    /// After which it is given up if execution is not at the target.
    pub give_up: Micros,
}

/// Why a migration does not even begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The guest does not run whole at the source.
    #[error("guest {0} does not run on host {1}")]
    NotThere(GuestName, HostName),
    /// It is on its way already.
    #[error("guest {0} is being migrated already")]
    Busy(GuestName),
    /// The host is dead, asleep, out or not in this world.
    #[error("host {0} cannot be reached")]
    Unreachable(HostName),
    /// The target has too little memory left.
    #[error("host {host} has {free} of memory left, the guest needs {needs}")]
    NoRoom {
        /// Which host.
        host: HostName,
        /// What it has left.
        free: MiB,
        /// What the guest needs.
        needs: MiB,
    },
    /// A fault: the target says no.
    #[error("host {0} refuses the migration")]
    Refused(HostName),
    /// There is no broken post-copy of that guest to be resumed, or its link is still down.
    #[error("guest {0} has no broken post-copy migration that can be resumed")]
    NothingToResume(GuestName),
    /// The target's libvirtd died of being asked to resume.
    #[error("host {0}: its libvirtd crashed")]
    Crashed(HostName),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Micros,
    /// To whom.
    pub guest: GuestName,
    /// In which migration.
    pub migration: Option<MigrationId>,
    /// What.
    pub what: Happening,
}

/// What can happen to a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// Told every second of a migration.
    Progress {
        /// Memory sent so far.
        transferred: MiB,
        /// Memory still to be sent in this pass.
        remaining: MiB,
    },
    /// Execution is at the target.
    Switched {
        /// Since the start.
        after: Micros,
    },
    /// The source is free.
    Ended(Report),
    /// It failed.
    Failed(Failure),
    /// A guest that was left in split state is whole again, at the target.
    Healed,
    /// The guest is gone: a host died that held memory of it that nobody else had.
    Lost,
}

/// A migration that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// From the start to execution at the target.
    pub switch: Micros,
    /// From the start to a free source.
    pub total: Micros,
    /// How long the guest stood still in pre-copy's last pass; post-copy has no such figure.
    pub downtime: Option<Micros>,
    /// Memory sent.
    pub transferred: MiB,
}

/// A migration that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// What became of the guest.
    pub fate: Fate,
    /// What went wrong.
    pub why: String,
}

/// What becomes of a guest whose migration failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs at the source as before.
    AtSource,
    /// Half of it is here and half there, or only one half is left.
    Split,
    /// Its source died with it before the switch.
    Gone,
    /// The daemon that was asked is gone, or the guest was switched off: what became of it must be
    /// looked for.
    Unseen,
}

/// A migration in progress. Between two events its work `left` shrinks at `rate`.
#[derive(Debug, Clone)]
pub(crate) struct Migration {
    pub(crate) request: Request,
    pub(crate) phase: Phase,
    pub(crate) started: Micros,
    /// Work left in this phase or pass: seconds of set-up, or MiB.
    pub(crate) left: f64,
    /// Work done a second; 0 while a link is down.
    pub(crate) rate: f64,
    /// This stream's share of what its link would give, at most 1.
    pub(crate) efficiency: f64,
    /// MiB sent.
    pub(crate) sent: f64,
    pub(crate) pass_started: Micros,
    /// Pre-copy's last pass: the guest stands still.
    pub(crate) last_pass: bool,
    pub(crate) switched: Option<Micros>,
    /// Since when nothing moved.
    pub(crate) stalled: Option<Micros>,
    pub(crate) next_progress: Micros,
    /// Its caller was told that it failed, in split state; the fetch goes on when it can.
    pub(crate) reported: bool,
    /// The stream is broken and waits to be resumed.
    pub(crate) broken: bool,
    /// The source's libvirtd died after the switch: nobody will let its half go.
    pub(crate) orphan: bool,
}

/// Less than this is nothing: a thousandth of a byte, or of a microsecond.
const NOTHING: f64 = 1e-9;

impl Migration {
    /// When the work left will be done at this rate.
    pub(crate) fn due(&self, now: Micros) -> Option<Micros> {
        if self.left <= NOTHING {
            return Some(now);
        }
        (self.rate > 0.0).then(|| now + micros((self.left / self.rate * 1e6).ceil().max(1.0)))
    }

    /// Lets time pass at this rate.
    pub(crate) fn work(&mut self, span: Micros) {
        let done = (self.rate * seconds(span)).min(self.left);
        self.left -= done;
        if self.left <= NOTHING {
            self.left = 0.0;
        }
        if self.phase != Phase::Setup {
            self.sent += done;
        }
    }

    pub(crate) fn done(&self) -> bool {
        self.left <= NOTHING
    }

    pub(crate) fn progress(&self) -> Happening {
        Happening::Progress {
            transferred: mib(self.sent),
            remaining: if self.phase == Phase::Setup {
                MiB::ZERO
            } else {
                mib(self.left)
            },
        }
    }
}

/// As seconds.
pub(crate) fn seconds(t: Micros) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "virtual times stay below 2^52")]
    let t = t.0 as f64;
    t / 1e6
}

/// From microseconds, not negative and at most a year.
pub(crate) fn micros(t: f64) -> Micros {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 and a year"
    )]
    Micros(t.clamp(0.0, 3.2e13) as u64)
}

/// Rounded to the nearest.
pub(crate) fn mib(amount: f64) -> MiB {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what the unit holds"
    )]
    MiB(amount.round().clamp(0.0, 8.7e12) as u64)
}

/// As a number of MiB or MiB/s.
pub(crate) fn number(amount: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "units stay below 2^43")]
    let n = amount as f64;
    n
}
