//! What a watch is told.

use vmpack_domain::units::Micros;
use vmpack_domain::{Cluster, GuestName, HostName};

use super::Window;

/// What is heard. Times are on the watch's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Windows of a host's guests.
    Windows {
        /// Of which host.
        host: HostName,
        /// What was measured of each guest in each, oldest first.
        guests: Vec<(GuestName, Vec<Window>)>,
        /// How long ago the first of them began.
        old: Micros,
    },
    /// The host's kernel says that runnable vCPUs exceed its cores, or no longer do.
    Overload {
        /// Which host.
        host: HostName,
        /// Whether it began.
        began: bool,
    },
    /// Nothing more is heard of the host.
    Silent(HostName),
    /// A migration is over.
    Ended {
        /// Whose.
        guest: GuestName,
        /// Whether the guest is at the target, else at the source.
        moved: bool,
    },
    /// Hosts and guests as they are now.
    Cluster(Cluster),
}
