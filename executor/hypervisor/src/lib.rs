//! The door to hypervisors: one trait, two implementations: libvirt and the simulated world.

pub mod claims;
pub mod libvirt;
pub mod recovery;
pub mod simulated;
mod survey;
pub mod view;

pub use claims::{Claims, Lease};
pub use recovery::{Method, Software, Version};
pub use survey::{Survey, survey};
pub use vmpack_sim as sim;

use std::num::NonZeroU32;

use uuid::Uuid;
use vmpack_domain::cluster::{Cluster, Host};
use vmpack_domain::plan::Mode;
use vmpack_domain::units::{MiB, MiBPerSec, Micros, MilliCores, Permille};
use vmpack_domain::{GuestName, HostName};

/// Why a call on a hypervisor failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The host's daemon cannot be reached.
    #[error("cannot reach host {}: {cause}", place(host, uri))]
    Unreachable {
        /// Which host, or its URI when its name is not known yet.
        host: String,
        /// By which URI.
        uri: String,
        /// What the library said.
        cause: String,
    },
    /// The guest is not where it was said to be.
    #[error("guest {guest} is not on host {host}")]
    NotThere {
        /// Who.
        guest: GuestName,
        /// Where it was sought.
        host: HostName,
    },
    /// The hypervisor refused or failed.
    #[error("{host}: {cause}")]
    Refused {
        /// Which host.
        host: String,
        /// What it said.
        cause: String,
    },
}

/// A host and how it is reached, once where its name is not known yet.
fn place(host: &str, uri: &str) -> String {
    if host == uri {
        return uri.to_owned();
    }
    format!("{host} at {uri}")
}

/// A guest as a hypervisor sees it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuestState {
    /// Its vCPUs run here.
    Running,
    /// It is here and paused by somebody.
    Paused,
    /// It is one half of a migration in progress: the memory is still coming, or a source that is
    /// waiting to be let go.
    Migrating,
    /// Post-copy broke: half of it is here.
    PostCopyFailed,
    /// Defined and not running.
    Off,
    /// Defined and not running, as its QEMU died.
    Crashed,
}

impl GuestState {
    /// Whether any of its memory is there.
    #[must_use]
    pub fn is_there(self) -> bool {
        !matches!(self, Self::Off | Self::Crashed)
    }
}

/// One sight of a guest on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Where.
    pub host: HostName,
    /// How.
    pub state: GuestState,
    /// Its identity.
    pub uuid: Option<Uuid>,
    /// Its configured memory.
    pub memory: MiB,
    /// Its vCPUs.
    pub vcpus: u32,
}

/// Where a guest is seen, and who could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Located {
    /// Everywhere it is seen, in host order; a healthy guest is running in one place.
    pub seen: Vec<Sighting>,
    /// Hosts that do not answer: it may be there.
    pub silent: Vec<HostName>,
}

impl Located {
    /// Whether what was seen leaves no guest to be found elsewhere: it runs, or two hosts hold parts
    /// of it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        let there = self.seen.iter().filter(|s| s.state.is_there());
        self.seen.iter().any(|s| s.state == GuestState::Running) || there.count() > 1
    }
}

/// How a guest and its host are after a move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Whether its guest agent answers; `None` when it has none.
    pub answers: Option<bool>,
    /// The share of the host's CPU that is busy; `None` when it is not known.
    pub busy: Option<Permille>,
}

/// A guest's part of its host's CPU where more is wanted than there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// Who.
    pub guest: GuestName,
    /// CPU that is its own, in cores of speed 1.
    pub reserved: MilliCores,
    /// Its CPU shares as they are now; they count by what they are of the sum on the host.
    pub shares: u64,
}

/// The CPU shares on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weights {
    /// Which, as it was given.
    pub host: Host,
    /// Every guest of which it holds any part.
    pub guests: Vec<Weight>,
}

/// How the memory goes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stream {
    /// Cap before the switch; `None` leaves it to the link.
    pub bandwidth: Option<MiBPerSec>,
    /// Cap after the switch; the one before does not hold then.
    pub bandwidth_postcopy: Option<MiBPerSec>,
    /// Whether it is encrypted.
    pub tls: bool,
    /// Connections at once in pre-copy; one when it is not said.
    pub parallel: Option<NonZeroU32>,
    /// Whether pages that the guest waits for go before the others, where QEMU can do so.
    pub preempt: bool,
}

/// What is asked of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationRequest {
    /// Who.
    pub guest: GuestName,
    /// From where.
    pub from: HostName,
    /// Where to.
    pub to: HostName,
    /// How; post-copy switches at once.
    pub mode: Mode,
    /// How its memory goes over.
    pub stream: Stream,
    /// After which the migration is given up if execution is not at the target.
    pub give_up: Micros,
}

/// What is told while a migration runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MigrationEvent {
    /// Part of the memory is over.
    Progress {
        /// Memory transferred so far.
        transferred: MiB,
        /// Memory still to go.
        remaining: MiB,
    },
    /// Execution is at the target.
    Switched {
        /// Since the request.
        after: Micros,
    },
}

