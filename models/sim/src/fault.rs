//! What goes wrong in a world, and when.

use vmpack_domain::units::{Micros, Permille};
use vmpack_domain::{GuestName, HostName};

/// What a world is made with besides its cluster and load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Of the jitter.
    pub seed: u64,
    /// How far a set-up may stray either way from the predicted time, and how much slower than its
    /// share of the link a stream may be.
    pub jitter: Permille,
    /// What goes wrong, and when.
    pub faults: Vec<Fault>,
    /// Whether a broken post-copy goes on by itself when its link is up, as with TCP's default
    /// timeouts; otherwise it waits to be resumed, as where a dead link is noticed early.
    pub heals: bool,
    /// The version of the hosts' libvirt, as libvirt counts: 9.0.0 is 9,000,000.
    pub libvirt: u64,
    /// Whether a host takes guests beyond its memory, as QEMU does; otherwise it refuses them.
    pub over_commits: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            jitter: Permille(100),
            faults: Vec::new(),
            heals: true,
            libvirt: 9_000_000,
            over_commits: false,
        }
    }
}

/// Something that goes wrong, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// When it strikes.
    pub when: When,
    /// What it does.
    pub what: Trouble,
}

/// When a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// At that virtual time.
    At(Micros),
    /// When a migration of that guest first enters the phase, and so long after.
    Phase {
        /// Whose migration.
        guest: GuestName,
        /// Which phase.
        phase: Phase,
        /// How long into it.
        after: Micros,
    },
}

/// Phases of a migration, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections and processes are being made.
    Setup,
    /// Pre-copy passes; execution is at the source.
    Copy,
    /// Execution is at the target and the memory follows: split state.
    Fetch,
}

/// What a fault does. A host or guest that is not in the world is left out silently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The host dies with all that is on it, and stays dead.
    Dies(HostName),
    /// Nothing passes over the host's link.
    LinkDown(HostName),
    /// The link is whole and at full speed again.
    LinkUp(HostName),
    /// The link runs at that share of its bandwidth.
    LinkSlow(HostName, Permille),
    /// The host refuses the next migration towards it.
    Refuses(HostName),
    /// The host's libvirtd is killed; its guests and their streams go on.
    DaemonDies(HostName),
    /// The host's libvirtd is there again.
    DaemonBack(HostName),
    /// The guest's QEMU on that host is killed, if there is one.
    QemuDies(GuestName, HostName),
    /// The guest is shut down by its owner.
    ShutDown(GuestName),
    /// Somebody else migrates the guest to that host, by pre-copy.
    Elsewhere(GuestName, HostName),
}
