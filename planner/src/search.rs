//! What a search is given by its caller besides its inputs: a clock, a stop signal, and an ear.

use vmpack_domain::Certificate;
use vmpack_domain::units::Micros;

/// The caller's side of a search. The planner reads no clock of its own.
pub struct Search<'a> {
    /// Time since the search began; never decreases.
    pub elapsed: &'a dyn Fn() -> Micros,
    /// Whether the user wants the best answer so far, now.
    pub stop: &'a dyn Fn() -> bool,
    /// Hears of every step.
    pub report: &'a mut dyn FnMut(Step),
}

/// A step of a search, for progress displays and `-v`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A phase began.
    Phase(&'static str),
    /// The bound on the hosts' cost (thousandths of a host) rose; from where.
    Bound {
        /// In thousandths.
        cost: i64,
        /// Which method found it.
        origin: String,
    },
    /// A placement of that cost (thousandths) was found.
    Best {
        /// In thousandths.
        cost: i64,
        /// Hosts in use.
        hosts: usize,
    },
    /// The certificate of a bound on the hosts, once at the end of a search that gives a plan.
    Certified(Box<Certificate>),
    /// A set of moves of that many MiB was found at the best cost.
    Moves {
        /// MiB moved.
        memory: i64,
        /// Proven least, in MiB.
        bound: i64,
    },
}