/// A migration that ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationReport {
    /// From the request to execution at the target.
    pub switch: Micros,
    /// From the request to a free source.
    pub total: Micros,
    /// Downtime as the hypervisor states it, where it does.
    pub downtime: Option<Micros>,
    /// Memory transferred.
    pub transferred: MiB,
}

/// How a migration failed, by what is true of the guest afterwards.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MigrationFailure {
    /// The guest runs at the source as before.
    #[error("guest stays at the source: {0}")]
    StaysAtSource(String),
    /// The guest runs at the source as before, and another try would fail alike: the hosts do not
    /// fit, or libvirt refuses such a guest.
    #[error("guest cannot be migrated: {0}")]
    Impossible(String),
    /// The guest is in split state: neither side is whole.
    #[error("guest is in split state: {0}")]
    Split(String),
    /// It is not known where the guest is.
    #[error("the guest's state is unknown: {0}")]
    Unknown(String),
}

/// What the executor needs of a hypervisor. Calls block; each migration is made on a thread and a
/// connection of its own.
pub trait Hypervisor: Send + Sync {
    /// Hosts and guests as they are now.
    ///
    /// # Errors
    /// When a host cannot be reached.
    fn snapshot(&self) -> Result<Cluster, Error>;

    /// One host as it is now, with every guest of which it holds any part; what is on its way to it
    /// counts as there. No other host is asked; [`survey`](crate::survey()) asks several.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn survey(&self, host: &HostName) -> Result<Cluster, Error>;

    /// Where the guest is seen now. The hosts where it is expected are asked first, and all others only
    /// where those do not tell all ([`Located::is_all`]).
    fn locate(&self, guest: &GuestName, expected: &[&HostName]) -> Located;

    /// Removes what a migration that is over left of the guest at its source: a half that stands still,
    /// of which QEMU says that all of it was sent, and a definition that is switched off. Does nothing
    /// where there is neither. The guest must run whole at the target; it is made lasting there first, if
    /// only the definition at the source is.
    ///
    /// # Errors
    /// When a host cannot be reached, or it is not certain that nothing would be lost by it.
    fn tidy(&self, guest: &GuestName, ends: (&HostName, &HostName)) -> Result<(), Error>;

    /// Migrates a guest and returns when the source is free or it failed. `told` hears of progress
    /// and of the switch.
    ///
    /// # Errors
    /// What became of the guest.
    fn migrate(
        &self,
        request: &MigrationRequest,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure>;

    /// Resumes a post-copy migration that broke after its switch, and returns when the source is
    /// free or it broke again. The executor asks only what [`recovery::method`] allows.
    ///
    /// # Errors
    /// What became of the guest; [`MigrationFailure::Split`] also when it could not be resumed yet.
    fn recover(
        &self,
        request: &MigrationRequest,
        method: Method,
        told: &mut dyn FnMut(MigrationEvent),
    ) -> Result<MigrationReport, MigrationFailure>;

    /// Aborts a migration of that guest from that host, if it has not switched yet.
    ///
    /// # Errors
    /// When there is none, or it can no longer be aborted safely.
    fn abort(&self, guest: &GuestName, from: &HostName) -> Result<(), Error>;

    /// What stands in the way of migrating the guest from one host to another by that mode, as far as
    /// they can tell before it begins; nothing where the way is free.
    ///
    /// # Errors
    /// When a host cannot be reached, or the guest is not there.
    fn obstacles(
        &self,
        guest: &GuestName,
        ends: (&HostName, &HostName),
        mode: Mode,
    ) -> Result<Vec<String>, Error>;

    /// What runs on the host.
    ///
    /// # Errors
    /// When it cannot be reached.
    fn software(&self, host: &HostName) -> Result<Software, Error>;

    /// Who lays claim to the guest, by its domain on that host.
    ///
    /// # Errors
    /// When the host cannot be reached, or the guest is not there.
    fn claims(&self, guest: &GuestName, host: &HostName) -> Result<Claims, Error>;

    /// Writes the lease into the guest's live metadata on that host, or strikes it out.
    ///
    /// # Errors
    /// When the host cannot be reached, or the guest is not there.
    fn set_lease(
        &self,
        guest: &GuestName,
        host: &HostName,
        lease: Option<&Lease>,
    ) -> Result<(), Error>;

    /// How the guest and its host are, after it came there.
    ///
    /// # Errors
    /// When the host cannot be reached, or the guest is not there.
    fn health(&self, guest: &GuestName, host: &HostName) -> Result<Health, Error>;

    /// The CPU shares of the guests on the host; nothing where none of them has CPU reserved.
    ///
    /// # Errors
    /// When it cannot be reached, or divides its CPU by nothing of the kind.
    fn weights(&self, host: &HostName) -> Result<Option<Weights>, Error>;

    /// Sets the guest's CPU shares on that host, as long as it runs; its definition stays as it is.
    ///
    /// # Errors
    /// When the host cannot be reached or refuses, or the guest is not there.
    fn set_shares(&self, guest: &GuestName, host: &HostName, shares: u64) -> Result<(), Error>;

    /// The time by this world's clock, in microseconds since its start: it never jumps for libvirt,
    /// and is virtual for a simulation.
    fn now(&self) -> Micros;

    /// Blocks for so long by this world's clock.
    fn wait(&self, span: Micros);
}
