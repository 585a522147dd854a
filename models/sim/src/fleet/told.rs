//! What a fleet tells: notices to a policy, events for a record, refusals.

use vmpack_domain::units::Micros;

/// Something that a policy may want to act upon at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// That host has been overloaded for [`Physics::notice`].
    Overloaded(usize),
    /// That host is awake.
    Awake(usize),
    /// That host died; its guests wait to be placed.
    Died(usize),
    /// That guest's migration is over, wherever it runs now.
    Ended(usize),
}

/// Something that happened, for a record of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Micros,
    /// What.
    pub what: What,
}

/// What happened to which guest or host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A guest starts: at first, or anew after its host died.
    Started {
        /// Which.
        guest: usize,
        /// Where.
        host: usize,
    },
    /// A migration began.
    Began {
        /// Whose.
        guest: usize,
        /// From where.
        from: usize,
        /// Where to.
        to: usize,
        /// How long it will take.
        takes: Micros,
    },
    /// It ended.
    Ended {
        /// Whose.
        guest: usize,
        /// Where the guest runs.
        to: usize,
    },
    /// It failed; the guest stays.
    Failed {
        /// Whose.
        guest: usize,
    },
    /// A guest wants nothing any more and left.
    Left {
        /// Which guest.
        guest: usize,
    },
    /// A host is overloaded from now on.
    Overloaded {
        /// Which host.
        host: usize,
    },
    /// It no longer is.
    Relieved {
        /// Which host.
        host: usize,
    },
    /// A host was told to wake.
    Woken {
        /// Which host.
        host: usize,
    },
    /// A host went to sleep.
    Slept {
        /// Which host.
        host: usize,
    },
    /// A host died.
    Died {
        /// Which host.
        host: usize,
    },
}

/// Why an order is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The guest runs nowhere, or has left.
    #[error("the guest does not run")]
    NotRunning,
    /// It is there already, or on its way.
    #[error("the guest is there already")]
    There,
    /// The target is asleep, waking or dead.
    #[error("the host does not take guests")]
    Closed,
    /// The target has too little memory left.
    #[error("the host has too little memory left")]
    NoRoom,
    /// The host still carries guests, or cannot sleep.
    #[error("the host is in use")]
    InUse,
}
