//! In which phase a host is, and how one follows another.

use vmpack_domain::units::Micros;

use crate::relieve::FIRST;

/// A host of which relief is under way, or that settles, is relieved further where what that leaves lasts for
/// so long. What is measured in a surge's first moments overshoots, and until the switch the guests that
/// stay wait for those that leave.
const SHORT: Micros = FIRST;

/// In which phase a host is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its guests have what they want.
    Calm,
    /// They want more, not for long.
    Suspected(Micros),
    /// They have wanted more for long enough.
    Overloaded(Micros),
    /// Moves are decided; counting them they have what they want.
    Relieving(Micros),
    /// Nothing is heard.
    Unknown,
}

/// What is seen of a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// Its guests want more than its room, what is under way counted as arrived.
    pub(super) above: bool,
    /// What they missed so far amounts to something.
    pub(super) enough: bool,
    /// They want less than that by the hysteresis.
    pub(super) under: bool,
    /// Its kernel said lately that it is overloaded.
    pub(super) kernel: bool,
    /// A guest is on its way from it.
    pub(super) leaving: bool,
    /// Since when relief that is under way or was just made does not suffice, if so.
    pub(super) short: Option<Micros>,
    /// How long a host must be overloaded.
    pub(super) after: Micros,
    pub(super) now: Micros,
}

impl Phase {
    /// The phase that follows.
    pub(super) fn next(self, seen: Seen) -> Self {
        let Seen { above, now, .. } = seen;
        let waits = |short: Micros| now.saturating_sub(short) < SHORT;
        let waits = seen.short.is_some_and(waits);
        let old = |since: Micros| now.saturating_sub(since) >= seen.after;
        let long = |since: Micros| !waits && seen.enough && (seen.kernel || old(since));
        // What the kernel says has lasted so long at least.
        let latest = now.saturating_sub(seen.after);
        match self {
            Self::Unknown => Self::Unknown,
            Self::Calm if above && long(now) => Self::Overloaded(latest),
            Self::Calm if above => Self::Suspected(now),
            Self::Suspected(since) if above && long(since) => Self::Overloaded(since.min(latest)),
            Self::Suspected(since) if above => Self::Suspected(since),
            Self::Calm | Self::Suspected(_) => Self::Calm,
            Self::Overloaded(_) | Self::Relieving(_) if seen.under => Self::Calm,
            Self::Relieving(since) if above && waits => Self::Relieving(since),
            Self::Overloaded(since) | Self::Relieving(since) if above => Self::Overloaded(since),
            Self::Overloaded(since) if seen.leaving => Self::Relieving(since),
            // Between the thresholds it is as it was.
            other => other,
        }
    }
}
